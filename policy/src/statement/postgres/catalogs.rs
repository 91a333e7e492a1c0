//! Which relations of the system catalogs everybody may read: those that hold names and types, not data.
//! Decides nothing about the user's own relations.

use std::sync::Arc;

use super::walk::{Walk, column_ref};
use crate::{
    catalog::{ColumnRef, QualifiedName, Relation},
    statement::{Action, Lineage, Object, Output, Refusal},
};

/// `pg_catalog` relations that clients read to find their way: psql's `\d` family, pg_dump, IDEs, ORMs. Sorted.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "pg_aggregate", "pg_am", "pg_amop", "pg_amproc", "pg_attrdef", "pg_attribute", "pg_auth_members",
    "pg_available_extension_versions", "pg_available_extensions", "pg_cast", "pg_class", "pg_collation",
    "pg_constraint", "pg_conversion", "pg_cursors", "pg_database", "pg_db_role_setting", "pg_default_acl", "pg_depend",
    "pg_description", "pg_enum", "pg_event_trigger", "pg_extension", "pg_foreign_data_wrapper", "pg_foreign_server",
    "pg_foreign_table", "pg_group", "pg_index", "pg_indexes", "pg_inherits", "pg_init_privs", "pg_language",
    "pg_largeobject_metadata", "pg_matviews", "pg_namespace", "pg_opclass", "pg_operator", "pg_opfamily",
    "pg_parameter_acl", "pg_partitioned_table", "pg_policies", "pg_policy", "pg_prepared_statements", "pg_prepared_xacts", "pg_proc",
    "pg_publication", "pg_publication_namespace", "pg_publication_rel", "pg_publication_tables", "pg_range",
    "pg_rewrite", "pg_roles", "pg_rules", "pg_seclabel", "pg_seclabels", "pg_sequence", "pg_sequences", "pg_settings",
    "pg_shdepend", "pg_shdescription", "pg_shseclabel", "pg_statistic_ext", "pg_subscription", "pg_subscription_rel",
    "pg_tables", "pg_tablespace", "pg_timezone_abbrevs", "pg_timezone_names", "pg_transform", "pg_trigger",
    "pg_ts_config", "pg_ts_config_map", "pg_ts_dict", "pg_ts_parser", "pg_ts_template", "pg_type", "pg_user",
    "pg_user_mapping", "pg_user_mappings", "pg_views",
];

/// `information_schema` views that show options, among which passwords are kept.
const OPTIONS: &[&str] = &["_pg_user_mappings", "user_mapping_options"];

/// Columns that hold secrets in relations that are otherwise names: a connection string, a password.
const SECRETS: &[(&str, &str)] =
    &[("pg_subscription", "subconninfo"), ("pg_user_mapping", "umoptions"), ("pg_user_mappings", "umoptions")];

/// The statement reads `relation`, one of `pg_catalog` or `information_schema`: names and types are everybody's, data
/// about other sessions, statistics of values and secrets need `admin`.
///
/// # Errors
/// None today; a caller has to be ready for one.
pub(super) fn read(walk: &mut Walk<'_>, relation: &Relation) -> Result<(), Refusal> {
    let name = &relation.name;
    let open = match &*name.schema {
        "pg_catalog" => NAMES.binary_search(&&*name.name).is_ok(),
        "information_schema" => !OPTIONS.contains(&&*name.name),
        _ => false,
    };
    if open {
        walk.need(Action::Select, Object::Catalog(name.clone()));
    } else {
        walk.need(Action::Admin, Object::Relation(name.clone()));
    }
    Ok(())
}

/// `action` is done to `relation`; changing a system catalog always needs `admin`.
pub(super) fn change(walk: &mut Walk<'_>, action: Action, relation: &QualifiedName) {
    let action = if is_system_schema(&relation.schema) { Action::Admin } else { action };
    walk.need(action, Object::Relation(relation.clone()));
}

/// Whether `schema` belongs to the server itself.
pub(super) fn is_system_schema(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema" | "pg_toast")
}

/// What feeds a column of a catalog relation: nothing that masks are about, but a secret is followed.
pub(super) fn lineage(relation: &Relation, column: &Arc<str>) -> Lineage {
    let column = column_ref(&relation.name, column);
    if is_secret(&column) { Lineage::copy_of(column) } else { Lineage::constant() }
}

/// Adds the need that a statement has which shows or uses a column of [`SECRETS`], wherever it comes from.
pub(super) fn guard_secrets<'o>(walk: &mut Walk<'_>, outputs: impl Iterator<Item = &'o Output>) {
    let shown = outputs.flat_map(|output| output.lineage.columns.keys());
    let used = walk.uses.iter().map(|one| &one.column);
    let secrets: Vec<ColumnRef> = shown.chain(used).filter(|column| is_secret(column)).cloned().collect();
    for column in secrets {
        walk.need(Action::Admin, Object::Relation(column.relation));
    }
}

fn is_secret(column: &ColumnRef) -> bool {
    &*column.relation.schema == "pg_catalog"
        && SECRETS.iter().any(|(relation, name)| &*column.relation.name == *relation && &*column.column == *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_its_search() {
        assert!(NAMES.is_sorted());
    }
}
