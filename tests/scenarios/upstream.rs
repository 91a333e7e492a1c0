//! Towards the server: its ways to log in, TLS, its loss, and what a client hears of it.

use std::time::Duration;

use hallpass_tests::{
    both,
    config::{Settings, Target},
    postgres::{Auth, Options, Server},
    process::{free_port, wait_for},
    protocol::{Client as _, Direct as _, Kind, Protocol},
    proxy::{PASSWORD, Proxy},
    shop::{PostgresShop, Shop},
    tls::{self, Authority},
};

both!(
    a_server_that_is_not_there_is_an_error_not_a_hang,
    a_lost_server_session_is_told_and_a_new_one_made,
    the_upstream_connection_is_made_when_it_is_needed,
);

/// A proxy in front of a server of its own; the server lives as long as the test process.
fn behind(options: &Options, more: impl FnOnce(&Proxy) -> String) -> (&'static Server, Proxy) {
    let server: &'static Server = Box::leak(Box::new(Server::start(options)));
    let database = server.database("upstream");
    let proxy = Proxy::prepare(Settings::new(vec![Target::new("shop", &database)], ""));
    let more = more(&proxy);
    proxy.reconfigure(|settings| settings.targets[0].more = more);
    proxy.serve();
    proxy.user("alice", &[]);
    (server, proxy)
}

#[test]
fn all_ways_to_log_in() {
    for auth in [Auth::Trust, Auth::Password, Auth::Md5, Auth::Scram] {
        let (server, proxy) = behind(&Options { auth, ..Options::default() }, |_| String::new());
        assert_eq!(proxy.connect("alice", "shop").query("SELECT 1").ok().value(), "1", "{auth:?}");
        server.process().signal("INT");
    }
}

#[test]
fn tls_is_verified() {
    let authority = Authority::new("hallpass test root");
    let options = Options { tls: Some(authority.clone()), ..Options::default() };
    let (server, proxy) = behind(&options, |proxy| {
        tls::write(proxy.path("proxy.toml").parent().expect("a folder"), "ca.pem", authority.pem());
        format!("tls = {{ mode = \"verify-full\", ca = \"{}\" }}", proxy.path("ca.pem").display())
    });
    assert_eq!(
        proxy.connect("alice", "shop").query("SELECT ssl FROM pg_stat_ssl").errors.len(),
        1,
        "not for everybody"
    );
    assert_eq!(proxy.connect("alice", "shop").query("SELECT 1").ok().value(), "1");
    let other = Authority::new("another root");
    tls::write(proxy.path("proxy.toml").parent().expect("a folder"), "other.pem", other.pem());
    proxy.stop();
    let path = proxy.path("other.pem");
    proxy.reconfigure(|settings| {
        settings.targets[0].more = format!("tls = {{ mode = \"verify-full\", ca = \"{}\" }}", path.display());
    });
    proxy.serve();
    let refused = proxy.try_connect("alice", "shop");
    let error = match refused {
        Ok(mut client) => client.query("SELECT 1").error().clone(),
        Err(refused) => refused.error.expect("an error is sent"),
    };
    assert_eq!(error.code(), "08006", "{error:?}");
    proxy.stop();
    proxy.reconfigure(|settings| settings.targets[0].more = "tls = { mode = \"require\" }".to_owned());
    proxy.serve();
    assert_eq!(proxy.connect("alice", "shop").query("SELECT 1").ok().value(), "1");
    server.process().signal("INT");
}

fn a_server_that_is_not_there_is_an_error_not_a_hang<P: Protocol>() {
    let shop = Shop::<P>::with("absent", |settings| settings.targets[0].port = free_port());
    let error = match shop.log_in("alice", PASSWORD, "shop") {
        Ok(mut client) => client.query("SELECT 1").error().clone(),
        Err(refused) => *refused.expect("an error is sent"),
    };
    assert!(error.is(Kind::UpstreamDown), "{error:?}");
    let told = format!("{error:?}");
    assert!(!told.contains("app-secret") && !told.contains("_app"), "nothing of our credentials: {told}");
}

#[test]
fn losing_the_server_is_told_and_a_new_session_works_again() {
    let (server, proxy) = behind(&Options::default(), |_| String::new());
    let mut alice = proxy.connect("alice", "shop");
    alice.query("SELECT 1").ok();
    server.process().signal("KILL");
    wait_for("the server is gone", Duration::from_secs(10), || (!server.process().alive()).then_some(()));
    let reply = alice.query("SELECT 1");
    assert!(reply.errors.iter().any(|error| error.code() == "08006"), "{reply:?}");
    assert!(proxy.alive());
}

fn a_lost_server_session_is_told_and_a_new_one_made<P: Protocol>() {
    let shop = Shop::<P>::new("lost");
    let (mut alice, mut other) = (shop.alice_as("reader"), shop.connect("bob"));
    other.query("SELECT 1").ok();
    alice.start(P::SLOW);
    wait_for("it runs", Duration::from_secs(10), || shop.database.is_running(P::SLOW).then_some(()));
    shop.database.end_session(P::SLOW);
    alice.answer().fails(Kind::UpstreamDown);
    assert_eq!(alice.query("SELECT 3").ok().value(), "3");
    assert_eq!(other.query("SELECT 2").ok().value(), "2");
}

#[test]
fn losing_one_session_hits_that_session_only() {
    let shop = PostgresShop::new("terminated");
    let (mut alice, mut other) = (shop.alice_as("owner"), shop.alice());
    let pid = alice.query("SELECT pg_backend_pid()").ok().value();
    other.query("SELECT 1").ok();
    shop.database.sql(&format!("SELECT pg_terminate_backend({pid})"));
    let reply = alice.query("SELECT 1");
    // Told if it was waited for; a session that held nothing and waited for nothing gets a new one.
    assert!(reply.errors.iter().all(|error| error.code() == "08006"), "{reply:?}");
    assert!(!reply.errors.is_empty() || reply.value() == "1", "{reply:?}");
    assert_eq!(alice.query("SELECT 3").ok().value(), "3");
    assert_eq!(other.query("SELECT 2").ok().value(), "2");
}

fn the_upstream_connection_is_made_when_it_is_needed<P: Protocol>() {
    let shop = Shop::<P>::new("lazy");
    let count = || shop.database.connections();
    let before = count();
    let clients: Vec<_> = (0..5).map(|_| shop.alice()).collect();
    // One for the names and one for the server's parameters, but none for each client.
    assert!(count() <= before + 2, "{} connections for five idle clients", count());
    drop(clients);
}
