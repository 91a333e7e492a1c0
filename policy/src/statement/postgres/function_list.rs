//! Built-in functions that only compute or only tell names, by name: what every client may call without a grant; and
//! built-in types.
//! Data only, sorted, made from `pg_proc` of Postgres 15 and 18. What is not listed here needs `admin`.

/// Never fail, whatever the values of their arguments.
#[rustfmt::skip]
pub(super) const TOTAL: &[&str] = &[
    "any_value", "array_agg", "array_dims", "array_length", "array_lower", "array_ndims", "array_positions",
    "array_remove", "array_upper", "ascii", "bit_length", "bool_and", "bool_or", "broadcast", "btrim", "cardinality",
    "casefold", "char_length", "character_length", "clock_timestamp", "concat", "concat_ws", "cume_dist",
    "current_database", "current_schema", "current_user", "dense_rank", "every", "family", "first_value",
    "gen_random_uuid", "host", "hostmask", "initcap", "isempty", "isfinite", "json_agg", "json_agg_strict",
    "json_build_array", "json_typeof", "jsonb_agg", "jsonb_agg_strict", "jsonb_build_array", "jsonb_pretty",
    "jsonb_typeof", "lag", "last_value", "lead", "left", "length", "lower", "lower_inc", "lower_inf", "ltrim",
    "masklen", "max", "md5", "min", "mode", "netmask", "network", "now", "octet_length", "percent_rank",
    "pg_backend_pid", "pg_column_size", "pg_typeof", "pi", "position", "quote_ident", "quote_literal",
    "quote_nullable", "random", "rank", "reverse", "right", "row_number", "row_to_json", "rtrim", "session_user",
    "sha224", "sha256", "sha384", "sha512", "starts_with", "statement_timestamp", "string_agg", "strpos", "timeofday",
    "to_json", "to_jsonb", "transaction_timestamp", "unnest", "upper", "upper_inc", "upper_inf", "uuidv4", "uuidv7",
    "version",
];

/// Forms of the above that may fail, by their fewest arguments: an encoding to read bytes in, the bounds of a random
/// number, a shift of time.
pub(super) const PARTIAL_FORMS: &[(&str, usize)] = &[("length", 2), ("random", 1), ("uuidv7", 1)];

/// Of all these, what may say something else at each row: compared with a stored value it is a guess for each row.
#[rustfmt::skip]
pub(super) const VOLATILE: &[&str] = &[
    "array_sample", "array_shuffle", "clock_timestamp", "current_query", "currval", "gen_random_uuid", "lastval",
    "nextval", "pg_collation_actual_version", "pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn", "pg_database_collation_actual_version", "pg_database_size", "pg_get_sequence_data",
    "pg_get_wait_events", "pg_get_wal_replay_pause_state", "pg_indexes_size", "pg_is_in_recovery",
    "pg_is_wal_replay_paused", "pg_jit_available", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp", "pg_partition_ancestors", "pg_partition_tree", "pg_relation_size",
    "pg_sequence_last_value", "pg_table_size", "pg_tablespace_size", "pg_total_relation_size", "pg_xact_status",
    "random", "random_normal", "setseed", "setval", "timeofday", "txid_status", "uuidv4", "uuidv7",
];

/// Tell only whether their arguments are null.
#[rustfmt::skip]
pub(super) const NULLNESS: &[&str] = &[
    "count", "num_nonnulls", "num_nulls",
];

/// Compute, or tell names and sizes, and may fail on some values.
#[rustfmt::skip]
pub(super) const COMPUTE: &[&str] = &[
    "_pg_char_max_length", "_pg_char_octet_length", "_pg_datetime_precision", "_pg_expandarray", "_pg_index_position",
    "_pg_interval_type", "_pg_numeric_precision", "_pg_numeric_precision_radix", "_pg_numeric_scale", "_pg_truetypid",
    "_pg_truetypmod", "abbrev", "abs", "aclcontains", "acldefault", "aclexplode", "acos", "acosd", "acosh", "age",
    "anytextcat", "area", "array_append", "array_cat", "array_fill", "array_position", "array_prepend",
    "array_replace", "array_reverse", "array_sample", "array_shuffle", "array_sort", "array_to_json",
    "array_to_string", "array_to_tsvector", "asin", "asind", "asinh", "atan", "atan2", "atan2d", "atand", "atanh",
    "avg", "bit", "bit_and", "bit_count", "bit_or", "bit_xor", "bool", "bound_box", "box", "bpchar", "bytea",
    "cash_words", "cbrt", "ceil", "ceiling", "center", "char", "chr", "cidr", "circle", "col_description", "convert",
    "convert_from", "convert_to", "corr", "cos", "cosd", "cosh", "cot", "cotd", "covar_pop", "covar_samp", "crc32",
    "crc32c", "current_query", "current_schemas", "current_setting", "currval", "date", "date_add", "date_bin",
    "date_part", "date_subtract", "date_trunc", "datemultirange", "daterange", "decode", "degrees", "diagonal",
    "diameter", "div", "encode", "enum_first", "enum_last", "enum_range", "erf", "erfc", "exp", "extract", "factorial",
    "float4", "float8", "floor", "format", "format_type", "gamma", "gcd", "generate_series", "generate_subscripts",
    "get_bit", "get_byte", "get_current_ts_config", "getdatabaseencoding", "getpgusername", "grouping",
    "has_any_column_privilege", "has_column_privilege", "has_database_privilege", "has_foreign_data_wrapper_privilege",
    "has_function_privilege", "has_language_privilege", "has_largeobject_privilege", "has_parameter_privilege",
    "has_schema_privilege", "has_sequence_privilege", "has_server_privilege", "has_table_privilege",
    "has_tablespace_privilege", "has_type_privilege", "hashtext", "hashtextextended", "height", "icu_unicode_version",
    "inet_client_addr", "inet_client_port", "inet_merge", "inet_same_family", "inet_server_addr", "inet_server_port",
    "int2", "int4", "int4multirange", "int4range", "int8", "int8multirange", "int8range", "interval", "is_normalized",
    "isclosed", "ishorizontal", "isopen", "isparallel", "isperp", "isvertical", "json_array_elements",
    "json_array_elements_text", "json_array_length", "json_build_object", "json_each", "json_each_text",
    "json_extract_path", "json_extract_path_text", "json_object", "json_object_agg", "json_object_agg_strict",
    "json_object_agg_unique", "json_object_agg_unique_strict", "json_object_keys", "json_populate_record",
    "json_populate_recordset", "json_strip_nulls", "json_to_record", "json_to_recordset", "json_to_tsvector",
    "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_object", "jsonb_concat",
    "jsonb_contained", "jsonb_contains", "jsonb_delete", "jsonb_delete_path", "jsonb_each", "jsonb_each_text",
    "jsonb_exists", "jsonb_exists_all", "jsonb_exists_any", "jsonb_extract_path", "jsonb_extract_path_text",
    "jsonb_insert", "jsonb_object", "jsonb_object_agg", "jsonb_object_agg_strict", "jsonb_object_agg_unique",
    "jsonb_object_agg_unique_strict", "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_exists_tz",
    "jsonb_path_match", "jsonb_path_match_tz", "jsonb_path_query", "jsonb_path_query_array",
    "jsonb_path_query_array_tz", "jsonb_path_query_first", "jsonb_path_query_first_tz", "jsonb_path_query_tz",
    "jsonb_populate_record", "jsonb_populate_record_valid", "jsonb_populate_recordset", "jsonb_set", "jsonb_set_lax",
    "jsonb_strip_nulls", "jsonb_to_record", "jsonb_to_recordset", "jsonb_to_tsvector", "justify_days", "justify_hours",
    "justify_interval", "lastval", "lcm", "lgamma", "like_escape", "line", "ln", "log", "log10", "lpad", "lseg",
    "macaddr", "macaddr8", "macaddr8_set7bit", "make_date", "make_interval", "make_time", "make_timestamp",
    "make_timestamptz", "makeaclitem", "merge_action", "min_scale", "mod", "money", "multirange", "mxid_age", "name",
    "normalize", "npoints", "nth_value", "ntile", "numeric", "numeric_div_trunc", "nummultirange", "numnode",
    "numrange", "obj_description", "oid", "oidvectortypes", "overlaps", "overlay", "parse_ident", "path", "pclose",
    "percentile_cont", "percentile_disc", "pg_available_extension_versions", "pg_available_extensions", "pg_basetype",
    "pg_char_to_encoding", "pg_client_encoding", "pg_collation_actual_version", "pg_collation_for",
    "pg_collation_is_visible", "pg_column_compression", "pg_column_is_updatable", "pg_conf_load_time",
    "pg_conversion_is_visible", "pg_current_snapshot", "pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn", "pg_current_xact_id", "pg_current_xact_id_if_assigned", "pg_cursor",
    "pg_database_collation_actual_version", "pg_database_size", "pg_describe_object", "pg_encoding_max_length",
    "pg_encoding_to_char", "pg_extension_update_paths", "pg_filenode_relation", "pg_function_is_visible", "pg_get_acl",
    "pg_get_catalog_foreign_keys", "pg_get_constraintdef", "pg_get_expr", "pg_get_function_arg_default",
    "pg_get_function_arguments", "pg_get_function_identity_arguments", "pg_get_function_result",
    "pg_get_function_sqlbody", "pg_get_functiondef", "pg_get_indexdef", "pg_get_keywords", "pg_get_object_address",
    "pg_get_partition_constraintdef", "pg_get_partkeydef", "pg_get_publication_tables",
    "pg_get_replica_identity_index", "pg_get_ruledef", "pg_get_sequence_data", "pg_get_serial_sequence",
    "pg_get_statisticsobjdef", "pg_get_statisticsobjdef_columns", "pg_get_statisticsobjdef_expressions",
    "pg_get_triggerdef", "pg_get_userbyid", "pg_get_viewdef", "pg_get_wait_events", "pg_get_wal_replay_pause_state",
    "pg_has_role", "pg_identify_object", "pg_identify_object_as_address", "pg_index_column_has_property",
    "pg_index_has_property", "pg_indexam_has_property", "pg_indexam_progress_phasename", "pg_indexes_size",
    "pg_input_error_info", "pg_input_is_valid", "pg_is_in_recovery", "pg_is_other_temp_schema",
    "pg_is_wal_replay_paused", "pg_jit_available", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp", "pg_listening_channels", "pg_lsn", "pg_my_temp_schema", "pg_numa_available",
    "pg_opclass_is_visible", "pg_operator_is_visible", "pg_opfamily_is_visible", "pg_options_to_table",
    "pg_partition_ancestors", "pg_partition_root", "pg_partition_tree", "pg_postmaster_start_time",
    "pg_prepared_statement", "pg_relation_filenode", "pg_relation_filepath", "pg_relation_is_publishable",
    "pg_relation_is_updatable", "pg_relation_size", "pg_sequence_last_value", "pg_sequence_parameters",
    "pg_settings_get_flags", "pg_show_all_settings", "pg_size_bytes", "pg_size_pretty", "pg_snapshot_xip",
    "pg_snapshot_xmax", "pg_snapshot_xmin", "pg_split_walfile_name", "pg_statistics_obj_is_visible",
    "pg_table_is_visible", "pg_table_size", "pg_tablespace_location", "pg_tablespace_size", "pg_timezone_abbrevs",
    "pg_timezone_abbrevs_abbrevs", "pg_timezone_abbrevs_zone", "pg_timezone_names", "pg_total_relation_size",
    "pg_trigger_depth", "pg_ts_config_is_visible", "pg_ts_dict_is_visible", "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible", "pg_type_is_visible", "pg_visible_in_snapshot", "pg_wal_lsn_diff", "pg_walfile_name",
    "pg_walfile_name_offset", "pg_xact_status", "phraseto_tsquery", "plainto_tsquery", "point", "polygon", "popen",
    "pow", "power", "querytree", "radians", "radius", "random_normal", "range_agg", "range_intersect_agg",
    "range_merge", "regclass", "regexp_count", "regexp_instr", "regexp_like", "regexp_match", "regexp_matches",
    "regexp_replace", "regexp_split_to_array", "regexp_split_to_table", "regexp_substr", "regr_avgx", "regr_avgy",
    "regr_count", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "repeat", "replace",
    "round", "row_security_active", "rpad", "scale", "set_bit", "set_byte", "set_masklen", "setseed", "setweight",
    "shobj_description", "sign", "similar_escape", "similar_to_escape", "sin", "sind", "sinh", "slope", "split_part",
    "sqrt", "stddev", "stddev_pop", "stddev_samp", "string_to_array", "string_to_table", "strip", "substr",
    "substring", "sum", "system_user", "tan", "tand", "tanh", "text", "textanycat", "time", "timestamp", "timestamptz",
    "timetz", "timezone", "to_ascii", "to_bin", "to_char", "to_date", "to_hex", "to_number", "to_oct", "to_regclass",
    "to_regcollation", "to_regnamespace", "to_regoper", "to_regoperator", "to_regproc", "to_regprocedure",
    "to_regrole", "to_regtype", "to_regtypemod", "to_timestamp", "to_tsquery", "to_tsvector", "translate",
    "trim_array", "trim_scale", "trunc", "ts_debug", "ts_delete", "ts_filter", "ts_headline", "ts_lexize", "ts_parse",
    "ts_rank", "ts_rank_cd", "ts_token_type", "tsmultirange", "tsquery_phrase", "tsrange", "tstzmultirange",
    "tstzrange", "tsvector_to_array", "txid_current", "txid_current_if_assigned", "txid_current_snapshot",
    "txid_snapshot_xip", "txid_snapshot_xmax", "txid_snapshot_xmin", "txid_status", "txid_visible_in_snapshot",
    "unicode_assigned", "unicode_version", "unistr", "uuid_extract_timestamp", "uuid_extract_version", "var_pop",
    "var_samp", "varbit", "varchar", "variance", "websearch_to_tsquery", "width", "width_bucket", "xid", "xml",
    "xml_is_well_formed", "xml_is_well_formed_content", "xml_is_well_formed_document", "xmlagg", "xmlcomment",
    "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltext",
    "xpath", "xpath_exists",
];

/// Built-in types by their names in `pg_type`, without arrays and row types.
#[rustfmt::skip]
pub(super) const TYPES: &[&str] = &[
    "aclitem", "any", "anyarray", "anycompatible", "anycompatiblearray", "anycompatiblemultirange",
    "anycompatiblenonarray", "anycompatiblerange", "anyelement", "anyenum", "anymultirange", "anynonarray",
    "anyrange", "bit", "bool", "box", "bpchar", "bytea", "char", "cid", "cidr", "circle", "cstring", "date",
    "datemultirange", "daterange", "event_trigger", "fdw_handler", "float4", "float8", "gtsvector",
    "index_am_handler", "inet", "int2", "int2vector", "int4", "int4multirange", "int4range", "int8",
    "int8multirange", "int8range", "internal", "interval", "json", "jsonb", "jsonpath", "language_handler", "line",
    "lseg", "macaddr", "macaddr8", "money", "name", "numeric", "nummultirange", "numrange", "oid", "oid8",
    "oidvector", "path", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "pg_ddl_command",
    "pg_dependencies", "pg_lsn", "pg_mcv_list", "pg_ndistinct", "pg_node_tree", "pg_snapshot", "point", "polygon",
    "record", "refcursor", "regclass", "regcollation", "regconfig", "regdatabase", "regdictionary", "regnamespace",
    "regoper", "regoperator", "regproc", "regprocedure", "regrole", "regtype", "table_am_handler", "text", "tid",
    "time", "timestamp", "timestamptz", "timetz", "trigger", "tsm_handler", "tsmultirange", "tsquery", "tsrange",
    "tstzmultirange", "tstzrange", "tsvector", "txid_snapshot", "unknown", "uuid", "varbit", "varchar", "void",
    "xid", "xid8", "xml",
];
