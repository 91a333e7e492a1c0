//! Bytes of one direction of a session on their way to a socket. Knows nothing of what they say.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use crate::net::stream::Stream;

/// A buffer larger than this is given back once it is empty: idle sessions hold little.
pub(super) const KEPT: usize = 16 << 10;

/// Bytes of one direction that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    from: usize,
    /// TLS may keep records of its own: written is not sent.
    unflushed: bool,
}

impl Unsent {
    /// These.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Those too, in their turn; leaves an empty buffer.
    pub(super) fn take(&mut self, bytes: &mut Vec<u8>) {
        if self.bytes.is_empty() {
            std::mem::swap(&mut self.bytes, bytes);
        } else {
            self.bytes.append(bytes);
        }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.from
    }

    /// Whether the other side has them all.
    pub(super) fn is_sent(&self) -> bool {
        self.len() == 0 && !self.unflushed
    }

    /// Writes as many as the socket takes.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<io::Result<()>> {
        self.unflushed |= self.len() > 0;
        while self.len() > 0 {
            let written = ready!(Pin::new(&mut *to).poll_write(cx, self.bytes.get(self.from..).unwrap_or_default()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.from += written;
        }
        self.bytes.clear();
        self.from = 0;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        ready!(Pin::new(to).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }
}
