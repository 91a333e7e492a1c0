//! The answer to a recorded text: which of its statements each result is of, what they did, how it ends.

use std::sync::Arc;

use hallpass_policy::statement::{Object, Outputs};

use super::{
    Machine, Wrap,
    bound::{Bound, origin},
    job::{Heading, Job, Run, Way},
    names::Cursor,
    outbox::OwnSql,
    own::Own,
    pending::{Owed, Pending},
    warnings::Touches,
};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, changed},
        machine::End,
        run::Around,
    },
    wire::mysql::{
        backend::{ErrPacket, Metadata, OkPacket, Status},
        codec::{self, Message, Order, Sequence},
        encode,
        reader::{Reply, ResultReader, RowFormat, Then},
        resultset::{self, OwnValue},
    },
};

impl Machine {
    /// A message of a running text's answer.
    pub(super) fn job_reply(
        &mut self,
        gate: &mut Gate,
        mut job: Box<Job>,
        reader: ResultReader,
        (reply, then): (Reply<'_>, Then),
        message: &Message<'_>,
    ) -> Result<(), End> {
        match reply {
            Reply::Columns { count, metadata } => {
                job.heading = Heading { packets: message.raw.to_vec(), count, columns: Vec::new() };
                if metadata == Metadata::Omitted {
                    self.headed(gate, &mut job, None);
                }
            }
            Reply::Column { .. } if job.way == Way::Fields => self.pass_tailed(&mut job, message.raw),
            Reply::Column { definition, .. } => {
                job.heading.packets.extend_from_slice(message.raw);
                job.heading.columns.push(origin(&definition));
                if job.heading.columns.len() == job.heading.count {
                    let columns = std::mem::take(&mut job.heading.columns);
                    self.headed(gate, &mut job, Some(columns));
                }
            }
            Reply::DefinitionsEnd(_) => {
                if job.stopped.is_none() {
                    let muted = if mutes(&mut job) { self.told(message.raw, Told::Nothing) } else { None };
                    self.pass_tailed(&mut job, muted.as_deref().unwrap_or(message.raw));
                }
            }
            Reply::Row(format) => self.data_row(&mut job, format, message)?,
            Reply::LocalInfile(_) => self.file_wanted(&mut job, message)?,
            Reply::Ok(ok) => {
                self.server_warned(&mut job, ok.warnings);
                return self.completed(gate, job, reader, Some(ok), then, message);
            }
            Reply::End { warnings, .. } => {
                self.server_warned(&mut job, warnings);
                return self.completed(gate, job, reader, None, then, message);
            }
            Reply::Err(error) => return self.failed(gate, job, &error, message),
            Reply::Prepared(_) | Reply::Parameter { .. } | Reply::Text(_) => {
                return Err(End::Upstream("an answer to another question".into()));
            }
        }
        self.pending = Some(Pending { owed: Owed::Job(job), reader });
        Ok(())
    }

    /// A result's columns are in: they are bound to the plan, and shown if they fit.
    fn headed(
        &mut self,
        gate: &mut Gate,
        job: &mut Job,
        columns: Option<Vec<hallpass_policy::mask::bind::MysqlOrigin>>,
    ) {
        let packets = std::mem::take(&mut job.heading.packets);
        if job.stopped.is_some() {
            return;
        }
        let known = gate.known();
        let hidden = self.warnings.hidden();
        let Some(run) = job.run() else { return };
        let messages = run.statement().is_some_and(super::query::is_messages);
        let bound = match columns {
            Some(columns) if messages && hidden => Ok(Bound::messages(&columns)),
            columns => Bound::new(&run.allowance, run.outputs(), columns, &known.masks, gate.hash_key()),
        };
        match bound {
            Ok(bound) => {
                run.bound = Some(Arc::new(bound));
                self.pass_tailed(job, &packets);
            }
            Err(error) => {
                tracing::info!(target_name = %gate.target().name(), %error, "a result is not what its text promised");
                self.catalog_dirty = true;
                gate.target().mark_changed();
                self.stop(job, changed());
            }
        }
    }

    /// LOAD DATA LOCAL wants its file: only where the statement was understood to be one.
    fn file_wanted(&mut self, job: &mut Job, message: &Message<'_>) -> Result<(), End> {
        if !job.copies_in() || job.stopped.is_some() {
            return Err(End::Upstream("it asked for a file that no statement names".into()));
        }
        let sequence = codec::header(message.raw).map_or(1, |header| header.sequence);
        self.pass_tailed(job, message.raw);
        self.file = Some(Sequence::at(sequence.wrapping_add(1), self.login.order));
        Ok(())
    }

    /// A result or a statement without one is over.
    fn completed(
        &mut self,
        gate: &mut Gate,
        mut job: Box<Job>,
        reader: ResultReader,
        ok: Option<OkPacket<'_>>,
        then: Then,
        message: &Message<'_>,
    ) -> Result<(), End> {
        let affected = ok.map(|ok| ok.affected_rows);
        let last = then == Then::Done;
        let mute = mutes(&mut job);
        let shows = ok.is_none() && job.run().and_then(|run| run.statement()).is_some_and(super::query::is_messages);
        if job.stopped.is_some() && !self.stands_done(&job, affected) {
            return self.stopped(gate, job, reader, last);
        }
        job.stopped = None;
        // RETURNING shows the rows that were changed, and counts them nowhere else.
        let changed = job.run().and_then(|run| Some((run.write_bound()?, affected.unwrap_or(run.rows))));
        if let Some((bound, rows)) = changed
            && rows > bound
        {
            let around = if job.wrapped == Some(Wrap::Savepoint) { Around::GoesOn } else { Around::None };
            if let Some(error) = job.run().map(|run| run.too_wide(rows, bound, around)) {
                self.stop(&mut job, error);
            }
            self.cancel = false;
            return self.stopped(gate, job, reader, last);
        }
        let open_cursor = matches!(job.way, Way::Execute(_)) && self.status.has(Status::CURSOR_EXISTS) && ok.is_none();
        if !last && ok.is_none() && job.calls() {
            // One result of several; the next has columns of its own.
            if let Some(run) = job.run() {
                run.bound = None;
            }
        } else if open_cursor && let Some(run) = job.runs.pop() {
            self.suspended(&mut job, run);
        } else {
            self.statement_over(gate, &mut job, affected, last);
        }
        let marked = if last { self.marked(message) } else { None };
        let end = marked.as_deref().unwrap_or(message.raw);
        let counted = if shows {
            self.show_own_warnings(&job);
            None
        } else {
            let ours = last && job.way != Way::Fields && self.warnings.any_due();
            match (mute, ours) {
                (true, true) => self.told(end, Told::Ours),
                (true, false) => self.told(end, Told::Nothing),
                (false, true) => self.told(end, Told::Both),
                (false, false) => None,
            }
        };
        self.keep_or_pass(&mut job, counted.as_deref().unwrap_or(end));
        if last {
            return self.job_over(gate, job);
        }
        self.pending = Some(Pending { owed: Owed::Job(job), reader });
        Ok(())
    }

    /// The statement that the upstream was at has succeeded.
    fn statement_over(&mut self, gate: &mut Gate, job: &mut Job, affected: Option<u64>, last: bool) {
        if matches!(job.way, Way::Fetch(_))
            && !self.status.has(Status::LAST_ROW_SENT)
            && let Some(run) = job.runs.pop()
        {
            self.suspended(job, run);
            return;
        }
        loop {
            let Some(run) = job.complete(affected) else { return };
            self.succeeded(gate, &run);
            if !run.statement().is_some_and(super::query::is_messages) {
                self.warnings.of_statement(run.allowance.scrub, touches(&run));
            }
            if run.allowance.mute {
                self.warnings.mute();
            }
            if self.in_transaction() {
                self.note(&run.allowance);
            }
            if !last {
                return;
            }
        }
    }

    /// Rows wait for COM_STMT_FETCH. What was shown so far counts on.
    fn suspended(&mut self, job: &mut Job, run: Run) {
        let (Way::Execute(number) | Way::Fetch(number)) = job.way else { return };
        self.warnings.of_statement(run.allowance.scrub, touches(&run));
        if run.allowance.mute {
            self.warnings.mute();
        }
        let bound = run.bound.clone();
        let so_far = Run::new(&run.of, run.index, run.rows_of.clone(), Arc::clone(&run.allowance));
        let so_far = Run { rows: run.rows, bytes: run.bytes, ..so_far };
        job.runs.push(run);
        let _ = job.complete(None);
        if let Some(statement) = self.statements.get_mut(number) {
            statement.cursor = Some(Cursor { allowance: Arc::clone(&so_far.allowance), bound, run: so_far });
        }
    }

    /// The job has failed upstream.
    fn failed(
        &mut self,
        gate: &mut Gate,
        mut job: Box<Job>,
        error: &ErrPacket<'_>,
        message: &Message<'_>,
    ) -> Result<(), End> {
        if let Some(why) = job.stopped.take() {
            return self.end_stopped(gate, job, why);
        }
        let scrubs = job.scrubs();
        let touched = job.runs.last().map_or(Touches::Nothing, touches);
        self.warnings.of_statement(scrubs, touched);
        self.warnings.of_server();
        job.fail(&String::from_utf8_lossy(&error.sqlstate), None);
        match job.wrapped.take() {
            Some(wrap) => {
                // Its error waits until what we opened is closed again.
                let mut tail = Vec::new();
                std::mem::swap(&mut tail, &mut self.out.client);
                self.fail(error, message, scrubs)?;
                std::mem::swap(&mut tail, &mut self.out.client);
                self.next = self.next.wrapping_sub(1);
                job.tail = tail;
                let sql = if wrap == Wrap::Transaction { OwnSql::Rollback } else { OwnSql::RollbackTo };
                let own = if self.status_stale && wrap == Wrap::Savepoint {
                    // A deadlock has ended the client's own transaction, savepoint and all.
                    (OwnSql::Status, Own::Keep(job))
                } else {
                    (sql, Own::Keep(job))
                };
                self.ask(&own.0, own.1);
            }
            None => {
                self.fail(error, message, scrubs)?;
                self.finish(gate, job);
            }
        }
        Ok(())
    }

    /// All of a job's results are in.
    fn job_over(&mut self, gate: &mut Gate, mut job: Box<Job>) -> Result<(), End> {
        match job.wrapped.take() {
            None => {
                let tail = std::mem::take(&mut job.tail);
                self.pass(&tail);
                self.finish(gate, job);
            }
            Some(wrap) => {
                let sql = if wrap == Wrap::Transaction { OwnSql::Commit } else { OwnSql::Release };
                self.ask(&sql, Own::Keep(job));
            }
        }
        Ok(())
    }

    /// The kept back completion goes to the client, with the state that the session is in now.
    pub(super) fn release(&mut self, tail: &[u8]) {
        let mut sequence = Sequence::start(Order::Loose);
        let ok = match codec::message(tail, &mut sequence, tail.len()) {
            Ok(Some(message)) if message.payload.first() == Some(&0) => {
                encode::with_status(&message.payload, self.status_told())
            }
            _ => None,
        };
        match ok {
            Some(payload) => {
                let mut sequence = self.sequence();
                codec::put_message(&mut self.out.client, &mut sequence, &payload);
                self.next = sequence.next();
            }
            None => self.pass(tail),
        }
    }

    /// A job is over, whatever became of it.
    pub(super) fn finish(&mut self, gate: &mut Gate, mut job: Box<Job>) {
        let outcome = job.outcome();
        gate.outcome(&job.permit, outcome);
        self.answered(gate);
    }

    /// Gives the client packets of a job, and what was kept back before them.
    pub(super) fn pass_tailed(&mut self, job: &mut Job, packets: &[u8]) {
        if !job.tail.is_empty() {
            let tail = std::mem::take(&mut job.tail);
            self.pass(&tail);
        }
        self.pass(packets);
    }

    /// The completion of a bounded write waits until the write is kept.
    fn keep_or_pass(&mut self, job: &mut Job, packets: &[u8]) {
        if job.wrapped.is_some() {
            if !job.tail.is_empty() {
                let tail = std::mem::take(&mut job.tail);
                self.pass(&tail);
            }
            job.tail.extend_from_slice(packets);
        } else {
            self.pass_tailed(job, packets);
        }
    }

    /// A result ends with so many warnings of its statement's.
    fn server_warned(&mut self, job: &mut Job, warnings: u16) {
        if warnings > 0 && !job.run().and_then(|run| run.statement()).is_some_and(super::query::is_messages) {
            self.warnings.of_server();
        }
    }

    /// SHOW WARNINGS has the server's; ours stand behind them.
    fn show_own_warnings(&mut self, job: &Job) {
        let format = if job.way == Way::Text { RowFormat::Text } else { RowFormat::Binary };
        let mut sequence = self.sequence();
        for warned in self.warnings.told() {
            let values =
                [OwnValue::Text(warned.level), OwnValue::Short(i32::from(warned.code)), OwnValue::Text(&warned.text)];
            resultset::row(&mut self.out.client, &mut sequence, &values, format);
        }
        self.next = sequence.next();
    }

    /// The end of a result, or of its columns, with as many warnings as the client may be told of; `None`: as it is.
    fn told(&mut self, end: &[u8], told: Told) -> Option<Vec<u8>> {
        let ours = match told {
            Told::Nothing => 0,
            Told::Ours | Told::Both => self.warnings.tell(),
        };
        let count = |theirs: u16| match told {
            Told::Nothing | Told::Ours => ours,
            Told::Both => theirs.saturating_add(ours),
        };
        let payload = encode::with_warnings(end.get(codec::HEADER..)?, self.held(), count)?;
        let mut packet = Vec::with_capacity(payload.len() + codec::HEADER);
        let sequence = codec::header(end).map_or(1, |header| header.sequence);
        codec::put_message(&mut packet, &mut Sequence::at(sequence, Order::Loose), &payload);
        Some(packet)
    }

    /// Whether a stopped statement has done what it was to do all the same: then the client hears that.
    fn stands_done(&self, job: &Job, affected: Option<u64>) -> bool {
        let ended = matches!(job.stopped, Some(ClientError::GrantEnded { .. }));
        affected.is_some()
            && job.wrapped.is_none()
            && !(ended && self.in_transaction())
            && job.runs.last().is_some_and(|run| matches!(run.outputs(), Outputs::None))
    }
}

/// Of which warnings a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// None.
    Nothing,
    /// The proxy's.
    Ours,
    /// The proxy's and the server's.
    Both,
}

/// Whether nothing may be told of the server's warnings about the statement it is at.
fn mutes(job: &mut Job) -> bool {
    job.run().is_some_and(|run| run.allowance.mute)
}

/// Whether a statement reads or writes tables.
fn touches(run: &Run) -> Touches {
    let (of, part) = &run.rows_of;
    let table =
        part.of(of).is_some_and(|read| read.needs.iter().any(|need| matches!(need.object, Object::Relation(_))));
    if table { Touches::Tables } else { Touches::Nothing }
}
