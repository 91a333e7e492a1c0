//! The real `hallpass` binary: its configuration in a temporary folder, the running server, and its own command line
//! for users, requests and grants. Nothing is called in-process; the contract is all this file knows.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    audit::Audit,
    config::Settings,
    process::{Keep, Kept, Output, argument, free_port, listens, run, wait_for},
    psql::Psql,
    wire::{
        mysql,
        postgres::{Client, Refused, Startup},
    },
};

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    folder: TempDir,
    ports: Vec<u16>,
    settings: Mutex<Settings>,
    kept: Mutex<Option<Kept>>,
}

/// Password of every user that [`Proxy::user`] makes.
pub const PASSWORD: &str = "correct horse";

/// The binary under test: `HALLPASS_BIN`, or the one beside this test's own folder.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HALLPASS_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("the test's own path");
    let built = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST").join("hallpass");
    assert!(built.exists(), "no hallpass binary at {}: run `cargo build -p hallpass`, or tests/run", built.display());
    built
}

impl Proxy {
    /// Writes the configuration and starts the proxy.
    pub fn start(settings: Settings) -> Self {
        let proxy = Self::prepare(settings);
        proxy.serve();
        proxy
    }

    /// Writes the configuration and starts nothing.
    pub fn prepare(settings: Settings) -> Self {
        let folder = tempfile::Builder::new().prefix("hallpass-proxy-").tempdir().expect("a temporary folder");
        let ports = (0..settings.listeners()).map(|_| free_port()).collect();
        let proxy = Self { folder, ports, settings: Mutex::new(settings), kept: Mutex::new(None) };
        proxy.write_config();
        proxy
    }

    fn write_config(&self) {
        let text = self.settings.lock().expect("no panic under the lock").text(&self.data(), &self.ports);
        // In one step: a running proxy would read half a file as half a configuration.
        let whole = self.path("proxy.toml.new");
        fs::write(&whole, text).and_then(|()| fs::rename(&whole, self.config())).expect("the folder is ours");
    }

    /// Changes the configuration file; a running proxy notices by itself or on SIGHUP.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.lock().expect("no panic under the lock"));
        self.write_config();
    }

    /// Path of `proxy.toml`.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("proxy.toml")
    }

    /// A file beside `proxy.toml`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The first listener's port: the Postgres one, or the one of the first MySQL target.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// The port where a target is found; an unknown one would be at the first.
    pub fn port_of(&self, target: &str) -> u16 {
        let settings = self.settings.lock().expect("no panic under the lock");
        let mysql = settings.targets.iter().filter(|target| target.protocol == "mysql");
        let postgres = settings.listeners() - mysql.clone().count();
        let at = mysql.map(|target| &target.name).position(|name| name == target);
        self.ports[at.map_or(0, |at| at + postgres)]
    }

    /// Starts `hallpass serve` and waits until it listens.
    pub fn serve(&self) {
        let kept = Kept::start(Keep {
            command: vec![argument(binary()), argument("serve"), argument("--config"), argument(self.config())],
            log: &self.log_path(),
            signal: "TERM",
            remove: None,
            account: None,
            environment: self.secrets(),
        });
        wait_for("hallpass serve listens", Duration::from_secs(20), || {
            assert!(kept.alive(), "hallpass serve ended: {}", self.log());
            (self.ports.iter().all(|port| listens(*port)) && self.data().join("api.sock").exists()).then_some(())
        });
        *self.kept.lock().expect("no panic under the lock") = Some(kept);
    }

    /// Stops it with SIGTERM and waits.
    pub fn stop(&self) {
        drop(self.kept.lock().expect("no panic under the lock").take());
    }

    /// Ends it without warning.
    pub fn kill_9(&self) {
        self.signal("KILL");
        self.stop();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        self.with_process(|kept| kept.signal(signal));
    }

    /// Its peak memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.with_process(Kept::peak_memory)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.with_process(Kept::pid)
    }

    /// Whether it runs.
    pub fn alive(&self) -> bool {
        self.with_process(Kept::alive)
    }

    fn with_process<T>(&self, use_it: impl FnOnce(&Kept) -> T) -> T {
        use_it(self.kept.lock().expect("no panic under the lock").as_ref().expect("the proxy was started"))
    }

    fn secrets(&self) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
        let settings = self.settings.lock().expect("no panic under the lock");
        settings.targets.iter().map(|target| (target.secret_variable().into(), argument(&target.password))).collect()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("serve.log")
    }

    /// Standard output and error of all its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Runs a `hallpass` command on this configuration.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_with_input(arguments, "")
    }

    /// A `hallpass` command on this configuration, to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env("HALLPASS_CONFIG", self.config()).envs(self.secrets());
        command.current_dir(self.folder.path());
        command
    }

    /// The same, with something on standard input.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> Output {
        run(&mut self.command(arguments), input)
    }

    /// Runs a command with `--json` and parses what it prints.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let text = self.cli(&arguments).ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?} printed no JSON: {error}: {text}"))
    }

    /// Adds a user with [`PASSWORD`], in these groups.
    #[track_caller]
    pub fn user(&self, name: &str, groups: &[&str]) {
        let groups = groups.iter().flat_map(|group| ["--group", group]);
        let arguments: Vec<&str> = ["user", "add", name, "--password-stdin"].into_iter().chain(groups).collect();
        self.cli_with_input(&arguments, &format!("{PASSWORD}\n")).ok();
    }

    /// A token of a user, for [`Proxy::cli_as`].
    #[track_caller]
    pub fn token(&self, user: &str) -> String {
        let made = self.json(&["user", "token", user]);
        made["token"].as_str().unwrap_or_else(|| panic!("no token in {made}")).to_owned()
    }

    /// Runs a `hallpass` command as the user whose token this is.
    pub fn cli_as(&self, token: &str, arguments: &[&str]) -> Output {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--token", token]).collect();
        self.cli(&arguments)
    }

    /// Asks for a role in somebody's name. Returns the request's id.
    #[track_caller]
    pub fn request(&self, user: &str, role: &str, database: &str, duration: &str) -> u64 {
        let asked = self.json(&[
            "request",
            "--user",
            user,
            "--role",
            role,
            "--database",
            database,
            "--for",
            duration,
            "--reason",
            "test",
        ]);
        id(&asked, &["request_id", "id"])
    }

    /// Asks for one statement in somebody's name. Returns the request's id.
    #[track_caller]
    pub fn request_statement(&self, user: &str, statement: &str, database: &str, more: &[&str]) -> u64 {
        self.try_request_statement(user, statement, database, more).unwrap_or_else(|told| panic!("{told:?}"))
    }

    /// The same, where a refusal is an answer.
    ///
    /// # Errors
    /// What the command said.
    pub fn try_request_statement(
        &self,
        user: &str,
        statement: &str,
        database: &str,
        more: &[&str],
    ) -> Result<u64, Output> {
        let fixed = ["request", "--json", "--user", user, "--statement", statement, "--database", database];
        let rest = ["--for", "1h", "--reason", "test"];
        let arguments: Vec<&str> = fixed.into_iter().chain(rest).chain(more.iter().copied()).collect();
        let told = self.cli(&arguments);
        if told.code != 0 {
            return Err(told);
        }
        let asked = serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("no JSON: {error}: {told:?}"));
        Ok(id(&asked, &["request_id", "id"]))
    }

    /// Approves a request. Returns the grant's id.
    #[track_caller]
    pub fn approve(&self, request: u64) -> u64 {
        let approved = self.json(&["approve", &request.to_string()]);
        id(&approved, &["grant_id", "grant", "id"])
    }

    /// Request and approval in one go. Returns the grant's id.
    #[track_caller]
    pub fn grant(&self, user: &str, role: &str, database: &str, duration: &str) -> u64 {
        self.approve(self.request(user, role, database, duration))
    }

    /// Revokes a grant.
    #[track_caller]
    pub fn revoke(&self, grant: u64) {
        self.cli(&["revoke", &grant.to_string(), "--reason", "test"]).ok();
    }

    /// How a user connects to a target.
    pub fn startup(&self, user: &str, database: &str) -> Startup {
        Startup::new(self.port(), user, PASSWORD, database)
    }

    /// How a user connects to a MySQL target.
    pub fn mysql_startup(&self, user: &str, target: &str) -> mysql::Startup {
        mysql::Startup::new(self.port_of(target), user, PASSWORD, target)
    }

    /// A connection of a user.
    #[track_caller]
    pub fn connect(&self, user: &str, database: &str) -> Client {
        self.try_connect(user, database).unwrap_or_else(|refused| panic!("{:?}; {}", refused.error, self.log()))
    }

    /// A connection of a user, if the proxy lets it in.
    ///
    /// # Errors
    /// What the proxy answered.
    pub fn try_connect(&self, user: &str, database: &str) -> Result<Client, Refused> {
        Client::connect(&self.startup(user, database))
    }

    /// psql of a user.
    pub fn psql(&self, user: &str, database: &str) -> Psql {
        Psql::new(&self.startup(user, database))
    }

    /// Its audit.db.
    pub fn audit(&self) -> Audit {
        Audit::new(&self.data().join("audit.db"))
    }
}

/// The first of these keys that holds a number, or an object with an `id`.
#[track_caller]
fn id(value: &Value, keys: &[&str]) -> u64 {
    let value = value.as_array().and_then(|list| list.first()).unwrap_or(value);
    let found = keys.iter().find_map(|key| value[*key].as_u64().or_else(|| value[*key]["id"].as_u64()));
    found.unwrap_or_else(|| panic!("no id in {value}"))
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("the proxy's log:\n{log}");
        } else {
            assert!(!log.contains("panicked at"), "the proxy panicked:\n{log}");
        }
    }
}

/// Runs a `hallpass` command outside any configuration of a test.
pub fn bare_cli(arguments: &[&str], folder: &Path) -> Output {
    run(Command::new(binary()).args(arguments).env_remove("HALLPASS_CONFIG").current_dir(folder), "")
}
