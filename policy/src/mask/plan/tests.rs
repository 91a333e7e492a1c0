//! Rules to masks, masks to plans, and plans with the origins that a server reports.

use proptest::prelude::*;

use super::*;
use crate::{
    catalog::Catalog,
    fixtures::{
        CONTACTS, CUSTOMERS, KEEP, OPAQUE, ORDERS, PEOPLE, catalog, column, lineage_of, masks, name, rule, shop_masks,
        statement,
    },
    ids::TargetName,
    mask::{
        apply::{Format, PgType},
        bind::{Origin, PlanMismatch},
    },
    statement::{
        Action,
        Via::{Copy, Partial, Total},
    },
};

fn columns(plan: Result<MaskPlan, MaskConflict>) -> Vec<Option<MaskWith>> {
    match plan {
        Ok(MaskPlan::Columns(columns)) => columns,
        other => panic!("{other:?}"),
    }
}

fn with_of(masks: &Masks, text: &str) -> Option<MaskWith> {
    masks.mask_of(&column(text)).map(|mask| mask.with.clone())
}

fn origin(table: u32, attribute: i16) -> Origin {
    Origin { table, attribute, ty: PgType { oid: 25, format: Format::Text } }
}

#[test]
fn the_first_rule_that_names_a_column_wins() {
    let masks = masks(&[
        rule("shop/shop.customers.ssn", KEEP, InPredicates::None),
        rule("*/*.*.ssn", MaskWith::Null, InPredicates::Equality),
        rule("other/*.*.*", MaskWith::Full, InPredicates::None),
    ]);
    assert_eq!(with_of(&masks, "shop.customers.ssn"), Some(KEEP));
    assert_eq!(with_of(&masks, "shop.guests.ssn"), Some(MaskWith::Null));
    assert_eq!(with_of(&masks, "shop.customers.email"), None, "another target's rule");
}

#[test]
fn globs_that_name_nothing_are_reported() {
    let rules = [
        rule("shop/shop.customers.ssn", KEEP, InPredicates::None),
        rule("shop/shop.customers.iban", KEEP, InPredicates::None),
        rule("other/shop.customers.iban", KEEP, InPredicates::None),
    ];
    let compiled = Masks::compile(&rules, &TargetName::new("shop"), &catalog(), lineage_of);
    let unused: Vec<String> = compiled.unused.iter().map(ToString::to_string).collect();
    assert_eq!(unused, ["shop/shop.customers.iban"]);
}

#[test]
fn stars_mean_no_system_catalog_and_samples_of_values_are_masked() {
    let masks = masks(&[rule("*/*.*.email", MaskWith::Email, InPredicates::Any)]);
    assert_eq!(with_of(&masks, "pg_catalog.pg_class.email"), None);
    assert_eq!(with_of(&masks, "pg_catalog.pg_statistic.stavalues1"), Some(MaskWith::Full));
    let written_out = crate::fixtures::masks(&[rule("*/pg_catalog.*.email", MaskWith::Email, InPredicates::Any)]);
    assert_eq!(with_of(&written_out, "pg_catalog.pg_class.email"), Some(MaskWith::Email));
}

#[test]
fn masks_go_up_and_down_inheritance() {
    let up = masks(&[rule("shop/shop.employees.ssn", KEEP, InPredicates::Equality)]);
    for table in ["employees", "people", "guests"] {
        assert_eq!(with_of(&up, &format!("shop.{table}.ssn")), Some(KEEP), "{table}");
    }
    assert_eq!(up.origins.get(&(PEOPLE, 3)).map(|mask| mask.with.clone()), Some(KEEP));

    let different = masks(&[
        rule("shop/shop.people.ssn", KEEP, InPredicates::Equality),
        rule("shop/shop.employees.ssn", MaskWith::Null, InPredicates::None),
    ]);
    assert_eq!(with_of(&different, "shop.employees.ssn"), Some(MaskWith::Null));
    let parent = different.mask_of(&column("shop.people.ssn")).unwrap();
    assert_eq!((&parent.with, parent.in_predicates), (&MaskWith::Full, InPredicates::None), "it shows both");
    assert_eq!(with_of(&different, "shop.employees.pay"), None);
}

#[test]
fn views_and_generated_columns_are_as_masked_as_what_feeds_them() {
    let masks = shop_masks();
    let at = |table, attribute| masks.origins.get(&(table, attribute)).map(|mask| mask.with.clone());
    assert_eq!(at(CONTACTS, 1), None);
    assert_eq!(at(CONTACTS, 2), Some(MaskWith::Email), "an alias");
    assert_eq!(at(CONTACTS, 3), Some(MaskWith::Full), "upper(email)");
    assert_eq!(at(CUSTOMERS, 5), Some(MaskWith::Full), "a generated column");
    assert_eq!(at(CUSTOMERS, 1), None);
    assert_eq!((at(OPAQUE, 1), at(OPAQUE, 2)), (Some(MaskWith::Full), Some(MaskWith::Full)), "cannot tell");
}

#[test]
fn a_rule_on_a_view_masks_what_feeds_it() {
    let masks = masks(&[rule("shop/shop.contacts.address", MaskWith::Hash, InPredicates::Equality)]);
    assert_eq!(with_of(&masks, "shop.customers.email"), Some(MaskWith::Hash));
    assert_eq!(with_of(&masks, "shop.contacts.shout"), Some(MaskWith::Full));
    assert_eq!(with_of(&masks, "shop.customers.ssn"), None);
}

#[test]
fn outputs_are_masked_by_lineage() {
    let masks = shop_masks();
    let select = statement("SELECT")
        .showing(&[("shop.orders.note", Copy)])
        .showing(&[("shop.customers.email", Copy)])
        .showing(&[("shop.customers.email", Total)])
        .showing(&[("shop.customers.email", Copy), ("shop.orders.note", Copy)])
        .showing(&[("shop.customers.email", Copy), ("shop.orders.note", Total)])
        .showing(&[("shop.customers.email", Copy), ("shop.customers.ssn", Copy)])
        .showing(&[("shop.orders.note", Partial)])
        .showing(&[]);
    let full = Some(MaskWith::Full);
    let email = Some(MaskWith::Email);
    let computed = Some(MaskWith::Blank);
    let expected = [None, email.clone(), computed, email, full.clone(), full, None, None];
    assert_eq!(columns(masks.plan(&select, false)), expected);
    assert_eq!(masks.plan(&select, true), Ok(MaskPlan::Unmasked));
    let names: Vec<String> = masks.masked_names(&select.outputs).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["shop.customers.email", "shop.customers.ssn"]);
}

#[test]
fn computing_what_may_fail_is_a_conflict() {
    let select = statement("SELECT").showing(&[("shop.customers.ssn", Partial)]);
    let conflict = MaskConflict { column: column("shop.customers.ssn"), usage: None };
    assert_eq!(shop_masks().plan(&select, false), Err(conflict));
    assert_eq!(shop_masks().plan(&select, true), Ok(MaskPlan::Unmasked));
}

#[test]
fn what_is_computed_from_a_masked_column_tells_of_no_warnings() {
    let masks = shop_masks();
    let mutes = |lineage: &[(&str, crate::statement::Via)]| masks.mutes(&statement("SELECT").showing(lineage));
    assert!(!mutes(&[("shop.customers.email", Copy)]) && !mutes(&[("shop.orders.note", Total)]));
    assert!(mutes(&[("shop.customers.email", Total)]));
    let mut inner = statement("SELECT").showing(&[("shop.orders.note", Copy)]);
    inner.features.computed.insert(column("shop.orders.note"));
    assert!(!masks.mutes(&inner));
    inner.features.computed.insert(column("shop.customers.email"));
    assert!(masks.mutes(&inner));
}

#[test]
fn uses_are_bounded_by_in_predicates() {
    let masks = shop_masks();
    let travel = || Usage::Travel(Arc::from("shop.orders.note"));
    // Column, usage, allowed, allowed with unmask. email: equality, ssn: none, salary: any.
    for (used, usage, masked, unmasked) in [
        ("email", Usage::Equality, true, true),
        ("email", Usage::Inference, false, true),
        ("ssn", Usage::Equality, false, true),
        ("ssn", Usage::Inference, false, true),
        ("salary", Usage::Equality, true, true),
        ("salary", Usage::Inference, true, true),
        ("salary", travel(), false, false),
        ("email", Usage::Reshape, false, false),
        ("id", Usage::Inference, true, true),
        ("id", travel(), true, true),
    ] {
        let select = statement("SELECT").using(&format!("shop.customers.{used}"), usage.clone());
        assert_eq!(masks.plan(&select, false).is_ok(), masked, "{used} {usage:?}");
        assert_eq!(masks.plan(&select, true).is_ok(), unmasked, "{used} {usage:?} unmasked");
    }
    let mut explain = statement("EXPLAIN").using("shop.customers.email", Usage::Equality);
    explain.explain = true;
    assert!(masks.plan(&explain, false).is_err(), "estimates tell about constants");
}

#[test]
fn copy_takes_masked_columns_out_only_unmasked() {
    let masks = shop_masks();
    let mut copy = statement("COPY").showing(&[("shop.customers.email", Copy)]);
    copy.effect = Effect::CopyOut;
    copy.export = true;
    let conflict = masks.plan(&copy, false).unwrap_err();
    assert_eq!(conflict.to_string(), "copying masked column shop.customers.email to COPY");
    let copy = copy.using("shop.customers.email", Usage::Travel(Arc::from("COPY")));
    assert!(masks.plan(&copy, false).is_err());
    assert_eq!(masks.plan(&copy, true), Ok(MaskPlan::Unmasked));
}

#[test]
fn prepared_and_declared_statements_are_looked_into() {
    let inner = Box::new(statement("SELECT").using("shop.customers.ssn", Usage::Inference));
    for effect in [
        Effect::Prepare { name: Arc::from("p"), statement: inner.clone() },
        Effect::Declare { name: Arc::from("c"), statement: inner },
    ] {
        let mut outer = statement("PREPARE");
        outer.effect = effect;
        assert!(shop_masks().plan(&outer, false).is_err());
    }
    let mut fetch = statement("FETCH");
    fetch.outputs = Outputs::OfCursor(Arc::from("c"));
    let plan = shop_masks().plan(&fetch, false).unwrap();
    assert_eq!(plan, MaskPlan::OfAnother);
    assert_eq!(plan.with_origins([origin(0, 0)].into_iter(), &shop_masks()), Err(PlanMismatch::OfAnother));
}

#[test]
fn errors_are_scrubbed_where_a_masked_column_may_take_part() {
    let mut masks = shop_masks();
    masks.triggered.insert(name("shop.vault"));
    let touching = |text: &str| {
        let mut select = statement("SELECT");
        select.touches.push(name(text));
        select
    };
    let committing = || {
        let mut commit = statement("COMMIT");
        commit.effect = Effect::Commit;
        commit
    };
    let function = Object::Function(name("shop.f"));
    for (statement, expected) in [
        (touching("shop.customers"), true),
        (touching("shop.contacts"), true),
        (touching("shop.orders"), false),
        (statement("SELECT").needing(Action::Select, "shop.customers"), true),
        (statement("SELECT").needing(Action::Select, "shop.orders"), false),
        (statement("UPDATE").needing(Action::Update, "shop.orders"), false),
        (statement("UPDATE").needing(Action::Update, "shop.vault"), true),
        (statement("SELECT").needing_object(Action::Call, function), true),
        (committing(), true),
        (statement("SET CONSTRAINTS"), true),
        (statement("SHOW"), false),
    ] {
        assert_eq!(masks.scrubs(&statement), expected, "{statement:?}");
        assert!(!Masks::default().scrubs(&statement));
    }
}

#[test]
fn errors_are_scrubbed_where_code_runs_beside_the_statement() {
    let mut catalog = catalog();
    let mut guests = (*catalog.relations[&name("shop.guests")]).clone();
    guests.triggered = true;
    catalog.add_relation(guests);
    // orders -> vault -> people, whose child has the trigger.
    let edge = |parent: &str, child: &str| (name(parent), name(child));
    catalog.beside.cascades = vec![edge("shop.orders", "shop.vault"), edge("shop.vault", "shop.people")];
    let rules = [rule("shop/shop.customers.ssn", KEEP, InPredicates::None)];
    let compile = |catalog: &Catalog| Masks::compile(&rules, &TargetName::new("shop"), catalog, lineage_of).masks;
    let masks = compile(&catalog);
    for (relation, written) in [
        ("shop.guests", true),
        ("shop.people", true),
        ("shop.vault", true),
        ("shop.orders", true),
        ("shop.employees", false),
    ] {
        assert_eq!(masks.scrubs(&statement("UPDATE").needing(Action::Update, relation)), written, "{relation}");
        assert!(!masks.scrubs(&statement("SELECT").needing(Action::Select, relation)), "{relation}");
    }
    catalog.beside.policed.insert(name("shop.employees"));
    let create = statement("CREATE TABLE").needing(Action::Ddl, "shop.new");
    assert!(!masks.scrubs(&create));
    catalog.beside.event_triggers = true;
    let masks = compile(&catalog);
    assert!(masks.scrubs(&statement("SELECT").needing(Action::Select, "shop.employees")));
    assert!(masks.scrubs(&create));
    let all = statement("ANALYZE").needing_object(Action::Maintain, Object::Session("database".into()));
    assert!(masks.scrubs(&all));
}

#[test]
fn origins_mask_what_lineage_does_not() {
    let masks = shop_masks();
    let select = statement("SELECT").showing(&[("shop.orders.note", Copy)]).showing(&[("shop.customers.email", Total)]);
    let plan = masks.plan(&select, false).unwrap();
    let bound = plan.with_origins([origin(CUSTOMERS, 3), origin(0, 0)].into_iter(), &masks).unwrap();
    assert_eq!(bound.columns[0].mask, Some(KEEP), "forged or misread lineage");
    assert_eq!(bound.columns[1].mask, Some(MaskWith::Blank), "the lineage's, as there is no origin");
    let names = bound.masked_names(&select.outputs, &masks);
    assert_eq!(names.as_deref(), Some("shop.customers.email,shop.customers.ssn"));
    assert!(!bound.is_clear());

    let clear = MaskPlan::Clear.with_origins([origin(CUSTOMERS, 2), origin(ORDERS, 2)].into_iter(), &masks).unwrap();
    assert_eq!(clear.columns[0].mask, Some(MaskWith::Email));
    assert_eq!(clear.columns[1].mask, None);
    let rows = MaskPlan::Clear.with_origins([origin(CUSTOMERS, 0), origin(ORDERS, 0)].into_iter(), &masks).unwrap();
    assert_eq!(rows.columns[0].mask, Some(MaskWith::Full), "a whole row");
    assert_eq!(rows.columns[1].mask, None);
    let shown = MaskPlan::Unmasked.with_origins([origin(CUSTOMERS, 2)].into_iter(), &masks).unwrap();
    assert!(shown.is_clear());
    assert_eq!(shown.masked_names(&select.outputs, &masks), None);
}

#[test]
fn a_result_that_is_not_as_planned_is_refused() {
    let masks = shop_masks();
    let plan = masks.plan(&statement("SELECT").showing(&[("shop.orders.note", Copy)]), false).unwrap();
    let two = [origin(ORDERS, 2), origin(ORDERS, 3)];
    assert_eq!(plan.with_origins(two.into_iter(), &masks), Err(PlanMismatch::Count { expected: 1, found: 2 }));
    let unknown = PlanMismatch::UnknownOrigin { column: 1, table: ORDERS, attribute: 9 };
    assert_eq!(plan.with_origins([origin(ORDERS, 9)].into_iter(), &masks), Err(unknown));
    assert!(plan.with_origins([origin(30_000, 1)].into_iter(), &masks).is_err(), "a table made since");
    assert!(plan.with_origins([origin(ORDERS, -1)].into_iter(), &masks).unwrap().is_clear(), "ctid");
    assert!(plan.with_origins([origin(1259, 2)].into_iter(), &masks).unwrap().is_clear(), "a system catalog");

    let ungoverned = Masks::default();
    let plan = ungoverned.plan(&statement("SELECT").showing(&[]), false).unwrap();
    assert_eq!(plan, MaskPlan::Clear);
    assert!(plan.with_origins([origin(30_000, 1)].into_iter(), &ungoverned).unwrap().is_clear());
    let later = crate::fixtures::masks(&[rule("shop/*.*.iban", KEEP, InPredicates::None)]);
    let plan = later.plan(&statement("SELECT").showing(&[]), false).unwrap();
    assert!(plan.with_origins(two.into_iter(), &later).is_err(), "a column that appears later may be masked");
}

#[test]
fn bind_sets_formats() {
    let masks = shop_masks();
    let mut bound = MaskPlan::Clear.with_origins([origin(ORDERS, 1), origin(ORDERS, 2)].into_iter(), &masks).unwrap();
    let formats =
        |bound: &super::super::bind::BoundColumns| bound.columns.iter().map(|c| c.ty.format).collect::<Vec<_>>();
    bound.set_formats(&[Format::Binary]).unwrap();
    assert_eq!(formats(&bound), [Format::Binary, Format::Binary]);
    bound.set_formats(&[Format::Text, Format::Binary]).unwrap();
    assert_eq!(formats(&bound), [Format::Text, Format::Binary]);
    bound.set_formats(&[]).unwrap();
    assert_eq!(formats(&bound), [Format::Text, Format::Text]);
    assert!(bound.set_formats(&[Format::Text; 3]).is_err());
}

fn any_rule() -> impl Strategy<Value = MaskRule> {
    let table =
        proptest::sample::select(&["customers", "people", "employees", "guests", "contacts", "orders", "*"][..]);
    let named = proptest::sample::select(&["email", "ssn", "note", "id", "address", "label", "*"][..]);
    let with = prop_oneof![Just(MaskWith::Full), Just(MaskWith::Email), Just(KEEP), Just(MaskWith::Null)];
    let predicates = prop_oneof![Just(InPredicates::None), Just(InPredicates::Equality), Just(InPredicates::Any)];
    (table, named, with, predicates)
        .prop_map(|(table, named, with, p)| rule(&format!("shop/shop.{table}.{named}"), with, p))
}

fn any_lineage() -> impl Strategy<Value = Lineage> {
    const COLUMNS: &[&str] = &[
        "shop.customers.email",
        "shop.customers.id",
        "shop.customers.ssn",
        "shop.people.email",
        "shop.guests.ssn",
        "shop.orders.note",
    ];
    let via = prop_oneof![Just(Copy), Just(Total)];
    proptest::collection::btree_map(proptest::sample::select(COLUMNS), via, 0..4).prop_map(|columns| Lineage {
        columns: columns.into_iter().map(|(text, via)| (column(text), via)).collect(),
        mixed: false,
    })
}

proptest! {
    #[test]
    fn one_more_mask_unmasks_nothing(
        rules in proptest::collection::vec(any_rule(), 0..4), more in any_rule(), at in 0_usize..5,
        outputs in proptest::collection::vec(any_lineage(), 1..4),
    ) {
        let fewer = masks(&rules);
        let mut rules = rules;
        rules.insert(at.min(rules.len()), more);
        let more = masks(&rules);
        for column in fewer.columns.keys() {
            prop_assert!(more.columns.contains_key(column), "{column}");
        }
        for origin in fewer.origins.keys() {
            prop_assert!(more.origins.contains_key(origin), "{origin:?}");
        }
        for lineage in &outputs {
            prop_assert!(fewer.mask_for(lineage).is_none() || more.mask_for(lineage).is_some(), "{lineage:?}");
        }
        let again = masks(&rules);
        prop_assert_eq!(&more.columns, &again.columns, "the same whatever the order of the catalog");
    }
}
