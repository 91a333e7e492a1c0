//! From request to revocation on one open connection.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client as _, Direct as _, Kind, Postgres, Protocol},
    shop::{PostgresShop, Shop},
    wire::postgres::frame,
};

both!(
    a_grant_works_on_the_open_connection_and_ends_on_it,
    a_rejected_request_gives_nothing,
    a_grant_expires_by_itself,
    a_request_that_nobody_decides_lapses,
    a_running_statement_is_cancelled_when_its_grant_ends,
    a_prepared_statement_that_runs_is_cancelled_too,
    what_was_prepared_under_a_grant_ends_with_it,
    an_open_transaction_of_an_ended_grant_does_not_commit,
    no_savepoint_revives_the_transaction_of_an_ended_grant,
    a_grant_is_for_its_user_only,
    request_by_is_held,
    grants_survive_a_restart,
    the_life_of_a_grant_is_recorded,
    lists_show_requests_and_grants,
);

const READ: &str = "SELECT note FROM shop.orders WHERE id = 1";

fn a_grant_works_on_the_open_connection_and_ends_on_it<P: Protocol>() {
    let shop = Shop::<P>::new("grant");
    let mut alice = shop.alice();
    alice.query(READ).fails(Kind::Denied);
    let request = shop.proxy.request("alice", "reader", "shop", "1h");
    alice.query(READ).fails(Kind::Denied);
    let grant = shop.proxy.approve(request);
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    shop.proxy.revoke(grant);
    alice.query(READ).fails(Kind::Denied);
    assert_eq!(alice.query("SELECT 1").value(), "1", "the session lives on with what is left");
}

fn a_rejected_request_gives_nothing<P: Protocol>() {
    let shop = Shop::<P>::new("reject");
    let request = shop.proxy.request("alice", "reader", "shop", "1h");
    shop.proxy.cli(&["reject", &request.to_string(), "--comment", "not today"]).ok();
    shop.proxy.cli(&["approve", &request.to_string()]).failed();
    shop.alice().query(READ).fails(Kind::Denied);
}

fn a_grant_expires_by_itself<P: Protocol>() {
    let shop = Shop::<P>::new("expire");
    let mut alice = shop.alice();
    shop.proxy.grant("alice", "reader", "shop", "8s");
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    wait_for("the grant ends", Duration::from_secs(60), || {
        let answer = alice.query(READ);
        (!answer.errors.is_empty()).then(|| answer.fails(Kind::Denied).message.clone())
    });
}

fn a_request_that_nobody_decides_lapses<P: Protocol>() {
    let shop = Shop::<P>::with("lapse", |settings| settings.server = "request_timeout = \"1s\"".to_owned());
    let request = shop.proxy.request("alice", "reader", "shop", "1h");
    wait_for("the request lapses", Duration::from_secs(30), || {
        let found = shop.proxy.json(&["requests"]);
        (found[0]["state"] == "lapsed").then_some(())
    });
    let told = shop.proxy.cli(&["approve", &request.to_string()]).failed();
    assert!(told.contains("lapsed"), "{told}");
    shop.alice().query(READ).fails(Kind::Denied);
}

fn a_running_statement_is_cancelled_when_its_grant_ends<P: Protocol>() {
    let shop = Shop::<P>::new("cancelled");
    let grant = shop.grant("reader");
    let mut alice = shop.alice();
    alice.start(P::SLOW);
    wait_for("it runs", Duration::from_secs(30), || shop.database.is_running(P::SLOW).then_some(()));
    shop.proxy.revoke(grant);
    let answer = alice.answer();
    let error = answer.fails(Kind::Denied);
    assert!(error.message.contains(&grant.to_string()), "names the grant: {error:?}");
    assert!(error.hint.contains("CALL hallpass.request('reader'"), "{error:?}");
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

fn what_was_prepared_under_a_grant_ends_with_it<P: Protocol>() {
    let shop = Shop::<P>::new("held");
    let grant = shop.grant("reader");
    let mut alice = shop.alice();
    alice.query(&P::pick(format!("PREPARE p AS {READ}"), format!("PREPARE p FROM '{READ}'"))).ok();
    let held = alice.hold(READ);
    assert_eq!(alice.query("EXECUTE p").ok().value(), "note 1");
    assert_eq!(alice.run_held(&held).ok().value(), "note 1");
    shop.proxy.revoke(grant);
    alice.query("EXECUTE p").fails(Kind::Denied);
    alice.run_held(&held).fails(Kind::Denied);
}

#[test]
fn what_was_prepared_or_opened_in_postgres_ends_with_its_grant() {
    let shop = PostgresShop::new("prepared");
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

fn an_open_transaction_of_an_ended_grant_does_not_commit<P: Protocol>() {
    let shop = Shop::<P>::new("rollback");
    let grant = shop.grant("fixer");
    let mut alice = shop.alice();
    alice.query("BEGIN").ok();
    alice.query("UPDATE shop.orders SET note = 'gone' WHERE id = 3").ok();
    shop.proxy.revoke(grant);
    alice.query("COMMIT");
    wait_for("the row is unlocked", Duration::from_secs(30), || {
        (!shop.database.is_locked("shop.orders")).then_some(())
    });
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 3"), "note 3");
}

fn no_savepoint_revives_the_transaction_of_an_ended_grant<P: Protocol>() {
    let shop = Shop::<P>::new("savepoint");
    // The transaction has failed before the grant ends, or because of that.
    for fails in [false, true] {
        let grant = shop.grant("fixer");
        let mut alice = shop.alice();
        for sql in ["BEGIN", "UPDATE shop.orders SET note = 'gone' WHERE id = 3", "SAVEPOINT s"] {
            alice.query(sql).ok();
        }
        if fails {
            alice.query("INSERT INTO shop.orders (id) VALUES (1)").fails(Kind::Duplicate);
        }
        shop.proxy.revoke(grant);
        wait_for("the end of the grant", Duration::from_secs(30), || {
            let listed = shop.proxy.json(&["grants"]);
            listed.as_array().is_some_and(Vec::is_empty).then_some(())
        });
        alice.query("ROLLBACK TO SAVEPOINT s").fails(Kind::Denied);
        alice.query("COMMIT");
        drop(alice);
        wait_for("the row is unlocked", Duration::from_secs(30), || {
            (!shop.database.is_locked("shop.orders")).then_some(())
        });
        assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 3"), "note 3");
    }
}

/// What is still to be kept when the grant ends is lost, whatever runs or waits then: another statement of the
/// transaction, a batch without its Sync, a transaction in such a batch.
#[test]
fn what_is_not_kept_yet_is_lost_with_its_grant() {
    let shop = PostgresShop::new("not_kept");
    shop.grant("reader");
    let run =
        |sql: &[u8]| [frame::parse("", sql, &[]), frame::bind("", "", &[], &[], 0), frame::execute("", 0)].concat();
    let update = b"UPDATE shop.orders SET note = 'gone' WHERE id = 3";
    let scripts = [
        [frame::query(b"BEGIN"), frame::query(update), frame::query(Postgres::SLOW.as_bytes())].concat(),
        [run(update), frame::flush()].concat(),
        [run(b"BEGIN"), run(update), frame::flush()].concat(),
    ];
    for (at, script) in scripts.iter().enumerate() {
        let grant = shop.grant("fixer");
        let mut alice = shop.alice();
        alice.send(script);
        wait_for("the row is changed", Duration::from_secs(30), || {
            shop.database.is_locked("shop.orders").then_some(())
        });
        if at == 0 {
            wait_for("the other one runs", Duration::from_secs(30), || {
                shop.database.is_running("generate_series").then_some(())
            });
        }
        shop.proxy.revoke(grant);
        wait_for("the row is unlocked", Duration::from_secs(30), || {
            (!shop.database.is_locked("shop.orders")).then_some(())
        });
        alice.send(&[frame::sync(), frame::query(b"COMMIT")].concat());
        let replies: Vec<_> = (0..if at == 0 { 5 } else { 2 }).map(|_| alice.reply()).collect();
        let mut errors = replies.iter().flat_map(|reply| &reply.errors);
        assert!(errors.any(|error| error.message().contains("was revoked")), "{replies:?}");
        assert_eq!(alice.query("SELECT 1").value(), "1");
        assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 3"), "note 3");
    }
}

fn a_grant_is_for_its_user_only<P: Protocol>() {
    let shop = Shop::<P>::new("only");
    shop.grant("reader");
    let mut bob = shop.connect("bob");
    bob.query(READ).fails(Kind::Denied);
}

fn request_by_is_held<P: Protocol>() {
    let shop = Shop::<P>::new("request_by");
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

fn grants_survive_a_restart<P: Protocol>() {
    let shop = Shop::<P>::new("restart");
    let grant = shop.grant("reader");
    shop.proxy.kill_9();
    shop.proxy.serve();
    assert_eq!(shop.alice().query(READ).ok().value(), "note 1");
    shop.proxy.revoke(grant);
    shop.proxy.stop();
    shop.proxy.serve();
    shop.alice().query(READ).fails(Kind::Denied);
}

fn the_life_of_a_grant_is_recorded<P: Protocol>() {
    let shop = Shop::<P>::new("grant_audit");
    let grant = shop.grant("reader");
    shop.proxy.revoke(grant);
    shop.proxy.audit().wait("request, approval, start and end", |events| {
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        ["request", "approval", "grant_start", "grant_end"].iter().all(|kind| kinds.contains(kind)).then_some(())
    });
}

fn lists_show_requests_and_grants<P: Protocol>() {
    let shop = Shop::<P>::new("lists");
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

/// A server answers Parse and Bind when it is over with Execute: what runs is found all the same.
fn a_prepared_statement_that_runs_is_cancelled_too<P: Protocol>() {
    let shop = Shop::<P>::new("cancelled_prepared");
    let grant = shop.grant("reader");
    let mut alice = shop.alice();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| alice.prepared(P::SLOW, &[]));
        wait_for("it runs", Duration::from_secs(30), || shop.database.is_running("shop.orders o").then_some(()));
        shop.proxy.revoke(grant);
        let answer = running.join().expect("an answer");
        let error = answer.fails(Kind::Denied);
        // Its Parse may be what was seen to run: then the Execute is denied, which says so in its detail.
        assert!(error.words().contains("was revoked"), "{error:?}");
        let gone = || (!shop.database.is_running("shop.orders o")).then_some(());
        wait_for("the server is over with it", Duration::from_secs(30), gone);
    });
    assert_eq!(alice.query("SELECT 1").value(), "1");
}
