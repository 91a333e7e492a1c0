//! What the upstream still owes, in order: every message that was forwarded and is answered has its entry here.

use std::sync::{Arc, OnceLock};

use hallpass_policy::decide::Allowance;

use super::{
    End,
    job::Job,
    names::{Shape, Undo},
    upstream::{described, theirs},
};
use crate::{
    error::ClientError,
    session::target::ViewRevision,
    wire::postgres::{
        backend::tag,
        codec::{Body, Frame},
    },
};

/// What becomes of the server's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errors {
    /// They go on as they are.
    Pass,
    /// A masked column takes part: only their kind does.
    Scrub,
}

impl Errors {
    /// Of a statement that runs under `allowance`.
    pub(super) fn of(allowance: &Allowance) -> Self {
        if allowance.scrub { Self::Scrub } else { Self::Pass }
    }
}

/// One answer to come.
#[derive(Debug)]
pub(super) enum Pending {
    /// ParseComplete.
    Parse(Undo, Errors),
    /// BindComplete.
    Bind(Undo, Errors),
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

impl Pending {
    /// For the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Parse(..) => "Parse",
            Self::Bind(..) => "Bind",
            Self::Describe(_) => "Describe",
            Self::Close(_) => "Close",
            Self::Execute(_) => "Execute",
            Self::Query(_) => "Query",
            Self::Sync => "Sync",
            Self::CopyEnd => "the end of a copy",
            Self::Local { .. } => "an answer of the proxy's own",
            Self::Substitute { .. } => "a denial",
            Self::Own(_) => "a question of the proxy's own",
        }
    }
}

/// What the proxy asked on its own.
#[derive(Debug)]
pub(super) enum Own {
    /// Describe of a prepared statement: ParameterDescription, then RowDescription or NoData.
    Shape(Arc<OnceLock<Shape>>),
    /// What decides which names are seen, as a Query.
    Sight {
        /// The search_path.
        path: Option<Arc<str>>,
        /// The session has a schema for temporary relations; whether it holds any is another question.
        temporary: bool,
    },
    /// The revisions of the views that the next statement reads, as a Query.
    Views {
        /// What they were when it was understood.
        expected: Box<[ViewRevision]>,
        /// What they are.
        seen: Vec<(u32, String)>,
    },
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
    /// One of the catalog's queries, as a Query; which.
    Catalog(usize),
    /// The search_path emptied before them, or a transaction begun, as a Query.
    Path,
    /// The search_path set back after them, or that transaction ended, as a Query.
    CatalogDone {
        /// The generation of the target's names when they were asked.
        since: u64,
    },
}

impl Own {
    /// Takes one frame of the answer; true when it was the last one before ReadyForQuery, or the last one at all.
    pub(super) fn answer(&mut self, frame: Frame<'_>, private: &mut [Table]) -> Result<bool, End> {
        match self {
            Self::Shape(slot) => described(Some(slot.as_ref()), frame),
            Self::Sight { path, temporary } => {
                if frame.tag == tag::DATA_ROW
                    && let [Some(setting), schema] = text_row(frame.body)?.as_slice()
                {
                    *path = Some(Arc::from(setting.as_str()));
                    *temporary = schema.as_deref() != Some("0");
                }
                Ok(false)
            }
            Self::Views { seen, .. } => {
                if frame.tag == tag::DATA_ROW
                    && let [Some(oid), Some(revision)] = text_row(frame.body)?.as_slice()
                    && let Ok(oid) = oid.parse()
                {
                    seen.push((oid, revision.clone()));
                }
                Ok(false)
            }
            Self::Catalog(index) => {
                if frame.tag == tag::DATA_ROW
                    && let Some(table) = private.get_mut(*index)
                {
                    table.push(text_row(frame.body)?);
                }
                Ok(false)
            }
            Self::Path
            | Self::CatalogDone { .. }
            | Self::Fence { .. }
            | Self::Begin
            | Self::Commit(_)
            | Self::Rollback
            | Self::Abort
            | Self::AbortQuietly => Ok(false),
            // Its error is handled where errors are; nothing else can answer it.
            Self::AbortBatch => Err(End::Upstream("a statement that must fail did not".into())),
        }
    }
}

impl Pending {
    /// Whether the upstream says when it is over with this, before it goes on. It answers Parse, Bind and even Execute
    /// when its buffer is full, or at the end of the batch.
    pub(super) fn is_answered_at_once(&self) -> bool {
        match self {
            Self::Query(_) | Self::Sync | Self::Substitute { .. } => true,
            Self::Own(own) => !matches!(own, Own::Shape(_)),
            Self::Execute(_)
            | Self::Parse(..)
            | Self::Bind(..)
            | Self::Describe(_)
            | Self::Close(_)
            | Self::CopyEnd
            | Self::Local { .. } => false,
        }
    }

    /// Whether it is the Bind of the portal called `name`.
    pub(super) fn binds(&self, name: &[u8]) -> bool {
        matches!(self, Self::Bind(Undo::Portal(bound, _), _) if **bound == *name)
    }

    /// The job, while it is not over.
    pub(super) fn job(&self) -> Option<&Job> {
        match self {
            Self::Query(job) | Self::Execute(job) => Some(&**job).filter(|job| !job.finished),
            Self::Parse(..)
            | Self::Bind(..)
            | Self::Describe(_)
            | Self::Close(_)
            | Self::Sync
            | Self::CopyEnd
            | Self::Local { .. }
            | Self::Substitute { .. }
            | Self::Own(_) => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn job_mut(&mut self) -> Option<&mut Job> {
        match self {
            Self::Query(job) | Self::Execute(job) => Some(&mut **job).filter(|job| !job.finished),
            Self::Parse(..)
            | Self::Bind(..)
            | Self::Describe(_)
            | Self::Close(_)
            | Self::Sync
            | Self::CopyEnd
            | Self::Local { .. }
            | Self::Substitute { .. }
            | Self::Own(_) => None,
        }
    }
}

/// A DataRow in text format.
fn text_row(body: &[u8]) -> Result<Vec<Option<String>>, End> {
    let mut row = Body::new("DataRow", body);
    let count = row.count().map_err(theirs)?;
    (0..count)
        .map(|_| {
            let value = row.value().map_err(theirs)?;
            Ok(value.map(|value| String::from_utf8_lossy(value).into_owned()))
        })
        .collect()
}

/// Rows of text.
pub(super) type Table = Vec<Vec<Option<String>>>;
