//! SHOW WARNINGS: the server's own words, unless they may quote what is masked; the proxy's own beside them.

use std::time::Duration;

use hallpass_tests::{
    mysql::Flavour,
    process::wait_for,
    protocol::{Client as _, MySql, Protocol as _},
    shop::MySqlShop,
    wire::mysql::{Client, Rows, Startup, flags},
};

/// Warns with the address itself, on both servers.
const TELLTALE: &str = "SELECT id FROM shop.customers WHERE id = 7 AND email > 5";

const ROLES: &str = "
[roles.editor]
allow = [\"select\", \"explain\", \"update\", \"insert\"]
tables = [\"shop.*\"]
";

fn shop(name: &str) -> MySqlShop {
    MySqlShop::with(name, |settings| {
        settings.rules.push_str(ROLES);
        // So that statements that warn of values get through.
        let computed = "with = \"email\"\nin_predicates = \"any\"";
        settings.rules = settings.rules.replace("with = \"email\"", computed);
    })
}

fn with_eof(startup: &Startup) -> [Startup; 2] {
    [startup.clone(), startup.clone().without(flags::DEPRECATE_EOF)]
}

/// SHOW WARNINGS prepared, which MySQL does not.
#[track_caller]
fn binary(client: &mut Client) -> Vec<String> {
    match Flavour::chosen() {
        Flavour::MariaDb => client.run_prepared("SHOW WARNINGS", &[]).ok().lines(),
        Flavour::MySql => {
            assert_eq!(client.run_prepared("SHOW WARNINGS", &[]).error().code, 1295);
            Vec::new()
        }
    }
}

#[track_caller]
fn assert_hidden(client: &Client) {
    assert!(!client.has_received("mail7@"), "{}", String::from_utf8_lossy(client.received_after_login()));
}

#[test]
fn the_servers_own_words_are_shown() {
    let shop = shop("plain_words");
    shop.grant("editor");
    let mut direct = Client::connect(&shop.database.as_owner()).expect("the owner may connect");
    for startup in with_eof(&shop.alice_login()) {
        let mut alice = Client::connect(&startup).expect("alice may connect");
        for sql in [
            "SELECT CAST(note AS SIGNED) FROM shop.orders WHERE id = 7",
            "SELECT 1/0",
            "UPDATE shop.orders SET note = 5 WHERE note = 7",
        ] {
            let [expected, got] = [&mut direct, &mut alice].map(|client| client.query(sql));
            assert_eq!(
                got.done.first().map(|done| done.warnings),
                expected.done.first().map(|done| done.warnings),
                "{sql}"
            );
            for show in ["SHOW WARNINGS", "SHOW COUNT(*) WARNINGS", "SHOW ERRORS", "SHOW WARNINGS LIMIT 1"] {
                let [expected, got] = [&mut direct, &mut alice].map(|client| client.query(show).ok().lines());
                assert_eq!(got, expected, "{sql}: {show}");
            }
        }
    }
}

#[test]
fn values_that_are_masked_are_not_quoted() {
    let shop = shop("hidden_words");
    shop.grant("editor");
    for startup in with_eof(&shop.alice_login()) {
        let mut alice = Client::connect(&startup).expect("alice may connect");
        let shows = |alice: &mut Client| {
            let shown = alice.query("SHOW WARNINGS").ok();
            let again = binary(alice);
            alice.query("SHOW ERRORS").ok();
            let count = alice.query("SHOW COUNT(*) WARNINGS").ok().value();
            let count_errors = alice.query("SHOW COUNT(*) ERRORS").ok().value();
            alice.query("SHOW WARNINGS").ok();
            alice.query("SHOW WARNINGS LIMIT 0, 5").ok();
            assert!(count.parse::<usize>().expect("a number") >= count_errors.parse().expect("a number"));
            assert!(again.is_empty() || again == shown.lines(), "{again:?}");
            let told = shown.lines();
            // Of a statement that the proxy refused, its own words.
            let ours = |line: &String| line.starts_with("Error|1143|no grant allows ");
            let hidden = |line: &String| line.ends_with("details hidden: a masked column takes part");
            assert!(told.iter().all(|line| ours(line) || hidden(line)), "{told:?}");
            told.len()
        };
        assert!(alice.query(TELLTALE).ok().done[0].warnings > 0);
        assert!(shows(&mut alice) > 0);
        // None of these clears the server's list.
        for between in [
            "SELECT 1",
            "SELECT @@warning_count",
            "SET @a = 1",
            "DO 0",
            "SHOW COUNT(*) WARNINGS",
            "PREPARE p FROM 'SELECT 1'",
        ] {
            alice.query(TELLTALE);
            alice.query(between).ok();
            shows(&mut alice);
            assert_hidden(&alice);
        }
        alice.run_prepared(TELLTALE, &[]);
        shows(&mut alice);
        alice.run_cursor(TELLTALE, &[], 1);
        shows(&mut alice);
        for sql in [
            "INSERT INTO shop.customers SELECT id + 1000, name, email, ssn, card_number, salary, city FROM shop.customers WHERE id = 7",
            "INSERT INTO shop.customers (id, name, email) VALUES (901, 'x', 'mail7@example.test')",
            "INSERT IGNORE INTO shop.customers (id, name, email) VALUES (902, 'x', 'mail7@example.test')",
            "UPDATE shop.customers SET email = 'mail8@example.test' WHERE id = 9",
        ] {
            if !sql.contains("mail7@") {
                alice.query(sql);
                shows(&mut alice);
            }
        }
        alice.query("GET DIAGNOSTICS CONDITION 1 @text = MESSAGE_TEXT");
        alice.query("SELECT @text");
        assert_hidden(&alice);
        assert!(!alice.has_received("mail8@"));
    }
}

/// Whether a cast cuts a value off tells how long it is: of what is computed from a masked column nothing is told, not
/// that there are warnings, nor whether it is NULL, nor by a limit how many bytes it has.
#[test]
fn what_is_computed_from_masked_columns_warns_of_nothing() {
    let shop = shop("muted");
    shop.grant("editor");
    let cut = "CAST(TRIM(LEADING 'mail7' FROM email) AS CHAR(14))";
    for startup in with_eof(&shop.alice_login()) {
        let mut alice = Client::connect(&startup).expect("alice may connect");
        for sql in [
            format!("SELECT {cut} FROM shop.customers WHERE id IN (7, 8)"),
            format!("SELECT COUNT(*) FROM (SELECT {cut} AS x FROM shop.customers WHERE id IN (7, 8) LIMIT 5) q"),
        ] {
            let warnings = |alice: &mut Client, sql: &str| alice.query(sql).ok().done[0].warnings;
            assert_eq!(warnings(&mut alice, &sql), 0, "{sql}");
            for count in ["SHOW COUNT(*) WARNINGS", "SELECT @@warning_count", "SET @c = @@session.error_count"] {
                assert_eq!(alice.query(count).error().code, 1227, "{count}");
            }
            alice.query(&sql).ok();
            assert_eq!(alice.query("SHOW WARNINGS").ok().lines(), Vec::<String>::new());
            assert_eq!(alice.run_prepared(&sql, &[]).ok().done.last().map(|done| done.warnings), Some(0));
            // With the next table all is as ever.
            assert!(warnings(&mut alice, "SELECT CAST(note AS SIGNED) FROM shop.orders WHERE id = 7") > 0);
            assert_ne!(alice.query("SELECT @@warning_count").ok().value(), "0");
        }
        let blank = |what: &str| format!("SELECT {what} FROM shop.customers WHERE id = 7");
        let long = "REPLACE(REPLACE(email, 'mail7', REPEAT('x', 60000)), 'x', REPEAT('y', 60000))";
        assert_eq!(alice.query(&blank(&format!("HEX({long})"))).ok().value(), "****");
        assert_eq!(alice.query(&blank("CONCAT(email, NULL)")).ok().value(), "****");
    }
}

#[test]
fn a_plan_of_masked_tables_quotes_nothing() {
    let shop = MySqlShop::new("plan_words");
    let mut alice = shop.alice_as("reader");
    for sql in [
        "EXPLAIN SELECT email FROM shop.customers WHERE id = 7",
        "EXPLAIN EXTENDED SELECT email FROM shop.customers WHERE id = 7",
        "EXPLAIN SELECT o.id, c.email FROM shop.customers c JOIN shop.orders o ON o.note = c.email WHERE c.id = 7",
        "EXPLAIN FORMAT=JSON SELECT o.id, c.email FROM shop.customers c JOIN shop.orders o ON o.note = c.email WHERE c.id = 7",
        "EXPLAIN FORMAT=TREE SELECT o.id, c.email FROM shop.customers c JOIN shop.orders o ON o.note = c.email WHERE c.id = 7",
        "EXPLAIN FORMAT=JSON SELECT o.id FROM shop.customers c JOIN shop.orders o ON o.note = c.email WHERE c.id = 7",
        "EXPLAIN FORMAT=JSON SELECT (SELECT email FROM shop.customers WHERE id = 7), o.note FROM shop.orders o",
        "ANALYZE FORMAT=JSON SELECT o.id FROM shop.customers c JOIN shop.orders o ON o.note = c.email WHERE c.id = 7",
        "EXPLAIN ANALYZE SELECT o.id FROM shop.customers c JOIN shop.orders o ON o.note = c.email WHERE c.id = 7",
    ] {
        let plan = alice.query(sql);
        assert!(plan.errors.len() == 1 || !plan.rows.is_empty(), "{sql}: {plan:?}");
        alice.query("SHOW WARNINGS").ok();
        assert_hidden(&alice);
        alice.run_prepared(sql, &[]);
        alice.query("SHOW WARNINGS");
        alice.query("SELECT 1");
        alice.query("SHOW WARNINGS");
        assert_hidden(&alice);
    }
}

/// As a server's error does, one of the proxy's takes the place of all that was there before.
#[test]
fn the_proxys_own_errors_are_shown_once_more() {
    let shop = MySqlShop::with("own_errors", |settings| {
        settings.rules.push_str("[[review]]\nrule = \"side-effects\"\nlevel = \"warn\"\n");
    });
    let grant = shop.grant("owner");
    for startup in with_eof(&shop.alice_login()) {
        let mut alice = Client::connect(&startup).expect("alice may connect");
        let shown = |alice: &mut Client| {
            let text = alice.query("SHOW WARNINGS").ok().lines();
            if Flavour::chosen() == Flavour::MariaDb {
                assert_eq!(binary(alice), text);
            }
            text
        };
        assert!(alice.query("SELECT CAST(note AS SIGNED) FROM shop.orders WHERE id = 7").ok().done[0].warnings > 0);
        let denied = alice.query("SELECT id FROM nowhere.orders").error().clone();
        assert_eq!(shown(&mut alice), [format!("Error|{}|{}", denied.code, denied.message)]);
        // Nothing is left of it with the next statement.
        alice.query("SELECT id FROM shop.orders WHERE id = 7").ok();
        assert_eq!(shown(&mut alice), Vec::<String>::new());
        alice.query("SELECT CAST(note AS SIGNED) FROM shop.orders WHERE id = 7").ok();
        alice.query("SELECT hallpass.request('small', '1 hour', 'why')").ok();
        let asked = shown(&mut alice);
        assert!(asked.len() == 1 && asked[0].starts_with("Note|1105|request "), "{asked:?}");
        alice.query("SELECT GET_LOCK('a', 1)").ok();
        let warned = shown(&mut alice);
        // Which leaves the server's list as it is: it is still about a statement before the question.
        assert!(warned.len() == 1 && warned[0].starts_with("Warning|1105|review rule side-effects: "), "{warned:?}");
        alice.query("DO RELEASE_LOCK('a')");
    }
    let mut alice = shop.alice();
    alice.start(MySql::SLOW.as_bytes());
    wait_for("it runs", Duration::from_secs(30), || shop.database.is_running("orders d").then_some(()));
    shop.proxy.revoke(grant);
    let stopped = alice.reply(Rows::Text).error().clone();
    let shown = alice.query("SHOW WARNINGS").ok().lines();
    assert_eq!(shown, [format!("Error|{}|{}", stopped.code, stopped.message)], "not the server's word for it");
}

#[test]
fn reminders_are_warnings() {
    let shop = MySqlShop::with("reminders", |settings| settings.server = "remind_before = [\"8s\"]".to_owned());
    for startup in with_eof(&shop.alice_login()) {
        let grant = shop.proxy.grant("alice", "reader", "shop", "10s");
        let mut alice = Client::connect(&startup).expect("alice may connect");
        let told = hallpass_tests::process::wait_for("a reminder", std::time::Duration::from_secs(8), || {
            let reply = alice.query("SELECT id FROM shop.orders WHERE id = 7").ok();
            (reply.done[0].warnings > 0).then_some(reply)
        });
        assert_eq!(told.value(), "7");
        for _ in 0..2 {
            let shown = alice.query("SHOW WARNINGS").ok().lines();
            assert!(shown.len() == 1 && shown[0].starts_with("Note|1105|grant "), "{shown:?}");
            if Flavour::chosen() == Flavour::MariaDb {
                assert_eq!(binary(&mut alice), shown);
            }
        }
        alice.query("SELECT id FROM shop.orders WHERE id = 8").ok();
        assert!(alice.query("SHOW WARNINGS").ok().rows.is_empty());
        shop.proxy.revoke(grant);
    }
}
