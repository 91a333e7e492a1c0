//! PostgreSQL's frontend/backend protocol, version 3, without IO.

pub mod backend;
pub mod codec;
pub mod encode;
pub mod error;
pub mod frontend;
pub mod rows;
pub mod scram;
pub mod settings;
pub mod startup;
pub mod upstream_login;
