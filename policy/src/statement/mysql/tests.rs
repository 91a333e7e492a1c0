//! Statements of the shop with the facts that the gate has to find, and texts that it has to refuse.

use proptest::prelude::*;

use super::{
    Flavour,
    testing::{all, catalog, names, needs, one, outputs, reaches_all, refused, uses},
    understand,
};
use crate::statement::{Effect, Outputs, RefusalKind, Setting};

#[test]
fn outputs_tell_what_feeds_them() {
    for (text, expected) in [
        (
            "SELECT id, 'x', email AS city FROM customers",
            "id: shop.customers.id Copy; 'x'; city: shop.customers.email Copy",
        ),
        ("SELECT c.`EmAiL` AS `id` FROM shop.customers AS c", "id: shop.customers.email Copy"),
        ("SELECT email_key FROM customers", "email_key: shop.customers.email Total + shop.customers.email_key Copy"),
        ("SELECT LOWER(email) FROM customers", "LOWER(email): shop.customers.email Total"),
        ("SELECT salary + 0 v FROM customers", "v: shop.customers.salary Partial"),
        ("SELECT CAST(email AS CHAR(9) CHARACTER SET latin1) v FROM customers", "v: shop.customers.email Total"),
        ("SELECT CAST(ssn AS SIGNED) v FROM customers", "v: shop.customers.ssn Partial"),
        ("SELECT BINARY ssn v FROM customers", "v: shop.customers.ssn Total"),
        ("SELECT notes->>'$.iban' v FROM customers", "v: shop.customers.notes Partial"),
        ("SELECT GROUP_CONCAT(email ORDER BY id SEPARATOR '; ') v FROM customers", "v: shop.customers.email Total"),
        ("SELECT COUNT(*), COUNT(email) v, email IS NULL n FROM customers", "COUNT(*); v; n"),
        ("SELECT (SELECT ssn FROM customers LIMIT 1) v", "v: shop.customers.ssn Copy"),
        ("SELECT IF(id > 0, ssn, name) v FROM customers", "v: shop.customers.name Total + shop.customers.ssn Total"),
        ("WITH x (id, city) AS (SELECT id, ssn FROM customers) SELECT city FROM x", "city: shop.customers.ssn Copy"),
        ("WITH orders AS (SELECT ssn AS note FROM customers) SELECT note FROM orders", "note: shop.customers.ssn Copy"),
        (
            "WITH RECURSIVE r (a, n) AS (SELECT name, 0 FROM customers UNION ALL SELECT email, n + 1 FROM r, customers) \
             SELECT a FROM r",
            "a: shop.customers.email Copy + shop.customers.name Copy",
        ),
        (
            "SELECT name FROM customers UNION ALL SELECT email FROM customers",
            "name: shop.customers.email Copy + shop.customers.name Copy",
        ),
        (
            "TABLE newsletter",
            "n: shop.newsletter.n Copy; email: shop.newsletter.email Copy; topic: shop.newsletter.topic Copy",
        ),
        ("VALUES ROW(1, (SELECT ssn FROM customers))", "column_0; column_1: shop.customers.ssn Copy"),
        ("SELECT c, t FROM v_contacts", "c: shop.customers.email Copy; t: shop.customers.ssn Total"),
        ("SELECT actor_email FROM events PARTITION (p1)", "actor_email: shop.events.actor_email Copy"),
        ("SELECT FIRST_VALUE(email) OVER (ORDER BY id) v FROM customers", "v: shop.customers.email Total"),
        (
            "SELECT l.e FROM orders o, LATERAL (SELECT email e FROM customers c WHERE c.id = o.id) l",
            "e: shop.customers.email Copy",
        ),
        (
            "SELECT j.v FROM customers c, JSON_TABLE(c.notes, '$' COLUMNS (v VARCHAR(9) PATH '$.a')) j",
            "v: shop.customers.notes Partial",
        ),
        (
            "SELECT email AS city, (SELECT city) q FROM customers",
            "city: shop.customers.email Copy; q: shop.customers.city Copy + shop.customers.email Copy",
        ),
        (
            "SELECT e.* FROM employees c JOIN newsletter e USING (email)",
            "n: shop.newsletter.n Copy; email: shop.newsletter.email Copy; topic: shop.newsletter.topic Copy",
        ),
        ("DELETE FROM newsletter WHERE n < 3 RETURNING email", "email: shop.newsletter.email Copy"),
        (
            "INSERT INTO orders (id, note) SELECT id, 'x' FROM hr.orders RETURNING id, note",
            "id: hr.orders.id Copy + shop.orders.id Copy; note: shop.orders.note Copy",
        ),
        (
            "INSERT INTO orders (id) VALUES (1) RETURNING id, (SELECT ssn FROM customers) x",
            "id: shop.orders.id Copy; x: shop.customers.ssn Copy",
        ),
        (
            "SELECT `order`, `select`, `табле` FROM quirks",
            "order: shop.quirks.order Copy; select: shop.quirks.select Copy; табле: shop.quirks.табле Copy",
        ),
    ] {
        assert_eq!(outputs(&one(text)), expected, "{text}");
    }
}

#[test]
fn forms_that_servers_print_are_understood() {
    let cases = [
        (
            "SELECT match email,name against ('x' in boolean mode) m FROM customers",
            "m: shop.customers.email Partial + shop.customers.name Partial",
        ),
        (
            "SELECT interval(id,1,salary) i FROM customers",
            "i: shop.customers.id Partial + shop.customers.salary Partial",
        ),
        (
            "SELECT d + interval (n) day x FROM (SELECT id n, salary d FROM customers) c",
            "x: shop.customers.id Partial + shop.customers.salary Partial",
        ),
        (
            "SELECT id member of (`notes`) m FROM customers",
            "m: shop.customers.id Partial + shop.customers.notes Partial",
        ),
        (
            "SELECT json_value(notes, '$.a' returning char(10) null on empty error on error) v FROM customers",
            "v: shop.customers.notes Partial",
        ),
        (
            "SELECT json_value(json_value(notes, '$' returning json), '$.a' default -1 on empty) v, ssn FROM customers",
            "v: shop.customers.notes Partial; ssn: shop.customers.ssn Copy",
        ),
        (
            "SELECT char(id, salary using utf8mb4) c FROM customers",
            "c: shop.customers.id Partial + shop.customers.salary Partial",
        ),
        (
            "SELECT group_concat(email order by id ASC separator ',' limit 2) g FROM customers",
            "g: shop.customers.email Total",
        ),
        (
            "SELECT j.x FROM customers, json_table(notes, '$' columns (x varchar(9) character set utf8mb4 collate utf8mb4_bin path '$.x', o for ordinality)) j",
            "x: shop.customers.notes Partial",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(outputs(&one(text)), expected, "{text}");
    }
    // What is no clause is no clause: nothing of it is passed over.
    for text in [
        "SELECT json_value(name, concat('$', null, email)) v FROM customers",
        "SELECT json_value(name + 1 + null, email) v FROM customers",
    ] {
        let Ok(understood) = all(text) else { continue };
        assert!(outputs(&understood.statements[0]).contains("shop.customers.email"), "{text}");
    }
    assert!(all("SELECT rollup_group_item(email, 0) FROM customers").is_err(), "nobody can call it");
}

#[test]
fn a_views_author_does_not_answer_for_functions_and_foreign_tables() {
    assert_eq!(needs(&one("SELECT id FROM v_totals")), "select shop.v_totals, call function shop.fn_total");
    assert_eq!(needs(&one("SELECT id FROM far")), "select shop.far, admin shop.far");
    assert_eq!(needs(&one("SELECT id FROM v_far")), "select shop.v_far, admin shop.far");
}

#[test]
fn a_join_by_names_merges_its_columns() {
    let statement = one("SELECT * FROM employees JOIN newsletter USING (email)");
    let shown = outputs(&statement);
    assert!(shown.starts_with("email: shop.employees.email Copy + shop.newsletter.email Copy; id:"), "{shown}");
    assert_eq!(shown.matches("email:").count(), 1, "{shown}");
    assert_eq!(uses(&statement), "shop.employees.email Equality, shop.newsletter.email Equality");
    assert_eq!(
        refused("SELECT * FROM employees RIGHT JOIN newsletter USING (email)"),
        "`*` over these tables is not supported"
    );
}

#[test]
fn conditions_tell_equality_from_the_rest() {
    for (text, expected) in [
        ("SELECT 1 FROM customers WHERE email = 'a'", "shop.customers.email Equality"),
        (
            "SELECT 1 FROM customers WHERE email = ? OR ssn IN ('a', 'b')",
            "shop.customers.email Equality, shop.customers.ssn Equality",
        ),
        ("SELECT 1 FROM customers WHERE email = 0", "shop.customers.email Inference"),
        ("SELECT 1 FROM customers WHERE email = CONCAT('a', 'b')", "shop.customers.email Inference"),
        ("SELECT 1 FROM customers WHERE email LIKE 'a%'", "shop.customers.email Inference"),
        ("SELECT 1 FROM customers c WHERE c.email SOUNDS LIKE 'a'", "shop.customers.email Inference"),
        (
            "SELECT 1 FROM (SELECT id, ssn sounds FROM customers) c WHERE sounds LIKE 'a' AND `id` sounds like sounds",
            "shop.customers.id Inference, shop.customers.ssn Inference",
        ),
        (
            "SELECT 1 FROM customers WHERE ssn REGEXP 'a' OR salary BETWEEN 1 AND 2",
            "shop.customers.salary Inference, shop.customers.ssn Inference",
        ),
        ("SELECT 1 FROM customers WHERE MATCH(bio) AGAINST ('x')", "shop.customers.bio Inference"),
        ("SELECT 1 FROM customers WHERE email IS NULL", ""),
        (
            "SELECT 1 FROM customers WHERE (id, email) = (2, 'a')",
            "shop.customers.email Equality, shop.customers.id Inference",
        ),
        (
            "SELECT 1 FROM customers c JOIN newsletter n ON n.email = c.email",
            "shop.customers.email Equality, shop.newsletter.email Equality",
        ),
        ("SELECT 1 FROM customers c JOIN (SELECT 0 email) n ON n.email = c.email", "shop.customers.email Inference"),
        ("SELECT 1 FROM customers c JOIN (SELECT 0 email) n USING (email)", "shop.customers.email Inference"),
        ("SELECT 1 FROM customers WHERE email IN (SELECT 0)", "shop.customers.email Inference"),
        ("SELECT id FROM customers ORDER BY salary DESC", "shop.customers.salary Inference"),
        ("SELECT email e FROM customers ORDER BY 1", "shop.customers.email Inference"),
        ("SELECT email e FROM customers GROUP BY e WITH ROLLUP", "shop.customers.email Inference"),
        ("SELECT ssn s FROM customers HAVING s > 'a'", "shop.customers.ssn Inference"),
        ("SELECT DISTINCT email FROM customers", "shop.customers.email Inference"),
        ("SELECT email FROM customers UNION SELECT 'x'", "shop.customers.email Inference"),
        ("SELECT RANK() OVER (ORDER BY ssn) FROM customers", "shop.customers.ssn Inference"),
        ("SELECT CASE email WHEN 'a' THEN 1 END FROM customers", "shop.customers.email Equality"),
        ("SELECT COUNT(DISTINCT email) FROM customers", "shop.customers.email Inference"),
        ("EXPLAIN SELECT 1 FROM customers WHERE email = 'a'", "shop.customers.email Inference"),
        ("EXPLAIN FORMAT=JSON SELECT email FROM customers", "shop.customers.email Inference"),
        // What fails tells as much where nobody is shown the value.
        ("SELECT 1 FROM (SELECT EXP(email LIKE 'a%') FROM customers) q", "shop.customers.email Inference"),
        ("WITH q AS (SELECT EXP(email LIKE 'a%') FROM customers) SELECT 1 FROM q", "shop.customers.email Inference"),
        ("SELECT EXISTS (SELECT EXP(email LIKE 'a%') FROM customers)", "shop.customers.email Inference"),
        ("SELECT 1 FROM nums WHERE EXISTS (SELECT -salary FROM customers)", "shop.customers.salary Inference"),
        ("SELECT 1 FROM (SELECT LOWER(email) FROM customers) q", ""),
    ] {
        assert_eq!(uses(&one(text)), expected, "{text}");
    }
}

#[test]
fn values_that_travel_are_seen() {
    for (text, expected) in [
        (
            "INSERT INTO orders (id, note) SELECT 1, ssn FROM customers",
            "shop.customers.ssn Travel(\"shop.orders.note\")",
        ),
        ("REPLACE INTO orders (note) SELECT ssn FROM customers", "shop.customers.ssn Travel(\"shop.orders.note\")"),
        (
            "INSERT INTO orders SET note = (SELECT ssn FROM customers)",
            "shop.customers.ssn Travel(\"shop.orders.note\")",
        ),
        (
            "INSERT INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE note = (SELECT email FROM customers)",
            "shop.customers.email Travel(\"shop.orders.note\")",
        ),
        ("INSERT INTO orders (id, note) VALUES (1, 'x') ON DUPLICATE KEY UPDATE note = VALUES(note)", ""),
        ("INSERT INTO orders (id, note) VALUES (1, 'x') AS n (a, b) ON DUPLICATE KEY UPDATE note = n.b", ""),
        (
            "UPDATE orders o, customers c SET o.note = c.card_number WHERE o.note = 'x'",
            "shop.customers.card_number Travel(\"shop.orders.note\"), shop.orders.note Equality",
        ),
        ("SET @v = (SELECT ssn FROM customers)", "shop.customers.ssn Travel(\"@v\")"),
        (
            "SELECT 1 FROM (SELECT @v := (SELECT ssn FROM customers)) q",
            "shop.customers.ssn Inference, shop.customers.ssn Travel(\"@v\")",
        ),
        ("SELECT LAST_INSERT_ID(salary) FROM customers", "shop.customers.salary Travel(\"LAST_INSERT_ID()\")"),
        ("CREATE TABLE c2 AS SELECT email FROM customers", "shop.customers.email Travel(\"shop.c2.email\")"),
        ("CREATE TABLE c2 (SELECT email FROM customers)", "shop.customers.email Travel(\"shop.c2.email\")"),
        ("CREATE VIEW v AS SELECT ssn zip FROM customers", "shop.customers.ssn Travel(\"shop.v.zip\")"),
        (
            "ALTER TABLE customers ADD COLUMN nick VARCHAR(9) GENERATED ALWAYS AS (CONCAT(ssn, '!'))",
            "shop.customers.ssn Travel(\"shop.customers.nick\")",
        ),
        (
            "ALTER TABLE customers ADD nick VARCHAR(9) DEFAULT (ssn)",
            "shop.customers.ssn Travel(\"shop.customers.nick\")",
        ),
        ("ALTER TABLE customers RENAME COLUMN ssn TO nick", "shop.customers.ssn Reshape"),
        ("ALTER TABLE customers MODIFY ssn INT", "shop.customers.ssn Reshape"),
        ("ALTER TABLE newsletter CHANGE email e TEXT, DROP topic", "shop.newsletter.email Reshape"),
        ("ALTER TABLE newsletter ORDER BY email", "shop.newsletter.email Inference"),
        ("ALTER TABLE newsletter ADD UNIQUE (email)", "shop.newsletter.email Inference"),
        ("ALTER TABLE newsletter ADD INDEX (email)", ""),
        (
            "RENAME TABLE newsletter TO n2",
            "shop.newsletter.email Reshape, shop.newsletter.n Reshape, shop.newsletter.topic Reshape",
        ),
    ] {
        assert_eq!(uses(&one(text)), expected, "{text}");
    }
}

#[test]
fn needs_are_found() {
    for (text, expected) in [
        ("SELECT 1", ""),
        ("SELECT note FROM hr.orders", "select hr.orders"),
        ("SELECT account FROM v_payroll", "select shop.v_payroll"),
        ("SELECT (SELECT GROUP_CONCAT(v) FROM shop.vault)", "select shop.vault"),
        ("SELECT id FROM orders FOR UPDATE", "select shop.orders, lock shop.orders"),
        ("TABLE orders FOR UPDATE", "select shop.orders, lock shop.orders"),
        ("SELECT id FROM orders LOCK IN SHARE MODE", "select shop.orders, lock shop.orders"),
        (
            "SELECT TABLE_NAME FROM information_schema.tables",
            "select information_schema.TABLES, select the names in all schemas",
        ),
        ("SELECT INFO FROM information_schema.PROCESSLIST", "admin information_schema.PROCESSLIST"),
        (
            "SELECT * FROM information_schema.VIEWS",
            "select information_schema.VIEWS, select the names in all schemas, admin information_schema.VIEWS",
        ),
        (
            "SELECT CHECK_OPTION FROM information_schema.VIEWS",
            "select information_schema.VIEWS, select the names in all schemas",
        ),
        ("SELECT User FROM mysql.user", "admin mysql.user"),
        ("SELECT LOAD_FILE('/etc/passwd')", "admin function load_file"),
        ("SELECT SLEEP(4)", "admin function sleep"),
        ("DO GET_LOCK('a', 5)", "lock named locks"),
        ("SELECT FN_total(1)", "call function shop.fn_total"),
        ("SELECT NEXTVAL(order_seq)", "insert shop.order_seq"),
        ("CALL pr_emails()", "call function shop.pr_emails"),
        ("INSERT INTO orders (id) VALUES (1)", "insert shop.orders"),
        ("REPLACE INTO orders (id) VALUES (1)", "insert shop.orders, delete shop.orders"),
        (
            "INSERT INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE note = 'x'",
            "insert shop.orders, update shop.orders",
        ),
        ("UPDATE orders SET note = 'x'", "update shop.orders"),
        ("UPDATE orders SET note = 'x' WHERE id = 1", "select shop.orders, update shop.orders"),
        ("UPDATE orders JOIN vault SET note = 'x'", "select shop.vault, update shop.orders"),
        ("UPDATE mysql.user SET User = 'x'", "admin mysql.user"),
        (
            "WITH x AS (SELECT 1 id) DELETE FROM vault WHERE id IN (SELECT id FROM x)",
            "select shop.vault, delete shop.vault",
        ),
        (
            "DELETE o FROM orders o JOIN customers c ON c.id = o.id",
            "select shop.customers, select shop.orders, delete shop.orders",
        ),
        ("TRUNCATE orders", "truncate shop.orders"),
        ("DROP TABLE IF EXISTS shop.orders, hr.orders", "ddl hr.orders, ddl shop.orders"),
        (
            "CREATE TABLE t (id INT, CONSTRAINT c FOREIGN KEY (id) REFERENCES orders (id))",
            "ddl shop.orders, ddl shop.t",
        ),
        ("CREATE TABLE t (id INT) ENGINE=FEDERATED", "ddl shop.t, admin engine FEDERATED"),
        ("CREATE DEFINER=root@localhost VIEW v AS SELECT 1", "ddl shop.v, admin DEFINER"),
        ("CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW BEGIN DELETE FROM vault; END", "admin CREATE TRIGGER"),
        ("BEGIN NOT ATOMIC DELETE FROM vault; END", "admin anonymous code"),
        ("IF (SELECT 1) THEN SELECT email FROM customers; END IF", "admin anonymous code"),
        ("LOCK TABLES orders READ, customers AS c WRITE", "lock shop.customers, lock shop.orders"),
        ("ANALYZE TABLE orders", "maintain shop.orders"),
        (
            "LOAD DATA LOCAL INFILE 'a' INTO TABLE orders FIELDS TERMINATED BY ',' IGNORE 1 LINES (id, @x) SET note = 'x'",
            "insert shop.orders, copy_in shop.orders",
        ),
        (
            "LOAD DATA INFILE '/etc/passwd' INTO TABLE orders",
            "insert shop.orders, copy_in shop.orders, admin files of the server",
        ),
        ("HANDLER customers OPEN", "admin rows by HANDLER"),
        ("XA START 'x'", "admin distributed transactions"),
        ("SET GLOBAL max_connections = 1", "admin global variable max_connections"),
        ("SET @@global.general_log = 1", "admin global variable general_log"),
        ("SET optimizer_trace = 'enabled=on'", "admin variable optimizer_trace"),
        ("SET SESSION TRANSACTION READ WRITE", "update READ WRITE transactions"),
        ("SET ROLE admin", "admin SET ROLE"),
        ("SHOW TABLES", "select information_schema.TABLES, select the names in schema shop"),
        (
            "SHOW TABLES WHERE (SELECT 1 FROM vault)",
            "select shop.vault, select information_schema.TABLES, select the names in schema shop",
        ),
        ("SHOW CREATE TABLE orders", "select shop.orders"),
        ("SHOW CREATE VIEW v_customers", "ddl shop.v_customers"),
        ("SHOW CREATE PROCEDURE pr_emails", "admin definition of a procedure"),
        ("SHOW FULL PROCESSLIST", "admin SHOW PROCESSLIST"),
        ("SHOW WARNINGS", ""),
        ("EXPLAIN SELECT id FROM orders", "explain shop.orders"),
        ("EXPLAIN UPDATE orders SET note = 'x' WHERE id = 1", "explain shop.orders"),
        ("EXPLAIN ANALYZE SELECT id FROM orders", "explain shop.orders, explain EXPLAIN ANALYZE, select shop.orders"),
        ("DESCRIBE orders", "select information_schema.COLUMNS, select the names in schema shop"),
        ("PREPARE s FROM 'SELECT email FROM customers'", "select shop.customers"),
        ("KILL QUERY 5", "admin other sessions"),
    ] {
        assert_eq!(needs(&one(text)), expected, "{text}");
    }
}

#[test]
fn how_far_a_write_reaches_is_read_from_its_text() {
    for (text, all) in [
        ("DELETE FROM orders", true),
        ("DELETE FROM orders LIMIT 5", true),
        ("DELETE FROM orders WHERE 1 OR id = 2", true),
        ("DELETE FROM orders WHERE '1'", true),
        ("UPDATE orders SET note = 'x' WHERE id = id", true),
        ("UPDATE orders SET note = 'x' WHERE note LIKE '%'", true),
        ("UPDATE orders SET note = 'x' WHERE @a", true),
        ("UPDATE orders SET note = 'x' WHERE id = 1", false),
        ("UPDATE orders SET note = 'x' WHERE 0", false),
        ("DELETE FROM orders WHERE id IN (1, 2)", false),
        ("EXPLAIN DELETE FROM orders", false),
    ] {
        assert_eq!(reaches_all(&one(text)), all, "{text}");
    }
}

#[test]
fn settings_are_followed() {
    let set =
        |name: &str, value: &str| Effect::Set { name: name.into(), value: Setting::To(value.into()), local: false };
    for (text, effect) in [
        ("USE hr", set("database", "hr")),
        ("SET sql_mode = 'ansi_quotes,STRICT_TRANS_TABLES'", set("sql_mode", "ANSI_QUOTES,STRICT_TRANS_TABLES")),
        ("SET @@session.sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')", set("sql_mode", "PIPES_AS_CONCAT")),
        ("SET sql_mode = @old", set("sql_mode", "@old")),
        ("SET autocommit = 0", set("autocommit", "0")),
        ("/*!40101 SET character_set_client = utf8mb4 */", set("character_set_client", "utf8mb4")),
        ("SET time_zone = DEFAULT", Effect::Set { name: "time_zone".into(), value: Setting::Default, local: false }),
        ("SET @a = 1, @b := 'x'", Effect::None),
        ("START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */", Effect::Begin),
        ("BEGIN WORK", Effect::Begin),
        ("COMMIT", Effect::Commit),
        ("ROLLBACK TO SAVEPOINT `a b`", Effect::RollbackTo),
        ("DEALLOCATE PREPARE S", Effect::Deallocate(Some("s".into()))),
    ] {
        assert_eq!(one(text).effect, effect, "{text}");
    }
    assert!(matches!(one("SET NAMES utf8mb4 COLLATE utf8mb4_bin").effect, Effect::SetAll(all) if all.len() == 4));
    assert_eq!(one("EXECUTE s USING @a").outputs, Outputs::OfPrepared("s".into()));
}

#[test]
fn what_is_not_followed_is_refused() {
    for text in [
        "SELECT id /*! , email */ FROM customers",
        "SELECT id /*!50000 , ssn */ FROM customers",
        "SELECT id /*!80000 SQL_NO_CACHE */ FROM customers",
        "SELECT id /*!080000 , card_number */ FROM customers",
        "SELECT id /*M! , email */ FROM customers",
        "SELECT /*+ SET_VAR(sql_mode='') */ 1",
        "SELECT /*+ BKA(`*/ , email /*`) */ id FROM customers",
        "SELECT email FROM customers INTO OUTFILE 'x'",
        "SELECT email FROM customers PROCEDURE ANALYSE()",
        "SELECT {x email} FROM customers",
        "SELECT 1.e(email) FROM customers",
        "SELECT [email] FROM customers",
        "UPDATE IGNORE t SET a = 1",
        "SELECT limit FROM orders",
        "SELECT email AS ` x` FROM customers",
        "SELECT city FROM (SELECT email AS `émail`, city FROM customers) t WHERE email = 'x'",
        "WITH RECURSIVE x AS (SELECT note FROM orders), orders AS (SELECT ssn note FROM customers) SELECT note FROM x",
        "SELECT t.email FROM customers T",
        "SELECT * FROM nowhere",
        "SELECT nowhere FROM orders",
        "SELECT nowhere()",
        "SELECT id FROM orders, hr.orders o2 WHERE 1",
        "PREPARE s FROM @q",
        "EXECUTE IMMEDIATE CONCAT('a', 'b')",
        "SET STATEMENT max_statement_time = 5 FOR DELETE FROM vault",
        "SET NAMES gbk",
        "SET character_set_results = utf16",
        "SET sql_mode = 'ORACLE'",
        "SET sql_mode = (SELECT email FROM customers)",
        "SET sql_mode = 'ANSI_QUOTES'; SELECT \"email\" FROM customers",
        "CREATE TEMPORARY TABLE orders (id INT)",
        "CREATE TEMPORARY TABLE mysql.t (id INT)",
        "CREATE TEMPORARY VIEW t AS SELECT 1",
        "DROP TEMPORARY SEQUENCE s",
        "CREATE TABLE t (a INT DEFAULT (SELECT 1))",
        "DROP TABLE orders; SELECT id FROM orders",
        "COMMIT AND CHAIN",
        "GIBBERISH",
        "SELECT 'a",
        "SELECT 1 /* a",
        "SELECT a\0b",
        "SELECT 1 -- a\0b",
        "SELECT /* \0 */ 1",
        "SELECT `a\0b` FROM orders",
        "SELECT @'a\0b'",
    ] {
        assert!(all(text).is_err(), "{text}");
    }
}

#[test]
fn the_sql_mode_decides_what_quotes_mean() {
    let catalog = catalog();
    let read = |text: &str, mode: &str| {
        let understood = understand(text, &catalog, &names(mode, Flavour::MariaDb)).expect("understood");
        outputs(&understood.statements[0])
    };
    assert_eq!(read("SELECT \"email\" e FROM customers", ""), "e");
    assert_eq!(read("SELECT \"email\" e FROM customers", "ANSI_QUOTES"), "e: shop.customers.email Copy");
    assert_eq!(
        read("SELECT name || ssn e FROM customers", "PIPES_AS_CONCAT"),
        "e: shop.customers.name Total + shop.customers.ssn Total"
    );
    assert_eq!(read("SELECT '\\' , ssn, '\\' FROM customers", "NO_BACKSLASH_ESCAPES").matches("ssn Copy").count(), 1);
    assert_eq!(
        read("SELECT id -- , email\n, name # , ssn\nFROM customers", ""),
        "id: shop.customers.id Copy; name: shop.customers.name Copy"
    );
    assert_eq!(read("SELECT 5--1 , email FROM customers", ""), "5--1; email: shop.customers.email Copy");
    assert_eq!(
        read("SELECT\u{b}id,\u{c}email\rFROM customers", ""),
        "id: shop.customers.id Copy; email: shop.customers.email Copy"
    );
    assert_eq!(read("SELECT /*!40001 SQL_NO_CACHE */ id FROM customers", ""), "id: shop.customers.id Copy");
}

#[test]
fn several_statements_are_each_understood() {
    let understood = all("SELECT 1; USE hr;; SELECT note FROM orders").expect("understood");
    assert_eq!(understood.statements.len(), 3);
    assert_eq!(needs(&understood.statements[2]), "select hr.orders");
    assert!(all("").expect("nothing").statements.is_empty());
    assert!(all(" /* nothing */ ; -- at all").expect("nothing").statements.is_empty());
}

#[test]
fn depth_is_bounded_and_lengths_are_not() {
    let chain = |unit: &str, n: usize| format!("SELECT 1{}", unit.repeat(n));
    assert!(all(&chain("+1", 5_000)).is_ok());
    assert!(all(&chain(" AND 1", 5_000)).is_ok());
    assert!(all(&format!("INSERT INTO nums VALUES (0){}", ",(1)".repeat(20_000))).is_ok());
    let tower = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(all(&tower).expect_err("too deep").kind, RefusalKind::TooComplex);
    let joins = format!("SELECT 1 FROM {}nums{}", "(nums JOIN ".repeat(30), ")".repeat(30));
    assert!(all(&joins).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC{0,60}", mode in prop::sample::select(vec!["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"])) {
        let _ = understand(&text, &catalog(), &names(mode, Flavour::MySql));
    }

    #[test]
    fn no_token_soup_panics(words in prop::collection::vec(prop::sample::select(SOUP.to_vec()), 0..24)) {
        let text = words.join(" ");
        let refused = understand(&text, &catalog(), &names("", Flavour::MariaDb)).err();
        // A panic inside is caught and refused in these words.
        prop_assert!(refused.is_none_or(|refusal| !refusal.message.contains("could not be analysed")), "{}", text);
    }
}

const SOUP: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "customers",
    "orders",
    "email",
    "id",
    ",",
    "(",
    ")",
    "=",
    "'x'",
    "1",
    "*",
    ".",
    "@v",
    "@@a",
    "?",
    "UPDATE",
    "SET",
    "INSERT",
    "INTO",
    "VALUES",
    "DELETE",
    "JOIN",
    "ON",
    "USING",
    "GROUP",
    "BY",
    "ORDER",
    "LIMIT",
    "UNION",
    "WITH",
    "AS",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "AND",
    "OR",
    "NOT",
    "IN",
    "EXISTS",
    "CREATE",
    "TABLE",
    "ALTER",
    "ADD",
    "COLUMN",
    "VIEW",
    "SHOW",
    "EXPLAIN",
    "LEFT",
    "INTERVAL",
    "DAY",
    "x'41'",
    "`a`",
    ";",
    "||",
    ":=",
    "->",
    "OVER",
    "COUNT",
    "CAST",
    "CHAR",
    "COLLATE",
    "BINARY",
    "LOCK",
    "SHARE",
    "MODE",
    "FOR",
    "DUPLICATE",
    "KEY",
    "RETURNING",
    "DO",
];
