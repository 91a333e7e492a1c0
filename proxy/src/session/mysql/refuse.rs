//! Denials: an ERR packet in the server's own numbers. The upstream hears nothing of a denied statement, and its session
//! stays as it is.

use std::sync::Arc;

use hallpass_policy::statement::{Object, Statement};

use super::{Machine, Wrap, client::Flow, outbox::OwnSql, own::Own};
use crate::{
    error::ClientError,
    session::gate::Gate,
    wire::mysql::{
        auth::UsingPassword,
        error::{Denied, code, err_packet, message},
    },
};

impl Machine {
    /// Records a denied text and refuses it. `statement` is the one of it that was denied, where one was.
    pub(super) fn deny(
        &mut self,
        gate: &mut Gate,
        text: &str,
        statement: Option<&Statement>,
        error: ClientError,
    ) -> Flow {
        let error = match gate.denied(&Arc::from(text), &error) {
            Ok(()) => error,
            Err(unavailable) => unavailable,
        };
        // What was prepared for it is not needed any more.
        self.values = None;
        let flow = self.refuse(&error, statement);
        if self.wrapped.take() == Some(Wrap::Transaction) {
            self.ask(&OwnSql::Rollback, Own::RollbackQuietly);
        }
        flow
    }

    /// Refuses a command.
    pub(super) fn refuse(&mut self, error: &ClientError, statement: Option<&Statement>) -> Flow {
        self.tell(error, about(statement, error));
        Flow::Taken
    }

    /// Gives the client an error, behind what it has of the answer already.
    pub(super) fn tell(&mut self, error: &ClientError, denied: Denied) {
        self.pieces = None;
        let mut sequence = self.sequence();
        err_packet(&mut self.out.client, &mut sequence, error, denied, UsingPassword::Yes);
        self.next = sequence.next();
        self.warnings.failed(code(error, denied).0, message(error, UsingPassword::Yes));
    }
}

/// What a denial is about: a masked column, a table, or something else.
pub(super) fn about(statement: Option<&Statement>, error: &ClientError) -> Denied {
    let ClientError::Denied(denial) = error else { return Denied::Other };
    if denial.is_by_rule() {
        return Denied::Other;
    }
    if denial.message.contains("masked") {
        return Denied::Column;
    }
    let table = statement.is_some_and(|statement| {
        statement.needs.iter().any(|need| matches!(need.object, Object::Relation(_)))
            && statement.needs.iter().all(|need| need.action != hallpass_policy::statement::Action::Admin)
    });
    if table { Denied::Table } else { Denied::Other }
}
