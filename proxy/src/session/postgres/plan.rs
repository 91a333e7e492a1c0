//! Decides one statement of a text, and notes what it will do to the session when it succeeds.

use std::sync::Arc;

use hallpass_policy::{
    decide::Allowance,
    statement::{Action, Effect, Need, Object, Refusal, RefusalKind, Setting, Statement},
};

use super::{
    Machine, Touched,
    job::Run,
    names::{Portal, Prepared, Undo},
};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, Refused},
        run::{Part, RowsOf},
        target::Understanding,
    },
    wire::postgres::backend::TransactionStatus,
};

impl Machine {
    /// Decides statement `index` of `of`. What it does to names is in force for what follows it at once; the run knows
    /// how to take that back.
    pub(super) fn plan(&mut self, gate: &mut Gate, of: &Arc<Understanding>, index: usize) -> Result<Run, ClientError> {
        let whole = Part::Whole(index);
        let effect = whole.of(of).map_or(&Effect::None, |statement| &statement.effect);
        self.keeps_nothing_ended(effect)?;
        let (rows_of, allowance) = match effect {
            // The rows and the rights are those of what is named; only the arguments are its own.
            Effect::Execute { name } => {
                let prepared = self.current(gate, name.as_bytes())?;
                gate.decide_arguments(of, index)?;
                self.named(gate, prepared)?
            }
            Effect::Fetch { name } => {
                let unknown = || ClientError::UnknownPortal(name.to_string());
                let portal = self.names.portal(name.as_bytes()).ok_or_else(unknown)?.prepared.clone();
                self.named(gate, portal)?
            }
            Effect::None
            | Effect::Begin
            | Effect::Commit
            | Effect::Rollback
            | Effect::Savepoint
            | Effect::RollbackTo
            | Effect::Set { .. }
            | Effect::ResetAll
            | Effect::Prepare { .. }
            | Effect::Deallocate(_)
            | Effect::Declare { .. }
            | Effect::CloseCursor(_)
            | Effect::DiscardAll
            | Effect::SetAll(_)
            | Effect::Kill { .. }
            | Effect::Inband(_)
            | Effect::CopyOut
            | Effect::CopyIn
            | Effect::ChangesTemporary(_)
            | Effect::ChangesCatalog => ((Arc::clone(of), whole), self.decide(gate, of, whole)?),
        };
        if let Effect::Prepare { name, .. } = effect {
            self.names.room_for_prepared(name.as_bytes(), &**of)?;
        } else if let Effect::Declare { name, .. } = effect {
            self.names.room_for_portal(name.as_bytes(), &**of)?;
        }
        let mut run = Run::new(of, index, rows_of, allowance);
        run.undo = self.follow(gate, of, index);
        Ok(run)
    }

    /// Refuses what would go on with a transaction of which nothing may be kept: it can only be rolled back. One that has
    /// failed already is revived by nothing but going back to a savepoint.
    fn keeps_nothing_ended(&self, effect: &Effect) -> Result<(), ClientError> {
        let Some(error) = &self.doomed else { return Ok(()) };
        let goes_on = match self.tx {
            TransactionStatus::Failed => matches!(effect, Effect::RollbackTo),
            TransactionStatus::Open | TransactionStatus::Idle => !matches!(effect, Effect::Rollback),
        };
        if goes_on { Err(error.clone()) } else { Ok(()) }
    }

    /// Decides what a prepared statement or cursor runs.
    fn named(&self, gate: &mut Gate, prepared: Prepared) -> Result<(RowsOf, Arc<Allowance>), ClientError> {
        let part = prepared.part.unwrap_or(Part::Whole(0));
        let allowance = self.decide(gate, &prepared.of, part)?;
        Ok(((prepared.of, part), allowance))
    }

    /// Decides one part of a text.
    pub(super) fn decide(
        &self,
        gate: &mut Gate,
        of: &Arc<Understanding>,
        part: Part,
    ) -> Result<Arc<Allowance>, ClientError> {
        match part.of(of) {
            Some(statement) => gate.decide(of, part.key(), statement),
            None => Ok(gate.baseline()),
        }
    }

    /// The prepared statement called `name` as it is understood now: the server plans it anew when the search_path or
    /// a definition has changed, so it is understood anew, too.
    pub(super) fn current(&mut self, gate: &mut Gate, name: &[u8]) -> Result<Prepared, ClientError> {
        let unknown = || ClientError::UnknownStatement(String::from_utf8_lossy(name).into_owned());
        let prepared = self.names.prepared(name).ok_or_else(unknown)?;
        let generation = gate.known().generation;
        if prepared.generation == generation && prepared.path == gate.search_path() {
            return Ok(prepared.clone());
        }
        let prepared = prepared.clone();
        let text = Arc::clone(&prepared.of.text);
        let part = prepared.part;
        let of = match gate.understand_again(&text) {
            Ok(of) => of,
            Err(Refused::Client(error)) => return Err(error),
            Err(Refused::StaleCatalog | Refused::Unstudied) => return Err(unknown()),
        };
        // With the same path the server keeps the plan that it has until it hears of a change to what is in it. Two paths
        // that are written differently may be the same to it, and temporary relations come first under any.
        let may_be_kept = prepared.path == gate.search_path() || needs_temporary(&prepared.of) || needs_temporary(&of);
        if may_be_kept && !same_relations(&prepared.of, &of) {
            return Err(ClientError::Refused(renamed()));
        }
        let renewed = Prepared { of, part, path: gate.search_path(), generation, shape: Arc::default() };
        self.names.set_prepared(name, Some(renewed.clone()));
        Ok(renewed)
    }

    /// Notes what the statement does to the session; hands back how to undo it.
    fn follow(&mut self, gate: &mut Gate, of: &Arc<Understanding>, index: usize) -> Vec<Undo> {
        let Some(statement) = of.understood.statements.get(index) else { return Vec::new() };
        let prepared = |gate: &Gate| Prepared {
            of: Arc::clone(of),
            part: Some(Part::Inner(index)),
            path: gate.search_path(),
            generation: gate.known().generation,
            shape: Arc::default(),
        };
        match &statement.effect {
            Effect::Prepare { name, .. } => vec![self.names.set_prepared(name.as_bytes(), Some(prepared(gate)))],
            Effect::Declare { name, .. } => {
                let portal =
                    Portal { prepared: prepared(gate), formats: Arc::from([]), parameters: None, begun: false };
                vec![self.names.set_portal(name.as_bytes(), Some(portal))]
            }
            Effect::Deallocate(Some(name)) => vec![self.names.set_prepared(name.as_bytes(), None)],
            Effect::Deallocate(None) => {
                self.desk.clear();
                self.names.clear_named()
            }
            Effect::CloseCursor(Some(name)) => vec![self.names.set_portal(name.as_bytes(), None)],
            Effect::CloseCursor(None) => vec![self.names.clear_portals()],
            Effect::DiscardAll => {
                self.desk.clear();
                let mut undo = self.names.clear_named();
                undo.push(self.names.clear_portals());
                undo
            }
            Effect::Set { name, value: Setting::To(path), .. } if &**name == "search_path" => {
                let before = gate.search_path();
                gate.set_search_path(Arc::clone(path));
                vec![Undo::Path(before)]
            }
            Effect::Set { name, .. } => {
                self.encoding_moves |= &**name == "client_encoding";
                Vec::new()
            }
            Effect::ResetAll => {
                self.encoding_moves = true;
                Vec::new()
            }
            Effect::None
            | Effect::Begin
            | Effect::Commit
            | Effect::Rollback
            | Effect::Savepoint
            | Effect::RollbackTo
            | Effect::Execute { .. }
            | Effect::Fetch { .. }
            | Effect::SetAll(_)
            | Effect::Kill { .. }
            | Effect::Inband(_)
            | Effect::CopyOut
            | Effect::CopyIn
            | Effect::ChangesTemporary(_)
            | Effect::ChangesCatalog => Vec::new(),
        }
    }

    /// Takes one note back.
    pub(super) fn undo(&mut self, gate: &mut Gate, undo: Undo) {
        if let Some(path) = self.names.undo(undo) {
            gate.set_search_path(path);
        }
    }

    /// A statement succeeded: what has to be asked for afterwards.
    pub(super) fn succeeded(&mut self, gate: &Gate, statement: &Statement) {
        match &statement.effect {
            Effect::Set { name, .. } => {
                self.stateful = true;
                if &**name == "search_path" {
                    self.path_dirty = true;
                    self.path_touched = true;
                }
            }
            Effect::ResetAll | Effect::DiscardAll => {
                self.path_dirty = true;
                self.fence = None;
                self.catalog_dirty |= self.temporary;
            }
            Effect::Commit | Effect::Rollback | Effect::RollbackTo => {
                // A role or path set inside the transaction may be gone with it.
                self.path_dirty |= self.path_touched;
                self.catalog_dirty |= self.names_touched != Touched::Nothing;
                if self.fence.as_ref().is_some_and(|fence| fence.upstream_role.is_some()) {
                    self.fence = None;
                }
            }
            Effect::ChangesCatalog => {
                self.catalog_dirty = true;
                let (temporary, public) = whose_names(statement);
                self.temporary |= temporary;
                self.stateful |= temporary;
                if public {
                    gate.target().mark_changed();
                }
                let touched = if public { Touched::Public } else { Touched::Temporary };
                self.names_touched = self.names_touched.max(touched);
            }
            Effect::Prepare { .. } | Effect::Declare { .. } => self.stateful = true,
            Effect::None
            | Effect::Begin
            | Effect::Savepoint
            | Effect::Execute { .. }
            | Effect::Deallocate(_)
            | Effect::Fetch { .. }
            | Effect::CloseCursor(_)
            | Effect::SetAll(_)
            | Effect::Kill { .. }
            | Effect::ChangesTemporary(_)
            | Effect::Inband(_)
            | Effect::CopyOut
            | Effect::CopyIn => {}
        }
        if statement.verb == "LISTEN" {
            self.stateful = true;
        }
        // Code of users may set what it likes.
        self.path_dirty |=
            statement.needs.iter().any(|need| matches!(need.object, Object::Function(_))) || statement.verb == "DO";
    }
}

/// Whether the names of both stand for the same relations.
fn same_relations(before: &Understanding, now: &Understanding) -> bool {
    fn relations(of: &Understanding) -> impl Iterator<Item = (Action, &Object)> {
        let needs = of.understood.statements.iter().flat_map(|statement| &statement.needs);
        needs.filter(|need| matches!(need.object, Object::Relation(_))).map(|need| (need.action, &need.object))
    }
    relations(before).eq(relations(now))
}

/// Whether a name in it stands for a temporary relation.
fn needs_temporary(of: &Understanding) -> bool {
    let mut needs = of.understood.statements.iter().flat_map(|statement| &statement.needs);
    needs.any(|need| matches!(&need.object, Object::Relation(name) if name.is_temporary()))
}

/// In the server's words for a plan that no longer fits.
fn renamed() -> Refusal {
    Refusal::new(RefusalKind::Unsupported, "cached plan must not change result type")
        .detail("a name in this prepared statement stands for another relation than when it was prepared")
        .hint("prepare it again")
}

/// Whether a statement that changes names changes those that only its session sees, and whether it changes others.
/// DISCARD TEMP names none.
fn whose_names(statement: &Statement) -> (bool, bool) {
    let temporary = |need: &&Need| matches!(&need.object, Object::Relation(name) if name.is_temporary());
    let changes = || statement.needs.iter().filter(|need| matches!(need.action, Action::Ddl | Action::Admin));
    (changes().any(|need| temporary(&need)), changes().any(|need| !temporary(&need)))
}
