//! Expressions as conditions: which stored columns decide, and whether only by equality.
//! Records uses; whether a use is allowed is not decided here.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::{
    constant,
    expression::{exists, expression, inner, nullness},
    kinds,
    scope::Scope,
    walk::Walk,
};
use crate::statement::{Lineage, Refusal, Usage};

/// Walks a condition: WHERE, ON, HAVING, CASE WHEN, IF.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn condition(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &Expr) -> Result<(), Refusal> {
    walk.step()?;
    match value {
        Expr::Nested(inner) => condition(walk, scope, inner),
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor, right } => {
            condition(walk, scope, left)?;
            condition(walk, scope, right)
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => condition(walk, scope, expr),
        Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Spaceship, right } => {
            equality(walk, scope, left, right)
        }
        Expr::InList { expr, list, negated: _ } => list.iter().try_for_each(|item| equality(walk, scope, expr, item)),
        Expr::InSubquery { expr, subquery, negated: _ } => {
            let left = expression(walk, scope, expr)?;
            let mut right = Lineage::constant();
            for field in inner(walk, scope, subquery)? {
                right.merge(&field.lineage);
            }
            columns_compared(walk, &left, &right);
            Ok(())
        }
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
            let lineage = nullness(walk, scope, inner)?;
            walk.used(&lineage, &Usage::Inference);
            Ok(())
        }
        Expr::IsTrue(inner) | Expr::IsNotTrue(inner) | Expr::IsFalse(inner) | Expr::IsNotFalse(inner) => {
            condition(walk, scope, inner)
        }
        Expr::Exists { subquery, negated: _ } => exists(walk, scope, subquery),
        _ => infer(walk, scope, value),
    }
}

/// `value` decides something by more than equality: an order, a limit, a group, a boolean of its own.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn infer(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &Expr) -> Result<(), Refusal> {
    let lineage = expression(walk, scope, value)?;
    walk.used(&lineage, &Usage::Inference);
    Ok(())
}

/// `left = right`. The server compares text with a number as numbers, so that `email = 0` tells how a text begins:
/// only text, a parameter, a number beside a stored one or a column of the same name and kind makes it an equality.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn equality(walk: &mut Walk<'_>, scope: &Scope<'_>, left: &Expr, right: &Expr) -> Result<(), Refusal> {
    if let (Some(left), Some(right)) = (row(left), row(right))
        && left.len() == right.len()
    {
        return left.iter().zip(right).try_for_each(|(one, other)| equality(walk, scope, one, other));
    }
    let (one, other) = (expression(walk, scope, left)?, expression(walk, scope, right)?);
    match (is_text(left), is_text(right)) {
        (true, _) => with_text(walk, left, &other),
        (_, true) => with_text(walk, right, &one),
        (false, false) if is_number(left) && kinds::is_stored_number(walk, &other) => walk.equal(&other),
        (false, false) if is_number(right) && kinds::is_stored_number(walk, &one) => walk.equal(&one),
        (false, false) => columns_compared(walk, &one, &other),
    }
    Ok(())
}

/// `text`, a constant or a parameter, is compared with a value of `lineage`.
fn with_text(walk: &mut Walk<'_>, text: &Expr, lineage: &Lineage) {
    walk.equal(lineage);
    // What stands for a parameter is its place.
    if let Some(place) = placeholder(text).and_then(|place| place.parse().ok()) {
        walk.compared.extend(lineage.columns.keys().map(|column| (place, column.clone())));
    }
}

fn placeholder(value: &Expr) -> Option<&str> {
    match value {
        Expr::Value(constant) => match constant::kind(constant) {
            Value::Placeholder(place) => Some(place),
            _ => None,
        },
        Expr::Nested(inner) => placeholder(inner),
        _ => None,
    }
}

fn row(value: &Expr) -> Option<&[Expr]> {
    match value {
        Expr::Tuple(parts) => Some(parts),
        Expr::Nested(inner) => row(inner),
        _ => None,
    }
}

/// Two values from columns are compared: an equality if each is one bare column, and both have the same name and kind of
/// type.
pub(super) fn columns_compared(walk: &mut Walk<'_>, one: &Lineage, other: &Lineage) {
    if kinds::are_alike(walk, one, other) {
        walk.equal(one);
        walk.equal(other);
    } else {
        walk.used(one, &Usage::Inference);
        walk.used(other, &Usage::Inference);
    }
}

/// Whether `value` is a number as it stands.
fn is_number(value: &Expr) -> bool {
    match value {
        Expr::Value(constant) => matches!(constant::kind(constant), Value::Number(..)),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_number(expr),
        Expr::Nested(inner) => is_number(inner),
        _ => false,
    }
}

/// Whether `value` is a string, a parameter or NULL: compared with text it is compared as text.
pub(super) fn is_text(value: &Expr) -> bool {
    match value {
        Expr::Value(constant) => {
            matches!(constant::kind(constant), Value::SingleQuotedString(_) | Value::Placeholder(_) | Value::Null)
        }
        Expr::Nested(inner) => is_text(inner),
        _ => false,
    }
}
