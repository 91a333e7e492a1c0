//! The proxy's knowledge of names follows the database, also when others change it.

use std::time::Duration;

use hallpass_tests::{process::wait_for, shop::PostgresShop as Shop};

#[test]
fn objects_that_others_make_can_be_used() {
    let shop = Shop::new("new_table");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT id FROM shop.orders LIMIT 1").ok();
    shop.database.owner_sql("CREATE TABLE shop.fresh AS SELECT 42 AS answer");
    wait_for("the table is known", Duration::from_secs(10), || {
        let reply = alice.query("SELECT answer FROM shop.fresh");
        reply.errors.is_empty().then(|| assert_eq!(reply.value(), "42"))
    });
}

#[test]
fn a_renamed_masked_column_is_not_shown() {
    let shop = Shop::new("renamed");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT email FROM shop.customers WHERE id = 7").ok();
    shop.database.owner_sql(
        "ALTER TABLE shop.customers RENAME COLUMN city TO town; ALTER TABLE shop.customers RENAME COLUMN email TO city; \
         ALTER TABLE shop.customers RENAME COLUMN town TO email",
    );
    alice.query("SELECT email FROM shop.customers WHERE id = 7");
    assert!(!String::from_utf8_lossy(alice.received()).contains("mail7@"), "email is masked under its own name");
}

#[test]
fn a_view_that_changes_meaning_stays_masked() {
    let shop = Shop::new("view_changes");
    let mut alice = shop.alice_as("reader");
    shop.database.owner_sql("CREATE VIEW shop.v AS SELECT id, name AS label FROM shop.customers");
    wait_for("the view is known", Duration::from_secs(10), || {
        alice.query("SELECT label FROM shop.v WHERE id = 7").errors.is_empty().then_some(())
    });
    shop.database.owner_sql("CREATE OR REPLACE VIEW shop.v AS SELECT id, email AS label FROM shop.customers");
    for _ in 0..5 {
        alice.query("SELECT label FROM shop.v WHERE id = 7");
        alice.extended("SELECT label FROM shop.v WHERE id = 7", &[], 1);
    }
    assert!(!String::from_utf8_lossy(alice.received()).contains("mail7@"));
}
