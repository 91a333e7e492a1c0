//! FROM items: relations, WITH items, subqueries, joins, JSON_TABLE.
//! Fills the scope with them as the server does.

use std::sync::Arc;

use sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, JsonTableColumn, ObjectName, TableAlias, TableFactor,
    TableWithJoins,
};

use super::{
    catalogs, condition, expression, node, query,
    refusal::{unexpected, unknown_column, unsupported},
    relation,
    scope::{Entry, Field, Knowledge, Reachable, Same, Scope, only, same},
    survey,
    walk::Walk,
};
use crate::{
    catalog::{Relation, RelationKind},
    statement::{Action, Lineage, Object, Refusal, RefusalKind, Usage, Via},
};

/// Adds the items of a FROM clause to `scope`.
///
/// # Errors
/// When something in them is not understood.
pub(super) fn items(walk: &mut Walk<'_>, scope: &mut Scope<'_>, list: &[TableWithJoins]) -> Result<(), Refusal> {
    for item in list {
        joined(walk, scope, item, None)?;
    }
    Ok(())
}

/// One item with its joins; its entries are added to `scope`. What ON sees are the tables that it joins, and the queries
/// around; if the parser has read `a JOIN b JOIN c ON …` as `a JOIN (b JOIN c ON …)`, those from `loose` on as well.
fn joined(
    walk: &mut Walk<'_>,
    scope: &mut Scope<'_>,
    item: &TableWithJoins,
    loose: Option<usize>,
) -> Result<(), Refusal> {
    let start = scope.entries.len();
    factor(walk, scope, &item.relation)?;
    for join in &item.joins {
        walk.step()?;
        if join.global {
            return Err(unexpected("a join"));
        }
        let middle = scope.entries.len();
        let constraint = constraint(join)?;
        match (&join.relation, constraint) {
            (TableFactor::NestedJoin { table_with_joins, alias: None }, JoinConstraint::None) => {
                walk.nested(|walk| joined(walk, scope, table_with_joins, loose.or(Some(start))))?;
            }
            (relation, _) => factor(walk, scope, relation)?,
        }
        match constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(filter) => on(walk, scope, filter, start, loose)?,
            JoinConstraint::Using(columns) => {
                let names: Vec<&str> = columns.iter().map(|name| column_of(walk, name)).collect::<Result<_, _>>()?;
                let names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
                by_names(walk, scope, start, middle, &names, turned(join))?;
            }
            JoinConstraint::Natural => {
                let names = shared(scope.entries.get(start..middle), scope.entries.get(middle..))?;
                by_names(walk, scope, start, middle, &names, turned(join))?;
            }
        }
    }
    Ok(())
}

fn on(
    walk: &mut Walk<'_>,
    scope: &mut Scope<'_>,
    filter: &Expr,
    start: usize,
    loose: Option<usize>,
) -> Result<(), Refusal> {
    let own = seen_from(walk, scope, filter, start);
    match loose {
        None => own,
        // Which of the two was meant is not in the tree: what either finds counts.
        Some(loose) => {
            seen_from(walk, scope, filter, loose)?;
            own.or_else(|refusal| if refusal.kind == RefusalKind::UnknownColumn { Ok(()) } else { Err(refusal) })
        }
    }
}

/// Walks a condition that sees the entries from `start` on, and not those beside.
fn seen_from(walk: &mut Walk<'_>, scope: &mut Scope<'_>, filter: &Expr, start: usize) -> Result<(), Refusal> {
    let joined = scope.entries.split_off(start.min(scope.entries.len()));
    let beside = std::mem::replace(&mut scope.entries, joined);
    let result = survey::condition(walk, scope, filter);
    let joined = std::mem::replace(&mut scope.entries, beside);
    scope.entries.extend(joined);
    result
}

fn constraint(join: &Join) -> Result<&JoinConstraint, Refusal> {
    match &join.join_operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::CrossJoin(c)
        | JoinOperator::StraightJoin(c) => Ok(c),
        _ => Err(unexpected("a join")),
    }
}

/// Whether the order of the columns of a join by names is the plain one.
fn turned(join: &Join) -> Knowledge {
    match &join.join_operator {
        JoinOperator::Right(_) | JoinOperator::RightOuter(_) => Knowledge::Unordered,
        _ => Knowledge::Exact,
    }
}

fn column_of<'n>(walk: &Walk<'_>, name: &'n ObjectName) -> Result<&'n str, Refusal> {
    match node::path(walk, name)?.as_slice() {
        [name] => Ok(name),
        _ => Err(unexpected("USING")),
    }
}

fn visible(entries: Option<&[Entry]>) -> Vec<Field> {
    let entries = entries.unwrap_or_default().iter().filter(|entry| entry.by_column());
    entries.flat_map(|entry| entry.fields.iter().cloned()).collect()
}

/// The names that both sides of a NATURAL JOIN have, in the left one's order.
fn shared(left: Option<&[Entry]>, right: Option<&[Entry]>) -> Result<Vec<Arc<str>>, Refusal> {
    let (left, right) = (visible(left), visible(right));
    let mut names = Vec::new();
    for field in &left {
        if only(&right, &field.name)?.is_some() {
            names.push(Arc::clone(&field.name));
        }
    }
    Ok(names)
}

/// Joins the entries from `start` with those from `middle` by the columns called `names`.
fn by_names(
    walk: &mut Walk<'_>,
    scope: &mut Scope<'_>,
    start: usize,
    middle: usize,
    names: &[Arc<str>],
    knowledge: Knowledge,
) -> Result<(), Refusal> {
    let (left, right) = (visible(scope.entries.get(start..middle)), visible(scope.entries.get(middle..)));
    let mut fields = Vec::with_capacity(left.len() + right.len());
    for name in names {
        let missing = || unknown_column(name).detail("USING wants the column in both tables");
        let (one, other) = (only(&left, name)?.ok_or_else(missing)?, only(&right, name)?.ok_or_else(missing)?);
        condition::columns_compared(walk, &one, &other);
        let mut lineage = Lineage::clone(&one);
        lineage.merge(&other);
        fields.push(Field { name: Arc::clone(name), lineage: Arc::new(lineage) });
    }
    survey::joined_by(walk, scope.entries.iter().skip(start), names);
    let apart = |field: &Field| names.iter().all(|name| same(name, &field.name) != Same::Yes);
    fields.extend(left.into_iter().chain(right).filter(apart));
    let mut knowledge = knowledge;
    for entry in scope.entries.iter_mut().skip(start) {
        if entry.knowledge != Knowledge::Exact {
            knowledge = Knowledge::Unordered;
        }
    }
    let targets = scope.entries.iter().skip(start).filter_map(|entry| entry.target.clone()).next();
    for entry in scope.entries.iter_mut().skip(start) {
        entry.reachable = match entry.reachable {
            Reachable::Both | Reachable::ByName => Reachable::ByName,
            // What an inner join by names made is part of what this one makes.
            Reachable::Columns => Reachable::ByName,
        };
    }
    scope.entries.push(Entry { reachable: Reachable::Columns, knowledge, target: targets, ..Entry::new("", fields) });
    Ok(())
}

/// The statement reads rows of `relation`.
pub(super) fn read(walk: &mut Walk<'_>, relation: &Relation) {
    if catalogs::is_system_schema(&relation.name.schema) {
        return; // `catalogs::read` says what is needed.
    }
    walk.need(Action::Select, Object::Relation(relation.name.clone()));
}

fn factor(walk: &mut Walk<'_>, scope: &mut Scope<'_>, factor: &TableFactor) -> Result<(), Refusal> {
    walk.nested(|walk| match factor {
        TableFactor::Table {
            name,
            alias,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_hints: _,
        } if with_hints.is_empty() => {
            let entry = named(walk, scope, name)?;
            if let Some(entry) = aliased(walk, entry, alias.as_ref())? {
                // Of partitions, only those rows are read.
                survey::item(walk, scope, entry, partitions.is_empty());
            }
            Ok(())
        }
        TableFactor::Derived { lateral, subquery, alias: Some(alias), sample: None } => {
            let writing = std::mem::take(&mut walk.writing);
            let (found, item) = survey::inner(walk, |walk| {
                if *lateral {
                    return query::query(walk, Some(scope), subquery);
                }
                // The items beside it are not in reach, those of the queries around are.
                let beside = std::mem::take(&mut scope.entries);
                let found = query::query(walk, Some(scope), subquery);
                scope.entries = beside;
                found
            })?;
            walk.writing = writing;
            computed_on_the_way(walk, &found.fields);
            let entry = Entry { behind: found.behind, item: Some(item), ..Entry::new("", found.fields) };
            let entry = aliased(walk, Some(entry), Some(alias))?;
            scope.entries.extend(entry);
            Ok(())
        }
        TableFactor::NestedJoin { table_with_joins, alias: None } => joined(walk, scope, table_with_joins, None),
        TableFactor::JsonTable { json_expr, json_path: _, columns, alias: Some(alias) } => {
            let (document, item) = survey::inner(walk, |walk| expression::expression(walk, scope, json_expr))?;
            let document = document.through(Via::Partial);
            walk.used(&document, &Usage::Inference);
            let mut fields = Vec::new();
            json_columns(walk, columns, &Arc::new(document), &mut fields)?;
            let entry = Entry { item: Some(item), ..Entry::new("", fields) };
            let entry = aliased(walk, Some(entry), Some(alias))?;
            scope.entries.extend(entry);
            Ok(())
        }
        _ => Err(unexpected("FROM")),
    })
}

/// Columns of a query that others read from are computed for each of its rows, whether or not anybody names them.
pub(super) fn computed_on_the_way(walk: &mut Walk<'_>, fields: &[Field]) {
    for field in fields {
        walk.fails(&field.lineage);
    }
}

/// The item that a bare name stands for; DUAL is none.
fn named(walk: &mut Walk<'_>, scope: &Scope<'_>, name: &ObjectName) -> Result<Option<Entry>, Refusal> {
    if let [part] = name.0.as_slice()
        && part.as_ident().is_some_and(|i| i.quote_style.is_none() && i.value.eq_ignore_ascii_case("dual"))
    {
        return Ok(None);
    }
    let (database, table) = node::relation(walk, name)?;
    if database.is_none()
        && let Some(item) = scope.with_item(table)?
    {
        return Ok(Some(Entry::new(table, item.to_vec())));
    }
    let relation = relation::resolve(walk, database, table)?;
    if relation.kind == RelationKind::Other {
        return Err(unsupported(&format!("'{}', which is no table or view,", relation.name)));
    }
    let target = walk.writing.then(|| relation.name.clone());
    if target.is_none() {
        read(walk, &relation);
    }
    let entry = relation::entry(walk, &relation)?;
    // The name it goes by is the one that was written.
    Ok(Some(Entry { name: table.into(), target, ..entry }))
}

fn aliased(walk: &Walk<'_>, entry: Option<Entry>, alias: Option<&TableAlias>) -> Result<Option<Entry>, Refusal> {
    let Some(mut entry) = entry else { return Ok(None) };
    let Some(alias) = alias else { return Ok(Some(entry)) };
    if alias.at.is_some() {
        return Err(unexpected("an alias"));
    }
    entry.name = node::name(walk, &alias.name)?.into();
    if alias.columns.is_empty() {
        return Ok(Some(entry));
    }
    if alias.columns.len() != entry.fields.len() {
        return Err(unsupported("an alias with another number of names than columns"));
    }
    for (field, column) in entry.fields.iter_mut().zip(&alias.columns) {
        if column.data_type.is_some() {
            return Err(unexpected("an alias"));
        }
        field.name = name_of(walk, &column.name)?;
    }
    Ok(Some(entry))
}

fn name_of(walk: &Walk<'_>, ident: &Ident) -> Result<Arc<str>, Refusal> {
    node::name(walk, ident).map(Arc::from)
}

fn json_columns(
    walk: &mut Walk<'_>,
    columns: &[JsonTableColumn],
    document: &Arc<Lineage>,
    fields: &mut Vec<Field>,
) -> Result<(), Refusal> {
    walk.nested(|walk| {
        for column in columns {
            match column {
                JsonTableColumn::Named(column) => {
                    fields.push(Field { name: name_of(walk, &column.name)?, lineage: Arc::clone(document) });
                }
                JsonTableColumn::ForOrdinality(name) => {
                    fields.push(Field { name: name_of(walk, name)?, lineage: Arc::clone(document) });
                }
                JsonTableColumn::Nested(nested) => json_columns(walk, &nested.columns, document, fields)?,
            }
        }
        Ok(())
    })
}
