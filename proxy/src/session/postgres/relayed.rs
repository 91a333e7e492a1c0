//! The machine as the relay sees it: each call goes to the file that does it.

use std::time::Instant;

use hallpass_policy::decide::Fence;

use super::{Machine, Wait, pending::Pending};
use crate::{
    error::ClientError,
    session::{
        gate::Gate,
        inband::Answer,
        machine::{self, End, Loss, Stop},
        target::Target,
        upstream::postgres::{self as upstream, Connection},
    },
    wire::postgres::{
        error::{Phase, error_response},
        settings::Setting,
    },
};

impl machine::Machine for Machine {
    /// Settings of the client's startup packet.
    type Settings = Vec<Setting>;
    type Upstream = Connection;

    async fn connect(target: &Target, settings: &Vec<Setting>, fence: &Fence) -> Result<Connection, ClientError> {
        let mut all = settings.clone();
        if fence.read_only {
            // As a startup setting it is what RESET ALL returns to.
            all.push(Setting { name: "default_transaction_read_only".into(), value: "on".into() });
        }
        let connector = target.connector()?;
        upstream::connect(&connector, &all).await
    }

    fn connected(&mut self, fence: Fence, upstream: &Connection) {
        // A login sets no role: that is asked for when a statement needs it.
        self.connected(Fence { upstream_role: None, ..fence }, &upstream.parameters, upstream.process_id);
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

    fn end_turn(&mut self, gate: &mut Gate) {
        self.settle_held(gate);
        self.start_clock();
    }

    fn to_client(&mut self) -> &mut Vec<u8> {
        self.out.client_mut()
    }

    fn to_upstream(&mut self) -> &mut Vec<u8> {
        self.out.upstream_mut()
    }

    fn is_idle(&self) -> bool {
        self.is_idle()
    }

    fn is_answered(&self) -> bool {
        self.is_answered()
    }

    fn awaits_client(&self) -> bool {
        self.copy_in_flight()
    }

    fn is_waiting(&self) -> bool {
        // What waits for answers that are in needs no more of them.
        let drained = self.wait == Some(Wait::Drained) && self.pending.is_empty();
        (self.wait.is_some() && !drained) || self.desk.waits() || self.is_behind()
    }

    fn unwanted(&self) -> Option<usize> {
        let stopped =
            matches!(self.pending.front(), Some(Pending::Query(job) | Pending::Execute(job)) if job.stopped.is_some());
        (stopped || self.swallow).then_some(self.upstream_rest)
    }

    fn has_own_frames(&self) -> bool {
        self.pieces.is_some()
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
        self.notify(text, hint);
    }

    fn cancel_requested(&mut self) {
        self.cancel |= !self.pending.is_empty();
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
        error_response(&mut self.out.client, error, Phase::Login);
    }
}
