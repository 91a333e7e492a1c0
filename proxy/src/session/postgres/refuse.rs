//! Denials that look like the server's own errors. If the upstream has anything open, a statement that fails is sent in
//! place of the denied one and our error put in place of its error: the transaction's state, skip-until-Sync and
//! ReadyForQuery then agree by construction. If nothing is open, the proxy answers by itself.

use hallpass_policy::statement::{Refusal, RefusalKind};

use super::{Machine, bound::Bound, names::Undo, outbox::OwnSql, pending::Pending, query::Flow};
use crate::{
    error::ClientError,
    session::{gate::Gate, machine::Stop, run::wanted_fence},
    wire::postgres::{
        backend::TransactionStatus,
        encode,
        error::{Phase, error_response},
        frontend::Named,
    },
};

impl Machine {
    /// Records a denied Query and refuses it.
    pub(super) fn deny_query(&mut self, gate: &mut Gate, text: &str, error: ClientError) -> Flow {
        let error = recorded(gate, text, error);
        self.refuse_query(error)
    }

    /// Records a denied Parse, Bind or Execute and refuses it.
    pub(super) fn deny_batch(&mut self, gate: &mut Gate, text: &str, error: ClientError) -> Flow {
        let error = recorded(gate, text, error);
        self.refuse_batch(gate, error)
    }

    /// Refuses a name that the upstream does not have either. Forwarding it would show whether we are right about that.
    pub(super) fn deny_unnamed(&mut self, gate: &mut Gate, named: Named<'_>) -> Flow {
        let error = match named {
            Named::Statement(name) => ClientError::UnknownStatement(String::from_utf8_lossy(name).into_owned()),
            Named::Portal(name) => ClientError::UnknownPortal(String::from_utf8_lossy(name).into_owned()),
        };
        self.refuse_batch(gate, error)
    }

    /// A FunctionCall: never.
    pub(super) fn function_call(&mut self, gate: &mut Gate) -> Flow {
        let error = ClientError::Refused(
            Refusal::new(RefusalKind::Unsupported, "the function call message is not supported")
                .hint("call the function with SELECT"),
        );
        let error = recorded(gate, "(function call message)", error);
        self.refuse_query(error)
    }

    /// What has to be there before `error` can be told: a syntax error is told with what only the server knows of it.
    pub(super) fn wanted_for(&self, gate: &Gate, error: &ClientError) -> Option<Stop> {
        if self.connected || syntax_error(error).is_none() {
            return None;
        }
        wanted_fence::<Bound, Undo>(gate, self.fence.as_ref(), &[]).ok().map(Stop::Connect)
    }

    /// Refuses a Query: the error, then ReadyForQuery.
    pub(super) fn refuse_query(&mut self, error: ClientError) -> Flow {
        let open = self.tx != TransactionStatus::Idle || !self.pending.is_empty() || self.batch_open;
        let syntax_error = syntax_error(&error);
        if self.connected && (open || syntax_error.is_some()) {
            self.out.own_query(&syntax_error.unwrap_or(OwnSql::Fail));
            self.pending.push_back(Pending::Substitute { error, simple: true });
            self.batch_open = false;
        } else {
            let mut bytes = Vec::new();
            error_response(&mut bytes, &error, Phase::Session);
            self.reply(bytes, true);
        }
        Flow::Taken
    }

    /// Refuses a message of the extended protocol: the error, then everything up to Sync is skipped.
    pub(super) fn refuse_batch(&mut self, gate: &mut Gate, error: ClientError) -> Flow {
        self.settle_held(gate);
        if self.skip {
            return Flow::Taken;
        }
        let open = self.tx != TransactionStatus::Idle || !self.pending.is_empty() || self.batch_open;
        let syntax_error = syntax_error(&error);
        if self.connected && (open || syntax_error.is_some()) {
            self.out.own_parse(&syntax_error.unwrap_or(OwnSql::Fail));
            // Errors reach the client at once, not at its Sync.
            self.out.own_flush();
            self.pending.push_back(Pending::Substitute { error, simple: false });
            self.batch_open = true;
        } else {
            let mut bytes = Vec::new();
            error_response(&mut bytes, &error, Phase::Session);
            self.reply(bytes, false);
        }
        self.skip = true;
        Flow::Taken
    }

    /// Answers the client without the upstream, when everything before has been answered.
    pub(super) fn reply(&mut self, bytes: Vec<u8>, ready: bool) {
        self.pending.push_back(Pending::Local { bytes, ready });
        self.flush_local();
    }

    /// Gives the client the answers of ours whose turn has come, and forgets the ends of copies that are over.
    pub(super) fn flush_local(&mut self) {
        while let Some(Pending::Local { .. } | Pending::CopyEnd) = self.pending.front() {
            if let Some(Pending::Local { bytes, ready }) = self.pending.pop_front() {
                self.out.client.extend_from_slice(&bytes);
                if ready {
                    self.end_pieces();
                    if self.tx == TransactionStatus::Idle {
                        self.desk.end_transaction();
                    }
                    encode::ready_for_query(&mut self.out.client, self.tx);
                }
            }
        }
    }
}

/// If `error` is one that the server itself would tell at that place: the text that it tells it of instead.
fn syntax_error(error: &ClientError) -> Option<OwnSql<'static>> {
    let ClientError::Refused(refusal) = error else { return None };
    refusal.position?;
    Some(if refusal.message.ends_with("at end of input") { OwnSql::FailAtEnd } else { OwnSql::Fail })
}

/// The error the client gets: the denial, or that it could not be recorded.
fn recorded(gate: &mut Gate, text: &str, error: ClientError) -> ClientError {
    match gate.denied(&std::sync::Arc::from(text), &error) {
        Ok(()) => error,
        Err(unavailable) => unavailable,
    }
}
