//! The proxy as a client: startup packet and authentication towards an upstream, as a machine. Protocol 3.0, so that
//! no upstream has to negotiate. Opens no connection and derives no key itself: that is [`Derivation`], for a thread
//! that may block.

use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, ScramSha256},
};
use thiserror::Error;

use super::{
    backend::{Authentication, Report, TransactionStatus, backend_key_data, parameter_status, tag},
    codec::{Frame, Malformed},
    encode::{Unencodable, message},
    frontend::tag as front,
    scram::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS},
    settings::Setting,
};
use crate::config::Secret;

/// An SSLRequest.
pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A CancelRequest for the session with this key.
///
/// # Errors
/// When the key is too long.
pub fn cancel_request(process: i32, secret: &[u8]) -> Result<Vec<u8>, Unencodable> {
    let mut out = Vec::with_capacity(16);
    message(&mut out, None, |body| {
        body.i32(1234 << 16 | 5678);
        body.i32(process);
        body.bytes(secret);
        Ok(())
    })?;
    Ok(out)
}

/// A startup packet for protocol 3.0.
///
/// # Errors
/// When a text holds a NUL.
pub fn startup_packet(user: &str, database: &str, settings: &[Setting]) -> Result<Vec<u8>, Unencodable> {
    let mut out = Vec::with_capacity(128);
    message(&mut out, None, |body| {
        body.i32(3 << 16);
        let own = [("user", user), ("database", database)];
        let given = settings.iter().map(|setting| (setting.name.as_str(), setting.value.as_str()));
        for (name, value) in own.into_iter().chain(given) {
            body.text(name.as_bytes())?;
            body.text(value.as_bytes())?;
        }
        body.byte(0);
        Ok(())
    })?;
    Ok(out)
}

/// Why an upstream does not let us in. The text is for our log; a client gets [`LoginFailure::reason`].
#[derive(Debug, Error)]
pub enum LoginFailure {
    /// It said so.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Refused {
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its message.
        message: String,
    },
    /// It wants a password and none is configured.
    #[error("the upstream asks for a password, and none is configured")]
    NoPassword,
    /// It wants what we do not speak: Kerberos, GSSAPI, SSPI, or a SASL mechanism.
    #[error("the upstream asks for an authentication method that is not supported: {0}")]
    Method(String),
    /// It does not know our password itself, or somebody stands in between.
    #[error("SCRAM failed: {0}")]
    Scram(std::io::Error),
    /// It would keep the proxy busy or fill its memory.
    #[error("the upstream asks for more than a login is worth: {0}")]
    Excessive(&'static str),
    /// A message where it may not be.
    #[error("unexpected message `{}` at login", char::from(*.0).escape_default())]
    Unexpected(u8),
    /// A message out of shape.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A name or password that cannot be sent.
    #[error(transparent)]
    Unencodable(#[from] Unencodable),
}

impl LoginFailure {
    /// What a client may know: no host, no user, no word of the upstream's own.
    pub fn reason(&self) -> String {
        match self {
            Self::Refused { sqlstate, .. } => match sqlstate.as_str() {
                "28P01" | "28000" => "the database refused the proxy's login; tell an administrator".into(),
                "3D000" => "the database does not exist on its server; tell an administrator".into(),
                "53300" => "the database takes no more connections".into(),
                "57P03" => "the database is starting up or shutting down".into(),
                "22023" | "42704" => "the database refused a setting that the client gave at connection start".into(),
                // A SQLSTATE is five letters and digits; anything else is not repeated.
                code if code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    format!("the database refused the connection (SQLSTATE {code})")
                }
                _ => "the database refused the connection".into(),
            },
            Self::NoPassword | Self::Method(_) => {
                "the database asks for a login that the proxy is not configured for; tell an administrator".into()
            }
            Self::Scram(_) => "the database could not prove that it knows the proxy's password".into(),
            Self::Excessive(_) | Self::Unexpected(_) | Self::Malformed(_) | Self::Unencodable(_) => {
                "the database did not answer as PostgreSQL does".into()
            }
        }
    }
}

/// What the connection offers for channel binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// No TLS, or a certificate without such a binding.
    Unsupported,
    /// The upstream certificate's `tls-server-end-point`.
    EndPoint(Vec<u8>),
}

/// A session that the upstream opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Every ParameterStatus, in order.
    pub parameters: Vec<(String, String)>,
    /// For cancel requests.
    pub process_id: i32,
    /// For cancel requests.
    pub secret: Vec<u8>,
}

/// What to do after a message.
#[derive(Debug)]
pub enum Action {
    /// Read the next.
    Wait,
    /// Send this.
    Send(Vec<u8>),
    /// Run [`Derivation::run`] where blocking is allowed, and give its result to [`Conversation::derived`].
    Derive(Box<Derivation>),
    /// The session is open.
    Ready(Opened),
}

/// Parameters that an upstream may report at login; servers report about fifteen.
const MOST_PARAMETERS: usize = 200;
/// The longest of them, as a message; a search_path may have thousands of characters.
const LONGEST_PARAMETER: usize = 64 << 10;
/// Iterations of SCRAM: a second of work or two. PostgreSQL has 4096 unless told otherwise.
const MOST_ITERATIONS: u64 = 10_000_000;

/// The iteration count of a challenge, `r=…,s=…,i=…`; one out of shape fails where it is read.
fn iterations(challenge: &[u8]) -> Option<u64> {
    let fields = challenge.split(|byte| *byte == b',');
    let count = fields.filter_map(|field| field.strip_prefix(b"i=")).next()?;
    std::str::from_utf8(count).ok()?.parse().ok()
}

/// How far authentication is.
enum State {
    Unasked,
    PasswordSent,
    ScramFirst(Box<ScramSha256>),
    ScramDeriving,
    ScramLast(Box<ScramSha256>),
    ServerProven,
    Authenticated,
}

/// A login in progress.
pub struct Conversation {
    user: String,
    password: Option<Secret>,
    binding: Binding,
    state: State,
    parameters: Vec<(String, String)>,
    key: Option<(i32, Vec<u8>)>,
}

impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Conversation")
    }
}

/// A PBKDF2 run: milliseconds, or as long as the upstream's iteration count says.
pub struct Derivation {
    scram: Box<ScramSha256>,
    challenge: Vec<u8>,
}

impl std::fmt::Debug for Derivation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Derivation")
    }
}

/// A derived key's proof.
pub struct Derived(Box<ScramSha256>);

impl Derivation {
    /// Derives; blocks.
    ///
    /// # Errors
    /// When the challenge is not what RFC 5802 says.
    pub fn run(mut self) -> Result<Derived, LoginFailure> {
        self.scram.update(&self.challenge).map_err(LoginFailure::Scram)?;
        Ok(Derived(self.scram))
    }
}

impl Conversation {
    /// A login whose startup packet is out.
    pub fn new(user: &str, password: Option<&Secret>, binding: Binding) -> Self {
        Self {
            user: user.to_owned(),
            password: password.cloned(),
            binding,
            state: State::Unasked,
            parameters: Vec::new(),
            key: None,
        }
    }

    /// Takes the upstream's next message.
    ///
    /// # Errors
    /// [`LoginFailure`]; the connection is then of no use.
    pub fn receive(&mut self, frame: Frame<'_>) -> Result<Action, LoginFailure> {
        match (frame.tag, &self.state) {
            (tag::ERROR_RESPONSE, _) => {
                let report = Report::decode(frame.body)?;
                let text = |code| String::from_utf8_lossy(report.get(code).unwrap_or_default()).into_owned();
                Err(LoginFailure::Refused { sqlstate: text(b'C'), message: text(b'M') })
            }
            (tag::NOTICE_RESPONSE, _) => Report::decode(frame.body).map(|_| Action::Wait).map_err(Into::into),
            (tag::PARAMETER_STATUS, State::Authenticated) => {
                let (name, value) = parameter_status(frame.body)?;
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                if self.parameters.len() >= MOST_PARAMETERS || frame.raw.len() > LONGEST_PARAMETER {
                    return Err(LoginFailure::Excessive("parameters"));
                }
                self.parameters.push((text(name), text(value)));
                Ok(Action::Wait)
            }
            (tag::BACKEND_KEY_DATA, State::Authenticated) => {
                let (process, secret) = backend_key_data(frame.body)?;
                self.key = Some((process, secret.to_vec()));
                Ok(Action::Wait)
            }
            (tag::READY_FOR_QUERY, State::Authenticated) => self.ready(frame.body),
            (tag::AUTHENTICATION, _) => self.authentication(frame.body),
            (other, _) => Err(LoginFailure::Unexpected(other)),
        }
    }

    fn ready(&mut self, body: &[u8]) -> Result<Action, LoginFailure> {
        if TransactionStatus::decode(body)? != TransactionStatus::Idle {
            return Err(LoginFailure::Unexpected(tag::READY_FOR_QUERY));
        }
        // Poolers without cancelling send no key; one of zeros cancels nothing.
        let (process_id, secret) = self.key.take().unwrap_or_else(|| (0, vec![0; 4]));
        Ok(Action::Ready(Opened { parameters: std::mem::take(&mut self.parameters), process_id, secret }))
    }

    fn authentication(&mut self, body: &[u8]) -> Result<Action, LoginFailure> {
        let state = std::mem::replace(&mut self.state, State::Authenticated);
        match (Authentication::decode(body)?, state) {
            // A server that was asked for SCRAM must prove itself before it says that all is well.
            (Authentication::Ok, State::Unasked | State::PasswordSent | State::ServerProven) => Ok(Action::Wait),
            (Authentication::Cleartext, State::Unasked) => {
                self.state = State::PasswordSent;
                let password = self.password()?.reveal().to_owned();
                self.send_text(password.as_bytes())
            }
            (Authentication::Md5(salt), State::Unasked) => {
                self.state = State::PasswordSent;
                let hash = md5_hash(self.user.as_bytes(), self.password()?.reveal().as_bytes(), salt);
                self.send_text(hash.as_bytes())
            }
            (Authentication::Sasl(mechanisms), State::Unasked) => self.sasl(mechanisms),
            (Authentication::SaslContinue(challenge), State::ScramFirst(scram)) => {
                if iterations(challenge).is_some_and(|count| count > MOST_ITERATIONS) {
                    return Err(LoginFailure::Excessive("iterations of SCRAM"));
                }
                self.state = State::ScramDeriving;
                Ok(Action::Derive(Box::new(Derivation { scram, challenge: challenge.to_vec() })))
            }
            (Authentication::SaslFinal(last), State::ScramLast(mut scram)) => {
                scram.finish(last).map_err(LoginFailure::Scram)?;
                self.state = State::ServerProven;
                Ok(Action::Wait)
            }
            (Authentication::Other(method), State::Unasked) => Err(LoginFailure::Method(format!("number {method}"))),
            (_, _) => Err(LoginFailure::Unexpected(tag::AUTHENTICATION)),
        }
    }

    fn password(&self) -> Result<&Secret, LoginFailure> {
        self.password.as_ref().ok_or(LoginFailure::NoPassword)
    }

    fn send_text(&self, text: &[u8]) -> Result<Action, LoginFailure> {
        let mut out = Vec::new();
        message(&mut out, Some(front::PASSWORD), |body| body.text(text))?;
        Ok(Action::Send(out))
    }

    fn sasl(&mut self, mechanisms: &[u8]) -> Result<Action, LoginFailure> {
        let offered = |name: &str| mechanisms.split(|byte| *byte == 0).any(|offer| offer == name.as_bytes());
        let (mechanism, binding) = match &self.binding {
            Binding::EndPoint(hash) if offered(SCRAM_SHA_256_PLUS) => {
                (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash.clone()))
            }
            // We could, they do not: said so, a server that did offer it notices the man in between.
            Binding::EndPoint(_) if offered(SCRAM_SHA_256) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
            Binding::Unsupported if offered(SCRAM_SHA_256) => (SCRAM_SHA_256, ChannelBinding::unsupported()),
            Binding::EndPoint(_) | Binding::Unsupported => {
                let names: Vec<_> = mechanisms.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
                return Err(LoginFailure::Method(names.join(" ").trim().to_owned()));
            }
        };
        let scram = ScramSha256::new(self.password()?.reveal().as_bytes(), binding);
        let mut out = Vec::new();
        message(&mut out, Some(front::PASSWORD), |body| {
            body.text(mechanism.as_bytes())?;
            body.i32(i32::try_from(scram.message().len()).map_err(|_| Unencodable::TooLong)?);
            body.bytes(scram.message());
            Ok(())
        })?;
        self.state = State::ScramFirst(Box::new(scram));
        Ok(Action::Send(out))
    }

    /// Takes what [`Derivation::run`] gave; gives what to send.
    ///
    /// # Errors
    /// When no derivation was asked for.
    pub fn derived(&mut self, derived: Derived) -> Result<Vec<u8>, LoginFailure> {
        if !matches!(self.state, State::ScramDeriving) {
            return Err(LoginFailure::Unexpected(tag::AUTHENTICATION));
        }
        let mut out = Vec::new();
        message(&mut out, Some(front::PASSWORD), |body| {
            body.bytes(derived.0.message());
            Ok(())
        })?;
        self.state = State::ScramLast(derived.0);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::postgres::{codec, encode};

    fn receive(conversation: &mut Conversation, bytes: &[u8]) -> Result<Action, LoginFailure> {
        conversation.receive(codec::frame(bytes, 10_000).unwrap().unwrap())
    }

    fn auth(method: u32, data: &[u8]) -> Vec<u8> {
        let mut out = vec![b'R'];
        out.extend_from_slice(&(data.len() as u32 + 8).to_be_bytes());
        out.extend_from_slice(&method.to_be_bytes());
        out.extend_from_slice(data);
        out
    }

    fn secret() -> Secret {
        Secret::new("pw".into())
    }

    #[test]
    fn packets_are_as_the_manual_says() {
        let settings = [Setting { name: "geqo".into(), value: "off".into() }];
        let packet = startup_packet("u", "d", &settings).unwrap();
        assert_eq!(packet, b"\0\0\0\x24\0\x03\0\0user\0u\0database\0d\0geqo\0off\0\0");
        assert_eq!(cancel_request(7, b"abcd").unwrap(), b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07abcd");
        assert_eq!(startup_packet("u\0x", "d", &[]), Err(Unencodable::Nul));
    }

    #[test]
    fn a_trusting_server_opens_the_session() {
        let mut conversation = Conversation::new("u", None, Binding::Unsupported);
        let mut bytes = Vec::new();
        encode::authentication_ok(&mut bytes);
        assert!(matches!(receive(&mut conversation, &bytes), Ok(Action::Wait)));
        bytes.clear();
        encode::parameter_status(&mut bytes, "TimeZone", "UTC").unwrap();
        assert!(matches!(receive(&mut conversation, &bytes), Ok(Action::Wait)));
        bytes.clear();
        encode::backend_key_data(&mut bytes, 7, b"abcd").unwrap();
        assert!(matches!(receive(&mut conversation, &bytes), Ok(Action::Wait)));
        let Ok(Action::Ready(opened)) = receive(&mut conversation, b"Z\0\0\0\x05I") else { panic!() };
        let parameters = vec![("TimeZone".into(), "UTC".into())];
        assert_eq!(opened, Opened { parameters, process_id: 7, secret: b"abcd".to_vec() });
    }

    #[test]
    fn what_is_more_than_a_login_is_worth_ends_it() {
        let mut conversation = Conversation::new("u", None, Binding::Unsupported);
        let mut bytes = Vec::new();
        encode::authentication_ok(&mut bytes);
        assert!(matches!(receive(&mut conversation, &bytes), Ok(Action::Wait)));
        bytes.clear();
        encode::parameter_status(&mut bytes, "name", "value").unwrap();
        for _ in 0..MOST_PARAMETERS {
            assert!(matches!(receive(&mut conversation, &bytes), Ok(Action::Wait)));
        }
        assert!(matches!(receive(&mut conversation, &bytes), Err(LoginFailure::Excessive(_))));

        for (count, taken) in [("4096", true), ("10000000", true), ("10000001", false), ("2147483647", false)] {
            let mut conversation = Conversation::new("u", Some(&secret()), Binding::Unsupported);
            let asked = receive(&mut conversation, &auth(10, b"SCRAM-SHA-256\0\0"));
            assert!(matches!(asked, Ok(Action::Send(_))));
            let told = receive(&mut conversation, &auth(11, format!("r=x,s=c2FsdA==,i={count}").as_bytes()));
            assert_eq!(matches!(told, Ok(Action::Derive(_))), taken, "{count}");
        }
    }

    #[test]
    fn passwords_go_as_asked() {
        let sent =
            |bytes: &[u8]| match receive(&mut Conversation::new("u", Some(&secret()), Binding::Unsupported), bytes) {
                Ok(Action::Send(out)) => out,
                other => panic!("{other:?}"),
            };
        assert_eq!(sent(&auth(3, b"")), b"p\0\0\0\x07pw\0");
        // md5(md5("pw" + "u") + "salt"), as Postgres stores and salts it.
        let expected = md5_hash(b"u", b"pw", *b"salt");
        assert_eq!(sent(&auth(5, b"salt")), [b"p\0\0\0\x28", expected.as_bytes(), b"\0"].concat());
    }

    #[test]
    fn the_strongest_mechanism_is_taken() {
        let sent = |binding, offer: &[u8]| match receive(
            &mut Conversation::new("u", Some(&secret()), binding),
            &auth(10, offer),
        ) {
            Ok(Action::Send(out)) => String::from_utf8_lossy(&out[5..]).into_owned(),
            other => panic!("{other:?}"),
        };
        let both = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
        assert!(sent(Binding::EndPoint(vec![1]), both).starts_with("SCRAM-SHA-256-PLUS\0"));
        assert!(sent(Binding::EndPoint(vec![1]), both).contains("p=tls-server-end-point,,n="));
        assert!(sent(Binding::Unsupported, both).contains("n,,n="));
        assert!(sent(Binding::EndPoint(vec![1]), b"SCRAM-SHA-256\0\0").contains("y,,n="));
    }

    #[test]
    fn a_server_that_skips_its_proof_is_not_believed() {
        let mut conversation = Conversation::new("u", Some(&secret()), Binding::Unsupported);
        assert!(matches!(receive(&mut conversation, &auth(10, b"SCRAM-SHA-256\0\0")), Ok(Action::Send(_))));
        assert!(matches!(receive(&mut conversation, &auth(0, b"")), Err(LoginFailure::Unexpected(b'R'))));
    }

    #[test]
    fn failures_tell_clients_nothing_of_ours() {
        let mut conversation = Conversation::new("u", None, Binding::Unsupported);
        assert!(matches!(receive(&mut conversation, &auth(3, b"")), Err(LoginFailure::NoPassword)));
        let mut conversation = Conversation::new("u", None, Binding::Unsupported);
        let mut bytes = b"E\0\0\0\0SFATAL\0C28P01\0Mpassword authentication failed for user \"hallpass\"\0\0".to_vec();
        bytes[4] = bytes.len() as u8 - 1;
        let failure = receive(&mut conversation, &bytes).unwrap_err();
        assert!(failure.to_string().contains("hallpass"));
        assert!(!failure.reason().contains("hallpass"));
        assert!(matches!(receive(&mut conversation, b"Z\0\0\0\x05I"), Err(LoginFailure::Unexpected(b'Z'))));
    }
}
