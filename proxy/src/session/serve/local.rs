//! Sessions inside the process, for those who were authenticated elsewhere: the API's callers. Such a session is put
//! together as a socket's is and speaks its target's protocol over a pipe: the same gate, masks and audit. Decides
//! nothing, and knows no HTTP.

use std::{net::SocketAddr, sync::Arc};

use hallpass_audit::event::Origin;
use hallpass_policy::ids::{ListenerName, Principal, SessionId, TargetName, Timestamp};
use tokio::io::{DuplexStream, duplex};

use super::{House, Port, mysql, new_id, postgres};
use crate::{
    config::{Listener, ListenerTls, Protocol},
    error::ClientError,
    net::{stream::Stream, tls::Security},
    wire::mysql::capability::Capabilities,
};

/// What the audit and the server call the program of such a session.
pub(super) const APPLICATION: &str = "hallpass api";

/// In place of a key's number, which no key has: not the session checked who this is.
pub(super) const ELSEWHERE: i64 = 0;

/// What the audit calls where such a session came from.
const PORT: &str = "api";

/// Bytes on their way in each direction.
const PIPE: usize = 64 << 10;

/// Somebody who was authenticated.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Who.
    pub principal: Principal,
    /// When the account ends, and with it the session.
    pub expires: Option<Timestamp>,
    /// From where: protocol and client, for the audit.
    pub origin: Origin,
}

/// The visitor's end of a session.
#[derive(Debug)]
pub struct Visit {
    /// The session's name.
    pub session: SessionId,
    /// Where it is spoken; closed, the session ends and what runs is cancelled.
    pub pipe: DuplexStream,
    /// What is spoken.
    pub speaks: Speaks,
}

/// What a session speaks, from the end of its login on.
#[derive(Clone, Copy, Debug)]
pub enum Speaks {
    /// Protocol 3.0, text in UTF-8.
    Postgres,
    /// With what holds on the connection, text in utf8mb4.
    Mysql(Capabilities),
}

/// Opens a session on `target`. Whether the visitor may have it, the session itself says, as its first message.
///
/// # Errors
/// When there is no such target, its server cannot be asked how it greets, or no name can be had for the session.
pub async fn open(target: &TargetName, visitor: Visitor, house: &House) -> Result<Visit, ClientError> {
    let found = house.shared.targets.get(target).ok_or_else(|| ClientError::StartupRefused {
        message: format!("database \"{target}\" does not exist"),
        hint: "name one that `[databases]` of the proxy's configuration names".into(),
        sqlstate: "3D000",
    })?;
    let session = new_id().ok_or_else(|| ClientError::StartupRefused {
        message: "the system gives no random bytes".into(),
        hint: "tell an administrator".into(),
        sqlstate: "58030",
    })?;
    let visitor = Visitor { origin: Origin { session: Some(session.clone()), ..visitor.origin }, ..visitor };
    let port = port(target, found.config().protocol, house);
    let visitor = Visitor { origin: Origin { listener: Some(port.config.name.clone()), ..visitor.origin }, ..visitor };
    let (pipe, theirs) = duplex(PIPE);
    let (stream, house) = (Stream::Local(theirs), house.clone());
    let speaks = match port.config.protocol {
        Protocol::Postgres => {
            tokio::spawn(async move { postgres::receive(stream, visitor, &port, &house).await });
            Speaks::Postgres
        }
        Protocol::Mysql => {
            let capabilities = mysql::capabilities(&port, &house).await?;
            tokio::spawn(async move { mysql::receive(stream, capabilities, visitor, &port, &house).await });
            Speaks::Mysql(capabilities)
        }
    };
    Ok(Visit { session, pipe, speaks })
}

/// A port that leads to `target` alone and that nobody can reach but through here.
fn port(target: &TargetName, protocol: Protocol, house: &House) -> Port {
    Port {
        config: Listener {
            name: ListenerName::new(PORT),
            protocol,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: ListenerTls::Off,
            database: Some(target.clone()),
            scope: None,
        },
        security: Security::Off,
        throttle: Arc::clone(&house.shared.throttle),
    }
}
