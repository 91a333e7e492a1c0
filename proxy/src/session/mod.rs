//! A client's session, from login to goodbye, written once for both protocols.

pub mod login;
pub mod registry;
pub mod throttle;
pub mod upstream;
