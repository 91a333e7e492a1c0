//! EXPLAIN: what it explains is not done, yet its estimates tell about values. EXPLAIN ANALYZE does it.
//! Reads options as the server does: the last one of a name counts.

use pg_query::{Node, NodeEnum, protobuf};

use super::{
    create,
    dispatch::{self, Draft, Manner},
    node,
    walk::Walk,
};
use crate::statement::{Action, ColumnUse, Effect, Need, Object, Outputs, Reach, Refusal, RefusalKind, Usage};

/// EXPLAIN [ANALYZE] …
///
/// # Errors
/// When the statement in it is not understood, or is EXECUTE.
pub(super) fn explain(walk: &mut Walk<'_>, explain: &protobuf::ExplainStmt) -> Result<Draft, Refusal> {
    let query = node::required(explain.query.as_ref(), "EXPLAIN")?;
    let inner = match query {
        NodeEnum::SelectStmt(select) if create::into_clause(select).is_some() => create::select_into(walk, select)?,
        NodeEnum::CreateTableAsStmt(table) => create::table_as(walk, table)?,
        NodeEnum::DeclareCursorStmt(declare) => {
            dispatch::rows(walk, node::required(declare.query.as_ref(), "DECLARE")?)?
        }
        NodeEnum::ExecuteStmt(_) => {
            return Err(Refusal::new(RefusalKind::Unsupported, "EXPLAIN EXECUTE is not supported through this proxy")
                .hint("EXPLAIN the statement itself, with values in the place of its parameters"));
        }
        _ => dispatch::rows(walk, query)?,
    };
    estimates_tell(walk);
    let explained = |draft: Draft| Draft { manner: Manner::Explained, ..draft };
    if analyzes(&explain.options)? {
        computed_unseen(walk, &inner.outputs, &explain.options);
        let relations: Vec<Object> = walk.needs.iter().filter_map(relation).collect();
        for object in relations {
            walk.need(Action::Explain, object);
        }
        walk.need(Action::Explain, Object::Session("EXPLAIN ANALYZE".into()));
        // The rows are counted, not returned; how long a filter took and how many rows it removed is returned.
        let mut draft = explained(Draft::of("EXPLAIN").outputs(Outputs::Server));
        draft.effect = inner.effect;
        draft.reach = inner.reach;
        return Ok(draft);
    }
    let needs = std::mem::take(&mut walk.needs);
    walk.needs = needs.into_iter().map(only_explained).collect();
    Ok(Draft { effect: Effect::None, reach: Reach::Some, ..explained(Draft::of("EXPLAIN").outputs(Outputs::Server)) })
}

/// ANALYZE computes what the statement would show: whether that fails is told, and with SERIALIZE how long it is.
fn computed_unseen(walk: &mut Walk<'_>, outputs: &Outputs, options: &[Node]) {
    let Outputs::Columns(outputs) = outputs else { return };
    let measured =
        node::all(options).any(|option| matches!(option, NodeEnum::DefElem(option) if option.defname == "serialize"));
    for output in outputs {
        walk.computed(&output.lineage);
        if measured {
            walk.used(&output.lineage, &Usage::Inference);
        }
    }
}

/// Estimates follow the values' statistics: comparing is as good as asking.
fn estimates_tell(walk: &mut Walk<'_>) {
    let uses = std::mem::take(&mut walk.uses);
    walk.uses = uses
        .into_iter()
        .map(|one| match one.usage {
            Usage::Equality => ColumnUse { usage: Usage::Inference, ..one },
            Usage::Inference | Usage::Travel(_) | Usage::Reshape => one,
        })
        .collect();
}

fn relation(need: &Need) -> Option<Object> {
    match &need.object {
        Object::Relation(_) => Some(need.object.clone()),
        Object::Catalog(_) | Object::Listing(_) | Object::Function(_) | Object::Session(_) => None,
    }
}

/// Reading or writing a relation becomes explaining it; what needs `admin` still does.
fn only_explained(need: Need) -> Need {
    match (&need.object, need.action) {
        (Object::Relation(_), action) if action != Action::Admin => Need { action: Action::Explain, ..need },
        (
            Object::Relation(_) | Object::Catalog(_) | Object::Listing(_) | Object::Function(_) | Object::Session(_),
            _,
        ) => need,
    }
}

/// Whether ANALYZE is on.
fn analyzes(options: &[Node]) -> Result<bool, Refusal> {
    let mut analyze = false;
    for option in node::all(options) {
        let NodeEnum::DefElem(option) = option else { return Err(node::unexpected(option, "the options of EXPLAIN")) };
        match option.defname.as_str() {
            "analyze" | "analyse" => analyze = boolean(option)?,
            "verbose" | "costs" | "settings" | "buffers" | "wal" | "timing" | "summary" | "memory" | "generic_plan"
            | "serialize" | "format" => {}
            other => return Err(node::unsupported(&format!("the option `{other}` of EXPLAIN"))),
        }
    }
    Ok(analyze)
}

/// A boolean option in any of the server's spellings; without a value it is on.
fn boolean(option: &protobuf::DefElem) -> Result<bool, Refusal> {
    let text = match node::boxed(option.arg.as_ref()) {
        None => return Ok(true),
        Some(NodeEnum::Integer(number)) => number.ival.to_string(),
        Some(NodeEnum::Boolean(value)) => value.boolval.to_string(),
        Some(NodeEnum::String(word)) => word.sval.to_ascii_lowercase(),
        Some(other) => return Err(node::unexpected(other, "the options of EXPLAIN")),
    };
    match text.as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(node::unsupported(&format!("the value `{text}` of an option of EXPLAIN"))),
    }
}
