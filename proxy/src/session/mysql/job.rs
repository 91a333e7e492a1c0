//! One recorded text on its way through the upstream: what its statements may show, and what they have shown so far.
//! Counts and remembers; forwards nothing.

use std::{convert::Infallible, sync::Arc, time::Instant};

use hallpass_policy::{
    mask::bind::MysqlOrigin,
    statement::{Effect, Outputs, Statement},
};

use super::{Wrap, bound::Bound};
use crate::{
    error::ClientError,
    session::{
        gate::{Outcome, Permit},
        machine::Cancelling,
        run,
    },
};

/// One statement of a job. What it does to the session is noted when it has succeeded: there is nothing to take back.
pub(super) type Run = run::Run<Bound, Infallible>;

/// How a job came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// COM_QUERY and what stands for one.
    Text,
    /// COM_STMT_EXECUTE of this statement.
    Execute(u32),
    /// COM_STMT_FETCH of this statement.
    Fetch(u32),
    /// COM_FIELD_LIST: definitions without rows.
    Fields,
}

/// A result whose columns are coming in.
#[derive(Debug, Default)]
pub(super) struct Heading {
    /// Packets kept back until the columns are known to fit.
    pub(super) packets: Vec<u8>,
    /// How many columns there are to be.
    pub(super) count: usize,
    /// Those that came.
    pub(super) columns: Vec<MysqlOrigin>,
}

/// One recorded text.
#[derive(Debug)]
pub(super) struct Job {
    /// Recorded and decided.
    pub(super) permit: Permit,
    /// How it came in.
    pub(super) way: Way,
    /// The statement the upstream is at, and those after it in reverse order; empty: all done.
    pub(super) runs: Vec<Run>,
    /// The columns of the result that begins.
    pub(super) heading: Heading,
    /// Stopped by the proxy: the error the client gets in place of what still comes.
    pub(super) stopped: Option<ClientError>,
    /// The upstream was asked to cancel it.
    pub(super) cancelling: Option<Cancelling>,
    /// A bounded write in a transaction of the proxy's own.
    pub(super) wrapped: Option<Wrap>,
    /// The last completion, kept back until the write is known to stay within its bound.
    pub(super) tail: Vec<u8>,
    /// When it must be over.
    pub(super) deadline: Option<Instant>,
    /// Rows and bytes that earlier fetches of the cursor have shown: those are told already.
    before: (u64, u64),
    totals: Outcome,
}

impl Job {
    /// A job whose runs are in order of execution.
    pub(super) fn new(permit: Permit, way: Way, mut runs: Vec<Run>) -> Self {
        runs.reverse();
        let before = runs.first().map(|run| (run.rows, run.bytes)).unwrap_or_default();
        let timeout = runs.iter().filter_map(|run| run.allowance.limits.statement_timeout).min();
        Self {
            permit,
            way,
            runs,
            heading: Heading::default(),
            stopped: None,
            cancelling: None,
            wrapped: None,
            tail: Vec::new(),
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            before,
            totals: Outcome::default(),
        }
    }

    /// The statement the upstream is at.
    pub(super) fn run(&mut self) -> Option<&mut Run> {
        self.runs.last_mut()
    }

    /// Whether the statement the upstream is at asks for a file of the client's.
    pub(super) fn copies_in(&self) -> bool {
        let statement = self.runs.last().and_then(|run| run.statement());
        statement.is_some_and(|statement| matches!(statement.effect, Effect::CopyIn))
    }

    /// Whether the statement the upstream is at may return several results, with an OK behind the last.
    pub(super) fn calls(&self) -> bool {
        self.runs.last().is_some_and(|run| {
            let (of, part) = &run.rows_of;
            part.of(of).is_some_and(may_call)
        })
    }

    /// Whether errors and warnings are reduced to their kind: when any of its statements asks for it.
    pub(super) fn scrubs(&self) -> bool {
        self.permit.allowance().scrub || self.runs.iter().any(|run| run.allowance.scrub)
    }

    /// The statement the upstream was at is over; `affected` is what its OK said.
    pub(super) fn complete(&mut self, affected: Option<u64>) -> Option<Run> {
        let run = self.runs.pop()?;
        self.count(&run);
        // Rows returned are counted as they pass; rows changed are told by the OK alone.
        if run.rows == 0 {
            self.totals.rows += affected.unwrap_or(0);
        }
        Some(run)
    }

    /// The job ends with an error.
    pub(super) fn fail(&mut self, sqlstate: &str, reason: Option<&str>) {
        self.totals.error_code = Some(Arc::from(sqlstate));
        self.totals.reason = reason.map(Arc::from);
        for run in std::mem::take(&mut self.runs) {
            self.count(&run);
        }
    }

    /// The session ends before the job does: that is its error, unless it was stopped before.
    pub(super) fn abandon(&mut self, sqlstate: &str, reason: &str) {
        match self.stopped.take() {
            Some(error) => self.fail(error.sqlstate(), Some(&error.to_string())),
            None => self.fail(sqlstate, Some(reason)),
        }
    }

    /// What became of it, for the audit.
    pub(super) fn outcome(&mut self) -> Outcome {
        std::mem::take(&mut self.totals)
    }

    fn count(&mut self, run: &Run) {
        let (rows, bytes) = std::mem::take(&mut self.before);
        self.totals.rows += run.rows.saturating_sub(rows);
        self.totals.bytes += run.bytes.saturating_sub(bytes);
        if let Some(names) = run.bound.as_ref().and_then(|bound| bound.names()) {
            self.totals.masked = Some(Arc::clone(names));
        }
    }
}

/// Whether a statement runs code that may return several results. The last of a text is over with its last result, so
/// that it does no harm to take one for such.
pub(super) fn may_call(statement: &Statement) -> bool {
    let code = ["CALL", "EXECUTE IMMEDIATE", "BEGIN", "IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"];
    matches!(statement.outputs, Outputs::Server) && code.contains(&statement.verb)
}
