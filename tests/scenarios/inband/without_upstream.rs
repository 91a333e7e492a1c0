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
};

use super::{READ, call, number, request};

both!(asking_works_while_the_server_is_down);

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

fn asking_works_while_the_server_is_down<P: Stoppable>() {
    let database = P::alone();
    database.run_as_owner(P::SCHEMA);
    let proxy = Proxy::start(Settings::new(vec![P::target("shop", &database)], shop::RULES));
    proxy.user("alice", &["oncall"]);
    proxy.user("bob", &["security"]);
    let connect = |user: &str| {
        P::connect(proxy.port_of("shop"), user, PASSWORD, "shop").unwrap_or_else(|refused| panic!("{refused:?}"))
    };
    let (mut alice, mut bob, mut idle) = (connect("alice"), connect("bob"), connect("alice"));
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
}
