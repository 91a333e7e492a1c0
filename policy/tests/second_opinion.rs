//! A second parser's opinion: every relation that sqlparser finds in a statement, ours has found as well.
//! sqlparser misreads some SQL (it is no gate), so the statements here are those that both read.

use std::{collections::BTreeSet, sync::Arc};

use hallpass_policy::{
    catalog::{Catalog, Column, QualifiedName, Relation, RelationKind},
    statement::{Names, Object, Statement, postgres::understand},
};
use sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

const TABLES: &[&str] = &["customers", "orders", "items", "employees", "vault", "notes"];

const STATEMENTS: &[&str] = &[
    "SELECT * FROM customers",
    "SELECT c.a FROM customers c JOIN orders o ON o.a = c.a LEFT JOIN items i ON i.a = o.a",
    "SELECT a FROM customers WHERE a IN (SELECT a FROM orders WHERE EXISTS (SELECT 1 FROM vault))",
    "SELECT (SELECT max(a) FROM vault) FROM customers",
    "SELECT a FROM customers ORDER BY (SELECT a FROM vault LIMIT 1)",
    "SELECT a FROM customers LIMIT (SELECT count(*) FROM vault)",
    "SELECT a FROM customers GROUP BY a HAVING count(*) > (SELECT count(*) FROM vault)",
    "SELECT count(*) FILTER (WHERE a IN (SELECT a FROM vault)) FROM customers",
    "SELECT a FROM customers UNION SELECT a FROM orders EXCEPT SELECT a FROM vault",
    "WITH w AS (SELECT a FROM vault) SELECT * FROM w JOIN customers USING (a)",
    "WITH RECURSIVE w AS (SELECT a FROM vault UNION ALL SELECT o.a FROM orders o JOIN w ON w.a = o.a) SELECT * FROM w",
    "WITH customers AS (SELECT a FROM vault) SELECT * FROM customers",
    "WITH w AS (DELETE FROM notes WHERE a = '1' RETURNING a) SELECT * FROM w",
    "SELECT * FROM (SELECT a FROM (SELECT a FROM vault) x) y",
    "SELECT * FROM customers c, LATERAL (SELECT a FROM orders o WHERE o.a = c.a) o",
    "SELECT CASE WHEN a = '1' THEN (SELECT a FROM vault LIMIT 1) ELSE b END FROM customers",
    "SELECT ARRAY(SELECT a FROM vault) FROM customers",
    "SELECT row_number() OVER (PARTITION BY (SELECT a FROM vault LIMIT 1) ORDER BY b) FROM customers",
    "SELECT DISTINCT ON ((SELECT a FROM vault LIMIT 1)) b FROM customers",
    "SELECT a FROM customers WHERE a BETWEEN (SELECT min(a) FROM vault) AND (SELECT max(a) FROM orders)",
    "SELECT a FROM customers WHERE a = ANY (SELECT a FROM vault)",
    "VALUES ((SELECT a FROM vault LIMIT 1))",
    "INSERT INTO notes (a) SELECT a FROM vault",
    "INSERT INTO notes (a) VALUES ((SELECT a FROM vault LIMIT 1)) RETURNING (SELECT b FROM orders LIMIT 1)",
    "INSERT INTO notes (a) VALUES ('1') ON CONFLICT (a) DO UPDATE SET b = (SELECT b FROM vault LIMIT 1)",
    "UPDATE notes SET b = (SELECT b FROM vault LIMIT 1) FROM orders o WHERE o.a = notes.a",
    "DELETE FROM notes USING orders o WHERE o.a = notes.a AND o.b IN (SELECT b FROM vault)",
    "EXPLAIN SELECT a FROM vault",
    "CREATE VIEW fresh AS SELECT a FROM vault",
    "CREATE TABLE fresh AS SELECT a FROM vault",
    "COPY (SELECT a FROM vault) TO STDOUT",
    "PREPARE p AS SELECT a FROM vault",
    "DECLARE c CURSOR FOR SELECT a FROM vault",
    "TRUNCATE notes, vault",
    "DROP TABLE vault",
    "ALTER TABLE vault RENAME TO fresh",
    "CREATE INDEX ON vault (b)",
];

fn catalog() -> Catalog {
    let mut catalog = Catalog { schemas: vec!["public".into()], ..Catalog::default() };
    for &name in TABLES {
        let columns = ["a", "b"].into_iter().zip(1..).map(|(name, number)| Column {
            name: name.into(),
            number,
            type_oid: 25,
            local: true,
            generated: None,
        });
        catalog.add_relation(Relation {
            oid: 0,
            name: QualifiedName::new("public", name),
            kind: RelationKind::Table,
            columns: columns.collect(),
            definition: None,
            revision: None,
            triggered: false,
            parents: Vec::new(),
            children: Vec::new(),
        });
    }
    catalog
}

/// Every name of an object in sqlparser's tree. Its visitor would need a feature that rebuilds half the workspace, and
/// the printed tree marks names well enough.
fn theirs(text: &str) -> Option<BTreeSet<String>> {
    let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?;
    let printed = format!("{parsed:?}");
    let names = printed.split("ObjectName([Identifier(Ident { value: \"").skip(1);
    Some(names.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect())
}

/// Names that sqlparser reports and that are no stored tables: WITH items and what the statement makes.
fn is_stored(name: &str) -> bool {
    TABLES.contains(&name)
}

fn ours(statement: &Statement) -> BTreeSet<Arc<str>> {
    let needed = statement.needs.iter().filter_map(|need| match &need.object {
        Object::Relation(name) => Some(Arc::clone(&name.name)),
        Object::Catalog(_) | Object::Listing(_) | Object::Function(_) | Object::Session(_) => None,
    });
    needed.chain(statement.touches.iter().map(|name| Arc::clone(&name.name))).collect()
}

#[test]
fn we_find_every_relation_that_sqlparser_finds() {
    let catalog = catalog();
    let names = Names { search_path: "public".into() };
    let (mut compared, mut named) = (0, 0);
    for &text in STATEMENTS {
        let understood = understand(text, &catalog, &names).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        let ours: BTreeSet<Arc<str>> = understood.statements.iter().flat_map(ours).collect();
        // A WITH item that hides a table of its name is not that table, whatever sqlparser reports.
        let hidden = text.starts_with("WITH customers AS");
        let Some(theirs) = theirs(text) else { continue };
        named += theirs.iter().filter(|name| is_stored(name)).count();
        for name in theirs.iter().filter(|name| is_stored(name) && !(hidden && *name == "customers")) {
            assert!(ours.contains(name.as_str()), "{text}: {name} is missing in {ours:?}");
        }
        assert!(!ours.is_empty(), "{text}");
        compared += 1;
    }
    assert!(named > compared, "sqlparser's names are not found in its tree any more");
    assert!(compared * 10 >= STATEMENTS.len() * 9, "sqlparser read only {compared} of {}", STATEMENTS.len());
}

#[test]
fn we_find_what_sqlparser_misreads() {
    let catalog = catalog();
    let names = Names { search_path: "public".into() };
    for text in [
        "SELECT a FROM ONLY vault",
        "SELECT a, b FROM customers UNION ALL TABLE vault",
        "TABLE vault",
        "COPY vault TO STDOUT",
    ] {
        let understood = understand(text, &catalog, &names).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        assert!(understood.statements.iter().flat_map(ours).any(|name| &*name == "vault"), "{text}");
    }
}
