//! What a request reaches in one target: tables, the columns of them that it uses, and which of those are masked. Facts
//! for approval rules, taken from a statement or from a role; decides nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    catalog::{Catalog, ColumnRef, QualifiedName, RelationKind},
    mask::plan::Masks,
    role::{Role, is_system_schema},
    statement::{Object, Outputs, Statement, inner},
};

/// One table that a request reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its schema, or MySQL database; empty when the request reaches no table.
    pub schema: String,
    /// Its name; empty when the request reaches no table.
    pub table: String,
    /// Of a statement: the columns it shows, compares or copies. Of a role: all.
    pub columns: Vec<String>,
    /// Those of them that a mask hides.
    pub masked_columns: Vec<String>,
}

/// `shop.customers`; empty when it is no table.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.table.is_empty() { Ok(()) } else { write!(f, "{}.{}", self.schema, self.table) }
    }
}

/// The tables that `statement` reaches, what is behind views among them; one empty resource where it reaches none.
pub fn of_statement(statement: &Statement, masks: &Masks) -> Vec<Resource> {
    let mut found: BTreeMap<QualifiedName, BTreeSet<ColumnRef>> = BTreeMap::new();
    for part in [Some(statement), inner(statement)].into_iter().flatten() {
        let named = part.needs.iter().filter_map(|need| match &need.object {
            Object::Relation(name) | Object::Catalog(name) => Some(name),
            Object::Listing(_) | Object::Function(_) | Object::Session(_) => None,
        });
        for name in named.chain(&part.touches) {
            found.entry(name.clone()).or_default();
        }
        let shown = match &part.outputs {
            Outputs::Columns(outputs) => outputs.as_slice(),
            Outputs::None | Outputs::Server | Outputs::OfPrepared(_) | Outputs::OfCursor(_) => &[],
        };
        let shown = shown.iter().flat_map(|output| output.lineage.columns.keys());
        for column in shown.chain(part.uses.iter().map(|column| &column.column)) {
            found.entry(column.relation.clone()).or_default().insert(column.clone());
        }
    }
    let all = found.into_iter().map(|(name, columns)| resource(&name, columns, masks)).collect();
    or_none(all)
}

/// The tables that `role` covers among those of `catalog`, each with all of its columns.
pub fn of_role(role: &Role, catalog: &Catalog, masks: &Masks) -> Vec<Resource> {
    let covered = catalog.relations.values().filter(|relation| {
        let rows = match relation.kind {
            RelationKind::Table | RelationKind::View | RelationKind::MaterializedView | RelationKind::ForeignTable => {
                true
            }
            RelationKind::Sequence | RelationKind::Other => false,
        };
        rows && covers(role, &relation.name)
    });
    let mut all: Vec<Resource> = covered
        .map(|relation| {
            let columns = relation.columns.iter();
            let columns =
                columns.map(|column| ColumnRef { relation: relation.name.clone(), column: column.name.clone() });
            resource(&relation.name, columns.collect(), masks)
        })
        .collect();
    all.sort_by(|a, b| (&a.schema, &a.table).cmp(&(&b.schema, &b.table)));
    or_none(all)
}

fn covers(role: &Role, name: &QualifiedName) -> bool {
    let named = match &role.tables {
        Some(globs) => globs.iter().any(|glob| glob.grants(name)),
        None => !is_system_schema(&name.schema),
    };
    named && !role.except.iter().any(|glob| glob.matches(name))
}

fn resource(name: &QualifiedName, columns: BTreeSet<ColumnRef>, masks: &Masks) -> Resource {
    let masked = columns.iter().filter(|column| masks.mask_of(column).is_some());
    Resource {
        schema: name.schema.to_string(),
        table: name.name.to_string(),
        masked_columns: masked.map(|column| column.column.to_string()).collect(),
        columns: columns.iter().map(|column| column.column.to_string()).collect(),
    }
}

/// Rules are asked once for each table, and once where there is none.
fn or_none(all: Vec<Resource>) -> Vec<Resource> {
    if all.is_empty() { vec![Resource::default()] } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{catalog, name, shop_masks, statement},
        role::TableGlob,
        statement::{Action, Usage, Via},
    };

    #[test]
    fn a_statement_reaches_what_it_reads_and_what_is_behind_it() {
        let mut reads = statement("SELECT")
            .needing(Action::Select, "shop.contacts")
            .showing(&[("shop.customers.email", Via::Total)])
            .using("shop.customers.id", Usage::Equality);
        reads.touches.push(name("shop.orders"));
        let found = of_statement(&reads, &shop_masks());
        let tables: Vec<_> = found.iter().map(|resource| resource.table.as_str()).collect();
        assert_eq!(tables, ["contacts", "customers", "orders"]);
        assert_eq!(found[1].columns, ["email", "id"]);
        assert_eq!(found[1].masked_columns, ["email"]);
        assert_eq!(of_statement(&statement("SELECT"), &shop_masks()), [Resource::default()]);
    }

    #[test]
    fn a_role_reaches_what_its_globs_grant() {
        let glob = |text: &str| {
            let (schema, name) = text.split_once('.').unwrap();
            TableGlob { schema: schema.into(), name: name.into() }
        };
        let mut role = Role::named("reader");
        let tables = |role: &Role| -> Vec<String> {
            of_role(role, &catalog(), &shop_masks()).into_iter().map(|resource| resource.table).collect()
        };
        assert!(tables(&role).contains(&"customers".to_owned()));
        assert!(!tables(&role).contains(&"pg_class".to_owned()));
        role.tables = Some(vec![glob("shop.*s")]);
        role.except = vec![glob("shop.customers")];
        assert!(tables(&role).contains(&"orders".to_owned()) && !tables(&role).contains(&"customers".to_owned()));
        role.tables = Some(vec![glob("none.*")]);
        assert_eq!(of_role(&role, &catalog(), &shop_masks()), [Resource::default()]);
    }
}
