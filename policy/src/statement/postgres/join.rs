//! Joins: USING and NATURAL merge columns, ON compares, an alias hides what is inside.
//! The two sides themselves are `from`'s affair.

use std::sync::Arc;

use pg_query::protobuf::{JoinExpr, JoinType};

use super::{
    condition::condition,
    expression,
    from::{aliased, item, lateral},
    function::{self, Casts},
    node,
    scope::{Entry, Field, Reachable, Scope},
    walk::Walk,
};
use crate::statement::{Lineage, Refusal, RefusalKind};

/// The items of a join, as the others see them.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn join(walk: &mut Walk<'_>, scope: &mut Scope<'_>, join: &JoinExpr) -> Result<Vec<Entry>, Refusal> {
    match JoinType::try_from(join.jointype) {
        Ok(JoinType::JoinInner | JoinType::JoinLeft | JoinType::JoinFull | JoinType::JoinRight) => {}
        _ => return Err(node::unsupported("a join of unknown kind")),
    }
    let left = item(walk, scope, node::required(join.larg.as_ref(), "JOIN")?)?;
    // The left side is beside the right one: LATERAL may name it.
    let before = scope.beside.len();
    scope.beside.extend(left.iter().cloned());
    let right = item(walk, scope, node::required(join.rarg.as_ref(), "JOIN")?);
    scope.beside.truncate(before);
    let right = right?;

    let (one, other) = (columns_of(&left), columns_of(&right));
    if (join.is_natural || !join.using_clause.is_empty()) && opaque(left.iter().chain(&right)).is_some() {
        return Err(expression::unknown_shape("a function in a join by names"));
    }
    let shared = shared_columns(join, &one, &other)?;
    let mut merged = Vec::with_capacity(shared.len());
    for name in &shared {
        let (left, right) = (only(&one, name)?, only(&other, name)?);
        for side in [&left, &right] {
            function::converted(walk, side, Casts::Implied);
        }
        walk.matched([&left, &right]);
        let lineage = Lineage::clone(&left).or(&right);
        merged.push(Field { name: Arc::clone(name), lineage: Arc::new(lineage) });
    }
    let mut fields = merged.clone();
    fields.extend(one.into_iter().chain(other).filter(|field| !shared.contains(&field.name)));

    let mut names: Vec<Entry> = left.into_iter().chain(right).collect();
    if let Some(quals) = node::boxed(join.quals.as_ref()) {
        // ON sees the two sides and the queries around, not the items beside.
        let entries = std::mem::replace(&mut scope.entries, names);
        let result = lateral(scope, false, |scope| condition(walk, scope, quals));
        names = std::mem::replace(&mut scope.entries, entries);
        result?;
    }
    visible(names, join, fields, merged)
}

/// The columns of one side as the other side and `*` see them.
fn columns_of(side: &[Entry]) -> Vec<Field> {
    side.iter().filter(|entry| entry.by_column()).flat_map(|entry| entry.fields.iter().cloned()).collect()
}

fn opaque<'e>(entries: impl Iterator<Item = &'e Entry>) -> Option<Lineage> {
    let mut either: Option<Lineage> = None;
    for opaque in entries.filter(|entry| entry.by_column()).filter_map(|entry| entry.opaque.as_ref()) {
        either.get_or_insert_default().merge(opaque);
    }
    either
}

/// The names that a join merges: those of USING, or for NATURAL those of both sides in the left one's order.
fn shared_columns(join: &JoinExpr, one: &[Field], other: &[Field]) -> Result<Vec<Arc<str>>, Refusal> {
    if join.is_natural {
        let both = one.iter().filter(|field| other.iter().any(|right| right.name == field.name));
        return Ok(both.map(|field| Arc::clone(&field.name)).collect());
    }
    Ok(node::strings(&join.using_clause)?.into_iter().map(Arc::from).collect())
}

/// The one column of that name.
fn only(fields: &[Field], name: &str) -> Result<Arc<Lineage>, Refusal> {
    let mut same = fields.iter().filter(|field| &*field.name == name);
    match (same.next(), same.next()) {
        (Some(field), None) => Ok(Arc::clone(&field.lineage)),
        (None, _) => Err(Refusal::new(
            RefusalKind::UnknownColumn,
            format!("column \"{name}\" specified in USING clause does not exist in both tables"),
        )),
        (Some(_), Some(_)) => Err(Refusal::new(
            RefusalKind::Ambiguous,
            format!("common column name \"{name}\" appears more than once in one table"),
        )),
    }
}

/// What a join lets the others see: its own columns, and its tables by name unless it has an alias.
fn visible(names: Vec<Entry>, join: &JoinExpr, fields: Vec<Field>, merged: Vec<Field>) -> Result<Vec<Entry>, Refusal> {
    let opaque = opaque(names.iter()).map(Arc::new);
    let mut entries = Vec::new();
    if join.alias.is_some() {
        entries.push(aliased(Entry { opaque, ..Entry::new("", fields) }, join.alias.as_ref())?);
    } else {
        entries.extend(names.into_iter().filter(|entry| entry.reachable != Reachable::Columns));
        for entry in &mut entries {
            entry.reachable = Reachable::ByName;
        }
        entries.push(Entry { reachable: Reachable::Columns, opaque, ..Entry::new("", fields) });
    }
    if let Some(alias) = &join.join_using_alias {
        entries.push(Entry { reachable: Reachable::ByName, ..Entry::new(&alias.aliasname, merged) });
    }
    Ok(entries)
}
