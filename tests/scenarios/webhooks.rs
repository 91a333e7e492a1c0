//! Webhooks: who is told of what, that it is told again when it was not heard, that nobody waits for it, and that no
//! secret is in it.

use std::{process::Command, time::Duration};

use hallpass_tests::{
    both,
    process::{run, wait_for},
    protocol::{Client as _, Kind, Protocol},
    proxy::PASSWORD,
    shop::Shop,
    webhook::{Answer, Received, URL_TOKEN, Webhook},
};
use serde_json::{Value, json};

both!(
    a_request_is_told_from_asking_to_its_end,
    what_is_asked_and_decided_in_sql_is_told,
    what_time_does_is_told,
    a_break_glass_is_told_and_so_is_a_refused_one,
    slack_gets_text_and_blocks_in_which_users_format_nothing,
    what_was_not_heard_is_told_again_in_order,
    a_webhook_that_hangs_delays_no_statement,
    no_secret_and_no_value_is_told,
    a_failing_audit_is_told,
    a_reload_changes_who_is_told,
    what_is_told_last_arrives_before_the_proxy_ends,
    an_own_authority_is_trusted_where_it_is_named,
);

const READ: &str = "SELECT note FROM shop.orders WHERE id = 1";

/// A shop that tells this webhook.
fn shop<P: Protocol>(name: &str, hook: &Webhook, more: &str) -> Shop<P> {
    Shop::with(name, |settings| {
        let glass =
            "[roles.owner]\nbreak_glass = { max_duration = \"30m\", groups = [\"oncall\"], review_within = \"24h\" }";
        settings.rules = settings.rules.replace("[roles.owner]", glass) + &hook.section(more);
    })
}

fn request<P: Protocol>(shop: &Shop<P>, token: &str, role: &str, reason: &str) -> Value {
    let ask = ["request", "--role", role, "--database", "shop", "--for", "1h", "--json", "--reason", reason];
    let told = shop.proxy.cli_as(token, &ask).ok();
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("no JSON: {error}: {told}"))
}

/// These fields of a body.
fn fields(body: &Value, keys: &[&str]) -> Value {
    keys.iter().map(|key| ((*key).to_owned(), body[*key].clone())).collect()
}

fn a_request_is_told_from_asking_to_its_end<P: Protocol>() {
    let hook = Webhook::start();
    let shop = shop::<P>("hook", &hook, "");
    let (alice, bob) = (shop.proxy.token("alice"), shop.proxy.token("bob"));
    let mut session = shop.alice();
    session.query(READ).fails(Kind::Denied);
    let id = request(&shop, &alice, "reader", "INC-1234 stuck order")["id"].clone();
    let asked = hook.wait_for("request/asked");
    let expected = json!({
        "request_id": id, "user": "alice", "targets": ["shop"], "role": "reader", "duration_seconds": 3600.0,
        "reason": "INC-1234 stuck order", "waiting_for": "group:security",
        "commands": [format!("hallpass approve {id}"), format!("CALL hallpass.approve({id})")],
    });
    assert_eq!(
        fields(&asked, &expected.as_object().expect("fields").keys().map(String::as_str).collect::<Vec<_>>()),
        expected
    );
    let at = asked["at"].as_str().expect("a time");
    assert!(at.len() == 27 && at.ends_with('Z') && at.as_bytes()[10] == b'T', "RFC 3339: {at}");

    let own = shop.proxy.cli_as(&alice, &["approve", &id.to_string()]).failed();
    assert!(own.contains("nobody may approve their own request"), "{own}");
    shop.proxy.cli_as(&bob, &["approve", &id.to_string(), "--for", "30m", "--comment", "go"]).ok();
    assert_eq!(session.query(READ).ok().value(), "note 1");
    let decided = hook.wait_for("decision/approved");
    let expected = json!({ "by": "bob", "user": "alice", "role": "reader", "request_id": id, "comment": "go" });
    assert_eq!(fields(&decided, &["by", "user", "role", "request_id", "comment"]), expected);
    let grant = decided["grant_id"].clone();
    shop.proxy.cli_as(&alice, &["revoke", &grant.to_string(), "--reason", "done"]).ok();
    let ended = hook.wait_for("grant_end/revoked");
    let expected = json!({ "by": "alice", "user": "alice", "grant_id": grant, "comment": "done" });
    assert_eq!(fields(&ended, &["by", "user", "grant_id", "comment"]), expected);

    let told: Vec<_> = hook.received().iter().map(Received::what).collect();
    assert_eq!(told, ["request/asked", "decision/approved", "grant_end/revoked"], "each once, and no more");
    let denied = shop.proxy.audit().wait("the refused approval", |events| {
        events.iter().find(|event| event.kind == "approval" && event.decision.as_deref() == Some("deny")).cloned()
    });
    assert_eq!(denied.user.as_deref(), Some("alice"));
}

fn what_is_asked_and_decided_in_sql_is_told<P: Protocol>() {
    let hook = Webhook::start();
    let shop = shop::<P>("hook_sql", &hook, "");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    alice.query(READ).fails(Kind::Denied);
    alice.query("CALL hallpass.request('reader', '1 hour', 'INC-5 in SQL')").ok();
    let asked = hook.wait_for("request/asked");
    let expected = json!({ "user": "alice", "role": "reader", "targets": ["shop"], "reason": "INC-5 in SQL" });
    assert_eq!(fields(&asked, &["user", "role", "targets", "reason"]), expected);
    // What is told to be typed works as it stands, for who may; and not for who asked.
    let approve = asked["commands"][1].as_str().expect("a command");
    assert!(!alice.query(approve).errors.is_empty());
    bob.query(approve).ok();
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    assert_eq!(hook.wait_for("decision/approved")["by"], "bob");
    assert!(!bob.query("CALL hallpass.break_glass('owner', '15 min', 'prod down')").errors.is_empty());
    assert_eq!(hook.wait_for("break_glass/refused")["user"], "bob");
    assert!(!alice.query("CALL hallpass.request_statement('SELEC 1', '1 hour', 'a slip')").errors.is_empty());

    let denied = shop.proxy.audit().wait("three refusals", |events| {
        let denied = events.iter().filter(|event| event.decision.as_deref() == Some("deny") && event.kind != "denied");
        let denied: Vec<_> = denied.map(|event| (event.kind.clone(), event.user.clone().unwrap_or_default())).collect();
        (denied.len() >= 3).then_some(denied)
    });
    let of = |kind: &str, user: &str| (kind.to_owned(), user.to_owned());
    assert_eq!(denied, [of("approval", "alice"), of("break_glass", "bob"), of("request", "alice")]);
}

fn what_time_does_is_told<P: Protocol>() {
    let hook = Webhook::start();
    let shop = Shop::<P>::with("hook_time", |settings| {
        settings.server = "request_timeout = \"8s\"".to_owned();
        settings.rules += &hook.section("");
    });
    shop.proxy.grant("alice", "reader", "shop", "1s");
    let lapsing = shop.proxy.request("alice", "small", "shop", "1h");
    let ended = hook.wait_for("grant_end/expired");
    assert_eq!(fields(&ended, &["user", "role"]), json!({ "user": "alice", "role": "reader" }));
    let lapsed = hook.wait_for("decision/lapsed");
    assert_eq!((&lapsed["request_id"], &lapsed["comment"]), (&lapsing.into(), &"not decided within 8s".into()));
}

fn a_break_glass_is_told_and_so_is_a_refused_one<P: Protocol>() {
    let hook = Webhook::start();
    let shop = shop::<P>("hook_glass", &hook, "events = [\"break_glass\"]");
    let (alice, bob) = (shop.proxy.token("alice"), shop.proxy.token("bob"));
    let glass = ["break-glass", "--role", "owner", "--database", "shop", "--reason", "prod down"];
    let mut session = shop.alice();
    session.query(READ).fails(Kind::Denied);
    shop.proxy.cli_as(&bob, &glass).failed();
    let refused = hook.wait_for("break_glass/refused");
    let expected = json!({
        "user": "bob", "role": "owner", "targets": ["shop"], "reason": "prod down",
        "comment": "`bob` may not break the glass for role `owner`",
    });
    assert_eq!(fields(&refused, &["user", "role", "targets", "reason", "comment"]), expected);
    let denied = shop.proxy.audit().wait("the refused break-glass", |events| {
        events.iter().find(|event| event.kind == "break_glass" && event.decision.as_deref() == Some("deny")).cloned()
    });
    assert_eq!((denied.user.as_deref(), denied.target.as_deref()), (Some("bob"), Some("shop")));
    assert!(denied.reason.is_some_and(|why| why.contains("role owner") && why.contains("prod down")));

    shop.proxy.cli_as(&alice, &glass).ok();
    assert_eq!(session.query(READ).ok().value(), "note 1");
    let broken = hook.wait_for("break_glass/broken");
    let grant = broken["grant_id"].clone();
    assert_eq!(broken["commands"][0], format!("hallpass review {grant} --comment \"…\""));
    shop.proxy.cli_as(&bob, &["review", &grant.to_string(), "--comment", "looked"]).ok();
    let reviewed = hook.wait_for("break_glass/reviewed");
    assert_eq!((&reviewed["by"], &reviewed["comment"]), (&"bob".into(), &"looked".into()));
    assert_eq!(hook.received().len(), 3, "only what is wanted");
}

fn slack_gets_text_and_blocks_in_which_users_format_nothing<P: Protocol>() {
    let hook = Webhook::start();
    let shop = shop::<P>("hook_slack", &hook, "format = \"slack\"");
    let alice = shop.proxy.token("alice");
    let id = request(&shop, &alice, "reader", "<!channel> *approved* by @here & co")["id"].clone();
    let received = hook.wait("a request", |all| all.first().cloned());
    assert!(received.head.starts_with(&format!("POST /hooks/{URL_TOKEN}?key={URL_TOKEN} HTTP/1.1")), "{received:?}");
    assert!(received.head.to_lowercase().contains("content-type: application/json"), "{received:?}");
    let body = received.json();
    let headline = format!("alice asks for role reader on shop for 1h: request {id}");
    let tamed = "&lt;!channel&gt; *approved* by @\u{200b}here &amp; co";
    let reason = "Reason: <!channel> *approved* by @\u{200b}here & co";
    let commands = format!("`hallpass approve {id}`  or  `CALL hallpass.approve({id})`");
    let expected = json!({
        "text": format!("{headline}; {tamed}"),
        "mrkdwn": false,
        "blocks": [
            { "type": "section", "text": { "type": "mrkdwn", "text": format!("*{headline}*") } },
            { "type": "section", "text": { "type": "plain_text", "text": reason, "emoji": false } },
            { "type": "section", "text": { "type": "plain_text", "text": "Waits for: group:security", "emoji": false } },
            { "type": "context", "elements": [{ "type": "mrkdwn", "text": commands }] },
        ],
    });
    assert_eq!(body, expected);
}

fn what_was_not_heard_is_told_again_in_order<P: Protocol>() {
    let hook = Webhook::absent();
    let shop = shop::<P>("hook_retry", &hook, "timeout = \"500ms\"");
    let first = shop.proxy.request("alice", "reader", "shop", "1h");
    shop.proxy.cli(&["reject", &first.to_string()]).ok();
    hook.next(&[Answer::Status(500), Answer::Close, Answer::Hang, Answer::Status(200), Answer::Status(404)]);
    hook.listen();
    shop.proxy.request("alice", "small", "shop", "1h");
    let all = hook.wait("all six", |all| (all.len() >= 6).then(|| all.to_vec()));
    let answers: Vec<_> = all.iter().map(|received| (received.what(), received.answer)).collect();
    let (asked, rejected) = ("request/asked".to_owned(), "decision/rejected".to_owned());
    let expected = [
        (asked.clone(), Answer::Status(500)),
        (asked.clone(), Answer::Close),
        (asked.clone(), Answer::Hang),
        (asked.clone(), Answer::Status(200)),
        // A no that no second try would change.
        (rejected, Answer::Status(404)),
        (asked, Answer::Status(200)),
    ];
    assert_eq!(answers, expected);
    assert!(all[..4].iter().all(|received| received.body == all[0].body), "the same each time: {all:?}");
    assert_ne!(all[0].json()["id"], all[5].json()["id"]);
    let log = shop.proxy.log();
    for said in ["cannot be reached", "is delivered now", "answered 404", "webhook=1"] {
        assert!(log.contains(said), "`{said}` is missing: {log}");
    }
    assert!(!log.contains(URL_TOKEN), "{log}");
}

fn a_webhook_that_hangs_delays_no_statement<P: Protocol>() {
    let hook = Webhook::start();
    hook.always(Answer::Hang);
    let shop = shop::<P>("hook_hang", &hook, "timeout = \"10m\"");
    let mut session = shop.alice();
    let id = shop.proxy.request("alice", "reader", "shop", "1h");
    hook.wait("the request, unanswered", |all| (all.len() == 1).then_some(()));
    // Everything from here on happens while the webhook holds its first request.
    let grant = shop.proxy.approve(id);
    for _ in 0..20 {
        assert_eq!(session.query(READ).ok().value(), "note 1");
    }
    for _ in 0..20 {
        shop.proxy.grant("alice", "small", "shop", "1h");
    }
    shop.proxy.revoke(grant);
    assert_eq!(session.query(READ).ok().value(), "note 1", "under another grant");
    assert_eq!(hook.received().len(), 1, "it holds its first request still");
}

fn no_secret_and_no_value_is_told<P: Protocol>() {
    let hook = Webhook::start();
    let shop = shop::<P>("hook_secrets", &hook, "");
    let (alice, bob) = (shop.proxy.token("alice"), shop.proxy.token("bob"));
    let sql = "SELECT id, email FROM shop.customers WHERE ssn = '900-00-0007' AND name <> 'literal-canary'";
    let ask = ["request", "--statement", sql, "--unmask", "--database", "shop", "--for", "1h", "--reason", "ticket 99"];
    shop.proxy.cli_as(&alice, &ask).ok();
    let asked = hook.wait_for("request/asked");
    assert_eq!(asked["statement"], json!({ "tables": ["shop.customers"], "export": false, "unmask": true }));
    let id = asked["request_id"].to_string();
    shop.proxy.cli_as(&bob, &["approve", &id]).ok();
    let mut session = shop.alice();
    assert_eq!(session.query(sql).ok().lines(), ["7|mail7@example.test"]);
    session.query("SELECT secret FROM shop.vault WHERE secret = 'literal-canary'").fails(Kind::Denied);
    let grant = hook.wait_for("decision/approved")["grant_id"].to_string();
    shop.proxy.cli(&["revoke", &grant]).ok();
    hook.wait_for("grant_end/revoked");

    // The server fails: what the log says of it names no URL either. Nor does a configuration that is wrong.
    hook.next(&[Answer::Status(403)]);
    shop.proxy.request("alice", "reader", "shop", "1h");
    hook.wait("the fourth", |all| (all.len() == 4).then_some(()));
    shop.proxy.stop();
    let log = shop.proxy.log();
    assert!(log.contains("answered 403"), "{log}");
    shop.proxy.reconfigure(|settings| settings.rules += "format = \"xml\"\nca = \"no.crt\"\n");
    let checked = shop.proxy.cli(&["check"]);
    assert!(checked.code == 1 && checked.stderr.contains("notify[1].format"), "{checked:?}");
    for said in [&log, &checked.stdout, &checked.stderr] {
        assert!(!said.contains(URL_TOKEN), "{said}");
    }
    let canaries = [PASSWORD, &alice, &bob, URL_TOKEN, "literal-canary", "900-00-", "mail7@", "vault-secret", "SELECT"];
    for received in hook.received() {
        let body = String::from_utf8(received.body).expect("JSON is UTF-8");
        for canary in canaries {
            assert!(!body.contains(canary), "{canary} in {body}");
        }
    }
}

fn a_failing_audit_is_told<P: Protocol>() {
    let hook = Webhook::start();
    let shop = shop::<P>("hook_audit", &hook, "events = [\"audit_failure\"]");
    let mut alice = shop.alice_as("reader");
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    let pid = shop.proxy.pid().to_string();
    run(Command::new("prlimit").args(["--pid", &pid, "--fsize=1:1"]), "").ok();
    for _ in 0..3 {
        alice.query(READ).fails(Kind::AuditDown);
    }
    let told = hook.wait_for("audit_failure/failed");
    assert!(told["comment"].as_str().is_some_and(|why| why.contains("no statement is forwarded")), "{told}");
    alice.query(READ).fails(Kind::AuditDown);
    // Not once more within the minute, whatever fails meanwhile.
    shop.proxy.stop();
    assert_eq!(hook.received().len(), 1);
}

fn a_reload_changes_who_is_told<P: Protocol>() {
    let (old, new) = (Webhook::start(), Webhook::start());
    let shop = shop::<P>("hook_reload", &old, "");
    shop.proxy.request("alice", "reader", "shop", "1h");
    old.wait_for("request/asked");
    let (from, to) = (old.section(""), new.section("format = \"json\""));
    shop.proxy.reconfigure(|settings| settings.rules = settings.rules.replace(&from, &to));
    shop.proxy.signal("HUP");
    shop.proxy.audit().wait("the reload", |events| {
        events.iter().find(|event| event.kind == "config" && event.reason.as_deref() == Some("reloaded")).map(drop)
    });
    let id = shop.proxy.request("alice", "small", "shop", "1h");
    assert_eq!(new.wait_for("request/asked")["request_id"], id);
    assert_eq!((old.received().len(), new.received().len()), (1, 1));
}

fn what_is_told_last_arrives_before_the_proxy_ends<P: Protocol>() {
    let hook = Webhook::start();
    let shop = shop::<P>("hook_last", &hook, "");
    hook.next(&[Answer::Status(503)]);
    shop.proxy.request("alice", "reader", "shop", "1h");
    shop.proxy.stop();
    let answers: Vec<_> = hook.received().iter().map(|received| received.answer).collect();
    assert_eq!(answers, [Answer::Status(503), Answer::Status(200)]);
}

fn an_own_authority_is_trusted_where_it_is_named<P: Protocol>() {
    let (trusted, stranger) = (Webhook::with_tls(), Webhook::with_tls());
    let shop = Shop::<P>::with("hook_tls", |settings| {
        settings.rules += &trusted.section(&trusted.trusted());
        settings.rules += &stranger.section("");
    });
    shop.proxy.request("alice", "reader", "shop", "1h");
    trusted.wait_for("request/asked");
    wait_for("the log says why", Duration::from_secs(30), || {
        let log = shop.proxy.log();
        (log.contains("webhook=2") && log.contains("by nobody we trust")).then_some(())
    });
    assert_eq!(stranger.received().len(), 0, "not a byte to who cannot prove who it is");
}
