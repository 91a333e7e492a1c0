//! The parts of a table: column definitions, constraints, index elements.
//! An expression that is checked against stored rows tells about them; a foreign key asks another table.

use std::sync::Arc;

use pg_query::{Node, NodeEnum, protobuf};
use protobuf::ConstrType;

use super::{
    function::{self, Purity},
    names::{new_name, over, stored_expression},
    node,
    relation::resolve_relation,
    walk::{Walk, column_ref},
};
use crate::{
    catalog::Relation,
    statement::{Action, Lineage, Object, Refusal, Usage},
};

/// Whether the table exists already, with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    /// CREATE TABLE.
    New,
    /// ALTER TABLE.
    Added,
}

/// A column definition.
///
/// # Errors
/// When a default or constraint is not understood.
pub(super) fn column(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    column: &protobuf::ColumnDef,
    parts: Parts,
) -> Result<(), Refusal> {
    if let Some(value) = node::boxed(column.raw_default.as_ref()) {
        stored_expression(walk, relation, value)?;
    }
    for constraint in node::all(&column.constraints) {
        let NodeEnum::Constraint(constraint) = constraint else {
            return Err(node::unexpected(constraint, "a column's constraints"));
        };
        self::constraint(walk, relation, Some(&column.colname), constraint, parts)?;
    }
    Ok(())
}

/// A constraint, of the column `of` or of the table.
///
/// # Errors
/// When it is not known, or not understood.
pub(super) fn constraint(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    of: Option<&str>,
    constraint: &protobuf::Constraint,
    parts: Parts,
) -> Result<(), Refusal> {
    let value = node::boxed(constraint.raw_expr.as_ref());
    match ConstrType::try_from(constraint.contype) {
        Ok(ConstrType::ConstrDefault) => {
            if let Some(value) = value {
                stored_expression(walk, relation, value)?;
            }
        }
        Ok(ConstrType::ConstrGenerated) => {
            let value = value.ok_or_else(|| node::unsupported("a generated column without an expression"))?;
            let lineage = stored_expression(walk, relation, value)?;
            walk.used(&lineage, &Usage::Reshape);
        }
        Ok(ConstrType::ConstrCheck) => {
            let value = value.ok_or_else(|| node::unsupported("CHECK without an expression"))?;
            let lineage = stored_expression(walk, relation, value)?;
            if parts == Parts::Added {
                walk.used(&lineage, &Usage::Inference);
            }
        }
        Ok(ConstrType::ConstrPrimary | ConstrType::ConstrUnique) => {
            // Whether two rows hold the same is what the constraint finds out.
            let keys = node::strings(&constraint.keys)?;
            for name in keys.iter().map(String::as_str).chain(of) {
                compared_among(walk, relation, name, Among::Equals);
            }
        }
        Ok(ConstrType::ConstrForeign) => foreign_key(walk, relation, of, constraint)?,
        Ok(ConstrType::ConstrExclusion) => {
            for exclusion in node::all(&constraint.exclusions) {
                let NodeEnum::List(exclusion) = exclusion else { return Err(node::unexpected(exclusion, "EXCLUDE")) };
                let [element, operator] = exclusion.items.as_slice() else {
                    return Err(node::unsupported("this form of EXCLUDE"));
                };
                let mut equality = false;
                if let Some(NodeEnum::List(operator)) = operator.node.as_ref() {
                    let path = node::strings(&operator.items)?;
                    let purity = function::operator(walk, &path)?;
                    equality = purity == Purity::Total && path.last().is_some_and(|symbol| symbol == "=");
                }
                let among = if equality { Among::Equals } else { Among::Anything };
                index_elements(walk, relation, std::slice::from_ref(element), among)?;
            }
            if let Some(condition) = node::boxed(constraint.where_clause.as_ref()) {
                inferred(walk, relation, condition)?;
            }
        }
        Ok(
            ConstrType::ConstrNull
            | ConstrType::ConstrNotnull
            | ConstrType::ConstrIdentity
            | ConstrType::ConstrAttrDeferrable
            | ConstrType::ConstrAttrNotDeferrable
            | ConstrType::ConstrAttrDeferred
            | ConstrType::ConstrAttrImmediate
            | ConstrType::ConstrAttrEnforced
            | ConstrType::ConstrAttrNotEnforced,
        ) => {}
        Ok(ConstrType::Undefined) | Err(_) => return Err(node::unsupported("this constraint")),
    }
    Ok(())
}

/// REFERENCES: whether a value is there is what every later INSERT asks.
fn foreign_key(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    of: Option<&str>,
    constraint: &protobuf::Constraint,
) -> Result<(), Refusal> {
    let name = constraint.pktable.as_ref().ok_or_else(|| node::unsupported("REFERENCES without a table"))?;
    // While it is made, a temporary table is found first already.
    let temporary = relation.name.is_temporary() && name.schemaname.is_empty();
    let itself = new_name(walk, name).is_ok_and(|name| name == relation.name)
        || (temporary && *name.relname == *relation.name.name);
    if itself {
        return Ok(());
    }
    let referenced = resolve_relation(walk, name)?;
    walk.need(Action::Select, Object::Relation(referenced.name.clone()));
    walk.touch(&referenced.name);
    let asked = |walk: &mut Walk<'_>, relation: &Relation, columns: &[String]| {
        for column in columns {
            let lineage = Lineage::copy_of(column_ref(&relation.name, &Arc::from(column.as_str())));
            walk.compared(&lineage);
        }
    };
    asked(walk, &referenced, &node::strings(&constraint.pk_attrs)?);
    match of {
        Some(column) => asked(walk, relation, &[column.to_owned()]),
        None => asked(walk, relation, &node::strings(&constraint.fk_attrs)?),
    }
    Ok(())
}

/// What an index finds out about the rows while it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// Nothing.
    Nothing,
    /// Whether two hold the same: UNIQUE.
    Equals,
    /// Whether an operator holds between two: EXCLUDE.
    Anything,
}

/// The elements of an index: expressions are computed for every stored row.
///
/// # Errors
/// When an expression is not understood.
pub(super) fn index_elements(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    elements: &[Node],
    among: Among,
) -> Result<(), Refusal> {
    for element in node::all(elements) {
        let NodeEnum::IndexElem(element) = element else { return Err(node::unexpected(element, "an index")) };
        if let Some(value) = node::boxed(element.expr.as_ref()) {
            inferred(walk, relation, value)?;
        } else {
            compared_among(walk, relation, &element.name, among);
        }
    }
    Ok(())
}

/// The rows' values of a column are compared with each other.
fn compared_among(walk: &mut Walk<'_>, relation: &Relation, name: &str, among: Among) {
    let lineage = Lineage::copy_of(column_ref(&relation.name, &Arc::from(name)));
    match among {
        Among::Nothing => {}
        Among::Equals => walk.compared(&lineage),
        Among::Anything => walk.used(&lineage, &Usage::Inference),
    }
}

/// An expression that is computed for every stored row, and may fail on one.
///
/// # Errors
/// When it is not understood.
pub(super) fn inferred(walk: &mut Walk<'_>, relation: &Arc<Relation>, value: &NodeEnum) -> Result<(), Refusal> {
    let lineage = over(walk, relation, value)?;
    walk.used(&lineage, &Usage::Inference);
    Ok(())
}
