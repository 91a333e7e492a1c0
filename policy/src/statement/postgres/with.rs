//! WITH lists: what each item gives, recursive ones to a fixpoint, data-modifying ones with their RETURNING.
//! An item is walked once even if nobody reads it: the server may run it.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{CommonTableExpr, CteCycleClause, CteSearchClause, SelectStmt, SetOperation, WithClause},
};

use super::{
    dml, expression, node, query,
    scope::{Field, Scope, Shape, With, unknown_column},
    walk::{Walk, too_complex},
};
use crate::statement::{Lineage, Refusal, RefusalKind, Usage, Via};

/// Rounds of one recursive query before the gate gives up; honest ones settle in two or three.
const MOST_ROUNDS: u32 = 64;
/// Items of all WITH lists of a statement: each is looked for among the others. Honest ones have dozens.
const MOST_ITEMS: u32 = 10_000;

/// Adds the items of a WITH list to `scope`.
///
/// # Errors
/// When one of them is not understood.
pub(super) fn items(walk: &mut Walk<'_>, scope: &mut Scope<'_>, list: &WithClause) -> Result<(), Refusal> {
    let mut pending: Vec<(&CommonTableExpr, u32)> = Vec::new();
    for item in node::all(&list.ctes) {
        let NodeEnum::CommonTableExpr(item) = item else { return Err(node::unexpected(item, "a WITH list")) };
        if pending.iter().any(|(other, _)| other.ctename == item.ctename) {
            return Err(Refusal::new(
                RefusalKind::Ambiguous,
                format!("WITH query name \"{}\" specified more than once", item.ctename),
            ));
        }
        pending.push((item, walk.next_with));
        walk.next_with += 1;
        if walk.next_with > MOST_ITEMS {
            return Err(too_complex());
        }
    }
    if !list.recursive {
        for (item, number) in pending {
            let shape = plain(walk, scope, item)?;
            scope.with.push(With { name: Arc::from(item.ctename.as_str()), number, shape });
        }
        return Ok(());
    }
    for (item, number) in &pending {
        let name = Arc::from(item.ctename.as_str());
        scope.with.push(With { name, number: *number, shape: Shape::Pending });
    }
    // Any item may name any other: those whose sources are known come first, whatever the order of the text.
    while !pending.is_empty() {
        let mut waiting = Vec::new();
        let before = pending.len();
        for (item, number) in pending {
            match recursive(walk, scope, item, number) {
                Ok(()) => {}
                Err(refusal) => match walk.blocked {
                    Some(on) if scope.with.iter().any(|other| other.number == on) => {
                        walk.blocked = None;
                        waiting.push((item, number));
                    }
                    _ => return Err(refusal),
                },
            }
        }
        if waiting.len() == before {
            return Err(node::unsupported("mutual recursion between WITH items"));
        }
        pending = waiting;
    }
    Ok(())
}

/// The item called `name`, if it is known.
///
/// # Errors
/// When it is a WITH item that cannot be read (yet).
pub(super) fn read(walk: &mut Walk<'_>, scope: &Scope<'_>, name: &str) -> Result<Option<Arc<[Field]>>, Refusal> {
    let Some(item) = scope.with_item(name) else { return Ok(None) };
    match &item.shape {
        Shape::Known(fields) => Ok(Some(Arc::clone(fields))),
        Shape::Pending => {
            walk.blocked = Some(item.number);
            Err(node::unsupported(&format!("the place of the recursive reference to \"{name}\"")))
        }
        Shape::NoRows => Err(Refusal::new(
            RefusalKind::Unsupported,
            format!("WITH query \"{name}\" does not have a RETURNING clause"),
        )),
    }
}

fn plain(walk: &mut Walk<'_>, scope: &Scope<'_>, item: &CommonTableExpr) -> Result<Shape, Refusal> {
    let body = node::required(item.ctequery.as_ref(), "WITH item")?;
    let fields = match body {
        NodeEnum::SelectStmt(select) => query::select(walk, Some(scope), select)?.fields,
        NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_) => {
            walk.features.inner_writes += 1;
            match dml::modify(walk, Some(scope), body)? {
                Some(fields) => fields,
                None => return Ok(Shape::NoRows),
            }
        }
        _ => return Err(node::unexpected(body, "a WITH item")),
    };
    finish(walk, item, fields)
}

/// Names the columns; notes what is computed in an item, seen or not.
fn finish(walk: &mut Walk<'_>, item: &CommonTableExpr, mut fields: Vec<Field>) -> Result<Shape, Refusal> {
    rename(&item.ctename, &item.aliascolnames, &mut fields)?;
    for field in &fields {
        walk.computed(&field.lineage);
    }
    if let Some(search) = &item.search_clause {
        fields.push(search_column(walk, &fields, search)?);
    }
    if let Some(cycle) = &item.cycle_clause {
        let more = cycle_columns(walk, &fields, cycle)?;
        fields.extend(more);
    }
    Ok(Shape::Known(fields.into()))
}

/// Gives the first columns the names of an alias' column list.
///
/// # Errors
/// When the list is longer than the columns.
pub(super) fn rename(item: &str, names: &[pg_query::Node], fields: &mut [Field]) -> Result<(), Refusal> {
    let names = node::strings(names)?;
    if names.len() > fields.len() {
        return Err(Refusal::new(
            RefusalKind::UnknownColumn,
            format!("table \"{item}\" has {} columns available but {} columns specified", fields.len(), names.len()),
        ));
    }
    for (field, name) in fields.iter_mut().zip(names) {
        field.name = Arc::from(name);
    }
    Ok(())
}

/// An item of WITH RECURSIVE: as an ordinary one if it does not name itself, else to a fixpoint.
fn recursive(walk: &mut Walk<'_>, scope: &mut Scope<'_>, item: &CommonTableExpr, number: u32) -> Result<(), Refusal> {
    match plain(walk, scope, item) {
        Ok(shape) => {
            know(scope, number, shape);
            return Ok(());
        }
        Err(refusal) if walk.blocked != Some(number) => return Err(refusal),
        Err(_) => walk.blocked = None,
    }
    let body = node::required(item.ctequery.as_ref(), "WITH item")?;
    let NodeEnum::SelectStmt(select) = body else { return Err(node::unexpected(body, "a recursive WITH item")) };
    if select.op != SetOperation::SetopUnion as i32 {
        return Err(node::unsupported("a recursive query that is not `… UNION [ALL] …`"));
    }
    let result = rounds(walk, scope, item, number, select);
    if result.is_err() {
        know(scope, number, Shape::Pending);
        if walk.blocked == Some(number) {
            // It names itself in its first arm: waiting would not help.
            walk.blocked = None;
        }
    }
    result
}

fn rounds(
    walk: &mut Walk<'_>,
    scope: &mut Scope<'_>,
    item: &CommonTableExpr,
    number: u32,
    select: &SelectStmt,
) -> Result<(), Refusal> {
    let mut fields = query::first_arm(walk, scope, select)?.fields;
    for _ in 0..MOST_ROUNDS {
        rename(&item.ctename, &item.aliascolnames, &mut fields)?;
        know(scope, number, Shape::Known(fields.as_slice().into()));
        let mut next = query::select(walk, Some(scope), select)?.fields;
        rename(&item.ctename, &item.aliascolnames, &mut next)?;
        if next == fields {
            let shape = finish(walk, item, fields)?;
            know(scope, number, shape);
            return Ok(());
        }
        for (next, before) in next.iter_mut().zip(&fields) {
            // Only ever more: so it settles.
            Arc::make_mut(&mut next.lineage).merge(&before.lineage);
        }
        if next == fields {
            let shape = finish(walk, item, fields)?;
            know(scope, number, shape);
            return Ok(());
        }
        fields = next;
    }
    Err(node::unsupported("a recursive query that passes its columns around in so many rounds"))
}

fn know(scope: &mut Scope<'_>, number: u32, shape: Shape) {
    if let Some(item) = scope.with.iter_mut().find(|item| item.number == number) {
        item.shape = shape;
    }
}

/// SEARCH … SET column: a row, or a list of rows, of the columns it names.
fn search_column(walk: &mut Walk<'_>, fields: &[Field], search: &CteSearchClause) -> Result<Field, Refusal> {
    let mut lineage = Lineage::constant();
    for column in named(fields, &search.search_col_list)? {
        lineage.merge(column);
    }
    walk.used(&lineage, &Usage::Inference);
    Ok(Field::new(&search.search_seq_column, lineage.through(Via::Total)))
}

/// CYCLE … SET mark USING path: the mark compares the columns, the path holds them.
fn cycle_columns(walk: &mut Walk<'_>, fields: &[Field], cycle: &CteCycleClause) -> Result<[Field; 2], Refusal> {
    let mut lineage = Lineage::constant();
    for column in named(fields, &cycle.cycle_col_list)? {
        lineage.merge(column);
    }
    walk.used(&lineage, &Usage::Inference);
    let nothing = Scope::top();
    let mut mark = Lineage::constant();
    for value in [&cycle.cycle_mark_value, &cycle.cycle_mark_default] {
        if let Some(value) = node::boxed(value.as_ref()) {
            mark.merge(&expression::expression(walk, &nothing, value)?);
        }
    }
    Ok([Field::new(&cycle.cycle_mark_column, mark), Field::new(&cycle.cycle_path_column, lineage.through(Via::Total))])
}

fn named<'f>(fields: &'f [Field], names: &[pg_query::Node]) -> Result<Vec<&'f Lineage>, Refusal> {
    node::strings(names)?
        .iter()
        .map(|name| {
            let column = fields.iter().find(|field| *field.name == **name);
            column.map(|field| &*field.lineage).ok_or_else(|| unknown_column(name))
        })
        .collect()
}
