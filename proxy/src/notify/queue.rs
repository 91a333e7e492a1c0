//! What waits for one webhook: bounded, the oldest dropped first. Sends nothing.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Numbered;
use crate::config::Webhook;

/// The most notifications that wait for one webhook. One takes a few kilobytes at most.
const MOST: usize = 1000;

/// A webhook and what waits for it.
#[derive(Debug)]
pub(super) struct Hook {
    /// Its place in the file, from 1; it is called by it, as its URL is a secret.
    pub(super) number: usize,
    pub(super) webhook: Webhook,
    waiting: Mutex<Waiting>,
    some: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Arc<Numbered>>,
    /// What is being sent; it counts as unsent until it is.
    sending: Option<Arc<Numbered>>,
    /// Dropped since the log last told.
    dropped: u64,
}

impl Hook {
    fn new(number: usize, webhook: Webhook, queue: VecDeque<Arc<Numbered>>) -> Self {
        let waiting = Mutex::new(Waiting { queue, ..Waiting::default() });
        Self { number, webhook, waiting, some: tokio::sync::Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a notification, if the webhook wants to hear of such.
    pub(super) fn push(&self, notification: &Arc<Numbered>) {
        if !self.webhook.events.contains(&notification.notification.event) {
            return;
        }
        let mut waiting = self.lock();
        if waiting.queue.len() >= MOST {
            waiting.queue.pop_front();
            waiting.dropped += 1;
        }
        waiting.queue.push_back(Arc::clone(notification));
        drop(waiting);
        self.some.notify_one();
    }

    /// The oldest, once there is one. The one before it counts as done.
    pub(super) async fn next(&self) -> Arc<Numbered> {
        loop {
            let (next, dropped) = {
                let mut waiting = self.lock();
                waiting.sending = waiting.queue.pop_front();
                (waiting.sending.clone(), std::mem::take(&mut waiting.dropped))
            };
            if dropped > 0 {
                tracing::error!(
                    webhook = self.number,
                    dropped,
                    "more notifications waited than are kept; the oldest were dropped"
                );
            }
            match next {
                Some(next) => return next,
                None => self.some.notified().await,
            }
        }
    }

    /// How many are not sent yet.
    pub(super) fn unsent(&self) -> usize {
        let waiting = self.lock();
        waiting.queue.len() + usize::from(waiting.sending.is_some())
    }

    /// Everything unsent, oldest first; it is nobody's any more.
    pub(super) fn take(&self) -> VecDeque<Arc<Numbered>> {
        let mut waiting = self.lock();
        let mut all = std::mem::take(&mut waiting.queue);
        if let Some(sending) = waiting.sending.take() {
            all.push_front(sending);
        }
        all
    }
}

/// The hooks of a new configuration. One that stays as it is stays the same; what waits for another goes to the one
/// with its URL, or else to the one in its place.
pub(super) fn arranged(old: &[Arc<Hook>], webhooks: &[Webhook]) -> Vec<Arc<Hook>> {
    let mut free: Vec<_> = old.iter().collect();
    let mut take = |fits: &dyn Fn(&Hook) -> bool| {
        let at = free.iter().position(|hook| fits(hook))?;
        Some(Arc::clone(free.remove(at)))
    };
    let mut heirs: Vec<_> = webhooks.iter().map(|new| take(&|hook| hook.webhook.url == new.url)).collect();
    for (heir, number) in heirs.iter_mut().zip(1..) {
        if heir.is_none() {
            *heir = take(&|hook| hook.number == number);
        }
    }
    for hook in free {
        let dropped = hook.take().len();
        if dropped > 0 {
            tracing::warn!(webhook = hook.number, dropped, "the webhook is gone; what waited for it is dropped");
        }
    }
    let placed = webhooks.iter().zip(heirs).zip(1..).map(|((webhook, heir), number)| match heir {
        Some(hook) if hook.number == number && hook.webhook == *webhook => hook,
        Some(hook) => {
            let mut waiting = hook.take();
            waiting.retain(|numbered| webhook.events.contains(&numbered.notification.event));
            Arc::new(Hook::new(number, webhook.clone(), waiting))
        }
        None => Arc::new(Hook::new(number, webhook.clone(), VecDeque::new())),
    });
    placed.collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use hallpass_policy::ids::Timestamp;

    use super::{
        super::{Action, Notification, Notifier},
        *,
    };
    use crate::config::{Format, Secret, Topic, WebhookUrl};

    fn webhook(url: &str, events: &[Topic]) -> Webhook {
        Webhook {
            url: WebhookUrl::parse(&Secret::new(url.to_owned())).unwrap(),
            events: events.iter().copied().collect::<BTreeSet<_>>(),
            format: Format::Json,
            timeout: Duration::from_secs(1),
            ca: None,
        }
    }

    fn tell(notifier: &Notifier, event: Topic, action: Action) {
        notifier.tell(Notification::new(event, action, Timestamp(0)));
    }

    fn unsent(notifier: &Notifier) -> Vec<usize> {
        notifier.hooks().iter().map(|hook| hook.unsent()).collect()
    }

    #[tokio::test]
    async fn the_oldest_are_dropped_and_the_rest_keeps_its_order() {
        let notifier = Notifier::new(&[webhook("http://a.example/", &[Topic::Request])], Timestamp(255));
        for _ in 0..MOST + 3 {
            tell(&notifier, Topic::Request, Action::Asked);
        }
        let hook = Arc::clone(&notifier.hooks()[0]);
        assert_eq!((hook.unsent(), hook.lock().dropped), (MOST, 3));
        assert_eq!(hook.next().await.id, "ff-4");
        assert_eq!(hook.next().await.id, "ff-5");
        assert_eq!(hook.unsent(), MOST - 1, "what is being sent is not sent yet");
    }

    #[tokio::test]
    async fn each_hears_what_it_wants_and_a_reload_loses_nothing() {
        let (a, b) = ("https://a.example/x", "https://b.example/y");
        let both = [webhook(a, &[Topic::Request, Topic::Decision]), webhook(b, &[Topic::Decision])];
        let notifier = Notifier::new(&both, Timestamp(0));
        tell(&notifier, Topic::Request, Action::Asked);
        tell(&notifier, Topic::Decision, Action::Approved);
        tell(&notifier, Topic::GrantEnd, Action::Expired);
        assert_eq!(unsent(&notifier), [2, 1]);

        // As it is, it is the same hook: its worker goes on.
        let before = notifier.hooks();
        notifier.reconfigure(&both);
        assert!(before.iter().zip(notifier.hooks().iter()).all(|(old, new)| Arc::ptr_eq(old, new)));

        // One is being sent when the places change.
        let sending = before[0].next().await;
        notifier.reconfigure(&[both[1].clone(), both[0].clone()]);
        assert_eq!(unsent(&notifier), [1, 2]);
        assert_eq!(notifier.hooks()[1].next().await.id, sending.id);

        // A new URL in the same place, and fewer topics; then none at all.
        notifier.reconfigure(&[both[1].clone(), webhook("https://c.example/", &[Topic::Request])]);
        assert_eq!(unsent(&notifier), [1, 1]);
        notifier.reconfigure(&[]);
        assert!(!notifier.is_wanted());
    }
}
