//! The shop itself, without a proxy's help: the same rows, roles and tools on both protocols, so that a scenario written once
//! means the same on both.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client as _, Direct as _, Kind, Protocol},
};

both!(
    the_rows_are_the_same,
    a_slow_statement_is_slow_and_can_be_seen,
    a_lock_can_be_seen,
    every_way_gives_the_same_rows,
    statements_can_be_held_and_logged,
    failures_have_kinds,
);

fn database<P: Protocol>() -> P::Database {
    let database = P::database("shop_itself");
    database.run_as_owner(P::SCHEMA);
    database
}

fn the_rows_are_the_same<P: Protocol>() {
    let database = database::<P>();
    let mut client = database.client();
    let row =
        client.query("SELECT id, name, email, ssn, card_number, salary, city FROM shop.customers WHERE id = 7").ok();
    assert_eq!(row.lines(), ["7|Customer 7|mail7@example.test|900-00-0007|4111000000000007|50007.00|Bergen"]);
    let row = client.query("SELECT id, customer_id, total, status, note FROM shop.orders WHERE id = 200").ok();
    assert_eq!(row.lines(), ["200|1|300.00|open|note 200"]);
    for (table, count) in
        [("customers", "50"), ("orders", "200"), ("employees", "5"), ("vault", "1"), ("contacts", "50")]
    {
        assert_eq!(database.value(&format!("SELECT count(*) FROM shop.{table}")), count, "{table}");
    }
    assert_eq!(client.query("SELECT shop.order_total(4)").ok().value(), "6.00");
    client.query("SELECT shop.touch(4)").ok();
    assert_eq!(database.value("SELECT note FROM shop.orders WHERE id = 4"), "touched");
}

fn a_slow_statement_is_slow_and_can_be_seen<P: Protocol>() {
    let database = database::<P>();
    let mut client = database.client();
    client.start(P::SLOW);
    wait_for("it runs", Duration::from_secs(30), || database.is_running(P::SLOW).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    assert!(database.is_running(P::SLOW));
    drop(client);
}

fn a_lock_can_be_seen<P: Protocol>() {
    let database = database::<P>();
    let mut client = database.client();
    assert!(!database.is_locked("shop.orders"));
    client.query("BEGIN").ok();
    assert!(client.query("UPDATE shop.orders SET note = 'x' WHERE id = 3").ok().in_transaction);
    assert!(database.is_locked("shop.orders"));
    assert!(!client.query("ROLLBACK").ok().in_transaction);
    assert!(!database.is_locked("shop.orders"));
}

fn every_way_gives_the_same_rows<P: Protocol>() {
    let database = database::<P>();
    let mut client = database.client();
    let answers = client.every_way("SELECT id AS a, note FROM shop.orders WHERE id <= 20 ORDER BY id");
    assert_eq!(answers.len(), 3);
    for answer in answers {
        let answer = answer.ok();
        assert_eq!((answer.rows.len(), answer.columns), (20, vec!["a".to_owned(), "note".to_owned()]));
        assert_eq!(answer.rows[19][1].as_deref(), Some("note 20"));
    }
    assert!(client.has_received("note 20") && !client.has_received("note 21"));
}

fn statements_can_be_held_and_logged<P: Protocol>() {
    let database = database::<P>();
    database.log_statements();
    let mut client = database.client();
    let sql = "SELECT note FROM shop.orders WHERE id = 5";
    let held = client.hold(sql);
    for _ in 0..2 {
        assert_eq!(client.run_held(&held).ok().value(), "note 5");
    }
    let with_parameter = format!("SELECT note FROM shop.orders WHERE note = {}", P::parameter(1));
    assert_eq!(client.prepared(&with_parameter, &["note 6"]).ok().value(), "note 6");
    let odd = " SELECT 'a\n\tb' ; ";
    client.query(odd).ok();
    wait_for("the log is written", Duration::from_secs(30), || {
        let log = database.statement_log();
        let wanted = [sql, &with_parameter, odd].map(|sql| database.as_logged(sql));
        wanted.iter().all(|sql| log.iter().any(|logged| logged == sql)).then_some(())
    });
}

fn failures_have_kinds<P: Protocol>() {
    let database = database::<P>();
    let mut client = database.client();
    client.query("SELEC 1").fails(Kind::Unparsed);
    client.query("SELECT * FROM shop.nothing").fails(Kind::NoTable);
    let answer = client.query("INSERT INTO shop.orders (id) VALUES (1)");
    let error = answer.fails(Kind::Duplicate);
    assert!(!error.is(Kind::Denied) && error.says(&["1"]), "{error:?}");
    client.query(P::pick("BEGIN READ ONLY", "START TRANSACTION READ ONLY")).ok();
    client.query("UPDATE shop.orders SET note = 'x' WHERE id = 3").fails(Kind::ReadOnly);
}
