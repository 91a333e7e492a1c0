//! One MySQL connection: greeting in the words of the server behind the port, login, the session, and the next one when
//! the client logs in anew. Decides no statement.

use std::{net::SocketAddr, sync::Arc};

use hallpass_audit::event::{Kind, Origin};
use hallpass_policy::{
    ids::{TargetName, Timestamp, UserName},
    statement::{Dialect, mysql::MysqlNames},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::mpsc, time::timeout};

use super::{
    House, Port, admitted, event,
    local::{APPLICATION, ELSEWHERE, Visitor},
    login_failed, new_id, origin_of, standing,
};
use crate::{
    config::{NativePasswords, Protocol},
    error::ClientError,
    net::stream::Stream,
    session::{
        gate::Gate,
        goodbye::Goodbye,
        login::{
            Doorway, LoginEnd,
            mysql::{Desk, LoggedIn, Login, Startup, Welcome, login, offer, relogin, turn_away},
        },
        mysql::{Login as Settings, Machine},
        registry::{CancelKey, Running, SessionInfo, Signal},
        relay::{Ended, Relay},
        target::{Greeting, Target},
    },
    wire::mysql::{
        auth::{Native, UsingPassword},
        backend::Status,
        capability::{Capabilities, Compression, Listener, agreed, announced},
        codec::{Order, Sequence},
        encode,
        error::{Denied, err_packet},
    },
};

/// What a visitor understands. Without MULTI_STATEMENTS a text is one statement.
const VISITOR: Capabilities = Capabilities(
    Capabilities::CLIENT_MYSQL.0
        | Capabilities::LONG_FLAG.0
        | Capabilities::PROTOCOL_41.0
        | Capabilities::TRANSACTIONS.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::CONNECT_ATTRS.0
        | Capabilities::MULTI_RESULTS.0
        | Capabilities::DEPRECATE_EOF.0,
);

/// A collation of utf8mb4 that all servers know.
const UTF8MB4_GENERAL_CI: u16 = 45;

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
    let greeting = match timeout(door.timeout, Box::pin(greeting(port, house))).await {
        Ok(Ok(greeting)) => greeting,
        Ok(Err(error)) => {
            tracing::warn!(%peer, listener = %port.config.name, %error, "a client could not be greeted");
            return turn_away(socket, &error).await;
        }
        Err(_) => return tracing::info!(%peer, "a greeting took too long"),
    };
    let listener = Listener { tls: offer(&port.security), compression: Compression::Offered };
    let welcome = Welcome {
        connection: shared.sessions.next_connection(),
        version: Arc::from(greeting.version.as_str()),
        capabilities: announced(greeting.capabilities, listener),
        collation: greeting.collation,
    };
    let mut entered = tokio::select! {
        // Boxed, so that nothing of a login's size stays with the session.
        entered = Box::pin(login(socket, peer.ip(), &welcome, &door, desk(house))) => entered,
        () = place.displaced() => Err(LoginEnd::Crowded),
    };
    drop(place);
    loop {
        let logged_in = match entered {
            Ok(logged_in) => logged_in,
            Err(end) => return refused(end, peer, port, house),
        };
        let startup = logged_in.login.startup.clone();
        match Box::pin(admit(logged_in, welcome.connection, origin_of(&port.config, peer), port, house)).await {
            Some(Ended { goodbye: Goodbye::Relogin, client, leftover }) => {
                entered = Box::pin(relogin(client, leftover, peer.ip(), &startup, &door, desk(house))).await;
            }
            Some(_) | None => return,
        }
    }
}

/// Under the configuration in force.
fn desk(house: &House) -> Desk<'_> {
    let native = match house.shared.config.load().server.native_passwords {
        NativePasswords::Sealed => Native::Accepted,
        NativePasswords::LeftOut => Native::TokensOnly,
    };
    Desk { keyring: &house.keyring, native }
}

/// How the server behind the port greets, asked for when nobody has talked to it yet.
async fn greeting(port: &Port, house: &House) -> Result<Arc<Greeting>, ClientError> {
    let config = &port.config;
    let name = config.scope.as_ref().and_then(|scope| scope.database.as_ref()).or(config.database.as_ref());
    let target = name.and_then(|name| house.shared.targets.get(name));
    let target = target.filter(|target| target.config().protocol == Protocol::Mysql).ok_or_else(|| {
        ClientError::StartupRefused {
            message: "the target of this port does not exist".into(),
            hint: "tell an administrator; `hallpass check` says more".into(),
            sqlstate: "3D000",
        }
    })?;
    if let Some(greeting) = target.greeting() {
        return Ok(greeting);
    }
    target.refresh().await?;
    target.greeting().ok_or_else(|| ClientError::UpstreamUnavailable {
        target: target.name().to_string(),
        reason: "its server was not asked yet".into(),
    })
}

fn refused(end: LoginEnd, peer: SocketAddr, port: &Port, house: &House) {
    match end {
        LoginEnd::Refused { user, database, error } => {
            let fixed = port.config.database.clone().or_else(|| port.config.scope.as_ref()?.database.clone());
            let origin = Origin {
                user: user.map(UserName::new),
                target: fixed.or_else(|| database.map(TargetName::new)),
                ..origin_of(&port.config, peer)
            };
            login_failed(house, origin, &error);
        }
        LoginEnd::TimedOut => tracing::info!(%peer, "a login took too long"),
        LoginEnd::Crowded => tracing::debug!(%peer, "a login gave way to others"),
        LoginEnd::Gone(error) => tracing::debug!(%peer, %error, "a client went away before it logged in"),
        // Postgres alone has such connections.
        LoginEnd::Cancel(_) => tracing::debug!(%peer, "a cancel request on a MySQL port"),
    }
}

/// What holds on a visitor's connection: the newest form of answers that the server behind the port has.
///
/// # Errors
/// When the server cannot be asked how it greets.
pub(super) async fn capabilities(port: &Port, house: &House) -> Result<Capabilities, ClientError> {
    let timely = timeout(house.shared.config.load().server.login_timeout, greeting(port, house)).await;
    let greeting = timely.map_err(|_| ClientError::UpstreamUnavailable {
        target: port.config.database.as_ref().map(ToString::to_string).unwrap_or_default(),
        reason: "its server did not greet in time".into(),
    })??;
    let listener = Listener { tls: offer(&port.security), compression: Compression::Off };
    Ok(agreed(announced(greeting.capabilities, listener), VISITOR))
}

/// Serves a visitor, who was authenticated elsewhere, over `stream`: the first packet is the login's OK.
pub(super) async fn receive(stream: Stream, capabilities: Capabilities, visitor: Visitor, port: &Port, house: &House) {
    let Visitor { principal, expires, origin } = visitor;
    let startup = Startup {
        capabilities,
        collation: UTF8MB4_GENERAL_CI,
        database: None,
        attributes: vec![("program_name".to_owned(), APPLICATION.to_owned())],
        zstd_level: 0,
    };
    let login = Login { principal, credential: ELSEWHERE, expires, startup };
    let sequence = Sequence::start(Order::Checked);
    let logged_in = LoggedIn { login, stream, leftover: Vec::new(), sequence };
    // It has no reason to log in anew: its connection ends with its session.
    admit(logged_in, house.shared.sessions.next_connection(), origin, port, house).await;
}

/// A user has proved who they are: may they be here, and does the target stand? Then the session, to its end; `None`
/// when there was none.
async fn admit(mut logged_in: LoggedIn, connection: u32, origin: Origin, port: &Port, house: &House) -> Option<Ended> {
    let mut origin = Origin {
        session: origin.session.or_else(new_id),
        user: Some(logged_in.login.principal.user.clone()),
        application: logged_in.login.startup.application().map(Arc::from),
        ..origin
    };
    let (target, database) = match Box::pin(welcome(&logged_in.login, port, house, &mut origin)).await {
        Ok(welcome) => welcome,
        Err(error) => {
            login_failed(house, origin, &error);
            farewell(&mut logged_in, &error).await;
            return None;
        }
    };
    let origin = Arc::new(origin);
    let started = event(house, Kind::SessionStart, &origin);
    if house.recorder.record(started).is_err() {
        farewell(&mut logged_in, &ClientError::AuditUnavailable).await;
        return None;
    }
    run(logged_in, (target, database), connection, origin, port, house).await
}

/// Tells a client that has proved who it is why it may not stay.
async fn farewell(logged_in: &mut LoggedIn, error: &ClientError) {
    let mut bytes = Vec::new();
    err_packet(&mut bytes, &mut logged_in.sequence, error, Denied::Other, UsingPassword::Yes);
    // Told or not, it is over.
    let _ = logged_in.stream.write_all(&bytes).await;
    let _ = logged_in.stream.shutdown().await;
}

/// The port's target, and the schema to start in.
async fn welcome(
    login: &Login,
    port: &Port,
    house: &House,
    origin: &mut Origin,
) -> Result<(Arc<Target>, Arc<str>), ClientError> {
    let target = admitted(&login.principal, None, port, house, origin)?;
    if target.is_known() {
        target.look_again().await;
    } else {
        target.refresh().await?;
    }
    let own: Arc<str> = target.config().database.as_str().into();
    let Some(named) = login.startup.database.as_deref().filter(|named| !named.is_empty()) else {
        return Ok((target, own));
    };
    let exists = || target.known().catalog.schemas.iter().any(|schema| **schema == *named);
    // It may have come into being since names were last looked at.
    if !exists() && *named != *target.name().as_str() && target.may_be_stale() {
        target.refresh().await?;
    }
    if exists() {
        Ok((target, named.into()))
    } else if *named == *target.name().as_str() {
        Ok((target, own))
    } else {
        Err(ClientError::StartupRefused {
            message: format!("Unknown database '{named}'"),
            hint: format!("this port leads to the target `{}`: connect to one of its schemas", target.name()),
            sqlstate: "3D000",
        })
    }
}

async fn run(
    logged_in: LoggedIn,
    (target, database): (Arc<Target>, Arc<str>),
    connection: u32,
    origin: Arc<Origin>,
    port: &Port,
    house: &House,
) -> Option<Ended> {
    let shared = &house.shared;
    // Without random bytes there is no session: it has no name.
    let id = origin.session.clone()?;
    let LoggedIn { login, stream, leftover, mut sequence } = logged_in;
    let Login { principal, expires, startup, .. } = login;
    let names = match &target.known().dialect {
        Dialect::Mysql(names) => MysqlNames { database: Some(Arc::clone(&database)), ..names.clone() },
        // What is known was not fetched from a server of this protocol.
        Dialect::Postgres(_) => return None,
    };
    let running = Arc::new(Running::default());
    let info =
        SessionInfo { id, origin: Arc::clone(&origin), started: shared.clock.now(), statement: None, grant: None };
    let signals = shared.sessions.enter(info, Arc::clone(&running), CancelKey::Connection(connection));
    let _attendance = target.attend();

    let mut ok = Vec::new();
    let status = Status::AUTOCOMMIT;
    encode::ok(&mut ok, &mut sequence, encode::Ok { status, ..encode::Ok::default() }, startup.capabilities);
    let (stream, leftover) = confirm(stream, leftover, &ok, &startup).await;

    let gate = Gate::new(standing(target, principal, &origin, running, port, house), Dialect::Mysql(names));
    let begun = Begun { stream, leftover, gate, signals, startup, database, expires, connection };
    Some(converse(begun, &origin, house).await)
}

/// Sends the final `ok`; compression begins behind it, where it was agreed on and has not begun.
async fn confirm(mut stream: Stream, leftover: Vec<u8>, ok: &[u8], startup: &Startup) -> (Stream, Vec<u8>) {
    // A client that is gone is noticed by whoever reads next.
    let _ = stream.write_all(ok).await;
    let _ = stream.flush().await;
    match startup.capabilities.compression(startup.zstd_level) {
        Some(algorithm) if !stream.is_compressed() => (stream.compressed(leftover, algorithm), Vec::new()),
        Some(_) | None => (stream, leftover),
    }
}

/// A session that is entered in the registry, and whose client has its OK.
struct Begun {
    stream: Stream,
    leftover: Vec<u8>,
    gate: Gate,
    signals: mpsc::Receiver<Signal>,
    startup: Startup,
    /// The schema it starts in: what the client named, or the target's own.
    database: Arc<str>,
    expires: Option<Timestamp>,
    connection: u32,
}

/// The session, from its OK to its end.
async fn converse(begun: Begun, origin: &Arc<Origin>, house: &House) -> Ended {
    let Begun { stream, leftover, gate, signals, startup, database, expires, connection } = begun;
    let settings = Arc::new(Settings {
        capabilities: startup.capabilities,
        collation: startup.collation,
        database: Some(database),
        attributes: startup.attributes,
        connection,
        order: if stream.is_compressed() { Order::Loose } else { Order::Checked },
    });
    let relay = Relay::new(
        stream,
        leftover,
        Machine::new(Arc::clone(&settings)),
        gate,
        settings,
        signals,
        Arc::clone(&house.desk),
    );
    let mut relay = Box::new(relay);
    relay.expires(expires);
    super::run(relay, origin, house).await
}
