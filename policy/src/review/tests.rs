//! Built-in rules over facts; own rules over the same.

use super::*;
use crate::{
    catalog::Catalog,
    decide::Policy,
    fixtures::{catalog, name, statement},
    ids::{GroupName, Principal, TargetName, UserName},
    mask::plan::Masks,
    statement::{Action, Effect, Object, Reach, Usage, Via},
};

fn review(rules: &[BuiltIn]) -> Review {
    Review { levels: rules.iter().map(|rule| (*rule, Level::Warn)).collect(), ..Review::default() }
}

fn check(review: &Review, statement: &Statement) -> Vec<(String, String)> {
    let mut catalog: Catalog = catalog();
    catalog.rows.insert(name("shop.orders"), 2_000_000);
    catalog.rows.insert(name("shop.customers"), 10);
    let principal = Principal { user: UserName::new("alice"), groups: vec![GroupName::new("oncall")] };
    let question = Question {
        principal: &principal,
        target: &TargetName::new("shop"),
        scope: None,
        statement,
        text: None,
        policy: &Policy::default(),
        masks: &Masks::default(),
        catalog: &catalog,
    };
    let found = review.check(&question).into_iter();
    found.map(|broken| (broken.rule.to_string(), broken.finding)).collect()
}

fn whole(verb: &'static str, table: &str) -> Statement {
    let mut found = statement(verb).needing(Action::Select, table);
    found.features.whole.insert(name(table));
    found
}

#[test]
fn each_built_in_rule_finds_what_it_is_about() {
    let mut update = statement("UPDATE");
    update.reach = Reach::EveryUpdate;
    let mut delete = statement("DELETE");
    delete.reach = Reach::EveryDelete;
    let mut rewrite = statement("ALTER TABLE");
    rewrite.features.rewrite = Some("changes the type of shop.orders.total".into());
    let mut cartesian = statement("SELECT");
    cartesian.features.unconnected = Some(("o".into(), "c".into()));
    for (rule, statement, finding) in [
        (BuiltIn::UpdateWithoutWhere, update, "UPDATE without a WHERE that can be false changes every row"),
        (BuiltIn::DeleteWithoutWhere, delete, "DELETE without a WHERE that can be false removes every row"),
        (
            BuiltIn::DropTable,
            statement("DROP TABLE").needing(Action::Ddl, "shop.orders"),
            "DROP TABLE removes shop.orders with everything in it",
        ),
        (
            BuiltIn::Truncate,
            statement("TRUNCATE TABLE").needing(Action::Truncate, "shop.orders"),
            "TRUNCATE empties shop.orders",
        ),
        (BuiltIn::TableRewrite, rewrite, "ALTER TABLE changes the type of shop.orders.total"),
        (
            BuiltIn::SelectEverything,
            whole("SELECT", "shop.orders"),
            "SELECT reads all of shop.orders, about 2000000 rows",
        ),
        (BuiltIn::CartesianJoin, cartesian, "no condition connects o and c, so each row meets every other"),
        (
            BuiltIn::SideEffects,
            statement("SELECT").needing_object(Action::Call, Object::Function(name("hr.net"))),
            "SELECT calls function hr.net, which may change something",
        ),
        (
            BuiltIn::LockTable,
            statement("LOCK TABLE").needing(Action::Lock, "shop.orders"),
            "LOCK TABLE locks all of shop.orders",
        ),
        (
            BuiltIn::LockTable,
            whole("SELECT", "shop.customers").needing(Action::Lock, "shop.customers"),
            "SELECT locks all of shop.customers",
        ),
    ] {
        assert_eq!(check(&review(&[rule]), &statement), [(rule.name().to_owned(), finding.to_owned())]);
        let off = Review { levels: [(rule, Level::Off)].into(), ..Review::default() };
        assert_eq!(check(&off, &statement), []);
        let explained = Statement { explain: true, ..statement.clone() };
        assert_eq!(check(&review(&[rule]), &explained), [], "EXPLAIN runs nothing");
        let mut prepared = super::tests::statement("PREPARE");
        prepared.effect = Effect::Prepare { name: "p".into(), statement: Box::new(statement) };
        assert_eq!(check(&review(&[rule]), &prepared).len(), 1, "what is prepared is meant to run");
    }
}

#[test]
fn harmless_statements_break_nothing() {
    let all = review(&BuiltIn::ALL);
    for harmless in [
        statement("SELECT").needing(Action::Select, "shop.orders"),
        whole("SELECT", "shop.customers"),
        whole("INSERT", "shop.orders"),
        statement("DROP VIEW").needing(Action::Ddl, "shop.contacts"),
        statement("ALTER TABLE").needing(Action::Ddl, "shop.orders"),
        statement("UPDATE").needing(Action::Update, "shop.orders"),
        statement("SELECT").needing(Action::Lock, "shop.orders"),
        statement("BEGIN"),
    ] {
        assert_eq!(check(&all, &harmless), [], "{harmless:?}");
    }
}

#[test]
fn own_rules_speak_of_the_facts() {
    let own = |when: &str| {
        let when = Condition::compile(when, &VARIABLES).unwrap_or_else(|fault| panic!("{when}: {fault:?}"));
        let rule = OwnRule { name: "mine".into(), when, level: Level::Block };
        Review { levels: [(BuiltIn::SelectEverything, Level::Warn)].into(), own: vec![rule], ..Review::default() }
    };
    let read = whole("SELECT", "shop.orders")
        .showing(&[("shop.customers.email", Via::Copy)])
        .using("shop.orders.total", Usage::Equality);
    for (when, holds) in [
        ("statement.verb == 'SELECT' && statement.rows > 1000000", true),
        ("'shop.orders' in statement.tables && 'select' in statement.actions", true),
        ("statement.columns == ['shop.customers.email', 'shop.orders.total']", true),
        ("statement.writes || statement.every_row || statement.cartesian || statement.rewrites", false),
        ("statement.tables.exists(t, t.startsWith('hr.')) || statement.exports", false),
        ("user.name == 'alice' && 'oncall' in user.groups && database.name == 'shop'", true),
        ("size(statement.functions) > 0", false),
        ("statement.whole_tables == ['shop.orders']", true),
    ] {
        let found = check(&own(when), &read);
        assert_eq!(found.iter().any(|(rule, _)| rule == "mine"), holds, "{when}");
        assert!(found.iter().any(|(rule, _)| rule == "select-everything"), "one rule hides no other");
        assert!(!holds || found[0].0 == "mine", "what blocks comes first");
    }
    let unclear = check(&own("statement.tables[7] == 'a'"), &read);
    assert!(unclear[0].1.contains("cannot be evaluated"), "{unclear:?}");
    assert!(Condition::compile("statement.tabels == []", &VARIABLES).is_err());
}
