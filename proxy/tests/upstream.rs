//! Logins to a real Postgres: every authentication method, every TLS mode, and cancelling.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use common::{Authority, Postgres};
use hallpass::{
    config::{Protocol, Secret, Target, UpstreamTls},
    error::ClientError,
    session::upstream::{
        connector::Connector,
        postgres::{self as upstream, Connection},
    },
    wire::postgres::{
        backend::{Report, tag},
        codec::{MAX_FRAME, frame},
        encode,
        settings::Setting,
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HBA: &str = "
local   all u_scram scram-sha-256
host    all u_trust all trust
host    all u_plain all password
host    all u_md5   all md5
hostssl all u_tls   all scram-sha-256
host    all u_scram all scram-sha-256
host    all u_gss   all ident
";

fn target(server: &Postgres, user: &str, password: Option<&str>, tls: UpstreamTls) -> Target {
    Target {
        name: "shop".into(),
        protocol: Protocol::Postgres,
        host: "localhost".into(),
        port: server.port,
        database: "postgres".into(),
        user: user.into(),
        password: password.map(|password| Secret::new(password.into())),
        tls,
        labels: BTreeMap::new(),
        connect_timeout: Duration::from_secs(10),
    }
}

async fn connect(target: Target) -> Result<Connection, String> {
    let settings = [Setting { name: "application_name".into(), value: "the tests".into() }];
    match upstream::connect(&Connector::new(Arc::new(target)).unwrap(), &settings).await {
        Ok(connection) => Ok(connection),
        Err(ClientError::UpstreamUnavailable { target, reason }) => {
            assert_eq!(target, "shop");
            Err(reason)
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Sends a query; gives the first column of its only row, or its SQLSTATE, once the server is ready again.
async fn ask(connection: &mut Connection, sql: &str) -> String {
    let mut out = Vec::new();
    encode::query(&mut out, sql.as_bytes()).unwrap();
    connection.stream.write_all(&out).await.unwrap();
    connection.stream.flush().await.unwrap();
    let (mut input, mut answer) = (std::mem::take(&mut connection.leftover), String::new());
    loop {
        while let Some(message) = frame(&input, MAX_FRAME).unwrap() {
            match message.tag {
                tag::DATA_ROW => answer = String::from_utf8(message.body[6..].to_vec()).unwrap(),
                tag::ERROR_RESPONSE => answer = Report::decode(message.body).unwrap().sqlstate().to_owned(),
                tag::READY_FOR_QUERY => return answer,
                _ => {}
            }
            let length = message.raw.len();
            input.drain(..length);
        }
        assert_ne!(connection.stream.read_buf(&mut input).await.unwrap(), 0, "the server hung up");
    }
}

async fn works(target: Target) {
    let user = target.user.clone();
    let mut connection = connect(target).await.unwrap_or_else(|reason| panic!("{user}: {reason}"));
    let row = ask(&mut connection, "SELECT concat_ws('/', current_user, current_setting('application_name'))").await;
    assert_eq!(row, format!("{user}/the tests"));
    assert!(connection.parameters.iter().any(|(name, value)| name == "server_encoding" && value == "UTF8"));
    assert_ne!(connection.process_id, 0);
}

#[tokio::test]
async fn logs_in_by_every_method_and_cancels() {
    let server = Postgres::start(HBA, None);
    server.sql("CREATE ROLE u_trust LOGIN");
    server.sql("CREATE ROLE u_plain LOGIN PASSWORD 'pw1'; CREATE ROLE u_scram LOGIN PASSWORD 'pw3 ä'");
    server.sql("SET password_encryption = md5; CREATE ROLE u_md5 LOGIN PASSWORD 'pw2'");
    let plain = |user: &str, password: Option<&str>| target(&server, user, password, UpstreamTls::Disable);
    works(plain("u_trust", None)).await;
    works(plain("u_plain", Some("pw1"))).await;
    works(plain("u_md5", Some("pw2"))).await;
    works(plain("u_scram", Some("pw3 ä"))).await;
    let folder = server.folder.path().to_str().unwrap().to_owned();
    works(Target { host: folder.clone(), ..plain("u_scram", Some("pw3 ä")) }).await;

    let fails = async |target: Target| connect(target).await.unwrap_err();
    let refused = "the database refused the proxy's login; tell an administrator";
    for (user, password) in [("u_plain", "no"), ("u_md5", "no"), ("u_scram", "no"), ("nobody", "no")] {
        assert_eq!(fails(plain(user, Some(password))).await, refused, "{user}");
    }
    let unconfigured = "the database asks for a login that the proxy is not configured for; tell an administrator";
    assert_eq!(fails(plain("u_scram", None)).await, unconfigured);
    let missing = Target { database: "nowhere".into(), ..plain("u_trust", None) };
    assert_eq!(fails(missing).await, "the database does not exist on its server; tell an administrator");
    let no_tls = "its server does not take encrypted connections";
    assert_eq!(fails(target(&server, "u_trust", None, UpstreamTls::Require)).await, no_tls);
    assert_eq!(fails(Target { host: folder, tls: UpstreamTls::Require, ..plain("u_scram", None) }).await, no_tls);
    assert_eq!(fails(Target { host: "/nowhere".into(), ..plain("u_trust", None) }).await, "its socket does not exist");
    let closed = Target { port: common::free_port(), ..plain("u_trust", None) };
    assert_eq!(fails(closed).await, "connection refused");

    cancels(plain("u_trust", None)).await;
}

async fn cancels(target: Target) {
    let connector = Connector::new(Arc::new(target)).unwrap();
    let mut connection = upstream::connect(&connector, &[]).await.unwrap();
    let (process, secret) = (connection.process_id, connection.secret.clone());
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let near: Vec<u8> = secret.iter().map(|byte| byte ^ 1).collect();
        upstream::cancel(&connector, process, &near).await.unwrap();
        upstream::cancel(&connector, process, &secret).await.unwrap();
    };
    let (state, ()) = tokio::join!(ask(&mut connection, "SELECT pg_sleep(30)"), cancel);
    assert_eq!(state, "57014");
}

#[tokio::test]
async fn speaks_tls_as_strictly_as_told() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = Postgres::start(HBA, Some(&ours.issue("localhost", "server")));
    server.sql("CREATE ROLE u_trust LOGIN; CREATE ROLE u_tls LOGIN PASSWORD 'pw'");
    let tls = |mode: UpstreamTls| target(&server, "u_tls", Some("pw"), mode);
    let full = |ca: PathBuf| UpstreamTls::VerifyFull { ca: Some(ca) };
    // The server offers SCRAM-SHA-256-PLUS under TLS, so these logins are bound to its certificate.
    works(tls(UpstreamTls::Require)).await;
    works(tls(full(ours.path()))).await;
    cancels(tls(full(ours.path()))).await;

    let fails = async |target: Target| connect(target).await.unwrap_err();
    assert_eq!(fails(tls(full(other.path()))).await, "certificate not trusted");
    assert_eq!(fails(tls(UpstreamTls::VerifyFull { ca: None })).await, "certificate not trusted");
    let by_address = Target { host: "127.0.0.1".into(), ..tls(full(ours.path())) };
    assert_eq!(fails(by_address).await, "certificate is for another host");
    let refused = "the database refused the proxy's login; tell an administrator";
    assert_eq!(fails(tls(UpstreamTls::Disable)).await, refused);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target {
        name: "shop".into(),
        protocol: Protocol::Postgres,
        host: "127.0.0.1".into(),
        port: silent.local_addr().unwrap().port(),
        database: "x".into(),
        user: "x".into(),
        password: None,
        tls: UpstreamTls::Disable,
        labels: BTreeMap::new(),
        connect_timeout: Duration::from_millis(200),
    };
    assert_eq!(connect(target).await.unwrap_err(), "timed out");
}
