//! Decisions and the texts of denials, case by case.

use std::time::Duration;

mod properties;

use super::*;
use crate::{
    fixtures::{catalog, name, shop_masks, statement},
    grant::{ApprovedStatement, GrantEnd, GrantKind, pin},
    ids::{GroupName, RequestId, UserName},
    review::BuiltIn,
    role::{Party, TableGlob},
    statement::{Effect, Object, Reach, Usage, Via},
};

/// 2026-01-31 12:00:00Z.
const NOON: Timestamp = Timestamp(1_769_860_800_000_000);
const HOUR: i64 = 3_600_000_000;

fn glob(text: &str) -> TableGlob {
    let (schema, name) = text.split_once('.').unwrap();
    TableGlob { schema: schema.into(), name: name.into() }
}

fn role(name: &str, allow: &[Action]) -> Role {
    Role {
        allow: allow.iter().copied().collect(),
        tables: Some(vec![glob("shop.*")]),
        except: vec![glob("shop.vault")],
        limits: Limits { max_rows: Some(100), ..Limits::default() },
        ..Role::named(name)
    }
}

fn policy() -> Policy {
    use Action::{Call, Delete, Explain, Insert, Select, Update};
    let mut reader = role("reader", &[Select, Explain]);
    reader.functions = vec![glob("shop.order_total")];
    let mut exporter = role("exporter", &[Select, Explain, Call]);
    exporter.export = true;
    exporter.upstream_role = Some("hallpass_exporter".into());
    exporter.max_duration = Some(Duration::from_secs(1800));
    let mut fixer = role("fixer", &[Select, Explain, Insert, Update, Delete]);
    fixer.request_by = Some(vec![Party::Group(GroupName::new("oncall"))]);
    let mut admin = role("admin", &Action::ALL);
    admin.tables = None;
    admin.except = Vec::new();
    admin.request_by = Some(vec![Party::User(UserName::new("bob")), Party::Group(GroupName::new("dba"))]);
    let roles = [reader, exporter, fixer, admin].map(|role| (role.name.clone(), role));
    Policy { roles: roles.into(), baseline: vec![Explain], ..Policy::default() }
}

struct World {
    principal: Principal,
    target: TargetName,
    policy: Policy,
    masks: Masks,
    catalog: Catalog,
    scope: Option<Vec<RoleName>>,
    text: Option<&'static str>,
}

fn world() -> World {
    World {
        principal: Principal { user: UserName::new("alice"), groups: vec![GroupName::new("oncall")] },
        target: TargetName::new("shop"),
        policy: policy(),
        masks: shop_masks(),
        catalog: catalog(),
        scope: None,
        text: None,
    }
}

impl World {
    fn decide(&self, statement: &Statement, grants: &[Grant]) -> Decision {
        let question = Question {
            principal: &self.principal,
            target: &self.target,
            scope: self.scope.as_deref(),
            statement,
            text: self.text,
            policy: &self.policy,
            masks: &self.masks,
            catalog: &self.catalog,
        };
        decide(&question, grants, NOON)
    }

    fn allow(&self, statement: &Statement, grants: &[Grant]) -> Allowance {
        match self.decide(statement, grants) {
            Decision::Allow(allowance) => allowance,
            Decision::Deny(denial) => panic!("{denial:?}"),
        }
    }

    fn deny(&self, statement: &Statement, grants: &[Grant]) -> Denial {
        match self.decide(statement, grants) {
            Decision::Allow(allowance) => panic!("{allowance:?}"),
            Decision::Deny(denial) => denial,
        }
    }
}

fn grant(id: i64, kind: GrantKind) -> Grant {
    Grant {
        id: GrantId(id),
        request: RequestId(id),
        user: UserName::new("alice"),
        kind,
        targets: vec![TargetName::new("shop")],
        starts: Timestamp(NOON.0 - HOUR),
        ends: Timestamp(NOON.0 + HOUR),
        revoked: None,
    }
}

fn holds(id: i64, role: &str) -> Grant {
    grant(id, GrantKind::Role(RoleName::new(role)))
}

fn approved(id: i64, statement: &Statement, export: bool, unmask: bool) -> Grant {
    let identity = pin(statement);
    let text = Arc::from("SELECT 'x'");
    grant(id, GrantKind::Statement(ApprovedStatement { text, identity, export, unmask, max_rows_affected: None }))
}

fn on(id: i64) -> Authority {
    Authority::Grant(GrantId(id))
}

fn select(relation: &str) -> Statement {
    statement("SELECT").needing(Action::Select, relation)
}

fn update() -> Statement {
    statement("UPDATE").needing(Action::Select, "shop.orders").needing(Action::Update, "shop.orders")
}

fn with_identity(mut statement: Statement, identity: u8) -> Statement {
    statement.identity = [identity; 32];
    statement
}

#[test]
fn what_needs_nothing_runs_on_the_baseline_behind_the_read_only_fence() {
    let allowance = world().allow(&statement("BEGIN"), &[holds(3, "admin")]);
    assert_eq!(allowance.authority, Authority::Baseline);
    assert_eq!(allowance.fence, Fence { read_only: true, upstream_role: None });
    assert_eq!((allowance.until, allowance.limits, allowance.scrub), (None, BASELINE_LIMITS, false));
}

#[test]
fn the_baseline_explains_and_reads_names() {
    let world = world();
    let class = || Object::Catalog(name("pg_catalog.pg_class"));
    let explain = statement("EXPLAIN").needing(Action::Explain, "shop.orders");
    assert_eq!(world.allow(&explain, &[]).authority, Authority::Baseline);
    world.allow(&statement("SELECT").needing_object(Action::Select, class()), &[]);
    world.deny(&statement("UPDATE").needing_object(Action::Update, class()), &[holds(1, "fixer")]);
    world.allow(&statement("UPDATE").needing_object(Action::Update, class()), &[holds(1, "admin")]);
    world.deny(&select("shop.orders"), &[]);
    let mut careless = world;
    careless.policy.baseline = Action::ALL.to_vec();
    careless.allow(&select("shop.orders"), &[]);
    careless.deny(&update(), &[]);
}

#[test]
fn the_weakest_grant_that_suffices_is_taken() {
    let world = world();
    let all = [holds(1, "admin"), holds(2, "fixer"), holds(3, "exporter"), holds(4, "reader")];
    assert_eq!(world.allow(&select("shop.orders"), &all).authority, on(4));
    assert_eq!(world.allow(&update(), &all).authority, on(2));
    let explain = statement("EXPLAIN").needing(Action::Explain, "shop.orders");
    assert_eq!(world.allow(&explain, &all).authority, Authority::Baseline);

    let mut early = holds(9, "reader");
    early.ends = Timestamp(NOON.0 + 1);
    let allowance = world.allow(&select("shop.orders"), &[holds(4, "reader"), early]);
    assert_eq!((allowance.authority, allowance.until), (on(9), Some(Timestamp(NOON.0 + 1))));
    assert_eq!(world.allow(&select("shop.orders"), &[holds(8, "reader"), holds(7, "reader")]).authority, on(7));

    let pinned = with_identity(select("shop.orders"), 1);
    let grants = [holds(4, "reader"), approved(5, &pinned, true, true), approved(6, &pinned, false, false)];
    assert_eq!(world.allow(&pinned, &grants).authority, on(6), "one statement is less than a role");
}

#[test]
fn one_grant_has_to_meet_all_needs() {
    let mut world = world();
    let mut writer = role("writer", &[Action::Update]);
    writer.tables = Some(vec![glob("shop.orders")]);
    world.policy.roles.insert(writer.name.clone(), writer);
    let denial = world.deny(&update(), &[holds(1, "reader"), holds(2, "writer")]);
    assert_eq!(denial.message, "no single grant allows SELECT on shop.orders and UPDATE on shop.orders");
}

#[test]
fn the_fence_and_the_limits_are_the_roles() {
    let world = world();
    let reading = world.allow(&select("shop.orders"), &[holds(1, "reader")]);
    assert_eq!(reading.fence, Fence { read_only: true, upstream_role: None });
    assert_eq!(reading.limits.max_rows, Some(100));
    let exporting = world.allow(&select("shop.orders"), &[holds(1, "exporter")]);
    assert_eq!(exporting.fence, Fence { read_only: false, upstream_role: Some(Arc::from("hallpass_exporter")) });
    assert_eq!(exporting.limits.max_rows, None, "more rows are what export means");
}

#[test]
fn roles_cover_their_tables_but_for_the_excepted() {
    let mut world = world();
    let reader = [holds(1, "reader")];
    world.deny(&select("hr.payroll"), &reader);
    world.deny(&select("shop.vault"), &reader);
    world.allow(&select("shop.people"), &reader);
    world.policy.roles.get_mut("reader").unwrap().except = vec![glob("shop.employees")];
    world.deny(&select("shop.people"), &reader);
    world.deny(&select("shop.employees"), &reader);
    world.allow(&select("shop.guests"), &reader);
    world.policy.roles.get_mut("reader").unwrap().except = vec![glob("shop.people")];
    world.deny(&select("shop.employees"), &reader);

    let role = world.policy.roles.get_mut("reader").unwrap();
    (role.tables, role.except) = (None, Vec::new());
    world.allow(&select("hr.payroll"), &reader);
    world.deny(&select("pg_catalog.pg_stats"), &reader);
    world.policy.roles.get_mut("reader").unwrap().tables = Some(vec![glob("*.*")]);
    world.deny(&select("pg_catalog.pg_stats"), &reader);
    world.policy.roles.get_mut("reader").unwrap().tables = Some(vec![glob("pg_catalog.pg_stats")]);
    world.allow(&select("pg_catalog.pg_stats"), &reader);
    world.allow(&select("pg_catalog.pg_stats"), &[holds(1, "admin")]);
}

#[test]
fn functions_have_to_be_listed() {
    let world = world();
    let calls = |verb, action, function| statement(verb).needing_object(action, Object::Function(name(function)));
    let total = calls("SELECT", Action::Call, "shop.order_total");
    assert!(world.allow(&total, &[holds(1, "reader")]).fence.read_only);
    world.deny(&total, &[]);
    world.deny(&total, &[holds(1, "exporter")]);
    world.deny(&calls("SELECT", Action::Call, "shop.other"), &[holds(1, "reader")]);
    world.deny(&calls("CALL", Action::Call, "shop.order_total"), &[holds(1, "reader")]);
    world.deny(&calls("CALL", Action::Call, "shop.order_total"), &[holds(1, "exporter")]);
    world.deny(&calls("SELECT", Action::Admin, "shop.order_total"), &[holds(1, "reader")]);
    for verb in ["SELECT", "CALL"] {
        world.allow(&calls(verb, Action::Call, "shop.other"), &[holds(1, "admin")]);
        world.allow(&calls(verb, Action::Admin, "pg_catalog.pg_read_file"), &[holds(1, "admin")]);
    }
}

#[test]
fn session_needs_are_met_by_the_action() {
    let world = world();
    let set_role = statement("SET ROLE").needing_object(Action::Admin, Object::Session(Arc::from("role bob")));
    world.allow(&set_role, &[holds(1, "admin")]);
    let denial = world.deny(&set_role, &[holds(1, "fixer")]);
    assert_eq!(denial.message, "no grant allows SET ROLE on role bob");
}

#[test]
fn grants_of_others_elsewhere_or_ended_authorise_nothing() {
    let world = world();
    let good = holds(1, "reader");
    world.allow(&select("shop.orders"), std::slice::from_ref(&good));
    for spoil in [
        |grant: &mut Grant| grant.user = UserName::new("bob"),
        |grant: &mut Grant| grant.targets = vec![TargetName::new("eu")],
        |grant: &mut Grant| grant.ends = NOON,
        |grant: &mut Grant| grant.starts = Timestamp(NOON.0 + 1),
        |grant: &mut Grant| grant.revoked = Some(GrantEnd::Expired),
        |grant: &mut Grant| grant.kind = GrantKind::Role(RoleName::new("gone")),
    ] {
        let mut grant = good.clone();
        spoil(&mut grant);
        world.deny(&select("shop.orders"), &[grant]);
    }
}

#[test]
fn a_scoped_listener_leaves_its_roles_only() {
    let mut world = world();
    let pinned = with_identity(select("shop.orders"), 1);
    world.scope = Some(vec![RoleName::new("fixer")]);
    world.allow(&pinned, &[holds(1, "fixer")]);
    world.allow(&statement("BEGIN"), &[]);
    let denial = world.deny(&pinned, &[holds(1, "reader"), approved(2, &pinned, true, true)]);
    assert!(
        denial.detail.contains("grant 1 (role reader until 2026-01-31 13:00:00Z) is not usable on this listener"),
        "{denial:?}"
    );
    assert_eq!(denial.hint, "CALL hallpass.request('fixer', '1 hour', 'why')");
}

#[test]
fn a_statement_grant_is_for_one_statement_that_reads() {
    let world = world();
    let wide = select("hr.payroll").needing_object(Action::Call, Object::Function(name("hr.net")));
    let pinned = with_identity(wide.clone(), 1);
    let grants = [approved(5, &pinned, false, false)];
    let allowance = world.allow(&pinned, &grants);
    assert_eq!((allowance.authority, allowance.fence.read_only, allowance.unmask), (on(5), true, false));
    world.deny(&with_identity(wide, 2), &grants);

    let mut prepare = statement("PREPARE");
    prepare.effect = Effect::Prepare { name: Arc::from("p"), statement: Box::new(pinned.clone()) };
    world.allow(&prepare, &grants);
    world.deny(&prepare, &[]);

    for write in [
        update(),
        statement("CALL").needing_object(Action::Call, Object::Function(name("hr.net"))),
        statement("SELECT").needing_object(Action::Admin, Object::Function(name("pg_catalog.pg_read_file"))),
    ] {
        let write = with_identity(write, 3);
        let denial = world.deny(&write, &[approved(5, &write, true, true)]);
        assert!(
            denial.detail.contains("grant 5 (one statement until 2026-01-31 13:00:00Z) is read-only"),
            "{denial:?}"
        );
    }
}

#[test]
fn a_statement_grant_writes_only_where_it_may_and_only_so_many_rows() {
    let mut world = world();
    let write = with_identity(update(), 3);
    let bounded = |statement: &Statement, bound: Option<u64>| {
        let mut grant = approved(5, statement, false, false);
        if let GrantKind::Statement(approved) = &mut grant.kind {
            approved.max_rows_affected = bound;
        }
        [grant]
    };
    world.deny(&write, &bounded(&write, Some(3)));
    world.policy.statement_writes = Some(10);
    world.deny(&write, &bounded(&write, None));
    let allowance = world.allow(&write, &bounded(&write, Some(3)));
    assert_eq!((allowance.authority, allowance.fence.read_only), (on(5), false));
    assert_eq!(allowance.limits.max_rows_affected, Some(3));
    assert_eq!(world.allow(&write, &bounded(&write, Some(30))).limits.max_rows_affected, Some(10));
    let read = with_identity(select("shop.orders"), 4);
    assert!(world.allow(&read, &bounded(&read, Some(3))).fence.read_only);
    world.deny(&with_identity(update(), 9), &bounded(&write, Some(3)));

    let mut twice = write.clone();
    twice.features.inner_writes = 1;
    let mut analyzed = write.clone();
    analyzed.verb = "EXPLAIN";
    for unbounded in [
        twice,
        analyzed,
        write.clone().needing(Action::Delete, "shop.customers"),
        write.clone().needing_object(Action::Call, Object::Function(name("hr.net"))),
        write.needing(Action::Truncate, "shop.orders"),
    ] {
        let denial = world.deny(&unbounded, &bounded(&unbounded, Some(3)));
        assert!(denial.detail.contains("is read-only"), "{denial:?}");
    }
}

#[test]
fn what_names_mean_is_pinned_with_the_text() {
    // The same tokens under another default database are another statement.
    let here = with_identity(select("shop.orders"), 1);
    let there = with_identity(select("hr.orders"), 1);
    world().allow(&here, &[approved(5, &here, false, false)]);
    world().deny(&there, &[approved(5, &here, false, false)]);
}

#[test]
fn exports_need_an_exporting_grant() {
    let world = world();
    let mut copy = with_identity(
        statement("COPY").needing(Action::Select, "shop.orders").showing(&[("shop.orders.note", Via::Copy)]),
        1,
    );
    copy.export = true;
    copy.effect = Effect::CopyOut;
    let denial = world.deny(&copy, &[holds(1, "reader")]);
    assert_eq!(denial.message, "no grant allows exporting rows by COPY TO");
    assert_eq!(
        denial.detail,
        "you hold: baseline (explain); grant 1 (role reader until 2026-01-31 13:00:00Z) does not export"
    );
    assert_eq!(denial.hint, "CALL hallpass.request('exporter', '30 min', 'why')");
    world.allow(&copy, &[holds(1, "exporter")]);
    world.deny(&copy, &[approved(2, &copy, false, true)]);
    world.allow(&copy, &[approved(2, &copy, true, false)]);

    let email = copy.showing(&[("shop.customers.email", Via::Copy)]);
    let denial = world.deny(&email, &[holds(1, "exporter"), approved(2, &email, true, false)]);
    assert_eq!(denial.message, "no grant allows copying masked column shop.customers.email to COPY");
    assert_eq!(denial.hint, "CALL hallpass.request_statement('COPY …', '30 min', 'why', 'unmask,export')");
    assert_eq!(world.allow(&email, &[approved(2, &email, true, true)]).plan, MaskPlan::Unmasked);
}

#[test]
fn masks_follow_the_authority() {
    let world = world();
    let plain = with_identity(select("shop.customers").showing(&[("shop.customers.email", Via::Copy)]), 1);
    let allowance = world.allow(&plain, &[holds(1, "admin")]);
    assert_eq!(allowance.plan, MaskPlan::Columns(vec![Some(crate::mask::apply::MaskWith::Email)]));
    assert_eq!((allowance.scrub, allowance.unmask), (true, false));
    let allowance = world.allow(&plain, &[approved(2, &plain, false, true)]);
    assert_eq!((allowance.plan, allowance.scrub, allowance.unmask), (MaskPlan::Unmasked, false, true));

    // A role that suffices but for the mask gives way to a grant that shows it.
    let sorting = plain.clone().using("shop.customers.ssn", Usage::Inference);
    let grants = [holds(1, "reader"), approved(2, &sorting, false, false), approved(3, &sorting, false, true)];
    assert_eq!(world.allow(&sorting, &grants).authority, on(3));
    let denial = world.deny(&sorting, &grants[..2]);
    assert_eq!(
        denial.message,
        "no grant allows masked column shop.customers.ssn in a condition, an order or a grouping"
    );
    assert_eq!(
        denial.detail,
        "the mask on shop.customers.ssn says in_predicates = \"none\": which rows come back, and in which order, tells \
         about the value; you hold: baseline (explain); grant 2 (one statement until 2026-01-31 13:00:00Z) masks \
         shop.customers.ssn; grant 1 (role reader until 2026-01-31 13:00:00Z) masks shop.customers.ssn"
    );
    assert_eq!(denial.hint, "CALL hallpass.request_statement('SELECT …', '30 min', 'why', 'unmask')");

    let moving = update().using("shop.customers.ssn", Usage::Travel(Arc::from("shop.orders.note")));
    let denial = world.deny(&moving, &[holds(1, "admin")]);
    assert_eq!(denial.message, "no grant allows copying masked column shop.customers.ssn to shop.orders.note");
    assert!(
        denial.detail.starts_with("shop.customers.ssn is masked: the mask does not follow the value there; you hold"),
        "{}",
        denial.detail
    );
    assert_eq!(
        denial.hint,
        "no role and no grant allows copying masked column shop.customers.ssn to shop.orders.note: leave the column out of it"
    );
}

#[test]
fn a_denial_teaches() {
    let mut world = world();
    let denial = world.deny(&update(), &[holds(3, "reader")]);
    assert_eq!(denial.message, "no grant allows UPDATE on shop.orders");
    assert_eq!(
        denial.detail,
        "you hold: baseline (explain); grant 3 (role reader until 2026-01-31 13:00:00Z) lacks update"
    );
    assert_eq!(denial.hint, "CALL hallpass.request('fixer', '1 hour', 'why')");

    world.principal.groups.clear();
    let denial = world.deny(&update(), &[]);
    assert_eq!(denial.message, "no grant allows UPDATE on shop.orders", "of several needs the write is named");
    assert_eq!(denial.detail, "you hold: baseline (explain)");
    assert_eq!(
        denial.hint,
        "role fixer would allow it, but only group:oncall may request it: ask them, or an administrator"
    );

    let denial = world.deny(&select("hr.payroll"), &[holds(3, "reader")]);
    assert_eq!(
        denial.detail,
        "you hold: baseline (explain); grant 3 (role reader until 2026-01-31 13:00:00Z) does not cover hr.payroll"
    );
    assert_eq!(denial.hint, "CALL hallpass.request_statement('SELECT …', '30 min', 'why')");

    world.text = Some("SELECT 'it' FROM hr.payroll;\n");
    let denial = world.deny(&select("hr.payroll"), &[]);
    assert_eq!(denial.hint, "CALL hallpass.request_statement('SELECT ''it'' FROM hr.payroll', '30 min', 'why')");

    world.policy.roles.clear();
    world.policy.baseline.clear();
    let denial = world.deny(&update(), &[holds(3, "reader")]);
    assert_eq!(
        denial.detail,
        "you hold: baseline (session statements and catalogs); grant 3 (role reader until 2026-01-31 13:00:00Z) names a \
         role that is no longer configured"
    );
    assert_eq!(denial.hint, "no role allows UPDATE on shop.orders: ask an administrator to add one to proxy.toml");
    let many: Vec<Grant> = (1..=8).map(|id| holds(id, "reader")).collect();
    assert!(world.deny(&update(), &many).detail.ends_with("; 3 more grants that do not allow it"));
}

#[test]
fn a_denial_tells_of_the_grant_that_ended() {
    let world = world();
    let mut expired = holds(3, "fixer");
    expired.ends = Timestamp(NOON.0 - 1_000_000);
    let denial = world.deny(&update(), &[expired.clone()]);
    assert_eq!(denial.detail, "you hold: baseline (explain); grant 3 (role fixer) expired at 2026-01-31 11:59:59Z");

    let mut revoked = holds(4, "fixer");
    revoked.revoked = Some(GrantEnd::Revoked { by: UserName::new("bob"), reason: Some("INC-1 is closed".into()) });
    let denial = world.deny(&update(), &[expired.clone(), revoked.clone()]);
    assert_eq!(denial.detail, "you hold: baseline (explain); grant 4 (role fixer) was revoked by bob: INC-1 is closed");
    let denial = world.deny(&select("hr.payroll"), &[revoked.clone()]);
    assert_eq!(denial.detail, "you hold: baseline (explain)", "it would not have sufficed");

    revoked.revoked = Some(GrantEnd::Revoked { by: UserName::new("bob"), reason: None });
    assert_eq!(revoked.ended(NOON).as_deref(), Some("grant 4 (role fixer) was revoked by bob"));
    assert_eq!(holds(3, "fixer").ended(NOON), None);
    assert_eq!(ask_again(&expired), "CALL hallpass.request('fixer', '3599 s', 'why')");
    let short = Grant { ends: Timestamp(revoked.starts.0 + 1_000_000), ..revoked.clone() };
    assert_eq!(ask_again(&short), "CALL hallpass.request('fixer', '1 hour', 'why')");
    let ending = Grant { starts: Timestamp(0), ends: Timestamp(600_000_000), ..expired.clone() };
    assert_eq!(ask_longer(&ending), format!("CALL hallpass.extend({}, '10 min', 'why')", ending.id));
    let ending = Grant { ends: Timestamp(7_200_000_000), ..ending };
    assert_eq!(ask_longer(&ending), format!("CALL hallpass.extend({}, '30 min', 'why')", ending.id));
    let statement = approved(5, &select("shop.orders"), true, true);
    assert_eq!(
        ask_again(&statement),
        "CALL hallpass.request_statement('SELECT ''x''', '30 min', 'why', 'unmask,export')"
    );
}

#[test]
fn statement_texts_are_quoted_for_sql() {
    let mut quoted = approved(5, &select("shop.orders"), false, false);
    if let GrantKind::Statement(approved) = &mut quoted.kind {
        approved.text = Arc::from("SELECT \"a\", 'it' $1");
    }
    assert_eq!(ask_again(&quoted), "CALL hallpass.request_statement('SELECT \"a\", ''it'' $1', '30 min', 'why')");
    if let GrantKind::Statement(approved) = &mut quoted.kind {
        approved.text = Arc::from("SELECT 'a\\'");
    }
    let backslash = "CALL hallpass.request_statement('the statement …', '30 min', 'why')";
    assert_eq!(ask_again(&quoted), backslash, "servers differ on what a backslash is");
}

#[test]
fn review_rules_hold_whatever_the_grant() {
    let mut world = world();
    let mut every = update();
    every.reach = Reach::EveryUpdate;
    let denial = world.deny(&every, &[holds(1, "admin")]);
    assert_eq!(denial.message, "blocked by review rule update-without-where");
    assert_eq!(
        denial.detail,
        "review rule update-without-where: UPDATE without a WHERE that can be false changes every row of shop.orders; \
         the rule holds whatever the grant"
    );
    let mut prepare = statement("PREPARE");
    prepare.effect = Effect::Prepare { name: Arc::from("p"), statement: Box::new(every.clone()) };
    world.deny(&prepare, &[holds(1, "admin")]);

    world.policy.review.levels.insert(BuiltIn::UpdateWithoutWhere, Level::Warn);
    let warned = world.allow(&every, &[holds(1, "admin")]);
    let warning = "review rule update-without-where: UPDATE without a WHERE that can be false changes every row";
    assert_eq!(warned.warnings, [warning]);
    world.policy.review.levels.insert(BuiltIn::UpdateWithoutWhere, Level::Off);
    assert!(world.allow(&every, &[holds(1, "admin")]).warnings.is_empty());

    let mut delete = statement("DELETE").needing(Action::Delete, "shop.orders");
    delete.reach = Reach::EveryDelete;
    assert_eq!(world.deny(&delete, &[holds(1, "fixer")]).message, "blocked by review rule delete-without-where");
    delete.explain = true;
    world.allow(&delete, &[holds(1, "fixer")]);
}

#[test]
fn what_was_not_looked_up_is_denied() {
    let mut execute = statement("EXECUTE");
    execute.effect = Effect::Execute { name: Arc::from("p") };
    let denial = world().deny(&execute, &[holds(1, "admin")]);
    assert!(denial.message.starts_with("EXECUTE names `p`"), "{denial:?}");
}
