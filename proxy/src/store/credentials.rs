//! What a login is checked against: SCRAM-SHA-256 keys of a user's password and tokens, all on one salt, and beside them
//! what MySQL's plugins compare with.
//! Holds no password and no token; reads no store and no clock.
//!
//! A user has one salt and one iteration count, and any number of keys under them. So one SCRAM conversation serves
//! password and tokens alike: the server names the one salt, and the client's proof is tried on each stored key.

use std::sync::Arc;

use hallpass_policy::ids::{GroupName, Principal, Timestamp, UserName};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::wire::mysql::hashes::MysqlSecret;

type HmacSha256 = Hmac<Sha256>;

/// PBKDF2 rounds of new users: what RFC 7677 asks for at least and what Postgres itself uses, so that every driver
/// accepts it and a login costs each side about 4 ms. What a stolen grants.db gives away is bounded by the password's
/// own strength; tokens hold 256 random bits and need no stretching.
pub const ITERATIONS: u32 = 4096;

/// Most keys one user may hold: bounds the work of one login.
pub const MAX_KEYS: usize = 32;

/// What a key was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// The user's password; at most one.
    Password,
    /// A token the proxy made.
    Token,
}

/// SCRAM's two keys, RFC 5802 section 3.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// `H(ClientKey)`: proves nothing to a server, but is checked against a client's proof.
    pub stored_key: [u8; 32],
    /// Signs the server's last message.
    pub server_key: [u8; 32],
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScramKeys(…)")
    }
}

/// One password or token of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialKey {
    /// Its number, for `hallpass user token NAME --revoke ID`.
    pub id: i64,
    /// What it was made from.
    pub kind: CredentialKind,
    /// What a proof is checked against.
    pub keys: ScramKeys,
    /// The same for MySQL's plugins, as far as it is known.
    pub mysql: MysqlSecret,
    /// A password's half of that, as the store holds it; [`Seal`](super::seal::Seal) opens it.
    pub sealed_native: Option<Vec<u8>>,
    /// When it stops working.
    pub expires: Option<Timestamp>,
}

/// All that a login of one user needs. An unknown user has these, too: a salt of the right look, and no key.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user, as the client named it.
    pub user: UserName,
    /// The salt of all keys.
    pub salt: Arc<[u8]>,
    /// PBKDF2 rounds of all keys.
    pub iterations: u32,
    /// Password and tokens, expired ones among them: use [`Credentials::usable`].
    pub keys: Vec<CredentialKey>,
    /// Whether an admin disabled the user.
    pub disabled: bool,
    /// When the user stops being one.
    pub expires: Option<Timestamp>,
    /// The user's groups, sorted.
    pub groups: Vec<GroupName>,
}

impl Credentials {
    /// For a user that does not exist: a salt that stays the same for the same name and cannot be told from a real
    /// one without `secret` (a random value of this store), and no key that any proof fits.
    pub fn unknown(user: &str, secret: &[u8; 32]) -> Self {
        let digest = hmac(secret, &[b"salt of ", user.as_bytes()]);
        let salt: Arc<[u8]> = digest.iter().copied().take(SALT_LENGTH).collect();
        Self {
            user: UserName::new(user),
            salt,
            iterations: ITERATIONS,
            keys: Vec::new(),
            disabled: true,
            expires: None,
            groups: Vec::new(),
        }
    }

    /// The keys that may log in at `now`: none of a disabled or expired user.
    pub fn usable(&self, now: Timestamp) -> impl Iterator<Item = &CredentialKey> {
        let open = !self.disabled && self.expires.is_none_or(|end| now < end);
        self.keys.iter().filter(move |key| open && key.expires.is_none_or(|end| now < end))
    }

    /// The key whose owner made `proof` over `auth_message` (RFC 5802 section 3), if any. Compares in constant time
    /// and works at least once, so that a user without keys answers as slowly as one with a key.
    pub fn verify_proof(&self, auth_message: &[u8], proof: &[u8], now: Timestamp) -> Option<&CredentialKey> {
        let mut found = None;
        let nobody = [0_u8; 32];
        let _ = proof_fits(&nobody, auth_message, proof);
        for key in self.usable(now) {
            if proof_fits(&key.keys.stored_key, auth_message, proof) {
                found = Some(key);
            }
        }
        found
    }

    /// The key that `password` (or token) is of, if any. Costs a PBKDF2 run, milliseconds: call it where blocking is
    /// allowed. An unknown user costs the same.
    pub fn verify_cleartext(&self, password: &str, now: Timestamp) -> Option<&CredentialKey> {
        let given = derive(password, &self.salt, self.iterations);
        let mut found = None;
        for key in self.usable(now) {
            if bool::from(key.keys.stored_key.ct_eq(&given.stored_key)) {
                found = Some(key);
            }
        }
        found
    }

    /// Who this is, once a key fitted.
    pub fn principal(&self) -> Principal {
        Principal { user: self.user.clone(), groups: self.groups.clone() }
    }
}

/// Bytes of a salt.
pub const SALT_LENGTH: usize = 16;

/// The SCRAM keys of `password`, prepared as Postgres does: by SASLprep, or as it stands where SASLprep refuses it.
/// Blocks for milliseconds.
pub fn derive(password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
    let prepared = stringprep::saslprep(password);
    let bytes = prepared.as_deref().unwrap_or(password).as_bytes();
    let salted: [u8; 32] = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(bytes, salt, iterations);
    let client_key = hmac(&salted, &[b"Client Key"]);
    ScramKeys { stored_key: Sha256::digest(client_key).into(), server_key: hmac(&salted, &[b"Server Key"]) }
}

/// What the store remembers of a token besides its SCRAM keys, so that a bearer is found by one lookup.
pub fn token_digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A token nobody can guess: 256 bits. `None` when the system has no randomness to give.
pub fn new_token() -> Option<String> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    Some(format!("hp_{}", URL_SAFE_NO_PAD.encode(random::<32>()?)))
}

/// Random bytes of the system. `None` when it has none to give.
pub fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

/// HMAC-SHA-256 over the joined `parts`.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length; the error type is a leftover of the trait")]
    let mut mac = HmacSha256::new_from_slice(key).expect("any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whether `proof` is `ClientKey XOR HMAC(StoredKey, AuthMessage)` for a ClientKey that hashes to `stored_key`.
fn proof_fits(stored_key: &[u8; 32], auth_message: &[u8], proof: &[u8]) -> bool {
    let signature = hmac(stored_key, &[auth_message]);
    let client_key: Vec<u8> = signature.iter().zip(proof).map(|(a, b)| a ^ b).collect();
    let hashed: [u8; 32] = Sha256::digest(&client_key).into();
    proof.len() == signature.len() && bool::from(hashed.ct_eq(stored_key))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;

    fn with_keys(keys: Vec<CredentialKey>, salt: &[u8], iterations: u32) -> Credentials {
        Credentials {
            user: UserName::new("user"),
            salt: Arc::from(salt),
            iterations,
            keys,
            disabled: false,
            expires: None,
            groups: vec![],
        }
    }

    fn key(id: i64, kind: CredentialKind, keys: ScramKeys) -> CredentialKey {
        CredentialKey { id, kind, keys, mysql: MysqlSecret::default(), sealed_native: None, expires: None }
    }

    /// RFC 7677 section 3: user `user`, password `pencil`.
    #[test]
    fn the_proof_of_rfc_7677_fits_the_password_and_no_other_key() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let pencil = derive("pencil", &salt, 4096);
        let signature = STANDARD.encode(hmac(&pencil.server_key, &[message.as_bytes()]));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");

        let token = derive("hp_token", &salt, 4096);
        let both = with_keys(
            vec![key(1, CredentialKind::Token, token.clone()), key(2, CredentialKind::Password, pencil)],
            &salt,
            4096,
        );
        assert_eq!(both.verify_proof(message.as_bytes(), &proof, Timestamp(0)).map(|key| key.id), Some(2));
        assert!(both.verify_proof(b"another", &proof, Timestamp(0)).is_none());
        assert!(both.verify_proof(message.as_bytes(), proof.get(..31).unwrap(), Timestamp(0)).is_none());
        let other = with_keys(vec![key(1, CredentialKind::Token, token)], &salt, 4096);
        assert!(other.verify_proof(message.as_bytes(), &proof, Timestamp(0)).is_none());
    }

    #[test]
    fn nobody_logs_in_who_is_disabled_or_expired() {
        let salt = [7; SALT_LENGTH];
        let mut user = with_keys(vec![key(1, CredentialKind::Password, derive("x", &salt, 2))], &salt, 2);
        assert!(user.verify_cleartext("x", Timestamp(5)).is_some());
        assert!(user.verify_cleartext("y", Timestamp(5)).is_none());
        user.expires = Some(Timestamp(5));
        assert!(user.verify_cleartext("x", Timestamp(4)).is_some());
        assert!(user.verify_cleartext("x", Timestamp(5)).is_none());
        user.expires = None;
        user.disabled = true;
        assert!(user.verify_cleartext("x", Timestamp(4)).is_none());
        user.disabled = false;
        user.keys[0].expires = Some(Timestamp(4));
        assert!(user.verify_cleartext("x", Timestamp(4)).is_none());
    }

    #[test]
    fn an_unknown_user_has_a_steady_salt_and_no_way_in() {
        let ghost = Credentials::unknown("ghost", &[1; 32]);
        assert_eq!(ghost.salt.len(), SALT_LENGTH);
        assert_eq!(ghost.salt, Credentials::unknown("ghost", &[1; 32]).salt);
        assert_ne!(ghost.salt, Credentials::unknown("host", &[1; 32]).salt);
        assert_ne!(ghost.salt, Credentials::unknown("ghost", &[2; 32]).salt);
        assert!(ghost.verify_cleartext("", Timestamp(0)).is_none());
        assert!(ghost.verify_proof(b"", &[0; 32], Timestamp(0)).is_none());
    }

    #[test]
    fn passwords_are_prepared_like_postgres_does() {
        let salt = [0; SALT_LENGTH];
        assert_eq!(derive("I\u{ad}X", &salt, 2), derive("IX", &salt, 2), "a soft hyphen maps to nothing");
        assert_ne!(derive("a\u{7}", &salt, 2), derive("a", &salt, 2), "what SASLprep forbids is taken as it stands");
    }

    #[test]
    fn tokens_differ() {
        let (one, two) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 3 + 43);
    }
}
