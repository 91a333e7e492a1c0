//! What mysql_native_password needs of a password, `SHA1(SHA1(password))`, sealed: encrypted under a key that is not in
//! `grants.db`. That hash has no salt and is fast, so whoever steals the database alone must not have it.
//! Reads no file and no store; tokens, which cannot be guessed, need no seal.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hallpass_policy::ids::UserName;

/// Bytes of the key.
pub const KEY: usize = 32;

/// Seals and opens. AES-256-GCM with a random nonce each time; the user's name is bound in, so that a seal moved to
/// another user does not open.
pub struct Seal(RandomizedNonceKey);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    /// With this key; `None` when the cipher cannot be had.
    pub fn new(key: &[u8; KEY]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, key).ok().map(Self)
    }

    /// `hash` of `user`'s password, sealed: nonce, cipher text, tag. `None` when the system gives no random bytes.
    pub fn close(&self, user: &UserName, hash: &[u8; 20]) -> Option<Vec<u8>> {
        let mut text = hash.to_vec();
        let nonce = self.0.seal_in_place_append_tag(bound(user), &mut text).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Some(sealed)
    }

    /// The hash in `sealed`; `None` when it was sealed with another key or for another user, or was changed.
    pub fn open(&self, user: &UserName, sealed: &[u8]) -> Option<[u8; 20]> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let open = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), bound(user), &mut text).ok()?;
        (&*open).try_into().ok()
    }
}

fn bound(user: &UserName) -> Aad<Vec<u8>> {
    Aad::from([b"mysql_native_password of ", user.as_str().as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_for_its_key_and_user_only() {
        let (one, other) = (Seal::new(&[1; KEY]).unwrap(), Seal::new(&[2; KEY]).unwrap());
        let (ann, bob) = (UserName::new("ann"), UserName::new("bob"));
        let sealed = one.close(&ann, &[7; 20]).unwrap();
        assert_eq!(sealed.len(), 12 + 20 + 16);
        assert_ne!(one.close(&ann, &[7; 20]).unwrap(), sealed, "each has a nonce of its own");
        assert_eq!(one.open(&ann, &sealed), Some([7; 20]));
        assert_eq!((other.open(&ann, &sealed), one.open(&bob, &sealed)), (None, None));
        let mut changed = sealed;
        changed[20] ^= 1;
        assert_eq!((one.open(&ann, &changed), one.open(&ann, b"short")), (None, None));
    }
}
