//! Why a command failed, and with which exit code.

use std::{fmt, process::ExitCode};

use super::output::note;
use crate::api::problem::Problem;

/// A command that was not done.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
    /// Nobody listens at the Unix socket.
    pub(super) nobody_there: bool,
    /// The proxy answered, and said no.
    pub(super) refused: bool,
}

impl Failure {
    /// Refused or failed: exit code 1.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: 1, nobody_there: false, refused: false }
    }

    /// Wrong usage: exit code 2.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::failed(message) }
    }

    /// With another exit code.
    pub(super) fn code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Nobody listens.
    pub(super) fn nobody_there(message: impl Into<String>) -> Self {
        Self { nobody_there: true, ..Self::failed(message) }
    }

    /// Adds what to do instead.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Says so and gives the exit code.
    pub(super) fn print(&self, json: bool) -> ExitCode {
        if json {
            note(&serde_json::json!({ "error": self.message, "hint": self.hint }).to_string());
        } else {
            note(&format!("error: {}", self.message));
            if let Some(hint) = &self.hint {
                note(&format!("hint: {hint}"));
            }
        }
        ExitCode::from(self.code)
    }
}

/// What went wrong, without the hint.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        // A proxy that failed itself (5xx) has not decided anything.
        let refused = (400..500).contains(&problem.status);
        Self { hint: problem.hint, refused, ..Self::failed(problem.detail) }
    }
}
