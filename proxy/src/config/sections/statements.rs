//! `[statements]`: whether statement grants may hold a write, and how many rows it may change.

use crate::config::reader::Table;

/// The bound where the file names none.
const USUAL_ROWS: u64 = 100;

/// The most rows that a write under a statement grant may change; `None`: they only read.
pub(super) fn statements(root: &Table<'_>) -> Option<u64> {
    let table = root.get("statements").and_then(|node| node.table())?;
    let allowed = table.get("allow_writes").and_then(|node| node.flag()).unwrap_or(false);
    let bound = table.get("max_rows_affected");
    if let Some(node) = bound.as_ref().filter(|_| !allowed) {
        node.warn("bounds nothing, as statement grants do not write", "write `allow_writes = true`, or remove it");
    }
    let rows = bound.map_or(Some(USUAL_ROWS), |node| node.integer(1..=u64::MAX));
    table.finish();
    rows.filter(|_| allowed)
}
