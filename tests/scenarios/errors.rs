//! Errors and notices of the server: passed on as they are, but for those that quote masked values.

use hallpass_tests::{shop::PostgresShop as Shop, wire::postgres::Client};

#[test]
fn ordinary_errors_pass_untouched() {
    let shop = Shop::new("errors");
    shop.grant("fixer");
    let mut direct = Client::connect(&shop.database.as_owner()).expect("the owner may connect");
    let mut alice = shop.alice();
    for sql in [
        "INSERT INTO shop.orders (id) VALUES (1)",
        "SELECT total / 0 FROM shop.orders",
        "SELECT 'x'::int FROM shop.orders",
        "INSERT INTO shop.orders (id, customer_id) VALUES (900, 900)",
    ] {
        assert_eq!(alice.query(sql).error(), direct.query(sql).error(), "{sql}");
    }
}

#[test]
fn errors_that_could_quote_masked_values_keep_only_their_kind() {
    let shop = Shop::with("scrub", |settings| {
        settings.rules.push_str(
            "\n[roles.registrar]\nallow = [\"select\", \"insert\", \"update\"]\ntables = [\"shop.customers\"]\n",
        );
    });
    let mut alice = shop.alice_as("registrar");
    let mut seen = Vec::new();
    for (sql, code) in [
        ("INSERT INTO shop.customers (id, name, email) VALUES (900, 'x', 'mail7@example.test')", "23505"),
        ("UPDATE shop.customers SET email = 'mail8@example.test' WHERE id = 7", "23505"),
        ("SELECT email::int FROM shop.customers WHERE id = 7", "22P02"),
    ] {
        let error = alice.query(sql).error().clone();
        assert!(error.code() == code || error.code() == "42501", "{sql}: {error:?}");
        // A denial has words of its own; an error of the server keeps its kind only.
        assert!(error.code() == "42501" || error.detail().is_empty(), "{sql}: {error:?}");
        seen.push(error);
    }
    let own = "mail8@example.test";
    assert!(!format!("{:?}", seen[1]).contains(own), "{:?}", seen[1]);
    assert!(!format!("{:?}", seen[2]).contains("mail7@"), "{:?}", seen[2]);
}

#[test]
fn notices_pass() {
    let shop = Shop::new("notices");
    let mut direct = Client::connect(&shop.database.as_owner()).expect("the owner may connect");
    let mut alice = shop.alice_as("owner");
    let sql = "DROP TABLE IF EXISTS shop.not_there";
    assert_eq!(alice.query(sql).ok().notices, direct.query(sql).ok().notices);
}
