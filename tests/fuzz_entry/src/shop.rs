//! The catalog that statement targets read names with: a shop with masked columns, views, a generated column, children
//! and functions, the same for both protocols but for what each prints differently.

use std::sync::{Arc, LazyLock};

use hallpass_policy::{
    catalog::{Catalog, Column, Function, FunctionKind, QualifiedName, Relation, RelationKind},
    ids::TargetName,
    mask::{
        apply::MaskWith,
        plan::{ColumnGlob, InPredicates, MaskRule, Masks},
    },
    statement::{Dialect, Names},
};

/// A catalog and its masks.
pub(crate) struct Shop {
    pub(crate) catalog: Catalog,
    pub(crate) masks: Masks,
}

/// On Postgres, with `shop, public` as the search_path.
pub(crate) static POSTGRES: LazyLock<Shop> = LazyLock::new(|| {
    let view = " SELECT customers.id,\n customers.email AS contact\n FROM shop.customers;";
    let dialect = Dialect::Postgres(Names { search_path: "shop, public".into() });
    shop(&dialect, view, "lower(email)", 16_384)
});

/// On MySQL and MariaDB.
pub(crate) static MYSQL: LazyLock<Shop> = LazyLock::new(|| {
    let view = "select `shop`.`customers`.`id` AS `id`,`shop`.`customers`.`email` AS `contact` from `shop`.`customers`";
    shop(&Dialect::Mysql(super::statement::mysql_names(0)), view, "lcase(`email`)", 0)
});

fn shop(dialect: &Dialect, view: &str, generated: &str, first: u32) -> Shop {
    let mut catalog = Catalog {
        version: 1,
        database: "shop".to_owned(),
        login: "hallpass".to_owned(),
        default_search_path: "shop, public".to_owned(),
        schemas: ["shop", "hr", "public", "pg_catalog"].map(Arc::from).to_vec(),
        ..Catalog::default()
    };
    let tables = [
        ("shop", "customers", RelationKind::Table, "id name email ssn salary status email_key"),
        ("shop", "orders", RelationKind::Table, "id customer_id total status note"),
        ("shop", "people", RelationKind::Table, "id name email"),
        ("shop", "people_vip", RelationKind::Table, "id name email lounge"),
        ("hr", "payroll", RelationKind::Table, "employee_id iban amount"),
        ("shop", "contacts", RelationKind::View, "id contact"),
    ];
    for (at, (schema, name, kind, columns)) in (0..).zip(tables) {
        let column = |(number, name): (i16, &str)| Column {
            name: name.into(),
            number,
            type_oid: 25,
            local: true,
            generated: (name == "email_key").then(|| generated.into()),
        };
        let relatives = |of: &str, other: &str| match name == of {
            true => vec![QualifiedName::new(schema, other)],
            false => Vec::new(),
        };
        catalog.add_relation(Relation {
            oid: if first == 0 { 0 } else { first + at },
            name: QualifiedName::new(schema, name),
            kind,
            columns: (1..).zip(columns.split(' ')).map(column).collect(),
            definition: (kind == RelationKind::View).then(|| view.into()),
            revision: None,
            triggered: false,
            ruled: false,
            parents: relatives("people_vip", "people"),
            children: relatives("people", "people_vip"),
        });
    }
    for (name, kind) in [("total", FunctionKind::Function), ("close_day", FunctionKind::Procedure)] {
        let name = QualifiedName::new("shop", name);
        catalog.add_function(Function { name, kind, min_args: 0, max_args: None, extension: None });
    }
    let masks = masks(&catalog, dialect);
    Shop { catalog, masks }
}

fn masks(catalog: &Catalog, dialect: &Dialect) -> Masks {
    let rule = |table: &str, column: &str, with| MaskRule {
        columns: vec![ColumnGlob {
            target: "*".into(),
            schema: "shop".into(),
            table: table.into(),
            column: column.into(),
        }],
        with,
        in_predicates: InPredicates::Equality,
    };
    let rules = [rule("*", "email", MaskWith::Email), rule("customers", "ssn", MaskWith::Full)];
    let lineage_of = |relation: &Relation| dialect.lineage_of(catalog, catalog.relations.get(&relation.name)?);
    Masks::compile(&rules, &TargetName::new("shop"), catalog, lineage_of).masks
}
