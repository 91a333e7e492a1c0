//! Expressions as conditions: which stored columns decide, and whether only by equality.
//! Records uses; whether a use is allowed is not decided here.

use pg_query::{
    Node, NodeEnum,
    protobuf::{AExpr, AExprKind, BoolTestType, SubLink, SubLinkType, TypeName},
};

use super::{
    expression::{self, expression, nullness},
    function::{self, Casts, Purity},
    node,
    scope::Scope,
    sublink,
    walk::Walk,
};
use crate::statement::{Lineage, Refusal, Usage, Via};

/// Walks a condition: WHERE, ON, HAVING, FILTER, CASE WHEN.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn condition(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &NodeEnum) -> Result<(), Refusal> {
    walk.step()?;
    match value {
        NodeEnum::BoolExpr(expr) => {
            for part in node::all(&expr.args) {
                condition(walk, scope, part)?;
            }
            Ok(())
        }
        NodeEnum::AExpr(operation) => comparison(walk, scope, operation),
        NodeEnum::NullTest(_) => infer(walk, scope, value),
        NodeEnum::BooleanTest(test) => {
            let inner = node::required(test.arg.as_ref(), "IS TRUE")?;
            match BoolTestType::try_from(test.booltesttype) {
                Ok(BoolTestType::IsUnknown | BoolTestType::IsNotUnknown) => {
                    let lineage = nullness(walk, scope, inner)?;
                    walk.used(&lineage, &Usage::Inference);
                    Ok(())
                }
                Ok(
                    BoolTestType::IsTrue | BoolTestType::IsNotTrue | BoolTestType::IsFalse | BoolTestType::IsNotFalse,
                ) => condition(walk, scope, inner),
                Ok(BoolTestType::Undefined) | Err(_) => Err(node::unsupported("a test of unknown kind")),
            }
        }
        NodeEnum::SubLink(link) => sublink::condition(walk, scope, link),
        // Which of several conditions counts is told by others, and by whether one of them is null.
        NodeEnum::CoalesceExpr(expr) => node::all(&expr.args).try_for_each(|part| condition(walk, scope, part)),
        NodeEnum::CaseExpr(case) => {
            let results = expression::branches(walk, scope, case)?;
            results.into_iter().try_for_each(|result| condition(walk, scope, result))
        }
        _ => infer(walk, scope, value),
    }
}

/// `value` decides something by more than equality: an order, a limit, a group, a boolean of its own.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn infer(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &NodeEnum) -> Result<(), Refusal> {
    let lineage = expression(walk, scope, value)?;
    function::converted(walk, &lineage, Casts::Implied);
    walk.used(&lineage, &Usage::Inference);
    Ok(())
}

/// An operation as a condition: equality is told from the rest.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn comparison(walk: &mut Walk<'_>, scope: &Scope<'_>, operation: &AExpr) -> Result<(), Refusal> {
    let how = is_equality(walk, operation)?;
    expression::operator(walk, operation)?;
    let mut sides = Vec::new();
    for side in [&operation.lexpr, &operation.rexpr] {
        sides.extend(node::boxed(side.as_ref()).map(parts).into_iter().flatten());
    }
    match how {
        Compares::Equality if !lists_a_range(operation) => equality(walk, scope, &sides),
        Compares::Equality => sides.into_iter().try_for_each(|side| infer(walk, scope, side)),
        Compares::Otherwise => sides.into_iter().try_for_each(|side| infer(walk, scope, side)),
    }
}

/// The values in a side of a comparison: those of a list, those of a row.
pub(super) fn parts(side: &NodeEnum) -> Vec<&NodeEnum> {
    match side {
        NodeEnum::List(list) => node::all(&list.items).flat_map(parts).collect(),
        NodeEnum::RowExpr(row) => node::all(&row.args).flat_map(parts).collect(),
        _ => vec![side],
    }
}

/// Values that are compared by equality. It is a look-up while each is stored or the same for the whole statement; what
/// differs from row to row and is not stored is a guess for each row, and tells which of them is right.
///
/// # Errors
/// When something in them is not understood.
pub(super) fn equality(walk: &mut Walk<'_>, scope: &Scope<'_>, sides: &[&NodeEnum]) -> Result<(), Refusal> {
    let mut lineages = Vec::with_capacity(sides.len());
    let mut one_value = true;
    for side in sides {
        let lineage = comparand(walk, scope, side)?;
        one_value &= lineage.is_stored() || is_constant(side);
        function::converted(walk, &lineage, Casts::Implied);
        lineages.push(lineage);
    }
    for lineage in &lineages {
        if one_value {
            walk.compared(lineage);
        } else {
            walk.used(lineage, &Usage::Inference);
        }
    }
    Ok(())
}

/// Whether `value` names no column and asks no table: constants, parameters, and what is computed from them.
pub(super) fn is_constant(value: &NodeEnum) -> bool {
    let all = |values: &[Node]| node::all(values).all(is_constant);
    let inside = |value: Option<&Box<Node>>| node::boxed(value).is_none_or(is_constant);
    match value {
        NodeEnum::AConst(_) | NodeEnum::ParamRef(_) | NodeEnum::SqlvalueFunction(_) => true,
        NodeEnum::TypeCast(cast) => inside(cast.arg.as_ref()),
        NodeEnum::CollateClause(collate) => inside(collate.arg.as_ref()),
        NodeEnum::AArrayExpr(array) => all(&array.elements),
        NodeEnum::List(list) => all(&list.items),
        NodeEnum::RowExpr(row) => all(&row.args),
        NodeEnum::CoalesceExpr(expr) => all(&expr.args),
        NodeEnum::MinMaxExpr(expr) => all(&expr.args),
        NodeEnum::AExpr(operation) => inside(operation.lexpr.as_ref()) && inside(operation.rexpr.as_ref()),
        NodeEnum::FuncCall(call) => {
            let same = node::strings(&call.funcname).is_ok_and(|path| !function::is_volatile(&path));
            same && all(&call.args) && call.agg_order.is_empty() && call.over.is_none() && !call.agg_star
        }
        NodeEnum::NamedArgExpr(named) => inside(named.arg.as_ref()),
        NodeEnum::SubLink(link) if link.sub_link_type == SubLinkType::ExprSublink as i32 => {
            targets_alone(link).is_some_and(|mut targets| targets.all(is_constant))
        }
        _ => false,
    }
}

/// What a subquery selects that has nothing else: `(SELECT 'x')`.
pub(super) fn targets_alone(link: &SubLink) -> Option<impl Iterator<Item = &NodeEnum>> {
    let Some(NodeEnum::SelectStmt(select)) = node::boxed(link.subselect.as_ref()) else { return None };
    let alone = node::only_targets(select) && select.from_clause.is_empty() && select.where_clause.is_none();
    let values = node::all(&select.target_list).filter_map(|target| match target {
        NodeEnum::ResTarget(target) => node::boxed(target.val.as_ref()),
        _ => None,
    });
    alone.then_some(values)
}

/// Whether the array of `= ANY (array)` is made by more than writing its elements down: a few words make one of all
/// the numbers between two, and to be one of those is an order.
fn lists_a_range(operation: &AExpr) -> bool {
    let Ok(AExprKind::AexprOpAny | AExprKind::AexprOpAll) = AExprKind::try_from(operation.kind) else { return false };
    let array = node::boxed(operation.rexpr.as_ref());
    array.is_some_and(|array| is_constant(array) && !is_written(array))
}

/// Whether `array` is a constant, a parameter, or a list of what each stands in the text, as clients send lists.
pub(super) fn is_written(array: &NodeEnum) -> bool {
    let inside = |value: Option<&Box<Node>>| node::boxed(value).is_some_and(is_written);
    match array {
        NodeEnum::AConst(_) | NodeEnum::ParamRef(_) | NodeEnum::AArrayExpr(_) => true,
        NodeEnum::TypeCast(cast) => inside(cast.arg.as_ref()),
        NodeEnum::FuncCall(call) => {
            let splits = ["string_to_array", "regexp_split_to_array"]
                .iter()
                .any(|name| function::plain_call(array, name).is_some());
            splits && node::all(&call.args).all(is_written)
        }
        _ => false,
    }
}

/// What kind of use a comparison makes of its bare columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compares {
    Equality,
    Otherwise,
}

fn is_equality(walk: &mut Walk<'_>, operation: &AExpr) -> Result<Compares, Refusal> {
    use AExprKind as Kind;
    let path = node::strings(&operation.name)?;
    let built_in = match path.as_slice() {
        [_] => true,
        [schema, _] => schema == "pg_catalog",
        _ => false,
    };
    let equals = built_in && matches!(path.last().map(String::as_str), Some("=" | "<>"));
    // An operator of the user's of that name may do anything.
    let pure = equals && function::operator(walk, &path)? == Purity::Total;
    Ok(match Kind::try_from(operation.kind) {
        Ok(
            Kind::AexprOp
            | Kind::AexprOpAny
            | Kind::AexprOpAll
            | Kind::AexprIn
            | Kind::AexprDistinct
            | Kind::AexprNotDistinct
            | Kind::AexprNullif,
        ) if pure => Compares::Equality,
        _ => Compares::Otherwise,
    })
}

/// One side of an equality. A stored column relabelled as text, as the server prints and drivers write it, is still
/// the bare column.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn comparand(walk: &mut Walk<'_>, scope: &Scope<'_>, side: &NodeEnum) -> Result<Lineage, Refusal> {
    if let NodeEnum::TypeCast(cast) = side
        && let (Some(name), Some(inner @ NodeEnum::ColumnRef(_))) = (&cast.type_name, node::boxed(cast.arg.as_ref()))
        && is_bare_text(name)
    {
        let purity = function::cast(walk, name)?;
        let lineage = expression(walk, scope, inner)?;
        let written = function::converted(walk, &lineage, Casts::Asked);
        return Ok(match purity {
            Purity::Total if !written => lineage,
            Purity::Total | Purity::Compute | Purity::Nullness => lineage.through(Via::Partial),
        });
    }
    if let NodeEnum::CoalesceExpr(expr) = side
        && let Some((Node { node: Some(first) }, others)) = expr.args.split_first()
        && node::all(others).all(is_constant)
    {
        // As the column, or as null is.
        expression(walk, scope, side)?;
        return comparand(walk, scope, first);
    }
    expression(walk, scope, side)
}

/// Whether a type is text or varchar, of any length, by its built-in name.
pub(super) fn is_bare_text(name: &TypeName) -> bool {
    let Ok(path) = node::strings(&name.names) else { return false };
    let text = match path.as_slice() {
        [name] => matches!(name.as_str(), "text" | "varchar"),
        [schema, name] => schema == "pg_catalog" && matches!(name.as_str(), "text" | "varchar"),
        _ => false,
    };
    text && name.typmods.is_empty() && name.array_bounds.is_empty()
}
