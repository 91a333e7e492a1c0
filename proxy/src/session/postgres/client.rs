//! A client's frames by kind. What holds SQL goes to `query` and `extended`; the rest is followed and forwarded.

use hallpass_policy::statement::{Refusal, RefusalKind};

use super::{ClientRest, End, Machine, Wait, outbox::Control, pending::Pending, query::Flow};
use crate::{
    error::ClientError,
    session::{gate::Gate, machine::Stop},
    wire::postgres::{
        codec::{self, Frame, MAX_FRAME},
        frontend::{self, tag},
    },
};

/// Answers that the upstream may owe at once: what is remembered of each would otherwise be as much as a client likes.
const MOST_PENDING: usize = 1024;

/// The longest message of a kind that is held in memory until it is whole.
fn longest(of: u8) -> usize {
    if matches!(of, tag::QUERY | tag::PARSE) { 17 << 20 } else { 256 << 20 }
}

impl Machine {
    /// Takes whole frames from the start of `input` and says how many bytes they were and why it stopped.
    ///
    /// # Errors
    /// When the client breaks the protocol: the session ends.
    pub fn client(&mut self, gate: &mut Gate, input: &[u8]) -> Result<(usize, Stop), End> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            match self.client_rest {
                ClientRest::None => {}
                ClientRest::Forward(left) | ClientRest::Drop(left) => {
                    let now = left.min(rest.len());
                    if matches!(self.client_rest, ClientRest::Forward(_)) {
                        self.out.control(Control(rest.get(..now).unwrap_or_default()));
                    }
                    self.client_rest = match (self.client_rest, left - now) {
                        (_, 0) => ClientRest::None,
                        (ClientRest::Drop(_), left) => ClientRest::Drop(left),
                        (ClientRest::Forward(_) | ClientRest::None, left) => ClientRest::Forward(left),
                    };
                    at += now;
                    if self.client_rest != ClientRest::None {
                        return Ok((at, Stop::NeedMore));
                    }
                    continue;
                }
            }
            if self.wait == Some(Wait::Drained) && self.pending.is_empty() {
                self.wait = None;
            }
            if self.wait.is_some() || self.desk.waits() {
                return Ok((at, Stop::Hold));
            }
            if self.is_behind() {
                self.call_answers_in(gate);
                return Ok((at, Stop::Hold));
            }
            match self.next_piece(gate)? {
                None => {}
                Some(Flow::Stop(stop)) => return Ok((at, stop)),
                Some(Flow::Taken | Flow::Asked(_)) => continue,
            }
            let Some(header) = codec::header(rest, MAX_FRAME)? else { return Ok((at, Stop::NeedMore)) };
            let Some(frame) = codec::frame(rest, MAX_FRAME)? else {
                // Copy data may come in frames of any size: it holds no SQL and goes through in pieces.
                if header.tag == tag::COPY_DATA {
                    let forwarded = self.copy_in_flight() && !self.skip;
                    if forwarded {
                        self.out.control(Control(rest));
                    }
                    let left = header.total() - rest.len();
                    self.client_rest = if forwarded { ClientRest::Forward(left) } else { ClientRest::Drop(left) };
                    return Ok((input.len(), Stop::NeedMore));
                }
                if header.total() > longest(header.tag) {
                    // It is not waited for: the rest of it is dropped as it comes.
                    self.refuse_too_long(gate, header.tag);
                    self.client_rest = ClientRest::Drop(header.total() - rest.len());
                    return Ok((input.len(), Stop::NeedMore));
                }
                return Ok((at, Stop::NeedMore));
            };
            match self.client_frame(gate, frame)? {
                Flow::Taken => at += header.total(),
                Flow::Stop(stop) => return Ok((at, stop)),
                Flow::Asked(questions) => return Ok((at + header.total(), Stop::Ask(questions))),
            }
        }
    }

    /// Whether the upstream owes so many answers that nothing more is asked of it. Data of a copy are no questions.
    pub(super) fn is_behind(&self) -> bool {
        self.pending.len() >= MOST_PENDING && !self.copying
    }

    /// Asks for the answers that the upstream would keep to itself until Sync: they are waited for.
    fn call_answers_in(&mut self, gate: &mut Gate) {
        if self.batch_open {
            self.settle_held(gate);
            self.out.own_flush();
        }
    }

    fn refuse_too_long(&mut self, gate: &mut Gate, of: u8) {
        if self.skip {
            return;
        }
        let refusal = Refusal::new(RefusalKind::TooComplex, "the message is too long")
            .detail("texts of statements may have 16 MiB, messages with parameters 256 MiB")
            .hint("send bulk data with COPY … FROM STDIN");
        let error = ClientError::Refused(refusal);
        if of == tag::QUERY {
            self.deny_query(gate, "(a message that is too long)", error);
        } else {
            self.deny_batch(gate, "(a message that is too long)", error);
        }
    }

    /// Whether a COPY … FROM STDIN runs, or is about to.
    pub(super) fn copy_in_flight(&self) -> bool {
        self.copying
            || self.pending.iter().any(|pending| match pending {
                Pending::Query(job) | Pending::Execute(job) => !job.finished && job.copies_in(),
                Pending::Parse(..)
                | Pending::Bind(..)
                | Pending::Describe(_)
                | Pending::Close(_)
                | Pending::Sync
                | Pending::CopyEnd
                | Pending::Local { .. }
                | Pending::Substitute { .. }
                | Pending::Own(_) => false,
            })
    }

    fn client_frame(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<Flow, End> {
        if self.skip && !matches!(frame.tag, tag::SYNC | tag::TERMINATE) {
            return Ok(Flow::Taken);
        }
        match frame.tag {
            tag::QUERY => self.query(gate, frame),
            tag::PARSE => self.parse(gate, frame),
            tag::BIND => self.bind(gate, frame),
            tag::EXECUTE => self.execute(gate, frame),
            tag::DESCRIBE => self.describe(gate, frame),
            tag::CLOSE => self.close(gate, frame),
            tag::SYNC => self.sync(gate, frame),
            tag::FLUSH => {
                frontend::empty("Flush", frame.body)?;
                if self.connected && self.batch_open {
                    self.settle_held(gate);
                    self.out.control(Control(frame.raw));
                }
                Ok(Flow::Taken)
            }
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL => {
                // The server ignores these outside of a copy: a client may be sending still when it has failed.
                if self.copy_in_flight() {
                    if frame.tag != tag::COPY_DATA && !std::mem::take(&mut self.copying) {
                        self.pending.push_back(Pending::CopyEnd);
                    }
                    self.out.control(Control(frame.raw));
                }
                Ok(Flow::Taken)
            }
            tag::FUNCTION_CALL => {
                frontend::FunctionCall::decode(frame.body)?;
                Ok(self.function_call(gate))
            }
            tag::TERMINATE => {
                frontend::empty("Terminate", frame.body)?;
                Ok(Flow::Stop(Stop::Goodbye))
            }
            other => Err(End::Client(ClientError::ProtocolViolation(format!(
                "unexpected message type `{}`",
                char::from(other).escape_default()
            )))),
        }
    }
}
