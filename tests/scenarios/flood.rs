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
    shop::{MySqlShop, PostgresShop, Shop},
    wire::postgres::frame,
};

both!(
    answers_of_the_proxy_itself_wait_for_their_reader,
    what_is_sent_behind_a_slow_statement_waits,
    statements_prepared_by_sql_are_bounded,
);

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

/// The `number`th of many different texts, of which 83 are 8 MiB.
fn long(number: usize) -> String {
    format!("SELECT {number} /* {} */", "x".repeat(100_000))
}

/// The first of many that is refused, in words that start so.
#[track_caller]
fn first_refused(mut one: impl FnMut(usize) -> Option<(String, String)>) -> (usize, String) {
    let refused = (0..100).find_map(|number| one(number).map(|(code, words)| (number, code, words)));
    let (number, code, words) = refused.expect("8 MiB are not kept");
    assert!(words.starts_with("too many "), "{words}");
    (number, code)
}

fn statements_prepared_by_sql_are_bounded<P: Protocol>() {
    let shop = Shop::<P>::new("prepare");
    let mut alice = shop.alice();
    alice.query("SELECT 1").ok();
    let calm = shop.proxy.peak_memory();
    let prepare = |number: usize| {
        let text = long(number);
        P::pick(format!("PREPARE p{number} AS {text}"), format!("PREPARE p{number} FROM '{text}'"))
    };
    let (number, code) = first_refused(|number| {
        let answer = alice.query(&prepare(number));
        answer.errors.first().map(|error| (error.code.clone(), error.message.clone()))
    });
    assert_eq!((number, code.as_str()), (83, P::pick("53400", "1461/42000")));
    let grown = shop.proxy.peak_memory() - calm;
    assert!(grown < 120 << 20, "the proxy grew by {} MB", grown >> 20);
    assert_eq!(alice.query("EXECUTE p5").ok().value(), "5");
    alice.query(P::pick("DEALLOCATE p5", "DEALLOCATE PREPARE p5")).ok();
    alice.query(&prepare(number)).ok();
}

#[test]
fn named_statements_and_portals_are_bounded() {
    let shop = PostgresShop::new("named");
    let mut alice = shop.alice();
    let mut told = |frames: Vec<u8>| {
        alice.send(&frames);
        let reply = alice.reply();
        reply.errors.first().map(|error| (error.code().to_owned(), error.message().to_owned()))
    };
    let sync = frame::sync();
    let parse =
        |number: usize| [frame::parse(&format!("s{number}"), long(number).as_bytes(), &[]), sync.clone()].concat();
    assert_eq!(first_refused(|number| told(parse(number))), (83, "53400".to_owned()));
    assert_eq!(told([frame::name(b'C', b'S', "s0"), sync.clone()].concat()), None);
    assert_eq!(told(parse(83)), None);
    // Portals hold parameters, too; what was bound is as much as what it was bound from.
    assert_eq!(told([frame::query(b"BEGIN"), frame::parse("", b"SELECT $1", &[25]), sync.clone()].concat()), None);
    assert_eq!(told(Vec::new()), None);
    let value = Some("v".repeat(60_000).into_bytes());
    let bind = |number: usize| {
        [frame::bind(&format!("p{number}"), "", std::slice::from_ref(&value), &[], 0), sync.clone()].concat()
    };
    assert_eq!(first_refused(|number| (0..2).find_map(|half| told(bind(number * 2 + half)))).1, "53400");
}

#[test]
fn statements_of_a_mysql_session_are_bounded() {
    let shop = MySqlShop::new("commands");
    let mut alice = shop.alice();
    let mut held = Vec::new();
    let (number, code) = first_refused(|number| match alice.prepare(&long(number)) {
        Ok(prepared) => {
            held.push(prepared);
            None
        }
        Err(error) => Some((error.code.to_string(), error.message)),
    });
    assert_eq!((number, code.as_str()), (83, "1461"));
    alice.close(&held[0]);
    assert!(alice.prepare(&long(number)).is_ok());
    assert_eq!(alice.execute(&held[1], &[], 0).ok().value(), "1");
}
