//! What comes before authentication: the greeting, the SSLRequest and the handshake response, as a machine that takes
//! bytes and says what to do. It answers no question about users: nothing here knows one.
//! Source: MySQL internals manual, "Protocol::HandshakeV10", "Protocol::HandshakeResponse41".

use super::{
    body::{Body, Malformed, put_text},
    capability::{Capabilities, Flavour},
    codec::{self, FrameError, MAX_LOGIN_PACKET, Order, Sequence},
};
use crate::error::ClientError;

pub use crate::wire::postgres::startup::Offer;

/// Bytes of a scramble, the random challenge of a login.
pub const SCRAMBLE: usize = 20;

/// The random challenge of one login. Its bytes are none of NUL and `$`, which some clients take for an end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Scramble([u8; SCRAMBLE]);

impl Scramble {
    /// From random bytes, as the server makes them: 7 bits each, without NUL and `$`.
    pub fn new(random: [u8; SCRAMBLE]) -> Self {
        Self(random.map(|byte| match byte & 0x7f {
            byte @ (0 | b'$') => byte + 1,
            byte => byte,
        }))
    }

    /// As an upstream sent it.
    pub fn received(bytes: [u8; SCRAMBLE]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; SCRAMBLE] {
        &self.0
    }
}

impl std::fmt::Debug for Scramble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scramble(…)")
    }
}

/// The server's first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// `9.2.0`, `10.11.6-MariaDB-0+deb12u1`.
    pub version: Vec<u8>,
    /// What `CONNECTION_ID()` and KILL call the session.
    pub connection: u32,
    /// The challenge for the plugin named.
    pub scramble: Scramble,
    /// What the server can do.
    pub capabilities: Capabilities,
    /// Its default collation, one byte of the number.
    pub collation: u8,
    /// Its status flags.
    pub status: u16,
    /// Its default authentication plugin; empty: none named.
    pub plugin: Vec<u8>,
}

/// MariaDB's servers of version 10 and above say 5.5.5 first, as old replicas ask for one digit.
const REPLICATION_PREFIX: &[u8] = b"5.5.5-";

impl Greeting {
    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(10);
        put_text(out, &self.version);
        out.extend_from_slice(&self.connection.to_le_bytes());
        let (first, second) = self.scramble.0.split_at(8);
        out.extend_from_slice(first);
        out.push(0);
        let [a, b, c, d] = self.capabilities.basic().to_le_bytes();
        out.extend_from_slice(&[a, b, self.collation]);
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&[c, d]);
        // The scramble's length with its closing NUL.
        out.push(21);
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.capabilities.extended().to_le_bytes());
        out.extend_from_slice(second);
        out.push(0);
        put_text(out, &self.plugin);
    }

    /// Takes a payload apart.
    ///
    /// # Errors
    /// When it is not a version 10 greeting with a scramble of 20 bytes.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("greeting", payload);
        if body.u8()? != 10 {
            return Err(body.code());
        }
        let version = body.text()?.to_vec();
        let connection = body.u32()?;
        let mut scramble = body.bytes(8)?.to_vec();
        body.u8()?;
        let [a, b] = body.array()?;
        let collation = body.u8()?;
        let status = body.u16()?;
        let [c, d] = body.array()?;
        let length = usize::from(body.u8()?);
        body.bytes(6)?;
        let extended = body.u32()?;
        let basic = u32::from_le_bytes([a, b, c, d]);
        let mut capabilities = Capabilities::from_halves(basic, 0);
        if capabilities.flavour() == Flavour::MariaDb {
            capabilities = Capabilities::from_halves(basic, extended);
        }
        scramble.extend_from_slice(body.bytes(length.saturating_sub(8).max(13))?);
        let plugin = body.text_or_rest().to_vec();
        let scramble = scramble.first_chunk().copied().map(Scramble::received).ok_or_else(|| body.count())?;
        Ok(Self { version, connection, scramble, capabilities, collation, status, plugin })
    }

    /// The version without the prefix that MariaDB's older servers put before it.
    pub fn true_version(&self) -> &[u8] {
        self.version.strip_prefix(REPLICATION_PREFIX).unwrap_or(&self.version)
    }
}

/// The client's answer to the greeting, after TLS if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// What it asks for: as it says, whatever was announced.
    pub capabilities: Capabilities,
    /// Its largest packet.
    pub max_packet: u32,
    /// Its collation's number, the low byte; `SET NAMES` says the rest.
    pub collation: u8,
    /// Who wants in.
    pub user: Vec<u8>,
    /// The answer to the challenge, for `plugin`.
    pub auth: Vec<u8>,
    /// The schema to start in; empty: none.
    pub database: Vec<u8>,
    /// The plugin that `auth` is of; `None`: it does not know about plugins, `mysql_native_password` is meant.
    pub plugin: Option<Vec<u8>>,
    /// `_client_name`, `program_name` and such, in order.
    pub attributes: Attributes,
    /// For zstd compression; 0 unless asked for.
    pub zstd_level: u8,
}

impl Response {
    /// Takes a payload apart. What stands behind the last field is ignored, as servers do.
    ///
    /// # Errors
    /// When it is not a handshake response of protocol 4.1.
    pub fn decode(payload: &[u8], announced: Capabilities) -> Result<Self, Malformed> {
        let mut body = Body::new("handshake response", payload);
        let basic = body.u32()?;
        let max_packet = body.u32()?;
        let collation = body.u8()?;
        body.bytes(19)?;
        let extended = body.u32()?;
        let mut capabilities = Capabilities::from_halves(basic, 0);
        if announced.flavour() == Flavour::MariaDb && capabilities.flavour() == Flavour::MariaDb {
            capabilities = Capabilities::from_halves(basic, extended);
        }
        let held = capabilities & announced;
        let user = body.text()?.to_vec();
        let auth = if held.has(Capabilities::PLUGIN_AUTH_LENENC) {
            body.string()?
        } else {
            let length = usize::from(body.u8()?);
            body.bytes(length)?
        };
        let auth = auth.to_vec();
        // Some clients set the flag and end there.
        let database = if held.has(Capabilities::CONNECT_WITH_DB) { body.text_or_rest().to_vec() } else { Vec::new() };
        let plugin = held.has(Capabilities::PLUGIN_AUTH).then(|| body.text_or_rest().to_vec());
        let attributes = if held.has(Capabilities::CONNECT_ATTRS) { attributes(&mut body)? } else { Vec::new() };
        let zstd_level = if held.has(Capabilities::ZSTD_COMPRESSION) { body.u8().unwrap_or(3) } else { 0 };
        Ok(Self { capabilities, max_packet, collation, user, auth, database, plugin, attributes, zstd_level })
    }
}

/// Connection attributes, names and values, in the order sent.
pub type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Connection attributes: a length of all, then names and values in turn. Nothing at all is none.
///
/// # Errors
/// When lengths do not fit.
pub fn attributes(body: &mut Body<'_>) -> Result<Attributes, Malformed> {
    if body.remaining().is_empty() {
        return Ok(Vec::new());
    }
    let mut all = Body::new("connection attributes", body.string()?);
    let mut found = Vec::new();
    while !all.remaining().is_empty() {
        found.push((all.string()?.to_vec(), all.string()?.to_vec()));
    }
    Ok(found)
}

/// How far the bytes are protected already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Plain(Offer),
    Tls,
}

/// A connection to which the greeting was sent, and which has not answered in full.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    announced: Capabilities,
    channel: Channel,
    sequence: Sequence,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Read more; nothing was consumed.
    Wait,
    /// Drop the request (`consumed` bytes), do the TLS handshake, go on with `then`.
    UpgradeToTls {
        /// Bytes of the request.
        consumed: usize,
        /// The machine afterwards.
        then: Opening,
    },
    /// A client wants to log in; `consumed` bytes are read.
    Start {
        /// What it wants.
        response: Box<Response>,
        /// What both sides can do now.
        agreed: Capabilities,
        /// Bytes of the packet.
        consumed: usize,
        /// Where the exchange goes on.
        sequence: Sequence,
    },
}

impl Opening {
    /// After a greeting with these capabilities, in packet 0, on a listener with this `offer`.
    pub fn new(announced: Capabilities, offer: Offer) -> Self {
        Self { announced, channel: Channel::Plain(offer), sequence: Sequence::at(1, Order::Checked) }
    }

    /// Looks at all bytes read and not yet consumed.
    ///
    /// # Errors
    /// What the client is told before the connection ends.
    pub fn advance(mut self, input: &[u8]) -> Result<Step, ClientError> {
        let found = codec::message(input, &mut self.sequence, MAX_LOGIN_PACKET).map_err(frame_error)?;
        let Some(message) = found else { return Ok(Step::Wait) };
        let consumed = message.raw.len();
        let payload = message.payload.as_ref();
        let flags = payload.first_chunk::<4>().map(|flags| u32::from_le_bytes(*flags));
        let flags = Capabilities::from_halves(flags.ok_or_else(|| violation("handshake response too short"))?, 0);
        if !flags.has(Capabilities::PROTOCOL_41) {
            return Err(violation("clients older than MySQL 4.1 are not supported"));
        }
        match self.channel {
            Channel::Plain(Offer::Prefer | Offer::Require) if flags.has(Capabilities::SSL) => {
                // Bytes behind the request are not TLS records of ours: somebody put them there before the handshake.
                if input.len() > consumed && input.get(consumed) != Some(&0x16) {
                    return Err(violation("received unencrypted data after SSL request"));
                }
                return Ok(Step::UpgradeToTls { consumed, then: Self { channel: Channel::Tls, ..self } });
            }
            Channel::Plain(Offer::Require) => {
                return Err(ClientError::StartupRefused {
                    message: "Connections using insecure transport are prohibited on this port".into(),
                    hint: "connect with --ssl-mode=REQUIRED (MySQL) or --ssl (MariaDB)".into(),
                    sqlstate: "HY000",
                });
            }
            Channel::Plain(Offer::Off) if flags.has(Capabilities::SSL) => {
                return Err(violation("the client asks for TLS, which was not offered"));
            }
            Channel::Plain(Offer::Off | Offer::Prefer) | Channel::Tls => {}
        }
        let response = Response::decode(payload, self.announced).map_err(|error| violation(&error.to_string()))?;
        let agreed = super::capability::agreed(self.announced, response.capabilities);
        if !agreed.has(Capabilities::NEEDED) {
            return Err(violation("clients older than MySQL 4.1 are not supported"));
        }
        Ok(Step::Start { response: Box::new(response), agreed, consumed, sequence: self.sequence })
    }
}

fn violation(what: &str) -> ClientError {
    ClientError::ProtocolViolation(what.to_owned())
}

/// What a client whose packets are out of shape is told.
pub fn frame_error(error: FrameError) -> ClientError {
    ClientError::ProtocolViolation(error.to_string())
}

#[cfg(test)]
mod tests;
