//! What binds to what: operators that the parser binds otherwise than the server, names that only part of a FROM sees,
//! and forms said to the parser in other words.

use super::{
    Flavour,
    testing::{all, catalog, names, needs, one, outputs, refused, uses},
    understand,
};

/// The uses of `text` under `sql_mode`.
fn used(text: &str, sql_mode: &str) -> String {
    let understood = understand(text, &catalog(), &names(sql_mode, Flavour::MySql)).expect(text);
    understood.statements.iter().map(uses).collect()
}

#[test]
fn on_sees_what_it_joins_and_the_queries_around() {
    let text =
        |from: &str| format!("SELECT 1 FROM (SELECT bio AS body FROM customers) c WHERE EXISTS (SELECT 1 FROM {from})");
    for from in [
        // Without the one beside, `topic` is that of the query around; `bio` is nowhere else.
        "articles a, nums n JOIN orders o ON body LIKE 'x'",
        "articles a, nums n LEFT JOIN orders o ON body LIKE 'x'",
        "articles a JOIN (nums n JOIN orders o ON body LIKE 'x') ON 1",
    ] {
        assert_eq!(uses(&one(&text(from))), "shop.customers.bio Inference", "{from}");
    }
    // What the parser may nest is read both ways, and a list said as joins is such a thing.
    for (from, expected) in [
        (
            "(articles a, nums n JOIN orders o ON body LIKE 'x')",
            "shop.articles.body Inference, shop.customers.bio Inference",
        ),
        (
            "articles a JOIN nums n JOIN orders o ON body = 'x'",
            "shop.articles.body Equality, shop.customers.bio Equality",
        ),
        ("nums n, articles a JOIN orders o ON body = 'x'", "shop.articles.body Equality"),
    ] {
        assert_eq!(uses(&one(&text(from))), expected, "{from}");
    }
}

#[test]
fn a_bang_binds_tighter_than_a_comparison() {
    for (text, mode, expected) in [
        ("SELECT 1 FROM customers WHERE ! ssn = 'x'", "", "shop.customers.ssn Inference"),
        ("SELECT 1 FROM customers WHERE !(ssn) = 'x'", "", "shop.customers.ssn Inference"),
        ("SELECT 1 FROM customers WHERE !(ssn = 'x')", "", "shop.customers.ssn Equality"),
        (
            "SELECT 1 FROM customers WHERE !(ssn = 'x') AND id = 1",
            "",
            "shop.customers.id Inference, shop.customers.ssn Equality",
        ),
        ("SELECT 1 FROM customers WHERE NOT ssn = 'x'", "", "shop.customers.ssn Equality"),
        ("SELECT 1 FROM customers WHERE NOT ssn = 'x'", "HIGH_NOT_PRECEDENCE", "shop.customers.ssn Inference"),
        ("SELECT 1 FROM customers WHERE ssn NOT IN ('x')", "HIGH_NOT_PRECEDENCE", "shop.customers.ssn Equality"),
        ("SELECT 1 FROM customers WHERE ssn IS NOT NULL", "HIGH_NOT_PRECEDENCE", ""),
        ("SELECT 1 FROM customers WHERE ssn IS UNKNOWN OR ssn IS NOT UNKNOWN", "", ""),
    ] {
        assert_eq!(used(text, mode), expected, "{text}");
    }
    let sum =
        understand("SELECT ssn || 'x' + 1 v FROM customers", &catalog(), &names("PIPES_AS_CONCAT", Flavour::MySql));
    assert_eq!(outputs(&sum.expect("understood").statements[0]), "v: shop.customers.ssn Partial");
}

#[test]
fn what_goes_into_a_user_variable_has_travelled() {
    for (text, expected) in [
        ("SELECT @v := @v + 1 AS n, email FROM customers", ""),
        ("SELECT *, @v := 1 FROM customers", ""),
        ("SELECT @v := 1 OR email FROM customers", "shop.customers.email Travel(\"a user variable\")"),
        ("SELECT @v := 'a' = email FROM customers", "shop.customers.email Travel(\"a user variable\")"),
        ("SELECT IF(@v := 1, email, 0) FROM customers", "shop.customers.email Travel(\"a user variable\")"),
        (
            "SELECT id, email INTO @a, @b FROM customers",
            "shop.customers.email Travel(\"@b\"), shop.customers.id Travel(\"@a\")",
        ),
        ("SELECT email FROM customers LIMIT 1 INTO @a", "shop.customers.email Travel(\"@a\")"),
        ("SELECT 1 UNION ALL SELECT ssn FROM customers INTO @a", "shop.customers.ssn Travel(\"@a\")"),
    ] {
        assert_eq!(uses(&one(text)), expected, "{text}");
    }
    assert_eq!(one("SELECT 1 INTO @a").verb, "SELECT INTO");
    assert!(one("SELECT @v := 1").features.assigns);
    for text in [
        "SELECT 1 + @v := 2",
        "SELECT (SELECT email INTO @a FROM customers)",
        "SELECT email INTO a FROM customers",
        "SELECT email INTO @a, FROM customers",
        "SELECT @@v := 1",
    ] {
        assert!(all(text).is_err(), "{text}");
    }
}

#[test]
fn tables_in_parentheses_are_joined() {
    for text in [
        "SELECT o.id FROM (orders o, customers c) WHERE o.customer_id = c.id",
        "SELECT o.id FROM (orders o, customers c JOIN nums n ON n.i = c.id)",
        "SELECT o.id FROM nums, (orders o, customers AS c)",
        "SELECT o.id FROM (orders o) JOIN (customers) ON 1",
        "SELECT o.id FROM ((orders o, nums), customers c)",
        "SELECT o.id FROM orders o USE INDEX FOR JOIN (a, b) IGNORE KEY (c), (customers, nums)",
        "SELECT o.id FROM {oj orders o LEFT JOIN customers c ON c.id = o.id}",
        "SELECT {fn LENGTH(note)} FROM orders, customers WHERE created_at > {d '2020-01-01'}",
    ] {
        assert!(
            needs(&one(text)).contains("select shop.customers, ")
                || needs(&one(text)).starts_with("select shop.customers"),
            "{text}"
        );
    }
    assert_eq!(uses(&one("SELECT 1 FROM customers WHERE ssn = {d '2020-01-01'}")), "shop.customers.ssn Inference");
    for text in ["SELECT {x 1}", "SELECT {d 1}", "SELECT {fn 1", "SELECT 1}", "SELECT {d '2020-01-01'"] {
        assert!(all(text).is_err(), "{text}");
    }
    // A query in parentheses stays one.
    assert_eq!(outputs(&one("SELECT * FROM ((SELECT id FROM orders) ORDER BY 1, 1) x")), "id: shop.orders.id Copy");
}

#[test]
fn a_word_before_a_dot_is_a_name() {
    assert_eq!(outputs(&one("SELECT rows.id FROM orders AS `rows`")), "id: shop.orders.id Copy");
    assert_eq!(outputs(&one("SELECT option.id FROM orders option")), "id: shop.orders.id Copy");
    assert!(refused("SELECT rows .id FROM orders AS `rows`").contains("syntax"));
}

#[test]
fn on_duplicate_key_sees_the_tables_of_its_select() {
    for (text, expected) in [
        (
            "INSERT INTO orders (id) SELECT c.id FROM customers c ON DUPLICATE KEY UPDATE note = c.ssn",
            "shop.customers.id Travel(\"shop.orders.id\"), shop.customers.ssn Travel(\"shop.orders.note\")",
        ),
        ("INSERT INTO orders (id) VALUES (1) AS n (a) ON DUPLICATE KEY UPDATE id = a", ""),
    ] {
        assert_eq!(uses(&one(text)), expected, "{text}");
    }
}

#[test]
fn tables_are_renamed_one_after_the_other() {
    assert_eq!(
        needs(&one("RENAME TABLE orders TO o, nums TO orders, o TO nums")),
        "ddl shop.nums, ddl shop.o, ddl shop.orders"
    );
    assert!(uses(&one("RENAME TABLE newsletter TO a, a TO b")).contains("shop.newsletter.email Reshape"));
}

#[test]
fn parameters_are_texts_only_if_they_are_bound_so() {
    let compared =
        |text: &str| one(text).compared.iter().map(|(at, c)| format!("{at} {c}")).collect::<Vec<_>>().join(", ");
    for (text, expected) in [
        ("SELECT 1 FROM customers WHERE id = ? AND email = ?", "0 shop.customers.id, 1 shop.customers.email"),
        (
            "SELECT IF(ssn = ?, 1, 0) FROM customers WHERE id > ? AND name IN (?, 'a', ?)",
            "0 shop.customers.ssn, 2 shop.customers.name, 3 shop.customers.name",
        ),
        ("SELECT 1 FROM v_customers WHERE (id, contact) = (?, (?))", "0 shop.customers.id, 1 shop.customers.email"),
        ("UPDATE orders SET note = ? WHERE id = ? LIMIT 1", "1 shop.orders.id"),
        ("SELECT 1 FROM orders WHERE id > ?", ""),
    ] {
        assert_eq!(compared(text), expected, "{text}");
    }
    // What EXECUTE … USING binds is not known.
    let prepared = "PREPARE s FROM 'SELECT 1 FROM customers WHERE id = 1 AND ssn = ?'";
    assert!(uses(&one(prepared)).contains("shop.customers.ssn Inference"));
    assert_eq!(uses(&one("PREPARE s FROM \"SELECT 1 FROM customers WHERE ssn = 'a'\"")), "shop.customers.ssn Equality");
}

#[test]
fn what_a_write_computes_from_a_column_tells_about_it() {
    for (text, expected) in [
        ("UPDATE customers SET email = REPLACE(email, 'a', '') WHERE id = 1", "shop.customers.email Inference"),
        ("UPDATE customers SET email = email WHERE name = 'a'", "shop.customers.name Equality"),
        (
            "INSERT IGNORE INTO newsletter (email) SELECT LEFT(email, 3) FROM newsletter",
            "shop.newsletter.email Inference",
        ),
    ] {
        let found = uses(&one(text));
        assert!(found.contains(expected), "{text}: {found}");
    }
    assert!(!uses(&one("UPDATE customers SET email = email WHERE id = 1")).contains("email"));
}
