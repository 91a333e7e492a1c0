//! The active grants, where every session can read them without asking the store: one atomic number says whether
//! anything changed, one pointer leads to the grants as they are now.
//! Writes nothing to the store; whoever changes a grant there publishes here afterwards.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use hallpass_policy::{grant::Grant, ids::UserName};
use tokio::sync::watch;

/// Grants by user. Expired ones may be among them: whoever decides compares times.
pub type ByUser = HashMap<UserName, Arc<[Grant]>>;

/// The published grants. One for the whole proxy.
#[derive(Debug)]
pub struct GrantTable {
    epoch: AtomicU64,
    grants: ArcSwap<ByUser>,
    changed: watch::Sender<u64>,
}

impl GrantTable {
    /// An empty table at epoch 1.
    pub fn new() -> Self {
        Self { epoch: AtomicU64::new(1), grants: ArcSwap::default(), changed: watch::Sender::new(1) }
    }

    /// A number that grows with every change: part of every decision's cache key.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What `user` holds; recently ended grants among them, so that an end can be told.
    pub fn of(&self, user: &UserName) -> Arc<[Grant]> {
        self.grants.load().get(user).cloned().unwrap_or_else(|| Arc::from([]))
    }

    /// Replaces all grants. The epoch grows after the grants are in place, so that who sees the new number sees them.
    pub fn publish(&self, grants: ByUser) {
        self.grants.store(Arc::new(grants));
        let epoch = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
        self.changed.send_replace(epoch);
    }

    /// Wakes when the table changes.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

impl Default for GrantTable {
    fn default() -> Self {
        Self::new()
    }
}
