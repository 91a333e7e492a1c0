//! Questions to the proxy itself, by Query and by the extended protocol. What is prepared and bound for them is kept
//! here, beside the upstream's names: the upstream never hears of it. Asks nobody: the relay does, and brings the answer.

use std::sync::Arc;

use hallpass_policy::{
    ids::Timestamp,
    statement::{
        Effect, Refusal, RefusalKind, Statement, Verb,
        inband::{Inband, Kind, Told, Value},
    },
};

use super::{Machine, Wait, query::Flow};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, Outcome, Permit},
        hoard::{Hoard, Weigh},
        inband::{Answer, Cell, Table, civil},
        machine::Stop,
        parameters,
        target::Understanding,
    },
    wire::postgres::{
        backend::Field,
        codec::Format,
        encode,
        error::{Severity, notice_response},
        frontend::{Bind, Execute, Named, Parse},
    },
};

/// What the rows of a portal that are still to be fetched are taken to weigh.
const ROWS: usize = 64 << 10;

/// A statement that was prepared.
#[derive(Clone, Debug)]
struct Prepared {
    of: Arc<Understanding>,
    verb: Verb,
    inband: Inband,
    /// The types of its parameters, as the client is told.
    types: Arc<[u32]>,
}

/// A statement with its parameters.
#[derive(Clone, Debug)]
struct Portal {
    prepared: Prepared,
    bound: Inband,
    formats: Arc<[i16]>,
    parameters: Option<Box<str>>,
    /// What is still to be fetched; `None`: it has not run. It never runs twice, as on the server.
    rest: Option<Vec<Vec<Cell>>>,
}

impl Weigh for Prepared {
    fn weight(&self) -> usize {
        self.of.text.len()
    }
}

impl Weigh for Portal {
    fn weight(&self) -> usize {
        self.prepared.weight() + self.parameters.as_ref().map_or(0, |parameters| parameters.len()) + ROWS
    }
}

/// A text that waits for its answer.
#[derive(Debug)]
struct Asked {
    permit: Permit,
    verbs: Vec<Verb>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Simple,
    /// An Execute of this portal, and how many rows it wants at most; 0: all.
    Extended {
        portal: Box<[u8]>,
        most: usize,
    },
}

/// What a session has prepared for the proxy itself, and what it asks now.
#[derive(Debug, Default)]
pub(super) struct Desk {
    prepared: Hoard<Box<[u8]>, Prepared>,
    portals: Hoard<Box<[u8]>, Portal>,
    asked: Option<Asked>,
}

impl Desk {
    /// Whether an answer is awaited: nothing else is taken meanwhile.
    pub(super) fn waits(&self) -> bool {
        self.asked.is_some()
    }

    /// The upstream takes this name of a prepared statement over.
    pub(super) fn forget_prepared(&mut self, name: &[u8]) {
        self.prepared.remove(name);
    }

    /// The upstream takes this name of a portal over.
    pub(super) fn forget_portal(&mut self, name: &[u8]) {
        self.portals.remove(name);
    }

    /// DISCARD ALL, DEALLOCATE ALL.
    pub(super) fn clear(&mut self) {
        self.prepared.retain(|name, _| name.is_empty());
        self.portals.clear();
    }

    /// The transaction is over, and its portals with it.
    pub(super) fn end_transaction(&mut self) {
        self.portals.clear();
    }

    /// A Query takes the place of what has no name.
    pub(super) fn forget_unnamed(&mut self) {
        self.prepared.remove(&[][..]);
        self.portals.remove(&[][..]);
    }

    /// Whether a prepared statement or portal of that name is ours.
    pub(super) fn has(&self, named: Named<'_>) -> bool {
        match named {
            Named::Statement(name) => self.prepared.contains_key(name),
            Named::Portal(name) => self.portals.contains_key(name),
        }
    }
}

impl Machine {
    /// A Query that asks the proxy.
    pub(super) fn ask_query(
        &mut self,
        gate: &mut Gate,
        of: &Arc<Understanding>,
        questions: Vec<(Verb, Inband)>,
    ) -> Flow {
        if !self.pending.is_empty() {
            self.wait = Some(Wait::Drained);
            return Flow::Stop(Stop::Hold);
        }
        self.desk.forget_unnamed();
        if questions.iter().any(|(_, question)| !question.parameters().is_empty()) {
            return self.deny_query(gate, &of.text, no_parameter());
        }
        match self.permit_question(gate, of, None) {
            Ok(permit) => {
                let (verbs, questions) = questions.into_iter().unzip();
                self.desk.asked = Some(Asked { permit, verbs, way: Way::Simple });
                Flow::Asked(questions)
            }
            Err(error) => self.refuse_query(error),
        }
    }

    /// A Parse that asks the proxy.
    pub(super) fn ask_parse(
        &mut self,
        gate: &mut Gate,
        parse: &Parse<'_>,
        of: &Arc<Understanding>,
        (verb, inband): (Verb, Inband),
    ) -> Flow {
        if let Some(flow) = self.before_ours(gate) {
            return flow;
        }
        let room = self.desk.prepared.room(parse.statement, of.text.len(), "prepared statements");
        if let Err(error) = self.free_statement(parse.statement).and(room) {
            return self.deny_batch(gate, &of.text, error);
        }
        // What the upstream has under no name is out of reach from here on.
        let _ = self.names.set_prepared(parse.statement, None);
        let kinds = inband.parameters();
        let mut types: Vec<u32> = kinds.iter().map(|kind| type_of(*kind).0).collect();
        for (own, given) in types.iter_mut().zip(parse.types.iter()) {
            if given != 0 {
                *own = given;
            }
        }
        let prepared = Prepared { of: Arc::clone(of), verb, inband, types: types.into() };
        self.desk.prepared.insert(Box::from(parse.statement), prepared);
        let mut bytes = Vec::new();
        encode::parse_complete(&mut bytes);
        self.reply(bytes, false);
        Flow::Taken
    }

    /// A Bind of a statement of ours.
    pub(super) fn ask_bind(&mut self, gate: &mut Gate, bind: &Bind<'_>) -> Flow {
        if let Some(flow) = self.before_ours(gate) {
            return flow;
        }
        let Some(prepared) = self.desk.prepared.get(bind.statement).cloned() else { return Flow::Taken };
        if let Err(error) = self.free_portal(bind.portal) {
            return self.deny_batch(gate, &prepared.of.text, error);
        }
        let _ = self.names.set_portal(bind.portal, None);
        let values = match values(bind, &prepared.types) {
            Ok(values) => values,
            Err(error) => return self.deny_batch(gate, &prepared.of.text, error),
        };
        let portal = Portal {
            bound: prepared.inband.bound(&values),
            formats: bind.result_formats.codes().collect(),
            parameters: parameters::postgres(bind, gate.parameters()),
            rest: None,
            prepared,
        };
        if let Err(error) = self.desk.portals.room(bind.portal, portal.weight(), "portals") {
            return self.deny_batch(gate, &portal.prepared.of.text, error);
        }
        self.desk.portals.insert(Box::from(bind.portal), portal);
        let mut bytes = Vec::new();
        encode::bind_complete(&mut bytes);
        self.reply(bytes, false);
        Flow::Taken
    }

    /// What the client sent before a message for us is answered first: it may fail, and then this one is skipped.
    fn before_ours(&mut self, gate: &mut Gate) -> Option<Flow> {
        self.settle_held(gate);
        if self.skip {
            return Some(Flow::Taken);
        }
        if self.pending.is_empty() {
            return None;
        }
        // The upstream keeps its answers until it is asked for them.
        self.out.own_flush();
        self.wait = Some(Wait::Drained);
        Some(Flow::Stop(Stop::Hold))
    }

    /// Whether nothing is prepared under this name.
    ///
    /// # Errors
    /// In the server's words, when something is.
    pub(super) fn free_statement(&self, name: &[u8]) -> Result<(), ClientError> {
        let taken = self.names.prepared(name).is_some() || self.desk.prepared.contains_key(name);
        if name.is_empty() || !taken { Ok(()) } else { Err(in_use("prepared statement", name, "42P05")) }
    }

    /// Whether no portal has this name.
    ///
    /// # Errors
    /// In the server's words, when one has.
    pub(super) fn free_portal(&self, name: &[u8]) -> Result<(), ClientError> {
        let taken = self.names.portal(name).is_some() || self.desk.portals.contains_key(name);
        if name.is_empty() || !taken { Ok(()) } else { Err(in_use("portal", name, "42P03")) }
    }

    /// A Describe of something of ours.
    pub(super) fn ask_describe(&mut self, gate: &mut Gate, named: Named<'_>) -> Flow {
        if let Some(flow) = self.before_ours(gate) {
            return flow;
        }
        let mut bytes = Vec::new();
        match named {
            Named::Statement(name) => {
                if let Some(prepared) = self.desk.prepared.get(name) {
                    // A handful of types always fits.
                    let _ = encode::parameter_description(&mut bytes, &prepared.types);
                    describe(&mut bytes, &prepared.inband.columns(), &[]);
                }
            }
            Named::Portal(name) => {
                if let Some(portal) = self.desk.portals.get(name) {
                    describe(&mut bytes, &portal.bound.columns(), &portal.formats);
                }
            }
        }
        self.reply(bytes, false);
        Flow::Taken
    }

    /// An Execute of a portal of ours.
    pub(super) fn ask_execute(&mut self, gate: &mut Gate, execute: &Execute<'_>) -> Flow {
        if let Some(flow) = self.before_ours(gate) {
            return flow;
        }
        let Some(portal) = self.desk.portals.get_mut(execute.portal) else { return Flow::Taken };
        let most = usize::try_from(execute.max_rows).unwrap_or(0);
        if let Some(rest) = portal.rest.take() {
            let mut bytes = Vec::new();
            portal.rest = Some(some_rows(&mut bytes, rest, most, &portal.formats, portal.prepared.verb));
            self.reply(bytes, false);
            return Flow::Taken;
        }
        let (of, verb) = (Arc::clone(&portal.prepared.of), portal.prepared.verb);
        let (question, recorded) = (portal.bound.clone(), portal.parameters.clone());
        match self.permit_question(gate, &of, recorded) {
            Ok(permit) => {
                let way = Way::Extended { portal: Box::from(execute.portal), most };
                self.desk.asked = Some(Asked { permit, verbs: vec![verb], way });
                Flow::Asked(vec![question])
            }
            Err(error) => self.refuse_batch(gate, error),
        }
    }

    /// A Close of something of ours.
    pub(super) fn ask_close(&mut self, gate: &mut Gate, named: Named<'_>) -> Flow {
        if let Some(flow) = self.before_ours(gate) {
            return flow;
        }
        match named {
            Named::Statement(name) => self.desk.forget_prepared(name),
            Named::Portal(name) => self.desk.forget_portal(name),
        }
        let mut bytes = Vec::new();
        encode::close_complete(&mut bytes);
        self.reply(bytes, false);
        Flow::Taken
    }

    /// `DEALLOCATE name` of something of ours; `None` when it is the upstream's.
    pub(super) fn deallocate_own(&mut self, statements: &[Statement]) -> Option<Flow> {
        let [Statement { effect: Effect::Deallocate(Some(name)), .. }] = statements else { return None };
        self.desk.prepared.remove(name.as_bytes())?;
        let mut bytes = Vec::new();
        // A constant of ours.
        let _ = encode::command_complete(&mut bytes, "DEALLOCATE");
        self.reply(bytes, true);
        Some(Flow::Taken)
    }

    fn permit_question(
        &self,
        gate: &mut Gate,
        of: &Understanding,
        parameters: Option<Box<str>>,
    ) -> Result<Permit, ClientError> {
        let permit = gate.permit_answer(of, parameters)?;
        gate.running(&of.text, permit.allowance());
        Ok(permit)
    }

    /// The session ends before the answer comes. What a call has begun is done all the same; the ledger tells of it.
    pub(super) fn abandon_question(&mut self, gate: &mut Gate, sqlstate: &str, reason: &str) {
        if let Some(asked) = self.desk.asked.take() {
            gate.outcome(&asked.permit, Outcome::failed(sqlstate, reason));
        }
    }

    /// The answer to what was asked.
    pub(super) fn question_answered(&mut self, gate: &mut Gate, answer: Answer) {
        let Some(Asked { permit, verbs, way }) = self.desk.asked.take() else { return };
        gate.idle();
        gate.outcome(&permit, answer.outcome());
        let mut bytes = Vec::new();
        for (table, verb) in answer.tables.into_iter().zip(verbs) {
            if let Some(notice) = &table.notice {
                notice_response(&mut bytes, Severity::Notice, "00000", notice, None, None);
            }
            match &way {
                Way::Simple => {
                    describe(&mut bytes, &table.columns, &[]);
                    some_rows(&mut bytes, table.rows, 0, &[], verb);
                }
                Way::Extended { portal, most } => self.first_rows(&mut bytes, table, portal, *most, verb),
            }
        }
        match (answer.error, way) {
            (None, Way::Simple) => self.reply(bytes, true),
            (None, Way::Extended { .. }) => self.reply(bytes, false),
            (Some(error), Way::Simple) => {
                self.reply(bytes, false);
                self.refuse_query(error);
            }
            (Some(error), Way::Extended { .. }) => {
                self.refuse_batch(gate, error);
            }
        }
    }

    fn first_rows(&mut self, bytes: &mut Vec<u8>, table: Table, portal: &[u8], most: usize, verb: Verb) {
        let Some(portal) = self.desk.portals.get_mut(portal) else { return };
        portal.rest = Some(some_rows(bytes, table.rows, most, &portal.formats, verb));
    }
}

fn no_parameter() -> ClientError {
    ClientError::Refused(
        Refusal::new(RefusalKind::Unparsed, "there is no parameter $1")
            .hint("parameters need the extended protocol: in psql, \\bind"),
    )
}

fn in_use(what: &str, name: &[u8], sqlstate: &'static str) -> ClientError {
    let message = format!("{what} \"{}\" already exists", String::from_utf8_lossy(name));
    ClientError::Asked { message, hint: String::new(), sqlstate }
}

/// A kind's type number and size.
fn type_of(kind: Kind) -> (u32, i16) {
    match kind {
        Kind::Boolean => (16, 1),
        Kind::Integer => (20, 8),
        Kind::Text => (25, -1),
        Kind::Time => (1184, 8),
    }
}

fn format_of(formats: &[i16], column: usize) -> Format {
    let code = match formats {
        [one] => *one,
        _ => formats.get(column).copied().unwrap_or(0),
    };
    if code == 1 { Format::Binary } else { Format::Text }
}

fn describe(out: &mut Vec<u8>, columns: &[Told], formats: &[i16]) {
    let field = |(index, column): (usize, &'_ Told)| {
        let (type_oid, type_size) = type_of(column.kind);
        let name = column.name.replace('\0', "");
        (name, type_oid, type_size, format_of(formats, index))
    };
    let told: Vec<_> = columns.iter().enumerate().map(field).collect();
    let fields: Vec<_> = told
        .iter()
        .map(|(name, type_oid, type_size, format)| Field {
            name: name.as_bytes(),
            table: 0,
            attribute: 0,
            type_oid: *type_oid,
            type_size: *type_size,
            modifier: -1,
            format: *format,
        })
        .collect();
    // A handful of columns without NULs always fits.
    let _ = encode::row_description(out, &fields);
}

/// Appends at most `most` rows (0: all) and how the portal ends; what is left of them. One that has given as many as it
/// may is suspended, even if none are left: so is the server's.
fn some_rows(out: &mut Vec<u8>, mut rows: Vec<Vec<Cell>>, most: usize, formats: &[i16], verb: Verb) -> Vec<Vec<Cell>> {
    let suspended = most > 0 && rows.len() >= most;
    let rest = if suspended { rows.split_off(most) } else { Vec::new() };
    for row in &rows {
        let values: Vec<_> =
            row.iter().enumerate().map(|(index, cell)| encoded(cell, format_of(formats, index))).collect();
        // Our own texts are far below the limit.
        let _ = encode::data_row(out, &values);
    }
    if suspended {
        encode::portal_suspended(out);
    } else {
        let tag = if verb == "SELECT" { format!("SELECT {}", rows.len()) } else { verb.to_owned() };
        // A tag of ours holds no NUL.
        let _ = encode::command_complete(out, &tag);
    }
    rest
}

/// Microseconds from 1970 to 2000, where the binary format begins to count.
const EPOCH: i64 = 946_684_800_000_000;

fn encoded(cell: &Cell, format: Format) -> Option<Vec<u8>> {
    let binary = format == Format::Binary;
    Some(match cell {
        Cell::Null => return None,
        Cell::Text(text) => text.replace('\0', "").into_bytes(),
        Cell::Integer(number) if binary => number.to_be_bytes().to_vec(),
        Cell::Integer(number) => number.to_string().into_bytes(),
        Cell::Time(at) if binary => at.0.saturating_sub(EPOCH).to_be_bytes().to_vec(),
        Cell::Time(at) => format!("{}+00", civil(*at)).into_bytes(),
        Cell::Boolean(yes) if binary => vec![u8::from(*yes)],
        Cell::Boolean(yes) => if *yes { "t" } else { "f" }.into(),
    })
}

/// A Bind's parameters, read by the types that the client was told or has told.
fn values(bind: &Bind<'_>, types: &[u32]) -> Result<Vec<Value>, ClientError> {
    let wrong = |message: String| ClientError::Asked { message, hint: String::new(), sqlstate: "08P01" };
    if bind.parameters.len() != types.len() {
        let (given, wanted) = (bind.parameters.len(), types.len());
        return Err(wrong(format!("bind message supplies {given} parameters, but the statement requires {wanted}")));
    }
    let read = |(index, (value, oid)): (usize, (Option<&[u8]>, &u32))| {
        let Some(value) = value else { return Ok(Value::Null) };
        let misfit = || wrong(format!("parameter ${} is no value of its type", index + 1));
        let binary = bind.parameter_formats.get(index) == Some(Format::Binary);
        match (binary, *oid) {
            (true, 20) => value.try_into().map(|bytes| Value::Integer(i64::from_be_bytes(bytes))).map_err(|_| misfit()),
            (true, 21) => {
                value.try_into().map(|bytes| Value::Integer(i16::from_be_bytes(bytes).into())).map_err(|_| misfit())
            }
            (true, 23) => {
                value.try_into().map(|bytes| Value::Integer(i32::from_be_bytes(bytes).into())).map_err(|_| misfit())
            }
            (true, 16) => Ok(Value::Boolean(value != [0])),
            // timestamp, which is taken for one of UTC, and timestamptz.
            (true, 1114 | 1184) => value.try_into().map_err(|_| misfit()).map(|bytes| {
                let at = Timestamp(i64::from_be_bytes(bytes).saturating_add(EPOCH));
                Value::Text(format!("{}Z", civil(at)).into())
            }),
            (false, _) | (true, 25 | 19 | 1042 | 1043 | 705 | 0) => {
                std::str::from_utf8(value).map(|text| Value::Text(text.into())).map_err(|_| misfit())
            }
            (true, other) => {
                Err(wrong(format!("parameter ${} has a type (oid {other}) that is not read here", index + 1)))
            }
        }
    };
    bind.parameters.iter().zip(types).enumerate().map(read).collect()
}
