//! One upstream database as all of its sessions see it: its names, its masks, what texts mean under them.
//! Talks to the database only over its own catalog connection, never on a client's behalf.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ahash::AHashMap;
use arc_swap::{ArcSwap, ArcSwapOption};
use hallpass_policy::{
    catalog::{Catalog, QualifiedName, Relation, RelationKind},
    decide::Policy,
    ids::{TargetName, Timestamp},
    mask::plan::Masks,
    statement::{Dialect, Names, Outputs, Refusal, Statement, Understood, inner, mysql::MysqlNames},
};
use tokio::sync::{mpsc, oneshot};

use super::{postgres::Shape, upstream::connector::Connector};
use crate::{
    clock::Clock,
    config,
    error::ClientError,
    wire::{
        mysql::capability::{Capabilities, Flavour},
        postgres::settings::Setting,
    },
};

/// Bytes of texts and of what they mean that are kept for each target, about.
const BYTES_KEPT: usize = 32 << 20;
/// Bytes of what one text means, above which it is not kept: a `*` here and there makes much out of little.
const MOST_MEANING: usize = 512 << 10;
/// A text longer than this is understood anew each time: bulk INSERTs do not repeat.
const LONGEST_TEXT_KEPT: usize = 64 << 10;
/// Microseconds for which a table that was seen to be no view is taken for one.
const CONFIRMED_FOR: i64 = 5_000;
/// A catalog younger than this is not fetched again for an unknown name.
const FRESH_FOR: Duration = Duration::from_secs(1);

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

/// A view in the revision that a text was understood with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewRevision {
    /// Its name.
    pub name: QualifiedName,
    /// Its OID; 0 on MySQL.
    pub oid: u32,
    /// [`Relation::revision`].
    pub revision: Arc<str>,
}

/// A text and what it means.
#[derive(Debug)]
pub struct Understanding {
    /// Byte for byte as the client sent it.
    pub text: Arc<str>,
    /// Its statements.
    pub understood: Understood,
    /// The views it reads.
    pub views: Box<[ViewRevision]>,
    /// The tables of MySQL it reads, which somebody may have put views in the place of.
    pub tables: Box<[QualifiedName]>,
    /// When each of these was last seen to be one: microseconds of the clock.
    seen: Box<[Arc<AtomicI64>]>,
    /// Its result's columns, once an upstream has described them for a Parse without parameter types.
    pub shape: Arc<OnceLock<Shape>>,
    dialect: Dialect,
    generation: u64,
}

impl Understanding {
    /// Whether it is of the same text under the same names.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.text, self.generation, &self.dialect) == (&other.text, other.generation, &other.dialect)
    }

    /// Whether its tables were seen to be tables just now.
    pub fn is_confirmed(&self, now: Timestamp) -> bool {
        let fresh = |seen: &Arc<AtomicI64>| {
            let since = now.0.saturating_sub(seen.load(Ordering::Acquire));
            (0..CONFIRMED_FOR).contains(&since)
        };
        self.seen.iter().all(fresh)
    }

    /// Its tables were seen to be tables at `asked`.
    pub fn confirm(&self, asked: Timestamp) {
        self.seen.iter().for_each(|seen| seen.store(asked.0, Ordering::Release));
    }
}

/// Texts by their hash; what is found is compared before it is believed.
#[derive(Debug, Default)]
struct Texts {
    /// When each table was last seen to be one, shared by all texts that read it.
    seen: HashMap<QualifiedName, Arc<AtomicI64>>,
    by_hash: AHashMap<u64, Arc<Understanding>>,
    hasher: ahash::RandomState,
    bytes: usize,
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
    texts: Mutex<Texts>,
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
            texts: Mutex::default(),
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
    pub fn learn(&self, catalog: Catalog, dialect: Dialect, policy: &Policy) {
        self.known.store(Some(Arc::new(Known::new(catalog, dialect, policy, &self.name))));
        self.fetched.store(self.clock.now().0, Ordering::Release);
        self.forget_texts();
    }

    /// Compiles the masks anew after the configuration changed.
    pub fn recompile(&self, policy: &Policy) {
        if let Some(known) = self.known.load_full() {
            let (catalog, dialect) = (Catalog::clone(&known.catalog), known.dialect.clone());
            self.known.store(Some(Arc::new(Known::new(catalog, dialect, policy, &self.name))));
            self.forget_texts();
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
        if text.len() > LONGEST_TEXT_KEPT {
            return None;
        }
        let texts = self.lock_texts();
        let met = texts.by_hash.get(&texts.hasher.hash_one((text, dialect, known.generation)))?;
        let same = (&*met.text, &met.dialect, met.generation) == (text, dialect, known.generation);
        same.then(|| Arc::clone(met))
    }

    /// What `text` means under `known` and `dialect`, from memory where it was met before.
    ///
    /// # Errors
    /// The refusal, when it is not understood. Refusals are not remembered.
    pub fn understand(&self, text: &str, known: &Known, dialect: &Dialect) -> Result<Arc<Understanding>, Refusal> {
        if let Some(met) = self.met(text, known, dialect) {
            return Ok(met);
        }
        let understood = dialect.understand(text, &known.catalog)?;
        let tables = tables_of(&understood, &known.catalog, dialect);
        let seen = {
            let seen = &mut self.lock_texts().seen;
            tables.iter().map(|name| Arc::clone(seen.entry(name.clone()).or_default())).collect()
        };
        let understanding = Arc::new(Understanding {
            text: Arc::from(text),
            tables,
            seen,
            views: views_of(&understood, &known.catalog),
            understood,
            shape: Arc::default(),
            dialect: dialect.clone(),
            generation: known.generation,
        });
        let bytes = text.len() + weight(&understanding.understood);
        if text.len() <= LONGEST_TEXT_KEPT && bytes <= MOST_MEANING {
            let mut texts = self.lock_texts();
            let hash = texts.hasher.hash_one((text, dialect, known.generation));
            if texts.bytes + bytes > BYTES_KEPT {
                texts.by_hash.clear();
                texts.bytes = 0;
            }
            texts.bytes += bytes;
            texts.by_hash.insert(hash, Arc::clone(&understanding));
        }
        Ok(understanding)
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

    fn forget_texts(&self) {
        let mut texts = self.lock_texts();
        texts.by_hash.clear();
        texts.seen.clear();
        texts.bytes = 0;
    }

    fn lock_texts(&self) -> std::sync::MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About how many bytes a meaning takes in memory.
fn weight(understood: &Understood) -> usize {
    let columns = |statement: &Statement| match &statement.outputs {
        Outputs::Columns(columns) => columns.iter().map(|column| 1 + column.lineage.columns.len()).sum(),
        Outputs::None | Outputs::Server | Outputs::OfPrepared(_) | Outputs::OfCursor(_) => 0,
    };
    let one = |statement: &Statement| {
        1 + columns(statement) + statement.needs.len() + statement.uses.len() + statement.touches.len()
    };
    let parts = understood.statements.iter().map(|statement| one(statement) + inner(statement).map_or(0, one));
    parts.sum::<usize>() * 128
}

/// The views that a text reads, through others too.
fn views_of(understood: &Understood, catalog: &Catalog) -> Box<[ViewRevision]> {
    let touched: BTreeSet<_> = understood.statements.iter().flat_map(|statement| &statement.touches).collect();
    let view = |name: &QualifiedName| {
        let relation = catalog.relations.get(name)?;
        Some(ViewRevision { name: name.clone(), oid: relation.oid, revision: relation.revision.clone()? })
    };
    touched.into_iter().filter_map(view).collect()
}

/// The tables of MySQL that a text reads, through views too: unlike Postgres it does not say in a result that a name
/// means another relation now.
fn tables_of(understood: &Understood, catalog: &Catalog, dialect: &Dialect) -> Box<[QualifiedName]> {
    match dialect {
        Dialect::Postgres(_) => Box::default(),
        Dialect::Mysql(_) => {
            let touched: BTreeSet<_> = understood.statements.iter().flat_map(|statement| &statement.touches).collect();
            let is_table = |name: &&QualifiedName| {
                catalog.relations.get(*name).is_some_and(|relation| relation.kind == RelationKind::Table)
            };
            touched.into_iter().filter(is_table).cloned().collect()
        }
    }
}

/// Asks for one fetch; the answer comes back when it is done.
pub type FetchRequest = oneshot::Sender<Result<(), ClientError>>;

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
