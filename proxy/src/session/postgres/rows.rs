//! Rows on their way to the client: described, counted, masked. A row without a plan goes nowhere.

use std::sync::Arc;

use super::{
    End, Machine,
    bound::Bound,
    job::{Job, Run},
    pending::Pending,
    upstream::{shape_of, theirs},
};
use crate::{
    error::ClientError,
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
            run.bound = Some(Arc::new(bind(gate, run, Some(&shape), &formats)?));
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
        let Some(bound) = bound_of(gate, job)? else { return Err(End::Upstream("a row without columns".into())) };
        let before = self.out.client.len();
        self.out.client.append(&mut job.tail);
        bound.write(frame, &mut self.out.client).map_err(|error| End::Upstream(error.to_string()))?;
        let sent = self.out.client.len() - before;
        let Some(run) = job.run() else { return Ok(()) };
        run.rows += 1;
        run.bytes += u64::try_from(sent).unwrap_or(u64::MAX);
        self.check_limits(gate)
    }

    /// Rows at the start of `rest` that go through as they stand, in one run; `None` when the first one does not.
    pub(super) fn rows_through(&mut self, gate: &mut Gate, rest: &[u8]) -> Result<Option<usize>, End> {
        if self.swallow {
            return Ok(None);
        }
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return Ok(None) };
        if job.stopped.is_some() || !bound_of(gate, job)?.is_some_and(|bound| bound.is_clear()) {
            return Ok(None);
        }
        let (mut end, mut rows) = (0, 0);
        while let Ok(Some(header)) = codec::header(rest.get(end..).unwrap_or_default(), codec::MAX_FRAME) {
            if header.tag != tag::DATA_ROW || rest.len() - end < header.total() {
                break;
            }
            end += header.total();
            rows += 1;
        }
        if end == 0 {
            return Ok(None);
        }
        self.out.client.append(&mut job.tail);
        self.out.client.extend_from_slice(rest.get(..end).unwrap_or_default());
        if let Some(run) = job.run() {
            run.rows += rows;
            run.bytes += u64::try_from(end).unwrap_or(u64::MAX);
        }
        self.check_limits(gate)?;
        Ok(Some(end))
    }

    /// A frame that is longer than what has come of it: rows and copy data that need no look go through in pieces.
    /// True when `rest` was taken.
    pub(super) fn large_through(&mut self, gate: &mut Gate, header: Header, rest: &[u8]) -> Result<bool, End> {
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return Ok(false) };
        let clear = match header.tag {
            tag::DATA_ROW => bound_of(gate, job)?.is_some_and(|bound| bound.is_clear()),
            tag::COPY_DATA => true,
            _ => false,
        };
        if !clear || job.stopped.is_some() || self.swallow || rest.len() < codec::HEADER {
            return Ok(false);
        }
        let total = u64::try_from(header.total()).unwrap_or(u64::MAX);
        let Some(run) = job.run() else { return Ok(false) };
        if run.allowance.limits.max_result_bytes.is_some_and(|max| run.bytes + total > max) {
            // Held until it is whole, then counted and stopped like any other.
            return Ok(false);
        }
        run.bytes += total;
        run.rows += u64::from(header.tag == tag::DATA_ROW);
        self.out.client.append(&mut job.tail);
        self.out.client.extend_from_slice(rest);
        self.upstream_rest = header.total() - rest.len();
        Ok(true)
    }

    /// Data of COPY … TO STDOUT: it was decided by its columns, and is only counted.
    pub(super) fn copy_data(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<(), End> {
        self.pass(frame.raw);
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return Ok(()) };
        let Some(run) = job.run() else { return Ok(()) };
        run.bytes += u64::try_from(frame.raw.len()).unwrap_or(u64::MAX);
        self.check_limits(gate)
    }

    /// Stops the first job when its statement has shown more than its role allows.
    fn check_limits(&mut self, gate: &mut Gate) -> Result<(), End> {
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return Ok(()) };
        let Some(run) = job.run() else { return Ok(()) };
        let limits = &run.allowance.limits;
        let (what, max) = match (limits.max_rows, limits.max_result_bytes) {
            (Some(max), _) if run.rows > max => ("max_rows", format!("{max} rows")),
            (_, Some(max)) if run.bytes > max => ("max_result_bytes", format!("{max} bytes")),
            _ => return Ok(()),
        };
        let error = ClientError::LimitExceeded {
            message: format!("the result is larger than {what} of this grant allows ({max})"),
            hint: "add a LIMIT, or ask for a role or a statement grant with export".into(),
            sqlstate: "54000",
        };
        self.stop_first(gate, error);
        Ok(())
    }
}

/// The plan of the statement the job is at; made from its prepared statement's columns the first time an Execute
/// returns a row.
fn bound_of(gate: &mut Gate, job: &mut Job) -> Result<Option<Arc<Bound>>, End> {
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
) -> Result<Bound, End> {
    let known = gate.known();
    Bound::new(&run.allowance, run.outputs(), shape, formats, &known.masks, gate.hash_key())
        .map_err(|error| End::Upstream(error.to_string()))
}
