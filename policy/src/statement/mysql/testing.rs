//! What the tests of this folder share: the corpus' shop as a catalog made by hand, and facts as short texts.
//! Not part of the program.

use std::sync::Arc;

use super::{Flavour, MysqlNames, SqlMode, understand};
use crate::{
    catalog::{Catalog, Column, Function, FunctionKind, QualifiedName, Relation, RelationKind},
    statement::{Outputs, Reach, Refusal, Statement, Understood},
};

/// Tables and views: database, name, columns (`a = expression` is generated), definition.
const RELATIONS: &[(&str, &str, &str, Option<&str>)] = &[
    ("shop", "nums", "i", None),
    ("shop", "customers", "id name email ssn card_number salary status city notes bio email_key=lcase(`email`)", None),
    ("shop", "orders", "id customer_id total status note created_at", None),
    ("shop", "employees", "id name email salary", None),
    ("shop", "newsletter", "n email topic", None),
    ("shop", "vault", "id k v", None),
    ("shop", "events", "id day actor_email", None),
    ("shop", "articles", "id title body", None),
    ("shop", "quirks", "order select табле", None),
    ("shop", "order_seq", "next_not_cached_value", None),
    ("hr", "orders", "id note", None),
    ("hr", "payroll", "employee_id iban", None),
    (
        "shop",
        "v_customers",
        "id name contact tax_id pay",
        Some(
            "select `shop`.`customers`.`id` AS `id`,`shop`.`customers`.`name` AS `name`,`shop`.`customers`.`email` AS \
             `contact`,`shop`.`customers`.`ssn` AS `tax_id`,`shop`.`customers`.`salary` AS `pay` from `shop`.`customers`",
        ),
    ),
    (
        "shop",
        "v_contacts",
        "id c t",
        Some(
            "select `v_customers`.`id` AS `id`,`v_customers`.`contact` AS `c`,left(`v_customers`.`tax_id`,99) AS `t` \
             from `shop`.`v_customers`",
        ),
    ),
    (
        "shop",
        "v_upd",
        "id name email",
        Some(
            "select `shop`.`customers`.`id` AS `id`,`shop`.`customers`.`name` AS `name`,`shop`.`customers`.`email` AS \
             `email` from `shop`.`customers` where `shop`.`customers`.`id` < 100 WITH CASCADED CHECK OPTION",
        ),
    ),
    (
        "shop",
        "v_totals",
        "id total",
        Some(
            "select `shop`.`orders`.`id` AS `id`,`shop`.`fn_total`(`shop`.`orders`.`id`) AS `total` from `shop`.`orders`",
        ),
    ),
    ("shop", "far", "id email", None),
    ("shop", "v_far", "id", Some("select `shop`.`far`.`id` AS `id` from `shop`.`far`")),
    ("shop", "v_payroll", "account", Some("select `hr`.`payroll`.`iban` AS `account` from `hr`.`payroll`")),
    ("information_schema", "TABLES", "TABLE_SCHEMA TABLE_NAME TABLE_TYPE", None),
    ("information_schema", "COLUMNS", "TABLE_SCHEMA TABLE_NAME COLUMN_NAME", None),
    ("information_schema", "STATISTICS", "TABLE_SCHEMA TABLE_NAME INDEX_NAME", None),
    ("information_schema", "SCHEMATA", "SCHEMA_NAME", None),
    ("information_schema", "VIEWS", "TABLE_NAME VIEW_DEFINITION CHECK_OPTION", None),
    ("information_schema", "PROCESSLIST", "ID INFO", None),
    ("mysql", "user", "Host User authentication_string", None),
];

fn relation((schema, name, columns, definition): &(&str, &str, &str, Option<&str>)) -> Relation {
    let column = |(at, text): (usize, &str)| {
        let (name, generated) = match text.split_once('=') {
            Some((name, expression)) => (name, Some(Arc::from(expression))),
            None => (text, None),
        };
        Column {
            name: name.into(),
            number: i16::try_from(at + 1).expect("few columns"),
            type_oid: 0,
            local: true,
            generated,
        }
    };
    Relation {
        oid: 0,
        name: QualifiedName::new(schema, name),
        kind: match definition {
            Some(_) => RelationKind::View,
            None if *name == "far" => RelationKind::ForeignTable,
            None => RelationKind::Table,
        },
        revision: None,
        triggered: false,
        ruled: false,
        columns: columns.split(' ').enumerate().map(column).collect(),
        definition: definition.map(Arc::from),
        parents: Vec::new(),
        children: Vec::new(),
    }
}

/// The shop.
pub(in crate::statement) fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for one in RELATIONS {
        catalog.add_relation(relation(one));
    }
    for (name, kind) in [
        ("fn_email_of", FunctionKind::Function),
        ("fn_total", FunctionKind::Function),
        ("pr_emails", FunctionKind::Procedure),
    ] {
        catalog.add_function(Function {
            name: QualifiedName::new("shop", name),
            kind,
            min_args: 0,
            max_args: None,
            extension: None,
        });
    }
    catalog
}

/// In database shop, under `sql_mode`.
pub(in crate::statement) fn names(sql_mode: &str, flavour: Flavour) -> MysqlNames {
    let sql_mode = SqlMode::read(sql_mode).expect("a mode");
    MysqlNames { database: Some("shop".into()), sql_mode, flavour }
}

/// All statements of `text` on MariaDB in its plainest mode.
pub(super) fn all(text: &str) -> Result<Understood, Refusal> {
    understand(text, &catalog(), &names("", Flavour::MariaDb))
}

/// The one statement of `text`.
pub(super) fn one(text: &str) -> Statement {
    let mut understood = all(text).unwrap_or_else(|refusal| panic!("{text}: {refusal} {:?}", refusal.detail));
    assert_eq!(understood.statements.len(), 1, "{text}");
    understood.statements.remove(0)
}

/// The message of the refusal of `text`.
pub(super) fn refused(text: &str) -> String {
    match all(text) {
        Ok(_) => panic!("understood: {text}"),
        Err(refusal) => refusal.message,
    }
}

/// `select shop.orders, lock shop.orders`
pub(super) fn needs(statement: &Statement) -> String {
    statement.needs.iter().map(|need| format!("{} {}", need.action, need.object)).collect::<Vec<_>>().join(", ")
}

/// `a: shop.t.a copy; b`: every output with what feeds it.
pub(super) fn outputs(statement: &Statement) -> String {
    let Outputs::Columns(columns) = &statement.outputs else { return format!("{:?}", statement.outputs) };
    let column = |output: &crate::statement::Output| {
        let fed = output.lineage.columns.iter().map(|(column, via)| format!("{column} {via:?}"));
        let fed = fed.collect::<Vec<_>>().join(" + ");
        if fed.is_empty() { output.name.to_string() } else { format!("{}: {fed}", output.name) }
    };
    columns.iter().map(column).collect::<Vec<_>>().join("; ")
}

/// `shop.t.a Equality, shop.t.b Travel("x")`
pub(super) fn uses(statement: &Statement) -> String {
    statement.uses.iter().map(|one| format!("{} {:?}", one.column, one.usage)).collect::<Vec<_>>().join(", ")
}

/// Whether the statement reaches every row.
pub(super) fn reaches_all(statement: &Statement) -> bool {
    match statement.reach {
        Reach::Some => false,
        Reach::EveryUpdate | Reach::EveryDelete => true,
    }
}
