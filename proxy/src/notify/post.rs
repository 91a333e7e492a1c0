//! One POST to a webhook over a connection of its own. Follows no redirect, reads no answer but its status, and what it
//! says of a failure names no URL.

use std::{io, time::Duration};

use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    body::Bytes,
    header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, Error as RustlsError};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    config::{Scheme, Webhook},
    net::tls,
};

/// Why a notification was not delivered by one try.
#[derive(Debug, Error)]
pub(super) enum NotDelivered {
    /// The server does not answer at all. An error's own text might name the host, so only its kind is kept.
    #[error("the webhook's server cannot be reached: {0}")]
    Unreachable(io::ErrorKind),
    /// TLS did not come about.
    #[error("no TLS with the webhook's server: {0}")]
    Tls(&'static str),
    /// What came is no HTTP, or ended too early.
    #[error("the webhook's server broke off")]
    Broken,
    /// It took longer than `timeout`.
    #[error("the webhook's server did not answer in time")]
    Late,
    /// It answered, but not well.
    #[error("the webhook's server answered {status}")]
    Status {
        /// With what.
        status: StatusCode,
        /// When it wants to be asked again.
        after: Option<Duration>,
    },
}

impl NotDelivered {
    /// Whether another try may end better.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Tls(_) | Self::Broken | Self::Late => true,
            Self::Status { status, .. } => {
                let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
                status.is_server_error() || later.contains(status)
            }
        }
    }

    /// How long the server wants to be left alone.
    pub(super) fn wanted_delay(&self) -> Option<Duration> {
        match self {
            Self::Status { after, .. } => *after,
            Self::Unreachable(_) | Self::Tls(_) | Self::Broken | Self::Late => None,
        }
    }
}

/// Sends `body`, and waits for the answer's status.
///
/// # Errors
/// When it is not known to have arrived.
pub(super) async fn post(webhook: &Webhook, body: Bytes) -> Result<(), NotDelivered> {
    let whole = tokio::time::timeout(webhook.timeout, connect_and_send(webhook, body));
    whole.await.unwrap_or(Err(NotDelivered::Late))
}

async fn connect_and_send(webhook: &Webhook, body: Bytes) -> Result<(), NotDelivered> {
    let (host, port) = (webhook.url.host(), webhook.url.port());
    let socket = TcpStream::connect((host, port)).await.map_err(|error| NotDelivered::Unreachable(error.kind()))?;
    match webhook.url.scheme() {
        Scheme::Http => send(socket, webhook, body).await,
        Scheme::Https => {
            let (connector, name) = tls::https(webhook.ca.as_deref(), host)
                .map_err(|_| NotDelivered::Tls("the file of `ca` cannot be used"))?;
            let stream =
                connector.connect(name, socket).await.map_err(|error| NotDelivered::Tls(why_no_tls(&error)))?;
            send(stream, webhook, body).await
        }
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    webhook: &Webhook,
    body: Bytes,
) -> Result<(), NotDelivered> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| NotDelivered::Broken)?;
    // Ends with the connection, and with this try when that takes too long.
    let driver = AbortOnDrop(tokio::spawn(connection));
    let request = Request::post(webhook.url.path().reveal())
        .header(HOST, webhook.url.authority())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("hallpass/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|_| NotDelivered::Broken)?;
    let answer = sender.send_request(request).await.map_err(|_| NotDelivered::Broken)?;
    drop(driver);
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Err(NotDelivered::Status { status, after: after.map(Duration::from_secs) })
}

/// Aborts its task when it goes.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is wrong with a handshake, without any name that the certificate or the URL holds.
fn why_no_tls(error: &io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>());
    match inner {
        Some(RustlsError::InvalidCertificate(why)) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet"
            }
            CertificateError::UnknownIssuer => "its certificate is by nobody we trust; see `ca`",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate names another host"
            }
            _ => "its certificate is not accepted",
        },
        Some(_) => "the handshake failed",
        None => "the connection broke off",
    }
}
