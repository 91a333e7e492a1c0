//! Random masks, and what they mean for a query: which columns are masked, and what betrays their values.

use std::{collections::HashSet, fmt::Write as _};

use crate::{
    random::Random,
    schema::{Columns, Dialect, Fill, ROWS, VIEWS, Version, all_columns, cell, column_set, may_be_masked},
};

/// One set of masks: that of one target.
#[derive(Clone, Debug)]
pub struct Masks {
    /// Columns that a rule names.
    pub named: Columns,
    /// The same and what the server computes from them.
    pub closed: Columns,
    /// Those of them that may not even be compared.
    pub never: Columns,
    /// As `[[masks]]` of the targets whose names begin with this set's.
    pub rules: String,
    /// For people: `customers.email full`.
    pub words: Vec<String>,
    whole: HashSet<Vec<u8>>,
    parts: HashSet<[u8; PART]>,
    lengths: Vec<usize>,
}

/// So many letters of a value are recognised.
const PART: usize = 6;

/// Every how manieth column is masked, a set each.
const DENSITY: [usize; 5] = [8, 16, 30, 45, 12];

/// How many sets there are.
pub const SETS: usize = DENSITY.len();

/// The name of a set's target, on the first or the second version of its masked values.
pub fn target(set: usize, version: Version) -> String {
    format!("m{set}{}", if version == Version::One { "a" } else { "b" })
}

/// The sets of a seed.
pub fn sets(seed: u64, dialect: Dialect, schema: &str) -> Vec<Masks> {
    let random = |set: usize| Random::new(seed ^ 0x6d61_736b, set as u64);
    DENSITY
        .iter()
        .enumerate()
        .map(|(set, density)| Masks::new(&mut random(set), set, *density, dialect, schema))
        .collect()
}

impl Masks {
    fn new(random: &mut Random, set: usize, density: usize, dialect: Dialect, schema: &str) -> Self {
        let mut masks = Self {
            named: 0,
            closed: 0,
            never: 0,
            rules: String::new(),
            words: Vec::new(),
            whole: HashSet::new(),
            parts: HashSet::new(),
            lengths: Vec::new(),
        };
        let drawn: Vec<bool> = all_columns().map(|_| random.chance(density)).collect();
        for (number, table, column) in all_columns() {
            // Columns that hold the same values are masked together: a join with an unmasked copy would tell.
            let drawn = match column.fill {
                Fill::Like(name) => drawn[number_of("customers", name)],
                _ => drawn[number],
            };
            // What is written to `sink` comes from anywhere; nothing of it is a secret.
            if !drawn || !may_be_masked(column) || table.name == "sink" {
                continue;
            }
            let with = ["\"full\"", "\"null\"", "{ constant = \"***\" }", "\"full\""][random.below(4)];
            let never = random.chance(30);
            masks.named |= 1 << number;
            masks.never |= if never { 1 << number } else { 0 };
            let rule = if never { "in_predicates = \"none\"\n" } else { "" };
            let _ = write!(
                masks.rules,
                "[[masks]]\ncolumns = [\"m{set}*/{schema}.{}.{}\"]\nwith = {with}\n{rule}\n",
                table.name, column.name
            );
            masks.words.push(format!("{}.{} {with}{}", table.name, column.name, if never { " never" } else { "" }));
        }
        for (number, table, column) in all_columns() {
            if column_set(table.name, column.name) & masks.named != 0 {
                masks.closed |= 1 << number;
                if column_set(table.name, column.name) & masks.never != 0 {
                    masks.never |= 1 << number;
                }
                (1..=ROWS).for_each(|row| masks.remember(dialect, number, row));
            }
        }
        masks.lengths = masks.whole.iter().map(Vec::len).collect();
        masks.lengths.sort_unstable();
        masks.lengths.dedup();
        masks
    }

    fn remember(&mut self, dialect: Dialect, number: usize, row: u64) {
        for version in [Version::One, Version::Two] {
            for canary in cell(dialect, number, row, version).map(|cell| cell.canaries).unwrap_or_default() {
                let digits = canary.bytes().filter(u8::is_ascii_digit).count();
                if digits * 2 > canary.len() {
                    // Parts of numbers are everywhere.
                    self.whole.insert(canary.into_bytes());
                } else {
                    let windows = canary.as_bytes().windows(PART);
                    self.parts.extend(windows.map(|part| <[u8; PART]>::try_from(part).expect("six bytes")));
                }
            }
        }
    }

    /// Whether a masked column has this name, in a table or a view.
    pub fn hides_name(&self, name: &str) -> bool {
        let stored = all_columns().any(|(number, _, column)| self.closed & (1 << number) != 0 && column.name == name);
        let viewed = VIEWS.iter().flat_map(|view| view.columns).filter(|(of, ..)| *of == name);
        let mut sources = viewed.flat_map(|(_, _, sources)| *sources).filter_map(|source| source.split_once('.'));
        stored || sources.any(|(table, column)| column_set(table, column) & self.closed != 0)
    }

    /// A masked value, or a part of one, in these bytes.
    pub fn betrayed(&self, bytes: &[u8]) -> Option<String> {
        let part = bytes.windows(PART).find(|window| {
            <[u8; PART]>::try_from(*window).is_ok_and(|part| {
                self.parts.contains(&part) || self.parts.contains(&part.map(|byte| byte.to_ascii_lowercase()))
            })
        });
        let whole = || {
            self.lengths.iter().find_map(|length| bytes.windows(*length).find(|window| self.whole.contains(*window)))
        };
        part.or_else(whole).map(|found| String::from_utf8_lossy(found).into_owned())
    }
}

fn number_of(table: &str, column: &str) -> usize {
    let found = all_columns().find(|(_, of, stored)| of.name == table && stored.name == column);
    found.expect("there is such a column").0
}
