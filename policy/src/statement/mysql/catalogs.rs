//! Which relations of the server's own databases everybody may read: those that hold names and types, not data.
//! Decides nothing about the user's own relations.

use std::sync::Arc;

use super::{
    scope::Field,
    walk::{Walk, column_ref},
};
use crate::{
    catalog::{ColumnRef, Relation},
    statement::{Action, Lineage, Object, Output},
};

/// `information_schema` relations that clients read to find their way. Upper case. Sorted.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "ADMINISTRABLE_ROLE_AUTHORIZATIONS", "APPLICABLE_ROLES", "CHARACTER_SETS", "CHECK_CONSTRAINTS", "COLLATIONS",
    "COLLATION_CHARACTER_SET_APPLICABILITY", "COLUMNS", "COLUMNS_EXTENSIONS", "COLUMN_PRIVILEGES", "ENABLED_ROLES",
    "ENGINES", "EVENTS", "FILES", "GEOMETRY_COLUMNS", "GLOBAL_STATUS", "GLOBAL_VARIABLES", "KEYWORDS",
    "KEY_CACHES", "KEY_COLUMN_USAGE", "PARAMETERS", "PARTITIONS", "PERIODS", "PLUGINS", "REFERENTIAL_CONSTRAINTS",
    "ROLE_COLUMN_GRANTS", "ROLE_ROUTINE_GRANTS", "ROLE_TABLE_GRANTS", "ROUTINES", "SCHEMATA", "SCHEMATA_EXTENSIONS",
    "SCHEMA_PRIVILEGES", "SEQUENCES", "SESSION_STATUS", "SESSION_VARIABLES", "SPATIAL_REF_SYS", "SQL_FUNCTIONS",
    "STATISTICS", "ST_GEOMETRY_COLUMNS", "ST_SPATIAL_REFERENCE_SYSTEMS", "ST_UNITS_OF_MEASURE", "SYSTEM_VARIABLES",
    "TABLES", "TABLESPACES", "TABLES_EXTENSIONS", "TABLE_CONSTRAINTS", "TABLE_CONSTRAINTS_EXTENSIONS",
    "TABLE_PRIVILEGES", "TRIGGERED_UPDATE_COLUMNS", "TRIGGERS", "USER_PRIVILEGES", "VIEWS", "VIEW_ROUTINE_USAGE",
    "VIEW_TABLE_USAGE",
];

/// The same in other databases of the server's.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("mysql", "help_category"),
    ("mysql", "help_keyword"),
    ("mysql", "help_relation"),
    ("mysql", "help_topic"),
    ("mysql", "time_zone_name"),
    ("performance_schema", "global_status"),
    ("performance_schema", "global_variables"),
    ("performance_schema", "keyring_component_status"),
    ("performance_schema", "session_account_connect_attrs"),
    ("performance_schema", "session_status"),
    ("performance_schema", "session_variables"),
    ("sys", "version"),
];

/// Those of `performance_schema` that hold names and values.
const PAIRS: &[&str] = &["global_status", "global_variables", "session_status", "session_variables"];
/// Their columns.
const PAIR: [&str; 2] = ["VARIABLE_NAME", "VARIABLE_VALUE"];

/// Columns of these that hold what somebody wrote, constants and secrets among it: bodies and definitions.
const SECRETS: &[(&str, &str)] = &[
    ("EVENTS", "EVENT_DEFINITION"),
    ("ROUTINES", "ROUTINE_DEFINITION"),
    ("TRIGGERS", "ACTION_CONDITION"),
    ("TRIGGERS", "ACTION_STATEMENT"),
    ("VIEWS", "VIEW_DEFINITION"),
];

/// Whether `schema` belongs to the server itself.
pub(super) fn is_system_schema(schema: &str) -> bool {
    caseless_schema(schema).is_some() || matches!(schema, "mysql" | "sys")
}

/// A database of the server's whose name, and whose tables' names, have no case.
pub(super) fn caseless_schema(schema: &str) -> Option<&'static str> {
    ["information_schema", "performance_schema"].into_iter().find(|own| own.eq_ignore_ascii_case(schema))
}

/// The columns of `relation`, one of the server's own: names and types are everybody's, all else needs `admin`.
pub(super) fn read(walk: &mut Walk<'_>, relation: &Relation) -> Arc<[Field]> {
    let name = &relation.name;
    let own = caseless_schema(&name.schema);
    let open = match own {
        Some("information_schema") => NAMES.binary_search(&name.name.to_ascii_uppercase().as_str()).is_ok(),
        _ => {
            let schema = own.unwrap_or(&name.schema);
            OTHER_NAMES.iter().any(|(s, n)| *s == schema && n.eq_ignore_ascii_case(&name.name))
        }
    };
    if open {
        walk.need(Action::Select, Object::Catalog(name.clone()));
    } else {
        walk.need(Action::Admin, Object::Relation(name.clone()));
    }
    let field = |column: &crate::catalog::Column| {
        let column_ref = column_ref(name, &column.name);
        let lineage = if is_secret(&column_ref) { Lineage::copy_of(column_ref) } else { Lineage::constant() };
        Field { name: Arc::clone(&column.name), lineage: Arc::new(lineage) }
    };
    let told: Arc<[Field]> = relation.columns.iter().map(field).collect();
    // Who has no privilege on it may read it all the same, and is not told of its columns.
    let pairs = told.is_empty() && PAIRS.iter().any(|pairs| pairs.eq_ignore_ascii_case(&name.name));
    if open && pairs { PAIR.map(|column| Field::new(column, Lineage::constant())).into() } else { told }
}

/// Adds the need of a statement which shows or uses a column of [`SECRETS`], wherever it comes from.
pub(super) fn guard_secrets(walk: &mut Walk<'_>, outputs: &[Output]) {
    let shown = outputs.iter().flat_map(|output| output.lineage.columns.keys());
    let used = walk.uses.iter().map(|one| &one.column);
    let secrets: Vec<ColumnRef> = shown.chain(used).filter(|column| is_secret(column)).cloned().collect();
    for column in secrets {
        walk.need(Action::Admin, Object::Relation(column.relation));
    }
}

fn is_secret(column: &ColumnRef) -> bool {
    column.relation.schema.eq_ignore_ascii_case("information_schema")
        && SECRETS.iter().any(|(relation, name)| {
            relation.eq_ignore_ascii_case(&column.relation.name) && name.eq_ignore_ascii_case(&column.column)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_its_search() {
        assert!(NAMES.is_sorted());
        for data in ["PROCESSLIST", "COLUMN_STATISTICS", "INNODB_FT_INDEX_CACHE", "OPTIMIZER_TRACE", "USER_VARIABLES"] {
            assert!(!NAMES.contains(&data), "{data}");
        }
    }
}
