//! Requests and approvals in `grants.db`: queries only.

use std::{sync::Arc, time::Duration};

use hallpass_policy::{
    grant::ApprovedStatement,
    ids::{GrantId, RequestId, RoleName, Timestamp, UserName},
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{from_json, to_json};
use crate::store::{
    RequestFilter, Resources, StoreError,
    requests::{Approved, Closed, NewRequest, Request, RequestState, Subject, Way},
};

const COLUMNS: &str = "SELECT id, user, asked_by, role, statement, identity, export, unmask, max_rows_affected, \
                       targets, duration, reason, created, state, closed_at, closed_by, note, grant_id, way, extends, \
                       needed FROM requests";

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
            max_rows_affected: row.get::<_, Option<i64>>(from + 5)?.map(|rows| u64::try_from(rows).unwrap_or(0)),
        })),
    }
}

/// The row bound as a column holds it.
pub(super) fn bound(statement: Option<&ApprovedStatement>) -> Option<i64> {
    let rows = statement.and_then(|statement| statement.max_rows_affected)?;
    Some(i64::try_from(rows).unwrap_or(i64::MAX))
}

/// What of a row is not finished yet: targets and state as text.
struct Raw {
    request: Request,
    targets: String,
    state: String,
    closed: Closed,
    grant: Option<i64>,
    way: String,
    extends: Option<i64>,
    needed: String,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let created = Timestamp(row.get(12)?);
    Ok(Raw {
        request: Request {
            id: RequestId(row.get(0)?),
            asked: NewRequest {
                user: UserName::new(row.get::<_, String>(1)?),
                asked_by: UserName::new(row.get::<_, String>(2)?),
                subject: subject(row, 3)?,
                targets: Vec::new(),
                duration: from_micros(row.get(10)?),
                reason: Arc::from(row.get::<_, String>(11)?),
                created,
                way: Way::Grant,
                needed: Vec::new(),
            },
            approvals: Vec::new(),
            state: RequestState::Pending,
        },
        targets: row.get(9)?,
        state: row.get(13)?,
        closed: Closed {
            at: row.get::<_, Option<i64>>(14)?.map_or(created, Timestamp),
            by: UserName::new(row.get::<_, Option<String>>(15)?.unwrap_or_default()),
            reason: row.get(16)?,
        },
        grant: row.get(17)?,
        way: row.get(18)?,
        extends: row.get(19)?,
        needed: row.get(20)?,
    })
}

fn finish(connection: &Connection, raw: Raw) -> Result<Request, StoreError> {
    let Raw { mut request, targets, state, closed, grant, way, extends, needed } = raw;
    request.asked.targets = from_json(&targets)?;
    request.asked.needed = parsed(&needed)?;
    request.asked.way = match (way.as_str(), extends) {
        ("grant", None) => Way::Grant,
        ("extend", Some(grant)) => Way::Extend(GrantId(grant)),
        ("break_glass", None) => Way::BreakGlass,
        (other, _) => return Err(StoreError::Corrupt(format!("request {} of the kind `{other}`", request.id))),
    };
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

fn parsed<T: DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt(format!("`{json}`: {error}")))
}

fn written<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn insert(connection: &Connection, request: &NewRequest) -> Result<RequestId, StoreError> {
    let statement = request.subject.statement();
    let (way, extends) = match request.way {
        Way::Grant => ("grant", None),
        Way::Extend(grant) => ("extend", Some(grant.0)),
        Way::BreakGlass => ("break_glass", None),
    };
    connection.execute(
        "INSERT INTO requests (user, asked_by, role, statement, identity, export, unmask, targets, duration, reason,
                               created, state, max_rows_affected, way, extends, needed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'pending', ?12, ?13, ?14, ?15)",
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
            bound(statement),
            way,
            extends,
            written(&request.needed)?,
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

pub(super) fn before(
    connection: &Connection,
    filter: &RequestFilter,
    before: Option<RequestId>,
    most: u32,
) -> Result<Vec<Request>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{COLUMNS} WHERE (?1 IS NULL OR user = ?1) AND (NOT ?2 OR state = 'pending') AND (?3 IS NULL OR id < ?3)
           ORDER BY id DESC LIMIT ?4"
    ))?;
    let user = filter.user.as_ref().map(UserName::as_str);
    let rows = statement.query_map(params![user, filter.pending, before.map(|id| id.0), most], raw)?;
    let rows: Vec<Raw> = rows.collect::<Result<_, _>>()?;
    rows.into_iter().map(|row| finish(connection, row)).collect()
}

pub(super) fn insert_approval(connection: &Connection, id: RequestId, approval: &Approved) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO approvals (request, approver, at, duration, comment) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![id.0, approval.by.as_str(), approval.at.0, approval.duration.map(micros), approval.comment],
    )?;
    Ok(())
}

pub(super) fn change(connection: &Connection, request: &Request) -> Result<(), StoreError> {
    let asked = &request.asked;
    connection.execute(
        "UPDATE requests SET duration = ?2, reason = ?3, needed = ?4 WHERE id = ?1 AND state = 'pending'",
        params![request.id.0, micros(asked.duration), &*asked.reason, written(&asked.needed)?],
    )?;
    connection.execute("DELETE FROM approvals WHERE request = ?1", [request.id.0])?;
    Ok(())
}

pub(super) fn insert_resources(
    connection: &Connection,
    id: RequestId,
    resources: &Resources,
) -> Result<(), StoreError> {
    connection.execute("UPDATE requests SET resources = ?2 WHERE id = ?1", params![id.0, written(resources)?])?;
    Ok(())
}

pub(super) fn resources(connection: &Connection, id: RequestId) -> Result<Resources, StoreError> {
    let found: Option<String> =
        connection.query_row("SELECT resources FROM requests WHERE id = ?1", [id.0], |row| row.get(0)).optional()?;
    found.map_or_else(|| Ok(Resources::new()), |json| parsed(&json))
}

pub(super) fn set_held(connection: &Connection, id: RequestId, held: bool) -> Result<(), StoreError> {
    connection.execute("UPDATE requests SET held = ?2 WHERE id = ?1", params![id.0, held])?;
    Ok(())
}

pub(super) fn held(connection: &Connection) -> Result<Vec<RequestId>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM requests WHERE held = 1 ORDER BY id")?;
    let rows = statement.query_map([], |row| row.get(0).map(RequestId))?;
    Ok(rows.collect::<Result<_, _>>()?)
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
