//! The entry to everything that returns or writes rows: SELECT, INSERT, UPDATE, DELETE, MERGE.
//! Decides nothing; the facts flow into the walk.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{IntoClause, SelectStmt},
};

use super::{dml, names::new_name, node, query, scope::Field, walk::Walk};
use crate::statement::{Action, Object, Output, Outputs, Reach, Refusal, Usage};

/// Walks one statement that returns or writes rows: what comes back, if rows do.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn row_statement(walk: &mut Walk<'_>, statement: &NodeEnum) -> Result<Outputs, Refusal> {
    match statement {
        NodeEnum::SelectStmt(select) => {
            let fields = query::body(walk, None, select)?.fields;
            match into(select) {
                Some(table) => {
                    select_into(walk, table, &fields)?;
                    Ok(Outputs::None)
                }
                None => Ok(Outputs::Columns(outputs(fields))),
            }
        }
        NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_) => {
            Ok(match dml::modify(walk, None, statement)? {
                Some(fields) => Outputs::Columns(outputs(fields)),
                None => Outputs::None,
            })
        }
        _ => Err(node::unexpected(statement, "a statement")),
    }
}

/// How many rows the UPDATEs and DELETEs of the statement reach, those in WITH among them. To be asked after
/// [`row_statement`]: it takes the names' meaning to know whether a condition looks at the rows at all.
pub(super) fn reach(walk: &Walk<'_>) -> Reach {
    walk.reach
}

/// Whether the statement is a SELECT … INTO, which makes a table.
pub(super) fn makes_table(statement: &NodeEnum) -> bool {
    matches!(statement, NodeEnum::SelectStmt(select) if into(select).is_some())
}

fn outputs(fields: Vec<Field>) -> Vec<Output> {
    fields.into_iter().map(|field| Output { name: field.name, lineage: Arc::unwrap_or_clone(field.lineage) }).collect()
}

/// INTO of the statement: in a set operation the first arm has it.
fn into(select: &SelectStmt) -> Option<&IntoClause> {
    let mut select = select;
    while let Some(left) = select.larg.as_deref() {
        select = left;
    }
    select.into_clause.as_deref()
}

fn select_into(walk: &mut Walk<'_>, into: &IntoClause, fields: &[Field]) -> Result<(), Refusal> {
    let Some(table) = &into.rel else { return Err(node::unsupported("INTO without a table")) };
    let name = new_name(walk, table)?;
    let place: Arc<str> = Arc::from(name.to_string());
    walk.need(Action::Ddl, Object::Relation(name));
    for field in fields {
        walk.used(&field.lineage, &Usage::Travel(Arc::clone(&place)));
    }
    Ok(())
}
