//! SQL text to [`Statement`]s by the server's own grammar (`pg_query`), every node kind listed.
//! Runs nothing, and prints no SQL that is sent anywhere: the client's bytes are what is forwarded.
//!
//! Top-down: [`parse`] bounds and parses the text, `statement` sends each kind to its file, `query` and `dml` find
//! columns and their lineage through `scope` and `expression`, `function` says what a call may do, `session` reads
//! SET and its kin, `utility` and `ddl` the rest, `walk` is what they share.

use crate::{
    catalog::Catalog,
    statement::{Names, Refusal, Understood},
};

mod call;
mod catalogs;
mod condition;
mod dml;
mod expression;
mod from;
mod function;
mod join;
mod json;
mod merge;
mod node;
mod output_name;
mod query;
mod reach;
mod relation;
mod row_statement;
mod scope;
mod sublink;
mod table_function;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod walk;
mod with;

/// Understands `text`, all of its statements, with the names of `catalog` under `names`.
///
/// # Errors
/// A [`Refusal`] when anything in it is not understood.
pub fn understand(_text: &str, _catalog: &Catalog, _names: &Names) -> Result<Understood, Refusal> {
    Err(Refusal::new(crate::statement::RefusalKind::Unsupported, "not built yet"))
}
