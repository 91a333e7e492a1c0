//! MySQL's and MariaDB's client/server protocol, version 10 with 4.1 packets, without IO. The twin of `postgres`.

pub mod auth;
pub mod backend;
pub mod body;
pub mod capability;
pub mod charset;
pub mod codec;
pub mod compress;
pub mod encode;
pub mod error;
pub mod execute;
pub mod frontend;
pub mod hashes;
pub mod plugins;
pub mod reader;
pub mod resultset;
pub mod rows;
pub mod rsa;
pub mod startup;
pub mod upstream_login;
pub mod value;
