//! Names of statements and portals that ask the proxy, and row limits: as the server's own, message by message.

use hallpass_tests::{
    shop::PostgresShop,
    wire::postgres::{Client, Reply, frame},
};

use super::READ;

const ROLES: &[u8] = b"SELECT role FROM hallpass.roles ORDER BY role";

#[track_caller]
fn sent(client: &mut Client, frames: &[Vec<u8>]) -> Reply {
    client.send(&[frames.concat(), frame::sync()].concat());
    client.reply()
}

#[test]
fn row_limits_suspend() {
    let shop = PostgresShop::new("own_rows");
    let mut alice = shop.alice();
    let first = [frame::parse("", ROLES, &[]), frame::bind("p", "", &[], &[], 0)].concat();
    let reply =
        sent(&mut alice, &[first.clone(), frame::execute("p", 2), frame::execute("p", 3), frame::execute("p", 0)]);
    assert_eq!((reply.shape.as_str(), reply.rows.len()), ("12DDsDDDsDCZ", 6));
    assert_eq!(reply.tags, ["SELECT 1"]);
    // As many as there are: suspended as the server's, and nothing is left.
    let reply = sent(&mut alice, &[first.clone(), frame::execute("p", 6), frame::execute("p", 6)]).ok();
    assert_eq!((reply.shape.as_str(), reply.tags.join(",")), ("12DDDDDDsCZ", "SELECT 0".to_owned()));
    let direct = b"SELECT g FROM generate_series(1, 6) g";
    let direct = [frame::parse("", direct, &[]), frame::bind("p", "", &[], &[], 0)].concat();
    let mut server = Client::connect(&shop.database.as_owner()).expect("the owner may connect");
    let steps = [frame::execute("p", 6), frame::execute("p", 6)].concat();
    assert_eq!(sent(&mut server, &[direct, steps]).shape, reply.shape);
    // Across batches a portal lives as long as its transaction.
    alice.query("BEGIN").ok();
    assert_eq!(sent(&mut alice, &[first.clone(), frame::execute("p", 4)]).ok().rows.len(), 4);
    assert_eq!(sent(&mut alice, &[frame::execute("p", 4)]).ok().rows.len(), 2);
    alice.query("COMMIT").ok();
    assert_eq!(sent(&mut alice, &[frame::execute("p", 4)]).error().code(), "34000");
}

#[test]
fn a_portal_runs_once() {
    let shop = PostgresShop::new("own_once");
    let mut alice = shop.alice();
    let ask = b"SELECT hallpass.request('reader', '1 h', 'once')";
    let twice =
        [frame::parse("", ask, &[]), frame::bind("p", "", &[], &[], 0), frame::execute("p", 0), frame::execute("p", 0)];
    let reply = sent(&mut alice, &twice).ok();
    assert_eq!((reply.rows.len(), reply.tags.join(",")), (1, "SELECT 1,SELECT 0".to_owned()));
    assert_eq!(alice.query("SELECT count(*) FROM hallpass.requests").ok().value(), "1");
    assert_eq!(sent(&mut alice, &[frame::execute("p", 0)]).error().code(), "34000", "it ended with its transaction");
    let run = [frame::bind("", "", &[], &[], 0), frame::execute("", 0)].concat();
    alice.send(&[frame::parse("", ask, &[]), run.clone(), run, frame::sync()].concat());
    assert_eq!(alice.reply().ok().rows.len(), 2, "a statement runs as often as it is bound");
}

#[test]
fn names_are_taken_once() {
    let shop = PostgresShop::new("own_names");
    let mut alice = shop.alice_as("reader");
    let ours = |name: &str| frame::parse(name, ROLES, &[]);
    let theirs = |name: &str| frame::parse(name, READ.as_bytes(), &[]);
    let run = |name: &str| [frame::bind("", name, &[], &[], 0), frame::execute("", 0)].concat();
    assert_eq!(sent(&mut alice, &[ours("s")]).ok().shape, "1Z");
    for again in [ours("s"), theirs("s")] {
        let error = sent(&mut alice, &[again]);
        assert_eq!(error.error().code(), "42P05");
        assert_eq!(error.error().message(), "prepared statement \"s\" already exists");
    }
    assert_eq!(sent(&mut alice, &[theirs("t")]).ok().shape, "1Z");
    assert_eq!(sent(&mut alice, &[ours("t")]).error().code(), "42P05");
    assert_eq!((sent(&mut alice, &[run("s")]).ok().rows.len(), sent(&mut alice, &[run("t")]).ok().rows.len()), (6, 1));
    let portals =
        |first: &str, second: &str| [frame::bind("p", first, &[], &[], 0), frame::bind("p", second, &[], &[], 0)];
    for (first, second) in [("s", "s"), ("s", "t"), ("t", "s")] {
        let reply = sent(&mut alice, &portals(first, second));
        assert_eq!((reply.error().code(), reply.shape.as_str()), ("42P03", "2EZ"), "{first} {second}");
    }
    // What has no name is replaced, from one side to the other and back.
    assert_eq!(sent(&mut alice, &[ours(""), run(""), theirs(""), run(""), ours(""), run("")]).ok().rows.len(), 13);
    alice.query("SELECT 1").ok();
    assert_eq!(sent(&mut alice, &[run("")]).error().code(), "26000", "a Query takes its place");
}

#[test]
fn close_and_deallocate_free_a_name() {
    let shop = PostgresShop::new("own_close");
    let mut alice = shop.alice();
    let run = |name: &str| [frame::bind("", name, &[], &[], 0), frame::execute("", 0)].concat();
    let gone = |alice: &mut Client| assert_eq!(sent(alice, &[run("s")]).error().code(), "26000");
    let make = |alice: &mut Client| {
        assert_eq!(sent(alice, &[frame::parse("s", ROLES, &[]), run("s")]).ok().rows.len(), 6);
    };
    make(&mut alice);
    assert_eq!(sent(&mut alice, &[frame::name(b'C', b'S', "s")]).ok().shape, "3Z");
    gone(&mut alice);
    for text in ["DEALLOCATE s", "DEALLOCATE ALL", "DISCARD ALL"] {
        make(&mut alice);
        let tag = alice.query(text).ok().tags.join(",");
        assert!(text.starts_with(tag.split(' ').next().unwrap_or_default()), "{tag}");
        gone(&mut alice);
    }
    make(&mut alice);
    let described = sent(&mut alice, &[frame::name(b'D', b'S', "s"), frame::name(b'D', b'S', "nothing")]);
    assert_eq!((described.shape.as_str(), described.error().code()), ("tTEZ", "26000"));
    let closed = [frame::bind("p", "s", &[], &[], 0), frame::name(b'C', b'P', "p"), frame::execute("p", 0)];
    assert_eq!(sent(&mut alice, &closed).error().code(), "34000");
}
