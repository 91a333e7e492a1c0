//! Text to parse trees, bounded: length and nesting are capped, deep texts get a deep stack, and a panic on the way
//! is a refusal. Says nothing about what a statement means.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_query::protobuf;

use super::nesting::{Cost, cost};
use crate::statement::{Refusal, RefusalKind};

/// The longest text, in bytes. Honest texts above it are bulk loads, for which COPY is made; a parse tree takes about
/// fifty times its text in memory.
const MAX_LENGTH: usize = 16 << 20;

/// The deepest text. A thousand JOINs or `||` pass; a hundred thousand brackets are an attack.
const MAX_NESTING: usize = 2_000;

/// Bytes that the server's lexer may read again because of runs of operators and comments: a fraction of a second. The
/// server's own lexer has no such bound, and a megabyte of `/**/` keeps it busy for a quarter of an hour.
const MAX_REREAD: usize = 64 << 20;

/// The deepest text that is understood on the caller's own stack, which may be as small as two megabytes.
const INLINE_NESTING: usize = if cfg!(debug_assertions) { 12 } else { 40 };

/// The stack for deeper ones. Pages are taken as they are touched, so its size costs nothing by itself.
const DEEP_STACK: usize = 512 << 20;

/// Runs `understand` on a stack that holds `text`, and turns a panic into a refusal.
///
/// # Errors
/// Those of `understand`, and [`RefusalKind::TooComplex`].
pub(super) fn guarded<T: Send>(
    text: &str,
    understand: impl FnOnce() -> Result<T, Refusal> + Send,
) -> Result<T, Refusal> {
    let too_complex = |what: String| {
        Refusal::new(RefusalKind::TooComplex, what).hint("split the statement, or load rows with COPY … FROM STDIN")
    };
    if text.len() > MAX_LENGTH {
        return Err(too_complex(format!("statement of {} bytes is too long; the limit is {MAX_LENGTH}", text.len())));
    }
    if text.contains('\0') {
        return Err(Refusal::new(RefusalKind::Unparsed, "invalid byte sequence for encoding \"UTF8\": 0x00"));
    }
    let Cost { depth, reread } = cost(text);
    if reread > MAX_REREAD {
        return Err(too_complex("statement has too many operators or comments behind each other".into()));
    }
    if depth > MAX_NESTING {
        return Err(too_complex(format!("statement nests too deep; the limit is about {MAX_NESTING} levels")));
    }
    let broken = || {
        Refusal::new(RefusalKind::Unsupported, "the statement could not be analysed")
            .detail("the analysis of the statement failed inside the proxy; nothing was sent to the database")
    };
    if depth <= INLINE_NESTING {
        return catch_unwind(AssertUnwindSafe(understand)).unwrap_or_else(|_| Err(broken()));
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("deep statement".into()).stack_size(DEEP_STACK);
        match thread.spawn_scoped(scope, understand) {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(broken())),
            Err(_) => Err(too_complex("no stack is free for a statement that nests so deep".into())),
        }
    })
}

/// The statements of `text` in order.
///
/// # Errors
/// [`RefusalKind::Unparsed`] in the server's words.
pub(super) fn statements(text: &str) -> Result<Vec<protobuf::RawStmt>, Refusal> {
    match pg_query::parse(text, 0) {
        Ok(parsed) => Ok(parsed.protobuf.stmts),
        Err(pg_query::Error::Parse(message)) => {
            let position = position(text, &message);
            Err(Refusal { position, ..Refusal::new(RefusalKind::Unparsed, message) })
        }
        Err(other) => {
            Err(Refusal::new(RefusalKind::Unsupported, "the statement could not be analysed").detail(other.to_string()))
        }
    }
}

/// The longest text in which a syntax error's place is looked for: each try parses a part of it.
const MOST_SEARCHED: usize = 64 << 10;

/// Where the error that `message` tells of is, in characters from 1; the parser's library keeps that to itself. The
/// error is at the first place of the words it names behind which the text fails with this very message.
fn position(text: &str, message: &str) -> Option<usize> {
    let characters = |before: &str| before.chars().count() + 1;
    if message.ends_with(" at end of input") {
        return Some(characters(text));
    }
    let (_, near) = message.split_once(" at or near \"")?;
    let near = near.strip_suffix('"').filter(|near| !near.is_empty() && text.len() <= MOST_SEARCHED)?;
    let joins = |one: Option<char>, other: Option<char>| {
        let in_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        in_word(one) && in_word(other)
    };
    // A part of a longer word is not the word.
    let whole = |at: &usize| {
        let before = text.get(..*at).and_then(|before| before.chars().next_back());
        let after = text.get(*at + near.len()..).and_then(|after| after.chars().next());
        !joins(before, near.chars().next()) && !joins(near.chars().next_back(), after)
    };
    let places: Vec<usize> = text.match_indices(near).map(|(at, _)| at).filter(whole).collect();
    let fails = |at: usize| {
        let until = text.get(..at + near.len()).unwrap_or(text);
        matches!(pg_query::parse(until, 0), Err(pg_query::Error::Parse(told)) if told == message)
    };
    let first = places.partition_point(|at| !fails(*at));
    places.get(first).filter(|at| fails(**at)).and_then(|at| text.get(..*at)).map(characters)
}

/// Where the first statement of `text` that does not parse begins; 0 when that cannot be told.
pub(super) fn first_fault(text: &str) -> usize {
    let tokens = pg_query::scan(text).map(|scanned| scanned.tokens).unwrap_or_default();
    let semicolons = tokens.iter().filter(|token| token.token == protobuf::Token::Ascii59 as i32);
    let mut start = 0;
    for end in semicolons.filter_map(|token| usize::try_from(token.start).ok()) {
        // A semicolon inside a routine's body ends nothing: the piece then parses at a later one.
        let parses = |piece: &str| guarded(piece, || statements(piece)).is_ok();
        if text.get(start..end).is_some_and(parses) {
            start = end + 1;
        }
    }
    start
}

/// The shape of `text` without its literals, in hexadecimal.
///
/// # Errors
/// [`RefusalKind::Unparsed`], if it does not parse after all.
pub(super) fn fingerprint(text: &str) -> Result<std::sync::Arc<str>, Refusal> {
    match pg_query::fingerprint(text, 0, 0) {
        Ok(fingerprint) => Ok(fingerprint.hex.into()),
        Err(error) => Err(Refusal::new(RefusalKind::Unparsed, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<usize, RefusalKind> {
        guarded(text, || {
            let parsed = statements(text)?;
            // The other walks over the tree need stack as well: copying, hashing, dropping.
            for raw in parsed.clone() {
                let node = raw.stmt.and_then(|statement| statement.node).expect("a statement");
                assert_ne!(super::super::identity::identity(&node, &std::collections::BTreeSet::new()), [0; 32]);
            }
            Ok(parsed.len())
        })
        .map_err(|refusal| refusal.kind)
    }

    #[test]
    fn chains_parse_and_towers_are_refused() {
        let chain = |unit: &str, n: usize| format!("SELECT a {}", unit.repeat(n));
        assert_eq!(parse(&chain("|| b ", 50)), Ok(1));
        assert_eq!(parse(&chain("|| b ", 1900)), Ok(1));
        assert_eq!(parse(&format!("SELECT 1 FROM a {}", "JOIN b ON true ".repeat(900))), Ok(1));
        assert_eq!(parse(&chain("|| b ", 100_000)), Err(RefusalKind::TooComplex));
        assert_eq!(parse(&format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000))), Err(RefusalKind::TooComplex));
        assert_eq!(parse(&format!("SELECT {}1{}", "(".repeat(900), ")".repeat(900))), Ok(1));
    }

    #[test]
    fn comments_without_end_are_refused_before_they_are_read() {
        assert_eq!(parse(&format!("SELECT 1 {}", "/**/".repeat(250_000))), Err(RefusalKind::TooComplex));
        assert_eq!(parse(&format!("SELECT 1 {}", "/*".repeat(250_000))), Err(RefusalKind::TooComplex));
        assert_eq!(parse(&format!("SELECT 1 {}", "/* a comment */ ".repeat(50_000))), Ok(1));
        assert_eq!(parse(&format!("SELECT 1 /{}/", "*".repeat(5_000))), Ok(1));
    }

    #[test]
    fn errors_are_the_servers() {
        let refusal = guarded("SELEC 1", || statements("SELEC 1")).expect_err("no SQL");
        assert_eq!(refusal.message, "syntax error at or near \"SELEC\"");
        for (text, place) in [
            ("SELEC 1", Some(1)),
            ("SELECT 'é', a a a FROM t", Some(17)),
            ("SELECT 1; SELECT FROM FROM t", Some(23)),
            ("SELECT 1; SELEC 2; SELECT 3", Some(11)),
            ("SELECT id FROM t WHERE ", Some(24)),
            ("SELECT a, 'open", Some(11)),
            ("SELECT 1a", Some(8)),
            ("SELECT 1 LIMIT 1, 2", None),
        ] {
            assert_eq!(statements(text).expect_err(text).position, place, "{text}");
        }
        assert_eq!(parse("SELECT 1\0"), Err(RefusalKind::Unparsed));
        assert_eq!(parse(""), Ok(0));
        assert_eq!(parse("SELECT 1; ; SELECT 2"), Ok(2));
    }

    #[test]
    fn a_fault_has_the_place_of_its_statement() {
        let body = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;";
        for (text, place) in
            [("SELEC 1", 0), ("SELECT ';'; SELEC 1; SELECT 2", 11), (&format!("{body}\nUPDAT t;"), body.len())]
        {
            assert_eq!(first_fault(text), place, "{text}");
        }
    }

    #[test]
    fn a_panic_is_a_refusal() {
        let refusal = guarded::<()>("SELECT 1", || panic!("on purpose")).expect_err("a refusal");
        assert_eq!(refusal.kind, RefusalKind::Unsupported);
    }
}
