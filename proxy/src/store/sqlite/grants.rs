//! Grants in `grants.db`: queries only.

use hallpass_policy::{
    grant::{Grant, GrantEnd, GrantKind},
    ids::{GrantId, RequestId, RoleName, Timestamp, UserName},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    from_json,
    requests::{bound, subject},
    to_json,
};
use crate::store::{
    GrantFilter, StoreError, Which,
    grants::{GrantRecord, NewGrant, ReviewState},
};

const COLUMNS: &str = "SELECT id, request, user, role, statement, identity, export, unmask, max_rows_affected, \
                       targets, starts, ends, revoked_at, revoked_by, note, review_due, reviewed_at, reviewed_by, \
                       review_comment, end_recorded FROM grants";

fn raw(row: &Row<'_>) -> rusqlite::Result<(GrantRecord, String)> {
    let revoked_at: Option<i64> = row.get(12)?;
    let by: Option<String> = row.get(13)?;
    let grant = Grant {
        id: GrantId(row.get(0)?),
        request: RequestId(row.get(1)?),
        user: UserName::new(row.get::<_, String>(2)?),
        kind: subject(row, 3)?.kind(),
        targets: Vec::new(),
        starts: Timestamp(row.get(10)?),
        ends: Timestamp(row.get(11)?),
        revoked: match revoked_at {
            Some(_) => Some(GrantEnd::Revoked { by: UserName::new(by.unwrap_or_default()), reason: row.get(14)? }),
            // Whose end is on record is over, whatever the clock says later.
            None => row.get::<_, bool>(19)?.then_some(GrantEnd::Expired),
        },
    };
    Ok((GrantRecord { grant, revoked_at: revoked_at.map(Timestamp), review: review(row)? }, row.get(9)?))
}

fn review(row: &Row<'_>) -> rusqlite::Result<ReviewState> {
    let (due, at): (Option<i64>, Option<i64>) = (row.get(15)?, row.get(16)?);
    Ok(match (due, at) {
        (None, _) => ReviewState::NotNeeded,
        (Some(by), None) => ReviewState::Due { by: Timestamp(by) },
        (Some(_), Some(at)) => {
            let (by, comment): (Option<String>, Option<String>) = (row.get(17)?, row.get(18)?);
            let by = UserName::new(by.unwrap_or_default());
            ReviewState::Done { by, at: Timestamp(at), comment: comment.unwrap_or_default().into() }
        }
    })
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
        "INSERT INTO grants (request, user, role, statement, identity, export, unmask, targets, starts, ends,
                             max_rows_affected, review_due)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
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
            bound(statement),
            due(&grant.review),
        ],
    )?;
    Ok(GrantId(connection.last_insert_rowid()))
}

/// When a review that nobody has made is due.
fn due(review: &ReviewState) -> Option<i64> {
    match review {
        ReviewState::Due { by } => Some(by.0),
        ReviewState::NotNeeded | ReviewState::Done { .. } => None,
    }
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

pub(super) fn extend(connection: &Connection, id: GrantId, ends: Timestamp) -> Result<(), StoreError> {
    connection.execute("UPDATE grants SET ends = ?2 WHERE id = ?1", params![id.0, ends.0])?;
    Ok(())
}

pub(super) fn insert_review(connection: &Connection, id: GrantId, review: &ReviewState) -> Result<(), StoreError> {
    if let ReviewState::Done { by, at, comment } = review {
        connection.execute(
            "UPDATE grants SET reviewed_at = ?2, reviewed_by = ?3, review_comment = ?4 WHERE id = ?1",
            params![id.0, at.0, by.as_str(), &**comment],
        )?;
    }
    Ok(())
}

const UNREVIEWED: &str = "review_due IS NOT NULL AND reviewed_at IS NULL";

pub(super) fn unreviewed(connection: &Connection, user: Option<&UserName>) -> Result<Vec<GrantRecord>, StoreError> {
    let mut statement = connection
        .prepare_cached(&format!("{COLUMNS} WHERE {UNREVIEWED} AND (?1 IS NULL OR user = ?1) ORDER BY starts, id"))?;
    let rows: Vec<_> = statement.query_map(params![user.map(UserName::as_str)], raw)?.collect::<Result<_, _>>()?;
    rows.into_iter().map(finish).collect()
}

pub(super) fn after(
    connection: &Connection,
    which: Which,
    now: Timestamp,
    after: Option<GrantId>,
    most: u32,
) -> Result<Vec<GrantRecord>, StoreError> {
    let wanted = match which {
        Which::All => "1".to_owned(),
        Which::OfInterest => format!("((ends >= ?1 AND revoked_at IS NULL) OR ({UNREVIEWED}))"),
        Which::Unreviewed => UNREVIEWED.to_owned(),
    };
    // The parameter is named in every text, so that each takes the same three.
    let mut statement = connection.prepare_cached(&format!(
        "{COLUMNS} WHERE {wanted} AND ?1 IS NOT NULL AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3"
    ))?;
    let rows: Vec<_> =
        statement.query_map(params![now.0, after.map(|id| id.0), most], raw)?.collect::<Result<_, _>>()?;
    rows.into_iter().map(finish).collect()
}

pub(super) fn take_overdue(connection: &Connection, now: Timestamp) -> Result<Vec<GrantRecord>, StoreError> {
    let overdue = format!("{UNREVIEWED} AND overdue_recorded = 0 AND review_due <= ?1");
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE {overdue} ORDER BY review_due"))?;
    let rows: Vec<_> = statement.query_map([now.0], raw)?.collect::<Result<_, _>>()?;
    if !rows.is_empty() {
        connection.execute(&format!("UPDATE grants SET overdue_recorded = 1 WHERE {overdue}"), [now.0])?;
    }
    rows.into_iter().map(finish).collect()
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
