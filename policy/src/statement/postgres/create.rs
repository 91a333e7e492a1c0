//! CREATE of relations, indexes, sequences, statistics and types, CREATE TABLE AS and SELECT INTO.
//! Expressions that are stored are read as expressions over the relation they belong to; what they call is needed.

use std::sync::Arc;

use pg_query::{NodeEnum, protobuf};

use super::{
    dispatch::{self, Draft},
    names::{constant_expression, ddl, ddl_on, imagined, lasting, new_name, new_name_of, range_var, stored_expression},
    node,
    relation::resolve_relation,
    table_parts::{self, Among, Parts},
    walk::Walk,
};
use crate::{
    catalog::{QualifiedName, Relation},
    statement::{Action, Effect, Object, Outputs, Refusal, Usage, Verb},
};

fn made(verb: Verb) -> Draft {
    Draft::of(verb).effect(Effect::ChangesCatalog)
}

/// CREATE TABLE, and the table part of CREATE FOREIGN TABLE.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn table(walk: &mut Walk<'_>, table: &protobuf::CreateStmt, verb: Verb) -> Result<Draft, Refusal> {
    let name = table.relation.as_ref().ok_or_else(|| node::unsupported("CREATE TABLE without a name"))?;
    let name = new_name(walk, name)?;
    ddl(walk, &name);
    let columns = columns(walk, table)?;
    let relation = Arc::new(imagined(&name, columns.iter().map(|column| &**column)));
    let known = std::mem::take(&mut walk.uses);
    for element in node::all(&table.table_elts).chain(node::all(&table.constraints)) {
        match element {
            NodeEnum::ColumnDef(column) => table_parts::column(walk, &relation, column, Parts::New)?,
            NodeEnum::Constraint(constraint) => table_parts::constraint(walk, &relation, None, constraint, Parts::New)?,
            NodeEnum::TableLikeClause(_) => {}
            _ => return Err(node::unexpected(element, "CREATE TABLE")),
        }
    }
    if let Some(partitioning) = &table.partspec {
        for part in node::all(&partitioning.part_params) {
            let NodeEnum::PartitionElem(part) = part else { return Err(node::unexpected(part, "PARTITION BY")) };
            if let Some(value) = node::boxed(part.expr.as_ref()) {
                stored_expression(walk, &relation, value)?;
            }
        }
    }
    // The table has no rows yet, so nothing can be learnt from its own columns.
    walk.uses.retain(|one| one.column.relation != name);
    walk.uses.extend(known);
    if let Some(bound) = &table.partbound {
        partition_bound(walk, bound)?;
    }
    Ok(made(verb))
}

/// The names of the columns a new table will have; adds the needs on the tables they come from.
fn columns(walk: &mut Walk<'_>, table: &protobuf::CreateStmt) -> Result<Vec<Arc<str>>, Refusal> {
    let mut columns = Vec::new();
    let from = |walk: &mut Walk<'_>, name: &protobuf::RangeVar, columns: &mut Vec<Arc<str>>| {
        let source = resolve_relation(walk, name)?;
        walk.need(Action::Select, Object::Relation(source.name.clone()));
        columns.extend(source.columns.iter().map(|column| Arc::clone(&column.name)));
        Ok::<Arc<Relation>, Refusal>(source)
    };
    for parent in node::all(&table.inh_relations) {
        let NodeEnum::RangeVar(parent) = parent else { return Err(node::unexpected(parent, "INHERITS")) };
        let parent = from(walk, parent, &mut columns)?;
        if table.partbound.is_some() {
            ddl(walk, &parent.name);
        }
    }
    for element in node::all(&table.table_elts) {
        match element {
            NodeEnum::ColumnDef(column) => columns.push(column.colname.as_str().into()),
            NodeEnum::TableLikeClause(like) => {
                let name = like.relation.as_ref().ok_or_else(|| node::unsupported("LIKE without a table"))?;
                from(walk, name, &mut columns)?;
            }
            _ => {}
        }
    }
    Ok(columns)
}

/// FOR VALUES …: constants.
///
/// # Errors
/// When a bound is not understood.
pub(super) fn partition_bound(walk: &mut Walk<'_>, bound: &protobuf::PartitionBoundSpec) -> Result<(), Refusal> {
    for value in node::all(&bound.listdatums).chain(node::all(&bound.lowerdatums)).chain(node::all(&bound.upperdatums))
    {
        let keyword = matches!(value, NodeEnum::PartitionRangeDatum(_)) || is_bound_keyword(value);
        if !keyword {
            constant_expression(walk, value)?;
        }
    }
    Ok(())
}

/// MINVALUE and MAXVALUE are columns to the grammar.
fn is_bound_keyword(value: &NodeEnum) -> bool {
    let NodeEnum::ColumnRef(column) = value else { return false };
    matches!(node::strings(&column.fields).as_deref(), Ok([name]) if name == "minvalue" || name == "maxvalue")
}

/// CREATE TABLE AS, CREATE MATERIALIZED VIEW.
///
/// # Errors
/// When it runs a prepared statement, or the query is not understood.
pub(super) fn table_as(walk: &mut Walk<'_>, table: &protobuf::CreateTableAsStmt) -> Result<Draft, Refusal> {
    let query = node::required(table.query.as_ref(), "CREATE TABLE AS")?;
    let into = table.into.as_ref().and_then(|into| into.rel.as_ref());
    let verb = match protobuf::ObjectType::try_from(table.objtype) {
        Ok(protobuf::ObjectType::ObjectMatview) => "CREATE MATERIALIZED VIEW",
        _ => "CREATE TABLE AS",
    };
    if let NodeEnum::ExecuteStmt(_) = query {
        return Err(node::unsupported("CREATE TABLE AS EXECUTE").hint("CREATE TABLE … AS with the statement itself"));
    }
    filled(walk, into, query, verb)
}

/// The INTO of a SELECT: only the leftmost arm of a UNION may have one.
pub(super) fn into_clause(select: &protobuf::SelectStmt) -> Option<&protobuf::IntoClause> {
    let mut arm = select;
    loop {
        match (&arm.into_clause, &arm.larg) {
            (Some(into), _) => return Some(into),
            (None, Some(left)) => arm = left,
            (None, None) => return None,
        }
    }
}

/// SELECT … INTO.
///
/// # Errors
/// As [`table_as`].
pub(super) fn select_into(walk: &mut Walk<'_>, select: &protobuf::SelectStmt) -> Result<Draft, Refusal> {
    let into = into_clause(select).and_then(|into| into.rel.clone());
    let mut query = select.clone();
    let mut arm = &mut query;
    loop {
        arm.into_clause = None;
        match &mut arm.larg {
            Some(left) => arm = left,
            None => break,
        }
    }
    filled(walk, into.as_ref(), &NodeEnum::SelectStmt(Box::new(query)), "SELECT INTO")
}

/// A table made from a query: every value in it travels to where its mask does not follow.
fn filled(
    walk: &mut Walk<'_>,
    into: Option<&protobuf::RangeVar>,
    query: &NodeEnum,
    verb: Verb,
) -> Result<Draft, Refusal> {
    let name = new_name(walk, into.ok_or_else(|| node::unsupported("a table without a name"))?)?;
    let rows = dispatch::rows(walk, query)?;
    ddl(walk, &name);
    let to = Usage::Travel(name.to_string().into());
    if let Outputs::Columns(columns) = &rows.outputs {
        for column in columns {
            walk.used(&column.lineage, &to);
        }
    }
    Ok(Draft { reach: rows.reach, ..made(verb) })
}

/// CREATE VIEW: its columns keep their masks, for whoever reads it reads what is behind it.
///
/// # Errors
/// When its query is not understood.
pub(super) fn view(walk: &mut Walk<'_>, view: &protobuf::ViewStmt) -> Result<Draft, Refusal> {
    let name = view.view.as_ref().ok_or_else(|| node::unsupported("CREATE VIEW without a name"))?;
    let name = new_name(walk, name)?;
    ddl(walk, &name);
    dispatch::rows(walk, node::required(view.query.as_ref(), "CREATE VIEW")?)?;
    Ok(made("CREATE VIEW"))
}

/// CREATE INDEX.
///
/// # Errors
/// When the table or an expression is not understood.
pub(super) fn index(walk: &mut Walk<'_>, index: &protobuf::IndexStmt) -> Result<Draft, Refusal> {
    let relation = ddl_on(walk, index.relation.as_ref())?;
    let among = if index.unique { Among::Equals } else { Among::Nothing };
    table_parts::index_elements(walk, &relation, &index.index_params, among)?;
    if let Some(condition) = node::boxed(index.where_clause.as_ref()) {
        table_parts::inferred(walk, &relation, condition)?;
    }
    Ok(made("CREATE INDEX"))
}

/// CREATE SEQUENCE.
///
/// # Errors
/// When it is owned by what is not known.
pub(super) fn sequence(walk: &mut Walk<'_>, sequence: &protobuf::CreateSeqStmt) -> Result<Draft, Refusal> {
    let name = sequence.sequence.as_ref().ok_or_else(|| node::unsupported("CREATE SEQUENCE without a name"))?;
    let name = new_name(walk, name)?;
    ddl(walk, &name);
    owned_by(walk, &sequence.options)?;
    Ok(made("CREATE SEQUENCE"))
}

/// OWNED BY table.column changes the table as well.
///
/// # Errors
/// When the table is not known.
pub(super) fn owned_by(walk: &mut Walk<'_>, options: &[pg_query::Node]) -> Result<(), Refusal> {
    for option in node::all(options) {
        let NodeEnum::DefElem(option) = option else { return Err(node::unexpected(option, "a sequence's options")) };
        if let ("owned_by", Some(NodeEnum::List(owner))) = (option.defname.as_str(), node::boxed(option.arg.as_ref())) {
            let path = node::strings(&owner.items)?;
            if let [table @ .., _column] = path.as_slice()
                && !table.is_empty()
            {
                ddl_on(walk, Some(&range_var(table)?))?;
            }
        }
    }
    Ok(())
}

/// CREATE STATISTICS.
///
/// # Errors
/// When a relation or an expression is not understood.
pub(super) fn statistics(walk: &mut Walk<'_>, statistics: &protobuf::CreateStatsStmt) -> Result<Draft, Refusal> {
    for relation in node::all(&statistics.relations) {
        let NodeEnum::RangeVar(name) = relation else { return Err(node::unexpected(relation, "CREATE STATISTICS")) };
        let relation = ddl_on(walk, Some(name))?;
        for element in node::all(&statistics.exprs) {
            let NodeEnum::StatsElem(element) = element else {
                return Err(node::unexpected(element, "CREATE STATISTICS"));
            };
            if let Some(value) = node::boxed(element.expr.as_ref()) {
                table_parts::inferred(walk, &relation, value)?;
            }
        }
    }
    Ok(made("CREATE STATISTICS"))
}

/// CREATE TYPE, CREATE DOMAIN.
///
/// # Errors
/// When a constraint is not understood.
pub(super) fn user_type(walk: &mut Walk<'_>, statement: &NodeEnum) -> Result<Draft, Refusal> {
    match statement {
        NodeEnum::CompositeTypeStmt(composite) => {
            let name = composite.typevar.as_ref().ok_or_else(|| node::unsupported("CREATE TYPE without a name"))?;
            let name = lasting(new_name(walk, name)?)?;
            ddl(walk, &name);
        }
        NodeEnum::CreateEnumStmt(of) => {
            let name = new_name_of(walk, &of.type_name)?;
            ddl(walk, &name);
        }
        NodeEnum::CreateRangeStmt(range) => {
            let name = new_name_of(walk, &range.type_name)?;
            ddl(walk, &name);
            let runs_code = node::all(&range.params).any(|parameter| {
                matches!(parameter, NodeEnum::DefElem(option) if matches!(option.defname.as_str(), "canonical" | "subtype_diff"))
            });
            if runs_code {
                walk.need(Action::Admin, Object::Session("functions of a range type".into()));
            }
        }
        NodeEnum::CreateDomainStmt(domain) => {
            let name = new_name_of(walk, &domain.domainname)?;
            ddl(walk, &name);
            domain_constraints(walk, &name, node::all(&domain.constraints))?;
            return Ok(made("CREATE DOMAIN"));
        }
        _ => return Err(node::unexpected(statement, "CREATE TYPE")),
    }
    Ok(made("CREATE TYPE"))
}

/// DEFAULT and CHECK of a domain, in which VALUE stands for the value.
///
/// # Errors
/// When an expression is not understood.
pub(super) fn domain_constraints<'n>(
    walk: &mut Walk<'_>,
    name: &QualifiedName,
    constraints: impl Iterator<Item = &'n NodeEnum>,
) -> Result<(), Refusal> {
    let relation = Arc::new(imagined(name, std::iter::once("value")));
    let known = walk.uses.clone();
    for constraint in constraints {
        let NodeEnum::Constraint(constraint) = constraint else {
            return Err(node::unexpected(constraint, "a domain's constraints"));
        };
        if let Some(value) = node::boxed(constraint.raw_expr.as_ref()) {
            stored_expression(walk, &relation, value)?;
        }
    }
    walk.uses = known;
    Ok(())
}
