//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side (RFC 5802, RFC 7677, PostgreSQL "SASL Authentication"),
//! as a machine: one type a state, each step consumes the last. An unknown user takes every step that a known one takes.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use hallpass_policy::ids::Timestamp;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;

use super::codec::{Body, Malformed};
use crate::store::credentials::Credentials;

/// The mechanism without channel binding.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// The mechanism bound to our certificate.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// The only channel binding spoken.
const END_POINT: &str = "tls-server-end-point";
/// Bytes of the server's nonce before base64; as many as Postgres takes.
pub const NONCE: usize = 18;

/// Why a login by SCRAM fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ScramError {
    /// A message is not what the RFC says.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A message is not what the RFC says.
    #[error("malformed SCRAM message: {0}")]
    Syntax(&'static str),
    /// The mechanism was not offered.
    #[error("the client chose an authentication mechanism that was not offered")]
    Mechanism,
    /// The client says that we offer no channel binding, but we did: somebody in between took the offer out.
    #[error("SCRAM channel binding negotiation error: the client was not shown SCRAM-SHA-256-PLUS, which was offered")]
    Downgrade,
    /// The client is bound to another TLS connection than this one.
    #[error("SCRAM channel binding check failed")]
    Binding,
    /// No key fits. The client is told no more than for a user that does not exist.
    #[error("no key fits the proof")]
    Proof,
}

/// Mechanisms are offered, nothing came back yet.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The `tls-server-end-point` of our certificate, under TLS.
    end_point: Option<Arc<[u8]>>,
}

impl Offered {
    /// An offer on a connection with this channel binding.
    pub fn new(end_point: Option<Arc<[u8]>>) -> Self {
        Self { end_point }
    }

    /// The mechanisms' names, the best first.
    pub fn mechanisms(&self) -> &'static [&'static str] {
        match self.end_point {
            Some(_) => &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256],
            None => &[SCRAM_SHA_256],
        }
    }

    /// Takes a SASLInitialResponse's body; gives the machine and the data of the AuthenticationSASLContinue.
    ///
    /// # Errors
    /// [`ScramError`], never [`ScramError::Proof`].
    pub fn first(
        self,
        body: &[u8],
        credentials: Credentials,
        nonce: &[u8; NONCE],
    ) -> Result<(Challenged, Vec<u8>), ScramError> {
        let mut body = Body::new("SASLInitialResponse", body);
        let (mechanism, data) = (body.text()?, body.value()?);
        body.end()?;
        let data = data.ok_or(ScramError::Syntax("no initial response"))?;
        let data = std::str::from_utf8(data).map_err(|_| ScramError::Syntax("not UTF-8"))?;
        let (header, bare) = split_header(data)?;
        let binding = self.bind(mechanism, header)?;
        let client_nonce = client_nonce(bare)?;
        let nonce = format!("{client_nonce}{}", STANDARD.encode(nonce));
        let challenge = format!("r={nonce},s={},i={}", STANDARD.encode(&credentials.salt), credentials.iterations);
        let bare = bare.to_owned();
        let data = challenge.clone().into_bytes();
        Ok((Challenged { credentials, bare, challenge, nonce, binding }, data))
    }

    /// Checks the GS2 header against the mechanism; gives what `c=` must hold in the final message.
    fn bind(self, mechanism: &[u8], header: &str) -> Result<String, ScramError> {
        let mut bound = header.as_bytes().to_vec();
        let flag = header.split(',').next().unwrap_or_default();
        if mechanism == SCRAM_SHA_256_PLUS.as_bytes() {
            let end_point = self.end_point.ok_or(ScramError::Mechanism)?;
            if flag.strip_prefix("p=") != Some(END_POINT) {
                return Err(ScramError::Syntax("SCRAM-SHA-256-PLUS without tls-server-end-point"));
            }
            bound.extend_from_slice(&end_point);
        } else if mechanism == SCRAM_SHA_256.as_bytes() {
            match flag {
                "n" => {}
                "y" if self.end_point.is_none() => {}
                "y" => return Err(ScramError::Downgrade),
                _ => return Err(ScramError::Syntax("SCRAM-SHA-256 with channel binding")),
            }
        } else {
            return Err(ScramError::Mechanism);
        }
        Ok(STANDARD.encode(bound))
    }
}

/// Splits a client-first-message into GS2 header (with its last comma) and the rest.
fn split_header(data: &str) -> Result<(&str, &str), ScramError> {
    let mut commas = data.match_indices(',').map(|(at, _)| at);
    let (Some(first), Some(second)) = (commas.next(), commas.next()) else {
        return Err(ScramError::Syntax("no GS2 header"));
    };
    if second != first + 1 {
        return Err(ScramError::Syntax("an authorization identity is not supported"));
    }
    data.split_at_checked(second + 1).ok_or(ScramError::Syntax("no GS2 header"))
}

/// The nonce in a client-first-message-bare. The user's name in it is ignored, as Postgres does: the startup packet's
/// counts.
fn client_nonce(bare: &str) -> Result<&str, ScramError> {
    let mut attributes = bare.split(',');
    if !attributes.next().is_some_and(|name| name.starts_with("n=")) {
        return Err(ScramError::Syntax("no user attribute"));
    }
    let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
    let nonce = nonce.ok_or(ScramError::Syntax("no nonce"))?;
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e);
    if nonce.is_empty() || !nonce.bytes().all(printable) {
        return Err(ScramError::Syntax("a nonce that is not printable"));
    }
    Ok(nonce)
}

/// The challenge is out.
#[derive(Debug)]
pub struct Challenged {
    credentials: Credentials,
    /// client-first-message-bare.
    bare: String,
    /// server-first-message.
    challenge: String,
    /// Both nonces.
    nonce: String,
    /// What `c=` must be.
    binding: String,
}

/// The client knows the password or a token.
#[derive(Debug)]
pub struct Proven {
    /// Of whom.
    pub credentials: Credentials,
    /// Which of them, by its number.
    pub key: i64,
    /// The data of the AuthenticationSASLFinal.
    pub last: Vec<u8>,
}

impl Challenged {
    /// Takes a SASLResponse's body.
    ///
    /// # Errors
    /// [`ScramError`]; of these [`ScramError::Proof`] alone says anything about the user.
    pub fn last(self, body: &[u8], now: Timestamp) -> Result<Proven, ScramError> {
        let message = std::str::from_utf8(body).map_err(|_| ScramError::Syntax("not UTF-8"))?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Syntax("no proof"))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|binding| binding.strip_prefix("c="));
        if binding.ok_or(ScramError::Syntax("no channel binding"))? != self.binding {
            return Err(ScramError::Binding);
        }
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        if nonce != Some(&self.nonce) {
            return Err(ScramError::Syntax("the nonce does not match"));
        }
        let proof = STANDARD.decode(proof).map_err(|_| ScramError::Syntax("a proof that is not base64"))?;
        let signed = format!("{},{},{without_proof}", self.bare, self.challenge);
        let key = self.credentials.verify_proof(signed.as_bytes(), &proof, now).ok_or(ScramError::Proof)?;
        let signature = hmac(&key.keys.server_key, signed.as_bytes())?;
        let last = format!("v={}", STANDARD.encode(signature)).into_bytes();
        let key = key.id;
        Ok(Proven { credentials: self.credentials, key, last })
    }
}

fn hmac(key: &[u8], data: &[u8]) -> Result<[u8; 32], ScramError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| ScramError::Proof)?;
    mac.update(data);
    Ok(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use hallpass_policy::ids::UserName;
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        store::credentials::{CredentialKey, CredentialKind, derive},
        wire::mysql::hashes::MysqlSecret,
    };

    fn user(passwords: &[&str]) -> Credentials {
        let salt = [3; 16];
        let key = |(id, password): (usize, &&str)| CredentialKey {
            id: id as i64,
            kind: CredentialKind::Token,
            keys: derive(password, &salt, 64),
            mysql: MysqlSecret::default(),
            sealed_native: None,
            expires: None,
        };
        Credentials {
            user: UserName::new("ann"),
            salt: Arc::from(salt),
            iterations: 64,
            keys: passwords.iter().enumerate().map(key).collect(),
            disabled: false,
            expires: None,
            groups: vec![],
        }
    }

    fn initial(mechanism: &str, data: &[u8]) -> Vec<u8> {
        [mechanism.as_bytes(), &[0], &(data.len() as i32).to_be_bytes(), data].concat()
    }

    /// A whole conversation with postgres-protocol's client.
    fn talk(
        server: Option<&[u8]>,
        mechanism: &str,
        binding: ChannelBinding,
        password: &str,
        user: Credentials,
    ) -> Result<i64, ScramError> {
        let mut client = ScramSha256::new(password.as_bytes(), binding);
        let offered = Offered::new(server.map(Arc::from));
        let (challenged, challenge) = offered.first(&initial(mechanism, client.message()), user, &[9; NONCE])?;
        client.update(&challenge).unwrap();
        let proven = challenged.last(client.message(), Timestamp(0))?;
        client.finish(&proven.last).unwrap();
        Ok(proven.key)
    }

    #[test]
    fn password_and_token_log_in_and_others_do_not() {
        let plain = |password: &str, user| talk(None, SCRAM_SHA_256, ChannelBinding::unsupported(), password, user);
        assert_eq!(plain("one", user(&["one", "two"])), Ok(0));
        assert_eq!(plain("two", user(&["one", "two"])), Ok(1));
        assert_eq!(plain("three", user(&["one", "two"])), Err(ScramError::Proof));
        assert_eq!(plain("", Credentials::unknown("ghost", &[0; 32])), Err(ScramError::Proof));
    }

    #[test]
    fn channel_binding_is_to_our_own_certificate() {
        let plus = |hash: &[u8]| {
            let binding = ChannelBinding::tls_server_end_point(hash.to_vec());
            talk(Some(b"our hash"), SCRAM_SHA_256_PLUS, binding, "one", user(&["one"]))
        };
        assert_eq!(plus(b"our hash"), Ok(0));
        assert_eq!(plus(b"their hash"), Err(ScramError::Binding));
    }

    #[test]
    fn a_hidden_offer_is_noticed() {
        let y = ChannelBinding::unrequested;
        let under_tls = talk(Some(b"hash"), SCRAM_SHA_256, y(), "one", user(&["one"]));
        assert_eq!(under_tls, Err(ScramError::Downgrade));
        assert_eq!(talk(None, SCRAM_SHA_256, y(), "one", user(&["one"])), Ok(0));
        let n = ChannelBinding::unsupported();
        assert_eq!(talk(Some(b"hash"), SCRAM_SHA_256, n, "one", user(&["one"])), Ok(0));
        let plus_unoffered = talk(None, SCRAM_SHA_256_PLUS, y(), "one", user(&["one"]));
        assert_eq!(plus_unoffered, Err(ScramError::Mechanism));
    }

    /// RFC 7677 section 3, byte for byte but for the server's nonce, which is not base64 there.
    #[test]
    fn the_challenge_has_the_form_of_the_rfc() {
        let body = initial(SCRAM_SHA_256, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (_, challenge) = Offered::new(None).first(&body, user(&[]), &[0; NONCE]).unwrap();
        let expected = "r=rOprNGfwEbeRWgbNEkqOAAAAAAAAAAAAAAAAAAAAAAAA,s=AwMDAwMDAwMDAwMDAwMDAw==,i=64";
        assert_eq!(String::from_utf8(challenge).unwrap(), expected);
    }

    #[test]
    fn what_the_rfc_does_not_say_is_refused() {
        let first = |data: &[u8]| Offered::new(None).first(&initial(SCRAM_SHA_256, data), user(&[]), &[0; NONCE]).err();
        let refused: [&[u8]; 9] = [
            b"",
            b"n",
            b"n,",
            b"n,a=root,n=u,r=x",
            b"n,,m=1,n=u,r=x",
            b"n,,n=u",
            b"n,,n=u,r=",
            b"n,,n=u,r=\xc3\xa4",
            b"p=tls-unique,,n=u,r=x",
        ];
        for data in refused {
            assert!(first(data).is_some(), "{data:?}");
        }
        assert_eq!(first(b"n,,n=u,r=x"), None);
        let none = Offered::new(None).first(b"SCRAM-SHA-256\0\xff\xff\xff\xff", user(&[]), &[0; NONCE]);
        assert_eq!(none.err(), Some(ScramError::Syntax("no initial response")));
        let md5 = Offered::new(None).first(&initial("MD5", b"n,,n=u,r=x"), user(&[]), &[0; NONCE]);
        assert_eq!(md5.err(), Some(ScramError::Mechanism));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(first in "[npy]?[,=a-z\u{e4}]{0,24}", last in "[c=]?[,=a-z\u{e4}]{0,24}") {
            let _ = Offered::new(None).first(&initial(SCRAM_SHA_256, first.as_bytes()), user(&[]), &[0; NONCE]);
            let good = initial(SCRAM_SHA_256, b"n,,n=u,r=x");
            let (challenged, _) = Offered::new(None).first(&good, user(&[]), &[0; NONCE]).unwrap();
            prop_assert!(challenged.last(last.as_bytes(), Timestamp(0)).is_err());
        }
    }
}
