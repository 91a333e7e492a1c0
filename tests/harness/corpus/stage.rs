//! What a corpus needs of a protocol: a server with its schema, accounts, sessions that play cases, and a way to compare
//! what came back. The runner knows nothing else of Postgres or MySQL.

use std::fmt;

use super::case::{Case, Policy, Victim};
use crate::{config::Target, proxy::Proxy};

/// A server with the corpus' schema on it.
pub trait Stage {
    /// Where and as whom to connect.
    type Startup;

    /// The attacks, as far as they are meant for this server.
    fn attacks(&self) -> Vec<Case>;

    /// The controls, as far as they are meant for this server.
    fn controls(&self) -> Vec<Case>;

    /// Which server.
    fn title(&self) -> String;

    /// Loads the schema anew. No client may be connected.
    fn load(&self);

    /// The policy that the cases assume.
    fn policy(&self) -> Policy;

    /// A target of the proxy with the owner's account, or the superuser's.
    fn target(&self, name: &str, superuser: bool) -> Target;

    /// Direct login of the proxy's account: the owner, or the superuser.
    fn account(&self, superuser: bool) -> Self::Startup;

    /// How a user of the proxy connects to a target.
    fn through(&self, proxy: &Proxy, user: &str, target: &str) -> Self::Startup;

    /// Runs statements as superuser. Returns the first error.
    fn admin(&self, statements: &[String]) -> Option<String>;

    /// Somebody else's session; it ends when what is returned is dropped.
    fn victim(&self, victim: &Victim) -> Box<dyn fmt::Debug>;

    /// First row of a probe, columns joined by a bar.
    fn probe(&self, sql: &str) -> String;

    /// Differs after anything was written.
    fn state(&self) -> String;

    /// Plays a case; its connections stay open until the session is dropped. `control` is called for orders to the proxy.
    fn play(&self, startup: Self::Startup, case: &Case, control: &mut dyn FnMut(&str)) -> Box<dyn Session + '_>;

    /// Compares what came back, connection by connection. `reloaded`: the schema was loaded anew in between.
    fn compare(
        &self,
        direct: &[(String, Vec<u8>)],
        through: &[(String, Vec<u8>)],
        reloaded: bool,
    ) -> Option<Difference>;
}

/// A case that was played.
pub trait Session {
    /// Every byte of each connection, handshake included.
    fn received(&self) -> Vec<&[u8]>;

    /// The bytes after the login, connection by connection.
    fn streams(&self) -> Vec<(String, Vec<u8>)>;

    /// Whether a login was refused.
    fn refused(&self) -> bool;

    /// Codes of all errors that came.
    fn error_codes(&self) -> Vec<String>;

    /// Seconds from the first to the last step.
    fn elapsed(&self) -> f64;

    /// Whether some answer did not come in time.
    fn late(&self) -> bool;

    /// Its answers, for people.
    fn describe(&self) -> Vec<String>;
}

/// The first difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Another number of connections or messages.
    Length(String),
    /// Another meaning: columns, rows, tags, data, error codes.
    Meaning(String),
    /// The same meaning in other bytes: an error's words, a table OID.
    Bytes(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(text) => write!(f, "other messages: {text}"),
            Self::Meaning(text) => write!(f, "wrong: {text}"),
            Self::Bytes(text) => write!(f, "not byte for byte: {text}"),
        }
    }
}
