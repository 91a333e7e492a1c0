//! Limits of a role: rows, bytes, time, and rows that a write may touch.

use std::time::{Duration, Instant};

use hallpass_tests::{shop::Shop, wire::postgres::frame};

#[test]
fn rows_beyond_the_limit_do_not_come() {
    let shop = Shop::new("max_rows");
    let mut alice = shop.alice_as("small");
    assert_eq!(alice.query("SELECT id FROM shop.orders WHERE id <= 10").ok().rows.len(), 10);
    let reply = alice.query("SELECT id FROM shop.orders");
    assert_eq!(reply.error().code(), "54000");
    assert!(reply.rows.len() <= 10, "{} rows came", reply.rows.len());
    assert!(reply.error().message().contains("10"), "{:?}", reply.error());
    assert_eq!(alice.query("SELECT 1").value(), "1", "the session lives on");
}

#[test]
fn bytes_beyond_the_limit_do_not_come() {
    let shop = Shop::new("max_bytes");
    let mut alice = shop.alice_as("bytes");
    let reply = alice.query("SELECT repeat(note, 100) FROM shop.orders");
    assert_eq!(reply.error().code(), "54000");
    assert!(alice.received().len() < 200_000, "{} bytes came", alice.received().len());
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn time_is_limited() {
    let shop = Shop::new("max_time");
    let mut alice = shop.alice_as("small");
    let start = Instant::now();
    let reply = alice.query("SELECT count(*) FROM generate_series(1, 1000000000) g, shop.orders WHERE id = 1");
    assert_eq!(reply.error().code(), "57014");
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn a_client_cannot_lift_the_time_limit() {
    let shop = Shop::new("lift");
    let mut alice = shop.alice_as("small");
    alice.query("SET statement_timeout = 0");
    let start = Instant::now();
    let reply = alice.query("SELECT count(*) FROM generate_series(1, 1000000000) g, shop.orders WHERE id = 1");
    assert_eq!(reply.error().code(), "57014");
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
}

#[test]
fn a_write_that_touches_more_is_rolled_back() {
    let shop = Shop::new("max_affected");
    let mut alice = shop.alice_as("fixer");
    alice.query("UPDATE shop.orders SET note = 'five' WHERE id <= 5").ok();
    let reply = alice.query("UPDATE shop.orders SET note = 'many' WHERE id <= 6");
    assert_eq!(reply.error().code(), "54000");
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'many'"), "0");
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'five'"), "5");
    let mut frames = frame::parse("", b"UPDATE shop.orders SET note = 'many' WHERE id <= 6", &[]);
    frames.extend([frame::bind("", "", &[], &[], 0), frame::execute("", 0), frame::sync()].concat());
    alice.send(&frames);
    assert_eq!(alice.reply().error().code(), "54000");
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'many'"), "0");
}

#[test]
fn inside_a_transaction_too() {
    let shop = Shop::new("affected_tx");
    let mut alice = shop.alice_as("fixer");
    alice.query("BEGIN").ok();
    let reply = alice.query("UPDATE shop.orders SET note = 'many' WHERE id <= 6");
    assert_eq!((reply.error().code(), reply.status), ("54000", 'E'));
    assert_eq!(alice.query("COMMIT").tags, ["ROLLBACK"]);
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'many'"), "0");
}
