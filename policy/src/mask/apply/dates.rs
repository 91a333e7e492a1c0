//! Dates and timestamps cut to a part. Text in the ISO DateStyle only; binary counts from 2000-01-01, UTC.

use std::ops::Range;

use super::{
    DatePart, Family, Format, PgType, family,
    neutral::{EPOCH_DAYS, EPOCH_MICROS},
};

const MICROS_PER_HOUR: i64 = 3_600_000_000;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// Appends the date or timestamp cut to `part`; `None` for other types, infinities and what cannot be read.
pub(super) fn truncate(ty: PgType, value: &[u8], part: DatePart, out: &mut Vec<u8>) -> Option<()> {
    let family = family(ty.oid);
    match (family, ty.format) {
        (Family::Date | Family::Timestamp | Family::TimestampTz, Format::Text) => {
            let text = std::str::from_utf8(value).ok()?;
            truncate_text(text, &Iso::read(text, family)?, part, out)
        }
        (Family::Date, Format::Binary) => {
            let days = i32::from_be_bytes(value.try_into().ok()?);
            if days == i32::MAX || days == i32::MIN {
                return None;
            }
            let cut = cut_days(i64::from(days) + i64::from(EPOCH_DAYS), part) - i64::from(EPOCH_DAYS);
            out.extend_from_slice(&i32::try_from(cut).ok()?.to_be_bytes());
            Some(())
        }
        (Family::Timestamp | Family::TimestampTz, Format::Binary) => {
            let micros = i64::from_be_bytes(value.try_into().ok()?);
            if micros == i64::MAX || micros == i64::MIN {
                return None;
            }
            let micros = micros.checked_add(EPOCH_MICROS)?;
            let cut = match part {
                DatePart::Hour => micros - micros.rem_euclid(MICROS_PER_HOUR),
                DatePart::Year | DatePart::Month | DatePart::Day => {
                    cut_days(micros.div_euclid(MICROS_PER_DAY), part).checked_mul(MICROS_PER_DAY)?
                }
            };
            out.extend_from_slice(&cut.checked_sub(EPOCH_MICROS)?.to_be_bytes());
            Some(())
        }
        _ => None,
    }
}

/// Whether `value` is a date or timestamp that cannot be read: in another DateStyle, say, where a neutral value in
/// ISO style would be the only one of its kind in the column. Infinities can be read.
pub(super) fn unreadable(ty: PgType, value: &[u8]) -> bool {
    let family = family(ty.oid);
    match (family, ty.format) {
        (Family::Date | Family::Timestamp | Family::TimestampTz, Format::Text) => {
            !matches!(value, b"infinity" | b"-infinity")
                && !std::str::from_utf8(value).is_ok_and(|text| Iso::read(text, family).is_some())
        }
        (Family::Date, Format::Binary) => value.len() != 4,
        (Family::Timestamp | Family::TimestampTz, Format::Binary) => value.len() != 8,
        _ => false,
    }
}

/// Days since 1970-01-01 to the first day of their year or month (civil calendar in eras of 400 years, which start
/// in March so that the leap day is the last).
fn cut_days(days: i64, part: DatePart) -> i64 {
    const ERA: i64 = 146_097;
    let shifted = days + 719_468;
    let day_of_era = shifted.rem_euclid(ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * march_month + 2) / 5;
    match part {
        DatePart::Day | DatePart::Hour => days,
        DatePart::Month => days - day_of_month,
        DatePart::Year => {
            // A year that starts in March has 306 days before its 1 January.
            let since_january = if march_month >= 10 {
                day_of_year - 306
            } else {
                // Year 0 of an era is its 400th calendar year, so year_of_era says whether February had 29 days.
                let leap = year_of_era % 4 == 0 && (year_of_era % 100 != 0 || year_of_era == 0);
                day_of_year + 59 + i64::from(leap)
            };
            days - since_january
        }
    }
}

/// Where the parts of `YYYY-MM-DD[ HH:MM:SS[.f]][±HH[:MM[:SS]]][ BC]` are.
struct Iso {
    year_end: usize,
    month_end: usize,
    day_end: usize,
    hour: Option<Range<usize>>,
    /// The zone and the era, as they stand.
    suffix: usize,
}

impl Iso {
    fn read(text: &str, family: Family) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
        let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
        let year_end = digits(0);
        let (month_end, day_end) = (year_end + 3, year_end + 6);
        let date = (4..=7).contains(&year_end)
            && is(year_end, b'-')
            && digits(year_end + 1) == 2
            && is(month_end, b'-')
            && digits(month_end + 1) == 2;
        let mut suffix = day_end;
        let mut hour = None;
        if family != Family::Date {
            let at = day_end + 1;
            let time = is(day_end, b' ')
                && digits(at) == 2
                && is(at + 2, b':')
                && digits(at + 3) == 2
                && is(at + 5, b':')
                && digits(at + 6) == 2;
            if !time {
                return None;
            }
            suffix = at + 8;
            if is(suffix, b'.') {
                suffix += 1 + digits(suffix + 1);
            }
            hour = Some(at..at + 2);
        }
        let rest = text.get(suffix..)?;
        let zone = rest.strip_suffix(" BC").unwrap_or(rest);
        let zone_is_right = if family == Family::TimestampTz {
            let mut parts = zone.get(1..).unwrap_or_default().split(':');
            zone.starts_with(['+', '-'])
                && zone.len() <= 9
                && parts.all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()))
        } else {
            zone.is_empty()
        };
        (date && zone_is_right).then_some(Self { year_end, month_end, day_end, hour, suffix })
    }
}

fn truncate_text(text: &str, iso: &Iso, part: DatePart, out: &mut Vec<u8>) -> Option<()> {
    let (kept, filler) = match part {
        DatePart::Year => (iso.year_end, "-01-01"),
        DatePart::Month => (iso.month_end, "-01"),
        DatePart::Day | DatePart::Hour => (iso.day_end, ""),
    };
    out.extend_from_slice(text.get(..kept)?.as_bytes());
    out.extend_from_slice(filler.as_bytes());
    if let Some(hour) = &iso.hour {
        out.push(b' ');
        let hour = if part == DatePart::Hour { text.get(hour.clone())? } else { "00" };
        out.extend_from_slice(hour.as_bytes());
        out.extend_from_slice(b":00:00");
    }
    out.extend_from_slice(text.get(iso.suffix..)?.as_bytes());
    Some(())
}
