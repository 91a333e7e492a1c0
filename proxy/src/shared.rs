//! What every session and every API call shares: configuration, grants, journal, clock, open sessions.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hallpass_audit::journal::Journal;

use crate::{clock::Clock, config::Config, session::registry::Sessions, store::watch::GrantTable};

/// One proxy's shared state.
#[derive(Debug)]
pub struct Shared {
    /// The configuration in force; replaced as a whole.
    pub config: ArcSwap<Config>,
    /// The active grants.
    pub grants: GrantTable,
    /// The audit's journal.
    pub journal: Journal,
    /// Time.
    pub clock: Clock,
    /// Open sessions.
    pub sessions: Arc<Sessions>,
}
