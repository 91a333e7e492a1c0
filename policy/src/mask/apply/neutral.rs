//! Types by family, and the neutral value of each: what a full mask shows, the same for every stored value.

use super::{Format, PgType};

/// What a type's values look like. A type that is not listed has no family of its own and is masked by NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// text, varchar, bpchar, name, cstring, unknown: the same bytes in both formats.
    Text,
    /// `"char"`: one byte.
    Char,
    /// bool.
    Bool,
    /// int2, int4, int8 of that many bytes.
    Int(u8),
    /// oid, xid, cid: four bytes without a sign.
    Unsigned,
    /// float4, float8 of that many bytes.
    Float(u8),
    /// numeric.
    Numeric,
    /// money: its text depends on the server's locale.
    Money,
    /// bytea.
    Bytes,
    /// date.
    Date,
    /// time.
    Time,
    /// timetz.
    TimeTz,
    /// timestamp.
    Timestamp,
    /// timestamptz.
    TimestampTz,
    /// interval.
    Interval,
    /// uuid.
    Uuid,
    /// json.
    Json,
    /// jsonb: its binary form starts with a version byte.
    Jsonb,
    /// xml.
    Xml,
    /// inet.
    Inet,
    /// cidr.
    Cidr,
    /// macaddr (6) and macaddr8 (8).
    Mac(u8),
    /// A range.
    Range,
    /// A multirange.
    Multirange,
    /// An array of the built-in type with that OID.
    Array(u32),
    /// Everything else: geometry, bit strings, tsquery, records, enums and other types of users.
    Other,
}

/// The family of the type with this OID (`pg_type.dat`).
pub fn family(oid: u32) -> Family {
    match oid {
        19 | 25 | 705 | 1042 | 1043 | 2275 => Family::Text,
        18 => Family::Char,
        16 => Family::Bool,
        21 => Family::Int(2),
        23 => Family::Int(4),
        20 => Family::Int(8),
        26 | 28 | 29 => Family::Unsigned,
        700 => Family::Float(4),
        701 => Family::Float(8),
        1700 => Family::Numeric,
        790 => Family::Money,
        17 => Family::Bytes,
        1082 => Family::Date,
        1083 => Family::Time,
        1266 => Family::TimeTz,
        1114 => Family::Timestamp,
        1184 => Family::TimestampTz,
        1186 => Family::Interval,
        2950 => Family::Uuid,
        114 => Family::Json,
        3802 => Family::Jsonb,
        142 => Family::Xml,
        869 => Family::Inet,
        650 => Family::Cidr,
        829 => Family::Mac(6),
        774 => Family::Mac(8),
        3904 | 3906 | 3908 | 3910 | 3912 | 3926 => Family::Range,
        4451 | 4532..=4536 => Family::Multirange,
        _ => array_element(oid).map_or(Family::Other, Family::Array),
    }
}

/// The element's OID of a built-in array type.
fn array_element(oid: u32) -> Option<u32> {
    Some(match oid {
        143 => 142,
        199 => 114,
        271 => 5069,
        629 => 628,
        651 => 650,
        719 => 718,
        775 => 774,
        791 => 790,
        1000..=1003 => oid - 984,
        1005 => 21,
        1006 => 22,
        1007 => 23,
        1008 => 24,
        1009 => 25,
        1010..=1013 => oid - 983,
        1014 => 1042,
        1015 => 1043,
        1016 => 20,
        1017..=1020 => oid - 417,
        1021 => 700,
        1022 => 701,
        1027 => 604,
        1028 => 26,
        1040 => 829,
        1041 => 869,
        1115 => 1114,
        1182 => 1082,
        1183 => 1083,
        1185 => 1184,
        1187 => 1186,
        1231 => 1700,
        1263 => 2275,
        1270 => 1266,
        1561 => 1560,
        1563 => 1562,
        2201 => 1790,
        2207..=2211 => oid - 5,
        2951 => 2950,
        3221 => 3220,
        3643 => 3614,
        3645 => 3615,
        3807 => 3802,
        3905 | 3907 | 3909 | 3911 | 3913 | 3927 => oid - 1,
        4073 => 4072,
        6150 => 4451,
        6151..=6153 => oid - 1619,
        6155 => 4535,
        6157 => 4536,
        _ => return None,
    })
}

/// Microseconds from 1970-01-01 to 2000-01-01, where Postgres counts from.
pub(super) const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Days from 1970-01-01 to 2000-01-01.
pub(super) const EPOCH_DAYS: i32 = 10_957;

/// Appends the neutral value; `None`: the type has none, and NULL takes its place.
pub(super) fn write(ty: PgType, out: &mut Vec<u8>) -> Option<()> {
    match ty.format {
        Format::Text => out.extend_from_slice(text(family(ty.oid))?.as_bytes()),
        Format::Binary => binary(family(ty.oid), out)?,
    }
    Some(())
}

/// The neutral value in text format: valid under every DateStyle, IntervalStyle and bytea_output.
fn text(family: Family) -> Option<&'static str> {
    Some(match family {
        Family::Text => "****",
        Family::Char => "*",
        Family::Bool => "f",
        Family::Int(_) | Family::Unsigned | Family::Float(_) | Family::Numeric | Family::Money => "0",
        Family::Bytes => "\\x",
        Family::Date => "1970-01-01",
        Family::Time | Family::Interval => "00:00:00",
        Family::TimeTz => "00:00:00+00",
        Family::Timestamp => "1970-01-01 00:00:00",
        Family::TimestampTz => "1970-01-01 00:00:00+00",
        Family::Uuid => "00000000-0000-0000-0000-000000000000",
        Family::Json | Family::Jsonb => "\"****\"",
        Family::Xml => "<masked/>",
        Family::Inet => "0.0.0.0",
        Family::Cidr => "0.0.0.0/0",
        Family::Mac(6) => "00:00:00:00:00:00",
        Family::Mac(_) => "00:00:00:00:00:00:00:00",
        Family::Range => "empty",
        Family::Multirange | Family::Array(_) => "{}",
        Family::Other => return None,
    })
}

/// The neutral value as the type's send function would write it.
fn binary(family: Family, out: &mut Vec<u8>) -> Option<()> {
    match family {
        Family::Text | Family::Char | Family::Json | Family::Xml => out.extend_from_slice(text(family)?.as_bytes()),
        Family::Jsonb => {
            out.push(1);
            out.extend_from_slice(text(family)?.as_bytes());
        }
        Family::Bool => out.push(0),
        Family::Bytes => {}
        Family::Int(width) | Family::Float(width) | Family::Mac(width) => zeros(width, out),
        Family::Unsigned | Family::Multirange => zeros(4, out),
        Family::Numeric | Family::Money | Family::Time => zeros(8, out),
        Family::TimeTz => zeros(12, out),
        Family::Interval | Family::Uuid => zeros(16, out),
        Family::Date => out.extend_from_slice(&(-EPOCH_DAYS).to_be_bytes()),
        Family::Timestamp | Family::TimestampTz => out.extend_from_slice(&(-EPOCH_MICROS).to_be_bytes()),
        // Family (2 is IPv4), prefix length, is_cidr, address length, address.
        Family::Inet => out.extend_from_slice(&[2, 32, 0, 4, 0, 0, 0, 0]),
        Family::Cidr => out.extend_from_slice(&[2, 0, 1, 4, 0, 0, 0, 0]),
        // The flags byte alone: RANGE_EMPTY.
        Family::Range => out.push(1),
        // No dimensions, no NULLs, the element's type.
        Family::Array(element) => {
            zeros(8, out);
            out.extend_from_slice(&element.to_be_bytes());
        }
        Family::Other => return None,
    }
    Some(())
}

fn zeros(count: u8, out: &mut Vec<u8>) {
    out.resize(out.len() + usize::from(count), 0);
}
