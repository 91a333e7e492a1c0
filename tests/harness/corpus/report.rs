//! The table of a corpus run, and its comparison with what is known to be open (`expected.toml`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    fs,
};

use serde::Deserialize;

use super::case::{Case, path};

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Good,
    /// Not as it should be, and what was seen.
    Bad(String),
}

impl Finding {
    /// Good, or bad with a note.
    pub fn of(good: bool, note: String) -> Self {
        if good { Self::Good } else { Self::Bad(note) }
    }
}

/// All findings of a run.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    findings: Vec<(String, String, Finding)>,
    strict: Vec<String>,
}

/// Ids that are known to be open, by run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Attacks that the proxy does not stop yet.
    pub leaked: BTreeSet<String>,
    /// Controls that the proxy does not answer exactly yet.
    pub wrong: BTreeSet<String>,
    /// Attacks that are not real on a server, by its label, with the reason.
    #[serde(default)]
    pub unreal: BTreeMap<String, BTreeMap<String, String>>,
}

impl Expected {
    /// `tests/corpus/expected.toml`.
    pub fn load() -> Self {
        let text = fs::read_to_string(path("expected.toml")).expect("the file is part of the checkout");
        toml::from_str(&text).unwrap_or_else(|error| panic!("expected.toml: {error}"))
    }
}

impl Expected {
    /// Attacks that are not real on this server.
    pub fn unreal_on(&self, label: &str) -> BTreeSet<String> {
        self.unreal.get(label).map(|cases| cases.keys().cloned().collect()).unwrap_or_default()
    }
}

impl Report {
    /// An empty one.
    pub fn new(title: String) -> Self {
        Self { title, findings: Vec::new(), strict: Vec::new() }
    }

    /// Adds a case's finding.
    pub fn add(&mut self, case: &Case, finding: Finding) {
        self.findings.push((case.class.clone(), case.id.clone(), finding));
    }

    /// Notes that a case was refused where a masked answer is due.
    pub fn strict(&mut self, id: &str) {
        self.strict.push(id.to_owned());
    }

    /// How many are good, and how many there are.
    pub fn totals(&self) -> (usize, usize) {
        let good = self.findings.iter().filter(|(_, _, finding)| *finding == Finding::Good).count();
        (good, self.findings.len())
    }

    /// Panics when something else than `open` is bad, or something of `open` is good. A run of single cases
    /// (`HALLPASS_CASE`) is compared as far as it goes.
    #[track_caller]
    pub fn expect(&self, open: &BTreeSet<String>) {
        let ids = |good: bool| {
            let chosen = self.findings.iter().filter(move |(_, _, finding)| (*finding == Finding::Good) == good);
            chosen.map(|(_, id, _)| id.clone()).collect::<BTreeSet<_>>()
        };
        let new: Vec<_> = ids(false).difference(open).cloned().collect();
        let closed: Vec<_> = ids(true).intersection(open).cloned().collect();
        assert!(new.is_empty(), "{}: not as it should be: {new:?}", self.title);
        assert!(closed.is_empty(), "{}: no longer open, strike them from expected.toml: {closed:?}", self.title);
        assert!(!self.findings.is_empty(), "{}: no case was played", self.title);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut classes: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut bad = String::new();
        for (class, id, finding) in &self.findings {
            let entry = classes.entry(class).or_default();
            entry.1 += 1;
            match finding {
                Finding::Good => entry.0 += 1,
                Finding::Bad(note) => {
                    let note: String = note.chars().take(220).collect();
                    let _ = writeln!(bad, "  {id:<28} {note}");
                }
            }
        }
        let (good, all) = self.totals();
        writeln!(f, "\n== {}\n   {good} of {all}", self.title)?;
        for (class, (good, all)) in classes {
            writeln!(f, "   {class:<26} {good:>3} of {all:>3}{}", if good == all { "" } else { "   <--" })?;
        }
        if !self.strict.is_empty() {
            writeln!(f, "   refused where a masked answer is due: {}", self.strict.join(", "))?;
        }
        f.write_str(&bad)
    }
}
