//! In-band SQL by drivers as their users use them: parameters of calls, types of columns.

use hallpass_tests::{
    mysql::clients,
    python,
    shop::{MySqlShop, PostgresShop, Shop},
};

use super::{READ, call, request};

#[test]
fn psycopg_asks_in_text_and_binary() {
    let shop = PostgresShop::new("drv_psycopg");
    let script = r#"
import datetime, psycopg
now = lambda: datetime.datetime.now(datetime.timezone.utc)
with psycopg.connect("", autocommit=True) as conn:
    for binary in (False, True):
        cur = conn.cursor(binary=binary)
        cur.execute("CALL hallpass.request(%s, %s, %s)", ("reader", "1 hour", "it's a 'reason'"))
        assert [d.name for d in cur.description] == ["request_id", "state", "grant_id", "ends", "message"]
        number, state, grant, ends, message = cur.fetchone()
        assert (type(number), state, grant, ends) == (int, "pending", None, None), number
        for value in (number, str(number)):
            row = cur.execute("SELECT hallpass.wait(%s, %s)", (value, "10 ms")).fetchone()
            assert row == ("pending",), row
        assert cur.execute("SELECT * FROM hallpass.wait(%b, %s)", (number, "10 ms")).fetchone()[0] == number
        row = cur.execute(
            "SELECT id, reason, export, created, grant_id FROM hallpass.requests WHERE id = %s AND export = %s",
            (number, False),
        ).fetchone()
        assert row[:3] == (number, "it's a 'reason'", False) and row[4] is None, row
        assert abs(now() - row[3]) < datetime.timedelta(minutes=10), row
        rows = cur.execute("SELECT id FROM hallpass.requests WHERE created < %s", (now(),)).fetchall()
        assert (number,) in rows, rows
        for _ in range(8):  # beyond prepare_threshold: named statements
            assert cur.execute("SELECT user_name FROM hallpass.session WHERE user_name = %s", ("alice",)).fetchone() == ("alice",)
        try:
            cur.execute("CALL hallpass.approve(%s)", (number,))
            raise SystemExit("one's own approval")
        except psycopg.errors.InsufficientPrivilege as error:
            assert "CALL hallpass.cancel" in error.diag.message_hint, error.diag.message_hint
        assert cur.execute("CALL hallpass.cancel(%s)", (number,)).fetchone()[1] == "cancelled"
    with conn.pipeline():
        cursors = [conn.execute(f"SELECT {n}, 'x'") if n % 2 else conn.execute("SELECT active_grants FROM hallpass.session WHERE active_grants = %s", (0,)) for n in range(10)]
        assert [c.fetchone()[0] for c in cursors] == [n if n % 2 else 0 for n in range(10)]
    cur = psycopg.ClientCursor(conn)
    assert cur.execute("SELECT role FROM hallpass.roles WHERE role = %s", ("reader",)).fetchone() == ("reader",)
    notices = []
    conn.add_notice_handler(lambda diag: notices.append(diag.message_primary))
    conn.execute("SELECT hallpass.request(%s, %s, %s)", ("reader", "1 hour", "x"))
    assert len(notices) == 1 and "CALL hallpass.approve" in notices[0], notices
with psycopg.connect("") as conn:
    with conn.transaction():
        conn.execute("SELECT 1")
        assert conn.execute("SELECT count(*) FROM hallpass.requests").fetchone() == (3,)
print("done")
"#;
    let output = python::script(script, &shop.alice_login());
    assert_eq!(output.clone().ok().trim(), "done", "{output:?}");
}

#[test]
fn tokio_postgres_asks_in_binary() {
    let shop = PostgresShop::new("drv_tokio");
    let url = shop.alice_login().url();
    let id = request(&mut shop.alice());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a connection");
        let task = tokio::spawn(connection);
        let id = i64::try_from(id).expect("small");
        let sql =
            "SELECT id, role, export, grant_id FROM hallpass.requests WHERE id = $1 AND role = $2 AND export = $3";
        let row = client.query_one(sql, &[&id, &"reader", &false]).await.expect("a row");
        assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1), row.get::<_, bool>(2)), (id, "reader", false));
        assert_eq!(row.get::<_, Option<i64>>(3), None);
        let row = client.query_one("CALL hallpass.wait($1, $2)", &[&id, &"10 ms"]).await.expect("a row");
        assert_eq!(row.get::<_, &str>("state"), "pending");
        let call = client.prepare("CALL hallpass.cancel($1)").await.expect("it is prepared");
        assert_eq!(client.query_one(&call, &[&id]).await.expect("a row").get::<_, &str>(1), "cancelled");
        let again = client.query_one(&call, &[&id]).await.expect_err("it is over");
        assert_eq!(again.code().map(tokio_postgres::error::SqlState::code), Some("55000"));
        task.abort();
    });
}

#[test]
fn psql_asks_with_bound_parameters_and_variables() {
    let shop = PostgresShop::new("drv_psql");
    let input = "SELECT hallpass.request('reader', '1 hour', 'psql') AS id \\gset\n\
                 SELECT state FROM hallpass.requests WHERE id = :id;\n\
                 SELECT user_name FROM hallpass.session \\g\n\
                 CALL hallpass.cancel(:id);\n\
                 \\x on\nSELECT * FROM hallpass.masks LIMIT 1;\n";
    let told = shop.psql().run(&["-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"], input).ok();
    assert!(told.starts_with("pending\nalice\n"), "{told}");
    assert!(told.contains("|cancelled|||request") && told.contains("column_glob|"), "{told}");
}

#[test]
fn mysql_drivers_of_python_ask() {
    let shop = MySqlShop::new("drv_pymysql");
    let script = r#"
import datetime, os, pymysql
db = pymysql.connect(host="127.0.0.1", port=int(os.environ["MYSQL_PORT"]), user=os.environ["MYSQL_USER"],
    password=os.environ["MYSQL_PASSWORD"], database="shop", autocommit=True)
cur = db.cursor()
cur.execute("CALL hallpass.request(%s, %s, %s)", ("reader", "1 hour", "it's a 'reason' \\ with \"all\""))
number, state, grant, ends, message = cur.fetchone()
assert (type(number), state, grant, ends) == (int, "pending", None, None), number
cur.execute("SELECT id, reason, export, created, grant_id FROM hallpass.requests WHERE id = %s AND export = %s", (number, False))
row = cur.fetchone()
assert row[:3] == (number, "it's a 'reason' \\ with \"all\"", 0) and row[4] is None, row
now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
assert type(row[3]) is datetime.datetime and abs(now - row[3]) < datetime.timedelta(minutes=10), row
cur.execute("SELECT id FROM hallpass.requests WHERE created < %s", (now + datetime.timedelta(minutes=1),))
assert cur.fetchall() == ((number,),)
try:
    cur.execute("CALL hallpass.approve(%s)", (number,))
    raise SystemExit("one's own approval")
except pymysql.MySQLError as error:
    assert error.args[0] == 1227 and "CALL hallpass.cancel" in error.args[1], error
cur.execute("SELECT hallpass.cancel(%s)", (number,))
assert cur.fetchone() == ("cancelled",)
with db.cursor(pymysql.cursors.SSDictCursor) as cursor:
    cursor.execute("SELECT user_name, active_grants FROM hallpass.session")
    assert cursor.fetchall() == [{"user_name": "alice", "active_grants": 0}]
print("done")
"#;
    assert_eq!(clients::python(script, &shop.alice_login()).ok().trim(), "done");
}

#[test]
fn mysql_drivers_of_node_ask() {
    let shop = MySqlShop::new("drv_mysql2");
    let script = r#"
const mysql = require('mysql2/promise'), assert = require('assert'), e = process.env;
(async () => {
  const db = await mysql.createConnection({ host: '127.0.0.1', port: e.MYSQL_PORT, user: e.MYSQL_USER,
    password: e.MYSQL_PASSWORD, database: e.MYSQL_DATABASE, timezone: 'Z' });
  for (const how of ['query', 'execute']) {
    const first = (rows) => Array.isArray(rows[0]) ? rows[0][0] : rows[0];
    const [asked] = await db[how]('CALL hallpass.request(?, ?, ?)', ['reader', '1 hour', "it's why"]);
    const row = first(asked);
    assert.deepStrictEqual([typeof row.request_id, row.state, row.grant_id, row.ends], ['number', 'pending', null, null]);
    const [seen, fields] = await db[how](
      'SELECT id, reason, export, created, grant_id FROM hallpass.requests WHERE id = ? AND export = ?', [row.request_id, false]);
    assert.deepStrictEqual([seen.length, seen[0].reason, seen[0].export, seen[0].grant_id], [1, "it's why", 0, null]);
    assert.ok(Math.abs(Date.now() - seen[0].created.getTime()) < 600000, String(seen[0].created));
    assert.deepStrictEqual(fields.map((f) => f.columnType), [8, 253, 1, 12, 8]);
    const [waited] = await db[how]('SELECT hallpass.wait(?, ?) AS state', [row.request_id, '10 ms']);
    assert.strictEqual(waited[0].state, 'pending');
    await assert.rejects(db[how]('CALL hallpass.approve(?)', [row.request_id]), { errno: 1227 });
    await db[how]('CALL hallpass.cancel(?)', [row.request_id]);
  }
  await db.end();
  console.log('done');
})().catch((error) => { console.error(error); process.exit(1); });
"#;
    assert_eq!(clients::node(script, &shop.alice_login()).ok().trim(), "done");
}

#[test]
fn mysql_drivers_of_java_ask() {
    let shop = MySqlShop::new("drv_java");
    shop.database.log_statements();
    let source = r#"
import java.sql.*;
public class Main {
  static void is(Object found, Object wanted) {
    if (!String.valueOf(wanted).equals(String.valueOf(found))) throw new RuntimeException(found + " is not " + wanted);
  }
  public static void main(String[] args) throws Exception {
    String at = "jdbc:mariadb://127.0.0.1:" + System.getenv("MYSQL_PORT") + "/shop?x=1";
    for (String more : new String[] {"", "&useServerPrepStmts=true"}) {
      try (Connection db = DriverManager.getConnection(at + more, System.getenv("MYSQL_USER"), System.getenv("MYSQL_PASSWORD"))) {
        long id;
        try (PreparedStatement ask = db.prepareStatement("CALL hallpass.request(?, ?, ?)")) {
          ask.setString(1, "reader"); ask.setString(2, "1 hour"); ask.setString(3, "it's why");
          try (ResultSet row = ask.executeQuery()) {
            row.next(); id = row.getLong("request_id");
            is(row.getString("state"), "pending"); is(row.getObject("grant_id"), null); is(row.getTimestamp("ends"), null);
          }
        }
        try (PreparedStatement see = db.prepareStatement("SELECT id, reason, export, created FROM hallpass.requests WHERE id = ?")) {
          see.setLong(1, id);
          try (ResultSet row = see.executeQuery()) {
            ResultSetMetaData about = row.getMetaData();
            is(about.getColumnType(1), Types.BIGINT); is(about.getColumnType(2), Types.VARCHAR); is(about.getColumnType(4), Types.TIMESTAMP);
            row.next(); is(row.getLong(1), id); is(row.getString(2), "it's why"); is(row.getBoolean(3), false);
          }
        }
        try (PreparedStatement no = db.prepareStatement("CALL hallpass.approve(?)")) {
          no.setLong(1, id); no.execute(); throw new RuntimeException("one's own approval");
        } catch (SQLException error) { is(error.getErrorCode(), 1227); }
        try (CallableStatement call = db.prepareCall("{call hallpass.cancel(?)}")) {
          call.setLong(1, id); is(call.execute(), true);
          try (ResultSet row = call.getResultSet()) { row.next(); is(row.getString("state"), "cancelled"); }
        }
      }
    }
    System.out.println("done");
  }
}
"#;
    assert_eq!(clients::java(source, &shop.alice_login()).ok().trim(), "done");
    assert!(shop.database.statement_log().iter().all(|text| !text.contains("hallpass.")));
}

#[test]
fn the_mariadb_program_asks_for_mysql() {
    let shop: MySqlShop = Shop::new("drv_mariadb");
    let script = "CALL hallpass.request('reader', '1 hour', 'INC-1');\nSELECT id, state FROM hallpass.requests;\n\
                  warnings;\nSELECT hallpass.request('small', '1 hour', 'INC-2');\n";
    let told = clients::mariadb_run(&shop.alice_login(), &["--table"], script).ok();
    assert!(
        told.contains("| request_id | state   | grant_id | ends | message") && told.contains("| pending |"),
        "{told}"
    );
    assert!(told.contains("CALL hallpass.approve("), "{told}");
    let mut bob = shop.connect("bob");
    let id = bob.query("SELECT id FROM hallpass.requests WHERE role = 'reader'").ok().value();
    call(&mut bob, &format!("approve({id})"));
    assert_eq!(clients::mariadb_sql(&shop.alice_login(), READ).ok(), "note 1\n");
}
