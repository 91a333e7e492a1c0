//! Statements and what they must be understood to be: lineage of outputs, uses, needs, reach, refusals.
//! In a lineage `!` marks a total step and `?` a partial one; in uses `=` is equality, `?` inference, `>` travel.

use super::testing::{facts, facts_in};
use crate::statement::{Reach, RefusalKind};

/// The outputs of `sql`, without their names.
fn lineages(sql: &str) -> Vec<String> {
    let facts = facts(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
    let outputs = facts.outputs.unwrap_or_else(|| panic!("{sql}: no rows"));
    outputs.iter().map(|output| output.split_once('=').expect("name=lineage").1.to_owned()).collect()
}

fn check_lineages(cases: &[(&str, &[&str])]) {
    for (sql, expected) in cases {
        assert_eq!(lineages(sql), *expected, "{sql}");
    }
}

/// Every use listed is found, and no other of the columns masked in the shop.
pub(super) fn check_uses(cases: &[(&str, &[&str])]) {
    let masked = ["email", "ssn", "card_number", "salary", "notes"];
    for (sql, expected) in cases {
        let facts = facts(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
        let of_masked = |used: &&String| masked.iter().any(|column| used.contains(&format!("customers.{column}")));
        let found: Vec<&String> = facts.uses.iter().filter(of_masked).collect();
        assert_eq!(found, *expected, "{sql}");
    }
}

fn check_refused(cases: &[(&str, RefusalKind, &str)]) {
    for (sql, kind, message) in cases {
        let refusal = facts(sql).expect_err(sql);
        assert_eq!((refusal.kind, refusal.message.contains(message)), (*kind, true), "{sql}: {}", refusal.message);
    }
}

#[test]
fn a_column_keeps_its_lineage_through_names() {
    check_lineages(&[
        ("SELECT c.email AS x FROM shop.customers c", &["customers.email"]),
        ("SELECT ssn id, id ssn FROM customers", &["customers.ssn", "customers.id"]),
        ("SELECT t.c3 FROM shop.customers AS t(c1, c2, c3)", &["customers.email"]),
        ("SELECT orders.note FROM shop.customers AS orders(id, name, note)", &["customers.email"]),
        ("SELECT customers.email FROM shop.orders customers(email), shop.customers c", &["orders.id"]),
        ("SELECT shop.customers.ssn FROM shop.customers", &["customers.ssn"]),
        ("SELECT shop.shop.customers.ssn FROM shop.shop.customers", &["customers.ssn"]),
        ("SELECT s.n FROM (SELECT id, ssn AS n FROM customers) s", &["customers.ssn"]),
        ("SELECT v FROM (VALUES (1), ((SELECT ssn FROM customers))) t(v)", &["customers.ssn"]),
        ("VALUES ((SELECT email FROM customers), 2)", &["customers.email", ""]),
        ("SELECT note FROM orders UNION ALL SELECT email FROM customers", &["customers.email orders.note"]),
        ("SELECT ctid, xmin, tableoid FROM customers", &["", "", ""]),
    ]);
}

#[test]
fn stars_are_expanded_in_the_servers_order() {
    check_lineages(&[
        ("TABLE newsletter", &["newsletter.n", "newsletter.email", "newsletter.topic"]),
        ("SELECT n.*, 1 FROM newsletter n", &["newsletter.n", "newsletter.email", "newsletter.topic", ""]),
        ("SELECT (x).* FROM newsletter x", &["newsletter.n", "newsletter.email", "newsletter.topic"]),
        ("SELECT (ROW(k, v)).* FROM vault", &["vault.k", "vault.v"]),
        ("SELECT * FROM mv_city JOIN v_public USING (city)", &["customers.city", "", "customers.id", "customers.name"]),
        (
            "SELECT * FROM (SELECT 1 AS a, 2 AS b) x NATURAL JOIN (SELECT id AS b, note AS c FROM orders) y",
            &["orders.id", "", "orders.note"],
        ),
        ("SELECT y.* FROM vault x(a) CROSS JOIN mv_city y", &["customers.city", ""]),
        ("SELECT FROM customers", &[]),
        ("SELECT * FROM generate_series(1, 2) WITH ORDINALITY", &["", ""]),
        ("SELECT * FROM unnest(ARRAY[1], ARRAY[2]) AS u(a, b)", &["", ""]),
        ("SELECT * FROM json_each('{}')", &["", ""]),
        ("SELECT * FROM json_to_record('{}') AS r(a int, b text)", &["", ""]),
    ]);
}

#[test]
fn views_generated_columns_and_inheritance_are_expanded() {
    check_lineages(&[
        ("SELECT contact FROM v_customers", &["customers.email"]),
        ("SELECT * FROM v_contacts", &["customers.id", "customers.email", "customers.ssn!", "customers.salary!"]),
        ("SELECT addr FROM mv_customers", &["customers.email"]),
        ("SELECT email_key FROM customers", &["customers.email! customers.email_key"]),
        ("SELECT actor_email FROM events_2025", &["events.actor_email events_2025.actor_email"]),
        ("SELECT actor_email FROM events", &["events.actor_email events_2025.actor_email events_2026.actor_email"]),
        ("SELECT email FROM ONLY people", &["people.email"]),
        ("SELECT email, lounge FROM people_vip", &["people.email people_vip.email", "people_vip.lounge"]),
    ]);
    let view = facts("SELECT id FROM v_contacts").expect("a view");
    assert_eq!(view.needs, ["select shop.v_contacts"], "the view's author answers for what is behind it");
    assert_eq!(view.touches, ["shop.customers", "shop.v_contacts", "shop.v_customers"]);
}

#[test]
fn whole_rows_hold_every_column() {
    let all = "vault.id! vault.k! vault.v!";
    check_lineages(&[
        ("SELECT c FROM vault c", &[all]),
        ("SELECT row_to_json(c) FROM vault c", &[all]),
        ("SELECT c::text FROM vault c", &[all]),
        ("SELECT json_agg(c.*) FROM vault c", &[all]),
        ("SELECT ROW(c.*) FROM vault c", &[all]),
        ("SELECT x FROM (SELECT c AS x FROM vault c) s", &[all]),
        ("SELECT (s.x).k FROM (SELECT c AS x FROM vault c) s", &[all]),
        ("SELECT j FROM (vault a JOIN mv_city b ON true) j", &["customers.city! vault.id! vault.k! vault.v!"]),
        ("SELECT (c).k FROM vault c", &["vault.k"]),
        ("SELECT (c.k) FROM vault c", &["vault.k"]),
        // A column wins over a table of that name.
        ("SELECT k FROM vault k", &["vault.k"]),
    ]);
    let called = facts("SELECT c.fn_card FROM customers c").expect("a function of the row");
    assert!(called.needs.iter().any(|need| need.ends_with("shop.fn_card")), "{:?}", called.needs);
    let called = facts("SELECT ((SELECT c FROM customers c LIMIT 1)).fn_card").expect("a function of a row");
    assert!(called.needs.iter().any(|need| need.ends_with("shop.fn_card")), "{:?}", called.needs);
}

#[test]
fn expressions_tell_total_from_partial() {
    check_lineages(&[
        (
            "SELECT lower(email), '' || ssn, salary * 2 FROM customers",
            &["customers.email!", "customers.ssn!", "customers.salary?"],
        ),
        ("SELECT email::int, email::text FROM customers", &["customers.email?", "customers.email!"]),
        ("SELECT COALESCE(NULL, email), greatest(ssn, '') FROM customers", &["customers.email!", "customers.ssn!"]),
        ("SELECT CASE WHEN id > 0 THEN email ELSE name END FROM customers", &["customers.email! customers.name!"]),
        ("SELECT ARRAY(SELECT ssn FROM customers)", &["customers.ssn!"]),
        ("SELECT (SELECT ssn FROM customers)", &["customers.ssn"]),
        ("SELECT notes ->> 'iban', notes['a'][0] FROM customers", &["customers.notes!", "customers.notes!"]),
        ("SELECT email = 'x', email IS NULL, ssn IN ('a') FROM customers", &["customers.email!", "", "customers.ssn!"]),
        ("SELECT count(email), count(lower(email)), count(c) FROM customers c", &["", "customers.email!", ""]),
        ("SELECT count(DISTINCT ssn) FROM customers", &["customers.ssn!"]),
        ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY salary) FROM customers", &["customers.salary?"]),
        ("SELECT lag(email) OVER (ORDER BY id) FROM customers", &["customers.email!"]),
        ("SELECT grouping(city) FROM customers GROUP BY ROLLUP (city)", &[""]),
        ("SELECT current_user, $1, 1", &["", "", ""]),
        ("SELECT xmlelement(name x, ssn) FROM customers", &["customers.ssn?"]),
        (
            "SELECT JSON_OBJECT('a': ssn), JSON_ARRAY(SELECT email FROM customers) FROM customers",
            &["customers.ssn!", "customers.email!"],
        ),
        ("SELECT JSON_VALUE(notes, '$.a') FROM customers", &["customers.notes?"]),
    ]);
}

#[test]
fn with_items_have_their_scope() {
    check_lineages(&[
        ("WITH orders AS (SELECT ssn AS note FROM customers) SELECT note FROM orders", &["customers.ssn"]),
        ("WITH orders AS (SELECT ssn AS note FROM customers) SELECT note FROM shop.orders", &["orders.note"]),
        ("WITH orders AS (SELECT note FROM orders) SELECT note FROM orders", &["orders.note"]),
        (
            "WITH a AS (SELECT ssn AS x FROM customers) SELECT (WITH a AS (SELECT 1 AS x) SELECT x FROM a), x FROM a",
            &["", "customers.ssn"],
        ),
        ("WITH a(x) AS (SELECT ssn FROM customers), b(y) AS (SELECT x FROM a) SELECT y FROM b", &["customers.ssn"]),
        // Under RECURSIVE an item may come after its reader.
        (
            "WITH RECURSIVE b AS (SELECT x FROM a), a AS (SELECT ssn AS x FROM customers) SELECT x FROM b",
            &["customers.ssn"],
        ),
        (
            "WITH RECURSIVE r(n, acc) AS (SELECT 1, (SELECT card_number FROM customers) \
             UNION ALL SELECT n + 1, acc || '' FROM r WHERE n < 3) SELECT acc FROM r",
            &["customers.card_number!"],
        ),
        // A column that takes several rounds to arrive.
        (
            "WITH RECURSIVE r(a, b, c) AS (SELECT '', '', ssn FROM customers UNION ALL SELECT b, c, c FROM r) SELECT a FROM r",
            &["customers.ssn"],
        ),
        (
            "WITH RECURSIVE r(a) AS (SELECT k FROM vault UNION ALL SELECT a FROM r) \
             SEARCH DEPTH FIRST BY a SET s CYCLE a SET c USING p SELECT * FROM r",
            &["vault.k", "vault.k!", "", "vault.k!"],
        ),
        ("WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING note) SELECT * FROM d", &["orders.note"]),
        ("WITH x AS (SELECT 1) INSERT INTO orders (id) SELECT 2 RETURNING note", &["orders.note"]),
    ]);
    let unread = facts("WITH d AS (DELETE FROM order_items) SELECT 1").expect("runs unread");
    assert_eq!((unread.needs, unread.reach), (vec!["delete shop.order_items".to_owned()], Reach::EveryDelete));
}

#[test]
fn lateral_and_correlated_names_resolve_as_in_the_server() {
    check_lineages(&[
        (
            "SELECT l.v FROM customers c CROSS JOIN LATERAL (VALUES (c.ssn), (c.email)) l(v)",
            &["customers.email customers.ssn"],
        ),
        ("SELECT (SELECT x.email) FROM customers x", &["customers.email"]),
        ("SELECT (SELECT email FROM orders LIMIT 1) FROM customers", &["customers.email"]),
        ("SELECT (SELECT note FROM orders LIMIT 1) FROM (SELECT ssn AS note FROM customers) s", &["orders.note"]),
        // A view has no system columns: the name means the one further out.
        ("SELECT (SELECT ctid FROM v_public LIMIT 1) FROM (SELECT ssn AS ctid FROM customers) s", &["customers.ssn"]),
        // The function may have a column of that name, and may not.
        ("SELECT (SELECT email FROM fn_rows()) FROM customers", &["customers.email"]),
        ("SELECT u FROM customers c, unnest(ARRAY[c.ssn]) u", &["customers.ssn!"]),
        ("SELECT email FROM unnest(ARRAY(SELECT c FROM vault c)) u", &["vault.id! vault.k! vault.v!"]),
        // The array may hold rows, whose second field `nr` would then be.
        (
            "SELECT k, nr FROM customers c, unnest(ARRAY[c.ssn]) WITH ORDINALITY u(k, nr)",
            &["customers.ssn!", "customers.ssn!"],
        ),
        (
            "SELECT array_append(ARRAY[ssn], 'x'), jsonb_exists(notes, 'k') FROM customers",
            &["customers.ssn?", "customers.notes?"],
        ),
        (
            "SELECT length(email), length(avatar, 'EUC_JP'), random(salary, 9), pg_input_is_valid(ssn, 'int') FROM customers",
            &["customers.email!", "customers.avatar?", "customers.salary?", "customers.ssn?"],
        ),
        ("SELECT o.id FROM orders o JOIN LATERAL (SELECT o.note AS id) s(x) ON o.note = s.x", &["orders.id"]),
    ]);
}

#[test]
fn conditions_are_told_from_equality() {
    check_uses(&[
        ("SELECT id FROM customers WHERE email = 'x' AND ssn IN ('a', $1)", &["=customers.email", "=customers.ssn"]),
        ("SELECT id FROM customers WHERE email::text = ANY ($1)", &["=customers.email"]),
        ("SELECT id FROM customers WHERE (email, ssn) <> ('a', 'b')", &["=customers.email", "=customers.ssn"]),
        ("SELECT id FROM customers WHERE email IS NOT DISTINCT FROM $1", &["=customers.email"]),
        ("SELECT id FROM customers WHERE (email = 'x') IS NOT TRUE", &["=customers.email"]),
        ("SELECT id FROM customers WHERE ssn IS NULL OR email IS NOT NULL", &[]),
        ("SELECT id FROM customers c WHERE c IS NULL", &[]),
        ("SELECT id FROM customers WHERE substring(email, 'a') IS NULL", &["?customers.email"]),
        ("SELECT id FROM customers WHERE lower(email) = 'x'", &["?customers.email"]),
        ("SELECT id FROM customers WHERE email COLLATE \"C\" = 'x'", &["?customers.email"]),
        ("SELECT id FROM customers WHERE email LIKE 'a%'", &["?customers.email"]),
        ("SELECT id FROM customers WHERE salary BETWEEN 1 AND 2", &["?customers.salary"]),
        ("SELECT id FROM customers WHERE (email, ssn) < ('a', 'b')", &["?customers.email", "?customers.ssn"]),
        ("SELECT id FROM orders WHERE note IN (SELECT email FROM customers)", &["=customers.email"]),
        ("SELECT id FROM orders WHERE note > ALL (SELECT email FROM customers)", &["?customers.email"]),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM customers WHERE ssn LIKE 'a%')", &["?customers.ssn"]),
        ("SELECT 1 WHERE EXISTS (SELECT regexp_matches(email, 'a') FROM customers)", &["?customers.email"]),
        ("SELECT NULLIF(email, 'x') IS NULL FROM customers", &["=customers.email"]),
        ("SELECT CASE email WHEN 'x' THEN 1 END FROM customers", &["=customers.email"]),
        ("SELECT CASE WHEN ssn ~ 'x' THEN 1 END FROM customers", &["?customers.ssn"]),
        ("SELECT id FROM newsletter JOIN customers USING (email)", &["=customers.email"]),
        ("SELECT 1 FROM (SELECT id, email FROM customers) a NATURAL JOIN newsletter", &["=customers.email"]),
        ("SELECT 1 FROM orders o JOIN customers c ON c.id = o.id AND c.ssn > o.note", &["?customers.ssn"]),
    ]);
}

#[test]
fn order_and_groups_are_inference() {
    check_uses(&[
        // An output's name, where only a level further out has a column of it.
        (
            "SELECT q.n FROM orders o, LATERAL (SELECT count(*) AS n, left(ssn, 9) AS note FROM customers GROUP BY note) q",
            &["?customers.ssn"],
        ),
        (
            "SELECT q.n FROM orders o, LATERAL (SELECT count(*) AS n, left(ssn, 9) AS city FROM customers GROUP BY city, ssn IS NULL) q",
            &[],
        ),
        ("SELECT id FROM customers ORDER BY salary", &["?customers.salary"]),
        ("SELECT email AS e FROM customers ORDER BY e", &["?customers.email"]),
        ("SELECT id, ssn FROM customers ORDER BY 2", &["?customers.ssn"]),
        ("SELECT count(*) FROM customers GROUP BY email", &["?customers.email"]),
        // GROUP BY prefers an input column to an output of that name.
        ("SELECT ssn AS name FROM customers GROUP BY name", &[]),
        ("SELECT ssn AS n FROM customers GROUP BY n", &["?customers.ssn"]),
        (
            "SELECT count(*) FROM customers GROUP BY GROUPING SETS ((email), ROLLUP (ssn))",
            &["?customers.email", "?customers.ssn"],
        ),
        ("SELECT DISTINCT email FROM customers", &["?customers.email"]),
        ("SELECT DISTINCT ON (ssn) id FROM customers", &["?customers.ssn"]),
        ("SELECT email FROM customers UNION SELECT note FROM orders", &["?customers.email"]),
        ("SELECT email FROM customers EXCEPT ALL SELECT note FROM orders", &["?customers.email"]),
        ("SELECT email FROM customers UNION ALL SELECT note FROM orders ORDER BY 1", &["?customers.email"]),
        ("SELECT id FROM customers LIMIT (SELECT salary FROM customers)", &["?customers.salary"]),
        ("SELECT rank() OVER (PARTITION BY city ORDER BY salary) FROM customers", &["?customers.salary"]),
        ("SELECT count(*) OVER w FROM customers WINDOW w AS (ORDER BY ssn)", &["?customers.ssn"]),
        ("SELECT string_agg(city, '' ORDER BY salary) FROM customers", &["?customers.salary"]),
        ("SELECT count(*) FILTER (WHERE ssn > 'a') FROM customers", &["?customers.ssn"]),
        ("SELECT id FROM customers TABLESAMPLE BERNOULLI ((SELECT salary FROM customers))", &["?customers.salary"]),
        ("SELECT c.id FROM customers c, regexp_matches(c.email, 'a') m", &["?customers.email"]),
        ("SELECT j.a FROM customers c, JSON_TABLE(c.notes, '$' COLUMNS (a int PATH '$.a')) j", &["?customers.notes"]),
        // Computed where nobody sees it: only failure could tell.
        ("WITH m AS MATERIALIZED (SELECT email::int FROM customers) SELECT count(*) FROM m", &["?customers.email"]),
        ("SELECT count(*) FROM (SELECT email::int FROM customers OFFSET 0) s", &["?customers.email"]),
    ]);
}

#[test]
fn what_is_copied_travels() {
    check_uses(&[
        ("INSERT INTO orders (id, note) SELECT id, email FROM customers", &["customers.email>orders.note"]),
        ("INSERT INTO orders (note) VALUES ((SELECT ssn FROM customers))", &["customers.ssn>orders.note"]),
        ("UPDATE orders o SET note = c.ssn FROM customers c WHERE c.id = o.id", &["customers.ssn>orders.note"]),
        ("UPDATE customers SET prefs = notes WHERE id = 1", &["customers.notes>customers.prefs"]),
        ("UPDATE customers SET email = lower(email), ssn = ssn WHERE id = 1", &[]),
        (
            "UPDATE customers SET (city, prefs) = (SELECT ssn, 'x' FROM customers) WHERE id = 1",
            &["customers.ssn>customers.city"],
        ),
        ("UPDATE customers SET (city, prefs) = (email, NULL) WHERE id = 1", &["customers.email>customers.city"]),
        ("INSERT INTO customers (id, email) SELECT id, email FROM customers", &[]),
        ("INSERT INTO v_upd (id, email) SELECT id, email FROM customers", &[]),
        ("INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name", &[]),
        (
            "INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = customers.email",
            &["customers.email>customers.name"],
        ),
        (
            "INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'x' WHERE customers.ssn > 'a'",
            &["?customers.ssn"],
        ),
        ("INSERT INTO customers (email) VALUES ('guess') ON CONFLICT (email) DO NOTHING", &["=customers.email"]),
        (
            "MERGE INTO orders o USING customers c ON o.id = c.id WHEN MATCHED THEN UPDATE SET note = c.email \
             WHEN NOT MATCHED AND c.ssn > 'a' THEN INSERT (note) VALUES (c.card_number)",
            &["customers.card_number>orders.note", "customers.email>orders.note", "?customers.ssn"],
        ),
        ("SELECT ssn INTO shop.copy FROM customers", &["customers.ssn>copy"]),
    ]);
}

#[test]
fn returning_shows_what_was_read_and_written() {
    check_lineages(&[
        ("UPDATE customers SET city = city WHERE id = 1 RETURNING email", &["customers.email"]),
        (
            "UPDATE orders o SET note = c.ssn FROM customers c WHERE o.id = c.id RETURNING o.note",
            &["customers.ssn orders.note"],
        ),
        ("UPDATE orders SET note = 'x' WHERE id = 1 RETURNING old.note, new.note", &["orders.note", "orders.note"]),
        (
            "UPDATE orders SET note = 'x' WHERE id = 1 RETURNING WITH (OLD AS o) o.note, (SELECT ssn FROM customers)",
            &["orders.note", "customers.ssn"],
        ),
        (
            "DELETE FROM vault USING mv_city m WHERE vault.k = m.city RETURNING *",
            &["vault.id", "vault.k", "vault.v", "customers.city", ""],
        ),
        ("INSERT INTO vault DEFAULT VALUES RETURNING k", &["vault.k"]),
        (
            "MERGE INTO vault v USING mv_city m ON v.k = m.city WHEN MATCHED THEN DO NOTHING RETURNING merge_action(), *",
            &["", "customers.city", "", "vault.id", "vault.k", "vault.v"],
        ),
    ]);
}

#[test]
fn needs_are_those_of_what_is_named() {
    let cases: &[(&str, &[&str])] = &[
        ("SELECT 1", &[]),
        ("SELECT 1 FROM vault, hr.payroll", &["select hr.payroll", "select shop.vault"]),
        ("SELECT note FROM orders FOR UPDATE", &["select shop.orders", "lock shop.orders"]),
        (
            "SELECT 1 FROM orders o JOIN vault v ON true FOR SHARE OF v",
            &["select shop.orders", "select shop.vault", "lock shop.vault"],
        ),
        ("SELECT 1 FROM (SELECT * FROM orders) s FOR UPDATE", &["select shop.orders", "lock shop.orders"]),
        ("INSERT INTO orders (id) VALUES (1)", &["insert shop.orders"]),
        ("INSERT INTO orders (id) VALUES (1) RETURNING id", &["select shop.orders", "insert shop.orders"]),
        ("INSERT INTO orders (id) VALUES (1) RETURNING 1", &["insert shop.orders"]),
        (
            "INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = ''",
            &["insert shop.orders", "update shop.orders"],
        ),
        ("UPDATE orders SET note = ''", &["update shop.orders"]),
        ("UPDATE orders SET note = note", &["select shop.orders", "update shop.orders"]),
        ("DELETE FROM orders WHERE id = 1", &["select shop.orders", "delete shop.orders"]),
        ("UPDATE v_upd SET name = '' WHERE id = 1", &["select shop.v_upd", "update shop.v_upd"]),
        // A WITH item is no target.
        ("WITH orders AS (SELECT 1 AS id) DELETE FROM orders", &["delete shop.orders"]),
        (
            "MERGE INTO orders o USING vault v ON o.id = v.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
            &["select shop.orders", "select shop.vault", "insert shop.orders", "delete shop.orders"],
        ),
        ("SELECT * INTO shop.copy FROM vault", &["select shop.vault", "ddl shop.copy"]),
        ("SELECT relname FROM pg_class", &["select pg_catalog.pg_class"]),
    ];
    for (sql, expected) in cases {
        assert_eq!(facts(sql).expect(sql).needs, *expected, "{sql}");
    }
}

#[test]
fn reach_is_seen_through_disguises() {
    use Reach::{EveryDelete, EveryUpdate, Some};
    let cases = [
        ("UPDATE orders SET note = ''", EveryUpdate),
        ("UPDATE orders SET note = '' WHERE id = 1", Some),
        ("DELETE FROM orders WHERE true", EveryDelete),
        ("DELETE FROM orders WHERE 1 = 1 OR id = 2", EveryDelete),
        ("DELETE FROM orders WHERE NOT (false AND id = 1)", EveryDelete),
        ("DELETE FROM orders WHERE id = id", EveryDelete),
        ("DELETE FROM orders WHERE id = 1 AND true", Some),
        ("DELETE FROM orders WHERE false", Some),
        ("DELETE FROM orders WHERE NULL OR id = 3", Some),
        ("DELETE FROM orders WHERE length('a') + 1 = 2", EveryDelete),
        ("DELETE FROM orders WHERE $1", EveryDelete),
        ("DELETE FROM orders WHERE EXISTS (SELECT 1 FROM vault WHERE k = 'x')", EveryDelete),
        ("DELETE FROM orders o WHERE EXISTS (SELECT 1 FROM vault WHERE id = o.id)", Some),
        ("UPDATE orders o SET note = '' FROM vault v WHERE v.id = 1", EveryUpdate),
        ("DELETE FROM orders WHERE CURRENT OF c", Some),
        ("WITH x AS (DELETE FROM orders RETURNING 1) SELECT 1", EveryDelete),
        ("MERGE INTO orders o USING vault v ON o.id = v.id WHEN MATCHED THEN DELETE", Some),
        ("MERGE INTO orders o USING vault v ON true WHEN MATCHED THEN DELETE", EveryDelete),
        ("MERGE INTO orders o USING vault v ON true WHEN MATCHED AND o.id = 1 THEN UPDATE SET note = ''", Some),
        ("MERGE INTO orders o USING vault v ON o.id = v.id WHEN NOT MATCHED BY SOURCE THEN DELETE", EveryDelete),
    ];
    for (sql, expected) in cases {
        assert_eq!(facts(sql).expect(sql).reach, expected, "{sql}");
    }
}

#[test]
fn outputs_are_named_as_the_server_names_them() {
    let cases: &[(&str, &[&str])] = &[
        ("SELECT 1, 'a'::text, email::varchar, count(*) FROM customers", &["?column?", "text", "email", "count"]),
        (
            "SELECT 1::int::text, CASE WHEN true THEN 1 END, CASE WHEN true THEN 1 ELSE id END FROM orders",
            &["text", "case", "id"],
        ),
        (
            "SELECT coalesce(1), greatest(1), nullif(1, 2), ARRAY[1], ROW(1), NOT true",
            &["coalesce", "greatest", "nullif", "array", "row", "?column?"],
        ),
        (
            "SELECT EXISTS (SELECT 1), ARRAY(SELECT 1), (SELECT note FROM orders), (SELECT * FROM (SELECT 1 AS z) s)",
            &["exists", "array", "note", "z"],
        ),
        ("SELECT current_date, (c).k, (ARRAY[1])[1] FROM vault c", &["current_date", "k", "array"]),
        ("VALUES (1, 2)", &["column1", "column2"]),
    ];
    for (sql, expected) in cases {
        let outputs = facts(sql).expect(sql).outputs.expect(sql);
        let names: Vec<&str> = outputs.iter().filter_map(|output| output.split('=').next()).collect();
        assert_eq!(names, *expected, "{sql}");
    }
}

#[test]
fn what_is_not_known_is_refused_in_the_servers_words() {
    use RefusalKind::{Ambiguous, Forbidden, TooComplex, UnknownColumn, UnknownFunction, UnknownRelation, Unsupported};
    check_refused(&[
        ("SELECT 1 FROM ordes", UnknownRelation, "relation \"ordes\" does not exist"),
        ("SELECT 1 FROM other.orders", UnknownRelation, "relation \"other.orders\" does not exist"),
        ("SELECT emial FROM customers", UnknownColumn, "column \"emial\" does not exist"),
        ("SELECT c.emial FROM customers c", UnknownColumn, "column c.emial does not exist"),
        ("SELECT x.id FROM customers c", UnknownRelation, "missing FROM-clause entry for table \"x\""),
        ("SELECT customers.id FROM customers c", UnknownRelation, "missing FROM-clause entry"),
        ("SELECT id FROM customers, orders", Ambiguous, "column reference \"id\" is ambiguous"),
        ("SELECT c.k FROM vault c, shop.vault c", Ambiguous, "table reference \"c\" is ambiguous"),
        ("SELECT nosuch(1)", UnknownFunction, "nosuch"),
        ("SELECT 1 FROM other.shop.orders", Unsupported, "cross-database"),
        ("SELECT 1 FROM pg_temp.t", UnknownRelation, "pg_temp.t"),
        ("SELECT 1 FROM pg_temp_3.t", Unsupported, "temporary"),
        ("SELECT 1 FROM hallpass.grants", UnknownRelation, "hallpass.grants"),
        ("SELECT 1 FROM customers_ssn_idx", Unsupported, "not a table"),
        ("SELECT * FROM fn_rows()", Unsupported, "`*` over \"fn_rows\""),
        ("SELECT (email).* FROM customers", Unsupported, "`*` over"),
        ("SELECT *", Unsupported, "no tables"),
        ("SELECT o.id FROM orders o, (SELECT o.note) s", UnknownRelation, "missing FROM-clause entry"),
        ("SELECT a FROM v_loop", TooComplex, "too complex"),
        ("DELETE FROM pg_class", Forbidden, "system catalog"),
        ("UPDATE orders SET nosuch = 1", UnknownColumn, "column \"nosuch\" of relation \"orders\" does not exist"),
        ("WITH d AS (DELETE FROM orders) SELECT * FROM d", Unsupported, "RETURNING"),
        ("WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT 1", Unsupported, "mutual recursion"),
        ("WITH RECURSIVE a AS (SELECT * FROM a) SELECT 1", Unsupported, "recursive"),
        ("SELECT 1 FROM (SELECT 1 INTO x) s", Unsupported, "INTO"),
        ("SELECT 1 INTO TEMP shop.x", Unsupported, "temporary"),
    ]);
}

#[test]
fn the_search_path_decides() {
    let catalog = super::testing::catalog();
    let found = |path: &[&str]| facts_in(&catalog, path, "SELECT note FROM orders").map(|facts| facts.needs);
    assert_eq!(found(&["pg_catalog", "hr", "shop"]).expect("hr"), ["select hr.orders"]);
    assert_eq!(found(&["pg_catalog", "shop", "hr"]).expect("shop"), ["select shop.orders"]);
    assert_eq!(found(&["pg_catalog"]).expect_err("nowhere").kind, RefusalKind::UnknownRelation);
    // A view's own names do not follow the session's path.
    let view = facts_in(&catalog, &["hr"], "SELECT t FROM shop.v_contacts").expect("a view");
    assert_eq!(view.outputs.expect("rows"), ["t=customers.ssn!"]);
}

#[test]
fn long_honest_chains_are_walked_and_bombs_are_not() {
    let text = vec!["note"; 60].join(" || ");
    assert_eq!(lineages(&format!("SELECT {text} FROM orders")), ["orders.note!"]);
    let joins: String = (0..50).map(|at| format!(" JOIN vault v{at} ON v{at}.id = o.id")).collect();
    assert_eq!(lineages(&format!("SELECT v49.k FROM orders o{joins}")), ["vault.k"]);
    let mut bomb = "SELECT 1 AS a, 2 AS b".to_owned();
    for at in 0..20 {
        bomb = format!(
            "WITH RECURSIVE r{at}(a, b) AS (SELECT a, b FROM ({bomb}) x UNION ALL SELECT b, a FROM r{at}) SELECT * FROM r{at}"
        );
    }
    assert_eq!(facts(&bomb).expect_err("a bomb").kind, RefusalKind::TooComplex);
}
