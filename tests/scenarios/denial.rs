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
    a_denied_explain_names_the_role_that_explains,
    beside_a_statement_grant_the_denial_names_what_it_allows,
    what_no_role_allows_is_asked_for_by_statement,
    denied_catalogs_say_who_may_read_them,
);

fn a_denial_says_what_is_missing_and_what_to_type<P: Protocol>() {
    let shop = Shop::<P>::new("missing");
    let mut alice = shop.alice();
    let answer = alice.query("UPDATE shop.orders SET note = 'x' WHERE id = 1");
    let error = answer.fails(Kind::Denied);
    assert_eq!(error.message, "no grant allows UPDATE on shop.orders");
    let hint = "CALL hallpass.request('fixer', '1 hour', 'why')";
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
    assert_eq!(error.hint(), "CALL hallpass.request('fixer', '1 hour', 'why')");
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

fn a_denied_explain_names_the_role_that_explains<P: Protocol>() {
    let shop = Shop::<P>::with("denied_explain", |settings| {
        settings.rules = format!("[baseline]\nallow = []\n{}", settings.rules);
    });
    let mut alice = shop.alice();
    let explain = "EXPLAIN SELECT id FROM shop.orders WHERE id = 1";
    for answer in [alice.query(explain), alice.prepared(explain, &[])] {
        let error = answer.fails(Kind::Denied);
        assert_eq!(error.message, "no grant allows EXPLAIN on shop.orders");
        assert_eq!(error.detail, "you hold: baseline (session statements and catalogs)");
        assert_eq!(error.hint, "CALL hallpass.request('reader', '1 hour', 'why')");
    }
    shop.grant("reader");
    alice.query(explain).ok();
}

fn beside_a_statement_grant_the_denial_names_what_it_allows<P: Protocol>() {
    let shop = Shop::<P>::new("denied_beside");
    let approved = "SELECT id FROM shop.orders WHERE id = 7";
    shop.proxy.approve(shop.proxy.request_statement("alice", approved, "shop", &[]));
    let mut alice = shop.alice();
    alice.query(approved).ok();
    let other = alice.query("SELECT id FROM shop.orders WHERE id = 8");
    let error = other.fails(Kind::Denied);
    assert_eq!(error.message, "no grant allows SELECT on shop.orders");
    let allowed = format!("allows another statement: {approved}");
    assert!(error.detail.contains("(one statement until ") && error.detail.ends_with(&allowed), "{error:?}");
    // The weakest of the roles that would allow it.
    assert_eq!(error.hint, "CALL hallpass.request('bytes', '1 hour', 'why')");
}

fn what_no_role_allows_is_asked_for_by_statement<P: Protocol>() {
    let shop = Shop::<P>::with("denied_statement", |settings| {
        // Nobody may ask for the role that covers everything.
        let nobody = "[roles.owner]\nrequest_by = [\"group:nobody\"]";
        settings.rules =
            settings.rules.replace("[roles.owner]", nobody).replace("tables = [\"shop.*\"]", "tables = [\"shop.o*\"]");
    });
    let mut alice = shop.alice();
    let vault = alice.query("SELECT secret FROM shop.vault WHERE secret = 'it''s'");
    let error = vault.fails(Kind::Denied);
    assert_eq!(error.message, "no grant allows SELECT on shop.vault");
    let hint =
        "CALL hallpass.request_statement('SELECT secret FROM shop.vault WHERE secret = ''it''''s''', '30 min', 'why')";
    assert_eq!(error.hint, hint);
    let email = alice.query("SELECT name FROM shop.customers WHERE upper(email) = 'X'");
    let hint = "CALL hallpass.request_statement('SELECT name FROM shop.customers WHERE upper(email) = ''X''', '30 min', \
                'why', 'unmask')";
    assert_eq!(email.fails(Kind::Denied).hint, hint, "{email:?}");
    let write = alice.query("DELETE FROM shop.vault WHERE id = 1");
    let hint = "role owner would allow it, but only group:nobody may request it: ask them, or an administrator";
    assert_eq!(write.fails(Kind::Denied).hint, hint);
}

fn denied_catalogs_say_who_may_read_them<P: Protocol>() {
    let shop = Shop::<P>::new("denied_catalog");
    let mut alice = shop.alice_as("reader");
    let reads = P::pick(
        [
            "SELECT query FROM pg_stat_activity",
            "SELECT rolpassword FROM pg_authid",
            "SELECT most_common_vals FROM pg_stats",
        ],
        [
            "SELECT INFO FROM information_schema.PROCESSLIST",
            "SELECT trx_query FROM information_schema.INNODB_TRX",
            "SHOW FULL PROCESSLIST",
        ],
    );
    for sql in reads {
        let answer = alice.query(sql);
        let error = answer.fails(Kind::Denied);
        assert!(error.message.starts_with("no grant allows "), "{sql}: {error:?}");
        assert!(error.detail.contains("role reader until"), "{sql}: {error:?}");
        assert_eq!(error.hint, "CALL hallpass.request('owner', '1 hour', 'why')", "{sql}: {error:?}");
    }
}
