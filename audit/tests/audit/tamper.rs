//! Somebody with write access to `audit.db` changes it: the triggers refuse, and without them the chain tells. The
//! Python script must agree with us each time.

use std::{path::Path, process::Command};

use hallpass_audit::verify::{Fault, verify};
use rusqlite::Connection;

use crate::{PATIENCE, attempt, open, outcome};

fn filled() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let (journal, importer) = open(data.path());
    for n in 0..5 {
        let id = journal.next_attempt();
        journal.append(&[attempt(id, "älice", &format!("select {n}")), outcome(id, "älice", n)]).unwrap();
    }
    importer.flush_blocking(PATIENCE).unwrap();
    data
}

fn database(data: &Path) -> Connection {
    Connection::open(data.join("audit.db")).unwrap()
}

/// Runs the auditor's script: what it says, and whether it is content.
fn script(data: &Path) -> (String, bool) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/audit/verify.py");
    let output = Command::new("python3").arg(script).arg(data.join("audit.db")).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (said, output.status.success())
}

/// Does `sql` after the triggers are gone; both verifiers must find `fault` at `seq`.
#[track_caller]
fn found(sql: &str, seq: i64, fault: Fault, words: &str) {
    let data = filled();
    database(data.path())
        .execute_batch(&format!(
            "DROP TRIGGER events_refuse_update; DROP TRIGGER events_refuse_delete; DROP TRIGGER events_refuse_replace; {sql}"
        ))
        .unwrap();
    let report = verify(data.path()).unwrap();
    let first = report.first_break.as_ref().unwrap();
    assert_eq!((first.seq, first.fault), (seq, fault), "{report:?}");
    assert!(first.message.contains(words), "{}", first.message);
    assert!(!report.is_intact());
    let (said, content) = script(data.path());
    assert!(!content && said.contains(words), "{said}");
}

#[test]
fn triggers_refuse() {
    let data = filled();
    let database = database(data.path());
    for sql in [
        "UPDATE events SET user = 'bob' WHERE seq = 3",
        "DELETE FROM events WHERE seq = 3",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE seq = 3",
    ] {
        let error = database.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
    assert!(verify(data.path()).unwrap().is_intact());
}

#[test]
fn an_untouched_log_is_intact_for_both() {
    let data = filled();
    let report = verify(data.path()).unwrap();
    assert!(report.is_intact() && report.rows == 10, "{report:?}");
    let (said, content) = script(data.path());
    assert!(content && said.contains(&report.last_hash) && said.contains("10 rows"), "{said}");
}

#[test]
fn a_changed_row_is_found() {
    found("UPDATE events SET statement = 'select 9' WHERE seq = 3", 3, Fault::Changed, "row 3 was changed");
    found("UPDATE events SET grant_id = NULL WHERE seq = 1", 1, Fault::Changed, "row 1 was changed");
    found(
        "UPDATE events SET statement = CAST(statement AS BLOB) WHERE seq = 5",
        5,
        Fault::Changed,
        "row 5 was changed",
    );
    found("UPDATE events SET rows = 2.5 WHERE seq = 4", 4, Fault::Changed, "row 4 was changed");
}

#[test]
fn a_column_moved_into_its_neighbour_is_found() {
    found(
        "UPDATE events SET decision = reason, reason = decision WHERE seq = 7",
        7,
        Fault::Changed,
        "row 7 was changed",
    );
}

#[test]
fn a_removed_row_is_found() {
    found("DELETE FROM events WHERE seq = 4", 4, Fault::Missing, "row 4 is missing");
    found("DELETE FROM events WHERE seq = 1", 1, Fault::Missing, "row 1 is missing");
}

#[test]
fn swapped_rows_are_found() {
    let swap = "UPDATE events SET seq = -1 WHERE seq = 3; UPDATE events SET seq = 3 WHERE seq = 5; \
                UPDATE events SET seq = 5 WHERE seq = -1;";
    found(swap, 3, Fault::WrongOrder, "row 3 does not follow");
}

#[test]
fn an_inserted_row_is_found() {
    let insert = "INSERT INTO events (seq, at, kind, prev_hash, hash) SELECT 11, at, 'admin', hash, hash FROM events WHERE seq = 10";
    found(insert, 11, Fault::Changed, "row 11 was changed");
}

#[test]
fn a_cut_off_end_is_found_by_us() {
    let data = filled();
    database(data.path()).execute_batch("DROP TRIGGER events_refuse_delete; DELETE FROM events WHERE seq > 8").unwrap();
    let report = verify(data.path()).unwrap();
    let first = report.first_break.unwrap();
    assert_eq!((first.seq, first.fault), (9, Fault::Missing));
    // The script knows nothing of the importer's notes; a hash that was noted earlier tells it.
    assert!(script(data.path()).1);
}

#[test]
fn outcomes_are_checked() {
    let data = tempfile::tempdir().unwrap();
    let (journal, importer) = open(data.path());
    let id = journal.next_attempt();
    let stranger = journal.next_attempt();
    journal.append(&[attempt(id, "alice", "select 1"), outcome(stranger, "alice", 1)]).unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    let report = verify(data.path()).unwrap();
    assert_eq!((report.orphan_outcomes.count, report.orphan_outcomes.first.as_slice()), (1, [2].as_slice()));
    assert_eq!((report.open_attempts, report.missing_outcomes.count), (1, 0));
    assert!(!report.is_intact() && report.first_break.is_none());

    database(data.path()).execute("DELETE FROM open_attempts", []).unwrap();
    let report = verify(data.path()).unwrap();
    assert_eq!((report.missing_outcomes.count, report.missing_outcomes.first.as_slice()), (1, [1].as_slice()));
}
