//! A mask plan bound to a result's columns: which values of a row are replaced, and by what.
//! Rewrites rows of one result; knows nothing of statements.

use std::sync::Arc;

use hallpass_policy::{
    decide::Allowance,
    mask::{
        apply::{
            self, Format, HashKey,
            mysql::{Extended, MysqlType, mask_mysql_value},
        },
        bind::{BoundColumns, MysqlOrigin, PlanMismatch},
        plan::Masks,
    },
    statement::Outputs,
};
use thiserror::Error;

use crate::wire::mysql::{
    backend::Column,
    codec::Sequence,
    reader::RowFormat,
    rows::{Masked, MaskedColumns, RowError, rewrite_row},
    value::Type,
};

/// What SHOW WARNINGS says of a statement whose errors are hidden.
const HIDDEN: &[u8] = b"details hidden: a masked column takes part";

/// What becomes of a result's rows.
#[derive(Debug)]
pub(super) enum Bound {
    /// They go through as they stand.
    Clear,
    /// Some values are replaced.
    Masked(Box<MaskedResult>),
    /// Messages about a statement with masked columns: their text, the last column, is replaced.
    Messages(MaskedColumns),
}

/// A result of which some values are replaced.
#[derive(Debug)]
pub(super) struct MaskedResult {
    /// Every column's type, format and mask.
    columns: BoundColumns<MysqlType>,
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
}

impl Bound {
    /// Binds the plan of `allowance` for a statement with `outputs` to the columns of its result. `origins` is `None`
    /// where their definitions were left out, which is fine as long as the target has no masks.
    pub(super) fn new(
        allowance: &Allowance,
        outputs: &Outputs,
        origins: Option<Vec<MysqlOrigin>>,
        masks: &Masks,
        key: &HashKey,
    ) -> Result<Self, Unbound> {
        if matches!(outputs, Outputs::None) {
            return Err(Unbound::Unexpected);
        }
        if masks.is_free() {
            return Ok(Self::Clear);
        }
        let origins = origins.ok_or(Unbound::Undescribed)?;
        let columns = allowance.plan.with_mysql_origins(origins.into_iter(), masks)?;
        if columns.is_clear() {
            return Ok(Self::Clear);
        }
        let places =
            MaskedColumns::new(columns.columns.iter().map(|column| (Type(column.ty.kind), column.mask.is_some())));
        let names = columns.masked_names(outputs, masks);
        Ok(Self::Masked(Box::new(MaskedResult { columns, places, names, key: key.clone() })))
    }

    /// For SHOW WARNINGS and SHOW ERRORS about a statement whose errors are hidden; a count has one column and is no
    /// secret.
    pub(super) fn messages(origins: &[MysqlOrigin]) -> Self {
        let last = origins.len().saturating_sub(1);
        if last == 0 {
            return Self::Clear;
        }
        let columns = origins.iter().enumerate().map(|(at, origin)| (Type(origin.ty.kind), at == last));
        Self::Messages(MaskedColumns::new(columns))
    }

    /// Whether rows go through as they stand.
    pub(super) fn is_clear(&self) -> bool {
        matches!(self, Self::Clear)
    }

    /// The masked columns' names for the audit, if any is masked.
    pub(super) fn names(&self) -> Option<&Arc<str>> {
        match self {
            Self::Clear | Self::Messages(_) => None,
            Self::Masked(result) => result.names.as_ref(),
        }
    }

    /// Appends a row as the client may see it; `raw` are its packets, `payload` what is in them.
    pub(super) fn write(
        &self,
        raw: &[u8],
        payload: &[u8],
        format: RowFormat,
        out: &mut Vec<u8>,
        sequence: &mut Sequence,
    ) -> Result<(), RowError> {
        match self {
            Self::Clear => {
                let start = out.len();
                out.extend_from_slice(raw);
                crate::wire::mysql::codec::renumber(out.get_mut(start..).unwrap_or_default(), sequence);
                Ok(())
            }
            Self::Messages(places) => {
                let hide = |_: usize, _: Option<&[u8]>, out: &mut Vec<u8>| {
                    out.extend_from_slice(HIDDEN);
                    Masked::Value
                };
                rewrite_row(payload, format, places, hide, out, sequence)
            }
            Self::Masked(result) => {
                let MaskedResult { columns, places, key, .. } = &**result;
                let written = match format {
                    RowFormat::Text => Format::Text,
                    RowFormat::Binary => Format::Binary,
                };
                let mask = |index: usize, value: Option<&[u8]>, out: &mut Vec<u8>| {
                    let Some(column) = columns.columns.get(index) else { return Masked::Null };
                    let Some(with) = &column.mask else { return Masked::Null };
                    match mask_mysql_value(with, MysqlType { format: written, ..column.ty }, value, key, out) {
                        apply::Masked::Value => Masked::Value,
                        apply::Masked::Null => Masked::Null,
                    }
                };
                rewrite_row(payload, format, places, mask, out, sequence)
            }
        }
    }
}

/// What a column definition says of where its values come from.
pub(super) fn origin(column: &Column<'_>) -> MysqlOrigin {
    let extended = column.extended().fold(Extended::None, |found, (_, name)| match found {
        Extended::None | Extended::Other => Extended::named(name),
        Extended::Json | Extended::Uuid | Extended::Inet4 | Extended::Inet6 => found,
    });
    let ty = MysqlType {
        kind: column.kind,
        flags: column.flags,
        collation: column.collation,
        length: column.length,
        extended,
        format: Format::Text,
    };
    let name = |bytes| String::from_utf8_lossy(bytes);
    MysqlOrigin::new(&name(column.schema), &name(column.org_table), &name(column.org_name), ty)
}
