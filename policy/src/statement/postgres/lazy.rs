//! AND, OR, COALESCE and comparisons of rows: what stands later is computed only where what stands before leaves it open.
//! So something that fails, or takes its time, tells what came before. Decides nothing about masks.

use pg_query::{
    Node, NodeEnum,
    protobuf::{AExpr, BoolExpr, BoolExprType, CoalesceExpr},
};

use super::{
    condition::comparand,
    expression::{expression, operator},
    function, node,
    scope::Scope,
    walk::Walk,
};
use crate::statement::{Lineage, Refusal, Usage, Via};

/// AND, OR, NOT as a value.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn logic(walk: &mut Walk<'_>, scope: &Scope<'_>, expr: &BoolExpr) -> Result<Lineage, Refusal> {
    let lazy = !matches!(BoolExprType::try_from(expr.boolop), Ok(BoolExprType::NotExpr));
    let decides = lazy && !later_are_harmless(walk, scope, &expr.args)?;
    let mut lineage = Lineage::constant();
    for arg in node::all(&expr.args) {
        let value = expression(walk, scope, arg)?;
        if decides {
            walk.used(&value, &Usage::Inference);
        }
        lineage.merge(&value);
    }
    Ok(lineage.through(Via::Total))
}

/// COALESCE: whether a value is null decides.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn coalesce(walk: &mut Walk<'_>, scope: &Scope<'_>, expr: &CoalesceExpr) -> Result<Lineage, Refusal> {
    let decides = !later_are_harmless(walk, scope, &expr.args)?;
    let mut lineage = Lineage::constant();
    for arg in node::all(&expr.args) {
        let value = expression(walk, scope, arg)?;
        if decides {
            // Whether a stored value is null is no secret.
            let mut null = value.clone();
            null.columns.retain(|_, via| *via != Via::Copy);
            walk.used(&null, &Usage::Inference);
        }
        lineage.merge(&value);
    }
    Ok(lineage.through(Via::Total))
}

/// A comparison of rows goes from pair to pair until one decides.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn rows(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    operation: &AExpr,
    lineage: &Lineage,
) -> Result<(), Refusal> {
    for side in [&operation.lexpr, &operation.rexpr] {
        let Some(NodeEnum::RowExpr(row)) = node::boxed(side.as_ref()) else { continue };
        if !later_are_harmless(walk, scope, &row.args)? {
            walk.used(lineage, &Usage::Inference);
        }
    }
    Ok(())
}

fn later_are_harmless(walk: &mut Walk<'_>, scope: &Scope<'_>, args: &[Node]) -> Result<bool, Refusal> {
    for arg in node::all(args).skip(1) {
        if !is_harmless(walk, scope, arg)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether `value` neither fails nor takes long, whatever the rows: constants, stored columns, and operators between
/// them that never fail.
fn is_harmless(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &NodeEnum) -> Result<bool, Refusal> {
    walk.step()?;
    Ok(match value {
        NodeEnum::AConst(_) | NodeEnum::ParamRef(_) => true,
        // A column of a subquery may be computed just here.
        NodeEnum::ColumnRef(_) => expression(walk, scope, value)?.is_stored(),
        NodeEnum::TypeCast(cast) => match node::required(cast.arg.as_ref(), "expression")? {
            NodeEnum::AConst(constant) => match &cast.type_name {
                Some(name) => function::is_done_at_once(walk, name, constant),
                None => false,
            },
            NodeEnum::ColumnRef(_) => comparand(walk, scope, value)?.is_stored(),
            _ => false,
        },
        NodeEnum::NullTest(test) => is_harmless(walk, scope, node::required(test.arg.as_ref(), "IS NULL")?)?,
        NodeEnum::BooleanTest(test) => is_harmless(walk, scope, node::required(test.arg.as_ref(), "IS TRUE")?)?,
        NodeEnum::CollateClause(collate) => is_harmless(walk, scope, node::required(collate.arg.as_ref(), "COLLATE")?)?,
        NodeEnum::BoolExpr(expr) => all(walk, scope, &expr.args)?,
        NodeEnum::List(list) => all(walk, scope, &list.items)?,
        NodeEnum::RowExpr(row) => all(walk, scope, &row.args)?,
        NodeEnum::AArrayExpr(array) => all(walk, scope, &array.elements)?,
        NodeEnum::CoalesceExpr(expr) => all(walk, scope, &expr.args)?,
        NodeEnum::AExpr(operation) => {
            let mut harmless = operator(walk, operation)? == Via::Total;
            for side in [&operation.lexpr, &operation.rexpr] {
                if let Some(side) = node::boxed(side.as_ref()) {
                    harmless = harmless && is_harmless(walk, scope, side)?;
                }
            }
            harmless
        }
        _ => false,
    })
}

fn all(walk: &mut Walk<'_>, scope: &Scope<'_>, values: &[Node]) -> Result<bool, Refusal> {
    for value in node::all(values) {
        if !is_harmless(walk, scope, value)? {
            return Ok(false);
        }
    }
    Ok(true)
}
