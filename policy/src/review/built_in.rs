//! The built-in review rules: what each is called, what it catches, and whether a statement breaks it. Facts of the
//! statement and estimates of the catalog; no levels.

use serde::Serialize;

use crate::{
    catalog::{Catalog, QualifiedName},
    statement::{Action, Need, Object, Reach, Statement},
};

use super::Level;

/// Levels of partitions below a table that are added up.
const LEVELS: u32 = 4;

/// A built-in rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum BuiltIn {
    /// `update-without-where`.
    UpdateWithoutWhere,
    /// `delete-without-where`.
    DeleteWithoutWhere,
    /// `drop-table`.
    DropTable,
    /// `truncate`.
    Truncate,
    /// `table-rewrite`.
    TableRewrite,
    /// `select-everything`.
    SelectEverything,
    /// `cartesian-join`.
    CartesianJoin,
    /// `side-effects`.
    SideEffects,
    /// `lock-table`.
    LockTable,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::UpdateWithoutWhere,
        Self::DeleteWithoutWhere,
        Self::DropTable,
        Self::Truncate,
        Self::TableRewrite,
        Self::SelectEverything,
        Self::CartesianJoin,
        Self::SideEffects,
        Self::LockTable,
    ];

    /// As in `[[review]] rule`.
    pub fn name(self) -> &'static str {
        match self {
            Self::UpdateWithoutWhere => "update-without-where",
            Self::DeleteWithoutWhere => "delete-without-where",
            Self::DropTable => "drop-table",
            Self::Truncate => "truncate",
            Self::TableRewrite => "table-rewrite",
            Self::SelectEverything => "select-everything",
            Self::CartesianJoin => "cartesian-join",
            Self::SideEffects => "side-effects",
            Self::LockTable => "lock-table",
        }
    }

    /// What it catches.
    pub fn about(self) -> &'static str {
        match self {
            Self::UpdateWithoutWhere => "an UPDATE of every row: no WHERE, or one that is always true",
            Self::DeleteWithoutWhere => "a DELETE of every row: no WHERE, or one that is always true",
            Self::DropTable => "DROP of a table, a materialized view, a schema or a database",
            Self::Truncate => "TRUNCATE",
            Self::TableRewrite => {
                "DDL that writes a whole table anew, under a lock: a changed type, a computed default"
            }
            Self::SelectEverything => {
                "a SELECT without WHERE and LIMIT on a table that the catalog estimates at `rows` or more"
            }
            Self::CartesianJoin => "two tables in FROM that no condition connects",
            Self::SideEffects => "a SELECT that writes, locks, waits, or calls a function which may do so",
            Self::LockTable => "LOCK TABLE, LOCK TABLES, or FOR UPDATE of every row",
        }
    }

    /// Its level where the file says nothing.
    pub fn usual(self) -> Level {
        match self {
            Self::UpdateWithoutWhere | Self::DeleteWithoutWhere => Level::Block,
            Self::DropTable
            | Self::Truncate
            | Self::TableRewrite
            | Self::SelectEverything
            | Self::CartesianJoin
            | Self::SideEffects
            | Self::LockTable => Level::Off,
        }
    }

    /// What to write instead.
    pub fn mend(self) -> &'static str {
        match self {
            Self::UpdateWithoutWhere | Self::DeleteWithoutWhere => "add a WHERE that names the rows",
            Self::SelectEverything => "add a WHERE or a LIMIT",
            Self::CartesianJoin => {
                "connect the tables in ON or WHERE, or write CROSS JOIN with a LIMIT over one of them"
            }
            Self::LockTable => "lock the rows you change: SELECT … WHERE … FOR UPDATE",
            Self::SideEffects => "leave the function out",
            Self::DropTable | Self::Truncate | Self::TableRewrite => "",
        }
    }

    /// What `statement` does, if that breaks the rule.
    pub(super) fn finding(self, statement: &Statement, catalog: &Catalog, large: u64) -> Option<String> {
        match self {
            Self::UpdateWithoutWhere => (statement.reach == Reach::EveryUpdate)
                .then(|| "UPDATE without a WHERE that can be false changes every row".to_owned()),
            Self::DeleteWithoutWhere => (statement.reach == Reach::EveryDelete)
                .then(|| "DELETE without a WHERE that can be false removes every row".to_owned()),
            Self::DropTable => {
                const KINDS: [&str; 4] = ["DROP TABLE", "DROP MATERIALIZED VIEW", "DROP SCHEMA", "DROP DATABASE"];
                let what = needs(statement, Action::Ddl).or_else(|| needs(statement, Action::Admin))?;
                KINDS
                    .contains(&statement.verb)
                    .then(|| format!("{} removes {} with everything in it", statement.verb, what.object))
            }
            Self::Truncate => {
                let of = if statement.verb.starts_with("ALTER") { "a partition of " } else { "" };
                needs(statement, Action::Truncate).map(|need| format!("{} empties {of}{}", statement.verb, need.object))
            }
            Self::TableRewrite => statement.features.rewrite.as_ref().map(|why| format!("{} {why}", statement.verb)),
            Self::SelectEverything => {
                let table = statement.features.whole.iter().max_by_key(|table| rows(catalog, table))?;
                let rows = rows(catalog, table);
                (rows >= large && statement.verb == "SELECT")
                    .then(|| format!("{} reads all of {table}, about {rows} rows", statement.verb))
            }
            Self::CartesianJoin => {
                let (one, other) = statement.features.unconnected.as_ref()?;
                Some(format!("no condition connects {one} and {other}, so each row meets every other"))
            }
            Self::SideEffects => {
                let found = statement.needs.iter().find_map(side_effect)?;
                (statement.verb == "SELECT").then(|| format!("SELECT {found}"))
            }
            Self::LockTable => {
                let whole = |table: &&QualifiedName| {
                    statement.verb.starts_with("LOCK") || statement.features.whole.contains(*table)
                };
                let table = statement.needs.iter().filter_map(locked).find(whole)?;
                Some(format!("{} locks all of {table}", statement.verb))
            }
        }
    }
}

/// What a SELECT does besides reading, by one of the needs it has.
fn side_effect(need: &Need) -> Option<String> {
    match (&need.object, need.action) {
        (Object::Function(_), _) => Some(format!("calls {}, which may change something", need.object)),
        // FOR UPDATE locks what it reads, and says so.
        (Object::Relation(_) | Object::Catalog(_) | Object::Listing(_), Action::Lock) => None,
        (Object::Relation(_) | Object::Catalog(_) | Object::Listing(_), action) => {
            action.writes().then(|| format!("changes {}", need.object))
        }
        (Object::Session(what), action) => action.writes().then(|| format!("does more than read: {what}")),
    }
}

fn locked(need: &Need) -> Option<&QualifiedName> {
    match (&need.object, need.action) {
        (Object::Relation(table), Action::Lock) => Some(table),
        _ => None,
    }
}

fn needs(statement: &Statement, action: Action) -> Option<&Need> {
    statement.needs.iter().find(|need| need.action == action)
}

/// How many rows the catalog thinks a table has: its own, or those of its children, whichever were counted.
pub(super) fn rows(catalog: &Catalog, table: &QualifiedName) -> u64 {
    fn below(catalog: &Catalog, table: &QualifiedName, levels: u32) -> u64 {
        let own = catalog.rows.get(table).copied().unwrap_or(0);
        let children = catalog.relations.get(table).filter(|_| levels > 0).map(|relation| relation.children.iter());
        let children = children.into_iter().flatten().map(|child| below(catalog, child, levels - 1));
        own.max(children.fold(0, u64::saturating_add))
    }
    below(catalog, table, LEVELS)
}
