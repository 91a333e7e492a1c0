//! The open sessions: for `hallpass sessions`, `hallpass kill`, and cancel requests.
//! Ends a session only by telling it; the session ends itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hallpass_audit::event::Origin;
use hallpass_policy::ids::{GrantId, SessionId, Timestamp};
use serde::Serialize;
use tokio::sync::mpsc;

/// What another task tells a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A cancel request with the right key: cancel what runs now.
    Cancel,
    /// An admin ends the session.
    Kill,
    /// The proxy shuts down: end when nothing runs.
    Drain,
    /// Grants or the configuration changed: look at them anew.
    Recheck,
}

/// One open session, for people.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    /// Its name.
    pub id: SessionId,
    /// Who and where.
    pub origin: Arc<Origin>,
    /// Since when.
    pub started: Timestamp,
    /// What it runs now, if anything.
    pub statement: Option<Arc<str>>,
    /// On which grant.
    pub grant: Option<GrantId>,
}

/// What a session runs now; shared with it, so that noting it costs a statement next to nothing.
#[derive(Debug, Default)]
pub struct Running(Mutex<Option<(Arc<str>, Option<GrantId>)>>);

impl Running {
    /// Notes what runs; `None` when nothing does.
    pub fn set(&self, statement: Option<(Arc<str>, Option<GrantId>)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = statement;
    }

    fn get(&self) -> Option<(Arc<str>, Option<GrantId>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a client was told that another connection may cancel its statements with.
#[derive(Clone, Debug)]
pub enum CancelKey {
    /// Postgres: a process id and a secret. Whoever knows both may.
    Secret {
        /// From 0.
        process: i32,
        /// Never empty.
        secret: Arc<[u8]>,
    },
    /// MySQL: the connection id of the greeting, unique while the proxy runs. Its own user may.
    Connection(u32),
}

struct Entry {
    info: SessionInfo,
    running: Arc<Running>,
    signals: mpsc::Sender<Signal>,
    key: CancelKey,
}

/// All open sessions. One for the whole proxy.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<SessionId, Entry>>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("open", &self.len()).finish()
    }
}

impl Sessions {
    /// None open.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a session; `key` is what the client was told for its cancel requests.
    pub fn enter(&self, info: SessionInfo, running: Arc<Running>, key: CancelKey) -> mpsc::Receiver<Signal> {
        let (signals, receiver) = mpsc::channel(8);
        self.lock().insert(info.id.clone(), Entry { info, running, signals, key });
        receiver
    }

    /// Removes a session.
    pub fn leave(&self, id: &SessionId) {
        self.lock().remove(id);
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, oldest first.
    pub fn list(&self) -> Vec<SessionInfo> {
        let info = |entry: &Entry| {
            let (statement, grant) = entry.running.get().map_or((None, None), |(text, grant)| (Some(text), grant));
            SessionInfo { statement, grant, ..entry.info.clone() }
        };
        let mut all: Vec<_> = self.lock().values().map(info).collect();
        all.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
        all
    }

    /// Tells one session; false if there is none of that name.
    pub fn signal(&self, id: &SessionId, signal: Signal) -> bool {
        self.lock().get(id).is_some_and(|entry| entry.signals.try_send(signal).is_ok())
    }

    /// Tells every session.
    pub fn signal_all(&self, signal: Signal) {
        for entry in self.lock().values() {
            // A full channel holds signals enough already.
            let _ = entry.signals.try_send(signal);
        }
    }

    /// Cancels what runs in the session that was given exactly this key; anything else is ignored in silence, as the
    /// protocol wants it.
    pub fn cancel(&self, process: i32, secret: &[u8]) {
        use subtle::ConstantTimeEq;
        let open = self.lock();
        let found = open.values().find(|entry| match &entry.key {
            CancelKey::Secret { process: given, secret: key } => {
                *given == process && !secret.is_empty() && bool::from(key.ct_eq(secret))
            }
            CancelKey::Connection(_) => false,
        });
        if let Some(entry) = found {
            let _ = entry.signals.try_send(Signal::Cancel);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
