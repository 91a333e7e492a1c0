//! Requests and their states. A transition consumes the pending request, so that nothing is decided twice; what may
//! be decided by whom is the ledger's affair.

use std::{sync::Arc, time::Duration};

use hallpass_policy::{
    grant::{ApprovedStatement, GrantKind},
    ids::{GrantId, RequestId, RoleName, TargetName, Timestamp, UserName},
};
use serde::Serialize;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Everything a role allows.
    Role(RoleName),
    /// One statement.
    Statement(ApprovedStatement),
}

impl Subject {
    /// What a grant for it allows.
    pub fn kind(&self) -> GrantKind {
        match self {
            Self::Role(role) => GrantKind::Role(role.clone()),
            Self::Statement(statement) => GrantKind::Statement(statement.clone()),
        }
    }

    /// The role, of a role request.
    pub fn role(&self) -> Option<&RoleName> {
        match self {
            Self::Role(role) => Some(role),
            Self::Statement(_) => None,
        }
    }

    /// The statement, of a statement request.
    pub fn statement(&self) -> Option<&ApprovedStatement> {
        match self {
            Self::Role(_) => None,
            Self::Statement(statement) => Some(statement),
        }
    }
}

/// A request to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// Who is to hold the grant.
    pub user: UserName,
    /// Who asked: the user, or an admin for the user.
    pub asked_by: UserName,
    /// For what.
    pub subject: Subject,
    /// Where.
    pub targets: Vec<TargetName>,
    /// For how long, from the approval on.
    pub duration: Duration,
    /// Why.
    pub reason: Arc<str>,
    /// When.
    pub created: Timestamp,
}

/// One approver's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Approved {
    /// Who.
    pub by: UserName,
    /// When.
    pub at: Timestamp,
    /// For how long at most, if shorter than asked for.
    #[serde(skip)]
    pub duration: Option<Duration>,
    /// What they said.
    pub comment: Option<String>,
}

/// Where a request is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// Waits for approvals.
    Pending,
    /// Made a grant.
    Approved {
        /// When.
        at: Timestamp,
        /// Which.
        grant: GrantId,
    },
    /// Somebody said no.
    Rejected(Closed),
    /// The requester, or an admin, withdrew it.
    Cancelled(Closed),
    /// Nobody decided in time.
    Lapsed {
        /// When.
        at: Timestamp,
    },
}

/// Who closed a request, when, and what they said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Who.
    pub by: UserName,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

impl RequestState {
    /// As in the store and the API.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved { .. } => "approved",
            Self::Rejected(_) => "rejected",
            Self::Cancelled(_) => "cancelled",
            Self::Lapsed { .. } => "lapsed",
        }
    }
}

/// A stored request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// What was asked.
    pub asked: NewRequest,
    /// Who approved so far.
    pub approvals: Vec<Approved>,
    /// Where it is.
    pub state: RequestState,
}

impl Request {
    /// The request as one that can still be decided; otherwise itself again.
    ///
    /// # Errors
    /// The request, when it is decided already.
    pub fn pending(self) -> Result<Pending, Box<Self>> {
        match self.state {
            RequestState::Pending => Ok(Pending(self)),
            RequestState::Approved { .. }
            | RequestState::Rejected(_)
            | RequestState::Cancelled(_)
            | RequestState::Lapsed { .. } => Err(Box::new(self)),
        }
    }
}

/// A request that can still be decided.
#[derive(Clone, Debug)]
pub struct Pending(Request);

impl Pending {
    /// The request itself.
    pub fn request(&self) -> &Request {
        &self.0
    }

    /// With one approval more.
    #[must_use]
    pub fn approved_by(mut self, approval: Approved) -> Self {
        self.0.approvals.push(approval);
        self
    }

    /// How long the grant may be: what was asked for, or what the most careful approver says.
    pub fn duration(&self) -> Duration {
        let shortest = self.0.approvals.iter().filter_map(|approval| approval.duration).min();
        shortest.map_or(self.0.asked.duration, |shortest| shortest.min(self.0.asked.duration))
    }

    /// Approved, with the grant it made.
    pub fn approve(self, at: Timestamp, grant: GrantId) -> Request {
        self.close(RequestState::Approved { at, grant })
    }

    /// Rejected.
    pub fn reject(self, closed: Closed) -> Request {
        self.close(RequestState::Rejected(closed))
    }

    /// Withdrawn.
    pub fn cancel(self, closed: Closed) -> Request {
        self.close(RequestState::Cancelled(closed))
    }

    /// Too old.
    pub fn lapse(self, at: Timestamp) -> Request {
        self.close(RequestState::Lapsed { at })
    }

    fn close(mut self, state: RequestState) -> Request {
        self.0.state = state;
        self.0
    }
}
