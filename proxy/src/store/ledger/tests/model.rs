//! Any sequence of the ledger's operations on a real store, beside a model that knows only who said yes to what: no
//! published grant is active without its approvals, past its end, or after it was revoked, and the audit says of each
//! when it began and ended.

use std::collections::{BTreeMap, BTreeSet};

use hallpass_policy::ids::{GrantId, RequestId};
use proptest::prelude::*;

use super::*;
use crate::store::{
    ledger::{BreakGlass, Change},
    requests::Way,
};

const RULES: &str = r#"
    [databases.shop]
    protocol = "postgres"
    host = "127.0.0.1"
    user = "h"
    [roles.fixer]
    allow = ["update"]
    max_duration = "2h"
    break_glass = { max_duration = "30m", groups = ["oncall"] }
    [admins]
    users = ["root"]
    [[approvals]]
    approvers = ["group:security"]
    needs = 2
"#;

const PEOPLE: [&str; 5] = ["alice", "dave", "bob", "carol", "root"];

#[derive(Clone, Debug)]
enum Step {
    Ask { user: usize, minutes: u32 },
    Approve { by: usize, request: i64, shorter: Option<u32> },
    Reject { by: usize, request: i64 },
    Cancel { by: usize, request: i64 },
    Change { by: usize, request: i64, minutes: u32 },
    Glass { user: usize, minutes: u32 },
    Review { by: usize, grant: i64 },
    Extend { by: usize, grant: i64, minutes: u32 },
    Revoke { by: usize, grant: i64 },
    Disable { user: usize, disabled: bool },
    Pass { minutes: u32 },
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let (user, one, minutes) = (0..PEOPLE.len(), 1_i64..6, 1_u32..150);
    let (u, o, m) = (move || user.clone(), move || one.clone(), move || minutes.clone());
    prop_oneof![
        4 => (u(), m()).prop_map(|(user, minutes)| Step::Ask { user, minutes }),
        9 => (u(), o(), prop::option::of(m()))
            .prop_map(|(by, request, shorter)| Step::Approve { by, request, shorter }),
        1 => (u(), o()).prop_map(|(by, request)| Step::Reject { by, request }),
        1 => (u(), o()).prop_map(|(by, request)| Step::Cancel { by, request }),
        1 => (u(), o(), m()).prop_map(|(by, request, minutes)| Step::Change { by, request, minutes }),
        2 => (u(), m()).prop_map(|(user, minutes)| Step::Glass { user, minutes }),
        2 => (u(), o()).prop_map(|(by, grant)| Step::Review { by, grant }),
        3 => (u(), o(), m()).prop_map(|(by, grant, minutes)| Step::Extend { by, grant, minutes }),
        1 => (u(), o()).prop_map(|(by, grant)| Step::Revoke { by, grant }),
        1 => (2_usize..4, any::<bool>()).prop_map(|(user, disabled)| Step::Disable { user, disabled }),
        4 => m().prop_map(|minutes| Step::Pass { minutes }),
        1 => Just(Step::Sweep),
    ]
}

/// What the model knows, and nothing of how the ledger comes to it.
#[derive(Default)]
struct Model {
    /// Who said yes to a request as it stands.
    said: BTreeMap<RequestId, BTreeSet<usize>>,
    revoked: BTreeSet<GrantId>,
    /// Who sits out.
    disabled: BTreeSet<usize>,
    unreviewed: BTreeMap<usize, GrantId>,
}

impl Model {
    /// A grant has begun, or lasts longer, by `decided`.
    fn granted(&self, decided: &Decided) {
        let request = &decided.request;
        let user = request.asked.user.as_str();
        let counting = self.said[&request.id].iter().filter(|by| {
            PEOPLE[**by] != user && ["bob", "carol", "root"].contains(&PEOPLE[**by]) && !self.disabled.contains(by)
        });
        assert!(counting.count() >= 2, "{decided:?}");
    }
}

fn play(world: &World, model: &mut Model, step: &Step) {
    let (ledger, actor) = (&world.ledger, |at: usize| world.actor(PEOPLE[at]));
    match *step {
        Step::Ask { user, minutes } => {
            if let Ok(decided) = world.ask(PEOPLE[user], "fixer", &["shop"], minutes) {
                assert!(decided.grant.is_none() && minutes <= 120);
            }
        }
        Step::Approve { by, request, shorter } => {
            if model.disabled.contains(&by) {
                return;
            }
            let id = RequestId(request);
            let shorter = shorter.map(|minutes| MINUTE * minutes);
            // What is refused leaves nothing behind, so the vote is known to the model beforehand.
            let mut said = model.said.clone();
            said.entry(id).or_default().insert(by);
            if let Ok(decided) = ledger.approve(&actor(by), id, shorter, None) {
                model.said = said;
                if decided.grant.is_some() {
                    model.granted(&decided);
                }
            }
        }
        Step::Reject { by, request } => drop(ledger.reject(&actor(by), RequestId(request), None)),
        Step::Cancel { by, request } => drop(ledger.cancel(&actor(by), RequestId(request))),
        Step::Change { by, request, minutes } => {
            let change = Change { duration: Some(MINUTE * minutes), reason: None };
            if ledger.change_request(&actor(by), RequestId(request), change).is_ok() {
                model.said.remove(&RequestId(request));
            }
        }
        Step::Glass { user, minutes } => {
            let targets = vec![TargetName::new("shop")];
            let duration = Some(MINUTE * minutes);
            let glass =
                BreakGlass { user: None, role: RoleName::new("fixer"), targets, duration, reason: "INC-2".into() };
            if let Ok(decided) = ledger.break_glass(&actor(user), glass) {
                assert!(["alice", "dave"].contains(&PEOPLE[user]) && minutes <= 30);
                let before = model.unreviewed.insert(user, decided.grant.unwrap().grant.id);
                assert_eq!(before, None, "twice without a review");
            }
        }
        Step::Review { by, grant } => {
            if let Ok(record) = ledger.review(&actor(by), GrantId(grant), "fine".into()) {
                assert_ne!(record.grant.user.as_str(), PEOPLE[by]);
                model.unreviewed.retain(|_, id| *id != GrantId(grant));
            }
        }
        Step::Extend { by, grant, minutes } => {
            drop(ledger.extend(&actor(by), GrantId(grant), MINUTE * minutes, None));
        }
        Step::Revoke { by, grant } => {
            if ledger.revoke(&actor(by), GrantId(grant), None).is_ok() {
                model.revoked.insert(GrantId(grant));
            }
        }
        Step::Disable { user, disabled } => {
            ledger.set_disabled(&operator(), &PEOPLE[user].into(), disabled).unwrap();
            if disabled {
                model.disabled.insert(user)
            } else {
                model.disabled.remove(&user)
            };
        }
        Step::Pass { minutes } => world.pass(MINUTE * minutes),
        Step::Sweep => ledger.sweep().unwrap(),
    }
}

/// Whatever is published and active now was approved, not revoked, and reaches no further than its role allows.
fn check(world: &World, model: &Model) {
    let now = world.shared.clock.now();
    for user in PEOPLE {
        for grant in world.shared.grants.of(&user.into()).iter() {
            if !grant.active(&TargetName::new("shop"), now) {
                continue;
            }
            assert!(!model.revoked.contains(&grant.id), "{grant} was revoked");
            assert!(grant.ends <= now.after(MINUTE * 120), "{grant} lasts too long");
            let request = world.ledger.request(&operator(), grant.request).unwrap().request;
            if request.asked.way != Way::BreakGlass {
                let others = model.said[&request.id].iter().filter(|by| PEOPLE[**by] != user);
                assert!(others.count() >= 2, "{grant} has too few approvals");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_operations_gives_more_than_was_approved(steps in prop::collection::vec(step(), 1..40)) {
        let world = World::with(RULES);
        let mut model = Model::default();
        for step in &steps {
            play(&world, &mut model, step);
            check(&world, &model);
        }
        world.pass(MINUTE * 500);
        world.ledger.sweep().unwrap();
        check(&world, &model);
        let events = world.events();
        for record in world.ledger.grants(&operator(), true).unwrap() {
            let told = |kind: &str| {
                let of = events.iter().filter(|event| event.kind == kind && event.decision.is_none());
                of.filter(|event| event.grant_id == Some(record.grant.id.0)).count()
            };
            prop_assert_eq!((told("grant_start"), told("grant_end")), (1, 1));
        }
    }
}
