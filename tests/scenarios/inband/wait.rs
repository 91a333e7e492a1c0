//! `hallpass.wait`: held until the request is decided, and ended by Ctrl-C, by a time, by whoever goes away.

use std::time::Duration;

use hallpass_tests::{
    both,
    process::wait_for,
    protocol::{Answer, Client as _, Kind, Protocol},
    shop::{PostgresShop, Shop},
    wire::postgres::frame,
};

use super::{CANCELLED, READ, call, number, refused, request};

both!(
    it_returns_when_it_is_decided,
    it_returns_when_its_time_is_up,
    it_returns_when_the_request_lapses,
    ctrl_c_ends_the_wait_and_nothing_else,
    a_client_that_goes_away_leaves_no_session,
    a_proxy_that_stops_ends_the_waits,
    fifty_wait_at_once,
    an_administrator_ends_a_session_that_waits,
);

/// Until the proxy lists a session that runs this wait.
fn waits<P: Protocol>(shop: &Shop<P>, count: usize) {
    wait_for("the sessions wait", Duration::from_secs(20), || {
        let sessions = shop.proxy.json(&["sessions"]);
        let running = sessions.to_string().matches("hallpass.wait").count();
        (running >= count).then_some(())
    });
}

/// The state that a wait returned.
#[track_caller]
fn state(answer: Answer) -> String {
    answer.ok().rows[0][1].clone().unwrap_or_default()
}

fn it_returns_when_it_is_decided<P: Protocol>() {
    let shop = Shop::<P>::new("wait_decided");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    for (verb, told) in [("approve", "approved"), ("reject", "rejected"), ("cancel", "cancelled")] {
        let id = request(&mut alice);
        alice.start(&format!("CALL hallpass.wait({id})"));
        waits(&shop, 1);
        if verb == "cancel" {
            call(&mut shop.alice(), &format!("cancel({id})"));
        } else {
            call(&mut bob, &format!("{verb}({id})"));
        }
        assert_eq!(state(alice.answer()), told);
        // What is decided already is not waited for.
        assert_eq!(call(&mut alice, &format!("wait({id}, '5 min')"))[1].as_deref(), Some(told));
    }
    assert_eq!(alice.query(READ).ok().value(), "note 1");
}

fn it_returns_when_its_time_is_up<P: Protocol>() {
    let shop = Shop::<P>::new("wait_time");
    let mut alice = shop.alice();
    let id = request(&mut alice);
    for time in ["50 ms", "0 s"] {
        let told = call(&mut alice, &format!("wait({id}, '{time}')"));
        assert_eq!((told[1].as_deref(), &told[2]), (Some("pending"), &None), "{told:?}");
        assert!(told[4].as_deref().is_some_and(|message| message.contains(&format!("CALL hallpass.wait({id})"))));
    }
}

fn it_returns_when_the_request_lapses<P: Protocol>() {
    let shop = Shop::<P>::with("wait_lapse", |settings| settings.server = "request_timeout = \"1s\"".to_owned());
    let mut alice = shop.alice();
    let id = request(&mut alice);
    assert_eq!(call(&mut alice, &format!("wait({id}, '5 min')"))[1].as_deref(), Some("lapsed"));
}

/// Cancels what a client waits for, as its own Ctrl-C would.
trait Interrupt {
    fn interrupt(&self, other: &mut Self);
}

impl Interrupt for hallpass_tests::wire::postgres::Client {
    fn interrupt(&self, _: &mut Self) {
        self.cancel(self.key_data());
    }
}

impl Interrupt for hallpass_tests::wire::mysql::Client {
    fn interrupt(&self, other: &mut Self) {
        other.query(&format!("KILL QUERY {}", self.connection())).ok();
    }
}

fn ctrl_c_ends_the_wait_and_nothing_else<P: Protocol>()
where
    P::Client: Interrupt,
{
    let shop = Shop::<P>::new("wait_cancel");
    let (mut alice, mut bob, mut other) = (shop.alice(), shop.connect("bob"), shop.alice());
    let id = request(&mut alice);
    alice.start(&format!("CALL hallpass.wait({id})"));
    waits(&shop, 1);
    alice.interrupt(&mut other);
    refused::<P>(&alice.answer(), CANCELLED, &[]);
    // Behind a question in the same message: that is done, and the wait ends.
    alice.start(&format!(
        "CALL hallpass.cancel({id}); CALL hallpass.request('reader', '1 h', 'next'); CALL hallpass.wait({})",
        id + 1
    ));
    waits(&shop, 1);
    alice.interrupt(&mut other);
    let answer = alice.answer();
    refused::<P>(&answer, CANCELLED, &[]);
    assert_eq!(answer.rows.len(), 2, "{answer:?}");
    assert_eq!(alice.query("SELECT state FROM hallpass.requests ORDER BY id").ok().lines(), ["cancelled", "pending"]);
    // A late one hits nothing.
    alice.interrupt(&mut other);
    assert_eq!(alice.query("SELECT 1").ok().value(), "1");
    call(&mut bob, &format!("approve({})", id + 1));
    assert_eq!(call(&mut alice, &format!("wait({})", id + 1))[1].as_deref(), Some("approved"));
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    let (_, outcome) = shop.proxy.audit().wait_for_outcome(&format!("CALL hallpass.wait({id})"));
    assert_eq!(outcome.error_code.as_deref(), Some("57014"));
}

fn a_client_that_goes_away_leaves_no_session<P: Protocol>() {
    let shop = Shop::<P>::new("wait_gone");
    let mut alice = shop.alice();
    let id = request(&mut alice);
    alice.start(&format!("CALL hallpass.wait({id})"));
    waits(&shop, 1);
    drop(alice);
    wait_for("the session is over", Duration::from_secs(20), || {
        let sessions = shop.proxy.json(&["sessions"]);
        sessions.as_array().is_some_and(Vec::is_empty).then_some(())
    });
    shop.proxy.audit().wait("its end", |events| {
        let ended = |event: &&hallpass_tests::audit::Event| event.kind == "session_end";
        events.iter().find(ended).map(|event| assert_eq!(event.reason.as_deref(), Some("the client left")))
    });
    let mut alice = shop.alice();
    assert_eq!(alice.query("SELECT state FROM hallpass.requests").ok().value(), "pending");
}

fn a_proxy_that_stops_ends_the_waits<P: Protocol>() {
    let shop = Shop::<P>::new("wait_stop");
    shop.grant("fixer");
    let (mut alice, mut inside) = (shop.alice(), shop.alice());
    let id = request(&mut alice);
    inside.query("BEGIN").ok();
    inside.query("UPDATE shop.orders SET note = 'kept' WHERE id = 3").ok();
    for client in [&mut alice, &mut inside] {
        client.start(&format!("CALL hallpass.wait({id})"));
    }
    waits(&shop, 2);
    shop.proxy.signal("TERM");
    alice.answer().fails(Kind::Draining);
    // A transaction has some time left to end.
    refused::<P>(&inside.answer(), CANCELLED, &[]);
    inside.query(P::pick("ROLLBACK", "COMMIT")).ok();
    drop(inside);
    wait_for("the proxy ends", Duration::from_secs(20), || (!shop.proxy.alive()).then_some(()));
    shop.proxy.stop();
    shop.proxy.serve();
    assert_eq!(shop.alice().query("SELECT state FROM hallpass.requests WHERE role = 'reader'").ok().value(), "pending");
}

fn fifty_wait_at_once<P: Protocol>() {
    let shop = Shop::<P>::new("wait_fifty");
    let mut alice = shop.alice();
    let id = request(&mut alice);
    let mut clients: Vec<_> = (0..50).map(|_| shop.alice()).collect();
    for client in &mut clients {
        client.start(&format!("CALL hallpass.wait({id})"));
    }
    waits(&shop, 50);
    let mut bob = shop.connect("bob");
    let grant = number(&call(&mut bob, &format!("approve({id})")), 2);
    for client in &mut clients {
        let told = client.answer().ok();
        assert_eq!(number(&told.rows[0], 2), grant);
        assert_eq!(client.query("SELECT 1").ok().value(), "1");
    }
}

fn an_administrator_ends_a_session_that_waits<P: Protocol>() {
    let shop = Shop::<P>::new("wait_kill");
    let mut alice = shop.alice();
    let id = request(&mut alice);
    let session = alice.query("SELECT session_id FROM hallpass.session").ok().value();
    alice.start(&format!("CALL hallpass.wait({id})"));
    waits(&shop, 1);
    shop.proxy.cli(&["kill", &session]).ok();
    alice.answer().fails(Kind::Killed);
}

#[test]
fn what_was_sent_behind_a_wait_runs_after_it() {
    let shop = PostgresShop::new("wait_behind");
    let mut alice = shop.alice();
    let id = request(&mut alice);
    let extended = |sql: &str| {
        [frame::parse("", sql.as_bytes(), &[]), frame::bind("", "", &[], &[], 0), frame::execute("", 0)].concat()
    };
    let wait = format!("CALL hallpass.wait({id})");
    alice.send(&[frame::query(wait.as_bytes()), frame::query(READ.as_bytes())].concat());
    alice.send(&[extended(&wait), extended(READ), extended("SELECT hallpass.wait(4711)"), frame::sync()].concat());
    alice.send(&frame::query(b"SELECT 'last'"));
    waits(&shop, 1);
    call(&mut shop.connect("bob"), &format!("approve({id})"));
    assert_eq!(alice.reply().ok().value(), id.to_string());
    assert_eq!(alice.reply().ok().value(), "note 1", "with the grant that was waited for");
    let batch = alice.reply();
    assert_eq!(batch.shape, "12DC12DC12EZ", "{batch:?}");
    assert_eq!(batch.rows[1][0].as_deref(), Some("note 1"));
    assert_eq!(alice.reply().ok().value(), "last");
}

#[test]
fn the_key_of_another_session_does_not_end_a_wait() {
    let shop = PostgresShop::new("wait_key");
    let (mut alice, other) = (shop.alice(), shop.alice());
    let id = request(&mut alice);
    alice.send(&frame::query(format!("CALL hallpass.wait({id})").as_bytes()));
    waits(&shop, 1);
    other.cancel(other.key_data());
    assert!(alice.next(Duration::from_millis(300)).is_err(), "it still waits");
    alice.cancel(alice.key_data());
    assert_eq!(alice.reply().error().code(), "57014");
}
