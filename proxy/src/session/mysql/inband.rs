//! Questions to the proxy itself, by COM_QUERY and as prepared statements. What is prepared for them is kept here, under
//! numbers that no server gives; the upstream never hears of it. Asks nobody: the relay does, and brings the answer.

use std::sync::Arc;

use hallpass_policy::statement::{
    Refusal, RefusalKind, Verb,
    inband::{Inband, Kind, Told, Value},
};

use super::{Machine, client::Flow, names::LongData};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, Outcome, Permit},
        hoard::{Hoard, Weigh},
        inband::{Answer, Cell, Table},
        parameters,
        target::Understanding,
    },
    wire::mysql::{
        backend::{Metadata, PrepareOk, Status},
        capability::{Capabilities, Flavour},
        charset::Charset,
        codec::Sequence,
        encode,
        execute::{self, Execute, Known, Parameter, ParameterType, Sign},
        reader::RowFormat,
        resultset::{self, OwnColumn, OwnValue},
        value::Type,
    },
};

/// Where numbers of prepared statements of ours begin: servers count from 1.
const FIRST: u32 = 0x7000_0000;

/// A statement that was prepared.
#[derive(Debug)]
struct Prepared {
    of: Arc<Understanding>,
    inband: Inband,
    parameters: usize,
    /// Their types, as last bound.
    types: Vec<ParameterType>,
    /// Those that came in pieces, until the next execution.
    long: Vec<Option<Vec<u8>>>,
}

/// The longest parameter that is taken in pieces: statements that are asked for are shorter.
const LONGEST: usize = 1 << 20;

/// What a parameter is taken to weigh, whatever is sent for it.
const PARAMETER: usize = 64 << 10;

impl Weigh for Prepared {
    fn weight(&self) -> usize {
        self.of.text.len() + self.parameters * PARAMETER
    }
}

/// A text that waits for its answer.
#[derive(Debug)]
struct Asked {
    permit: Permit,
    format: RowFormat,
}

/// What a session has prepared for the proxy itself, and what it asks now.
#[derive(Debug, Default)]
pub(super) struct Desk {
    prepared: Hoard<u32, Prepared>,
    given: u32,
    asked: Option<Asked>,
}

impl Desk {
    /// Whether an answer is awaited: nothing else is taken meanwhile.
    pub(super) fn waits(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether the prepared statement of this number is ours.
    pub(super) fn has(&self, number: u32) -> bool {
        self.prepared.contains_key(&number)
    }

    /// COM_STMT_SEND_LONG_DATA.
    pub(super) fn piece(&mut self, number: u32, parameter: u16, data: &[u8]) {
        let Some(prepared) = self.prepared.get_mut(&number) else { return };
        if let Some(slot) = prepared.long.get_mut(usize::from(parameter)) {
            let kept = slot.get_or_insert_default();
            // One byte more than may be is enough to tell.
            let room = (LONGEST + 1).saturating_sub(kept.len());
            kept.extend_from_slice(data.get(..room).unwrap_or(data));
        }
    }

    /// COM_STMT_RESET.
    pub(super) fn reset(&mut self, number: u32) {
        if let Some(prepared) = self.prepared.get_mut(&number) {
            prepared.long.fill(None);
        }
    }

    /// COM_STMT_CLOSE.
    pub(super) fn close(&mut self, number: u32) {
        self.prepared.remove(&number);
    }

    /// The session was reset.
    pub(super) fn clear(&mut self) {
        self.prepared.clear();
    }
}

impl Machine {
    /// A COM_QUERY that asks the proxy.
    pub(super) fn ask_query(
        &mut self,
        gate: &mut Gate,
        of: &Arc<Understanding>,
        questions: Vec<(Verb, Inband)>,
    ) -> Flow {
        if questions.iter().any(|(_, question)| !question.parameters().is_empty()) {
            let refusal = Refusal::new(RefusalKind::Unparsed, "you have an error in your SQL syntax near '?'")
                .hint("prepare a statement that has parameters");
            return self.deny(gate, &of.text, None, ClientError::Refused(refusal));
        }
        let questions = questions.into_iter().map(|(_, question)| question).collect();
        self.permit_question(gate, of, None, RowFormat::Text, questions)
    }

    /// A COM_STMT_PREPARE that asks the proxy.
    pub(super) fn ask_prepare(&mut self, gate: &mut Gate, of: &Arc<Understanding>, inband: Inband) -> Flow {
        let (columns, parameters) = (inband.columns(), inband.parameters().len());
        let prepared =
            Prepared { of: Arc::clone(of), inband, parameters, types: Vec::new(), long: vec![None; parameters] };
        let number = FIRST + self.desk.given + 1;
        if let Err(error) = self.desk.prepared.room(&number, prepared.weight(), "prepared statements") {
            return self.deny(gate, &of.text, None, error);
        }
        self.desk.given += 1;
        let counted = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let ok = PrepareOk {
            statement: number,
            columns: counted(columns.len()),
            parameters: counted(parameters),
            warnings: 0,
            metadata: Metadata::Follows,
        };
        let (held, status) = (self.held(), self.status);
        let mut sequence = self.sequence();
        let out = &mut self.out.client;
        encode::prepare_ok(out, &mut sequence, ok, held);
        for _ in 0..parameters {
            resultset::definition(out, &mut sequence, column("?", Kind::Text), held);
        }
        if parameters > 0 {
            encode::definitions_end(out, &mut sequence, status, held);
        }
        for told in &columns {
            resultset::definition(out, &mut sequence, column(&told.name, told.kind), held);
        }
        if !columns.is_empty() {
            encode::definitions_end(out, &mut sequence, status, held);
        }
        self.next = sequence.next();
        self.desk.prepared.insert(number, prepared);
        if held.flavour() == Flavour::MariaDb {
            self.statements.note_last(number);
        }
        Flow::Taken
    }

    /// A COM_STMT_EXECUTE of a statement of ours.
    pub(super) fn ask_execute(&mut self, gate: &mut Gate, number: u32, execute: &Execute<'_>) -> Flow {
        let (held, charset) = (self.held(), self.charset);
        let Some(prepared) = self.desk.prepared.get_mut(&number) else { return Flow::Taken };
        // Each execution takes what came in pieces with it.
        let long = std::mem::replace(&mut prepared.long, vec![None; prepared.parameters]);
        let flags: Vec<_> = long.iter().map(Option::is_some).collect();
        let known = Known { parameters: prepared.parameters, types: &prepared.types, long_data: &flags };
        let (found, binds) = (execute.parameters(held, known), execute.binds_types(held, known));
        let of = Arc::clone(&prepared.of);
        let read = found.map_err(|error| misfit(error.to_string())).and_then(|found| {
            if binds {
                prepared.types = found.iter().map(|parameter| parameter.kind).collect();
            }
            let mine = found.get(..prepared.parameters).unwrap_or_default();
            let whole = |(at, parameter): (usize, &Parameter<'_>)| match long.get(at) {
                Some(Some(bytes)) => text(bytes, charset),
                Some(None) | None => value(parameter, charset),
            };
            let values = mine.iter().enumerate().map(whole).collect::<Result<Vec<_>, _>>()?;
            let pieces: Vec<_> =
                long.iter().map(|bytes| bytes.as_deref().map(|bytes| Box::new(LongData::of(bytes)))).collect();
            let recorded = parameters::mysql(&found, &pieces, gate.parameters());
            Ok((prepared.inband.bound(&values), recorded))
        });
        match read {
            Ok((question, recorded)) => self.permit_question(gate, &of, recorded, RowFormat::Binary, vec![question]),
            Err(error) => self.deny(gate, &of.text, None, error),
        }
    }

    fn permit_question(
        &mut self,
        gate: &mut Gate,
        of: &Understanding,
        parameters: Option<Box<str>>,
        format: RowFormat,
        questions: Vec<Inband>,
    ) -> Flow {
        match gate.permit_answer(of, parameters) {
            Ok(permit) => {
                gate.running(&of.text, permit.allowance());
                self.warnings.question();
                self.desk.asked = Some(Asked { permit, format });
                Flow::Asked(questions)
            }
            Err(error) => self.refuse(&error, None),
        }
    }

    /// The session ends before the answer comes. What a call has begun is done all the same; the ledger tells of it.
    pub(super) fn abandon_question(&mut self, gate: &mut Gate, sqlstate: &str, reason: &str) {
        if let Some(asked) = self.desk.asked.take() {
            gate.outcome(&asked.permit, Outcome::failed(sqlstate, reason));
        }
    }

    /// The answer to what was asked.
    pub(super) fn question_answered(&mut self, gate: &mut Gate, answer: Answer) {
        let Some(Asked { permit, format }) = self.desk.asked.take() else { return };
        gate.idle();
        gate.outcome(&permit, answer.outcome());
        let (held, own) = (self.held(), self.status);
        let mut sequence = self.sequence();
        let last = answer.tables.len().saturating_sub(1);
        for (at, table) in answer.tables.iter().enumerate() {
            if let Some(notice) = &table.notice {
                self.warnings.note(notice, "");
            }
            let more = at < last || answer.error.is_some();
            let status = if more { Status(own.0 | Status::MORE_RESULTS.0) } else { own };
            let warnings = self.warnings.tell();
            write(&mut self.out.client, &mut sequence, table, status, warnings, format, held);
        }
        self.next = sequence.next();
        if let Some(error) = &answer.error {
            self.refuse(error, None);
        }
    }
}

fn write(
    out: &mut Vec<u8>,
    sequence: &mut Sequence,
    table: &Table,
    status: Status,
    warnings: u16,
    format: RowFormat,
    held: Capabilities,
) {
    let columns: Vec<_> = table.columns.iter().map(|told: &Told| column(&told.name, told.kind)).collect();
    resultset::begin(out, sequence, &columns, status, held);
    for row in &table.rows {
        let values: Vec<_> = row
            .iter()
            .map(|cell| match cell {
                Cell::Null => OwnValue::Null,
                Cell::Text(text) => OwnValue::Text(text),
                Cell::Integer(number) => OwnValue::Integer(*number),
                Cell::Time(at) => OwnValue::Moment(at.0),
                Cell::Boolean(yes) => OwnValue::Boolean(*yes),
            })
            .collect();
        resultset::row(out, sequence, &values, format);
    }
    encode::end(out, sequence, status, warnings, held);
}

fn column(name: &str, kind: Kind) -> OwnColumn<'_> {
    let kind = match kind {
        Kind::Text => resultset::Kind::Text,
        Kind::Integer => resultset::Kind::Integer,
        Kind::Time => resultset::Kind::Moment,
        Kind::Boolean => resultset::Kind::Boolean,
    };
    OwnColumn { schema: "", table: "", name, kind }
}

fn misfit(message: String) -> ClientError {
    ClientError::Asked { message, hint: "send texts as strings and numbers as integers".into(), sqlstate: "22023" }
}

fn text(bytes: &[u8], charset: Charset) -> Result<Value, ClientError> {
    if bytes.len() > LONGEST {
        return Err(misfit(format!("a parameter is longer than {LONGEST} bytes")));
    }
    let decoded = charset.decode(bytes).map(|text| Value::Text(text.as_ref().into()));
    decoded.ok_or_else(|| misfit(format!("a parameter is no text in {}", charset.name())))
}

/// A parameter as a constant.
fn value(parameter: &Parameter<'_>, charset: Charset) -> Result<Value, ClientError> {
    let bytes = match parameter.value {
        execute::Value::Null | execute::Value::Default | execute::Value::Ignore => return Ok(Value::Null),
        execute::Value::LongData => return Err(misfit("a parameter of this statement did not come".into())),
        execute::Value::Bytes(bytes) => bytes,
    };
    let wrong = || misfit("a parameter is no value of its type".into());
    let kind = parameter.kind.kind;
    match (kind, bytes) {
        (Type::TINY | Type::SHORT | Type::YEAR | Type::LONG | Type::INT24 | Type::LONGLONG, bytes) => {
            let mut wide = [0; 8];
            let negative = parameter.kind.sign == Sign::Signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            wide.fill(if negative { 0xff } else { 0 });
            wide.get_mut(..bytes.len()).ok_or_else(wrong)?.copy_from_slice(bytes);
            Ok(Value::Integer(i64::from_le_bytes(wide)))
        }
        (Type::DOUBLE, bytes) => {
            // Some clients know no other numbers.
            let number = f64::from_le_bytes(bytes.try_into().map_err(|_| wrong())?);
            let whole = format!("{number:.0}").parse().ok().filter(|_| number.fract() == 0.0);
            whole.map(Value::Integer).ok_or_else(wrong)
        }
        (
            Type::VARCHAR
            | Type::VAR_STRING
            | Type::STRING
            | Type::TINY_BLOB
            | Type::MEDIUM_BLOB
            | Type::LONG_BLOB
            | Type::BLOB
            | Type::DECIMAL
            | Type::NEWDECIMAL
            | Type::ENUM
            | Type::JSON,
            bytes,
        ) => text(bytes, charset),
        _ => Err(misfit("a parameter has a type that is not read here".into())),
    }
}
