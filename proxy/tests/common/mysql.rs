//! A throwaway MariaDB or MySQL server: MariaDB as it is installed, MySQL as `tests/run` unpacks it.

use std::{
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hallpass::{
    config::{Protocol, Secret, Target, UpstreamTls},
    session::upstream::mysql::Connection,
    wire::mysql::{
        backend::ErrPacket,
        codec::{MAX_MESSAGE, Order, Sequence, message},
        encode,
        reader::{Reply, Request, ResultReader},
    },
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Identity, free_port, give_away_to, is_root};

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    MariaDb,
    MySql,
}

/// A server in a temp folder; stopped when dropped. Its superuser is `root` without a password, on the Unix socket.
pub(crate) struct Server {
    server: Child,
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start(kind: Kind, options: &[&str], identity: Option<&Identity>) -> Self {
        let folder = TempDir::new().unwrap();
        let temporary = folder.path().join("tmp");
        fs::create_dir(&temporary).unwrap();
        for folder in [folder.path(), &temporary] {
            give_away_to("mysql", folder);
        }
        initialise(kind, folder.path());
        let port = free_port();
        let mut words = program(kind);
        let path = |name: &str| folder.path().join(name).display().to_string();
        words.extend(
            [
                format!("--datadir={}", path("data")),
                format!("--tmpdir={}", temporary.display()),
                format!("--socket={}", path("mysqld.sock")),
                format!("--pid-file={}", path("pid")),
                format!("--port={port}"),
                "--bind-address=127.0.0.1".to_owned(),
                "--skip-log-bin".to_owned(),
                "--innodb-flush-log-at-trx-commit=0".to_owned(),
            ]
            .map(OsString::from),
        );
        words.extend(
            match kind {
                Kind::MariaDb => ["--plugin-load-add=auth_ed25519", "--innodb-use-native-aio=0"],
                Kind::MySql => ["--mysqlx=OFF", "--secure-file-priv="],
            }
            .map(OsString::from),
        );
        if let Some(identity) = identity {
            for (from, to) in [(&identity.certificate, "server.crt"), (&identity.key, "server.key")] {
                fs::copy(from, folder.path().join(to)).unwrap();
                give_away_to("mysql", &folder.path().join(to));
            }
            words.push(format!("--ssl-cert={}", path("server.crt")).into());
            words.push(format!("--ssl-key={}", path("server.key")).into());
        }
        words.extend(options.iter().map(OsString::from));
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = command(&words);
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the server starts");
        let this = Self { server, folder, port };
        let end = Instant::now() + Duration::from_secs(60);
        while !this.client("SELECT 1").0 {
            let log = || fs::read_to_string(this.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "the server does not start: {}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
        this
    }

    fn client(&self, sql: &str) -> (bool, String) {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "-uroot", "--batch", "--skip-column-names", "--default-character-set=utf8mb4"]);
        // The whole text is one command: routines hold semicolons.
        command.args(["--comments", "--delimiter=$$"]).arg("-S").arg(self.folder.path().join("mysqld.sock"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("mariadb runs");
        // One that cannot connect reads nothing; its status says so.
        let _ = child.stdin.take().unwrap().write_all(sql.as_bytes());
        let done = child.wait_with_output().unwrap();
        let text = if done.status.success() { done.stdout } else { done.stderr };
        (done.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs SQL as superuser, several statements too; what it printed.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let (done, text) = self.client(sql);
        assert!(done, "{}: {text}", &sql[..sql.len().min(200)]);
        text
    }

    /// How the proxy would reach it.
    pub(crate) fn target(&self, user: &str, password: Option<&str>, tls: UpstreamTls) -> Target {
        Target {
            name: "shop".into(),
            protocol: Protocol::Mysql,
            host: "localhost".into(),
            port: self.port,
            database: "shop".into(),
            user: user.into(),
            password: password.map(|password| Secret::new(password.into())),
            tls,
            labels: Default::default(),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}

fn initialise(kind: Kind, folder: &Path) {
    let data = format!("--datadir={}", folder.join("data").display());
    let mut words = match kind {
        Kind::MariaDb => {
            let fixed = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal"];
            let more = ["--skip-test-db", "--skip-name-resolve", "--innodb-use-native-aio=0"];
            fixed.into_iter().chain(more).map(OsString::from).collect()
        }
        Kind::MySql => [program(kind), vec!["--initialize-insecure".into(), "--skip-log-bin".into()]].concat(),
    };
    words.push(data.into());
    // A MariaDB that starts removes the temporary tables of every other server in its folder for them.
    words.push(format!("--tmpdir={}", folder.join("tmp").display()).into());
    let made = command(&words).output().expect("the server's programs run");
    assert!(made.status.success(), "no data folder: {}", String::from_utf8_lossy(&made.stderr));
}

fn command(words: &[OsString]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir("/");
    if is_root() {
        command.arg("--user=mysql");
    }
    command
}

/// The server's command line up to its own settings. MySQL's is in `HALLPASS_MYSQL_ROOT`, or in the checkout's cache,
/// with the loader and the libraries that came with it.
fn program(kind: Kind) -> Vec<OsString> {
    if kind == Kind::MariaDb {
        return vec!["/usr/sbin/mariadbd".into(), "--no-defaults".into()];
    }
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/mysql/root");
    let root = std::env::var_os("HALLPASS_MYSQL_ROOT").map_or(cache, PathBuf::from);
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let server = root.join("usr/sbin/mysqld");
    assert!(server.exists(), "no mysqld at {}: run tests/run, which fetches it", server.display());
    let setting = |name: &str, path: &str| OsString::from(format!("--{name}={}", root.join(path).display()));
    vec![
        libraries.join("ld-linux-x86-64.so.2").into(),
        "--library-path".into(),
        format!("{}:{}", libraries.display(), root.join("usr/lib/mysql/private").display()).into(),
        server.into(),
        "--no-defaults".into(),
        setting("basedir", "usr"),
        setting("plugin-dir", "usr/lib/mysql/plugin"),
        setting("lc-messages-dir", "usr/share/mysql"),
        setting("character-sets-dir", "usr/share/mysql/charsets"),
    ]
}

/// Sends a query; gives the first column of its last row, or its error number, once the answer is whole.
pub(crate) async fn ask(connection: &mut Connection, sql: &str) -> String {
    match answer(connection, sql).await {
        Ok(row) => row,
        Err((code, _)) => code.to_string(),
    }
}

/// Sends a query; gives the first column of its last row, or its error's number and message, once the answer is whole.
pub(crate) async fn answer(connection: &mut Connection, sql: &str) -> Result<String, (u16, String)> {
    let (mut out, mut sequence) = (Vec::new(), Sequence::start(Order::Checked));
    encode::query(&mut out, &mut sequence, sql.as_bytes(), connection.capabilities);
    connection.stream.write_all(&out).await.unwrap();
    connection.stream.flush().await.unwrap();
    let mut reader = ResultReader::new(Request::Query, connection.capabilities);
    let (mut input, mut answer) = (std::mem::take(&mut connection.leftover), Ok(String::new()));
    loop {
        while let Some(found) = message(&input, &mut sequence, MAX_MESSAGE).unwrap() {
            match reader.read(&found.payload).unwrap().0 {
                Reply::Row(_) => answer = Ok(String::from_utf8(found.payload[1..].to_vec()).unwrap()),
                Reply::Err(ErrPacket { code, message, .. }) => {
                    answer = Err((code, String::from_utf8_lossy(message).into_owned()));
                }
                _ => {}
            }
            let length = found.raw.len();
            input.drain(..length);
        }
        if reader.is_done() {
            return answer;
        }
        assert_ne!(connection.stream.read_buf(&mut input).await.unwrap(), 0, "the server hung up");
    }
}
