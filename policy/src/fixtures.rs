//! What unit tests share: a small shop's catalog, and statements by their facts. Test code only.

use std::sync::Arc;

use crate::{
    catalog::{Catalog, Column, ColumnRef, QualifiedName, Relation, RelationKind},
    ids::TargetName,
    mask::{
        apply::MaskWith,
        plan::{ColumnGlob, InPredicates, MaskRule, Masks},
    },
    statement::{
        Action, ColumnUse, Effect, Features, Lineage, Need, Object, Output, Outputs, Reach, Statement, Usage, Verb, Via,
    },
};

pub(crate) const CUSTOMERS: u32 = 20_001;
pub(crate) const ORDERS: u32 = 20_002;
pub(crate) const PEOPLE: u32 = 20_004;
pub(crate) const CONTACTS: u32 = 20_010;
pub(crate) const OPAQUE: u32 = 20_011;

fn relation(oid: u32, schema: &str, name: &str, kind: RelationKind, columns: &[&str]) -> Relation {
    let column = |(at, name): (usize, &&str)| Column {
        name: Arc::from(name.trim_end_matches('*')),
        number: i16::try_from(at).unwrap() + 1,
        type_oid: 25,
        local: true,
        generated: name.ends_with('*').then(|| Arc::from("expression")),
    };
    Relation {
        oid,
        name: QualifiedName::new(schema, name),
        kind,
        columns: columns.iter().enumerate().map(column).collect(),
        definition: None,
        revision: None,
        triggered: false,
        ruled: false,
        parents: Vec::new(),
        children: Vec::new(),
    }
}

/// A shop: `people` is the parent of `employees` and `guests`, `contacts` a view, `label` a generated column, nothing
/// is known about `opaque`.
pub(crate) fn catalog() -> Catalog {
    use RelationKind::{Table, View};
    let mut catalog = Catalog::default();
    let mut add = |relation| catalog.add_relation(relation);
    add(relation(CUSTOMERS, "shop", "customers", Table, &["id", "email", "ssn", "salary", "label*"]));
    add(relation(ORDERS, "shop", "orders", Table, &["id", "note", "total"]));
    add(relation(20_003, "shop", "vault", Table, &["id", "k"]));
    let mut people = relation(PEOPLE, "shop", "people", Table, &["id", "email", "ssn"]);
    let mut employees = relation(20_005, "shop", "employees", Table, &["id", "email", "ssn", "pay"]);
    let mut guests = relation(20_006, "shop", "guests", Table, &["id", "email", "ssn"]);
    people.children = vec![employees.name.clone(), guests.name.clone()];
    employees.parents = vec![people.name.clone()];
    guests.parents = vec![people.name.clone()];
    add(people);
    add(employees);
    add(guests);
    add(relation(CONTACTS, "shop", "contacts", View, &["id", "address", "shout"]));
    add(relation(OPAQUE, "shop", "opaque", View, &["a", "b"]));
    add(relation(2619, "pg_catalog", "pg_statistic", Table, &["starelid", "stavalues1"]));
    add(relation(1259, "pg_catalog", "pg_class", Table, &["oid", "relname", "email"]));
    catalog
}

/// What feeds the columns of the shop's views and generated columns.
pub(crate) fn lineage_of(relation: &Relation) -> Option<Vec<Lineage>> {
    let copy = |name: &str| Lineage::copy_of(column(&format!("shop.customers.{name}")));
    match &*relation.name.name {
        "contacts" => Some(vec![copy("id"), copy("email"), copy("email").through(Via::Total)]),
        "customers" => {
            let mut label = copy("id").through(Via::Total);
            label.merge(&copy("email").through(Via::Total));
            Some(vec![copy("id"), copy("email"), copy("ssn"), copy("salary"), label])
        }
        _ => None,
    }
}

/// `schema.table.column`.
pub(crate) fn column(text: &str) -> ColumnRef {
    let (relation, column) = text.rsplit_once('.').unwrap();
    ColumnRef { relation: name(relation), column: Arc::from(column) }
}

/// `schema.name`.
pub(crate) fn name(text: &str) -> QualifiedName {
    let (schema, name) = text.split_once('.').unwrap();
    QualifiedName::new(schema, name)
}

/// A rule for one `target/schema.table.column`.
pub(crate) fn rule(text: &str, with: MaskWith, in_predicates: InPredicates) -> MaskRule {
    let (target, rest) = text.split_once('/').unwrap();
    let parts: Vec<&str> = rest.split('.').collect();
    let columns = vec![ColumnGlob {
        target: target.into(),
        schema: parts[0].into(),
        table: parts[1].into(),
        column: parts[2].into(),
    }];
    MaskRule { columns, with, in_predicates }
}

/// The masks that `rules` make for the target `shop`.
pub(crate) fn masks(rules: &[MaskRule]) -> Masks {
    Masks::compile(rules, &TargetName::new("shop"), &catalog(), lineage_of).masks
}

pub(crate) const KEEP: MaskWith = MaskWith::Keep { first: 0, last: 4 };

/// E-mail addresses masked as such (equality), social security numbers kept by their last digits (none), salaries
/// rounded (any).
pub(crate) fn shop_masks() -> Masks {
    masks(&[
        rule("shop/shop.customers.email", MaskWith::Email, InPredicates::Equality),
        rule("shop/shop.customers.ssn", KEEP, InPredicates::None),
        rule("shop/shop.customers.salary", MaskWith::Round(1000), InPredicates::Any),
    ])
}

/// A statement that needs and shows nothing.
pub(crate) fn statement(verb: Verb) -> Statement {
    Statement {
        verb,
        needs: Vec::new(),
        outputs: Outputs::None,
        uses: Vec::new(),
        touches: Vec::new(),
        effect: Effect::None,
        reach: Reach::Some,
        explain: false,
        export: false,
        features: Features::default(),
        compared: Vec::new(),
        identity: [0; 32],
    }
}

impl Statement {
    pub(crate) fn needing(mut self, action: Action, relation: &str) -> Self {
        self.needs.push(Need { action, object: Object::Relation(name(relation)) });
        self
    }

    pub(crate) fn needing_object(mut self, action: Action, object: Object) -> Self {
        self.needs.push(Need { action, object });
        self
    }

    /// With one result column more.
    pub(crate) fn showing(mut self, lineage: &[(&str, Via)]) -> Self {
        let lineage =
            Lineage { columns: lineage.iter().map(|(text, via)| (column(text), *via)).collect(), mixed: false };
        let output = Output { name: Arc::from("x"), lineage };
        match &mut self.outputs {
            Outputs::Columns(outputs) => outputs.push(output),
            _ => self.outputs = Outputs::Columns(vec![output]),
        }
        self
    }

    pub(crate) fn using(mut self, text: &str, usage: Usage) -> Self {
        self.uses.push(ColumnUse { column: column(text), usage });
        self
    }
}
