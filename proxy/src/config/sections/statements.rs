//! `[statements]`: how long statement grants may last, whether they may hold a write, and how many rows it may change.

use std::time::Duration;

use super::server;
use crate::config::reader::Table;

/// The bound where the file names none.
const USUAL_ROWS: u64 = 100;
/// The longest where the file names none.
const USUAL_DURATION: Duration = Duration::from_secs(8 * 3600);

/// What statement grants may be.
pub(super) struct Statements {
    /// The most rows that a write under one may change; `None`: they only read.
    pub(super) writes: Option<u64>,
    /// The longest that one may last.
    pub(super) max_duration: Duration,
}

/// `[statements]`.
pub(super) fn statements(root: &Table<'_>) -> Statements {
    let mut found = Statements { writes: None, max_duration: USUAL_DURATION };
    let Some(table) = root.get("statements").and_then(|node| node.table()) else { return found };
    if let Some(longest) = table.get("max_duration").and_then(|node| server::positive(&node)) {
        found.max_duration = longest;
    }
    let allowed = table.get("allow_writes").and_then(|node| node.flag()).unwrap_or(false);
    let bound = table.get("max_rows_affected");
    if let Some(node) = bound.as_ref().filter(|_| !allowed) {
        node.warn("bounds nothing, as statement grants do not write", "write `allow_writes = true`, or remove it");
    }
    let rows = bound.map_or(Some(USUAL_ROWS), |node| node.integer(1..=u64::MAX));
    found.writes = rows.filter(|_| allowed);
    table.finish();
    found
}
