//! COM_QUERY, and commands that stand for a statement: one or several statements, decided as a whole before the first
//! is sent.

use std::sync::Arc;

use hallpass_policy::statement::{Action, Effect, Outputs, Refusal, RefusalKind, Statement};

use super::{
    Machine,
    client::Flow,
    job::{Job, Run, Way},
    own::Ready,
    pending::{Owed, Pending},
};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, Outcome, Refused},
        inband::questions,
        machine::{End, Stop},
        run::{most_telling, not_here},
        target::Understanding,
    },
    wire::mysql::{
        codec::Message,
        reader::{Request, ResultReader},
    },
};

impl Machine {
    /// COM_QUERY.
    pub(super) fn query(&mut self, gate: &mut Gate, message: &Message<'_>, text: &[u8]) -> Result<Flow, End> {
        let of = match self.understand(gate, text) {
            Ok(Understood::Yes(of)) => of,
            Ok(Understood::NotYet(stop)) => return Ok(Flow::Stop(stop)),
            Err(error) => {
                return Ok(match self.take_apart(gate, text) {
                    Some(flow) => flow,
                    None => self.deny(gate, &String::from_utf8_lossy(text), None, error),
                });
            }
        };
        match questions(&of.understood.statements) {
            Ok(Some(_)) if self.pieces.is_some() => {
                Ok(self.deny(gate, &of.text, None, not_here("a call of the proxy's own")))
            }
            Ok(None) if orderly(&of.understood.statements).is_err() => {
                Ok(self.take_apart(gate, text).unwrap_or_else(|| self.run(gate, message, &of, Request::Query)))
            }
            Ok(None) => Ok(self.run(gate, message, &of, Request::Query)),
            Ok(Some(questions)) => Ok(self.ask_query(gate, &of, questions)),
            Err(error) => Ok(self.deny(gate, &of.text, None, error)),
        }
    }

    /// A command that means what the statement `text` says; the command itself is forwarded.
    pub(super) fn stand_in(
        &mut self,
        gate: &mut Gate,
        message: &Message<'_>,
        text: &[u8],
        request: Request,
    ) -> Result<Flow, End> {
        match self.understand(gate, text) {
            Ok(Understood::Yes(of)) => Ok(self.run(gate, message, &of, request)),
            Ok(Understood::NotYet(stop)) => Ok(Flow::Stop(stop)),
            Err(error) => Ok(self.deny(gate, &String::from_utf8_lossy(text), None, error)),
        }
    }

    /// What `text` means, once it is known what it is read with.
    pub(super) fn understand(&mut self, gate: &mut Gate, text: &[u8]) -> Result<Understood, ClientError> {
        if let Ready::NotYet(stop) = self.ready_for_sql(gate) {
            return Ok(Understood::NotYet(stop));
        }
        let text = self.charset.decode(text).ok_or_else(|| {
            let message = format!("the statement is no text in {}", self.charset.name());
            let refusal = Refusal::new(RefusalKind::Unparsed, message)
                .hint("SET NAMES utf8mb4 and send the statement in it; write bytes as X'…'");
            ClientError::Refused(refusal)
        })?;
        let understood = gate.understand(text.as_bytes());
        // It may speak of a temporary table that is not known yet.
        if understood.is_err()
            && let Some(stop) = self.ask_temporary()
        {
            return Ok(Understood::NotYet(stop));
        }
        match understood {
            Ok(of) => Ok(Understood::Yes(of)),
            Err(Refused::StaleCatalog) => Ok(Understood::NotYet(Stop::Refresh)),
            Err(Refused::Unstudied) => Ok(Understood::NotYet(Stop::Study)),
            Err(Refused::Client(error)) => Err(error),
        }
    }

    /// Decides a text's statements, records and forwards it.
    fn run(&mut self, gate: &mut Gate, message: &Message<'_>, of: &Arc<Understanding>, request: Request) -> Flow {
        if self.pieces.is_some()
            && of.understood.statements.iter().any(|read| matches!(read.effect, Effect::Kill { .. }))
        {
            return self.deny(gate, &of.text, None, not_here("KILL"));
        }
        if let [Statement { effect: Effect::Kill { connection, what }, .. }] = of.understood.statements.as_slice()
            && self.kill_own(gate, *connection, *what)
        {
            match gate.permit_answer(of, None) {
                Ok(permit) => {
                    gate.outcome(&permit, Outcome::default());
                    self.reply_ok();
                }
                Err(error) => self.tell(&error, super::refuse::about(None, &error)),
            }
            return Flow::Taken;
        }
        let statements = &of.understood.statements;
        let rolls_back = matches!(statements.as_slice(), [Statement { effect: Effect::Rollback, .. }]);
        if let Some(error) = self.aborted.take()
            && !rolls_back
        {
            return self.deny(gate, &of.text, None, error);
        }
        let mut runs = Vec::with_capacity(statements.len());
        if let Err(error) = orderly(statements) {
            return self.deny(gate, &of.text, None, error);
        }
        for (index, statement) in statements.iter().enumerate() {
            match self.plan(gate, of, index) {
                Ok(run) => runs.push(run),
                Err(_)
                    if self.temporaries.any()
                        && let Some(stop) = self.ask_temporary() =>
                {
                    return Flow::Stop(stop);
                }
                Err(error) => return self.deny(gate, &of.text, Some(statement), error),
            }
        }
        if runs.iter().any(|run| run.allowance.mute) && runs.iter().any(super::plan::counts_warnings) {
            return self.deny(gate, &of.text, None, super::plan::muted());
        }
        match self.ready_upstream(gate, &runs) {
            Ok(Ready::Yes) => {}
            Ok(Ready::NotYet(stop)) => return Flow::Stop(stop),
            Err(error) => return self.deny(gate, &of.text, None, error),
        }
        let way = if request == Request::FieldList { Way::Fields } else { Way::Text };
        self.send(gate, message.raw, of, runs, way, ResultReader::new(request, self.held()), None)
    }

    /// Records a decided text and forwards its command.
    #[expect(clippy::too_many_arguments, reason = "everything that a job is made of")]
    pub(super) fn send(
        &mut self,
        gate: &mut Gate,
        packets: &[u8],
        of: &Arc<Understanding>,
        runs: Vec<Run>,
        way: Way,
        reader: ResultReader,
        parameters: Option<Box<str>>,
    ) -> Flow {
        let ahead = self.names.ahead();
        let allowance = most_telling(&runs).unwrap_or_else(|| gate.baseline());
        let reason = matches!(way, Way::Fetch(_)).then_some("fetch");
        let permit = match gate.permit(&of.text, &of.understood.fingerprint, parameters, allowance, reason) {
            Ok(permit) => permit,
            Err(error) => {
                self.tell(&error, super::refuse::about(None, &error));
                return Flow::Taken;
            }
        };
        if let Some(of) = &ahead {
            self.ask_tables(of);
        }
        self.out.forward(&permit, packets, self.login.order);
        self.note_temporary(gate, &runs);
        if !runs.iter().any(|run| run.statement().is_some_and(is_messages)) {
            self.warnings.statement();
        }
        for warning in runs.iter().flat_map(|run| &run.allowance.warnings) {
            self.warnings.warn(warning);
        }
        gate.running(&of.text, permit.allowance());
        let mut job = Box::new(Job::new(permit, way, runs));
        job.wrapped = self.wrapped.take();
        self.pending = Some(match ahead {
            None => Pending { owed: Owed::Job(job), reader },
            Some(of) => self.behind_tables(of, job, reader),
        });
        Flow::Taken
    }
}

/// A text's meaning, or what has to be done first.
#[derive(Debug)]
pub(super) enum Understood {
    /// It is understood.
    Yes(Arc<Understanding>),
    /// Not before this.
    NotYet(Stop),
}

/// Whether a statement reads the last one's warnings.
pub(super) fn is_messages(statement: &Statement) -> bool {
    statement.verb == "SHOW WARNINGS"
}

/// Whether a statement ends an open transaction, if only by the way.
pub(super) fn ends_transaction(statement: &Statement) -> bool {
    matches!(statement.effect, Effect::Begin | Effect::Commit | Effect::Rollback | Effect::ChangesCatalog)
}

/// Refuses texts whose later statements would be understood with what an earlier one changes, and those of whose
/// results nobody can tell which statement they are of.
fn orderly(statements: &[Statement]) -> Result<(), ClientError> {
    let refuse = |message: &str| {
        let refusal = Refusal::new(RefusalKind::Unsupported, message).hint("send the statements one by one");
        Err(ClientError::Refused(refusal))
    };
    if statements.len() < 2 {
        return Ok(());
    }
    let mut changed = false;
    for statement in statements {
        let calls = super::job::may_call(statement);
        if calls && statement.verb != "CALL" {
            return refuse("code with results of its own cannot share a message with other statements");
        }
        let reads_names = statement.needs.iter().any(|need| !matches!(need.action, Action::Ddl | Action::Maintain))
            || !matches!(statement.outputs, Outputs::None);
        if changed && reads_names {
            return refuse(
                "a statement behind USE, SET or DDL in the same message would be read with the old settings",
            );
        }
        changed |= calls
            || matches!(statement.effect, Effect::ChangesCatalog | Effect::ChangesTemporary(_))
            || super::plan::settings(statement)
                .iter()
                .any(|(name, _)| &***name == "database" || super::plan::is_followed(name));
        if matches!(statement.effect, Effect::Kill { .. }) {
            return refuse("KILL cannot share a message with other statements");
        }
    }
    Ok(())
}
