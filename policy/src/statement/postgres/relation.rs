//! Relations by name, and their columns down to what is stored: views, materialized views and generated columns are
//! expanded by their definitions, inheritance in both directions.
//! Asks no database: what the catalog does not know is refused.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, LazyLock},
};

use pg_query::{NodeEnum, protobuf};

use super::{
    catalogs, expression, node, query,
    scope::{Entry, Field, Scope},
    walk::{Walk, column_ref},
};
use crate::{
    catalog::{Catalog, Column, ColumnRef, QualifiedName, Relation, RelationKind},
    statement::{Action, Lineage, Object, Refusal, RefusalKind, Via, inband::SCHEMA},
};

/// Which rows a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rows {
    /// Those of the relation and of all its children.
    Inherited,
    /// Its own: `ONLY t`.
    Only,
}

static DEFINITION_PATH: LazyLock<[Arc<str>; 1]> = LazyLock::new(|| [Arc::from("pg_catalog")]);

/// The search_path of definitions: the server prints them for an empty one.
pub(super) fn definition_path() -> &'static [Arc<str>] {
    &*DEFINITION_PATH
}

/// The relation that `name` means under the session's search_path.
///
/// # Errors
/// In the server's words when there is none; when it lies in another database, or may not be named.
pub(super) fn resolve_relation(walk: &Walk<'_>, name: &protobuf::RangeVar) -> Result<Arc<Relation>, Refusal> {
    let catalog = walk.catalog;
    if !name.catalogname.is_empty() && name.catalogname != catalog.database {
        return Err(Refusal::new(
            RefusalKind::Unsupported,
            format!(
                "cross-database references are not implemented: \"{}.{}.{}\"",
                name.catalogname, name.schemaname, name.relname
            ),
        ));
    }
    let found = if name.schemaname.is_empty() {
        walk.relation(&name.relname)
    } else {
        if name.schemaname.starts_with("pg_temp_") {
            return Err(node::unsupported("a temporary schema by its number"));
        }
        catalog.relation(&name.schemaname, &name.relname)
    };
    match found {
        // Stand-ins may be installed there, for clients that complete names; they hold nothing.
        Some(relation) if &*relation.name.schema == SCHEMA => Err(unknown(name)),
        Some(relation) => match relation.kind {
            RelationKind::Other => {
                Err(Refusal::new(RefusalKind::Unsupported, format!("\"{}\" is not a table or view", name.relname)))
            }
            RelationKind::Table
            | RelationKind::View
            | RelationKind::MaterializedView
            | RelationKind::ForeignTable
            | RelationKind::Sequence => Ok(Arc::clone(relation)),
        },
        None => Err(unknown(name)),
    }
}

fn unknown(name: &protobuf::RangeVar) -> Refusal {
    let shown =
        if name.schemaname.is_empty() { name.relname.clone() } else { format!("{}.{}", name.schemaname, name.relname) };
    let refusal = Refusal::new(RefusalKind::UnknownRelation, format!("relation \"{shown}\" does not exist"));
    if name.schemaname == SCHEMA {
        return refusal
            .detail("the schema hallpass is the proxy's own, which answers simple queries of one of its views")
            .hint("SELECT … FROM hallpass.grants by itself, and CALL hallpass.request('ROLE', '1 hour', 'why')");
    }
    refusal
}

/// Whether `relation` is one of the system catalogs, whose rows are names and types.
pub(super) fn is_catalog(relation: &Relation) -> bool {
    matches!(&*relation.name.schema, "pg_catalog" | "information_schema")
}

/// The columns of `relation` with what feeds them. Everything behind it is touched.
///
/// # Errors
/// When a definition is not understood.
pub(super) fn fields(walk: &mut Walk<'_>, relation: &Arc<Relation>, rows: Rows) -> Result<Arc<[Field]>, Refusal> {
    let key = (relation.name.clone(), rows);
    if let Some(known) = walk.shapes.get(&key) {
        return Ok(Arc::clone(known));
    }
    let fields = match relation.kind {
        _ if is_catalog(relation) => {
            catalogs::read(walk, relation)?;
            let field = |c: &Column| Field::new(&c.name, catalogs::lineage(relation, &c.name));
            relation.columns.iter().map(field).collect()
        }
        RelationKind::View | RelationKind::MaterializedView => {
            walk.touch(&relation.name);
            view(walk, relation)?
        }
        RelationKind::ForeignTable => {
            // Its rows may come from anywhere, a masked table of this very database among them.
            walk.need_of_view(Action::Admin, Object::Relation(relation.name.clone()));
            stored(walk, relation, rows)?
        }
        RelationKind::Table | RelationKind::Sequence | RelationKind::Other => stored(walk, relation, rows)?,
    };
    if !is_catalog(relation) {
        walk.shapes.insert(key, Arc::clone(&fields));
    }
    Ok(fields)
}

fn view(walk: &mut Walk<'_>, relation: &Arc<Relation>) -> Result<Arc<[Field]>, Refusal> {
    let Some(definition) = &relation.definition else {
        return Err(node::unsupported(&format!("view {}, whose definition is not known,", relation.name)));
    };
    let tree = parse(definition)?;
    let Some(NodeEnum::SelectStmt(select)) = statement(&tree) else {
        return Err(node::unsupported(&format!("view {}, whose definition is no query,", relation.name)));
    };
    walk.views += 1;
    let selected = walk.authored(|walk| query::select(walk, None, select));
    walk.views -= 1;
    let outputs = selected?.fields;
    if outputs.len() != relation.columns.len() {
        return Err(node::unsupported(&format!("view {}, whose columns are not those of its query,", relation.name)));
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

/// A table's own columns. A row of a child is a row of its parents, so a column stands for its namesakes up the tree
/// and, but for ONLY, down the tree: a mask on any of them holds.
fn stored(walk: &mut Walk<'_>, relation: &Arc<Relation>, rows: Rows) -> Result<Arc<[Field]>, Refusal> {
    let mut family = related(walk.catalog, relation, |relative| &relative.parents);
    if rows == Rows::Inherited {
        family.extend(descendants(walk.catalog, relation));
    }
    walk.touch(&relation.name);
    for relative in &family {
        walk.touch(&relative.name);
    }
    let mut fields = Vec::with_capacity(relation.columns.len());
    for column in &relation.columns {
        walk.step()?;
        let mut lineage = match &column.generated {
            Some(expression) => generated(walk, relation, expression)?,
            None => Lineage::constant(),
        };
        lineage.merge(&Lineage::copy_of(column_ref(&relation.name, &column.name)));
        for relative in family.iter().filter(|relative| relative.column(&column.name).is_some()) {
            lineage.merge(&Lineage::copy_of(column_ref(&relative.name, &column.name)));
        }
        fields.push(Field { name: Arc::clone(&column.name), lineage: Arc::new(lineage) });
    }
    Ok(fields.into())
}

/// Every relation that inherits from `relation`, directly or not.
pub(super) fn descendants<'c>(catalog: &'c Catalog, relation: &'c Arc<Relation>) -> Vec<&'c Arc<Relation>> {
    related(catalog, relation, |relative| &relative.children)
}

/// All relations reached over `step`, without the first.
fn related<'c>(
    catalog: &'c Catalog,
    relation: &'c Arc<Relation>,
    step: impl Fn(&'c Relation) -> &'c [QualifiedName],
) -> Vec<&'c Arc<Relation>> {
    let mut seen: BTreeSet<&QualifiedName> = BTreeSet::from([&relation.name]);
    let mut found = Vec::new();
    let mut next: VecDeque<&'c Arc<Relation>> = VecDeque::from([relation]);
    while let Some(here) = next.pop_front() {
        for relative in step(here).iter().filter_map(|name| catalog.relations.get(name)) {
            if seen.insert(&relative.name) {
                found.push(relative);
                next.push_back(relative);
            }
        }
    }
    found
}

fn generated(walk: &mut Walk<'_>, relation: &Arc<Relation>, text: &str) -> Result<Lineage, Refusal> {
    let tree = parse(&format!("SELECT {text}"))?;
    let Some(NodeEnum::SelectStmt(select)) = statement(&tree) else {
        return Err(node::unsupported(&format!("a generated column of {}", relation.name)));
    };
    match select.target_list.as_slice() {
        [protobuf::Node { node: Some(NodeEnum::ResTarget(target)) }] => {
            let value = node::required(target.val.as_ref(), "generated column")?;
            let scope = Scope::of(plain_entry(walk.catalog, relation));
            walk.authored(|walk| expression::expression(walk, &scope, value)).map(|lineage| of_author(&lineage))
        }
        _ => Err(node::unsupported(&format!("a generated column of {}", relation.name))),
    }
}

/// The columns of `relation` among `left` are left to their defaults: what those call is needed, as if it were written
/// into the statement.
///
/// # Errors
/// When a default is not understood.
pub(super) fn defaults(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    left: impl Fn(&str) -> bool,
) -> Result<(), Refusal> {
    let catalog = walk.catalog;
    let of = catalog.defaults.get(&relation.name).map_or(&[][..], Vec::as_slice);
    for default in of.iter().filter(|default| left(&default.column)) {
        walk.views += 1;
        let called = generated(walk, relation, &default.expression);
        walk.views -= 1;
        called?;
    }
    Ok(())
}

/// The lineage of an expression over one relation's own columns: generated columns, CHECK, index expressions,
/// ALTER … USING, COPY … WHERE.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn relation_expression(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    value: &NodeEnum,
) -> Result<Lineage, Refusal> {
    let scope = Scope::of(entry(walk, relation, Rows::Inherited)?);
    expression::expression(walk, &scope, value)
}

/// `relation` as an item of the range table, under its own name.
///
/// # Errors
/// When its definition is not understood.
pub(super) fn entry(walk: &mut Walk<'_>, relation: &Arc<Relation>, rows: Rows) -> Result<Entry, Refusal> {
    let fields = fields(walk, relation, rows)?.to_vec();
    Ok(Entry {
        qualified: Some(relation.name.clone()),
        relation: Some(Arc::clone(relation)),
        ..Entry::new(&relation.name.name, fields)
    })
}

/// `relation` with its generated columns not expanded: they may not name each other.
fn plain_entry(catalog: &Catalog, relation: &Arc<Relation>) -> Entry {
    let parents = related(catalog, relation, |relative| &relative.parents);
    let fields = relation.columns.iter().map(|column| {
        let mut lineage = Lineage::copy_of(column_ref(&relation.name, &column.name));
        for relative in parents.iter().filter(|relative| relative.column(&column.name).is_some()) {
            lineage.merge(&Lineage::copy_of(column_ref(&relative.name, &column.name)));
        }
        Field { name: Arc::clone(&column.name), lineage: Arc::new(lineage) }
    });
    Entry {
        qualified: Some(relation.name.clone()),
        relation: Some(Arc::clone(relation)),
        ..Entry::new(&relation.name.name, fields.collect())
    }
}

fn parse(text: &str) -> Result<protobuf::ParseResult, Refusal> {
    pg_query::parse(text, 0)
        .map(|result| result.protobuf)
        .map_err(|error| node::unsupported("a definition in the catalog that does not parse").detail(error.to_string()))
}

fn statement(tree: &protobuf::ParseResult) -> Option<&NodeEnum> {
    match tree.stmts.as_slice() {
        [only] => node::boxed(only.stmt.as_ref()),
        _ => None,
    }
}
