//! The SQL/JSON and XML expressions that have a syntax of their own.
//! They read whole documents: whatever goes in feeds whatever comes out.

use pg_query::{
    Node, NodeEnum,
    protobuf::{JsonAggConstructor, JsonBehavior, JsonFuncExpr, JsonKeyValue, JsonOutput, JsonValueExpr, XmlExpr},
};

use super::{
    call, condition,
    expression::{self, expression, one},
    function, node, query,
    scope::Scope,
    walk::Walk,
};
use crate::statement::{Lineage, Refusal, Usage, Via};

/// The lineage of one of them.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn value(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &NodeEnum) -> Result<Lineage, Refusal> {
    match value {
        NodeEnum::XmlExpr(xml) => self::xml(walk, scope, xml),
        NodeEnum::XmlSerialize(xml) => {
            if let Some(name) = &xml.type_name {
                function::cast(walk, name)?;
            }
            one(walk, scope, xml.expr.as_ref(), Via::Partial)
        }
        NodeEnum::JsonFuncExpr(query) => json_query(walk, scope, query),
        NodeEnum::JsonParseExpr(parse) => {
            let lineage = item(walk, scope, parse.expr.as_deref())?;
            output(walk, parse.output.as_ref())?;
            Ok(lineage.through(Via::Partial))
        }
        NodeEnum::JsonScalarExpr(scalar) => {
            let step = output(walk, scalar.output.as_ref())?;
            one(walk, scope, scalar.expr.as_ref(), step)
        }
        NodeEnum::JsonSerializeExpr(serialize) => {
            let lineage = item(walk, scope, serialize.expr.as_deref())?;
            output(walk, serialize.output.as_ref())?;
            Ok(lineage.through(Via::Partial))
        }
        NodeEnum::JsonIsPredicate(predicate) => one(walk, scope, predicate.expr.as_ref(), Via::Total),
        NodeEnum::JsonObjectConstructor(object) => {
            let lineage = items(walk, scope, &object.exprs)?;
            let step = output(walk, object.output.as_ref())?;
            Ok(lineage.through(if object.unique { Via::Partial } else { step }))
        }
        NodeEnum::JsonArrayConstructor(array) => {
            let lineage = items(walk, scope, &array.exprs)?;
            Ok(lineage.through(output(walk, array.output.as_ref())?))
        }
        NodeEnum::JsonArrayQueryConstructor(array) => {
            let body = node::required(array.query.as_ref(), "JSON_ARRAY")?;
            let mut lineage = Lineage::constant();
            for field in query::subquery(walk, scope, body)?.fields {
                lineage.merge(&field.lineage);
            }
            Ok(lineage.through(output(walk, array.output.as_ref())?))
        }
        NodeEnum::JsonObjectAgg(object) => {
            let lineage = match &object.arg {
                Some(pair) => key_value(walk, scope, pair)?,
                None => Lineage::constant(),
            };
            let step = aggregate(walk, scope, object.constructor.as_deref())?;
            Ok(lineage.through(if object.unique { Via::Partial } else { step }))
        }
        NodeEnum::JsonArrayAgg(array) => {
            let lineage = item(walk, scope, array.arg.as_deref())?;
            Ok(lineage.through(aggregate(walk, scope, array.constructor.as_deref())?))
        }
        _ => Err(node::unexpected(value, "an expression")),
    }
}

fn xml(walk: &mut Walk<'_>, scope: &Scope<'_>, xml: &XmlExpr) -> Result<Lineage, Refusal> {
    let mut lineage = expression::all(walk, scope, &xml.args, Via::Partial)?;
    for named in node::all(&xml.named_args) {
        let NodeEnum::ResTarget(named) = named else { return Err(node::unexpected(named, "an XML expression")) };
        lineage.merge(&one(walk, scope, named.val.as_ref(), Via::Partial)?);
    }
    Ok(lineage)
}

/// JSON_EXISTS, JSON_VALUE, JSON_QUERY.
fn json_query(walk: &mut Walk<'_>, scope: &Scope<'_>, query: &JsonFuncExpr) -> Result<Lineage, Refusal> {
    let mut lineage = item(walk, scope, query.context_item.as_deref())?;
    if let Some(path) = node::boxed(query.pathspec.as_ref()) {
        lineage.merge(&expression(walk, scope, path)?);
    }
    lineage.merge(&passing(walk, scope, &query.passing)?);
    output(walk, query.output.as_ref())?;
    for behavior in [&query.on_empty, &query.on_error] {
        lineage.merge(&self::behavior(walk, scope, behavior.as_deref())?);
    }
    Ok(lineage.through(Via::Partial))
}

/// The arguments of PASSING.
///
/// # Errors
/// When something in them is not understood.
pub(super) fn passing(walk: &mut Walk<'_>, scope: &Scope<'_>, arguments: &[Node]) -> Result<Lineage, Refusal> {
    let mut lineage = Lineage::constant();
    for argument in node::all(arguments) {
        let NodeEnum::JsonArgument(argument) = argument else { return Err(node::unexpected(argument, "PASSING")) };
        lineage.merge(&item(walk, scope, argument.val.as_deref())?);
    }
    Ok(lineage)
}

/// The expression of ON EMPTY or ON ERROR.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn behavior(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    behavior: Option<&JsonBehavior>,
) -> Result<Lineage, Refusal> {
    match behavior.and_then(|behavior| node::boxed(behavior.expr.as_ref())) {
        Some(value) => expression(walk, scope, value),
        None => Ok(Lineage::constant()),
    }
}

/// A JSON value with its FORMAT.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn item(walk: &mut Walk<'_>, scope: &Scope<'_>, item: Option<&JsonValueExpr>) -> Result<Lineage, Refusal> {
    match item {
        Some(item) => one(walk, scope, item.raw_expr.as_ref(), Via::Copy),
        None => Ok(Lineage::constant()),
    }
}

fn items(walk: &mut Walk<'_>, scope: &Scope<'_>, values: &[Node]) -> Result<Lineage, Refusal> {
    let mut lineage = Lineage::constant();
    for value in node::all(values) {
        lineage.merge(&match value {
            NodeEnum::JsonKeyValue(pair) => key_value(walk, scope, pair)?,
            NodeEnum::JsonValueExpr(value) => item(walk, scope, Some(value))?,
            _ => return Err(node::unexpected(value, "a JSON constructor")),
        });
    }
    Ok(lineage)
}

fn key_value(walk: &mut Walk<'_>, scope: &Scope<'_>, pair: &JsonKeyValue) -> Result<Lineage, Refusal> {
    let mut lineage = one(walk, scope, pair.key.as_ref(), Via::Copy)?;
    lineage.merge(&item(walk, scope, pair.value.as_deref())?);
    Ok(lineage)
}

/// RETURNING type: a cast, which may fail.
fn output(walk: &mut Walk<'_>, output: Option<&JsonOutput>) -> Result<Via, Refusal> {
    match output.and_then(|output| output.type_name.as_ref()) {
        Some(name) => {
            function::cast(walk, name)?;
            Ok(Via::Partial)
        }
        None => Ok(Via::Total),
    }
}

fn aggregate(walk: &mut Walk<'_>, scope: &Scope<'_>, aggregate: Option<&JsonAggConstructor>) -> Result<Via, Refusal> {
    let Some(aggregate) = aggregate else { return Ok(Via::Total) };
    for sort in node::all(&aggregate.agg_order) {
        let NodeEnum::SortBy(sort) = sort else { return Err(node::unexpected(sort, "an aggregate's ORDER BY")) };
        query::sort_operator(walk, sort)?;
        let key = one(walk, scope, sort.node.as_ref(), Via::Copy)?;
        walk.used(&key, &Usage::Inference);
    }
    if let Some(filter) = node::boxed(aggregate.agg_filter.as_ref()) {
        condition::condition(walk, scope, filter)?;
    }
    if let Some(over) = &aggregate.over {
        call::window(walk, scope, over)?;
    }
    output(walk, aggregate.output.as_ref())
}
