//! What every session and every API call shares: configuration, grants, journal, clock, open sessions.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use hallpass_audit::journal::Journal;
use hallpass_policy::mask::apply::HashKey;

use crate::{
    clock::Clock,
    config::Config,
    notify::Notifier,
    session::{registry::Sessions, target::Targets, throttle::Throttle},
    store::watch::GrantTable,
};

/// One proxy's shared state.
#[derive(Debug)]
pub struct Shared {
    /// The configuration in force; replaced as a whole.
    pub config: ArcSwap<Config>,
    /// Grows with every configuration put in force: part of every decision's cache key.
    pub epoch: AtomicU64,
    /// The databases, as sessions see them.
    pub targets: Targets,
    /// The key of `hash` masks: made anew with each data folder.
    pub hash_key: HashKey,
    /// The active grants.
    pub grants: GrantTable,
    /// The audit's journal.
    pub journal: Journal,
    /// Who is told of requests, decisions, emergencies and ends.
    pub notifier: Notifier,
    /// Time.
    pub clock: Clock,
    /// Open sessions.
    pub sessions: Arc<Sessions>,
    /// Who slows guessing down, at every door: listeners and API.
    pub throttle: Arc<Throttle>,
}

impl Shared {
    /// The state of a proxy that has no sessions and has published no grants yet.
    pub fn new(config: Config, journal: Journal, clock: Clock, hash_key: HashKey) -> Self {
        Self {
            targets: Targets::new(&config, &clock),
            notifier: Notifier::new(&config.notify, clock.now()),
            config: ArcSwap::from_pointee(config),
            epoch: AtomicU64::new(1),
            hash_key,
            grants: GrantTable::new(),
            journal,
            clock,
            sessions: Arc::new(Sessions::new()),
            throttle: Arc::new(Throttle::new()),
        }
    }

    /// The number of the configuration in force.
    pub fn config_epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Puts a configuration in force; open sessions follow from their next statement on.
    pub fn reconfigure(&self, config: Config) {
        self.config.store(Arc::new(config));
        let config = self.config.load_full();
        self.targets.reconfigure(&config, &self.clock);
        self.notifier.reconfigure(&config.notify);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}
