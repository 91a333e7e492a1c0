//! What a masked value looks like, in text and binary format. The type stays valid, NULL stays NULL.

use std::sync::Arc;

use serde::Serialize;

/// `[[masks]] with`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskWith {
    /// The whole value is replaced by its type's neutral value (`****`, 0, 1970-01-01, {}).
    Full,
    /// NULL.
    Null,
    /// `a****@****.com`-like; what is not an e-mail address is masked in full.
    Email,
    /// A keyed hash in hexadecimal: equal values stay equal within one proxy. Text only; others in full.
    Hash,
    /// All but the first and last characters become `*`.
    Keep {
        /// Characters kept at the start.
        first: u32,
        /// Characters kept at the end.
        last: u32,
    },
    /// The same text for all.
    Constant(Arc<str>),
    /// Rounded to a multiple. Numbers only; others in full.
    Round(u64),
    /// A date or timestamp cut to its year, month, day or hour. Others in full.
    Truncate(DatePart),
}

/// To what a date is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DatePart {
    /// 1 January.
    Year,
    /// The first of the month.
    Month,
    /// Midnight.
    Day,
    /// The full hour.
    Hour,
}
