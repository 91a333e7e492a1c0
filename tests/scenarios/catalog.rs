//! The proxy's knowledge of names follows the database, also when others change it.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client as _, Direct as _, Protocol},
    shop::Shop,
};

both!(
    objects_that_others_make_can_be_used,
    a_renamed_masked_column_is_not_shown,
    a_view_that_changes_meaning_stays_masked
);

fn objects_that_others_make_can_be_used<P: Protocol>() {
    let shop = Shop::<P>::new("new_table");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT id FROM shop.orders LIMIT 1").ok();
    shop.database.run_as_owner("CREATE TABLE shop.fresh AS SELECT 42 AS answer");
    wait_for("the table is known", Duration::from_secs(30), || {
        let answer = alice.query("SELECT answer FROM shop.fresh");
        answer.errors.is_empty().then(|| assert_eq!(answer.value(), "42"))
    });
}

fn a_renamed_masked_column_is_not_shown<P: Protocol>() {
    let shop = Shop::<P>::new("renamed");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT email FROM shop.customers WHERE id = 7").ok();
    shop.database.run_as_owner(
        "ALTER TABLE shop.customers RENAME COLUMN city TO town; ALTER TABLE shop.customers RENAME COLUMN email TO city; \
         ALTER TABLE shop.customers RENAME COLUMN town TO email",
    );
    alice.every_way("SELECT email FROM shop.customers WHERE id = 7");
    assert!(!alice.has_received("mail7@"), "email is masked under its own name");
}

fn a_view_that_changes_meaning_stays_masked<P: Protocol>() {
    let shop = Shop::<P>::new("view_changes");
    let mut alice = shop.alice_as("reader");
    shop.database.run_as_owner("CREATE VIEW shop.v AS SELECT id, name AS label FROM shop.customers");
    wait_for("the view is known", Duration::from_secs(30), || {
        alice.query("SELECT label FROM shop.v WHERE id = 7").errors.is_empty().then_some(())
    });
    shop.database.run_as_owner("CREATE OR REPLACE VIEW shop.v AS SELECT id, email AS label FROM shop.customers");
    for _ in 0..5 {
        alice.every_way("SELECT label FROM shop.v WHERE id = 7");
    }
    assert!(!alice.has_received("mail7@"));
}
