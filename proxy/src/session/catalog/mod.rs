//! Fetching what names mean from a target's own catalog, one file a protocol. Decides nothing by it.

pub mod postgres;
