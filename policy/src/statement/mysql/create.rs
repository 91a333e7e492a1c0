//! CREATE: of tables, views, indexes and sequences it is DDL, of everything else it needs `admin`.
//! What a definition takes out of other tables has travelled.

use super::{
    catalogs,
    cursor::Cursor,
    dispatch::Draft,
    maintain::change,
    query,
    refusal::unsupported,
    relation,
    table_parts::{self, columns_named},
    walk::Walk,
};
use crate::{
    catalog::QualifiedName,
    statement::{Action, Effect, Refusal, Usage, inband::SCHEMA},
};

/// CREATE, from behind the verb.
///
/// # Errors
/// When the form is not known.
pub(super) fn create(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    cursor.words(&["OR", "REPLACE"]);
    if cursor.word("TEMPORARY") {
        cursor.expect_word("TABLE")?;
        return table(walk, cursor, Lives::Session);
    }
    view_options(walk, cursor)?;
    if cursor.word("TABLE") {
        return table(walk, cursor, Lives::On);
    }
    if cursor.word("VIEW") {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        return view(walk, cursor, "CREATE VIEW");
    }
    let mut ahead = cursor.over(cursor.rest());
    let kind = ahead.one_of(&["UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR"]);
    if ahead.word("INDEX") {
        return index(walk, &mut ahead, kind == Some("UNIQUE"));
    }
    if cursor.word("SEQUENCE") {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = cursor.qualified()?;
        change(walk, Action::Ddl, &name);
        plain(cursor)?;
        return Ok(Draft::of("CREATE SEQUENCE").effect(Effect::ChangesCatalog));
    }
    const ADMIN: &[&str] = &[
        "DATABASE",
        "SCHEMA",
        "FUNCTION",
        "AGGREGATE",
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
    match cursor.one_of(ADMIN) {
        Some(what) => {
            walk.admin(&format!("CREATE {what}"));
            Ok(Draft::of("CREATE").effect(Effect::ChangesCatalog))
        }
        None => Err(cursor.here()),
    }
}

/// How long a new table lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lives {
    /// Until it is dropped.
    On,
    /// As long as the session, which alone sees it.
    Session,
}

/// What a temporary table may be called: nothing that means something already. In front of another table it would stand
/// for this session and not for its views, and a new version of it would be written by way of its old name.
pub(super) fn temporary(walk: &Walk<'_>, name: &QualifiedName) -> Result<(), Refusal> {
    let hides = catalogs::is_system_schema(&name.schema)
        || &*name.schema == SCHEMA
        || (relation::find(walk, name).is_some() && !walk.catalog.temporary.contains(name));
    if !hides {
        return Ok(());
    }
    Err(unsupported("a temporary table with the name of another table")
        .detail(format!("{name} would hide the table of the same name from this session"))
        .hint("give the temporary table another name"))
}

/// ALGORITHM, DEFINER and SQL SECURITY; a definer of its own choice is an administrator's affair.
pub(super) fn view_options(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    loop {
        if cursor.word("ALGORITHM") {
            cursor.expect_sign("=")?;
            if cursor.one_of(&["UNDEFINED", "MERGE", "TEMPTABLE"]).is_none() {
                return Err(cursor.here());
            }
        } else if cursor.word("DEFINER") {
            cursor.expect_sign("=")?;
            walk.admin("DEFINER");
            if cursor.next().is_none() {
                return Err(cursor.here());
            }
            // The host is lexed as a variable.
            if cursor.peek(0).is_some_and(|t| matches!(t.kind, super::lexer::Kind::Variable(_))) {
                cursor.next();
            } else if cursor.sign("(") {
                cursor.expect_sign(")")?;
            }
        } else if cursor.words(&["SQL", "SECURITY"]) {
            if cursor.one_of(&["DEFINER", "INVOKER"]).is_none() {
                return Err(cursor.here());
            }
        } else {
            return Ok(());
        }
    }
}

/// CREATE TABLE name LIKE other, (definitions) options, options AS query.
fn table(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, lives: Lives) -> Result<Draft, Refusal> {
    cursor.words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.qualified()?;
    change(walk, Action::Ddl, &name);
    let draft = match lives {
        Lives::On => Draft::of("CREATE TABLE").effect(Effect::ChangesCatalog),
        Lives::Session => {
            temporary(walk, &name)?;
            Draft::of("CREATE TEMPORARY TABLE").effect(Effect::ChangesTemporary([name.clone()].into()))
        }
    };
    let opens = |cursor: &Cursor<'_>, words: &[&str]| {
        cursor.peek(0).is_some_and(|t| t.is_sign("("))
            && cursor.peek(1).is_some_and(|t| words.iter().any(|word| t.is_word(word)) || t.is_sign("("))
    };
    if cursor.peek(0).is_some_and(|t| t.is_word("LIKE")) || opens(cursor, &["LIKE"]) {
        let closes = cursor.sign("(");
        cursor.expect_word("LIKE")?;
        let other = cursor.qualified()?;
        let other = relation::resolve(walk, Some(&other.schema), &other.name)?;
        super::from::read(walk, &other);
        if closes {
            cursor.expect_sign(")")?;
        }
        cursor.end()?;
        return Ok(draft);
    }
    if cursor.peek(0).is_some_and(|t| t.is_sign("(")) && !opens(cursor, &["SELECT", "WITH", "VALUES", "TABLE"]) {
        let parts = cursor.parenthesis()?;
        table_parts::definitions(walk, cursor.over(parts), &name)?;
    }
    if !cursor.peek(0).is_some_and(|t| t.is_sign("(")) {
        let options = cursor.until(&["AS", "SELECT", "WITH", "VALUES", "TABLE", "IGNORE", "REPLACE"]);
        table_parts::options(walk, options.rest())?;
        table_parts::no_reach(walk, options.rest())?;
    }
    cursor.one_of(&["IGNORE", "REPLACE"]);
    cursor.word("AS");
    if !cursor.done() {
        copied(walk, cursor, &name)?;
    }
    Ok(draft)
}

/// The rows of a query go into the new table.
fn copied(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, into: &QualifiedName) -> Result<(), Refusal> {
    let tree = cursor.query()?;
    cursor.end()?;
    let fields = query::query(walk, None, &tree)?.fields;
    for field in &fields {
        walk.used(&field.lineage, &Usage::Travel(format!("{into}.{}", field.name).into()));
    }
    walk.need(Action::Insert, crate::statement::Object::Relation(into.clone()));
    Ok(())
}

/// A view, from behind VIEW.
pub(super) fn view(
    walk: &mut Walk<'_>,
    cursor: &mut Cursor<'_>,
    verb: crate::statement::Verb,
) -> Result<Draft, Refusal> {
    let name = cursor.qualified()?;
    change(walk, Action::Ddl, &name);
    if cursor.peek(0).is_some_and(|t| t.is_sign("(")) {
        cursor.parenthesis()?;
    }
    cursor.expect_word("AS")?;
    let tree = cursor.query()?;
    let fields = query::query(walk, None, &tree)?.fields;
    for field in &fields {
        // Until the new definition is known to every session, the old one would tell what its columns are.
        walk.used(&field.lineage, &Usage::Travel(format!("{name}.{}", field.name).into()));
    }
    if cursor.word("WITH") {
        cursor.one_of(&["CASCADED", "LOCAL"]);
        cursor.expect_word("CHECK")?;
        cursor.expect_word("OPTION")?;
    }
    cursor.end()?;
    Ok(Draft::of(verb).effect(Effect::ChangesCatalog))
}

/// CREATE INDEX, from behind INDEX.
fn index(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, unique: bool) -> Result<Draft, Refusal> {
    cursor.words(&["IF", "NOT", "EXISTS"]);
    cursor.name()?;
    if cursor.word("USING") {
        cursor.name()?;
    }
    cursor.expect_word("ON")?;
    let name = cursor.qualified()?;
    change(walk, Action::Ddl, &name);
    let parts = cursor.parenthesis()?;
    let relation = relation::resolve(walk, Some(&name.schema), &name.name)?;
    // A unique index tells which values repeat, an index over an expression computes it.
    if unique || parts.iter().any(|token| token.is_sign("(") && !token.glued) || table_parts::calls(parts) {
        let named = columns_named(walk, &relation, parts)?;
        walk.used(&named, &Usage::Inference);
    }
    table_parts::no_reach(walk, parts)?;
    plain(cursor)?;
    Ok(Draft::of("CREATE INDEX").effect(Effect::ChangesCatalog))
}

/// What is left holds no query.
fn plain(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    if cursor.rest().iter().any(|token| token.is_word("SELECT")) { Err(cursor.here()) } else { Ok(()) }
}
