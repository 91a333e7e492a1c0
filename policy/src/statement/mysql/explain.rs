//! EXPLAIN, DESCRIBE and MariaDB's ANALYZE of statements: what is explained is not done, yet its estimates tell about
//! values; ANALYZE does it.

use super::{
    cursor::Cursor,
    dispatch::{self, Draft, Manner},
    refusal::unsupported,
    show,
    walk::Walk,
};
use crate::statement::{Action, ColumnUse, Need, Object, Outputs, Refusal, Usage};

/// EXPLAIN, DESCRIBE or DESC, from behind the verb.
///
/// # Errors
/// When the statement in it is not understood.
pub(super) fn explain(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    let analyzes = cursor.word("ANALYZE");
    let detail = options(cursor)?;
    if cursor.words(&["FOR", "CONNECTION"]) {
        walk.admin("statements of other sessions");
        return Ok(Draft::of("EXPLAIN").server());
    }
    const EXPLAINED: &[&str] = &["SELECT", "WITH", "VALUES", "TABLE", "INSERT", "REPLACE", "UPDATE", "DELETE"];
    let statement = cursor.peek(0).is_some_and(|t| t.is_sign("(") || EXPLAINED.iter().any(|word| t.is_word(word)));
    if statement {
        let inner = dispatch::rows(walk, cursor)?;
        shown(walk, &inner, if analyzes { Detail::Texts } else { detail });
        return Ok(if analyzes { analyzed(walk) } else { explained(walk) });
    }
    if analyzes {
        return Err(cursor.here());
    }
    // DESCRIBE table [column]
    let first = cursor.name()?;
    let schema = if cursor.sign(".") { cursor.name().map(|_| Some(first))? } else { None };
    if !cursor.done() && cursor.string().is_err() {
        cursor.name()?;
    }
    cursor.end()?;
    show::catalog(walk, "COLUMNS");
    show::tell_of(walk, schema.as_deref());
    Ok(Draft::of("DESCRIBE").server())
}

/// MariaDB's ANALYZE of a statement, from behind the verb.
///
/// # Errors
/// When the statement in it is not understood.
pub(super) fn analyze(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    options(cursor)?;
    let inner = dispatch::rows(walk, cursor)?;
    shown(walk, &inner, Detail::Texts);
    Ok(analyzed(walk))
}

/// How much an explanation prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// Numbers and names.
    Names,
    /// The statement as the optimizer sees it, in which a row found by its key is already there, value by value.
    Texts,
}

/// What the explanation may print of the values that the statement would show.
fn shown(walk: &mut Walk<'_>, inner: &Draft, detail: Detail) {
    let columns = match &inner.outputs {
        Outputs::Columns(columns) if detail == Detail::Texts => columns.as_slice(),
        Outputs::Columns(_) | Outputs::None | Outputs::Server | Outputs::OfPrepared(_) | Outputs::OfCursor(_) => &[],
    };
    for column in columns {
        walk.used(&column.lineage, &Usage::Inference);
    }
}

fn options(cursor: &mut Cursor<'_>) -> Result<Detail, Refusal> {
    let mut detail = Detail::Names;
    loop {
        if cursor.word("FORMAT") {
            cursor.expect_sign("=")?;
            match cursor.one_of(&["JSON", "TREE", "TRADITIONAL", "TRADITIONAL_STRICT"]) {
                Some("JSON" | "TREE") => detail = Detail::Texts,
                Some(_) => {}
                None => return Err(cursor.here()),
            }
        } else if cursor.word("INTO") {
            return Err(unsupported("EXPLAIN INTO"));
        } else if cursor.word("EXTENDED") {
            detail = Detail::Texts;
        } else if !cursor.word("PARTITIONS") {
            return Ok(detail);
        }
    }
}

fn explained(walk: &mut Walk<'_>) -> Draft {
    estimates_tell(walk);
    let needs = std::mem::take(&mut walk.needs);
    walk.needs = needs.into_iter().map(only_explained).collect();
    Draft { manner: Manner::Explained, ..Draft::of("EXPLAIN").server() }
}

/// The rows are counted, not returned; how long a filter took and how many rows it removed is returned.
fn analyzed(walk: &mut Walk<'_>) -> Draft {
    estimates_tell(walk);
    let relations: Vec<Object> = walk.needs.iter().filter(|need| is_relation(need)).map(|n| n.object.clone()).collect();
    for object in relations {
        walk.need(Action::Explain, object);
    }
    walk.need(Action::Explain, Object::Session("EXPLAIN ANALYZE".into()));
    Draft { manner: Manner::Analyzed, ..Draft::of("EXPLAIN").server() }
}

/// Estimates follow the values' statistics: comparing is as good as asking.
fn estimates_tell(walk: &mut Walk<'_>) {
    let uses = std::mem::take(&mut walk.uses);
    walk.uses = uses
        .into_iter()
        .map(|one| match one.usage {
            Usage::Equality => ColumnUse { usage: Usage::Inference, ..one },
            Usage::Inference | Usage::Travel(_) | Usage::Reshape => one,
        })
        .collect();
}

fn is_relation(need: &Need) -> bool {
    match need.object {
        Object::Relation(_) => true,
        Object::Catalog(_) | Object::Listing(_) | Object::Function(_) | Object::Session(_) => false,
    }
}

/// Reading or writing a relation becomes explaining it; what needs `admin` still does.
fn only_explained(need: Need) -> Need {
    if is_relation(&need) && need.action != Action::Admin { Need { action: Action::Explain, ..need } } else { need }
}
