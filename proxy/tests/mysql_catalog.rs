//! The catalog of a real MariaDB and a real MySQL: definitions as the servers print them are understood, changes are
//! noticed, servers that cannot be followed are refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::sync::Arc;

use common::mysql::{Kind, Server};
use hallpass::{
    clock::Clock,
    config::UpstreamTls,
    session::{catalog::Reader, target::Target},
};
use hallpass_policy::{catalog::Catalog, statement::Dialect};

fn target(server: &Server, user: &str) -> Arc<Target> {
    Target::new(server.target(user, Some("pw"), UpstreamTls::Disable), Clock::system()).0
}

fn not_understood(catalog: &Catalog, dialect: &Dialect) -> Vec<String> {
    let relations = catalog.relations.values().filter(|relation| !is_system(&relation.name.schema));
    let mut found: Vec<String> = relations
        .filter(|relation| dialect.lineage_of(catalog, relation).is_none())
        .map(|relation| {
            let text = format!("SELECT * FROM `{}`.`{}`", relation.name.schema, relation.name.name);
            let why = dialect.understand(&text, catalog).err();
            format!("{}: {why:?}\n    {:?}", relation.name, relation.definition)
        })
        .collect();
    found.sort();
    found
}

fn is_system(schema: &str) -> bool {
    ["information_schema", "performance_schema", "mysql", "sys"].contains(&schema)
}

async fn corpus(kind: Kind) {
    let server = Server::start(kind, &[], None);
    server.sql(include_str!("../../tests/corpus/schema-mysql.sql"));
    server.sql("CREATE USER u_own IDENTIFIED BY 'pw'; GRANT ALL ON *.* TO u_own");
    server.sql(include_str!("forms/both.sql"));
    server.sql(match kind {
        Kind::MariaDb => include_str!("forms/mariadb.sql"),
        Kind::MySql => include_str!("forms/mysql.sql"),
    });
    let target = target(&server, "u_own");
    let mut reader = Reader::default();
    let (catalog, dialect) = reader.fetch(&target).await.unwrap();
    let found = not_understood(&catalog, &dialect);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn mariadb_is_understood() {
    corpus(Kind::MariaDb).await;
}

#[tokio::test]
async fn mysql_is_understood() {
    corpus(Kind::MySql).await;
}
