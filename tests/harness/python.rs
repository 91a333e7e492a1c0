//! Python clients from the tests' own virtual environment, which tests/run fills.

use std::{path::PathBuf, process::Command};

use crate::{
    process::{Output, checkout, run},
    wire::postgres::Startup,
};

/// The interpreter: `HALLPASS_PYTHON`, or that of the virtual environment in `.cache`.
pub fn interpreter() -> PathBuf {
    let own = checkout().join(".cache/venv/bin/python");
    let path = std::env::var_os("HALLPASS_PYTHON").map_or(own, PathBuf::from);
    assert!(path.exists(), "no Python environment at {}: run tests/run, which makes it", path.display());
    path
}

/// Runs a script; it finds the login in `PGHOST`… and as a URL in `DATABASE_URL`.
pub fn script(text: &str, login: &Startup) -> Output {
    let mut command = Command::new(interpreter());
    command.arg("-").env("PGHOST", "127.0.0.1").env("PGPORT", login.port.to_string()).env("PGUSER", &login.user);
    command.env("PGPASSWORD", &login.password).env("PGDATABASE", &login.database).env("PGSSLMODE", "disable");
    command.env("DATABASE_URL", login.url());
    run(&mut command, text)
}
