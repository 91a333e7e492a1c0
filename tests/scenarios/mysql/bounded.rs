//! `max_rows_affected`: a write that changes more is taken back, and only that.

use std::time::Duration;

use hallpass_tests::{
    mysql::Flavour,
    process::wait_for,
    protocol::Direct as _,
    shop::MySqlShop,
    wire::mysql::{Client, Reply, Rows, flags},
};

const ROLES: &str = "
[roles.loader]
allow = [\"select\", \"insert\", \"update\", \"delete\", \"copy_in\"]
tables = [\"shop.*\"]
max_rows_affected = 5
";

fn shop(name: &str) -> MySqlShop {
    MySqlShop::with(name, |settings| settings.rules.push_str(ROLES))
}

#[track_caller]
fn assert_wide(reply: &Reply, rows: u64) {
    let error = reply.error();
    assert_eq!(error.code, 1104, "{reply:?}");
    assert!(error.message.contains(&format!("changed {rows} rows")) && error.message.contains("(5)"), "{reply:?}");
}

fn noted(shop: &MySqlShop, note: &str) -> String {
    shop.database.value(&format!("SELECT count(*) FROM shop.orders WHERE note = '{note}'"))
}

#[test]
fn it_is_taken_back_in_autocommit() {
    let shop = shop("bounded_auto");
    shop.grant("loader");
    for eof in [0, flags::DEPRECATE_EOF] {
        let mut alice =
            Client::connect(&shop.alice_login().with(flags::MULTI_STATEMENTS).without(flags::DEPRECATE_EOF).with(eof))
                .expect("alice may connect");
        let reply = alice.query("UPDATE shop.orders SET note = 'wide' WHERE id <= 6");
        assert_wide(&reply, 6);
        let reply = alice.query("SELECT 1").ok();
        assert_eq!(reply.status() & (flags::IN_TRANSACTION | 2), 2, "autocommit, and no transaction");
        assert_eq!(noted(&shop, "wide"), "0");
        let reply = alice.query("UPDATE shop.orders SET note = CONCAT('x', note) WHERE id <= 5").ok();
        assert_eq!((reply.affected(), reply.status() & (flags::IN_TRANSACTION | 2)), (vec![5], 2));
        assert_wide(&alice.query("DELETE FROM shop.orders WHERE id > 190"), 10);
        assert_wide(
            &alice.run_prepared("INSERT INTO shop.orders (id) SELECT id + 1000 FROM shop.orders WHERE id < 9", &[]),
            8,
        );
        assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders"), "200");
    }
}

#[test]
fn rows_that_are_returned_count() {
    if Flavour::chosen() == Flavour::MySql {
        return;
    }
    let shop = shop("bounded_returning");
    let mut alice = shop.alice_as("loader");
    assert_wide(&alice.query("DELETE FROM shop.orders WHERE id > 190 RETURNING id"), 10);
    assert_wide(&alice.run_prepared("DELETE FROM shop.orders WHERE id > 190 RETURNING id", &[]), 10);
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders"), "200");
    let reply = alice.query("DELETE FROM shop.orders WHERE id > 196 RETURNING id, note").ok();
    assert_eq!(reply.rows.len(), 4);
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders"), "196");
}

#[test]
fn the_rest_of_a_transaction_stays() {
    let shop = shop("bounded_tx");
    let mut alice = shop.alice_as("loader");
    for begin in ["BEGIN", "SET autocommit = 0"] {
        alice.query(begin).ok();
        if begin == "SET autocommit = 0" {
            assert_wide(&alice.query("UPDATE shop.orders SET note = 'wide' WHERE id <= 9"), 9);
        }
        alice.query("UPDATE shop.orders SET note = 'before' WHERE id <= 2").ok();
        assert_wide(&alice.query("UPDATE shop.orders SET note = 'wide' WHERE id <= 7"), 7);
        let reply = alice.query("UPDATE shop.orders SET note = 'after' WHERE id = 3").ok();
        assert_eq!(reply.status() & flags::IN_TRANSACTION, 1);
        let reply = alice.query("UPDATE shop.orders SET id = 4 WHERE id = 5");
        assert_eq!(reply.error().code, 1062);
        alice.query("COMMIT").ok();
        for (note, count) in [("before", "2"), ("wide", "0"), ("after", "1")] {
            assert_eq!(noted(&shop, note), count, "{begin}: {note}");
        }
        shop.database.sql("UPDATE shop.orders SET note = 'reset' WHERE id < 10");
    }
    alice.query("SET autocommit = 1").ok();
    alice.query("BEGIN").ok();
    alice.query("UPDATE shop.orders SET note = 'gone' WHERE id <= 2").ok();
    assert_wide(&alice.query("UPDATE shop.orders SET note = 'wide' WHERE id <= 7"), 7);
    alice.query("ROLLBACK").ok();
    assert_eq!(noted(&shop, "gone"), "0");
}

#[test]
fn a_deadlock_ends_the_transaction_and_nothing_else() {
    let shop = shop("bounded_deadlock");
    for begin in ["BEGIN", "SET autocommit = 0"] {
        let mut alice = shop.alice_as("loader");
        let mut direct = shop.database.client();
        let deep = "UPDATE shop.orders SET note = 'direct' WHERE id";
        direct.query("BEGIN").ok();
        direct.query(&format!("{deep} BETWEEN 100 AND 199")).ok();
        alice.query(begin).ok();
        alice.query("UPDATE shop.orders SET note = 'alice' WHERE id = 1").ok();
        direct.start(format!("{deep} = 1").as_bytes());
        wait_for("it waits", Duration::from_secs(30), || {
            shop.database.is_running(&format!("{deep} = 1")).then_some(())
        });
        std::thread::sleep(Duration::from_millis(300));
        let reply = alice.query("UPDATE shop.orders SET note = 'alice' WHERE id = 150");
        assert_eq!(reply.error().code, 1213, "{reply:?}");
        direct.reply(Rows::Text).ok();
        let reply = alice.query("SELECT 1").ok();
        assert_eq!(reply.status() & flags::IN_TRANSACTION, 0, "{begin}");
        direct.query("ROLLBACK").ok();
        assert_wide(&alice.query("UPDATE shop.orders SET note = 'alice' WHERE id <= 9"), 9);
        alice.query("UPDATE shop.orders SET note = 'later' WHERE id = 2").ok();
        alice.query("COMMIT").ok();
        assert_eq!([noted(&shop, "alice"), noted(&shop, "later")], ["0", "1"], "{begin}");
    }
}

#[test]
fn several_writes_in_a_message_are_each_bounded() {
    let shop = shop("bounded_multi");
    let mut alice = shop.alice_as("loader");
    let reply = alice
        .query("UPDATE shop.orders SET note = 'a' WHERE id <= 4; UPDATE shop.orders SET note = 'b' WHERE id > 195")
        .ok();
    assert_eq!(reply.affected(), [4, 5]);
    assert_eq!([noted(&shop, "a"), noted(&shop, "b")], ["4", "5"]);
    let reply = alice.query(
        "UPDATE shop.orders SET note = 'c' WHERE id <= 4; UPDATE shop.orders SET note = 'd' WHERE id > 100; SELECT 1",
    );
    assert_wide(&reply, 100);
    assert_eq!([noted(&shop, "c"), noted(&shop, "d")], ["0", "0"], "all of the message, as the error says");
    let reply = alice.query(
        "UPDATE shop.orders SET note = 'e' WHERE id <= 6; UPDATE shop.orders SET note = 'f' WHERE id = 100; SELECT 1",
    );
    assert_wide(&reply, 6);
    assert_eq!([noted(&shop, "e"), noted(&shop, "f")], ["0", "0"]);
    let reply = alice.query("SELECT 1; UPDATE shop.orders SET note = 'g' WHERE id <= 3; UPDATE shop.orders SET id = 4 WHERE id = 5; SELECT 7");
    assert_eq!(reply.errors[0].code, 1062);
    let reply = alice.query("BEGIN; UPDATE shop.orders SET note = 'h' WHERE id <= 3; COMMIT");
    assert_eq!((reply.shape.as_str(), reply.error().code), ("E", 1235));
    assert_eq!(alice.query("SELECT 1").ok().status() & flags::IN_TRANSACTION, 0);
}

#[test]
fn a_file_is_bounded() {
    let shop = shop("bounded_load");
    let mut alice = shop.alice_as("loader");
    let load = "LOAD DATA LOCAL INFILE 'given' INTO TABLE shop.orders (id, note)";
    for (rows, fits) in [(6, false), (5, true)] {
        let content: String = (900..900 + rows).map(|id| format!("{id}\tloaded\n")).collect();
        alice.files.insert("given".to_owned(), content.into_bytes());
        let reply = alice.query(load);
        if fits {
            assert_eq!(reply.ok().affected(), [5]);
        } else {
            assert_wide(&reply, 6);
        }
    }
    assert_eq!(noted(&shop, "loaded"), "5");
}

#[test]
fn clients_cannot_keep_it_by_settings() {
    let shop = shop("bounded_settings");
    let mut alice = shop.alice_as("loader");
    for setting in ["SET completion_type = CHAIN", "SET completion_type = RELEASE", "SET autocommit = 1"] {
        alice.query(setting);
        assert_wide(&alice.query("UPDATE shop.orders SET note = 'wide' WHERE id <= 6"), 6);
        alice.query("UPDATE shop.orders SET note = 'narrow' WHERE id = 1").ok();
        assert_eq!(alice.query("SELECT 1").ok().status() & flags::IN_TRANSACTION, 0, "{setting}");
        assert_eq!([noted(&shop, "wide"), noted(&shop, "narrow")], ["0", "1"]);
    }
}

#[test]
fn what_cannot_be_taken_back_is_refused() {
    let tables = "CREATE TABLE shop.logs (id int, note text) ENGINE = MyISAM; INSERT INTO shop.logs SELECT id, note FROM shop.orders; \
         CREATE TABLE shop.cache (id int) ENGINE = MEMORY; INSERT INTO shop.cache SELECT id FROM shop.orders; \
         CREATE VIEW shop.log_view AS SELECT id, note FROM shop.logs";
    let shop = MySqlShop::after(tables, "bounded_engine", |settings| settings.rules.push_str(ROLES));
    let grant = shop.grant("loader");
    let mut alice = shop.alice();
    shop.database.log_statements();
    for sql in [
        "UPDATE shop.logs SET note = 'wide' WHERE id > 0",
        "DELETE FROM shop.cache WHERE id > 0",
        "INSERT INTO shop.logs (id) SELECT id FROM shop.orders",
        "UPDATE shop.orders o JOIN shop.logs l ON l.id = o.id SET l.note = 'wide' WHERE o.id > 0",
        "DELETE l FROM shop.orders o JOIN shop.logs l ON l.id = o.id WHERE o.id > 0",
    ] {
        for reply in [alice.query(sql), alice.run_prepared(sql, &[])] {
            let error = reply.error();
            assert!(error.message.contains("it could not be taken back"), "{sql}: {error:?}");
        }
    }
    let ran = |entry: &hallpass_tests::mysql::Logged| entry.command != "Prepare" && entry.text.contains("wide");
    assert!(!shop.database.log().iter().any(ran));
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.logs WHERE note = 'wide'"), "0");
    // What the catalog does not tell, the error does.
    let reply = alice.query("UPDATE shop.log_view SET note = 'view' WHERE id > 0");
    assert_wide(&reply, 200);
    assert!(reply.error().message.contains("NOT all of it could be taken back"), "{reply:?}");
    // Reading them is as ever, and so is a write that nothing bounds.
    assert_eq!(alice.query("SELECT count(*) FROM shop.logs").value(), "200");
    alice.query("UPDATE shop.orders SET note = (SELECT max(note) FROM shop.logs) WHERE id = 1").ok();
    shop.proxy.revoke(grant);
    let mut owner = shop.alice_as("owner");
    owner.query("UPDATE shop.logs SET note = 'owner' WHERE id > 0").ok();
}
