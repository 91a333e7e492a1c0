//! The client's side of authentication: cleartext, MD5, SCRAM-SHA-256. It checks the server's proof, too.

use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
};

use super::{Startup, frame};

/// One authentication exchange.
pub(super) struct Login<'a> {
    startup: &'a Startup,
    scram: Option<ScramSha256>,
}

impl<'a> Login<'a> {
    pub(super) fn new(startup: &'a Startup) -> Self {
        Self { startup, scram: None }
    }

    /// The answer to an AuthenticationRequest, if it wants one.
    pub(super) fn answer(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        let kind = u32::from_be_bytes(body.get(..4)?.try_into().ok()?);
        let rest = &body[4..];
        let password = self.startup.password.as_bytes();
        match kind {
            0 => None,
            3 => Some(frame::message(b'p', &[password, b"\0"].concat())),
            5 => {
                let salt = rest.try_into().expect("four bytes of salt");
                let hash = md5_hash(self.startup.user.as_bytes(), password, salt);
                Some(frame::message(b'p', &[hash.as_bytes(), b"\0"].concat()))
            }
            10 => {
                let offered = String::from_utf8_lossy(rest);
                let offers = offered.split('\0').any(|name| name == SCRAM_SHA_256);
                assert!(offers, "SCRAM-SHA-256 is not offered: {offered:?}");
                let scram = ScramSha256::new(password, ChannelBinding::unsupported());
                let first = scram.message().to_vec();
                self.scram = Some(scram);
                let mut body = format!("{SCRAM_SHA_256}\0").into_bytes();
                body.extend(u32::try_from(first.len()).expect("a short message").to_be_bytes());
                body.extend(first);
                Some(frame::message(b'p', &body))
            }
            11 => {
                let scram = self.scram.as_mut().expect("SASL was begun");
                scram.update(rest).expect("the server's first message is SCRAM");
                Some(frame::message(b'p', scram.message()))
            }
            12 => {
                self.scram.as_mut().expect("SASL was begun").finish(rest).expect("the server knows the password");
                None
            }
            other => panic!("authentication request {other} is not expected"),
        }
    }
}
