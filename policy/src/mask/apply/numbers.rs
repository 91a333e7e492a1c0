//! Numbers rounded to a multiple, in text and binary, numeric's base 10000 among them.

use super::{Family, Format, PgType, family};

/// Appends the multiple of `multiple` that is nearest to the number, halves away from zero (towards zero where that
/// would not fit the type); `None` for other types, NaN, infinities and what cannot be read.
pub(super) fn round(ty: PgType, value: &[u8], multiple: u64, out: &mut Vec<u8>) -> Option<()> {
    let multiple = i128::from(multiple);
    if multiple == 0 {
        return None;
    }
    match (family(ty.oid), ty.format) {
        (Family::Int(width), format) => {
            let number = read_int(width, format, value)?;
            let near = nearest(number, false, multiple)?;
            let fits = |n: i128| n >= -(1 << (8 * u32::from(width) - 1)) && n < (1 << (8 * u32::from(width) - 1));
            let near = if fits(near) { near } else { number - number % multiple };
            write_int(width, format, near, out)
        }
        (Family::Float(width), format) => {
            let number = read_float(width, format, value)?;
            write_float(width, format, nearest_float(number, multiple)?, out)
        }
        (Family::Numeric, Format::Text) => {
            let decimal = Decimal::from_text(std::str::from_utf8(value).ok()?)?;
            out.extend_from_slice(decimal.nearest(multiple)?.to_string().as_bytes());
            Some(())
        }
        (Family::Numeric, Format::Binary) => {
            let decimal = Decimal::from_binary(value)?;
            numeric_binary(decimal.nearest(multiple)?, out)
        }
        _ => None,
    }
}

/// Whether `value` is of a number's type and yet not such a number.
pub(super) fn unreadable(ty: PgType, value: &[u8]) -> bool {
    match (family(ty.oid), ty.format) {
        (Family::Int(width), format) => read_int(width, format, value).is_none(),
        (Family::Float(width), Format::Binary) => value.len() != usize::from(width),
        (Family::Numeric, Format::Binary) => value.len() < 8,
        (Family::Float(_), Format::Text) => {
            std::str::from_utf8(value).ok().and_then(|t| t.parse::<f64>().ok()).is_none()
        }
        (Family::Numeric, Format::Text) => {
            !matches!(value, b"NaN" | b"Infinity" | b"-Infinity")
                && !value.iter().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'))
        }
        _ => false,
    }
}

/// The nearest multiple; `over` says that a fraction of at least one half has been cut off.
pub(super) fn nearest(whole: i128, over: bool, multiple: i128) -> Option<i128> {
    let rest = (whole % multiple).abs();
    let low = whole.abs() - rest;
    let twice = rest.checked_mul(2)?.checked_add(i128::from(over))?;
    let size = if twice >= multiple { low.checked_add(multiple)? } else { low };
    Some(if whole < 0 { -size } else { size })
}

#[expect(clippy::cast_precision_loss, reason = "a multiple above 2^53 is as inexact as the float it rounds")]
pub(super) fn nearest_float(number: f64, multiple: i128) -> Option<f64> {
    let multiple = multiple as f64;
    let rounded = (number / multiple).round() * multiple;
    // Adding zero turns -0 into 0.
    rounded.is_finite().then_some(rounded + 0.0)
}

fn read_int(width: u8, format: Format, value: &[u8]) -> Option<i128> {
    match format {
        Format::Text => std::str::from_utf8(value).ok()?.parse::<i64>().ok().map(i128::from),
        Format::Binary => match width {
            2 => Some(i16::from_be_bytes(value.try_into().ok()?).into()),
            4 => Some(i32::from_be_bytes(value.try_into().ok()?).into()),
            _ => Some(i64::from_be_bytes(value.try_into().ok()?).into()),
        },
    }
}

/// Appends an integer of `width` bytes; `None` when it does not fit.
pub(super) fn write_int(width: u8, format: Format, number: i128, out: &mut Vec<u8>) -> Option<()> {
    let (short, int, long) = (i16::try_from(number), i32::try_from(number), i64::try_from(number));
    match (format, width) {
        (Format::Text, 2) => out.extend_from_slice(short.ok()?.to_string().as_bytes()),
        (Format::Text, 4) => out.extend_from_slice(int.ok()?.to_string().as_bytes()),
        (Format::Text, _) => out.extend_from_slice(long.ok()?.to_string().as_bytes()),
        (Format::Binary, 2) => out.extend_from_slice(&short.ok()?.to_be_bytes()),
        (Format::Binary, 4) => out.extend_from_slice(&int.ok()?.to_be_bytes()),
        (Format::Binary, _) => out.extend_from_slice(&long.ok()?.to_be_bytes()),
    }
    Some(())
}

fn read_float(width: u8, format: Format, value: &[u8]) -> Option<f64> {
    let number = match (format, width) {
        (Format::Text, _) => std::str::from_utf8(value).ok()?.parse().ok()?,
        (Format::Binary, 4) => f32::from_be_bytes(value.try_into().ok()?).into(),
        (Format::Binary, _) => f64::from_be_bytes(value.try_into().ok()?),
    };
    number.is_finite().then_some(number)
}

/// Appends a finite float of `width` bytes; `None` when it does not fit.
pub(super) fn write_float(width: u8, format: Format, number: f64, out: &mut Vec<u8>) -> Option<()> {
    #[expect(clippy::cast_possible_truncation, reason = "a result that is no longer finite is refused below")]
    let short = number as f32;
    if !number.is_finite() || (width == 4 && !short.is_finite()) {
        return None;
    }
    match (format, width) {
        (Format::Text, _) if number.abs() >= 1e15 => out.extend_from_slice(format!("{number:e}").as_bytes()),
        (Format::Text, _) => out.extend_from_slice(number.to_string().as_bytes()),
        (Format::Binary, 4) => out.extend_from_slice(&short.to_be_bytes()),
        (Format::Binary, _) => out.extend_from_slice(&number.to_be_bytes()),
    }
    Some(())
}

/// A numeric as far as rounding to whole multiples needs it.
pub(super) struct Decimal {
    negative: bool,
    whole: i128,
    /// Whether the fraction is at least one half.
    half: bool,
}

impl Decimal {
    /// `-12.34`: what numeric_out prints. NaN and infinities are none.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if digits.is_empty() || digits == "." || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        Some(Self { negative, whole, half: fraction.bytes().next().is_some_and(|b| b >= b'5') })
    }

    /// numeric_send: ndigits, weight, sign, dscale, then digits of base 10000, the first at 10000^weight.
    fn from_binary(value: &[u8]) -> Option<Self> {
        let mut words =
            value.chunks_exact(2).map(|pair| <[u8; 2]>::try_from(pair).map(u16::from_be_bytes).unwrap_or(0));
        let count = usize::from(words.next()?);
        let weight = i32::from(words.next()?.cast_signed());
        let sign = words.next()?;
        words.next()?;
        if value.len() != 8 + 2 * count || !matches!(sign, 0 | 0x4000) || weight > 9 {
            return None;
        }
        let (mut whole, mut half, mut place) = (0_i128, false, weight);
        for digit in words {
            if digit > 9999 {
                return None;
            }
            if place >= 0 {
                whole = whole.checked_mul(10_000)?.checked_add(digit.into())?;
            } else if place == -1 {
                half = digit >= 5000;
            }
            place -= 1;
        }
        // Trailing zeros are not sent.
        while place >= 0 {
            whole = whole.checked_mul(10_000)?;
            place -= 1;
        }
        Some(Self { negative: sign != 0, whole, half })
    }

    pub(super) fn nearest(&self, multiple: i128) -> Option<i128> {
        let size = nearest(self.whole, self.half, multiple)?;
        Some(if self.negative { -size } else { size })
    }
}

/// Appends a whole number as numeric_send writes it.
pub(super) fn numeric_binary(number: i128, out: &mut Vec<u8>) -> Option<()> {
    let mut rest = number.unsigned_abs();
    let mut digits = Vec::new();
    while rest > 0 {
        digits.push(u16::try_from(rest % 10_000).ok()?);
        rest /= 10_000;
    }
    let weight = u16::try_from(digits.len().saturating_sub(1)).ok()?;
    // Trailing zeros are not sent.
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let count = u16::try_from(digits.len() - zeros).ok()?;
    for word in [count, weight, if number < 0 { 0x4000 } else { 0 }, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for digit in digits.iter().skip(zeros).rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
    Some(())
}
