//! Whether a MySQL client knows a password or token: the exchange of `wire::mysql::auth` over the connection, the users it
//! is checked against, and what all logins share for it. Sends no OK and asks nothing about targets.

use std::{io, net::IpAddr, sync::Arc, time::Instant};

use tokio::{
    sync::{OnceCell, Semaphore},
    task::spawn_blocking,
    time::sleep,
};

use super::{
    super::{Doorway, Holder, Talk, certificate_holder, credentials, unavailable},
    Asked, new_scramble, violation,
};
use crate::{
    error::ClientError,
    store::credentials::Credentials,
    wire::mysql::{
        auth::{self, Candidates, Channel, ClearPassword, First, Native, UsingPassword},
        codec::{self, MAX_LOGIN_PACKET, Sequence, put_message},
        hashes::MysqlSecret,
        rsa::ServerKey,
        startup::{Scramble, frame_error},
    },
};

/// Passwords that are checked against SCRAM keys at once: each costs milliseconds of a core, and clients decide when.
const CHECKS: usize = 4;

/// What all MySQL logins share: the proxy's pair of RSA keys, for passwords without TLS, made when the first such client
/// comes; and who may compute now.
#[derive(Debug)]
pub struct Keyring {
    key: OnceCell<Arc<ServerKey>>,
    checks: Semaphore,
}

impl Default for Keyring {
    fn default() -> Self {
        Self { key: OnceCell::new(), checks: Semaphore::new(CHECKS) }
    }
}

impl Keyring {
    /// The pair. The first call takes a tenth of a second or so, off the event loop.
    async fn key(&self) -> Result<Arc<ServerKey>, ClientError> {
        let made = self.key.get_or_try_init(|| async {
            let made = spawn_blocking(ServerKey::generate).await;
            made.ok().and_then(Result::ok).map(Arc::new).ok_or_else(|| unavailable("no RSA key can be made"))
        });
        made.await.cloned()
    }
}

/// What MySQL logins need besides a [`Doorway`].
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// The RSA keys.
    pub keyring: &'a Keyring,
    /// What becomes of mysql_native_password.
    pub native: Native,
}

/// Why authentication fails.
pub(super) enum Failure {
    Io(io::Error),
    Told(ClientError, UsingPassword),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Told(error, UsingPassword::Yes)
    }
}

/// What a client asks at the start of its authentication.
pub(super) struct Question<'a> {
    pub(super) asked: &'a Asked,
    pub(super) first: First<'a>,
    /// The greeting's; `None` on a connection that was logged in before.
    pub(super) scramble: Option<Scramble>,
}

/// Finds out whether the client is who it says: what is known of the user, and the number of the key that fits.
pub(super) async fn authenticate(
    talk: &mut Talk,
    sequence: &mut Sequence,
    question: Question<'_>,
    peer: IpAddr,
    door: &Doorway<'_>,
    desk: Desk<'_>,
) -> Result<(Credentials, i64), Failure> {
    let user = &question.asked.user;
    let holder = certificate_holder(&talk.stream, door.security, "connect with --ssl-cert and --ssl-key")?;
    let fresh = new_scramble().ok_or_else(|| unavailable("the system gives no random bytes"))?;
    let channel = if talk.stream.is_encrypted() {
        Channel::Tls
    } else if peer.to_canonical().is_loopback() {
        Channel::Local(desk.keyring.key().await?)
    } else {
        Channel::Plain(desk.keyring.key().await?)
    };
    let credentials = known(user, &holder, door).await?;
    let delay = door.throttle.attempt(peer, Instant::now());
    if !delay.is_zero() {
        sleep(delay.min(door.timeout / 2)).await;
    }
    let candidates =
        Candidates { secrets: credentials.usable(door.clock.now()).map(|key| key.mysql.clone()).enumerate().collect() };
    let begun = match question.scramble {
        Some(scramble) => auth::Login::begin(question.first, candidates, scramble, fresh, channel, desk.native)
            .map_err(|error| violation(error.to_string()))?,
        None => auth::Login::again(question.first.plugin, candidates, fresh, channel, desk.native),
    };
    let credential = prove(talk, sequence, begun, &credentials, door, desk).await?;
    door.throttle.succeeded(peer);
    Ok((credentials, credential))
}

/// What `user` is checked against. A certificate of somebody else closes every key, and nothing else changes: the same
/// steps, words and time.
async fn known(user: &str, holder: &Holder, door: &Doorway<'_>) -> Result<Credentials, ClientError> {
    let mut credentials = credentials(user, door).await?;
    credentials.disabled |= !holder.allows(user);
    Ok(credentials)
}

fn is_usable(credentials: &Credentials, key: i64, door: &Doorway<'_>) -> bool {
    credentials.usable(door.clock.now()).any(|usable| usable.id == key)
}

/// Leads the exchange from its first step to its end: the number of the key that fits.
async fn prove(
    talk: &mut Talk,
    sequence: &mut Sequence,
    mut step: auth::Step,
    credentials: &Credentials,
    door: &Doorway<'_>,
    desk: Desk<'_>,
) -> Result<i64, Failure> {
    let denied = |using| {
        let user = credentials.user.to_string();
        Failure::Told(ClientError::AuthenticationFailed { user }, using)
    };
    loop {
        match step {
            auth::Step::Send(payload, login) => {
                send(talk, sequence, &payload).await?;
                let answer = packet(talk, sequence).await?;
                step = login.answer(&answer);
            }
            auth::Step::Verified { secret, payload } => {
                // The account may have ended while the client thought.
                let key = credentials.keys.get(secret).map(|key| key.id).filter(|id| is_usable(credentials, *id, door));
                let key = key.ok_or_else(|| denied(UsingPassword::Yes))?;
                if let Some(payload) = payload {
                    send(talk, sequence, &payload).await?;
                }
                return Ok(key);
            }
            auth::Step::Password(password) => {
                let key = fits(password, credentials, door, desk).await?;
                return key.ok_or_else(|| denied(UsingPassword::Yes));
            }
            auth::Step::Denied(using) => return Err(denied(using)),
            auth::Step::TooOld => return Err(too_old().into()),
            auth::Step::Exposed => return Err(exposed().into()),
        }
    }
}

/// The number of the key that `password` is of, if any; the key's fast hash is remembered then. Takes milliseconds,
/// off the event loop, whether there is such a user or not.
async fn fits(
    password: ClearPassword,
    credentials: &Credentials,
    door: &Doorway<'_>,
    desk: Desk<'_>,
) -> Result<Option<i64>, ClientError> {
    let _turn = desk.keyring.checks.acquire().await;
    let (credentials, now) = (credentials.clone(), door.clock.now());
    let checked = spawn_blocking(move || {
        let text = String::from_utf8_lossy(password.bytes());
        let key = credentials.verify_cleartext(&text, now).cloned();
        // A password that is no text fits nothing, though what is left of it as text might.
        let is_text = text.as_bytes() == password.bytes();
        let found = key.filter(|_| is_text).map(|key| (key, MysqlSecret::derive(password.bytes()).sha2));
        (credentials, found)
    });
    let (credentials, found) = checked.await.map_err(|_| unavailable("the proxy is shutting down"))?;
    let Some((key, sha2)) = found else { return Ok(None) };
    if let Some(sha2) = sha2 {
        door.lookup.remember(&credentials.user, &key, sha2);
    }
    Ok(Some(key.id))
}

fn too_old() -> ClientError {
    ClientError::StartupRefused {
        message: "Client does not support authentication protocol requested by server; consider upgrading MySQL client"
            .into(),
        hint: "use a client with caching_sha2_password, or a token as the password".into(),
        sqlstate: "08004",
    }
}

fn exposed() -> ClientError {
    ClientError::StartupRefused {
        message: "the client sent its password unprotected over the network; it was not looked at".into(),
        hint: "change it, and connect over TLS or with --skip-ssl, which makes the client seal it".into(),
        sqlstate: "HY000",
    }
}

async fn send(talk: &mut Talk, sequence: &mut Sequence, payload: &[u8]) -> io::Result<()> {
    let mut out = Vec::new();
    put_message(&mut out, sequence, payload);
    talk.send(&out).await
}

/// The payload of the client's next packet.
pub(super) async fn packet(talk: &mut Talk, sequence: &mut Sequence) -> Result<Vec<u8>, Failure> {
    loop {
        if let Some(message) = codec::message(&talk.input, sequence, MAX_LOGIN_PACKET).map_err(frame_error)? {
            let (payload, length) = (message.payload.to_vec(), message.raw.len());
            talk.input.drain(..length);
            return Ok(payload);
        }
        talk.fill().await?;
    }
}
