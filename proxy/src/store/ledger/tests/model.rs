//! Any sequence of the ledger's operations on a real store, beside a model that knows only who said yes to what, by which
//! rules it was asked, and who is still there: no published grant is active without its approvals, past its end, after
//! it was revoked, after its user or its holder went away; and the audit says of each when it began and ended. Users are
//! disabled, removed, made anew in other groups and expire; the configuration changes under what waits.

use std::collections::{BTreeMap, BTreeSet};

use hallpass_policy::ids::{GrantId, RequestId};
use proptest::prelude::*;

use super::*;
use crate::store::{
    ledger::{BreakGlass, Change, Hold},
    requests::Way,
};

/// What all configurations say.
const COMMON: &str = r#"
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
"#;

/// Who approves, in TOML and as the model knows it: a user's or a group's name, and how many. Nobody: all requests are
/// refused.
const RULES: [(&str, &str, usize); 4] = [
    ("approvers = [\"group:security\"]\nneeds = 2", "security", 2),
    ("approvers = [\"user:carol\"]", "carol", 1),
    ("approvers = [\"group:oncall\"]\nneeds = 3", "oncall", 3),
    ("deny = true", "", 0),
];

const GROUPS: [&str; 3] = ["oncall", "security", "none"];

fn rules(which: usize) -> String {
    format!("{COMMON}{}", RULES[which].0)
}

const PEOPLE: [&str; 5] = ["alice", "dave", "bob", "carol", "root"];

#[derive(Clone, Debug)]
enum Step {
    Ask {
        user: usize,
        minutes: u32,
    },
    Approve {
        by: usize,
        request: i64,
        shorter: Option<u32>,
    },
    Reject {
        by: usize,
        request: i64,
    },
    Cancel {
        by: usize,
        request: i64,
    },
    Change {
        by: usize,
        request: i64,
        minutes: u32,
    },
    Glass {
        user: usize,
        minutes: u32,
    },
    Review {
        by: usize,
        grant: i64,
    },
    Extend {
        by: usize,
        grant: i64,
        minutes: u32,
    },
    Revoke {
        by: usize,
        grant: i64,
    },
    Disable {
        user: usize,
        disabled: bool,
    },
    /// Removed and made anew, perhaps in another group, perhaps for a while only.
    Rejoin {
        user: usize,
        group: usize,
        minutes: Option<u32>,
    },
    Configure {
        rules: usize,
    },
    Hold {
        user: usize,
        minutes: u32,
    },
    LetGo {
        hold: usize,
    },
    Pass {
        minutes: u32,
    },
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
        1 => (u(), any::<bool>()).prop_map(|(user, disabled)| Step::Disable { user, disabled }),
        1 => (u(), 0..GROUPS.len(), prop::option::of(m()))
            .prop_map(|(user, group, minutes)| Step::Rejoin { user, group, minutes }),
        1 => prop_oneof![3 => Just(0), 2 => 1..RULES.len()].prop_map(|rules| Step::Configure { rules }),
        1 => (u(), m()).prop_map(|(user, minutes)| Step::Hold { user, minutes }),
        1 => (0_usize..3).prop_map(|hold| Step::LetGo { hold }),
        4 => m().prop_map(|minutes| Step::Pass { minutes }),
        1 => Just(Step::Sweep),
    ]
}

/// A person as the model knows them.
#[derive(Clone, Debug)]
struct Person {
    group: &'static str,
    disabled: bool,
    until: Option<Timestamp>,
}

/// What the model knows, and nothing of how the ledger comes to it.
struct Model {
    people: Vec<Person>,
    /// Which rules are in force.
    rules: usize,
    /// By which rules a request was asked, as it stands.
    asked_by: BTreeMap<RequestId, usize>,
    /// Who said yes to a request as it stands.
    said: BTreeMap<RequestId, BTreeSet<usize>>,
    /// Requests whose grants may have begun.
    granted: BTreeSet<RequestId>,
    revoked: BTreeSet<GrantId>,
    unreviewed: BTreeMap<usize, GrantId>,
    holds: Vec<(RequestId, Hold)>,
    /// Nobody holds these any more, and the ledger has had the time to see it.
    let_go: BTreeSet<RequestId>,
    abandoned: BTreeSet<RequestId>,
}

impl Model {
    fn new() -> Self {
        let person = |group| Person { group, disabled: false, until: None };
        Self {
            people: ["oncall", "oncall", "security", "security", "none"].map(person).into(),
            rules: 0,
            asked_by: BTreeMap::new(),
            said: BTreeMap::new(),
            granted: BTreeSet::new(),
            revoked: BTreeSet::new(),
            unreviewed: BTreeMap::new(),
            holds: Vec::new(),
            let_go: BTreeSet::new(),
            abandoned: BTreeSet::new(),
        }
    }

    fn here(&self, user: usize, now: Timestamp) -> bool {
        let person = &self.people[user];
        !person.disabled && person.until.is_none_or(|until| now < until)
    }

    /// Whether the approvals of a request suffice now, by the rules it was asked by and by who is who now.
    fn suffices(&self, id: RequestId, user: &str, now: Timestamp) -> bool {
        let (_, party, needs) = RULES[self.asked_by[&id]];
        let counts = |by: usize| {
            let name = PEOPLE[by];
            self.here(by, now) && name != user && (name == "root" || name == party || self.people[by].group == party)
        };
        let said = self.said.get(&id).map_or(0, |said| said.iter().filter(|by| counts(**by)).count());
        needs > 0 && said >= needs
    }

    /// A request was asked, or asked anew.
    fn asked(&mut self, decided: &Decided) {
        assert!(decided.grant.is_none() && RULES[self.rules].2 > 0, "nobody has approved {decided:?}");
        self.asked_by.insert(decided.request.id, self.rules);
        self.said.remove(&decided.request.id);
    }
}

fn play(world: &World, model: &mut Model, step: &Step) {
    let (ledger, actor) = (&world.ledger, |at: usize| world.actor(PEOPLE[at]));
    let now = world.shared.clock.now();
    // Who is out cannot log in.
    let out = match *step {
        Step::Ask { user: by, .. }
        | Step::Approve { by, .. }
        | Step::Reject { by, .. }
        | Step::Cancel { by, .. }
        | Step::Change { by, .. }
        | Step::Glass { user: by, .. }
        | Step::Review { by, .. }
        | Step::Extend { by, .. }
        | Step::Revoke { by, .. }
        | Step::Hold { user: by, .. } => !model.here(by, now),
        Step::Disable { .. }
        | Step::Rejoin { .. }
        | Step::Configure { .. }
        | Step::LetGo { .. }
        | Step::Pass { .. }
        | Step::Sweep => false,
    };
    if out {
        return;
    }
    match *step {
        Step::Ask { user, minutes } => {
            if let Ok(decided) = world.ask(PEOPLE[user], "fixer", &["shop"], minutes) {
                assert!(minutes <= 120);
                model.asked(&decided);
            }
        }
        Step::Hold { user, minutes } => {
            if let Ok((decided, hold)) = ledger.ask_held(&actor(user), ask("fixer", &["shop"], minutes)) {
                model.asked(&decided);
                model.holds.push((decided.request.id, hold));
            }
        }
        Step::LetGo { hold } => {
            if hold < model.holds.len() {
                let (id, _) = model.holds.remove(hold);
                model.let_go.insert(id);
            }
        }
        Step::Approve { by, request, shorter } => {
            let id = RequestId(request);
            let shorter = shorter.map(|minutes| MINUTE * minutes);
            // What is refused leaves nothing behind, so the vote is known to the model beforehand.
            let before = model.said.clone();
            model.said.entry(id).or_default().insert(by);
            match ledger.approve(&actor(by), id, shorter, None) {
                Ok(Decided { request, grant: Some(_), .. }) => {
                    assert!(model.suffices(id, request.asked.user.as_str(), now), "{request:?}");
                    model.granted.insert(id);
                }
                Ok(_) => {}
                Err(_) => model.said = before,
            }
        }
        Step::Reject { by, request } => drop(ledger.reject(&actor(by), RequestId(request), None)),
        Step::Cancel { by, request } => drop(ledger.cancel(&actor(by), RequestId(request))),
        Step::Change { by, request, minutes } => {
            let change = Change { duration: Some(MINUTE * minutes), reason: None };
            if let Ok(decided) = ledger.change_request(&actor(by), RequestId(request), change) {
                model.asked(&decided);
            }
        }
        Step::Glass { user, minutes } => {
            let targets = vec![TargetName::new("shop")];
            let duration = Some(MINUTE * minutes);
            let glass =
                BreakGlass { user: None, role: RoleName::new("fixer"), targets, duration, reason: "INC-2".into() };
            if let Ok(decided) = ledger.break_glass(&actor(user), glass) {
                assert!(model.people[user].group == "oncall" && minutes <= 30);
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
            if let Ok(decided) = ledger.extend(&actor(by), GrantId(grant), MINUTE * minutes, None) {
                assert!(matches!(decided.request.state, RequestState::Pending), "nobody has approved {decided:?}");
                model.asked_by.insert(decided.request.id, model.rules);
            }
        }
        Step::Revoke { by, grant } => {
            if ledger.revoke(&actor(by), GrantId(grant), None).is_ok() {
                model.revoked.insert(GrantId(grant));
            }
        }
        Step::Disable { user, disabled } => {
            ledger.set_disabled(&operator(), &PEOPLE[user].into(), disabled).unwrap();
            model.people[user].disabled = disabled;
        }
        Step::Rejoin { user, group, minutes } => {
            let (name, until) = (UserName::new(PEOPLE[user]), minutes.map(|minutes| now.after(MINUTE * minutes)));
            ledger.remove_user(&operator(), &name).unwrap();
            let held = ledger.grants(&operator(), true).unwrap();
            let held = held.iter().filter(|record| record.grant.user == name);
            model.revoked.extend(held.map(|record| record.grant.id));
            let add = AddUser { name, groups: vec![GROUPS[group].into()], expires: until };
            ledger.add_user(&operator(), add).unwrap();
            model.people[user] = Person { group: GROUPS[group], disabled: false, until };
        }
        Step::Configure { rules: which } => {
            let (config, _) = Config::parse(Path::new("proxy.toml"), &rules(which)).unwrap();
            world.shared.config.store(Arc::new(config));
            model.rules = which;
        }
        Step::Pass { minutes } => world.pass(MINUTE * minutes),
        Step::Sweep => {
            ledger.sweep().unwrap();
            model.abandoned.append(&mut model.let_go);
        }
    }
}

/// Whatever is published and active now was approved, not revoked, and reaches no further than its role allows; its user
/// and its holder are there.
fn check(world: &World, model: &Model) {
    let now = world.shared.clock.now();
    for (at, user) in PEOPLE.into_iter().enumerate() {
        for grant in world.shared.grants.of(&user.into()).iter() {
            if !grant.active(&TargetName::new("shop"), now) {
                continue;
            }
            assert!(!model.revoked.contains(&grant.id), "{grant} was revoked");
            assert!(grant.ends <= now.after(MINUTE * 120), "{grant} lasts too long");
            assert!(model.here(at, now), "{grant} outlives its user");
            assert!(!model.abandoned.contains(&grant.request), "{grant} outlives its holder");
            let request = world.ledger.request(&operator(), grant.request).unwrap().request;
            if request.asked.way != Way::BreakGlass {
                assert!(model.granted.contains(&grant.request), "{grant} was not approved");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_operations_gives_more_than_was_approved(steps in prop::collection::vec(step(), 1..40)) {
        let world = World::with(&rules(0));
        let mut model = Model::new();
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
