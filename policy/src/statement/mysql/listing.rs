//! Which schemas' names a query of `information_schema` can tell: those that its conditions pin the schema's column to,
//! or all. MySQL shows an account the names of what it has rights on; behind the proxy all users are one account.
//! Reads conditions only as far as they are ANDed; whatever it does not read restricts nothing.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArguments, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Select,
    TableFactor, TableWithJoins, Value,
};

use super::{catalogs, constant, names::MysqlNames, walk::Walk};
use crate::statement::{Action, Object};

/// Relations that list what is in schemas, with the columns that say in which. Upper case.
const LISTS: &[(&str, &[&str])] = &[
    ("CHECK_CONSTRAINTS", &["CONSTRAINT_SCHEMA"]),
    ("COLUMNS", &["TABLE_SCHEMA"]),
    ("COLUMNS_EXTENSIONS", &["TABLE_SCHEMA"]),
    ("COLUMN_PRIVILEGES", &["TABLE_SCHEMA"]),
    ("EVENTS", &["EVENT_SCHEMA"]),
    ("GEOMETRY_COLUMNS", &["F_TABLE_SCHEMA", "G_TABLE_SCHEMA"]),
    ("KEY_COLUMN_USAGE", &["TABLE_SCHEMA", "CONSTRAINT_SCHEMA"]),
    ("PARAMETERS", &["SPECIFIC_SCHEMA"]),
    ("PARTITIONS", &["TABLE_SCHEMA"]),
    ("PERIODS", &["TABLE_SCHEMA"]),
    ("REFERENTIAL_CONSTRAINTS", &["CONSTRAINT_SCHEMA"]),
    ("ROLE_COLUMN_GRANTS", &["TABLE_SCHEMA"]),
    ("ROLE_ROUTINE_GRANTS", &["SPECIFIC_SCHEMA", "ROUTINE_SCHEMA"]),
    ("ROLE_TABLE_GRANTS", &["TABLE_SCHEMA"]),
    ("ROUTINES", &["ROUTINE_SCHEMA"]),
    ("SEQUENCES", &["SEQUENCE_SCHEMA"]),
    ("STATISTICS", &["TABLE_SCHEMA", "INDEX_SCHEMA"]),
    ("ST_GEOMETRY_COLUMNS", &["TABLE_SCHEMA"]),
    ("TABLES", &["TABLE_SCHEMA"]),
    ("TABLES_EXTENSIONS", &["TABLE_SCHEMA"]),
    ("TABLE_CONSTRAINTS", &["TABLE_SCHEMA", "CONSTRAINT_SCHEMA"]),
    ("TABLE_CONSTRAINTS_EXTENSIONS", &["CONSTRAINT_SCHEMA"]),
    ("TABLE_PRIVILEGES", &["TABLE_SCHEMA"]),
    ("TRIGGERED_UPDATE_COLUMNS", &["TRIGGER_SCHEMA", "EVENT_OBJECT_SCHEMA"]),
    ("TRIGGERS", &["TRIGGER_SCHEMA", "EVENT_OBJECT_SCHEMA"]),
    ("VIEWS", &["TABLE_SCHEMA"]),
    ("VIEW_ROUTINE_USAGE", &["TABLE_SCHEMA"]),
    ("VIEW_TABLE_USAGE", &["VIEW_SCHEMA", "TABLE_SCHEMA"]),
];

/// One of these relations in a FROM clause.
struct Instance<'q> {
    called: &'q str,
    /// Its columns that say in which schema.
    columns: &'static [&'static str],
    schemas: Option<BTreeSet<Arc<str>>>,
}

fn columns_of(relation: &str) -> Option<&'static [&'static str]> {
    let found = LISTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(relation));
    found.map(|(_, columns)| *columns)
}

/// The names of what is in `schema` are told; `None`: of what is in any.
pub(super) fn tell(walk: &mut Walk<'_>, schema: Option<Arc<str>>) {
    walk.need(Action::Select, Object::Listing(schema));
}

/// Notes which schemas' names the FROM clause of `select` can tell.
pub(super) fn of_select(walk: &mut Walk<'_>, select: &Select) {
    of_tables(walk, &select.from, select.selection.as_ref());
}

/// Notes which schemas' names the rows of `tables` that fulfil `filter` can tell.
pub(super) fn of_tables(walk: &mut Walk<'_>, tables: &[TableWithJoins], filter: Option<&Expr>) {
    let mut found = From { names: walk.names, instances: Vec::new(), conjuncts: Vec::new() };
    for item in tables {
        found.item(item);
    }
    if found.instances.is_empty() {
        // Nothing is listed: no condition is looked at.
        return;
    }
    if let Some(filter) = filter {
        found.condition(filter, 0..found.instances.len());
    }
    found.pin();
    for instance in found.instances {
        match instance.schemas {
            Some(schemas) => schemas.into_iter().for_each(|schema| tell(walk, Some(schema))),
            None => tell(walk, None),
        }
    }
}

/// A FROM clause, as far as it lists names.
struct From<'q> {
    names: &'q MysqlNames,
    instances: Vec<Instance<'q>>,
    /// Conditions, and the instances no row of which comes without fulfilling them.
    conjuncts: Vec<(&'q Expr, Range<usize>)>,
}

impl<'q> From<'q> {
    fn item(&mut self, item: &'q TableWithJoins) {
        let start = self.instances.len();
        self.factor(&item.relation);
        for Join { relation, join_operator, .. } in &item.joins {
            let middle = self.instances.len();
            self.factor(relation);
            let end = self.instances.len();
            let (on, bound) = match join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::StraightJoin(on) => (on, start..end),
                // Rows of the other side come without fulfilling it.
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (on, middle..end),
                JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (on, start..middle),
                _ => continue,
            };
            if let JoinConstraint::On(condition) = on {
                self.condition(condition, bound);
            }
        }
    }

    fn factor(&mut self, factor: &'q TableFactor) {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                if let Some((relation, columns)) = listed(self.names, name) {
                    let called = alias.as_ref().map_or(relation, |alias| alias.name.value.as_str());
                    self.instances.push(Instance { called, columns, schemas: None });
                }
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.item(table_with_joins),
            // A query of its own, with conditions of its own.
            _ => {}
        }
    }

    fn condition(&mut self, condition: &'q Expr, bound: Range<usize>) {
        match condition {
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.condition(left, bound.clone());
                self.condition(right, bound);
            }
            Expr::Nested(inner) => self.condition(inner, bound),
            other => self.conjuncts.push((other, bound)),
        }
    }

    /// Pins instances by constants, then by equality with those that are pinned, until nothing changes.
    fn pin(&mut self) {
        loop {
            let mut changed = false;
            for (conjunct, bound) in &self.conjuncts {
                for (column, allowed) in readings(conjunct, &self.instances, self.names) {
                    let Some(at) = owner(&self.instances, column).filter(|at| bound.contains(at)) else { continue };
                    if let Some(instance) = self.instances.get_mut(at).filter(|instance| instance.schemas.is_none()) {
                        instance.schemas = Some(allowed);
                        changed = true;
                    }
                }
            }
            if !changed {
                return;
            }
        }
    }
}

fn listed<'q>(names: &MysqlNames, name: &'q ObjectName) -> Option<(&'q str, &'static [&'static str])> {
    let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let (schema, relation) = match parts.as_slice() {
        [relation] => (names.database.as_deref()?, relation),
        [schema, relation] => (schema.value.as_str(), relation),
        _ => return None,
    };
    catalogs::caseless_schema(schema).filter(|schema| *schema == "information_schema")?;
    Some((&relation.value, columns_of(&relation.value)?))
}

/// What a conjunct says about columns: which values they can have.
fn readings<'q>(
    conjunct: &'q Expr,
    instances: &[Instance<'_>],
    names: &MysqlNames,
) -> Vec<(&'q Expr, BTreeSet<Arc<str>>)> {
    match conjunct {
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let mut found = Vec::new();
            for (column, value) in [(left, right), (right, left)] {
                if let Some(schema) = constant(value, names) {
                    found.push((&**column, BTreeSet::from([schema])));
                } else if let Some(pinned) = owner(instances, value).and_then(|at| instances.get(at)?.schemas.clone()) {
                    found.push((&**column, pinned));
                }
            }
            found
        }
        Expr::InList { expr, list, negated: false } => {
            let all: Option<BTreeSet<_>> = list.iter().map(|one| constant(one, names)).collect();
            all.into_iter().map(|all| (&**expr, all)).collect()
        }
        Expr::Like { negated: false, any: false, expr, pattern, escape_char: None } => {
            let exact = constant(pattern, names).filter(|pattern| !pattern.contains(['%', '_', '\\']));
            exact.into_iter().map(|schema| (&**expr, BTreeSet::from([schema]))).collect()
        }
        _ => Vec::new(),
    }
}

/// The instance whose schema's column `column` is. Were another column of that name in reach, the server would refuse
/// the name as ambiguous.
fn owner(instances: &[Instance<'_>], column: &Expr) -> Option<usize> {
    let (table, name) = match column {
        Expr::Identifier(name) => (None, name),
        Expr::CompoundIdentifier(path) => match path.as_slice() {
            [table, name] | [_, table, name] => (Some(table), name),
            _ => return None,
        },
        Expr::Nested(inner) => return owner(instances, inner),
        _ => return None,
    };
    let has = |instance: &Instance<'_>| instance.columns.iter().any(|own| own.eq_ignore_ascii_case(&name.value));
    let called = |instance: &Instance<'_>| table.is_none_or(|table| table.value.eq_ignore_ascii_case(instance.called));
    let mut found = instances.iter().enumerate().filter(|(_, instance)| has(instance) && called(instance));
    let (at, _) = found.next()?;
    found.next().is_none().then_some(at)
}

/// A schema's name that stands there, or that DATABASE() is.
fn constant(value: &Expr, names: &MysqlNames) -> Option<Arc<str>> {
    match value {
        Expr::Value(value) => match constant::value(value) {
            Value::SingleQuotedString(text) => Some(text.as_str().into()),
            _ => None,
        },
        Expr::Nested(inner) => constant(inner, names),
        Expr::Function(call) => {
            let [name] = call.name.0.as_slice() else { return None };
            let name = &name.as_ident()?.value;
            let current = ["database", "schema"].iter().any(|own| own.eq_ignore_ascii_case(name));
            let bare = match &call.args {
                FunctionArguments::None => true,
                FunctionArguments::List(list) => list.args.is_empty(),
                FunctionArguments::Subquery(_) => false,
            };
            (current && bare).then(|| names.database.clone()).flatten()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use crate::statement::Object;

    /// The schemas that `text` lists, `*` for all.
    fn listed(text: &str) -> Vec<String> {
        let statement = testing::one(text);
        let schemas = statement.needs.iter().filter_map(|need| match &need.object {
            Object::Listing(schema) => Some(schema.as_deref().unwrap_or("*").to_owned()),
            _ => None,
        });
        schemas.collect()
    }

    #[test]
    fn conditions_pin_what_is_listed() {
        for (text, schemas) in [
            ("SELECT TABLE_NAME FROM information_schema.TABLES", vec!["*"]),
            ("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'hr'", vec!["hr"]),
            ("SELECT 1 FROM information_schema.tables t WHERE DATABASE() = t.table_schema AND 1", vec!["shop"]),
            ("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ('a', 'b')", vec!["a", "b"]),
            ("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE 'shop'", vec!["shop"]),
            ("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE 'h%'", vec!["*"]),
            ("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' OR 1", vec!["*"]),
            ("SELECT 1 FROM information_schema.TABLES WHERE NOT TABLE_SCHEMA = 'shop'", vec!["*"]),
            ("SELECT 1 FROM information_schema.TABLES WHERE (TABLE_SCHEMA = 'shop') = 0", vec!["*"]),
            ("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", vec!["*"]),
            (
                "SELECT 1 FROM information_schema.COLUMNS c LEFT JOIN information_schema.STATISTICS s \
                 ON s.TABLE_SCHEMA = c.TABLE_SCHEMA WHERE c.TABLE_SCHEMA = 'shop'",
                vec!["shop"],
            ),
            (
                "SELECT 1 FROM information_schema.COLUMNS c LEFT JOIN information_schema.STATISTICS s \
                 ON s.TABLE_SCHEMA = 'shop' AND c.TABLE_SCHEMA = 'shop'",
                vec!["*", "shop"],
            ),
            (
                "SELECT 1 FROM information_schema.COLUMNS c, information_schema.STATISTICS s \
                 WHERE c.TABLE_SCHEMA = 'shop' AND s.INDEX_NAME = c.COLUMN_NAME",
                vec!["*", "shop"],
            ),
            ("SELECT 1 FROM information_schema.TABLES t, (SELECT 'hr' AS x) o WHERE t.TABLE_SCHEMA = o.x", vec!["*"]),
            ("TABLE information_schema.TABLES", vec!["*"]),
            ("SHOW TABLES", vec!["shop"]),
            ("SHOW FULL TABLES FROM hr LIKE 'p%'", vec!["hr"]),
            ("SHOW COLUMNS FROM hr.payroll", vec!["hr"]),
            ("SHOW FULL COLUMNS FROM payroll FROM hr", vec!["hr"]),
            ("SHOW INDEX FROM orders", vec!["shop"]),
            ("DESCRIBE hr.payroll", vec!["hr"]),
            ("SHOW PROCEDURE STATUS", vec!["*"]),
            ("SHOW PROCEDURE STATUS WHERE Db = 'shop'", vec!["shop"]),
            ("SHOW PROCEDURE STATUS WHERE Db = 'shop' AND Name LIKE 'a%'", vec!["shop"]),
            ("SHOW FUNCTION STATUS WHERE Type = 'x' AND `Db` = 'shop'", vec!["shop"]),
            ("SHOW PROCEDURE STATUS WHERE Db = 'shop' OR 1", vec!["*"]),
            ("SHOW PROCEDURE STATUS WHERE (Name = 'a' AND Db = 'shop') = 0", vec!["*"]),
            ("SHOW PROCEDURE STATUS WHERE NOT Db = 'shop'", vec!["*"]),
            ("SHOW PROCEDURE STATUS WHERE 1 BETWEEN 0 AND Db = 'shop'", vec!["*"]),
            ("SHOW DATABASES", vec![]),
            ("SELECT * FROM information_schema.SCHEMATA", vec![]),
        ] {
            assert_eq!(listed(text), schemas, "{text}");
        }
    }
}
