//! Reads `audit.db` as an auditor would: with SQLite, read-only, by the contract's schema. Never through the proxy.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Row};

use crate::process::wait_for;

/// One row of `events`.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// Its number.
    pub seq: i64,
    /// When, UTC.
    pub at: String,
    /// `attempt`, `denied`, `outcome`, …
    pub kind: String,
    /// Session.
    pub session: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Target.
    pub target: Option<String>,
    /// Client address.
    pub client: Option<String>,
    /// application_name.
    pub application: Option<String>,
    /// Grant.
    pub grant_id: Option<i64>,
    /// Statement text.
    pub statement: Option<String>,
    /// Parameters, JSON.
    pub parameters: Option<String>,
    /// `allow` or `deny`.
    pub decision: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Of an outcome: its attempt.
    pub attempt_seq: Option<i64>,
    /// Rows.
    pub rows: Option<i64>,
    /// Bytes.
    pub bytes: Option<i64>,
    /// Masked columns.
    pub masked_columns: Option<String>,
    /// Duration.
    pub duration_us: Option<i64>,
    /// SQLSTATE.
    pub error_code: Option<String>,
}

const COLUMNS: &str = "seq, at, kind, session, user, target, client, application, grant_id, statement, parameters, \
                       decision, reason, attempt_seq, rows, bytes, masked_columns, duration_us, error_code";

impl Event {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            kind: row.get(2)?,
            session: row.get(3)?,
            user: row.get(4)?,
            target: row.get(5)?,
            client: row.get(6)?,
            application: row.get(7)?,
            grant_id: row.get(8)?,
            statement: row.get(9)?,
            parameters: row.get(10)?,
            decision: row.get(11)?,
            reason: row.get(12)?,
            attempt_seq: row.get(13)?,
            rows: row.get(14)?,
            bytes: row.get(15)?,
            masked_columns: row.get(16)?,
            duration_us: row.get(17)?,
            error_code: row.get(18)?,
        })
    }

    /// Whether it is of this kind and about this statement.
    pub fn is(&self, kind: &str, statement: &str) -> bool {
        self.kind == kind && self.statement.as_deref() == Some(statement)
    }
}

/// An audit.db.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
}

impl Audit {
    /// Of this file, which may not be there yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// A read-only connection.
    pub fn open(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(connection)
    }

    /// Everything imported so far, in order.
    pub fn events(&self) -> Vec<Event> {
        let read = || {
            let connection = self.open()?;
            let mut select = connection.prepare(&format!("SELECT {COLUMNS} FROM events ORDER BY seq"))?;
            select.query_map([], Event::read)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().unwrap_or_else(|error: rusqlite::Error| panic!("{}: {error}", self.path.display()))
    }

    /// Waits until `find` finds what it looks for: the importer works behind the journal.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, mut find: impl FnMut(&[Event]) -> Option<T>) -> T {
        wait_for(&format!("audit.db shows {what}"), Duration::from_secs(10), || {
            if self.path.exists() { find(&self.events()) } else { None }
        })
    }

    /// Waits for an event of this kind about this statement.
    #[track_caller]
    pub fn wait_for(&self, kind: &str, statement: &str) -> Event {
        self.wait(&format!("{kind} of {statement}"), |events| {
            events.iter().find(|event| event.is(kind, statement)).cloned()
        })
    }

    /// Waits for the outcome of this statement, and returns attempt and outcome.
    #[track_caller]
    pub fn wait_for_outcome(&self, statement: &str) -> (Event, Event) {
        self.wait(&format!("the outcome of {statement}"), |events| {
            let attempt = events.iter().rfind(|event| event.is("attempt", statement))?;
            let outcome = events.iter().find(|event| event.attempt_seq == Some(attempt.seq))?;
            Some((attempt.clone(), outcome.clone()))
        })
    }
}
