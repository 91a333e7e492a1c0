//! Who must approve what: `[[approvals]]` applied to one request. Pure.
//!
//! A request may name several targets. For each of them the first rule that matches counts, and all of the rules
//! found so must be satisfied: naming a harmless target beside a guarded one loosens nothing.

use hallpass_policy::{
    ids::{Principal, TargetName},
    role::Party,
};

use crate::{
    config::{Approval, Source},
    store::{
        actor::{is_among, party_name},
        requests::Subject,
    },
};

/// Somebody who approved, or would.
#[derive(Clone, Debug)]
pub struct Voter {
    /// User and groups.
    pub principal: Principal,
    /// Whether the voter is an admin: admins count as approvers under every rule.
    pub admin: bool,
}

/// One rule that a request must satisfy.
#[derive(Clone, Copy, Debug)]
pub enum Requirement<'a> {
    /// Nobody is asked.
    Auto,
    /// That many of these, or admins.
    Approvers {
        /// Who.
        approvers: &'a [Party],
        /// How many.
        needs: u32,
    },
    /// No rule matched: an admin must approve.
    Admin,
}

/// Everything that a request must satisfy, without repeats.
pub fn requirements<'a>(rules: &'a [Approval], subject: &Subject, targets: &[TargetName]) -> Vec<Requirement<'a>> {
    let mut chosen: Vec<Option<usize>> =
        targets.iter().map(|target| rules.iter().position(|rule| matches(rule, subject, target))).collect();
    chosen.sort_unstable();
    chosen.dedup();
    if chosen.is_empty() {
        return vec![Requirement::Admin];
    }
    let found = chosen.into_iter().map(|index| match index.and_then(|index| rules.get(index)) {
        Some(rule) if rule.auto => Requirement::Auto,
        Some(rule) => Requirement::Approvers { approvers: &rule.approvers, needs: rule.needs.max(1) },
        None => Requirement::Admin,
    });
    found.collect()
}

fn matches(rule: &Approval, subject: &Subject, target: &TargetName) -> bool {
    let source = match (rule.source, subject) {
        (None, _) | (Some(Source::Role), Subject::Role(_)) | (Some(Source::Statement), Subject::Statement(_)) => true,
        (Some(Source::Role), Subject::Statement(_)) | (Some(Source::Statement), Subject::Role(_)) => false,
    };
    let role = rule.roles.is_empty() || subject.role().is_some_and(|role| rule.roles.contains(role));
    source && role && (rule.databases.is_empty() || rule.databases.contains(target))
}

impl Requirement<'_> {
    /// Whether this voter's yes counts.
    pub fn accepts(&self, voter: &Voter) -> bool {
        match self {
            Self::Auto => false,
            Self::Approvers { approvers, .. } => voter.admin || is_among(&voter.principal, approvers),
            Self::Admin => voter.admin,
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
            Self::Approvers { approvers: [], .. } => "an admin".to_owned(),
            Self::Approvers { approvers, .. } => approvers.iter().map(party_name).collect::<Vec<_>>().join(" or "),
        }
    }
}

/// Who may still help, for people: `group:security (2 more)`; empty when everything is satisfied.
pub fn waiting_for(requirements: &[Requirement<'_>], voters: &[Voter]) -> String {
    let open = requirements.iter().filter_map(|requirement| match requirement.missing(voters) {
        0 => None,
        1 => Some(requirement.who()),
        more => Some(format!("{} ({more} of them)", requirement.who())),
    });
    open.collect::<Vec<_>>().join(", and ")
}

#[cfg(test)]
mod tests {
    use hallpass_policy::ids::{GroupName, RoleName, UserName};

    use super::*;

    fn rule(databases: &[&str], approvers: &[&str], needs: u32) -> Approval {
        Approval {
            source: Some(Source::Role),
            roles: vec![],
            databases: databases.iter().map(TargetName::new).collect(),
            approvers: approvers.iter().map(|name| Party::Group(GroupName::new(name))).collect(),
            needs,
            auto: approvers.is_empty(),
        }
    }

    fn voter(name: &str, group: &str, admin: bool) -> Voter {
        Voter { principal: Principal { user: UserName::new(name), groups: vec![GroupName::new(group)] }, admin }
    }

    #[test]
    fn every_target_brings_its_own_rule() {
        let rules = [rule(&["prod"], &["security"], 2), rule(&["test"], &[], 1)];
        let reader = Subject::Role(RoleName::new("reader"));
        let of = |targets: &[&str]| {
            let targets: Vec<_> = targets.iter().map(TargetName::new).collect();
            requirements(&rules, &reader, &targets)
        };
        assert!(matches!(of(&["test"])[..], [Requirement::Auto]));
        assert!(matches!(of(&["test", "prod"])[..], [Requirement::Approvers { needs: 2, .. }, Requirement::Auto]));
        assert!(matches!(of(&["other"])[..], [Requirement::Admin]));
        assert!(matches!(of(&[])[..], [Requirement::Admin]));
    }

    #[test]
    fn votes_count_where_they_belong() {
        let rules = [rule(&[], &["security"], 2)];
        let needed = requirements(&rules, &Subject::Role(RoleName::new("reader")), &[TargetName::new("prod")]);
        let votes = [voter("bob", "security", false), voter("eve", "oncall", false)];
        assert_eq!(needed[0].missing(&votes), 1);
        assert_eq!(waiting_for(&needed, &votes), "group:security");
        assert_eq!(waiting_for(&needed, &[]), "group:security (2 of them)");
        assert_eq!(needed[0].missing(&[voter("bob", "security", false), voter("root", "", true)]), 0);
    }
}
