//! What passwords become on MySQL's wire: the two stored hashes, the answers to a challenge, and whether an answer
//! fits a stored hash. Reads no store; holds a password only while one is hashed.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::startup::Scramble;

/// What a login is checked against, as far as it is known. Either half lets nobody log in who only has it (an answer
/// needs the first hash, this is the second), but both are fast and without salt: guessing a weak password from them is
/// cheap.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MysqlSecret {
    /// `SHA256(SHA256(password))`: caching_sha2_password.
    pub sha2: Option<[u8; 32]>,
    /// `SHA1(SHA1(password))`: mysql_native_password.
    pub native: Option<[u8; 20]>,
}

impl std::fmt::Debug for MysqlSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MysqlSecret(…)")
    }
}

impl MysqlSecret {
    /// The hashes of `password` or a token.
    pub fn derive(password: &[u8]) -> Self {
        Self { sha2: Some(sha256(&[&sha256(&[password])])), native: Some(sha1(&[&sha1(&[password])])) }
    }

    /// Whether `answer` proves knowledge of the password to caching_sha2_password:
    /// `SHA256(password) XOR SHA256(SHA256(SHA256(password)) || scramble)`.
    pub fn fits_sha2(&self, scramble: &Scramble, answer: &[u8]) -> Choice {
        let Some(answer) = answer.as_array_exact::<32>() else { return Choice::from(0) };
        let (known, sha2) = known(self.sha2);
        let first = xor(answer, &sha256(&[&sha2, scramble.bytes()]));
        sha256(&[&first]).ct_eq(&sha2) & known
    }

    /// Whether `answer` proves knowledge of the password to mysql_native_password:
    /// `SHA1(password) XOR SHA1(scramble || SHA1(SHA1(password)))`.
    pub fn fits_native(&self, scramble: &Scramble, answer: &[u8]) -> Choice {
        let Some(answer) = answer.as_array_exact::<20>() else { return Choice::from(0) };
        let (known, native) = known(self.native);
        let first = xor(answer, &sha1(&[scramble.bytes(), &native]));
        sha1(&[&first]).ct_eq(&native) & known
    }

    /// Whether `password` is the one.
    pub fn fits_password(&self, password: &[u8]) -> Choice {
        let (known, sha2) = known(self.sha2);
        sha256(&[&sha256(&[password])]).ct_eq(&sha2) & known
    }
}

/// A hash, or zeros in its place so that the work stays the same; and whether it is one.
fn known<const N: usize>(hash: Option<[u8; N]>) -> (Choice, [u8; N]) {
    (Choice::from(u8::from(hash.is_some())), hash.unwrap_or([0; N]))
}

/// The answer of a client that knows `password` to a caching_sha2_password challenge; empty for an empty password.
pub fn sha2_answer(password: &[u8], scramble: &Scramble) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let first = sha256(&[password]);
    xor(&first, &sha256(&[&sha256(&[&first]), scramble.bytes()])).to_vec()
}

/// The answer of a client that knows `password` to a mysql_native_password challenge; empty for an empty password.
pub fn native_answer(password: &[u8], scramble: &Scramble) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let first = sha1(&[password]);
    xor(&first, &sha1(&[scramble.bytes(), &sha1(&[&first])])).to_vec()
}

/// `password` and its NUL, XORed with the scramble over and over: what is encrypted by RSA, and what that holds.
pub fn veil(bytes: &[u8], scramble: &Scramble) -> Vec<u8> {
    bytes.iter().zip(scramble.bytes().iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha1::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn xor<const N: usize>(one: &[u8; N], other: &[u8; N]) -> [u8; N] {
    let mut out = *one;
    out.iter_mut().zip(other).for_each(|(byte, mask)| *byte ^= mask);
    out
}

/// A slice as an array of just that length.
trait AsArrayExact {
    fn as_array_exact<const N: usize>(&self) -> Option<&[u8; N]>;
}

impl AsArrayExact for [u8] {
    fn as_array_exact<const N: usize>(&self) -> Option<&[u8; N]> {
        self.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scramble() -> Scramble {
        Scramble::received(*b"abcdefghijklmnopqrst")
    }

    /// `PASSWORD('foobar')` as both servers print it, and the caching_sha2 digest by `sha256sum`.
    #[test]
    fn the_stored_hashes_are_the_servers_own() {
        let secret = MysqlSecret::derive(b"foobar");
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        assert_eq!(hex(&secret.native.unwrap()), "9B500343BC52E2911172EB52AE5CF4847604C6E5");
        assert_eq!(hex(&secret.sha2.unwrap()), FOOBAR_SHA2);
        assert_eq!(format!("{secret:?}"), "MysqlSecret(…)");
    }

    const FOOBAR_SHA2: &str = "3F2C7CCAE98AF81E44C0EC419659F50D8B7D48C681E5D57FC747D0461E42DDA1";

    #[test]
    fn an_answer_fits_its_password_and_challenge_only() {
        let secret = MysqlSecret::derive(b"hp_token");
        let other = Scramble::received(*b"abcdefghijklmnopqrsu");
        for (answer, fits) in [
            (sha2_answer(b"hp_token", &scramble()), true),
            (sha2_answer(b"hp_tokens", &scramble()), false),
            (sha2_answer(b"hp_token", &other), false),
            (Vec::new(), false),
        ] {
            assert_eq!(bool::from(secret.fits_sha2(&scramble(), &answer)), fits);
        }
        for (answer, fits) in [
            (native_answer(b"hp_token", &scramble()), true),
            (native_answer(b"hp_tokens", &scramble()), false),
            (native_answer(b"hp_token", &other), false),
            (vec![0; 21], false),
        ] {
            assert_eq!(bool::from(secret.fits_native(&scramble(), &answer)), fits);
        }
        assert!(bool::from(secret.fits_password(b"hp_token")) && !bool::from(secret.fits_password(b"")));
    }

    #[test]
    fn nothing_fits_a_hash_that_is_not_known() {
        let nothing = MysqlSecret::default();
        // What would fit hashes of zeros is not known to anybody, and would not be let in either.
        assert!(!bool::from(nothing.fits_sha2(&scramble(), &sha2_answer(b"x", &scramble()))));
        assert!(!bool::from(nothing.fits_native(&scramble(), &native_answer(b"x", &scramble()))));
        assert!(!bool::from(nothing.fits_password(b"x")));
        assert!(!bool::from(known::<4>(None).0) && bool::from(known(Some([0; 4])).0));
    }

    #[test]
    fn a_veil_taken_off_twice_is_off() {
        let password = b"a password longer than the scramble\0";
        assert_eq!(veil(&veil(password, &scramble()), &scramble()), password);
    }
}
