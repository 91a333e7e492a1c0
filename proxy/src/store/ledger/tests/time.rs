//! What time does to requests and grants, to the microsecond, by a clock that the test moves.

use hallpass_policy::grant::{GrantEnd, GrantKind};

use super::*;
use crate::store::ledger::{BreakGlass, Change};

const RULES: &str = r#"
    [server]
    request_timeout = "2h"
    [statements]
    max_duration = "4h"
    [databases.shop]
    protocol = "postgres"
    host = "127.0.0.1"
    user = "h"
    [roles.fixer]
    allow = ["update"]
    max_duration = "2h"
    break_glass = { max_duration = "30m", groups = ["oncall"], review_within = "1h" }
    [admins]
    users = ["root"]
    [[approvals]]
    approvers = ["group:security"]
"#;

const MICRO: Duration = Duration::from_micros(1);

fn world() -> World {
    World::with(RULES)
}

fn statement_ask(minutes: u32) -> Ask {
    let subject = AskFor::Statement {
        text: "SELECT 1".into(),
        understood: vec![Arc::new(statement(Action::Select))],
        export: false,
        unmask: false,
        max_rows_affected: None,
    };
    Ask { subject, ..ask("", &["shop"], minutes) }
}

impl World {
    fn back(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap();
        self.shared.clock.set(Timestamp(self.shared.clock.now().0 - micros));
    }

    fn state(&self, id: RequestId) -> &'static str {
        self.ledger.request(&operator(), id).unwrap().request.state.as_str()
    }

    fn yes(&self, id: RequestId, minutes: Option<u32>) -> Outcome<Decided> {
        self.ledger.approve(&self.actor("bob"), id, minutes.map(|minutes| MINUTE * minutes), None)
    }

    /// How many events of this kind and decision there are; an empty decision is none.
    fn count(&self, kind: &str, decision: &str) -> usize {
        let fits = |event: &&EventRow| event.kind == kind && event.decision.as_deref().unwrap_or_default() == decision;
        self.events().iter().filter(fits).count()
    }
}

#[test]
fn the_time_of_a_grant_counts_from_its_approval_and_what_approvers_leave_of_it() {
    let world = world();
    let id = world.ask("alice", "fixer", &["shop"], 60).unwrap().request.id;
    world.pass(MINUTE * 90);
    let now = world.shared.clock.now();
    let grant = world.yes(id, None).unwrap().grant.unwrap().grant;
    assert_eq!((grant.starts, grant.ends), (now, now.after(MINUTE * 60)), "not from the request");

    let id = world.ask("dave", "fixer", &["shop"], 60).unwrap().request.id;
    for wrong in [0, 61] {
        let told = refusal(world.yes(id, Some(wrong)));
        assert_eq!(
            told,
            (Refused::Invalid, "an approver may shorten a request, not lengthen it: it asks for 1h".into())
        );
    }
    let grant = world.yes(id, Some(7)).unwrap().grant.unwrap().grant;
    assert_eq!(grant.ends, now.after(MINUTE * 7));
    let end = MINUTE * 7;
    world.pass(end - MICRO);
    assert!(world.holds("dave"));
    world.pass(MICRO);
    assert!(!world.holds("dave"), "at its very end it is over, before anybody sweeps");
}

/// Denials tell of the grant that ended last.
#[test]
fn a_revoked_grant_is_published_as_ended_when_it_was_revoked() {
    let world = world();
    let granted = |minutes| {
        let id = world.ask("alice", "fixer", &["shop"], minutes).unwrap().request.id;
        world.yes(id, None).unwrap().grant.unwrap().grant.id
    };
    let (long, short) = (granted(120), granted(10));
    world.pass(MINUTE * 5);
    let revoked = world.shared.clock.now();
    world.ledger.revoke(&operator(), long, None).unwrap();
    world.pass(MINUTE * 10);
    let published = world.shared.grants.of(&UserName::new("alice"));
    let ends = |id| published.iter().find(|grant| grant.id == id).unwrap().ends;
    assert_eq!((ends(long), ends(short)), (revoked, revoked.after(MINUTE * 5)));
}

#[test]
fn a_request_lapses_at_its_age_and_not_a_microsecond_before() {
    let world = world();
    let id = world.ask("alice", "fixer", &["shop"], 5).unwrap().request.id;
    world.pass(MINUTE * 120 - MICRO);
    world.ledger.sweep().unwrap();
    assert_eq!((world.state(id), world.count("request", "lapse")), ("pending", 0));
    world.pass(MICRO);
    world.ledger.sweep().unwrap();
    world.ledger.sweep().unwrap();
    assert_eq!((world.state(id), world.count("request", "lapse")), ("lapsed", 1));
    assert_eq!(refusal(world.yes(id, None)).0, Refused::Conflict);
    // Nor does it come back with the clock.
    world.back(MINUTE * 60);
    world.ledger.sweep().unwrap();
    assert_eq!(refusal(world.yes(id, None)).0, Refused::Conflict);
    assert!(!world.holds("alice"));
}

#[test]
fn a_statement_grant_has_a_longest_time_and_ends_unused() {
    let world = world();
    let alice = world.actor("alice");
    let long = refusal(world.ledger.ask(&alice, statement_ask(241)));
    assert_eq!(long, (Refused::Invalid, "a statement is granted for at most 4h".into()));
    let id = world.ledger.ask(&alice, statement_ask(240)).unwrap().request.id;
    let change = Change { duration: Some(MINUTE * 241), reason: None };
    assert_eq!(refusal(world.ledger.change_request(&alice, id, change)).1, long.1);

    // What the file says when the grant begins counts, too.
    world.shared.reconfigure(Config::parse(Path::new("proxy.toml"), &RULES.replace("\"4h\"", "\"3h\"")).unwrap().0);
    let grant = world.yes(id, None).unwrap().grant.unwrap().grant;
    assert!(matches!(grant.kind, GrantKind::Statement(_)));
    assert_eq!(grant.ends, grant.starts.after(MINUTE * 180));
    let more = world.ledger.extend(&alice, grant.id, MINUTE * 60, None).unwrap().request.id;
    let told = refusal(world.yes(more, None));
    assert_eq!(told.1, "grant 1 (one statement) lasts as long as it may already");

    world.pass(MINUTE * 180 - MICRO);
    assert!(world.holds("alice"));
    world.pass(MICRO);
    assert!(!world.holds("alice"));
    world.ledger.sweep().unwrap();
    world.ledger.sweep().unwrap();
    assert_eq!(world.count("grant_end", ""), 1);
}

#[test]
fn what_ended_by_time_stays_over_when_the_clock_is_set_back() {
    let world = world();
    let id = world.ask("alice", "fixer", &["shop"], 30).unwrap().request.id;
    let grant = world.yes(id, None).unwrap().grant.unwrap().grant;
    world.pass(MINUTE * 30);
    world.ledger.sweep().unwrap();
    world.back(MINUTE * 29);
    world.ledger.sweep().unwrap();
    assert!(!world.holds("alice"));
    let record = world.ledger.grants(&operator(), true).unwrap().remove(0);
    assert_eq!(record.state(world.shared.clock.now()), GrantState::Expired);
    assert_eq!(record.grant.revoked, Some(GrantEnd::Expired));
    assert_eq!(refusal(world.ledger.extend(&world.actor("alice"), grant.id, MINUTE, None)).0, Refused::Conflict);
    world.pass(MINUTE * 60);
    world.ledger.sweep().unwrap();
    assert_eq!(world.count("grant_end", ""), 1, "and ends no second time");

    // A new one, approved while the clock is behind, has its time from then.
    let id = world.ask("alice", "fixer", &["shop"], 30).unwrap().request.id;
    world.back(MINUTE * 10);
    let grant = world.yes(id, None).unwrap().grant.unwrap().grant;
    assert_eq!(grant.starts.until(grant.ends), MINUTE * 30);
    assert!(world.holds("alice"));
    world.back(MINUTE);
    assert!(!world.holds("alice"), "before it began it does not count");
}

#[test]
fn an_extension_moves_the_end_once_and_no_further_than_the_role_allows() {
    let world = world();
    let alice = world.actor("alice");
    let id = world.ask("alice", "fixer", &["shop"], 60).unwrap().request.id;
    let grant = world.yes(id, None).unwrap().grant.unwrap().grant;
    let more = world.ledger.extend(&alice, grant.id, MINUTE * 120, None).unwrap().request.id;
    world.pass(MINUTE * 60 - MICRO);
    let now = world.shared.clock.now();
    let longer = world.yes(more, None).unwrap().grant.unwrap().grant;
    assert_eq!((longer.id, longer.starts, longer.ends), (grant.id, grant.starts, now.after(MINUTE * 120)));
    world.pass(MINUTE * 120 - MICRO);
    world.ledger.sweep().unwrap();
    assert!(world.holds("alice") && world.count("grant_end", "") == 0, "the first end has passed, and was none");
    world.pass(MICRO);
    assert!(!world.holds("alice"));
    world.ledger.sweep().unwrap();
    assert_eq!(world.count("grant_end", ""), 1);
}

#[test]
fn a_break_glass_is_capped_and_a_late_review_is_told_once() {
    let world = world();
    let glass = |duration: Option<Duration>| BreakGlass {
        user: None,
        role: RoleName::new("fixer"),
        targets: vec![TargetName::new("shop")],
        duration,
        reason: "INC-2".into(),
    };
    let alice = world.actor("alice");
    assert_eq!(refusal(world.ledger.break_glass(&alice, glass(Some(MINUTE * 30 + MICRO)))).0, Refused::Invalid);
    let grant = world.ledger.break_glass(&alice, glass(Some(MINUTE * 30))).unwrap().grant.unwrap().grant;
    assert_eq!(grant.starts.until(grant.ends), MINUTE * 30);
    world.pass(MINUTE * 30 - MICRO);
    assert!(world.holds("alice"));
    world.pass(MICRO);
    assert!(!world.holds("alice"));

    world.pass(MINUTE * 30 - MICRO);
    world.ledger.sweep().unwrap();
    assert_eq!(world.count("review", "overdue"), 0);
    world.pass(MICRO);
    world.ledger.sweep().unwrap();
    world.back(MINUTE);
    world.ledger.sweep().unwrap();
    world.pass(MINUTE * 60);
    world.ledger.sweep().unwrap();
    assert_eq!(world.count("review", "overdue"), 1);
    world.ledger.review(&world.actor("bob"), grant.id, "seen".into()).unwrap();
    world.ledger.sweep().unwrap();
    assert_eq!((world.count("review", "overdue"), world.count("review", "review")), (1, 1));
}

#[test]
fn an_account_and_its_tokens_end_to_the_microsecond() {
    let world = world();
    let end = world.shared.clock.now().after(MINUTE * 3);
    let add = AddUser { name: "temp".into(), groups: vec!["oncall".into()], expires: Some(end) };
    world.ledger.add_user(&operator(), add).unwrap();
    let temp = UserName::new("temp");
    world.ledger.set_password(&operator(), &temp, "pw").unwrap();
    let (_, token) = world.ledger.add_token(&operator(), &temp, NewToken::default()).unwrap();
    let id = world.ask("temp", "fixer", &["shop"], 60).unwrap().request.id;
    assert_eq!(world.yes(id, None).unwrap().grant.unwrap().grant.ends, end);
    let works = || {
        let now = world.shared.clock.now();
        let login = world.ledger.credentials("temp").unwrap().verify_cleartext("pw", now).is_some();
        (login, world.ledger.bearer(&token, Origin::default()).unwrap().is_some(), world.holds("temp"))
    };
    world.pass(MINUTE * 3 - MICRO);
    assert_eq!(works(), (true, true, true));
    let late = world.ask("temp", "fixer", &["shop"], 60).unwrap().request.id;
    world.pass(MICRO);
    assert_eq!(works(), (false, false, false));
    assert_eq!(refusal(world.yes(late, None)).1, "user `temp` is disabled or expired");
}
