//! Ways to ask a column for more than whether it equals a value, and what is no such way. The letters of uses are those of
//! `tests`.

use std::sync::Arc;

use super::{
    testing::{self, facts_in, name},
    tests::check_uses,
};
use crate::catalog::{Cast, Catalog, ColumnDefault, Runs};

#[test]
fn guesses_made_row_by_row_are_no_equality() {
    check_uses(&[
        ("SELECT g FROM customers, generate_series(1, 9) g WHERE salary = g", &["?customers.salary"]),
        (
            "SELECT 1 FROM (SELECT g AS salary FROM generate_series(1, 9) g) x JOIN customers USING (salary)",
            &["?customers.salary"],
        ),
        ("SELECT 1 FROM (VALUES ('a'), ('b')) v(ssn) NATURAL JOIN (SELECT ssn FROM customers) c", &["?customers.ssn"]),
        // Which of a list it is, being in it does not tell; a join with the list does.
        ("SELECT id FROM customers WHERE ssn IN (SELECT unnest($1::text[]))", &["=customers.ssn"]),
        ("SELECT id FROM customers WHERE ssn IN (VALUES ('a'), ($1), (lower('B')))", &["=customers.ssn"]),
        ("SELECT id FROM customers WHERE ssn = (SELECT 'a'::text)", &["=customers.ssn"]),
        ("SELECT id FROM customers WHERE ssn IN (VALUES ('a'), (name || 'x'))", &["?customers.ssn"]),
        ("SELECT id FROM customers WHERE ssn IN (SELECT unnest(array_fill('a'::text, ARRAY[9])))", &["?customers.ssn"]),
        ("SELECT id FROM customers WHERE ssn IN (SELECT unnest(ARRAY['a']) FROM orders)", &["?customers.ssn"]),
        ("SELECT id FROM customers WHERE ssn = ANY (ARRAY(SELECT note FROM orders))", &["?customers.ssn"]),
        ("SELECT 1 FROM customers c, orders o WHERE c.ssn = 'a' || o.note", &["?customers.ssn"]),
        (
            "SELECT 1 FROM customers c, (SELECT row_number() OVER () AS n FROM orders) o WHERE c.ssn = o.n",
            &["?customers.ssn"],
        ),
        ("SELECT CASE ssn WHEN (random())::text THEN 1 END FROM customers", &["?customers.ssn"]),
        ("SELECT g FROM customers, generate_series(1, 9) g WHERE ssn IN (md5(random()::text))", &["?customers.ssn"]),
        // In a few words all the numbers between two.
        (
            "SELECT id FROM customers WHERE salary = ANY (array_positions(array_fill(1, ARRAY[9], ARRAY[500]), 1))",
            &["?customers.salary"],
        ),
        ("SELECT CASE c.ssn WHEN g THEN 1 END FROM customers c, generate_series(1, 9) g", &["?customers.ssn"]),
        // Guesses under the name of a stored column.
        (
            "SELECT 1 FROM customers c JOIN (SELECT note FROM orders UNION ALL SELECT 'a') n ON n.note = c.ssn",
            &["?customers.ssn"],
        ),
        (
            "SELECT 1 FROM (SELECT id FROM orders FULL JOIN generate_series(1, 9) s(id) USING (id)) x, customers c WHERE c.ssn = x.id::text",
            &["?customers.ssn"],
        ),
        ("SELECT id FROM customers WHERE ssn = (SELECT note FROM orders LIMIT 1)", &["=customers.ssn"]),
        (
            "SELECT id FROM customers WHERE ssn = lower($1) OR email = current_setting('app.email')",
            &["=customers.email", "=customers.ssn"],
        ),
        (
            "SELECT id FROM customers WHERE ssn = ANY (string_to_array($1, ',')) OR ssn = ANY ('{a,b}'::text[])",
            &["=customers.ssn"],
        ),
    ]);
}

#[test]
fn what_is_computed_only_sometimes_tells_what_came_before() {
    check_uses(&[
        ("SELECT salary > 5 AND 1 / id > 0 FROM customers", &["?customers.salary"]),
        ("SELECT salary > 5 OR EXISTS (SELECT 1 FROM orders) FROM customers", &["?customers.salary"]),
        ("SELECT salary > 5 AND x > 0 FROM customers c, LATERAL (SELECT 1 / c.id AS x) s", &["?customers.salary"]),
        ("SELECT coalesce(notes -> 'a', to_jsonb(1 / id)) FROM customers", &["?customers.notes"]),
        ("SELECT (salary, 1 / id) < (5, 1) FROM customers", &["?customers.salary"]),
        (
            "SELECT salary > 5 AND 'x'::text = city AND status = 5::int8 AND name > '2026-01-01'::date FROM customers",
            &[],
        ),
        // What a domain checks, and a cast that hangs on a setting, wait for their row.
        ("SELECT salary > 5 AND 1e30::money > 1::money FROM customers", &["?customers.salary"]),
        ("SELECT salary > 5 AND 'x'::shop.checked = name FROM customers", &["?customers.salary"]),
        ("SELECT salary > 5 AND 'x'::shop.mood = name FROM customers", &[]),
        ("SELECT salary > 5 AND city = 'Oslo' AND id IN (1, 2) FROM customers", &[]),
        ("SELECT coalesce(email, 'none'), coalesce(email, name || 'x', ssn) FROM customers", &[]),
        ("SELECT NOT (salary > 5) FROM customers", &[]),
    ]);
}

#[test]
fn a_comparison_stays_one_inside_coalesce_and_case() {
    check_uses(&[
        ("SELECT id FROM customers WHERE coalesce(ssn, '') = 'a' OR coalesce(ssn = 'b', false)", &["=customers.ssn"]),
        ("SELECT id FROM customers WHERE CASE WHEN id = 1 THEN ssn = 'a' ELSE false END", &["=customers.ssn"]),
        ("SELECT id FROM customers WHERE coalesce(ssn, name) = 'a'", &["?customers.ssn"]),
        ("SELECT id FROM customers WHERE coalesce(ssn > 'b', false)", &["?customers.ssn"]),
        ("SELECT id FROM customers WHERE CASE id WHEN 1 THEN ssn LIKE 'a%' END", &["?customers.ssn"]),
        ("SELECT id FROM customers WHERE CASE ssn WHEN name || 'x' THEN true END", &["?customers.ssn"]),
    ]);
}

#[test]
fn what_is_made_of_a_column_and_put_into_it_can_be_compared() {
    check_uses(&[
        ("UPDATE customers SET ssn = left(ssn, 1) WHERE id = 4", &["?customers.ssn"]),
        ("UPDATE customers SET salary = greatest(salary, 5) WHERE id = 4", &["?customers.salary"]),
        (
            "UPDATE customers c SET ssn = q.x FROM (SELECT id, left(ssn, 1) AS x FROM customers) q WHERE q.id = c.id",
            &["?customers.ssn"],
        ),
        ("UPDATE customers SET ssn = coalesce(left(ssn, 1), ssn) WHERE id = 4", &["?customers.ssn"]),
        ("UPDATE customers SET ssn = substr(ssn, 1, 1)::varchar(3) WHERE id = 4", &["?customers.ssn"]),
        ("INSERT INTO customers (id, ssn) SELECT 9, left(ssn, 1) FROM customers", &["?customers.ssn"]),
        (
            "MERGE INTO customers c USING (VALUES (1)) v(id) ON c.id = v.id WHEN MATCHED THEN UPDATE SET ssn = md5(ssn)",
            &["?customers.ssn"],
        ),
        (
            "UPDATE customers SET ssn = coalesce(lower(btrim(nullif(ssn, '')::text)), 'none') WHERE id = 4",
            &["=customers.ssn"],
        ),
        ("UPDATE customers SET ssn = CASE WHEN id = 4 THEN upper(ssn) ELSE 'x' END WHERE id = 4", &[]),
        ("INSERT INTO customers (id, ssn) SELECT 9, ssn FROM customers", &[]),
    ]);
}

/// Code of somebody's behind types: `mood` is cast to text by `shop.telling`, `checked` is a domain that calls
/// `shop.checking`; `customers.status` and `orders.status` are moods, the row type of customers holds them.
fn with_code(extension: Option<&str>) -> Catalog {
    let mut catalog = testing::catalog();
    let (mood, checked, row) = (90_002, 90_001, 90_003);
    for table in ["shop.customers", "shop.orders"] {
        let mut relation = (*catalog.relations[&name(table)]).clone();
        relation
            .columns
            .iter_mut()
            .filter(|column| &*column.name == "status")
            .for_each(|column| column.type_oid = mood);
        catalog.add_relation(relation);
    }
    let row_type = crate::catalog::UserType {
        oid: row,
        name: name("shop.customers"),
        kind: crate::catalog::UserTypeKind::Composite,
        extension: None,
    };
    catalog.types.insert(row_type.name.clone(), row_type);
    let mut add = |source: &str, target: &str, function: &str, runs, holders: &[u32]| {
        catalog.casts.push(Cast {
            source: name(source),
            target: name(target),
            function: name(function),
            extension: extension.map(Arc::from),
            runs,
            holders: holders.to_vec(),
        });
    };
    add("shop.mood", "pg_catalog.text", "shop.telling", Runs::Converting, &[mood, row]);
    add("shop.checked", "shop.checked", "shop.checking", Runs::Making, &[checked]);
    let default = ColumnDefault { column: "v".into(), expression: "shop.fn_card(1)".into() };
    catalog.defaults.insert(name("shop.vault"), vec![default]);
    catalog
}

/// The functions that `sql` needs.
fn calls(catalog: &Catalog, sql: &str) -> Vec<String> {
    let facts = facts_in(catalog, &["pg_catalog", "shop"], sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
    facts.needs.iter().filter_map(|need| need.strip_prefix("call function shop.").map(ToOwned::to_owned)).collect()
}

#[test]
fn code_behind_a_type_is_needed_where_it_may_run() {
    let catalog = with_code(None);
    for (sql, expected) in [
        ("SELECT status, id FROM customers", &[][..]),
        ("SELECT status IS NULL, count(status), c.id FROM customers c GROUP BY 1, 3", &[]),
        ("SELECT name || 'x', city::text FROM customers WHERE id = 1", &[]),
        ("INSERT INTO orders (id, status) SELECT id, status FROM customers", &[]),
        ("SELECT status::text FROM customers", &["telling"]),
        ("SELECT status || 'x' FROM customers", &["telling"]),
        ("SELECT quote_literal(s) FROM (SELECT status AS s FROM customers) q", &["telling"]),
        ("SELECT id FROM customers WHERE status = 'happy'", &["telling"]),
        ("SELECT id FROM customers ORDER BY status", &["telling"]),
        ("SELECT status FROM customers ORDER BY 1", &["telling"]),
        ("SELECT 1 FROM customers JOIN orders USING (status)", &["telling"]),
        ("SELECT id FROM customers WHERE status IN (SELECT note FROM orders)", &["telling"]),
        ("SELECT status FROM customers UNION ALL SELECT note FROM orders", &["telling"]),
        ("SELECT coalesce(status, name), to_json(c) FROM customers c", &["telling"]),
        ("UPDATE customers SET name = status WHERE id = 1", &["telling"]),
        ("SELECT 'happy'::shop.mood::text", &["telling"]),
        ("SELECT (null::shop.customers).status || ''", &["telling"]),
        ("SELECT a FROM json_to_record('{}') AS r(a mood)", &["telling"]),
        ("SELECT 'x'::checked", &["checking"]),
        ("SELECT pg_input_is_valid('x', 'shop.' || 'checked')", &["checking", "telling"]),
        ("SELECT a FROM json_to_record('{}') AS r(a checked[])", &["checking"]),
        ("INSERT INTO vault (id) VALUES (1)", &["fn_card"]),
        ("INSERT INTO vault (id, k, v) VALUES (1, 'k', DEFAULT)", &["fn_card"]),
        ("INSERT INTO vault DEFAULT VALUES", &["fn_card"]),
        ("UPDATE vault SET v = DEFAULT WHERE id = 1", &["fn_card"]),
        ("INSERT INTO vault (id, v) VALUES (1, 'v')", &[]),
        ("UPDATE vault SET k = DEFAULT WHERE id = 1", &[]),
    ] {
        assert_eq!(calls(&catalog, sql), expected, "{sql}");
    }
    let of_extension = with_code(Some("stranger"));
    assert_eq!(calls(&of_extension, "SELECT id FROM customers WHERE status = name"), [""; 0]);
    assert_eq!(calls(&of_extension, "SELECT status::text FROM customers"), ["telling"]);
    assert!(calls(&with_code(Some("hstore")), "SELECT status::text, 'x'::checked FROM customers").is_empty());
    assert_eq!(super::behind_parameter(&catalog, 90_003), Some(&name("shop.telling")));
    assert_eq!(super::behind_parameter(&catalog, 25), None);
}
