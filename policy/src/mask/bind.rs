//! The second opinion: what the server says a result's columns are (RowDescription; MySQL's column definitions), joined
//! with the plan that the statement's text gave. Either may mask; neither clears what the other masks.

use std::sync::Arc;

use thiserror::Error;

use super::{
    apply::{Format, MaskWith, PgType, mysql::MysqlType},
    compile::FIRST_USER_OID,
    plan::{MaskPlan, Masks, Scope},
};
use crate::{
    catalog::{ColumnRef, QualifiedName},
    statement::Outputs,
};

/// One field of a RowDescription (protocol: Message Formats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The relation it comes from; 0: none.
    pub table: u32,
    /// The column's attribute number there; 0: none, or the whole row.
    pub attribute: i16,
    /// The type that the server reports.
    pub ty: PgType,
}

/// One column definition of a MySQL result. A derived table's alias can forge its names: they may add a mask, never
/// clear one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MysqlOrigin {
    /// The stored column it seems to come from; `None`: it is computed.
    pub column: Option<ColumnRef>,
    /// The type that the server reports.
    pub ty: MysqlType,
}

impl MysqlOrigin {
    /// From the names of a column definition: schema, table and column as stored; empty where there is none.
    pub fn new(schema: &str, table: &str, column: &str, ty: MysqlType) -> Self {
        let known = !schema.is_empty() && !table.is_empty() && !column.is_empty();
        let column = known.then(|| ColumnRef { relation: QualifiedName::new(schema, table), column: column.into() });
        Self { column, ty }
    }
}

/// One column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundColumn<T> {
    /// What its values become; `None` keeps them.
    pub mask: Option<MaskWith>,
    /// Their type and format.
    pub ty: T,
}

/// A result's columns with what happens to each. Nothing of a result goes to a client without them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundColumns<T = PgType> {
    /// In order.
    pub columns: Vec<BoundColumn<T>>,
    /// Columns that only their origin masks.
    by_origin: Vec<ColumnRef>,
}

/// The result is not what the statement's text promised: the catalog is older than the server's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanMismatch {
    /// Another number of columns.
    #[error("the result has {found} columns where {expected} were expected")]
    Count {
        /// By the text.
        expected: usize,
        /// By the server.
        found: usize,
    },
    /// A column that was made after the catalog was read.
    #[error("result column {column} comes from an unknown column (relation {table}, attribute {attribute})")]
    UnknownOrigin {
        /// Its place in the result, from 1.
        column: usize,
        /// The relation's OID.
        table: u32,
        /// The attribute number.
        attribute: i16,
    },
    /// The plan belongs to another statement.
    #[error("the rows of another statement were not looked up")]
    OfAnother,
    /// Bind's result formats do not fit the columns.
    #[error("bind message has {found} result formats but query has {expected} columns")]
    Formats {
        /// The columns.
        expected: usize,
        /// The formats.
        found: usize,
    },
}

impl MaskPlan {
    /// Joins the plan with the origins of the result's columns.
    ///
    /// # Errors
    /// A [`PlanMismatch`]: no row may be shown. The caller fetches the catalog again and refuses the statement.
    pub fn with_origins(
        &self,
        origins: impl ExactSizeIterator<Item = Origin>,
        masks: &Masks,
    ) -> Result<BoundColumns, PlanMismatch> {
        let planned = self.planned(origins.len())?;
        let mut bound = BoundColumns { columns: Vec::with_capacity(origins.len()), by_origin: Vec::new() };
        for (at, origin) in origins.enumerate() {
            let mut mask = planned.get(at).cloned().flatten();
            if mask.is_none() && *self != Self::Unmasked && masks.scope == Scope::Governed {
                mask = masks.mask_at(at, origin, &mut bound.by_origin)?;
            }
            bound.columns.push(BoundColumn { mask, ty: origin.ty });
        }
        Ok(bound)
    }

    /// Joins the plan with the column definitions of a MySQL result.
    ///
    /// # Errors
    /// As [`MaskPlan::with_origins`].
    pub fn with_mysql_origins(
        &self,
        origins: impl ExactSizeIterator<Item = MysqlOrigin>,
        masks: &Masks,
    ) -> Result<BoundColumns<MysqlType>, PlanMismatch> {
        let planned = self.planned(origins.len())?;
        let mut bound = BoundColumns { columns: Vec::with_capacity(origins.len()), by_origin: Vec::new() };
        for (at, MysqlOrigin { column, ty }) in origins.enumerate() {
            let mut mask = planned.get(at).cloned().flatten();
            if mask.is_none()
                && *self != Self::Unmasked
                && let Some(column) = column
                && let Some(by_origin) = masks.columns.get(&column)
            {
                mask = Some(by_origin.with.clone());
                bound.by_origin.push(column);
            }
            bound.columns.push(BoundColumn { mask, ty });
        }
        Ok(bound)
    }

    /// What the text planned for a result of so many columns; empty: nothing, for any number.
    fn planned(&self, found: usize) -> Result<&[Option<MaskWith>], PlanMismatch> {
        match self {
            Self::Columns(columns) if columns.len() == found => Ok(columns),
            Self::Columns(columns) => Err(PlanMismatch::Count { expected: columns.len(), found }),
            Self::Clear | Self::Unmasked => Ok(&[]),
            Self::OfAnother => Err(PlanMismatch::OfAnother),
        }
    }
}

impl Masks {
    /// The mask that a result column's origin asks for.
    fn mask_at(
        &self,
        at: usize,
        origin: Origin,
        by_origin: &mut Vec<ColumnRef>,
    ) -> Result<Option<MaskWith>, PlanMismatch> {
        let Origin { table, attribute, .. } = origin;
        if table == 0 {
            return Ok(None);
        }
        if attribute == 0 {
            return Ok(self.rows.contains(&table).then_some(MaskWith::Full));
        }
        let key = (table, attribute);
        if attribute > 0 && table >= FIRST_USER_OID && !self.known.contains_key(&key) {
            return Err(PlanMismatch::UnknownOrigin { column: at + 1, table, attribute });
        }
        let Some(mask) = self.origins.get(&key) else { return Ok(None) };
        by_origin.extend(self.known.get(&key).cloned());
        Ok(Some(mask.with.clone()))
    }
}

impl<T> BoundColumns<T> {
    /// Whether every column is kept: rows may be forwarded as they are.
    pub fn is_clear(&self) -> bool {
        self.columns.iter().all(|column| column.mask.is_none())
    }

    /// The audit's `masked_columns`: `shop.customers.email,shop.customers.ssn`; `None` when nothing is masked.
    /// `outputs` are those of the statement whose plan was bound.
    pub fn masked_names(&self, outputs: &Outputs, masks: &Masks) -> Option<Arc<str>> {
        if self.is_clear() {
            return None;
        }
        let mut names = masks.masked_names(outputs);
        names.extend(self.by_origin.iter().cloned());
        names.sort();
        names.dedup();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Some(Arc::from(names.join(",")))
    }
}

impl BoundColumns<PgType> {
    /// Sets the formats that a Bind message asks for: none (all text), one for all, or one a column.
    ///
    /// # Errors
    /// [`PlanMismatch::Formats`] for another number.
    pub fn set_formats(&mut self, formats: &[Format]) -> Result<(), PlanMismatch> {
        let expected = self.columns.len();
        for (at, column) in self.columns.iter_mut().enumerate() {
            column.ty.format = match formats {
                [] => Format::Text,
                [all] => *all,
                each => *each.get(at).ok_or(PlanMismatch::Formats { expected, found: each.len() })?,
            };
        }
        if formats.len() > 1 && formats.len() != expected {
            return Err(PlanMismatch::Formats { expected, found: formats.len() });
        }
        Ok(())
    }
}
