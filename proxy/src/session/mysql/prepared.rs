//! Prepared statements of the protocol: COM_STMT_PREPARE, EXECUTE, FETCH, RESET and MariaDB's bulk execution.
//! A text is recorded when it is prepared, since the server reads it then, and again each time it is executed.

use std::borrow::Cow;

use hallpass_policy::{
    catalog::ColumnRef,
    mask::plan::InPredicates,
    statement::{Effect, Refusal, RefusalKind, Statement as Read, mysql::is_number},
};

use super::{
    Machine,
    client::Flow,
    job::{Run, Way},
    names::{Cursor, Prepared, Statement},
    own::Ready,
    pending::{Owed, Pending, Then},
    query::{Understood, is_messages},
};
use crate::{
    error::ClientError,
    session::{gate::Gate, inband::questions, machine::End, parameters, run::Part},
    wire::mysql::{
        capability::Flavour,
        codec::{self, Message, Order, Sequence},
        execute::{BulkExecute, Execute, ParameterType},
        reader::{Request, ResultReader},
    },
};

impl Machine {
    /// COM_STMT_PREPARE.
    pub(super) fn prepare(&mut self, gate: &mut Gate, message: &Message<'_>, text: &[u8]) -> Result<Flow, End> {
        self.statements.forget_last();
        let of = match self.understand(gate, text) {
            Ok(Understood::Yes(of)) => of,
            Ok(Understood::NotYet(stop)) => return Ok(Flow::Stop(stop)),
            Err(error) => return Ok(self.deny(gate, &String::from_utf8_lossy(text), None, error)),
        };
        if let Some(error) = self.aborted.take() {
            return Ok(self.deny(gate, &of.text, None, error));
        }
        if let Err(error) = preparable(&of.understood.statements) {
            return Ok(self.deny(gate, &of.text, None, error));
        }
        match questions(&of.understood.statements).map(|questions| questions.and_then(|mut all| all.pop())) {
            Ok(None) => {}
            Ok(Some((_, question))) => return Ok(self.ask_prepare(gate, &of, question)),
            Err(error) => return Ok(self.deny(gate, &of.text, None, error)),
        }
        let room = self.statements.room(&of);
        let run = match room.and_then(|()| self.plan(gate, &of, 0)) {
            Ok(run) => run,
            Err(error) => return Ok(self.deny(gate, &of.text, of.understood.statements.first(), error)),
        };
        let allowance = std::sync::Arc::clone(&run.allowance);
        // Preparing writes nothing: no transaction around it, and no variable is read yet.
        match self.ready_to_prepare(gate, &run) {
            Ok(Ready::Yes) => {}
            Ok(Ready::NotYet(stop)) => return Ok(Flow::Stop(stop)),
            Err(error) => return Ok(self.deny(gate, &of.text, None, error)),
        }
        let permit = match gate.permit(&of.text, &of.understood.fingerprint, None, allowance, Some("prepare")) {
            Ok(permit) => permit,
            Err(error) => return Ok(self.refuse(&error, None)),
        };
        self.out.forward(&permit, message.raw, self.login.order);
        if !of.understood.statements.iter().any(is_messages) {
            self.warnings.statement();
        }
        let prepared =
            Prepared { part: Part::Whole(0), dialect: gate.dialect().clone(), generation: gate.known().generation, of };
        let reader = ResultReader::new(Request::Prepare, self.held());
        self.pending = Some(Pending { owed: Owed::Prepare(permit, prepared), reader });
        Ok(Flow::Taken)
    }

    /// COM_STMT_EXECUTE.
    pub(super) fn execute(
        &mut self,
        gate: &mut Gate,
        message: &Message<'_>,
        execute: &Execute<'_>,
    ) -> Result<Flow, End> {
        let number = self.statements.resolve(execute.statement);
        if self.desk.has(number) {
            return Ok(self.ask_execute(gate, number, execute));
        }
        if let Ready::NotYet(stop) = self.ready_for_sql(gate) {
            return Ok(Flow::Stop(stop));
        }
        let Some(statement) = self.statements.get(number) else { return Ok(self.unknown(number)) };
        let (held, long) = (self.held(), statement.long());
        let known = statement.known(&long);
        let found = execute.parameters(held, known)?;
        let recorded = parameters::mysql(&found, &statement.long_data, gate.parameters());
        let mut payload = Cow::Borrowed(&*message.payload);
        let mut types = None;
        if execute.binds_types(held, known) {
            types = Some(found.iter().map(|parameter| parameter.kind).collect());
        } else if !statement.types_sent {
            payload = execute.with_types(&message.payload, held, known).map_or(payload, Cow::Owned);
        }
        let packets = self.numbered(message, payload, number);
        Ok(self.run_prepared(gate, &packets, number, types, recorded))
    }

    /// MariaDB's COM_STMT_BULK_EXECUTE.
    pub(super) fn bulk_execute(
        &mut self,
        gate: &mut Gate,
        message: &Message<'_>,
        bulk: &BulkExecute<'_>,
    ) -> Result<Flow, End> {
        let number = self.statements.resolve(bulk.statement);
        if let Ready::NotYet(stop) = self.ready_for_sql(gate) {
            return Ok(Flow::Stop(stop));
        }
        let Some(statement) = self.statements.get(number) else { return Ok(self.unknown(number)) };
        let sets = bulk.parameters(statement.known(&[]))?;
        let types = sets.first().map(|set| set.iter().map(|parameter| parameter.kind).collect());
        let recorded = parameters::mysql_bulk(&sets, gate.parameters());
        let packets = self.numbered(message, Cow::Borrowed(&message.payload), number);
        Ok(self.run_prepared(gate, &packets, number, types, recorded))
    }

    /// The packets of a command for the statement `number`, which it names so, or as the last one: what the upstream
    /// takes for the last one is not left to it. `payload` is what the command says.
    pub(super) fn numbered<'m>(&self, message: &Message<'m>, mut payload: Cow<'_, [u8]>, number: u32) -> Cow<'m, [u8]> {
        let named = number.to_le_bytes();
        if payload.get(1..5).is_some_and(|name| name != named)
            && let Some(place) = payload.to_mut().get_mut(1..5)
        {
            place.copy_from_slice(&named);
        }
        match payload {
            Cow::Borrowed(_) => Cow::Borrowed(message.raw),
            Cow::Owned(payload) => {
                let mut packets = Vec::with_capacity(payload.len() + codec::HEADER);
                codec::put_message(&mut packets, &mut Sequence::start(Order::Checked), &payload);
                Cow::Owned(packets)
            }
        }
    }

    fn run_prepared(
        &mut self,
        gate: &mut Gate,
        packets: &[u8],
        number: u32,
        types: Option<Vec<ParameterType>>,
        recorded: Option<Box<str>>,
    ) -> Flow {
        let Some(statement) = self.statements.get_mut(number) else { return self.unknown(number) };
        // Clients bind types once: also when this execution is denied, later ones rely on them.
        if let Some(types) = types {
            statement.types = types;
            statement.types_sent = false;
        }
        let prepared = statement.prepared.clone();
        let types = statement.types.clone();
        if let Some(error) = self.aborted.take() {
            return self.deny(gate, &prepared.of.text, None, error);
        }
        let (prepared, run) = match self.plan_prepared(gate, &prepared) {
            Ok(planned) => planned,
            Err(_)
                if self.temporaries.any()
                    && let Some(stop) = self.ask_temporary() =>
            {
                return Flow::Stop(stop);
            }
            Err(error) => {
                let read = prepared.part.of(&prepared.of);
                return self.deny(gate, &prepared.of.text, read, error);
            }
        };
        if let Err(error) = compared_as_text(gate, &run, &types) {
            return self.deny(gate, &prepared.of.text, run.statement(), error);
        }
        let runs = vec![run];
        match self.ready_upstream(gate, &runs) {
            Ok(Ready::Yes) => {}
            Ok(Ready::NotYet(stop)) => return Flow::Stop(stop),
            Err(error) => return self.deny(gate, &prepared.of.text, None, error),
        }
        let reader = ResultReader::new(Request::Execute, self.held());
        let flow = self.send(gate, packets, &prepared.of, runs, Way::Execute(number), reader, recorded);
        if self.pending.is_some()
            && let Some(statement) = self.statements.get_mut(number)
        {
            statement.prepared = prepared;
            statement.types_sent = true;
            // The server forgets what came in pieces, and closes the cursor, with each execution.
            statement.long_data.clear();
            statement.cursor = None;
        }
        flow
    }

    /// COM_STMT_FETCH: more rows of a cursor, as long as the grant it was opened under lives.
    pub(super) fn fetch(&mut self, gate: &mut Gate, message: &Message<'_>, statement: u32) -> Result<Flow, End> {
        let number = self.statements.resolve(statement);
        if self.desk.has(number) {
            // Its rows came at once.
            return Ok(self.refuse(&ClientError::UnknownPortal(number.to_string()), None));
        }
        let Some(statement) = self.statements.get_mut(number) else { return Ok(self.unknown(number)) };
        let Some(cursor) = statement.cursor.take() else {
            return Ok(self.refuse(&ClientError::UnknownPortal(number.to_string()), None));
        };
        let of = std::sync::Arc::clone(&cursor.run.of);
        if let Err(error) = gate.still_granted(&cursor.allowance) {
            return Ok(self.deny(gate, &of.text, None, error));
        }
        let Cursor { run, bound, .. } = cursor;
        let run = Run { bound, ..run };
        let reader = ResultReader::new(Request::Fetch, self.held());
        let packets = self.numbered(message, Cow::Borrowed(&message.payload), number);
        Ok(self.send(gate, &packets, &of, vec![run], Way::Fetch(number), reader, None))
    }

    /// COM_STMT_RESET.
    pub(super) fn reset_statement(&mut self, message: &Message<'_>, statement: u32) -> Flow {
        let number = self.statements.resolve(statement);
        if self.desk.has(number) {
            self.desk.reset(number);
            self.reply_ok();
            return Flow::Taken;
        }
        let Some(statement) = self.statements.get_mut(number) else { return self.unknown(number) };
        statement.long_data.clear();
        statement.cursor = None;
        let packets = self.numbered(message, Cow::Borrowed(&message.payload), number);
        self.control(&packets, Request::Simple, Then::Nothing);
        Flow::Taken
    }

    /// A statement that was never prepared, or is closed; the server says the same.
    fn unknown(&mut self, number: u32) -> Flow {
        self.refuse(&ClientError::UnknownStatement(number.to_string()), None)
    }

    /// A statement was prepared.
    pub(super) fn was_prepared(&mut self, prepared: Prepared, number: u32, parameters: u16) {
        self.statements.insert(number, Statement::new(prepared, usize::from(parameters)));
        if self.held().flavour() == Flavour::MySql {
            // It has no last one.
            self.statements.forget_last();
        }
    }

    /// What preparing needs of the upstream session: that it stands behind the right fence.
    fn ready_to_prepare(&mut self, gate: &mut Gate, run: &Run) -> Result<Ready, ClientError> {
        let bare = Run::new(&run.of, usize::MAX, (std::sync::Arc::clone(&run.of), Part::Whole(usize::MAX)), {
            std::sync::Arc::clone(&run.allowance)
        });
        self.ready_upstream(gate, &[bare])
    }
}

/// A parameter that a masked column is compared with is a text: with a number or a date the server compares otherwise,
/// and tells more than whether they are equal.
fn compared_as_text(gate: &Gate, run: &Run, types: &[ParameterType]) -> Result<(), ClientError> {
    let compared = run.statement().map_or(&[][..], |statement| &statement.compared);
    if compared.is_empty() || run.allowance.unmask {
        return Ok(());
    }
    let known = gate.known();
    let text = |at: usize| types.get(at).is_none_or(|of| of.kind.is_text());
    let masked =
        |column: &ColumnRef| known.masks.mask_of(column).is_some_and(|mask| mask.in_predicates < InPredicates::Any);
    // A number beside a stored one is compared as what both are.
    let number = |at: usize, column: &ColumnRef| {
        types.get(at).is_some_and(|of| of.kind.is_number()) && is_number(&known.catalog, column)
    };
    match compared.iter().find(|(at, column)| !text(*at) && !number(*at, column) && masked(column)) {
        None => Ok(()),
        Some((at, column)) => {
            let message = format!("parameter {} is no text and compared with masked column {column}", at + 1);
            Err(ClientError::Refused(
                Refusal::new(RefusalKind::Forbidden, message)
                    .detail("compared as a number, a text tells how it begins")
                    .hint("bind the parameter as a string"),
            ))
        }
    }
}

/// Whether a text can be prepared: exactly one statement, and none that the proxy has to see itself each time.
fn preparable(statements: &[Read]) -> Result<(), ClientError> {
    let refuse = |kind, message: &str| Err(ClientError::Refused(Refusal::new(kind, message)));
    match statements {
        // The server says so itself, in its own words.
        [] => Ok(()),
        [Read { effect: Effect::Kill { .. } | Effect::Prepare { .. } | Effect::Execute { .. }, .. }] => {
            refuse(RefusalKind::NotPreparable, "This command is not supported in the prepared statement protocol yet")
        }
        [_] => Ok(()),
        _ => refuse(RefusalKind::Unparsed, "a prepared statement holds exactly one statement"),
    }
}
