//! The counts of a run, and its faults with all that is needed to see them again.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs,
    time::Instant,
};

use serde::Deserialize;

use super::judge::{End, Fault, Verdict};
use crate::{
    generate::Query,
    masks::Masks,
    schema::{Columns, all_columns},
};

/// A refusal that is as it should be, though no masked column takes part.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A part of the refusal's words.
    pub words: String,
    /// Why.
    pub reason: String,
}

/// `explained.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explained {
    /// The refusals.
    #[serde(default)]
    pub refusals: Vec<Entry>,
}

impl Explained {
    /// The checked-in list.
    pub fn load() -> Self {
        let path = hallpass_tests::process::checkout().join("tests/generated/explained.toml");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let list: Self = toml::from_str(&text).unwrap_or_else(|error| panic!("explained.toml: {error}"));
        assert!(list.refusals.iter().all(|entry| !entry.reason.is_empty()), "every entry has its reason");
        list
    }

    fn explains(&self, words: &str) -> bool {
        self.refusals.iter().any(|entry| words.contains(&entry.words))
    }
}

/// The counts of a run.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    seed: u64,
    explained: Explained,
    queries: usize,
    allowed: usize,
    failed: usize,
    slow: usize,
    started: Instant,
    masked: usize,
    cells: usize,
    reordered: usize,
    forged: usize,
    refused: BTreeMap<String, usize>,
    faults: BTreeMap<&'static str, Vec<String>>,
}

/// Faults of a kind that are shown in full.
const SHOWN: usize = 25;

impl Report {
    /// Empty.
    pub fn new(title: String, seed: u64) -> Self {
        Self {
            title,
            seed,
            explained: Explained::load(),
            queries: 0,
            allowed: 0,
            failed: 0,
            slow: 0,
            started: Instant::now(),
            masked: 0,
            cells: 0,
            reordered: 0,
            forged: 0,
            refused: BTreeMap::new(),
            faults: BTreeMap::new(),
        }
    }

    /// Adds what became of a query.
    pub fn add(&mut self, at: u64, query: &Query, masks: &Masks, verdict: Verdict) {
        self.queries += 1;
        self.cells += verdict.cells;
        self.reordered += usize::from(verdict.reordered);
        self.forged += usize::from(verdict.forged);
        match verdict.end {
            End::Allowed => {
                self.allowed += 1;
                self.masked += usize::from(query.touched & masks.closed != 0);
            }
            End::Failed => self.failed += 1,
            End::Slow => self.slow += 1,
            End::Refused(words) => *self.refused.entry(shape(&words)).or_default() += 1,
        }
        for fault in verdict.faults {
            let (kind, words) = match fault {
                Fault::Betrayed(words) => ("a masked value was received", words),
                Fault::Differs(words) => ("the answer depends on masked values", words),
                Fault::Refused(words) if self.explained.explains(&words) => continue,
                Fault::Refused(words) => ("refused without a masked column", words),
                Fault::Strict(words) if self.explained.explains(&words) => continue,
                Fault::Strict(words) => ("refused though masked columns are only shown", words),
                Fault::Changed(words) if self.explained.explains(&words) => continue,
                Fault::Changed(words) => ("another answer than directly", words),
            };
            let take_part = names(query.touched & masks.closed);
            let mut text = format!(
                "HALLPASS_GENERATED_SEED={} HALLPASS_GENERATED_ONLY={at} ({:?})\n    {}\n    {words}\n    masked, taking part: {take_part}",
                self.seed, query.way, query.sql
            );
            let _ = write!(text, "\n    masks: {}", masks.words.join("; "));
            self.faults.entry(kind).or_default().push(text);
        }
    }

    /// Fails with what must not be.
    #[track_caller]
    pub fn expect_no_faults(&self) {
        let counts: Vec<String> = self.faults.iter().map(|(kind, list)| format!("{}: {kind}", list.len())).collect();
        assert!(counts.is_empty(), "{}: {}", self.title, counts.join("; "));
    }

    /// How many ran.
    pub fn allowed(&self) -> usize {
        self.allowed
    }

    /// How many showed or used a masked column and ran.
    pub fn masked(&self) -> usize {
        self.masked
    }

    /// How many there were.
    pub fn queries(&self) -> usize {
        self.queries
    }
}

fn names(columns: Columns) -> String {
    let names = all_columns().filter(|(number, ..)| columns & (1 << number) != 0);
    names.map(|(_, table, column)| format!("{}.{}", table.name, column.name)).collect::<Vec<_>>().join(", ")
}

/// A refusal's words without names and numbers, so that they can be counted.
fn shape(words: &str) -> String {
    let word = |word: &str| {
        let named = word.contains(['.', '"', '`', '\'', '(', '_']) || word.bytes().any(|byte| byte.is_ascii_digit());
        if named { "…".to_owned() } else { word.to_owned() }
    };
    let words = words.split([';', ':']).next().unwrap_or_default();
    let words = words.split_once(" near ").map_or(words, |(before, _)| before);
    words.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: usize = self.refused.values().sum();
        writeln!(f, "\ngenerated queries on {}, seed {}", self.title, self.seed)?;
        writeln!(f, "  {:7} queries in {} s", self.queries, self.started.elapsed().as_secs())?;
        writeln!(f, "  {:7} ran, {} of them with masked columns", self.allowed, self.masked)?;
        writeln!(f, "  {:7} failed on the server", self.failed)?;
        writeln!(f, "  {:7} took too long", self.slow)?;
        writeln!(f, "  {refused:7} refused by hallpass:")?;
        let mut reasons: Vec<(&String, &usize)> = self.refused.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (words, count) in reasons {
            writeln!(f, "          {count:7} {words}")?;
        }
        writeln!(f, "  {:7} cells compared with the direct run", self.cells)?;
        writeln!(f, "  {:7} answers whose rows came in another order, or where the server may choose", self.reordered)?;
        writeln!(f, "  {:7} answers with a column masked for its alias", self.forged)?;
        for (kind, list) in &self.faults {
            writeln!(f, "  {:7} FAULTS: {kind}", list.len())?;
            list.iter().take(SHOWN).try_for_each(|fault| writeln!(f, "    {fault}"))?;
        }
        Ok(())
    }
}
