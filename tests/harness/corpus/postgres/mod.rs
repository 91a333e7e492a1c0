//! The corpus' Postgres: loaded, loaded anew after a case that changed something, asked by a superuser.

mod compare;
mod session;

use std::{fmt, fs, time::Duration};

use super::{
    Difference,
    case::{self, Case, Policy, Victim},
    stage::{self, Stage},
};
use crate::{
    config::Target,
    postgres::{Options, Server},
    proxy::Proxy,
    wire::{
        joined,
        postgres::{Client, Startup, frame},
    },
};

/// The database of the corpus.
pub const DATABASE: &str = "corpus";
/// Password of `shop_owner`, the proxy's usual account.
pub const OWNER_PASSWORD: &str = "corpus-owner";
/// Password of `shop_admin`, the superuser.
pub const ADMIN_PASSWORD: &str = "corpus-admin";

/// A server with the corpus' schema.
#[derive(Debug)]
pub struct Fixture {
    server: Server,
    script: String,
}

impl Fixture {
    /// Starts the server and loads the schema.
    pub fn start() -> Self {
        let script = fs::read_to_string(case::path("schema-postgres.sql")).expect("the corpus is part of the checkout");
        let server = Server::start(&Options::default());
        server.sql("postgres", &format!("CREATE DATABASE {DATABASE}"));
        let fixture = Self { server, script };
        fixture.load();
        fixture
    }

    /// A connection of the superuser.
    pub fn client(&self) -> Client {
        Client::connect(&self.account(true)).expect("shop_admin may connect")
    }

    /// How `expected.toml` calls the server.
    pub fn label(&self) -> String {
        format!("postgres-{}", self.server.major())
    }

    /// OID of a function by its signature.
    pub fn function(&self, signature: &str) -> u32 {
        let oid = self.probe(&format!("SELECT '{signature}'::regprocedure::oid"));
        oid.parse().expect("an OID")
    }
}

impl Stage for Fixture {
    type Startup = Startup;

    fn attacks(&self) -> Vec<Case> {
        case::load("postgres.jsonl", None)
    }

    fn controls(&self) -> Vec<Case> {
        case::load("benign-postgres.jsonl", None)
    }

    fn title(&self) -> String {
        format!("Postgres {}", self.server.major())
    }

    fn load(&self) {
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.server.sql(DATABASE, others);
        for statement in ["ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()"] {
            self.server.sql(DATABASE, statement);
        }
        self.server.sql(DATABASE, &self.script);
    }

    fn policy(&self) -> Policy {
        case::policy(&self.script)
    }

    fn target(&self, name: &str, superuser: bool) -> Target {
        let Startup { port, user, password, database, .. } = self.account(superuser);
        Target { name: name.to_owned(), protocol: "postgres", port, database, user, password, more: String::new() }
    }

    fn account(&self, superuser: bool) -> Startup {
        let (user, password) = if superuser { ("shop_admin", ADMIN_PASSWORD) } else { ("shop_owner", OWNER_PASSWORD) };
        Startup::new(self.server.port(), user, password, DATABASE)
    }

    fn through(&self, proxy: &Proxy, user: &str, target: &str) -> Startup {
        proxy.startup(user, target)
    }

    fn admin(&self, statements: &[String]) -> Option<String> {
        let mut client = self.client();
        statements.iter().find_map(|sql| client.query(sql).errors.first().map(|error| format!("{error:?}")))
    }

    fn victim(&self, victim: &Victim) -> Box<dyn fmt::Debug> {
        let account = self.account(victim.role.as_deref() == Some("admin")).with("application_name", "corpus-victim");
        let mut client = Client::connect(&account).expect("the victim may connect");
        for sql in victim.statements() {
            if victim.background {
                client.send(&frame::query(sql.as_bytes()));
                std::thread::sleep(Duration::from_millis(200));
            } else {
                client.query(sql);
            }
        }
        Box::new(client)
    }

    fn probe(&self, sql: &str) -> String {
        let reply = self.client().query(sql);
        assert!(reply.errors.is_empty(), "the probe `{sql}` failed: {:?}", reply.errors);
        reply.rows.first().map(|row| joined(row)).unwrap_or_default()
    }

    /// Transaction ids, slots, prepared transactions, settings in files.
    fn state(&self) -> String {
        self.probe(
            "SELECT pg_snapshot_xmax(pg_current_snapshot()), (SELECT count(*) FROM pg_replication_slots), \
             (SELECT count(*) FROM pg_prepared_xacts), (SELECT count(*) FROM pg_file_settings)",
        )
    }

    fn play(&self, startup: Startup, case: &Case, control: &mut dyn FnMut(&str)) -> Box<dyn stage::Session + '_> {
        Box::new(session::Session::play(self, startup, case, control))
    }

    fn compare(
        &self,
        direct: &[(String, Vec<u8>)],
        through: &[(String, Vec<u8>)],
        reloaded: bool,
    ) -> Option<Difference> {
        compare::compare(direct, through, reloaded)
    }
}
