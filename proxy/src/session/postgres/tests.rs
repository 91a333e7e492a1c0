//! Whole conversations with the machine, without a socket: bytes of a client and of a server in, bytes for both out.

use hallpass_policy::{
    catalog::{Catalog, Column, QualifiedName, Relation, RelationKind},
    decide::Fence,
    statement::{Dialect, Names},
};

use super::Machine;
use crate::{
    session::{
        gate::Gate,
        machine::{Machine as _, Stop},
        testing,
    },
    wire::postgres::{
        backend::{Field, TransactionStatus},
        codec::{self, Format},
        encode,
    },
};

const CONFIG: &str = r#"
[databases.shop]
protocol = "postgres"
host = "127.0.0.1"
database = "shop"
user = "owner"
[roles.reader]
allow = ["select", "insert", "copy_in"]
max_rows = 2
[[masks]]
columns = ["shop/public.people.email"]
with = "full"
"#;
const PEOPLE: u32 = 20_001;

fn names() -> Dialect {
    Dialect::Postgres(Names { search_path: "public".into() })
}

/// One session: its machine and its gate.
struct Session {
    machine: Machine,
    gate: Gate,
    _folder: tempfile::TempDir,
}

impl Session {
    /// A connected session of alice, who holds the role reader if `granted`.
    fn new(granted: bool) -> Self {
        let (gate, folder) = testing::gate(CONFIG, catalog(), names(), granted);
        let mut machine = Machine::new(Vec::new(), 7);
        machine.connected(Fence { read_only: !gate.may_write(), upstream_role: None }, &[], 8);
        Self { machine, gate, _folder: folder }
    }

    /// The client sends `bytes`, in pieces of `piece` bytes; hands back what the upstream gets.
    fn client(&mut self, bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut waiting = Vec::new();
        for part in bytes.chunks(piece) {
            waiting.extend_from_slice(part);
            let (taken, stop) = self.machine.client(&mut self.gate, &waiting).unwrap();
            assert_eq!(stop, Stop::NeedMore);
            waiting.drain(..taken);
        }
        self.machine.end_turn(&mut self.gate);
        assert!(waiting.is_empty());
        std::mem::take(self.machine.out.upstream_mut())
    }

    /// The upstream sends `bytes`, in pieces of `piece` bytes; hands back what the client gets.
    fn upstream(&mut self, bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut waiting = Vec::new();
        for part in bytes.chunks(piece) {
            waiting.extend_from_slice(part);
            let taken = self.machine.upstream(&mut self.gate, &waiting).unwrap();
            waiting.drain(..taken);
        }
        assert!(waiting.is_empty());
        std::mem::take(self.machine.out.client_mut())
    }

    fn told(&mut self) -> Vec<u8> {
        std::mem::take(self.machine.out.client_mut())
    }
}

fn catalog() -> Catalog {
    let column =
        |(name, number): (&str, i16)| Column { name: name.into(), number, type_oid: 25, local: true, generated: None };
    let mut catalog = Catalog { schemas: vec!["public".into()], ..Catalog::default() };
    catalog.add_relation(Relation {
        oid: PEOPLE,
        name: QualifiedName::new("public", "people"),
        kind: RelationKind::Table,
        columns: [("id", 1), ("email", 2)].into_iter().map(column).collect(),
        definition: None,
        revision: None,
        triggered: false,
        ruled: false,
        parents: Vec::new(),
        children: Vec::new(),
    });
    catalog
}

fn query(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode::query(&mut out, text.as_bytes()).unwrap();
    out
}

fn ready(status: TransactionStatus) -> Vec<u8> {
    let mut out = Vec::new();
    encode::ready_for_query(&mut out, status);
    out
}

fn done(tag: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode::command_complete(&mut out, tag).unwrap();
    out
}

fn row(values: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let values: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
    encode::data_row(&mut out, &values).unwrap();
    out
}

/// Columns of `people`, by attribute number.
fn columns(attributes: &[i16]) -> Vec<u8> {
    let field = |attribute: &i16| Field {
        name: b"c",
        table: PEOPLE,
        attribute: *attribute,
        type_oid: 25,
        type_size: -1,
        modifier: -1,
        format: Format::Text,
    };
    let mut out = Vec::new();
    encode::row_description(&mut out, &attributes.iter().map(field).collect::<Vec<_>>()).unwrap();
    out
}

/// An error as a server sends it.
fn error(code: &str, message: &str) -> Vec<u8> {
    let body = format!("SERROR\0VERROR\0C{code}\0M{message}\0\0");
    let mut out = vec![b'E'];
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend_from_slice(body.as_bytes());
    out
}

/// The tags of `bytes`, and the SQLSTATEs of the errors among them.
fn shape(bytes: &[u8]) -> (String, Vec<String>) {
    let (mut tags, mut states, mut rest) = (String::new(), Vec::new(), bytes);
    while let Some(frame) = codec::frame(rest, codec::MAX_FRAME).unwrap() {
        tags.push(char::from(frame.tag));
        if frame.tag == b'E' {
            let report = crate::wire::postgres::backend::Report::decode(frame.body).unwrap();
            states.push(report.sqlstate().to_owned());
        }
        rest = &rest[frame.raw.len()..];
    }
    assert!(rest.is_empty());
    (tags, states)
}

#[test]
fn an_allowed_query_goes_through_byte_for_byte_however_it_is_split() {
    let sent = query("SELECT id FROM people");
    let answer = [columns(&[1]), row(&["1"]), row(&["2"]), done("SELECT 2"), ready(TransactionStatus::Idle)].concat();
    for piece in 1..answer.len() {
        let mut session = Session::new(true);
        assert_eq!(session.client(&sent, piece), sent);
        assert_eq!(session.upstream(&answer, piece), answer);
        assert!(session.machine.is_idle());
    }
}

#[test]
fn a_masked_column_is_masked_however_it_is_split() {
    let answer = [columns(&[1, 2]), row(&["1", "a@b.c"]), done("SELECT 1"), ready(TransactionStatus::Idle)].concat();
    let masked = [columns(&[1, 2]), row(&["1", "****"]), done("SELECT 1"), ready(TransactionStatus::Idle)].concat();
    for piece in 1..answer.len() {
        let mut session = Session::new(true);
        session.client(&query("SELECT id, email FROM people"), 1024);
        assert_eq!(session.upstream(&answer, piece), masked);
    }
}

#[test]
fn a_column_that_only_its_origin_gives_away_is_masked() {
    let mut session = Session::new(true);
    session.client(&query("SELECT id FROM people"), 1024);
    // The server says that the column is the e-mail address: whatever we understood, that counts.
    let answer = [columns(&[2]), row(&["a@b.c"]), done("SELECT 1"), ready(TransactionStatus::Idle)].concat();
    assert!(!String::from_utf8_lossy(&session.upstream(&answer, 1024)).contains("a@b.c"));
}

#[test]
fn a_result_of_another_shape_shows_nothing() {
    let mut session = Session::new(true);
    session.client(&query("SELECT id FROM people"), 1024);
    let answer = [columns(&[1, 2]), row(&["1", "a@b.c"]), done("SELECT 1"), ready(TransactionStatus::Idle)].concat();
    assert_eq!(shape(&session.upstream(&answer, 1024)), ("EZ".into(), vec!["42501".into()]));
}

#[test]
fn a_denial_with_nothing_open_is_answered_here() {
    let mut session = Session::new(false);
    assert_eq!(session.client(&query("SELECT id FROM people"), 7), b"");
    assert_eq!(shape(&session.told()), ("EZ".into(), vec!["42501".into()]));
}

#[test]
fn a_denial_in_a_transaction_fails_the_servers_transaction() {
    let mut session = Session::new(false);
    session.client(&query("BEGIN"), 1024);
    session.upstream(&[done("BEGIN"), ready(TransactionStatus::Open)].concat(), 1024);
    let sent = session.client(&query("SELECT id FROM people"), 1024);
    assert!(!String::from_utf8_lossy(&sent).contains("people"), "the statement itself stays here");
    assert_eq!(sent.first(), Some(&b'Q'), "something that fails goes in its place");
    let answer = [error("42601", "syntax error"), ready(TransactionStatus::Failed)].concat();
    let told = session.upstream(&answer, 1024);
    assert_eq!(shape(&told), ("EZ".into(), vec!["42501".into()]));
    assert_eq!(told.last(), Some(&b'E'), "ReadyForQuery says that the transaction failed");
}

#[test]
fn a_pipeline_is_skipped_after_a_denial() {
    let mut session = Session::new(true);
    let mut sent = Vec::new();
    encode::parse(&mut sent, b"", b"SELECT id FROM people", &[]).unwrap();
    let allowed = sent.len();
    encode::parse(&mut sent, b"s", b"DELETE FROM people WHERE id = 1", &[]).unwrap();
    encode::execute(&mut sent, b"", 0).unwrap();
    encode::sync(&mut sent);
    let forwarded = session.client(&sent, 1024);
    assert!(forwarded.starts_with(&sent[..allowed]));
    // Parse, our Describe, a Parse that fails, Flush, the client's Sync: no DELETE, no Execute.
    assert_eq!(shape(&forwarded).0, "PDPHS");
    assert!(!String::from_utf8_lossy(&forwarded).contains("DELETE"));
    let mut answer = Vec::new();
    encode::parse_complete(&mut answer);
    encode::parameter_description(&mut answer, &[]).unwrap();
    answer.extend([columns(&[1]), error("42601", "syntax error"), ready(TransactionStatus::Idle)].concat());
    assert_eq!(shape(&session.upstream(&answer, 3)), ("1EZ".into(), vec!["42501".into()]));
}

#[test]
fn rows_above_the_limit_never_leave() {
    let mut session = Session::new(true);
    session.client(&query("SELECT id FROM people"), 1024);
    let rows = [row(&["1"]), row(&["2"]), row(&["3"]), row(&["4"])].concat();
    let told = session.upstream(&[columns(&[1]), rows].concat(), 1024);
    assert_eq!(shape(&told).0, "TDD");
    assert!(session.machine.take_cancel());
    let answer = [error("57014", "canceling statement due to user request"), ready(TransactionStatus::Idle)].concat();
    assert_eq!(shape(&session.upstream(&answer, 1024)), ("EZ".into(), vec!["54000".into()]));
}

#[test]
fn errors_are_reduced_to_their_kind_where_a_masked_column_takes_part() {
    for (text, quoted) in [("SELECT email FROM people WHERE id = 1", false), ("SELECT 1/0", true)] {
        let mut session = Session::new(true);
        session.client(&query(text), 1024);
        let told = session.upstream(&error("22012", "division by zero near a@b.c"), 1024);
        assert_eq!(String::from_utf8_lossy(&told).contains("a@b.c"), quoted, "{text}");
    }
}

#[test]
fn an_unknown_portal_is_never_forwarded() {
    let mut session = Session::new(true);
    let mut sent = Vec::new();
    encode::execute(&mut sent, b"nowhere", 0).unwrap();
    assert_eq!(session.client(&sent, 1024), b"");
    assert_eq!(shape(&session.told()), ("E".into(), vec!["34000".into()]));
}

#[test]
fn a_copy_in_ends_where_the_server_says() {
    let mut session = Session::new(true);
    let mut data = Vec::new();
    data.extend_from_slice(b"d\0\0\0\x0a1\tx\n\\.");
    data.extend_from_slice(b"c\0\0\0\x04");
    let copy_in = b"G\0\0\0\x0b\0\0\x02\0\0\0\0";
    let sent = query("COPY people FROM STDIN");
    // Whether the data comes before or after the server has asked for it.
    for early in [false, true] {
        let first = if early { [sent.clone(), data.clone()].concat() } else { sent.clone() };
        assert_eq!(session.client(&first, 1024), first);
        assert_eq!(session.upstream(copy_in, 1024), copy_in);
        if !early {
            assert_eq!(session.client(&data, 1024), data);
        }
        session.upstream(&[done("COPY 1"), ready(TransactionStatus::Idle)].concat(), 1024);
        assert!(session.machine.is_idle(), "early: {early}");
    }
    // What comes when the copy is over is ignored, as the server would.
    let mut stray = Vec::new();
    encode::copy_fail(&mut stray, "nothing to copy").unwrap();
    encode::sync(&mut stray);
    assert_eq!(session.client(&stray, 1024), b"");
    assert_eq!(shape(&session.told()).0, "Z");
}
