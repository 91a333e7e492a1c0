//! A session's end of a query: bytes in and out, what is said to the caller, and what happens when the caller leaves: the
//! statement is cancelled as a client's Ctrl-C would, so that the audit has its outcome. Knows no protocol.

use std::{io, sync::Arc, time::Duration};

use hallpass_policy::ids::SessionId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    api::{body, problem::Problem},
    session::registry::{Sessions, Signal},
    shared::Shared,
};

/// How often a session is told again to cancel what nobody waits for: the first time may come before it began.
const AGAIN: Duration = Duration::from_millis(500);
/// How long it may take to end that; then its connection is closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A part of an answer.
#[derive(Debug)]
pub(super) enum Said {
    /// What the rows are made of; before the first of them.
    Columns(Vec<body::Column>),
    /// One row.
    Row(Vec<Option<String>>),
    /// A notice or warning.
    Notice(body::Notice),
    /// The end of a statement that worked.
    Done(body::QueryDone),
    /// The end of one that did not.
    Failed(Box<Problem>),
}

/// Whether somebody waits for the answer.
#[derive(Clone, Copy, Debug)]
enum Caller {
    Listens,
    /// The session was told to cancel; the next time is at `again`, and `until` is when it is given up.
    Gone {
        again: Instant,
        until: Instant,
    },
}

/// The visitor's end of a session, and the caller's ear.
#[derive(Debug)]
pub(super) struct Pipe {
    stream: DuplexStream,
    /// Read and not looked at.
    pub(super) input: Vec<u8>,
    /// How much of `input` was looked at.
    taken: usize,
    session: SessionId,
    sessions: Arc<Sessions>,
    say: mpsc::Sender<Said>,
    caller: Caller,
}

impl Pipe {
    /// A session that has just been opened.
    pub(super) fn new(stream: DuplexStream, session: SessionId, say: mpsc::Sender<Said>, shared: &Shared) -> Self {
        let sessions = Arc::clone(&shared.sessions);
        Self { stream, input: Vec::new(), taken: 0, session, sessions, say, caller: Caller::Listens }
    }

    /// What was read and not taken.
    pub(super) fn unread(&self) -> &[u8] {
        self.input.get(self.taken..).unwrap_or_default()
    }

    /// So many bytes were looked at.
    pub(super) fn take(&mut self, bytes: usize) {
        self.taken += bytes;
    }

    /// Reads more.
    ///
    /// # Errors
    /// When the session's end is closed, or it does not end what nobody waits for.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        self.input.drain(..self.taken.min(self.input.len()));
        self.taken = 0;
        self.input.reserve(16 << 10);
        loop {
            let read = match self.caller {
                Caller::Listens => tokio::select! {
                    read = self.stream.read_buf(&mut self.input) => Some(read?),
                    () = self.say.closed() => None,
                },
                Caller::Gone { again, .. } => tokio::select! {
                    read = self.stream.read_buf(&mut self.input) => Some(read?),
                    () = sleep_until(again) => None,
                },
            };
            match read {
                Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(_) => return Ok(()),
                None => self.leave()?,
            }
        }
    }

    /// Sends a message to the session.
    ///
    /// # Errors
    /// When its end is closed.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Says a part of the answer; nobody may be listening.
    pub(super) async fn say(&mut self, part: Said) {
        if matches!(self.caller, Caller::Listens) && self.say.send(part).await.is_err() {
            // An error here is the same as later: whoever reads next finds out.
            let _ = self.leave();
        }
    }

    /// Cancels what runs.
    pub(super) fn cancel(&self) {
        self.sessions.signal(&self.session, Signal::Cancel);
    }

    /// The caller is gone.
    fn leave(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let until = match self.caller {
            Caller::Listens => now + PATIENCE,
            Caller::Gone { until, .. } if now < until => until,
            Caller::Gone { .. } => return Err(io::ErrorKind::TimedOut.into()),
        };
        self.caller = Caller::Gone { again: now + AGAIN, until };
        self.cancel();
        Ok(())
    }
}
