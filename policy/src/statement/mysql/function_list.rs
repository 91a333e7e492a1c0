//! The built-in functions that everybody may call, by what they tell of their arguments. Lists only.
//! Not here, and so not allowed: LOAD_FILE, SLEEP, BENCHMARK, everything that waits, writes, or looks at other sessions.

/// Never fail and never warn, whatever their arguments. Sorted.
#[rustfmt::skip]
pub(super) const TOTAL: &[&str] = &[
    "any_value", "ascii", "bit_length", "char_length", "character_length", "charset", "coalesce", "coercibility",
    "collation", "concat", "concat_ws", "connection_id", "crc32", "cume_dist", "curdate", "current_date",
    "current_role", "current_time", "current_timestamp", "current_user", "curtime", "database", "default",
    "dense_rank", "field", "find_in_set", "first_value", "found_rows", "get_format", "greatest", "group_concat",
    "grouping", "hex", "icu_version", "if", "ifnull", "instr", "json_array", "json_arrayagg", "json_object",
    "json_objectagg", "json_quote", "lag", "last_insert_id", "last_value", "lcase", "lead", "least", "length",
    "localtime", "localtimestamp", "lower", "ltrim", "max", "md5", "min", "now", "nth_value", "ntile", "nullif",
    "nvl", "nvl2", "octet_length", "ord", "percent_rank", "pi", "quote", "rand", "rank", "replace", "reverse", "row",
    "row_count", "row_number", "rtrim", "schema", "session_user", "sha", "sha1", "soundex", "strcmp", "sysdate",
    "system_user", "to_base64", "trim", "ucase", "upper", "user", "utc_date", "utc_time", "utc_timestamp", "uuid",
    "uuid_short", "value", "values", "version",
];

/// Show nothing of their arguments but whether they are null. Sorted.
#[rustfmt::skip]
pub(super) const NULLNESS: &[&str] = &[
    "count", "isnull",
];

/// Compute only, and may fail, warn, or convert their arguments to numbers or dates, which warns. Sorted.
#[rustfmt::skip]
pub(super) const COMPUTE: &[&str] = &[
    "abs", "acos", "add_months", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "area", "asbinary", "asin",
    "astext", "aswkb", "aswkt", "atan", "atan2", "avg", "bin", "bin_to_uuid", "binlog_gtid_pos", "bit_and", "bit_count",
    "bit_or", "bit_xor", "boundary", "buffer", "ceil", "ceiling", "centroid", "char", "chr", "column_add",
    "column_check", "column_create", "column_delete", "column_exists", "column_get", "column_json", "column_list",
    "compress", "concat_operator_oracle", "contains", "conv", "convert_tz", "convexhull", "cos", "cot", "crc32c",
    "crosses", "current_role_in", "current_user_in", "date", "date_add", "date_format", "date_sub", "datediff", "day",
    "dayname", "dayofmonth", "dayofweek", "dayofyear", "decode", "decode_histogram", "decode_oracle", "degrees",
    "des_decrypt", "des_encrypt", "dimension", "disjoint", "distance", "div", "elt", "encode", "encrypt", "endpoint",
    "envelope", "equals", "etag", "exp", "export_set", "exteriorring", "extractvalue", "floor", "format",
    "format_bytes", "format_pico_time", "from_base64", "from_days", "from_unixtime", "from_vector", "geomcollection",
    "geomcollfromtext", "geomcollfromwkb", "geometrycollection", "geometrycollectionfromtext",
    "geometrycollectionfromwkb", "geometryfromtext", "geometryfromwkb", "geometryn", "geometrytype", "geomfromtext",
    "geomfromwkb", "glength", "gtid_subset", "gtid_subtract", "hour", "inet6_aton", "inet6_ntoa", "inet_aton",
    "inet_ntoa", "insert", "interiorringn", "intersects", "interval", "is_ipv4", "is_ipv4_compat", "is_ipv4_mapped",
    "is_ipv6", "is_uuid", "isclosed", "isempty", "isring", "issimple", "json_append", "json_array_append",
    "json_array_insert", "json_array_intersect", "json_compact", "json_contains", "json_contains_path", "json_depth",
    "json_detailed", "json_equals", "json_exists", "json_extract", "json_insert", "json_key_value", "json_keys",
    "json_length", "json_loose", "json_merge", "json_merge_patch", "json_merge_preserve", "json_normalize",
    "json_object_filter_keys", "json_object_to_array", "json_overlaps", "json_pretty", "json_query", "json_remove",
    "json_replace", "json_schema_valid", "json_schema_validation_report", "json_search", "json_set",
    "json_storage_free", "json_storage_size", "json_table", "json_type", "json_unquote", "json_valid", "json_value",
    "kdf", "last_day", "left", "length_b", "lengthb", "linefromtext", "linefromwkb", "linestring", "linestringfromtext",
    "linestringfromwkb", "ln", "locate", "log", "log10", "log2", "lpad", "lpad_oracle", "ltrim_oracle", "make_set",
    "makedate", "maketime", "mbrcontains", "mbrcoveredby", "mbrcovers", "mbrdisjoint", "mbrequal", "mbrequals",
    "mbrintersects", "mbroverlaps", "mbrtouches", "mbrwithin", "median", "microsecond", "mid", "minute",
    "mlinefromtext", "mlinefromwkb", "mod", "month", "monthname", "months_between", "mpointfromtext", "mpointfromwkb",
    "mpolyfromtext", "mpolyfromwkb", "multilinestring", "multilinestringfromtext", "multilinestringfromwkb",
    "multipoint", "multipointfromtext", "multipointfromwkb", "multipolygon", "multipolygonfromtext",
    "multipolygonfromwkb", "name_const", "natural_sort_key", "numgeometries", "numinteriorrings", "numpoints", "oct",
    "old_password", "overlaps", "password", "percentile_cont", "percentile_disc", "period_add", "period_diff", "point",
    "pointfromtext", "pointfromwkb", "pointn", "pointonsurface", "polyfromtext", "polyfromwkb", "polygon",
    "polygonfromtext", "polygonfromwkb", "position", "pow", "power", "quarter", "radians", "random_bytes",
    "regexp_instr", "regexp_like", "regexp_replace", "regexp_substr", "repeat", "replace_oracle", "right", "round",
    "rownum", "rpad", "rpad_oracle", "rtrim_oracle", "sec_to_time", "second", "sformat", "sha2", "sign", "sin", "space",
    "sqrt", "srid", "st_area", "st_asbinary", "st_asgeojson", "st_astext", "st_aswkb", "st_aswkt", "st_boundary",
    "st_buffer", "st_buffer_strategy", "st_centroid", "st_collect", "st_contains", "st_convexhull", "st_crosses",
    "st_difference", "st_dimension", "st_disjoint", "st_distance", "st_distance_sphere", "st_endpoint", "st_envelope",
    "st_equals", "st_exteriorring", "st_frechetdistance", "st_geohash", "st_geomcollfromtext", "st_geomcollfromtxt",
    "st_geomcollfromwkb", "st_geometrycollectionfromtext", "st_geometrycollectionfromwkb", "st_geometryfromtext",
    "st_geometryfromwkb", "st_geometryn", "st_geometrytype", "st_geomfromgeojson", "st_geomfromtext", "st_geomfromwkb",
    "st_hausdorffdistance", "st_interiorringn", "st_intersection", "st_intersects", "st_isclosed", "st_isempty",
    "st_isring", "st_issimple", "st_isvalid", "st_latfromgeohash", "st_latitude", "st_length", "st_linefromtext",
    "st_linefromwkb", "st_lineinterpolatepoint", "st_lineinterpolatepoints", "st_linestringfromtext",
    "st_linestringfromwkb", "st_longfromgeohash", "st_longitude", "st_makeenvelope", "st_mlinefromtext",
    "st_mlinefromwkb", "st_mpointfromtext", "st_mpointfromwkb", "st_mpolyfromtext", "st_mpolyfromwkb",
    "st_multilinestringfromtext", "st_multilinestringfromwkb", "st_multipointfromtext", "st_multipointfromwkb",
    "st_multipolygonfromtext", "st_multipolygonfromwkb", "st_numgeometries", "st_numinteriorring",
    "st_numinteriorrings", "st_numpoints", "st_overlaps", "st_pointatdistance", "st_pointfromgeohash",
    "st_pointfromtext", "st_pointfromwkb", "st_pointn", "st_pointonsurface", "st_polyfromtext", "st_polyfromwkb",
    "st_polygonfromtext", "st_polygonfromwkb", "st_relate", "st_simplify", "st_srid", "st_startpoint", "st_swapxy",
    "st_symdifference", "st_touches", "st_transform", "st_union", "st_validate", "st_within", "st_x", "st_y",
    "startpoint", "statement_digest", "statement_digest_text", "std", "stddev", "stddev_pop", "stddev_samp",
    "str_to_date", "string_to_vector", "subdate", "substr", "substr_oracle", "substring", "substring_index", "subtime",
    "sum", "sys_guid", "tan", "time", "time_format", "time_to_sec", "timediff", "timestamp", "timestampadd",
    "timestampdiff", "to_char", "to_days", "to_number", "to_seconds", "to_vector", "touches", "trim_oracle", "truncate",
    "uncompress", "uncompressed_length", "unhex", "unix_timestamp", "updatexml", "uuid_to_bin", "uuid_v4", "uuid_v7",
    "validate_password_strength", "var_pop", "var_samp", "variance", "vector_dim", "vector_to_string", "week",
    "weekday", "weekofyear", "weight_string", "within", "x", "y", "year", "yearweek",
];
