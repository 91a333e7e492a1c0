//! Whether the text of a condition alone says that it lets every row through.
//! Folds constants in three-valued logic; looks at no names.

use pg_query::{
    NodeEnum,
    protobuf::{AConst, AExpr, AExprKind, BoolExprType, BoolTestType, NullTestType, a_const},
};

use super::node;
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
                Truth::of(constant.isnull == (test.nulltesttype == NullTestType::IsNull as i32))
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
    if constant.isnull {
        return Truth::Null;
    }
    match &constant.val {
        Some(a_const::Val::Boolval(value)) => Truth::of(value.boolval),
        Some(a_const::Val::Sval(text)) => match text.sval.trim().to_ascii_lowercase().as_str() {
            "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => Truth::True,
            "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" | "of" | "off" | "0" => Truth::False,
            _ => Truth::Unknown,
        },
        Some(a_const::Val::Ival(number)) => Truth::of(number.ival != 0),
        Some(a_const::Val::Fval(_) | a_const::Val::Bsval(_)) => Truth::Unknown,
        // The protobuf leaves out a value that is zero.
        None => Truth::Unknown,
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
    match &constant.val {
        Some(a_const::Val::Sval(text)) => Some(&text.sval),
        _ => None,
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
        && one.isnull
    {
        return Truth::Null;
    }
    let (Some(one), Some(other)) = (number(left), number(right)) else { return strings(name, left, right) };
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

fn strings(name: &str, left: &NodeEnum, right: &NodeEnum) -> Truth {
    let (NodeEnum::AConst(one), NodeEnum::AConst(other)) = (left, right) else { return Truth::Unknown };
    // Which text is the smaller is a matter of collation; equality is not.
    match (text(one), text(other), name) {
        (Some(one), Some(other), "=") => Truth::of(one == other),
        (Some(one), Some(other), "<>") => Truth::of(one != other),
        _ => Truth::Unknown,
    }
}

fn number(value: &NodeEnum) -> Option<i32> {
    let NodeEnum::AConst(constant) = value else { return None };
    match &constant.val {
        Some(a_const::Val::Ival(number)) => Some(number.ival),
        _ => None,
    }
}
