//! Calls of functions and aggregates, with FILTER, ORDER BY, WITHIN GROUP and OVER.
//! What the function of that name does is `function`'s affair.

use pg_query::{
    NodeEnum,
    protobuf::{FuncCall, WindowDef},
};

use super::{
    condition::{self, infer},
    expression::{self, expression, nullness},
    function::{self, Purity},
    node,
    query::sort_operator,
    scope::Scope,
    table_function,
    walk::Walk,
};
use crate::statement::{Lineage, Refusal, Usage, Via};

/// The lineage of a call's result.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn function(walk: &mut Walk<'_>, scope: &Scope<'_>, call: &FuncCall) -> Result<Lineage, Refusal> {
    let path = node::strings(&call.funcname)?;
    // WITHIN GROUP: the ordered values are arguments.
    let ordered = if call.agg_within_group { call.agg_order.len() } else { 0 };
    let purity = function::call(walk, &path, call.args.len() + ordered)?;
    let mut lineage = Lineage::constant();
    for argument in node::all(&call.args) {
        let plain_count = purity == Purity::Nullness && !call.agg_distinct;
        let value = if plain_count { nullness(walk, scope, argument)? } else { expression(walk, scope, argument)? };
        if call.agg_distinct {
            walk.used(&value, &Usage::Inference);
        }
        lineage.merge(&value);
    }
    for sort in node::all(&call.agg_order) {
        let NodeEnum::SortBy(sort) = sort else { return Err(node::unexpected(sort, "an aggregate's ORDER BY")) };
        sort_operator(walk, sort)?;
        let key = expression::one(walk, scope, sort.node.as_ref(), Via::Copy)?;
        walk.used(&key, &Usage::Inference);
        if call.agg_within_group {
            lineage.merge(&key);
        }
    }
    if let Some(filter) = node::boxed(call.agg_filter.as_ref()) {
        condition::condition(walk, scope, filter)?;
    }
    if let Some(over) = &call.over {
        window(walk, scope, over)?;
    }
    let lineage = lineage.through(expression::via(purity));
    if table_function::is_set_returning(&path) {
        // How many rows come of a value is told even where the rows are masked.
        walk.used(&lineage, &Usage::Inference);
    }
    Ok(lineage)
}

/// A window: its order and its partitions decide who is in it.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn window(walk: &mut Walk<'_>, scope: &Scope<'_>, window: &WindowDef) -> Result<(), Refusal> {
    for part in node::all(&window.partition_clause) {
        infer(walk, scope, part)?;
    }
    for sort in node::all(&window.order_clause) {
        let NodeEnum::SortBy(sort) = sort else { return Err(node::unexpected(sort, "a window's ORDER BY")) };
        sort_operator(walk, sort)?;
        infer(walk, scope, node::required(sort.node.as_ref(), "ORDER BY")?)?;
    }
    for bound in [&window.start_offset, &window.end_offset] {
        if let Some(bound) = node::boxed(bound.as_ref()) {
            infer(walk, scope, bound)?;
        }
    }
    Ok(())
}
