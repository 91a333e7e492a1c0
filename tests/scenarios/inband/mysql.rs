//! In-band SQL by the commands of MySQL's protocol: prepared statements, the last one, cursors, resets, a change of user.

use hallpass_tests::{
    shop::MySqlShop,
    wire::mysql::{Client, Rows, Value, command, flags},
};

use super::{READ, request};

fn state(client: &mut Client) -> String {
    client.query("SELECT state FROM hallpass.requests ORDER BY id DESC LIMIT 1").ok().value()
}

#[test]
fn mysql_statements_of_the_proxy_are_prepared_run_reset_and_closed() {
    let shop = MySqlShop::new("inband_prepared");
    let mut alice = shop.alice();
    let ask = alice.prepare("CALL hallpass.request(?, ?, ?)").expect("it is prepared");
    assert_eq!((ask.params.len(), ask.columns.len()), (3, 5));
    let kinds: Vec<_> = ask.columns.iter().map(|column| column.kind).collect();
    // LONGLONG, VAR_STRING, LONGLONG, DATETIME, VAR_STRING.
    assert_eq!(kinds, [8, 253, 8, 12, 253]);
    let values = ["reader", "1 h", "why"].map(Value::from);
    let first = alice.execute(&ask, &values, 0).ok();
    let second = alice.execute(&ask, &values, command::READ_ONLY_CURSOR).ok();
    assert_eq!((first.rows.len(), second.rows.len()), (1, 1), "where no cursor is opened, rows come at once");
    assert_eq!(second.status() & flags::CURSOR_EXISTS, 0);
    assert_ne!(first.value(), second.value());
    assert_eq!(alice.fetch(&ask, 1).error().code, 1421);
    alice.reset(&ask).ok();
    assert_eq!(alice.execute(&ask, &values, 0).ok().rows.len(), 1);
    alice.close(&ask);
    assert_eq!(alice.execute(&ask, &values, 0).error().code, 1243);
    let wrong = alice.prepare("SELECT nothing FROM hallpass.grants").expect_err("no such column");
    assert_eq!(wrong.code, 1054);
    assert_eq!(alice.query("SELECT count(*) FROM hallpass.requests").ok().value(), "3");
}

#[test]
fn mysql_parameters_in_pieces_are_put_together() {
    let shop = MySqlShop::new("inband_pieces");
    let mut alice = shop.alice();
    let ask = alice.prepare("CALL hallpass.request(?, ?, ?)").expect("it is prepared");
    alice.long_data(&ask, 2, b"a reason ");
    alice.long_data(&ask, 2, "in pieces, über".as_bytes());
    alice.execute(&ask, &["reader".into(), "1 h".into(), Value::Long], 0).ok();
    assert_eq!(alice.query("SELECT reason FROM hallpass.requests").ok().value(), "a reason in pieces, über");
    alice.long_data(&ask, 2, b"forgotten");
    alice.reset(&ask).ok();
    alice.execute(&ask, &["reader".into(), "1 h".into(), "whole".into()], 0).ok();
    let reasons = alice.query("SELECT reason FROM hallpass.requests ORDER BY id DESC LIMIT 1").ok();
    assert_eq!(reasons.value(), "whole");
}

#[test]
fn mysql_types_of_rows_are_those_of_the_columns() {
    let shop = MySqlShop::new("inband_types");
    let mut alice = shop.alice();
    let id = request(&mut alice);
    let sql = "SELECT id, role, export, created, grant_id FROM hallpass.requests";
    let (text, binary) = (alice.query(sql).ok(), alice.run_prepared(sql, &[]).ok());
    assert_eq!(text.rows, binary.rows);
    let kinds: Vec<_> = text.columns.iter().map(|column| column.kind).collect();
    assert_eq!(kinds, [8, 253, 1, 12, 8]);
    assert_eq!((text.rows[0][0].as_deref(), &text.rows[0][4]), (Some(&*id.to_string()), &None));
    let created = text.rows[0][3].clone().unwrap_or_default();
    let near = format!("SELECT ABS(TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), '{created}')) < 600");
    assert_eq!(shop.database.sql(&near).value(), "1", "{created}");
    let bound = "SELECT role FROM hallpass.requests WHERE id = ? AND export = ?";
    assert_eq!(alice.run_prepared(bound, &[Value::from(&*id.to_string()), Value::from("0")]).ok().value(), "reader");
}

#[test]
fn mysql_resets_forget_what_was_prepared_for_the_proxy() {
    let shop = MySqlShop::new("inband_reset");
    for connected in [false, true] {
        let mut alice = shop.alice_as("reader");
        if connected {
            alice.query(READ).ok();
        }
        let view = alice.prepare("SELECT user_name FROM hallpass.session").expect("it is prepared");
        assert_eq!(alice.execute(&view, &[], 0).ok().value(), "alice");
        alice.command(command::RESET_CONNECTION, &[]).ok();
        assert_eq!(alice.execute(&view, &[], 0).error().code, 1243, "connected: {connected}");
        assert_eq!(alice.query("SELECT user_name FROM hallpass.session").ok().value(), "alice");
    }
}

#[test]
fn mysql_users_that_change_ask_as_who_they_are_then() {
    let shop = MySqlShop::new("inband_change");
    let mut client = shop.alice();
    let id = request(&mut client);
    let view = client.prepare("SELECT user_name FROM hallpass.session").expect("it is prepared");
    client.change_user(&shop.proxy.mysql_startup("bob", "shop")).expect("bob may log in");
    assert_eq!(client.query("SELECT user_name FROM hallpass.session").ok().value(), "bob");
    assert_eq!(client.execute(&view, &[], 0).error().code, 1243);
    assert_eq!(client.query(&format!("SELECT hallpass.approve({id})")).ok().value(), "approved");
    assert_eq!(state(&mut client), "approved");
}

#[test]
fn mysql_warnings_hold_what_a_single_value_does_not_say() {
    let shop = MySqlShop::new("inband_warnings");
    let mut alice = shop.alice();
    let asked = alice.query("SELECT hallpass.request('reader', '1 h', 'why')").ok();
    assert_eq!(asked.done.last().map(|done| done.warnings), Some(1), "{asked:?}");
    let id = asked.value();
    let warned = alice.query("SHOW WARNINGS").ok().lines().join("\n");
    assert!(warned.contains(&format!("request {id} needs")) && warned.contains("CALL hallpass.approve("), "{warned}");
    alice.query("CALL hallpass.wait(4711)");
    let told = alice.query("SHOW WARNINGS").ok().lines().join("\n");
    assert!(!told.contains("needs"), "those of the statement before are gone: {told}");
}

#[test]
fn mysql_the_last_statement_is_the_last_one_of_either_side() {
    let shop = MySqlShop::new("inband_last");
    let mut alice = shop.alice_as("reader");
    if !alice.greeting().version.contains("MariaDB") {
        return;
    }
    let last = |client: &mut Client, params: &[Value]| {
        client.send_command(&command::execute(u32::MAX, params, 0, false));
        client.reply(Rows::Binary)
    };
    alice.prepare(READ).expect("it is prepared");
    alice.prepare("SELECT user_name FROM hallpass.session").expect("it is prepared");
    assert_eq!(last(&mut alice, &[]).ok().value(), "alice");
    alice.prepare(READ).expect("it is prepared");
    assert_eq!(last(&mut alice, &[]).ok().value(), "note 1");
    alice.prepare("SELECT nothing FROM hallpass.session").expect_err("no such column");
    assert_eq!(last(&mut alice, &[]).errors.len(), 1, "none was prepared last");
}
