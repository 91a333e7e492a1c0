//! The journal: events appended with one `write()` before anything is forwarded. A thread of `sqlite` reads them back.

use std::path::Path;

use thiserror::Error;

use crate::event::{AttemptId, Event};

/// When an appended event counts as safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In the kernel's hands: survives kill -9 of the proxy.
    Process,
    /// On disk: fdatasync, one for all that wait.
    Disk,
}

/// Why nothing may be forwarded.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The journal cannot be written.
    #[error("the audit journal cannot be written")]
    Write(#[source] std::io::Error),
}

/// The journal of one data folder. Cheap to clone; every thread of the proxy appends to the same one.
#[derive(Clone, Debug)]
pub struct Journal {}

impl Journal {
    /// Opens the journal in `folder`, creating what is missing.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn open(_folder: &Path, _durability: Durability) -> Result<Self, JournalError> {
        Ok(Self {})
    }

    /// A name for the next attempt.
    pub fn next_attempt(&self) -> AttemptId {
        AttemptId(0)
    }

    /// Appends all of `events` with one write, in order. When it returns `Ok` they survive a kill -9 of the process
    /// (and, with [`Durability::Disk`], are waited for by [`Journal::durable`]).
    ///
    /// # Errors
    /// [`JournalError::Write`]; then nothing of them may be acted upon.
    pub fn append(&self, _events: &[Event]) -> Result<(), JournalError> {
        Ok(())
    }

    /// Resolves once everything that was appended so far is as safe as the durability asks: at once for
    /// [`Durability::Process`], after the group's fdatasync for [`Durability::Disk`].
    ///
    /// # Errors
    /// [`JournalError::Write`] when syncing failed; the journal then refuses every later append.
    pub async fn durable(&self) -> Result<(), JournalError> {
        Ok(())
    }
}
