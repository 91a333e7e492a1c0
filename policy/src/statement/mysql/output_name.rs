//! The names that outputs go by when nobody gave them one: a column's own name, else the text of the expression.
//! Knows no lineage.

use std::{ops::Range, sync::Arc};

use sqlparser::ast::Expr;

use super::{
    lexer::{Kind, Lexed},
    scope::Field,
};
use crate::statement::literal;

/// The name of an output without an alias, as far as other parts of the statement can use it: a column's own name.
/// Everything else gets none here, for only a quoted copy of its text could mean it; that is not found, and refused.
pub(super) fn of(value: &Expr) -> Arc<str> {
    match value {
        Expr::Identifier(name) => name.value.as_str().into(),
        Expr::CompoundIdentifier(path) => path.last().map_or("", |name| name.value.as_str()).into(),
        Expr::Nested(inner) => of(inner),
        _ => "".into(),
    }
}

/// Gives the unnamed columns of a whole statement the names that the server gives them: their text.
pub(super) fn complete(text: &str, tokens: &[Lexed<'_>], fields: &mut [Field]) {
    if fields.iter().all(|field| !field.name.is_empty()) {
        return;
    }
    let items = items(tokens);
    if items.len() != fields.len() {
        return; // A `*` among them: the unnamed ones stay so.
    }
    for (field, item) in fields.iter_mut().zip(items) {
        if field.name.is_empty() {
            // The name says what the literals in it say.
            let inside = tokens.iter().filter(|token| item.contains(&token.at));
            let literals = inside.filter(|token| matches!(token.kind, Kind::Number | Kind::Text(_) | Kind::Bits));
            literals.for_each(|token| literal::read(Some(token.at)));
            field.name = text.get(item).unwrap_or_default().into();
        }
    }
}

/// Where the first select list's items stand.
fn items(tokens: &[Lexed<'_>]) -> Vec<Range<usize>> {
    const SKIPPED: &[&str] = &[
        "ALL",
        "DISTINCT",
        "DISTINCTROW",
        "HIGH_PRIORITY",
        "STRAIGHT_JOIN",
        "SQL_SMALL_RESULT",
        "SQL_BIG_RESULT",
        "SQL_BUFFER_RESULT",
        "SQL_CACHE",
        "SQL_NO_CACHE",
        "SQL_CALC_FOUND_ROWS",
    ];
    const ENDS: &[&str] = &[
        "FROM",
        "WHERE",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "FOR",
        "LOCK",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "WINDOW",
    ];
    let Some(start) = tokens.iter().position(|token| token.is_word("SELECT")) else { return Vec::new() };
    let list = tokens.get(start + 1..).unwrap_or_default().iter();
    let list = list.skip_while(|token| token.kind == Kind::Word && SKIPPED.iter().any(|word| token.is_word(word)));
    let mut found = Vec::new();
    let mut depth = 0i32;
    let mut item: Option<Range<usize>> = None;
    for token in list {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth -= 1;
            if depth < 0 {
                break;
            }
        } else if depth == 0 && token.is_sign(",") {
            found.push(item.take().unwrap_or_default());
            continue;
        } else if depth == 0 && ENDS.iter().any(|word| token.is_word(word)) {
            break;
        }
        let end = token.at + token.raw.len();
        item = Some(item.map_or(token.at, |item| item.start)..end);
    }
    found.push(item.unwrap_or_default());
    found
}
