//! The RSA key exchange of caching_sha2_password without TLS: OAEP with SHA-1, both roles. Keys live in memory only.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::{
        KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
        PublicEncryptingKey,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;

/// What goes wrong with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The system gave no key.
    #[error("no RSA key could be made")]
    Generate,
    /// It is not a public key in PEM.
    #[error("the server's public key cannot be read")]
    PublicKey,
    /// The password is too long for the key, or no randomness was there.
    #[error("the password cannot be encrypted")]
    Encrypt,
}

/// The listener's key pair, made once when the proxy starts.
pub struct ServerKey {
    private: OaepPrivateDecryptingKey,
    public_pem: Vec<u8>,
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKey(…)")
    }
}

impl ServerKey {
    /// A new pair of 2048 bits. Takes a tenth of a second or so.
    ///
    /// # Errors
    /// [`KeyError::Generate`].
    pub fn generate() -> Result<Self, KeyError> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generate)?;
        let der: PublicKeyX509Der<'_> = private.public_key().as_der().map_err(|_| KeyError::Generate)?;
        let public_pem = to_pem(der.as_ref());
        let private = OaepPrivateDecryptingKey::new(private).map_err(|_| KeyError::Generate)?;
        Ok(Self { private, public_pem })
    }

    /// The public half, as clients read it.
    pub fn public_pem(&self) -> &[u8] {
        &self.public_pem
    }

    /// Bytes of what is sealed for it.
    pub fn size(&self) -> usize {
        self.private.key_size_bytes()
    }

    /// What `sealed` holds; `None` when it was not sealed for this key.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; self.private.min_output_size()];
        self.private.decrypt(&OAEP_SHA1_MGF1SHA1, sealed, &mut out, None).ok().map(|open| open.to_vec())
    }
}

/// Seals `plain` for the holder of the public key in `pem`.
///
/// # Errors
/// [`KeyError`].
pub fn seal(pem: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyError> {
    let der = from_pem(pem).ok_or(KeyError::PublicKey)?;
    let key = PublicEncryptingKey::from_der(&der).map_err(|_| KeyError::PublicKey)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| KeyError::PublicKey)?;
    let mut out = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA1_MGF1SHA1, plain, &mut out, None).map(|sealed| sealed.to_vec()).map_err(|_| KeyError::Encrypt)
}

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

fn to_pem(der: &[u8]) -> Vec<u8> {
    let mut pem = format!("{BEGIN}\n").into_bytes();
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(END.as_bytes());
    pem.push(b'\n');
    pem
}

fn from_pem(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let inner = text.split_once(BEGIN)?.1.split_once(END)?.0;
    let compact: String = inner.split_ascii_whitespace().collect();
    STANDARD.decode(compact).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_key_only() {
        let (one, other) = (ServerKey::generate().unwrap(), ServerKey::generate().unwrap());
        let sealed = seal(one.public_pem(), b"secret\0").unwrap();
        assert_eq!(sealed.len(), 256);
        assert_eq!(one.open(&sealed).as_deref(), Some(&b"secret\0"[..]));
        assert_eq!(other.open(&sealed), None);
        assert_eq!(one.open(b"short"), None);
        assert_eq!(seal(b"no key", b"x"), Err(KeyError::PublicKey));
        assert_eq!(seal(one.public_pem(), &[b'x'; 300]), Err(KeyError::Encrypt));
    }
}
