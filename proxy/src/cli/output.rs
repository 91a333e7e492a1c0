//! Prints: JSON for machines, tables for people, notes beside the answer on stderr.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line is where printing belongs")]

use serde_json::Value;

/// One line of the answer.
pub(super) fn line(text: &str) {
    println!("{text}");
}

/// Something beside the answer, which a script does not want.
pub(super) fn note(text: &str) {
    eprintln!("{text}");
}

/// The answer as JSON.
pub(super) fn json(value: &Value) {
    println!("{value:#}");
}

/// Rows in columns as wide as they need to be; `none` instead when there are no rows.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>], none: &str) {
    if rows.is_empty() {
        note(none);
        return;
    }
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let mut widths = vec![0; heads.len()];
    for row in std::iter::once(&heads).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(&heads).chain(rows) {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
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
        assert_eq!(time("2026-01-31T12:00:00.000000Z"), "2026-01-31 12:00:00Z");
    }
}
