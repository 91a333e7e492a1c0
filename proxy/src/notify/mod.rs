//! Notifications by webhook: what there is to tell, and to whom. Whoever tells never waits and never fails: a
//! notification is put into the bounded queue of each webhook that wants it, and a task sends it. Decides nothing, reads
//! no store; what a change of the ledger tells is the affair of `store::ledger::tell`.
//!
//! No statement's text is in a notification, as literals are often values: a request for one tells its tables. What
//! users give as a reason is told, bounded in length.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hallpass_policy::ids::{GrantId, RequestId, RoleName, TargetName, Timestamp, UserName};
use serde::{Serialize, Serializer};

use crate::{
    config::{Topic, Webhook},
    shared::Shared,
};

mod body;
mod deliver;
mod post;
mod queue;
pub mod watch;

use queue::Hook;

/// The longest user text in a notification, characters.
const LONGEST_TEXT: usize = 1000;
/// How often shutting down looks whether everything is sent.
const GLANCE: Duration = Duration::from_millis(20);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A request waits for approval.
    Asked,
    /// It asks for something else now, and needs its approvals anew.
    Changed,
    /// Somebody approved it.
    Approved,
    /// No approval was needed.
    Granted,
    /// Somebody rejected it.
    Rejected,
    /// It was withdrawn.
    Cancelled,
    /// Nobody decided it in time.
    Lapsed,
    /// The glass was broken.
    Broken,
    /// The glass was not broken: it was refused.
    Refused,
    /// Somebody looked at a break-glass.
    Reviewed,
    /// Nobody has, in time.
    Overdue,
    /// A grant's time was up.
    Expired,
    /// Somebody ended it.
    Revoked,
    /// The audit fails.
    Failed,
}

/// One thing to tell. Fields that it has no use for stay `None` and are not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// What it is about.
    pub event: Topic,
    /// What happened.
    pub action: Action,
    /// When, RFC 3339, UTC.
    #[serde(serialize_with = "shown")]
    pub at: Timestamp,
    /// The request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<GrantId>,
    /// Who holds the grant, or is to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// Who acted, if not the user: approved, rejected, revoked, reviewed, asked for another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<UserName>,
    /// Where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetName>,
    /// Of a request for a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// Of a request for a statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<StatementFacts>,
    /// How long, from the approval on; of an extension: how much longer.
    #[serde(rename = "duration_seconds", serialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// When the grant ends, or ended.
    #[serde(serialize_with = "shown_if", skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// The grant that a request is to extend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extends: Option<GrantId>,
    /// Why it was asked, in the user's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What whoever acted said; of a refusal, why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whose approval is missing, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What to type next: for the shell, and for a SQL client.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

/// What is told of a statement that was asked for: never its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StatementFacts {
    /// Tables it reaches, as far as they were known.
    pub tables: Vec<String>,
    /// Bulk reads.
    pub export: bool,
    /// Masked columns shown.
    pub unmask: bool,
    /// Of a write: the most rows it may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rows_affected: Option<u64>,
}

impl Notification {
    /// A notification with nothing but what and when.
    pub fn new(event: Topic, action: Action, at: Timestamp) -> Self {
        Self {
            event,
            action,
            at,
            request_id: None,
            grant_id: None,
            user: None,
            by: None,
            targets: Vec::new(),
            role: None,
            statement: None,
            duration: None,
            ends: None,
            extends: None,
            reason: None,
            comment: None,
            waiting_for: None,
            commands: Vec::new(),
        }
    }
}

/// A user's text, cut where it is longer than a notification takes.
pub fn bounded(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn shown<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn shown_if<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

fn seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_f64(time.as_secs_f64()),
        None => serializer.serialize_none(),
    }
}

/// A notification on its way, with the name that all its tries carry.
#[derive(Debug)]
struct Numbered {
    id: String,
    notification: Notification,
}

/// The webhooks, with what waits for each.
#[derive(Debug)]
pub struct Notifier {
    /// Locked while something is told, so that no reload moves a queue away beneath it.
    hooks: Mutex<Vec<Arc<Hook>>>,
    changed: tokio::sync::Notify,
    /// Names this start of the proxy; receivers tell a second try from a second event by it.
    start: i64,
    told: AtomicU64,
}

impl Notifier {
    /// For these webhooks; `now` is part of each notification's name.
    pub fn new(webhooks: &[Webhook], now: Timestamp) -> Self {
        let hooks = queue::arranged(&[], webhooks);
        Self { hooks: Mutex::new(hooks), changed: tokio::sync::Notify::new(), start: now.0, told: AtomicU64::new(0) }
    }

    /// Other webhooks from here on. What waits for one goes to the one with the same URL, or else to the one in its
    /// place; what has neither is dropped.
    pub fn reconfigure(&self, webhooks: &[Webhook]) {
        let mut hooks = self.lock();
        *hooks = queue::arranged(&hooks, webhooks);
        drop(hooks);
        self.changed.notify_one();
    }

    /// Whether anybody wants to hear anything.
    pub fn is_wanted(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Tells everybody who wants to hear it. Never waits.
    pub fn tell(&self, notification: Notification) {
        let id = format!("{:x}-{}", self.start, self.told.fetch_add(1, Ordering::Relaxed) + 1);
        let numbered = Arc::new(Numbered { id, notification });
        for hook in self.lock().iter() {
            hook.push(&numbered);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Hook>>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that waits for the first webhook, which then waits no more.
    #[cfg(test)]
    pub(crate) fn take_all(&self) -> Vec<Notification> {
        let hooks = self.hooks();
        let waiting = hooks.first().map(|hook| hook.take()).unwrap_or_default();
        waiting.into_iter().map(|numbered| numbered.notification.clone()).collect()
    }

    fn hooks(&self) -> Vec<Arc<Hook>> {
        self.lock().clone()
    }

    /// Gives what waits a last chance of `limit`; what is not sent by then is dropped, and the log says how much.
    pub async fn settle(&self, limit: Duration) {
        let hooks = self.hooks();
        let sent = async {
            while hooks.iter().any(|hook| hook.unsent() > 0) {
                tokio::time::sleep(GLANCE).await;
            }
        };
        if tokio::time::timeout(limit, sent).await.is_err() {
            for hook in hooks.iter().filter(|hook| hook.unsent() > 0) {
                tracing::warn!(webhook = hook.number, unsent = hook.unsent(), "notifications were not sent");
            }
        }
    }
}

/// Sends what is told, one task a webhook, until the future is dropped.
pub async fn deliver(shared: Arc<Shared>) {
    let mut workers: Vec<(Arc<Hook>, tokio::task::AbortHandle)> = Vec::new();
    // Ends its tasks when it is dropped.
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let hooks = shared.notifier.hooks();
        workers.retain(|(hook, task)| {
            let stays = hooks.iter().any(|other| Arc::ptr_eq(other, hook));
            if !stays {
                task.abort();
            }
            stays
        });
        for hook in hooks.iter() {
            if !workers.iter().any(|(other, _)| Arc::ptr_eq(other, hook)) {
                workers.push((Arc::clone(hook), tasks.spawn(deliver::work(Arc::clone(hook)))));
            }
        }
        while tasks.try_join_next().is_some() {}
        shared.notifier.changed.notified().await;
    }
}
