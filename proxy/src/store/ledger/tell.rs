//! What webhooks hear of a change: made of its events and of what the store says then, in the change's own transaction;
//! told when it is true. Changes nothing, and no change fails for it.

use hallpass_audit::event::{Event, Kind};
use hallpass_policy::{
    grant::GrantEnd,
    ids::{GrantId, RequestId, Timestamp},
};

use super::{Decided, Ledger, Outcome, settle::described};
use crate::{
    config::{Config, Topic},
    notify::{Action, Notification, StatementFacts, bounded},
    store::{
        Transaction,
        grants::GrantRecord,
        requests::{Request, RequestState, Subject, Way},
    },
};

/// The most tables that are named.
const MOST_TABLES: usize = 20;

impl Ledger {
    /// What is to be told of `events`, should they become true.
    pub(super) fn told(&self, store: &dyn Transaction, events: &[Event]) -> Vec<Notification> {
        if !self.shared.notifier.is_wanted() {
            return Vec::new();
        }
        let config = self.shared.config.load_full();
        let mut all = Vec::new();
        for event in events {
            let Some((topic, action)) = about(event, events) else { continue };
            match told(&config, store, event, topic, action, self.now()) {
                Ok(found) => all.extend(found),
                Err(error) => tracing::error!(%error, "a notification cannot be made"),
            }
        }
        all
    }
}

/// Whether anybody is to hear of `event`, one of `all` of a change.
fn about(event: &Event, all: &[Event]) -> Option<(Topic, Action)> {
    match event.kind {
        Kind::Request => match event.decision.as_deref() {
            None => Some((Topic::Request, Action::Asked)),
            Some("change") => Some((Topic::Request, Action::Changed)),
            Some("cancel") => Some((Topic::Decision, Action::Cancelled)),
            Some("lapse") => Some((Topic::Decision, Action::Lapsed)),
            Some(_) => None,
        },
        Kind::Approval => Some((Topic::Decision, Action::Approved)),
        Kind::Rejection => Some((Topic::Decision, Action::Rejected)),
        // A beginning is told with the approval that led to it, or the emergency.
        Kind::GrantStart => {
            let told = |other: &Event| {
                matches!(other.kind, Kind::Approval | Kind::BreakGlass) && other.request == event.request
            };
            (!all.iter().any(told)).then_some((Topic::Decision, Action::Granted))
        }
        Kind::GrantEnd => Some((Topic::GrantEnd, Action::Expired)),
        Kind::BreakGlass => Some((Topic::BreakGlass, Action::Broken)),
        Kind::Review => match event.decision.as_deref() {
            Some("overdue") => Some((Topic::BreakGlass, Action::Overdue)),
            Some(_) | None => Some((Topic::BreakGlass, Action::Reviewed)),
        },
        Kind::SessionStart
        | Kind::LoginFailed
        | Kind::Attempt
        | Kind::Denied
        | Kind::Outcome
        | Kind::SessionEnd
        | Kind::Admin
        | Kind::Config => None,
    }
}

fn told(
    config: &Config,
    store: &dyn Transaction,
    event: &Event,
    topic: Topic,
    action: Action,
    now: Timestamp,
) -> Outcome<Option<Notification>> {
    let Some(request) = event.request.map(|id| store.request(id)).transpose()?.flatten() else { return Ok(None) };
    let decided = described(config, store, request, now)?;
    let pending = matches!(decided.request.state, RequestState::Pending);
    if topic == Topic::Request && !pending {
        // Nobody has to do anything: the decision is told.
        return Ok(None);
    }
    let record = match event.grant {
        Some(id) => store.grant(id)?,
        None => decided.grant.clone(),
    };
    let mut found = of_request(store, &decided, Notification::new(topic, action, event.at))?;
    if let Some(record) = &record {
        of_grant(record, &mut found);
    }
    match action {
        Action::Approved | Action::Rejected | Action::Cancelled | Action::Reviewed => {
            found.by = event.origin.user.clone();
            found.comment = event.reason.as_deref().map(bounded);
        }
        Action::Lapsed => found.comment = event.reason.as_deref().map(bounded),
        Action::Expired => {
            if let Some(GrantEnd::Revoked { by, reason }) = record.and_then(|record| record.grant.revoked) {
                found.action = Action::Revoked;
                found.by = Some(by);
                found.comment = reason.as_deref().map(bounded);
            }
        }
        Action::Broken | Action::Overdue => found.commands = found.grant_id.map(review).unwrap_or_default(),
        Action::Asked | Action::Changed | Action::Granted | Action::Revoked | Action::Refused | Action::Failed => {}
    }
    if pending {
        found.waiting_for = Some(decided.waiting_for);
        if matches!(action, Action::Asked | Action::Changed | Action::Approved) {
            found.commands = approve(decided.request.id);
        }
    }
    Ok(Some(found))
}

fn of_request(store: &dyn Transaction, decided: &Decided, mut found: Notification) -> Outcome<Notification> {
    let Request { id, asked, .. } = &decided.request;
    found.request_id = Some(*id);
    found.user = Some(asked.user.clone());
    found.by = (asked.asked_by != asked.user).then(|| asked.asked_by.clone());
    found.targets.clone_from(&asked.targets);
    found.duration = Some(asked.duration);
    found.reason = Some(bounded(&asked.reason));
    found.extends = match asked.way {
        Way::Extend(grant) => Some(grant),
        Way::Grant | Way::BreakGlass => None,
    };
    match &asked.subject {
        Subject::Role(role) => found.role = Some(role.clone()),
        Subject::Statement(statement) => {
            let mut tables: Vec<_> = store.resources(*id)?.values().flatten().map(ToString::to_string).collect();
            tables.retain(|table| !table.is_empty());
            tables.sort();
            tables.dedup();
            tables.truncate(MOST_TABLES);
            let (export, unmask) = (statement.export, statement.unmask);
            let max_rows_affected = statement.max_rows_affected;
            found.statement = Some(StatementFacts { tables, export, unmask, max_rows_affected });
        }
    }
    Ok(found)
}

fn of_grant(record: &GrantRecord, found: &mut Notification) {
    found.grant_id = Some(record.grant.id);
    found.ends = Some(record.ended());
}

fn approve(id: RequestId) -> Vec<String> {
    vec![format!("hallpass approve {id}"), format!("CALL hallpass.approve({id})")]
}

fn review(id: GrantId) -> Vec<String> {
    vec![format!("hallpass review {id} --comment \"…\""), format!("CALL hallpass.review({id}, '…')")]
}
