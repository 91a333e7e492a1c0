//! Requests: asked, approved, rejected, cancelled, lapsed. Approval makes the grant in the same transaction.

use std::{sync::Arc, time::Duration};

use hallpass_audit::event::{Event, Kind};
use hallpass_policy::{
    grant::ApprovedStatement,
    ids::{RequestId, RoleName, TargetName, Timestamp, UserName},
    statement::Statement,
};

use super::{
    Ledger, LedgerError, Outcome, event,
    rules::{Requirement, Voter, requirements, waiting_for},
    users::{capped, must},
};
use crate::{
    config::{Config, units::human},
    store::{
        RequestFilter, Transaction,
        actor::{Actor, is_among, is_operator, party_name},
        grants::{GrantRecord, NewGrant},
        requests::{Approved, Closed, NewRequest, Pending, Request, RequestState, Subject},
        users::User,
    },
};

/// The longest statement a request may hold, bytes.
const LONGEST_STATEMENT: usize = 100_000;
/// The longest reason or comment, bytes.
const LONGEST_REASON: usize = 4000;

/// What somebody asks for.
#[derive(Clone, Debug)]
pub enum AskFor {
    /// A role.
    Role(RoleName),
    /// One statement.
    Statement {
        /// Its text.
        text: Arc<str>,
        /// The same, understood with the names of each target.
        understood: Vec<Arc<Statement>>,
        /// Bulk reads, too.
        export: bool,
        /// Masked columns shown.
        unmask: bool,
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

impl Ledger {
    /// Asks for a grant. When every rule that applies is `auto`, the grant begins at once.
    ///
    /// # Errors
    /// When something asked for does not exist or may not be asked for; the message says what would be right.
    pub fn ask(&self, actor: &Actor, ask: Ask) -> Outcome<Decided> {
        let config = self.shared.config.load_full();
        let now = self.now();
        self.change(|store, events| {
            let asked = checked(&config, store, actor, ask, now)?;
            let id = store.insert_request(&asked)?;
            let mut asked_event = event(Kind::Request, now, Some(actor), &asked.user, &asked.targets);
            asked_event.request = Some(id);
            asked_event.statement = asked.subject.statement().map(|statement| Arc::clone(&statement.text));
            asked_event.reason = Some(said(&asked).into());
            events.push(asked_event);
            let request = Request { id, asked, approvals: Vec::new(), state: RequestState::Pending };
            match request.pending() {
                Ok(pending) => settle(&config, store, events, pending, now),
                Err(_) => Err(LedgerError::conflict("a new request is not pending")),
            }
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
        self.change(|store, events| {
            let pending = self.decidable(&config, store, actor, id, "approve")?;
            let asked = pending.request().asked.duration;
            if duration.is_some_and(|duration| duration > asked || duration.is_zero()) {
                return Err(LedgerError::invalid(format!(
                    "an approver may shorten a request, not lengthen it: it asks for {}",
                    human(asked)
                )));
            }
            if pending.request().approvals.iter().any(|approval| approval.by == actor.name) {
                return Err(LedgerError::conflict(format!("`{}` approved request {id} already", actor.name))
                    .hint("somebody else must approve it, too"));
            }
            let comment = bounded(comment)?;
            let approval = Approved { by: actor.name.clone(), at: now, duration, comment };
            store.insert_approval(id, &approval)?;
            events.push(decision(
                Kind::Approval,
                now,
                actor,
                pending.request(),
                "approve",
                approval.comment.as_deref(),
            ));
            settle(&config, store, events, pending.approved_by(approval), now)
        })
    }

    /// Rejects a request.
    ///
    /// # Errors
    /// When the actor may not decide it, or it is decided.
    pub fn reject(&self, actor: &Actor, id: RequestId, reason: Option<String>) -> Outcome<Request> {
        let config = self.shared.config.load_full();
        let now = self.now();
        self.change(|store, events| {
            let pending = self.decidable(&config, store, actor, id, "reject")?;
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
        let config = self.shared.config.load_full();
        let now = self.now();
        self.change(|store, events| {
            let request = visible(&config, store, actor, id)?;
            if !actor.is_admin() && !is_own(actor, &request) {
                return Err(LedgerError::forbidden(format!("request {id} is not yours to cancel"))
                    .hint(format!("reject it: hallpass reject {id}")));
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
        let request = visible(&config, &*store, actor, id)?;
        described(&config, &*store, request, self.now())
    }

    /// The requests that the actor may see: own ones, those the actor may decide, and all for an admin.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn requests(&self, actor: &Actor, filter: &RequestFilter) -> Outcome<Vec<Decided>> {
        let config = self.shared.config.load_full();
        let store = self.store.begin()?;
        let found = store.requests(filter)?.into_iter().filter(|request| may_see(&config, actor, request));
        let now = self.now();
        found.map(|request| described(&config, &*store, request, now)).collect()
    }

    /// Lapses requests that nobody decided in time and records the end of grants whose time is up. Call it every
    /// second or so.
    ///
    /// # Errors
    /// When the store or the audit cannot be written; the next call tries again.
    pub fn sweep(&self) -> Outcome<()> {
        self.end_expired_sessions()?;
        let now = self.now();
        let timeout = self.shared.config.load().server.request_timeout;
        let nothing_to_do = {
            let store = self.store.begin()?;
            let overdue = |request: &Request| request.asked.created.after(timeout) <= now;
            !store.requests(&RequestFilter { user: None, pending: true })?.iter().any(overdue)
                && store.take_expired(now)?.is_empty()
        };
        if nothing_to_do {
            return Ok(());
        }
        self.change(|store, events| {
            for request in store.requests(&RequestFilter { user: None, pending: true })? {
                if request.asked.created.after(timeout) <= now
                    && let Ok(pending) = request.pending()
                {
                    let request = pending.lapse(now);
                    store.update_state(&request)?;
                    let mut lapsed = event(Kind::Request, now, None, &request.asked.user, &request.asked.targets);
                    lapsed.request = Some(request.id);
                    lapsed.decision = Some("lapse".into());
                    lapsed.reason = Some(format!("not decided within {}", human(timeout)).into());
                    events.push(lapsed);
                }
            }
            for record in store.take_expired(now)? {
                events.push(super::grants::ended(&record.grant, record.grant.ends, None, "expired"));
            }
            Ok(())
        })
    }

    /// A pending request that the actor may decide: not an own one, and one whose rules accept the actor.
    fn decidable(
        &self,
        config: &Config,
        store: &dyn Transaction,
        actor: &Actor,
        id: RequestId,
        verb: &str,
    ) -> Outcome<Pending> {
        let request = visible(config, store, actor, id)?;
        let own = is_own(actor, &request);
        let pending = open(request)?;
        if own && !is_operator(&actor.name) {
            return Err(LedgerError::forbidden(format!("nobody may {verb} their own request"))
                .hint(format!("withdraw it: hallpass cancel {id}")));
        }
        let asked = &pending.request().asked;
        let needed = requirements(&config.approvals, &asked.subject, &asked.targets);
        let voter = Voter { principal: actor.principal(), admin: actor.is_admin() };
        if !actor.is_admin() && !needed.iter().any(|requirement| requirement.accepts(&voter)) {
            return Err(LedgerError::forbidden(format!(
                "`{}` may not {verb} request {id}; that is for {}",
                actor.name,
                waiting_for(&needed, &[])
            )));
        }
        Ok(pending)
    }
}

/// Checks a question against configuration and store.
fn checked(config: &Config, store: &dyn Transaction, actor: &Actor, ask: Ask, now: Timestamp) -> Outcome<NewRequest> {
    let name = match ask.user {
        Some(name) if name != actor.name && !actor.is_admin() => {
            return Err(LedgerError::forbidden(format!("only an admin may ask for another, `{name}`")));
        }
        Some(name) => name,
        None if is_operator(&actor.name) => {
            return Err(
                LedgerError::invalid("for whom").hint("add `--user NAME`, or set HALLPASS_TOKEN to a user's token")
            );
        }
        None => actor.name.clone(),
    };
    let user = must(store, &name)?;
    if !user.active(now) {
        return Err(LedgerError::invalid(format!("user `{name}` is disabled or expired")));
    }
    let targets = known_targets(config, ask.targets)?;
    let reason = bounded(Some(ask.reason))?
        .ok_or_else(|| LedgerError::invalid("a request needs a reason").hint("say why: `--reason \"INC-1234\"`"))?;
    if ask.duration.is_zero() {
        return Err(LedgerError::invalid("a grant must last longer than nothing").hint("say how long: `--for 30m`"));
    }
    let subject = match ask.subject {
        AskFor::Role(role) => role_subject(config, &user, role, ask.duration)?,
        AskFor::Statement { text, understood, export, unmask } => statement_subject(text, &understood, export, unmask)?,
    };
    let (asked_by, duration) = (actor.name.clone(), ask.duration);
    Ok(NewRequest { user: name, asked_by, subject, targets, duration, reason: reason.into(), created: now })
}

fn known_targets(config: &Config, mut targets: Vec<TargetName>) -> Outcome<Vec<TargetName>> {
    targets.sort();
    targets.dedup();
    if targets.is_empty() {
        return Err(LedgerError::invalid("a request needs a database").hint("name it: `--database NAME`"));
    }
    for target in &targets {
        if !config.databases.contains_key(target) {
            let known: Vec<_> = config.databases.keys().map(TargetName::as_str).collect();
            return Err(LedgerError::invalid(format!("there is no database `{target}`"))
                .hint(format!("databases: {}", known.join(", "))));
        }
    }
    Ok(targets)
}

fn role_subject(config: &Config, user: &User, name: RoleName, duration: Duration) -> Outcome<Subject> {
    let Some(role) = config.policy.roles.get(&name) else {
        let known: Vec<_> = config.policy.roles.keys().map(RoleName::as_str).collect();
        return Err(
            LedgerError::invalid(format!("there is no role `{name}`")).hint(format!("roles: {}", known.join(", ")))
        );
    };
    if let Some(parties) = &role.request_by
        && !is_among(&user.principal(), parties)
    {
        let who: Vec<_> = parties.iter().map(party_name).collect();
        return Err(LedgerError::forbidden(format!("`{}` may not ask for role `{name}`", user.name))
            .hint(format!("it is for {}", who.join(", "))));
    }
    match role.max_duration {
        Some(longest) if duration > longest => {
            Err(LedgerError::invalid(format!("role `{name}` is granted for at most {}", human(longest)))
                .hint(format!("ask for less: `--for {}`", human(longest))))
        }
        Some(_) | None => Ok(Subject::Role(name)),
    }
}

fn statement_subject(text: Arc<str>, understood: &[Arc<Statement>], export: bool, unmask: bool) -> Outcome<Subject> {
    if text.len() > LONGEST_STATEMENT {
        return Err(LedgerError::invalid(format!("the statement is longer than {LONGEST_STATEMENT} bytes")));
    }
    let Some(identity) = understood.first().map(|statement| statement.identity) else {
        return Err(LedgerError::invalid("the statement was understood on no database"));
    };
    if understood.iter().any(|statement| statement.identity != identity) {
        return Err(LedgerError::invalid("the statement does not mean the same on all of these databases")
            .hint("make one request for each"));
    }
    let mut needs = understood.iter().flat_map(|statement| &statement.needs);
    if let Some(need) = needs.find(|need| need.action.writes()) {
        return Err(LedgerError::invalid(format!(
            "a statement grant is for reading, and this needs `{}` on {}",
            need.action, need.object
        ))
        .hint("ask for a role that allows it: `--role NAME`"));
    }
    Ok(Subject::Statement(ApprovedStatement { text, identity, export, unmask }))
}

/// With all approvals that a request needs the grant begins; otherwise it goes on waiting.
fn settle(
    config: &Config,
    store: &dyn Transaction,
    events: &mut Vec<Event>,
    pending: Pending,
    now: Timestamp,
) -> Outcome<Decided> {
    let asked = &pending.request().asked;
    let needed = requirements(&config.approvals, &asked.subject, &asked.targets);
    let voters = voters(config, store, &pending.request().approvals, now)?;
    let waiting_for = waiting_for(&needed, &voters);
    if !waiting_for.is_empty() {
        return Ok(Decided { request: pending.request().clone(), grant: None, waiting_for });
    }
    let user = must(store, &asked.user)?;
    if !user.active(now) {
        return Err(LedgerError::conflict(format!("user `{}` is disabled or expired", user.name)));
    }
    let mut duration = pending.duration();
    known_targets(config, asked.targets.clone())?;
    if let Some(name) = asked.subject.role() {
        let Some(role) = config.policy.roles.get(name) else {
            return Err(LedgerError::conflict(format!("role `{name}` is gone from the configuration")));
        };
        // The role's bound may have shrunk since the request.
        duration = role.max_duration.map_or(duration, |longest| longest.min(duration));
    }
    let ends = capped(&user, now, duration);
    let grant = NewGrant {
        request: pending.request().id,
        user: asked.user.clone(),
        kind: asked.subject.kind(),
        targets: asked.targets.clone(),
        starts: now,
        ends,
    };
    let id = store.insert_grant(&grant)?;
    let mut started = event(Kind::GrantStart, now, None, &grant.user, &grant.targets);
    (started.grant, started.request) = (Some(id), Some(grant.request));
    started.statement = asked.subject.statement().map(|statement| Arc::clone(&statement.text));
    started.reason = Some(format!("{}, until {ends}", what(&asked.subject)).into());
    events.push(started);
    let request = pending.approve(now, id);
    store.update_state(&request)?;
    Ok(Decided { request, grant: store.grant(id)?, waiting_for: String::new() })
}

/// The approvers as they are now: who was removed, disabled or left the group since counts no more.
fn voters(config: &Config, store: &dyn Transaction, approvals: &[Approved], now: Timestamp) -> Outcome<Vec<Voter>> {
    let mut found = Vec::new();
    for approval in approvals {
        let (name, principal) = (&approval.by, store.user(&approval.by)?.filter(|user| user.active(now)));
        if is_operator(name) {
            let principal = hallpass_policy::ids::Principal { user: name.clone(), groups: Vec::new() };
            found.push(Voter { principal, admin: true });
        } else if let Some(user) = principal {
            let admin = is_among(&user.principal(), &config.admins);
            found.push(Voter { principal: user.principal(), admin });
        }
    }
    Ok(found)
}

fn described(config: &Config, store: &dyn Transaction, request: Request, now: Timestamp) -> Outcome<Decided> {
    match &request.state {
        RequestState::Pending => {
            let needed = requirements(&config.approvals, &request.asked.subject, &request.asked.targets);
            let voters = voters(config, store, &request.approvals, now)?;
            let waiting_for = waiting_for(&needed, &voters);
            Ok(Decided { request, grant: None, waiting_for })
        }
        RequestState::Approved { grant, .. } => {
            let grant = store.grant(*grant)?;
            Ok(Decided { request, grant, waiting_for: String::new() })
        }
        RequestState::Rejected(_) | RequestState::Cancelled(_) | RequestState::Lapsed { .. } => {
            Ok(Decided { request, grant: None, waiting_for: String::new() })
        }
    }
}

/// A request that exists and that the actor may see; to anybody else it does not exist.
fn visible(config: &Config, store: &dyn Transaction, actor: &Actor, id: RequestId) -> Outcome<Request> {
    let found = store.request(id)?.filter(|request| may_see(config, actor, request));
    found.ok_or_else(|| LedgerError::not_found(format!("there is no request {id}")))
}

fn may_see(config: &Config, actor: &Actor, request: &Request) -> bool {
    actor.is_admin() || is_own(actor, request) || may_decide(config, actor, request)
}

/// Whether the actor is among those who approve such requests.
pub(super) fn may_decide(config: &Config, actor: &Actor, request: &Request) -> bool {
    let voter = Voter { principal: actor.principal(), admin: actor.is_admin() };
    let needed = requirements(&config.approvals, &request.asked.subject, &request.asked.targets);
    needed.iter().any(|requirement: &Requirement<'_>| requirement.accepts(&voter))
}

fn is_own(actor: &Actor, request: &Request) -> bool {
    request.asked.user == actor.name || request.asked.asked_by == actor.name
}

fn open(request: Request) -> Outcome<Pending> {
    request.pending().map_err(|request| {
        LedgerError::conflict(format!("request {} is {} already", request.id, request.state.as_str()))
    })
}

/// A text for the books: trimmed, `None` when nothing is left.
pub(super) fn bounded(text: Option<String>) -> Outcome<Option<String>> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.len() > LONGEST_REASON) {
        return Err(LedgerError::invalid(format!("reasons and comments hold at most {LONGEST_REASON} bytes")));
    }
    Ok(text)
}

fn decision(kind: Kind, at: Timestamp, actor: &Actor, request: &Request, verb: &str, why: Option<&str>) -> Event {
    let mut found = event(kind, at, Some(actor), &actor.name, &request.asked.targets);
    found.request = Some(request.id);
    found.decision = Some(verb.into());
    found.reason = why.map(Into::into);
    found
}

fn what(subject: &Subject) -> String {
    match subject {
        Subject::Role(role) => format!("role {role}"),
        Subject::Statement(statement) => {
            let extras = [(statement.export, ", export"), (statement.unmask, ", unmask")];
            let extras: String = extras.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
            format!("one statement{extras}")
        }
    }
}

fn said(asked: &NewRequest) -> String {
    let who = if asked.asked_by == asked.user { String::new() } else { format!(" (asked by {})", asked.asked_by) };
    format!("{} for {}{who}: {}", what(&asked.subject), human(asked.duration), asked.reason)
}
