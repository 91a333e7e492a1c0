//! Real servers in temporary folders, a real proxy in front of them, and clients that show every byte: what the
//! scenarios and the corpus stand on. It asserts nothing about hallpass itself, and it never touches a server that
//! it did not start.

pub mod audit;
pub mod config;
pub mod corpus;
pub mod http;
pub mod mysql;
pub mod postgres;
pub mod process;
pub mod protocol;
pub mod proxy;
pub mod psql;
pub mod python;
pub mod schema;
pub mod shop;
pub mod task;
pub mod tls;
pub mod webhook;
pub mod wire;
