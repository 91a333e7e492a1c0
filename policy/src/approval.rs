//! Who must approve what: `[[approvals]]` applied to one request. Pure; knows no store and no clock.
//!
//! A request may name several targets, and reach several tables in each. For each table of each target the first rule
//! that matches counts, and all of the rules found so must be satisfied: naming a harmless target or table beside a
//! guarded one loosens nothing. One `deny`, or one condition that cannot be evaluated, denies the whole request.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    condition::{Condition, Facts, Failure, Fields, Type, Variables},
    ids::{Principal, RoleName, TargetName, Timestamp},
    request::Subject,
    resource::Resource,
    role::Party,
};

/// `[[approvals]] source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Requests for a role.
    Role,
    /// Requests for one statement.
    Statement,
}

/// One `[[approvals]]` rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Which requests; `None`: both.
    pub source: Option<Source>,
    /// Only these roles; empty: all.
    pub roles: Vec<RoleName>,
    /// Only these targets; empty: all.
    pub databases: Vec<TargetName>,
    /// Only where this holds.
    pub when: Option<Condition>,
    /// What follows.
    pub then: Consequence,
}

/// What follows from a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// Nobody is asked.
    Auto,
    /// Nobody can approve it.
    Deny,
    /// That many of these, or admins.
    Approvers {
        /// Who; empty: admins alone.
        approvers: Vec<Party>,
        /// How many.
        needs: u32,
    },
}

/// A request as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// Who is to hold the grant.
    pub requester: &'a Principal,
    /// For what.
    pub subject: &'a Subject,
    /// For how long.
    pub duration: Duration,
    /// Why.
    pub reason: &'a str,
    /// Whether an active grant is to last longer.
    pub extends: bool,
    /// Where, with what it reaches there.
    pub databases: &'a [Database<'a>],
    /// When it was asked.
    pub now: Timestamp,
}

/// One target of a request.
#[derive(Clone, Copy, Debug)]
pub struct Database<'a> {
    /// Its name.
    pub name: &'a TargetName,
    /// `postgres` or `mysql`.
    pub protocol: &'a str,
    /// Its `labels`.
    pub labels: &'a BTreeMap<String, String>,
    /// What the request reaches there; `None`: the target's tables are not known.
    pub resources: Option<&'a [Resource]>,
}

/// One thing that a request must satisfy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Requirement {
    /// Nobody is asked.
    Auto,
    /// That many of these, or admins.
    Approvers {
        /// Who; empty: admins alone.
        approvers: Vec<Party>,
        /// How many.
        needs: u32,
    },
    /// No rule matched: an admin must approve.
    Admin,
}

/// Why a request cannot be approved by anybody.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Denied {
    /// A rule says `deny`.
    #[error("approval rule {rule} denies this on `{target}`{table}", table = shown(table))]
    ByRule {
        /// Its number in the file, from 1.
        rule: usize,
        /// Where.
        target: TargetName,
        /// On what, if on a table: ` (shop.customers)` in the message.
        table: String,
    },
    /// A condition has no answer.
    #[error("approval rule {rule} cannot be applied on `{target}`, so nothing is granted: {failure}")]
    Unclear {
        /// Its number in the file, from 1.
        rule: usize,
        /// Where.
        target: TargetName,
        /// What failed.
        failure: Failure,
    },
    /// A condition speaks of tables, and the target's are not known.
    #[error("approval rule {rule} speaks of tables, and those of `{target}` are not known yet, so nothing is granted")]
    Unknown {
        /// Its number in the file, from 1.
        rule: usize,
        /// Where.
        target: TargetName,
    },
}

fn shown(table: &str) -> String {
    if table.is_empty() { String::new() } else { format!(" ({table})") }
}

/// How far somebody's rights go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The OS user who runs the proxy (or root), over the Unix socket: an admin who is no user of the store.
    Operator,
    /// A user whom `[admins]` names.
    Admin,
    /// Any other user.
    Member,
}

impl Standing {
    /// Whether everything is allowed.
    pub fn is_admin(self) -> bool {
        match self {
            Self::Operator | Self::Admin => true,
            Self::Member => false,
        }
    }
}

/// Somebody who approved, or would.
#[derive(Clone, Debug)]
pub struct Voter {
    /// User and groups.
    pub principal: Principal,
    /// Admins count as approvers under every rule.
    pub standing: Standing,
}

/// What conditions of approval rules may name.
pub static VARIABLES: LazyLock<Variables> = LazyLock::new(|| {
    use Type::{Bool, Int, Text};
    let texts = || Type::list(Text);
    let request = Type::record([
        ("source", Text),
        ("requester", Text),
        ("groups", texts()),
        ("role", Text),
        ("statement", Text),
        ("duration", Type::Duration),
        ("reason", Text),
        ("export", Bool),
        ("unmask", Bool),
        ("writes", Bool),
        ("max_rows_affected", Int),
        ("extends", Bool),
        ("databases", texts()),
    ]);
    let database = Type::record([("name", Text), ("protocol", Text), ("labels", Type::map(Text))]);
    let resource = Type::record([
        ("schema", Text),
        ("table", Text),
        ("table_name", Text),
        ("columns", texts()),
        ("masked", Bool),
        ("masked_columns", texts()),
    ]);
    Variables::new([("request", request), ("database", database), ("resource", resource), ("now", Type::Timestamp)])
});

/// Everything that a request must satisfy, without repeats.
///
/// # Errors
/// [`Denied`], when a rule says so or has no answer.
pub fn requirements(rules: &[Rule], case: &Case<'_>) -> Result<Vec<Requirement>, Denied> {
    let mut found = Vec::new();
    for database in case.databases {
        let nothing = [Resource::default()];
        let resources = database.resources.filter(|found| !found.is_empty()).unwrap_or(&nothing);
        for resource in resources {
            found.push(first_match(rules, case, database, resource)?);
        }
    }
    if found.is_empty() {
        found.push(Requirement::Admin);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether any of these rules speaks of tables: then the names of a role request's targets have to be known.
pub fn speak_of_tables(rules: &[Rule]) -> bool {
    rules.iter().filter_map(|rule| rule.when.as_ref()).any(|when| when.mentions("resource"))
}

fn first_match(
    rules: &[Rule],
    case: &Case<'_>,
    database: &Database<'_>,
    resource: &Resource,
) -> Result<Requirement, Denied> {
    let mut facts = None;
    for (rule, number) in rules.iter().zip(1..) {
        if !rule.concerns(case.subject, database.name) {
            continue;
        }
        if let Some(when) = &rule.when {
            let target = database.name.clone();
            if database.resources.is_none() && when.mentions("resource") {
                return Err(Denied::Unknown { rule: number, target });
            }
            let facts = facts.get_or_insert_with(|| case.facts(database, resource));
            match when.holds(facts) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(failure) => return Err(Denied::Unclear { rule: number, target, failure }),
            }
        }
        return match &rule.then {
            Consequence::Auto => Ok(Requirement::Auto),
            Consequence::Deny => {
                Err(Denied::ByRule { rule: number, target: database.name.clone(), table: resource.to_string() })
            }
            Consequence::Approvers { approvers, needs } => {
                Ok(Requirement::Approvers { approvers: approvers.clone(), needs: (*needs).max(1) })
            }
        };
    }
    Ok(Requirement::Admin)
}

impl Rule {
    /// Whether the rule is for such requests at all, its condition left aside.
    fn concerns(&self, subject: &Subject, target: &TargetName) -> bool {
        let source = match (self.source, subject) {
            (None, _) | (Some(Source::Role), Subject::Role(_)) | (Some(Source::Statement), Subject::Statement(_)) => {
                true
            }
            (Some(Source::Role), Subject::Statement(_)) | (Some(Source::Statement), Subject::Role(_)) => false,
        };
        let role = self.roles.is_empty() || subject.role().is_some_and(|role| self.roles.contains(role));
        source && role && (self.databases.is_empty() || self.databases.contains(target))
    }
}

impl Case<'_> {
    fn facts(&self, database: &Database<'_>, resource: &Resource) -> Facts {
        let statement = self.subject.statement();
        let bound = statement.and_then(|statement| statement.max_rows_affected);
        let request = Fields::new()
            .text("source", if statement.is_some() { "statement" } else { "role" })
            .text("requester", self.requester.user.as_str())
            .texts("groups", self.requester.groups.iter().map(|group| group.as_str()))
            .text("role", self.subject.role().map_or("", |role| role.as_str()))
            .text("statement", statement.map_or("", |statement| &statement.text))
            .duration("duration", self.duration)
            .text("reason", self.reason)
            .flag("export", statement.is_some_and(|statement| statement.export))
            .flag("unmask", statement.is_some_and(|statement| statement.unmask))
            .flag("writes", bound.is_some())
            .number("max_rows_affected", bound.unwrap_or(0))
            .flag("extends", self.extends)
            .texts("databases", self.databases.iter().map(|database| database.name.as_str()));
        let labels = database.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let database = Fields::new()
            .text("name", database.name.as_str())
            .text("protocol", database.protocol)
            .map("labels", labels);
        let table = Fields::new()
            .text("schema", &resource.schema)
            .text("table", &resource.table)
            .text("table_name", &resource.table)
            .texts("columns", resource.columns.iter().map(String::as_str))
            .flag("masked", !resource.masked_columns.is_empty())
            .texts("masked_columns", resource.masked_columns.iter().map(String::as_str));
        Facts::new().with("request", request).with("database", database).with("resource", table).at("now", self.now)
    }
}

impl Requirement {
    /// Whether this voter's yes counts.
    pub fn accepts(&self, voter: &Voter) -> bool {
        match self {
            Self::Auto => false,
            Self::Approvers { approvers, .. } => {
                voter.standing.is_admin() || approvers.iter().any(|party| party.includes(&voter.principal))
            }
            Self::Admin => voter.standing.is_admin(),
        }
    }

    /// How many more must say yes.
    pub fn missing(&self, voters: &[Voter]) -> u32 {
        let needs = match self {
            Self::Auto => 0,
            Self::Approvers { needs, .. } => *needs,
            Self::Admin => 1,
        };
        let have = voters.iter().filter(|voter| self.accepts(voter)).count();
        needs.saturating_sub(u32::try_from(have).unwrap_or(u32::MAX))
    }

    /// Who may approve, for people: `group:security`.
    pub fn who(&self) -> String {
        match self {
            Self::Auto => "nobody".to_owned(),
            Self::Admin => "an admin".to_owned(),
            Self::Approvers { approvers, .. } if approvers.is_empty() => "an admin".to_owned(),
            Self::Approvers { approvers, .. } => {
                approvers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
            }
        }
    }
}

/// Who may still help, for people: `group:security (2 of them)`; empty when everything is satisfied.
pub fn waiting_for(requirements: &[Requirement], voters: &[Voter]) -> String {
    let open = requirements.iter().filter_map(|requirement| match requirement.missing(voters) {
        0 => None,
        1 => Some(requirement.who()),
        more => Some(format!("{} ({more} of them)", requirement.who())),
    });
    open.collect::<Vec<_>>().join(", and ")
}

#[cfg(test)]
mod tests;
