//! ALTER of relations, sequences, types and domains: rename, move, change of columns and constraints.
//! What takes a column out from under its mask is a use of the column; owners, triggers and policies need `admin`.

use std::sync::Arc;

use pg_query::{NodeEnum, protobuf};
use protobuf::{AlterTableType, ObjectType};

use super::{
    admin,
    create::{domain_constraints, owned_by, partition_bound},
    dispatch::Draft,
    from,
    names::{ddl, ddl_on, existing_or_new, new_name_of, range_var, reshape, reshape_all, stored_expression, type_name},
    node,
    relation::{self, Rows},
    survey,
    table_parts::{self, Parts},
    walk::{Walk, column_ref},
};
use crate::{
    catalog::{QualifiedName, Relation},
    statement::{Action, Effect, Lineage, Object, Refusal, Usage, Verb},
};

/// Any of the ALTER statements.
///
/// # Errors
/// When it is not known, or not understood.
pub(super) fn alter(walk: &mut Walk<'_>, statement: &NodeEnum) -> Result<Draft, Refusal> {
    let verb = match statement {
        NodeEnum::AlterTableStmt(alter) => table(walk, alter)?,
        NodeEnum::RenameStmt(alter) => rename(walk, alter)?,
        NodeEnum::AlterObjectSchemaStmt(alter) => set_schema(walk, alter)?,
        NodeEnum::AlterSeqStmt(alter) => {
            ddl_on(walk, alter.sequence.as_ref())?;
            owned_by(walk, &alter.options)?;
            "ALTER SEQUENCE"
        }
        NodeEnum::AlterEnumStmt(alter) => {
            let name = type_name(walk, &node::strings(&alter.type_name)?)?;
            ddl(walk, &name);
            "ALTER TYPE"
        }
        NodeEnum::AlterDomainStmt(alter) => domain(walk, alter)?,
        NodeEnum::AlterStatsStmt(alter) => {
            let name = new_name_of(walk, &alter.defnames)?;
            ddl(walk, &name);
            "ALTER STATISTICS"
        }
        _ => return Err(node::unexpected(statement, "ALTER")),
    };
    Ok(Draft::of(verb).effect(Effect::ChangesCatalog))
}

fn table(walk: &mut Walk<'_>, alter: &protobuf::AlterTableStmt) -> Result<Verb, Refusal> {
    let verb = match ObjectType::try_from(alter.objtype) {
        Ok(ObjectType::ObjectTable) => "ALTER TABLE",
        Ok(ObjectType::ObjectIndex) => "ALTER INDEX",
        Ok(ObjectType::ObjectSequence) => "ALTER SEQUENCE",
        Ok(ObjectType::ObjectView) => "ALTER VIEW",
        Ok(ObjectType::ObjectMatview) => "ALTER MATERIALIZED VIEW",
        Ok(ObjectType::ObjectType) => {
            let name = alter.relation.as_ref().ok_or_else(|| node::unsupported("ALTER TYPE without a name"))?;
            let path = [&name.schemaname, &name.relname].into_iter().filter(|part| !part.is_empty()).cloned();
            let name = type_name(walk, &path.collect::<Vec<_>>())?;
            ddl(walk, &name);
            return Ok("ALTER TYPE");
        }
        Ok(ObjectType::ObjectForeignTable) => {
            admin::need(walk, "foreign tables");
            return Ok("ALTER FOREIGN TABLE");
        }
        _ => return Err(node::unsupported("this form of ALTER")),
    };
    let owner_only = node::all(&alter.cmds).all(|command| {
        matches!(command, NodeEnum::AlterTableCmd(command) if AlterTableType::try_from(command.subtype) == Ok(AlterTableType::AtChangeOwner))
    });
    if owner_only {
        // A dump restores owners of tables that it has just made.
        let name = alter.relation.as_ref().ok_or_else(|| node::unsupported("ALTER TABLE without a name"))?;
        let name = existing_or_new(walk, name)?;
        walk.need(Action::Admin, Object::Relation(name));
        return Ok(verb);
    }
    let relation = ddl_on(walk, alter.relation.as_ref())?;
    let rows = alter.relation.as_ref().map_or(Rows::Inherited, from::rows);
    for command in node::all(&alter.cmds) {
        let NodeEnum::AlterTableCmd(command) = command else { return Err(node::unexpected(command, "ALTER TABLE")) };
        if verb == "ALTER TABLE" && walk.features.rewrite.is_none() {
            walk.features.rewrite = survey::rewrite(&relation, command);
        }
        self::command(walk, &relation, command, rows)?;
    }
    Ok(verb)
}

fn command(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    command: &protobuf::AlterTableCmd,
    rows: Rows,
) -> Result<(), Refusal> {
    use AlterTableType as At;
    let def = node::boxed(command.def.as_ref());
    let kind = At::try_from(command.subtype).map_err(|_| node::unsupported("this form of ALTER TABLE"))?;
    match (kind, def) {
        (At::AtAddColumn | At::AtAddColumnToView, Some(NodeEnum::ColumnDef(column))) => {
            table_parts::column(walk, &with_column(relation, &column.colname), column, Parts::Added)
        }
        (At::AtColumnDefault, None) => Ok(()),
        (At::AtColumnDefault, Some(value)) => stored_expression(walk, relation, value).map(|_| ()),
        (At::AtSetExpression, Some(value)) => {
            let lineage = stored_expression(walk, relation, value)?;
            walk.used(&lineage, &Usage::Reshape);
            Ok(())
        }
        (At::AtAlterColumnType, Some(NodeEnum::ColumnDef(column))) => {
            change_type(walk, relation, &command.name, column)
        }
        (At::AtAddConstraint, Some(NodeEnum::Constraint(constraint))) => {
            table_parts::constraint(walk, relation, None, constraint, Parts::Added)
        }
        // The expression is gone, and with it what is known of where the values came from.
        (At::AtDropExpression, _) => {
            reshape_all(walk, relation);
            Ok(())
        }
        (At::AtAddInherit | At::AtDropInherit, Some(NodeEnum::RangeVar(parent))) => kin(walk, relation, parent),
        (
            At::AtAttachPartition | At::AtDetachPartition | At::AtDetachPartitionFinalize,
            Some(NodeEnum::PartitionCmd(partition)),
        ) => {
            if let Some(bound) = &partition.bound {
                partition_bound(walk, bound)?;
            }
            let child = partition.name.as_ref().ok_or_else(|| node::unsupported("a partition without a name"))?;
            kin(walk, relation, child)
        }
        (At::AtDropColumn, _) => {
            drop_column(walk, relation, &command.name, rows);
            Ok(())
        }
        (kind, _) => plain_command(walk, relation, kind),
    }
}

/// DROP COLUMN: a child that keeps the column keeps its values, and has lost the parent's mask.
fn drop_column(walk: &mut Walk<'_>, relation: &Arc<Relation>, name: &str, rows: Rows) {
    let children = relation::descendants(walk.catalog, relation);
    let keeps = |child: &&Arc<Relation>| child.column(name).is_some_and(|column| column.local || rows == Rows::Only);
    if children.iter().any(keeps) {
        reshape(walk, relation, name);
    }
}

/// Commands that touch no expression and no column's place.
fn plain_command(walk: &mut Walk<'_>, relation: &Arc<Relation>, kind: AlterTableType) -> Result<(), Refusal> {
    use AlterTableType as At;
    match kind {
        At::AtDropNotNull
        | At::AtSetNotNull
        | At::AtSetStatistics
        | At::AtSetOptions
        | At::AtResetOptions
        | At::AtSetStorage
        | At::AtSetCompression
        | At::AtAlterConstraint
        | At::AtValidateConstraint
        | At::AtDropConstraint
        | At::AtClusterOn
        | At::AtDropCluster
        | At::AtSetLogged
        | At::AtSetUnLogged
        | At::AtDropOids
        | At::AtSetAccessMethod
        | At::AtSetTableSpace
        | At::AtSetRelOptions
        | At::AtResetRelOptions
        | At::AtReplicaIdentity
        | At::AtAddIdentity
        | At::AtSetIdentity
        | At::AtDropIdentity
        | At::AtAddOf
        | At::AtDropOf => Ok(()),
        At::AtChangeOwner
        | At::AtEnableTrig
        | At::AtEnableAlwaysTrig
        | At::AtEnableReplicaTrig
        | At::AtDisableTrig
        | At::AtEnableTrigAll
        | At::AtDisableTrigAll
        | At::AtEnableTrigUser
        | At::AtDisableTrigUser
        | At::AtEnableRule
        | At::AtEnableAlwaysRule
        | At::AtEnableReplicaRule
        | At::AtDisableRule
        | At::AtEnableRowSecurity
        | At::AtDisableRowSecurity
        | At::AtForceRowSecurity
        | At::AtNoForceRowSecurity => {
            walk.need(Action::Admin, Object::Relation(relation.name.clone()));
            Ok(())
        }
        _ => Err(node::unsupported("this form of ALTER TABLE")),
    }
}

/// ALTER COLUMN … TYPE: USING may bring any value into the column.
fn change_type(
    walk: &mut Walk<'_>,
    relation: &Arc<Relation>,
    name: &str,
    column: &protobuf::ColumnDef,
) -> Result<(), Refusal> {
    match node::boxed(column.raw_default.as_ref()) {
        Some(value) => {
            let lineage = stored_expression(walk, relation, value)?;
            walk.used(&lineage, &Usage::Reshape);
            reshape(walk, relation, name);
        }
        None => {
            let value = NodeEnum::ColumnRef(protobuf::ColumnRef {
                fields: vec![pg_query::Node { node: Some(NodeEnum::String(protobuf::String { sval: name.into() })) }],
                location: -1,
            });
            table_parts::inferred(walk, relation, &value)?;
        }
    }
    Ok(())
}

/// Inheritance and partitions: rows of one are read through the other.
fn kin(walk: &mut Walk<'_>, relation: &Relation, other: &protobuf::RangeVar) -> Result<(), Refusal> {
    let other = ddl_on(walk, Some(other))?;
    reshape_all(walk, relation);
    reshape_all(walk, &other);
    Ok(())
}

/// The relation with a column more, so that the column's own constraints can name it.
fn with_column(relation: &Arc<Relation>, name: &str) -> Arc<Relation> {
    if relation.column(name).is_some() {
        return Arc::clone(relation);
    }
    let mut wider = Relation::clone(relation);
    wider.columns.push(crate::catalog::Column {
        name: name.into(),
        number: 0,
        type_oid: 0,
        local: true,
        generated: None,
    });
    Arc::new(wider)
}

fn rename(walk: &mut Walk<'_>, alter: &protobuf::RenameStmt) -> Result<Verb, Refusal> {
    match ObjectType::try_from(alter.rename_type) {
        Ok(
            kind @ (ObjectType::ObjectTable
            | ObjectType::ObjectView
            | ObjectType::ObjectMatview
            | ObjectType::ObjectIndex
            | ObjectType::ObjectSequence),
        ) => {
            let relation = ddl_on(walk, alter.relation.as_ref())?;
            ddl(walk, &QualifiedName::new(&relation.name.schema, &alter.newname));
            reshape_all(walk, &relation);
            Ok(match kind {
                ObjectType::ObjectView => "ALTER VIEW",
                ObjectType::ObjectMatview => "ALTER MATERIALIZED VIEW",
                ObjectType::ObjectIndex => "ALTER INDEX",
                ObjectType::ObjectSequence => "ALTER SEQUENCE",
                _ => "ALTER TABLE",
            })
        }
        Ok(ObjectType::ObjectColumn) => {
            let relation = ddl_on(walk, alter.relation.as_ref())?;
            reshape(walk, &relation, &alter.subname);
            Ok("ALTER TABLE")
        }
        Ok(ObjectType::ObjectTabconstraint) => {
            ddl_on(walk, alter.relation.as_ref())?;
            Ok("ALTER TABLE")
        }
        Ok(ObjectType::ObjectType | ObjectType::ObjectDomain | ObjectType::ObjectDomconstraint) => {
            let name = object_type(walk, alter.object.as_deref())?;
            ddl(walk, &name);
            ddl(walk, &QualifiedName::new(&name.schema, &alter.newname));
            Ok("ALTER TYPE")
        }
        Ok(ObjectType::ObjectAttribute) => {
            let name = alter.relation.as_ref().ok_or_else(|| node::unsupported("ALTER TYPE without a name"))?;
            let path = [&name.schemaname, &name.relname].into_iter().filter(|part| !part.is_empty()).cloned();
            let name = type_name(walk, &path.collect::<Vec<_>>())?;
            ddl(walk, &name);
            Ok("ALTER TYPE")
        }
        _ => {
            admin::need(walk, "renaming this kind of object");
            Ok("ALTER")
        }
    }
}

fn set_schema(walk: &mut Walk<'_>, alter: &protobuf::AlterObjectSchemaStmt) -> Result<Verb, Refusal> {
    match ObjectType::try_from(alter.object_type) {
        Ok(
            ObjectType::ObjectTable | ObjectType::ObjectView | ObjectType::ObjectMatview | ObjectType::ObjectSequence,
        ) => {
            let relation = ddl_on(walk, alter.relation.as_ref())?;
            ddl(walk, &QualifiedName::new(&alter.newschema, &relation.name.name));
            reshape_all(walk, &relation);
            Ok("ALTER TABLE")
        }
        Ok(ObjectType::ObjectType | ObjectType::ObjectDomain) => {
            let name = object_type(walk, alter.object.as_deref())?;
            ddl(walk, &name);
            ddl(walk, &QualifiedName::new(&alter.newschema, &name.name));
            Ok("ALTER TYPE")
        }
        _ => {
            admin::need(walk, "moving this kind of object");
            Ok("ALTER")
        }
    }
}

/// A type's name as DDL gives it: a list of names, or a type.
///
/// # Errors
/// When it is neither.
pub(super) fn object_type(walk: &Walk<'_>, object: Option<&pg_query::Node>) -> Result<QualifiedName, Refusal> {
    match node::optional(object) {
        Some(NodeEnum::List(names)) => {
            // COMMENT and RENAME wrap a type's name once more.
            match names.items.as_slice() {
                [only @ pg_query::Node { node: Some(NodeEnum::TypeName(_)) }, ..] => object_type(walk, Some(only)),
                _ => type_name(walk, &node::strings(&names.items)?),
            }
        }
        Some(NodeEnum::TypeName(name)) => type_name(walk, &node::strings(&name.names)?),
        Some(other) => Err(node::unexpected(other, "a type's name")),
        None => Err(node::unsupported("a type without a name")),
    }
}

/// VALIDATE CONSTRAINT among the kinds of ALTER DOMAIN.
const VALIDATE: &str = "V";

fn domain(walk: &mut Walk<'_>, alter: &protobuf::AlterDomainStmt) -> Result<Verb, Refusal> {
    let path = node::strings(&alter.type_name)?;
    let name = type_name(walk, &path)?;
    range_var(&path)?;
    ddl(walk, &name);
    let mut checked = alter.subtype == VALIDATE;
    match node::boxed(alter.def.as_ref()) {
        Some(node @ NodeEnum::Constraint(constraint)) => {
            domain_constraints(walk, &name, std::iter::once(node))?;
            checked = constraint.raw_expr.is_some() && !constraint.skip_validation;
        }
        Some(value) => {
            super::names::constant_expression(walk, value)?;
        }
        None => {}
    }
    if checked {
        // Every value stored in a column of the domain is looked at, and whether one of them fails is the answer.
        let catalog = walk.catalog;
        for (relation, column) in catalog.columns_of_domain(&name) {
            walk.touch(&relation.name);
            walk.used(&Lineage::copy_of(column_ref(&relation.name, &column.name)), &Usage::Inference);
        }
    }
    Ok("ALTER DOMAIN")
}
