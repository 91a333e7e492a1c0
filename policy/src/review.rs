//! Review rules: dangerous statements, blocked or warned about before they run, whatever the grant.

use serde::Serialize;

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
