//! Built-in rules over facts; own rules over the same.

use super::*;
use crate::{
    catalog::Catalog,
    decide::Policy,
    fixtures::{self, catalog, name, statement},
    ids::{GroupName, Principal, TargetName, UserName},
    mask::plan::Masks,
    statement::{
        Action, Effect, Names, Object, Reach, Usage, Via,
        mysql::{self, MysqlNames},
        postgres,
    },
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
            "TRUNCATE TABLE empties shop.orders",
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

/// What the texts of both dialects mean, in database or schema shop.
fn both(text: &str) -> [Vec<String>; 2] {
    let mut catalog = fixtures::catalog();
    catalog.schemas.push("shop".into());
    let postgres = postgres::understand(text, &catalog, &Names { search_path: "shop".into() });
    let names = MysqlNames { database: Some("shop".into()), ..MysqlNames::default() };
    let mysql = mysql::understand(text, &catalog, &names);
    [postgres, mysql].map(|understood| {
        let mut understood = understood.unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        let statement = understood.statements.remove(0);
        check(&review(&BuiltIn::ALL), &statement).into_iter().map(|(rule, _)| rule).collect()
    })
}

#[test]
fn statements_of_both_dialects_break_the_same_rules() {
    let rules = |one: &str| if one.is_empty() { Vec::new() } else { vec![one.to_owned()] };
    for (text, expected) in [
        ("UPDATE orders SET note = 'x'", "update-without-where"),
        ("UPDATE orders SET note = 'x' WHERE 1 = 1", "update-without-where"),
        ("UPDATE orders SET note = 'x' WHERE id = 1", ""),
        ("DELETE FROM orders", "delete-without-where"),
        ("DELETE FROM orders WHERE id > 7", ""),
        ("DROP TABLE orders", "drop-table"),
        ("DROP TABLE IF EXISTS shop.orders, shop.guests", "drop-table"),
        ("DROP VIEW contacts", ""),
        ("TRUNCATE TABLE orders", "truncate"),
        ("ALTER TABLE orders ADD COLUMN k int", ""),
        ("ALTER TABLE orders ADD COLUMN k int DEFAULT 7", ""),
        ("ALTER TABLE orders ADD COLUMN k bigint GENERATED ALWAYS AS (id + 1) STORED", "table-rewrite"),
        ("ALTER TABLE orders RENAME COLUMN note TO remark", ""),
        ("SELECT * FROM orders", "select-everything"),
        ("SELECT * FROM orders LIMIT 10", ""),
        ("SELECT * FROM orders WHERE id = 1", ""),
        ("SELECT * FROM guests", ""),
        ("SELECT o.id FROM orders o, guests c WHERE o.id = 7", "cartesian-join"),
        ("SELECT o.id FROM orders o JOIN guests c ON c.id = o.id WHERE o.id = 7", ""),
        ("SELECT id FROM guests FOR UPDATE", "lock-table"),
        ("SELECT id FROM guests WHERE id = 7 FOR UPDATE", ""),
        ("EXPLAIN DELETE FROM orders", ""),
    ] {
        assert_eq!(both(text), [expected, expected].map(rules), "{text}");
    }
    let mysql = |text: &str| {
        let names = MysqlNames { database: Some("shop".into()), ..MysqlNames::default() };
        let mut understood = mysql::understand(text, &fixtures::catalog(), &names).expect("understood");
        check(&review(&BuiltIn::ALL), &understood.statements.remove(0))
    };
    for (text, rule, finding) in [
        ("LOCK TABLES guests READ, orders WRITE", "lock-table", "LOCK TABLES locks all of shop.guests"),
        ("DROP DATABASE shop", "drop-table", "DROP DATABASE removes database shop with everything in it"),
        ("ALTER TABLE orders MODIFY note text", "table-rewrite", "ALTER TABLE may change the type of shop.orders.note"),
        ("SELECT sleep(10)", "side-effects", "SELECT does more than read: function sleep"),
        ("SELECT get_lock('a', 1)", "side-effects", "SELECT does more than read: named locks"),
        ("ALTER TABLE orders DROP PARTITION p0", "truncate", "ALTER TABLE empties a partition of shop.orders"),
    ] {
        assert_eq!(mysql(text), [(rule.to_owned(), finding.to_owned())], "{text}");
    }
}

#[test]
fn rows_of_partitions_count_for_their_table() {
    let mut catalog = fixtures::catalog();
    let mut parent = catalog.relations[&name("shop.orders")].as_ref().clone();
    parent.children = vec![name("shop.orders_1"), name("shop.orders_2")];
    catalog.add_relation(parent);
    catalog.rows.insert(name("shop.orders_1"), 70_000);
    catalog.rows.insert(name("shop.orders_2"), 50_000);
    assert_eq!(built_in::rows(&catalog, &name("shop.orders")), 120_000);
    catalog.rows.insert(name("shop.orders"), 200_000);
    assert_eq!(built_in::rows(&catalog, &name("shop.orders")), 200_000);
}
