//! Text to tokens exactly as the server's own lexer splits it under the session's sql_mode, comments told from code.
//! Refuses what servers of different versions read differently; knows no grammar.

use super::{comment, names::MysqlNames, refusal::near, reserved::is_reserved};
use crate::statement::{Refusal, RefusalKind};

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An unquoted word: a keyword or a name.
    Word,
    /// A name beyond doubt: quoted, or unquoted right behind a dot.
    Name(String),
    /// A string constant, `value` without quotes and escapes.
    Text(String),
    /// `0x41`, `x'41'`, `0b1`, `b'1'`.
    Bits,
    /// A number.
    Number,
    /// `@name`: a user variable, or the host of an account.
    Variable(String),
    /// `@@name`, `@@session.name`: lower case, without the signs.
    System(String),
    /// `?`
    Parameter,
    /// An operator or punctuation.
    Sign,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lexed<'t> {
    /// What it is.
    pub(super) kind: Kind,
    /// Its text as it stands.
    pub(super) raw: &'t str,
    /// Where it stands, in bytes.
    pub(super) at: usize,
    /// Whether nothing stands between the token before and it.
    pub(super) glued: bool,
}

impl Lexed<'_> {
    /// Whether it is this unquoted word, in any case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.raw.eq_ignore_ascii_case(word)
    }

    /// Whether it is this operator or punctuation.
    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.raw == sign
    }
}

/// The tokens of `text`.
///
/// # Errors
/// When something in it is no token, or one that servers read differently.
pub(super) fn lex<'t>(text: &'t str, names: &MysqlNames) -> Result<Vec<Lexed<'t>>, Refusal> {
    let mut lexer = Lexer { text, at: 0, names, inside: false, tokens: Vec::with_capacity(text.len() / 5 + 4) };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'t, 'n> {
    text: &'t str,
    at: usize,
    names: &'n MysqlNames,
    /// Inside an executable comment.
    inside: bool,
    tokens: Vec<Lexed<'t>>,
}

const SIGNS: &[&str] = &[
    "<=>", "->>", "||", "&&", "<<", ">>", "<=", ">=", "<>", "!=", ":=", "->", "+", "-", "*", "/", "%", "&", "|", "^",
    "~", "!", "=", "<", ">", "(", ")", ",", ";", ".", "{", "}",
];

/// Bytes that separate tokens.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// Characters of an unquoted name. The no-break space is one in UTF-8 and separates tokens in latin1: it is neither here.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || (('\u{80}'..='\u{ffff}').contains(&c) && c != '\u{a0}')
}

impl<'t> Lexer<'t, '_> {
    fn run(&mut self) -> Result<(), Refusal> {
        let nul = self.text.contains('\0');
        while let Some(byte) = self.byte(0) {
            let before = self.at;
            match byte {
                _ if is_space(byte) => self.at += 1,
                b'#' => self.line()?,
                b'-' if self.byte(1) == Some(b'-')
                    && self.byte(2).is_none_or(|b| is_space(b) || b.is_ascii_control()) =>
                {
                    self.line()?;
                }
                b'/' if self.byte(1) == Some(b'*') => self.comment()?,
                b'*' if self.byte(1) == Some(b'/') && self.inside => {
                    self.inside = false;
                    self.at += 2;
                }
                _ => self.token(byte)?,
            }
            debug_assert!(self.at > before, "the lexer moves on");
            // The servers read a NUL in a string like any other character; anywhere else it may end the text, or a line.
            let string = byte == b'\'' || byte == b'"' && !self.names.sql_mode.ansi_quotes();
            if nul && !string && self.text.get(before..self.at).is_some_and(|part| part.contains('\0')) {
                return Err(Refusal::new(
                    RefusalKind::Unparsed,
                    "the statement holds a NUL character outside a string",
                )
                .hint("send it as a parameter, or write it in a string as \\0"));
            }
        }
        if self.inside {
            return Err(near(self.text, self.at).detail("an executable comment is not closed"));
        }
        Ok(())
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// To the end of the line.
    fn line(&mut self) -> Result<(), Refusal> {
        if self.inside {
            return Err(near(self.text, self.at).detail("comments inside executable comments are not followed"));
        }
        self.at = self.rest().find('\n').map_or(self.text.len(), |end| self.at + end + 1);
        Ok(())
    }

    fn comment(&mut self) -> Result<(), Refusal> {
        let rest = self.rest();
        if let Some(opened) = comment::executable(rest, self.names.flavour)? {
            if self.inside {
                return Err(near(self.text, self.at).detail("comments inside executable comments are not followed"));
            }
            match opened {
                comment::Executable::Inline(length) => {
                    self.inside = true;
                    self.at += length;
                }
                comment::Executable::Ignored(length) => self.at += length,
            }
            return Ok(());
        }
        if self.inside {
            return Err(near(self.text, self.at).detail("comments inside executable comments are not followed"));
        }
        let Some(end) = rest.find("*/").filter(|end| *end >= 2) else {
            // `/*/` does not end itself.
            return match rest.get(2..).and_then(|after| after.find("*/")) {
                Some(end) => {
                    self.at += end + 4;
                    Ok(())
                }
                None => Err(near(self.text, self.at).detail("a comment is not closed")),
            };
        };
        if rest.starts_with("/*+") {
            comment::hint(rest.get(3..end).unwrap_or_default())?;
        }
        self.at += end + 2;
        Ok(())
    }

    fn push(&mut self, kind: Kind, end: usize) {
        let glued = self.tokens.last().is_some_and(|last| last.at + last.raw.len() == self.at);
        let raw = self.text.get(self.at..end).unwrap_or_default();
        self.tokens.push(Lexed { kind, raw, at: self.at, glued });
        self.at = end;
    }

    fn token(&mut self, byte: u8) -> Result<(), Refusal> {
        match byte {
            b'\'' => self.string('\'', 0),
            b'"' if self.names.sql_mode.ansi_quotes() => self.quoted_name('"'),
            b'"' => self.string('"', 0),
            b'`' => self.quoted_name('`'),
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(1).is_some_and(|b| b.is_ascii_digit()) && !self.behind_name() => self.number(),
            b'@' => self.variable(),
            b'?' => {
                self.push(Kind::Parameter, self.at + 1);
                Ok(())
            }
            _ => {
                let first = self.rest().chars().next().unwrap_or_default();
                if is_name_char(first) { self.word() } else { self.sign() }
            }
        }
    }

    /// Whether the token before is a name that ends right here: a dot then separates names.
    fn behind_name(&self) -> bool {
        self.tokens
            .last()
            .is_some_and(|last| matches!(last.kind, Kind::Word | Kind::Name(_)) && last.at + last.raw.len() == self.at)
    }

    fn sign(&mut self) -> Result<(), Refusal> {
        match SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
            Some(sign) => {
                self.push(Kind::Sign, self.at + sign.len());
                Ok(())
            }
            None => Err(near(self.text, self.at)),
        }
    }

    fn word_end(&self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        rest.find(|c| !is_name_char(c)).map_or(self.text.len(), |end| from + end)
    }

    fn word(&mut self) -> Result<(), Refusal> {
        let end = self.word_end(self.at);
        let word = self.text.get(self.at..end).unwrap_or_default();
        // Characters beyond the basic plane end a name for some servers only.
        if self.text.get(end..).and_then(|rest| rest.chars().next()).is_some_and(|c| u32::from(c) > 0xffff) {
            return Err(near(self.text, end));
        }
        let next = self.text.as_bytes().get(end);
        if next == Some(&b'\'') {
            let prefix = match word {
                "x" | "X" | "b" | "B" => return self.bits_in_quotes(),
                "n" | "N" => true,
                _ => false,
            };
            if prefix {
                return self.string('\'', 1);
            }
        }
        // A word with a dot and a name right behind it is no keyword either: `groups.id`.
        let named = self.after_dot() || (self.names_follow(end) && is_reserved(word, self.names.flavour));
        let kind = if named { Kind::Name(word.to_owned()) } else { Kind::Word };
        self.push(kind, end);
        Ok(())
    }

    /// Whether a dot and the start of an unquoted name stand at `at`.
    fn names_follow(&self, at: usize) -> bool {
        let rest = self.text.get(at..).unwrap_or_default();
        rest.strip_prefix('.').and_then(|rest| rest.chars().next()).is_some_and(is_name_char)
    }

    /// Whether a dot that follows a name stands right before: whatever comes is a name then, reserved or not.
    fn after_dot(&self) -> bool {
        let mut last = self.tokens.iter().rev();
        let dot = last.next().is_some_and(|dot| dot.is_sign(".") && dot.glued && dot.at + 1 == self.at);
        dot && last.next().is_some_and(|name| matches!(name.kind, Kind::Word | Kind::Name(_)))
    }

    fn bits_in_quotes(&mut self) -> Result<(), Refusal> {
        let body = self.text.get(self.at + 2..).unwrap_or_default();
        match body.find('\'') {
            Some(end) if body.get(..end).is_some_and(|bits| bits.bytes().all(|b| b.is_ascii_hexdigit())) => {
                self.push(Kind::Bits, self.at + 2 + end + 1);
                Ok(())
            }
            _ => Err(near(self.text, self.at)),
        }
    }

    /// A string constant whose opening quote stands `skip` bytes on. Strings that follow each other are one string.
    fn string(&mut self, quote: char, skip: usize) -> Result<(), Refusal> {
        let (value, end) = self.quoted(self.at + skip, quote, !self.names.sql_mode.no_backslash_escapes())?;
        match self.tokens.last_mut() {
            Some(Lexed { kind: Kind::Text(before), raw, at, .. }) if skip == 0 => {
                before.push_str(&value);
                *raw = self.text.get(*at..end).unwrap_or_default();
                self.at = end;
            }
            _ => self.push(Kind::Text(value), end),
        }
        Ok(())
    }

    fn quoted_name(&mut self, quote: char) -> Result<(), Refusal> {
        let (value, end) = self.quoted(self.at, quote, false)?;
        self.push(Kind::Name(named(value, self.text, self.at)?), end);
        Ok(())
    }

    /// What stands between quotes from `from` on, and where it ends.
    fn quoted(&self, from: usize, quote: char, escapes: bool) -> Result<(String, usize), Refusal> {
        let body = self.text.get(from + 1..).unwrap_or_default();
        let mut value = String::new();
        let mut chars = body.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                if chars.next_if(|(_, next)| *next == quote).is_none() {
                    return Ok((value, from + 1 + at + quote.len_utf8()));
                }
                value.push(quote);
            } else if c == '\\' && escapes {
                match chars.next() {
                    Some((_, escaped)) => unescape(&mut value, escaped),
                    None => break,
                }
            } else {
                value.push(c);
            }
        }
        Err(near(self.text, from).detail("a quote is not closed"))
    }

    fn number(&mut self) -> Result<(), Refusal> {
        let rest = self.rest().as_bytes();
        let digits = |from: usize| rest.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
        if let [b'0', kind @ (b'x' | b'b'), ..] = rest {
            let fits = |b: &&u8| if *kind == b'x' { b.is_ascii_hexdigit() } else { matches!(b, b'0' | b'1') };
            let count = rest.iter().skip(2).take_while(fits).count();
            return if count > 0 { self.numeric(Kind::Bits, 2 + count) } else { Err(near(self.text, self.at)) };
        }
        let mut end = digits(0);
        if rest.get(end) == Some(&b'.') {
            end += 1;
            end += digits(end);
        }
        if matches!(rest.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent == 0 {
                return Err(unclear_number(self.text, self.at));
            }
            end += 1 + sign + exponent;
        }
        self.numeric(Kind::Number, end)
    }

    fn numeric(&mut self, kind: Kind, length: usize) -> Result<(), Refusal> {
        let after = self.rest().get(length..).and_then(|rest| rest.chars().next());
        if self.after_dot() || after.is_some_and(|c| is_name_char(c) || u32::from(c) > 0xffff || c == '.') {
            return Err(unclear_number(self.text, self.at));
        }
        self.push(kind, self.at + length);
        Ok(())
    }

    fn variable(&mut self) -> Result<(), Refusal> {
        if self.byte(1) == Some(b'@') {
            let end = self.dotted(self.at + 2);
            let name = self.text.get(self.at + 2..end).unwrap_or_default();
            if name.is_empty() || name.starts_with('.') || name.ends_with('.') {
                return Err(near(self.text, self.at).hint("write a server variable unquoted: @@session.sql_mode"));
            }
            self.push(Kind::System(name.to_ascii_lowercase()), end);
            return Ok(());
        }
        match self.byte(1) {
            Some(quote @ (b'\'' | b'"' | b'`')) => {
                // What quotes a name knows no escapes, and under ANSI_QUOTES that is `"` as well.
                let names = quote == b'`' || (quote == b'"' && self.names.sql_mode.ansi_quotes());
                let escapes = !names && !self.names.sql_mode.no_backslash_escapes();
                let quote = char::from(quote);
                let (value, end) = self.quoted(self.at + 1, quote, escapes)?;
                self.push(Kind::Variable(value), end);
            }
            _ => {
                let end = self.dotted(self.at + 1);
                let name = self.text.get(self.at + 1..end).unwrap_or_default().to_owned();
                self.push(Kind::Variable(name), end);
            }
        }
        Ok(())
    }

    fn dotted(&self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        rest.find(|c| !is_name_char(c) && c != '.').map_or(self.text.len(), |end| from + end)
    }
}

/// A quoted name. Servers trim spaces of some names only, so such names are refused.
fn named(value: String, text: &str, at: usize) -> Result<String, Refusal> {
    if value.is_empty() || value.trim() != value || value.chars().any(|c| c == '\0' || u32::from(c) > 0xffff) {
        return Err(near(text, at).detail("a name is empty, or begins or ends with a space, or holds rare characters"));
    }
    Ok(value)
}

fn unescape(value: &mut String, escaped: char) {
    match escaped {
        '0' => value.push('\0'),
        'b' => value.push('\u{8}'),
        'n' => value.push('\n'),
        'r' => value.push('\r'),
        't' => value.push('\t'),
        'Z' => value.push('\u{1a}'),
        // These two keep their backslash: they matter to LIKE.
        '%' | '_' => value.extend(['\\', escaped]),
        other => value.push(other),
    }
}

fn unclear_number(text: &str, at: usize) -> Refusal {
    near(text, at)
        .detail("what begins with a digit and goes on with letters is read differently by different servers")
        .hint("quote names that begin with a digit: `2fa`")
}

#[cfg(test)]
mod tests {
    use super::{super::testing::names, *};
    use crate::statement::mysql::Flavour;

    fn variable(text: &str, mode: &str) -> String {
        let tokens = lex(text, &names(mode, Flavour::MariaDb)).expect("tokens");
        match tokens.first().map(|token| token.kind.clone()) {
            Some(Kind::Variable(name)) => name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_space_of_some_character_sets_stands_in_quotes_and_comments_only() {
        let lexed = |text: &str| lex(text, &names("", Flavour::MariaDb)).map(|tokens| tokens.len());
        for text in
            ["SELECT\u{a0}a", "SELECT 1 --\u{a0}b, '\n', c -- '", "SELECT @a\u{a0}b", "SELECT 1\u{a0}, 2", "\u{a0}x"]
        {
            assert!(lexed(text).is_err(), "{text}");
        }
        for text in ["'\u{a0}'", "`a\u{a0}b`", "a -- \u{a0}\n", "/*\u{a0}*/ a", "@'\u{a0}'"] {
            assert_eq!(lexed(text).ok(), Some(1), "{text}");
        }
    }

    #[test]
    fn quotes_around_a_variables_name_escape_as_those_of_names_or_of_texts() {
        for (text, plain, ansi, bare) in [
            (r"@'\', a -- ', 1", "', a -- ", "', a -- ", "\\"),
            (r#"@"\", a -- ", 1"#, r#"", a -- "#, "\\", "\\"),
            (r"@`\`, a -- `, 1", "\\", "\\", "\\"),
        ] {
            for (mode, expected) in [("", plain), ("ANSI_QUOTES", ansi), ("NO_BACKSLASH_ESCAPES", bare)] {
                assert_eq!(variable(text, mode), expected, "{text} under {mode}");
            }
        }
    }
}
