//! COM_CHANGE_USER is a login, and COM_RESET_CONNECTION leaves nothing but the login.

use hallpass_tests::{
    protocol::Client as _,
    proxy::PASSWORD,
    shop::MySqlShop,
    wire::mysql::{Startup, Value, command},
};

#[test]
fn the_same_user_begins_anew() {
    let shop = MySqlShop::new("again");
    let mut alice = shop.alice_as("reader");
    alice.query("SET @mine = 5").ok();
    alice.query("SET sql_mode = 'ANSI_QUOTES'").ok();
    let held = alice.prepare("SELECT id FROM shop.orders WHERE id = ?").expect("it prepares");
    alice.execute(&held, &[Value::Int(7)], 0).ok();
    alice.change_user(&shop.alice_login()).expect("the right password");
    assert_eq!(alice.execute(&held, &[Value::Int(7)], 0).error().code, 1243);
    assert_eq!(alice.query("SELECT @mine").rows[0], [None]);
    assert_eq!(alice.query("SELECT \"x\"").value(), "x");
    assert_eq!(alice.query("SELECT email FROM customers WHERE id = 7").ok().rows.len(), 1);
    assert!(!alice.has_received("mail7@"));
    shop.proxy.audit().wait("two sessions of alice", |events| {
        let of = |kind: &str| {
            let found = events.iter().filter(|event| event.kind == kind && event.user.as_deref() == Some("alice"));
            found.filter_map(|event| event.session.clone()).collect::<Vec<_>>()
        };
        let (starts, ends) = (of("session_start"), of("session_end"));
        (starts.len() == 2 && ends.len() == 1 && starts[0] == ends[0] && starts[1] != starts[0]).then_some(())
    });
}

#[test]
fn another_user_has_another_users_grants() {
    let shop = MySqlShop::new("other_user");
    let mut client = shop.alice_as("reader");
    client.query("SELECT name FROM shop.customers WHERE id = 7").ok();
    let bob = shop.proxy.mysql_startup("bob", "shop");
    client.change_user(&bob).expect("the right password");
    assert_eq!(client.query("SELECT name FROM shop.customers WHERE id = 7").error().code, 1142);
    assert_eq!(client.query("SELECT 1").value(), "1");
    client.change_user(&shop.alice_login()).expect("the right password");
    client.query("SELECT name FROM shop.customers WHERE id = 7").ok();
}

#[test]
fn a_wrong_password_ends_the_connection() {
    let shop = MySqlShop::new("wrong_again");
    for (user, password) in [("alice", "wrong"), ("nobody", PASSWORD), ("", "")] {
        let mut alice = shop.alice_as("reader");
        alice.query("SELECT 1").ok();
        let wrong = Startup { user: user.to_owned(), password: password.to_owned(), ..shop.alice_login() };
        let refused = alice.change_user(&wrong).expect_err("it is refused");
        assert_eq!(refused.error.expect("an error").code, 1045, "{user}");
        assert!(alice.query("SELECT 1").closed, "{user}");
    }
    shop.proxy.audit().wait("failed logins", |events| {
        (events.iter().filter(|event| event.kind == "login_failed").count() >= 3).then_some(())
    });
}

#[test]
fn an_open_transaction_ends_with_the_old_session() {
    let shop = MySqlShop::new("again_tx");
    let mut alice = shop.alice_as("fixer");
    alice.query("BEGIN").ok();
    alice.query("UPDATE shop.orders SET note = 'gone' WHERE id = 7").ok();
    alice.change_user(&shop.alice_login()).expect("the right password");
    let reply = alice.query("SELECT note FROM shop.orders WHERE id = 7").ok();
    assert_eq!((reply.value().as_str(), reply.status() & 1), ("note 7", 0));
}

#[test]
fn a_reset_leaves_the_login() {
    let shop = MySqlShop::new("reset");
    let mut alice = shop.alice_as("reader");
    alice.command(command::RESET_CONNECTION, b"").ok();
    let held = alice.prepare("SELECT id FROM orders WHERE id = ?").expect("it prepares");
    alice.query("SET @mine = 5, sql_mode = 'ANSI_QUOTES'").ok();
    alice.query("PREPARE p FROM 'SELECT 1'").ok();
    alice.query("SET NAMES latin1").ok();
    alice.command(command::RESET_CONNECTION, b"").ok();
    assert_eq!(alice.execute(&held, &[Value::Int(7)], 0).error().code, 1243);
    assert_eq!(alice.query("EXECUTE p").error().code, 1243);
    assert_eq!(alice.query("SELECT @mine").rows[0], [None]);
    assert_eq!(alice.query("SELECT \"ü\"").value(), "ü");
    assert_eq!(alice.query("SELECT DATABASE()").value(), "shop");
    for (name, value) in [("sql_mode", "SELECT @@GLOBAL.sql_mode"), ("autocommit", "SELECT 1")] {
        let now = alice.query(&format!("SELECT @@{name}")).value();
        assert_eq!(now, shop.database.value(value), "{name}");
    }
    alice.query("UPDATE orders SET note = 'x' WHERE id = 1");
    alice.query("SELECT shop.touch(1)");
    alice.run_prepared("SELECT shop.touch(?)", &[Value::Int(1)]);
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "note 1", "the fence stands again");
}

#[test]
fn a_reset_ends_a_transaction() {
    let shop = MySqlShop::new("reset_tx");
    let mut alice = shop.alice_as("fixer");
    alice.query("SET autocommit = 0").ok();
    alice.query("UPDATE shop.orders SET note = 'gone' WHERE id = 7").ok();
    alice.command(command::RESET_CONNECTION, b"").ok();
    assert_eq!(alice.query("SELECT note FROM shop.orders WHERE id = 7").value(), "note 7");
    alice.query("UPDATE shop.orders SET note = 'stays' WHERE id = 7").ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 7"), "stays");
}
