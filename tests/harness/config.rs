//! Writes a `proxy.toml` for one test: targets, roles and masks as text, ports and folders filled in.

use std::{fmt::Write as _, path::Path};

use crate::{
    mysql,
    postgres::{self, OWNER_PASSWORD},
};

/// A target of the proxy.
#[derive(Clone, Debug)]
pub struct Target {
    /// `[databases.NAME]`.
    pub name: String,
    /// `postgres` or `mysql`.
    pub protocol: &'static str,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// The database's own name.
    pub database: String,
    /// The login of the proxy.
    pub user: String,
    /// Its password.
    pub password: String,
    /// More lines: `tls = …`.
    pub more: String,
}

impl Target {
    /// A scenario's database under the name `name`, as its owner.
    pub fn new(name: &str, database: &postgres::Database) -> Self {
        Self {
            name: name.to_owned(),
            protocol: "postgres",
            port: database.server().port(),
            database: database.name().to_owned(),
            user: database.owner(),
            password: OWNER_PASSWORD.to_owned(),
            more: String::new(),
        }
    }

    /// The same for a scenario's MariaDB or MySQL.
    pub fn mysql(name: &str, database: &mysql::Database) -> Self {
        Self {
            name: name.to_owned(),
            protocol: "mysql",
            port: database.server().port(),
            database: database.name().to_owned(),
            user: database.owner().to_owned(),
            password: database.owner_password().to_owned(),
            more: String::new(),
        }
    }

    /// The environment variable that holds the password.
    pub fn secret_variable(&self) -> String {
        format!("HALLPASS_TEST_{}", self.name.to_uppercase())
    }
}

/// A configuration in the making.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lines of `[server]` beside the data folder.
    pub server: String,
    /// Lines of `[audit]`.
    pub audit: String,
    /// Lines of each listener beside name, protocol, address and database.
    pub listener: String,
    /// Targets.
    pub targets: Vec<Target>,
    /// Everything else: roles, masks, approvals, review.
    pub rules: String,
}

impl Settings {
    /// These targets and rules, everything else default. Approvals: `security` approves.
    pub fn new(targets: Vec<Target>, rules: &str) -> Self {
        Self {
            server: String::new(),
            audit: String::new(),
            listener: "tls = { mode = \"off\" }".to_owned(),
            targets,
            rules: rules.to_owned(),
        }
    }

    /// How many listeners: one for Postgres, where clients name the target, and one for each MySQL target.
    pub fn listeners(&self) -> usize {
        let mysql = self.targets.iter().filter(|target| target.protocol == "mysql").count();
        mysql + usize::from(self.targets.len() > mysql || self.targets.is_empty())
    }

    /// The file's text; the listeners' ports are those of the targets in order, Postgres' targets sharing the first.
    pub fn text(&self, data: &Path, ports: &[u16]) -> String {
        let data = data.display();
        let mut text = format!("[server]\ndata_dir = \"{data}\"\n{}\n\n", self.server);
        if !self.audit.is_empty() {
            let _ = write!(text, "[audit]\n{}\n\n", self.audit);
        }
        let mysql = self.targets.iter().filter(|target| target.protocol == "mysql");
        let names: Vec<_> = mysql.map(|target| format!("database = \"{}\"\n", target.name)).collect();
        let postgres = self.listeners() > names.len();
        let listeners = postgres.then_some(("postgres", String::new())).into_iter();
        let listeners = listeners.chain(names.into_iter().map(|name| ("mysql", name)));
        for (at, ((protocol, database), port)) in listeners.zip(ports).enumerate() {
            let name = if at == 0 { protocol.to_owned() } else { format!("{protocol}_{at}") };
            let _ = write!(
                text,
                "[[listeners]]\nname = \"{name}\"\nprotocol = \"{protocol}\"\naddress = \"127.0.0.1:{port}\"\n{database}{}\n\n",
                self.listener
            );
        }
        for target in &self.targets {
            let Target { name, protocol, port, database, user, more, .. } = target;
            let variable = target.secret_variable();
            let tls = if more.contains("tls") { "" } else { "tls = { mode = \"disable\" }\n" };
            let _ = write!(
                text,
                "[databases.{name}]\nprotocol = \"{protocol}\"\nhost = \"127.0.0.1\"\nport = {port}\n\
                 database = \"{database}\"\nuser = \"{user}\"\npassword = {{ env = \"{variable}\" }}\n{tls}{more}\n\n"
            );
        }
        text.push_str(&self.rules);
        text.push('\n');
        text
    }
}
