//! Questions to `audit.db`: the last events, a search, counts. Opens it read-only; never writes.

use std::path::Path;

use hallpass_policy::ids::{GrantId, SessionId, TargetName, Timestamp, UserName};
use rusqlite::{Connection, Row, ToSql, types::ValueRef};
use serde::Serialize;

use crate::{
    event::Kind,
    sqlite::{AuditError, schema},
};

/// One row of `events`, under the contract's names; hashes in hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the columns of the contract")]
pub struct EventRow {
    pub seq: i64,
    pub at: String,
    pub kind: String,
    pub session: Option<String>,
    pub user: Option<String>,
    pub target: Option<String>,
    pub protocol: Option<String>,
    pub listener: Option<String>,
    pub client: Option<String>,
    pub application: Option<String>,
    pub grant_id: Option<i64>,
    pub request_id: Option<i64>,
    pub statement: Option<String>,
    pub fingerprint: Option<String>,
    pub parameters: Option<String>,
    pub decision: Option<String>,
    pub reason: Option<String>,
    pub attempt_seq: Option<i64>,
    pub rows: Option<i64>,
    pub bytes: Option<i64>,
    pub masked_columns: Option<String>,
    pub duration_us: Option<i64>,
    pub error_code: Option<String>,
    pub prev_hash: String,
    pub hash: String,
}

/// What a search asks for; what is `None` is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whose.
    pub user: Option<UserName>,
    /// Where.
    pub target: Option<TargetName>,
    /// Of which kind.
    pub kind: Option<Kind>,
    /// Under which grant, and of the requests that it came from or was extended by.
    pub grant: Option<GrantId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// What the statement or the reason contains; ASCII letters match in either case.
    pub text: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Only rows behind this `seq`: the last row of the page before.
    pub after_seq: Option<i64>,
    /// At most this many rows; `None` means [`Filter::DEFAULT_LIMIT`].
    pub limit: Option<u32>,
}

impl Filter {
    /// Rows of a page when nothing else is asked.
    pub const DEFAULT_LIMIT: u32 = 1000;
}

/// How many events there are of one kind, by one user, on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// `2026-01-31`, UTC.
    pub day: String,
    /// The user, if the events have one.
    pub user: Option<String>,
    /// `events.kind`.
    pub kind: String,
    /// How many.
    pub events: i64,
    /// Rows that their outcomes count together.
    pub rows: i64,
}

/// A read-only view of a data folder's `audit.db`. May be used beside a running proxy; flush its importer first to see
/// what was appended until now.
#[derive(Debug)]
pub struct AuditReader {
    connection: Connection,
}

const SELECT: &str = "SELECT seq, at, kind, session, user, target, protocol, listener, client, application, \
    grant_id, request_id, statement, fingerprint, parameters, decision, reason, attempt_seq, rows, bytes, \
    masked_columns, duration_us, error_code, prev_hash, hash FROM events";

impl AuditReader {
    /// Opens the database of the data folder `data`.
    ///
    /// # Errors
    /// When there is none, another version wrote it, or SQLite refuses.
    pub fn open(data: &Path) -> Result<Self, AuditError> {
        Ok(Self { connection: schema::open_read_only(&schema::path(data))? })
    }

    /// The last `count` events, oldest first.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn tail(&self, count: u32) -> Result<Vec<EventRow>, AuditError> {
        self.tail_of(None, count)
    }

    /// The same of one user's events; `None` means all.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn tail_of(&self, user: Option<&UserName>, count: u32) -> Result<Vec<EventRow>, AuditError> {
        let only = if user.is_some() { "WHERE user = ?2" } else { "WHERE ?2 IS NULL" };
        let sql = format!("SELECT * FROM ({SELECT} {only} ORDER BY seq DESC LIMIT ?1) ORDER BY seq");
        self.rows(&sql, &[&count, &user.map(UserName::as_str)])
    }

    /// The events that `filter` describes, oldest first.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn search(&self, filter: &Filter) -> Result<Vec<EventRow>, AuditError> {
        let mut conditions = Vec::new();
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut condition = |sql: &str, value: Option<Box<dyn ToSql>>| {
            if let Some(value) = value {
                values.push(value);
                conditions.push(sql.replace('?', &format!("?{}", values.len())));
            }
        };
        condition("user = ?", boxed(filter.user.as_ref().map(|name| name.as_str().to_owned())));
        condition("target = ?", boxed(filter.target.as_ref().map(|name| name.as_str().to_owned())));
        condition("kind = ?", boxed(filter.kind.map(Kind::as_str)));
        // The whole story: how it was asked for and decided, too. What a grant's own events name are its requests.
        condition(
            "(grant_id = ? OR request_id IN \
             (SELECT request_id FROM events WHERE grant_id = ? AND request_id IS NOT NULL))",
            boxed(filter.grant.map(|grant| grant.0)),
        );
        condition("session = ?", boxed(filter.session.as_ref().map(|name| name.as_str().to_owned())));
        condition(
            "(statement LIKE ? ESCAPE '\\' OR reason LIKE ? ESCAPE '\\')",
            boxed(filter.text.as_deref().map(contains)),
        );
        condition("at >= ?", boxed(filter.since.map(|at| at.to_string())));
        condition("at < ?", boxed(filter.until.map(|at| at.to_string())));
        condition("seq > ?", boxed(filter.after_seq));
        let limit = filter.limit.unwrap_or(Filter::DEFAULT_LIMIT);
        let conditions = if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") };
        let sql = format!("{SELECT} WHERE {conditions} ORDER BY seq LIMIT {limit}");
        let values: Vec<&dyn ToSql> = values.iter().map(|value| &**value).collect();
        self.rows(&sql, &values)
    }

    /// Counts a day, user and kind, newest day first.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn stats(&self) -> Result<Vec<Count>, AuditError> {
        let mut select = self.connection.prepare(
            "SELECT substr(at, 1, 10) AS day, user, kind, count(*), coalesce(sum(rows), 0) FROM events \
             GROUP BY day, user, kind ORDER BY day DESC, user, kind",
        )?;
        let counts = select.query_map([], |row| {
            Ok(Count { day: row.get(0)?, user: row.get(1)?, kind: row.get(2)?, events: row.get(3)?, rows: row.get(4)? })
        })?;
        Ok(counts.collect::<Result<_, _>>()?)
    }

    fn rows(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<EventRow>, AuditError> {
        let mut select = self.connection.prepare(sql)?;
        let rows = select.query_map(values, event_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn boxed<T: ToSql + 'static>(value: Option<T>) -> Option<Box<dyn ToSql>> {
    value.map(|value| Box::new(value) as Box<dyn ToSql>)
}

/// A LIKE pattern for texts that contain `text` as it stands.
fn contains(text: &str) -> String {
    let mut pattern = String::from("%");
    for char in text.chars() {
        if matches!(char, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern.push('%');
    pattern
}

fn event_row(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        seq: row.get(0)?,
        at: row.get(1)?,
        kind: row.get(2)?,
        session: row.get(3)?,
        user: row.get(4)?,
        target: row.get(5)?,
        protocol: row.get(6)?,
        listener: row.get(7)?,
        client: row.get(8)?,
        application: row.get(9)?,
        grant_id: row.get(10)?,
        request_id: row.get(11)?,
        statement: row.get(12)?,
        fingerprint: row.get(13)?,
        parameters: row.get(14)?,
        decision: row.get(15)?,
        reason: row.get(16)?,
        attempt_seq: row.get(17)?,
        rows: row.get(18)?,
        bytes: row.get(19)?,
        masked_columns: row.get(20)?,
        duration_us: row.get(21)?,
        error_code: row.get(22)?,
        prev_hash: hash_text(row.get_ref(23)?),
        hash: hash_text(row.get_ref(24)?),
    })
}

fn hash_text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Blob(bytes) => hex(bytes),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => String::new(),
    }
}

/// `bytes` in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
