//! `[server]`, `[audit]`, `[api]`, `[admins]`, `[auditors]`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hallpass_audit::journal::Durability;
use hallpass_policy::role::Party;
use toml::de::DeTable;

use crate::config::{
    Audit, NativePasswords, Parameters, Server,
    reader::{Node, Source, Table},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// `[server]`.
pub(super) fn server(root: &Table<'_>) -> Server {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut server = Server {
        data_dir: default_data_dir(root.source()),
        remind_before: vec![Duration::from_secs(300), Duration::from_secs(60)],
        max_connections: 1000,
        threads: cores,
        login_timeout: Duration::from_secs(30),
        request_timeout: DAY,
        native_passwords: NativePasswords::Sealed,
    };
    let Some(table) = root.get("server").and_then(|node| node.table()) else { return server };
    if let Some(path) = table.get("data_dir").and_then(|node| node.text()) {
        server.data_dir = root.source().resolve(path);
    }
    if let Some(node) = table.get("remind_before") {
        server.remind_before = node.list().iter().filter_map(Node::duration).collect();
        // The session counts down from the longest.
        server.remind_before.sort_by(|a, b| b.cmp(a));
    }
    if let Some(count) = table.get("max_connections").and_then(|node| node.integer(1..=1_000_000)) {
        server.max_connections = usize::try_from(count).unwrap_or(usize::MAX);
    }
    if let Some(count) = table.get("threads").and_then(|node| node.integer(1..=1024)) {
        server.threads = usize::try_from(count).unwrap_or(1);
    }
    if let Some(time) = table.get("login_timeout").and_then(|node| positive(&node)) {
        server.login_timeout = time;
    }
    if let Some(time) = table.get("request_timeout").and_then(|node| positive(&node)) {
        server.request_timeout = time;
    }
    if let Some(kept) = table.get("mysql_native_password").and_then(|node| node.flag()) {
        server.native_passwords = if kept { NativePasswords::Sealed } else { NativePasswords::LeftOut };
    }
    if let Some(node) = table.get("allow_inline_secrets") {
        node.flag();
    }
    table.finish();
    server
}

/// `[server] data_dir` alone, if it is there.
pub(in crate::config) fn data_dir(root: &Table<'_>) -> Option<PathBuf> {
    let path = root.get("server")?.table()?.get("data_dir")?.text()?;
    Some(root.source().resolve(path))
}

/// Where the data is when the file does not say.
pub(in crate::config) fn default_data_dir(source: &Source<'_>) -> PathBuf {
    source.resolve("./hallpass-data")
}

/// `[server] allow_inline_secrets`, wanted before anything else is read. Its type is checked by [`server`].
pub(in crate::config) fn inline_secrets(root: &DeTable<'_>) -> bool {
    let table = root.get("server").and_then(|server| server.get_ref().as_table());
    table.and_then(|table| table.get("allow_inline_secrets")?.get_ref().as_bool()).unwrap_or(false)
}

/// `[audit]`.
pub(super) fn audit(root: &Table<'_>) -> Audit {
    let mut audit =
        Audit { durability: Durability::Process, parameters: Parameters::Record, retention: Some(DAY * 400) };
    let Some(table) = root.get("audit").and_then(|node| node.table()) else { return audit };
    let durabilities = [("process", Durability::Process), ("disk", Durability::Disk)];
    if let Some(durability) = table.get("durability").and_then(|node| node.choice(&durabilities)) {
        audit.durability = durability;
    }
    let parameters = [("record", Parameters::Record), ("redact", Parameters::Redact)];
    if let Some(parameters) = table.get("parameters").and_then(|node| node.choice(&parameters)) {
        audit.parameters = parameters;
    }
    if let Some(node) = table.get("retention") {
        node.warn("is read but has no effect yet: events are kept for good", "nothing has to be done");
        if node.is_text() && node.text() == Some("forever") {
            audit.retention = None;
        } else if let Some(time) = positive(&node) {
            audit.retention = Some(time);
        }
    }
    table.finish();
    audit
}

/// `[api]`.
pub(super) fn api(root: &Table<'_>) -> Option<SocketAddr> {
    let table = root.get("api")?.table()?;
    let address = table.get("address").and_then(|node| {
        let address = address(&node)?;
        if !address.ip().is_loopback() {
            node.warn(
                "the API speaks plain HTTP, and tokens travel on it",
                "listen on 127.0.0.1 and let a TLS proxy face the network",
            );
        }
        Some(address)
    });
    table.finish();
    address
}

/// `[admins]` and `[auditors]`: users and groups.
pub(super) fn parties(root: &Table<'_>, section: &'static str) -> Vec<Party> {
    let Some(table) = root.get(section).and_then(|node| node.table()) else { return Vec::new() };
    let users = table.get("users").map(|node| super::names(&node)).unwrap_or_default();
    let groups = table.get("groups").map(|node| super::names(&node)).unwrap_or_default();
    table.finish();
    users.into_iter().map(Party::User).chain(groups.into_iter().map(Party::Group)).collect()
}

/// An address to listen on.
pub(super) fn address(node: &Node<'_>) -> Option<SocketAddr> {
    let text = node.text()?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let mend = match text.strip_prefix("localhost:") {
            Some(port) => format!("write \"127.0.0.1:{port}\""),
            None => "write an IP address and a port: \"127.0.0.1:6432\", \"[::1]:6432\"".to_owned(),
        };
        node.fault(format!("`{text}` is no address"), mend);
    }
    parsed
}

/// A duration above zero.
pub(super) fn positive(node: &Node<'_>) -> Option<Duration> {
    let time = node.duration()?;
    if time.is_zero() {
        node.fault("must be longer than nothing", "remove it for the default");
        return None;
    }
    Some(time)
}
