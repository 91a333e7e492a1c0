//! The importer against damaged segments and a database that refuses.

use std::{fs, sync::Arc};

use super::*;
use crate::{
    event::{Event, Kind, Origin},
    journal::{Durability, Limits},
    query::AuditReader,
    segment,
    verify::verify,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn event(n: i64) -> Event {
    Event {
        statement: Some(format!("select {n}").into()),
        attempt: None,
        ..Event::new(Kind::Denied, Timestamp(n), Arc::new(Origin::default()))
    }
}

fn open(data: &std::path::Path) -> Journal {
    Journal::open_with(data, Durability::Process, Limits::default()).unwrap()
}

fn statements(data: &std::path::Path) -> Vec<String> {
    let rows = AuditReader::open(data).unwrap().tail(100).unwrap();
    rows.into_iter().filter_map(|row| row.statement.or(row.reason)).collect()
}

/// Leaves a segment with three events, changed by `change`, and imports it on the next start.
fn after(change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let journal = open(data.path());
    for n in 1..=3 {
        journal.append(&[event(n)]).unwrap();
    }
    drop(journal);
    let left = segment::list(&segment::folder(data.path())).unwrap();
    let path = segment::path(&segment::folder(data.path()), left[0].number);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let journal = open(data.path());
    let importer = Importer::start(&journal, Timestamp(9)).unwrap();
    journal.append(&[event(4)]).unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    assert_eq!(verify(data.path()).unwrap().first_break, None);
    data
}

#[test]
fn a_torn_tail_is_left_out() {
    let cut = after(|bytes| bytes.truncate(bytes.len() - 5));
    assert_eq!(statements(cut.path()), ["select 1", "select 2", "select 4"]);
    let zeros = after(|bytes| bytes.extend([0; 100]));
    assert_eq!(statements(zeros.path()), ["select 1", "select 2", "select 3", "select 4"]);
    assert!(verify(zeros.path()).unwrap().is_intact());
}

#[test]
fn damage_is_told_and_kept() {
    let data = after(|bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let said = statements(data.path());
    assert_eq!((said[0].as_str(), said[2].as_str(), said.len()), ("select 1", "select 4", 3));
    assert!(said[1].contains("damaged from byte") && said[1].contains(".damaged`"), "{said:?}");
    let report = verify(data.path()).unwrap();
    assert_eq!((report.journal.damaged.len(), report.is_intact()), (1, false));
}

#[test]
fn damage_of_the_present_segment_does_not_stop_the_importer() {
    let data = tempfile::tempdir().unwrap();
    let journal = open(data.path());
    for n in 1..=3 {
        journal.append(&[event(n)]).unwrap();
    }
    let path = segment::path(journal.folder(), segment::list(journal.folder()).unwrap()[0].number);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let importer = Importer::start(&journal, Timestamp(9)).unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    journal.append(&[event(4)]).unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    let said = statements(data.path());
    assert_eq!((said[0].as_str(), said[2].as_str(), said.len()), ("select 1", "select 4", 3));
    assert!(said[1].contains("is damaged from byte"), "{said:?}");
}

#[test]
fn flush_says_that_sqlite_refuses_and_nothing_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let journal = open(data.path());
    let importer = Importer::start(&journal, Timestamp(9)).unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    let other = rusqlite::Connection::open(schema::path(data.path())).unwrap();
    // Of three statements of one kind the second is one too many.
    let refuse = "CREATE UNIQUE INDEX no ON events (kind || '') WHERE statement LIKE 'select %'";
    other.execute_batch(refuse).unwrap();
    for n in 1..=3 {
        journal.append(&[event(n)]).unwrap();
    }
    let error = importer.flush_blocking(PATIENCE).unwrap_err();
    assert!(matches!(&error, AuditError::Import(why) if why.contains("no")), "{error}");
    other.execute_batch("DROP INDEX no").unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    assert_eq!(statements(data.path()), ["select 1", "select 2", "select 3"]);
    assert!(verify(data.path()).unwrap().is_intact());
}

#[test]
fn a_record_larger_than_a_chunk_is_imported() {
    let data = tempfile::tempdir().unwrap();
    let journal = open(data.path());
    let importer = Importer::start(&journal, Timestamp(9)).unwrap();
    let large = Event { statement: Some("x".repeat(3 << 20).into()), ..event(1) };
    journal.append(&[event(1)]).unwrap();
    journal.append(&[large, event(2)]).unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    assert_eq!(statements(data.path()).iter().map(String::len).collect::<Vec<_>>(), [8, 3 << 20, 8]);
}

#[test]
fn a_newer_database_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let path = schema::path(data.path());
    rusqlite::Connection::open(path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = describe(&Journal::open(data.path(), Durability::Process).unwrap_err());
    assert!(error.contains("audit.db") && error.contains("version 99"), "{error}");
}
