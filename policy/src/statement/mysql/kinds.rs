//! What a column's type means to a comparison, as the number that the catalog keeps in `type_oid`.
//! Compares nothing itself.

use super::walk::Walk;
use crate::{
    catalog::{Catalog, ColumnRef},
    statement::{Lineage, Via},
};

/// Numbers of any size: two of them, constants too, are compared as numbers.
const NUMBER: u32 = 1;

/// Types by name, as `information_schema.COLUMNS.DATA_TYPE` has them. Those with the same number are compared as what
/// they are; with others, one side is converted, and more than equality may be told. 0: a type that is not listed.
const KINDS: &[(&str, u32)] = &[
    ("bigint", NUMBER),
    ("binary", 2),
    ("bit", 3),
    ("blob", 2),
    ("char", 4),
    ("date", 5),
    ("datetime", 6),
    ("decimal", NUMBER),
    ("double", NUMBER),
    ("enum", 7),
    ("float", NUMBER),
    ("int", NUMBER),
    ("json", 8),
    ("longblob", 2),
    ("longtext", 4),
    ("mediumblob", 2),
    ("mediumint", NUMBER),
    ("mediumtext", 4),
    ("set", 9),
    ("smallint", NUMBER),
    ("text", 4),
    ("time", 10),
    ("timestamp", 6),
    ("tinyblob", 2),
    ("tinyint", NUMBER),
    ("tinytext", 4),
    ("varbinary", 2),
    ("varchar", 4),
    ("year", 11),
];

/// The kind of the type called `data_type`, `int` or `int(11) unsigned`.
pub fn kind(data_type: &str) -> u32 {
    let name = data_type.split(['(', ' ']).next().unwrap_or_default().to_ascii_lowercase();
    let at = KINDS.binary_search_by(|(known, _)| (*known).cmp(&name));
    at.ok().and_then(|at| KINDS.get(at)).map_or(0, |(_, kind)| *kind)
}

/// Whether `column` holds numbers.
pub fn is_number(catalog: &Catalog, column: &ColumnRef) -> bool {
    of_column(catalog, column) == Some(NUMBER)
}

fn of_column(catalog: &Catalog, column: &ColumnRef) -> Option<u32> {
    let relation = catalog.relations.get(&column.relation)?;
    relation.columns.iter().find(|known| known.name == column.column).map(|known| known.type_oid)
}

/// The one stored column that a value is, as it is stored.
fn stored(lineage: &Lineage) -> Option<&ColumnRef> {
    match lineage.columns.iter().collect::<Vec<_>>().as_slice() {
        [(column, Via::Copy)] => Some(column),
        _ => None,
    }
}

/// Whether a value is a stored number.
pub(super) fn is_stored_number(walk: &Walk<'_>, lineage: &Lineage) -> bool {
    stored(lineage).is_some_and(|column| is_number(walk.catalog, column))
}

/// Whether two values are stored columns of the same name, which the server compares as what they are.
pub(super) fn are_alike(walk: &Walk<'_>, one: &Lineage, other: &Lineage) -> bool {
    let (Some(one), Some(other)) = (stored(one), stored(other)) else { return false };
    one.column.to_lowercase() == other.column.to_lowercase()
        && of_column(walk.catalog, one) == of_column(walk.catalog, other)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            testing::{catalog, names, uses},
            understand,
        },
        *,
    };
    use crate::statement::mysql::Flavour;

    #[test]
    fn types_are_known_by_their_names() {
        assert!(KINDS.is_sorted_by(|one, next| one.0 < next.0));
        let kinds = ["int(11) unsigned", "DECIMAL", "varchar(80)", "geometry", ""].map(kind);
        assert_eq!(kinds, [NUMBER, NUMBER, 4, 0, 0]);
    }

    #[test]
    fn numbers_are_compared_with_numbers_and_columns_with_their_like() {
        let mut catalog = catalog();
        for relation in catalog.relations.values_mut() {
            let relation = std::sync::Arc::make_mut(relation);
            let text = &*relation.name.name == "newsletter";
            for column in &mut relation.columns {
                column.type_oid = match &*column.name {
                    "salary" | "id" => NUMBER,
                    "email" if text => kind("int"),
                    "email" => kind("varchar"),
                    _ => 0,
                };
            }
        }
        for (condition, expected) in [
            ("c.salary = 5", "shop.customers.salary Equality"),
            ("-5.5 <=> c.salary", "shop.customers.salary Equality"),
            ("c.salary IN (1, 2)", "shop.customers.salary Equality"),
            ("c.salary + 0 = 5", "shop.customers.salary Inference"),
            ("c.email = 0", "shop.customers.email Inference"),
            ("c.email = e.email", "shop.customers.email Equality, shop.employees.email Equality"),
            ("c.email = n.email", "shop.customers.email Inference, shop.newsletter.email Inference"),
        ] {
            let text = format!("SELECT 1 FROM customers c, employees e, newsletter n WHERE {condition}");
            let understood = understand(&text, &catalog, &names("", Flavour::MySql)).expect("understood");
            assert_eq!(uses(&understood.statements[0]), expected, "{condition}");
        }
    }
}
