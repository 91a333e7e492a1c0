//! Whether what is put into a column keeps the values it is made of: what is made of a masked column and put into it can
//! be compared there, a part of a value or the greater of two as well as the whole.
//! What is written where is `dml`'s affair.

use pg_query::{NodeEnum, protobuf::AExprKind};

use super::{condition, expression::expression, function, node, scope::Scope, walk::Walk};
use crate::statement::{Refusal, Via};

/// Whether what is written is known to keep the values it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Each is written as it is, but for case and space around it, or left out for another.
    Whole,
    /// Nobody knows.
    Unknown,
}

/// Whether `value` keeps the columns in it: COALESCE, CASE, NULLIF, and what puts a text into a common form. A column of
/// a subquery may be made of them there.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn keeps(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &NodeEnum) -> Result<Kept, Refusal> {
    let parts: Vec<&NodeEnum> = match value {
        NodeEnum::AConst(_) | NodeEnum::ParamRef(_) | NodeEnum::SqlvalueFunction(_) | NodeEnum::SetToDefault(_) => {
            Vec::new()
        }
        NodeEnum::ColumnRef(_) => {
            let column = expression(walk, scope, value)?;
            let whole = column.columns.values().all(|via| *via == Via::Copy);
            return Ok(if whole { Kept::Whole } else { Kept::Unknown });
        }
        NodeEnum::CoalesceExpr(expr) => node::all(&expr.args).collect(),
        NodeEnum::TypeCast(cast) if cast.type_name.as_ref().is_some_and(condition::is_bare_text) => {
            node::boxed(cast.arg.as_ref()).into_iter().collect()
        }
        NodeEnum::CaseExpr(case) => {
            let results = node::all(&case.args).filter_map(|arm| match arm {
                NodeEnum::CaseWhen(arm) => node::boxed(arm.result.as_ref()),
                _ => None,
            });
            results.chain(node::boxed(case.defresult.as_ref())).collect()
        }
        NodeEnum::AExpr(operation) if operation.kind == AExprKind::AexprNullif as i32 => {
            node::boxed(operation.lexpr.as_ref()).into_iter().collect()
        }
        NodeEnum::FuncCall(_) => {
            let mut calls = COMMON_FORMS.iter().filter_map(|name| function::plain_call(value, name));
            match calls.find(|args| args.len() == 1) {
                Some(args) => node::all(args).collect(),
                None => return Ok(Kept::Unknown),
            }
        }
        _ => return Ok(Kept::Unknown),
    };
    for part in parts {
        if keeps(walk, scope, part)? == Kept::Unknown {
            return Ok(Kept::Unknown);
        }
    }
    Ok(Kept::Whole)
}

/// Functions that change the case of a text and the space around it.
const COMMON_FORMS: [&str; 5] = ["lower", "upper", "btrim", "ltrim", "rtrim"];
