//! Requests: asked, changed, approved, rejected, cancelled, lapsed. Approval makes the grant, or moves its end, in the
//! same transaction. What may be asked is `check`'s affair, what an approval leads to `settle`'s.

use std::{sync::Arc, time::Duration};

use hallpass_audit::event::{Event, Kind};
use hallpass_policy::{
    grant::bound_said,
    ids::{RequestId, RoleName, TargetName, Timestamp, UserName},
    statement::Statement,
};

use super::{
    Hint, Ledger, LedgerError, Outcome, bounded, check, event, read_only,
    refusal::Tried,
    settle::{described, settle},
};
use crate::{
    config::{Config, units::human},
    store::{
        RequestFilter, Transaction,
        actor::{Actor, is_operator},
        grants::GrantRecord,
        page::{Filling, Page, Paged},
        requests::{Approved, Closed, NewRequest, Objection, Pending, Request, Subject, Way},
    },
};

/// What somebody asks for.
#[derive(Clone, Debug)]
pub enum AskFor {
    /// A role.
    Role(RoleName),
    /// One statement.
    Statement {
        /// Its text.
        text: Arc<str>,
        /// The same, understood with the names of each target, in their order.
        understood: Vec<Arc<Statement>>,
        /// Bulk reads, too.
        export: bool,
        /// Masked columns shown.
        unmask: bool,
        /// Of a write: the most rows it may change; `None`: as many as `[statements]` allows.
        max_rows_affected: Option<u64>,
    },
}

/// A question for a grant.
#[derive(Clone, Debug)]
pub struct Ask {
    /// For whom; `None`: for the actor.
    pub user: Option<UserName>,
    /// For what.
    pub subject: AskFor,
    /// Where.
    pub targets: Vec<TargetName>,
    /// For how long.
    pub duration: Duration,
    /// Why.
    pub reason: String,
}

/// What of a pending request is to change; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// For how long.
    pub duration: Option<Duration>,
    /// Why.
    pub reason: Option<String>,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The request as it is now.
    pub request: Request,
    /// The grant it made, if it did.
    pub grant: Option<GrantRecord>,
    /// Who must still approve, for people; empty when it is decided.
    pub waiting_for: String,
}

impl Decided {
    /// A request that was rejected or cancelled.
    pub fn closed(request: Request) -> Self {
        Self { request, grant: None, waiting_for: String::new() }
    }
}

impl Ledger {
    /// Asks for a grant. When every rule that applies is `auto`, the grant begins at once.
    ///
    /// # Errors
    /// When something asked for does not exist or may not be asked for, or an approval rule denies it or has no
    /// answer; the message says what would be right.
    pub fn ask(&self, actor: &Actor, ask: Ask) -> Outcome<Decided> {
        let config = self.shared.config.load_full();
        let now = self.now();
        self.attempt(Tried::ask(actor, &ask), |store, events| self.ask_in(&config, store, events, actor, ask, now))
    }

    /// The same inside a transaction.
    pub(super) fn ask_in(
        &self,
        config: &Config,
        store: &dyn Transaction,
        events: &mut Vec<Event>,
        actor: &Actor,
        ask: Ask,
        now: Timestamp,
    ) -> Outcome<Decided> {
        let (asked, resources) = check::checked(self, config, store, actor, ask, now)?;
        let pending = Self::asked_in(store, events, actor, asked)?;
        if !resources.is_empty() {
            store.insert_resources(pending.request().id, &resources)?;
        }
        settle(config, store, events, pending, now)
    }

    /// Stores a request and notes that it was asked.
    pub(super) fn asked_in(
        store: &dyn Transaction,
        events: &mut Vec<Event>,
        actor: &Actor,
        asked: NewRequest,
    ) -> Outcome<Pending> {
        let id = store.insert_request(&asked)?;
        let kind = if asked.way == Way::BreakGlass { Kind::BreakGlass } else { Kind::Request };
        let mut found = event(kind, asked.created, Some(actor), &asked.user, &asked.targets);
        found.request = Some(id);
        found.statement = asked.subject.statement().map(|statement| Arc::clone(&statement.text));
        found.reason = Some(said(&asked).into());
        events.push(found);
        Ok(asked.stored(id))
    }

    /// Changes what a pending request asks for. It is a new question: approvals it had count no more, and the rules are
    /// asked again.
    ///
    /// # Errors
    /// When it is not the actor's own, or decided, or may not be asked for like that.
    pub fn change_request(&self, actor: &Actor, id: RequestId, change: Change) -> Outcome<Decided> {
        let config = self.shared.config.load_full();
        let now = self.now();
        self.attempt(Tried::new(Kind::Request, actor).with_request(id), |store, events| {
            let request = in_hand(store, actor, id)?;
            if !actor.is_admin() && !request.asked.is_of(&actor.name) {
                return Err(LedgerError::forbidden(format!("request {id} is not yours to change")));
            }
            let pending = open(request)?;
            let duration = change.duration.unwrap_or(pending.request().asked.duration);
            let reason = match bounded(change.reason)? {
                Some(reason) => reason.into(),
                None => Arc::clone(&pending.request().asked.reason),
            };
            let asked = NewRequest { duration, reason, ..pending.request().asked.clone() };
            let resources = check::resources_again(self, &config, store, pending.request())?;
            let needed = check::again(self, &config, store, &asked, &resources)?;
            let pending = pending.change(asked.duration, asked.reason, needed);
            store.change_request(pending.request())?;
            let what = said(&pending.request().asked);
            events.push(decision(Kind::Request, now, actor, pending.request(), "change", Some(&what)));
            settle(&config, store, events, pending, now)
        })
    }

    /// Approves a request; when that was the last approval it needed, the grant begins.
    ///
    /// # Errors
    /// When the actor may not approve it, did already, or it is decided.
    pub fn approve(
        &self,
        actor: &Actor,
        id: RequestId,
        duration: Option<Duration>,
        comment: Option<String>,
    ) -> Outcome<Decided> {
        let config = self.shared.config.load_full();
        let now = self.now();
        self.attempt(Tried::new(Kind::Approval, actor).with_request(id), |store, events| {
            let pending = open(in_hand(store, actor, id)?)?;
            let approval = Approved { by: actor.name.clone(), at: now, duration, comment: bounded(comment)? };
            let asked = pending.request().asked.duration;
            let pending = pending.approve(&actor.voter(), approval.clone()).map_err(|objection| match objection {
                Objection::NotShorter => LedgerError::invalid(format!("{objection}: it asks for {}", human(asked))),
                other => refused(other, id),
            })?;
            store.insert_approval(id, &approval)?;
            events.push(decision(
                Kind::Approval,
                now,
                actor,
                pending.request(),
                "approve",
                approval.comment.as_deref(),
            ));
            settle(&config, store, events, pending, now)
        })
    }

    /// Rejects a request.
    ///
    /// # Errors
    /// When the actor may not decide it, or it is decided.
    pub fn reject(&self, actor: &Actor, id: RequestId, reason: Option<String>) -> Outcome<Request> {
        let now = self.now();
        self.attempt(Tried::new(Kind::Rejection, actor).with_request(id), |store, events| {
            let request = in_hand(store, actor, id)?;
            if request.asked.is_of(&actor.name) && !is_operator(&actor.name) {
                return Err(LedgerError::forbidden("nobody may reject their own request").hint(withdraw(id)));
            }
            let pending = open(request)?;
            let reason = bounded(reason)?;
            events.push(decision(Kind::Rejection, now, actor, pending.request(), "reject", reason.as_deref()));
            let request = pending.reject(Closed { by: actor.name.clone(), at: now, reason });
            store.update_state(&request)?;
            Ok(request)
        })
    }

    /// Withdraws a request.
    ///
    /// # Errors
    /// When it is neither the actor's own nor the actor an admin, or it is decided.
    pub fn cancel(&self, actor: &Actor, id: RequestId) -> Outcome<Request> {
        let now = self.now();
        self.change(|store, events| {
            let request = in_hand(store, actor, id)?;
            if !actor.is_admin() && !request.asked.is_of(&actor.name) {
                return Err(LedgerError::forbidden(format!("request {id} is not yours to cancel")).hint(Hint::typed(
                    "reject it",
                    &format!("reject {id}"),
                    &format!("reject({id}, 'why')"),
                )));
            }
            let closed = Closed { by: actor.name.clone(), at: now, reason: None };
            Self::cancel_in(store, events, actor, open(request)?, closed)
        })
    }

    pub(super) fn cancel_in(
        store: &dyn Transaction,
        events: &mut Vec<Event>,
        actor: &Actor,
        pending: Pending,
        closed: Closed,
    ) -> Outcome<Request> {
        let reason = closed.reason.clone();
        events.push(decision(Kind::Request, closed.at, actor, pending.request(), "cancel", reason.as_deref()));
        let request = pending.cancel(closed);
        store.update_state(&request)?;
        Ok(request)
    }

    /// One request that the actor may see.
    ///
    /// # Errors
    /// When there is none.
    pub fn request(&self, actor: &Actor, id: RequestId) -> Outcome<Decided> {
        let config = self.shared.config.load_full();
        let store = self.store.begin()?;
        let request = visible(&*store, actor, id)?;
        described(&config, &*store, request, self.now())
    }

    /// The requests that the actor may see: own ones, those the actor may decide, and all for admins and auditors.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn requests(&self, actor: &Actor, filter: &RequestFilter) -> Outcome<Vec<Decided>> {
        let config = self.shared.config.load_full();
        let store = self.store.begin()?;
        let found = store.requests(filter)?.into_iter().filter(|request| may_see(actor, request));
        let now = self.now();
        found.map(|request| described(&config, &*store, request, now)).collect()
    }

    /// A page of [`Ledger::requests`], newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn requests_page(
        &self,
        actor: &Actor,
        filter: &RequestFilter,
        page: Page<RequestId>,
    ) -> Outcome<Paged<Decided>> {
        let config = self.shared.config.load_full();
        let store = self.store.begin()?;
        let now = self.now();
        let mut filling = Filling::new(page);
        while let Some((behind, most)) = filling.wants() {
            let chunk = store.requests_before(filter, behind, most)?;
            filling.fetched(chunk, |request| request.id, |request| Outcome::Ok(may_see(actor, request)))?;
        }
        filling.done(|request| described(&config, &*store, request, now))
    }
}

/// A request that exists and that the actor may see; to anybody else it does not exist.
pub(super) fn visible(store: &dyn Transaction, actor: &Actor, id: RequestId) -> Outcome<Request> {
    let found = store.request(id)?.filter(|request| may_see(actor, request));
    found.ok_or_else(|| LedgerError::not_found(format!("there is no request {id}")))
}

/// A request that the actor has a say in. Who only reads it is told so; to anybody else it does not exist.
fn in_hand(store: &dyn Transaction, actor: &Actor, id: RequestId) -> Outcome<Request> {
    let request = visible(store, actor, id)?;
    if has_say(actor, &request) { Ok(request) } else { Err(read_only("requests")) }
}

fn may_see(actor: &Actor, request: &Request) -> bool {
    actor.sees_everything() || has_say(actor, request)
}

/// Whether it is the actor's own, or the actor may decide it.
fn has_say(actor: &Actor, request: &Request) -> bool {
    actor.is_admin() || request.asked.is_of(&actor.name) || may_decide(actor, request)
}

/// Whether the actor is among those who approve such requests.
pub(super) fn may_decide(actor: &Actor, request: &Request) -> bool {
    let voter = actor.voter();
    request.asked.needed().iter().any(|requirement| requirement.accepts(&voter))
}

pub(super) fn open(request: Request) -> Outcome<Pending> {
    request.pending().map_err(|request| {
        LedgerError::conflict(format!("request {} is {} already", request.id, request.state.as_str()))
    })
}

/// An objection of the policy's as the ledger's answer about request `id`.
pub(super) fn refused(objection: Objection, id: RequestId) -> LedgerError {
    let message = objection.to_string();
    match objection {
        Objection::Own => LedgerError::forbidden(message).hint(withdraw(id)),
        Objection::Twice { .. } => LedgerError::conflict(message).hint("somebody else must approve it, too"),
        Objection::NoApprover { .. } | Objection::NotForUser { .. } => LedgerError::forbidden(message),
        Objection::NotShorter | Objection::NoBreakGlass(_) => LedgerError::invalid(message),
        Objection::Unreviewed(grant) => LedgerError::conflict(message).hint(Hint::typed(
            "ask somebody else to look at it",
            &format!("review {grant} --comment \"…\""),
            &format!("review({grant}, '…')"),
        )),
        Objection::Over(_) => LedgerError::conflict(message).hint(ask_anew(None, &[])),
        Objection::LongEnough(_) | Objection::OtherWay(_) => LedgerError::conflict(message),
    }
}

pub(super) fn withdraw(id: RequestId) -> Hint {
    Hint::typed("withdraw it", &format!("cancel {id}"), &format!("cancel({id})"))
}

/// How to ask for what is over, if it was a role.
pub(super) fn ask_anew(role: Option<&RoleName>, targets: &[TargetName]) -> Hint {
    let Some(role) = role else {
        return Hint::typed("ask anew", "request …", "request('ROLE', '1 hour', 'why')");
    };
    let wheres: String = targets.iter().map(|target| format!(" --database {target}")).collect();
    let command = format!("request --role {role}{wheres} --for 1h --reason \"…\"");
    Hint::typed("ask anew", &command, &format!("request('{role}', '1 hour', '…')"))
}

pub(super) fn decision(
    kind: Kind,
    at: Timestamp,
    actor: &Actor,
    request: &Request,
    verb: &str,
    why: Option<&str>,
) -> Event {
    let mut found = event(kind, at, Some(actor), &actor.name, &request.asked.targets);
    found.request = Some(request.id);
    found.decision = Some(verb.into());
    found.reason = why.map(Into::into);
    found
}

/// What a request is for: `role fixer`, `one statement, at most 3 rows`.
pub(super) fn what(subject: &Subject) -> String {
    match subject {
        Subject::Role(role) => format!("role {role}"),
        Subject::Statement(statement) => {
            let extras = [(statement.export, ", export"), (statement.unmask, ", unmask")];
            let extras: String = extras.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
            let rows = statement.max_rows_affected.map(|rows| format!(", {}", bound_said(rows)));
            format!("one statement{extras}{}", rows.unwrap_or_default())
        }
    }
}

fn said(asked: &NewRequest) -> String {
    let who = if asked.asked_by == asked.user { String::new() } else { format!(" (asked by {})", asked.asked_by) };
    let longer = match asked.way {
        Way::Extend(grant) => format!("grant {grant} longer, "),
        Way::Grant | Way::BreakGlass => String::new(),
    };
    format!("{longer}{} for {}{who}: {}", what(&asked.subject), human(asked.duration), asked.reason)
}
