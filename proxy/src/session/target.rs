//! One upstream database as all of its sessions see it: its names, its masks, what texts mean under them.
//! Talks to the database only over its own catalog connection, never on a client's behalf.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use ahash::AHashMap;
use arc_swap::{ArcSwap, ArcSwapOption};
use hallpass_policy::{
    catalog::Catalog,
    decide::Policy,
    ids::TargetName,
    mask::plan::Masks,
    statement::{Names, Refusal, Understood, postgres},
};
use tokio::sync::{mpsc, oneshot};

use super::catalog;
use crate::{clock::Clock, config, error::ClientError};

/// Texts' bytes whose meaning is kept for each target.
const TEXT_BYTES_KEPT: usize = 16 << 20;
/// A text longer than this is understood anew each time: bulk INSERTs do not repeat.
const LONGEST_TEXT_KEPT: usize = 64 << 10;
/// A catalog younger than this is not fetched again for an unknown name.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// The names and masks of a target at one moment.
#[derive(Debug)]
pub struct Known {
    /// Names.
    pub catalog: Arc<Catalog>,
    /// Masked columns under the configuration in force.
    pub masks: Arc<Masks>,
    /// Grows with every change; part of every cache key.
    pub generation: u64,
}

/// A text and what it means.
#[derive(Debug)]
pub struct Understanding {
    /// Byte for byte as the client sent it.
    pub text: Arc<str>,
    /// Its statements.
    pub understood: Understood,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextKey {
    text: Arc<str>,
    names: Names,
    generation: u64,
}

#[derive(Debug, Default)]
struct Texts {
    by_key: AHashMap<TextKey, Arc<Understanding>>,
    bytes: usize,
}

/// What an upstream told a login: its parameters, in its order.
pub type Parameters = Arc<[(String, String)]>;

/// One target.
#[derive(Debug)]
pub struct Target {
    config: ArcSwap<config::Target>,
    name: TargetName,
    known: ArcSwapOption<Known>,
    fetched: AtomicI64,
    texts: Mutex<Texts>,
    parameters: Mutex<HashMap<Vec<(String, String)>, Parameters>>,
    fetch: mpsc::Sender<oneshot::Sender<Result<(), ClientError>>>,
    clock: Clock,
}

/// Numbers [`Known::generation`]s, over all targets, private ones of a transaction among them.
static GENERATION: AtomicU64 = AtomicU64::new(1);

impl Known {
    /// Compiles `policy`'s masks over `catalog`.
    pub fn new(catalog: Catalog, policy: &Policy, target: &TargetName) -> Self {
        let masks = postgres::masks(&policy.masks, target, &catalog);
        Self {
            catalog: Arc::new(catalog),
            masks: Arc::new(masks),
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Target {
    /// A target of which nothing is known yet, and the end on which its fetcher listens.
    pub fn new(config: config::Target, clock: Clock) -> (Arc<Self>, mpsc::Receiver<oneshot::Sender<Result<(), ClientError>>>) {
        let (fetch, requests) = mpsc::channel(64);
        let target = Self {
            name: config.name.clone(),
            config: ArcSwap::from_pointee(config),
            known: ArcSwapOption::empty(),
            fetched: AtomicI64::new(0),
            texts: Mutex::default(),
            parameters: Mutex::default(),
            fetch,
            clock,
        };
        (Arc::new(target), requests)
    }

    /// Its name.
    pub fn name(&self) -> &TargetName {
        &self.name
    }

    /// How to reach it.
    pub fn config(&self) -> Arc<config::Target> {
        self.config.load_full()
    }

    /// Replaces how to reach it; new upstream sessions use it.
    pub fn set_config(&self, config: config::Target) {
        self.config.store(Arc::new(config));
    }

    /// The names and masks as last fetched; an empty catalog, under which every name is unknown, before that.
    pub fn known(&self) -> Arc<Known> {
        self.known.load_full().unwrap_or_else(|| {
            Arc::new(Known { catalog: Arc::default(), masks: Arc::default(), generation: 0 })
        })
    }

    /// Whether anything was fetched yet.
    pub fn is_known(&self) -> bool {
        self.known.load().is_some()
    }

    /// Whether the catalog is old enough that an unknown name may have come into being since.
    pub fn may_be_stale(&self) -> bool {
        hallpass_policy::ids::Timestamp(self.fetched.load(Ordering::Acquire)).until(self.clock.now()) > FRESH_FOR
    }

    /// Fetches the catalog now and waits for it.
    ///
    /// # Errors
    /// [`ClientError::UpstreamUnavailable`] when the target cannot be asked.
    pub async fn refresh(&self) -> Result<(), ClientError> {
        let (done, outcome) = oneshot::channel();
        let unavailable = || ClientError::UpstreamUnavailable {
            target: self.name.to_string(),
            reason: "its catalog cannot be read".into(),
        };
        self.fetch.send(done).await.map_err(|_| unavailable())?;
        outcome.await.map_err(|_| unavailable())?
    }

    /// Puts a fetched catalog in force.
    pub fn learn(&self, catalog: Catalog, policy: &Policy) {
        self.known.store(Some(Arc::new(Known::new(catalog, policy, &self.name))));
        self.fetched.store(self.clock.now().0, Ordering::Release);
        *self.lock_texts() = Texts::default();
    }

    /// Compiles the masks anew after the configuration changed.
    pub fn recompile(&self, policy: &Policy) {
        if let Some(known) = self.known.load_full() {
            self.known.store(Some(Arc::new(Known::new(Catalog::clone(&known.catalog), policy, &self.name))));
            *self.lock_texts() = Texts::default();
        }
    }

    /// What `text` means under `known` and `names`, from memory where it was met before.
    ///
    /// # Errors
    /// The refusal, when it is not understood. Refusals are not remembered.
    pub fn understand(&self, text: &str, known: &Known, names: &Names) -> Result<Arc<Understanding>, Refusal> {
        let keep = text.len() <= LONGEST_TEXT_KEPT;
        let key = TextKey { text: Arc::from(text), names: names.clone(), generation: known.generation };
        if keep && let Some(met) = self.lock_texts().by_key.get(&key) {
            return Ok(Arc::clone(met));
        }
        let understood = postgres::understand(text, &known.catalog, names)?;
        let understanding = Arc::new(Understanding { text: Arc::clone(&key.text), understood });
        if keep {
            let mut texts = self.lock_texts();
            if texts.bytes + text.len() > TEXT_BYTES_KEPT {
                *texts = Texts::default();
            }
            texts.bytes += text.len();
            texts.by_key.insert(key, Arc::clone(&understanding));
        }
        Ok(understanding)
    }

    /// What the upstream told the last login that asked for the same settings.
    pub fn parameters(&self, settings: &[(String, String)]) -> Option<Parameters> {
        self.parameters.lock().unwrap_or_else(PoisonError::into_inner).get(settings).cloned()
    }

    /// Remembers what the upstream told a login.
    pub fn remember_parameters(&self, settings: Vec<(String, String)>, told: Parameters) {
        let mut parameters = self.parameters.lock().unwrap_or_else(PoisonError::into_inner);
        // Clients choose the settings: a bound keeps them from filling our memory.
        if parameters.len() >= 256 {
            parameters.clear();
        }
        parameters.insert(settings, told);
    }

    fn lock_texts(&self) -> std::sync::MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves fetch requests of one target until nobody can ask any more: requests that wait together share one fetch.
pub async fn serve_fetches(
    target: Arc<Target>,
    policy: impl Fn() -> Arc<config::Config>,
    mut requests: mpsc::Receiver<oneshot::Sender<Result<(), ClientError>>>,
) {
    let mut reader = catalog::Reader::new();
    while let Some(first) = requests.recv().await {
        let mut waiting = vec![first];
        while let Ok(next) = requests.try_recv() {
            waiting.push(next);
        }
        let outcome = match reader.fetch(&target.config()).await {
            Ok(catalog) => {
                target.learn(catalog, &policy().policy);
                Ok(())
            }
            Err(error) => Err(error),
        };
        for asked in waiting {
            // Whoever asked may have left meanwhile.
            let _ = asked.send(outcome.clone());
        }
    }
}
