//! One statement of a recorded text on its way through an upstream: which it is, how it may run, what it has shown so
//! far. Counts and remembers; forwards nothing.

use std::sync::Arc;

use hallpass_policy::{
    catalog::QualifiedName,
    decide::{Allowance, Authority, Fence},
    statement::{Action, Effect, Object, Outputs, Refusal, RefusalKind, Statement, inner},
};

use super::{gate::Gate, target::Understanding};
use crate::error::ClientError;

/// Which statement of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The statement at this index itself.
    Whole(usize),
    /// What the PREPARE or DECLARE at this index holds.
    Inner(usize),
}

impl Part {
    /// The statement meant.
    pub fn of(self, understanding: &Understanding) -> Option<&Statement> {
        match self {
            Self::Whole(index) => understanding.understood.statements.get(index),
            Self::Inner(index) => inner(understanding.understood.statements.get(index)?),
        }
    }

    /// A number for decision caches: differs between all parts of one text.
    pub fn key(self) -> usize {
        match self {
            Self::Whole(index) => index * 2,
            Self::Inner(index) => index * 2 + 1,
        }
    }
}

/// The statement that rows come from.
pub type RowsOf = (Arc<Understanding>, Part);

/// One statement of a job. `B` is what becomes of its rows, `U` how to take back what was noted when it was forwarded.
#[derive(Debug)]
pub struct Run<B, U> {
    /// The text it stands in.
    pub of: Arc<Understanding>,
    /// Where.
    pub index: usize,
    /// What its rows come from: itself, or what EXECUTE and FETCH name.
    pub rows_of: RowsOf,
    /// How it may run.
    pub allowance: Arc<Allowance>,
    /// What becomes of its rows, once their columns are known.
    pub bound: Option<Arc<B>>,
    /// Rows so far.
    pub rows: u64,
    /// Bytes of row data so far.
    pub bytes: u64,
    /// How to take back what was noted when it was forwarded.
    pub undo: Vec<U>,
}

impl<B, U> Run<B, U> {
    /// A run that has shown nothing yet.
    pub fn new(of: &Arc<Understanding>, index: usize, rows_of: RowsOf, allowance: Arc<Allowance>) -> Self {
        Self { of: Arc::clone(of), index, rows_of, allowance, bound: None, rows: 0, bytes: 0, undo: Vec::new() }
    }

    /// The statement itself.
    pub fn statement(&self) -> Option<&Statement> {
        self.of.understood.statements.get(self.index)
    }

    /// What its rows are.
    pub fn outputs(&self) -> &Outputs {
        let (of, part) = &self.rows_of;
        part.of(of).map_or(&Outputs::None, |statement| &statement.outputs)
    }

    /// Whether a row of so many bytes may still be shown.
    pub fn has_room(&self, bytes: usize) -> bool {
        let limits = &self.allowance.limits;
        let bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        limits.max_rows.is_none_or(|max| self.rows < max) && limits.max_result_bytes.is_none_or(|max| bytes <= max)
    }

    /// Whether it changes names.
    pub fn changes_catalog(&self) -> bool {
        matches!(self.statement().map(|s| &s.effect), Some(Effect::ChangesCatalog))
    }

    /// The most rows it may change, if it is a write with such a bound.
    pub fn write_bound(&self) -> Option<u64> {
        let bound = self.allowance.limits.max_rows_affected?;
        let (of, part) = &self.rows_of;
        let statement = part.of(of)?;
        // `BEGIN READ WRITE` and NOTIFY need the right to write, and change no rows.
        let rows = |object: &Object| !matches!(object, Object::Session(_));
        let writes = statement.needs.iter().any(|need| is_write(need.action) && rows(&need.object));
        (writes && !statement.explain).then_some(bound)
    }

    /// What it writes to, as its rights name it.
    pub fn writes(&self) -> impl Iterator<Item = &QualifiedName> {
        let (of, part) = &self.rows_of;
        let needs = part.of(of).into_iter().flat_map(|statement| &statement.needs);
        needs.filter(|need| is_write(need.action)).filter_map(|need| match &need.object {
            Object::Relation(name) => Some(name),
            Object::Catalog(_) | Object::Listing(_) | Object::Function(_) | Object::Session(_) => None,
        })
    }

    /// The error for the client when the statement has shown more than its grant allows.
    pub fn over(&self) -> Option<ClientError> {
        let limits = &self.allowance.limits;
        let (what, max) = match (limits.max_rows, limits.max_result_bytes) {
            (Some(max), _) if self.rows > max => ("max_rows", format!("{max} rows")),
            (_, Some(max)) if self.bytes > max => ("max_result_bytes", format!("{max} bytes")),
            _ => return None,
        };
        Some(ClientError::LimitExceeded {
            message: format!("the result is larger than {what} of this grant allows ({max})"),
            hint: "add a LIMIT, or ask for a role or a statement grant with export".into(),
            sqlstate: "54000",
        })
    }

    /// The error for the client when the write has changed more rows than its grant allows: what is taken back is said.
    pub fn too_wide(&self, rows: u64, bound: u64, transaction: Around) -> ClientError {
        let several = self.of.understood.statements.len() > 1;
        let undone = if several { "all of its message is rolled back" } else { "it is rolled back" };
        let (then, first) = match transaction {
            Around::None => ("", ""),
            Around::GoesOn => (", and the transaction goes on", ""),
            Around::Fails => (", and the transaction has failed", "send ROLLBACK; then "),
        };
        ClientError::LimitExceeded {
            message: format!(
                "the statement changed {rows} rows, more than max_rows_affected of this grant allows ({bound}): \
                 {undone}{then}"
            ),
            hint: format!("{first}narrow the statement's WHERE, or ask for a role that allows more"),
            sqlstate: "54000",
        }
    }
}

/// What becomes of the client's transaction when a write in it changed too many rows: the same as after any error of
/// the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// There is none.
    None,
    /// It goes on without the write: MySQL.
    GoesOn,
    /// It has failed: Postgres.
    Fails,
}

fn is_write(action: Action) -> bool {
    matches!(action, Action::Insert | Action::Update | Action::Delete | Action::CopyIn)
}

/// Refuses what cannot stand in a text that is run statement by statement.
pub fn not_here(what: &str) -> ClientError {
    let message = format!("{what} cannot share a message with statements that change names");
    ClientError::Refused(Refusal::new(RefusalKind::Unsupported, message).hint("send it by itself"))
}

/// The allowance that the text's record names: that of the first statement that runs on a grant.
pub fn most_telling<B, U>(runs: &[Run<B, U>]) -> Option<Arc<Allowance>> {
    let granted = runs.iter().find(|run| matches!(run.allowance.authority, Authority::Grant(_)));
    granted.or_else(|| runs.first()).map(|run| Arc::clone(&run.allowance))
}

/// The fence that `runs` need; statements that need nothing leave the role as it is.
///
/// # Errors
/// When they need different roles: one message has one.
pub fn wanted_fence<B, U>(gate: &Gate, standing: Option<&Fence>, runs: &[Run<B, U>]) -> Result<Fence, ClientError> {
    let mut role = None;
    for run in runs {
        if run.statement().is_some_and(|statement| statement.needs.is_empty()) {
            continue;
        }
        let wanted = &run.allowance.fence.upstream_role;
        if role.is_some_and(|role| role != wanted) {
            return Err(ClientError::Refused(
                Refusal::new(
                    RefusalKind::Unsupported,
                    "statements of roles with different upstream roles in one message",
                )
                .hint("send them one by one"),
            ));
        }
        role = Some(wanted);
    }
    let standing = standing.and_then(|fence| fence.upstream_role.clone());
    Ok(Fence { read_only: !gate.may_write(), upstream_role: role.cloned().unwrap_or(standing) })
}
