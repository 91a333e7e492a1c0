//! An upstream's frames by kind: each is matched with what is pending, and goes on, is changed, or stays with us.
//! What nothing is pending for ends the session: a conversation we cannot follow shows the client nothing.

use std::sync::{Arc, OnceLock};

use super::{
    End, Machine, Wait,
    job::{Job, Run, Way},
    names::{Shape, ShapeColumn},
    pending::Pending,
};
use crate::{
    session::gate::Gate,
    wire::postgres::{
        backend::{CommandComplete, Notification, RowDescription, TransactionStatus, tag},
        codec::{self, Frame, Malformed},
        encode,
    },
};

/// The longest frame kept whole in memory; longer ones must be rows or copy data that go through untouched.
const LONGEST_HELD: usize = 256 << 20;

impl Machine {
    /// Takes whole frames from the start of `input` and says how many bytes they were.
    ///
    /// # Errors
    /// When the upstream says what we cannot follow: the session ends.
    pub fn upstream(&mut self, gate: &mut Gate, input: &[u8]) -> Result<usize, End> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if self.upstream_rest > 0 {
                let now = self.upstream_rest.min(rest.len());
                self.out.client.extend_from_slice(rest.get(..now).unwrap_or_default());
                self.upstream_rest -= now;
                at += now;
                if self.upstream_rest > 0 {
                    return Ok(at);
                }
                continue;
            }
            let header =
                match codec::header(rest, codec::MAX_FRAME).map_err(|error| End::Upstream(error.to_string()))? {
                    Some(header) => header,
                    None => return Ok(at),
                };
            if header.tag == tag::DATA_ROW
                && let Some(run) = self.rows_through(gate, rest)?
            {
                at += run;
                continue;
            }
            let Some(raw) = rest.get(..header.total()) else {
                if self.large_through(gate, header, rest)? {
                    return Ok(input.len());
                }
                if header.total() > LONGEST_HELD {
                    return Err(End::Upstream("a message that must be looked at is too long".into()));
                }
                return Ok(at);
            };
            let body = raw.get(codec::HEADER..).unwrap_or_default();
            self.upstream_frame(gate, Frame { tag: header.tag, body, raw })?;
            at += header.total();
        }
    }

    fn upstream_frame(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<(), End> {
        match frame.tag {
            tag::PARAMETER_STATUS => self.parameter_status(frame),
            tag::NOTICE_RESPONSE => self.notice(frame),
            tag::NOTIFICATION_RESPONSE => self.notification(gate, frame),
            tag::READY_FOR_QUERY => self.ready(gate, frame),
            _ if self.swallow => Ok(()),
            tag::ERROR_RESPONSE => self.error(gate, frame),
            _ => self.answer(gate, frame),
        }
    }

    /// A notification goes through; what the session tells itself comes from the number that its client knows it by. What
    /// others, and triggers, send along nobody can tell: where the target has masked columns it is left out, but for who
    /// may run any code there.
    fn notification(&mut self, gate: &Gate, frame: Frame<'_>) -> Result<(), End> {
        let Notification { process, channel, payload } = Notification::decode(frame.body).map_err(theirs)?;
        let masked = !payload.is_empty() && !gate.known().masks.columns.is_empty() && !gate.may_administer();
        let own = self.processes.upstream == Some(process);
        if own || masked {
            let process = if own { self.processes.client } else { process };
            let told = Notification { process, channel, payload: if masked { b"" } else { payload } };
            encode::notification(&mut self.out.client, told).map_err(|error| End::Upstream(error.to_string()))
        } else {
            self.out.client.extend_from_slice(frame.raw);
            Ok(())
        }
    }

    /// A frame that answers what is pending first.
    fn answer(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<(), End> {
        while matches!(self.pending.front(), Some(Pending::CopyEnd)) {
            self.pending.pop_front();
        }
        match (self.pending.front_mut(), frame.tag) {
            (Some(Pending::Parse(..)), tag::PARSE_COMPLETE)
            | (Some(Pending::Bind(..)), tag::BIND_COMPLETE)
            | (Some(Pending::Close(_)), tag::CLOSE_COMPLETE) => {
                self.pending.pop_front();
                self.out.client.extend_from_slice(frame.raw);
                self.flush_local();
                Ok(())
            }
            (Some(Pending::Describe(slot)), tag::PARAMETER_DESCRIPTION | tag::ROW_DESCRIPTION | tag::NO_DATA) => {
                let slot = slot.clone();
                if described(slot.as_deref(), frame)? {
                    self.pending.pop_front();
                }
                self.out.client.extend_from_slice(frame.raw);
                self.flush_local();
                Ok(())
            }
            (Some(Pending::Own(own)), _) => {
                if own.answer(frame, &mut self.private)? {
                    self.pending.pop_front();
                }
                Ok(())
            }
            (Some(Pending::Query(_) | Pending::Execute(_)), _) => self.job_frame(gate, frame),
            (other, _) => Err(End::Upstream(format!(
                "message `{}` while {} was pending",
                char::from(frame.tag).escape_default(),
                other.map_or("nothing", |pending| pending.name())
            ))),
        }
    }

    /// A frame of a running Query or Execute.
    fn job_frame(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<(), End> {
        match frame.tag {
            tag::ROW_DESCRIPTION => self.row_description(gate, frame),
            tag::DATA_ROW => self.data_row(gate, frame),
            tag::COMMAND_COMPLETE => {
                let rows = CommandComplete::decode(frame.body).map_err(theirs)?.rows();
                self.completed(gate, frame.raw, rows)
            }
            tag::EMPTY_QUERY_RESPONSE => self.completed(gate, frame.raw, None),
            tag::PORTAL_SUSPENDED => self.completed(gate, frame.raw, None),
            tag::COPY_OUT_RESPONSE => {
                if self.expects_copy(|effect| matches!(effect, hallpass_policy::statement::Effect::CopyOut)) {
                    self.pass(frame.raw);
                    return Ok(());
                }
                Err(End::Upstream("a copy out that nobody asked for".into()))
            }
            tag::COPY_IN_RESPONSE => {
                if self.expects_copy(|effect| matches!(effect, hallpass_policy::statement::Effect::CopyIn)) {
                    self.copy_begins();
                    self.pass(frame.raw);
                    return Ok(());
                }
                Err(End::Upstream("a copy in that nobody asked for".into()))
            }
            tag::COPY_DATA => self.copy_data(frame),
            tag::COPY_DONE => {
                self.pass(frame.raw);
                Ok(())
            }
            other => Err(End::Upstream(format!("message `{}` in a result", char::from(other).escape_default()))),
        }
    }

    /// A statement of the first job is over.
    fn completed(&mut self, gate: &mut Gate, raw: &[u8], tagged: Option<u64>) -> Result<(), End> {
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return Ok(()) };
        if job.finished {
            return Err(End::Upstream("a completion after the last".into()));
        }
        if let Some(error) = job.stopped.take() {
            // It was over before the cancel came: the client gets its error all the same.
            return self.stop_finished(gate, error);
        }
        let bound = job.run().and_then(|run| run.write_bound());
        if let (Some(bound), Some(rows)) = (bound, tagged)
            && rows > bound
        {
            return self.write_too_wide(gate, bound, rows);
        }
        let Some(run) = job.complete(tagged) else {
            // The empty query has no statement and one EmptyQueryResponse.
            return self.all_completed(gate, raw);
        };
        let done = job.runs.is_empty();
        // What ends with a COMMIT of ours is complete when that has succeeded.
        let kept = run.write_bound().is_some() || (done && job.wrapped);
        self.note_done(&run);
        let of = Arc::clone(&run.of);
        if let Some(statement) = of.understood.statements.get(run.index) {
            self.succeeded(gate, statement);
        }
        if kept {
            self.keep_back(raw);
            if self.wait == Some(Wait::Bounded) {
                self.wait = None;
                self.release_kept();
            }
        } else {
            self.pass(raw);
        }
        if done { self.all_completed(gate, &[]) } else { Ok(()) }
    }

    /// The first job is over; `raw` is what the client still gets of it.
    fn all_completed(&mut self, gate: &mut Gate, raw: &[u8]) -> Result<(), End> {
        if !raw.is_empty() {
            self.pass(raw);
        }
        match self.pending.front_mut() {
            Some(Pending::Execute(job)) => {
                let outcome = job.outcome();
                gate.outcome(&job.permit, outcome);
                self.pending.pop_front();
                self.start_clock();
                self.flush_local();
            }
            Some(Pending::Query(job)) => job.finished = true,
            _ => {}
        }
        Ok(())
    }

    /// ReadyForQuery.
    fn ready(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<(), End> {
        let status = TransactionStatus::decode(frame.body).map_err(theirs)?;
        self.tx = status;
        self.swallow = false;
        self.copying = false;
        if status == TransactionStatus::Idle {
            // A transaction that has failed is not over: going back to a savepoint revives it.
            self.tx_allowances.clear();
            self.doomed = None;
            let pending = &self.pending;
            self.names.end_transaction(|name| pending.iter().any(|pending| pending.binds(name)));
            self.transaction_over(gate);
        }
        while matches!(self.pending.front(), Some(Pending::CopyEnd)) {
            self.pending.pop_front();
        }
        match self.pending.pop_front() {
            Some(Pending::Sync | Pending::Substitute { .. }) => self.tell_ready(status),
            Some(Pending::Query(job)) if job.finished => self.query_over(gate, *job, status),
            Some(Pending::Own(own)) => self.own_ready(gate, own, status)?,
            other => {
                return Err(End::Upstream(format!(
                    "ready while {} was pending",
                    other.as_ref().map_or("nothing", Pending::name)
                )));
            }
        }
        if self.pending.is_empty() && self.wait == Some(Wait::Drained) {
            self.wait = None;
        }
        if self.pending.is_empty() {
            self.encoding_moves = false;
            gate.idle();
        }
        self.stop_next();
        self.flush_local();
        self.abort_doomed();
        Ok(())
    }

    /// The client is told that its turn is over, unless it believes its transaction failed and the upstream does not.
    pub(super) fn tell_ready(&mut self, status: TransactionStatus) {
        if std::mem::take(&mut self.must_abort) && status == TransactionStatus::Open && self.pending.is_empty() {
            self.abort_transaction();
            return;
        }
        if self.piece_over(status) {
            return;
        }
        if status == TransactionStatus::Idle {
            self.desk.end_transaction();
        }
        encode::ready_for_query(&mut self.out.client, status);
    }

    /// A Query's ReadyForQuery: a bounded write of ours is committed first.
    fn query_over(&mut self, gate: &mut Gate, mut job: Job, status: TransactionStatus) {
        let outcome = job.outcome();
        gate.outcome(&job.permit, outcome);
        gate.idle();
        if job.wrapped && status == TransactionStatus::Open {
            self.commit_wrapped(std::mem::take(&mut job.tail));
            return;
        }
        if job.wrapped && status == TransactionStatus::Failed {
            self.rollback_wrapped();
            return;
        }
        self.out.client.append(&mut job.tail);
        self.tell_ready(status);
    }

    /// Gives the client a frame of the first job, and what was kept back before it.
    pub(super) fn pass(&mut self, raw: &[u8]) {
        if let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() {
            if job.stopped.is_some() {
                return;
            }
            self.out.client.append(&mut job.tail);
        }
        self.out.client.extend_from_slice(raw);
    }

    fn keep_back(&mut self, raw: &[u8]) {
        if let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() {
            self.out.client.append(&mut job.tail);
            job.tail.extend_from_slice(raw);
        }
    }

    fn release_kept(&mut self) {
        if let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() {
            self.out.client.append(&mut job.tail);
        }
    }

    fn expects_copy(&mut self, is: impl Fn(&hallpass_policy::statement::Effect) -> bool) -> bool {
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return false };
        job.run().and_then(|run| Run::statement(run)).is_some_and(|statement| is(&statement.effect))
    }

    /// COPY FROM has begun: the server reads Syncs as part of the copy until it ends, and answers none of them.
    fn copy_begins(&mut self) {
        let extended = matches!(self.pending.front(), Some(Pending::Execute(job)) if job.way == Way::Extended);
        let mut ended = false;
        self.pending.retain(|pending| {
            ended |= matches!(pending, Pending::CopyEnd);
            ended || !extended || !matches!(pending, Pending::Sync)
        });
        if extended {
            // A Sync that was read as part of the copy has ended nothing.
            self.batch_open |= !self.pending.iter().any(|pending| matches!(pending, Pending::Sync));
        }
        self.copying = !ended;
    }
}

/// Notes a description in `slot`; false while only the parameters were described.
pub(super) fn described(slot: Option<&OnceLock<Shape>>, frame: Frame<'_>) -> Result<bool, End> {
    match frame.tag {
        tag::PARAMETER_DESCRIPTION => Ok(false),
        tag::ROW_DESCRIPTION => {
            if let Some(slot) = slot {
                let columns = RowDescription::decode(frame.body).map_err(theirs)?;
                let _ = slot.set(Some(shape_of(columns)));
            }
            Ok(true)
        }
        tag::NO_DATA => {
            if let Some(slot) = slot {
                let _ = slot.set(None);
            }
            Ok(true)
        }
        other => Err(End::Upstream(format!("message `{}` in a description", char::from(other).escape_default()))),
    }
}

/// The columns of a RowDescription.
pub(super) fn shape_of(columns: RowDescription<'_>) -> Box<[ShapeColumn]> {
    columns
        .iter()
        .map(|field| ShapeColumn { table: field.table, attribute: field.attribute, type_oid: field.type_oid })
        .collect()
}

/// The upstream's malformed message, not the client's.
pub(super) fn theirs(error: Malformed) -> End {
    End::Upstream(error.to_string())
}
