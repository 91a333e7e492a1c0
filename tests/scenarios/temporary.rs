//! A session's temporary relations are followed as the server follows them: found first, gone when the server drops
//! them, seen by nobody else. They hide nothing from grants and masks, and keep nothing beyond a grant.

use std::time::Duration;

use hallpass_tests::{
    process::wait_for,
    shop::PostgresShop as Shop,
    wire::postgres::{Client, frame},
};

/// A role that may make them, and one that may not.
const SCRATCH: &str = r#"
[roles.scratch]
allow = ["select", "insert", "update", "delete", "truncate", "ddl"]
tables = ["shop.orders", "shop.customers", "pg_temp.*"]
"#;

fn shop(name: &str) -> Shop {
    Shop::with(name, |settings| settings.rules.push_str(SCRATCH))
}

#[track_caller]
fn assert_unseen(client: &Client, secret: &str) {
    assert!(!String::from_utf8_lossy(client.received()).contains(secret));
}

#[test]
fn they_are_made_used_and_dropped() {
    let shop = shop("temp_tables");
    let mut alice = shop.alice_as("scratch");
    alice.query("CREATE TEMP TABLE open_orders AS SELECT id, note FROM shop.orders WHERE id < 4").ok();
    assert_eq!(alice.query("SELECT note FROM open_orders ORDER BY id").ok().lines().len(), 3);
    assert_eq!(alice.extended("SELECT note FROM pg_temp.open_orders WHERE id = $1", &["2"], 0).ok().value(), "note 2");
    alice.query("INSERT INTO open_orders VALUES (9, 'mine')").ok();
    alice.query("CREATE INDEX ON open_orders (id)").ok();
    alice.query("SELECT 7 AS a INTO TEMP seven").ok();
    assert_eq!(alice.query("SELECT a FROM seven").ok().value(), "7");
    alice.query("CREATE TEMP TABLE tree (id int PRIMARY KEY, up int REFERENCES tree)").ok();
    alice.query("INSERT INTO tree VALUES (1, 1)").ok();
    alice.query("CREATE TEMP VIEW mine AS SELECT note FROM open_orders WHERE id = 9").ok();
    assert_eq!(alice.query("SELECT * FROM mine").ok().value(), "mine");
    alice.query("DROP TABLE seven").ok();
    assert_eq!(alice.query("SELECT a FROM seven").error().code(), "42P01");
    alice.query("DISCARD TEMP").ok();
    assert_eq!(alice.query("SELECT * FROM open_orders").error().code(), "42P01");
    assert_eq!(alice.query("SELECT note FROM shop.orders WHERE id = 1").ok().value(), "note 1");
}

#[test]
fn other_sessions_do_not_see_them() {
    let shop = shop("temp_others");
    let mut alice = shop.alice_as("scratch");
    let mut again = shop.alice();
    alice.query("CREATE TEMP TABLE mine (a int)").ok();
    assert_eq!(again.query("SELECT a FROM mine").error().code(), "42P01");
    again.query("CREATE TEMP TABLE mine (b text)").ok();
    alice.query("SELECT a FROM mine").ok();
    again.query("SELECT b FROM mine").ok();
    for foreign in ["SELECT * FROM pg_temp_3.mine", "DROP TABLE pg_temp_3.mine", "CREATE TABLE pg_temp_3.x (a int)"] {
        assert_eq!(alice.query(foreign).error().code(), "0A000", "{foreign}");
    }
}

#[test]
fn what_others_change_is_noticed_beside_them() {
    let shop = shop("temp_beside");
    shop.grant("owner");
    let mut alice = shop.alice_as("scratch");
    let mut other = shop.alice();
    alice.query("CREATE TEMP TABLE mine (a int)").ok();
    other.query("CREATE TABLE shop.fresh (a int)").ok();
    alice.query("SELECT a FROM shop.fresh").ok();
    alice.query("SELECT a FROM mine").ok();
    shop.proxy.reconfigure(|settings| {
        settings.rules = settings.rules.replace("\"*/shop.customers.email\"", "\"*/shop.orders.note\"")
    });
    shop.proxy.signal("HUP");
    wait_for("the mask holds", Duration::from_secs(5), || {
        (alice.query("SELECT note FROM shop.orders WHERE id = 1").ok().value() != "note 1").then_some(())
    });
}

#[test]
fn the_end_of_a_transaction_takes_them_back() {
    let shop = shop("temp_ends");
    let mut alice = shop.alice_as("scratch");
    alice.query("SET search_path = shop").ok();
    for script in [
        &["BEGIN", "CREATE TEMP TABLE orders (note text) ON COMMIT DROP", "INSERT INTO orders VALUES ('t')", "COMMIT"]
            [..],
        &["BEGIN", "CREATE TEMP TABLE orders (note text)", "ROLLBACK"],
        &["BEGIN", "CREATE TEMP TABLE orders (note text)", "SELECT 1/0", "COMMIT"],
        &["CREATE TEMP TABLE orders (note text); SELECT 1/0"],
        &["CREATE TEMP TABLE orders (note text)", "DROP TABLE orders"],
        &["CREATE TEMP TABLE orders (note text)", "DISCARD ALL", "SET search_path = shop"],
    ] {
        for sql in script {
            alice.query(sql);
        }
        assert_eq!(alice.query("SELECT note FROM orders WHERE id = 1").ok().value(), "note 1", "{script:?}");
    }
    alice.query("BEGIN; SAVEPOINT s").ok();
    alice.query("CREATE TEMP TABLE orders (note text)").ok();
    assert!(alice.query("SELECT note FROM orders").ok().lines().is_empty());
    alice.query("ROLLBACK TO s").ok();
    assert_eq!(alice.query("SELECT note FROM orders WHERE id = 1").ok().value(), "note 1");
}

/// A role that may read orders and make temporary tables makes one with the name of a table that it may not read.
#[test]
fn a_name_that_comes_free_again_is_decided_anew() {
    let shop = shop("temp_shadow");
    let mut alice = shop.alice_as("scratch");
    alice.query("SET search_path = shop").ok();
    assert_eq!(alice.query("SELECT secret FROM vault").error().code(), "42501");
    let make = "CREATE TEMP TABLE vault (id int, secret text)";
    for (before, then) in [
        (&["BEGIN", make][..], "ROLLBACK; SELECT secret FROM vault"),
        (&["BEGIN", "SAVEPOINT s", make], "ROLLBACK TO s; SELECT secret FROM vault"),
        (
            &["BEGIN", "CREATE TEMP TABLE vault (id int, secret text) ON COMMIT DROP"],
            "COMMIT; SELECT secret FROM vault",
        ),
        (&[make], "DISCARD TEMP; SELECT secret FROM vault"),
        (&[make], "DROP TABLE vault; SELECT secret FROM vault"),
        (&[make, "PREPARE p AS SELECT secret FROM vault", "DROP TABLE vault"], "EXECUTE p"),
        (&[make, "PREPARE p AS SELECT secret FROM vault"], "DROP TABLE vault; EXECUTE p"),
    ] {
        for sql in before {
            alice.query(sql).ok();
        }
        alice.query(then);
        for sql in ["ROLLBACK", "DEALLOCATE ALL", "DISCARD TEMP"] {
            alice.query(sql);
        }
    }
    // The same in one pipeline, with a statement that was prepared while the name was the session's own.
    for end in ["DROP TABLE vault", "DISCARD TEMP"] {
        alice.query(make).ok();
        alice.send(&[frame::parse("kept", b"SELECT secret FROM vault", &[]), frame::sync()].concat());
        alice.reply().ok();
        let kept = [frame::bind("", "kept", &[], &[], 0), frame::execute("", 0), frame::sync()].concat();
        let ends =
            [frame::parse("", end.as_bytes(), &[]), frame::bind("", "", &[], &[], 0), frame::execute("", 0)].concat();
        alice.send(&[ends, kept.clone()].concat());
        alice.reply();
        alice.send(&kept);
        alice.reply();
        alice.send(&[frame::name(b'C', b'S', "kept"), frame::sync()].concat());
        alice.reply();
        alice.query("DISCARD TEMP");
    }
    assert_unseen(&alice, "vault-secret");
}

/// The server keeps the plan of a prepared statement when a temporary table of the same name is made afterwards.
#[test]
fn a_prepared_statement_does_not_move_under_a_new_name() {
    let shop = shop("temp_prepared");
    let reader = shop.grant("reader");
    let mut alice = shop.alice_as("scratch");
    alice.query("SET search_path = shop").ok();
    alice.query("CREATE TEMP TABLE scratch (a int)").ok();
    alice.query("PREPARE p AS SELECT name FROM employees WHERE id = 1").ok();
    assert_eq!(alice.query("EXECUTE p").ok().value(), "Employee 1");
    alice.query("CREATE TEMP TABLE employees (id int, name text)").ok();
    shop.proxy.revoke(reader);
    let seen = alice.received().len();
    let refused = alice.query("EXECUTE p");
    assert_eq!((refused.error().code(), refused.error().hint()), ("0A000", "prepare it again"));
    // To the server this is the same path.
    alice.query("SET search_path = shop, nowhere").ok();
    assert_eq!(alice.query("EXECUTE p").error().code(), "0A000");
    alice.query("DEALLOCATE p; PREPARE p AS SELECT name FROM employees WHERE id = 1");
    alice.query("EXECUTE p");
    assert!(!String::from_utf8_lossy(&alice.received()[seen..]).contains("Employee 1"));
}

#[test]
fn masks_go_with_the_column() {
    let shop = shop("temp_masks");
    let mut alice = shop.alice_as("owner");
    for copy in [
        "CREATE TEMP TABLE copy AS SELECT ssn FROM shop.customers",
        "SELECT ssn INTO TEMP copy FROM shop.customers",
        "CREATE TEMP TABLE copy (LIKE shop.customers); INSERT INTO copy SELECT * FROM shop.customers",
    ] {
        assert!(!alice.query(copy).errors.is_empty(), "{copy}");
    }
    alice.query("CREATE TEMP TABLE t (note text)").ok();
    assert_eq!(alice.query("INSERT INTO t SELECT ssn FROM shop.customers").error().code(), "42501");
    assert_eq!(alice.query("UPDATE t SET note = (SELECT max(ssn) FROM shop.customers)").error().code(), "42501");
    alice.query("CREATE TEMP VIEW v AS SELECT id, ssn AS plain FROM shop.customers").ok();
    assert_eq!(alice.query("SELECT plain FROM v WHERE id = 7").ok().value(), "****");
    alice.query("CREATE TEMP VIEW w AS SELECT plain AS plainer, id FROM v").ok();
    assert_eq!(alice.extended("SELECT plainer FROM w WHERE id = 7", &[], 0).ok().value(), "****");
    alice.query("CREATE TEMP TABLE customers AS SELECT id, name FROM shop.customers").ok();
    alice.query("SET search_path = shop").ok();
    assert_eq!(alice.query("SELECT name FROM customers WHERE id = 7").ok().value(), "Customer 7");
    assert_eq!(alice.query("SELECT ssn FROM shop.customers WHERE id = 7").ok().value(), "****");
    assert_eq!(alice.query("SELECT plain FROM v WHERE id = 7").ok().value(), "****");
    assert_unseen(&alice, "900-00-");
}

#[test]
fn a_grant_that_ended_leaves_nothing_behind() {
    let shop = shop("temp_grant");
    let id = shop.grant("scratch");
    let mut alice = shop.alice();
    alice.query("CREATE TEMP TABLE kept AS SELECT note FROM shop.orders").ok();
    shop.proxy.revoke(id);
    assert_eq!(alice.query("SELECT note FROM kept").error().code(), "42501");
    shop.grant("reader");
    assert_eq!(alice.query("SELECT note FROM kept").error().message(), "no grant allows SELECT on pg_temp.kept");
    assert_eq!(alice.query("CREATE TEMP TABLE more (a int)").error().code(), "42501");
}

/// Our own questions in the session use names that a temporary table could hide.
#[test]
fn our_own_questions_cannot_be_hidden() {
    let shop = shop("temp_own");
    let mut alice = shop.alice_as("owner");
    for name in ["text", "int2", "oid", "pg_class", "pg_attribute", "pg_namespace", "pg_rewrite", "regclass"] {
        alice.query(&format!("CREATE TEMP TABLE {name} (a int)")).ok();
    }
    alice.query("CREATE TEMP VIEW seen AS SELECT id, email AS plain FROM shop.customers").ok();
    assert_eq!(alice.query("SELECT plain FROM seen WHERE id = 7").ok().value(), "m****@****.test");
    assert_eq!(alice.query("SELECT count(*) > 9 FROM pg_catalog.pg_class").ok().value(), "t");
    assert!(alice.query("SELECT a FROM pg_class").ok().lines().is_empty());
}

/// Code that the gate does not read makes and drops them, too.
#[test]
fn those_that_code_makes_are_seen() {
    let shop = shop("temp_code");
    let mut alice = shop.alice_as("owner");
    alice.query("SET search_path = shop").ok();
    alice.query("DO $$ BEGIN CREATE TEMP TABLE vault AS SELECT 'mine'::text AS secret; END $$").ok();
    assert_eq!(alice.query("SELECT secret FROM vault").ok().value(), "mine");
    alice.query("DO $$ BEGIN DROP TABLE pg_temp.vault; END $$").ok();
    assert_eq!(alice.query("SELECT secret FROM vault").ok().value(), "vault-secret");
}
