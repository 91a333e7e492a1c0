//! Requests and approvals in `grants.db`: queries only.

use std::{sync::Arc, time::Duration};

use hallpass_policy::{
    grant::ApprovedStatement,
    ids::{GrantId, RequestId, RoleName, Timestamp, UserName},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{from_json, to_json};
use crate::store::{
    RequestFilter, StoreError,
    requests::{Approved, Closed, NewRequest, Request, RequestState, Subject},
};

const COLUMNS: &str = "SELECT id, user, asked_by, role, statement, identity, export, unmask, targets, duration, reason, \
                       created, state, closed_at, closed_by, note, grant_id FROM requests";

/// µs as a column holds them.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn from_micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Role or statement from the columns that requests and grants share; the schema's CHECK leaves exactly one of them.
pub(super) fn subject(row: &Row<'_>, from: usize) -> rusqlite::Result<Subject> {
    let role: Option<String> = row.get(from)?;
    match role {
        Some(role) => Ok(Subject::Role(RoleName::new(role))),
        None => Ok(Subject::Statement(ApprovedStatement {
            text: Arc::from(row.get::<_, String>(from + 1)?),
            identity: row.get(from + 2)?,
            export: row.get(from + 3)?,
            unmask: row.get(from + 4)?,
        })),
    }
}

/// What of a row is not finished yet: targets and state as text.
struct Raw {
    request: Request,
    targets: String,
    state: String,
    closed: Closed,
    grant: Option<i64>,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let created = Timestamp(row.get(11)?);
    Ok(Raw {
        request: Request {
            id: RequestId(row.get(0)?),
            asked: NewRequest {
                user: UserName::new(row.get::<_, String>(1)?),
                asked_by: UserName::new(row.get::<_, String>(2)?),
                subject: subject(row, 3)?,
                targets: Vec::new(),
                duration: from_micros(row.get(9)?),
                reason: Arc::from(row.get::<_, String>(10)?),
                created,
            },
            approvals: Vec::new(),
            state: RequestState::Pending,
        },
        targets: row.get(8)?,
        state: row.get(12)?,
        closed: Closed {
            at: row.get::<_, Option<i64>>(13)?.map_or(created, Timestamp),
            by: UserName::new(row.get::<_, Option<String>>(14)?.unwrap_or_default()),
            reason: row.get(15)?,
        },
        grant: row.get(16)?,
    })
}

fn finish(connection: &Connection, raw: Raw) -> Result<Request, StoreError> {
    let Raw { mut request, targets, state, closed, grant } = raw;
    request.asked.targets = from_json(&targets)?;
    request.approvals = approvals(connection, request.id)?;
    request.state = match (state.as_str(), grant) {
        ("pending", None) => RequestState::Pending,
        ("approved", Some(grant)) => RequestState::Approved { at: closed.at, grant: GrantId(grant) },
        ("rejected", None) => RequestState::Rejected(closed),
        ("cancelled", None) => RequestState::Cancelled(closed),
        ("lapsed", None) => RequestState::Lapsed { at: closed.at },
        (other, _) => return Err(StoreError::Corrupt(format!("request {} in state `{other}`", request.id))),
    };
    Ok(request)
}

fn approvals(connection: &Connection, id: RequestId) -> Result<Vec<Approved>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT approver, at, duration, comment FROM approvals WHERE request = ?1 ORDER BY at, rowid",
    )?;
    let rows = statement.query_map([id.0], |row| {
        Ok(Approved {
            by: UserName::new(row.get::<_, String>(0)?),
            at: Timestamp(row.get(1)?),
            duration: row.get::<_, Option<i64>>(2)?.map(from_micros),
            comment: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn insert(connection: &Connection, request: &NewRequest) -> Result<RequestId, StoreError> {
    let statement = request.subject.statement();
    connection.execute(
        "INSERT INTO requests (user, asked_by, role, statement, identity, export, unmask, targets, duration, reason,
                               created, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'pending')",
        params![
            request.user.as_str(),
            request.asked_by.as_str(),
            request.subject.role().map(RoleName::as_str),
            statement.map(|statement| &*statement.text),
            statement.map(|statement| statement.identity),
            statement.is_some_and(|statement| statement.export),
            statement.is_some_and(|statement| statement.unmask),
            to_json(request.targets.iter().map(|target| target.as_str())),
            micros(request.duration),
            &*request.reason,
            request.created.0,
        ],
    )?;
    Ok(RequestId(connection.last_insert_rowid()))
}

pub(super) fn one(connection: &Connection, id: RequestId) -> Result<Option<Request>, StoreError> {
    let found = connection.query_row(&format!("{COLUMNS} WHERE id = ?1"), [id.0], raw).optional()?;
    found.map(|found| finish(connection, found)).transpose()
}

pub(super) fn list(connection: &Connection, filter: &RequestFilter) -> Result<Vec<Request>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{COLUMNS} WHERE (?1 IS NULL OR user = ?1) AND (NOT ?2 OR state = 'pending') ORDER BY id DESC"
    ))?;
    let user = filter.user.as_ref().map(UserName::as_str);
    let rows: Vec<Raw> = statement.query_map(params![user, filter.pending], raw)?.collect::<Result<_, _>>()?;
    rows.into_iter().map(|row| finish(connection, row)).collect()
}

pub(super) fn insert_approval(connection: &Connection, id: RequestId, approval: &Approved) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO approvals (request, approver, at, duration, comment) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![id.0, approval.by.as_str(), approval.at.0, approval.duration.map(micros), approval.comment],
    )?;
    Ok(())
}

pub(super) fn update_state(connection: &Connection, request: &Request) -> Result<(), StoreError> {
    let (at, closed, grant) = match &request.state {
        RequestState::Pending => (None, None, None),
        RequestState::Approved { at, grant } => (Some(*at), None, Some(grant.0)),
        RequestState::Rejected(closed) | RequestState::Cancelled(closed) => (Some(closed.at), Some(closed), None),
        RequestState::Lapsed { at } => (Some(*at), None, None),
    };
    connection.execute(
        "UPDATE requests SET state = ?2, closed_at = ?3, closed_by = ?4, note = ?5, grant_id = ?6 WHERE id = ?1",
        params![
            request.id.0,
            request.state.as_str(),
            at.map(|at| at.0),
            closed.map(|closed| closed.by.as_str()),
            closed.and_then(|closed| closed.reason.as_deref()),
            grant,
        ],
    )?;
    Ok(())
}
