//! A Query of several statements of which later ones use names that earlier ones make or change: a migration. What such
//! a text means can only be told while it runs, so its statements are run one by one, each understood, decided and
//! recorded when its turn comes, and the client gets the answer that the server gives to the whole: the completions in
//! a row, one ReadyForQuery, and after an error nothing of the rest. Where the server would run the text as one
//! transaction, it is one: a transaction of the proxy's own stands around it (PostgreSQL manual, "Multiple Statements
//! In A Simple Query"). Decides no statement.

use std::collections::{BTreeMap, VecDeque};

use hallpass_policy::statement::{Bracket, Dialect, Effect, Form};

use super::{End, Machine, Wait, query::Flow};
use crate::{
    session::{gate::Gate, machine::Stop},
    wire::postgres::{
        backend::TransactionStatus,
        codec::{self, MAX_FRAME},
        encode,
    },
};

/// Bytes of a text above which it is not taken apart: that is done at once, on the thread of all sessions.
const LONGEST: usize = 64 << 10;

/// A text that is run statement by statement.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Those that are still to run.
    left: VecDeque<Piece>,
    around: Around,
    /// Where in the text the one that runs stands, in characters.
    at: usize,
    /// Parameters that have changed since the first: the server tells of them at the end.
    changed: BTreeMap<String, String>,
}

/// One statement of the text.
#[derive(Debug)]
struct Piece {
    /// A Query message.
    frame: Vec<u8>,
    /// Characters of the text before it.
    at: usize,
}

/// The transaction around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    /// The client's own.
    Theirs,
    /// The proxy's: begun when the first of them is ready to be sent.
    Ours,
}

impl Machine {
    /// Takes a text apart that is not understood as a whole, if an earlier statement of it changes what names mean.
    pub(super) fn take_apart(&mut self, gate: &Gate, text: &[u8]) -> Option<Flow> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= LONGEST && text.contains(';'))?;
        if self.pieces.is_some() || self.tx == TransactionStatus::Failed {
            return None;
        }
        if !self.pending.is_empty() {
            self.wait = Some(Wait::Drained);
            return Some(Flow::Stop(Stop::Hold));
        }
        let forms = gate.dialect().forms(text).ok()?;
        let around = around(&forms, self.tx)?;
        let texts: Vec<&str> = forms.iter().filter_map(|form| text.get(form.place.clone())).collect();
        if !changes_names(gate, gate.dialect(), &texts) {
            return None;
        }
        let (mut left, mut read, mut at) = (VecDeque::with_capacity(forms.len()), 0, 0);
        for Form { place, .. } in forms {
            let piece = text.get(place.clone())?.trim_start();
            let start = place.end - piece.len();
            at += text.get(read..start)?.chars().count();
            read = start;
            let mut frame = Vec::with_capacity(piece.len() + 8);
            encode::query(&mut frame, piece.as_bytes()).ok()?;
            left.push_back(Piece { frame, at });
        }
        self.pieces = Some(Pieces { left, around, at: 0, changed: BTreeMap::new() });
        Some(Flow::Taken)
    }

    /// Runs the next statement of a text that was taken apart; `None` when there is none.
    pub(super) fn next_piece(&mut self, gate: &mut Gate) -> Result<Option<Flow>, End> {
        let Some(pieces) = &mut self.pieces else { return Ok(None) };
        let Some(piece) = pieces.left.pop_front() else { return Ok(Some(Flow::Stop(Stop::Hold))) };
        pieces.at = piece.at;
        let Some(frame) = codec::frame(&piece.frame, MAX_FRAME)? else { return Ok(None) };
        let flow = self.query(gate, frame)?;
        let Some(pieces) = &mut self.pieces else { return Ok(Some(flow)) };
        if let Flow::Stop(_) = flow {
            // It comes again.
            pieces.left.push_front(piece);
        } else if !self.pending.is_empty() {
            // Whether it succeeds decides about the next.
            self.wait = Some(Wait::Drained);
        }
        Ok(Some(flow))
    }

    /// Whether what runs now needs a transaction of the proxy's around it.
    pub(super) fn wants_transaction(&self) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| pieces.around == Around::Ours)
    }

    /// Whether the transaction around what is sent now may be closed behind it.
    pub(super) fn is_last_piece(&self) -> bool {
        self.pieces.as_ref().is_none_or(|pieces| pieces.left.is_empty())
    }

    /// How many characters of the client's text stand before what runs now.
    pub(super) fn before_piece(&self) -> usize {
        self.pieces.as_ref().map_or(0, |pieces| pieces.at)
    }

    /// A statement of a text that was taken apart is over: whether the client has still to wait.
    pub(super) fn piece_over(&mut self, status: TransactionStatus) -> bool {
        let Some(pieces) = &mut self.pieces else { return false };
        if status == TransactionStatus::Open && !pieces.left.is_empty() {
            return true;
        }
        self.wrapped = false;
        if pieces.around == Around::Ours && status == TransactionStatus::Failed {
            pieces.left.clear();
            pieces.around = Around::Theirs;
            self.rollback_wrapped();
            return true;
        }
        self.end_pieces();
        false
    }

    /// The text that was taken apart is over: the client hears which parameters it has changed.
    pub(super) fn end_pieces(&mut self) {
        for (name, value) in self.pieces.take().map(|pieces| pieces.changed).unwrap_or_default() {
            self.report_parameter(&name, &value);
        }
    }

    /// Keeps what the server tells of a parameter until such a text is over; false when there is none.
    pub(super) fn keep_parameter(&mut self, name: &str, value: &str) -> bool {
        let Some(pieces) = &mut self.pieces else { return false };
        pieces.changed.insert(name.to_owned(), value.to_owned());
        true
    }
}

/// The transaction around a text's statements; `None` where the text has several, or parts of one.
fn around(forms: &[Form], tx: TransactionStatus) -> Option<Around> {
    let [first, .., last] = forms else { return None };
    let inner = forms.get(1..forms.len() - 1)?;
    let begins = first.bracket == Some(Bracket::Begins);
    let harmless = |form: &Form| form.bracket.is_none_or(|bracket| bracket == Bracket::Marks);
    let open = tx == TransactionStatus::Open;
    let whole = inner.iter().all(harmless)
        && last.bracket != Some(Bracket::Begins)
        && (begins || harmless(first))
        && !(open && begins);
    if !whole {
        return None;
    }
    if open || begins {
        return Some(Around::Theirs);
    }
    forms.iter().all(|form| form.bracket.is_none()).then_some(Around::Ours)
}

/// Whether a statement before the last changes what names mean, and all before it are understood.
fn changes_names(gate: &Gate, dialect: &Dialect, pieces: &[&str]) -> bool {
    let Some((_, earlier)) = pieces.split_last() else { return false };
    for piece in earlier {
        let Ok(of) = gate.target().understand_alike(piece, &gate.known(), dialect) else { return false };
        let moves = |effect: &Effect| {
            matches!(effect, Effect::ChangesCatalog | Effect::ResetAll | Effect::DiscardAll)
                || matches!(effect, Effect::Set { name, .. } if &**name == "search_path")
        };
        if of.understood.statements.iter().any(|statement| moves(&statement.effect)) {
            return true;
        }
    }
    false
}
