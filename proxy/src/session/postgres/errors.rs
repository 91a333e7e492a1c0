//! What an upstream says besides results: errors, notices, parameters. Errors go on as they are, unless a masked column
//! takes part (then only their kind does), the proxy stopped the statement, or they stand in for a denial.

use hallpass_policy::mask::scrub;

use super::{
    End, Machine, Touched,
    outbox::OwnSql,
    pending::{Errors, Own, Pending},
    upstream::theirs,
};
use crate::{
    error::ClientError,
    session::gate::Gate,
    wire::postgres::{
        backend::{Report, TransactionStatus, parameter_status, tag},
        codec::Frame,
        encode,
        error::{Phase, error_in_place, error_response, moved, scrub_error},
    },
};

/// SQLSTATE `in_failed_sql_transaction`.
const IN_FAILED_TRANSACTION: &str = "25P02";

/// Parameters that a server may report; it has about fifteen that it reports.
const MOST_PARAMETERS: usize = 200;

impl Machine {
    /// An ErrorResponse.
    pub(super) fn error(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<(), End> {
        let report = Report::decode(frame.body).map_err(theirs)?;
        let sqlstate = report.sqlstate().to_owned();
        if matches!(report.get(b'V'), Some(b"FATAL" | b"PANIC")) {
            // Its session is over; whether the client's is, too, is decided where losses are.
            return Err(End::Upstream(format!("it ended the session with {sqlstate}")));
        }
        while matches!(self.pending.front(), Some(Pending::CopyEnd)) {
            self.pending.pop_front();
        }
        self.copying = false;
        match self.pending.pop_front() {
            Some(Pending::Query(mut job)) => {
                let error = job.stopped.take();
                let scrubs = job.scrubs();
                let told = error.as_ref().map_or(sqlstate.as_str(), |error| error.sqlstate());
                let undo = job.fail(told, error.as_ref().map(ToString::to_string).as_deref());
                job.tail.clear();
                self.pending.push_front(Pending::Query(job));
                undo.into_iter().for_each(|undo| self.undo(gate, undo));
                self.tell_error(frame, &sqlstate, error, scrubs)
            }
            Some(Pending::Execute(mut job)) => {
                let error = job.stopped.take();
                let scrubs = job.scrubs();
                let told = error.as_ref().map_or(sqlstate.as_str(), |error| error.sqlstate()).to_owned();
                let undo = job.fail(&told, error.as_ref().map(ToString::to_string).as_deref());
                let outcome = job.outcome();
                gate.outcome(&job.permit, outcome);
                undo.into_iter().for_each(|undo| self.undo(gate, undo));
                self.tell_error(frame, &sqlstate, error, scrubs)?;
                self.batch_failed(gate);
                Ok(())
            }
            Some(Pending::Substitute { error, simple }) => {
                error_in_place(&mut self.out.client, &error, report);
                if simple {
                    self.pending.push_front(Pending::Substitute { error, simple });
                } else {
                    self.batch_failed(gate);
                }
                Ok(())
            }
            Some(Pending::Parse(undo, errors) | Pending::Bind(undo, errors)) => {
                self.undo(gate, undo);
                let stopped = self.stopped_behind();
                // A plan or a parameter may be quoted while it is bound.
                self.tell_error(frame, &sqlstate, stopped, errors == Errors::Scrub)?;
                self.batch_failed(gate);
                Ok(())
            }
            Some(Pending::Close(undo)) => {
                self.undo(gate, undo);
                self.tell_error(frame, &sqlstate, None, false)?;
                self.batch_failed(gate);
                Ok(())
            }
            // Columns and types are what a description can fail on: names.
            Some(Pending::Describe(_) | Pending::Own(Own::Shape(_))) => {
                let stopped = self.stopped_behind();
                self.tell_error(frame, &sqlstate, stopped, false)?;
                self.batch_failed(gate);
                Ok(())
            }
            Some(Pending::Own(own)) => self.own_failed(gate, own, frame, &sqlstate),
            // An error of the commit that a Sync brings, or of a connection that ends.
            Some(sync @ Pending::Sync) => {
                self.pending.push_front(sync);
                let scrubs = self.tx_allowances.iter().any(|allowance| allowance.scrub);
                self.tell_error(frame, &sqlstate, None, scrubs)
            }
            Some(local @ (Pending::Local { .. } | Pending::CopyEnd)) => {
                self.pending.push_front(local);
                self.tell_error(frame, &sqlstate, None, true)
            }
            None => self.tell_error(frame, &sqlstate, None, true),
        }
    }

    /// Something of the proxy's own failed.
    fn own_failed(&mut self, gate: &mut Gate, own: Own, frame: Frame<'_>, sqlstate: &str) -> Result<(), End> {
        match own {
            Own::Fence { .. } => {
                self.fence_error = Some(ClientError::UpstreamUnavailable {
                    target: gate.target().name().to_string(),
                    reason: "the upstream role or the read-only fence of this grant cannot be set".into(),
                });
                self.fence = None;
                self.pending.push_front(Pending::Own(own));
                Ok(())
            }
            Own::Commit(_) => {
                // A deferred constraint, as if the client's own statement had failed at its commit.
                self.pending.push_front(Pending::Own(Own::Commit(Vec::new())));
                self.tell_error(frame, sqlstate, None, !gate.known().masks.is_free())
            }
            // These fail on purpose.
            Own::Abort | Own::AbortQuietly => {
                self.pending.push_front(Pending::Own(own));
                Ok(())
            }
            Own::AbortBatch => {
                self.batch_failed(gate);
                Ok(())
            }
            Own::Shape(_)
            | Own::Sight { .. }
            | Own::Views { .. }
            | Own::Begin
            | Own::Rollback
            | Own::Path
            | Own::Catalog(_)
            | Own::CatalogDone { .. } => {
                Err(End::Upstream(format!("a question of the proxy's own failed with {sqlstate}")))
            }
        }
    }

    /// A message of a batch failed: the upstream skips the rest of it up to Sync, so does the proxy.
    fn batch_failed(&mut self, gate: &mut Gate) {
        let mut undo = Vec::new();
        loop {
            match self.pending.front() {
                None => {
                    // The client's Sync is still to come.
                    self.skip = true;
                    break;
                }
                Some(Pending::Sync | Pending::Local { .. }) => break,
                Some(_) => {}
            }
            match self.pending.pop_front() {
                Some(Pending::Parse(one, _) | Pending::Bind(one, _) | Pending::Close(one)) => undo.push(one),
                Some(Pending::Execute(mut job) | Pending::Query(mut job)) => {
                    undo.extend(
                        job.fail(IN_FAILED_TRANSACTION, Some("skipped: the pipeline failed before it"))
                            .into_iter()
                            .rev(),
                    );
                    let outcome = job.outcome();
                    gate.outcome(&job.permit, outcome);
                }
                Some(
                    Pending::Describe(_)
                    | Pending::Sync
                    | Pending::CopyEnd
                    | Pending::Local { .. }
                    | Pending::Substitute { .. }
                    | Pending::Own(_),
                )
                | None => {}
            }
        }
        undo.into_iter().rev().for_each(|undo| self.undo(gate, undo));
        if self.wait == Some(super::Wait::Bounded) {
            self.wait = None;
        }
        gate.idle();
        self.flush_local();
    }

    /// Gives the client an error: the proxy's own where it stopped the statement, the server's otherwise.
    fn tell_error(
        &mut self,
        frame: Frame<'_>,
        sqlstate: &str,
        instead: Option<ClientError>,
        scrubs: bool,
    ) -> Result<(), End> {
        let aborted = if sqlstate == IN_FAILED_TRANSACTION { self.aborted.take() } else { None };
        if let Some(error) = instead.or(aborted) {
            error_response(&mut self.out.client, &error, Phase::Session);
        } else if scrubs {
            let kind = scrub::kind_of(sqlstate);
            let scrubbed = scrub_error(tag::ERROR_RESPONSE, frame.body, kind).map_err(theirs)?;
            self.out.client.extend_from_slice(&scrubbed);
        } else {
            self.pass_report(frame)?;
        }
        Ok(())
    }

    /// Gives the client what the server says, with places in the text as the client sent it.
    fn pass_report(&mut self, frame: Frame<'_>) -> Result<(), End> {
        match self.before_piece() {
            0 => self.out.client.extend_from_slice(frame.raw),
            before => self.out.client.extend_from_slice(&moved(frame.tag, frame.body, before).map_err(theirs)?),
        }
        Ok(())
    }

    /// A NoticeResponse: on, reduced to its kind where a masked column may take part, or dropped with our own.
    pub(super) fn notice(&mut self, frame: Frame<'_>) -> Result<(), End> {
        let scrubs = match self.pending.iter().find(|pending| !matches!(pending, Pending::CopyEnd)) {
            Some(Pending::Own(_) | Pending::Substitute { .. }) => return Ok(()),
            Some(Pending::Query(job) | Pending::Execute(job)) => job.scrubs(),
            Some(
                Pending::Parse(..)
                | Pending::Bind(..)
                | Pending::Describe(_)
                | Pending::Close(_)
                | Pending::Sync
                | Pending::CopyEnd
                | Pending::Local { .. },
            )
            | None => false,
        };
        if self.swallow {
            return Ok(());
        }
        if scrubs {
            let sqlstate = Report::decode(frame.body).map_err(theirs)?.sqlstate();
            let scrubbed = scrub_error(tag::NOTICE_RESPONSE, frame.body, scrub::kind_of(sqlstate)).map_err(theirs)?;
            self.out.client.extend_from_slice(&scrubbed);
        } else {
            self.pass_report(frame)?;
        }
        Ok(())
    }

    /// A ParameterStatus.
    pub(super) fn parameter_status(&mut self, frame: Frame<'_>) -> Result<(), End> {
        let (name, value) = parameter_status(frame.body).map_err(theirs)?;
        let (name, value) = (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned());
        if name == "standard_conforming_strings" && value != "on" {
            // Under this the server reads texts differently than we do.
            return Err(End::Upstream("standard_conforming_strings was turned off".into()));
        }
        if self.told.len() >= MOST_PARAMETERS && self.told.iter().all(|(told, _)| *told != name) {
            return Err(End::Upstream("more parameters than a server has".into()));
        }
        // Around the catalog's queries the path is ours: Postgres 18 tells of it, the client need not hear.
        let own =
            matches!(self.pending.front(), Some(Pending::Own(Own::Path | Own::Catalog(_) | Own::CatalogDone { .. })));
        let ours = own && name == "search_path";
        if !ours && !self.keep_parameter(&name, &value) {
            self.report_parameter(&name, &value);
        }
        Ok(())
    }

    /// Tells the client a parameter, if that is news, and not about the fence.
    pub(super) fn report_parameter(&mut self, name: &str, value: &str) {
        if name == "default_transaction_read_only" {
            return;
        }
        match self.told.iter_mut().find(|(told, _)| told == name) {
            Some((_, told)) if told == value => return,
            Some((_, told)) => value.clone_into(told),
            None => self.told.push((name.to_owned(), value.to_owned())),
        }
        // Texts from a ParameterStatus hold no NUL.
        let _ = encode::parameter_status(&mut self.out.client, name, value);
    }

    /// The upstream is made to agree that the transaction has failed; its ReadyForQuery goes on to the client.
    pub(super) fn abort_transaction(&mut self) {
        self.out.own_query(&OwnSql::Fail);
        self.pending.push_front(Pending::Own(Own::Abort));
    }

    /// The transaction is over, one way or the other.
    pub(super) fn transaction_over(&mut self, gate: &mut Gate) {
        debug_assert_eq!(self.tx, TransactionStatus::Idle);
        self.aborted = None;
        // What is under way already may belong to the next one.
        let last = self.pending.len() <= 1;
        self.path_touched &= !last;
        let touched = self.names_touched;
        if last {
            self.names_touched = Touched::Nothing;
        }
        if gate.has_private() && (touched != Touched::Nothing || !self.temporary) {
            // What was seen inside the transaction is public now, or gone.
            self.catalog_dirty = true;
            if !self.temporary {
                gate.forget_private();
            }
            if !self.temporary || touched == Touched::Public {
                gate.target().mark_changed();
            }
        }
    }
}
