//! Results the proxy makes itself, in text and in binary: the `hallpass` schema's views, warnings of ours. Columns are
//! text or whole numbers; nothing here knows what they mean.

use jiff::civil::DateTime;

use super::{
    backend::Status,
    body::{NULL, put_int, put_string},
    capability::{Capabilities, Flavour},
    codec::{Sequence, put_message},
    encode,
    reader::RowFormat,
    value::Type,
};

/// What a column of ours holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// utf8mb4 text.
    Text,
    /// A signed number of 64 bits.
    Integer,
    /// DATETIME(6), in UTC.
    Moment,
    /// TINYINT(1).
    Boolean,
}

/// A column of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnColumn<'a> {
    /// The schema it seems to be in; empty: none.
    pub schema: &'a str,
    /// The view.
    pub table: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it holds.
    pub kind: Kind,
}

/// A value of ours. Its column's kind is the caller's promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnValue<'a> {
    /// NULL.
    Null,
    /// For a text column.
    Text(&'a str),
    /// For a BIGINT column.
    Integer(i64),
    /// For a DATETIME column: microseconds since 1970.
    Moment(i64),
    /// For a TINYINT column.
    Boolean(bool),
    /// For an INT column, as the servers' own `Code` of SHOW WARNINGS.
    Short(i32),
}

/// Appends a column's definition.
pub fn definition(out: &mut Vec<u8>, sequence: &mut Sequence, column: OwnColumn<'_>, held: Capabilities) {
    let mut payload = Vec::with_capacity(64);
    put_string(&mut payload, b"def");
    for text in [column.schema, column.table, column.table, column.name, column.name] {
        put_string(&mut payload, text.as_bytes());
    }
    if held.flavour() == Flavour::MariaDb && held.has(Capabilities::EXTENDED_METADATA) {
        put_string(&mut payload, b"");
    }
    put_int(&mut payload, 12);
    // utf8mb4_general_ci and binary; lengths in bytes as the servers give them: 256 characters, 20 digits.
    let (collation, length, kind, flags, decimals) = match column.kind {
        Kind::Text => (45_u16, 1024_u32, Type::VAR_STRING, 0_u16, 0_u8),
        Kind::Integer => (63, 20, Type::LONGLONG, 128, 0),
        Kind::Moment => (63, 26, Type::DATETIME, 128, 6),
        Kind::Boolean => (63, 1, Type::TINY, 128, 0),
    };
    payload.extend_from_slice(&collation.to_le_bytes());
    payload.extend_from_slice(&length.to_le_bytes());
    payload.push(kind.0);
    payload.extend_from_slice(&flags.to_le_bytes());
    payload.extend_from_slice(&[decimals, 0, 0]);
    put_message(out, sequence, &payload);
}

/// Appends what begins a result: the count of columns and their definitions.
pub fn begin(
    out: &mut Vec<u8>,
    sequence: &mut Sequence,
    columns: &[OwnColumn<'_>],
    status: Status,
    held: Capabilities,
) {
    let mut payload = Vec::new();
    put_int(&mut payload, columns.len() as u64);
    if held.has(Capabilities::OPTIONAL_RESULTSET_METADATA) || held.has(Capabilities::CACHE_METADATA) {
        payload.push(1);
    }
    put_message(out, sequence, &payload);
    for column in columns {
        definition(out, sequence, *column, held);
    }
    encode::definitions_end(out, sequence, status, held);
}

/// Appends a row.
pub fn row(out: &mut Vec<u8>, sequence: &mut Sequence, values: &[OwnValue<'_>], format: RowFormat) {
    let mut payload = Vec::with_capacity(64);
    match format {
        RowFormat::Text => {
            for value in values {
                match value {
                    OwnValue::Null => payload.push(NULL),
                    OwnValue::Text(text) => put_string(&mut payload, text.as_bytes()),
                    OwnValue::Integer(number) => put_string(&mut payload, number.to_string().as_bytes()),
                    OwnValue::Moment(at) => {
                        let text = moment(*at).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
                        put_string(&mut payload, text.as_bytes());
                    }
                    OwnValue::Boolean(yes) => put_string(&mut payload, if *yes { b"1" } else { b"0" }),
                    OwnValue::Short(number) => put_string(&mut payload, number.to_string().as_bytes()),
                }
            }
        }
        RowFormat::Binary => {
            payload.resize(1 + (values.len() + 2).div_ceil(8), 0);
            for (index, value) in values.iter().enumerate() {
                match value {
                    OwnValue::Null => {
                        if let Some(byte) = payload.get_mut(1 + (index + 2) / 8) {
                            *byte |= 1 << ((index + 2) % 8);
                        }
                    }
                    OwnValue::Text(text) => put_string(&mut payload, text.as_bytes()),
                    OwnValue::Integer(number) => payload.extend_from_slice(&number.to_le_bytes()),
                    OwnValue::Moment(at) => put_moment(&mut payload, moment(*at)),
                    OwnValue::Boolean(yes) => payload.push(u8::from(*yes)),
                    OwnValue::Short(number) => payload.extend_from_slice(&number.to_le_bytes()),
                }
            }
        }
    }
    put_message(out, sequence, &payload);
}

fn moment(microseconds: i64) -> DateTime {
    let at = jiff::Timestamp::from_microsecond(microseconds).unwrap_or_default();
    at.to_zoned(jiff::tz::TimeZone::UTC).datetime()
}

/// Length, year, month, day, hour, minute, second, microseconds.
fn put_moment(payload: &mut Vec<u8>, at: DateTime) {
    payload.push(11);
    payload.extend_from_slice(&at.year().to_le_bytes());
    for part in [at.month(), at.day(), at.hour(), at.minute(), at.second()] {
        payload.extend_from_slice(&part.to_le_bytes());
    }
    payload.extend_from_slice(&(at.subsec_nanosecond() / 1000).to_le_bytes());
}

/// A warning for SHOW WARNINGS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning<'a> {
    /// `Note`, `Warning` or `Error`.
    pub level: &'a str,
    /// Its number; 1105 for those of ours.
    pub code: u16,
    /// What it says.
    pub message: &'a str,
}

/// Appends the whole answer to SHOW WARNINGS.
pub fn warnings(
    out: &mut Vec<u8>,
    sequence: &mut Sequence,
    warnings: &[Warning<'_>],
    status: Status,
    held: Capabilities,
) {
    let column = |name, kind| OwnColumn { schema: "", table: "", name, kind };
    let columns = [column("Level", Kind::Text), column("Code", Kind::Integer), column("Message", Kind::Text)];
    begin(out, sequence, &columns, status, held);
    for warning in warnings {
        let values = [
            OwnValue::Text(warning.level),
            OwnValue::Integer(i64::from(warning.code)),
            OwnValue::Text(warning.message),
        ];
        row(out, sequence, &values, RowFormat::Text);
    }
    encode::end(out, sequence, status, 0, held);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mysql::{
        codec::{self, MAX_MESSAGE, Order},
        reader::{Reply, Request, ResultReader, Then},
    };

    /// Reads an answer of ours as a client does: what each packet is, and the rows' payloads.
    fn read(out: &[u8], request: Request, held: Capabilities) -> (usize, Vec<Vec<u8>>) {
        let (mut rest, mut rows, mut names) = (out, Vec::new(), 0);
        let mut sequence = Sequence::at(1, Order::Checked);
        let mut reader = ResultReader::new(request, held);
        while let Some(message) = codec::message(rest, &mut sequence, MAX_MESSAGE).unwrap() {
            match reader.read(&message.payload).unwrap() {
                (Reply::Row(_), _) => rows.push(message.payload.to_vec()),
                (Reply::Column { .. }, _) => names += 1,
                (_, then) => assert_eq!(then == Then::Done, message.raw.len() == rest.len()),
            }
            rest = &rest[message.raw.len()..];
        }
        assert!(rest.is_empty() && reader.is_done());
        (names, rows)
    }

    const FLAVOURS: [Capabilities; 4] = [
        Capabilities::NONE,
        Capabilities::DEPRECATE_EOF,
        Capabilities(
            Capabilities::DEPRECATE_EOF.0 | Capabilities::CACHE_METADATA.0 | Capabilities::EXTENDED_METADATA.0,
        ),
        Capabilities(Capabilities::CLIENT_MYSQL.0 | Capabilities::OPTIONAL_RESULTSET_METADATA.0),
    ];

    #[test]
    fn warnings_are_a_result() {
        for held in FLAVOURS {
            let (mut out, mut sequence) = (Vec::new(), Sequence::at(1, Order::Checked));
            let warning = Warning { level: "Warning", code: 1105, message: "grant 3 ends in 5 minutes" };
            warnings(&mut out, &mut sequence, &[warning], Status::AUTOCOMMIT, held);
            let (names, rows) = read(&out, Request::Query, held);
            assert_eq!((names, rows), (3, vec![b"\x07Warning\x041105\x19grant 3 ends in 5 minutes".to_vec()]));
        }
    }

    #[test]
    fn binary_rows_have_a_bitmap() {
        for held in FLAVOURS {
            let (mut out, mut sequence) = (Vec::new(), Sequence::at(1, Order::Checked));
            let column = |name, kind| OwnColumn { schema: "hallpass", table: "grants", name, kind };
            let columns = [column("id", Kind::Integer), column("role", Kind::Text), column("until", Kind::Text)];
            begin(&mut out, &mut sequence, &columns, Status::AUTOCOMMIT, held);
            let values = [OwnValue::Integer(3), OwnValue::Null, OwnValue::Text("soon")];
            row(&mut out, &mut sequence, &values, RowFormat::Binary);
            encode::end(&mut out, &mut sequence, Status::AUTOCOMMIT, 0, held);
            let (names, rows) = read(&out, Request::Execute, held);
            assert_eq!((names, rows), (3, vec![b"\0\x08\x03\0\0\0\0\0\0\0\x04soon".to_vec()]));
        }
    }
}
