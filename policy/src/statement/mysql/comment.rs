//! Comments that are more than comments: executable ones and optimizer hints.
//! Everything else between `/*` and `*/` is nothing to the server, and not looked at here.

use super::names::Flavour;
use crate::statement::{Refusal, RefusalKind};

/// An executable comment that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Executable {
    /// The server reads on after so many bytes, up to `*/`.
    Inline(usize),
    /// The server skips so many bytes, `*/` included.
    Ignored(usize),
}

/// The newest version that every server we talk to is newer than, and the first that MariaDB takes for MySQL's own.
const NEWEST_OF_ALL: u32 = 50_699;
/// The oldest MariaDB whose `/*M!` every MariaDB we talk to executes: 10.1.
const MARIADB_OF_ALL: u32 = 100_100;

/// What dump tools and drivers begin an executable comment with.
const FIRST_WORDS: &[&str] = &[
    "ALTER",
    "CHARACTER",
    "CREATE",
    "DEFINER",
    "DROP",
    "EVENT",
    "FULL",
    "FUNCTION",
    "LOCAL",
    "PACKAGE",
    "PARTITION",
    "PROCEDURE",
    "SET",
    "SQL_NO_CACHE",
    "TRIGGER",
    "VIEW",
    "WITH",
];

/// What mariadb-dump puts at the head of every dump: no server executes it, the client does.
const SANDBOX: &str = "/*M!999999\\- enable the sandbox mode */";
/// What is left of it when the client has understood `\-`.
const SANDBOXED: &str = "/*M!999999 enable the sandbox mode */";
/// What MySQL's mysqldump begins with. Where a server does not execute it nothing is lost.
const STATS_EXPIRY: &str = "/*!80000 SET SESSION information_schema_stats_expiry=0 */";

/// Looks whether `rest`, which begins with `/*`, opens an executable comment.
///
/// # Errors
/// When it does, and it is not one that every server reads the same way.
pub(super) fn executable(rest: &str, flavour: Flavour) -> Result<Option<Executable>, Refusal> {
    let (body, mariadb_only) = match (rest.strip_prefix("/*!"), rest.strip_prefix("/*M!")) {
        (Some(body), _) => (body, false),
        (None, Some(body)) => (body, true),
        (None, None) => return Ok(None),
    };
    if let Some(line) = [SANDBOX, SANDBOXED].into_iter().find(|line| rest.starts_with(line)) {
        return Ok(Some(Executable::Ignored(line.len())));
    }
    if rest == STATS_EXPIRY {
        return Ok(Some(Executable::Inline("/*!80000".len())));
    }
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let version: u32 = body.get(..digits).and_then(|v| v.parse().ok()).unwrap_or(0);
    let after = body.get(digits..).unwrap_or_default();
    let open = after.len() - after.trim_start_matches([' ', '\n', '\t']).len();
    let word: &str =
        after.trim_start().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
    let known = open > 0 && FIRST_WORDS.iter().any(|first| first.eq_ignore_ascii_case(word));
    let of_all = match (mariadb_only, digits) {
        (false, 5) => (32_300..=NEWEST_OF_ALL).contains(&version),
        (true, 6) => version <= MARIADB_OF_ALL,
        _ => false,
    };
    if !known || !of_all {
        return Err(Refusal::new(RefusalKind::Unsupported, "executable comments are not supported")
            .detail("what stands in /*! … */ runs on some server versions and not on others; only the comments of dump tools are let through")
            .hint("leave out the comment marks"));
    }
    let opening = rest.len() - after.len();
    match flavour {
        Flavour::MySql if mariadb_only => match rest.find("*/") {
            Some(end) => Ok(Some(Executable::Ignored(end + 2))),
            None => Err(Refusal::new(RefusalKind::Unparsed, "a comment is not closed")),
        },
        Flavour::MySql | Flavour::MariaDb => Ok(Some(Executable::Inline(opening))),
    }
}

/// Refuses optimizer hints that change settings or where a statement runs; others only choose a plan.
///
/// # Errors
/// When `hints` holds such a hint.
pub(super) fn hint(hints: &str) -> Result<(), Refusal> {
    if hints.contains(['`', '"', '\'', '/', '*', '#']) {
        return Err(Refusal::new(RefusalKind::Unsupported, "quotes in optimizer hints are not supported")
            .detail("where such a hint ends is read differently by different servers")
            .hint("name tables and query blocks without quotes, or leave out the hint"));
    }
    let folded = hints.to_ascii_uppercase();
    if folded.contains("SET_VAR") || folded.contains("RESOURCE_GROUP") {
        return Err(Refusal::new(
            RefusalKind::Unsupported,
            "the optimizer hints SET_VAR and RESOURCE_GROUP are not supported",
        )
        .detail("they change settings behind the proxy's back for one statement")
        .hint("use SET SESSION before the statement, and leave out the hint"));
    }
    Ok(())
}
