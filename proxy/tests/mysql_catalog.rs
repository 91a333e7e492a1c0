//! The catalog of a real MariaDB and a real MySQL: definitions as the servers print them are understood, changes are
//! noticed, servers that cannot be followed are refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::mysql::{Kind, Server, ask};
use hallpass::{
    clock::Clock,
    config::UpstreamTls,
    session::{
        catalog::{self, Reader},
        target::Target,
        upstream::{
            connector::Connector,
            mysql::{self as upstream, Wanted},
        },
    },
    wire::mysql::capability,
};
use hallpass_policy::{
    catalog::{Catalog, FunctionKind, QualifiedName, RelationKind},
    statement::{Dialect, mysql::Flavour},
};

fn target(server: &Server, user: &str) -> Arc<Target> {
    Target::new(server.target(user, Some("pw"), UpstreamTls::Disable), Clock::system()).0
}

fn is_system(schema: &str) -> bool {
    ["information_schema", "performance_schema", "mysql", "sys"].contains(&schema)
}

/// What the server prints and the gate does not understand, but for what is known to be so.
fn not_understood(catalog: &Catalog, dialect: &Dialect) -> Vec<String> {
    let users = catalog.relations.values().filter(|relation| !is_system(&relation.name.schema));
    let mut found = Vec::new();
    for relation in users {
        let unread = dialect.lineage_of(catalog, relation).is_none();
        if unread != relation.name.name.starts_with("unread_") {
            let text = format!("SELECT * FROM `{}`.`{}`", relation.name.schema, relation.name.name);
            let why = dialect.understand(&text, catalog).err();
            found.push(format!("{}: {why:?}\n    {:?}", relation.name, relation.definition));
        }
    }
    found
}

/// What feeds a column.
fn source(catalog: &Catalog, dialect: &Dialect, relation: &str, column: &str) -> String {
    let relation = &catalog.relations[&QualifiedName::new("shop", relation)];
    let lineages = dialect.lineage_of(catalog, relation).unwrap();
    let at = relation.columns.iter().position(|known| &*known.name == column).unwrap();
    lineages[at].columns.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn kind(catalog: &Catalog, schema: &str, name: &str) -> RelationKind {
    catalog.relation(schema, name).unwrap_or_else(|| panic!("{schema}.{name}")).kind
}

async fn is_read(server: &Server, kind_of: Kind) {
    server.sql(include_str!("../../tests/corpus/schema-mysql.sql"));
    server.sql(include_str!("forms/both.sql"));
    server.sql(match kind_of {
        Kind::MariaDb => include_str!("forms/mariadb.sql"),
        Kind::MySql => include_str!("forms/mysql.sql"),
    });
    server.sql(
        "CREATE TABLE shop.m1 (a INT) ENGINE = MyISAM;
         CREATE TABLE shop.merged (a INT) ENGINE = MERGE UNION = (shop.m1);
         CREATE VIEW shop.v_renamed (x, y) AS SELECT name, email FROM shop.customers;
         CREATE USER u_own IDENTIFIED BY 'pw'; GRANT ALL ON *.* TO u_own;
         CREATE USER u_few IDENTIFIED BY 'pw'; GRANT SELECT, INSERT ON shop.* TO u_few",
    );
    let own = target(server, "u_own");
    let mut reader = Reader::default();
    let (catalog, dialect) = reader.fetch(&own).await.unwrap();
    let found = not_understood(&catalog, &dialect);
    assert!(found.is_empty(), "{}", found.join("\n"));

    let fed = |relation: &str, column: &str| source(&catalog, &dialect, relation, column);
    assert_eq!(fed("v_contacts", "t"), "shop.customers.ssn");
    assert_eq!(fed("v_city", "sample"), "shop.customers.email");
    assert_eq!(fed("v_renamed", "y"), "shop.customers.email");
    assert_eq!(fed("customers", "email_key"), "shop.customers.email, shop.customers.email_key");
    assert_eq!(fed("v_payroll", "account"), "hr.payroll.iban");
    assert_eq!(kind(&catalog, "shop", "events"), RelationKind::Table);
    assert_eq!(kind(&catalog, "shop", "v_city"), RelationKind::View);
    assert_eq!(kind(&catalog, "shop", "merged"), RelationKind::ForeignTable);
    assert_eq!(kind(&catalog, "information_schema", "TABLES"), RelationKind::Table);
    assert_eq!(kind(&catalog, "performance_schema", "threads"), RelationKind::Table);
    assert!(catalog.relation("mysql", "user").is_some_and(|user| !user.columns.is_empty()));
    let triggered = |name: &str| catalog.relation("shop", name).unwrap().triggered;
    assert!(triggered("customers") && !triggered("orders") && !triggered("v_upd"));
    let functions = |name: &str| catalog.functions[name].iter().map(|f| f.kind).collect::<Vec<_>>();
    assert_eq!(functions("fn_total"), [FunctionKind::Function]);
    assert_eq!(functions("pr_emails"), [FunctionKind::Procedure]);
    assert!(catalog.schemas.iter().any(|schema| &**schema == "hr"));
    let Dialect::Mysql(names) = &dialect else { panic!("{dialect:?}") };
    assert_eq!(names.database.as_deref(), Some("shop"));
    assert!(names.sql_mode.as_str().contains("STRICT_TRANS_TABLES"));
    let greeting = own.greeting().unwrap();
    let (flavour, wire) = match kind_of {
        Kind::MariaDb => (Flavour::MariaDb, capability::Flavour::MariaDb),
        Kind::MySql => (Flavour::MySql, capability::Flavour::MySql),
    };
    assert_eq!((names.flavour, greeting.flavour), (flavour, wire));
    assert!(greeting.version.contains('.'), "{greeting:?}");

    // Who may not see triggers and definitions.
    let (few, _) = Reader::default().fetch(&target(server, "u_few")).await.unwrap();
    assert!(few.relation("shop", "orders").unwrap().triggered);
    assert_eq!(few.relation("shop", "v_city").unwrap().definition, None);
    assert!(few.relation("hr", "orders").is_none());

    revisions_follow_views(server, &catalog, flavour).await;
    changes_are_noticed(server, &mut reader, &own).await;
}

/// A view's revision, asked for in a session of a client's, changes with the view and only then.
async fn revisions_follow_views(server: &Server, catalog: &Catalog, flavour: Flavour) {
    let connector = Connector::new(Arc::new(server.target("u_own", Some("pw"), UpstreamTls::Disable))).unwrap();
    let mut session = upstream::connect(&connector, &Wanted { collation: 45, ..Wanted::default() }).await.unwrap();
    let name = QualifiedName::new("shop", "v_renamed");
    let query = catalog::mysql::revisions([&name], [], flavour);
    let known = catalog.relations[&name].revision.clone().unwrap();
    for mode in ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"] {
        ask(&mut session, &format!("SET sql_mode = '{mode}'")).await;
        assert!(ask(&mut session, &query).await.ends_with(&*known), "{mode}");
    }
    for definition in ["(y, x) AS SELECT name, email", "(x, y) AS SELECT email, name"] {
        server.sql(&format!("CREATE OR REPLACE VIEW shop.v_renamed {definition} FROM shop.customers"));
        let row = ask(&mut session, &query).await;
        assert!(row.contains("v_renamed") && !row.ends_with(&*known), "{definition}: {row}");
    }
}

async fn changes_are_noticed(server: &Server, reader: &mut Reader, target: &Target) {
    let changes = [
        "CREATE OR REPLACE VIEW shop.v_public AS SELECT id, email AS name, city FROM shop.customers",
        "ALTER TABLE shop.orders ADD COLUMN later INT",
        "CREATE TABLE shop.new_one (a INT)",
        "RENAME TABLE shop.new_one TO shop.newer_one",
        "DROP TABLE shop.newer_one",
        "CREATE FUNCTION shop.fn_new() RETURNS INT DETERMINISTIC RETURN 1",
        "CREATE TRIGGER shop.new_trigger BEFORE INSERT ON shop.nums FOR EACH ROW SET NEW.i = NEW.i",
        "CREATE DATABASE corpus_new",
    ];
    for change in changes {
        settle(reader, target).await;
        server.sql(change);
        let start = Instant::now();
        while !reader.has_changed().await {
            assert!(start.elapsed() < Duration::from_secs(10), "{change}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let (catalog, dialect) = reader.fetch(target).await.unwrap();
    assert_eq!(source(&catalog, &dialect, "v_public", "name"), "shop.customers.email");
    assert!(catalog.relation("shop", "nums").unwrap().triggered);
    // What changes no name is soon known not to.
    server.sql("CREATE TABLE shop.gone (a INT); DROP TABLE shop.gone");
    settle(reader, target).await;
}

/// Reads until nothing has changed since: the server opens definitions for itself, too.
async fn settle(reader: &mut Reader, target: &Target) {
    let start = Instant::now();
    loop {
        reader.fetch(target).await.unwrap();
        if !reader.has_changed().await && !reader.has_changed().await {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

async fn refusal(server: &Server) -> String {
    let error = Reader::default().fetch(&target(server, "u_own")).await.unwrap_err();
    error.detail().unwrap().to_owned()
}

#[tokio::test]
async fn mariadb_is_read() {
    let server = Server::start(Kind::MariaDb, &[], None);
    is_read(&server, Kind::MariaDb).await;
    server.sql("SET GLOBAL sql_mode = 'ORACLE'");
    let reason = refusal(&server).await;
    assert!(reason.contains("ORACLE") && reason.ends_with("which is not followed; tell an administrator"), "{reason}");
}

#[tokio::test]
async fn mysql_is_read() {
    let server = Server::start(Kind::MySql, &[], None);
    is_read(&server, Kind::MySql).await;
}

#[tokio::test]
async fn a_server_that_folds_names_is_refused() {
    let server = Server::start(Kind::MariaDb, &["--lower-case-table-names=1"], None);
    server.sql("CREATE USER u_own IDENTIFIED BY 'pw'");
    let reason = "its server folds the names of tables (lower_case_table_names = 1), which is not followed; tell an administrator";
    assert_eq!(refusal(&server).await, reason);
}
