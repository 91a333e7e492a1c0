//! The proxy as a library, so that tests and benchmarks can reach its parts; `main.rs` is the program.

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod net;
pub mod notify;
pub mod server;
pub mod session;
pub mod shared;
pub mod store;
pub mod wire;
