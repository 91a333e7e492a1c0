//! Bytes on their way to a socket. Knows nothing of what they say.

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
    /// These bytes.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Adds `bytes`, and leaves them empty.
    pub(super) fn take(&mut self, bytes: &mut Vec<u8>) {
        if self.bytes.is_empty() {
            std::mem::swap(&mut self.bytes, bytes);
        } else {
            // Where one side is always a little slower than the other, nothing would ever be empty.
            if self.from > self.len() {
                self.bytes.drain(..self.from);
                self.from = 0;
            }
            self.bytes.append(bytes);
        }
    }

    /// How many are not written yet.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.from
    }

    /// Whether nothing is left.
    pub(super) fn is_sent(&self) -> bool {
        self.len() == 0 && !self.unflushed
    }

    /// Writes as many as `to` takes.
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    /// Whoever reads a little more slowly than the other side sends never sees it empty: what is sent is forgotten all
    /// the same.
    #[tokio::test]
    async fn what_is_sent_is_not_kept() {
        let (near, mut far) = duplex(1000);
        let mut near = Stream::Local(near);
        let mut unsent = Unsent::of(vec![7; 10_000]);
        for _ in 0..1000 {
            unsent.take(&mut vec![7; 1000]);
            std::future::poll_fn(|cx| Poll::Ready(unsent.poll_write(cx, &mut near).is_pending())).await;
            far.read_exact(&mut [0; 1000]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(unsent.len() >= 9000);
        assert!(unsent.bytes.capacity() < 100_000, "{}", unsent.bytes.capacity());
    }
}
