//! The client's machine talks to the server's, and to what real servers said.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::wire::mysql::{
    auth::{self, Candidates, Channel, First, Login, Native},
    hashes::MysqlSecret,
    rsa::ServerKey,
    startup::Response,
};

const SERVER: Capabilities = Capabilities(Capabilities::LOGIN.0 | Capabilities::SSL.0 | Capabilities::DEPRECATE_EOF.0);

fn account(password: &str) -> Account {
    Account {
        user: "hallpass".into(),
        password: Some(Secret::new(password.into())),
        database: Some("shop".into()),
        collation: 45,
        agreed: Capabilities::DEPRECATE_EOF,
        attributes: vec![("program_name".into(), "hallpass".into())],
    }
}

fn greeting(capabilities: Capabilities, plugin: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let greeting = Greeting {
        version: b"5.5.5-10.11.6-MariaDB".to_vec(),
        connection: 12,
        scramble: Scramble::received(*b"abcdefghijklmnopqrst"),
        capabilities,
        collation: 45,
        status: 2,
        plugin: plugin.into(),
    };
    greeting.encode(&mut out);
    out
}

const OK: &[u8] = b"\0\0\0\x02\0\0\0";

/// Logs in at a server that knows `known`; the payloads the client sent, and the outcome.
fn converse(security: Security, plugin: &str, known: Option<&str>, native: Native) -> Result<Opened, LoginFailure> {
    let key = Arc::new(ServerKey::generate().unwrap());
    let channel = match security {
        Security::Plain => Channel::Plain(key),
        // A server takes a Unix socket for as good as TLS.
        Security::Local | Security::Tls => Channel::Tls,
    };
    let mut action = UpstreamLogin::new(account("secret"), security).read(&greeting(SERVER, plugin))?;
    if let Action::StartTls(request, login) = action {
        assert_eq!(request.len(), 32);
        action = login.encrypted()?;
    }
    let Action::Send(payload, mut client) = action else { panic!("{action:?}") };
    let response = Response::decode(&payload, SERVER).unwrap();
    assert_eq!((response.user.as_slice(), response.database.as_slice()), (&b"hallpass"[..], &b"shop"[..]));
    assert_eq!(response.attributes.len(), 1);
    let secrets = known.map(|word| (0, MysqlSecret::derive(word.as_bytes()))).into_iter().collect();
    let first = First { plugin: response.plugin.as_deref(), auth: &response.auth };
    let (scramble, fresh) =
        (Scramble::received(*b"abcdefghijklmnopqrst"), Scramble::received(*b"ABCDEFGHIJKLMNOPQRST"));
    let mut step = Login::begin(first, Candidates { secrets }, scramble, fresh, channel, native).unwrap();
    loop {
        match step {
            auth::Step::Send(payload, server) => {
                let Action::Send(answer, next) = client.read(&payload)? else { panic!() };
                (step, client) = (server.answer(&answer), next);
            }
            auth::Step::Verified { payload, .. } => {
                if let Some(payload) = payload {
                    let Action::Read(next) = client.read(&payload)? else { panic!() };
                    client = next;
                }
                let Action::Done(opened) = client.read(OK)? else { panic!() };
                return Ok(opened);
            }
            auth::Step::Password(password) => {
                assert_eq!(password.bytes(), b"secret");
                let Action::Done(opened) = client.read(OK)? else { panic!() };
                return Ok(opened);
            }
            auth::Step::Denied(_) | auth::Step::TooOld | auth::Step::Exposed => {
                let denied = client.read(b"\xff\x15\x04#28000Access denied");
                return Err(denied.unwrap_err());
            }
        }
    }
}

#[test]
fn every_way_in_works() {
    for security in [Security::Plain, Security::Local, Security::Tls] {
        for plugin in ["caching_sha2_password", "mysql_native_password", "unheard_of", ""] {
            for known in [Some("secret"), None] {
                if known.is_none() && plugin != "caching_sha2_password" {
                    continue;
                }
                let opened = converse(security, plugin, known, Native::Accepted).unwrap();
                assert_eq!(opened.greeting.true_version(), b"10.11.6-MariaDB");
                assert_eq!((opened.greeting.connection, opened.status), (12, Status::AUTOCOMMIT));
                assert!(opened.held.has(Capabilities::DEPRECATE_EOF));
            }
        }
        converse(security, "mysql_native_password", Some("secret"), Native::TokensOnly).unwrap();
    }
}

#[test]
fn a_refusal_tells_the_client_nothing_of_ours() {
    let failure = converse(Security::Plain, "mysql_native_password", Some("other"), Native::Accepted).unwrap_err();
    assert!(matches!(&failure, LoginFailure::Refused { code: 1045, .. }));
    assert_eq!(failure.reason(), "the database refused the proxy's login; tell an administrator");
}

#[test]
fn tls_is_not_given_up_and_passwords_are_not_given_away() {
    let plain = greeting(SERVER - Capabilities::SSL, "mysql_native_password");
    let refused = UpstreamLogin::new(account("x"), Security::Tls).read(&plain);
    assert!(matches!(refused, Err(LoginFailure::NoTls)));
    for plugin in ["mysql_clear_password", "sha256_password", "parsec", "dialog"] {
        let login = UpstreamLogin::new(account("x"), Security::Plain);
        let Ok(Action::Send(_, login)) = login.read(&greeting(SERVER, plugin)) else { panic!() };
        let switch = [b"\xfe", plugin.as_bytes(), b"\0abcdefghijklmnopqrst\0"].concat();
        assert!(matches!(login.read(&switch), Err(LoginFailure::Method(_))), "{plugin}");
    }
}

#[test]
fn what_the_client_was_promised_must_be_there() {
    let old = greeting(SERVER - Capabilities::DEPRECATE_EOF, "");
    let refused = UpstreamLogin::new(account("x"), Security::Plain).read(&old);
    assert!(matches!(refused, Err(LoginFailure::Capabilities(Capabilities::DEPRECATE_EOF))));
}

proptest! {
    #[test]
    fn garbage_never_panics(payloads in vec(vec(prop_oneof![1 => 0..5u8, 1 => any::<u8>()], 0..40), 0..5)) {
        let login = UpstreamLogin::new(account("x"), Security::Plain);
        let mut action = login.read(&greeting(SERVER, "caching_sha2_password"));
        for payload in &payloads {
            action = match action {
                Ok(Action::Send(_, login) | Action::Read(login)) => login.read(payload),
                _ => break,
            };
        }
    }
}
