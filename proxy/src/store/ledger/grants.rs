//! Grants: listed, revoked, and asked to last longer. They begin in `settle` and end by time in `sweep`.

use std::{sync::Arc, time::Duration};

use hallpass_audit::event::{Event, Kind};
use hallpass_policy::{
    grant::{Grant, GrantKind},
    ids::{GrantId, Timestamp},
};

use super::{
    Decided, Ledger, LedgerError, Outcome, bounded, check, event, read_only,
    refusal::Tried,
    requests::{ask_anew, may_decide, withdraw},
    settle::settle,
};
use crate::store::{
    GrantFilter, RequestFilter, Transaction, Which,
    actor::Actor,
    grants::{GrantRecord, GrantState},
    page::{Filling, Page, Paged},
    requests::{Closed, NewRequest, Request, Way},
};

impl Ledger {
    /// The grants that the actor may see: own ones, those of requests the actor may decide, and all for an admin.
    /// Ended ones only when `all` is wanted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn grants(&self, actor: &Actor, all: bool) -> Outcome<Vec<GrantRecord>> {
        let now = self.now();
        let store = self.store.begin()?;
        let filter = GrantFilter { user: None, not_ended_before: (!all).then_some(now) };
        let mut found = Vec::new();
        for record in store.grants(&filter)? {
            let wanted = all || record.state(now) == GrantState::Active;
            if wanted && may_see(&*store, actor, &record)? {
                found.push(record);
            }
        }
        Ok(found)
    }

    /// Whether there is such a grant and the actor may see it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sees_grant(&self, actor: &Actor, id: GrantId) -> Outcome<bool> {
        let store = self.store.begin()?;
        match store.grant(id)? {
            Some(record) => may_see(&*store, actor, &record),
            None => Ok(false),
        }
    }

    /// One grant that the actor may see.
    ///
    /// # Errors
    /// When there is none.
    pub fn grant(&self, actor: &Actor, id: GrantId) -> Outcome<GrantRecord> {
        let store = self.store.begin()?;
        let record = store.grant(id)?.ok_or_else(|| nothing(id))?;
        if may_see(&*store, actor, &record)? { Ok(record) } else { Err(nothing(id)) }
    }

    /// A page of the grants that the actor may see, in the order of their numbers.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn grants_page(&self, actor: &Actor, which: Which, page: Page<GrantId>) -> Outcome<Paged<GrantRecord>> {
        let now = self.now();
        let store = self.store.begin()?;
        let wanted = |record: &GrantRecord| match which {
            Which::All => true,
            Which::OfInterest => record.state(now) == GrantState::Active || record.review.is_due(),
            Which::Unreviewed => record.review.is_due(),
        };
        let mut filling = Filling::new(page);
        while let Some((behind, most)) = filling.wants() {
            let chunk = store.grants_after(which, now, behind, most)?;
            let shown = |record: &GrantRecord| Outcome::Ok(wanted(record) && may_see(&*store, actor, record)?);
            filling.fetched(chunk, |record| record.grant.id, shown)?;
        }
        filling.done(Ok)
    }

    /// Asks for more time for an active grant, by the same approval rules as for a new one. When every rule that applies
    /// is `auto`, it lasts longer at once.
    ///
    /// # Errors
    /// When there is no such grant for the actor, it is over, it is not the actor's own, or one such request waits
    /// already.
    pub fn extend(&self, actor: &Actor, id: GrantId, by: Duration, reason: Option<String>) -> Outcome<Decided> {
        let config = self.shared.config.load_full();
        let now = self.now();
        self.attempt(Tried::new(Kind::Request, actor).with_grant(id), |store, events| {
            let (record, request) = active(store, actor, id, now)?;
            if !actor.is_admin() && record.grant.user != actor.name {
                return Err(LedgerError::forbidden(format!("grant {id} is not yours to extend")));
            }
            let filter = RequestFilter { user: Some(record.grant.user.clone()), pending: true };
            let waiting = store.requests(&filter)?.into_iter().find(|other| other.asked.way == Way::Extend(id));
            if let Some(waiting) = waiting {
                return Err(LedgerError::conflict(format!("request {} asks for that already", waiting.id))
                    .hint(withdraw(waiting.id)));
            }
            let reason = bounded(reason)?.map_or_else(|| Arc::clone(&request.asked.reason), Into::into);
            let asked = NewRequest {
                asked_by: actor.name.clone(),
                duration: by,
                reason,
                created: now,
                way: Way::Extend(id),
                needed: Vec::new(),
                ..request.asked.clone()
            };
            let reaches = store.resources(request.id)?;
            let needed = check::again(self, &config, store, &asked, &reaches)?;
            let pending = Self::asked_in(store, events, actor, NewRequest { needed, ..asked })?;
            if !reaches.is_empty() {
                store.insert_resources(pending.request().id, &reaches)?;
            }
            settle(&config, store, events, pending, now)
        })
    }

    /// Ends a grant: for its holder, whoever may approve such requests, and admins.
    ///
    /// # Errors
    /// When there is no such grant for the actor, or it ended already.
    pub fn revoke(&self, actor: &Actor, id: GrantId, reason: Option<String>) -> Outcome<GrantRecord> {
        let now = self.now();
        self.change(|store, events| {
            let (record, _) = active(store, actor, id, now)?;
            let reason = bounded(reason)?;
            Self::revoke_in(store, events, actor, &record.grant, now, reason.as_deref())?;
            store.grant(id)?.ok_or_else(|| nothing(id))
        })
    }

    pub(super) fn revoke_in(
        store: &dyn Transaction,
        events: &mut Vec<Event>,
        actor: &Actor,
        grant: &Grant,
        now: Timestamp,
        reason: Option<&str>,
    ) -> Outcome<()> {
        store.revoke(grant.id, &actor.name, now, reason)?;
        let why = match reason {
            Some(reason) => format!("revoked by {}: {reason}", actor.name),
            None => format!("revoked by {}", actor.name),
        };
        events.push(ended(grant, now, Some(actor), &why));
        // Nobody approves more time for it by mistake.
        for request in store.requests(&RequestFilter { user: Some(grant.user.clone()), pending: true })? {
            if request.asked.way == Way::Extend(grant.id)
                && let Ok(pending) = request.pending()
            {
                let reason = Some("the grant to extend was revoked".to_owned());
                let closed = Closed { by: actor.name.clone(), at: now, reason };
                Self::cancel_in(store, events, actor, pending, closed)?;
            }
        }
        Ok(())
    }
}

fn nothing(id: GrantId) -> LedgerError {
    LedgerError::not_found(format!("there is no grant {id}"))
}

/// An active grant that the actor may see, with the request it came from.
fn active(store: &dyn Transaction, actor: &Actor, id: GrantId, now: Timestamp) -> Outcome<(GrantRecord, Request)> {
    let record = store.grant(id)?.ok_or_else(|| nothing(id))?;
    in_hand(store, actor, &record)?;
    match record.state(now) {
        GrantState::Active => {}
        ended @ (GrantState::Expired | GrantState::Revoked) => {
            let role = match &record.grant.kind {
                GrantKind::Role(role) => Some(role),
                GrantKind::Statement(_) => None,
            };
            let anew = ask_anew(role, &record.grant.targets);
            return Err(LedgerError::conflict(format!("grant {id} is {} already", ended.as_str())).hint(anew));
        }
    }
    let request = store.request(record.grant.request)?.ok_or_else(|| nothing(id))?;
    Ok((record, request))
}

/// The event of a grant's end.
pub(super) fn ended(grant: &Grant, at: Timestamp, actor: Option<&Actor>, why: &str) -> Event {
    let mut found = event(Kind::GrantEnd, at, actor, &grant.user, &grant.targets);
    (found.grant, found.request) = (Some(grant.id), Some(grant.request));
    found.reason = Some(why.into());
    found
}

/// Whether the actor may read the grant: whoever has a say in it, and auditors.
pub(super) fn may_see(store: &dyn Transaction, actor: &Actor, record: &GrantRecord) -> Outcome<bool> {
    Ok(actor.sees_everything() || has_say(store, actor, record)?)
}

/// Passes whoever has a say in the grant. Who only reads it is told so; to anybody else it does not exist.
pub(super) fn in_hand(store: &dyn Transaction, actor: &Actor, record: &GrantRecord) -> Outcome<()> {
    if has_say(store, actor, record)? {
        Ok(())
    } else if actor.sees_everything() {
        Err(read_only("grants"))
    } else {
        Err(nothing(record.grant.id))
    }
}

/// Whether the grant is the actor's own, or the actor decided about it, or could have.
fn has_say(store: &dyn Transaction, actor: &Actor, record: &GrantRecord) -> Outcome<bool> {
    if actor.is_admin() || record.grant.user == actor.name {
        return Ok(true);
    }
    let request = store.request(record.grant.request)?;
    Ok(request.is_some_and(|request| {
        let approved = request.approvals.iter().any(|approval| approval.by == actor.name);
        approved || may_decide(actor, &request)
    }))
}
