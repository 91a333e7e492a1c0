//! Plays the bypass corpus (`tests/corpus/README.md` says what a case means) straight on a server, to show that every
//! attack is real, and through the proxy. It knows the corpus' format and the contract, and nothing of the proxy's inside.

pub mod case;
pub mod clients;
mod compare;
mod fixture;
mod gate;
mod report;
mod session;
mod verdict;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use case::Case;
pub use compare::Difference;
pub use fixture::Fixture;
pub use gate::Gate;
pub use report::{Expected, Finding, Report};
use session::Session;
pub use verdict::Verdict;

/// The one fixture of a test process; cases change the database, so only one test plays at a time.
pub fn fixture() -> MutexGuard<'static, Fixture> {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    FIXTURE.get_or_init(|| Mutex::new(Fixture::start())).lock().unwrap_or_else(PoisonError::into_inner)
}

/// The attacks.
pub fn attacks() -> Vec<Case> {
    case::load("postgres.jsonl")
}

/// The controls.
pub fn controls() -> Vec<Case> {
    case::load("benign-postgres.jsonl")
}

/// Plays every attack directly. The schema is loaded anew after each case that may change something.
pub fn attack_directly(fixture: &Fixture) -> Report {
    let mut report = Report::new("attacks, straight on the server: real ones leak or have their effect");
    fixture.load();
    for case in attacks() {
        let verdict = attack(fixture, &case, &mut |case| fixture.account(superuser(case)), &mut |_| {});
        let real = verdict.0 != Verdict::Stopped;
        let as_said = real != (case.direct.as_deref() == Some("safe"));
        report.add(&case, Finding::of(as_said, format!("{:?}", verdict.0)));
        if case.mutates() || !case.setup.is_empty() {
            fixture.load();
        }
    }
    report
}

/// Plays every attack through the proxy.
pub fn attack_through(fixture: &Fixture, gate: &mut Gate) -> Report {
    let mut report = Report::new("attacks through hallpass: stopped ones neither leak nor have an effect");
    gate.while_stopped(|| fixture.load());
    for case in attacks() {
        let before = fixture.state();
        let gate_cell = std::cell::RefCell::new(&mut *gate);
        let (verdict, strict) = attack(fixture, &case, &mut |case| gate_cell.borrow_mut().startup(case), &mut |_| {
            gate_cell.borrow_mut().revoke(&case)
        });
        let stopped = verdict == Verdict::Stopped;
        let mut note = format!("{verdict:?}");
        if stopped && strict && case.expect == "masked" {
            "refused where a masked answer is due".clone_into(&mut note);
            report.strict(&case.id);
        }
        report.add(&case, Finding::of(stopped, note));
        if fixture.state() != before {
            gate.while_stopped(|| fixture.load());
        }
    }
    report
}

fn superuser(case: &Case) -> bool {
    case.upstream.as_deref() == Some("superuser")
}

/// Plays one attack. Returns the verdict, and whether there was an error or a refused login.
fn attack(
    fixture: &Fixture,
    case: &Case,
    startup: &mut dyn FnMut(&Case) -> crate::wire::postgres::Startup,
    control: &mut dyn FnMut(&str),
) -> (Verdict, bool) {
    let startup = startup(case);
    let mut admin = fixture.admin();
    for statement in &case.setup {
        let reply = admin.query(statement);
        assert!(reply.errors.is_empty(), "{}: setup failed: {:?}", case.id, reply.errors);
    }
    let victim = case.victim.as_ref().map(|victim| fixture.victim(victim));
    let session = Session::play(fixture, startup, case, control);
    let verdict = verdict::judge(fixture, case, &session);
    let strict = session.refused() || !session.error_codes().is_empty();
    if std::env::var_os("HALLPASS_CASE").is_some() {
        println!("{} ({}): {verdict:?}\n  {}", case.id, case.grant, case.why);
        for reply in &session.replies {
            println!("  {reply:?}");
        }
    }
    drop(session);
    drop(victim);
    for statement in &case.cleanup {
        // What it cleans up may never have come to be.
        admin.query(statement);
    }
    (verdict, strict)
}

/// Plays every control directly: it must run, with just the errors that it lists.
pub fn control_directly(fixture: &Fixture) -> Report {
    let mut report = Report::new("controls, straight on the server: they run");
    fixture.load();
    for case in controls() {
        let session = Session::play(fixture, fixture.account(superuser(&case)), &case, &mut |_| {});
        let codes = session.error_codes();
        let runs = codes == case.errors && !session.late && !session.refused();
        report.add(&case, Finding::of(runs, format!("errors {codes:?}, expected {:?}", case.errors)));
        drop(session);
        if case.mutates() {
            fixture.load();
        }
    }
    report
}

/// Plays every control directly and through the proxy and compares what came back.
pub fn control_through(fixture: &Fixture, gate: &mut Gate) -> Report {
    let mut report = Report::new("controls through hallpass: the same answers as straight on the server");
    gate.while_stopped(|| fixture.load());
    for case in controls() {
        let direct = Session::play(fixture, fixture.account(superuser(&case)), &case, &mut |_| {});
        let direct_streams = direct.streams();
        drop(direct);
        if case.mutates() {
            gate.while_stopped(|| fixture.load());
        }
        let startup = gate.startup(&case);
        let through = Session::play(fixture, startup, &case, &mut |_| {});
        let difference = compare::compare(&direct_streams, &through.streams(), case.mutates());
        if std::env::var_os("HALLPASS_CASE").is_some() {
            println!("{} ({}): {difference:?}\n  {}", case.id, case.grant, case.why);
            for reply in &through.replies {
                println!("  {reply:?}");
            }
        }
        drop(through);
        report.add(&case, Finding::of(difference.is_none(), difference.map(|d| d.to_string()).unwrap_or_default()));
        if case.mutates() {
            gate.while_stopped(|| fixture.load());
        }
    }
    report
}
