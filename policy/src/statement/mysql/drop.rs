//! DROP: of tables, views, indexes and sequences it is DDL, of everything else it needs `admin`.
//! Looks nothing up: what is not there is dropped by nobody.

use super::{
    cursor::Cursor,
    dispatch::Draft,
    maintain::{change, wait},
    prepared,
    refusal::unsupported,
    walk::Walk,
};
use crate::{
    catalog::QualifiedName,
    statement::{Action, Effect, Refusal, Verb},
};

/// DROP, from behind the verb.
///
/// # Errors
/// When the form is not known.
pub(super) fn drop_objects(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    if cursor.peek(0).is_some_and(|token| token.is_word("PREPARE")) {
        return prepared::deallocate(cursor);
    }
    if cursor.word("TEMPORARY") {
        // MySQL knows one form, MariaDB knows sequences as well.
        if cursor.one_of(&["TABLE", "TABLES"]).is_none() {
            return Err(cursor.here());
        }
        let names = list(walk, cursor)?;
        return Ok(Draft::of("DROP TEMPORARY TABLE").effect(Effect::ChangesTemporary(names.into())));
    }
    match cursor.one_of(&["TABLE", "TABLES", "VIEW", "SEQUENCE", "INDEX"]) {
        Some("TABLE" | "TABLES") => lasting(walk, cursor, "DROP TABLE"),
        Some("VIEW") => lasting(walk, cursor, "DROP VIEW"),
        Some("SEQUENCE") => lasting(walk, cursor, "DROP SEQUENCE"),
        Some(_) => index(walk, cursor),
        None => other(walk, cursor),
    }
}

fn lasting(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, verb: Verb) -> Result<Draft, Refusal> {
    list(walk, cursor)?;
    Ok(Draft::of(verb).effect(Effect::ChangesCatalog))
}

fn list(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Vec<QualifiedName>, Refusal> {
    cursor.words(&["IF", "EXISTS"]);
    let mut names = Vec::new();
    loop {
        let name = cursor.qualified()?;
        change(walk, Action::Ddl, &name);
        names.push(name);
        if !cursor.sign(",") {
            break;
        }
    }
    wait(cursor);
    cursor.one_of(&["RESTRICT", "CASCADE"]);
    cursor.end()?;
    Ok(names)
}

fn index(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    cursor.words(&["IF", "EXISTS"]);
    if !cursor.word("PRIMARY") {
        cursor.name()?;
    }
    cursor.expect_word("ON")?;
    let name = cursor.qualified()?;
    change(walk, Action::Ddl, &name);
    while let Some(option) = cursor.one_of(&["ALGORITHM", "LOCK"]) {
        cursor.sign("=");
        if cursor.next().is_none() {
            return Err(unsupported(option));
        }
    }
    wait(cursor);
    cursor.end()?;
    Ok(Draft::of("DROP INDEX").effect(Effect::ChangesCatalog))
}

fn other(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    const ADMIN: &[&str] = &[
        "FUNCTION",
        "PROCEDURE",
        "TRIGGER",
        "EVENT",
        "USER",
        "ROLE",
        "SERVER",
        "PACKAGE",
        "LOGFILE",
        "TABLESPACE",
        "UNDO",
        "RESOURCE",
        "SPATIAL",
        "LIBRARY",
    ];
    if cursor.one_of(&["DATABASE", "SCHEMA"]).is_some() {
        cursor.words(&["IF", "EXISTS"]);
        let name = cursor.name()?;
        cursor.end()?;
        walk.admin(&format!("database {name}"));
        return Ok(Draft::of("DROP DATABASE").effect(Effect::ChangesCatalog));
    }
    match cursor.one_of(ADMIN) {
        Some(what) => {
            walk.admin(&format!("DROP {what}"));
            Ok(Draft::of("DROP").effect(Effect::ChangesCatalog))
        }
        None => Err(cursor.here()),
    }
}
