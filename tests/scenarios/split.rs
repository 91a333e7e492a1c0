//! Messages may arrive in any pieces: split at every byte, or many in one piece.

use std::time::Duration;

use hallpass_tests::{
    shop::PostgresShop as Shop,
    wire::postgres::{Client, frame},
};

#[test]
fn a_conversation_split_at_every_byte_is_the_same_conversation() {
    let shop = Shop::new("split");
    let mut alice = shop.alice_as("reader");
    let sql = b"SELECT id, email FROM shop.customers WHERE id = $1";
    let mut frames = frame::parse("", sql, &[23]);
    frames.extend(frame::bind("", "", &[Some(b"7".to_vec())], &[], 0));
    frames.extend([frame::name(b'D', b'P', ""), frame::execute("", 0), frame::sync()].concat());
    alice.send(&frames);
    let whole = alice.reply().ok();
    for at in 1..frames.len() {
        alice.send(&frames[..at]);
        if at % 16 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        alice.send(&frames[at..]);
        let reply = alice.reply();
        assert_eq!((&reply.shape, &reply.rows), (&whole.shape, &whole.rows), "split at {at}");
    }
}

#[test]
fn a_login_may_drip() {
    let shop = Shop::new("drip");
    let mut client = Client::open(shop.proxy.port()).expect("the proxy listens");
    let startup = frame::startup(0x0003_0000, &[("user".into(), "alice".into()), ("database".into(), "shop".into())]);
    for byte in startup {
        client.send(&[byte]);
        std::thread::sleep(Duration::from_millis(1));
    }
    client.finish_login(&shop.alice_login()).expect("the login goes on");
    assert_eq!(client.query("SELECT 1").value(), "1");
}

#[test]
fn a_long_startup_message_is_read_whole() {
    let shop = Shop::new("long_startup");
    let startup = shop.alice_login().with("application_name", &"x".repeat(6000));
    let mut client = Client::connect(&startup).expect("6 KB are no harm");
    assert_eq!(client.query("SELECT 1").value(), "1");
}

#[test]
fn many_queries_in_one_write_are_answered_in_order() {
    let shop = Shop::new("many");
    let mut alice = shop.alice();
    let frames: Vec<u8> = (0..500).flat_map(|i| frame::query(format!("SELECT {i}").as_bytes())).collect();
    alice.send(&frames);
    for i in 0..500 {
        assert_eq!(alice.reply().ok().value(), i.to_string());
    }
}

#[test]
fn a_message_with_a_wrong_length_ends_the_connection_only() {
    let shop = Shop::new("length");
    for bytes in [&[b'Q', 0, 0, 0, 3][..], &[b'Q', 0xff, 0xff, 0xff, 0xff, 0], &[0, 0, 0, 0, 4], &[b'~', 0, 0, 0, 4]] {
        let mut alice = shop.alice();
        alice.send(bytes);
        let reply = alice.drain(Duration::from_secs(5));
        assert!(alice.is_closed(), "{bytes:?}: {reply:?}");
        assert_eq!(reply.errors.first().map(|error| error.code()), Some("08P01"), "{bytes:?}");
    }
    assert_eq!(shop.alice().query("SELECT 1").value(), "1");
}
