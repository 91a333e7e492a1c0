//! A text whose later statements use what earlier ones make: what migration tools send as one Query message. The client
//! gets what the server gives to the whole, and every statement is decided and recorded by itself.

use hallpass_tests::{
    shop::PostgresShop as Shop,
    wire::postgres::{Client, Fields, Reply, frame},
};

/// Texts as they are, and what the database is asked afterwards.
const TEXTS: &[(&str, &str)] = &[
    (
        "CREATE TABLE shop.m (id int); INSERT INTO shop.m VALUES (1), (2); SELECT id FROM shop.m ORDER BY id",
        "SELECT count(*) FROM shop.m",
    ),
    (
        "ALTER TABLE shop.m ADD note text;\n-- a comment\nUPDATE shop.m SET note = 'x' WHERE id = 1;",
        "SELECT max(note) FROM shop.m",
    ),
    ("BEGIN; CREATE TABLE shop.b (id int); INSERT INTO shop.b VALUES (1); COMMIT;", "SELECT count(*) FROM shop.b"),
    (
        "CREATE TABLE shop.f (id int); INSERT INTO shop.f VALUES (1); SELECT 1/0; SELECT 2",
        "SELECT COALESCE(to_regclass('shop.f')::text, 'none')",
    ),
    (
        "CREATE TABLE shop.l (id int); INSERT INTO shop.l VALUES (1); SELECT 1/0",
        "SELECT COALESCE(to_regclass('shop.l')::text, 'none')",
    ),
    (
        "CREATE TABLE shop.u (id int); SELECT nothing FROM shop.u; SELECT 2",
        "SELECT COALESCE(to_regclass('shop.u')::text, 'none')",
    ),
    ("CREATE TABLE shop.é (id int);\n /* ö */ SELECT id + 'x' FROM shop.é", "SELECT 1"),
    (
        "CREATE TABLE shop.d (id int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO shop.d VALUES (1), (1)",
        "SELECT COALESCE(to_regclass('shop.d')::text, 'none')",
    ),
    ("CREATE TEMP TABLE t AS SELECT 7 AS seven; SELECT seven FROM t", "SELECT 1"),
    ("SELECT seven FROM t", "SELECT 1"),
    (
        "CREATE SCHEMA more; SET search_path = more; CREATE TABLE here (a int); INSERT INTO here VALUES (5); SELECT a FROM here",
        "SELECT a FROM more.here",
    ),
    ("RESET search_path; SELECT a FROM more.here", "SELECT 1"),
    (
        "BEGIN; CREATE TABLE shop.o (id int); INSERT INTO shop.o VALUES (1)",
        "SELECT COALESCE(to_regclass('shop.o')::text, 'none')",
    ),
    (
        "CREATE TABLE shop.p (id int); SAVEPOINT s; INSERT INTO shop.p VALUES (1); ROLLBACK TO s; SELECT id FROM shop.p; COMMIT",
        "SELECT count(*) FROM shop.p",
    ),
    (
        "BEGIN; CREATE TABLE shop.q (id int); SELECT none FROM shop.q; COMMIT",
        "SELECT COALESCE(to_regclass('shop.q')::text, 'none')",
    ),
    ("ROLLBACK", "SELECT COALESCE(to_regclass('shop.q')::text, 'none')"),
    (
        "DROP TABLE shop.m; CREATE TABLE shop.m (other text); INSERT INTO shop.m (other) VALUES ('new'); SELECT other FROM shop.m",
        "SELECT other FROM shop.m",
    ),
    (
        "DO $$ BEGIN CREATE TABLE shop.code (id int); END $$; INSERT INTO shop.code VALUES (3); SELECT id FROM shop.code",
        "SELECT id FROM shop.code",
    ),
];

#[test]
fn a_migration_in_one_message_is_answered_as_the_server_answers_it() {
    let run = |shop: &Shop, client: &mut Client| {
        let seen = |sql: &&(&str, &str)| {
            let reply: Reply = client.query(sql.0);
            // Of names that it does not know the proxy tells no place.
            let place =
                |error: &Fields| if error.code() == "42703" { String::new() } else { error.get('P').to_owned() };
            let code = reply.errors.first().map(|error| (error.code().to_owned(), place(error)));
            (
                reply.shape.clone(),
                reply.status,
                reply.tags.clone(),
                reply.rows.clone(),
                code,
                shop.database.value(sql.1),
            )
        };
        TEXTS.iter().collect::<Vec<_>>().iter().map(seen).collect::<Vec<_>>()
    };
    let (direct, through) = (Shop::new("migration_direct"), Shop::new("migration"));
    let mut owner = Client::connect(&direct.database.as_owner()).expect("the owner may connect");
    let expected = run(&direct, &mut owner);
    let found = run(&through, &mut through.alice_as("owner"));
    for (((text, _), expected), found) in TEXTS.iter().zip(expected).zip(found) {
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn what_a_migration_makes_is_masked_as_what_it_is_made_of() {
    let shop = Shop::new("migration_masks");
    let mut alice = shop.alice_as("owner");
    let reply = alice.query(
        "CREATE VIEW shop.mails AS SELECT id, email AS address FROM shop.customers; \
         SELECT address FROM shop.mails WHERE id = 1",
    );
    assert_eq!(reply.ok().value(), "m****@****.test");
    assert!(!String::from_utf8_lossy(alice.received()).contains("mail1@"));
}

#[test]
fn a_denied_statement_takes_back_what_came_before_it() {
    let shop = Shop::new("migration_denied");
    let mut alice = shop.alice_as("owner");
    for text in [
        "CREATE TABLE shop.copies (a text); INSERT INTO shop.copies SELECT email FROM shop.customers; SELECT 1",
        "CREATE TABLE shop.copies (a text); CALL hallpass.wait(1)",
        "CREATE TABLE shop.copies (a text); COPY shop.copies FROM STDIN",
        "CREATE TABLE shop.copies (a text); SELECT a FROM shop.copies; SELECT lo_export(1, '/tmp/x')",
    ] {
        let reply = alice.query(text);
        assert_eq!((reply.errors.len(), reply.status), (1, 'I'), "{text}: {reply:?}");
        assert!(reply.shape.ends_with("EZ"), "{text}: {reply:?}");
        assert_eq!(shop.database.value("SELECT to_regclass('shop.copies') IS NULL"), "t", "{text}");
    }
    assert_eq!(alice.query("SELECT 1").ok().value(), "1", "the session lives on");
}

#[test]
fn each_statement_of_a_migration_is_recorded_and_what_follows_waits() {
    let shop = Shop::new("migration_audit");
    let mut alice = shop.alice_as("owner");
    let texts = ["CREATE TABLE shop.w (id int); INSERT INTO shop.w VALUES (1)", "SELECT id FROM shop.w", "SELECT 2"];
    alice.send(&texts.iter().flat_map(|sql| frame::query(sql.as_bytes())).collect::<Vec<_>>());
    assert_eq!(alice.reply().ok().tags, ["CREATE TABLE", "INSERT 0 1"]);
    assert_eq!(alice.reply().ok().value(), "1");
    assert_eq!(alice.reply().ok().value(), "2");
    let audit = shop.proxy.audit();
    for statement in ["CREATE TABLE shop.w (id int)", "INSERT INTO shop.w VALUES (1)", "SELECT id FROM shop.w"] {
        let (_, outcome) = audit.wait_for_outcome(statement);
        assert_eq!(outcome.error_code, None, "{statement}");
    }
}

#[test]
fn a_migration_of_a_user_whose_writes_are_bounded_is_bounded() {
    let shop = Shop::with("migration_bounded", |settings| {
        settings.rules.push_str("[roles.mover]\nallow = [\"ddl\", \"select\", \"insert\", \"update\"]\ntables = [\"shop.*\"]\nmax_rows_affected = 5\n");
    });
    let mut alice = shop.alice_as("mover");
    let wide = "CREATE TABLE shop.w (id int); INSERT INTO shop.w SELECT generate_series(1, 6)";
    for text in [format!("{wide}; SELECT 1"), wide.to_owned()] {
        let reply = alice.query(&text);
        assert_eq!((reply.errors.len(), reply.status), (1, 'I'), "{text}: {reply:?}");
        assert_eq!(shop.database.value("SELECT to_regclass('shop.w') IS NULL"), "t", "{text}");
    }
    let fits = alice.query("CREATE TABLE shop.w (id int); INSERT INTO shop.w SELECT generate_series(1, 5)");
    assert_eq!(fits.ok().tags, ["CREATE TABLE", "INSERT 0 5"]);
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.w"), "5");
}
