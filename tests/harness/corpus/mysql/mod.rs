//! The corpus' MariaDB or MySQL: loaded, loaded anew after a case that changed something, asked by a superuser.

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
    mysql::{Options, Server},
    proxy::Proxy,
    wire::{
        joined,
        mysql::{Client, Startup, flags},
    },
};

/// The database that sessions begin in.
pub const DATABASE: &str = "shop";
/// Password of `jit_owner`, the proxy's usual account.
pub const OWNER_PASSWORD: &str = "corpus-owner";
/// Password of `jit_admin`, the proxy's account where a case needs a superuser.
pub const ADMIN_PASSWORD: &str = "corpus-admin";

/// A server with the corpus' schema.
#[derive(Debug)]
pub struct Fixture {
    server: Server,
    script: String,
}

/// Somebody else's session. What it runs would go on after it closed, and meet the next case.
#[derive(Debug)]
struct Guest {
    client: Client,
    superuser: Startup,
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Ok(mut superuser) = Client::connect(&self.superuser) {
            // It may have ended by itself.
            superuser.query(&format!("KILL {}", self.client.connection()));
            let gone = "SELECT count(*) FROM information_schema.processlist WHERE id =";
            for _ in 0..100 {
                if superuser.query(&format!("{gone} {}", self.client.connection())).value() == "0" {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

impl Fixture {
    /// Starts the server and loads the schema.
    pub fn start() -> Self {
        let script = fs::read_to_string(case::path("schema-mysql.sql")).expect("the corpus is part of the checkout");
        // Some cases read the binary log, the server's files, or its schedule of events.
        // One expects the usual number of connections.
        let settings =
            ["max-connections=151", "log-bin=binlog", "server-id=7", "event-scheduler=ON", "performance-schema=ON"];
        let settings = settings.map(str::to_owned).into();
        let server = Server::start(&Options { settings, ..Options::default() });
        server.sql("", &format!("CREATE USER 'jit_admin'@'%' IDENTIFIED BY '{ADMIN_PASSWORD}'"));
        server.sql("", "GRANT ALL ON *.* TO 'jit_admin'@'%' WITH GRANT OPTION");
        let fixture = Self { server, script };
        fixture.load();
        fixture
    }

    /// A connection of the superuser.
    pub fn client(&self) -> Client {
        Client::connect(&self.server.superuser("")).expect("the superuser may connect")
    }

    fn label(&self) -> &'static str {
        self.server.flavour().label()
    }
}

impl Stage for Fixture {
    type Startup = Startup;

    fn attacks(&self) -> Vec<Case> {
        case::load("mysql.jsonl", Some(self.label()))
    }

    fn controls(&self) -> Vec<Case> {
        case::load("benign-mysql.jsonl", Some(self.label()))
    }

    fn title(&self) -> String {
        format!("{} {}", self.label(), self.server.version())
    }

    fn load(&self) {
        let mut client = self.client();
        let own = client.connection().to_string();
        for row in &client.query("SHOW PROCESSLIST").ok().rows {
            let [id, user] = [0, 1].map(|at| row[at].clone().unwrap_or_default());
            if id != own && !user.starts_with("system") && user != "event_scheduler" {
                // It may have ended by itself.
                client.query(&format!("KILL {id}"));
            }
        }
        let reply = client.query(&self.script);
        assert!(reply.errors.is_empty(), "the schema does not load: {:?}", reply.errors);
    }

    fn policy(&self) -> Policy {
        case::policy(&self.script)
    }

    fn target(&self, name: &str, superuser: bool) -> Target {
        let Startup { port, user, password, database, .. } = self.account(superuser);
        Target { name: name.to_owned(), protocol: "mysql", port, database, user, password, more: String::new() }
    }

    fn account(&self, superuser: bool) -> Startup {
        let (user, password) = if superuser { ("jit_admin", ADMIN_PASSWORD) } else { ("jit_owner", OWNER_PASSWORD) };
        Startup::new(self.server.port(), user, password, DATABASE)
    }

    fn through(&self, proxy: &Proxy, user: &str, target: &str) -> Startup {
        Startup { database: DATABASE.to_owned(), ..proxy.mysql_startup(user, target) }
    }

    fn admin(&self, statements: &[String]) -> Option<String> {
        let mut client = self.client();
        statements.iter().find_map(|sql| client.query(sql).errors.first().map(|error| format!("{error:?}")))
    }

    fn victim(&self, victim: &Victim) -> Box<dyn fmt::Debug> {
        let account = self.account(victim.role.as_deref() == Some("admin"));
        let mut client = Client::connect(&account.with(flags::MULTI_STATEMENTS)).expect("the victim may connect");
        for sql in victim.statements() {
            if victim.background {
                client.start(sql.as_bytes());
                std::thread::sleep(Duration::from_millis(200));
            } else {
                client.query(sql);
            }
        }
        Box::new(Guest { client, superuser: self.server.superuser("") })
    }

    fn probe(&self, sql: &str) -> String {
        let reply = self.client().query(sql);
        assert!(reply.errors.is_empty(), "the probe `{sql}` failed: {:?}", reply.errors);
        reply.rows.first().map(|row| joined(row)).unwrap_or_default()
    }

    /// Rows by checksum, objects, accounts, settings.
    fn state(&self) -> String {
        let mut client = self.client();
        client.query("SET SESSION group_concat_max_len = 10000000").ok();
        let mut state = String::new();
        let tables = client.query(
            "SELECT CONCAT('`', table_schema, '`.`', table_name, '`') FROM information_schema.tables WHERE table_type = \
             'BASE TABLE' AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY 1",
        );
        let names: Vec<_> = tables.ok().rows.into_iter().filter_map(|row| row[0].clone()).collect();
        if !names.is_empty() {
            let reply = client.query(&format!("CHECKSUM TABLE {}", names.join(", "))).ok();
            state.push_str(&reply.lines().join("\n"));
        }
        for sql in [
            "SELECT table_schema, table_name, SHA2(view_definition, 256) FROM information_schema.views WHERE table_schema <> 'sys'",
            "SELECT routine_schema, routine_name, SHA2(routine_definition, 256) FROM information_schema.routines \
             WHERE routine_schema <> 'sys'",
            "SELECT trigger_schema, trigger_name FROM information_schema.triggers WHERE trigger_schema <> 'sys'",
            "SELECT event_schema, event_name, status FROM information_schema.events",
            "SELECT table_schema, table_name, column_name, column_type FROM information_schema.columns \
             WHERE table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')",
            "SELECT grantee, privilege_type FROM information_schema.user_privileges",
            "SELECT grantee, table_schema, privilege_type FROM information_schema.schema_privileges",
            "SHOW GLOBAL VARIABLES WHERE Variable_name NOT LIKE 'gtid%' AND Variable_name NOT LIKE '%timestamp%' \
             AND Variable_name <> 'innodb_buffer_pool_load_status'",
        ] {
            let mut lines = client.query(sql).ok().lines();
            lines.sort();
            state.push_str(&lines.join("\n"));
        }
        state
    }

    fn play(&self, startup: Startup, case: &Case, control: &mut dyn FnMut(&str)) -> Box<dyn stage::Session + '_> {
        Box::new(session::Session::play(self, startup, case, control))
    }

    fn compare(&self, direct: &[(String, Vec<u8>)], through: &[(String, Vec<u8>)], _: bool) -> Option<Difference> {
        compare::compare(direct, through)
    }
}
