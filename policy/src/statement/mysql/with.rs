//! WITH lists: each item's columns, recursive ones by rounds until nothing new feeds them.
//! Data-modifying items do not exist here.

use std::sync::Arc;

use sqlparser::ast::{Cte, SetExpr, With as List};

use super::{
    from::computed_on_the_way,
    node,
    query::{self, query},
    refusal::{unexpected, unsupported},
    scope::{Field, Scope, With},
    walk::{Walk, too_complex},
};
use crate::statement::{Lineage, Refusal};

/// Items of a WITH list: each is looked for among the others. Honest ones have dozens.
const MOST_ITEMS: usize = 10_000;

/// Adds the items of a WITH list to `scope`.
///
/// # Errors
/// When something in them is not understood.
pub(super) fn items(walk: &mut Walk<'_>, scope: &mut Scope<'_>, list: &List) -> Result<(), Refusal> {
    let start = scope.with.len();
    if start + list.cte_tables.len() > MOST_ITEMS {
        return Err(too_complex());
    }
    for cte in &list.cte_tables {
        // Some servers let an item see those behind it: until it is known what they are, nobody may name them.
        scope.with.push(With { name: node::name(walk, &cte.alias.name)?.into(), fields: None });
    }
    for (number, cte) in list.cte_tables.iter().enumerate() {
        if cte.from.is_some() || cte.materialized.is_some() || cte.alias.at.is_some() {
            return Err(unexpected("WITH"));
        }
        let at = start + number;
        let fields = if list.recursive && is_set_operation(cte) {
            rounds(walk, scope, at, cte)?
        } else if list.recursive {
            let found = query(walk, Some(scope), &cte.query)?.fields;
            renamed(walk, cte, found)?
        } else {
            // Its own name means something further out.
            let own = (at < scope.with.len()).then(|| scope.with.remove(at));
            let found = query(walk, Some(scope), &cte.query);
            if let Some(own) = own {
                scope.with.insert(at, own);
            }
            renamed(walk, cte, found?.fields)?
        };
        computed_on_the_way(walk, &fields);
        settle(scope, at, fields);
    }
    Ok(())
}

fn settle(scope: &mut Scope<'_>, at: usize, fields: Vec<Field>) {
    if let Some(item) = scope.with.get_mut(at) {
        item.fields = Some(fields.into());
    }
}

/// Whether the item is a set operation: only such a one may name itself.
fn is_set_operation(cte: &Cte) -> bool {
    matches!(&*cte.query.body, SetExpr::SetOperation { .. })
}

/// The columns of a recursive item: those of its first arm, then whatever a further round adds.
fn rounds(walk: &mut Walk<'_>, scope: &mut Scope<'_>, at: usize, cte: &Cte) -> Result<Vec<Field>, Refusal> {
    let mut first = &*cte.query.body;
    while let SetExpr::SetOperation { left, .. } = first {
        first = left;
    }
    let start = query::first_arm(walk, scope, first)?;
    let mut known = renamed(walk, cte, start)?;
    loop {
        settle(scope, at, known.clone());
        let round = query(walk, Some(scope), &cte.query)?;
        let round = renamed(walk, cte, round.fields)?;
        let mut grown = known.clone();
        for (field, more) in grown.iter_mut().zip(&round) {
            let mut lineage = Lineage::clone(&field.lineage);
            lineage.merge(&more.lineage);
            field.lineage = Arc::new(lineage);
        }
        if grown == known {
            return Ok(known);
        }
        known = grown;
    }
}

/// The item's own names for its columns.
fn renamed(walk: &Walk<'_>, cte: &Cte, fields: Vec<Field>) -> Result<Vec<Field>, Refusal> {
    let columns = &cte.alias.columns;
    if columns.is_empty() {
        return Ok(fields);
    }
    if columns.len() != fields.len() {
        return Err(unsupported("a WITH item with another number of names than columns"));
    }
    let named = columns
        .iter()
        .zip(fields)
        .map(|(column, field)| Ok(Field { name: node::name(walk, &column.name)?.into(), lineage: field.lineage }));
    named.collect()
}
