//! From the first denial to the last, on one connection; and the other ways a request can go.

use hallpass_tests::{
    both,
    protocol::{Client as _, Direct as _, Kind, Protocol},
    shop::Shop,
};

use super::{FORBIDDEN, OVER, READ, call, number, refused, request};

both!(
    the_whole_story_on_one_connection,
    one_statement_with_its_masks_lifted,
    the_glass_is_broken_and_looked_at,
    requests_are_rejected_and_withdrawn,
    an_approver_may_shorten_and_comment,
    nothing_of_it_reaches_the_server,
    the_audit_holds_question_and_change,
    who_asks_is_who_logged_in,
);

fn the_whole_story_on_one_connection<P: Protocol>() {
    let shop = Shop::<P>::new("inband_story");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let denied = alice.query(READ).fails(Kind::Denied).clone();
    assert!(denied.hint.contains("hallpass"), "{denied:?}");
    let asked = call(&mut alice, "request('reader', '1 hour', 'INC-1234 stuck order')");
    let id = number(&asked, 0);
    assert_eq!((asked[1].as_deref(), &asked[2], &asked[3]), (Some("pending"), &None, &None), "{asked:?}");
    let message = asked[4].clone().unwrap_or_default();
    for words in ["group:security", &format!("CALL hallpass.approve({id})"), &format!("CALL hallpass.wait({id})")] {
        assert!(message.contains(words), "{message}");
    }
    alice.query(READ).fails(Kind::Denied);

    alice.start(&format!("CALL hallpass.wait({id}, '5 min')"));
    let pending = bob.query("SELECT id, user_name, reason FROM hallpass.requests WHERE state = 'pending'").ok();
    assert_eq!(pending.lines(), [format!("{id}|alice|INC-1234 stuck order")]);
    let approved = call(&mut bob, &format!("approve({id})"));
    assert_eq!(approved[1].as_deref(), Some("approved"));
    let waited = alice.answer().ok();
    let grant = number(&waited.rows[0], 2);
    assert_eq!((waited.value(), waited.rows[0][1].as_deref()), (id.to_string(), Some("approved")), "{waited:?}");
    assert_eq!(waited.rows[0][3], approved[3], "both are told the same end");
    assert_eq!(alice.query(READ).ok().value(), "note 1");

    let more = call(&mut alice, &format!("extend({grant}, '30 min', 'not done yet')"));
    let longer = number(&more, 0);
    assert_eq!(more[1].as_deref(), Some("pending"), "{more:?}");
    call(&mut bob, &format!("approve({longer})"));
    let ends = |client: &mut P::Client| {
        client.query(&format!("SELECT ends FROM hallpass.grants WHERE id = {grant}")).ok().value()
    };
    assert!(ends(&mut alice) > waited.rows[0][3].clone().unwrap_or_default(), "the end moved");
    assert_eq!(alice.query(READ).ok().value(), "note 1");

    let revoked = call(&mut alice, &format!("revoke({grant}, 'done')"));
    assert_eq!((number(&revoked, 2), revoked[1].as_deref()), (grant, Some("revoked")), "{revoked:?}");
    let over = alice.query(READ).fails(Kind::Denied).clone();
    assert!(over.says(&[&format!("grant {grant}"), "revoked"]), "names the end: {over:?}");
    assert_eq!(alice.query("SELECT 1").ok().value(), "1");
}

fn one_statement_with_its_masks_lifted<P: Protocol>() {
    let shop = Shop::<P>::new("inband_statement");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let asked = "SELECT email FROM shop.customers WHERE id = 7";
    let options = [("unmask,export", ["1", "1"]), ("unmask", ["0", "1"]), ("", ["0", "0"])];
    for (said, [export, unmask]) in options {
        let what = format!("request_statement('{asked}', '30 min', 'ticket 99', '{said}')");
        let id = number(&call(&mut alice, &what), 0);
        let truth = |bit: &str| P::pick(if bit == "1" { "t" } else { "f" }, bit).to_owned();
        let view = format!("SELECT statement, export, unmask, duration FROM hallpass.requests WHERE id = {id}");
        let line = format!("{asked}|{}|{}|30m", truth(export), truth(unmask));
        assert_eq!(bob.query(&view).ok().lines(), [line]);
        if said.contains("unmask") {
            call(&mut bob, &format!("approve({id})"));
        } else {
            call(&mut alice, &format!("cancel({id})"));
        }
    }
    assert_eq!(alice.query(asked).ok().value(), "mail7@example.test");
    alice.query("SELECT email FROM shop.customers WHERE id = 8").fails(Kind::Denied);
    let wrong = alice.query("CALL hallpass.request_statement('SELECT 1', '30 min', 'x', 'everything')");
    refused::<P>(&wrong, super::SENSELESS, &["there is no option `everything`", "unmask and export"]);
    let wrong = alice.query("CALL hallpass.request_statement('DELETE FROM shop.orders WHERE id = 1', '30 min', 'x')");
    let error = refused::<P>(&wrong, super::SENSELESS, &["for reading"]);
    assert!(error.hint.contains("CALL hallpass.request(") && !error.hint.contains("--role"), "{error:?}");
    let wrong = alice.query("CALL hallpass.request_statement('SELECT * FROM shop.nothing', '30 min', 'x')");
    refused::<P>(&wrong, super::NO_VIEW, &["shop.nothing"]);
    let wrong = alice.query("CALL hallpass.request_statement('SELEC 1', '30 min', 'x')");
    wrong.fails(Kind::Unparsed);
}

fn the_glass_is_broken_and_looked_at<P: Protocol>() {
    let shop = Shop::<P>::with("inband_glass", |settings| {
        let glass =
            "[roles.owner]\nbreak_glass = { max_duration = \"30m\", groups = [\"oncall\"], review_within = \"24h\" }";
        settings.rules = settings.rules.replace("[roles.owner]", glass);
    });
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let long = alice.query("CALL hallpass.break_glass('owner', '2 h', 'prod down')");
    let error = refused::<P>(&long, super::SENSELESS, &["at most 30m"]);
    assert!(error.hint.contains("'30m'"), "{error:?}");
    let broken = call(&mut alice, "break_glass('owner', '15 min', 'prod down, INC-1235')");
    let grant = number(&broken, 2);
    assert_eq!(broken[1].as_deref(), Some("approved"), "{broken:?}");
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    let second = alice.query("CALL hallpass.break_glass('owner', '15 min', 'again')");
    let error = refused::<P>(&second, OVER, &[&format!("CALL hallpass.review({grant}, ")]);
    assert!(!error.words().contains("--comment"), "{error:?}");
    let own = alice.query(&format!("CALL hallpass.review({grant}, 'fine')"));
    refused::<P>(&own, FORBIDDEN, &["ask somebody else"]);
    let due = format!("SELECT review FROM hallpass.grants WHERE id = {grant}");
    assert_eq!(bob.query(&due).ok().value(), "due");
    let looked = call(&mut bob, &format!("review({grant}, 'looked at it')"));
    assert_eq!((number(&looked, 2), looked[1].as_deref()), (grant, Some("reviewed")), "{looked:?}");
    assert_eq!(alice.query(&due).ok().value(), "done");
    let bob_too = bob.query("CALL hallpass.break_glass('owner', '15 min', 'me too')");
    refused::<P>(&bob_too, FORBIDDEN, &["CALL hallpass.request('owner'"]);
    call(&mut alice, "break_glass('owner', '15 min', 'down again')");
}

fn requests_are_rejected_and_withdrawn<P: Protocol>() {
    let shop = Shop::<P>::new("inband_no");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let first = request(&mut alice);
    let rejected = call(&mut bob, &format!("reject({first}, 'not today')"));
    assert_eq!(rejected[1].as_deref(), Some("rejected"), "{rejected:?}");
    let told = call(&mut alice, &format!("wait({first})"));
    assert_eq!(told[4].as_deref(), Some(&*format!("request {first} was rejected by bob: not today")));
    let second = request(&mut alice);
    let withdrawn = call(&mut alice, &format!("cancel({second})"));
    assert_eq!(withdrawn[1].as_deref(), Some("cancelled"), "{withdrawn:?}");
    let late = bob.query(&format!("CALL hallpass.approve({second})"));
    refused::<P>(&late, OVER, &["cancelled already"]);
    let notes = "SELECT id, state, note FROM hallpass.requests ORDER BY id";
    let lines =
        [format!("{first}|rejected|rejected by bob: not today"), format!("{second}|cancelled|cancelled by alice")];
    assert_eq!(alice.query(notes).ok().lines(), lines);
    let third = request(&mut alice);
    let own = alice.query(&format!("CALL hallpass.reject({third})"));
    refused::<P>(&own, FORBIDDEN, &["nobody may reject their own request", &format!("CALL hallpass.cancel({third})")]);
    let other = bob.query(&format!("CALL hallpass.cancel({third})"));
    refused::<P>(&other, FORBIDDEN, &["not yours to cancel", &format!("CALL hallpass.reject({third}")]);
    alice.query(READ).fails(Kind::Denied);
}

fn an_approver_may_shorten_and_comment<P: Protocol>() {
    let shop = Shop::<P>::new("inband_shorten");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let id = request(&mut alice);
    let longer = bob.query(&format!("CALL hallpass.approve({id}, '2 h')"));
    refused::<P>(&longer, super::SENSELESS, &["it asks for 1h"]);
    let wrong = bob.query(&format!("CALL hallpass.approve({id}, 'soon')"));
    refused::<P>(&wrong, super::SENSELESS, &["`soon`", "'30 min'"]);
    call(&mut bob, &format!("approve({id}, '10 min', 'be quick')"));
    shop.proxy.audit().wait("the comment", |events| {
        events.iter().find(|event| event.reason.as_deref() == Some("be quick")).map(|_| ())
    });
    let state = shop.proxy.json(&["grants"]);
    assert_eq!(state[0]["user"], "alice", "{state}");
    assert_eq!(alice.query(READ).ok().value(), "note 1");
}

fn nothing_of_it_reaches_the_server<P: Protocol>() {
    let shop = Shop::<P>::new("inband_log");
    shop.database.log_statements();
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    alice.query("SELECT 'before'").ok();
    let id = request(&mut alice);
    alice.query(&format!("SELECT hallpass.wait({id}, '1 s')")).ok();
    call(&mut bob, &format!("approve({id})"));
    for view in ["roles", "grants", "requests", "masks", "session"] {
        for answer in alice.every_way(&format!("SELECT * FROM hallpass.{view}")) {
            answer.ok();
        }
    }
    for wrong in [
        "SELECT * FROM hallpass.nothing",
        "CALL hallpass.nothing()",
        "SELECT * FROM hallpass.grants g, shop.orders o",
        "INSERT INTO hallpass.grants VALUES (1)",
        "SELECT id FROM shop.orders WHERE hallpass.wait(1) = 'x'",
        "CREATE TABLE shop.copy AS SELECT * FROM hallpass.grants",
        "EXPLAIN SELECT * FROM hallpass.grants",
    ] {
        assert_eq!(alice.query(wrong).errors.len(), 1, "{wrong}");
    }
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    assert_eq!(alice.query("SELECT 'after'").ok().value(), "after");
    let log = shop.database.statement_log();
    assert!(log.iter().any(|text| text == shop.database.as_logged("SELECT 'after'")), "{log:?}");
    let seen: Vec<_> = log.iter().filter(|text| text.contains("hallpass.")).collect();
    assert!(seen.is_empty(), "{seen:?}");
}

fn the_audit_holds_question_and_change<P: Protocol>() {
    let shop = Shop::<P>::new("inband_audit");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let id = request(&mut alice);
    let approve = format!("CALL hallpass.approve({id})");
    bob.query(&approve).ok();
    let (attempt, outcome) =
        shop.proxy.audit().wait_for_outcome("CALL hallpass.request('reader', '1 hour', 'INC-1234 stuck order')");
    assert_eq!(attempt.reason.as_deref(), Some("answered by the proxy"));
    assert_eq!((attempt.user.as_deref(), attempt.decision.as_deref()), (Some("alice"), Some("allow")));
    assert_eq!((outcome.rows, outcome.error_code.as_deref()), (Some(1), None));
    let (decided, _) = shop.proxy.audit().wait_for_outcome(&approve);
    assert_ne!(decided.session, attempt.session);
    let events = shop.proxy.audit().wait("the start of the grant", |events| {
        events.iter().any(|event| event.kind == "grant_start").then(|| events.to_vec())
    });
    let of = |kind: &str| events.iter().find(|event| event.kind == kind).unwrap_or_else(|| panic!("no {kind}"));
    let (asked, approval) = (of("request"), of("approval"));
    assert_eq!((asked.user.as_deref(), &asked.session), (Some("alice"), &attempt.session), "{asked:?}");
    assert_eq!((approval.user.as_deref(), &approval.session), (Some("bob"), &decided.session), "{approval:?}");
    assert!(asked.seq > attempt.seq && approval.seq > decided.seq, "the question stands before what it changed");
    let wrong = format!("CALL hallpass.approve({})", id + 100);
    bob.query(&wrong);
    let (_, outcome) = shop.proxy.audit().wait_for_outcome(&wrong);
    assert_eq!(outcome.error_code.as_deref(), Some("P0002"), "{outcome:?}");
    assert!(outcome.reason.is_some_and(|why| why.contains(&format!("no request {}", id + 100))));
}

fn who_asks_is_who_logged_in<P: Protocol>() {
    let shop = Shop::<P>::new("inband_who");
    let mut bob = shop.connect("bob");
    for more in
        ["request('fixer', '1 h', 'x', 'alice')", "break_glass('owner', '1 h', 'x', 'alice')", "cancel(1, 'alice')"]
    {
        refused::<P>(&bob.query(&format!("CALL hallpass.{more}")), super::NO_PROCEDURE, &["arguments", "hallpass."]);
    }
    let set = P::pick("SET application_name = 'alice'", "SET @user = 'alice'");
    bob.query(set).ok();
    refused::<P>(&bob.query("CALL hallpass.request('fixer', '1 h', 'x')"), FORBIDDEN, &["`bob` may not ask"]);
    let id = request(&mut bob);
    let own = bob.query(&format!("CALL hallpass.approve({id})"));
    refused::<P>(&own, FORBIDDEN, &["nobody may approve their own request", &format!("CALL hallpass.cancel({id})")]);
    let asked = shop.proxy.json(&["requests"]);
    assert_eq!(asked[0]["user"], "bob", "{asked}");
    let mut carol = shop.connect("alice");
    let other = carol.query(&format!("CALL hallpass.approve({id})"));
    refused::<P>(&other, super::NOTHING, &[&format!("no request {id}")]);
}
