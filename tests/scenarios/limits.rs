//! Limits of a role: rows, bytes, time, and rows that a write may touch.

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
    inside_a_transaction_the_error_says_what_goes_on,
    all_of_a_message_is_rolled_back_with_its_write,
    limits_hold_inside_a_transaction,
    limits_hold_for_each_statement_of_a_message,
    every_limit_is_recorded,
);

fn rows_beyond_the_limit_do_not_come<P: Protocol>() {
    let shop = Shop::<P>::new("max_rows");
    let mut alice = shop.alice_as("small");
    for answer in alice.every_way("SELECT id FROM shop.orders WHERE id <= 10") {
        assert_eq!(answer.ok().rows.len(), 10);
    }
    for answer in alice.every_way("SELECT id FROM shop.orders") {
        let error = answer.fails(Kind::LimitPassed);
        assert!(error.message.contains("10"), "{error:?}");
        assert!(answer.rows.len() <= 10, "{} rows came", answer.rows.len());
    }
    assert_eq!(alice.query("SELECT 1").value(), "1", "the session lives on");
}

fn bytes_beyond_the_limit_do_not_come<P: Protocol>() {
    let shop = Shop::<P>::new("max_bytes");
    let mut alice = shop.alice_as("bytes");
    for answer in alice.every_way("SELECT repeat(note, 100) FROM shop.orders") {
        let error = answer.fails(Kind::LimitPassed);
        assert!(error.message.contains("max_result_bytes of this grant allows (64000 bytes)"), "{error:?}");
    }
    assert!(alice.received().len() < 3 * 80_000, "{} bytes came", alice.received().len());
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

fn time_is_limited<P: Protocol>() {
    let shop = Shop::<P>::new("max_time");
    let mut alice = shop.alice_as("small");
    for answer in alice.every_way(P::SLOW) {
        answer.fails(Kind::Stopped);
    }
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
    alice.query(P::SLOW).fails(Kind::Stopped);
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

fn inside_a_transaction_the_error_says_what_goes_on<P: Protocol>() {
    let shop = Shop::<P>::new("affected_tx");
    let mut alice = shop.alice_as("fixer");
    let many = "UPDATE shop.orders SET note = 'many' WHERE id <= 6";
    for prepared in [false, true] {
        alice.query("BEGIN").ok();
        alice.query("UPDATE shop.orders SET note = 'one' WHERE id = 1").ok();
        let answer = if prepared { alice.prepared(many, &[]) } else { alice.query(many) };
        let error = answer.fails(Kind::LimitPassed);
        let goes_on = P::pick("the transaction has failed", "the transaction goes on");
        let words = ["changed 6 rows", "(5)", "it is rolled back, and", goes_on];
        assert!(error.says(&words), "{error:?}");
        assert_eq!(error.hint.starts_with("send ROLLBACK; "), P::pick(true, false), "{error:?}");
        // As after any other error: Postgres' transaction has failed, MySQL's goes on without the statement.
        let next = alice.query("UPDATE shop.orders SET note = 'two' WHERE id = 2");
        assert_eq!(next.errors.is_empty(), P::pick(false, true), "{next:?}");
        alice.query("COMMIT");
        let kept = shop.database.value("SELECT count(*) FROM shop.orders WHERE note IN ('one', 'two')");
        assert_eq!(kept, P::pick("0", "2"));
        assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'many'"), "0");
    }
}

fn all_of_a_message_is_rolled_back_with_its_write<P: Protocol>() {
    let shop = Shop::<P>::new("affected_multi");
    let mut alice = shop.alice_as("fixer");
    let message = "UPDATE shop.orders SET note = 'one' WHERE id = 1; UPDATE shop.orders SET note = 'many' WHERE id <= 6; \
                   UPDATE shop.orders SET note = 'last' WHERE id = 9";
    let answer = alice.query(message);
    assert_eq!(answer.errors.len(), 1, "{answer:?}");
    let error = &answer.errors[0];
    assert!(error.is(Kind::LimitPassed), "{error:?}");
    assert!(error.says(&["changed 6 rows", "all of its message is rolled back"]), "{error:?}");
    let kept = shop.database.value("SELECT count(*) FROM shop.orders WHERE note IN ('one', 'many', 'last')");
    assert_eq!(kept, "0");
    alice.query("UPDATE shop.orders SET note = 'a' WHERE id = 1; UPDATE shop.orders SET note = 'b' WHERE id = 2").ok();
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note IN ('a', 'b')"), "2");
}

fn limits_hold_inside_a_transaction<P: Protocol>() {
    let shop = Shop::<P>::new("limits_tx");
    let mut alice = shop.alice_as("small");
    for sql in ["SELECT id FROM shop.orders", P::SLOW] {
        for prepared in [false, true] {
            alice.query("BEGIN").ok();
            let answer = if prepared { alice.prepared(sql, &[]) } else { alice.query(sql) };
            assert!(answer.error().is(Kind::LimitPassed) || answer.error().is(Kind::Stopped), "{answer:?}");
            // Postgres' transaction has failed; MySQL's goes on.
            let next = alice.query("SELECT 1");
            assert_eq!(next.errors.is_empty(), P::pick(false, true), "{next:?}");
            alice.query("ROLLBACK").ok();
            assert_eq!(alice.query("SELECT 1").value(), "1");
        }
    }
}

fn limits_hold_for_each_statement_of_a_message<P: Protocol>() {
    let shop = Shop::<P>::new("limits_multi");
    let mut alice = shop.alice_as("small");
    let few = "SELECT id FROM shop.orders WHERE id <= 8";
    alice.query(&format!("{few}; {few}")).ok();
    let answer = alice.query(&format!("{few}; SELECT id FROM shop.orders; {few}"));
    assert_eq!(answer.errors.len(), 1, "{answer:?}");
    assert!(answer.errors[0].is(Kind::LimitPassed), "{answer:?}");
    assert!(answer.rows.len() <= 18, "{} rows came", answer.rows.len());
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

/// The outcome of what a limit stopped says so.
fn every_limit_is_recorded<P: Protocol>() {
    let shop = Shop::<P>::new("limits_audit");
    let mut alice = shop.alice_as("small");
    shop.grant("fixer");
    for (sql, words) in [
        ("SELECT id FROM shop.orders WHERE id > 0", "max_rows"),
        (P::SLOW, "statement_timeout"),
        ("UPDATE shop.orders SET note = 'many' WHERE id <= 6", "max_rows_affected"),
    ] {
        assert!(!alice.query(sql).errors.is_empty(), "{sql}");
        let (_, outcome) = shop.proxy.audit().wait_for_outcome(sql);
        let reason = outcome.reason.clone().unwrap_or_default();
        assert!(outcome.error_code.is_some() && reason.contains(words), "{sql}: {outcome:?}");
    }
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
