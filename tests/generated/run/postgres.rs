//! The databases on Postgres, the proxy in front of them, and its connections.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hallpass_tests::{
    config::{Settings, Target},
    postgres::{Options, Server},
    proxy::{PASSWORD, Proxy},
    wire::postgres::{Client, Startup, frame},
};

use super::{Answer, Connection, Place, Stage};
use crate::{
    ddl,
    generate::{Query, Way},
    masks::{self, Masks, SETS},
    schema::{Dialect, Version},
};

/// Server and proxy.
#[derive(Debug)]
pub struct PostgresStage {
    proxy: Proxy,
    server: Server,
    masks: Vec<Masks>,
    /// The superuser's connections by database.
    tidy: Mutex<HashMap<String, Client>>,
}

const SCHEMA: &str = "lab";
const LOGIN: &str = "lab_app";
const SECRET: &str = "lab-secret";

/// The role that everything runs under, and the user's.
pub(super) const ROLE: &str = "[roles.all]\nallow = [\"select\", \"insert\", \"update\", \"delete\", \"lock\", \"explain\"]\n\
                               max_duration = \"8h\"\nstatement_timeout = \"20s\"\n\n";

impl PostgresStage {
    /// Starts a server, makes and fills the databases, starts the proxy.
    pub fn start(seed: u64) -> Self {
        let settings = ["autovacuum=off", "jit=off", "max_parallel_workers_per_gather=0", "enable_mergejoin=off"];
        let options = Options { settings: settings.map(str::to_owned).to_vec(), ..Options::default() };
        let server = Server::start(&options);
        let masks = masks::sets(seed, Dialect::Postgres, SCHEMA);
        server.sql("postgres", &format!("CREATE ROLE {LOGIN} LOGIN PASSWORD '{SECRET}'"));
        server.sql("postgres", &format!("ALTER ROLE {LOGIN} SET search_path = {SCHEMA}"));
        server.sql("postgres", &format!("ALTER ROLE {LOGIN} SET statement_timeout = '2s'"));
        server.sql("postgres", &format!("CREATE DATABASE lab_empty OWNER {LOGIN}"));
        server.sql("lab_empty", &format!("CREATE SCHEMA {SCHEMA} AUTHORIZATION {LOGIN}"));
        let owner = |database: &str| Startup::new(server.port(), LOGIN, SECRET, database);
        run_all(&owner("lab_empty"), &ddl::objects(Dialect::Postgres));
        let copy = |name: &str, second: u128| {
            server.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE lab_empty OWNER {LOGIN}"));
            run_all(&owner(name), &ddl::rows(Dialect::Postgres, second));
            server.sql(name, "VACUUM");
        };
        copy("lab_direct", 0);
        copy("lab_one", 0);
        (0..SETS).for_each(|set| copy(&two(set), masks[set].named));
        let target = |name: String, database: String| Target {
            name,
            protocol: "postgres",
            port: server.port(),
            database,
            user: LOGIN.to_owned(),
            password: SECRET.to_owned(),
            more: String::new(),
        };
        let targets = (0..SETS).flat_map(|set| {
            [
                target(masks::target(set, Version::One), "lab_one".to_owned()),
                target(masks::target(set, Version::Two), two(set)),
            ]
        });
        let proxy = start_proxy(targets.collect(), &masks);
        Self { proxy, server, masks, tidy: Mutex::default() }
    }
}

/// The proxy with these targets and masks; alice holds the role on all of them.
pub(super) fn start_proxy(targets: Vec<Target>, masks: &[Masks]) -> Proxy {
    let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let rules: String = masks.iter().map(|masks| masks.rules.as_str()).collect();
    // Rules about dangerous statements have tests of their own.
    let review = ["update-without-where", "delete-without-where"];
    let review = review.map(|rule| format!("[[review]]\nrule = \"{rule}\"\nlevel = \"off\"\n\n")).concat();
    let proxy = Proxy::start(Settings::new(targets, &format!("{ROLE}{review}{rules}")));
    proxy.user("alice", &["oncall"]);
    for name in &names {
        proxy.grant("alice", "all", name, "8h");
    }
    proxy
}

fn two(set: usize) -> String {
    format!("lab_two_{set}")
}

fn run_all(startup: &Startup, script: &[String]) {
    let mut client = Client::connect(startup).expect("the owner may connect");
    script.iter().for_each(|sql| {
        let reply = client.query(sql);
        assert!(reply.errors.is_empty(), "`{sql}` failed: {:?}", reply.errors);
    });
}

impl Stage for PostgresStage {
    type Connection = PostgresConnection;

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn title(&self) -> String {
        format!("Postgres {}", self.server.major())
    }

    fn masks(&self) -> &[Masks] {
        &self.masks
    }

    fn settle(&self, set: usize, table: &str) {
        let mut tidy = self.tidy.lock().unwrap_or_else(PoisonError::into_inner);
        for database in ["lab_direct".to_owned(), "lab_one".to_owned(), two(set)] {
            let startup = self.server.superuser(&database);
            let connect = || Client::connect(&startup).expect("the superuser may connect");
            let client = tidy.entry(database).or_insert_with(connect);
            client.query(&format!("VACUUM {SCHEMA}.{table}")).ok();
            if table == "people" {
                client.query(&format!("VACUUM {SCHEMA}.staff")).ok();
            }
        }
    }

    fn connect(&self, place: Place) -> PostgresConnection {
        let startup = match place {
            Place::Direct => Startup::new(self.server.port(), LOGIN, SECRET, "lab_direct"),
            Place::Through(set, version) => {
                Startup::new(self.proxy.port(), "alice", PASSWORD, &masks::target(set, version))
            }
        };
        let mut client =
            Client::connect(&startup).unwrap_or_else(|refused| panic!("{:?}; {}", refused.error, self.proxy.log()));
        client.set_patience(std::time::Duration::from_secs(60));
        PostgresConnection { client, read: 0 }
    }
}

/// A connection, and how much of what it received has been looked at.
#[derive(Debug)]
pub struct PostgresConnection {
    client: Client,
    read: usize,
}

impl Connection for PostgresConnection {
    fn send(&mut self, query: &Query) {
        self.read = self.client.received().len();
        let (texts, answer) = query.texts(SCHEMA);
        let mut frames = Vec::new();
        for (at, sql) in texts.iter().enumerate() {
            let prepared = at == answer && matches!(query.way, Way::Prepared | Way::Binary);
            if prepared {
                frames.extend(frame::parse("", sql.as_bytes(), &[]));
                frames.extend(frame::bind("", "", &[], &[], i16::from(query.way == Way::Binary)));
                frames.extend(frame::name(b'D', b'P', ""));
                frames.extend(frame::execute("", 0));
                frames.extend(frame::sync());
            } else {
                frames.extend(frame::query(sql.as_bytes()));
            }
        }
        self.client.send(&frames);
    }

    fn receive(&mut self, query: &Query) -> Answer {
        let mut answer = Answer::default();
        let (texts, at) = query.texts(SCHEMA);
        for number in 0..texts.len() {
            let reply = self.client.reply();
            if number == at {
                answer.columns = reply.columns.iter().map(|column| column.name.clone()).collect();
                answer.rows = reply.rows;
            }
            let error = reply.errors.first();
            let error = error.map(|error| (error.code().to_owned(), error.message().to_owned()));
            answer.error = answer.error.or(error);
        }
        answer.closed = self.client.is_closed();
        answer.bytes = self.client.received()[self.read..].to_vec();
        let mut rest = answer.bytes.as_slice();
        while let Some((head, _)) = rest.split_at_checked(5) {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize + 1;
            let (frame, after) = rest.split_at(length.min(rest.len()));
            answer.frames.push(frame.to_vec());
            rest = after;
        }
        answer
    }
}
