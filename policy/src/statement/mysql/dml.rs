//! INSERT, REPLACE, UPDATE and DELETE: what they need, what they read, what travels from column to column, what
//! RETURNING shows. Their clauses are told apart here; expressions and queries in them are read by the parser.

use std::sync::Arc;

use sqlparser::ast::{Expr, ObjectName, SetExpr};

use super::{
    catalogs, condition,
    cursor::Cursor,
    expression::expression,
    from, listing, node, query,
    query::sort_item,
    reach::{self, Filter},
    refusal::{unexpected, unknown_column, unsupported},
    relation,
    scope::{Entry, Field, Reachable, Same, Scope, same},
    walk::Walk,
    with,
};
use crate::{
    catalog::QualifiedName,
    statement::{Action, Lineage, Object, Reach, Refusal, Usage, Via},
};

/// Columns of RETURNING, if a statement has it.
type Returned = Option<Vec<Field>>;

/// Writing `action` to `relation` is needed; the server's own tables need `admin`.
fn need(walk: &mut Walk<'_>, action: Action, relation: &QualifiedName) {
    let action = if catalogs::is_system_schema(&relation.schema) { Action::Admin } else { action };
    walk.need(action, Object::Relation(relation.clone()));
}

/// `value` is put into column `field` of `relation`: what is in it but that column itself has travelled.
fn write(walk: &mut Walk<'_>, relation: &QualifiedName, field: &Field, value: &Lineage) {
    walk.computed(value);
    let mut foreign = value.clone();
    foreign.columns.retain(|source, _| !field.lineage.columns.contains_key(source));
    if !foreign.columns.is_empty() {
        let place = Arc::from(format!("{relation}.{}", field.name));
        walk.used(&foreign, &Usage::Travel(place));
    }
}

/// INSERT and REPLACE, from behind the verb.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn insert(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>, replaces: bool) -> Result<Returned, Refusal> {
    cursor.one_of(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY"]);
    cursor.word("IGNORE");
    cursor.word("INTO");
    let name = cursor.qualified()?;
    let relation = relation::resolve(walk, Some(&name.schema), &name.name)?;
    let mut target = relation::entry(walk, &relation)?;
    target.name = name.name;
    target.target = Some(relation.name.clone());
    need(walk, Action::Insert, &relation.name);
    if replaces {
        need(walk, Action::Delete, &relation.name);
    }
    if cursor.word("PARTITION") {
        cursor.parenthesis()?;
    }
    let mut insertion =
        Insertion { relation: relation.name.clone(), target, written: Vec::new(), new_row: None, sources: Vec::new() };
    insertion.source(walk, cursor)?;
    if cursor.words(&["ON", "DUPLICATE", "KEY", "UPDATE"]) {
        need(walk, Action::Update, &relation.name);
        let mut clause = cursor.until(&["RETURNING"]).on_duplicate();
        let assignments = clause.assignments()?;
        clause.end()?;
        let mut scope = Scope::of(insertion.target.clone());
        scope.entries.extend(insertion.new_row.take());
        scope.entries.append(&mut insertion.sources);
        for (column, value) in &assignments {
            insertion.assign(walk, &scope, column, value)?;
        }
    }
    let returned = if cursor.word("RETURNING") { Some(insertion.returning(walk, cursor)?) } else { None };
    cursor.end()?;
    Ok(returned)
}

/// One INSERT under way.
struct Insertion {
    relation: QualifiedName,
    target: Entry,
    /// What was put into each column, by its position.
    written: Vec<(usize, Lineage)>,
    /// `VALUES (…) AS new`.
    new_row: Option<Entry>,
    /// The tables of the SELECT whose rows are inserted: ON DUPLICATE KEY UPDATE sees them.
    sources: Vec<Entry>,
}

impl Insertion {
    fn source(&mut self, walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
        if cursor.word("SET") {
            let mut clause = cursor.until(&["AS", "ON", "RETURNING"]);
            let scope = Scope::of(self.target.clone());
            for (column, value) in &clause.assignments()? {
                self.assign(walk, &scope, column, value)?;
            }
            clause.end()?;
            return self.row_alias(cursor);
        }
        let columns = self.columns(cursor)?;
        let positions: Vec<usize> = match &columns {
            Some(columns) => columns.clone(),
            None => (0..self.target.fields.len()).collect(),
        };
        if (cursor.peek(0).is_some_and(|t| t.is_word("VALUES")) && cursor.peek(1).is_some_and(|t| t.is_sign("(")))
            || cursor.peek(0).is_some_and(|t| t.is_word("VALUE"))
        {
            cursor.next();
            let scope = Scope::of(self.target.clone());
            for row in cursor.rows()? {
                if row.len() > positions.len() {
                    return Err(unsupported("a row with more values than columns"));
                }
                for (at, value) in positions.iter().zip(&row) {
                    let lineage = expression(walk, &scope, value)?;
                    self.put(walk, *at, &lineage);
                }
            }
            return self.row_alias(cursor);
        }
        let tree = cursor.inserted()?;
        let fields = query::query(walk, None, &tree)?.fields;
        if let (SetExpr::Select(select), None, true) = (&*tree.body, &tree.with, duplicates(cursor)) {
            let mut scope = Scope::top();
            from::items(walk, &mut scope, &select.from)?;
            self.sources = scope.entries;
        }
        if fields.len() > positions.len() {
            return Err(unsupported("a query with more columns than are inserted"));
        }
        for (at, field) in positions.iter().zip(&fields) {
            if columns.is_none() {
                // Invisible columns are not counted by the server: the value may go elsewhere.
                let place = Arc::from(self.relation.to_string());
                walk.used(&field.lineage, &Usage::Travel(place));
            }
            self.put(walk, *at, &field.lineage);
        }
        Ok(())
    }

    /// The positions of the listed columns. A parenthesis may also open a query.
    fn columns(&self, cursor: &mut Cursor<'_>) -> Result<Option<Vec<usize>>, Refusal> {
        let opens = cursor.peek(0).is_some_and(|token| token.is_sign("("));
        let query = cursor.peek(1).is_some_and(|t| {
            ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| t.is_word(word)) || t.is_sign("(")
        });
        if !opens || query {
            return Ok(None);
        }
        let list = cursor.parenthesis()?;
        let mut list = cursor.over(list);
        let mut columns = Vec::new();
        while !list.done() {
            let mut name = list.name()?;
            while list.sign(".") {
                name = list.name()?;
            }
            columns.push(self.position(&name)?);
            if !list.done() {
                list.expect_sign(",")?;
            }
        }
        // `INSERT INTO t () VALUES ()` names no column.
        Ok(Some(columns))
    }

    fn position(&self, name: &str) -> Result<usize, Refusal> {
        let found = self.target.fields.iter().position(|field| same(&field.name, name) == Same::Yes);
        found.ok_or_else(|| unknown_column(name))
    }

    fn put(&mut self, walk: &mut Walk<'_>, at: usize, value: &Lineage) {
        if let Some(field) = self.target.fields.get(at) {
            write(walk, &self.relation, field, value);
            if !value.columns.is_empty() {
                self.written.push((at, value.clone()));
            }
        }
    }

    fn assign(
        &mut self,
        walk: &mut Walk<'_>,
        scope: &Scope<'_>,
        column: &ObjectName,
        value: &Expr,
    ) -> Result<(), Refusal> {
        let path = node::path(walk, column)?;
        let Some(name) = path.last() else { return Err(unexpected("SET")) };
        let at = self.position(name)?;
        let value = expression(walk, scope, value)?;
        self.put(walk, at, &value);
        Ok(())
    }

    /// `AS new` or `AS new (a, b)`: the row as ON DUPLICATE KEY UPDATE sees it.
    fn row_alias(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
        if !cursor.word("AS") {
            return Ok(());
        }
        let name = cursor.name()?;
        let mut fields = self.inserted();
        let mut reachable = Reachable::ByName;
        if cursor.peek(0).is_some_and(|token| token.is_sign("(")) {
            let list = cursor.parenthesis()?;
            let mut list = cursor.over(list);
            let every = fields.iter().fold(Lineage::constant(), |mut all, field| {
                all.merge(&field.lineage);
                all
            });
            fields.clear();
            // Names of its own are known without its own.
            reachable = Reachable::Both;
            while !list.done() {
                fields.push(Field::new(list.name()?, every.clone().through(Via::Total)));
                list.sign(",");
            }
        }
        self.new_row = Some(Entry { reachable, ..Entry::new(name, fields) });
        Ok(())
    }

    /// The columns with nothing but what was just written into them, or into what a generated one is made of.
    fn inserted(&self) -> Vec<Field> {
        let written = |field: &Field| {
            let mut lineage = Lineage::constant();
            for source in field.lineage.columns.keys().filter(|source| source.relation == self.relation) {
                let at = self.target.fields.iter().position(|other| other.name == source.column);
                for (_, value) in self.written.iter().filter(|(position, _)| Some(*position) == at) {
                    let own = source.column == field.name;
                    lineage.merge(&value.clone().through(if own { Via::Copy } else { Via::Partial }));
                }
            }
            lineage
        };
        self.target.fields.iter().map(|field| Field::new(&field.name, written(field))).collect()
    }

    /// The target with what was just written.
    fn returned(&self) -> Entry {
        let mut entry = self.target.clone();
        for (at, written) in &self.written {
            if let Some(field) = entry.fields.get_mut(*at) {
                Arc::make_mut(&mut field.lineage).merge(written);
            }
        }
        entry
    }

    fn returning(&self, walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Vec<Field>, Refusal> {
        let list = cursor.projection()?;
        let mut scope = Scope::of(self.returned());
        query::targets(walk, &mut scope, &list)
    }
}

fn duplicates(cursor: &Cursor<'_>) -> bool {
    cursor.peek(0).is_some_and(|t| t.is_word("ON")) && cursor.peek(1).is_some_and(|t| t.is_word("DUPLICATE"))
}

/// Walks the tables of an UPDATE or DELETE into a scope.
fn tables<'s>(walk: &mut Walk<'_>, outer: &'s Scope<'s>, clause: &mut Cursor<'_>) -> Result<Scope<'s>, Refusal> {
    let list = clause.tables()?;
    clause.end()?;
    let mut scope = Scope::inside(Some(outer));
    walk.writing = true;
    let found = from::items(walk, &mut scope, &list);
    listing::of_tables(walk, &list, None);
    walk.writing = false;
    found?;
    Ok(scope)
}

/// UPDATE, from behind the verb; `with`: the list before it.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn update(
    walk: &mut Walk<'_>,
    with: Option<&mut Cursor<'_>>,
    cursor: &mut Cursor<'_>,
) -> Result<Returned, Refusal> {
    let outer = with_list(walk, with)?;
    cursor.word("LOW_PRIORITY");
    cursor.word("IGNORE");
    let mut clause = cursor.until(&["SET"]);
    let scope = tables(walk, &outer, &mut clause)?;
    cursor.expect_word("SET")?;
    let mut clause = cursor.until(&["WHERE", "ORDER", "LIMIT", "RETURNING"]);
    let assignments = clause.assignments()?;
    clause.end()?;
    let mut targets: Vec<QualifiedName> = Vec::new();
    for (column, value) in &assignments {
        let path = node::path(walk, column)?;
        let (target, field) = assigned(&scope, &path)?;
        need(walk, Action::Update, &target);
        let value = expression(walk, &scope, value)?;
        write(walk, &target, &field, &value);
        targets.push(target);
    }
    read_others(walk, &scope, &targets);
    filtered(walk, &scope, cursor, Reach::EveryUpdate)?;
    cursor.end()?;
    Ok(None)
}

/// The table and the column that an assignment's left side means.
fn assigned(scope: &Scope<'_>, path: &[&str]) -> Result<(QualifiedName, Field), Refusal> {
    let (entries, name): (Vec<&Entry>, &str) = match path {
        [name] => (scope.entries.iter().collect(), name),
        [table, name] => (scope.entry(None, table)?.into_iter().collect(), name),
        [database, table, name] => (scope.entry(Some(database), table)?.into_iter().collect(), name),
        _ => return Err(unexpected("SET")),
    };
    let mut found = None;
    for entry in entries.into_iter().filter(|entry| !entry.name.is_empty()) {
        for field in entry.fields.iter().filter(|field| same(&field.name, name) != Same::No) {
            if found.is_some() {
                return Err(super::refusal::ambiguous(name));
            }
            let Some(target) = &entry.target else {
                return Err(unsupported(&format!("an assignment to `{}`, which is no table,", entry.name)));
            };
            found = Some((target.clone(), field.clone()));
        }
    }
    found.ok_or_else(|| unknown_column(name))
}

/// Tables of the join that are not written to are read, whether or not a column of them is named.
fn read_others(walk: &mut Walk<'_>, scope: &Scope<'_>, targets: &[QualifiedName]) {
    for entry in &scope.entries {
        if let Some(relation) = entry.target.as_ref().filter(|relation| !targets.contains(relation)) {
            let system = catalogs::is_system_schema(&relation.schema);
            let action = if system { Action::Admin } else { Action::Select };
            walk.need(action, Object::Relation(relation.clone()));
        }
    }
}

fn with_list(walk: &mut Walk<'_>, with: Option<&mut Cursor<'_>>) -> Result<Scope<'static>, Refusal> {
    let mut scope = Scope::top();
    if let Some(cursor) = with {
        let list = cursor.with_list()?;
        with::items(walk, &mut scope, &list)?;
    }
    Ok(scope)
}

/// WHERE, ORDER BY and LIMIT of an UPDATE or DELETE.
fn filtered(walk: &mut Walk<'_>, scope: &Scope<'_>, cursor: &mut Cursor<'_>, every: Reach) -> Result<(), Refusal> {
    if cursor.word("WHERE") {
        let mut clause = cursor.until(&["ORDER", "LIMIT", "RETURNING"]);
        let filter = clause.expression()?;
        clause.end()?;
        let before = walk.target_reads;
        condition::condition(walk, scope, &filter)?;
        let looks = walk.target_reads > before;
        match reach::filter(&filter) {
            Filter::Nothing => {}
            Filter::Unknown if looks => {}
            Filter::Everything | Filter::Unknown => walk.reaches(every),
        }
    } else {
        walk.reaches(every);
    }
    if cursor.words(&["ORDER", "BY"]) {
        let mut clause = cursor.until(&["LIMIT", "RETURNING"]);
        for item in &clause.order()? {
            sort_item(walk, scope, &[], item)?;
        }
        clause.end()?;
    }
    if cursor.word("LIMIT") {
        let mut clause = cursor.until(&["RETURNING"]);
        for bound in &clause.expressions()? {
            condition::infer(walk, scope, bound)?;
        }
        clause.end()?;
    }
    Ok(())
}

/// DELETE, from behind the verb; `with`: the list before it.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn delete(
    walk: &mut Walk<'_>,
    with: Option<&mut Cursor<'_>>,
    cursor: &mut Cursor<'_>,
) -> Result<Returned, Refusal> {
    let outer = with_list(walk, with)?;
    while cursor.one_of(&["LOW_PRIORITY", "QUICK", "IGNORE"]).is_some() {}
    let mut named: Vec<Vec<String>> = Vec::new();
    let mut clause = if cursor.word("FROM") {
        let list = cursor.until(&["USING", "WHERE", "ORDER", "LIMIT", "RETURNING"]);
        if cursor.word("USING") {
            named = names_of_tables(list)?;
            cursor.until(&["WHERE", "ORDER", "LIMIT", "RETURNING"])
        } else {
            list
        }
    } else {
        named = names_of_tables(cursor.until(&["FROM"]))?;
        cursor.expect_word("FROM")?;
        cursor.until(&["WHERE", "ORDER", "LIMIT", "RETURNING"])
    };
    let mut scope = tables(walk, &outer, &mut clause)?;
    let mut targets = Vec::new();
    if named.is_empty() {
        let [Entry { target: Some(target), .. }] = scope.entries.as_slice() else { return Err(unexpected("DELETE")) };
        targets.push(target.clone());
    }
    for name in &named {
        let name: Vec<&str> = name.iter().map(String::as_str).collect();
        let entry = match name.as_slice() {
            [name] => scope.entry(None, name)?,
            [database, name] => scope.entry(Some(database), name)?,
            _ => None,
        };
        match entry.and_then(|entry| entry.target.clone()) {
            Some(target) => targets.push(target),
            None => return Err(unsupported(&format!("DELETE from `{}`, which is no table here,", name.join(".")))),
        }
    }
    for target in &targets {
        need(walk, Action::Delete, target);
    }
    read_others(walk, &scope, &targets);
    filtered(walk, &scope, cursor, Reach::EveryDelete)?;
    let returned = if cursor.word("RETURNING") {
        let list = cursor.projection()?;
        Some(query::targets(walk, &mut scope, &list)?)
    } else {
        None
    };
    cursor.end()?;
    Ok(returned)
}

/// `t1, db.t2.*`
fn names_of_tables(mut list: Cursor<'_>) -> Result<Vec<Vec<String>>, Refusal> {
    let mut names = Vec::new();
    loop {
        let mut name = vec![list.name()?];
        while list.sign(".") {
            if list.sign("*") {
                break;
            }
            name.push(list.name()?);
        }
        names.push(name);
        if list.done() {
            return Ok(names);
        }
        list.expect_sign(",")?;
    }
}

/// The assignments of LOAD DATA … SET.
///
/// # Errors
/// When something in them is not understood.
pub(super) fn load_assignments(
    walk: &mut Walk<'_>,
    cursor: &mut Cursor<'_>,
    relation: &QualifiedName,
    target: &Entry,
    scope: &Scope<'_>,
) -> Result<(), Refusal> {
    for (column, value) in &cursor.assignments()? {
        let path = node::path(walk, column)?;
        let field =
            path.last().and_then(|name| target.fields.iter().find(|field| same(&field.name, name) == Same::Yes));
        let Some(field) = field else { return Err(unknown_column(&path.join("."))) };
        let value = expression(walk, scope, value)?;
        write(walk, relation, field, &value);
    }
    Ok(())
}
