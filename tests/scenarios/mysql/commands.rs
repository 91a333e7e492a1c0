//! Commands that hold no SQL, commands that nobody may send, and packets that are none.

use std::time::Duration;

use hallpass_tests::{
    shop::MySqlShop,
    wire::mysql::{Client, Rows, command, flags},
};

#[test]
fn simple_commands_work() {
    let shop = MySqlShop::new("simple");
    shop.grant("reader");
    for eof in [0, flags::DEPRECATE_EOF] {
        let mut alice =
            Client::connect(&shop.alice_login().without(flags::DEPRECATE_EOF).with(eof)).expect("alice may connect");
        assert_eq!(alice.command(command::PING, b"").ok().shape, "O");
        alice.send_command(&[command::STATISTICS]);
        let line = alice.next(Duration::from_secs(30)).expect("a line");
        // A line of the proxy's own: what all sessions of the server do is not for everybody.
        let line = String::from_utf8_lossy(&line);
        assert!(line.contains("statistics") && !line.contains("Uptime"), "{line}");
        assert_eq!(alice.command(command::PING, b"").ok().shape, "O");
        for on in [0, 1] {
            assert_eq!(alice.command(command::SET_OPTION, &[on, 0]).ok().shape.len(), 1);
            let reply = alice.query("SELECT 1; SELECT 2");
            assert_eq!(reply.errors.len(), usize::from(on), "{reply:?}");
            assert_eq!(alice.query("SELECT 3").value(), "3");
        }
    }
}

#[test]
fn the_schema_is_followed() {
    let other =
        "CREATE DATABASE other; GRANT ALL ON other.* TO 'shop_app'@'%'; CREATE TABLE other.orders (id int, note text)";
    let shop = MySqlShop::after(other, "init_db", |_| {});
    let mut alice = shop.alice_as("reader");
    let denied = |alice: &mut Client| alice.query("SELECT note FROM orders WHERE id = 7").error().code;
    assert_eq!(alice.query("SELECT note FROM orders WHERE id = 7").value(), "note 7");
    for way in 0..3 {
        match way {
            0 => drop(alice.command(command::INIT_DB, b"other").ok()),
            1 => drop(alice.query("USE other").ok()),
            _ => drop(alice.run_prepared("USE other", &[])),
        }
        if alice.query("SELECT DATABASE()").value() == "other" {
            assert_eq!(denied(&mut alice), 1142);
        }
        assert_eq!(alice.query("SELECT note FROM shop.orders WHERE id = 7").value(), "note 7");
        for unknown in [alice.command(command::INIT_DB, b"nowhere"), alice.query("USE nowhere")] {
            // MariaDB says so to who may not know.
            assert!([1044, 1049].contains(&unknown.error().code), "{unknown:?}");
        }
        alice.command(command::INIT_DB, b"shop").ok();
        assert_eq!(alice.query("SELECT note FROM orders WHERE id = 7").value(), "note 7");
    }
}

#[test]
fn the_columns_of_a_table_are_listed() {
    let shop = MySqlShop::new("field_list");
    shop.grant("reader");
    for eof in [0, flags::DEPRECATE_EOF] {
        let list = |client: &mut Client, table: &[u8]| {
            client.send_command(&command::command(command::FIELD_LIST, &[table, b"\0"].concat()));
            client.drain(Duration::from_millis(500))
        };
        let mut direct =
            Client::connect(&shop.database.as_owner().without(flags::DEPRECATE_EOF).with(eof)).expect("the owner");
        let mut alice =
            Client::connect(&shop.alice_login().without(flags::DEPRECATE_EOF).with(eof)).expect("alice may connect");
        for table in [b"customers".as_slice(), b"nothing"] {
            let [expected, got] = [list(&mut direct, table), list(&mut alice, table)];
            if table == b"customers" {
                assert_eq!(got, expected);
            } else {
                assert_eq!((got.len(), got[0][0]), (1, 0xFF));
            }
        }
        // Names are no secret.
        assert_eq!(list(&mut alice, b"vault"), list(&mut direct, b"vault"));
        assert_eq!(alice.query("SELECT 1").value(), "1");
    }
}

#[test]
fn processes_are_the_servers_to_show() {
    let shop = MySqlShop::new("process_info");
    let mut alice = shop.alice_as("reader");
    let reply = alice.command(0x0A, b"");
    assert!(reply.errors.len() == 1 || !reply.rows.is_empty());
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn all_other_commands_are_refused_and_the_session_lives() {
    let shop = MySqlShop::new("refused");
    let mut alice = shop.alice_as("owner");
    alice.query("SELECT 1").ok();
    let known = [1, 2, 3, 4, 9, 0x0A, 0x0C, 0x0E, 0x11, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1F, 0xFA];
    for number in (0..=255u8).filter(|number| !known.contains(number)) {
        // COM_DEBUG has nothing behind it.
        let reply = alice.command(number, if number == 0x0D { b"" } else { b"shop" });
        assert_eq!(reply.errors.len(), 1, "{number:#04x}: {reply:?}");
        assert!([1047, 1235].contains(&reply.errors[0].code), "{number:#04x}: {reply:?}");
    }
    assert_eq!(alice.query("SELECT 1").value(), "1");
    assert_eq!(shop.database.value("SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'shop'"), "1");
}

#[test]
fn a_wrong_sequence_id_ends_the_session() {
    let shop = MySqlShop::new("sequence");
    shop.grant("reader");
    for sequence in [1, 7, 255] {
        let mut alice = shop.alice();
        alice.query("SELECT 1").ok();
        alice.ignore_sequence();
        alice.send(&[9, 0, 0, sequence, 3]);
        alice.send(b"SELECT 1");
        let reply = alice.reply(Rows::Text);
        assert!([1156, 1047].contains(&reply.error().code), "{reply:?}");
        assert!(alice.query("SELECT 1").closed);
    }
}

#[test]
fn malformed_commands_end_the_session_at_most() {
    let shop = MySqlShop::new("malformed");
    shop.grant("reader");
    let mut seed = 7u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let numbers = [2, 3, 4, 0x0A, 0x0C, 0x11, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0xFA];
    for round in 0..150 {
        let mut alice = shop.alice();
        let held = alice.prepare("SELECT id FROM shop.orders WHERE id = ? AND note <> ?").expect("it prepares");
        alice.ignore_sequence();
        alice.set_patience(Duration::from_millis(200));
        let mut body = vec![numbers[round % numbers.len()]];
        if round % 3 == 0 {
            body.extend(held.id.to_le_bytes());
        }
        body.extend((0..random() % 40).map(|_| random() as u8));
        alice.send_command(&body);
        alice.drain(Duration::from_millis(30));
    }
    let mut alice = shop.alice();
    alice.send_command(&[]);
    alice.ignore_sequence();
    alice.drain(Duration::from_millis(200));
    assert!(shop.proxy.alive());
    assert_eq!(shop.alice().query("SELECT id FROM shop.orders WHERE id = 7").value(), "7");
}
