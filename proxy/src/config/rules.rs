//! The built-in review rules by name: for `[[review]]` and for `hallpass check --rules`.
//! Says what they are called; what they do is the policy's affair.

use hallpass_policy::review::{Level, ReviewLevels};

/// A built-in review rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// As in `[[review]] rule`.
    pub name: &'static str,
    /// What it catches.
    pub about: &'static str,
}

/// All of them.
pub const BUILT_IN: [Rule; 2] = [
    Rule { name: "update-without-where", about: "an UPDATE of every row: no WHERE, or one that is always true" },
    Rule { name: "delete-without-where", about: "a DELETE of every row: no WHERE, or one that is always true" },
];

/// The level of the rule `name`; `None` when there is no such rule.
pub fn level(levels: &ReviewLevels, name: &str) -> Option<Level> {
    match name {
        "update-without-where" => Some(levels.update_without_where),
        "delete-without-where" => Some(levels.delete_without_where),
        _ => None,
    }
}

/// Sets the rule `name` to `level`, if one is given; `None` when there is no such rule.
pub(super) fn set(levels: &mut ReviewLevels, name: &str, level: Option<Level>) -> Option<()> {
    let place = match name {
        "update-without-where" => &mut levels.update_without_where,
        "delete-without-where" => &mut levels.delete_without_where,
        _ => return None,
    };
    if let Some(level) = level {
        *place = level;
    }
    Some(())
}

/// A level as it is written.
pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Block => "block",
        Level::Warn => "warn",
        Level::Off => "off",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_rule_has_a_level() {
        let mut levels = ReviewLevels::default();
        for rule in BUILT_IN {
            assert_eq!(set(&mut levels, rule.name, Some(Level::Warn)), Some(()), "{}", rule.name);
            assert_eq!(level(&levels, rule.name), Some(Level::Warn), "{}", rule.name);
        }
        assert_eq!(level(&levels, "no-such-rule"), None);
    }
}
