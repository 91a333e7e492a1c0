//! Runs queries: each directly and through the proxy on two databases that differ in masked values only, and compares.

mod judge;
mod mysql;
mod postgres;
mod report;

use std::sync::{
    Mutex, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

pub use mysql::MySqlStage;
pub use postgres::PostgresStage;
pub use report::Report;

use crate::{
    generate::{Generator, Query},
    masks::{self, Masks, SETS},
    random::Random,
    schema::{Dialect, Version},
};

/// Where one copy of the database is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Straight on the server.
    Direct,
    /// Through the proxy, under the masks of a set, on the version of its masked values.
    Through(usize, Version),
}

/// Everything that came back for one query.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Every byte.
    pub bytes: Vec<u8>,
    /// Message by message, without what may differ: numbers of packets, the database's name.
    pub frames: Vec<Vec<u8>>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<Option<String>>>,
    /// Code and message of the first error.
    pub error: Option<(String, String)>,
    /// The connection ended.
    pub closed: bool,
}

impl Answer {
    /// A denial names the target, the grant and its end, which differ; what is denied is the same.
    fn without_denial(mut self) -> Self {
        if let Some((code, message)) = &self.error
            && message.starts_with("no grant allows")
        {
            let what = message.split(';').next().unwrap_or_default();
            let what = what.split(" HINT:").next().unwrap_or_default();
            self.frames = vec![format!("{code} {what}").into_bytes()];
        }
        self
    }
}

/// A connection.
pub trait Connection {
    /// Sends a query, in a transaction that is rolled back if it writes.
    fn send(&mut self, query: &Query);

    /// What comes back.
    fn receive(&mut self, query: &Query) -> Answer;
}

/// A server with the databases, and the proxy in front of it.
pub trait Stage: Sync {
    /// Its connection.
    type Connection: Connection;

    /// Whose SQL.
    fn dialect(&self) -> Dialect;

    /// Which server.
    fn title(&self) -> String;

    /// The sets of masks.
    fn masks(&self) -> &[Masks];

    /// Tidies a table up after a write that was rolled back, directly and in both databases of a set: what is left of it
    /// changes plans, and with them the order of rows.
    fn settle(&self, set: usize, table: &str);

    /// Connects.
    fn connect(&self, place: Place) -> Self::Connection;
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How many queries.
    pub queries: u64,
    /// This one alone, with its answers shown.
    pub only: Option<u64>,
}

impl Plan {
    /// `HALLPASS_GENERATED_SEED`, `HALLPASS_GENERATED_QUERIES` (for each protocol), `HALLPASS_GENERATED_ONLY`.
    pub fn from_environment() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse().unwrap_or_else(|error| panic!("{name} is `{text}`: {error}")))
        };
        let seed = number("HALLPASS_GENERATED_SEED").unwrap_or(DEFAULT_SEED);
        let queries = number("HALLPASS_GENERATED_QUERIES").unwrap_or(DEFAULT_QUERIES);
        Self { seed, queries, only: number("HALLPASS_GENERATED_ONLY") }
    }
}

/// Changed by hand when the generator changes; a failure names the seed that it needs.
const DEFAULT_SEED: u64 = 20_260_801;

/// For each protocol.
const DEFAULT_QUERIES: u64 = 10_500;

/// Threads that send queries.
const WORKERS: usize = 3;

/// A connection is used for so many queries: it keeps all it received.
const USES: u32 = 250;

/// Runs the queries of a plan.
pub fn run(stage: &impl Stage, plan: Plan) -> Report {
    println!(
        "generated queries on {}: HALLPASS_GENERATED_SEED={} HALLPASS_GENERATED_QUERIES={}",
        stage.title(),
        plan.seed,
        plan.queries
    );
    let next = AtomicU64::new(plan.only.unwrap_or(0));
    let end = plan.only.map_or(plan.queries, |only| only + 1);
    let report = Mutex::new(Report::new(stage.title(), plan.seed));
    let writing = RwLock::new(());
    std::thread::scope(|scope| {
        for _ in 0..if plan.only.is_some() { 1 } else { WORKERS } {
            scope.spawn(|| {
                let mut worker = Worker::new(stage);
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= end {
                        return;
                    }
                    worker.one(at, plan, &writing, &report);
                }
            });
        }
    });
    report.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A thread's connections.
struct Worker<'a, S: Stage> {
    stage: &'a S,
    connections: Vec<Option<(S::Connection, u32)>>,
}

impl<'a, S: Stage> Worker<'a, S> {
    fn new(stage: &'a S) -> Self {
        Self { stage, connections: (0..=2 * SETS).map(|_| None).collect() }
    }

    /// The connections of a set: directly, and through the proxy on both versions.
    fn take(&mut self, set: usize) -> [(usize, S::Connection, u32); 3] {
        let places = [
            (0, Place::Direct),
            (1 + 2 * set, Place::Through(set, Version::One)),
            (2 + 2 * set, Place::Through(set, Version::Two)),
        ];
        places.map(|(slot, place)| {
            let kept = self.connections[slot].take().filter(|(_, uses)| *uses < USES);
            let (connection, uses) = kept.unwrap_or_else(|| (self.stage.connect(place), 0));
            (slot, connection, uses + 1)
        })
    }

    fn one(&mut self, at: u64, plan: Plan, writing: &RwLock<()>, report: &Mutex<Report>) {
        let set = Random::new(plan.seed ^ 0x7365_7400, at).below(SETS);
        let masks = &self.stage.masks()[set];
        let query = Generator::new(plan.seed, at, self.stage.dialect(), masks).query();
        let mut taken = self.take(set);
        let answers = {
            // Locks of two writers would wait for each other in two databases, where nobody sees it; and MariaDB counts
            // rows that are not committed when it plans, so nobody reads beside a writer.
            let (_alone, _beside) = if query.writes {
                (Some(writing.write().unwrap_or_else(PoisonError::into_inner)), None)
            } else {
                (None, Some(writing.read().unwrap_or_else(PoisonError::into_inner)))
            };
            taken.iter_mut().for_each(|(_, connection, _)| connection.send(&query));
            let answers = taken.each_mut().map(|(_, connection, _)| connection.receive(&query).without_denial());
            if let Some(table) = query.target {
                self.stage.settle(set, table);
            }
            answers
        };
        for ((slot, connection, uses), answer) in taken.into_iter().zip(&answers) {
            self.connections[slot] = (!answer.closed).then_some((connection, uses));
        }
        let [direct, one, two] = &answers;
        let verdict = judge::judge(&query, masks, direct, one, two);
        if plan.only.is_some() {
            println!("{}\n{query:#?}\n{}", masks.words.join("; "), masks::target(set, Version::One));
            answers.iter().for_each(|answer| println!("{:?} {:?} {:?}", answer.error, answer.columns, answer.rows));
        }
        report.lock().unwrap_or_else(PoisonError::into_inner).add(at, &query, masks, verdict);
    }
}
