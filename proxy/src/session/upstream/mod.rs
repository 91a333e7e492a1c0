//! The other side of a session: the connection to its target.

pub mod connect;
