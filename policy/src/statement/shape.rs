//! A text without its plain literals: what texts have in common that differ in numbers and strings alone. Takes apart no
//! more than it takes to find those for certain; a text with anything in it that needs a second look has no shape.
//! Says nothing about what a text means: whether a literal may differ is told by `literal`.
//!
//! Two texts with the same shape fall into the same tokens, literals aside. Proof by going through both at once: outside
//! of literals the bytes are the same; a literal begins in both at the same place of the shape, where the server's lexer
//! is in its initial state; it ends where the server's lexer ends it, for a string takes everything up to the first
//! quote that is not doubled (nor escaped, where backslashes escape), and a number all digits up to a byte that can go
//! on neither a number nor a name; and the byte behind it is the same in both again.

use std::ops::Range;

use super::Dialect;

/// Stands in a key before the class of a literal; in a text it makes it shapeless.
const MARK: u8 = 1;

/// A text's key and its literals. Reused from text to text, so that nothing is allocated.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    key: Vec<u8>,
    literals: Vec<Range<usize>>,
}

/// What stands behind a number, or before a string, and makes it something else.
fn goes_on(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

impl Shape {
    /// Finds the shape of `text` as `dialect` reads it; false when it has none.
    pub fn scan(&mut self, text: &str, dialect: &Dialect) -> bool {
        self.key.clear();
        self.literals.clear();
        let reads = match dialect {
            Dialect::Postgres(_) => Reads { double: Double::Name, escapes: false, hash_comments: false },
            Dialect::Mysql(names) => Reads {
                double: if names.sql_mode.ansi_quotes() { Double::Name } else { Double::Text },
                escapes: !names.sql_mode.no_backslash_escapes(),
                hash_comments: true,
            },
        };
        Scan { bytes: text.as_bytes(), at: 0, copied: 0, reads, shape: self }.run().is_some()
    }

    /// What texts of the same shape have in common: equal keys, equal shapes.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Where the literals stand, in order; strings with their quotes, numbers without a sign.
    pub fn literals(&self) -> &[Range<usize>] {
        &self.literals
    }
}

/// What double quotes are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Double {
    Name,
    Text,
}

/// In what the dialects differ.
struct Reads {
    double: Double,
    /// A backslash in a string hides the next character.
    escapes: bool,
    /// `#` begins a comment, and backticks quote a name; else both are operators or nothing.
    hash_comments: bool,
}

struct Scan<'t> {
    bytes: &'t [u8],
    at: usize,
    /// Up to where the text is in the key.
    copied: usize,
    reads: Reads,
    shape: &'t mut Shape,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn before(&self) -> u8 {
        self.at.checked_sub(1).and_then(|at| self.bytes.get(at)).copied().unwrap_or(b' ')
    }

    fn run(mut self) -> Option<()> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\'' => self.string(byte)?,
                b'"' if self.reads.double == Double::Text => self.string(byte)?,
                b'"' => self.name(byte)?,
                b'`' if self.reads.hash_comments => self.name(byte)?,
                b'#' if self.reads.hash_comments => return None,
                b'0'..=b'9' if self.before() == b'.' => self.word(),
                b'0'..=b'9' => self.number()?,
                b'$' => self.parameter()?,
                b'-' if self.peek(1) == b'-' => return None,
                b'/' if self.peek(1) == b'*' => return None,
                b'\t' | b'\n' | b'\r' | b' '..=b'~' => {
                    if goes_on(byte) {
                        self.word();
                    } else {
                        self.at += 1;
                    }
                }
                0x80.. => self.word(),
                // Other control characters: rare, and servers differ on them.
                _ => return None,
            }
        }
        self.shape.key.extend_from_slice(self.bytes.get(self.copied..).unwrap_or_default());
        Some(())
    }

    /// Letters and digits up to the next byte that is none: copied as they stand.
    fn word(&mut self) {
        while goes_on(self.peek(0)) {
            self.at += 1;
        }
    }

    /// `$1`; anything else that begins with a dollar has no shape.
    fn parameter(&mut self) -> Option<()> {
        self.at += 1;
        let digits = self.bytes.get(self.at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        (digits > 0 && !goes_on(self.peek(0))).then_some(())
    }

    /// A quoted name, which stays as it is. With `U&` before it a string behind it may change what it says.
    fn name(&mut self, quote: u8) -> Option<()> {
        if self.before() == b'&' {
            return None;
        }
        let body = self.bytes.get(self.at + 1..)?;
        self.at += body.iter().position(|byte| *byte == quote)? + 2;
        Some(())
    }

    /// A string. With a letter, a sign of a variable or `&` before it, it is one of the other kinds.
    fn string(&mut self, quote: u8) -> Option<()> {
        if goes_on(self.before()) || matches!(self.before(), b'&' | b'@') {
            return None;
        }
        let start = self.at;
        self.at += 1;
        loop {
            match self.bytes.get(self.at)? {
                0 => return None,
                b'\\' if self.reads.escapes => self.at += 2,
                byte if *byte == quote && self.peek(1) == quote => self.at += 2,
                byte if *byte == quote => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.literal(start, quote);
        Some(())
    }

    /// A number of digits, with or without a fraction.
    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let digits = |from: usize| {
            let rest = self.bytes.get(from..).unwrap_or_default();
            from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let whole = digits(start);
        let fraction = if self.bytes.get(whole) == Some(&b'.') { digits(whole + 1) } else { whole };
        if fraction == whole + 1 {
            return None;
        }
        self.at = fraction;
        if goes_on(self.peek(0)) || self.peek(0) == b'.' {
            return None;
        }
        if let Some(class) = class(self.bytes.get(start..fraction).unwrap_or_default()) {
            self.literal(start, class);
        }
        Some(())
    }

    /// What stands from `start` to here is a literal of that class.
    fn literal(&mut self, start: usize, class: u8) {
        self.shape.key.extend_from_slice(self.bytes.get(self.copied..start).unwrap_or_default());
        self.shape.key.extend_from_slice(&[MARK, class]);
        self.copied = self.at;
        self.shape.literals.push(start..self.at);
    }
}

/// The class of a number: its type at the server hangs on it. Numbers beyond all classes stay in the key, and so does
/// the one that is of one type with a minus before it and of another without.
fn class(number: &[u8]) -> Option<u8> {
    const MOST: u64 = i32::MAX as u64;
    if number.contains(&b'.') {
        return Some(b'f');
    }
    match std::str::from_utf8(number).ok()?.parse::<u64>().ok()? {
        0..=MOST => Some(b'i'),
        value if value == MOST + 1 => None,
        value if i64::try_from(value).is_ok() => Some(b'l'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::statement::{Names, mysql::MysqlNames};

    fn shape(text: &str, dialect: &Dialect) -> Option<(String, Vec<String>)> {
        let mut shape = Shape::default();
        let literals = |shape: &Shape| shape.literals().iter().map(|at| text[at.clone()].to_owned()).collect();
        shape
            .scan(text, dialect)
            .then(|| (String::from_utf8_lossy(shape.key()).replace('\u{1}', "#"), literals(&shape)))
    }

    #[test]
    fn literals_are_found_for_certain_or_not_at_all() {
        let postgres = Dialect::Postgres(Names { search_path: Arc::from("") });
        let mysql = Dialect::Mysql(MysqlNames::default());
        for (text, key, literals) in [
            ("SELECT a1, 'x''y' FROM t WHERE b=-5", "SELECT a1, #' FROM t WHERE b=-#i", vec!["'x''y'", "5"]),
            ("SELECT 1.5, 4294967296, 2147483648", "SELECT #f, #l, 2147483648", vec!["1.5", "4294967296"]),
            ("SELECT t.5x, .5", "SELECT t.5x, .5", vec![]),
            ("SELECT ''", "SELECT #'", vec!["''"]),
            ("VALUES(1,$2)", "VALUES(#i,$2)", vec!["1"]),
        ] {
            let expected = Some((key.to_owned(), literals.into_iter().map(str::to_owned).collect()));
            assert_eq!(shape(text, &postgres), expected, "{text}");
            assert_eq!(shape(text, &mysql), expected, "{text}");
        }
        for text in [
            "SELECT 1 -- x",
            "SELECT /* */ 1",
            "SELECT 1e5",
            "SELECT 0x1f",
            "SELECT 1_000",
            "SELECT 1.",
            "SELECT 1..2",
            "SELECT 'open",
            "SELECT E'a'",
            "SELECT x'41'",
            "SELECT \u{7}1",
            "SELECT $a$x$a$",
            "SELECT $1a",
            "SELECT 1.5.2",
            "SELECT U&'a'",
            "SELECT 'a\0b'",
            "SELECT 'é'é'x'",
        ] {
            assert_eq!(shape(text, &postgres), None, "{text}");
            assert_eq!(shape(text, &mysql), None, "{text}");
        }
        assert_eq!(shape("SELECT U&\"a\" UESCAPE 'b'", &postgres), None);
        assert_eq!(shape("SELECT '\\', \"a'b\"", &postgres).unwrap().1, ["'\\'"]);
        assert_eq!(shape("SELECT '\\', \"a'b\"", &mysql), None);
        assert_eq!(shape("SELECT '\\'', \"a'b\", `c\"`", &mysql).unwrap().1, ["'\\''", "\"a'b\""]);
        assert_eq!(shape("SELECT @'a', # x", &mysql), None);
    }
}
