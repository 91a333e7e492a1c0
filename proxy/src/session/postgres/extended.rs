//! The extended protocol: Parse, Bind, Describe, Execute, Close, Sync.
//! A Parse is held back until the record of its Execute, so that a query that comes in one piece is one entry of the
//! audit; one that stays alone is recorded as `prepare` before it leaves.

use std::sync::{Arc, OnceLock};

use hallpass_policy::statement::{Effect, Refusal, RefusalKind, postgres::behind_parameter};

use super::{
    End, HeldParse, Machine, Wait,
    job::{Job, Run, Way},
    names::{Portal, Prepared, Shape},
    outbox::Control,
    own::Ready,
    pending::{Errors, Own, Pending},
    query::Flow,
};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, Refused, changed},
        inband::questions,
        machine::Stop,
        parameters,
        run::Part,
        target::Understanding,
    },
    wire::postgres::{
        codec::{Frame, Oids},
        frontend::{self, Bind, Execute, Named, Parse},
    },
};

/// Whether parameters may be declared to be of these types: what a text does not name nobody has understood, and a value
/// of a type with code of somebody's behind it runs that code wherever it becomes something else.
fn takes_types(gate: &Gate, types: Oids<'_>) -> Result<(), ClientError> {
    let known = gate.known();
    let function = types.iter().find_map(|oid| behind_parameter(&known.catalog, oid));
    function.map_or(Ok(()), |function| {
        Err(ClientError::Refused(
            Refusal::new(RefusalKind::Forbidden, "permission denied for a parameter's declared type")
                .detail(format!("values of that type run {function}"))
                .hint(
                    "leave the parameter's type to the server, and name the type in the statement where it is needed",
                ),
        ))
    })
}

impl Machine {
    /// A Parse message.
    pub(super) fn parse(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<Flow, End> {
        let parse = Parse::decode(frame.body)?;
        self.settle_held(gate);
        if self.skip {
            return Ok(Flow::Taken);
        }
        if let Ready::NotYet(stop) = self.ready_for_sql(gate)? {
            return Ok(Flow::Stop(stop));
        }
        if let Err(error) = self.readable(parse.text) {
            return Ok(self.deny_batch(gate, &String::from_utf8_lossy(parse.text), error));
        }
        let of = match gate.understand(parse.text) {
            Ok(of) => of,
            Err(Refused::StaleCatalog) => return Ok(Flow::Stop(Stop::Refresh)),
            Err(Refused::Unstudied) => return Ok(Flow::Stop(Stop::Study)),
            Err(Refused::Client(error)) => {
                return Ok(match self.wanted_for(gate, &error) {
                    Some(stop) => Flow::Stop(stop),
                    None => self.deny_batch(gate, &String::from_utf8_lossy(parse.text), error),
                });
            }
        };
        if let Err(error) = self.fits_batch(&of).and_then(|()| takes_types(gate, parse.types)) {
            return Ok(self.deny_batch(gate, &of.text, error));
        }
        match questions(&of.understood.statements).map(|questions| questions.and_then(|mut all| all.pop())) {
            Ok(Some(question)) => return Ok(self.ask_parse(gate, &parse, &of, question)),
            Ok(None) => {}
            Err(error) => return Ok(self.deny_batch(gate, &of.text, error)),
        }
        if self.desk.has(Named::Statement(parse.statement)) {
            if let Err(error) = self.free_statement(parse.statement) {
                return Ok(self.deny_batch(gate, &of.text, error));
            }
            self.desk.forget_prepared(parse.statement);
        }
        let room = self.names.room_for_prepared(parse.statement, &*of);
        let run = match room.and_then(|()| self.plan_parse(gate, &of)) {
            Ok(run) => run,
            Err(error) => return Ok(self.deny_batch(gate, &of.text, error)),
        };
        match self.ready_batch(gate, run.as_slice()) {
            Ok(Ready::Yes) => {}
            Ok(Ready::NotYet(stop)) => return Ok(Flow::Stop(stop)),
            Err(error) => return Ok(self.deny_batch(gate, &of.text, error)),
        }
        let allowance = run.map_or_else(|| gate.baseline(), |run| run.allowance);
        self.check_views(gate, &of);
        let errors = Errors::of(&allowance);
        let shape = if parse.types.is_empty() { Arc::clone(&of.shape) } else { Arc::default() };
        self.held = Some(HeldParse { of: Arc::clone(&of), allowance, pending: self.pending.len() });
        self.out.hold(frame.raw);
        let prepared = Prepared {
            part: (!of.understood.statements.is_empty()).then_some(Part::Whole(0)),
            of,
            path: gate.search_path(),
            generation: gate.known().generation,
            shape,
        };
        let undo = self.names.set_prepared(parse.statement, Some(prepared.clone()));
        self.pending.push_back(Pending::Parse(undo, errors));
        self.batch_open = true;
        self.want_shape(gate, parse.statement, &prepared);
        Ok(Flow::Taken)
    }

    /// Whether `of` can be one prepared statement of the open batch.
    fn fits_batch(&self, of: &Arc<Understanding>) -> Result<(), ClientError> {
        let statements = &of.understood.statements;
        if statements.len() > 1 {
            return Err(ClientError::Refused(Refusal::new(
                RefusalKind::Unparsed,
                "cannot insert multiple commands into a prepared statement",
            )));
        }
        let needs_names = statements
            .iter()
            .any(|statement| !statement.needs.is_empty() || matches!(statement.effect, Effect::Execute { .. }));
        if self.batch_ddl && needs_names {
            return Err(ClientError::Refused(
                Refusal::new(
                    RefusalKind::Unsupported,
                    "a statement after DDL in the same pipeline would be understood with the old names",
                )
                .hint("send Sync after the DDL"),
            ));
        }
        Ok(())
    }

    /// Decides what a Parse holds; nothing is in force yet, as it only runs later. `None`: the empty statement.
    fn plan_parse(&mut self, gate: &mut Gate, of: &Arc<Understanding>) -> Result<Option<Run>, ClientError> {
        if of.understood.statements.is_empty() {
            return Ok(None);
        }
        let mut run = self.plan(gate, of, 0)?;
        for undo in std::mem::take(&mut run.undo).into_iter().rev() {
            self.undo(gate, undo);
        }
        Ok(Some(run))
    }

    /// The upstream session behind the fence that a batch's first statement needs. Later ones find it there, or are
    /// refused by [`Machine::fence_fits`]: inside a batch it cannot be moved.
    fn ready_batch(&mut self, gate: &mut Gate, runs: &[Run]) -> Result<Ready, ClientError> {
        if self.batch_open && self.connected { Ok(Ready::Yes) } else { self.ready_upstream(gate, runs) }
    }

    /// Asks the upstream what columns a prepared statement returns, where masks depend on it and nobody knows yet.
    fn want_shape(&mut self, gate: &Gate, name: &[u8], prepared: &Prepared) {
        if prepared.shape.get().is_none()
            && !gate.known().masks.is_free()
            && prepared.part.and_then(|part| part.of(&prepared.of)).is_some()
            && self.out.describe(name).is_ok()
        {
            self.pending.push_back(Pending::Own(Own::Shape(Arc::clone(&prepared.shape))));
        }
    }

    /// A Bind message.
    pub(super) fn bind(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<Flow, End> {
        let bind = Bind::decode(frame.body)?;
        if self.desk.has(Named::Statement(bind.statement)) {
            return Ok(self.ask_bind(gate, &bind));
        }
        if self.held.is_none()
            && let Ready::NotYet(stop) = self.ready_for_sql(gate)?
        {
            return Ok(Flow::Stop(stop));
        }
        let known = self.names.prepared(bind.statement).map(|prepared| Arc::clone(&prepared.of));
        let prepared = match self.current(gate, bind.statement) {
            Ok(prepared) => prepared,
            Err(error) => {
                let text = known.map_or_else(|| Arc::from(""), |of| Arc::clone(&of.text));
                return Ok(self.deny_batch(gate, &text, error));
            }
        };
        if self.desk.has(Named::Portal(bind.portal))
            && let Err(error) = self.free_portal(bind.portal)
        {
            return Ok(self.deny_batch(gate, &prepared.of.text, error));
        }
        let run = match self.fits_batch(&prepared.of).and_then(|()| self.plan_bind(gate, &prepared)) {
            Ok(run) => run,
            Err(error) => return Ok(self.deny_batch(gate, &prepared.of.text, error)),
        };
        match self.ready_batch(gate, run.as_slice()) {
            Ok(Ready::Yes) => {}
            Ok(Ready::NotYet(stop)) => return Ok(Flow::Stop(stop)),
            Err(error) => return Ok(self.deny_batch(gate, &prepared.of.text, error)),
        }
        let errors = run.as_ref().map_or(Errors::Pass, |run| Errors::of(&run.allowance));
        self.check_views(gate, &prepared.of);
        self.want_shape(gate, bind.statement, &prepared);
        let portal = Portal {
            parameters: parameters::postgres(&bind, gate.parameters()),
            formats: bind.result_formats.codes().collect(),
            prepared,
            begun: false,
        };
        if let Err(error) = self.names.room_for_portal(bind.portal, &portal) {
            return Ok(self.deny_batch(gate, &portal.prepared.of.text, error));
        }
        self.desk.forget_portal(bind.portal);
        let undo = self.names.set_portal(bind.portal, Some(portal));
        self.pending.push_back(Pending::Bind(undo, errors));
        self.out.control(Control(frame.raw));
        self.batch_open = true;
        Ok(Flow::Taken)
    }

    /// Decides what a Bind would run.
    fn plan_bind(&mut self, gate: &mut Gate, prepared: &Prepared) -> Result<Option<Run>, ClientError> {
        match prepared.part {
            Some(Part::Whole(0)) => self.plan_parse(gate, &prepared.of),
            Some(part @ (Part::Whole(index) | Part::Inner(index))) => {
                let allowance = self.decide(gate, &prepared.of, part)?;
                Ok(Some(Run::new(&prepared.of, index, (Arc::clone(&prepared.of), part), allowance)))
            }
            None => Ok(None),
        }
    }

    /// A Describe message.
    pub(super) fn describe(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<Flow, End> {
        let named = Named::decode("Describe", frame.body)?;
        if self.desk.has(named) {
            return Ok(self.ask_describe(gate, named));
        }
        let found = match named {
            Named::Statement(name) => self.names.prepared(name).map(|prepared| Arc::clone(&prepared.shape)),
            Named::Portal(name) => self.names.portal(name).map(|portal| Arc::clone(&portal.prepared.shape)),
        };
        let Some(shape) = found else { return Ok(self.deny_unnamed(gate, named)) };
        if !self.connected {
            return Ok(Flow::Stop(Stop::Connect(self.first_fence(gate))));
        }
        if let Ready::NotYet(stop) = self.ready_for_sql(gate)? {
            return Ok(Flow::Stop(stop));
        }
        // A shape that is known stays: the upstream refuses a statement whose result changed.
        let slot: Option<Arc<OnceLock<Shape>>> = shape.get().is_none().then_some(shape);
        self.out.control(Control(frame.raw));
        self.pending.push_back(Pending::Describe(slot));
        self.batch_open = true;
        Ok(Flow::Taken)
    }

    /// An Execute message.
    pub(super) fn execute(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<Flow, End> {
        let execute = Execute::decode(frame.body)?;
        if self.desk.has(Named::Portal(execute.portal)) {
            return Ok(self.ask_execute(gate, &execute));
        }
        let Some(portal) = self.names.portal(execute.portal) else {
            return Ok(self.deny_unnamed(gate, Named::Portal(execute.portal)));
        };
        let portal = portal.clone();
        let of = Arc::clone(&portal.prepared.of);
        let planned = match portal.prepared.part {
            Some(Part::Whole(index)) => self.plan(gate, &of, index).map(|run| vec![run]),
            Some(part @ Part::Inner(index)) => self
                .decide(gate, &of, part)
                .map(|allowance| vec![Run::new(&of, index, (Arc::clone(&of), part), allowance)]),
            None => Ok(Vec::new()),
        };
        let runs = match planned {
            Ok(runs) => runs,
            Err(error) => return Ok(self.deny_batch(gate, &of.text, error)),
        };
        let fits = if self.stale_batch && !of.views.is_empty() { Err(changed()) } else { self.fence_fits(&runs) };
        if let Err(error) = fits {
            self.undo_runs(gate, runs);
            return Ok(self.deny_batch(gate, &of.text, error));
        }
        self.forward_execute(gate, frame, execute.portal, portal, runs)
    }

    fn forward_execute(
        &mut self,
        gate: &mut Gate,
        frame: Frame<'_>,
        name: &[u8],
        portal: Portal,
        runs: Vec<Run>,
    ) -> Result<Flow, End> {
        let of = &portal.prepared.of;
        let allowance = runs.first().map_or_else(|| gate.baseline(), |run| Arc::clone(&run.allowance));
        let reason = portal.begun.then_some("continued");
        let permit =
            match gate.permit(&of.text, &of.understood.fingerprint, portal.parameters.clone(), allowance, reason) {
                Ok(permit) => permit,
                Err(error) => {
                    self.undo_runs(gate, runs);
                    return Ok(self.refuse_batch(gate, error));
                }
            };
        // A Parse of another text that is still held keeps its own record.
        if self.held.as_ref().is_some_and(|held| Arc::ptr_eq(&held.of, of)) {
            self.held = None;
        }
        self.settle_held(gate);
        self.out.forward(&permit, frame.raw);
        if let Some(portal) = self.names.portal_mut(name) {
            portal.begun = true;
        }
        self.note_runs(&runs);
        self.batch_ddl |= self.unsettle(&runs);
        let bounded = runs.iter().any(|run| run.write_bound().is_some());
        let mut job = Job::new(permit, Way::Extended, runs);
        job.shape = Some(Arc::clone(&portal.prepared.shape));
        job.formats = Arc::clone(&portal.formats);
        gate.running(&of.text, job.permit.allowance());
        self.pending.push_back(Pending::Execute(Box::new(job)));
        self.batch_open = true;
        if bounded {
            self.out.own_flush();
            self.wait = Some(Wait::Bounded);
        }
        Ok(Flow::Taken)
    }

    /// A Close message.
    pub(super) fn close(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<Flow, End> {
        let named = Named::decode("Close", frame.body)?;
        if self.desk.has(named) {
            return Ok(self.ask_close(gate, named));
        }
        // It may open a batch, in which names cannot be asked for any more.
        if let Ready::NotYet(stop) = self.ready_for_sql(gate)? {
            return Ok(Flow::Stop(stop));
        }
        let undo = match named {
            Named::Statement(name) => self.names.set_prepared(name, None),
            Named::Portal(name) => self.names.set_portal(name, None),
        };
        if self.connected {
            self.out.control(Control(frame.raw));
            self.pending.push_back(Pending::Close(undo));
            self.batch_open = true;
        } else {
            // Closing what does not exist succeeds.
            let mut bytes = Vec::new();
            crate::wire::postgres::encode::close_complete(&mut bytes);
            self.reply(bytes, false);
        }
        Ok(Flow::Taken)
    }

    /// A Sync message.
    pub(super) fn sync(&mut self, gate: &mut Gate, frame: Frame<'_>) -> Result<Flow, End> {
        frontend::empty("Sync", frame.body)?;
        if self.copying {
            // The server reads it as part of the copy and does not answer.
            self.out.control(Control(frame.raw));
            return Ok(Flow::Taken);
        }
        self.settle_held(gate);
        self.refuse_doomed(gate);
        // One that follows a COPY may be the only one the server answers: it reads those before as part of the copy.
        let forwarded = self.connected && (self.batch_open || self.copy_in_flight());
        if forwarded {
            self.out.control(Control(frame.raw));
            self.pending.push_back(Pending::Sync);
        } else {
            self.reply(Vec::new(), true);
        }
        self.skip = false;
        self.batch_open = false;
        self.stale_batch = false;
        if std::mem::take(&mut self.batch_ddl) {
            self.wait = Some(Wait::Drained);
        }
        Ok(Flow::Taken)
    }

    /// Records a Parse that has waited for its Execute in vain. If it cannot be recorded it is not sent, and the batch
    /// fails there.
    pub(super) fn settle_held(&mut self, gate: &mut Gate) {
        let Some(held) = self.held.take() else { return };
        let understood = &held.of.understood;
        match gate.permit(&held.of.text, &understood.fingerprint, None, held.allowance, Some("prepare")) {
            Ok(permit) => {
                self.out.release(&permit);
                gate.outcome(&permit, crate::session::gate::Outcome::default());
            }
            Err(error) => {
                self.out.drop_held();
                while self.pending.len() > held.pending {
                    if let Some(Pending::Parse(undo, _) | Pending::Bind(undo, _) | Pending::Close(undo)) =
                        self.pending.pop_back()
                    {
                        self.undo(gate, undo);
                    }
                }
                self.refuse_batch(gate, error);
            }
        }
    }
}
