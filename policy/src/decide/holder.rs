//! What a user may act on: the baseline, a statement grant, a role grant. Whether one of them suffices for a statement,
//! and if not, what it lacks. Orders them from weak to strong; writes no texts.

use std::{cmp::Reverse, sync::Arc};

use super::{Allowance, Authority, BASELINE_LIMITS, Fence, Question};
use crate::{
    catalog::{Catalog, QualifiedName},
    grant::{ApprovedStatement, Grant, GrantKind, bounded_write, is_call, pin},
    ids::Timestamp,
    mask::plan::MaskConflict,
    role::{Limits, Role, is_system_schema},
    statement::{Action, Need, Object, Statement, inner},
};

/// One thing to act on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holder<'a> {
    /// What everybody holds.
    Baseline,
    /// A statement grant.
    Statement(&'a Grant, &'a ApprovedStatement),
    /// A role grant.
    Role(&'a Grant, &'a Role),
    /// A grant that cannot be used here, and why.
    Useless(&'a Grant, &'static str),
}

/// Why a holder does not suffice. Ordered: the later ones come closer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// It cannot be used at all.
    Useless(&'static str),
    /// It is for another statement.
    OtherStatement,
    /// It does not meet a need.
    Need(Need, Gap),
    /// It does not let bulk reads out.
    Export,
    /// It does not show masked columns.
    Mask(MaskConflict),
}

/// What of a need is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// The action.
    Action,
    /// The object is not covered.
    Object,
    /// The object, a relative of it by inheritance or partitioning, is excepted.
    Excepted,
    /// Statement grants only read.
    ReadOnly,
}

impl<'a> Holder<'a> {
    /// The baseline and the active grants of the asking user, the weakest first.
    pub(super) fn all(question: &Question<'a>, grants: &'a [Grant], now: Timestamp) -> Vec<Self> {
        let active = |grant: &&Grant| grant.user == question.principal.user && grant.active(question.target, now);
        let mut all = vec![Self::Baseline];
        all.extend(grants.iter().filter(active).map(|grant| Self::of(question, grant)));
        all.sort_by(|a, b| a.strength().cmp(&b.strength()));
        all
    }

    /// The holder that `grant` is, active or not.
    pub(super) fn of(question: &Question<'a>, grant: &'a Grant) -> Self {
        match &grant.kind {
            GrantKind::Statement(approved) if question.scope.is_none() => Self::Statement(grant, approved),
            GrantKind::Statement(_) => Self::Useless(grant, "is not usable on this listener"),
            GrantKind::Role(name) if !in_scope(question, name) => {
                Self::Useless(grant, "is not usable on this listener")
            }
            GrantKind::Role(name) => match question.policy.roles.get(name) {
                Some(role) => Self::Role(grant, role),
                None => Self::Useless(grant, "names a role that is no longer configured"),
            },
        }
    }

    /// From weak to strong: kind, then [`weakness`] of the role, then the earlier end, then the number.
    fn strength(&self) -> impl Ord {
        let (kind, role, grant) = match self {
            Self::Baseline => (0, None, None),
            Self::Statement(grant, approved) => {
                (1 + i32::from(approved.unmask) + i32::from(approved.export), None, Some(grant))
            }
            Self::Role(grant, role) => (10, Some(breadth(role)), Some(grant)),
            Self::Useless(grant, _) => (20, None, Some(grant)),
        };
        (kind, role, grant.map(|grant| (grant.ends, grant.id)))
    }

    /// Whether this holder suffices, and how the statement then runs.
    pub(super) fn judge(&self, question: &Question<'_>) -> Result<Allowance, Lack> {
        let Question { statement, masks, .. } = question;
        match self {
            Self::Useless(_, why) => return Err(Lack::Useless(why)),
            Self::Statement(_, approved) if !pins(approved, statement) => return Err(Lack::OtherStatement),
            Self::Baseline | Self::Statement(..) | Self::Role(..) => {}
        }
        // Of several gaps the client hears of the write: that is what it asked for.
        let gaps = || needs(statement).filter_map(|need| Some((need, self.gap(question, need)?)));
        if let Some((need, gap)) = gaps().find(|(need, _)| need.action.writes()).or_else(|| gaps().next()) {
            return Err(Lack::Need(need.clone(), gap));
        }
        let (export, unmask) = match self {
            Self::Baseline | Self::Useless(..) => (false, false),
            Self::Statement(_, approved) => (approved.export, approved.unmask),
            Self::Role(_, role) => (role.export, false),
        };
        if !export && exports(statement) {
            return Err(Lack::Export);
        }
        let plan = masks.plan(statement, unmask).map_err(Lack::Mask)?;
        Ok(Allowance {
            authority: match self {
                Self::Baseline | Self::Useless(..) => Authority::Baseline,
                Self::Statement(grant, _) | Self::Role(grant, _) => Authority::Grant(grant.id),
            },
            until: match self {
                Self::Baseline | Self::Useless(..) => None,
                Self::Statement(grant, _) | Self::Role(grant, _) => Some(grant.ends),
            },
            plan,
            unmask,
            scrub: !unmask && masks.scrubs(statement),
            mute: !unmask && masks.mutes(statement),
            limits: self.limits(question),
            fence: self.fence(question.statement),
            warnings: Vec::new(),
        })
    }

    fn limits(&self, question: &Question<'_>) -> Limits {
        match self {
            Self::Baseline | Self::Useless(..) => BASELINE_LIMITS,
            Self::Statement(_, approved) => {
                let bounds = [approved.max_rows_affected, question.policy.statement_writes];
                let max_rows_affected = approved.max_rows_affected.and(bounds.into_iter().flatten().min());
                Limits { max_rows_affected, ..Limits::default() }
            }
            Self::Role(_, role) => {
                let max_rows = role.limits.max_rows.filter(|_| !role.export);
                Limits { max_rows, ..role.limits.clone() }
            }
        }
    }

    fn fence(&self, statement: &Statement) -> Fence {
        match self {
            Self::Baseline | Self::Useless(..) => Fence { read_only: true, upstream_role: None },
            // Calls inside an expression are held back by the session, as far as they write.
            Self::Statement(..) => {
                Fence { read_only: needs(statement).all(|need| reads(statement, need)), upstream_role: None }
            }
            Self::Role(_, role) => {
                Fence { read_only: !role.writes(), upstream_role: role.upstream_role.as_deref().map(Arc::from) }
            }
        }
    }

    /// Whether the names in `schema` are told: where some role that the user holds or may ask for reaches, names are
    /// what one asks by. `None`: the names in all schemas that there are.
    fn sees(&self, question: &Question<'_>, schema: Option<&str>) -> bool {
        let Question { policy, principal, .. } = question;
        let held = match self {
            Self::Role(_, role) => Some(*role),
            Self::Baseline | Self::Statement(..) | Self::Useless(..) => None,
        };
        let may_have = |role: &&Role| {
            role.may_be_requested_by(principal)
                || role
                    .break_glass
                    .as_ref()
                    .is_some_and(|terms| terms.groups.iter().any(|group| principal.groups.contains(group)))
        };
        let reaches = |schema: &str| {
            is_system_schema(schema)
                || ["mysql", "performance_schema", "sys"].iter().any(|own| own.eq_ignore_ascii_case(schema))
                || held.into_iter().chain(policy.roles.values().filter(may_have)).any(|role| enters(role, schema))
        };
        match schema {
            Some(schema) => reaches(schema),
            None => question.catalog.schemas.iter().all(|schema| reaches(schema)),
        }
    }

    /// What of `need` this holder does not meet.
    pub(super) fn gap(&self, question: &Question<'_>, need: &Need) -> Option<Gap> {
        if let (Object::Catalog(_), Action::Select | Action::Explain) = (&need.object, need.action) {
            return None;
        }
        if let Object::Listing(schema) = &need.object {
            return (!self.sees(question, schema.as_deref())).then_some(Gap::Object);
        }
        match self {
            Self::Baseline => baseline_gap(&question.policy.baseline, need),
            Self::Statement(_, approved) => statement_gap(approved, question, need),
            Self::Role(_, role) => role_gap(role, question, need),
            Self::Useless(..) => Some(Gap::Action),
        }
    }
}

/// Whether the role covers anything in `schema`.
fn enters(role: &Role, schema: &str) -> bool {
    role.tables.as_ref().is_none_or(|tables| tables.iter().any(|glob| glob.enters(schema)))
}

/// Whether the listener leaves the role called `name`.
pub(super) fn in_scope(question: &Question<'_>, name: &crate::ids::RoleName) -> bool {
    question.scope.is_none_or(|roles| roles.contains(name))
}

/// How much a role may: writing roles after reading ones, then by the number of actions, then by tables.
pub(super) fn breadth(role: &Role) -> impl Ord + use<> {
    (role.writes(), role.allow.len(), role.tables.is_none(), Reverse(role.except.len()))
}

/// What `statement` needs, with what it prepares or declares.
pub(super) fn needs(statement: &Statement) -> impl Iterator<Item = &Need> {
    statement.needs.iter().chain(inner(statement).into_iter().flat_map(|inner| inner.needs.iter()))
}

/// Whether `export` guards the statement: a bulk read of more than names and types.
pub(super) fn exports(statement: &Statement) -> bool {
    statement.export && needs(statement).any(|need| !matches!(need.object, Object::Catalog(_)))
}

/// Whether the grant is for this very statement, or for what it prepares or declares.
fn pins(approved: &ApprovedStatement, statement: &Statement) -> bool {
    let pinned = |statement: &Statement| approved.identity == pin(statement);
    pinned(statement) || inner(statement).is_some_and(pinned)
}

/// Whether `need` only reads: calls inside an expression do, as far as the read-only session lets them.
pub(super) fn reads(statement: &Statement, need: &Need) -> bool {
    is_call(statement, need) || !need.action.writes()
}

/// A statement grant reads; it writes where it was approved with a row bound, and `[statements]` still says so.
fn statement_gap(approved: &ApprovedStatement, question: &Question<'_>, need: &Need) -> Option<Gap> {
    let statement = question.statement;
    if reads(statement, need) {
        return None;
    }
    let bounded = approved.max_rows_affected.is_some() && question.policy.statement_writes.is_some();
    // What it prepares is run by EXECUTE, and decided again then.
    let fits = bounded_write(inner(statement).unwrap_or(statement)).is_ok();
    (!(bounded && fits)).then_some(Gap::ReadOnly)
}

/// The baseline reaches all relations, calls nothing and writes nothing, whatever it is set to.
fn baseline_gap(baseline: &[Action], need: &Need) -> Option<Gap> {
    match &need.object {
        Object::Function(_) => Some(Gap::Object),
        Object::Relation(_) | Object::Catalog(_) | Object::Listing(_) | Object::Session(_) => {
            (need.action.writes() || !baseline.contains(&need.action)).then_some(Gap::Action)
        }
    }
}

fn role_gap(role: &Role, question: &Question<'_>, need: &Need) -> Option<Gap> {
    let admin = role.allow.contains(&Action::Admin);
    match &need.object {
        Object::Function(name) => {
            let listed = admin || role.functions.iter().any(|glob| glob.grants(name));
            if need.action == Action::Admin || (need.action == Action::Call && question.statement.verb == "CALL") {
                return (!role.allow.contains(&need.action))
                    .then_some(Gap::Action)
                    .or((!listed).then_some(Gap::Object));
            }
            (!listed).then_some(Gap::Object)
        }
        Object::Relation(name) => {
            if !role.allow.contains(&need.action) {
                return Some(Gap::Action);
            }
            let covered = match &role.tables {
                Some(tables) => {
                    tables.iter().any(|glob| glob.grants(name)) || (admin && tables.iter().any(|g| g.matches(name)))
                }
                None => admin || !is_system_schema(&name.schema),
            };
            if !covered {
                return Some(Gap::Object);
            }
            // A view over what is excepted shows it as well as the name itself would.
            let behind = || question.statement.touches.iter().any(|name| excepts(role, question.catalog, name));
            (excepts(role, question.catalog, name) || behind()).then_some(Gap::Excepted)
        }
        // Names and types are read by everybody; anything else done to the system catalogs is an administrator's.
        Object::Catalog(_) | Object::Listing(_) => {
            (!admin || !role.allow.contains(&need.action)).then_some(Gap::Action)
        }
        Object::Session(_) => (!role.allow.contains(&need.action)).then_some(Gap::Action),
    }
}

/// Whether `except` names the relation, or one whose rows it shows or is shown by.
fn excepts(role: &Role, catalog: &Catalog, name: &QualifiedName) -> bool {
    if role.except.is_empty() {
        return false;
    }
    let excepted = |name: &QualifiedName| role.except.iter().any(|glob| glob.matches(name));
    excepted(name)
        || kin(catalog, name, |relation| &relation.parents).any(|name| excepted(&name))
        || kin(catalog, name, |relation| &relation.children).any(|name| excepted(&name))
}

/// All ancestors or all descendants of `name`; each once, so that a catalog read in between two changes cannot loop.
fn kin<'c>(
    catalog: &'c Catalog,
    name: &QualifiedName,
    next: fn(&crate::catalog::Relation) -> &Vec<QualifiedName>,
) -> impl Iterator<Item = QualifiedName> + use<'c> {
    let mut seen = std::collections::BTreeSet::new();
    let mut open = vec![name.clone()];
    std::iter::from_fn(move || {
        let name = open.pop()?;
        if let Some(relation) = catalog.relations.get(&name) {
            open.extend(next(relation).iter().filter(|name| seen.insert((*name).clone())).cloned());
        }
        Some(name)
    })
}
