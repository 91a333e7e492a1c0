//! Questions to the proxy between statements for the server, in one batch of Postgres' extended protocol.

use std::time::Duration;

use hallpass_tests::{
    shop::PostgresShop,
    wire::postgres::{Client, frame},
};

use super::{READ, request};

fn extended(sql: &str) -> Vec<u8> {
    [
        frame::parse("", sql.as_bytes(), &[]),
        frame::bind("", "", &[], &[], 0),
        frame::name(b'D', b'P', ""),
        frame::execute("", 0),
    ]
    .concat()
}

/// The tags of the messages that come until one that ends a batch's part is there.
#[track_caller]
fn shape(client: &mut Client, count: usize) -> String {
    let next = |client: &mut Client| client.next(Duration::from_secs(20)).expect("an answer").tag;
    (0..count).map(|_| char::from(next(client))).collect()
}

#[test]
fn answers_come_in_the_order_of_the_questions() {
    let shop = PostgresShop::new("pipe_order");
    let mut alice = shop.alice_as("reader");
    let own = "SELECT user_name FROM hallpass.session";
    for order in [vec![READ, own, READ], vec![own, READ, own], vec![own, own], vec![READ, READ, own]] {
        let frames: Vec<u8> = order.iter().flat_map(|sql| extended(sql)).chain(frame::sync()).collect();
        alice.send(&frames);
        let reply = alice.reply().ok();
        assert_eq!(reply.shape, format!("{}Z", "12TDC".repeat(order.len())), "{order:?}");
        let expected: Vec<_> = order.iter().map(|sql| if *sql == READ { "note 1" } else { "alice" }).collect();
        assert_eq!(reply.lines(), expected);
        assert_eq!(reply.status, 'I');
    }
}

#[test]
fn messages_of_both_are_mixed() {
    let shop = PostgresShop::new("pipe_mixed");
    let mut alice = shop.alice_as("reader");
    let frames = [
        frame::parse("ours", b"SELECT target FROM hallpass.session", &[]),
        frame::parse("theirs", READ.as_bytes(), &[]),
        frame::bind("a", "ours", &[], &[], 0),
        frame::bind("b", "theirs", &[], &[], 0),
        frame::name(b'D', b'S', "theirs"),
        frame::name(b'D', b'S', "ours"),
        frame::execute("b", 0),
        frame::execute("a", 0),
        frame::name(b'C', b'S', "theirs"),
        frame::name(b'C', b'S', "ours"),
        frame::sync(),
    ];
    alice.send(&frames.concat());
    let reply = alice.reply().ok();
    assert_eq!(reply.shape, "1122tTtTDCDC33Z", "{reply:?}");
    assert_eq!(reply.lines(), ["note 1", "shop"]);
    // A statement that is prepared and not run, before one of ours.
    let frames = [
        frame::parse("held", READ.as_bytes(), &[]),
        frame::parse("", b"SELECT user_name FROM hallpass.session", &[]),
        frame::bind("", "", &[], &[], 0),
        frame::name(b'D', b'P', ""),
        frame::execute("", 0),
        frame::sync(),
    ];
    alice.send(&frames.concat());
    assert_eq!(alice.reply().ok().shape, "112TDCZ");
    alice.send(&[frame::bind("", "held", &[], &[], 0), frame::execute("", 0), frame::sync()].concat());
    assert_eq!(alice.reply().ok().value(), "note 1");
}

#[test]
fn an_error_skips_what_follows_up_to_sync() {
    let shop = PostgresShop::new("pipe_error");
    let mut alice = shop.alice_as("fixer");
    let own = "SELECT hallpass.request('reader', '1 h', 'never')";
    let write = "UPDATE shop.orders SET note = 'gone' WHERE id = 3";
    let failing = [
        ("SELECT 1 / (id - id) FROM shop.orders", "12TE"),
        ("SELECT hallpass.wait(4711)", "12TE"),
        ("DELETE FROM shop.customers", "E"),
        ("SELECT nothing FROM hallpass.grants", "E"),
    ];
    for (wrong, shape) in failing {
        let frames = [extended(write), extended(wrong), extended(own), extended("SELECT 'skipped'"), frame::sync()];
        alice.send(&frames.concat());
        let reply = alice.reply();
        assert_eq!(reply.errors.len(), 1, "{wrong}: {reply:?}");
        assert_eq!(reply.shape, format!("12nC{shape}Z"), "{wrong}: {reply:?}");
        assert_eq!(reply.status, 'I');
        assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 3"), "note 3", "{wrong}: rolled back");
        assert_eq!(alice.query("SELECT count(*) FROM hallpass.requests WHERE reason = 'never'").ok().value(), "0");
    }
    // A name that was given behind an error was not given.
    let frames = [
        frame::parse("bad", b"SELECT nothing FROM shop.orders", &[]),
        frame::parse("s", b"SELECT target FROM hallpass.session", &[]),
        frame::sync(),
    ];
    alice.send(&frames.concat());
    assert_eq!(alice.reply().shape, "EZ");
    alice.send(&[frame::parse("s", b"SELECT target FROM hallpass.session", &[]), frame::sync()].concat());
    assert_eq!(alice.reply().ok().shape, "1Z");
}

#[test]
fn flush_brings_answers_without_sync() {
    let shop = PostgresShop::new("pipe_flush");
    let mut alice = shop.alice_as("reader");
    let id = request(&mut alice).to_string();
    alice.send(
        &[frame::parse("w", b"SELECT hallpass.wait($1, $2)", &[]), frame::name(b'D', b'S', "w"), frame::flush()]
            .concat(),
    );
    assert_eq!(shape(&mut alice, 3), "1tT");
    alice.send(&[extended(READ), frame::flush()].concat());
    assert_eq!(shape(&mut alice, 5), "12TDC");
    let params = [Some(id.into_bytes()), Some(b"10 ms".to_vec())];
    alice.send(&[frame::bind("", "w", &params, &[], 0), frame::execute("", 0), frame::flush()].concat());
    // What a single value does not say comes as a notice.
    assert_eq!(shape(&mut alice, 4), "2NDC");
    alice.send(&frame::sync());
    assert_eq!(alice.reply().shape, "Z");
}

#[test]
fn in_a_failed_transaction_asking_still_works() {
    let shop = PostgresShop::new("pipe_failed");
    let mut alice = shop.alice();
    alice.query("BEGIN").ok();
    assert_eq!(alice.query(READ).error().code(), "42501");
    assert_eq!(alice.query("SELECT 1").error().code(), "25P02");
    alice.send(&[extended("SELECT hallpass.request('reader', '1 h', 'why')"), frame::sync()].concat());
    let asked = alice.reply().ok();
    assert_eq!((asked.shape.as_str(), asked.status), ("12TNDCZ", 'E'));
    let reply = alice.query("CALL hallpass.wait(4711)");
    assert_eq!((reply.error().code(), reply.status), ("P0002", 'E'));
    assert_eq!(alice.query("ROLLBACK").ok().status, 'I');
    assert_eq!(alice.query("SELECT count(*) FROM hallpass.requests").ok().value(), "1");
}

#[test]
fn types_and_formats_are_those_of_the_columns() {
    let shop = PostgresShop::new("pipe_types");
    let mut alice = shop.alice();
    let id = request(&mut alice);
    let reply = alice.extended("SELECT id, role, export, created, grant_id FROM hallpass.requests", &[], 1).ok();
    let types: Vec<_> = reply.columns.iter().map(|column| (column.type_oid, column.format)).collect();
    assert_eq!(types, [(20, 1), (25, 1), (16, 1), (1184, 1), (20, 1)]);
    let row = &reply.rows[0];
    assert_eq!(row[0].as_deref(), Some(&*String::from_utf8_lossy(&id.to_be_bytes())));
    assert_eq!((row[1].as_deref(), row[2].as_deref(), &row[4]), (Some("reader"), Some("\0"), &None));
    assert_eq!(row[3].as_deref().map(|value| value.is_empty()), Some(false));
    let text = alice.query("SELECT created, export FROM hallpass.requests").ok();
    let created = text.rows[0][0].clone().unwrap_or_default();
    let read = format!("SELECT abs(extract(epoch FROM now() - '{created}'::timestamptz)) < 600");
    assert_eq!(shop.database.value(&read), "t", "{created}");
    // Parameters in binary, of the types that the client says.
    let sql = b"SELECT role FROM hallpass.requests WHERE id = $1 AND export = $2 LIMIT $3";
    for (types, first) in [
        (vec![21u32, 16, 20], vec![0, u8::try_from(id).expect("small")]),
        (vec![23, 16, 20], vec![0, 0, 0, u8::try_from(id).expect("small")]),
    ] {
        let params = [Some(first), Some(vec![0]), Some(1i64.to_be_bytes().to_vec())];
        let frames = [
            frame::parse("", sql, &types),
            frame::bind("", "", &params, &[1], 0),
            frame::name(b'D', b'S', ""),
            frame::execute("", 0),
            frame::sync(),
        ];
        alice.send(&frames.concat());
        let reply = alice.reply().ok();
        assert_eq!((reply.lines(), reply.shape.as_str()), (vec!["reader".to_owned()], "12tTDCZ"));
    }
    for (params, code) in [
        (vec![Some(b"x".to_vec()), Some(b"f".to_vec()), None], "22023"),
        (vec![None, None], "08P01"),
        (vec![Some(vec![0xff]), None, None], "08P01"),
    ] {
        let bind = frame::bind("", "", &params, &[], 0);
        alice.send(&[frame::parse("", sql, &[]), bind, frame::execute("", 0), frame::sync()].concat());
        assert_eq!(alice.reply().error().code(), code, "{params:?}");
    }
    assert_eq!(alice.query("SELECT * FROM hallpass.requests WHERE id = $1").error().code(), "42601");
}
