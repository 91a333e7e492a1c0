//! What webhooks are told of the ledger's changes, and what is recorded of a no.

use std::{collections::BTreeMap, fmt::Debug};

use hallpass_policy::resource::Resource;

use super::*;
use crate::{
    config::Topic,
    notify::{Action as Told, Notification},
    store::ledger::BreakGlass,
};

const RULES: &str = r#"
    [server]
    allow_inline_secrets = true
    [[notify]]
    url = "http://127.0.0.1:1/secret"
    [databases.shop]
    protocol = "postgres"
    host = "127.0.0.1"
    user = "h"
    [databases.test]
    protocol = "postgres"
    host = "127.0.0.1"
    user = "h"
    [roles.fixer]
    allow = ["update"]
    max_duration = "2h"
    break_glass = { max_duration = "30m", groups = ["oncall"], review_within = "1h" }
    [[approvals]]
    databases = ["test"]
    auto = true
    [[approvals]]
    approvers = ["group:security"]
    needs = 2
"#;

fn world() -> World {
    World::with(RULES)
}

impl World {
    /// What was told since this was last asked.
    fn heard(&self) -> Vec<Notification> {
        self.shared.notifier.take_all()
    }

    fn kinds(&self) -> Vec<(Topic, Told)> {
        self.heard().into_iter().map(|told| (told.event, told.action)).collect()
    }

    fn break_glass(&self, who: &str, user: Option<&str>) -> Outcome<Decided> {
        let (user, role) = (user.map(UserName::new), RoleName::new("fixer"));
        let (targets, reason) = (vec!["shop".into(), "elsewhere\n".into()], "prod down".into());
        let targets = if who == "dave" { targets } else { vec!["shop".into()] };
        self.ledger.break_glass(&self.actor(who), BreakGlass { user, role, targets, duration: None, reason })
    }

    /// What is recorded of refusals: the one query of an auditor.
    fn denied(&self) -> Vec<(String, Option<String>, Option<i64>, String)> {
        let denied = self.events().into_iter().filter(|event| event.decision.as_deref() == Some("deny"));
        denied.map(|event| (event.kind, event.user, event.request_id, event.reason.unwrap_or_default())).collect()
    }
}

#[test]
fn a_request_its_decisions_and_its_end_are_told_with_what_to_type() {
    let world = world();
    let id = world.ask("alice", "fixer", &["shop"], 60).unwrap().request.id;
    let heard = world.heard();
    let [asked] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((asked.event, asked.action, asked.request_id), (Topic::Request, Told::Asked, Some(id)));
    assert_eq!((asked.user.as_ref().unwrap().as_str(), &asked.by), ("alice", &None));
    assert_eq!((asked.duration, asked.reason.as_deref()), (Some(MINUTE * 60), Some("INC-1")));
    assert_eq!(asked.commands, ["hallpass approve 1", "CALL hallpass.approve(1)"]);
    assert_eq!(asked.waiting_for.as_deref(), Some("group:security (2 of them)"));

    world.ledger.approve(&world.actor("bob"), id, None, Some("fine".into())).unwrap();
    let half = world.heard().remove(0);
    assert_eq!((half.event, half.action, half.grant_id), (Topic::Decision, Told::Approved, None));
    assert_eq!((half.by.unwrap().as_str(), half.comment.as_deref()), ("bob", Some("fine")));
    assert_eq!((half.waiting_for.as_deref(), half.commands.len()), (Some("group:security"), 2));

    world.ledger.approve(&world.actor("carol"), id, Some(MINUTE * 5), None).unwrap();
    let heard = world.heard();
    let [whole] = heard.as_slice() else { panic!("{heard:?}") };
    let end = world.shared.clock.now().after(MINUTE * 5);
    assert_eq!((whole.action, whole.grant_id, whole.ends), (Told::Approved, Some(GrantId(1)), Some(end)));
    assert_eq!((&whole.waiting_for, whole.commands.len()), (&None, 0));

    world.pass(MINUTE * 5);
    world.ledger.sweep().unwrap();
    world.ledger.sweep().unwrap();
    let heard = world.heard();
    let [ended] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((ended.event, ended.action, ended.grant_id), (Topic::GrantEnd, Told::Expired, Some(GrantId(1))));
    assert_eq!((ended.at, ended.ends), (end, Some(end)));
}

#[test]
fn whatever_becomes_of_a_request_is_told_once() {
    let world = world();
    let (alice, bob) = (world.actor("alice"), world.actor("bob"));
    let ask = |target: &str| world.ask("alice", "fixer", &[target], 60).unwrap();
    let asked = (Topic::Request, Told::Asked);
    world.ledger.reject(&bob, ask("shop").request.id, Some("no".into())).unwrap();
    assert_eq!(world.kinds(), [asked, (Topic::Decision, Told::Rejected)]);
    world.ledger.cancel(&alice, ask("shop").request.id).unwrap();
    assert_eq!(world.kinds(), [asked, (Topic::Decision, Told::Cancelled)]);
    ask("shop");
    world.pass(MINUTE * 60 * 24);
    world.ledger.sweep().unwrap();
    assert_eq!(world.kinds(), [asked, (Topic::Decision, Told::Lapsed)]);
    let grant = ask("test").grant.unwrap().grant.id;
    assert_eq!(world.kinds(), [(Topic::Decision, Told::Granted)], "nobody is asked");
    world.ledger.extend(&alice, grant, MINUTE, None).unwrap();
    let longer = world.heard().remove(0);
    assert_eq!((longer.action, longer.extends), (Told::Granted, Some(grant)));
    world.ledger.revoke(&operator(), grant, Some("done".into())).unwrap();
    let ended = world.heard().remove(0);
    assert_eq!((ended.action, ended.by.unwrap().as_str()), (Told::Revoked, "admin:os"));
    assert_eq!(ended.comment.as_deref(), Some("done"));
}

#[test]
fn a_statement_is_told_by_its_tables_and_never_by_its_text() {
    let world = world();
    let text = "SELECT * FROM shop.customers WHERE ssn = '900-00-CANARY'";
    let subject = AskFor::Statement {
        text: text.into(),
        understood: vec![Arc::new(statement(Action::Select))],
        export: false,
        unmask: true,
        max_rows_affected: None,
    };
    let reason = format!("INC-1 {}", "x".repeat(3000));
    let asked = Ask { subject, reason, ..ask("", &["shop"], 5) };
    let (id, store) = (world.ledger.ask(&world.actor("alice"), asked).unwrap().request.id, &world.ledger.store);
    let told = world.heard().remove(0);
    assert!(!format!("{told:?}").contains("CANARY"), "{told:?}");
    assert_eq!(told.reason.unwrap().chars().count(), 1001, "cut, with a mark");
    let facts = told.statement.unwrap();
    assert_eq!((facts.tables.as_slice(), facts.unmask, facts.export), ([].as_slice(), true, false));

    let table = |name: &str| Resource { schema: "shop".into(), table: name.into(), ..Resource::default() };
    let reached = BTreeMap::from([("shop".into(), vec![table("orders"), table("customers"), Resource::default()])]);
    let transaction = store.begin().unwrap();
    transaction.insert_resources(id, &reached).unwrap();
    transaction.commit().unwrap();
    world.ledger.reject(&world.actor("bob"), id, None).unwrap();
    let told = world.heard().remove(0);
    assert_eq!(told.statement.unwrap().tables, ["shop.customers", "shop.orders"]);
}

#[test]
fn an_emergency_is_told_and_so_is_one_that_was_refused() {
    let world = world();
    let grant = world.break_glass("alice", None).unwrap().grant.unwrap().grant.id;
    let heard = world.heard();
    let [broken] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((broken.event, broken.action, broken.grant_id), (Topic::BreakGlass, Told::Broken, Some(grant)));
    assert_eq!(broken.commands, ["hallpass review 1 --comment \"…\"", "CALL hallpass.review(1, '…')"]);

    world.break_glass("alice", None).unwrap_err();
    let refused = world.heard().remove(0);
    assert_eq!((refused.event, refused.action), (Topic::BreakGlass, Told::Refused));
    assert_eq!(refused.reason.as_deref(), Some("prod down"));
    assert_eq!(refused.comment.as_deref(), Some("grant 1 was a break-glass, and nobody has reviewed it yet"));
    world.break_glass("dave", Some("<!channel>")).unwrap_err();
    let refused = world.heard().remove(0);
    assert_eq!((refused.user.unwrap().as_str(), refused.by), ("dave", None), "a name that nobody has is not told");
    assert_eq!(refused.targets, [TargetName::new("shop")]);

    world.pass(MINUTE * 60);
    world.ledger.sweep().unwrap();
    let (end, late) = ((Topic::GrantEnd, Told::Expired), (Topic::BreakGlass, Told::Overdue));
    assert_eq!(world.kinds(), [end, late]);
    world.ledger.review(&world.actor("bob"), grant, "seen".into()).unwrap();
    assert_eq!(world.kinds(), [(Topic::BreakGlass, Told::Reviewed)]);
}

#[test]
fn whoever_is_refused_is_on_record() {
    fn no<T: Debug>(outcome: Outcome<T>) {
        outcome.unwrap_err();
    }
    let world = world();
    let id = world.ask("alice", "fixer", &["shop"], 60).unwrap().request.id;
    let (alice, dave, bob) = (world.actor("alice"), world.actor("dave"), world.actor("bob"));
    no(world.ask("alice", "fixer", &["shop"], 121));
    no(world.ledger.approve(&alice, id, None, None));
    no(world.ledger.approve(&dave, id, None, None));
    no(world.ledger.reject(&alice, id, None));
    no(world.break_glass("bob", None));
    no(world.break_glass("dave", Some("alice")));
    no(world.ledger.review(&alice, GrantId(7), "x".into()));
    no(world.ledger.extend(&bob, GrantId(7), MINUTE, None));
    let of = |kind: &str, user: &str, request, reason: &str| (kind.into(), Some(user.into()), request, reason.into());
    let expected: [(String, Option<String>, Option<i64>, String); 8] = [
        of("request", "alice", None, "role fixer: role `fixer` is granted for at most 2h; reason given: INC-1"),
        of("approval", "alice", Some(1), "nobody may approve their own request"),
        of("approval", "dave", Some(1), "there is no request 1"),
        of("rejection", "alice", Some(1), "nobody may reject their own request"),
        of(
            "break_glass",
            "bob",
            None,
            "role fixer: `bob` may not break the glass for role `fixer`; reason given: prod down",
        ),
        of(
            "break_glass",
            "dave",
            None,
            "role fixer for alice: only an admin may ask for another, `alice`; reason given: prod down",
        ),
        of("review", "alice", None, "there is no grant 7"),
        of("request", "bob", None, "there is no grant 7"),
    ];
    assert_eq!(world.denied(), expected);
    assert_eq!(world.heard().len(), 3, "of those only the break-glasses are told, after the request");
}
