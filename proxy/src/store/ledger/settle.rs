//! What a request becomes with the approvals that it has: it goes on waiting, its grant begins, or its grant lasts
//! longer. Asks nobody; the policy's types say what follows.

use std::sync::Arc;

use hallpass_audit::event::{Event, Kind};
use hallpass_policy::{
    approval::{Voter, waiting_for},
    ids::{Principal, Timestamp},
};

use super::{
    LedgerError, Outcome, check, event,
    requests::{Decided, refused, what},
    users::must,
};
use crate::{
    config::Config,
    store::{
        Transaction,
        actor::{Standing, is_among, is_operator},
        requests::{Approved, Extending, Granting, NewRequest, Pending, Request, RequestState, Settled, Terms},
    },
};

/// With all approvals that a request needs the grant begins; otherwise it goes on waiting.
pub(super) fn settle(
    config: &Config,
    store: &dyn Transaction,
    events: &mut Vec<Event>,
    pending: Pending,
    now: Timestamp,
) -> Outcome<Decided> {
    let voters = voters(config, store, &pending.request().approvals, now)?;
    if !waiting_for(pending.request().asked.needed(), &voters).is_empty() {
        return described(config, store, pending.request().clone(), now);
    }
    let terms = terms(config, store, &pending.request().asked, now)?;
    match pending.settle(&voters, &terms) {
        Settled::Waiting(pending, waiting_for) => {
            Ok(Decided { request: pending.request().clone(), grant: None, waiting_for })
        }
        Settled::Grant(granting) => begin(store, events, granting),
        Settled::Extend(extending) => extend(store, events, extending, now),
    }
}

/// What bounds a grant that begins now: the user and the role as they are, not as they were when it was asked.
pub(super) fn terms(config: &Config, store: &dyn Transaction, asked: &NewRequest, now: Timestamp) -> Outcome<Terms> {
    let user = must(store, &asked.user)?;
    if !user.active(now) {
        return Err(LedgerError::conflict(format!("user `{}` is disabled or expired", user.name)));
    }
    check::known_targets(config, asked.targets.clone())?;
    let longest = match asked.subject.role() {
        None => Some(config.statement_max_duration),
        Some(name) => {
            let gone = || LedgerError::conflict(format!("role `{name}` is gone from the configuration"));
            config.policy.roles.get(name).ok_or_else(gone)?.max_duration
        }
    };
    Ok(Terms { now, longest, user_until: user.expires })
}

/// The grant begins.
pub(super) fn begin(store: &dyn Transaction, events: &mut Vec<Event>, granting: Granting) -> Outcome<Decided> {
    let grant = granting.grant();
    let id = store.insert_grant(&grant)?;
    let asked = &granting.request().asked;
    let mut started = event(Kind::GrantStart, grant.starts, None, &grant.user, &grant.targets);
    (started.grant, started.request) = (Some(id), Some(grant.request));
    started.statement = asked.subject.statement().map(|statement| Arc::clone(&statement.text));
    started.reason = Some(format!("{}, until {}", what(&asked.subject), grant.ends).into());
    events.push(started);
    let request = granting.done(id);
    store.update_state(&request)?;
    Ok(Decided { request, grant: store.grant(id)?, waiting_for: String::new() })
}

/// The grant's end moves.
fn extend(store: &dyn Transaction, events: &mut Vec<Event>, extending: Extending, now: Timestamp) -> Outcome<Decided> {
    let (id, request) = (extending.grant(), extending.request().id);
    let gone = || LedgerError::not_found(format!("there is no grant {id}"));
    let record = store.grant(id)?.ok_or_else(gone)?;
    let (ends, request) = extending.done(&record.grant).map_err(|objection| refused(objection, request))?;
    store.extend(id, ends)?;
    store.update_state(&request)?;
    let mut longer = event(Kind::GrantStart, now, None, &record.grant.user, &record.grant.targets);
    (longer.grant, longer.request) = (Some(id), Some(request.id));
    longer.decision = Some("extend".into());
    longer.reason = Some(format!("{}, until {ends}", what(&request.asked.subject)).into());
    events.push(longer);
    Ok(Decided { request, grant: store.grant(id)?, waiting_for: String::new() })
}

/// The approvers as they are now: who was removed, disabled or left the group since counts no more.
fn voters(config: &Config, store: &dyn Transaction, approvals: &[Approved], now: Timestamp) -> Outcome<Vec<Voter>> {
    let mut found = Vec::new();
    for approval in approvals {
        let name = &approval.by;
        if is_operator(name) {
            let principal = Principal { user: name.clone(), groups: Vec::new() };
            found.push(Voter { principal, standing: Standing::Operator });
        } else if let Some(user) = store.user(name)?.filter(|user| user.active(now)) {
            let principal = user.principal();
            let admin = is_among(&principal, &config.admins);
            found.push(Voter { principal, standing: if admin { Standing::Admin } else { Standing::Member } });
        }
    }
    Ok(found)
}

/// A request with what it waits for, or with the grant it made.
pub(super) fn described(
    config: &Config,
    store: &dyn Transaction,
    request: Request,
    now: Timestamp,
) -> Outcome<Decided> {
    let (grant, waiting_for) = match &request.state {
        RequestState::Pending => {
            let voters = voters(config, store, &request.approvals, now)?;
            (None, waiting_for(request.asked.needed(), &voters))
        }
        RequestState::Approved { grant, .. } => (store.grant(*grant)?, String::new()),
        RequestState::Rejected(_) | RequestState::Cancelled(_) | RequestState::Lapsed { .. } => (None, String::new()),
    };
    Ok(Decided { request, grant, waiting_for })
}
