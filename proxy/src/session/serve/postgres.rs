//! One Postgres connection: login, what the server says to its settings, the session. Decides no statement.

use std::{net::SocketAddr, sync::Arc};

use hallpass_audit::event::{Kind, Origin};
use hallpass_policy::{
    decide::Fence,
    ids::{TargetName, UserName},
    statement::{Dialect, Names},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    House, Port, admitted, event,
    local::{APPLICATION, ELSEWHERE, Visitor},
    login_failed, new_id, origin_of, standing,
};
use crate::{
    error::ClientError,
    net::stream::Stream,
    session::{
        gate::Gate,
        login::{
            Doorway, LoginEnd,
            postgres::{LoggedIn, Login, login},
        },
        machine::Machine as _,
        postgres::Machine,
        registry::{CancelKey, Running, SessionInfo},
        relay::Relay,
        target::{Parameters, Target},
        upstream::postgres::Connection,
    },
    store::credentials::random,
    wire::postgres::{
        backend::TransactionStatus,
        encode,
        error::{Phase, error_response},
        settings::Setting,
        startup::Startup,
    },
};

/// No fence: what the server says of read-only transactions is its own.
const OPEN: Fence = Fence { read_only: false, upstream_role: None };

/// Serves one connection from its first byte to its last.
pub(super) async fn serve(socket: TcpStream, peer: SocketAddr, port: &Port, house: &House) {
    let shared = &house.shared;
    let door = Doorway {
        security: &port.security,
        lookup: &*house.lookup,
        throttle: &port.throttle,
        clock: &shared.clock,
        timeout: shared.config.load().server.login_timeout,
    };
    let place = house.lobby.enter(peer.ip());
    let entered = tokio::select! {
        // Boxed, so that nothing of a login's size stays with the session.
        entered = Box::pin(login(socket, peer.ip(), &door)) => entered,
        () = place.displaced() => Err(LoginEnd::Crowded),
    };
    drop(place);
    match entered {
        Ok(logged_in) => Box::pin(admit(logged_in, origin_of(&port.config, peer), port, house)).await,
        Err(LoginEnd::Cancel(key)) => shared.sessions.cancel(key.process, &key.secret),
        Err(LoginEnd::Refused { user, database, error }) => {
            let origin = Origin {
                user: user.map(UserName::new),
                target: database.map(TargetName::new),
                ..origin_of(&port.config, peer)
            };
            login_failed(house, origin, &error);
        }
        Err(LoginEnd::TimedOut) => tracing::info!(%peer, "a login took too long"),
        Err(LoginEnd::Crowded) => tracing::debug!(%peer, "a login gave way to others"),
        Err(LoginEnd::Gone(error)) => tracing::debug!(%peer, %error, "a client went away before it logged in"),
    }
}

/// Serves a visitor, who was authenticated elsewhere, over `stream`: the first message is AuthenticationOk.
pub(super) async fn receive(stream: Stream, visitor: Visitor, port: &Port, house: &House) {
    let Visitor { principal, expires, origin } = visitor;
    let setting = |name: &str, value: &str| Setting { name: name.to_owned(), value: value.to_owned() };
    let startup = Startup {
        minor: 0,
        negotiation: None,
        user: principal.user.to_string(),
        database: port.config.database.as_ref().map(ToString::to_string).unwrap_or_default(),
        settings: vec![setting("client_encoding", "UTF8"), setting("application_name", APPLICATION)],
    };
    let login = Login { principal, credential: ELSEWHERE, expires, startup };
    admit(LoggedIn { login, stream, leftover: Vec::new() }, origin, port, house).await;
}

/// A user has proved who they are: may they be here, and does the target stand?
async fn admit(mut logged_in: LoggedIn, origin: Origin, port: &Port, house: &House) {
    let startup = &logged_in.login.startup;
    let mut origin = Origin {
        session: origin.session.or_else(new_id),
        user: Some(logged_in.login.principal.user.clone()),
        application: startup.setting("application_name").map(Arc::from),
        ..origin
    };
    let welcome = match Box::pin(welcome(&logged_in, port, house, &mut origin)).await {
        Ok(welcome) => welcome,
        Err(error) => {
            login_failed(house, origin, &error);
            farewell(&mut logged_in, &error).await;
            return;
        }
    };
    let origin = Arc::new(origin);
    let started = event(house, Kind::SessionStart, &origin);
    if house.recorder.record(started).is_err() {
        farewell(&mut logged_in, &ClientError::AuditUnavailable).await;
        return;
    }
    run(logged_in, welcome, Arc::clone(&origin), port, house).await;
}

/// Tells a client that has proved who it is why it may not stay.
async fn farewell(logged_in: &mut LoggedIn, error: &ClientError) {
    let mut bytes = Vec::new();
    error_response(&mut bytes, error, Phase::Login);
    // Told or not, it is over.
    let _ = logged_in.stream.write_all(&bytes).await;
    let _ = logged_in.stream.shutdown().await;
}

/// What a session needs to begin.
struct Welcome {
    target: Arc<Target>,
    parameters: Parameters,
    /// The connection that told the parameters, if they were not known.
    upstream: Option<Connection>,
}

async fn welcome(
    logged_in: &LoggedIn,
    port: &Port,
    house: &House,
    origin: &mut Origin,
) -> Result<Welcome, ClientError> {
    let startup = &logged_in.login.startup;
    let target = admitted(&logged_in.login.principal, Some(&startup.database), port, house, origin)?;
    if target.is_known() {
        target.look_again().await;
    } else {
        target.refresh().await?;
    }
    let key: Vec<Setting> =
        startup.settings.iter().filter(|setting| setting.name != "application_name").cloned().collect();
    if let Some(parameters) = target.parameters(&key) {
        return Ok(Welcome { target, parameters, upstream: None });
    }
    // What the server says to these settings is not known yet: it is asked now, so that the client is told the truth.
    // Without the fence, so that what it says of read-only transactions is its own.
    let upstream = match Machine::connect(&target, &startup.settings, &OPEN).await {
        Ok(upstream) => upstream,
        // Whoever comes while the database is down may still ask for a grant, and is told the truth once it is back.
        Err(error @ ClientError::UpstreamUnavailable { .. }) => {
            let parameters = target.parameters_meanwhile(&key).ok_or(error)?;
            return Ok(Welcome { target, parameters, upstream: None });
        }
        Err(error) => return Err(error),
    };
    let parameters: Parameters = upstream.parameters.clone().into();
    target.remember_parameters(key, Arc::clone(&parameters));
    Ok(Welcome { target, parameters, upstream: Some(upstream) })
}

async fn run(logged_in: LoggedIn, welcome: Welcome, origin: Arc<Origin>, port: &Port, house: &House) {
    let Welcome { target, parameters, upstream } = welcome;
    let LoggedIn { login, stream, leftover } = logged_in;
    let shared = &house.shared;
    // Without random bytes there is no session: its cancel key could be guessed.
    let (Some(secret), Some(process), Some(id)) = (random::<32>(), random::<4>(), origin.session.clone()) else {
        return;
    };
    let secret: Arc<[u8]> = secret.get(..login.cancel_secret_length()).unwrap_or(&secret).into();
    let process = i32::from_be_bytes(process) & i32::MAX;
    let running = Arc::new(Running::default());
    let info = SessionInfo {
        id: id.clone(),
        origin: Arc::clone(&origin),
        started: shared.clock.now(),
        statement: None,
        grant: None,
    };
    let signals =
        shared.sessions.enter(info, Arc::clone(&running), CancelKey::Secret { process, secret: Arc::clone(&secret) });

    let _attendance = target.attend();
    let mut told = parameters.to_vec();
    if let (Some(name), Some((_, value))) = (
        login.startup.setting("application_name"),
        told.iter_mut().find(|(parameter, _)| parameter == "application_name"),
    ) {
        // The server shows what is not printable ASCII as hexadecimal; it is asked when the session connects.
        name.clone_into(value);
    }
    let mut machine = Machine::new(told.clone(), process);
    greet(machine.to_client(), &told, process, &secret);

    let catalog = target.known();
    let search_path = login.startup.setting("search_path").unwrap_or(&catalog.catalog.default_search_path);
    let dialect = Dialect::Postgres(Names { search_path: Arc::from(search_path) });
    let gate = Gate::new(standing(target, login.principal, &origin, running, port, house), dialect);
    let relay = Relay::new(stream, leftover, machine, gate, login.startup.settings, signals, Arc::clone(&house.desk));
    let mut relay = Box::new(relay);
    relay.expires(login.expires);
    if let Some(upstream) = upstream {
        relay.attach(upstream, OPEN);
    }
    super::run(relay, &origin, house).await;
}

/// What a client gets after its password: AuthenticationOk, the parameters, its cancel key, ReadyForQuery.
fn greet(out: &mut Vec<u8>, parameters: &[(String, String)], process: i32, secret: &[u8]) {
    encode::authentication_ok(out);
    for (name, value) in parameters {
        // They came in a message without NULs.
        let _ = encode::parameter_status(out, name, value);
    }
    let _ = encode::backend_key_data(out, process, secret);
    encode::ready_for_query(out, TransactionStatus::Idle);
}
