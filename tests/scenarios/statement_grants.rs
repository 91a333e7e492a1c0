//! A statement grant is for one statement, in that meaning.

use hallpass_tests::{
    both,
    protocol::{Client as _, Kind, Protocol},
    shop::Shop,
};

both!(exactly_the_approved_statement_runs, unmask_shows_and_is_recorded, a_write_is_no_statement_grant_by_default);

const ONE: &str = "SELECT id, email FROM shop.customers WHERE id = 7";

fn exactly_the_approved_statement_runs<P: Protocol>() {
    let shop = Shop::<P>::new("one");
    shop.proxy.approve(shop.proxy.request_statement("alice", ONE, "shop", &[]));
    let mut alice = shop.alice();
    let reply = alice.query(ONE).ok();
    assert_eq!(reply.rows.len(), 1);
    assert!(!reply.lines()[0].contains("mail7@"), "still masked: {:?}", reply.rows);
    for other in [
        "SELECT id, email FROM shop.customers WHERE id = 8",
        "SELECT id, email FROM shop.customers WHERE id = 7 OR true",
        "SELECT id, email FROM shop.customers",
    ] {
        alice.query(other).fails(Kind::Denied);
        alice.prepared(other, &[]).fails(Kind::Denied);
    }
    alice.query(&format!("{ONE}; SELECT ssn FROM shop.customers")).fails(Kind::Denied);
}

fn unmask_shows_and_is_recorded<P: Protocol>() {
    let shop = Shop::<P>::new("unmask");
    shop.proxy.approve(shop.proxy.request_statement("alice", ONE, "shop", &["--unmask"]));
    let mut alice = shop.alice();
    assert_eq!(alice.query(ONE).ok().lines(), ["7|mail7@example.test"]);
    let (attempt, _) = shop.proxy.audit().wait_for_outcome(ONE);
    assert!(attempt.grant_id.is_some());
}

fn a_write_is_no_statement_grant_by_default<P: Protocol>() {
    let shop = Shop::<P>::new("write_grant");
    let write = "UPDATE shop.orders SET note = 'fixed' WHERE id = 7";
    let told = shop.proxy.try_request_statement("alice", write, "shop", &[]).expect_err("writes are not allowed");
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stderr.contains("for reading") && told.stderr.contains("shop.orders"), "{told:?}");
}
