//! Small helpers over the protobuf nodes of the parser: optional children, name lists, refusals that name a node.
//! Knows nothing of catalogs or lineage.

use std::fmt::{self, Write};

use pg_query::{Node, NodeEnum, protobuf};

use crate::statement::{Refusal, RefusalKind};

/// The node inside a child that may be absent, or present and empty.
pub(super) fn optional(node: Option<&Node>) -> Option<&NodeEnum> {
    node.and_then(|node| node.node.as_ref())
}

/// The node inside a boxed child.
pub(super) fn boxed<B: AsRef<Node>>(node: Option<&B>) -> Option<&NodeEnum> {
    node.and_then(|node| node.as_ref().node.as_ref())
}

/// The node inside a child that the grammar always fills.
///
/// # Errors
/// When it is empty after all.
pub(super) fn required<'n, B: AsRef<Node>>(node: Option<&'n B>, of: &str) -> Result<&'n NodeEnum, Refusal> {
    boxed(node).ok_or_else(|| unsupported(&format!("an incomplete {of}")))
}

/// All nodes of a list, the empty ones left out.
pub(super) fn all(nodes: &[Node]) -> impl DoubleEndedIterator<Item = &NodeEnum> + Clone {
    nodes.iter().filter_map(|node| node.node.as_ref())
}

/// A list of names: `shop`, `customers`.
///
/// # Errors
/// When something in it is no name.
pub(super) fn strings(nodes: &[Node]) -> Result<Vec<String>, Refusal> {
    all(nodes)
        .map(|node| match node {
            NodeEnum::String(name) => Ok(name.sval.clone()),
            _ => Err(unexpected(node, "a list of names")),
        })
        .collect()
}

/// Whether a SELECT has nothing but targets, FROM and WHERE.
pub(super) fn only_targets(select: &protobuf::SelectStmt) -> bool {
    is_simple(select) && select.sort_clause.is_empty() && select.limit_count.is_none() && select.limit_offset.is_none()
}

/// Whether a SELECT has nothing but targets, FROM, WHERE, ORDER BY and a limit.
pub(super) fn is_simple(select: &protobuf::SelectStmt) -> bool {
    select.distinct_clause.is_empty()
        && select.into_clause.is_none()
        && select.group_clause.is_empty()
        && select.having_clause.is_none()
        && select.window_clause.is_empty()
        && select.values_lists.is_empty()
        && select.locking_clause.is_empty()
        && select.with_clause.is_none()
        && select.larg.is_none()
        && select.rarg.is_none()
        && select.limit_option != protobuf::LimitOption::WithTies as i32
}

/// Refuses something the gate does not follow.
pub(super) fn unsupported(what: &str) -> Refusal {
    Refusal::new(RefusalKind::Unsupported, format!("{what} is not supported through this proxy"))
        .detail("the gate refuses what it cannot follow to the stored columns behind it")
}

/// Refuses a node at a place where it is not known.
pub(super) fn unexpected(node: &NodeEnum, place: &str) -> Refusal {
    unsupported(&format!("`{}` in {place}", kind(node)))
}

/// The node's kind in the parser's words: `JsonFuncExpr`.
pub(super) fn kind(node: &NodeEnum) -> String {
    let mut head = Head(String::new());
    // The writer stops the print at the first bracket, so that a large tree costs nothing.
    let _stopped = write!(head, "{node:?}");
    head.0
}

struct Head(String);

impl Write for Head {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.find(['(', '{', ' ']) {
            Some(end) => {
                self.0.push_str(text.get(..end).unwrap_or_default());
                Err(fmt::Error)
            }
            None => {
                self.0.push_str(text);
                Ok(())
            }
        }
    }
}
