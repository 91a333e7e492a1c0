//! The server is gone: in-band SQL still works on the open connection, other statements say what is wrong.

use std::time::Duration;

use hallpass_tests::{
    both,
    config::Settings,
    mysql, postgres,
    process::wait_for,
    protocol::{Client as _, Direct as _, Kind, MySql, Postgres, Protocol},
    proxy::{PASSWORD, Proxy},
    shop,
    wire::postgres::{self as wire, frame},
};

use super::{READ, call, number, request};

both!(asking_works_while_the_server_is_down, a_wait_outlives_the_server);

/// A protocol whose server can be stopped.
trait Stoppable: Protocol {
    /// A database on a server that nobody else uses.
    fn alone() -> Self::Database;

    /// Ends that server.
    fn stop(database: &Self::Database);
}

impl Stoppable for Postgres {
    fn alone() -> postgres::Database {
        let server: &'static postgres::Server =
            Box::leak(Box::new(postgres::Server::start(&postgres::Options::default())));
        server.database("alone")
    }

    fn stop(database: &postgres::Database) {
        database.server().process().signal("INT");
        wait_for("Postgres ends", Duration::from_secs(20), || (!database.server().process().alive()).then_some(()));
    }
}

impl Stoppable for MySql {
    fn alone() -> mysql::Database {
        mysql::Database::of(mysql::Server::start(&mysql::Options::default()))
    }

    fn stop(database: &mysql::Database) {
        database.server().process().signal("KILL");
        wait_for("MySQL ends", Duration::from_secs(20), || (!database.server().process().alive()).then_some(()));
    }
}

/// A shop on a server of its own.
fn shop<P: Stoppable>() -> (Proxy, P::Database) {
    let database = P::alone();
    database.run_as_owner(P::SCHEMA);
    let proxy = Proxy::start(Settings::new(vec![P::target("shop", &database)], shop::RULES));
    proxy.user("alice", &["oncall"]);
    proxy.user("bob", &["security"]);
    (proxy, database)
}

#[track_caller]
fn connect<P: Protocol>(proxy: &Proxy, user: &str) -> P::Client {
    P::connect(proxy.port_of("shop"), user, PASSWORD, "shop").unwrap_or_else(|refused| panic!("{refused:?}"))
}

fn a_wait_outlives_the_server<P: Stoppable>() {
    let (proxy, database) = shop::<P>();
    let (mut alice, mut bob) = (connect::<P>(&proxy, "alice"), connect::<P>(&proxy, "bob"));
    assert_eq!(alice.query("SELECT 1").ok().value(), "1");
    let id = request(&mut alice);
    alice.start(&format!("CALL hallpass.wait({id})"));
    P::stop(&database);
    wait_for("the loss is noticed", Duration::from_secs(20), || proxy.log().contains("was lost").then_some(()));
    call(&mut bob, &format!("approve({id})"));
    assert_eq!(alice.answer().ok().value(), id.to_string());
    alice.query(READ).fails(Kind::UpstreamDown);
}

#[test]
fn a_batch_whose_server_is_lost_is_not_said_to_be_done() {
    let (proxy, database) = shop::<Postgres>();
    proxy.grant("alice", "fixer", "shop", "1h");
    let write = "UPDATE shop.orders SET note = 'lost' WHERE id = 1";
    let extended = |sql: &str| {
        [frame::parse("", sql.as_bytes(), &[]), frame::bind("", "", &[], &[], 0), frame::execute("", 0)].concat()
    };
    let (mut plain, mut waiting) = (proxy.connect("alice", "shop"), proxy.connect("alice", "shop"));
    let id = request(&mut waiting);
    plain.send(&[extended(write), frame::flush()].concat());
    waiting.send(&[extended("SELECT 1"), extended(&format!("CALL hallpass.wait({id})"))].concat());
    for client in [&mut plain, &mut waiting] {
        let tag = |client: &mut wire::Client| client.next(Duration::from_secs(20)).expect("an answer").tag;
        while tag(client) != b'C' {}
    }
    Postgres::stop(&database);
    assert_eq!(plain.next(Duration::from_secs(20)).expect("an error").tag, b'E');
    plain.send(&[extended(write), frame::sync()].concat());
    assert_eq!(plain.reply().shape, "Z");
    assert_eq!(plain.query("SELECT user_name FROM hallpass.session").ok().value(), "alice");
    let told = waiting.drain(Duration::from_secs(2));
    assert_eq!((told.error().code(), waiting.is_closed()), ("08006", true), "{told:?}");
}

fn asking_works_while_the_server_is_down<P: Stoppable>() {
    let (proxy, database) = shop::<P>();
    let (mut alice, mut bob) = (connect::<P>(&proxy, "alice"), connect::<P>(&proxy, "bob"));
    let mut idle = connect::<P>(&proxy, "alice");
    assert_eq!(alice.query("SELECT 1").ok().value(), "1");
    alice.start("SELECT user_name FROM hallpass.session");
    assert_eq!(alice.answer().ok().value(), "alice");
    P::stop(&database);
    for client in [&mut alice, &mut idle] {
        client.query("SELECT 1").fails(Kind::UpstreamDown);
        let id = request(client);
        client.query("SELECT 'still here'").fails(Kind::UpstreamDown);
        client.start(&format!("CALL hallpass.wait({id}, '5 min')"));
        call(&mut bob, &format!("approve({id})"));
        let grant = number(&client.answer().ok().rows[0], 2);
        client.query(READ).fails(Kind::UpstreamDown);
        let prepared = format!("SELECT state FROM hallpass.grants WHERE id = {}", P::parameter(1));
        assert_eq!(client.prepared(&prepared, &[&grant.to_string()]).ok().value(), "active");
        let held = client.hold("SELECT count(*) FROM hallpass.requests WHERE state = 'approved'");
        assert_ne!(client.run_held(&held).ok().value(), "0");
        for view in ["roles", "grants", "requests", "masks", "session"] {
            client
                .every_way(&format!("SELECT * FROM hallpass.{view}"))
                .into_iter()
                .for_each(|answer| drop(answer.ok()));
        }
        let one = format!("request_statement('{READ}', '10 min', 'when it is back')");
        let asked = call(client, &one);
        call(client, &format!("cancel({})", number(&asked, 0)));
        call(client, &format!("revoke({grant})"));
        client.prepared(READ, &[]).fails(Kind::Denied);
    }
    // Who comes during the outage asks as well.
    let mut late = connect::<P>(&proxy, "alice");
    let id = request(&mut late);
    call(&mut bob, &format!("approve({id})"));
    late.query(READ).fails(Kind::UpstreamDown);
}
