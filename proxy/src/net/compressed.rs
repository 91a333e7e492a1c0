//! MySQL's compressed protocol as a connection: reads and writes plain bytes, compressed packets go over the one below.
//! Knows no packet of the protocol inside. Memory is bounded by one compressed packet, 16 MB plain, each way; idle
//! connections hold little.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;
use crate::wire::mysql::{
    codec::Order,
    compress::{Algorithm, Compressed as Packets},
};

/// Plain bytes that become one compressed packet at most: enough to compress well, little enough to wait for.
const PIECE: usize = 256 << 10;
/// One read from below.
const READ: usize = 16 << 10;
/// A buffer larger than this is given back once it is empty.
const KEPT: usize = 64 << 10;

/// A connection under compression.
pub struct Compressed {
    below: Stream,
    packets: Packets,
    /// Read from below and not unpacked.
    raw: Vec<u8>,
    /// Unpacked, and read up to `given`.
    plain: Vec<u8>,
    given: usize,
    /// Compressed, and written below up to `sent`.
    out: Vec<u8>,
    sent: usize,
}

impl std::fmt::Debug for Compressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressed").field("below", &self.below).finish_non_exhaustive()
    }
}

impl Compressed {
    /// Over `below`, from which `leftover` was read already. Sequence ids are taken as the client counts them: a command
    /// begins wherever it says so.
    pub fn new(below: Stream, leftover: Vec<u8>, algorithm: Algorithm) -> Self {
        Self {
            below,
            packets: Packets::new(algorithm, Order::Loose),
            raw: leftover,
            plain: Vec::new(),
            given: 0,
            out: Vec::new(),
            sent: 0,
        }
    }

    /// The connection below.
    pub fn below(&self) -> &Stream {
        &self.below
    }

    /// Unpacks one packet, if it is there in full. An error ends the connection.
    fn unpack(&mut self) -> io::Result<bool> {
        self.plain.clear();
        self.given = 0;
        if self.plain.capacity() > KEPT {
            self.plain = Vec::new();
        }
        let used = self.packets.read(&self.raw, &mut self.plain);
        let used = used.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.raw.drain(..used);
        if self.raw.is_empty() && self.raw.capacity() > KEPT {
            self.raw = Vec::new();
        }
        Ok(used > 0)
    }

    /// Writes what is compressed.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.below).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        self.out.clear();
        self.sent = 0;
        if self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Compressed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let rest = this.plain.get(this.given..).unwrap_or_default();
            if !rest.is_empty() || buf.remaining() == 0 {
                let piece = rest.get(..rest.len().min(buf.remaining())).unwrap_or_default();
                buf.put_slice(piece);
                this.given += piece.len();
                return Poll::Ready(Ok(()));
            }
            if this.unpack()? {
                continue;
            }
            let mut chunk = [0; READ];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.below).poll_read(cx, &mut read))?;
            match read.filled() {
                [] if this.raw.is_empty() => return Poll::Ready(Ok(())),
                [] => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                filled => this.raw.extend_from_slice(filled),
            }
        }
    }
}

impl AsyncWrite for Compressed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // One packet at a time: whoever writes faster than the other side reads waits.
        ready!(this.poll_out(cx))?;
        let piece = buf.get(..buf.len().min(PIECE)).unwrap_or_default();
        this.packets.write(piece, &mut this.out).map_err(io::Error::other)?;
        // It is taken, sent or not; the next write or flush waits for it.
        if let Poll::Ready(Err(error)) = this.poll_out(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.below).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.below).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::wire::mysql::compress::HEADER;

    async fn pair(algorithm: Algorithm, leftover: &[u8]) -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        (Stream::Tcp(socket).compressed(leftover.to_vec(), algorithm), client)
    }

    fn packed(algorithm: Algorithm, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Packets::new(algorithm, Order::Checked).write(plain, &mut out).unwrap();
        out
    }

    #[tokio::test]
    async fn commands_and_answers_count_as_servers_do() {
        for algorithm in [Algorithm::Zlib, Algorithm::Zstd { level: 3 }] {
            // The first command came together with the login's last bytes.
            let command = packed(algorithm, b"\x01\0\0\0\x0e");
            let (mut ours, mut client) = pair(algorithm, &command[..4]).await;
            client.write_all(&command[4..]).await.unwrap();
            for _ in 0..2 {
                let mut plain = [0; 5];
                ours.read_exact(&mut plain).await.unwrap();
                assert_eq!(&plain, b"\x01\0\0\0\x0e");
                let answer: Vec<u8> = (0..600_000_u32).map(|at| (at / 1000) as u8).collect();
                let mut theirs = Packets::new(algorithm, Order::Checked);
                let mut sent = Vec::new();
                theirs.write(&plain, &mut sent).unwrap();
                ours.write_all(&answer).await.unwrap();
                ours.flush().await.unwrap();
                let (mut raw, mut got) = (Vec::new(), Vec::new());
                while got.len() < answer.len() {
                    assert!(client.read_buf(&mut raw).await.unwrap() > 0);
                    // Ids run on from the command's, or this fails.
                    while let used @ 1.. = theirs.read(&raw, &mut got).unwrap() {
                        raw.drain(..used);
                    }
                }
                assert!(got == answer && raw.is_empty());
                client.write_all(&command).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_flush_that_waits_is_finished_later() {
        let (mut ours, mut client) = pair(Algorithm::Zlib, b"").await;
        // What does not compress fills the socket.
        let noise: Vec<u8> = (0..8 << 20_u32).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let length = noise.len();
        let writing = tokio::spawn(async move {
            ours.write_all(&noise).await.unwrap();
            ours.flush().await.unwrap();
            (ours, noise)
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert!(!writing.is_finished());
        let (mut theirs, mut raw, mut got) = (Packets::new(Algorithm::Zlib, Order::Checked), Vec::new(), Vec::new());
        while got.len() < length {
            assert!(client.read_buf(&mut raw).await.unwrap() > 0);
            while let used @ 1.. = theirs.read(&raw, &mut got).unwrap() {
                raw.drain(..used);
            }
        }
        let (mut ours, noise) = writing.await.unwrap();
        assert!(got == noise);
        drop(client);
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn lies_bombs_and_cut_packets_end_the_connection() {
        let bomb = packed(Algorithm::Zlib, &vec![0; 1 << 20]);
        let mut lie = bomb.clone();
        lie[4] = lie[4].wrapping_sub(1);
        let garbage = [&[9, 0, 0, 0, 200, 0, 0][..], &[7; 9]].concat();
        for (bytes, kind) in [
            (lie.as_slice(), io::ErrorKind::InvalidData),
            (&garbage, io::ErrorKind::InvalidInput),
            (&bomb[..HEADER + 3], io::ErrorKind::UnexpectedEof),
        ] {
            let (mut ours, mut client) = pair(Algorithm::Zlib, b"").await;
            client.write_all(bytes).await.unwrap();
            client.shutdown().await.unwrap();
            let error = ours.read(&mut [0; 8]).await.unwrap_err();
            assert!(error.kind() == kind || error.kind() == io::ErrorKind::InvalidData, "{error:?}");
        }
    }
}
