//! A client's session, from login to goodbye: `listen` accepts, `login` says who it is, `serve` puts the session
//! together, `relay` moves bytes, `gate` decides and records, `postgres` is the protocol's own `machine`.

pub mod catalog;
mod decisions;
pub mod fetcher;
pub mod gate;
pub mod goodbye;
pub mod hoard;
pub mod inband;
pub mod listen;
pub mod lobby;
pub mod login;
pub mod machine;
pub mod mysql;
pub mod parameters;
mod port;
pub mod postgres;
pub mod recorder;
pub mod registry;
pub mod relay;
pub mod run;
pub mod serve;
pub mod study;
pub mod target;
#[cfg(test)]
mod testing;
pub mod texts;
pub mod throttle;
mod unsent;
pub mod upstream;
