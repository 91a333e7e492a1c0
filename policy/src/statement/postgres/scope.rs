//! The names that a query sees: its range table, the queries around it, and the WITH items in reach.
//! Resolves names to lineage as the server's parser does; knows no SQL syntax.

use std::sync::Arc;

use super::walk::Walk;
use crate::{
    catalog::{QualifiedName, Relation, RelationKind},
    statement::{Action, Lineage, Object, Refusal, RefusalKind, Via},
};

/// One column of something a query reads from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// The name it is reached by.
    pub(super) name: Arc<str>,
    /// What feeds it.
    pub(super) lineage: Arc<Lineage>,
}

impl Field {
    /// A column called `name`.
    pub(super) fn new(name: impl AsRef<str>, lineage: Lineage) -> Self {
        Self { name: Arc::from(name.as_ref()), lineage: Arc::new(lineage) }
    }
}

/// What a name in a query may reach of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reachable {
    /// `t`, `t.a` and `a`: an ordinary FROM item.
    Both,
    /// `t` and `t.a` only: a table inside a join, `old` and `new`.
    ByName,
    /// `a` only: a join without an alias.
    Columns,
}

/// One item of the range table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its alias, or the name it goes by without one. Empty: it has none.
    pub(super) name: Arc<str>,
    /// The relation's own name, when no alias hides it: `shop.orders.id` finds it.
    pub(super) qualified: Option<QualifiedName>,
    /// The stored relation behind it, which also has system columns.
    pub(super) relation: Option<Arc<Relation>>,
    /// Its columns in the server's order.
    pub(super) fields: Vec<Field>,
    /// A function whose columns the catalog does not tell: what feeds any of them.
    pub(super) opaque: Option<Arc<Lineage>>,
    /// What reaches it.
    pub(super) reachable: Reachable,
    /// The relation that is written to: reading a column of it needs SELECT on it.
    pub(super) target: Option<QualifiedName>,
}

impl Entry {
    /// An ordinary item called `name`.
    pub(super) fn new(name: impl AsRef<str>, fields: Vec<Field>) -> Self {
        Self {
            name: Arc::from(name.as_ref()),
            qualified: None,
            relation: None,
            fields,
            opaque: None,
            reachable: Reachable::Both,
            target: None,
        }
    }

    /// The lineage of its row as one value.
    pub(super) fn row(&self) -> Lineage {
        let mut row = Lineage::constant();
        for field in &self.fields {
            row.merge(&field.lineage);
        }
        if let Some(opaque) = &self.opaque {
            row.merge(opaque);
        }
        row.through(Via::Total)
    }

    /// The column called `name`; a repeated name is ambiguous.
    fn field(&self, name: &str) -> Result<Option<Arc<Lineage>>, Refusal> {
        let mut found = self.fields.iter().filter(|field| &*field.name == name);
        let first = found.next();
        if found.next().is_some() {
            return Err(ambiguous_column(name));
        }
        Ok(match first {
            Some(field) => Some(Arc::clone(&field.lineage)),
            None if self.stored() && is_system_column(name) => Some(Arc::default()),
            None => None,
        })
    }

    /// Whether it is a stored relation, which has system columns; in a view such a name means a column further out.
    fn stored(&self) -> bool {
        self.relation.as_ref().is_some_and(|relation| match relation.kind {
            RelationKind::Table
            | RelationKind::MaterializedView
            | RelationKind::ForeignTable
            | RelationKind::Sequence => true,
            RelationKind::View | RelationKind::Other => false,
        })
    }

    fn by_name(&self) -> bool {
        match self.reachable {
            Reachable::Both | Reachable::ByName => !self.name.is_empty(),
            Reachable::Columns => false,
        }
    }

    /// Whether its columns are reached without its name.
    pub(super) fn by_column(&self) -> bool {
        match self.reachable {
            Reachable::Both | Reachable::Columns => true,
            Reachable::ByName => false,
        }
    }
}

/// System columns tell where and when a row was written, never what is in it.
fn is_system_column(name: &str) -> bool {
    matches!(name, "ctid" | "xmin" | "xmax" | "cmin" | "cmax" | "tableoid")
}

/// What is known of a WITH item.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// Not walked yet: only WITH RECURSIVE lets a query name such an item.
    Pending,
    /// Its columns.
    Known(Arc<[Field]>),
    /// A data-modifying item without RETURNING: it may not be read from.
    NoRows,
}

/// One WITH item in reach.
#[derive(Clone, Debug)]
pub(super) struct With {
    /// Its name.
    pub(super) name: Arc<str>,
    /// Its number in this walk.
    pub(super) number: u32,
    /// What is known of it.
    pub(super) shape: Shape,
}

/// Whether subqueries in FROM see the items beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Siblings {
    /// They do not.
    Hidden,
    /// LATERAL, and arguments of functions.
    Seen,
}

/// The names in reach at one level of a statement.
#[derive(Debug)]
pub(super) struct Scope<'s> {
    parent: Option<&'s Scope<'s>>,
    /// The range table as expressions of this level see it.
    pub(super) entries: Vec<Entry>,
    /// FROM items done while the next is being read: LATERAL sees them.
    pub(super) beside: Vec<Entry>,
    /// Whether `beside` is in reach now.
    pub(super) siblings: Siblings,
    /// WITH items of this level.
    pub(super) with: Vec<With>,
    /// What FOR UPDATE locks, by alias; an alias may lock several, when it is a subquery.
    pub(super) lockable: Vec<(Arc<str>, Vec<QualifiedName>)>,
    /// The user's tables and views among the FROM items, by alias, all of whose rows are read.
    pub(super) tables: Vec<(Arc<str>, QualifiedName)>,
}

/// What a name turned out to be.
#[derive(Debug)]
pub(super) enum Found<'s> {
    /// A column.
    Column(Arc<Lineage>),
    /// A whole row.
    Row(&'s Entry),
    /// `name` of a row that has no such column: a function of the row, if one is called so.
    OfRow(&'s Entry, &'s str),
}

/// Whether a level itself has a column of some name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// It has.
    Yes,
    /// It has a function whose columns nobody knows.
    Perhaps,
    /// It has not.
    No,
}

impl<'s> Scope<'s> {
    /// A level without a level around it.
    pub(super) fn top() -> Self {
        Self {
            parent: None,
            entries: Vec::new(),
            beside: Vec::new(),
            siblings: Siblings::Hidden,
            with: Vec::new(),
            lockable: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// A level inside `parent`.
    pub(super) fn inside(parent: &'s Scope<'s>) -> Self {
        Self { parent: Some(parent), ..Self::top() }
    }

    /// A level whose only names are the columns of `entry`.
    pub(super) fn of(entry: Entry) -> Self {
        Self { entries: vec![entry], ..Self::top() }
    }

    fn in_reach(&self) -> impl Iterator<Item = &Entry> {
        let beside = match self.siblings {
            Siblings::Hidden => [].iter(),
            Siblings::Seen => self.beside.iter(),
        };
        self.entries.iter().chain(beside)
    }

    fn levels(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |scope| scope.parent)
    }

    /// The WITH item called `name`: the innermost level wins, as in the server.
    pub(super) fn with_item(&self, name: &str) -> Option<&With> {
        self.levels().find_map(|scope| scope.with.iter().rev().find(|item| &*item.name == name))
    }

    /// Resolves `a`, `t.a`, `s.t.a` or `db.s.t.a`.
    ///
    /// # Errors
    /// When it means nothing, or more than one thing.
    pub(super) fn find<'n>(&'n self, walk: &mut Walk<'_>, path: &[&'n str]) -> Result<Found<'n>, Refusal> {
        match *path {
            [name] => {
                let (column, maybe) = self.column(walk, name)?;
                if let Some(column) = column {
                    return Ok(Found::Column(either(column, maybe)));
                }
                match (self.row(walk, &[name])?, maybe) {
                    (Some(entry), None) => Ok(Found::Row(entry)),
                    (Some(entry), Some(maybe)) => Ok(Found::Column(either(Arc::new(entry.row()), Some(maybe)))),
                    (None, Some(maybe)) => Ok(Found::Column(Arc::new(maybe))),
                    (None, None) => Err(unknown_column(name)),
                }
            }
            [ref table @ .., name] => {
                let Some(entry) = self.entry(walk, table)? else { return Err(missing_from(table)) };
                Ok(match entry.field(name)? {
                    Some(lineage) => {
                        read(walk, entry);
                        Found::Column(lineage)
                    }
                    None => match &entry.opaque {
                        Some(opaque) => Found::Column(Arc::clone(opaque)),
                        None => {
                            read(walk, entry);
                            Found::OfRow(entry, name)
                        }
                    },
                })
            }
            [] => Err(unknown_column("")),
        }
    }

    /// The row of the item that `path` names, if there is one: `t`, `s.t`, `db.s.t`.
    ///
    /// # Errors
    /// When more than one item is called so.
    pub(super) fn row(&self, walk: &mut Walk<'_>, path: &[&str]) -> Result<Option<&Entry>, Refusal> {
        let entry = self.entry(walk, path)?;
        if let Some(entry) = entry {
            read(walk, entry);
        }
        Ok(entry)
    }

    /// Whether an item of this level, none further out, has a column called `name`.
    pub(super) fn own_column(&self, name: &str) -> Own {
        let mut own = Own::No;
        for entry in self.in_reach().filter(|entry| entry.by_column()) {
            match entry.field(name) {
                Ok(None) if entry.opaque.is_some() => own = Own::Perhaps,
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return Own::Yes,
            }
        }
        own
    }

    /// The items that a bare `*` expands to.
    pub(super) fn star(&self, walk: &mut Walk<'_>) -> Vec<&Entry> {
        let shown: Vec<&Entry> = self.entries.iter().filter(|entry| entry.by_column()).collect();
        for entry in &shown {
            read(walk, entry);
        }
        shown
    }

    /// An unqualified column: the innermost level that has it. Second: what it may be besides, where a function of
    /// unknown columns further in may hide it.
    ///
    /// # Errors
    /// When one level has it twice.
    pub(super) fn column(
        &self,
        walk: &mut Walk<'_>,
        name: &str,
    ) -> Result<(Option<Arc<Lineage>>, Option<Lineage>), Refusal> {
        let mut maybe: Option<Lineage> = None;
        for scope in self.levels() {
            let mut found: Option<(Arc<Lineage>, &Entry)> = None;
            for entry in scope.in_reach().filter(|entry| entry.by_column()) {
                if let Some(lineage) = entry.field(name)? {
                    if found.is_some() {
                        return Err(ambiguous_column(name));
                    }
                    found = Some((lineage, entry));
                } else if let Some(opaque) = &entry.opaque {
                    maybe.get_or_insert_default().merge(opaque);
                }
            }
            if let Some((lineage, entry)) = found {
                read(walk, entry);
                return Ok((Some(lineage), maybe));
            }
        }
        Ok((None, maybe))
    }

    fn entry(&self, walk: &Walk<'_>, path: &[&str]) -> Result<Option<&Entry>, Refusal> {
        let (schema, name) = match *path {
            [name] => (None, name),
            [schema, name] => (Some(schema), name),
            [database, schema, name] if database == walk.catalog.database => (Some(schema), name),
            _ => return Ok(None),
        };
        for scope in self.levels() {
            let mut found = scope.in_reach().filter(|entry| entry.by_name()).filter(|entry| match schema {
                None => &*entry.name == name,
                Some(schema) => {
                    entry.qualified.as_ref().is_some_and(|own| &*own.schema == schema && &*own.name == name)
                }
            });
            if let Some(first) = found.next() {
                if found.next().is_some() {
                    return Err(Refusal::new(
                        RefusalKind::Ambiguous,
                        format!("table reference \"{name}\" is ambiguous"),
                    ));
                }
                return Ok(Some(first));
            }
        }
        Ok(None)
    }
}

/// What comes out is the one or the other.
fn either(lineage: Arc<Lineage>, maybe: Option<Lineage>) -> Arc<Lineage> {
    match maybe {
        Some(either) => Arc::new(either.or(&lineage)),
        None => lineage,
    }
}

/// Notes that something of `entry` is read: what a statement writes to, it may not read without SELECT.
fn read(walk: &mut Walk<'_>, entry: &Entry) {
    if let Some(target) = &entry.target {
        walk.target_reads = walk.target_reads.saturating_add(1);
        walk.need(Action::Select, Object::Relation(target.clone()));
    }
}

/// `column "a" does not exist`, in the server's words.
pub(super) fn unknown_column(name: &str) -> Refusal {
    Refusal::new(RefusalKind::UnknownColumn, format!("column \"{name}\" does not exist"))
}

/// `column t.a does not exist`, in the server's words.
pub(super) fn unknown_column_of(table: &str, name: &str) -> Refusal {
    Refusal::new(RefusalKind::UnknownColumn, format!("column {table}.{name} does not exist"))
}

fn missing_from(path: &[&str]) -> Refusal {
    let name = path.last().copied().unwrap_or_default();
    Refusal::new(RefusalKind::UnknownRelation, format!("missing FROM-clause entry for table \"{name}\""))
}

fn ambiguous_column(name: &str) -> Refusal {
    Refusal::new(RefusalKind::Ambiguous, format!("column reference \"{name}\" is ambiguous"))
}
