//! Break-glass: a role at once, without approval, and reviewed by somebody else afterwards. Until then the same user
//! does not break the glass again.

use std::time::Duration;

use hallpass_audit::event::{Event, Kind};
use hallpass_policy::{
    grant::NoReview,
    ids::{GrantId, RoleName, TargetName, Timestamp, UserName},
};

use super::{
    Decided, Hint, Ledger, LedgerError, Outcome, bounded, check, event, grants,
    refusal::Tried,
    requests::refused,
    settle::{begin, terms},
};
use crate::{
    config::units::human,
    store::{
        Transaction,
        actor::{Actor, is_operator},
        grants::GrantRecord,
        requests::{NewRequest, Objection, Subject, Way},
    },
};

/// An emergency.
#[derive(Clone, Debug)]
pub struct BreakGlass {
    /// For whom; `None`: for the actor.
    pub user: Option<UserName>,
    /// Which role.
    pub role: RoleName,
    /// Where.
    pub targets: Vec<TargetName>,
    /// For how long; `None`: as long as the role's `break_glass` allows.
    pub duration: Option<Duration>,
    /// Why.
    pub reason: String,
}

impl Ledger {
    /// Grants a role at once: to the actor, or, by an admin, to somebody else.
    ///
    /// # Errors
    /// When the role has no break-glass for the user, or nobody has reviewed the user's last one.
    pub fn break_glass(&self, actor: &Actor, glass: BreakGlass) -> Outcome<Decided> {
        let config = self.shared.config.load_full();
        let now = self.now();
        self.attempt(Tried::glass(actor, &glass), |store, events| {
            let user = check::for_whom(store, actor, glass.user, now)?;
            let targets = check::known_targets(&config, glass.targets)?;
            let reason = check::reasoned(glass.reason)?;
            let role = check::known_role(&config, &glass.role)?;
            let most = role.break_glass.as_ref().map(|terms| terms.max_duration);
            let duration = glass.duration.or(most).unwrap_or_default();
            if let Some(most) = most.filter(|most| duration > *most || duration.is_zero()) {
                let longest = human(most);
                return Err(LedgerError::invalid(format!(
                    "break-glass of role `{}` lasts at most {longest}, not {}",
                    role.name,
                    human(duration)
                ))
                .hint(Hint::option(
                    &format!("ask for a time between 1s and {longest}"),
                    &format!("--for {longest}"),
                    &format!("'{longest}'"),
                )));
            }
            let wheres: String = targets.iter().map(|target| format!(" --database {target}")).collect();
            let asked = NewRequest {
                user: user.name.clone(),
                asked_by: actor.name.clone(),
                subject: Subject::Role(role.name.clone()),
                targets,
                duration,
                reason: reason.into(),
                created: now,
                way: Way::BreakGlass,
                needed: Vec::new(),
            };
            let needed = check::reviewers(self, &config, &user.principal(), &asked);
            let asked = NewRequest { needed, ..asked };
            let unreviewed = store.unreviewed(Some(&user.name))?.first().map(|record| record.grant.id);
            let terms = terms(&config, store, &asked, now)?;
            let pending = Self::asked_in(store, events, actor, asked)?;
            let id = pending.request().id;
            let principal = user.principal();
            let granting = pending.break_glass(role, &principal, unreviewed, &terms);
            let granting = granting.map_err(|objection| match objection {
                Objection::NoBreakGlass(_) | Objection::NotForUser { .. } => refused(objection, id).hint(Hint::typed(
                    "ask for it",
                    &format!("request --role {}{wheres} --for 1h --reason \"…\"", role.name),
                    &format!("request('{}', '1 hour', '…')", role.name),
                )),
                other => refused(other, id),
            })?;
            begin(store, events, granting)
        })
    }

    /// Notes that the actor has looked at a break-glass of somebody else.
    ///
    /// # Errors
    /// When there is no such grant for the actor, it needs no review, has one, or is the actor's own.
    pub fn review(&self, actor: &Actor, id: GrantId, comment: String) -> Outcome<GrantRecord> {
        let now = self.now();
        self.attempt(Tried::new(Kind::Review, actor).with_grant(id), |store, events| {
            let nothing = || LedgerError::not_found(format!("there is no grant {id}"));
            let record = store.grant(id)?.ok_or_else(nothing)?;
            grants::in_hand(store, actor, &record)?;
            // As with approvals: who asked for another does not look away for them, unless it is who runs the proxy.
            let asked = store.request(record.grant.request)?.ok_or_else(nothing)?.asked;
            if record.review.is_due() && asked.asked_by == actor.name && !is_operator(&actor.name) {
                return Err(own());
            }
            let comment = bounded(Some(comment))?.ok_or_else(|| {
                LedgerError::invalid("a review needs a comment").hint(Hint::option(
                    "say what you saw",
                    "--comment \"…\"",
                    "'…'",
                ))
            })?;
            let holder = &record.grant.user;
            let review = record.review.clone().done(holder, actor.name.clone(), now, comment.as_str().into());
            let review = review.map_err(|why| match why {
                NoReview::Own => own(),
                NoReview::NotNeeded | NoReview::Done => LedgerError::conflict(format!("grant {id}: {why}")),
            })?;
            store.insert_review(id, &review)?;
            events.push(looked_at(&record, now, Some(actor), "review", &comment));
            store.grant(id)?.ok_or_else(nothing)
        })
    }

    /// Break-glass grants that nobody has reviewed yet and that the actor may see, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unreviewed(&self, actor: &Actor) -> Outcome<Vec<GrantRecord>> {
        let store = self.store.begin()?;
        let mut found = Vec::new();
        for record in store.unreviewed(None)? {
            if grants::may_see(&*store, actor, &record)? {
                found.push(record);
            }
        }
        Ok(found)
    }
}

fn own() -> LedgerError {
    LedgerError::forbidden(NoReview::Own.to_string()).hint("ask somebody else to look at it")
}

/// Says of each break-glass whose review is late, once, that it is.
pub(super) fn overdue(store: &dyn Transaction, events: &mut Vec<Event>, now: Timestamp) -> Outcome<()> {
    for record in store.take_overdue(now)? {
        events.push(looked_at(&record, now, None, "overdue", "nobody has reviewed this break-glass in time"));
    }
    Ok(())
}

fn looked_at(record: &GrantRecord, at: Timestamp, actor: Option<&Actor>, verb: &str, said: &str) -> Event {
    let grant = &record.grant;
    let who = actor.map_or(&grant.user, |actor| &actor.name);
    let mut found = event(Kind::Review, at, actor, who, &grant.targets);
    (found.grant, found.request) = (Some(grant.id), Some(grant.request));
    found.decision = Some(verb.into());
    found.reason = Some(said.into());
    found
}
