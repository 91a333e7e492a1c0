//! Expressions as conditions: which stored columns decide, and whether only by equality.
//! Records uses; whether a use is allowed is not decided here.

use pg_query::{
    NodeEnum,
    protobuf::{AExpr, AExprKind, BoolTestType},
};

use super::{
    expression::{self, expression, nullness},
    function::{self, Purity},
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
        _ => infer(walk, scope, value),
    }
}

/// `value` decides something by more than equality: an order, a limit, a group, a boolean of its own.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn infer(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &NodeEnum) -> Result<(), Refusal> {
    let lineage = expression(walk, scope, value)?;
    walk.used(&lineage, &Usage::Inference);
    Ok(())
}

/// An operation as a condition: equality is told from the rest.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn comparison(walk: &mut Walk<'_>, scope: &Scope<'_>, operation: &AExpr) -> Result<(), Refusal> {
    let equality = is_equality(walk, operation)?;
    expression::operator(walk, operation)?;
    for side in [&operation.lexpr, &operation.rexpr] {
        let Some(side) = node::boxed(side.as_ref()) else { continue };
        match side {
            NodeEnum::List(list) => {
                for item in node::all(&list.items) {
                    compare(walk, scope, item, equality)?;
                }
            }
            _ => compare(walk, scope, side, equality)?,
        }
    }
    Ok(())
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

fn compare(walk: &mut Walk<'_>, scope: &Scope<'_>, side: &NodeEnum, how: Compares) -> Result<(), Refusal> {
    match (side, how) {
        (NodeEnum::RowExpr(row), Compares::Equality) => {
            for part in node::all(&row.args) {
                compare(walk, scope, part, how)?;
            }
        }
        (_, Compares::Equality) => {
            let lineage = comparand(walk, scope, side)?;
            walk.compared(&lineage);
        }
        (_, Compares::Otherwise) => infer(walk, scope, side)?,
    }
    Ok(())
}

/// One side of an equality. A stored column relabelled as text, as the server prints and drivers write it, is still
/// the bare column.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn comparand(walk: &mut Walk<'_>, scope: &Scope<'_>, side: &NodeEnum) -> Result<Lineage, Refusal> {
    if let NodeEnum::TypeCast(cast) = side
        && let (Some(name), Some(inner @ NodeEnum::ColumnRef(_))) = (&cast.type_name, node::boxed(cast.arg.as_ref()))
        && is_plain_text(&node::strings(&name.names)?)
        && name.typmods.is_empty()
        && name.array_bounds.is_empty()
    {
        let purity = function::cast(walk, name)?;
        let lineage = expression(walk, scope, inner)?;
        return Ok(match purity {
            Purity::Total => lineage,
            Purity::Compute | Purity::Nullness => lineage.through(Via::Partial),
        });
    }
    expression(walk, scope, side)
}

fn is_plain_text(path: &[String]) -> bool {
    match path {
        [name] => matches!(name.as_str(), "text" | "varchar"),
        [schema, name] => schema == "pg_catalog" && matches!(name.as_str(), "text" | "varchar"),
        _ => false,
    }
}
