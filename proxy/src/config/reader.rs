//! TOML with its places: tables and values that know their line and key, and collect every fault instead of stopping at
//! the first. Knows no key of `proxy.toml` itself.
//!
//! serde would stop at the first fault; an operator who mends a file wants all of them at once.

use std::{
    cell::RefCell,
    fmt,
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::{Diagnostic, Warning, nearest},
    units,
};

/// One file while it is read: its text, and what was found wrong so far.
pub(super) struct Source<'a> {
    /// As the user named it.
    pub(super) path: &'a Path,
    text: &'a str,
    /// `[server] allow_inline_secrets`.
    pub(super) inline_secrets: bool,
    faults: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Warning>>,
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        Self { path, text, inline_secrets: false, faults: RefCell::default(), warnings: RefCell::default() }
    }

    /// A path of the file, relative to the file's own folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Faults and warnings, in the file's order. A value that was looked at twice is reported once.
    pub(super) fn finish(self) -> (Vec<Diagnostic>, Vec<Warning>) {
        let (mut faults, mut warnings) = (self.faults.into_inner(), self.warnings.into_inner());
        faults.sort_by(|a, b| (a.line, &a.key, &a.fault).cmp(&(b.line, &b.key, &b.fault)));
        faults.dedup();
        warnings.sort_by_key(|warning| warning.0.line);
        (faults, warnings)
    }

    pub(super) fn diagnostic(&self, span: Range<usize>, key: &str, fault: String, mend: String) -> Diagnostic {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Diagnostic { file: self.path.to_owned(), line, key: key.to_owned(), fault, mend }
    }

    fn fault(&self, span: Range<usize>, key: &str, fault: String, mend: String) {
        let fault = self.diagnostic(span, key, fault, mend);
        self.faults.borrow_mut().push(fault);
    }
}

/// A table: hands out its values by key, and reports the keys nobody asked for.
#[derive(Debug)]
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    /// Its key, `databases.shop`; empty for the whole file.
    pub(super) key: String,
    span: Range<usize>,
    entries: &'a DeTable<'a>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    pub(super) fn root(source: &'a Source<'a>, entries: &'a Spanned<DeTable<'a>>) -> Self {
        Self { source, key: String::new(), span: 0..0, entries: entries.get_ref(), known: RefCell::default() }
    }

    /// The file.
    pub(super) fn source(&self) -> &'a Source<'a> {
        self.source
    }

    /// The value of `key`, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Node<'a>> {
        self.known.borrow_mut().push(key);
        let value = self.entries.get(key)?;
        Some(Node { source: self.source, key: join(&self.key, key), value })
    }

    /// Like [`Table::get`]; a fault when it is missing.
    pub(super) fn required(&self, key: &'static str, example: &str) -> Option<Node<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.fault(format!("`{key}` is missing"), format!("add `{key} = {example}`"));
        }
        found
    }

    /// All entries of a table whose keys are names: `[databases.NAME]`.
    pub(super) fn named(&self) -> Vec<(&'a str, Node<'a>)> {
        self.entries
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().as_ref();
                (name, Node { source: self.source, key: join(&self.key, name), value })
            })
            .collect()
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        for (key, _) in self.entries {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let mend = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", known.join(", ")),
                };
                self.source.fault(key.span(), &join(&self.key, name), "unknown key".into(), mend);
            }
        }
    }

    /// Something is wrong with the table as a whole.
    pub(super) fn fault(&self, fault: impl Into<String>, mend: impl Into<String>) {
        self.source.fault(self.span.clone(), &self.key, fault.into(), mend.into());
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    /// The file it is in.
    pub(super) source: &'a Source<'a>,
    /// Its whole key, `databases.shop.port`.
    pub(super) key: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Node<'a> {
    /// Something is wrong with the value.
    pub(super) fn fault(&self, fault: impl Into<String>, mend: impl Into<String>) {
        self.source.fault(self.value.span(), &self.key, fault.into(), mend.into());
    }

    /// Something is wrong with a text at byte `at` of what it says: the line is that one's, where the text has several.
    pub(super) fn fault_within(&self, at: usize, fault: impl fmt::Display, mend: impl Into<String>) {
        let said = self.value.get_ref().as_str().unwrap_or_default();
        let before = said.get(..at).unwrap_or(said);
        let span = self.value.span();
        let written = self.source.text.get(span.clone()).unwrap_or_default();
        // A line break right after the opening quotes is none of the text's.
        let opening = written.get(3..).filter(|_| written.starts_with("\"\"\"") || written.starts_with("'''"));
        let skipped = usize::from(opening.is_some_and(|rest| rest.starts_with(['\n', '\r'])));
        let down = skipped + before.matches('\n').count();
        let start = match down.checked_sub(1) {
            None => span.start,
            Some(nth) => {
                written.match_indices('\n').nth(nth).map_or(span.start, |(newline, _)| span.start + newline + 1)
            }
        };
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        self.source.fault(start..span.end, &self.key, format!("{fault} (column {column} of the text)"), mend.into());
    }

    /// The value works, but probably not as meant.
    pub(super) fn warn(&self, fault: impl Into<String>, mend: impl Into<String>) {
        let found = self.source.diagnostic(self.value.span(), &self.key, fault.into(), mend.into());
        self.source.warnings.borrow_mut().push(Warning(found));
    }

    fn wrong_type(&self, wanted: &str) {
        let found = self.value.get_ref().type_str();
        self.fault(format!("must be {wanted}, is of type {found}"), String::new());
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.get_ref().is_str()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type("a text in quotes");
        }
        text
    }

    pub(super) fn flag(&self) -> Option<bool> {
        let flag = self.value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type("`true` or `false`");
        }
        flag
    }

    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(integer) = self.value.get_ref().as_integer() else {
            self.wrong_type("a whole number");
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.and_then(|number| u64::try_from(number).ok()).filter(|number| range.contains(number));
        if number.is_none() {
            self.fault(format!("`{}` is out of range", integer.as_str()), bounds(&range));
        }
        number
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        match units::duration(self.text()?) {
            Ok(duration) => Some(duration),
            Err(fault) => {
                self.fault(fault, "write a number and a unit: \"30s\", \"5m\", \"8h\", \"400d\"");
                None
            }
        }
    }

    pub(super) fn size(&self) -> Option<u64> {
        match units::size(self.text()?) {
            Ok(size) => Some(size),
            Err(fault) => {
                self.fault(fault, "write a number and a unit: \"512kB\", \"16MB\", \"16MiB\"");
                None
            }
        }
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        let Some(entries) = self.value.get_ref().as_table() else {
            self.wrong_type("a table");
            return None;
        };
        let (key, span) = (self.key.clone(), self.value.span());
        Some(Table { source: self.source, key, span, entries, known: RefCell::default() })
    }

    /// The elements of an array.
    pub(super) fn list(&self) -> Vec<Node<'a>> {
        let Some(array) = self.value.get_ref().as_array() else {
            self.wrong_type("a list in brackets");
            return Vec::new();
        };
        array.iter().map(|value| Node { source: self.source, key: self.key.clone(), value }).collect()
    }

    /// The tables of `[[key]]`, each with its number from 1 in its key.
    pub(super) fn tables(&self) -> Vec<Table<'a>> {
        let numbered = self.list().into_iter().zip(1..).filter_map(|(node, number)| {
            let mut table = node.table()?;
            table.key = format!("{}[{number}]", self.key);
            Some(table)
        });
        numbered.collect()
    }

    /// A text that is one of `choices`.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            self.unknown("value", text, choices.iter().map(|(name, _)| *name));
        }
        found
    }

    /// `given` is none of `known`.
    pub(super) fn unknown<'b>(&self, what: &str, given: &str, known: impl Iterator<Item = &'b str> + Clone) {
        let mend = match nearest(given, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match known.collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "none is defined".to_owned(),
                all => format!("known: {all}"),
            },
        };
        self.fault(format!("unknown {what} `{given}`"), mend);
    }
}

fn bounds(range: &RangeInclusive<u64>) -> String {
    if *range.end() >= i64::MAX as u64 {
        format!("must be at least {}", range.start())
    } else {
        format!("must be from {} to {}", range.start(), range.end())
    }
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}
