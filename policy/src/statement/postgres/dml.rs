//! INSERT, UPDATE and DELETE: what they need, what they read, what travels from column to column, what RETURNING shows.
//! MERGE shares the helpers and has its own file.

use std::sync::Arc;

use pg_query::{
    Node, NodeEnum,
    protobuf::{
        DeleteStmt, InferClause, InsertStmt, OnConflictAction, OnConflictClause, RangeVar, ReturningClause,
        ReturningOptionKind, UpdateStmt, WithClause,
    },
};

use super::{
    condition::{self, condition},
    expression::expression,
    from,
    function::{self, Casts},
    kept::{Kept, keeps},
    merge, node, query,
    reach::{self, Filter},
    relation,
    scope::{Entry, Field, Reachable, Scope},
    walk::Walk,
    with,
};
use crate::{
    catalog::Relation,
    statement::{Action, Lineage, Object, Reach, Refusal, RefusalKind, Usage, Via},
};

/// What a statement writes to.
pub(super) struct Target {
    /// The relation.
    pub(super) relation: Arc<Relation>,
    /// It as an item of the range table.
    pub(super) entry: Entry,
    /// What was put into each column, in the order of `entry.fields`.
    pub(super) written: Vec<Lineage>,
}

/// Walks an INSERT, UPDATE, DELETE or MERGE: the columns of RETURNING, if it has one.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn modify(
    walk: &mut Walk<'_>,
    outer: Option<&Scope<'_>>,
    statement: &NodeEnum,
) -> Result<Option<Vec<Field>>, Refusal> {
    walk.nested(|walk| match statement {
        NodeEnum::InsertStmt(insert) => self::insert(walk, outer, insert),
        NodeEnum::UpdateStmt(update) => self::update(walk, outer, update),
        NodeEnum::DeleteStmt(delete) => self::delete(walk, outer, delete),
        NodeEnum::MergeStmt(merge) => merge::merge(walk, outer, merge),
        _ => Err(node::unexpected(statement, "a data-modifying statement")),
    })
}

/// The scope of a data-modifying statement with its WITH list.
pub(super) fn level<'s>(
    walk: &mut Walk<'_>,
    outer: Option<&'s Scope<'s>>,
    list: Option<&WithClause>,
) -> Result<Scope<'s>, Refusal> {
    let mut scope = match outer {
        Some(outer) => Scope::inside(outer),
        None => Scope::top(),
    };
    if let Some(list) = list {
        with::items(walk, &mut scope, list)?;
    }
    Ok(scope)
}

/// The relation a statement writes to; a WITH item of that name is not meant.
///
/// # Errors
/// When it is not known, or may not be written to by anybody.
pub(super) fn target(walk: &mut Walk<'_>, name: Option<&RangeVar>) -> Result<Target, Refusal> {
    let Some(name) = name else { return Err(node::unsupported("a statement without a table")) };
    let relation = relation::resolve_relation(walk, name)?;
    if relation::is_catalog(&relation) {
        return Err(Refusal::new(
            RefusalKind::Forbidden,
            format!("permission denied: \"{}\" is a system catalog", relation.name.name),
        )
        .detail("system catalogs are changed by DDL statements, never by writing to their rows"));
    }
    let entry = relation::entry(walk, &relation, from::rows(name))?;
    let mut entry = from::aliased(entry, name.alias.as_ref())?;
    entry.target = Some(relation.name.clone());
    let written = vec![Lineage::constant(); entry.fields.len()];
    Ok(Target { relation, entry, written })
}

impl Target {
    /// Needs `action` on the relation.
    pub(super) fn need(&self, walk: &mut Walk<'_>, action: Action) {
        walk.need(action, Object::Relation(self.relation.name.clone()));
        if self.relation.ruled {
            // The server runs what the rules say instead, or besides, and gives its rows.
            let what = format!("what rules make of a write to {}", self.relation.name);
            walk.need(Action::Admin, Object::Session(what.into()));
        }
    }

    /// Where the column called `name` stands.
    fn position(&self, name: &str) -> Result<usize, Refusal> {
        self.relation.columns.iter().position(|column| &*column.name == name).ok_or_else(|| {
            Refusal::new(
                RefusalKind::UnknownColumn,
                format!("column \"{name}\" of relation \"{}\" does not exist", self.relation.name.name),
            )
        })
    }

    /// `value` is put into the column at `at`: what is in it but that column itself has travelled. What is made of the
    /// column itself can be compared afterwards, a part of a value or the greater of two as well as the whole: only what
    /// keeps the value as it is gives no more to compare than was there.
    pub(super) fn write(&mut self, walk: &mut Walk<'_>, at: usize, value: &Lineage, kept: Kept) {
        walk.computed(value);
        let (Some(column), Some(field)) = (self.relation.columns.get(at), self.entry.fields.get(at)) else { return };
        if !function::is_of_type(walk, value, column.type_oid) {
            function::converted(walk, value, Casts::Implied);
        }
        let mut foreign = value.clone();
        foreign.columns.retain(|source, _| !field.lineage.columns.contains_key(source));
        if kept == Kept::Unknown {
            let mut made = value.clone();
            made.columns.retain(|source, via| *via != Via::Copy && field.lineage.columns.contains_key(source));
            walk.used(&made, &Usage::Inference);
        }
        if !foreign.columns.is_empty() {
            let place = Arc::from(format!("{}.{}", self.relation.name, column.name));
            walk.used(&foreign, &Usage::Travel(place));
        }
        if let Some(written) = self.written.get_mut(at) {
            written.merge(value);
        }
    }

    /// The target as RETURNING sees it: with what was just written.
    fn returned(&self) -> Entry {
        let mut entry = self.entry.clone();
        for (field, written) in entry.fields.iter_mut().zip(&self.written) {
            if !written.columns.is_empty() {
                Arc::make_mut(&mut field.lineage).merge(written);
            }
        }
        entry
    }
}

fn insert(walk: &mut Walk<'_>, outer: Option<&Scope<'_>>, insert: &InsertStmt) -> Result<Option<Vec<Field>>, Refusal> {
    let scope = level(walk, outer, insert.with_clause.as_ref())?;
    let mut target = target(walk, insert.relation.as_ref())?;
    target.need(walk, Action::Insert);
    let columns = insert_columns(walk, &scope, &target, &insert.cols)?;
    match node::boxed(insert.select_stmt.as_ref()) {
        Some(NodeEnum::SelectStmt(select)) => {
            let rows = select.values_lists.iter().filter_map(|row| node::optional(Some(row)));
            let rows =
                rows.filter_map(|row| if let NodeEnum::List(row) = row { Some(row.items.as_slice()) } else { None });
            let source = query::select(walk, Some(&scope), select)?.fields;
            left_to_defaults(walk, &target, columns.get(..source.len()).unwrap_or(&columns), rows)?;
            let values: Vec<Lineage> = source.iter().map(|field| Lineage::clone(&field.lineage)).collect();
            write_row(walk, &mut target, &columns, &values)?;
        }
        Some(other) => return Err(node::unexpected(other, "INSERT")),
        None => left_to_defaults(walk, &target, &[], std::iter::empty())?,
    }
    if let Some(conflict) = &insert.on_conflict_clause {
        on_conflict(walk, &scope, &mut target, conflict)?;
    }
    let mut scope = scope;
    scope.entries.push(target.returned());
    returning(walk, &mut scope, &target, insert.returning_clause.as_ref())
}

/// The columns that are not at the positions `given` take their defaults, and any may where a row says DEFAULT.
///
/// # Errors
/// When one is not understood.
pub(super) fn left_to_defaults<'n>(
    walk: &mut Walk<'_>,
    target: &Target,
    given: &[usize],
    mut rows: impl Iterator<Item = &'n [Node]>,
) -> Result<(), Refusal> {
    let any = rows.any(|row| node::all(row).any(|value| matches!(value, NodeEnum::SetToDefault(_))));
    relation::defaults(walk, &target.relation, |name| any || target.position(name).is_ok_and(|at| !given.contains(&at)))
}

/// The positions that the values of an INSERT go to.
///
/// # Errors
/// When a column is not known.
pub(super) fn insert_columns(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    target: &Target,
    list: &[Node],
) -> Result<Vec<usize>, Refusal> {
    if list.is_empty() {
        return Ok((0..target.relation.columns.len()).collect());
    }
    let mut columns = Vec::with_capacity(list.len());
    for item in node::all(list) {
        let NodeEnum::ResTarget(column) = item else { return Err(node::unexpected(item, "INSERT")) };
        subscripts(walk, scope, &column.indirection)?;
        columns.push(target.position(&column.name)?);
    }
    Ok(columns)
}

/// Subscripts of an assigned column choose where the value goes: conditions of a kind.
fn subscripts(walk: &mut Walk<'_>, scope: &Scope<'_>, path: &[Node]) -> Result<(), Refusal> {
    for step in node::all(path) {
        match step {
            NodeEnum::String(_) => {}
            NodeEnum::AIndices(indices) => {
                for index in [&indices.lidx, &indices.uidx] {
                    if let Some(index) = node::boxed(index.as_ref()) {
                        condition::infer(walk, scope, index)?;
                    }
                }
            }
            _ => return Err(node::unexpected(step, "an assignment")),
        }
    }
    Ok(())
}

/// Puts one row's values into `columns`.
///
/// # Errors
/// When there are more values than columns.
pub(super) fn write_row(
    walk: &mut Walk<'_>,
    target: &mut Target,
    columns: &[usize],
    values: &[Lineage],
) -> Result<(), Refusal> {
    if values.len() > columns.len() {
        return Err(Refusal::new(RefusalKind::Unsupported, "INSERT has more expressions than target columns"));
    }
    for (at, value) in columns.iter().zip(values) {
        target.write(walk, *at, value, Kept::Unknown);
    }
    Ok(())
}

fn on_conflict(
    walk: &mut Walk<'_>,
    outer: &Scope<'_>,
    target: &mut Target,
    conflict: &OnConflictClause,
) -> Result<(), Refusal> {
    if let Some(infer) = &conflict.infer {
        arbiter(walk, outer, target, infer)?;
    }
    match OnConflictAction::try_from(conflict.action) {
        Ok(OnConflictAction::OnconflictNothing) => return Ok(()),
        Ok(OnConflictAction::OnconflictUpdate) => {}
        Ok(OnConflictAction::OnconflictNone | OnConflictAction::Undefined) | Err(_) => {
            return Err(node::unsupported("an ON CONFLICT action of unknown kind"));
        }
    }
    target.need(walk, Action::Update);
    let mut scope = Scope::inside(outer);
    scope.entries.push(target.entry.clone());
    scope.entries.push(excluded(target));
    assignments(walk, &scope, target, &conflict.target_list)?;
    if let Some(filter) = node::boxed(conflict.where_clause.as_ref()) {
        condition(walk, &scope, filter)?;
    }
    Ok(())
}

/// The row that was not inserted: what was put into each column, and into what a generated one is made of.
fn excluded(target: &Target) -> Entry {
    let mut every = Lineage::constant();
    for written in &target.written {
        every.merge(written);
    }
    let columns = target.relation.columns.iter().zip(&target.written);
    let fields = columns.map(|(column, written)| match &column.generated {
        Some(_) => Field::new(&column.name, every.clone().through(Via::Partial)),
        None => Field::new(&column.name, written.clone()),
    });
    Entry { relation: Some(Arc::clone(&target.relation)), ..Entry::new("excluded", fields.collect()) }
}

/// The columns that decide about a conflict are compared with what is inserted.
fn arbiter(walk: &mut Walk<'_>, outer: &Scope<'_>, target: &Target, infer: &InferClause) -> Result<(), Refusal> {
    let mut scope = Scope::inside(outer);
    // PostgreSQL wants SELECT on these columns; a conflict says no more than the unique index itself would.
    scope.entries.push(Entry { target: None, ..target.entry.clone() });
    for item in node::all(&infer.index_elems) {
        let NodeEnum::IndexElem(element) = item else { return Err(node::unexpected(item, "ON CONFLICT")) };
        let lineage = match node::boxed(element.expr.as_ref()) {
            Some(value) => expression(walk, &scope, value)?,
            None => {
                let field = target.position(&element.name)?;
                target.entry.fields.get(field).map(|field| Lineage::clone(&field.lineage)).unwrap_or_default()
            }
        };
        walk.compared(&lineage);
    }
    match node::boxed(infer.where_clause.as_ref()) {
        Some(filter) => condition(walk, &scope, filter),
        None => Ok(()),
    }
}

/// The assignments of SET.
///
/// # Errors
/// When something in them is not understood.
pub(super) fn assignments(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    target: &mut Target,
    list: &[Node],
) -> Result<(), Refusal> {
    for item in node::all(list) {
        let NodeEnum::ResTarget(column) = item else { return Err(node::unexpected(item, "SET")) };
        let at = target.position(&column.name)?;
        subscripts(walk, scope, &column.indirection)?;
        let assigned = node::required(column.val.as_ref(), "SET")?;
        let value = match assigned {
            NodeEnum::SetToDefault(_) => {
                relation::defaults(walk, &target.relation, |name| *name == *column.name)?;
                Lineage::constant()
            }
            NodeEnum::MultiAssignRef(part) => {
                let source = node::required(part.source.as_ref(), "SET")?;
                one_of_row(walk, scope, source, part.colno)?
            }
            value => expression(walk, scope, value)?,
        };
        let kept = keeps(walk, scope, assigned)?;
        target.write(walk, at, &value, kept);
    }
    Ok(())
}

/// `SET (a, b) = row`: the part for the column at `number`, from 1.
fn one_of_row(walk: &mut Walk<'_>, scope: &Scope<'_>, source: &NodeEnum, number: i32) -> Result<Lineage, Refusal> {
    let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    let Some(at) = at else { return Err(node::unsupported("an assignment to no column")) };
    let too_short = || node::unsupported("SET of more columns than values");
    match source {
        NodeEnum::RowExpr(row) => {
            let values = query::value_row(walk, scope, &row.args)?;
            values.get(at).cloned().ok_or_else(too_short)
        }
        NodeEnum::SubLink(link) => {
            let body = node::required(link.subselect.as_ref(), "SET")?;
            let fields = query::subquery(walk, scope, body)?.fields;
            fields.get(at).map(|field| Lineage::clone(&field.lineage)).ok_or_else(too_short)
        }
        _ => expression(walk, scope, source).map(|row| row.through(Via::Total)),
    }
}

fn update(walk: &mut Walk<'_>, outer: Option<&Scope<'_>>, update: &UpdateStmt) -> Result<Option<Vec<Field>>, Refusal> {
    let mut scope = level(walk, outer, update.with_clause.as_ref())?;
    let mut target = target(walk, update.relation.as_ref())?;
    target.need(walk, Action::Update);
    scope.beside.push(target.entry.clone());
    from::items(walk, &mut scope, &update.from_clause)?;
    assignments(walk, &scope, &mut target, &update.target_list)?;
    filter(walk, &scope, node::boxed(update.where_clause.as_ref()), Reach::EveryUpdate)?;
    show_written(&mut scope, &target);
    returning(walk, &mut scope, &target, update.returning_clause.as_ref())
}

fn delete(walk: &mut Walk<'_>, outer: Option<&Scope<'_>>, delete: &DeleteStmt) -> Result<Option<Vec<Field>>, Refusal> {
    let mut scope = level(walk, outer, delete.with_clause.as_ref())?;
    let target = target(walk, delete.relation.as_ref())?;
    target.need(walk, Action::Delete);
    scope.beside.push(target.entry.clone());
    from::items(walk, &mut scope, &delete.using_clause)?;
    filter(walk, &scope, node::boxed(delete.where_clause.as_ref()), Reach::EveryDelete)?;
    returning(walk, &mut scope, &target, delete.returning_clause.as_ref())
}

/// WHERE of an UPDATE or DELETE: one that looks at no column of the target lets every row through or none.
fn filter(walk: &mut Walk<'_>, scope: &Scope<'_>, filter: Option<&NodeEnum>, every: Reach) -> Result<(), Refusal> {
    let before = walk.target_reads;
    let Some(filter) = filter else {
        walk.reaches(every);
        return Ok(());
    };
    condition(walk, scope, filter)?;
    let looks = walk.target_reads != before || matches!(filter, NodeEnum::CurrentOfExpr(_));
    match reach::filter(filter) {
        Filter::Nothing => {}
        Filter::Everything => walk.reaches(every),
        Filter::Unknown if looks => {}
        Filter::Unknown => walk.reaches(every),
    }
    Ok(())
}

/// Puts what was written into the target's entry of `scope`.
pub(super) fn show_written(scope: &mut Scope<'_>, target: &Target) {
    for entry in scope.entries.iter_mut().filter(|entry| entry.target.is_some()) {
        *entry = target.returned();
    }
}

/// RETURNING over what `scope` shows, and `old` and `new`.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn returning(
    walk: &mut Walk<'_>,
    scope: &mut Scope<'_>,
    target: &Target,
    clause: Option<&ReturningClause>,
) -> Result<Option<Vec<Field>>, Refusal> {
    let Some(clause) = clause else { return Ok(None) };
    if clause.exprs.is_empty() {
        return Ok(None);
    }
    let (mut old, mut new) = (String::from("old"), String::from("new"));
    for option in node::all(&clause.options) {
        let NodeEnum::ReturningOption(option) = option else { return Err(node::unexpected(option, "RETURNING")) };
        match ReturningOptionKind::try_from(option.option) {
            Ok(ReturningOptionKind::ReturningOptionOld) => old.clone_from(&option.value),
            Ok(ReturningOptionKind::ReturningOptionNew) => new.clone_from(&option.value),
            Ok(ReturningOptionKind::Undefined) | Err(_) => return Err(node::unsupported("an option of RETURNING")),
        }
    }
    for (name, row) in [(old, target.entry.clone()), (new, target.returned())] {
        // A table that goes by the name hides it.
        if scope.entries.iter().all(|entry| *entry.name != *name) {
            let entry = Entry { name: Arc::from(name), qualified: None, reachable: Reachable::ByName, ..row };
            scope.entries.push(entry);
        }
    }
    query::targets(walk, scope, &clause.exprs).map(Some)
}
