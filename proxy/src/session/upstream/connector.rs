//! Reaches a target's server: socket, TLS, and what may go wrong on the way. Says nothing on the connection: the
//! protocols' modules do.

use std::{io, sync::Arc, time::Duration};

use rustls::CertificateError;
use thiserror::Error;
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{
    config::{Target, UpstreamTls},
    error::ClientError,
    net::{
        stream::{Stream, tune},
        tls::{ClientTls, TlsError},
    },
    wire::postgres::{codec::FrameError, upstream_login::LoginFailure},
};

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
    /// Bytes that are no messages.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The login failed.
    #[error("login: {0}")]
    Login(#[from] LoginFailure),
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
            Self::Login(failure) => failure.reason(),
            Self::Interrupted => "the proxy is shutting down".into(),
        }
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
}

impl Connector {
    /// Loads what the target's TLS needs.
    ///
    /// # Errors
    /// When the CA cannot be read.
    pub fn new(target: Arc<Target>) -> Result<Self, TlsError> {
        // A socket's folder is no name for a certificate; `reach` refuses TLS on it.
        let name = if is_folder(&target.host) { "localhost" } else { target.host.as_str() };
        let tls = ClientTls::load(&target.tls, name)?;
        Ok(Self { target, tls })
    }

    /// The target.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Runs `open` within the target's `connect_timeout`.
    ///
    /// # Errors
    /// [`ClientError::UpstreamUnavailable`]; the log says more.
    pub(super) async fn within<T>(
        &self,
        open: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, ClientError> {
        let limit = self.target.connect_timeout;
        let opened = timeout(limit, open).await.unwrap_or(Err(UpstreamError::TimedOut(limit)));
        opened.map_err(|error| {
            let target = self.target.name.as_str();
            tracing::warn!(target_name = target, host = %self.target.host, port = self.target.port, %error, "no upstream connection");
            ClientError::UpstreamUnavailable { target: target.to_owned(), reason: error.reason() }
        })
    }

    /// A connection on which nothing was said. `socket` is the name of the socket's file where `host` is a folder.
    pub(super) async fn dial(&self, socket: &str) -> Result<Stream, UpstreamError> {
        let target = &self.target;
        if is_folder(&target.host) {
            if !matches!(target.tls, UpstreamTls::Disable) {
                return Err(UpstreamError::TlsOnUnix);
            }
            let path = format!("{}/{socket}", target.host.trim_end_matches('/'));
            return UnixStream::connect(path).await.map(Stream::Unix).map_err(UpstreamError::Connect);
        }
        let socket = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(UpstreamError::Connect)?;
        tune(&socket).map_err(UpstreamError::Connect)?;
        Ok(Stream::Tcp(socket))
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
