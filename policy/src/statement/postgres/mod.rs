//! SQL text to [`Statement`](super::Statement)s by the server's own grammar (`pg_query`), every node kind listed.
//! Runs nothing, and prints no SQL that is sent anywhere: the client's bytes are what is forwarded.
//!
//! Top-down: [`parse`] bounds and parses the text, [`text`] follows several statements in one text, [`dispatch`] sends
//! each kind to its file: `session`, `prepared`, `explain`, `copy`, `create`, `alter`, `drop`, `maintain` and `admin`
//! for utility statements, `row_statement` for those with rows. `query` and `dml` find columns and their lineage through
//! `scope` and `expression`, `function` says what a call may do, `catalogs` which system relations hold only names.

use std::sync::Arc;

use crate::{
    catalog::{Catalog, Relation},
    statement::{Form, Lineage, Names, Refusal, Understood},
};

mod admin;
mod alter;
mod call;
mod catalogs;
mod condition;
mod constant;
mod copy;
mod create;
mod dispatch;
mod dml;
mod drop;
mod explain;
mod expression;
mod from;
mod function;
mod function_list;
mod identity;
mod inband;
#[cfg(test)]
mod inference_tests;
mod join;
mod json;
mod kept;
mod lazy;
mod maintain;
mod merge;
mod names;
mod nesting;
mod node;
mod output_name;
mod parse;
mod prepared;
mod query;
mod reach;
mod relation;
mod row_statement;
mod scope;
mod search_path;
mod session;
mod set_config;
mod setting;
mod sublink;
mod survey;
mod table_function;
mod table_parts;
#[cfg(test)]
pub(in crate::statement) mod testing;
#[cfg(test)]
mod tests;
mod text;
#[cfg(test)]
mod utility_tests;
mod walk;
mod with;

pub use function::behind_parameter;

/// Understands `text`, all of its statements, with the names of `catalog` under `names`.
///
/// # Errors
/// A [`Refusal`] when anything in it is not understood.
pub fn understand(text: &str, catalog: &Catalog, names: &Names) -> Result<Understood, Refusal> {
    parse::guarded(text, || text::understand(text, catalog, names))
}

/// The statements of `text` before any name is looked up.
///
/// # Errors
/// The place of the first statement that does not parse, as far as that can be told, and why.
pub fn forms(text: &str) -> Result<Vec<Form>, (usize, Refusal)> {
    let parsed = parse::guarded(text, || Ok(identity::forms(&parse::statements(text)?, text.len())));
    parsed.map_err(|refusal| (parse::first_fault(text), refusal))
}

/// What feeds each column of `relation`, in their order: views, materialized views and generated columns are followed
/// to what is stored. `None` when a definition is not understood.
pub fn lineage_of(catalog: &Catalog, relation: &Arc<Relation>) -> Option<Vec<Lineage>> {
    let mut walk = walk::Walk::new(catalog, relation::definition_path());
    let fields = relation::fields(&mut walk, relation, relation::Rows::Only).ok()?;
    Some(fields.iter().map(|field| Lineage::clone(&field.lineage)).collect())
}
