//! Query messages: one or several statements, decided as a whole before the first is sent.

use hallpass_policy::statement::{Action, Effect, Refusal, RefusalKind, Statement, inband::Inband};

use super::{
    End, Machine, Wait,
    job::{Job, Run, Way},
    outbox::OwnSql,
    own::Ready,
    pending::{Own, Pending},
};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, Refused},
        inband::questions,
        machine::Stop,
        run::{most_telling, not_here, wanted_fence},
    },
    wire::postgres::{backend::TransactionStatus, codec::Frame, frontend},
};

/// Whether a frame was taken, or has to come again.
#[derive(Debug)]
pub(super) enum Flow {
    /// Taken.
    Taken,
    /// Not taken.
    Stop(Stop),
    /// Taken: the proxy itself is asked this.
    Asked(Vec<Inband>),
}

impl Machine {
    /// A Query message.
    pub(super) fn query(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<Flow, End> {
        let text = frontend::query(frame.body)?;
        self.settle_held(gate);
        if self.skip {
            return Ok(Flow::Taken);
        }
        if let Ready::NotYet(stop) = self.ready_for_sql(gate)? {
            return Ok(Flow::Stop(stop));
        }
        if let Err(error) = self.readable(text) {
            return Ok(self.deny_query(gate, &String::from_utf8_lossy(text), error));
        }
        let of = match gate.understand(text) {
            Ok(of) => of,
            Err(Refused::StaleCatalog) => return Ok(Flow::Stop(Stop::Refresh)),
            Err(Refused::Unstudied) => return Ok(Flow::Stop(Stop::Study)),
            Err(Refused::Client(error)) => {
                if let Some(stop) = self.wanted_for(gate, &error) {
                    return Ok(Flow::Stop(stop));
                }
                if let Some(flow) = self.take_apart(gate, text) {
                    return Ok(flow);
                }
                return Ok(self.deny_query(gate, &String::from_utf8_lossy(text), error));
            }
        };
        match questions(&of.understood.statements) {
            Ok(None) => {}
            Ok(Some(_)) if self.pieces.is_some() => {
                return Ok(self.deny_query(gate, &of.text, not_here("a call of the proxy's own")));
            }
            Ok(Some(questions)) => return Ok(self.ask_query(gate, &of, questions)),
            Err(error) => return Ok(self.deny_query(gate, &of.text, error)),
        }
        if self.pieces.is_none()
            && let Some(flow) = self.deallocate_own(&of.understood.statements)
        {
            return Ok(flow);
        }
        self.desk.forget_unnamed();
        let statements = of.understood.statements.len();
        let mut runs = Vec::with_capacity(statements);
        let mut planned = orderly(&of.understood.statements, self.is_unsettled());
        if planned.is_err()
            && let Some(flow) = self.take_apart(gate, text)
        {
            return Ok(flow);
        }
        if self.pieces.is_some() && of.understood.statements.iter().any(|read| read.effect == Effect::CopyIn) {
            planned = Err(not_here("COPY … FROM STDIN"));
        }
        for index in 0..statements {
            if planned.is_err() {
                break;
            }
            match self.plan(gate, &of, index) {
                Ok(run) => runs.push(run),
                Err(error) => planned = Err(error),
            }
        }
        if let Err(error) = planned {
            self.undo_runs(gate, runs);
            return Ok(self.deny_query(gate, &of.text, error));
        }
        let ready = match self.ready_upstream(gate, &runs) {
            Ok(Ready::Yes) => self.ready_wrapped(&runs),
            other => other,
        };
        match ready {
            Ok(Ready::Yes) => {}
            Ok(Ready::NotYet(stop)) => {
                self.undo_runs(gate, runs);
                return Ok(Flow::Stop(stop));
            }
            Err(error) => {
                self.undo_runs(gate, runs);
                return Ok(self.deny_query(gate, &of.text, error));
            }
        }
        self.forward_query(gate, frame, &of, runs)
    }

    fn forward_query(
        &mut self,
        gate: &mut Gate,
        frame: Frame<'_>,
        of: &std::sync::Arc<crate::session::target::Understanding>,
        runs: Vec<Run>,
    ) -> Result<Flow, End> {
        let allowance = most_telling(&runs).unwrap_or_else(|| gate.baseline());
        let permit = match gate.permit(&of.text, &of.understood.fingerprint, None, allowance, None) {
            Ok(permit) => permit,
            Err(error) => {
                self.undo_runs(gate, runs);
                return Ok(self.refuse_query(error));
            }
        };
        self.check_views(gate, of);
        self.out.forward(&permit, frame.raw);
        self.note_runs(&runs);
        let names_change = self.unsettle(&runs);
        let mut job = Job::new(permit, Way::Simple, runs);
        job.wrapped = self.is_last_piece() && std::mem::take(&mut self.wrapped);
        gate.running(&of.text, job.permit.allowance());
        self.pending.push_back(Pending::Query(Box::new(job)));
        if names_change {
            self.wait = Some(Wait::Drained);
        }
        Ok(Flow::Taken)
    }

    /// Whether what runs may change names, or what is found by them: nothing is understood before it is over.
    pub(super) fn unsettle(&self, runs: &[Run]) -> bool {
        let unsettled = self.is_unsettled();
        let may = |effect: &Effect| {
            matches!(effect, Effect::ResetAll | Effect::DiscardAll) || (unsettled && may_take_back(effect))
        };
        runs.iter().any(|run| run.changes_catalog() || run.statement().is_some_and(|statement| may(&statement.effect)))
    }

    /// What statements need of the upstream session before they may be sent: that it stands, behind the right fence.
    pub(super) fn ready_upstream(&mut self, gate: &mut Gate, runs: &[Run]) -> Result<Ready, ClientError> {
        let fence = wanted_fence(gate, self.fence.as_ref(), runs)?;
        if self.connected { self.ready_fence(&fence) } else { Ok(Ready::NotYet(Stop::Connect(fence))) }
    }

    /// A bounded write that would commit at once runs in a transaction of ours, so that it can be taken back; so do the
    /// statements of one text that run one by one.
    fn ready_wrapped(&mut self, runs: &[Run]) -> Result<Ready, ClientError> {
        let bounded = runs.iter().any(|run| run.write_bound().is_some());
        if !(bounded || self.wants_transaction()) || self.wrapped {
            return Ok(Ready::Yes);
        }
        if !self.pending.is_empty() {
            self.wait = Some(Wait::Drained);
            return Ok(Ready::NotYet(Stop::Hold));
        }
        if self.tx != TransactionStatus::Idle {
            return Ok(Ready::Yes);
        }
        if runs.iter().filter_map(Run::statement).any(ends_transaction) {
            return Err(ClientError::Refused(
                Refusal::new(
                    RefusalKind::Unsupported,
                    "a write that max_rows_affected bounds cannot share a message with transaction commands",
                )
                .hint("send BEGIN, the write and COMMIT one by one"),
            ));
        }
        self.out.own_query(&OwnSql::Begin);
        self.pending.push_back(Pending::Own(Own::Begin));
        self.wait = Some(Wait::Own);
        Ok(Ready::NotYet(Stop::Hold))
    }

    /// Takes back what was noted for runs that are not sent after all.
    pub(super) fn undo_runs(&mut self, gate: &mut Gate, runs: Vec<Run>) {
        for run in runs.into_iter().rev() {
            for undo in run.undo.into_iter().rev() {
                self.undo(gate, undo);
            }
        }
    }
}

/// Refuses texts whose later statements would be understood with names that an earlier one changes, and those that
/// would lift the fence in mid-text. `unsettled`: the end of the open transaction may change names, too.
fn orderly(statements: &[Statement], unsettled: bool) -> Result<(), ClientError> {
    let refuse = |message: &str| {
        let refusal = Refusal::new(RefusalKind::Unsupported, message).hint("send the statements one by one");
        Err(ClientError::Refused(refusal))
    };
    let mut names_changed = false;
    let mut ended = false;
    let mut reset = false;
    for statement in statements {
        if reset {
            return refuse("nothing can follow RESET ALL or DISCARD ALL in the same message");
        }
        reset = matches!(statement.effect, Effect::ResetAll | Effect::DiscardAll);
        let uses_rows = statement.needs.iter().any(|need| match need.action {
            Action::Explain | Action::Select | Action::Insert | Action::Update | Action::Delete => true,
            Action::CopyIn | Action::Call => true,
            Action::Truncate | Action::Ddl | Action::Lock | Action::Maintain | Action::Admin => false,
        });
        if names_changed && uses_rows {
            return refuse("a statement after DDL in the same message would be understood with the old names");
        }
        let asks = !statement.needs.is_empty() || matches!(statement.effect, Effect::Execute { .. });
        if ended && asks {
            return refuse("a statement after the end of a transaction that changed names cannot share its message");
        }
        names_changed |= matches!(statement.effect, Effect::ChangesCatalog);
        ended |= unsettled && may_take_back(&statement.effect);
    }
    Ok(())
}

/// Whether what the transaction has changed so far may be as before afterwards.
fn may_take_back(effect: &Effect) -> bool {
    matches!(effect, Effect::Commit | Effect::Rollback | Effect::RollbackTo)
}

fn ends_transaction(statement: &Statement) -> bool {
    matches!(statement.effect, Effect::Begin | Effect::Commit | Effect::Rollback)
}
