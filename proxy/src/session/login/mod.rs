//! A client's way from accepted socket to authenticated user; each protocol has its own module. Which targets and
//! listeners the user may use is asked afterwards, by who called.

use std::{io, time::Duration};

use thiserror::Error;

use super::throttle::Throttle;
use crate::{
    clock::Clock,
    error::ClientError,
    net::tls::Security,
    store::{LoginLookup, credentials::Credentials},
    wire::postgres::startup::CancelKey,
};

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
