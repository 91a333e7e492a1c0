//! From the journal to the rows that an auditor sees.

use std::{collections::HashMap, thread};

use hallpass_audit::{
    event::{Event, Kind},
    journal::{Durability, Journal, JournalError, Limits},
    query::{AuditReader, Filter},
    sqlite::{AuditError, Importer},
    verify::verify,
};
use hallpass_policy::ids::GrantId;

use crate::{NOON, PATIENCE, attempt, open, origin, outcome, query};

#[test]
fn a_statement_becomes_the_contracts_rows() {
    let data = tempfile::tempdir().unwrap();
    let (journal, importer) = open(data.path());
    let id = journal.next_attempt();
    let text = "SELECT 'ä\t\"' -- byte for byte\r\n";
    journal.append(&[attempt(id, "alice", text)]).unwrap();
    let denied = Event {
        statement: Some("drop table orders".into()),
        decision: Some("deny".into()),
        reason: Some("no grant allows DDL on shop.orders".into()),
        error_code: Some("42501".into()),
        ..Event::new(Kind::Denied, NOON, origin("bob"))
    };
    journal.append(&[denied, outcome(id, "alice", 3)]).unwrap();
    importer.flush_blocking(PATIENCE).unwrap();

    let reader = AuditReader::open(data.path()).unwrap();
    let rows = reader.tail(10).unwrap();
    assert_eq!(rows.iter().map(|row| row.kind.as_str()).collect::<Vec<_>>(), ["attempt", "denied", "outcome"]);
    let first = &rows[0];
    assert_eq!((first.seq, first.at.as_str()), (1, "2026-01-31T12:00:00.000000Z"));
    assert_eq!(first.statement.as_deref(), Some(text));
    assert_eq!(first.parameters.as_deref(), Some("[\"1\",{\"hex\":\"00ff\"}]"));
    assert_eq!((first.grant_id, first.attempt_seq, first.client.as_deref()), (Some(7), None, Some("127.0.0.1:50712")));
    assert_eq!((rows[2].attempt_seq, rows[2].rows, rows[2].bytes), (Some(1), Some(3), Some(30)));
    assert_eq!(rows[1].prev_hash, first.hash);

    let joined: String = query(
        data.path(),
        "SELECT group_concat(seq || ' ' || user || ' ' || decision || ' ' || coalesce(rows, '-') || ' ' || \
         coalesce(outcome_seq, '-') || ' ' || coalesce(error_code, '-'), ';') FROM statements",
    );
    assert_eq!(joined, "1 alice allow 3 3 -;2 bob deny - - 42501");
    assert!(verify(data.path()).unwrap().is_intact());
}

#[test]
fn the_view_and_a_range_of_time_use_their_indexes() {
    let data = tempfile::tempdir().unwrap();
    drop(open(data.path()));
    let connection = rusqlite::Connection::open(data.path().join("audit.db")).unwrap();
    for (sql, index) in [
        ("SELECT * FROM statements WHERE seq > 5", "events_attempt"),
        ("SELECT * FROM events WHERE at >= '2026-01-31' ORDER BY at", "events_at"),
    ] {
        let mut select = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> = select.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(plan.iter().any(|step| step.contains(&format!("USING INDEX {index}"))), "{plan:?}");
    }
}

#[test]
fn search_asks_for_what_the_filter_names() {
    let data = tempfile::tempdir().unwrap();
    let (journal, importer) = open(data.path());
    for (user, statement) in [("alice", "select 1"), ("bob", "select 100%"), ("alice", "SELECT 100 from orders")] {
        let id = journal.next_attempt();
        journal.append(&[attempt(id, user, statement), outcome(id, user, 1)]).unwrap();
    }
    importer.flush_blocking(PATIENCE).unwrap();
    let reader = AuditReader::open(data.path()).unwrap();
    let found = |filter: Filter| reader.search(&filter).unwrap().iter().map(|row| row.seq).collect::<Vec<_>>();
    let attempts = Filter { kind: Some(Kind::Attempt), ..Filter::default() };
    assert_eq!(found(Filter::default()), [1, 2, 3, 4, 5, 6]);
    assert_eq!(found(attempts.clone()), [1, 3, 5]);
    assert_eq!(found(Filter { user: Some("alice".into()), ..attempts.clone() }), [1, 5]);
    assert_eq!(found(Filter { text: Some("100%".into()), ..Filter::default() }), [3]);
    assert_eq!(found(Filter { text: Some("select 100".into()), ..Filter::default() }), [3, 5]);
    assert_eq!(found(Filter { after_seq: Some(3), limit: Some(2), ..Filter::default() }), [4, 5]);
    assert_eq!(found(Filter { grant: Some(GrantId(8)), ..Filter::default() }), Vec::<i64>::new());
    assert_eq!(
        found(Filter { target: Some("shop".into()), session: Some("s-1".into()), limit: Some(1), ..attempts }),
        [1]
    );
    let later = hallpass_policy::ids::Timestamp(NOON.0 + 1);
    assert_eq!(found(Filter { since: Some(later), ..Filter::default() }), [2, 4, 6]);
    assert_eq!(found(Filter { until: Some(later), ..Filter::default() }), [1, 3, 5]);

    let stats = reader.stats().unwrap();
    let alice = stats.iter().find(|count| count.user.as_deref() == Some("alice") && count.kind == "outcome").unwrap();
    assert_eq!((alice.day.as_str(), alice.events, alice.rows), ("2026-01-31", 2, 2));
}

#[test]
fn threads_lose_nothing_and_keep_their_order() {
    const THREADS: u64 = 4;
    const EACH: u64 = 3000;
    let data = tempfile::tempdir().unwrap();
    // Small segments: rotation and removal happen all the time.
    let limits = Limits { segment_bytes: 64 << 10, ..Limits::default() };
    let journal = Journal::open_with(data.path(), Durability::Process, limits).unwrap();
    let importer = Importer::start(&journal, NOON).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let journal = journal.clone();
            scope.spawn(move || {
                for n in 0..EACH {
                    let id = journal.next_attempt();
                    let user = format!("u{thread}");
                    journal.append(&[attempt(id, &user, &format!("select {n}"))]).unwrap();
                    journal.append(&[outcome(id, &user, n)]).unwrap();
                }
            });
        }
    });
    importer.flush_blocking(PATIENCE).unwrap();
    let reader = AuditReader::open(data.path()).unwrap();
    let all = reader.search(&Filter { limit: Some(u32::MAX), ..Filter::default() }).unwrap();
    assert_eq!(all.len() as u64, THREADS * EACH * 2);
    let mut next: HashMap<&str, u64> = HashMap::new();
    let by_seq: HashMap<i64, _> = all.iter().map(|row| (row.seq, row)).collect();
    for row in &all {
        let user = row.user.as_deref().unwrap();
        if row.kind == "attempt" {
            let n = next.entry(user).or_default();
            assert_eq!(row.statement.as_deref(), Some(format!("select {n}").as_str()));
            *n += 1;
        } else {
            let of = by_seq[&row.attempt_seq.unwrap()];
            assert_eq!(
                (of.user.as_deref(), of.statement.as_deref()),
                (Some(user), Some(format!("select {}", row.rows.unwrap()).as_str()))
            );
        }
    }
    let report = verify(data.path()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.rows, report.open_attempts, report.journal.events), (24_000, 0, 0));
    drop(importer);
    drop(journal);
    let left: Vec<_> = std::fs::read_dir(data.path().join("journal")).unwrap().collect();
    assert_eq!(left.len(), 1, "only the last segment is left: {left:?}");
}

#[test]
fn a_restart_closes_what_the_last_run_left_open() {
    let data = tempfile::tempdir().unwrap();
    let (journal, importer) = open(data.path());
    let (lost, late) = (journal.next_attempt(), journal.next_attempt());
    journal.append(&[attempt(lost, "alice", "select pg_sleep(9)"), attempt(late, "bob", "select 2")]).unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    assert_eq!(verify(data.path()).unwrap().open_attempts, 2);
    // In the journal only, when the run ends: no importer is there any more.
    drop(importer);
    journal.append(&[outcome(late, "bob", 5)]).unwrap();
    assert_eq!(verify(data.path()).unwrap().journal.events, 1);
    drop(journal);

    let (journal, importer) = open(data.path());
    assert_ne!(journal.next_attempt(), lost);
    importer.flush_blocking(PATIENCE).unwrap();
    let rows = AuditReader::open(data.path()).unwrap().tail(10).unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!((rows[2].attempt_seq, rows[2].rows), (Some(2), Some(5)));
    let told = &rows[3];
    assert_eq!((told.kind.as_str(), told.attempt_seq, told.user.as_deref()), ("outcome", Some(1), Some("alice")));
    assert_eq!(told.reason.as_deref(), Some("the proxy ended before the outcome was known"));
    assert_eq!((&told.decision, &told.error_code, told.grant_id), (&None, &None, Some(7)));
    let report = verify(data.path()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!(report.open_attempts, 0);
}

#[test]
fn one_data_folder_has_one_proxy_and_one_importer() {
    let data = tempfile::tempdir().unwrap();
    let (journal, importer) = open(data.path());
    let second = Journal::open(data.path(), Durability::Process).unwrap_err();
    assert!(matches!(second, JournalError::Locked { .. }));
    let said = second.to_string();
    assert!(said.contains(&format!("process {}", std::process::id())) && said.contains("data_dir"), "{said}");
    assert!(matches!(Importer::start(&journal, NOON), Err(AuditError::Running)));
    drop(importer);
    // A second importer after the first is fine: `audit.db` may be mended without a restart.
    Importer::start(&journal, NOON).unwrap();
}

#[test]
fn a_journal_that_was_removed_does_not_make_the_importer_skip() {
    let data = tempfile::tempdir().unwrap();
    for round in 1..4 {
        let (journal, importer) = open(data.path());
        journal.append(&[attempt(journal.next_attempt(), "alice", "select 1")]).unwrap();
        importer.flush_blocking(PATIENCE).unwrap();
        drop((journal, importer));
        let attempts: i64 = query(data.path(), "SELECT count(*) FROM events WHERE kind = 'attempt'");
        assert_eq!(attempts, round);
        std::fs::remove_dir_all(data.path().join("journal")).unwrap();
    }
}

#[test]
fn a_backlog_that_sqlite_does_not_take_stops_appends_until_it_does() {
    let data = tempfile::tempdir().unwrap();
    let limits = Limits { segment_bytes: 4 << 10, backlog_bytes: 16 << 10 };
    let journal = Journal::open_with(data.path(), Durability::Process, limits).unwrap();
    let append = || journal.append(&[attempt(journal.next_attempt(), "alice", "select 1")]);
    let taken = (0..1000).take_while(|_| append().is_ok()).count();
    assert!((10..200).contains(&taken), "{taken}");
    assert!(matches!(append(), Err(JournalError::Full { .. })));
    let importer = Importer::start(&journal, NOON).unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    append().unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    assert_eq!(query::<i64>(data.path(), "SELECT count(*) FROM events"), taken as i64 + 1);
}
