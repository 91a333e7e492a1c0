//! A statement grant is for one statement, in that meaning.

use hallpass_tests::shop::PostgresShop as Shop;

const ONE: &str = "SELECT id, email FROM shop.customers WHERE id = 7";

#[test]
fn exactly_the_approved_statement_runs() {
    let shop = Shop::new("one");
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
        assert_eq!(alice.query(other).error().code(), "42501", "{other}");
    }
    assert_eq!(alice.query(&format!("{ONE}; SELECT ssn FROM shop.customers")).error().code(), "42501");
}

#[test]
fn unmask_shows_and_is_recorded() {
    let shop = Shop::new("unmask");
    shop.proxy.approve(shop.proxy.request_statement("alice", ONE, "shop", &["--unmask"]));
    let mut alice = shop.alice();
    assert_eq!(alice.query(ONE).ok().lines(), ["7|mail7@example.test"]);
    let (attempt, _) = shop.proxy.audit().wait_for_outcome(ONE);
    assert!(attempt.grant_id.is_some());
}

#[test]
fn a_write_is_no_statement_grant_by_default() {
    let shop = Shop::new("write_grant");
    let write = "UPDATE shop.orders SET note = 'fixed' WHERE id = 7";
    let told = shop.proxy.try_request_statement("alice", write, "shop", &[]).expect_err("writes are not allowed");
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stderr.contains("for reading") && told.stderr.contains("shop.orders"), "{told:?}");
}
