//! A throwaway MariaDB or MySQL: initialised in a temporary folder, on a free port, under an account without rights, gone
//! with the test process. Never an already running server.

pub mod clients;
mod database;
mod log;
mod programs;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

pub use database::{Database, OWNER, OWNER_PASSWORD};
pub use log::{Logged, as_logged};
pub use programs::Flavour;

use crate::{
    process::{Account, Keep, Kept, argument, free_port, server_account, wait_for},
    tls::Authority,
    wire::mysql::{Client, Reply, Startup, flags},
};

/// How the owner of a database logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// What the server does by itself: native on MariaDB, caching_sha2 on MySQL.
    #[default]
    Usual,
    /// mysql_native_password; MySQL 9 has it no longer.
    Native,
    /// caching_sha2_password; MariaDB 10.11 does not have it.
    CachingSha2,
    /// MariaDB's ed25519.
    Ed25519,
    /// Without a password.
    Empty,
}

/// What kind of server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// MariaDB or MySQL; default: what `HALLPASS_MYSQL_SERVER` says.
    pub flavour: Option<Flavour>,
    /// How the owners of databases log in.
    pub auth: Auth,
    /// Serve TLS with a certificate of this authority for `localhost` and 127.0.0.1, and refuse plain text to owners.
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
    flavour: Flavour,
    auth: Auth,
    tls: Option<Authority>,
}

/// The superuser of every throwaway server; without a password.
pub const SUPERUSER: &str = "root";

/// MySQL's superuser comes by a Unix socket only.
const INIT: &str = "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';\n\
                    GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n";

impl Server {
    /// Starts one of its own. Most scenarios take a [`Database::new`], which shares servers.
    pub fn start(options: &Options) -> Self {
        let flavour = options.flavour.unwrap_or_else(Flavour::chosen);
        let account = server_account();
        let prefix = format!("hallpass-{}-", flavour.label());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir().expect("a temporary folder").keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("our own folder");
        hand_over(&folder, account);
        make_folder(&folder.join("tmp"), account);
        flavour.initialise(&folder, account);
        fs::write(folder.join("init.sql"), INIT).expect("the folder is ours");
        let port = free_port();
        let mut command = flavour.command();
        command.extend(arguments(&folder, port, flavour, options).into_iter().map(argument));
        let kept = Kept::start(Keep {
            command,
            log: &folder.join("output.log"),
            signal: "TERM",
            remove: Some(&folder),
            account,
            environment: Vec::new(),
        });
        let server = Self { kept, folder, port, flavour, auth: options.auth, tls: options.tls.clone() };
        wait_for("the server is ready", Duration::from_secs(60), || {
            assert!(server.kept.alive(), "{} ended: {}", flavour.label(), server.output());
            let told = Client::connect(&server.superuser(""));
            let refused = told.as_ref().err().and_then(|refused| refused.error.as_ref());
            assert!(refused.is_none(), "the superuser is refused: {refused:?}");
            // Ports are free when they are chosen, and another server may have come first: that one is not ours to empty.
            let folder = told.ok()?.query("SELECT @@datadir").ok().value();
            assert!(Path::new(&folder).starts_with(&server.folder), "port {port} leads to the server in {folder}");
            Some(())
        });
        if options.auth == Auth::Ed25519 {
            server.sql("", "INSTALL SONAME 'auth_ed25519'");
        }
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

    /// MariaDB or MySQL.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// How the superuser connects.
    pub fn superuser(&self, database: &str) -> Startup {
        Startup::new(self.port, SUPERUSER, "", database).with(flags::MULTI_STATEMENTS)
    }

    /// Runs SQL as the superuser, several statements if there are; panics on an error.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> Reply {
        let mut client = Client::connect(&self.superuser(database)).expect("the superuser may connect");
        let reply = client.query(sql);
        assert!(reply.errors.is_empty(), "`{sql}` failed: {:?}", reply.errors);
        reply
    }

    /// `VERSION()`.
    pub fn version(&self) -> String {
        self.sql("", "SELECT VERSION()").value()
    }

    /// What the server wrote to its standard output and error.
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.join("output.log")).unwrap_or_default()
    }

    fn general_log(&self) -> PathBuf {
        self.folder.join("general.log")
    }

    /// `CREATE USER` for a login of this server's kind.
    pub fn create_user(&self, name: &str, password: &str) {
        let quoted = format!("'{name}'@'%'");
        let identified = match self.auth {
            Auth::Usual => format!("IDENTIFIED BY '{password}'"),
            Auth::Native => match self.flavour {
                Flavour::MariaDb => format!("IDENTIFIED VIA mysql_native_password USING PASSWORD('{password}')"),
                Flavour::MySql => panic!("MySQL 9 has no mysql_native_password"),
            },
            Auth::CachingSha2 => match self.flavour {
                Flavour::MariaDb => panic!("MariaDB 10.11 has no caching_sha2_password"),
                Flavour::MySql => format!("IDENTIFIED WITH caching_sha2_password BY '{password}'"),
            },
            Auth::Ed25519 => match self.flavour {
                Flavour::MariaDb => format!("IDENTIFIED VIA ed25519 USING PASSWORD('{password}')"),
                Flavour::MySql => panic!("MySQL has no ed25519"),
            },
            Auth::Empty => "IDENTIFIED BY ''".to_owned(),
        };
        let require = if self.tls.is_some() { " REQUIRE SSL" } else { "" };
        self.sql("", &format!("CREATE USER {quoted} {identified}{require}"));
    }
}

fn make_folder(path: &Path, account: Option<Account>) {
    fs::create_dir(path).expect("the folder is ours");
    hand_over(path, account);
}

/// Makes the server's account the owner.
fn hand_over(path: &Path, account: Option<Account>) {
    if let Some(account) = account {
        chown(path, Some(account.uid), Some(account.gid)).expect("root may chown");
    }
}

fn arguments(folder: &Path, port: u16, flavour: Flavour, options: &Options) -> Vec<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut settings = vec![
        format!("datadir={}", path("data")),
        format!("tmpdir={}", path("tmp")),
        format!("socket={}", path("s.sock")),
        format!("pid-file={}", path("pid")),
        format!("port={port}"),
        "bind-address=127.0.0.1".to_owned(),
        "skip-name-resolve".to_owned(),
        "default-time-zone=+00:00".to_owned(),
        "secure-file-priv=".to_owned(),
        "local-infile=1".to_owned(),
        "max-connections=300".to_owned(),
        "max-allowed-packet=128M".to_owned(),
        "innodb-buffer-pool-size=32M".to_owned(),
        "innodb-flush-log-at-trx-commit=0".to_owned(),
        "sync-binlog=0".to_owned(),
        "innodb-doublewrite=0".to_owned(),
        "character-set-server=utf8mb4".to_owned(),
        format!("general-log-file={}", path("general.log")),
        format!("init-file={}", path("init.sql")),
        "innodb-use-native-aio=0".to_owned(),
        "log-output=FILE".to_owned(),
    ];
    match flavour {
        Flavour::MariaDb => settings.push("innodb-log-file-size=8M".to_owned()),
        Flavour::MySql => settings.extend(
            ["skip-log-bin", "mysqlx=OFF", "innodb-redo-log-capacity=8M", "log-raw=ON", "event-scheduler=OFF"]
                .map(str::to_owned),
        ),
    }
    if let Some(authority) = &options.tls {
        let identity = authority.server(&["localhost", "127.0.0.1"]);
        for (name, setting, pem) in [
            ("ca.pem", "ssl-ca", authority.pem()),
            ("server.pem", "ssl-cert", &identity.certificate_pem),
            ("server.key", "ssl-key", &identity.key_pem),
        ] {
            fs::write(folder.join(name), pem).expect("the folder is ours");
            hand_over(&folder.join(name), server_account());
            settings.push(format!("{setting}={}", path(name)));
        }
    }
    settings.iter().chain(&options.settings).map(|setting| format!("--{setting}")).collect()
}
