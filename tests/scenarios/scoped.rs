//! Scoped ports.
