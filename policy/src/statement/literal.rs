//! Which literals of a text its understanding does not depend on. A walk tells of each constant whether it passed it by
//! as a value that nobody looks at, or looked at it; what was only passed by may have any other value, and texts that
//! differ in such literals alone mean the same. Knows no grammar, and decides nothing by a value itself.

use std::{cell::RefCell, ops::Range};

use super::{Dialect, Effect, Statement, shape::Shape};

thread_local! {
    /// What the walk that runs on this thread has told. A walk never leaves its thread, and a thread-local needs no
    /// parameter that some function down there would not have.
    static NOTES: RefCell<Option<Notes>> = const { RefCell::new(None) };
}

/// What a walk told of the constants it met.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Constants taken as values that nobody looks at: where they stand, and how they are written.
    passed: Vec<(usize, Written)>,
    /// Where the constants stand whose value decided something.
    read: Vec<usize>,
    /// One of those could stand anywhere.
    lost: bool,
}

/// How the parser says that a constant is written.
#[derive(Debug)]
pub(super) enum Written {
    /// Like this, if the constant is what stands there and nothing else.
    As(String),
    /// Up to this byte.
    Until(usize),
}

/// Runs `walk`, and hands back what it told beside its result.
pub(super) fn watch<T>(walk: impl FnOnce() -> T) -> (T, Notes) {
    NOTES.set(Some(Notes::default()));
    let result = walk();
    (result, NOTES.take().unwrap_or(Notes { lost: true, ..Notes::default() }))
}

/// A constant was met at this byte of the text, and nobody looks at what it is.
pub(super) fn passed(at: usize, written: impl FnOnce() -> Written) {
    NOTES.with_borrow_mut(|notes| {
        if let Some(notes) = notes {
            notes.passed.push((at, written()));
        }
    });
}

/// The value of the constant at this byte of the text is looked at.
pub(super) fn read(at: Option<usize>) {
    NOTES.with_borrow_mut(|notes| match (notes, at) {
        (Some(notes), Some(at)) => notes.read.push(at),
        (Some(notes), None) => notes.lost = true,
        (None, _) => {}
    });
}

impl Notes {
    /// The literals of `text` that may have any other value of their class, in order.
    ///
    /// One is free when the walk passed a constant by that stands there with exactly that value, and nothing looked at
    /// it. So whatever the parser made of it otherwise (a length, a name, a part of another constant) leaves it bound.
    pub(super) fn free(mut self, text: &str, dialect: &Dialect, of: &[Statement]) -> Box<[Range<usize>]> {
        let mut shape = Shape::default();
        if self.lost || self.passed.is_empty() || !of.iter().all(is_plain) || !shape.scan(text, dialect) {
            return Box::default();
        }
        let literals = shape.literals();
        let starts = |at: usize| literals.binary_search_by_key(&at, |literal| literal.start).ok();
        // The parser takes a minus right before a number for a part of it.
        let signed = |at: usize| text.as_bytes().get(at).filter(|byte| **byte == b'-').and_then(|_| starts(at + 1));
        let found = |at: usize| starts(at).or_else(|| signed(at));
        let mut free = vec![false; literals.len()];
        for (at, written) in &self.passed {
            let Some(index) = found(*at) else { continue };
            let (Some(literal), Some(free)) = (literals.get(index), free.get_mut(index)) else { continue };
            *free |= match written {
                Written::As(written) => text.get(*at..literal.end) == Some(written),
                Written::Until(end) => literal.end == *end,
            };
        }
        self.read.sort_unstable();
        self.read.dedup();
        for at in self.read {
            match found(at).and_then(|index| free.get_mut(index)) {
                Some(free) => *free = false,
                // It is none of the literals we know: whichever it is, none is free then.
                None => return Box::default(),
            }
        }
        literals.iter().zip(free).filter(|(_, free)| *free).map(|(literal, _)| literal.clone()).collect()
    }
}

/// Statements whose constants are values and nothing else: they change rows or return them. All others hold words,
/// numbers and texts that mean something.
fn is_plain(statement: &Statement) -> bool {
    matches!(statement.verb, "SELECT" | "INSERT" | "REPLACE" | "UPDATE" | "DELETE")
        && statement.effect == Effect::None
        && !statement.explain
        && !statement.export
}

#[cfg(test)]
#[path = "literal_tests.rs"]
mod tests;
