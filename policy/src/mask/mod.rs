//! Masks: which columns are sensitive (`plan`), and what a masked value looks like (`apply`).
//! Works on values and result columns; knows no wire framing.

pub mod apply;
pub mod plan;
