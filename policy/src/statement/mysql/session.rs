//! Transactions, SET and USE: what a client does to its own session.
//! Which variables may change, and to what, is `setting`'s affair.

use std::sync::Arc;

use super::{
    cursor::Cursor,
    dispatch::Draft,
    expression::expression,
    lexer::{Kind, Lexed},
    refusal::unsupported,
    scope::Scope,
    setting::{self, Reach, Value},
    walk::Walk,
};
use crate::statement::{Effect, Refusal, Setting, Usage, Verb};

/// BEGIN [WORK]; with anything else behind it, it is a compound statement.
pub(super) fn begin(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    cursor.word("WORK");
    if cursor.done() {
        return Ok(Draft::of("BEGIN").effect(Effect::Begin));
    }
    Ok(super::admin::code(walk, "BEGIN"))
}

/// START TRANSACTION with its modes.
pub(super) fn start(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    if !cursor.word("TRANSACTION") {
        walk.admin("replication");
        return Ok(Draft::of("START"));
    }
    while !cursor.done() {
        if cursor.words(&["READ", "WRITE"]) {
            setting::write_access(walk);
        } else if !cursor.words(&["READ", "ONLY"]) && !cursor.words(&["WITH", "CONSISTENT", "SNAPSHOT"]) {
            return Err(cursor.here());
        }
        if !cursor.done() {
            cursor.expect_sign(",")?;
        }
    }
    Ok(Draft::of("START TRANSACTION").effect(Effect::Begin))
}

/// COMMIT and ROLLBACK.
pub(super) fn end(cursor: &mut Cursor<'_>, verb: Verb) -> Result<Draft, Refusal> {
    cursor.word("WORK");
    let rolls_back = verb == "ROLLBACK";
    if rolls_back && cursor.word("TO") {
        cursor.word("SAVEPOINT");
        cursor.name()?;
        cursor.end()?;
        return Ok(Draft::of(verb).effect(Effect::RollbackTo));
    }
    let chains = cursor.words(&["AND", "CHAIN"]);
    cursor.words(&["AND", "NO", "CHAIN"]);
    let leaves = cursor.word("RELEASE");
    cursor.words(&["NO", "RELEASE"]);
    cursor.end()?;
    if chains || leaves {
        return Err(unsupported("AND CHAIN and RELEASE").hint("COMMIT, then START TRANSACTION or leave"));
    }
    Ok(Draft::of(verb).effect(if rolls_back { Effect::Rollback } else { Effect::Commit }))
}

/// SAVEPOINT name, RELEASE SAVEPOINT name.
pub(super) fn savepoint(cursor: &mut Cursor<'_>, verb: Verb) -> Result<Draft, Refusal> {
    cursor.name()?;
    cursor.end()?;
    Ok(Draft::of(verb).effect(Effect::Savepoint))
}

/// USE database.
pub(super) fn use_database(cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    let database = cursor.name()?;
    cursor.end()?;
    let value = Setting::To(database.into());
    Ok(Draft::of("USE").effect(Effect::Set { name: "database".into(), value, local: false }))
}

/// SET in all its forms.
///
/// # Errors
/// When a variable may not be set so, or the form is not followed.
pub(super) fn set(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    if cursor.word("STATEMENT") {
        return Err(unsupported("SET STATEMENT … FOR").hint("SET SESSION the variable, then send the statement"));
    }
    for what in ["PASSWORD", "ROLE", "RESOURCE"] {
        if cursor.word(what) {
            walk.admin(&format!("SET {what}"));
            return Ok(Draft::of("SET"));
        }
    }
    if cursor.words(&["DEFAULT", "ROLE"]) {
        walk.admin("SET DEFAULT ROLE");
        return Ok(Draft::of("SET"));
    }
    let mut settings: Vec<(Arc<str>, Setting)> = Vec::new();
    let mut reach = Reach::Session;
    loop {
        one(walk, cursor, &mut reach, &mut settings)?;
        if cursor.done() {
            break;
        }
        cursor.expect_sign(",")?;
    }
    let effect = match settings.as_slice() {
        [] => Effect::None,
        [(name, value)] => Effect::Set { name: Arc::clone(name), value: value.clone(), local: false },
        _ => Effect::SetAll(settings),
    };
    Ok(Draft::of("SET").effect(effect))
}

/// One item of SET.
fn one(
    walk: &mut Walk<'_>,
    cursor: &mut Cursor<'_>,
    reach: &mut Reach,
    settings: &mut Vec<(Arc<str>, Setting)>,
) -> Result<(), Refusal> {
    if cursor.word("NAMES") {
        return names(walk, cursor, settings);
    }
    if cursor.words(&["CHARACTER", "SET"]) || cursor.word("CHARSET") {
        let value = value_of(walk, cursor, Folds::No)?;
        for name in ["character_set_client", "character_set_results"] {
            settings.extend(setting::change(walk, name, &value)?);
        }
        return Ok(());
    }
    let keyword = cursor.one_of(&["GLOBAL", "PERSIST", "PERSIST_ONLY", "SESSION", "LOCAL"]);
    match keyword {
        Some("SESSION" | "LOCAL") => *reach = Reach::Session,
        Some(_) => *reach = Reach::Server,
        None => {}
    }
    if cursor.word("TRANSACTION") {
        return transaction(walk, cursor, *reach, settings);
    }
    let (name, reach) = match cursor.next() {
        Some(Lexed { kind: Kind::Variable(name), .. }) => {
            assign(cursor)?;
            return user_variable(walk, cursor, name);
        }
        Some(Lexed { kind: Kind::System(name), .. }) => scoped(name),
        Some(Lexed { kind: Kind::Word, raw, .. }) => (raw.to_ascii_lowercase(), *reach),
        Some(Lexed { kind: Kind::Name(name), .. }) => (name.to_ascii_lowercase(), *reach),
        _ => return Err(cursor.here()),
    };
    assign(cursor)?;
    let value = value_of(walk, cursor, if name == "sql_mode" { Folds::Yes } else { Folds::No })?;
    match reach {
        Reach::Session => settings.extend(setting::change(walk, &name, &value)?),
        Reach::Server => walk.admin(&format!("global variable {name}")),
    }
    Ok(())
}

fn assign(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    if cursor.sign(":=") { Ok(()) } else { cursor.expect_sign("=") }
}

/// `@@global.a`, `@@session.a`, `@@a`.
fn scoped(name: &str) -> (String, Reach) {
    match name.split_once('.') {
        Some(("session" | "local", name)) => (name.to_owned(), Reach::Session),
        Some((_, name)) => (name.to_owned(), Reach::Server),
        None => (name.to_owned(), Reach::Session),
    }
}

/// SET NAMES charset COLLATE collation.
fn names(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, settings: &mut Vec<(Arc<str>, Setting)>) -> Result<(), Refusal> {
    let value = value_of(walk, cursor, Folds::No)?;
    for name in ["character_set_client", "character_set_connection", "character_set_results"] {
        settings.extend(setting::change(walk, name, &value)?);
    }
    if cursor.word("COLLATE") {
        let value = value_of(walk, cursor, Folds::No)?;
        settings.extend(setting::change(walk, "collation_connection", &value)?);
    }
    Ok(())
}

/// SET [SESSION] TRANSACTION modes.
fn transaction(
    walk: &mut Walk<'_>,
    cursor: &mut Cursor<'_>,
    reach: Reach,
    settings: &mut Vec<(Arc<str>, Setting)>,
) -> Result<(), Refusal> {
    if reach == Reach::Server {
        walk.admin("global variable transaction_isolation");
    }
    loop {
        if cursor.words(&["READ", "WRITE"]) {
            setting::write_access(walk);
            settings.push(("transaction_read_only".into(), Setting::To("0".into())));
        } else if cursor.words(&["READ", "ONLY"]) {
            settings.push(("transaction_read_only".into(), Setting::To("1".into())));
        } else {
            let levels: [&[&str]; 4] =
                [&["READ", "COMMITTED"], &["READ", "UNCOMMITTED"], &["REPEATABLE", "READ"], &["SERIALIZABLE"]];
            let known = cursor.words(&["ISOLATION", "LEVEL"]) && levels.iter().any(|level| cursor.words(level));
            if !known {
                return Err(cursor.here());
            }
        }
        // A comma may also begin the next variable.
        let more = cursor.peek(0).is_some_and(|t| t.is_sign(","))
            && cursor.peek(1).is_some_and(|t| t.is_word("READ") || t.is_word("ISOLATION"));
        if !more {
            return Ok(());
        }
        cursor.next();
    }
}

/// `SET @v = value`: a stored value in it has travelled to where no mask follows.
fn user_variable(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, name: &str) -> Result<(), Refusal> {
    let value = cursor.expression()?;
    let lineage = expression(walk, &Scope::top(), &value)?;
    walk.used(&lineage, &Usage::Travel(format!("@{name}").into()));
    Ok(())
}

/// Whether a computed value may be folded: only where the session asks the server afterwards what it made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Folds {
    Yes,
    No,
}

/// The value of a server variable, as far as the text tells.
fn value_of(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, folds: Folds) -> Result<Value, Refusal> {
    let alone = cursor.peek(1).is_none_or(|next| next.is_sign(",") || next.is_word("COLLATE"));
    if alone && let Some(token) = cursor.peek(0) {
        let value = match &token.kind {
            Kind::Word if token.is_word("DEFAULT") => Some(Value::Default),
            Kind::Word => Some(Value::Text(token.raw.to_owned())),
            Kind::Name(text) | Kind::Text(text) => Some(Value::Text(text.clone())),
            Kind::Number => Some(Value::Text(token.raw.to_owned())),
            Kind::Variable(name) => Some(Value::Variable(name.to_lowercase())),
            Kind::System(name) => Some(Value::System(name.clone())),
            Kind::Bits | Kind::Parameter | Kind::Sign => None,
        };
        if let Some(value) = value {
            cursor.next();
            return Ok(value);
        }
    }
    let tree = cursor.expression()?;
    let lineage = expression(walk, &Scope::top(), &tree)?;
    walk.used(&lineage, &Usage::Travel("a server variable".into()));
    Ok(match folds {
        Folds::Yes => setting::folded(walk, &tree),
        Folds::No => Value::Unknown,
    })
}
