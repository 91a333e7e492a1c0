//! The importer: a thread that moves the journal into `audit.db`, in transactions. Never on the way of a statement.
//!
//! A transaction holds the rows, how far the journal was read and which attempts are open, so that a kill -9 at any
//! moment neither loses nor doubles an event. A segment is deleted after the commit that made it superfluous.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use hallpass_policy::ids::Timestamp;
use thiserror::Error;

use crate::{journal::Journal, watermark::Watermark};

pub(crate) mod chain;
mod import;
mod insert;
pub(crate) mod schema;

pub use chain::COLUMNS;
use import::{Db, Step};

/// How long a wave of events is gathered before it is imported; under load this makes transactions of many rows.
const GATHER: Duration = Duration::from_millis(5);

/// As [`GATHER`], while every round finds something to do.
const GATHER_BUSY: Duration = Duration::from_millis(20);

/// How long to wait before SQLite is tried again after an error.
const RETRY: Duration = Duration::from_secs(1);

/// Why `audit.db` cannot be written or read.
#[derive(Debug, Error)]
pub enum AuditError {
    /// SQLite refused.
    #[error("the audit database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// A file of the journal or the database could not be touched.
    #[error("the audit's files cannot be used")]
    Io(#[from] std::io::Error),
    /// There is no database.
    #[error("`{}` does not exist; the audit begins when `hallpass serve` first runs on this data folder", path.display())]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// Another version of hallpass wrote it.
    #[error("the audit database has schema version {found}, this hallpass knows {known}; use the newer hallpass")]
    Version {
        /// `user_version` of the file.
        found: i64,
        /// What this build writes.
        known: i64,
    },
    /// The journal already feeds a database.
    #[error("this journal has an importer already")]
    Running,
    /// The import failed; it is tried again every second.
    #[error("the audit journal could not be moved to the database: {0}")]
    Import(Arc<str>),
    /// The import took too long.
    #[error("the audit database is still behind the journal after {0:?}")]
    Late(Duration),
}

/// Feeds `audit.db` from a journal as long as it lives. Dropping it imports the rest and ends its thread.
#[derive(Debug)]
pub struct Importer {
    journal: Journal,
    mark: Arc<Watermark>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Importer {
    /// Opens or creates `audit.db` in the journal's data folder and starts the thread, which imports what earlier
    /// runs left first. `now` dates the outcome of attempts that an earlier run did not live to see.
    ///
    /// # Errors
    /// When the database cannot be opened or written, or the journal has an importer already.
    pub fn start(journal: &Journal, now: Timestamp) -> Result<Self, AuditError> {
        let db = Db::open(journal, now.0)?;
        let (mark, stop) = (Arc::new(Watermark::default()), Arc::new(AtomicBool::new(false)));
        let worker = Worker { journal: journal.clone(), now: now.0, mark: Arc::clone(&mark), stop: Arc::clone(&stop) };
        let (engaged, answer) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("audit-import".to_owned()).spawn(move || {
            let free = worker.journal.bell().engage(thread::current());
            let _ = engaged.send(free);
            if free {
                worker.run(db);
            }
        })?;
        match answer.recv() {
            Ok(true) => Ok(Self { journal: journal.clone(), mark, stop, thread: Some(thread) }),
            Ok(false) | Err(_) => Err(AuditError::Running),
        }
    }

    /// How often the import failed since it began: for whoever watches it. It is tried again by itself.
    pub fn failures(&self) -> u64 {
        self.mark.failures()
    }

    /// Resolves when everything that was appended so far is in `audit.db`.
    ///
    /// # Errors
    /// [`AuditError::Import`] when SQLite refuses; nothing is lost, the import goes on later.
    pub async fn flush(&self) -> Result<(), AuditError> {
        let end = self.journal.end();
        self.journal.bell().hurry();
        self.mark.reach(end).await.map_err(AuditError::Import)
    }

    /// As [`Importer::flush`] for callers without a runtime; waits at most `limit`.
    ///
    /// # Errors
    /// As [`Importer::flush`], and [`AuditError::Late`].
    pub fn flush_blocking(&self, limit: Duration) -> Result<(), AuditError> {
        let end = self.journal.end();
        self.journal.bell().hurry();
        match self.mark.reach_blocking(end, limit) {
            Some(result) => result.map_err(AuditError::Import),
            None => Err(AuditError::Late(limit)),
        }
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.journal.bell().hurry();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the audit importer ended abnormally; the journal keeps what it had not imported");
        }
        self.journal.bell().dismiss();
    }
}

/// The thread's side.
struct Worker {
    journal: Journal,
    now: i64,
    mark: Arc<Watermark>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(self, db: Db) {
        let mut db = Some(db);
        loop {
            // Read before the round, so that what was appended before the stop is imported.
            let stopping = self.stop.load(Ordering::Acquire);
            let result = self.round(&mut db);
            if stopping {
                if let Err(error) = result {
                    tracing::error!(%error, cause = ?error, "the rest of the audit journal stays for the next start");
                }
                self.mark.end("the audit importer has ended");
                return;
            }
            match result {
                Ok(Step::Worked) => self.journal.bell().pause(GATHER_BUSY),
                Ok(Step::Idle) => {
                    self.journal.bell().sleep(|| self.journal.end() <= self.mark.reached());
                    self.journal.bell().pause(GATHER);
                }
                Err(error) => {
                    tracing::error!(%error, cause = ?error, "the audit journal cannot be moved to audit.db; trying again");
                    self.mark.fail(&describe(&error));
                    // The connection and what is remembered beside it may be in any state: begin from the file.
                    db = None;
                    self.journal.bell().pause(RETRY);
                }
            }
        }
    }

    /// Imports until nothing is left; says whether there was anything.
    fn round(&self, db: &mut Option<Db>) -> Result<Step, AuditError> {
        let db = match db {
            Some(db) => db,
            None => db.insert(Db::open(&self.journal, self.now)?),
        };
        let mut all = Step::Idle;
        loop {
            let step = db.step(&self.journal)?;
            self.mark.advance(db.cursor());
            match step {
                Step::Worked => all = Step::Worked,
                Step::Idle => return Ok(all),
            }
        }
    }
}

/// The error and what caused it, in one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
