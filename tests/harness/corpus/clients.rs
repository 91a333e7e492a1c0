//! Statements captured from real clients, each prepared directly and through the proxy by a user without any grant:
//! what hallpass refuses to understand shows as another error than the server's own. The capture lies beside the
//! checkout and is not part of it.

use std::{collections::BTreeMap, fmt, fs, path::PathBuf};

use serde::Deserialize;

use crate::{
    process::checkout,
    wire::{
        mysql,
        postgres::{self, frame},
    },
};

/// One captured statement.
#[derive(Debug, Deserialize)]
pub struct Captured {
    client: String,
    sql: String,
}

/// What became of one client's statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub all: usize,
    /// Answered as by the server: the baseline allows them.
    pub allowed: usize,
    /// Understood, and a grant is asked for.
    pub denied: usize,
    /// Understood, but it names something that this database or session does not have.
    pub absent: usize,
}

/// The table per client, and what was not understood.
#[derive(Debug, Default)]
pub struct Table {
    clients: BTreeMap<String, Count>,
    /// Client, error and statement of each that was not understood.
    pub not_understood: Vec<String>,
}

/// The capture for a protocol, if it lies beside the checkout: `../shared/corpus/client-sql-PROTOCOL.jsonl`, or in the folder
/// `HALLPASS_CLIENT_SQL`.
pub fn captured(protocol: &str) -> Option<Vec<Captured>> {
    let beside = checkout().join("../shared/corpus");
    let folder = std::env::var_os("HALLPASS_CLIENT_SQL").map_or(beside, PathBuf::from);
    let text = fs::read_to_string(folder.join(format!("client-sql-{protocol}.jsonl"))).ok()?;
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    Some(text.lines().map(parse).collect())
}

/// An error's code and message.
pub struct Told(String, String);

/// A connection that can be asked whether a statement is understood, without anything being run where that is possible.
pub trait Asked {
    /// Unknown relation, column, function, statement, schema, object, character set, or nothing at all: the server would say so when it runs it, as the capture's
    /// own tables are not here.
    const ABSENT: &'static [&'static str];
    /// A grant is asked for.
    const DENIED: &'static [&'static str];

    /// The error, if there is one.
    fn ask(&mut self, sql: &str) -> Option<Told>;
}

/// Asks about every statement directly and through the proxy.
pub fn compare<A: Asked>(captured: &[Captured], here: &mut A, there: &mut A) -> Table {
    let mut table = Table::default();
    for Captured { client, sql } in captured {
        let (expected, answer) = (here.ask(sql), there.ask(sql));
        let count = table.clients.entry(client.clone()).or_default();
        count.all += 1;
        let code = |told: &Option<Told>| told.as_ref().map(|Told(code, _)| code.clone());
        match (code(&answer), code(&expected)) {
            (got, wanted) if got == wanted => count.allowed += 1,
            (None, Some(wanted)) if wanted == mysql_unpreparable() => count.allowed += 1,
            (Some(got), _) if A::DENIED.contains(&got.as_str()) => count.denied += 1,
            (Some(got), _) if A::ABSENT.contains(&got.as_str()) => count.absent += 1,
            (got, wanted) => {
                let message = answer.map(|Told(_, message)| message).unwrap_or_default();
                let sql: String = sql.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(160).collect();
                let [got, wanted] = [got, wanted].map(|code| code.unwrap_or_else(|| "no error".to_owned()));
                table.not_understood.push(format!("{client}: {got} not {wanted}: {message}: {sql}"));
            }
        }
    }
    table
}

/// ER_UNSUPPORTED_PS: the server runs it, but does not prepare it.
fn mysql_unpreparable() -> &'static str {
    "1295"
}

/// A connection to Postgres.
pub struct OnPostgres(postgres::Startup, postgres::Client);

impl OnPostgres {
    /// Connects.
    pub fn new(startup: postgres::Startup) -> Self {
        let client = postgres::Client::connect(&startup).unwrap_or_else(|refused| panic!("{:?}", refused.error));
        Self(startup, client)
    }
}

impl Asked for OnPostgres {
    const ABSENT: &'static [&'static str] = &["42P01", "42703", "42883", "26000", "34000", "3F000", "42704"];
    const DENIED: &'static [&'static str] = &["42501"];

    /// Parse and Sync, so that nothing runs and placeholders are welcome.
    fn ask(&mut self, sql: &str) -> Option<Told> {
        let Self(startup, client) = self;
        client.send(&[frame::parse("", sql.as_bytes(), &[]), frame::sync()].concat());
        let reply = client.reply();
        if client.is_closed() {
            *self = Self::new(startup.clone());
        }
        reply.errors.first().map(|error| Told(error.code().to_owned(), error.message().to_owned()))
    }
}

/// Connections to MariaDB or MySQL; each statement has one of its own, as many change what the next one means.
pub struct OnMySql {
    startup: mysql::Startup,
    runs: bool,
}

impl OnMySql {
    /// A direct login: statements that cannot be prepared are not run.
    pub fn direct(startup: mysql::Startup) -> Self {
        Self { startup, runs: false }
    }

    /// Through the proxy, by a user without any grant: there they are run.
    pub fn through(startup: mysql::Startup) -> Self {
        Self { startup, runs: true }
    }
}

impl Asked for OnMySql {
    const ABSENT: &'static [&'static str] =
        &["1146", "1054", "1305", "1049", "1243", "1360", "1539", "1091", "1109", "1115", "1065"];
    const DENIED: &'static [&'static str] = &["1142", "1143", "1227"];

    fn ask(&mut self, sql: &str) -> Option<Told> {
        let connected = mysql::Client::connect(&self.startup);
        let mut client = connected.unwrap_or_else(|refused| panic!("{:?}", refused.error));
        let told = |error: &mysql::Fault| Told(error.code.to_string(), error.message.clone());
        match client.prepare(sql) {
            Err(error) if self.runs && error.code.to_string() == mysql_unpreparable() => {
                client.query(sql).errors.first().map(told)
            }
            Err(error) => Some(told(&error)),
            Ok(_) => None,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n== statements of real clients, by a user without any grant")?;
        writeln!(
            f,
            "   {:<30} {:>5} {:>8} {:>8} {:>8} {:>15}",
            "client", "all", "allowed", "denied", "absent", "not understood"
        )?;
        let mut sum = Count::default();
        for (client, count) in &self.clients {
            row(f, client, *count)?;
            sum.all += count.all;
            sum.allowed += count.allowed;
            sum.denied += count.denied;
            sum.absent += count.absent;
        }
        row(f, "all", sum)?;
        self.not_understood.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, count: Count) -> fmt::Result {
    let Count { all, allowed, denied, absent } = count;
    let rest = all - allowed - denied - absent;
    writeln!(f, "   {name:<30} {all:>5} {allowed:>8} {denied:>8} {absent:>8} {rest:>15}")
}
