//! LOAD DATA: LOCAL reads a file of the client's, without LOCAL it reads one of the server's host.
//! Opens no file.

use super::{
    catalogs, cursor::Cursor, dispatch::Draft, dml, lexer::Kind, refusal::unsupported, relation, scope::Scope,
    walk::Walk,
};
use crate::statement::{Action, Effect, Object, Refusal};

/// LOAD DATA and LOAD XML, from behind LOAD.
///
/// # Errors
/// When the form is not known.
pub(super) fn load(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    if cursor.words(&["INDEX", "INTO", "CACHE"]) {
        walk.admin("key caches");
        return Ok(Draft::of("LOAD INDEX"));
    }
    if cursor.one_of(&["DATA", "XML"]).is_none() {
        return Err(cursor.here());
    }
    cursor.one_of(&["LOW_PRIORITY", "CONCURRENT"]);
    let local = cursor.word("LOCAL");
    cursor.expect_word("INFILE")?;
    cursor.string()?;
    let replaces = cursor.one_of(&["REPLACE", "IGNORE"]) == Some("REPLACE");
    cursor.expect_word("INTO")?;
    cursor.expect_word("TABLE")?;
    let name = cursor.qualified()?;
    let relation = relation::resolve(walk, Some(&name.schema), &name.name)?;
    if !local || catalogs::is_system_schema(&relation.name.schema) {
        walk.admin("files of the server");
    }
    walk.need(Action::CopyIn, Object::Relation(relation.name.clone()));
    walk.need(Action::Insert, Object::Relation(relation.name.clone()));
    if replaces {
        walk.need(Action::Delete, Object::Relation(relation.name.clone()));
    }
    walk.touch(&relation.name);
    options(cursor)?;
    if cursor.word("SET") {
        let target = relation::entry(walk, &relation)?;
        dml::load_assignments(walk, cursor, &relation.name, &target, &Scope::of(target.clone()))?;
    }
    cursor.end()?;
    Ok(Draft::of("LOAD DATA").effect(Effect::CopyIn))
}

/// PARTITION, CHARACTER SET, FIELDS, LINES, IGNORE n LINES and the list of columns and variables.
fn options(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    const WORDS: &[&str] = &[
        "CHARACTER",
        "FIELDS",
        "COLUMNS",
        "TERMINATED",
        "BY",
        "OPTIONALLY",
        "ENCLOSED",
        "ESCAPED",
        "LINES",
        "STARTING",
        "IGNORE",
        "ROWS",
        "IDENTIFIED",
    ];
    while let Some(token) = cursor.peek(0) {
        if token.is_word("CHARACTER") {
            cursor.next();
            cursor.expect_word("SET")?;
            if cursor.string().is_err() && !cursor.word("BINARY") {
                cursor.name()?;
            }
        } else if token.is_word("PARTITION") || token.is_sign("(") {
            cursor.word("PARTITION");
            let list = cursor.parenthesis()?;
            if list.iter().any(|token| token.is_word("SELECT")) {
                return Err(unsupported("a query in LOAD DATA"));
            }
        } else if token.is_word("SET") {
            return Ok(());
        } else if WORDS.iter().any(|word| token.is_word(word))
            || matches!(token.kind, Kind::Text(_) | Kind::Number | Kind::Bits)
        {
            cursor.next();
        } else {
            return Err(cursor.here());
        }
    }
    Ok(())
}
