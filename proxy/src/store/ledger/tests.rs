//! The way of a request to a grant and its end, on a real store with a clock that tests move.

use std::{path::Path, sync::Arc, time::Duration};

use hallpass_audit::{
    event::Origin,
    journal::{Durability, Journal},
    query::{AuditReader, EventRow},
    sqlite::Importer,
};
use hallpass_policy::{
    catalog::QualifiedName,
    grant::{GrantEnd, pin},
    ids::{GrantId, GroupName, Principal, RequestId, RoleName, TargetName, Timestamp, UserName},
    mask::apply::HashKey,
    statement::{Action, Effect, Features, Need, Object, Outputs, Reach, Statement},
};

mod flow;
mod hold;
mod model;
mod time;
mod told;

use super::{AddUser, Ask, AskFor, Decided, Ledger, LedgerError, NewToken, Outcome, Refused};
use crate::{
    clock::Clock,
    config::Config,
    shared::Shared,
    store::{
        LoginLookup, RequestFilter, actor::Actor, credentials::CredentialKind, grants::GrantState,
        requests::RequestState, seal::Seal, sqlite::SqliteStore,
    },
    wire::mysql::hashes::MysqlSecret,
};

const CONFIG: &str = r#"
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
    max_duration = "8h"
    request_by = ["group:oncall"]
    [roles.reader]
    allow = ["select"]
    [admins]
    users = ["root"]
    [[approvals]]
    databases = ["test"]
    auto = true
    [[approvals]]
    roles = ["fixer"]
    approvers = ["group:security"]
    needs = 2
"#;

const MINUTE: Duration = Duration::from_secs(60);

pub(super) struct World {
    ledger: Ledger,
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (config, _) = Config::parse(Path::new("proxy.toml"), config).unwrap();
        let journal = Journal::open(folder.path(), Durability::Process).unwrap();
        let clock = Clock::fixed(Timestamp(1_000_000));
        let shared = Arc::new(Shared::new(config, journal, clock, HashKey::new(&[0; 32])));
        let store = SqliteStore::open(&folder.path().join("grants.db")).unwrap();
        let ledger = Ledger::new(Box::new(store), Arc::clone(&shared)).unwrap();
        let world = Self { ledger: ledger.sealing(Seal::new(&[4; 32]).unwrap()), shared, folder };
        for (name, group) in
            [("alice", "oncall"), ("dave", "oncall"), ("bob", "security"), ("carol", "security"), ("root", "none")]
        {
            let add = AddUser { name: name.into(), groups: vec![group.into()], expires: None };
            world.ledger.add_user(&operator(), add).unwrap();
        }
        world
    }

    /// Everything that was recorded so far.
    fn events(&self) -> Vec<EventRow> {
        // Dropped, it has imported everything.
        drop(Importer::start(&self.shared.journal, self.shared.clock.now()).unwrap());
        AuditReader::open(self.folder.path()).unwrap().tail(10_000).unwrap()
    }

    fn actor(&self, name: &str) -> Actor {
        let user = self.ledger.users(&operator()).unwrap().into_iter().find(|user| user.name.as_str() == name).unwrap();
        Actor::user(user.principal(), &self.shared.config.load().admins, Origin::default())
    }

    fn ask(&self, who: &str, role: &str, targets: &[&str], minutes: u32) -> Outcome<Decided> {
        self.ledger.ask(&self.actor(who), ask(role, targets, minutes))
    }

    /// Whether `user`'s published grants allow anything on shop now.
    fn holds(&self, user: &str) -> bool {
        let now = self.shared.clock.now();
        self.shared.grants.of(&UserName::new(user)).iter().any(|grant| grant.active(&TargetName::new("shop"), now))
    }

    fn pass(&self, time: Duration) {
        self.shared.clock.set(self.shared.clock.now().after(time));
    }
}

fn operator() -> Actor {
    Actor::operator("os")
}

/// One statement that needs `action` on one table.
pub(super) fn statement(action: Action) -> Statement {
    let object = match action {
        Action::Update => Object::Relation(QualifiedName::new("shop", "orders")),
        _ => Object::Session("x".into()),
    };
    Statement {
        verb: if action == Action::Update { "UPDATE" } else { "SELECT" },
        needs: vec![Need { action, object }],
        outputs: Outputs::None,
        uses: vec![],
        touches: vec![],
        effect: Effect::None,
        reach: Reach::Some,
        explain: false,
        export: false,
        features: Features::default(),
        compared: Vec::new(),
        identity: [9; 32],
    }
}

fn ask(role: &str, targets: &[&str], minutes: u32) -> Ask {
    Ask {
        user: None,
        subject: AskFor::Role(RoleName::new(role)),
        targets: targets.iter().map(TargetName::new).collect(),
        duration: MINUTE * minutes,
        reason: "INC-1".into(),
    }
}

/// Kind and message of a refusal.
fn refusal<T: std::fmt::Debug>(outcome: Outcome<T>) -> (Refused, String) {
    match outcome.unwrap_err() {
        LedgerError::Refused { kind, message, .. } => (kind, message),
        LedgerError::Store(error) => panic!("{error}"),
        LedgerError::Audit(error) => panic!("{error}"),
    }
}

#[test]
fn a_grant_begins_with_its_last_approval_and_ends_by_time() {
    let world = World::new();
    let asked = world.ask("alice", "fixer", &["shop"], 60).unwrap();
    assert_eq!((asked.request.id, asked.waiting_for.as_str()), (RequestId(1), "group:security (2 of them)"));
    let id = asked.request.id;
    world.pass(MINUTE);

    let half = world.ledger.approve(&world.actor("bob"), id, Some(MINUTE * 30), Some("ok".into())).unwrap();
    assert_eq!((half.grant, half.waiting_for.as_str()), (None, "group:security"));
    assert!(!world.holds("alice"));
    let twice = refusal(world.ledger.approve(&world.actor("bob"), id, None, None));
    assert_eq!(twice, (Refused::Conflict, "`bob` approved request 1 already".into()));

    let epoch = world.shared.grants.epoch();
    let done = world.ledger.approve(&world.actor("carol"), id, None, None).unwrap();
    let grant = done.grant.unwrap().grant;
    let now = world.shared.clock.now();
    assert_eq!((grant.starts, grant.ends), (now, now.after(MINUTE * 30)), "the clock starts here, the shortest counts");
    assert!(world.holds("alice") && world.shared.grants.epoch() > epoch);
    let late = refusal(world.ledger.approve(&world.actor("root"), id, None, None));
    assert_eq!(late, (Refused::Conflict, "request 1 is approved already".into()));

    world.pass(MINUTE * 30);
    assert!(!world.holds("alice"), "time alone ends it");
    world.ledger.sweep().unwrap();
    assert_eq!(world.shared.grants.of(&"alice".into()).len(), 1, "and it is remembered for a while");
    world.pass(MINUTE * 61);
    world.ledger.sweep().unwrap();
    let late = refusal(world.ledger.revoke(&world.actor("alice"), grant.id, None));
    assert_eq!(late, (Refused::Conflict, "grant 1 is expired already".into()));
    assert!(world.ledger.grants(&operator(), false).unwrap().is_empty());
    assert_eq!(world.ledger.grants(&operator(), true).unwrap().len(), 1);
}

#[test]
fn nobody_approves_their_own_request() {
    let world = World::new();
    let id = world.ask("bob", "reader", &["shop"], 5).unwrap().request.id;
    let own = refusal(world.ledger.approve(&world.actor("bob"), id, None, None));
    assert_eq!(own, (Refused::Forbidden, "nobody may approve their own request".into()));
    // Not even an admin for another: the one who asked is a requester, too.
    let for_bob = Ask { user: Some("bob".into()), ..ask("reader", &["shop"], 5) };
    let id = world.ledger.ask(&world.actor("root"), for_bob).unwrap().request.id;
    let own = refusal(world.ledger.approve(&world.actor("root"), id, None, None));
    assert_eq!(own.0, Refused::Forbidden);
    assert!(!world.holds("bob"));
}

#[test]
fn who_is_no_approver_is_refused_and_sees_nothing_of_others() {
    let world = World::new();
    let id = world.ask("alice", "reader", &["shop"], 5).unwrap().request.id;
    // No rule is for `reader`, so that only admins count: to bob the request does not exist.
    let unseen = refusal(world.ledger.approve(&world.actor("bob"), id, None, None));
    assert_eq!(unseen, (Refused::NotFound, "there is no request 1".into()));
    assert!(world.ledger.requests(&world.actor("bob"), &RequestFilter::default()).unwrap().is_empty());
    let fixer = world.ask("alice", "fixer", &["shop"], 5).unwrap().request.id;
    let seen = world.ledger.requests(&world.actor("bob"), &RequestFilter::default()).unwrap();
    assert_eq!(seen.iter().map(|seen| seen.request.id).collect::<Vec<_>>(), [fixer]);
    assert!(world.ledger.approve(&world.actor("root"), id, None, None).unwrap().grant.is_some());
    assert!(world.holds("alice"));
}

#[test]
fn what_may_not_be_asked_for_is_said() {
    let world = World::new();
    let cases = [
        (world.ask("bob", "fixer", &["shop"], 5), "`bob` may not ask for role `fixer`"),
        (world.ask("alice", "fixer", &["shop"], 481), "role `fixer` is granted for at most 8h"),
        (world.ask("alice", "fixr", &["shop"], 5), "there is no role `fixr`"),
        (world.ask("alice", "fixer", &["shpo"], 5), "there is no database `shpo`"),
        (world.ask("alice", "fixer", &[], 5), "a request needs a database"),
        (world.ask("alice", "fixer", &["shop"], 0), "a grant must last longer than nothing"),
        (
            world.ledger.ask(&world.actor("alice"), Ask { reason: " ".into(), ..ask("fixer", &["shop"], 5) }),
            "a request needs a reason",
        ),
        (
            world.ledger.ask(&world.actor("alice"), Ask { user: Some("bob".into()), ..ask("reader", &["shop"], 5) }),
            "only an admin may ask for another, `bob`",
        ),
        (world.ledger.ask(&operator(), ask("reader", &["shop"], 5)), "for whom"),
        (
            world.ledger.ask(&operator(), Ask { user: Some("nobody".into()), ..ask("reader", &["shop"], 5) }),
            "there is no user `nobody`",
        ),
    ];
    for (outcome, expected) in cases {
        assert_eq!(refusal(outcome).1, expected);
    }
    assert!(world.ledger.requests(&operator(), &RequestFilter::default()).unwrap().is_empty());
}

#[test]
fn automatic_rules_grant_at_once_but_never_beside_a_guarded_target() {
    let world = World::new();
    assert!(world.ask("alice", "fixer", &["test"], 5).unwrap().grant.is_some());
    let both = world.ask("alice", "fixer", &["test", "shop"], 5).unwrap();
    assert_eq!((both.grant, both.waiting_for.as_str()), (None, "group:security (2 of them)"));
}

#[test]
fn requests_are_rejected_cancelled_or_lapse() {
    let world = World::new();
    let alice = world.actor("alice");
    let id = world.ask("alice", "fixer", &["shop"], 5).unwrap().request.id;
    let request = world.ledger.reject(&world.actor("bob"), id, Some("no".into())).unwrap();
    assert!(matches!(request.state, RequestState::Rejected(closed) if closed.reason.as_deref() == Some("no")));
    let again = refusal(world.ledger.cancel(&alice, id));
    assert_eq!(again, (Refused::Conflict, "request 1 is rejected already".into()));

    let id = world.ask("alice", "fixer", &["shop"], 5).unwrap().request.id;
    assert_eq!(refusal(world.ledger.cancel(&world.actor("bob"), id)).0, Refused::Forbidden);
    assert_eq!(world.ledger.cancel(&alice, id).unwrap().state.as_str(), "cancelled");

    let id = world.ask("alice", "fixer", &["shop"], 5).unwrap().request.id;
    world.pass(Duration::from_secs(24 * 3600) - MINUTE);
    world.ledger.sweep().unwrap();
    assert_eq!(world.ledger.request(&alice, id).unwrap().request.state.as_str(), "pending");
    world.pass(MINUTE);
    world.ledger.sweep().unwrap();
    assert_eq!(world.ledger.request(&alice, id).unwrap().request.state.as_str(), "lapsed");
    assert_eq!(refusal(world.ledger.approve(&world.actor("root"), id, None, None)).0, Refused::Conflict);
}

#[test]
fn a_grant_ends_when_it_is_revoked_or_its_user_goes() {
    let world = World::new();
    let give = |minutes| {
        let id = world.ask("alice", "reader", &["shop"], minutes).unwrap().request.id;
        world.ledger.approve(&operator(), id, None, None).unwrap().grant.unwrap().grant.id
    };
    let grant = give(5);
    assert_eq!(refusal(world.ledger.revoke(&world.actor("carol"), grant, None)).0, Refused::NotFound);
    let record = world.ledger.revoke(&world.actor("alice"), grant, Some("done".into())).unwrap();
    let end = GrantEnd::Revoked { by: "alice".into(), reason: Some("done".into()) };
    assert_eq!(record.grant.revoked, Some(end));
    assert!(!world.holds("alice"));

    give(5);
    let waiting = world.ask("alice", "reader", &["shop"], 5).unwrap().request.id;
    assert!(world.holds("alice"));
    world.ledger.set_disabled(&world.actor("root"), &"alice".into(), true).unwrap();
    assert!(!world.holds("alice"));
    assert_eq!(world.ledger.request(&operator(), waiting).unwrap().request.state.as_str(), "cancelled");
    world.ledger.set_disabled(&operator(), &"alice".into(), false).unwrap();
    assert!(!world.holds("alice"), "enabling brings back no grant");
    give(5);
    world.ledger.remove_user(&operator(), &"alice".into()).unwrap();
    assert!(!world.holds("alice"));
    let revoked = world.ledger.grants(&operator(), true).unwrap();
    assert!(revoked.iter().all(|record| record.state(world.shared.clock.now()) == GrantState::Revoked));
}

#[test]
fn an_approver_who_left_counts_no_more() {
    let world = World::new();
    let id = world.ask("alice", "fixer", &["shop"], 5).unwrap().request.id;
    world.ledger.approve(&world.actor("bob"), id, None, None).unwrap();
    world.ledger.set_disabled(&operator(), &"bob".into(), true).unwrap();
    let half = world.ledger.approve(&world.actor("carol"), id, None, None).unwrap();
    assert_eq!((half.grant, half.waiting_for.as_str()), (None, "group:security"));
}

#[test]
fn a_grant_never_outlives_its_user() {
    let world = World::new();
    let end = world.shared.clock.now().after(MINUTE * 3);
    let add = AddUser { name: "temp".into(), groups: vec!["oncall".into()], expires: Some(end) };
    world.ledger.add_user(&operator(), add).unwrap();
    let grant = world.ask("temp", "reader", &["test"], 60).unwrap().grant.unwrap().grant;
    assert_eq!(grant.ends, end);
    world.pass(MINUTE * 3);
    assert_eq!(refusal(world.ask("temp", "reader", &["test"], 1)).1, "user `temp` is disabled or expired");
}

#[test]
fn statement_requests_are_for_reading() {
    let world = World::new();
    let with = |action: Action| Ask {
        subject: AskFor::Statement {
            text: "…".into(),
            understood: vec![Arc::new(statement(action))],
            export: false,
            unmask: true,
            max_rows_affected: None,
        },
        ..ask("", &["test"], 5)
    };
    let alice = world.actor("alice");
    let grant = world.ledger.ask(&alice, with(Action::Select)).unwrap().grant.unwrap().grant;
    let hallpass_policy::grant::GrantKind::Statement(approved) = grant.kind else { panic!("{grant:?}") };
    assert_eq!(approved.identity, pin(&statement(Action::Select)));
    assert_eq!((approved.unmask, approved.export, approved.max_rows_affected), (true, false, None));
    let write = refusal(world.ledger.ask(&alice, with(Action::Update)));
    assert_eq!(
        write,
        (Refused::Invalid, "a statement grant is for reading, and this needs `update` on shop.orders".into())
    );
}

#[test]
fn tokens_and_passwords_open_the_same_door() {
    let world = World::new();
    let (alice, bob) = (world.actor("alice"), world.actor("bob"));
    let (id, token) = world.ledger.add_token(&alice, &"alice".into(), NewToken::default()).unwrap();
    world.ledger.set_password(&operator(), &"alice".into(), "secret").unwrap();
    world.ledger.set_password(&alice, &"alice".into(), "better").unwrap();
    let now = world.shared.clock.now();
    let login = world.ledger.credentials("alice").unwrap();
    assert!(login.verify_cleartext("better", now).is_some() && login.verify_cleartext(&token, now).is_some());
    assert!(login.verify_cleartext("secret", now).is_none(), "a new password replaces the old one");
    let bearer = world.ledger.bearer(&token, Origin::default()).unwrap().unwrap();
    assert_eq!(bearer.principal(), Principal { user: "alice".into(), groups: vec![GroupName::new("oncall")] });
    assert!(world.ledger.bearer("better", Origin::default()).unwrap().is_none(), "a password is no bearer token");

    assert_eq!(refusal(world.ledger.set_password(&bob, &"alice".into(), "x")).0, Refused::Forbidden);
    assert_eq!(refusal(world.ledger.add_token(&bob, &"alice".into(), NewToken::default())).0, Refused::Forbidden);
    let add = AddUser { name: "eve".into(), groups: vec![], expires: None };
    assert_eq!(refusal(world.ledger.add_user(&bob, add)).0, Refused::Forbidden);
    world.ledger.remove_token(&alice, &"alice".into(), id).unwrap();
    assert!(world.ledger.bearer(&token, Origin::default()).unwrap().is_none());
    world.ledger.set_disabled(&operator(), &"alice".into(), true).unwrap();
    assert!(world.ledger.credentials("alice").unwrap().verify_cleartext("better", now).is_none());
    assert_eq!(refusal(world.ledger.revoke(&alice, GrantId(7), None)).0, Refused::NotFound);
}

#[test]
fn what_mysql_logins_need_of_a_password_is_sealed_or_remembered() {
    let world = World::new();
    let (alice, expected) = (UserName::new("alice"), MysqlSecret::derive(b"secret"));
    world.ledger.set_password(&operator(), &alice, "secret").unwrap();
    let (_, token) = world.ledger.add_token(&operator(), &alice, NewToken::default()).unwrap();
    let key = |ledger: &Ledger, kind| {
        let keys = ledger.credentials("alice").unwrap().keys;
        keys.into_iter().find(|key| key.kind == kind).unwrap()
    };
    let stored = world.ledger.store.begin().unwrap().credentials("alice").unwrap().keys;
    assert_eq!(stored[0].mysql, MysqlSecret::default(), "nothing of a password is in the open");
    assert!(
        !stored[0]
            .sealed_native
            .as_ref()
            .unwrap()
            .windows(20)
            .any(|part| Some(part) == expected.native.as_ref().map(|hash| &hash[..]))
    );
    assert_eq!(key(&world.ledger, CredentialKind::Token).mysql, MysqlSecret::derive(token.as_bytes()));
    let password = key(&world.ledger, CredentialKind::Password);
    assert_eq!(password.mysql, MysqlSecret { sha2: None, native: expected.native });

    let ledger = Arc::new(world.ledger);
    ledger.remember(&alice, &password, expected.sha2.unwrap());
    assert_eq!(key(&ledger, CredentialKind::Password).mysql, expected, "from the second login on");
    ledger.set_password(&operator(), &alice, "other").unwrap();
    assert_eq!(key(&ledger, CredentialKind::Password).mysql.sha2, None);
    ledger.remember(&alice, &password, expected.sha2.unwrap());
    assert_eq!(key(&ledger, CredentialKind::Password).mysql.sha2, None, "of a password that is no more");

    let off = format!("{CONFIG}\n[server]\nmysql_native_password = false");
    world.shared.reconfigure(Config::parse(Path::new("proxy.toml"), &off).unwrap().0);
    assert_eq!(key(&ledger, CredentialKind::Password).mysql.native, None);
    ledger.set_password(&operator(), &alice, "third").unwrap();
    assert_eq!(key(&ledger, CredentialKind::Password).sealed_native, None);
    assert!(key(&ledger, CredentialKind::Token).mysql.native.is_some());
}
