//! Temporary tables are the session's own: it works with them as directly, and nothing masked gets into or past them.

use std::time::Duration;

use hallpass_tests::{
    mysql::Flavour,
    process::wait_for,
    protocol::Client as _,
    shop::MySqlShop,
    wire::mysql::{Client, Value, command, flags},
};

#[test]
fn a_session_works_with_its_temporary_tables() {
    let shop = MySqlShop::new("temporary");
    let mut alice = shop.alice_as("owner");
    alice.query("CREATE TEMPORARY TABLE mine (id INT, note VARCHAR(20), twice INT AS (id * 2) VIRTUAL)").ok();
    let insert = alice.prepare("INSERT INTO mine (id, note) VALUES (?, 'x')").expect("it prepares");
    for id in [1, 2] {
        alice.execute(&insert, &[Value::Int(id)], 0).ok();
    }
    assert_eq!(alice.query("SELECT sum(twice) FROM mine").value(), "6");
    let star = alice.query("SELECT * FROM mine WHERE id = 2").ok();
    assert_eq!(star.rows, [["2", "x", "4"].map(|value| Some(value.to_owned()))]);
    assert_eq!(alice.query("SELECT count(*) FROM mine JOIN orders USING (id)").value(), "2");
    // What it is like is what the server says.
    alice.query("ALTER TABLE mine ADD COLUMN more INT DEFAULT 7").ok();
    assert_eq!(alice.query("SELECT more FROM mine WHERE id = 1").value(), "7");
    alice.query("CREATE TEMPORARY TABLE copy_of AS SELECT id, note FROM orders WHERE id < 4").ok();
    assert_eq!(alice.query("SELECT count(*) FROM copy_of").value(), "3");
    assert_eq!(alice.query("DROP TEMPORARY TABLE copy_of, nowhere").error().code, 1051);
    let left = alice.query("SELECT count(*) FROM copy_of");
    match shop.database.server().flavour() {
        // One of the two is dropped, though the statement failed.
        Flavour::MariaDb => assert_eq!(left.error().code, 1146),
        Flavour::MySql => assert_eq!(left.value(), "3"),
    }
    alice.query("DROP TEMPORARY TABLE mine").ok();
    alice.query("CREATE TEMPORARY TABLE mine (id INT, note TEXT)").ok();
    alice.execute(&insert, &[Value::Int(9)], 0).ok();
    assert_eq!(alice.query("SELECT id FROM mine").value(), "9", "prepared before it was made anew");
    assert_eq!(shop.alice().query("SELECT id FROM mine").error().code, 1146, "nobody else sees it");
    alice.command(command::RESET_CONNECTION, b"").ok();
    assert_eq!(alice.query("SELECT id FROM mine").error().code, 1146);
}

#[test]
fn it_takes_rights_and_holds_nothing_masked() {
    let shop = MySqlShop::new("temporary_masks");
    let mut reader = shop.alice_as("reader");
    assert_eq!(reader.query("CREATE TEMPORARY TABLE mine (id INT)").error().code, 1142);
    let mut alice = shop.alice_as("owner");
    shop.database.log_statements();
    for sql in [
        "CREATE TEMPORARY TABLE mine AS SELECT email FROM customers",
        "CREATE TEMPORARY TABLE mine (e VARCHAR(99)) SELECT concat(email) AS e FROM customers",
        "CREATE TEMPORARY TABLE customers (id INT)",
        "CREATE TEMPORARY TABLE information_schema.mine (id INT)",
    ] {
        let code = alice.query(sql).error().code;
        assert!([1142, 1143, 1235].contains(&code), "{sql}: {code}");
    }
    assert!(shop.database.statement_log().iter().all(|text| !text.contains("TEMPORARY")));
    alice.query("CREATE TEMPORARY TABLE mine (e VARCHAR(99))").ok();
    for sql in [
        "INSERT INTO mine SELECT email FROM customers",
        "INSERT INTO mine VALUES ((SELECT max(email) FROM customers))",
        "ALTER TABLE mine RENAME TO other",
        "RENAME TABLE mine TO other",
    ] {
        let code = alice.query(sql).error().code;
        assert!([1142, 1143, 1235].contains(&code), "{sql}: {code}");
    }
    assert!(!alice.has_received("mail7@"));
}

#[test]
fn what_it_hides_is_not_shown_in_its_place() {
    let routine = "CREATE PROCEDURE shop.clear_up() DROP TEMPORARY TABLE IF EXISTS shop.mine;
        CREATE VIEW shop.through AS SELECT id FROM shop.orders";
    let shop = MySqlShop::after("DO 0", "temporary_hidden", |_| {});
    shop.database.owner_sql(routine);
    let mut alice = shop.alice_as("owner");
    alice.query("CREATE TEMPORARY TABLE mine (id INT, email VARCHAR(99))").ok();
    // Names made beside the proxy are known after a moment.
    wait_for("the view is known", Duration::from_secs(20), || {
        alice.query("SELECT id FROM through").errors.is_empty().then_some(())
    });
    alice.query("INSERT INTO mine VALUES (7, 'own@example.test')").ok();
    assert_eq!(alice.query("SELECT email FROM mine").value(), "own@example.test");
    // By somebody else: the same name now also is a view of what is masked.
    shop.database.sql("CREATE VIEW shop.mine AS SELECT id, email FROM shop.customers");
    shop.database.sql("CREATE OR REPLACE VIEW shop.through AS SELECT id, email FROM shop.mine");
    alice.query("SELECT * FROM through WHERE id = 7");
    assert!(!alice.has_received("mail7@"));
    // And code of others drops the table that hides it.
    alice.query("CALL shop.clear_up()").ok();
    alice.query("SELECT email FROM mine WHERE id = 7");
    let held = alice.prepare("SELECT email FROM mine WHERE id = 7");
    if let Ok(held) = held {
        alice.execute(&held, &[], 0);
    }
    assert!(!alice.has_received("mail7@"));
    let mut other = Client::connect(&shop.alice_login().with(flags::MULTI_STATEMENTS)).expect("alice may connect");
    wait_for("the view is known", Duration::from_secs(20), || {
        other.query("SELECT email FROM mine WHERE id = 7").errors.is_empty().then_some(())
    });
    assert_eq!(other.query("CREATE TEMPORARY TABLE mine (id INT)").error().code, 1235);
    assert!(!other.has_received("mail7@"));
}
