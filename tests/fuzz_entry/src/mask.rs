//! Masks on whole rows, in text and binary, of both protocols. NULL stays NULL, columns beside the masked one keep their
//! bytes, the masked value is one of its type, and nothing of the old one is in it but what the mask may show.

use std::sync::{Arc, LazyLock};

use hallpass::wire::{
    mysql::{
        body,
        codec::{self, Order, Sequence},
        reader::RowFormat,
        rows as mysql_rows,
        value::{self, Shape, Type},
    },
    postgres::{self as pg, rows as pg_rows},
};
use hallpass_policy::mask::apply::{
    DatePart, Family, Format, HashKey, MaskWith, Masked, PgType, family, mask_value,
    mysql::{Extended, MysqlType, mask_mysql_value},
};

use crate::bytes::Bytes;

static KEY: LazyLock<HashKey> = LazyLock::new(|| HashKey::new(&[3; 32]));

fn mask(bytes: &mut Bytes<'_>) -> MaskWith {
    let (first, last) = (u32::from(bytes.byte() % 12), u32::from(bytes.byte() % 12));
    match bytes.byte() % 8 {
        0 => MaskWith::Full,
        1 => MaskWith::Null,
        2 => MaskWith::Email,
        3 => MaskWith::Hash,
        4 => MaskWith::Keep { first, last },
        5 => MaskWith::Constant(Arc::from(["hidden", "0", "2001-02-03", "t", "{}", ""][first as usize % 6])),
        6 => MaskWith::Round([1, 10, 1000, u64::MAX, 0][last as usize % 5]),
        _ => MaskWith::Truncate([DatePart::Year, DatePart::Month, DatePart::Day, DatePart::Hour][first as usize % 4]),
    }
}

/// The choice of a mask, a type and a format, then the value.
pub(crate) fn postgres(data: &[u8]) {
    /// Those that masks know, and two that they do not.
    const TYPES: &[u32] = &[
        16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 142, 600, 700, 701, 790, 829, 869, 1007, 1009, 1042, 1043, 1082, 1083,
        1114, 1184, 1186, 1266, 1560, 1700, 2950, 3802, 3904, 4451, 16_999,
    ];
    let mut bytes = Bytes(data);
    let with = mask(&mut bytes);
    let ty = PgType { oid: *bytes.pick(TYPES), format: *bytes.pick(&[Format::Text, Format::Binary]) };
    let value = bytes.0;
    let mut row = Vec::new();
    pg::encode::data_row(&mut row, &[Some(value), Some(b"beside"), None]).expect("a row");
    let columns = pg_rows::MaskedColumns::new([true, false, true]);
    let mut out = Vec::new();
    let masked = |at, value: &[u8], out: &mut Vec<u8>| {
        assert_eq!(at, 0, "a mask sees no NULL");
        shown_or_null(mask_value(&with, ty, value, &KEY, out))
    };
    pg_rows::rewrite_row(&row[5..], &columns, masked, &mut out).expect("a row is rewritten");
    let frame = pg::codec::frame(&out, usize::MAX).expect("a frame").expect("a whole one");
    let mut reader = pg::codec::Body::new("DataRow", frame.body);
    assert_eq!(reader.count(), Ok(3));
    let shown = reader.value().expect("a value");
    assert_eq!((reader.value(), reader.value()), (Ok(Some(&b"beside"[..])), Ok(None)));
    reader.end().expect("nothing behind the row");
    if let Some(shown) = shown {
        postgres_type(ty, shown);
    }
    let again = |other: &[u8]| {
        let mut out = Vec::new();
        (mask_value(&with, ty, other, &KEY, &mut out) == Masked::Value).then_some(out)
    };
    hidden(&with, family(ty.oid) == Family::Text, value, shown, again);
}

/// The policy's answer as rows want it.
fn shown_or_null(masked: Masked) -> pg_rows::Masked {
    match masked {
        Masked::Value => pg_rows::Masked::Value,
        Masked::Null => pg_rows::Masked::Null,
    }
}

/// A binary value has its type's length; a text is UTF-8, a whole number one that parses.
fn postgres_type(ty: PgType, shown: &[u8]) {
    if ty.format == Format::Text {
        let text = std::str::from_utf8(shown).expect("text is UTF-8");
        if [20, 21, 23].contains(&ty.oid) {
            let _: i64 = text.parse().expect("a whole number");
        }
        return;
    }
    let width = match ty.oid {
        16 | 18 => 1,
        21 => 2,
        23 | 26 | 700 | 1082 => 4,
        20 | 701 | 790 | 1083 | 1114 | 1184 => 8,
        1266 => 12,
        1186 | 2950 => 16,
        _ => return,
    };
    assert_eq!(shown.len(), width, "type {}", ty.oid);
}

/// The choice of a mask, a type and a format, then the value.
pub(crate) fn mysql(data: &[u8]) {
    const KINDS: &[u8] =
        &[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 15, 16, 245, 246, 247, 248, 249, 252, 253, 254, 255];
    let mut bytes = Bytes(data);
    let with = mask(&mut bytes);
    let kind = *bytes.pick(KINDS);
    let ty = MysqlType {
        kind,
        flags: *bytes.pick(&[0, 32, 256, 2048]),
        collation: *bytes.pick(&[45, 63, 255]),
        length: u32::from(bytes.byte()),
        extended: *bytes.pick(extended(kind)),
        format: *bytes.pick(&[Format::Text, Format::Binary]),
    };
    let Some((value, row)) = mysql_row(ty, bytes.0) else { return };
    let columns = [(Type(kind), true), (Type(253), false), (Type(253), true)];
    let columns = mysql_rows::MaskedColumns::new(columns);
    let format = if ty.format == Format::Binary { RowFormat::Binary } else { RowFormat::Text };
    let masked = |at, value: Option<&[u8]>, out: &mut Vec<u8>| {
        assert_eq!(value.is_none(), at == 2);
        shown_or_null(mask_mysql_value(&with, ty, value, &KEY, out))
    };
    let (mut out, mut sequence) = (Vec::new(), Sequence::start(Order::Loose));
    mysql_rows::rewrite_row(&row, format, &columns, masked, &mut out, &mut sequence).expect("a row is rewritten");
    let payload = codec::message(&out, &mut Sequence::start(Order::Loose), usize::MAX).expect("order").expect("whole");
    let mut reader = body::Body::new("row", &payload.payload);
    let shown = match format {
        RowFormat::Text => {
            let shown = reader.nullable().expect("a value");
            assert_eq!((reader.nullable(), reader.nullable()), (Ok(Some(&b"beside"[..])), Ok(None)));
            shown
        }
        RowFormat::Binary => {
            assert_eq!(reader.u8(), Ok(0));
            let nulls = reader.u8().expect("a bitmap");
            assert!(nulls & 0b1_0000 != 0 && nulls & 0b1000 == 0, "NULL stays NULL, and what is beside it a value");
            let shown =
                (nulls & 0b100 == 0).then(|| value::take(&mut reader, Type(kind)).expect("a value of its type"));
            assert_eq!(reader.string(), Ok(&b"beside"[..]));
            shown
        }
    };
    reader.end().expect("nothing behind the row");
    if format == RowFormat::Text
        && let (Some(shown), 1 | 2 | 3 | 8 | 9, Extended::None) = (shown, kind, ty.extended)
    {
        let _: i128 = String::from_utf8_lossy(shown).parse().expect("a whole number");
    }
    let again = |other: &[u8]| {
        let mut out = Vec::new();
        (mask_mysql_value(&with, ty, Some(other), &KEY, &mut out) == Masked::Value).then_some(out)
    };
    let is_text = matches!(kind, 15 | 249..=254) && ty.collation != 63 && ty.flags & (256 | 2048) == 0;
    hidden(&with, is_text && ty.extended == Extended::None, value, shown, again);
}

/// What MariaDB may say of a column beyond its type: only of those that come as strings.
fn extended(kind: u8) -> &'static [Extended] {
    match Type(kind).shape() {
        Some(Shape::Bytes) => {
            &[Extended::None, Extended::Json, Extended::Uuid, Extended::Inet4, Extended::Inet6, Extended::Other]
        }
        _ => &[Extended::None],
    }
}

/// A row of the value, another beside it and a NULL; and the value's bytes as they stand in it.
fn mysql_row(ty: MysqlType, data: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let mut row = Vec::new();
    if ty.format == Format::Text {
        body::put_string(&mut row, data);
        body::put_string(&mut row, b"beside");
        row.push(body::NULL);
        return Some((data, row));
    }
    row.extend_from_slice(&[0, 0b1_0000]);
    let longest = |lengths: &[usize]| lengths.iter().rev().find(|length| **length <= data.len()).copied();
    let (length, counted) = match Type(ty.kind).shape()? {
        Shape::Nothing => (0, false),
        Shape::Fixed(length) => (length, false),
        Shape::DateTime => (longest(&[0, 4, 7, 11])?, true),
        Shape::Time => (longest(&[0, 8, 12])?, true),
        Shape::Bytes => (data.len(), false),
    };
    let value = data.get(..length)?;
    if counted {
        row.push(u8::try_from(length).ok()?);
    }
    if Type(ty.kind).shape() == Some(Shape::Bytes) {
        body::put_string(&mut row, value);
    } else {
        row.extend_from_slice(value);
    }
    body::put_string(&mut row, b"beside");
    Some((value, row))
}

/// What is shown tells nothing of the value but what the mask may show; `again` masks another value the same way.
fn hidden(
    with: &MaskWith,
    is_text: bool,
    value: &[u8],
    shown: Option<&[u8]>,
    again: impl Fn(&[u8]) -> Option<Vec<u8>>,
) {
    match with {
        MaskWith::Null => assert_eq!(shown, None),
        MaskWith::Full | MaskWith::Blank | MaskWith::Constant(_) => {
            assert_eq!(shown, again(b"another").as_deref(), "the same for every value");
        }
        MaskWith::Hash if is_text => {
            assert!(shown.is_some_and(|hash| hash.len() == 16 && hash.iter().all(u8::is_ascii_hexdigit)));
        }
        MaskWith::Keep { first, last } if is_text => {
            let (Some(shown), Ok(value)) = (shown, std::str::from_utf8(value)) else { return };
            let shown = std::str::from_utf8(shown).expect("text is UTF-8");
            let kept = shown.chars().zip(value.chars()).filter(|(a, b)| a == b && !matches!(a, '*' | ' ')).count();
            assert!(kept <= (first + last) as usize && kept * 2 <= value.chars().count(), "{value:?}: {shown:?}");
            if let Some(tail) = shown.get(1..).filter(|_| *first == 0 && *last == 0) {
                assert!(tail.bytes().all(|byte| matches!(byte, b'*' | b' ')));
            }
        }
        MaskWith::Email if is_text => {
            let (Some(shown), Ok(value)) = (shown, std::str::from_utf8(value)) else { return };
            let shown = std::str::from_utf8(shown).expect("text is UTF-8");
            let Some((_, top)) = shown.split_once("****@****.") else { return assert_eq!(shown, "****") };
            assert!(value.trim_end_matches(' ').ends_with(top) && !top.contains('.'), "the last label alone");
            assert!(shown.chars().count() <= 11 + top.len());
        }
        MaskWith::Hash | MaskWith::Keep { .. } | MaskWith::Email => {
            assert!(shown.is_none() || shown == again(b"another").as_deref(), "no text: masked in full");
        }
        MaskWith::Round(_) | MaskWith::Truncate(_) => {}
    }
}
