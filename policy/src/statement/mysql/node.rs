//! Names in `sqlparser`'s tree, read back as the server reads them: what is a reserved word is no name.
//! Understands nothing but names.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use super::{reserved::is_reserved, walk::Walk};
use crate::statement::{Refusal, RefusalKind};

/// A name of a column, table or database.
///
/// # Errors
/// When it is a reserved word without quotes, a string, a variable or a function.
pub(super) fn name<'n>(walk: &Walk<'_>, ident: &'n Ident) -> Result<&'n str, Refusal> {
    match ident.quote_style {
        Some('`') => Ok(&ident.value),
        None if !is_reserved(&ident.value, walk.names.flavour) => Ok(&ident.value),
        _ => Err(Refusal::new(
            RefusalKind::Unparsed,
            format!("you have an error in your SQL syntax near '{}'", ident.value),
        )
        .detail("a reserved word or a constant stands where a name belongs")
        .hint("quote the name with backquotes: `order`")),
    }
}

/// An alias of the select list, which may be a string.
///
/// # Errors
/// When it is neither a name nor a string, or one that servers trim.
pub(super) fn alias<'n>(walk: &Walk<'_>, ident: &'n Ident) -> Result<&'n str, Refusal> {
    match ident.quote_style {
        Some('\'') if ident.value.trim() == ident.value && !ident.value.is_empty() => Ok(&ident.value),
        _ => name(walk, ident),
    }
}

/// A dotted name.
///
/// # Errors
/// When a part of it is no name.
pub(super) fn path<'n>(walk: &Walk<'_>, path: &'n ObjectName) -> Result<Vec<&'n str>, Refusal> {
    path.0.iter().map(|part| part_of(walk, part)).collect()
}

fn part_of<'n>(walk: &Walk<'_>, part: &'n ObjectNamePart) -> Result<&'n str, Refusal> {
    match part.as_ident() {
        Some(ident) => name(walk, ident),
        None => Err(super::refusal::unexpected("a name")),
    }
}

/// `name` or `database.name`.
///
/// # Errors
/// When it has another number of parts, or a part is no name.
pub(super) fn relation<'n>(walk: &Walk<'_>, name: &'n ObjectName) -> Result<(Option<&'n str>, &'n str), Refusal> {
    match path(walk, name)?.as_slice() {
        [name] => Ok((None, *name)),
        [database, name] => Ok((Some(*database), *name)),
        _ => Err(super::refusal::unexpected("a table's name")),
    }
}
