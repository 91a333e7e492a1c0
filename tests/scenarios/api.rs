//! The HTTP API over TCP, with users' tokens: who reads what, page by page; and statements through `/query`, which are
//! decided, masked, recorded and cancelled as any client's.

use std::time::Duration;

use hallpass_tests::{
    both,
    http::{Answer, Coming, Question, ask, send},
    process::{free_port, run, wait_for},
    protocol::{Direct as _, Kind, Protocol},
    python::interpreter,
    shop::Shop,
};
use serde_json::{Value, json};

both!(
    a_statement_is_answered_masked_and_recorded,
    a_denial_teaches,
    writes_tell_what_they_changed,
    errors_and_warnings_keep_their_words,
    more_rows_than_wanted_are_cut_off,
    an_answer_streams_line_by_line,
    a_caller_who_leaves_cancels_the_statement,
    a_statement_is_seen_and_killed,
    who_may_read_what,
    lists_have_pages,
    wrong_tokens_wait,
);

/// A shop whose API listens on TCP, carol an auditor.
struct Api<P: Protocol> {
    shop: Shop<P>,
    port: u16,
    alice: String,
}

fn api<P: Protocol>(name: &str) -> Api<P> {
    let port = free_port();
    let shop = Shop::<P>::with(name, |settings| {
        let more = format!("\n[api]\naddress = \"127.0.0.1:{port}\"\n[auditors]\nusers = [\"carol\"]\n");
        settings.rules.push_str(&more);
    });
    shop.proxy.user("carol", &["audit"]);
    let alice = shop.proxy.token("alice");
    Api { shop, port, alice }
}

impl<P: Protocol> Api<P> {
    #[track_caller]
    fn call(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let path = &format!("/api/v1{path}");
        ask(self.port, Question { method, path, token: Some(token), accept: "application/json", body }).whole()
    }

    #[track_caller]
    fn get(&self, token: &str, path: &str) -> Answer {
        self.call(token, "GET", path, &Value::Null)
    }

    /// Alice's statement.
    #[track_caller]
    fn query(&self, statement: &str) -> Answer {
        self.call(&self.alice, "POST", "/query", &json!({ "database": "shop", "statement": statement }))
    }

    fn lines<'a>(&'a self, body: &'a Value) -> Question<'a> {
        let token = Some(self.alice.as_str());
        Question { method: "POST", path: "/api/v1/query", token, accept: "application/x-ndjson", body }
    }

    #[track_caller]
    fn stream(&self, body: &Value) -> Coming {
        ask(self.port, self.lines(body))
    }
}

/// Whether a problem's code is one of `kind`.
#[track_caller]
fn is<P: Protocol>(problem: &Answer, kind: Kind) {
    assert_eq!(problem.header("content-type"), Some("application/problem+json"), "{problem:?}");
    let said = problem.json();
    let sqlstate = said["sqlstate"].as_str().unwrap_or_default();
    let code = P::pick(sqlstate.to_owned(), format!("{}/{sqlstate}", said["code"]));
    assert!(P::codes(kind).contains(&code.as_str()), "{kind:?} is expected: {said}");
}

fn a_statement_is_answered_masked_and_recorded<P: Protocol>() {
    let api = api::<P>("api_query");
    let grant = api.shop.grant("reader");
    let sql = "SELECT id, name, email, card_number, salary FROM shop.customers WHERE id <= 2 ORDER BY id";
    let answer = api.query(sql);
    assert_eq!(answer.status, 200, "{answer:?}");
    let said = answer.json();
    let text = P::pick("text", "varchar");
    let types: Vec<_> = said["columns"].as_array().expect("columns").iter().map(|column| &column["type"]).collect();
    assert_eq!(types, [P::pick("int4", "int"), text, text, text, P::pick("numeric", "decimal")]);
    assert_eq!(said["columns"][2]["name"], "email");
    assert_eq!(said["rows"][0][0], "1");
    assert_eq!(said["rows"][0][1], "Customer 1");
    assert_eq!(said["rows"][0][4], Value::Null);
    assert_eq!((&said["row_count"], &said["truncated"]), (&json!(2), &json!(false)));
    for hidden in ["mail1@", "4111000000000001", "50001"] {
        assert!(!answer.text.contains(hidden), "{hidden} is masked: {said}");
    }
    assert!(said["rows"][0][3].as_str().is_some_and(|card| card.ends_with("0001")), "{said}");

    let (attempt, outcome) = api.shop.proxy.audit().wait_for_outcome(sql);
    assert_eq!((attempt.user.as_deref(), attempt.target.as_deref()), (Some("alice"), Some("shop")));
    assert_eq!(attempt.session.as_deref(), said["session"].as_str());
    assert_eq!(attempt.grant_id.map(|id| id.cast_unsigned()), Some(grant));
    assert_eq!(outcome.rows, Some(2));
    assert!(outcome.masked_columns.is_some_and(|columns| columns.contains("email")));
    let session = said["session"].as_str().expect("the session's name");
    wait_for("the session's end", Duration::from_secs(30), || {
        let events = api.shop.proxy.json(&["audit", "search", "--session", session]);
        let events = events.as_array().expect("a list");
        assert!(events.iter().all(|event| event["protocol"] == "http" && event["listener"] == "api"), "{events:?}");
        (events.last()?["kind"] == "session_end").then_some(())
    });
}

fn a_denial_teaches<P: Protocol>() {
    let api = api::<P>("api_denial");
    let read = "SELECT note FROM shop.orders WHERE id = 1";
    let denied = api.query(read);
    assert_eq!(denied.status, 403, "{denied:?}");
    is::<P>(&denied, Kind::Denied);
    assert!(denied.text.contains("CALL hallpass.request(") && denied.text.contains("shop.orders"), "{}", denied.text);
    api.shop.grant("reader");
    assert_eq!(api.query(read).json()["rows"], json!([["note 1"]]));
    let two = api.query("SELECT 1; SELECT 2");
    assert_eq!(two.status, 422, "one statement a text: {two:?}");
    let wrong = api.query("SELEC 1");
    assert_eq!(wrong.status, 422, "{wrong:?}");
    is::<P>(&wrong, Kind::Unparsed);
    let nowhere = api.call(&api.alice, "POST", "/query", &json!({ "database": "shpo", "statement": "SELECT 1" }));
    assert_eq!((nowhere.status, nowhere.json()["sqlstate"].as_str()), (404, Some("3D000")), "{nowhere:?}");
    for body in [json!({ "database": "shop" }), json!({ "database": "shop", "statement": " " }), json!({ "x": 1 })] {
        assert_eq!(api.call(&api.alice, "POST", "/query", &body).status, 400, "{body}");
    }
}

fn writes_tell_what_they_changed<P: Protocol>() {
    let api = api::<P>("api_writes");
    api.shop.grant("fixer");
    let changed = api.query("UPDATE shop.orders SET note = 'mended' WHERE id <= 3").json();
    assert_eq!((&changed["affected_rows"], &changed["rows"]), (&json!(3), &json!([])), "{changed}");
    assert_eq!(changed["command"], P::pick(json!("UPDATE 3"), Value::Null));
    assert_eq!(api.shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'mended'"), "3");
    let wide = api.query("UPDATE shop.orders SET note = 'all' WHERE id > 0");
    assert_eq!(wide.status, 422, "{wide:?}");
    is::<P>(&wide, Kind::LimitPassed);
    assert_eq!(api.shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'all'"), "0");
    // A session is one statement's: what it leaves open is taken back.
    assert_eq!(api.query("BEGIN").status, 200);
    // What is cut off is cut off on its way here: the statement runs to its end.
    if P::pick(true, false) {
        let sql = "UPDATE shop.orders SET note = 'told' WHERE id <= 3 RETURNING id";
        let body = json!({ "database": "shop", "statement": sql, "max_rows": 1 });
        let said = api.call(&api.alice, "POST", "/query", &body).json();
        assert_eq!((&said["row_count"], &said["truncated"]), (&json!(1), &json!(true)), "{said}");
        assert_eq!(api.shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'told'"), "3");
    }
}

fn errors_and_warnings_keep_their_words<P: Protocol>() {
    let api = api::<P>("api_errors");
    api.shop.grant("owner");
    let error = api.query("INSERT INTO shop.orders (id) VALUES (1)");
    assert_eq!(error.status, 422, "{error:?}");
    is::<P>(&error, Kind::Duplicate);
    let message = error.json()["message"].as_str().unwrap_or_default().to_lowercase();
    assert!(message.contains("duplicate"), "{message}");
    let noisy = P::pick("DROP TABLE IF EXISTS shop.nothing", "SELECT 1 + 'x' AS a");
    let said = api.query(noisy).json();
    let notice = &said["notices"][0];
    assert_eq!(notice["severity"], P::pick("NOTICE", "WARNING"), "{said}");
    let words = P::pick("does not exist", "Truncated incorrect");
    assert!(notice["message"].as_str().is_some_and(|message| message.contains(words)), "{said}");
    let copied = api.query(P::pick("COPY shop.orders TO STDOUT", "LOAD DATA LOCAL INFILE 'x' INTO TABLE shop.orders"));
    assert!(copied.status >= 400, "{copied:?}");
    let taken = api.query(P::pick("COPY shop.orders FROM STDIN", "SELECT 1 FROM nowhere.at_all"));
    assert!(taken.status >= 400, "{taken:?}");
    assert_eq!(api.query("SELECT 1").json()["rows"], json!([["1"]]));
}

fn more_rows_than_wanted_are_cut_off<P: Protocol>() {
    let api = api::<P>("api_cut");
    api.shop.grant("reader");
    let sql = "SELECT id FROM shop.orders ORDER BY id";
    for (most, truncated) in [(3, true), (200, false), (201, false)] {
        let body = json!({ "database": "shop", "statement": sql, "max_rows": most });
        let said = api.call(&api.alice, "POST", "/query", &body).json();
        let rows = said["rows"].as_array().expect("rows").len();
        assert_eq!((rows, &said["truncated"]), (most.min(200), &json!(truncated)), "{most}");
    }
    // However many are asked for, a document is bounded.
    let many = "SELECT a.id FROM shop.orders a CROSS JOIN shop.orders b";
    let body = json!({ "database": "shop", "statement": many, "max_rows": 1_000_000 });
    let said = api.call(&api.alice, "POST", "/query", &body).json();
    assert_eq!((&said["row_count"], &said["truncated"]), (&json!(10_000), &json!(true)));
    let wide = P::pick(
        "SELECT repeat('x', 20000) FROM shop.orders a, shop.orders b",
        "SELECT repeat('x', 20000) FROM shop.orders a CROSS JOIN shop.orders b",
    );
    let said = api.query(wide).json();
    let count = said["row_count"].as_u64().expect("a count");
    assert!((790..=800).contains(&count) && said["truncated"] == true, "16 MB: {count}");
    let (_, outcome) = api.shop.proxy.audit().wait_for_outcome(wide);
    // Postgres was asked for so many, MySQL's statement was cancelled.
    assert_eq!(outcome.error_code.as_deref(), P::pick(None, Some("70100")), "{outcome:?}");
    assert_eq!(api.shop.proxy.json(&["audit", "verify"])["intact"], true);
}

fn an_answer_streams_line_by_line<P: Protocol>() {
    let api = api::<P>("api_lines");
    api.shop.grant("reader");
    let sql = "SELECT a.id, a.note FROM shop.orders a CROSS JOIN shop.orders b";
    let body = json!({ "database": "shop", "statement": sql });
    let coming = api.stream(&body);
    assert_eq!((coming.status, coming.header("content-type")), (200, Some("application/x-ndjson")));
    let lines = coming.whole().lines();
    assert_eq!(lines[0]["columns"][1]["name"], "note");
    assert!(lines[0]["session"].is_string());
    assert_eq!(lines.iter().filter(|line| line["row"].is_array()).count(), 40_000);
    let done = &lines[lines.len() - 1]["done"];
    assert_eq!((&done["row_count"], &done["truncated"]), (&json!(40_000), &json!(false)));
    let body = json!({ "database": "shop", "statement": sql, "max_rows": 2 });
    let lines = api.stream(&body).whole().lines();
    assert_eq!((lines.len(), &lines[3]["done"]["truncated"]), (4, &json!(true)), "{lines:?}");
    let body = json!({ "database": "shop", "statement": "UPDATE shop.orders SET note = '' WHERE id = 1" });
    let denied = api.stream(&body).whole();
    assert_eq!(denied.status, 403, "before the first row it is a problem: {denied:?}");
    // Behind it, an error is the last line.
    let late = P::pick(
        "SELECT 1 / (150 - id) FROM shop.orders",
        "SELECT IF(id < 150, id, (SELECT o.id FROM shop.orders o WHERE o.id <> a.id)) FROM shop.orders a",
    );
    let lines = api.stream(&json!({ "database": "shop", "statement": late })).whole();
    assert_eq!(lines.status, 200, "{lines:?}");
    let lines = lines.lines();
    assert!(lines[1]["row"].is_array(), "{lines:?}");
    assert_eq!(lines[lines.len() - 1]["error"]["status"], 422, "{lines:?}");
}

/// Waits until the server runs alice's slow statement.
#[track_caller]
fn wait_until_it_runs<P: Protocol>(api: &Api<P>) {
    wait_for("it runs", Duration::from_secs(30), || api.shop.database.is_running(P::SLOW).then_some(()));
}

fn a_caller_who_leaves_cancels_the_statement<P: Protocol>() {
    let api = api::<P>("api_leave");
    api.shop.grant("reader");
    let body = json!({ "database": "shop", "statement": P::SLOW });
    for accept in ["application/json", "application/x-ndjson"] {
        let connection = send(api.port, Question { accept, ..api.lines(&body) });
        wait_until_it_runs(&api);
        drop(connection);
        wait_for("the server is done with it", Duration::from_secs(30), || {
            (!api.shop.database.is_running(P::SLOW)).then_some(())
        });
    }
    let (_, outcome) = api.shop.proxy.audit().wait_for_outcome(P::SLOW);
    assert_eq!(outcome.error_code.as_deref(), Some(P::pick("57014", "70100")));
    // In the middle of its rows.
    let endless =
        "SELECT a.note FROM shop.orders a CROSS JOIN shop.orders b CROSS JOIN shop.orders c CROSS JOIN shop.orders d";
    let body = json!({ "database": "shop", "statement": endless });
    let mut coming = api.stream(&body);
    assert!(coming.chunk().is_some());
    drop(coming);
    wait_for("the server is done with it", Duration::from_secs(30), || {
        (!api.shop.database.is_running(endless)).then_some(())
    });
    wait_for("no session is left", Duration::from_secs(30), || {
        (api.shop.proxy.json(&["sessions"]) == json!([])).then_some(())
    });
    assert_eq!(api.shop.proxy.json(&["audit", "verify"])["intact"], true);
}

fn a_statement_is_seen_and_killed<P: Protocol>() {
    let api = api::<P>("api_kill");
    api.shop.grant("reader");
    let body = json!({ "database": "shop", "statement": P::SLOW });
    let question = (api.port, api.alice.clone(), body.clone());
    let asking = std::thread::spawn(move || {
        let (port, alice, body) = question;
        let (token, accept) = (Some(alice.as_str()), "application/json");
        ask(port, Question { method: "POST", path: "/api/v1/query", token, accept, body: &body }).whole()
    });
    wait_until_it_runs(&api);
    let listed = api.shop.proxy.json(&["sessions"]);
    let session = &listed[0];
    assert_eq!((&session["user"], &session["protocol"]), (&json!("alice"), &json!("http")), "{listed}");
    assert_eq!(session["statement"], body["statement"]);
    let kill = format!("/sessions/{}/kill", session["id"].as_str().expect("a name"));
    let (bob, carol) = (api.shop.proxy.token("bob"), api.shop.proxy.token("carol"));
    assert_eq!(api.call(&bob, "POST", &kill, &Value::Null).status, 404, "bob does not see it");
    assert_eq!(api.call(&carol, "POST", &kill, &Value::Null).status, 403, "carol only looks");
    assert_eq!(api.call(&api.alice, "POST", &kill, &Value::Null).status, 204, "it is her own");
    let answer = asking.join().expect("an answer");
    assert_eq!(answer.status, 503, "{answer:?}");
    is::<P>(&answer, Kind::Killed);
    wait_for("the server is done with it", Duration::from_secs(30), || {
        (!api.shop.database.is_running(P::SLOW)).then_some(())
    });
}

fn who_may_read_what<P: Protocol>() {
    let api = api::<P>("api_rights");
    let (bob, carol) = (api.shop.proxy.token("bob"), api.shop.proxy.token("carol"));
    api.shop.proxy.user("eve", &["sales"]);
    let eve = api.shop.proxy.token("eve");
    let request = api.shop.proxy.request("alice", "reader", "shop", "1h");
    api.query("SELECT 1");
    let one = format!("/requests/{request}");
    // Alice asked, bob may decide, carol audits; to eve there is nothing.
    for (who, status, count) in [(&api.alice, 200, 1), (&bob, 200, 1), (&carol, 200, 1), (&eve, 404, 0)] {
        assert_eq!(api.get(who, &one).status, status);
        assert_eq!(api.get(who, "/requests").json().as_array().map(Vec::len), Some(count));
    }
    for (who, status) in [(&carol, 403), (&eve, 404)] {
        for what in ["approve", "reject", "cancel"] {
            assert_eq!(api.call(who, "POST", &format!("{one}/{what}"), &Value::Null).status, status, "{what}");
        }
    }
    assert_eq!(api.call(&bob, "POST", &format!("{one}/approve"), &Value::Null).status, 200);
    for (who, count) in [(&api.alice, 1), (&bob, 1), (&carol, 1), (&eve, 0)] {
        assert_eq!(api.get(who, "/grants").json().as_array().map(Vec::len), Some(count));
    }
    for (who, status) in [(&carol, 403), (&eve, 404)] {
        assert_eq!(api.call(who, "POST", "/grants/1/revoke", &Value::Null).status, status);
        assert_eq!(api.call(who, "POST", "/grants/1/extend", &json!({ "duration": "1h" })).status, status);
    }
    // The audit: all of it for carol, their own for the others.
    let events = |who: &str, more: &str| api.get(who, &format!("/audit/events{more}"));
    assert!(events(&carol, "?user=alice&kind=attempt").json().as_array().is_some_and(|found| !found.is_empty()));
    let own = events(&api.alice, "").json();
    let own = own.as_array().expect("events");
    assert!(!own.is_empty() && own.iter().all(|event| event["user"] == "alice"), "{own:?}");
    assert!(events(&api.alice, "?last=100").json().as_array().is_some_and(|found| found.len() == own.len()));
    assert_eq!(events(&eve, "?user=alice").status, 403);
    for (who, status) in [(&api.alice, 403), (&carol, 200)] {
        assert_eq!(api.get(who, "/audit/stats").status, status);
        assert_eq!(api.get(who, "/audit/verify").status, status);
    }
    assert_eq!(api.get(&carol, "/me").json()["auditor"], true);
    assert_eq!(api.call(&carol, "POST", "/users", &json!({ "name": "x" })).status, 403);
    assert_eq!(api.get("hp_wrong", "/me").status, 401);
    let socket = api.shop.proxy.cli(&["audit", "tail", "--token", &carol]);
    assert!(socket.ok().contains("alice"), "the command line is an auditor, too");
}

/// Where `Link` leads.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let (path, _) = link.strip_prefix("</api/v1").and_then(|link| link.split_once(">; rel=\"next\"")).expect("a link");
    Some(path.to_owned())
}

fn lists_have_pages<P: Protocol>() {
    let api = api::<P>("api_pages");
    for number in 0..5 {
        let id = api.shop.proxy.request("alice", "reader", "shop", "1h");
        if number % 2 == 0 {
            api.shop.proxy.approve(id);
        }
    }
    let carol = api.shop.proxy.token("carol");
    let walk = |path: &str, key: &str| {
        let (mut path, mut found, mut pages) = (path.to_owned(), Vec::new(), 0);
        loop {
            let page = api.get(&carol, &path);
            assert_eq!(page.status, 200, "{path}: {page:?}");
            found.extend(page.json().as_array().expect("a list").iter().map(|item| item[key].to_string()));
            pages += 1;
            match next(&page) {
                Some(next) => path = next,
                None => return (found, pages),
            }
        }
    };
    assert_eq!(walk("/requests?limit=2", "id"), (["5", "4", "3", "2", "1"].map(str::to_owned).to_vec(), 3));
    assert_eq!(walk("/requests?pending=true&limit=1", "id").0, ["4", "2"]);
    assert_eq!(walk("/grants?limit=2&all=true", "id"), (["1", "2", "3"].map(str::to_owned).to_vec(), 2));
    let all = walk("/audit/events", "seq");
    assert_eq!(walk("/audit/events?limit=3", "seq").0, all.0);
    for path in ["/requests?limit=0", "/grants?limit=1001", "/audit/events?limit=10001", "/sessions?after=x"] {
        assert_eq!(api.get(&carol, path).status, 400, "{path}");
    }
    // The command line walks them all.
    let listed = api.shop.proxy.json(&["requests"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(5));
    let script = format!(
        "import json, urllib.request\n\
         ask = urllib.request.Request('http://127.0.0.1:{}/api/v1/requests?limit=4', headers={{'Authorization': 'Bearer {carol}'}})\n\
         with urllib.request.urlopen(ask) as answer:\n    print(len(json.load(answer)), answer.headers['Link'])\n",
        api.port
    );
    let told = run(std::process::Command::new(interpreter()).arg("-"), &script).ok();
    assert_eq!(told.trim(), "4 </api/v1/requests?limit=4&after=2>; rel=\"next\"");
}

fn wrong_tokens_wait<P: Protocol>() {
    let api = api::<P>("api_tokens");
    let statuses: Vec<_> = (0..7).map(|_| api.get("hp_wrong", "/me").status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    let slowed = api.get("hp_wrong", "/me");
    assert_eq!(
        (slowed.header("retry-after"), slowed.header("content-type")),
        (Some("1"), Some("application/problem+json"))
    );
    assert_eq!(slowed.json()["retry_after"], 1);
    // Who has a token is not held up by others behind the same address; neither is the proxy's own user.
    assert_eq!(api.get(&api.alice, "/me").status, 200);
    api.shop.proxy.json(&["requests"]);
    let failed = api.shop.proxy.json(&["audit", "search", "--kind", "login_failed"]);
    assert_eq!(failed.as_array().map(Vec::len), Some(8), "each is recorded: {failed}");
}
