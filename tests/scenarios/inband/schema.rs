//! Stand-ins of the schema in the database itself: clients complete its names, and the answers are still the proxy's.

use hallpass_tests::{
    both,
    protocol::{Client as _, Direct as _, Protocol},
    proxy::bare_cli,
    python,
    shop::{PostgresShop, Shop},
};

use super::{READ, call, number, request};

both!(names_are_listed_and_answers_are_the_proxys, nothing_is_asked_of_the_stand_ins,);

/// A shop whose server has the stand-ins; they can be installed again.
fn shop<P: Protocol>(name: &str) -> Shop<P> {
    let folder = tempfile::tempdir().expect("a folder");
    let text = bare_cli(&["schema", "--protocol", P::NAME], folder.path()).ok();
    let see = P::pick("", "GRANT SELECT, EXECUTE ON hallpass.* TO 'shop_app'@'%';");
    Shop::after(&format!("{text}\n{text}\n{see}"), name, |_| {})
}

fn names_are_listed_and_answers_are_the_proxys<P: Protocol>() {
    let shop = shop::<P>("stand_in");
    let (mut alice, mut bob) = (shop.alice(), shop.connect("bob"));
    for view in ["roles", "grants", "requests", "masks", "session"] {
        let listed = format!(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'hallpass' AND table_name = '{view}' \
             ORDER BY ordinal_position"
        );
        let answered = alice.query(&format!("SELECT * FROM hallpass.{view}")).ok();
        assert_eq!(alice.query(&listed).ok().lines(), answered.columns, "{view}");
        assert_eq!(shop.database.value(&format!("SELECT count(*) FROM hallpass.{view}")), "0", "{view}");
    }
    let routines = "SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'hallpass' ORDER BY 1";
    let names = alice.query(routines).ok().lines();
    let all = [
        "approve",
        "break_glass",
        "cancel",
        "extend",
        "reject",
        "request",
        "request_statement",
        "review",
        "revoke",
        "wait",
    ];
    assert_eq!(names, all);
    assert_eq!(alice.query("SELECT user_name FROM hallpass.session").ok().value(), "alice");
    let id = request(&mut alice);
    let grant = number(&call(&mut bob, &format!("approve({id})")), 2);
    assert_eq!(alice.query(READ).ok().value(), "note 1");
    assert_eq!(alice.query("SELECT id FROM hallpass.grants").ok().value(), grant.to_string());
    // On the server itself they do nothing, and say where to go.
    let mut direct = shop.database.client();
    let told = direct.query("CALL hallpass.cancel(1)");
    assert!(told.error().says(&["connect through hallpass"]), "{told:?}");
}

fn nothing_is_asked_of_the_stand_ins<P: Protocol>() {
    let shop = shop::<P>("stand_in_only");
    let mut alice = shop.alice_as("owner");
    shop.database.log_statements();
    assert_eq!(alice.query("SELECT count(*) FROM shop.orders").ok().value(), "200");
    for sql in [
        "SELECT o.id FROM shop.orders o JOIN hallpass.grants g ON o.id = g.id",
        "SELECT id FROM shop.orders WHERE id IN (SELECT id FROM hallpass.grants)",
        "INSERT INTO hallpass.grants (id) VALUES (1)",
        "SELECT hallpass.wait(1), 1",
        "CREATE TABLE shop.copy AS SELECT * FROM hallpass.grants",
        "SELECT * FROM (SELECT * FROM hallpass.grants) g",
    ] {
        assert_eq!(alice.query(sql).errors.len(), 1, "{sql}");
    }
    alice.query(P::pick("SET search_path = hallpass, shop", "USE hallpass")).ok();
    for sql in ["SELECT * FROM grants", "SELECT count(*) FROM session", "CALL cancel(1)"] {
        let answer = alice.query(sql);
        assert_eq!(answer.errors.len(), 1, "{sql}: {answer:?}");
    }
    assert_eq!(alice.query("SELECT user_name FROM hallpass.session").ok().value(), "alice");
    let log = shop.database.statement_log();
    let asked =
        |text: &&String| text.contains("hallpass.") && !text.contains("pg_catalog") && !text.contains("table_schema");
    assert_eq!(log.iter().filter(asked).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn psql_completes_and_describes_the_stand_ins() {
    let shop: PostgresShop = shop("stand_in_psql");
    let views = shop.psql().run(&["-A", "-t", "-c", "\\dv hallpass.*"], "").ok();
    for name in ["roles", "grants", "requests", "masks", "session"] {
        assert!(views.contains(&format!("hallpass|{name}|view")), "{views}");
    }
    let procedures = shop.psql().run(&["-A", "-t", "-c", "\\df hallpass.*"], "").ok();
    assert!(procedures.contains("hallpass|wait||") && procedures.contains("request bigint"), "{procedures}");
    let described = shop.psql().run(&["-A", "-t", "-c", "\\d hallpass.grants"], "").ok();
    assert!(described.contains("ends|timestamp with time zone"), "{described}");
    // What a view of the server describes, the proxy answers with: the same types.
    let (mut direct, mut alice) = (shop.database.client(), shop.alice());
    for view in ["roles", "grants", "requests", "masks", "session"] {
        let sql = format!("SELECT * FROM hallpass.{view}");
        let types = |reply: hallpass_tests::wire::postgres::Reply| {
            reply.ok().columns.into_iter().map(|column| (column.name, column.type_oid)).collect::<Vec<_>>()
        };
        assert_eq!(types(alice.query(&sql)), types(direct.query(&sql)), "{view}");
    }
}

#[test]
fn psql_completes_the_names_at_the_tab_key() {
    let shop: PostgresShop = shop("stand_in_tab");
    // A terminal for psql: it completes nothing without one.
    let script = format!(
        r#"
import os, pty, select, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="dumb", INPUTRC="/dev/null", PGAPPNAME="psql", PAGER="")
    os.execv("{psql}", ["psql", "-X", "-q"])
def until(text, seen=b""):
    end = time.time() + 30
    while text not in seen and time.time() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 65536)
    assert text in seen, (text, seen)
until(b"=> ")
for typed, completed in [
    (b"SELECT * FROM hallpass.gr\t", b"hallpass.grants"),
    (b"SELECT * FROM hallp\t", b"hallpass."),
    (b"CALL hallpass.request_st\t", b"hallpass.request_statement"),
    (b"CALL hallpass.wai\t", b"hallpass.wait"),
]:
    os.write(terminal, typed)
    until(completed)
    os.write(terminal, b"\x15")
os.write(terminal, b"SELECT user_name FROM hallpass.sess\t;\n")
until(b"alice")
os.write(terminal, b"\\q\n")
os.waitpid(pid, 0)
print("done")
"#,
        // Builds without TLS have no line editor either.
        psql = hallpass_tests::postgres::tls_bin().join("psql").display()
    );
    let output = python::script(&script, &shop.alice_login());
    assert_eq!(output.clone().ok().trim(), "done", "{output:?}");
}
