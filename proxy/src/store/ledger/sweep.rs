//! What time alone does: requests lapse, what nobody holds any more ends, grants end, extensions of ended grants lapse, reviews become late. Every change
//! is recorded once.

use hallpass_audit::event::{Event, Kind};
use hallpass_policy::ids::Timestamp;

use super::{Ledger, Outcome, break_glass, event, grants};
use crate::{
    config::units::human,
    store::{
        RequestFilter, Transaction,
        grants::GrantState,
        requests::{Request, Way},
    },
};

impl Ledger {
    /// Lapses requests that nobody decided in time and records the end of grants whose time is up. Call it every
    /// second or so.
    ///
    /// # Errors
    /// When the store or the audit cannot be written; the next call tries again.
    pub fn sweep(&self) -> Outcome<()> {
        self.end_abandoned()?;
        let now = self.now();
        let timeout = self.shared.config.load().server.request_timeout;
        let too_old = |request: &Request| request.asked.created.after(timeout) <= now;
        let nothing_to_do = {
            let store = self.store.begin()?;
            let mut idle = store.take_expired(now)?.is_empty() && store.take_overdue(now)?.is_empty();
            for request in store.requests(&RequestFilter { user: None, pending: true })? {
                idle &= !too_old(&request) && !is_pointless(&*store, &request, now)?;
            }
            idle
        };
        if nothing_to_do {
            return Ok(());
        }
        self.change(|store, events| {
            for record in store.take_expired(now)? {
                events.push(grants::ended(&record.grant, record.grant.ends, None, "expired"));
            }
            for request in store.requests(&RequestFilter { user: None, pending: true })? {
                let why = if too_old(&request) {
                    format!("not decided within {}", human(timeout))
                } else if is_pointless(store, &request, now)? {
                    "the grant to extend is over".to_owned()
                } else {
                    continue;
                };
                lapse(store, events, request, now, &why)?;
            }
            break_glass::overdue(store, events, now)
        })
    }
}

/// Whether it asks for more time for a grant that is over.
fn is_pointless(store: &dyn Transaction, request: &Request, now: Timestamp) -> Outcome<bool> {
    let Way::Extend(grant) = request.asked.way else { return Ok(false) };
    Ok(store.grant(grant)?.is_none_or(|record| record.state(now) != GrantState::Active))
}

fn lapse(store: &dyn Transaction, events: &mut Vec<Event>, request: Request, now: Timestamp, why: &str) -> Outcome<()> {
    if let Ok(pending) = request.pending() {
        let request = pending.lapse(now);
        store.update_state(&request)?;
        let mut lapsed = event(Kind::Request, now, None, &request.asked.user, &request.asked.targets);
        lapsed.request = Some(request.id);
        lapsed.decision = Some("lapse".into());
        lapsed.reason = Some(why.into());
        events.push(lapsed);
    }
    Ok(())
}
