//! A database of one scenario. MySQL's databases are its schemas, so every scenario's is called `shop`: it gets a server of
//! its own while it runs, out of a pool, emptied before. The statement log then is the scenario's, too.

use std::{
    fs,
    ops::Deref,
    sync::{Mutex, PoisonError},
};

use super::{Auth, Logged, Options, SUPERUSER, Server, log};
use crate::wire::mysql::{Client, Reply, Startup, flags};

/// The login that owns the database, and that a proxy uses: all rights there, none elsewhere.
pub const OWNER: &str = "shop_app";
/// Its password.
pub const OWNER_PASSWORD: &str = "app-secret";

/// Servers that nobody uses now. They end with the process.
static FREE: Mutex<Vec<Server>> = Mutex::new(Vec::new());

/// A server, on loan from the pool; of its own server a scenario gives nothing back.
#[derive(Debug)]
struct Loan {
    server: Option<Server>,
    pooled: bool,
}

impl Deref for Loan {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.server.as_ref().expect("it is given back when this is dropped")
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let server = self.server.take().expect("nobody else takes it");
        // A test that failed may have left anything behind.
        if self.pooled && server.process().alive() && !std::thread::panicking() {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push(server);
        }
    }
}

/// A database of one scenario, with the login [`OWNER`] that owns it.
#[derive(Debug)]
pub struct Database {
    server: Loan,
    name: String,
    logged_from: Mutex<usize>,
}

impl Database {
    /// An empty database `shop` on a server that nobody else uses meanwhile.
    pub fn new() -> Self {
        let server = pooled().unwrap_or_else(|| Server::start(&Options::default()));
        Self::on(Loan { server: Some(server), pooled: true }, "shop")
    }

    /// On a server of its own.
    pub fn of(server: Server) -> Self {
        Self::on(Loan { server: Some(server), pooled: false }, "shop")
    }

    fn on(server: Loan, name: &str) -> Self {
        let password = if server.auth == Auth::Empty { "" } else { OWNER_PASSWORD };
        server.create_user(OWNER, password);
        server.sql("", &format!("CREATE DATABASE {name}; GRANT ALL ON {name}.* TO '{OWNER}'@'%'"));
        Self { server, name: name.to_owned(), logged_from: Mutex::new(usize::MAX) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The login that owns it, and that a proxy uses.
    pub fn owner(&self) -> &'static str {
        OWNER
    }

    /// The owner's password.
    pub fn owner_password(&self) -> &'static str {
        if self.server.auth == Auth::Empty { "" } else { OWNER_PASSWORD }
    }

    /// Its server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Runs SQL as the superuser, directly; panics on an error.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> Reply {
        self.server.sql(&self.name, sql)
    }

    /// Runs SQL as the owner, directly; panics on an error. Several statements, also routines, may stand in it.
    #[track_caller]
    pub fn owner_sql(&self, sql: &str) -> Reply {
        let mut client =
            Client::connect(&self.as_owner().with(flags::MULTI_STATEMENTS)).expect("the owner may connect");
        let reply = client.query(sql);
        assert!(reply.errors.is_empty(), "`{sql}` failed: {:?}", reply.errors);
        reply
    }

    /// How the owner connects directly.
    pub fn as_owner(&self) -> Startup {
        let startup = Startup::new(self.server.port(), OWNER, self.owner_password(), &self.name);
        match &self.server.tls {
            Some(authority) => startup.over(crate::wire::mysql::Tls::Verified(authority.pem().to_owned())),
            None => startup,
        }
    }

    /// The one value that a query returns, directly.
    #[track_caller]
    pub fn value(&self, sql: &str) -> String {
        self.sql(sql).value()
    }

    /// Every statement that reaches the server from now on is logged.
    pub fn log_statements(&self) {
        let path = self.server.general_log();
        *self.logged_from.lock().expect("no panic under the lock") =
            fs::metadata(path).map_or(0, |it| it.len() as usize);
        self.server.sql("", "SET GLOBAL general_log = 1");
    }

    /// What the server itself logged since [`Database::log_statements`], by whom, with the commands that are no statements.
    pub fn log(&self) -> Vec<Logged> {
        let bytes = fs::read(self.server.general_log()).unwrap_or_default();
        let from = *self.logged_from.lock().expect("no panic under the lock");
        log::entries(bytes.get(from..).unwrap_or_default())
    }

    /// The statements that the server itself logged, byte for byte, but for the superuser's.
    pub fn statement_log(&self) -> Vec<String> {
        let statements = self.log().into_iter().filter(|entry| entry.is_statement() && entry.user != SUPERUSER);
        statements.map(|entry| entry.text).collect()
    }

    /// Whether a statement with this text in it runs now.
    pub fn is_running(&self, part: &str) -> bool {
        let running = self.sql("SHOW FULL PROCESSLIST");
        let at = running.columns.iter().position(|column| column.name == "Info").expect("the statement's text");
        running.rows.iter().any(|row| {
            let text = row[at].as_deref().unwrap_or_default();
            text.contains(part) && !text.contains("PROCESSLIST")
        })
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

/// A server out of the pool, emptied. One that cannot be emptied is of no use to anybody: what it has to say is printed,
/// and it ends.
fn pooled() -> Option<Server> {
    loop {
        let server = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        match clear(&server) {
            Ok(()) => return Some(server),
            Err(why) => {
                let state = if server.process().alive() { "runs on" } else { "has ended" };
                eprintln!("a pooled server cannot be emptied: {why}; it {state}, and its log is\n{}", server.output());
            }
        }
    }
}

/// Takes away what the scenario before left: sessions, databases, accounts, settings.
fn clear(server: &Server) -> Result<(), String> {
    let mut client =
        Client::connect(&server.superuser("")).map_err(|refused| format!("no connection: {:?}", refused.error))?;
    let own = client.connection().to_string();
    let others = asked(&mut client, "SHOW PROCESSLIST")?;
    for row in others.rows.iter().filter(|row| row[1].as_deref() != Some("event_scheduler")) {
        let id = row[0].clone().unwrap_or_default();
        if id != own && !row[1].as_deref().unwrap_or_default().starts_with("system") {
            // It may have ended by itself.
            client.query(&format!("KILL {id}"));
        }
    }
    asked(&mut client, "SET GLOBAL general_log = 0")?;
    let system = ["mysql", "sys", "information_schema", "performance_schema"];
    let databases = asked(&mut client, "SHOW DATABASES")?;
    for row in &databases.rows {
        let name = row[0].clone().unwrap_or_default();
        if !system.contains(&name.as_str()) {
            asked(&mut client, &format!("DROP DATABASE `{name}`"))?;
        }
    }
    let accounts = "SELECT User, Host FROM mysql.user WHERE User NOT IN ('root', 'mysql', 'mariadb.sys', 'PUBLIC') \
                    AND User NOT LIKE 'mysql.%'";
    for row in &asked(&mut client, accounts)?.rows {
        let [user, host] = [0, 1].map(|at| row[at].clone().unwrap_or_default());
        client.query(&format!("DROP USER '{user}'@'{host}'"));
        if host.is_empty() {
            asked(&mut client, &format!("DROP ROLE IF EXISTS '{user}'"))?;
        }
    }
    Ok(())
}

fn asked(client: &mut Client, sql: &str) -> Result<Reply, String> {
    let reply = client.query(sql);
    if reply.closed || !reply.errors.is_empty() {
        return Err(format!("`{sql}` got {reply:?}"));
    }
    Ok(reply)
}
