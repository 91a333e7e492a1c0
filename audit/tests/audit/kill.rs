//! kill -9 at random moments: what was acknowledged is in the log, once, and the chain holds.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
    thread,
    time::Duration,
};

use hallpass_audit::{
    journal::{Durability, Journal, Limits},
    query::{AuditReader, Filter},
    sqlite::Importer,
    verify::verify,
};

use crate::{CHILD, NOON, PATIENCE, attempt, child, open, outcome};

const KILLS: u64 = 20;

#[test]
fn what_was_acknowledged_survives_once() {
    let data = tempfile::tempdir().unwrap();
    let mut acknowledged = HashSet::new();
    let mut killed_at_work = 0;
    for round in 0..KILLS {
        let mut command = child(&[], "kill::child_appends_until_it_is_killed", data.path());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = process.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
            lines
                .filter_map(|line| {
                    Some(String::from_utf8(line).ok()?.strip_prefix("ack ")?.strip_suffix(" .")?.to_owned())
                })
                .collect::<Vec<_>>()
        });
        // Pseudo-random, the same in every run: from the middle of the start-up to well into the work.
        thread::sleep(Duration::from_millis(5 + round * 7919 % 113));
        process.kill().unwrap();
        process.wait().unwrap();
        let lines = reader.join().unwrap();
        killed_at_work += u64::from(!lines.is_empty());
        acknowledged.extend(lines);
    }
    assert!(killed_at_work > KILLS / 2, "only {killed_at_work} children got to work");
    assert!(acknowledged.len() > 100, "only {} events were acknowledged", acknowledged.len());

    let (journal, importer) = open(data.path());
    importer.flush_blocking(PATIENCE).unwrap();
    drop((journal, importer));
    let rows =
        AuditReader::open(data.path()).unwrap().search(&Filter { limit: Some(u32::MAX), ..Filter::default() }).unwrap();
    let mut seen = HashSet::new();
    for row in rows.iter().filter(|row| row.kind == "attempt") {
        assert!(seen.insert(row.statement.clone().unwrap()), "twice: {row:?}");
    }
    let lost: Vec<_> = acknowledged.difference(&seen).collect();
    assert!(lost.is_empty(), "of {} acknowledged, {} are lost: {lost:?}", acknowledged.len(), lost.len());
    let outcomes: HashSet<_> =
        rows.iter().filter(|row| row.kind == "outcome").map(|row| row.attempt_seq.unwrap()).collect();
    assert_eq!(
        outcomes.len(),
        seen.len(),
        "each attempt has exactly one outcome, if only the one that says it is lost"
    );
    let report = verify(data.path()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.open_attempts, report.journal.events), (0, 0));
}

/// Not a test by itself: the process that is killed. Two threads append and say so on stdout.
#[test]
fn child_appends_until_it_is_killed() {
    let Some(data) = std::env::var_os(CHILD) else { return };
    let limits = Limits { segment_bytes: 32 << 10, ..Limits::default() };
    let journal = Journal::open_with(Path::new(&data), Durability::Process, limits).unwrap();
    let _importer = Importer::start(&journal, NOON).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let id = journal.next_attempt();
                    // The attempt's name is unique across starts, or the parent sees it twice.
                    let text = format!("select {}", id.0);
                    journal.append(&[attempt(id, "alice", &text)]).unwrap();
                    writeln!(std::io::stdout().lock(), "ack {text} .").unwrap();
                    journal.append(&[outcome(id, "alice", 1)]).unwrap();
                }
            });
        }
    });
}
