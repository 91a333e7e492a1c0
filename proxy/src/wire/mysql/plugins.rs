//! The proxy's answers to an upstream's authentication plugins, one function a plugin. Sends nothing itself; refuses
//! to give a password away in plain text.

use ed25519_dalek::{
    VerifyingKey,
    hazmat::{ExpandedSecretKey, raw_sign},
};
use sha2::{Digest, Sha512};

use super::{
    auth::{CACHING_SHA2, CLEAR, NATIVE},
    hashes::{native_answer, sha2_answer},
    startup::{SCRAMBLE, Scramble},
};

/// MariaDB's ed25519 plugin on the client's side.
pub const ED25519: &str = "client_ed25519";

/// Plugins the proxy answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// `caching_sha2_password`.
    CachingSha2,
    /// `mysql_native_password`.
    Native,
    /// `client_ed25519`.
    Ed25519,
    /// `mysql_clear_password`.
    Clear,
}

impl Plugin {
    /// By its name; `None`: not spoken here (sha256_password, parsec, dialog, GSSAPI and others).
    pub fn named(name: &[u8]) -> Option<Self> {
        [Self::CachingSha2, Self::Native, Self::Ed25519, Self::Clear]
            .into_iter()
            .find(|plugin| plugin.name().as_bytes() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::CachingSha2 => CACHING_SHA2,
            Self::Native => NATIVE,
            Self::Ed25519 => ED25519,
            Self::Clear => CLEAR,
        }
    }
}

/// What `plugin` answers to `challenge`, if `password` may travel so: `None` for a clear password without TLS, and for
/// a challenge that is too short.
pub fn answer(plugin: Plugin, password: &[u8], challenge: &[u8], tls: Protected) -> Option<Vec<u8>> {
    let scramble = || challenge.first_chunk::<SCRAMBLE>().copied().map(Scramble::received);
    match plugin {
        Plugin::CachingSha2 => Some(sha2_answer(password, &scramble()?)),
        Plugin::Native => Some(native_answer(password, &scramble()?)),
        Plugin::Ed25519 => Some(ed25519(password, challenge.first_chunk::<32>()?).to_vec()),
        Plugin::Clear => match tls {
            Protected::Yes => Some([password, &[0]].concat()),
            Protected::No => None,
        },
    }
}

/// Whether nobody on the way can read along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protected {
    /// By TLS, or because there is no way: a Unix socket.
    Yes,
    /// Not.
    No,
}

/// Signs `challenge` with the key that is the password's SHA-512, expanded already; MariaDB has no seed as RFC 8032 does.
fn ed25519(password: &[u8], challenge: &[u8; 32]) -> [u8; 64] {
    let expanded: [u8; 64] = Sha512::digest(password).into();
    let key = ExpandedSecretKey::from_bytes(&expanded);
    let public = VerifyingKey::from(&key);
    raw_sign::<Sha512>(&key, challenge, &public).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_password_needs_tls() {
        assert_eq!(answer(Plugin::Clear, b"x", b"", Protected::Yes).as_deref(), Some(&b"x\0"[..]));
        assert_eq!(answer(Plugin::Clear, b"x", b"", Protected::No), None);
        assert_eq!(answer(Plugin::Native, b"x", b"short", Protected::Yes), None);
    }

    /// The public key that MariaDB 10.11's `ed25519_password('secret')` gives, in base64 without padding.
    #[test]
    fn the_key_of_a_password_is_mariadbs() {
        use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
        let expanded: [u8; 64] = Sha512::digest(b"secret").into();
        let public = VerifyingKey::from(&ExpandedSecretKey::from_bytes(&expanded));
        assert_eq!(STANDARD_NO_PAD.encode(public.as_bytes()), "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY");
        let signature = ed25519(b"secret", &[7; 32]);
        let signature = ed25519_dalek::Signature::from_bytes(&signature);
        assert!(public.verify_strict(&[7; 32], &signature).is_ok());
    }

    #[test]
    fn plugins_are_found_by_name() {
        assert_eq!(Plugin::named(b"client_ed25519"), Some(Plugin::Ed25519));
        assert_eq!(Plugin::named(b"sha256_password"), None);
    }
}
