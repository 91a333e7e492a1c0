//! EXPLAIN, DESCRIBE and MariaDB's ANALYZE of statements: what is explained is not done, yet its estimates tell about
//! values; ANALYZE does it.

use super::{
    cursor::Cursor,
    dispatch::{self, Draft, Manner},
    names::Flavour,
    refusal::unsupported,
    show,
    walk::{Printed, Walk},
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
        inside(walk, cursor, if analyzes { Some(detail.unwrap_or(Detail::Expressions)) } else { detail })?;
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
    let detail = options(cursor)?;
    inside(walk, cursor, Some(detail.unwrap_or(Detail::Expressions)))?;
    Ok(analyzed(walk))
}

/// How much an explanation prints, where its format is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// Numbers and names.
    Names,
    /// Expressions as the optimizer sees them: a row found by its key is already there, value by value.
    Expressions,
    /// The whole statement as the optimizer sees it.
    Statement,
}

/// The statement that is explained. `detail`: what the explanation is said to print.
fn inside(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, detail: Option<Detail>) -> Result<(), Refusal> {
    walk.printed = match (detail, walk.names.flavour) {
        (Some(Detail::Names), _) | (None, Flavour::MariaDb) => Printed::Nothing,
        // MySQL's explanations are trees by default.
        (Some(Detail::Expressions) | None, _) => Printed::Expressions,
        // MariaDB prints its conditions and orders.
        (Some(Detail::Statement), Flavour::MariaDb) => Printed::Expressions,
        (Some(Detail::Statement), Flavour::MySql) => Printed::Everything,
    };
    let inner = dispatch::rows(walk, cursor)?;
    walk.printed = Printed::Nothing;
    let columns = match (&inner.outputs, detail) {
        (Outputs::Columns(columns), Some(Detail::Expressions | Detail::Statement)) => columns.as_slice(),
        (Outputs::Columns(_), Some(Detail::Names) | None) => &[],
        (Outputs::None | Outputs::Server | Outputs::OfPrepared(_) | Outputs::OfCursor(_), _) => &[],
    };
    for column in columns {
        walk.used(&column.lineage, &Usage::Inference);
    }
    Ok(())
}

fn options(cursor: &mut Cursor<'_>) -> Result<Option<Detail>, Refusal> {
    let mut detail = None;
    loop {
        if cursor.word("FORMAT") {
            cursor.expect_sign("=")?;
            match cursor.one_of(&["JSON", "TREE", "TRADITIONAL", "TRADITIONAL_STRICT"]) {
                Some("JSON") => detail = Some(Detail::Statement),
                Some("TREE") => detail = Some(Detail::Expressions),
                Some(_) => detail = Some(Detail::Names),
                None => return Err(cursor.here()),
            }
        } else if cursor.word("INTO") {
            return Err(unsupported("EXPLAIN INTO"));
        } else if cursor.word("EXTENDED") {
            detail = Some(Detail::Expressions);
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

#[cfg(test)]
mod tests {
    use super::{
        super::{
            testing::{catalog, names, uses},
            understand,
        },
        *,
    };

    /// MySQL prints the value of a column in a row that is found by its key.
    #[test]
    fn what_an_explanation_prints_is_used() {
        let catalog = catalog();
        let of = |flavour, text: &str| {
            let statements = understand(text, &catalog, &names("", flavour)).expect(text).statements;
            let uses = statements.first().map(uses).unwrap_or_default();
            uses.split(", ").filter(|one| one.contains("email")).collect::<String>()
        };
        const EMAIL: &str = "shop.customers.email Inference";
        for (text, mysql, mariadb) in [
            ("EXPLAIN SELECT email FROM customers WHERE id = 1", "", ""),
            ("EXPLAIN SELECT * FROM customers WHERE id = 1", "", ""),
            ("EXPLAIN SELECT COUNT(email) FROM customers WHERE id = 1", EMAIL, ""),
            ("EXPLAIN SELECT MAX(email) FROM customers WHERE id = 1", EMAIL, ""),
            ("EXPLAIN SELECT id FROM customers WHERE id = 1 AND email IS NOT NULL", EMAIL, ""),
            ("EXPLAIN FORMAT=TRADITIONAL SELECT COUNT(email) FROM customers WHERE id = 1", "", ""),
            ("EXPLAIN FORMAT=TREE SELECT COUNT(email) FROM customers WHERE id = 1", EMAIL, EMAIL),
            ("EXPLAIN FORMAT=JSON SELECT COUNT(email) FROM customers WHERE id = 1", EMAIL, EMAIL),
            ("EXPLAIN FORMAT=JSON SELECT id FROM (SELECT id, email FROM customers LIMIT 5) q", EMAIL, ""),
            ("EXPLAIN FORMAT=TREE SELECT id FROM (SELECT id, email FROM customers LIMIT 5) q", "", ""),
            ("EXPLAIN ANALYZE SELECT COUNT((SELECT email FROM nums LIMIT 1)) FROM customers", EMAIL, EMAIL),
        ] {
            assert_eq!(of(Flavour::MySql, text), mysql, "{text}");
            assert_eq!(of(Flavour::MariaDb, text), mariadb, "{text}");
        }
    }
}
