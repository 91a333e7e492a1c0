//! The machine as the relay sees it: each call goes to the file that does it.

use std::{sync::Arc, time::Instant};

use hallpass_policy::decide::Fence;

use super::{
    Login, Machine,
    pending::{Owed, Pending},
};
use crate::{
    error::ClientError,
    session::{
        gate::Gate,
        inband::Answer,
        machine::{self, End, Loss, Stop},
        target::Target,
        upstream::mysql::{self as upstream, Connection, Wanted},
    },
};

impl machine::Machine for Machine {
    type Settings = Arc<Login>;
    type Upstream = Connection;

    async fn connect(target: &Target, login: &Arc<Login>, _: &Fence) -> Result<Connection, ClientError> {
        let connector = target.connector()?;
        let wanted = Wanted {
            capabilities: login.capabilities,
            collation: login.collation,
            database: login.database.clone(),
            attributes: login.attributes.clone(),
        };
        upstream::connect(&connector, &wanted).await
    }

    fn connected(&mut self, _: Fence, upstream: &Connection) {
        self.stands(upstream);
    }

    fn client(&mut self, gate: &mut Gate, input: &[u8]) -> Result<(usize, Stop), End> {
        self.client(gate, input)
    }

    fn upstream(&mut self, gate: &mut Gate, input: &[u8]) -> Result<usize, End> {
        self.upstream(gate, input)
    }

    fn answered(&mut self, gate: &mut Gate, answer: Answer) {
        self.question_answered(gate, answer);
    }

    fn end_turn(&mut self, _: &mut Gate) {}

    fn to_client(&mut self) -> &mut Vec<u8> {
        &mut self.out.client
    }

    fn to_upstream(&mut self) -> &mut Vec<u8> {
        self.out.upstream_mut()
    }

    fn is_idle(&self) -> bool {
        self.pending.is_none() && !self.in_transaction()
    }

    fn is_answered(&self) -> bool {
        self.pending.is_none()
    }

    fn awaits_client(&self) -> bool {
        self.file.is_some()
    }

    fn is_waiting(&self) -> bool {
        (self.pending.is_some() && self.file.is_none()) || self.desk.waits()
    }

    fn has_own_frames(&self) -> bool {
        self.pieces.is_some()
    }

    fn unwanted(&self) -> Option<usize> {
        let stopped = matches!(&self.pending, Some(Pending { owed: Owed::Job(job), .. }) if job.stopped.is_some());
        // A row of several packets does not say how many there are.
        stopped.then_some(if self.row_continues { usize::MAX } else { self.upstream_rest })
    }

    fn take_cancel(&mut self) -> bool {
        std::mem::take(&mut self.cancel)
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }

    fn expire(&mut self, now: Instant) {
        self.expire(now);
    }

    fn recheck_grants(&mut self, gate: &mut Gate) {
        self.recheck_grants(gate);
    }

    fn notify(&mut self, text: &str, hint: &str) {
        self.warnings.note(text, hint);
    }

    fn cancel_requested(&mut self) {
        self.cancel |= self.pending.is_some();
    }

    fn unreachable(&mut self, gate: &mut Gate, input: &[u8], error: ClientError) -> usize {
        self.unreachable(gate, input, error)
    }

    fn lost(&mut self, gate: &mut Gate, error: &ClientError) -> Loss {
        self.lost(gate, error)
    }

    fn abandon(&mut self, gate: &mut Gate, sqlstate: &str, reason: &str) {
        self.abandon(gate, sqlstate, reason);
    }

    fn farewell(&mut self, error: &ClientError) {
        self.farewell(error);
    }
}
