//! Whether the text of a condition alone says that it lets every row through.
//! Folds constants in three-valued logic; looks at no names beyond `a = a`.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::constant;
pub(super) use crate::statement::truth::Filter;
use crate::statement::truth::Truth;

/// What `condition` lets through.
pub(super) fn filter(condition: &Expr) -> Filter {
    truth(condition).into()
}

fn truth(value: &Expr) -> Truth {
    match value {
        Expr::Nested(inner) => truth(inner),
        Expr::Value(constant) => match constant::value(constant) {
            Value::Boolean(value) => Truth::of(*value),
            Value::Null => Truth::Null,
            constant => number(constant).map_or(Truth::Unknown, |number| Truth::of(number != 0.0)),
        },
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => truth(expr).not(),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => truth(expr),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => truth(left).and(truth(right)),
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => truth(left).or(truth(right)),
        Expr::BinaryOp { left, op, right } => compare(left, op, right),
        Expr::InList { expr, list, negated } => {
            let among = list.iter().map(|item| compare(expr, &BinaryOperator::Eq, item)).fold(Truth::False, Truth::or);
            if *negated { among.not() } else { among }
        }
        Expr::Between { expr, negated, low, high } => {
            let inside = compare(expr, &BinaryOperator::GtEq, low).and(compare(expr, &BinaryOperator::LtEq, high));
            if *negated { inside.not() } else { inside }
        }
        Expr::Like { negated: false, pattern, .. } if is_percent(pattern) => Truth::True,
        Expr::IsTrue(inner) | Expr::IsNotFalse(inner) => truth(inner),
        Expr::IsFalse(inner) | Expr::IsNotTrue(inner) => truth(inner).not(),
        _ => Truth::Unknown,
    }
}

fn is_percent(pattern: &Expr) -> bool {
    matches!(pattern, Expr::Value(constant)
        if matches!(constant::value(constant), Value::SingleQuotedString(text) if !text.is_empty() && text.bytes().all(|b| b == b'%')))
}

/// Compares two constants, or a column with itself, which lets all but nulls through.
fn compare(left: &Expr, op: &BinaryOperator, right: &Expr) -> Truth {
    let (left, right) = (bare(left), bare(right));
    if let (Expr::Identifier(_) | Expr::CompoundIdentifier(_), true) = (left, left == right) {
        return match op {
            BinaryOperator::Eq | BinaryOperator::LtEq | BinaryOperator::GtEq | BinaryOperator::Spaceship => Truth::True,
            BinaryOperator::NotEq | BinaryOperator::Lt | BinaryOperator::Gt => Truth::False,
            _ => Truth::Unknown,
        };
    }
    let (Expr::Value(one), Expr::Value(other)) = (left, right) else { return Truth::Unknown };
    let (one, other) = (constant::value(one), constant::value(other));
    if *one == Value::Null || *other == Value::Null {
        return if *op == BinaryOperator::Spaceship { Truth::of(one == other) } else { Truth::Null };
    }
    if let (Value::SingleQuotedString(one), Value::SingleQuotedString(other)) = (one, other) {
        // Collations may find more texts equal, never fewer.
        return match op {
            BinaryOperator::Eq | BinaryOperator::Spaceship if one == other => Truth::True,
            BinaryOperator::NotEq if one == other => Truth::False,
            BinaryOperator::NotEq | BinaryOperator::Eq | BinaryOperator::Spaceship => Truth::Unknown,
            _ => Truth::Unknown,
        };
    }
    let (Some(one), Some(other)) = (number(one), number(other)) else { return Truth::Unknown };
    match op {
        BinaryOperator::Eq | BinaryOperator::Spaceship => Truth::of((one - other).abs() < f64::EPSILON),
        BinaryOperator::NotEq => Truth::of((one - other).abs() >= f64::EPSILON),
        BinaryOperator::Lt => Truth::of(one < other),
        BinaryOperator::LtEq => Truth::of(one <= other),
        BinaryOperator::Gt => Truth::of(one > other),
        BinaryOperator::GtEq => Truth::of(one >= other),
        _ => Truth::Unknown,
    }
}

fn bare(value: &Expr) -> &Expr {
    match value {
        Expr::Nested(inner) => bare(inner),
        _ => value,
    }
}

/// A constant's number; of a string, that of its leading digits, as the server takes it.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number, _) => number.parse().ok(),
        Value::Boolean(value) => Some(f64::from(u8::from(*value))),
        Value::SingleQuotedString(text) => {
            let digits: String = text.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            if digits.is_empty() { Some(0.0) } else { digits.parse().ok() }
        }
        _ => None,
    }
}
