//! The audit: what the server got stands there before it got it, byte for byte, and survives a kill of the proxy.

use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Duration};

use hallpass_tests::{
    both,
    process::{run, wait_for},
    protocol::{Client as _, Direct as _, Kind, Protocol},
    proxy::PASSWORD,
    shop::Shop,
};

both!(
    statements_stand_there_as_the_server_got_them,
    parameters_are_recorded_or_redacted,
    outcomes_tell_rows_and_errors,
    a_kill_in_mid_statement_leaves_the_attempt,
    every_statement_of_a_kill_in_full_load_is_there,
    without_an_audit_nothing_is_forwarded,
    the_audit_refuses_changes_and_shows_tampering,
    audit_commands_find_what_was_done,
    an_export_holds_every_event,
    the_statements_view_joins_attempt_and_outcome,
    the_data_folder_is_private,
);

fn statements_stand_there_as_the_server_got_them<P: Protocol>() {
    let shop = Shop::<P>::new("byte_for_byte");
    shop.database.log_statements();
    let mut alice = shop.alice_as("reader");
    let simple = [
        "SELECT id FROM shop.orders WHERE id = 1",
        "  select  ID\n\tfrom shop.orders -- a comment\n where note = 'it''s; ü €'  ;  ",
        P::pick(
            "SELECT $$dollar$$, E'\\n', U&'\\0041' FROM shop.orders LIMIT 1",
            "SELECT \"double\", '\\n', N'n', X'41' FROM shop.orders LIMIT 1 # the end",
        ),
        "SELECT 1; SELECT id FROM shop.orders WHERE id = 2",
        "EXPLAIN SELECT * FROM shop.orders",
    ];
    for sql in simple {
        alice.query(sql).ok();
    }
    let extended = format!("SELECT note FROM shop.orders WHERE id = {} /* extended */", P::parameter(1));
    alice.prepared(&extended, &["3"]).ok();
    for sql in simple.into_iter().chain([extended.as_str()]) {
        let (attempt, outcome) = shop.proxy.audit().wait_for_outcome(sql);
        assert!(attempt.seq < outcome.seq, "{sql}");
        assert_eq!(attempt.decision.as_deref(), Some("allow"));
        assert_eq!((attempt.user.as_deref(), attempt.target.as_deref()), (Some("alice"), Some("shop")));
        assert_eq!(outcome.error_code, None);
    }
    let log = shop.database.statement_log();
    let events = shop.proxy.audit().events();
    let as_logged = |sql| shop.database.as_logged(sql);
    // MySQL logs each statement of a text by itself.
    let whole = |sql: &&str| P::pick(true, !sql.starts_with("SELECT 1; "));
    for sql in simple.into_iter().chain([extended.as_str()]).filter(whole).map(as_logged) {
        assert!(log.iter().any(|logged| logged == sql), "the server's log has {sql:?}: {log:#?}");
    }
    // MySQL shows a prepared statement's run with the parameters put in.
    let run = extended.replace('?', "'3'");
    let recorded = |text: &str| {
        let attempts =
            events.iter().filter(|event| event.kind == "attempt").filter_map(|event| event.statement.as_deref());
        let mut attempts = attempts.flat_map(|sql| P::pick(vec![sql], sql.split(';').chain([sql]).collect::<Vec<_>>()));
        text == run || attempts.any(|sql| as_logged(sql) == text)
    };
    let unrecorded: Vec<_> = log
        .iter()
        .filter(|text| text.contains("shop.orders") && !text.starts_with("CREATE"))
        .filter(|text| !text.contains("shop.orders_"))
        .filter(|text| !text.contains("INSERT INTO shop") && !recorded(text))
        .collect();
    assert!(unrecorded.is_empty(), "reached the server and is not in the audit: {unrecorded:?}");
}

fn parameters_are_recorded_or_redacted<P: Protocol>() {
    for (setting, shown) in [("parameters = \"record\"", true), ("parameters = \"redact\"", false)] {
        let shop = Shop::<P>::with("parameters", |settings| settings.audit = setting.to_owned());
        let sql = format!("SELECT id FROM shop.orders WHERE note = {}", P::parameter(1));
        shop.alice_as("reader").prepared(&sql, &["a parameter's value"]).ok();
        let (attempt, _) = shop.proxy.audit().wait_for_outcome(&sql);
        let parameters = attempt.parameters.unwrap_or_default();
        assert_eq!(parameters.contains("a parameter's value"), shown, "{setting}: {parameters}");
    }
}

fn outcomes_tell_rows_and_errors<P: Protocol>() {
    let shop = Shop::<P>::new("outcomes");
    let mut alice = shop.alice_as("fixer");
    let read = "SELECT id FROM shop.orders WHERE id <= 3";
    let write = "UPDATE shop.orders SET note = 'x' WHERE id <= 2";
    let error = P::pick("SELECT id / 0 FROM shop.orders", "INSERT INTO shop.orders (id) VALUES (1)");
    alice.query(read).ok();
    alice.query(write).ok();
    alice.query(error);
    let audit = shop.proxy.audit();
    let (attempt, outcome) = audit.wait_for_outcome(read);
    assert_eq!(outcome.rows, Some(3));
    assert!(outcome.bytes.is_some_and(|bytes| bytes > 0) && outcome.duration_us.is_some());
    assert!(attempt.grant_id.is_some());
    assert_eq!(audit.wait_for_outcome(write).1.rows, Some(2));
    let code = audit.wait_for_outcome(error).1.error_code;
    assert_eq!(code.as_deref(), Some(P::pick("22012", "23000")));
}

fn a_kill_in_mid_statement_leaves_the_attempt<P: Protocol>() {
    let shop = Shop::<P>::new("kill");
    shop.database.log_statements();
    let mut alice = shop.alice_as("reader");
    let sql = P::SLOW;
    alice.start(sql);
    wait_for("the server has it", Duration::from_secs(30), || {
        shop.database.statement_log().iter().any(|logged| logged == sql).then_some(())
    });
    shop.proxy.kill_9();
    // The server would notice when it has an answer, minutes later, and keep a core of the tests' busy till then.
    shop.database.end_session(sql);
    shop.proxy.serve();
    let event = shop.proxy.audit().wait_for("attempt", sql);
    assert_eq!(event.user.as_deref(), Some("alice"));
    assert!(shop.proxy.cli(&["audit", "verify"]).ok().contains("intact"), "the chain holds");
    shop.alice().query("SELECT id FROM shop.orders LIMIT 1").ok();
}

fn every_statement_of_a_kill_in_full_load_is_there<P: Protocol>() {
    let shop = Shop::<P>::new("kill_load");
    shop.database.log_statements();
    shop.grant("reader");
    let port = shop.proxy.port_of("shop");
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            std::thread::spawn(move || {
                let Ok(mut client) = P::connect(port, "alice", PASSWORD, "shop") else { return };
                for i in 0..100_000 {
                    let answer =
                        client.query(&format!("SELECT id FROM shop.orders WHERE id = {i} /* worker {worker} */"));
                    if answer.closed {
                        return;
                    }
                }
            })
        })
        .collect();
    let under_load = || shop.database.statement_log().iter().filter(|text| text.contains("/* worker")).count() > 200;
    wait_for("the load to run", Duration::from_secs(30), || under_load().then_some(()));
    shop.proxy.kill_9();
    workers.into_iter().for_each(|worker| worker.join().expect("the worker ends"));
    shop.proxy.serve();
    let log: Vec<String> =
        shop.database.statement_log().into_iter().filter(|text| text.contains("/* worker")).collect();
    assert!(log.len() > 100, "{} statements under load", log.len());
    shop.proxy.audit().wait("all statements that the server logged", |events| {
        let attempts: std::collections::HashSet<_> =
            events.iter().filter(|event| event.kind == "attempt").filter_map(|event| event.statement.clone()).collect();
        log.iter().all(|text| attempts.contains(text)).then_some(())
    });
    shop.proxy.cli(&["audit", "verify"]).ok();
}

fn without_an_audit_nothing_is_forwarded<P: Protocol>() {
    let shop = Shop::<P>::new("unwritable");
    shop.database.log_statements();
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT id FROM shop.orders WHERE id = 1").ok();
    limit_files(&shop, "1:unlimited");
    let needle = "SELECT id FROM shop.orders WHERE note = 'must not be forwarded'";
    let reply = alice.query(needle);
    assert!(shop.proxy.alive(), "a full disk ends no proxy");
    reply.fails(Kind::AuditDown);
    assert!(!shop.database.statement_log().iter().any(|text| text.contains("must not be forwarded")));
    // The same session goes on when there is space again, and what it does is on record.
    limit_files(&shop, "unlimited:unlimited");
    let after = "SELECT id FROM shop.orders WHERE id = 2";
    assert_eq!(alice.query(after).ok().value(), "2");
    shop.proxy.audit().wait_for_outcome(after);
    shop.proxy.cli(&["audit", "verify"]).ok();
}

/// How long the running proxy's files may become, in bytes: where that is one, writes fail, as on a full disk.
fn limit_files<P: Protocol>(shop: &Shop<P>, limit: &str) {
    let pid = shop.proxy.pid().to_string();
    run(Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}")]), "").ok();
}

fn the_audit_refuses_changes_and_shows_tampering<P: Protocol>() {
    let shop = Shop::<P>::new("tamper");
    let sql = "SELECT id FROM shop.orders WHERE id = 4";
    shop.alice_as("reader").query(sql).ok();
    shop.proxy.audit().wait_for_outcome(sql);
    shop.proxy.cli(&["audit", "verify"]).ok();
    shop.proxy.stop();
    let path = shop.proxy.data().join("audit.db");
    let database = rusqlite::Connection::open(&path).expect("the file opens");
    for change in ["UPDATE events SET statement = 'x'", "DELETE FROM events"] {
        assert!(database.execute(change, []).is_err(), "{change}");
    }
    let triggers: Vec<String> = {
        let mut select = database.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'").expect("a schema");
        let names = select.query_map([], |row| row.get(0)).expect("names");
        names.collect::<Result<_, _>>().expect("names")
    };
    for trigger in triggers {
        database.execute(&format!("DROP TRIGGER \"{trigger}\""), []).expect("an attacker may");
    }
    database.execute("UPDATE events SET statement = 'harmless' WHERE statement = ?1", [sql]).expect("an attacker may");
    drop(database);
    shop.proxy.cli(&["audit", "verify"]).failed();
}

fn an_export_holds_every_event<P: Protocol>() {
    let shop = Shop::<P>::new("export");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT note, 'a \"quoted\", thing' FROM shop.orders WHERE id = 1").ok();
    let all = shop.proxy.json(&["audit", "search"]);
    let all = all.as_array().expect("a list");
    let exported = shop.proxy.cli(&["audit", "export"]).ok();
    let lines: Vec<serde_json::Value> =
        exported.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(&lines[..all.len()], all.as_slice());

    let table = shop.proxy.cli(&["audit", "export", "--format", "csv", "--kind", "attempt", "--user", "alice"]).ok();
    let mut lines = table.lines();
    assert!(lines.next().expect("names").starts_with("seq,at,kind,session,user,target,"));
    let line = lines.find(|line| line.contains("quoted")).expect("the statement");
    assert!(line.contains(r#""SELECT note, 'a ""quoted"", thing' FROM shop.orders WHERE id = 1""#), "{line}");
}

fn audit_commands_find_what_was_done<P: Protocol>() {
    let shop = Shop::<P>::new("search");
    let sql = "SELECT id FROM shop.orders WHERE note = 'findable'";
    shop.alice_as("reader").query(sql).ok();
    shop.proxy.audit().wait_for_outcome(sql);
    let tail = shop.proxy.cli(&["audit", "tail"]).ok();
    assert!(tail.contains("findable") && tail.contains("alice"), "{tail}");
    let found = shop.proxy.cli(&["audit", "search", "findable"]).ok();
    assert!(found.contains("findable"), "{found}");
    let not_found = shop.proxy.cli(&["audit", "search", "no such text"]).ok();
    assert!(!not_found.contains("findable"), "{not_found}");
}

fn the_statements_view_joins_attempt_and_outcome<P: Protocol>() {
    let shop = Shop::<P>::new("view");
    let sql = "SELECT id FROM shop.orders WHERE id <= 2";
    shop.alice_as("reader").query(sql).ok();
    shop.proxy.audit().wait_for_outcome(sql);
    let database = shop.proxy.audit().open().expect("the file opens");
    let rows: i64 = database
        .query_row("SELECT rows FROM statements WHERE statement = ?1", [sql], |row| row.get(0))
        .expect("one row in the view");
    assert_eq!(rows, 2);
}

fn the_data_folder_is_private<P: Protocol>() {
    let shop = Shop::<P>::new("private");
    for entry in [shop.proxy.data(), shop.proxy.data().join("audit.db"), shop.proxy.data().join("grants.db")] {
        let mode = fs::metadata(&entry).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", entry.display());
    }
}
