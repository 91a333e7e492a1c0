//! The other side of a session: the connection to its target. `connector` reaches the server, the protocols' modules
//! log in.

pub mod connector;
pub mod mysql;
pub mod postgres;
