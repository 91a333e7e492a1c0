//! `audit.db`: its tables, view and triggers, and how it is opened. Writes no events.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig};

use super::AuditError;

/// `user_version` of the schema below.
const VERSION: i64 = 1;

/// How long a reader or writer waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(5);

/// `events`, its guards and the view are the contract's; `journal_state` and `open_attempts` are the importer's own
/// notes, kept here because they must change in the same transaction.
///
/// `events_attempt` serves the view, `events_at` a range of time. `session` and `user` have no index: each was measured
/// at about 1.6 µs of CPU a row, on every statement, for questions that are rare and mostly bounded in time.
const SCHEMA: &str = "
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    session TEXT,
    user TEXT,
    target TEXT,
    protocol TEXT,
    listener TEXT,
    client TEXT,
    application TEXT,
    grant_id INTEGER,
    request_id INTEGER,
    statement TEXT,
    fingerprint TEXT,
    parameters TEXT,
    decision TEXT,
    reason TEXT,
    attempt_seq INTEGER,
    rows INTEGER,
    bytes INTEGER,
    masked_columns TEXT,
    duration_us INTEGER,
    error_code TEXT,
    prev_hash BLOB NOT NULL,
    hash BLOB NOT NULL
);
CREATE INDEX events_at ON events (at);
CREATE INDEX events_attempt ON events (attempt_seq) WHERE attempt_seq IS NOT NULL;

CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only: UPDATE of events is refused');
END;
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only: DELETE from events is refused');
END;
-- INSERT OR REPLACE deletes without asking the trigger above.
CREATE TRIGGER events_refuse_replace BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE seq = NEW.seq) BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only: REPLACE into events is refused');
END;

CREATE VIEW statements AS
SELECT a.seq, a.at, a.session, a.user, a.target, a.protocol, a.listener, a.client, a.application,
       a.grant_id, a.request_id, a.statement, a.fingerprint, a.parameters, a.decision,
       CASE WHEN a.reason IS NULL THEN o.reason
            WHEN o.reason IS NULL THEN a.reason
            ELSE a.reason || '; ' || o.reason END AS reason,
       coalesce(o.rows, a.rows) AS rows,
       coalesce(o.bytes, a.bytes) AS bytes,
       coalesce(o.masked_columns, a.masked_columns) AS masked_columns,
       coalesce(o.duration_us, a.duration_us) AS duration_us,
       coalesce(o.error_code, a.error_code) AS error_code,
       o.seq AS outcome_seq
FROM events a LEFT JOIN events o ON o.attempt_seq = a.seq AND o.kind = 'outcome'
WHERE a.kind IN ('attempt', 'denied');

-- How far the journal has been read, and the row that the next one follows.
CREATE TABLE journal_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL
);
INSERT INTO journal_state VALUES (1, 0, 0, 0, zeroblob(32));

-- Attempts whose outcome has not come yet: the journal's name for each, and its row.
CREATE TABLE open_attempts (attempt_id INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
";

/// The database of a data folder.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("audit.db")
}

/// Opens `path` for the importer, creating it and its schema if it is missing.
pub(super) fn open(path: &Path) -> Result<Connection, AuditError> {
    // Created for its owner alone; SQLite gives its -wal and -shm files the same mode.
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    // One thread uses it at a time, so SQLite needs no mutex of its own.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Commits are not synced: the journal still holds what a power failure takes back (see `Db::retire`).
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    // The guards are for everybody else. This connection only ever inserts the next number, which needs no look whether
    // it is there already: that look costs as much as a third of the row.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    match version(&connection)? {
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        VERSION => {}
        found => return Err(AuditError::Version { found, known: VERSION }),
    }
    Ok(connection)
}

/// Opens an existing `path` for reading alone.
pub(crate) fn open_read_only(path: &Path) -> Result<Connection, AuditError> {
    if !path.exists() {
        return Err(AuditError::Missing { path: path.to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    match version(&connection)? {
        VERSION => Ok(connection),
        found => Err(AuditError::Version { found, known: VERSION }),
    }
}

/// The segment of the journal that was read last, 0 when there is no database yet.
pub(crate) fn last_segment(path: &Path) -> Result<u64, AuditError> {
    // An empty file is what a crash between creating it and its schema leaves.
    if !path.exists() || path.metadata()?.len() == 0 {
        return Ok(0);
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY)?;
    match version(&connection)? {
        0 => Ok(0),
        VERSION => {
            let segment =
                connection.query_row("SELECT segment FROM journal_state", [], |row| row.get::<_, i64>(0)).optional()?;
            Ok(segment.unwrap_or(0).unsigned_abs())
        }
        found => Err(AuditError::Version { found, known: VERSION }),
    }
}

fn version(connection: &Connection) -> Result<i64, AuditError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
