//! The hash chain over `events`: which bytes of a row are hashed. No IO.
//!
//! `hash` = SHA-256(`prev_hash` ‖ row), where `prev_hash` is the `hash` of the row before (32 zero bytes for the first)
//! and `row` is the encoding of every column of `events` but `prev_hash` and `hash`, in the table's order
//! ([`COLUMNS`]). One column is
//!
//! * NULL: the byte `N`;
//! * an integer: the byte `I`, then eight bytes, big-endian two's complement;
//! * a text: the byte `T`, its length in bytes as eight bytes, big-endian, then its UTF-8 bytes.
//!
//! `examples/audit/verify.py` recomputes it with nothing but Python's standard library.

use sha2::{Digest, Sha256};

/// What is hashed of each row, in this order: all columns of `events` but for the hashes themselves.
pub const COLUMNS: [&str; 23] = [
    "seq",
    "at",
    "kind",
    "session",
    "user",
    "target",
    "protocol",
    "listener",
    "client",
    "application",
    "grant_id",
    "request_id",
    "statement",
    "fingerprint",
    "parameters",
    "decision",
    "reason",
    "attempt_seq",
    "rows",
    "bytes",
    "masked_columns",
    "duration_us",
    "error_code",
];

/// A row's hash.
pub(crate) type Hash = [u8; 32];

/// What the first row follows.
pub(crate) const GENESIS: Hash = [0; 32];

/// One column of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Null,
    Integer(i64),
    /// UTF-8, unless somebody tampered with it.
    Text(&'a [u8]),
}

impl<'a> From<Option<&'a str>> for Cell<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.as_bytes()))
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Null, Self::Integer)
    }
}

impl From<Option<u64>> for Cell<'_> {
    /// SQLite's integers end at 2⁶³ − 1; no count of rows or bytes gets there.
    fn from(number: Option<u64>) -> Self {
        number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)).into()
    }
}

/// A row without its hashes, in the order of [`COLUMNS`].
pub(crate) type Row<'a> = [Cell<'a>; COLUMNS.len()];

/// Hashes rows, reusing its buffer.
#[derive(Debug, Default)]
pub(crate) struct Hasher {
    buffer: Vec<u8>,
}

impl Hasher {
    /// The hash of `row`, which follows the row with the hash `previous`.
    pub(crate) fn hash(&mut self, previous: &Hash, row: &Row<'_>) -> Hash {
        let out = &mut self.buffer;
        out.clear();
        out.extend_from_slice(previous);
        for cell in row {
            match cell {
                Cell::Null => out.push(b'N'),
                Cell::Integer(number) => {
                    out.push(b'I');
                    out.extend_from_slice(&number.to_be_bytes());
                }
                Cell::Text(text) => {
                    out.push(b'T');
                    out.extend_from_slice(&(text.len() as u64).to_be_bytes());
                    out.extend_from_slice(text);
                }
            }
        }
        let hash = Sha256::digest(&*out).into();
        // One huge statement must not keep its memory for ever.
        if out.capacity() > 1 << 20 {
            *out = Vec::new();
        }
        hash
    }
}
