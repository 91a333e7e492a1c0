//! What comes before authentication: SSLRequest, GSSENCRequest, CancelRequest and the startup packet, as a machine
//! that takes bytes and says what to do. It answers no question about users: nothing here knows one.

use super::{
    codec::{Body, MAX_LOGIN_PACKET, Malformed},
    settings::{self, Setting},
};
use crate::error::ClientError;

/// Major 1234 stands for requests that are no version.
const CANCEL: u32 = 1234 << 16 | 5678;
const SSL: u32 = 1234 << 16 | 5679;
const GSS: u32 = 1234 << 16 | 5680;

/// The newest minor version of protocol 3 spoken here.
pub const NEWEST_MINOR: u16 = 2;

/// The first byte of a TLS handshake record: direct TLS, without an SSLRequest.
pub const TLS_HANDSHAKE: u8 = 0x16;

/// What the listener does about TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Never.
    Off,
    /// When asked.
    Prefer,
    /// A startup packet in plain text is refused.
    Require,
}

/// How far the bytes are protected already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Plain(Offer),
    Tls,
}

/// Whether a request was made before; each is answered once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    No,
    Yes,
}

/// A connection on which no startup packet has been read.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    channel: Channel,
    ssl: Asked,
    gss: Asked,
}

/// The session that a CancelRequest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelKey {
    /// As in BackendKeyData.
    pub process: i32,
    /// As in BackendKeyData: 4 bytes, or up to 256 for protocol 3.2.
    pub secret: Vec<u8>,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Read more; nothing was consumed.
    Wait(Opening),
    /// Send `N`, drop the request (`consumed` bytes) and go on in plain text.
    Decline {
        /// The machine afterwards.
        then: Opening,
        /// Bytes of the request.
        consumed: usize,
    },
    /// Send `S`, drop the request (`consumed` bytes), do the TLS handshake, go on with [`Opening::encrypted`].
    UpgradeToTls {
        /// Bytes of the request.
        consumed: usize,
    },
    /// Do the TLS handshake with the bytes as they stand; ALPN must agree. Then [`Opening::encrypted`].
    DirectTls,
    /// Pass it to the session it names, close without a word.
    Cancel(CancelKey),
    /// A client wants to log in; `consumed` bytes are read.
    Start {
        /// What it wants.
        startup: Startup,
        /// Bytes of the packet.
        consumed: usize,
    },
}

impl Opening {
    /// A new connection on a listener with this `offer`.
    pub fn new(offer: Offer) -> Self {
        Self { channel: Channel::Plain(offer), ssl: Asked::No, gss: Asked::No }
    }

    /// A connection whose TLS handshake is done.
    pub fn encrypted() -> Self {
        Self { channel: Channel::Tls, ssl: Asked::Yes, gss: Asked::Yes }
    }

    /// Looks at all bytes read and not yet consumed.
    ///
    /// # Errors
    /// What the client is told before the connection ends.
    pub fn advance(self, input: &[u8]) -> Result<Step, ClientError> {
        if input.first() == Some(&TLS_HANDSHAKE) && self.may_start_directly() {
            return Ok(Step::DirectTls);
        }
        let Some((length, rest)) = input.split_first_chunk::<4>() else { return Ok(Step::Wait(self)) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if !(8..=MAX_LOGIN_PACKET).contains(&length) {
            return Err(violation("invalid length of startup packet"));
        }
        let Some(packet) = rest.get(..length - 4) else { return Ok(Step::Wait(self)) };
        let surplus = input.len() > length;
        let mut body = Body::new("startup", packet);
        match body.u32().map_err(malformed)? {
            SSL => self.ssl(&body, length, surplus),
            GSS => self.gss(&body, length, surplus),
            CANCEL => cancel(&mut body).map(Step::Cancel),
            version => match self.channel {
                Channel::Plain(Offer::Require) => Err(ClientError::StartupRefused {
                    message: "this port takes encrypted connections only".into(),
                    hint: "connect with sslmode=require".into(),
                    sqlstate: "28000",
                }),
                Channel::Plain(Offer::Off | Offer::Prefer) | Channel::Tls => {
                    Startup::decode(version, &mut body).map(|startup| Step::Start { startup, consumed: length })
                }
            },
        }
    }

    fn may_start_directly(self) -> bool {
        let offered = match self.channel {
            Channel::Plain(Offer::Prefer | Offer::Require) => true,
            Channel::Plain(Offer::Off) | Channel::Tls => false,
        };
        offered && self.ssl == Asked::No && self.gss == Asked::No
    }

    fn ssl(mut self, body: &Body<'_>, consumed: usize, surplus: bool) -> Result<Step, ClientError> {
        body.end().map_err(malformed)?;
        if std::mem::replace(&mut self.ssl, Asked::Yes) == Asked::Yes {
            return Err(violation("an SSLRequest where a startup packet was expected"));
        }
        // Bytes sent before the answer were sent in plain text, perhaps by somebody in between who wants them taken
        // for the encrypted client's own (CVE-2021-23222).
        if surplus {
            return Err(violation("received unencrypted data after SSL request"));
        }
        match self.channel {
            Channel::Plain(Offer::Prefer | Offer::Require) => Ok(Step::UpgradeToTls { consumed }),
            Channel::Plain(Offer::Off) | Channel::Tls => Ok(Step::Decline { then: self, consumed }),
        }
    }

    fn gss(mut self, body: &Body<'_>, consumed: usize, surplus: bool) -> Result<Step, ClientError> {
        body.end().map_err(malformed)?;
        if std::mem::replace(&mut self.gss, Asked::Yes) == Asked::Yes {
            return Err(violation("a GSSENCRequest where a startup packet was expected"));
        }
        if surplus {
            return Err(violation("received unencrypted data after GSSAPI encryption request"));
        }
        Ok(Step::Decline { then: self, consumed })
    }
}

fn cancel(body: &mut Body<'_>) -> Result<CancelKey, ClientError> {
    let process = body.i32().map_err(malformed)?;
    let secret = body.rest().to_vec();
    if (4..=256).contains(&secret.len()) {
        Ok(CancelKey { process, secret })
    } else {
        Err(violation("invalid length of query cancel packet"))
    }
}

fn violation(text: impl Into<String>) -> ClientError {
    ClientError::ProtocolViolation(text.into())
}

fn malformed(error: Malformed) -> ClientError {
    violation(error.to_string())
}

/// The one NegotiateProtocolVersion a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiation {
    /// The minor version spoken from here on.
    pub minor: u16,
    /// `_pq_.` options not known here.
    pub unknown: Vec<String>,
}

/// A startup packet, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// The minor version spoken.
    pub minor: u16,
    /// To be sent before authentication, if something has to be negotiated.
    pub negotiation: Option<Negotiation>,
    /// Who wants to log in.
    pub user: String,
    /// Where to; the user's name if the client named nothing.
    pub database: String,
    /// Every setting, those of `options` first, in the order in which the server would apply them.
    pub settings: Vec<Setting>,
}

impl Startup {
    /// The value in force of a setting, its name in lower case.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
    }

    fn decode(version: u32, body: &mut Body<'_>) -> Result<Self, ClientError> {
        let (major, asked) = (version >> 16, version & 0xffff);
        if major != 3 {
            return Err(ClientError::StartupRefused {
                message: format!(
                    "unsupported frontend protocol {major}.{asked}: only 3.0 to 3.{NEWEST_MINOR} are spoken"
                ),
                hint: "use a client of PostgreSQL 7.4 or newer".into(),
                sqlstate: "0A000",
            });
        }
        let minor = u16::try_from(asked).unwrap_or(u16::MAX).min(NEWEST_MINOR);
        let mut raw = Parameters::decode(body)?;
        let user = raw.user.take().filter(|user| !user.is_empty()).ok_or_else(|| ClientError::StartupRefused {
            message: "no user name specified in startup packet".into(),
            hint: "connect with user=NAME".into(),
            sqlstate: "28000",
        })?;
        let negotiate = asked > u32::from(NEWEST_MINOR) || !raw.unknown.is_empty();
        let mut settings = settings::parse_options(&raw.options)?;
        settings.append(&mut raw.settings);
        settings::check(&settings)?;
        Ok(Self {
            minor,
            negotiation: negotiate.then_some(Negotiation { minor, unknown: raw.unknown }),
            database: raw.database.filter(|database| !database.is_empty()).unwrap_or_else(|| user.clone()),
            user,
            settings,
        })
    }
}

/// A packet's name-value pairs, sorted by what they are.
#[derive(Default)]
struct Parameters {
    user: Option<String>,
    database: Option<String>,
    options: String,
    unknown: Vec<String>,
    settings: Vec<Setting>,
}

impl Parameters {
    fn decode(body: &mut Body<'_>) -> Result<Self, ClientError> {
        let mut this = Self::default();
        loop {
            let name = text(body)?;
            if name.is_empty() {
                break;
            }
            let value = text(body)?;
            // The names of the packet's own fields are compared exactly, those of settings without case.
            match name {
                "user" => this.user = Some(value.to_owned()),
                "database" => this.database = Some(value.to_owned()),
                "options" => value.clone_into(&mut this.options),
                "replication" => replication(value)?,
                _ if name.starts_with("_pq_.") => this.unknown.push(name.to_owned()),
                _ => this.settings.push(Setting { name: name.to_ascii_lowercase(), value: value.to_owned() }),
            }
        }
        body.end().map_err(|_| violation("invalid startup packet layout: expected terminator as last byte"))?;
        Ok(this)
    }
}

fn text<'a>(body: &mut Body<'a>) -> Result<&'a str, ClientError> {
    std::str::from_utf8(body.text().map_err(malformed)?).map_err(|_| violation("a startup packet that is not UTF-8"))
}

fn replication(value: &str) -> Result<(), ClientError> {
    if settings::boolean(value) == Some(false) {
        return Ok(());
    }
    Err(ClientError::StartupRefused {
        message: "replication connections are not supported".into(),
        hint: "connect without the parameter `replication`; stream changes from the database itself".into(),
        sqlstate: "0A000",
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn packet(version: u32, rest: &[u8]) -> Vec<u8> {
        let length = rest.len() as u32 + 8;
        [&length.to_be_bytes(), &version.to_be_bytes(), rest].concat()
    }

    fn started(version: u32, rest: &[u8]) -> Result<Startup, ClientError> {
        match Opening::new(Offer::Off).advance(&packet(version, rest))? {
            Step::Start { startup, .. } => Ok(startup),
            other => panic!("{other:?}"),
        }
    }

    const V30: u32 = 3 << 16;

    #[test]
    fn a_startup_packet_is_read_whole_and_in_pieces() {
        let bytes = packet(V30, b"user\0ann\0options\0-c geqo=off\0DateStyle\0ISO\0application_name\0psql\0\0");
        for end in 0..bytes.len() {
            assert!(matches!(Opening::new(Offer::Prefer).advance(&bytes[..end]), Ok(Step::Wait(_))), "{end}");
        }
        let Ok(Step::Start { startup, consumed }) = Opening::new(Offer::Prefer).advance(&bytes) else { panic!() };
        assert_eq!(consumed, bytes.len());
        assert_eq!((startup.user.as_str(), startup.database.as_str(), startup.minor), ("ann", "ann", 0));
        assert_eq!(startup.negotiation, None);
        let names: Vec<_> = startup.settings.iter().map(|setting| setting.name.as_str()).collect();
        assert_eq!(names, ["geqo", "datestyle", "application_name"]);
        assert_eq!(startup.setting("application_name"), Some("psql"));
    }

    #[test]
    fn versions_are_negotiated_once_and_only_if_needed() {
        let minor = |minor: u32, rest: &[u8]| started(V30 | minor, rest).unwrap();
        assert_eq!(minor(2, b"user\0a\0\0").negotiation, None);
        let newer = minor(9999, b"user\0a\0_pq_.test\0x\0\0");
        assert_eq!(newer.minor, 2);
        assert_eq!(newer.negotiation, Some(Negotiation { minor: 2, unknown: vec!["_pq_.test".into()] }));
        let old = minor(0, b"user\0a\0_pq_.x\0\0\0");
        assert_eq!(old.negotiation, Some(Negotiation { minor: 0, unknown: vec!["_pq_.x".into()] }));
        assert!(matches!(started(2 << 16, b"user\0a\0\0"), Err(ClientError::StartupRefused { sqlstate: "0A000", .. })));
    }

    #[test]
    fn packets_out_of_shape_are_refused() {
        let refused: [&[u8]; 6] = [b"", b"\0", b"user\0a\0", b"user\0a\0\0\0", b"user\0\0\0", b"user\0\xff\0\0"];
        for rest in refused {
            assert!(started(V30, rest).is_err(), "{rest:?}");
        }
        for length in [0u32, 7, 10_001, u32::MAX] {
            let bytes = length.to_be_bytes();
            assert!(matches!(Opening::new(Offer::Off).advance(&bytes), Err(ClientError::ProtocolViolation(_))));
        }
    }

    #[test]
    fn what_would_weaken_the_gate_is_refused_before_authentication() {
        let refused: [&[u8]; 6] = [
            b"user\0a\0replication\0database\0\0",
            b"user\0a\0replication\0tr\0\0",
            b"user\0a\0options\0-c role=postgres\0\0",
            b"user\0a\0options\0--session-authorization=x\0\0",
            b"user\0a\0Role\0postgres\0\0",
            b"user\0a\0USER\0b\0\0",
        ];
        for rest in refused {
            assert!(matches!(started(V30, rest), Err(ClientError::StartupRefused { .. })), "{rest:?}");
        }
        assert!(started(V30, b"user\0a\0replication\0off\0\0").is_ok());
    }

    #[test]
    fn encryption_requests_are_answered_once_each_in_either_order() {
        let (ssl, gss) = (packet(SSL, b""), packet(GSS, b""));
        let Ok(Step::Decline { then, consumed: 8 }) = Opening::new(Offer::Prefer).advance(&gss) else { panic!() };
        assert!(matches!(then.advance(&ssl), Ok(Step::UpgradeToTls { consumed: 8 })));
        assert!(matches!(then.advance(&gss), Err(ClientError::ProtocolViolation(_))));
        let Ok(Step::Decline { then, .. }) = Opening::new(Offer::Off).advance(&ssl) else { panic!() };
        let Ok(Step::Decline { then, .. }) = then.advance(&gss) else { panic!() };
        assert!(then.advance(&ssl).is_err());
        assert!(matches!(then.advance(&packet(V30, b"user\0a\0\0")), Ok(Step::Start { .. })));
        assert!(Opening::encrypted().advance(&ssl).is_err());
        assert!(Opening::encrypted().advance(&gss).is_err());
    }

    #[test]
    fn bytes_behind_an_encryption_request_are_refused() {
        let mut bytes = packet(SSL, b"");
        bytes.extend(packet(V30, b"user\0mallory\0\0"));
        assert!(matches!(Opening::new(Offer::Prefer).advance(&bytes), Err(ClientError::ProtocolViolation(_))));
        let mut bytes = packet(GSS, b"");
        bytes.push(0);
        assert!(matches!(Opening::new(Offer::Off).advance(&bytes), Err(ClientError::ProtocolViolation(_))));
    }

    #[test]
    fn tls_may_start_directly_and_only_first() {
        assert!(matches!(Opening::new(Offer::Require).advance(&[0x16]), Ok(Step::DirectTls)));
        assert!(matches!(Opening::new(Offer::Off).advance(&[0x16, 3, 1, 2]), Err(ClientError::ProtocolViolation(_))));
        assert!(!matches!(Opening::encrypted().advance(&[0x16, 3, 1, 2]), Ok(Step::DirectTls)));
    }

    #[test]
    fn required_tls_stops_plain_logins_but_no_cancels() {
        let start = packet(V30, b"user\0a\0\0");
        assert!(matches!(
            Opening::new(Offer::Require).advance(&start),
            Err(ClientError::StartupRefused { sqlstate: "28000", .. })
        ));
        assert!(matches!(Opening::encrypted().advance(&start), Ok(Step::Start { .. })));
        let Ok(Step::Cancel(key)) = Opening::new(Offer::Require).advance(&packet(CANCEL, b"\0\0\0\x07longer-secret"))
        else {
            panic!()
        };
        assert_eq!(key, CancelKey { process: 7, secret: b"longer-secret".to_vec() });
        assert!(Opening::new(Offer::Off).advance(&packet(CANCEL, b"\0\0\0\x07abc")).is_err());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            version in prop_oneof![Just(V30), Just(SSL), Just(GSS), Just(CANCEL), any::<u32>()],
            rest in vec(prop_oneof![2 => Just(0u8), 3 => any::<u8>()], 0..64),
            cut in any::<usize>(),
        ) {
            let bytes = packet(version, &rest);
            let _ = Opening::new(Offer::Prefer).advance(&bytes);
            let _ = Opening::encrypted().advance(&bytes[..cut % (bytes.len() + 1)]);
            let _ = Opening::new(Offer::Off).advance(&rest);
        }
    }
}
