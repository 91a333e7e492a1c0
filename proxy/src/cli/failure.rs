//! Why a command failed, and with which exit code.

use std::process::ExitCode;

use crate::api::problem::Problem;

/// A command that was not done.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
    /// Nobody listens at the Unix socket.
    pub(super) nobody_there: bool,
}

impl Failure {
    /// Refused or failed: exit code 1.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: 1, nobody_there: false }
    }

    /// Wrong usage: exit code 2.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::failed(message) }
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
    #[expect(clippy::print_stderr, reason = "the command line is where printing belongs")]
    pub(super) fn print(&self, json: bool) -> ExitCode {
        if json {
            eprintln!("{}", serde_json::json!({ "error": self.message, "hint": self.hint }));
        } else {
            eprintln!("error: {}", self.message);
            if let Some(hint) = &self.hint {
                eprintln!("hint: {hint}");
            }
        }
        ExitCode::from(self.code)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { hint: problem.hint, ..Self::failed(problem.detail) }
    }
}
