//! `/api/v1/databases`: what there is to connect to, and at which ports of the proxy. Says nothing of the databases' own
//! hosts, logins and secrets.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{header, request::Parts},
};

use super::{Api, auth::Caller, body, problem::Problem, routes::Routes};
use crate::{
    config::{Config, Listener, ListenerTls, Target},
    store::actor::Actor,
};

pub(super) fn routes() -> Routes {
    Routes::new().get("/databases", databases)
}

/// The host that a client reached the API at; `None` over the Unix socket, and when it says none.
struct ReachedAt(Option<String>);

impl FromRequestParts<Arc<Api>> for ReachedAt {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Problem> {
        let named = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let authority = named.and_then(|named| named.parse::<axum::http::uri::Authority>().ok());
        Ok(Self(authority.map(|authority| authority.host().to_owned()).filter(|host| host != super::SOCKET_HOST)))
    }
}

async fn databases(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    ReachedAt(host): ReachedAt,
) -> Json<Vec<body::Database>> {
    let config = api.shared.config.load();
    Json(config.databases.values().map(|target| database(&config, target, &actor, host.as_deref())).collect())
}

fn database(config: &Config, target: &Target, actor: &Actor, host: Option<&str>) -> body::Database {
    let mut listeners: Vec<&Listener> =
        config.listeners.iter().filter(|listener| serves(listener, target) && is_for(listener, actor)).collect();
    listeners.sort_by_key(|listener| listener.scope.is_none());
    body::Database {
        name: target.name.to_string(),
        protocol: target.protocol.as_str().to_owned(),
        labels: target.labels.clone(),
        listeners: listeners.into_iter().map(|listener| shown(listener, host)).collect(),
    }
}

/// Whether clients find `target` at this port.
fn serves(listener: &Listener, target: &Target) -> bool {
    let fixed = listener.scope.as_ref().and_then(|scope| scope.database.as_ref()).or(listener.database.as_ref());
    listener.protocol == target.protocol && fixed.is_none_or(|fixed| *fixed == target.name)
}

/// Whether `actor` may use this port. Admins see all: they ask for others.
fn is_for(listener: &Listener, actor: &Actor) -> bool {
    let users = listener.scope.as_ref().and_then(|scope| scope.users.as_ref());
    actor.is_admin() || users.is_none_or(|users| users.contains(&actor.name))
}

fn shown(listener: &Listener, host: Option<&str>) -> body::Listener {
    let ip = listener.address.ip();
    let scope = listener.scope.as_ref();
    body::Listener {
        name: listener.name.to_string(),
        host: match host {
            Some(host) if ip.is_unspecified() => host.trim_matches(['[', ']']).to_owned(),
            None if ip.is_unspecified() => loopback(ip).to_owned(),
            Some(_) | None => ip.to_string(),
        },
        port: listener.address.port(),
        tls: match listener.tls {
            ListenerTls::Off => "off",
            ListenerTls::Prefer(_) => "prefer",
            ListenerTls::Require(_) => "require",
        }
        .to_owned(),
        users: scope.and_then(|scope| scope.users.as_deref()).map(texts),
        roles: scope.and_then(|scope| scope.roles.as_deref()).map(texts),
        statements: scope.and_then(|scope| scope.statements.as_ref()).map(|listed| listed.pattern.clone()),
    }
}

fn loopback(any: IpAddr) -> &'static str {
    match any {
        IpAddr::V4(_) => "127.0.0.1",
        IpAddr::V6(_) => "::1",
    }
}

fn texts(names: &[impl ToString]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hallpass_audit::event::Origin;
    use hallpass_policy::ids::{Principal, UserName};

    use super::*;

    const CONFIG: &str = r#"
        [[listeners]]
        name = "all"
        protocol = "postgres"
        address = "0.0.0.0:6432"
        [[listeners]]
        name = "ci"
        protocol = "postgres"
        address = "127.0.0.1:6433"
        scope = { database = "shop", users = ["ci"], roles = ["owner"] }
        [databases.shop]
        protocol = "postgres"
        host = "127.0.0.1"
        user = "h"
        [databases.eu]
        protocol = "postgres"
        host = "127.0.0.1"
        user = "h"
        [roles.owner]
        allow = ["*"]
    "#;

    fn ports(user: &str, target: &str, host: Option<&str>) -> Vec<String> {
        let (config, _) = Config::parse(Path::new("proxy.toml"), CONFIG).unwrap();
        let principal = Principal { user: UserName::new(user), groups: Vec::new() };
        let actor = Actor::user(principal, &[], Origin::default());
        let shown = database(&config, config.databases.get(target).unwrap(), &actor, host);
        shown.listeners.iter().map(|port| format!("{} {}:{}", port.name, port.host, port.port)).collect()
    }

    #[test]
    fn each_user_sees_the_ports_that_lead_there() {
        assert_eq!(ports("ci", "shop", None), ["ci 127.0.0.1:6433", "all 127.0.0.1:6432"]);
        assert_eq!(ports("ci", "eu", Some("db.internal")), ["all db.internal:6432"]);
        assert_eq!(ports("eve", "shop", Some("[2001:db8::1]")), ["all 2001:db8::1:6432"]);
    }
}
