//! A client's session, from login to goodbye, written once for both protocols.

pub mod catalog;
pub mod registry;
