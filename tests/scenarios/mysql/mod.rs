//! Scenarios of the MySQL protocol alone. Their names hold the word `mysql`, by which `tests/run` picks those that are played
//! on MariaDB and on MySQL.

mod bounded;
mod charsets;
mod clients;
mod commands;
mod compression;
mod cursors;
mod kill;
mod load_data;
mod migration;
mod multi;
mod packets;
mod prepared;
mod relogin;
mod schemas;
mod servers;
mod show_warnings;
mod sysbench;
mod temporary;
