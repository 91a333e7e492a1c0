//! Subqueries in expressions: EXISTS, IN, ANY, ALL, ARRAY and scalar ones.
//! The queries themselves are `query`'s affair.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{SetOperation, SubLink, SubLinkType},
};

use super::{
    condition::{self, comparand},
    expression::{self, expression},
    function::{self, Casts, Purity},
    node, query,
    scope::{Field, Scope},
    walk::Walk,
};
use crate::statement::{Lineage, Refusal, Usage, Via};

/// A subquery as a value.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn value(walk: &mut Walk<'_>, scope: &Scope<'_>, link: &SubLink) -> Result<Lineage, Refusal> {
    let fields = fields(walk, scope, link)?;
    match SubLinkType::try_from(link.sub_link_type) {
        Ok(SubLinkType::ExistsSublink) => {
            exists(walk, &fields);
            Ok(Lineage::constant())
        }
        Ok(SubLinkType::ExprSublink | SubLinkType::MultiexprSublink) => {
            if let Some(first) = fields.first() {
                walk.scalar_names.insert(std::ptr::from_ref(link).addr(), Arc::clone(&first.name));
            }
            Ok(merged(&fields))
        }
        Ok(SubLinkType::ArraySublink) => Ok(merged(&fields).through(Via::Total)),
        Ok(SubLinkType::AnySublink | SubLinkType::AllSublink | SubLinkType::RowcompareSublink) => {
            let mut lineage = merged(&fields);
            if let Some(test) = node::boxed(link.testexpr.as_ref()) {
                lineage.merge(&expression(walk, scope, test)?);
            }
            let purity = function::operator(walk, &operator(link)?)?;
            Ok(lineage.through(expression::via(purity)))
        }
        Ok(SubLinkType::CteSublink | SubLinkType::Undefined) | Err(_) => {
            Err(node::unsupported("a subquery of unknown kind"))
        }
    }
}

/// A subquery as a condition.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn condition(walk: &mut Walk<'_>, scope: &Scope<'_>, link: &SubLink) -> Result<(), Refusal> {
    match SubLinkType::try_from(link.sub_link_type) {
        Ok(SubLinkType::AnySublink | SubLinkType::AllSublink) => {
            let path = operator(link)?;
            let equality = matches!(path.as_slice(), [name] if name == "=" || name == "<>")
                && function::operator(walk, &path)? == Purity::Total;
            if !equality {
                let lineage = value(walk, scope, link)?;
                walk.used(&lineage, &Usage::Inference);
                return Ok(());
            }
            let asked = fields(walk, scope, link)?;
            let listed = is_listed(link);
            let tests = node::boxed(link.testexpr.as_ref()).map(condition::parts).unwrap_or_default();
            for (at, test) in tests.into_iter().enumerate() {
                let test = comparand(walk, scope, test)?;
                function::converted(walk, &test, Casts::Implied);
                match asked.get(at) {
                    Some(_) if listed => walk.compared(&test),
                    Some(field) => {
                        function::converted(walk, &field.lineage, Casts::Implied);
                        walk.matched([&test, &field.lineage]);
                    }
                    None => walk.used(&test, &Usage::Inference),
                }
            }
            Ok(())
        }
        _ => {
            let lineage = value(walk, scope, link)?;
            walk.used(&lineage, &Usage::Inference);
            Ok(())
        }
    }
}

/// Whether the subquery only lists what is written in the text, VALUES or `SELECT unnest($1)`: which of them it was, that
/// a value is among them does not tell.
fn is_listed(link: &SubLink) -> bool {
    if let Some(mut targets) = condition::targets_alone(link) {
        let unnested =
            |target| function::plain_call(target, "unnest").map(|args| node::all(args).map(condition::is_written));
        return targets.all(|target| unnested(target).is_some_and(|mut written| written.all(|written| written)));
    }
    let Some(NodeEnum::SelectStmt(select)) = node::boxed(link.subselect.as_ref()) else { return false };
    let values = !select.values_lists.is_empty()
        && select.op == SetOperation::SetopNone as i32
        && select.with_clause.is_none()
        && select.sort_clause.is_empty()
        && select.limit_count.is_none()
        && select.limit_offset.is_none();
    values
        && node::all(&select.values_lists).all(|row| match row {
            NodeEnum::List(row) => node::all(&row.items).all(condition::is_constant),
            _ => false,
        })
}

/// EXISTS looks at no column, but a function among them may make rows or none, and may fail.
fn exists(walk: &mut Walk<'_>, fields: &[Field]) {
    for field in fields {
        let mut computed = Lineage::clone(&field.lineage);
        computed.columns.retain(|_, via| *via != Via::Copy);
        walk.used(&computed, &Usage::Inference);
    }
}

fn operator(link: &SubLink) -> Result<Vec<String>, Refusal> {
    let path = node::strings(&link.oper_name)?;
    // IN has none.
    Ok(if path.is_empty() { vec!["=".to_owned()] } else { path })
}

fn fields(walk: &mut Walk<'_>, scope: &Scope<'_>, link: &SubLink) -> Result<Vec<Field>, Refusal> {
    let body = node::required(link.subselect.as_ref(), "subquery")?;
    Ok(query::subquery(walk, scope, body)?.fields)
}

fn merged(fields: &[Field]) -> Lineage {
    let mut lineage = Lineage::constant();
    for field in fields {
        lineage.merge(&field.lineage);
    }
    lineage
}
