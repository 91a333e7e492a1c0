//! A catalog for unit tests: a shop with masked customers, views over them, partitions, children and functions.
//! Made by hand, as the proxy would fetch it; asks no database.

use std::sync::Arc;

use pg_query::NodeEnum;

use super::{row_statement, walk::Walk};
use crate::{
    catalog::{Catalog, Column, Function, FunctionKind, QualifiedName, Relation, RelationKind, UserType, UserTypeKind},
    statement::{ColumnUse, Lineage, Outputs, Reach, Refusal, Usage, Via},
};

/// Relations as `schema.name`, kind, columns.
const RELATIONS: &[(&str, RelationKind, &str)] = &[
    (
        "shop.customers",
        RelationKind::Table,
        "id name email ssn card_number birth_date salary status city notes avatar prefs email_key",
    ),
    ("shop.orders", RelationKind::Table, "id customer_id total status note created_at"),
    ("shop.order_items", RelationKind::Table, "order_id line_no product qty price"),
    ("shop.employees", RelationKind::Table, "id name email ssn salary manager_id dept"),
    ("shop.newsletter", RelationKind::Table, "n email topic"),
    ("shop.vault", RelationKind::Table, "id k v"),
    ("shop.customer_log", RelationKind::Table, "id customer_id old_email new_email action"),
    ("shop.customer_log_id_seq", RelationKind::Sequence, "last_value log_cnt is_called"),
    ("shop.v_customers", RelationKind::View, "id name contact tax_id pay city"),
    ("shop.v_contacts", RelationKind::View, "id c t p"),
    ("shop.v_public", RelationKind::View, "id name city"),
    ("shop.v_upd", RelationKind::View, "id name email city"),
    ("shop.mv_customers", RelationKind::MaterializedView, "id addr amount"),
    ("shop.mv_city", RelationKind::MaterializedView, "city n"),
    ("shop.v_loop", RelationKind::View, "a"),
    ("shop.events", RelationKind::Table, "id day actor_email kind"),
    ("shop.events_2025", RelationKind::Table, "id day actor_email kind"),
    ("shop.events_2026", RelationKind::Table, "id day actor_email kind"),
    ("shop.people", RelationKind::Table, "id name email"),
    ("shop.people_vip", RelationKind::Table, "id name email lounge"),
    ("shop.documents", RelationKind::Table, "id title body"),
    ("shop.quirks", RelationKind::Table, "order select Delete group email"),
    ("shop.customers_ssn_idx", RelationKind::Other, "ssn"),
    ("hr.orders", RelationKind::Table, "id customer_id total status note"),
    ("hr.payroll", RelationKind::Table, "employee_id iban amount"),
    ("pg_catalog.pg_class", RelationKind::Table, "oid relname relnamespace relkind"),
    ("pg_catalog.pg_namespace", RelationKind::Table, "oid nspname"),
];

/// Definitions of views as the server prints them with an empty search_path.
const DEFINITIONS: &[(&str, &str)] = &[
    (
        "shop.v_customers",
        " SELECT customers.id,\n customers.name,\n customers.email AS contact,\n customers.ssn AS tax_id,\n \
         customers.salary AS pay,\n customers.city\n FROM shop.customers;",
    ),
    (
        "shop.v_contacts",
        " SELECT v_customers.id,\n v_customers.contact AS c,\n \"left\"(v_customers.tax_id, 99) AS t,\n \
         (v_customers.pay * (1)::numeric) AS p\n FROM shop.v_customers;",
    ),
    ("shop.v_public", " SELECT customers.id,\n customers.name,\n customers.city\n FROM shop.customers;"),
    (
        "shop.v_upd",
        " SELECT customers.id,\n customers.name,\n customers.email,\n customers.city\n FROM shop.customers\n \
         WHERE (customers.id < 100);",
    ),
    (
        "shop.mv_customers",
        " SELECT customers.id,\n customers.email AS addr,\n customers.salary AS amount\n FROM shop.customers;",
    ),
    ("shop.mv_city", " SELECT customers.city,\n count(*) AS n\n FROM shop.customers\n GROUP BY customers.city;"),
    ("shop.v_loop", " SELECT v_loop.a\n FROM shop.v_loop;"),
];

/// Parents and their children.
const CHILDREN: &[(&str, &str)] =
    &[("shop.events", "shop.events_2025"), ("shop.events", "shop.events_2026"), ("shop.people", "shop.people_vip")];

/// User-defined functions as `schema.name`, and how many arguments they take.
const FUNCTIONS: &[(&str, u16)] =
    &[("shop.fn_emails", 0), ("shop.fn_email_of", 1), ("shop.fn_card", 1), ("shop.fn_rows", 0), ("shop.fn_total", 1)];

/// `schema.name` as a name.
pub(crate) fn name(dotted: &str) -> QualifiedName {
    let (schema, name) = dotted.split_once('.').expect("schema.name");
    QualifiedName::new(schema, name)
}

/// The shop.
pub(crate) fn catalog() -> Catalog {
    let mut catalog = Catalog {
        version: 1,
        database: "shop".to_owned(),
        login: "hallpass".to_owned(),
        default_search_path: "shop, public".to_owned(),
        schemas: ["shop", "hr", "public", "pg_catalog"].map(Arc::from).to_vec(),
        ..Catalog::default()
    };
    for (at, (dotted, kind, columns)) in RELATIONS.iter().enumerate() {
        catalog.add_relation(relation(16_384 + u32::try_from(at).expect("few"), dotted, *kind, columns));
    }
    let checked = UserTypeKind::Domain { base: 25 };
    for (oid, dotted, kind) in [(90_001, "shop.checked", checked), (90_002, "shop.mood", UserTypeKind::Enum)] {
        catalog.types.insert(name(dotted), UserType { oid, name: name(dotted), kind, extension: None });
    }
    for (dotted, arguments) in FUNCTIONS {
        catalog.add_function(Function {
            name: name(dotted),
            kind: FunctionKind::Function,
            min_args: *arguments,
            max_args: Some(*arguments),
            extension: None,
        });
    }
    catalog
}

/// A relation whose columns are all text.
pub(crate) fn relation(oid: u32, dotted: &str, kind: RelationKind, columns: &str) -> Relation {
    let columns = columns.split(' ').zip(1..).map(|(column, number)| Column {
        name: Arc::from(column),
        number,
        type_oid: 25,
        local: true,
        generated: (column == "email_key").then(|| Arc::from("lower((email)::text)")),
    });
    Relation {
        oid,
        name: name(dotted),
        kind,
        columns: columns.collect(),
        definition: DEFINITIONS.iter().find(|(view, _)| *view == dotted).map(|(_, text)| Arc::from(*text)),
        revision: None,
        triggered: false,
        ruled: false,
        parents: CHILDREN.iter().filter(|(_, child)| *child == dotted).map(|(parent, _)| name(parent)).collect(),
        children: CHILDREN.iter().filter(|(parent, _)| *parent == dotted).map(|(_, child)| name(child)).collect(),
    }
}

/// What one statement was understood to be, as short text for comparing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Outputs: `name=feeding columns`; `None` where no rows come back.
    pub(crate) outputs: Option<Vec<String>>,
    /// Uses: `=email` equality, `?email` inference, `email>place` travel.
    pub(crate) uses: Vec<String>,
    /// Needs: `select shop.orders`.
    pub(crate) needs: Vec<String>,
    /// Relations behind it.
    pub(crate) touches: Vec<String>,
    /// How many rows it reaches.
    pub(crate) reach: Reach,
}

/// Walks one row statement over the shop, with `shop, public` as search_path.
pub(crate) fn facts(sql: &str) -> Result<Facts, Refusal> {
    facts_in(&catalog(), &["pg_catalog", "shop", "public"], sql)
}

/// Walks one row statement, on a stack as large as the gate's own.
pub(crate) fn facts_in(catalog: &Catalog, path: &[&str], sql: &str) -> Result<Facts, Refusal> {
    std::thread::scope(|scope| {
        let walk = std::thread::Builder::new().stack_size(64 << 20);
        walk.spawn_scoped(scope, || walked(catalog, path, sql)).expect("a thread").join().expect("no panic")
    })
}

fn walked(catalog: &Catalog, path: &[&str], sql: &str) -> Result<Facts, Refusal> {
    let path: Vec<Arc<str>> = path.iter().copied().map(Arc::from).collect();
    let tree = pg_query::parse(sql, 0).unwrap_or_else(|error| panic!("{sql}: {error}")).protobuf;
    let [statement] = tree.stmts.as_slice() else { panic!("one statement: {sql}") };
    let node: &NodeEnum = statement.stmt.as_ref().and_then(|node| node.node.as_ref()).expect("a node");
    let mut walk = Walk::new(catalog, &path);
    let outputs = match row_statement::row_statement(&mut walk, node)? {
        Outputs::None => None,
        Outputs::Columns(columns) => {
            Some(columns.iter().map(|column| format!("{}={}", column.name, shown(&column.lineage))).collect())
        }
        other => panic!("no rows of its own: {other:?}"),
    };
    assert!(walk.blocked.is_none() && walk.trusted == 0 && walk.depth == 0, "the walk is balanced: {sql}");
    Ok(Facts {
        outputs,
        uses: walk.uses.iter().map(used).collect(),
        needs: walk.needs.iter().map(|need| format!("{} {}", need.action, need.object)).collect(),
        touches: walk.touches.iter().map(ToString::to_string).collect(),
        reach: row_statement::reach(&walk),
    })
}

/// Feeding columns without their schema `shop`: as they are, `!` after total steps, `?` after partial ones.
fn shown(lineage: &Lineage) -> String {
    let each = lineage.columns.iter().map(|(column, via)| {
        let step = match via {
            Via::Copy => "",
            Via::Total => "!",
            Via::Partial => "?",
        };
        format!("{}{step}", short(&column.to_string()))
    });
    each.collect::<Vec<_>>().join(" ")
}

fn used(usage: &ColumnUse) -> String {
    let column = short(&usage.column.to_string()).to_owned();
    match &usage.usage {
        Usage::Equality => format!("={column}"),
        Usage::Inference => format!("?{column}"),
        Usage::Travel(place) => format!("{column}>{}", short(place)),
        Usage::Reshape => format!("~{column}"),
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix("shop.").unwrap_or(name)
}
