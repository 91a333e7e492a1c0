//! What the two protocols' machines have in common, as the relay and the gate see them: bytes of both sides in, bytes
//! for both sides out, and now and then a wish. Knows no wire format.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hallpass_policy::{decide::Fence, statement::inband::Inband};

use super::{
    gate::Gate,
    inband::Answer,
    target::Target,
    upstream::connector::{Connector, UpstreamError},
};
use crate::{error::ClientError, net::stream::Stream, wire::malformed::Malformed};

/// Why the machine stopped taking a client's frames. The frame at which it stopped is not consumed: it comes again.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// All whole frames are taken.
    NeedMore,
    /// The upstream has to answer first.
    Hold,
    /// An upstream session is needed, with this fence.
    Connect(Fence),
    /// The catalog has to be fetched again.
    Refresh,
    /// The gate has a long text to study.
    Study,
    /// The client said goodbye.
    Goodbye,
    /// The proxy itself is asked this; the frame is consumed, and nothing else is taken before the answer.
    Ask(Vec<Inband>),
    /// The client wants to be somebody else: the session ends, and its connection begins another with a new login.
    Relogin,
}

/// Why a session ends.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The client broke the protocol; it is told.
    Client(ClientError),
    /// The upstream broke the protocol, or sent what no plan covers: nothing more of it reaches the client.
    Upstream(String),
}

impl From<Malformed> for End {
    fn from(error: Malformed) -> Self {
        Self::Client(ClientError::ProtocolViolation(error.to_string()))
    }
}

/// After how long a cancel request is sent again for the first time, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A request to cancel what an upstream runs. It is sent again, with growing pauses, as long as that goes on: one that
/// comes before the statement, or between two messages of a batch, hits nothing, and no server says so.
#[derive(Clone, Copy, Debug)]
pub struct Cancelling {
    again: Instant,
    pause: Duration,
}

impl Cancelling {
    /// Sent for the first time.
    pub fn begun() -> Self {
        Self { again: Instant::now() + PAUSES.0, pause: PAUSES.0 }
    }

    /// When it is to be sent again.
    pub fn again(&self) -> Instant {
        self.again
    }

    /// Says whether it is to be sent again now, and takes it as sent then.
    pub fn repeat(&mut self, now: Instant) -> bool {
        let due = self.again <= now;
        if due {
            self.pause = (self.pause * 2).min(PAUSES.1);
            self.again = now + self.pause;
        }
        due
    }
}

/// What is lost with an upstream session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Only that: the next statement connects anew.
    Upstream,
    /// The client's session, too: it held state that is gone.
    Session,
}

/// An upstream session as the relay uses it.
pub trait Upstream: Send {
    /// The connection.
    fn stream(&mut self) -> &mut Stream;

    /// Bytes that were read behind the login and not looked at; usually none.
    fn take_leftover(&mut self) -> Vec<u8>;

    /// Cancels what runs in this session, over another connection; over when the server has been told.
    ///
    /// # Errors
    /// When the server cannot be reached; nothing was cancelled then.
    fn cancel(&self, connector: Arc<Connector>) -> impl Future<Output = Result<(), UpstreamError>> + Send + 'static;

    /// The message that ends it properly.
    fn goodbye(&self) -> Vec<u8>;
}

/// A protocol's session as a machine. Sockets and waiting are the relay's.
pub trait Machine: Sized + Send {
    /// What the client's login asked for; repeated to every upstream session.
    type Settings: Send + Sync;
    /// An upstream session.
    type Upstream: Upstream;

    /// Opens an upstream session with the client's own settings, behind `fence` as far as a login can set it.
    ///
    /// # Errors
    /// [`ClientError::UpstreamUnavailable`].
    fn connect(
        target: &Target,
        settings: &Self::Settings,
        fence: &Fence,
    ) -> impl Future<Output = Result<Self::Upstream, ClientError>> + Send;

    /// An upstream session stands, logged in under `fence`.
    fn connected(&mut self, fence: Fence, upstream: &Self::Upstream);

    /// Takes whole frames from the start of `input` and says how many bytes they were and why it stopped.
    ///
    /// # Errors
    /// When the client breaks the protocol: the session ends.
    fn client(&mut self, gate: &mut Gate, input: &[u8]) -> Result<(usize, Stop), End>;

    /// Takes whole frames from the start of the upstream's `input` and says how many bytes they were.
    ///
    /// # Errors
    /// When the upstream says what we cannot follow: the session ends.
    fn upstream(&mut self, gate: &mut Gate, input: &[u8]) -> Result<usize, End>;

    /// The answer to what the proxy itself was asked.
    fn answered(&mut self, gate: &mut Gate, answer: Answer);

    /// Ends a turn of the client's: what was held is recorded. The upstream's bytes may leave after this.
    fn end_turn(&mut self, gate: &mut Gate);

    /// Bytes for the client.
    fn to_client(&mut self) -> &mut Vec<u8>;

    /// Bytes for the upstream: everything in here is permitted and recorded.
    fn to_upstream(&mut self) -> &mut Vec<u8>;

    /// Whether the upstream owes nothing and the client is in no transaction: a good moment to leave.
    fn is_idle(&self) -> bool;

    /// Whether the upstream has answered everything that runs there; a transaction may be open.
    fn is_answered(&self) -> bool;

    /// Whether what runs waits for the client: it takes a file of the client's.
    fn awaits_client(&self) -> bool;

    /// Whether frames of the client's wait for the upstream.
    fn is_waiting(&self) -> bool;

    /// Whether it goes on with frames that it took before, once it waits no more: it wants its turn without new ones.
    fn has_own_frames(&self) -> bool;

    /// Where what runs was stopped: how many bytes of a row are still to go through. All that follows is dropped.
    fn unwanted(&self) -> Option<usize>;

    /// Whether the upstream should cancel what it runs now; says so once for each request.
    fn take_cancel(&mut self) -> bool;

    /// When what runs has to be over.
    fn deadline(&self) -> Option<Instant>;

    /// Stops what should have been over by `now`.
    fn expire(&mut self, now: Instant);

    /// Stops what runs under grants that have ended.
    fn recheck_grants(&mut self, gate: &mut Gate);

    /// Tells the client something between its statements' answers, or with the next of them.
    fn notify(&mut self, text: &str, hint: &str);

    /// The client asked, over another connection, to cancel what runs now: the server's own error tells.
    fn cancel_requested(&mut self);

    /// No upstream session could be opened for the frame at the start of `input`: it is refused. Says how many bytes
    /// of it were taken.
    fn unreachable(&mut self, gate: &mut Gate, input: &[u8], error: ClientError) -> usize;

    /// The upstream session is lost. Says whether the client's session can go on without it.
    fn lost(&mut self, gate: &mut Gate, error: &ClientError) -> Loss;

    /// The session ends in the middle of whatever it is: what is recorded and not over gets its outcome, with this
    /// SQLSTATE and reason where it has no error of its own.
    fn abandon(&mut self, gate: &mut Gate, sqlstate: &str, reason: &str);

    /// Writes the error that ends the client's session.
    fn farewell(&mut self, error: &ClientError);
}
