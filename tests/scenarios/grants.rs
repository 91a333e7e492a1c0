//! From request to revocation on one open connection.

use std::time::{Duration, Instant};

use hallpass_tests::{process::wait_for, shop::Shop, wire::postgres::frame};

const READ: &str = "SELECT note FROM shop.orders WHERE id = 1";

#[test]
fn a_grant_works_on_the_open_connection_and_ends_on_it() {
    let shop = Shop::new("grant");
    let mut alice = shop.alice();
    assert_eq!(alice.query(READ).error().code(), "42501");
    let request = shop.proxy.request("alice", "reader", "shop", "1h");
    assert_eq!(alice.query(READ).error().code(), "42501", "asking is not having");
    let grant = shop.proxy.approve(request);
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    shop.proxy.revoke(grant);
    let reply = alice.query(READ);
    assert_eq!(reply.error().code(), "42501");
    assert_eq!(alice.query("SELECT 1").value(), "1", "the session lives on with what is left");
}

#[test]
fn a_rejected_request_gives_nothing() {
    let shop = Shop::new("reject");
    let request = shop.proxy.request("alice", "reader", "shop", "1h");
    shop.proxy.cli(&["reject", &request.to_string(), "--comment", "not today"]).ok();
    shop.proxy.cli(&["approve", &request.to_string()]).failed();
    assert_eq!(shop.alice().query(READ).error().code(), "42501");
}

#[test]
fn a_grant_expires_by_itself() {
    let shop = Shop::new("expire");
    shop.proxy.grant("alice", "reader", "shop", "2s");
    let mut alice = shop.alice();
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    std::thread::sleep(Duration::from_millis(2200));
    assert_eq!(alice.query(READ).error().code(), "42501");
}

#[test]
fn a_running_statement_is_cancelled_when_its_grant_ends() {
    let shop = Shop::new("cancelled");
    let grant = shop.grant("reader");
    let mut alice = shop.alice();
    let slow = "SELECT count(*) FROM generate_series(1, 2000000000) g, shop.orders o WHERE o.id = 1";
    alice.send(&frame::query(slow.as_bytes()));
    std::thread::sleep(Duration::from_millis(500));
    let start = Instant::now();
    shop.proxy.revoke(grant);
    let reply = alice.reply();
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    assert_eq!(reply.error().code(), "42501");
    assert!(reply.error().message().contains(&grant.to_string()), "names the grant: {:?}", reply.error());
    assert!(reply.error().hint().contains("hallpass request"), "{:?}", reply.error());
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn what_was_prepared_under_a_grant_ends_with_it() {
    let shop = Shop::new("prepared");
    let grant = shop.grant("reader");
    let mut alice = shop.alice();
    alice.query(&format!("PREPARE p AS {READ}")).ok();
    alice.send(&[frame::parse("s", READ.as_bytes(), &[]), frame::sync()].concat());
    alice.reply().ok();
    alice.query("BEGIN").ok();
    alice.query("DECLARE c CURSOR FOR SELECT note FROM shop.orders").ok();
    assert_eq!(alice.query("FETCH 1 FROM c").ok().value(), "note 1");
    shop.proxy.revoke(grant);
    assert_eq!(alice.query("FETCH 1 FROM c").error().code(), "42501");
    alice.query("ROLLBACK");
    assert_eq!(alice.query("EXECUTE p").error().code(), "42501");
    alice.send(&[frame::bind("", "s", &[], &[], 0), frame::execute("", 0), frame::sync()].concat());
    assert_eq!(alice.reply().error().code(), "42501");
}

#[test]
fn an_open_transaction_of_an_ended_grant_does_not_commit() {
    let shop = Shop::new("rollback");
    let grant = shop.grant("fixer");
    let mut alice = shop.alice();
    alice.query("BEGIN").ok();
    alice.query("UPDATE shop.orders SET note = 'gone' WHERE id = 3").ok();
    shop.proxy.revoke(grant);
    alice.query("COMMIT");
    wait_for("the row is unlocked", Duration::from_secs(5), || {
        let locks =
            "SELECT count(*) FROM pg_locks WHERE relation = 'shop.orders'::regclass AND mode = 'RowExclusiveLock'";
        (shop.database.value(locks) == "0").then_some(())
    });
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 3"), "note 3");
}

#[test]
fn a_grant_is_for_its_user_only() {
    let shop = Shop::new("only");
    shop.grant("reader");
    let mut bob = shop.proxy.connect("bob", "shop");
    assert_eq!(bob.query(READ).error().code(), "42501");
}

#[test]
fn request_by_is_held() {
    let shop = Shop::new("request_by");
    let refused = shop.proxy.cli(&[
        "request",
        "--user",
        "bob",
        "--role",
        "fixer",
        "--database",
        "shop",
        "--for",
        "1h",
        "--reason",
        "x",
    ]);
    assert!(refused.failed().contains("fixer"));
    let unknown = shop.proxy.cli(&[
        "request",
        "--user",
        "alice",
        "--role",
        "nothing",
        "--database",
        "shop",
        "--for",
        "1h",
        "--reason",
        "x",
    ]);
    assert!(unknown.failed().contains("nothing"));
}

#[test]
fn grants_survive_a_restart() {
    let shop = Shop::new("restart");
    let grant = shop.grant("reader");
    shop.proxy.kill_9();
    shop.proxy.serve();
    assert_eq!(shop.alice().query(READ).ok().value(), "note 1");
    shop.proxy.revoke(grant);
    shop.proxy.stop();
    shop.proxy.serve();
    assert_eq!(shop.alice().query(READ).error().code(), "42501");
}

#[test]
fn the_life_of_a_grant_is_recorded() {
    let shop = Shop::new("grant_audit");
    let grant = shop.grant("reader");
    shop.proxy.revoke(grant);
    shop.proxy.audit().wait("request, approval, start and end", |events| {
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        ["request", "approval", "grant_start", "grant_end"].iter().all(|kind| kinds.contains(kind)).then_some(())
    });
}

#[test]
fn lists_show_requests_and_grants() {
    let shop = Shop::new("lists");
    let request = shop.proxy.request("alice", "reader", "shop", "1h");
    let pending = shop.proxy.cli(&["requests", "--pending"]).ok();
    assert!(pending.contains("alice") && pending.contains("reader"), "{pending}");
    let grant = shop.proxy.approve(request);
    let active = shop.proxy.cli(&["grants"]).ok();
    assert!(active.contains("alice") && active.contains("reader"), "{active}");
    shop.proxy.revoke(grant);
    assert!(!shop.proxy.cli(&["grants"]).ok().contains("reader"), "an ended grant is listed with --all only");
    assert!(shop.proxy.cli(&["grants", "--all"]).ok().contains("reader"));
}
