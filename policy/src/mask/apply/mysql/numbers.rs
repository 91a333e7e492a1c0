//! Numbers rounded to a multiple, in text and in MySQL's binary format (little end first).

use super::{
    super::numbers::{Decimal, nearest, nearest_float},
    Family, Format, MysqlType,
};

/// Appends the multiple of `multiple` that is nearest to the number, halves away from zero (towards zero where that
/// would not fit the type); `None` for other types and what cannot be read.
pub(super) fn round(ty: MysqlType, value: &[u8], multiple: u64, out: &mut Vec<u8>) -> Option<()> {
    let multiple = i128::from(multiple);
    if multiple == 0 {
        return None;
    }
    match ty.family() {
        Family::Int(width) => {
            let number = read_int(ty, width, value)?;
            let near = nearest(number, false, multiple)?;
            let near = if fits(ty, width, near) { near } else { number - number % multiple };
            write_int(ty, width, near, out)
        }
        Family::Float(width) => {
            let near = nearest_float(read_float(width, ty.format, value)?, multiple)?;
            write_float(width, ty.format, near, out)
        }
        Family::Decimal => {
            let near = Decimal::from_text(std::str::from_utf8(value).ok()?)?.nearest(multiple)?;
            out.extend_from_slice(near.to_string().as_bytes());
            Some(())
        }
        Family::Text
        | Family::Choice
        | Family::Bytes
        | Family::Bits(_)
        | Family::Year
        | Family::Date
        | Family::DateTime
        | Family::Time
        | Family::Json
        | Family::Uuid
        | Family::Inet4
        | Family::Inet6
        | Family::Other => None,
    }
}

/// Whether `value` is of a number's type and yet not such a number.
pub(super) fn unreadable(ty: MysqlType, value: &[u8]) -> bool {
    match ty.family() {
        Family::Int(width) => read_int(ty, width, value).is_none(),
        Family::Float(width) => read_float(width, ty.format, value).is_none(),
        Family::Decimal => std::str::from_utf8(value).ok().and_then(Decimal::from_text).is_none(),
        Family::Text
        | Family::Choice
        | Family::Bytes
        | Family::Bits(_)
        | Family::Year
        | Family::Date
        | Family::DateTime
        | Family::Time
        | Family::Json
        | Family::Uuid
        | Family::Inet4
        | Family::Inet6
        | Family::Other => false,
    }
}

fn fits(ty: MysqlType, width: usize, number: i128) -> bool {
    let bits = 8 * u32::try_from(width).unwrap_or(8);
    if ty.is_unsigned() {
        (0..1_i128 << bits).contains(&number)
    } else {
        (-(1_i128 << (bits - 1))..1_i128 << (bits - 1)).contains(&number)
    }
}

fn read_int(ty: MysqlType, width: usize, value: &[u8]) -> Option<i128> {
    match ty.format {
        Format::Text => std::str::from_utf8(value).ok()?.parse().ok(),
        Format::Binary => {
            let negative = !ty.is_unsigned() && value.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut bytes = [if negative { 0xff } else { 0 }; 16];
            bytes.get_mut(..width)?.copy_from_slice(value.get(..width).filter(|_| value.len() == width)?);
            Some(i128::from_le_bytes(bytes))
        }
    }
}

/// Appends an integer; `None` when it does not fit.
pub(super) fn write_int(ty: MysqlType, width: usize, number: i128, out: &mut Vec<u8>) -> Option<()> {
    if !fits(ty, width, number) {
        return None;
    }
    match ty.format {
        Format::Text => out.extend_from_slice(number.to_string().as_bytes()),
        Format::Binary => out.extend_from_slice(number.to_le_bytes().get(..width)?),
    }
    Some(())
}

fn read_float(width: usize, format: Format, value: &[u8]) -> Option<f64> {
    let number = match (format, width) {
        (Format::Text, _) => std::str::from_utf8(value).ok()?.parse().ok()?,
        (Format::Binary, 4) => f32::from_le_bytes(value.try_into().ok()?).into(),
        (Format::Binary, _) => f64::from_le_bytes(value.try_into().ok()?),
    };
    number.is_finite().then_some(number)
}

/// Appends a finite float; `None` when it does not fit.
pub(super) fn write_float(width: usize, format: Format, number: f64, out: &mut Vec<u8>) -> Option<()> {
    #[expect(clippy::cast_possible_truncation, reason = "a result that is no longer finite is refused below")]
    let short = number as f32;
    if !number.is_finite() || (width == 4 && !short.is_finite()) {
        return None;
    }
    match (format, width) {
        (Format::Text, _) if number.abs() >= 1e15 => out.extend_from_slice(format!("{number:e}").as_bytes()),
        (Format::Text, _) => out.extend_from_slice(number.to_string().as_bytes()),
        (Format::Binary, 4) => out.extend_from_slice(&short.to_le_bytes()),
        (Format::Binary, _) => out.extend_from_slice(&number.to_le_bytes()),
    }
    Some(())
}
