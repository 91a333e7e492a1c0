//! Durations and sizes as people write them: `90s`, `1h30m`, `30 min`, `400d`, `16MB`, `16MiB`.
//! Parses and prints; knows no configuration key.

use std::time::Duration;

/// The longest duration that is taken: 100 years. Longer ones are typing errors, and would overflow timestamps.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Reads a duration: one or several numbers with units, `1h30m` or `1 hour 30 min`. A bare number is refused, as nobody
/// knows its unit.
///
/// # Errors
/// What is wrong, for people.
pub fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err("is empty".to_owned());
    }
    if let Some(total) = clock(rest) {
        return Ok(total);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        if tail.starts_with(['.', ',']) {
            return Err(format!("`{text}` has a fraction: whole numbers only, `1h30m`"));
        }
        let tail = tail.trim_start();
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| format!("`{text}` is not a duration"))?;
        let unit = unit_of(unit, text)?;
        total = unit
            .checked_mul(u32::try_from(number).unwrap_or(u32::MAX))
            .and_then(|part| total.checked_add(part))
            .filter(|sum| *sum <= LONGEST)
            .ok_or_else(|| format!("`{text}` is longer than 100 years"))?;
        rest = tail.trim_start();
    }
    Ok(total)
}

/// Hours, minutes and seconds as servers print intervals: `01:30:00`. Fewer parts could be either.
fn clock(text: &str) -> Option<Duration> {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok())?;
    let mut parts = text.split(':').map(digits);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let total = u64::from(hours) * 3600 + u64::from(minutes) * 60 + u64::from(seconds);
    let total = Duration::from_secs(total);
    (parts.next().is_none() && minutes < 60 && seconds < 60 && total <= LONGEST).then_some(total)
}

fn unit_of(unit: &str, text: &str) -> Result<Duration, String> {
    Ok(match unit.to_ascii_lowercase().as_str() {
        "ms" => Duration::from_millis(1),
        "s" | "sec" | "secs" | "second" | "seconds" => Duration::from_secs(1),
        "m" | "min" | "mins" | "minute" | "minutes" => Duration::from_secs(60),
        "h" | "hr" | "hrs" | "hour" | "hours" => Duration::from_secs(3600),
        "d" | "day" | "days" => Duration::from_secs(24 * 3600),
        "w" | "week" | "weeks" => Duration::from_secs(7 * 24 * 3600),
        "" => return Err(format!("`{text}` has no unit")),
        other => return Err(format!("`{text}` has the unknown unit `{other}`")),
    })
}

/// Reads a size in bytes: `16MB` (decimal), `16MiB` (binary), `512B`, `4kB`.
///
/// # Errors
/// What is wrong, for people.
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is not a size"))?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "" => return Err(format!("`{text}` has no unit")),
        other => return Err(format!("`{text}` has the unknown unit `{other}`")),
    };
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

/// A duration in the same notation: `1h30m`, `400d`, `0s`.
pub fn human(duration: Duration) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut seconds = duration.as_secs();
    for (unit, length) in [("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)] {
        let count = seconds / length;
        seconds %= length;
        if count > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "{count}{unit}");
        }
    }
    match duration.subsec_millis() {
        0 if text.is_empty() => "0s".to_owned(),
        0 => text,
        millis => format!("{text}{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in
            [("5m", 300), ("1h", 3600), ("1 hour", 3600), ("30 min", 1800), ("1h30m", 5400), ("400d", 34_560_000)]
                .into_iter()
                .chain([("1 hour 30 minutes", 5400), ("2 hrs", 7200), ("01:30:00", 5400), ("0:00:05", 5)])
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for text in
            ["", "5", "h", "-5m", "1.5h", "5 parsecs", "99999999999w", "5m!", "١h", "1:30", "1:60:00", "1:2:3:4", "::"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary_by_their_unit() {
        for (text, bytes) in [("16MB", 16_000_000), ("16MiB", 16_777_216), ("512B", 512), ("4 kB", 4000)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["16", "MB", "-1MB", "1XB", "99999999999999TB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_printed_as_it_is_read() {
        for text in ["5m", "1h30m", "400d", "30s", "1h500ms", "0s"] {
            assert_eq!(human(duration(text).unwrap()), text);
        }
    }
}
