//! The character sets a client may write its statements in, by their collations' numbers, and their text as UTF-8: what
//! the gate understands must be what the server reads. A set in which a quote or a backslash can be the second byte of
//! another character (GBK, SJIS, Big5), or in which ASCII is not ASCII (UTF-16), is none of them.
//! Source: `information_schema.COLLATIONS` of MySQL 9 and `COLLATION_CHARACTER_SET_APPLICABILITY` of MariaDB 10.11.

use std::borrow::Cow;

/// A character set that can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    /// UTF-8.
    Utf8mb4,
    /// UTF-8 up to three bytes a character; `utf8` to most clients.
    Utf8mb3,
    /// Windows' code page 1252, as both servers understand the word.
    Latin1,
    /// ASCII.
    Ascii,
    /// Bytes; read as UTF-8 where they are to be understood.
    Binary,
}

impl Charset {
    /// The character set of the collation with this number; `None` for sets that are not followed. 0 is no collation.
    pub fn of(collation: u16) -> Option<Self> {
        Some(match collation {
            63 => Self::Binary,
            11 | 65 | 1035 | 1089 => Self::Ascii,
            5 | 8 | 15 | 31 | 47 | 48 | 49 | 94 | 1032 | 1071 => Self::Latin1,
            // MariaDB's own, its NO PAD variants (1024 more), and its UCA 14.0.0 collations in blocks of 256.
            33 | 76 | 83 | 192..=215 | 223 | 576..=578 | 1057 | 1107 | 1216 | 1238 | 2048..=2303 => Self::Utf8mb3,
            45 | 46 | 224..=247 | 255..=323 | 608..=610 | 1069 | 1070 | 1248 | 1270 | 2304..=2559 => Self::Utf8mb4,
            _ => return None,
        })
    }

    /// The set called `name` by a client, whatever the case.
    pub fn named(name: &str) -> Option<Self> {
        let is = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(name));
        Some(if is(&["utf8mb4"]) {
            Self::Utf8mb4
        } else if is(&["utf8", "utf8mb3"]) {
            Self::Utf8mb3
        } else if is(&["latin1"]) {
            Self::Latin1
        } else if is(&["ascii"]) {
            Self::Ascii
        } else if is(&["binary"]) {
            Self::Binary
        } else {
            return None;
        })
    }

    /// Its name, as in `SET NAMES`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8mb4 => "utf8mb4",
            Self::Utf8mb3 => "utf8mb3",
            Self::Latin1 => "latin1",
            Self::Ascii => "ascii",
            Self::Binary => "binary",
        }
    }

    /// `text` as UTF-8, without a copy where it is that already; `None` when it is no text of this set.
    ///
    /// Drivers and dump tools write bytes as they are, `_binary '…'`. To the server's lexer a byte that is part of no
    /// character is one that means nothing, so that it ends no literal; here it becomes one of [`OPAQUE`].
    pub fn decode(self, text: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            // A character of four bytes would be cut by the server, and the rest of the statement with it.
            Self::Utf8mb3 if text.iter().any(|byte| *byte >= 0xf0) => None,
            Self::Utf8mb4 | Self::Utf8mb3 | Self::Binary => match std::str::from_utf8(text) {
                Ok(text) => Some(Cow::Borrowed(text)),
                Err(_) => with_opaque(text).map(Cow::Owned),
            },
            Self::Ascii if !text.is_ascii() => None,
            Self::Latin1 if !text.is_ascii() => Some(Cow::Owned(text.iter().copied().map(cp1252).collect())),
            Self::Ascii | Self::Latin1 => std::str::from_utf8(text).ok().map(Cow::Borrowed),
        }
    }
}

/// What stands for the bytes 0x80 to 0xff where they are no character: the end of the last plane for private use, which
/// no text has.
const OPAQUE: std::ops::RangeInclusive<char> = '\u{10ff80}'..='\u{10ffff}';

/// `None` when the text itself holds such characters: two texts may not look the same.
fn with_opaque(text: &[u8]) -> Option<String> {
    let mut read = String::with_capacity(text.len() + text.len() / 4);
    for chunk in text.utf8_chunks() {
        if chunk.valid().chars().any(|character| OPAQUE.contains(&character)) {
            return None;
        }
        read.push_str(chunk.valid());
        read.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(0x10_ff00 + u32::from(*byte))));
    }
    Some(read)
}

/// Code page 1252's 0x80 to 0x9f; the five holes in it are control characters, as both servers have it.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn cp1252(byte: u8) -> char {
    let high = byte.checked_sub(0x80).and_then(|at| HIGH.get(usize::from(at)));
    high.copied().unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collations_of_both_servers_are_known() {
        for (collation, set) in [
            (8, Some(Charset::Latin1)),
            (11, Some(Charset::Ascii)),
            (33, Some(Charset::Utf8mb3)),
            (45, Some(Charset::Utf8mb4)),
            (63, Some(Charset::Binary)),
            (255, Some(Charset::Utf8mb4)),
            (2304, Some(Charset::Utf8mb4)),
            // gbk, sjis, big5, ucs2, utf16, utf32, latin2, none.
            (28, None),
            (13, None),
            (1, None),
            (35, None),
            (54, None),
            (60, None),
            (9, None),
            (0, None),
            (2560, None),
        ] {
            assert_eq!(Charset::of(collation), set, "{collation}");
        }
        for set in [Charset::Utf8mb4, Charset::Utf8mb3, Charset::Latin1, Charset::Ascii, Charset::Binary] {
            assert_eq!(Charset::named(&set.name().to_uppercase()), Some(set));
        }
        assert_eq!((Charset::named("utf8"), Charset::named("gbk")), (Some(Charset::Utf8mb3), None));
    }

    #[test]
    fn text_is_read_as_the_server_reads_it() {
        assert_eq!(Charset::Latin1.decode(b"'\x80\x81\xe4\xff'").as_deref(), Some("'€\u{81}äÿ'"));
        assert!(matches!(Charset::Latin1.decode(b"SELECT 1"), Some(Cow::Borrowed("SELECT 1"))));
        assert_eq!(Charset::Utf8mb4.decode("😀".as_bytes()).as_deref(), Some("😀"));
        assert_eq!(Charset::Utf8mb3.decode("😀".as_bytes()), None);
        assert_eq!(Charset::Utf8mb3.decode("ä€".as_bytes()).as_deref(), Some("ä€"));
        assert_eq!(Charset::Ascii.decode("ä".as_bytes()), None);
        let bytes = b"SELECT _binary '\xff\xe2\x82' -- \xc3\xa4";
        for set in [Charset::Utf8mb4, Charset::Binary] {
            let read = set.decode(bytes);
            assert_eq!(read.as_deref(), Some("SELECT _binary '\u{10ffff}\u{10ffe2}\u{10ff82}' -- ä"));
        }
        assert_eq!(Charset::Utf8mb4.decode("\u{10ff80}".as_bytes()).as_deref(), Some("\u{10ff80}"));
        assert_eq!(Charset::Utf8mb4.decode(b"\xf4\x8f\xbe\x80 \xff"), None);
    }
}
