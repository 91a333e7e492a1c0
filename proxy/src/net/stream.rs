//! A connection, plain, under TLS or compressed, as one type, and the socket options all of them get.
//! Reads and writes; frames and buffers are the callers' affair.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{client, server};

use super::compressed::Compressed;
use crate::wire::mysql::compress::Algorithm;

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
    /// A MySQL client under compression, whatever is below.
    Compressed(Box<Compressed>),
    /// A client inside the process.
    Local(DuplexStream),
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
            Self::Unix(_) | Self::TlsClient(_) | Self::TlsUpstream(_) | Self::Compressed(_) | Self::Local(_) => None,
        }
    }

    /// The same connection under MySQL's compression; `leftover` was read from it already.
    #[must_use]
    pub fn compressed(self, leftover: Vec<u8>, algorithm: Algorithm) -> Self {
        Self::Compressed(Box::new(Compressed::new(self, leftover, algorithm)))
    }

    /// Whether packets are compressed.
    pub fn is_compressed(&self) -> bool {
        matches!(self, Self::Compressed(_))
    }

    /// A client's TLS, under compression, too.
    pub fn client_tls(&self) -> Option<&server::TlsStream<TcpStream>> {
        match self {
            Self::TlsClient(tls) => Some(tls),
            Self::Compressed(compressed) => compressed.below().client_tls(),
            Self::Tcp(_) | Self::Unix(_) | Self::TlsUpstream(_) | Self::Local(_) => None,
        }
    }

    /// Whether bytes travel under TLS.
    pub fn is_encrypted(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::Local(_) => false,
            Self::TlsClient(_) | Self::TlsUpstream(_) => true,
            Self::Compressed(compressed) => compressed.below().is_encrypted(),
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
            Self::TlsClient(_) | Self::TlsUpstream(_) | Self::Compressed(_) | Self::Local(_) => {
                let mut buf = ReadBuf::new(buf);
                let mut context = Context::from_waker(Waker::noop());
                match Pin::new(self).poll_read(&mut context, &mut buf) {
                    Poll::Ready(read) => read.map(|()| buf.filled().len()),
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
    }

    /// Writes what goes without waiting. Under TLS or compression the bytes may still have to be flushed.
    ///
    /// # Errors
    /// `WouldBlock` when nothing goes; otherwise as a write.
    pub fn try_write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_write(buf),
            Self::Unix(socket) => socket.try_write(buf),
            Self::TlsClient(_) | Self::TlsUpstream(_) | Self::Compressed(_) | Self::Local(_) => {
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
            Stream::Compressed($inner) => $does,
            Stream::Local($inner) => $does,
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

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        config::{Protocol, ServerIdentity, UpstreamTls},
        net::tls::{ClientTls, ServerTls},
    };

    async fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, client)
    }

    /// Both ends of a connection, plain and under TLS.
    async fn pairs() -> Vec<(Stream, Stream)> {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        fs::write(file("crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(file("key"), key.serialize_pem()).unwrap();
        let identity = ServerIdentity { certificate: file("crt"), key: file("key"), client_ca: None };
        let server = ServerTls::load(&identity).unwrap();
        let ClientTls::Use { connector, name } =
            ClientTls::load(&UpstreamTls::Require, "localhost", Protocol::Postgres).unwrap()
        else {
            panic!("TLS is wanted")
        };
        let (ours, theirs) = sockets().await;
        let (ours, theirs) = tokio::join!(server.acceptor().accept(ours), connector.connect(name, theirs));
        let encrypted = (Stream::TlsClient(Box::new(ours.unwrap())), Stream::TlsUpstream(Box::new(theirs.unwrap())));
        let (ours, theirs) = sockets().await;
        tune(&ours).unwrap();
        vec![(Stream::Tcp(ours), Stream::Tcp(theirs)), encrypted]
    }

    #[tokio::test]
    async fn reading_without_waiting_finds_what_is_there() {
        for (mut ours, mut theirs) in pairs().await {
            let mut buf = [0; 16];
            // Under TLS 1.3 session tickets come first; they are no data.
            assert_eq!(ours.try_read(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert_eq!(theirs.try_read(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert_eq!(theirs.write_vectored(&[IoSlice::new(b"he"), IoSlice::new(b"llo")]).await.unwrap(), 5);
            theirs.flush().await.unwrap();
            ours.read_exact(&mut buf[..1]).await.unwrap();
            assert_eq!(ours.try_read(&mut buf[1..]).unwrap(), 4);
            assert_eq!(&buf[..5], b"hello");
            assert_eq!(ours.try_write(b"back").unwrap(), 4);
            ours.flush().await.unwrap();
            theirs.read_exact(&mut buf[..4]).await.unwrap();
            assert_eq!(&buf[..4], b"back");
        }
    }

    #[tokio::test]
    async fn an_end_without_a_goodbye_is_an_end() {
        for (mut ours, mut theirs) in pairs().await {
            // Everything is read, so that the socket is closed and not reset.
            ours.write_all(b"x").await.unwrap();
            ours.flush().await.unwrap();
            theirs.read_exact(&mut [0]).await.unwrap();
            match theirs {
                Stream::TlsUpstream(tls) => drop(tls.into_inner().0),
                other => drop(other),
            }
            assert_eq!(ours.read(&mut [0; 16]).await.unwrap(), 0);
        }
    }
}
