//! The same constant for every value, written as the column's type wants it.

use super::{
    Family, Format, PgType, family,
    numbers::{numeric_binary, write_float, write_int},
};

/// Appends `constant` as a value of type `ty`; `None` when that type cannot hold it.
pub(super) fn write(ty: PgType, constant: &str, out: &mut Vec<u8>) -> Option<()> {
    // A NUL is no character of any Postgres type.
    if constant.contains('\0') {
        return None;
    }
    match (family(ty.oid), ty.format) {
        (Family::Text, _) => out.extend_from_slice(constant.as_bytes()),
        (Family::Char, _) if constant.len() == 1 => out.extend_from_slice(constant.as_bytes()),
        (Family::Bool, format) => {
            let truth = boolean(constant)?;
            out.push(match format {
                Format::Text if truth => b't',
                Format::Text => b'f',
                Format::Binary => u8::from(truth),
            });
        }
        (Family::Int(width), format) => write_int(width, format, constant.parse().ok()?, out)?,
        (Family::Float(width), format) => write_float(width, format, constant.parse().ok()?, out)?,
        (Family::Unsigned, format) => {
            let number: u32 = constant.parse().ok()?;
            match format {
                Format::Text => out.extend_from_slice(number.to_string().as_bytes()),
                Format::Binary => out.extend_from_slice(&number.to_be_bytes()),
            }
        }
        (Family::Numeric, Format::Text) => {
            let digits = constant.strip_prefix('-').unwrap_or(constant);
            let well_formed = digits.starts_with(|c: char| c.is_ascii_digit())
                && digits.ends_with(|c: char| c.is_ascii_digit())
                && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                && digits.bytes().filter(|b| *b == b'.').count() <= 1;
            out.extend_from_slice(well_formed.then_some(constant)?.as_bytes());
        }
        // Whole numbers only: a fraction becomes the neutral value in binary.
        (Family::Numeric, Format::Binary) => numeric_binary(constant.parse().ok()?, out)?,
        (Family::Json, _) | (Family::Jsonb, Format::Text) => out.extend_from_slice(json(constant)?),
        (Family::Jsonb, Format::Binary) => {
            out.push(1);
            out.extend_from_slice(json(constant)?);
        }
        (Family::Uuid, format) => uuid(constant, format, out)?,
        (Family::Date, format) => {
            let date: jiff::civil::Date = constant.parse().ok()?;
            match format {
                Format::Text if date.year() >= 1 => out.extend_from_slice(date.to_string().as_bytes()),
                Format::Text => return None,
                Format::Binary => {
                    let since = date.since(jiff::civil::date(2000, 1, 1)).ok()?;
                    out.extend_from_slice(&since.get_days().to_be_bytes());
                }
            }
        }
        _ => return None,
    }
    Some(())
}

fn boolean(constant: &str) -> Option<bool> {
    match constant {
        "t" | "true" => Some(true),
        "f" | "false" => Some(false),
        _ => None,
    }
}

fn json(constant: &str) -> Option<&[u8]> {
    serde_json::from_str::<serde::de::IgnoredAny>(constant).ok()?;
    Some(constant.as_bytes())
}

fn uuid(constant: &str, format: Format, out: &mut Vec<u8>) -> Option<()> {
    let hyphens_right = constant.len() == 36
        && constant.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    if !hyphens_right {
        return None;
    }
    match format {
        Format::Text => out.extend_from_slice(constant.to_ascii_lowercase().as_bytes()),
        Format::Binary => {
            let number = u128::from_str_radix(&constant.replace('-', ""), 16).ok()?;
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
    Some(())
}
