//! The running proxy: opens the data folder, journal, audit and store, serves the API, follows configuration and signals,
//! and ends in order. Prints nothing; holds no protocol.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hallpass_audit::{
    event::{Event, Kind, Origin},
    journal::{Journal, JournalError},
    sqlite::{AuditError, Importer},
};
use hallpass_policy::{
    ids::TargetName,
    mask::apply::HashKey,
    statement::{Refusal, RefusalKind},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use tokio::{
    signal::unix::{Signal as OsSignal, SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    api::{self, Api, StatementReader, Understanding},
    clock::Clock,
    config::{Config, NativePasswords, reload},
    notify,
    session::{
        fetcher,
        inband::Desk,
        listen::{self, ListenError},
        recorder::Recorder,
        registry::{Sessions, Signal},
        serve::House,
        study::Study,
    },
    shared::Shared,
    store::{StoreError, credentials::random, ledger::Ledger, seal::Seal, sqlite::SqliteStore},
};

/// How long sessions may take to end what they run, once the proxy was told to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// How long a killed session or an API call may take after that.
const LINGER: Duration = Duration::from_secs(2);
/// How long the API waits for a client's machine to acknowledge what it was sent.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// How long notifications that wait may take in the end.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How often grants' ends and requests' ages are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Why the proxy does not run.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The data folder cannot be made.
    #[error("the data folder `{}` cannot be used", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The journal does not open.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// `audit.db` does not open.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// `grants.db` does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A socket does not open.
    #[error("`{what}` cannot be listened on")]
    Bind {
        /// Address or path.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A listener does not open.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system refuses threads or signals.
    #[error("the system refuses")]
    System(#[source] io::Error),
}

/// What is open while the proxy runs.
#[derive(Debug)]
pub struct Proxy {
    /// What sessions share.
    pub shared: Arc<Shared>,
    /// Users, requests, grants; also the logins' [`LoginLookup`](crate::store::LoginLookup).
    pub ledger: Arc<Ledger>,
    /// Moves the journal to `audit.db`; dropped last, it moves the rest.
    pub importer: Arc<Importer>,
}

impl Proxy {
    /// Opens everything in `[server] data_dir`. One process at a time: the journal holds a lock.
    ///
    /// # Errors
    /// When a part does not open; nothing is served then.
    pub fn open(config: Config, clock: Clock) -> Result<Self, ServeError> {
        let data_dir = config.server.data_dir.clone();
        make_data_dir(&data_dir).map_err(|source| ServeError::DataDir { path: data_dir.clone(), source })?;
        let journal = Journal::open(&data_dir, config.audit.durability)?;
        let importer = Arc::new(Importer::start(&journal, clock.now())?);
        let data_dir_error = |source| ServeError::DataDir { path: data_dir.clone(), source };
        // The key of `hash` masks, made with the data folder: equal values stay equal over restarts.
        let hash_key = HashKey::new(&key_file(&data_dir, "hash.key").map_err(data_dir_error)?);
        let native_passwords = config.server.native_passwords;
        let shared = Arc::new(Shared::new(config, journal, clock, hash_key));
        let store = SqliteStore::open(&data_dir.join("grants.db"))?;
        let mut ledger = Ledger::new(Box::new(store), Arc::clone(&shared))?;
        match native_passwords {
            NativePasswords::Sealed => {
                let key = key_file(&data_dir, "mysql-native.key").map_err(data_dir_error)?;
                let cipher = || data_dir_error(io::Error::other("the cipher of mysql-native.key cannot be had"));
                ledger = ledger.sealing(Seal::new(&key).ok_or_else(cipher)?);
            }
            NativePasswords::LeftOut => match ledger.forget_native()? {
                0 => {}
                users => tracing::info!(users, "mysql_native_password is off: what it needs of passwords is forgotten"),
            },
        }
        let ledger = Arc::new(ledger);
        Ok(Self { shared, ledger, importer })
    }

    /// Who understands statement requests.
    fn reader(&self) -> Arc<dyn StatementReader> {
        Arc::new(TargetReader(Arc::clone(&self.shared)))
    }

    /// Who answers what sessions ask the proxy itself.
    fn desk(&self) -> Arc<Desk> {
        let (shared, ledger) = (Arc::clone(&self.shared), Arc::clone(&self.ledger));
        Arc::new(Desk { shared, ledger, reader: self.reader() })
    }

    fn record(&self, what: &str) -> Result<(), ServeError> {
        let mut event = Event::new(Kind::Config, self.shared.clock.now(), Arc::new(Origin::default()));
        event.reason = Some(what.into());
        Ok(self.shared.journal.append(&[event])?)
    }
}

/// The folder, for its owner alone.
fn make_data_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// The key in `name`, for the folder's owner alone; made when it is not there.
fn key_file(data_dir: &Path, name: &str) -> io::Result<[u8; 32]> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = data_dir.join(name);
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("{name} does not hold 32 bytes"));
    match std::fs::read(&path) {
        Ok(bytes) => bytes.as_slice().try_into().map_err(|_| wrong()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = random::<32>().ok_or_else(|| io::Error::other("the system gives no random bytes"))?;
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            io::Write::write_all(&mut file, &key)?;
            file.sync_all()?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

/// Runs the proxy until SIGTERM or SIGINT; a second one ends it at once.
///
/// # Errors
/// When it cannot start.
pub fn run(config: Config) -> Result<(), ServeError> {
    raise_descriptors();
    let proxy = Arc::new(Proxy::open(config, Clock::system())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::System)?;
    let done = runtime.block_on(serve(Arc::clone(&proxy)));
    runtime.shutdown_timeout(LINGER);
    done
}

/// Allows as many open files as the system lets this process have: every session needs two, and the limit that
/// programs start with is meant for those that `select()`.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

async fn serve(proxy: Arc<Proxy>) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(ServeError::System)?;
    let (stop, stopping) = watch::channel(false);
    let (hangup, hangups) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    let recorder = serve_api(&proxy, &stopping, &mut tasks).await?;
    tasks.spawn(fetcher::keep(Arc::clone(&proxy.shared)));
    let workers = listen::start(&proxy.desk())?;
    tasks.spawn(reload::follow(Arc::clone(&proxy.shared), hangups));
    tasks.spawn(sweep(Arc::clone(&proxy.ledger)));
    tasks.spawn(notify::watch::audit(Arc::clone(&proxy.shared), Arc::clone(&proxy.importer)));
    // Not among the others: it goes on until the end.
    let telling = tokio::spawn(notify::deliver(Arc::clone(&proxy.shared)));
    proxy.record(concat!("hallpass ", env!("CARGO_PKG_VERSION"), " started"))?;
    tracing::info!(data_dir = %proxy.shared.config.load().server.data_dir.display(), "hallpass runs");

    signals.stop(&hangup).await;
    tracing::info!("stopping: sessions end what they run; a second signal ends them at once");
    stop.send_replace(true);
    workers.stop();
    tokio::select! {
        () = drain(&proxy.shared.sessions) => {}
        () = signals.stop(&hangup) => {}
    }
    proxy.shared.sessions.signal_all(Signal::Kill);
    let last = tokio::time::timeout(LINGER, emptied(&proxy.shared.sessions)).await;
    if last.is_err() {
        tracing::warn!(sessions = proxy.shared.sessions.len(), "sessions were cut off");
    }
    let _ = tokio::time::timeout(LINGER, workers.join()).await;
    tasks.shutdown().await;
    recorder.flush();
    remove_socket(&proxy.shared);
    proxy.shared.notifier.settle(LAST_WORDS).await;
    telling.abort();
    proxy.record("stopped")
}

/// The API of a data folder that no proxy serves, for as long as one command takes: `hallpass user add` before the first
/// `hallpass serve`. It holds the journal's lock, so that no proxy starts meanwhile. Opens no listener.
#[derive(Debug)]
pub struct Offline {
    proxy: Arc<Proxy>,
    tasks: JoinSet<()>,
    _stop: watch::Sender<bool>,
}

impl Offline {
    /// Opens `data_dir` and serves its socket. `config` is only named, not read: users need none of it.
    ///
    /// # Errors
    /// As [`Proxy::open`].
    pub async fn open(config: &Path, data_dir: PathBuf) -> Result<Self, ServeError> {
        let built_in = Config::parse(config, "").map_err(|_| ServeError::System(io::ErrorKind::InvalidData.into()))?;
        let mut config = built_in.0;
        config.server.data_dir = data_dir;
        let proxy = Arc::new(Proxy::open(config, Clock::system())?);
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        serve_api(&proxy, &stopping, &mut tasks).await?;
        Ok(Self { proxy, tasks, _stop: stop })
    }

    /// Ends it; the audit of what was done is in `audit.db` then.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
        remove_socket(&self.proxy.shared);
    }
}

fn remove_socket(shared: &Shared) {
    let socket = shared.config.load().server.data_dir.join(api::SOCKET);
    if let Err(error) = std::fs::remove_file(&socket) {
        tracing::warn!(%error, "the API's socket stays");
    }
}

/// The API on the socket and, if configured, on TCP; and the recorder of its own sessions.
async fn serve_api(
    proxy: &Arc<Proxy>,
    stopping: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> Result<Arc<Recorder>, ServeError> {
    let config = proxy.shared.config.load_full();
    let path = config.server.data_dir.join(api::SOCKET);
    let (socket, owner) = api::bind_socket(&config.server.data_dir)
        .map_err(|source| ServeError::Bind { what: path.display().to_string(), source })?;
    let house = House::new(proxy.desk(), Arc::default(), Arc::default());
    let recorder = Arc::clone(&house.recorder);
    let keeper = Arc::clone(&recorder);
    tasks.spawn(async move { keeper.keep().await });
    let api = Arc::new(Api {
        house,
        shared: Arc::clone(&proxy.shared),
        ledger: Arc::clone(&proxy.ledger),
        importer: Arc::clone(&proxy.importer),
        reader: proxy.reader(),
        owner,
    });
    let routes = api::router(api);
    if let Some(address) = config.api_address {
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(|source| ServeError::Bind { what: address.to_string(), source })?;
        notice_dead_clients(&listener);
        let serving = api::serve_tcp(listener, routes.clone(), stopped(stopping.clone()));
        tasks.spawn(async move { served(serving.await) });
    }
    let serving = api::serve_socket(socket, routes, stopped(stopping.clone()));
    tasks.spawn(async move { served(serving.await) });
    Ok(recorder)
}

/// A client whose machine is gone closes nothing: what it was sent and does not acknowledge ends its connection. Accepted
/// connections inherit this.
fn notice_dead_clients(listener: &tokio::net::TcpListener) {
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_user_timeout(Some(UNACKNOWLEDGED)) {
        tracing::warn!(%error, "the API notices lost machines late");
    }
}

fn served(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "the API ended early");
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone: the proxy is over, too.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Ends grants and requests whose time is up.
async fn sweep(ledger: Arc<Ledger>) {
    loop {
        // What lost its holder ends at once.
        let _ = tokio::time::timeout(SWEEP, ledger.holder_gone()).await;
        if let Err(error) = ledger.perform(Ledger::sweep).await {
            tracing::error!(%error, "ended grants are not recorded yet; trying again");
        }
    }
}

/// Tells sessions to end when nothing runs, and waits for them, but not forever.
async fn drain(sessions: &Sessions) {
    sessions.signal_all(Signal::Drain);
    if tokio::time::timeout(DRAIN, emptied(sessions)).await.is_err() {
        tracing::warn!(sessions = sessions.len(), "sessions still run statements; ending them");
    }
}

async fn emptied(sessions: &Sessions) {
    while !sessions.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The signals that matter.
struct Signals {
    terminate: OsSignal,
    interrupt: OsSignal,
    hangup: OsSignal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves at SIGTERM or SIGINT; passes SIGHUP on meanwhile.
    async fn stop(&mut self, reload: &mpsc::Sender<()>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    // A full channel holds a reload that has not begun yet: it will read the file as it is now.
                    let _ = reload.try_send(());
                }
            }
        }
    }
}

/// Reads a statement request's text with the names of its target, as a new session there would.
#[derive(Debug)]
struct TargetReader(Arc<Shared>);

impl StatementReader for TargetReader {
    fn understand<'a>(&'a self, target: &'a TargetName, text: &'a str) -> Understanding<'a> {
        Box::pin(async move {
            let unknown = || {
                let message = format!("the names of `{target}` are not known, so no statement can be understood");
                Refusal::new(RefusalKind::Unsupported, message).hint("ask again when the database can be reached")
            };
            let target = self.0.targets.get(target).ok_or_else(unknown)?;
            // While the database is down, what is known of it has to do: at each use the statement is read again.
            if target.refresh().await.is_err() && !target.is_known() {
                return Err(unknown());
            }
            let known = target.known();
            let (dialect, text) = (known.dialect.clone(), text.into());
            let understanding = Study { target, known, dialect, text }.run().await.into_result()?;
            match understanding.understood.statements.as_slice() {
                [one] => Ok(Arc::new(one.clone())),
                _ => Err(Refusal::new(RefusalKind::Unsupported, "a statement request holds exactly one statement")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lost_machines_are_noticed_on_accepted_connections() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        notice_dead_clients(&listener);
        let _client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(socket2::SockRef::from(&accepted).tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }
}
