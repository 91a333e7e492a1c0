//! Plays the bypass corpus (`tests/corpus/README.md` says what a case means) straight on a server, to show that every
//! attack is real, and through the proxy. It knows the corpus' format and the contract, and nothing of the proxy's inside.

pub mod case;
pub mod clients;
mod gate;
pub mod mysql;
pub mod postgres;
mod report;
mod stage;
mod verdict;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use case::Case;
pub use gate::Gate;
pub use report::{Expected, Finding, Report};
pub use stage::{Difference, Session, Stage};
pub use verdict::Verdict;

/// The one Postgres of a test process; cases change the database, so only one test plays at a time.
pub fn postgres() -> MutexGuard<'static, postgres::Fixture> {
    static FIXTURE: OnceLock<Mutex<postgres::Fixture>> = OnceLock::new();
    FIXTURE.get_or_init(|| Mutex::new(postgres::Fixture::start())).lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one MariaDB or MySQL of a test process.
pub fn mysql() -> MutexGuard<'static, mysql::Fixture> {
    static FIXTURE: OnceLock<Mutex<mysql::Fixture>> = OnceLock::new();
    FIXTURE.get_or_init(|| Mutex::new(mysql::Fixture::start())).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays every attack directly. The schema is loaded anew after each case that may change something.
pub fn attack_directly(fixture: &impl Stage) -> Report {
    let mut report =
        Report::new(format!("attacks, straight on {}: real ones leak or have their effect", fixture.title()));
    fixture.load();
    for case in fixture.attacks() {
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
pub fn attack_through(fixture: &impl Stage, gate: &mut Gate) -> Report {
    let mut report = Report::new(format!(
        "attacks through hallpass on {}: stopped ones neither leak nor have an effect",
        fixture.title()
    ));
    gate.while_stopped(|| fixture.load());
    for case in fixture.attacks() {
        let before = fixture.state();
        let gate_cell = std::cell::RefCell::new(&mut *gate);
        let (verdict, strict) =
            attack(fixture, &case, &mut |case| gate_cell.borrow_mut().startup(fixture, case), &mut |_| {
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
fn attack<S: Stage>(
    fixture: &S,
    case: &Case,
    startup: &mut dyn FnMut(&Case) -> S::Startup,
    control: &mut dyn FnMut(&str),
) -> (Verdict, bool) {
    let startup = startup(case);
    let failed = fixture.admin(&case.setup);
    assert!(failed.is_none(), "{}: setup failed: {failed:?}", case.id);
    let victim = case.victim.as_ref().map(|victim| fixture.victim(victim));
    let session = fixture.play(startup, case, control);
    let verdict = verdict::judge(fixture, case, session.as_ref());
    let strict = session.refused() || !session.error_codes().is_empty();
    if std::env::var_os("HALLPASS_CASE").is_some() {
        println!("{} ({}): {verdict:?}\n  {}", case.id, case.grant, case.why);
        show(session.as_ref());
    }
    drop(session);
    drop(victim);
    for statement in &case.cleanup {
        // What it cleans up may never have come to be.
        fixture.admin(std::slice::from_ref(statement));
    }
    (verdict, strict)
}

fn show(session: &dyn Session) {
    session.describe().iter().for_each(|reply| println!("  {}", reply.chars().take(2000).collect::<String>()));
}

/// Plays every control directly: it must run, with just the errors that it lists.
pub fn control_directly(fixture: &impl Stage) -> Report {
    let mut report = Report::new(format!("controls, straight on {}: they run", fixture.title()));
    fixture.load();
    for case in fixture.controls() {
        let session = fixture.play(fixture.account(superuser(&case)), &case, &mut |_| {});
        let codes = session.error_codes();
        let runs = codes == case.errors && !session.late() && !session.refused();
        report.add(&case, Finding::of(runs, format!("errors {codes:?}, expected {:?}", case.errors)));
        drop(session);
        if case.mutates() {
            fixture.load();
        }
    }
    report
}

/// Plays every control directly and through the proxy and compares what came back.
pub fn control_through(fixture: &impl Stage, gate: &mut Gate) -> Report {
    let mut report =
        Report::new(format!("controls through hallpass: the same answers as straight on {}", fixture.title()));
    gate.while_stopped(|| fixture.load());
    for case in fixture.controls() {
        let direct = fixture.play(fixture.account(superuser(&case)), &case, &mut |_| {});
        let direct_streams = direct.streams();
        drop(direct);
        if case.mutates() {
            gate.while_stopped(|| fixture.load());
        }
        let startup = gate.startup(fixture, &case);
        let through = fixture.play(startup, &case, &mut |_| {});
        let difference = fixture.compare(&direct_streams, &through.streams(), case.mutates());
        if std::env::var_os("HALLPASS_CASE").is_some() {
            println!("{} ({}): {difference:?}\n  {}", case.id, case.grant, case.why);
            show(through.as_ref());
        }
        drop(through);
        report.add(&case, Finding::of(difference.is_none(), difference.map(|d| d.to_string()).unwrap_or_default()));
        if case.mutates() {
            gate.while_stopped(|| fixture.load());
        }
    }
    report
}
