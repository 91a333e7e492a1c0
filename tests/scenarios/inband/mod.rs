//! In-band SQL: the schema `hallpass`, answered by the proxy on the connection that asks. Here is what its scenarios share.

mod asking;
mod drivers;
mod mysql;
mod pipelines;
mod portals;
mod schema;
mod story;
mod views;
mod wait;
mod without_upstream;

use hallpass_tests::protocol::{Answer, Client, Failure, Protocol};

/// A statement that needs a grant.
const READ: &str = "SELECT note FROM shop.orders WHERE id = 1";

/// `CALL hallpass.…`, and the row it returns: request, state, grant, end, message.
#[track_caller]
fn call(client: &mut impl Client, what: &str) -> Vec<Option<String>> {
    let answer = client.query(&format!("CALL hallpass.{what}")).ok();
    assert_eq!(answer.columns, ["request_id", "state", "grant_id", "ends", "message"]);
    assert_eq!(answer.rows.len(), 1, "{answer:?}");
    answer.rows[0].clone()
}

/// The number in that column.
#[track_caller]
fn number(row: &[Option<String>], column: usize) -> u64 {
    let value = row[column].as_deref().and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no number in column {column} of {row:?}"))
}

/// Asks for `reader`; the request's number.
#[track_caller]
fn request(client: &mut impl Client) -> u64 {
    number(&call(client, "request('reader', '1 hour', 'INC-1234 stuck order')"), 0)
}

/// The only error, which has this code on each protocol and says these words.
#[track_caller]
fn refused<P: Protocol>(answer: &Answer, codes: (&str, &str), words: &[&str]) -> Failure {
    let error = answer.error();
    assert_eq!(error.code, P::pick(codes.0, codes.1), "{error:?}");
    assert!(error.says(words), "{words:?} in {error:?}");
    error.clone()
}

/// Not for this user.
const FORBIDDEN: (&str, &str) = ("42501", "1227/42000");
/// Something in the question is wrong.
const SENSELESS: (&str, &str) = ("22023", "1210/HY000");
/// There is no such thing, or none that this user may know of.
const NOTHING: (&str, &str) = ("P0002", "1329/02000");
/// It is over.
const OVER: (&str, &str) = ("55000", "1644/45000");
/// No such procedure, or not with such arguments.
const NO_PROCEDURE: (&str, &str) = ("42883", "1305/42000");
/// No such view.
const NO_VIEW: (&str, &str) = ("42P01", "1146/42S02");
/// No such column.
const NO_COLUMN: (&str, &str) = ("42703", "1054/42S22");
/// A form that the proxy does not answer.
const UNSUPPORTED: (&str, &str) = ("0A000", "1235/42000");
/// Ctrl-C.
const CANCELLED: (&str, &str) = ("57014", "1317/70100");
