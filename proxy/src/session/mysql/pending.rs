//! What the upstream still owes: at most one answer at a time.

use super::{job::Job, names::Prepared, own::Own};
use crate::{session::gate::Permit, wire::mysql::reader::ResultReader};

/// An answer under way.
#[derive(Debug)]
pub(super) struct Pending {
    /// What it answers.
    pub(super) owed: Owed,
    /// Where in it the next packet is.
    pub(super) reader: ResultReader,
}

impl Pending {
    /// The recorded text that runs, if one does.
    pub(super) fn job(&self) -> Option<&Job> {
        match &self.owed {
            Owed::Job(job) => Some(job),
            Owed::Own(Own::Tables(tables)) => tables.job(),
            Owed::Own(_) | Owed::Prepare(..) | Owed::Control(_) => None,
        }
    }

    /// What is owed, to the client first of all: of a question that was sent before a text the text.
    pub(super) fn without_question(self) -> Owed {
        match self.owed {
            Owed::Own(Own::Tables(tables)) => tables.into_owed(),
            owed => owed,
        }
    }

    /// The recorded text that runs, to change it.
    pub(super) fn job_mut(&mut self) -> Option<&mut Job> {
        match &mut self.owed {
            Owed::Job(job) => Some(job),
            Owed::Own(Own::Tables(tables)) => tables.job_mut(),
            Owed::Own(_) | Owed::Prepare(..) | Owed::Control(_) => None,
        }
    }
}

/// What an answer is to.
#[derive(Debug)]
pub(super) enum Owed {
    /// A recorded text that runs.
    Job(Box<Job>),
    /// A recorded text that is prepared.
    Prepare(Permit, Prepared),
    /// A command without SQL; the answer goes through.
    Control(Then),
    /// A statement of the proxy's own; the client sees nothing of the answer.
    Own(Own),
}

/// What a command without SQL does when it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing that has to be followed.
    Nothing,
    /// The session is as it was after login.
    Reset,
    /// The session holds something that a new one would not.
    Stateful,
}
