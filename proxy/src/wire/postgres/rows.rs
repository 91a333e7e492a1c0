//! DataRow frames with some of their values replaced: everything between two masked values is copied in one run.
//! Knows where values are, not what a mask does; a row that is not exactly what its description promised fails.

use thiserror::Error;

use super::{
    backend::tag,
    codec::{Body, Malformed},
};

/// What a mask made of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masked {
    /// The bytes it appended.
    Value,
    /// NULL; what it appended is dropped.
    Null,
}

/// The masked columns of one result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedColumns {
    /// Their indexes, ascending.
    masked: Vec<usize>,
    /// How many columns a row must have.
    columns: usize,
}

impl MaskedColumns {
    /// The columns with true are masked.
    pub fn new(masked: impl IntoIterator<Item = bool>) -> Self {
        let mut columns = 0;
        let masked = masked.into_iter().inspect(|_| columns += 1).enumerate().filter(|(_, masked)| *masked);
        let masked = masked.map(|(index, _)| index).collect();
        Self { masked, columns }
    }

    /// Whether no column is: rows go through as they stand.
    pub fn is_clear(&self) -> bool {
        self.masked.is_empty()
    }

    /// The masked columns' indexes, ascending.
    pub fn indexes(&self) -> &[usize] {
        &self.masked
    }
}

/// Why a row must not be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RowError {
    /// It is not a DataRow.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It has more or fewer columns than the masks were made for.
    #[error("a row has {found} columns instead of {expected}")]
    Columns {
        /// As described.
        expected: usize,
        /// As sent.
        found: usize,
    },
    /// With its masks it no longer fits into a message.
    #[error("a masked row is too long")]
    TooLong,
}

/// Appends to `out` the DataRow with this `body`, each masked column's value replaced by what `mask` appends for it.
/// NULL stays NULL and `mask` does not see it.
///
/// # Errors
/// [`RowError`]; `out` is then as before.
pub fn rewrite_row(
    body: &[u8],
    columns: &MaskedColumns,
    mask: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Masked,
    out: &mut Vec<u8>,
) -> Result<(), RowError> {
    let start = out.len();
    let written = write_row(body, columns, mask, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn write_row(
    body: &[u8],
    columns: &MaskedColumns,
    mut mask: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Masked,
    out: &mut Vec<u8>,
) -> Result<(), RowError> {
    let mut row = Body::new("DataRow", body);
    let found = row.count()?;
    if found != columns.columns {
        return Err(RowError::Columns { expected: columns.columns, found });
    }
    out.push(tag::DATA_ROW);
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut next = columns.masked.iter().copied().peekable();
    // What stands before `run` is in `out` already.
    let mut run = body;
    for index in 0..found {
        let before = row.remaining().len();
        let value = row.value()?;
        if next.next_if_eq(&index).is_none() {
            continue;
        }
        let Some(value) = value else { continue };
        let copied = run.len().saturating_sub(before);
        out.extend_from_slice(run.get(..copied).unwrap_or_default());
        masked_value(out, |out| mask(index, value, out))?;
        run = row.remaining();
    }
    row.end()?;
    out.extend_from_slice(run);
    let length = i32::try_from(out.len() - length_at).map_err(|_| RowError::TooLong)?;
    patch(out, length_at, length)
}

/// Appends a length and what `mask` appends, or NULL.
fn masked_value(out: &mut Vec<u8>, mask: impl FnOnce(&mut Vec<u8>) -> Masked) -> Result<(), RowError> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let length = match mask(out) {
        Masked::Value => i32::try_from(out.len().saturating_sub(at + 4)).map_err(|_| RowError::TooLong)?,
        Masked::Null => {
            out.truncate(at + 4);
            -1
        }
    };
    patch(out, at, length)
}

fn patch(out: &mut [u8], at: usize, value: i32) -> Result<(), RowError> {
    out.get_mut(at..at + 4).ok_or(RowError::TooLong)?.copy_from_slice(&value.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::wire::postgres::encode;

    fn stars(_: usize, value: &[u8], out: &mut Vec<u8>) -> Masked {
        if value == b"gone" {
            out.extend_from_slice(b"half a mask");
            return Masked::Null;
        }
        out.extend(value.iter().map(|_| b'*'));
        out.push(b'!');
        Masked::Value
    }

    #[test]
    fn only_masked_columns_change() {
        let (mut row, mut expected, mut out) = (Vec::new(), Vec::new(), b"kept".to_vec());
        encode::data_row(&mut row, &[Some("1"), Some("ann"), None, Some("gone"), Some("end")]).unwrap();
        encode::data_row(&mut expected, &[Some("1"), Some("***!"), None, None, Some("end")]).unwrap();
        let columns = MaskedColumns::new([false, true, true, true, false]);
        rewrite_row(&row[5..], &columns, stars, &mut out).unwrap();
        assert_eq!(out, [b"kept", &expected[..]].concat());
    }

    #[test]
    fn a_row_of_another_shape_fails_and_leaves_nothing() {
        let (mut row, mut out) = (Vec::new(), b"kept".to_vec());
        encode::data_row(&mut row, &[Some("1"), Some("ann")]).unwrap();
        let wide = MaskedColumns::new([false, true, false]);
        assert_eq!(rewrite_row(&row[5..], &wide, stars, &mut out), Err(RowError::Columns { expected: 3, found: 2 }));
        let right = MaskedColumns::new([false, true]);
        for end in 0..row.len() - 5 {
            assert!(rewrite_row(&row[5..5 + end], &right, stars, &mut out).is_err());
        }
        row.push(0);
        let trailing = Err(RowError::Malformed(Malformed::Trailing { message: "DataRow" }));
        assert_eq!(rewrite_row(&row[5..], &right, stars, &mut out), trailing);
        assert_eq!(out, b"kept");
    }

    proptest! {
        #[test]
        fn rewriting_equals_decoding_masking_encoding(
            values in vec((option::of(vec(any::<u8>(), 0..12)), any::<bool>()), 0..10),
        ) {
            let plain: Vec<_> = values.iter().map(|(value, _)| value.clone()).collect();
            let masked: Vec<_> = values.iter().map(|(value, masked)| match value {
                Some(value) if *masked => Some([vec![b'*'; value.len()], vec![b'!']].concat()),
                other => other.clone(),
            }).collect();
            let (mut row, mut expected, mut out) = (Vec::new(), Vec::new(), Vec::new());
            encode::data_row(&mut row, &plain).unwrap();
            encode::data_row(&mut expected, &masked).unwrap();
            let columns = MaskedColumns::new(values.iter().map(|(_, masked)| *masked));
            prop_assume!(!plain.iter().flatten().any(|value| value == b"gone"));
            rewrite_row(&row[5..], &columns, stars, &mut out).unwrap();
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn garbage_never_panics(body in vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..64)) {
            let columns = MaskedColumns::new([true, false]);
            let _ = rewrite_row(&body, &columns, stars, &mut Vec::new());
        }
    }
}
