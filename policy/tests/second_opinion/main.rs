//! A second parser's opinion: what sqlparser finds in a statement, ours has found as well, in fixed statements, in
//! generated ones, and in those of real clients where their capture lies beside the checkout. Whatever else the two say
//! of a statement is explained in a list. sqlparser misreads some SQL, so it is no gate.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test, where a broken expectation is a panic with the reason"
)]

mod explained;
mod generate;
mod grow;
mod theirs;

use std::{collections::BTreeSet, path::PathBuf};

use generate::Generator;
use hallpass_policy::{
    catalog::Catalog,
    statement::{Names, postgres::understand},
};

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
    for name in TABLES {
        catalog.add_relation(grow::relation("public", name, &["a", "b"]));
    }
    catalog
}

/// Bare names of the tables that we find in `text`.
fn ours(text: &str, catalog: &Catalog) -> BTreeSet<String> {
    let names = Names { search_path: "public".into() };
    let understood = understand(text, catalog, &names).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
    let found = understood.statements.iter().flat_map(grow::of);
    found.filter(|name| TABLES.contains(&name.as_str())).collect()
}

#[test]
fn we_find_every_relation_that_sqlparser_finds() {
    let catalog = catalog();
    let mut compared = 0;
    for &text in STATEMENTS {
        let ours = ours(text, &catalog);
        assert!(!ours.is_empty(), "{text}");
        let Some(theirs) = theirs::relations(text) else { continue };
        for name in theirs.iter().filter(|name| TABLES.contains(&name.as_str())) {
            assert!(ours.contains(name), "{text}: {name} is missing in {ours:?}");
        }
        compared += 1;
    }
    assert!(compared * 10 >= STATEMENTS.len() * 9, "sqlparser read only {compared} of {}", STATEMENTS.len());
}

#[test]
fn we_find_what_sqlparser_misreads() {
    let catalog = catalog();
    for text in [
        "SELECT a FROM ONLY vault",
        "SELECT a, b FROM customers UNION ALL TABLE vault",
        "TABLE vault",
        "COPY vault TO STDOUT",
    ] {
        assert!(ours(text, &catalog).contains("vault"), "{text}");
    }
}

#[test]
fn in_generated_statements_both_find_the_tables() {
    let seed = std::env::var("HALLPASS_GENERATED_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let catalog = catalog();
    let (mut compared, most) = (0, 3000);
    for at in 0..most {
        let generate::Generated { sql, tables } = Generator::statement(seed, at);
        assert_eq!(ours(&sql, &catalog), tables, "statement {at} of seed {seed}: {sql}");
        let Some(theirs) = theirs::relations(&sql) else { continue };
        compared += 1;
        let theirs: BTreeSet<String> = theirs.into_iter().filter(|name| TABLES.contains(&name.as_str())).collect();
        assert_eq!(theirs, tables, "sqlparser's of statement {at} of seed {seed}: {sql}");
    }
    println!("seed {seed}: {compared} of {most} generated statements were read by both parsers");
    assert!(compared * 10 >= most * 9, "sqlparser read only {compared} of {most}");
}

/// The capture is not part of the checkout; without it there is nothing to compare.
#[test]
fn captured_statements_disagree_only_as_explained() {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpus"));
    let folder = std::env::var_os("HALLPASS_CLIENT_SQL").map_or(beside, PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join("client-sql-postgres.jsonl")) else {
        println!("no capture of clients' statements lies beside the checkout");
        return;
    };
    let (mut same, mut explained, mut unread, mut refused, mut faults) = (0, 0, 0, 0, Vec::new());
    for line in text.lines() {
        let captured: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let sql = captured["sql"].as_str().expect("its text");
        let ours = match grow::relations(sql) {
            Ok(ours) => ours,
            Err(refusal) if explained::refused(&refusal.message).is_some() => {
                refused += 1;
                continue;
            }
            Err(refusal) => {
                faults.push(format!("refused: {refusal}: {sql}"));
                continue;
            }
        };
        match theirs::relations(sql) {
            None => unread += 1,
            Some(theirs) if theirs == ours => same += 1,
            Some(theirs) if theirs.is_subset(&ours) && explained::only_ours(sql).is_some() => explained += 1,
            Some(theirs) => faults.push(format!(
                "only theirs {:?}, only ours {:?}: {sql}",
                theirs.difference(&ours).collect::<Vec<_>>(),
                ours.difference(&theirs).collect::<Vec<_>>()
            )),
        }
    }
    println!(
        "clients' statements: {same} agree, {explained} disagree as explained, {unread} sqlparser does not read, \
         {refused} we refuse as explained"
    );
    assert!(faults.is_empty(), "{} unexplained:\n{}", faults.len(), faults.join("\n"));
}
