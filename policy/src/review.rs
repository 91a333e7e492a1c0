//! Review rules: dangerous statements, blocked or warned about before they run, whatever the grant.

use serde::Serialize;

use crate::statement::{Reach, Statement, inner};

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

/// The built-in rules' levels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReviewLevels {
    /// `update-without-where`.
    pub update_without_where: Level,
    /// `delete-without-where`.
    pub delete_without_where: Level,
}

impl Default for ReviewLevels {
    fn default() -> Self {
        Self { update_without_where: Level::Block, delete_without_where: Level::Block }
    }
}

/// A rule that a statement breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule's name, as in `[[review]]`.
    pub rule: &'static str,
    /// What the statement does.
    pub finding: &'static str,
    /// What follows.
    pub level: Level,
}

impl ReviewLevels {
    /// The rule that `statement`, or what it prepares, breaks. EXPLAIN runs nothing and breaks none.
    pub fn check(&self, statement: &Statement) -> Option<Broken> {
        if statement.explain {
            return None;
        }
        let broken = match statement.reach {
            Reach::Some => {
                return inner(statement).and_then(|inner| self.check(inner));
            }
            Reach::EveryUpdate => Broken {
                rule: "update-without-where",
                finding: "UPDATE without a WHERE that can be false changes every row",
                level: self.update_without_where,
            },
            Reach::EveryDelete => Broken {
                rule: "delete-without-where",
                finding: "DELETE without a WHERE that can be false removes every row",
                level: self.delete_without_where,
            },
        };
        (broken.level != Level::Off).then_some(broken)
    }
}
