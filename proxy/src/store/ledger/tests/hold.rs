//! What lives only as long as somebody holds it: every way to lose a holder ends it, none other does.

use super::*;
use crate::store::ledger::hold::GRACE;

impl World {
    fn hold(&self, targets: &[&str]) -> (Decided, super::super::Hold) {
        self.ledger.ask_held(&self.actor("alice"), ask("reader", targets, 60)).unwrap()
    }

    fn state_of(&self, id: RequestId) -> RequestState {
        self.ledger.request(&operator(), id).unwrap().request.state
    }

    fn later(&self, by: Duration) {
        self.shared.clock.set(self.shared.clock.now().after(by));
    }

    fn active(&self) -> usize {
        self.ledger.grants(&operator(), false).unwrap().len()
    }

    /// The proxy is restarted: the store stays, who was connected does not.
    fn restarted(self) -> Self {
        let store = SqliteStore::open(&self.folder.path().join("grants.db")).unwrap();
        let ledger = Ledger::new(Box::new(store), Arc::clone(&self.shared)).unwrap();
        Self { ledger, ..self }
    }
}

#[test]
fn a_request_without_its_holder_is_cancelled() {
    let world = World::new();
    let (asked, hold) = world.hold(&["shop"]);
    let id = asked.request.id;
    world.later(GRACE * 2);
    world.ledger.sweep().unwrap();
    assert_eq!(world.state_of(id), RequestState::Pending, "its holder is here");
    drop(hold);
    world.ledger.sweep().unwrap();
    let RequestState::Cancelled(closed) = world.state_of(id) else { panic!("cancelled is expected") };
    assert_eq!((closed.by.as_str(), closed.reason.as_deref()), ("alice", Some("its holder went away")));
    let last = world.events().pop().unwrap();
    assert_eq!((last.kind.as_str(), last.decision.as_deref()), ("request", Some("cancel")));
    // A refused approval is on record, too.
    assert!(world.ledger.approve(&operator(), id, None, None).is_err());
}

#[test]
fn a_grant_without_its_holder_is_revoked() {
    let world = World::new();
    let (decided, hold) = world.hold(&["test"]);
    assert!(decided.grant.is_some(), "the rules grant it at once");
    let other = world.ledger.ask(&world.actor("dave"), ask("reader", &["test"], 60)).unwrap();
    // A second connection of the same holder: the last one counts.
    let (_, again) = world.ledger.hold(&world.actor("alice"), decided.request.id).unwrap();
    drop(hold);
    world.ledger.sweep().unwrap();
    assert_eq!(world.active(), 2);
    drop(again);
    world.ledger.sweep().unwrap();
    let left: Vec<_> = world.ledger.grants(&operator(), false).unwrap().iter().map(|record| record.grant.id).collect();
    assert_eq!(left, [other.grant.unwrap().grant.id], "what nobody holds by a connection lives by itself");
    assert_eq!(world.events().pop().unwrap().reason.as_deref(), Some("revoked by alice: its holder went away"));
}

#[test]
fn an_ended_grant_stays_as_it_ended() {
    let world = World::new();
    let (decided, hold) = world.hold(&["test"]);
    let grant = decided.grant.unwrap().grant.id;
    world.ledger.revoke(&operator(), grant, Some("enough".into())).unwrap();
    drop(hold);
    world.ledger.sweep().unwrap();
    let all = world.ledger.grants(&operator(), true).unwrap();
    let ended = all.iter().find(|record| record.grant.id == grant).unwrap();
    assert!(matches!(&ended.grant.revoked, Some(GrantEnd::Revoked { reason: Some(why), .. }) if why == "enough"));
}

#[test]
fn after_a_restart_a_holder_is_waited_for() {
    let world = World::new();
    let (decided, hold) = world.hold(&["test"]);
    let id = decided.request.id;
    // The old process is gone with its connections: nothing of it acts any more.
    std::mem::forget(hold);
    let world = world.restarted();
    world.ledger.sweep().unwrap();
    world.later(GRACE - MINUTE / 60);
    world.ledger.sweep().unwrap();
    assert_eq!(world.active(), 1);
    let (again, hold) = world.ledger.hold(&world.actor("alice"), id).unwrap();
    assert!(!again.is_over(world.shared.clock.now()));
    world.later(GRACE);
    world.ledger.sweep().unwrap();
    assert_eq!(world.active(), 1, "it came back");
    std::mem::forget(hold);

    let world = world.restarted();
    world.ledger.sweep().unwrap();
    world.later(GRACE);
    world.ledger.sweep().unwrap();
    assert_eq!(world.active(), 0, "nobody came back");
    let (late, _hold) = world.ledger.hold(&world.actor("alice"), id).unwrap();
    assert!(late.is_over(world.shared.clock.now()), "who comes too late is told");
}

#[test]
fn only_its_own_user_holds_a_request() {
    let world = World::new();
    let (decided, _hold) = world.hold(&["shop"]);
    let id = decided.request.id;
    assert!(matches!(
        world.ledger.hold(&world.actor("dave"), id),
        Err(LedgerError::Refused { kind: Refused::NotFound, .. })
    ));
    let (fixer, _other) = world.ledger.ask_held(&world.actor("alice"), ask("fixer", &["shop"], 60)).unwrap();
    assert!(matches!(
        world.ledger.hold(&world.actor("bob"), fixer.request.id),
        Err(LedgerError::Refused { kind: Refused::Forbidden, .. })
    ));
    let plain = world.ask("alice", "reader", &["shop"], 60).unwrap();
    assert!(matches!(
        world.ledger.hold(&world.actor("alice"), plain.request.id),
        Err(LedgerError::Refused { kind: Refused::Conflict, .. })
    ));
}
