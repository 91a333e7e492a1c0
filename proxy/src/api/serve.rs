//! The API's connections: accepted, counted, and closed when no request comes in time, so that silent ones take neither
//! memory nor the descriptors that sessions need. Knows no route.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use axum::{Extension, Router, extract::ConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use super::auth::Peer;

/// Connections of one listener at once; those beyond wait to be accepted.
const MOST: u32 = 500;

/// How long a client may take to send the head of a request, or its body.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Where connections come from.
pub(super) trait Door {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one, and who is at its other end.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

impl Door for TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&self) -> io::Result<(Self::Stream, Peer)> {
        let (stream, address) = TcpListener::accept(self).await?;
        Ok((stream, Peer::Remote(address)))
    }
}

impl Door for UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<(Self::Stream, Peer)> {
        let (stream, _) = UnixListener::accept(self).await?;
        let uid = stream.peer_cred().ok().map(|found| found.uid());
        Ok((stream, Peer::Local { uid }))
    }
}

/// Serves until `stop` resolves, and then those who have asked already.
pub(super) async fn serve<D: Door>(door: D, routes: Router, stop: impl Future<Output = ()> + Send) {
    let places = Arc::new(Semaphore::new(MOST as usize));
    let (closing, _) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        let next = async {
            // Nobody closes the semaphore.
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = door.accept().await?;
            Ok::<_, io::Error>((stream, peer, place))
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = next => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let routes = routes.clone().layer(Extension(ConnectInfo(peer)));
                tokio::spawn(connection(stream, routes, closing.subscribe(), place));
            }
            Err(error) => {
                // Out of descriptors, most likely: others have to leave first.
                tracing::warn!(%error, "a connection to the API could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    closing.send_replace(());
    // Each gives its place back when it is over.
    let _ = places.acquire_many(MOST).await;
}

/// One connection, until it is over or, when told so, until its request is answered.
async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    routes: Router,
    mut closing: watch::Receiver<()>,
    _place: OwnedSemaphorePermit,
) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        _ = closing.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the API broke off");
    }
}
