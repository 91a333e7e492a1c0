//! What hallpass remembers: users, requests, grants. SQLite now; a trait's worth of distance from everything else, so
//! that a shared database can serve several proxies later.

use std::{future::Future, pin::Pin};

use thiserror::Error;

pub mod credentials;
pub mod watch;

/// Why the store did not answer. Never an answer itself: whoever gets it refuses.
#[derive(Debug, Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("grants.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file is from another version.
    #[error("grants.db has schema version {found}, this hallpass knows {known}")]
    Version {
        /// What the file says.
        found: i64,
        /// What we write.
        known: i64,
    },
    /// A value in the file that no version wrote.
    #[error("grants.db holds a value that hallpass did not write: {0}")]
    Corrupt(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The thread that asked the store died.
    #[error("the store's thread ended early")]
    Interrupted,
}

/// What a login asks the store. The answer for an unknown user is [`credentials::Credentials::unknown`]: it looks the
/// same to a client and takes the same way through the code.
pub trait LoginLookup: Send + Sync {
    /// The credentials of `user`, read off the event loop.
    ///
    /// # Errors
    /// When the store cannot be read; the login is then refused.
    fn login_lookup<'a>(&'a self, user: &'a str) -> LookupFuture<'a>;
}

/// The future of [`LoginLookup::login_lookup`].
pub type LookupFuture<'a> = Pin<Box<dyn Future<Output = Result<credentials::Credentials, StoreError>> + Send + 'a>>;
