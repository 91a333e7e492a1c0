//! The one place that changes the store. Every change is one transaction, with its audit events written before it is
//! true and the active grants published after: `users`, `requests`, `grants` and `break_glass` hold the changes, `check`
//! what may be asked for, `settle` what approvals lead to, `sweep` what time does, `hold` who holds what, `refusal` what
//! is recorded of a no, `tell` what webhooks hear of all this, `logins` what logins are checked against.
//! Knows no HTTP and no wire.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hallpass_audit::{
    event::{Event, Kind, Origin},
    journal::JournalError,
};
use hallpass_policy::{
    grant::Grant,
    ids::{TargetName, Timestamp, UserName},
};
use thiserror::Error;

use super::{
    GrantFilter, Store, StoreError, Transaction,
    actor::{Actor, Standing},
    credentials::token_digest,
    seal::Seal,
    users::User,
};
use crate::shared::Shared;

mod break_glass;
mod check;
mod grants;
mod hint;
mod hold;
mod logins;
mod refusal;
mod requests;
mod settle;
mod sweep;
mod tell;
#[cfg(test)]
mod tests;
mod users;

pub use break_glass::BreakGlass;
pub use hint::Hint;
pub use hold::Hold;
pub use requests::{Ask, AskFor, Change, Decided};
pub use users::{AddUser, NewToken};

/// How long an ended grant stays published, so that sessions can say which grant ended.
const REMEMBER_ENDED: Duration = Duration::from_secs(3600);

/// Why a change did not happen.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// It may not, or cannot, be done.
    #[error("{message}")]
    Refused {
        /// What kind of no.
        kind: Refused,
        /// What is wrong.
        message: String,
        /// What to do instead; may be empty.
        hint: Hint,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit cannot be written, so nothing changes.
    #[error(transparent)]
    Audit(#[from] JournalError),
}

/// What kind of no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Something in the question is wrong.
    Invalid,
    /// Not for this actor.
    Forbidden,
    /// There is no such thing, or the actor may not know of it.
    NotFound,
    /// Too late: it is decided, ended or taken.
    Conflict,
}

impl LedgerError {
    fn new(kind: Refused, message: impl Into<String>) -> Self {
        Self::Refused { kind, message: message.into(), hint: Hint::default() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(Refused::Invalid, message)
    }

    fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Refused::Forbidden, message)
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self::new(Refused::NotFound, message)
    }

    fn conflict(message: impl Into<String>) -> Self {
        Self::new(Refused::Conflict, message)
    }

    /// Adds what to do instead.
    fn hint(self, hint: impl Into<Hint>) -> Self {
        match self {
            Self::Refused { kind, message, .. } => Self::Refused { kind, message, hint: hint.into() },
            Self::Store(_) | Self::Audit(_) => self,
        }
    }
}

/// A result of the ledger.
pub type Outcome<T> = Result<T, LedgerError>;

/// The store, with the rules of changing it.
#[derive(Debug)]
pub struct Ledger {
    store: Box<dyn Store>,
    shared: Arc<Shared>,
    /// For what mysql_native_password needs of passwords; without it that is not kept.
    seal: Option<Seal>,
    remembered: logins::Remembered,
    holders: Arc<hold::Holders>,
}

impl Ledger {
    /// A ledger over `store`; publishes the grants that are active now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(store: Box<dyn Store>, shared: Arc<Shared>) -> Result<Self, StoreError> {
        let ledger =
            Self { store, shared, seal: None, remembered: logins::Remembered::default(), holders: Arc::default() };
        ledger.publish()?;
        Ok(ledger)
    }

    /// Keeps from now on what mysql_native_password needs of a password, sealed.
    #[must_use]
    pub fn sealing(self, seal: Seal) -> Self {
        Self { seal: Some(seal), ..self }
    }

    /// Forgets that of all users: it is not wanted any more.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_native(&self) -> Result<usize, StoreError> {
        let transaction = self.store.begin()?;
        let forgotten = transaction.forget_native()?;
        transaction.commit()?;
        Ok(forgotten)
    }

    /// Runs `work` where waiting is allowed, and answers once its audit is as safe as the configuration asks.
    ///
    /// # Errors
    /// Those of `work`, and [`LedgerError::Audit`].
    pub async fn perform<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let ledger = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&ledger)).await;
        let done = done.map_err(|_| StoreError::Interrupted)??;
        self.shared.journal.durable().await?;
        Ok(done)
    }

    /// Who holds the bearer `token`, if it works now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn bearer(&self, token: &str, origin: Origin) -> Outcome<Option<Actor>> {
        let found = self.store.begin()?.token_owner(&token_digest(token))?;
        let now = self.now();
        let owner = found.filter(|(user, expires)| user.active(now) && expires.is_none_or(|end| now < end));
        let config = self.shared.config.load();
        let actor = |user: User| {
            let actor = Actor::user(user.principal(), &config.admins, origin);
            actor.seeing(&config.auditors).until(user.expires)
        };
        Ok(owner.map(|(user, _)| actor(user)))
    }

    /// One transaction: what `work` wrote becomes true together with its events, or not at all.
    fn change<T>(&self, work: impl FnOnce(&dyn Transaction, &mut Vec<Event>) -> Outcome<T>) -> Outcome<T> {
        let transaction = self.store.begin()?;
        let mut events = Vec::new();
        let done = work(&*transaction, &mut events)?;
        let told = self.told(&*transaction, &events);
        if !events.is_empty() {
            // Before the commit: a grant that is not in the audit never begins.
            self.shared.journal.append(&events)?;
        }
        transaction.commit()?;
        let published = self.publish();
        told.into_iter().for_each(|notification| self.shared.notifier.tell(notification));
        published?;
        Ok(done)
    }

    /// Publishes active and recently ended grants.
    fn publish(&self) -> Result<(), StoreError> {
        let since = Timestamp(self.now().0.saturating_sub(i64::try_from(REMEMBER_ENDED.as_micros()).unwrap_or(0)));
        let transaction = self.store.begin()?;
        let recent = transaction.grants(&GrantFilter { user: None, not_ended_before: Some(since) })?;
        let mut by_user: HashMap<UserName, Vec<Grant>> = HashMap::new();
        for record in recent {
            // A revoked one ended then: a denial tells of the one that ended last.
            let grant = Grant { ends: record.ended(), ..record.grant };
            by_user.entry(grant.user.clone()).or_default().push(grant);
        }
        // Still inside the transaction, so that two changes cannot publish in the wrong order.
        self.shared.grants.publish(by_user.into_iter().map(|(user, grants)| (user, Arc::from(grants))).collect());
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}

/// An event about `user` on `targets`, told by whoever acted.
fn event(kind: Kind, at: Timestamp, actor: Option<&Actor>, user: &UserName, targets: &[TargetName]) -> Event {
    let mut origin = actor.map(|actor| (*actor.origin).clone()).unwrap_or_default();
    origin.user = Some(user.clone());
    if !targets.is_empty() {
        let names: Vec<_> = targets.iter().map(TargetName::as_str).collect();
        origin.target = Some(TargetName::new(names.join(",")));
    }
    Event::new(kind, at, Arc::new(origin))
}

/// The longest reason or comment, bytes.
const LONGEST_REASON: usize = 4000;

/// A text for the books: trimmed, `None` when nothing is left.
fn bounded(text: Option<String>) -> Outcome<Option<String>> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.len() > LONGEST_REASON) {
        return Err(LedgerError::invalid(format!("reasons and comments hold at most {LONGEST_REASON} bytes")));
    }
    Ok(text)
}

/// What somebody hears who sees a thing without having a say in it.
fn read_only(what: &str) -> LedgerError {
    LedgerError::forbidden(format!("an auditor reads {what} and changes none"))
        .hint("approvers are named under [[approvals]] in proxy.toml, admins under [admins]")
}

/// Only admins pass.
fn admin_only(actor: &Actor, what: &str) -> Outcome<()> {
    match actor.standing {
        Standing::Operator | Standing::Admin => Ok(()),
        Standing::Member => Err(LedgerError::forbidden(format!("only an admin may {what}"))
            .hint("admins are named under [admins] in proxy.toml")),
    }
}
