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
    who_comes_while_the_database_is_down_may_ask,
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

/// On call at night: the database does not answer, and the grant to mend it is asked for all the same.
fn who_comes_while_the_database_is_down_may_ask<P: Protocol>() {
    let shop = Shop::<P>::new("down");
    shop.connect("bob").query("SELECT 1").ok();
    let mut port = free_port();
    shop.proxy.reconfigure(|settings| std::mem::swap(&mut settings.targets[0].port, &mut port));
    shop.proxy.signal("HUP");
    wait_for("the database is gone", Duration::from_secs(20), || {
        let answer = shop.connect("bob").query("SELECT 1");
        answer.errors.iter().any(|error| error.is(Kind::UpstreamDown)).then_some(())
    });

    // Another client program, with settings of its own, that nobody has asked the server about.
    let mut alice = shop.alice();
    let asked = alice.query("CALL hallpass.request('reader', '1 hour', 'it is down')").ok();
    let request: u64 = asked.rows[0][0].as_ref().expect("an id").parse().expect("a number");
    shop.proxy.approve(request);
    assert_eq!(alice.query(&format!("SELECT hallpass.wait({request})")).ok().value(), "approved");
    assert_eq!(alice.query("SELECT state FROM hallpass.grants").ok().value(), "active");
    alice.query("SELECT 1").fails(Kind::UpstreamDown);

    shop.proxy.reconfigure(|settings| settings.targets[0].port = port);
    shop.proxy.signal("HUP");
    wait_for("the database is back", Duration::from_secs(20), || {
        alice.query("SELECT 1").errors.is_empty().then_some(())
    });
    alice.query("SELECT id FROM shop.customers ORDER BY id LIMIT 1").ok();
}

#[test]
fn losing_the_server_is_told_and_a_new_session_works_again() {
    let (server, proxy) = behind(&Options::default(), |_| String::new());
    let mut alice = proxy.connect("alice", "shop");
    alice.query("SELECT 1").ok();
    server.process().signal("KILL");
    wait_for("the server is gone", Duration::from_secs(30), || (!server.process().alive()).then_some(()));
    let reply = alice.query("SELECT 1");
    assert!(reply.errors.iter().any(|error| error.code() == "08006"), "{reply:?}");
    assert!(proxy.alive());
}

fn a_lost_server_session_is_told_and_a_new_one_made<P: Protocol>() {
    let shop = Shop::<P>::new("lost");
    let (mut alice, mut other) = (shop.alice_as("reader"), shop.connect("bob"));
    other.query("SELECT 1").ok();
    alice.start(P::SLOW);
    wait_for("it runs", Duration::from_secs(30), || shop.database.is_running(P::SLOW).then_some(()));
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
