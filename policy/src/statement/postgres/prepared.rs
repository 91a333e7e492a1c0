//! PREPARE, EXECUTE, DEALLOCATE, DECLARE, FETCH, MOVE, CLOSE: statements that name another statement.
//! What EXECUTE and FETCH need is known only to the session, which remembers what the name stands for.

use std::sync::Arc;

use pg_query::{NodeEnum, protobuf};

use super::{
    dispatch::{self, Draft},
    names::constant_expression,
    node,
    walk::Walk,
};
use crate::statement::{Effect, Outputs, Refusal};

/// PREPARE name AS …
///
/// # Errors
/// When the statement in it is not understood.
pub(super) fn prepare(walk: &mut Walk<'_>, prepare: &protobuf::PrepareStmt) -> Result<Draft, Refusal> {
    for argument in node::all(&prepare.argtypes) {
        let NodeEnum::TypeName(type_name) = argument else {
            return Err(node::unexpected(argument, "the types of PREPARE"));
        };
        super::function::cast(walk, type_name)?;
    }
    let statement = dispatch::inner(walk, node::required(prepare.query.as_ref(), "PREPARE")?)?;
    let name = Arc::from(prepare.name.as_str());
    Ok(Draft::of("PREPARE").effect(Effect::Prepare { name, statement: Box::new(statement) }))
}

/// EXECUTE name (…).
///
/// # Errors
/// When an argument is not understood.
pub(super) fn execute(walk: &mut Walk<'_>, execute: &protobuf::ExecuteStmt) -> Result<Draft, Refusal> {
    for argument in node::all(&execute.params) {
        constant_expression(walk, argument)?;
    }
    let name: Arc<str> = Arc::from(execute.name.as_str());
    Ok(Draft::of("EXECUTE").outputs(Outputs::OfPrepared(Arc::clone(&name))).effect(Effect::Execute { name }))
}

/// DEALLOCATE name, DEALLOCATE ALL.
pub(super) fn deallocate(deallocate: &protobuf::DeallocateStmt) -> Draft {
    let all = deallocate.isall || deallocate.name.is_empty();
    let name = (!all).then(|| Arc::from(deallocate.name.as_str()));
    Draft::of("DEALLOCATE").effect(Effect::Deallocate(name))
}

/// DECLARE name CURSOR FOR …
///
/// # Errors
/// When the query in it is not understood.
pub(super) fn declare(walk: &mut Walk<'_>, declare: &protobuf::DeclareCursorStmt) -> Result<Draft, Refusal> {
    let statement = dispatch::inner(walk, node::required(declare.query.as_ref(), "DECLARE")?)?;
    let name = Arc::from(declare.portalname.as_str());
    Ok(Draft::of("DECLARE CURSOR").effect(Effect::Declare { name, statement: Box::new(statement) }))
}

/// FETCH … FROM name, MOVE … IN name.
pub(super) fn fetch(fetch: &protobuf::FetchStmt) -> Draft {
    let name: Arc<str> = Arc::from(fetch.portalname.as_str());
    let effect = Effect::Fetch { name: Arc::clone(&name) };
    if fetch.ismove {
        Draft::of("MOVE").effect(effect)
    } else {
        Draft::of("FETCH").outputs(Outputs::OfCursor(name)).effect(effect)
    }
}

/// CLOSE name, CLOSE ALL.
pub(super) fn close(close: &protobuf::ClosePortalStmt) -> Draft {
    let name = (!close.portalname.is_empty()).then(|| Arc::from(close.portalname.as_str()));
    Draft::of("CLOSE").effect(Effect::CloseCursor(name))
}
