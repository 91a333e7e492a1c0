//! What a query's FROM and WHERE look like to a reviewer: tables read as a whole, tables that no condition connects,
//! ALTERs that write a table anew. Facts for review rules; no permission depends on them, so where the text does not
//! tell, nothing is said.

use std::{collections::BTreeMap, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{self, AlterTableType, BoolExprType, ConstrType, SelectStmt},
};
use serde_json::Value;

use super::{
    constant, node,
    reach::{self, Filter},
    scope::Scope,
    walk::Walk,
};
use crate::catalog::Relation;

/// Nodes of a statement above which nothing is said about how its tables are connected: it would cost what it is not
/// worth.
const MOST_STEPS: u32 = 20_000;

/// Whether a LIMIT bounds the query's rows.
pub(super) fn is_limited(select: &SelectStmt) -> bool {
    let count = node::boxed(select.limit_count.as_ref());
    count.is_some_and(|count| !matches!(count, NodeEnum::AConst(constant) if constant::is_null(constant)))
}

/// Notes what one level of a query does to the tables of its FROM. Definitions of views are their authors' affair.
pub(super) fn level(walk: &mut Walk<'_>, scope: &Scope<'_>, select: &SelectStmt) {
    if walk.trusted > 0 {
        return;
    }
    let filter = node::boxed(select.where_clause.as_ref());
    let filtered = filter.is_some_and(|filter| reach::filter(filter) != Filter::Everything);
    if !filtered && walk.limited == 0 {
        walk.features.whole.extend(scope.tables.iter().map(|(_, table)| table.clone()));
    }
    if scope.tables.len() > 1 && walk.features.unconnected.is_none() && walk.steps < MOST_STEPS {
        walk.features.unconnected = unconnected(scope, select, filter);
    }
}

/// Items of a FROM, by alias, each with the number of its group: items that conditions connect are in one.
struct Groups<'a> {
    scope: &'a Scope<'a>,
    of: BTreeMap<String, usize>,
}

impl Groups<'_> {
    fn of(&mut self, alias: &str) -> usize {
        let next = self.of.len();
        *self.of.entry(alias.to_owned()).or_insert(next)
    }

    /// All of these belong together.
    fn connect(&mut self, aliases: &[String]) {
        let Some((first, others)) = aliases.split_first() else { return };
        let to = self.of(first);
        for other in others {
            let from = self.of(other);
            self.of.values_mut().filter(|group| **group == from).for_each(|group| *group = to);
        }
    }

    /// What the conjuncts of a condition speak of belongs together, each by itself.
    fn condition(&mut self, condition: &NodeEnum) {
        if let NodeEnum::BoolExpr(expr) = condition
            && BoolExprType::try_from(expr.boolop) == Ok(BoolExprType::AndExpr)
        {
            node::all(&expr.args).for_each(|part| self.condition(part));
            return;
        }
        let aliases = self.spoken_of(condition);
        self.connect(&aliases);
    }

    /// The aliases whose columns a part of the tree names.
    fn spoken_of(&self, part: &NodeEnum) -> Vec<String> {
        let mut found = Vec::new();
        // Every kind of node there is, subqueries too, without listing them: as data it is all alike.
        if let Ok(tree) = serde_json::to_value(part) {
            columns(&tree, &mut |path| found.extend(self.alias_of(path)));
        }
        found
    }

    fn alias_of(&self, path: &[&str]) -> Option<String> {
        let known = |name: &str| self.scope.entries.iter().any(|entry| &*entry.name == name);
        match path {
            [column] => {
                let has = |entry: &&super::scope::Entry| {
                    !entry.name.is_empty() && entry.fields.iter().any(|field| &*field.name == *column)
                };
                let owner = self.scope.entries.iter().find(has).map(|entry| entry.name.to_string());
                owner.or_else(|| known(column).then(|| (*column).to_owned()))
            }
            [.., alias, _] => known(alias).then(|| (*alias).to_owned()),
            [] => None,
        }
    }

    /// Conditions in the FROM item itself; the aliases in it.
    fn item(&mut self, item: &NodeEnum) -> Vec<String> {
        match item {
            NodeEnum::JoinExpr(join) => {
                let sides = [&join.larg, &join.rarg].map(|side| node::boxed(side.as_ref()));
                let [left, right] = sides.map(|side| side.map(|side| self.item(side)).unwrap_or_default());
                if join.is_natural || !join.using_clause.is_empty() {
                    let ends: Vec<_> = left.first().into_iter().chain(right.first()).cloned().collect();
                    self.connect(&ends);
                }
                if let Some(quals) = node::boxed(join.quals.as_ref()) {
                    self.condition(quals);
                }
                left.into_iter().chain(right).collect()
            }
            NodeEnum::RangeVar(name) => {
                let alias = name.alias.as_ref().map_or(&name.relname, |alias| &alias.aliasname);
                vec![alias.clone()]
            }
            NodeEnum::RangeSubselect(part) => self.inner(item, part.alias.as_ref()),
            NodeEnum::RangeFunction(part) => self.inner(item, part.alias.as_ref()),
            _ => Vec::new(),
        }
    }

    /// A subquery or a function: what is inside may be LATERAL, and then connects.
    fn inner(&mut self, item: &NodeEnum, alias: Option<&protobuf::Alias>) -> Vec<String> {
        let Some(alias) = alias else { return Vec::new() };
        let mut all = vec![alias.aliasname.clone()];
        all.extend(self.spoken_of(item));
        self.connect(&all);
        vec![alias.aliasname.clone()]
    }
}

fn unconnected(scope: &Scope<'_>, select: &SelectStmt, filter: Option<&NodeEnum>) -> Option<(Arc<str>, Arc<str>)> {
    let mut groups = Groups { scope, of: BTreeMap::new() };
    for item in node::all(&select.from_clause) {
        groups.item(item);
    }
    if let Some(filter) = filter {
        groups.condition(filter);
    }
    let (first, others) = scope.tables.split_first()?;
    let home = groups.of(&first.0);
    let apart = others.iter().find(|(alias, _)| groups.of(alias) != home)?;
    Some((Arc::clone(&first.0), Arc::clone(&apart.0)))
}

/// Calls `found` with the path of every column reference in a tree.
fn columns(tree: &Value, found: &mut impl FnMut(&[&str])) {
    match tree {
        Value::Object(entries) => {
            for (key, value) in entries {
                if key == "ColumnRef" {
                    let fields = value.get("fields").and_then(Value::as_array).into_iter().flatten();
                    // `*` has no name, and is none.
                    let name = |field| Value::pointer(field, "/node/String/sval").and_then(Value::as_str);
                    found(&fields.map(|field| name(field).unwrap_or_default()).collect::<Vec<_>>());
                }
                columns(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| columns(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Why a command of ALTER TABLE writes the table anew, if it may.
pub(super) fn rewrite(relation: &Relation, command: &protobuf::AlterTableCmd) -> Option<Arc<str>> {
    use AlterTableType as At;
    let table = &relation.name;
    let why = match At::try_from(command.subtype) {
        Ok(At::AtAlterColumnType) => format!("changes the type of {table}.{}", command.name),
        Ok(At::AtSetExpression) => format!("changes what {table}.{} is computed from", command.name),
        Ok(At::AtSetLogged | At::AtSetUnLogged) => format!("changes whether {table} is logged"),
        Ok(At::AtSetTableSpace) => format!("moves {table} to another tablespace"),
        Ok(At::AtSetAccessMethod) => format!("changes how {table} is stored"),
        Ok(At::AtAddColumn) => match node::boxed(command.def.as_ref()) {
            Some(NodeEnum::ColumnDef(column)) if is_computed(column) => {
                format!("adds {table}.{} with a value for each row", column.colname)
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(why.into())
}

/// Whether a new column's value differs from row to row: generated, numbered, or by default what a call gives that may
/// give another value each time.
fn is_computed(column: &protobuf::ColumnDef) -> bool {
    const SAME_FOR_ALL: [&str; 3] = ["now", "transaction_timestamp", "statement_timestamp"];
    let serial = column.type_name.as_ref().and_then(|name| node::strings(&name.names).ok()?.pop());
    if serial.is_some_and(|name| name.contains("serial")) {
        return true;
    }
    node::all(&column.constraints).any(|constraint| {
        let NodeEnum::Constraint(constraint) = constraint else { return false };
        match ConstrType::try_from(constraint.contype) {
            Ok(ConstrType::ConstrGenerated | ConstrType::ConstrIdentity) => true,
            Ok(ConstrType::ConstrDefault) => match node::boxed(constraint.raw_expr.as_ref()) {
                Some(NodeEnum::FuncCall(call)) => {
                    let name = node::strings(&call.funcname).ok().and_then(|mut path| path.pop());
                    !name.is_some_and(|name| SAME_FOR_ALL.contains(&name.as_str()))
                }
                Some(value) => serde_json::to_string(value).is_ok_and(|tree| tree.contains("\"FuncCall\"")),
                None => false,
            },
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::{testing::catalog, understand};
    use crate::statement::{Features, Names};

    fn features(text: &str) -> Features {
        let names = Names { search_path: "shop, public".into() };
        let understood = understand(text, &catalog(), &names).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        understood.statements.into_iter().next().expect("one statement").features
    }

    fn whole(text: &str) -> String {
        features(text).whole.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tables_are_read_whole_without_where_and_limit() {
        for (text, expected) in [
            ("SELECT * FROM orders", "shop.orders"),
            ("SELECT count(*) FROM orders WHERE true", "shop.orders"),
            ("SELECT * FROM orders LIMIT ALL", "shop.orders"),
            ("SELECT * FROM orders WHERE id = 1", ""),
            ("SELECT * FROM orders LIMIT 5", ""),
            ("SELECT * FROM (SELECT * FROM orders) x LIMIT 5", ""),
            ("SELECT * FROM (SELECT * FROM orders LIMIT 5) x", ""),
            ("SELECT * FROM orders TABLESAMPLE system (1)", ""),
            ("SELECT * FROM orders o JOIN customers c ON c.id = o.id", "shop.customers shop.orders"),
            ("WITH w AS (SELECT * FROM orders) SELECT 1 FROM w LIMIT 1", "shop.orders"),
            ("INSERT INTO orders SELECT * FROM orders", "shop.orders"),
            ("SELECT relname FROM pg_catalog.pg_class", ""),
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
            ("SELECT 1 FROM orders o, customers c WHERE o.id = c.id", None),
            ("SELECT 1 FROM orders o, customers c WHERE o.id = 1 AND (c.id = 2 OR o.id + c.id > 3)", None),
            ("SELECT 1 FROM orders o JOIN customers c USING (id)", None),
            ("SELECT 1 FROM orders o NATURAL JOIN customers c", None),
            ("SELECT 1 FROM orders o, customers c WHERE EXISTS (SELECT 1 WHERE o.id = c.id)", None),
            ("SELECT 1 FROM orders, customers WHERE email = 'a' AND orders.id = customers.id", None),
            ("SELECT 1 FROM orders o, LATERAL (SELECT o.id) x, customers c WHERE c.id = x.id", None),
            ("WITH w AS (SELECT 1 AS n) SELECT 1 FROM orders, w", None),
            ("SELECT 1 FROM orders, (SELECT max(id) FROM customers) m", None),
            ("SELECT 1 FROM orders", None),
        ] {
            let found = features(text).unconnected;
            assert_eq!(found.as_ref().map(|(one, other)| (&**one, &**other)), expected, "{text}");
        }
    }

    #[test]
    fn alters_that_write_the_table_anew_are_told() {
        for (text, expected) in [
            ("ALTER TABLE orders ALTER COLUMN id TYPE bigint", Some("changes the type of shop.orders.id")),
            ("ALTER TABLE orders SET UNLOGGED", Some("changes whether shop.orders is logged")),
            (
                "ALTER TABLE orders ADD COLUMN k uuid DEFAULT gen_random_uuid()",
                Some("adds shop.orders.k with a value for each row"),
            ),
            ("ALTER TABLE orders ADD COLUMN k bigserial", Some("adds shop.orders.k with a value for each row")),
            ("ALTER TABLE orders ADD COLUMN k int DEFAULT 7", None),
            ("ALTER TABLE orders ADD COLUMN k timestamptz DEFAULT now()", None),
            ("ALTER TABLE orders ADD COLUMN k int", None),
            ("ALTER TABLE orders DROP COLUMN id", None),
        ] {
            assert_eq!(features(text).rewrite.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn writes_inside_with_are_counted() {
        assert_eq!(features("UPDATE orders SET id = 1 WHERE id = 2").inner_writes, 0);
        let inner =
            "WITH w AS (UPDATE orders SET id = 1 WHERE id = 2 RETURNING id) UPDATE orders SET id = 3 WHERE id = 4";
        assert_eq!(features(inner).inner_writes, 1);
        assert_eq!(
            features("WITH w AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT * FROM w").inner_writes,
            1
        );
    }
}
