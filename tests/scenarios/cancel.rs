//! CancelRequest: with the right key it cancels what runs in that session, and nothing else.

use std::time::{Duration, Instant};

use hallpass_tests::{shop::PostgresShop as Shop, wire::postgres::frame};

const SLOW: &[u8] = b"SELECT count(*) FROM generate_series(1, 3000000000)";

#[test]
fn the_own_key_cancels() {
    let shop = Shop::new("cancel");
    let mut alice = shop.alice();
    let start = Instant::now();
    alice.send(&frame::query(SLOW));
    std::thread::sleep(Duration::from_millis(300));
    alice.cancel(alice.key_data());
    let reply = alice.reply();
    assert_eq!(reply.error().code(), "57014");
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn another_key_cancels_nothing() {
    let shop = Shop::new("other_key");
    let mut victim = shop.alice();
    let other = shop.alice();
    assert_ne!(victim.key_data(), other.key_data());
    victim.send(&frame::query(SLOW));
    std::thread::sleep(Duration::from_millis(300));
    let mut near = victim.key_data().to_vec();
    *near.last_mut().expect("a key") ^= 1;
    let mut zero = victim.key_data().to_vec();
    zero.iter_mut().skip(4).for_each(|byte| *byte = 0);
    for key in [near, zero, other.key_data().to_vec(), Vec::new(), vec![0; 300]] {
        victim.cancel(&key);
    }
    assert!(victim.next(Duration::from_millis(700)).is_err(), "it still runs");
    victim.cancel(victim.key_data());
    assert_eq!(victim.reply().error().code(), "57014");
}

#[test]
fn a_late_cancel_does_not_hit_the_next_statement() {
    let shop = Shop::new("late");
    let mut alice = shop.alice();
    for _ in 0..20 {
        alice.query("SELECT 1").ok();
        alice.cancel(alice.key_data());
        assert_eq!(alice.query("SELECT 2").ok().value(), "2");
    }
}

#[test]
fn a_client_that_goes_away_leaves_nothing_running() {
    let shop = Shop::new("gone");
    let mut alice = shop.alice();
    alice.send(&frame::query(SLOW));
    std::thread::sleep(Duration::from_millis(300));
    drop(alice);
    hallpass_tests::process::wait_for("the statement is cancelled", Duration::from_secs(10), || {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND state = 'active' AND query LIKE '%generate_series(1, 3000000000)' AND pid <> pg_backend_pid()";
        (shop.database.value(running) == "0").then_some(())
    });
}
