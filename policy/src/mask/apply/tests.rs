//! Masked values of all types, in both formats.

use proptest::prelude::*;

use super::*;

const TEXT: u32 = 25;
const BPCHAR: u32 = 1042;
const INT2: u32 = 21;
const INT4: u32 = 23;
const INT8: u32 = 20;
const FLOAT8: u32 = 701;
const NUMERIC: u32 = 1700;
const DATE: u32 = 1082;
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;

fn key() -> HashKey {
    HashKey::new(&[7; 32])
}

fn mask(with: &MaskWith, oid: u32, format: Format, value: &[u8]) -> Option<Vec<u8>> {
    let mut out = b"before".to_vec();
    let masked = mask_value(with, PgType { oid, format }, value, &key(), &mut out);
    let rest = out.strip_prefix(b"before").expect("what stood there stays").to_vec();
    match masked {
        Masked::Value => Some(rest),
        Masked::Null => {
            assert!(rest.is_empty());
            None
        }
    }
}

fn text(with: &MaskWith, oid: u32, value: &str) -> Option<String> {
    mask(with, oid, Format::Text, value.as_bytes()).map(|bytes| String::from_utf8(bytes).expect("text"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn full_masks_keep_every_type_valid() {
    // Expected: text, and what the type's send function writes for it (checked with PostgreSQL 15).
    for (oid, expected_text, expected_binary) in [
        (16, "f", "00"),
        (17, "\\x", ""),
        (18, "*", "2a"),
        (19, "****", "2a2a2a2a"),
        (20, "0", "0000000000000000"),
        (21, "0", "0000"),
        (23, "0", "00000000"),
        (25, "****", "2a2a2a2a"),
        (26, "0", "00000000"),
        (114, "\"****\"", "222a2a2a2a22"),
        (142, "<masked/>", "3c6d61736b65642f3e"),
        (650, "0.0.0.0/0", "0200010400000000"),
        (700, "0", "00000000"),
        (701, "0", "0000000000000000"),
        (774, "00:00:00:00:00:00:00:00", "0000000000000000"),
        (790, "0", "0000000000000000"),
        (829, "00:00:00:00:00:00", "000000000000"),
        (869, "0.0.0.0", "0220000400000000"),
        (1042, "****", "2a2a2a2a"),
        (1043, "****", "2a2a2a2a"),
        (1082, "1970-01-01", "ffffd533"),
        (1083, "00:00:00", "0000000000000000"),
        (1114, "1970-01-01 00:00:00", "fffca2fec4c82000"),
        (1184, "1970-01-01 00:00:00+00", "fffca2fec4c82000"),
        (1186, "00:00:00", "00000000000000000000000000000000"),
        (1266, "00:00:00+00", "000000000000000000000000"),
        (1700, "0", "0000000000000000"),
        (2950, "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000"),
        (3802, "\"****\"", "01222a2a2a2a22"),
        (3904, "empty", "01"),
        (3912, "empty", "01"),
        (4451, "{}", "00000000"),
        (1007, "{}", "000000000000000000000017"),
        (1009, "{}", "000000000000000000000019"),
        (2951, "{}", "000000000000000000000b86"),
        (3807, "{}", "000000000000000000000eda"),
        (6155, "{}", "0000000000000000000011b7"),
    ] {
        assert_eq!(text(&MaskWith::Full, oid, "secret").as_deref(), Some(expected_text), "{oid}");
        let binary = mask(&MaskWith::Full, oid, Format::Binary, b"secret").expect("a value");
        assert_eq!(hex(&binary), expected_binary, "{oid}");
    }
    for oid in [0, 600, 1560, 1562, 2249, 16_999] {
        assert_eq!(text(&MaskWith::Full, oid, "secret"), None, "{oid} has no neutral value");
        assert_eq!(mask(&MaskWith::Full, oid, Format::Binary, b"secret"), None, "{oid}");
    }
}

#[test]
fn null_is_null_for_all_types() {
    for oid in [TEXT, INT4, NUMERIC, 16_999] {
        assert_eq!(text(&MaskWith::Null, oid, "1"), None);
    }
}

#[test]
fn e_mail_addresses_show_their_first_character_and_top_level_domain() {
    for (value, expected) in [
        ("alice@example.com", "a****@****.com"),
        ("émile@mail.example.co.uk", "é****@****.uk"),
        ("a@example.com", "*****@****.com"),
        ("alice@example.xn--vermgensberatung-pwb", "a****@****.xn--vermgensberatung-pwb"),
        ("alice@example", "****"),
        ("alice", "****"),
        ("@example.com", "****"),
        ("alice@.com", "****"),
        ("alice@@example.com", "****"),
        ("alice smith@example.com", "****"),
        ("alice@example.c0m", "****"),
        ("secret@secret.this-is-my-secret", "****"),
        ("secret@x.abcdefghijklmnopqrstuvwxyz", "****"),
        ("", "****"),
    ] {
        assert_eq!(text(&MaskWith::Email, TEXT, value).as_deref(), Some(expected), "{value}");
    }
    assert_eq!(text(&MaskWith::Email, INT4, "7").as_deref(), Some("0"), "no text");
}

#[test]
fn keep_counts_characters_and_never_shows_more_than_half() {
    let keep = |first, last| MaskWith::Keep { first, last };
    for (first, last, value, expected) in [
        (0, 4, "4111111111111234", "************1234"),
        (0, 4, "123-45-6789", "*******6789"),
        (2, 2, "abcdefgh", "ab****gh"),
        (2, 2, "abcdefg", "*******"),
        (0, 4, "1234", "****"),
        (0, 4, "", ""),
        (1, 0, "äöüß", "ä***"),
        (u32::MAX, u32::MAX, "äöü", "***"),
        (0, 0, "abc", "***"),
    ] {
        assert_eq!(text(&keep(first, last), TEXT, value).as_deref(), Some(expected), "{first} {last} {value}");
    }
    assert_eq!(text(&keep(0, 2), BPCHAR, "abcdef    ").as_deref(), Some("****ef    "), "padding is no character");
    assert_eq!(mask(&keep(0, 4), TEXT, Format::Text, b"\xff\xfeabcdefghij"), None, "no UTF-8");
    assert_eq!(text(&keep(0, 1), INT4, "12345").as_deref(), Some("0"), "no text");
}

#[test]
fn hashes_are_keyed_and_equal_for_equal_values() {
    let hash = |value: &str| text(&MaskWith::Hash, TEXT, value).expect("a value");
    // python3: hmac.new(b'\x07'*32, b'alice@example.com', 'sha256').hexdigest()[:16]
    assert_eq!(hash("alice@example.com"), "09870f7a55556328");
    assert_eq!(hash("alice@example.com"), text(&MaskWith::Hash, BPCHAR, "alice@example.com   ").expect("a value"));
    assert_ne!(hash("alice@example.com"), hash("alice@example.org"));
    let mut other = Vec::new();
    let ty = PgType { oid: TEXT, format: Format::Text };
    mask_value(&MaskWith::Hash, ty, b"alice@example.com", &HashKey::new(&[8; 32]), &mut other);
    assert_ne!(hash("alice@example.com").as_bytes(), other);
    assert_eq!(text(&MaskWith::Hash, INT4, "7").as_deref(), Some("0"), "no text");
    assert!(!format!("{:?}", key()).contains('7'));
}

#[test]
fn constants_have_to_fit_the_type() {
    for (oid, constant, expected) in [
        (TEXT, "hidden", "hidden"),
        (16, "true", "t"),
        (16, "yes", "f"),
        (INT2, "40000", "0"),
        (INT4, "-5", "-5"),
        (FLOAT8, "1.5", "1.5"),
        (FLOAT8, "inf", "0"),
        (NUMERIC, "12.50", "12.50"),
        (NUMERIC, "1e5", "0"),
        (NUMERIC, "1.", "0"),
        (114, "{\"a\":1}", "{\"a\":1}"),
        (114, "{", "\"****\""),
        (2950, "123E4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
        (2950, "123e4567", "00000000-0000-0000-0000-000000000000"),
        (DATE, "2001-02-03", "2001-02-03"),
        (DATE, "2001-02-30", "1970-01-01"),
        (TIMESTAMP, "2001-02-03", "1970-01-01 00:00:00"),
        (1009, "x", "{}"),
    ] {
        let constant = MaskWith::Constant(Arc::from(constant));
        assert_eq!(text(&constant, oid, "secret").as_deref(), Some(expected), "{oid} {constant:?}");
    }
    for (oid, constant, expected) in [
        (TEXT, "hi", "6869"),
        (16, "t", "01"),
        (INT2, "-2", "fffe"),
        (INT8, "258", "0000000000000102"),
        (NUMERIC, "-12345", "000200014000000000010929"),
        (NUMERIC, "0.5", "0000000000000000"),
        (3802, "1", "0131"),
        (DATE, "2000-01-31", "0000001e"),
        (DATE, "1999-12-31", "ffffffff"),
        (2950, "00000000-0000-0000-0000-0000000000ff", "000000000000000000000000000000ff"),
    ] {
        let constant = MaskWith::Constant(Arc::from(constant));
        assert_eq!(
            hex(&mask(&constant, oid, Format::Binary, b"secret").expect("a value")),
            expected,
            "{oid} {constant:?}"
        );
    }
}

#[test]
fn numbers_round_to_the_nearest_multiple() {
    for (oid, multiple, value, expected) in [
        (INT4, 1000, "1499", "1000"),
        (INT4, 1000, "1500", "2000"),
        (INT4, 1000, "-1500", "-2000"),
        (INT4, 7, "-3", "0"),
        (INT4, 0, "1499", "0"),
        (INT2, 1000, "32767", "32000"),
        (INT8, u64::MAX, "9223372036854775807", "0"),
        (FLOAT8, 1000, "1499.9", "1000"),
        (FLOAT8, 1000, "-1500", "-2000"),
        (FLOAT8, 1000, "-1", "0"),
        (FLOAT8, 1000, "NaN", "0"),
        (FLOAT8, 1000, "Infinity", "0"),
        (FLOAT8, 10, "1e300", "1e300"),
        (NUMERIC, 1000, "1499.99", "1000"),
        (NUMERIC, 1000, "-1500.00", "-2000"),
        (NUMERIC, 5, "2.4999", "0"),
        (NUMERIC, 5, "2.5", "5"),
        (NUMERIC, 1, "-0.5", "-1"),
        (NUMERIC, 1000, "NaN", "0"),
        (NUMERIC, 10, "123456789012345678901234567890.5", "123456789012345678901234567890"),
        (NUMERIC, 10, "99999999999999999999999999999999999999999999", "0"),
        (TEXT, 10, "15", "****"),
    ] {
        assert_eq!(text(&MaskWith::Round(multiple), oid, value).as_deref(), Some(expected), "{oid} {multiple} {value}");
    }
    for (oid, value) in [(INT4, "1x"), (INT8, ""), (NUMERIC, "12,5"), (FLOAT8, "one")] {
        assert_eq!(text(&MaskWith::Round(10), oid, value), None, "{value}");
    }
    for (oid, multiple, value, expected) in [
        (INT2, 1000, "05db", Some("03e8")),
        (INT4, 1000, "000005dc", Some("000007d0")),
        (INT8, 1000, "fffffffffffffa24", Some("fffffffffffff830")),
        (INT4, 1000, "0005dc", None),
        // 1500.5 and -1234.56 as numeric_send writes them; NaN; digits beyond the length.
        (NUMERIC, 1000, "000200000000000105dc1388", Some("000100000000000007d0")),
        (NUMERIC, 1000, "000200004000000204d215e0", Some("000100004000000003e8")),
        (NUMERIC, 1, "0001ffff000000011388", Some("00010000000000000001")),
        (NUMERIC, 10_000, "0001000100000000000f", Some("0001000100000000000f")),
        (NUMERIC, 1000, "00000000c0000000", Some("0000000000000000")),
        (NUMERIC, 1000, "00050000000000000001", Some("0000000000000000")),
        (NUMERIC, 1000, "00", None),
    ] {
        let value: Vec<u8> =
            (0..value.len() / 2).map(|at| u8::from_str_radix(&value[2 * at..2 * at + 2], 16).unwrap()).collect();
        let masked = mask(&MaskWith::Round(multiple), oid, Format::Binary, &value);
        assert_eq!(masked.map(|bytes| hex(&bytes)).as_deref(), expected, "{oid} {multiple} {value:?}");
    }
}

#[test]
fn dates_are_cut_in_text() {
    use DatePart::{Day, Hour, Month, Year};
    for (oid, part, value, expected) in [
        (DATE, Year, "2024-05-06", Some("2024-01-01")),
        (DATE, Month, "2024-05-06", Some("2024-05-01")),
        (DATE, Hour, "2024-05-06", Some("2024-05-06")),
        (DATE, Year, "0044-03-15 BC", Some("0044-01-01 BC")),
        (DATE, Year, "infinity", Some("1970-01-01")),
        (DATE, Year, "05/06/2024", None),
        (DATE, Year, "2024-05-06x", None),
        (TIMESTAMP, Year, "2024-05-06 07:08:09.123", Some("2024-01-01 00:00:00")),
        (TIMESTAMP, Hour, "12024-05-06 07:08:09", Some("12024-05-06 07:00:00")),
        (TIMESTAMP, Day, "0044-03-15 07:08:09 BC", Some("0044-03-15 00:00:00 BC")),
        (TIMESTAMP, Day, "Mon May 06 07:08:09 2024", None),
        (TIMESTAMP, Day, "2024-05-06 07:08:09+02", None),
        (TIMESTAMPTZ, Month, "2024-05-06 07:08:09.5+02", Some("2024-05-01 00:00:00+02")),
        (TIMESTAMPTZ, Hour, "2024-05-06 07:08:09-03:30", Some("2024-05-06 07:00:00-03:30")),
        (TIMESTAMPTZ, Hour, "2024-05-06 07:08:09", None),
        (TIMESTAMPTZ, Hour, "2024-05-06 07:08:09+secret", None),
        (TIMESTAMPTZ, Year, "-infinity", Some("1970-01-01 00:00:00+00")),
        (TEXT, Year, "2024-05-06", Some("****")),
        (1083, Hour, "07:08:09", Some("00:00:00")),
    ] {
        assert_eq!(text(&MaskWith::Truncate(part), oid, value).as_deref(), expected, "{part:?} {value}");
    }
}

#[test]
fn dates_are_cut_in_binary_as_in_text() {
    let epoch = jiff::civil::date(2000, 1, 1);
    let mut day = jiff::civil::date(-400, 2, 27);
    while day.year() < 2500 {
        for (part, expected) in [
            (DatePart::Year, jiff::civil::date(day.year(), 1, 1)),
            (DatePart::Month, jiff::civil::date(day.year(), day.month(), 1)),
            (DatePart::Day, day),
        ] {
            let value = day.since(epoch).unwrap().get_days();
            let masked = mask(&MaskWith::Truncate(part), DATE, Format::Binary, &value.to_be_bytes()).expect("a date");
            let expected = expected.since(epoch).unwrap().get_days();
            assert_eq!(i32::from_be_bytes(masked.try_into().unwrap()), expected, "{part:?} {day}");

            let micros = i64::from(value) * 86_400_000_000 + 12_345_678_901;
            let masked =
                mask(&MaskWith::Truncate(part), TIMESTAMPTZ, Format::Binary, &micros.to_be_bytes()).expect("a time");
            assert_eq!(
                i64::from_be_bytes(masked.try_into().unwrap()),
                i64::from(expected) * 86_400_000_000,
                "{part:?} {day}"
            );
        }
        day = day.checked_add(jiff::Span::new().days(13)).unwrap();
    }
    let hour = mask(&MaskWith::Truncate(DatePart::Hour), TIMESTAMP, Format::Binary, &(-1_i64).to_be_bytes()).unwrap();
    assert_eq!(i64::from_be_bytes(hour.try_into().unwrap()), -3_600_000_000);
    for infinite in [i64::MAX, i64::MIN] {
        let masked = mask(&MaskWith::Truncate(DatePart::Year), TIMESTAMP, Format::Binary, &infinite.to_be_bytes());
        assert_eq!(masked.map(|bytes| hex(&bytes)).as_deref(), Some("fffca2fec4c82000"));
    }
    assert_eq!(mask(&MaskWith::Truncate(DatePart::Year), TIMESTAMP, Format::Binary, b"short"), None);
}

fn any_mask() -> impl Strategy<Value = MaskWith> {
    prop_oneof![
        Just(MaskWith::Full),
        Just(MaskWith::Null),
        Just(MaskWith::Email),
        Just(MaskWith::Hash),
        (0_u32..9, 0_u32..9).prop_map(|(first, last)| MaskWith::Keep { first, last }),
        "[a-z0-9]{0,6}".prop_map(|text| MaskWith::Constant(Arc::from(text))),
        any::<u64>().prop_map(MaskWith::Round),
        Just(MaskWith::Truncate(DatePart::Year)),
        Just(MaskWith::Truncate(DatePart::Month)),
        Just(MaskWith::Truncate(DatePart::Hour)),
    ]
}

fn any_type() -> impl Strategy<Value = u32> {
    const LISTED: &[u32] = &[
        16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 142, 600, 650, 700, 701, 774, 790, 829, 869, 1007, 1009, 1042, 1043,
        1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950, 3802, 3904, 4451, 16_999,
    ];
    prop_oneof![proptest::sample::select(LISTED), 0_u32..7000]
}

/// The length that a binary value of this type must have, where it has one.
fn width(oid: u32) -> Option<usize> {
    Some(match oid {
        16 | 18 => 1,
        21 => 2,
        23 | 26 | 700 | 1082 => 4,
        20 | 701 | 790 | 1083 | 1114 | 1184 => 8,
        1266 => 12,
        1186 | 2950 => 16,
        _ => return None,
    })
}

proptest! {
    #[test]
    fn anything_in_gives_a_valid_value_or_null(
        with in any_mask(), oid in any_type(), binary in any::<bool>(), value in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let format = if binary { Format::Binary } else { Format::Text };
        let masked = mask(&with, oid, format, &value);
        match (masked, format) {
            (Some(bytes), Format::Binary) => {
                if let Some(width) = width(oid) {
                    prop_assert_eq!(bytes.len(), width);
                }
            }
            (Some(bytes), Format::Text) => {
                let text = String::from_utf8(bytes).expect("text is UTF-8");
                if [20, 21, 23].contains(&oid) {
                    text.parse::<i64>().expect("an integer");
                }
            }
            (None, _) => {}
        }
    }

    #[test]
    fn nothing_of_a_value_is_left(
        oid in any_type(), binary in any::<bool>(), value in proptest::collection::vec(any::<u8>(), 8..40),
    ) {
        // Four bytes in a row tell something; a neutral value may share fewer by accident, and zeros by design.
        prop_assume!(value.windows(4).all(|part| part.iter().any(|b| *b != part[0])));
        let format = if binary { Format::Binary } else { Format::Text };
        for with in [MaskWith::Full, MaskWith::Hash, MaskWith::Constant(Arc::from("constant"))] {
            let (a, b) = (mask(&with, oid, format, &value), mask(&with, oid, format, b"another value"));
            if with == MaskWith::Hash {
                let masked = a.unwrap_or_default();
                prop_assert!(!value.windows(4).any(|part| masked.windows(4).any(|other| other == part)));
            } else {
                prop_assert_eq!(a, b, "the same for every value");
            }
        }
    }

    #[test]
    fn kept_characters_are_at_most_half(value in "\\PC{0,30}", first in 0_u32..20, last in 0_u32..20) {
        let masked = text(&MaskWith::Keep { first, last }, TEXT, &value).expect("text");
        prop_assert_eq!(masked.chars().count(), value.chars().count());
        let kept = masked.chars().zip(value.chars()).filter(|(a, b)| a == b && *a != '*').count();
        prop_assert!(kept * 2 <= value.chars().count());
    }

    #[test]
    fn rounding_is_the_same_in_text_and_binary(value in any::<i64>(), multiple in 1_u64..1_000_000) {
        let round = MaskWith::Round(multiple);
        let in_text: i64 = text(&round, INT8, &value.to_string()).expect("a number").parse().expect("a number");
        let binary = mask(&round, INT8, Format::Binary, &value.to_be_bytes()).expect("a number");
        prop_assert_eq!(in_text.to_be_bytes().to_vec(), binary);
        prop_assert_eq!(i128::from(in_text) % i128::from(multiple), 0);
        prop_assert!((i128::from(in_text) - i128::from(value)).abs() <= i128::from(multiple));
    }
}
