//! The one place that looks into a constant of the parse tree: what is looked at is told to `literal`, so that texts
//! which differ in it are not taken for the same. Of tokens, `Cursor::string` and `output_name` tell by themselves;
//! `identity` hashes them without telling.

use sqlparser::{
    ast::{Value, ValueWithSpan},
    tokenizer::{Location, Span},
};

use super::lexer::Lexed;
use crate::statement::literal::{self, Written};

/// Where `token` stands, in the parser's terms: columns count bytes of the text from 1.
pub(super) fn span(token: &Lexed<'_>) -> Span {
    let place = |at: usize| Location { line: 1, column: at as u64 + 1 };
    Span { start: place(token.at), end: place(token.at + token.raw.len()) }
}

fn place(location: Location) -> Option<usize> {
    usize::try_from(location.column.checked_sub(1)?).ok().filter(|_| location.line == 1)
}

/// What `constant` is. TRUE, FALSE and NULL are words of the grammar, not literals.
pub(super) fn value(constant: &ValueWithSpan) -> &Value {
    if !matches!(constant.value, Value::Boolean(_) | Value::Null | Value::Placeholder(_)) {
        literal::read(place(constant.span.start));
    }
    &constant.value
}

/// Of what kind `constant` is: what its kind says, whichever its value.
pub(super) fn kind(constant: &ValueWithSpan) -> &Value {
    &constant.value
}

/// `constant` is taken as a value, whichever it is.
pub(super) fn passed(constant: &ValueWithSpan) {
    if let (Value::Number(..) | Value::SingleQuotedString(_), Some(at), Some(end)) =
        (&constant.value, place(constant.span.start), place(constant.span.end))
    {
        literal::passed(at, || Written::Until(end));
    }
}
