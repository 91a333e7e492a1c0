//! The journal: events appended with one `write()` before anything is forwarded. A thread of `sqlite` reads them back.
//!
//! Segments lie in `journal/` of the data folder. A record that `append` acknowledged survives a kill -9 of the proxy;
//! a failed append leaves nothing. Knows nothing of SQLite but where the last run stopped, so that no number is used
//! twice.

use std::{
    cell::Cell,
    collections::VecDeque,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::Thread,
};

use thiserror::Error;

use crate::{
    event::{AttemptId, Event},
    record,
    segment::{self, Active, Number, Sealed},
    sqlite::schema,
    sync,
    watermark::{Position, Watermark},
};

pub use crate::record::whole_events;

/// When an appended event counts as safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In the kernel's hands: survives kill -9 of the proxy.
    Process,
    /// On disk: fdatasync, one for all that wait.
    Disk,
}

/// Bounds on the journal's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A segment is followed by a new one when it has this many bytes.
    pub segment_bytes: u64,
    /// With this many bytes that SQLite has not taken yet, appending is refused: an audit that nobody can read any
    /// more must stop the proxy before it fills the disk.
    pub backlog_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, backlog_bytes: 1 << 30 }
    }
}

/// Why nothing may be forwarded.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The journal cannot be written.
    #[error("the audit journal cannot be written")]
    Write(#[source] io::Error),
    /// The data folder cannot be used.
    #[error("the audit journal in `{}` cannot be opened", path.display())]
    Open {
        /// What was touched.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// `audit.db` cannot be read, so it is not known which numbers are free.
    #[error("`{}` cannot be read; mend it, or move it away to begin a new audit log", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process writes to this data folder.
    #[error(
        "the data folder `{}` is in use by another hallpass (process {holder}); \
         stop it, or set another `data_dir`", path.display()
    )]
    Locked {
        /// The data folder.
        path: PathBuf,
        /// The process id that the other one left.
        holder: String,
    },
    /// SQLite has not taken the journal for too long.
    #[error(
        "the audit journal holds {backlog} bytes that could not be moved to `audit.db`; \
         see the proxy's log for why, and free disk space or mend the file"
    )]
    Full {
        /// Bytes that wait.
        backlog: u64,
    },
    /// The events are larger than the journal takes.
    #[error("an audit record of {size} bytes is larger than the {} that the journal takes", record::MAX_BODY)]
    TooLarge {
        /// Bytes of the encoded events.
        size: usize,
    },
}

impl From<record::TooLarge> for JournalError {
    fn from(record::TooLarge(size): record::TooLarge) -> Self {
        Self::TooLarge { size }
    }
}

/// The journal of one data folder. Cheap to clone; every thread of the proxy appends to the same one.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    data: PathBuf,
    folder: PathBuf,
    durability: Durability,
    limits: Limits,
    start: u64,
    next_attempt: AtomicU64,
    state: Arc<Mutex<State>>,
    synced: Arc<Watermark>,
    bell: Bell,
    /// How often an append or a sync failed for another reason than its own events.
    failures: AtomicU64,
    /// Held as long as the journal is open; the kernel releases it when the process dies.
    _lock: File,
}

/// What appending changes.
#[derive(Debug)]
pub(crate) struct State {
    active: Active,
    /// Older segments that SQLite has not taken, oldest first.
    sealed: VecDeque<Sealed>,
    sealed_bytes: u64,
    /// Bytes of the oldest segment, sealed or active, that are in SQLite.
    front_read: u64,
    /// The length at which the next segment is begun.
    rotate_at: u64,
    /// Sealed since the last fdatasync ([`Durability::Disk`]).
    unsynced: Vec<Arc<File>>,
    /// Why syncing failed, once it has.
    poisoned: Option<Arc<str>>,
}

thread_local! {
    /// Each thread's encoding buffer, so that an append allocates nothing.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer that grew beyond this for one large statement is not kept.
const BUFFER_KEPT: usize = 64 << 10;

/// The low bits of an attempt's name count within one start: enough for 50,000 a second for 250 days.
const ATTEMPT_BITS: u32 = 40;

impl Journal {
    /// Opens the journal in `folder`, creating what is missing.
    ///
    /// # Errors
    /// When the folder cannot be written, another process uses it, or its `audit.db` cannot be read.
    pub fn open(folder: &Path, durability: Durability) -> Result<Self, JournalError> {
        Self::open_with(folder, durability, Limits::default())
    }

    /// As [`Journal::open`], with other bounds.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(data: &Path, durability: Durability, limits: Limits) -> Result<Self, JournalError> {
        let folder = segment::folder(data);
        let failed = |source| JournalError::Open { path: folder.clone(), source };
        segment::create_folder(&folder).map_err(failed)?;
        let lock = lock(data)?;
        let sealed: VecDeque<_> = segment::list(&folder).map_err(failed)?.into();
        let database = schema::path(data);
        let imported = schema::last_segment(&database)
            .map_err(|source| JournalError::Database { path: database, source: source.into() })?;
        // A start's number is above every one that left a trace, in the folder or in SQLite.
        let newest = sealed.back().map_or(0, |last| last.number.start());
        let start = newest.max(Number(imported).start()) + 1;
        let active = Active::create(&folder, Number::first(start)).map_err(failed)?;
        if durability == Durability::Disk {
            segment::sync_folder(&folder).and_then(|()| segment::sync_folder(data)).map_err(failed)?;
        }
        let state = Arc::new(Mutex::new(State {
            active,
            sealed_bytes: sealed.iter().map(|segment| segment.length).sum(),
            sealed,
            front_read: 0,
            rotate_at: limits.segment_bytes,
            unsynced: Vec::new(),
            poisoned: None,
        }));
        let synced = Arc::new(Watermark::default());
        if durability == Durability::Disk {
            sync::start(folder.clone(), Arc::clone(&state), Arc::clone(&synced)).map_err(failed)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                data: data.to_owned(),
                folder,
                durability,
                limits,
                start,
                next_attempt: AtomicU64::new((start << ATTEMPT_BITS) + 1),
                state,
                synced,
                bell: Bell::default(),
                failures: AtomicU64::new(0),
                _lock: lock,
            }),
        })
    }

    /// A name for the next attempt.
    pub fn next_attempt(&self) -> AttemptId {
        AttemptId(self.inner.next_attempt.fetch_add(1, Ordering::Relaxed))
    }

    /// Appends all of `events` with one write, in order. When it returns `Ok` they survive a kill -9 of the process
    /// (and, with [`Durability::Disk`], are waited for by [`Journal::durable`]). All of them are written or none.
    ///
    /// # Errors
    /// [`JournalError::Write`] while the disk refuses, [`JournalError::Full`] while SQLite does,
    /// [`JournalError::TooLarge`] for these events alone; then nothing of them may be acted upon.
    pub fn append(&self, events: &[Event]) -> Result<(), JournalError> {
        if events.is_empty() {
            return Ok(());
        }
        // A thread that is being torn down has no buffer any more and uses a fresh one.
        let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
        let result = record::encode(events, &mut buffer).map_err(Into::into).and_then(|()| self.write(&buffer));
        if buffer.capacity() <= BUFFER_KEPT {
            let _ = BUFFER.try_with(|slot| slot.set(buffer));
        }
        if let Err(JournalError::Write(_) | JournalError::Full { .. }) = &result {
            self.inner.failures.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// How often the journal refused what it should have taken, since it was opened: for whoever watches it. What is
    /// too large for it does not count.
    pub fn failures(&self) -> u64 {
        self.inner.failures.load(Ordering::Relaxed)
    }

    fn write(&self, frame: &[u8]) -> Result<(), JournalError> {
        let inner = &*self.inner;
        let mut state = inner.lock();
        if let Some(why) = &state.poisoned {
            return Err(JournalError::Write(io::Error::other(why.to_string())));
        }
        let backlog = state.sealed_bytes + state.active.length - state.front_read;
        if backlog + frame.len() as u64 > inner.limits.backlog_bytes {
            return Err(JournalError::Full { backlog });
        }
        if state.active.length >= state.rotate_at {
            inner.rotate(&mut state);
        }
        state.active.append(frame).map_err(JournalError::Write)?;
        drop(state);
        inner.bell.ring();
        Ok(())
    }

    /// Resolves once everything that was appended so far is as safe as the durability asks: at once for
    /// [`Durability::Process`], after the group's fdatasync for [`Durability::Disk`].
    ///
    /// # Errors
    /// [`JournalError::Write`] when syncing failed; the journal then refuses every later append.
    pub async fn durable(&self) -> Result<(), JournalError> {
        match self.inner.durability {
            Durability::Process => Ok(()),
            Durability::Disk => {
                let end = self.end();
                let synced = self.inner.synced.reach(end).await;
                if synced.is_err() {
                    self.inner.failures.fetch_add(1, Ordering::Relaxed);
                }
                synced.map_err(|why| JournalError::Write(io::Error::other(why.to_string())))
            }
        }
    }

    /// Where the next append begins.
    pub(crate) fn end(&self) -> Position {
        let state = self.inner.lock();
        Position { segment: state.active.number.0, offset: state.active.length }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.inner.data
    }

    /// The folder of the segments.
    pub(crate) fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// Which start of the proxy on this data folder this is, from 1.
    pub(crate) fn start(&self) -> u64 {
        self.inner.start
    }

    /// Whether `attempt` was named by this start of the proxy.
    pub(crate) fn named_here(&self, attempt: u64) -> bool {
        attempt >> ATTEMPT_BITS == (self.inner.start << ATTEMPT_BITS) >> ATTEMPT_BITS
    }

    /// The oldest segment that SQLite has not taken whole.
    pub(crate) fn front(&self) -> Front {
        let state = self.inner.lock();
        match state.sealed.front() {
            Some(segment) => Front::Sealed(*segment),
            None => Front::Active(state.active.sealed()),
        }
    }

    /// SQLite has taken the oldest segment up to `offset`.
    pub(crate) fn read_to(&self, offset: u64) {
        let mut state = self.inner.lock();
        let length = state.sealed.front().map_or(state.active.length, |segment| segment.length);
        state.front_read = offset.min(length);
    }

    /// SQLite has taken the whole of the sealed segment `number`, whose file is gone.
    pub(crate) fn finish(&self, number: Number) {
        let mut state = self.inner.lock();
        if let Some(segment) = state.sealed.front().copied().filter(|segment| segment.number == number) {
            state.sealed.pop_front();
            state.sealed_bytes -= segment.length;
            state.front_read = 0;
        }
    }

    /// Begins a new segment now.
    pub(crate) fn seal(&self) {
        self.inner.rotate(&mut self.inner.lock());
    }

    /// What wakes the importer.
    pub(crate) fn bell(&self) -> &Bell {
        &self.inner.bell
    }
}

/// The oldest segment that holds something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// Nothing is added to it any more.
    Sealed(Sealed),
    /// It is still written to.
    Active(Sealed),
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the next segment. When that fails the present one is simply used further.
    fn rotate(&self, state: &mut State) {
        let next = state.active.number.next().ok_or_else(|| io::Error::other("this start has used all its segments"));
        match next.and_then(|number| Active::create(&self.folder, number)) {
            Ok(next) => {
                let old = std::mem::replace(&mut state.active, next);
                state.rotate_at = self.limits.segment_bytes;
                state.sealed_bytes += old.length;
                state.sealed.push_back(old.sealed());
                if self.durability == Durability::Disk {
                    state.unsynced.push(old.file);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no new segment of the audit journal; the present one grows");
                state.rotate_at = state.active.length + (1 << 20);
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.synced.end("the audit journal was closed");
    }
}

impl State {
    /// Files whose bytes may not be on disk, and the position up to which they are once these have been synced.
    pub(crate) fn take_unsynced(&mut self) -> (Vec<Arc<File>>, Position) {
        let mut files = std::mem::take(&mut self.unsynced);
        files.push(Arc::clone(&self.active.file));
        (files, Position { segment: self.active.number.0, offset: self.active.length })
    }

    /// Refuses every later append.
    pub(crate) fn poison(&mut self, why: Arc<str>) {
        self.poisoned = Some(why);
    }
}

/// Takes the data folder for this process. The lock is the kernel's, so a crash leaves nothing to clean up.
fn lock(data: &Path) -> Result<File, JournalError> {
    let path = data.join("hallpass.lock");
    let failed = |source| JournalError::Open { path: path.clone(), source };
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = options.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(failed)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            Err(JournalError::Locked { path: data.to_owned(), holder })
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Wakes the importer's thread, and costs one load while it is awake.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    asleep: AtomicBool,
    hurry: AtomicBool,
    sleeper: Mutex<Option<Thread>>,
}

impl Bell {
    /// Names the thread to wake; `false` when another one is there already.
    pub(crate) fn engage(&self, thread: Thread) -> bool {
        let mut sleeper = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
        let free = sleeper.is_none();
        if free {
            *sleeper = Some(thread);
        }
        free
    }

    /// Forgets the thread.
    pub(crate) fn dismiss(&self) {
        *self.sleeper.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Something was appended. Relaxed is enough: the sleeper sets the flag before it looks at the journal under the
    /// journal's lock, so either it sees what was appended or the appender sees the flag.
    fn ring(&self) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// Somebody waits: no pause to gather more.
    pub(crate) fn hurry(&self) {
        self.hurry.store(true, Ordering::Release);
        self.asleep.store(false, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = &*self.sleeper.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }

    /// Of the sleeper: parks until woken, unless `idle` finds something to do.
    pub(crate) fn sleep(&self, idle: impl FnOnce() -> bool) {
        self.asleep.store(true, Ordering::Release);
        if self.hurry.load(Ordering::Acquire) || !idle() {
            self.asleep.store(false, Ordering::Release);
        }
        while self.asleep.load(Ordering::Acquire) {
            std::thread::park();
        }
    }

    /// Of the sleeper: waits for `time`, less when somebody hurries.
    pub(crate) fn pause(&self, time: std::time::Duration) {
        if !self.hurry.swap(false, Ordering::AcqRel) {
            std::thread::park_timeout(time);
            self.hurry.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
