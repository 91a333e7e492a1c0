//! Relations by name, and their columns down to what is stored: views and generated columns are expanded by their
//! definitions. Asks no database: what the catalog does not know is refused.

use std::sync::Arc;

use super::{
    catalogs,
    cursor::{Cursor, no_database},
    expression,
    lexer::lex,
    names::{MysqlNames, SqlMode},
    query,
    refusal::unsupported,
    scope::{Entry, Field, Scope},
    walk::{Walk, column_ref},
};
use crate::{
    catalog::{Column, ColumnRef, QualifiedName, Relation, RelationKind},
    statement::{Action, Lineage, Need, Object, Refusal, RefusalKind, Via, inband::SCHEMA},
};

/// The relation called `name`, in `database` or else the session's.
///
/// # Errors
/// In the server's words when there is none, or no database is chosen.
pub(super) fn resolve(walk: &Walk<'_>, database: Option<&str>, name: &str) -> Result<Arc<Relation>, Refusal> {
    let Some(database) = database.or(walk.names.database.as_deref()) else { return Err(no_database()) };
    let name = QualifiedName::new(database, name);
    let found = find(walk, &name).filter(|_| database != SCHEMA);
    if found.is_none() && walk.catalog.temporary.contains(&name) {
        return Err(unsupported(&format!("the table {name}, which a temporary one hides,"))
            .detail("the session's temporary table has the name of a table or view that is newer than it")
            .hint("DROP TEMPORARY TABLE, or give it another name"));
    }
    found.ok_or_else(|| unknown(database, &name.name))
}

/// The relation called `name`. Definitions of views do not mean the session's temporary tables, and there is no other of
/// such a name, as far as anybody knows. The names of `information_schema` and `performance_schema` have no case.
pub(super) fn find(walk: &Walk<'_>, name: &QualifiedName) -> Option<Arc<Relation>> {
    if walk.trusted > 0 && walk.catalog.temporary.contains(name) {
        return None;
    }
    if let Some(relation) = walk.catalog.relations.get(name) {
        return Some(Arc::clone(relation));
    }
    let schema = catalogs::caseless_schema(&name.schema)?;
    for name in [name.name.to_ascii_uppercase(), name.name.to_ascii_lowercase()] {
        for schema in [schema.to_owned(), schema.to_ascii_uppercase()] {
            if let Some(relation) = walk.catalog.relations.get(&QualifiedName::new(schema, &name)) {
                return Some(Arc::clone(relation));
            }
        }
    }
    None
}

fn unknown(database: &str, name: &str) -> Refusal {
    let refusal = Refusal::new(RefusalKind::UnknownRelation, format!("table '{database}.{name}' doesn't exist"));
    if database == SCHEMA {
        return refusal
            .detail("the schema hallpass is the proxy's own, which answers simple queries of one of its views")
            .hint("SELECT … FROM hallpass.grants by itself, and CALL hallpass.request('ROLE', '1 hour', 'why')");
    }
    refusal
}

/// The columns of `relation` with what feeds them. Everything behind it is touched.
///
/// # Errors
/// When a definition is not understood.
pub(super) fn fields(walk: &mut Walk<'_>, relation: &Arc<Relation>) -> Result<Arc<[Field]>, Refusal> {
    if catalogs::is_system_schema(&relation.name.schema) {
        return Ok(catalogs::read(walk, relation));
    }
    if let Some(known) = walk.shapes.get(&relation.name) {
        return Ok(Arc::clone(known));
    }
    walk.touch(&relation.name);
    let fields = match relation.kind {
        RelationKind::View | RelationKind::MaterializedView => view(walk, relation)?,
        RelationKind::ForeignTable => {
            // Its rows may come from anywhere, a masked table of this very server among them: the author of a view
            // does not answer for it.
            walk.needs.insert(Need { action: Action::Admin, object: Object::Relation(relation.name.clone()) });
            stored(walk, relation)?
        }
        RelationKind::Table | RelationKind::Sequence | RelationKind::Other => stored(walk, relation)?,
    };
    walk.shapes.insert(relation.name.clone(), Arc::clone(&fields));
    Ok(fields)
}

/// How the server prints definitions: fully qualified, names in backquotes, whatever the sql_mode.
fn definition_names(walk: &Walk<'_>) -> MysqlNames {
    MysqlNames { database: None, sql_mode: SqlMode::default(), flavour: walk.names.flavour }
}

fn view(walk: &mut Walk<'_>, relation: &Arc<Relation>) -> Result<Arc<[Field]>, Refusal> {
    let broken = |why: &str| unsupported(&format!("view {}, {why},", relation.name));
    let Some(definition) = &relation.definition else { return Err(broken("whose definition is not known")) };
    let names = MysqlNames { database: Some(Arc::clone(&relation.name.schema)), ..definition_names(walk) };
    let tokens = lex(definition, &names)?;
    let mut cursor = Cursor::new(definition, &tokens, &names);
    let body = cursor.query()?;
    // A view's own names are resolved in the database it lies in.
    let outputs = in_database(walk, &names, |walk| query::query(walk, None, &body))?.fields;
    if cursor.words(&["WITH", "CHECK", "OPTION"]) || cursor.words(&["WITH", "CASCADED", "CHECK", "OPTION"]) {
        // It limits writes only.
    }
    cursor.words(&["WITH", "LOCAL", "CHECK", "OPTION"]);
    cursor.end()?;
    if outputs.len() != relation.columns.len() {
        return Err(broken("whose columns are not those of its query"));
    }
    let named = relation.columns.iter().zip(outputs);
    let field = |(column, output): (&Column, Field)| Field::new(&column.name, of_author(&output.lineage));
    Ok(named.map(field).collect())
}

/// What a definition computes its author chose: whether it fails tells nothing that a statement could ask for.
fn of_author(lineage: &Lineage) -> Lineage {
    let total = |(column, via): (&ColumnRef, &Via)| (column.clone(), (*via).min(Via::Total));
    Lineage { columns: lineage.columns.iter().map(total).collect(), mixed: lineage.mixed }
}

/// Runs `inside` as the author's work under other settings.
fn in_database<T>(
    walk: &mut Walk<'_>,
    names: &MysqlNames,
    inside: impl FnOnce(&mut Walk<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut inner = Walk::new(walk.catalog, names);
    inner.trusted = walk.trusted;
    inner.depth = walk.depth;
    inner.steps = walk.steps;
    inner.printed = walk.printed;
    std::mem::swap(&mut inner.shapes, &mut walk.shapes);
    let result = inner.authored(inside);
    std::mem::swap(&mut inner.shapes, &mut walk.shapes);
    walk.steps = inner.steps;
    // What the author does not answer for: stored functions and foreign tables.
    walk.needs.append(&mut inner.needs);
    walk.uses.append(&mut inner.uses);
    walk.touches.append(&mut inner.touches);
    result
}

fn stored(walk: &mut Walk<'_>, relation: &Arc<Relation>) -> Result<Arc<[Field]>, Refusal> {
    let mut entry = plain_entry(relation);
    // A generated column may be made of others: round by round, until nothing is added.
    for _ in 0..=relation.columns.iter().filter(|column| column.generated.is_some()).count() {
        let before = entry.fields.clone();
        for (at, column) in relation.columns.iter().enumerate() {
            walk.step()?;
            let Some(text) = &column.generated else { continue };
            let made_of = generated(walk, relation, &entry, text)?;
            if let Some(field) = entry.fields.get_mut(at) {
                Arc::make_mut(&mut field.lineage).merge(&made_of);
            }
        }
        if entry.fields == before {
            break;
        }
    }
    Ok(entry.fields.into())
}

fn generated(walk: &mut Walk<'_>, relation: &Relation, entry: &Entry, text: &str) -> Result<Lineage, Refusal> {
    let names = MysqlNames { database: Some(Arc::clone(&relation.name.schema)), ..definition_names(walk) };
    let tokens = lex(text, &names)?;
    let mut cursor = Cursor::new(text, &tokens, &names);
    let value = cursor.expression()?;
    cursor.end()?;
    let scope = Scope::of(entry.clone());
    // What is read and printed is the column.
    let printed = std::mem::take(&mut walk.printed);
    let made_of = in_database(walk, &names, |walk| expression::expression(walk, &scope, &value));
    walk.printed = printed;
    made_of.map(|lineage| of_author(&lineage))
}

/// `relation` as a FROM item, under its own name.
///
/// # Errors
/// When its definition is not understood.
pub(super) fn entry(walk: &mut Walk<'_>, relation: &Arc<Relation>) -> Result<Entry, Refusal> {
    let fields = fields(walk, relation)?.to_vec();
    Ok(Entry {
        database: Some(Arc::clone(&relation.name.schema)),
        behind: vec![relation.name.clone()],
        ..Entry::new(&relation.name.name, fields)
    })
}

/// `relation` with its generated columns not expanded.
pub(super) fn plain_entry(relation: &Arc<Relation>) -> Entry {
    let fields = relation
        .columns
        .iter()
        .map(|column| Field::new(&column.name, Lineage::copy_of(column_ref(&relation.name, &column.name))));
    Entry { database: Some(Arc::clone(&relation.name.schema)), ..Entry::new(&relation.name.name, fields.collect()) }
}
