//! Rows with some of their values replaced: everything between two masked values is copied in one run. Knows where
//! values are, not what a mask does; a row that is not exactly what its columns promised fails.

use thiserror::Error;

use super::{
    body::{Body, Malformed, put_int},
    codec::{Sequence, write_message},
    reader::RowFormat,
    value::{self, Bitmap, Shape, Type},
};
pub use crate::wire::postgres::rows::Masked;

/// The columns of one result, and which of them are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedColumns {
    /// Each column's type, as defined; in text rows it does not count.
    types: Vec<Type>,
    /// The masked ones' indexes, ascending.
    masked: Vec<usize>,
}

impl MaskedColumns {
    /// The columns in order: their types, and true for the masked ones.
    pub fn new(columns: impl IntoIterator<Item = (Type, bool)>) -> Self {
        let (types, flags): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let masked = flags.iter().enumerate().filter(|(_, masked)| **masked).map(|(index, _)| index).collect();
        Self { types, masked }
    }

    /// Whether none is masked: rows go through as they stand.
    pub fn is_clear(&self) -> bool {
        self.masked.is_empty()
    }

    /// The masked columns' indexes, ascending.
    pub fn indexes(&self) -> &[usize] {
        &self.masked
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether there is none: no result has that.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }
}

/// Why a row must not be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RowError {
    /// It is not a row of these columns.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What a mask made is no value of the column's type.
    #[error("a mask made a value that its column's type cannot hold")]
    Shape,
}

/// Appends to `out` the row with this `payload` as a message, each masked column's value replaced by what `mask`
/// appends for it: the bytes alone, a length is put before them. It sees NULL as `None`.
///
/// # Errors
/// [`RowError`]; `out` and `sequence` are then as before.
pub fn rewrite_row(
    payload: &[u8],
    format: RowFormat,
    columns: &MaskedColumns,
    mask: impl FnMut(usize, Option<&[u8]>, &mut Vec<u8>) -> Masked,
    out: &mut Vec<u8>,
    sequence: &mut Sequence,
) -> Result<(), RowError> {
    write_message(out, sequence, |out| match format {
        RowFormat::Text => text(payload, columns, mask, out),
        RowFormat::Binary => binary(payload, columns, mask, out),
    })
}

fn text(
    payload: &[u8],
    columns: &MaskedColumns,
    mut mask: impl FnMut(usize, Option<&[u8]>, &mut Vec<u8>) -> Masked,
    out: &mut Vec<u8>,
) -> Result<(), RowError> {
    let mut row = Body::new("row", payload);
    let mut next = columns.masked.iter().copied().peekable();
    // What stands before `run` is in `out` already.
    let mut run = payload;
    for index in 0..columns.types.len() {
        let before = row.remaining().len();
        let value = row.nullable()?;
        if next.next_if_eq(&index).is_none() {
            continue;
        }
        copy(out, run, before);
        let start = out.len();
        match mask(index, value, out) {
            Masked::Value => prefix(out, start),
            Masked::Null => {
                out.truncate(start);
                out.push(super::body::NULL);
            }
        }
        run = row.remaining();
    }
    row.end()?;
    out.extend_from_slice(run);
    Ok(())
}

fn binary(
    payload: &[u8],
    columns: &MaskedColumns,
    mut mask: impl FnMut(usize, Option<&[u8]>, &mut Vec<u8>) -> Masked,
    out: &mut Vec<u8>,
) -> Result<(), RowError> {
    let mut row = Body::new("row", payload);
    if row.u8()? != 0 {
        return Err(row.code().into());
    }
    let bitmap = out.len() + 1;
    let nulls = Bitmap::take(&mut row, columns.types.len(), 2)?;
    let mut next = columns.masked.iter().copied().peekable();
    let mut run = payload;
    for (index, kind) in columns.types.iter().enumerate() {
        let masked = next.next_if_eq(&index).is_some();
        let before = row.remaining().len();
        let value = if nulls.is_null(index) { None } else { Some(value::take(&mut row, *kind)?) };
        if !masked {
            continue;
        }
        copy(out, run, before);
        run = row.remaining();
        let start = out.len();
        let becomes = mask(index, value, out);
        match becomes {
            Masked::Value => shape(out, start, *kind)?,
            Masked::Null => out.truncate(start),
        }
        let bit = index + 2;
        let byte = out.get_mut(bitmap + bit / 8).ok_or(RowError::Shape)?;
        match becomes {
            Masked::Value => *byte &= !(1 << (bit % 8)),
            Masked::Null => *byte |= 1 << (bit % 8),
        }
    }
    row.end()?;
    out.extend_from_slice(run);
    Ok(())
}

/// Copies of `run` what stands before its last `before` bytes.
fn copy(out: &mut Vec<u8>, run: &[u8], before: usize) {
    let copied = run.len().saturating_sub(before);
    out.extend_from_slice(run.get(..copied).unwrap_or_default());
}

/// Checks that what stands behind `start` is a value of this type, and puts its length before it where it has one.
fn shape(out: &mut Vec<u8>, start: usize, kind: Type) -> Result<(), RowError> {
    let length = out.len() - start;
    match (kind.shape(), length) {
        (Some(Shape::Nothing), 0) => {}
        (Some(Shape::Fixed(size)), _) if length == size => {}
        (Some(Shape::DateTime), 0 | 4 | 7 | 11) | (Some(Shape::Time), 0 | 8 | 12) | (Some(Shape::Bytes), _) => {
            prefix(out, start);
        }
        _ => return Err(RowError::Shape),
    }
    Ok(())
}

/// Puts its length before what stands behind `start`.
fn prefix(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    let mut bytes = Vec::with_capacity(9);
    put_int(&mut bytes, length as u64);
    out.extend_from_slice(&bytes);
    if let Some(place) = out.get_mut(start..) {
        place.rotate_right(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::wire::mysql::{
        body::put_string,
        codec::{self, MAX_MESSAGE, Order},
    };

    fn run(
        payload: &[u8],
        format: RowFormat,
        columns: &[(Type, bool)],
        mut mask: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Masked,
    ) -> Result<Vec<u8>, RowError> {
        let mut out = b"before".to_vec();
        let mut sequence = Sequence::at(9, Order::Checked);
        let columns = MaskedColumns::new(columns.iter().copied());
        let kept =
            |at: usize, value: Option<&[u8]>, out: &mut Vec<u8>| value.map_or(Masked::Null, |v| mask(at, v, out));
        let done = rewrite_row(payload, format, &columns, kept, &mut out, &mut sequence);
        if let Err(error) = done {
            assert_eq!((out.as_slice(), sequence.next()), (&b"before"[..], 9));
            return Err(error);
        }
        let message = codec::message(&out[6..], &mut Sequence::at(9, Order::Checked), MAX_MESSAGE).unwrap().unwrap();
        Ok(message.payload.to_vec())
    }

    fn stars(_: usize, value: &[u8], out: &mut Vec<u8>) -> Masked {
        out.extend(value.iter().map(|_| b'*'));
        Masked::Value
    }

    const S: Type = Type::VAR_STRING;

    #[test]
    fn text_values_are_replaced_where_they_stand() {
        let row = b"\x011\x07ann@x.y\xfb\x03abc";
        let columns = [(Type::LONG, false), (S, true), (S, true), (S, false)];
        assert_eq!(run(row, RowFormat::Text, &columns, stars).unwrap(), b"\x011\x07*******\xfb\x03abc");
        let null = |_, _: &[u8], out: &mut Vec<u8>| {
            out.push(b'x');
            Masked::Null
        };
        assert_eq!(run(row, RowFormat::Text, &columns, null).unwrap(), b"\x011\xfb\xfb\x03abc");
        let long = |_, _: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(&[b'y'; 300]);
            Masked::Value
        };
        let masked = run(row, RowFormat::Text, &columns, long).unwrap();
        assert_eq!(masked[2..5], [0xfc, 44, 1]);
        assert_eq!(masked.len(), 2 + 303 + 1 + 4);
    }

    /// A row of MariaDB's and MySQL's: id INT, email VARCHAR.
    #[test]
    fn binary_values_are_replaced_and_may_become_null() {
        let row = b"\0\0\x01\0\0\0\x07ann@x.y";
        let columns = [(Type::LONG, false), (S, true)];
        assert_eq!(run(row, RowFormat::Binary, &columns, stars).unwrap(), b"\0\0\x01\0\0\0\x07*******");
        let null = |_, _: &[u8], _: &mut Vec<u8>| Masked::Null;
        assert_eq!(run(row, RowFormat::Binary, &columns, null).unwrap(), b"\0\x08\x01\0\0\0");
        let columns = [(Type::LONG, true), (S, false)];
        assert_eq!(run(row, RowFormat::Binary, &columns, null).unwrap(), b"\0\x04\x07ann@x.y");
        assert_eq!(run(row, RowFormat::Binary, &columns, stars).unwrap(), b"\0\0****\x07ann@x.y");
        let short = |_, _: &[u8], out: &mut Vec<u8>| {
            out.push(0);
            Masked::Value
        };
        assert_eq!(run(row, RowFormat::Binary, &columns, short), Err(RowError::Shape));
        assert_eq!(
            run(b"\0\x08\x02\0\0\0", RowFormat::Binary, &[(Type::LONG, false), (S, true)], stars).unwrap(),
            b"\0\x08\x02\0\0\0"
        );
    }

    #[test]
    fn a_null_may_become_a_value() {
        let columns = MaskedColumns::new([(Type::LONG, false), (S, true), (S, true), (Type::LONG, true)]);
        let blank = |at: usize, value: Option<&[u8]>, out: &mut Vec<u8>| {
            assert_eq!(value.is_none(), at != 2);
            out.extend_from_slice(if at == 3 { &[0; 4] } else { b"**" });
            Masked::Value
        };
        for (format, row, expected) in [
            (RowFormat::Text, &b"\x011\xfb\x03abc\xfb"[..], &b"\x011\x02**\x02**\x04\0\0\0\0"[..]),
            (RowFormat::Binary, b"\0\x28\x01\0\0\0\x03abc", b"\0\0\x01\0\0\0\x02**\x02**\0\0\0\0"),
        ] {
            let (mut out, mut sequence) = (Vec::new(), Sequence::at(0, Order::Checked));
            rewrite_row(row, format, &columns, blank, &mut out, &mut sequence).expect("a row");
            assert_eq!(out[codec::HEADER..], *expected);
        }
    }

    #[test]
    fn dates_have_a_length_of_their_own() {
        let row = b"\0\0\x0b\xe8\x07\x02\x1d\x17\x3b\x3b\x01\0\0\0\x01";
        let columns = [(Type::DATETIME, true), (Type::TINY, false)];
        let year = |_, value: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(&value[..2]);
            out.extend_from_slice(&[1, 1]);
            Masked::Value
        };
        assert_eq!(run(row, RowFormat::Binary, &columns, year).unwrap(), b"\0\0\x04\xe8\x07\x01\x01\x01");
    }

    #[test]
    fn a_row_of_other_columns_is_refused() {
        for columns in [&[(S, true)][..], &[(S, true), (S, false), (S, false)]] {
            assert!(run(b"\x011\x012", RowFormat::Text, columns, stars).is_err());
            assert!(run(b"\0\0\x011\x012", RowFormat::Binary, columns, stars).is_err());
        }
        assert!(run(b"\x01\0\x011", RowFormat::Binary, &[(S, true)], stars).is_err(), "its first byte is 0");
    }

    #[test]
    fn a_masked_row_may_grow_over_sixteen_megabytes() {
        let mut row = Vec::new();
        put_string(&mut row, b"x");
        put_string(&mut row, &vec![b'a'; codec::MAX_PAYLOAD - 10]);
        let longer = |_, _: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(&[b'*'; 100]);
            Masked::Value
        };
        let masked = run(&row, RowFormat::Text, &[(S, true), (S, false)], longer).unwrap();
        assert_eq!(masked.len(), row.len() + 99);
    }

    proptest! {
        #[test]
        fn an_identity_mask_changes_nothing(
            values in vec(prop::option::of(vec(any::<u8>(), 0..300)), 1..12),
            masked in vec(any::<bool>(), 12),
        ) {
            let mut row = Vec::new();
            for value in &values {
                match value {
                    None => row.push(crate::wire::mysql::body::NULL),
                    Some(value) => put_string(&mut row, value),
                }
            }
            let columns: Vec<_> = masked.iter().take(values.len()).map(|masked| (S, *masked)).collect();
            let same = |_, value: &[u8], out: &mut Vec<u8>| {
                out.extend_from_slice(value);
                Masked::Value
            };
            prop_assert_eq!(run(&row, RowFormat::Text, &columns, same).unwrap(), row);
        }

        #[test]
        fn garbage_never_panics(
            bytes in vec(prop_oneof![2 => 0..4u8, 1 => any::<u8>()], 0..60),
            columns in vec((any::<u8>(), any::<bool>()), 0..10),
        ) {
            let columns: Vec<_> = columns.iter().map(|(kind, masked)| (Type(*kind), *masked)).collect();
            let _ = run(&bytes, RowFormat::Text, &columns, stars);
            let _ = run(&bytes, RowFormat::Binary, &columns, stars);
        }
    }
}
