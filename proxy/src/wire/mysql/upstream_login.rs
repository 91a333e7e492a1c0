//! The proxy as a client: greeting, TLS request, handshake response and authentication towards an upstream, as a
//! machine. Opens no connection and frames no packet itself.

use thiserror::Error;

use super::{
    backend::{ErrPacket, OkPacket, Status, first},
    body::{Body, Malformed, put_int, put_string, put_text},
    capability::{Capabilities, Flavour, towards_upstream},
    hashes::veil,
    plugins::{Plugin, Protected, answer},
    rsa::{self, KeyError},
    startup::{Greeting, SCRAMBLE, Scramble},
};
use crate::config::Secret;

/// Why an upstream does not let us in. The text is for our log; a client gets [`LoginFailure::reason`].
#[derive(Debug, Error)]
pub enum LoginFailure {
    /// It said so.
    #[error("{message} ({code}, SQLSTATE {sqlstate})")]
    Refused {
        /// Its error number.
        code: u16,
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its message.
        message: String,
    },
    /// It wants a password and none is configured.
    #[error("the upstream asks for a password, and none is configured")]
    NoPassword,
    /// It wants a plugin that we do not speak, or one that gives the password away.
    #[error("the upstream asks for an authentication method that is not supported: {0}")]
    Method(String),
    /// TLS is configured, and it has none.
    #[error("the upstream does not offer TLS")]
    NoTls,
    /// It lacks what was announced to the client.
    #[error("the upstream lacks capabilities that the client was promised: {:#x}", .0.0)]
    Capabilities(Capabilities),
    /// Its RSA key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A packet where it may not be.
    #[error("unexpected packet `{0:#04x}` at login")]
    Unexpected(u8),
    /// A packet out of shape.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl LoginFailure {
    /// What a client may know: no host, no user, no word of the upstream's own.
    pub fn reason(&self) -> String {
        match self {
            Self::Refused { code, .. } => match code {
                1045 | 1044 | 1698 | 1862 | 1820 | 3118 => {
                    "the database refused the proxy's login; tell an administrator".into()
                }
                1049 => "the database does not exist on its server; tell an administrator".into(),
                1040 | 1203 | 1226 => "the database takes no more connections".into(),
                1053 => "the database is starting up or shutting down".into(),
                code => format!("the database refused the connection (error {code})"),
            },
            Self::NoPassword | Self::Method(_) | Self::NoTls => {
                "the database asks for a login that the proxy is not configured for; tell an administrator".into()
            }
            Self::Capabilities(_) => {
                "the database's server changed; connect again to speak with it as it is now".into()
            }
            Self::Key(_) | Self::Unexpected(_) | Self::Malformed(_) => {
                "the database did not answer as MySQL does".into()
            }
        }
    }
}

/// How the login's bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// In plain text over a network.
    Plain,
    /// Through a Unix socket: in plain text, but they never leave the machine. Servers take it for as good as TLS, and
    /// want a password itself where they would offer a key on a network.
    Local,
    /// TLS, or no login. Whether the certificate is checked is the caller's matter.
    Tls,
}

/// Who logs in, and how.
#[derive(Clone, Debug)]
pub struct Account {
    /// The upstream's user.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The schema to start in.
    pub database: Option<String>,
    /// The collation's number.
    pub collation: u8,
    /// What was agreed on with the client; only what is relayed counts.
    pub agreed: Capabilities,
    /// `program_name` and such, shown in `performance_schema`.
    pub attributes: Vec<(String, String)>,
}

/// A session that the upstream opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What it said first: version, connection id (for KILL), what it offers (decides what a listener announces).
    pub greeting: Greeting,
    /// What holds on this connection.
    pub held: Capabilities,
    /// The session's first state.
    pub status: Status,
}

/// What to do next. Payloads go out in one packet each, with the next sequence id.
#[derive(Debug)]
pub enum Action {
    /// Read the next packet.
    Read(UpstreamLogin),
    /// Send this, then read.
    Send(Vec<u8>, UpstreamLogin),
    /// Send this, do the TLS handshake, go on with [`UpstreamLogin::encrypted`].
    StartTls(Vec<u8>, UpstreamLogin),
    /// Logged in. The next command starts at sequence id 0.
    Done(Opened),
}

/// A login under way.
#[derive(Debug)]
pub struct UpstreamLogin {
    account: Account,
    security: Security,
    state: State,
}

#[derive(Debug)]
enum State {
    Greeting,
    Encrypting { greeting: Greeting, held: Capabilities },
    Answered { greeting: Greeting, held: Capabilities, plugin: Plugin, challenge: Vec<u8>, key: Key },
}

/// Whether the server's public key was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    NotAsked,
    Asked,
}

impl UpstreamLogin {
    /// A connection that nothing was read from.
    pub fn new(account: Account, security: Security) -> Self {
        Self { account, security, state: State::Greeting }
    }

    /// Takes the next payload.
    ///
    /// # Errors
    /// [`LoginFailure`]; the connection ends.
    pub fn read(self, payload: &[u8]) -> Result<Action, LoginFailure> {
        if payload.first() == Some(&first::ERR) {
            return Err(refused(payload)?);
        }
        let Self { account, security, state } = self;
        match state {
            State::Greeting => greeted(account, security, payload),
            State::Encrypting { .. } => Err(LoginFailure::Unexpected(payload.first().copied().unwrap_or_default())),
            State::Answered { greeting, held, plugin, challenge, key } => {
                Answered { account, security, greeting, held, plugin, challenge, key }.read(payload)
            }
        }
    }

    /// The TLS handshake is done.
    ///
    /// # Errors
    /// [`LoginFailure`], also when none was asked for.
    pub fn encrypted(self) -> Result<Action, LoginFailure> {
        match self.state {
            State::Encrypting { greeting, held } => respond(self.account, self.security, greeting, held),
            State::Greeting | State::Answered { .. } => Err(LoginFailure::Unexpected(0)),
        }
    }
}

fn refused(payload: &[u8]) -> Result<LoginFailure, Malformed> {
    let error = ErrPacket::decode(payload)?;
    Ok(LoginFailure::Refused {
        code: error.code,
        sqlstate: String::from_utf8_lossy(&error.sqlstate).into_owned(),
        message: String::from_utf8_lossy(error.message).into_owned(),
    })
}

fn greeted(account: Account, security: Security, payload: &[u8]) -> Result<Action, LoginFailure> {
    let greeting = Greeting::decode(payload)?;
    let held = towards_upstream(account.agreed, greeting.capabilities).map_err(LoginFailure::Capabilities)?;
    let held = held.with(Capabilities::CONNECT_WITH_DB, account.database.is_some());
    match security {
        Security::Plain | Security::Local => respond(account, security, greeting, held),
        Security::Tls if greeting.capabilities.has(Capabilities::SSL) => {
            let held = held | Capabilities::SSL;
            let mut request = Vec::with_capacity(32);
            head(&mut request, &account, held);
            let state = State::Encrypting { greeting, held };
            Ok(Action::StartTls(request, UpstreamLogin { account, security, state }))
        }
        Security::Tls => Err(LoginFailure::NoTls),
    }
}

/// The 32 bytes that an SSLRequest is and a handshake response begins with.
fn head(out: &mut Vec<u8>, account: &Account, held: Capabilities) {
    out.extend_from_slice(&held.basic().to_le_bytes());
    // The largest packet we take: as large as any server sends.
    out.extend_from_slice(&0x4000_0000_u32.to_le_bytes());
    out.push(account.collation);
    out.extend_from_slice(&[0; 19]);
    let extended = if held.flavour() == Flavour::MariaDb { held.extended() } else { 0 };
    out.extend_from_slice(&extended.to_le_bytes());
}

fn protected(security: Security) -> Protected {
    match security {
        Security::Plain => Protected::No,
        Security::Local | Security::Tls => Protected::Yes,
    }
}

/// The password; a plugin that needs none gets the empty one.
fn password(account: &Account) -> &[u8] {
    account.password.as_ref().map_or(&[], |secret| secret.reveal().as_bytes())
}

fn respond(
    account: Account,
    security: Security,
    greeting: Greeting,
    held: Capabilities,
) -> Result<Action, LoginFailure> {
    // The server's own default may be one that is not spoken here; the account's is what counts, and it asks for it.
    // A password is never sent as it is on the server's first word.
    let plugin = match Plugin::named(&greeting.plugin) {
        Some(plugin @ (Plugin::CachingSha2 | Plugin::Native)) => plugin,
        Some(Plugin::Ed25519 | Plugin::Clear) | None => Plugin::Native,
    };
    let challenge = greeting.scramble.bytes().to_vec();
    let auth = answer(plugin, password(&account), &challenge, protected(security)).unwrap_or_default();
    let mut out = Vec::with_capacity(128);
    head(&mut out, &account, held);
    put_text(&mut out, account.user.as_bytes());
    // Both answers are shorter than 251 bytes, where one length byte and a length-encoded one are the same.
    put_string(&mut out, &auth);
    if let Some(database) = &account.database {
        put_text(&mut out, database.as_bytes());
    }
    if held.has(Capabilities::PLUGIN_AUTH) {
        put_text(&mut out, plugin.name().as_bytes());
    }
    if held.has(Capabilities::CONNECT_ATTRS) {
        let mut all = Vec::new();
        for (name, value) in &account.attributes {
            put_string(&mut all, name.as_bytes());
            put_string(&mut all, value.as_bytes());
        }
        put_int(&mut out, all.len() as u64);
        out.extend_from_slice(&all);
    }
    let state = State::Answered { greeting, held, plugin, challenge, key: Key::NotAsked };
    Ok(Action::Send(out, UpstreamLogin { account, security, state }))
}

/// A login whose first answer is sent.
struct Answered {
    account: Account,
    security: Security,
    greeting: Greeting,
    held: Capabilities,
    plugin: Plugin,
    challenge: Vec<u8>,
    key: Key,
}

/// First byte of what a plugin sends beyond its challenge.
const MORE_DATA: u8 = 1;

impl Answered {
    fn read(self, payload: &[u8]) -> Result<Action, LoginFailure> {
        match payload.first().copied() {
            Some(first::OK) => self.done(payload),
            Some(first::EOF) => self.switch(payload),
            Some(MORE_DATA) => self.more(payload.get(1..).unwrap_or_default()),
            other => Err(LoginFailure::Unexpected(other.unwrap_or_default())),
        }
    }

    fn done(self, payload: &[u8]) -> Result<Action, LoginFailure> {
        let ok = OkPacket::decode(payload, self.held)?;
        Ok(Action::Done(Opened { greeting: self.greeting, held: self.held, status: ok.status }))
    }

    fn next(self) -> UpstreamLogin {
        let Self { account, security, greeting, held, plugin, challenge, key } = self;
        UpstreamLogin { account, security, state: State::Answered { greeting, held, plugin, challenge, key } }
    }

    fn switch(mut self, payload: &[u8]) -> Result<Action, LoginFailure> {
        let mut body = Body::new("AuthSwitchRequest", payload.get(1..).unwrap_or_default());
        if body.remaining().is_empty() {
            return Err(LoginFailure::Method("mysql_old_password".into()));
        }
        let name = body.text()?;
        let unsupported = || LoginFailure::Method(String::from_utf8_lossy(name).into_owned());
        self.plugin = Plugin::named(name).ok_or_else(unsupported)?;
        self.challenge = body.rest().to_vec();
        if self.account.password.is_none() {
            return Err(LoginFailure::NoPassword);
        }
        let answer = answer(self.plugin, password(&self.account), &self.challenge, protected(self.security));
        let answer = answer.ok_or_else(unsupported)?;
        Ok(Action::Send(answer, self.next()))
    }

    /// What caching_sha2_password says beyond its challenge: 3 done, 4 the password itself, or the public key.
    fn more(mut self, data: &[u8]) -> Result<Action, LoginFailure> {
        if self.plugin != Plugin::CachingSha2 {
            return Err(LoginFailure::Unexpected(MORE_DATA));
        }
        if self.key == Key::Asked {
            let scramble = self.challenge.first_chunk::<SCRAMBLE>().copied().map(Scramble::received);
            let scramble = scramble.ok_or(LoginFailure::Unexpected(MORE_DATA))?;
            let plain = [password(&self.account), &[0]].concat();
            let sealed = rsa::seal(data, &veil(&plain, &scramble))?;
            return Ok(Action::Send(sealed, self.next()));
        }
        match (data, self.security) {
            ([3], _) => Ok(Action::Read(self.next())),
            ([4], Security::Local | Security::Tls) => {
                let plain = [password(&self.account), &[0]].concat();
                Ok(Action::Send(plain, self.next()))
            }
            ([4], Security::Plain) => {
                self.key = Key::Asked;
                Ok(Action::Send(vec![2], self.next()))
            }
            _ => Err(LoginFailure::Unexpected(MORE_DATA)),
        }
    }
}

#[cfg(test)]
mod tests;
