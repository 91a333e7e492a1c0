//! Prints: JSON for machines, tables for people, notes beside the answer on stderr.

use std::io::{self, ErrorKind, Write};

use serde_json::Value;

/// One line of the answer.
pub(super) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")) else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        // Whoever reads has read enough: `… | head`.
        std::process::exit(0);
    }
    note(&format!("error: the answer cannot be written: {error}"));
    std::process::exit(1);
}

/// Something beside the answer, which a script does not want.
pub(super) fn note(text: &str) {
    // Nobody is left to be told.
    let _ = writeln!(io::stderr(), "{text}");
}

/// The answer as JSON.
pub(super) fn json(value: &Value) {
    line(&format!("{value:#}"));
}

/// Rows in columns as wide as they need to be; `none` instead when there are no rows.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>], none: &str) {
    let rows: Vec<_> = rows.iter().map(|cells| (cells.clone(), None)).collect();
    table_of_texts(heads, &rows, none);
}

/// The same where a row may have a text that is too long for a cell: it stands below, whole.
pub(super) fn table_of_texts(heads: &[&str], rows: &[(Vec<String>, Option<&str>)], none: &str) {
    if rows.is_empty() {
        note(none);
        return;
    }
    let heads = (heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>(), None);
    let mut widths = vec![0; heads.0.len()];
    for (row, _) in std::iter::once(&heads).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for (row, text) in std::iter::once(&heads).chain(rows) {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        line(cells.join("  ").trim_end());
        for shown in text.iter().flat_map(|text| text.trim().lines()) {
            line(&format!("    {}", plain(shown)));
        }
    }
}

/// A line as it is, but for characters that would show it as another: those are written as escapes.
fn plain(line: &str) -> String {
    // Zero width, text direction, invisible operators, byte order mark.
    let hidden =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    line.trim_end().chars().fold(String::with_capacity(line.len()), |mut shown, c| {
        match c {
            '\t' => shown.push(' '),
            c if c.is_control() || hidden(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
        shown
    })
}

/// `2026-01-31T12:00:00.000000Z` as people read it.
pub(super) fn time(text: &str) -> String {
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(clock)) => format!("{day} {clock}Z"),
        (_, _) => text.to_owned(),
    }
}

/// The same, or a dash.
pub(super) fn maybe_time(text: Option<&String>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| time(text))
}

/// A text on one line, cut to `width` characters; control characters never reach the terminal.
pub(super) fn short(text: &str, width: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if clean.chars().count() <= width {
        return clean;
    }
    let cut: String = clean.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_cleaned() {
        assert_eq!(short("SELECT\n  1", 20), "SELECT 1");
        assert_eq!(short("a\u{1b}[31mb", 20), "a [31mb");
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(plain("DELETE\tFROM ü \u{1b}[2K\u{202e}"), "DELETE FROM ü \\u{1b}[2K\\u{202e}");
        assert_eq!(time("2026-01-31T12:00:00.000000Z"), "2026-01-31 12:00:00Z");
    }
}
