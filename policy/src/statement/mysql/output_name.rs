//! The name that an output goes by when nobody gave it one, as far as other parts of the statement can use it.
//! Knows no lineage.

use std::sync::Arc;

use sqlparser::ast::Expr;

/// The name of an output without an alias: a column's own name. The server names everything else by its text, which
/// only a quoted name could mean; such a name is not found, and refused.
pub(super) fn of(value: &Expr) -> Arc<str> {
    match value {
        Expr::Identifier(name) => name.value.as_str().into(),
        Expr::CompoundIdentifier(path) => path.last().map_or("", |name| name.value.as_str()).into(),
        Expr::Nested(inner) => of(inner),
        other => {
            // The printed form is close to the text; it names the column in a result only.
            other.to_string().into()
        }
    }
}
