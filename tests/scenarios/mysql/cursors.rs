//! Cursors of COM_STMT_EXECUTE and their rows by COM_STMT_FETCH: masked, counted and granted as one result.

use hallpass_tests::{
    mysql::Flavour,
    protocol::Client as _,
    shop::MySqlShop,
    wire::mysql::{Client, Value, command::READ_ONLY_CURSOR, flags},
};

const ALL: &str = "SELECT id, email, ssn, salary FROM shop.customers ORDER BY id";

#[test]
fn rows_come_in_steps_and_masked() {
    let shop = MySqlShop::new("steps");
    shop.grant("reader");
    for eof in [0, flags::DEPRECATE_EOF] {
        let direct = shop.database.as_owner().without(flags::DEPRECATE_EOF).with(eof);
        let login = shop.alice_login().without(flags::DEPRECATE_EOF).with(eof);
        let mut seen = Vec::new();
        for startup in [&direct, &login] {
            let mut client = Client::connect(startup).expect("they may connect");
            let held = client.prepare(ALL).expect("it prepares");
            let opened = client.execute(&held, &[], READ_ONLY_CURSOR).ok();
            let mut steps = vec![(opened.shape, opened.rows.len(), opened.done[0].status)];
            let mut ids = Vec::new();
            for rows in [1, 20, 29, 5] {
                let reply = client.fetch(&held, rows);
                if let Some(done) = reply.done.first() {
                    steps.push((reply.shape.clone(), reply.rows.len(), done.status));
                } else {
                    steps.push((reply.errors[0].code.to_string(), 0, 0));
                }
                ids.extend(reply.rows.iter().map(|row| row[0].clone()));
            }
            assert_eq!(ids.len(), 50);
            seen.push(steps);
            if startup.user == "alice" {
                for secret in ["mail7@", "900-00-0007"] {
                    assert!(!client.has_received(secret), "{secret}");
                }
            }
        }
        assert_eq!(seen[1], seen[0]);
    }
}

#[test]
fn a_limit_of_rows_is_one_over_all_fetches() {
    let shop = MySqlShop::new("cursor_limit");
    let mut alice = shop.alice_as("small");
    let held = alice.prepare("SELECT id FROM shop.orders ORDER BY id").expect("it prepares");
    alice.execute(&held, &[], READ_ONLY_CURSOR).ok();
    assert_eq!(alice.fetch(&held, 6).rows.len(), 6);
    assert_eq!(alice.fetch(&held, 4).rows.len(), 4);
    let reply = alice.fetch(&held, 4);
    assert_eq!((reply.rows.len(), reply.error().code), (0, 1104));
    assert_eq!(alice.fetch(&held, 4).error().code, 1421);
    assert_eq!(alice.query("SELECT 1").value(), "1");
    alice.execute(&held, &[], READ_ONLY_CURSOR).ok();
    assert_eq!(alice.fetch(&held, 10).rows.len(), 10, "another execution counts anew");
    shop.proxy.audit().wait("rows of each fetch", |events| {
        let fetches = events.iter().filter(|event| event.kind == "attempt" && event.reason.as_deref() == Some("fetch"));
        let rows: Vec<_> = fetches
            .filter_map(|fetch| events.iter().find(|event| event.attempt_seq == Some(fetch.seq)))
            .map(|outcome| outcome.rows)
            .collect();
        if rows.len() < 4 {
            return None;
        }
        assert_eq!(rows[..2], [Some(6), Some(4)], "each fetch says what it showed");
        Some(())
    });
}

#[test]
fn a_revoked_grant_ends_the_cursor() {
    let shop = MySqlShop::new("cursor_revoked");
    let grant = shop.grant("reader");
    let mut alice = shop.alice();
    let held = alice.prepare(ALL).expect("it prepares");
    alice.execute(&held, &[], READ_ONLY_CURSOR).ok();
    assert_eq!(alice.fetch(&held, 2).ok().rows.len(), 2);
    shop.proxy.revoke(grant);
    shop.database.log_statements();
    assert_eq!(alice.fetch(&held, 2).error().code, 1142);
    assert!(shop.database.log().iter().all(|entry| entry.command != "Fetch"));
    shop.grant("reader");
    assert_eq!(alice.fetch(&held, 2).error().code, 1421, "it is closed for good");
    alice.execute(&held, &[], READ_ONLY_CURSOR).ok();
    assert_eq!(alice.fetch(&held, 99).ok().rows.len(), 50);
}

#[test]
fn an_execution_or_a_reset_closes_the_cursor() {
    let shop = MySqlShop::new("cursor_closed");
    let mut alice = shop.alice_as("reader");
    let held = alice.prepare("SELECT id FROM shop.orders WHERE id > ? ORDER BY id").expect("it prepares");
    alice.execute(&held, &[Value::Int(0)], READ_ONLY_CURSOR).ok();
    assert_eq!(alice.fetch(&held, 1).ok().value(), "1");
    alice.execute(&held, &[Value::Int(100)], READ_ONLY_CURSOR).ok();
    assert_eq!(alice.fetch(&held, 1).ok().value(), "101");
    // Others between two fetches.
    assert_eq!(alice.query("SELECT 5").value(), "5");
    assert_eq!(alice.run_prepared("SELECT 6", &[]).value(), "6");
    assert_eq!(alice.fetch(&held, 1).ok().value(), "102");
    alice.reset(&held).ok();
    assert_eq!(alice.fetch(&held, 1).error().code, 1421);
    // MySQL itself stumbles over an execution without a cursor behind one with it.
    if Flavour::chosen() == Flavour::MariaDb {
        alice.execute(&held, &[Value::Int(0)], 0).ok();
        assert_eq!(alice.fetch(&held, 1).error().code, 1421, "without a cursor");
    }
}

#[test]
fn two_cursors_stand_beside_each_other() {
    let shop = MySqlShop::new("cursor_two");
    let mut alice = shop.alice_as("reader");
    let one = alice.prepare("SELECT id, email FROM shop.customers ORDER BY id").expect("it prepares");
    let two = alice.prepare("SELECT name, salary FROM shop.employees ORDER BY id DESC").expect("it prepares");
    alice.execute(&one, &[], READ_ONLY_CURSOR).ok();
    alice.execute(&two, &[], READ_ONLY_CURSOR).ok();
    for at in 1..=3 {
        assert_eq!(alice.fetch(&one, 1).ok().value(), at.to_string());
        assert_eq!(alice.fetch(&two, 1).ok().rows[0], [Some(format!("Employee {}", 6 - at)), None]);
    }
    assert!(!alice.has_received("mail2@") && !alice.has_received("70005"));
}
