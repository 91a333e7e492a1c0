//! How far a background thread has come, and a future that waits until it has come far enough. Std only, so that the
//! audit needs no runtime; it does no work itself.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// A place in the journal: a segment's number and a byte offset in it. Ordered as the journal was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// How far work has come. One thread moves it, many wait for it.
#[derive(Debug, Default)]
pub(crate) struct Watermark {
    state: Mutex<State>,
    /// Signalled when the mark moves, work fails, or somebody begins to wait.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reached: Position,
    /// The farthest that anybody waited for.
    wanted: Position,
    failures: u64,
    failure: Arc<str>,
    /// What waits after a final failure or the end of the worker gets it at once.
    ended: bool,
    next_waiter: u64,
    waiters: BTreeMap<u64, Waker>,
}

/// Work failed while somebody waited for it; says why.
pub(crate) type Failed = Arc<str>;

impl Watermark {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work has come as far as `position`.
    pub(crate) fn advance(&self, position: Position) {
        self.update(|state| state.reached = state.reached.max(position));
    }

    /// How far the work has come.
    pub(crate) fn reached(&self) -> Position {
        self.lock().reached
    }

    /// The work failed: everybody who waits now hears `why`. Who waits later waits for the next try.
    pub(crate) fn fail(&self, why: &str) {
        self.update(|state| {
            state.failures += 1;
            state.failure = Arc::from(why);
        });
    }

    /// How often the work failed.
    pub(crate) fn failures(&self) -> u64 {
        self.lock().failures
    }

    /// The work is over for good: everybody who waits, now or later, for more than was reached hears `why`.
    pub(crate) fn end(&self, why: &str) {
        self.update(|state| {
            state.failures += 1;
            state.failure = Arc::from(why);
            state.ended = true;
        });
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let woken = {
            let mut state = self.lock();
            change(&mut state);
            std::mem::take(&mut state.waiters)
        };
        self.changed.notify_all();
        // Outside the lock: a waker may run code of its own.
        woken.into_values().for_each(Waker::wake);
    }

    /// The worker's side: sleeps until somebody wants more than was reached; `false` when the work has ended.
    pub(crate) fn wait_for_demand(&self) -> bool {
        let mut state = self.lock();
        while !state.ended && state.wanted <= state.reached {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.ended
    }

    /// Resolves when the mark is at `target` or beyond.
    pub(crate) fn reach(&self, target: Position) -> Reach<'_> {
        Reach { mark: self, target, seen: None, waiter: None }
    }

    /// Blocks until the mark is at `target` or beyond, at most for `limit`; `None` when that time is over.
    pub(crate) fn reach_blocking(&self, target: Position, limit: Duration) -> Option<Result<(), Failed>> {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        let seen = state.failures;
        state.wanted = state.wanted.max(target);
        self.changed.notify_all();
        loop {
            if let Some(result) = state.verdict(target, seen) {
                return Some(result);
            }
            let left = end.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn verdict(&self, target: Position, seen: u64) -> Option<Result<(), Failed>> {
        if self.reached >= target {
            Some(Ok(()))
        } else if self.ended || self.failures != seen {
            Some(Err(Arc::clone(&self.failure)))
        } else {
            None
        }
    }
}

/// The future of [`Watermark::reach`].
#[derive(Debug)]
pub(crate) struct Reach<'a> {
    mark: &'a Watermark,
    target: Position,
    /// How many failures there were when waiting began.
    seen: Option<u64>,
    waiter: Option<u64>,
}

impl Future for Reach<'_> {
    type Output = Result<(), Failed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mark = this.mark;
        let mut state = mark.lock();
        let seen = *this.seen.get_or_insert(state.failures);
        if let Some(result) = state.verdict(this.target, seen) {
            return Poll::Ready(result);
        }
        let id = *this.waiter.get_or_insert_with(|| {
            state.next_waiter += 1;
            state.next_waiter
        });
        state.waiters.insert(id, context.waker().clone());
        state.wanted = state.wanted.max(this.target);
        drop(state);
        mark.changed.notify_all();
        Poll::Pending
    }
}

impl Drop for Reach<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.waiter {
            self.mark.lock().waiters.remove(&id);
        }
    }
}
