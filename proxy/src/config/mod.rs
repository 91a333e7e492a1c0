//! `proxy.toml`, checked: what the rest of the proxy reads. From text to these types is the affair of `load` (the file),
//! `reader` (tables with places) and `sections` (one file a section); `reload` replaces a configuration in force.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use hallpass_audit::journal::Durability;
use hallpass_policy::{
    approval::Rule,
    decide::Policy,
    ids::{ListenerName, RoleName, TargetName, UserName},
};

pub mod diagnostic;
pub mod listed;
pub mod load;
mod reader;
pub mod reload;
pub(crate) mod sections;
#[cfg(test)]
mod tests;
pub mod units;
mod webhook;

pub use webhook::{Format, NoUrl, Scheme, Topic, Webhook, WebhookUrl};

/// A whole configuration. Immutable; a reload makes a new one.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it was read from.
    pub path: PathBuf,
    /// `[server]`.
    pub server: Server,
    /// `[audit]`.
    pub audit: Audit,
    /// `[api] address`, if the API listens on TCP, too.
    pub api_address: Option<SocketAddr>,
    /// `[admins]`: who may do everything through the API, besides the OS user who runs the proxy.
    pub admins: Vec<hallpass_policy::role::Party>,
    /// `[auditors]`: who may read everything through the API, the audit included, and change nothing by that.
    pub auditors: Vec<hallpass_policy::role::Party>,
    /// `[[listeners]]`.
    pub listeners: Vec<Listener>,
    /// `[databases.NAME]`.
    pub databases: BTreeMap<TargetName, Target>,
    /// `[baseline]`, `[roles.NAME]`, `[[masks]]`, `[[review]]`, `[statements]`.
    pub policy: Policy,
    /// `[[approvals]]`, first match wins.
    pub approvals: Vec<Rule>,
    /// `[statements] max_duration`: the longest that a statement grant may last.
    pub statement_max_duration: Duration,
    /// `[[notify]]`.
    pub notify: Vec<Webhook>,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// grants.db, audit.db, journal, api.sock.
    pub data_dir: PathBuf,
    /// How long before its end a session hears of its grant's end.
    pub remind_before: Vec<Duration>,
    /// Most client sessions at once.
    pub max_connections: usize,
    /// Worker threads; each runs its own event loop.
    pub threads: usize,
    /// How long a client may take to log in.
    pub login_timeout: Duration,
    /// After what time a pending request lapses.
    pub request_timeout: Duration,
    /// Whether passwords can be used with MySQL's old plugin.
    pub native_passwords: NativePasswords,
}

/// `[server] mysql_native_password`: what becomes of a password's `SHA1(SHA1(…))`, which that plugin needs and which is
/// guessed faster than the rest of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativePasswords {
    /// It is kept, sealed under a key beside `grants.db`.
    Sealed,
    /// It is not kept: with a password, clients must speak caching_sha2_password.
    LeftOut,
}

/// `[audit]`.
#[derive(Clone, Debug)]
pub struct Audit {
    /// When an entry counts as safe.
    pub durability: Durability,
    /// Whether parameters' values are recorded.
    pub parameters: Parameters,
    /// How long events are kept.
    pub retention: Option<Duration>,
}

/// `[audit] parameters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// Values are recorded.
    Record,
    /// Only their number is.
    Redact,
}

/// A wire protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL, version 3.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

impl Protocol {
    /// As in `proxy.toml` and the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }
}

/// `[[listeners]]`.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name.
    pub name: ListenerName,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
    /// TLS towards the client.
    pub tls: ListenerTls,
    /// The target of this port, whatever name the client gives.
    pub database: Option<TargetName>,
    /// What this port is for, and nothing else.
    pub scope: Option<Scope>,
}

/// TLS towards the client.
#[derive(Clone, Debug)]
pub enum ListenerTls {
    /// Never.
    Off,
    /// When the client asks.
    Prefer(ServerIdentity),
    /// Always; a client that does not ask is refused.
    Require(ServerIdentity),
}

/// The proxy's own certificate, and whose client certificates it trusts.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
    /// PEM chain, leaf first.
    pub certificate: PathBuf,
    /// PEM key.
    pub key: PathBuf,
    /// PEM roots for client certificates; set, a client must present one whose CN is the user's name.
    pub client_ca: Option<PathBuf>,
}

/// A scoped port: this target, these roles, these users, these statements.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The only target.
    pub database: Option<TargetName>,
    /// The only roles; `None`: all.
    pub roles: Option<Vec<RoleName>>,
    /// The only users; `None`: all.
    pub users: Option<Vec<UserName>>,
    /// The only statements, besides those that need nothing; `None`: all.
    pub statements: Option<Arc<listed::Listed>>,
}

/// `[databases.NAME]`.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: TargetName,
    /// What it speaks.
    pub protocol: Protocol,
    /// Host name or address; a path that starts with `/` is a Unix socket's folder.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The database's own name.
    pub database: String,
    /// The login of the proxy.
    pub user: String,
    /// Its password; `None` for trust and peer.
    pub password: Option<Secret>,
    /// TLS towards the target.
    pub tls: UpstreamTls,
    /// `labels`, for approval rules.
    pub labels: BTreeMap<String, String>,
    /// How long a connect may take.
    pub connect_timeout: Duration,
}

/// A secret that no log line and no Debug shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself; the caller passes it to a login and to nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// TLS towards a target.
#[derive(Clone, Debug)]
pub enum UpstreamTls {
    /// Plain text.
    Disable,
    /// TLS with whatever certificate comes.
    Require,
    /// TLS with a certificate that chains to the CA (or the system's roots) and names the host.
    VerifyFull {
        /// PEM roots; `None`: the bundled public roots.
        ca: Option<PathBuf>,
    },
}
