//! A throwaway Postgres: initialised in a temporary folder, on a free port, under an account without rights, gone
//! with the test process. Never an already running server.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use crate::{
    process::{Keep, Kept, Output, argument, free_port, run, server_account, wait_for},
    tls::Authority,
    wire::postgres::{Client, Reply, Startup},
};

/// How clients other than the superuser `postgres` log in on TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Without a password.
    Trust,
    /// Cleartext password.
    Password,
    /// MD5.
    Md5,
    /// SCRAM-SHA-256.
    #[default]
    Scram,
}

impl Auth {
    fn method(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Password => "password",
            Self::Md5 => "md5",
            Self::Scram => "scram-sha-256",
        }
    }
}

/// What kind of server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How others than `postgres` log in.
    pub auth: Auth,
    /// Serve TLS with a certificate of this authority for `localhost` and 127.0.0.1, and refuse plain text.
    pub tls: Option<Authority>,
    /// More settings, `name=value`.
    pub settings: Vec<String>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    kept: Kept,
    folder: PathBuf,
    port: u16,
    bin: PathBuf,
}

/// Where the server programs are: `HALLPASS_PG_BIN`, Debian's Postgres 15, or what `pg_config` says.
pub fn bin() -> PathBuf {
    if let Some(path) = std::env::var_os("HALLPASS_PG_BIN") {
        return PathBuf::from(path);
    }
    let debian = PathBuf::from("/usr/lib/postgresql/15/bin");
    if debian.join("postgres").exists() {
        return debian;
    }
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    match told.filter(|path| path.join("postgres").exists()) {
        Some(path) => path,
        None => panic!("no Postgres server found: run tests/run, which installs one, or set HALLPASS_PG_BIN"),
    }
}

/// Programs that speak TLS: some builds do not. `HALLPASS_PG_TLS_BIN`, or the usual ones.
pub fn tls_bin() -> PathBuf {
    std::env::var_os("HALLPASS_PG_TLS_BIN").map_or_else(bin, PathBuf::from)
}

impl Server {
    /// One server for the whole test process: SCRAM, everything else default. Use a [`Server::database`] of your own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&Options::default()))
    }

    /// Starts one of its own.
    pub fn start(options: &Options) -> Self {
        let bin = if options.tls.is_some() { tls_bin() } else { bin() };
        let account = server_account();
        let folder = tempfile::Builder::new().prefix("hallpass-pg-").tempdir().expect("a temporary folder").keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("our own folder");
        if let Some(account) = account {
            chown(&folder, Some(account.uid), Some(account.gid)).expect("root may chown");
        }
        let data = folder.join("data");
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args(["-U", "postgres", "-E", "UTF8", "--locale=C", "-A", "trust", "-N", "-D"]).arg(&data);
        if let Some(account) = account {
            std::os::unix::process::CommandExt::gid(&mut initdb, account.gid);
            std::os::unix::process::CommandExt::uid(&mut initdb, account.uid);
        }
        let output = run(initdb.current_dir("/"), "");
        assert_eq!(output.code, 0, "initdb failed (is its folder readable for everybody?): {}", output.stderr);
        write_access_rules(&data, options);
        let port = free_port();
        let kept = Kept::start(Keep {
            command: arguments(&bin, &data, port, options),
            log: &folder.join("output.log"),
            signal: "INT",
            remove: Some(&folder),
            account,
            environment: Vec::new(),
        });
        let server = Self { kept, folder, port, bin };
        let log = server.folder.join("output.log");
        wait_for("Postgres is ready", Duration::from_secs(30), || {
            assert!(server.kept.alive(), "Postgres ended: {}", fs::read_to_string(&log).unwrap_or_default());
            Client::connect(&server.superuser("postgres")).ok()
        });
        server
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn process(&self) -> &Kept {
        &self.kept
    }

    /// Folder of psql and pgbench that belong to the server.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The major version.
    pub fn major(&self) -> u32 {
        let text = self.sql("postgres", "SHOW server_version_num");
        text.rows.first().and_then(|row| row[0].clone()).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0) / 10000
    }

    /// How the superuser `postgres` connects.
    pub fn superuser(&self, database: &str) -> Startup {
        Startup::new(self.port, "postgres", "", database)
    }

    /// Runs SQL as the superuser; panics on an error.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> Reply {
        let mut client = Client::connect(&self.superuser(database)).expect("the superuser may connect");
        let reply = client.query(sql);
        assert!(reply.errors.is_empty(), "`{sql}` failed: {:?}", reply.errors);
        reply
    }

    /// A new, empty database with a login of its own, and its owner.
    pub fn database(&'static self, name: &str) -> Database {
        Database::create(self, name)
    }

    /// The log with all that was logged before: the server's collector writes it in its order, but when it likes.
    fn written_log(&self) -> String {
        static MARKS: AtomicU32 = AtomicU32::new(0);
        let path = self.folder.join("data/log/server.json");
        let read = || fs::read_to_string(&path).unwrap_or_default();
        // A server that is down has written everything.
        let Ok(mut client) = Client::connect(&self.superuser("postgres")) else { return read() };
        let mark = format!("log read {}", MARKS.fetch_add(1, Ordering::Relaxed));
        client.query(&format!("DO $$ BEGIN RAISE LOG '{mark}.'; END $$"));
        wait_for("the log", Duration::from_secs(30), || {
            let text = read();
            text.contains(&format!("{mark}.")).then_some(text)
        })
    }

    /// The statement log since the start: messages of `log_statement`, exactly as they were (JSON log).
    pub fn statement_log(&self, database: &str) -> Vec<String> {
        let text = self.written_log();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .filter(|line| line["dbname"] == database)
            .filter_map(|line| Some(line["message"].as_str()?.to_owned()))
            .filter_map(|message| logged_statement(&message))
            .collect()
    }

    /// What the server wrote to its standard output and error.
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.join("output.log")).unwrap_or_default()
    }
}

/// `statement: …` and `execute NAME: …`, without the prefix.
fn logged_statement(message: &str) -> Option<String> {
    if let Some(text) = message.strip_prefix("statement: ") {
        return Some(text.to_owned());
    }
    let (_, text) = message.strip_prefix("execute ")?.split_once(": ")?;
    Some(text.to_owned())
}

fn write_access_rules(data: &Path, options: &Options) {
    let kind = if options.tls.is_some() { "hostssl" } else { "host" };
    let method = options.auth.method();
    let rules = format!(
        "host all postgres 127.0.0.1/32 trust\n{kind} all all 127.0.0.1/32 {method}\n\
         host replication all 127.0.0.1/32 trust\n"
    );
    fs::write(data.join("pg_hba.conf"), rules).expect("the data folder is ours");
    if let Some(authority) = &options.tls {
        let identity = authority.server(&["localhost", "127.0.0.1"]);
        fs::write(data.join("server.crt"), identity.certificate_pem).expect("the data folder is ours");
        let key = data.join("server.key");
        fs::write(&key, identity.key_pem).expect("the data folder is ours");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("our own file");
        if let Some(account) = server_account() {
            chown(&key, Some(account.uid), Some(account.gid)).expect("root may chown");
        }
    }
}

fn arguments(bin: &Path, data: &Path, port: u16, options: &Options) -> Vec<std::ffi::OsString> {
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        "fsync=off".to_owned(),
        "full_page_writes=off".to_owned(),
        "max_connections=300".to_owned(),
        "max_wal_senders=8".to_owned(),
        "wal_level=logical".to_owned(),
        "max_prepared_transactions=10".to_owned(),
        "shared_preload_libraries=pg_stat_statements".to_owned(),
        "timezone=UTC".to_owned(),
        "logging_collector=on".to_owned(),
        "log_destination=jsonlog".to_owned(),
        "log_filename=server.log".to_owned(),
        "log_rotation_age=0".to_owned(),
    ];
    settings.push(format!("password_encryption={}", if options.auth == Auth::Md5 { "md5" } else { "scram-sha-256" }));
    if options.tls.is_some() {
        settings.push("ssl=on".to_owned());
    }
    settings.extend(options.settings.iter().cloned());
    let mut command = vec![argument(bin.join("postgres")), argument("-D"), argument(data)];
    command.extend(settings.iter().flat_map(|setting| [argument("-c"), argument(setting)]));
    command
}

/// A database of one scenario, with the login `NAME_app` (password `app-secret`) that owns it.
#[derive(Debug)]
pub struct Database {
    server: &'static Server,
    name: String,
}

/// Password of every database's owner.
pub const OWNER_PASSWORD: &str = "app-secret";

impl Database {
    fn create(server: &'static Server, name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{name}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server.sql("postgres", &format!("CREATE ROLE {name}_app LOGIN PASSWORD '{OWNER_PASSWORD}'"));
        server.sql("postgres", &format!("CREATE DATABASE {name} OWNER {name}_app"));
        Self { server, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The login that owns it, and that a proxy uses.
    pub fn owner(&self) -> String {
        format!("{}_app", self.name)
    }

    /// Its server.
    pub fn server(&self) -> &'static Server {
        self.server
    }

    /// Runs SQL as the superuser, directly; panics on an error.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> Reply {
        self.server.sql(&self.name, sql)
    }

    /// Runs SQL as the owner, directly, so that the owner owns what it makes; panics on an error.
    #[track_caller]
    pub fn owner_sql(&self, sql: &str) -> Reply {
        let mut client = Client::connect(&self.as_owner()).expect("the owner may connect");
        let reply = client.query(sql);
        assert!(reply.errors.is_empty(), "`{sql}` failed: {:?}", reply.errors);
        reply
    }

    /// How the owner connects directly.
    pub fn as_owner(&self) -> Startup {
        Startup::new(self.server.port, &self.owner(), OWNER_PASSWORD, &self.name)
    }

    /// The one value that a query returns, directly.
    #[track_caller]
    pub fn value(&self, sql: &str) -> String {
        self.sql(sql).value()
    }

    /// Every statement that reaches the database from now on is logged.
    pub fn log_statements(&self) {
        self.server.sql("postgres", &format!("ALTER DATABASE {} SET log_statement = 'all'", self.name));
    }

    /// The statements that the database itself logged, byte for byte.
    pub fn statement_log(&self) -> Vec<String> {
        self.server.statement_log(&self.name)
    }

    /// psql as the owner, directly.
    pub fn psql(&self, arguments: &[&str], input: &str) -> Output {
        crate::psql::Psql::new(&self.as_owner()).run(arguments, input)
    }
}
