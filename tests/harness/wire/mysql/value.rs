//! Values of the binary protocol: results as the text protocol would show them, parameters as bytes. A type that is not
//! listed panics: a test should know what it meets.

use std::fmt::Write as _;

use super::{
    answer::Column,
    packet::{Reader, put_bytes, text},
};

/// Type numbers ("Column types" of the manuals), as far as they are written somewhere here.
pub mod kind {
    /// TINYINT.
    pub const TINY: u8 = 1;
    /// NULL.
    pub const NULL: u8 = 6;
    /// DOUBLE.
    pub const DOUBLE: u8 = 5;
    /// BIGINT.
    pub const LONGLONG: u8 = 8;
    /// BLOB and TEXT.
    pub const BLOB: u8 = 252;
    /// VARCHAR in results, any text in parameters.
    pub const VAR_STRING: u8 = 253;
}

const UNSIGNED: u16 = 0x20;

/// A parameter of COM_STMT_EXECUTE.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// BIGINT.
    Int(i64),
    /// DOUBLE.
    Double(f64),
    /// VAR_STRING.
    Text(String),
    /// BLOB.
    Bytes(Vec<u8>),
    /// Sent before by COM_STMT_SEND_LONG_DATA.
    Long,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl Value {
    /// Its type number.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Null => kind::NULL,
            Self::Int(_) => kind::LONGLONG,
            Self::Double(_) => kind::DOUBLE,
            Self::Text(_) => kind::VAR_STRING,
            Self::Bytes(_) | Self::Long => kind::BLOB,
        }
    }

    /// Appends it.
    pub fn put(&self, into: &mut Vec<u8>) {
        match self {
            Self::Null | Self::Long => {}
            Self::Int(number) => into.extend(number.to_le_bytes()),
            Self::Double(number) => into.extend(number.to_le_bytes()),
            Self::Text(text) => put_bytes(into, text.as_bytes()),
            Self::Bytes(bytes) => put_bytes(into, bytes),
        }
    }
}

/// A row of the binary protocol.
pub fn binary_row(payload: &[u8], columns: &[Column]) -> Vec<Option<String>> {
    let mut reader = Reader(payload);
    assert_eq!(reader.int(1), 0, "a binary row begins with 0: {payload:02x?}");
    let nulls = reader.take((columns.len() + 9) / 8);
    let value = |(at, column): (usize, &Column)| {
        let bit = at + 2;
        (nulls[bit / 8] & 1 << (bit % 8) == 0).then(|| binary_value(&mut reader, column))
    };
    let row = columns.iter().enumerate().map(value).collect();
    assert!(reader.0.is_empty(), "bytes behind the row: {:02x?}", reader.0);
    row
}

fn binary_value(reader: &mut Reader<'_>, column: &Column) -> String {
    let mut int = |count: usize| {
        let value = reader.int(count);
        let shift = 64 - 8 * u32::try_from(count).expect("at most 8");
        if column.flags & UNSIGNED != 0 { value.to_string() } else { ((value << shift) as i64 >> shift).to_string() }
    };
    match column.kind {
        1 => int(1),
        2 | 13 => int(2),
        3 | 9 => int(4),
        8 => int(8),
        4 => f32::from_le_bytes(reader.take(4).try_into().expect("four bytes")).to_string(),
        5 => f64::from_le_bytes(reader.take(8).try_into().expect("eight bytes")).to_string(),
        7 | 10 | 12 => moment(reader, column),
        11 => time(reader),
        0 | 15 | 16 | 242 | 245..=255 => text(reader.bytes()),
        other => panic!("a binary value of type {other} is not expected"),
    }
}

fn moment(reader: &mut Reader<'_>, column: &Column) -> String {
    let mut body = Reader(reader.bytes());
    let mut next = |count: usize| if body.0.is_empty() { 0 } else { body.int(count) };
    let [year, month, day] = [next(2), next(1), next(1)];
    let date = format!("{year:04}-{month:02}-{day:02}");
    if column.kind == 10 {
        return date;
    }
    let [hour, minute, second, micros] = [next(1), next(1), next(1), next(4)];
    format!("{date} {hour:02}:{minute:02}:{second:02}{}", fraction(micros, column.decimals))
}

fn time(reader: &mut Reader<'_>) -> String {
    let mut body = Reader(reader.bytes());
    let mut next = |count: usize| if body.0.is_empty() { 0 } else { body.int(count) };
    let [negative, days, hours, minutes, seconds, micros] = [next(1), next(4), next(1), next(1), next(1), next(4)];
    let sign = if negative == 1 { "-" } else { "" };
    let mut text = format!("{sign}{:02}:{minutes:02}:{seconds:02}", days * 24 + hours);
    if micros > 0 {
        let _ = write!(text, ".{micros:06}");
    }
    text
}

fn fraction(micros: u64, decimals: u8) -> String {
    match usize::from(decimals.min(6)) {
        0 => String::new(),
        digits => format!(".{}", &format!("{micros:06}")[..digits]),
    }
}
