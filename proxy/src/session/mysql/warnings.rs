//! What SHOW WARNINGS says besides the server's own warnings: what the proxy has to tell, and whether the server's own
//! may quote masked values. Sends nothing.

use std::mem;

/// The number of a warning of ours.
const WARNING: u16 = 1105;

/// A row of SHOW WARNINGS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Warned {
    /// `Note`, `Warning` or `Error`.
    pub(super) level: &'static str,
    /// The number of the error, 1105 for what is none.
    pub(super) code: u16,
    /// What it says.
    pub(super) text: String,
}

/// The proxy's own warnings, and what is known of the server's.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    /// To be told with the next statement.
    due: Vec<Warned>,
    /// Told with the last statement: SHOW WARNINGS has them until the next one.
    told: Vec<Warned>,
    /// A statement got its answer from the proxy, and none since has begun the server's list anew: it is about one before.
    answered: bool,
    /// A statement touched a masked column, and the server's warnings about it may still be there, quoting values.
    hidden: bool,
    /// Not even how many there are may be told.
    muted: bool,
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
    pub(super) fn note(&mut self, text: &str, hint: &str) {
        self.add("Note", if hint.is_empty() { text.to_owned() } else { format!("{text} HINT: {hint}") });
    }

    /// Something for the client to heed.
    pub(super) fn warn(&mut self, text: &str) {
        self.add("Warning", text.to_owned());
    }

    fn add(&mut self, level: &'static str, text: String) {
        if self.due.len() < MOST {
            self.due.push(Warned { level, code: WARNING, text });
        }
    }

    /// A statement runs that is not SHOW WARNINGS: the last one's warnings are gone.
    pub(super) fn statement(&mut self) {
        self.told.clear();
    }

    /// The server has warned of the statement, or failed it: its list is about this one.
    pub(super) fn of_server(&mut self) {
        self.answered = false;
    }

    /// The same as [`Self::statement`], of one that the proxy answers itself.
    pub(super) fn question(&mut self) {
        self.told.clear();
        self.answered = true;
    }

    /// The client got an error of the proxy's: as of a server's, SHOW WARNINGS says it once more.
    pub(super) fn failed(&mut self, code: u16, text: String) {
        self.question();
        self.told.push(Warned { level: "Error", code, text });
    }

    /// Whether the server's list is not about the client's last statement.
    pub(super) fn answered(&self) -> bool {
        self.answered
    }

    /// A statement has run whose errors and warnings are hidden, or are not.
    pub(super) fn of_statement(&mut self, hides: bool, touches: Touches) {
        self.hidden = hides || (self.hidden && touches == Touches::Nothing);
        self.muted &= touches == Touches::Nothing;
        self.answered &= touches == Touches::Nothing;
    }

    /// A statement has run of whose warnings nothing may be told: not that there are any.
    pub(super) fn mute(&mut self) {
        self.muted = true;
        self.answered = true;
    }

    /// Whether not even the number of the server's warnings may be told.
    pub(super) fn muted(&self) -> bool {
        self.muted
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
    pub(super) fn told(&self) -> &[Warned] {
        &self.told
    }

    /// The session was reset.
    pub(super) fn clear(&mut self) {
        let due = mem::take(&mut self.due);
        *self = Self { due, ..Self::default() };
    }
}
