//! Which settings a client may change, and to what: those that format results or bound the client's own work.
//! A setting that is not listed needs `admin`; those that change who the session is are refused to everybody.

use super::{search_path::SearchPath, walk::Walk};
use crate::statement::{Action, Object, Refusal, RefusalKind};

/// A new value, as far as the text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'v> {
    /// Exactly this.
    Text(&'v str),
    /// What the session started with.
    Default,
    /// A parameter of the prepared statement.
    Unknown,
}

/// Settings whose every value is harmless. Sorted.
#[rustfmt::skip]
const FREE: &[&str] = &[
    "application_name", "array_nulls", "backend_flush_after", "bytea_output", "check_function_bodies",
    "client_connection_check_interval", "client_min_messages", "commit_delay", "commit_siblings",
    "constraint_exclusion", "cpu_index_tuple_cost", "cpu_operator_cost", "cpu_tuple_cost", "cursor_tuple_fraction",
    "datestyle", "deadlock_timeout", "default_statistics_target", "default_table_access_method", "default_tablespace",
    "default_text_search_config", "default_toast_compression", "default_transaction_deferrable",
    "default_transaction_isolation", "default_with_oids", "effective_cache_size", "effective_io_concurrency",
    "escape_string_warning", "extra_float_digits", "force_parallel_mode", "from_collapse_limit",
    "geqo", "geqo_effort", "geqo_generations", "geqo_pool_size", "geqo_seed", "geqo_selection_bias", "geqo_threshold",
    "gin_fuzzy_search_limit", "gin_pending_list_limit", "hash_mem_multiplier", "icu_validation_level",
    "idle_in_transaction_session_timeout", "idle_session_timeout", "intervalstyle", "join_collapse_limit",
    "lc_monetary", "lc_numeric", "lc_time", "lock_timeout", "logical_decoding_work_mem", "maintenance_io_concurrency",
    "maintenance_work_mem", "max_parallel_maintenance_workers", "max_parallel_workers",
    "max_parallel_workers_per_gather", "min_parallel_index_scan_size", "min_parallel_table_scan_size",
    "operator_precedence_warning", "parallel_leader_participation", "parallel_setup_cost", "parallel_tuple_cost",
    "plan_cache_mode", "quote_all_identifiers", "random_page_cost", "restrict_nonsystem_relation_kind",
    "row_security", "seq_page_cost", "statement_timeout", "stats_fetch_consistency", "synchronize_seqscans",
    "synchronous_commit", "tcp_keepalives_count", "tcp_keepalives_idle", "tcp_keepalives_interval",
    "tcp_user_timeout", "temp_buffers", "timezone", "timezone_abbreviations", "transaction_deferrable",
    "transaction_isolation", "transaction_timeout", "vacuum_buffer_usage_limit", "vacuum_cost_delay",
    "vacuum_cost_limit", "work_mem", "xmlbinary", "xmloption",
];

/// Prefixes under which applications keep settings of their own; other prefixes belong to extensions. Sorted.
const APPLICATION_PREFIXES: &[&str] =
    &["app", "application", "current", "custom", "jwt", "my", "myapp", "request", "tenant", "user", "var", "vars"];

/// Settings that SHOW keeps to administrators: they hold commands, paths and passwords. Sorted.
#[rustfmt::skip]
const SHOWN_TO_ADMINS: &[&str] = &[
    "all", "archive_cleanup_command", "archive_command", "config_file", "data_directory", "dynamic_library_path",
    "external_pid_file", "hba_file", "ident_file", "krb_server_keyfile", "local_preload_libraries",
    "primary_conninfo", "recovery_end_command", "restore_command", "session_preload_libraries",
    "shared_preload_libraries", "ssl_passphrase_command", "synchronous_standby_names",
];

/// Encodings in which every ASCII byte is that character and no other byte is: text reads the same to us and upstream.
#[rustfmt::skip]
const ENCODINGS: &[&str] = &[
    "abc", "alt", "iso88591", "iso885910", "iso885913", "iso885914", "iso885915", "iso885916", "iso88592", "iso88593",
    "iso88594", "iso88595", "iso88596", "iso88597", "iso88598", "iso88599", "koi8", "koi8r", "koi8u", "latin1",
    "latin10", "latin2", "latin3", "latin4", "latin5", "latin6", "latin7", "latin8", "latin9", "sqlascii", "tcvn",
    "unicode", "utf8", "win", "win1250", "win1251", "win1252", "win1253", "win1254", "win1255", "win1256", "win1257",
    "win1258",
];

/// The setting `name`, in lower case, is set to `value`; adds what that needs.
///
/// # Errors
/// When nobody may set it so.
pub(super) fn change(walk: &mut Walk<'_>, name: &str, value: Value<'_>) -> Result<(), Refusal> {
    match name {
        "role" | "session_authorization" => Err(identity_is_fixed(name)),
        "search_path" => match value {
            Value::Text(text) => SearchPath::read(text, walk.catalog).map(|_| ()),
            Value::Default => Ok(()),
            Value::Unknown => Err(not_followed(name)),
        },
        "client_encoding" => only(name, value, |text| {
            let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
            ENCODINGS.contains(&plain.to_ascii_lowercase().as_str())
        }),
        "standard_conforming_strings" => only(name, value, is_on),
        "backslash_quote" => only(name, value, |text| text.eq_ignore_ascii_case("safe_encoding") || is_off(text)),
        "transform_null_equals" => only(name, value, is_off),
        "default_transaction_read_only" | "transaction_read_only" => {
            if !matches!(value, Value::Text(text) if is_on(text)) {
                write_access(walk);
            }
            if value == Value::Unknown { Err(not_followed(name)) } else { Ok(()) }
        }
        _ if is_free(name) => Ok(()),
        _ => {
            walk.need(Action::Admin, Object::Session(format!("parameter {name}").into()));
            Ok(())
        }
    }
}

/// The session may write again: only for who may write at all, as the read-only fence is for who may not.
pub(super) fn write_access(walk: &mut Walk<'_>) {
    walk.need(Action::Update, Object::Session("READ WRITE transactions".into()));
}

/// SHOW of `name`, in lower case; adds what that needs.
pub(super) fn show(walk: &mut Walk<'_>, name: &str) {
    if SHOWN_TO_ADMINS.binary_search(&name).is_ok() {
        walk.need(Action::Admin, Object::Session(format!("parameter {name}").into()));
    }
}

fn is_free(name: &str) -> bool {
    let of_application =
        name.split_once('.').is_some_and(|(prefix, _)| APPLICATION_PREFIXES.binary_search(&prefix).is_ok());
    of_application
        || FREE.binary_search(&name).is_ok()
        || name.starts_with("enable_")
        || name == "jit"
        || name.starts_with("jit_above_")
        || name == "jit_inline_above_cost"
        || name == "jit_optimize_above_cost"
}

fn only(name: &str, value: Value<'_>, allowed: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    match value {
        Value::Default => Ok(()),
        Value::Text(text) if allowed(text) => Ok(()),
        Value::Text(text) => Err(Refusal::new(
            RefusalKind::Forbidden,
            format!("parameter \"{name}\" cannot be set to \"{text}\" through this proxy"),
        )
        .detail("under that value the database would read statements in another way than the proxy does")
        .hint(format!("leave {name} as it is"))),
        Value::Unknown => Err(not_followed(name)),
    }
}

fn not_followed(name: &str) -> Refusal {
    Refusal::new(
        RefusalKind::Unsupported,
        format!("parameter \"{name}\" cannot be set to a value that is not in the text"),
    )
    .detail("the proxy follows this setting, so its value has to be in plain sight")
    .hint(format!("SET {name} = 'value'"))
}

/// Refuses to change who the session is.
pub(super) fn identity_is_fixed(name: &str) -> Refusal {
    let what = if name == "role" { "SET ROLE" } else { "SET SESSION AUTHORIZATION" };
    Refusal::new(RefusalKind::Forbidden, format!("permission denied for {what}"))
        .detail("the proxy chooses the database role by the grant a statement runs under")
        .hint("ask for a role that holds what you need: SELECT * FROM hallpass.roles")
}

/// Whether the server reads `text` as true; prefixes count, as there.
fn is_on(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "on" | "1" | "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes")
}

fn is_off(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "of" | "off" | "0" | "f" | "fa" | "fal" | "fals" | "false" | "n" | "no"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn needs(name: &str, value: Value<'_>) -> Option<Vec<String>> {
        let catalog = Catalog::default();
        let mut walk = Walk::new(&catalog, &[]);
        change(&mut walk, name, value).ok()?;
        Some(walk.needs.iter().map(|need| format!("{} {}", need.action, need.object)).collect())
    }

    #[test]
    fn lists_are_sorted_for_their_search() {
        for list in [FREE, APPLICATION_PREFIXES, SHOWN_TO_ADMINS] {
            assert!(list.is_sorted());
        }
    }

    #[test]
    fn harmless_is_free_and_the_rest_is_not() {
        let free = Some(vec![]);
        let needs_one = |need: &str| Some(vec![need.to_owned()]);
        for (name, value, expected) in [
            ("application_name", Value::Text("x"), free.clone()),
            ("jit", Value::Unknown, free.clone()),
            ("enable_seqscan", Value::Text("off"), free.clone()),
            ("app.user_id", Value::Unknown, free.clone()),
            ("search_path", Value::Text("shop"), free.clone()),
            ("search_path", Value::Text("pg_temp, shop"), None),
            ("search_path", Value::Unknown, None),
            ("client_encoding", Value::Text("UTF-8"), free.clone()),
            ("client_encoding", Value::Text("SJIS"), None),
            ("client_encoding", Value::Text("GBK"), None),
            ("standard_conforming_strings", Value::Text("on"), free.clone()),
            ("standard_conforming_strings", Value::Text("off"), None),
            ("transform_null_equals", Value::Text("on"), None),
            ("role", Value::Text("postgres"), None),
            ("session_authorization", Value::Default, None),
            ("default_transaction_read_only", Value::Text("on"), free),
            ("default_transaction_read_only", Value::Text("off"), needs_one("update READ WRITE transactions")),
            ("default_transaction_read_only", Value::Default, needs_one("update READ WRITE transactions")),
            ("pgaudit.log", Value::Text("none"), needs_one("admin parameter pgaudit.log")),
            ("session_replication_role", Value::Text("replica"), needs_one("admin parameter session_replication_role")),
        ] {
            assert_eq!(needs(name, value), expected, "{name} {value:?}");
        }
    }
}
