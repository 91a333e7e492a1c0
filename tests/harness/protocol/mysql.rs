//! The MySQL side of what scenarios share.

use std::time::Duration;

use super::{Answer, Client, Direct, Failure, Kind, Protocol, Refused};
use crate::{
    config::Target,
    mysql::{Database, SUPERUSER, as_logged},
    wire::{
        PATIENCE,
        mysql::{self as wire, Fault, NoMessage, Prepared, Reply, Rows, Startup, Value, flags},
    },
};

/// MySQL and MariaDB.
#[derive(Clone, Copy, Debug)]
pub struct MySql;

impl Protocol for MySql {
    const NAME: &'static str = "mysql";
    const SCHEMA: &'static str = crate::shop::MYSQL_SCHEMA;
    const SLOW: &'static str = "SELECT count(*) FROM shop.orders o JOIN shop.orders a JOIN shop.orders b JOIN shop.orders c \
                                JOIN shop.orders d WHERE o.id > 0 AND a.id + b.id + c.id + d.id = 0";
    type Client = wire::Client;
    type Database = Database;

    fn database(_: &str) -> Database {
        Database::new()
    }

    fn target(name: &str, database: &Database) -> Target {
        Target::mysql(name, database)
    }

    fn connect(port: u16, user: &str, password: &str, database: &str) -> Result<wire::Client, Refused> {
        let startup = Startup::new(port, user, password, database).with(flags::MULTI_STATEMENTS);
        wire::Client::connect(&startup).map_err(|refused| refused.error.map(|error| Box::new(failure(&error))))
    }

    fn codes(kind: Kind) -> &'static [&'static str] {
        match kind {
            Kind::Denied => &["1142/42000", "1143/42000", "1227/42000"],
            Kind::LimitPassed => &["1104/42000"],
            // By the server's own limit on MySQL and on MariaDB, or by KILL QUERY.
            Kind::Stopped => &["3024/HY000", "1969/70100", "1317/70100"],
            Kind::LoginFailed => &["1045/28000"],
            Kind::NoTarget => &["1049/42000"],
            Kind::Unparsed => &["1064/42000"],
            Kind::Unsupported => &["1235/42000"],
            Kind::NoTable => &["1146/42S02"],
            Kind::AuditDown => &["1105/HY000"],
            // In the place of a greeting an error has no SQLSTATE yet.
            Kind::UpstreamDown => &["1105/HY000", "1105/"],
            Kind::ProtocolBroken => &["1047/08S01"],
            Kind::TooMany => &["1040/08004", "1040/"],
            Kind::Killed => &["1927/70100"],
            Kind::Draining => &["1053/08S01"],
            Kind::ReadOnly => &["1792/25006"],
            Kind::Duplicate => &["1062/23000"],
        }
    }

    fn parameter(_: usize) -> String {
        "?".to_owned()
    }

    fn pick<T>(_: T, mysql: T) -> T {
        mysql
    }
}

/// One line holds all: the message, perhaps `; ` and the detail, perhaps `HINT: ` and the hint.
fn failure(fault: &Fault) -> Failure {
    let (text, hint) = fault.message.split_once("HINT: ").unwrap_or((&fault.message, ""));
    let (message, detail) = text.split_once("; ").unwrap_or((text, ""));
    let [message, detail, hint] = [message, detail, hint].map(|part| part.trim().to_owned());
    let code = format!("{}/{}", fault.code, fault.state);
    Failure { code, severity: String::new(), message, detail, hint, protocol: MySql::NAME }
}

fn answer(reply: Reply) -> Answer {
    Answer {
        in_transaction: reply.status() & flags::IN_TRANSACTION != 0,
        affected: reply.affected().into_iter().filter(|rows| *rows > 0).collect(),
        columns: reply.columns.into_iter().map(|column| column.name).collect(),
        errors: reply.errors.iter().map(failure).collect(),
        closed: reply.closed,
        rows: reply.rows,
    }
}

fn values(params: &[&str]) -> Vec<Value> {
    params.iter().map(|param| Value::from(*param)).collect()
}

impl Client for wire::Client {
    type Held = Prepared;

    #[track_caller]
    fn query(&mut self, sql: &str) -> Answer {
        answer(self.query(sql))
    }

    #[track_caller]
    fn prepared(&mut self, sql: &str, params: &[&str]) -> Answer {
        answer(self.run_prepared(sql, &values(params)))
    }

    #[track_caller]
    fn every_way(&mut self, sql: &str) -> Vec<Answer> {
        let replies = [self.query(sql), self.run_prepared(sql, &[]), self.run_cursor(sql, &[], 3)];
        replies.map(answer).into()
    }

    #[track_caller]
    fn warned(&mut self, sql: &str) -> Vec<String> {
        self.query(sql).ok();
        self.query("SHOW WARNINGS").ok().rows.into_iter().filter_map(|row| row.into_iter().nth(2).flatten()).collect()
    }

    #[track_caller]
    fn hold(&mut self, sql: &str) -> Prepared {
        self.prepare(sql).unwrap_or_else(|error| panic!("`{sql}` should be prepared: {error:?}"))
    }

    #[track_caller]
    fn run_held(&mut self, held: &Prepared) -> Answer {
        answer(self.execute(held, &[], 0))
    }

    fn start(&mut self, sql: &str) {
        self.start(sql.as_bytes());
    }

    #[track_caller]
    fn answer(&mut self) -> Answer {
        answer(self.reply(Rows::Text))
    }

    fn listen(&mut self, wait: Duration) -> Answer {
        // Between commands a server says nothing but why it ends the connection.
        self.ignore_sequence();
        let mut errors = Vec::new();
        loop {
            match self.next(wait) {
                Ok(payload) if payload.first() == Some(&0xFF) => errors.push(failure(&Fault::read(&payload))),
                Ok(_) => {}
                Err(NoMessage::Closed | NoMessage::Late) => break,
            }
        }
        Answer { errors, closed: self.is_closed(), ..Answer::default() }
    }

    #[track_caller]
    fn count_rows(&mut self, sql: &str) -> (usize, usize) {
        Client::start(self, sql);
        let (mut rows, mut bytes) = (0, 0);
        let columns = self.next(PATIENCE).expect("an answer");
        assert!(columns[0] < 0xFB, "{:?}", Fault::read(&columns));
        for _ in 0..columns[0] {
            self.next(PATIENCE).expect("a column");
        }
        loop {
            let payload = self.next(PATIENCE).expect("the result goes on");
            match payload[0] {
                0xFF => panic!("{:?}", Fault::read(&payload)),
                0xFE if payload.len() < wire::packet::LONGEST => return (rows, bytes),
                _ => (rows, bytes) = (rows + 1, bytes + payload.len()),
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
        self.owner().to_owned()
    }

    fn connections(&self) -> usize {
        let own = self.sql("SHOW PROCESSLIST").rows.into_iter().filter(|row| row[1].as_deref() == Some(self.owner()));
        own.count()
    }

    #[track_caller]
    fn client(&self) -> wire::Client {
        wire::Client::connect(&self.as_owner().with(flags::MULTI_STATEMENTS)).expect("the owner may connect")
    }

    fn log_statements(&self) {
        self.log_statements();
    }

    fn statement_log(&self) -> Vec<String> {
        self.statement_log()
    }

    fn as_logged<'a>(&self, sql: &'a str) -> &'a str {
        as_logged(sql)
    }

    fn is_running(&self, part: &str) -> bool {
        self.is_running(part)
    }

    fn end_session(&self, part: &str) {
        let running = self.sql("SHOW FULL PROCESSLIST").rows.into_iter();
        let found = running.filter(|row| row.iter().flatten().any(|value| value.contains(part)));
        found.for_each(|row| drop(self.sql(&format!("KILL {}", row[0].as_deref().unwrap_or_default()))));
    }

    fn is_locked(&self, table: &str) -> bool {
        // As superuser from outside: asking for every row without waiting fails while somebody holds one.
        let superuser = self.server().superuser("");
        assert_eq!(superuser.user, SUPERUSER);
        let mut client = wire::Client::connect(&superuser).expect("the superuser may connect");
        client.query("START TRANSACTION").ok();
        let reply = client.query(&format!("SELECT * FROM {table} FOR UPDATE NOWAIT"));
        // So that the next one who asks does not meet this one.
        client.query("ROLLBACK").ok();
        !reply.errors.is_empty()
    }
}
