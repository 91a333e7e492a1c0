//! Who sees what and who may do what: auditors, approvers, users, the proxy's own OS user; pages of what they see.

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{World, ask, send};

#[tokio::test]
async fn auditors_read_everything_and_change_nothing() {
    let world = World::new().await;
    let (alice, bob) = (world.user("alice", "oncall").await, world.user("bob", "security").await);
    let carol = world.user("carol", "audit").await;
    world.remote(&alice, "POST", "/requests", ask()).await;
    assert_eq!(world.remote(&carol, "GET", "/me", Value::Null).await.1["auditor"], true);
    assert_eq!(world.remote(&carol, "GET", "/requests/1", Value::Null).await.0, 200);
    let longer = json!({ "duration": "2h" });
    assert_eq!(world.remote(&carol, "PUT", "/requests/1", longer.clone()).await.0, 403);
    for what in ["approve", "reject", "cancel"] {
        let (status, problem) = world.remote(&carol, "POST", &format!("/requests/1/{what}"), Value::Null).await;
        assert_eq!((status, &problem["detail"]), (403, &json!("an auditor reads requests and changes none")));
    }
    world.remote(&bob, "POST", "/requests/1/approve", Value::Null).await;
    assert_eq!(world.remote(&carol, "GET", "/grants", Value::Null).await.1[0]["user"], "alice");
    assert_eq!(world.remote(&carol, "GET", "/grants/1", Value::Null).await.1["user"], "alice");
    assert_eq!(world.remote(&carol, "GET", "/grants/2", Value::Null).await.0, 404);
    let erin = world.user("erin", "oncall").await;
    assert_eq!(world.remote(&erin, "GET", "/grants/1", Value::Null).await.0, 404, "not erin's to know");
    for (what, body) in [("revoke", Value::Null), ("extend", longer), ("review", json!({ "comment": "x" }))] {
        let (status, _) = world.remote(&carol, "POST", &format!("/grants/1/{what}"), body).await;
        assert_eq!(status, 403, "{what}");
    }
    assert_eq!(world.remote(&carol, "GET", "/requests/2", Value::Null).await.0, 404);
    assert_eq!(world.remote(&carol, "DELETE", "/users/alice", Value::Null).await.0, 403);
    for path in ["/audit/events?user=alice", "/audit/stats", "/audit/verify"] {
        assert_eq!(world.remote(&carol, "GET", path, Value::Null).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn an_auditor_who_asks_is_a_user_like_any_other() {
    let world = World::new().await;
    let (carol, bob) = (world.user("carol", "audit").await, world.user("bob", "security").await);
    world.local("POST", "/users", json!({ "name": "dora", "groups": ["oncall", "audit"], "token": true })).await;
    let (_, made) = world.local("POST", "/users/dora/tokens", Value::Null).await;
    let dora = made["token"].as_str().unwrap();
    assert_eq!(world.remote(&carol, "POST", "/requests", ask()).await.0, 403, "not of the role's groups");
    assert_eq!(world.remote(dora, "POST", "/requests", ask()).await.0, 201);
    assert_eq!(world.remote(dora, "POST", "/requests/1/cancel", Value::Null).await.0, 200);
    assert_eq!(world.remote(dora, "POST", "/requests", ask()).await.0, 201);
    assert_eq!(world.remote(&bob, "POST", "/requests/2/approve", Value::Null).await.0, 200);
    assert_eq!(world.remote(dora, "POST", "/grants/1/revoke", Value::Null).await.0, 200);
}

#[tokio::test]
async fn events_are_everybodys_own() {
    let world = World::new().await;
    let (alice, eve) = (world.user("alice", "oncall").await, world.user("eve", "sales").await);
    world.remote(&alice, "POST", "/requests", ask()).await;
    let (_, own) = world.remote(&alice, "GET", "/audit/events", Value::Null).await;
    assert_eq!((own.as_array().unwrap().len(), &own[0]["kind"]), (1, &json!("request")));
    assert_eq!(world.remote(&alice, "GET", "/audit/events?last=9&user=alice", Value::Null).await.1, own);
    assert_eq!(world.remote(&eve, "GET", "/audit/events", Value::Null).await.1, json!([]));
    assert_eq!(world.remote(&eve, "GET", "/audit/events?request=1", Value::Null).await.0, 400);
    for path in ["/audit/events?user=alice", "/audit/events?last=5&user=alice", "/audit/stats", "/audit/verify"] {
        assert_eq!(world.remote(&eve, "GET", path, Value::Null).await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn statements_are_for_users() {
    let world = World::new().await;
    let alice = world.user("alice", "oncall").await;
    let query = json!({ "database": "shop", "statement": "SELECT 1" });
    let (status, problem) = world.local("POST", "/query", query.clone()).await;
    assert_eq!(status, 403, "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("hallpass user token"), "{problem}");
    // Nobody listens behind `shop` here.
    let (status, problem) = world.remote(&alice, "POST", "/query", query).await;
    assert_eq!((status, &problem["sqlstate"]), (502, &json!("08006")), "{problem}");
    let none = json!({ "database": "none", "statement": "SELECT 1" });
    assert_eq!(world.remote(&alice, "POST", "/query", none).await.0, 404);
    for wrong in
        [json!({ "database": "shop", "statement": "" }), json!({ "database": "shop", "statement": "x", "max_rows": 0 })]
    {
        assert_eq!(world.remote(&alice, "POST", "/query", wrong).await.0, 400);
    }
}

#[tokio::test]
async fn wrong_tokens_wait_and_right_ones_do_not() {
    let world = World::new().await;
    let alice = world.user("alice", "oncall").await;
    for _ in 0..5 {
        assert_eq!(world.remote("hp_wrong", "GET", "/me", Value::Null).await.0, 401);
    }
    let begun = std::time::Instant::now();
    let (status, problem) = world.remote("hp_wrong", "GET", "/me", Value::Null).await;
    assert_eq!((status, &problem["retry_after"]), (429, &json!(1)));
    assert!(begun.elapsed() >= std::time::Duration::from_millis(200));
    let begun = std::time::Instant::now();
    assert_eq!(world.remote(&alice, "GET", "/me", Value::Null).await.0, 200);
    assert_eq!(world.local("GET", "/me", Value::Null).await.0, 200);
    assert!(begun.elapsed() < std::time::Duration::from_millis(200));
    // Without a token nothing was guessed.
    let stream = TcpStream::connect(world.tcp).await.unwrap();
    assert_eq!(send(stream, "GET", "/me", None, Value::Null).await.0, 401);
    let (_, events) = world.local("GET", "/audit/events?kind=login_failed", Value::Null).await;
    assert_eq!((events.as_array().unwrap().len(), &events[0]["protocol"]), (6, &json!("http")));
}

#[tokio::test]
async fn pages_hold_what_somebody_sees() {
    let world = World::new().await;
    let (alice, eve) = (world.user("alice", "oncall").await, world.user("eve", "oncall").await);
    for _ in 0..4 {
        world.remote(&alice, "POST", "/requests", ask()).await;
        world.remote(&eve, "POST", "/requests", ask()).await;
    }
    let ids =
        |found: &Value| found.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect::<Vec<_>>();
    let (_, first) = world.remote(&alice, "GET", "/requests?limit=3", Value::Null).await;
    let (_, rest) = world.remote(&alice, "GET", "/requests?limit=3&after=3", Value::Null).await;
    assert_eq!((ids(&first), ids(&rest)), (vec![7, 5, 3], vec![1]));
    let (_, users) = world.local("GET", "/users?limit=1&after=alice", Value::Null).await;
    assert_eq!((users.as_array().unwrap().len(), &users[0]["name"]), (1, &json!("eve")));
    for path in ["/users?limit=0", "/requests?limit=1001", "/requests?after=x", "/sessions?after=nonsense"] {
        assert_eq!(world.local("GET", path, Value::Null).await.0, 400, "{path}");
    }
}
