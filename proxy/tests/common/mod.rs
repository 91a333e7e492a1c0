//! What these tests share: certificates made on the spot, and throwaway servers.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

pub(crate) mod mysql;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// A certificate authority in a folder of its own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Authorities of one name and different keys confuse OpenSSL.
        params.distinguished_name.push(DnType::CommonName, format!("authority of {}", folder.path().display()));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for `host`, whose subject is `name`.
    pub(crate) fn issue(&self, host: &str, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |kind: &str| self.folder.path().join(format!("{name}.{kind}"));
        fs::write(file("crt"), certificate.pem()).unwrap();
        fs::write(file("key"), key.serialize_pem()).unwrap();
        fs::set_permissions(file("key"), fs::Permissions::from_mode(0o600)).unwrap();
        Identity { certificate: file("crt"), key: file("key") }
    }
}

/// A free port on loopback, as far as one can know.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A Postgres server in a temp folder; stopped when dropped.
pub(crate) struct Postgres {
    server: Child,
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
}

impl Postgres {
    /// Starts a server with these lines of `pg_hba.conf` and with TLS if `identity` is given.
    /// Its superuser is `postgres`, who is trusted on the Unix socket in `folder`.
    pub(crate) fn start(hba: &str, identity: Option<&Identity>) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        give_away(folder.path());
        let made = server_command("initdb")
            .args(["-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D"])
            .arg(&data)
            .output();
        let made = made.expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        fs::write(data.join("pg_hba.conf"), format!("local all postgres trust\n{hba}\n")).unwrap();
        let port = free_port();
        let mut command = server_command("postgres");
        command.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-p", &port.to_string(), "-F"]);
        command.args(["-c", "listen_addresses=localhost", "-c", "max_connections=30"]);
        if let Some(identity) = identity {
            for (from, to) in [(&identity.certificate, "server.crt"), (&identity.key, "server.key")] {
                fs::copy(from, data.join(to)).unwrap();
                give_away(&data.join(to));
            }
            command.args(["-c", "ssl=on"]);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let server = command.stdout(Stdio::null()).stderr(log).spawn().expect("postgres starts");
        let this = Self { server, folder, port };
        this.wait();
        this
    }

    fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.psql("SELECT 1").status.success() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "postgres does not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn psql(&self, sql: &str) -> std::process::Output {
        let mut command = Command::new("psql");
        command.arg("-h").arg(self.folder.path()).args(["-p", &self.port.to_string()]);
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-c", sql]);
        command.output().expect("psql runs")
    }

    /// Runs SQL as superuser.
    pub(crate) fn sql(&self, sql: &str) {
        let done = self.psql(sql);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is Postgres' fast shutdown; the child itself is waited for.
        let _ = Command::new("kill").args(["-INT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}

/// A program of the newest installed Postgres, as the user `postgres` when we are root (it refuses root).
fn server_command(program: &str) -> Command {
    let path = bin_folder().join(program);
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path).current_dir("/");
    command
}

fn bin_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("HALLPASS_PG_BIN") {
        return folder.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").expect("a Postgres server is installed");
    let newest = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).max();
    Path::new("/usr/lib/postgresql").join(newest.expect("a Postgres version").to_string()).join("bin")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout == b"0\n"
}

/// Makes `postgres` the owner, when we are root.
fn give_away(path: &Path) {
    give_away_to("postgres", path);
}

/// Makes `user` the owner, when we are root.
fn give_away_to(user: &str, path: &Path) {
    if !is_root() {
        return;
    }
    let number = |flag| {
        let id = Command::new("id").args([flag, user]).output().expect("id runs");
        String::from_utf8(id.stdout).unwrap().trim().parse::<u32>().expect("a user of that name")
    };
    chown(path, Some(number("-u")), Some(number("-g"))).unwrap();
}
