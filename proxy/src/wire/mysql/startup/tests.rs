//! Greetings and responses as real servers and clients send them, and what must be refused.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::wire::mysql::codec::put_message;

/// A MariaDB 10.11 greeting, byte for byte.
const MARIADB: &[u8] = b"\x0a5.5.5-10.11.14-MariaDB-0+deb12u2\0\x1f\0\0\0l;fZGC}o\0\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0B_EO+>@BBw;W\0mysql_native_password\0";

/// A response over `caps` of user `ann` with 20 bytes of `auth`, schema `shop` and one attribute.
pub(crate) fn response(caps: Capabilities, plugin: &str) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&caps.basic().to_le_bytes());
    out.extend_from_slice(&[0, 0, 0, 1, 45]);
    out.extend_from_slice(&[0; 19]);
    out.extend_from_slice(&caps.extended().to_le_bytes());
    out.extend_from_slice(b"ann\0\x14aaaaaaaaaaaaaaaaaaaashop\0");
    out.extend_from_slice(plugin.as_bytes());
    out.extend_from_slice(b"\0\x0a\x04_pid\x0442  ");
    out
}

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_message(&mut out, &mut Sequence::at(sequence, Order::Checked), payload);
    out
}

const OURS: Capabilities = Capabilities(
    Capabilities::LOGIN.0 | Capabilities::SSL.0 | Capabilities::DEPRECATE_EOF.0 | Capabilities::CACHE_METADATA.0,
);

#[test]
fn a_greeting_is_read_and_written_the_same() {
    let greeting = Greeting::decode(MARIADB).unwrap();
    assert_eq!(greeting.true_version(), b"10.11.14-MariaDB-0+deb12u2");
    assert_eq!((greeting.connection, greeting.plugin.as_slice()), (31, &b"mysql_native_password"[..]));
    assert_eq!(greeting.capabilities.flavour(), Flavour::MariaDb);
    assert_eq!(greeting.capabilities, Capabilities(0x1d_81ff_f7fe));
    assert_eq!(greeting.scramble.bytes(), b"l;fZGC}oB_EO+>@BBw;W");
    let mut again = Vec::new();
    greeting.encode(&mut again);
    assert_eq!(again, MARIADB);
}

#[test]
fn scrambles_hold_no_nul_and_no_dollar() {
    let scramble = Scramble::new(std::array::from_fn(|at| [0, b'$', 0x80, 0xa4, 0xff][at % 5]));
    assert!(scramble.bytes().iter().all(|byte| !matches!(byte, 0 | b'$' | 0x80..)));
}

#[test]
fn a_response_is_taken_apart_by_what_was_announced() {
    let caps = OURS - Capabilities::SSL;
    let bytes = packet(1, &response(caps, "caching_sha2_password"));
    let Ok(Step::Start { response, agreed, consumed, sequence }) = Opening::new(OURS, Offer::Prefer).advance(&bytes)
    else {
        panic!("no start")
    };
    assert_eq!((consumed, sequence.next(), agreed), (bytes.len(), 2, caps));
    assert_eq!((response.user.as_slice(), response.database.as_slice()), (&b"ann"[..], &b"shop"[..]));
    assert_eq!(response.plugin.as_deref(), Some(&b"caching_sha2_password"[..]));
    assert_eq!(response.attributes, [(b"_pid".to_vec(), b"42  ".to_vec())]);
    assert_eq!((response.auth.len(), response.collation), (20, 45));
}

#[test]
fn tls_comes_first_where_it_is_asked_for_or_required() {
    let request = &response(OURS, "")[..32];
    let bytes = packet(1, request);
    let step = Opening::new(OURS, Offer::Require).advance(&bytes).unwrap();
    let Step::UpgradeToTls { consumed: 36, then } = step else { panic!("{step:?}") };
    let answer = packet(2, &response(OURS, "x"));
    assert!(matches!(then.advance(&answer), Ok(Step::Start { .. })));
    assert!(matches!(then.advance(&packet(1, request)), Err(ClientError::ProtocolViolation(_))), "out of order");

    let mut smuggled = bytes.clone();
    smuggled.extend_from_slice(&answer);
    assert!(Opening::new(OURS, Offer::Prefer).advance(&smuggled).is_err());
    assert!(Opening::new(OURS, Offer::Off).advance(&bytes).is_err());
    let plain = packet(1, &response(OURS - Capabilities::SSL, "x"));
    let refused = Opening::new(OURS, Offer::Require).advance(&plain);
    assert!(matches!(refused, Err(ClientError::StartupRefused { .. })));
}

#[test]
fn every_prefix_waits() {
    let bytes = packet(1, &response(OURS - Capabilities::SSL, "mysql_native_password"));
    for end in 0..bytes.len() {
        assert!(matches!(Opening::new(OURS, Offer::Prefer).advance(&bytes[..end]), Ok(Step::Wait)), "{end}");
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..120)) {
        let _ = Greeting::decode(&bytes);
        let _ = Response::decode(&bytes, OURS);
        let _ = Response::decode(&[&response(OURS, "")[..36], &bytes].concat(), OURS);
        let _ = Opening::new(OURS, Offer::Prefer).advance(&bytes);
    }
}
