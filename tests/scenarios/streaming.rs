//! Large results and messages are streamed: the proxy's memory does not grow with them.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Client as _, Direct as _, Kind, Protocol},
    shop::{MySqlShop, Shop},
};

both!(
    results_of_100_megabytes_pass_in_little_memory,
    masked_results_are_streamed_too,
    one_value_of_40_megabytes_passes,
    a_client_that_does_not_read_does_not_fill_the_proxy,
    what_nobody_reads_ends_with_its_grant,
);

const MEGABYTES: u64 = 1024 * 1024;

/// A statement that gives `rows` rows of 1000 characters and more.
fn wide<P: Protocol>(rows: usize) -> String {
    P::pick(
        format!("SELECT repeat('x', 1000) FROM generate_series(1, {rows})"),
        format!("SELECT repeat('x', 1000) FROM shop.orders a JOIN shop.orders b JOIN shop.orders c LIMIT {rows}"),
    )
}

/// What the proxy's peak memory grows by while `act` runs, in bytes.
fn growth<P: Protocol>(shop: &Shop<P>, alice: &mut P::Client, act: impl FnOnce(&mut P::Client)) -> u64 {
    alice.query("SELECT count(*) FROM shop.orders").ok();
    let before = shop.proxy.peak_memory();
    act(alice);
    shop.proxy.peak_memory() - before
}

#[track_caller]
fn assert_little(grown: u64) {
    assert!(grown < 24 * MEGABYTES, "the proxy grew by {} MB", grown / MEGABYTES);
}

fn results_of_100_megabytes_pass_in_little_memory<P: Protocol>() {
    let shop = Shop::<P>::new("large");
    let mut alice = shop.alice_as("reader");
    let grown = growth(&shop, &mut alice, |alice| {
        let (rows, bytes) = alice.count_rows(&wide::<P>(100_000));
        assert_eq!(rows, 100_000);
        assert!(bytes > 100_000_000);
    });
    assert_little(grown);
}

fn masked_results_are_streamed_too<P: Protocol>() {
    let shop = Shop::<P>::new("large_masked");
    let mut alice = shop.alice_as("reader");
    let sql = P::pick(
        "SELECT c.email, repeat('x', 1000) FROM shop.customers c, generate_series(1, 1000)",
        "SELECT c.email, repeat('x', 1000) FROM shop.customers c JOIN shop.orders o JOIN shop.employees e",
    );
    let grown = growth(&shop, &mut alice, |alice| assert_eq!(alice.count_rows(sql).0, 50_000));
    assert_little(grown);
}

fn one_value_of_40_megabytes_passes<P: Protocol>() {
    let shop = Shop::<P>::new("large_value");
    let mut alice = shop.alice_as("reader");
    let (rows, bytes) = alice.count_rows("SELECT repeat('x', 40000000)");
    assert_eq!(rows, 1);
    assert!(bytes > 40_000_000);
}

fn a_client_that_does_not_read_does_not_fill_the_proxy<P: Protocol>() {
    let shop = Shop::<P>::new("slow_reader");
    let mut alice = shop.alice_as("reader");
    let grown = growth(&shop, &mut alice, |alice| {
        alice.start(&wide::<P>(200_000));
        std::thread::sleep(Duration::from_secs(2));
    });
    assert_little(grown);
    assert_eq!(shop.ask("SELECT 1").value(), "1", "others are not held up");
}

fn what_nobody_reads_ends_with_its_grant<P: Protocol>() {
    let shop = Shop::<P>::new("unread_end");
    let grant = shop.grant("reader");
    let mut alice = shop.alice();
    alice.start("SELECT repeat('x', 1000) FROM shop.orders a CROSS JOIN shop.orders b CROSS JOIN shop.orders c");
    wait_for("the server has it", Duration::from_secs(30), || shop.database.is_running("repeat('x'").then_some(()));
    // Until all buffers between are full, and the server waits for them.
    let sent = || std::fs::read_to_string(format!("/proc/{}/io", shop.proxy.pid())).expect("the proxy runs");
    wait_for("nothing moves", Duration::from_secs(30), || {
        let before = sent();
        std::thread::sleep(Duration::from_millis(200));
        (before == sent()).then_some(())
    });
    shop.proxy.revoke(grant);
    wait_for("the server ends it", Duration::from_secs(30), || (!shop.database.is_running("repeat('x'")).then_some(()));
    alice.answer().fails(Kind::Denied);
    assert_eq!(alice.query("SELECT 1").ok().value(), "1");
}

#[test]
fn a_value_over_16_megabytes_is_masked_in_mysql() {
    let shop = MySqlShop::new("large_masked_value");
    let mut alice = shop.alice_as("reader");
    let sql = "SELECT id, email, repeat('x', 17000000) FROM shop.customers WHERE id = 7";
    for reply in [alice.query(sql), alice.run_prepared(sql, &[])] {
        let row = reply.ok().rows.remove(0);
        assert_eq!(row[2].as_ref().map(String::len), Some(17_000_000));
        assert!(row[1].as_ref().is_some_and(|email| email.contains('@') && !email.contains("mail7@")));
    }
}
