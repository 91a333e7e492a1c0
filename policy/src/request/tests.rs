//! Transitions one by one, and any sequence of them: no grant is active without its approvals, past its end, or after
//! it was revoked.

mod model;

use super::*;
use crate::{
    grant::NoReview,
    ids::GroupName,
    role::{BreakGlass, Party},
};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn principal(name: &str) -> Principal {
    let group = match name {
        "alice" | "dave" => "oncall",
        "bob" | "carol" => "security",
        _ => "none",
    };
    Principal { user: UserName::new(name), groups: vec![GroupName::new(group)] }
}

pub(super) fn voter(name: &str) -> Voter {
    let standing = match name {
        "root" => Standing::Admin,
        "admin:os" => Standing::Operator,
        _ => Standing::Member,
    };
    Voter { principal: principal(name), standing }
}

pub(super) fn fixer() -> Role {
    let groups = vec![GroupName::new("oncall")];
    let break_glass = BreakGlass { max_duration: HOUR / 2, groups, review_within: HOUR * 24 };
    Role { max_duration: Some(HOUR * 2), break_glass: Some(break_glass), ..Role::named("fixer") }
}

pub(super) fn asked(user: &str, way: Way, duration: Duration, now: Timestamp) -> NewRequest {
    let approvers = vec![Party::Group(GroupName::new("security"))];
    NewRequest {
        user: UserName::new(user),
        asked_by: UserName::new(user),
        subject: Subject::Role(RoleName::new("fixer")),
        targets: vec![TargetName::new("shop")],
        duration,
        reason: "INC-1".into(),
        created: now,
        way,
        needed: vec![Requirement::Approvers { approvers, needs: 2 }],
    }
}

pub(super) fn yes(name: &str, now: Timestamp, duration: Option<Duration>) -> Approved {
    Approved { by: UserName::new(name), at: now, duration, comment: None }
}

pub(super) fn terms(now: Timestamp) -> Terms {
    Terms { now, longest: fixer().max_duration, user_until: None }
}

const NOW: Timestamp = Timestamp(1_000_000);

fn pending(user: &str, duration: Duration) -> Pending {
    asked(user, Way::Grant, duration, NOW).stored(RequestId(1))
}

fn approve(pending: Pending, by: &str) -> Result<Pending, Objection> {
    pending.approve(&voter(by), yes(by, NOW, None))
}

#[test]
fn a_grant_takes_all_its_approvals_and_the_shortest_time() {
    let one = pending("alice", HOUR).approve(&voter("bob"), yes("bob", NOW, Some(HOUR / 4))).unwrap();
    let Settled::Waiting(one, waiting) = one.settle(&[voter("bob"), voter("carol")], &terms(NOW)) else { panic!() };
    assert_eq!(waiting, "group:security");
    let two = approve(one, "carol").unwrap();
    let later = NOW.after(HOUR);
    let Settled::Grant(granting) = two.settle(&[voter("bob"), voter("carol")], &terms(later)) else { panic!() };
    let grant = granting.grant();
    assert_eq!((grant.starts, grant.ends), (later, later.after(HOUR / 4)));
    let request = granting.done(GrantId(7));
    assert_eq!(request.state, RequestState::Approved { at: later, grant: GrantId(7) });
    assert!(request.pending().is_err(), "nothing is decided twice");
}

#[test]
fn role_and_user_bound_the_end() {
    let settle = |terms: &Terms| {
        let both = approve(approve(pending("alice", HOUR * 5), "bob").unwrap(), "carol").unwrap();
        match both.settle(&[voter("bob"), voter("carol")], terms) {
            Settled::Grant(granting) => granting.grant().ends,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(settle(&terms(NOW)), NOW.after(HOUR * 2));
    assert_eq!(settle(&Terms { user_until: Some(NOW.after(HOUR)), ..terms(NOW) }), NOW.after(HOUR));
}

#[test]
fn what_is_no_yes_is_refused() {
    let refused = |pending: Pending, by: &str| approve(pending, by).unwrap_err();
    assert_eq!(refused(pending("bob", HOUR), "bob"), Objection::Own);
    assert!(matches!(refused(pending("alice", HOUR), "dave"), Objection::NoApprover { .. }));
    let once = approve(pending("alice", HOUR), "bob").unwrap();
    assert!(matches!(refused(once, "bob"), Objection::Twice { .. }));
    for duration in [Duration::ZERO, HOUR * 2] {
        let too_long = pending("alice", HOUR).approve(&voter("bob"), yes("bob", NOW, Some(duration)));
        assert_eq!(too_long.unwrap_err(), Objection::NotShorter);
    }
    let for_alice = |by: &str| NewRequest { asked_by: UserName::new(by), ..asked("alice", Way::Grant, HOUR, NOW) };
    assert_eq!(refused(for_alice("root").stored(RequestId(2)), "root"), Objection::Own);
    assert!(approve(for_alice("admin:os").stored(RequestId(2)), "admin:os").is_ok());
}

#[test]
fn approvers_who_left_and_approvals_of_something_else_do_not_count() {
    let both = || approve(approve(pending("alice", HOUR), "bob").unwrap(), "carol").unwrap();
    assert!(matches!(both().settle(&[voter("carol")], &terms(NOW)), Settled::Waiting(..)));
    let needed = both().request().asked.needed.clone();
    let changed = both().change(HOUR * 2, "more".into(), needed);
    assert!(changed.request().approvals.is_empty());
    assert!(matches!(changed.settle(&[voter("bob"), voter("carol")], &terms(NOW)), Settled::Waiting(..)));
    // Without rules it is the admins' alone.
    let bare = NewRequest { needed: Vec::new(), ..asked("alice", Way::Grant, HOUR, NOW) }.stored(RequestId(1));
    assert!(matches!(bare.settle(&[], &terms(NOW)), Settled::Waiting(_, who) if who == "an admin"));
}

#[test]
fn the_glass_breaks_at_once_and_once() {
    let glass = |user: &str, unreviewed| {
        let pending = asked(user, Way::BreakGlass, HOUR, NOW).stored(RequestId(1));
        pending.break_glass(&fixer(), &principal(user), unreviewed, &terms(NOW))
    };
    let grant = glass("alice", None).unwrap().grant();
    assert_eq!(
        (grant.ends, grant.review.clone()),
        (NOW.after(HOUR / 2), ReviewState::Due { by: NOW.after(HOUR * 24) })
    );
    assert_eq!(glass("alice", Some(GrantId(3))).unwrap_err(), Objection::Unreviewed(GrantId(3)));
    assert!(matches!(glass("bob", None).unwrap_err(), Objection::NotForUser { .. }));
    let usual = pending("alice", HOUR).break_glass(&fixer(), &principal("alice"), None, &terms(NOW));
    assert_eq!(usual.unwrap_err(), Objection::OtherWay(RequestId(1)));
    let mut closed = fixer();
    closed.break_glass = None;
    let pending = asked("alice", Way::BreakGlass, HOUR, NOW).stored(RequestId(1));
    let none = pending.clone().break_glass(&closed, &principal("alice"), None, &terms(NOW));
    assert!(matches!(none.unwrap_err(), Objection::NoBreakGlass(_)));
    assert!(matches!(pending.settle(&[], &terms(NOW)), Settled::Waiting(..)));

    let review =
        |state: ReviewState, by: &str| state.done(&UserName::new("alice"), UserName::new(by), NOW, "looked".into());
    assert_eq!(review(grant.review.clone(), "alice"), Err(NoReview::Own));
    let done = review(grant.review, "dave").unwrap();
    assert!(!done.is_due());
    assert_eq!(review(done, "bob"), Err(NoReview::Done));
    assert_eq!(review(ReviewState::NotNeeded, "bob"), Err(NoReview::NotNeeded));
}

#[test]
fn an_extension_moves_the_end_of_what_still_runs() {
    let extend = |way: Way, by: Duration, grant: &Grant, now: Timestamp| {
        let both = asked("alice", way, by, now).stored(RequestId(2));
        let both = approve(approve(both, "bob").unwrap(), "carol").unwrap();
        match both.settle(&[voter("bob"), voter("carol")], &terms(now)) {
            Settled::Extend(extending) => extending.done(grant).map(|(ends, _)| ends),
            other => panic!("{other:?}"),
        }
    };
    let grant = Grant {
        id: GrantId(5),
        request: RequestId(1),
        user: UserName::new("alice"),
        kind: GrantKind::Role(RoleName::new("fixer")),
        targets: vec![TargetName::new("shop")],
        starts: NOW,
        ends: NOW.after(HOUR),
        revoked: None,
    };
    let way = Way::Extend(GrantId(5));
    assert_eq!(extend(way, HOUR / 2, &grant, NOW), Ok(NOW.after(HOUR * 3 / 2)));
    assert_eq!(extend(way, HOUR * 9, &grant, NOW), Ok(NOW.after(HOUR * 2)), "no more than a grant that began now");
    assert!(matches!(extend(way, HOUR, &grant, NOW.after(HOUR)), Err(Objection::Over(_))));
    assert!(matches!(extend(Way::Extend(GrantId(6)), HOUR, &grant, NOW), Err(Objection::OtherWay(_))));
    let full = Grant { ends: NOW.after(HOUR * 2), ..grant };
    assert!(matches!(extend(way, HOUR, &full, NOW), Err(Objection::LongEnough(_))));
}
