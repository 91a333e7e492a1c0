//! A denial in mid-transaction must look like the server's own error: the same messages, the same transaction state,
//! nothing of the implicit transaction stays. Each script runs directly with a failing statement, and through the
//! proxy with a denied one in its place.

use hallpass_tests::{
    both,
    protocol::{Client as _, Direct as _, Kind, Protocol},
    shop::{PostgresShop, Shop},
    wire::postgres::{Client, Reply, frame},
};

both!(several_statements_in_one_query_are_denied_as_a_whole, what_was_rolled_back_is_gone_and_what_was_committed_stays,);

const FAILING: &str = "SELECT no_such_column FROM shop.orders";
const DENIED: &str = "SELECT secret FROM shop.vault";
const DENIED_TABLE_WRITE: &str = "INSERT INTO shop.employees VALUES (99, 'x', 1)";

/// Shapes and states of a script's replies, directly and through the proxy.
fn direct_and_through(
    shop: &PostgresShop,
    script: impl Fn(&mut Client, &str) -> Vec<Reply>,
) -> [Vec<(String, char)>; 2] {
    let seen = |replies: Vec<Reply>| replies.into_iter().map(|reply| (reply.shape, reply.status)).collect();
    let mut direct = Client::connect(&shop.database.as_owner()).expect("the owner may connect");
    let mut through = shop.alice();
    [seen(script(&mut direct, FAILING)), seen(script(&mut through, DENIED))]
}

#[test]
fn an_explicit_transaction_is_aborted() {
    let shop = PostgresShop::new("explicit");
    shop.grant("fixer");
    let [direct, through] = direct_and_through(&shop, |client, bad| {
        ["BEGIN", "UPDATE shop.orders SET note = 'gone' WHERE id = 7", bad, "SELECT 1", "COMMIT", "SELECT 2"]
            .map(|sql| client.query(sql))
            .into()
    });
    assert_eq!(through, direct);
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 7"), "note 7");
}

#[test]
fn a_savepoint_saves_what_was_before() {
    let shop = PostgresShop::new("savepoint");
    shop.grant("fixer");
    let [direct, through] = direct_and_through(&shop, |client, bad| {
        ["BEGIN", "UPDATE shop.orders SET note = 'kept' WHERE id = 8", "SAVEPOINT s", bad, "ROLLBACK TO s", "COMMIT"]
            .map(|sql| client.query(sql))
            .into()
    });
    assert_eq!(through, direct);
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 8"), "kept");
}

fn several_statements_in_one_query_are_denied_as_a_whole<P: Protocol>() {
    let shop = Shop::<P>::new("all_or_none");
    let mut alice = shop.alice_as("fixer");
    let answer = alice.query(&format!("UPDATE shop.orders SET note = 'gone' WHERE id = 1; {DENIED}; SELECT 1"));
    answer.fails(Kind::Denied);
    assert!(!answer.in_transaction && answer.rows.is_empty() && answer.affected.is_empty(), "{answer:?}");
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "note 1");
    let answer = alice.query("UPDATE shop.orders SET note = 'kept' WHERE id = 1; SELECT 1").ok();
    assert_eq!((answer.affected.as_slice(), answer.value().as_str()), (&[1][..], "1"));
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "kept");
}

fn what_was_rolled_back_is_gone_and_what_was_committed_stays<P: Protocol>() {
    let shop = Shop::<P>::new("commit");
    let mut alice = shop.alice_as("fixer");
    for (id, end, note) in [(21, "ROLLBACK", "note 21"), (22, "COMMIT", "kept")] {
        alice.query("BEGIN").ok();
        let answer = alice.query(&format!("UPDATE shop.orders SET note = 'kept' WHERE id = {id}")).ok();
        assert!(answer.in_transaction);
        assert!(!alice.query(end).ok().in_transaction);
        assert_eq!(shop.database.value(&format!("SELECT note FROM shop.orders WHERE id = {id}")), note);
    }
}

#[test]
fn several_statements_in_one_query_of_postgres_are_denied_as_a_whole() {
    let shop = PostgresShop::new("several");
    let mut alice = shop.alice_as("fixer");
    let reply = alice.query(&format!("UPDATE shop.orders SET note = 'gone' WHERE id = 1; {DENIED}; SELECT 1"));
    assert_eq!((reply.shape.as_str(), reply.status), ("EZ", 'I'));
    assert_eq!(reply.error().code(), "42501");
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "note 1");
    let reply = alice.query("UPDATE shop.orders SET note = 'kept' WHERE id = 1; SELECT 1");
    assert_eq!(reply.ok().tags, ["UPDATE 1", "SELECT 1"]);
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "kept");
}

#[test]
fn a_pipeline_skips_to_its_sync_and_keeps_nothing() {
    let shop = PostgresShop::new("skip");
    shop.grant("fixer");
    let [direct, through] = direct_and_through(&shop, |client, bad| {
        let mut frames = Vec::new();
        for sql in ["UPDATE shop.orders SET note = 'gone' WHERE id = 9", bad, "SELECT 1"] {
            frames.extend(frame::parse("", sql.as_bytes(), &[]));
            frames.extend(frame::bind("", "", &[], &[], 0));
            frames.extend(frame::name(b'D', b'P', ""));
            frames.extend(frame::execute("", 0));
        }
        frames.extend(frame::sync());
        frames.extend(frame::query(b"SELECT 2"));
        client.send(&frames);
        vec![client.reply(), client.reply()]
    });
    assert_eq!(through, direct);
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 9"), "note 9");
}

#[test]
fn each_sync_is_a_transaction_of_its_own() {
    let shop = PostgresShop::new("syncs");
    let mut alice = shop.alice_as("fixer");
    let mut frames = Vec::new();
    for sql in ["UPDATE shop.orders SET note = 'kept' WHERE id = 10", DENIED_TABLE_WRITE, "SELECT 7"] {
        frames.extend(frame::parse("", sql.as_bytes(), &[]));
        frames.extend(frame::bind("", "", &[], &[], 0));
        frames.extend(frame::execute("", 0));
        frames.extend(frame::sync());
    }
    alice.send(&frames);
    let replies = [alice.reply(), alice.reply(), alice.reply()];
    assert_eq!(replies[0].tags, ["UPDATE 1"]);
    assert_eq!(replies[1].error().code(), "42501");
    assert_eq!(replies[2].value(), "7");
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 10"), "kept");
}

#[test]
fn an_error_comes_at_once_not_at_sync() {
    let shop = PostgresShop::new("at_once");
    let mut alice = shop.alice();
    alice.send(&frame::parse("", DENIED.as_bytes(), &[]));
    let message = alice.next(std::time::Duration::from_secs(30)).expect("the error does not wait for Sync");
    assert_eq!(message.tag, b'E');
    alice.send(&frame::sync());
    assert_eq!(alice.reply().shape, "Z");
}

#[test]
fn two_phase_commit_is_not_for_a_fixer() {
    let shop = PostgresShop::new("two_phase");
    let mut alice = shop.alice_as("fixer");
    alice.query("BEGIN").ok();
    alice.query("UPDATE shop.orders SET note = 'gone' WHERE id = 11").ok();
    assert_eq!(alice.query("PREPARE TRANSACTION 'left'").errors.len(), 1);
    drop(alice);
    assert_eq!(shop.database.value("SELECT count(*) FROM pg_prepared_xacts WHERE gid = 'left'"), "0");
}
