//! A Postgres client that works on frames and keeps every byte it received. It repairs nothing and hides nothing:
//! what the server sends is what the test sees.

pub mod answer;
pub mod frame;
mod login;

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

pub use answer::{Column, Fields, Message, Reply};
use login::Login;

pub use super::{NoMessage, PATIENCE};

/// Where and as whom to connect.
#[derive(Clone, Debug)]
pub struct Startup {
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password, used if asked for.
    pub password: String,
    /// Database.
    pub database: String,
    /// More startup parameters.
    pub params: Vec<(String, String)>,
    /// Protocol version, `0x0003_0000`.
    pub version: u32,
}

impl Startup {
    /// With nothing special.
    pub fn new(port: u16, user: &str, password: &str, database: &str) -> Self {
        let [user, password, database] = [user, password, database].map(str::to_owned);
        Self { port, user, password, database, params: Vec::new(), version: 0x0003_0000 }
    }

    /// With one more startup parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.params.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As a URL for libpq and tokio-postgres.
    pub fn url(&self) -> String {
        let Self { port, user, password, database, .. } = self;
        format!("postgresql://{user}:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    fn parameters(&self) -> Vec<(String, String)> {
        let fixed = [("user", &self.user), ("database", &self.database)];
        fixed.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).chain(self.params.clone()).collect()
    }
}

/// A login that failed, with all that came.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The error, if one was sent.
    pub error: Option<Fields>,
    /// Every byte that came.
    pub received: Vec<u8>,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    port: u16,
    received: Vec<u8>,
    read: usize,
    closed: bool,
    key_data: Vec<u8>,
    parameters: BTreeMap<String, String>,
    handshake: usize,
    limit: Duration,
}

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`Refused`], with what the server said.
    pub fn connect(startup: &Startup) -> Result<Self, Refused> {
        let mut client = Self::open(startup.port)?;
        client.log_in(startup)?;
        Ok(client)
    }

    /// Only the TCP connection, nothing sent.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(port: u16) -> Result<Self, Refused> {
        let refused = |_| Refused { error: None, received: Vec::new() };
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        Ok(Self {
            stream,
            port,
            received: Vec::new(),
            read: 0,
            closed: false,
            key_data: Vec::new(),
            parameters: BTreeMap::new(),
            handshake: 0,
            limit: PATIENCE,
        })
    }

    /// Sends the startup message and goes through authentication.
    ///
    /// # Errors
    /// [`Refused`], with what the server said.
    pub fn log_in(&mut self, startup: &Startup) -> Result<(), Refused> {
        self.send(&frame::startup(startup.version, &startup.parameters()));
        self.finish_login(startup)
    }

    /// What follows the startup message.
    ///
    /// # Errors
    /// [`Refused`], with what the server said.
    pub fn finish_login(&mut self, startup: &Startup) -> Result<(), Refused> {
        let mut login = Login::new(startup);
        loop {
            let message = match self.next(self.limit) {
                Ok(message) => message,
                Err(_) => return Err(Refused { error: None, received: self.received.clone() }),
            };
            match message.tag {
                b'R' => {
                    if let Some(answer) = login.answer(&message.body) {
                        self.send(&answer);
                    }
                }
                b'S' => self.note_parameter(&message.body),
                b'K' => self.key_data = message.body,
                b'E' => {
                    let error = Some(answer::fields(&message.body));
                    return Err(Refused { error, received: self.received.clone() });
                }
                b'Z' => break,
                _ => {}
            }
        }
        self.handshake = self.read;
        Ok(())
    }

    fn note_parameter(&mut self, body: &[u8]) {
        let (name, rest) = answer::zero_ended(body);
        self.parameters.insert(name, answer::zero_ended(rest).0);
    }

    /// ParameterStatus, the last value of each.
    pub fn parameters(&self) -> &BTreeMap<String, String> {
        &self.parameters
    }

    /// Body of the BackendKeyData.
    pub fn key_data(&self) -> &[u8] {
        &self.key_data
    }

    /// Every byte received so far.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Every byte received after the login.
    pub fn received_after_login(&self) -> &[u8] {
        &self.received[self.handshake..]
    }

    /// The same, message by message.
    pub fn messages_after_login(&self) -> Vec<Message> {
        let mut rest = self.received_after_login();
        let mut messages = Vec::new();
        while let [tag, a, b, c, d, ..] = rest {
            let end = 1 + u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let Some(body) = rest.get(5..end) else { break };
            messages.push(Message { tag: *tag, body: body.to_vec() });
            rest = &rest[end..];
        }
        messages
    }

    /// How long to wait for answers from now on.
    pub fn set_patience(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Whether the other side closed the connection.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Sends bytes as they stand. A connection that is gone shows when reading.
    pub fn send(&mut self, bytes: &[u8]) {
        // A large write can block while the other side waits for us to read: both directions must move.
        let mut writer = self.stream.try_clone().expect("a socket can be cloned");
        let bytes = bytes.to_vec();
        if bytes.len() < 32 * 1024 {
            let _ = writer.write_all(&bytes);
        } else {
            std::thread::spawn(move || writer.write_all(&bytes));
        }
    }

    /// Reads what is there, waiting at most so long. `false`: nothing came.
    pub fn fill(&mut self, wait: Duration) -> bool {
        if self.closed {
            return false;
        }
        let mut buffer = vec![0; 64 * 1024];
        self.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).expect("a socket option");
        match self.stream.read(&mut buffer) {
            Ok(0) => self.closed = true,
            Ok(count) => {
                self.received.extend(&buffer[..count]);
                return true;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.closed = true,
        }
        false
    }

    /// The next byte, as in the answer to an SSLRequest.
    ///
    /// # Errors
    /// When none comes.
    pub fn next_byte(&mut self) -> Result<u8, NoMessage> {
        let deadline = Instant::now() + self.limit;
        while self.received.len() == self.read {
            self.fill_until(deadline)?;
        }
        self.read += 1;
        Ok(self.received[self.read - 1])
    }

    /// The next message.
    ///
    /// # Errors
    /// When none comes within `wait`.
    pub fn next(&mut self, wait: Duration) -> Result<Message, NoMessage> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(message) = self.buffered() {
                return Ok(message);
            }
            self.fill_until(deadline)?;
        }
    }

    fn fill_until(&mut self, deadline: Instant) -> Result<(), NoMessage> {
        let left = deadline.saturating_duration_since(Instant::now());
        if !self.fill(left) {
            if self.closed {
                return Err(NoMessage::Closed);
            }
            if left.is_zero() {
                return Err(NoMessage::Late);
            }
        }
        Ok(())
    }

    fn buffered(&mut self) -> Option<Message> {
        let rest = &self.received[self.read..];
        let length = u32::from_be_bytes(rest.get(1..5)?.try_into().ok()?) as usize;
        let body = rest.get(5..length + 1)?.to_vec();
        let tag = rest[0];
        self.read += length + 1;
        Some(Message { tag, body })
    }

    /// Messages up to a ReadyForQuery; panics when it does not come, except on a closed connection.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        let mut reply = Reply { status: '-', ..Reply::default() };
        loop {
            match self.next(self.limit) {
                Ok(message) => {
                    if message.tag == b'S' {
                        self.note_parameter(&message.body);
                    }
                    reply.add(&message);
                    if message.tag == b'Z' {
                        return reply;
                    }
                }
                Err(NoMessage::Closed) => return reply,
                Err(NoMessage::Late) => panic!("no ReadyForQuery within {:?}; so far {reply:?}", self.limit),
            }
        }
    }

    /// A simple query and its reply.
    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Reply {
        self.send(&frame::query(sql.as_bytes()));
        self.reply()
    }

    /// One statement by the extended protocol, described, text parameters.
    #[track_caller]
    pub fn extended(&mut self, sql: &str, params: &[&str], result_format: i16) -> Reply {
        let params: Vec<_> = params.iter().map(|param| Some(param.as_bytes().to_vec())).collect();
        let mut frames = frame::parse("", sql.as_bytes(), &[]);
        frames.extend(frame::bind("", "", &params, &[], result_format));
        frames.extend(frame::name(b'D', b'P', ""));
        frames.extend(frame::execute("", 0));
        frames.extend(frame::sync());
        self.send(&frames);
        self.reply()
    }

    /// Messages that come within `wait` of silence.
    pub fn drain(&mut self, wait: Duration) -> Reply {
        let mut reply = Reply { status: '-', ..Reply::default() };
        while let Ok(message) = self.next(wait) {
            reply.add(&message);
        }
        reply
    }

    /// A CancelRequest with this key on a connection of its own.
    pub fn cancel(&self, key_data: &[u8]) {
        let mut other = Self::open(self.port).expect("a second connection");
        other.send(&frame::cancel_request(key_data));
        other.fill(Duration::from_secs(5));
    }

    /// Ends the connection politely.
    pub fn terminate(mut self) {
        self.send(&frame::terminate());
        let _ = self.stream.shutdown(Shutdown::Write);
        while self.fill(Duration::from_secs(2)) {}
    }
}
