//! Measures what the audit costs: µs of CPU per append, and per imported row. Not a test; run it in release mode:
//! `cargo run --release -p hallpass-audit --example append_cost [FOLDER]`.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::{error::Error, fs, path::Path, sync::Arc, thread, time::Instant};

use hallpass_audit::{
    event::{Event, Kind, Origin},
    journal::{Durability, Journal, Limits},
    sqlite::Importer,
};
use hallpass_policy::ids::{GrantId, Timestamp};

const APPENDS: u64 = 1_000_000;
const NOW: Timestamp = Timestamp(1_769_860_800_000_000);

fn event(journal: &Journal, origin: &Arc<Origin>) -> Event {
    let text: Arc<str> = Arc::from("SELECT abalance FROM pgbench_accounts WHERE aid = $1");
    Event {
        attempt: Some(journal.next_attempt()),
        grant: Some(GrantId(7)),
        statement: Some(Arc::clone(&text)),
        fingerprint: Some(text),
        parameters: Some(Box::from("[\"4711\"]")),
        decision: Some(Arc::from("allow")),
        ..Event::new(Kind::Attempt, NOW, Arc::clone(origin))
    }
}

/// ns of CPU that the thread with this entry in `/proc` has used.
fn cpu(schedstat: &Path) -> f64 {
    let text = fs::read_to_string(schedstat).unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0)
}

/// ns of CPU of the thread called `name`.
fn cpu_of(name: &str) -> Result<f64, Box<dyn Error>> {
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim() == name {
            return Ok(cpu(&task.join("schedstat")));
        }
    }
    Err(format!("no thread is called `{name}`").into())
}

/// Appends on `threads` threads; prints CPU and wall time per append.
fn appends(journal: &Journal, threads: u64) {
    let origin = Arc::new(Origin {
        session: Some("s-4711".into()),
        user: Some("alice".into()),
        target: Some("shop".into()),
        protocol: Some("postgres".into()),
        listener: Some("postgres".into()),
        client: Some("127.0.0.1:50712".into()),
        application: Some("pgbench".into()),
    });
    let begin = Instant::now();
    let used: f64 = thread::scope(|scope| {
        let work = || {
            let me = Path::new("/proc/thread-self/schedstat");
            let events = [event(journal, &origin)];
            let before = cpu(me);
            let failed = (0..APPENDS / threads).filter(|_| journal.append(&events).is_err()).count();
            assert_eq!(failed, 0, "appends failed");
            cpu(me) - before
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).sum()
    });
    let each = 1e3 * APPENDS as f64;
    let wall = begin.elapsed().as_nanos() as f64;
    println!("{threads} thread(s): {:.2} µs CPU, {:.2} µs wall per append", used / each, wall / each);
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("hallpass-append-cost"), Into::into);
    let limits = Limits { backlog_bytes: 16 << 30, ..Limits::default() };
    let journal = Journal::open_with(&folder, Durability::Process, limits)?;
    for threads in [1, 2] {
        appends(&journal, threads);
    }
    let importer = Importer::start(&journal, NOW)?;
    importer.flush_blocking(std::time::Duration::from_secs(600))?;
    println!("import: {:.2} µs CPU per row", cpu_of("audit-import")? / (2e3 * APPENDS as f64));
    let before = cpu_of("audit-import")?;
    appends(&journal, 1);
    importer.flush_blocking(std::time::Duration::from_secs(600))?;
    println!("both at once: import {:.2} µs CPU per row", (cpu_of("audit-import")? - before) / (1e3 * APPENDS as f64));
    drop((importer, journal));
    fs::remove_dir_all(&folder)?;
    Ok(())
}
