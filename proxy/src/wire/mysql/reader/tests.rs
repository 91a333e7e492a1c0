//! Whole answers of real servers go through the reader, packet by packet.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::wire::mysql::codec::{self, MAX_MESSAGE, Order, Sequence};

/// The lines of `captured.txt`: name and bytes.
fn captured() -> Vec<(&'static str, Vec<u8>)> {
    let lines = include_str!("captured.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap()).map(|(name, text)| (name, unescape(text))).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next().unwrap() {
            b'0' => out.push(0),
            b'x' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => out.push(other),
        }
    }
    out
}

fn held(name: &str) -> Capabilities {
    let mut held = Capabilities::NONE;
    for (part, flags) in [
        ("dep", Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK),
        ("opt", Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK | Capabilities::OPTIONAL_RESULTSET_METADATA),
        ("cache", Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK),
        ("cache", Capabilities::CACHE_METADATA | Capabilities::EXTENDED_METADATA),
    ] {
        if name.contains(part) {
            held = held | flags;
        }
    }
    if name.contains("eof") {
        held = held - (Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK);
    }
    held.with(Capabilities::CLIENT_MYSQL, name.starts_with("my"))
}

/// What the packets of an answer must be: `2` a result of two columns (`2-` without definitions), `c` a column, `p` a
/// parameter, `r` a row, `.` the end of rows, `|` the EOF behind definitions where there are EOFs.
const EXPECTED: [(&str, Request, &str); 24] = [
    ("use", Request::Simple, "ok"),
    ("select", Request::Query, "2 c c | r r r ."),
    ("call", Request::Query, "1 c | r . 1 c | r . ok"),
    ("multi", Request::Query, "ok 1 c | r ."),
    ("error", Request::Query, "err"),
    ("prepare", Request::Prepare, "P p | c c |"),
    ("execute", Request::Execute, "2 c c | r r r ."),
    ("execute2", Request::Execute, "2 c c | r r r ."),
    ("cursor", Request::Execute, "2 c c ."),
    ("fetch2", Request::Fetch, "r r ."),
    ("fetch9", Request::Fetch, "r ."),
    ("reset", Request::Simple, "ok"),
    ("prepare_do", Request::Prepare, "P"),
    ("field_list", Request::FieldList, "c c ."),
    ("set_option", Request::Simple, "."),
    ("statistics", Request::Statistics, "text"),
    ("ping", Request::Simple, "ok"),
    ("setvar", Request::Query, "ok"),
    ("reset_conn", Request::Simple, "ok"),
    ("nometa", Request::Query, "2- | r r r ."),
    ("nometa_prepare", Request::Prepare, "P | |"),
    // MariaDB leaves out what the client has from Prepare.
    ("cached execute", Request::Execute, "2- | r r r ."),
    ("infile", Request::Query, "file"),
    ("infile_end", Request::Query, "ok"),
];

fn word(reply: &Reply<'_>) -> String {
    match reply {
        Reply::Ok(_) => "ok".into(),
        Reply::Err(_) => "err".into(),
        Reply::LocalInfile(name) => {
            assert_eq!(*name, b"/no");
            "file".into()
        }
        Reply::Columns { count, metadata: Metadata::Follows } => count.to_string(),
        Reply::Columns { count, metadata: Metadata::Omitted } => format!("{count}-"),
        Reply::Prepared(prepared) => {
            assert!(prepared.statement > 0);
            "P".into()
        }
        Reply::Parameter { .. } => "p".into(),
        Reply::Column { index, definition } => {
            let name: &[u8] = if *index == 1 { b"email" } else { definition.name };
            assert_eq!(definition.name, name);
            "c".into()
        }
        Reply::DefinitionsEnd(_) => "|".into(),
        Reply::Row(_) => "r".into(),
        Reply::End { .. } => ".".into(),
        Reply::Text(_) => "text".into(),
    }
}

#[test]
fn every_packet_of_real_answers_is_known() {
    let mut files = 0;
    for (name, bytes) in captured() {
        let (set, kind) = name.split_once('.').unwrap();
        let held = held(set);
        let key = match kind {
            "execute" | "execute2" if set.contains("cache") => "cached execute",
            other => other,
        };
        let (_, request, expected) = EXPECTED.iter().find(|(known, ..)| *known == key).unwrap();
        let mut reader = ResultReader::new(*request, held);
        if kind == "infile_end" {
            reader.read(b"\xfb/no").unwrap();
            files += 1;
        }
        let (mut rest, mut words, mut last) = (bytes.as_slice(), Vec::new(), Then::More);
        while !rest.is_empty() {
            let mut any = Sequence::start(Order::Loose);
            let message = codec::message(rest, &mut any, MAX_MESSAGE).unwrap().unwrap();
            let short = reader.is_row(message.payload[0], message.payload.len());
            let (reply, then) = reader.read(&message.payload).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(short, matches!(reply, Reply::Row(_)), "{name}");
            words.push(word(&reply));
            last = then;
            rest = &rest[message.raw.len()..];
            assert_eq!(then == Then::Done, rest.is_empty() && kind != "infile", "{name}: {words:?}");
        }
        let expected: Vec<_> =
            expected.split(' ').filter(|word| *word != "|" || !held.has(Capabilities::DEPRECATE_EOF)).collect();
        assert_eq!(words, expected, "{name}");
        assert_eq!(last, if kind == "infile" { Then::File } else { Then::Done }, "{name}");
        assert_eq!(reader.is_done(), kind != "infile");
        assert!(kind == "infile" || reader.read(b"\0").is_err());
    }
    assert_eq!(files, 8, "eight sets");
}

#[test]
fn results_follow_each_other_and_an_error_ends_all() {
    let call = captured().into_iter().find(|(name, _)| *name == "maria_dep.call").unwrap().1;
    let mut reader = ResultReader::new(Request::Query, held("maria_dep"));
    let (mut rest, mut thens) = (call.as_slice(), Vec::new());
    while !rest.is_empty() {
        let message = codec::message(rest, &mut Sequence::start(Order::Loose), MAX_MESSAGE).unwrap().unwrap();
        thens.push(reader.read(&message.payload).unwrap().1);
        rest = &rest[message.raw.len()..];
    }
    let next: Vec<_> =
        thens.iter().enumerate().filter(|(_, then)| **then == Then::NextResult).map(|(at, _)| at).collect();
    assert_eq!(next, [3, 7]);

    let mut reader = ResultReader::new(Request::Fetch, held("my_dep"));
    assert!(matches!(reader.read(b"\0\0\x01"), Ok((Reply::Row(RowFormat::Binary), Then::More))));
    let error = reader.read(b"\xff\x25\x05#70100Query execution was interrupted");
    assert!(matches!(error, Ok((Reply::Err(_), Then::Done))));
    assert_eq!(reader.read(b"\0"), Err(ReadError::AfterEnd));
}

#[test]
fn a_huge_row_is_no_end() {
    let reader = ResultReader { request: Request::Query, held: Capabilities::DEPRECATE_EOF, state: State::Rows };
    assert!(reader.is_row(0xfe, MAX_PAYLOAD), "its first value has a length of eight bytes");
    assert!(!reader.is_row(0xfe, 7) && !reader.is_row(0xff, 9) && reader.is_row(0xfb, 1));
}

proptest! {
    #[test]
    fn garbage_never_panics(
        payloads in vec(vec(prop_oneof![4 => 0..4u8, 1 => 0xfbu8..=0xff, 1 => any::<u8>()], 0..30), 0..8),
        flags in any::<u64>(),
        request in prop::sample::select(vec![
            Request::Simple, Request::Query, Request::Prepare, Request::Execute, Request::Fetch, Request::FieldList,
        ]),
    ) {
        let mut reader = ResultReader::new(request, Capabilities(flags));
        for payload in &payloads {
            if reader.read(payload).is_err() {
                prop_assert!(reader.is_done());
            }
        }
    }
}
