//! `hallpass sessions` and `hallpass kill`.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client as _, Direct as _, Kind, MySql, Postgres, Protocol},
    proxy::PASSWORD,
    shop::Shop,
    wire,
};

both!(
    sessions_are_listed_and_can_be_ended,
    a_killed_session_stops_at_the_server,
    a_stop_tells_the_clients,
    too_many_connections_are_told_so,
);

fn sessions_are_listed_and_can_be_ended<P: Protocol>() {
    let shop = Shop::<P>::new("sessions");
    let mut alice = shop.alice_as("reader");
    let mut other = shop.connect("bob");
    alice.query("SELECT id FROM shop.orders LIMIT 1").ok();
    other.query("SELECT 1").ok();
    let listed = shop.proxy.json(&["sessions"]);
    let list = listed.as_array().or_else(|| listed["sessions"].as_array()).expect("a list");
    assert_eq!(list.len(), 2, "{listed}");
    let of_alice = list.iter().find(|session| session.to_string().contains("alice")).expect("alice is listed");
    let id = of_alice["id"].as_str().map_or_else(|| of_alice["id"].to_string(), str::to_owned);
    shop.proxy.cli(&["kill", &id]).ok();
    let told = alice.listen(Duration::from_secs(5));
    assert!(alice.is_closed());
    told.fails(Kind::Killed);
    assert_eq!(other.query("SELECT 2").ok().value(), "2");
    shop.proxy.cli(&["kill", &id]).failed();
}

fn a_killed_session_stops_at_the_server<P: Protocol>() {
    let shop = Shop::<P>::new("kill_running");
    let mut alice = shop.alice_as("reader");
    alice.start(P::SLOW);
    wait_for("it runs", Duration::from_secs(30), || shop.database.is_running(P::SLOW).then_some(()));
    let listed = shop.proxy.json(&["sessions"]);
    let session = listed.as_array().or_else(|| listed["sessions"].as_array()).expect("a list")[0].clone();
    let id = session["id"].as_str().map_or_else(|| session["id"].to_string(), str::to_owned);
    shop.proxy.cli(&["kill", &id]).ok();
    wait_for("the server is done with it", Duration::from_secs(30), || {
        (!shop.database.is_running(P::SLOW)).then_some(())
    });
}

#[test]
fn an_open_transaction_goes_with_its_client() {
    goes_with_its_client::<Postgres>(wire::postgres::Client::terminate);
}

#[test]
fn an_open_transaction_goes_with_its_client_mysql() {
    goes_with_its_client::<MySql>(wire::mysql::Client::terminate);
}

/// A client that says goodbye in a transaction takes its locks with it, as it does on the server.
fn goes_with_its_client<P: Protocol>(say_goodbye: impl FnOnce(P::Client)) {
    let shop = Shop::<P>::new("left_open");
    let mut alice = shop.alice_as("fixer");
    alice.query("BEGIN").ok();
    alice.query("UPDATE shop.orders SET note = 'left' WHERE id = 1").ok();
    say_goodbye(alice);
    ended(&shop);
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "note 1");
}

fn ended<P: Protocol>(shop: &Shop<P>) {
    wait_for("the session is over", Duration::from_secs(20), || {
        let listed = shop.proxy.json(&["sessions"]);
        listed.as_array().or_else(|| listed["sessions"].as_array()).is_some_and(Vec::is_empty).then_some(())
    });
}

fn a_stop_tells_the_clients<P: Protocol>() {
    let shop = Shop::<P>::new("drain");
    let mut alice = shop.alice();
    alice.query("SELECT 1").ok();
    shop.proxy.stop();
    let told = alice.listen(Duration::from_secs(5));
    assert!(alice.is_closed());
    told.fails(Kind::Draining);
}

fn too_many_connections_are_told_so<P: Protocol>() {
    let shop = Shop::<P>::with("many_connections", |settings| settings.server = "max_connections = 3".to_owned());
    let _held: Vec<_> = (0..3).map(|_| shop.alice()).collect();
    let refused = shop.log_in("alice", PASSWORD, "shop").expect_err("a fourth").expect("an error is sent");
    assert!(refused.is(Kind::TooMany), "{refused:?}");
}
