//! Queries: SELECT, VALUES, TABLE and set operations, to their columns with what feeds each, in the server's order.
//! Does not look into FROM items and expressions itself.

use std::sync::Arc;

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, GroupByWithModifier, LimitClause, LockClause, NamedWindowExpr, OrderBy, OrderByExpr,
    OrderByKind, OrderBySort, Query as Tree, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, SetOperator, SetQuantifier, Value, Values, WildcardAdditionalOptions,
};

use super::{
    call,
    condition::{self, infer},
    constant, expression, from, listing, node, output_name,
    refusal::{unexpected, unsupported},
    scope::{Aliases, Entry, Field, Scope},
    survey,
    walk::{Printed, Walk},
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
    pub(super) behind: Vec<QualifiedName>,
}

/// Walks a query inside `outer`.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn query(walk: &mut Walk<'_>, outer: Option<&Scope<'_>>, tree: &Tree) -> Result<Query, Refusal> {
    walk.nested(|walk| {
        let Tree {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = tree;
        if fetch.is_some() || for_clause.is_some() || settings.is_some() || format_clause.is_some() {
            return Err(unexpected("a query"));
        }
        if !pipe_operators.is_empty() {
            return Err(unexpected("a query"));
        }
        let mut scope = Scope::inside(outer);
        if let Some(with) = with {
            with::items(walk, &mut scope, with)?;
        }
        let tail = Tail { order: order_by.as_ref(), locks };
        let limited = u32::from(limit_clause.as_ref().is_some_and(survey::is_limit));
        walk.limited += limited;
        let found = body_of(walk, &scope, body, &tail);
        walk.limited -= limited;
        let found = found?;
        if let Some(limit) = limit_clause {
            self::limit(walk, &scope, limit)?;
        }
        Ok(found)
    })
}

/// What stands behind a query's body and sees its names.
struct Tail<'q> {
    order: Option<&'q OrderBy>,
    locks: &'q [LockClause],
}

const NO_TAIL: Tail<'static> = Tail { order: None, locks: &[] };

fn body_of(walk: &mut Walk<'_>, scope: &Scope<'_>, body: &SetExpr, tail: &Tail<'_>) -> Result<Query, Refusal> {
    walk.nested(|walk| match body {
        SetExpr::Select(select) => self::select(walk, scope, select, tail),
        SetExpr::Query(inner) => {
            let found = query(walk, Some(scope), inner)?;
            behind_outputs(walk, scope, &found, tail)?;
            Ok(found)
        }
        SetExpr::SetOperation { op, set_quantifier, left, right } => {
            let found = set_operation(walk, scope, *op, *set_quantifier, left, right)?;
            behind_outputs(walk, scope, &found, tail)?;
            Ok(found)
        }
        SetExpr::Values(rows) => {
            let found = Query { fields: values(walk, scope, rows)?, behind: Vec::new() };
            behind_outputs(walk, scope, &found, tail)?;
            Ok(found)
        }
        // TABLE is said as SELECT * FROM.
        SetExpr::Table(_) | SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Err(unexpected("a query"))
        }
    })
}

fn select(walk: &mut Walk<'_>, outer: &Scope<'_>, select: &Select, tail: &Tail<'_>) -> Result<Query, Refusal> {
    plain_form(select)?;
    let mut scope = Scope::inside(Some(outer));
    from::items(walk, &mut scope, &select.from)?;
    listing::of_select(walk, select);
    if let Some(filter) = &select.selection {
        survey::condition(walk, &scope, filter)?;
    }
    survey::level(walk, &scope, select.selection.as_ref());
    let fields = targets(walk, &mut scope, &select.projection)?;
    scope.seen = Aliases::Seen;
    match &select.group_by {
        GroupByExpr::Expressions(items, modifiers) => {
            if !modifiers.iter().all(|modifier| *modifier == GroupByWithModifier::Rollup) {
                return Err(unexpected("GROUP BY"));
            }
            for item in items {
                by_position_or(walk, &scope, &fields, item)?;
            }
        }
        GroupByExpr::All(_) => return Err(unexpected("GROUP BY")),
    }
    if let Some(having) = &select.having {
        condition::condition(walk, &scope, having)?;
    }
    for window in &select.named_window {
        match &window.1 {
            NamedWindowExpr::WindowSpec(spec) => call::window(walk, &scope, spec)?,
            NamedWindowExpr::NamedWindow(_) => return Err(unexpected("WINDOW")),
        }
    }
    match &select.distinct {
        None | Some(Distinct::All) => {}
        Some(Distinct::Distinct) => {
            for field in &fields {
                walk.used(&field.lineage, &Usage::Inference);
            }
        }
        Some(Distinct::On(_)) => return Err(unexpected("DISTINCT")),
    }
    order(walk, &scope, tail.order, &fields)?;
    let behind = scope.entries.iter().flat_map(|entry| entry.behind.iter().cloned()).collect();
    lock(walk, &scope, tail.locks)?;
    Ok(Query { fields, behind })
}

/// Clauses of other dialects have no place in a SELECT.
fn plain_form(select: &Select) -> Result<(), Refusal> {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct: _,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from: _,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by: _,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window: _,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    let lists_empty = optimizer_hints.is_empty()
        && lateral_views.is_empty()
        && connect_by.is_empty()
        && cluster_by.is_empty()
        && distribute_by.is_empty()
        && sort_by.is_empty();
    let absent = top.is_none()
        && exclude.is_none()
        && into.is_none()
        && prewhere.is_none()
        && qualify.is_none()
        && value_table_mode.is_none()
        && select_modifiers.is_none();
    if lists_empty && absent && *flavor == SelectFlavor::Standard { Ok(()) } else { Err(unexpected("a SELECT")) }
}

/// A select list, `*` expanded.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn targets(walk: &mut Walk<'_>, scope: &mut Scope<'_>, list: &[SelectItem]) -> Result<Vec<Field>, Refusal> {
    let mut fields = Vec::with_capacity(list.len());
    for item in list {
        match item {
            SelectItem::UnnamedExpr(value) => {
                let field = Field { name: output_name::of(value), lineage: target(walk, scope, value)? };
                scope.aliases.push(field.clone());
                fields.push(field);
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let field = Field { name: node::alias(walk, alias)?.into(), lineage: target(walk, scope, expr)? };
                scope.aliases.push(field.clone());
                fields.push(field);
            }
            SelectItem::Wildcard(options) => {
                plain_star(options)?;
                fields.extend(scope.star(walk, None)?);
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                plain_star(options)?;
                let of = node::relation(walk, name)?;
                fields.extend(scope.star(walk, Some(of))?);
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _)
            | SelectItem::ExprWithAliases { .. } => return Err(unexpected("a select list")),
        }
    }
    Ok(fields)
}

fn target(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &Expr) -> Result<Arc<Lineage>, Refusal> {
    // A column by itself is no part of an assignment, and no expression that is printed.
    let bare = matches!(value, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    let (assigns, printed) = (walk.assigns, walk.printed);
    walk.assigns &= !bare;
    if bare && printed == Printed::Expressions {
        walk.printed = Printed::Nothing;
    }
    let found = expression::expression(walk, scope, value);
    (walk.assigns, walk.printed) = (assigns, printed);
    found.map(Arc::new)
}

fn plain_star(options: &WildcardAdditionalOptions) -> Result<(), Refusal> {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    let plain = opt_ilike.is_none()
        && opt_exclude.is_none()
        && opt_except.is_none()
        && opt_replace.is_none()
        && opt_rename.is_none()
        && opt_alias.is_none();
    if plain { Ok(()) } else { Err(unexpected("`*`")) }
}

/// `VALUES ROW(1, 2), ROW(3, 4)` and MariaDB's `VALUES (1, 2)`.
fn values(walk: &mut Walk<'_>, scope: &Scope<'_>, values: &Values) -> Result<Vec<Field>, Refusal> {
    let mut columns: Option<Vec<Lineage>> = None;
    for row in &values.rows {
        let mut lineages = Vec::with_capacity(row.content.len());
        for value in &row.content {
            lineages.push(expression::expression(walk, scope, value)?);
        }
        match &mut columns {
            None => columns = Some(lineages),
            Some(columns) if columns.len() == lineages.len() => {
                for (column, value) in columns.iter_mut().zip(&lineages) {
                    column.merge(value);
                }
            }
            Some(_) => return Err(unsupported("VALUES with rows of different lengths")),
        }
    }
    let named = columns.unwrap_or_default().into_iter().enumerate();
    Ok(named.map(|(at, lineage)| Field::new(format!("column_{at}"), lineage)).collect())
}

fn set_operation(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    op: SetOperator,
    quantifier: SetQuantifier,
    left: &SetExpr,
    right: &SetExpr,
) -> Result<Query, Refusal> {
    let appends = match (op, quantifier) {
        (SetOperator::Union, SetQuantifier::All) => true,
        (
            SetOperator::Union | SetOperator::Except | SetOperator::Intersect,
            SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None,
        ) => false,
        _ => return Err(unexpected("a set operation")),
    };
    let left = body_of(walk, scope, left, &NO_TAIL)?;
    let right = body_of(walk, scope, right, &NO_TAIL)?;
    if left.fields.len() != right.fields.len() {
        return Err(unsupported("a set operation whose arms differ in their number of columns"));
    }
    let mut fields = Vec::with_capacity(left.fields.len());
    for (one, other) in left.fields.into_iter().zip(right.fields) {
        let mut lineage = Lineage::clone(&one.lineage);
        lineage.merge(&other.lineage);
        if !appends {
            walk.used(&lineage, &Usage::Inference);
        }
        fields.push(Field { name: one.name, lineage: Arc::new(lineage) });
    }
    Ok(Query { fields, behind: left.behind.into_iter().chain(right.behind).collect() })
}

/// ORDER BY and FOR UPDATE behind what has output columns only.
fn behind_outputs(walk: &mut Walk<'_>, outer: &Scope<'_>, found: &Query, tail: &Tail<'_>) -> Result<(), Refusal> {
    let mut scope = Scope::inside(Some(outer));
    scope.entries.push(Entry::new("", found.fields.clone()));
    order(walk, &scope, tail.order, &found.fields)?;
    if !tail.locks.is_empty() {
        for relation in &found.behind {
            walk.need(Action::Lock, Object::Relation(relation.clone()));
        }
    }
    Ok(())
}

fn order(walk: &mut Walk<'_>, scope: &Scope<'_>, order: Option<&OrderBy>, fields: &[Field]) -> Result<(), Refusal> {
    let Some(order) = order else { return Ok(()) };
    if order.interpolate.is_some() {
        return Err(unexpected("ORDER BY"));
    }
    match &order.kind {
        OrderByKind::Expressions(items) => items.iter().try_for_each(|item| sort_item(walk, scope, fields, item)),
        OrderByKind::All(_) => Err(unexpected("ORDER BY")),
    }
}

/// One item of ORDER BY: an output's position or name, or an expression.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn sort_item(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    fields: &[Field],
    item: &OrderByExpr,
) -> Result<(), Refusal> {
    let sorted = matches!(item.options.sort, None | Some(OrderBySort::Asc | OrderBySort::Desc));
    if item.with_fill.is_some() || item.options.nulls_first.is_some() || !sorted {
        return Err(unexpected("ORDER BY"));
    }
    by_position_or(walk, scope, fields, &item.expr)
}

fn by_position_or(walk: &mut Walk<'_>, scope: &Scope<'_>, fields: &[Field], value: &Expr) -> Result<(), Refusal> {
    if let Expr::Value(constant) = value
        && let Value::Number(number, _) = constant::value(constant)
    {
        let at = number.parse::<usize>().ok().and_then(|at| at.checked_sub(1));
        if let Some(field) = at.and_then(|at| fields.get(at)) {
            walk.used(&field.lineage, &Usage::Inference);
        }
        return Ok(());
    }
    infer(walk, scope, value)
}

fn limit(walk: &mut Walk<'_>, scope: &Scope<'_>, limit: &LimitClause) -> Result<(), Refusal> {
    let bounds: Vec<&Expr> = match limit {
        LimitClause::LimitOffset { limit, offset, limit_by } if limit_by.is_empty() => {
            limit.iter().chain(offset.iter().map(|offset| &offset.value)).collect()
        }
        LimitClause::LimitOffset { .. } => return Err(unexpected("LIMIT")),
        LimitClause::OffsetCommaLimit { offset, limit } => vec![offset, limit],
    };
    bounds.into_iter().try_for_each(|bound| infer(walk, scope, bound))
}

/// FOR UPDATE and FOR SHARE: LOCK on what they lock.
fn lock(walk: &mut Walk<'_>, scope: &Scope<'_>, locks: &[LockClause]) -> Result<(), Refusal> {
    for clause in locks {
        let mut locked: Vec<QualifiedName> = Vec::new();
        match &clause.of {
            None => locked.extend(scope.entries.iter().flat_map(|entry| entry.behind.iter().cloned())),
            Some(name) => {
                let (database, name) = node::relation(walk, name)?;
                match scope.entry(database, name)? {
                    Some(entry) => locked.extend(entry.behind.iter().cloned()),
                    None => return Err(unsupported(&format!("FOR UPDATE OF `{name}`, which is no table here,"))),
                }
            }
        }
        for relation in locked {
            walk.need(Action::Lock, Object::Relation(relation));
        }
    }
    Ok(())
}

/// Only the first arm of a recursive query: what its rounds start from.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn first_arm(walk: &mut Walk<'_>, scope: &Scope<'_>, arm: &SetExpr) -> Result<Vec<Field>, Refusal> {
    body_of(walk, scope, arm, &NO_TAIL).map(|found| found.fields)
}
