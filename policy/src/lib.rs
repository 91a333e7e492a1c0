//! What a statement is, what a grant allows, and what a mask does.
//! Pure: no IO, no clock, no async, no SQLite; the manifest proves it.

pub mod approval;
pub mod catalog;
pub mod condition;
pub mod decide;
#[cfg(test)]
mod fixtures;
pub mod grant;
pub mod ids;
pub mod mask;
pub mod request;
pub mod resource;
pub mod review;
pub mod role;
pub mod statement;
