//! Masked columns are masked on every way a row can take to the client, in both formats.

use hallpass_tests::{
    both,
    protocol::{Client as _, Kind, Protocol},
    shop::{MySqlShop, PostgresShop, Shop},
    wire::postgres::frame,
};

both!(
    each_mask_does_what_it_says,
    every_way_of_reading_is_masked,
    prepared_statements_of_sql_are_masked,
    a_masked_value_does_not_move_to_another_column,
    comparing_for_equality_only,
    masked_columns_are_named_in_the_audit,
);

/// Values of customer 7 that must not be seen under `reader`.
const SECRETS: [&[u8]; 4] = [b"mail7@", b"900-00-0007", b"4111000000000007", b"50007"];

#[track_caller]
fn assert_hidden(received: &[u8]) {
    for secret in SECRETS {
        let seen = received.windows(secret.len()).any(|window| window == secret);
        assert!(!seen, "{} was received", String::from_utf8_lossy(secret));
    }
}

const ROW: &str = "SELECT id, name, email, ssn, card_number, salary, city FROM shop.customers WHERE id = 7";

fn each_mask_does_what_it_says<P: Protocol>() {
    let shop = Shop::<P>::new("masks");
    let mut alice = shop.alice_as("reader");
    for answer in [alice.query(ROW).ok(), alice.prepared(ROW, &[]).ok()] {
        let row = &answer.rows[0];
        let value = |at: usize| row[at].as_deref();
        assert_eq!((value(0), value(1)), (Some("7"), Some("Customer 7")), "unmasked values are untouched");
        let email = value(2).expect("an email mask is no null");
        assert!(email.contains('@'), "an address stays an address: {email}");
        assert!(value(3).is_some(), "a full mask of a text is a text");
        let card = value(4).expect("a partial mask is no null");
        assert!(card.ends_with("0007") && !card.starts_with('4') && card.len() == 16, "{card}");
        assert_eq!(value(5), None, "a null mask is null");
        assert_eq!(value(6), Some("Bergen"));
    }
    assert_hidden(alice.received());
}

fn every_way_of_reading_is_masked<P: Protocol>() {
    let shop = Shop::<P>::new("ways");
    let mut alice = shop.alice_as("reader");
    let own = P::pick(
        [
            "TABLE shop.customers",
            "SELECT lower(email), ssn || 'x', salary + 1 FROM shop.customers WHERE id = 7",
            "SELECT row_to_json(c) FROM shop.customers c WHERE id = 7",
            "SELECT c FROM shop.customers c WHERE id = 7",
            "SELECT string_agg(email, ',') FROM shop.customers",
        ],
        [
            "SELECT HIGH_PRIORITY email, ssn FROM shop.customers WHERE id = 7 FOR UPDATE",
            "SELECT LOWER(email), CONCAT(ssn, 'x'), salary + 1 FROM shop.customers WHERE id = 7",
            "SELECT JSON_OBJECT('a', email, 'b', card_number) FROM shop.customers WHERE id = 7",
            "SELECT JSON_ARRAYAGG(ssn) FROM shop.customers",
            "SELECT GROUP_CONCAT(email) FROM shop.customers",
        ],
    );
    let shared = [
        ROW,
        "SELECT * FROM shop.customers WHERE id = 7",
        "SELECT c.email AS harmless FROM shop.customers c WHERE c.id = 7",
        "SELECT * FROM (SELECT email, salary FROM shop.customers WHERE id = 7) s",
        "WITH c AS (SELECT ssn FROM shop.customers WHERE id = 7) SELECT ssn FROM c",
        "SELECT address FROM shop.contacts WHERE id = 7",
        "SELECT email FROM shop.customers WHERE id = 7 UNION ALL SELECT 'x'",
        "SELECT o.id, c.email FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id WHERE c.id = 7",
        "SELECT (SELECT email FROM shop.customers WHERE id = 7)",
        "SELECT name FROM shop.customers WHERE id = 7 ORDER BY salary",
    ];
    for sql in shared.into_iter().chain(own) {
        alice.every_way(sql);
    }
    assert_hidden(alice.received());
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

fn prepared_statements_of_sql_are_masked<P: Protocol>() {
    let shop = Shop::<P>::new("sql_prepare");
    let mut alice = shop.alice_as("reader");
    alice.query(&P::pick(format!("PREPARE p AS {ROW}"), format!("PREPARE p FROM '{ROW}'"))).ok();
    assert_eq!(alice.query("EXECUTE p").ok().rows.len(), 1);
    let held = alice.hold(ROW);
    for _ in 0..3 {
        assert_eq!(alice.run_held(&held).ok().rows.len(), 1);
    }
    assert_hidden(alice.received());
}

fn a_masked_value_does_not_move_to_another_column<P: Protocol>() {
    let shop = Shop::<P>::with("moved", |settings| {
        settings
            .rules
            .push_str("\n[roles.registrar]\nallow = [\"select\", \"update\"]\ntables = [\"shop.customers\"]\n");
    });
    let mut alice = shop.alice_as("registrar");
    assert_eq!(alice.query("UPDATE shop.customers SET city = 'Rome' WHERE id = 7").ok().affected, [1]);
    alice.query("UPDATE shop.customers SET name = email WHERE id = 7");
    alice.prepared("UPDATE shop.customers SET name = email WHERE id = 7", &[]);
    assert_eq!(alice.query("SELECT name FROM shop.customers WHERE id = 7").ok().value(), "Customer 7");
    assert_hidden(alice.received());
}

#[test]
fn cursors_of_mysql_are_masked() {
    let shop = MySqlShop::new("cursor_mask");
    let mut alice = shop.alice_as("reader");
    let sql = "SELECT id, email, ssn, salary FROM shop.customers ORDER BY id";
    let reply = alice.run_cursor(sql, &[], 7).ok();
    assert_eq!(reply.rows.len(), 50);
    assert!(reply.rows.iter().all(|row| row[3].is_none()), "a null mask is null: {:?}", reply.rows[6]);
    assert_hidden(alice.received());
}

#[test]
fn without_a_describe_rows_are_masked_too() {
    let shop = PostgresShop::new("describe");
    let mut alice = shop.alice_as("reader");
    for format in [0, 1] {
        let mut frames = frame::parse("", ROW.as_bytes(), &[]);
        frames.extend(frame::bind("", "", &[], &[], format));
        frames.extend(frame::execute("", 0));
        frames.extend(frame::sync());
        alice.send(&frames);
        let reply = alice.reply().ok();
        assert_eq!((reply.rows.len(), reply.shape.as_str()), (1, "12DCZ"));
    }
    let mut frames = frame::parse("named", ROW.as_bytes(), &[]);
    frames.extend([frame::name(b'D', b'S', "named"), frame::sync()].concat());
    alice.send(&frames);
    alice.reply().ok();
    alice.send(&[frame::bind("p", "named", &[], &[], 1), frame::execute("p", 0), frame::sync()].concat());
    assert_eq!(alice.reply().ok().rows.len(), 1);
    assert_hidden(alice.received());
}

#[test]
fn binary_masks_keep_the_type_valid() {
    let shop = PostgresShop::new("binary");
    let mut alice = shop.alice_as("reader");
    let reply = alice.extended(ROW, &[], 1).ok();
    assert_eq!(reply.rows[0][5], None);
    assert_eq!(reply.columns.iter().filter(|column| column.format == 1).count(), 7);
    assert_hidden(alice.received());
}

#[test]
fn cursors_and_prepared_statements_are_masked() {
    let shop = PostgresShop::new("cursors");
    let mut alice = shop.alice_as("reader");
    alice.query("BEGIN").ok();
    alice.query(&format!("DECLARE c CURSOR FOR {ROW}")).ok();
    let reply = alice.query("FETCH ALL FROM c").ok();
    assert_eq!(reply.rows.len(), 1);
    alice.query("COMMIT").ok();
    alice.query(&format!("PREPARE p AS {ROW}")).ok();
    assert_eq!(alice.query("EXECUTE p").ok().rows.len(), 1);
    alice.query("BEGIN").ok();
    alice.send(&[frame::parse("", ROW.as_bytes(), &[]), frame::bind("pt", "", &[], &[], 0), frame::sync()].concat());
    alice.reply().ok();
    alice.query("FETCH ALL FROM pt");
    assert_hidden(alice.received());
}

#[test]
fn copy_out_of_masked_columns_is_refused_or_masked() {
    let shop = PostgresShop::new("copy_mask");
    let mut alice = shop.alice_as("exporter");
    alice.query("COPY shop.customers TO STDOUT");
    alice.query("COPY (SELECT email FROM shop.customers) TO STDOUT");
    assert_hidden(alice.received());
    let reply = alice.query("COPY (SELECT id, name FROM shop.customers WHERE id = 7) TO STDOUT").ok();
    assert_eq!(String::from_utf8_lossy(&reply.copy), "7\tCustomer 7\n");
}

#[test]
fn returning_is_masked() {
    let shop = PostgresShop::with("returning", |settings| {
        settings
            .rules
            .push_str("\n[roles.registrar]\nallow = [\"select\", \"update\"]\ntables = [\"shop.customers\"]\n");
    });
    let mut alice = shop.alice_as("registrar");
    let reply =
        alice.query("UPDATE shop.customers SET city = 'Oslo' WHERE id = 7 RETURNING id, email, ssn, salary").ok();
    assert_eq!(reply.tags, ["UPDATE 1"]);
    assert_eq!(reply.rows.len(), 1);
    alice.query("UPDATE shop.customers SET name = email WHERE id = 7 RETURNING name");
    alice.query("SELECT name FROM shop.customers WHERE id = 7").ok();
    assert_hidden(alice.received());
}

fn comparing_for_equality_only<P: Protocol>() {
    let shop = Shop::<P>::new("predicates");
    let mut alice = shop.alice_as("reader");
    let found = alice.query("SELECT id FROM shop.customers WHERE email = 'mail7@example.test'").ok();
    assert_eq!(found.value(), "7");
    for sql in [
        "SELECT id FROM shop.customers WHERE email LIKE 'mail7%'",
        "SELECT id FROM shop.customers WHERE salary > 50006 AND salary < 50008",
        "SELECT id FROM shop.customers ORDER BY salary",
    ] {
        alice.query(sql).fails(Kind::Denied);
    }
}

fn masked_columns_are_named_in_the_audit<P: Protocol>() {
    let shop = Shop::<P>::new("mask_audit");
    shop.alice_as("reader").query(ROW).ok();
    let (_, outcome) = shop.proxy.audit().wait_for_outcome(ROW);
    let masked = outcome.masked_columns.expect("there are masked columns");
    for column in ["email", "ssn", "card_number", "salary"] {
        assert!(masked.contains(&format!("shop.customers.{column}")), "{masked}");
    }
    assert_eq!(outcome.rows, Some(1));
}
