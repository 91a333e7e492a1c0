//! The forms of a call: CALL, SELECT, prepared with parameters, in transactions, several at once; and wrong ones.

use hallpass_tests::{
    both,
    protocol::{Client as _, Direct as _, Kind, Protocol},
    shop::{PostgresShop, Shop},
};

use super::{
    FORBIDDEN, NO_PROCEDURE, NO_VIEW, NOTHING, OVER, READ, SENSELESS, UNSUPPORTED, call, number, refused, request,
};

both!(
    each_procedure_is_called_by_select_too,
    parameters_are_bound,
    wrong_calls_say_what_is_wrong,
    a_success_leaves_a_transaction_as_it_is,
    several_calls_share_a_message_and_others_do_not,
    a_held_statement_asks_each_time_it_runs,
    durations_and_options_are_written_in_many_ways,
    a_call_inside_another_statement_says_how_to_call_it,
);

fn each_procedure_is_called_by_select_too<P: Protocol>() {
    let shop = Shop::<P>::with("inband_select", |settings| {
        let glass =
            "[roles.owner]\nbreak_glass = { max_duration = \"30m\", groups = [\"oncall\"], review_within = \"24h\" }";
        settings.rules = settings.rules.replace("[roles.owner]", glass);
    });
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let value = |client: &mut P::Client, what: &str| {
        let answer = client.query(&format!("SELECT hallpass.{what}")).ok();
        let name = what.split('(').next().unwrap_or_default();
        assert_eq!((answer.columns, answer.rows.len()), (vec![name.to_owned()], 1));
        answer.rows[0][0].clone().unwrap_or_default()
    };
    let id = value(&mut alice, "request('reader', '1 hour', 'why')");
    assert_eq!(value(&mut bob, &format!("approve({id})")), "approved");
    assert_eq!(value(&mut alice, &format!("wait({id})")), "approved");
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    let grant = alice.query("SELECT id FROM hallpass.grants").ok().value();
    let longer = value(&mut alice, &format!("extend({grant}, '30 min')"));
    assert_eq!(value(&mut bob, &format!("reject({longer}, 'no')")), "rejected");
    assert_eq!(value(&mut alice, &format!("revoke({grant})")), "revoked");
    let id = value(&mut alice, "request_statement('SELECT 1', '1 hour', 'why')");
    assert_eq!(value(&mut alice, &format!("cancel({id})")), "cancelled");
    let glass = value(&mut alice, "break_glass('owner', '10 min', 'down')");
    assert_eq!(value(&mut bob, &format!("review({glass}, 'seen')")), "reviewed");
    let named = alice.query(&format!("SELECT hallpass.wait({id}) AS state_of_it")).ok();
    assert_eq!((named.columns.join(","), named.rows[0][0].as_deref()), ("state_of_it".to_owned(), Some("cancelled")));
}

fn parameters_are_bound<P: Protocol>() {
    let shop = Shop::<P>::new("inband_params");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let [one, two, three] = [1, 2, 3].map(P::parameter);
    let asked =
        alice.prepared(&format!("CALL hallpass.request({one}, {two}, {three})"), &["reader", "1 hour", "it's 'so'"]);
    let id = asked.ok().value();
    let reason = alice.query("SELECT reason FROM hallpass.requests").ok().value();
    assert_eq!(reason, "it's 'so'");
    let approved = bob.prepared(&format!("SELECT hallpass.approve({one}, {two})"), &[&id, "10 min"]).ok();
    assert_eq!(approved.value(), "approved");
    let wrong = bob.prepared(&format!("CALL hallpass.approve({one})"), &["x"]);
    refused::<P>(&wrong, SENSELESS, &["argument request", "hallpass.approve(request"]);
    let (attempt, _) = shop.proxy.audit().wait_for_outcome(&format!("CALL hallpass.request({one}, {two}, {three})"));
    assert!(attempt.parameters.is_some_and(|all| all.contains("reader") && all.contains("1 hour")));
}

fn wrong_calls_say_what_is_wrong<P: Protocol>() {
    let shop = Shop::<P>::new("inband_wrong");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let id = request(&mut alice);
    let approve = format!("approve({id})");
    let cases = [
        ("nothing(1)", NO_PROCEDURE, vec!["hallpass.nothing", "request, request_statement, break_glass, wait"]),
        ("request('reader')", NO_PROCEDURE, vec!["1 argument", "CALL hallpass.request(role, duration, reason)"]),
        ("wait('x')", NO_PROCEDURE, vec!["argument request", "CALL hallpass.wait(request [, timeout])"]),
        ("wait(TRUE)", NO_PROCEDURE, vec!["argument request"]),
        ("request('reader', 'soon', 'why')", SENSELESS, vec!["`soon`", "'30 min'"]),
        ("request('reader', '99 h', 'why')", SENSELESS, vec!["at most 8h", "'8h'"]),
        ("request('reader', '0 s', 'why')", SENSELESS, vec!["longer than nothing", "'30 min'"]),
        ("request('reader', '1 h', ' ')", SENSELESS, vec!["needs a reason", "'INC-1234'"]),
        ("request('nobody', '1 h', 'why')", SENSELESS, vec!["there is no role `nobody`", "roles: "]),
        ("request(NULL, '1 h', 'why')", SENSELESS, vec!["argument role", "must not be NULL", "CALL hallpass.request("]),
        ("request('reader', NULL, 'why')", SENSELESS, vec!["argument duration", "must not be NULL"]),
        ("request('reader', '1.5 hours', 'why')", SENSELESS, vec!["`1.5 hours` has a fraction", "'1h30m'"]),
        (
            "request_statement('SELECT 1', '1 h', 'why', 'unmsk')",
            SENSELESS,
            vec!["no option `unmsk`", "unmask and export"],
        ),
        ("wait(NULL)", SENSELESS, vec!["argument request", "must not be NULL"]),
        ("wait(4711)", NOTHING, vec!["no request 4711"]),
        ("wait(-1)", NOTHING, vec!["no request -1"]),
        ("wait(1, '99999 weeks')", SENSELESS, vec!["longer than 100 years"]),
        ("extend(4711, '1 h')", NOTHING, vec!["no grant 4711"]),
        ("revoke(4711)", NOTHING, vec!["no grant 4711"]),
        ("review(4711, 'x')", NOTHING, vec!["no grant 4711"]),
        ("request(lower('X'), '1 h', 'why')", UNSUPPORTED, vec!["a constant or a parameter"]),
        (approve.as_str(), FORBIDDEN, vec!["nobody may approve their own request"]),
    ];
    for (what, codes, words) in cases {
        let answer = alice.query(&format!("CALL hallpass.{what}"));
        assert_eq!(answer.errors.len(), 1, "{what}: {answer:?}");
        let error = refused::<P>(&answer, codes, &words);
        assert!(!error.words().contains("--"), "no options of the command line: {error:?}");
    }
    call(&mut bob, &approve);
    refused::<P>(&bob.query(&format!("CALL hallpass.{approve}")), OVER, &["approved already"]);
    assert_eq!(alice.query("SELECT 1").ok().value(), "1", "the session lives");
}

fn durations_and_options_are_written_in_many_ways<P: Protocol>() {
    let shop = Shop::<P>::new("inband_units");
    let mut alice = shop.alice();
    for text in ["90 min", "1h30m", "1 hour 30 minutes", "90 MINUTES", "1 hr 30 mins", "01:30:00", " 5400s "] {
        call(&mut alice, &format!("request('reader', '{text}', 'why')"));
        let newest = "SELECT duration FROM hallpass.requests ORDER BY id DESC LIMIT 1";
        assert_eq!(alice.query(newest).ok().value(), "1h30m", "{text}");
    }
    for options in ["unmask,export", "Export, UNMASK", "export unmask"] {
        let sql = format!("request_statement('SELECT 1', '30 min', 'why', '{options}')");
        let id = number(&call(&mut alice, &sql), 0);
        let both = format!("SELECT count(*) FROM hallpass.requests WHERE id = {id} AND export AND unmask");
        assert_eq!(alice.query(&both).ok().value(), "1", "{options}");
    }
}

fn a_call_inside_another_statement_says_how_to_call_it<P: Protocol>() {
    let shop = Shop::<P>::new("inband_inside");
    let mut alice = shop.alice_as("owner");
    let ask = "hallpass.request('reader', '1 h', 'why')";
    let words =
        ["hallpass.request inside another statement", "CALL hallpass.request(role, duration, reason) by itself"];
    for sql in [format!("INSERT INTO shop.orders (id) VALUES ({ask})"), format!("SELECT 1 WHERE 1 = {ask}")] {
        refused::<P>(&alice.query(&sql), UNSUPPORTED, &words);
    }
    let unknown = alice.query("SELECT 1 WHERE 1 = hallpass.requets('x')");
    refused::<P>(&unknown, NO_PROCEDURE, &["hallpass.requets does not exist", "there are: request, "]);
    let table = alice.query("SELECT * FROM hallpass.approve");
    refused::<P>(&table, NO_VIEW, &["CALL hallpass.approve(request [, duration [, comment]])"]);
    assert_eq!(alice.query("SELECT count(*) FROM hallpass.requests WHERE state = 'pending'").ok().value(), "0");
}

/// MySQL has no such notation.
#[test]
fn arguments_may_be_named_in_postgres() {
    let shop = PostgresShop::new("inband_named");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let id = number(&call(&mut alice, "request('reader', reason => 'why', duration => '1 hour')"), 0);
    let told = bob.query(&format!("SELECT hallpass.approve(request => {id}, comment => 'quick')")).ok();
    assert_eq!(told.value(), "approved");
    let wrong = alice.query("CALL hallpass.request('reader', '1 hour', why => 'x')");
    assert!(wrong.error().message().contains("hallpass.request has no argument why"), "{wrong:?}");
}

fn a_success_leaves_a_transaction_as_it_is<P: Protocol>() {
    let shop = Shop::<P>::new("inband_transaction");
    shop.grant("fixer");
    let mut alice = shop.alice();
    alice.query("BEGIN").ok();
    alice.query("UPDATE shop.orders SET note = 'changed' WHERE id = 3").ok();
    let asked = alice.query("CALL hallpass.request('reader', '1 hour', 'why')").ok();
    assert!(asked.in_transaction, "{asked:?}");
    assert!(alice.query("SELECT * FROM hallpass.session").ok().in_transaction);
    assert!(alice.query("COMMIT").ok().errors.is_empty());
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 3"), "changed");
    // An error is one to the server, too: on Postgres it aborts the transaction, on MySQL it does not.
    alice.query("BEGIN").ok();
    alice.query("UPDATE shop.orders SET note = 'again' WHERE id = 3").ok();
    let failed = alice.query("CALL hallpass.wait(4711)");
    refused::<P>(&failed, NOTHING, &[]);
    assert_eq!(alice.query("UPDATE shop.orders SET note = 'more' WHERE id = 4").errors.len(), P::pick(1, 0));
    // Asking still works: the way out of a denial is not closed by it.
    let asked = alice.query("CALL hallpass.request('owner', '1 hour', 'why')").ok();
    assert!(asked.in_transaction);
    assert_eq!(alice.query("SELECT count(*) FROM hallpass.requests").ok().value(), "3");
    alice.query("COMMIT").ok();
    let note = shop.database.value("SELECT note FROM shop.orders WHERE id = 3");
    assert_eq!(note, P::pick("changed", "again"));
}

fn several_calls_share_a_message_and_others_do_not<P: Protocol>() {
    let shop = Shop::<P>::new("inband_several");
    let mut alice = shop.alice();
    let both =
        alice.query("CALL hallpass.request('reader', '1 h', 'one'); SELECT count(*) FROM hallpass.requests").ok();
    assert_eq!(both.rows.len(), 2, "{both:?}");
    assert_eq!(both.rows[1][0].as_deref(), Some("1"));
    let failed = alice.query(
        "CALL hallpass.request('reader', '1 h', 'two'); CALL hallpass.wait(4711); SELECT * FROM hallpass.session",
    );
    assert_eq!((failed.rows.len(), failed.errors.len()), (1, 1), "those before the error are done: {failed:?}");
    let mixed = alice.query("CALL hallpass.request('reader', '1 h', 'three'); SELECT 1");
    refused::<P>(&mixed, UNSUPPORTED, &["share a message", "one by one"]);
    assert!(mixed.rows.is_empty());
    assert_eq!(alice.query("SELECT count(*) FROM hallpass.requests").ok().value(), "2");
}

fn a_held_statement_asks_each_time_it_runs<P: Protocol>() {
    let shop = Shop::<P>::new("inband_held");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    let held = alice.hold("SELECT count(*) FROM hallpass.grants WHERE state = 'active'");
    assert_eq!(alice.run_held(&held).ok().value(), "0");
    let id = request(&mut alice);
    let grant = number(&call(&mut bob, &format!("approve({id})")), 2);
    assert_eq!(alice.run_held(&held).ok().value(), "1");
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    call(&mut alice, &format!("revoke({grant})"));
    assert_eq!(alice.run_held(&held).ok().value(), "0");
    alice.query(READ).fails(Kind::Denied);
}
