//! A client's way from accepted socket to authenticated user; each protocol has its own module. Which targets and
//! listeners the user may use is asked afterwards, by who called.

use std::{io, time::Duration};

use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::throttle::Throttle;
use crate::{
    clock::Clock,
    error::ClientError,
    net::{
        certificate,
        stream::Stream,
        tls::{ClientCertificates, Security},
    },
    store::{LoginLookup, credentials::Credentials},
    wire::postgres::startup::CancelKey,
};

pub mod mysql;
pub mod postgres;

/// How long a refused client may take to read why.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a login is done with.
pub struct Doorway<'a> {
    /// The listener's TLS.
    pub security: &'a Security,
    /// Who knows the users.
    pub lookup: &'a dyn LoginLookup,
    /// Who slows guessing down.
    pub throttle: &'a Throttle,
    /// For expiries.
    pub clock: &'a Clock,
    /// How long all of it may take.
    pub timeout: Duration,
}

impl std::fmt::Debug for Doorway<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorway")
            .field("security", &self.security)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A connection that ended before anybody was logged in. Whatever there was to tell the client was told.
#[derive(Debug, Error)]
pub enum LoginEnd {
    /// It was a CancelRequest: pass it on.
    #[error("a cancel request")]
    Cancel(CancelKey),
    /// The client was refused.
    #[error("login refused: {error}")]
    Refused {
        /// As claimed, once the startup packet was read.
        user: Option<String>,
        /// As named there.
        database: Option<String>,
        /// What the client was told.
        error: ClientError,
    },
    /// The client went away, or its TLS handshake failed.
    #[error("the client went away: {0}")]
    Gone(#[from] io::Error),
    /// Too many were under way, most of them from there.
    #[error("too many logins are under way")]
    Crowded,
    /// It took too long.
    #[error("the login took too long")]
    TimedOut,
}

pub(super) fn unavailable(what: &str) -> ClientError {
    ClientError::StartupRefused {
        message: format!("nobody can log in now: {what}"),
        hint: "tell an administrator; the proxy's log says more".into(),
        sqlstate: "58030",
    }
}

pub(super) async fn credentials(user: &str, door: &Doorway<'_>) -> Result<Credentials, ClientError> {
    door.lookup.login_lookup(user).await.map_err(|error| {
        tracing::error!(%error, "the users cannot be read");
        unavailable("the proxy's users cannot be read")
    })
}

/// A connection and the bytes read from it that nobody has looked at.
struct Talk {
    stream: Stream,
    input: Vec<u8>,
}

impl Talk {
    /// Reads more.
    async fn fill(&mut self) -> io::Result<()> {
        self.input.reserve(1024);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Sends `last` words. Heard or not, it is over then.
    async fn goodbye(self, last: &[u8]) {
        let _ = timeout(GOODBYE, self.part(last)).await;
    }

    /// Sends `last` and closes so that it arrives: a socket closed with unread bytes would be reset, and the reset may
    /// overtake the message.
    async fn part(mut self, last: &[u8]) -> io::Result<()> {
        self.send(last).await?;
        self.stream.shutdown().await?;
        let mut scrap = [0; 1024];
        for _ in 0..64 {
            if self.stream.read(&mut scrap).await? == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Whose certificate the client showed.
enum Holder {
    /// It was not asked for one.
    Anybody,
    /// This common name; `None`: it has none that could be a user's.
    Named(Option<String>),
}

impl Holder {
    fn allows(&self, user: &str) -> bool {
        match self {
            Self::Anybody => true,
            Self::Named(name) => name.as_deref() == Some(user),
        }
    }
}

/// Whose certificate the client showed, where it must show one; `how` it does so is told to those who did not.
fn certificate_holder(stream: &Stream, security: &Security, how: &str) -> Result<Holder, ClientError> {
    match security.keys().map(|keys| keys.clients()) {
        None | Some(ClientCertificates::NotAsked) => return Ok(Holder::Anybody),
        Some(ClientCertificates::Required) => {}
    }
    let chain = stream.client_tls().and_then(|tls| tls.get_ref().1.peer_certificates());
    let leaf = chain.and_then(|chain| chain.first()).ok_or_else(|| ClientError::StartupRefused {
        message: "connection requires a valid client certificate".into(),
        hint: how.into(),
        sqlstate: "28000",
    })?;
    Ok(Holder::Named(certificate::common_name(leaf)))
}
