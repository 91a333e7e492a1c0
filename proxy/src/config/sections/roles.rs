//! `[roles.NAME]` and `[baseline]`.

use std::collections::{BTreeMap, BTreeSet};

use hallpass_policy::{
    ids::{GroupName, RoleName},
    role::{BreakGlass, Limits, Role, TableGlob},
    statement::Action,
};

use super::{check_name, names, party, server};
use crate::config::reader::{Node, Table};

/// All roles.
pub(super) fn roles(root: &Table<'_>) -> BTreeMap<RoleName, Role> {
    let Some(table) = root.get("roles").and_then(|node| node.table()) else { return BTreeMap::new() };
    let mut all = BTreeMap::new();
    for (name, node) in table.named() {
        check_name(&node, name);
        if let Some(table) = node.table() {
            all.insert(RoleName::new(name), role(name, &table));
        }
    }
    all
}

/// `[baseline] allow`: by default `explain`.
pub(super) fn baseline(root: &Table<'_>) -> Vec<Action> {
    let Some(table) = root.get("baseline").and_then(|node| node.table()) else { return vec![Action::Explain] };
    let allow = table.get("allow").map_or_else(
        || vec![Action::Explain],
        |node| {
            let actions = actions(&node);
            for action in actions.iter().filter(|action| **action != Action::Explain) {
                node.warn(format!("everybody may `{action}` everything, always, without a grant"), "make it a role");
            }
            actions.into_iter().collect()
        },
    );
    table.finish();
    allow
}

fn role(name: &str, table: &Table<'_>) -> Role {
    let allow = table.required("allow", "[\"select\", \"explain\"]").map(|node| actions(&node)).unwrap_or_default();
    let limit = |key| table.get(key).and_then(|node: Node<'_>| node.integer(1..=u64::MAX));
    let role = Role {
        name: RoleName::new(name),
        allow,
        tables: table.get("tables").map(|node| globs(&node)),
        except: table.get("except").map(|node| globs(&node)).unwrap_or_default(),
        functions: table.get("functions").map(|node| globs(&node)).unwrap_or_default(),
        request_by: table.get("request_by").map(|node| node.list().iter().filter_map(party).collect()),
        max_duration: table.get("max_duration").and_then(|node| server::positive(&node)),
        export: table.get("export").and_then(|node| node.flag()).unwrap_or(false),
        limits: Limits {
            max_rows: limit("max_rows"),
            max_result_bytes: table.get("max_result_bytes").and_then(|node| node.size()),
            max_rows_affected: limit("max_rows_affected"),
            statement_timeout: table.get("statement_timeout").and_then(|node| server::positive(&node)),
        },
        upstream_role: table.get("upstream_role").and_then(|node| {
            let text = node.text()?;
            if text.is_empty() || text.contains('\0') {
                node.fault("is no role of the database", "name a role that the proxy's login may SET ROLE to");
            }
            Some(text.to_owned())
        }),
        break_glass: table.get("break_glass").and_then(|node| break_glass(&node.table()?)),
    };
    table.finish();
    role
}

/// `break_glass = { max_duration = "30m", groups = ["oncall"], review_within = "24h" }`.
fn break_glass(table: &Table<'_>) -> Option<BreakGlass> {
    let max_duration = table.required("max_duration", "\"30m\"").and_then(|node| server::positive(&node));
    let groups = table.required("groups", "[\"oncall\"]").map(|node| {
        let groups: Vec<GroupName> = names(&node);
        if groups.is_empty() {
            node.fault("names no group, so nobody could use it", "name a group, or remove `break_glass`");
        }
        groups
    });
    let day = std::time::Duration::from_secs(24 * 3600);
    let review_within = table.get("review_within").map_or(Some(day), |node| server::positive(&node));
    table.finish();
    Some(BreakGlass { max_duration: max_duration?, groups: groups?, review_within: review_within? })
}

/// `allow`: names of actions, or `*` for all.
fn actions(node: &Node<'_>) -> BTreeSet<Action> {
    let mut all = BTreeSet::new();
    for item in node.list() {
        let Some(text) = item.text() else { continue };
        match Action::ALL.into_iter().find(|action| action.as_str() == text) {
            Some(action) => {
                all.insert(action);
            }
            None if text == "*" => all.extend(Action::ALL),
            None => item.unknown("action", text, Action::ALL.iter().map(|action| action.as_str())),
        }
    }
    all
}

/// `schema.table` globs.
fn globs(node: &Node<'_>) -> Vec<TableGlob> {
    let globs = node.list().into_iter().filter_map(|item| {
        let text = item.text()?;
        let glob = match text.split_once('.') {
            Some((schema, name)) if !schema.is_empty() && !name.is_empty() && !name.contains('.') => {
                Some(TableGlob { schema: schema.to_owned(), name: name.to_owned() })
            }
            Some(_) | None => None,
        };
        if glob.is_none() {
            let mend = if text.contains('.') {
                "write \"schema.table\"; `*` stands for any characters in a part".to_owned()
            } else {
                format!("write the schema, too: \"public.{text}\" or \"*.{text}\"")
            };
            item.fault(format!("`{text}` is not of the form schema.table"), mend);
        }
        glob
    });
    globs.collect()
}
