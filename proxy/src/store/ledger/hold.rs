//! Requests and grants that live only as long as somebody holds them: `hallpass run`. A [`Hold`] is the holder's open
//! connection; when the last one of a request is dropped, the request is cancelled or its grant revoked. The store
//! remembers what is held, so that a restart leaves nothing behind: a holder that does not come back in time is gone.
//! Knows no HTTP.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hallpass_audit::event::{Event, Origin};
use hallpass_policy::ids::{RequestId, Timestamp, UserName};
use tokio::sync::Notify;

use super::{Ask, Decided, Ledger, LedgerError, Outcome, refusal::Tried, requests::visible, settle::described};
use crate::store::{
    Transaction,
    actor::{Actor, Sight, Standing},
    grants::GrantState,
    requests::{Closed, RequestState},
};

/// How long a holder may take to come back after the proxy was restarted.
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// Why it ended, for the books.
const GONE: &str = "its holder went away";

/// One open connection that holds a request and its grant.
#[derive(Debug)]
pub struct Hold {
    request: RequestId,
    holders: Arc<Holders>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holders.detach(self.request);
    }
}

/// Where the holder of a held request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// Here, by so many connections.
    Present(usize),
    /// It was here and left.
    Gone,
    /// It was here before the proxy was restarted.
    Awaited {
        /// For how long it is waited for.
        until: Timestamp,
    },
}

/// Who holds what, in this process.
#[derive(Debug, Default)]
pub(super) struct Holders {
    known: Mutex<HashMap<RequestId, Holder>>,
    gone: Notify,
}

impl Holders {
    fn attach(self: &Arc<Self>, request: RequestId) -> Hold {
        let mut known = self.lock();
        let holder = known.entry(request).or_insert(Holder::Present(0));
        *holder = match *holder {
            Holder::Present(others) => Holder::Present(others + 1),
            Holder::Gone | Holder::Awaited { .. } => Holder::Present(1),
        };
        Hold { request, holders: Arc::clone(self) }
    }

    fn detach(&self, request: RequestId) {
        let mut known = self.lock();
        let holder = known.entry(request).or_insert(Holder::Gone);
        *holder = match *holder {
            Holder::Present(connections) if connections > 1 => Holder::Present(connections - 1),
            Holder::Present(_) | Holder::Gone | Holder::Awaited { .. } => Holder::Gone,
        };
        self.gone.notify_one();
    }

    /// Whether nobody holds it, and nobody is waited for any more. Who was never seen is waited for from now on.
    fn is_abandoned(&self, request: RequestId, now: Timestamp) -> bool {
        match self.lock().entry(request).or_insert(Holder::Awaited { until: now.after(GRACE) }) {
            Holder::Present(_) => false,
            Holder::Gone => true,
            Holder::Awaited { until } => *until <= now,
        }
    }

    /// Forgets who is neither here nor noted as held.
    fn keep(&self, held: &[RequestId]) {
        self.lock().retain(|id, holder| matches!(holder, Holder::Present(_)) || held.contains(id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, Holder>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Asks as [`Ledger::ask`]; the request, and the grant it makes, end when the hold is dropped.
    ///
    /// # Errors
    /// As [`Ledger::ask`].
    pub fn ask_held(&self, actor: &Actor, ask: Ask) -> Outcome<(Decided, Hold)> {
        let config = self.shared.config.load_full();
        let now = self.now();
        self.attempt(Tried::ask(actor, &ask), |store, events| {
            let decided = self.ask_in(&config, store, events, actor, ask, now)?;
            let id = decided.request.id;
            store.set_held(id, true)?;
            // Inside the transaction: nobody sees it without its holder.
            Ok((decided, self.holders.attach(id)))
        })
    }

    /// Holds again what the actor asked for by [`Ledger::ask_held`]: after a connection was lost.
    ///
    /// # Errors
    /// When there is no such request of the actor's, or it does not need to be held. Of one that is over, its end is no
    /// error.
    pub fn hold(&self, actor: &Actor, id: RequestId) -> Outcome<(Decided, Hold)> {
        let config = self.shared.config.load_full();
        let now = self.now();
        let store = self.store.begin()?;
        let request = visible(&*store, actor, id)?;
        // Not whom it is for: an admin who asked for somebody ends it by going away.
        if !actor.is_admin() && request.asked.asked_by != actor.name {
            return Err(LedgerError::forbidden(format!("request {id} is not yours to hold")));
        }
        let decided = described(&config, &*store, request, now)?;
        if !decided.is_over(now) && !store.held()?.contains(&id) {
            return Err(LedgerError::conflict(format!("request {id} was not asked for by somebody who holds it"))
                .hint("it lives by itself; `hallpass run` holds what it asks for"));
        }
        // The store is still ours, so that nobody ends it between the look and this.
        Ok((decided, self.holders.attach(id)))
    }

    /// Resolves when a holder has left; [`Ledger::sweep`] then ends what it held.
    pub async fn holder_gone(&self) {
        self.holders.gone.notified().await;
    }

    /// Ends what nobody holds any more.
    pub(super) fn end_abandoned(&self) -> Outcome<()> {
        let now = self.now();
        let held = self.store.begin()?.held()?;
        self.holders.keep(&held);
        if !held.iter().any(|id| self.holders.is_abandoned(*id, now)) {
            return Ok(());
        }
        self.change(|store, events| {
            for id in held.into_iter().filter(|id| self.holders.is_abandoned(*id, now)) {
                Self::abandon(store, events, id, now)?;
                store.set_held(id, false)?;
            }
            Ok(())
        })
    }

    fn abandon(store: &dyn Transaction, events: &mut Vec<Event>, id: RequestId, now: Timestamp) -> Outcome<()> {
        let Some(request) = store.request(id)? else { return Ok(()) };
        let holder = on_behalf_of(&request.asked.asked_by);
        match request.state {
            RequestState::Pending => {
                if let Ok(pending) = request.pending() {
                    let closed = Closed { by: holder.name.clone(), at: now, reason: Some(GONE.to_owned()) };
                    Self::cancel_in(store, events, &holder, pending, closed)?;
                }
                Ok(())
            }
            RequestState::Approved { grant, .. } => match store.grant(grant)? {
                Some(record) if record.state(now) == GrantState::Active => {
                    Self::revoke_in(store, events, &holder, &record.grant, now, Some(GONE))
                }
                Some(_) | None => Ok(()),
            },
            RequestState::Rejected(_) | RequestState::Cancelled(_) | RequestState::Lapsed { .. } => Ok(()),
        }
    }
}

impl Decided {
    /// Whether nothing comes of it any more: it was not approved, or its grant has ended.
    pub fn is_over(&self, now: Timestamp) -> bool {
        match &self.request.state {
            RequestState::Pending => false,
            RequestState::Approved { .. } => {
                self.grant.as_ref().is_none_or(|record| record.state(now) != GrantState::Active)
            }
            RequestState::Rejected(_) | RequestState::Cancelled(_) | RequestState::Lapsed { .. } => true,
        }
    }
}

/// Who asked for it to be held asked for its end, too.
fn on_behalf_of(asker: &UserName) -> Actor {
    let origin = Origin { user: Some(asker.clone()), ..Origin::default() };
    let (groups, origin) = (Vec::new(), Arc::new(origin));
    Actor { name: asker.clone(), groups, standing: Standing::Member, sight: Sight::Own, expires: None, origin }
}
