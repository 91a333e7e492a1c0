//! Logins to a real MariaDB and a real MySQL: every authentication plugin, every TLS mode, what sessions are like, and
//! cancelling.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::{path::PathBuf, sync::Arc, time::Duration};

use common::{
    Authority,
    mysql::{Kind, Server, ask},
};
use hallpass::{
    config::{Target, UpstreamTls},
    error::ClientError,
    session::{
        machine::Upstream,
        upstream::{
            connector::Connector,
            mysql::{self as upstream, Connection, Wanted},
        },
    },
    wire::mysql::capability::{Capabilities, Flavour},
};
use tokio::io::AsyncReadExt;

/// What a usual client agrees on with either server.
const AGREED: Capabilities = Capabilities(
    Capabilities::DEPRECATE_EOF.0
        | Capabilities::SESSION_TRACK.0
        | Capabilities::MULTI_STATEMENTS.0
        | Capabilities::MULTI_RESULTS.0
        | Capabilities::PS_MULTI_RESULTS.0,
);

fn wanted() -> Wanted {
    Wanted {
        capabilities: AGREED,
        collation: 45,
        database: Some("shop".into()),
        attributes: vec![("program_name".into(), "the tests".into())],
    }
}

async fn try_connect(target: Target, wanted: &Wanted) -> Result<Connection, ClientError> {
    upstream::connect(&Connector::new(Arc::new(target)).unwrap(), wanted).await
}

async fn fails(target: Target) -> String {
    match try_connect(target, &wanted()).await.unwrap_err() {
        ClientError::UpstreamUnavailable { target, reason } => {
            assert_eq!(target, "shop");
            reason
        }
        other => panic!("{other:?}"),
    }
}

async fn works(target: Target) {
    let user = target.user.clone();
    let mut connection = try_connect(target, &wanted()).await.unwrap_or_else(|error| panic!("{user}: {error:?}"));
    assert_eq!(connection.facts.database.as_deref(), Some("shop"));
    assert_eq!(&*connection.facts.charsets.client, "utf8mb4");
    assert_eq!(&*connection.facts.charsets.collation, "utf8mb4_general_ci");
    assert!(connection.facts.sql_mode.as_str().contains("STRICT_TRANS_TABLES"));
    let row = ask(&mut connection, "SELECT CONCAT_WS('/', SUBSTRING_INDEX(USER(), '@', 1), DATABASE())").await;
    assert_eq!(row, format!("{user}/shop"));
    assert_eq!(ask(&mut connection, "SELECT CONNECTION_ID()").await, connection.thread_id.to_string());
    let goodbye = connection.goodbye();
    tokio::io::AsyncWriteExt::write_all(&mut connection.stream, &goodbye).await.unwrap();
    assert_eq!(connection.stream.read(&mut [0; 16]).await.unwrap(), 0, "it hangs up");
}

const REFUSED: &str = "the database refused the proxy's login; tell an administrator";
const UNCONFIGURED: &str = "the database asks for a login that the proxy is not configured for; tell an administrator";

/// A certificate that is not trusted, or is for somebody else, and no TLS for an account that must have it.
async fn speaks_tls_as_strictly_as_told(server: &Server, ours: &Authority) {
    let other = Authority::new();
    let tls = |mode: UpstreamTls| server.target("u_tls", Some("pw"), mode);
    let full = |ca: PathBuf| UpstreamTls::VerifyFull { ca: Some(ca) };
    works(tls(UpstreamTls::Require)).await;
    works(tls(full(ours.path()))).await;
    cancels(tls(full(ours.path()))).await;
    cancels_many_on_few_connections(tls(full(ours.path()))).await;
    assert_eq!(fails(tls(full(other.path()))).await, "certificate not trusted");
    assert_eq!(fails(tls(UpstreamTls::VerifyFull { ca: None })).await, "certificate not trusted");
    let by_address = Target { host: "127.0.0.1".into(), ..tls(full(ours.path())) };
    assert_eq!(fails(by_address).await, "certificate is for another host");
    assert_eq!(fails(tls(UpstreamTls::Disable)).await, REFUSED);
    let folder = server.folder.path().to_str().unwrap().to_owned();
    let on_socket = Target { host: folder, ..tls(UpstreamTls::Require) };
    assert_eq!(fails(on_socket).await, "its server does not take encrypted connections");
}

async fn cancels(target: Target) {
    let connector = Arc::new(Connector::new(Arc::new(target)).unwrap());
    let mut connection = upstream::connect(&connector, &wanted()).await.unwrap();
    let told = connection.cancel(Arc::clone(&connector));
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        told.await.unwrap();
    };
    let start = std::time::Instant::now();
    let all = "information_schema.COLUMNS";
    let long = format!("SELECT COUNT(*) FROM {all} a, {all} b, {all} c WHERE a.COLUMN_NAME > b.COLUMN_NAME");
    let (answer, ()) = tokio::join!(ask(&mut connection, &long), cancel);
    assert_eq!(answer, "1317");
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(ask(&mut connection, "SELECT 7").await, "7", "the session lives on");
    let gone = connection.thread_id;
    drop(connection);
    tokio::time::sleep(Duration::from_millis(300)).await;
    upstream::cancel(&connector, gone).await.unwrap();
}

/// The end of a grant that many sessions use: their statements are killed one after the other.
async fn cancels_many_on_few_connections(target: Target) {
    const SESSIONS: u32 = 24;
    let connector = Arc::new(Connector::new(Arc::new(target)).unwrap());
    let mut holder = upstream::connect(&connector, &wanted()).await.unwrap();
    assert_eq!(ask(&mut holder, "SELECT GET_LOCK('held', 0)").await, "1");
    let mut sessions = tokio::task::JoinSet::new();
    let mut cancels = Vec::new();
    for _ in 0..SESSIONS {
        let mut connection = upstream::connect(&connector, &wanted()).await.unwrap();
        cancels.push(connection.cancel(Arc::clone(&connector)));
        sessions.spawn(async move { ask(&mut connection, "SELECT COALESCE(GET_LOCK('held', 60), 'killed')").await });
    }
    let waits = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'";
    while ask(&mut holder, waits).await != SESSIONS.to_string() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The servers number their connections.
    let before = upstream::connect(&connector, &wanted()).await.unwrap().thread_id;
    let mut told = tokio::task::JoinSet::new();
    cancels.into_iter().for_each(|cancel| drop(told.spawn(cancel)));
    assert!(told.join_all().await.iter().all(Result::is_ok));
    for answer in sessions.join_all().await {
        assert!(answer == "killed" || answer == "1317", "{answer}");
    }
    let logins = upstream::connect(&connector, &wanted()).await.unwrap().thread_id - before - 1;
    assert!((1..SESSIONS / 2).contains(&logins), "{logins} logins for {SESSIONS} kills");
}

/// What every server says to a session that cannot be.
async fn refuses_what_cannot_be(server: &Server, promised: Capabilities) {
    let plain = || server.target("u_tls", Some("pw"), UpstreamTls::Require);
    let nowhere = Wanted { database: Some("nowhere".into()), ..wanted() };
    let error = try_connect(plain(), &nowhere).await.unwrap_err();
    let told = |hint: &str| ClientError::StartupRefused {
        message: "Unknown database 'nowhere'".into(),
        hint: hint.into(),
        sqlstate: "3D000",
    };
    assert_eq!(error, told("it does not exist, or the proxy's login has no rights in it"));
    server.sql("GRANT SELECT ON *.* TO u_tls");
    assert_eq!(try_connect(plain(), &nowhere).await.unwrap_err(), told(""));
    let none = Wanted { database: None, ..wanted() };
    assert_eq!(try_connect(plain(), &none).await.unwrap().facts.database, None);
    let more = Wanted { capabilities: AGREED | promised, ..wanted() };
    let error = try_connect(plain(), &more).await.unwrap_err();
    let reason = "the database's server changed; connect again to speak with it as it is now";
    assert_eq!(error.detail(), Some(reason));
    assert_eq!(
        fails(Target { host: "/nowhere".into(), tls: UpstreamTls::Disable, ..plain() }).await,
        "its socket does not exist"
    );
    let closed = Target { port: common::free_port(), ..plain() };
    assert_eq!(fails(closed).await, "connection refused");
    let unfit = [
        ("SET NAMES gbk", "sessions start with the character set `gbk`, which is not followed; tell an administrator"),
        (
            "SET character_set_results = sjis",
            "sessions start with the character set `sjis`, which is not followed; tell an administrator",
        ),
    ];
    for (sql, reason) in unfit {
        server.sql(&format!("SET GLOBAL init_connect = '{sql}'"));
        assert_eq!(fails(plain()).await, reason);
    }
    server.sql("SET GLOBAL init_connect = 'SET sql_mode = ANSI'");
    assert!(try_connect(plain(), &wanted()).await.unwrap().facts.sql_mode.ansi_quotes());
    server.sql("SET GLOBAL init_connect = ''");
}

#[tokio::test]
async fn logs_in_to_mariadb() {
    let ours = Authority::new();
    let server = Server::start(Kind::MariaDb, &[], Some(&ours.issue("localhost", "server")));
    server.sql(
        "CREATE DATABASE shop; CREATE USER u_native IDENTIFIED BY 'pw1 ä'; CREATE USER u_none;
         CREATE USER u_ed IDENTIFIED VIA ed25519 USING PASSWORD('pw2'); CREATE USER u_tls IDENTIFIED BY 'pw' REQUIRE SSL;
         CREATE USER u_both IDENTIFIED VIA ed25519 USING PASSWORD('x') OR mysql_native_password USING PASSWORD('pw4');
         CREATE USER u_old IDENTIFIED VIA unix_socket;
         GRANT ALL ON shop.* TO u_native, u_none, u_ed, u_tls, u_both",
    );
    let folder = server.folder.path().to_str().unwrap().to_owned();
    for tls in [UpstreamTls::Disable, UpstreamTls::Require, UpstreamTls::VerifyFull { ca: Some(ours.path()) }] {
        let account = |user: &str, password: Option<&str>| server.target(user, password, tls.clone());
        for (user, password) in [("u_native", "pw1 ä"), ("u_ed", "pw2"), ("u_both", "pw4")] {
            works(account(user, Some(password))).await;
            if matches!(tls, UpstreamTls::Disable) {
                works(Target { host: folder.clone(), ..account(user, Some(password)) }).await;
                works(Target { host: format!("{folder}/mysqld.sock"), ..account(user, Some(password)) }).await;
            }
            assert_eq!(fails(account(user, Some("no"))).await, REFUSED, "{user}");
        }
        works(account("u_none", None)).await;
        assert_eq!(fails(account("nobody", Some("x"))).await, REFUSED);
        assert_eq!(fails(account("u_native", None)).await, REFUSED);
        assert_eq!(fails(account("u_ed", None)).await, UNCONFIGURED);
    }
    let opened = try_connect(server.target("u_none", None, UpstreamTls::Disable), &wanted()).await.unwrap();
    assert!(opened.greeting.true_version().starts_with(b"1"));
    assert_eq!(opened.greeting.capabilities.flavour(), Flavour::MariaDb);
    speaks_tls_as_strictly_as_told(&server, &ours).await;
    refuses_what_cannot_be(&server, Capabilities::QUERY_ATTRIBUTES).await;
    server.sql("SET GLOBAL init_connect = 'SET sql_mode = ORACLE'");
    let reason = fails(server.target("u_none", None, UpstreamTls::Disable)).await;
    assert!(
        reason.starts_with("sessions start with the sql_mode `PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ORACLE,"),
        "{reason}"
    );
}

#[tokio::test]
async fn logs_in_to_mysql() {
    let ours = Authority::new();
    let server = Server::start(Kind::MySql, &[], Some(&ours.issue("localhost", "server")));
    server.sql(
        "CREATE DATABASE shop; CREATE USER u_sha IDENTIFIED WITH caching_sha2_password BY 'pw1 ä'; CREATE USER u_none;
         CREATE USER u_tls IDENTIFIED BY 'pw' REQUIRE SSL; CREATE USER u_sha256 IDENTIFIED WITH sha256_password BY 'pw';
         GRANT ALL ON shop.* TO u_sha, u_none, u_tls, u_sha256",
    );
    let folder = server.folder.path().to_str().unwrap().to_owned();
    let sha = |tls: UpstreamTls| server.target("u_sha", Some("pw1 ä"), tls);
    // Full by the server's key, by TLS and on a socket: the server forgets what it knows of passwords before each.
    // Then fast, with what it remembers.
    let full = UpstreamTls::VerifyFull { ca: Some(ours.path()) };
    let on_socket = Target { host: folder.clone(), ..sha(UpstreamTls::Disable) };
    let ways = [sha(UpstreamTls::Disable), sha(UpstreamTls::Require), sha(full.clone()), on_socket];
    for way in &ways {
        server.sql("FLUSH PRIVILEGES");
        works(way.clone()).await;
        for fast in &ways {
            works(fast.clone()).await;
        }
    }
    for tls in [UpstreamTls::Disable, UpstreamTls::Require, full] {
        assert_eq!(fails(server.target("u_sha", Some("no"), tls.clone())).await, REFUSED);
        // For an account that does not exist the server plays one with a plugin of its choice.
        let nobody = fails(server.target("nobody", Some("x"), tls.clone())).await;
        assert!([REFUSED, UNCONFIGURED].contains(&nobody.as_str()), "{nobody}");
        assert_eq!(fails(server.target("u_sha256", Some("pw"), tls.clone())).await, UNCONFIGURED);
        works(server.target("u_none", None, tls)).await;
    }
    let opened = try_connect(sha(UpstreamTls::Disable), &wanted()).await.unwrap();
    assert_eq!(opened.greeting.capabilities.flavour(), Flavour::MySql);
    speaks_tls_as_strictly_as_told(&server, &ours).await;
    refuses_what_cannot_be(&server, Capabilities::EXTENDED_METADATA).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target {
        name: "shop".into(),
        protocol: hallpass::config::Protocol::Mysql,
        host: "127.0.0.1".into(),
        port: silent.local_addr().unwrap().port(),
        database: "x".into(),
        user: "x".into(),
        password: None,
        tls: UpstreamTls::Disable,
        labels: Default::default(),
        connect_timeout: Duration::from_millis(200),
    };
    assert_eq!(fails(target).await, "timed out");
}
