//! Masks: which columns are sensitive (`compile`), what a statement does with them (`plan`), what the server says a
//! result's columns are (`bind`), what a masked value looks like (`apply`), and what is left of an error (`scrub`, `scrub_mysql`).
//! Works on values and result columns; knows no wire framing.

pub mod apply;
pub mod bind;
pub mod compile;
pub mod plan;
pub mod scrub;
pub mod scrub_mysql;
