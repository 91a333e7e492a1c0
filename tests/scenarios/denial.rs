//! A denial teaches: what is missing, what the user holds, what to type. Byte for byte, as scripts rely on it.

use hallpass_tests::{
    both,
    protocol::{Client as _, Direct as _, Kind, Protocol},
    shop::{PostgresShop, Shop},
};

both!(
    a_denial_says_what_is_missing_and_what_to_type,
    with_another_grant_the_denial_says_what_it_lacks,
    nothing_of_a_denied_statement_reaches_the_server,
    except_holds_whatever_the_tables_say,
    what_does_not_parse_is_an_error_of_its_own,
    review_rules_hold_whatever_the_grant,
    denials_are_recorded,
    explain_is_everybodys_and_analyze_nobodys,
);

fn a_denial_says_what_is_missing_and_what_to_type<P: Protocol>() {
    let shop = Shop::<P>::new("missing");
    let mut alice = shop.alice();
    let answer = alice.query("UPDATE shop.orders SET note = 'x' WHERE id = 1");
    let error = answer.fails(Kind::Denied);
    assert_eq!(error.message, "no grant allows UPDATE on shop.orders");
    let hint = "hallpass request --role fixer --database shop --for 1h --reason \"…\"";
    assert!(error.says(&["you hold: baseline (explain)", hint]), "{error:?}");
    assert!(!answer.in_transaction && answer.rows.is_empty());
    assert_eq!(alice.query("SELECT 1").value(), "1", "the session lives on");
}

#[test]
fn without_a_grant_the_denial_names_the_command() {
    let shop = PostgresShop::new("denial");
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

fn with_another_grant_the_denial_says_what_it_lacks<P: Protocol>() {
    let shop = Shop::<P>::new("lacks");
    let mut alice = shop.alice_as("reader");
    let reply = alice.query("DELETE FROM shop.orders WHERE id = 1");
    let error = reply.fails(Kind::Denied);
    assert_eq!(error.message, "no grant allows DELETE on shop.orders");
    assert!(error.detail.contains("role reader until") && error.detail.contains("lacks delete"), "{error:?}");
}

fn nothing_of_a_denied_statement_reaches_the_server<P: Protocol>() {
    let shop = Shop::<P>::new("unsent");
    shop.database.log_statements();
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT count(*) FROM shop.orders").ok();
    let denied = "DELETE FROM shop.orders WHERE note = 'a needle in the log'";
    alice.query(denied).fails(Kind::Denied);
    alice.prepared(denied, &[]).fails(Kind::Denied);
    let log = shop.database.statement_log();
    assert!(log.iter().any(|statement| statement == "SELECT count(*) FROM shop.orders"), "{log:?}");
    assert!(!log.iter().any(|statement| statement.contains("a needle in the log")), "{log:?}");
}

fn except_holds_whatever_the_tables_say<P: Protocol>() {
    let shop = Shop::<P>::new("except");
    let mut alice = shop.alice_as("reader");
    let answer = alice.query("SELECT * FROM shop.vault");
    assert_eq!(answer.fails(Kind::Denied).message, "no grant allows SELECT on shop.vault");
    alice.query("SELECT * FROM shop.orders").ok();
}

fn what_does_not_parse_is_an_error_of_its_own<P: Protocol>() {
    let shop = Shop::<P>::new("nonsense");
    let mut alice = shop.alice();
    alice.query("SELEC 1").fails(Kind::Unparsed);
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn what_does_not_parse_is_the_servers_own_error() {
    let shop = PostgresShop::new("unparsed");
    let mut alice = shop.alice();
    assert_eq!(alice.query("SELEC 1").error().code(), "42601");
    assert_eq!(alice.query("").shape, "IZ", "an empty query is answered as one");
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

fn review_rules_hold_whatever_the_grant<P: Protocol>() {
    let shop = Shop::<P>::new("review");
    let mut alice = shop.alice_as("fixer");
    let reply = alice.query("UPDATE shop.orders SET note = 'all'");
    let error = reply.fails(Kind::Denied);
    assert!(error.message.contains("update-without-where"), "{error:?}");
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'all'"), "0");
    alice.query("UPDATE shop.orders SET note = 'one' WHERE id = 1").ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "one");
}

fn denials_are_recorded<P: Protocol>() {
    let shop = Shop::<P>::new("denied_audit");
    let sql = "SELECT * FROM shop.vault -- recorded";
    shop.alice().query(sql);
    let event = shop.proxy.audit().wait_for("denied", sql);
    assert_eq!(event.user.as_deref(), Some("alice"));
    assert_eq!(event.decision.as_deref(), Some("deny"));
    assert!(event.reason.is_some_and(|reason| reason.contains("no grant allows SELECT on shop.vault")));
}

fn explain_is_everybodys_and_analyze_nobodys<P: Protocol>() {
    let shop = Shop::<P>::new("explain");
    let mut alice = shop.alice();
    alice.query("EXPLAIN SELECT id FROM shop.orders WHERE id = 1").ok();
    alice.query("EXPLAIN ANALYZE UPDATE shop.orders SET note = 'ran' WHERE id = 1").fails(Kind::Denied);
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "note 1");
}
