//! One recorded text on its way through the upstream: what its statements may show, and what they have shown so far.
//! Counts and remembers; forwards nothing.

use std::sync::Arc;

use hallpass_policy::{
    decide::Allowance,
    statement::{Action, Effect, Outputs, Statement},
};

use super::{
    bound::Bound,
    names::{Part, Shape, Undo},
};
use crate::{
    error::ClientError,
    session::{
        gate::{Outcome, Permit},
        target::Understanding,
    },
};

/// One statement of a job.
#[derive(Debug)]
pub(super) struct Run {
    /// The text it stands in.
    pub(super) of: Arc<Understanding>,
    /// Where.
    pub(super) index: usize,
    /// What its rows come from: itself, or what EXECUTE and FETCH name.
    pub(super) rows_of: (Arc<Understanding>, Part),
    /// How it may run.
    pub(super) allowance: Arc<Allowance>,
    /// What becomes of its rows, once their columns are known.
    pub(super) bound: Option<Arc<Bound>>,
    /// Rows so far.
    pub(super) rows: u64,
    /// Bytes of row data so far.
    pub(super) bytes: u64,
    /// How to take back what was noted when it was forwarded.
    pub(super) undo: Vec<Undo>,
}

impl Run {
    /// A run that has shown nothing yet.
    pub(super) fn new(
        of: &Arc<Understanding>,
        index: usize,
        rows_of: (Arc<Understanding>, Part),
        allowance: Arc<Allowance>,
    ) -> Self {
        Self { of: Arc::clone(of), index, rows_of, allowance, bound: None, rows: 0, bytes: 0, undo: Vec::new() }
    }

    /// The statement itself.
    pub(super) fn statement(&self) -> Option<&Statement> {
        self.of.understood.statements.get(self.index)
    }

    /// What its rows are.
    pub(super) fn outputs(&self) -> &Outputs {
        let (of, part) = &self.rows_of;
        part.of(of).map_or(&Outputs::None, |statement| &statement.outputs)
    }

    /// Whether a row of so many bytes may still be shown.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let limits = &self.allowance.limits;
        let bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        limits.max_rows.is_none_or(|max| self.rows < max) && limits.max_result_bytes.is_none_or(|max| bytes <= max)
    }

    /// Whether it changes names.
    pub(super) fn changes_catalog(&self) -> bool {
        matches!(self.statement().map(|s| &s.effect), Some(Effect::ChangesCatalog))
    }

    /// The most rows it may change, if it is a write with such a bound.
    pub(super) fn write_bound(&self) -> Option<u64> {
        let bound = self.allowance.limits.max_rows_affected?;
        let (of, part) = &self.rows_of;
        let statement = part.of(of)?;
        let writes = statement.needs.iter().any(|need| {
            matches!(need.action, Action::Insert | Action::Update | Action::Delete | Action::CopyIn)
        });
        (writes && !statement.explain).then_some(bound)
    }
}

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
    /// When it must be over.
    pub(super) deadline: Option<std::time::Instant>,
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
            deadline: timeout.and_then(|timeout| std::time::Instant::now().checked_add(timeout)),
            totals: Outcome::default(),
        }
    }

    /// The statement the upstream is at.
    pub(super) fn run(&mut self) -> Option<&mut Run> {
        self.runs.last_mut()
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
