//! Authentication of a client, the server's side, as a machine: one type a state, each step consumes the last.
//! caching_sha2_password (fast, full over TLS, full by RSA) and mysql_native_password. An unknown user takes every step
//! that a known one takes. COM_CHANGE_USER runs the same machine again.
//! Source: MySQL source documentation, "Caching_sha2_password information"; manual, "Protocol::AuthSwitchRequest".

use std::sync::Arc;

use thiserror::Error;

use super::{
    body::put_text,
    hashes::{MysqlSecret, veil},
    rsa::ServerKey,
    startup::Scramble,
};

/// The plugin every user of ours has.
pub const CACHING_SHA2: &str = "caching_sha2_password";
/// For clients that know no better.
pub const NATIVE: &str = "mysql_native_password";
/// The password as it is.
pub const CLEAR: &str = "mysql_clear_password";
/// What MariaDB's client library names when it does not have the plugin of the greeting.
const FALLBACK: &str = "dummy_fallback_auth";

/// Client to server: send me your public key.
const REQUEST_PUBLIC_KEY: u8 = 2;
/// Server to client, behind a 1: no more is needed.
const FAST_SUCCESS: [u8; 2] = [1, 3];
/// Server to client, behind a 1: send the password itself.
const FULL_AUTHENTICATION: [u8; 2] = [1, 4];

/// How the connection is protected.
#[derive(Clone, Debug)]
pub enum Channel {
    /// The password may travel as it is.
    Tls,
    /// The password travels sealed for this key.
    Plain(Arc<ServerKey>),
    /// As [`Channel::Plain`], but no byte leaves the machine: a password that comes as it is is taken, too. MariaDB's
    /// client library sends it so wherever it would have liked TLS and the server has none.
    Local(Arc<ServerKey>),
}

/// What becomes of clients whose answer by mysql_native_password fits no hash. The same for all users, so that nobody
/// learns from it who exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Native {
    /// They are refused: passwords have such a hash.
    Accepted,
    /// They are asked to switch to caching_sha2_password, as tokens alone have such a hash; where they cannot, they are
    /// told so.
    TokensOnly,
}

/// All that a login of one user is checked against. An unknown user has no secret, and goes through the same steps.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// The hashes of the password and the tokens that may log in now, each under the caller's own index.
    pub secrets: Vec<(usize, MysqlSecret)>,
}

impl Candidates {
    /// The index of the secret that fits, if any; looks at all, and at one at least.
    fn find(&self, fits: impl Fn(&MysqlSecret) -> subtle::Choice) -> Option<usize> {
        let nobody = MysqlSecret::default();
        let _ = std::hint::black_box(fits(&nobody));
        let mut found = None;
        for (index, secret) in &self.secrets {
            if bool::from(fits(secret)) {
                found = Some(*index);
            }
        }
        found
    }
}

/// Why a login is refused otherwise than for a wrong password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// `mysql_clear_password` in plain text.
    #[error("mysql_clear_password is refused on a connection without TLS")]
    ClearWithoutTls,
}

/// What to do next. Payloads go out in a packet each, with the next sequence ids.
#[derive(Debug)]
pub enum Step {
    /// Send this, read the client's answer, give it to [`Login::answer`].
    Send(Vec<u8>, Login),
    /// The secret with this index fits. Send `payload` if there is one, then OK.
    Verified {
        /// The caller's index of [`Candidates::secrets`].
        secret: usize,
        /// Fast success is said before OK.
        payload: Option<Vec<u8>>,
    },
    /// No stored hash fits, but here is the password itself: the caller may check it against what else it has (SCRAM
    /// keys; takes milliseconds). OK or the refusal goes out next.
    Password(ClearPassword),
    /// Refuse, in the words for everybody.
    Denied(UsingPassword),
    /// Refuse: the client speaks no plugin by which a password could be checked.
    TooOld,
    /// Refuse: the client sent the password itself over a network, neither under TLS nor sealed. It is not looked at.
    Exposed,
}

/// The password that a client sent. Shows itself to nobody who does not ask.
#[derive(Clone, PartialEq, Eq)]
pub struct ClearPassword(Vec<u8>);

impl ClearPassword {
    /// The bytes, without the closing NUL.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for ClearPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClearPassword(…)")
    }
}

/// The end of the servers' sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsingPassword {
    /// `(using password: YES)`.
    Yes,
    /// `(using password: NO)`: the answer was empty.
    No,
}

/// What the client's next packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// The answer to an AuthSwitchRequest for caching_sha2_password.
    Sha2,
    /// The answer to one for mysql_native_password.
    Native,
    /// The password, as the channel protects it, or a request for the public key.
    Full,
    /// The sealed password, the public key being sent.
    Sealed,
}

/// A login under way.
#[derive(Debug)]
pub struct Login {
    expects: Expects,
    scramble: Scramble,
    channel: Channel,
    candidates: Candidates,
    native: Native,
}

/// The client's first answer: in its handshake response, or in COM_CHANGE_USER.
#[derive(Clone, Copy, Debug)]
pub struct First<'a> {
    /// The plugin it names; `None`: it knows none.
    pub plugin: Option<&'a [u8]>,
    /// The answer to the scramble.
    pub auth: &'a [u8],
}

impl Login {
    /// Begins. `scramble` was in the greeting; `fresh` is for a switch of plugins.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn begin(
        first: First<'_>,
        candidates: Candidates,
        scramble: Scramble,
        fresh: Scramble,
        channel: Channel,
        native: Native,
    ) -> Result<Step, AuthError> {
        let login = |expects, scramble, candidates| {
            let channel = channel.clone();
            Self { expects, scramble, channel, candidates, native }
        };
        let Some(plugin) = first.plugin else {
            // It could not follow a switch.
            return Ok(login(Expects::Native, scramble, candidates).answer(first.auth));
        };
        if plugin == CACHING_SHA2.as_bytes() {
            return Ok(login(Expects::Sha2, scramble, candidates).answer(first.auth));
        }
        if plugin == CLEAR.as_bytes() {
            return match channel {
                Channel::Tls => Ok(login(Expects::Full, scramble, candidates).answer(first.auth)),
                Channel::Plain(_) | Channel::Local(_) => Err(AuthError::ClearWithoutTls),
            };
        }
        if plugin == FALLBACK.as_bytes() {
            // It was told of caching_sha2_password and does not have it.
            return Ok(Step::Send(switch_request(NATIVE, &fresh), login(Expects::Native, fresh, candidates)));
        }
        if plugin == NATIVE.as_bytes() {
            match native {
                // It names the plugin but had no challenge of it: it is asked again with one.
                Native::Accepted if first.auth.is_empty() => {
                    return Ok(Step::Send(switch_request(NATIVE, &fresh), login(Expects::Native, fresh, candidates)));
                }
                Native::Accepted => return Ok(login(Expects::Native, scramble, candidates).answer(first.auth)),
                Native::TokensOnly => {
                    if let Some(secret) = candidates.find(|secret| secret.fits_native(&scramble, first.auth)) {
                        return Ok(Step::Verified { secret, payload: None });
                    }
                }
            }
        }
        Ok(Step::Send(switch_request(CACHING_SHA2, &fresh), login(Expects::Sha2, fresh, candidates)))
    }

    /// Begins for COM_CHANGE_USER: whichever scramble the client answered, it is asked again with a `fresh` one, as
    /// MySQL does. A client that names no plugin can only do mysql_native_password.
    pub fn again(
        plugin: Option<&[u8]>,
        candidates: Candidates,
        fresh: Scramble,
        channel: Channel,
        native: Native,
    ) -> Step {
        let is_native = plugin.is_none_or(|plugin| plugin == NATIVE.as_bytes());
        let (name, expects) = match native {
            Native::Accepted if is_native => (NATIVE, Expects::Native),
            Native::TokensOnly if plugin.is_none() => (NATIVE, Expects::Native),
            Native::Accepted | Native::TokensOnly => (CACHING_SHA2, Expects::Sha2),
        };
        Step::Send(switch_request(name, &fresh), Self { expects, scramble: fresh, channel, candidates, native })
    }

    /// Takes the payload of the client's next packet.
    pub fn answer(self, payload: &[u8]) -> Step {
        match self.expects {
            Expects::Sha2 => self.sha2(payload),
            Expects::Native => match self.candidates.find(|secret| secret.fits_native(&self.scramble, payload)) {
                Some(secret) => Step::Verified { secret, payload: None },
                None => match self.native {
                    Native::Accepted => Step::Denied(using(payload)),
                    Native::TokensOnly => Step::TooOld,
                },
            },
            Expects::Full => match self.channel.clone() {
                Channel::Tls => self.password(payload),
                Channel::Plain(key) | Channel::Local(key) if payload == [REQUEST_PUBLIC_KEY] => {
                    let mut answer = vec![1];
                    answer.extend_from_slice(key.public_pem());
                    Step::Send(answer, Self { expects: Expects::Sealed, ..self })
                }
                Channel::Plain(key) | Channel::Local(key) if payload.len() == key.size() => self.sealed(&key, payload),
                Channel::Local(_) => self.password(payload),
                Channel::Plain(_) => Step::Exposed,
            },
            Expects::Sealed => match self.channel.clone() {
                Channel::Plain(key) | Channel::Local(key) => self.sealed(&key, payload),
                Channel::Tls => Step::Denied(UsingPassword::Yes),
            },
        }
    }

    fn sha2(self, payload: &[u8]) -> Step {
        // A NUL alone is how some clients say that they have no password.
        if payload.is_empty() || payload == [0] {
            return Step::Denied(UsingPassword::No);
        }
        match self.candidates.find(|secret| secret.fits_sha2(&self.scramble, payload)) {
            Some(secret) => Step::Verified { secret, payload: Some(FAST_SUCCESS.to_vec()) },
            None => Step::Send(FULL_AUTHENTICATION.to_vec(), Self { expects: Expects::Full, ..self }),
        }
    }

    fn sealed(self, key: &ServerKey, payload: &[u8]) -> Step {
        match key.open(payload) {
            Some(veiled) => {
                let open = veil(&veiled, &self.scramble);
                self.password(&open)
            }
            None => Step::Denied(UsingPassword::Yes),
        }
    }

    /// The password and its closing NUL.
    fn password(self, payload: &[u8]) -> Step {
        let password = payload.strip_suffix(&[0]).unwrap_or(payload);
        if password.is_empty() {
            return Step::Denied(UsingPassword::No);
        }
        match self.candidates.find(|secret| secret.fits_password(password)) {
            Some(secret) => Step::Verified { secret, payload: None },
            None => Step::Password(ClearPassword(password.to_vec())),
        }
    }
}

fn using(answer: &[u8]) -> UsingPassword {
    if answer.is_empty() { UsingPassword::No } else { UsingPassword::Yes }
}

/// The payload of an AuthSwitchRequest.
pub fn switch_request(plugin: &str, scramble: &Scramble) -> Vec<u8> {
    let mut out = vec![0xfe];
    put_text(&mut out, plugin.as_bytes());
    out.extend_from_slice(scramble.bytes());
    out.push(0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mysql::{
        hashes::{native_answer, sha2_answer},
        rsa,
    };

    fn greeted() -> Scramble {
        Scramble::received(*b"aaaaaaaaaaaaaaaaaaaa")
    }

    fn fresh() -> Scramble {
        Scramble::received(*b"bbbbbbbbbbbbbbbbbbbb")
    }

    fn candidates(passwords: &[&str]) -> Candidates {
        let secrets = passwords.iter().map(|word| MysqlSecret::derive(word.as_bytes())).enumerate().collect();
        Candidates { secrets }
    }

    fn begin(plugin: Option<&str>, auth: &[u8], channel: Channel, native: Native) -> Result<Step, AuthError> {
        let first = First { plugin: plugin.map(str::as_bytes), auth };
        Login::begin(first, candidates(&["password", "hp_token"]), greeted(), fresh(), channel, native)
    }

    fn plain() -> Channel {
        Channel::Plain(Arc::new(ServerKey::generate().unwrap()))
    }

    #[test]
    fn a_known_hash_is_enough_for_sha2() {
        let answer = sha2_answer(b"hp_token", &greeted());
        let step = begin(Some(CACHING_SHA2), &answer, Channel::Tls, Native::Accepted).unwrap();
        assert!(
            matches!(step, Step::Verified { secret: 1, payload: Some(ok) } if ok == [1, 3]),
            "the second credential"
        );
    }

    #[test]
    fn without_a_fitting_hash_the_password_is_asked_for_under_tls() {
        let answer = sha2_answer(b"unknown here", &greeted());
        let step = begin(Some(CACHING_SHA2), &answer, Channel::Tls, Native::Accepted).unwrap();
        let Step::Send(payload, login) = step else { panic!("{step:?}") };
        assert_eq!(payload, [1, 4]);
        let Step::Password(password) = login.answer(b"unknown here\0") else { panic!() };
        assert_eq!((password.bytes(), format!("{password:?}").as_str()), (&b"unknown here"[..], "ClearPassword(…)"));
    }

    #[test]
    fn without_tls_the_password_comes_sealed() {
        let answer = sha2_answer(b"wrong at first", &greeted());
        let step = begin(Some(CACHING_SHA2), &answer, plain(), Native::Accepted).unwrap();
        let Step::Send(_, login) = step else { panic!("{step:?}") };
        let Step::Send(pem, login) = login.answer(&[2]) else { panic!() };
        assert_eq!(pem[0], 1);
        let sealed = rsa::seal(&pem[1..], &veil(b"password\0", &greeted())).unwrap();
        assert!(matches!(login.answer(&sealed), Step::Verified { secret: 0, payload: None }));

        let Ok(Step::Send(_, login)) = begin(Some(CACHING_SHA2), &answer, plain(), Native::Accepted) else { panic!() };
        assert!(matches!(login.answer(b"password\0"), Step::Exposed), "never in plain text over a network");
        let Channel::Plain(key) = plain() else { panic!() };
        let local = || begin(Some(CACHING_SHA2), &answer, Channel::Local(Arc::clone(&key)), Native::Accepted);
        let Ok(Step::Send(_, login)) = local() else { panic!() };
        assert!(matches!(login.answer(b"password\0"), Step::Verified { secret: 0, .. }));
        let Ok(Step::Send(_, login)) = local() else { panic!() };
        let sealed = rsa::seal(key.public_pem(), &veil(b"password\0", &greeted())).unwrap();
        assert!(matches!(login.answer(&sealed), Step::Verified { secret: 0, .. }));
    }

    #[test]
    fn native_answers_are_taken_or_switched_away() {
        let answer = native_answer(b"password", &greeted());
        for plugin in [Some(NATIVE), None] {
            let step = begin(plugin, &answer, Channel::Tls, Native::Accepted).unwrap();
            assert!(matches!(step, Step::Verified { secret: 0, payload: None }));
        }
        let Ok(Step::Send(payload, login)) = begin(Some(NATIVE), b"", Channel::Tls, Native::Accepted) else { panic!() };
        assert_eq!(payload, b"\xfemysql_native_password\0bbbbbbbbbbbbbbbbbbbb\0");
        assert!(matches!(login.answer(&native_answer(b"hp_token", &fresh())), Step::Verified { secret: 1, .. }));

        let wrong = native_answer(b"wrong", &greeted());
        for (plugin, native) in [(NATIVE, Native::TokensOnly), ("client_ed25519", Native::Accepted)] {
            let Ok(Step::Send(payload, login)) = begin(Some(plugin), &wrong, Channel::Tls, native) else { panic!() };
            assert!(payload.starts_with(b"\xfecaching_sha2_password\0"));
            let step = login.answer(&sha2_answer(b"password", &fresh()));
            assert!(matches!(step, Step::Verified { secret: 0, .. }));
        }
        for plugin in [Some(NATIVE), None] {
            let step = begin(plugin, &answer, Channel::Tls, Native::TokensOnly).unwrap();
            assert!(matches!(step, Step::Verified { secret: 0, payload: None }), "a token, say");
        }
        let step = begin(None, &wrong, Channel::Tls, Native::TokensOnly).unwrap();
        assert!(matches!(step, Step::TooOld), "it could not follow a switch");
        let step = begin(None, &wrong, Channel::Tls, Native::Accepted).unwrap();
        assert!(matches!(step, Step::Denied(UsingPassword::Yes)));
    }

    #[test]
    fn a_client_without_the_greetings_plugin_is_asked_for_the_old_one() {
        for native in [Native::Accepted, Native::TokensOnly] {
            let Ok(Step::Send(payload, login)) = begin(Some(FALLBACK), b"", Channel::Tls, native) else { panic!() };
            assert!(payload.starts_with(b"\xfemysql_native_password\0"));
            assert!(matches!(login.answer(&native_answer(b"password", &fresh())), Step::Verified { secret: 0, .. }));
        }
    }

    #[test]
    fn a_change_of_user_is_asked_for_with_a_fresh_scramble() {
        let again = |plugin: Option<&str>, native| {
            let plugin = plugin.map(str::as_bytes);
            let step = Login::again(plugin, candidates(&["password"]), fresh(), Channel::Tls, native);
            let Step::Send(payload, login) = step else { panic!("{step:?}") };
            (String::from_utf8(payload[1..].split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap(), login)
        };
        let (plugin, login) = again(Some(CACHING_SHA2), Native::Accepted);
        assert_eq!(plugin, CACHING_SHA2);
        assert!(matches!(login.answer(&sha2_answer(b"password", &fresh())), Step::Verified { secret: 0, .. }));
        let (_, login) = again(Some(CACHING_SHA2), Native::Accepted);
        assert!(matches!(login.answer(&sha2_answer(b"password", &greeted())), Step::Send(..)), "the old scramble");
        for plugin in [Some(NATIVE), None] {
            let (asked, login) = again(plugin, Native::Accepted);
            assert_eq!(asked, NATIVE);
            assert!(matches!(login.answer(&native_answer(b"password", &fresh())), Step::Verified { secret: 0, .. }));
        }
        assert_eq!(again(Some(NATIVE), Native::TokensOnly).0, CACHING_SHA2);
        assert_eq!(again(None, Native::TokensOnly).0, NATIVE);
    }

    #[test]
    fn passwords_in_clear_need_tls() {
        let step = begin(Some(CLEAR), b"password\0", Channel::Tls, Native::Accepted).unwrap();
        assert!(matches!(step, Step::Verified { secret: 0, .. }));
        let refused = begin(Some(CLEAR), b"password\0", plain(), Native::Accepted);
        assert!(matches!(refused, Err(AuthError::ClearWithoutTls)));
    }

    #[test]
    fn an_unknown_user_takes_the_same_steps_as_a_wrong_password() {
        let steps = |candidates: Candidates| {
            let first = First { plugin: Some(CACHING_SHA2.as_bytes()), auth: &sha2_answer(b"wrong", &greeted()) };
            let step = Login::begin(first, candidates, greeted(), fresh(), Channel::Tls, Native::Accepted).unwrap();
            let Step::Send(payload, login) = step else { panic!("{step:?}") };
            (payload, matches!(login.answer(b"wrong\0"), Step::Password(_)))
        };
        assert_eq!(steps(candidates(&["password"])), steps(candidates(&[])));
        let empty = begin(Some(CACHING_SHA2), b"", Channel::Tls, Native::Accepted).unwrap();
        assert!(matches!(empty, Step::Denied(UsingPassword::No)));
    }
}
