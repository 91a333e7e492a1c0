//! A denial teaches: what is missing, what the user holds, what to type. Byte for byte, as scripts rely on it.

use hallpass_tests::shop::Shop;

#[test]
fn without_a_grant_the_denial_names_the_command() {
    let shop = Shop::new("denial");
    let mut alice = shop.alice();
    let reply = alice.query("UPDATE shop.orders SET note = 'x' WHERE id = 1");
    let error = reply.error();
    assert_eq!(error.get('S'), "ERROR");
    assert_eq!(error.get('V'), "ERROR");
    assert_eq!(error.code(), "42501");
    assert_eq!(error.message(), "no grant allows UPDATE on shop.orders");
    assert_eq!(error.detail(), "you hold: baseline (explain)");
    assert_eq!(error.hint(), "hallpass request --role fixer --database shop --for 1h --reason \"…\"");
    assert_eq!(reply.shape, "EZ");
    assert_eq!(reply.status, 'I');
    assert_eq!(alice.query("SELECT 1").value(), "1", "the session lives on");
}

#[test]
fn with_another_grant_the_denial_says_what_it_lacks() {
    let shop = Shop::new("lacks");
    let mut alice = shop.alice_as("reader");
    let reply = alice.query("DELETE FROM shop.orders WHERE id = 1");
    let error = reply.error();
    assert_eq!((error.code(), error.message()), ("42501", "no grant allows DELETE on shop.orders"));
    assert!(error.detail().contains("role reader until") && error.detail().contains("lacks delete"), "{error:?}");
}

#[test]
fn nothing_of_a_denied_statement_reaches_the_server() {
    let shop = Shop::new("unsent");
    shop.database.log_statements();
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT count(*) FROM shop.orders").ok();
    let denied = "DELETE FROM shop.orders WHERE note = 'a needle in the log'";
    assert_eq!(alice.query(denied).error().code(), "42501");
    assert_eq!(alice.extended(denied, &[], 0).error().code(), "42501");
    let log = shop.database.statement_log();
    assert!(log.iter().any(|statement| statement == "SELECT count(*) FROM shop.orders"), "{log:?}");
    assert!(!log.iter().any(|statement| statement.contains("a needle in the log")), "{log:?}");
}

#[test]
fn except_holds_whatever_the_tables_say() {
    let shop = Shop::new("except");
    let mut alice = shop.alice_as("reader");
    assert_eq!(alice.query("SELECT * FROM shop.vault").error().message(), "no grant allows SELECT on shop.vault");
    alice.query("SELECT * FROM shop.orders").ok();
}

#[test]
fn what_does_not_parse_is_the_servers_own_error() {
    let shop = Shop::new("unparsed");
    let mut alice = shop.alice();
    assert_eq!(alice.query("SELEC 1").error().code(), "42601");
    assert_eq!(alice.query("").shape, "IZ", "an empty query is answered as one");
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn review_rules_hold_whatever_the_grant() {
    let shop = Shop::new("review");
    let mut alice = shop.alice_as("fixer");
    let reply = alice.query("UPDATE shop.orders SET note = 'all'");
    assert_eq!(reply.error().code(), "42501");
    assert!(reply.error().message().contains("update-without-where"), "{:?}", reply.error());
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'all'"), "0");
    alice.query("UPDATE shop.orders SET note = 'one' WHERE id = 1").ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "one");
}

#[test]
fn denials_are_recorded() {
    let shop = Shop::new("denied_audit");
    let sql = "SELECT * FROM shop.vault -- recorded";
    shop.alice().query(sql);
    let event = shop.proxy.audit().wait_for("denied", sql);
    assert_eq!(event.user.as_deref(), Some("alice"));
    assert_eq!(event.decision.as_deref(), Some("deny"));
    assert!(event.reason.is_some_and(|reason| reason.contains("no grant allows SELECT on shop.vault")));
}

#[test]
fn explain_is_everybodys_and_analyze_nobodys() {
    let shop = Shop::new("explain");
    let mut alice = shop.alice();
    alice.query("EXPLAIN SELECT id FROM shop.orders WHERE id = 1").ok();
    let reply = alice.query("EXPLAIN ANALYZE UPDATE shop.orders SET note = 'ran' WHERE id = 1");
    assert_eq!(reply.error().code(), "42501");
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "note 1");
}
