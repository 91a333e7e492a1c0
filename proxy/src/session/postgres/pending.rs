//! What the upstream still owes, in order: every message that was forwarded and is answered has its entry here.

use std::sync::{Arc, OnceLock};

use super::{
    job::Job,
    names::{Shape, Undo},
};
use crate::error::ClientError;

/// One answer to come.
#[derive(Debug)]
pub(super) enum Pending {
    /// ParseComplete.
    Parse(Undo),
    /// BindComplete.
    Bind(Undo),
    /// ParameterDescription (statements only), then RowDescription or NoData.
    Describe(Option<Arc<OnceLock<Shape>>>),
    /// CloseComplete.
    Close(Undo),
    /// Rows and a completion.
    Execute(Box<Job>),
    /// Rows and completions of all its statements, then ReadyForQuery.
    Query(Box<Job>),
    /// ReadyForQuery.
    Sync,
    /// CopyDone or CopyFail: answered by nothing; tells which Syncs the server reads as part of the copy.
    CopyEnd,
    /// An answer of ours that waits for its turn; then, for a Query or Sync, our ReadyForQuery.
    Local {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether ReadyForQuery follows.
        ready: bool,
    },
    /// A statement that fails in place of a denied one: its error becomes this one.
    Substitute {
        /// The denial.
        error: ClientError,
        /// A Query, so that ReadyForQuery follows; else a Parse.
        simple: bool,
    },
    /// A message of the proxy's own; the client sees nothing of the answer.
    Own(Own),
}

/// What the proxy asked on its own.
#[derive(Debug)]
pub(super) enum Own {
    /// Describe of a prepared statement: ParameterDescription, then RowDescription or NoData.
    Shape(Arc<OnceLock<Shape>>),
    /// SHOW search_path, as a Query.
    SearchPath,
    /// The read-only fence or the role, as a Query; what the fence is then.
    Fence {
        /// Read-only.
        read_only: bool,
        /// The role.
        role: Option<Arc<str>>,
    },
    /// BEGIN around a bounded write, as a Query.
    Begin,
    /// COMMIT of a bounded write, as a Query; holds the completion the client gets if it succeeds.
    Commit(Vec<u8>),
    /// ROLLBACK of a bounded write, as a Query; the client has its error.
    Rollback,
    /// A Query that fails, so that the transaction the client thinks failed has failed; its ReadyForQuery goes on.
    Abort,
    /// A Query that fails while the client is idle: nothing of it goes on.
    AbortQuietly,
    /// A Parse that fails, so that the rest of the batch is skipped; the client has its error.
    AbortBatch,
    /// One of the catalog's queries, as a Query.
    Catalog,
}
