//! `hallpass sessions` and `hallpass kill`.

use std::time::Duration;

use hallpass_tests::{shop::PostgresShop as Shop, wire::postgres::frame};

#[test]
fn sessions_are_listed_and_can_be_ended() {
    let shop = Shop::new("sessions");
    let mut alice = shop.alice_as("reader");
    let mut other = shop.proxy.connect("bob", "shop");
    alice.query("SELECT id FROM shop.orders LIMIT 1").ok();
    other.query("SELECT 1").ok();
    let listed = shop.proxy.json(&["sessions"]);
    let list = listed.as_array().or_else(|| listed["sessions"].as_array()).expect("a list");
    assert_eq!(list.len(), 2, "{listed}");
    let of_alice = list.iter().find(|session| session.to_string().contains("alice")).expect("alice is listed");
    let id = of_alice["id"].as_str().map_or_else(|| of_alice["id"].to_string(), str::to_owned);
    shop.proxy.cli(&["kill", &id]).ok();
    let reply = alice.drain(Duration::from_secs(5));
    assert!(alice.is_closed());
    assert_eq!(reply.errors.first().map(|error| error.code()), Some("57P01"), "{reply:?}");
    assert_eq!(other.query("SELECT 2").ok().value(), "2");
    shop.proxy.cli(&["kill", &id]).failed();
}

#[test]
fn a_killed_session_stops_at_the_server() {
    let shop = Shop::new("kill_running");
    let mut alice = shop.alice_as("reader");
    alice.send(&frame::query(b"SELECT count(*) FROM generate_series(1, 2900000000)"));
    std::thread::sleep(Duration::from_millis(300));
    let listed = shop.proxy.json(&["sessions"]);
    let session = listed.as_array().or_else(|| listed["sessions"].as_array()).expect("a list")[0].clone();
    let id = session["id"].as_str().map_or_else(|| session["id"].to_string(), str::to_owned);
    shop.proxy.cli(&["kill", &id]).ok();
    hallpass_tests::process::wait_for("the server is done with it", Duration::from_secs(10), || {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%(1, 2900000000)'";
        (shop.database.value(running) == "0").then_some(())
    });
}

#[test]
fn a_stop_tells_the_clients() {
    let shop = Shop::new("drain");
    let mut alice = shop.alice();
    alice.query("SELECT 1").ok();
    shop.proxy.stop();
    let reply = alice.drain(Duration::from_secs(5));
    assert!(alice.is_closed());
    assert_eq!(reply.errors.first().map(|error| error.code()), Some("57P01"), "{reply:?}");
}

#[test]
fn too_many_connections_are_told_so() {
    let shop = Shop::with("many_connections", |settings| settings.server = "max_connections = 3".to_owned());
    let _held: Vec<_> = (0..3).map(|_| shop.alice()).collect();
    let refused = shop.proxy.try_connect("alice", "shop").expect_err("a fourth");
    assert_eq!(refused.error.expect("an error is sent").code(), "53300");
}
