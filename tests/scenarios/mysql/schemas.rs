//! Several schemas behind one target: names without a schema are those of the session's own.

use std::time::Duration;

use hallpass_tests::{
    process::wait_for,
    shop::MySqlShop,
    wire::mysql::{Client, Reply},
};

const SECOND: &str = "CREATE DATABASE second; GRANT ALL ON second.* TO 'shop_app'@'%'; \
    CREATE TABLE second.customers (id int, email varchar(80)); INSERT INTO second.customers VALUES (7, 'second7@example.test')";

fn shop(name: &str) -> MySqlShop {
    MySqlShop::after(SECOND, name, |_| {})
}

#[test]
fn a_login_may_name_the_schema() {
    let shop = shop("login_schema");
    shop.grant("owner");
    let mut startup = shop.alice_login();
    startup.database = "second".to_owned();
    match Client::connect(&startup) {
        Ok(mut alice) => {
            assert_eq!(alice.query("SELECT DATABASE()").value(), "second");
            assert_eq!(alice.query("SELECT email FROM customers").value(), "second7@example.test");
        }
        Err(refused) => assert_eq!(refused.error.expect("an error").code, 1049),
    }
    startup.database = "nowhere".to_owned();
    let refused = Client::connect(&startup);
    match refused {
        Ok(mut alice) => assert_eq!(alice.query("SELECT 1").error().code, 1049),
        Err(refused) => assert_eq!(refused.error.expect("an error").code, 1049),
    }
    startup.database = String::new();
    let mut alice = Client::connect(&startup).expect("none is named");
    assert_eq!(alice.query("SELECT DATABASE()").value(), "shop", "the target's own");
}

#[test]
fn masks_follow_the_schema() {
    let shop = shop("masks_schema");
    let mut alice = shop.alice_as("owner");
    assert!(alice.query("SELECT email FROM customers WHERE id = 7").errors.is_empty());
    alice.query("USE second").ok();
    assert_eq!(alice.query("SELECT email FROM customers WHERE id = 7").value(), "second7@example.test");
    let held = alice.prepare("SELECT email FROM customers WHERE id = 7").expect("it prepares");
    alice.query("USE shop").ok();
    assert_eq!(alice.execute(&held, &[], 0).value(), "second7@example.test", "prepared under the other schema");
    alice.query("SELECT email FROM customers WHERE id = 7").ok();
    // By somebody else, behind our back: the same name now is a view of what is masked.
    shop.database
        .sql("DROP TABLE second.customers; CREATE VIEW second.customers AS SELECT id, email FROM shop.customers");
    // MySQL's own descriptions do not tell a view from a table: names are looked at again after a while.
    let masked = |reply: Reply| (!reply.errors.is_empty() || !reply.value().contains("mail7")).then_some(());
    wait_for("the view is known", Duration::from_secs(20), || {
        masked(alice.query("SELECT email FROM second.customers WHERE id = 7"))
    });
    for _ in 0..3 {
        assert!(masked(alice.execute(&held, &[], 0)).is_some());
        assert!(masked(alice.query("SELECT email FROM second.customers WHERE id = 7").ok()).is_some());
    }
}

#[test]
fn dropping_the_schema_leaves_none() {
    let shop = shop("dropped_schema");
    let mut alice = shop.alice_as("owner");
    alice.query("USE second").ok();
    alice.query("DROP DATABASE second").ok();
    let reply = alice.query("SELECT id FROM customers");
    assert!([1046, 1146, 1049].contains(&reply.error().code), "{reply:?}");
    assert_eq!(alice.query("SELECT count(*) FROM shop.customers").value(), "50");
}
