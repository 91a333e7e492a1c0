//! Rules of the configuration against a real server: conditions of approvals that look at tables, writes of statement
//! grants with their row bound, review rules that warn or block.

use hallpass_tests::{
    both,
    protocol::{Client as _, Direct as _, Kind, Protocol},
    shop::{PostgresShop as Shop, Shop as AnyShop},
};

both!(
    what_a_rule_blocks_does_not_run,
    what_a_rule_warns_of_runs,
    a_rule_that_is_off_says_nothing,
    own_rules_speak_of_the_statements_facts,
    rows_that_come_and_go_change_no_names,
);

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
        let request = shop.proxy.request_statement("alice", write, "shop", &[]);
        let table = shop.proxy.cli(&["requests", "--pending"]).ok();
        assert!(
            table.contains(write) && table.contains("at most 2 rows changed"),
            "the approver reads it all: {table}"
        );
        let bound = alice.query("SELECT max_rows_affected FROM hallpass.requests WHERE state = 'pending'");
        assert_eq!(bound.value(), "2");
        shop.proxy.approve(request);
    }
    assert!(shop.proxy.cli(&["grants"]).ok().contains(many), "and who looks at the grants");
    let bound = alice.query("SELECT max_rows_affected FROM hallpass.grants LIMIT 1");
    assert_eq!(bound.value(), "2");
    let asked = format!("CALL hallpass.request_statement('{}', '5 min', 'why')", one.replace('\'', "''"));
    let told = format!("{:?}", alice.query(&asked).rows);
    assert!(told.contains("at most 2 rows changed"), "{told}");
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
    // Fewer rows than the configuration allows may be asked for, more may not.
    let two = "UPDATE shop.orders SET note = 'two' WHERE id IN (11, 12)";
    let more = shop.proxy.try_request_statement("alice", two, "shop", &["--max-rows-affected", "3"]).expect_err("3");
    assert!(more.stderr.contains("at most 2 rows, not 3"), "{more:?}");
    shop.proxy.approve(shop.proxy.request_statement("alice", two, "shop", &["--max-rows-affected", "1"]));
    assert!(alice.query(two).error().message().contains("allows (1)"));
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'two'"), "0");
    let ddl = shop.proxy.try_request_statement("alice", "TRUNCATE shop.orders", "shop", &[]).expect_err("no bound");
    assert!(ddl.stderr.contains("has no row bound"), "{ddl:?}");
    let rule = shop.proxy.try_request_statement("alice", "DELETE FROM shop.orders", "shop", &[]).expect_err("a rule");
    assert!(rule.stderr.contains("blocked by review rule delete-without-where"), "{rule:?}");
    let inner =
        "WITH w AS (DELETE FROM shop.orders WHERE id > 3 RETURNING id) UPDATE shop.orders SET note = 'x' WHERE id = 1";
    let inner = shop.proxy.try_request_statement("alice", inner, "shop", &[]).expect_err("two writes");
    assert!(inner.stderr.contains("a statement grant cannot hold this write"), "{inner:?}");
}

/// A shop with these review rules, whose tables the server has counted.
fn reviewed<P: Protocol>(name: &str, review: &str) -> AnyShop<P> {
    let count = P::pick("ANALYZE", "ANALYZE TABLE shop.orders, shop.employees");
    AnyShop::after(count, name, |settings| settings.rules = format!("{review}\n{}", settings.rules))
}

/// `[[review]]` of these built-in rules, all with one level.
fn built_in(level: &str, rules: &[&str]) -> String {
    let one = |rule: &&str| {
        let rows = if *rule == "select-everything" { "rows = 150" } else { "" };
        format!("[[review]]\nrule = \"{rule}\"\nlevel = \"{level}\"\n{rows}\n")
    };
    rules.iter().map(one).collect()
}

/// Every built-in rule, with a statement that breaks it and no other.
fn dangerous<P: Protocol>() -> [(&'static str, &'static str); 9] {
    [
        ("update-without-where", "UPDATE shop.employees SET name = 'x'"),
        ("delete-without-where", "DELETE FROM shop.employees WHERE 1 = 1"),
        ("drop-table", "DROP TABLE shop.vault"),
        ("truncate", "TRUNCATE TABLE shop.employees"),
        (
            "table-rewrite",
            P::pick(
                "ALTER TABLE shop.employees ALTER COLUMN name TYPE varchar(90)",
                "ALTER TABLE shop.employees MODIFY name varchar(90)",
            ),
        ),
        ("select-everything", "SELECT id FROM shop.orders"),
        ("cartesian-join", "SELECT 1 FROM shop.orders o, shop.employees e WHERE o.id = 7"),
        ("side-effects", "SELECT shop.touch(1)"),
        ("lock-table", P::pick("LOCK TABLE shop.vault", "LOCK TABLES shop.vault WRITE")),
    ]
}

fn what_a_rule_blocks_does_not_run<P: Protocol>() {
    let rules = dangerous::<P>().map(|(rule, _)| rule);
    let shop = reviewed::<P>("review_block", &built_in("block", &rules));
    shop.database.log_statements();
    let mut alice = shop.alice_as("owner");
    for (rule, sql) in dangerous::<P>() {
        for answer in [alice.query(sql), alice.prepared(sql, &[])] {
            let error = answer.fails(Kind::Denied);
            assert_eq!(error.code, P::pick("42501", "1227/42000"), "{error:?}");
            assert_eq!(error.message, format!("blocked by review rule {rule}"));
            assert!(error.detail.starts_with(&format!("review rule {rule}: ")), "{error:?}");
            assert!(error.detail.ends_with("the rule holds whatever the grant"), "{error:?}");
            assert!(error.hint.contains(&format!("[[review]] rule = \"{rule}\"")), "{error:?}");
        }
        let denied = shop.proxy.audit().wait_for("denied", sql);
        assert!(denied.reason.is_some_and(|reason| reason.contains(rule)), "{sql}");
    }
    let log = shop.database.statement_log();
    for (_, sql) in dangerous::<P>() {
        assert!(!log.iter().any(|logged| logged.contains(sql)), "{sql} reached the server");
    }
    assert_eq!(alice.query("SELECT name FROM shop.employees WHERE id = 1").value(), "Employee 1");
}

fn what_a_rule_warns_of_runs<P: Protocol>() {
    let rules = dangerous::<P>().map(|(rule, _)| rule);
    let shop = reviewed::<P>("review_warn", &built_in("warn", &rules));
    let mut alice = shop.alice_as("owner");
    for (rule, sql) in dangerous::<P>() {
        if rule == "lock-table" || rule == "drop-table" {
            continue; // Of a table that is gone nothing is locked, and outside a transaction Postgres locks none.
        }
        let warned = alice.warned(sql);
        let of_rule = |text: &&String| text.starts_with(&format!("review rule {rule}: "));
        assert_eq!(warned.iter().filter(of_rule).count(), 1, "{sql}: {warned:?}");
    }
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.employees"), "0");
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "touched");
    for harmless in ["SELECT id FROM shop.orders LIMIT 1", "SELECT id FROM shop.employees", "SELECT 1"] {
        assert_eq!(alice.warned(harmless), Vec::<String>::new(), "{harmless}");
    }
}

fn a_rule_that_is_off_says_nothing<P: Protocol>() {
    let shop = reviewed::<P>("review_off", &built_in("off", &["update-without-where", "cartesian-join"]));
    let mut alice = shop.alice_as("owner");
    assert_eq!(alice.warned("UPDATE shop.employees SET name = 'x'"), Vec::<String>::new());
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.employees WHERE name = 'x'"), "5");
    assert_eq!(alice.warned("SELECT 1 FROM shop.orders o, shop.employees e WHERE o.id = 7"), Vec::<String>::new());
}

fn own_rules_speak_of_the_statements_facts<P: Protocol>() {
    let own = |name: &str, level: &str, when: &str| {
        format!("[[review]]\nname = \"{name}\"\nlevel = \"{level}\"\nwhen = '{when}'\n")
    };
    let rules = [
        own("no-vault", "block", r#"statement.tables.exists(t, t == "shop.vault") && user.name == "alice""#),
        own("nightly", "warn", "statement.rows > 150 && statement.whole_tables.size() == 1"),
        own("no-crosses", "block", r#"statement.cartesian && database.name == "shop""#),
        own("schema-freeze", "block", r#""ddl" in statement.actions && statement.rewrites"#),
        own("names", "warn", r#""shop.customers.name" in statement.columns"#),
    ];
    let shop = reviewed::<P>("review_own", &rules.concat());
    let mut alice = shop.alice_as("owner");
    let vault = alice.query("SELECT id FROM shop.vault WHERE id = 1");
    let error = vault.fails(Kind::Denied);
    assert_eq!(error.message, "blocked by review rule no-vault");
    assert!(error.detail.starts_with("review rule no-vault: the statement is one that `statement.tables"), "{error:?}");
    assert_eq!(alice.warned("SELECT count(*) FROM shop.orders").len(), 1, "about 200 rows");
    assert_eq!(alice.warned("SELECT count(*) FROM shop.employees"), Vec::<String>::new(), "5 rows");
    alice.query("SELECT 1 FROM shop.orders o, shop.employees e").fails(Kind::Denied);
    let rewrite = P::pick("ALTER COLUMN salary TYPE bigint", "MODIFY salary bigint");
    alice.query(&format!("ALTER TABLE shop.employees {rewrite}")).fails(Kind::Denied);
    alice.query("ALTER TABLE shop.employees ADD COLUMN phone varchar(20)").ok();
    assert_eq!(alice.warned("SELECT id FROM shop.customers WHERE name = 'Customer 3'").len(), 1);
}

/// Names stay as they are while rows come and go: nothing is fetched anew.
fn rows_that_come_and_go_change_no_names<P: Protocol>() {
    let shop = reviewed::<P>("review_rows", &built_in("warn", &["select-everything"]));
    let mut alice = shop.alice_as("owner");
    let held = alice.hold("SELECT id FROM shop.orders WHERE id = 1");
    shop.database.log_statements();
    for round in 0..3 {
        shop.database.run(&format!("INSERT INTO shop.orders (id) VALUES ({})", 1000 + round));
        shop.database.run(P::pick("ANALYZE shop.orders", "ANALYZE TABLE shop.orders"));
        std::thread::sleep(std::time::Duration::from_millis(1500));
        assert_eq!(alice.run_held(&held).ok().value(), "1");
    }
    // Asked for with the whole catalog only.
    let part = P::pick("FROM pg_catalog.pg_attribute a", "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE");
    let log = shop.database.statement_log();
    // On MySQL names are read once more when they are first summed up: then there is a sum to compare with.
    let read = log.iter().filter(|statement| statement.contains(part)).count();
    assert!(!log.is_empty() && read <= P::pick(0, 1), "{read} times: {log:?}");
}
