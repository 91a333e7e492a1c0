//! Grants: what somebody may do on which targets until when. A grant is data; its end is decided by comparing times.

use std::{fmt, sync::Arc};

use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    ids::{GrantId, RequestId, RoleName, TargetName, Timestamp, UserName},
    statement::{Action, Need, Object, Statement},
};

/// What a grant allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum GrantKind {
    /// Everything the role allows.
    Role(RoleName),
    /// Exactly one approved statement.
    Statement(ApprovedStatement),
}

/// The statement of a statement grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovedStatement {
    /// Its text, as it was requested.
    pub text: Arc<str>,
    /// [`pin`] of that text: what a client's statement must equal.
    #[serde(skip)]
    pub identity: [u8; 32],
    /// Whether COPY-like bulk reads are allowed.
    pub export: bool,
    /// Whether masked columns are shown.
    pub unmask: bool,
    /// Of a statement that writes: how many rows it may change before it is rolled back; `None`: it only reads.
    pub max_rows_affected: Option<u64>,
}

/// A write's bound for people: `at most 3 rows changed`.
pub fn bound_said(rows: u64) -> String {
    format!("at most {rows} {} changed", if rows == 1 { "row" } else { "rows" })
}

/// What a statement grant pins of a statement: its parse tree with every literal, and what its names mean. Parameters
/// are parameters, whatever their values.
pub fn pin(statement: &Statement) -> [u8; 32] {
    let mut needs: Vec<String> =
        statement.needs.iter().map(|need| format!("{}\0{}\0", need.action, need.object)).collect();
    needs.sort();
    let mut hasher = Sha256::new();
    hasher.update(statement.identity);
    // No name holds a NUL.
    needs.iter().for_each(|need| hasher.update(need));
    hasher.finalize().into()
}

/// How a grant ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum GrantEnd {
    /// Its time is up.
    Expired,
    /// Somebody revoked it.
    Revoked {
        /// Who.
        by: UserName,
        /// Why, if they said.
        reason: Option<String>,
    },
}

/// A grant to store. Only [`Granting`](crate::request::Granting) makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewGrant {
    /// The request it comes from.
    pub request: RequestId,
    /// Who holds it.
    pub user: UserName,
    /// What it allows.
    pub kind: GrantKind,
    /// Where.
    pub targets: Vec<TargetName>,
    /// Now: the approval.
    pub starts: Timestamp,
    /// When it ends by itself.
    pub ends: Timestamp,
    /// Whether somebody has to look at it afterwards.
    pub review: ReviewState,
}

/// Whether somebody else has looked, or has to look, at a grant: every break-glass is reviewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ReviewState {
    /// It was approved beforehand.
    NotNeeded,
    /// Nobody has looked yet.
    Due {
        /// How soon somebody should.
        by: Timestamp,
    },
    /// Somebody has.
    Done {
        /// Who.
        by: UserName,
        /// When.
        at: Timestamp,
        /// What they said.
        comment: Arc<str>,
    },
}

/// Why a review does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoReview {
    /// The grant was approved beforehand.
    #[error("it was approved beforehand: there is nothing to review")]
    NotNeeded,
    /// Somebody has reviewed it.
    #[error("it is reviewed already")]
    Done,
    /// The holder looks at an own grant.
    #[error("nobody may review their own break-glass")]
    Own,
}

impl ReviewState {
    /// Reviewed by `by`, a grant of `holder`.
    ///
    /// # Errors
    /// When nothing is due, or the holder reviews.
    pub fn done(self, holder: &UserName, by: UserName, at: Timestamp, comment: Arc<str>) -> Result<Self, NoReview> {
        match self {
            Self::NotNeeded => Err(NoReview::NotNeeded),
            Self::Done { .. } => Err(NoReview::Done),
            Self::Due { .. } if by == *holder => Err(NoReview::Own),
            Self::Due { .. } => Ok(Self::Done { by, at, comment }),
        }
    }

    /// Whether somebody still has to look.
    pub fn is_due(&self) -> bool {
        matches!(self, Self::Due { .. })
    }
}

/// A grant that is, or was, active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// Its number.
    pub id: GrantId,
    /// The request it came from.
    pub request: RequestId,
    /// Who holds it.
    pub user: UserName,
    /// What it allows.
    pub kind: GrantKind,
    /// Where.
    pub targets: Vec<TargetName>,
    /// When it began: the approval.
    pub starts: Timestamp,
    /// When it ends by itself.
    pub ends: Timestamp,
    /// How it ended early, if it did.
    pub revoked: Option<GrantEnd>,
}

/// Whether `statement` is a write that a statement grant may hold: one INSERT, UPDATE or DELETE on one table, whose
/// count the server tells. A second write inside it would not be counted, and so not be bounded.
///
/// # Errors
/// What of it is not, for people.
pub fn bounded_write(statement: &Statement) -> Result<(), String> {
    // A call that is not known to compute only may write, too, and where a write is allowed nothing holds it back.
    let writes = || statement.needs.iter().filter(|need| need.action.writes());
    let dml = |action| matches!(action, Action::Insert | Action::Update | Action::Delete);
    if let Some(other) = writes().find(|need| !dml(need.action) || !matches!(need.object, Object::Relation(_))) {
        return Err(format!("`{}` on {} has no row bound", other.action, other.object));
    }
    if !matches!(statement.verb, "INSERT" | "UPDATE" | "DELETE") || statement.explain {
        return Err(format!("{} does not tell how many rows it changes", statement.verb));
    }
    let mut objects: Vec<&Object> = writes().map(|need| &need.object).collect();
    objects.dedup();
    if objects.len() > 1 || statement.features.inner_writes > 0 {
        return Err("it holds more than one write, and only one would be counted".into());
    }
    Ok(())
}

/// A function called inside an expression: as far as the session's fence lets it.
pub(crate) fn is_call(statement: &Statement, need: &Need) -> bool {
    matches!((&need.object, need.action), (Object::Function(_), Action::Call)) && statement.verb != "CALL"
}

impl Grant {
    /// Whether the grant authorises anything on `target` at `now`.
    pub fn active(&self, target: &TargetName, now: Timestamp) -> bool {
        self.revoked.is_none() && self.starts <= now && now < self.ends && self.targets.contains(target)
    }

    /// How the grant ended, if it has by `now`: `grant 3 (role fixer) expired at 2026-01-31 12:00:00Z`,
    /// `grant 3 (role fixer) was revoked by bob: reason`.
    pub fn ended(&self, now: Timestamp) -> Option<String> {
        let expired = || format!("{self} expired at {}", at(self.ends));
        match &self.revoked {
            Some(GrantEnd::Revoked { by, reason: Some(reason) }) => {
                Some(format!("{self} was revoked by {by}: {reason}"))
            }
            Some(GrantEnd::Revoked { by, reason: None }) => Some(format!("{self} was revoked by {by}")),
            Some(GrantEnd::Expired) => Some(expired()),
            None => (self.ends <= now).then(expired),
        }
    }
}

/// The grant for people: `grant 3 (role fixer)`, `grant 4 (one statement)`.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            GrantKind::Role(role) => write!(f, "grant {} (role {role})", self.id),
            GrantKind::Statement(_) => write!(f, "grant {} (one statement)", self.id),
        }
    }
}

/// A point in time for people, to the second: `2026-01-31 12:00:00Z`.
pub fn at(time: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(time.0) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => time.to_string(),
    }
}
