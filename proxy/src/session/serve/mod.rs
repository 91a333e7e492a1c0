//! One accepted connection, whatever it speaks: the checks of its listener and target, and the audit's entries about its
//! start and end. The protocols' modules put the session together. Decides no statement.

use std::{net::SocketAddr, sync::Arc};

use hallpass_audit::event::{Event, Kind, Origin};
use hallpass_policy::ids::{ListenerName, Principal, RoleName, SessionId, TargetName};
use tokio::net::TcpStream;

use super::{
    gate::Standing,
    inband::Desk,
    lobby::Lobby,
    login::mysql::Keyring,
    machine::Machine,
    port,
    recorder::Recorder,
    registry::Running,
    relay::{Ended, Relay},
    target::Target,
    throttle::Throttle,
};
use crate::{
    config::{self, Protocol},
    error::ClientError,
    net::tls::Security,
    shared::Shared,
    store::{LoginLookup, credentials::random},
};

pub mod local;
mod mysql;
mod postgres;

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
    /// Logins under way; one for the whole proxy.
    pub lobby: Arc<Lobby>,
    /// Who answers what is asked of the proxy itself; one for the whole proxy.
    pub desk: Arc<Desk>,
    /// What MySQL logins share; one for the whole proxy.
    pub keyring: Arc<Keyring>,
}

impl House {
    /// What the connections of one thread share, with a recorder of their own.
    pub fn new(desk: Arc<Desk>, keyring: Arc<Keyring>, lobby: Arc<Lobby>) -> Self {
        Self {
            shared: Arc::clone(&desk.shared),
            lookup: Arc::new(Arc::clone(&desk.ledger)),
            recorder: Recorder::new(desk.shared.journal.clone()),
            desk,
            lobby,
            keyring,
        }
    }
}

impl std::fmt::Debug for House {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("House").finish_non_exhaustive()
    }
}

/// Serves one connection from its first byte to its last.
pub async fn serve(socket: TcpStream, peer: SocketAddr, port: &Port, house: &House) {
    match port.config.protocol {
        // Each as large as it is, not as the larger of the two.
        Protocol::Postgres => Box::pin(postgres::serve(socket, peer, port, house)).await,
        Protocol::Mysql => Box::pin(mysql::serve(socket, peer, port, house)).await,
    }
}

/// The target that `principal` gets on this port: the port's own, or the one they `named`.
///
/// # Errors
/// When there is none, the port is not for them, or the proxy is full.
fn admitted(
    principal: &Principal,
    named: Option<&str>,
    port: &Port,
    house: &House,
    origin: &mut Origin,
) -> Result<Arc<Target>, ClientError> {
    let shared = &house.shared;
    let config = shared.config.load();
    // As configured now: a reload changes whom a port is for.
    let scope = port::listener(&config, Some(&port.config.name)).unwrap_or(&port.config).scope.as_ref();
    let fixed = scope.and_then(|scope| scope.database.clone()).or_else(|| port.config.database.clone());
    let name = fixed.unwrap_or_else(|| TargetName::new(named.unwrap_or_default()));
    origin.target = Some(name.clone());
    if scope.is_some_and(|scope| scope.users.as_ref().is_some_and(|users| !users.contains(&principal.user))) {
        return Err(ClientError::StartupRefused {
            message: format!("user `{}` may not use this port", principal.user),
            hint: "connect to another listener of the proxy".into(),
            sqlstate: "28000",
        });
    }
    // psql names the user where it was told no database.
    let other = |named: &&str| !named.is_empty() && *named != name.as_str() && *named != principal.user.as_str();
    if let Some(other) = named.filter(other)
        && scope.is_some_and(|scope| scope.database.is_some())
    {
        return Err(ClientError::StartupRefused {
            message: format!("this port leads to database \"{name}\" only, not to \"{other}\""),
            hint: format!("connect to \"{name}\", or to another listener of the proxy"),
            sqlstate: "3D000",
        });
    }
    let target =
        shared.targets.get(&name).filter(|target| target.config().protocol == port.config.protocol).ok_or_else(
            || ClientError::StartupRefused {
                message: format!("database \"{name}\" does not exist"),
                hint: "connect to a database that `[databases]` of the proxy's configuration names".into(),
                sqlstate: "3D000",
            },
        )?;
    if shared.sessions.len() >= shared.config.load().server.max_connections {
        return Err(ClientError::TooManyConnections);
    }
    Ok(target)
}

/// What the session's gate is made of.
fn standing(
    target: Arc<Target>,
    principal: Principal,
    origin: &Arc<Origin>,
    running: Arc<Running>,
    port: &Port,
    house: &House,
) -> Standing {
    let scope: Option<Arc<[RoleName]>> =
        port.config.scope.as_ref().and_then(|scope| scope.roles.as_deref()).map(Arc::from);
    Standing {
        shared: Arc::clone(&house.shared),
        recorder: Arc::clone(&house.recorder),
        target,
        principal,
        scope,
        origin: Arc::clone(origin),
        running,
    }
}

/// Runs a session that is entered in the registry to its end, and records that.
async fn run<M: Machine>(relay: Box<Relay<M>>, origin: &Arc<Origin>, house: &House) -> Ended {
    let ended = relay.run().await;
    if let Some(id) = &origin.session {
        house.shared.sessions.leave(id);
    }
    let mut event = event(house, Kind::SessionEnd, origin);
    event.reason = Some(Arc::from(ended.goodbye.as_str()));
    house.recorder.later(event);
    ended
}

/// A new session's name; `None` where the system gives no random bytes.
fn new_id() -> Option<SessionId> {
    random::<6>().map(|bytes| SessionId::new(hex(&bytes)))
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
    let mut event = event(house, Kind::LoginFailed, &Arc::new(origin));
    event.reason = Some(Arc::from(error.to_string()));
    event.error_code = Some(Arc::from(error.sqlstate()));
    if let Err(error) = house.recorder.record(event) {
        tracing::error!(%error, "a failed login could not be recorded");
    }
}

fn event(house: &House, kind: Kind, origin: &Arc<Origin>) -> Event {
    Event::new(kind, house.shared.clock.now(), Arc::clone(origin))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
