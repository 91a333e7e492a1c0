//! Long texts are understood beside the event loop: they are masked, denied, recorded and answered in their turn as
//! short ones are, and a text that would keep a lexer busy for minutes is refused at once.

use hallpass_tests::{
    both,
    protocol::{Client as _, Direct as _, Kind, Protocol},
    shop::Shop,
};

both!(
    a_long_text_is_masked_and_recorded_whole,
    what_is_not_allowed_is_not_allowed_at_length,
    a_new_name_in_a_long_text_is_found,
    a_text_made_to_be_slow_is_refused,
);

/// Customer 7 among many that are not there.
fn long(columns: &str, table: &str) -> String {
    let ids: Vec<_> = (0..30_000).map(|at| (1_000_000 + at).to_string()).collect();
    format!("SELECT {columns} FROM shop.{table} WHERE id IN (7, {})", ids.join(", "))
}

fn a_long_text_is_masked_and_recorded_whole<P: Protocol>() {
    let shop = Shop::<P>::new("long");
    let mut alice = shop.alice_as("reader");
    let text = long("name, email", "customers");
    for answer in [alice.query(&text).ok(), alice.prepared(&text, &[]).ok(), alice.query(&text).ok()] {
        assert_eq!(answer.rows.len(), 1);
        assert_eq!(answer.rows[0][0].as_deref(), Some("Customer 7"));
    }
    assert!(!alice.has_received("mail7@"), "masked at any length");
    assert_eq!(alice.query("SELECT 1").ok().value(), "1", "in its turn");
    let (attempt, outcome) = shop.proxy.audit().wait_for_outcome(&text);
    assert_eq!(attempt.statement.as_deref(), Some(text.as_str()));
    assert_eq!(outcome.rows, Some(1));
}

fn what_is_not_allowed_is_not_allowed_at_length<P: Protocol>() {
    let shop = Shop::<P>::new("longdenied");
    let mut alice = shop.alice_as("reader");
    let text = long("secret", "vault");
    for answer in [alice.query(&text), alice.prepared(&text, &[])] {
        answer.fails(Kind::Denied);
    }
    shop.proxy.audit().wait_for("denied", &text);
    assert_eq!(alice.query("SELECT 1").ok().value(), "1", "the session lives on");
}

fn a_new_name_in_a_long_text_is_found<P: Protocol>() {
    let shop = Shop::<P>::new("longnew");
    let mut alice = shop.alice_as("reader");
    alice.query("SELECT 1").ok();
    shop.database.run_as_owner("CREATE TABLE shop.newer (id int, note varchar(20))");
    shop.database.run_as_owner("INSERT INTO shop.newer VALUES (7, 'found')");
    // A catalog is not asked for again within a second; the client tries until it is.
    let text = long("note", "newer");
    let found = (0..50).map(|_| alice.query(&text)).find(|answer| answer.errors.is_empty());
    assert_eq!(found.expect("the name becomes known").value(), "found");
}

fn a_text_made_to_be_slow_is_refused<P: Protocol>() {
    let shop = Shop::<P>::new("slow");
    let mut alice = shop.alice_as("reader");
    let items: Vec<_> = (0..20_000).map(|at| format!("w{at} AS (SELECT 1 AS a)")).collect();
    let text = format!("WITH {} SELECT 1", items.join(", "));
    assert_eq!(alice.query(&text).error().message, "statement is too complex");
    let variables: Vec<_> = (0..5_000).map(|at| format!("@a{at} = {at}")).collect();
    let text = P::pick(format!("SELECT 1 {}", "/**/".repeat(250_000)), format!("SET {}", variables.join(", ")));
    let answer = alice.query(&text);
    let refused: Vec<_> = answer.errors.iter().map(|error| error.message.as_str()).collect();
    let expected = P::pick(vec!["statement has too many operators or comments behind each other"], vec![]);
    assert_eq!(refused, expected);
    assert_eq!(alice.query("SELECT 1").ok().value(), "1", "the session lives on");
}
