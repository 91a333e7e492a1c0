//! The second fence: a role without write actions runs in a session that the server itself holds read-only, and
//! `upstream_role` lets the database's own privileges hold, too.

use hallpass_tests::{
    both,
    protocol::{Client as _, Direct as _, Kind, Protocol},
    shop::Shop,
};

both!(
    a_function_that_a_reader_may_call_cannot_write,
    a_client_cannot_take_the_fence_down,
    a_writer_on_the_same_session_still_writes,
    an_upstream_role_limits_the_session,
);

fn a_function_that_a_reader_may_call_cannot_write<P: Protocol>() {
    let shop = Shop::<P>::new("fence");
    let mut alice = shop.alice_as("reader");
    assert_eq!(alice.query("SELECT shop.order_total(4)").ok().value(), "6.00");
    // The server refuses.
    alice.query("SELECT shop.touch(4)").fails(Kind::ReadOnly);
    alice.prepared("SELECT shop.touch(4)", &[]).fails(Kind::ReadOnly);
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 4"), "note 4");
}

fn a_client_cannot_take_the_fence_down<P: Protocol>() {
    let shop = Shop::<P>::new("fence_down");
    let mut alice = shop.alice_as("reader");
    let attempts = P::pick(
        [
            "SET default_transaction_read_only = off",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SET transaction_read_only = off",
            "RESET ALL",
            "RESET default_transaction_read_only",
            "DISCARD ALL",
            "SELECT set_config('default_transaction_read_only', 'off', false)",
            "SELECT set_config('transaction_read_only', 'off', false)",
        ],
        [
            "SET SESSION TRANSACTION READ WRITE",
            "SET TRANSACTION READ WRITE",
            "SET transaction_read_only = 0",
            "SET SESSION tx_read_only = 0",
            "SET @@session.transaction_read_only = OFF",
            "SET @a = 1, SESSION transaction_read_only = DEFAULT",
            "SET STATEMENT tx_read_only = 0 FOR SELECT shop.touch(4)",
            "SELECT /*+ SET_VAR(transaction_read_only = 0) */ shop.touch(4)",
        ],
    );
    for attempt in attempts {
        alice.query(attempt);
        alice.query("SELECT shop.touch(4)");
        assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 4"), "note 4", "{attempt}");
    }
    let first = P::pick("BEGIN READ WRITE", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ WRITE");
    for script in [
        [first, "SELECT shop.touch(4)", "COMMIT"],
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

fn a_writer_on_the_same_session_still_writes<P: Protocol>() {
    let shop = Shop::<P>::new("fence_up");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT id FROM shop.orders WHERE id = 1").ok();
    shop.grant("fixer");
    alice.query("UPDATE shop.orders SET note = 'fixed' WHERE id = 1").ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "fixed");
}

fn an_upstream_role_limits_the_session<P: Protocol>() {
    let shop = Shop::<P>::with("upstream_role", |settings| {
        settings.rules.push_str(
            "\n[roles.limited]\nallow = [\"select\"]\ntables = [\"shop.*\"]\nupstream_role = \"hallpass_limited\"\n",
        );
    });
    let database = &shop.database;
    let role = P::pick(
        "DO $$ BEGIN CREATE ROLE hallpass_limited; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "CREATE ROLE hallpass_limited",
    );
    database.run(role);
    database.run(&format!("GRANT hallpass_limited TO {}", database.owner()));
    database.run(P::pick(
        "GRANT USAGE ON SCHEMA shop TO hallpass_limited; GRANT SELECT ON shop.orders TO hallpass_limited",
        "GRANT SELECT ON shop.orders TO hallpass_limited",
    ));
    // MySQL's roles add to what an account has by itself, so only an account without more is limited by one.
    if P::NAME == "mysql" {
        database.run(&format!("REVOKE ALL ON shop.* FROM {}", database.owner()));
        // So that the proxy can still read which tables and columns there are.
        database.run(&format!("GRANT REFERENCES, SHOW VIEW ON shop.* TO {}", database.owner()));
    }
    let mut alice = shop.alice_as("limited");
    assert_eq!(alice.query("SELECT note FROM shop.orders WHERE id = 1").ok().value(), "note 1");
    let error = alice.query("SELECT name FROM shop.employees").error().clone();
    assert!(error.is(Kind::Denied), "{error:?}");
    assert!(error.message.contains(P::pick("permission denied", "denied")), "the database's own words: {error:?}");
    let escapes = P::pick(
        ["RESET ROLE", "SET ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT", "DISCARD ALL"],
        ["SET ROLE NONE", "SET ROLE DEFAULT", "SET ROLE ALL", "SET DEFAULT ROLE NONE"],
    );
    for escape in escapes {
        alice.query(escape);
        alice.query("SELECT name FROM shop.employees").fails(Kind::Denied);
    }
}
