//! Which server variables a client may change, and to what: those that format results or bound the client's own work.
//! A variable that is not listed needs `admin`; those that change how text is read are followed or refused.

use std::sync::Arc;

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, SelectItem, SetExpr, Value as Constant};

use super::{constant, names::SqlMode, refusal::unsupported, walk::Walk};
use crate::statement::{Action, Object, Refusal, RefusalKind, Setting};

/// Whom a variable is set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The session.
    Session,
    /// Everybody: GLOBAL, PERSIST.
    Server,
}

/// A new value, as far as the text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Exactly this.
    Text(String),
    /// What the server starts sessions with.
    Default,
    /// What a user variable holds, `SET sql_mode = @saved`.
    Variable(String),
    /// What another server variable holds.
    System(String),
    /// Something computed.
    Unknown,
}

/// Variables whose every value is harmless. Sorted.
#[rustfmt::skip]
const FREE: &[&str] = &[
    "auto_increment_increment", "auto_increment_offset", "autocommit", "big_tables", "bulk_insert_buffer_size",
    "cte_max_recursion_depth", "default_storage_engine", "default_tmp_storage_engine", "default_week_format",
    "div_precision_increment", "end_markers_in_json", "eq_range_index_dive_limit", "explicit_defaults_for_timestamp",
    "foreign_key_checks", "group_concat_max_len", "idle_readonly_transaction_timeout", "idle_transaction_timeout",
    "idle_write_transaction_timeout", "information_schema_stats_expiry", "innodb_ft_enable_stopword",
    "innodb_lock_wait_timeout", "innodb_strict_mode", "insert_id", "interactive_timeout", "join_buffer_size",
    "last_insert_id", "lc_messages", "lc_time_names", "lock_wait_timeout", "long_query_time", "low_priority_updates",
    "max_delayed_threads", "max_error_count", "max_execution_time", "max_heap_table_size", "max_join_size",
    "max_length_for_sort_data", "max_seeks_for_key", "max_sort_length", "max_statement_time",
    "min_examined_row_limit", "net_buffer_length", "net_read_timeout", "net_retry_count", "net_write_timeout",
    "note_verbosity", "optimizer_prune_level", "optimizer_search_depth", "optimizer_switch", "preload_buffer_size",
    "print_identified_with_as_hex", "query_alloc_block_size", "query_cache_type", "query_prealloc_size", "rand_seed1",
    "rand_seed2", "range_alloc_block_size", "range_optimizer_max_mem_size", "read_buffer_size",
    "read_rnd_buffer_size", "session_track_gtids", "session_track_schema", "session_track_state_change",
    "session_track_system_variables", "session_track_transaction_info", "show_create_table_verbosity", "sort_buffer_size", "sql_auto_is_null", "sql_big_selects",
    "sql_buffer_result", "sql_notes", "sql_quote_show_create", "sql_safe_updates", "sql_select_limit", "sql_warnings",
    "time_zone", "timestamp", "tmp_memory_table_size", "tmp_table_size", "transaction_isolation", "tx_isolation",
    "unique_checks", "updatable_views_with_limit", "wait_timeout",
];

/// Character sets in which every ASCII byte is that character and no other byte is.
const CHARSETS: &[&str] = &["ascii", "binary", "latin1", "utf8", "utf8mb3", "utf8mb4"];

/// Whether texts and results in `charset` can be read byte by byte: every ASCII byte in it is that character.
pub fn is_followed_charset(charset: &str) -> bool {
    CHARSETS.iter().any(|known| known.eq_ignore_ascii_case(charset))
}

/// The session's variable `name`, in lower case, is set to `value`; adds what that needs, and says what has to be
/// followed. A value that a user variable holds is given as `@name`, one of a server variable as `@@name`: the session
/// has to ask the server what it is before it lets the statement through.
///
/// # Errors
/// When nobody may set it so.
pub(super) fn change(walk: &mut Walk<'_>, name: &str, value: &Value) -> Result<Option<(Arc<str>, Setting)>, Refusal> {
    match name {
        "sql_mode" => match value {
            Value::Text(text) => {
                let mode = SqlMode::read(text)?;
                return Ok(Some((name.into(), Setting::To(mode.as_str().into()))));
            }
            Value::System(other) if other.ends_with("sql_mode") => {}
            Value::Default | Value::Variable(_) => {}
            Value::System(_) | Value::Unknown => return Err(not_followed(name)),
        },
        "character_set_client" | "character_set_connection" | "character_set_results" | "collation_connection" => {
            charset(name, value)?;
        }
        "tx_read_only" | "transaction_read_only" => {
            if !matches!(value, Value::Text(text) if is_on(text)) {
                write_access(walk);
            }
            if *value == Value::Unknown {
                return Err(not_followed(name));
            }
        }
        "autocommit" if *value == Value::Unknown => return Err(not_followed(name)),
        _ if FREE.binary_search(&name).is_ok() => {}
        _ => walk.need(Action::Admin, Object::Session(format!("variable {name}").into())),
    }
    let to = match value {
        Value::Text(text) => Setting::To(text.as_str().into()),
        Value::Default => Setting::Default,
        Value::Variable(name) => Setting::To(format!("@{name}").into()),
        Value::System(name) => Setting::To(format!("@@{name}").into()),
        Value::Unknown => return Ok(None),
    };
    Ok(Some((name.into(), to)))
}

fn charset(name: &str, value: &Value) -> Result<(), Refusal> {
    match value {
        Value::Text(text) => {
            let lower = text.to_ascii_lowercase();
            let charset = lower.split('_').next().unwrap_or_default();
            let none = name == "character_set_results" && lower == "null";
            if CHARSETS.contains(&charset) || none { Ok(()) } else { Err(unfit(text)) }
        }
        Value::Default | Value::Variable(_) => Ok(()),
        Value::System(other) if other.contains("character_set_") || other.contains("collation_") => Ok(()),
        Value::System(_) | Value::Unknown => Err(not_followed(name)),
    }
}

fn is_on(text: &str) -> bool {
    ["1", "on", "true"].iter().any(|on| on.eq_ignore_ascii_case(text))
}

/// The session may write again: only for who may write at all, as the read-only fence is for who may not.
pub(super) fn write_access(walk: &mut Walk<'_>) {
    walk.need(Action::Update, Object::Session("READ WRITE transactions".into()));
}

/// A computed value, where it can be folded: `CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')`. The order in which the server
/// names the modes is not known here, so what comes out is only what may be expected.
pub(super) fn folded(walk: &Walk<'_>, tree: &Expr) -> Value {
    text_of(walk, tree).map_or(Value::Unknown, Value::Text)
}

fn text_of(walk: &Walk<'_>, tree: &Expr) -> Option<String> {
    match tree {
        Expr::Value(constant) => match constant::value(constant) {
            Constant::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        Expr::Nested(inner) => text_of(walk, inner),
        // (SELECT REPLACE(@@sql_mode, 'a', '')): one value of no table.
        Expr::Subquery(query) => match (&*query.body, query.with.is_none() && query.limit_clause.is_none()) {
            (SetExpr::Select(select), true) if select.from.is_empty() && select.selection.is_none() => {
                match select.projection.as_slice() {
                    [SelectItem::UnnamedExpr(value)] if select.having.is_none() => text_of(walk, value),
                    _ => None,
                }
            }
            _ => None,
        },
        Expr::Identifier(name) if name.quote_style == Some(super::gate::VARIABLE_MARK) => {
            matches!(name.value.as_str(), "@@sql_mode" | "@@session.sql_mode" | "@@local.sql_mode")
                .then(|| walk.names.sql_mode.as_str().to_owned())
        }
        Expr::Function(call) => {
            let FunctionArguments::List(list) = &call.args else { return None };
            let mut parts = Vec::new();
            for argument in &list.args {
                let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = argument else { return None };
                parts.push(text_of(walk, value)?);
            }
            let [name] = call.name.0.as_slice() else { return None };
            match (name.as_ident()?.value.to_ascii_lowercase().as_str(), parts.as_slice()) {
                ("concat", parts) => Some(parts.concat()),
                ("replace", [text, from, to]) if !from.is_empty() => Some(text.replace(from.as_str(), to)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn not_followed(name: &str) -> Refusal {
    unsupported(&format!("SET {name} to a computed value"))
        .detail("the proxy has to know the value, because it changes what later statements mean")
        .hint("write the value as a constant")
}

fn unfit(charset: &str) -> Refusal {
    Refusal::new(RefusalKind::UnknownCharset, format!("the character set {charset} is not supported"))
        .detail("in it, bytes of ASCII characters may be parts of others, so statements and results cannot be read")
        .hint("SET NAMES utf8mb4")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_its_search() {
        assert!(FREE.is_sorted());
    }
}
