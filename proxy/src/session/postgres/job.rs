//! One recorded text on its way through the upstream: what its statements may show, and what they have shown so far.
//! Counts and remembers; forwards nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hallpass_policy::statement::Effect;

use super::{
    bound::Bound,
    names::{Shape, Undo},
};
use crate::{
    error::ClientError,
    session::{
        gate::{Outcome, Permit},
        machine::Cancelling,
        run,
    },
};

/// One statement of a job, with how to take back what was noted when it was forwarded.
pub(super) type Run = run::Run<Bound, Undo>;

/// How a job came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A Query message.
    Simple,
    /// An Execute message.
    Extended,
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
    /// Where an Execute finds its result's columns; a Query's come with its rows.
    pub(super) shape: Option<Arc<std::sync::OnceLock<Shape>>>,
    /// The formats an Execute's Bind asked for.
    pub(super) formats: Arc<[i16]>,
    /// Stopped by the proxy: the error the client gets in place of what still comes.
    pub(super) stopped: Option<ClientError>,
    /// The client has its error, or its last completion: only ReadyForQuery is left.
    pub(super) finished: bool,
    /// A bounded write in a transaction of the proxy's own, which COMMIT or ROLLBACK will end.
    pub(super) wrapped: bool,
    /// The last completion, kept back until the write is known to stay within its bound.
    pub(super) tail: Vec<u8>,
    /// How long it may run.
    pub(super) timeout: Option<Duration>,
    /// Since when it is the first that is not over.
    pub(super) began: Option<Instant>,
    /// The upstream was asked to cancel it.
    pub(super) cancelling: Option<Cancelling>,
    totals: Outcome,
}

impl Job {
    /// A job whose runs are in order of execution.
    pub(super) fn new(permit: Permit, way: Way, mut runs: Vec<Run>) -> Self {
        runs.reverse();
        let timeout = runs.iter().filter_map(|run| run.allowance.limits.statement_timeout).min();
        Self {
            permit,
            way,
            runs,
            shape: None,
            formats: Arc::from([]),
            stopped: None,
            finished: false,
            wrapped: false,
            tail: Vec::new(),
            timeout,
            began: None,
            cancelling: None,
            totals: Outcome::default(),
        }
    }

    /// The statement the upstream is at.
    pub(super) fn run(&mut self) -> Option<&mut Run> {
        self.runs.last_mut()
    }

    /// How much time of its own it may take; none for a BEGIN that was sent with what runs in its transaction.
    pub(super) fn allotted(&self) -> Option<Duration> {
        let begins = |run: &Run| run.statement().is_some_and(|statement| statement.effect == Effect::Begin);
        if self.runs.iter().all(begins) { Some(Duration::ZERO) } else { self.timeout }
    }

    /// Whether one of its statements that are still to run takes COPY data from the client.
    pub(super) fn copies_in(&self) -> bool {
        self.runs.iter().filter_map(Run::statement).any(|statement| matches!(statement.effect, Effect::CopyIn))
    }

    /// Whether errors and notices are reduced to their kind: when any of its statements asks for it.
    pub(super) fn scrubs(&self) -> bool {
        self.permit.allowance().scrub || self.runs.iter().any(|run| run.allowance.scrub)
    }

    /// The statement the upstream was at is over; `tagged` is the number in its command tag.
    pub(super) fn complete(&mut self, tagged: Option<u64>) -> Option<Run> {
        let run = self.runs.pop()?;
        self.count(&run);
        // Rows returned are counted as they pass; rows changed are told by the tag alone.
        if run.rows == 0 {
            self.totals.rows += tagged.unwrap_or(0);
        }
        Some(run)
    }

    /// The job ends with an error: hands back how to take the rest of it back, last first.
    pub(super) fn fail(&mut self, sqlstate: &str, reason: Option<&str>) -> Vec<Undo> {
        self.finished = true;
        self.totals.error_code = Some(Arc::from(sqlstate));
        self.totals.reason = reason.map(Arc::from);
        let mut undo = Vec::new();
        for run in std::mem::take(&mut self.runs) {
            self.count(&run);
            undo.extend(run.undo.into_iter().rev());
        }
        undo
    }

    /// The session ends before the job does: that is its error, unless it is over already or was stopped before.
    pub(super) fn abandon(&mut self, sqlstate: &str, reason: &str) {
        if self.finished {
            return;
        }
        let _ = match self.stopped.take() {
            Some(error) => self.fail(error.sqlstate(), Some(&error.to_string())),
            None => self.fail(sqlstate, Some(reason)),
        };
    }

    /// What became of it, for the audit.
    pub(super) fn outcome(&mut self) -> Outcome {
        std::mem::take(&mut self.totals)
    }

    fn count(&mut self, run: &Run) {
        self.totals.rows += run.rows;
        self.totals.bytes += run.bytes;
        if let Some(names) = run.bound.as_ref().and_then(|bound| bound.names()) {
            self.totals.masked = Some(Arc::clone(names));
        }
    }
}
