//! `[[approvals]]`: who approves what. First match wins; conditions come later and are refused until then.

use super::{names, party};
use crate::config::{Approval, Source, reader::Table};

/// All approval rules, in the file's order.
pub(super) fn approvals(root: &Table<'_>) -> Vec<Approval> {
    let Some(node) = root.get("approvals") else { return Vec::new() };
    node.tables().iter().map(approval).collect()
}

fn approval(table: &Table<'_>) -> Approval {
    if let Some(node) = table.get("when") {
        node.fault(
            "conditions are not supported yet",
            "remove it; `source`, `roles` and `databases` choose the requests a rule is for",
        );
    }
    let sources = [("role", Source::Role), ("statement", Source::Statement)];
    let source = table.get("source").and_then(|node| node.choice(&sources));
    let roles = table.get("roles").map(|node| names(&node)).unwrap_or_default();
    let databases = table.get("databases").map(|node| names(&node)).unwrap_or_default();
    let approvers: Vec<_> =
        table.get("approvers").map(|node| node.list().iter().filter_map(party).collect()).unwrap_or_default();
    let needs_node = table.get("needs");
    let needs = needs_node.as_ref().and_then(|node| node.integer(1..=100)).and_then(|count| u32::try_from(count).ok());
    let auto = table.get("auto").and_then(|node| node.flag()).unwrap_or(false);
    if auto && (!approvers.is_empty() || needs_node.is_some()) {
        table.fault("`auto = true` asks nobody, so `approvers` and `needs` mean nothing", "remove one or the other");
    }
    if source == Some(Source::Statement) && !roles.is_empty() {
        table.fault("a statement request names no role, so this rule never matches", "remove `roles` or `source`");
    }
    table.finish();
    Approval { source, roles, databases, approvers, needs: needs.unwrap_or(1), auto }
}
