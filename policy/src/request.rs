//! Requests and their way to a grant. States are types: a transition consumes the pending request, so that nothing is
//! decided twice, and what begins a grant ([`Granting`], [`Extending`]) is made here and nowhere else, after the
//! approvals that the request needs. Knows no store and no clock.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use thiserror::Error;

use crate::{
    approval::{Requirement, Standing, Voter, waiting_for},
    grant::{ApprovedStatement, Grant, GrantKind, NewGrant, ReviewState},
    ids::{GrantId, Principal, RequestId, RoleName, TargetName, Timestamp, UserName},
    role::Role,
};

#[cfg(test)]
mod tests;

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

/// What an approved request leads to, and by which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A new grant, once it is approved.
    Grant,
    /// A later end of this grant, once it is approved.
    Extend(GrantId),
    /// A new grant at once, reviewed afterwards.
    BreakGlass,
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
    /// For how long, from the approval on; of an extension: how much longer.
    pub duration: Duration,
    /// Why.
    pub reason: Arc<str>,
    /// When.
    pub created: Timestamp,
    /// What it leads to.
    pub way: Way,
    /// What it must satisfy, by the rules that were in force when it was asked; empty: an admin must approve.
    pub needed: Vec<Requirement>,
}

impl NewRequest {
    /// As stored under `id`.
    pub fn stored(self, id: RequestId) -> Pending {
        Pending(Request { id, asked: self, approvals: Vec::new(), state: RequestState::Pending })
    }

    /// What it must satisfy; never nothing.
    pub fn needed(&self) -> &[Requirement] {
        if self.needed.is_empty() { &[Requirement::Admin] } else { &self.needed }
    }

    /// Whether `name` is the user it is for, or asked for that user.
    pub fn is_of(&self, name: &UserName) -> bool {
        self.user == *name || self.asked_by == *name
    }
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
    /// Made a grant, or made one last longer.
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

/// Why a transition does not happen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Objection {
    /// The requester decides.
    #[error("nobody may approve their own request")]
    Own,
    /// No rule that applies names the approver.
    #[error("`{name}` may not approve request {id}; that is for {who}")]
    NoApprover {
        /// Who tried.
        name: UserName,
        /// Which request.
        id: RequestId,
        /// Who may, for people.
        who: String,
    },
    /// The same approver again.
    #[error("`{name}` approved request {id} already")]
    Twice {
        /// Who.
        name: UserName,
        /// Which request.
        id: RequestId,
    },
    /// The approver gives more than was asked for, or nothing.
    #[error("an approver may shorten a request, not lengthen it")]
    NotShorter,
    /// The role is not for emergencies.
    #[error("role `{0}` has no break-glass")]
    NoBreakGlass(RoleName),
    /// The user is in none of the groups.
    #[error("`{user}` may not break the glass for role `{role}`")]
    NotForUser {
        /// Who tried.
        user: UserName,
        /// For which role.
        role: RoleName,
    },
    /// An earlier break-glass has not been looked at.
    #[error("grant {0} was a break-glass, and nobody has reviewed it yet")]
    Unreviewed(GrantId),
    /// The grant to extend is over.
    #[error("{0} is over, and cannot be extended")]
    Over(String),
    /// An extension that would add nothing.
    #[error("{0} lasts as long as it may already")]
    LongEnough(String),
    /// The request is of another kind.
    #[error("request {0} is of another kind")]
    OtherWay(RequestId),
}

/// What bounds a grant at the moment it begins, besides what was asked.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Now.
    pub now: Timestamp,
    /// The role's `max_duration`, or that of statements, as it is now.
    pub longest: Option<Duration>,
    /// When the user stops being one.
    pub user_until: Option<Timestamp>,
}

impl Terms {
    fn end(&self, duration: Duration) -> Timestamp {
        let duration = self.longest.map_or(duration, |longest| longest.min(duration));
        self.no_later(self.now.after(duration))
    }

    fn no_later(&self, end: Timestamp) -> Timestamp {
        self.user_until.map_or(end, |until| until.min(end))
    }
}

/// A request that can still be decided.
#[derive(Clone, Debug)]
pub struct Pending(Request);

/// What a pending request has become with the approvals that it has.
#[derive(Debug)]
pub enum Settled {
    /// Others must say yes, too; for people.
    Waiting(Pending, String),
    /// A grant begins.
    Grant(Granting),
    /// A grant lasts longer.
    Extend(Extending),
}

impl Pending {
    /// The request itself.
    pub fn request(&self) -> &Request {
        &self.0
    }

    /// With one approval more.
    ///
    /// # Errors
    /// When this approver's yes does not count, or is no yes to what was asked.
    pub fn approve(mut self, approver: &Voter, approval: Approved) -> Result<Self, Objection> {
        let (id, asked) = (self.0.id, &self.0.asked);
        let name = || approver.principal.user.clone();
        if !may_vote(asked, approver) {
            return Err(Objection::Own);
        }
        if !approver.standing.is_admin() && !asked.needed().iter().any(|needed| needed.accepts(approver)) {
            return Err(Objection::NoApprover { name: name(), id, who: waiting_for(asked.needed(), &[]) });
        }
        if self.0.approvals.iter().any(|earlier| earlier.by == approver.principal.user) {
            return Err(Objection::Twice { name: name(), id });
        }
        if approval.duration.is_some_and(|shorter| shorter > asked.duration || shorter.is_zero()) {
            return Err(Objection::NotShorter);
        }
        self.0.approvals.push(Approved { by: name(), ..approval });
        Ok(self)
    }

    /// Asked anew, for another time or reason: what was approved so far was something else, and counts no more.
    #[must_use]
    pub fn change(mut self, duration: Duration, reason: Arc<str>, needed: Vec<Requirement>) -> Self {
        self.0.asked = NewRequest { duration, reason, needed, ..self.0.asked };
        self.0.approvals.clear();
        self
    }

    /// What the request has become. `voters` are the approvers as they are now: who left counts no more.
    pub fn settle(self, voters: &[Voter], terms: &Terms) -> Settled {
        let asked = &self.0.asked;
        let yes: Vec<Voter> = voters
            .iter()
            .filter(|voter| may_vote(asked, voter) && self.0.approvals.iter().any(|a| a.by == voter.principal.user))
            .cloned()
            .collect();
        let waiting_for = waiting_for(asked.needed(), &yes);
        match asked.way {
            Way::Grant if waiting_for.is_empty() => {
                let ends = terms.end(self.duration());
                Settled::Grant(Granting { request: self.0, starts: terms.now, ends, review: ReviewState::NotNeeded })
            }
            Way::Extend(grant) if waiting_for.is_empty() => {
                let by = self.duration();
                Settled::Extend(Extending { request: self.0, grant, by, terms: *terms })
            }
            Way::Grant | Way::Extend(_) | Way::BreakGlass => Settled::Waiting(self, waiting_for),
        }
    }

    /// The grant at once, without approval. `unreviewed` is an earlier break-glass of the user that nobody has
    /// reviewed.
    ///
    /// # Errors
    /// When the role, the user or an earlier break-glass forbids it.
    pub fn break_glass(
        self,
        role: &Role,
        principal: &Principal,
        unreviewed: Option<GrantId>,
        terms: &Terms,
    ) -> Result<Granting, Objection> {
        let asked = &self.0.asked;
        if asked.way != Way::BreakGlass || asked.user != principal.user || asked.subject.role() != Some(&role.name) {
            return Err(Objection::OtherWay(self.0.id));
        }
        let Some(glass) = &role.break_glass else { return Err(Objection::NoBreakGlass(role.name.clone())) };
        if !glass.groups.iter().any(|group| principal.groups.contains(group)) {
            return Err(Objection::NotForUser { user: principal.user.clone(), role: role.name.clone() });
        }
        if let Some(earlier) = unreviewed {
            return Err(Objection::Unreviewed(earlier));
        }
        let ends = terms.end(asked.duration.min(glass.max_duration));
        let review = ReviewState::Due { by: terms.now.after(glass.review_within) };
        Ok(Granting { request: self.0, starts: terms.now, ends, review })
    }

    /// How long the grant may be: what was asked for, or what the most careful approver says.
    pub fn duration(&self) -> Duration {
        let shortest = self.0.approvals.iter().filter_map(|approval| approval.duration).min();
        shortest.map_or(self.0.asked.duration, |shortest| shortest.min(self.0.asked.duration))
    }

    /// Rejected.
    pub fn reject(self, closed: Closed) -> Request {
        close(self.0, RequestState::Rejected(closed))
    }

    /// Withdrawn.
    pub fn cancel(self, closed: Closed) -> Request {
        close(self.0, RequestState::Cancelled(closed))
    }

    /// Too old.
    pub fn lapse(self, at: Timestamp) -> Request {
        close(self.0, RequestState::Lapsed { at })
    }
}

/// Nobody decides about an own request. The operator who asked for another may: whoever runs the proxy could do
/// anything anyway, and it is recorded.
fn may_vote(asked: &NewRequest, voter: &Voter) -> bool {
    let name = &voter.principal.user;
    asked.user != *name && (asked.asked_by != *name || voter.standing == Standing::Operator)
}

fn close(mut request: Request, state: RequestState) -> Request {
    request.state = state;
    request
}

/// A request whose grant begins now.
#[derive(Debug)]
pub struct Granting {
    request: Request,
    starts: Timestamp,
    ends: Timestamp,
    review: ReviewState,
}

impl Granting {
    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The grant to store.
    pub fn grant(&self) -> NewGrant {
        let asked = &self.request.asked;
        NewGrant {
            request: self.request.id,
            user: asked.user.clone(),
            kind: asked.subject.kind(),
            targets: asked.targets.clone(),
            starts: self.starts,
            ends: self.ends,
            review: self.review.clone(),
        }
    }

    /// The request, approved, with the number of the grant that it made.
    pub fn done(self, grant: GrantId) -> Request {
        close(self.request, RequestState::Approved { at: self.starts, grant })
    }
}

/// A request whose grant lasts longer from now on.
#[derive(Debug)]
pub struct Extending {
    request: Request,
    grant: GrantId,
    by: Duration,
    terms: Terms,
}

impl Extending {
    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Which grant.
    pub fn grant(&self) -> GrantId {
        self.grant
    }

    /// The grant's new end, and the request, approved: later by what was approved, but no later than a grant that
    /// began now could end.
    ///
    /// # Errors
    /// When `grant` is another, over, or lasts that long already.
    pub fn done(self, grant: &Grant) -> Result<(Timestamp, Request), Objection> {
        let Self { request, by, terms, .. } = self;
        if grant.id != self.grant || grant.user != request.asked.user || grant.kind != request.asked.subject.kind() {
            return Err(Objection::OtherWay(request.id));
        }
        if let Some(ended) = grant.ended(terms.now) {
            return Err(Objection::Over(ended));
        }
        let latest = terms.longest.map_or(Timestamp(i64::MAX), |longest| terms.now.after(longest));
        let ends = terms.no_later(grant.ends.after(by).min(latest));
        if ends <= grant.ends {
            return Err(Objection::LongEnough(grant.to_string()));
        }
        Ok((ends, close(request, RequestState::Approved { at: terms.now, grant: grant.id })))
    }
}
