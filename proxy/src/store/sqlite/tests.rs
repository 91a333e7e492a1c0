//! The SQLite store on a real file: what was committed is there after reopening, what was not is not.

use std::time::Duration;

use hallpass_policy::{
    approval::Requirement,
    grant::{ApprovedStatement, GrantEnd},
    ids::{GroupName, RequestId, RoleName, TargetName, Timestamp, UserName},
    resource::Resource,
    role::{BreakGlass, Role},
};

use super::SqliteStore;
use crate::{
    store::{
        GrantFilter, RequestFilter, Resources, Store, StoreError, Transaction,
        credentials::{CredentialKind, derive, token_digest},
        grants::{GrantState, ReviewState},
        requests::{Approved, Granting, NewRequest, RequestState, Settled, Subject, Terms, Way},
        users::{NewKey, NewUser},
    },
    wire::mysql::hashes::MysqlSecret,
};

fn alice() -> NewUser {
    NewUser {
        name: UserName::new("alice"),
        groups: vec![GroupName::new("oncall")],
        expires: Some(Timestamp(500)),
        created: Timestamp(1),
        salt: vec![3; 16],
        iterations: 4096,
    }
}

fn statement_request() -> NewRequest {
    NewRequest {
        user: UserName::new("alice"),
        asked_by: UserName::new("alice"),
        subject: Subject::Statement(ApprovedStatement {
            text: "SELECT 1".into(),
            identity: [7; 32],
            export: true,
            unmask: false,
            max_rows_affected: Some(3),
        }),
        targets: vec![TargetName::new("eu"), TargetName::new("shop")],
        duration: Duration::from_secs(60),
        reason: "INC-1".into(),
        created: Timestamp(10),
        way: Way::Grant,
        needed: vec![Requirement::Auto, Requirement::Admin],
    }
}

/// A grant as it begins: with every approval.
fn granting(asked: &NewRequest, id: RequestId, starts: i64, seconds: u64) -> Granting {
    let asked =
        NewRequest { duration: Duration::from_micros(seconds), needed: vec![Requirement::Auto], ..asked.clone() };
    let terms = Terms { now: Timestamp(starts), longest: None, user_until: None };
    match asked.stored(id).settle(&[], &terms) {
        Settled::Grant(granting) => granting,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    let asked = statement_request();
    let first = {
        let store = SqliteStore::open(&path).unwrap();
        let open = store.begin().unwrap();
        assert!(open.insert_user(&alice()).unwrap());
        assert!(!open.insert_user(&alice()).unwrap(), "a name is taken once");
        let key = NewKey {
            kind: CredentialKind::Token,
            label: Some("ci".into()),
            keys: derive("hp_x", &[3; 16], 4096),
            mysql: MysqlSecret::derive(b"hp_x"),
            sealed_native: None,
            token_sha256: Some(token_digest("hp_x")),
            created: Timestamp(2),
            expires: Some(Timestamp(400)),
        };
        open.insert_key(&alice().name, &key).unwrap();
        let id = open.insert_request(&asked).unwrap();
        let approval = Approved {
            by: UserName::new("bob"),
            at: Timestamp(20),
            duration: Some(Duration::from_secs(30)),
            comment: Some("fine".into()),
        };
        open.insert_approval(id, &approval).unwrap();
        open.commit().unwrap();
        store.begin().unwrap().credentials("ghost").unwrap()
    };

    let store = SqliteStore::open(&path).unwrap();
    let open = store.begin().unwrap();
    let user = open.user(&alice().name).unwrap().unwrap();
    assert_eq!((user.groups, user.expires, user.disabled), (alice().groups, alice().expires, false));
    let login = open.credentials("alice").unwrap();
    assert_eq!(login.verify_cleartext("hp_x", Timestamp(300)).map(|key| key.kind), Some(CredentialKind::Token));
    assert!(login.verify_cleartext("hp_x", Timestamp(400)).is_none());
    let (owner, expires) = open.token_owner(&token_digest("hp_x")).unwrap().unwrap();
    assert_eq!((owner.name.as_str(), expires), ("alice", Some(Timestamp(400))));
    assert!(open.token_owner(&token_digest("hp_y")).unwrap().is_none());
    assert_eq!(open.credentials("ghost").unwrap().salt, first.salt, "a mock salt survives a restart");
    let requests = open.requests(&RequestFilter { user: None, pending: true }).unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].asked, asked);
    assert_eq!(requests[0].approvals[0].duration, Some(Duration::from_secs(30)));
    open.remove_user(&alice().name).unwrap();
    assert!(open.token_owner(&token_digest("hp_x")).unwrap().is_none(), "keys go with their user");
}

#[test]
fn what_was_not_committed_never_happened() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("grants.db")).unwrap();
    let open = store.begin().unwrap();
    open.insert_user(&alice()).unwrap();
    drop(open);
    assert!(store.begin().unwrap().users().unwrap().is_empty());
}

#[test]
fn another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    drop(SqliteStore::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Version { found: 99, known: 4 })));
}

#[test]
fn a_file_of_version_1_is_brought_up_with_its_users() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    {
        let old = rusqlite::Connection::open(&path).unwrap();
        old.execute_batch(super::SCHEMA).unwrap();
        old.execute_batch(
            "INSERT INTO meta VALUES ('mock_secret', zeroblob(32));
             INSERT INTO users VALUES ('alice', '[]', NULL, 0, 1, zeroblob(16), 4096);
             INSERT INTO keys VALUES (7, 'alice', 'password', NULL, zeroblob(32), zeroblob(32), NULL, 1, NULL);
             PRAGMA user_version = 1",
        )
        .unwrap();
    }
    for _ in 0..2 {
        let store = SqliteStore::open(&path).unwrap();
        let login = store.begin().unwrap().credentials("alice").unwrap();
        assert_eq!((login.keys[0].id, login.keys[0].mysql.clone()), (7, MysqlSecret::default()));
        assert_eq!(login.keys[0].sealed_native, None);
    }
}

#[test]
fn sealed_hashes_are_forgotten_and_tokens_hashes_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("grants.db")).unwrap();
    let open = store.begin().unwrap();
    open.insert_user(&alice()).unwrap();
    let key = |kind, mysql, sealed_native| NewKey {
        kind,
        label: None,
        keys: derive("x", &[3; 16], 1),
        mysql,
        sealed_native,
        token_sha256: None,
        created: Timestamp(2),
        expires: None,
    };
    let token = MysqlSecret::derive(b"x");
    open.insert_key(&alice().name, &key(CredentialKind::Token, token.clone(), None)).unwrap();
    open.insert_key(&alice().name, &key(CredentialKind::Password, MysqlSecret::default(), Some(vec![5]))).unwrap();
    let kept = |open: &dyn Transaction| {
        let keys = open.credentials("alice").unwrap().keys;
        keys.into_iter().map(|key| (key.mysql, key.sealed_native)).collect::<Vec<_>>()
    };
    assert_eq!(kept(&*open), [(token.clone(), None), (MysqlSecret::default(), Some(vec![5]))]);
    assert_eq!((open.forget_native().unwrap(), open.forget_native().unwrap()), (1, 0));
    assert_eq!(kept(&*open), [(token, None), (MysqlSecret::default(), None)]);
}

#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    let store = SqliteStore::open(&path).unwrap();
    store.begin().unwrap().commit().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

#[test]
fn grants_end_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("grants.db")).unwrap();
    let open = store.begin().unwrap();
    let give = |open: &dyn Transaction, ends: i64| {
        let asked = statement_request();
        let request = open.insert_request(&asked).unwrap();
        let granting = granting(&asked, request, 10, u64::try_from(ends - 10).unwrap());
        let id = open.insert_grant(&granting.grant()).unwrap();
        open.update_state(&granting.done(id)).unwrap();
        id
    };
    let (short, long) = (give(&*open, 100), give(&*open, 200));
    open.revoke(long, &UserName::new("bob"), Timestamp(50), Some("done")).unwrap();
    assert!(open.take_expired(Timestamp(99)).unwrap().is_empty());
    let ended: Vec<_> = open.take_expired(Timestamp(300)).unwrap().iter().map(|record| record.grant.id).collect();
    assert_eq!(ended, [short], "a revoked grant's end is recorded when it is revoked");
    assert!(open.take_expired(Timestamp(300)).unwrap().is_empty());

    let long = open.grant(long).unwrap().unwrap();
    let by_bob = GrantEnd::Revoked { by: UserName::new("bob"), reason: Some("done".into()) };
    assert_eq!((long.grant.revoked.clone(), long.ended()), (Some(by_bob), Timestamp(50)));
    assert_eq!(long.state(Timestamp(60)), GrantState::Revoked);
    let since = |at: i64| {
        let filter = GrantFilter { user: None, not_ended_before: Some(Timestamp(at)) };
        open.grants(&filter).unwrap().iter().map(|record| record.grant.id).collect::<Vec<_>>()
    };
    assert_eq!(since(40).len(), 2);
    assert_eq!(since(60), [short]);
    let request = open.request(long.grant.request).unwrap().unwrap();
    assert_eq!(request.state, RequestState::Approved { at: Timestamp(10), grant: long.grant.id });
    assert!(request.pending().is_err(), "an approved request is decided");
}

#[test]
fn requests_of_version_1_are_brought_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(super::SCHEMA).unwrap();
    old.execute_batch(
        "INSERT INTO meta VALUES ('mock_secret', zeroblob(32));
         INSERT INTO requests (user, asked_by, role, targets, duration, reason, created, state)
         VALUES ('alice', 'alice', 'fixer', '[\"shop\"]', 60000000, 'INC-1', 10, 'pending');
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let store = SqliteStore::open(&path).unwrap();
    let open = store.begin().unwrap();
    let request = open.request(RequestId(1)).unwrap().unwrap();
    assert_eq!(request.asked.way, Way::Grant);
    assert_eq!(request.asked.needed(), [Requirement::Admin], "what it needs was not noted: an admin decides");
    assert!(open.resources(RequestId(1)).unwrap().is_empty());
    drop(open);
    drop(store);
    SqliteStore::open(&path).unwrap();
}

#[test]
fn a_break_glass_is_kept_until_it_is_reviewed() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("grants.db")).unwrap();
    let open = store.begin().unwrap();
    let groups = vec![GroupName::new("oncall")];
    let (max_duration, review_within) = (Duration::from_micros(50), Duration::from_micros(100));
    let role = Role { break_glass: Some(BreakGlass { max_duration, groups, review_within }), ..Role::named("admin") };
    let subject = Subject::Role(RoleName::new("admin"));
    let asked = NewRequest { way: Way::BreakGlass, subject, ..statement_request() };
    let id = open.insert_request(&asked).unwrap();
    let principal = hallpass_policy::ids::Principal { user: alice().name, groups: alice().groups };
    let terms = Terms { now: Timestamp(10), longest: None, user_until: None };
    let granting = asked.stored(id).break_glass(&role, &principal, None, &terms).unwrap();
    let grant = open.insert_grant(&granting.grant()).unwrap();
    open.update_state(&granting.done(grant)).unwrap();

    let due = ReviewState::Due { by: Timestamp(110) };
    assert_eq!(open.unreviewed(Some(&alice().name)).unwrap()[0].review, due);
    assert!(open.unreviewed(Some(&UserName::new("bob"))).unwrap().is_empty());
    assert!(open.take_overdue(Timestamp(109)).unwrap().is_empty());
    assert_eq!(open.take_overdue(Timestamp(110)).unwrap().len(), 1);
    assert!(open.take_overdue(Timestamp(111)).unwrap().is_empty(), "said once");
    let review = due.done(&alice().name, UserName::new("bob"), Timestamp(120), "fine".into()).unwrap();
    open.insert_review(grant, &review).unwrap();
    assert_eq!(open.grant(grant).unwrap().unwrap().review, review);
    assert!(open.unreviewed(None).unwrap().is_empty());
    open.extend(grant, Timestamp(70)).unwrap();
    assert_eq!(open.grant(grant).unwrap().unwrap().grant.ends, Timestamp(70));
}

#[test]
fn a_changed_request_forgets_its_approvals() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("grants.db")).unwrap();
    let open = store.begin().unwrap();
    let id = open.insert_request(&statement_request()).unwrap();
    let resource = Resource { schema: "shop".into(), table: "orders".into(), ..Resource::default() };
    let resources = Resources::from([(TargetName::new("shop"), vec![resource])]);
    open.insert_resources(id, &resources).unwrap();
    assert_eq!(open.resources(id).unwrap(), resources);
    let approval = Approved { by: UserName::new("bob"), at: Timestamp(20), duration: None, comment: None };
    open.insert_approval(id, &approval).unwrap();
    let pending = open.request(id).unwrap().unwrap().pending().unwrap();
    let changed = pending.change(Duration::from_secs(9), "more".into(), vec![Requirement::Admin]);
    open.change_request(changed.request()).unwrap();
    let found = open.request(id).unwrap().unwrap();
    assert_eq!((&found, found.approvals.len()), (changed.request(), 0));
    assert_eq!((found.asked.duration, &*found.asked.reason), (Duration::from_secs(9), "more"));
}
