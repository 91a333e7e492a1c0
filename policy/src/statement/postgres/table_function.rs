//! Which built-in functions give rows of several columns, and how these are called: what `SELECT * FROM f()` shows.
//! Data about `pg_catalog` only; whether a function may be called is `function`'s affair.

/// The columns of a built-in function that gives several, or one with a name of its own. The same on all versions.
const COLUMNS: &[(&str, &[&str])] = &[
    ("aclexplode", &["grantor", "grantee", "privilege_type", "is_grantable"]),
    ("json_array_elements", &["value"]),
    ("json_array_elements_text", &["value"]),
    ("json_each", &["key", "value"]),
    ("json_each_text", &["key", "value"]),
    ("jsonb_array_elements", &["value"]),
    ("jsonb_array_elements_text", &["value"]),
    ("jsonb_each", &["key", "value"]),
    ("jsonb_each_text", &["key", "value"]),
    (
        "pg_available_extension_versions",
        &["name", "version", "superuser", "trusted", "relocatable", "schema", "requires", "comment"],
    ),
    ("pg_available_extensions", &["name", "default_version", "comment"]),
    ("pg_available_wal_summaries", &["tli", "start_lsn", "end_lsn"]),
    ("pg_backup_stop", &["lsn", "labelfile", "spcmapfile"]),
    ("pg_config", &["name", "setting"]),
    ("pg_cursor", &["name", "statement", "is_holdable", "is_binary", "is_scrollable", "creation_time"]),
    ("pg_extension_update_paths", &["source", "target", "path"]),
    (
        "pg_get_aios",
        &[
            "pid",
            "io_id",
            "io_generation",
            "state",
            "operation",
            "off",
            "length",
            "target",
            "handle_data_len",
            "raw_result",
            "result",
            "target_desc",
            "f_sync",
            "f_localmem",
            "f_buffered",
        ],
    ),
    ("pg_get_catalog_foreign_keys", &["fktable", "fkcols", "pktable", "pkcols", "is_array", "is_opt"]),
    ("pg_get_keywords", &["word", "catcode", "barelabel", "catdesc", "baredesc"]),
    ("pg_get_loaded_modules", &["module_name", "version", "file_name"]),
    ("pg_get_multixact_members", &["xid", "mode"]),
    ("pg_get_object_address", &["classid", "objid", "objsubid"]),
    ("pg_get_sequence_data", &["last_value", "is_called"]),
    ("pg_get_shmem_allocations", &["name", "off", "size", "allocated_size"]),
    ("pg_get_shmem_allocations_numa", &["name", "numa_node", "size"]),
    ("pg_get_wait_events", &["type", "name", "description"]),
    ("pg_get_wal_resource_managers", &["rm_id", "rm_name", "rm_builtin"]),
    ("pg_get_wal_summarizer_state", &["summarized_tli", "summarized_lsn", "pending_lsn", "summarizer_pid"]),
    ("pg_identify_object", &["type", "schema", "name", "identity"]),
    ("pg_identify_object_as_address", &["type", "object_names", "object_args"]),
    ("pg_input_error_info", &["message", "detail", "hint", "sql_error_code"]),
    ("pg_last_committed_xact", &["xid", "timestamp", "roident"]),
    (
        "pg_lock_status",
        &[
            "locktype",
            "database",
            "relation",
            "page",
            "tuple",
            "virtualxid",
            "transactionid",
            "classid",
            "objid",
            "objsubid",
            "virtualtransaction",
            "pid",
            "mode",
            "granted",
            "fastpath",
            "waitstart",
        ],
    ),
    ("pg_mcv_list_items", &["index", "values", "nulls", "frequency", "base_frequency"]),
    ("pg_options_to_table", &["option_name", "option_value"]),
    ("pg_partition_ancestors", &["relid"]),
    ("pg_partition_tree", &["relid", "parentrelid", "isleaf", "level"]),
    ("pg_prepared_xact", &["transaction", "gid", "prepared", "ownerid", "dbid"]),
    ("pg_replication_slot_advance", &["slot_name", "end_lsn"]),
    (
        "pg_sequence_parameters",
        &["start_value", "minimum_value", "maximum_value", "increment", "cycle_option", "cache_size", "data_type"],
    ),
    ("pg_show_all_file_settings", &["sourcefile", "sourceline", "seqno", "name", "setting", "applied", "error"]),
    (
        "pg_show_all_settings",
        &[
            "name",
            "setting",
            "unit",
            "category",
            "short_desc",
            "extra_desc",
            "context",
            "vartype",
            "source",
            "min_val",
            "max_val",
            "enumvals",
            "boot_val",
            "reset_val",
            "sourcefile",
            "sourceline",
            "pending_restart",
        ],
    ),
    ("pg_show_replication_origin_status", &["local_id", "external_id", "remote_lsn", "local_lsn"]),
    ("pg_split_walfile_name", &["segment_number", "timeline_id"]),
    ("pg_timezone_abbrevs", &["abbrev", "utc_offset", "is_dst"]),
    ("pg_timezone_abbrevs_abbrevs", &["abbrev", "utc_offset", "is_dst"]),
    ("pg_timezone_abbrevs_zone", &["abbrev", "utc_offset", "is_dst"]),
    ("pg_timezone_names", &["name", "abbrev", "utc_offset", "is_dst"]),
    (
        "pg_wal_summary_contents",
        &["relfilenode", "reltablespace", "reldatabase", "relforknumber", "relblocknumber", "is_limit_block"],
    ),
    ("pg_walfile_name_offset", &["file_name", "file_offset"]),
    ("pg_xact_commit_timestamp_origin", &["timestamp", "roident"]),
    ("ts_debug", &["alias", "description", "token", "dictionaries", "dictionary", "lexemes"]),
    ("ts_parse", &["tokid", "token"]),
    ("ts_stat", &["word", "ndoc", "nentry"]),
    ("ts_token_type", &["tokid", "alias", "description"]),
];

/// Built-in functions that give several columns, which ones depending on the version or on their arguments.
const UNKNOWN: &[&str] = &[
    "json_populate_record",
    "json_populate_recordset",
    "jsonb_populate_record",
    "jsonb_populate_recordset",
    "pg_control_checkpoint",
    "pg_control_init",
    "pg_control_recovery",
    "pg_control_system",
    "pg_copy_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_create_logical_replication_slot",
    "pg_create_physical_replication_slot",
    "pg_event_trigger_ddl_commands",
    "pg_event_trigger_dropped_objects",
    "pg_event_trigger_table_rewrite_oid",
    "pg_get_backend_memory_contexts",
    "pg_get_publication_tables",
    "pg_get_replication_slots",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_logical_slot_get_binary_changes",
    "pg_logical_slot_get_changes",
    "pg_logical_slot_peek_binary_changes",
    "pg_logical_slot_peek_changes",
    "pg_ls_archive_statusdir",
    "pg_ls_logdir",
    "pg_ls_logicalmapdir",
    "pg_ls_logicalsnapdir",
    "pg_ls_replslotdir",
    "pg_ls_summariesdir",
    "pg_ls_tmpdir",
    "pg_ls_waldir",
    "pg_prepared_statement",
    "pg_stat_file",
    "pg_stat_get_activity",
    "pg_stat_get_archiver",
    "pg_stat_get_backend_io",
    "pg_stat_get_backend_subxact",
    "pg_stat_get_backend_wal",
    "pg_stat_get_io",
    "pg_stat_get_progress_info",
    "pg_stat_get_recovery_prefetch",
    "pg_stat_get_replication_slot",
    "pg_stat_get_slru",
    "pg_stat_get_subscription",
    "pg_stat_get_subscription_stats",
    "pg_stat_get_wal",
    "pg_stat_get_wal_receiver",
    "pg_stat_get_wal_senders",
];

/// Built-in functions that make rows out of one value: how many there are tells about it.
const SET_RETURNING: &[&str] = &[
    "generate_series",
    "generate_subscripts",
    "json_object_keys",
    "json_populate_recordset",
    "json_to_recordset",
    "jsonb_object_keys",
    "jsonb_path_query",
    "jsonb_path_query_tz",
    "jsonb_populate_recordset",
    "jsonb_to_recordset",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
    "unnest",
];

/// What `path` is called, if it is a built-in function's name.
fn built_in(path: &[String]) -> Option<&str> {
    match path {
        [name] => Some(name),
        [schema, name] if schema == "pg_catalog" => Some(name),
        _ => None,
    }
}

/// The columns of the built-in function of that name, if it gives a row of known ones.
pub(super) fn columns(path: &[String]) -> Option<&'static [&'static str]> {
    if path.len() == 2 && path.iter().map(String::as_str).eq(["information_schema", "_pg_expandarray"]) {
        return Some(&["x", "n"]);
    }
    let name = built_in(path)?;
    COLUMNS.iter().find(|(known, _)| *known == name).map(|(_, columns)| *columns)
}

/// Whether the built-in function of that name gives a row of columns that are not known here.
pub(super) fn is_unknown(path: &[String]) -> bool {
    built_in(path).is_none_or(|name| UNKNOWN.contains(&name))
}

/// Whether the built-in function of that name may make any number of rows.
pub(super) fn is_set_returning(path: &[String]) -> bool {
    built_in(path).is_some_and(|name| SET_RETURNING.contains(&name)) || columns(path).is_some()
}
