//! Code in the database that runs by itself where nobody names it: behind types, defaults, cascades and row security.

use std::time::Duration;

use hallpass_tests::{
    shop::PostgresShop as Shop,
    wire::postgres::{Client, frame},
};

/// A type whose cast to text tells a customer's address.
const TELLING: &str = "CREATE TYPE shop.telling AS (k int); \
     CREATE FUNCTION shop.tell(shop.telling) RETURNS text LANGUAGE sql STABLE AS \
       'SELECT email FROM shop.customers WHERE id = ($1).k'; \
     CREATE CAST (shop.telling AS text) WITH FUNCTION shop.tell(shop.telling); \
     CREATE TABLE shop.tellings (id int, t shop.telling); INSERT INTO shop.tellings VALUES (1, ROW(1))";

#[track_caller]
fn assert_untold(shop: &Shop, client: &Client) {
    let email = shop.database.sql("SELECT email FROM shop.customers WHERE id = 1").value();
    assert!(email.contains('@'), "{email}");
    assert!(!String::from_utf8_lossy(client.received()).contains(&email));
}

#[test]
fn a_cast_that_the_server_puts_in_needs_its_function() {
    let shop = Shop::new("code_casts");
    shop.database.owner_sql(TELLING);
    let mut alice = shop.alice_as("reader");
    assert_eq!(alice.query("SELECT t FROM shop.tellings WHERE id = 1").ok().value(), "(1)");
    for sql in ["SELECT t || '' FROM shop.tellings", "SELECT (ROW('(1)')::shop.tellings).t::text"] {
        assert_eq!(alice.query(sql).error().message(), "no grant allows CALL on function shop.tell", "{sql}");
    }
    let oid: u32 = shop.database.sql("SELECT 'shop.telling'::regtype::oid").value().parse().expect("an OID");
    let declared = [
        frame::parse("", b"SELECT $1::text", &[oid]),
        frame::bind("", "", &[Some(b"(1)".to_vec())], &[], 0),
        frame::execute("", 0),
        frame::sync(),
    ];
    alice.send(&declared.concat());
    assert_eq!(alice.reply().error().message(), "permission denied for a parameter's declared type");
    assert_untold(&shop, &alice);
}

#[test]
fn what_runs_beside_a_statement_says_nothing_of_masked_columns() {
    let shop = Shop::new("code_beside");
    shop.database.owner_sql(
        "CREATE FUNCTION shop.say() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE e text; \
           BEGIN SELECT email INTO e FROM shop.customers WHERE id = 1; RAISE NOTICE '%', e; RETURN OLD; END $$; \
         INSERT INTO shop.orders (id) VALUES (901); \
         CREATE TABLE shop.pieces (id int REFERENCES shop.orders ON DELETE CASCADE); INSERT INTO shop.pieces VALUES (901); \
         CREATE TRIGGER say BEFORE DELETE ON shop.pieces FOR EACH ROW EXECUTE FUNCTION shop.say()",
    );
    let mut alice = shop.alice_as("fixer");
    let notices = alice.query("DELETE FROM shop.orders WHERE id = 901").ok().notices;
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_untold(&shop, &alice);
}

#[test]
fn names_that_changed_while_nobody_was_there_are_known() {
    let shop = Shop::new("code_idle");
    let mut alice = shop.alice_as("reader");
    assert_eq!(alice.query("SELECT 1").ok().value(), "1");
    alice.terminate();
    // The names are looked at again at most so often.
    std::thread::sleep(Duration::from_millis(600));
    shop.database.owner_sql(
        "ALTER TABLE shop.orders RENAME TO old_orders; \
         CREATE VIEW shop.orders AS SELECT id, email::text AS note FROM shop.customers",
    );
    let mut alice = Client::connect(&shop.alice_login()).expect("a session");
    let reply = alice.query("SELECT upper(note) FROM shop.orders WHERE id = 1").ok();
    assert_eq!(reply.lines().len(), 1);
    assert_untold(&shop, &alice);
}
