//! The Postgres side of what scenarios share.

use std::time::Duration;

use super::{Answer, Client, Direct, Failure, Kind, Protocol, Refused};
use crate::{
    config::Target,
    postgres::{Database, Server},
    wire::{
        PATIENCE,
        postgres::{self as wire, Fields, Reply, Startup, frame},
    },
};

/// Postgres.
#[derive(Clone, Copy, Debug)]
pub struct Postgres;

impl Protocol for Postgres {
    const NAME: &'static str = "postgres";
    const SCHEMA: &'static str = crate::shop::POSTGRES_SCHEMA;
    const SLOW: &'static str = "SELECT count(*) FROM generate_series(1, 2000000000) g, shop.orders o WHERE o.id = 1";
    type Client = wire::Client;
    type Database = Database;

    fn database(name: &str) -> Database {
        Server::shared().database(name)
    }

    fn target(name: &str, database: &Database) -> Target {
        Target::new(name, database)
    }

    fn connect(port: u16, user: &str, password: &str, database: &str) -> Result<wire::Client, Refused> {
        let connected = wire::Client::connect(&Startup::new(port, user, password, database));
        connected.map_err(|refused| refused.error.map(|error| Box::new(failure(&error))))
    }

    fn codes(kind: Kind) -> &'static [&'static str] {
        match kind {
            Kind::Denied => &["42501"],
            Kind::LimitPassed => &["54000"],
            Kind::Stopped => &["57014"],
            Kind::LoginFailed => &["28P01"],
            Kind::NoTarget => &["3D000"],
            Kind::Unparsed => &["42601"],
            Kind::Unsupported => &["0A000"],
            Kind::NoTable => &["42P01"],
            Kind::AuditDown => &["58030"],
            Kind::UpstreamDown => &["08006"],
            Kind::ProtocolBroken => &["08P01"],
            Kind::TooMany => &["53300"],
            Kind::Killed | Kind::Draining => &["57P01"],
            Kind::ReadOnly => &["25006"],
            Kind::Duplicate => &["23505"],
        }
    }

    fn parameter(number: usize) -> String {
        format!("${number}")
    }

    fn pick<T>(postgres: T, _: T) -> T {
        postgres
    }
}

fn failure(fields: &Fields) -> Failure {
    Failure {
        code: fields.code().to_owned(),
        severity: fields.get('S').to_owned(),
        message: fields.message().to_owned(),
        detail: fields.detail().to_owned(),
        hint: fields.hint().to_owned(),
        protocol: Postgres::NAME,
    }
}

fn answer(reply: Reply) -> Answer {
    let affected = |tag: &String| {
        let mut words = tag.split(' ');
        let writes = matches!(words.next(), Some("INSERT" | "UPDATE" | "DELETE" | "MERGE"));
        words.next_back().filter(|_| writes)?.parse().ok()
    };
    Answer {
        columns: reply.columns.into_iter().map(|column| column.name).collect(),
        affected: reply.tags.iter().filter_map(affected).collect(),
        errors: reply.errors.iter().map(failure).collect(),
        in_transaction: matches!(reply.status, 'T' | 'E'),
        closed: reply.status == '-',
        rows: reply.rows,
    }
}

impl Client for wire::Client {
    type Held = ();

    #[track_caller]
    fn query(&mut self, sql: &str) -> Answer {
        answer(self.query(sql))
    }

    #[track_caller]
    fn prepared(&mut self, sql: &str, params: &[&str]) -> Answer {
        answer(self.extended(sql, params, 0))
    }

    #[track_caller]
    fn every_way(&mut self, sql: &str) -> Vec<Answer> {
        let replies = [self.query(sql), self.extended(sql, &[], 0), self.extended(sql, &[], 1)];
        replies.map(answer).into()
    }

    #[track_caller]
    fn warned(&mut self, sql: &str) -> Vec<String> {
        self.query(sql).ok().notices.iter().map(|notice| notice.message().to_owned()).collect()
    }

    #[track_caller]
    fn hold(&mut self, sql: &str) {
        self.send(&[frame::parse("held", sql.as_bytes(), &[]), frame::sync()].concat());
        self.reply().ok();
    }

    #[track_caller]
    fn run_held(&mut self, (): &()) -> Answer {
        self.send(&[frame::bind("", "held", &[], &[], 0), frame::execute("", 0), frame::sync()].concat());
        answer(self.reply())
    }

    fn start(&mut self, sql: &str) {
        self.send(&frame::query(sql.as_bytes()));
    }

    #[track_caller]
    fn answer(&mut self) -> Answer {
        answer(self.reply())
    }

    fn listen(&mut self, wait: Duration) -> Answer {
        answer(self.drain(wait))
    }

    #[track_caller]
    fn count_rows(&mut self, sql: &str) -> (usize, usize) {
        Client::start(self, sql);
        let (mut rows, mut bytes) = (0, 0);
        loop {
            let message = self.next(PATIENCE).expect("the result goes on");
            match message.tag {
                b'D' => (rows, bytes) = (rows + 1, bytes + message.body.len()),
                b'E' => panic!("{:?}", wire::answer::fields(&message.body)),
                b'Z' => return (rows, bytes),
                _ => {}
            }
        }
    }

    fn received(&self) -> &[u8] {
        self.received()
    }

    fn is_closed(&self) -> bool {
        self.is_closed()
    }
}

impl Direct for Database {
    type Client = wire::Client;

    #[track_caller]
    fn run(&self, sql: &str) {
        self.sql(sql);
    }

    #[track_caller]
    fn run_as_owner(&self, sql: &str) {
        self.owner_sql(sql);
    }

    #[track_caller]
    fn value(&self, sql: &str) -> String {
        self.value(sql)
    }

    fn owner(&self) -> String {
        self.owner()
    }

    fn connections(&self) -> usize {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.value(sql).parse().expect("a number")
    }

    #[track_caller]
    fn client(&self) -> wire::Client {
        wire::Client::connect(&self.as_owner()).expect("the owner may connect")
    }

    fn log_statements(&self) {
        self.log_statements();
    }

    fn statement_log(&self) -> Vec<String> {
        self.statement_log()
    }

    fn as_logged<'a>(&self, sql: &'a str) -> &'a str {
        sql
    }

    fn is_running(&self, part: &str) -> bool {
        let part = part.replace('\'', "''");
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                   AND state = 'active'";
        self.value(&format!("{sql} AND strpos(query, '{part}') > 0")) != "0"
    }

    fn end_session(&self, part: &str) {
        let part = part.replace('\'', "''");
        self.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND strpos(query, '{part}') > 0"
        ));
    }

    fn is_locked(&self, table: &str) -> bool {
        let sql = "SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation =";
        self.value(&format!("{sql} '{table}'::regclass")) != "0"
    }
}
