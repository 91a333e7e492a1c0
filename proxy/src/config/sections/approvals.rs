//! `[[approvals]]`: who approves what. Reads and checks; which rule counts for a request is the policy's affair.

use hallpass_policy::{
    approval::{Consequence, Rule, Source, VARIABLES},
    condition::{Condition, Variables},
};

use super::{names, party};
use crate::config::reader::{Node, Table};

/// All approval rules, in the file's order.
pub(super) fn approvals(root: &Table<'_>) -> Vec<Rule> {
    let Some(node) = root.get("approvals") else { return Vec::new() };
    node.tables().iter().map(rule).collect()
}

fn rule(table: &Table<'_>) -> Rule {
    let when = table.get("when").and_then(|node| condition(&node, &VARIABLES));
    let sources = [("role", Source::Role), ("statement", Source::Statement)];
    let source = table.get("source").and_then(|node| node.choice(&sources));
    let roles: Vec<_> = table.get("roles").map(|node| names(&node)).unwrap_or_default();
    let databases = table.get("databases").map(|node| names(&node)).unwrap_or_default();
    if source == Some(Source::Statement) && !roles.is_empty() {
        table.fault("a statement request names no role, so this rule never matches", "remove `roles` or `source`");
    }
    let then = consequence(table);
    table.finish();
    Rule { source, roles, databases, when, then }
}

fn consequence(table: &Table<'_>) -> Consequence {
    let approvers: Vec<_> =
        table.get("approvers").map(|node| node.list().iter().filter_map(party).collect()).unwrap_or_default();
    let needs_node = table.get("needs");
    let needs = needs_node.as_ref().and_then(|node| node.integer(1..=100)).and_then(|count| u32::try_from(count).ok());
    let flag = |key| table.get(key).and_then(|node: Node<'_>| node.flag()).unwrap_or(false);
    let asks = !approvers.is_empty() || needs_node.is_some();
    match (flag("auto"), flag("deny")) {
        (true, true) => table.fault("`auto = true` and `deny = true` contradict each other", "remove one or the other"),
        (true, false) if asks => {
            table
                .fault("`auto = true` asks nobody, so `approvers` and `needs` mean nothing", "remove one or the other");
        }
        (false, true) if asks => {
            table
                .fault("`deny = true` asks nobody, so `approvers` and `needs` mean nothing", "remove one or the other");
        }
        (true, false) => return Consequence::Auto,
        (false, true) => return Consequence::Deny,
        (false, false) => {}
    }
    Consequence::Approvers { approvers, needs: needs.unwrap_or(1) }
}

/// A condition over `variables`, checked.
pub(super) fn condition(node: &Node<'_>, variables: &Variables) -> Option<Condition> {
    match Condition::compile(node.text()?, variables) {
        Ok(condition) => Some(condition),
        Err(fault) => {
            node.fault_within(fault.at, fault.message, fault.mend);
            None
        }
    }
}
