//! Scenarios of the MySQL protocol alone. Their names hold the word `mysql`, by which `tests/run` picks those that are played
//! on MariaDB and on MySQL.

mod charsets;
mod clients;
mod compression;
mod packets;
mod servers;
mod sysbench;
