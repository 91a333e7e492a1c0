//! A MySQL client's way from accepted socket to authenticated user: greeting, TLS, handshake response, password; and the
//! way of a client that logs in anew by COM_CHANGE_USER. Which listeners the user may use is asked afterwards, by who
//! called; the final OK is the caller's to send.

use std::{io, net::IpAddr, sync::Arc};

use hallpass_policy::ids::{Principal, Timestamp};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use self::proof::{Failure, Question, authenticate, packet};
use super::{Doorway, LoginEnd, Talk, unavailable};
use crate::{
    error::ClientError,
    net::{
        stream::{Stream, tune},
        tls::{Security, ServerTls},
    },
    store::credentials::random,
    wire::mysql::{
        auth::{CACHING_SHA2, First, UsingPassword},
        backend::Status,
        capability::Capabilities,
        charset::Charset,
        codec::{self, HEADER, Order, Sequence, put_message},
        error::{Denied, early_error, err_packet},
        frontend::Command,
        startup::{Attributes, Greeting, Offer, Opening, Response, SCRAMBLE, Scramble, Step},
    },
};

mod proof;

pub use proof::{Desk, Keyring};

/// What a client is greeted with: the server behind the port, as far as the proxy can relay it.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// What `CONNECTION_ID()` and KILL call the session.
    pub connection: u32,
    /// The server's version.
    pub version: Arc<str>,
    /// What is announced.
    pub capabilities: Capabilities,
    /// The server's default collation: for clients that name none.
    pub collation: u8,
}

/// What the client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// What both sides can do.
    pub capabilities: Capabilities,
    /// The number of its collation, of a character set that can be followed.
    pub collation: u16,
    /// The schema to start in, if named.
    pub database: Option<String>,
    /// `_client_name`, `program_name` and such, in order.
    pub attributes: Vec<(String, String)>,
    /// For zstd compression.
    pub zstd_level: u8,
}

impl Startup {
    /// What the audit calls the client's program.
    pub fn application(&self) -> Option<&str> {
        let named = |wanted| self.attributes.iter().find(|(name, _)| name == wanted);
        named("program_name").or_else(|| named("_client_name")).map(|(_, value)| value.as_str())
    }
}

/// A user who proved to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub principal: Principal,
    /// With which password or token, by its number in the store.
    pub credential: i64,
    /// When the account ends, and with it the session.
    pub expires: Option<Timestamp>,
    /// What the client asked for.
    pub startup: Startup,
}

/// A login with its connection.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who and what.
    pub login: Login,
    /// The connection; the final OK has not been sent.
    pub stream: Stream,
    /// Bytes read already and not looked at.
    pub leftover: Vec<u8>,
    /// Where the packets' numbers go on: the final OK's.
    pub sequence: Sequence,
}

/// Greets a new connection from `peer` and leads it through its login.
///
/// # Errors
/// [`LoginEnd`], the connection closed.
pub async fn login(
    socket: TcpStream,
    peer: IpAddr,
    welcome: &Welcome,
    door: &Doorway<'_>,
    desk: Desk<'_>,
) -> Result<LoggedIn, LoginEnd> {
    tune(&socket)?;
    match timeout(door.timeout, converse(socket, peer, welcome, door, desk)).await {
        Ok(Ok(logged_in)) => Ok(logged_in),
        Ok(Err(stop)) => Err(end(stop).await),
        Err(_) => Err(LoginEnd::TimedOut),
    }
}

/// Leads a client that has sent COM_CHANGE_USER, which stands at the start of `leftover`, through its new login on the
/// same connection. What both sides can do stays as it was agreed on.
///
/// # Errors
/// [`LoginEnd`], the connection closed, as both servers do.
pub async fn relogin(
    client: Stream,
    leftover: Vec<u8>,
    peer: IpAddr,
    before: &Startup,
    door: &Doorway<'_>,
    desk: Desk<'_>,
) -> Result<LoggedIn, LoginEnd> {
    let order = if client.is_compressed() { Order::Loose } else { Order::Checked };
    let talk = Talk { stream: client, input: leftover };
    match timeout(door.timeout, change_user(talk, Sequence::start(order), peer, before, door, desk)).await {
        Ok(Ok(logged_in)) => Ok(logged_in),
        Ok(Err(stop)) => Err(end(stop).await),
        Err(_) => Err(LoginEnd::TimedOut),
    }
}

/// Tells a new connection why it is not even greeted: the proxy is full or ends, the target cannot be had. Closes it.
pub async fn turn_away(socket: TcpStream, error: &ClientError) {
    let mut out = Vec::new();
    early_error(&mut out, error);
    Talk { stream: Stream::Tcp(socket), input: Vec::new() }.goodbye(&out).await;
}

/// Tells a refused client why, and closes.
async fn end(stop: Stop) -> LoginEnd {
    match stop {
        Stop::Gone(error) => LoginEnd::Gone(error),
        Stop::Refuse(refusal) => {
            let Refusal { talk, mut sequence, asked, error, using } = *refusal;
            let mut out = Vec::new();
            err_packet(&mut out, &mut sequence, &error, Denied::Other, using);
            talk.goodbye(&out).await;
            let (user, database) = asked.map_or((None, None), |asked| (Some(asked.user), asked.database));
            LoginEnd::Refused { user, database, error }
        }
    }
}

/// Why a conversation stops before its end.
enum Stop {
    Gone(io::Error),
    Refuse(Box<Refusal>),
}

/// A refusal, and the connection to tell it on.
struct Refusal {
    talk: Talk,
    sequence: Sequence,
    asked: Option<Asked>,
    error: ClientError,
    using: UsingPassword,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// Who asks to be let in, and where.
#[derive(Clone, Debug)]
struct Asked {
    user: String,
    database: Option<String>,
}

/// The longest name of a user or schema; the servers' own limits are below.
const MAX_NAME: usize = 256;

impl Asked {
    fn new(user: &[u8], database: &[u8]) -> Result<Self, ClientError> {
        if user.len().max(database.len()) > MAX_NAME {
            return Err(violation("a user or database name is too long"));
        }
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ok(Self { user: text(user), database: (!database.is_empty()).then(|| text(database)) })
    }
}

fn violation(text: impl Into<String>) -> ClientError {
    ClientError::ProtocolViolation(text.into())
}

async fn converse(
    socket: TcpStream,
    peer: IpAddr,
    welcome: &Welcome,
    door: &Doorway<'_>,
    desk: Desk<'_>,
) -> Result<LoggedIn, Stop> {
    let mut talk = Talk { stream: Stream::Tcp(socket), input: Vec::new() };
    let Some(scramble) = new_scramble() else {
        let mut out = Vec::new();
        early_error(&mut out, &unavailable("the system gives no random bytes"));
        talk.goodbye(&out).await;
        return Err(Stop::Gone(io::Error::other("the system gives no random bytes")));
    };
    greet(&mut talk, welcome, scramble).await?;
    let (mut talk, started) = open(talk, welcome, door.security).await?;
    let Started { response, agreed, mut sequence } = started;
    let asked = match Asked::new(&response.user, &response.database) {
        Ok(asked) => asked,
        Err(error) => return Err(stop(talk, sequence, None, error.into())),
    };
    let collation = if response.collation == 0 { welcome.collation } else { response.collation };
    let startup = Startup {
        capabilities: agreed,
        collation: u16::from(collation),
        database: asked.database.clone(),
        attributes: texts(&response.attributes),
        zstd_level: response.zstd_level,
    };
    let question = Question {
        asked: &asked,
        first: First { plugin: response.plugin.as_deref(), auth: &response.auth },
        scramble: Some(scramble),
    };
    let entered = enter(&mut talk, &mut sequence, question, startup, peer, door, desk).await;
    finish(talk, sequence, asked, entered)
}

async fn change_user(
    mut talk: Talk,
    mut sequence: Sequence,
    peer: IpAddr,
    before: &Startup,
    door: &Doorway<'_>,
    desk: Desk<'_>,
) -> Result<LoggedIn, Stop> {
    let payload = match packet(&mut talk, &mut sequence).await {
        Ok(payload) => payload,
        Err(failure) => return Err(stop(talk, sequence, None, failure)),
    };
    let read = match Command::decode(&payload, before.capabilities) {
        Ok(Command::ChangeUser(change)) => Asked::new(change.user, change.database).map(|asked| (change, asked)),
        Ok(_) => Err(violation("expected COM_CHANGE_USER")),
        Err(error) => Err(violation(error.to_string())),
    };
    let (change, asked) = match read {
        Ok(read) => read,
        Err(error) => return Err(stop(talk, sequence, None, error.into())),
    };
    let startup = Startup {
        // Clients from before it was sent keep what they have.
        collation: change.collation.filter(|collation| *collation != 0).unwrap_or(before.collation),
        database: asked.database.clone(),
        attributes: texts(&change.attributes),
        ..before.clone()
    };
    let question =
        Question { asked: &asked, first: First { plugin: change.plugin, auth: change.auth }, scramble: None };
    let entered = enter(&mut talk, &mut sequence, question, startup, peer, door, desk).await;
    finish(talk, sequence, asked, entered)
}

fn finish(talk: Talk, sequence: Sequence, asked: Asked, entered: Result<Login, Failure>) -> Result<LoggedIn, Stop> {
    match entered {
        Ok(login) => Ok(LoggedIn { login, stream: talk.stream, leftover: talk.input, sequence }),
        Err(failure) => Err(stop(talk, sequence, Some(asked), failure)),
    }
}

fn stop(talk: Talk, sequence: Sequence, asked: Option<Asked>, failure: Failure) -> Stop {
    match failure {
        Failure::Io(error) => Stop::Gone(error),
        Failure::Told(error, using) => Stop::Refuse(Box::new(Refusal { talk, sequence, asked, error, using })),
    }
}

async fn greet(talk: &mut Talk, welcome: &Welcome, scramble: Scramble) -> io::Result<()> {
    let greeting = Greeting {
        version: welcome.version.as_bytes().to_vec(),
        connection: welcome.connection,
        scramble,
        capabilities: welcome.capabilities,
        collation: welcome.collation,
        status: Status::AUTOCOMMIT.0,
        plugin: CACHING_SHA2.into(),
    };
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    greeting.encode(&mut payload);
    put_message(&mut out, &mut Sequence::start(Order::Checked), &payload);
    talk.send(&out).await
}

/// What the client answered to the greeting.
struct Started {
    response: Box<Response>,
    agreed: Capabilities,
    sequence: Sequence,
}

/// Everything up to the handshake response.
async fn open(mut talk: Talk, welcome: &Welcome, security: &Security) -> Result<(Talk, Started), Stop> {
    let mut opening = Opening::new(welcome.capabilities, offer(security));
    loop {
        match opening.advance(&talk.input) {
            Ok(Step::Wait) => fill_exactly(&mut talk).await?,
            Ok(Step::UpgradeToTls { consumed, then }) => {
                talk.input.drain(..consumed);
                talk = upgrade(talk, security.keys()).await?;
                opening = then;
            }
            Ok(Step::Start { response, agreed, consumed, sequence }) => {
                talk.input.drain(..consumed);
                return Ok((talk, Started { response, agreed, sequence }));
            }
            Err(error) => {
                let next = codec::header(&talk.input).map_or(2, |header| header.sequence.wrapping_add(1));
                return Err(stop(talk, Sequence::at(next, Order::Checked), None, error.into()));
            }
        }
    }
}

/// How a listener's TLS is announced.
pub fn offer(security: &Security) -> Offer {
    match security {
        Security::Off => Offer::Off,
        Security::Prefer(_) => Offer::Prefer,
        Security::Require(_) => Offer::Require,
    }
}

/// Reads no further than the packet's end: what follows an SSLRequest is for the TLS handshake, which finds it where it
/// lies. Whatever somebody put there in plain text is no TLS record and ends the connection.
async fn fill_exactly(talk: &mut Talk) -> io::Result<()> {
    let total = codec::header(&talk.input).map_or(HEADER, |header| header.total());
    let missing = total.saturating_sub(talk.input.len()).max(1);
    let limit = u64::try_from(missing).unwrap_or(u64::MAX);
    match (&mut talk.stream).take(limit).read_buf(&mut talk.input).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// The handshake after an SSLRequest, which was all that was read.
async fn upgrade(talk: Talk, keys: Option<&Arc<ServerTls>>) -> Result<Talk, Stop> {
    match (talk.stream, keys) {
        (Stream::Tcp(socket), Some(keys)) if talk.input.is_empty() => {
            let stream = keys.acceptor().accept(socket).await?;
            Ok(Talk { stream: Stream::TlsClient(Box::new(stream)), input: Vec::new() })
        }
        _ => Err(Stop::Gone(io::ErrorKind::InvalidInput.into())),
    }
}

/// Checks who it is, and then what it asks for.
async fn enter(
    talk: &mut Talk,
    sequence: &mut Sequence,
    question: Question<'_>,
    startup: Startup,
    peer: IpAddr,
    door: &Doorway<'_>,
    desk: Desk<'_>,
) -> Result<Login, Failure> {
    let (credentials, credential) = authenticate(talk, sequence, question, peer, door, desk).await?;
    if Charset::of(startup.collation).is_none() {
        let error = ClientError::StartupRefused {
            message: format!("the character set of collation {} is not supported", startup.collation),
            hint: "connect with --default-character-set=utf8mb4 (also: utf8mb3, latin1, ascii, binary)".into(),
            sqlstate: "22021",
        };
        return Err(error.into());
    }
    Ok(Login { principal: credentials.principal(), credential, expires: credentials.expires, startup })
}

fn new_scramble() -> Option<Scramble> {
    random::<SCRAMBLE>().map(Scramble::new)
}

/// Attributes as text; the audit shows them.
fn texts(attributes: &Attributes) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    attributes.iter().map(|(name, value)| (text(name), text(value))).collect()
}
