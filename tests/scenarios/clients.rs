//! Drivers: tokio-postgres and psycopg, with prepared statements, pipelines, COPY, cancelling and notices.

use futures_util::future::try_join_all;
use hallpass_tests::{python, shop::PostgresShop as Shop};
use tokio::runtime::Builder;
use tokio_postgres::{Client, NoTls, error::SqlState};

fn with_tokio<T>(url: &str, test: impl AsyncFnOnce(Client) -> T) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the proxy lets us in");
        let task = tokio::spawn(connection);
        let result = test(client).await;
        task.abort();
        result
    })
}

#[test]
fn tokio_postgres_pipelines_and_binary_values() {
    let shop = Shop::new("tokio");
    shop.grant("reader");
    with_tokio(&shop.alice_login().url(), async |client| {
        let statement =
            client.prepare("SELECT id, note, total::float8 FROM shop.orders WHERE id = $1").await.expect("prepared");
        let ids: Vec<i32> = (1..=50).collect();
        let queries = ids.iter().map(|id| {
            let (client, statement) = (&client, &statement);
            async move { client.query_one(statement, &[id]).await }
        });
        let rows = try_join_all(queries).await.expect("50 queries in flight");
        for (id, row) in ids.iter().zip(rows) {
            assert_eq!(row.get::<_, i32>(0), *id);
            assert_eq!(row.get::<_, String>(1), format!("note {id}"));
        }
        let masked = client.query_one("SELECT email FROM shop.customers WHERE id = $1", &[&7]).await.expect("masked");
        assert!(!masked.get::<_, String>(0).contains("mail7@"));
        let denied = client.execute("DELETE FROM shop.orders WHERE id = $1", &[&1]).await.expect_err("denied");
        assert_eq!(denied.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
        let batch = client.simple_query("SELECT 1; SELECT 2").await.expect("two statements");
        assert!(batch.len() >= 4);
    });
}

#[test]
fn tokio_postgres_copies_and_cancels() {
    let shop = Shop::new("tokio_copy");
    shop.grant("exporter");
    with_tokio(&shop.alice_login().url(), async |client| {
        use futures_util::{SinkExt as _, StreamExt as _, pin_mut};
        let sink = client.copy_in::<_, bytes::Bytes>("COPY shop.orders (id, note) FROM STDIN").await.expect("COPY");
        pin_mut!(sink);
        sink.send(bytes::Bytes::from_static(b"950\tone\n951\ttwo\n")).await.expect("data");
        assert_eq!(sink.finish().await.expect("the end"), 2);
        let stream = client.copy_out("COPY (SELECT id FROM shop.orders WHERE id > 949 ORDER BY id) TO STDOUT").await;
        let stream = stream.expect("COPY");
        pin_mut!(stream);
        let mut text = Vec::new();
        while let Some(part) = stream.next().await {
            text.extend(part.expect("data"));
        }
        assert_eq!(String::from_utf8_lossy(&text), "950\n951\n");
        let token = client.cancel_token();
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            token.cancel_query(NoTls).await.expect("the request is sent");
        });
        let cancelled = client.simple_query("SELECT count(*) FROM generate_series(1, 3000000000)").await;
        assert_eq!(cancelled.expect_err("cancelled").code(), Some(&SqlState::QUERY_CANCELED));
    });
}

#[test]
fn psycopg_does_its_work() {
    let shop = Shop::new("psycopg");
    shop.grant("exporter");
    let script = r#"
import psycopg
with psycopg.connect("", autocommit=True) as conn:
    for _ in range(8):  # beyond prepare_threshold: named statements
        assert conn.execute("SELECT note FROM shop.orders WHERE id = %s", (3,)).fetchone() == ("note 3",)
    cur = conn.cursor(binary=True)
    assert cur.execute("SELECT id, total FROM shop.orders WHERE id = %s", (2,)).fetchone()[0] == 2
    with conn.pipeline():
        cursors = [conn.execute("SELECT %s::int", (i,)) for i in range(20)]
        assert [c.fetchone()[0] for c in cursors] == list(range(20))
    try:
        with conn.pipeline():
            conn.execute("SELECT 1")
            conn.execute("DELETE FROM shop.orders WHERE id = 1")
            conn.execute("SELECT 2")
        raise SystemExit("the DELETE was not denied")
    except psycopg.errors.InsufficientPrivilege as error:
        assert error.diag.message_primary == "no grant allows DELETE on shop.orders", error
    assert conn.execute("SELECT 1").fetchone() == (1,)
    with conn.cursor().copy("COPY shop.orders (id, note) FROM STDIN") as copy:
        copy.write_row((960, "x"))
    with conn.cursor().copy("COPY (SELECT id FROM shop.orders WHERE id = 960) TO STDOUT") as copy:
        assert list(copy.rows()) == [("960",)]
    with conn.transaction(), conn.cursor("named") as cur:
        cur.execute("SELECT id, email FROM shop.customers ORDER BY id")
        rows = cur.fetchmany(10)
        assert len(rows) == 10 and all("mail" not in row[1] for row in rows), rows
with psycopg.connect("") as conn:
    try:
        conn.execute("SELECT * FROM hr_not_there")
    except psycopg.Error:
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    conn.rollback()
    assert conn.execute("SELECT 1").fetchone() == (1,)
print("done")
"#;
    let output = python::script(script, &shop.alice_login());
    assert_eq!(output.clone().ok().trim(), "done", "{output:?}");
}
