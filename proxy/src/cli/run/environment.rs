//! What the command of `hallpass run` finds in its environment: the variables that clients of Postgres and MySQL read, and
//! a DATABASE_URL. Reads no environment itself.

use super::super::{client::encoded, failure::Failure};
use crate::api::body::{Database, Listener};

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

/// Where the command connects to.
#[derive(Debug)]
pub(super) struct Login {
    /// Each database with the port it is reached at, in the order they were named.
    places: Vec<(Database, Listener)>,
    /// Whether the token is the login's own password.
    own_token: bool,
}

impl Login {
    /// The port of each of `wanted`: the `named` one, else one that is for this user or role, else any.
    pub(super) fn find(
        databases: &[Database],
        wanted: &[String],
        named: Option<&str>,
        user: &str,
        role: &str,
        own_token: bool,
    ) -> Result<Self, Failure> {
        let place = |name: &String| -> Result<(Database, Listener), Failure> {
            let found = databases.iter().find(|database| database.name == *name);
            let database = found.ok_or_else(|| {
                let known: Vec<_> = databases.iter().map(|database| database.name.as_str()).collect();
                Failure::failed(format!("there is no database `{name}`")).hint(format!("known: {}", known.join(", ")))
            })?;
            let fits = |listener: &&Listener| {
                let has = |list: &Option<Vec<String>>, name: &str| {
                    list.as_ref().is_none_or(|list| list.iter().any(|one| one == name))
                };
                has(&listener.users, user) && has(&listener.roles, role) && named.is_none_or(|n| n == listener.name)
            };
            let listener = database.listeners.iter().find(fits).ok_or_else(|| {
                let which = named.map_or_else(|| "no listener".to_owned(), |named| format!("no listener `{named}`"));
                Failure::failed(format!("{which} leads `{user}` with role {role} to `{name}`"))
                    .hint("see `[[listeners]]` and its `scope` in the proxy's configuration")
            })?;
            Ok((database.clone(), listener.clone()))
        };
        Ok(Self { places: wanted.iter().map(place).collect::<Result<_, _>>()?, own_token })
    }
}

/// The variables for `user`: of the first database of each protocol what its clients read, `DATABASE_URL` of the very first,
/// and `DATABASE_URL_NAME` of every one.
pub(super) fn environment(login: &Login, user: &str, token: Option<&str>) -> Vec<Variable> {
    let password = token.filter(|_| login.own_token);
    let mut variables: Vec<Variable> = Vec::new();
    let mut set = |name: &str, value: &str| {
        // The first one counts.
        if !variables.iter().any(|variable| variable.name == name) {
            variables.push(Variable { name: name.to_owned(), value: value.to_owned() });
        }
    };
    let mut met: Vec<&str> = Vec::new();
    for (database, listener) in &login.places {
        let url = url(database, listener, user, password);
        set("DATABASE_URL", &url);
        set(&format!("DATABASE_URL_{}", in_capitals(&database.name)), &url);
        if met.contains(&database.protocol.as_str()) {
            continue;
        }
        met.push(&database.protocol);
        let port = listener.port.to_string();
        let names: [&[&str]; 5] = if database.protocol == "mysql" {
            [&["MYSQL_HOST"], &["MYSQL_TCP_PORT"], &["MYSQL_USER", "USER"], &["MYSQL_DATABASE"], &["MYSQL_PWD"]]
        } else {
            [&["PGHOST"], &["PGPORT"], &["PGUSER"], &["PGDATABASE"], &["PGPASSWORD"]]
        };
        let values = [Some(listener.host.as_str()), Some(&port), Some(user), Some(&database.name), password];
        for (names, value) in names.into_iter().zip(values) {
            for name in names {
                if let Some(value) = value {
                    set(name, value);
                }
            }
        }
    }
    variables
}

fn url(database: &Database, listener: &Listener, user: &str, password: Option<&str>) -> String {
    let scheme = if database.protocol == "mysql" { "mysql" } else { "postgres" };
    let password = password.map(|password| format!(":{}", encoded(password))).unwrap_or_default();
    let host = &listener.host;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    format!("{scheme}://{}{password}@{host}:{}/{}", encoded(user), listener.port, encoded(&database.name))
}

fn in_capitals(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn listener(name: &str, port: u16, users: &[&str], roles: &[&str]) -> Listener {
        let list = |names: &[&str]| (!names.is_empty()).then(|| names.iter().map(|name| (*name).to_owned()).collect());
        let (users, roles) = (list(users), list(roles));
        Listener { name: name.into(), host: "10.0.0.1".into(), port, tls: "off".into(), users, roles, statements: None }
    }

    fn database(name: &str, protocol: &str, listeners: Vec<Listener>) -> Database {
        Database { name: name.into(), protocol: protocol.into(), labels: BTreeMap::new(), listeners }
    }

    fn all() -> Vec<Database> {
        let scoped = listener("ci", 6433, &["ci"], &["migrator"]);
        vec![
            database("shop", "postgres", vec![scoped, listener("all", 6432, &[], &[])]),
            database("eu-shop", "mysql", vec![listener("my", 6306, &[], &[])]),
        ]
    }

    fn port(user: &str, role: &str, named: Option<&str>) -> Option<u16> {
        let login = Login::find(&all(), &["shop".to_owned()], named, user, role, true).ok()?;
        login.places.first().map(|(_, listener)| listener.port)
    }

    #[test]
    fn the_port_made_for_user_and_role_is_taken() {
        assert_eq!(port("ci", "migrator", None), Some(6433));
        assert_eq!(port("ci", "reader", None), Some(6432));
        assert_eq!(port("alice", "migrator", None), Some(6432));
        assert_eq!(port("ci", "migrator", Some("all")), Some(6432));
        assert_eq!(port("ci", "migrator", Some("nowhere")), None);
    }

    #[test]
    fn clients_of_both_protocols_find_what_they_read() {
        let wanted = ["shop".to_owned(), "eu-shop".to_owned()];
        let login = Login::find(&all(), &wanted, None, "ci", "migrator", true).unwrap();
        let found: Vec<String> = environment(&login, "ci", Some("hp_a/b"))
            .into_iter()
            .map(|Variable { name, value }| format!("{name}={value}"))
            .collect();
        assert_eq!(
            found,
            [
                "DATABASE_URL=postgres://ci:hp_a%2Fb@10.0.0.1:6433/shop",
                "DATABASE_URL_SHOP=postgres://ci:hp_a%2Fb@10.0.0.1:6433/shop",
                "PGHOST=10.0.0.1",
                "PGPORT=6433",
                "PGUSER=ci",
                "PGDATABASE=shop",
                "PGPASSWORD=hp_a/b",
                "DATABASE_URL_EU_SHOP=mysql://ci:hp_a%2Fb@10.0.0.1:6306/eu-shop",
                "MYSQL_HOST=10.0.0.1",
                "MYSQL_TCP_PORT=6306",
                "MYSQL_USER=ci",
                "USER=ci",
                "MYSQL_DATABASE=eu-shop",
                "MYSQL_PWD=hp_a/b",
            ]
        );
        let others = Login { own_token: false, ..login };
        let others = environment(&others, "ci", Some("hp_admin"));
        assert!(others.iter().all(|variable| !variable.value.contains("hp_admin")), "{others:?}");
    }
}
