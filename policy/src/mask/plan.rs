//! From a statement's columns and a target's masks to what happens to each result column, or to a conflict.
//! Decides nothing about grants, and sees no values.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use serde::Serialize;

use super::apply::MaskWith;
use crate::{
    catalog::{ColumnRef, QualifiedName},
    ids::TargetName,
    role::glob,
    statement::{Action, Effect, Lineage, Need, Object, Outputs, Statement, Usage, Via, inner},
};

/// Whether a masked column may take part in a comparison: `in_predicates`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InPredicates {
    /// Not at all.
    None,
    /// Only [`Usage::Equality`].
    #[default]
    Equality,
    /// Anywhere.
    Any,
}

impl InPredicates {
    /// As in `proxy.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Equality => "equality",
            Self::Any => "any",
        }
    }
}

/// One `[[masks]]` rule, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MaskRule {
    /// `target/schema.table.column` globs.
    pub columns: Vec<ColumnGlob>,
    /// What the value becomes.
    pub with: MaskWith,
    /// Whether it may be compared.
    pub in_predicates: InPredicates,
}

/// `target/schema.table.column`, each part a glob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnGlob {
    /// The target's glob.
    pub target: String,
    /// The schema's glob.
    pub schema: String,
    /// The relation's glob.
    pub table: String,
    /// The column's glob.
    pub column: String,
}

impl ColumnGlob {
    /// Whether the glob names anything of `target`.
    pub fn covers(&self, target: &TargetName) -> bool {
        glob(&self.target, target.as_str())
    }

    /// Whether the glob names `column` of `relation`, the target left aside.
    pub fn matches(&self, relation: &QualifiedName, column: &str) -> bool {
        glob(&self.column, column) && glob(&self.table, &relation.name) && glob(&self.schema, &relation.schema)
    }
}

/// As in `proxy.toml`.
impl fmt::Display for ColumnGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}.{}", self.target, self.schema, self.table, self.column)
    }
}

/// How one masked column is masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnMask {
    /// What the value becomes.
    pub with: MaskWith,
    /// Whether it may be compared.
    pub in_predicates: InPredicates,
}

/// The masked columns of one target: columns by the rules, closed over inheritance and partitions in both directions
/// and over what views and generated columns are made of, plus what each relation's column means by its origin in a
/// result. Made by [`Masks::compile`]; the default knows no rules and masks nothing.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    /// Columns of tables and views.
    pub columns: BTreeMap<ColumnRef, Arc<ColumnMask>>,
    /// By `(table OID, attribute number)` of a RowDescription, views and generated columns among them.
    pub origins: HashMap<(u32, i16), Arc<ColumnMask>>,
    /// Relations with a masked column.
    pub(super) relations: HashSet<QualifiedName>,
    /// Relations whose writes run triggers that somebody wrote: what those say nobody can tell.
    pub(super) triggered: HashSet<QualifiedName>,
    /// Relations whose row security runs code or reads elsewhere.
    pub(super) policed: HashSet<QualifiedName>,
    /// Whether DDL runs event triggers.
    pub(super) ddl_runs_code: bool,
    /// The same by OID, for whole-row values.
    pub(super) rows: HashSet<u32>,
    /// Every column of a user's relation that the catalog knows: what is not among them is newer than these masks.
    pub(super) known: HashMap<(u32, i16), ColumnRef>,
    /// Whether any rule speaks of this target.
    pub(super) scope: Scope,
}

/// Whether the target has mask rules at all, even if none matches a column right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scope {
    /// No rule names the target: its results are not looked at.
    #[default]
    Free,
    /// Some rule does: a column that appears later may be masked, so shapes are compared.
    Governed,
}

/// What happens to each column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskPlan {
    /// Nothing by lineage, and any number of columns; the result's origins still have their say.
    Clear,
    /// Exactly these columns; `None` keeps one unless its origin is masked.
    Columns(Vec<Option<MaskWith>>),
    /// Masked columns are shown, origins or not: a statement grant with `unmask`.
    Unmasked,
    /// The rows are those of another statement (EXECUTE, FETCH), whose plan counts; nothing may be shown by this one.
    OfAnother,
}

/// Why a statement may not do with a masked column what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskConflict {
    /// The masked base column.
    pub column: ColumnRef,
    /// What the statement does with it; `None`: it is computed on in an output by something that may fail.
    pub usage: Option<Usage>,
}

/// The column and what is done to it, for `no grant allows …`: `comparing shop.customers.ssn`.
impl fmt::Display for MaskConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = &self.column;
        match &self.usage {
            None => write!(f, "computing on masked column {column}"),
            Some(Usage::Equality) => write!(f, "comparing masked column {column}"),
            Some(Usage::Inference) => write!(f, "masked column {column} in a condition, an order or a grouping"),
            Some(Usage::Travel(to)) => write!(f, "copying masked column {column} to {to}"),
            Some(Usage::Reshape) => write!(f, "moving column {column} out from under its mask"),
        }
    }
}

impl MaskConflict {
    /// Whether it is about a condition, an order or a grouping: what `in_predicates` speaks of.
    pub fn compares(&self) -> bool {
        matches!(self.usage, Some(Usage::Equality | Usage::Inference))
    }

    /// Why that gives the value away.
    pub fn reason(&self) -> &'static str {
        match &self.usage {
            None => "whether the computation fails tells about the value",
            Some(Usage::Equality | Usage::Inference) => {
                "which rows come back, and in which order, tells about the value"
            }
            Some(Usage::Travel(_)) => "the mask does not follow the value there",
            Some(Usage::Reshape) => "the mask would no longer name the column",
        }
    }
}

impl Masks {
    /// Whether no rule speaks of this target: results need no look.
    pub fn is_free(&self) -> bool {
        self.scope == Scope::Free
    }

    /// The mask of `column`, if it has one.
    pub fn mask_of(&self, column: &ColumnRef) -> Option<&Arc<ColumnMask>> {
        self.columns.get(column)
    }

    /// What happens to the columns of `statement`'s result; with `unmask` they are shown.
    ///
    /// # Errors
    /// The first [`MaskConflict`]: something that the statement does with a masked column would give its value away,
    /// or take it to where no mask follows. `unmask` lifts conditions, and the way out by COPY, nothing else.
    pub fn plan(&self, statement: &Statement, unmask: bool) -> Result<MaskPlan, MaskConflict> {
        if self.scope == Scope::Free {
            return Ok(if unmask { MaskPlan::Unmasked } else { MaskPlan::Clear });
        }
        if let Some(inner) = inner(statement) {
            self.plan(inner, unmask)?;
        }
        self.check_uses(statement, unmask)?;
        if unmask {
            return Ok(MaskPlan::Unmasked);
        }
        match &statement.outputs {
            Outputs::None | Outputs::Server => Ok(MaskPlan::Clear),
            Outputs::OfPrepared(_) | Outputs::OfCursor(_) => Ok(MaskPlan::OfAnother),
            Outputs::Columns(outputs) => {
                let columns: Result<Vec<_>, _> =
                    outputs.iter().map(|output| self.plan_output(&output.lineage)).collect();
                let columns = columns?;
                let leaves = statement.export || matches!(statement.effect, Effect::CopyOut);
                if leaves && let Some(column) = outputs.iter().find_map(|output| self.first_masked(&output.lineage)) {
                    let usage = Some(Usage::Travel(Arc::from("COPY")));
                    return Err(MaskConflict { column: column.clone(), usage });
                }
                Ok(MaskPlan::Columns(columns))
            }
        }
    }

    fn check_uses(&self, statement: &Statement, unmask: bool) -> Result<(), MaskConflict> {
        for used in &statement.uses {
            let Some(mask) = self.columns.get(&used.column) else { continue };
            let allowed = match &used.usage {
                // Estimates tell about a compared constant even where no row does.
                Usage::Equality if !statement.explain => unmask || mask.in_predicates >= InPredicates::Equality,
                Usage::Equality | Usage::Inference => unmask || mask.in_predicates == InPredicates::Any,
                Usage::Travel(_) => unmask && statement.export && matches!(statement.effect, Effect::CopyOut),
                Usage::Reshape => false,
            };
            if !allowed {
                return Err(MaskConflict { column: used.column.clone(), usage: Some(used.usage.clone()) });
            }
        }
        Ok(())
    }

    fn first_masked<'a>(&self, lineage: &'a Lineage) -> Option<&'a ColumnRef> {
        lineage.columns.keys().find(|column| self.columns.contains_key(*column))
    }

    /// The mask of one output: that of its only masked column if the value arrives as it is stored, else nothing of it
    /// is shown.
    fn plan_output(&self, lineage: &Lineage) -> Result<Option<MaskWith>, MaskConflict> {
        let partial =
            lineage.columns.iter().find(|(column, via)| **via == Via::Partial && self.columns.contains_key(*column));
        match partial {
            Some((column, _)) => Err(MaskConflict { column: column.clone(), usage: None }),
            None => {
                let computed =
                    lineage.columns.iter().any(|(column, via)| *via != Via::Copy && self.columns.contains_key(column));
                Ok(self.mask_for(lineage).map(|mask| if computed { MaskWith::Blank } else { mask.with.clone() }))
            }
        }
    }

    /// The mask that a value of this lineage needs; `None` when no masked column feeds it.
    pub(super) fn mask_for(&self, lineage: &Lineage) -> Option<Arc<ColumnMask>> {
        let mut masks = lineage.columns.keys().filter_map(|column| self.columns.get(column));
        let mut joined = Arc::clone(masks.next()?);
        for mask in masks {
            joined = join(&joined, mask);
        }
        if lineage.columns.values().all(|via| *via == Via::Copy) {
            return Some(joined);
        }
        Some(Arc::new(ColumnMask { with: MaskWith::Full, in_predicates: joined.in_predicates }))
    }

    /// Whether errors and notices of `statement` have to be reduced to their kind: a masked column takes part, or code
    /// that the gate does not see (triggers, functions, constraints checked at COMMIT) may bring one in.
    pub fn scrubs(&self, statement: &Statement) -> bool {
        if self.columns.is_empty() {
            return false;
        }
        let masked = |name: &QualifiedName| self.relations.contains(name) || self.policed.contains(name);
        let risky = statement.needs.iter().any(|need| match &need.object {
            Object::Relation(name) => masked(name) || (need.action.writes() && self.triggered.contains(name)),
            Object::Function(_) => true,
            Object::Catalog(_) | Object::Listing(_) => need.action == Action::Admin,
            // Maintenance of all there is.
            Object::Session(_) => matches!(need.action, Action::Admin | Action::Maintain),
        });
        let inner = match &statement.effect {
            Effect::Prepare { statement, .. } | Effect::Declare { statement, .. } => self.scrubs(statement),
            Effect::Commit | Effect::Execute { .. } | Effect::Fetch { .. } => true,
            Effect::None
            | Effect::CopyIn
            | Effect::ChangesCatalog
            | Effect::ChangesTemporary(_)
            | Effect::Begin
            | Effect::Rollback
            | Effect::Savepoint
            | Effect::RollbackTo
            | Effect::Set { .. }
            | Effect::ResetAll
            | Effect::Deallocate(_)
            | Effect::CloseCursor(_)
            | Effect::DiscardAll
            | Effect::SetAll(_)
            | Effect::Kill { .. }
            | Effect::Inband(_)
            | Effect::CopyOut => statement.verb == "SET CONSTRAINTS",
        };
        let events = |need: &Need| self.ddl_runs_code && matches!(need.action, Action::Ddl | Action::Maintain);
        risky || inner || statement.needs.iter().any(events) || statement.touches.iter().any(masked)
    }

    /// Whether not even how many warnings `statement` has may be told: they may be about a masked value that something is
    /// computed from.
    pub fn mutes(&self, statement: &Statement) -> bool {
        let masked = |column: &ColumnRef| self.columns.contains_key(column);
        let shown = match &statement.outputs {
            Outputs::Columns(outputs) => outputs.as_slice(),
            Outputs::None | Outputs::Server | Outputs::OfPrepared(_) | Outputs::OfCursor(_) => &[],
        };
        let mut shown = shown.iter().flat_map(|output| &output.lineage.columns);
        shown.any(|(column, via)| *via != Via::Copy && masked(column)) || statement.features.computed.iter().any(masked)
    }

    /// The masked columns that feed `outputs`: `shop.customers.email,shop.customers.ssn`, for the audit. Columns masked
    /// by their origin alone are added by `bind`.
    pub fn masked_names(&self, outputs: &Outputs) -> Vec<ColumnRef> {
        let Outputs::Columns(outputs) = outputs else { return Vec::new() };
        let mut names: Vec<ColumnRef> = outputs
            .iter()
            .flat_map(|output| output.lineage.columns.keys())
            .filter(|column| self.columns.contains_key(*column))
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// The mask of a value that may be of either column: the same if they agree, else the full one; the stricter of both
/// in conditions.
pub(super) fn join(a: &Arc<ColumnMask>, b: &Arc<ColumnMask>) -> Arc<ColumnMask> {
    if a == b {
        return Arc::clone(a);
    }
    let with = if a.with == b.with { a.with.clone() } else { MaskWith::Full };
    Arc::new(ColumnMask { with, in_predicates: a.in_predicates.min(b.in_predicates) })
}

#[cfg(test)]
mod tests;
