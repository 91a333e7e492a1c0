//! Statements captured from real clients, each prepared directly and through the proxy by a user without any grant:
//! what hallpass refuses to understand shows as another error than the server's own. The capture lies beside the
//! checkout and is not part of it.

use std::{collections::BTreeMap, fmt, fs, path::PathBuf};

use serde::Deserialize;

use crate::{
    process::checkout,
    wire::postgres::{Client, Reply, Startup, frame},
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

/// Unknown relation, column, function, statement, portal, schema, object: the server would say so when it runs it, as the
/// capture's own tables are not here.
const ABSENT: [&str; 7] = ["42P01", "42703", "42883", "26000", "34000", "3F000", "42704"];

/// The table per client, and what was not understood.
#[derive(Debug, Default)]
pub struct Table {
    clients: BTreeMap<String, Count>,
    /// Client, error and statement of each that was not understood.
    pub not_understood: Vec<String>,
}

/// The capture, if it lies beside the checkout: `HALLPASS_CLIENT_SQL`, or `../shared/corpus/client-sql-postgres.jsonl`.
pub fn captured() -> Option<Vec<Captured>> {
    let beside = checkout().join("../shared/corpus/client-sql-postgres.jsonl");
    let path = std::env::var_os("HALLPASS_CLIENT_SQL").map_or(beside, PathBuf::from);
    let text = fs::read_to_string(path).ok()?;
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    Some(text.lines().map(parse).collect())
}

/// Prepares every statement directly and through the proxy.
pub fn compare(captured: &[Captured], direct: &Startup, through: &Startup) -> Table {
    let mut table = Table::default();
    let (mut here, mut there) = (connect(direct), connect(through));
    for Captured { client, sql } in captured {
        let expected = ask(&mut here, direct, sql);
        let answer = ask(&mut there, through, sql);
        let count = table.clients.entry(client.clone()).or_default();
        count.all += 1;
        let code = |reply: &Reply| reply.errors.first().map(|error| error.code().to_owned());
        match (code(&answer), code(&expected)) {
            (got, wanted) if got == wanted => count.allowed += 1,
            (Some(got), _) if got == "42501" => count.denied += 1,
            (Some(got), _) if ABSENT.contains(&got.as_str()) => count.absent += 1,
            (got, wanted) => {
                let error = answer.errors.first().cloned().unwrap_or_default();
                let sql: String = sql.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(160).collect();
                let [got, wanted] = [got, wanted].map(|code| code.unwrap_or_else(|| "no error".to_owned()));
                table.not_understood.push(format!("{client}: {got} not {wanted}: {}: {sql}", error.message()));
            }
        }
    }
    table
}

fn connect(startup: &Startup) -> Client {
    Client::connect(startup).unwrap_or_else(|refused| panic!("{:?}", refused.error))
}

/// Parse and Sync, so that nothing runs and placeholders are welcome.
fn ask(client: &mut Client, startup: &Startup, sql: &str) -> Reply {
    client.send(&[frame::parse("", sql.as_bytes(), &[]), frame::sync()].concat());
    let reply = client.reply();
    if client.is_closed() {
        *client = connect(startup);
    }
    reply
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
