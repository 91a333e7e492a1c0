//! Decides one statement of a text, and notes what it has done to the session when it has succeeded.

use std::sync::Arc;

use hallpass_policy::{
    decide::Allowance,
    statement::{
        Dialect, Effect, Refusal, RefusalKind, Setting, Statement,
        mysql::{MysqlNames, SqlMode},
    },
};

use super::{
    Machine,
    job::Run,
    names::Prepared,
    own::{Values, charset_of},
};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, Refused},
        run::Part,
        target::Understanding,
    },
    wire::mysql::{capability::Flavour, charset::Charset},
};

impl Machine {
    /// Decides statement `index` of `of`.
    pub(super) fn plan(&self, gate: &mut Gate, of: &Arc<Understanding>, index: usize) -> Result<Run, ClientError> {
        let whole = Part::Whole(index);
        let effect = whole.of(of).map_or(&Effect::None, |statement| &statement.effect);
        let (rows_of, allowance) = match effect {
            // The rows and the rights are those of what is named; only the arguments are its own.
            Effect::Execute { name } => {
                let unknown = || ClientError::UnknownStatement(name.to_string());
                let prepared = self.renewed(gate, self.statements.named(name).ok_or_else(unknown)?)?;
                gate.decide_arguments(of, index)?;
                let allowance = decide(gate, &prepared.of, prepared.part)?;
                ((prepared.of, prepared.part), allowance)
            }
            Effect::None
            | Effect::Begin
            | Effect::Commit
            | Effect::Rollback
            | Effect::Savepoint
            | Effect::RollbackTo
            | Effect::Set { .. }
            | Effect::SetAll(_)
            | Effect::ResetAll
            | Effect::Prepare { .. }
            | Effect::Deallocate(_)
            | Effect::Declare { .. }
            | Effect::Fetch { .. }
            | Effect::CloseCursor(_)
            | Effect::DiscardAll
            | Effect::Kill { .. }
            | Effect::Inband(_)
            | Effect::CopyOut
            | Effect::CopyIn
            | Effect::ChangesTemporary(_)
            | Effect::ChangesCatalog => ((Arc::clone(of), whole), decide(gate, of, whole)?),
        };
        if let Effect::Prepare { name, .. } = effect {
            self.statements.room_for_named(name, of)?;
        }
        let run = Run::new(of, index, rows_of, allowance);
        if self.warnings.muted() && counts_warnings(&run) {
            return Err(muted());
        }
        Ok(run)
    }

    /// Decides what a prepared statement runs, as it is understood now.
    pub(super) fn plan_prepared(&self, gate: &mut Gate, prepared: &Prepared) -> Result<(Prepared, Run), ClientError> {
        let renewed = self.renewed(gate, prepared)?;
        let Part::Whole(index) = renewed.part else {
            return Err(ClientError::ProtocolViolation("a statement inside a statement".into()));
        };
        let run = self.plan(gate, &renewed.of, index)?;
        Ok((renewed, run))
    }

    /// A prepared statement as it is understood now: the server plans it anew when a definition has changed, under the
    /// settings of the time when it was prepared; so it is understood anew, under those, too.
    fn renewed(&self, gate: &mut Gate, prepared: &Prepared) -> Result<Prepared, ClientError> {
        let generation = gate.known().generation;
        self.reads_the_same(gate, prepared)?;
        if prepared.generation == generation {
            return Ok(prepared.clone());
        }
        let now = gate.dialect().clone();
        gate.set_dialect(prepared.dialect.clone());
        let understood = gate.understand_again(&prepared.of.text);
        gate.set_dialect(now);
        match understood {
            Ok(of) => Ok(Prepared { of, generation, ..prepared.clone() }),
            Err(Refused::Client(error)) => Err(error),
            Err(Refused::StaleCatalog | Refused::Unstudied) => {
                Err(ClientError::UnknownStatement("its tables have changed".into()))
            }
        }
    }

    /// MySQL, unlike MariaDB, prepares a statement anew under the sql_mode of that moment, and nobody tells when: it must
    /// mean the same under both.
    fn reads_the_same(&self, gate: &mut Gate, prepared: &Prepared) -> Result<(), ClientError> {
        let (Dialect::Mysql(then), Dialect::Mysql(now)) = (&prepared.dialect, gate.dialect()) else { return Ok(()) };
        let grammar = |mode: &SqlMode| {
            (mode.ansi_quotes(), mode.no_backslash_escapes(), mode.pipes_as_concat(), mode.high_not_precedence())
        };
        if self.held().flavour() == Flavour::MariaDb || grammar(&then.sql_mode) == grammar(&now.sql_mode) {
            return Ok(());
        }
        let (now, read) = (gate.dialect().clone(), MysqlNames { sql_mode: now.sql_mode.clone(), ..then.clone() });
        gate.set_dialect(Dialect::Mysql(read));
        let understood = gate.understand_again(&prepared.of.text);
        gate.set_dialect(now);
        // The text inside a PREPARE was taken out of its quotes under the old one.
        let same = matches!(prepared.part, Part::Whole(_))
            && understood.is_ok_and(|of| of.understood.statements == prepared.of.understood.statements);
        if same {
            return Ok(());
        }
        let refusal = Refusal::new(RefusalKind::Unsupported, "sql_mode has changed since this statement was prepared")
            .hint("prepare the statement again");
        Err(ClientError::Refused(refusal))
    }

    /// A statement succeeded: what it has done to the session.
    pub(super) fn succeeded(&mut self, gate: &mut Gate, run: &Run) {
        let Some(statement) = run.statement() else { return };
        match &statement.effect {
            Effect::Set { .. } | Effect::SetAll(_) => {
                let values = self.values.take().unwrap_or_default();
                for (name, value) in settings(statement) {
                    self.follow(gate, name, value, &values);
                }
                self.stateful = true;
            }
            Effect::Prepare { name, .. } => {
                let prepared = Prepared {
                    of: Arc::clone(&run.of),
                    part: Part::Inner(run.index),
                    dialect: gate.dialect().clone(),
                    generation: gate.known().generation,
                };
                self.statements.set_named(name, Some(prepared));
            }
            Effect::Deallocate(Some(name)) => self.statements.set_named(name, None),
            Effect::ChangesCatalog => {
                self.catalog_dirty = true;
                gate.target().mark_changed();
            }
            Effect::None
            | Effect::Begin
            | Effect::Commit
            | Effect::Rollback
            | Effect::Savepoint
            | Effect::RollbackTo
            | Effect::Deallocate(None)
            | Effect::Execute { .. }
            | Effect::ResetAll
            | Effect::Declare { .. }
            | Effect::Fetch { .. }
            | Effect::CloseCursor(_)
            | Effect::DiscardAll
            | Effect::Kill { .. }
            | Effect::ChangesTemporary(_)
            | Effect::Inband(_)
            | Effect::CopyOut
            | Effect::CopyIn => {}
        }
        if let Effect::Execute { name } = &statement.effect
            && self.statements.named(name).is_some()
        {
            // What it ran may have been anything.
            self.after_code();
        }
        // User variables, locks, temporary things: state of the session.
        let verb = matches!(statement.verb, "SET" | "LOCK" | "LOCK TABLES" | "HANDLER" | "SELECT INTO");
        self.stateful |= verb || statement.features.assigns;
        if matches!(statement.verb, "CALL") {
            self.after_code();
        }
    }

    /// Code of users ran: it may have set what it likes, and made what it likes.
    fn after_code(&mut self) {
        self.settings_dirty = true;
        self.stateful = true;
        self.fence = None;
    }

    /// One setting has changed.
    fn follow(&mut self, gate: &mut Gate, name: &str, value: &Setting, values: &Values) {
        let constant = match value {
            Setting::To(value) if !value.starts_with('@') => Some(&**value),
            Setting::To(_) | Setting::Default => values.get(name),
        };
        match name {
            "database" => {
                if let Some(database) = constant {
                    let names = MysqlNames { database: Some(database.into()), ..self.dialect(gate) };
                    gate.set_dialect(Dialect::Mysql(names));
                }
            }
            "sql_mode" => match constant.map(SqlMode::read) {
                Some(Ok(sql_mode)) => {
                    let names = MysqlNames { sql_mode, ..self.dialect(gate) };
                    gate.set_dialect(Dialect::Mysql(names));
                    // It may have been computed, and some modes stand for several: what the server made of it is asked.
                    self.settings_dirty = true;
                }
                Some(Err(_)) | None => self.settings_dirty = true,
            },
            "character_set_client" => match constant.and_then(|name| Charset::named(charset_of(name))) {
                Some(charset) => self.charset = charset,
                None => self.settings_dirty = true,
            },
            _ => {}
        }
    }
}

/// Decides one part of a text.
pub(super) fn decide(gate: &mut Gate, of: &Arc<Understanding>, part: Part) -> Result<Arc<Allowance>, ClientError> {
    match part.of(of) {
        Some(statement) => gate.decide(of, part.key(), statement),
        None => Ok(gate.baseline()),
    }
}

/// What a statement sets, in its order.
pub(super) fn settings(statement: &Statement) -> Vec<(&Arc<str>, &Setting)> {
    if let Effect::Set { name, value, .. } = &statement.effect {
        return vec![(name, value)];
    }
    if let Effect::SetAll(all) = &statement.effect {
        return all.iter().map(|(name, value)| (name, value)).collect();
    }
    Vec::new()
}

/// Whether later texts or results are read by this setting.
pub(super) fn is_followed(name: &str) -> bool {
    matches!(
        name,
        "sql_mode"
            | "character_set_client"
            | "character_set_connection"
            | "character_set_results"
            | "collation_connection"
    )
}

/// Whether a statement tells how many warnings the one before it had.
pub(super) fn counts_warnings(run: &Run) -> bool {
    let (of, part) = &run.rows_of;
    [run.statement(), part.of(of)].into_iter().flatten().any(|statement| statement.features.counts_warnings)
}

/// How many warnings a statement had that computed on masked columns is told to nobody.
pub(super) fn muted() -> ClientError {
    ClientError::Refused(
        Refusal::new(RefusalKind::Forbidden, "the number of warnings of a statement that computes on a masked column")
            .detail("whether the server warns tells about the value")
            .hint("run another statement on a table first"),
    )
}
