//! An upstream's packets: each is matched with what it answers, and goes on, is changed, or stays with us.
//! What answers nothing ends the upstream session: a conversation we cannot follow shows the client nothing.

use super::{
    Machine,
    own::Own,
    pending::{Owed, Pending, Then as Follow},
    theirs,
    warnings::Touches,
};
use crate::{
    session::{
        gate::{Gate, Outcome},
        machine::End,
    },
    wire::mysql::{
        backend::ErrPacket,
        codec::{self, Message, Order, Sequence},
        error::scrub_error,
        reader::{Reply, Then},
    },
};

use hallpass_policy::mask::scrub_mysql;

/// The longest message kept whole in memory; longer ones must be rows that go through untouched.
const LONGEST_HELD: usize = 256 << 20;

impl Machine {
    /// Takes whole packets from the start of `input` and says how many bytes they were.
    ///
    /// # Errors
    /// When the upstream says what we cannot follow: its session ends.
    pub(super) fn upstream(&mut self, gate: &mut Gate, input: &[u8]) -> Result<usize, End> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if self.upstream_rest > 0 {
                let now = self.upstream_rest.min(rest.len());
                self.out.client.extend_from_slice(rest.get(..now).unwrap_or_default());
                self.upstream_rest -= now;
                at += now;
                if self.upstream_rest > 0 {
                    return Ok(at);
                }
                continue;
            }
            if rest.is_empty() {
                return Ok(at);
            }
            if let Some(run) = self.rows_through(rest) {
                at += run;
                continue;
            }
            let whole = codec::message(rest, &mut Sequence::start(Order::Loose), LONGEST_HELD).map_err(theirs)?;
            let Some(message) = whole else { return Ok(at) };
            self.answer(gate, &message)?;
            at += message.raw.len();
        }
    }

    /// A message that answers what is pending.
    fn answer(&mut self, gate: &mut Gate, message: &Message<'_>) -> Result<(), End> {
        let Some(pending) = self.pending.take() else { return Err(unsolicited(message)) };
        let Pending { owed, mut reader } = pending;
        let (reply, then) = reader.read(&message.payload).map_err(theirs)?;
        match &reply {
            Reply::Ok(ok) => self.told_status(ok.status),
            Reply::End { status, .. } => self.told_status(*status),
            Reply::DefinitionsEnd(eof) => self.told_status(eof.status),
            // An error may have ended the transaction, a deadlock does; it does not say so. That a table is no view
            // ends none.
            Reply::Err(_) if matches!(owed, Owed::Own(Own::Tables(_))) => {}
            Reply::Err(_) => self.status_stale |= self.in_transaction(),
            Reply::LocalInfile(_)
            | Reply::Columns { .. }
            | Reply::Prepared(_)
            | Reply::Parameter { .. }
            | Reply::Column { .. }
            | Reply::Row(_)
            | Reply::Text(_) => {}
        }
        match owed {
            Owed::Own(own) => return self.own_reply(gate, own, reader, (reply, then), message),
            Owed::Job(job) => return self.job_reply(gate, job, reader, (reply, then), message),
            Owed::Prepare(permit, prepared) => {
                if let Reply::Err(error) = &reply {
                    self.fail(error, message, permit.allowance().scrub)?;
                } else {
                    self.pass(message.raw);
                }
                if let Reply::Prepared(ok) = &reply {
                    self.was_prepared(prepared.clone(), ok.statement, ok.parameters);
                }
                if then == Then::Done {
                    let error_code = match &reply {
                        Reply::Err(error) => Some(String::from_utf8_lossy(&error.sqlstate).into()),
                        _ => None,
                    };
                    // The server may have looked at rows already.
                    self.warnings.of_statement(permit.allowance().scrub, Touches::Nothing);
                    gate.outcome(&permit, Outcome { error_code, ..Outcome::default() });
                    self.answered(gate);
                    return Ok(());
                }
                self.pending = Some(Pending { owed: Owed::Prepare(permit, prepared), reader });
            }
            Owed::Control(follow) => {
                self.pass(message.raw);
                if then == Then::Done {
                    self.controlled(follow, matches!(reply, Reply::Err(_)));
                    self.answered(gate);
                    return Ok(());
                }
                self.pending = Some(Pending { owed: Owed::Control(follow), reader });
            }
        }
        Ok(())
    }

    /// A command without SQL is over.
    fn controlled(&mut self, follow: Follow, failed: bool) {
        match follow {
            Follow::Nothing => {}
            // Failed or not, what the session is set to is not known any more.
            Follow::Reset => self.was_reset(),
            Follow::Stateful => self.stateful |= !failed,
        }
    }

    /// The client has its answer.
    pub(super) fn answered(&mut self, gate: &mut Gate) {
        gate.idle();
        self.piece_over();
        if !self.in_transaction() {
            self.tx_allowances.clear();
        }
        if std::mem::take(&mut self.recheck) {
            self.recheck_grants(gate);
        }
    }

    fn told_status(&mut self, status: crate::wire::mysql::backend::Status) {
        self.status = status;
        self.status_stale = false;
    }

    /// Gives the client an error of the server's: as it is, or reduced to its kind.
    pub(super) fn fail(&mut self, error: &ErrPacket<'_>, message: &Message<'_>, scrubs: bool) -> Result<(), End> {
        self.pieces = None;
        if !scrubs {
            self.pass(message.raw);
            return Ok(());
        }
        debug_assert_eq!(message.payload.first(), Some(&0xff), "error {}", error.code);
        let mut sequence = self.sequence();
        scrub_error(&mut self.out.client, &mut sequence, &message.payload, scrub_mysql::kind_of).map_err(theirs)?;
        self.next = sequence.next();
        Ok(())
    }

    /// Gives the client whole packets, with the sequence ids that it expects: the upstream's own, unless some were
    /// added or left out.
    pub(super) fn pass(&mut self, packets: &[u8]) {
        let Some(first) = codec::header(packets) else { return };
        let start = self.out.client.len();
        self.out.client.extend_from_slice(packets);
        let mut sequence = self.sequence();
        if first.sequence == self.next && packets.len() == first.total() {
            self.next = self.next.wrapping_add(1);
            return;
        }
        codec::renumber(self.out.client.get_mut(start..).unwrap_or_default(), &mut sequence);
        self.next = sequence.next();
    }
}

/// What the server says without being asked: that it ends the session, and why.
fn unsolicited(message: &Message<'_>) -> End {
    match ErrPacket::decode(&message.payload) {
        Ok(error) => End::Upstream(format!("it ended the session with {}", error.code)),
        Err(_) => End::Upstream("it spoke without being asked".into()),
    }
}
