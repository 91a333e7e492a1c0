//! Names in DDL: of what is made, which the catalog does not know yet, and of what is changed.
//! Adds the needs and uses that follow from a name; reads no expressions but through `relation`.

use std::sync::Arc;

use pg_query::{Node, NodeEnum, protobuf};

use super::{
    catalogs,
    expression::expression,
    node,
    relation::{relation_expression, resolve_relation},
    scope::Scope,
    search_path,
    walk::{Walk, column_ref},
};
use crate::{
    catalog::{Column, QualifiedName, Relation, RelationKind, TEMPORARY},
    statement::{Action, Lineage, Object, Refusal, RefusalKind, Usage},
};

/// The name of something that is made: an unqualified one goes to the first schema of search_path.
///
/// # Errors
/// When it is in another database or another session's temporary schema, or search_path is empty.
pub(super) fn new_name(walk: &Walk<'_>, name: &protobuf::RangeVar) -> Result<QualifiedName, Refusal> {
    if !name.catalogname.is_empty() && name.catalogname != walk.catalog.database {
        return Err(node::unsupported(&format!("a name in another database (`{}`)", name.catalogname)));
    }
    if name.relpersistence == "t" {
        return match name.schemaname.as_str() {
            "" | TEMPORARY => Ok(QualifiedName::new(TEMPORARY, &name.relname)),
            _ => Err(node::unsupported("a temporary relation in a schema that is not temporary")),
        };
    }
    qualified(walk, &name.schemaname, &name.relname)
}

/// The name in a list of strings, of something that is made.
///
/// # Errors
/// As [`new_name`].
pub(super) fn new_name_of(walk: &Walk<'_>, names: &[Node]) -> Result<QualifiedName, Refusal> {
    lasting(new_name(walk, &range_var(&node::strings(names)?)?)?)
}

/// The name of something other than a relation, which is not followed in the temporary schema.
///
/// # Errors
/// When it lies there.
pub(super) fn lasting(name: QualifiedName) -> Result<QualifiedName, Refusal> {
    if name.is_temporary() { Err(search_path::temporary()) } else { Ok(name) }
}

fn qualified(walk: &Walk<'_>, schema: &str, name: &str) -> Result<QualifiedName, Refusal> {
    if schema.starts_with("pg_temp_") {
        return Err(search_path::temporary());
    }
    if !schema.is_empty() {
        return Ok(QualifiedName::new(schema, name));
    }
    match &walk.creation {
        Some(schema) => Ok(QualifiedName::new(schema, name)),
        None => Err(Refusal::new(RefusalKind::UnknownRelation, "no schema has been selected to create in")
            .hint(format!("name the schema: public.{name}"))),
    }
}

/// `table`, `schema.table` or `database.schema.table` as the parser's own kind of name.
///
/// # Errors
/// When there are none or too many parts.
pub(super) fn range_var(path: &[String]) -> Result<protobuf::RangeVar, Refusal> {
    let (database, schema, name) = match path {
        [name] => ("", "", name.as_str()),
        [schema, name] => ("", schema.as_str(), name.as_str()),
        [database, schema, name] => (database.as_str(), schema.as_str(), name.as_str()),
        _ => return Err(node::unsupported(&format!("the name `{}`", path.join(".")))),
    };
    Ok(protobuf::RangeVar {
        catalogname: database.into(),
        schemaname: schema.into(),
        relname: name.into(),
        inh: true,
        relpersistence: "p".into(),
        ..protobuf::RangeVar::default()
    })
}

/// The relation called `name`, indexes among them, which no query can name.
fn find<'c>(walk: &Walk<'c>, name: &protobuf::RangeVar) -> Option<&'c Arc<Relation>> {
    if !name.schemaname.is_empty() {
        return walk.catalog.relation(&name.schemaname, &name.relname);
    }
    walk.relation(&name.relname)
}

/// The name of a relation that is changed or dropped; one that does not exist is named as if it were made, for
/// IF EXISTS.
///
/// # Errors
/// As [`new_name`].
pub(super) fn existing_or_new(walk: &Walk<'_>, name: &protobuf::RangeVar) -> Result<QualifiedName, Refusal> {
    match find(walk, name) {
        Some(relation) => Ok(relation.name.clone()),
        None => new_name(walk, name),
    }
}

/// The name of a type or domain that is changed or dropped.
///
/// # Errors
/// As [`new_name`].
pub(super) fn type_name(walk: &Walk<'_>, path: &[String]) -> Result<QualifiedName, Refusal> {
    let name = range_var(path)?;
    let found = walk
        .schemas()
        .map(|schema| QualifiedName::new(schema, &name.relname))
        .find(|candidate| walk.catalog.types.contains_key(candidate));
    match found {
        Some(found) if name.schemaname.is_empty() => Ok(found),
        Some(_) | None => lasting(new_name(walk, &name)?),
    }
}

/// DDL is done to `name`.
pub(super) fn ddl(walk: &mut Walk<'_>, name: &QualifiedName) {
    catalogs::change(walk, Action::Ddl, name);
}

/// DDL is done to the relation `name`, which exists.
///
/// # Errors
/// When it does not.
pub(super) fn ddl_on(walk: &mut Walk<'_>, name: Option<&protobuf::RangeVar>) -> Result<Arc<Relation>, Refusal> {
    let name = name.ok_or_else(|| node::unsupported("a statement without a relation"))?;
    let relation = match find(walk, name) {
        Some(relation) if name.catalogname.is_empty() => Arc::clone(relation),
        Some(_) | None => resolve_relation(walk, name)?,
    };
    ddl(walk, &relation.name);
    walk.touch(&relation.name);
    Ok(relation)
}

/// Every column of `relation` may leave its mask.
pub(super) fn reshape_all(walk: &mut Walk<'_>, relation: &Relation) {
    for column in &relation.columns {
        reshape(walk, relation, &column.name);
    }
}

/// The column may leave its mask.
pub(super) fn reshape(walk: &mut Walk<'_>, relation: &Relation, column: &str) {
    let lineage = Lineage::copy_of(column_ref(&relation.name, &Arc::from(column)));
    walk.used(&lineage, &Usage::Reshape);
}

/// An expression that is stored with a relation: it runs later, for whoever writes a row, so that a sequence in it is
/// not used now.
///
/// # Errors
/// When it is not understood.
pub(super) fn stored_expression(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    value: &NodeEnum,
) -> Result<Lineage, Refusal> {
    let before = walk.needs.clone();
    let lineage = over(walk, relation, value)?;
    let sequences = Object::Session("sequences".into());
    walk.needs.retain(|need| need.object != sequences || before.contains(need));
    Ok(lineage)
}

/// An expression over a relation as it is about to be, which may differ from what the walk has seen of that name.
///
/// # Errors
/// When it is not understood.
pub(super) fn over(walk: &mut Walk<'_>, relation: &Arc<Relation>, value: &NodeEnum) -> Result<Lineage, Refusal> {
    walk.shapes.clear();
    let lineage = relation_expression(walk, relation, value);
    walk.shapes.clear();
    lineage
}

/// An expression outside any query: arguments of EXECUTE and CALL, bounds of partitions.
///
/// # Errors
/// When it is not understood, or names a column.
pub(super) fn constant_expression(walk: &mut Walk<'_>, value: &NodeEnum) -> Result<Lineage, Refusal> {
    expression(walk, &Scope::top(), value)
}

/// A relation that is being made, so that expressions over its columns can be read.
pub(super) fn imagined<'c>(name: &QualifiedName, columns: impl Iterator<Item = &'c str>) -> Relation {
    let columns = columns.zip(1..).map(|(name, number)| Column {
        name: name.into(),
        number,
        type_oid: 0,
        local: true,
        generated: None,
    });
    Relation {
        oid: 0,
        name: name.clone(),
        kind: RelationKind::Table,
        columns: columns.collect(),
        definition: None,
        revision: None,
        triggered: false,
        ruled: false,
        parents: Vec::new(),
        children: Vec::new(),
    }
}
