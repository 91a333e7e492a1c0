//! The databases on MariaDB or MySQL, the proxy in front of them, and its connections.

use std::sync::{Mutex, PoisonError};

use hallpass_tests::{
    config::Target,
    mysql::{Flavour, Options, Server},
    proxy::Proxy,
    wire::mysql::{Client, Reply, Rows, Startup},
};

use super::{Answer, Connection, Place, Stage, postgres::start_proxy};
use crate::{
    ddl,
    generate::{Query, Way},
    masks::{self, Masks, SETS},
    schema::{Dialect, TABLES, Version},
};

/// Server and proxy.
#[derive(Debug)]
pub struct MySqlStage {
    proxy: Proxy,
    server: Server,
    dialect: Dialect,
    masks: Vec<Masks>,
    /// The superuser's connection.
    tidy: Mutex<Client>,
}

const LOGIN: &str = "lab_app";
const SECRET: &str = "lab-secret";
/// The names of databases are as long as each other, and are replaced by this one where answers are compared.
const ANY: &str = "lab_?";

impl MySqlStage {
    /// Starts a server, makes and fills the databases, starts the proxy.
    pub fn start(seed: u64) -> Self {
        let dialect = match Flavour::chosen() {
            Flavour::MariaDb => Dialect::MariaDb,
            Flavour::MySql => Dialect::MySql,
        };
        let slow = match dialect {
            Dialect::MySql => "max-execution-time=2000",
            Dialect::MariaDb | Dialect::Postgres => "max-statement-time=2",
        };
        // Plans, and with them the order of rows, must not change while we look.
        let settings = ["innodb-lock-wait-timeout=5", "innodb-stats-auto-recalc=0", slow].map(str::to_owned).to_vec();
        let server = Server::start(&Options { settings, ..Options::default() });
        let masks = masks::sets(seed, dialect, "lab_*");
        server.create_user(LOGIN, SECRET);
        server.sql("", &format!("GRANT ALL ON *.* TO '{LOGIN}'@'%'"));
        let fill = |place: Place, second: u128| {
            let name = database(place);
            server.sql("", &format!("CREATE DATABASE {name}"));
            let mut client = Client::connect(&server.superuser(&name)).expect("the superuser may connect");
            for sql in ddl::objects(dialect).iter().chain(&ddl::rows(dialect, second)) {
                let reply = client.query(sql);
                assert!(reply.errors.is_empty(), "`{sql}` failed: {:?}", reply.errors);
            }
            for table in TABLES {
                client.query(&format!("ANALYZE TABLE {}", dialect.quote(table.name))).ok();
            }
        };
        fill(Place::Direct, 0);
        fill(Place::Through(0, Version::One), 0);
        (0..SETS).for_each(|set| fill(Place::Through(set, Version::Two), masks[set].named));
        let target = |set: usize, version: Version| Target {
            name: masks::target(set, version),
            protocol: "mysql",
            port: server.port(),
            database: database(Place::Through(set, version)),
            user: LOGIN.to_owned(),
            password: SECRET.to_owned(),
            more: String::new(),
        };
        let targets = (0..SETS).flat_map(|set| [target(set, Version::One), target(set, Version::Two)]);
        let proxy = start_proxy(targets.collect(), &masks);
        let tidy = Client::connect(&server.superuser("")).expect("the superuser may connect");
        Self { proxy, server, dialect, masks, tidy: Mutex::new(tidy) }
    }
}

fn database(place: Place) -> String {
    match place {
        Place::Direct => "lab_d".to_owned(),
        Place::Through(_, Version::One) => "lab_a".to_owned(),
        Place::Through(set, Version::Two) => format!("lab_{set}"),
    }
}

impl Stage for MySqlStage {
    type Connection = MySqlConnection;

    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn title(&self) -> String {
        format!("{} {}", self.server.flavour().label(), self.server.version())
    }

    fn masks(&self) -> &[Masks] {
        &self.masks
    }

    fn settle(&self, set: usize, table: &str) {
        let mut tidy = self.tidy.lock().unwrap_or_else(PoisonError::into_inner);
        let places = [Place::Direct, Place::Through(set, Version::One), Place::Through(set, Version::Two)];
        let tables = places.map(|place| format!("{}.{table}", database(place)));
        tidy.query(&format!("ANALYZE TABLE {}", tables.join(", "))).ok();
    }

    fn connect(&self, place: Place) -> MySqlConnection {
        let database = database(place);
        let startup = match place {
            Place::Direct => Startup::new(self.server.port(), LOGIN, SECRET, &database),
            Place::Through(set, version) => self.proxy.mysql_startup("alice", &masks::target(set, version)),
        };
        let mut client =
            Client::connect(&startup).unwrap_or_else(|refused| panic!("{:?}; {}", refused.error, self.proxy.log()));
        client.set_patience(std::time::Duration::from_secs(60));
        MySqlConnection { client, database, read: 0 }
    }
}

/// A connection, and how much of what it received has been looked at.
#[derive(Debug)]
pub struct MySqlConnection {
    client: Client,
    database: String,
    read: usize,
}

impl MySqlConnection {
    /// What came, packet by packet, without their numbers, those of statements, and the database's name.
    fn frames(&self, bytes: &[u8], prepared: bool) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        while let Some((head, _)) = rest.split_at_checked(4) {
            let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize + 4;
            let (frame, after) = rest.split_at(length.min(rest.len()));
            let mut payload = replaced(&frame[4..], &self.database);
            if prepared && payload.len() == 12 && payload[0] == 0 {
                payload[1..5].fill(0);
            }
            frames.push(payload);
            rest = after;
        }
        frames
    }
}

/// The bytes with a database's name made the same as all others.
fn replaced(bytes: &[u8], name: &str) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let found: Vec<usize> = bytes
        .windows(name.len())
        .enumerate()
        .filter(|(_, window)| *window == name.as_bytes())
        .map(|(at, _)| at)
        .collect();
    for at in found {
        bytes[at..at + name.len()].copy_from_slice(ANY.as_bytes());
    }
    bytes
}

impl Connection for MySqlConnection {
    fn send(&mut self, query: &Query) {
        self.read = self.client.received().len();
        let (texts, _) = query.texts(&self.database);
        if let ([sql], Way::Simple) = (texts.as_slice(), query.way) {
            self.client.start(sql.as_bytes());
        }
    }

    fn receive(&mut self, query: &Query) -> Answer {
        let (texts, at) = query.texts(&self.database);
        let (mut reply, mut error) = (Reply::default(), None);
        for (number, sql) in texts.iter().enumerate() {
            if self.client.is_closed() {
                break;
            }
            let told = match query.way {
                Way::Simple if texts.len() == 1 => self.client.reply(Rows::Text),
                Way::Prepared | Way::Binary if number == at => self.client.run_prepared(sql, &[]),
                Way::Simple | Way::Prepared | Way::Binary | Way::Named | Way::Cursor => self.client.query(sql),
            };
            error = error.or(told.errors.first().map(|error| (error.code.to_string(), error.message.clone())));
            if number == at {
                reply = told;
                if query.warned && !self.client.is_closed() {
                    self.client.query("SHOW WARNINGS");
                }
            }
        }
        let bytes = self.client.received()[self.read..].to_vec();
        Answer {
            frames: self.frames(&bytes, query.way != Way::Simple),
            bytes,
            columns: reply.columns.iter().map(|column| column.name.clone()).collect(),
            rows: reply.rows,
            error: error.map(|(code, message)| (code, message.replace(&self.database, ANY))),
            closed: self.client.is_closed(),
        }
    }
}
