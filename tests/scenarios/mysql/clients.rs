//! Drivers as their users use them: what a program prints through the proxy is what it prints on the server itself, as long
//! as no column is masked. The programs are in `programs/`; one prints what every part of a driver gives.

use std::time::Duration;

use hallpass_tests::{
    mysql::clients,
    process::{Output, wait_for},
    protocol::Direct as _,
    proxy::PASSWORD,
    shop::MySqlShop,
    wire::mysql::Startup,
};
use mysql_async::prelude::Queryable as _;

/// A table of every common type, a table to write to, and a procedure with two results.
const TYPES: &str = "
CREATE TABLE shop.types (
  id int PRIMARY KEY, ti tinyint, tu tinyint unsigned, si smallint, mi mediumint, bu bigint unsigned, bi bigint,
  de decimal(20,6), fl float, dou double, da date, ti6 time(6), dt datetime, dt6 datetime(6), ts timestamp NULL, y year,
  bt bit(10), en enum('a','b','ü'), se set('x','y','z'), bl blob, js json, vb varbinary(20),
  tx text CHARACTER SET latin1);
INSERT INTO shop.types VALUES
  (1, -128, 255, -32768, -8388608, 18446744073709551615, -9223372036854775808, '-12345678901234.123456', 1.5, 2.25,
   '2024-02-29', '-12:13:14.000123', '2024-01-02 03:04:05', '2024-01-02 03:04:05.678901', '2024-01-02 03:04:05', 1999,
   b'1010101010', 'ü', 'x,z', x'00ff80', '{\"a\": [1, 2]}', x'8081', 'grün'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL, NULL, NULL),
  (3, 0, 0, 0, 0, 0, 0, 0, 0, 0, '1000-01-01', '838:59:59', '1000-01-01 00:00:00', '9999-12-31 23:59:59.999999',
   '1970-01-02 00:00:00', 2155, b'0', 'a', '', '', 'null', '', '');
CREATE TABLE shop.masked LIKE shop.types;
INSERT INTO shop.masked SELECT * FROM shop.types;
CREATE TABLE shop.big (id int PRIMARY KEY AUTO_INCREMENT, clear longblob, secret longtext);
CREATE TABLE shop.t (id int PRIMARY KEY AUTO_INCREMENT, name varchar(80), note varchar(80));
INSERT INTO shop.t VALUES (1, 'über', 'eins');
CREATE PROCEDURE shop.several(n int) BEGIN SELECT id, ti FROM types ORDER BY id LIMIT n; SELECT 2 AS b, 'x' AS c; END
";

const RULES: &str = r#"
[roles.writer]
allow = ["select", "insert", "update", "delete", "explain", "call", "copy_in"]
tables = ["shop.*"]
functions = ["shop.several"]
export = true

[[masks]]
columns = ["*/shop.masked.*", "*/shop.big.secret"]
with = "full"
"#;

/// A shop with these tables, where alice writes.
pub(super) fn shop(name: &str) -> MySqlShop {
    let shop = MySqlShop::with(name, |settings| settings.rules.push_str(RULES));
    shop.database.run_as_owner(TYPES);
    shop.grant("writer");
    known(&shop, "t");
    shop
}

/// Names younger than the proxy's catalog are known after a second.
fn known(shop: &MySqlShop, table: &str) {
    let ask = format!("SELECT count(*) FROM shop.{table}");
    wait_for("the new tables are known", Duration::from_secs(30), || shop.ask(&ask).errors.is_empty().then_some(()));
}

/// What a program prints directly, and through the proxy.
pub(super) fn compared(shop: &MySqlShop, run: impl Fn(&Startup) -> Output) {
    let direct = run(&shop.database.as_owner());
    let proxied = run(&shop.alice_login());
    assert_eq!(direct.code, 0, "{}{}", direct.stdout, direct.stderr);
    assert!(direct.stdout.lines().count() > 5, "it prints something: {}", direct.stdout);
    assert_eq!(proxied.stdout, direct.stdout, "{}", proxied.stderr);
    assert_eq!(proxied.code, 0, "{}", proxied.stderr);
}

#[test]
fn mysql_programs_of_pymysql_see_the_server_itself() {
    compared(&shop("pymysql"), |login| clients::python(include_str!("programs/clients.py"), login));
}

#[test]
fn mysql_programs_of_mysql2_see_the_server_itself() {
    compared(&shop("mysql2"), |login| clients::node(include_str!("programs/clients.js"), login));
}

#[test]
fn mysql_programs_of_connector_j_see_the_server_itself() {
    compared(&shop("connector_j"), |login| clients::java(include_str!("programs/Main.java"), login));
}

#[test]
fn the_mariadb_program_for_mysql_shows_what_the_server_shows() {
    let shop = shop("mariadb_program");
    // `status`, `\W` and their like are the program's own words: it reads them from its input.
    let script = "warnings;\nselect cast('12a' as signed);\nnowarning;\nshow create table types\\G\nshow tables;\n\
                  describe types;\nshow full columns from types;\nshow index from types;\nshow databases;\nuse shop;\n\
                  select database();\nselect * from types where id = 2\\G\nshow table status like 't%';\n\
                  show collation like 'latin1_g%';\n";
    for more in [&["--auto-rehash"][..], &["--compress"], &["--quick", "--xml"], &["--table", "--column-type-info"]] {
        compared(&shop, |login| clients::mariadb_run(login, more, script));
    }
    let masked =
        clients::mariadb_sql(&shop.alice_login(), "SELECT email, card_number FROM customers WHERE id = 1").ok();
    assert_eq!(masked.trim_end(), "m****@****.test\t************0001");
    let status = clients::mariadb_run(&shop.alice_login(), &["--table"], "status;\n").ok();
    for line in ["Current database:\tshop", "Server characterset:\tutf8mb4"] {
        assert!(status.contains(line), "{status}");
    }
}

#[test]
fn every_type_of_a_masked_mysql_column_reaches_drivers_as_that_type() {
    let shop = shop("masked_types");
    let script = "const mysql = require('mysql2/promise'); const e = process.env; (async () => { \
        const db = await mysql.createConnection({ host: e.MYSQL_HOST, port: e.MYSQL_PORT, user: e.MYSQL_USER, \
        password: e.MYSQL_PASSWORD, database: e.MYSQL_DATABASE, dateStrings: true }); \
        for (const how of ['query', 'execute']) { const [rows, fields] = await db[how]('SELECT * FROM shop.masked'); \
        console.log(JSON.stringify(rows[0])); console.log(Object.values(rows[1]).filter((v) => v !== null).length); \
        console.log(fields.map((f) => f.columnType).join()); } await db.end(); })();";
    let [direct, proxied] =
        [shop.database.as_owner(), shop.alice_login()].map(|login| clients::node(script, &login).ok());
    let [direct, proxied]: [Vec<_>; 2] = [&direct, &proxied].map(|text| text.lines().collect());
    // One value of the second row is no NULL: its id.
    assert_eq!((proxied[1], proxied[4]), ("1", "1"), "NULL stays NULL");
    assert_eq!((proxied[2], proxied[5]), (direct[2], direct[5]), "types stay");
    let zeroes = "\"id\":0,\"ti\":0,\"tu\":0,\"si\":0,\"mi\":0,\"bu\":0,\"bi\":0,";
    for at in [0, 3] {
        assert!(proxied[at].contains(zeroes), "{}", proxied[at]);
        for secret in ["-128", "255", "1844674", "12345678901234", "2024", "1999", "grün", "x,z", "a\":[1"] {
            assert!(!proxied[at].contains(secret) && direct[at].contains(secret), "{secret}: {}", proxied[at]);
        }
    }
}

#[test]
fn the_mysql_driver_of_rust_works_with_its_pool() {
    let shop = shop("mysql_async");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let port = shop.proxy.port_of("shop");
    runtime.block_on(async {
        for compress in [false, true] {
            let options = mysql_async::OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port);
            let options = options.user(Some("alice")).pass(Some(PASSWORD)).db_name(Some("shop"));
            let options = options.compression(compress.then(mysql_async::Compression::default));
            let pool = mysql_async::Pool::new(options);
            for round in 0..3 {
                let mut db = pool.get_conn().await.expect("a connection");
                let kept: Option<Option<i64>> = db.query_first("SELECT @kept").await.expect("a value");
                assert_eq!(kept, Some(None), "round {round}: the pool resets the session");
                db.query_drop("SET @kept = 1").await.expect("a variable");
                let sum: Option<u64> =
                    db.exec_first("SELECT CAST(? + ? AS UNSIGNED)", (round, 40)).await.expect("a sum");
                assert_eq!(sum, Some(round + 40));
                let masked: Vec<(i32, String)> =
                    db.exec("SELECT id, email FROM customers WHERE id < ? ORDER BY id", (3,)).await.expect("rows");
                let hidden = "m****@****.test".to_owned();
                assert_eq!(masked, [(1, hidden.clone()), (2, hidden)]);
                let mut work = db.start_transaction(mysql_async::TxOpts::default()).await.expect("a transaction");
                let lines = (0..20).map(|line| (format!("rust {line}"), None::<String>));
                work.exec_batch("INSERT INTO t (name, note) VALUES (?, ?)", lines).await.expect("a batch");
                work.rollback().await.expect("a rollback");
                let bytes: Vec<u8> = (0..=255).collect();
                db.exec_drop("INSERT INTO big (id, clear) VALUES (7, ?)", (bytes.clone(),)).await.expect("bytes");
                let back: Option<Vec<u8>> = db.query_first("SELECT clear FROM big WHERE id = 7").await.expect("a row");
                assert_eq!(back, Some(bytes));
                db.query_drop("DELETE FROM big WHERE id = 7").await.expect("a write");
                let denied = db.query_drop("DROP TABLE t").await.expect_err("no grant");
                assert!(matches!(&denied, mysql_async::Error::Server(told) if told.code == 1142), "{denied}");
                // The result is dropped half read: the pool reads on.
                drop(db.query_iter("SELECT a.id FROM orders a JOIN orders b").await.expect("a result"));
            }
            pool.disconnect().await.expect("an end");
        }
    });
    let count = shop.database.value("SELECT count(*) FROM shop.t");
    assert_eq!(count, "1", "everything was rolled back");
}

#[test]
fn mysql_drivers_log_in_with_tls_and_without() {
    let authority = hallpass_tests::tls::Authority::new("root");
    let folder = tempfile::tempdir().expect("a folder");
    let identity = authority.server(&["localhost", "127.0.0.1"]);
    let write = |name: &str, pem: &str| hallpass_tests::tls::write(folder.path(), name, pem).display().to_string();
    let (certificate, key) = (write("c.pem", &identity.certificate_pem), write("k.pem", &identity.key_pem));
    let root = write("root.pem", authority.pem());
    for mode in ["prefer", "require"] {
        let shop = MySqlShop::with("tls_drivers", |settings| {
            settings.listener =
                format!("tls = {{ mode = \"{mode}\", certificate = \"{certificate}\", key = \"{key}\" }}");
        });
        let login = shop.alice_login();
        // The first login is a full one, the second a fast one.
        for _ in 0..2 {
            let verified = ["--ssl-verify-server-cert", &format!("--ssl-ca={root}"), "-N", "-e", "SELECT 1"];
            assert_eq!(clients::mariadb_run(&login, &verified, "").ok(), "1\n");
        }
        let python = "import os, ssl, pymysql\nlogin = dict(host='127.0.0.1', port=int(os.environ['MYSQL_PORT']), \
            user=os.environ['MYSQL_USER'], database='shop')\ndef go(password, **more):\n    try:\n        \
            print(pymysql.connect(password=password, **login, **more)._secure)\n    except pymysql.MySQLError as error:\n        \
            print(error.args[0], error.args[1])\n";
        let all = format!(
            "{python}go(os.environ['MYSQL_PASSWORD'], ssl_ca='{root}', ssl_verify_cert=True)\n\
             go(os.environ['MYSQL_PASSWORD'], ssl_disabled=True)\ngo('wrong', ssl_ca='{root}')\n"
        );
        let told = clients::python(&all, &login).ok();
        let told: Vec<_> = told.lines().collect();
        assert_eq!(told[0], "True");
        assert_eq!(told[1] == "False", mode == "prefer", "{told:?}");
        assert!(told[2].starts_with("1045 Access denied for user 'alice'"), "{told:?}");
    }
}

#[test]
fn a_mysql_dump_is_restored_through_the_proxy() {
    let shop = MySqlShop::with("restore", |settings| {
        settings.rules.push_str(RULES);
        settings.rules.push_str(
            "[roles.restorer]\nallow = [\"select\", \"insert\", \"update\", \"delete\", \"ddl\", \"lock\"]\n\
             tables = [\"shop.*\"]\n",
        );
    });
    shop.database.run_as_owner(TYPES);
    let tables = ["types", "t", "orders", "customers", "employees"];
    let dump = dump(&shop.database.as_owner(), &tables);
    assert_eq!(dump.code, 0, "{}", dump.stderr);
    let before: Vec<_> = tables.iter().map(|table| sum(&shop, table)).collect();
    shop.grant("restorer");
    known(&shop, "t");
    shop.database.run_as_owner("DELETE FROM shop.types; UPDATE shop.t SET name = 'lost'; DROP TABLE shop.employees");
    clients::mariadb_run(&shop.alice_login(), &["--binary-mode"], &dump.stdout).ok();
    let after: Vec<_> = tables.iter().map(|table| sum(&shop, table)).collect();
    assert_eq!(after, before);
    // And a dump through the proxy is one of masked rows, or says what is missing.
    shop.database.run_as_owner("UPDATE shop.t SET note = 'two' WHERE id = 1");
    let own = self::dump(&shop.alice_login(), &["t", "customers"]);
    assert!(own.stdout.contains("'two'") && !own.stdout.contains("mail1@example.test"), "{own:?}");
    assert!(own.stdout.contains("m****@****.test"), "{own:?}");
}

fn sum(shop: &MySqlShop, table: &str) -> Option<String> {
    shop.database.sql(&format!("CHECKSUM TABLE shop.{table}")).rows[0][1].clone()
}

/// mariadb-dump; bytes as hexadecimal digits, since its output is taken for text here.
fn dump(login: &Startup, tables: &[&str]) -> Output {
    let mut command = std::process::Command::new("mariadb-dump");
    command.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--hex-blob", "--no-tablespaces"]);
    command.arg(format!("--port={}", login.port)).arg(format!("--user={}", login.user));
    command.arg(format!("--password={}", login.password)).arg(&login.database).args(tables);
    hallpass_tests::process::run(&mut command, "")
}

#[test]
fn bytes_in_literals_of_mysql_statements_arrive() {
    let shop = shop("bytes");
    let script = "import os, pymysql\nfor charset in ('utf8mb4', 'latin1'):\n    \
        db = pymysql.connect(host='127.0.0.1', port=int(os.environ['MYSQL_PORT']), user=os.environ['MYSQL_USER'], \
        password=os.environ['MYSQL_PASSWORD'], database='shop', charset=charset, autocommit=True)\n    \
        cursor = db.cursor()\n    every = bytes(range(256)) * 3\n    \
        cursor.execute('INSERT INTO big (id, clear) VALUES (8, %s)', (every,))\n    \
        cursor.execute('SELECT clear FROM big WHERE id = 8')\n    print(cursor.fetchone()[0] == every)\n    \
        cursor.execute('DELETE FROM big WHERE id = 8')\n";
    assert_eq!(clients::python(script, &shop.alice_login()).ok(), "True\nTrue\n");
    // Outside a literal such a byte is nothing that could be understood.
    let mut client = hallpass_tests::wire::mysql::Client::connect(&shop.alice_login()).expect("alice may connect");
    let reply = client.query_bytes(b"SELECT id FROM shop.t AS \xff");
    assert_eq!(reply.errors.first().map(|error| error.code), Some(1064), "{reply:?}");
    assert_eq!(client.query("SELECT 1").value(), "1");
}
