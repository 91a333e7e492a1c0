//! What the proxy asks an upstream session by itself, between a client's messages: the fence, the search_path, the
//! names inside an open transaction. The client sees nothing of it.

use std::sync::Arc;

use hallpass_policy::{
    decide::{Allowance, Fence},
    statement::Effect,
};

use super::{
    End, Machine, Touched, Wait,
    job::Run,
    outbox::OwnSql,
    pending::{Own, Pending},
};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, changed, session_denial},
        machine::Stop,
        target::{Understanding, ViewRevision},
    },
    wire::postgres::backend::TransactionStatus,
};

/// Whether something can go on now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// Yes.
    Yes,
    /// Not before this.
    NotYet(Stop),
}

impl Machine {
    /// Whether the names in force are known, so that SQL can be understood. Asks for what is not.
    pub(super) fn ready_for_sql(&mut self, gate: &mut Gate) -> Result<Ready, End> {
        let idle = self.tx == TransactionStatus::Idle;
        if self.doomed.is_some() && !self.batch_open && !self.pending.is_empty() {
            // The transaction is about to fail: what comes next finds it so.
            self.wait = Some(Wait::Drained);
            return Ok(Ready::NotYet(Stop::Hold));
        }
        // In a transaction that has changed names the proxy's own connection could wait for that very transaction.
        let changed = gate.target().is_changed() && (idle || !gate.has_private());
        if self.batch_open || !(self.path_dirty || self.catalog_dirty || changed || gate.is_private_stale()) {
            return Ok(Ready::Yes);
        }
        if changed && !self.path_dirty && !self.catalog_dirty {
            return Ok(Ready::NotYet(Stop::Refresh));
        }
        if !self.pending.is_empty() {
            self.wait = Some(Wait::Drained);
            return Ok(Ready::NotYet(Stop::Hold));
        }
        if self.tx == TransactionStatus::Failed || !self.connected {
            // Nothing but the end of the transaction will be taken; that is when names are asked for again.
            return Ok(Ready::Yes);
        }
        if self.path_dirty {
            self.out.own_query(&OwnSql::Sight);
            self.pending.push_back(Pending::Own(Own::Sight { path: None, temporary: false }));
            self.wait = Some(Wait::Own);
            return Ok(Ready::NotYet(Stop::Hold));
        }
        if idle && !self.temporary {
            self.catalog_dirty = false;
            gate.forget_private();
            return Ok(Ready::NotYet(Stop::Refresh));
        }
        if changed {
            return Ok(Ready::NotYet(Stop::Refresh));
        }
        self.fetch_private(gate);
        Ok(Ready::NotYet(Stop::Hold))
    }

    /// Sets the fence, if it is not as wanted. In a transaction only the role can still be set.
    pub(super) fn ready_fence(&mut self, wanted: &Fence) -> Result<Ready, ClientError> {
        if let Some(error) = self.fence_error.take() {
            return Err(error);
        }
        if self.batch_open || self.tx == TransactionStatus::Failed {
            return Ok(Ready::Yes);
        }
        let standing = self.fence.as_ref();
        let read_only = standing.is_some_and(|fence| fence.read_only == wanted.read_only);
        let role = standing.is_some_and(|fence| fence.upstream_role == wanted.upstream_role);
        let in_transaction = self.tx == TransactionStatus::Open;
        if role && (read_only || in_transaction) {
            return Ok(Ready::Yes);
        }
        if !self.pending.is_empty() {
            self.wait = Some(Wait::Drained);
            return Ok(Ready::NotYet(Stop::Hold));
        }
        let set_role = !role;
        let sql =
            if set_role { OwnSql::Role(wanted.upstream_role.as_deref()) } else { OwnSql::ReadOnly(wanted.read_only) };
        self.out.own_query(&sql);
        // One step at a time: this is asked again for the other one.
        let before = self.fence.clone().unwrap_or(Fence { read_only: !wanted.read_only, upstream_role: None });
        let then = if set_role {
            Own::Fence { read_only: before.read_only, role: wanted.upstream_role.clone() }
        } else {
            Own::Fence { read_only: wanted.read_only, role: wanted.upstream_role.clone() }
        };
        self.pending.push_back(Pending::Own(then));
        self.wait = Some(Wait::Own);
        Ok(Ready::NotYet(Stop::Hold))
    }

    /// Whether an Execute may run behind the fence that stands: inside a batch it cannot be moved.
    pub(super) fn fence_fits(&self, runs: &[Run]) -> Result<(), ClientError> {
        let Some(fence) = &self.fence else {
            return Err(session_denial(
                "the session was reset in the same pipeline",
                "RESET ALL and DISCARD ALL lift what guards the session; it is set again after Sync",
                "send Sync after RESET ALL or DISCARD ALL",
            ));
        };
        for run in runs {
            let free = run.statement().is_some_and(|statement| statement.needs.is_empty());
            if !free && run.allowance.fence.upstream_role != fence.upstream_role {
                return Err(session_denial(
                    "this statement runs under another upstream role than the pipeline's first",
                    "the upstream role cannot change inside a pipeline",
                    "send Sync before it",
                ));
            }
        }
        Ok(())
    }

    /// The fence for the first connect.
    pub(super) fn first_fence(&self, gate: &Gate) -> Fence {
        Fence { read_only: !gate.may_write(), upstream_role: None }
    }

    /// Asks, right before a statement that reads views of a target with masks, whether they still are what they were
    /// when it was understood: others may have changed them. The answer comes before the statement's own.
    pub(super) fn check_views(&mut self, gate: &Gate, of: &Understanding) {
        if of.views.is_empty()
            || self.batch_open
            || self.tx == TransactionStatus::Failed
            || gate.known().masks.is_free()
        {
            return;
        }
        self.out.own_query(&OwnSql::Views(&of.views));
        self.pending.push_back(Pending::Own(Own::Views { expected: of.views.clone(), seen: Vec::new() }));
    }

    /// The views' revisions are in: where one changed, nothing that was understood before runs on.
    fn views_seen(&mut self, gate: &Gate, expected: &[ViewRevision], seen: &[(u32, String)]) {
        let unchanged =
            |view: &ViewRevision| seen.iter().any(|(oid, seen)| *oid == view.oid && **seen == *view.revision);
        if expected.iter().all(unchanged) {
            return;
        }
        self.catalog_dirty = true;
        gate.target().mark_changed();
        self.stale_batch = true;
        for pending in &mut self.pending {
            match pending {
                Pending::Query(job) | Pending::Execute(job) => {
                    if job.stopped.is_none() && !job.finished {
                        job.stopped = Some(changed());
                    }
                }
                Pending::Sync => {
                    self.stale_batch = false;
                    break;
                }
                Pending::Parse(..)
                | Pending::Bind(..)
                | Pending::Describe(_)
                | Pending::Close(_)
                | Pending::CopyEnd
                | Pending::Local { .. }
                | Pending::Substitute { .. }
                | Pending::Own(_) => {}
            }
        }
        self.stale_batch &= self.batch_open;
    }

    /// Notes what is sent. Says what review rules say of it.
    pub(super) fn note_runs(&mut self, runs: &[Run]) {
        for run in runs {
            let sets = |effect: &Effect| matches!(effect, Effect::Set { name, .. } if &**name == "search_path");
            self.path_touched |= run.statement().is_some_and(|statement| sets(&statement.effect));
            for warning in &run.allowance.warnings {
                self.warn(warning);
            }
        }
    }

    /// Notes under what the open transaction has run: it ends when one of these does.
    pub(super) fn note_done(&mut self, run: &Run) {
        if !self.tx_allowances.iter().any(|allowance| same(allowance, &run.allowance)) {
            self.tx_allowances.push(Arc::clone(&run.allowance));
        }
    }

    /// Starts to fetch the catalog as the session sees it, in the open transaction if there is one, under an empty
    /// search_path so that definitions are printed with all their schemas.
    fn fetch_private(&mut self, gate: &Gate) {
        self.private.clear();
        let idle = self.tx == TransactionStatus::Idle;
        if idle {
            self.out.own_query(&OwnSql::Begin);
            self.pending.push_back(Pending::Own(Own::Path));
        }
        self.out.own_query(&OwnSql::Path(""));
        self.pending.push_back(Pending::Own(Own::Path));
        let path = gate.search_path();
        for (index, sql) in crate::session::catalog::postgres::QUERIES.iter().enumerate() {
            self.out.own_query(&OwnSql::Catalog(sql));
            self.pending.push_back(Pending::Own(Own::Catalog(index)));
            self.private.push(Vec::new());
        }
        let after = if idle { OwnSql::Rollback } else { OwnSql::Path(&path) };
        self.out.own_query(&after);
        self.pending.push_back(Pending::Own(Own::CatalogDone { since: gate.target().known().generation }));
        self.catalog_dirty = false;
        self.wait = Some(Wait::Own);
    }
}

impl Machine {
    /// ReadyForQuery after something of the proxy's own.
    pub(super) fn own_ready(&mut self, gate: &mut Gate, own: Own, status: TransactionStatus) -> Result<(), End> {
        match own {
            Own::Sight { path, temporary } => {
                if let Some(path) = path {
                    gate.set_search_path(path);
                    self.path_dirty = false;
                    // What ran may have made or dropped some.
                    self.temporary |= temporary;
                    self.stateful |= temporary;
                    self.catalog_dirty |= temporary;
                    if temporary {
                        self.names_touched = self.names_touched.max(Touched::Temporary);
                    }
                }
                self.wait = None;
            }
            Own::Views { expected, seen } => self.views_seen(gate, &expected, &seen),
            Own::Fence { read_only, role } => {
                if self.fence_error.is_none() {
                    self.fence = Some(Fence { read_only, upstream_role: role });
                }
                self.wait = None;
            }
            Own::Begin => {
                self.wrapped = true;
                self.wait = None;
            }
            Own::Commit(tail) => {
                self.out.client.extend_from_slice(&tail);
                self.wait = None;
                self.tell_ready(status);
            }
            Own::Rollback | Own::Abort => {
                self.wait = None;
                self.tell_ready(status);
            }
            Own::AbortQuietly => self.wait = None,
            Own::CatalogDone { since } => {
                let tables = std::mem::take(&mut self.private);
                self.temporary = gate.learn_private(&tables, since).map_err(End::Upstream)?;
                if !self.temporary && status == TransactionStatus::Idle {
                    gate.forget_private();
                }
                self.wait = None;
            }
            Own::Path | Own::Catalog(_) => {}
            // Answered without ReadyForQuery.
            Own::Shape(_) | Own::AbortBatch => {}
        }
        Ok(())
    }
}

fn same(a: &Arc<Allowance>, b: &Arc<Allowance>) -> bool {
    Arc::ptr_eq(a, b) || a.authority == b.authority
}
