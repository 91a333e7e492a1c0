//! What a client's texts are written in: character sets in which every byte of an ASCII character is that character.
//! Reads texts for the gate; what is forwarded are the client's own bytes.

use std::borrow::Cow;

use hallpass_policy::statement::{Refusal, RefusalKind};

/// A character set that the gate can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// utf8mb4, utf8mb3, ascii, binary: read as UTF-8.
    Utf8,
    /// latin1, which is cp1252 with MySQL.
    Latin1,
}

/// What cp1252 has between 0x80 and 0x9f; MySQL keeps the five that are undefined as they are.
const CP1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

impl Charset {
    /// By a collation's number, as handshakes have it; login has refused those that cannot be read.
    pub(super) fn of_collation(collation: u16) -> Self {
        match collation {
            5 | 8 | 15 | 31 | 47 | 48 | 49 | 94 => Self::Latin1,
            _ => Self::Utf8,
        }
    }

    /// By its name; `None` for one that cannot be read.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "latin1" => Some(Self::Latin1),
            "utf8" | "utf8mb3" | "utf8mb4" | "ascii" | "binary" => Some(Self::Utf8),
            _ => None,
        }
    }

    /// `text` as the server reads it.
    ///
    /// # Errors
    /// When it is not what it says.
    pub(super) fn read(self, text: &[u8]) -> Result<Cow<'_, str>, Refusal> {
        match self {
            Self::Utf8 => std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| {
                Refusal::new(RefusalKind::Unparsed, "the statement is not valid UTF-8")
                    .hint("SET NAMES utf8mb4 and send the statement in it; write bytes as X'…'")
            }),
            Self::Latin1 => Ok(match std::str::from_utf8(text) {
                Ok(ascii) if text.is_ascii() => Cow::Borrowed(ascii),
                _ => Cow::Owned(text.iter().map(|byte| latin1(*byte)).collect()),
            }),
        }
    }
}

fn latin1(byte: u8) -> char {
    match byte {
        0x80..=0x9f => CP1252.get(usize::from(byte - 0x80)).copied().unwrap_or(char::from(byte)),
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin1_is_read_as_the_server_reads_it() {
        assert_eq!(Charset::Latin1.read(b"gr\xfc\xdfe \x80").unwrap(), "grüße €");
        assert!(matches!(Charset::Latin1.read(b"SELECT 1").unwrap(), Cow::Borrowed(_)));
        assert!(Charset::Utf8.read(b"\xfc").is_err());
        assert_eq!((Charset::named("UTF8MB4"), Charset::named("gbk")), (Some(Charset::Utf8), None));
    }
}
