//! Statements that only `admin` may run, whatever is in them: privileges, servers, code, other sessions.
//! Their text is not looked into; the list says which verbs there are, everything else is a syntax error.

use super::{cursor::Cursor, dispatch::Draft, lexer::Kind, walk::Walk};
use crate::statement::{Effect, Kill, Refusal, Verb};

/// First words, and what the statement is called.
const VERBS: &[(&str, Verb, &str)] = &[
    ("BACKUP", "BACKUP", "backups"),
    ("BINLOG", "BINLOG", "the binary log"),
    ("CACHE", "CACHE INDEX", "key caches"),
    ("CASE", "CASE", "anonymous code"),
    ("CHANGE", "CHANGE", "replication"),
    ("CLONE", "CLONE", "the instance"),
    ("DECLARE", "DECLARE", "anonymous code"),
    ("FLUSH", "FLUSH", "the server's caches and locks"),
    ("FOR", "FOR", "anonymous code"),
    ("GET", "GET DIAGNOSTICS", "texts of errors"),
    ("GRANT", "GRANT", "privileges"),
    ("HANDLER", "HANDLER", "rows by HANDLER"),
    ("IF", "IF", "anonymous code"),
    ("IMPORT", "IMPORT TABLE", "files of the server"),
    ("INSTALL", "INSTALL", "the server's plugins"),
    ("LOOP", "LOOP", "anonymous code"),
    ("PURGE", "PURGE", "the binary log"),
    ("REPEAT", "REPEAT", "anonymous code"),
    ("RESET", "RESET", "the server's state"),
    ("RESIGNAL", "RESIGNAL", "texts of errors"),
    ("RESTART", "RESTART", "the server"),
    ("REVOKE", "REVOKE", "privileges"),
    ("SHUTDOWN", "SHUTDOWN", "the server"),
    ("SIGNAL", "SIGNAL", "texts of errors"),
    ("STOP", "STOP", "replication"),
    ("UNINSTALL", "UNINSTALL", "the server's plugins"),
    ("WHILE", "WHILE", "anonymous code"),
    ("XA", "XA", "distributed transactions"),
];

/// A statement of [`VERBS`].
///
/// # Errors
/// When its first word is not on the list.
pub(super) fn admin(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    for (word, verb, what) in VERBS {
        if cursor.word(word) {
            walk.admin(what);
            return Ok(Draft::of(verb).server());
        }
    }
    Err(cursor.here())
}

/// Code without a name.
pub(super) fn code(walk: &mut Walk<'_>, verb: Verb) -> Draft {
    walk.admin("anonymous code");
    Draft::of(verb).server()
}

/// KILL [HARD|SOFT] [CONNECTION|QUERY] id. The number is one that the proxy gave out: the session acts on its user's
/// own sessions itself, all else needs `admin`.
///
/// # Errors
/// A syntax error.
pub(super) fn kill(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    walk.admin("other sessions");
    cursor.one_of(&["HARD", "SOFT"]);
    let what = match cursor.one_of(&["CONNECTION", "QUERY"]) {
        Some("QUERY") => Kill::Query,
        _ => Kill::Connection,
    };
    let number = cursor.peek(0).filter(|token| token.kind == Kind::Number).and_then(|token| token.raw.parse().ok());
    let draft = Draft::of("KILL");
    match number {
        Some(connection) => {
            cursor.next();
            cursor.end()?;
            Ok(draft.effect(Effect::Kill { connection, what }))
        }
        // KILL USER, KILL QUERY ID, KILL @v.
        None => Ok(draft),
    }
}
