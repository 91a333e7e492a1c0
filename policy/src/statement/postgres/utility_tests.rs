//! What utility statements need and do, in tables: one line a statement.

use std::sync::Arc;

use super::understand;
use crate::{
    catalog::{Catalog, Column, Function, FunctionKind, QualifiedName, Relation, RelationKind, UserType, UserTypeKind},
    statement::{Effect, Names, Outputs, Refusal, RefusalKind, Statement, Usage},
};

fn relation(schema: &str, name: &str, kind: RelationKind, columns: &[&str]) -> Relation {
    let columns = columns.iter().zip(1..).map(|(&name, number)| Column {
        name: name.into(),
        number,
        type_oid: 25,
        local: true,
        generated: None,
    });
    Relation {
        oid: 0,
        name: QualifiedName::new(schema, name),
        kind,
        columns: columns.collect(),
        definition: None,
        revision: None,
        triggered: false,
        ruled: false,
        parents: Vec::new(),
        children: Vec::new(),
    }
}

fn catalog() -> Catalog {
    let mut catalog = Catalog {
        database: "shop".into(),
        login: "app".into(),
        schemas: ["pg_catalog", "information_schema", "public", "shop", "other"].into_iter().map(Arc::from).collect(),
        ..Catalog::default()
    };
    for one in [
        relation("shop", "orders", RelationKind::Table, &["id", "customer_id", "note"]),
        relation("shop", "orders_pkey", RelationKind::Other, &[]),
        relation("public", "t", RelationKind::Table, &["a"]),
        relation("pg_catalog", "pg_class", RelationKind::Table, &["oid", "relname"]),
        relation("pg_catalog", "pg_authid", RelationKind::Table, &["oid", "rolname", "rolpassword"]),
        relation("pg_catalog", "pg_subscription", RelationKind::Table, &["subname", "subconninfo"]),
        relation("pg_catalog", "pg_stat_activity", RelationKind::View, &["pid", "query"]),
        relation("pg_catalog", "pg_settings", RelationKind::View, &["name", "setting"]),
    ] {
        catalog.add_relation(one);
    }
    let address = QualifiedName::new("shop", "address");
    let kind = UserTypeKind::Domain { base: 25 };
    catalog.types.insert(address.clone(), UserType { oid: 50, name: address.clone(), kind, extension: None });
    let (name, kind) = (QualifiedName::new("shop", "address_of_work"), UserTypeKind::Domain { base: 50 });
    catalog.types.insert(name.clone(), UserType { oid: 51, name, kind, extension: None });
    let mut ruled = relation("shop", "ruled", RelationKind::Table, &["a"]);
    ruled.ruled = true;
    catalog.add_relation(ruled);
    // A child with an e-mail column of its own, and the rest from its parent.
    let mut child = relation("shop", "vips", RelationKind::Table, &["id", "email", "ssn"]);
    child.parents.push(QualifiedName::new("shop", "customers"));
    for column in child.columns.iter_mut().filter(|column| &*column.name != "email") {
        column.local = false;
    }
    let mut parent = relation("shop", "customers", RelationKind::Table, &["id", "email", "ssn"]);
    parent.children.push(child.name.clone());
    for column in parent.columns.iter_mut().filter(|column| &*column.name == "email") {
        column.type_oid = 51;
    }
    catalog.add_relation(child);
    catalog.add_relation(parent);
    for (schema, name, kind, args) in [
        ("shop", "settle", FunctionKind::Procedure, 1),
        ("pg_catalog", "nextval", FunctionKind::Function, 1),
        ("pg_catalog", "pg_advisory_unlock_all", FunctionKind::Function, 0),
        ("pg_catalog", "set_config", FunctionKind::Function, 3),
    ] {
        catalog.add_function(Function {
            name: QualifiedName::new(schema, name),
            kind,
            min_args: args,
            max_args: Some(args),
            extension: None,
        });
    }
    catalog
}

fn all_of(text: &str) -> Result<Vec<Statement>, Refusal> {
    understand(text, &catalog(), &Names { search_path: "shop, public".into() }).map(|understood| understood.statements)
}

fn one(text: &str) -> Statement {
    let mut all = all_of(text).unwrap_or_else(|refusal| panic!("{text}: {refusal} {:?}", refusal.detail));
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

fn needs(text: &str) -> String {
    let needs: Vec<String> = one(text).needs.iter().map(|need| format!("{} {}", need.action, need.object)).collect();
    needs.join(", ")
}

fn uses(text: &str) -> Vec<String> {
    one(text).uses.iter().map(|one| format!("{:?} {}", one.usage, one.column)).collect()
}

#[test]
fn what_everybody_may_send() {
    for text in [
        "BEGIN",
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
        "START TRANSACTION",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "RELEASE a",
        "ROLLBACK TO a",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET search_path = shop",
        "SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE",
        "SET LOCAL statement_timeout = '5s'",
        "RESET application_name",
        "RESET ALL",
        "DISCARD ALL",
        "DISCARD PLANS",
        "SHOW search_path",
        "SET CONSTRAINTS ALL DEFERRED",
        "UNLISTEN *",
        "DEALLOCATE ALL",
        "CLOSE ALL",
        "FETCH 10 FROM c",
        "EXECUTE p(1, 'x')",
        "SELECT pg_advisory_unlock_all()",
        "EXPLAIN SELECT 1",
    ] {
        assert_eq!(needs(text), "", "{text}");
    }
}

#[test]
fn what_needs_a_grant() {
    for (text, expected) in [
        ("BEGIN READ WRITE", "update READ WRITE transactions"),
        ("SET default_transaction_read_only = off", "update READ WRITE transactions"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "update READ WRITE transactions"),
        ("PREPARE TRANSACTION 'x'", "admin prepared transactions"),
        ("SET session_replication_role = replica", "admin parameter session_replication_role"),
        ("SHOW ALL", "admin parameter all"),
        ("LISTEN x", "select notifications"),
        ("NOTIFY x", "insert notifications"),
        ("EXPLAIN SELECT email FROM customers", "explain shop.customers"),
        ("EXPLAIN UPDATE customers SET email = ''", "explain shop.customers"),
        ("EXPLAIN (ANALYZE, ANALYZE off) SELECT email FROM customers", "explain shop.customers"),
        (
            "EXPLAIN (ANALYZE off, ANALYZE 1) SELECT email FROM customers",
            "explain shop.customers, explain EXPLAIN ANALYZE, select shop.customers",
        ),
        ("PREPARE p AS SELECT email FROM customers", "select shop.customers"),
        ("DECLARE c CURSOR FOR SELECT email FROM customers", "select shop.customers"),
        ("COPY customers TO STDOUT", "select shop.customers"),
        ("COPY customers FROM STDIN", "insert shop.customers, copy_in shop.customers"),
        ("COPY customers TO '/tmp/x'", "select shop.customers, admin server files and programs"),
        (
            "COPY customers FROM PROGRAM 'id'",
            "insert shop.customers, copy_in shop.customers, admin server files and programs",
        ),
        ("LOCK TABLE customers, t IN ACCESS SHARE MODE", "select public.t, select shop.customers"),
        ("LOCK TABLE customers, t IN ROW SHARE MODE NOWAIT", "lock public.t, lock shop.customers"),
        ("LOCK customers", "lock shop.customers"),
        ("TRUNCATE customers", "truncate shop.customers"),
        ("TRUNCATE customers CASCADE", "truncate shop.customers, admin TRUNCATE … CASCADE"),
        ("TRUNCATE pg_class", "admin pg_catalog.pg_class"),
        ("VACUUM customers", "maintain shop.customers"),
        ("ANALYZE", "maintain database"),
        ("CHECKPOINT", "maintain database"),
        ("CALL settle(1)", "call function shop.settle"),
        ("DO 'BEGIN END'", "admin code in the database, whose body the proxy does not check"),
        ("CREATE TABLE fresh (id int)", "ddl shop.fresh"),
        ("CREATE TABLE other.fresh (id int REFERENCES orders)", "select shop.orders, ddl other.fresh"),
        ("CREATE TABLE fresh (LIKE orders)", "select shop.orders, ddl shop.fresh"),
        ("CREATE TABLE fresh (a int DEFAULT nextval('s'))", "ddl shop.fresh"),
        ("CREATE TABLE fresh AS SELECT id FROM orders", "select shop.orders, ddl shop.fresh"),
        ("SELECT id INTO fresh FROM orders", "select shop.orders, ddl shop.fresh"),
        ("CREATE VIEW fresh AS SELECT id FROM orders", "select shop.orders, ddl shop.fresh"),
        ("CREATE INDEX ON customers (lower(email))", "ddl shop.customers"),
        ("CREATE TYPE mood AS ENUM ('a')", "ddl shop.mood"),
        ("CREATE DOMAIN d AS int CHECK (VALUE > 0)", "ddl shop.d"),
        ("CREATE SEQUENCE s OWNED BY orders.id", "ddl shop.orders, ddl shop.s"),
        ("ALTER TABLE orders ADD COLUMN b int CHECK (b > 0)", "ddl shop.orders"),
        ("ALTER TABLE orders RENAME TO other_orders", "ddl shop.orders, ddl shop.other_orders"),
        ("ALTER TABLE orders SET SCHEMA other", "ddl other.orders, ddl shop.orders"),
        ("ALTER TABLE orders OWNER TO bob", "admin shop.orders"),
        ("INSERT INTO ruled VALUES ('x')", "insert shop.ruled, admin what rules make of a write to shop.ruled"),
        ("TABLE ruled", "select shop.ruled"),
        ("ALTER TABLE orders DISABLE TRIGGER ALL", "admin shop.orders, ddl shop.orders"),
        ("ALTER INDEX orders_pkey RENAME TO x", "ddl shop.orders_pkey, ddl shop.x"),
        ("DROP TABLE orders, t", "ddl public.t, ddl shop.orders"),
        ("DROP TABLE IF EXISTS nowhere", "ddl shop.nowhere"),
        ("DROP INDEX orders_pkey", "ddl shop.orders_pkey"),
        ("DROP SCHEMA shop", "admin dropping this kind of object"),
        ("COMMENT ON COLUMN orders.note IS 'x'", "ddl shop.orders"),
        ("GRANT SELECT ON orders TO bob", "admin privileges"),
        ("CREATE ROLE x", "admin roles"),
        ("CREATE EXTENSION dblink", "admin extensions"),
        ("SELECT relname FROM pg_class", "select pg_catalog.pg_class"),
        ("SELECT query FROM pg_stat_activity", "admin pg_catalog.pg_stat_activity"),
        ("SELECT rolname FROM pg_authid", "admin pg_catalog.pg_authid"),
        ("SELECT subname FROM pg_subscription", "select pg_catalog.pg_subscription"),
        ("SELECT s FROM pg_subscription s", "select pg_catalog.pg_subscription, admin pg_catalog.pg_subscription"),
        (
            "SELECT 1 FROM pg_subscription WHERE subconninfo ~ 'a'",
            "select pg_catalog.pg_subscription, admin pg_catalog.pg_subscription",
        ),
        (
            "SELECT set_config(name, 'view', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'",
            "select pg_catalog.pg_settings",
        ),
    ] {
        let mut expected: Vec<&str> = expected.split(", ").collect();
        let found = needs(text);
        let mut found: Vec<&str> = found.split(", ").collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn what_nobody_may_send() {
    for (text, kind) in [
        ("SET ROLE postgres", RefusalKind::Forbidden),
        ("RESET ROLE", RefusalKind::Forbidden),
        ("SET SESSION AUTHORIZATION postgres", RefusalKind::Forbidden),
        ("SET standard_conforming_strings = off", RefusalKind::Forbidden),
        ("SET client_encoding = 'SJIS'", RefusalKind::Forbidden),
        ("SET search_path = pg_temp, shop", RefusalKind::Unsupported),
        ("CREATE TEMP TABLE shop.x (a int)", RefusalKind::Unsupported),
        ("CREATE TABLE pg_temp_3.x (a int)", RefusalKind::Unsupported),
        ("DROP TABLE pg_temp_3.x", RefusalKind::Unsupported),
        ("CREATE TYPE pg_temp.x AS (a int)", RefusalKind::Unsupported),
        ("CREATE DOMAIN pg_temp.x AS int", RefusalKind::Unsupported),
        ("EXPLAIN EXECUTE p", RefusalKind::Unsupported),
        ("SELECT set_config('search_path', note, false) FROM orders", RefusalKind::Forbidden),
        ("ALTER TABLE nowhere ADD COLUMN a int", RefusalKind::UnknownRelation),
        ("CALL nowhere()", RefusalKind::UnknownFunction),
        ("SELEC 1", RefusalKind::Unparsed),
    ] {
        assert_eq!(all_of(text).map(|_| ()).map_err(|refusal| refusal.kind), Err(kind), "{text}");
    }
}

#[test]
fn temporary_relations_come_first() {
    assert_eq!(needs("CREATE TEMP TABLE x (a int)"), "ddl pg_temp.x");
    assert_eq!(needs("CREATE TABLE pg_temp.x (a int)"), "ddl pg_temp.x");
    assert_eq!(needs("SELECT 1 INTO TEMP x"), "ddl pg_temp.x");
    assert_eq!(needs("CREATE TEMP TABLE x (a int PRIMARY KEY, b int REFERENCES x)"), "ddl pg_temp.x");
    assert_eq!(needs("CREATE TEMP VIEW x AS SELECT 1 AS a"), "ddl pg_temp.x");
    let mut catalog = catalog();
    catalog.add_relation(relation("pg_temp", "customers", RelationKind::Table, &["k"]));
    let names = Names { search_path: "shop, public".into() };
    for (text, expected) in [
        ("SELECT k FROM customers", "select pg_temp.customers"),
        ("SELECT k FROM pg_temp.customers", "select pg_temp.customers"),
        ("SELECT email FROM shop.customers", "select shop.customers"),
        ("DROP TABLE customers", "ddl pg_temp.customers"),
        ("TRUNCATE customers", "truncate pg_temp.customers"),
        ("CREATE INDEX ON customers (k)", "ddl pg_temp.customers"),
    ] {
        let understood = understand(text, &catalog, &names).expect(text);
        let needs: Vec<String> =
            understood.statements[0].needs.iter().map(|need| format!("{} {}", need.action, need.object)).collect();
        assert_eq!(needs.join(", "), expected, "{text}");
    }
}

#[test]
fn columns_that_leave_their_mask_are_used() {
    for (text, expected) in [
        ("COPY customers (ssn) TO STDOUT", &["Travel(\"COPY … TO STDOUT\") shop.customers.ssn"][..]),
        ("CREATE TABLE fresh AS SELECT ssn FROM customers", &["Travel(\"shop.fresh\") shop.customers.ssn"]),
        ("ALTER TABLE customers RENAME COLUMN ssn TO x", &["Reshape shop.customers.ssn"]),
        ("ALTER TABLE t RENAME TO u", &["Reshape public.t.a"]),
        ("ALTER TABLE customers ADD CHECK (ssn <> '')", &["Inference shop.customers.ssn"]),
        (
            "ALTER TABLE customers ALTER COLUMN id TYPE text USING ssn",
            &["Reshape shop.customers.id", "Reshape shop.customers.ssn"],
        ),
        ("CREATE INDEX ON customers (lower(ssn))", &["Inference shop.customers.ssn"]),
        ("CREATE UNIQUE INDEX ON customers (ssn)", &["Equality shop.customers.ssn"]),
        ("ALTER TABLE customers ADD UNIQUE (id, ssn)", &["Equality shop.customers.ssn"]),
        ("ALTER TABLE customers ADD EXCLUDE USING gist (ssn WITH &&)", &["Inference shop.customers.ssn"]),
        ("CLUSTER customers USING customers_ssn_idx", &["Inference shop.customers.ssn"]),
        ("ALTER DOMAIN shop.address ADD CHECK (VALUE < 'm')", &["Inference shop.customers.email"]),
        ("ALTER DOMAIN shop.address VALIDATE CONSTRAINT c", &["Inference shop.customers.email"]),
        ("ALTER TABLE customers DROP COLUMN email", &["Reshape shop.customers.email"]),
        ("ALTER TABLE ONLY customers DROP COLUMN ssn", &["Reshape shop.customers.ssn"]),
        ("EXPLAIN SELECT 1 FROM customers WHERE ssn = 'x'", &["Inference shop.customers.ssn"]),
        ("EXPLAIN ANALYZE SELECT ssn::int FROM customers", &["Inference shop.customers.ssn"]),
        ("EXPLAIN (ANALYZE, SERIALIZE) SELECT ssn FROM customers", &["Inference shop.customers.ssn"]),
    ] {
        let found = uses(text);
        for column in expected {
            assert!(found.iter().any(|use_| use_ == column), "{text}: {found:?}");
        }
    }
    for text in [
        "CREATE INDEX ON customers (ssn)",
        "EXPLAIN ANALYZE SELECT ssn FROM customers",
        "EXPLAIN SELECT ssn::int FROM customers",
        "ALTER DOMAIN shop.address ADD CHECK (VALUE < 'm') NOT VALID",
        "ALTER DOMAIN shop.address SET DEFAULT 'm'",
        "ALTER TABLE customers DROP COLUMN ssn",
        "CREATE TABLE fresh (ssn text UNIQUE, EXCLUDE USING gist (ssn WITH &&))",
    ] {
        assert_eq!(uses(text), Vec::<String>::new(), "{text}");
    }
    let copied = uses("COPY customers TO STDOUT");
    assert_eq!(copied.len(), 3, "{copied:?}");
    assert!(one("COPY customers TO STDOUT").export);
    let travels = one("CREATE VIEW v AS SELECT ssn FROM customers").uses;
    assert!(!travels.iter().any(|one| matches!(one.usage, Usage::Travel(_))), "a view is followed");
}

#[test]
fn effects_and_rows() {
    assert_eq!(one("BEGIN").effect, Effect::Begin);
    assert_eq!(one("FETCH 1 FROM c").outputs, Outputs::OfCursor("c".into()));
    assert_eq!(one("MOVE 1 FROM c").outputs, Outputs::None);
    assert_eq!(one("EXECUTE p").outputs, Outputs::OfPrepared("p".into()));
    assert_eq!(one("SHOW all").outputs, Outputs::Server);
    assert_eq!(one("CREATE TABLE x (a int)").effect, Effect::ChangesCatalog);
    assert!(one("EXPLAIN SELECT 1").explain);
    assert_eq!(one("DEALLOCATE p").effect, Effect::Deallocate(Some("p".into())));
    let Effect::Prepare { statement, .. } = one("PREPARE p AS SELECT ssn FROM customers").effect else {
        panic!("no statement");
    };
    assert_eq!(statement.needs.len(), 1);
}

#[test]
fn earlier_statements_name_the_later_ones() {
    let needs_of_last = |text: &str| {
        all_of(text)
            .map(|all| all.last().map(|last| last.needs.iter().map(|n| n.object.to_string()).collect::<Vec<_>>()))
    };
    assert_eq!(needs_of_last("SET search_path = public; SELECT a FROM t"), Ok(Some(vec!["public.t".into()])));
    let moved = needs_of_last("SELECT set_config('search_path', 'public', false); SELECT a FROM customers");
    assert_eq!(moved.map_err(|refusal| refusal.kind), Err(RefusalKind::UnknownRelation));
    for refused in [
        "BEGIN; SET search_path = public; ROLLBACK; SELECT 1",
        "SET LOCAL search_path = public; COMMIT; SELECT a FROM t",
        "RESET search_path; SELECT a FROM t",
        "DISCARD ALL; SELECT a FROM t",
        "ALTER TABLE t RENAME TO u; SELECT a FROM t",
        "CREATE VIEW u AS SELECT 1; SELECT a FROM t",
        "ALTER TABLE orders RENAME TO x; ALTER TABLE orders ADD COLUMN b int",
        "ALTER TABLE orders ADD COLUMN b int; SELECT id FROM orders",
    ] {
        assert_eq!(all_of(refused).map(|_| ()).map_err(|r| r.kind), Err(RefusalKind::Unsupported), "{refused}");
    }
    for fine in [
        "BEGIN; SELECT a FROM t; COMMIT",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL",
        "CREATE TABLE x (a int); CREATE TABLE y (a int); COMMIT",
        "ALTER TABLE orders ALTER COLUMN note DROP NOT NULL; ALTER TABLE orders ALTER COLUMN note DROP DEFAULT",
        "",
        "-- nothing",
    ] {
        assert!(all_of(fine).is_ok(), "{fine}: {:?}", all_of(fine));
    }
}
