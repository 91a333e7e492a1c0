//! Several statements in one message, and CALL with several results.

use hallpass_tests::{
    mysql::as_logged,
    protocol::Client as _,
    shop::MySqlShop,
    wire::mysql::{Client, Value, flags},
};

const ROLES: &str = "
[roles.caller]
allow = [\"select\", \"update\", \"call\"]
tables = [\"shop.*\"]
except = [\"shop.vault\"]
functions = [\"shop.*\"]
";

const PROCEDURES: &str = "
CREATE PROCEDURE shop.several() BEGIN SELECT id, email FROM shop.customers WHERE id = 7; SELECT 2, 3;
  SELECT name, salary FROM shop.employees WHERE id = 1; END;
CREATE PROCEDURE shop.fails() BEGIN SELECT 1; SELECT nothing FROM shop.orders; END;
CREATE PROCEDURE shop.outs(IN a int, OUT b varchar(40), INOUT c int) BEGIN SET b = CONCAT('b', a); SET c = c + 1; SELECT a; END;
";

fn shop(name: &str) -> MySqlShop {
    MySqlShop::after(PROCEDURES, name, |settings| settings.rules.push_str(ROLES))
}

#[test]
fn nothing_is_sent_of_a_denied_message() {
    let shop = shop("all_or_none");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT 1").ok();
    shop.database.log_statements();
    for sql in [
        "SELECT 11; SELECT secret FROM shop.vault",
        "SELECT 12; SELECT 13; DELETE FROM shop.orders",
        "SELECT 14; SELEC 15",
        "SELECT 16; KILL 5",
    ] {
        let reply = alice.query(sql);
        assert_eq!((reply.shape.as_str(), reply.errors.len()), ("E", 1), "{sql}: {reply:?}");
    }
    let log = shop.database.statement_log();
    assert!(log.iter().all(|text| !text.contains("SELECT 1") && !text.contains("SELEC")), "{log:?}");
}

#[test]
fn results_come_in_order_and_masked() {
    let shop = shop("order");
    shop.grant("caller");
    for eof in [0, flags::DEPRECATE_EOF] {
        let mut alice =
            Client::connect(&shop.alice_login().with(flags::MULTI_STATEMENTS).without(flags::DEPRECATE_EOF).with(eof))
                .expect("alice may connect");
        let sql = "SELECT 1; UPDATE shop.orders SET note = 'm' WHERE id = 3; SELECT email, id FROM shop.customers WHERE id = 7; \
                   SELECT id, salary FROM shop.employees WHERE id = 2; DO 1; SELECT 'end'; ";
        let reply = alice.query(sql).ok();
        assert_eq!(reply.rows.len(), 4);
        assert_eq!(reply.rows[1][1].as_deref(), Some("7"));
        assert_eq!(reply.rows[2], [Some("2".to_owned()), None]);
        assert_eq!(reply.rows[3], [Some("end".to_owned())]);
        assert_eq!(alice.query("SELECT 5").value(), "5");
        assert!(!alice.has_received("mail7@"));
    }
}

#[test]
fn an_error_in_the_middle_ends_it() {
    let shop = shop("middle");
    let mut alice = shop.alice_as("caller");
    let sql = "UPDATE shop.orders SET note = 'kept' WHERE id = 3; UPDATE shop.orders SET id = 4 WHERE id = 5; SELECT 9";
    let reply = alice.query(sql);
    assert_eq!((reply.shape.as_str(), reply.error().code), ("OE", 1062));
    assert_eq!(shop.database.value("SELECT note FROM shop.orders WHERE id = 3"), "kept");
    assert_eq!(alice.query("SELECT 1").value(), "1");
    let (_, outcome) = shop.proxy.audit().wait_for_outcome(sql);
    assert_eq!(outcome.error_code.as_deref(), Some("23000"));
}

#[test]
fn a_call_has_several_results() {
    let shop = shop("calls");
    let mut alice = shop.alice_as("caller");
    for reply in [alice.query("CALL shop.several()"), alice.run_prepared("CALL shop.several()", &[])] {
        let reply = reply.ok();
        assert_eq!(reply.rows.len(), 3);
        assert_eq!(reply.rows[1], [Some("2".to_owned()), Some("3".to_owned())]);
        assert_eq!(reply.rows[2], [Some("Employee 1".to_owned()), None]);
        assert_eq!(reply.done.len(), 4);
    }
    for reply in [alice.query("CALL shop.fails()"), alice.run_prepared("CALL shop.fails()", &[])] {
        assert_eq!((reply.error().code, reply.rows.len()), (1054, 1), "{reply:?}");
    }
    let held = alice.prepare("CALL shop.outs(?, ?, ?)").expect("it prepares");
    for at in 1..3 {
        let reply = alice.execute(&held, &[Value::Int(at), Value::Null, Value::Int(5)], 0).ok();
        assert_eq!(reply.rows[0], [Some(at.to_string())]);
        assert_eq!(reply.rows[1], [Some(format!("b{at}")), Some("6".to_owned())]);
    }
    // A call may have changed any setting: what comes behind it is understood when it is over.
    let reply = alice.query("CALL shop.several(); SELECT 4").ok();
    assert_eq!((reply.rows.len(), reply.rows[3].as_slice(), reply.done.len()), (4, &[Some("4".to_owned())][..], 5));
    assert_eq!(alice.query("SELECT 1").value(), "1");
    assert!(!alice.has_received("mail7@"));
}

#[test]
fn a_call_of_a_reader_is_denied() {
    let shop = shop("no_calls");
    let mut alice = shop.alice_as("reader");
    shop.database.log_statements();
    assert_eq!(alice.query("CALL shop.several()").errors.len(), 1);
    assert!(alice.prepare("CALL shop.several()").is_err());
    assert!(shop.database.statement_log().iter().all(|text| !text.contains("several")));
}

#[test]
fn texts_reach_the_server_as_they_were_written() {
    let shop = shop("verbatim");
    let mut alice = shop.alice_as("reader");
    shop.database.log_statements();
    let sql = "SELECT 1 /* one */ ;;; SELECT\t2 -- two\n; # three\n SELECT 3";
    let reply = alice.query(sql);
    // An empty statement in the middle is the servers' to judge.
    assert_eq!(reply.rows[0], [Some("1".to_owned())]);
    assert!(shop.database.statement_log().iter().any(|text| text == as_logged(sql) || text == "SELECT 1 /* one */"));
}
