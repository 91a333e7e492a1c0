//! Grants: listed and revoked. They begin with an approval (`requests`) and end by time in `Ledger::sweep`.

use hallpass_audit::event::{Event, Kind};
use hallpass_policy::{
    grant::Grant,
    ids::{GrantId, Timestamp},
};

use super::{
    Ledger, LedgerError, Outcome, event,
    requests::{bounded, may_decide},
};
use crate::{
    config::Config,
    store::{
        GrantFilter, Transaction,
        actor::Actor,
        grants::{GrantRecord, GrantState},
    },
};

impl Ledger {
    /// The grants that the actor may see: own ones, those of requests the actor may decide, and all for an admin.
    /// Ended ones only when `all` is wanted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn grants(&self, actor: &Actor, all: bool) -> Outcome<Vec<GrantRecord>> {
        let config = self.shared.config.load_full();
        let now = self.now();
        let store = self.store.begin()?;
        let filter = GrantFilter { user: None, not_ended_before: (!all).then_some(now) };
        let mut found = Vec::new();
        for record in store.grants(&filter)? {
            let wanted = all || record.state(now) == GrantState::Active;
            if wanted && may_see(&config, &*store, actor, &record)? {
                found.push(record);
            }
        }
        Ok(found)
    }

    /// Ends a grant: for its holder, whoever may approve such requests, and admins.
    ///
    /// # Errors
    /// When there is no such grant for the actor, or it ended already.
    pub fn revoke(&self, actor: &Actor, id: GrantId, reason: Option<String>) -> Outcome<GrantRecord> {
        let config = self.shared.config.load_full();
        let now = self.now();
        self.change(|store, events| {
            let nothing = || LedgerError::not_found(format!("there is no grant {id}"));
            let record = store.grant(id)?.ok_or_else(nothing)?;
            if !may_see(&config, store, actor, &record)? {
                return Err(nothing());
            }
            match record.state(now) {
                GrantState::Active => {}
                ended @ (GrantState::Expired | GrantState::Revoked) => {
                    return Err(LedgerError::conflict(format!("grant {id} is {} already", ended.as_str())));
                }
            }
            let reason = bounded(reason)?;
            Self::revoke_in(store, events, actor, &record.grant, now, reason.as_deref())?;
            store.grant(id)?.ok_or_else(nothing)
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
        Ok(())
    }
}

/// The event of a grant's end.
pub(super) fn ended(grant: &Grant, at: Timestamp, actor: Option<&Actor>, why: &str) -> Event {
    let mut found = event(Kind::GrantEnd, at, actor, &grant.user, &grant.targets);
    (found.grant, found.request) = (Some(grant.id), Some(grant.request));
    found.reason = Some(why.into());
    found
}

fn may_see(config: &Config, store: &dyn Transaction, actor: &Actor, record: &GrantRecord) -> Outcome<bool> {
    if actor.is_admin() || record.grant.user == actor.name {
        return Ok(true);
    }
    let request = store.request(record.grant.request)?;
    Ok(request.is_some_and(|request| {
        let approved = request.approvals.iter().any(|approval| approval.by == actor.name);
        approved || may_decide(config, actor, &request)
    }))
}
