//! Conditions, extensions, changes, break-glass and writes, on a real store with the events that are recorded.

use hallpass_policy::{
    grant::{GrantKind, ReviewState},
    ids::UserName,
};

use super::*;
use crate::store::ledger::{BreakGlass, Change};

const RULES: &str = r#"
    [statements]
    allow_writes = true
    max_rows_affected = 10
    [databases.shop]
    protocol = "postgres"
    host = "127.0.0.1"
    user = "h"
    labels = { environment = "production" }
    [databases.test]
    protocol = "postgres"
    host = "127.0.0.1"
    user = "h"
    labels = { environment = "staging" }
    [databases.bare]
    protocol = "postgres"
    host = "127.0.0.1"
    user = "h"
    [roles.fixer]
    allow = ["update"]
    max_duration = "2h"
    break_glass = { max_duration = "30m", groups = ["oncall"], review_within = "1h" }
    [roles.tables]
    allow = ["select"]
    [admins]
    users = ["root"]
    [[approvals]]
    when = 'request.reason.contains("nonsense")'
    deny = true
    [[approvals]]
    when = 'database.labels.environment == "staging" && request.duration <= duration("1h")'
    auto = true
    [[approvals]]
    roles = ["tables"]
    when = 'resource.table == "customers"'
    approvers = ["group:security"]
    [[approvals]]
    approvers = ["group:security"]
    [[approvals]]
    auto = true
"#;

fn world() -> World {
    World::with(RULES)
}

impl World {
    fn granted(&self, targets: &[&str]) -> GrantId {
        let asked = self.ask("alice", "fixer", targets, 30).unwrap();
        match asked.grant {
            Some(grant) => grant.grant.id,
            None => {
                let done = self.ledger.approve(&self.actor("bob"), asked.request.id, None, None).unwrap();
                done.grant.unwrap().grant.id
            }
        }
    }

    fn glass(&self, who: &str, minutes: Option<u32>) -> Outcome<Decided> {
        let duration = minutes.map(|minutes| MINUTE * minutes);
        let targets = vec![TargetName::new("shop")];
        let glass = BreakGlass { user: None, role: RoleName::new("fixer"), targets, duration, reason: "INC-2".into() };
        self.ledger.break_glass(&self.actor(who), glass)
    }

    fn ends(&self, grant: GrantId) -> Timestamp {
        let all = self.ledger.grants(&operator(), true).unwrap();
        all.into_iter().find(|record| record.grant.id == grant).unwrap().grant.ends
    }

    /// Kind and decision of everything that was recorded since users were added.
    fn recorded(&self) -> Vec<(String, String)> {
        let all = self.events().into_iter().filter(|event| event.kind != "admin");
        all.map(|event| (event.kind, event.decision.unwrap_or_default())).collect()
    }
}

fn told(kind: &str, decision: &str) -> (String, String) {
    (kind.to_owned(), decision.to_owned())
}

#[test]
fn conditions_choose_the_rule_and_failing_ones_deny() {
    let world = world();
    assert!(world.ask("alice", "fixer", &["test"], 60).unwrap().grant.is_some());
    assert_eq!(world.ask("alice", "fixer", &["test"], 61).unwrap().waiting_for, "group:security");
    assert_eq!(world.ask("alice", "fixer", &["shop", "test"], 30).unwrap().waiting_for, "group:security");
    let unclear = refusal(world.ask("alice", "fixer", &["bare"], 30));
    assert_eq!(unclear.0, Refused::Forbidden);
    assert!(unclear.1.contains("approval rule 2 cannot be applied on `bare`"), "{}", unclear.1);
    assert!(unclear.1.ends_with("there is no `environment`"), "{}", unclear.1);
    let denied = Ask { reason: "nonsense".into(), ..ask("fixer", &["test"], 5) };
    let denied = refusal(world.ledger.ask(&world.actor("alice"), denied));
    assert_eq!(denied, (Refused::Forbidden, "approval rule 1 denies this on `test`".into()));
    let unknown = refusal(world.ask("alice", "tables", &["shop"], 5));
    assert!(unknown.1.contains("rule 3 speaks of tables, and those of `shop` are not known yet"), "{}", unknown.1);
}

#[test]
fn an_extension_asks_again_by_the_same_rules() {
    let world = world();
    let (alice, bob) = (world.actor("alice"), world.actor("bob"));
    let grant = world.granted(&["shop"]);
    let before = world.ends(grant);
    assert_eq!(refusal(world.ledger.extend(&world.actor("dave"), grant, MINUTE, None)).0, Refused::NotFound);
    assert_eq!(refusal(world.ledger.extend(&bob, grant, MINUTE, None)).0, Refused::Forbidden);
    let asked = world.ledger.extend(&alice, grant, MINUTE * 20, None).unwrap();
    assert_eq!((asked.waiting_for.as_str(), world.ends(grant)), ("group:security", before));
    assert_eq!(refusal(world.ledger.extend(&alice, grant, MINUTE, None)).0, Refused::Conflict);
    let own = refusal(world.ledger.approve(&alice, asked.request.id, None, None));
    assert_eq!(own.0, Refused::Forbidden);
    let done = world.ledger.approve(&bob, asked.request.id, Some(MINUTE * 10), None).unwrap();
    assert_eq!(done.grant.unwrap().grant.ends, before.after(MINUTE * 10));
    assert_eq!(world.recorded().pop().unwrap(), told("grant_start", "extend"));

    // Where a rule lets an hour through, the whole time counts.
    let quick = world.granted(&["test"]);
    assert!(world.ledger.extend(&alice, quick, MINUTE * 30, None).unwrap().grant.is_some());
    let waiting = world.ledger.extend(&alice, quick, MINUTE * 30, None).unwrap();
    assert_eq!(waiting.waiting_for, "group:security");

    // What is over is not extended: not after its time, nor after it was revoked.
    world.ledger.revoke(&alice, quick, None).unwrap();
    assert_eq!(world.ledger.request(&alice, waiting.request.id).unwrap().request.state.as_str(), "cancelled");
    let late = world.ledger.extend(&alice, grant, MINUTE * 5, None).unwrap().request.id;
    world.pass(MINUTE * 60);
    assert_eq!(refusal(world.ledger.approve(&bob, late, None, None)).0, Refused::Conflict);
    world.ledger.sweep().unwrap();
    assert_eq!(world.ledger.request(&alice, late).unwrap().request.state.as_str(), "lapsed");
    assert!(!world.holds("alice"));
}

#[test]
fn a_changed_request_needs_its_approvals_anew() {
    let world = world();
    let alice = world.actor("alice");
    let rules = RULES.replace(
        "[[approvals]]\n    approvers = [\"group:security\"]\n    [[",
        "[[approvals]]\n    approvers = [\"group:security\"]\n    needs = 2\n    [[",
    );
    let world_of_two = World::with(&rules);
    let id = world_of_two.ask("alice", "fixer", &["shop"], 30).unwrap().request.id;
    world_of_two.ledger.approve(&world_of_two.actor("bob"), id, None, None).unwrap();
    let change = Change { duration: Some(MINUTE * 90), reason: None };
    let other = refusal(world_of_two.ledger.change_request(&world_of_two.actor("bob"), id, change.clone()));
    assert_eq!(other.0, Refused::Forbidden);
    let changed = world_of_two.ledger.change_request(&world_of_two.actor("alice"), id, change).unwrap();
    assert_eq!(changed.waiting_for, "group:security (2 of them)");
    let half = world_of_two.ledger.approve(&world_of_two.actor("carol"), id, None, None).unwrap();
    assert_eq!(half.grant, None, "what bob approved was another request");
    assert_eq!(world_of_two.recorded()[2..4], [told("request", "deny"), told("request", "change")]);

    // The rules are asked again, and so is the role.
    let id = world.ask("alice", "fixer", &["test"], 90).unwrap().request.id;
    let shorter = Change { duration: Some(MINUTE * 60), reason: None };
    let changed = world.ledger.change_request(&alice, id, shorter).unwrap();
    assert!(changed.grant.is_some());
    let id = world.ask("alice", "fixer", &["shop"], 90).unwrap().request.id;
    let longer = Change { duration: Some(MINUTE * 121), reason: None };
    assert_eq!(refusal(world.ledger.change_request(&alice, id, longer)).0, Refused::Invalid);
    let nonsense = Change { duration: None, reason: Some("nonsense".into()) };
    assert_eq!(refusal(world.ledger.change_request(&alice, id, nonsense)).0, Refused::Forbidden);
}

#[test]
fn the_glass_breaks_at_once_and_somebody_else_looks_at_it() {
    let world = world();
    assert_eq!(refusal(world.glass("bob", None)).0, Refused::Forbidden);
    assert_eq!(refusal(world.glass("alice", Some(31))).0, Refused::Invalid);
    let made = world.glass("alice", None).unwrap().grant.unwrap();
    assert!(world.holds("alice"));
    let now = world.shared.clock.now();
    assert_eq!(made.grant.ends, now.after(MINUTE * 30));
    assert_eq!(made.review, ReviewState::Due { by: now.after(MINUTE * 60) });
    let denied = told("break_glass", "deny");
    assert_eq!(world.recorded(), [denied.clone(), denied, told("break_glass", ""), told("grant_start", "")]);

    let again = refusal(world.glass("alice", Some(5)));
    assert_eq!(again, (Refused::Conflict, "grant 1 was a break-glass, and nobody has reviewed it yet".into()));
    assert!(world.glass("dave", Some(5)).is_ok(), "another user's is another matter");
    let review = |who: &str, comment: &str| world.ledger.review(&world.actor(who), made.grant.id, comment.into());
    assert_eq!(refusal(review("alice", "all fine")).0, Refused::Forbidden);
    assert_eq!(refusal(review("dave", "all fine")).0, Refused::NotFound, "dave approves no such requests");
    assert_eq!(refusal(review("bob", "  ")).0, Refused::Invalid);
    assert_eq!(world.ledger.unreviewed(&world.actor("bob")).unwrap().len(), 2);

    // Late, and said so once; the grant is long over and still has to be reviewed.
    world.pass(MINUTE * 61);
    world.ledger.sweep().unwrap();
    world.ledger.sweep().unwrap();
    let overdue = || world.recorded().iter().filter(|event| **event == told("review", "overdue")).count();
    assert_eq!(overdue(), 2);
    assert_eq!(refusal(world.glass("alice", Some(5))).0, Refused::Conflict);
    let reviewed = review("bob", "looked at the statements").unwrap();
    assert!(matches!(reviewed.review, ReviewState::Done { by, .. } if by.as_str() == "bob"));
    assert_eq!(refusal(review("carol", "me, too")).0, Refused::Conflict);
    assert!(world.glass("alice", Some(5)).is_ok());
}

#[test]
fn an_admin_who_breaks_the_glass_for_another_does_not_review_it() {
    let world = world();
    let (root, targets) = (world.actor("root"), vec![TargetName::new("shop")]);
    let (user, role) = (Some(UserName::new("alice")), RoleName::new("fixer"));
    let glass = BreakGlass { user, role, targets, duration: None, reason: "INC-3".into() };
    assert_eq!(refusal(world.ledger.break_glass(&world.actor("dave"), glass.clone())).0, Refused::Forbidden);
    let made = world.ledger.break_glass(&root, glass).unwrap().grant.unwrap().grant;
    assert_eq!(made.user.as_str(), "alice");
    let own = refusal(world.ledger.review(&root, made.id, "fine".into()));
    assert_eq!(own, (Refused::Forbidden, "nobody may review their own break-glass".into()));
    assert!(world.ledger.review(&world.actor("bob"), made.id, "fine".into()).is_ok());
}

#[test]
fn a_write_is_bounded_and_its_approver_sees_how() {
    let world = world();
    let alice = world.actor("alice");
    let write = |rows| {
        let text = "UPDATE …".into();
        let understood = vec![Arc::new(statement(Action::Update))];
        let subject = AskFor::Statement { text, understood, export: false, unmask: false, max_rows_affected: rows };
        Ask { subject, ..ask("", &["test"], 5) }
    };
    let bound = |rows| {
        let kind = world.ledger.ask(&alice, write(rows)).unwrap().grant.unwrap().grant.kind;
        match kind {
            GrantKind::Statement(approved) => approved.max_rows_affected,
            GrantKind::Role(_) => None,
        }
    };
    assert_eq!(bound(None), Some(10));
    assert_eq!(bound(Some(1)), Some(1));
    let asked = world.events().into_iter().rev().find(|event| event.kind == "request").unwrap();
    assert_eq!(asked.reason.as_deref(), Some("one statement, at most 1 row changed for 5m: INC-1"));
    assert_eq!(refusal(world.ledger.ask(&alice, write(Some(11)))).0, Refused::Invalid);
    assert_eq!(refusal(world.ledger.ask(&alice, write(Some(0)))).0, Refused::Invalid);
    let mut ddl = write(None);
    if let AskFor::Statement { understood, .. } = &mut ddl.subject {
        *understood = vec![Arc::new(Statement { verb: "DROP TABLE", ..statement(Action::Ddl) })];
    }
    let ddl = refusal(world.ledger.ask(&alice, ddl));
    assert_eq!(ddl.1, "a statement grant cannot hold this write: `ddl` on x has no row bound");
    let held = world.shared.grants.of(&UserName::new("alice"));
    assert_eq!(held.len(), 2);
}
