//! The relations that sqlparser sees in a text, read off its printed tree. Its visitor would need a feature that
//! rebuilds half the workspace.

use std::collections::BTreeSet;

use sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

/// How relations are printed: in FROM, as a target of INSERT, of COPY, of TRUNCATE.
const PLACES: &[&str] = &[
    "Table { name: ObjectName([",
    "TableName(ObjectName([",
    "Table { table_name: ObjectName([",
    "TruncateTableTarget { name: ObjectName([",
];

/// Bare names of relations, items of WITH and functions left out; `None` if sqlparser does not read the text.
pub(crate) fn relations(text: &str) -> Option<BTreeSet<String>> {
    let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?;
    let printed = format!("{parsed:?}");
    let with: BTreeSet<String> = after(&printed, "Cte { alias: TableAlias { ").filter_map(value).collect();
    let mut found = BTreeSet::new();
    for place in PLACES {
        for rest in after(&printed, place) {
            let (name, rest) = rest.split_once("])").unwrap_or((rest, ""));
            let parts: Vec<String> = after(name, "Ident { ").filter_map(value).collect();
            let Some((last, schemas)) = parts.split_last() else { continue };
            let is_function = *place == PLACES[0]
                && rest.split_once("args: ").is_some_and(|(_, arguments)| arguments.starts_with("Some"));
            let is_item = schemas.is_empty() && with.contains(last);
            if !is_function && !is_item {
                found.insert(last.clone());
            }
        }
    }
    Some(found)
}

fn after<'t>(text: &'t str, mark: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(mark).map(move |(at, _)| &text[at + mark.len()..])
}

/// The name in the first `value: "…", quote_style: …`, in lower case unless it is quoted.
fn value(printed: &str) -> Option<String> {
    let (name, rest) = printed.split_once("value: \"")?.1.split_once('"')?;
    let unquoted = rest.starts_with(", quote_style: None");
    Some(if unquoted { name.to_ascii_lowercase() } else { name.to_owned() })
}
