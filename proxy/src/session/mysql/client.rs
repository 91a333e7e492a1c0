//! A client's packets by command. What holds SQL goes to `query` and `prepared`; the rest is followed and forwarded.

use std::borrow::Cow;

use hallpass_policy::{
    ids::UserName,
    statement::{Kill, Refusal, RefusalKind, inband::Inband},
};

use super::{
    Machine,
    outbox::{Control, quoted},
    pending::{Owed, Pending, Then},
};
use crate::{
    error::ClientError,
    session::{
        gate::Gate,
        machine::{End, Stop},
        registry::Signal,
    },
    wire::mysql::{
        backend::Status,
        codec::{self, FrameError, Message, Order, Sequence},
        encode,
        frontend::{Command, name},
        reader::{Request, ResultReader},
    },
};

/// The longest command that is taken; no server's `max_allowed_packet` is that large unless somebody made it so.
const LONGEST: usize = 256 << 20;

/// Whether a command was taken, or has to come again.
#[derive(Debug)]
pub(super) enum Flow {
    /// Taken.
    Taken,
    /// Not taken.
    Stop(Stop),
    /// Taken: the proxy itself is asked this.
    Asked(Vec<Inband>),
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        Self::Client(ClientError::ProtocolViolation(error.to_string()))
    }
}

impl Machine {
    /// Takes whole commands from the start of `input` and says how many bytes they were and why it stopped.
    ///
    /// # Errors
    /// When the client breaks the protocol: the session ends.
    pub(super) fn client(&mut self, gate: &mut Gate, input: &[u8]) -> Result<(usize, Stop), End> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if let Some(sequence) = self.file {
                match self.file_packet(sequence, rest)? {
                    Some(taken) => at += taken,
                    None => return Ok((at, Stop::NeedMore)),
                }
                continue;
            }
            if self.pending.is_some() || self.desk.waits() {
                return Ok((at, Stop::Hold));
            }
            match self.next_piece(gate)? {
                None => {}
                Some(Flow::Stop(stop)) => return Ok((at, stop)),
                Some(Flow::Taken | Flow::Asked(_)) => continue,
            }
            let mut sequence = Sequence::start(self.login.order);
            let Some(message) = codec::message(rest, &mut sequence, LONGEST)? else { return Ok((at, Stop::NeedMore)) };
            // Under compression nobody counts, and the upstream begins at 1.
            self.next = if self.login.order == Order::Loose { 1 } else { sequence.next() };
            let flow = self.command(gate, &message)?;
            if !matches!(flow, Flow::Stop(_)) {
                self.names.message_taken();
            }
            match flow {
                Flow::Taken => at += message.raw.len(),
                Flow::Stop(stop) => return Ok((at, stop)),
                Flow::Asked(questions) => return Ok((at + message.raw.len(), Stop::Ask(questions))),
            }
        }
    }

    /// A packet of the file that LOAD DATA LOCAL asked for; an empty one is its end.
    fn file_packet(&mut self, mut sequence: Sequence, rest: &[u8]) -> Result<Option<usize>, End> {
        let Some(header) = codec::header(rest) else { return Ok(None) };
        let Some(raw) = rest.get(..header.total()) else { return Ok(None) };
        // These go on with the answer's sequence.
        self.out.file(Control(raw), sequence);
        sequence.accept(header.sequence)?;
        self.next = sequence.next();
        // Behind a packet of full length an empty one continues it, and ends nothing.
        let over = header.length == 0 && !self.file_continues;
        self.file_continues = header.continues();
        self.file = (!over).then_some(sequence);
        Ok(Some(raw.len()))
    }

    pub(super) fn command(&mut self, gate: &mut Gate, message: &Message<'_>) -> Result<Flow, End> {
        let command = Command::decode(&message.payload, self.held())?;
        self.overlay(gate);
        match command {
            Command::Query(query) => self.query(gate, message, query.sql),
            Command::Prepare(text) => self.prepare(gate, message, text),
            Command::Execute(execute) => self.execute(gate, message, &execute),
            Command::BulkExecute(bulk) => self.bulk_execute(gate, message, &bulk),
            Command::Fetch { statement, .. } => self.fetch(gate, message, statement),
            Command::SendLongData { statement, parameter, data } => {
                let number = self.statements.resolve(statement);
                self.desk.piece(number, parameter, data);
                if let Some(statement) = self.statements.get_mut(number) {
                    statement.piece(parameter, data);
                    let packets = self.numbered(message, Cow::Borrowed(&message.payload), number);
                    self.out.control(Control(&packets), self.login.order);
                }
                // It has no answer: what is wrong with it comes out when the statement is executed.
                Ok(Flow::Taken)
            }
            Command::StatementClose(statement) => {
                let number = self.statements.resolve(statement);
                self.desk.close(number);
                if self.statements.remove(number).is_some() {
                    let packets = self.numbered(message, Cow::Borrowed(&message.payload), number);
                    self.out.control(Control(&packets), self.login.order);
                }
                Ok(Flow::Taken)
            }
            Command::StatementReset(statement) => Ok(self.reset_statement(message, statement)),
            Command::InitDb(database) => {
                let text = [b"USE ".as_slice(), quoted(&String::from_utf8_lossy(database)).as_bytes()].concat();
                self.stand_in(gate, message, &text, Request::Simple)
            }
            Command::FieldList { table, .. } => {
                let text =
                    [b"SHOW COLUMNS FROM ".as_slice(), quoted(&String::from_utf8_lossy(table)).as_bytes()].concat();
                self.stand_in(gate, message, &text, Request::FieldList)
            }
            Command::ProcessInfo => self.stand_in(gate, message, b"SHOW PROCESSLIST", Request::Query),
            Command::ProcessKill(connection) => {
                self.stand_in(gate, message, format!("KILL {connection}").as_bytes(), Request::Simple)
            }
            Command::Ping => Ok(self.forwarded_or_ok(message, Then::Nothing)),
            Command::ResetConnection => Ok(self.forwarded_or_ok(message, Then::Reset)),
            Command::SetOption(_) => Ok(self.needs_upstream(gate, message, Request::Simple, Then::Stateful)),
            Command::Statistics => {
                // What all sessions of the server do is not for everybody.
                let (mut sequence, text) = (self.sequence(), b"the server's statistics are its administrators' affair");
                codec::put_message(&mut self.out.client, &mut sequence, text);
                Ok(Flow::Taken)
            }
            Command::Quit => Ok(Flow::Stop(Stop::Goodbye)),
            Command::ChangeUser(_) => Ok(Flow::Stop(Stop::Relogin)),
            Command::Debug => Ok(self.unsupported(gate, "COM_DEBUG")),
            Command::Unsupported(number) => Ok(self.unsupported(gate, name(number))),
        }
    }

    /// A command that the proxy does not let through to anybody.
    fn unsupported(&mut self, gate: &mut Gate, command: &str) -> Flow {
        let refusal = Refusal::new(RefusalKind::Unsupported, format!("the command {command} is not supported"))
            .detail("it holds no statement that a grant could allow")
            .hint("connect to the server itself for replication and administration");
        self.deny(gate, &format!("({command})"), None, ClientError::Refused(refusal))
    }

    /// A command without SQL that means something to the upstream session only.
    fn forwarded_or_ok(&mut self, message: &Message<'_>, then: Then) -> Flow {
        if self.connected {
            self.control(message.raw, Request::Simple, then);
        } else {
            if matches!(then, Then::Reset) {
                self.desk.clear();
            }
            self.reply_ok();
        }
        Flow::Taken
    }

    /// A command without SQL that only the upstream can answer.
    fn needs_upstream(&mut self, gate: &mut Gate, message: &Message<'_>, request: Request, then: Then) -> Flow {
        match self.ready_upstream(gate, &[]) {
            Ok(super::own::Ready::Yes) => {
                self.control(message.raw, request, then);
                Flow::Taken
            }
            Ok(super::own::Ready::NotYet(stop)) => Flow::Stop(stop),
            Err(error) => {
                self.tell(&error, super::refuse::about(None, &error));
                Flow::Taken
            }
        }
    }

    /// Forwards a command without SQL.
    pub(super) fn control(&mut self, packets: &[u8], request: Request, then: Then) {
        self.out.control(Control(packets), self.login.order);
        let reader = ResultReader::new(request, self.held());
        self.pending = Some(Pending { owed: Owed::Control(then), reader });
    }

    /// Answers OK without the upstream.
    pub(super) fn reply_ok(&mut self) {
        let ok = encode::Ok { affected_rows: 0, status: self.status, warnings: 0, info: "" };
        let (mut sequence, held) = (self.sequence(), self.held());
        encode::ok(&mut self.out.client, &mut sequence, ok, held);
    }

    /// Ends a statement or session of the same user, by the number that the proxy gave out; false when there is none.
    pub(super) fn kill_own(&self, gate: &Gate, connection: u64, what: Kill) -> bool {
        let signal = match what {
            Kill::Query => Signal::Cancel,
            Kill::Connection => Signal::Kill,
        };
        let user: &UserName = gate.user();
        u32::try_from(connection).is_ok_and(|connection| gate.shared().sessions.signal_own(user, connection, signal))
    }

    /// The sequence of the next packet for the client.
    pub(super) fn sequence(&self) -> Sequence {
        Sequence::at(self.next, self.login.order)
    }

    /// The state that the session was in after login.
    pub(super) fn was_reset(&mut self) {
        self.statements.clear();
        self.temporaries.clear();
        self.desk.clear();
        self.warnings.clear();
        self.tx_allowances.clear();
        self.fence = None;
        self.values = None;
        self.aborted = None;
        self.settings_dirty = true;
        self.status = Status::AUTOCOMMIT;
        self.status_stale = false;
    }
}
