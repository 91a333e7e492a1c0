//! A mask plan bound to a result's columns: which values of a row are replaced, and by what.
//! Rewrites rows of one result; knows nothing of statements.

use std::sync::Arc;

use super::names::ShapeColumn;

/// What becomes of a result's rows.
#[derive(Debug)]
pub(super) enum Bound {
    /// They go through as they stand.
    Clear,
}

impl Bound {
    /// The masked columns' names for the audit, if any is masked.
    pub(super) fn names(&self) -> Option<&Arc<str>> {
        match self {
            Self::Clear => None,
        }
    }
}
