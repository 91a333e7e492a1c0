//! The OpenAPI document and a running proxy: every operation is run, and every answer is what the document says.

use std::collections::BTreeSet;

use hallpass_tests::{
    both,
    http::{Answer, Question, ask},
    process::free_port,
    protocol::Protocol,
    schema::{check, resolved},
    shop::Shop,
};
use serde_json::{Value, json};

both!(every_answer_is_what_the_document_says);

/// The API and its document; notes which operations answered as asked.
struct Documented {
    port: u16,
    document: Value,
    done: BTreeSet<String>,
}

impl Documented {
    /// Asks, and compares the answer with the document's for this operation and status.
    #[track_caller]
    fn call(&mut self, token: &str, (method, template): (&str, &str), path: &str, body: Value) -> Answer {
        self.accepting("application/json", token, (method, template), path, body)
    }

    #[track_caller]
    fn accepting(
        &mut self,
        accept: &str,
        token: &str,
        (method, template): (&str, &str),
        path: &str,
        body: Value,
    ) -> Answer {
        let path = format!("/api/v1{path}");
        let question = Question { method, path: &path, token: Some(token), accept, body: &body };
        let answer = ask(self.port, question).whole();
        self.fits((method, template), &answer);
        answer
    }

    /// Compares an answer with the document's for this operation and status.
    #[track_caller]
    fn fits(&mut self, (method, template): (&str, &str), answer: &Answer) {
        let document = &self.document;
        let operation = &document["paths"][template][method.to_lowercase()];
        let told = &operation["responses"][answer.status.to_string()];
        assert!(!told.is_null(), "{method} {template} announces no {}: {answer:?}", answer.status);
        let told = resolved(document, told);
        let kind = answer.header("content-type");
        match told["content"].as_object() {
            None => assert_eq!(answer.text, "", "{method} {template}"),
            Some(contents) => {
                let schema = &contents[kind.expect("a body has a type")]["schema"];
                let lines = kind == Some("application/x-ndjson");
                let bodies = if lines { answer.lines() } else { vec![answer.json()] };
                for body in bodies {
                    check(document, schema, &body).unwrap_or_else(|fault| panic!("{method} {template}: {fault}"));
                }
            }
        }
        if answer.status < 300 {
            self.done.insert(format!("{} {template}", method.to_lowercase()));
        }
    }
}

/// A request that is held twice, and rejected.
fn held(api: &mut Documented, alice: &str, bob: &str) {
    let role = json!({ "role": "reader", "databases": ["shop"], "duration": "1h", "reason": "held" });
    let question = |method, path, body| Question { method, path, token: Some(alice), accept: "*/*", body };
    let mut first = ask(api.port, question("POST", "/api/v1/requests/hold", &role));
    let line = first.chunk().expect("a line");
    let line: Value = serde_json::from_slice(&line).expect("a line of JSON");
    let id = line["request"]["id"].as_i64().expect("a number");
    let again = ask(api.port, question("GET", &format!("/api/v1/requests/{id}/hold"), &Value::Null));
    let path = format!("/requests/{id}/reject");
    api.call(bob, ("POST", "/requests/{id}/reject"), &path, json!({ "reason": "no" }));
    api.fits(("POST", "/requests/hold"), &first.whole());
    api.fits(("GET", "/requests/{id}/hold"), &again.whole());
}

fn every_answer_is_what_the_document_says<P: Protocol>() {
    let port = free_port();
    let shop = Shop::<P>::with("document", |settings| {
        let glass =
            "[roles.owner]\nbreak_glass = { max_duration = \"30m\", groups = [\"oncall\"], review_within = \"24h\" }";
        settings.rules = settings.rules.replace("[roles.owner]", glass);
        let more = format!("\n[api]\naddress = \"127.0.0.1:{port}\"\n[admins]\nusers = [\"root\"]\n");
        settings.rules.push_str(&more);
    });
    shop.proxy.user("root", &[]);
    let tokens = ["root", "alice", "bob"].map(|name| shop.proxy.token(name));
    let [root, alice, bob] = tokens.each_ref().map(String::as_str);
    let text = ask(
        port,
        Question { method: "GET", path: "/api/v1/openapi.json", token: None, accept: "*/*", body: &Value::Null },
    );
    let mut api = Documented { port, document: text.whole().json(), done: BTreeSet::new() };

    for path in
        ["/health", "/openapi.json", "/me", "/roles", "/masks", "/databases", "/requests", "/grants", "/audit/stats"]
    {
        api.call(root, ("GET", path), path, Value::Null);
    }
    users(&mut api, root);
    requests(&mut api, root, alice, bob);
    held(&mut api, alice, bob);
    grants(&mut api, alice, bob);
    statements(&mut api, alice);

    let mut held = shop.alice();
    let sessions = api.call(alice, ("GET", "/sessions"), "/sessions?limit=5", Value::Null).json();
    let id = sessions[0]["id"].as_str().expect("a session").to_owned();
    let kill = ("POST", "/sessions/{id}/kill");
    assert_eq!(api.call(bob, kill, &format!("/sessions/{id}/kill"), Value::Null).status, 404);
    api.call(alice, kill, &format!("/sessions/{id}/kill"), Value::Null);
    hallpass_tests::protocol::Client::listen(&mut held, std::time::Duration::from_secs(5));
    for path in ["/requests", "/grants?all=true", "/audit/events?limit=3", "/audit/verify", "/audit/stats"] {
        api.call(root, ("GET", path.split('?').next().unwrap_or(path)), path, Value::Null);
    }
    assert_eq!(api.call(bob, ("GET", "/audit/verify"), "/audit/verify", Value::Null).status, 403);
    assert_eq!(api.call("hp_wrong", ("GET", "/me"), "/me", Value::Null).status, 401);

    let paths = api.document["paths"].as_object().expect("paths").iter();
    let all = paths.flat_map(|(path, methods)| {
        methods.as_object().into_iter().flatten().map(move |(method, _)| format!("{method} {path}"))
    });
    let missing: Vec<_> = all.filter(|operation| !api.done.contains(operation)).collect();
    assert!(missing.is_empty(), "these were never answered as asked: {missing:?}");
}

fn users(api: &mut Documented, root: &str) {
    let one = "/users/erin";
    let added = json!({ "name": "erin", "groups": ["x"], "expires": "30d", "password": "p", "token": true });
    api.call(root, ("POST", "/users"), "/users", added.clone());
    assert_eq!(api.call(root, ("POST", "/users"), "/users", added).status, 409);
    api.call(root, ("PUT", "/users/{name}/password"), &format!("{one}/password"), json!({ "password": "q" }));
    let made = api.call(root, ("POST", "/users/{name}/tokens"), &format!("{one}/tokens"), Value::Null).json();
    let listed = api.call(root, ("GET", "/users"), "/users?limit=2", Value::Null);
    assert!(listed.header("link").is_some(), "{listed:?}");
    let token = format!("{one}/tokens/{}", made["id"]);
    api.call(root, ("DELETE", "/users/{name}/tokens/{id}"), &token, Value::Null);
    assert_eq!(api.call(root, ("DELETE", "/users/{name}/tokens/{id}"), &token, Value::Null).status, 404);
    for what in ["disable", "enable"] {
        api.call(root, ("POST", &format!("/users/{{name}}/{what}")), &format!("{one}/{what}"), Value::Null);
    }
    api.call(root, ("DELETE", "/users/{name}"), one, Value::Null);
}

fn requests(api: &mut Documented, root: &str, alice: &str, bob: &str) {
    let role = json!({ "role": "reader", "databases": ["shop"], "duration": "1h", "reason": "x" });
    let statement =
        json!({ "statement": "SELECT id FROM shop.orders", "databases": ["shop"], "duration": "1h", "reason": "x" });
    let ask = ("POST", "/requests");
    for body in [&role, &statement, &role, &role] {
        assert_eq!(api.call(alice, ask, "/requests", body.clone()).status, 201);
    }
    assert_eq!(api.call(alice, ask, "/requests", json!({ "role": "none" })).status, 400);
    let nothing = json!({ "role": "none", "databases": ["shop"], "duration": "1h", "reason": "x" });
    assert_eq!(api.call(alice, ask, "/requests", nothing).status, 422);
    api.call(alice, ("GET", "/requests/{id}"), "/requests/1?wait=1s", Value::Null);
    api.call(alice, ("PUT", "/requests/{id}"), "/requests/1", json!({ "duration": "2h" }));
    let approve = ("POST", "/requests/{id}/approve");
    assert_eq!(api.call(alice, approve, "/requests/1/approve", Value::Null).status, 403);
    api.call(bob, approve, "/requests/1/approve", json!({ "duration": "30m", "comment": "ok" }));
    assert_eq!(api.call(bob, approve, "/requests/1/approve", Value::Null).status, 409);
    assert_eq!(api.call(bob, approve, "/requests/99/approve", Value::Null).status, 404);
    api.call(bob, approve, "/requests/2/approve", Value::Null);
    api.call(bob, ("POST", "/requests/{id}/reject"), "/requests/3/reject", json!({ "reason": "no" }));
    api.call(alice, ("POST", "/requests/{id}/cancel"), "/requests/4/cancel", Value::Null);
    api.call(root, ("GET", "/requests"), "/requests?limit=2&user=alice", Value::Null);
}

fn grants(api: &mut Documented, alice: &str, bob: &str) {
    let listed = api.call(alice, ("GET", "/grants"), "/grants", Value::Null).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    assert_eq!(api.call(alice, ("GET", "/grants/{id}"), "/grants/1", Value::Null).json()["user"], "alice");
    assert_eq!(api.call(alice, ("GET", "/grants/{id}"), "/grants/999", Value::Null).status, 404);
    api.call(alice, ("POST", "/grants/{id}/extend"), "/grants/1/extend", json!({ "duration": "10m" }));
    api.call(bob, ("POST", "/grants/{id}/revoke"), "/grants/2/revoke", json!({ "reason": "done" }));
    let glass = json!({ "role": "owner", "databases": ["shop"], "reason": "prod down" });
    let broken = api.call(alice, ("POST", "/break-glass"), "/break-glass", glass).json();
    let review = format!("/grants/{}/review", broken["grant"]["id"]);
    assert_eq!(api.call(alice, ("POST", "/grants/{id}/review"), &review, json!({ "comment": "x" })).status, 403);
    api.call(bob, ("GET", "/grants"), "/grants?review=due", Value::Null);
    api.call(bob, ("POST", "/grants/{id}/review"), &review, json!({ "comment": "looked" }));
}

fn statements(api: &mut Documented, alice: &str) {
    let query = ("POST", "/query");
    let body = |sql: &str| json!({ "database": "shop", "statement": sql, "max_rows": 2 });
    for (sql, status) in [
        ("SELECT id, note, NULL AS n FROM shop.orders", 200),
        ("UPDATE shop.orders SET note = 'x' WHERE id = 1", 200),
        ("SELEC", 422),
        ("SELECT secret FROM shop.nothing", 422),
    ] {
        assert_eq!(api.call(alice, query, "/query", body(sql)).status, status, "{sql}");
        api.accepting("application/x-ndjson", alice, query, "/query", body(sql));
    }
    assert_eq!(api.call(alice, query, "/query", json!({ "database": "none", "statement": "SELECT 1" })).status, 404);
    assert_eq!(api.call(alice, query, "/query", json!({})).status, 400);
}
