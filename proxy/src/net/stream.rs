//! A connection, plain or under TLS, as one type, and the socket options all of them get.
//! Reads and writes; frames and buffers are the callers' affair.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{client, server};

/// Idle time before the first keepalive probe: below the idle limits of usual NATs and load balancers.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Time between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Probes without an answer until the peer counts as gone.
const KEEPALIVE_PROBES: u32 = 4;

/// A connection to a client or to an upstream.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket of an upstream.
    Unix(UnixStream),
    /// A client under TLS.
    TlsClient(Box<server::TlsStream<TcpStream>>),
    /// An upstream under TLS.
    TlsUpstream(Box<client::TlsStream<TcpStream>>),
}

/// Sets what every TCP connection of the proxy has: no delay (messages are coalesced before they are written) and
/// keepalive, so that a peer that vanished does not hold a session for ever.
///
/// # Errors
/// When the socket is gone already.
pub fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

impl Stream {
    /// The socket itself, when nothing stands between it and the caller: for `ready`, `try_read`, `try_write` and
    /// `try_write_vectored` on it.
    pub fn as_tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Unix(_) | Self::TlsClient(_) | Self::TlsUpstream(_) => None,
        }
    }

    /// Whether bytes travel under TLS.
    pub fn is_encrypted(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::TlsClient(_) | Self::TlsUpstream(_) => true,
        }
    }

    /// Reads what is there without waiting; 0 means the peer closed. Wakes nobody later: to wait, poll a read.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; otherwise as a read.
    pub fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_read(buf),
            Self::Unix(socket) => socket.try_read(buf),
            Self::TlsClient(_) | Self::TlsUpstream(_) => {
                let mut buf = ReadBuf::new(buf);
                let mut context = Context::from_waker(Waker::noop());
                match Pin::new(self).poll_read(&mut context, &mut buf) {
                    Poll::Ready(read) => read.map(|()| buf.filled().len()),
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
    }

    /// Writes what goes without waiting. Under TLS the bytes may still have to be flushed.
    ///
    /// # Errors
    /// `WouldBlock` when nothing goes; otherwise as a write.
    pub fn try_write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_write(buf),
            Self::Unix(socket) => socket.try_write(buf),
            Self::TlsClient(_) | Self::TlsUpstream(_) => {
                let mut context = Context::from_waker(Waker::noop());
                match Pin::new(self).poll_write(&mut context, buf) {
                    Poll::Ready(written) => written,
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
    }
}

/// Does the same on whichever stream it is.
macro_rules! each {
    ($stream:expr, $inner:ident => $does:expr) => {
        match $stream {
            Stream::Tcp($inner) => $does,
            Stream::Unix($inner) => $does,
            Stream::TlsClient($inner) => $does,
            Stream::TlsUpstream($inner) => $does,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = each!(self.get_mut(), inner => Pin::new(inner).poll_read(cx, buf));
        match ready!(read) {
            // Many clients close without TLS's goodbye; the protocol has its own, so it is an end like any other.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && buf.filled().len() == before => {
                Poll::Ready(Ok(()))
            }
            other => Poll::Ready(other),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, inner => inner.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_shutdown(cx))
    }
}
