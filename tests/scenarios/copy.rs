//! COPY in and out, by both protocols.

use std::time::Duration;

use hallpass_tests::{
    process::wait_for,
    shop::PostgresShop as Shop,
    wire::postgres::{Client, frame},
};

#[test]
fn copy_out_is_the_servers() {
    let shop = Shop::new("copy_out");
    let mut direct = Client::connect(&shop.database.as_owner()).expect("the owner may connect");
    let mut alice = shop.alice_as("exporter");
    for sql in [
        "COPY shop.orders TO STDOUT",
        "COPY shop.orders TO STDOUT (FORMAT csv, HEADER)",
        "COPY shop.orders TO STDOUT (FORMAT binary)",
    ] {
        direct.query(sql).ok();
        alice.query(sql).ok();
    }
    assert!(direct.received_after_login() == alice.received_after_login(), "byte for byte the same");
}

#[test]
fn copy_out_needs_export() {
    let shop = Shop::new("no_export");
    let mut alice = shop.alice_as("reader");
    assert_eq!(alice.query("COPY shop.orders TO STDOUT").error().code(), "42501");
}

#[test]
fn copy_in_by_the_simple_protocol() {
    let shop = Shop::new("copy_in");
    let mut alice = shop.alice_as("exporter");
    let mut frames = frame::query(b"COPY shop.orders (id, note) FROM STDIN");
    frames.extend(frame::copy_data(b"900\tfirst\n901\tsec"));
    frames.extend(frame::copy_data(b"ond\n"));
    frames.extend(frame::copy_done());
    alice.send(&frames);
    assert_eq!(alice.reply().ok().tags, ["COPY 2"]);
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 901"), "second");
    alice.send(&[frame::query(b"COPY shop.orders (id) FROM STDIN"), frame::copy_fail("never mind")].concat());
    assert_eq!(alice.reply().error().code(), "57014");
    alice.send(
        &[frame::query(b"COPY shop.orders (id) FROM STDIN"), frame::copy_data(b"x\n"), frame::copy_done()].concat(),
    );
    assert_eq!(alice.reply().error().code(), "22P02", "data after the server's error is swallowed");
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn copy_in_by_the_extended_protocol_with_an_early_sync() {
    let shop = Shop::new("copy_extended");
    let mut alice = shop.alice_as("exporter");
    let mut frames = frame::parse("", b"COPY shop.orders (id, note) FROM STDIN", &[]);
    frames.extend([frame::bind("", "", &[], &[], 0), frame::execute("", 0), frame::sync()].concat());
    frames.extend([frame::copy_data(b"910\tx\n"), frame::copy_done(), frame::sync()].concat());
    alice.send(&frames);
    assert_eq!(alice.reply().ok().tags, ["COPY 1"]);
    assert_eq!(alice.query("SELECT 1").value(), "1", "exactly one ReadyForQuery came");
}

#[test]
fn a_denied_copy_in_swallows_its_data() {
    let shop = Shop::new("copy_denied");
    let mut alice = shop.alice_as("reader");
    let mut frames = frame::query(b"COPY shop.orders (id, note) FROM STDIN");
    frames.extend([frame::copy_data(b"920\tx\n"), frame::copy_done()].concat());
    alice.send(&frames);
    assert_eq!(alice.reply().error().code(), "42501");
    assert_eq!(alice.query("SELECT 1").value(), "1");
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE id = 920"), "0");
}

#[test]
fn files_and_programs_are_nobodys() {
    let shop = Shop::new("copy_file");
    let mut alice = shop.alice_as("exporter");
    for sql in [
        "COPY shop.orders TO '/tmp/hallpass-must-not-be'",
        "COPY shop.orders TO PROGRAM 'cat > /tmp/hallpass-must-not-be'",
        "COPY shop.orders FROM PROGRAM 'id'",
    ] {
        assert_eq!(alice.query(sql).error().code(), "42501", "{sql}");
    }
}

/// As the server does: what the copy holds is free for others at once.
#[test]
fn a_client_that_leaves_in_a_copy_takes_it_along() {
    let shop = Shop::new("copy_left");
    for leaves in [Client::terminate, drop] {
        let mut alice = shop.alice_as("exporter");
        alice.query("BEGIN").ok();
        alice.send(&[frame::query(b"COPY shop.orders (id) FROM STDIN"), frame::copy_data(b"950\n")].concat());
        let copies = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'";
        let count = |wanted: &str| (shop.database.value(copies) == wanted).then_some(());
        wait_for("the copy to begin", Duration::from_secs(10), || count("1"));
        leaves(alice);
        wait_for("the copy to end", Duration::from_secs(20), || count("0"));
        assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE id = 950"), "0");
    }
}
