//! LISTEN and NOTIFY: notifications come while nothing runs.

use std::time::Duration;

use hallpass_tests::{process::wait_for, shop::PostgresShop as Shop};

#[test]
fn notifications_reach_an_idle_client() {
    let shop = Shop::new("notify");
    let mut alice = shop.alice_as("owner");
    alice.query("LISTEN orders").ok();
    shop.database.sql("NOTIFY orders, 'order 7 shipped'");
    let reply = alice.drain(Duration::from_secs(2));
    assert_eq!(reply.notifications, [("orders".to_owned(), "order 7 shipped".to_owned())]);
    alice.query("UNLISTEN *").ok();
    shop.database.sql("NOTIFY orders, 'again'");
    assert_eq!(alice.drain(Duration::from_millis(500)).notifications, []);
}

#[test]
fn what_others_send_along_is_left_out_where_columns_are_masked() {
    let shop = Shop::new("notify_masked");
    let mut alice = shop.alice_as("reader");
    alice.query("LISTEN orders").ok();
    shop.database.sql("SELECT pg_notify('orders', email) FROM shop.customers WHERE id = 1");
    let reply = alice.drain(Duration::from_secs(2));
    assert_eq!(reply.notifications, [("orders".to_owned(), String::new())]);
}

#[test]
fn a_client_knows_its_own_notifications() {
    let shop = Shop::new("notify_own");
    let mut alice = shop.alice_as("owner");
    let own = i32::from_be_bytes(alice.key_data()[..4].try_into().expect("a process id"));
    alice.query("LISTEN orders").ok();
    let mut notifiers = alice.query("NOTIFY orders, 'mine'").ok().notifiers;
    shop.database.sql("NOTIFY orders, 'not mine'");
    notifiers.extend(alice.drain(Duration::from_secs(2)).notifiers);
    assert_eq!(notifiers.len(), 2);
    assert!(notifiers[0] == own && notifiers[1] != own, "{notifiers:?}, own {own}");
}

#[test]
fn notices_of_a_grants_end_come_before_it() {
    let shop = Shop::with("remind", |settings| settings.server = "remind_before = [\"8s\"]".to_owned());
    let mut alice = shop.alice();
    shop.proxy.grant("alice", "reader", "shop", "12s");
    let mut notices = alice.query("SELECT id FROM shop.orders LIMIT 1").notices;
    wait_for("the reminder", Duration::from_secs(30), || {
        notices.extend(alice.drain(Duration::from_millis(300)).notices);
        (!notices.is_empty()).then_some(())
    });
    notices.extend(alice.query("SELECT 1").notices);
    let notices = notices.iter().filter(|notice| notice.message().contains("ends"));
    let told: Vec<_> = notices.map(|notice| format!("{notice:?}")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("CALL hallpass.extend(1, '"), "{told:?}");
}
