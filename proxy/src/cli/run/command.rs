//! The command of `hallpass run`: started with our own stdin, stdout and stderr, signalled, waited for. Knows no grant.

use std::{
    io::{self, IsTerminal},
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
};

use tokio::{
    process::{Child, Command},
    signal::unix::SignalKind,
};

use super::{super::failure::Failure, environment::Variable};

/// A command that was not found, and one that cannot be run: the exit codes of a shell.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// The running command.
#[derive(Debug)]
pub(super) struct Running(Child);

impl Running {
    /// Starts it.
    pub(super) fn start(command: &[String], variables: &[Variable]) -> Result<Self, Failure> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Failure::usage("there is no command to run").hint("write it behind `--`"));
        };
        let mut started = Command::new(program);
        started.args(arguments).stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        for variable in variables {
            started.env(&variable.name, &variable.value);
        }
        let child = started.spawn().map_err(|error| {
            let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE };
            Failure::failed(format!("`{program}` cannot be run: {error}")).code(code)
        })?;
        Ok(Self(child))
    }

    /// Waits for its end: its exit code, or 128 and the number of the signal that ended it.
    pub(super) async fn ended(&mut self) -> Result<i32, Failure> {
        let status = self.0.wait().await;
        status.map(code_of).map_err(|error| Failure::failed(format!("the command cannot be waited for: {error}")))
    }

    /// Sends it a signal that we were sent.
    pub(super) fn pass_on(&self, signal: SignalKind) {
        // A terminal's Ctrl-C goes to the command as well: twice would be more than was typed.
        if signal == SignalKind::interrupt() && io::stdin().is_terminal() {
            return;
        }
        let pid = self.0.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        let signal = rustix::process::Signal::from_named_raw(signal.as_raw_value());
        if let (Some(pid), Some(signal)) = (pid, signal) {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

fn code_of(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_an_exit_code_as_in_a_shell() {
        for (raw, code) in [(0, 0), (3 << 8, 3), (9, 137), (15, 143)] {
            assert_eq!(code_of(ExitStatus::from_raw(raw)), code);
        }
    }
}
