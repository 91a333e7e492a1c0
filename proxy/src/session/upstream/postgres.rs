//! Opens sessions on a Postgres server and cancels what runs on one. Sends no statement.
//! What goes wrong is told to the log in full and to the client without hosts, users and credentials.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

use super::connector::{Connector, UpstreamError, insisted};
use crate::{
    error::ClientError,
    net::{certificate, stream::Stream},
    session::machine::Upstream,
    wire::postgres::{
        codec::frame,
        encode,
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

/// An open upstream session, idle.
#[derive(Debug)]
pub struct Connection {
    /// The connection.
    pub stream: Stream,
    /// Every ParameterStatus, in order.
    pub parameters: Vec<(String, String)>,
    /// For [`cancel`].
    pub process_id: i32,
    /// For [`cancel`].
    pub secret: Vec<u8>,
    /// Bytes read behind the first ReadyForQuery: usually none.
    pub leftover: Vec<u8>,
}

impl Upstream for Connection {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn take_leftover(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.leftover)
    }

    fn cancel(&self, connector: Arc<Connector>) -> impl Future<Output = Result<(), UpstreamError>> + Send + 'static {
        let (process_id, secret) = (self.process_id, self.secret.clone());
        async move { insisted(|| cancel(&connector, process_id, &secret)).await }
    }

    fn goodbye(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode::terminate(&mut bytes);
        bytes
    }
}

/// Connects and logs in, all within the target's `connect_timeout`.
///
/// # Errors
/// [`ClientError::UpstreamUnavailable`]; the log says more.
pub async fn connect(connector: &Connector, settings: &[Setting]) -> Result<Connection, ClientError> {
    connector.within(open(connector, settings)).await
}

/// A connection for the proxy's own queries, by a client library, and the task that drives it.
///
/// # Errors
/// As [`connect`].
pub async fn client(
    connector: &Connector,
    application: &str,
) -> Result<(tokio_postgres::Client, JoinHandle<()>), ClientError> {
    let target = connector.target();
    let mut config = tokio_postgres::Config::new();
    config.user(&target.user).dbname(&target.database).application_name(application);
    if let Some(password) = &target.password {
        config.password(password.reveal());
    }
    let opened = timeout(target.connect_timeout, async {
        let stream = reach(connector).await.map_err(|error| error.reason())?;
        config.connect_raw(stream, tokio_postgres::NoTls).await.map_err(|error| error.to_string())
    });
    let unavailable = |reason: String| {
        let target = target.name.as_str();
        tracing::warn!(target_name = target, reason, "no catalog connection");
        ClientError::UpstreamUnavailable { target: target.to_owned(), reason: "its catalog cannot be read".into() }
    };
    let (client, connection) = opened.await.map_err(|_| unavailable("timed out".into()))?.map_err(unavailable)?;
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
pub async fn cancel(connector: &Connector, process_id: i32, secret: &[u8]) -> Result<(), UpstreamError> {
    let request = cancel_request(process_id, secret).map_err(LoginFailure::from)?;
    let ask = async {
        let mut stream = reach(connector).await?;
        stream.write_all(&request).await?;
        stream.flush().await?;
        // The server sends nothing; whatever comes is as good as its hanging up.
        let _ = stream.read(&mut [0; 1]).await;
        Ok(())
    };
    timeout(CANCEL_TIMEOUT, ask).await.unwrap_or(Err(UpstreamError::TimedOut(CANCEL_TIMEOUT)))
}

/// A connection on which nothing was said but for TLS.
async fn reach(connector: &Connector) -> Result<Stream, UpstreamError> {
    let mut stream = connector.dial(&format!(".s.PGSQL.{}", connector.target().port)).await?;
    if connector.wants_tls() {
        send(&mut stream, &SSL_REQUEST).await?;
        // Exactly one byte: what follows it belongs to the handshake (CVE-2021-23222).
        if stream.read_u8().await? != b'S' {
            return Err(UpstreamError::NoTls);
        }
    }
    connector.secure(stream).await
}

async fn open(connector: &Connector, settings: &[Setting]) -> Result<Connection, UpstreamError> {
    let target = connector.target();
    let packet = startup_packet(&target.user, &target.database, settings).map_err(LoginFailure::from)?;
    let mut stream = reach(connector).await?;
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
                let derived = spawn_blocking(|| derivation.run()).await.map_err(|_| UpstreamError::Interrupted)??;
                let bytes = conversation.derived(derived)?;
                send(&mut stream, &bytes).await?;
            }
            Action::Ready(Opened { parameters, process_id, secret }) => {
                return Ok(Connection { stream, parameters, process_id, secret, leftover: input });
            }
        }
    }
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
