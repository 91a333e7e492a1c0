//! Prepared statements, of the protocol and of SQL: what the server remembers between executions, the gate remembers, too.

use hallpass_tests::{
    mysql::Flavour,
    protocol::Client as _,
    shop::MySqlShop,
    wire::mysql::{Client, Prepared, Reply, Rows, Startup, Value, command, flags},
};

const ROW: &str = "SELECT id, name, email, ssn, card_number, salary FROM shop.customers WHERE id = ?";

/// COM_STMT_EXECUTE of `statement` without types: those of the last execution hold. One BIGINT.
fn execute_untyped(client: &mut Client, id: u32, value: i64, columns: &Prepared) -> Reply {
    let mut body = vec![command::EXECUTE];
    body.extend(id.to_le_bytes());
    body.extend([0, 1, 0, 0, 0, 0, 0]);
    body.extend(value.to_le_bytes());
    client.send_command(&body);
    client.reply_of(Rows::Binary, &columns.columns)
}

fn alice_with(shop: &MySqlShop, change: impl Fn(Startup) -> Startup) -> Client {
    Client::connect(&change(shop.alice_login())).expect("alice may connect")
}

#[test]
fn binary_rows_are_masked_and_keep_their_types() {
    let shop = MySqlShop::new("binary");
    shop.grant("reader");
    for eof in [0, flags::DEPRECATE_EOF] {
        let mut direct =
            Client::connect(&shop.database.as_owner().without(flags::DEPRECATE_EOF).with(eof)).expect("the owner");
        let mut alice = alice_with(&shop, |login| login.without(flags::DEPRECATE_EOF).with(eof));
        let held = [direct.prepare(ROW).expect("direct"), alice.prepare(ROW).expect("alice")];
        assert_eq!(held[0].columns, held[1].columns);
        for id in [7, 8] {
            let real = direct.execute(&held[0], &[Value::Int(id)], 0).ok();
            let shown = alice.execute(&held[1], &[Value::Int(id)], 0).ok();
            assert_eq!((shown.columns, shown.shape), (real.columns, real.shape));
            assert_eq!(shown.rows[0][..2], real.rows[0][..2]);
            assert_eq!(shown.rows[0][5], None, "a null mask is null");
            assert!(shown.rows[0][4].as_deref().is_some_and(|card| card.ends_with(&format!("000{id}"))));
        }
        for secret in ["mail7@", "900-00-0007", "4111000000000007"] {
            assert!(!alice.has_received(secret), "{secret}");
        }
    }
}

#[test]
fn types_are_bound_once_and_remembered() {
    let shop = MySqlShop::new("types");
    let mut alice = shop.alice_as("reader");
    let held = alice.prepare(ROW).expect("it prepares");
    assert_eq!(alice.execute(&held, &[Value::Int(7)], 0).ok().value(), "7");
    assert_eq!(execute_untyped(&mut alice, held.id, 9, &held).ok().value(), "9");
    let audit = shop.proxy.audit();
    audit.wait("both parameters", |events| {
        let told: Vec<_> = events.iter().filter(|event| event.is("attempt", ROW)).collect();
        let with =
            |number: &str| told.iter().any(|event| event.parameters.as_deref().is_some_and(|it| it.contains(number)));
        (with("7") && with("9")).then_some(())
    });
}

#[test]
fn types_that_a_denied_execution_bound_hold_later() {
    let shop = MySqlShop::new("bound_denied");
    let grant = shop.grant("reader");
    let mut alice = shop.alice();
    let held = alice.prepare(ROW).expect("it prepares");
    shop.proxy.revoke(grant);
    assert_eq!(alice.execute(&held, &[Value::Int(7)], 0).error().code, 1142);
    shop.grant("reader");
    let reply = execute_untyped(&mut alice, held.id, 9, &held);
    assert_eq!(reply.ok().value(), "9", "clients send types once");
}

#[test]
fn a_statement_lives_longer_than_its_grant() {
    let shop = MySqlShop::new("regrant");
    let grant = shop.grant("reader");
    let mut alice = shop.alice();
    let held = alice.prepare(ROW).expect("it prepares");
    alice.execute(&held, &[Value::Int(7)], 0).ok();
    shop.proxy.revoke(grant);
    shop.database.log_statements();
    for _ in 0..2 {
        assert_eq!(alice.execute(&held, &[Value::Int(7)], 0).error().code, 1142);
    }
    assert!(shop.database.statement_log().iter().all(|text| !text.contains("customers")));
    shop.grant("reader");
    assert_eq!(alice.execute(&held, &[Value::Int(8)], 0).ok().value(), "8");
    assert!(!alice.has_received("mail8@"));
}

#[test]
fn long_data_is_recorded_by_its_hash() {
    let shop = MySqlShop::new("long");
    let mut alice = shop.alice_as("fixer");
    let sql = "UPDATE shop.orders SET note = ? WHERE id = ?";
    let held = alice.prepare(sql).expect("it prepares");
    alice.long_data(&held, 0, b"lo");
    alice.long_data(&held, 0, b"ng");
    // Of no parameter, of no statement: the server says nothing to either.
    alice.long_data(&held, 9, b"x");
    alice.send_command(&command::long_data(77, 0, b"x"));
    let first = alice.execute(&held, &[Value::Long, Value::Int(3)], 0);
    if first.errors.is_empty() {
        assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 3"), "long");
    }
    alice.reset(&held).ok();
    alice.long_data(&held, 0, b"lo");
    alice.long_data(&held, 0, b"nger");
    alice.execute(&held, &[Value::Long, Value::Int(4)], 0).ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 4"), "longer");
    // It is gone with the execution.
    alice.execute(&held, &["short".into(), Value::Int(4)], 0).ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 4"), "short");
    alice.long_data(&held, 0, b"forgotten");
    alice.reset(&held).ok();
    alice.execute(&held, &["again".into(), Value::Int(4)], 0).ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 4"), "again");
    shop.proxy.audit().wait("the hash of `longer`", |events| {
        let told = events.iter().filter(|event| event.is("attempt", sql)).filter_map(|event| event.parameters.as_ref());
        told.into_iter().any(|told| told.contains("sha256") && told.contains("6c6f6e676572")).then_some(())
    });
}

#[test]
fn an_unknown_statement_is_1243_and_the_session_lives() {
    let shop = MySqlShop::new("unknown");
    let mut alice = shop.alice_as("reader");
    let held = alice.prepare(ROW).expect("it prepares");
    let ghost = Prepared { id: 4711, ..held.clone() };
    for _ in 0..2 {
        let error = alice.execute(&ghost, &[Value::Int(7)], 0).error().clone();
        assert_eq!((error.code, error.state.as_str()), (1243, "HY000"));
        assert_eq!(alice.fetch(&ghost, 1).error().code, 1243);
        assert_eq!(alice.reset(&ghost).error().code, 1243);
        alice.close(&ghost);
    }
    alice.close(&held);
    assert_eq!(alice.execute(&held, &[Value::Int(7)], 0).error().code, 1243);
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn the_last_statement_is_that_of_the_last_prepare_that_worked() {
    let shop = MySqlShop::new("last");
    let mut alice = shop.alice_as("fixer");
    let sql = "UPDATE shop.orders SET note = 'last' WHERE id = ?";
    let held = alice.prepare(sql).expect("it prepares");
    let last = Prepared { id: u32::MAX, ..held.clone() };
    let first = alice.execute(&last, &[Value::Int(1)], 0);
    if Flavour::chosen() == Flavour::MySql {
        assert_eq!(first.error().code, 1243);
        return;
    }
    first.ok();
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "last");
    // As a pipelining client does it: the second command was sent before the first's denial is known.
    alice.prepare("DELETE FROM shop.vault WHERE id = ?").expect_err("it is denied");
    let reply = alice.execute(&last, &[Value::Int(2)], 0);
    assert_eq!(reply.error().code, 1243, "no other statement stands in for the denied one");
    alice.prepare(sql).expect("it prepares");
    alice.prepare("UPDATE shop.orders SET nothing = 1").expect_err("no such column");
    assert_eq!(alice.execute(&last, &[Value::Int(2)], 0).error().code, 1243);
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 2"), "note 2");
    let other = alice.prepare("SELECT id FROM shop.orders WHERE id = ?").expect("it prepares");
    alice.execute(&held, &[Value::Int(3)], 0).ok();
    assert_eq!(alice.execute(&Prepared { id: u32::MAX, ..other.clone() }, &[Value::Int(2)], 0).ok().value(), "2");
    alice.close(&other);
    assert_eq!(alice.execute(&last, &[Value::Int(2)], 0).error().code, 1243);
}

#[test]
fn a_change_of_the_table_is_seen_by_the_next_execution() {
    let shop = MySqlShop::new("ddl");
    let mut alice = shop.alice_as("reader");
    let star = alice.prepare("SELECT * FROM shop.customers WHERE id = ?").expect("it prepares");
    assert_eq!(alice.execute(&star, &[Value::Int(7)], 0).ok().rows[0].len(), 7);
    // Every column moves; the mask has to move with it.
    shop.database.owner_sql("ALTER TABLE shop.customers ADD COLUMN first varchar(9) DEFAULT 'f' FIRST");
    for _ in 0..3 {
        let reply = alice.execute(&star, &[Value::Int(7)], 0);
        if reply.errors.is_empty() {
            assert_eq!(reply.rows[0].len(), 8, "{reply:?}");
        }
    }
    assert_eq!(alice.execute(&star, &[Value::Int(7)], 0).ok().rows[0].len(), 8);
    for secret in ["mail7@", "900-00-0007", "4111000000000007"] {
        assert!(!alice.has_received(secret), "{secret}");
    }
    let mut owner = shop.alice_as("owner");
    let held = owner.prepare("SELECT note FROM shop.orders WHERE id = ?").expect("it prepares");
    owner.query("ALTER TABLE shop.orders MODIFY note varchar(70)").ok();
    assert_eq!(owner.execute(&held, &[Value::Int(7)], 0).ok().value(), "note 7");
    owner.query("DROP TABLE shop.orders").ok();
    assert_eq!(owner.execute(&held, &[Value::Int(7)], 0).error().code, 1146);
    assert_eq!(owner.query("SELECT 1").value(), "1");
}

#[test]
fn bulk_execution_is_recorded_row_by_row() {
    if Flavour::chosen() == Flavour::MySql {
        return;
    }
    let shop = MySqlShop::new("bulk");
    shop.grant("fixer");
    let mut alice = alice_with(&shop, |login| login.with(flags::BULK));
    let sql = "UPDATE shop.orders SET note = ? WHERE id = ?";
    let held = alice.prepare(sql).expect("it prepares");
    let bulk = |from: i64, to: i64| {
        // SEND_TYPES_TO_SERVER; VAR_STRING and BIGINT; for each row an indicator before each value.
        let mut body = vec![0xFA];
        body.extend(held.id.to_le_bytes());
        body.extend([128, 0, 253, 0, 8, 0]);
        for id in from..=to {
            body.extend([0, 4]);
            body.extend(b"bulk");
            body.push(0);
            body.extend(id.to_le_bytes());
        }
        body
    };
    alice.send_command(&bulk(1, 3));
    assert_eq!(alice.reply(Rows::Binary).ok().affected(), [3]);
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'bulk'"), "3");
    shop.proxy.audit().wait("all rows", |events| {
        let told = events.iter().filter(|event| event.is("attempt", sql)).filter_map(|event| event.parameters.as_ref());
        told.into_iter().any(|told| told.matches("bulk").count() == 3).then_some(())
    });
    alice.send_command(&bulk(11, 16));
    let error = alice.reply(Rows::Binary).error().clone();
    assert_eq!(error.code, 1104, "six rows are more than five: {error:?}");
    assert_eq!(shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'bulk'"), "3");
}

#[test]
fn statements_prepared_by_sql_keep_what_they_were_read_with() {
    let shop = MySqlShop::new("sql_prepare");
    shop.database.owner_sql("CREATE TABLE shop.twice (id int); INSERT INTO shop.twice VALUES (1)");
    shop.database.sql(
        "CREATE DATABASE other; GRANT ALL ON other.* TO 'shop_app'@'%'; CREATE TABLE other.twice (id int); \
         INSERT INTO other.twice VALUES (2)",
    );
    let mut alice = shop.alice_as("reader");
    alice.query("PREPARE S1 FROM 'SELECT id, email FROM customers WHERE id = ?'").ok();
    alice.query("SET @id = 7").ok();
    assert_eq!(alice.query("EXECUTE s1 USING @id").ok().value(), "7", "names have no case");
    alice.query("PREPARE words FROM 'SELECT CONCAT(\"ssn\", 1) FROM shop.customers WHERE id = 7'").ok();
    assert_eq!(alice.query("EXECUTE words").ok().value(), "ssn1");
    alice.query("SET sql_mode = 'ANSI_QUOTES'").ok();
    // What was prepared is prepared anew by the server when its table has changed.
    shop.database.owner_sql("ALTER TABLE shop.customers ADD COLUMN more int");
    for _ in 0..2 {
        let reply = alice.query("EXECUTE words");
        assert!(reply.errors.len() == 1 || reply.value() == "ssn1", "{reply:?}");
    }
    alice.query("SET sql_mode = DEFAULT").ok();
    alice.query("EXECUTE s1 USING @id").ok();
    alice.query("DEALLOCATE PREPARE s1").ok();
    assert_eq!(alice.query("EXECUTE s1 USING @id").error().code, 1243);
    assert_eq!(alice.query("PREPARE t FROM 'SELECT secret FROM shop.vault'").error().code, 1142);
    assert_eq!(alice.query("EXECUTE t").error().code, 1243);
    alice.query("SET @text = 'SELECT secret FROM shop.vault'").ok();
    assert_eq!(alice.query("PREPARE t FROM @text").errors.len(), 1);
    for secret in ["mail7@", "900-00-0007", "vault-secret"] {
        assert!(!alice.has_received(secret), "{secret}");
    }
}

#[test]
fn protocol_statements_keep_what_they_were_read_with() {
    let shop = MySqlShop::new("modes");
    let mut alice = shop.alice_as("reader");
    let held = alice.prepare("SELECT CONCAT(\"ssn\", 1) FROM shop.customers WHERE id = 7").expect("it prepares");
    assert_eq!(alice.execute(&held, &[], 0).ok().value(), "ssn1");
    alice.query("SET sql_mode = 'ANSI_QUOTES'").ok();
    let read_anew = |reply: Reply| reply.errors.len() == 1 || reply.value() == "ssn1";
    assert!(read_anew(alice.execute(&held, &[], 0)));
    shop.database.owner_sql("ALTER TABLE shop.customers ADD COLUMN more int");
    for _ in 0..2 {
        assert!(read_anew(alice.execute(&held, &[], 0)), "MySQL takes \"ssn\" for the column now");
    }
    assert!(!alice.has_received("900-00-0007"));
    alice.query("SET sql_mode = DEFAULT").ok();
    assert_eq!(alice.execute(&held, &[], 0).ok().value(), "ssn1");
}

#[test]
fn only_one_statement_is_prepared_and_none_that_prepares() {
    let shop = MySqlShop::new("one");
    let mut alice = shop.alice_as("owner");
    for sql in ["SELECT 1; SELECT 2", "PREPARE p FROM 'SELECT 1'", "EXECUTE p", "KILL 1", ""] {
        let error = alice.prepare(sql).expect_err(sql);
        assert!([1064, 1065, 1235, 1243, 1295].contains(&error.code), "{sql}: {error:?}");
    }
    assert_eq!(alice.query("SELECT 1").value(), "1");
}

#[test]
fn a_masked_text_is_compared_with_texts_only() {
    const LOOK_UP: &str = "SELECT id FROM shop.customers WHERE email = ? AND id = 7";
    let shop = MySqlShop::new("bound_numbers");
    let mut direct = Client::connect(&shop.database.as_owner()).expect("the owner may connect");
    let mut alice = shop.alice_as("reader");
    let held = [direct.prepare(LOOK_UP).expect("direct"), alice.prepare(LOOK_UP).expect("alice")];
    // Compared with a number, every text that begins with none is 0.
    assert_eq!(direct.execute(&held[0], &[Value::Int(0)], 0).ok().rows.len(), 1);
    let refused = alice.execute(&held[1], &[Value::Int(0)], 0);
    assert!(refused.rows.is_empty() && refused.error().message.contains("is no text"), "{refused:?}");
    assert!(alice.execute(&held[1], &[Value::Text("nobody@example.test".into())], 0).ok().rows.is_empty());
}
