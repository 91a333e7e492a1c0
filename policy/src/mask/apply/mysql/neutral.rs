//! The neutral value of each family, the same for every stored value, and constants written as a type wants them.

use super::{
    Family, Format, MysqlType,
    numbers::{write_float, write_int},
};

/// Appends the neutral value; `None`: the type has none, and NULL takes its place.
pub(super) fn write(ty: MysqlType, out: &mut Vec<u8>) -> Option<()> {
    let family = ty.family();
    match (family, ty.format) {
        (Family::Text | Family::Decimal | Family::Json | Family::Uuid | Family::Inet4 | Family::Inet6, _)
        | (Family::Year | Family::Int(_) | Family::Float(_), Format::Text)
        | (Family::Date | Family::DateTime | Family::Time, Format::Text) => {
            out.extend_from_slice(text(family)?.as_bytes());
        }
        (Family::Choice | Family::Bytes, _) => {}
        (Family::Bits(count), _) | (Family::Int(count) | Family::Float(count), Format::Binary) => {
            out.resize(out.len() + count, 0);
        }
        (Family::Year, Format::Binary) => out.extend_from_slice(&1970_u16.to_le_bytes()),
        // Year, month and day; midnight needs no bytes, and neither does a TIME of zero.
        (Family::Date | Family::DateTime, Format::Binary) => {
            out.extend_from_slice(&1970_u16.to_le_bytes());
            out.extend_from_slice(&[1, 1]);
        }
        (Family::Time, Format::Binary) => {}
        (Family::Other, _) => return None,
    }
    Some(())
}

fn text(family: Family) -> Option<&'static str> {
    Some(match family {
        Family::Text => "****",
        Family::Choice | Family::Bytes => "",
        Family::Int(_) | Family::Float(_) | Family::Decimal => "0",
        Family::Year => "1970",
        Family::Date => "1970-01-01",
        Family::DateTime => "1970-01-01 00:00:00",
        Family::Time => "00:00:00",
        Family::Json => "\"****\"",
        Family::Uuid => "00000000-0000-0000-0000-000000000000",
        Family::Inet4 => "0.0.0.0",
        Family::Inet6 => "::",
        Family::Bits(_) | Family::Other => return None,
    })
}

/// Appends `constant` as a value of type `ty`; `None` when that type cannot hold it.
pub(super) fn constant(ty: MysqlType, constant: &str, out: &mut Vec<u8>) -> Option<()> {
    match ty.family() {
        Family::Text => out.extend_from_slice(constant.as_bytes()),
        Family::Int(width) => write_int(ty, width, constant.parse().ok()?, out)?,
        Family::Float(width) => write_float(width, ty.format, constant.parse().ok()?, out)?,
        Family::Decimal => {
            let digits = constant.strip_prefix('-').unwrap_or(constant);
            let well_formed = digits.starts_with(|c: char| c.is_ascii_digit())
                && digits.ends_with(|c: char| c.is_ascii_digit())
                && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                && digits.bytes().filter(|b| *b == b'.').count() <= 1;
            out.extend_from_slice(well_formed.then_some(constant)?.as_bytes());
        }
        Family::Json => {
            serde_json::from_str::<serde::de::IgnoredAny>(constant).ok()?;
            out.extend_from_slice(constant.as_bytes());
        }
        Family::Date => {
            let date: jiff::civil::Date = constant.parse().ok()?;
            let year = u16::try_from(date.year()).ok()?;
            match ty.format {
                Format::Text => out.extend_from_slice(date.to_string().as_bytes()),
                Format::Binary => {
                    out.extend_from_slice(&year.to_le_bytes());
                    out.extend_from_slice(&[date.month().unsigned_abs(), date.day().unsigned_abs()]);
                }
            }
        }
        Family::Choice
        | Family::Bytes
        | Family::Bits(_)
        | Family::Year
        | Family::DateTime
        | Family::Time
        | Family::Uuid
        | Family::Inet4
        | Family::Inet6
        | Family::Other => return None,
    }
    Some(())
}
