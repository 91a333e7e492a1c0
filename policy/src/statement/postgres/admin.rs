//! Statements that need `admin` whatever they name: roles and privileges, schemas, code that the gate does not read.
//! The last list of statement kinds: what is neither here nor in `dispatch` is refused.

use pg_query::NodeEnum;

use super::{dispatch::Draft, node, walk::Walk};
use crate::statement::{Action, Effect, Object, Refusal, Verb};

/// `admin` is needed for `what`.
pub(super) fn need(walk: &mut Walk<'_>, what: &str) {
    walk.need(Action::Admin, Object::Session(what.into()));
}

/// A statement that only `admin` allows.
///
/// # Errors
/// When the kind is not known at all.
pub(super) fn admin(walk: &mut Walk<'_>, statement: &NodeEnum) -> Result<Draft, Refusal> {
    let Some((verb, what)) = kind(statement) else {
        return Err(node::unexpected(statement, "a text of statements"));
    };
    need(walk, what);
    Ok(Draft::of(verb).effect(Effect::ChangesCatalog))
}

/// What the statement is called, and what it is about.
fn kind(statement: &NodeEnum) -> Option<(Verb, &'static str)> {
    privileges(statement).or_else(|| code(statement)).or_else(|| infrastructure(statement))
}

fn privileges(statement: &NodeEnum) -> Option<(Verb, &'static str)> {
    Some(match statement {
        NodeEnum::GrantStmt(grant) if grant.is_grant => ("GRANT", "privileges"),
        NodeEnum::GrantStmt(_) => ("REVOKE", "privileges"),
        NodeEnum::GrantRoleStmt(grant) if grant.is_grant => ("GRANT ROLE", "roles"),
        NodeEnum::GrantRoleStmt(_) => ("REVOKE ROLE", "roles"),
        NodeEnum::AlterDefaultPrivilegesStmt(_) => ("ALTER DEFAULT PRIVILEGES", "privileges"),
        NodeEnum::CreateRoleStmt(_) => ("CREATE ROLE", "roles"),
        NodeEnum::AlterRoleStmt(_) | NodeEnum::AlterRoleSetStmt(_) => ("ALTER ROLE", "roles"),
        NodeEnum::DropRoleStmt(_) => ("DROP ROLE", "roles"),
        NodeEnum::DropOwnedStmt(_) => ("DROP OWNED", "roles"),
        NodeEnum::ReassignOwnedStmt(_) => ("REASSIGN OWNED", "roles"),
        NodeEnum::AlterOwnerStmt(_) => ("ALTER OWNER", "owners"),
        NodeEnum::CreatePolicyStmt(_) => ("CREATE POLICY", "row security policies"),
        NodeEnum::AlterPolicyStmt(_) => ("ALTER POLICY", "row security policies"),
        NodeEnum::SecLabelStmt(_) => ("SECURITY LABEL", "security labels"),
        _ => return None,
    })
}

/// Code whose body the gate does not read.
fn code(statement: &NodeEnum) -> Option<(Verb, &'static str)> {
    const BODIES: &str = "code in the database, whose body the proxy does not check";
    Some(match statement {
        NodeEnum::DoStmt(_) => ("DO", BODIES),
        NodeEnum::CreateFunctionStmt(function) if function.is_procedure => ("CREATE PROCEDURE", BODIES),
        NodeEnum::CreateFunctionStmt(_) => ("CREATE FUNCTION", BODIES),
        NodeEnum::AlterFunctionStmt(_) => ("ALTER FUNCTION", BODIES),
        NodeEnum::CreateTrigStmt(_) => ("CREATE TRIGGER", BODIES),
        NodeEnum::CreateEventTrigStmt(_) => ("CREATE EVENT TRIGGER", BODIES),
        NodeEnum::AlterEventTrigStmt(_) => ("ALTER EVENT TRIGGER", BODIES),
        NodeEnum::RuleStmt(_) => ("CREATE RULE", BODIES),
        NodeEnum::DefineStmt(_) => ("CREATE", BODIES),
        NodeEnum::CreateCastStmt(_) => ("CREATE CAST", BODIES),
        NodeEnum::CreateTransformStmt(_) => ("CREATE TRANSFORM", BODIES),
        NodeEnum::CreateConversionStmt(_) => ("CREATE CONVERSION", BODIES),
        NodeEnum::CreateOpClassStmt(_) => ("CREATE OPERATOR CLASS", BODIES),
        NodeEnum::CreateOpFamilyStmt(_) => ("CREATE OPERATOR FAMILY", BODIES),
        NodeEnum::AlterOpFamilyStmt(_) => ("ALTER OPERATOR FAMILY", BODIES),
        NodeEnum::AlterOperatorStmt(_) => ("ALTER OPERATOR", BODIES),
        NodeEnum::AlterTypeStmt(_) => ("ALTER TYPE", BODIES),
        NodeEnum::CreatePlangStmt(_) => ("CREATE LANGUAGE", BODIES),
        NodeEnum::CreateAmStmt(_) => ("CREATE ACCESS METHOD", BODIES),
        NodeEnum::AlterObjectDependsStmt(_) => ("ALTER", BODIES),
        NodeEnum::LoadStmt(_) => ("LOAD", "libraries of the server"),
        _ => return None,
    })
}

fn infrastructure(statement: &NodeEnum) -> Option<(Verb, &'static str)> {
    Some(match statement {
        NodeEnum::CreateSchemaStmt(_) => ("CREATE SCHEMA", "schemas"),
        NodeEnum::CreateExtensionStmt(_) => ("CREATE EXTENSION", "extensions"),
        NodeEnum::AlterExtensionStmt(_) | NodeEnum::AlterExtensionContentsStmt(_) => ("ALTER EXTENSION", "extensions"),
        NodeEnum::CreatedbStmt(_) => ("CREATE DATABASE", "databases"),
        NodeEnum::DropdbStmt(_) => ("DROP DATABASE", "databases"),
        NodeEnum::AlterDatabaseStmt(_)
        | NodeEnum::AlterDatabaseSetStmt(_)
        | NodeEnum::AlterDatabaseRefreshCollStmt(_) => ("ALTER DATABASE", "databases"),
        NodeEnum::AlterSystemStmt(_) => ("ALTER SYSTEM", "the server's configuration"),
        NodeEnum::CreateTableSpaceStmt(_) => ("CREATE TABLESPACE", "tablespaces"),
        NodeEnum::DropTableSpaceStmt(_) => ("DROP TABLESPACE", "tablespaces"),
        NodeEnum::AlterTableSpaceOptionsStmt(_) | NodeEnum::AlterTableMoveAllStmt(_) => {
            ("ALTER TABLESPACE", "tablespaces")
        }
        NodeEnum::CreateForeignTableStmt(_) => ("CREATE FOREIGN TABLE", "foreign tables"),
        NodeEnum::ImportForeignSchemaStmt(_) => ("IMPORT FOREIGN SCHEMA", "foreign tables"),
        NodeEnum::CreateFdwStmt(_) => ("CREATE FOREIGN DATA WRAPPER", "foreign servers"),
        NodeEnum::AlterFdwStmt(_) => ("ALTER FOREIGN DATA WRAPPER", "foreign servers"),
        NodeEnum::CreateForeignServerStmt(_) => ("CREATE SERVER", "foreign servers"),
        NodeEnum::AlterForeignServerStmt(_) => ("ALTER SERVER", "foreign servers"),
        NodeEnum::CreateUserMappingStmt(_) => ("CREATE USER MAPPING", "foreign servers"),
        NodeEnum::AlterUserMappingStmt(_) => ("ALTER USER MAPPING", "foreign servers"),
        NodeEnum::DropUserMappingStmt(_) => ("DROP USER MAPPING", "foreign servers"),
        NodeEnum::CreatePublicationStmt(_) => ("CREATE PUBLICATION", "replication"),
        NodeEnum::AlterPublicationStmt(_) => ("ALTER PUBLICATION", "replication"),
        NodeEnum::CreateSubscriptionStmt(_) => ("CREATE SUBSCRIPTION", "replication"),
        NodeEnum::AlterSubscriptionStmt(_) => ("ALTER SUBSCRIPTION", "replication"),
        NodeEnum::DropSubscriptionStmt(_) => ("DROP SUBSCRIPTION", "replication"),
        NodeEnum::AlterCollationStmt(_) => ("ALTER COLLATION", "collations"),
        NodeEnum::AlterTsdictionaryStmt(_) | NodeEnum::AlterTsconfigurationStmt(_) => {
            ("ALTER TEXT SEARCH", "text search objects")
        }
        _ => return None,
    })
}
