//! Checks an audit log: the hash chain row by row, attempts and their outcomes, what the journal still holds. Reads
//! only; works beside a running proxy and without one.
//!
//! The chain proves that nothing was changed, removed from the middle or put in another order by somebody who did not
//! also compute all later hashes anew. Whoever can write the file can do that: keep `last_hash` elsewhere to compare.

use std::{fs, path::Path};

use rusqlite::{Connection, types::ValueRef};
use serde::Serialize;

use crate::{
    query::hex,
    record::{self, Frame},
    segment,
    sqlite::{
        AuditError,
        chain::{COLUMNS, Cell, GENESIS, Hash, Hasher, Row},
        schema,
    },
    watermark::Position,
};

/// Of each list, only this many entries are named.
const NAMED: usize = 100;

/// What `hallpass audit verify` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows checked: all of them, or those up to the first break.
    pub rows: i64,
    /// The last row that was checked; 0 when there is none.
    pub last_seq: i64,
    /// Its hash, in hex. Whoever keeps it can later tell that nothing up to here was changed.
    pub last_hash: String,
    /// Where the chain first breaks.
    pub first_break: Option<Break>,
    /// Attempts without outcome that are not in progress either.
    pub missing_outcomes: Rows,
    /// Attempts whose outcome is still to come: statements that run now, or ran when the proxy died.
    pub open_attempts: i64,
    /// Outcomes that belong to no attempt.
    pub orphan_outcomes: Rows,
    /// Outcomes of an attempt that has an earlier one.
    pub repeated_outcomes: Rows,
    /// What is not in `audit.db` yet.
    pub journal: JournalRest,
}

impl Report {
    /// Whether the log is what hallpass wrote: whole, and every outcome where it belongs. Attempts in progress and
    /// records that wait in the journal are no fault.
    pub fn is_intact(&self) -> bool {
        self.first_break.is_none()
            && self.missing_outcomes.count == 0
            && self.orphan_outcomes.count == 0
            && self.repeated_outcomes.count == 0
            && self.journal.damaged.is_empty()
    }
}

/// The first row that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// Where.
    pub seq: i64,
    /// What is wrong there.
    pub fault: Fault,
    /// The same for people.
    pub message: String,
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Its columns do not give its hash.
    Changed,
    /// It is not there, although later ones were written.
    Missing,
    /// It does not follow the row before it.
    WrongOrder,
}

/// Some rows, by `seq`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// How many there are.
    pub count: i64,
    /// The first of them.
    pub first: Vec<i64>,
}

/// What the journal holds that `audit.db` does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalRest {
    /// Events that the importer will move; it does so when the proxy runs.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that are no whole record: an append that was cut short, or is under way.
    pub torn_bytes: u64,
    /// Files that the importer put aside because it could not read them.
    pub damaged: Vec<String>,
}

/// Checks the audit of the data folder `data`.
///
/// # Errors
/// When a file cannot be read at all; what is wrong inside is in the [`Report`].
pub fn verify(data: &Path) -> Result<Report, AuditError> {
    let mut connection = schema::open_read_only(&schema::path(data))?;
    // One snapshot for all questions, while an importer may be writing.
    let snapshot = connection.transaction()?;
    let walk = walk(&snapshot)?;
    let (missing_outcomes, orphan_outcomes, repeated_outcomes) =
        (listed(&snapshot, MISSING)?, listed(&snapshot, ORPHANS)?, listed(&snapshot, REPEATED)?);
    let open_attempts = snapshot.query_row("SELECT count(*) FROM open_attempts", [], |row| row.get(0))?;
    let cursor = snapshot.query_row("SELECT segment, offset FROM journal_state", [], |row| {
        Ok(Position { segment: row.get::<_, i64>(0)?.cast_unsigned(), offset: row.get::<_, i64>(1)?.cast_unsigned() })
    })?;
    drop(snapshot);
    Ok(Report {
        rows: walk.rows,
        last_seq: walk.seq,
        last_hash: hex(&walk.hash),
        first_break: walk.broken,
        missing_outcomes,
        open_attempts,
        orphan_outcomes,
        repeated_outcomes,
        journal: rest(&segment::folder(data), cursor)?,
    })
}

const MISSING: &str = "FROM events a WHERE kind = 'attempt' \
    AND NOT EXISTS (SELECT 1 FROM events o WHERE o.attempt_seq = a.seq AND o.kind = 'outcome') \
    AND seq NOT IN (SELECT seq FROM open_attempts)";

const ORPHANS: &str = "FROM events o WHERE kind = 'outcome' \
    AND NOT EXISTS (SELECT 1 FROM events a WHERE a.seq = o.attempt_seq AND a.kind = 'attempt' AND a.seq < o.seq)";

const REPEATED: &str = "FROM events o WHERE kind = 'outcome' AND EXISTS (SELECT 1 FROM events e \
    WHERE e.attempt_seq = o.attempt_seq AND e.kind = 'outcome' AND e.seq < o.seq)";

fn listed(connection: &Connection, from: &str) -> Result<Rows, AuditError> {
    let count = connection.query_row(&format!("SELECT count(*) {from}"), [], |row| row.get(0))?;
    let mut select = connection.prepare(&format!("SELECT seq {from} ORDER BY seq LIMIT {NAMED}"))?;
    let first = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Rows { count, first })
}

/// How far the chain holds.
struct Walk {
    rows: i64,
    seq: i64,
    hash: Hash,
    broken: Option<Break>,
}

impl Walk {
    fn broken(mut self, seq: i64, fault: Fault, message: String) -> Self {
        self.broken = Some(Break { seq, fault, message });
        self
    }
}

fn walk(connection: &Connection) -> Result<Walk, AuditError> {
    let sql = format!("SELECT {}, prev_hash, hash FROM events ORDER BY seq", COLUMNS.join(", "));
    let mut select = connection.prepare(&sql)?;
    let mut found = select.query([])?;
    let mut walk = Walk { rows: 0, seq: 0, hash: GENESIS, broken: None };
    let mut hasher = Hasher::default();
    while let Some(row) = found.next()? {
        let seq: i64 = row.get(0)?;
        let expected = walk.seq + 1;
        if seq != expected {
            let message = if seq == expected + 1 {
                format!("row {expected} is missing")
            } else {
                format!("rows {expected} to {} are missing", seq - 1)
            };
            return Ok(walk.broken(expected, Fault::Missing, message));
        }
        let (previous, hash) = (row.get_ref(COLUMNS.len())?, row.get_ref(COLUMNS.len() + 1)?);
        if previous != ValueRef::Blob(&walk.hash) {
            let message = format!("row {seq} does not follow the row before it: one of them was put there later");
            return Ok(walk.broken(seq, Fault::WrongOrder, message));
        }
        let computed = cells(row)?.map(|cells| hasher.hash(&walk.hash, &cells));
        match computed {
            Some(computed) if hash == ValueRef::Blob(&computed) => {
                walk = Walk { rows: walk.rows + 1, seq, hash: computed, broken: None };
            }
            Some(_) | None => {
                return Ok(walk.broken(seq, Fault::Changed, format!("row {seq} was changed: its hash does not fit")));
            }
        }
    }
    let head: (i64, Vec<u8>) =
        connection.query_row("SELECT seq, hash FROM journal_state", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (seq, last) = (walk.seq + 1, head.0);
    if head.0 > walk.seq {
        return Ok(walk.broken(
            seq,
            Fault::Missing,
            format!("the log ends before row {seq}, but row {last} was written"),
        ));
    }
    if head.1 != walk.hash {
        let message = format!("the last row is not the one that was written as row {last}");
        let seq = walk.seq;
        return Ok(walk.broken(seq, Fault::Changed, message));
    }
    Ok(walk)
}

/// The row's columns; `None` when one has a type that hallpass never writes.
fn cells<'a>(row: &'a rusqlite::Row<'_>) -> Result<Option<Row<'a>>, AuditError> {
    let mut cells = [Cell::Null; COLUMNS.len()];
    for (index, cell) in cells.iter_mut().enumerate() {
        *cell = match row.get_ref(index)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Integer(number),
            ValueRef::Text(text) => Cell::Text(text),
            ValueRef::Real(_) | ValueRef::Blob(_) => return Ok(None),
        };
    }
    Ok(Some(cells))
}

/// Counts what lies in the journal behind `cursor`.
fn rest(folder: &Path, cursor: Position) -> Result<JournalRest, AuditError> {
    let mut rest = JournalRest::default();
    if !folder.exists() {
        return Ok(rest);
    }
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".damaged") {
            rest.damaged.push(name);
        }
    }
    rest.damaged.sort();
    for sealed in segment::list(folder)? {
        let offset = match sealed.number.0.cmp(&cursor.segment) {
            std::cmp::Ordering::Less => continue,
            std::cmp::Ordering::Equal => cursor.offset,
            std::cmp::Ordering::Greater => 0,
        };
        let bytes = match fs::read(segment::path(folder, sealed.number)) {
            Ok(bytes) => bytes,
            // A running importer has just taken it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let mut left = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        while let Frame::Whole { body, size } = record::frame(left) {
            let Ok(events) = record::events(body) else { break };
            rest.events += events.len() as u64;
            rest.bytes += size as u64;
            left = left.get(size..).unwrap_or_default();
        }
        rest.torn_bytes += left.len() as u64;
    }
    Ok(rest)
}
