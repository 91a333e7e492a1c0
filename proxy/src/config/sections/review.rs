//! `[[review]]`: the levels of the built-in rules.

use hallpass_policy::review::{Level, ReviewLevels};

use crate::config::{reader::Table, rules};

/// The built-in rules' levels, as the file changes them.
pub(super) fn review(root: &Table<'_>) -> ReviewLevels {
    let mut levels = ReviewLevels::default();
    let Some(node) = root.get("review") else { return levels };
    for table in node.tables() {
        table.later("when");
        let rule = table.required("rule", "\"update-without-where\"");
        let choices = [("block", Level::Block), ("warn", Level::Warn), ("off", Level::Off)];
        let level = table.required("level", "\"block\"").and_then(|node| node.choice(&choices));
        table.finish();
        let Some((rule, name)) = rule.and_then(|node| node.text().map(|name| (node, name))) else { continue };
        match rules::set(&mut levels, name, level) {
            Some(()) => {}
            None => rule.unknown("rule", name, rules::BUILT_IN.iter().map(|rule| rule.name)),
        }
    }
    levels
}
