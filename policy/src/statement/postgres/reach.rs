//! Whether the text of a condition alone says that it lets every row through.
//! Folds constants in three-valued logic; looks at no names.

use pg_query::{
    NodeEnum,
    protobuf::{AConst, AExpr, AExprKind, BoolExprType, BoolTestType, NullTestType},
};

use super::{
    constant::{self, Value},
    node,
};
pub(super) use crate::statement::truth::Filter;
use crate::statement::truth::Truth;

/// What `condition` lets through.
pub(super) fn filter(condition: &NodeEnum) -> Filter {
    truth(condition).into()
}

fn truth(value: &NodeEnum) -> Truth {
    match value {
        NodeEnum::AConst(constant) => constant_truth(constant),
        NodeEnum::TypeCast(cast) => match node::boxed(cast.arg.as_ref()) {
            Some(inner) => truth(inner),
            None => Truth::Unknown,
        },
        NodeEnum::BoolExpr(expr) => {
            let parts = node::all(&expr.args).map(truth);
            match BoolExprType::try_from(expr.boolop) {
                Ok(BoolExprType::AndExpr) => every(parts),
                Ok(BoolExprType::OrExpr) => every(parts.map(Truth::not)).not(),
                Ok(BoolExprType::NotExpr) => every(parts).not(),
                Ok(BoolExprType::Undefined) | Err(_) => Truth::Unknown,
            }
        }
        NodeEnum::BooleanTest(test) => {
            let Some(inner) = node::boxed(test.arg.as_ref()).map(truth) else { return Truth::Unknown };
            if inner == Truth::Unknown {
                return Truth::Unknown;
            }
            match BoolTestType::try_from(test.booltesttype) {
                Ok(BoolTestType::IsTrue) => Truth::of(inner == Truth::True),
                Ok(BoolTestType::IsNotTrue) => Truth::of(inner != Truth::True),
                Ok(BoolTestType::IsFalse) => Truth::of(inner == Truth::False),
                Ok(BoolTestType::IsNotFalse) => Truth::of(inner != Truth::False),
                Ok(BoolTestType::IsUnknown) => Truth::of(inner == Truth::Null),
                Ok(BoolTestType::IsNotUnknown) => Truth::of(inner != Truth::Null),
                Ok(BoolTestType::Undefined) | Err(_) => Truth::Unknown,
            }
        }
        NodeEnum::NullTest(test) => match node::boxed(test.arg.as_ref()) {
            Some(NodeEnum::AConst(constant)) => {
                Truth::of(constant::is_null(constant) == (test.nulltesttype == NullTestType::IsNull as i32))
            }
            _ => Truth::Unknown,
        },
        NodeEnum::AExpr(operation) => comparison(operation),
        _ => Truth::Unknown,
    }
}

fn every(parts: impl Iterator<Item = Truth>) -> Truth {
    parts.fold(Truth::True, Truth::and)
}

fn constant_truth(constant: &AConst) -> Truth {
    match constant::value(constant) {
        Value::Null => Truth::Null,
        Value::Boolean(value) => Truth::of(value),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => Truth::True,
            "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" | "of" | "off" | "0" => Truth::False,
            _ => Truth::Unknown,
        },
        Value::Integer(number) => Truth::of(number != 0),
        Value::Number(_) | Value::Bits | Value::Absent => Truth::Unknown,
    }
}

fn comparison(operation: &AExpr) -> Truth {
    let (Some(left), Some(right)) = (node::boxed(operation.lexpr.as_ref()), node::boxed(operation.rexpr.as_ref()))
    else {
        return Truth::Unknown;
    };
    let name = match node::strings(&operation.name).unwrap_or_default().as_slice() {
        [name] => name.clone(),
        _ => return Truth::Unknown,
    };
    match AExprKind::try_from(operation.kind) {
        Ok(AExprKind::AexprOp) => compare(&name, left, right),
        Ok(AExprKind::AexprNotDistinct) => compare("=", left, right),
        Ok(AExprKind::AexprIn) => {
            let NodeEnum::List(list) = right else { return Truth::Unknown };
            let among = every(node::all(&list.items).map(|item| compare("=", left, item).not())).not();
            if name == "<>" { among.not() } else { among }
        }
        Ok(AExprKind::AexprBetween) => {
            let NodeEnum::List(list) = right else { return Truth::Unknown };
            let mut bounds = node::all(&list.items);
            match (bounds.next(), bounds.next()) {
                (Some(low), Some(high)) => every([compare(">=", left, low), compare("<=", left, high)].into_iter()),
                _ => Truth::Unknown,
            }
        }
        Ok(AExprKind::AexprLike | AExprKind::AexprIlike) => match (right, name.as_str()) {
            // It lets all but nulls through.
            (NodeEnum::AConst(constant), "~~" | "~~*") if text(constant) == Some("%") => Truth::True,
            _ => Truth::Unknown,
        },
        _ => Truth::Unknown,
    }
}

fn text(constant: &AConst) -> Option<&str> {
    match constant::value(constant) {
        Value::Text(text) => Some(text),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Number(_) | Value::Bits | Value::Absent => None,
    }
}

/// Compares two constants, or a column with itself, which lets all but nulls through.
fn compare(name: &str, left: &NodeEnum, right: &NodeEnum) -> Truth {
    if let (NodeEnum::ColumnRef(one), NodeEnum::ColumnRef(other)) = (left, right) {
        let same = node::strings(&one.fields).ok() == node::strings(&other.fields).ok();
        return match name {
            "=" | "<=" | ">=" if same => Truth::True,
            "<>" | "<" | ">" if same => Truth::False,
            _ => Truth::Unknown,
        };
    }
    if let (NodeEnum::AConst(one), _) | (_, NodeEnum::AConst(one)) = (left, right)
        && constant::is_null(one)
    {
        return Truth::Null;
    }
    // A constant beside anything else tells nothing, and is not looked at.
    let (NodeEnum::AConst(left), NodeEnum::AConst(right)) = (left, right) else { return Truth::Unknown };
    let (one, other) = match (constant::value(left), constant::value(right)) {
        (Value::Integer(one), Value::Integer(other)) => (one, other),
        (Value::Text(one), Value::Text(other)) => return strings(name, one, other),
        _ => return Truth::Unknown,
    };
    match name {
        "=" => Truth::of(one == other),
        "<>" => Truth::of(one != other),
        "<" => Truth::of(one < other),
        "<=" => Truth::of(one <= other),
        ">" => Truth::of(one > other),
        ">=" => Truth::of(one >= other),
        _ => Truth::Unknown,
    }
}

fn strings(name: &str, one: &str, other: &str) -> Truth {
    // Which text is the smaller is a matter of collation; equality is not.
    match name {
        "=" => Truth::of(one == other),
        "<>" => Truth::of(one != other),
        _ => Truth::Unknown,
    }
}
