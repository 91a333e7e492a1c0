//! Clients that send without end and read nothing: the proxy's memory stays what it is, and nobody else waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client as _, Direct as _, Protocol},
    shop::Shop,
};

both!(answers_of_the_proxy_itself_wait_for_their_reader, what_is_sent_behind_a_slow_statement_waits);

/// Statements of a flood.
const MANY: usize = 200_000;

/// Sends `sql` again and again and reads nothing, until the connection is gone.
fn flood<P: Protocol>(mut client: P::Client, sql: &'static str) -> (JoinHandle<()>, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let sender = std::thread::spawn(move || {
        for _ in 0..MANY {
            client.start(sql);
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (sender, sent)
}

/// Waits until nothing more of it is taken, or all of it is.
fn stands(sent: &AtomicUsize) {
    let mut last = 0;
    wait_for("the flood stands still", Duration::from_secs(120), || {
        std::thread::sleep(Duration::from_millis(300));
        let now = sent.load(Ordering::Relaxed);
        (std::mem::replace(&mut last, now) == now).then_some(())
    });
}

fn assert_nobody_else_notices<P: Protocol>(shop: &Shop<P>, calm: u64) {
    let grown = shop.proxy.peak_memory() - calm;
    assert!(grown < 24 << 20, "the proxy grew by {} MB", grown >> 20);
    assert_eq!(shop.connect("bob").query("SELECT 1").ok().value(), "1");
}

fn answers_of_the_proxy_itself_wait_for_their_reader<P: Protocol>() {
    let shop = Shop::<P>::new("unread");
    let mut alice = shop.alice();
    alice.query("SELECT * FROM shop.vault");
    let calm = shop.proxy.peak_memory();
    let (sender, sent) = flood::<P>(alice, "SELECT * FROM shop.vault /* no grant allows it */");
    stands(&sent);
    assert_nobody_else_notices(&shop, calm);
    shop.proxy.stop();
    sender.join().expect("it ends with its connection");
}

fn what_is_sent_behind_a_slow_statement_waits<P: Protocol>() {
    let shop = Shop::<P>::new("behind");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT 1").ok();
    let calm = shop.proxy.peak_memory();
    alice.start(P::SLOW);
    let (sender, sent) = flood::<P>(alice, ";");
    stands(&sent);
    assert_nobody_else_notices(&shop, calm);
    shop.database.end_session(P::SLOW);
    shop.proxy.stop();
    sender.join().expect("it ends with its connection");
}
