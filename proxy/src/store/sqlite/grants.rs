//! Grants in `grants.db`: queries only.

use hallpass_policy::{
    grant::{Grant, GrantEnd, GrantKind},
    ids::{GrantId, RequestId, RoleName, Timestamp, UserName},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{from_json, requests::subject, to_json};
use crate::store::{
    GrantFilter, StoreError,
    grants::{GrantRecord, NewGrant},
};

const COLUMNS: &str = "SELECT id, request, user, role, statement, identity, export, unmask, targets, starts, ends, \
                       revoked_at, revoked_by, note FROM grants";

fn raw(row: &Row<'_>) -> rusqlite::Result<(GrantRecord, String)> {
    let revoked_at: Option<i64> = row.get(11)?;
    let by: Option<String> = row.get(12)?;
    let grant = Grant {
        id: GrantId(row.get(0)?),
        request: RequestId(row.get(1)?),
        user: UserName::new(row.get::<_, String>(2)?),
        kind: subject(row, 3)?.kind(),
        targets: Vec::new(),
        starts: Timestamp(row.get(9)?),
        ends: Timestamp(row.get(10)?),
        revoked: match revoked_at {
            Some(_) => Some(GrantEnd::Revoked { by: UserName::new(by.unwrap_or_default()), reason: row.get(13)? }),
            None => None,
        },
    };
    Ok((GrantRecord { grant, revoked_at: revoked_at.map(Timestamp) }, row.get(8)?))
}

fn finish((mut record, targets): (GrantRecord, String)) -> Result<GrantRecord, StoreError> {
    record.grant.targets = from_json(&targets)?;
    Ok(record)
}

pub(super) fn insert(connection: &Connection, grant: &NewGrant) -> Result<GrantId, StoreError> {
    let (role, statement) = match &grant.kind {
        GrantKind::Role(role) => (Some(role), None),
        GrantKind::Statement(statement) => (None, Some(statement)),
    };
    connection.execute(
        "INSERT INTO grants (request, user, role, statement, identity, export, unmask, targets, starts, ends)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            grant.request.0,
            grant.user.as_str(),
            role.map(RoleName::as_str),
            statement.map(|statement| &*statement.text),
            statement.map(|statement| statement.identity),
            statement.is_some_and(|statement| statement.export),
            statement.is_some_and(|statement| statement.unmask),
            to_json(grant.targets.iter().map(|target| target.as_str())),
            grant.starts.0,
            grant.ends.0,
        ],
    )?;
    Ok(GrantId(connection.last_insert_rowid()))
}

pub(super) fn one(connection: &Connection, id: GrantId) -> Result<Option<GrantRecord>, StoreError> {
    let found = connection.query_row(&format!("{COLUMNS} WHERE id = ?1"), [id.0], raw).optional()?;
    found.map(finish).transpose()
}

pub(super) fn list(connection: &Connection, filter: &GrantFilter) -> Result<Vec<GrantRecord>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{COLUMNS} WHERE (?1 IS NULL OR user = ?1)
           AND (?2 IS NULL OR (ends >= ?2 AND (revoked_at IS NULL OR revoked_at >= ?2))) ORDER BY id DESC"
    ))?;
    let user = filter.user.as_ref().map(UserName::as_str);
    let since = filter.not_ended_before.map(|at| at.0);
    let rows: Vec<_> = statement.query_map(params![user, since], raw)?.collect::<Result<_, _>>()?;
    rows.into_iter().map(finish).collect()
}

pub(super) fn revoke(
    connection: &Connection,
    id: GrantId,
    by: &UserName,
    at: Timestamp,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE grants SET revoked_at = ?2, revoked_by = ?3, note = ?4, end_recorded = 1 WHERE id = ?1",
        params![id.0, at.0, by.as_str(), reason],
    )?;
    Ok(())
}

pub(super) fn take_expired(connection: &Connection, now: Timestamp) -> Result<Vec<GrantRecord>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{COLUMNS} WHERE end_recorded = 0 AND ends <= ?1 ORDER BY ends"))?;
    let rows: Vec<_> = statement.query_map([now.0], raw)?.collect::<Result<_, _>>()?;
    if !rows.is_empty() {
        connection.execute("UPDATE grants SET end_recorded = 1 WHERE end_recorded = 0 AND ends <= ?1", [now.0])?;
    }
    rows.into_iter().map(finish).collect()
}
