//! Any sequence of operations, beside a model that keeps its own books: who said yes to what, when a grant may end at
//! the latest, what was revoked.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{asked, fixer, principal, terms, voter, yes};
use crate::{
    grant::{Grant, GrantEnd, NewGrant, ReviewState},
    ids::{GrantId, RequestId, TargetName, Timestamp, UserName},
    request::{Closed, NewRequest, Pending, Request, Settled, Way},
};
use std::time::Duration;

const PEOPLE: [&str; 6] = ["alice", "dave", "bob", "carol", "root", "eve"];
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
enum Step {
    Ask { user: usize, minutes: u32 },
    Approve { by: usize, request: usize, shorter: Option<u32> },
    Reject { by: usize, request: usize },
    Cancel { request: usize },
    Lapse { request: usize },
    Change { request: usize, minutes: u32 },
    BreakGlass { user: usize, minutes: u32 },
    Review { by: usize, grant: usize },
    Extend { grant: usize, minutes: u32 },
    Revoke { grant: usize },
    Leave { user: usize },
    Pass { minutes: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let (user, one, minutes) = (0..PEOPLE.len(), 0_usize..6, 0_u32..200);
    prop_oneof![
        4 => (user.clone(), minutes.clone()).prop_map(|(user, minutes)| Step::Ask { user, minutes }),
        9 => (user.clone(), one.clone(), prop::option::of(0_u32..200))
            .prop_map(|(by, request, shorter)| Step::Approve { by, request, shorter }),
        1 => (user.clone(), one.clone()).prop_map(|(by, request)| Step::Reject { by, request }),
        1 => one.clone().prop_map(|request| Step::Cancel { request }),
        1 => one.clone().prop_map(|request| Step::Lapse { request }),
        1 => (one.clone(), minutes.clone()).prop_map(|(request, minutes)| Step::Change { request, minutes }),
        2 => (user.clone(), minutes.clone()).prop_map(|(user, minutes)| Step::BreakGlass { user, minutes }),
        2 => (user.clone(), one.clone()).prop_map(|(by, grant)| Step::Review { by, grant }),
        3 => (one.clone(), minutes.clone()).prop_map(|(grant, minutes)| Step::Extend { grant, minutes }),
        1 => one.prop_map(|grant| Step::Revoke { grant }),
        1 => user.prop_map(|user| Step::Leave { user }),
        4 => minutes.prop_map(|minutes| Step::Pass { minutes }),
    ]
}

/// The books as the types keep them, and the model's own.
struct World {
    now: Timestamp,
    requests: Vec<Request>,
    grants: Vec<(Grant, ReviewState)>,
    /// The model: yes to each request as it stands, of whom and for how many minutes at most.
    said: BTreeMap<RequestId, BTreeMap<usize, Option<u32>>>,
    /// The model: how long each request asks for.
    minutes: BTreeMap<RequestId, u32>,
    /// The model: the latest end of each grant.
    latest: BTreeMap<GrantId, Timestamp>,
    revoked: BTreeSet<GrantId>,
    left: BTreeSet<usize>,
}

impl World {
    fn new() -> Self {
        Self {
            now: Timestamp(1_000_000),
            requests: Vec::new(),
            grants: Vec::new(),
            said: BTreeMap::new(),
            minutes: BTreeMap::new(),
            latest: BTreeMap::new(),
            revoked: BTreeSet::new(),
            left: BTreeSet::new(),
        }
    }

    fn play(&mut self, step: &Step) {
        match *step {
            Step::Ask { user, minutes } => {
                self.ask(asked(PEOPLE[user], Way::Grant, MINUTE * minutes, self.now), minutes);
            }
            Step::Approve { by, request, shorter } => self.approve(by, request, shorter),
            Step::Reject { by, request } => {
                let closed = Closed { by: UserName::new(PEOPLE[by]), at: self.now, reason: None };
                self.close(request, |pending| pending.reject(closed));
            }
            Step::Cancel { request } => {
                let closed = Closed { by: UserName::new("alice"), at: self.now, reason: None };
                self.close(request, |pending| pending.cancel(closed));
            }
            Step::Lapse { request } => {
                let now = self.now;
                self.close(request, |pending| pending.lapse(now));
            }
            Step::Change { request, minutes } => {
                let Some((at, pending)) = self.pending(request) else { return };
                let needed = pending.request().asked.needed.clone();
                self.requests[at] = pending.change(MINUTE * minutes, "more".into(), needed).request().clone();
                let id = self.requests[at].id;
                self.said.remove(&id);
                self.minutes.insert(id, minutes);
            }
            Step::BreakGlass { user, minutes } => self.break_glass(user, minutes),
            Step::Review { by, grant } => {
                if let Some((grant, review)) = self.grants.get_mut(grant)
                    && let Ok(done) = review.clone().done(&grant.user, UserName::new(PEOPLE[by]), self.now, "ok".into())
                {
                    assert_ne!(grant.user.as_str(), PEOPLE[by], "somebody else reviews");
                    *review = done;
                }
            }
            Step::Extend { grant, minutes } => {
                let Some((grant, _)) = self.grants.get(grant) else { return };
                let way = Way::Extend(grant.id);
                self.ask(asked(grant.user.as_str(), way, MINUTE * minutes, self.now), minutes);
            }
            Step::Revoke { grant } => {
                if let Some((grant, _)) = self.grants.get_mut(grant) {
                    grant.revoked = Some(GrantEnd::Revoked { by: UserName::new("bob"), reason: None });
                    self.revoked.insert(grant.id);
                }
            }
            Step::Leave { user } => {
                self.left.insert(user);
            }
            Step::Pass { minutes } => self.now = self.now.after(MINUTE * minutes),
        }
    }

    fn ask(&mut self, asked: NewRequest, minutes: u32) {
        let id = RequestId(i64::try_from(self.requests.len()).unwrap());
        self.minutes.insert(id, minutes);
        self.requests.push(asked.stored(id).request().clone());
    }

    fn pending(&self, request: usize) -> Option<(usize, Pending)> {
        let found = self.requests.get(request)?.clone();
        Some((request, found.pending().ok()?))
    }

    fn close(&mut self, request: usize, how: impl FnOnce(Pending) -> Request) {
        if let Some((at, pending)) = self.pending(request) {
            self.requests[at] = how(pending);
        }
    }

    fn approve(&mut self, by: usize, request: usize, shorter: Option<u32>) {
        let Some((at, pending)) = self.pending(request) else { return };
        if self.left.contains(&by) {
            return;
        }
        let approval = yes(PEOPLE[by], self.now, shorter.map(|minutes| MINUTE * minutes));
        let Ok(pending) = pending.approve(&voter(PEOPLE[by]), approval) else { return };
        let id = pending.request().id;
        self.said.entry(id).or_default().insert(by, shorter);
        self.requests[at] = pending.request().clone();
        let here = PEOPLE.iter().enumerate().filter(|(at, _)| !self.left.contains(at));
        let voters: Vec<_> = here.map(|(_, name)| voter(name)).collect();
        match pending.settle(&voters, &terms(self.now)) {
            Settled::Waiting(..) => {}
            Settled::Grant(granting) => {
                let (grant, latest) = (granting.grant(), self.now.after(self.approved_for(id)));
                self.requests[at] = granting.done(self.begin(&grant, latest));
            }
            Settled::Extend(extending) => {
                let of = extending.grant();
                let (grant, _) = self.grants.iter_mut().find(|(grant, _)| grant.id == of).unwrap();
                let Ok((ends, request)) = extending.done(grant) else { return };
                assert!(grant.active(&TargetName::new("shop"), self.now), "only what runs is extended");
                grant.ends = ends;
                self.requests[at] = request;
                let more = self.approved_for(id);
                let latest = self.latest.get_mut(&of).unwrap();
                *latest = latest.after(more);
            }
        }
    }

    /// The model: what the votes for a request allow it, once two of security (or an admin) other than the user who is
    /// to hold the grant have said yes.
    fn approved_for(&self, id: RequestId) -> Duration {
        let user = self.requests.iter().find(|request| request.id == id).unwrap().asked.user.clone();
        let votes = &self.said[&id];
        let counting = votes.keys().filter(|by| {
            ["bob", "carol", "root"].contains(&PEOPLE[**by]) && PEOPLE[**by] != user.as_str() && !self.left.contains(by)
        });
        assert!(counting.count() >= 2, "a grant begins with fewer than two approvals");
        let shortest = votes.values().flatten().chain([&self.minutes[&id]]).min().unwrap();
        MINUTE * (*shortest).min(120)
    }

    fn break_glass(&mut self, user: usize, minutes: u32) {
        let mine = |grant: &Grant| grant.user.as_str() == PEOPLE[user];
        let unreviewed = self.grants.iter().find(|(grant, review)| mine(grant) && review.is_due());
        let unreviewed = unreviewed.map(|(grant, _)| grant.id);
        let asked = asked(PEOPLE[user], Way::BreakGlass, MINUTE * minutes, self.now);
        let id = RequestId(i64::try_from(self.requests.len()).unwrap());
        let pending = asked.stored(id);
        if let Ok(granting) = pending.break_glass(&fixer(), &principal(PEOPLE[user]), unreviewed, &terms(self.now)) {
            assert!(["alice", "dave"].contains(&PEOPLE[user]), "only who is on call");
            let latest = self.now.after(MINUTE * minutes.min(30));
            let grant = self.begin(&granting.grant(), latest);
            self.requests.push(granting.done(grant));
        }
    }

    fn begin(&mut self, new: &NewGrant, latest: Timestamp) -> GrantId {
        let id = GrantId(i64::try_from(self.grants.len()).unwrap());
        self.latest.insert(id, latest);
        let NewGrant { request, user, kind, targets, starts, ends, review } = new.clone();
        self.grants.push((Grant { id, request, user, kind, targets, starts, ends, revoked: None }, review));
        id
    }

    fn check(&self) {
        let shop = TargetName::new("shop");
        for (grant, _) in &self.grants {
            if grant.active(&shop, self.now) {
                assert!(!self.revoked.contains(&grant.id), "{grant} is revoked");
                assert!(self.now < self.latest[&grant.id], "{grant} is over");
                let longest = self.now.after(MINUTE * 120);
                assert!(grant.ends <= longest, "{grant} reaches further than its role allows");
            }
        }
        for user in PEOPLE {
            let open = self.grants.iter().filter(|(grant, review)| grant.user.as_str() == user && review.is_due());
            assert!(open.count() <= 1, "{user} broke the glass twice");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_sequence_of_operations_gives_more_than_was_approved(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.play(step);
            world.check();
        }
    }

    /// The same sequences reach what they are about: otherwise the property above would hold for nothing.
    #[test]
    fn two_approvals_always_make_a_grant(minutes in 1_u32..200, others in prop::collection::vec(step(), 0..6)) {
        let mut world = World::new();
        for step in &others {
            if !matches!(step, Step::Leave { .. }) {
                world.play(step);
            }
        }
        let (request, grants) = (world.requests.len(), world.grants.len());
        world.play(&Step::Ask { user: 0, minutes });
        world.play(&Step::Approve { by: 2, request, shorter: None });
        prop_assert_eq!(world.grants.len(), grants);
        world.play(&Step::Approve { by: 3, request, shorter: None });
        prop_assert_eq!(world.grants.len(), grants + 1);
        prop_assert!(world.grants[grants].0.active(&TargetName::new("shop"), world.now));
    }
}
