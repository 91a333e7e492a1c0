//! The corpus' server and database: loaded, loaded anew after a case that changed something, asked by a superuser.

use std::{fs, time::Duration};

use super::case::{self, Policy, Victim};
use crate::{
    postgres::{Options, Server},
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

    /// Loads the schema anew. No client may be connected.
    pub fn load(&self) {
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.server.sql(DATABASE, others);
        for statement in ["ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()"] {
            self.server.sql(DATABASE, statement);
        }
        self.server.sql(DATABASE, &self.script);
    }

    /// The policy that the cases assume.
    pub fn policy(&self) -> Policy {
        case::policy(&self.script)
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Direct login of the proxy's account: the owner, or the superuser.
    pub fn account(&self, superuser: bool) -> Startup {
        let (user, password) = if superuser { ("shop_admin", ADMIN_PASSWORD) } else { ("shop_owner", OWNER_PASSWORD) };
        Startup::new(self.port(), user, password, DATABASE)
    }

    /// A connection of the superuser.
    pub fn admin(&self) -> Client {
        Client::connect(&self.account(true)).expect("shop_admin may connect")
    }

    /// Somebody else's session.
    pub fn victim(&self, victim: &Victim) -> Client {
        let account = self.account(victim.role.as_deref() == Some("admin")).with("application_name", "corpus-victim");
        let mut client = Client::connect(&account).expect("the victim may connect");
        if victim.background {
            client.send(&frame::query(victim.sql.as_bytes()));
            std::thread::sleep(Duration::from_millis(200));
        } else {
            client.query(&victim.sql);
        }
        client
    }

    /// First row of a probe, columns joined by a bar.
    pub fn probe(&self, sql: &str) -> String {
        let reply = self.admin().query(sql);
        assert!(reply.errors.is_empty(), "the probe `{sql}` failed: {:?}", reply.errors);
        reply.rows.first().map(|row| joined(row)).unwrap_or_default()
    }

    /// Differs after anything was written: transaction ids, slots, prepared transactions, settings in files.
    pub fn state(&self) -> String {
        self.probe(
            "SELECT pg_snapshot_xmax(pg_current_snapshot()), (SELECT count(*) FROM pg_replication_slots), \
             (SELECT count(*) FROM pg_prepared_xacts), (SELECT count(*) FROM pg_file_settings)",
        )
    }

    /// OID of a function by its signature.
    pub fn function(&self, signature: &str) -> u32 {
        let oid = self.probe(&format!("SELECT '{signature}'::regprocedure::oid"));
        oid.parse().expect("an OID")
    }
}
