//! Small helpers over the protobuf nodes of the parser: optional children, name lists, refusals that name a node.
//! Knows nothing of catalogs or lineage.

use std::fmt::{self, Write};

use pg_query::{Node, NodeEnum};

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
