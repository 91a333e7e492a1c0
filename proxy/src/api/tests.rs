//! The API over a real Unix socket and TCP, in this process: who is let in, what a whole request looks like, problems.

use std::{path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixStream},
};

use super::{Api, StatementReader, Understanding, bind_socket, router, serve_socket, serve_tcp};
use crate::{
    clock::Clock,
    config::Config,
    server::Proxy,
    session::{fetcher, inband::Desk, serve::House},
    store::ledger::Ledger,
};

mod document;
mod rights;

const CONFIG: &str = r#"
    [databases.shop]
    protocol = "postgres"
    host = "127.0.0.1"
    user = "h"
    [roles.reader]
    allow = ["select"]
    request_by = ["group:oncall"]
    max_duration = "8h"
    break_glass = { max_duration = "30m", groups = ["oncall"], review_within = "24h" }
    [[masks]]
    columns = ["shop/shop.customers.email"]
    with = { keep_last = 4 }
    [[approvals]]
    approvers = ["group:security"]
    [auditors]
    groups = ["audit"]
"#;

/// Understands nothing.
#[derive(Debug)]
struct Deaf;

impl StatementReader for Deaf {
    fn understand<'a>(&'a self, _: &'a hallpass_policy::ids::TargetName, _: &'a str) -> Understanding<'a> {
        use hallpass_policy::statement::{Refusal, RefusalKind};
        Box::pin(async { Err(Refusal::new(RefusalKind::Unparsed, "syntax error at or near \"SELEC\"")) })
    }
}

struct World {
    folder: tempfile::TempDir,
    tcp: std::net::SocketAddr,
    ledger: Arc<Ledger>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut config, _) = Config::parse(Path::new("proxy.toml"), CONFIG).unwrap();
        config.server.data_dir = folder.path().to_owned();
        let proxy = Proxy::open(config, Clock::system()).unwrap();
        let (socket, owner) = bind_socket(folder.path()).unwrap();
        let Proxy { shared, ledger, importer } = proxy;
        let reader: Arc<dyn StatementReader> = Arc::new(Deaf);
        let desk = Desk { shared: Arc::clone(&shared), ledger: Arc::clone(&ledger), reader: Arc::clone(&reader) };
        let house = House::new(Arc::new(desk), Arc::default(), Arc::default());
        tokio::spawn(fetcher::keep(Arc::clone(&shared)));
        let kept = Arc::clone(&ledger);
        let api = Api { shared, ledger, importer, reader, house, owner };
        let routes = router(Arc::new(api));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = listener.local_addr().unwrap();
        tokio::spawn(serve_tcp(listener, routes.clone(), std::future::pending()));
        tokio::spawn(serve_socket(socket, routes, std::future::pending()));
        Self { folder, tcp, ledger: kept }
    }

    /// Over the socket, as the OS user.
    async fn local(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let stream = UnixStream::connect(self.folder.path().join(super::SOCKET)).await.unwrap();
        send(stream, method, path, None, body).await
    }

    /// Over TCP, with a token.
    async fn remote(&self, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let stream = TcpStream::connect(self.tcp).await.unwrap();
        send(stream, method, path, Some(token), body).await
    }

    /// A user with a token.
    async fn user(&self, name: &str, group: &str) -> String {
        let body = json!({ "name": name, "groups": [group], "token": true });
        let (status, added) = self.local("POST", "/users", body).await;
        assert_eq!(status, 201, "{added}");
        added["token"]["token"].as_str().unwrap().to_owned()
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Value,
) -> (u16, Value) {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(format!("/api/v1{path}")).header("host", "x");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
    let status = response.status();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(kind.as_deref(), Some("application/problem+json"));
    }
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    (status.as_u16(), value)
}

fn ask() -> Value {
    json!({ "role": "reader", "databases": ["shop"], "duration": "1 hour", "reason": "INC-1" })
}

#[tokio::test]
async fn only_the_socket_and_working_tokens_get_in() {
    let world = World::new().await;
    let alice = world.user("alice", "oncall").await;
    assert_eq!(world.local("GET", "/me", Value::Null).await.1["admin"], true);
    assert_eq!(world.remote(&alice, "GET", "/me", Value::Null).await.1["admin"], false);
    let stream = TcpStream::connect(world.tcp).await.unwrap();
    let (status, problem) = send(stream, "GET", "/users", None, Value::Null).await;
    assert_eq!((status, problem["detail"].as_str()), (401, Some("no valid token")));
    assert_eq!(world.remote("hp_wrong", "GET", "/users", Value::Null).await.0, 401);
    assert_eq!(world.remote("", "GET", "/health", Value::Null).await.0, 200, "health is for everybody");
    world.local("POST", "/users/alice/disable", Value::Null).await;
    assert_eq!(world.remote(&alice, "GET", "/me", Value::Null).await.0, 401);
}

#[tokio::test]
async fn a_request_goes_from_asked_to_revoked() {
    let world = World::new().await;
    let (alice, bob) = (world.user("alice", "oncall").await, world.user("bob", "security").await);
    let (status, request) = world.remote(&alice, "POST", "/requests", ask()).await;
    assert_eq!((status, request["state"].as_str()), (201, Some("pending")));
    assert_eq!((request["duration"].as_str(), request["waiting_for"].as_str()), (Some("1h"), Some("group:security")));

    assert_eq!(world.remote(&alice, "POST", "/requests/1/approve", Value::Null).await.0, 403);
    // Who waits is answered by the decision, not by the clock.
    let begun = std::time::Instant::now();
    let (waited, approved) = tokio::join!(world.remote(&alice, "GET", "/requests/1?wait=50s", Value::Null), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.remote(&bob, "POST", "/requests/1/approve", json!({ "duration": "30m", "comment": "ok" })).await
    });
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!((approved.0, waited.1["state"].as_str()), (200, Some("approved")));
    assert_eq!(waited.1["grant"]["id"], 1);
    assert_eq!(waited.1["approvals"][0]["comment"], "ok");

    assert_eq!(world.remote(&alice, "GET", "/grants", Value::Null).await.1[0]["state"], "active");
    let (status, grant) = world.remote(&bob, "POST", "/grants/1/revoke", json!({ "reason": "done" })).await;
    assert_eq!((status, grant["revoked_by"].as_str()), (200, Some("bob")));
    assert_eq!(world.remote(&alice, "POST", "/grants/1/revoke", Value::Null).await.0, 409);
    assert_eq!(world.remote(&alice, "GET", "/grants", Value::Null).await.1, json!([]));

    let (_, events) = world.local("GET", "/audit/events?last=50", Value::Null).await;
    let allowed = events.as_array().unwrap().iter().filter(|event| event["decision"] != "deny");
    let kinds: Vec<_> = allowed.map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["admin", "admin", "admin", "admin", "request", "approval", "grant_start", "grant_end"]);
    assert_eq!(world.remote(&alice, "GET", "/audit/stats", Value::Null).await.0, 403);
    let (_, found) = world.local("GET", "/audit/events?kind=grant_end&user=alice", Value::Null).await;
    assert_eq!(found[0]["reason"], "revoked by bob: done");
    assert_eq!(world.local("GET", "/audit/verify", Value::Null).await.1["intact"], true);
}

/// The next line of a hold's answer, without heartbeats.
async fn line(body: &mut hyper::body::Incoming) -> Value {
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.unwrap().unwrap().unwrap();
        let line: Value = serde_json::from_slice(&frame.into_data().unwrap()).unwrap();
        if line["event"] != "heartbeat" {
            return line;
        }
    }
}

#[tokio::test]
async fn what_is_held_ends_with_its_connection() {
    let world = World::new().await;
    let (alice, bob) = (world.user("alice", "oncall").await, world.user("bob", "security").await);
    let hold = |method: &'static str, path: &'static str, body: Value| {
        let (tcp, alice) = (world.tcp, alice.clone());
        async move {
            let stream = TokioIo::new(TcpStream::connect(tcp).await.unwrap());
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
            let connection = tokio::spawn(connection);
            let request = Request::builder().method(method).uri(format!("/api/v1{path}")).header("host", "x");
            let request = request.header("authorization", format!("Bearer {alice}"));
            let response = sender.send_request(request.body(Full::new(Bytes::from(body.to_string()))).unwrap());
            let response = response.await.unwrap();
            assert_eq!(response.headers()["content-type"], "application/x-ndjson");
            (response.status().as_u16(), response.into_body(), connection)
        }
    };
    let (status, mut lines, connection) = hold("POST", "/requests/hold", ask()).await;
    let first = line(&mut lines).await;
    assert_eq!((status, &first["event"], &first["request"]["id"]), (201, &json!("pending"), &json!(1)));
    world.remote(&bob, "POST", "/requests/1/approve", Value::Null).await;
    let second = line(&mut lines).await;
    assert_eq!((&second["event"], &second["request"]["grant"]["state"]), (&json!("approved"), &json!("active")));
    let (status, mut more, other) = hold("GET", "/requests/1/hold", json!({})).await;
    assert_eq!((status, &line(&mut more).await["event"]), (200, &json!("approved")));
    world.remote(&bob, "POST", "/grants/1/revoke", json!({ "reason": "enough" })).await;
    for lines in [&mut lines, &mut more] {
        let last = line(lines).await;
        assert_eq!((&last["event"], &last["request"]["grant"]["note"]), (&json!("ended"), &json!("enough")));
        assert!(lines.frame().await.is_none(), "it was the last line");
    }
    assert_eq!(world.remote(&bob, "GET", "/requests/1/hold", Value::Null).await.0, 403);
    assert_eq!(world.remote(&alice, "GET", "/requests/9/hold", Value::Null).await.0, 404);
    world.remote(&alice, "POST", "/requests", ask()).await;
    assert_eq!(world.remote(&alice, "GET", "/requests/2/hold", Value::Null).await.0, 409);
    drop((lines, more));
    [connection, other].iter().for_each(tokio::task::JoinHandle::abort);

    let (_, mut lines, connection) = hold("POST", "/requests/hold", ask()).await;
    assert_eq!(line(&mut lines).await["request"]["id"], 3);
    connection.abort();
    drop(lines);
    for _ in 0..100 {
        // The server's own loop; there is none in this test.
        world.ledger.sweep().unwrap();
        if world.remote(&alice, "GET", "/requests/3", Value::Null).await.1["state"] == "cancelled" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody holds request 3, and it is still there");
}

#[tokio::test]
async fn members_see_what_concerns_them() {
    let world = World::new().await;
    let (alice, eve) = (world.user("alice", "oncall").await, world.user("eve", "sales").await);
    world.remote(&alice, "POST", "/requests", ask()).await;
    assert_eq!(world.remote(&eve, "GET", "/requests", Value::Null).await.1, json!([]));
    assert_eq!(world.remote(&eve, "GET", "/requests/1", Value::Null).await.0, 404);
    let (_, users) = world.remote(&eve, "GET", "/users", Value::Null).await;
    assert_eq!(users.as_array().unwrap().len(), 1);
    assert_eq!(world.remote(&eve, "POST", "/users", json!({ "name": "x" })).await.0, 403);
    assert_eq!(world.remote(&eve, "DELETE", "/users/alice", Value::Null).await.0, 403);
    assert_eq!(world.remote(&eve, "GET", "/roles", Value::Null).await.1[0]["requestable"], false);
    assert_eq!(world.remote(&alice, "GET", "/roles", Value::Null).await.1[0]["requestable"], true);
    let (_, masks) = world.remote(&eve, "GET", "/masks", Value::Null).await;
    assert_eq!(masks[0]["with"], json!({ "keep_first": 0, "keep_last": 4 }));
    let (_, databases) = world.remote(&eve, "GET", "/databases", Value::Null).await;
    let port = json!({ "name": "postgres", "host": "127.0.0.1", "port": 6432, "tls": "off",
                       "users": null, "roles": null, "statements": null });
    let shop = json!({ "name": "shop", "protocol": "postgres", "labels": {}, "listeners": [port] });
    assert_eq!(databases, json!([shop]), "nothing of its own host and login");
    assert_eq!(world.remote(&eve, "POST", "/sessions/none/kill", Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_wrong_question_is_told_what_is_wrong() {
    let world = World::new().await;
    let alice = world.user("alice", "oncall").await;
    let mut both = ask();
    both["statement"] = json!("SELECT 1");
    let mut statement = both.clone();
    statement.as_object_mut().unwrap().remove("role");
    let mut nowhere = ask();
    nowhere["databases"] = json!(["shpo"]);
    let mut ever = ask();
    ever["duration"] = json!("1 parsec");
    let cases = [
        ("POST", "/requests", both, 400, "a request is for a role or for a statement"),
        ("POST", "/requests", statement, 422, "syntax error at or near \"SELEC\""),
        ("POST", "/requests", nowhere, 422, "there is no database `shpo`"),
        ("POST", "/requests", ever, 400, "the duration `1 parsec` has the unknown unit `parsec`"),
        ("POST", "/requests", json!({ "rôle": 1 }), 400, "the body: unknown field `rôle`"),
        ("POST", "/requests/7/approve", Value::Null, 404, "there is no request 7"),
        ("GET", "/requests/seven", Value::Null, 400, "`/requests/seven`: "),
        ("POST", "/grants/x/revoke", Value::Null, 400, "`/grants/x/revoke`: "),
        ("GET", "/nothing", Value::Null, 404, "there is nothing at `/api/v1/nothing`"),
        ("DELETE", "/requests", Value::Null, 405, "`/api/v1/requests` does not take this method"),
    ];
    for (method, path, body, status, detail) in cases {
        let (found, problem) = world.remote(&alice, method, path, body).await;
        assert_eq!(found, status, "{path}: {problem}");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.starts_with(detail), "{path}: {said}");
    }
    // What was a try to ask or to approve is on record, also where the statement is not understood.
    let (_, events) = world.local("GET", "/audit/events?last=50", Value::Null).await;
    let denied = events.as_array().unwrap().iter().filter(|event| event["decision"] == "deny");
    let denied: Vec<_> = denied.map(|event| (&event["kind"], &event["statement"], &event["request_id"])).collect();
    let (request, approval) = (json!("request"), json!("approval"));
    let (text, seven) = (json!("SELECT 1"), json!(7));
    assert_eq!(
        denied,
        [(&request, &text, &Value::Null), (&request, &Value::Null, &Value::Null), (&approval, &Value::Null, &seven),]
    );
}

#[tokio::test]
async fn a_pending_request_is_changed_by_its_own_user() {
    let world = World::new().await;
    let (alice, bob) = (world.user("alice", "oncall").await, world.user("bob", "security").await);
    world.remote(&alice, "POST", "/requests", ask()).await;
    let change = json!({ "duration": "2h", "reason": "INC-2" });
    assert_eq!(world.remote(&bob, "PUT", "/requests/1", change.clone()).await.0, 403);
    assert_eq!(world.remote(&alice, "PUT", "/requests/1", json!({})).await.0, 400);
    let (status, changed) = world.remote(&alice, "PUT", "/requests/1", change.clone()).await;
    assert_eq!((status, changed["duration"].as_str(), changed["reason"].as_str()), (200, Some("2h"), Some("INC-2")));
    assert_eq!((changed["state"].as_str(), changed["waiting_for"].as_str()), (Some("pending"), Some("group:security")));
    assert_eq!(world.remote(&alice, "PUT", "/requests/1", json!({ "duration": "9h" })).await.0, 422);
    world.remote(&bob, "POST", "/requests/1/approve", Value::Null).await;
    assert_eq!(world.remote(&alice, "PUT", "/requests/1", change).await.0, 409);
}

#[tokio::test]
async fn a_broken_glass_awaits_a_review_by_somebody_else() {
    let world = World::new().await;
    let (alice, bob) = (world.user("alice", "oncall").await, world.user("bob", "security").await);
    let eve = world.user("eve", "sales").await;
    let glass = json!({ "role": "reader", "databases": ["shop"], "reason": "prod down" });
    assert_eq!(world.remote(&eve, "POST", "/break-glass", glass.clone()).await.0, 403);
    let (status, made) = world.remote(&alice, "POST", "/break-glass", glass.clone()).await;
    assert_eq!((status, &made["break_glass"], &made["grant"]["review"]), (201, &json!(true), &json!("due")));
    let (status, problem) = world.remote(&alice, "POST", "/break-glass", glass.clone()).await;
    assert_eq!(status, 409);
    assert!(problem["hint"].as_str().unwrap().contains("hallpass review 1 --comment"), "{problem}");

    world.remote(&alice, "POST", "/grants/1/revoke", Value::Null).await;
    let (_, due) = world.remote(&bob, "GET", "/grants?review=due", Value::Null).await;
    assert_eq!((&due[0]["id"], &due[0]["state"]), (&json!(1), &json!("revoked")));
    assert_eq!(world.remote(&bob, "GET", "/grants", Value::Null).await.1, due, "over, and not done with");
    assert_eq!(world.remote(&eve, "GET", "/grants?review=due", Value::Null).await.1, json!([]));
    assert_eq!(world.remote(&eve, "GET", "/grants?review=done", Value::Null).await.0, 400);

    let seen = json!({ "comment": "looked" });
    for (who, body, status) in
        [(&alice, seen.clone(), 403), (&eve, seen.clone(), 404), (&bob, Value::Null, 422), (&bob, seen.clone(), 200)]
    {
        assert_eq!(world.remote(who, "POST", "/grants/1/review", body).await.0, status);
    }
    assert_eq!(world.remote(&bob, "POST", "/grants/1/review", seen).await.0, 409);
    assert_eq!(world.remote(&alice, "POST", "/break-glass", glass.clone()).await.0, 201);

    // Whoever asks for another does not review it; who runs the proxy could do anything anyway.
    let mut for_carol = glass;
    for_carol["user"] = json!("carol");
    world.user("carol", "oncall").await;
    assert_eq!(world.remote(&alice, "POST", "/break-glass", for_carol.clone()).await.0, 403);
    assert_eq!(world.local("POST", "/break-glass", for_carol).await.1["grant"]["user"], "carol");
}

#[tokio::test]
async fn a_grant_is_extended_by_an_approval() {
    let world = World::new().await;
    let (alice, bob) = (world.user("alice", "oncall").await, world.user("bob", "security").await);
    world.remote(&alice, "POST", "/requests", ask()).await;
    let (_, first) = world.remote(&bob, "POST", "/requests/1/approve", Value::Null).await;
    let longer = json!({ "duration": "30m", "reason": "not done" });
    assert_eq!(world.remote(&bob, "POST", "/grants/1/extend", longer.clone()).await.0, 403);
    assert_eq!(world.remote(&alice, "POST", "/grants/1/extend", Value::Null).await.0, 400);
    assert_eq!(world.remote(&alice, "POST", "/grants/9/extend", longer.clone()).await.0, 404);
    let (status, asked) = world.remote(&alice, "POST", "/grants/1/extend", longer.clone()).await;
    assert_eq!((status, &asked["extends"], &asked["state"]), (201, &json!(1), &json!("pending")));
    assert_eq!(world.remote(&alice, "POST", "/grants/1/extend", longer).await.0, 409, "one at a time");
    let (_, second) = world.remote(&bob, "POST", "/requests/2/approve", Value::Null).await;
    assert_eq!(second["grant"]["id"], 1);
    assert!(second["grant"]["ends"].as_str() > first["grant"]["ends"].as_str(), "{second}");
}
