//! What a server answers, read by tests: just enough decoding to compare answers. Malformed ones panic, they are a finding.

use super::{
    flags::{EXTENDED_METADATA, PROTOCOL_41, SESSION_TRACK},
    packet::{Reader, text},
};

/// One column of a result, or one parameter of a prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The database it comes from, as the server says.
    pub schema: String,
    /// The table's alias.
    pub table: String,
    /// The table.
    pub org_table: String,
    /// Its name in the result.
    pub name: String,
    /// Its own name.
    pub org_name: String,
    /// Collation.
    pub charset: u16,
    /// Longest value.
    pub length: u32,
    /// Type.
    pub kind: u8,
    /// Flags.
    pub flags: u16,
    /// Digits behind the point.
    pub decimals: u8,
}

impl Column {
    /// ColumnDefinition41.
    pub fn read(payload: &[u8], capabilities: u64) -> Self {
        let mut reader = Reader(payload);
        // `def`, in the character set of results, as all names.
        reader.bytes();
        let [schema, table, org_table, name, org_name] = std::array::from_fn(|_| reader.text());
        if capabilities & EXTENDED_METADATA != 0 {
            reader.bytes();
        }
        assert_eq!(reader.lenenc(), 12, "the fixed part of a column definition");
        let charset = reader.short();
        let length = u32::try_from(reader.int(4)).expect("four bytes");
        let kind = reader.take(1)[0];
        let flags = reader.short();
        let decimals = reader.take(1)[0];
        Self { schema, table, org_table, name, org_name, charset, length, kind, flags, decimals }
    }
}

/// An ERR packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// Error number.
    pub code: u16,
    /// SQLSTATE.
    pub state: String,
    /// Message.
    pub message: String,
}

impl Fault {
    /// ERR_Packet, with or without SQLSTATE.
    pub fn read(payload: &[u8]) -> Self {
        let mut reader = Reader(&payload[1..]);
        let code = reader.short();
        let state = match reader.0.split_first() {
            Some((b'#', _)) => text(&reader.take(6)[1..]),
            _ => String::new(),
        };
        Self { code, state, message: text(reader.rest()) }
    }
}

/// An OK packet, or the EOF packet in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Rows that were changed.
    pub affected: u64,
    /// LAST_INSERT_ID.
    pub insert_id: u64,
    /// Status flags.
    pub status: u16,
    /// How many warnings.
    pub warnings: u16,
    /// Words for people.
    pub info: String,
    /// Session state changes, as they came.
    pub changes: Vec<u8>,
}

impl Done {
    /// OK_Packet.
    pub fn read(payload: &[u8], capabilities: u64) -> Self {
        let mut reader = Reader(&payload[1..]);
        let (affected, insert_id) = (reader.lenenc(), reader.lenenc());
        assert!(capabilities & PROTOCOL_41 != 0, "the 4.0 protocol is not spoken here");
        let (status, warnings) = (reader.short(), reader.short());
        let mut done = Self { affected, insert_id, status, warnings, ..Self::default() };
        if capabilities & SESSION_TRACK == 0 {
            done.info = text(reader.rest());
        } else if !reader.0.is_empty() {
            done.info = reader.text();
            done.changes = reader.rest().to_vec();
        }
        done
    }

    /// EOF_Packet.
    pub fn read_eof(payload: &[u8]) -> Self {
        let mut reader = Reader(&payload[1..]);
        let (warnings, status) = (reader.short(), reader.short());
        Self { status, warnings, ..Self::default() }
    }
}

/// Everything up to the end of a command's answer, sorted.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Columns of the last result.
    pub columns: Vec<Column>,
    /// All rows of all results, values as text (bytes lossily).
    pub rows: Vec<Vec<Option<String>>>,
    /// The ends of results, in order.
    pub done: Vec<Done>,
    /// ERR packets: at most one.
    pub errors: Vec<Fault>,
    /// Files asked for by LOAD DATA LOCAL.
    pub files: Vec<String>,
    /// Kinds of all packets in order: `T` columns are coming, `t` a column, `D` a row, `F` an end of rows or columns, `O` OK,
    /// `E` ERR, `L` a file is asked for.
    pub shape: String,
    /// The connection closed before the answer was whole.
    pub closed: bool,
}

impl Reply {
    /// The first row's first value; panics when there is none.
    #[track_caller]
    pub fn value(&self) -> String {
        let first = self.rows.first().and_then(|row| row.first()).cloned().flatten();
        first.unwrap_or_else(|| panic!("no value: {self:?}"))
    }

    /// Rows, columns joined by a bar, NULL as nothing.
    pub fn lines(&self) -> Vec<String> {
        self.rows.iter().map(|row| crate::wire::joined(row)).collect()
    }

    /// The only error; panics when there is none.
    #[track_caller]
    pub fn error(&self) -> &Fault {
        assert_eq!(self.errors.len(), 1, "one error is expected: {self:?}");
        &self.errors[0]
    }

    /// Itself when there was no error.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.errors.is_empty() && !self.closed, "should have worked: {self:?}");
        self
    }

    /// Status flags of the last end.
    pub fn status(&self) -> u16 {
        self.done.last().map_or(0, |done| done.status)
    }

    /// Changed rows of all statements.
    pub fn affected(&self) -> Vec<u64> {
        self.done.iter().map(|done| done.affected).collect()
    }
}
