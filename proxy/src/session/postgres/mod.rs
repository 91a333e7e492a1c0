//! The Postgres session as a machine: a client's frames and an upstream's frames in, bytes for both sides out, and now
//! and then a wish (connect, fetch the catalog, cancel). No sockets, no waiting: `session::relay` does that.
//!
//! Top-down: [`client`] and [`upstream`] take frames apart by kind; [`query`] and [`extended`] are the two ways a text
//! comes in; [`plan`] decides its statements and follows what they do to the session; [`refuse`] makes a denial look
//! like the server's own; [`own`] is what the proxy asks the upstream by itself; [`rows`] counts and masks; [`errors`]
//! passes the server's errors on, [`pieces`] runs the statements of one text one by one, [`end`] stops statements. [`inband`] answers what is asked of the
//! proxy itself, [`relayed`] is the machine as the relay sees it. [`job`], [`names`], [`pending`], [`outbox`] and [`bound`] are what they work on.

use std::{collections::VecDeque, sync::Arc};

use hallpass_policy::{
    decide::{Allowance, Fence},
    statement::{Refusal, RefusalKind},
};

use super::{machine::End, target::Understanding};
use crate::{
    error::ClientError,
    wire::postgres::{
        backend::TransactionStatus,
        codec::FrameError,
        settings::{self, Encoding},
    },
};

mod bound;
mod client;
mod end;
mod errors;
mod extended;
mod inband;
mod job;
mod names;
mod outbox;
mod own;
mod pending;
mod pieces;
mod plan;
mod query;
mod refuse;
mod relayed;
mod rows;
#[cfg(test)]
mod tests;
mod upstream;

use names::UpstreamNames;
pub use names::{Shape, ShapeColumn};
pub use outbox::Outbox;
use pending::Pending;
use pieces::Pieces;

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        Self::Client(ClientError::ProtocolViolation(error.to_string()))
    }
}

/// What the client's frames wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// An answer to something of the proxy's own.
    Own,
    /// The completion of a bounded write: whether it stays is decided before anything else is sent.
    Bounded,
    /// Everything that was forwarded.
    Drained,
}

/// A Parse that is forwarded but not recorded yet.
#[derive(Debug)]
struct HeldParse {
    of: Arc<Understanding>,
    allowance: Arc<Allowance>,
    /// How many answers were pending before it.
    pending: usize,
}

/// One client's Postgres session.
#[derive(Debug)]
pub struct Machine {
    /// What leaves.
    pub out: Outbox,
    /// What is asked of the proxy itself.
    desk: inband::Desk,
    names: UpstreamNames,
    pending: VecDeque<Pending>,
    /// The upstream's transaction, as its last ReadyForQuery told.
    tx: TransactionStatus,
    connected: bool,
    processes: Processes,
    /// Everything up to the client's next Sync is skipped, as the server does after an error.
    skip: bool,
    /// Extended messages were forwarded since the last Sync.
    batch_open: bool,
    /// The open batch changes names, or what is found by them: nothing that needs names may follow in it.
    batch_ddl: bool,
    /// A view that the open batch reads was changed since it was understood.
    stale_batch: bool,
    held: Option<HeldParse>,
    /// A Query whose statements are run one by one.
    pieces: Option<Pieces>,
    /// The upstream session's fence; `None`: not known.
    fence: Option<Fence>,
    /// The fence could not be set: the statement that needed it is refused with this.
    fence_error: Option<ClientError>,
    wait: Option<Wait>,
    /// A transaction of the proxy's own is open, for the bounded write that comes next.
    wrapped: bool,
    /// The search_path has to be asked for.
    path_dirty: bool,
    /// It was changed in the open transaction: that transaction's end may change it back.
    path_touched: bool,
    /// The session has temporary relations, or may have: it sees names of its own, also outside transactions.
    temporary: bool,
    /// Which names the open transaction has changed: its end may change them back.
    names_touched: Touched,
    /// A SET of client_encoding is under way: what follows it is read in another encoding than we know.
    encoding_moves: bool,
    /// Names changed: the catalog has to be fetched again.
    catalog_dirty: bool,
    /// The catalog's queries whose answers are in, while a private catalog is being fetched.
    private: Vec<pending::Table>,
    /// Everything from the upstream up to ReadyForQuery is dropped: the client has its error.
    swallow: bool,
    /// The client believes its transaction failed; the upstream has to agree before the client goes on.
    must_abort: bool,
    /// The client is in the middle of COPY … FROM STDIN.
    copying: bool,
    /// The upstream should cancel what it runs.
    cancel: bool,
    /// The open transaction was ended by the proxy; the client hears why at its next statement.
    aborted: Option<ClientError>,
    /// The open transaction has run something under this allowance.
    tx_allowances: Vec<Arc<Allowance>>,
    /// One of them has ended: nothing of the open transaction may be kept.
    doomed: Option<ClientError>,
    /// Bytes of a large frame that still go through as they come.
    upstream_rest: usize,
    client_rest: ClientRest,
    /// The session holds state that a new upstream session would not have.
    stateful: bool,
    /// Parameters of the upstream that the client was told.
    told: Vec<(String, String)>,
}

/// Which names a transaction has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    /// None.
    Nothing,
    /// Those that only its session sees.
    Temporary,
    /// Those that everybody will see.
    Public,
}

/// A large frame of the client's, of which a part is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientRest {
    /// None.
    None,
    /// So many bytes go through.
    Forward(usize),
    /// So many bytes are dropped.
    Drop(usize),
}

/// The numbers by which the session goes: a client finds itself in what it notifies itself of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processes {
    /// What the client was told in BackendKeyData.
    pub client: i32,
    /// The upstream's; none before there is one.
    pub upstream: Option<i32>,
}

impl Machine {
    /// A session that has just logged in and was told `parameters`, and `process` as its number.
    pub fn new(parameters: Vec<(String, String)>, process: i32) -> Self {
        Self {
            out: Outbox::default(),
            desk: inband::Desk::default(),
            names: UpstreamNames::default(),
            pending: VecDeque::new(),
            tx: TransactionStatus::Idle,
            connected: false,
            processes: Processes { client: process, upstream: None },
            skip: false,
            batch_open: false,
            batch_ddl: false,
            stale_batch: false,
            held: None,
            pieces: None,
            fence: None,
            fence_error: None,
            wait: None,
            wrapped: false,
            path_dirty: false,
            path_touched: false,
            temporary: false,
            names_touched: Touched::Nothing,
            encoding_moves: false,
            catalog_dirty: false,
            private: Vec::new(),
            swallow: false,
            must_abort: false,
            copying: false,
            cancel: false,
            aborted: None,
            tx_allowances: Vec::new(),
            doomed: None,
            upstream_rest: 0,
            client_rest: ClientRest::None,
            stateful: false,
            told: parameters,
        }
    }

    /// An upstream session stands, logged in under `fence`, and reported `parameters`. The client is told those that
    /// differ from what it was told before.
    pub fn connected(&mut self, fence: Fence, parameters: &[(String, String)], process: i32) {
        self.connected = true;
        self.processes.upstream = Some(process);
        self.fence = Some(fence);
        self.tx = TransactionStatus::Idle;
        for (name, value) in parameters {
            self.report_parameter(name, value);
        }
    }

    /// Whether the upstream owes nothing and the client is in no transaction: a good moment to leave.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.tx == TransactionStatus::Idle && !self.batch_open
    }

    /// Whether the upstream owes no answer.
    pub fn is_answered(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether the end of the open transaction may change what names mean.
    fn is_unsettled(&self) -> bool {
        self.path_touched || self.names_touched != Touched::Nothing
    }

    /// Refuses a text whose bytes the server may read as other characters than we do.
    fn readable(&self, text: &[u8]) -> Result<(), ClientError> {
        let told = self.told.iter().find(|(name, _)| name == "client_encoding");
        let utf8 = told.is_none_or(|(_, encoding)| settings::encoding(encoding) == Some(Encoding::Utf8));
        if (utf8 && !self.encoding_moves) || text.is_ascii() {
            return Ok(());
        }
        let refusal = Refusal::new(
            RefusalKind::Unsupported,
            "a statement with other than ASCII characters needs client_encoding UTF8",
        )
        .hint("SET client_encoding = 'UTF8', by itself, before it");
        Err(ClientError::Refused(refusal))
    }
}
