//! Clients that work on the bytes of each protocol and keep all that they received. They share nothing with the proxy's
//! own wire code: tests must not test code with itself.

pub mod mysql;
pub mod postgres;

use std::time::Duration;

/// How long a client waits for an answer, unless told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Why a read gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMessage {
    /// The other side closed the connection.
    Closed,
    /// Nothing came in time.
    Late,
}

/// A row's values, joined by a bar, NULL as nothing.
pub fn joined(row: &[Option<String>]) -> String {
    row.iter().map(|value| value.as_deref().unwrap_or_default()).collect::<Vec<_>>().join("|")
}
