//! ALTER and RENAME: of tables, views and sequences it is DDL, of everything else it needs `admin`.
//! What takes a column out from under its mask, or copies it, is recorded.

use std::sync::Arc;

use super::{
    create,
    cursor::Cursor,
    dispatch::Draft,
    lexer::Lexed,
    maintain::change,
    refusal::unsupported,
    relation, rewrite,
    table_parts::{self, columns_named},
    walk::Walk,
};
use crate::{
    catalog::{QualifiedName, Relation},
    statement::{Action, Effect, Lineage, Object, Refusal, Usage},
};

/// ALTER, from behind the verb.
///
/// # Errors
/// When the form is not known.
pub(super) fn alter(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    cursor.word("ONLINE");
    cursor.word("IGNORE");
    if cursor.word("TABLE") {
        cursor.words(&["IF", "EXISTS"]);
        return table(walk, cursor);
    }
    if cursor.word("SEQUENCE") {
        cursor.words(&["IF", "EXISTS"]);
        let name = cursor.qualified()?;
        change(walk, Action::Ddl, &name);
        return Ok(Draft::of("ALTER SEQUENCE").effect(Effect::ChangesCatalog));
    }
    create::view_options(walk, cursor)?;
    if cursor.word("VIEW") {
        return create::view(walk, cursor, "ALTER VIEW");
    }
    const ADMIN: &[&str] = &[
        "DATABASE",
        "SCHEMA",
        "FUNCTION",
        "PROCEDURE",
        "EVENT",
        "USER",
        "SERVER",
        "INSTANCE",
        "LOGFILE",
        "TABLESPACE",
        "UNDO",
        "RESOURCE",
        "LIBRARY",
    ];
    match cursor.one_of(ADMIN) {
        Some(what) => {
            walk.admin(&format!("ALTER {what}"));
            Ok(Draft::of("ALTER").effect(Effect::ChangesCatalog))
        }
        None => Err(cursor.here()),
    }
}

fn table(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    let name = cursor.qualified()?;
    let relation = relation::resolve(walk, Some(&name.schema), &name.name)?;
    change(walk, Action::Ddl, &relation.name);
    super::maintain::wait(cursor);
    let all = cursor.rest();
    let mut each = Vec::new();
    while !cursor.done() {
        let mut spec = one_spec(cursor);
        each.push(cursor.over(spec.rest()));
        specification(walk, &mut spec, &relation)?;
    }
    rewrite::note(walk, &relation, all, each);
    Ok(Draft::of("ALTER TABLE").effect(Effect::ChangesCatalog))
}

/// Up to the next comma outside parentheses.
fn one_spec<'t>(cursor: &mut Cursor<'t>) -> Cursor<'t> {
    let tokens = cursor.rest();
    let mut depth = 0usize;
    let mut length = 0;
    for token in tokens {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.is_sign(",") {
            break;
        }
        length += 1;
    }
    for _ in 0..=length {
        cursor.next();
    }
    cursor.over(tokens.get(..length).unwrap_or_default())
}

fn specification(walk: &mut Walk<'_>, spec: &mut Cursor<'_>, relation: &Arc<Relation>) -> Result<(), Refusal> {
    let all = spec.rest();
    table_parts::no_reach(walk, all)?;
    table_parts::references(walk, spec, &relation.name)?;
    match spec.one_of(&["ADD", "MODIFY", "CHANGE", "ALTER", "DROP", "RENAME", "EXCHANGE", "ORDER", "PARTITION"]) {
        Some("ADD") => add(walk, spec, relation),
        Some("MODIFY") => {
            spec.word("COLUMN");
            spec.words(&["IF", "EXISTS"]);
            let column = spec.name()?;
            reshape(walk, relation, &column)?;
            table_parts::computed(walk, relation, &column, spec.rest())
        }
        Some("CHANGE") => {
            spec.word("COLUMN");
            spec.words(&["IF", "EXISTS"]);
            let column = spec.name()?;
            reshape(walk, relation, &column)?;
            let renamed = spec.name()?;
            table_parts::computed(walk, relation, &renamed, spec.rest())
        }
        Some("ALTER") => {
            if spec.one_of(&["INDEX", "KEY", "CHECK", "CONSTRAINT"]).is_some() {
                return Ok(());
            }
            spec.word("COLUMN");
            let column = spec.name()?;
            table_parts::computed(walk, relation, &column, spec.rest())
        }
        Some("DROP") => {
            if spec.word("PARTITION") {
                walk.need(Action::Truncate, Object::Relation(relation.name.clone()));
            }
            Ok(())
        }
        Some("RENAME") => rename_in(walk, spec, relation),
        Some("EXCHANGE") => exchange(walk, spec, relation),
        Some(_) => {
            // ORDER BY columns, PARTITION BY (columns): where a row lies tells about it.
            let named = columns_named(walk, relation, spec.rest())?;
            walk.used(&named, &Usage::Inference);
            Ok(())
        }
        None => option(walk, spec, relation),
    }
}

fn add(walk: &mut Walk<'_>, spec: &mut Cursor<'_>, relation: &Arc<Relation>) -> Result<(), Refusal> {
    const KEYS: &[&str] = &["CONSTRAINT", "UNIQUE", "PRIMARY", "FOREIGN", "CHECK"];
    const INDEXES: &[&str] = &["INDEX", "KEY", "FULLTEXT", "SPATIAL", "VECTOR"];
    if spec.one_of(KEYS).is_some() {
        let named = columns_named(walk, relation, &table_parts::inside(spec.rest()))?;
        walk.used(&named, &Usage::Inference);
        return Ok(());
    }
    if spec.one_of(INDEXES).is_some() {
        let inside = table_parts::inside_twice(spec.rest());
        let named = columns_named(walk, relation, &inside)?;
        walk.used(&named, &Usage::Inference);
        return Ok(());
    }
    if spec.word("PARTITION") {
        return Ok(());
    }
    if spec.one_of(&["SYSTEM", "PERIOD"]).is_some() {
        walk.admin("system versioning");
        return Ok(());
    }
    spec.word("COLUMN");
    spec.words(&["IF", "NOT", "EXISTS"]);
    if spec.peek(0).is_some_and(|token| token.is_sign("(")) {
        return table_parts::computed(walk, relation, "a new column", spec.rest());
    }
    let column = spec.name()?;
    table_parts::computed(walk, relation, &column, spec.rest())
}

fn rename_in(walk: &mut Walk<'_>, spec: &mut Cursor<'_>, relation: &Arc<Relation>) -> Result<(), Refusal> {
    if spec.one_of(&["INDEX", "KEY"]).is_some() {
        return Ok(());
    }
    if spec.word("COLUMN") {
        spec.words(&["IF", "EXISTS"]);
        let column = spec.name()?;
        return reshape(walk, relation, &column);
    }
    spec.one_of(&["TO", "AS"]);
    spec.sign("=");
    let to = spec.qualified()?;
    spec.end()?;
    moved(walk, relation, &to)
}

/// `relation` gets another name: masks go by names.
fn moved(walk: &mut Walk<'_>, relation: &Arc<Relation>, to: &QualifiedName) -> Result<(), Refusal> {
    if walk.catalog.temporary.contains(&relation.name) {
        return Err(unsupported("another name for a temporary table").hint("create it anew under the other name"));
    }
    change(walk, Action::Ddl, to);
    reshape_all(walk, relation)
}

fn reshape_all(walk: &mut Walk<'_>, relation: &Arc<Relation>) -> Result<(), Refusal> {
    let fields = relation::fields(walk, relation)?;
    let mut every = Lineage::constant();
    for field in fields.iter() {
        every.merge(&field.lineage);
    }
    walk.used(&every, &Usage::Reshape);
    Ok(())
}

fn reshape(walk: &mut Walk<'_>, relation: &Arc<Relation>, column: &str) -> Result<(), Refusal> {
    let fields = relation::fields(walk, relation)?;
    if let Some(lineage) = super::scope::only(&fields, column)? {
        walk.used(&lineage, &Usage::Reshape);
    }
    Ok(())
}

/// EXCHANGE PARTITION p WITH TABLE t: rows change places.
fn exchange(walk: &mut Walk<'_>, spec: &mut Cursor<'_>, relation: &Arc<Relation>) -> Result<(), Refusal> {
    spec.expect_word("PARTITION")?;
    spec.name()?;
    spec.expect_word("WITH")?;
    spec.expect_word("TABLE")?;
    let other = spec.qualified()?;
    let other = relation::resolve(walk, Some(&other.schema), &other.name)?;
    change(walk, Action::Ddl, &other.name);
    reshape_all(walk, relation)?;
    reshape_all(walk, &other)
}

/// Everything else: options of the table, and work on its partitions.
fn option(walk: &mut Walk<'_>, spec: &mut Cursor<'_>, relation: &Arc<Relation>) -> Result<(), Refusal> {
    const PARTITIONS: &[&str] = &[
        "ANALYZE",
        "CHECK",
        "COALESCE",
        "OPTIMIZE",
        "REBUILD",
        "REMOVE",
        "REORGANIZE",
        "REPAIR",
        "CONVERT",
        "TRUNCATE",
    ];
    let tokens: &[Lexed<'_>] = spec.rest();
    if spec.one_of(&["DISCARD", "IMPORT"]).is_some() {
        walk.admin("files of the server");
        return Ok(());
    }
    if spec.word("TRUNCATE") {
        walk.need(Action::Truncate, Object::Relation(relation.name.clone()));
        return Ok(());
    }
    if spec.words(&["CONVERT", "PARTITION"]) || spec.words(&["CONVERT", "TABLE"]) {
        return Err(unsupported("ALTER TABLE … CONVERT PARTITION"));
    }
    if spec.one_of(PARTITIONS).is_some() || spec.words(&["ENABLE", "KEYS"]) || spec.words(&["DISABLE", "KEYS"]) {
        return Ok(());
    }
    const OPTIONS: &[&str] = &[
        "ALGORITHM",
        "AUTO_INCREMENT",
        "AVG_ROW_LENGTH",
        "CHARACTER",
        "CHARSET",
        "CHECKSUM",
        "COLLATE",
        "COMMENT",
        "COMPRESSION",
        "CONNECTION",
        "DATA",
        "DEFAULT",
        "DELAY_KEY_WRITE",
        "ENCRYPTION",
        "ENGINE",
        "FORCE",
        "INDEX",
        "INSERT_METHOD",
        "KEY_BLOCK_SIZE",
        "LOCK",
        "MAX_ROWS",
        "MIN_ROWS",
        "PACK_KEYS",
        "PAGE_CHECKSUM",
        "PAGE_COMPRESSED",
        "ROW_FORMAT",
        "STATS_AUTO_RECALC",
        "STATS_PERSISTENT",
        "STATS_SAMPLE_PAGES",
        "TABLESPACE",
        "UNION",
        "WAIT",
        "NOWAIT",
        "WITHOUT",
        "WITH",
    ];
    if spec.one_of(OPTIONS).is_none() {
        return Err(spec.here());
    }
    table_parts::options(walk, tokens)
}

/// RENAME TABLE a TO b, …; RENAME USER needs `admin`.
///
/// # Errors
/// When a table is not known.
pub(super) fn rename(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    if cursor.word("USER") {
        walk.admin("RENAME USER");
        return Ok(Draft::of("RENAME USER"));
    }
    if cursor.one_of(&["TABLE", "TABLES"]).is_none() {
        return Err(cursor.here());
    }
    cursor.words(&["IF", "EXISTS"]);
    // One after the other: a later one may name what an earlier one made.
    let mut made: Vec<(QualifiedName, Arc<Relation>)> = Vec::new();
    loop {
        let from = cursor.qualified()?;
        super::maintain::wait(cursor);
        cursor.expect_word("TO")?;
        let to = cursor.qualified()?;
        let relation = match made.iter().position(|(name, _)| *name == from) {
            Some(at) => made.swap_remove(at).1,
            None => relation::resolve(walk, Some(&from.schema), &from.name)?,
        };
        change(walk, Action::Ddl, &from);
        moved(walk, &relation, &to)?;
        made.push((to, relation));
        if !cursor.sign(",") {
            break;
        }
    }
    cursor.end()?;
    Ok(Draft::of("RENAME TABLE").effect(Effect::ChangesCatalog))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{one, uses};

    #[test]
    fn a_default_needs_no_parentheses() {
        for (definition, travels) in [
            ("ADD nick TEXT DEFAULT ssn AFTER email", "ssn"),
            ("ADD nick TEXT DEFAULT `ssn`, ADD b INT", "ssn"),
            ("ADD nick TEXT DEFAULT CASE WHEN 1 THEN ssn END", "ssn"),
            ("ALTER nick SET DEFAULT ssn", "ssn"),
            ("ADD nick VARCHAR(9) NOT NULL DEFAULT 'ssn' AFTER ssn", ""),
            ("ADD nick VARCHAR(9) FIRST", ""),
        ] {
            let found = uses(&one(&format!("ALTER TABLE customers {definition}")));
            let expected = match travels {
                "" => String::new(),
                column => format!("shop.customers.{column} Travel(\"shop.customers.nick\")"),
            };
            assert_eq!(found, expected, "{definition}");
        }
    }
}
