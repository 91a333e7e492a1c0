//! DROP and COMMENT: of relations, indexes, sequences, statistics and types; of anything else they need `admin`.

use pg_query::{Node, NodeEnum, protobuf};
use protobuf::ObjectType;

use super::{
    admin,
    alter::object_type,
    dispatch::Draft,
    names::{ddl, existing_or_new, range_var},
    node,
    walk::Walk,
};
use crate::statement::{Effect, Refusal, Verb};

/// DROP name, …
///
/// # Errors
/// When a name is not understood.
pub(super) fn drop_objects(walk: &mut Walk<'_>, statement: &protobuf::DropStmt) -> Result<Draft, Refusal> {
    let kind = ObjectType::try_from(statement.remove_type).unwrap_or(ObjectType::Undefined);
    let verb: Verb = match kind {
        ObjectType::ObjectTable => "DROP TABLE",
        ObjectType::ObjectView => "DROP VIEW",
        ObjectType::ObjectMatview => "DROP MATERIALIZED VIEW",
        ObjectType::ObjectIndex => "DROP INDEX",
        ObjectType::ObjectSequence => "DROP SEQUENCE",
        ObjectType::ObjectStatisticExt => "DROP STATISTICS",
        ObjectType::ObjectType => "DROP TYPE",
        ObjectType::ObjectDomain => "DROP DOMAIN",
        ObjectType::Undefined => return Err(node::unsupported("this form of DROP")),
        _ => {
            admin::need(walk, "dropping this kind of object");
            return Ok(Draft::of("DROP").effect(Effect::ChangesCatalog));
        }
    };
    for object in &statement.objects {
        if matches!(kind, ObjectType::ObjectType | ObjectType::ObjectDomain) {
            let name = object_type(walk, Some(object))?;
            ddl(walk, &name);
        } else {
            ddl_on_path(walk, &path(object)?)?;
        }
    }
    Ok(Draft::of(verb).effect(Effect::ChangesCatalog))
}

/// COMMENT ON …
///
/// # Errors
/// When a name is not understood.
pub(super) fn comment(walk: &mut Walk<'_>, comment: &protobuf::CommentStmt) -> Result<Draft, Refusal> {
    let object = comment.object.as_deref();
    let missing = || node::unsupported("COMMENT without an object");
    match ObjectType::try_from(comment.objtype) {
        Ok(
            ObjectType::ObjectTable
            | ObjectType::ObjectView
            | ObjectType::ObjectMatview
            | ObjectType::ObjectIndex
            | ObjectType::ObjectSequence
            | ObjectType::ObjectStatisticExt,
        ) => ddl_on_path(walk, &path(object.ok_or_else(missing)?)?)?,
        Ok(ObjectType::ObjectColumn | ObjectType::ObjectTabconstraint) => {
            let path = path(object.ok_or_else(missing)?)?;
            let Some((_, table)) = path.split_last() else { return Err(missing()) };
            ddl_on_path(walk, table)?;
        }
        Ok(ObjectType::ObjectType | ObjectType::ObjectDomain) => {
            let name = object_type(walk, object)?;
            ddl(walk, &name);
        }
        _ => admin::need(walk, "comments on this kind of object"),
    }
    Ok(Draft::of("COMMENT"))
}

fn ddl_on_path(walk: &mut Walk<'_>, path: &[String]) -> Result<(), Refusal> {
    let name = existing_or_new(walk, &range_var(path)?)?;
    ddl(walk, &name);
    Ok(())
}

fn path(object: &Node) -> Result<Vec<String>, Refusal> {
    match object.node.as_ref() {
        Some(NodeEnum::List(names)) => node::strings(&names.items),
        Some(other) => Err(node::unexpected(other, "a name")),
        None => Err(node::unsupported("an object without a name")),
    }
}
