//! TRUNCATE, LOCK, VACUUM and its kin, and CALL: what is done to relations as a whole, and procedures.

use pg_query::{Node, NodeEnum, protobuf};

use super::{
    admin, catalogs,
    dispatch::Draft,
    function,
    names::constant_expression,
    node,
    relation::{self, Rows, resolve_relation},
    walk::{Walk, column_ref},
};
use crate::statement::{Action, Effect, Lineage, Object, Outputs, Refusal, Usage, Verb};

/// `AccessShareLock`, as the server numbers its locks.
const ACCESS_SHARE: i32 = 1;

/// Any of these but CALL.
///
/// # Errors
/// When a relation is not known.
pub(super) fn maintain(walk: &mut Walk<'_>, statement: &NodeEnum) -> Result<Draft, Refusal> {
    let verb = match statement {
        NodeEnum::TruncateStmt(truncate) => {
            each(walk, &truncate.relations, Action::Truncate)?;
            if truncate.behavior == i32::from(protobuf::DropBehavior::DropCascade) {
                // It empties tables that it does not name.
                admin::need(walk, "TRUNCATE … CASCADE");
            }
            "TRUNCATE TABLE"
        }
        NodeEnum::LockStmt(lock) => {
            // The weakest lock is the one that reading takes; pg_dump asks for it by name.
            let action = if lock.mode == ACCESS_SHARE { Action::Select } else { Action::Lock };
            each(walk, &lock.relations, action)?;
            "LOCK TABLE"
        }
        NodeEnum::VacuumStmt(vacuum) => {
            if vacuum.rels.is_empty() {
                whole_database(walk);
            }
            for relation in node::all(&vacuum.rels) {
                let NodeEnum::VacuumRelation(relation) = relation else {
                    return Err(node::unexpected(relation, "VACUUM"));
                };
                one(walk, relation.relation.as_ref(), Action::Maintain)?;
            }
            if vacuum.is_vacuumcmd { "VACUUM" } else { "ANALYZE" }
        }
        NodeEnum::ClusterStmt(cluster) => {
            one_or_all(walk, cluster.relation.as_ref())?;
            if let Some(name) = &cluster.relation {
                // The rows lie in the index's order from then on, and come so where nothing else orders them. Of which
                // columns it is, the catalog does not tell.
                let relation = resolve_relation(walk, name)?;
                for column in &relation.columns {
                    walk.used(&Lineage::copy_of(column_ref(&relation.name, &column.name)), &Usage::Inference);
                }
            }
            "CLUSTER"
        }
        NodeEnum::ReindexStmt(reindex) => {
            one_or_all(walk, reindex.relation.as_ref())?;
            "REINDEX"
        }
        NodeEnum::RefreshMatViewStmt(refresh) => {
            one(walk, refresh.relation.as_ref(), Action::Maintain)?;
            if let Some(name) = &refresh.relation {
                // It runs the query: what that reads takes part.
                let view = resolve_relation(walk, name)?;
                relation::entry(walk, &view, Rows::Inherited)?;
            }
            "REFRESH MATERIALIZED VIEW"
        }
        NodeEnum::CheckPointStmt(_) => {
            whole_database(walk);
            "CHECKPOINT"
        }
        _ => return Err(node::unexpected(statement, "maintenance")),
    };
    Ok(Draft::of(verb))
}

fn each(walk: &mut Walk<'_>, relations: &[Node], action: Action) -> Result<(), Refusal> {
    for relation in node::all(relations) {
        let NodeEnum::RangeVar(name) = relation else { return Err(node::unexpected(relation, "a list of tables")) };
        one(walk, Some(name), action)?;
    }
    Ok(())
}

fn one(walk: &mut Walk<'_>, name: Option<&protobuf::RangeVar>, action: Action) -> Result<(), Refusal> {
    let name = name.ok_or_else(|| node::unsupported("a statement without a relation"))?;
    let relation = resolve_relation(walk, name)?;
    catalogs::change(walk, action, &relation.name);
    walk.touch(&relation.name);
    Ok(())
}

fn one_or_all(walk: &mut Walk<'_>, name: Option<&protobuf::RangeVar>) -> Result<(), Refusal> {
    if name.is_none() {
        whole_database(walk);
        return Ok(());
    }
    one(walk, name, Action::Maintain)
}

fn whole_database(walk: &mut Walk<'_>) {
    walk.need(Action::Maintain, Object::Session("database".into()));
}

/// CALL procedure (…).
///
/// # Errors
/// When there is no such procedure, or an argument is not understood.
pub(super) fn call(walk: &mut Walk<'_>, call: &protobuf::CallStmt) -> Result<Draft, Refusal> {
    let invocation: Verb = "CALL";
    let called = call.funccall.as_ref().ok_or_else(|| node::unsupported("CALL without a procedure"))?;
    for argument in node::all(&called.args) {
        let value = match argument {
            NodeEnum::NamedArgExpr(named) => node::required(named.arg.as_ref(), "CALL")?,
            _ => argument,
        };
        constant_expression(walk, value)?;
    }
    function::procedure(walk, &function::path_of(&called.funcname)?)?;
    Ok(Draft::of(invocation).outputs(Outputs::Server).effect(Effect::None))
}
