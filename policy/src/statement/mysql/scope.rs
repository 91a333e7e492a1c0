//! The names that a query sees: its FROM items, the queries around it, and the WITH items in reach.
//! Resolves names to lineage as the server does; knows no SQL syntax.

use std::sync::Arc;

use super::{
    refusal::{ambiguous, unknown_column, unsupported},
    survey::Item,
    walk::{Printed, Walk},
};
use crate::{
    catalog::QualifiedName,
    statement::{Action, Lineage, Object, Refusal, RefusalKind, Usage},
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

/// Whether the server takes two column names for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It depends on a collation that we do not follow: `é` and `e`.
    Maybe,
}

/// Compares column names as the server does: without regard to case, and, for letters with accents, to more.
pub(super) fn same(one: &str, other: &str) -> Same {
    if one.eq_ignore_ascii_case(other) {
        return Same::Yes;
    }
    if one.is_ascii() && other.is_ascii() {
        return Same::No;
    }
    if one.to_lowercase() == other.to_lowercase() {
        return Same::Yes;
    }
    let (mut one, mut other) = (one.chars(), other.chars());
    loop {
        match (one.next(), other.next()) {
            (Some(a), Some(b)) if may_equal(a, b) => {}
            (None, None) => return Same::Maybe,
            _ => return Same::No,
        }
    }
}

/// Whether some collation of the server takes `a` and `b` for the same letter.
fn may_equal(a: char, b: char) -> bool {
    if a.eq_ignore_ascii_case(&b) {
        return true;
    }
    let latin = |c: char| matches!(u32::from(c), 0x41..=0x24f | 0x1e00..=0x1eff | 0x2070..=0x218f | 0xff00..=0xffef);
    match (a.is_ascii(), b.is_ascii()) {
        (true, true) => false,
        (true, false) | (false, true) => latin(a) && latin(b),
        (false, false) => (latin(a) && latin(b)) || u32::from(a) >> 8 == u32::from(b) >> 8,
    }
}

/// What a name in a query may reach of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reachable {
    /// `t.a` and `a`: an ordinary FROM item.
    Both,
    /// `t.a` only: a table inside a join by names.
    ByName,
    /// `a` only: what a join by names makes.
    Columns,
}

/// Whether an item's columns are all known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// They are, in the server's order.
    Exact,
    /// They are, but their order in `*` is not.
    Unordered,
    /// Rows of the server's own making, such as those of SHOW: any name is a column without stored values.
    Anything,
}

/// One FROM item.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its alias, or the name it goes by without one. Empty: it has none.
    pub(super) name: Arc<str>,
    /// The database that may stand before the name.
    pub(super) database: Option<Arc<str>>,
    /// Its columns.
    pub(super) fields: Vec<Field>,
    /// How far they are known.
    pub(super) knowledge: Knowledge,
    /// What reaches it.
    pub(super) reachable: Reachable,
    /// The relation that may be written to: reading a column of it needs SELECT on it.
    pub(super) target: Option<QualifiedName>,
    /// The stored relations behind it, which FOR UPDATE locks.
    pub(super) behind: Vec<QualifiedName>,
    /// Which of the statement's FROM items it is.
    pub(super) item: Option<Item>,
}

impl Entry {
    /// An ordinary item called `name`.
    pub(super) fn new(name: impl AsRef<str>, fields: Vec<Field>) -> Self {
        Self {
            name: Arc::from(name.as_ref()),
            database: None,
            fields,
            knowledge: Knowledge::Exact,
            reachable: Reachable::Both,
            target: None,
            behind: Vec::new(),
            item: None,
        }
    }

    /// Rows of the server's own making.
    pub(super) fn anything() -> Self {
        Self { knowledge: Knowledge::Anything, ..Self::new("", Vec::new()) }
    }

    /// The column called `name`.
    fn field(&self, name: &str) -> Result<Option<Arc<Lineage>>, Refusal> {
        let found = only(&self.fields, name)?;
        Ok(match self.knowledge {
            Knowledge::Anything => Some(found.unwrap_or_default()),
            Knowledge::Exact | Knowledge::Unordered => found,
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

/// The one field called `name`.
///
/// # Errors
/// When there are several, or one may be called so.
pub(super) fn only(fields: &[Field], name: &str) -> Result<Option<Arc<Lineage>>, Refusal> {
    let mut found = None;
    for field in fields {
        match same(&field.name, name) {
            Same::Yes if found.is_some() => return Err(ambiguous(name)),
            Same::Yes => found = Some(Arc::clone(&field.lineage)),
            Same::Maybe => {
                return Err(ambiguous(name)
                    .detail(format!("the server may take '{}' and '{name}' for the same name", field.name)));
            }
            Same::No => {}
        }
    }
    Ok(found)
}

/// One WITH item in reach.
#[derive(Clone, Debug)]
pub(super) struct With {
    /// Its name.
    pub(super) name: Arc<str>,
    /// Its columns; `None`: not walked yet.
    pub(super) fields: Option<Arc<[Field]>>,
}

/// Whether names of this level see the aliases of its select list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aliases {
    /// Only subqueries do: in the select list itself.
    FromInside,
    /// GROUP BY, HAVING and ORDER BY do.
    Seen,
}

/// The names in reach at one level of a statement.
#[derive(Debug)]
pub(super) struct Scope<'s> {
    parent: Option<&'s Scope<'s>>,
    /// FROM items.
    pub(super) entries: Vec<Entry>,
    /// Columns of the select list that have a name.
    pub(super) aliases: Vec<Field>,
    /// Who sees them.
    pub(super) seen: Aliases,
    /// WITH items of this level.
    pub(super) with: Vec<With>,
    /// The user's tables and views among the FROM items, as they are called there, all of whose rows are read.
    pub(super) tables: Vec<(Arc<str>, QualifiedName, Item)>,
}

impl<'s> Scope<'s> {
    /// A level without a level around it.
    pub(super) fn top() -> Self {
        Self {
            parent: None,
            entries: Vec::new(),
            aliases: Vec::new(),
            seen: Aliases::FromInside,
            with: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// A level inside `parent`.
    pub(super) fn inside(parent: Option<&'s Scope<'s>>) -> Self {
        Self { parent, ..Self::top() }
    }

    /// A level whose only names are the columns of `entry`.
    pub(super) fn of(entry: Entry) -> Self {
        Self { entries: vec![entry], ..Self::top() }
    }

    /// What VALUES(a) of ON DUPLICATE KEY UPDATE sees: the row that was to be inserted, by its target's own names.
    pub(super) fn of_target(&self) -> Option<Scope<'static>> {
        let mut entries = self.levels().flat_map(|level| &level.entries);
        entries.find(|entry| entry.target.is_some()).map(|target| Scope::of(target.clone()))
    }

    fn levels(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |scope| scope.parent)
    }

    /// The columns of the WITH item called `name`: the innermost level wins, as in the server. Servers that fold names
    /// of tables find more; what only they would find is refused.
    ///
    /// # Errors
    /// When an item differs from `name` in case only, or is not walked yet.
    pub(super) fn with_item(&self, name: &str) -> Result<Option<&Arc<[Field]>>, Refusal> {
        for scope in self.levels() {
            if let Some(item) = scope.with.iter().rev().find(|item| &*item.name == name) {
                return match &item.fields {
                    Some(fields) => Ok(Some(fields)),
                    None => Err(unsupported(&format!("the use of `{name}` before its place in WITH"))
                        .hint("put the items of WITH in the order in which they use each other, and give them names of their own")),
                };
            }
            if scope.with.iter().any(|item| item.name.to_lowercase() == name.to_lowercase()) {
                return Err(other_case(name));
            }
        }
        Ok(None)
    }

    /// Resolves `a`, `t.a` or `db.t.a`.
    ///
    /// # Errors
    /// When it means nothing, or may mean more than one thing.
    pub(super) fn find(&self, walk: &mut Walk<'_>, path: &[&str]) -> Result<Arc<Lineage>, Refusal> {
        let found = self.resolved(walk, path)?;
        walk.named(&found);
        if walk.assigns {
            walk.used(&found, &Usage::Travel("a user variable".into()));
        }
        Ok(found)
    }

    fn resolved(&self, walk: &mut Walk<'_>, path: &[&str]) -> Result<Arc<Lineage>, Refusal> {
        match *path {
            [name] => self.column(walk, name),
            [table, name] => self.qualified(walk, None, table, name),
            [database, table, name] => self.qualified(walk, Some(database), table, name),
            _ => Err(unknown_column(&path.join("."))),
        }
    }

    fn qualified(
        &self,
        walk: &mut Walk<'_>,
        database: Option<&str>,
        table: &str,
        name: &str,
    ) -> Result<Arc<Lineage>, Refusal> {
        let Some(entry) = self.entry(database, table)? else {
            return Err(unknown_column(&format!("{table}.{name}")));
        };
        read(walk, entry);
        walk.items.speak(entry.item);
        entry.field(name)?.ok_or_else(|| unknown_column(&format!("{table}.{name}")))
    }

    /// An unqualified column: the innermost level that has it.
    fn column(&self, walk: &mut Walk<'_>, name: &str) -> Result<Arc<Lineage>, Refusal> {
        for (depth, scope) in self.levels().enumerate() {
            let mut found: Option<Arc<Lineage>> = None;
            for entry in scope.entries.iter().filter(|entry| entry.by_column()) {
                if let Some(lineage) = entry.field(name)? {
                    if found.is_some() {
                        return Err(ambiguous(name));
                    }
                    read(walk, entry);
                    scope.speak(walk, entry, name);
                    found = Some(lineage);
                }
            }
            if depth > 0 || scope.seen == Aliases::Seen {
                // Which of an alias and a column of the same name is meant depends on the clause: take both.
                found = either(found, scope.aliased(name));
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(unknown_column(name))
    }

    /// A condition speaks of `entry` by its column `name`; of a join by names, of the tables that have it.
    pub(super) fn speak(&self, walk: &mut Walk<'_>, entry: &Entry, name: &str) {
        match entry.reachable {
            Reachable::Both | Reachable::ByName => walk.items.speak(entry.item),
            Reachable::Columns => {
                let has = |entry: &&Entry| entry.fields.iter().any(|field| same(&field.name, name) != Same::No);
                for entry in self.entries.iter().filter(has) {
                    walk.items.speak(entry.item);
                }
            }
        }
    }

    /// All columns of the select list that may be called `name`.
    pub(super) fn aliased(&self, name: &str) -> Option<Arc<Lineage>> {
        let called = self.aliases.iter().filter(|field| same(&field.name, name) != Same::No);
        called.fold(None, |so_far, field| either(so_far, Some(Arc::clone(&field.lineage))))
    }

    /// The item that `t` or `db.t` names.
    ///
    /// # Errors
    /// When several are called so, or one in another case.
    pub(super) fn entry(&self, database: Option<&str>, name: &str) -> Result<Option<&Entry>, Refusal> {
        let fits = |entry: &&Entry| match (database, &entry.database) {
            (Some(wanted), Some(own)) => wanted == &**own || is_information_schema(wanted, own),
            (Some(_), None) => false,
            (None, _) => true,
        };
        for scope in self.levels() {
            let mut found = scope.entries.iter().filter(|e| e.by_name() && &*e.name == name).filter(fits);
            match (found.next(), found.next()) {
                (Some(entry), None) => return Ok(Some(entry)),
                (Some(_), Some(_)) => return Err(ambiguous(name)),
                (None, _) => {}
            }
            let lower = name.to_lowercase();
            if scope.entries.iter().any(|e| e.by_name() && e.name.to_lowercase() == lower) {
                if database.is_some_and(|database| is_information_schema(database, "information_schema")) {
                    return Ok(scope.entries.iter().find(|e| e.by_name() && e.name.to_lowercase() == lower));
                }
                return Err(other_case(name));
            }
        }
        Ok(None)
    }

    /// The columns of `*` or `t.*`.
    ///
    /// # Errors
    /// When they are not known in their order.
    pub(super) fn star(&self, walk: &mut Walk<'_>, of: Option<(Option<&str>, &str)>) -> Result<Vec<Field>, Refusal> {
        let entries: Vec<&Entry> =
            match of {
                None => self.entries.iter().filter(|entry| entry.by_column()).collect(),
                Some((database, table)) => {
                    vec![self.entry(database, table)?.ok_or_else(|| {
                        Refusal::new(RefusalKind::UnknownRelation, format!("unknown table '{table}'"))
                    })?]
                }
            };
        if entries.is_empty() {
            return Err(Refusal::new(RefusalKind::Unsupported, "no tables used"));
        }
        let mut fields = Vec::new();
        for entry in entries {
            match entry.knowledge {
                Knowledge::Exact => {}
                Knowledge::Unordered | Knowledge::Anything => {
                    return Err(Refusal::new(RefusalKind::Unsupported, "`*` over these tables is not supported")
                        .detail("the order of the columns of a RIGHT JOIN by names is not followed")
                        .hint("name the columns, or write JOIN … ON"));
                }
            }
            read(walk, entry);
            if walk.printed == Printed::Everything {
                entry.fields.iter().for_each(|field| walk.named(&field.lineage));
            }
            fields.extend(entry.fields.iter().cloned());
        }
        Ok(fields)
    }
}

fn is_information_schema(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case("information_schema") && other.eq_ignore_ascii_case("information_schema")
}

/// What comes out is the one or the other.
fn either(one: Option<Arc<Lineage>>, other: Option<Arc<Lineage>>) -> Option<Arc<Lineage>> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let mut both = Lineage::clone(&one);
            both.merge(&other);
            Some(Arc::new(both))
        }
        (one, other) => one.or(other),
    }
}

/// Notes that something of `entry` is read: what a statement writes to, it may not read without SELECT.
fn read(walk: &mut Walk<'_>, entry: &Entry) {
    if let Some(target) = &entry.target {
        walk.target_reads = walk.target_reads.saturating_add(1);
        walk.need(Action::Select, Object::Relation(target.clone()));
    }
}

fn other_case(name: &str) -> Refusal {
    Refusal::new(RefusalKind::UnknownRelation, format!("unknown table '{name}'"))
        .detail("a table or alias is called so in another case; servers differ on whether that is the same")
        .hint("write the name as it was given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_names_compare_as_the_server_does() {
        for (one, other, expected) in [
            ("Email", "eMAIL", Same::Yes),
            ("email", "emails", Same::No),
            ("émail", "email", Same::Maybe),
            ("ЮГ", "юг", Same::Yes),
            ("табле", "order", Same::No),
            ("ｅmail", "email", Same::Maybe),
        ] {
            assert_eq!(same(one, other), expected, "{one} {other}");
            assert_eq!(same(other, one), expected, "{other} {one}");
        }
    }
}
