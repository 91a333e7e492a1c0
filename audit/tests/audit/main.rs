//! The audit from outside: journal, importer, queries and verification together, on real files.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, which may panic as the tests do")]

mod disk;
mod import;
mod kill;
mod tamper;

use std::{path::Path, sync::Arc, time::Duration};

use hallpass_audit::{
    event::{AttemptId, Event, Kind, Origin},
    journal::{Durability, Journal},
    sqlite::Importer,
};
use hallpass_policy::ids::{GrantId, Timestamp};

/// 2026-01-31T12:00:00Z.
const NOON: Timestamp = Timestamp(1_769_860_800_000_000);

const PATIENCE: Duration = Duration::from_secs(60);

fn origin(user: &str) -> Arc<Origin> {
    Arc::new(Origin {
        session: Some("s-1".into()),
        user: Some(user.into()),
        target: Some("shop".into()),
        protocol: Some(Arc::from("postgres")),
        listener: Some("postgres".into()),
        client: Some(Arc::from("127.0.0.1:50712")),
        application: Some(Arc::from("psql")),
    })
}

fn attempt(id: AttemptId, user: &str, statement: &str) -> Event {
    Event {
        attempt: Some(id),
        grant: Some(GrantId(7)),
        statement: Some(Arc::from(statement)),
        fingerprint: Some(Arc::from("select ?")),
        parameters: Some(Box::from("[\"1\",{\"hex\":\"00ff\"}]")),
        decision: Some(Arc::from("allow")),
        ..Event::new(Kind::Attempt, NOON, origin(user))
    }
}

fn outcome(id: AttemptId, user: &str, rows: u64) -> Event {
    Event {
        attempt: Some(id),
        rows: Some(rows),
        bytes: Some(rows * 10),
        masked_columns: Some(Arc::from("shop.customers.email")),
        duration_us: Some(1200),
        ..Event::new(Kind::Outcome, NOON.after(Duration::from_millis(2)), origin(user))
    }
}

/// Opens both on `data`.
fn open(data: &Path) -> (Journal, Importer) {
    let journal = Journal::open(data, Durability::Process).unwrap();
    let importer = Importer::start(&journal, NOON).unwrap();
    (journal, importer)
}

fn query<T: rusqlite::types::FromSql>(data: &Path, sql: &str) -> T {
    let connection = rusqlite::Connection::open(data.join("audit.db")).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Runs the test `name` of this binary in a process of its own, with `envs` and under `wrapper`.
fn child(wrapper: &[&str], name: &str, data: &Path) -> std::process::Command {
    let mut words = wrapper.iter().map(ToString::to_string).collect::<Vec<_>>();
    words.push(std::env::current_exe().unwrap().to_str().unwrap().to_owned());
    words.extend([name, "--exact", "--nocapture", "--test-threads=1"].map(str::to_owned));
    let mut command = std::process::Command::new(&words[0]);
    command.args(&words[1..]).env(CHILD, data);
    command
}

/// Names the data folder for a child.
const CHILD: &str = "HALLPASS_AUDIT_TEST_FOLDER";
