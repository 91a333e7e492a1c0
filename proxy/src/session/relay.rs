//! Moves bytes between a client, the machine and an upstream, and waits. Understands none of them: the machine does.
//! What the machine wants sent to the upstream leaves only after the journal is as safe as the configuration asks.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hallpass_audit::journal::{Durability, JournalError};
use hallpass_policy::{decide::Fence, ids::Timestamp, statement::inband::Inband};
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Sleep, sleep_until},
};

use super::{
    gate::Gate,
    goodbye::Goodbye,
    inband::{Answer, Desk},
    machine::{End, Loss, Machine, Stop, Upstream},
    registry::Signal,
    unsent::{KEPT, Unsent},
};
use crate::{error::ClientError, net::stream::Stream};

/// One read: large enough that a big result costs few calls.
const READ: usize = 64 << 10;
/// Unsent bytes above which the other side is not read: memory stays bounded, TCP does the rest.
const HIGH_WATER: usize = 256 << 10;
/// As much of a row that was stopped in the middle is taken for a client that does not read.
const LITTLE: usize = 1 << 20;
/// How long a client may keep a statement from being stopped by not reading the rest of a longer one.
const STUCK: Duration = Duration::from_secs(5);
/// How long a client that said goodbye may keep an upstream busy.
const LINGER: Duration = Duration::from_secs(60);

thread_local! {
    /// The thread's read buffer: sessions keep only what is left over.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// What a turn of the loop ends with.
#[derive(Debug)]
enum Turn {
    /// The machine cannot go on without this.
    Wish(Stop),
    /// The client's socket is closed.
    ClientGone,
    /// The upstream's socket is closed, or it said what cannot be followed.
    UpstreamGone(String),
    /// The client broke the protocol.
    Violation(ClientError),
    /// Another task has something to say.
    Signal(Signal),
    /// Something may have to end now.
    Timer,
    /// The journal can no longer be made safe.
    Unsafe(JournalError),
}

/// A question to the proxy itself, on its way.
struct Asking {
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
    /// Ends what only waits.
    cancel: Arc<Notify>,
    /// It only waits: nothing is lost when nobody waits for it any more.
    idle: bool,
}

type Durable = Pin<Box<dyn Future<Output = Result<(), JournalError>> + Send>>;

/// A session that is over, and what is left of its connection.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub goodbye: Goodbye,
    /// The client's connection.
    pub client: Stream,
    /// Bytes of the client's that nobody has looked at.
    pub leftover: Vec<u8>,
}

/// One session's loop.
pub struct Relay<M: Machine> {
    client: Stream,
    upstream: Option<M::Upstream>,
    machine: M,
    gate: Gate,
    settings: M::Settings,
    signals: mpsc::Receiver<Signal>,
    client_in: Vec<u8>,
    upstream_in: Vec<u8>,
    to_client: Unsent,
    to_upstream: Unsent,
    wish: Option<Stop>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the next of the user's grants ends by itself, or the client is to be reminded of that.
    grant_end: Option<Instant>,
    /// When the account ends.
    expires: Option<Timestamp>,
    cancelling: Option<JoinHandle<()>>,
    desk: Arc<Desk>,
    asking: Option<Asking>,
    syncing: Option<Durable>,
    leaving: Option<Goodbye>,
    /// Since when what was stopped cannot end, as the client does not read.
    stuck: Option<Instant>,
    /// Who ends the session next: an administrator, or the proxy that shuts down.
    killer: Goodbye,
}

impl<M: Machine> Relay<M> {
    /// A session that has logged in; `upstream` if one was needed for that.
    pub fn new(
        client: Stream,
        leftover: Vec<u8>,
        machine: M,
        gate: Gate,
        settings: M::Settings,
        signals: mpsc::Receiver<Signal>,
        desk: Arc<Desk>,
    ) -> Self {
        Self {
            desk,
            asking: None,
            client,
            upstream: None,
            machine,
            gate,
            settings,
            signals,
            client_in: leftover,
            upstream_in: Vec::new(),
            to_client: Unsent::default(),
            to_upstream: Unsent::default(),
            wish: None,
            timer: None,
            grant_end: None,
            expires: None,
            cancelling: None,
            syncing: None,
            leaving: None,
            stuck: None,
            killer: Goodbye::Killed,
        }
    }

    /// Uses an upstream session that stands already.
    pub fn attach(&mut self, mut upstream: M::Upstream, fence: Fence) {
        self.machine.connected(fence, &upstream);
        self.upstream_in = upstream.take_leftover();
        self.upstream = Some(upstream);
    }

    /// The account ends at `expires`, and the session with it.
    pub fn expires(&mut self, expires: Option<Timestamp>) {
        self.expires = expires;
    }

    /// Runs until the session ends. What it does seldom is boxed: an idle session is not to be as large as a connect.
    pub async fn run(mut self: Box<Self>) -> Ended {
        self.recheck();
        let mut ended = self.begin();
        loop {
            if let Some(goodbye) = ended {
                Box::pin(self.close(goodbye)).await;
                return Ended { goodbye, client: self.client, leftover: self.client_in };
            }
            let turn = poll_fn(|cx| self.poll_turn(cx)).await;
            ended = match turn {
                Turn::Wish(stop) => Box::pin(self.fulfil(stop)).await,
                Turn::ClientGone => Some(self.leaving.unwrap_or(Goodbye::Client)),
                Turn::UpstreamGone(reason) => self.lose_upstream(&reason).or_else(|| self.begin()),
                Turn::Violation(error) => self.fatal(&error, Goodbye::Violation),
                Turn::Signal(signal) => self.signalled(signal),
                Turn::Timer => {
                    self.timer = None;
                    self.machine.expire(Instant::now());
                    self.recheck();
                    if self.expires.is_some_and(|end| end <= self.gate.now()) {
                        self.fatal(&ClientError::Expired, Goodbye::Expired)
                    } else if self.is_stuck() {
                        Some(Goodbye::Stuck)
                    } else {
                        self.leaving
                    }
                }
                Turn::Unsafe(error) => {
                    tracing::error!(%error, "the journal cannot be made safe");
                    self.fatal(&ClientError::AuditUnavailable, Goodbye::Violation)
                }
            };
        }
    }

    /// What the client has sent already.
    fn begin(&mut self) -> Option<Goodbye> {
        self.feed_client(&[]).and_then(|turn| self.turned(turn))
    }

    /// Whether the client has kept what was stopped from ending for too long. Asked whenever that is cancelled again.
    fn is_stuck(&mut self) -> bool {
        let stuck = self.to_client.len() > HIGH_WATER && self.machine.unwanted().is_some_and(|rest| rest > LITTLE);
        if !stuck {
            self.stuck = None;
            return false;
        }
        self.stuck.get_or_insert_with(Instant::now).elapsed() >= STUCK
    }

    /// What ends a turn of the client's alone.
    fn turned(&mut self, turn: Turn) -> Option<Goodbye> {
        match turn {
            Turn::Violation(error) => self.fatal(&error, Goodbye::Violation),
            Turn::UpstreamGone(reason) => self.lose_upstream(&reason),
            Turn::Wish(_) | Turn::ClientGone | Turn::Signal(_) | Turn::Timer | Turn::Unsafe(_) => None,
        }
    }

    /// One turn: write, read, let the machine work, until nothing moves.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        loop {
            self.collect();
            if let Some(turn) = self.poll_writes(cx) {
                return Poll::Ready(turn);
            }
            if let Some(stop) = self.wish.take() {
                return Poll::Ready(Turn::Wish(stop));
            }
            if let Poll::Ready(Some(signal)) = self.signals.poll_recv(cx) {
                return Poll::Ready(Turn::Signal(signal));
            }
            if let Some(cancelling) = &mut self.cancelling
                && Pin::new(cancelling).poll(cx).is_ready()
            {
                self.cancelling = None;
                if let Some(turn) = self.feed_client(&[]) {
                    return Poll::Ready(turn);
                }
                continue;
            }
            if let Some(asking) = &mut self.asking
                && let Poll::Ready(answer) = asking.answer.as_mut().poll(cx)
            {
                match self.answered(answer) {
                    Some(turn) => return Poll::Ready(turn),
                    None => continue,
                }
            }
            match self.poll_upstream(cx) {
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(turn)) => return Poll::Ready(turn),
                Poll::Pending => {}
            }
            match self.poll_client(cx) {
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(turn)) => return Poll::Ready(turn),
                Poll::Pending => {}
            }
            self.arm();
            if let Some(timer) = &mut self.timer
                && timer.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Turn::Timer);
            }
            return Poll::Pending;
        }
    }

    /// Takes what the machine has written, and what else it wants.
    fn collect(&mut self) {
        self.to_client.take(self.machine.to_client());
        if self.leaving.is_some() {
            // Nobody reads any more; what runs is finished all the same.
            self.to_client = Unsent::default();
        }
        let sql = !self.machine.to_upstream().is_empty();
        self.to_upstream.take(self.machine.to_upstream());
        if sql && self.gate.durability() == Durability::Disk {
            // A sync under way may have begun before the newest entries: wait for one that has not.
            let journal = self.gate.shared().journal.clone();
            self.syncing = Some(Box::pin(async move { journal.durable().await }));
        }
        // One at a time: the machine asks again while it helps.
        if self.machine.take_cancel()
            && self.cancelling.is_none()
            && let Some(upstream) = &self.upstream
            && let Ok(connector) = self.gate.target().connector()
        {
            let cancel = upstream.cancel(connector);
            // Until it has arrived nothing new is sent: it would hit that instead.
            self.cancelling = Some(tokio::spawn(async move {
                if let Err(error) = cancel.await {
                    tracing::warn!(%error, "a cancel request failed");
                }
            }));
        }
    }

    /// Tells the client what was answered, and goes on with what it has sent meanwhile.
    fn answered(&mut self, answer: Answer) -> Option<Turn> {
        self.asking = None;
        self.machine.answered(&mut self.gate, answer);
        self.feed_client(&[])
    }

    fn poll_writes(&mut self, cx: &mut Context<'_>) -> Option<Turn> {
        if let Some(syncing) = &mut self.syncing {
            match syncing.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => self.syncing = None,
                Poll::Ready(Err(error)) => return Some(Turn::Unsafe(error)),
                Poll::Pending => {}
            }
        }
        if self.syncing.is_none()
            && !self.to_upstream.is_sent()
            && let Some(upstream) = &mut self.upstream
            && let Poll::Ready(Err(error)) = self.to_upstream.poll_write(cx, upstream.stream())
        {
            // What the upstream said before it went is still read.
            tracing::debug!(%error, "writing to the upstream failed");
            self.to_upstream = Unsent::default();
        }
        if !self.to_client.is_sent() {
            let before = self.to_client.len();
            if let Poll::Ready(Err(error)) = self.to_client.poll_write(cx, &mut self.client) {
                tracing::debug!(%error, "writing to the client failed");
                return Some(Turn::ClientGone);
            }
            if self.to_client.len() < before {
                self.stuck = None;
            }
        }
        None
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Turn>> {
        // A server that cannot write hears of no cancel: what is stopped is read on, as little of it is kept.
        let wanted = self.machine.unwanted().is_none_or(|rest| rest > LITTLE);
        if self.to_client.len() > HIGH_WATER && wanted {
            return Poll::Pending;
        }
        if self.upstream.is_none() {
            return Poll::Pending;
        }
        BUFFER.with_borrow_mut(|buffer| {
            let Some(upstream) = &mut self.upstream else { return Poll::Pending };
            let mut read = ReadBuf::new(buffer);
            match ready!(Pin::new(upstream.stream()).poll_read(cx, &mut read)) {
                Ok(()) if read.filled().is_empty() => {
                    Poll::Ready(Err(Turn::UpstreamGone("it closed the connection".into())))
                }
                Ok(()) => Poll::Ready(self.feed_upstream(read.filled())),
                Err(error) => Poll::Ready(Err(Turn::UpstreamGone(error.kind().to_string()))),
            }
        })
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Turn>> {
        let held = self.machine.is_waiting() || self.cancelling.is_some() || self.asking.is_some();
        // Whoever does not read its answers asks nothing more: the proxy has answers of its own, too.
        let full = self.client_in.len() > HIGH_WATER && held || self.to_client.len() > HIGH_WATER;
        if full || self.to_upstream.len() > HIGH_WATER || self.leaving.is_some() {
            return Poll::Pending;
        }
        BUFFER.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            match ready!(Pin::new(&mut self.client).poll_read(cx, &mut read)) {
                Ok(()) if read.filled().is_empty() => Poll::Ready(Err(Turn::ClientGone)),
                Ok(()) => {
                    let filled = read.filled();
                    match self.feed_client(filled) {
                        Some(turn) => Poll::Ready(Err(turn)),
                        None => Poll::Ready(Ok(())),
                    }
                }
                Err(_) => Poll::Ready(Err(Turn::ClientGone)),
            }
        })
    }

    /// Gives the machine the client's bytes; what it does not take is kept.
    fn feed_client(&mut self, bytes: &[u8]) -> Option<Turn> {
        if self.cancelling.is_some() || self.wish.is_some() || self.asking.is_some() {
            self.client_in.extend_from_slice(bytes);
            return None;
        }
        let kept = !self.client_in.is_empty();
        if kept {
            self.client_in.extend_from_slice(bytes);
        }
        let input = if kept { self.client_in.as_slice() } else { bytes };
        let taken = self.machine.client(&mut self.gate, input);
        self.machine.end_turn(&mut self.gate);
        let (taken, stop) = match taken {
            Ok(taken) => taken,
            Err(End::Client(error)) => return Some(Turn::Violation(error)),
            Err(End::Upstream(reason)) => return Some(Turn::UpstreamGone(reason)),
        };
        if kept {
            self.client_in.drain(..taken);
            if self.client_in.is_empty() && self.client_in.capacity() > KEPT {
                self.client_in = Vec::new();
            }
        } else {
            self.client_in.extend_from_slice(bytes.get(taken..).unwrap_or_default());
        }
        match stop {
            Stop::NeedMore | Stop::Hold => {}
            Stop::Ask(questions) => {
                let idle = questions.iter().all(Inband::waits);
                let cancel = Arc::new(Notify::new());
                let answer = Arc::clone(&self.desk).answer(self.gate.asker(), questions, Arc::clone(&cancel));
                self.asking = Some(Asking { answer: Box::pin(answer), cancel, idle });
            }
            Stop::Connect(_) | Stop::Refresh | Stop::Study | Stop::Goodbye | Stop::Relogin => self.wish = Some(stop),
        }
        None
    }

    /// Gives the machine the upstream's bytes, then the client's that waited for them.
    fn feed_upstream(&mut self, bytes: &[u8]) -> Result<(), Turn> {
        let kept = !self.upstream_in.is_empty();
        if kept {
            self.upstream_in.extend_from_slice(bytes);
        }
        let input = if kept { self.upstream_in.as_slice() } else { bytes };
        let taken = match self.machine.upstream(&mut self.gate, input) {
            Ok(taken) => taken,
            Err(End::Client(error)) => return Err(Turn::Violation(error)),
            Err(End::Upstream(reason)) => return Err(Turn::UpstreamGone(reason)),
        };
        if kept {
            self.upstream_in.drain(..taken);
            if self.upstream_in.is_empty() && self.upstream_in.capacity() > KEPT {
                self.upstream_in = Vec::new();
            }
        } else {
            self.upstream_in.extend_from_slice(bytes.get(taken..).unwrap_or_default());
        }
        if self.leaving.is_some() && self.machine.is_answered() {
            return Err(Turn::ClientGone);
        }
        if (!self.client_in.is_empty() || self.machine.has_own_frames())
            && !self.machine.is_waiting()
            && let Some(turn) = self.feed_client(&[])
        {
            return Err(turn);
        }
        Ok(())
    }

    /// Does what the machine cannot do by itself.
    async fn fulfil(&mut self, stop: Stop) -> Option<Goodbye> {
        match stop {
            Stop::Connect(fence) => match M::connect(self.gate.target(), &self.settings, &fence).await {
                Ok(upstream) => self.attach(upstream, fence),
                Err(error) => {
                    let taken = self.machine.unreachable(&mut self.gate, &self.client_in, error);
                    self.client_in.drain(..taken.min(self.client_in.len()));
                }
            },
            Stop::Refresh => {
                let target = Arc::clone(self.gate.target());
                if let Err(error) = target.refresh().await {
                    tracing::warn!(%error, "the catalog could not be read");
                }
            }
            Stop::Study => {
                if let Some(study) = self.gate.study() {
                    self.gate.studied(study.run().await);
                }
            }
            Stop::Goodbye => {
                // A transaction that is open goes with its client, and so do its locks; so does what waits for it.
                if self.machine.is_answered() || self.machine.awaits_client() || self.upstream.is_none() {
                    return Some(Goodbye::Client);
                }
                // What was sent is finished, as the server would.
                self.leaving = Some(Goodbye::Client);
                self.timer = Some(Box::pin(tokio::time::sleep(LINGER)));
                return None;
            }
            Stop::Relogin => return Some(Goodbye::Relogin),
            Stop::NeedMore | Stop::Hold | Stop::Ask(_) => {}
        }
        self.begin()
    }

    fn lose_upstream(&mut self, reason: &str) -> Option<Goodbye> {
        tracing::warn!(target = %self.gate.target().name(), reason, "an upstream session was lost");
        self.upstream = None;
        self.upstream_in = Vec::new();
        self.to_upstream = Unsent::default();
        self.cancelling = None;
        if self.leaving.is_some() {
            return self.leaving;
        }
        let error = ClientError::UpstreamUnavailable {
            target: self.gate.target().name().to_string(),
            reason: "the connection to it was lost".into(),
        };
        match self.machine.lost(&mut self.gate, &error) {
            Loss::Session => self.fatal(&error, Goodbye::Upstream),
            Loss::Upstream => None,
        }
    }

    fn signalled(&mut self, signal: Signal) -> Option<Goodbye> {
        match signal {
            Signal::Cancel => match &self.asking {
                Some(asking) => {
                    asking.cancel.notify_one();
                    None
                }
                None => {
                    self.machine.cancel_requested();
                    None
                }
            },
            Signal::Kill if self.killer == Goodbye::Drained => self.fatal(&ClientError::Draining, Goodbye::Drained),
            Signal::Kill => self.fatal(&ClientError::Killed, Goodbye::Killed),
            Signal::Drain => {
                self.killer = Goodbye::Drained;
                match &self.asking {
                    // A transaction has some time left to end, a wait inside it has not.
                    Some(asking) if !asking.idle || !self.machine.is_idle() => {
                        asking.cancel.notify_one();
                        None
                    }
                    Some(_) => self.fatal(&ClientError::Draining, Goodbye::Drained),
                    None if self.machine.is_idle() => self.fatal(&ClientError::Draining, Goodbye::Drained),
                    None => {
                        self.recheck();
                        None
                    }
                }
            }
            Signal::Recheck => {
                self.recheck();
                None
            }
        }
    }

    fn fatal(&mut self, error: &ClientError, goodbye: Goodbye) -> Option<Goodbye> {
        self.machine.farewell(error);
        self.to_client.take(self.machine.to_client());
        Some(goodbye)
    }

    /// Records what it ends in the middle, sends what is left, as far as that goes at once, and leaves the upstream
    /// properly.
    async fn close(&mut self, goodbye: Goodbye) {
        let busy = !self.machine.is_idle();
        self.machine.abandon(&mut self.gate, goodbye.sqlstate(), goodbye.as_str());
        self.to_client.take(self.machine.to_client());
        let client = poll_fn(|cx| self.to_client.poll_write(cx, &mut self.client));
        let _ = tokio::time::timeout(Duration::from_secs(1), client).await;
        if let Some(mut upstream) = self.upstream.take() {
            if busy {
                // Nobody waits for what runs; the server itself would notice only when it writes.
                if let Ok(connector) = self.gate.target().connector() {
                    let _ = upstream.cancel(connector).await;
                }
            }
            let mut goodbye = Unsent::of(upstream.goodbye());
            let write = poll_fn(|cx| goodbye.poll_write(cx, upstream.stream()));
            let _ = tokio::time::timeout(Duration::from_secs(1), write).await;
        }
    }

    /// Arms the timer for the next thing that may have to end. It stays armed over many statements: one that is over
    /// by then costs nothing more.
    fn arm(&mut self) {
        let next = [self.machine.deadline(), self.grant_end].into_iter().flatten().min();
        let Some(next) = next else { return };
        if self.timer.as_ref().is_none_or(|timer| timer.deadline().into_std() > next) {
            self.timer = Some(Box::pin(sleep_until(next.into())));
        }
    }

    /// Looks at the grants anew.
    fn recheck(&mut self) {
        self.machine.recheck_grants(&mut self.gate);
        for (text, hint) in self.gate.reminders() {
            self.machine.notify(&text, &hint);
        }
        let next = [self.gate.next_change(), self.expires].into_iter().flatten().min();
        self.grant_end = next.map(|at| Instant::now() + self.gate.now().until(at));
    }
}
