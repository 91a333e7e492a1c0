//! Review rules: dangerous statements, blocked or warned about before they run, whatever the grant. Built-in ones, and
//! own ones in CEL over the statement's facts. Allows nothing: a statement that breaks no rule still needs a grant.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use crate::{
    condition::Condition,
    decide::Question,
    statement::{Statement, inner},
};

mod built_in;
mod facts;
#[cfg(test)]
mod tests;

pub use built_in::BuiltIn;
pub use facts::VARIABLES;

/// What a broken rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The statement is refused.
    Block,
    /// The client gets a warning and the statement runs.
    Warn,
    /// The rule is off.
    Off,
}

impl Level {
    /// As in `proxy.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
}

/// A rule of the configuration's own.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnRule {
    /// Its name.
    pub name: Arc<str>,
    /// Which statements break it.
    pub when: Condition,
    /// What follows.
    pub level: Level,
}

/// `[[review]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    /// The levels of built-in rules; one that is missing has its usual one.
    pub levels: BTreeMap<BuiltIn, Level>,
    /// From how many rows on, by the catalog's estimate, a table counts as large.
    pub large: u64,
    /// The configuration's own rules, in order.
    pub own: Vec<OwnRule>,
}

impl Default for Review {
    fn default() -> Self {
        let levels = BuiltIn::ALL.into_iter().map(|rule| (rule, rule.usual())).collect();
        Self { levels, large: 100_000, own: Vec::new() }
    }
}

/// A rule that a statement breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule's name, as in `[[review]]`.
    pub rule: Arc<str>,
    /// What the statement does.
    pub finding: String,
    /// What to write instead; empty when nobody but an administrator can help.
    pub mend: &'static str,
    /// What follows.
    pub level: Level,
}

impl Review {
    /// The level of a built-in rule.
    pub fn level(&self, rule: BuiltIn) -> Level {
        self.levels.get(&rule).copied().unwrap_or(rule.usual())
    }

    /// The rules that the statement of `question`, or what it prepares, breaks; those that block first. EXPLAIN runs
    /// nothing and breaks none.
    pub fn check(&self, question: &Question<'_>) -> Vec<Broken> {
        let mut broken = Vec::new();
        for statement in [Some(question.statement), inner(question.statement)].into_iter().flatten() {
            if !statement.explain {
                self.built_in(question, statement, &mut broken);
                self.own(question, statement, &mut broken);
            }
        }
        broken.sort_by_key(|broken| broken.level != Level::Block);
        broken
    }

    fn built_in(&self, question: &Question<'_>, statement: &Statement, broken: &mut Vec<Broken>) {
        for rule in BuiltIn::ALL {
            let level = self.level(rule);
            if level != Level::Off
                && let Some(finding) = rule.finding(statement, question.catalog, self.large)
            {
                broken.push(Broken { rule: rule.name().into(), finding, mend: rule.mend(), level });
            }
        }
    }

    /// A rule without an answer counts as broken: what it says is not known to be untrue.
    fn own(&self, question: &Question<'_>, statement: &Statement, broken: &mut Vec<Broken>) {
        let mut facts = None;
        for rule in self.own.iter().filter(|rule| rule.level != Level::Off) {
            let facts = facts.get_or_insert_with(|| facts::of(question, statement));
            let finding = match rule.when.holds(facts) {
                Ok(false) => continue,
                Ok(true) => format!("the statement is one that `{}` speaks of", rule.when.text()),
                Err(failure) => failure.to_string(),
            };
            broken.push(Broken { rule: Arc::clone(&rule.name), finding, mend: "", level: rule.level });
        }
    }
}
