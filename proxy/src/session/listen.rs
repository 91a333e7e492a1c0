//! Listeners and threads: every thread runs its own event loop and its own socket of each listener, and a session
//! stays on the thread that accepted it. Hands sockets to `serve`, knows nothing of what they say.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hallpass_policy::ids::ListenerName;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::{net::TcpListener, runtime, sync::watch};

use super::{
    inband::Desk,
    lobby::Lobby,
    login::mysql::Keyring,
    serve::{House, Port, serve},
};
use crate::net::tls::{Security, TlsError};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Why the proxy cannot listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is taken, or not ours.
    #[error("listener `{name}` cannot listen on {address}: {source}")]
    Bind {
        /// The listener.
        name: ListenerName,
        /// Its address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Its certificate or key cannot be used.
    #[error("listener `{name}`: {source}")]
    Tls {
        /// The listener.
        name: ListenerName,
        /// Why.
        source: TlsError,
    },
    /// No thread or event loop to be had.
    #[error("a worker cannot be started: {0}")]
    Worker(io::Error),
}

/// The running workers.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

/// Opens every listener of the configuration in force and starts the workers.
///
/// # Errors
/// [`ListenError`]; nothing listens then.
pub fn start(desk: &Arc<Desk>) -> Result<Workers, ListenError> {
    let shared = &desk.shared;
    let config = shared.config.load_full();
    let (stop, stopping) = watch::channel(false);
    let mut threads = Vec::new();
    let mut ports = Vec::new();
    for listener in &config.listeners {
        let security =
            Security::load(&listener.tls).map_err(|source| ListenError::Tls { name: listener.name.clone(), source })?;
        ports.push(Arc::new(Port { config: listener.clone(), security, throttle: Arc::clone(&shared.throttle) }));
    }
    // Sharing a port between threads would also share it with another proxy of the same user: it must be free first.
    for port in &ports {
        let address = port.config.address;
        probe(address).map_err(|source| ListenError::Bind { name: port.config.name.clone(), address, source })?;
    }
    // All sockets of all threads are bound before the first is accepted from: it is all or nothing.
    let mut workers = Vec::new();
    for _ in 0..config.server.threads.max(1) {
        let mut sockets = Vec::new();
        for port in &ports {
            let address = port.config.address;
            let socket = bind(address).map_err(|source| ListenError::Bind {
                name: port.config.name.clone(),
                address,
                source,
            })?;
            sockets.push((socket, Arc::clone(port)));
        }
        workers.push(sockets);
    }
    let keyring = Arc::new(Keyring::default());
    let lobby = Arc::new(Lobby::default());
    for (number, sockets) in workers.into_iter().enumerate() {
        let house = House::new(Arc::clone(desk), Arc::clone(&keyring), Arc::clone(&lobby));
        let stopping = stopping.clone();
        let worker = runtime::Builder::new_current_thread().enable_all().build().map_err(ListenError::Worker)?;
        let thread = thread::Builder::new()
            .name(format!("hallpass-{number}"))
            .spawn(move || worker.block_on(work(sockets, house, stopping)))
            .map_err(ListenError::Worker)?;
        threads.push(thread);
    }
    Ok(Workers { threads, stop })
}

impl Workers {
    /// Stops accepting; open sessions go on.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until every session is over and every thread has ended.
    pub async fn join(self) {
        let ended = tokio::task::spawn_blocking(move || {
            for thread in self.threads {
                // A worker that panicked has said so already.
                let _ = thread.join();
            }
        });
        let _ = ended.await;
    }
}

/// One thread: accepts until told to stop, then waits for its sessions.
async fn work(sockets: Vec<(std::net::TcpListener, Arc<Port>)>, house: House, stopping: watch::Receiver<bool>) {
    let recorder = Arc::clone(&house.recorder);
    let keeper = tokio::spawn({
        let recorder = Arc::clone(&recorder);
        async move { recorder.keep().await }
    });
    let acceptors: Vec<_> = sockets
        .into_iter()
        .map(|(socket, port)| tokio::spawn(accept(socket, port, house.clone(), stopping.clone())))
        .collect();
    for acceptor in acceptors {
        // Ends when told to; a panic in it has said so already.
        let _ = acceptor.await;
    }
    while !house.shared.sessions.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    keeper.abort();
    recorder.flush();
}

async fn accept(socket: std::net::TcpListener, port: Arc<Port>, house: House, mut stopping: watch::Receiver<bool>) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(listener = %port.config.name, %error, "a listener cannot be used");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                let (port, house) = (Arc::clone(&port), house.clone());
                tokio::spawn(async move { serve(socket, peer, &port, &house).await });
            }
            Err(error) => {
                // Out of descriptors, most likely: others have to leave first.
                tracing::warn!(listener = %port.config.name, %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// A listening socket that other threads may open, too: the kernel spreads connections over them.
fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether nobody listens on `address`.
fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}
