//! Watches the audit from outside, as who fails to write it has other things to do: tells that it fails, at most once a
//! minute. Mends nothing.

use std::{sync::Arc, time::Duration};

use hallpass_audit::sqlite::Importer;
use hallpass_policy::ids::Timestamp;

use super::{Action, Notification};
use crate::{config::Topic, shared::Shared};

/// How often it looks.
const GLANCE: Duration = Duration::from_secs(1);
/// How long it is silent after it has told.
const SILENCE: Duration = Duration::from_secs(60);

/// Tells of failures of the audit until the future is dropped.
pub async fn audit(shared: Arc<Shared>, importer: Arc<Importer>) {
    let mut watch = Watch::default();
    loop {
        let seen = Seen { journal: shared.journal.failures(), import: importer.failures() };
        if let Some(notification) = watch.look(seen, shared.clock.now()) {
            shared.notifier.tell(notification);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// How often each part has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    journal: u64,
    import: u64,
}

/// What was told, and when.
#[derive(Debug, Default)]
struct Watch {
    told: Seen,
    at: Option<Timestamp>,
}

impl Watch {
    /// What is to be told now.
    fn look(&mut self, seen: Seen, now: Timestamp) -> Option<Notification> {
        let comment = match (seen.journal > self.told.journal, seen.import > self.told.import) {
            (false, false) => return None,
            (true, _) => "the journal cannot be written, so no statement is forwarded and nothing is granted",
            (false, true) => "the journal cannot be moved to audit.db; statements run until it is full",
        };
        // Also when the clock was set back: then it is told once more, not kept for hours.
        if self.at.is_some_and(|at| at <= now && now < at.after(SILENCE)) {
            return None;
        }
        (self.told, self.at) = (seen, Some(now));
        let mut found = Notification::new(Topic::AuditFailure, Action::Failed, now);
        found.comment = Some(comment.to_owned());
        found.commands = vec!["hallpass audit stats".to_owned()];
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_audit_is_told_once_a_minute_while_it_fails() {
        let mut watch = Watch::default();
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let mut look = |journal, import, seconds| {
            let found = watch.look(Seen { journal, import }, at(seconds))?;
            assert_eq!((found.event, found.action, found.at), (Topic::AuditFailure, Action::Failed, at(seconds)));
            found.comment
        };
        assert_eq!(look(0, 0, 0), None);
        assert!(look(1, 0, 1).unwrap().contains("no statement is forwarded"));
        assert_eq!(look(900, 3, 60), None, "not again within the minute");
        assert!(look(900, 3, 61).is_some());
        assert_eq!(look(900, 3, 500), None, "and not when nothing failed since");
        assert!(look(900, 4, 501).unwrap().contains("audit.db"));
        assert!(look(901, 4, 100).is_some(), "a clock that was set back keeps nothing secret");
    }
}
