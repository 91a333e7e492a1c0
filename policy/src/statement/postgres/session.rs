//! Transactions, SET and SHOW, DISCARD, LISTEN and NOTIFY: what a client does to its own session.
//! Which settings may change is `setting`'s affair.

use std::sync::Arc;

use pg_query::{Node, NodeEnum, protobuf};
use protobuf::{DiscardMode, TransactionStmtKind, VariableSetKind};

use super::{
    constant,
    dispatch::Draft,
    node, search_path,
    setting::{self, Value},
    walk::Walk,
};
use crate::statement::{Action, Effect, Object, Outputs, Refusal, Setting};

/// BEGIN, COMMIT, ROLLBACK, savepoints, two-phase commit.
///
/// # Errors
/// When its kind or an option is not known.
pub(super) fn transaction(walk: &mut Walk<'_>, statement: &protobuf::TransactionStmt) -> Result<Draft, Refusal> {
    modes(walk, &statement.options, Duration::Transaction)?;
    let two_phase = |walk: &mut Walk<'_>, verb| {
        walk.need(Action::Admin, Object::Session("prepared transactions".into()));
        Draft::of(verb)
    };
    Ok(match TransactionStmtKind::try_from(statement.kind) {
        Ok(TransactionStmtKind::TransStmtBegin) => Draft::of("BEGIN").effect(Effect::Begin),
        Ok(TransactionStmtKind::TransStmtStart) => Draft::of("START TRANSACTION").effect(Effect::Begin),
        Ok(TransactionStmtKind::TransStmtCommit) => Draft::of("COMMIT").effect(Effect::Commit),
        Ok(TransactionStmtKind::TransStmtRollback) => Draft::of("ROLLBACK").effect(Effect::Rollback),
        Ok(TransactionStmtKind::TransStmtSavepoint) => Draft::of("SAVEPOINT").effect(Effect::Savepoint),
        Ok(TransactionStmtKind::TransStmtRelease) => Draft::of("RELEASE").effect(Effect::Savepoint),
        Ok(TransactionStmtKind::TransStmtRollbackTo) => Draft::of("ROLLBACK").effect(Effect::RollbackTo),
        Ok(TransactionStmtKind::TransStmtPrepare) => {
            // For the session the transaction is over, its deferred checks included.
            two_phase(walk, "PREPARE TRANSACTION").effect(Effect::Commit)
        }
        Ok(TransactionStmtKind::TransStmtCommitPrepared) => two_phase(walk, "COMMIT PREPARED"),
        Ok(TransactionStmtKind::TransStmtRollbackPrepared) => two_phase(walk, "ROLLBACK PREPARED"),
        Ok(TransactionStmtKind::Undefined) | Err(_) => {
            return Err(node::unsupported("this transaction statement"));
        }
    })
}

/// How long transaction modes hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Duration {
    Transaction,
    Session,
}

/// Transaction modes; the effect is that on default_transaction_read_only, when they name it for the session.
fn modes(walk: &mut Walk<'_>, modes: &[Node], duration: Duration) -> Result<Effect, Refusal> {
    let mut effect = Effect::None;
    for mode in node::all(modes) {
        let NodeEnum::DefElem(mode) = mode else { return Err(node::unexpected(mode, "transaction modes")) };
        match mode.defname.as_str() {
            "transaction_isolation" | "transaction_deferrable" => {}
            "transaction_read_only" => {
                let value = node::boxed(mode.arg.as_ref()).and_then(constant);
                let read_only = value.as_deref() == Some("1");
                if !read_only {
                    setting::write_access(walk);
                }
                if duration == Duration::Session {
                    effect = Effect::Set {
                        name: "default_transaction_read_only".into(),
                        value: Setting::To(if read_only { "on" } else { "off" }.into()),
                        local: false,
                    };
                }
            }
            other => return Err(node::unsupported(&format!("the transaction mode `{other}`"))),
        }
    }
    Ok(effect)
}

/// SET, SET LOCAL, RESET.
///
/// # Errors
/// When nobody may set it so, or the value is not understood.
pub(super) fn set(walk: &mut Walk<'_>, set: &protobuf::VariableSetStmt) -> Result<Draft, Refusal> {
    let name = set.name.to_ascii_lowercase();
    let local = set.is_local;
    match VariableSetKind::try_from(set.kind) {
        Ok(VariableSetKind::VarSetValue) => {
            let value = joined(&name, &set.args)?;
            setting::change(walk, &name, Value::Text(&value))?;
            let value = Setting::To(value.into());
            Ok(Draft::of("SET").effect(Effect::Set { name: name.into(), value, local }))
        }
        Ok(kind @ (VariableSetKind::VarSetDefault | VariableSetKind::VarReset)) => {
            setting::change(walk, &name, Value::Default)?;
            let verb = if kind == VariableSetKind::VarReset { "RESET" } else { "SET" };
            Ok(Draft::of(verb).effect(Effect::Set { name: name.into(), value: Setting::Default, local }))
        }
        Ok(VariableSetKind::VarSetMulti) => match name.as_str() {
            "transaction" => {
                modes(walk, &set.args, Duration::Transaction)?;
                Ok(Draft::of("SET"))
            }
            "session characteristics" => Ok(Draft::of("SET").effect(modes(walk, &set.args, Duration::Session)?)),
            "transaction snapshot" => Ok(Draft::of("SET")),
            _ => Err(node::unsupported(&format!("SET {}", set.name))),
        },
        Ok(VariableSetKind::VarResetAll) => Ok(Draft::of("RESET").effect(Effect::ResetAll)),
        Ok(VariableSetKind::VarSetCurrent | VariableSetKind::Undefined) | Err(_) => {
            Err(node::unsupported("this form of SET"))
        }
    }
}

/// The value as the server would store it: a list joined, names in a list of names quoted.
fn joined(name: &str, values: &[Node]) -> Result<String, Refusal> {
    let mut joined = String::new();
    for (at, value) in node::all(values).enumerate() {
        if at > 0 {
            joined.push_str(", ");
        }
        let text = match value {
            NodeEnum::TypeCast(cast) if name == "timezone" => zone_of_interval(cast)?,
            _ => constant(value).ok_or_else(|| node::unexpected(value, "a value of SET"))?,
        };
        let is_list_of_names = matches!(name, "search_path" | "local_preload_libraries" | "temp_tablespaces");
        joined.push_str(&if is_list_of_names { search_path::quote(&text) } else { text });
    }
    Ok(joined)
}

/// A constant's text.
pub(super) fn constant(value: &NodeEnum) -> Option<String> {
    match value {
        NodeEnum::AConst(constant) => match constant::value(constant) {
            constant::Value::Integer(number) => Some(number.to_string()),
            constant::Value::Number(text) | constant::Value::Text(text) => Some(text.to_owned()),
            constant::Value::Boolean(value) => Some(if value { "true" } else { "false" }.to_owned()),
            constant::Value::Bits | constant::Value::Null | constant::Value::Absent => None,
        },
        _ => None,
    }
}

/// `SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE` as SHOW prints it: `<+02>-02`, POSIX counting westwards.
fn zone_of_interval(cast: &protobuf::TypeCast) -> Result<String, Refusal> {
    let text = node::boxed(cast.arg.as_ref()).and_then(constant).unwrap_or_default();
    let (sign, opposite, digits) = match text.split_at_checked(1) {
        Some(("+", digits)) => ('+', '-', digits),
        Some(("-", digits)) => ('-', '+', digits),
        _ => ('+', '-', text.as_str()),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "00"));
    let number = |part: &str| part.parse::<u8>().ok().filter(|n| *n < 60);
    match (number(hours), number(minutes)) {
        (Some(hours), Some(0)) => Ok(format!("<{sign}{hours:02}>{opposite}{hours:02}")),
        (Some(hours), Some(minutes)) => Ok(format!("<{sign}{hours:02}:{minutes:02}>{opposite}{hours:02}:{minutes:02}")),
        _ => Err(node::unsupported("a time zone in this form")),
    }
}

/// SHOW name, SHOW ALL.
///
/// # Errors
/// None today; a caller has to be ready for one.
pub(super) fn show(walk: &mut Walk<'_>, show: &protobuf::VariableShowStmt) -> Result<Draft, Refusal> {
    setting::show(walk, &show.name.to_ascii_lowercase());
    Ok(Draft::of("SHOW").outputs(Outputs::Server))
}

/// DISCARD ALL and its parts.
///
/// # Errors
/// When the part is not known.
pub(super) fn discard(discard: &protobuf::DiscardStmt) -> Result<Draft, Refusal> {
    match DiscardMode::try_from(discard.target) {
        Ok(DiscardMode::DiscardAll) => Ok(Draft::of("DISCARD ALL").effect(Effect::DiscardAll)),
        Ok(DiscardMode::DiscardPlans) => Ok(Draft::of("DISCARD PLANS")),
        Ok(DiscardMode::DiscardSequences) => Ok(Draft::of("DISCARD SEQUENCES")),
        Ok(DiscardMode::DiscardTemp) => Ok(Draft::of("DISCARD TEMP").effect(Effect::ChangesCatalog)),
        Ok(DiscardMode::Undefined) | Err(_) => Err(node::unsupported("this form of DISCARD")),
    }
}

/// LISTEN: whoever may read anything hears what is sent.
pub(super) fn listen(walk: &mut Walk<'_>) -> Draft {
    walk.need(Action::Select, notifications());
    Draft::of("LISTEN")
}

/// NOTIFY: it reaches other sessions.
pub(super) fn notify(walk: &mut Walk<'_>) -> Draft {
    walk.need(Action::Insert, notifications());
    Draft::of("NOTIFY")
}

fn notifications() -> Object {
    Object::Session(Arc::from("notifications"))
}
