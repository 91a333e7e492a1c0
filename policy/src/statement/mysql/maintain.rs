//! Upkeep and calls: TRUNCATE, LOCK TABLES, ANALYZE and its kin, CALL, DO.
//! Reads no rows.

use super::{
    catalogs, condition, cursor::Cursor, dispatch::Draft, explain, expression::expression, function, scope::Scope,
    walk::Walk,
};
use crate::{
    catalog::{FunctionKind, QualifiedName},
    statement::{Action, Effect, Object, Refusal, RefusalKind, Usage, Verb},
};

/// `action` is done to `relation`; the server's own tables always need `admin`.
pub(super) fn change(walk: &mut Walk<'_>, action: Action, relation: &QualifiedName) {
    let action = if catalogs::is_system_schema(&relation.schema) { Action::Admin } else { action };
    walk.need(action, Object::Relation(relation.clone()));
    walk.touch(relation);
}

/// TRUNCATE [TABLE] name.
///
/// # Errors
/// A syntax error.
pub(super) fn truncate(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    cursor.word("TABLE");
    let name = cursor.qualified()?;
    wait(cursor);
    cursor.end()?;
    change(walk, Action::Truncate, &name);
    Ok(Draft::of("TRUNCATE"))
}

/// MariaDB's `WAIT 5` and `NOWAIT`.
pub(super) fn wait(cursor: &mut Cursor<'_>) {
    if cursor.word("WAIT") {
        cursor.next();
    } else {
        cursor.word("NOWAIT");
    }
}

/// LOCK TABLES; LOCK INSTANCE needs `admin`.
///
/// # Errors
/// A syntax error.
pub(super) fn lock(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    if cursor.word("INSTANCE") {
        walk.admin("the instance's backup lock");
        return Ok(Draft::of("LOCK INSTANCE"));
    }
    if cursor.one_of(&["TABLES", "TABLE"]).is_none() {
        return Err(cursor.here());
    }
    loop {
        let name = cursor.qualified()?;
        change(walk, Action::Lock, &name);
        let mode = |cursor: &mut Cursor<'_>| {
            if cursor.word("READ") {
                cursor.word("LOCAL");
                return true;
            }
            cursor.one_of(&["LOW_PRIORITY", "CONCURRENT"]);
            cursor.word("WRITE")
        };
        if !mode(cursor) {
            cursor.word("AS");
            cursor.name()?;
            if !mode(cursor) {
                return Err(cursor.here());
            }
        }
        if !cursor.sign(",") {
            break;
        }
    }
    wait(cursor);
    cursor.end()?;
    Ok(Draft::of("LOCK TABLES"))
}

/// UNLOCK TABLES.
///
/// # Errors
/// A syntax error.
pub(super) fn unlock(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    if cursor.word("INSTANCE") {
        walk.admin("the instance's backup lock");
        return Ok(Draft::of("UNLOCK INSTANCE"));
    }
    if cursor.one_of(&["TABLES", "TABLE"]).is_none() {
        return Err(cursor.here());
    }
    cursor.end()?;
    Ok(Draft::of("UNLOCK TABLES"))
}

/// ANALYZE TABLE, or MariaDB's ANALYZE of a statement.
///
/// # Errors
/// When the form is not known.
pub(super) fn analyze(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    let mut ahead = cursor.over(cursor.rest());
    ahead.one_of(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
    if ahead.peek(0).is_some_and(|t| t.is_word("TABLE") || t.is_word("TABLES")) {
        return tables(walk, cursor, "ANALYZE TABLE");
    }
    explain::analyze(walk, cursor)
}

/// `[NO_WRITE_TO_BINLOG] TABLE a, b options`; the options say how, never what else.
///
/// # Errors
/// A syntax error.
pub(super) fn tables(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, verb: Verb) -> Result<Draft, Refusal> {
    cursor.one_of(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
    if cursor.word("VIEW") {
        walk.admin("views' definitions");
        return Ok(Draft::of(verb).server());
    }
    if cursor.one_of(&["TABLE", "TABLES"]).is_none() {
        return Err(cursor.here());
    }
    loop {
        let name = cursor.qualified()?;
        change(walk, Action::Maintain, &name);
        if !cursor.sign(",") {
            break;
        }
    }
    const OPTIONS: &[&str] =
        &["QUICK", "FAST", "MEDIUM", "EXTENDED", "CHANGED", "FOR", "UPGRADE", "USE_FRM", "FORCE", "WAIT", "NOWAIT"];
    if cursor.one_of(&["UPDATE", "DROP", "PERSISTENT"]).is_some() {
        // Histograms: statistics of values, which only an administrator may read.
        return Ok(Draft::of(verb).server());
    }
    while cursor.one_of(OPTIONS).is_some() {}
    cursor.end()?;
    Ok(Draft::of(verb).server())
}

/// CALL name(arguments).
///
/// # Errors
/// When no procedure is called so.
pub(super) fn call(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    let name = cursor.qualified()?;
    if !cursor.done() {
        let list = cursor.parenthesis()?;
        let mut list = cursor.over(list);
        for value in &list.expressions()? {
            let lineage = expression(walk, &Scope::top(), value)?;
            walk.used(&lineage, &Usage::Travel(format!("{name}()").into()));
        }
        list.end()?;
    }
    cursor.end()?;
    match function::stored(walk, &name.schema, &name.name, FunctionKind::Procedure) {
        Some(procedure) => {
            walk.need(Action::Call, Object::Function(procedure));
            Ok(Draft::of("CALL").server().effect(Effect::None))
        }
        None => Err(Refusal::new(RefusalKind::UnknownFunction, format!("procedure {name} does not exist"))
            .hint("check the name and the database; a procedure made just now is known after a moment")),
    }
}

/// DO expressions: computed, not returned.
///
/// # Errors
/// When something in them is not understood.
pub(super) fn compute(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    for value in &cursor.expressions()? {
        condition::infer(walk, &Scope::top(), value)?;
    }
    cursor.end()?;
    Ok(Draft::of("DO"))
}
