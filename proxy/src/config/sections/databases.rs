//! `[databases.NAME]`: the targets.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use hallpass_policy::ids::TargetName;

use super::{check_name, listeners, secrets, server};
use crate::config::{
    Protocol, Target, UpstreamTls,
    reader::{Node, Table},
};

/// All targets.
pub(super) fn databases(root: &Table<'_>) -> BTreeMap<TargetName, Target> {
    let Some(table) = root.get("databases").and_then(|node| node.table()) else { return BTreeMap::new() };
    let mut all = BTreeMap::new();
    for (name, node) in table.named() {
        check_name(&node, name);
        if name == "hallpass" {
            node.fault("`hallpass` is the proxy's own schema", "give the target another name");
        }
        if let Some(target) = node.table().and_then(|table| target(name, &table)) {
            all.insert(target.name.clone(), target);
        }
    }
    all
}

fn target(name: &str, table: &Table<'_>) -> Option<Target> {
    let protocol = listeners::protocol(table);
    let host = table.required("host", "\"127.0.0.1\"").and_then(|node| filled(&node));
    let port = table
        .get("port")
        .map_or(protocol.map(default_port), |node| node.integer(1..=65_535).and_then(|port| u16::try_from(port).ok()));
    let database = table.get("database").map_or(Some(name.to_owned()), |node| filled(&node));
    let user = table.required("user", "\"hallpass\"").and_then(|node| filled(&node));
    let password = table.get("password").and_then(|node| secrets::secret(&node));
    let tls = match (table.get("tls"), &host) {
        (Some(node), _) => tls(&node, host.as_deref().unwrap_or_default()),
        (None, Some(host)) if local(host) => Some(UpstreamTls::Disable),
        (None, _) => Some(UpstreamTls::VerifyFull { ca: None }),
    };
    let connect_timeout =
        table.get("connect_timeout").map_or(Some(Duration::from_secs(10)), |node| server::positive(&node));
    let labels = table.get("labels").map(|node| labels(&node)).unwrap_or_default();
    table.finish();
    Some(Target {
        name: TargetName::new(name),
        protocol: protocol?,
        host: host?,
        port: port?,
        database: database?,
        user: user?,
        password,
        tls: tls?,
        labels,
        connect_timeout: connect_timeout?,
    })
}

fn default_port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Postgres => 5432,
        Protocol::Mysql => 3306,
    }
}

fn filled(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if text.is_empty() || text.contains('\0') {
        node.fault("is empty, or holds a NUL", "fill it in");
        return None;
    }
    Some(text.to_owned())
}

/// Whether the way to `host` never leaves this machine.
fn local(host: &str) -> bool {
    host.starts_with('/') || host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[derive(Clone, Copy)]
enum Mode {
    Disable,
    Require,
    VerifyFull,
}

fn tls(node: &Node<'_>, host: &str) -> Option<UpstreamTls> {
    let table = node.table()?;
    let modes = [("disable", Mode::Disable), ("require", Mode::Require), ("verify-full", Mode::VerifyFull)];
    let mode_node = table.required("mode", "\"verify-full\"");
    let mode = mode_node.as_ref().and_then(|node| node.choice(&modes));
    let ca: Option<PathBuf> = table.get("ca").and_then(|node| {
        if matches!(mode, Some(Mode::Disable | Mode::Require)) {
            node.fault("is not looked at in this mode", "write `mode = \"verify-full\"`, or remove `ca`");
        }
        secrets::roots(&node)
    });
    table.finish();
    if let (Some(node), Some(Mode::Disable | Mode::Require)) = (&mode_node, mode)
        && !local(host)
        && !host.is_empty()
    {
        node.warn("whoever sits on the way can read along or play the server", "write `mode = \"verify-full\"`");
    }
    Some(match mode? {
        Mode::Disable => UpstreamTls::Disable,
        Mode::Require => UpstreamTls::Require,
        Mode::VerifyFull => UpstreamTls::VerifyFull { ca },
    })
}

fn labels(node: &Node<'_>) -> BTreeMap<String, String> {
    let Some(table) = node.table() else { return BTreeMap::new() };
    let texts = table.named().into_iter().filter_map(|(name, node)| Some((name.to_owned(), node.text()?.to_owned())));
    texts.collect()
}
