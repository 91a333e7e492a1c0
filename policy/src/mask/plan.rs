//! From mask rules and a catalog to the masked columns of a target, and from a statement's outputs to its mask plan.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Serialize;

use super::apply::MaskWith;
use crate::{catalog::ColumnRef, statement::Usage};

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

/// How one masked column is masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnMask {
    /// What the value becomes.
    pub with: MaskWith,
    /// Whether it may be compared.
    pub in_predicates: InPredicates,
}

/// The masked columns of one target: base columns by the rules, closed over inheritance and partitions in both
/// directions (a parent shows its children's rows, a child inherits its parent's mask), plus what each relation's
/// column means by its origin in a result.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    /// Base columns.
    pub columns: BTreeMap<ColumnRef, Arc<ColumnMask>>,
    /// By `(table OID, attribute number)` of a RowDescription, views and generated columns among them.
    pub origins: HashMap<(u32, i16), Arc<ColumnMask>>,
}

/// What happens to each column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskPlan {
    /// Nothing by lineage; the result's origins still have their say.
    Clear,
    /// Column by column; `None` keeps it.
    Columns(Vec<Option<MaskWith>>),
}

/// Why a statement may not do with a masked column what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskConflict {
    /// The masked base column.
    pub column: ColumnRef,
    /// What the statement does with it; `None`: it is computed on in an output by something that may fail.
    pub usage: Option<Usage>,
}
