//! The parts of CREATE TABLE and ALTER TABLE: definitions of columns and keys, and options.
//! Works on tokens: it looks for what reaches out of the table, and leaves the rest to the server.

use std::sync::Arc;

use super::{
    cursor::Cursor,
    function,
    lexer::{Kind, Lexed},
    refusal::unsupported,
    relation,
    scope::{Same, same},
    walk::Walk,
};
use crate::{
    catalog::{QualifiedName, Relation},
    statement::{Action, Lineage, Object, Refusal, Usage},
};

/// Engines that keep rows in this server and nowhere else.
const ENGINES: &[&str] = &[
    "ARCHIVE",
    "ARIA",
    "BLACKHOLE",
    "COLUMNSTORE",
    "HEAP",
    "INNODB",
    "MEMORY",
    "MYISAM",
    "NDB",
    "NDBCLUSTER",
    "ROCKSDB",
    "TOKUDB",
];

/// The definitions of a new table.
///
/// # Errors
/// When one of them is not followed.
pub(super) fn definitions(walk: &mut Walk<'_>, parts: Cursor<'_>, table: &QualifiedName) -> Result<(), Refusal> {
    let tokens = parts.rest();
    no_reach(walk, tokens)?;
    references(walk, &parts, table)
}

/// Every REFERENCES in `parts`: the other table's columns are compared with the own ones.
///
/// # Errors
/// When it names no table.
pub(super) fn references(walk: &mut Walk<'_>, parts: &Cursor<'_>, table: &QualifiedName) -> Result<(), Refusal> {
    let mut rest = parts.over(parts.rest());
    loop {
        while rest.peek(0).is_some_and(|token| !token.is_word("REFERENCES")) {
            rest.next();
        }
        if rest.next().is_none() {
            return Ok(());
        }
        let other = rest.qualified()?;
        if other == *table {
            continue;
        }
        walk.need(Action::Ddl, Object::Relation(other.clone()));
        walk.touch(&other);
        if rest.peek(0).is_some_and(|token| token.is_sign("(")) {
            let columns = rest.parenthesis()?;
            // A table that is not there yet has nothing to tell; the server says so.
            if let Some(relation) = relation::find(walk, &other) {
                let named = columns_named(walk, &relation, columns)?;
                walk.equal(&named);
            }
        }
    }
}

/// Queries have no place in a definition, and functions that reach beyond it need `admin`.
///
/// # Errors
/// When `tokens` hold a query.
pub(super) fn no_reach(walk: &mut Walk<'_>, tokens: &[Lexed<'_>]) -> Result<(), Refusal> {
    if tokens.iter().any(|token| token.is_word("SELECT")) {
        return Err(unsupported("a query in a definition"));
    }
    for (token, next) in tokens.iter().zip(tokens.iter().skip(1)) {
        if next.is_sign("(") && function::reaches_out(token.raw) {
            walk.admin(&format!("function {}", token.raw.to_ascii_lowercase()));
        }
    }
    Ok(())
}

/// Whether something in `tokens` is called: a word with a parenthesis that holds more than a number.
pub(super) fn calls(tokens: &[Lexed<'_>]) -> bool {
    let mut following = tokens.iter().skip(1).zip(tokens.iter().skip(2));
    following.any(|(open, inside)| open.is_sign("(") && inside.kind != Kind::Number)
        || tokens.first().is_some_and(|first| first.is_sign("("))
}

/// The options of a table: those that name other places or tables need `admin`.
///
/// # Errors
/// When the engine keeps its rows elsewhere.
pub(super) fn options(walk: &mut Walk<'_>, tokens: &[Lexed<'_>]) -> Result<(), Refusal> {
    const OUTSIDE: &[&str] =
        &["DIRECTORY", "CONNECTION", "UNION", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE", "ENCRYPTION"];
    for (at, token) in tokens.iter().enumerate() {
        let value = tokens.get(at + 1..).unwrap_or_default().iter().find(|next| !next.is_sign("="));
        if token.is_word("ENGINE") || token.is_word("TYPE") {
            let engine = match value.map(|value| (&value.kind, value.raw)) {
                Some((Kind::Text(text) | Kind::Name(text), _)) => text.clone(),
                Some((_, raw)) => raw.to_owned(),
                None => String::new(),
            };
            if !ENGINES.iter().any(|known| known.eq_ignore_ascii_case(&engine)) {
                walk.admin(&format!("engine {engine}"));
            }
        } else if OUTSIDE.iter().any(|word| token.is_word(word)) {
            walk.admin(&format!("table option {}", token.raw.to_ascii_uppercase()));
        }
    }
    Ok(())
}

/// The lineage of every column of `relation` that `tokens` name.
///
/// # Errors
/// When a generated column's definition is not understood.
pub(super) fn columns_named(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    tokens: &[Lexed<'_>],
) -> Result<Lineage, Refusal> {
    let fields = relation::fields(walk, relation)?;
    let mut lineage = Lineage::constant();
    for token in tokens {
        let name = match &token.kind {
            Kind::Name(name) => name.as_str(),
            Kind::Word => token.raw,
            Kind::Text(_)
            | Kind::Bits
            | Kind::Number
            | Kind::Variable(_)
            | Kind::System(_)
            | Kind::Parameter
            | Kind::Sign => continue,
        };
        for field in fields.iter().filter(|field| same(&field.name, name) != Same::No) {
            lineage.merge(&field.lineage);
        }
    }
    Ok(lineage)
}

/// What stands in parentheses of `tokens`, all together.
pub(super) fn inside<'t>(tokens: &[Lexed<'t>]) -> Vec<Lexed<'t>> {
    deeper_than(tokens, 0)
}

/// What stands in parentheses within parentheses: the expressions of an index.
pub(super) fn inside_twice<'t>(tokens: &[Lexed<'t>]) -> Vec<Lexed<'t>> {
    deeper_than(tokens, 1)
}

fn deeper_than<'t>(tokens: &[Lexed<'t>], level: usize) -> Vec<Lexed<'t>> {
    let mut depth = 0usize;
    let mut found = Vec::new();
    for token in tokens {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.saturating_sub(1);
        } else if depth > level {
            found.push(token.clone());
        }
    }
    found
}

/// A value computed from columns of `relation` goes into a column of it.
///
/// # Errors
/// When a generated column's definition is not understood.
pub(super) fn computed(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    column: &str,
    tokens: &[Lexed<'_>],
) -> Result<(), Refusal> {
    let named = columns_named(walk, relation, &valued(tokens))?;
    walk.used(&named, &Usage::Travel(format!("{}.{column}", relation.name).into()));
    Ok(())
}

/// Of a column's definition from its type on, what may name the columns that its value is made of. In MariaDB a default
/// needs no parentheses: `a TEXT DEFAULT b`. `AFTER b` says where the column stands.
fn valued<'t>(tokens: &[Lexed<'t>]) -> Vec<Lexed<'t>> {
    let place = match tokens {
        [.., after, _] if after.is_word("AFTER") => 2,
        _ => 0,
    };
    let named = tokens.len() - place;
    let ty = usize::from(tokens.first().is_some_and(|first| first.kind == Kind::Word));
    tokens.get(ty..named).unwrap_or_default().to_vec()
}
