//! What a query's FROM and WHERE look like to a reviewer: tables read as a whole, tables that no condition connects.
//! Facts for review rules; no permission depends on them, so where the text does not tell, nothing is said.

use std::sync::Arc;

use sqlparser::ast::{BinaryOperator, Expr, LimitClause};

use super::{
    catalogs, condition,
    reach::{self, Filter},
    scope::{Entry, Same, Scope, same},
    walk::Walk,
};
use crate::statement::Refusal;

/// One FROM item of a statement; numbered in the order in which they are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item(usize);

/// The FROM items of a statement, and which of them belong together because a condition speaks of both.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// Of each item another one of its group; its own number at the group's head.
    group: Vec<usize>,
    /// Items whose columns were named while a condition was walked.
    spoken: Vec<usize>,
    /// Above zero while a condition is walked.
    listening: u32,
}

impl Items {
    fn add(&mut self) -> Item {
        self.group.push(self.group.len());
        Item(self.group.len() - 1)
    }

    /// A column of `item` is named.
    pub(super) fn speak(&mut self, item: Option<Item>) {
        if self.listening > 0
            && let Some(item) = item
        {
            self.spoken.push(item.0);
        }
    }

    fn head(&self, item: usize) -> usize {
        let mut at = item;
        while let Some(next) = self.group.get(at).copied().filter(|next| *next != at) {
            at = next;
        }
        at
    }

    fn connect(&mut self, one: usize, other: usize) {
        let (one, other) = (self.head(one), self.head(other));
        // The later one goes under the earlier: heads are few steps away.
        if let Some(group) = self.group.get_mut(one.max(other)) {
            *group = one.min(other);
        }
    }
}

/// Runs `inside`; the items whose columns it names belong together.
fn together<T>(
    walk: &mut Walk<'_>,
    inside: impl FnOnce(&mut Walk<'_>) -> Result<T, Refusal>,
) -> Result<(T, Option<usize>), Refusal> {
    let mark = walk.items.spoken.len();
    walk.items.listening += 1;
    let result = inside(walk);
    walk.items.listening -= 1;
    let spoken = walk.items.spoken.get(mark..).unwrap_or_default().to_vec();
    for pair in spoken.windows(2) {
        if let [one, other] = pair {
            walk.items.connect(*one, *other);
        }
    }
    if walk.items.listening == 0 {
        walk.items.spoken.clear();
    } else {
        // One of them stands for all.
        walk.items.spoken.truncate(mark + 1);
    }
    result.map(|found| (found, spoken.first().copied()))
}

/// Walks a condition of ON or WHERE: what each of its conjuncts speaks of belongs together.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn condition(walk: &mut Walk<'_>, scope: &Scope<'_>, filter: &Expr) -> Result<(), Refusal> {
    walk.step()?;
    match filter {
        Expr::Nested(inner) => condition(walk, scope, inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            condition(walk, scope, left)?;
            condition(walk, scope, right)
        }
        _ => together(walk, |walk| condition::condition(walk, scope, filter)).map(|_| ()),
    }
}

/// The items of a join by names that have one of them belong together.
pub(super) fn joined_by<'e>(walk: &mut Walk<'_>, entries: impl Iterator<Item = &'e Entry>, names: &[Arc<str>]) {
    let named =
        |entry: &&Entry| entry.fields.iter().any(|field| names.iter().any(|name| same(name, &field.name) != Same::No));
    let mut items = entries.filter(named).filter_map(|entry| entry.item);
    if let Some(first) = items.next() {
        items.for_each(|item| walk.items.connect(first.0, item.0));
    }
}

/// Walks a derived table or a table made of a document: what it speaks of beside it is connected with it.
///
/// # Errors
/// Those of `inside`.
pub(super) fn inner<'w, T>(
    walk: &mut Walk<'w>,
    inside: impl FnOnce(&mut Walk<'_>) -> Result<T, Refusal>,
) -> Result<(T, Item), Refusal> {
    let (found, spoken) = together(walk, inside)?;
    let item = walk.items.add();
    if let Some(spoken) = spoken {
        walk.items.connect(item.0, spoken);
    }
    Ok((found, item))
}

/// Adds `entry`, a relation or a WITH item, to the names of `scope`; `all`: all of its rows may be read.
pub(super) fn item(walk: &mut Walk<'_>, scope: &mut Scope<'_>, mut entry: Entry, all: bool) {
    let item = walk.items.add();
    entry.item = Some(item);
    if all
        && let [relation] = entry.behind.as_slice()
        && !catalogs::is_system_schema(&relation.schema)
    {
        scope.tables.push((Arc::clone(&entry.name), relation.clone(), item));
    }
    scope.entries.push(entry);
}

/// Whether a LIMIT bounds the query's rows.
pub(super) fn is_limit(clause: &LimitClause) -> bool {
    match clause {
        LimitClause::LimitOffset { limit, .. } => limit.is_some(),
        LimitClause::OffsetCommaLimit { .. } => true,
    }
}

/// Notes what one level of a query does to the tables of its FROM. Definitions of views are their authors' affair.
pub(super) fn level(walk: &mut Walk<'_>, scope: &Scope<'_>, filter: Option<&Expr>) {
    if walk.trusted > 0 {
        return;
    }
    if walk.limited == 0 && filter.is_none_or(|filter| reach::filter(filter) == Filter::Everything) {
        walk.features.whole.extend(scope.tables.iter().map(|(_, table, _)| table.clone()));
    }
    if let Some(((first, _, home), others)) = scope.tables.split_first()
        && walk.features.unconnected.is_none()
    {
        let home = walk.items.head(home.0);
        let apart = others.iter().find(|(_, _, item)| walk.items.head(item.0) != home);
        walk.features.unconnected = apart.map(|(apart, _, _)| (Arc::clone(first), Arc::clone(apart)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::one;

    fn whole(text: &str) -> String {
        one(text).features.whole.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// The texts of the twin's test, and those that only this dialect has.
    #[test]
    fn tables_are_read_whole_without_where_and_limit() {
        for (text, expected) in [
            ("SELECT * FROM orders", "shop.orders"),
            ("SELECT count(*) FROM orders WHERE true", "shop.orders"),
            ("SELECT * FROM orders WHERE 1 = 1", "shop.orders"),
            ("SELECT * FROM orders WHERE id = 1", ""),
            ("SELECT * FROM orders LIMIT 5", ""),
            ("SELECT * FROM orders LIMIT 5, 5", ""),
            ("SELECT * FROM (SELECT * FROM orders) x LIMIT 5", ""),
            ("SELECT * FROM (SELECT * FROM orders LIMIT 5) x", ""),
            ("SELECT * FROM orders PARTITION (p0)", ""),
            ("SELECT * FROM orders o JOIN customers c ON c.id = o.id", "shop.customers shop.orders"),
            ("WITH w AS (SELECT * FROM orders) SELECT 1 FROM w LIMIT 1", "shop.orders"),
            ("INSERT INTO orders SELECT * FROM orders", "shop.orders"),
            ("SELECT TABLE_NAME FROM information_schema.TABLES", ""),
            ("SELECT 1 FROM orders WHERE id = 1 UNION SELECT 1 FROM customers", "shop.customers"),
            ("TABLE orders", "shop.orders"),
            ("TABLE orders LIMIT 1", ""),
            ("TABLE orders UNION TABLE shop.orders", "shop.orders"),
            ("SELECT id FROM v_customers", "shop.v_customers"),
            ("UPDATE orders SET id = 1 WHERE id IN (SELECT id FROM customers)", "shop.customers"),
            ("SELECT 1 FROM DUAL", ""),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
    }

    #[test]
    fn tables_that_no_condition_connects_are_named() {
        for (text, expected) in [
            ("SELECT 1 FROM orders o, customers c", Some(("o", "c"))),
            ("SELECT 1 FROM orders CROSS JOIN customers", Some(("orders", "customers"))),
            ("SELECT 1 FROM orders o, customers c WHERE o.id = 1 AND c.id = 2", Some(("o", "c"))),
            ("SELECT 1 FROM orders o JOIN customers c ON true", Some(("o", "c"))),
            ("SELECT 1 FROM orders o JOIN customers c", Some(("o", "c"))),
            ("SELECT 1 FROM orders o, customers c WHERE o.id = c.id", None),
            ("SELECT 1 FROM orders o, customers c WHERE o.id = 1 AND (c.id = 2 OR o.id + c.id > 3)", None),
            ("SELECT 1 FROM orders o JOIN customers c USING (id)", None),
            ("SELECT 1 FROM orders o NATURAL JOIN customers c", None),
            ("SELECT 1 FROM orders o NATURAL JOIN newsletter n", Some(("o", "n"))),
            ("SELECT 1 FROM orders o, customers c WHERE EXISTS (SELECT 1 FROM nums WHERE o.id = c.id)", None),
            ("SELECT 1 FROM orders, customers WHERE email = 'a' AND orders.id = customers.id", None),
            ("SELECT 1 FROM orders o, LATERAL (SELECT o.id) x, customers c WHERE c.id = x.id", None),
            ("WITH w AS (SELECT 1 AS n) SELECT 1 FROM orders, w", None),
            ("SELECT 1 FROM orders, (SELECT max(id) FROM customers) m", None),
            ("SELECT 1 FROM orders", None),
            ("SELECT 1 FROM v_customers v, orders o WHERE v.id = o.id", None),
            ("SELECT 1 FROM orders o JOIN customers c USING (id), newsletter n WHERE topic = city", None),
            ("SELECT 1 FROM orders o JOIN customers c USING (id), newsletter n WHERE n.n = 1", Some(("o", "n"))),
            (
                "SELECT 1 FROM orders o JOIN (customers c JOIN newsletter n ON c.email = n.email) ON o.customer_id = c.id",
                None,
            ),
        ] {
            let found = one(text).features.unconnected;
            assert_eq!(found.as_ref().map(|(one, other)| (&**one, &**other)), expected, "{text}");
        }
    }
}
