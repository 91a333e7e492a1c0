//! What SHOW WARNINGS says besides the server's own warnings: what the proxy has to tell, and whether the server's own
//! may quote masked values. Sends nothing.

use std::mem;

/// The proxy's own warnings, and what is known of the server's.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    /// To be told with the next statement.
    due: Vec<String>,
    /// Told with the last statement: SHOW WARNINGS has them until the next one.
    told: Vec<String>,
    /// A statement touched a masked column, and the server's warnings about it may still be there, quoting values.
    hidden: bool,
}

/// What a statement touches, as far as the server's list of warnings is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touches {
    /// Tables: the list begins anew with it.
    Tables,
    /// Nothing for sure: both servers let some statements leave the list as it is (`SELECT 1`, `SHOW COUNT(*) WARNINGS`).
    Nothing,
}

/// The most that wait; a client that never runs a statement needs no more.
const MOST: usize = 64;

impl Warnings {
    /// Something for the client to know.
    pub(super) fn add(&mut self, text: &str, hint: &str) {
        if self.due.len() < MOST {
            self.due.push(if hint.is_empty() { text.to_owned() } else { format!("{text} HINT: {hint}") });
        }
    }

    /// A statement runs that is not SHOW WARNINGS: the last one's warnings are gone.
    pub(super) fn statement(&mut self) {
        self.told.clear();
    }

    /// A statement has run whose errors and warnings are hidden, or are not.
    pub(super) fn of_statement(&mut self, hides: bool, touches: Touches) {
        self.hidden = hides || (self.hidden && touches == Touches::Nothing);
    }

    /// Whether the server's warnings may quote what is masked.
    pub(super) fn hidden(&self) -> bool {
        self.hidden
    }

    /// How many are told with the statement that is over now.
    pub(super) fn tell(&mut self) -> u16 {
        self.told.append(&mut self.due);
        u16::try_from(self.told.len()).unwrap_or(u16::MAX)
    }

    /// Whether any waits to be told.
    pub(super) fn any_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Those of the last statement.
    pub(super) fn told(&self) -> &[String] {
        &self.told
    }

    /// The session was reset.
    pub(super) fn clear(&mut self) {
        let due = mem::take(&mut self.due);
        *self = Self { due, ..Self::default() };
    }
}
