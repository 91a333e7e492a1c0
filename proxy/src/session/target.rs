//! One upstream database as all of its sessions see it: its names, its masks, what texts mean under them.
//! Talks to the database only over its own catalog connection, never on a client's behalf.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use hallpass_policy::{
    catalog::{Catalog, Relation},
    decide::Policy,
    ids::{TargetName, Timestamp},
    mask::plan::Masks,
    statement::{Dialect, Names, Refusal, mysql::MysqlNames},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

pub use super::texts::{Understanding, ViewRevision};
use super::{texts::Texts, upstream::connector::Connector};
use crate::{
    clock::Clock,
    config,
    error::ClientError,
    wire::{
        mysql::capability::{Capabilities, Flavour},
        postgres::settings::Setting,
    },
};

/// A catalog younger than this is not fetched again for an unknown name.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// How long a session that finds nobody there waits for a look at the names.
const PATIENCE: Duration = Duration::from_secs(1);

/// The names and masks of a target at one moment.
#[derive(Debug)]
pub struct Known {
    /// Names.
    pub catalog: Arc<Catalog>,
    /// Masked columns under the configuration in force.
    pub masks: Arc<Masks>,
    /// What a new session's statements are read with.
    pub dialect: Dialect,
    /// Grows with every change; part of every cache key.
    pub generation: u64,
}

/// How a MySQL or MariaDB server greets; listeners in front of it greet in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its version as it says it, with the prefix that MariaDB puts before it.
    pub version: String,
    /// What it offers.
    pub capabilities: Capabilities,
    /// Its default collation, the low byte of the number.
    pub collation: u8,
    /// Whose server it is.
    pub flavour: Flavour,
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
    texts: Texts,
    connector: ArcSwapOption<Connector>,
    parameters: Mutex<HashMap<Vec<Setting>, Parameters>>,
    greeting: ArcSwapOption<Greeting>,
    fetch: mpsc::Sender<FetchRequest>,
    /// A session changed names and nobody has fetched them since.
    changed: AtomicBool,
    /// Open client sessions: while there are none, nobody watches for changed names.
    sessions: AtomicUsize,
    clock: Clock,
}

/// One open session of a target, until it is dropped.
#[derive(Debug)]
pub struct Attendance(Arc<Target>);

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Numbers [`Known::generation`]s, over all targets, private ones of a transaction among them.
static GENERATION: AtomicU64 = AtomicU64::new(1);

impl Known {
    /// Compiles `policy`'s masks over `catalog`.
    pub fn new(catalog: Catalog, dialect: Dialect, policy: &Policy, target: &TargetName) -> Self {
        let lineage_of = |relation: &Relation| {
            let relation = catalog.relations.get(&relation.name)?;
            dialect.lineage_of(&catalog, relation)
        };
        let masks = Masks::compile(&policy.masks, target, &catalog, lineage_of).masks;
        Self {
            catalog: Arc::new(catalog),
            masks: Arc::new(masks),
            dialect,
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Target {
    /// A target of which nothing is known yet, and the end on which its fetcher listens.
    pub fn new(config: config::Target, clock: Clock) -> (Arc<Self>, mpsc::Receiver<FetchRequest>) {
        let (fetch, requests) = mpsc::channel(64);
        let target = Self {
            name: config.name.clone(),
            config: ArcSwap::from_pointee(config),
            known: ArcSwapOption::empty(),
            fetched: AtomicI64::new(0),
            texts: Texts::default(),
            connector: ArcSwapOption::empty(),
            parameters: Mutex::default(),
            greeting: ArcSwapOption::empty(),
            fetch,
            changed: AtomicBool::new(false),
            sessions: AtomicUsize::new(0),
            clock,
        };
        (Arc::new(target), requests)
    }

    /// Counts a session in.
    pub fn attend(self: &Arc<Self>) -> Attendance {
        self.sessions.fetch_add(1, Ordering::AcqRel);
        Attendance(Arc::clone(self))
    }

    /// Whether any session is open.
    pub fn is_attended(&self) -> bool {
        self.sessions.load(Ordering::Acquire) > 0
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
        self.connector.store(None);
    }

    /// Opens connections to it.
    ///
    /// # Errors
    /// When the certificates its TLS needs cannot be read.
    pub fn connector(&self) -> Result<Arc<Connector>, ClientError> {
        if let Some(connector) = self.connector.load_full() {
            return Ok(connector);
        }
        let connector = Connector::new(self.config()).map_err(|error| {
            tracing::error!(target_name = %self.name, %error, "the TLS of a target cannot be set up");
            ClientError::UpstreamUnavailable {
                target: self.name.to_string(),
                reason: "its TLS cannot be set up".into(),
            }
        })?;
        let connector = Arc::new(connector);
        self.connector.store(Some(Arc::clone(&connector)));
        Ok(connector)
    }

    /// The names and masks as last fetched; an empty catalog, under which every name is unknown, before that.
    pub fn known(&self) -> Arc<Known> {
        self.known.load_full().unwrap_or_else(|| {
            let dialect = match self.config.load().protocol {
                config::Protocol::Postgres => Dialect::Postgres(Names { search_path: Arc::from("") }),
                config::Protocol::Mysql => Dialect::Mysql(MysqlNames::default()),
            };
            Arc::new(Known { catalog: Arc::default(), masks: Arc::default(), dialect, generation: 0 })
        })
    }

    /// Whether anything was fetched yet.
    pub fn is_known(&self) -> bool {
        self.known.load().is_some()
    }

    /// A session has changed names: no session goes on with the old ones.
    pub fn mark_changed(&self) {
        self.changed.store(true, Ordering::Release);
    }

    /// Whether names were changed since they were fetched.
    pub fn is_changed(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }

    /// A fetch begins: what changes from here on is not in it.
    pub fn begin_fetch(&self) {
        self.changed.store(false, Ordering::Release);
    }

    /// Whether the catalog is old enough that an unknown name may have come into being since.
    pub fn may_be_stale(&self) -> bool {
        Timestamp(self.fetched.load(Ordering::Acquire)).until(self.clock.now()) > FRESH_FOR
    }

    /// A session comes: if nobody was there to watch, looks whether names have changed meanwhile, and waits for that, but
    /// not for long. A server that does not answer is noticed by who needs it.
    pub async fn look_again(&self) {
        if !self.is_attended() {
            let _ = timeout(PATIENCE, self.ask(Fetch::IfChanged)).await;
        }
    }

    /// Fetches the catalog now and waits for it.
    ///
    /// # Errors
    /// [`ClientError::UpstreamUnavailable`] when the target cannot be asked.
    pub async fn refresh(&self) -> Result<(), ClientError> {
        self.ask(Fetch::Now).await
    }

    async fn ask(&self, fetch: Fetch) -> Result<(), ClientError> {
        let (done, outcome) = oneshot::channel();
        let unavailable = || ClientError::UpstreamUnavailable {
            target: self.name.to_string(),
            reason: "its catalog cannot be read".into(),
        };
        self.fetch.send(FetchRequest { fetch, done }).await.map_err(|_| unavailable())?;
        outcome.await.map_err(|_| unavailable())?
    }

    /// Puts a fetched catalog in force.
    pub fn learn(&self, catalog: Catalog, dialect: Dialect, policy: &Policy) {
        self.known.store(Some(Arc::new(Known::new(catalog, dialect, policy, &self.name))));
        self.fetched.store(self.clock.now().0, Ordering::Release);
        self.texts.forget();
    }

    /// Compiles the masks anew after the configuration changed.
    pub fn recompile(&self, policy: &Policy) {
        if let Some(known) = self.known.load_full() {
            let (catalog, dialect) = (Catalog::clone(&known.catalog), known.dialect.clone());
            self.known.store(Some(Arc::new(Known::new(catalog, dialect, policy, &self.name))));
            self.texts.forget();
        }
    }

    /// How its server greeted the connection of the last fetch; `None` before the first, and for Postgres.
    pub fn greeting(&self) -> Option<Arc<Greeting>> {
        self.greeting.load_full()
    }

    /// Remembers how its server greets.
    pub fn remember_greeting(&self, greeting: Greeting) {
        self.greeting.store(Some(Arc::new(greeting)));
    }

    /// What `text` means under `known` and `dialect`, if it was met before and is remembered.
    pub fn met(&self, text: &str, known: &Known, dialect: &Dialect) -> Option<Arc<Understanding>> {
        self.texts.met(text, known, dialect)
    }

    /// What `text` means under `known` and `dialect`, from memory where it was met before: it pins what it says.
    ///
    /// # Errors
    /// The refusal, when it is not understood. Refusals are not remembered.
    pub fn understand(&self, text: &str, known: &Known, dialect: &Dialect) -> Result<Arc<Understanding>, Refusal> {
        self.texts.exact(text, known, dialect)
    }

    /// The same, where a text that was met may stand for `text`: it differs in literals alone that decide nothing.
    /// Such an understanding pins nothing.
    ///
    /// # Errors
    /// As [`Target::understand`].
    pub fn understand_alike(
        &self,
        text: &str,
        known: &Known,
        dialect: &Dialect,
    ) -> Result<Arc<Understanding>, Refusal> {
        self.texts.shared(text, known, dialect)
    }

    /// What the upstream told the last login that asked for the same settings.
    pub fn parameters(&self, settings: &[Setting]) -> Option<Parameters> {
        self.parameters.lock().unwrap_or_else(PoisonError::into_inner).get(settings).cloned()
    }

    /// What the upstream told some login, for one that comes while it cannot be asked: those of `settings` that it
    /// reports are as the client wants them. `None` before the first.
    pub fn parameters_meanwhile(&self, settings: &[Setting]) -> Option<Parameters> {
        let remembered = self.parameters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = remembered.values().next()?.to_vec();
        for (name, value) in &mut told {
            if let Some(wanted) = settings.iter().find(|setting| setting.name.eq_ignore_ascii_case(name)) {
                value.clone_from(&wanted.value);
            }
        }
        Some(told.into())
    }

    /// Remembers what the upstream told a login.
    pub fn remember_parameters(&self, settings: Vec<Setting>, told: Parameters) {
        let mut parameters = self.parameters.lock().unwrap_or_else(PoisonError::into_inner);
        // Clients choose the settings: a bound keeps them from filling our memory.
        if parameters.len() >= 256 {
            parameters.clear();
        }
        parameters.insert(settings, told);
    }
}

/// Whether the names are read again whatever the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// They are.
    Now,
    /// Only if the server says that they are others.
    IfChanged,
}

/// What a session asks its target's fetcher.
#[derive(Debug)]
pub struct FetchRequest {
    /// For what.
    pub fetch: Fetch,
    /// Told when it is done.
    pub done: oneshot::Sender<Result<(), ClientError>>,
}

/// All targets.
#[derive(Debug, Default)]
pub struct Targets {
    by_name: ArcSwap<BTreeMap<TargetName, Arc<Target>>>,
    /// Fetchers of targets that were added, until somebody starts them.
    unserved: Mutex<Vec<(Arc<Target>, mpsc::Receiver<FetchRequest>)>>,
}

impl Targets {
    /// The targets of `config`.
    pub fn new(config: &config::Config, clock: &Clock) -> Self {
        let targets = Self::default();
        targets.add(config, clock);
        targets
    }

    /// The target called `name`.
    pub fn get(&self, name: &TargetName) -> Option<Arc<Target>> {
        self.by_name.load().get(name).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Target>> {
        self.by_name.load().values().cloned().collect()
    }

    /// Follows a new configuration: new targets, changed addresses and masks. A target that is gone takes no new
    /// sessions.
    pub fn reconfigure(&self, config: &config::Config, clock: &Clock) {
        self.add(config, clock);
        for target in self.all() {
            target.recompile(&config.policy);
        }
    }

    /// Those whose fetchers nobody serves yet.
    pub fn take_unserved(&self) -> Vec<(Arc<Target>, mpsc::Receiver<FetchRequest>)> {
        std::mem::take(&mut *self.unserved.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, config: &config::Config, clock: &Clock) {
        let before = self.by_name.load_full();
        let mut after = BTreeMap::new();
        for (name, settings) in &config.databases {
            let target = before.get(name).cloned().unwrap_or_else(|| {
                let (target, requests) = Target::new(settings.clone(), clock.clone());
                self.unserved.lock().unwrap_or_else(PoisonError::into_inner).push((Arc::clone(&target), requests));
                target
            });
            target.set_config(settings.clone());
            after.insert(name.clone(), target);
        }
        self.by_name.store(Arc::new(after));
    }
}
