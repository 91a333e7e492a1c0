//! The server as an oracle: each statement is prepared on an empty schema, and every table whose absence the server
//! reports has to be one that our reading of the statement names, too. What is missing is made, with a column for every
//! word of the statement, until nothing is missing any more. Statements are those of the corpus, captures of clients' that
//! lie beside the checkout, and forms with a subquery in every place that an expression may stand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests; this one prints its counts"
)]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use common::mysql::{Kind, Server, answer};
use hallpass::{
    config::UpstreamTls,
    session::upstream::{
        connector::Connector,
        mysql::{self as upstream, Connection, Wanted},
    },
};
use hallpass_policy::{
    catalog::{Catalog, Column, QualifiedName, Relation, RelationKind},
    statement::{
        Object, RefusalKind, Statement,
        mysql::{Flavour, MysqlNames, understand},
    },
};

/// Where a subquery may stand, as `{q}`.
const FORMS: &[&str] = &[
    "SELECT {q}",
    "SELECT {q} + 1 AS n FROM orders",
    "SELECT DISTINCT IF({q} = 1, 2, {q}) FROM orders",
    "SELECT CASE WHEN a = {q} THEN 1 ELSE 2 END FROM orders",
    "SELECT CASE a WHEN 1 THEN {q} END FROM orders",
    "SELECT CONCAT(a, {q}) FROM orders",
    "SELECT COUNT(DISTINCT {q}) FROM orders",
    "SELECT GROUP_CONCAT(a ORDER BY {q} SEPARATOR ',') FROM orders",
    "SELECT SUM({q}) OVER (PARTITION BY {q} ORDER BY {q}) FROM orders",
    "SELECT SUM(a) OVER w FROM orders WINDOW w AS (ORDER BY {q})",
    "SELECT CAST({q} AS CHAR), CONVERT({q} USING utf8mb4), EXTRACT(YEAR FROM {q}) FROM orders",
    "SELECT TRIM(LEADING {q} FROM a), SUBSTRING(a FROM {q}), POSITION({q} IN a) FROM orders",
    "SELECT a + INTERVAL {q} DAY, TIMESTAMPADD(DAY, {q}, a), {q} COLLATE utf8mb4_bin FROM orders",
    "SELECT -{q}, !{q}, ~{q}, NOT {q}, {q} IS NULL, {q} IS TRUE, {q} DIV 2, {q} || 1 FROM orders",
    "SELECT a FROM orders WHERE a = {q}",
    "SELECT a FROM orders WHERE a IN {q}",
    "SELECT a FROM orders WHERE a NOT IN {q} AND a > ALL {q} OR a = ANY {q}",
    "SELECT a FROM orders WHERE EXISTS {q} XOR NOT EXISTS {q}",
    "SELECT a FROM orders WHERE a BETWEEN {q} AND {q}",
    "SELECT a FROM orders WHERE a LIKE {q} OR a REGEXP {q}",
    "SELECT a FROM orders WHERE (a, b) = ({q}, {q}) OR ROW(a, b) IN (({q}, 1))",
    "SELECT a FROM orders GROUP BY {q} HAVING MAX(b) > {q} ORDER BY {q}, b DESC",
    "SELECT a FROM orders ORDER BY {q} LIMIT 1",
    "SELECT o.a FROM orders o JOIN items i ON i.a = o.a AND i.b = {q}",
    "SELECT o.a FROM orders o LEFT JOIN (items i JOIN customers c ON c.a = {q}) ON i.a = o.a",
    "SELECT o.a FROM (orders o, items i) WHERE o.a = {q}",
    "SELECT * FROM {q} x",
    "SELECT x.a FROM orders o, {q} AS x",
    "SELECT x.a FROM orders o NATURAL JOIN {q} AS x",
    "SELECT o.a FROM orders o JOIN {q} AS x USING (a)",
    "SELECT t.v FROM JSON_TABLE({q}, '$[*]' COLUMNS (v INT PATH '$')) t",
    "SELECT a FROM orders UNION SELECT {q}",
    "SELECT a FROM orders UNION ALL {q}",
    "(SELECT a FROM orders) EXCEPT {q} ORDER BY 1",
    "SELECT a FROM orders INTERSECT {q}",
    "WITH c AS {q} SELECT * FROM c, orders",
    "WITH c AS {q}, d AS (SELECT * FROM c JOIN items USING (a)) SELECT a FROM d",
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {q}) SELECT n FROM c",
    "SELECT a FROM orders WHERE a IN (SELECT b FROM items WHERE b = {q})",
    "SELECT a FROM orders FOR UPDATE",
    "SELECT a INTO @v FROM orders WHERE a = {q}",
    "SELECT @v := {q} FROM orders",
    "VALUES ROW({q}, 1)",
    "TABLE orders",
    "INSERT INTO orders (a) VALUES ({q}), ({q} + 1)",
    "INSERT INTO orders SET a = {q}",
    "INSERT INTO orders (a) {q}",
    "INSERT INTO orders (a) SELECT b FROM items WHERE b = {q} ON DUPLICATE KEY UPDATE a = items.b",
    "INSERT INTO orders (a) VALUES (1) ON DUPLICATE KEY UPDATE a = {q}",
    "REPLACE INTO orders (a) SELECT {q}",
    "UPDATE orders SET a = {q} WHERE b = {q} ORDER BY b LIMIT 1",
    "UPDATE orders o JOIN items i ON i.a = o.a SET o.b = {q} WHERE i.b IN {q}",
    "UPDATE orders o, customers c SET o.b = c.b WHERE o.a = c.a AND c.b = {q}",
    "DELETE FROM orders WHERE a = {q} LIMIT 1",
    "DELETE o FROM orders o JOIN items i ON i.a = o.a WHERE i.b = {q}",
    "DELETE FROM o USING orders o, items i WHERE i.a = o.a AND {q}",
    "CREATE TABLE fresh AS SELECT a FROM orders WHERE a = {q}",
    "CREATE VIEW fresh AS SELECT a FROM orders WHERE a = {q}",
    "EXPLAIN SELECT a FROM orders WHERE a = {q}",
    "EXPLAIN UPDATE orders SET a = {q} WHERE b = 1",
    "DO {q}",
    "SET @v = {q}",
];

const SUBQUERIES: &[&str] = &[
    "(SELECT a FROM vault)",
    "(SELECT MAX(v.a) FROM vault v JOIN notes n ON n.a = v.a)",
    "(SELECT a FROM vault UNION SELECT b FROM notes)",
    "(SELECT a FROM (SELECT a FROM vault LIMIT 1) v)",
    "(SELECT a FROM shop.vault WHERE b IN (SELECT b FROM hr.notes))",
    "(TABLE vault)",
];

fn generated() -> Vec<String> {
    // Each with every other one, and each of those with half of the forms.
    let filled = |(at, form): (usize, &&str)| {
        let queries = SUBQUERIES.iter().skip(at % 2).step_by(2);
        queries.map(|query| form.replace("{q}", query)).collect::<Vec<_>>()
    };
    let all: BTreeSet<String> = FORMS.iter().enumerate().flat_map(filled).collect();
    all.into_iter().collect()
}

/// The texts of a file of the corpus, or of captures.
fn texts(path: &Path) -> Vec<String> {
    let Ok(file) = fs::read_to_string(path) else { return Vec::new() };
    let mut found = Vec::new();
    for line in file.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let steps = case["session"].as_array().cloned().unwrap_or_default();
        for step in steps.iter().chain([&case]) {
            let framed = step["raw"].as_array().cloned().unwrap_or_default();
            let framed = framed.iter().filter(|frame| frame[0] == "query" || frame[0] == "prepare");
            let text = step.as_str().or(step["sql"].as_str());
            found.extend(framed.filter_map(|frame| frame[1].as_str()).chain(text).map(str::to_owned));
        }
    }
    found
}

fn statements() -> Vec<String> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let beside = checkout.join("../shared/corpus");
    let captured = std::env::var_os("HALLPASS_CLIENT_SQL").map_or(beside, PathBuf::from);
    let files = ["tests/corpus/mysql.jsonl", "tests/corpus/benign-mysql.jsonl"].map(|file| checkout.join(file));
    let read = files.iter().flat_map(|file| texts(file)).chain(texts(&captured.join("client-sql-mysql.jsonl")));
    let all: BTreeSet<String> = read.chain(generated()).filter(|text| !text.contains('\0')).collect();
    all.into_iter().collect()
}

/// What became of the statements.
#[derive(Debug, Default)]
struct Count {
    /// Understood, and the server had everything it looked for.
    agreed: usize,
    /// Tables that the server looked for in these.
    tables: usize,
    /// Not understood, and so never sent.
    refused: usize,
    /// The server does not prepare them, or not on such tables.
    unprepared: usize,
}

struct Oracle {
    connection: Connection,
    names: MysqlNames,
    /// Where the server has tables.
    used: BTreeSet<String>,
}

impl Oracle {
    async fn ask(&mut self, sql: &str) -> Result<String, (u16, String)> {
        answer(&mut self.connection, sql).await
    }

    async fn fresh(&mut self) {
        for schema in std::mem::take(&mut self.used) {
            self.ask(&format!("DROP DATABASE IF EXISTS `{schema}`")).await.unwrap();
        }
        for schema in ["shop", "hr"] {
            self.ask(&format!("CREATE DATABASE IF NOT EXISTS {schema}")).await.unwrap();
        }
        self.ask("USE shop").await.unwrap();
    }

    async fn prepare(&mut self, text: &str) -> Option<(u16, String)> {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.ask(&format!("SET @s = CONVERT(X'{hex}' USING utf8mb4)")).await.unwrap();
        self.ask("PREPARE s FROM @s").await.err()
    }

    /// Makes `table` on the server and in `catalog`, with these columns.
    async fn make(&mut self, catalog: &mut Catalog, table: &QualifiedName, columns: &[String]) -> bool {
        let list: Vec<String> = columns.iter().map(|name| format!("`{name}` VARCHAR(20)")).collect();
        let QualifiedName { schema, name } = table;
        if ["information_schema", "performance_schema", "mysql", "sys"].contains(&&*schema.to_ascii_lowercase()) {
            return false;
        }
        self.used.insert(schema.to_string());
        self.ask(&format!("CREATE DATABASE IF NOT EXISTS `{schema}`")).await.ok();
        let made = self.ask(&format!("CREATE TABLE IF NOT EXISTS `{schema}`.`{name}` ({})", list.join(", "))).await;
        let column = |(name, number): (&String, i16)| Column {
            name: name.as_str().into(),
            number,
            type_oid: 0,
            local: true,
            generated: None,
        };
        catalog.add_relation(Relation {
            oid: 0,
            name: table.clone(),
            kind: RelationKind::Table,
            columns: columns.iter().zip(1..).map(column).collect(),
            definition: None,
            revision: None,
            triggered: false,
            ruled: false,
            parents: Vec::new(),
            children: Vec::new(),
        });
        made.is_ok()
    }

    /// Compares one statement. Says what the server looked for and we did not name.
    async fn compare(&mut self, text: &str, count: &mut Count) -> Option<String> {
        self.fresh().await;
        let (mut catalog, columns) = (Catalog::default(), words(text));
        let mut missing: BTreeSet<QualifiedName> = BTreeSet::new();
        for _ in 0..24 {
            let ours = understand(text, &catalog, &self.names);
            let asked = match &ours {
                Ok(_) => None,
                Err(refusal) => match quoted(&refusal.message).filter(|_| refusal.kind == RefusalKind::UnknownRelation)
                {
                    Some(asked) => Some(asked),
                    None => {
                        count.refused += 1;
                        return None;
                    }
                },
            };
            let theirs = match self.prepare(text).await {
                Some((1146, message)) => quoted(&message),
                Some((1295 | 1064, _)) => break,
                Some(_) | None => None,
            };
            missing.extend(theirs.clone());
            if let Ok(understood) = &ours {
                // SHOW and DESCRIBE of a table's columns tell names, which have a right of their own.
                let statements = understood.statements.iter().filter(|one| !matches!(one.verb, "SHOW" | "DESCRIBE"));
                let named: BTreeSet<QualifiedName> = statements.clone().flat_map(named).collect();
                let unnamed: Vec<String> = missing.difference(&named).map(ToString::to_string).collect();
                if statements.count() > 0 && !unnamed.is_empty() {
                    return Some(format!("{}: {text}", unnamed.join(", ")));
                }
            }
            let Some(wanted) = theirs.or(asked) else {
                count.agreed += 1;
                count.tables += missing.len();
                return None;
            };
            if !self.make(&mut catalog, &wanted, &columns).await {
                break;
            }
        }
        count.unprepared += 1;
        None
    }
}

/// The relations that a statement names.
fn named(statement: &Statement) -> BTreeSet<QualifiedName> {
    let needed = statement.needs.iter().filter_map(|need| match &need.object {
        Object::Relation(name) | Object::Catalog(name) => Some(name.clone()),
        Object::Listing(_) | Object::Function(_) | Object::Session(_) => None,
    });
    needed.chain(statement.touches.iter().cloned()).collect()
}

/// The table of "Table 'shop.orders' doesn't exist".
fn quoted(message: &str) -> Option<QualifiedName> {
    let (schema, name) = message.split('\'').nth(1)?.split_once('.')?;
    Some(QualifiedName::new(schema, name))
}

/// The words of `text`, each once, as names of columns.
fn words(text: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let split = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let fits = |word: &&str| word.len() < 60 && word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let words: Vec<String> = split.filter(fits).map(str::to_ascii_lowercase).collect();
    let mut columns: Vec<String> = words.into_iter().filter(|word| seen.insert(word.clone())).take(150).collect();
    if columns.is_empty() {
        columns.push("a".to_owned());
    }
    columns
}

async fn names_what_we_name(kind: Kind, flavour: Flavour) {
    let server = Server::start(kind, &[], None);
    server.sql("CREATE DATABASE shop; CREATE USER oracle IDENTIFIED BY 'pw'; GRANT ALL ON *.* TO oracle");
    let connector = Connector::new(Arc::new(server.target("oracle", Some("pw"), UpstreamTls::Disable))).unwrap();
    let connection = upstream::connect(&connector, &Wanted { collation: 45, ..Wanted::default() }).await.unwrap();
    let names = MysqlNames { database: Some("shop".into()), flavour, ..MysqlNames::default() };
    let mut oracle = Oracle { connection, names, used: BTreeSet::from(["shop".to_owned()]) };
    let (statements, mut count, mut unnamed) = (statements(), Count::default(), Vec::new());
    for text in &statements {
        unnamed.extend(oracle.compare(text, &mut count).await);
    }
    println!("{flavour:?} as oracle: {} statements, {count:?}", statements.len());
    assert!(unnamed.is_empty(), "the server looks for tables that we do not name:\n{}", unnamed.join("\n"));
    // The forms alone are more than these.
    assert!(count.agreed >= 200 && count.tables >= 400, "{count:?}");
}

#[tokio::test]
async fn mariadb_looks_for_no_table_that_we_do_not_name() {
    names_what_we_name(Kind::MariaDb, Flavour::MariaDb).await;
}

#[tokio::test]
async fn mysql_looks_for_no_table_that_we_do_not_name() {
    names_what_we_name(Kind::MySql, Flavour::MySql).await;
}
