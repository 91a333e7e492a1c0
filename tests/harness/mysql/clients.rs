//! Real MySQL clients, as tests/run installs them: the mariadb program, PyMySQL, mysql2 on Node, MariaDB's Connector/J, sysbench.
//! Each finds the login in `MYSQL_HOST`, `MYSQL_PORT`, `MYSQL_USER`, `MYSQL_PASSWORD`, `MYSQL_DATABASE`.

use std::{
    ffi::OsString,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    process::{Output, checkout, run},
    python,
    wire::mysql::Startup,
};

fn with_login(command: &mut Command, login: &Startup) {
    command.env("MYSQL_HOST", "127.0.0.1").env("MYSQL_PORT", login.port.to_string());
    command.env("MYSQL_USER", &login.user).env("MYSQL_PASSWORD", &login.password);
    command.env("MYSQL_DATABASE", &login.database).env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8");
}

/// The mariadb program, without anybody's my.cnf; arguments are to be added.
pub fn mariadb(login: &Startup) -> Command {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--default-character-set=utf8mb4"]);
    command.arg(format!("--port={}", login.port)).arg(format!("--user={}", login.user));
    command.arg(format!("--password={}", login.password)).arg(&login.database);
    with_login(&mut command, login);
    command
}

/// Runs the mariadb program with these arguments; input is what would be typed.
pub fn mariadb_run(login: &Startup, arguments: &[&str], input: &str) -> Output {
    run(mariadb(login).args(arguments), input)
}

/// Unadorned rows of one statement.
pub fn mariadb_sql(login: &Startup, sql: &str) -> Output {
    mariadb_run(login, &["--batch", "--skip-column-names", "--execute", sql], "")
}

/// Starts the mariadb program with its output piped, so that it can be interrupted by a signal.
pub fn mariadb_start(login: &Startup, sql: &str) -> std::process::Child {
    let mut command = mariadb(login);
    command.args(["--batch", "--execute", sql]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("mariadb does not start: {error}; see tests/run"))
}

/// Runs a Python script with PyMySQL at hand.
pub fn python(text: &str, login: &Startup) -> Output {
    let mut command = Command::new(python::interpreter());
    with_login(command.arg("-"), login);
    run(&mut command, text)
}

/// Runs a script of Node with mysql2 at hand.
pub fn node(text: &str, login: &Startup) -> Output {
    let modules = cached("HALLPASS_NODE_MODULES", "node/node_modules");
    let mut command = Command::new("node");
    with_login(command.arg("-").env("NODE_PATH", modules), login);
    run(&mut command, text)
}

/// Runs a Java program of one class `Main`, from its source, with Connector/J at hand.
pub fn java(source: &str, login: &Startup) -> Output {
    let jar = cached("HALLPASS_CONNECTOR_J", "connector-j/mariadb-java-client.jar");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("Main.java");
    fs::write(&file, source).expect("the folder is ours");
    let mut command = Command::new("java");
    with_login(command.arg("-cp").arg(jar).arg(file), login);
    run(&mut command, "")
}

/// Runs sysbench with these arguments on the login's database.
pub fn sysbench(login: &Startup, arguments: &[&str]) -> Output {
    let mut command = Command::new("sysbench");
    command.arg("--db-driver=mysql").arg("--mysql-host=127.0.0.1").arg(format!("--mysql-port={}", login.port));
    command.arg(format!("--mysql-user={}", login.user)).arg(format!("--mysql-password={}", login.password));
    command.arg(format!("--mysql-db={}", login.database)).args(arguments);
    run(&mut command, "")
}

/// What a variable says, or its place in the checkout's cache.
fn cached(variable: &str, place: &str) -> OsString {
    let own = checkout().join(".cache").join(place);
    let path = std::env::var_os(variable).map_or(own, PathBuf::from);
    assert!(path.exists(), "nothing at {}: run tests/run, which puts it there", path.display());
    path.into_os_string()
}
