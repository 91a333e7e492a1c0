//! Which rule counts for which request.

use std::sync::Arc;

use super::*;
use crate::{
    grant::ApprovedStatement,
    ids::{GroupName, UserName},
};

fn condition(text: &str) -> Option<Condition> {
    Some(Condition::compile(text, &VARIABLES).unwrap_or_else(|fault| panic!("{text}: {fault:?}")))
}

fn rule(when: &str, then: Consequence) -> Rule {
    Rule { source: None, roles: vec![], databases: vec![], when: condition(when), then }
}

fn by(group: &str, needs: u32) -> Consequence {
    Consequence::Approvers { approvers: vec![Party::Group(GroupName::new(group))], needs }
}

fn needed(group: &str, needs: u32) -> Requirement {
    Requirement::Approvers { approvers: vec![Party::Group(GroupName::new(group))], needs }
}

fn role(name: &str) -> Subject {
    Subject::Role(RoleName::new(name))
}

fn statement(unmask: bool) -> Subject {
    let text = Arc::from("SELECT 1");
    Subject::Statement(ApprovedStatement { text, identity: [0; 32], export: false, unmask, max_rows_affected: None })
}

fn table(name: &str, masked: &[&str]) -> Resource {
    let columns: Vec<String> = masked.iter().map(ToString::to_string).collect();
    Resource { schema: "shop".into(), table: name.into(), columns: columns.clone(), masked_columns: columns }
}

/// A target's name, its environment and its tables.
type Where<'a> = (&'a str, Option<&'a str>, Option<&'a [Resource]>);

/// What a request of alice's on these targets needs.
fn asked(rules: &[Rule], subject: &Subject, targets: &[Where<'_>]) -> Result<Vec<Requirement>, Denied> {
    let requester = Principal { user: UserName::new("alice"), groups: vec![GroupName::new("oncall")] };
    let names: Vec<_> = targets.iter().map(|(name, ..)| TargetName::new(name)).collect();
    let labels: Vec<BTreeMap<_, _>> = targets
        .iter()
        .map(|(_, environment, _)| environment.iter().map(|e| ("environment".to_owned(), (*e).to_owned())).collect())
        .collect();
    let databases: Vec<_> = targets
        .iter()
        .enumerate()
        .map(|(at, (_, _, resources))| Database {
            name: &names[at],
            protocol: "postgres",
            labels: &labels[at],
            resources: *resources,
        })
        .collect();
    let case = Case {
        requester: &requester,
        subject,
        duration: Duration::from_secs(1800),
        reason: "INC-1",
        extends: false,
        databases: &databases,
        now: Timestamp(1_769_860_800_000_000),
    };
    requirements(rules, &case)
}

fn voter(name: &str, group: &str, standing: Standing) -> Voter {
    Voter { principal: Principal { user: UserName::new(name), groups: vec![GroupName::new(group)] }, standing }
}

#[test]
fn the_rules_of_the_contract_work() {
    let mut guarded = rule("request.unmask || resource.table_name == \"customers\"", by("security", 2));
    guarded.source = Some(Source::Role);
    let staging = "database.labels.environment == \"staging\" && request.duration <= duration(\"1h\")";
    let mut quick = rule(staging, Consequence::Auto);
    quick.source = Some(Source::Statement);
    let rules = [guarded, quick];
    let (orders, customers) = ([table("orders", &[])], [table("customers", &[]), table("orders", &[])]);
    assert_eq!(asked(&rules, &statement(false), &[("s", Some("staging"), Some(&orders))]), Ok(vec![Requirement::Auto]));
    assert_eq!(
        asked(&rules, &statement(false), &[("p", Some("production"), Some(&orders))]),
        Ok(vec![Requirement::Admin])
    );
    assert_eq!(asked(&rules, &role("reader"), &[("p", None, Some(&orders))]), Ok(vec![Requirement::Admin]));
    let both = vec![needed("security", 2), Requirement::Admin];
    assert_eq!(asked(&rules, &role("reader"), &[("p", None, Some(&customers))]), Ok(both));
}

#[test]
fn every_target_and_every_table_brings_its_own_rule() {
    let rules = [
        rule("resource.masked", by("security", 2)),
        rule("database.name == 'test'", Consequence::Auto),
        rule("true", by("oncall", 1)),
    ];
    let (plain, masked) = ([table("orders", &[])], [table("orders", &[]), table("customers", &["email"])]);
    let of = |targets: &[Where<'_>]| asked(&rules, &statement(true), targets);
    assert_eq!(of(&[("test", None, Some(&plain))]), Ok(vec![Requirement::Auto]));
    assert_eq!(of(&[("test", None, Some(&masked))]), Ok(vec![Requirement::Auto, needed("security", 2)]));
    assert_eq!(
        of(&[("test", None, Some(&plain)), ("prod", None, Some(&plain))]),
        Ok(vec![Requirement::Auto, needed("oncall", 1)])
    );
    assert_eq!(of(&[]), Ok(vec![Requirement::Admin]));
    assert_eq!(of(&[("test", None, Some(&[]))]), Ok(vec![Requirement::Auto]), "no table is one empty table");
}

#[test]
fn what_cannot_be_evaluated_denies_and_says_so() {
    let rules = [rule("database.labels.environment == 'staging'", Consequence::Auto), rule("true", Consequence::Auto)];
    let denied = asked(&rules, &role("reader"), &[("a", Some("staging"), None), ("b", None, None)]).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "approval rule 1 cannot be applied on `b`, so nothing is granted: the condition \
         `database.labels.environment == 'staging'` cannot be evaluated: there is no `environment`"
    );
    // Unless an earlier rule has decided.
    let mut first = rules.to_vec();
    first.insert(0, rule("!has(database.labels.environment)", by("security", 1)));
    let found = asked(&first, &role("reader"), &[("a", Some("staging"), None), ("b", None, None)]);
    assert_eq!(found, Ok(vec![Requirement::Auto, needed("security", 1)]));

    let tables = [rule("resource.schema == 'hr'", Consequence::Deny), rule("true", Consequence::Auto)];
    assert!(speak_of_tables(&tables) && !speak_of_tables(&rules));
    let unknown = asked(&tables, &role("reader"), &[("a", None, None)]).unwrap_err();
    assert!(matches!(unknown, Denied::Unknown { rule: 1, .. }), "{unknown}");
}

#[test]
fn one_denial_denies_all() {
    let rules = [rule("resource.table == 'vault'", Consequence::Deny), rule("true", Consequence::Auto)];
    let tables = [table("orders", &[]), table("vault", &[])];
    let denied = asked(&rules, &role("reader"), &[("a", None, Some(&tables))]).unwrap_err();
    assert_eq!(denied.to_string(), "approval rule 1 denies this on `a` (shop.vault)");
    assert_eq!(asked(&rules, &role("reader"), &[("a", None, Some(&tables[..1]))]), Ok(vec![Requirement::Auto]));
}

#[test]
fn rules_without_conditions_go_by_source_role_and_database() {
    let plain = |source, roles: &[&str], databases: &[&str]| Rule {
        source,
        roles: roles.iter().map(RoleName::new).collect(),
        databases: databases.iter().map(TargetName::new).collect(),
        when: None,
        then: by("security", 1),
    };
    let on = |rule: Rule, subject: Subject| asked(&[rule], &subject, &[("shop", None, None)]).unwrap();
    let guarded = [needed("security", 1)];
    assert_eq!(on(plain(None, &[], &[]), statement(false)), guarded);
    assert_eq!(on(plain(Some(Source::Role), &[], &[]), statement(false)), [Requirement::Admin]);
    assert_eq!(on(plain(None, &["fixer"], &[]), role("fixer")), guarded);
    assert_eq!(on(plain(None, &["fixer"], &[]), statement(false)), [Requirement::Admin]);
    assert_eq!(on(plain(None, &[], &["other"]), role("fixer")), [Requirement::Admin]);
}

#[test]
fn votes_count_where_they_belong() {
    let security = needed("security", 2);
    let (bob, eve) = (voter("bob", "security", Standing::Member), voter("eve", "oncall", Standing::Member));
    let root = voter("root", "", Standing::Admin);
    assert_eq!(security.missing(&[bob.clone(), eve.clone()]), 1);
    assert_eq!(
        waiting_for(&[security.clone(), Requirement::Admin], &[bob.clone(), eve]),
        "group:security, and an admin"
    );
    assert_eq!(waiting_for(std::slice::from_ref(&security), &[]), "group:security (2 of them)");
    assert_eq!(security.missing(&[bob, root]), 0);
    assert_eq!(waiting_for(&[Requirement::Auto], &[]), "");
}
