//! What fuzzers and property tests put bytes into: one function a target, which panics when a promise is broken.
//! Makes no bytes up itself and touches neither network nor servers. `tests/fuzz` calls these under libFuzzer,
//! `tests/entries.rs` beside this under proptest.

mod bytes;
mod config;
mod journal;
mod mask;
mod mysql;
mod postgres;
mod shop;
mod statement;

/// A target's name, which is also that of its corpus below `tests/fuzz/corpus`, and what takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("config", config::entry),
    ("inband", statement::inband),
    ("journal", journal::entry),
    ("mysql_backend", mysql::backend),
    ("mysql_compressed", mysql::compressed),
    ("mysql_frontend", mysql::frontend),
    ("mysql_gate", statement::mysql_gate),
    ("mysql_login", mysql::login),
    ("mysql_mask", mask::mysql),
    ("mysql_understand", statement::mysql_understand),
    ("mysql_upstream", mysql::upstream),
    ("postgres_backend", postgres::backend),
    ("postgres_frontend", postgres::frontend),
    ("postgres_login", postgres::login),
    ("postgres_mask", mask::postgres),
    ("postgres_understand", statement::postgres_understand),
    ("postgres_upstream", postgres::upstream),
];

/// Gives `data` to the target called `name`.
///
/// # Panics
/// When a promise is broken, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no target is called {name}")).1(data);
}
