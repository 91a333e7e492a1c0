//! A Postgres client's way from accepted socket to authenticated user: TLS, startup packet, SCRAM. Which targets and
//! listeners the user may use is asked afterwards, by who called; AuthenticationOk is the caller's to send.

use std::{io, net::IpAddr, sync::Arc, time::Instant};

use hallpass_policy::ids::{Principal, Timestamp};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{Doorway, LoginEnd, Talk, certificate_holder, credentials, unavailable};
use crate::{
    error::ClientError,
    net::{
        stream::{Stream, tune},
        tls::{ALPN, Security, ServerTls},
    },
    store::credentials::random,
    wire::postgres::{
        codec::{self, MAX_LOGIN_PACKET},
        encode,
        error::{Phase, error_response},
        frontend::tag,
        scram::{Offered, Proven, ScramError},
        startup::{CancelKey, Offer, Opening, Startup, Step},
    },
};

/// A user who proved to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub principal: Principal,
    /// With which password or token, by its number in the store.
    pub credential: i64,
    /// When the account ends, and with it the session.
    pub expires: Option<Timestamp>,
    /// What the client asked for at start: database, settings, protocol version.
    pub startup: Startup,
}

impl Login {
    /// Bytes of the secret in this client's BackendKeyData: protocol 3.0 has room for 4.
    pub fn cancel_secret_length(&self) -> usize {
        if self.startup.minor >= 2 { 32 } else { 4 }
    }
}

/// A login with its connection.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who and what.
    pub login: Login,
    /// The connection; AuthenticationOk has not been sent.
    pub stream: Stream,
    /// Bytes read already and not looked at.
    pub leftover: Vec<u8>,
}

/// Leads a new connection from `peer` through its login.
///
/// # Errors
/// [`LoginEnd`], the connection closed.
pub async fn login(socket: TcpStream, peer: IpAddr, door: &Doorway<'_>) -> Result<LoggedIn, LoginEnd> {
    tune(&socket)?;
    match timeout(door.timeout, converse(socket, peer, door)).await {
        Ok(Ok(logged_in)) => Ok(logged_in),
        Ok(Err(stop)) => Err(end(stop).await),
        Err(_) => Err(LoginEnd::TimedOut),
    }
}

/// Refuses a new connection for a reason that lies in the proxy: [`ClientError::TooManyConnections`],
/// [`ClientError::Draining`]. Waits for its startup packet, as clients read an error nowhere else, and lets a
/// CancelRequest through: those have to work when nothing else does.
pub async fn turn_away(socket: TcpStream, door: &Doorway<'_>, error: ClientError) -> LoginEnd {
    let turned = timeout(door.timeout, open(socket, door.security)).await;
    match turned {
        Ok(Ok((talk, startup))) => end(refuse(talk, Some(startup), error)).await,
        Ok(Err(stop)) => end(stop).await,
        Err(_) => LoginEnd::TimedOut,
    }
}

/// Tells a refused client why, and closes.
async fn end(stop: Stop) -> LoginEnd {
    match stop {
        Stop::Gone(error) => LoginEnd::Gone(error),
        Stop::Cancel(key) => LoginEnd::Cancel(key),
        Stop::Refuse(refusal) => {
            let Refusal { talk, startup, error } = *refusal;
            let mut out = Vec::new();
            error_response(&mut out, &error, Phase::Login);
            talk.goodbye(&out).await;
            let (user, database) = startup.map(|startup| (startup.user, startup.database)).unzip();
            LoginEnd::Refused { user, database, error }
        }
    }
}

/// Why a conversation stops before its end.
enum Stop {
    Gone(io::Error),
    Cancel(CancelKey),
    Refuse(Box<Refusal>),
}

/// A refusal, and the connection to tell it on.
struct Refusal {
    talk: Talk,
    startup: Option<Startup>,
    error: ClientError,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

fn refuse(talk: Talk, startup: Option<Startup>, error: ClientError) -> Stop {
    Stop::Refuse(Box::new(Refusal { talk, startup, error }))
}

async fn converse(socket: TcpStream, peer: IpAddr, door: &Doorway<'_>) -> Result<LoggedIn, Stop> {
    let (mut talk, startup) = open(socket, door.security).await?;
    match authenticate(&mut talk, &startup, peer, door).await {
        Ok((principal, credential, expires)) => {
            let login = Login { principal, credential, expires, startup };
            Ok(LoggedIn { login, stream: talk.stream, leftover: talk.input })
        }
        Err(Failure::Io(error)) => Err(Stop::Gone(error)),
        Err(Failure::Told(error)) => Err(refuse(talk, Some(startup), error)),
    }
}

/// Everything up to the startup packet.
async fn open(socket: TcpStream, security: &Security) -> Result<(Talk, Startup), Stop> {
    let offer = match security {
        Security::Off => Offer::Off,
        Security::Prefer(_) => Offer::Prefer,
        Security::Require(_) => Offer::Require,
    };
    let mut opening = Opening::new(offer);
    // The first byte is looked at where it lies, so that a TLS handshake finds it there, too.
    let mut first = [0];
    if socket.peek(&mut first).await? == 0 {
        return Err(Stop::Gone(io::ErrorKind::UnexpectedEof.into()));
    }
    let mut talk = match (opening.advance(&first), security.keys()) {
        (Ok(Step::DirectTls), Some(keys)) => {
            opening = Opening::encrypted();
            directly(socket, keys).await?
        }
        _ => Talk { stream: Stream::Tcp(socket), input: Vec::new() },
    };
    loop {
        match opening.advance(&talk.input) {
            Ok(Step::Wait(_)) => talk.fill().await?,
            Ok(Step::Decline { then, consumed }) => {
                talk.input.drain(..consumed);
                talk.send(b"N").await?;
                opening = then;
            }
            Ok(Step::UpgradeToTls { .. }) => {
                talk = upgrade(talk, security.keys()).await?;
                opening = Opening::encrypted();
            }
            // Only the first byte of a connection can start TLS directly, and it was looked at above.
            Ok(Step::DirectTls) => return Err(Stop::Gone(io::ErrorKind::InvalidData.into())),
            Ok(Step::Cancel(key)) => return Err(Stop::Cancel(key)),
            Ok(Step::Start { startup, consumed }) => {
                talk.input.drain(..consumed);
                return Ok((talk, startup));
            }
            Err(error) => return Err(refuse(talk, None, error)),
        }
    }
}

/// Answers an SSLRequest with S and does the handshake. The request was all there was to read.
async fn upgrade(mut talk: Talk, keys: Option<&Arc<ServerTls>>) -> Result<Talk, Stop> {
    talk.send(b"S").await?;
    match (talk.stream, keys) {
        (Stream::Tcp(socket), Some(keys)) => handshake(socket, keys).await,
        _ => Err(Stop::Gone(io::ErrorKind::InvalidInput.into())),
    }
}

async fn handshake(socket: TcpStream, keys: &ServerTls) -> Result<Talk, Stop> {
    let stream = keys.acceptor().accept(socket).await?;
    Ok(Talk { stream: Stream::TlsClient(Box::new(stream)), input: Vec::new() })
}

/// TLS without an SSLRequest: ALPN must say that it is meant for us, not for a web server on the same port.
async fn directly(socket: TcpStream, keys: &ServerTls) -> Result<Talk, Stop> {
    let talk = handshake(socket, keys).await?;
    if talk.stream.client_tls().is_some_and(|tls| tls.get_ref().1.alpn_protocol() == Some(ALPN)) {
        return Ok(talk);
    }
    let text = "direct TLS connection without the ALPN protocol \"postgresql\"";
    Err(refuse(talk, None, ClientError::ProtocolViolation(text.into())))
}

/// Why authentication fails.
enum Failure {
    Io(io::Error),
    Told(ClientError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Told(error)
    }
}

impl From<encode::Unencodable> for Failure {
    fn from(error: encode::Unencodable) -> Self {
        Self::Told(ClientError::ProtocolViolation(error.to_string()))
    }
}

async fn authenticate(
    talk: &mut Talk,
    startup: &Startup,
    peer: IpAddr,
    door: &Doorway<'_>,
) -> Result<(Principal, i64, Option<Timestamp>), Failure> {
    let holder = certificate_holder(&talk.stream, door.security, "connect with sslmode=require, sslcert and sslkey")?;
    let nonce = random().ok_or_else(|| unavailable("the system gives no random bytes"))?;
    let offered = Offered::new(end_point(&talk.stream, door.security));
    let mut out = Vec::new();
    if let Some(negotiation) = &startup.negotiation {
        encode::negotiate_protocol_version(&mut out, negotiation.minor, &negotiation.unknown)?;
    }
    encode::authentication_sasl(&mut out, offered.mechanisms())?;
    talk.send(&out).await?;

    let first = password_message(talk).await?;
    let mut credentials = credentials(&startup.user, door).await?;
    // A certificate of somebody else closes every key, and nothing else changes: the same steps, words and time.
    credentials.disabled |= !holder.allows(&startup.user);
    let (challenged, challenge) = offered.first(&first, credentials, &nonce).map_err(|error| told(error, startup))?;
    out.clear();
    encode::authentication_sasl_continue(&mut out, &challenge)?;
    talk.send(&out).await?;

    let last = password_message(talk).await?;
    let delay = door.throttle.attempt(peer, Instant::now());
    if !delay.is_zero() {
        sleep(delay.min(door.timeout / 2)).await;
    }
    let proven = challenged.last(&last, door.clock.now());
    let Proven { credentials, key, last } = proven.map_err(|error| told(error, startup))?;
    door.throttle.succeeded(peer);
    out.clear();
    encode::authentication_sasl_final(&mut out, &last)?;
    talk.send(&out).await?;
    Ok((credentials.principal(), key, credentials.expires))
}

/// What a SCRAM error is to the client. That no key fits sounds the same whatever the reason.
fn told(error: ScramError, startup: &Startup) -> ClientError {
    match error {
        ScramError::Proof => ClientError::AuthenticationFailed { user: startup.user.clone() },
        ScramError::Malformed(_)
        | ScramError::Syntax(_)
        | ScramError::Mechanism
        | ScramError::Downgrade
        | ScramError::Binding => ClientError::ProtocolViolation(error.to_string()),
    }
}

/// The body of the next message, which must be one of the client's `p` messages.
async fn password_message(talk: &mut Talk) -> Result<Vec<u8>, Failure> {
    let violation = |text: String| Failure::Told(ClientError::ProtocolViolation(text));
    loop {
        let found = codec::header(&talk.input, MAX_LOGIN_PACKET).map_err(|error| violation(error.to_string()))?;
        if let Some(header) = found.filter(|header| header.tag != tag::PASSWORD) {
            let tag = char::from(header.tag).escape_default();
            return Err(violation(format!("expected a SASL response, got message type \"{tag}\"")));
        }
        let frame = codec::frame(&talk.input, MAX_LOGIN_PACKET).map_err(|error| violation(error.to_string()))?;
        if let Some(frame) = frame {
            let (body, length) = (frame.body.to_vec(), frame.raw.len());
            talk.input.drain(..length);
            return Ok(body);
        }
        talk.fill().await?;
    }
}

fn end_point(stream: &Stream, security: &Security) -> Option<Arc<[u8]>> {
    if stream.is_encrypted() { security.keys().and_then(|keys| keys.end_point()) } else { None }
}
