//! How statements are stopped: by limits, by the end of a grant, by KILL from another connection. The client gets one
//! error that says why, and the session lives on.

use std::time::Instant;

use super::{
    Machine, Wrap,
    job::Job,
    outbox::OwnSql,
    own::Own,
    pending::{Owed, Pending},
    refuse::about,
};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, Outcome},
        machine::{Cancelling, End, Loss},
    },
    wire::mysql::{
        auth::UsingPassword,
        codec::{self, Sequence},
        error::err_packet,
        reader::ResultReader,
    },
};

impl Machine {
    /// Stops what the upstream is at: from here on nothing of its result reaches the client.
    pub(super) fn stop(&mut self, job: &mut Job, error: ClientError) {
        if job.stopped.is_none() {
            job.stopped = Some(error);
            job.cancelling = Some(Cancelling::begun());
            self.cancel = true;
        }
    }

    /// A stopped job's result is in: what comes behind it is waited for, then the client gets its error.
    pub(super) fn stopped(
        &mut self,
        gate: &mut Gate,
        mut job: Box<Job>,
        reader: ResultReader,
        last: bool,
    ) -> Result<(), End> {
        if !last {
            self.pending = Some(Pending { owed: Owed::Job(job), reader });
            return Ok(());
        }
        match job.stopped.take() {
            Some(error) => self.end_stopped(gate, job, error),
            None => Ok(()),
        }
    }

    /// A stopped job is over upstream: what it wrote in a transaction of ours is taken back, a transaction whose grant
    /// ended is rolled back; then the client gets its error.
    pub(super) fn end_stopped(&mut self, gate: &mut Gate, mut job: Box<Job>, error: ClientError) -> Result<(), End> {
        // It cannot be cancelled any more: that would hit the next.
        self.cancel = false;
        job.tail.clear();
        job.fail(error.sqlstate(), Some(&error.to_string()));
        let ended = matches!(error, ClientError::GrantEnded { .. }) && self.in_transaction();
        let sql = match job.wrapped.take() {
            Some(Wrap::Transaction) => OwnSql::Rollback,
            Some(Wrap::Savepoint) if !ended && !self.status_stale => OwnSql::RollbackTo,
            Some(Wrap::Savepoint) | None if ended => OwnSql::Rollback,
            Some(Wrap::Savepoint) | None => {
                self.tell(&error, about(None, &error));
                self.finish(gate, job);
                return Ok(());
            }
        };
        self.ask(&sql, Own::TakeBack(job, Box::new(error)));
        Ok(())
    }

    /// When what runs has to be over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.pending.as_ref()?.job()? {
            job if job.stopped.is_none() => job.deadline,
            job => job.cancelling.map(|cancelling| cancelling.again()),
        }
    }

    /// Stops what should have been over by `now`, and asks again to cancel what does not end.
    pub(super) fn expire(&mut self, now: Instant) {
        if let Some(job) = self.pending.as_mut().and_then(Pending::job_mut)
            && let Some(cancelling) = &mut job.cancelling
        {
            self.cancel |= cancelling.repeat(now);
            return;
        }
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        self.stop_pending(ClientError::LimitExceeded {
            message: "canceling statement due to statement_timeout of this grant".into(),
            hint: "ask for a role with a longer statement_timeout, or make the statement faster".into(),
            sqlstate: "57014",
        });
    }

    /// Stops what runs under grants that have ended; an idle transaction of one is rolled back.
    pub(super) fn recheck_grants(&mut self, gate: &mut Gate) {
        if let Some(pending) = &self.pending {
            self.recheck = true;
            if let Some(job) = pending.job() {
                let ended = job.runs.iter().find_map(|run| gate.still_granted(&run.allowance).err());
                if let Some(error) = ended {
                    self.stop_pending(error);
                }
            }
            return;
        }
        let ended = self.tx_allowances.iter().find_map(|allowance| gate.still_granted(allowance).err());
        if let Some(error) = ended
            && self.in_transaction()
        {
            self.tx_allowances.clear();
            self.aborted = Some(error);
            self.ask(&OwnSql::Rollback, Own::RollbackQuietly);
        }
    }

    fn stop_pending(&mut self, error: ClientError) {
        if let Some(job) = self.pending.as_mut().and_then(Pending::job_mut)
            && job.stopped.is_none()
        {
            job.stopped = Some(error);
            job.cancelling = Some(Cancelling::begun());
            self.cancel = true;
        }
    }

    /// No upstream session could be opened for the command at the start of `input`: it is refused. Says how many bytes
    /// of it were taken.
    pub(super) fn unreachable(&mut self, _: &mut Gate, input: &[u8], error: ClientError) -> usize {
        if self.pieces.is_some() {
            self.tell(&error, about(None, &error));
            return 0;
        }
        let mut sequence = Sequence::start(self.login.order);
        let Ok(Some(message)) = codec::message(input, &mut sequence, input.len()) else { return 0 };
        self.next = sequence.next();
        self.tell(&error, about(None, &error));
        message.raw.len()
    }

    /// The session ends: what is under way gets its outcome, with this SQLSTATE and reason unless it has its own.
    pub(super) fn abandon(&mut self, gate: &mut Gate, sqlstate: &str, reason: &str) {
        match self.pending.take().map(Pending::without_question) {
            Some(Owed::Job(mut job) | Owed::Own(Own::Keep(mut job))) => {
                job.abandon(sqlstate, reason);
                let outcome = job.outcome();
                gate.outcome(&job.permit, outcome);
            }
            // The client's error stands already.
            Some(Owed::Own(Own::TakeBack(mut job, _))) => {
                let outcome = job.outcome();
                gate.outcome(&job.permit, outcome);
            }
            Some(Owed::Prepare(permit, _)) => gate.outcome(&permit, Outcome::failed(sqlstate, reason)),
            Some(Owed::Control(_) | Owed::Own(_)) | None => {}
        }
        self.abandon_question(gate, sqlstate, reason);
    }

    /// The upstream session is lost. Says whether the client's session can go on without it.
    pub(super) fn lost(&mut self, gate: &mut Gate, error: &ClientError) -> Loss {
        let torn = self.upstream_rest > 0 || self.row_continues;
        let fatal = torn || self.stateful || self.in_transaction() || self.statements.any() || self.file.is_some();
        let reason = Some("the upstream session was lost");
        let in_pieces = self.pieces.is_some();
        let awaited = match self.pending.take().map(Pending::without_question) {
            Some(Owed::Job(mut job)) => {
                job.fail(error.sqlstate(), reason);
                let outcome = job.outcome();
                gate.outcome(&job.permit, outcome);
                true
            }
            Some(Owed::Prepare(permit, _)) => {
                gate.outcome(&permit, Outcome::failed(error.sqlstate(), "the upstream session was lost"));
                true
            }
            Some(Owed::Control(_)) => true,
            // The client's own command comes again, and connects anew; what was under way of it is told.
            Some(Owed::Own(Own::Keep(mut job) | Own::TakeBack(mut job, _))) => {
                job.fail(error.sqlstate(), reason);
                let outcome = job.outcome();
                gate.outcome(&job.permit, outcome);
                true
            }
            Some(Owed::Own(_)) | None => false,
        };
        let next = self.next;
        *self = Self {
            out: std::mem::take(&mut self.out),
            desk: std::mem::take(&mut self.desk),
            warnings: std::mem::take(&mut self.warnings),
            charset: self.charset,
            torn,
            ..Self::new(std::sync::Arc::clone(&self.login))
        };
        self.out.upstream_mut().clear();
        gate.idle();
        if fatal {
            self.next = next;
            return Loss::Session;
        }
        if awaited || in_pieces {
            self.next = next;
            self.tell(error, about(None, error));
        }
        Loss::Upstream
    }

    /// Writes the error that ends the client's session: in the place of the answer that it waits for, or waits for next.
    pub(super) fn farewell(&mut self, error: &ClientError) {
        if self.torn || self.upstream_rest > 0 || self.row_continues {
            return;
        }
        let mut sequence = if self.pending.is_some() { self.sequence() } else { Sequence::at(1, self.login.order) };
        err_packet(&mut self.out.client, &mut sequence, error, about(None, error), UsingPassword::Yes);
    }
}
