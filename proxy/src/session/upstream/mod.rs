//! The other side of a session: the connection to its target. `connector` reaches the server, the protocols' modules
//! log in, `killer` ends what runs on a MySQL server.

pub mod connector;
mod killer;
pub mod mysql;
pub mod postgres;
