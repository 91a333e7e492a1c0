//! COPY: out, where every column leaves the reach of its mask, and in. Files and programs of the server need `admin`.

use std::sync::Arc;

use pg_query::{Node, NodeEnum, protobuf};

use super::{
    catalogs,
    dispatch::{self, Draft, Manner},
    node,
    relation::{self, relation_expression, resolve_relation},
    walk::Walk,
};
use crate::statement::{Action, Effect, Object, Outputs, Refusal, Usage};

/// COPY … TO, COPY … FROM.
///
/// # Errors
/// When the relation or query in it is not understood.
pub(super) fn copy(walk: &mut Walk<'_>, copy: &protobuf::CopyStmt) -> Result<Draft, Refusal> {
    let on_server = copy.is_program || !copy.filename.is_empty();
    if on_server {
        walk.need(Action::Admin, Object::Session("server files and programs".into()));
    }
    if copy.is_from { copy_in(walk, copy, on_server) } else { copy_out(walk, copy, on_server) }
}

fn copy_in(walk: &mut Walk<'_>, copy: &protobuf::CopyStmt, on_server: bool) -> Result<Draft, Refusal> {
    let name = copy.relation.as_ref().ok_or_else(|| node::unsupported("COPY FROM without a table"))?;
    let relation = resolve_relation(walk, name)?;
    catalogs::change(walk, Action::CopyIn, &relation.name);
    catalogs::change(walk, Action::Insert, &relation.name);
    walk.touch(&relation.name);
    if let Some(condition) = node::boxed(copy.where_clause.as_ref()) {
        // It sees the rows that come in, not stored ones: what it calls counts, what it compares does not.
        relation_expression(walk, &relation, condition)?;
        walk.uses.clear();
    }
    let given = node::strings(&copy.attlist)?;
    relation::defaults(walk, &relation, |name| !given.is_empty() && given.iter().all(|column| column != name))?;
    let effect = if on_server { Effect::None } else { Effect::CopyIn };
    Ok(Draft::of("COPY").effect(effect))
}

fn copy_out(walk: &mut Walk<'_>, copy: &protobuf::CopyStmt, on_server: bool) -> Result<Draft, Refusal> {
    let rows = match (&copy.relation, node::boxed(copy.query.as_ref())) {
        (None, Some(query)) => dispatch::rows(walk, query)?,
        (Some(name), None) => {
            // A table's own rows and no child's, and of a list of columns just those: SELECT … FROM ONLY name.
            let own = protobuf::RangeVar { inh: false, ..name.clone() };
            let select = protobuf::SelectStmt {
                target_list: targets(&copy.attlist)?,
                from_clause: vec![wrap(NodeEnum::RangeVar(own))],
                limit_option: protobuf::LimitOption::Default.into(),
                op: protobuf::SetOperation::SetopNone.into(),
                ..protobuf::SelectStmt::default()
            };
            dispatch::rows(walk, &NodeEnum::SelectStmt(Box::new(select)))?
        }
        (Some(_), Some(_)) | (None, None) => return Err(node::unsupported("this form of COPY")),
    };
    let to =
        Usage::Travel(Arc::from(if on_server { "COPY … TO a file of the server" } else { "COPY … TO STDOUT" }));
    if let Outputs::Columns(columns) = &rows.outputs {
        for column in columns {
            walk.used(&column.lineage, &to);
        }
    }
    let effect = if on_server { Effect::None } else { Effect::CopyOut };
    Ok(Draft { manner: Manner::Exported, reach: rows.reach, ..Draft::of("COPY").effect(effect) })
}

/// The columns of a list, or `*`.
fn targets(columns: &[Node]) -> Result<Vec<Node>, Refusal> {
    let names = node::strings(columns)?;
    let fields: Vec<NodeEnum> = if names.is_empty() {
        vec![NodeEnum::AStar(protobuf::AStar {})]
    } else {
        names.into_iter().map(|sval| NodeEnum::String(protobuf::String { sval })).collect()
    };
    Ok(fields.into_iter().map(target).collect())
}

fn target(field: NodeEnum) -> Node {
    let column = protobuf::ColumnRef { fields: vec![wrap(field)], location: -1 };
    let target = protobuf::ResTarget {
        val: Some(Box::new(wrap(NodeEnum::ColumnRef(column)))),
        location: -1,
        ..protobuf::ResTarget::default()
    };
    wrap(NodeEnum::ResTarget(Box::new(target)))
}

fn wrap(node: NodeEnum) -> Node {
    Node { node: Some(node) }
}
