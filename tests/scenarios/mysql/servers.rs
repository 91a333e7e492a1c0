//! The harness itself on MariaDB and MySQL, without a proxy: servers start and stop, every login works, the wire client does
//! what scenarios rely on. When these fail, nothing else is worth reading.

use std::time::Duration;

use hallpass_tests::{
    mysql::{Auth, Database, Flavour, Options, Server, as_logged, clients},
    process::wait_for,
    tls::Authority,
    wire::mysql::{Client, Rows, Startup, Tls, Value, command, flags},
};

fn flavour() -> Flavour {
    Flavour::chosen()
}

#[test]
fn a_server_ends_with_its_handle() {
    let server = Server::start(&Options::default());
    let (pid, port) = (server.process().pid(), server.port());
    assert!(server.process().alive() && server.process().peak_memory() > 0);
    assert_eq!(server.version().contains("MariaDB"), flavour() == Flavour::MariaDb);
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!hallpass_tests::process::listens(port));
}

#[test]
fn every_login_of_the_wire_client_works() {
    let auths = match flavour() {
        Flavour::MariaDb => vec![Auth::Usual, Auth::Native, Auth::Ed25519, Auth::Empty],
        Flavour::MySql => vec![Auth::Usual, Auth::CachingSha2, Auth::Empty],
    };
    for auth in auths {
        let database = Database::of(Server::start(&Options { auth, ..Options::default() }));
        let mut client = Client::connect(&database.as_owner()).expect("the right password");
        assert_eq!(client.query("SELECT 1").value(), "1", "{auth:?}");
        client.change_user(&database.as_owner()).expect("the same again");
        assert_eq!(client.query("SELECT DATABASE()").value(), "shop", "{auth:?}");
        let mut wrong = database.as_owner();
        wrong.password = "wrong".to_owned();
        let refused = Client::connect(&wrong).expect_err("a wrong password").error.expect("an error");
        assert_eq!((refused.code, refused.state.as_str()), (1045, "28000"), "{auth:?}");
    }
}

#[test]
fn caching_sha2_is_full_once_and_fast_then() {
    if flavour() == Flavour::MariaDb {
        return;
    }
    let database = Database::new();
    let plugins = |startup: &Startup| Client::connect(startup).expect("a login").plugins().last().cloned();
    let name = |way: &str| Some(format!("caching_sha2_password {way}"));
    assert_eq!(plugins(&database.as_owner()), name("rsa"));
    assert_eq!(plugins(&database.as_owner()), name("fast"));
    database.sql("FLUSH PRIVILEGES");
    assert_eq!(plugins(&database.as_owner().over(Tls::Any)), name("full"));
    assert_eq!(plugins(&database.as_owner().by("mysql_native_password")), name("fast"), "by a switch");
}

#[test]
fn tls_servers_are_verified() {
    let authority = Authority::new("root");
    let options = Options { tls: Some(authority), ..Options::default() };
    let database = Database::of(Server::start(&options));
    let mut client = Client::connect(&database.as_owner()).expect("the certificate is good");
    assert!(!client.query("SHOW STATUS LIKE 'Ssl_cipher'").rows[0][1].as_deref().unwrap_or_default().is_empty());
    Client::connect(&database.as_owner().over(Tls::Off)).expect_err("no plain text for owners");
    let other = Authority::new("another root").pem().to_owned();
    assert!(
        Client::connect(&database.as_owner().over(Tls::Verified(other))).expect_err("another root").error.is_none()
    );
}

#[test]
fn the_statement_log_is_byte_for_byte() {
    let database = Database::new();
    database.log_statements();
    let mut client =
        Client::connect(&database.as_owner().with(flags::MULTI_STATEMENTS)).expect("the owner may connect");
    let texts = ["SELECT 1 -- ü\n, 'it''s'", "  select 2\t ", "SELECT\n\n3 /* \t 12 Query\tx */\n"];
    for text in texts {
        client.query(text).ok();
    }
    client.run_prepared("SELECT ?", &["x".into()]).ok();
    wait_for("the log is written", Duration::from_secs(30), || {
        let log = database.statement_log();
        let all = texts.into_iter().chain(["SELECT ?"]);
        all.into_iter().map(as_logged).all(|text| log.iter().any(|logged| logged == text)).then_some(())
    });
}

#[test]
fn a_database_is_empty_whoever_had_it_before() {
    let first = Database::new();
    first.owner_sql("CREATE TABLE shop.t (i int); INSERT INTO shop.t VALUES (1)");
    first.sql("CREATE DATABASE other; CREATE USER stranger");
    let mut client = Client::connect(&first.as_owner()).expect("the owner may connect");
    client.query("START TRANSACTION").ok();
    client.query("INSERT INTO t VALUES (2)").ok();
    drop(first);
    let second = Database::new();
    assert_eq!(second.value("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'shop'"), "0");
    assert_eq!(second.value("SELECT count(*) FROM mysql.user WHERE user = 'stranger'"), "0");
}

#[test]
fn results_are_read_in_both_protocols_with_any_flags() {
    let database = Database::new();
    let every = flags::SESSION_TRACK
        | flags::OPTIONAL_METADATA
        | flags::QUERY_ATTRIBUTES
        | flags::CONNECT_ATTRS
        | flags::EXTENDED_METADATA
        | flags::CACHE_METADATA
        | flags::MULTI_STATEMENTS;
    let usual = database.as_owner();
    for startup in [
        usual.clone(),
        usual.clone().without(flags::DEPRECATE_EOF),
        usual.clone().with(every),
        usual.clone().with(flags::COMPRESS),
        usual.clone().with(flags::ZSTD),
        usual.clone().with(flags::COMPRESS).over(Tls::Any),
    ] {
        let tls = startup.tls == Tls::Off || Client::open(startup.port).expect("it listens").greeting().has(flags::SSL);
        if !tls {
            continue;
        }
        let mut client = Client::connect(&startup).expect("the owner may connect");
        let sql = "SELECT 7, -8 AS n, CAST(18446744073709551615 AS UNSIGNED), 1.50, 2.5e0, 'text', NULL, DATE '2026-01-02', \
                   TIMESTAMP '2026-01-02 03:04:05', CAST('-25:06:07' AS TIME)";
        let line = "7|-8|18446744073709551615|1.50|2.5|text||2026-01-02|2026-01-02 03:04:05|-25:06:07";
        assert_eq!(client.query(sql).ok().lines(), [line], "{startup:?}");
        assert_eq!(client.run_prepared(sql, &[]).ok().lines(), [line], "{startup:?}");
        assert_eq!(client.run_cursor(sql, &[], 1).ok().lines(), [line], "{startup:?}");
        assert_eq!(client.run_cursor("SELECT 1 UNION SELECT 2 UNION SELECT 3", &[], 2).ok().lines(), ["1", "2", "3"]);
        let params = [Value::Int(-3), Value::Double(0.5), "ü".into(), Value::Null, Value::Bytes(vec![65, 0])];
        let reply = client.run_prepared("SELECT ?, ?, ?, ?, HEX(?)", &params).ok();
        assert_eq!(reply.lines(), ["-3|0.5|ü||4100"], "{startup:?}");
        assert_eq!(client.query(&format!("SELECT '{}'", "x".repeat(70_000))).value().len(), 70_000);
        assert_eq!(client.query("SELEC").error().code, 1064);
        assert_eq!(client.command(command::PING, b"").ok().shape, "O");
        client.terminate();
    }
}

#[test]
fn several_results_long_data_and_local_files() {
    let database = Database::new();
    database.owner_sql(
        "CREATE TABLE shop.t (i int, s varchar(20)); CREATE PROCEDURE shop.two() BEGIN SELECT 1; SELECT 2, 3; END",
    );
    let mut client =
        Client::connect(&database.as_owner().with(flags::MULTI_STATEMENTS)).expect("the owner may connect");
    let reply =
        client.query("INSERT INTO t VALUES (1, 'a'), (2, 'b'); SELECT count(*) FROM t; UPDATE t SET i = 5").ok();
    assert_eq!((reply.lines(), reply.affected()), (vec!["2".to_owned()], vec![2, 0, 2]));
    assert_eq!(client.query("CALL two()").ok().lines(), ["1", "2|3"]);
    assert_eq!(client.run_prepared("CALL two()", &[]).ok().lines(), ["1", "2|3"]);
    let statement = client.prepare("INSERT INTO t VALUES (?, ?)").expect("it prepares");
    assert_eq!(statement.params.len(), 2);
    client.long_data(&statement, 1, b"lo");
    client.long_data(&statement, 1, b"ng");
    assert_eq!(client.execute(&statement, &[Value::Int(9), Value::Long], 0).ok().affected(), [1]);
    assert_eq!(client.reset(&statement).ok().shape, "O");
    client.close(&statement);
    assert_eq!(client.query("SELECT s FROM t WHERE i = 9").value(), "long");
    client.files.insert("given".to_owned(), b"10\tx\n11\ty\n".to_vec());
    let reply = client.query("LOAD DATA LOCAL INFILE 'given' INTO TABLE t").ok();
    assert_eq!((reply.files.as_slice(), reply.affected()), (&["given".to_owned()][..], vec![2]));
    assert_eq!(client.query("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t").ok().affected(), [0]);
    assert_eq!(client.command(command::RESET_CONNECTION, b"").ok().shape, "O");
    assert_eq!(client.command(command::INIT_DB, b"shop").ok().shape, "O");
    assert_eq!(client.command(command::SET_OPTION, &[1, 0]).ok().shape.len(), 1);
}

#[test]
fn a_payload_over_16_megabytes_goes_both_ways() {
    let database = Database::new();
    let mut client = Client::connect(&database.as_owner()).expect("the owner may connect");
    let text = "x".repeat(17_000_000);
    assert_eq!(client.query(&format!("SELECT length('{text}')")).value(), "17000000");
    assert_eq!(client.query("SELECT repeat('y', 17000000)").value().len(), 17_000_000);
    assert_eq!(client.run_prepared("SELECT ?", &[text.as_str().into()]).value().len(), 17_000_000);
}

#[test]
fn a_kill_ends_what_runs() {
    let database = Database::new();
    let mut client = Client::connect(&database.as_owner()).expect("the owner may connect");
    client.start(b"SELECT SLEEP(30)");
    wait_for("it runs", Duration::from_secs(30), || database.is_running("SLEEP(30)").then_some(()));
    database.sql(&format!("KILL QUERY {}", client.connection()));
    let reply = client.reply(Rows::Text);
    assert!(reply.errors.first().is_none_or(|error| error.code == 1317), "{reply:?}");
    assert_eq!(client.query("SELECT 1").value(), "1");
}

#[test]
fn the_mariadb_program_is_there() {
    let database = Database::new();
    assert_eq!(clients::mariadb_sql(&database.as_owner(), "SELECT 1, DATABASE()").ok().trim(), "1\tshop");
    let mut running = clients::mariadb_start(&database.as_owner(), "SELECT SLEEP(30)");
    wait_for("it runs", Duration::from_secs(30), || database.is_running("SLEEP(30)").then_some(()));
    running.kill().expect("it runs");
    running.wait().expect("it ends");
}

#[test]
fn pymysql_is_there() {
    let database = Database::new();
    let script = "
import os, pymysql
c = pymysql.connect(host=os.environ['MYSQL_HOST'], port=int(os.environ['MYSQL_PORT']), user=os.environ['MYSQL_USER'],
    password=os.environ['MYSQL_PASSWORD'], database=os.environ['MYSQL_DATABASE'])
with c.cursor() as cur:
    cur.execute('SELECT %s, DATABASE()', (1,))
    print(cur.fetchone())
";
    assert_eq!(clients::python(script, &database.as_owner()).ok().trim(), "(1, 'shop')");
}

#[test]
fn mysql2_is_there() {
    let database = Database::new();
    let script = "
const mysql = require('mysql2/promise'), e = process.env;
(async () => {
  const c = await mysql.createConnection({host: e.MYSQL_HOST, port: +e.MYSQL_PORT, user: e.MYSQL_USER,
    password: e.MYSQL_PASSWORD, database: e.MYSQL_DATABASE});
  const [rows] = await c.execute('SELECT ? AS a, DATABASE() AS b', [1]);
  console.log(rows[0].a, rows[0].b);
  await c.end();
})();
";
    assert_eq!(clients::node(script, &database.as_owner()).ok().trim(), "1 shop");
}

#[test]
fn connector_j_is_there() {
    let database = Database::new();
    // This version knows caching_sha2_password by RSA if it may ask for the key.
    let source = r#"
import java.sql.*;
public class Main {
  public static void main(String[] a) throws Exception {
    var e = System.getenv();
    String url = "jdbc:mariadb://" + e.get("MYSQL_HOST") + ":" + e.get("MYSQL_PORT") + "/" + e.get("MYSQL_DATABASE")
        + "?allowPublicKeyRetrieval=true";
    try (Connection c = DriverManager.getConnection(url, e.get("MYSQL_USER"), e.get("MYSQL_PASSWORD"));
         PreparedStatement s = c.prepareStatement("SELECT ?, DATABASE()")) {
      s.setInt(1, 1);
      ResultSet r = s.executeQuery();
      r.next();
      System.out.println(r.getInt(1) + " " + r.getString(2));
    }
  }
}
"#;
    assert_eq!(clients::java(source, &database.as_owner()).ok().trim(), "1 shop");
}

#[test]
fn sysbench_is_there() {
    let database = Database::new();
    let login = database.as_owner();
    let arguments = ["--tables=1", "--table-size=100", "--threads=2", "--events=40", "--time=0"];
    let sysbench =
        |script: &str, command: &str| clients::sysbench(&login, &[&arguments[..], &[script, command]].concat()).ok();
    sysbench("oltp_point_select", "prepare");
    assert!(sysbench("oltp_point_select", "run").contains("total number of events:              40"));
}
