//! The MySQL session as a machine: a client's packets and an upstream's packets in, bytes for both sides out, and now and
//! then a wish (connect, fetch the catalog, cancel). No sockets, no waiting: `session::relay` does that. The twin of
//! `session::postgres`; simpler in one thing: a client's next command waits until the last one is answered, as it does
//! on the server.
//!
//! Top-down: [`client`] and [`upstream`] take packets apart by kind; [`query`] and [`prepared`] are the two ways a text
//! comes in; [`plan`] decides its statements and follows what they do to the session; [`refuse`] tells denials; [`own`]
//! is what the proxy asks the upstream by itself, [`views`] what it asks about names; [`results`] follows a recorded text's answer, [`rows`] counts and
//! masks; [`temporary`] knows temporary tables; [`pieces`] runs the statements of one text one by one; [`end`] stops statements; [`warnings`] keeps what SHOW WARNINGS may say. [`relayed`] is the machine as the relay
//! sees it. [`job`], [`names`], [`pending`], [`outbox`] and [`bound`] are what they work on.

use std::sync::Arc;

use hallpass_policy::decide::{Allowance, Fence};

use super::{
    machine::End,
    upstream::mysql::{Connection, Facts},
};
use crate::{
    error::ClientError,
    wire::mysql::{
        backend::Status,
        capability::Capabilities,
        charset::Charset,
        codec::{Order, Sequence},
    },
};

mod bound;
mod client;
mod end;
mod inband;
mod job;
mod names;
mod outbox;
mod own;
mod pending;
mod pieces;
mod plan;
mod prepared;
mod query;
mod refuse;
mod relayed;
mod results;
mod rows;
mod temporary;
#[cfg(test)]
mod tests;
mod upstream;
mod views;
mod warnings;

pub use names::LongData;
use names::Statements;
use outbox::Outbox;
use pending::Pending;
use pieces::Pieces;
use temporary::Temporaries;
use views::Names;
use warnings::Warnings;

/// What a client's login agreed on; repeated to every upstream session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// What both sides can do.
    pub capabilities: Capabilities,
    /// The collation's number, of the handshake.
    pub collation: u16,
    /// The schema to start in.
    pub database: Option<Arc<str>>,
    /// Connection attributes.
    pub attributes: Vec<(String, String)>,
    /// The connection's number, as the greeting told it.
    pub connection: u32,
    /// Whether sequence ids are checked.
    pub order: Order,
}

/// A transaction of the proxy's own around a bounded write, so that it can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrap {
    /// START TRANSACTION: the client has none open.
    Transaction,
    /// SAVEPOINT: it has.
    Savepoint,
}

/// One client's MySQL session.
#[derive(Debug)]
pub struct Machine {
    out: Outbox,
    /// What is asked of the proxy itself.
    desk: inband::Desk,
    login: Arc<Login>,
    statements: Statements,
    /// A COM_QUERY whose statements are run one by one.
    pieces: Option<Pieces>,
    /// What the upstream owes; a client's next command waits for it.
    pending: Option<Pending>,
    /// The upstream's state, as its last OK or EOF told.
    status: Status,
    /// An error may have ended the transaction: whether one is open has to be asked.
    status_stale: bool,
    connected: bool,
    /// The upstream session's fence; `None`: not known.
    fence: Option<Fence>,
    /// Something that had to be set before a statement could not be: the statement is refused with this.
    own_error: Option<ClientError>,
    /// Database, sql_mode and character sets have to be asked for.
    settings_dirty: bool,
    /// What SET is about to read from variables, once asked.
    values: Option<own::Values>,
    /// What is known of the views and tables that texts read.
    names: Names,
    /// The transaction around the bounded write that comes next.
    wrapped: Option<Wrap>,
    /// What the client's texts are written in.
    charset: Charset,
    /// What the upstream session is set to, until the gate has heard of it.
    facts: Option<Facts>,
    /// Names changed: the catalog has to be fetched again.
    catalog_dirty: bool,
    /// The client sends a file; the sequence of its packets.
    file: Option<Sequence>,
    /// The next packet of the file continues the last one.
    file_continues: bool,
    /// The upstream should cancel what it runs.
    cancel: bool,
    /// Grants changed while something ran: looked at again when it is over.
    recheck: bool,
    /// The open transaction was ended by the proxy; the client hears why at its next statement.
    aborted: Option<ClientError>,
    /// The open transaction ran something under this allowance.
    tx_allowances: Vec<Arc<Allowance>>,
    /// The sequence id of the next packet for the client.
    next: u8,
    /// Bytes of a large packet that still go through as they come.
    upstream_rest: usize,
    /// The next packet continues a row.
    row_continues: bool,
    /// The client has half a packet, and its upstream is gone: nothing can be said any more.
    torn: bool,
    /// The session holds state that a new upstream session would not have.
    stateful: bool,
    temporaries: Temporaries,
    warnings: Warnings,
}

impl Machine {
    /// A session that has just logged in.
    pub fn new(login: Arc<Login>) -> Self {
        Self {
            out: Outbox::default(),
            desk: inband::Desk::default(),
            // Login has refused those that cannot be followed.
            charset: Charset::of(login.collation).unwrap_or(Charset::Utf8mb4),
            facts: None,
            login,
            statements: Statements::default(),
            pieces: None,
            pending: None,
            status: Status::AUTOCOMMIT,
            status_stale: false,
            connected: false,
            fence: None,
            own_error: None,
            settings_dirty: false,
            values: None,
            names: Names::default(),
            wrapped: None,
            catalog_dirty: false,
            file: None,
            file_continues: false,
            cancel: false,
            recheck: false,
            aborted: None,
            tx_allowances: Vec::new(),
            next: 1,
            upstream_rest: 0,
            row_continues: false,
            torn: false,
            stateful: false,
            temporaries: Temporaries::default(),
            warnings: Warnings::default(),
        }
    }

    /// What both sides of the session can do.
    fn held(&self) -> Capabilities {
        self.login.capabilities
    }

    fn in_transaction(&self) -> bool {
        self.status.has(Status::IN_TRANSACTION)
    }

    /// An upstream session stands, without a fence: that is set before the first statement that needs it.
    fn stands(&mut self, upstream: &Connection) {
        self.connected = true;
        self.fence = Some(Fence { read_only: false, upstream_role: None });
        self.facts = Some(upstream.facts.clone());
        self.settings_dirty = false;
        self.status = upstream.status;
        self.status_stale = false;
    }
}

/// The upstream's malformed packet, not the client's.
fn theirs(error: impl std::fmt::Display) -> End {
    End::Upstream(error.to_string())
}
