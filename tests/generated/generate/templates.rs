//! What values are made of, by dialect: SQL with holes (see `Generator::fill`). Lists only.

use crate::schema::{Dialect, Ty};

/// Templates of values of a type.
pub(super) fn of(dialect: Dialect, ty: Ty) -> Vec<&'static str> {
    let own = if dialect.is_postgres() { POSTGRES } else { MYSQL };
    let fitting = BOTH.iter().chain(own).filter(|(of, _)| *of == ty);
    let fitting = fitting.flat_map(|(_, list)| list.iter().copied());
    fitting.filter(|template| dialect != Dialect::MariaDb || !NOT_ON_MARIADB.contains(template)).collect()
}

/// Aggregates of a type.
pub(super) fn aggregates(dialect: Dialect, ty: Ty) -> Vec<&'static str> {
    let own = if dialect.is_postgres() { POSTGRES_AGGREGATES } else { MYSQL_AGGREGATES };
    AGGREGATES.iter().chain(own).filter(|(of, _)| *of == ty).flat_map(|(_, list)| list.iter().copied()).collect()
}

/// Window functions of a type.
pub(super) fn windows(dialect: Dialect, ty: Ty) -> Vec<&'static str> {
    let own = if dialect.is_postgres() { POSTGRES_WINDOWS } else { &[] };
    WINDOWS.iter().chain(own).filter(|(of, _)| *of == ty).flat_map(|(_, list)| list.iter().copied()).collect()
}

/// Whether MySQL and MariaDB are free in what comes of it: they sort rows that are equal by where these lie in memory.
pub(super) fn is_unsettled(template: &str) -> bool {
    let parts = ["row_number(", "lag(", "lead(", "first_value(", "last_value(", "nth_value(", "ntile("];
    let lists = ["group_concat(", "json_arrayagg(", "json_objectagg("];
    parts.iter().chain(&lists).any(|part| template.contains(part))
}

type Lists = &'static [(Ty, &'static [&'static str])];

const NOT_ON_MARIADB: &[&str] = &["{i} IN (TABLE sink)", "CAST({j} AS JSON)", "({t} MEMBER OF ('[\"k\"]'))"];

const BOTH: Lists = &[
    (
        Ty::Int,
        &[
            "({i} + {i})",
            "({i} - 1)",
            "(- {i})",
            "abs({i})",
            "mod({i}, 7)",
            "length({t})",
            "char_length({t})",
            "coalesce({i}, 5)",
            "nullif({I}, {I})",
            "CASE WHEN {b} THEN {i} ELSE {i} END",
            "CASE {T} WHEN 'k' THEN 1 WHEN {T} THEN 2 ELSE 3 END",
            "greatest({i}, {i})",
            "least({i}, 9)",
            "({qi})",
            "(SELECT count(*) FROM ({Q}) AS cnt)",
            "extract(year FROM {d})",
            "extract(month FROM {s})",
            "sign({i})",
        ],
    ),
    (
        Ty::Num,
        &[
            "({n} + {n})",
            "({n} * 2)",
            "({n} / 4)",
            "round({n}, 1)",
            "coalesce({n}, 0.5)",
            "({qn})",
            "abs({n})",
            "floor({n})",
            "(100 / {n})",
            "sqrt(abs({n}))",
        ],
    ),
    (
        Ty::Text,
        &[
            "lower({t})",
            "upper({t})",
            "concat({t}, '-', {t})",
            "replace({t}, 'a', 'b')",
            "substring({t}, 2, 3)",
            "left({t}, 3)",
            "right({t}, 2)",
            "trim({t})",
            "coalesce({t}, {t})",
            "nullif({T}, {T})",
            "CASE WHEN {b} THEN {t} ELSE {t} END",
            "CASE WHEN {b} THEN {t} WHEN {b} THEN 'w' END",
            "greatest({t}, {t})",
            "least({t}, 'm')",
            "({qt})",
            "reverse({t})",
            "lpad({t}, 12, '*')",
            "rpad({t}, 5, '-')",
            "md5({t})",
            "repeat({t}, 2)",
            "concat_ws(',', {t}, {i})",
        ],
    ),
    (
        Ty::Bool,
        &[
            "({I} = {I})",
            "({T} = {T})",
            "({T} = 'k')",
            "({T} <> {T})",
            "({T} IN ({T}, 'k', {T}))",
            "({I} NOT IN (1, 2, {I}))",
            "({i} > {i})",
            "({i} <= 3)",
            "({n} >= {n})",
            "({d} < DATE '2000-01-01')",
            "({s} > TIMESTAMP '2001-01-01 00:00:00')",
            "({i} BETWEEN 2 AND {i})",
            "({d} BETWEEN DATE '1950-01-01' AND {d})",
            "({t} LIKE '%b%')",
            "({t} NOT LIKE 'q%')",
            "({t} < {t})",
            "({=} IS NULL)",
            "({=} IS NOT NULL)",
            "({b} AND {b})",
            "({b} OR {b})",
            "(NOT {b})",
            "EXISTS ({Q})",
            "(NOT EXISTS ({Q}))",
            "({I} IN ({qI}))",
            "({T} IN ({qT}))",
            "({I} NOT IN ({qI}))",
            "({i} > ALL ({qi}))",
            "({I} = ANY ({qI}))",
            "(({I}, {T}) = ({I}, {T}))",
            "(({I}, {I}) IN ((1, 2), ({I}, 3)))",
            "({b} IS TRUE)",
            "({T} = ({qT}))",
            "({i} < ({qi}))",
            "({b} IS NOT FALSE)",
        ],
    ),
    (
        Ty::Date,
        &[
            "coalesce({d}, DATE '2024-01-01')",
            "({qd})",
            "CASE WHEN {b} THEN {d} END",
            "greatest({d}, {d})",
            "CAST({s} AS date)",
            "({d} + INTERVAL '1' DAY)",
        ],
    ),
    (Ty::Stamp, &["coalesce({s}, {s})", "({qs})", "({s} - INTERVAL '2' HOUR)", "least({s}, {s})"]),
    (Ty::Json, &["coalesce({j}, {j})", "({qj})", "CASE WHEN {b} THEN {j} END"]),
    (Ty::Bytes, &["coalesce({y}, {y})", "({qy})"]),
];

const POSTGRES: Lists = &[
    (
        Ty::Int,
        &[
            "cardinality({a})",
            "octet_length({y})",
            "strpos({t}, 'b')",
            "ascii({t})",
            "({t})::bigint",
            "CAST({n} AS bigint)",
            "jsonb_array_length(jsonb_build_array({i}, {t}))",
            "(DATE '2024-01-01' - {d})",
            "({j} ->> 'n')::bigint",
            "hashtext({t})",
            "width_bucket({n}, 0, 1000, 4)",
            "pg_column_size({*})",
            "position('a' IN {t})",
            "({i})::smallint",
            "({i} / {i})",
            "num_nulls({t}, {i})",
            "({i} << 1)",
            "generate_series(1, 2)",
            "generate_series(1, length({t}) % 4)",
            "array_length(ARRAY[{i}, {i}], 1)",
        ],
    ),
    (
        Ty::Num,
        &[
            "({i})::numeric",
            "({t})::numeric",
            "trunc({n})",
            "power(2, 3)",
            "date_part('year', {s})::numeric",
            "to_number('12', '99')",
            "log(abs({n}) + 1)",
        ],
    ),
    (
        Ty::Text,
        &[
            "({t} || {t})",
            "({i})::text",
            "({n})::text",
            "CAST({d} AS text)",
            "({s})::text",
            "({t})::varchar(5)",
            "({j} ->> 'k')",
            "({j} #>> '{k,0}')",
            "({j})::text",
            "initcap({t})",
            "format('%s/%s', {t}, {i})",
            "to_char({d}, 'YYYY-MM')",
            "to_char({n}, 'FM999999990.00')",
            "split_part({t}, 'b', 1)",
            "translate({t}, 'abc', 'xyz')",
            "regexp_replace({t}, '[a-m]', '#', 'g')",
            "substring({t} FROM '[a-z]+')",
            "(regexp_match({t}, '([a-z])'))[1]",
            "array_to_string({a}, '|')",
            "({a})[1]",
            "encode({y}, 'hex')",
            "encode(sha256(convert_to({t}, 'UTF8')), 'base64')",
            "({r})::text",
            "(to_jsonb({r}) ->> 'name')",
            "row_to_json({r})::text",
            "(row_to_json({r}) ->> 'id')",
            "(ROW({t}, {i}))::text",
            "quote_literal({t})",
            "overlay({t} placing 'zz' FROM 1 FOR 2)",
            "unnest({a})",
            "unnest(ARRAY[{t}, {t}])",
            "(VALUES ({t}) LIMIT 1)",
            "(SELECT string_agg(v, '+') FROM unnest({a}) AS v)",
            "(xpath('/a/text()', '<a>k</a>'::xml))[1]::text",
            "jsonb_typeof({j})",
            "regexp_split_to_table({t}, 'b')",
            "(ARRAY(({qt})))[1]",
            "({t} COLLATE \"C\")",
            "jsonb_object_keys({j})",
            "jsonb_path_query_first({j}, '$.k')::text",
            "(string_to_array({t}, 'b'))[1]",
            "chr(65 + ({i} % 20)::int)",
            "to_hex({i})",
            "left({t}, ({i} % 3)::int)",
        ],
    ),
    (
        Ty::Bool,
        &[
            "({t} ~ '^[a-m]')",
            "({t} !~* 'Q')",
            "({t} ILIKE 'Q%')",
            "({t} SIMILAR TO 'q%')",
            "({T} IS DISTINCT FROM {T})",
            "({T} IS NOT DISTINCT FROM {T})",
            "({t} = ANY ({a}))",
            "({T} = ANY (ARRAY['k', {T}]))",
            "({a} @> ARRAY['x'])",
            "({a} && {a})",
            "({j} ? 'k')",
            "({j} @> '{\"k\": 1}')",
            "({j} = {j})",
            "({r} IS NULL)",
            "({r} IS NOT NULL)",
            "({r} = {r})",
            "(ROW({I}, {T}) IS NOT DISTINCT FROM ROW({I}, 'k'))",
            "({b} = {b})",
            "({b} IS UNKNOWN)",
            "({t})::boolean",
            "({i} BETWEEN SYMMETRIC 9 AND {i})",
            "({t} ^@ 'q')",
            "({I} <> ALL (ARRAY[{I}, 4]))",
            "starts_with({t}, 'q')",
            "({t} >= ALL ({qt}))",
            "((DATE '2020-01-01', DATE '2020-02-01') OVERLAPS ({d}, DATE '2020-01-15'))",
            "(({i}, {t}) < ({i}, {t}))",
            "({y} = {y})",
            "jsonb_exists({j}, 'k')",
            "isfinite({d})",
        ],
    ),
    (
        Ty::Date,
        &[
            "({t})::date",
            "({d} + ({i} % 9)::int)",
            "date_trunc('month', {d})::date",
            "make_date(2020, ({i} % 12)::int, 1)",
            "to_date('2020-02-03', 'YYYY-MM-DD')",
        ],
    ),
    (
        Ty::Stamp,
        &[
            "({d})::timestamp",
            "date_trunc('day', {s})",
            "({s} AT TIME ZONE 'UTC')::timestamp",
            "to_timestamp({i})::timestamp",
            "({t})::timestamp",
        ],
    ),
    (
        Ty::Json,
        &[
            "to_jsonb({r})",
            "to_jsonb({t})",
            "jsonb_build_object('a', {t}, 'b', {i})",
            "jsonb_build_array({*}, {*})",
            "({j} -> 'k')",
            "({j} || {j})",
            "({j} - 'k')",
            "jsonb_set({j}, '{z}', '1')",
            "jsonb_strip_nulls({j})",
            "({t})::jsonb",
            "jsonb_array_elements(jsonb_build_array({i}, {i}))",
            "jsonb_path_query({j}, '$.*')",
            "({qj})",
        ],
    ),
    (
        Ty::Array,
        &[
            "ARRAY[{t}, {t}]",
            "({a} || {a})",
            "array_append({a}, {t})",
            "array_remove({a}, 'x')",
            "ARRAY({qt})",
            "string_to_array({t}, 'b')",
            "({a})[1:1]",
            "array_cat({a}, ARRAY['k'])",
        ],
    ),
    (
        Ty::Bytes,
        &[
            "convert_to({t}, 'UTF8')",
            "sha256({y})",
            "({y} || {y})",
            "decode(md5({t}), 'hex')",
            "substring({y} FROM 1 FOR 2)",
        ],
    ),
];

const MYSQL: Lists = &[
    (
        Ty::Int,
        &[
            "ascii({t})",
            "instr({t}, 'b')",
            "locate('a', {t})",
            "CAST({t} AS signed)",
            "if({b}, {i}, {i})",
            "ifnull({i}, 4)",
            "year({d})",
            "datediff({d}, '2000-01-01')",
            "json_length({j})",
            "crc32({t})",
            "({i} DIV 3)",
            "field({t}, 'a', {t})",
            "({t} + 0)",
            "strcmp({t}, {t})",
            "interval(3, 1, 2)",
            "bit_length({t})",
            "octet_length({y})",
            "timestampdiff(DAY, {d}, '2024-01-01')",
            "({i} & 255)",
            "json_extract({j}, '$.n')",
            "if({=} IS NULL, 1, 2)",
        ],
    ),
    (
        Ty::Num,
        &[
            "truncate({n}, 1)",
            "if({b}, {n}, 1.5)",
            "CAST({t} AS decimal(16,2))",
            "format({n}, 2)",
            "pow({n}, 2)",
            "exp({n})",
        ],
    ),
    (
        Ty::Text,
        &[
            "CAST({i} AS char)",
            "CAST({d} AS char(10))",
            "if({b}, {t}, {t})",
            "ifnull({t}, {t})",
            "json_unquote(json_extract({j}, '$.k'))",
            "json_value({j}, '$.k')",
            "date_format({d}, '%Y-%m')",
            "hex({t})",
            "hex({y})",
            "sha2({t}, 256)",
            "substring_index({t}, 'b', 1)",
            "elt(1 + mod({i}, 2), {t}, 'e')",
            "insert({t}, 1, 2, 'zz')",
            "json_type({j})",
            "CAST({y} AS char)",
            "regexp_replace({t}, '[a-m]', '#')",
            "make_set(3, {t}, 'm')",
            "quote({t})",
            "soundex({t})",
            "to_base64({t})",
            "CONVERT({t} USING utf8mb4)",
            "({t} COLLATE utf8mb4_bin)",
            "json_keys({j})",
            "space(2)",
            "conv({i}, 10, 16)",
        ],
    ),
    (
        Ty::Bool,
        &[
            "({t} REGEXP '^[a-m]')",
            "({T} <=> {T})",
            "({T} = 0)",
            "({T} = {I})",
            "({t} RLIKE 'b')",
            "({t} SOUNDS LIKE 'k')",
            "({j} = {j})",
            "json_contains({j}, '1', '$.k')",
            "isnull({=})",
            "({b} XOR {b})",
            "({b} <=> {b})",
            "if({b}, {b}, {b})",
            "({t} IN (0, {t}))",
            "json_valid({t})",
            "find_in_set({t}, 'a,b')",
            "({d} = '2020-01-01')",
            "(1 IN (SELECT 1 FROM sink WHERE {b}))",
            "({t} MEMBER OF ('[\"k\"]'))",
        ],
    ),
    (
        Ty::Date,
        &[
            "date({s})",
            "date_add({d}, INTERVAL 1 MONTH)",
            "last_day({d})",
            "makedate(2020, 5)",
            "str_to_date({t}, '%Y-%m-%d')",
        ],
    ),
    (Ty::Stamp, &["date_sub({s}, INTERVAL 1 DAY)", "if({b}, {s}, NULL)", "timestamp({d})"]),
    (
        Ty::Json,
        &[
            "json_object('a', {t}, 'b', {i})",
            "json_array({*}, {*})",
            "json_extract({j}, '$.k')",
            "json_set({j}, '$.z', {i})",
            "json_merge_preserve({j}, {j})",
            "json_quote({t})",
        ],
    ),
    (Ty::Bytes, &["CAST({t} AS binary)", "unhex(md5({t}))", "concat({y}, {y})"]),
];

const AGGREGATES: Lists = &[
    (
        Ty::Int,
        &[
            "count(*)",
            "count({*})",
            "count(DISTINCT {t})",
            "max({i})",
            "min({i})",
            "count({=})",
            "count(DISTINCT {i})",
            "sum(CASE WHEN {b} THEN 1 ELSE 0 END)",
        ],
    ),
    (Ty::Num, &["sum({n})", "avg({n})", "max({n})", "sum({i})", "avg({i})"]),
    (Ty::Text, &["max({t})", "min({t})"]),
    (Ty::Date, &["max({d})", "min({d})"]),
    (Ty::Stamp, &["max({s})"]),
    (Ty::Bool, &[]),
];

const POSTGRES_AGGREGATES: Lists = &[
    (
        Ty::Int,
        &[
            "count(*) FILTER (WHERE {b})",
            "regr_count({n}, {n})::bigint",
            "mode() WITHIN GROUP (ORDER BY {i})",
            "sum(DISTINCT {i})::bigint",
            "bit_or({i})",
            "rank(3) WITHIN GROUP (ORDER BY {i})",
        ],
    ),
    (
        Ty::Num,
        &["percentile_cont(0.5) WITHIN GROUP (ORDER BY {n})::numeric", "stddev({n})", "sum({n}) FILTER (WHERE {b})"],
    ),
    (
        Ty::Text,
        &[
            "string_agg({t}, ',')",
            "string_agg({t}, ',' ORDER BY {t} DESC)",
            "string_agg(DISTINCT {t}, ';')",
            "percentile_disc(0.5) WITHIN GROUP (ORDER BY {t})",
            "max({t}) FILTER (WHERE {b})",
        ],
    ),
    (
        Ty::Json,
        &[
            "jsonb_agg({t})",
            "jsonb_agg({r})",
            "jsonb_object_agg(coalesce({t}, 'none'), {i})",
            "jsonb_agg({i} ORDER BY {i})",
        ],
    ),
    (Ty::Array, &["array_agg({t})", "array_agg(DISTINCT {t})", "array_agg({t} ORDER BY {i})"]),
    (Ty::Bool, &["bool_and({b})", "bool_or({b})", "every({b})"]),
];

const MYSQL_AGGREGATES: Lists = &[
    (Ty::Int, &["count(DISTINCT {t}, {i})", "bit_or({i})"]),
    (Ty::Num, &["stddev({n})", "variance({n})"]),
    (
        Ty::Text,
        &[
            "group_concat({t})",
            "group_concat(DISTINCT {t} ORDER BY {t} SEPARATOR ';')",
            "group_concat({t} ORDER BY {i})",
        ],
    ),
    (Ty::Json, &["json_arrayagg({t})", "json_objectagg(coalesce({t}, 'none'), {i})"]),
];

const WINDOWS: Lists = &[
    (
        Ty::Int,
        &[
            "row_number() OVER ({w})",
            "rank() OVER ({w})",
            "dense_rank() OVER ({w})",
            "count(*) OVER ({w})",
            "count({*}) OVER ({w})",
            "ntile(2) OVER ({w})",
            "sum({i}) OVER ({w})",
            "lag({i}, 1) OVER ({w})",
        ],
    ),
    (
        Ty::Text,
        &[
            "lag({t}) OVER ({w})",
            "lead({t}, 1) OVER ({w})",
            "first_value({t}) OVER ({w})",
            "last_value({t}) OVER ({w})",
            "max({t}) OVER ({w})",
            "nth_value({t}, 2) OVER ({w})",
        ],
    ),
    (Ty::Num, &["avg({n}) OVER ({w})", "percent_rank() OVER ({w})", "cume_dist() OVER ({w})"]),
];

const POSTGRES_WINDOWS: Lists = &[
    (Ty::Int, &["count(*) FILTER (WHERE {b}) OVER ({w})"]),
    (Ty::Text, &["string_agg({t}, '.') OVER ({w})", "lag({t}, 1, 'none') OVER ({w})"]),
    (Ty::Array, &["array_agg({t}) OVER ({w})"]),
];
