//! Grants: what somebody may do on which targets until when. A grant is data; its end is decided by comparing times.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::ids::{GrantId, RequestId, RoleName, TargetName, Timestamp, UserName};

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
    /// [`Statement::identity`](crate::statement::Statement::identity) of that text: what a client's statement must
    /// equal.
    #[serde(skip)]
    pub identity: [u8; 32],
    /// Whether COPY-like bulk reads are allowed.
    pub export: bool,
    /// Whether masked columns are shown.
    pub unmask: bool,
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
