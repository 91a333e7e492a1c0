//! What a statement grant pins, and what the audit searches for: hashes of the tokens, so that layout and comments do
//! not matter. Every literal counts for the one and none for the other. Knows nothing of what names mean.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{
    lexer::{Kind, Lexed},
    names::MysqlNames,
    reserved::is_reserved,
};

/// SHA-256 of a statement's tokens.
pub(super) fn identity(tokens: &[Lexed<'_>], names: &MysqlNames) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for token in tokens {
        match &token.kind {
            Kind::Name(name) => feed(&mut hasher, b'q', name),
            Kind::Text(text) => feed(&mut hasher, b't', text),
            Kind::Bits => feed(&mut hasher, b'b', &token.raw.to_ascii_lowercase()),
            Kind::Number => feed(&mut hasher, b'n', token.raw),
            Kind::Variable(name) => feed(&mut hasher, b'v', name),
            Kind::System(name) => feed(&mut hasher, b's', name),
            Kind::Parameter => feed(&mut hasher, b'p', "?"),
            // `count (a)` may mean another function than `count(a)`.
            Kind::Sign if token.raw == "(" && token.glued => feed(&mut hasher, b'g', "("),
            // What it does is not in the text.
            Kind::Sign if token.raw == "||" && names.sql_mode.pipes_as_concat() => feed(&mut hasher, b'c', "||"),
            Kind::Word if token.is_word("NOT") && names.sql_mode.high_not_precedence() => feed(&mut hasher, b'h', "!"),
            Kind::Word => word(&mut hasher, token, names),
            Kind::Sign => feed(&mut hasher, b'o', token.raw),
        }
    }
    hasher.finalize().into()
}

fn word(hasher: &mut Sha256, token: &Lexed<'_>, names: &MysqlNames) {
    if is_reserved(token.raw, names.flavour) {
        feed(hasher, b'k', &token.raw.to_ascii_uppercase());
    } else {
        feed(hasher, b'w', token.raw);
    }
}

/// Length first, so that no two token streams run together.
fn feed(hasher: &mut Sha256, kind: u8, text: &str) {
    hasher.update([kind]);
    hasher.update(text.len().to_le_bytes());
    hasher.update(text.as_bytes());
}

/// The shape of a text without its literals, in hexadecimal: lists of literals count as one.
pub(super) fn fingerprint(tokens: &[Lexed<'_>], names: &MysqlNames) -> Arc<str> {
    let mut hasher = Sha256::new();
    let mut last_literal = false;
    let mut rest = tokens.iter().peekable();
    while let Some(token) = rest.next() {
        let literal = matches!(token.kind, Kind::Text(_) | Kind::Bits | Kind::Number | Kind::Parameter);
        match &token.kind {
            _ if literal && last_literal => {}
            _ if literal => feed(&mut hasher, b'?', ""),
            // A comma between two literals of a list.
            Kind::Sign if token.raw == "," && last_literal && rest.peek().is_some_and(|next| is_literal(next)) => {
                continue;
            }
            Kind::Word => word(&mut hasher, token, names),
            Kind::Name(name) => feed(&mut hasher, b'w', name),
            Kind::Variable(name) => feed(&mut hasher, b'v', name),
            Kind::System(name) => feed(&mut hasher, b's', name),
            Kind::Sign | Kind::Text(_) | Kind::Bits | Kind::Number | Kind::Parameter => {
                feed(&mut hasher, b'o', token.raw);
            }
        }
        last_literal = literal;
    }
    let hash: [u8; 32] = hasher.finalize().into();
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn is_literal(token: &Lexed<'_>) -> bool {
    matches!(token.kind, Kind::Text(_) | Kind::Bits | Kind::Number | Kind::Parameter)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SqlMode, lexer::lex},
        *,
    };

    fn both(text: &str) -> ([u8; 32], Arc<str>) {
        let names = MysqlNames::default();
        let tokens = lex(text, &names).expect("tokens");
        (identity(&tokens, &names), fingerprint(&tokens, &names))
    }

    #[test]
    fn layout_does_not_matter_and_literals_do() {
        let plain = both("SELECT a, 'x' FROM t WHERE b IN (1, 2)");
        assert_eq!(plain, both("select  a,'x' /* why */\n FROM t -- so\n WHERE b in (1,2)"));
        for other in [
            "SELECT a, 'y' FROM t WHERE b IN (1, 2)",
            "SELECT a, 'x' FROM t WHERE b IN (1, 3)",
            "SELECT a, 'x' FROM t WHERE b IN (1, 2, 3)",
        ] {
            assert_ne!(plain.0, both(other).0, "{other}");
            assert_eq!(plain.1, both(other).1, "{other}");
        }
        assert_ne!(plain, both("SELECT a, 'x' FROM T WHERE b IN (1, 2)"));
        assert_ne!(both("SELECT count(a)").0, both("SELECT count (a)").0);
        assert_ne!(both("SELECT 'ab'").0, both("SELECT `ab`").0);
        for (mode, text) in [("PIPES_AS_CONCAT", "SELECT a || b"), ("HIGH_NOT_PRECEDENCE", "SELECT NOT a + b")] {
            let names = MysqlNames { sql_mode: SqlMode::read(mode).expect("a mode"), ..MysqlNames::default() };
            assert_ne!(both(text).0, identity(&lex(text, &names).expect("tokens"), &names), "{mode}");
        }
    }
}
