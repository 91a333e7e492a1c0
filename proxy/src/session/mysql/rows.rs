//! Rows on their way to the client: counted and masked. A row without a plan goes nowhere.

use std::sync::Arc;

use super::{Machine, job::Job, pending::Owed, theirs};
use crate::{
    session::machine::End,
    wire::mysql::{
        codec::{self, HEADER, Message},
        reader::RowFormat,
    },
};

impl Machine {
    /// One row.
    pub(super) fn data_row(&mut self, job: &mut Job, format: RowFormat, message: &Message<'_>) -> Result<(), End> {
        if job.stopped.is_some() {
            return Ok(());
        }
        let Some(run) = job.run() else { return Err(End::Upstream("a row after the last statement".into())) };
        if self.warnings.answered() && run.statement().is_some_and(super::query::is_messages) {
            // They are about a statement before the last.
            return Ok(());
        }
        let Some(bound) = run.bound.as_ref().map(Arc::clone) else {
            return Err(End::Upstream("a row without columns".into()));
        };
        run.rows += 1;
        let tail = std::mem::take(&mut job.tail);
        let (start, next) = (self.out.client.len(), self.next);
        if !tail.is_empty() {
            self.pass(&tail);
        }
        let row = self.out.client.len();
        let mut sequence = self.sequence();
        bound.write(message.raw, &message.payload, format, &mut self.out.client, &mut sequence).map_err(theirs)?;
        self.next = sequence.next();
        // What the client gets counts: how long a masked value is it may not learn by a limit either.
        let bytes = u64::try_from(self.out.client.len() - row).unwrap_or(u64::MAX);
        let over = job.run().and_then(|run| {
            run.bytes += bytes;
            run.over()
        });
        if let Some(error) = over {
            self.out.client.truncate(start);
            self.next = next;
            job.tail = tail;
            self.stop(job, error);
        }
        Ok(())
    }

    /// Rows at the start of `rest` that go through as they stand, in one run; `None` when the first one does not.
    pub(super) fn rows_through(&mut self, rest: &[u8]) -> Option<usize> {
        let pending = self.pending.as_mut()?;
        let reader = &pending.reader;
        let Owed::Job(job) = &mut pending.owed else { return None };
        // A row that the client has a part of is brought to its end, whatever stopped it.
        let stopped = job.stopped.is_some();
        if stopped && !self.row_continues || !job.tail.is_empty() {
            return None;
        }
        let run = job.run()?;
        if !run.bound.as_ref().is_some_and(|bound| bound.is_clear()) {
            return None;
        }
        if self.warnings.answered() && run.statement().is_some_and(super::query::is_messages) {
            return None;
        }
        let (mut end, mut next, mut large) = (0, self.next, 0);
        while let Some(header) = codec::header(rest.get(end..).unwrap_or_default()) {
            let row =
                self.row_continues || rest.get(end + HEADER).is_some_and(|first| reader.is_row(*first, header.length));
            // Sequence ids go on by one: where they do not, packets were put in and the slow way renumbers.
            let room = self.row_continues || run.has_room(header.total());
            if !row || header.sequence != next || !room || (stopped && !self.row_continues) {
                break;
            }
            run.rows += u64::from(!self.row_continues);
            run.bytes += u64::try_from(header.total()).unwrap_or(u64::MAX);
            self.row_continues = header.continues();
            next = next.wrapping_add(1);
            if rest.len() - end < header.total() {
                large = header.total() - (rest.len() - end);
                end = rest.len();
                break;
            }
            end += header.total();
        }
        if end == 0 {
            return None;
        }
        self.next = next;
        self.upstream_rest = large;
        self.out.client.extend_from_slice(rest.get(..end).unwrap_or_default());
        Some(end)
    }
}
