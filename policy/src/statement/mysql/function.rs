//! What a call may do: only compute, or run code that somebody wrote in the database.
//! Knows functions by name only: whatever a name may mean has to be allowed, or is needed.

use super::{
    function_list::{COMPUTE, NULLNESS, TOTAL},
    walk::Walk,
};
use crate::{
    catalog::{FunctionKind, QualifiedName},
    statement::{
        Action, Need, Object, Refusal, RefusalKind,
        inband::{self, SCHEMA},
    },
};

/// What a call tells of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purity {
    /// Shows nothing of its arguments but whether they are null.
    Nullness,
    /// Never fails or warns, whatever its arguments.
    Total,
    /// Computes only, and may fail or warn.
    Compute,
}

/// Built-in functions that hold, wait for or release named locks. Sorted.
const LOCKS: &[&str] = &["get_lock", "is_free_lock", "is_used_lock", "release_all_locks", "release_lock"];

/// Built-in functions that reach beyond the query: files, time, other sessions, replication. Sorted.
#[rustfmt::skip]
const BEYOND: &[&str] = &[
    "asynchronous_connection_failover_add_managed", "asynchronous_connection_failover_add_source",
    "asynchronous_connection_failover_delete_managed", "asynchronous_connection_failover_delete_source",
    "asynchronous_connection_failover_reset", "benchmark", "can_access_database", "can_access_table", "can_access_user",
    "can_access_view", "gen_blocklist", "gen_dictionary", "gen_dictionary_drop", "gen_dictionary_load",
    "group_replication_set_as_primary", "innodb_redo_log_archive_flush", "innodb_redo_log_archive_start",
    "innodb_redo_log_archive_stop", "innodb_redo_log_sharp_checkpoint", "innodb_set_open_files_limit",
    "keyring_key_fetch", "keyring_key_generate", "keyring_key_remove", "keyring_key_store", "load_file",
    "master_gtid_wait", "master_pos_wait", "ps_current_thread_id", "ps_thread_id", "roles_graphml",
    "service_get_read_locks", "service_get_write_locks", "service_release_locks", "sleep", "source_pos_wait",
    "version_tokens_set", "wait_for_executed_gtid_set", "wait_until_sql_thread_after_gtids", "wsrep_last_seen_gtid",
    "wsrep_last_written_gtid", "wsrep_sync_wait_upto_gtid",
];

/// A call of the function called `database.name` with `args` arguments; adds what it needs.
///
/// # Errors
/// When no function is called so, as far as the gate and the catalog know.
pub(super) fn call(walk: &mut Walk<'_>, database: Option<&str>, name: &str, args: usize) -> Result<Purity, Refusal> {
    let lower = name.to_ascii_lowercase();
    let has = |list: &[&str]| list.binary_search(&lower.as_str()).is_ok();
    let schema = database.or(walk.names.database.as_deref());
    if database.is_some_and(|database| database.eq_ignore_ascii_case(SCHEMA)) {
        return Err(inband::misplaced(&lower));
    }
    let stored = schema.and_then(|schema| stored(walk, schema, name, FunctionKind::Function));
    if let Some(stored) = &stored {
        // Its author's view may call it, but what it returns is not in the catalog: the caller has to be trusted too.
        walk.needs.insert(Need { action: Action::Call, object: Object::Function(stored.clone()) });
    }
    if database.is_none() {
        if has(LOCKS) {
            walk.need(Action::Lock, Object::Session("named locks".into()));
            return Ok(Purity::Compute);
        }
        if has(BEYOND) {
            walk.admin(&format!("function {lower}"));
            return Ok(Purity::Compute);
        }
        let built_in = [(NULLNESS, Purity::Nullness), (TOTAL, Purity::Total), (COMPUTE, Purity::Compute)];
        if let Some((_, purity)) = built_in.into_iter().find(|(list, _)| has(list)) {
            return Ok(if stored.is_some() { Purity::Compute } else { purity });
        }
    }
    if stored.is_some() {
        return Ok(Purity::Compute);
    }
    let shown = database.map_or_else(|| name.to_owned(), |database| format!("{database}.{name}"));
    Err(Refusal::new(RefusalKind::UnknownFunction, format!("function {shown} does not exist"))
        .detail(format!(
            "no built-in function on the gate's list and no stored function is called so (arguments: {args})"
        ))
        .hint("check the name and the database; a function made just now is known after a moment"))
}

/// The stored routine of that kind and name, whatever its case.
pub(super) fn stored(walk: &Walk<'_>, schema: &str, name: &str, kind: FunctionKind) -> Option<QualifiedName> {
    let procedure = |kind: FunctionKind| kind == FunctionKind::Procedure;
    let all = walk.catalog.functions.iter().filter(|(known, _)| known.to_lowercase() == name.to_lowercase());
    let fitting = all.flat_map(|(_, functions)| functions);
    fitting
        // Stand-ins of the proxy's own may be installed, for clients that complete names; they do nothing.
        .filter(|function| &*function.name.schema != SCHEMA)
        .find(|function| &*function.name.schema == schema && procedure(function.kind) == procedure(kind))
        .map(|function| function.name.clone())
}

/// Whether a function of that name reaches beyond the query, or waits.
pub(super) fn reaches_out(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    [LOCKS, BEYOND].iter().any(|list| list.binary_search(&lower.as_str()).is_ok())
}

/// Whether the argument at `at` of a function is a unit, not a value: `TIMESTAMPADD(DAY, 1, d)`.
pub(super) fn names_unit(function: &str, at: usize) -> bool {
    at == 0 && ["timestampadd", "timestampdiff", "get_format"].iter().any(|name| name.eq_ignore_ascii_case(function))
}

/// What a function of sequences does to the sequence that is its first argument.
pub(super) fn of_sequence(function: &str) -> Option<Action> {
    match function.to_ascii_lowercase().as_str() {
        "nextval" => Some(Action::Insert),
        "setval" => Some(Action::Update),
        "lastval" => Some(Action::Select),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_for_their_search_and_hold_nothing_that_reaches_out() {
        for list in [TOTAL, NULLNESS, COMPUTE, LOCKS, BEYOND] {
            assert!(list.is_sorted());
        }
        for name in ["load_file", "sleep", "benchmark", "get_lock", "sys_exec", "sys_eval", "nextval", "setval"] {
            assert!([TOTAL, NULLNESS, COMPUTE].iter().all(|list| !list.contains(&name)), "{name}");
        }
    }
}
