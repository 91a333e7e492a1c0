//! What an unqualified name means is what the server says it means: search_path, temporary tables, SET LOCAL.

use hallpass_tests::{
    shop::PostgresShop as Shop,
    wire::postgres::{Client, frame},
};

const SAME_NAME: &str = "CREATE SCHEMA secret; CREATE TABLE secret.orders (id int, note text); \
                         INSERT INTO secret.orders VALUES (1, 'not for readers')";

#[track_caller]
fn assert_hidden(client: &Client) {
    assert!(!String::from_utf8_lossy(client.received()).contains("not for readers"));
}

#[test]
fn search_path_is_followed() {
    let shop = Shop::new("search_path");
    shop.database.owner_sql(SAME_NAME);
    let mut alice = shop.alice_as("reader");
    assert_eq!(alice.query("SELECT note FROM orders WHERE id = 1").error().code(), "42P01");
    alice.query("SET search_path = shop").ok();
    assert_eq!(alice.query("SELECT note FROM orders WHERE id = 1").ok().value(), "note 1");
    assert_eq!(alice.extended("SELECT note FROM orders WHERE id = $1", &["2"], 0).ok().value(), "note 2");
    alice.query("SET search_path = secret, shop");
    alice.query("SELECT note FROM orders WHERE id = 1");
    alice.extended("SELECT note FROM orders WHERE id = 1", &[], 0);
    assert_hidden(&alice);
}

#[test]
fn search_path_of_the_startup_message_is_followed() {
    let shop = Shop::new("startup_path");
    shop.database.owner_sql(SAME_NAME);
    shop.grant("reader");
    let mut alice = Client::connect(&shop.alice_login().with("options", "-c search_path=shop")).expect("a path");
    assert_eq!(alice.query("SELECT note FROM orders WHERE id = 1").ok().value(), "note 1");
    for login in
        [shop.alice_login().with("options", "-c search_path=secret"), shop.alice_login().with("search_path", "secret")]
    {
        if let Ok(mut alice) = Client::connect(&login) {
            alice.query("SELECT note FROM orders WHERE id = 1");
            assert_hidden(&alice);
        }
    }
}

#[test]
fn a_rolled_back_path_is_rolled_back_for_us_too() {
    let shop = Shop::new("local_path");
    shop.database.owner_sql(SAME_NAME);
    let mut alice = shop.alice_as("reader");
    alice.query("SET search_path = shop").ok();
    for script in [
        ["BEGIN", "SET search_path = secret", "ROLLBACK"],
        ["BEGIN", "SET LOCAL search_path = secret", "COMMIT"],
        ["BEGIN; SET search_path = secret", "SELECT 1/0", "COMMIT"],
    ] {
        for sql in script {
            alice.query(sql);
        }
        assert_eq!(alice.query("SELECT note FROM orders WHERE id = 1").ok().value(), "note 1", "{script:?}");
    }
    for script in [
        ["BEGIN", "SAVEPOINT s", "SET search_path = secret", "ROLLBACK TO s", "SET LOCAL search_path = secret"],
        ["COMMIT", "BEGIN", "SET LOCAL search_path = secret", "SAVEPOINT s", "SET LOCAL search_path = shop"],
    ] {
        for sql in script {
            alice.query(sql);
        }
        alice.query("SELECT note FROM orders WHERE id = 1");
        alice.query("ROLLBACK TO s");
        alice.query("SELECT note FROM orders WHERE id = 1");
    }
    assert_hidden(&alice);
}

/// Nothing that comes after it, in the same message, pipeline or burst, is read with the path that is about to go.
#[test]
fn what_may_take_a_path_back_is_waited_for() {
    let shop = Shop::new("burst_path");
    shop.database.owner_sql(SAME_NAME);
    let mut alice = shop.alice_as("reader");
    let run =
        |sql: &str| [frame::parse("", sql.as_bytes(), &[]), frame::bind("", "", &[], &[], 0), frame::execute("", 0)];
    let read = "SELECT note FROM orders WHERE id = 1";
    for (before, end) in [
        ("SET search_path = secret; BEGIN; SET search_path = shop", "ROLLBACK"),
        ("SET search_path = secret; BEGIN; SET LOCAL search_path = shop", "COMMIT"),
        ("SET search_path = secret; BEGIN; SAVEPOINT s; SET search_path = shop", "ROLLBACK TO s"),
    ] {
        for sql in before.split("; ") {
            alice.query(sql).ok();
        }
        alice.query(&format!("{end}; {read}"));
        alice.query("ROLLBACK");
        for sql in before.split("; ") {
            alice.query(sql).ok();
        }
        alice.send(&[run(end).concat(), run(read).concat(), frame::sync()].concat());
        alice.reply();
        alice.query("ROLLBACK");
        let queries = [before, end, read].iter().flat_map(|texts| texts.split("; ")).collect::<Vec<_>>();
        alice.send(&queries.iter().flat_map(|sql| frame::query(sql.as_bytes())).collect::<Vec<_>>());
        for _ in &queries {
            alice.reply();
        }
        alice.query("ROLLBACK");
        // Close opens a batch, in which the path cannot be asked for any more.
        for sql in before.split("; ").chain([end]) {
            alice.query(sql).ok();
        }
        alice.send(&[frame::name(b'C', b'S', "none"), run(read).concat(), frame::sync()].concat());
        alice.reply();
        alice.query("ROLLBACK");
    }
    assert_hidden(&alice);
}

/// What a pool sends when a connection comes back to it.
#[test]
fn a_reset_may_end_a_message() {
    let shop = Shop::new("reset_last");
    shop.database.owner_sql(SAME_NAME);
    let mut alice = shop.alice_as("reader");
    alice.query("SET search_path = shop").ok();
    alice.query("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;").ok();
    assert_eq!(alice.query("SELECT note FROM orders WHERE id = 1").error().code(), "42P01");
    // What follows it is read when it is over.
    assert_eq!(alice.query("RESET ALL; SELECT 1").ok().value(), "1");
    alice.query("SET search_path = shop").ok();
    assert_eq!(alice.query("RESET ALL; SELECT note FROM orders WHERE id = 1").error().code(), "42P01");
    alice.query("SET search_path = shop").ok();
    let burst = [frame::query(b"RESET ALL"), frame::query(b"SELECT note FROM orders WHERE id = 1")].concat();
    alice.send(&burst);
    alice.reply().ok();
    assert_eq!(alice.reply().error().code(), "42P01");
}

#[test]
fn a_prepared_statement_keeps_to_what_it_means_now() {
    let shop = Shop::new("prepared_path");
    shop.database.owner_sql(SAME_NAME);
    let mut alice = shop.alice_as("reader");
    alice.query("SET search_path = shop").ok();
    alice.query("PREPARE p AS SELECT note FROM orders WHERE id = 1").ok();
    assert_eq!(alice.query("EXECUTE p").ok().value(), "note 1");
    alice.query("SET search_path = secret");
    alice.query("EXECUTE p");
    assert_hidden(&alice);
}

#[test]
fn strings_are_read_as_the_server_reads_them() {
    let shop = Shop::new("strings");
    let mut alice = shop.alice_as("reader");
    alice.query("SET standard_conforming_strings = off");
    alice.query(r"SELECT '\', email, ' FROM shop.customers -- '");
    alice.query(r"SELECT 'a\'b' AS harmless, ssn FROM shop.customers --'");
    alice.query("SET client_encoding = 'SJIS'");
    alice.query("SELECT email FROM shop.customers WHERE id = 7");
    assert!(!String::from_utf8_lossy(alice.received()).contains("mail7@"));
}
