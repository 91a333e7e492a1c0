//! Reads the journal's segments and moves them into `audit.db`, one transaction a step. Decides nothing about when.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
};

use rusqlite::Connection;

use super::{
    AuditError,
    chain::{Hash, Hasher},
    insert::{Head, Inserter, OpenAttempts},
    schema,
};
use crate::{
    event::Kind,
    journal::{Front, Journal},
    record::{self, Damage, Frame, View},
    segment::{self, Number, Sealed},
    watermark::Position,
};

/// Bytes of the journal that are read, and committed, at once; more only for a larger frame.
const CHUNK: u64 = 1 << 20;

/// Whether a step found something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Worked,
    Idle,
}

/// `audit.db` and what the importer remembers beside it. After an error it must be dropped and opened anew, so that
/// memory and file agree.
#[derive(Debug)]
pub(super) struct Db {
    connection: Connection,
    cursor: Position,
    head: Head,
    open: OpenAttempts,
    hasher: Hasher,
    buffer: Vec<u8>,
    segment: Option<(u64, File)>,
    /// The latest time seen, µs: dates what the importer has to say itself.
    latest: i64,
    recovery: Recovery,
}

/// Whether attempts that an earlier run left open have been closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recovery {
    Due,
    Done,
}

/// What stands at the cursor.
enum Found {
    /// Whole frames, which were imported.
    Frames,
    /// A frame that is not there in full.
    Torn,
    /// Something that is no frame.
    Damaged(Damage),
}

impl Db {
    pub(super) fn open(journal: &Journal, now: i64) -> Result<Self, AuditError> {
        let connection = schema::open(&schema::path(journal.data()))?;
        let (cursor, head) =
            connection.query_row("SELECT segment, offset, seq, hash FROM journal_state", [], |row| {
                let segment = row.get::<_, i64>(0)?.unsigned_abs();
                let offset = row.get::<_, i64>(1)?.unsigned_abs();
                let hash: Hash = row.get(3)?;
                Ok((Position { segment, offset }, Head { seq: row.get(2)?, hash }))
            })?;
        let open = OpenAttempts::load(&connection)?;
        Ok(Self {
            connection,
            cursor,
            head,
            open,
            hasher: Hasher::default(),
            buffer: Vec::new(),
            segment: None,
            latest: now,
            recovery: Recovery::Due,
        })
    }

    /// Up to where the journal is in the database.
    pub(super) fn cursor(&self) -> Position {
        self.cursor
    }

    /// Does the next piece of work, at most one transaction of events.
    pub(super) fn step(&mut self, journal: &Journal) -> Result<Step, AuditError> {
        let front = journal.front();
        let (Front::Sealed(span) | Front::Active(span)) = front;
        if self.recovery == Recovery::Due && span.number.start() == journal.start() {
            self.close_lost(journal)?;
        }
        if span.number.0 < self.cursor.segment {
            // The last run died between the commit and the removal.
            self.remove(journal, span.number)?;
            return Ok(Step::Worked);
        }
        if span.number.0 > self.cursor.segment {
            self.cursor = Position { segment: span.number.0, offset: 0 };
        }
        let found = if self.cursor.offset < span.length { Some(self.take(journal, span)?) } else { None };
        match (front, found) {
            (_, Some(Found::Frames)) => {
                journal.read_to(self.cursor.offset);
                Ok(Step::Worked)
            }
            (Front::Sealed(_), None) => self.retire(journal, span, None),
            (Front::Sealed(_), Some(Found::Torn)) if span.number.start() != journal.start() => {
                // The process died, or the machine lost power, within an append that was never acknowledged.
                let bytes = span.length - self.cursor.offset;
                tracing::warn!(segment = span.number.0, bytes, "the journal's last record is torn and left out");
                self.retire(journal, span, None)
            }
            // This run acknowledged all of its segment, so nothing of it may be torn.
            (Front::Sealed(_), Some(Found::Torn)) => self.retire(journal, span, Some(Damage::Malformed)),
            (Front::Sealed(_), Some(Found::Damaged(damage))) => self.retire(journal, span, Some(damage)),
            (Front::Active(_), None) => Ok(Step::Idle),
            (Front::Active(_), Some(Found::Torn | Found::Damaged(_))) => {
                // What was written is not what is read: end this file, and report it as a sealed one.
                journal.seal();
                match journal.front() {
                    Front::Sealed(_) => Ok(Step::Worked),
                    Front::Active(_) => Err(io::Error::other("the journal's present segment is damaged").into()),
                }
            }
        }
    }

    /// Imports the frames from the cursor on, up to a chunk.
    fn take(&mut self, journal: &Journal, span: Sealed) -> Result<Found, AuditError> {
        let left = span.length - self.cursor.offset;
        self.read(journal, left.min(CHUNK))?;
        if let Frame::Partial { needed } = record::frame(&self.buffer) {
            let needed = needed as u64;
            if needed > left {
                return Ok(Found::Torn);
            }
            self.read(journal, needed)?;
        }
        let transaction = self.connection.unchecked_transaction()?;
        let mut rows = Inserter::new(&self.connection, &mut self.head, &mut self.open, &mut self.hasher)?;
        let mut at = 0;
        let problem = loop {
            let rest = self.buffer.get(at..).unwrap_or_default();
            match record::frame(rest) {
                Frame::Partial { .. } => break Found::Torn,
                // Where a file was extended but its data never written, zeros are read: a torn tail, too.
                Frame::Damaged(_) if rest.iter().all(|byte| *byte == 0) => break Found::Torn,
                Frame::Damaged(damage) => break Found::Damaged(damage),
                Frame::Whole { body, size } => match record::events(body) {
                    Err(damage) => break Found::Damaged(damage),
                    Ok(events) => {
                        for event in &events {
                            rows.event(event)?;
                            self.latest = self.latest.max(event.at);
                        }
                        at += size;
                    }
                },
            }
        };
        drop(rows);
        if at == 0 {
            return Ok(problem);
        }
        let cursor = Position { segment: self.cursor.segment, offset: self.cursor.offset + at as u64 };
        self.open.store(&self.connection)?;
        save(&self.connection, cursor, &self.head)?;
        transaction.commit()?;
        self.cursor = cursor;
        Ok(Found::Frames)
    }

    /// Fills the buffer with `length` bytes from the cursor on.
    fn read(&mut self, journal: &Journal, length: u64) -> Result<(), AuditError> {
        let number = self.cursor.segment;
        let file = match &mut self.segment {
            Some((open, file)) if *open == number => file,
            other => &mut other.insert((number, File::open(segment::path(journal.folder(), Number(number)))?)).1,
        };
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if self.buffer.capacity() > 4 << 20 {
            self.buffer = Vec::new();
        }
        self.buffer.resize(length, 0);
        file.read_exact_at(&mut self.buffer, self.cursor.offset)?;
        Ok(())
    }

    /// Ends with a sealed segment: makes what came from it durable, then deletes it; a damaged one is kept beside.
    fn retire(&mut self, journal: &Journal, span: Sealed, damage: Option<Damage>) -> Result<Step, AuditError> {
        let path = segment::path(journal.folder(), span.number);
        let kept = path.with_extension("damaged");
        let note = damage.as_ref().map(|damage| {
            format!(
                "segment {} of the audit journal is damaged from byte {} to {} ({damage}); it is kept as `{}`",
                span.number.0,
                self.cursor.offset,
                span.length,
                kept.file_name().unwrap_or_default().display(),
            )
        });
        let cursor = Position { segment: span.number.0, offset: span.length };
        // With FULL the commit syncs SQLite's log, and so all commits before it: from here on the segment is not
        // needed even after a power failure.
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = self.connection.unchecked_transaction()?;
        if let Some(note) = &note {
            tracing::error!("{note}");
            let mut rows = Inserter::new(&self.connection, &mut self.head, &mut self.open, &mut self.hasher)?;
            rows.event(&View { reason: Some(note), ..View::empty(Kind::Admin, self.latest) })?;
        }
        save(&self.connection, cursor, &self.head)?;
        transaction.commit()?;
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        self.cursor = cursor;
        if damage.is_some() {
            fs::rename(&path, &kept)?;
        }
        self.remove(journal, span.number)?;
        Ok(Step::Worked)
    }

    fn remove(&mut self, journal: &Journal, number: Number) -> Result<(), AuditError> {
        self.segment = None;
        match fs::remove_file(segment::path(journal.folder(), number)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        journal.finish(number);
        Ok(())
    }

    /// Gives every attempt that an earlier run left open an outcome that says so: what became of it nobody knows.
    fn close_lost(&mut self, journal: &Journal) -> Result<(), AuditError> {
        let lost = self.open.select(|id| !journal.named_here(id));
        if !lost.is_empty() {
            let transaction = self.connection.unchecked_transaction()?;
            let mut rows = Inserter::new(&self.connection, &mut self.head, &mut self.open, &mut self.hasher)?;
            let mut select = self.connection.prepare_cached(
                "SELECT session, user, target, protocol, listener, client, application, grant_id, request_id \
                 FROM events WHERE seq = ?1",
            )?;
            for (id, seq) in lost {
                let mut found = select.query([seq])?;
                let Some(row) = found.next()? else {
                    return Err(AuditError::Io(io::Error::other(format!("row {seq} of an open attempt is missing"))));
                };
                let text = |index| row.get_ref(index).map(|value| value.as_str_or_null().ok().flatten());
                rows.event(&View {
                    session: text(0)?,
                    user: text(1)?,
                    target: text(2)?,
                    protocol: text(3)?,
                    listener: text(4)?,
                    client: text(5)?,
                    application: text(6)?,
                    grant: row.get(7)?,
                    request: row.get(8)?,
                    attempt: Some(id),
                    reason: Some(LOST),
                    ..View::empty(Kind::Outcome, self.latest)
                })?;
            }
            drop((rows, select));
            self.open.store(&self.connection)?;
            save(&self.connection, self.cursor, &self.head)?;
            transaction.commit()?;
        }
        self.recovery = Recovery::Done;
        Ok(())
    }
}

/// The reason of an outcome that nobody saw.
pub(super) const LOST: &str = "the proxy ended before the outcome was known";

fn save(connection: &Connection, cursor: Position, head: &Head) -> Result<(), AuditError> {
    let mut update =
        connection.prepare_cached("UPDATE journal_state SET segment = ?1, offset = ?2, seq = ?3, hash = ?4")?;
    update.execute((cursor.segment.cast_signed(), cursor.offset.cast_signed(), head.seq, head.hash))?;
    Ok(())
}
