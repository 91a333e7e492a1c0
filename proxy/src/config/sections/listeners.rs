//! `[[listeners]]` with their TLS and scope.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use hallpass_policy::ids::ListenerName;

use super::{check_name, names, scripts, secrets, server};
use crate::config::{
    Listener, ListenerTls, Protocol, Scope,
    reader::{Node, Table},
};

/// The wire protocols as they are written.
const PROTOCOLS: [(&str, Protocol); 2] = [("postgres", Protocol::Postgres), ("mysql", Protocol::Mysql)];

/// `protocol = "…"`.
pub(super) fn protocol(table: &Table<'_>) -> Option<Protocol> {
    table.required("protocol", "\"postgres\"")?.choice(&PROTOCOLS)
}

/// All listeners; without any, one for Postgres on 127.0.0.1:6432.
pub(super) fn listeners(root: &Table<'_>) -> Vec<Listener> {
    let Some(node) = root.get("listeners") else {
        return vec![Listener {
            name: ListenerName::new("postgres"),
            protocol: Protocol::Postgres,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 6432)),
            tls: ListenerTls::Off,
            database: None,
            scope: None,
        }];
    };
    let mut all: Vec<Listener> = Vec::new();
    for table in node.tables() {
        let Some(listener) = listener(&table) else { continue };
        if all.iter().any(|other| other.name == listener.name) {
            table.fault(format!("there are two listeners `{}`", listener.name), "give each a name of its own");
        }
        let taken = |other: &&Listener| other.address == listener.address && listener.address.port() != 0;
        if let Some(other) = all.iter().find(taken) {
            table.fault(
                format!("listener `{}` has the address {}, too", other.name, listener.address),
                "give each an address of its own",
            );
        }
        all.push(listener);
    }
    all
}

fn listener(table: &Table<'_>) -> Option<Listener> {
    let name = table.required("name", "\"postgres\"").and_then(|node| {
        let name = node.text()?;
        check_name(&node, name);
        Some(ListenerName::new(name))
    });
    let protocol = protocol(table);
    let node = table.required("address", "\"127.0.0.1:6432\"");
    let address = node.as_ref().and_then(server::address);
    let tls = table.get("tls").map_or(Some(ListenerTls::Off), |node| tls(&node));
    if let (Some(ListenerTls::Off), Some(address), Some(node)) = (&tls, address, &node)
        && !address.ip().is_loopback()
    {
        node.warn("logins and rows travel in plain text here", "add `tls = { mode = \"require\", … }`");
    }
    let database = table.get("database").and_then(|node| node.text()).map(Into::into);
    let scope = table.get("scope").and_then(|node| scope(&node, protocol));
    let is_fixed = database.is_some() || scope.as_ref().is_some_and(|scope| scope.database.is_some());
    if protocol == Some(Protocol::Mysql) && !is_fixed {
        table.fault(
            "names no target; a MySQL server greets its client before the client can name one",
            "add `database = \"NAME\"`, and a listener of its own for each other target",
        );
    }
    table.finish();
    Some(Listener { name: name?, protocol: protocol?, address: address?, tls: tls?, database, scope })
}

#[derive(Clone, Copy)]
enum Mode {
    Off,
    Prefer,
    Require,
}

fn tls(node: &Node<'_>) -> Option<ListenerTls> {
    let table = node.table()?;
    let modes = [("off", Mode::Off), ("prefer", Mode::Prefer), ("require", Mode::Require)];
    let mode = table.required("mode", "\"require\"").and_then(|node| node.choice(&modes));
    let tls = match mode? {
        Mode::Off => {
            // Known, so that switching TLS off for a while needs no other change.
            for key in ["certificate", "key", "client_ca"] {
                table.get(key);
            }
            Some(ListenerTls::Off)
        }
        Mode::Prefer => match secrets::identity(&table) {
            // Who comes in plain text shows no certificate, and everybody has to.
            Some(identity) if identity.client_ca.is_some() => {
                node.warn(
                    "`client_ca` asks everybody for a certificate, so nobody gets in without TLS",
                    "write `mode = \"require\"`, which is what it means",
                );
                Some(ListenerTls::Require(identity))
            }
            identity => identity.map(ListenerTls::Prefer),
        },
        Mode::Require => secrets::identity(&table).map(ListenerTls::Require),
    };
    table.finish();
    tls
}

fn scope(node: &Node<'_>, protocol: Option<Protocol>) -> Option<Scope> {
    let table = node.table()?;
    let scope = Scope {
        database: table.get("database").and_then(|node| node.text()).map(Into::into),
        roles: table.get("roles").map(|node| names(&node)),
        users: table.get("users").map(|node| names(&node)),
        statements: match (table.get("statements"), protocol) {
            (Some(node), Some(protocol)) => scripts::listed(&node, protocol).map(Arc::new),
            (_, _) => None,
        },
    };
    table.finish();
    Some(scope)
}
