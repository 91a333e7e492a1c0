//! Rows on their way to the client: described, counted, masked. A row without a plan goes nowhere.

use std::sync::Arc;

use super::{
    End, Machine,
    bound::{Bound, Unbound},
    job::{Job, Run},
    pending::Pending,
    upstream::{shape_of, theirs},
};
use crate::{
    session::gate::Gate,
    wire::postgres::{
        backend::{RowDescription, tag},
        codec::{self, Frame, Header},
    },
};

impl Machine {
    /// The columns of a Query's next rows.
    pub(super) fn row_description(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<(), End> {
        let columns = RowDescription::decode(frame.body).map_err(theirs)?;
        let formats: Vec<i16> = columns.iter().map(|field| field.format.code()).collect();
        let shape = shape_of(columns);
        let Some(Pending::Query(job)) = self.pending.front_mut() else {
            return Err(End::Upstream("columns of a result that nobody asked for".into()));
        };
        if job.stopped.is_none() {
            let run = job.run().ok_or_else(|| End::Upstream("columns after the last statement".into()))?;
            if run.bound.is_some() {
                return Err(End::Upstream("a second result of one statement".into()));
            }
            match bind(gate, run, Some(&shape), &formats) {
                Ok(bound) => run.bound = Some(Arc::new(bound)),
                Err(error) => {
                    self.stop_mismatched(gate, &error);
                    return Ok(());
                }
            }
        }
        self.pass(frame.raw);
        Ok(())
    }

    /// One row.
    pub(super) fn data_row(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<(), End> {
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return Ok(()) };
        if job.stopped.is_some() {
            return Ok(());
        }
        let bound = match bound_of(gate, job) {
            Ok(Some(bound)) => bound,
            Ok(None) => return Err(End::Upstream("a row without columns".into())),
            Err(error) => {
                self.stop_mismatched(gate, &error);
                return Ok(());
            }
        };
        let Some(run) = job.run() else { return Ok(()) };
        run.rows += 1;
        run.bytes += size(frame.raw);
        if let Some(error) = run.over() {
            self.stop_first(error);
            return Ok(());
        }
        self.out.client.append(&mut job.tail);
        bound.write(frame, &mut self.out.client).map_err(|error| End::Upstream(error.to_string()))
    }

    /// Rows at the start of `rest` that go through as they stand, in one run; `None` when the first one does not.
    pub(super) fn rows_through(&mut self, gate: &mut Gate, rest: &[u8]) -> Result<Option<usize>, End> {
        if self.swallow {
            return Ok(None);
        }
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return Ok(None) };
        // Where there is no plan, `data_row` says so.
        if job.stopped.is_some() || !bound_of(gate, job).is_ok_and(|bound| bound.is_some_and(|bound| bound.is_clear()))
        {
            return Ok(None);
        }
        let Some(run) = job.run() else { return Ok(None) };
        let mut end = 0;
        while let Ok(Some(header)) = codec::header(rest.get(end..).unwrap_or_default(), codec::MAX_FRAME) {
            let total = header.total();
            if header.tag != tag::DATA_ROW || rest.len() - end < total || !run.has_room(total) {
                break;
            }
            run.rows += 1;
            run.bytes += u64::try_from(total).unwrap_or(u64::MAX);
            end += total;
        }
        if end == 0 {
            return Ok(None);
        }
        self.out.client.append(&mut job.tail);
        self.out.client.extend_from_slice(rest.get(..end).unwrap_or_default());
        Ok(Some(end))
    }

    /// A frame that is longer than what has come of it: rows and copy data that need no look go through in pieces.
    /// True when `rest` was taken.
    pub(super) fn large_through(&mut self, gate: &mut Gate, header: Header, rest: &[u8]) -> Result<bool, End> {
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return Ok(false) };
        let clear = match header.tag {
            tag::DATA_ROW => bound_of(gate, job).is_ok_and(|bound| bound.is_some_and(|bound| bound.is_clear())),
            tag::COPY_DATA => true,
            _ => false,
        };
        if !clear || job.stopped.is_some() || self.swallow || rest.len() < codec::HEADER {
            return Ok(false);
        }
        let Some(run) = job.run() else { return Ok(false) };
        if !run.has_room(header.total()) {
            // Held until it is whole, then counted and stopped like any other.
            return Ok(false);
        }
        run.bytes += u64::try_from(header.total()).unwrap_or(u64::MAX);
        run.rows += u64::from(header.tag == tag::DATA_ROW);
        self.out.client.append(&mut job.tail);
        self.out.client.extend_from_slice(rest);
        self.upstream_rest = header.total() - rest.len();
        Ok(true)
    }

    /// Data of COPY … TO STDOUT: it was decided by its columns, and is only counted.
    pub(super) fn copy_data(&mut self, frame: Frame<'_>) -> Result<(), End> {
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return Ok(()) };
        let stopped = job.stopped.is_some();
        if let Some(run) = job.run()
            && !stopped
        {
            run.bytes += size(frame.raw);
            if let Some(error) = run.over() {
                self.stop_first(error);
            }
        }
        self.pass(frame.raw);
        Ok(())
    }
}

fn size(frame: &[u8]) -> u64 {
    u64::try_from(frame.len()).unwrap_or(u64::MAX)
}

/// The plan of the statement the job is at; made from its prepared statement's columns the first time an Execute
/// returns a row.
fn bound_of(gate: &mut Gate, job: &mut Job) -> Result<Option<Arc<Bound>>, Unbound> {
    let shape = job.shape.clone();
    let formats = Arc::clone(&job.formats);
    let Some(run) = job.run() else { return Ok(None) };
    if let Some(bound) = &run.bound {
        return Ok(Some(Arc::clone(bound)));
    }
    let Some(shape) = shape else { return Ok(None) };
    let described = shape.get().map(|shape| shape.as_deref().unwrap_or_default());
    let bound = Arc::new(bind(gate, run, described, &formats)?);
    run.bound = Some(Arc::clone(&bound));
    Ok(Some(bound))
}

/// Binds the statement's mask plan to its result's columns.
fn bind(
    gate: &mut Gate,
    run: &Run,
    shape: Option<&[super::names::ShapeColumn]>,
    formats: &[i16],
) -> Result<Bound, Unbound> {
    let known = gate.known();
    Bound::new(&run.allowance, run.outputs(), shape, formats, &known.masks, gate.hash_key())
}
