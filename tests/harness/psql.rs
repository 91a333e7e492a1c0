//! The real psql, without anybody's psqlrc.

use std::process::Command;

use crate::{
    postgres,
    process::{Output, run},
    wire::postgres::Startup,
};

/// A psql that connects to one place.
#[derive(Clone, Debug)]
pub struct Psql {
    port: u16,
    user: String,
    password: String,
    database: String,
    environment: Vec<(String, String)>,
}

impl Psql {
    /// For this login.
    pub fn new(startup: &Startup) -> Self {
        let Startup { port, user, password, database, .. } = startup.clone();
        Self { port, user, password, database, environment: Vec::new() }
    }

    /// With an environment variable: `PGSSLMODE`, `PGOPTIONS`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A psql or pgbench command with everything but its arguments.
    pub fn command(&self, program: &str) -> Command {
        let tls = self.environment.iter().any(|(name, value)| name == "PGSSLMODE" && value != "disable");
        let beside = if tls { postgres::tls_bin() } else { postgres::bin() }.join(program);
        let mut command = if beside.exists() { Command::new(beside) } else { Command::new(program) };
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", &self.user).env("PGPASSWORD", &self.password).env("PGDATABASE", &self.database);
        command.env("PGSSLMODE", "disable").env("PGAPPNAME", program).env("HOME", "/nonexistent");
        command.env("PAGER", "").env("LC_ALL", "C");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it.
    pub fn run(&self, arguments: &[&str], input: &str) -> Output {
        run(self.command("psql").arg("-X").args(arguments), input)
    }

    /// Unaligned rows of one statement.
    pub fn sql(&self, sql: &str) -> Output {
        self.run(&["-q", "-A", "-t", "-v", "VERBOSITY=verbose", "-c", sql], "")
    }

    /// pgbench with these arguments.
    pub fn pgbench(&self, arguments: &[&str]) -> Output {
        run(self.command("pgbench").args(arguments), "")
    }
}
