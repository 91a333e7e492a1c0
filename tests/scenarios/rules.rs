//! Rules of the configuration against a real server: conditions of approvals that look at tables, writes of statement
//! grants with their row bound, review rules that warn or block.

use hallpass_tests::{shop::PostgresShop as Shop, wire::postgres::Client};

/// The shop with other rules before its own, and with labels.
fn shop(name: &str, more: &str) -> Shop {
    Shop::with(name, |settings| {
        settings.rules = format!("{more}\n{}", settings.rules);
        settings.targets[0].more = "labels = { environment = \"staging\" }".to_owned();
    })
}

/// A statement asked for alice: the waiting parties, and the number of its grant, if it has one already.
fn ask(shop: &Shop, statement: &str) -> (String, bool) {
    let shared = ["request", "--user", "alice", "--database", "shop", "--for", "30m", "--reason", "test"];
    let arguments: Vec<&str> = shared.into_iter().chain(["--statement", statement]).collect();
    let asked = shop.proxy.json(&arguments);
    (asked["waiting_for"].as_str().unwrap_or_default().to_owned(), asked["state"] == "approved")
}

#[test]
fn approvals_look_at_the_tables_and_columns_of_a_statement() {
    let shop = shop(
        "approval_tables",
        r#"
        [[approvals]]
        when = 'resource.masked || request.unmask'
        approvers = ["group:privacy"]
        needs = 2
        [[approvals]]
        source = "role"
        roles = ["small"]
        when = 'resource.table_name == "vault"'
        deny = true
        [[approvals]]
        source = "statement"
        when = 'database.labels.environment == "staging" && request.duration <= duration("1h")'
        auto = true
        "#,
    );
    assert_eq!(ask(&shop, "SELECT note FROM shop.orders WHERE id = 1"), (String::new(), true));
    let privacy = ("group:privacy (2 of them)".to_owned(), false);
    assert_eq!(ask(&shop, "SELECT email FROM shop.customers WHERE id = 1"), privacy);
    assert_eq!(ask(&shop, "SELECT address FROM shop.contacts WHERE id = 1"), privacy, "behind a view, too");
    assert_eq!(ask(&shop, "SELECT city FROM shop.customers WHERE id = 1"), (String::new(), true));
    // A role covers what its globs grant in the catalog as it is now.
    let told = shop.proxy.cli(&[
        "request",
        "--user",
        "alice",
        "--role",
        "small",
        "--database",
        "shop",
        "--for",
        "5m",
        "--reason",
        "test",
    ]);
    assert_eq!(told.code, 1, "{told:?}");
    let either = ["approval rule 2 denies this on `shop` (shop.vault)", "masked"];
    assert!(either.iter().any(|words| told.stderr.contains(words)), "{told:?}");
}

#[test]
fn a_statement_grant_writes_its_rows_and_no_more() {
    let shop = shop("statement_write", "[statements]\nallow_writes = true\nmax_rows_affected = 2");
    let (one, many) = (
        "UPDATE shop.orders SET note = 'fixed' WHERE id = 7",
        "UPDATE shop.orders SET note = 'many' WHERE customer_id = 8 OR id < 5",
    );
    let mut alice = shop.alice();
    for write in [one, many] {
        shop.proxy.approve(shop.proxy.request_statement("alice", write, "shop", &[]));
    }
    alice.query(one).ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 7"), "fixed");
    let told = alice.query(many);
    assert!(told.error().message().contains("max_rows_affected"), "{:?}", told.error());
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'many'"), "0");
    assert_eq!(alice.query("UPDATE shop.orders SET note = 'other' WHERE id = 7").error().code(), "42501");
    let parameters = "UPDATE shop.orders SET note = $1 WHERE id = $2";
    shop.proxy.approve(shop.proxy.request_statement("alice", parameters, "shop", &[]));
    alice.query("PREPARE fix AS UPDATE shop.orders SET note = $1 WHERE id = $2").ok();
    alice.query("EXECUTE fix ('by parameter', 9)").ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 9"), "by parameter");
    let ddl = shop.proxy.try_request_statement("alice", "TRUNCATE shop.orders", "shop", &[]).expect_err("no bound");
    assert!(ddl.stderr.contains("has no row bound"), "{ddl:?}");
    let inner =
        "WITH w AS (DELETE FROM shop.orders WHERE id > 3 RETURNING id) UPDATE shop.orders SET note = 'x' WHERE id = 1";
    let inner = shop.proxy.try_request_statement("alice", inner, "shop", &[]).expect_err("two writes");
    assert!(inner.stderr.contains("a statement grant cannot hold this write"), "{inner:?}");
}

#[test]
fn review_rules_warn_and_block() {
    let shop = shop(
        "review_more",
        r#"
        [[review]]
        rule = "select-everything"
        level = "warn"
        rows = 150
        [[review]]
        rule = "cartesian-join"
        level = "block"
        [[review]]
        rule = "side-effects"
        level = "warn"
        [[review]]
        name = "no-vault"
        when = 'statement.tables.exists(t, t == "shop.vault") && user.name == "alice"'
        level = "block"
        "#,
    );
    shop.database.owner_sql("ANALYZE");
    let mut alice = shop.alice_as("owner");
    // Names are fetched anew after DDL, and estimates with them.
    alice.query("CREATE TABLE shop.later (id int)").ok();
    let warned = |alice: &mut Client, sql: &str| alice.query(sql).ok().notices.len();
    assert_eq!(warned(&mut alice, "SELECT id FROM shop.orders"), 1, "200 rows");
    assert_eq!(warned(&mut alice, "SELECT id FROM shop.orders LIMIT 1"), 0);
    assert_eq!(warned(&mut alice, "SELECT id FROM shop.employees"), 0, "5 rows");
    assert_eq!(warned(&mut alice, "SELECT shop.touch(1)"), 1);
    let crossed = alice.query("SELECT 1 FROM shop.orders o, shop.employees e");
    assert!(crossed.error().message().contains("cartesian-join"), "{:?}", crossed.error());
    assert!(crossed.error().detail().contains("no condition connects o and e"), "{:?}", crossed.error());
    let vault = alice.query("SELECT id FROM shop.vault WHERE id = 1");
    assert!(vault.error().message().contains("no-vault"), "{:?}", vault.error());
}
