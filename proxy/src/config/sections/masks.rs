//! `[[masks]]`.

use hallpass_policy::mask::{
    apply::{DatePart, MaskWith},
    plan::{ColumnGlob, InPredicates, MaskRule},
};

use crate::config::reader::{Node, Table};

const EXAMPLE: &str = "\"full\", \"null\", \"email\", \"hash\", { keep_last = 4 }, { constant = \"…\" }, \
                       { round = 1000 } or { truncate = \"year\" }";

/// All mask rules, in the file's order.
pub(super) fn masks(root: &Table<'_>) -> Vec<MaskRule> {
    let Some(node) = root.get("masks") else { return Vec::new() };
    node.tables().iter().filter_map(rule).collect()
}

fn rule(table: &Table<'_>) -> Option<MaskRule> {
    let columns = table.required("columns", "[\"*/shop.customers.email\"]").map(|node| {
        let items = node.list();
        if items.is_empty() {
            node.fault("names no column", "add a column or remove this mask");
        }
        items.iter().filter_map(column).collect()
    });
    let with = table.required("with", "\"full\"").and_then(|node| with(&node));
    let choices = [InPredicates::None, InPredicates::Equality, InPredicates::Any].map(|one| (one.as_str(), one));
    let in_predicates = table.get("in_predicates").map_or(Some(InPredicates::default()), |node| node.choice(&choices));
    table.finish();
    Some(MaskRule { columns: columns?, with: with?, in_predicates: in_predicates? })
}

/// `target/schema.table.column`.
fn column(node: &Node<'_>) -> Option<ColumnGlob> {
    let text = node.text()?;
    let glob = text.split_once('/').and_then(|(target, name)| {
        let mut parts = name.split('.').map(str::to_owned);
        let (schema, table, column) = (parts.next()?, parts.next()?, parts.next()?);
        let complete = parts.next().is_none() && ![&schema, &table, &column].iter().any(|part| part.is_empty());
        (complete && !target.is_empty()).then(|| ColumnGlob { target: target.to_owned(), schema, table, column })
    });
    if glob.is_none() {
        let mend = if !text.contains('/') && text.split('.').count() == 3 {
            format!("write the target, too: \"*/{text}\"")
        } else {
            "write \"target/schema.table.column\"; `*` stands for any characters in a part".to_owned()
        };
        node.fault(format!("`{text}` is not of the form target/schema.table.column"), mend);
    }
    glob
}

fn with(node: &Node<'_>) -> Option<MaskWith> {
    let words =
        [("full", WithWord::Full), ("null", WithWord::Null), ("email", WithWord::Email), ("hash", WithWord::Hash)];
    if node.is_text() {
        return node.choice(&words).map(|word| match word {
            WithWord::Full => MaskWith::Full,
            WithWord::Null => MaskWith::Null,
            WithWord::Email => MaskWith::Email,
            WithWord::Hash => MaskWith::Hash,
        });
    }
    let table = node.table()?;
    let keep_first = table.get("keep_first");
    let keep_last = table.get("keep_last");
    let (constant, round, truncate) = (table.get("constant"), table.get("round"), table.get("truncate"));
    table.finish();
    let count = |node: Option<Node<'_>>| node.map_or(Some(0), |node| node.integer(0..=1000)?.try_into().ok());
    let keeps = keep_first.is_some() || keep_last.is_some();
    match (keeps, constant, round, truncate) {
        (true, None, None, None) => Some(MaskWith::Keep { first: count(keep_first)?, last: count(keep_last)? }),
        (false, Some(text), None, None) => Some(MaskWith::Constant(text.text()?.into())),
        (false, None, Some(step), None) => Some(MaskWith::Round(step.integer(1..=u64::MAX)?)),
        (false, None, None, Some(part)) => {
            let parts = [
                ("year", DatePart::Year),
                ("month", DatePart::Month),
                ("day", DatePart::Day),
                ("hour", DatePart::Hour),
            ];
            Some(MaskWith::Truncate(part.choice(&parts)?))
        }
        (_, _, _, _) => {
            node.fault("is not one kind of mask", format!("write {EXAMPLE}"));
            None
        }
    }
}

/// The masks that are one word.
#[derive(Clone, Copy)]
enum WithWord {
    Full,
    Null,
    Email,
    Hash,
}
