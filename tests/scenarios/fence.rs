//! The second fence: a role without write actions runs in a session that the server itself holds read-only, and
//! `upstream_role` lets the database's own privileges hold, too.

use hallpass_tests::shop::PostgresShop as Shop;

#[test]
fn a_function_that_a_reader_may_call_cannot_write() {
    let shop = Shop::new("fence");
    let mut alice = shop.alice_as("reader");
    assert_eq!(alice.query("SELECT shop.order_total(4)").ok().value(), "6.00");
    let reply = alice.query("SELECT shop.touch(4)");
    assert_eq!(reply.error().code(), "25006", "the server refuses: {reply:?}");
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 4"), "note 4");
}

#[test]
fn a_client_cannot_take_the_fence_down() {
    let shop = Shop::new("fence_down");
    let mut alice = shop.alice_as("reader");
    for attempt in [
        "SET default_transaction_read_only = off",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
        "RESET ALL",
        "RESET default_transaction_read_only",
        "DISCARD ALL",
        "SELECT set_config('default_transaction_read_only', 'off', false)",
        "SELECT set_config('transaction_read_only', 'off', false)",
    ] {
        alice.query(attempt);
        alice.query("SELECT shop.touch(4)");
        assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 4"), "note 4", "{attempt}");
    }
    for script in [
        ["BEGIN READ WRITE", "SELECT shop.touch(4)", "COMMIT"],
        ["BEGIN", "SET TRANSACTION READ WRITE", "SELECT shop.touch(4)"],
        ["START TRANSACTION READ WRITE", "SELECT shop.touch(4)", "COMMIT"],
    ] {
        for sql in script {
            alice.query(sql);
        }
        alice.query("COMMIT");
        assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 4"), "note 4", "{script:?}");
    }
}

#[test]
fn a_writer_on_the_same_session_still_writes() {
    let shop = Shop::new("fence_up");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT id FROM shop.orders WHERE id = 1").ok();
    shop.grant("fixer");
    alice.query("UPDATE shop.orders SET note = 'fixed' WHERE id = 1").ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "fixed");
}

#[test]
fn an_upstream_role_limits_the_session() {
    let shop = Shop::with("upstream_role", |settings| {
        settings.rules.push_str(
            "\n[roles.limited]\nallow = [\"select\"]\ntables = [\"shop.*\"]\nupstream_role = \"hallpass_limited\"\n",
        );
    });
    let database = &shop.database;
    let role = "DO $$ BEGIN CREATE ROLE hallpass_limited; EXCEPTION WHEN duplicate_object THEN NULL; END $$";
    database.sql(role);
    database.sql(&format!("GRANT hallpass_limited TO {}", database.owner()));
    database.sql("GRANT USAGE ON SCHEMA shop TO hallpass_limited; GRANT SELECT ON shop.orders TO hallpass_limited");
    let mut alice = shop.alice_as("limited");
    assert_eq!(alice.query("SELECT note FROM shop.orders WHERE id = 1").ok().value(), "note 1");
    let error = alice.query("SELECT name FROM shop.employees").error().clone();
    assert_eq!(error.code(), "42501");
    assert!(error.message().contains("permission denied"), "the database's own words: {error:?}");
    for escape in ["RESET ROLE", "SET ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT", "DISCARD ALL"] {
        alice.query(escape);
        assert_eq!(alice.query("SELECT name FROM shop.employees").error().code(), "42501", "{escape}");
    }
}
