//! Masked values by type and format, as MySQL's clients would read them.

use super::*;

fn ty(kind: u8, format: Format) -> MysqlType {
    MysqlType { kind, flags: 0, collation: 45, length: 0, extended: Extended::None, format }
}

fn mask(with: &MaskWith, ty: MysqlType, value: &[u8]) -> Option<Vec<u8>> {
    let mut out = b"before".to_vec();
    match mask_mysql_value(with, ty, Some(value), &HashKey::new(&[1; 32]), &mut out) {
        Masked::Value => Some(out.split_off(6)),
        Masked::Null => {
            assert_eq!(out, b"before");
            None
        }
    }
}

fn text(with: &MaskWith, kind: u8, value: &str) -> Option<String> {
    mask(with, ty(kind, Format::Text), value.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_computed_value_does_not_tell_whether_it_is_null() {
    let null = |with: &MaskWith, kind| {
        let mut out = Vec::new();
        let masked = mask_mysql_value(with, ty(kind, Format::Text), None, &HashKey::new(&[1; 32]), &mut out);
        (masked == Masked::Value).then_some(out)
    };
    for kind in [253, 3, 246, 10, 245] {
        assert_eq!(null(&MaskWith::Blank, kind), mask(&MaskWith::Blank, ty(kind, Format::Text), b"1"));
        assert!(null(&MaskWith::Blank, kind).is_some() && null(&MaskWith::Full, kind).is_none());
    }
    assert_eq!((null(&MaskWith::Blank, 255), mask(&MaskWith::Blank, ty(255, Format::Text), b"1")), (None, None));
}

#[test]
fn the_neutral_value_is_one_of_the_type() {
    for (kind, shown) in [
        (253, "****"),
        (3, "0"),
        (5, "0"),
        (246, "0"),
        (10, "1970-01-01"),
        (12, "1970-01-01 00:00:00"),
        (11, "00:00:00"),
        (13, "1970"),
        (245, "\"****\""),
        (247, ""),
    ] {
        assert_eq!(text(&MaskWith::Full, kind, "12").as_deref(), Some(shown), "{kind}");
    }
    assert_eq!(text(&MaskWith::Full, 255, "x"), None, "no geometry is neutral");
    assert_eq!(text(&MaskWith::Full, 99, "x"), None, "an unknown type");
    assert_eq!(text(&MaskWith::Null, 253, "x"), None);
}

#[test]
fn binary_neutral_values_have_their_types_length() {
    let full = |kind| mask(&MaskWith::Full, ty(kind, Format::Binary), b"x").unwrap();
    for (kind, length) in [(1, 1), (2, 2), (13, 2), (3, 4), (9, 4), (4, 4), (8, 8), (5, 8)] {
        assert_eq!(full(kind).len(), length, "{kind}");
    }
    assert_eq!(full(10), [0xb2, 7, 1, 1]);
    assert_eq!(full(7), [0xb2, 7, 1, 1]);
    assert_eq!(full(11), b"");
    assert_eq!(full(246), b"0");
    let bits = MysqlType { length: 9, ..ty(16, Format::Binary) };
    assert_eq!(mask(&MaskWith::Full, bits, &[1, 2]).unwrap(), [0, 0]);
}

#[test]
fn strings_are_told_apart_by_collation_flags_and_metadata() {
    let plain = ty(254, Format::Text);
    let blob = MysqlType { collation: 63, ..plain };
    assert_eq!(mask(&MaskWith::Full, blob, b"\xff\0").unwrap(), b"");
    let choice = MysqlType { flags: 256, ..plain };
    assert_eq!(mask(&MaskWith::Full, choice, b"gold").unwrap(), b"");
    let extended = |name: &[u8]| MysqlType { extended: Extended::named(name), ..plain };
    assert_eq!(mask(&MaskWith::Full, extended(b"json"), b"{}").unwrap(), b"\"****\"");
    assert_eq!(mask(&MaskWith::Full, extended(b"inet6"), b"::1").unwrap(), b"::");
    assert_eq!(mask(&MaskWith::Full, extended(b"xmltype"), b"<a/>"), None);
}

#[test]
fn texts_show_a_part() {
    assert_eq!(text(&MaskWith::Email, 253, "alice@example.com").as_deref(), Some("a****@****.com"));
    assert_eq!(text(&MaskWith::Email, 253, "no address").as_deref(), Some("****"));
    assert_eq!(
        text(&MaskWith::Keep { first: 0, last: 4 }, 252, "4111111111111111").as_deref(),
        Some("************1111")
    );
    assert_eq!(text(&MaskWith::Keep { first: 0, last: 4 }, 3, "4111").as_deref(), Some("0"), "numbers in full");
    assert_eq!(mask(&MaskWith::Email, ty(253, Format::Text), b"\xff@x.yz"), None, "not UTF-8");
    assert_eq!(text(&MaskWith::Hash, 253, "a"), text(&MaskWith::Hash, 254, "a"));
}

#[test]
fn numbers_are_rounded_in_both_formats() {
    let round = MaskWith::Round(1000);
    assert_eq!(text(&round, 3, "-1500").as_deref(), Some("-2000"));
    assert_eq!(text(&round, 246, "1499.99").as_deref(), Some("1000"));
    assert_eq!(text(&round, 5, "2500.5").as_deref(), Some("3000"));
    assert_eq!(text(&round, 3, "abc"), None);
    let binary = mask(&round, ty(3, Format::Binary), &(-1500_i32).to_le_bytes()).unwrap();
    assert_eq!(binary, (-2000_i32).to_le_bytes());
    let unsigned = MysqlType { flags: 32, ..ty(8, Format::Binary) };
    let largest = mask(&round, unsigned, &u64::MAX.to_le_bytes()).unwrap();
    assert_eq!(u64::from_le_bytes(largest.try_into().unwrap()) % 1000, 0);
    let tiny = mask(&round, ty(1, Format::Binary), &[127]).unwrap();
    assert_eq!(tiny, [0], "1000 does not fit, nor does it hide less");
    let double = mask(&round, ty(5, Format::Binary), &1499.0_f64.to_le_bytes()).unwrap();
    assert_eq!(double, 1000.0_f64.to_le_bytes());
    assert_eq!(mask(&round, ty(3, Format::Binary), &[1, 2]), None);
}

#[test]
fn dates_are_cut_in_both_formats() {
    let cut = MaskWith::Truncate;
    assert_eq!(text(&cut(DatePart::Year), 10, "2024-02-29").as_deref(), Some("2024-01-01"));
    assert_eq!(text(&cut(DatePart::Month), 12, "2024-02-29 23:59:59.5").as_deref(), Some("2024-02-01 00:00:00"));
    assert_eq!(text(&cut(DatePart::Hour), 7, "2024-02-29 23:59:59").as_deref(), Some("2024-02-29 23:00:00"));
    assert_eq!(text(&cut(DatePart::Year), 10, "0000-00-00").as_deref(), Some("0000-00-00"));
    assert_eq!(text(&cut(DatePart::Year), 10, "29.2.2024"), None);
    assert_eq!(text(&cut(DatePart::Year), 11, "23:59:59").as_deref(), Some("00:00:00"), "in full");
    let stamp = [0xe8, 7, 2, 29, 23, 59, 59, 1, 2, 3, 0];
    let binary = |part| mask(&cut(part), ty(12, Format::Binary), &stamp).unwrap();
    assert_eq!(binary(DatePart::Hour), [0xe8, 7, 2, 29, 23, 0, 0]);
    assert_eq!(binary(DatePart::Day), [0xe8, 7, 2, 29]);
    assert_eq!(binary(DatePart::Year), [0xe8, 7, 1, 1]);
    assert_eq!(mask(&cut(DatePart::Year), ty(12, Format::Binary), &[1, 2, 3]), None);
}

#[test]
fn constants_are_written_as_the_type_wants_them() {
    let constant = |text: &str| MaskWith::Constant(text.into());
    assert_eq!(text(&constant("hidden"), 253, "x").as_deref(), Some("hidden"));
    assert_eq!(text(&constant("hidden"), 3, "7").as_deref(), Some("0"));
    assert_eq!(mask(&constant("300"), ty(1, Format::Binary), &[7]).unwrap(), [0], "too large for a TINYINT");
    assert_eq!(mask(&constant("-3"), ty(2, Format::Binary), &[7, 7]).unwrap(), (-3_i16).to_le_bytes());
    assert_eq!(mask(&constant("2000-01-02"), ty(10, Format::Binary), b"").unwrap(), [0xd0, 7, 1, 2]);
    assert_eq!(text(&constant("{\"a\":1}"), 245, "[]").as_deref(), Some("{\"a\":1}"));
    assert_eq!(text(&constant("{"), 245, "[]").as_deref(), Some("\"****\""));
}
