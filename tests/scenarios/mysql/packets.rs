//! Statements, parameters and rows of more than the 16 MB that a packet holds: one statement to the gate and to the audit,
//! one row to the mask.

use hallpass_tests::{
    mysql::clients,
    wire::mysql::{Client, Value},
};

use super::clients::{compared, shop};

/// The longest packet.
const PACKET: usize = 0xFF_FFFF;

#[test]
fn mysql_statements_and_rows_beyond_16_mb_are_whole() {
    compared(&shop("packets"), |login| clients::python(include_str!("programs/packets.py"), login));
}

#[test]
fn masked_mysql_rows_beyond_16_mb_show_nothing() {
    let shop = shop("masked_packets");
    let rows = "INSERT INTO shop.big (id, clear, secret) VALUES \
                (1, REPEAT('c', 17000000), REPEAT('s', 17000000)), (2, 'small', 'secret')";
    shop.database.sql(rows);
    let mut client = Client::connect(&shop.alice_login()).expect("alice may connect");
    for sql in ["SELECT secret, id FROM shop.big ORDER BY id", "SELECT clear, secret, id FROM shop.big ORDER BY id"] {
        for reply in [client.query(sql), client.run_prepared(sql, &[])] {
            let reply = reply.ok();
            let at = reply.rows[0].len() - 2;
            let shown: Vec<_> = reply.rows.iter().map(|row| (row[at].as_deref(), row[at + 1].as_deref())).collect();
            assert_eq!(shown, [(Some("****"), Some("1")), (Some("****"), Some("2"))]);
            assert!(at == 0 || reply.rows[0][0].as_ref().is_some_and(|clear| clear.len() == 17_000_000));
        }
    }
}

#[test]
fn a_mysql_statement_of_several_packets_is_one_to_gate_and_audit() {
    let shop = shop("one_statement");
    let mut client = Client::connect(&shop.alice_login()).expect("alice may connect");
    for length in [PACKET, PACKET + (1 << 20)] {
        let head = "INSERT INTO shop.big (id, clear) VALUES (1, '";
        let text = format!("{head}{}')", "x".repeat(length - head.len() - 2));
        assert_eq!(client.query(&text).ok().affected(), [1]);
        let (attempt, outcome) = shop.proxy.audit().wait_for_outcome(&text);
        assert_eq!((attempt.statement.as_deref().map(str::len), outcome.rows), (Some(length), Some(1)));
        client.query("DELETE FROM shop.big WHERE id = 1").ok();
        // And a denied one is denied as a whole.
        let denied = text.replace("INSERT INTO shop.big (id, clear)", "REPLACE INTO vault.big (id, cl)");
        assert_eq!(client.query(&denied).errors.len(), 1);
        assert_eq!(client.query("SELECT count(*) FROM shop.big").value(), "0");
    }
}

#[test]
fn long_data_of_prepared_mysql_statements_arrives_in_pieces() {
    let shop = shop("long_data");
    let mut client = Client::connect(&shop.alice_login()).expect("alice may connect");
    // The number of the answer's packet after a command of several packets is not what this is about.
    client.ignore_sequence();
    let statement =
        client.prepare("INSERT INTO shop.big (id, clear, secret) VALUES (?, ?, ?)").expect("it is prepared");
    for piece in 0..5 {
        client.long_data(&statement, 1, &vec![b'a' + piece; 4 << 20]);
    }
    client.execute(&statement, &[Value::Int(1), Value::Long, Value::Bytes(vec![b's'; 18 << 20])], 0).ok();
    let lengths = client.query("SELECT LENGTH(clear) FROM shop.big").ok();
    assert_eq!(lengths.value(), (20 << 20).to_string());
    let stored = "SELECT CONCAT(LEFT(clear, 1), RIGHT(clear, 1), LENGTH(secret)) FROM shop.big";
    assert_eq!(shop.database.value(stored), format!("ae{}", 18 << 20));
}
