//! KILL by the number that the proxy gave out, in SQL and as a command; Ctrl-C of the `mariadb` program.

use std::time::Duration;

use hallpass_tests::{
    config::Settings,
    mysql::{Database, Options, Server, clients},
    process::wait_for,
    protocol::{Direct as _, MySql, Protocol as _},
    proxy::{PASSWORD, Proxy},
    shop::{self, MySqlShop},
    wire::mysql::{Client, Rows, command},
};

fn running(shop: &MySqlShop) -> Client {
    let mut client = shop.alice();
    client.start(MySql::SLOW.as_bytes());
    wait_for("it runs", Duration::from_secs(30), || shop.database.is_running("orders d").then_some(()));
    client
}

#[test]
fn own_statements_are_killed_by_either_way() {
    let shop = MySqlShop::new("kill_query");
    let mut other = shop.alice_as("reader");
    let mut slow = running(&shop);
    other.query(&format!("KILL QUERY {}", slow.connection())).ok();
    let reply = slow.reply(Rows::Text);
    assert_eq!(reply.error().code, 1317, "{reply:?}");
    assert_eq!(slow.query("SELECT 1").value(), "1", "the session lives");
    // Nothing runs: nothing happens, and the next statement is not hit.
    other.query(&format!("KILL QUERY {}", slow.connection())).ok();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(slow.query("SELECT note FROM shop.orders WHERE id = 1").value(), "note 1");
}

#[test]
fn own_connections_are_killed_by_either_way() {
    let shop = MySqlShop::new("kill_connection");
    let mut other = shop.alice_as("reader");
    for way in 0..3 {
        let mut slow = running(&shop);
        let number = slow.connection();
        let reply = match way {
            0 => other.query(&format!("KILL {number}")),
            1 => other.query(&format!("KILL CONNECTION {number}")),
            _ => other.command(command::PROCESS_KILL, &number.to_le_bytes()),
        };
        reply.ok();
        let reply = slow.reply(Rows::Text);
        assert!(reply.closed || reply.errors.len() == 1, "{reply:?}");
        wait_for("the server's session ends", Duration::from_secs(30), || {
            (!shop.database.is_running("orders d")).then_some(())
        });
        assert!(slow.query("SELECT 1").closed, "way {way}");
    }
    assert_eq!(other.query("SELECT 1").value(), "1");
}

#[test]
fn those_of_others_are_not() {
    let shop = MySqlShop::new("kill_others");
    shop.grant("reader");
    let mut slow = running(&shop);
    let mut bob = shop.connect("bob");
    shop.database.log_statements();
    let number = slow.connection();
    assert_eq!(bob.query(&format!("KILL QUERY {number}")).errors.len(), 1);
    assert_eq!(bob.query(&format!("KILL {number}")).errors.len(), 1);
    assert_eq!(bob.command(command::PROCESS_KILL, &number.to_le_bytes()).errors.len(), 1);
    assert_eq!(bob.query("KILL 4294967295").errors.len(), 1);
    assert_eq!(bob.query("KILL QUERY ID 7").errors.len(), 1);
    assert_eq!(bob.query("KILL USER shop_app").errors.len(), 1);
    // The numbers of the server's own sessions are nobody's, either.
    let own = shop.database.sql("SHOW PROCESSLIST").rows.into_iter().find(|row| row[1].as_deref() == Some("shop_app"));
    let own = own.expect("the proxy's session")[0].clone().expect("a number");
    if own != number.to_string() {
        assert_eq!(bob.query(&format!("KILL {own}")).errors.len(), 1);
        let mut alice = shop.alice();
        assert_eq!(alice.query(&format!("KILL {own}")).errors.len(), 1);
    }
    assert!(shop.database.is_running("orders d"));
    assert!(shop.database.statement_log().iter().all(|text| !text.contains("KILL")));
    let mut alice = shop.alice();
    alice.query(&format!("KILL {number}")).ok();
    assert!(slow.reply(Rows::Text).rows.is_empty());
}

/// A server without a free connection takes no KILL; it is asked again until it does.
#[test]
fn a_full_server_is_asked_again() {
    let server = Server::start(&Options { settings: vec!["max-connections=16".to_owned()], ..Options::default() });
    let database = Database::of(server);
    database.run_as_owner(MySql::SCHEMA);
    let proxy = Proxy::start(Settings::new(vec![MySql::target("shop", &database)], shop::RULES));
    proxy.user("alice", &["oncall"]);
    let grant = proxy.grant("alice", "reader", "shop", "1h");
    let mut alice = MySql::connect(proxy.port_of("shop"), "alice", PASSWORD, "shop").expect("alice may connect");
    alice.start(MySql::SLOW.as_bytes());
    wait_for("it runs", Duration::from_secs(30), || database.is_running("orders d").then_some(()));
    let others: Vec<_> = std::iter::from_fn(|| Client::connect(&database.as_owner()).ok()).take(64).collect();
    assert!(others.len() < 64, "the server is full");
    proxy.revoke(grant);
    std::thread::sleep(Duration::from_millis(500));
    assert!(database.is_running("orders d"), "nobody could be asked to end it");
    drop(others);
    let error = alice.reply(Rows::Text).error().clone();
    assert!(error.code == 1142 && error.message.contains("revoked"), "{error:?}");
    wait_for("the query ends", Duration::from_secs(30), || (!database.is_running("orders d")).then_some(()));
}

#[test]
fn ctrl_c_of_the_mariadb_program_ends_the_query() {
    let shop = MySqlShop::new("ctrl_c");
    shop.grant("reader");
    let script = format!("{}; SELECT 'alive', CONCAT('st', 'ill');", MySql::SLOW);
    let mut child = clients::mariadb_start(&shop.alice_login(), &script);
    wait_for("it runs", Duration::from_secs(30), || shop.database.is_running("orders d").then_some(()));
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    wait_for("the query ends", Duration::from_secs(30), || (!shop.database.is_running("orders d")).then_some(()));
    wait_for("the program ends", Duration::from_secs(30), || child.try_wait().expect("a child"));
}
