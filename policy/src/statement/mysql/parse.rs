//! Bounds before anything recursive touches a text: its length, how deep it nests, and a stack that holds it.
//! Says nothing about what a statement means.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    lexer::{Kind, lex},
    names::MysqlNames,
};
use crate::statement::{Refusal, RefusalKind};

/// The longest text, in bytes.
const MAX_LENGTH: usize = 64 << 20;
/// Open parentheses and CASEs at one place. The parser tries a parenthesis several ways, so depth costs time.
const MAX_DEPTH: usize = 64;
/// The same in FROM, where it tries twice at each level.
const MAX_JOIN_DEPTH: usize = 40;
/// Operators and the like in a row, each of which makes the tree a level deeper.
const MAX_CHAIN: usize = 20_000;
/// The deepest text that is understood on the caller's own stack, which may be as small as two megabytes.
const INLINE: usize = if cfg!(debug_assertions) { 6 } else { 24 };
/// The stack for deeper ones. Pages are taken as they are touched, so its size costs nothing by itself.
const DEEP_STACK: usize = 512 << 20;

/// Runs `understand` on a stack that holds `text`, and turns a panic into a refusal.
///
/// # Errors
/// Those of `understand`, and [`RefusalKind::TooComplex`].
pub(super) fn guarded<T: Send>(
    text: &str,
    names: &MysqlNames,
    understand: impl FnOnce() -> Result<T, Refusal> + Send,
) -> Result<T, Refusal> {
    let too_complex = |what: String| Refusal::new(RefusalKind::TooComplex, what).hint("split the statement");
    if text.len() > MAX_LENGTH {
        return Err(too_complex(format!("statement of {} bytes is too long; the limit is {MAX_LENGTH}", text.len())));
    }
    let nesting = nesting(text, names)?;
    if nesting.depth > MAX_DEPTH || nesting.join_depth > MAX_JOIN_DEPTH || nesting.chain > MAX_CHAIN {
        return Err(too_complex("statement nests too deep".into()));
    }
    let broken = || {
        Refusal::new(RefusalKind::Unsupported, "the statement could not be analysed")
            .detail("the analysis of the statement failed inside the proxy; nothing was sent to the database")
    };
    if nesting.depth + nesting.chain <= INLINE {
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

#[derive(Debug, Default, PartialEq, Eq)]
struct Nesting {
    /// Parentheses and CASEs open at once.
    depth: usize,
    /// Parentheses open right behind FROM, JOIN, a comma or another one, with no SELECT in them.
    join_depth: usize,
    /// Signs and words that may each add a level, since the last comma outside.
    chain: usize,
}

fn nesting(text: &str, names: &MysqlNames) -> Result<Nesting, Refusal> {
    const CHAINS: &[&str] = &[
        "AND",
        "OR",
        "XOR",
        "NOT",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "JOIN",
        "STRAIGHT_JOIN",
        "COLLATE",
        "BINARY",
        "DIV",
        "MOD",
        "IS",
        "LIKE",
        "REGEXP",
        "RLIKE",
        "BETWEEN",
        "IN",
        "INTERVAL",
    ];
    let mut found = Nesting::default();
    let (mut depth, mut run, mut chain) = (0usize, 0usize, 0usize);
    for token in lex(text, names)? {
        match (&token.kind, token.raw) {
            (Kind::Sign, "(") => {
                depth += 1;
                run += 1;
            }
            (Kind::Sign, ")") => {
                depth = depth.saturating_sub(1);
                run = 0;
            }
            (Kind::Sign, ",") => {
                run = 0;
                if depth <= 1 {
                    chain = 0;
                }
            }
            (Kind::Sign, ".") => {}
            (Kind::Sign, ";") => (depth, run, chain) = (0, 0, 0),
            (Kind::Sign, _) => {
                chain += 1;
                run = 0;
            }
            (Kind::Word, _) => {
                run = 0;
                if token.is_word("CASE") {
                    depth += 1;
                } else if token.is_word("END") {
                    depth = depth.saturating_sub(1);
                } else if CHAINS.iter().any(|word| token.is_word(word)) {
                    chain += 1;
                }
            }
            (
                Kind::Name(_)
                | Kind::Text(_)
                | Kind::Bits
                | Kind::Number
                | Kind::Variable(_)
                | Kind::System(_)
                | Kind::Parameter,
                _,
            ) => run = 0,
        }
        found.depth = found.depth.max(depth);
        found.join_depth = found.join_depth.max(run);
        found.chain = found.chain.max(chain);
    }
    Ok(found)
}
