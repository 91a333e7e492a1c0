//! What is recorded of a no: whoever tries to ask, to decide or to break the glass and may not leaves an event with the
//! decision `deny`, of the kind that the yes would have had. A refused break-glass is told, too. If the no cannot be
//! recorded, that is the answer.

use std::sync::Arc;

use hallpass_audit::event::{Event, Kind};
use hallpass_policy::ids::{GrantId, RequestId, RoleName, TargetName, UserName};

use super::{Ask, AskFor, BreakGlass, LONGEST_REASON, Ledger, LedgerError, Outcome, check::LONGEST_STATEMENT, event};
use crate::{
    config::{Topic, sections::good_name},
    notify::{Action, Notification, bounded},
    store::{Transaction, actor::Actor},
};

/// Something that may be refused.
pub(super) struct Tried<'a> {
    kind: Kind,
    actor: &'a Actor,
    /// For whom, if not for the actor.
    user: Option<UserName>,
    request: Option<RequestId>,
    grant: Option<GrantId>,
    targets: Vec<TargetName>,
    role: Option<RoleName>,
    statement: Option<Arc<str>>,
    /// The reason that was given.
    reason: Option<String>,
}

impl<'a> Tried<'a> {
    /// To do something that is recorded as `kind`.
    pub(super) fn new(kind: Kind, actor: &'a Actor) -> Self {
        let (user, request, grant, role, statement, reason) = (None, None, None, None, None, None);
        Self { kind, actor, user, request, grant, targets: Vec::new(), role, statement, reason }
    }

    /// To ask.
    pub(super) fn ask(actor: &'a Actor, ask: &Ask) -> Self {
        let (role, statement) = match &ask.subject {
            AskFor::Role(role) => (Some(role.clone()), None),
            AskFor::Statement { text, .. } => (None, Some(Arc::clone(text))),
        };
        let (user, targets, reason) = (ask.user.clone(), ask.targets.clone(), Some(ask.reason.clone()));
        Self { user, targets, role, statement, reason, ..Self::new(Kind::Request, actor) }
    }

    /// To break the glass.
    pub(super) fn glass(actor: &'a Actor, glass: &BreakGlass) -> Self {
        let (user, targets, reason) = (glass.user.clone(), glass.targets.clone(), Some(glass.reason.clone()));
        Self { user, targets, role: Some(glass.role.clone()), reason, ..Self::new(Kind::BreakGlass, actor) }
    }

    /// With this request.
    pub(super) fn with_request(self, id: RequestId) -> Self {
        Self { request: Some(id), ..self }
    }

    /// With this grant.
    pub(super) fn with_grant(self, id: GrantId) -> Self {
        Self { grant: Some(id), ..self }
    }

    /// What was tried, why not, and why it was tried.
    fn said(&self, message: &str) -> String {
        let mut said = String::new();
        if let Some(role) = &self.role {
            said = format!("role {}", shortened(role.as_str(), LONGEST_NAME));
        } else if self.statement.is_some() {
            "one statement".clone_into(&mut said);
        }
        if let Some(user) = self.user.as_ref().filter(|user| **user != self.actor.name) {
            said = format!("{said} for {}", shortened(user.as_str(), LONGEST_NAME));
        }
        let separator = if said.is_empty() { "" } else { ": " };
        said = format!("{said}{separator}{}", shortened(message, LONGEST_REASON));
        match self.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty()) {
            Some(reason) => format!("{said}; reason given: {}", shortened(reason, LONGEST_REASON)),
            None => said,
        }
    }
}

/// The longest name that is recorded as it was given, bytes.
const LONGEST_NAME: usize = 200;

impl Ledger {
    /// A change as [`Ledger::change`] makes it. When it is refused, that is recorded before anybody hears of it.
    pub(super) fn attempt<T>(
        &self,
        tried: Tried<'_>,
        work: impl FnOnce(&dyn Transaction, &mut Vec<Event>) -> Outcome<T>,
    ) -> Outcome<T> {
        let outcome = self.change(work);
        if let Err(LedgerError::Refused { message, .. }) = &outcome {
            self.refused(tried, message)?;
        }
        outcome
    }

    /// Records that somebody asks for a statement that cannot be asked for, as it is not understood on its targets.
    ///
    /// # Errors
    /// [`LedgerError::Audit`]; the asker then hears that.
    pub fn not_understood(&self, actor: &Actor, text: Arc<str>, targets: Vec<TargetName>, why: &str) -> Outcome<()> {
        self.refused(Tried { statement: Some(text), targets, ..Tried::new(Kind::Request, actor) }, why)
    }

    fn refused(&self, mut tried: Tried<'_>, message: &str) -> Outcome<()> {
        let (now, config) = (self.now(), self.shared.config.load_full());
        // What somebody made up is no target.
        tried.targets.retain(|target| config.databases.contains_key(target));
        tried.targets.sort();
        tried.targets.dedup();
        let mut denied = event(tried.kind, now, Some(tried.actor), &tried.actor.name, &tried.targets);
        (denied.request, denied.grant) = (tried.request, tried.grant);
        denied.decision = Some("deny".into());
        denied.reason = Some(tried.said(message).into());
        denied.statement = tried.statement.as_ref().filter(|text| text.len() <= LONGEST_STATEMENT).map(Arc::clone);
        self.shared.journal.append(&[denied])?;
        if tried.kind == Kind::BreakGlass {
            let mut told = Notification::new(Topic::BreakGlass, Action::Refused, now);
            let named = tried.user.filter(|user| good_name(user.as_str()));
            told.by = named.as_ref().map(|_| tried.actor.name.clone());
            told.user = Some(named.unwrap_or_else(|| tried.actor.name.clone()));
            told.targets = tried.targets;
            told.role = tried.role.filter(|role| config.policy.roles.contains_key(role));
            told.reason = tried.reason.as_deref().map(bounded);
            told.comment = Some(bounded(message));
            self.shared.notifier.tell(told);
        }
        Ok(())
    }
}

/// As much of `text` as `most` bytes hold.
fn shortened(text: &str, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match text.get(..end) {
        Some(start) if start.len() < text.len() => format!("{start}…"),
        Some(_) | None => text.to_owned(),
    }
}
