//! Large results and messages are streamed: the proxy's memory does not grow with them.

use hallpass_tests::{
    shop::PostgresShop as Shop,
    wire::postgres::{answer::Message, frame},
};

/// Reads up to a ReadyForQuery without keeping rows. Returns rows and bytes of row data.
fn count_rows(client: &mut hallpass_tests::wire::postgres::Client) -> (usize, usize) {
    let (mut rows, mut bytes) = (0, 0);
    loop {
        let Message { tag, body } = client.next(hallpass_tests::wire::postgres::PATIENCE).expect("the result goes on");
        match tag {
            b'D' => (rows, bytes) = (rows + 1, bytes + body.len()),
            b'E' => panic!("{:?}", hallpass_tests::wire::postgres::answer::fields(&body)),
            b'Z' => return (rows, bytes),
            _ => {}
        }
    }
}

const MEGABYTES: u64 = 1024 * 1024;

#[test]
fn results_of_100_megabytes_pass_in_little_memory() {
    let shop = Shop::new("large");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT count(*) FROM shop.orders").ok();
    let before = shop.proxy.peak_memory();
    alice.send(&frame::query(b"SELECT repeat('x', 1000) FROM generate_series(1, 100000)"));
    let (rows, bytes) = count_rows(&mut alice);
    assert_eq!(rows, 100_000);
    assert!(bytes > 100_000_000);
    let grown = shop.proxy.peak_memory() - before;
    assert!(grown < 24 * MEGABYTES, "the proxy grew by {} MB", grown / MEGABYTES);
}

#[test]
fn masked_results_are_streamed_too() {
    let shop = Shop::new("large_masked");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT count(*) FROM shop.orders").ok();
    let before = shop.proxy.peak_memory();
    let sql = b"SELECT c.email, repeat('x', 1000) FROM shop.customers c, generate_series(1, 1000)";
    alice.send(&frame::query(sql));
    let (rows, _) = count_rows(&mut alice);
    assert_eq!(rows, 50_000);
    let grown = shop.proxy.peak_memory() - before;
    assert!(grown < 24 * MEGABYTES, "the proxy grew by {} MB", grown / MEGABYTES);
}

#[test]
fn one_value_of_40_megabytes_passes() {
    let shop = Shop::new("large_value");
    let mut alice = shop.alice_as("reader");
    alice.send(&frame::query(b"SELECT repeat('x', 40000000)"));
    let (rows, bytes) = count_rows(&mut alice);
    assert_eq!(rows, 1);
    assert!(bytes > 40_000_000);
}

#[test]
fn a_client_that_does_not_read_does_not_fill_the_proxy() {
    let shop = Shop::new("slow_reader");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT count(*) FROM shop.orders").ok();
    let before = shop.proxy.peak_memory();
    alice.send(&frame::query(b"SELECT repeat('x', 1000) FROM generate_series(1, 200000)"));
    std::thread::sleep(std::time::Duration::from_secs(2));
    let grown = shop.proxy.peak_memory() - before;
    assert!(grown < 24 * MEGABYTES, "the proxy grew by {} MB", grown / MEGABYTES);
    let mut other = shop.alice();
    assert_eq!(other.query("SELECT 1").value(), "1", "others are not held up");
}
