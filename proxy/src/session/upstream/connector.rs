//! Reaches a target's server: socket, TLS, and what may go wrong on the way. Says nothing on the connection: the
//! protocols' modules do.

use std::{io, os::unix::fs::FileTypeExt, sync::Arc, time::Duration};

use rustls::CertificateError;
use thiserror::Error;
use tokio::{
    net::{TcpStream, UnixStream},
    time::{sleep, timeout},
};

use super::killer::Killer;
use crate::{
    config::{Target, UpstreamTls},
    error::ClientError,
    net::{
        stream::{Stream, tune},
        tls::{ClientTls, TlsError},
    },
    wire::{
        mysql::{self, reader::ReadError},
        postgres::{codec::FrameError, upstream_login::LoginFailure},
    },
};

/// How often a cancel request is tried: over the last tries, about half a minute.
const CANCEL_TRIES: u32 = 32;

/// Cancels by `ask`, again while that fails: a server that takes no connection now may take one in a moment, and until
/// then something runs that nothing authorises any more.
///
/// # Errors
/// The last failure, when no try succeeded.
pub(super) async fn insisted<F>(mut ask: impl FnMut() -> F) -> Result<(), UpstreamError>
where
    F: Future<Output = Result<(), UpstreamError>>,
{
    let mut pause = Duration::from_millis(20);
    for _ in 1..CANCEL_TRIES {
        match ask().await {
            Ok(()) => return Ok(()),
            Err(error) => tracing::debug!(%error, "a cancel request failed; it is tried again"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    ask().await
}

/// Why there is no connection. The text is for our log; a client gets [`UpstreamError::reason`].
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// Nobody listens, or the network says no.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// It took longer than `connect_timeout`.
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    /// TLS is configured and the upstream does not speak it.
    #[error("the upstream does not take TLS connections")]
    NoTls,
    /// TLS is configured for a Unix socket.
    #[error("a Unix socket has no TLS; set `tls = {{ mode = \"disable\" }}`")]
    TlsOnUnix,
    /// The TLS handshake failed.
    #[error("TLS handshake: {0}")]
    Handshake(#[source] io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The upstream closed the connection.
    #[error("the upstream closed the connection")]
    Closed,
    /// Bytes that are no messages of PostgreSQL's.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Bytes that are no packets of MySQL's.
    #[error(transparent)]
    Packet(#[from] mysql::codec::FrameError),
    /// An answer that is none.
    #[error(transparent)]
    Answer(#[from] ReadError),
    /// The login to a PostgreSQL server failed.
    #[error("login: {0}")]
    Login(#[from] LoginFailure),
    /// The login to a MySQL or MariaDB server failed.
    #[error("login: {0}")]
    MysqlLogin(#[from] mysql::upstream_login::LoginFailure),
    /// The database that a client wants to start in is not there, or not for the proxy's login.
    #[error("{message}")]
    NoDatabase {
        /// In the server's words.
        message: String,
        /// Why it may not be there.
        hint: &'static str,
    },
    /// A statement of the proxy's own failed.
    #[error("{message} (error {code})")]
    Statement {
        /// The server's error number.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// A session starts in a state in which the proxy could not tell what statements mean. The words are for the
    /// client, too.
    #[error("{0}")]
    Unfit(String),
    /// The thread that derived a key died.
    #[error("a key could not be derived")]
    Interrupted,
}

impl UpstreamError {
    /// What a client may know.
    pub fn reason(&self) -> String {
        match self {
            Self::Connect(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => "connection refused",
                io::ErrorKind::TimedOut => "timed out",
                io::ErrorKind::NotFound => "its socket does not exist",
                _ => "its server cannot be reached",
            }
            .into(),
            Self::TimedOut(_) => "timed out".into(),
            Self::NoTls | Self::TlsOnUnix => "its server does not take encrypted connections".into(),
            Self::Handshake(error) => handshake_reason(error).into(),
            Self::Io(_) | Self::Closed => "the connection was lost".into(),
            Self::Frame(_) => "the database did not answer as PostgreSQL does".into(),
            Self::Packet(_) | Self::Answer(_) => "the database did not answer as MySQL does".into(),
            Self::Login(failure) => failure.reason(),
            Self::MysqlLogin(failure) => failure.reason(),
            Self::NoDatabase { message, .. } => message.clone(),
            Self::Statement { code, .. } => format!("the database refused to open a session (error {code})"),
            Self::Unfit(why) => format!("{why}; tell an administrator"),
            Self::Interrupted => "the proxy is shutting down".into(),
        }
    }

    /// What the client of `target` is told. That a database does not exist is the server's answer to what the client
    /// asked for: it gets the server's words.
    fn told(&self, target: &str) -> ClientError {
        if let Self::NoDatabase { message, hint } = self {
            return ClientError::StartupRefused {
                message: message.clone(),
                hint: (*hint).to_owned(),
                sqlstate: "3D000",
            };
        }
        ClientError::UpstreamUnavailable { target: target.to_owned(), reason: self.reason() }
    }
}

fn handshake_reason(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(problem)) => match problem {
            CertificateError::UnknownIssuer => "certificate not trusted",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "certificate is for another host"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "certificate not valid yet",
            _ => "certificate not accepted",
        },
        _ => "TLS handshake failed",
    }
}

/// Opens connections to one target. Made once per configuration: it holds the loaded CA.
#[derive(Clone, Debug)]
pub struct Connector {
    target: Arc<Target>,
    tls: ClientTls,
    killer: Arc<Killer>,
}

impl Connector {
    /// Loads what the target's TLS needs.
    ///
    /// # Errors
    /// When the CA cannot be read.
    pub fn new(target: Arc<Target>) -> Result<Self, TlsError> {
        // A socket's folder is no name for a certificate; `reach` refuses TLS on it.
        let name = if is_folder(&target.host) { "localhost" } else { target.host.as_str() };
        let tls = ClientTls::load(&target.tls, name, target.protocol)?;
        Ok(Self { target, tls, killer: Arc::default() })
    }

    /// The target.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Runs `open` within the target's `connect_timeout`.
    ///
    /// # Errors
    /// [`ClientError::UpstreamUnavailable`], or [`ClientError::StartupRefused`] for a database that does not exist; the
    /// log says more.
    pub(in crate::session) async fn within<T>(
        &self,
        open: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, ClientError> {
        let limit = self.target.connect_timeout;
        let opened = timeout(limit, open).await.unwrap_or(Err(UpstreamError::TimedOut(limit)));
        opened.map_err(|error| {
            let target = self.target.name.as_str();
            tracing::warn!(target_name = target, host = %self.target.host, port = self.target.port, %error, "no upstream connection");
            error.told(target)
        })
    }

    /// A connection on which nothing was said. `socket` is the name of the socket's file where `host` is a folder;
    /// `host` may also be the socket itself.
    pub(super) async fn dial(&self, socket: &str) -> Result<Stream, UpstreamError> {
        let target = &self.target;
        if is_folder(&target.host) {
            if !matches!(target.tls, UpstreamTls::Disable) {
                return Err(UpstreamError::TlsOnUnix);
            }
            let host = target.host.trim_end_matches('/');
            let kind = tokio::fs::metadata(host).await.map(|found| found.file_type());
            let is_socket = kind.is_ok_and(|kind| kind.is_socket());
            let path = if is_socket { host.to_owned() } else { format!("{host}/{socket}") };
            return UnixStream::connect(path).await.map(Stream::Unix).map_err(UpstreamError::Connect);
        }
        let socket = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(UpstreamError::Connect)?;
        tune(&socket).map_err(UpstreamError::Connect)?;
        Ok(Stream::Tcp(socket))
    }

    /// Who kills on a target whose protocol has a statement for that.
    pub(super) fn killer(&self) -> &Arc<Killer> {
        &self.killer
    }

    /// Whether the target's configuration asks for TLS.
    pub(super) fn wants_tls(&self) -> bool {
        matches!(self.tls, ClientTls::Use { .. })
    }

    /// The TLS handshake, on a TCP connection whose server has agreed to it; without TLS in the configuration the
    /// connection as it is.
    pub(super) async fn secure(&self, stream: Stream) -> Result<Stream, UpstreamError> {
        match (&self.tls, stream) {
            (ClientTls::Use { connector, name }, Stream::Tcp(socket)) => {
                let tls = connector.connect(name.clone(), socket).await.map_err(UpstreamError::Handshake)?;
                Ok(Stream::TlsUpstream(Box::new(tls)))
            }
            (ClientTls::Use { .. }, _) => Err(UpstreamError::TlsOnUnix),
            (ClientTls::Disable, stream) => Ok(stream),
        }
    }
}

fn is_folder(host: &str) -> bool {
    host.starts_with('/')
}
