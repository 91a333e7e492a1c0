//! `[[review]]`: the levels of the built-in rules, and rules of the file's own.

use hallpass_policy::review::{BuiltIn, Level, OwnRule, Review, VARIABLES};

use super::{approvals::condition, check_name};
use crate::config::reader::Table;

const LEVELS: [(&str, Level); 3] = [("block", Level::Block), ("warn", Level::Warn), ("off", Level::Off)];

/// All review rules, as the file changes them.
pub(super) fn review(root: &Table<'_>) -> Review {
    let mut review = Review::default();
    let Some(node) = root.get("review") else { return review };
    for table in node.tables() {
        match (table.get("rule"), table.get("name")) {
            (Some(_), None) => built_in(&table, &mut review),
            (None, Some(_)) => own(&table, &mut review),
            (Some(_), Some(_)) => {
                table.fault(
                    "has both `rule` and `name`",
                    "`rule` is for a built-in one, `name` and `when` for one of your own",
                );
            }
            (None, None) => {
                table.fault("`rule` is missing", "add `rule = \"update-without-where\"`, or `name` and `when`")
            }
        }
    }
    review
}

fn built_in(table: &Table<'_>, review: &mut Review) {
    let name = table.get("rule");
    let level = table.required("level", "\"block\"").and_then(|node| node.choice(&LEVELS));
    let rows = table.get("rows");
    if table.get("when").is_some() {
        table.fault("a built-in rule has no `when`", "write `name = \"…\"` in place of `rule` for one of your own");
    }
    table.finish();
    let Some((node, text)) = name.and_then(|node| node.text().map(|text| (node, text))) else { return };
    let Some(rule) = BuiltIn::ALL.into_iter().find(|rule| rule.name() == text) else {
        node.unknown("rule", text, BuiltIn::ALL.iter().map(|rule| rule.name()));
        return;
    };
    if let Some(level) = level {
        review.levels.insert(rule, level);
    }
    match rows {
        Some(rows) if rule == BuiltIn::SelectEverything => {
            review.large = rows.integer(1..=u64::MAX).unwrap_or(review.large);
        }
        Some(rows) => rows.fault("bounds nothing in this rule", "it belongs to `rule = \"select-everything\"`"),
        None => {}
    }
}

fn own(table: &Table<'_>, review: &mut Review) {
    let name = table.get("name").and_then(|node| {
        let name = node.text()?;
        check_name(&node, name);
        let taken = review.own.iter().any(|other| &*other.name == name);
        if taken || BuiltIn::ALL.iter().any(|rule| rule.name() == name) {
            node.fault(format!("there is a review rule `{name}` already"), "give it another name");
        }
        Some(name)
    });
    let when = table.required("when", "'statement.writes'").and_then(|node| condition(&node, &VARIABLES));
    let level = table.required("level", "\"block\"").and_then(|node| node.choice(&LEVELS));
    table.finish();
    if let (Some(name), Some(when), Some(level)) = (name, when, level) {
        review.own.push(OwnRule { name: name.into(), when, level });
    }
}
