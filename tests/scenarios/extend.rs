//! More time for a grant: asked for, approved like the grant itself, and felt on the open connection.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client, Kind, Protocol},
    shop::Shop,
};
use serde_json::Value;

both!(
    an_extension_needs_the_same_approval,
    the_end_moves_under_a_running_statement,
    an_extension_nobody_approves_changes_nothing,
    no_extension_goes_past_the_roles_longest,
);

const READ: &str = "SELECT note FROM shop.orders WHERE id = 1";

/// Asks for more time as the token's user; the request's number.
fn asked<P: Protocol>(shop: &Shop<P>, token: &str, grant: u64, by: &str) -> u64 {
    let told = shop.proxy.cli_as(token, &["extend", &grant.to_string(), "--for", by, "--json"]).ok();
    let made: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("no JSON: {error}: {told}"));
    assert_eq!((&made["state"], made["extends"].as_u64()), (&"pending".into(), Some(grant)), "{made}");
    made["id"].as_u64().unwrap_or_else(|| panic!("no id in {made}"))
}

fn an_extension_needs_the_same_approval<P: Protocol>() {
    let shop = Shop::<P>::new("extend");
    let (alice, bob) = (shop.proxy.token("alice"), shop.proxy.token("bob"));
    let grant = shop.grant("reader");
    let request = asked(&shop, &alice, grant, "30m").to_string();
    let pending = shop.proxy.cli(&["requests", "--pending"]).ok();
    assert!(pending.contains(&format!("grant {grant} longer")) && pending.contains("group:security"), "{pending}");
    let own = shop.proxy.cli_as(&alice, &["approve", &request]).failed();
    assert!(own.contains("nobody may approve their own request"), "{own}");
    let twice = shop.proxy.cli_as(&alice, &["extend", &grant.to_string(), "--for", "1h"]).failed();
    assert!(twice.contains(&format!("hallpass cancel {request}")), "{twice}");
    let not_his = shop.proxy.cli_as(&bob, &["extend", &grant.to_string(), "--for", "1h"]).failed();
    assert!(not_his.contains("not yours to extend"), "{not_his}");

    let ends = || shop.proxy.json(&["grants"])[0]["ends"].as_str().map(str::to_owned);
    let before = ends();
    shop.proxy.cli_as(&bob, &["approve", &request]).ok();
    assert!(ends() > before, "{before:?} is no longer the end");
    shop.proxy.audit().wait("the extension", |events| {
        let found = events.iter().find(|event| event.decision.as_deref() == Some("extend"))?;
        (found.grant_id.map(i64::cast_unsigned) == Some(grant)).then_some(())
    });
}

fn the_end_moves_under_a_running_statement<P: Protocol>() {
    let shop = Shop::<P>::new("extend_busy");
    let token = shop.proxy.token("alice");
    let mut alice = shop.alice();
    let grant = shop.proxy.grant("alice", "reader", "shop", "10s");
    let end = std::time::Instant::now() + Duration::from_secs(11);
    alice.start(P::SLOW);
    shop.proxy.approve(asked(&shop, &token, grant, "1h"));
    std::thread::sleep(end.saturating_duration_since(std::time::Instant::now()));
    shop.proxy.revoke(grant);
    let answer = alice.answer();
    let error = answer.fails(Kind::Denied);
    assert!(error.says(&["revoked"]), "it was no more to end by its time: {error:?}");
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

fn an_extension_nobody_approves_changes_nothing<P: Protocol>() {
    let shop = Shop::<P>::new("extend_lapse");
    let token = shop.proxy.token("alice");
    let mut alice = shop.alice();
    let grant = shop.proxy.grant("alice", "reader", "shop", "8s");
    let request = asked(&shop, &token, grant, "1h");
    is_over(&mut alice);
    wait_for("the request lapses with its grant", Duration::from_secs(30), || {
        let found = shop.proxy.json(&["requests"]);
        let states = found.as_array()?.iter().find(|found| found["id"].as_u64() == Some(request))?;
        (states["state"] == "lapsed").then_some(())
    });
    shop.proxy.cli(&["approve", &request.to_string()]).failed();
    let over = shop.proxy.cli_as(&token, &["extend", &grant.to_string(), "--for", "1h"]).failed();
    assert!(
        over.contains("expired already") && over.contains("hallpass request --role reader --database shop --for 1h"),
        "{over}"
    );
    alice.query(READ).fails(Kind::Denied);
}

fn no_extension_goes_past_the_roles_longest<P: Protocol>() {
    let shop = Shop::<P>::with("extend_most", |settings| {
        settings.rules = settings.rules.replace("max_duration = \"8h\"", "max_duration = \"10s\"");
    });
    let token = shop.proxy.token("alice");
    let mut alice = shop.alice();
    let grant = shop.proxy.grant("alice", "reader", "shop", "10s");
    let longer = shop.proxy.cli_as(&token, &["extend", &grant.to_string(), "--for", "11s"]).failed();
    assert!(longer.contains("at most 10s"), "{longer}");
    shop.proxy.approve(asked(&shop, &token, grant, "10s"));
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    // Ten seconds after the approval, and not twenty after the grant began.
    let request = shop.proxy.json(&["requests"])[0].clone();
    let (approved, ends) = (seconds(&request["approvals"][0]["at"]), seconds(&request["grant"]["ends"]));
    assert_eq!((ends - approved).rem_euclid(60), 10, "{request}");
    is_over(&mut alice);
}

/// The seconds of a time, of 60.
fn seconds(time: &Value) -> i64 {
    let text = time.as_str().expect("a time");
    text.get(17..19).and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no seconds in {text}"))
}

/// The grant that she holds ends by its time.
fn is_over(alice: &mut impl Client) {
    wait_for("the grant ends", Duration::from_secs(60), || {
        let answer = alice.query(READ);
        (!answer.errors.is_empty()).then(|| answer.fails(Kind::Denied).message.clone())
    });
}
