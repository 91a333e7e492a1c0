//! Whole conversations with the machine, without a socket: bytes of a client and of a server in, bytes for both out.

use std::sync::Arc;

use hallpass_policy::{
    catalog::{Catalog, Column, QualifiedName, Relation, RelationKind},
    decide::Fence,
    statement::{
        Dialect,
        mysql::{Flavour, MysqlNames, SqlMode},
    },
};

use super::{Login, Machine};
use crate::{
    session::{
        gate::Gate,
        machine::{Machine as _, Stop},
        testing,
    },
    wire::mysql::{
        backend::{ErrPacket, Status},
        capability::Capabilities,
        codec::{self, Order, Sequence},
        encode,
        frontend::command,
        reader::{Reply, Request, ResultReader, RowFormat, Then},
        resultset::{self, Kind, OwnColumn, OwnValue},
    },
};

const CONFIG: &str = r#"
[databases.shop]
protocol = "mysql"
host = "127.0.0.1"
database = "shop"
user = "owner"
[roles.reader]
allow = ["select"]
max_rows = 2
[[masks]]
columns = ["shop/shop.people.email"]
with = "full"
"#;

const HELD: Capabilities = Capabilities(Capabilities::PROTOCOL_41.0 | Capabilities::DEPRECATE_EOF.0);

/// One session: its machine and its gate.
struct Session {
    machine: Machine,
    gate: Gate,
    _folder: tempfile::TempDir,
}

impl Session {
    /// A connected session of alice behind its fence, who holds the role reader if `granted`.
    fn new(granted: bool) -> Self {
        let (gate, folder) = testing::gate(CONFIG, catalog(), names(), granted);
        let login = Login {
            capabilities: HELD,
            collation: 45,
            database: Some("shop".into()),
            attributes: Vec::new(),
            connection: 7,
            order: Order::Checked,
        };
        let mut machine = Machine::new(Arc::new(login));
        machine.connected = true;
        machine.fence = Some(Fence { read_only: true, upstream_role: None });
        Self { machine, gate, _folder: folder }
    }

    /// The client sends `bytes`, in pieces of `piece` bytes; hands back what the upstream gets of it. What the proxy
    /// asks about the table by itself, waiting or not, is answered: it is no view.
    fn client(&mut self, bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut waiting, mut sent) = (Vec::new(), Vec::new());
        let question = query("SHOW CREATE VIEW `shop`.`people`");
        for part in bytes.chunks(piece) {
            waiting.extend_from_slice(part);
            loop {
                let (taken, stop) = self.machine.client(&mut self.gate, &waiting).unwrap();
                assert!(matches!(stop, Stop::NeedMore | Stop::Hold));
                waiting.drain(..taken);
                let out = std::mem::take(self.machine.to_upstream());
                let Some(behind) = out.strip_prefix(question.as_slice()) else {
                    sent.extend_from_slice(&out);
                    break;
                };
                sent.extend_from_slice(behind);
                assert!(self.upstream(&no_view(), 10_000).is_empty());
            }
        }
        assert!(waiting.is_empty());
        sent
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
        self.told()
    }

    fn told(&mut self) -> Vec<u8> {
        std::mem::take(self.machine.to_client())
    }
}

/// What a server says of a table that is asked for its definition as a view.
fn no_view() -> Vec<u8> {
    let mut out = Vec::new();
    encode::err(&mut out, &mut Sequence::at(1, Order::Checked), 1347, *b"HY000", b"'shop.people' is not VIEW");
    out
}

fn names() -> Dialect {
    let database = Some("shop".into());
    Dialect::Mysql(MysqlNames { database, sql_mode: SqlMode::default(), flavour: Flavour::MySql })
}

fn catalog() -> Catalog {
    let column =
        |(name, number): (&str, i16)| Column { name: name.into(), number, type_oid: 0, local: true, generated: None };
    let mut catalog = Catalog { schemas: vec!["shop".into()], ..Catalog::default() };
    catalog.add_relation(Relation {
        oid: 0,
        name: QualifiedName::new("shop", "people"),
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
    encode::query(&mut out, &mut Sequence::start(Order::Checked), text.as_bytes(), HELD);
    out
}

/// A result as a server sends it, one text column `name`.
fn result(name: &str, values: &[&str]) -> Vec<u8> {
    let (mut out, mut sequence) = (Vec::new(), Sequence::at(1, Order::Checked));
    let column = OwnColumn { schema: "shop", table: "people", name, kind: Kind::Text };
    resultset::begin(&mut out, &mut sequence, &[column], Status::AUTOCOMMIT, HELD);
    for value in values {
        resultset::row(&mut out, &mut sequence, &[OwnValue::Text(value)], RowFormat::Text);
    }
    encode::end(&mut out, &mut sequence, Status::AUTOCOMMIT, 0, HELD);
    out
}

/// Reads an answer as a client does, sequence ids checked: the rows' payloads, and the number of the error at its end.
fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<u16>) {
    let (mut reader, mut sequence) = (ResultReader::new(Request::Query, HELD), Sequence::at(1, Order::Checked));
    let (mut rows, mut error, mut rest) = (Vec::new(), None, bytes);
    while let Some(message) = codec::message(rest, &mut sequence, codec::MAX_MESSAGE).unwrap() {
        let (reply, then) = reader.read(&message.payload).unwrap();
        match reply {
            Reply::Row(_) => rows.push(message.payload.to_vec()),
            Reply::Err(found) => error = Some(found.code),
            _ => {}
        }
        rest = &rest[message.raw.len()..];
        assert_eq!(rest.is_empty(), then == Then::Done);
    }
    (rows, error)
}

#[test]
fn a_denied_statement_reaches_nobody_and_the_session_goes_on() {
    let mut session = Session::new(false);
    assert!(session.client(&query("SELECT email FROM people"), 3).is_empty());
    let told = session.told();
    assert_eq!(read(&told), (Vec::new(), Some(1142)));
    let error = ErrPacket::decode(&told[4..]).unwrap();
    let message = String::from_utf8_lossy(error.message);
    assert!(message.starts_with("no grant allows SELECT on shop.people"), "{message}");
    let harmless = query("SELECT 1");
    assert_eq!(session.client(&harmless, 100), harmless);
}

#[test]
fn any_split_of_the_bytes_gives_the_same() {
    let answer = result("email", &["ann@example.test", "bob@example.test"]);
    let mut seen = None;
    for piece in [1, 2, 5, 64, 10_000] {
        let mut session = Session::new(true);
        let text = query("SELECT email FROM people");
        assert_eq!(session.client(&text, piece), text);
        let told = session.upstream(&answer, piece);
        assert!(!told.windows(4).any(|window| window == b"ann@"));
        assert_eq!(read(&told).0.len(), 2);
        assert_eq!(*seen.get_or_insert_with(|| told.clone()), told);
    }
}

#[test]
fn rows_without_masks_go_through_byte_for_byte() {
    let answer = result("id", &["7", "8"]);
    for piece in [1, 7, 10_000] {
        let mut session = Session::new(true);
        session.client(&query("SELECT id FROM people"), 100);
        assert_eq!(session.upstream(&answer, piece), answer);
    }
}

#[test]
fn one_row_too_many_ends_the_result_with_an_error_in_sequence() {
    let mut session = Session::new(true);
    session.client(&query("SELECT id FROM people"), 100);
    let told = session.upstream(&result("id", &["1", "2", "3", "4"]), 10_000);
    let (rows, error) = read(&told);
    assert_eq!((rows.len(), error), (2, Some(1104)));
    let next = query("SELECT 1");
    assert_eq!(session.client(&next, 100), next, "the session lives on");
}

#[test]
fn a_result_of_other_columns_shows_nothing() {
    let mut session = Session::new(true);
    session.client(&query("SELECT id, email FROM people"), 100);
    let told = session.upstream(&result("email", &["ann@example.test"]), 10_000);
    let (rows, error) = read(&told);
    assert!(rows.is_empty() && error.is_some());
}

#[test]
fn the_next_command_waits_for_the_answer() {
    let mut session = Session::new(true);
    let (first, second) = (query("SELECT id FROM people"), query("SELECT 2"));
    let both = [first.as_slice(), &second].concat();
    session.client(&first, 100);
    session.upstream(&result("id", &["7"]), 100);
    let (taken, stop) = session.machine.client(&mut session.gate, &both).unwrap();
    assert_eq!((taken, stop), (first.len(), Stop::Hold));
    let sent = std::mem::take(session.machine.to_upstream());
    assert_eq!(sent, [query("SHOW CREATE VIEW `shop`.`people`"), first].concat(), "in one write");
}

#[test]
fn of_a_view_in_a_tables_place_nothing_is_shown() {
    let mut session = Session::new(true);
    let text = query("SELECT id FROM people");
    session.client(&text, 100);
    session.upstream(&result("id", &["7"]), 100);
    let (taken, _) = session.machine.client(&mut session.gate, &text).unwrap();
    assert_eq!(taken, text.len());
    for piece in [result("View", &["people"]), result("id", &["ann@example.test"])] {
        let told = session.upstream(&piece, 10_000);
        let (rows, error) = if told.is_empty() { Default::default() } else { read(&told) };
        assert!(rows.is_empty());
        assert!(error.is_none() || error == Some(1227), "{error:?}");
        assert_eq!(error.is_some(), session.machine.pending.is_none(), "told once both answers are in");
    }
    assert!(session.gate.target().is_changed());
}

#[test]
fn what_does_more_than_read_waits_for_what_its_table_is() {
    let mut session = Session::new(true);
    session.client(&query("SELECT id FROM people"), 100);
    session.upstream(&result("id", &["7"]), 100);
    let text = query("SELECT @last := id FROM people");
    let (taken, stop) = session.machine.client(&mut session.gate, &text).unwrap();
    assert_eq!((taken, stop), (0, Stop::Hold));
    assert_eq!(std::mem::take(session.machine.to_upstream()), query("SHOW CREATE VIEW `shop`.`people`"));
}

#[test]
fn commands_that_hold_no_statement_are_refused() {
    let mut session = Session::new(true);
    for number in [command::REFRESH, command::SHUTDOWN, command::BINLOG_DUMP, command::CLONE, 99] {
        assert!(session.client(&[1, 0, 0, 0, number], 100).is_empty());
        assert_eq!(read(&session.told()).1, Some(1235), "{number}");
    }
    let (out, goodbye) = session.machine.client(&mut session.gate, &[1, 0, 0, 0, command::QUIT]).unwrap();
    assert_eq!((out, goodbye), (0, Stop::Goodbye));
}

#[test]
fn a_packet_out_of_order_ends_the_session() {
    let mut session = Session::new(true);
    let mut wrong = query("SELECT 1");
    wrong[3] = 1;
    assert!(session.machine.client(&mut session.gate, &wrong).is_err());
}

#[test]
fn an_upstream_that_speaks_unasked_is_not_heard() {
    let mut session = Session::new(true);
    let mut out = Vec::new();
    encode::err(&mut out, &mut Sequence::start(Order::Checked), 1053, *b"08S01", b"shutdown: secret host");
    assert!(session.machine.upstream(&mut session.gate, &out).is_err());
    assert!(session.told().is_empty());
}
