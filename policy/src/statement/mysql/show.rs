//! SHOW: which forms tell names and states that everybody may know, and which tell data.
//! What a form's rows are is the server's affair.

use std::sync::Arc;

use super::{
    catalogs, condition,
    cursor::Cursor,
    dispatch::Draft,
    lexer::{Kind, Lexed},
    listing,
    refusal::unsupported,
    relation,
    scope::{Entry, Scope},
    walk::Walk,
};
use crate::{
    catalog::{QualifiedName, RelationKind},
    statement::{Action, Object, Refusal, Verb},
};

/// Forms that need nothing; an optional LIKE or WHERE follows.
const FREE: &[&[&str]] = &[
    &["CHARACTER", "SET"],
    &["CHARSET"],
    &["COLLATION"],
    &["COLUMN_TYPES"],
    &["CONTRIBUTORS"],
    &["AUTHORS"],
    &["ENGINES"],
    &["STORAGE", "ENGINES"],
    &["PLUGINS"],
    &["PLUGINS", "SONAME"],
    &["PRIVILEGES"],
    &["STATUS"],
    &["VARIABLES"],
    &["LOCALES"],
];

/// SHOW, from behind the verb.
///
/// # Errors
/// When the form is not known.
pub(super) fn show(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    let draft = Draft::of("SHOW").server();
    if cursor.word("CREATE") {
        create(walk, cursor)?;
        return Ok(draft);
    }
    if let Some(verb) = messages(walk, cursor)? {
        return Ok(Draft::of(verb).server());
    }
    if cursor.word("GRANTS") {
        if !cursor.done() && !cursor.words(&["FOR", "CURRENT_USER"]) {
            walk.admin("privileges of others");
            return Ok(draft);
        }
        if cursor.sign("(") {
            cursor.expect_sign(")")?;
        }
        cursor.end()?;
        return Ok(draft);
    }
    let scoped = cursor.one_of(&["GLOBAL", "SESSION", "LOCAL"]).is_some();
    if FREE.iter().any(|form| cursor.words(form)) {
        filter(walk, cursor)?;
        return Ok(draft);
    }
    if scoped {
        return Err(cursor.here());
    }
    if names(walk, cursor)? {
        return Ok(draft);
    }
    let admin: &[&str] = &[
        "PROCESSLIST",
        "ENGINE",
        "BINARY",
        "BINLOG",
        "MASTER",
        "RELAYLOG",
        "REPLICA",
        "REPLICAS",
        "SLAVE",
        "ALL",
        "PROFILE",
        "PROFILES",
        "CLIENT_STATISTICS",
        "INDEX_STATISTICS",
        "TABLE_STATISTICS",
        "USER_STATISTICS",
        "EXPLAIN",
        "ANALYZE",
        "PARSE_TREE",
        "AUTHENTICATION",
        "USER_VARIABLES",
        "HOSTS",
    ];
    cursor.word("FULL");
    match cursor.one_of(admin) {
        Some(what) => {
            walk.admin(&format!("SHOW {what}"));
            Ok(draft)
        }
        None => Err(unsupported("this form of SHOW").hint("information_schema has the names of tables and columns")),
    }
}

/// SHOW WARNINGS and ERRORS: about the session's own last statement. How many there are is no secret, what they say may
/// quote values: the session knows these by their verb.
fn messages(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Option<Verb>, Refusal> {
    if cursor.word("COUNT") {
        cursor.expect_sign("(")?;
        cursor.expect_sign("*")?;
        cursor.expect_sign(")")?;
        if cursor.one_of(&["WARNINGS", "ERRORS"]).is_none() {
            return Err(cursor.here());
        }
        cursor.end()?;
        walk.features.counts_warnings = true;
        return Ok(Some("SHOW"));
    }
    if cursor.one_of(&["WARNINGS", "ERRORS"]).is_none() {
        return Ok(None);
    }
    if cursor.word("LIMIT") {
        for bound in &cursor.expressions()? {
            condition::infer(walk, &Scope::top(), bound)?;
        }
    }
    cursor.end()?;
    Ok(Some("SHOW WARNINGS"))
}

/// Names of databases, tables, columns, indexes and routines: what `information_schema` tells everybody.
fn names(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<bool, Refusal> {
    let from_database = |walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, of: &str| -> Result<bool, Refusal> {
        catalog(walk, of);
        let named = if cursor.one_of(&["FROM", "IN"]).is_some() { Some(cursor.name()?) } else { None };
        match of {
            "SCHEMATA" => {}
            // Whatever database is chosen, these tell of all.
            "ROUTINES" => listing::tell(walk, pinned(cursor)),
            _ => tell_of(walk, named.as_deref()),
        }
        filter(walk, cursor)?;
        Ok(true)
    };
    for (words, of) in [
        (&["DATABASES"][..], "SCHEMATA"),
        (&["SCHEMAS"], "SCHEMATA"),
        (&["TABLES"], "TABLES"),
        (&["FULL", "TABLES"], "TABLES"),
        (&["EXTENDED", "TABLES"], "TABLES"),
        (&["EXTENDED", "FULL", "TABLES"], "TABLES"),
        (&["OPEN", "TABLES"], "TABLES"),
        (&["TABLE", "STATUS"], "TABLES"),
        (&["EVENTS"], "EVENTS"),
        (&["FUNCTION", "STATUS"], "ROUTINES"),
        (&["PROCEDURE", "STATUS"], "ROUTINES"),
        (&["PACKAGE", "STATUS"], "ROUTINES"),
        (&["PACKAGE", "BODY", "STATUS"], "ROUTINES"),
    ] {
        if cursor.words(words) {
            return from_database(walk, cursor, of);
        }
    }
    if cursor.words(&["TRIGGERS"]) || cursor.words(&["FULL", "TRIGGERS"]) {
        // Its rows hold the triggers' bodies.
        walk.admin("definitions of triggers");
        return from_database(walk, cursor, "TRIGGERS");
    }
    let mut ahead = cursor.over(cursor.rest());
    ahead.word("EXTENDED");
    ahead.word("FULL");
    let of = match ahead.one_of(&["COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS"]) {
        Some("COLUMNS" | "FIELDS") => "COLUMNS",
        Some(_) => "STATISTICS",
        None => return Ok(false),
    };
    if ahead.one_of(&["FROM", "IN"]).is_none() {
        return Err(ahead.here());
    }
    let first = ahead.name()?;
    let mut schema = if ahead.sign(".") { ahead.name().map(|_| Some(first))? } else { None };
    if ahead.one_of(&["FROM", "IN"]).is_some() {
        schema = Some(ahead.name()?);
    }
    catalog(walk, of);
    tell_of(walk, schema.as_deref());
    filter(walk, &mut ahead)?;
    Ok(true)
}

/// The names in `schema`, or in the database that is chosen, are told.
pub(super) fn tell_of(walk: &mut Walk<'_>, schema: Option<&str>) {
    let schema = schema.map(Arc::from).or_else(|| walk.names.database.clone());
    // With none chosen the server refuses.
    if schema.is_some() {
        listing::tell(walk, schema);
    }
}

/// The schema of `WHERE Db = 'shop' AND …`: a condition that all rows fulfil.
fn pinned(cursor: &Cursor<'_>) -> Option<Arc<str>> {
    let (first, tokens) = cursor.rest().split_first()?;
    let apart = ["OR", "XOR", "NOT"];
    let alone = |token: &Lexed<'_>| apart.iter().any(|word| token.is_word(word)) || token.is_sign("||");
    if !first.is_word("WHERE") || tokens.iter().any(|token| alone(token) || token.is_sign("!")) {
        return None;
    }
    let mut depth = 0u32;
    for (at, token) in tokens.iter().enumerate() {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.saturating_sub(1);
        }
        let begins = at.checked_sub(1).and_then(|at| tokens.get(at)).is_none_or(|before| before.is_word("AND"));
        let ends = tokens.get(at + 3).is_none_or(|behind| behind.is_word("AND"));
        if let (true, true, 0, [db, sign, Lexed { kind: Kind::Text(schema), .. }]) =
            (begins, ends, depth, tokens.get(at..at + 3).unwrap_or_default())
            && db.raw.trim_matches('`').eq_ignore_ascii_case("db")
            && sign.is_sign("=")
            // `BETWEEN a AND db = 'x'` has an AND of its own.
            && !tokens.iter().any(|token| token.is_word("BETWEEN"))
        {
            return Some(schema.as_str().into());
        }
    }
    None
}

/// What a relation of `information_schema` tells is told.
pub(super) fn catalog(walk: &mut Walk<'_>, of: &str) {
    walk.need(Action::Select, Object::Catalog(QualifiedName::new("information_schema", of)));
}

/// LIKE 'pattern' or WHERE condition over the server's own rows, then the end.
fn filter(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    if cursor.word("LIKE") {
        cursor.string()?;
    } else if cursor.word("WHERE") {
        let condition = cursor.expression()?;
        condition::condition(walk, &Scope::of(Entry::anything()), &condition)?;
    }
    cursor.end()
}

/// SHOW CREATE …: of a table it tells columns and keys, of everything else a body that somebody wrote.
fn create(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    match cursor.one_of(&[
        "TABLE",
        "VIEW",
        "SEQUENCE",
        "DATABASE",
        "SCHEMA",
        "PROCEDURE",
        "FUNCTION",
        "TRIGGER",
        "EVENT",
        "PACKAGE",
        "USER",
        "SERVER",
        "LIBRARY",
    ]) {
        Some("TABLE" | "VIEW" | "SEQUENCE") => {
            let name = cursor.qualified()?;
            cursor.end()?;
            let relation = relation::resolve(walk, Some(&name.schema), &name.name)?;
            let name = relation.name.clone();
            if catalogs::is_system_schema(&name.schema) {
                catalogs::read(walk, &relation);
                return Ok(());
            }
            let action = match relation.kind {
                RelationKind::View | RelationKind::MaterializedView => Action::Ddl,
                RelationKind::Table | RelationKind::ForeignTable | RelationKind::Sequence | RelationKind::Other => {
                    Action::Select
                }
            };
            walk.need(action, Object::Relation(name));
            Ok(())
        }
        Some("DATABASE" | "SCHEMA") => {
            cursor.words(&["IF", "NOT", "EXISTS"]);
            cursor.name()?;
            cursor.end()?;
            catalog(walk, "SCHEMATA");
            Ok(())
        }
        Some(what) => {
            walk.admin(&format!("definition of a {}", what.to_ascii_lowercase()));
            Ok(())
        }
        None => Err(cursor.here()),
    }
}
