//! What one section says about another: listeners and approvals name targets and roles that must exist.
//! Reads values a second time for their places; types were checked before.

use hallpass_policy::{approval::Rule, role::glob};

use crate::config::{
    Config, Target,
    reader::{Node, Table},
};

/// Every reference of the file.
pub(super) fn check(root: &Table<'_>, config: &Config) {
    if config.databases.is_empty()
        && let Some(node) = root.get("listeners")
    {
        node.warn("there is no target to connect to", "add `[databases.NAME]`");
    }
    for table in root.get("listeners").map(|node| node.tables()).unwrap_or_default() {
        listener(&table, config);
    }
    let rules = root.get("approvals").map(|node| node.tables()).unwrap_or_default();
    for (table, rule) in rules.iter().zip(&config.approvals) {
        labels(table, rule, config);
        for node in table.get("databases").map(|node| node.list()).unwrap_or_default() {
            target(&node, config);
        }
        for node in table.get("roles").map(|node| node.list()).unwrap_or_default() {
            role(&node, config);
        }
    }
    for table in root.get("masks").map(|node| node.tables()).unwrap_or_default() {
        for node in table.get("columns").map(|node| node.list()).unwrap_or_default() {
            mask(&node, config);
        }
    }
}

fn listener(table: &Table<'_>, config: &Config) {
    let name = table.get("name").and_then(|node| node.text());
    let found = config.listeners.iter().find(|listener| Some(listener.name.as_str()) == name);
    let scope = table.get("scope").and_then(|node| node.table());
    let scoped = scope.as_ref().and_then(|scope| scope.get("database"));
    let own = table.get("database");
    for node in [&own, &scoped].into_iter().flatten() {
        target(node, config);
        let target = node.text().and_then(|name| config.databases.get(name));
        if let (Some(target), Some(listener)) = (target, found)
            && target.protocol != listener.protocol
        {
            node.fault(
                format!(
                    "target `{}` speaks {}, this listener {}",
                    target.name,
                    target.protocol.as_str(),
                    listener.protocol.as_str()
                ),
                "name a target of the listener's protocol",
            );
        }
    }
    if let (Some(own), Some(scoped)) = (&own, &scoped)
        && own.text() != scoped.text()
    {
        scoped.fault("is another target than the listener's `database`", "name one target, once");
    }
    for node in scope.and_then(|scope| scope.get("roles")).map(|node| node.list()).unwrap_or_default() {
        role(&node, config);
    }
}

fn target(node: &Node<'_>, config: &Config) {
    if let Some(name) = node.text()
        && !config.databases.contains_key(name)
    {
        node.unknown("database", name, config.databases.keys().map(|name| name.as_str()));
    }
}

fn role(node: &Node<'_>, config: &Config) {
    if let Some(name) = node.text()
        && !config.policy.roles.contains_key(name)
    {
        node.unknown("role", name, config.policy.roles.keys().map(|name| name.as_str()));
    }
}

/// A condition that reads a label fails on a target without it, and everything asked for there is refused.
fn labels(table: &Table<'_>, rule: &Rule, config: &Config) {
    let (Some(node), Some(when)) = (table.get("when"), &rule.when) else { return };
    for key in when.required_keys() {
        let reached = |target: &&Target| rule.databases.is_empty() || rule.databases.contains(&target.name);
        let without = config.databases.values().filter(reached).filter(|target| !target.labels.contains_key(&**key));
        let names: Vec<_> = without.map(|target| format!("`{}`", target.name)).collect();
        if !names.is_empty() {
            node.warn(
                format!(
                    "{} has no label `{key}`: there the condition fails, and requests are refused",
                    names.join(", ")
                ),
                format!("add the label, or write `has(database.labels.{key}) && …`"),
            );
        }
    }
}

/// A mask that no target is under protects nothing: most likely a typing error.
fn mask(node: &Node<'_>, config: &Config) {
    if let Some((pattern, _)) = node.text().and_then(|text| text.split_once('/'))
        && !config.databases.is_empty()
        && !config.databases.keys().any(|name| glob(pattern, name.as_str()))
    {
        node.fault(
            format!("no target is called `{pattern}`, so this masks nothing"),
            "name a target of this file, or `*`",
        );
    }
}
