//! How statements are stopped: by limits, by the end of a grant, by cancel requests. The client gets one error that
//! says why, the transaction has failed on both sides, and the session lives on.

use std::time::Instant;

use hallpass_policy::statement::Effect;

use super::{
    End, Machine, Wait,
    bound::Unbound,
    job::{Job, Run},
    outbox::OwnSql,
    pending::{Own, Pending},
};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, changed},
        machine::{Cancelling, Loss},
        run::Around,
    },
    wire::postgres::{
        backend::TransactionStatus,
        codec,
        error::{Phase, Severity, error_response, notice_response},
        frontend,
    },
};

impl Machine {
    /// Stops what the upstream is at: from here on nothing of its result reaches the client.
    pub(super) fn stop_first(&mut self, error: ClientError) {
        if let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut()
            && !job.finished
            && job.stopped.is_none()
        {
            job.stopped = Some(error);
            job.cancelling = Some(Cancelling::begun());
            self.cancel = true;
        }
    }

    /// The columns of a result are not those that its masks were planned for: names have changed since. Nothing of it is
    /// shown, and names are fetched anew.
    pub(super) fn stop_mismatched(&mut self, gate: &mut Gate, error: &Unbound) {
        tracing::info!(target_name = %gate.target().name(), %error, "a result is not what its text promised");
        self.catalog_dirty = true;
        gate.target().mark_changed();
        self.stop_first(changed());
    }

    /// What was stopped while it waited behind another message is cancelled when its turn comes.
    pub(super) fn stop_next(&mut self) {
        let stopped = |job: &&mut Job| job.stopped.is_some() && job.cancelling.is_none();
        let begun = self.at_work().filter(stopped).map(|job| job.cancelling = Some(Cancelling::begun())).count();
        self.cancel |= begun > 0;
        self.start_clock();
    }

    /// The time of what runs now begins.
    pub(super) fn start_clock(&mut self) {
        if let Some(job) = self.at_work().next()
            && job.began.is_none()
        {
            job.began = Some(Instant::now());
        }
    }

    /// The jobs that the upstream may be at.
    fn at_work(&mut self) -> impl Iterator<Item = &mut Job> {
        let reached = self.pending.iter_mut().scan(false, |over, pending| {
            let reached = !*over;
            *over |= pending.is_answered_at_once();
            reached.then_some(pending)
        });
        reached.filter_map(Pending::job_mut)
    }

    /// Why something of the batch that failed just now was stopped.
    pub(super) fn stopped_behind(&mut self) -> Option<ClientError> {
        self.at_work().find_map(|job| job.stopped.take())
    }

    /// A stopped statement was over before its cancel came. Nothing else of its message or batch reaches the client,
    /// and a transaction that is open is made to fail, as the client's error says.
    pub(super) fn stop_finished(&mut self, gate: &mut Gate, error: ClientError) -> Result<(), End> {
        error_response(&mut self.out.client, &error, Phase::Session);
        self.must_abort = true;
        match self.pending.front_mut() {
            Some(Pending::Query(job)) => {
                // What has run upstream has run: nothing is undone here.
                let _ = job.fail(error.sqlstate(), Some(&error.to_string()));
                job.tail.clear();
                self.swallow = true;
            }
            Some(Pending::Execute(_)) => {
                let mut synced = false;
                while let Some(pending) = self.pending.pop_front() {
                    match pending {
                        Pending::Execute(mut job) | Pending::Query(mut job) => {
                            let _ = job.fail(error.sqlstate(), Some(&error.to_string()));
                            let outcome = job.outcome();
                            gate.outcome(&job.permit, outcome);
                        }
                        Pending::Sync => {
                            self.pending.push_front(Pending::Sync);
                            synced = true;
                            break;
                        }
                        Pending::Parse(..)
                        | Pending::Bind(..)
                        | Pending::Describe(_)
                        | Pending::Close(_)
                        | Pending::CopyEnd
                        | Pending::Local { .. }
                        | Pending::Substitute { .. }
                        | Pending::Own(_) => {}
                    }
                }
                self.swallow = true;
                self.skip |= !synced;
            }
            Some(
                Pending::Parse(..)
                | Pending::Bind(..)
                | Pending::Describe(_)
                | Pending::Close(_)
                | Pending::Sync
                | Pending::CopyEnd
                | Pending::Local { .. }
                | Pending::Substitute { .. }
                | Pending::Own(_),
            )
            | None => {}
        }
        Ok(())
    }

    /// A write changed more rows than its role allows: it is taken back.
    pub(super) fn write_too_wide(&mut self, gate: &mut Gate, bound: u64, rows: u64) -> Result<(), End> {
        let open = self.tx == TransactionStatus::Open;
        let Some(Pending::Query(job) | Pending::Execute(job)) = self.pending.front_mut() else { return Ok(()) };
        let around = if open && !job.wrapped { Around::Fails } else { Around::None };
        let Some(error) = job.run().map(|run| run.too_wide(rows, bound, around)) else { return Ok(()) };
        match self.pending.front_mut() {
            Some(Pending::Execute(job)) => {
                error_response(&mut self.out.client, &error, Phase::Session);
                let _ = job.fail(error.sqlstate(), Some(&error.to_string()));
                let outcome = job.outcome();
                gate.outcome(&job.permit, outcome);
                self.pending.pop_front();
                // Nothing was sent after it: the batch is made to fail before its Sync can commit it.
                self.out.own_parse(&OwnSql::Fail);
                self.out.own_flush();
                self.pending.push_front(Pending::Own(Own::AbortBatch));
                self.skip = true;
                self.wait = None;
                Ok(())
            }
            _ => self.stop_finished(gate, error),
        }
    }

    /// Keeps a bounded write: the client hears of its completion when it is committed.
    pub(super) fn commit_wrapped(&mut self, tail: Vec<u8>) {
        if std::mem::take(&mut self.must_abort) {
            self.rollback_wrapped();
            return;
        }
        self.out.own_query(&OwnSql::Commit);
        self.pending.push_front(Pending::Own(Own::Commit(tail)));
        self.wait = Some(Wait::Own);
    }

    /// Takes a bounded write back; the client has its error.
    pub(super) fn rollback_wrapped(&mut self) {
        self.must_abort = false;
        self.out.own_query(&OwnSql::Rollback);
        self.pending.push_front(Pending::Own(Own::Rollback));
        self.wait = Some(Wait::Own);
    }

    /// When something is to be stopped, or to be cancelled again.
    pub fn deadline(&self) -> Option<Instant> {
        let again = self.jobs_at_work().filter_map(|job| job.cancelling.map(|cancelling| cancelling.again())).min();
        [again, self.time_is_up()].into_iter().flatten().min()
    }

    /// The moment at which what runs must be over. Of a batch it is not known which statement runs: all of them together
    /// have the time of each.
    fn time_is_up(&self) -> Option<Instant> {
        let mut jobs = self.jobs_at_work();
        let first = jobs.next().filter(|job| job.stopped.is_none())?;
        let mut time = first.allotted()?;
        for job in jobs {
            time = time.checked_add(job.allotted()?)?;
        }
        // What has no time of its own, by itself.
        let time = if time.is_zero() { first.timeout? } else { time };
        first.began?.checked_add(time)
    }

    fn jobs_at_work(&self) -> impl Iterator<Item = &Job> {
        let reached = self.pending.iter().scan(false, |over, pending| {
            let reached = !*over;
            *over |= pending.is_answered_at_once();
            reached.then_some(pending)
        });
        reached.filter_map(Pending::job)
    }

    /// Stops what has run for too long, and asks again to cancel what does not end.
    pub fn expire(&mut self, now: Instant) {
        let again =
            self.at_work().filter_map(|job| job.cancelling.as_mut()).filter_map(|it| it.repeat(now).then_some(()));
        self.cancel |= again.count() > 0;
        if self.time_is_up().is_none_or(|end| end > now) {
            return;
        }
        let error = ClientError::LimitExceeded {
            message: "canceling statement due to statement_timeout of this grant".into(),
            hint: "make the statement cheaper, or ask for a role with a longer statement_timeout".into(),
            sqlstate: "57014",
        };
        if let Some(job) = self.at_work().next() {
            job.stopped = Some(error);
        }
        self.stop_next();
    }

    /// Looks at every grant in use anew: what runs under one that ended is stopped, and so is a transaction that did.
    pub fn recheck_grants(&mut self, gate: &mut Gate) {
        for job in self.pending.iter_mut().filter_map(Pending::job_mut).filter(|job| job.stopped.is_none()) {
            job.stopped = job.runs.iter().find_map(|run| gate.still_granted(&run.allowance).err());
        }
        if let Some(error) = self.tx_allowances.iter().find_map(|allowance| gate.still_granted(allowance).err()) {
            // Whatever runs now would be kept or lost together with what has run under that grant. A COMMIT that is on
            // its way came in time.
            let commits = |run: &Run| run.statement().is_some_and(|statement| statement.effect == Effect::Commit);
            if let Some(job) = self.at_work().next()
                && job.stopped.is_none()
                && !job.runs.last().is_some_and(commits)
            {
                job.stopped = Some(error.clone());
            }
            self.doomed = Some(error);
        }
        self.stop_next();
        if self.batch_open && self.pending.is_empty() {
            self.refuse_doomed(gate);
        }
        self.abort_doomed();
    }

    /// Makes the open batch fail, if nothing of it may be kept.
    pub(super) fn refuse_doomed(&mut self, gate: &mut Gate) {
        if self.batch_open
            && let Some(error) = self.doomed.clone()
        {
            self.refuse_batch(gate, error);
        }
    }

    /// Makes the open transaction fail between the client's messages, if nothing of it may be kept.
    pub(super) fn abort_doomed(&mut self) {
        if self.tx == TransactionStatus::Open
            && self.pending.is_empty()
            && !self.batch_open
            && let Some(error) = self.doomed.clone()
        {
            let hint = error.hint().map(ToOwned::to_owned);
            notice_response(
                &mut self.out.client,
                Severity::Warning,
                "01000",
                &error.to_string(),
                None,
                hint.as_deref(),
            );
            self.aborted = Some(error);
            self.out.own_query(&OwnSql::Fail);
            self.pending.push_back(Pending::Own(Own::AbortQuietly));
            self.wait = Some(Wait::Own);
        }
    }

    /// Tells the client what a review rule says of the statement that is about to run. In the middle of another's row
    /// nothing can be said.
    pub(super) fn warn(&mut self, text: &str) {
        if self.upstream_rest == 0 {
            notice_response(&mut self.out.client, Severity::Warning, "01000", text, None, None);
        }
    }

    /// Tells the client something between its statements' answers: a notice may come at any time.
    pub fn notify(&mut self, text: &str, hint: &str) {
        if self.upstream_rest == 0 {
            notice_response(&mut self.out.client, Severity::Notice, "00000", text, None, Some(hint));
        }
    }

    /// No upstream session could be opened for the frame at the start of `input`: it is refused. Says how many bytes
    /// of it were taken.
    pub fn unreachable(&mut self, gate: &mut Gate, input: &[u8], error: ClientError) -> usize {
        if self.pieces.take().is_some() {
            self.refuse_query(error);
            return 0;
        }
        let Ok(Some(frame)) = codec::frame(input, codec::MAX_FRAME) else { return 0 };
        let total = frame.raw.len();
        if frame.tag == frontend::tag::QUERY {
            self.refuse_query(error);
        } else {
            self.refuse_batch(gate, error);
        }
        total
    }

    /// The session ends: what is under way gets its outcome, with this SQLSTATE and reason unless it has its own.
    pub fn abandon(&mut self, gate: &mut Gate, sqlstate: &str, reason: &str) {
        for pending in std::mem::take(&mut self.pending) {
            if let Pending::Query(mut job) | Pending::Execute(mut job) = pending {
                job.abandon(sqlstate, reason);
                let outcome = job.outcome();
                gate.outcome(&job.permit, outcome);
            }
        }
        self.abandon_question(gate, sqlstate, reason);
    }

    /// The upstream session is lost. Hands back the error, and whether the client's session can go on without it.
    pub fn lost(&mut self, gate: &mut Gate, error: &ClientError) -> Loss {
        // What a batch has done so far is lost, too, though nothing of it is owed. An error cannot be put before the answer
        // to a question that is on its way.
        let fatal = self.stateful
            || self.tx != TransactionStatus::Idle
            || self.names.any_named()
            || (self.batch_open && self.desk.waits());
        let mut awaited = self.batch_open || self.pieces.is_some();
        let mut synced = self.pieces.is_some();
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Query(mut job) | Pending::Execute(mut job) => {
                    synced |= matches!(job.way, super::job::Way::Simple);
                    let _ = job.fail(error.sqlstate(), Some("the upstream session was lost"));
                    let outcome = job.outcome();
                    gate.outcome(&job.permit, outcome);
                    awaited = true;
                }
                Pending::Sync => {
                    synced = true;
                    awaited = true;
                }
                Pending::Substitute { simple, .. } => {
                    synced |= simple;
                    awaited = true;
                }
                Pending::Parse(..) | Pending::Bind(..) | Pending::Describe(_) | Pending::Close(_) => awaited = true,
                Pending::CopyEnd | Pending::Local { .. } | Pending::Own(_) => {}
            }
        }
        *self = Self {
            told: std::mem::take(&mut self.told),
            out: std::mem::take(&mut self.out),
            desk: std::mem::take(&mut self.desk),
            ..Self::new(Vec::new(), self.processes.client)
        };
        self.out.upstream_mut().clear();
        gate.forget_private();
        gate.idle();
        if fatal {
            return Loss::Session;
        }
        if awaited {
            error_response(&mut self.out.client, error, Phase::Session);
            if synced {
                crate::wire::postgres::encode::ready_for_query(&mut self.out.client, TransactionStatus::Idle);
            } else {
                self.skip = true;
            }
        }
        Loss::Upstream
    }
}
