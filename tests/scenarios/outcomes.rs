//! A session that ends in the middle of a statement: the audit says so, and nothing stays in progress.

use std::time::Duration;

use hallpass_tests::{
    audit::Event,
    both,
    process::wait_for,
    protocol::{Client as _, Direct as _, Protocol},
    proxy::PASSWORD,
    shop::Shop,
};

both!(
    a_client_that_leaves,
    an_administrator_who_kills,
    a_user_who_is_disabled,
    an_account_that_expires,
    a_proxy_that_stops,
    a_question_to_the_proxy_that_nobody_waits_for,
);

const SECONDS: Duration = Duration::from_secs(10);

fn a_client_that_leaves<P: Protocol>() {
    let shop = Shop::<P>::new("left");
    let mut alice = shop.alice_as("reader");
    starts(&shop, &mut alice, P::SLOW);
    drop(alice);
    ended_by(&shop, P::SLOW, "the client left", "08006");
}

fn an_administrator_who_kills<P: Protocol>() {
    let shop = Shop::<P>::new("killed");
    let mut alice = shop.alice_as("reader");
    starts(&shop, &mut alice, P::SLOW);
    let id = shop.proxy.json(&["sessions"])[0]["id"].as_str().expect("a session").to_owned();
    shop.proxy.cli(&["kill", &id]).ok();
    ended_by(&shop, P::SLOW, "ended by an administrator", "57P01");
}

fn a_user_who_is_disabled<P: Protocol>() {
    let shop = Shop::<P>::new("disabled");
    let mut alice = shop.alice_as("reader");
    starts(&shop, &mut alice, P::SLOW);
    shop.proxy.cli(&["user", "disable", "alice"]).ok();
    ended_with_the_grant(&shop, "57P01");
}

fn an_account_that_expires<P: Protocol>() {
    let shop = Shop::<P>::new("expired");
    let add = ["user", "add", "dora", "--password-stdin", "--expires", "20s"];
    shop.proxy.cli_with_input(&add, &format!("{PASSWORD}\n")).ok();
    shop.proxy.grant("dora", "reader", "shop", "1h");
    let mut dora = shop.connect("dora");
    starts(&shop, &mut dora, P::SLOW);
    wait_for("the account ends", Duration::from_secs(60), || {
        let users = shop.proxy.cli(&["user", "list"]).ok();
        users.lines().any(|line| line.starts_with("dora") && line.contains("expired")).then_some(())
    });
    ended_with_the_grant(&shop, "28000");
}

fn a_proxy_that_stops<P: Protocol>() {
    let shop = Shop::<P>::new("stopped");
    let mut alice = shop.alice_as("reader");
    starts(&shop, &mut alice, P::SLOW);
    // The first signal lets statements run on for a while, the second does not.
    shop.proxy.signal("TERM");
    wait_for("it stops", SECONDS, || shop.proxy.log().contains("stopping").then_some(()));
    shop.proxy.stop();
    ended_by(&shop, P::SLOW, "the proxy shut down", "57P01");
}

fn a_question_to_the_proxy_that_nobody_waits_for<P: Protocol>() {
    let shop = Shop::<P>::new("unasked");
    let request = shop.proxy.request("alice", "reader", "shop", "1h");
    let mut alice = shop.alice();
    let question = format!("CALL hallpass.wait({request}, '1 hour')");
    alice.start(&question);
    shop.proxy.audit().wait_for("attempt", &question);
    drop(alice);
    ended_by(&shop, &question, "the client left", "08006");
}

fn starts<P: Protocol>(shop: &Shop<P>, client: &mut P::Client, sql: &str) {
    client.start(sql);
    wait_for("it runs", SECONDS, || shop.database.is_running(sql).then_some(()));
}

#[track_caller]
fn ended_by<P: Protocol>(shop: &Shop<P>, sql: &str, reason: &str, code: &str) {
    let outcome = outcome(shop, sql);
    assert_eq!((outcome.reason.as_deref(), outcome.error_code.as_deref()), (Some(reason), Some(code)));
    nothing_in_progress(shop);
}

/// A grant ends with its user; whichever is felt first is the reason.
#[track_caller]
fn ended_with_the_grant<P: Protocol>(shop: &Shop<P>, code: &str) {
    let outcome = outcome(shop, P::SLOW);
    let told = outcome.error_code.as_deref();
    assert!(outcome.reason.is_some() && (told == Some(code) || told == Some("42501")), "{outcome:?}");
    nothing_in_progress(shop);
}

#[track_caller]
fn outcome<P: Protocol>(shop: &Shop<P>, sql: &str) -> Event {
    shop.proxy.audit().wait_for_outcome(sql).1
}

#[track_caller]
fn nothing_in_progress<P: Protocol>(shop: &Shop<P>) {
    let told = shop.proxy.cli(&["audit", "verify"]).ok();
    assert!(told.contains("intact") && !told.contains("in progress"), "{told}");
}
