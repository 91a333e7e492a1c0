//! Opens connections to a target and cancels what runs on one. Sends no statement.
//! What goes wrong is told to the log in full and to the client without hosts, users and credentials.

use std::{io, sync::Arc, time::Duration};

use rustls::CertificateError;
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
    task::spawn_blocking,
    time::timeout,
};

use crate::{
    config::{Target, UpstreamTls},
    error::ClientError,
    net::{
        certificate,
        stream::{Stream, tune},
        tls::{ClientTls, TlsError},
    },
    wire::postgres::{
        codec::{FrameError, frame},
        settings::Setting,
        upstream_login::{
            Action, Binding, Conversation, LoginFailure, Opened, SSL_REQUEST, cancel_request, startup_packet,
        },
    },
};

/// Longest message before the first ReadyForQuery; libpq takes 30,000 bytes of an error.
const MAX_MESSAGE: usize = 100_000;

/// How long a cancelled server may take to hang up.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

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

/// An open upstream session, idle.
#[derive(Debug)]
pub struct UpstreamConnection {
    /// The connection.
    pub stream: Stream,
    /// Every ParameterStatus, in order.
    pub parameters: Vec<(String, String)>,
    /// For [`Connector::cancel`].
    pub process_id: i32,
    /// For [`Connector::cancel`].
    pub secret: Vec<u8>,
    /// Bytes read behind the first ReadyForQuery: usually none.
    pub leftover: Vec<u8>,
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

    /// Connects and logs in, all within the target's `connect_timeout`.
    ///
    /// # Errors
    /// [`ClientError::UpstreamUnavailable`]; the log says more.
    pub async fn connect(&self, settings: &[Setting]) -> Result<UpstreamConnection, ClientError> {
        let limit = self.target.connect_timeout;
        let opened = timeout(limit, self.open(settings)).await.unwrap_or(Err(UpstreamError::TimedOut(limit)));
        opened.map_err(|error| {
            let target = self.target.name.as_str();
            tracing::warn!(target_name = target, host = %self.target.host, port = self.target.port, %error, "no upstream connection");
            ClientError::UpstreamUnavailable { target: target.to_owned(), reason: error.reason() }
        })
    }

    /// A connection for the proxy's own queries, by a client library, and the task that drives it.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn client(&self, application: &str) -> Result<(tokio_postgres::Client, JoinHandle<()>), ClientError> {
        let mut config = tokio_postgres::Config::new();
        config.user(&self.target.user).dbname(&self.target.database).application_name(application);
        if let Some(password) = &self.target.password {
            config.password(password.reveal());
        }
        let opened = timeout(self.target.connect_timeout, async {
            let stream = self.reach().await.map_err(|error| error.reason())?;
            config.connect_raw(stream, tokio_postgres::NoTls).await.map_err(|error| error.to_string())
        });
        let unavailable = |reason: String| {
            let target = self.target.name.as_str();
            tracing::warn!(target_name = target, reason, "no catalog connection");
            ClientError::UpstreamUnavailable { target: target.to_owned(), reason: "its catalog cannot be read".into() }
        };
        let (client, connection) =
            opened.await.map_err(|_| unavailable("timed out".into()))?.map_err(unavailable)?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a catalog connection ended");
            }
        });
        Ok((client, driver))
    }

    /// Asks the target's server to cancel what runs in the session with this key, over a connection of its own with
    /// the same TLS, and waits until the server has hung up: it has sent the signal by then.
    ///
    /// # Errors
    /// When the server cannot be reached; nothing was cancelled then.
    pub async fn cancel(&self, process_id: i32, secret: &[u8]) -> Result<(), UpstreamError> {
        let request = cancel_request(process_id, secret).map_err(LoginFailure::from)?;
        let ask = async {
            let mut stream = self.reach().await?;
            stream.write_all(&request).await?;
            stream.flush().await?;
            // The server sends nothing; whatever comes is as good as its hanging up.
            let _ = stream.read(&mut [0; 1]).await;
            Ok(())
        };
        timeout(CANCEL_TIMEOUT, ask).await.unwrap_or(Err(UpstreamError::TimedOut(CANCEL_TIMEOUT)))
    }

    /// A connection on which nothing was said but for TLS.
    async fn reach(&self) -> Result<Stream, UpstreamError> {
        let target = &self.target;
        if is_folder(&target.host) {
            if !matches!(target.tls, UpstreamTls::Disable) {
                return Err(UpstreamError::TlsOnUnix);
            }
            let path = format!("{}/.s.PGSQL.{}", target.host.trim_end_matches('/'), target.port);
            return UnixStream::connect(path).await.map(Stream::Unix).map_err(UpstreamError::Connect);
        }
        let mut socket =
            TcpStream::connect((target.host.as_str(), target.port)).await.map_err(UpstreamError::Connect)?;
        tune(&socket).map_err(UpstreamError::Connect)?;
        match &self.tls {
            ClientTls::Disable => Ok(Stream::Tcp(socket)),
            ClientTls::Use { connector, name } => {
                socket.write_all(&SSL_REQUEST).await?;
                // Exactly one byte: what follows it belongs to the handshake (CVE-2021-23222).
                if socket.read_u8().await? != b'S' {
                    return Err(UpstreamError::NoTls);
                }
                let tls = connector.connect(name.clone(), socket).await.map_err(UpstreamError::Handshake)?;
                Ok(Stream::TlsUpstream(Box::new(tls)))
            }
        }
    }

    async fn open(&self, settings: &[Setting]) -> Result<UpstreamConnection, UpstreamError> {
        let target = &self.target;
        let packet = startup_packet(&target.user, &target.database, settings).map_err(LoginFailure::from)?;
        let mut stream = self.reach().await?;
        let mut conversation = Conversation::new(&target.user, target.password.as_ref(), binding(&stream));
        send(&mut stream, &packet).await?;
        let mut input = Vec::with_capacity(2048);
        loop {
            let Some(message) = frame(&input, MAX_MESSAGE)? else {
                input.reserve(1024);
                if stream.read_buf(&mut input).await? == 0 {
                    return Err(UpstreamError::Closed);
                }
                continue;
            };
            let length = message.raw.len();
            let action = conversation.receive(message)?;
            input.drain(..length);
            match action {
                Action::Wait => {}
                Action::Send(bytes) => send(&mut stream, &bytes).await?,
                Action::Derive(derivation) => {
                    let derived =
                        spawn_blocking(|| derivation.run()).await.map_err(|_| UpstreamError::Interrupted)??;
                    let bytes = conversation.derived(derived)?;
                    send(&mut stream, &bytes).await?;
                }
                Action::Ready(Opened { parameters, process_id, secret }) => {
                    return Ok(UpstreamConnection { stream, parameters, process_id, secret, leftover: input });
                }
            }
        }
    }
}

fn is_folder(host: &str) -> bool {
    host.starts_with('/')
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

fn binding(stream: &Stream) -> Binding {
    let Stream::TlsUpstream(tls) = stream else { return Binding::Unsupported };
    let leaf = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    leaf.and_then(|leaf| certificate::end_point(leaf)).map_or(Binding::Unsupported, Binding::EndPoint)
}
