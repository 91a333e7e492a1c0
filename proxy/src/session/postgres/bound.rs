//! A mask plan bound to a result's columns: which values of a row are replaced, and by what.
//! Rewrites rows of one result; knows nothing of statements.

use std::sync::Arc;

use hallpass_policy::{
    decide::Allowance,
    mask::{
        apply::{self, Format, HashKey, PgType, mask_value},
        bind::{BoundColumns, Origin, PlanMismatch},
        plan::Masks,
    },
    statement::Outputs,
};
use thiserror::Error;

use super::names::ShapeColumn;
use crate::wire::postgres::{
    codec::Frame,
    rows::{Masked, MaskedColumns, RowError, rewrite_row},
};

/// What becomes of a result's rows.
#[derive(Debug)]
pub(super) enum Bound {
    /// They go through as they stand.
    Clear,
    /// Some values are replaced.
    Masked(Box<MaskedResult>),
}

/// A result of which some values are replaced.
#[derive(Debug)]
pub(super) struct MaskedResult {
    /// Every column's type, format and mask.
    columns: BoundColumns,
    /// Which columns of a row to stop at.
    places: MaskedColumns,
    /// The masked columns' names, for the audit.
    names: Option<Arc<str>>,
    /// For `hash` masks.
    key: HashKey,
}

/// Why a result's rows cannot be shown.
#[derive(Debug, Error)]
pub(super) enum Unbound {
    /// The columns are not what the text promised.
    #[error(transparent)]
    Mismatch(#[from] PlanMismatch),
    /// Rows of a statement that has none.
    #[error("a statement without rows returned some")]
    Unexpected,
    /// Masks depend on the columns, and nobody described them.
    #[error("the columns of a result were not described")]
    Undescribed,
    /// A format code that is no format.
    #[error("format code {0} is unknown")]
    Format(i16),
}

impl Bound {
    /// Binds the plan of `allowance` for a statement with `outputs` to the columns of its result. `shape` is `None`
    /// where nobody has described them, which is fine as long as the target has no masks.
    pub(super) fn new(
        allowance: &Allowance,
        outputs: &Outputs,
        shape: Option<&[ShapeColumn]>,
        formats: &[i16],
        masks: &Masks,
        key: &HashKey,
    ) -> Result<Self, Unbound> {
        if matches!(outputs, Outputs::None) {
            return Err(Unbound::Unexpected);
        }
        if masks.is_free() {
            return Ok(Self::Clear);
        }
        let shape = shape.ok_or(Unbound::Undescribed)?;
        let formats = formats.iter().map(|code| format(*code)).collect::<Result<Vec<_>, _>>()?;
        let origins = shape.iter().map(|column| Origin {
            table: column.table,
            attribute: column.attribute,
            ty: PgType { oid: column.type_oid, format: Format::Text },
        });
        let mut columns = allowance.plan.with_origins(origins, masks)?;
        if columns.is_clear() {
            return Ok(Self::Clear);
        }
        columns.set_formats(&formats)?;
        let places = MaskedColumns::new(columns.columns.iter().map(|column| column.mask.is_some()));
        let names = columns.masked_names(outputs, masks);
        Ok(Self::Masked(Box::new(MaskedResult { columns, places, names, key: key.clone() })))
    }

    /// Whether rows go through as they stand.
    pub(super) fn is_clear(&self) -> bool {
        matches!(self, Self::Clear)
    }

    /// The masked columns' names for the audit, if any is masked.
    pub(super) fn names(&self) -> Option<&Arc<str>> {
        match self {
            Self::Clear => None,
            Self::Masked(result) => result.names.as_ref(),
        }
    }

    /// Appends a DataRow as the client may see it.
    pub(super) fn write(&self, frame: Frame<'_>, out: &mut Vec<u8>) -> Result<(), RowError> {
        match self {
            Self::Clear => {
                out.extend_from_slice(frame.raw);
                Ok(())
            }
            Self::Masked(result) => {
                let MaskedResult { columns, places, key, .. } = &**result;
                let mask = |index: usize, value: &[u8], out: &mut Vec<u8>| {
                    let Some(column) = columns.columns.get(index) else { return Masked::Null };
                    let Some(with) = &column.mask else { return Masked::Null };
                    match mask_value(with, column.ty, value, key, out) {
                        apply::Masked::Value => Masked::Value,
                        apply::Masked::Null => Masked::Null,
                    }
                };
                rewrite_row(frame.body, places, mask, out)
            }
        }
    }
}

fn format(code: i16) -> Result<Format, Unbound> {
    match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        other => Err(Unbound::Format(other)),
    }
}
