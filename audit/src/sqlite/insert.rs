//! Rows of `events` within one transaction: numbers them, links outcomes to attempts, continues the chain. Does not
//! read the journal and does not commit.

use std::{collections::HashMap, fmt::Write};

use hallpass_policy::ids::Timestamp;
use rusqlite::{
    CachedStatement, Connection,
    types::{ToSqlOutput, ValueRef},
};

use super::{
    AuditError,
    chain::{Cell, GENESIS, Hash, Hasher, Row},
};
use crate::{event::Kind, record::View};

const INSERT: &str = "INSERT INTO events VALUES \
    (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25)";

/// The row that the next one follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) hash: Hash,
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, hash: GENESIS }
    }
}

/// Where an open attempt is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// In memory: its transaction is not over.
    Fresh,
    /// In the table `open_attempts`, too.
    Stored,
}

/// Attempts without outcome, by the journal's name. Most are opened and closed within one transaction and never touch
/// the table.
#[derive(Debug, Default)]
pub(super) struct OpenAttempts {
    known: HashMap<u64, (i64, Kept)>,
    fresh: Vec<u64>,
    closed: Vec<u64>,
}

impl OpenAttempts {
    /// What the table holds.
    pub(super) fn load(connection: &Connection) -> Result<Self, AuditError> {
        let mut select = connection.prepare("SELECT attempt_id, seq FROM open_attempts")?;
        let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?)))?;
        let known = rows.map(|row| row.map(|(id, seq)| (id, (seq, Kept::Stored)))).collect::<Result<_, _>>()?;
        Ok(Self { known, fresh: Vec::new(), closed: Vec::new() })
    }

    fn open(&mut self, id: u64, seq: i64) {
        self.known.insert(id, (seq, Kept::Fresh));
        self.fresh.push(id);
    }

    fn seq(&self, id: u64) -> Option<i64> {
        self.known.get(&id).map(|(seq, _)| *seq)
    }

    fn close(&mut self, id: u64) -> Option<i64> {
        let (seq, kept) = self.known.remove(&id)?;
        if kept == Kept::Stored {
            self.closed.push(id);
        }
        Some(seq)
    }

    /// Names and rows of the attempts for which `lost` holds, in order.
    pub(super) fn select(&self, lost: impl Fn(u64) -> bool) -> Vec<(u64, i64)> {
        let mut found: Vec<_> =
            self.known.iter().filter(|(id, _)| lost(**id)).map(|(id, (seq, _))| (*id, *seq)).collect();
        found.sort_by_key(|(_, seq)| *seq);
        found
    }

    /// Brings the table up to date at the end of a transaction.
    pub(super) fn store(&mut self, connection: &Connection) -> Result<(), AuditError> {
        if !self.closed.is_empty() {
            let mut delete = connection.prepare_cached("DELETE FROM open_attempts WHERE attempt_id = ?1")?;
            for id in self.closed.drain(..) {
                delete.execute([id.cast_signed()])?;
            }
        }
        let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO open_attempts VALUES (?1, ?2)")?;
        for id in self.fresh.drain(..) {
            if let Some((seq, kept)) = self.known.get_mut(&id) {
                insert.execute([id.cast_signed(), *seq])?;
                *kept = Kept::Stored;
            }
        }
        Ok(())
    }
}

/// A time as `events.at` shows it. Most events follow another one of the same second, and differ in the fraction alone.
#[derive(Debug, Default)]
struct Stamp {
    text: String,
    second: Option<i64>,
}

impl Stamp {
    fn set(&mut self, at: i64) {
        const FRACTION: &str = ".000000Z";
        let (second, fraction) = (at.div_euclid(1_000_000), at.rem_euclid(1_000_000));
        // Writing to a String cannot fail.
        if self.second != Some(second) {
            self.text.clear();
            let _ = write!(self.text, "{}", Timestamp(second.saturating_mul(1_000_000)));
            self.second = Some(second).filter(|_| self.text.ends_with(FRACTION));
        }
        if self.second.is_some() {
            self.text.truncate(self.text.len() - FRACTION.len());
            let _ = write!(self.text, ".{fraction:06}Z");
        } else {
            self.text.clear();
            let _ = write!(self.text, "{}", Timestamp(at));
        }
    }
}

/// Inserts events one after the other.
pub(super) struct Inserter<'a> {
    insert: CachedStatement<'a>,
    head: &'a mut Head,
    open: &'a mut OpenAttempts,
    hasher: &'a mut Hasher,
    at: Stamp,
}

impl<'a> Inserter<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        head: &'a mut Head,
        open: &'a mut OpenAttempts,
        hasher: &'a mut Hasher,
    ) -> Result<Self, AuditError> {
        Ok(Self { insert: connection.prepare_cached(INSERT)?, head, open, hasher, at: Stamp::default() })
    }

    /// Inserts `event` as the next row. An outcome whose attempt is not known gets no `attempt_seq`; `verify` reports
    /// it.
    pub(super) fn event(&mut self, event: &View<'_>) -> Result<(), AuditError> {
        let seq = self.head.seq + 1;
        let attempt_seq = match (event.kind, event.attempt) {
            (Kind::Attempt, Some(id)) => {
                self.open.open(id, seq);
                None
            }
            (Kind::Outcome, Some(id)) => self.open.close(id),
            (_, attempt) => attempt.and_then(|id| self.open.seq(id)),
        };
        self.row(event, attempt_seq)
    }

    fn row(&mut self, event: &View<'_>, attempt_seq: Option<i64>) -> Result<(), AuditError> {
        let seq = self.head.seq + 1;
        self.at.set(event.at);
        let row: Row<'_> = [
            Cell::Integer(seq),
            Cell::Text(self.at.text.as_bytes()),
            Cell::Text(event.kind.as_str().as_bytes()),
            event.session.into(),
            event.user.into(),
            event.target.into(),
            event.protocol.into(),
            event.listener.into(),
            event.client.into(),
            event.application.into(),
            event.grant.into(),
            event.request.into(),
            event.statement.into(),
            event.fingerprint.into(),
            event.parameters.into(),
            event.decision.into(),
            event.reason.into(),
            attempt_seq.into(),
            event.rows.into(),
            event.bytes.into(),
            event.masked_columns.into(),
            event.duration_us.into(),
            event.error_code.into(),
        ];
        let hash = self.hasher.hash(&self.head.hash, &row);
        let hashes = [&self.head.hash, &hash].map(|hash| ValueRef::Blob(hash));
        let cells = row.iter().map(|cell| match *cell {
            Cell::Null => ValueRef::Null,
            Cell::Integer(number) => ValueRef::Integer(number),
            Cell::Text(text) => ValueRef::Text(text),
        });
        for (index, value) in (1..).zip(cells.chain(hashes)) {
            self.insert.raw_bind_parameter(index, ToSqlOutput::Borrowed(value))?;
        }
        self.insert.raw_execute()?;
        *self.head = Head { seq, hash };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_it_always_does() {
        let mut stamp = Stamp::default();
        for at in [0, 1, 999_999, 1_000_000, -1, 1_769_860_800_000_000, 1_769_860_800_123_456, i64::MAX, i64::MIN, 7] {
            stamp.set(at);
            assert_eq!(stamp.text, Timestamp(at).to_string());
        }
    }
}
