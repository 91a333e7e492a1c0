//! CancelRequest: with the right key it cancels what runs in that session, and nothing else.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client as _, Direct as _, Protocol},
    shop::{PostgresShop, Shop},
    wire::postgres::frame,
};

both!(a_client_that_goes_away_leaves_nothing_running);

const SLOW: &[u8] = b"SELECT count(*) FROM generate_series(1, 3000000000)";

fn runs(shop: &PostgresShop) {
    wait_for("it runs", Duration::from_secs(30), || shop.database.is_running("generate_series").then_some(()));
}

#[test]
fn the_own_key_cancels() {
    let shop = PostgresShop::new("cancel");
    let mut alice = shop.alice();
    alice.send(&frame::query(SLOW));
    runs(&shop);
    alice.cancel(alice.key_data());
    let reply = alice.reply();
    assert_eq!(reply.error().code(), "57014");
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn another_key_cancels_nothing() {
    let shop = PostgresShop::new("other_key");
    let mut victim = shop.alice();
    let other = shop.alice();
    assert_ne!(victim.key_data(), other.key_data());
    victim.send(&frame::query(SLOW));
    runs(&shop);
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
    let shop = PostgresShop::new("late");
    let mut alice = shop.alice();
    for _ in 0..20 {
        alice.query("SELECT 1").ok();
        alice.cancel(alice.key_data());
        assert_eq!(alice.query("SELECT 2").ok().value(), "2");
    }
}

fn a_client_that_goes_away_leaves_nothing_running<P: Protocol>() {
    let shop = Shop::<P>::new("gone");
    let mut alice = shop.alice_as("reader");
    alice.start(P::SLOW);
    wait_for("it runs", Duration::from_secs(30), || shop.database.is_running(P::SLOW).then_some(()));
    drop(alice);
    wait_for("the statement is cancelled", Duration::from_secs(30), || {
        (!shop.database.is_running(P::SLOW)).then_some(())
    });
}
