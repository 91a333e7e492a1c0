//! The open sessions: for `hallpass sessions`, `hallpass kill`, and cancel requests.
//! Ends a session only by telling it; the session ends itself.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hallpass_audit::event::Origin;
use hallpass_policy::ids::{GrantId, SessionId, Timestamp, UserName};
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
    /// Connection ids given out; MySQL's have 32 bits and begin anew when they are used up.
    connections: AtomicU64,
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

    /// A connection id for a MySQL client: from 1, and no open session's.
    pub fn next_connection(&self) -> u32 {
        loop {
            let count = self.connections.fetch_add(1, Ordering::Relaxed);
            let id = u32::try_from(count % u64::from(u32::MAX)).unwrap_or_default() + 1;
            let taken = |entry: &Entry| matches!(entry.key, CancelKey::Connection(open) if open == id);
            if count < u64::from(u32::MAX) || !self.lock().values().any(taken) {
                return id;
            }
        }
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

    /// Tells the session with this connection number, if it is `user`'s; false when there is none.
    pub fn signal_own(&self, user: &UserName, connection: u32, signal: Signal) -> bool {
        let open = self.lock();
        let own = open.values().find(|entry| {
            matches!(entry.key, CancelKey::Connection(number) if number == connection)
                && entry.info.origin.user.as_ref() == Some(user)
        });
        own.is_some_and(|entry| entry.signals.try_send(signal).is_ok())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_ids_start_at_1_and_skip_open_sessions_when_they_come_round() {
        let sessions = Sessions::new();
        assert_eq!([sessions.next_connection(), sessions.next_connection()], [1, 2]);
        let info = SessionInfo {
            id: SessionId::new("a"),
            origin: Arc::default(),
            started: Timestamp(0),
            statement: None,
            grant: None,
        };
        let _signals = sessions.enter(info, Arc::default(), CancelKey::Connection(1));
        sessions.connections.store(u64::from(u32::MAX) - 1, Ordering::Relaxed);
        assert_eq!([sessions.next_connection(), sessions.next_connection()], [u32::MAX, 2]);
    }
}
