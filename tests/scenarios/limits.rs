//! Limits of a role: rows, bytes, time, and rows that a write may touch.

use std::time::{Duration, Instant};

use hallpass_tests::{
    both,
    protocol::{Client as _, Direct as _, Kind, Protocol},
    shop::{PostgresShop, Shop},
};

both!(
    rows_beyond_the_limit_do_not_come,
    bytes_beyond_the_limit_do_not_come,
    time_is_limited,
    a_client_cannot_lift_the_time_limit,
    a_write_that_touches_more_is_rolled_back,
    inside_a_transaction_too,
);

fn rows_beyond_the_limit_do_not_come<P: Protocol>() {
    let shop = Shop::<P>::new("max_rows");
    let mut alice = shop.alice_as("small");
    assert_eq!(alice.query("SELECT id FROM shop.orders WHERE id <= 10").ok().rows.len(), 10);
    for answer in [alice.query("SELECT id FROM shop.orders"), alice.prepared("SELECT id FROM shop.orders", &[])] {
        let error = answer.fails(Kind::LimitPassed);
        assert!(error.message.contains("10"), "{error:?}");
        assert!(answer.rows.len() <= 10, "{} rows came", answer.rows.len());
    }
    assert_eq!(alice.query("SELECT 1").value(), "1", "the session lives on");
}

fn bytes_beyond_the_limit_do_not_come<P: Protocol>() {
    let shop = Shop::<P>::new("max_bytes");
    let mut alice = shop.alice_as("bytes");
    alice.query("SELECT repeat(note, 100) FROM shop.orders").fails(Kind::LimitPassed);
    assert!(alice.received().len() < 200_000, "{} bytes came", alice.received().len());
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

fn time_is_limited<P: Protocol>() {
    let shop = Shop::<P>::new("max_time");
    let mut alice = shop.alice_as("small");
    let start = Instant::now();
    alice.query(P::SLOW).fails(Kind::Stopped);
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

fn a_client_cannot_lift_the_time_limit<P: Protocol>() {
    let shop = Shop::<P>::new("lift");
    let mut alice = shop.alice_as("small");
    let lifts = P::pick(
        &["SET statement_timeout = 0"][..],
        &["SET max_statement_time = 0", "SET SESSION max_execution_time = 0"],
    );
    for lift in lifts {
        alice.query(lift);
    }
    let start = Instant::now();
    alice.query(P::SLOW).fails(Kind::Stopped);
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
}

fn a_write_that_touches_more_is_rolled_back<P: Protocol>() {
    let shop = Shop::<P>::new("max_affected");
    let mut alice = shop.alice_as("fixer");
    alice.query("UPDATE shop.orders SET note = 'five' WHERE id <= 5").ok();
    alice.query("UPDATE shop.orders SET note = 'many' WHERE id <= 6").fails(Kind::LimitPassed);
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'many'"), "0");
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'five'"), "5");
    alice.prepared("UPDATE shop.orders SET note = 'many' WHERE id <= 6", &[]).fails(Kind::LimitPassed);
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'many'"), "0");
}

fn inside_a_transaction_too<P: Protocol>() {
    let shop = Shop::<P>::new("affected_tx");
    let mut alice = shop.alice_as("fixer");
    alice.query("BEGIN").ok();
    alice.query("UPDATE shop.orders SET note = 'many' WHERE id <= 6").fails(Kind::LimitPassed);
    alice.query("COMMIT");
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'many'"), "0");
}

#[test]
fn a_limit_passed_aborts_a_transaction_of_postgres() {
    let shop = PostgresShop::new("affected_abort");
    let mut alice = shop.alice_as("fixer");
    alice.query("BEGIN").ok();
    let reply = alice.query("UPDATE shop.orders SET note = 'many' WHERE id <= 6");
    assert_eq!((reply.error().code(), reply.status), ("54000", 'E'));
    assert_eq!(alice.query("COMMIT").tags, ["ROLLBACK"]);
}
