//! Errors and notices of the server: passed on as they are, but for those that quote masked values.

use hallpass_tests::{
    both,
    protocol::{Client as _, Direct as _, Kind, Protocol},
    shop::{MySqlShop, PostgresShop, Shop},
    wire::postgres::Client,
};

both!(ordinary_errors_pass_untouched, errors_that_could_quote_masked_values_keep_only_their_kind);

fn ordinary_errors_pass_untouched<P: Protocol>() {
    let shop = Shop::<P>::new("errors");
    shop.grant("fixer");
    let mut direct = shop.database.client();
    let mut alice = shop.alice();
    let own = P::pick(
        ["SELECT total / 0 FROM shop.orders", "SELECT 'x'::int FROM shop.orders"],
        [
            "SELECT (SELECT id FROM shop.orders) FROM shop.orders",
            "UPDATE shop.orders SET total = 'no number' WHERE id = 1",
        ],
    );
    let shared =
        ["INSERT INTO shop.orders (id) VALUES (1)", "INSERT INTO shop.orders (id, customer_id) VALUES (900, 900)"];
    for sql in shared.into_iter().chain(own) {
        assert_eq!(alice.query(sql).error(), direct.query(sql).error(), "{sql}");
        assert_eq!(alice.prepared(sql, &[]).error(), direct.prepared(sql, &[]).error(), "{sql}");
    }
}

#[test]
fn every_field_of_a_postgres_error_passes() {
    let shop = PostgresShop::new("fields");
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

fn errors_that_could_quote_masked_values_keep_only_their_kind<P: Protocol>() {
    let shop = Shop::<P>::with("scrub", |settings| {
        settings.rules.push_str(
            "\n[roles.registrar]\nallow = [\"select\", \"insert\", \"update\"]\ntables = [\"shop.customers\"]\n",
        );
    });
    let mut alice = shop.alice_as("registrar");
    let mut seen = Vec::new();
    let cast = P::pick(
        ("SELECT email::int FROM shop.customers WHERE id = 7", "22P02"),
        ("UPDATE shop.customers SET salary = email WHERE id = 7", "1366/22007"),
    );
    let duplicate = P::pick("23505", "1062/23000");
    for (sql, code) in [
        ("INSERT INTO shop.customers (id, name, email) VALUES (900, 'x', 'mail7@example.test')", duplicate),
        ("UPDATE shop.customers SET email = 'mail8@example.test' WHERE id = 7", duplicate),
        cast,
    ] {
        let error = alice.query(sql).error().clone();
        assert!(error.code == code || error.is(Kind::Denied), "{sql}: {error:?}");
        // A denial has words of its own; an error of the server keeps its kind only.
        assert!(error.is(Kind::Denied) || error.detail.is_empty(), "{sql}: {error:?}");
        seen.push(error);
    }
    let own = "mail8@example.test";
    assert!(!format!("{:?}", seen[1]).contains(own), "{:?}", seen[1]);
    assert!(!format!("{:?}", seen[2]).contains("mail7@"), "{:?}", seen[2]);
}

#[test]
fn warnings_of_mysql_quote_no_masked_values() {
    let shop = MySqlShop::new("warnings");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT id, salary + 'x', CAST(email AS SIGNED) FROM shop.customers WHERE id = 7");
    alice.query("SHOW WARNINGS");
    alice.query("SELECT id FROM shop.customers WHERE email = 7");
    alice.query("SHOW WARNINGS");
    assert!(!alice.has_received("mail7@"));
}

#[test]
fn notices_pass() {
    let shop = PostgresShop::new("notices");
    let mut direct = Client::connect(&shop.database.as_owner()).expect("the owner may connect");
    let mut alice = shop.alice_as("owner");
    let sql = "DROP TABLE IF EXISTS shop.not_there";
    assert_eq!(alice.query(sql).ok().notices, direct.query(sql).ok().notices);
}
