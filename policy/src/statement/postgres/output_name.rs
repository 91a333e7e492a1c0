//! The name the server gives an output column that has no AS: `count`, `?column?`, `case` …
//! Names only; ORDER BY finds outputs by them.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{AExprKind, JsonExprOp, MinMaxOp, SqlValueFunctionOp, SubLink, SubLinkType, XmlExprOp},
};

use super::{node, walk::Walk};

/// The name of `value` as an output. The walk has been there: it knows the columns of scalar subqueries.
pub(super) fn of(walk: &Walk<'_>, value: &NodeEnum) -> Arc<str> {
    let mut value = value;
    // What the name falls back to when nothing further in has a better one: a cast's type, `case`.
    let mut fallback: Option<String> = None;
    loop {
        let inner = match value {
            NodeEnum::TypeCast(cast) => {
                let types = cast.type_name.as_ref().map(|name| node::strings(&name.names).unwrap_or_default());
                fallback = fallback.or_else(|| types.unwrap_or_default().pop());
                node::boxed(cast.arg.as_ref())
            }
            NodeEnum::CollateClause(collate) => node::boxed(collate.arg.as_ref()),
            NodeEnum::AIndirection(indirection) => match last_name(&indirection.indirection) {
                Some(name) => return Arc::from(name),
                None => node::boxed(indirection.arg.as_ref()),
            },
            NodeEnum::CaseExpr(case) => {
                fallback = fallback.or_else(|| Some("case".to_owned()));
                node::boxed(case.defresult.as_ref())
            }
            NodeEnum::SubLink(link) if link.sub_link_type == SubLinkType::ExprSublink as i32 => {
                match walk.scalar_names.get(&std::ptr::from_ref::<SubLink>(link).addr()) {
                    Some(name) => return Arc::clone(name),
                    None => break,
                }
            }
            _ => break,
        };
        match inner {
            Some(inner) => value = inner,
            None => break,
        }
    }
    match own(value) {
        Some(name) => Arc::from(name),
        None => Arc::from(fallback.as_deref().unwrap_or("?column?")),
    }
}

fn last_name(path: &[pg_query::Node]) -> Option<&str> {
    node::all(path).rev().find_map(|part| match part {
        NodeEnum::String(name) => Some(name.sval.as_str()),
        _ => None,
    })
}

fn own(value: &NodeEnum) -> Option<&str> {
    Some(match value {
        NodeEnum::ColumnRef(reference) => last_name(&reference.fields)?,
        NodeEnum::FuncCall(call) => last_name(&call.funcname)?,
        NodeEnum::AExpr(operation) if operation.kind == AExprKind::AexprNullif as i32 => "nullif",
        NodeEnum::GroupingFunc(_) => "grouping",
        NodeEnum::MergeSupportFunc(_) => "merge_action",
        NodeEnum::SubLink(link) => match SubLinkType::try_from(link.sub_link_type) {
            Ok(SubLinkType::ExistsSublink) => "exists",
            Ok(SubLinkType::ArraySublink) => "array",
            _ => return None,
        },
        NodeEnum::AArrayExpr(_) => "array",
        NodeEnum::RowExpr(_) => "row",
        NodeEnum::CoalesceExpr(_) => "coalesce",
        NodeEnum::MinMaxExpr(expr) if expr.op == MinMaxOp::IsGreatest as i32 => "greatest",
        NodeEnum::MinMaxExpr(_) => "least",
        NodeEnum::SqlvalueFunction(function) => session_value(function.op)?,
        NodeEnum::XmlSerialize(_) => "xmlserialize",
        NodeEnum::XmlExpr(xml) => xml_name(xml.op)?,
        NodeEnum::JsonParseExpr(_) => "json",
        NodeEnum::JsonScalarExpr(_) => "json_scalar",
        NodeEnum::JsonSerializeExpr(_) => "json_serialize",
        NodeEnum::JsonObjectConstructor(_) => "json_object",
        NodeEnum::JsonArrayConstructor(_) | NodeEnum::JsonArrayQueryConstructor(_) => "json_array",
        NodeEnum::JsonObjectAgg(_) => "json_objectagg",
        NodeEnum::JsonArrayAgg(_) => "json_arrayagg",
        NodeEnum::JsonFuncExpr(function) => match JsonExprOp::try_from(function.op) {
            Ok(JsonExprOp::JsonExistsOp) => "json_exists",
            Ok(JsonExprOp::JsonQueryOp) => "json_query",
            Ok(JsonExprOp::JsonValueOp) => "json_value",
            _ => return None,
        },
        _ => return None,
    })
}

fn session_value(op: i32) -> Option<&'static str> {
    use SqlValueFunctionOp as Op;
    Some(match Op::try_from(op).ok()? {
        Op::SvfopCurrentDate => "current_date",
        Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => "current_time",
        Op::SvfopCurrentTimestamp | Op::SvfopCurrentTimestampN => "current_timestamp",
        Op::SvfopLocaltime | Op::SvfopLocaltimeN => "localtime",
        Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => "localtimestamp",
        Op::SvfopCurrentRole => "current_role",
        Op::SvfopCurrentUser => "current_user",
        Op::SvfopUser => "user",
        Op::SvfopSessionUser => "session_user",
        Op::SvfopCurrentCatalog => "current_catalog",
        Op::SvfopCurrentSchema => "current_schema",
        Op::SqlvalueFunctionOpUndefined => return None,
    })
}

fn xml_name(op: i32) -> Option<&'static str> {
    Some(match XmlExprOp::try_from(op).ok()? {
        XmlExprOp::IsXmlconcat => "xmlconcat",
        XmlExprOp::IsXmlelement => "xmlelement",
        XmlExprOp::IsXmlforest => "xmlforest",
        XmlExprOp::IsXmlparse => "xmlparse",
        XmlExprOp::IsXmlpi => "xmlpi",
        XmlExprOp::IsXmlroot => "xmlroot",
        XmlExprOp::IsXmlserialize => "xmlserialize",
        XmlExprOp::IsDocument | XmlExprOp::Undefined => return None,
    })
}
