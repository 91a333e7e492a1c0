//! A MySQL client that works on packets and keeps every byte it received. It repairs nothing and hides nothing:
//! what the server sends is what the test sees.

pub mod answer;
pub mod command;
mod connect;
pub mod flags;
pub mod login;
pub mod packet;
mod result;
pub mod stream;
pub mod value;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub use answer::{Column, Done, Fault, Reply};
pub use login::Greeting;
pub use result::{Prepared, Rows};
pub use stream::{Packing, Tls};
use stream::{Received, Stream};
pub use value::Value;

pub use super::{NoMessage, PATIENCE};

/// Where and as whom to connect.
#[derive(Clone, Debug)]
pub struct Startup {
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
    /// Database; empty: none is named.
    pub database: String,
    /// Capability flags, as far as the server has them.
    pub flags: u64,
    /// Capability flags that are sent whatever the server has.
    pub forced: u64,
    /// Collation of the handshake: 45 is utf8mb4_general_ci.
    pub charset: u8,
    /// The client's own plugin; default: the one of the greeting.
    pub plugin: Option<&'static str>,
    /// TLS.
    pub tls: Tls,
    /// Connection attributes.
    pub attributes: Vec<(String, String)>,
}

impl Startup {
    /// With nothing special.
    pub fn new(port: u16, user: &str, password: &str, database: &str) -> Self {
        let [user, password, database] = [user, password, database].map(str::to_owned);
        Self {
            port,
            user,
            password,
            database,
            flags: flags::USUAL,
            forced: 0,
            charset: 45,
            plugin: None,
            tls: Tls::Off,
            attributes: Vec::new(),
        }
    }

    /// With these flags, too.
    #[must_use]
    pub fn with(mut self, flags: u64) -> Self {
        self.flags |= flags;
        self
    }

    /// Without these flags.
    #[must_use]
    pub fn without(mut self, flags: u64) -> Self {
        self.flags &= !flags;
        self
    }

    /// With TLS.
    #[must_use]
    pub fn over(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// With this plugin of the client's own.
    #[must_use]
    pub fn by(mut self, plugin: &'static str) -> Self {
        self.plugin = Some(plugin);
        self
    }

    /// As a URL, as drivers take it.
    pub fn url(&self) -> String {
        let Self { port, user, password, database, .. } = self;
        format!("mysql://{user}:{password}@127.0.0.1:{port}/{database}")
    }
}

/// A login that failed, with all that came.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The error, if one was sent.
    pub error: Option<Fault>,
    /// Every byte that came.
    pub received: Vec<u8>,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    received: Vec<u8>,
    read: usize,
    closed: bool,
    sequence: u8,
    strict: bool,
    greeting: Greeting,
    capabilities: u64,
    plugins: Vec<String>,
    handshake: usize,
    limit: Duration,
    /// What LOAD DATA LOCAL may have, by name; anything else is answered with nothing.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Client {
    /// The greeting of this connection.
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// What was agreed.
    pub fn capabilities(&self) -> u64 {
        self.capabilities
    }

    /// The plugins that took part in the last login, in order: `caching_sha2_password`, `… fast`, `… full`.
    pub fn plugins(&self) -> &[String] {
        &self.plugins
    }

    /// The connection id of the greeting.
    pub fn connection(&self) -> u32 {
        self.greeting.connection
    }

    /// Every byte received so far, out of TLS and compression.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Every byte received after the login.
    pub fn received_after_login(&self) -> &[u8] {
        &self.received[self.handshake..]
    }

    /// How long to wait for answers from now on.
    pub fn set_patience(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// From now on sequence numbers are taken as they come; otherwise a wrong one panics.
    pub fn ignore_sequence(&mut self) {
        self.strict = false;
    }

    /// Whether the other side closed the connection.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Sends bytes as they stand.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.send(bytes);
    }

    /// Sends one command; its answer is to be read.
    pub fn send_command(&mut self, payload: &[u8]) {
        self.stream.restart();
        let (bytes, next) = packet::packets(0, payload);
        self.sequence = next;
        self.send(&bytes);
    }

    /// Sends one payload that belongs to a conversation under way.
    pub fn send_payload(&mut self, payload: &[u8]) {
        let (bytes, next) = packet::packets(self.sequence, payload);
        self.sequence = next;
        self.send(&bytes);
    }

    /// Sends several of them in one go: long ones are written beside us, and would overtake each other.
    pub fn send_payloads(&mut self, payloads: &[&[u8]]) {
        let mut all = Vec::new();
        for payload in payloads {
            let (bytes, next) = packet::packets(self.sequence, payload);
            self.sequence = next;
            all.extend(bytes);
        }
        self.send(&all);
    }

    /// The next answer begins a new conversation, as when several commands were sent at once.
    pub fn next_answer(&mut self) {
        self.sequence = 1;
    }

    /// Reads what is there, waiting at most so long. `false`: nothing came.
    pub fn fill(&mut self, wait: Duration) -> bool {
        if self.closed {
            return false;
        }
        match self.stream.read(wait) {
            Received::Bytes(bytes) => self.received.extend(bytes),
            Received::Nothing => return false,
            Received::Closed => {
                self.closed = true;
                return false;
            }
        }
        true
    }

    /// The next payload, its packets joined.
    ///
    /// # Errors
    /// When none comes within `wait`.
    pub fn next(&mut self, wait: Duration) -> Result<Vec<u8>, NoMessage> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(payload) = self.buffered() {
                return Ok(payload);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.fill(left) {
                if self.closed {
                    return Err(NoMessage::Closed);
                }
                if left.is_zero() {
                    return Err(NoMessage::Late);
                }
            }
        }
    }

    fn buffered(&mut self) -> Option<Vec<u8>> {
        // First whether all of it is there: a long payload comes in many pieces, and copying is for the end.
        let (mut at, mut packets) = (self.read, Vec::new());
        loop {
            let header = self.received.get(at..at + 4)?;
            let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
            packets.push((header[3], at + 4, length));
            at += 4 + length;
            if self.received.len() < at {
                return None;
            }
            if length < packet::LONGEST {
                break;
            }
        }
        let mut payload = Vec::with_capacity(at - self.read);
        for (number, start, length) in packets {
            let wanted = self.sequence;
            assert!(!self.strict || number == wanted, "packet number {number} came in the place of {wanted}");
            payload.extend(&self.received[start..start + length]);
            self.sequence = number.wrapping_add(1);
        }
        self.read = at;
        Some(payload)
    }

    /// Payloads that come within `wait` of silence.
    pub fn drain(&mut self, wait: Duration) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.next(wait).ok()).collect()
    }

    /// Ends the connection politely.
    pub fn terminate(mut self) {
        self.send_command(&[command::QUIT]);
        self.stream.finish();
        while self.fill(Duration::from_secs(2)) {}
    }
}
