//! A COM_QUERY of several statements of which later ones use what earlier ones make or change: a migration. What such a
//! text means can only be told while it runs, so its statements are run one by one, each understood, decided and
//! recorded when its turn comes, and the client gets the answer that the server gives to the whole: one result after
//! the other, each but the last with SERVER_MORE_RESULTS_EXISTS, and after an error nothing of the rest (MySQL manual,
//! "Multiple Statement Execution Support"). Decides no statement. The twin of `session::postgres::pieces`; no
//! transaction is needed around them, as the server makes none.

use std::{borrow::Cow, collections::VecDeque};

use hallpass_policy::statement::{Effect, Statement};

use super::{Machine, client::Flow, job::may_call, plan};
use crate::{
    session::{
        gate::Gate,
        machine::{End, Stop},
    },
    wire::mysql::{
        backend::Status,
        capability::Capabilities,
        codec::{self, Message, Order, Sequence},
        encode,
    },
};

/// Bytes of a text above which it is not taken apart: that is done at once, on the thread of all sessions.
const LONGEST: usize = 64 << 10;

/// A text that is run statement by statement.
#[derive(Debug)]
pub(super) struct Pieces {
    /// COM_QUERY packets that are still to run.
    left: VecDeque<Vec<u8>>,
}

impl Machine {
    /// Takes a text apart that is not understood as a whole, if an earlier statement of it changes what later ones mean.
    pub(super) fn take_apart(&mut self, gate: &Gate, text: &[u8]) -> Option<Flow> {
        let several = self.held().has(Capabilities::MULTI_STATEMENTS) && self.pieces.is_none();
        // What the client writes in another character set is not cut in ours.
        let Some(Cow::Borrowed(text)) = self.charset.decode(text).filter(|_| several) else { return None };
        if text.len() > LONGEST || !text.contains(';') {
            return None;
        }
        let forms = gate.dialect().forms(text).ok()?;
        let texts: Vec<&str> =
            forms.iter().filter_map(|form| text.get(form.place.clone())).map(str::trim_start).collect();
        if !changes_meanings(gate, &texts) {
            return None;
        }
        let packet = |text: &&str| {
            let mut packet = Vec::with_capacity(text.len() + 8);
            encode::query(&mut packet, &mut Sequence::start(Order::Checked), text.as_bytes(), self.held());
            packet
        };
        self.pieces = Some(Pieces { left: texts.iter().map(packet).collect() });
        Some(Flow::Taken)
    }

    /// Runs the next statement of a text that was taken apart; `None` when there is none.
    pub(super) fn next_piece(&mut self, gate: &mut Gate) -> Result<Option<Flow>, End> {
        let Some(pieces) = &mut self.pieces else { return Ok(None) };
        let Some(packet) = pieces.left.pop_front() else { return Ok(Some(Flow::Stop(Stop::Hold))) };
        let message = codec::message(&packet, &mut Sequence::start(Order::Checked), packet.len())?;
        let Some(message) = message else { return Ok(None) };
        let flow = self.command(gate, &message)?;
        match (&flow, &mut self.pieces) {
            // It comes again.
            (Flow::Stop(_), Some(pieces)) => pieces.left.push_front(packet),
            _ => self.names.message_taken(),
        }
        Ok(Some(flow))
    }

    /// A statement is over: if it was the last of a text, so is the text.
    pub(super) fn piece_over(&mut self) {
        self.pieces.take_if(|pieces| pieces.left.is_empty());
    }

    /// The packet that ends a statement's last result, where a later statement of the same text comes behind it; `None`:
    /// as it is.
    pub(super) fn marked(&self, end: &Message<'_>) -> Option<Vec<u8>> {
        if !self.has_more_pieces() {
            return None;
        }
        let payload = encode::with_more_results(&end.payload, self.held())?;
        let mut packet = Vec::with_capacity(payload.len() + codec::HEADER);
        let sequence = codec::header(end.raw).map_or(1, |header| header.sequence);
        codec::put_message(&mut packet, &mut Sequence::at(sequence, Order::Loose), &payload);
        Some(packet)
    }

    /// The state of the session as a packet that ends a result tells it.
    pub(super) fn status_told(&self) -> Status {
        if self.has_more_pieces() { Status(self.status.0 | Status::MORE_RESULTS.0) } else { self.status }
    }

    fn has_more_pieces(&self) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| !pieces.left.is_empty())
    }
}

/// Whether a statement before the last changes what later ones mean, and all before it are understood.
fn changes_meanings(gate: &Gate, texts: &[&str]) -> bool {
    let Some((_, earlier)) = texts.split_last() else { return false };
    for text in earlier {
        let Ok(of) = gate.target().understand_alike(text, &gate.known(), gate.dialect()) else { return false };
        if of.understood.statements.iter().any(moves) {
            return true;
        }
    }
    false
}

fn moves(statement: &Statement) -> bool {
    let sets = |name: &str| name == "database" || plan::is_followed(name);
    matches!(statement.effect, Effect::ChangesCatalog | Effect::ChangesTemporary(_))
        || may_call(statement)
        || plan::settings(statement).iter().any(|(name, _)| sets(name))
}
