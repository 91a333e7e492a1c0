//! The audit: a journal that is safe before a statement leaves, and the SQLite log that auditors read.
//! Knows no sockets, no protocols and no proxy types.

pub mod event;
pub mod journal;
pub mod query;
mod record;
mod segment;
pub mod sqlite;
mod sync;
pub mod verify;
mod watermark;
