//! SQL text of MySQL and MariaDB to [`Statement`](super::Statement)s: our own lexer, exact to the sql_mode, then
//! `sqlparser` for expressions and queries with a list of the keywords it may see and of the tree nodes it may give,
//! and recognisers of our own for every other statement. Runs nothing, and prints no SQL that is sent anywhere.
//!
//! Top-down: [`parse`] bounds the text, [`text`] splits it, [`dispatch`] sends each kind to its file: `session`,
//! `setting`, `show`, `explain`, `prepared`, `load`, `create`, `alter`, `drop`, `maintain` and `admin` for utility
//! statements, `query` and `dml` for those with rows, which find columns and their lineage through `scope` and
//! `expression`. `function` says what a call may do, `catalogs` which system relations hold only names. `survey` and
//! `rewrite` find what review rules look at. `lexer`, `comment`, `reserved`, `gate`, `form` and `tables` stand before the
//! parser, `cursor` is our place in the tokens.

use std::sync::Arc;

use crate::{
    catalog::{Catalog, Relation},
    statement::{Form, Lineage, Refusal, Understood},
};

mod admin;
mod alter;
#[cfg(test)]
mod binding_tests;
mod call;
mod catalogs;
mod comment;
mod condition;
mod constant;
mod create;
mod cursor;
mod dispatch;
mod dml;
mod drop;
mod explain;
mod expression;
mod form;
mod from;
mod function;
mod function_list;
mod gate;
mod identity;
mod inband;
mod kinds;
mod lexer;
mod listing;
mod load;
mod maintain;
mod names;
mod node;
mod output_name;
mod parse;
mod prepared;
mod query;
mod reach;
mod refusal;
mod relation;
mod reserved;
mod rewrite;
mod scope;
mod session;
mod setting;
mod show;
mod survey;
mod table_parts;
mod tables;
#[cfg(test)]
pub(in crate::statement) mod testing;
#[cfg(test)]
mod tests;
mod text;
mod walk;
mod with;

pub use kinds::{is_number, kind};
pub use names::{Flavour, MysqlNames, SqlMode};
pub use setting::is_followed_charset;

/// Understands `text`, all of its statements, with the names of `catalog` under `names`.
///
/// # Errors
/// A [`Refusal`] when anything in it is not understood.
pub fn understand(text: &str, catalog: &Catalog, names: &MysqlNames) -> Result<Understood, Refusal> {
    parse::guarded(text, names, || text::understand(text, catalog, names))
}

/// The statements of `text` before any name is looked up.
///
/// # Errors
/// The place of the first statement that does not parse, as far as that can be told, and why.
pub fn forms(text: &str, names: &MysqlNames) -> Result<Vec<Form>, (usize, Refusal)> {
    parse::guarded(text, names, || text::forms(text, names)).map_err(|refusal| (0, refusal))
}

/// What feeds each column of `relation`, in their order: views and generated columns are followed to what is stored.
/// `None` when a definition is not understood.
pub fn lineage_of(catalog: &Catalog, relation: &Arc<Relation>, flavour: Flavour) -> Option<Vec<Lineage>> {
    let names = MysqlNames { flavour, ..MysqlNames::default() };
    let mut walk = walk::Walk::new(catalog, &names);
    let fields = relation::fields(&mut walk, relation).ok()?;
    Some(fields.iter().map(|field| Lineage::clone(&field.lineage)).collect())
}
