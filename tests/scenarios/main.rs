//! Scenarios: one file a behaviour, each with a real server, a real proxy and real clients. They say what a user
//! sees, and know nothing of the proxy's inside.

mod audit;
mod break_glass;
mod cancel;
mod catalog;
mod check;
mod clients;
mod copy;
mod denial;
mod errors;
mod extend;
mod fence;
mod grants;
mod inband;
mod limits;
mod login;
mod masks;
mod mysql;
mod names;
mod notify;
mod pgbench;
mod portals;
mod psql;
mod reload;
mod rules;
mod servers;
mod sessions;
mod shops;
mod split;
mod startup;
mod statement_grants;
mod streaming;
mod tls;
mod transaction;
mod upstream;
