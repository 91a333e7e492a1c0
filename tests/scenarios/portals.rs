//! The extended protocol's finer points: row limits, Flush without Sync, names, Describe, Close.

use std::time::Duration;

use hallpass_tests::{
    shop::PostgresShop as Shop,
    wire::postgres::{Client, Message, PATIENCE, frame},
};

/// Sends the same frames directly and through the proxy; every byte of the answer must be the same.
#[track_caller]
fn same(shop: &Shop, steps: &[Vec<u8>]) {
    let mut direct = Client::connect(&shop.database.as_owner()).expect("the owner may connect");
    let mut through = shop.alice();
    for step in steps {
        direct.send(step);
        through.send(step);
        let (expected, got) = (direct.reply(), through.reply());
        assert_eq!(got.shape, expected.shape, "{got:?}");
    }
    // Where the proxy says by itself that a name does not exist, it has no source file and line to tell.
    let plain = |client: &Client| client.messages_after_login().iter().map(without_source).collect::<Vec<_>>();
    for (expected, got) in plain(&direct).iter().zip(plain(&through)) {
        let (wanted, given) = (String::from_utf8_lossy(&expected.1), String::from_utf8_lossy(&got.1));
        assert!(*expected == got, "but for the source lines of errors the same: {wanted:?}, not {given:?}");
    }
    assert_eq!(plain(&direct).len(), plain(&through).len());
}

/// An error without its source file, line and routine (F, L, R) and its position; anything else as it is.
fn without_source(message: &Message) -> (u8, Vec<u8>) {
    if message.tag != b'E' {
        return (message.tag, message.body.clone());
    }
    let kept =
        message.body.split(|byte| *byte == 0).filter(|field| !matches!(field.first(), Some(b'F' | b'L' | b'R' | b'P')));
    (message.tag, kept.collect::<Vec<_>>().join(&0))
}

#[test]
fn row_limits_suspend_portals() {
    let shop = Shop::new("portals");
    shop.grant("reader");
    let mut frames = frame::parse("", b"SELECT id, note FROM shop.orders ORDER BY id", &[]);
    frames.extend([frame::bind("p", "", &[], &[], 0), frame::name(b'D', b'P', "p")].concat());
    for rows in [3, 3, 0] {
        frames.extend(frame::execute("p", rows));
    }
    frames.extend([frame::name(b'C', b'P', "p"), frame::sync()].concat());
    same(&shop, &[frames]);
}

#[test]
fn a_portal_lives_across_syncs_in_a_transaction() {
    let shop = Shop::new("portal_tx");
    shop.grant("reader");
    let open = [
        frame::parse("", b"SELECT id FROM shop.orders ORDER BY id", &[]),
        frame::bind("p", "", &[], &[], 0),
        frame::execute("p", 5),
        frame::sync(),
    ];
    let more = [frame::execute("p", 5), frame::sync()];
    same(
        &shop,
        &[frame::query(b"BEGIN"), open.concat(), more.concat(), more.concat(), frame::query(b"COMMIT"), more.concat()],
    );
}

#[test]
fn masked_rows_keep_to_row_limits() {
    let shop = Shop::new("portal_mask");
    let mut alice = shop.alice_as("reader");
    let mut frames = frame::parse("", b"SELECT id, email FROM shop.customers ORDER BY id", &[]);
    frames.extend([frame::bind("", "", &[], &[], 0), frame::execute("", 4), frame::execute("", 4)].concat());
    frames.extend(frame::sync());
    alice.send(&frames);
    let reply = alice.reply().ok();
    assert_eq!((reply.rows.len(), reply.shape.as_str()), (8, "12DDDDsDDDDsZ"));
    assert!(reply.lines().iter().all(|line| !line.contains("mail")), "{:?}", reply.lines());
}

#[test]
fn flush_without_sync_answers() {
    let shop = Shop::new("flush");
    let mut alice = shop.alice_as("reader");
    let mut frames = frame::parse("s", b"SELECT note FROM shop.orders WHERE id = $1", &[23]);
    frames.extend([frame::name(b'D', b'S', "s"), frame::flush()].concat());
    alice.send(&frames);
    let seen: String =
        (0..3).map(|_| char::from(alice.next(Duration::from_secs(30)).expect("an answer").tag)).collect();
    assert_eq!(seen, "1tT");
    let bind = frame::bind("", "s", &[Some(b"5".to_vec())], &[], 0);
    alice.send(&[bind, frame::execute("", 0), frame::flush()].concat());
    let seen: String =
        (0..3).map(|_| char::from(alice.next(Duration::from_secs(30)).expect("an answer").tag)).collect();
    assert_eq!(seen, "2DC");
    alice.send(&frame::sync());
    assert_eq!(alice.reply().shape, "Z");
}

/// The end of one transaction takes no portal of the next one along, which was bound before the first was over.
#[test]
fn a_portal_of_the_next_batch_stays() {
    let shop = Shop::new("next_batch");
    let mut alice = shop.alice();
    let bind = |portal: &str| frame::bind(portal, "s", &[], &[], 0);
    let batch = [bind(""), frame::execute("", 0), frame::sync()].concat();
    alice.send(&[frame::parse("s", b"SELECT 1", &[]), batch, bind(""), bind("p"), frame::flush()].concat());
    assert_eq!(alice.reply().ok().value(), "1");
    // Both answers to Bind are here, and so the end of the first transaction was.
    while alice.next(PATIENCE).expect("a message").tag != b'2' {}
    alice.send(&[frame::execute("", 0), frame::execute("p", 0), frame::sync()].concat());
    assert_eq!(alice.reply().ok().lines(), ["1", "1"]);
}

/// The proxy asks for a pipeline's answers in pieces; a client that reads sees nothing of that.
#[test]
fn long_pipelines_are_one_conversation() {
    let shop = Shop::new("pipeline");
    shop.grant("reader");
    let prepare = frame::parse("s", b"SELECT id FROM shop.orders WHERE id = 5", &[]);
    let one = [frame::bind("", "s", &[], &[], 0), frame::execute("", 0)].concat();
    let fails =
        [frame::parse("", b"SELECT 1 / 0", &[]), frame::bind("", "", &[], &[], 0), frame::execute("", 0)].concat();
    let (many, sync) = (one.repeat(1500), frame::sync());
    same(&shop, &[[prepare, sync.clone()].concat(), [many.clone(), sync.clone()].concat()]);
    same(&shop, &[[frame::parse("s", b"SELECT 7", &[]), many.clone(), fails, many, sync].concat()]);
}

#[test]
fn names_mean_what_the_server_says() {
    let shop = Shop::new("names");
    shop.grant("reader");
    let prepare = |name: &str, sql: &[u8]| [frame::parse(name, sql, &[]), frame::sync()].concat();
    let run = |name: &str| [frame::bind("", name, &[], &[], 0), frame::execute("", 0), frame::sync()].concat();
    same(
        &shop,
        &[
            prepare("a", b"SELECT 1"),
            prepare("a", b"SELECT 2"),
            run("a"),
            [frame::name(b'C', b'S', "a"), frame::sync()].concat(),
            run("a"),
            prepare("a", b"SELECT 3"),
            run("a"),
            frame::query(b"DEALLOCATE a"),
            run("a"),
            frame::query(b"PREPARE q AS SELECT 4"),
            run("q"),
            frame::query(b"DEALLOCATE ALL"),
            run("q"),
            prepare("", b"SELECT 5"),
            frame::query(b"SELECT 6"),
            run(""),
            [frame::name(b'D', b'S', "nothing"), frame::sync()].concat(),
            [frame::name(b'D', b'P', "nothing"), frame::sync()].concat(),
            frame::query(b"DISCARD ALL"),
            prepare("two", b"SELECT 1; SELECT 2"),
            run("two"),
        ],
    );
}

#[test]
fn function_calls_are_refused() {
    let shop = Shop::new("fastpath");
    let mut alice = shop.alice_as("owner");
    alice.send(&frame::function_call(2026, &[], 0));
    let reply = alice.reply();
    assert_eq!(reply.error().code(), "0A000");
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn parameters_in_both_formats() {
    let shop = Shop::new("formats");
    shop.grant("reader");
    let sql = b"SELECT id, total, note FROM shop.orders WHERE id = $1 OR note = $2 ORDER BY id";
    let params = [Some(vec![0, 0, 0, 4]), Some(b"note 5".to_vec())];
    let frames = [
        frame::parse("", sql, &[23, 25]),
        frame::bind("", "", &params, &[1, 0], 1),
        frame::name(b'D', b'P', ""),
        frame::execute("", 0),
        frame::sync(),
    ];
    same(&shop, &[frames.concat()]);
}
