//! Which server: MariaDB as Debian installs it, or Oracle's MySQL as `tests/mysql-from-sid` unpacks it. Finds the programs
//! and says what to do when they are not there.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::process::{Account, argument, checkout, run};

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// MariaDB.
    MariaDb,
    /// Oracle's MySQL.
    MySql,
}

impl Flavour {
    /// The one this test process uses: `HALLPASS_MYSQL_SERVER`, `mariadb` (default) or `mysql`.
    pub fn chosen() -> Self {
        match std::env::var("HALLPASS_MYSQL_SERVER").as_deref() {
            Err(_) | Ok("" | "mariadb") => Self::MariaDb,
            Ok("mysql") => Self::MySql,
            Ok(other) => panic!("HALLPASS_MYSQL_SERVER is `{other}`; `mariadb` or `mysql` is meant"),
        }
    }

    /// Its label in the corpus' `servers`.
    pub fn label(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }

    /// The server's command line up to its own settings.
    pub fn command(self) -> Vec<OsString> {
        match self {
            Self::MariaDb => vec![argument(mariadb("mariadbd")), argument("--no-defaults")],
            Self::MySql => mysql(),
        }
    }

    /// Makes `folder`/data.
    pub(super) fn initialise(self, folder: &Path, account: Option<Account>) {
        // A server that starts removes what looks like leftovers in its folder for temporary files: never share one.
        let temporary = format!("--tmpdir={}", folder.join("tmp").display());
        let data = format!("--datadir={}", folder.join("data").display());
        let words: Vec<OsString> = match self {
            Self::MariaDb => {
                let fixed = [
                    "--no-defaults",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    "--skip-name-resolve",
                ];
                let program = std::iter::once(argument(mariadb("mariadb-install-db")));
                program
                    .chain(fixed.map(argument))
                    .chain(["--innodb-log-file-size=8M", "--innodb-use-native-aio=0", &temporary, &data].map(argument))
                    .collect()
            }
            Self::MySql => {
                let more = ["--initialize-insecure", "--skip-log-bin", "--innodb-redo-log-capacity=8M"];
                mysql().into_iter().chain(more.map(argument)).chain([argument(temporary), argument(data)]).collect()
            }
        };
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir("/");
        if let Some(account) = account {
            command.gid(account.gid).uid(account.uid);
        }
        let output = run(&mut command, "");
        assert_eq!(output.code, 0, "no data folder: {}\n{}", output.stdout, output.stderr);
    }
}

/// A program of MariaDB: in `HALLPASS_MARIADB_BIN`, or where Debian puts it.
pub fn mariadb(name: &str) -> PathBuf {
    let told = std::env::var_os("HALLPASS_MARIADB_BIN").map(PathBuf::from);
    let usual = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from);
    let found = told.into_iter().chain(usual).map(|folder| folder.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no {name} found: run tests/run, which installs it, or set HALLPASS_MARIADB_BIN"))
}

/// mysqld with the loader and the libraries that came with it: in `HALLPASS_MYSQL_ROOT`, or in the checkout's cache.
fn mysql() -> Vec<OsString> {
    let root =
        std::env::var_os("HALLPASS_MYSQL_ROOT").map_or_else(|| checkout().join(".cache/mysql/root"), PathBuf::from);
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let server = root.join("usr/sbin/mysqld");
    assert!(server.exists(), "no mysqld at {}: run tests/run, which fetches it", server.display());
    let setting = |name: &str, path: &str| argument(format!("--{name}={}", root.join(path).display()));
    vec![
        argument(libraries.join("ld-linux-x86-64.so.2")),
        argument("--library-path"),
        argument(format!("{}:{}", libraries.display(), root.join("usr/lib/mysql/private").display())),
        argument(server),
        argument("--no-defaults"),
        setting("basedir", "usr"),
        setting("plugin-dir", "usr/lib/mysql/plugin"),
        setting("lc-messages-dir", "usr/share/mysql"),
        setting("character-sets-dir", "usr/share/mysql/charsets"),
    ]
}
