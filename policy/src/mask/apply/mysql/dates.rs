//! Dates and times of day cut to a part. MySQL's dates may have zeros for month and day, which stay zeros.

use super::{DatePart, Family, Format, MysqlType};

/// A date and, for DATETIME and TIMESTAMP, its hour; what is finer is never shown.
struct Cut {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
}

/// Appends the date cut to `part`; `None` for other types and what cannot be read.
pub(super) fn truncate(ty: MysqlType, value: &[u8], part: DatePart, out: &mut Vec<u8>) -> Option<()> {
    let read = read(ty, value)?;
    let first = |whole: u8| whole.min(1);
    let cut = match part {
        DatePart::Year => Cut { month: first(read.month), day: first(read.day), hour: 0, ..read },
        DatePart::Month => Cut { day: first(read.day), hour: 0, ..read },
        DatePart::Day => Cut { hour: 0, ..read },
        DatePart::Hour => read,
    };
    let Cut { year, month, day, hour } = cut;
    match (ty.family(), ty.format) {
        (Family::Date, Format::Text) => out.extend_from_slice(format!("{year:04}-{month:02}-{day:02}").as_bytes()),
        (_, Format::Text) => {
            out.extend_from_slice(format!("{year:04}-{month:02}-{day:02} {hour:02}:00:00").as_bytes());
        }
        (_, Format::Binary) => {
            out.extend_from_slice(&year.to_le_bytes());
            out.extend_from_slice(&[month, day]);
            if hour > 0 {
                out.extend_from_slice(&[hour, 0, 0]);
            }
        }
    }
    Some(())
}

/// Whether `value` is of a date's type and yet cannot be read.
pub(super) fn unreadable(ty: MysqlType, value: &[u8]) -> bool {
    matches!(ty.family(), Family::Date | Family::DateTime) && read(ty, value).is_none()
}

fn read(ty: MysqlType, value: &[u8]) -> Option<Cut> {
    let cut = match (ty.family(), ty.format) {
        (Family::Date | Family::DateTime, Format::Text) => read_text(std::str::from_utf8(value).ok()?)?,
        (Family::Date | Family::DateTime, Format::Binary) => match *value {
            [] => Cut { year: 0, month: 0, day: 0, hour: 0 },
            [a, b, month, day] => Cut { year: u16::from_le_bytes([a, b]), month, day, hour: 0 },
            [a, b, month, day, hour, _, _] | [a, b, month, day, hour, _, _, _, _, _, _] => {
                Cut { year: u16::from_le_bytes([a, b]), month, day, hour }
            }
            _ => return None,
        },
        _ => return None,
    };
    (cut.year <= 9999 && cut.month <= 12 && cut.day <= 31 && cut.hour <= 23).then_some(cut)
}

/// `2024-02-29` or `2024-02-29 23:59:59.999999`.
fn read_text(text: &str) -> Option<Cut> {
    let (date, time) = text.split_once(' ').map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return None;
    }
    let hour = match time {
        None => "0",
        Some(time) => time.split(':').next().filter(|hour| digits(hour, 2))?,
    };
    Some(Cut { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()?, hour: hour.parse().ok()? })
}
