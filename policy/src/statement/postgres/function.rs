//! Stand-in: what a call, an operator or a cast may do.

use pg_query::protobuf;

use super::{node, walk::Walk};
use crate::{
    catalog::QualifiedName,
    statement::{Action, Object, Refusal, RefusalKind},
};

/// What a call tells of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purity {
    /// Never fails, whatever its arguments.
    Total,
    /// Computes only, and may fail.
    Compute,
    /// Shows nothing of its arguments but whether they are null.
    Nullness,
}

const TOTAL: &[&str] = &[
    "lower",
    "upper",
    "concat",
    "concat_ws",
    "min",
    "max",
    "string_agg",
    "array_agg",
    "length",
    "md5",
    "left",
    "right",
    "row_to_json",
    "to_jsonb",
    "json_agg",
    "lag",
    "lead",
    "first_value",
    "rank",
    "row_number",
    "now",
    "reverse",
    "bool_or",
    "unnest",
    "version",
    "substring",
    "grouping",
    "json_object_keys",
    "generate_series",
    "jsonb_pretty",
    "rank",
];
const COMPUTE: &[&str] = &[
    "sum",
    "avg",
    "round",
    "substr",
    "to_char",
    "regexp_split_to_table",
    "regexp_matches",
    "format",
    "jsonb_each",
    "date_trunc",
    "percentile_cont",
    "extract",
    "timezone",
    "repeat",
    "coalesce",
    "jsonb_path_query",
    "encode",
    "convert_to",
    "like_escape",
    "similar_to_escape",
    "pg_get_userbyid",
    "format_type",
    "json_array_elements",
    "pg_get_expr",
    "json_to_record",
    "crosstab",
    "random",
    "pg_table_is_visible",
    "xmlexists",
    "array_to_string",
    "jsonb_to_recordset",
    "json_each",
    "pg_get_constraintdef",
    "pg_partition_ancestors",
    "pg_get_indexdef",
    "pg_relation_is_publishable",
    "pg_get_triggerdef",
    "current_setting",
    "pg_get_statisticsobjdef_columns",
    "pg_encoding_to_char",
];

pub(super) fn call(walk: &mut Walk<'_>, path: &[String], _args: usize) -> Result<Purity, Refusal> {
    let name = path.last().map_or("", String::as_str);
    if name == "count" {
        return Ok(Purity::Nullness);
    }
    let of_user =
        walk.catalog.functions.get(name).and_then(|all| all.first()).filter(|f| &*f.name.schema != "pg_catalog");
    if let Some(function) = of_user {
        walk.need(Action::Call, Object::Function(QualifiedName::clone(&function.name)));
        return Ok(Purity::Compute);
    }
    if TOTAL.contains(&name) {
        return Ok(Purity::Total);
    }
    if COMPUTE.contains(&name) {
        return Ok(Purity::Compute);
    }
    Err(Refusal::new(RefusalKind::UnknownFunction, format!("function {} does not exist", path.join("."))))
}

pub(super) fn operator(_walk: &mut Walk<'_>, path: &[String]) -> Result<Purity, Refusal> {
    Ok(match path.last().map_or("", String::as_str) {
        "=" | "<>" | "<" | ">" | "<=" | ">=" | "||" | "~~" | "!~~" | "->" | "->>" | "#>" | "#>>" | "?" | "@>" => {
            Purity::Total
        }
        _ => Purity::Compute,
    })
}

pub(super) fn cast(_walk: &mut Walk<'_>, type_name: &protobuf::TypeName) -> Result<Purity, Refusal> {
    let names = node::strings(&type_name.names)?;
    Ok(match names.last().map(String::as_str) {
        Some("text" | "varchar") if type_name.typmods.is_empty() => Purity::Total,
        _ => Purity::Compute,
    })
}
