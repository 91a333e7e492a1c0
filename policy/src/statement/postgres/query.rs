//! Queries: SELECT, VALUES, TABLE and set operations, to their columns with what feeds each, in the server's order.
//! Does not look into FROM items, WITH lists and expressions itself.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{LimitOption, SelectStmt, SetOperation, SortBy},
};

use super::{
    condition::{self, infer},
    constant::{self, Value},
    expression, from,
    function::{self, Casts},
    node, output_name,
    scope::{Entry, Field, Own, Scope},
    survey,
    walk::Walk,
    with,
};
use crate::{
    catalog::QualifiedName,
    statement::{Action, Lineage, Object, Refusal, Usage},
};

/// What a query gives.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// Its columns.
    pub(super) fields: Vec<Field>,
    /// The relations that FOR UPDATE around it locks.
    pub(super) lockable: Vec<QualifiedName>,
}

/// Walks a query inside `outer`.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn select(walk: &mut Walk<'_>, outer: Option<&Scope<'_>>, select: &SelectStmt) -> Result<Query, Refusal> {
    if select.into_clause.is_some() {
        return Err(node::unsupported("INTO inside a query"));
    }
    body(walk, outer, select)
}

/// The same for the statement itself, whose INTO is somebody else's affair.
pub(super) fn body(walk: &mut Walk<'_>, outer: Option<&Scope<'_>>, select: &SelectStmt) -> Result<Query, Refusal> {
    walk.nested(|walk| {
        let mut scope = level(walk, outer, select)?;
        match SetOperation::try_from(select.op) {
            Ok(SetOperation::SetopNone) if !select.values_lists.is_empty() => values(walk, &mut scope, select),
            Ok(SetOperation::SetopNone) => plain(walk, scope, select),
            Ok(SetOperation::SetopUnion | SetOperation::SetopIntersect | SetOperation::SetopExcept) => {
                set_operation(walk, &mut scope, select)
            }
            Ok(SetOperation::Undefined) | Err(_) => Err(node::unsupported("a set operation of unknown kind")),
        }
    })
}

/// Only the first arm of a recursive query: what its rounds start from.
pub(super) fn first_arm(walk: &mut Walk<'_>, outer: &Scope<'_>, select: &SelectStmt) -> Result<Query, Refusal> {
    walk.nested(|walk| {
        let scope = level(walk, Some(outer), select)?;
        let arm = select.larg.as_deref().ok_or_else(|| node::unsupported("half a set operation"))?;
        body(walk, Some(&scope), arm)
    })
}

fn level<'s>(walk: &mut Walk<'_>, outer: Option<&'s Scope<'s>>, select: &SelectStmt) -> Result<Scope<'s>, Refusal> {
    let mut scope = match outer {
        Some(outer) => Scope::inside(outer),
        None => Scope::top(),
    };
    if let Some(list) = &select.with_clause {
        with::items(walk, &mut scope, list)?;
    }
    Ok(scope)
}

fn plain(walk: &mut Walk<'_>, scope: Scope<'_>, select: &SelectStmt) -> Result<Query, Refusal> {
    let limited = u32::from(survey::is_limited(select));
    walk.limited += limited;
    let query = simple(walk, scope, select);
    walk.limited -= limited;
    query
}

fn simple(walk: &mut Walk<'_>, mut scope: Scope<'_>, select: &SelectStmt) -> Result<Query, Refusal> {
    from::items(walk, &mut scope, &select.from_clause)?;
    let scope = scope;
    if let Some(filter) = node::boxed(select.where_clause.as_ref()) {
        condition::condition(walk, &scope, filter)?;
    }
    survey::level(walk, &scope, select);
    let fields = targets(walk, &scope, &select.target_list)?;
    for item in node::all(&select.group_clause) {
        group_item(walk, &scope, &fields, item)?;
    }
    if let Some(having) = node::boxed(select.having_clause.as_ref()) {
        condition::condition(walk, &scope, having)?;
    }
    for window in node::all(&select.window_clause) {
        match window {
            NodeEnum::WindowDef(window) => super::call::window(walk, &scope, window)?,
            _ => return Err(node::unexpected(window, "a WINDOW clause")),
        }
    }
    distinct(walk, &scope, select, &fields)?;
    order(walk, &scope, select, &fields)?;
    let lockable = lock(walk, &scope, select)?;
    Ok(Query { fields, lockable })
}

/// A target list, `*` expanded.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn targets(walk: &mut Walk<'_>, scope: &Scope<'_>, list: &[pg_query::Node]) -> Result<Vec<Field>, Refusal> {
    let mut fields = Vec::with_capacity(list.len());
    for item in node::all(list) {
        let NodeEnum::ResTarget(target) = item else { return Err(node::unexpected(item, "a target list")) };
        let value = node::required(target.val.as_ref(), "target list")?;
        if expression::expand(walk, scope, value, &mut fields)? {
            continue;
        }
        let lineage = expression::expression(walk, scope, value)?;
        let name = match target.name.as_str() {
            "" => output_name::of(walk, value),
            name => Arc::from(name),
        };
        fields.push(Field { name, lineage: Arc::new(lineage) });
    }
    Ok(fields)
}

fn values(walk: &mut Walk<'_>, scope: &mut Scope<'_>, select: &SelectStmt) -> Result<Query, Refusal> {
    let mut columns: Vec<Lineage> = Vec::new();
    for (number, list) in node::all(&select.values_lists).enumerate() {
        let NodeEnum::List(list) = list else { return Err(node::unexpected(list, "VALUES")) };
        let row = value_row(walk, scope, &list.items)?;
        if number == 0 {
            columns = row;
        } else if row.len() == columns.len() {
            for (column, value) in columns.iter_mut().zip(&row) {
                function::converted(walk, value, Casts::Implied);
                function::converted(walk, column, Casts::Implied);
                *column = std::mem::take(column).or(value);
            }
        } else {
            return Err(node::unsupported("VALUES lists of different lengths"));
        }
    }
    let named = columns.into_iter().enumerate();
    let fields: Vec<Field> = named.map(|(at, column)| Field::new(format!("column{}", at + 1), column)).collect();
    order_outputs(walk, scope, select, &fields)?;
    if !select.locking_clause.is_empty() {
        return Err(node::unsupported("FOR UPDATE of VALUES"));
    }
    Ok(Query { fields, lockable: Vec::new() })
}

/// One row of VALUES; `t.*` in it stands for its columns.
pub(super) fn value_row(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    items: &[pg_query::Node],
) -> Result<Vec<Lineage>, Refusal> {
    let mut row = Vec::with_capacity(items.len());
    for item in node::all(items) {
        let mut expanded = Vec::new();
        if expression::expand(walk, scope, item, &mut expanded)? {
            row.extend(expanded.iter().map(|field| Lineage::clone(&field.lineage)));
        } else if matches!(item, NodeEnum::SetToDefault(_)) {
            row.push(Lineage::constant());
        } else {
            row.push(expression::expression(walk, scope, item)?);
        }
    }
    Ok(row)
}

fn set_operation(walk: &mut Walk<'_>, scope: &mut Scope<'_>, select: &SelectStmt) -> Result<Query, Refusal> {
    let half = || node::unsupported("half a set operation");
    let left = body(walk, Some(scope), select.larg.as_deref().ok_or_else(half)?)?;
    let right = self::select(walk, Some(scope), select.rarg.as_deref().ok_or_else(half)?)?;
    if left.fields.len() != right.fields.len() {
        return Err(node::unsupported("a set operation whose arms differ in their number of columns"));
    }
    let appends = select.all && select.op == SetOperation::SetopUnion as i32;
    let mut fields = Vec::with_capacity(left.fields.len());
    for (one, other) in left.fields.into_iter().zip(right.fields) {
        let lineage = Lineage::clone(&one.lineage).or(&other.lineage);
        if !appends {
            walk.used(&lineage, &Usage::Inference);
        }
        function::converted(walk, &lineage, Casts::Implied);
        fields.push(Field { name: one.name, lineage: Arc::new(lineage) });
    }
    order_outputs(walk, scope, select, &fields)?;
    if !select.locking_clause.is_empty() {
        return Err(node::unsupported("FOR UPDATE of a set operation"));
    }
    Ok(Query { fields, lockable: Vec::new() })
}

/// ORDER BY and LIMIT of what has output columns only: set operations and VALUES.
fn order_outputs(
    walk: &mut Walk<'_>,
    scope: &mut Scope<'_>,
    select: &SelectStmt,
    fields: &[Field],
) -> Result<(), Refusal> {
    scope.entries.push(Entry::new("", fields.to_vec()));
    order(walk, scope, select, fields)
}

fn order(walk: &mut Walk<'_>, scope: &Scope<'_>, select: &SelectStmt, fields: &[Field]) -> Result<(), Refusal> {
    for item in node::all(&select.sort_clause) {
        sort_item(walk, scope, fields, item)?;
    }
    match LimitOption::try_from(select.limit_option) {
        Ok(LimitOption::Undefined | LimitOption::Default | LimitOption::Count | LimitOption::WithTies) => {}
        Err(_) => return Err(node::unsupported("a LIMIT of unknown kind")),
    }
    for bound in [&select.limit_count, &select.limit_offset] {
        if let Some(bound) = node::boxed(bound.as_ref()) {
            infer(walk, scope, bound)?;
        }
    }
    Ok(())
}

/// One item of ORDER BY: an output's name, its position, or an expression, in this order.
fn sort_item(walk: &mut Walk<'_>, scope: &Scope<'_>, fields: &[Field], item: &NodeEnum) -> Result<(), Refusal> {
    let NodeEnum::SortBy(sort) = item else { return Err(node::unexpected(item, "ORDER BY")) };
    sort_operator(walk, sort)?;
    let value = node::required(sort.node.as_ref(), "ORDER BY")?;
    if let Some(lineage) = by_position(fields, value).or_else(|| by_name(fields, value)) {
        decides(walk, &lineage);
        return Ok(());
    }
    infer(walk, scope, value)
}

/// The operator of ORDER BY … USING.
pub(super) fn sort_operator(walk: &mut Walk<'_>, sort: &SortBy) -> Result<(), Refusal> {
    if !sort.use_op.is_empty() {
        let path = node::strings(&sort.use_op)?;
        function::operator(walk, &path)?;
    }
    Ok(())
}

/// An output orders or groups the rows.
fn decides(walk: &mut Walk<'_>, lineage: &Lineage) {
    function::converted(walk, lineage, Casts::Implied);
    walk.used(lineage, &Usage::Inference);
}

/// One item of GROUP BY: an input column's name, an output's name, its position, or an expression.
fn group_item(walk: &mut Walk<'_>, scope: &Scope<'_>, fields: &[Field], item: &NodeEnum) -> Result<(), Refusal> {
    walk.step()?;
    match item {
        NodeEnum::GroupingSet(set) => {
            for inner in node::all(&set.content) {
                group_item(walk, scope, fields, inner)?;
            }
            Ok(())
        }
        NodeEnum::RowExpr(row) => {
            for inner in node::all(&row.args) {
                group_item(walk, scope, fields, inner)?;
            }
            Ok(())
        }
        _ => {
            if let Some(lineage) = by_position(fields, item) {
                decides(walk, &lineage);
                return Ok(());
            }
            // The server looks for an input column of the name at this level only, then for an output.
            let own = single_name(item).map_or(Own::No, |name| scope.own_column(name));
            match (own, by_name(fields, item)) {
                (Own::No, Some(lineage)) => decides(walk, &lineage),
                (Own::Perhaps, Some(lineage)) => {
                    decides(walk, &lineage);
                    infer(walk, scope, item)?;
                }
                _ => infer(walk, scope, item)?,
            }
            Ok(())
        }
    }
}

fn distinct(walk: &mut Walk<'_>, scope: &Scope<'_>, select: &SelectStmt, fields: &[Field]) -> Result<(), Refusal> {
    if select.distinct_clause.is_empty() {
        return Ok(());
    }
    let on: Vec<&NodeEnum> = node::all(&select.distinct_clause).collect();
    if on.is_empty() {
        for field in fields {
            decides(walk, &field.lineage);
        }
    }
    for value in on {
        match by_position(fields, value).or_else(|| by_name(fields, value)) {
            Some(lineage) => decides(walk, &lineage),
            None => infer(walk, scope, value)?,
        }
    }
    Ok(())
}

/// The output at the position that an integer constant names.
fn by_position(fields: &[Field], value: &NodeEnum) -> Option<Arc<Lineage>> {
    let NodeEnum::AConst(constant) = value else { return None };
    let Value::Integer(number) = constant::value(constant) else { return None };
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    fields.get(at).map(|field| Arc::clone(&field.lineage))
}

/// The outputs of that name: if there are several, the server wants them equal, so all of them are meant.
fn by_name(fields: &[Field], value: &NodeEnum) -> Option<Arc<Lineage>> {
    let name = single_name(value)?;
    let mut lineage: Option<Lineage> = None;
    for field in fields.iter().filter(|field| &*field.name == name) {
        lineage.get_or_insert_default().merge(&field.lineage);
    }
    lineage.map(Arc::new)
}

fn single_name(value: &NodeEnum) -> Option<&str> {
    let NodeEnum::ColumnRef(reference) = value else { return None };
    match reference.fields.as_slice() {
        [pg_query::Node { node: Some(NodeEnum::String(name)) }] => Some(&name.sval),
        _ => None,
    }
}

/// FOR UPDATE, FOR SHARE and their kin: LOCK on what they lock.
fn lock(walk: &mut Walk<'_>, scope: &Scope<'_>, select: &SelectStmt) -> Result<Vec<QualifiedName>, Refusal> {
    let every = || scope.lockable.iter().flat_map(|(_, relations)| relations).cloned();
    for clause in node::all(&select.locking_clause) {
        let NodeEnum::LockingClause(clause) = clause else { return Err(node::unexpected(clause, "FOR UPDATE")) };
        let mut locked: Vec<QualifiedName> = Vec::new();
        if clause.locked_rels.is_empty() {
            locked.extend(every());
        }
        for item in node::all(&clause.locked_rels) {
            let NodeEnum::RangeVar(name) = item else { return Err(node::unexpected(item, "FOR UPDATE OF")) };
            let of = scope.lockable.iter().filter(|(alias, _)| **alias == *name.relname);
            let before = locked.len();
            locked.extend(of.flat_map(|(_, relations)| relations).cloned());
            if locked.len() == before {
                // A join, a function, a WITH item: the server refuses these.
                return Err(node::unsupported(&format!("FOR UPDATE OF \"{}\", which is no table here,", name.relname)));
            }
        }
        for relation in locked {
            walk.need(Action::Lock, Object::Relation(relation));
        }
    }
    Ok(every().collect())
}

/// The columns of a subquery node.
///
/// # Errors
/// When it is no query, or not understood.
pub(super) fn subquery(walk: &mut Walk<'_>, outer: &Scope<'_>, query: &NodeEnum) -> Result<Query, Refusal> {
    match query {
        NodeEnum::SelectStmt(select) => self::select(walk, Some(outer), select),
        _ => Err(node::unexpected(query, "a subquery")),
    }
}
