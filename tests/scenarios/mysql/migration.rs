//! A text whose later statements use what earlier ones make: what migration tools send as one COM_QUERY. The client gets
//! what the server gives to the whole, and every statement is decided and recorded by itself. The twin of
//! `scenarios::migration`.

use hallpass_tests::{
    protocol::Client as _,
    shop::MySqlShop as Shop,
    wire::mysql::{Client, Reply, Startup, flags},
};

/// Texts as they are.
const TEXTS: &[&str] = &[
    "CREATE TABLE m (id int); INSERT INTO m VALUES (1), (2); SELECT id FROM m ORDER BY id",
    "ALTER TABLE m ADD note varchar(10);\n-- a comment\nUPDATE m SET note = 'x' WHERE id = 1;",
    "SELECT note FROM m ORDER BY id",
    "CREATE TABLE f (id int); INSERT INTO f VALUES (1); CREATE TABLE f (id int); SELECT 2",
    "SELECT id FROM f",
    "CREATE TEMPORARY TABLE t AS SELECT 7 AS seven; SELECT seven FROM t; DROP TEMPORARY TABLE t",
    "CREATE TABLE here (a int); USE information_schema; USE shop; INSERT INTO here VALUES (5); SELECT a FROM here; SELECT 'x'",
    "USE shop; SELECT id FROM f; SELECT 1; SET @a = 5; SELECT @a",
    "USE information_schema; SELECT COUNT(*) FROM shop.here; USE shop; SELECT a FROM here",
    "SET sql_mode = 'ANSI_QUOTES'; SELECT \"id\" FROM f; SET sql_mode = ''; SELECT \"id\" FROM f",
    "BEGIN; CREATE TABLE b (id int) ENGINE = InnoDB; INSERT INTO b VALUES (1); COMMIT; SELECT id FROM b",
    "CREATE TABLE b (id int); SELECT 1",
    "DROP TABLE m; CREATE TABLE m (other int); SELECT other FROM m; INSERT INTO m VALUES (3); DO 1",
    "CREATE TABLE w (a tinyint); INSERT IGNORE INTO w VALUES (1000); SHOW WARNINGS; SELECT a FROM w",
];

fn login(startup: Startup, eof: u64) -> Client {
    let login = startup.with(flags::MULTI_STATEMENTS).without(flags::DEPRECATE_EOF).with(eof);
    Client::connect(&login).expect("the login is right")
}

#[test]
fn a_migration_in_one_message_is_answered_as_the_server_answers_it_on_mysql() {
    for eof in [0, flags::DEPRECATE_EOF] {
        let run = |mut client: Client| {
            let seen = |sql: &&str| {
                let Reply { shape, rows, done, errors, .. } = client.query(sql);
                // What a session tracks of itself is its own.
                let done: Vec<_> =
                    done.into_iter().map(|end| (end.affected, end.status, end.warnings, end.info)).collect();
                (shape, rows, done, errors)
            };
            TEXTS.iter().map(seen).collect::<Vec<_>>()
        };
        let (direct, through) = (Shop::new("migration_direct"), Shop::new("migration"));
        through.grant("owner");
        let expected = run(login(direct.database.as_owner(), eof));
        let found = run(login(through.alice_login(), eof));
        for ((text, expected), found) in TEXTS.iter().zip(expected).zip(found) {
            assert_eq!(found, expected, "{text}");
        }
    }
}

#[test]
fn what_a_migration_of_mysql_reads_is_masked() {
    let procedure = "CREATE PROCEDURE shop.mail() SELECT email FROM shop.customers WHERE id = 2";
    let shop = Shop::after(procedure, "migration_masks", |_| {});
    let mut alice = shop.alice_as("owner");
    let reply = alice.query(
        "ALTER TABLE shop.customers ADD fresh int; SELECT email, fresh FROM shop.customers WHERE id = 1; \
         CALL shop.mail()",
    );
    let masked = Some("m****@****.test".to_owned());
    assert_eq!(reply.ok().rows, [vec![masked.clone(), None], vec![masked]]);
    assert!(!alice.has_received("mail1@") && !alice.has_received("mail2@"));
}

#[test]
fn a_denied_statement_ends_a_migration_of_mysql() {
    let shop = Shop::new("migration_denied");
    let mut alice = shop.alice_as("owner");
    for (text, shape) in [
        ("CREATE TABLE c1 (a text); INSERT INTO c1 SELECT email FROM shop.customers; SELECT 1", "OE"),
        ("CREATE TABLE c2 (a text); CALL hallpass.wait(1); SELECT 1", "E"),
        ("CREATE TABLE c3 (a text); KILL 5", "OE"),
        ("CREATE TABLE c4 (a text); SELECT a FROM c4 INTO OUTFILE '/tmp/x'; SELECT 1", "OE"),
    ] {
        let reply = alice.query(text);
        assert_eq!((reply.errors.len(), reply.shape.as_str()), (1, shape), "{text}: {reply:?}");
    }
    assert_eq!(alice.query("SELECT 1").ok().value(), "1", "the session lives on");
    assert_eq!(shop.database.value("SELECT COUNT(*) FROM c1"), "0");
    let audit = shop.proxy.audit();
    let (_, outcome) = audit.wait_for_outcome("CREATE TABLE c4 (a text)");
    assert_eq!(outcome.error_code, None);
    audit.wait_for("denied", "INSERT INTO c1 SELECT email FROM shop.customers");
}
