//! Roles: named sets of permissions, requested for a time. What `[roles.NAME]` says, checked already.
//! Matching only; whether a role suffices for a statement is `decide`'s affair.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    catalog::QualifiedName,
    ids::{GroupName, Principal, RoleName, UserName},
    statement::Action,
};

/// A `schema.table` glob: `*` matches any run of characters within its part, nothing else is special.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableGlob {
    /// The schema's glob.
    pub schema: String,
    /// The relation's glob.
    pub name: String,
}

/// A user, `user:NAME`, or a group, `group:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Party {
    /// One user.
    User(UserName),
    /// Everybody in a group.
    Group(GroupName),
}

/// Bounds on what one statement may do. `None`: unbounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Rows a result may have.
    pub max_rows: Option<u64>,
    /// Bytes of row data a result may have, on the wire.
    pub max_result_bytes: Option<u64>,
    /// Rows a write may change before it is rolled back.
    pub max_rows_affected: Option<u64>,
    /// How long a statement may run.
    pub statement_timeout: Option<Duration>,
}

/// `[roles.NAME] break_glass`: the role at once, without approval, and looked at afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BreakGlass {
    /// The longest such grant.
    pub max_duration: Duration,
    /// Who may: users in one of these groups.
    pub groups: Vec<GroupName>,
    /// How soon somebody else should have looked at it, from its start.
    pub review_within: Duration,
}

/// `[roles.NAME]`.
#[derive(Clone, Debug, Serialize)]
pub struct Role {
    /// Its name.
    pub name: RoleName,
    /// What it allows.
    pub allow: BTreeSet<Action>,
    /// Which relations it covers; `None`: all.
    pub tables: Option<Vec<TableGlob>>,
    /// Which it never covers.
    pub except: Vec<TableGlob>,
    /// User-defined functions and procedures that may be called.
    pub functions: Vec<TableGlob>,
    /// Who may ask for it; `None`: everybody.
    pub request_by: Option<Vec<Party>>,
    /// The longest grant; `None`: no bound.
    pub max_duration: Option<Duration>,
    /// Whether COPY … TO and results above `max_rows` are allowed.
    pub export: bool,
    /// Bounds on each statement.
    pub limits: Limits,
    /// SET ROLE upstream while a statement runs under this role.
    pub upstream_role: Option<String>,
    /// Whether it can be had at once in an emergency, and by whom.
    pub break_glass: Option<BreakGlass>,
}

impl TableGlob {
    /// Whether the glob matches `name`.
    pub fn matches(&self, name: &QualifiedName) -> bool {
        glob(&self.schema, &name.schema) && glob(&self.name, &name.name)
    }

    /// Whether the glob matches anything in `schema`.
    pub fn enters(&self, schema: &str) -> bool {
        glob(&self.schema, schema)
    }

    /// Whether the glob grants `name`: a schema of the server's own has to be written out, no `*` reaches it.
    pub fn grants(&self, name: &QualifiedName) -> bool {
        self.matches(name) && !(is_system_schema(&name.schema) && self.schema.contains('*'))
    }
}

/// As in `proxy.toml`.
impl fmt::Display for TableGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl Role {
    /// A role of that name that allows nothing.
    pub fn named(name: impl AsRef<str>) -> Self {
        Self {
            name: RoleName::new(name),
            allow: BTreeSet::new(),
            tables: None,
            except: Vec::new(),
            functions: Vec::new(),
            request_by: None,
            max_duration: None,
            export: false,
            limits: Limits::default(),
            upstream_role: None,
            break_glass: None,
        }
    }

    /// Whether the role may do anything that changes something: then its statements need a session that may write.
    pub fn writes(&self) -> bool {
        self.allow.iter().any(|action| action.writes())
    }

    /// Whether `principal` may ask for the role.
    pub fn may_be_requested_by(&self, principal: &Principal) -> bool {
        self.request_by.as_ref().is_none_or(|parties| parties.iter().any(|party| party.includes(principal)))
    }
}

impl Party {
    /// Whether `principal` is the user, or in the group.
    pub fn includes(&self, principal: &Principal) -> bool {
        match self {
            Self::User(user) => *user == principal.user,
            Self::Group(group) => principal.groups.contains(group),
        }
    }
}

/// As in `proxy.toml`: `user:alice`, `group:oncall`.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{user}"),
            Self::Group(group) => write!(f, "group:{group}"),
        }
    }
}

/// Whether `schema` is the server's own: its relations are never meant by `*` or by an absent `tables`.
/// The schemas of temporary tables are their users'.
pub fn is_system_schema(schema: &str) -> bool {
    schema == "information_schema" || (schema.starts_with("pg_") && !schema.starts_with("pg_temp"))
}

/// Whether `pattern`, in which `*` stands for any run of characters, matches all of `text`.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("shop", "shop", true),
            ("shop", "shops", false),
            ("*_log", "customer_log", true),
            ("*_log", "customer_logs", false),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "abc", true),
            ("a*b*b", "ab", false),
            ("", "x", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
