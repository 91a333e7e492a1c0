//! One accepted connection: login, the checks of its listener and target, the session, and the audit's entries about
//! its start and end. Decides no statement.

use std::{net::SocketAddr, sync::Arc};

use hallpass_audit::event::{Event, Kind, Origin};
use hallpass_policy::{
    ids::{ListenerName, RoleName, SessionId, TargetName, UserName},
    statement::Names,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    gate::{Gate, Standing},
    login::{Doorway, LoggedIn, LoginEnd, login},
    postgres::Machine,
    recorder::Recorder,
    registry::{Running, SessionInfo},
    relay::{self, Relay},
    target::{Parameters, Target},
    throttle::Throttle,
    upstream::connect::UpstreamConnection,
};
use crate::{
    config,
    error::ClientError,
    net::tls::Security,
    shared::Shared,
    store::{LoginLookup, credentials::random},
    wire::postgres::{
        backend::TransactionStatus,
        encode,
        error::{Phase, error_response},
        settings::Setting,
    },
};

/// A listener with what its connections need.
#[derive(Debug)]
pub struct Port {
    /// As configured.
    pub config: config::Listener,
    /// Its certificates.
    pub security: Security,
    /// Who slows guessing down; shared by all listeners.
    pub throttle: Arc<Throttle>,
}

/// What every connection of one thread shares.
#[derive(Clone)]
pub struct House {
    /// The proxy's state.
    pub shared: Arc<Shared>,
    /// Who knows the users.
    pub lookup: Arc<dyn LoginLookup>,
    /// The thread's recorder.
    pub recorder: Arc<Recorder>,
}

impl std::fmt::Debug for House {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("House").finish_non_exhaustive()
    }
}

/// Serves one connection from its first byte to its last.
pub async fn serve(socket: TcpStream, peer: SocketAddr, port: &Port, house: &House) {
    let shared = &house.shared;
    let door = Doorway {
        security: &port.security,
        lookup: &*house.lookup,
        throttle: &port.throttle,
        clock: &shared.clock,
        timeout: shared.config.load().server.login_timeout,
    };
    match login(socket, peer.ip(), &door).await {
        Ok(logged_in) => admit(logged_in, peer, port, house).await,
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
        Err(LoginEnd::Gone(error)) => tracing::debug!(%peer, %error, "a client went away before it logged in"),
    }
}

/// A user has proved who they are: may they be here, and does the target stand?
async fn admit(mut logged_in: LoggedIn, peer: SocketAddr, port: &Port, house: &House) {
    let startup = &logged_in.login.startup;
    let mut origin = Origin {
        session: random::<6>().map(|bytes| SessionId::new(hex(&bytes))),
        user: Some(logged_in.login.principal.user.clone()),
        application: startup.setting("application_name").map(Arc::from),
        ..origin_of(&port.config, peer)
    };
    let welcome = match welcome(&logged_in, port, house, &mut origin).await {
        Ok(welcome) => welcome,
        Err(error) => {
            login_failed(house, origin, &error);
            farewell(&mut logged_in, &error).await;
            return;
        }
    };
    let origin = Arc::new(origin);
    let started = shared_event(house, Kind::SessionStart, &origin);
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
    upstream: Option<UpstreamConnection>,
}

async fn welcome(
    logged_in: &LoggedIn,
    port: &Port,
    house: &House,
    origin: &mut Origin,
) -> Result<Welcome, ClientError> {
    let shared = &house.shared;
    let startup = &logged_in.login.startup;
    let scope = port.config.scope.as_ref();
    let named = scope.and_then(|scope| scope.database.clone()).or_else(|| port.config.database.clone());
    let name = named.unwrap_or_else(|| startup.database.as_str().into());
    origin.target = Some(name.clone());
    if scope.is_some_and(|scope| scope.users.as_ref().is_some_and(|users| !users.contains(&logged_in.login.principal.user))) {
        return Err(ClientError::StartupRefused {
            message: format!("user `{}` may not use this port", logged_in.login.principal.user),
            hint: "connect to another listener of the proxy".into(),
            sqlstate: "28000",
        });
    }
    let target = shared
        .targets
        .get(&name)
        .filter(|target| target.config().protocol == config::Protocol::Postgres)
        .ok_or_else(|| ClientError::StartupRefused {
            message: format!("database \"{name}\" does not exist"),
            hint: "connect to a database that `[databases]` of the proxy's configuration names".into(),
            sqlstate: "3D000",
        })?;
    if shared.sessions.len() >= shared.config.load().server.max_connections {
        return Err(ClientError::TooManyConnections);
    }
    if !target.is_known() {
        target.refresh().await?;
    }
    let key: Vec<Setting> =
        startup.settings.iter().filter(|setting| setting.name != "application_name").cloned().collect();
    if let Some(parameters) = target.parameters(&key) {
        return Ok(Welcome { target, parameters, upstream: None });
    }
    // What the server says to these settings is not known yet: it is asked now, so that the client is told the truth.
    // Without the fence, so that what it says of read-only transactions is its own.
    let upstream = relay::connect(&target, &startup.settings, false).await?;
    let parameters: Parameters = upstream.parameters.clone().into();
    target.remember_parameters(key, Arc::clone(&parameters));
    Ok(Welcome { target, parameters, upstream: Some(upstream) })
}

async fn run(logged_in: LoggedIn, welcome: Welcome, origin: Arc<Origin>, port: &Port, house: &House) {
    let Welcome { target, parameters, upstream } = welcome;
    let LoggedIn { login, stream, leftover } = logged_in;
    let shared = &house.shared;
    // Without random bytes there is no session: its cancel key could be guessed.
    let (Some(secret), Some(process), Some(id)) = (random::<32>(), random::<4>(), origin.session.clone()) else { return };
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
    let signals = shared.sessions.enter(info, Arc::clone(&running), (process, Arc::clone(&secret)));

    let _attendance = target.attend();
    let mut told = parameters.to_vec();
    if let (Some(name), Some((_, value))) = (
        login.startup.setting("application_name"),
        told.iter_mut().find(|(parameter, _)| parameter == "application_name"),
    ) {
        // The server shows what is not printable ASCII as hexadecimal; it is asked when the session connects.
        name.clone_into(value);
    }
    let mut machine = Machine::new(told.clone());
    greet(machine.out_mut(), &told, process, &secret);

    let catalog = target.known();
    let search_path = login.startup.setting("search_path").unwrap_or(&catalog.catalog.default_search_path);
    let names = Names { search_path: Arc::from(search_path) };
    let roles: Option<Arc<[RoleName]>> =
        port.config.scope.as_ref().and_then(|scope| scope.roles.as_deref()).map(Arc::from);
    let gate = Gate::new(
        Standing {
            shared: Arc::clone(shared),
            recorder: Arc::clone(&house.recorder),
            target,
            principal: login.principal,
            scope: roles,
            origin: Arc::clone(&origin),
            running,
        },
        names,
    );
    let mut relay = Relay::new(stream, leftover, machine, gate, login.startup.settings, signals);
    if let Some(upstream) = upstream {
        relay.attach(upstream, false);
    }
    let goodbye = relay.run().await;
    shared.sessions.leave(&id);
    let mut ended = shared_event(house, Kind::SessionEnd, &origin);
    ended.reason = Some(Arc::from(goodbye.as_str()));
    house.recorder.later(ended);
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

fn origin_of(listener: &config::Listener, peer: SocketAddr) -> Origin {
    Origin {
        session: None,
        user: None,
        target: None,
        protocol: Some(Arc::from(listener.protocol.as_str())),
        listener: Some(ListenerName::clone(&listener.name)),
        client: Some(Arc::from(peer.to_string())),
        application: None,
    }
}

fn login_failed(house: &House, origin: Origin, error: &ClientError) {
    let mut event = shared_event(house, Kind::LoginFailed, &Arc::new(origin));
    event.reason = Some(Arc::from(error.to_string()));
    event.error_code = Some(Arc::from(error.sqlstate()));
    if let Err(error) = house.recorder.record(event) {
        tracing::error!(%error, "a failed login could not be recorded");
    }
}

fn shared_event(house: &House, kind: Kind, origin: &Arc<Origin>) -> Event {
    Event::new(kind, house.shared.clock.now(), Arc::clone(origin))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
