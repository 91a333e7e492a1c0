//! What each packet of an answer is: a machine over a server's payloads, told what was asked and what both sides can
//! do. The relay stands on it: it says where an answer ends, what may be a row, and keeps no packet and no row itself.
//! Source: MySQL internals manual, "Text Resultset", "Binary Protocol Resultset", "COM_STMT_PREPARE Response".

use thiserror::Error;

use super::{
    backend::{Column, Default, EofPacket, ErrPacket, Metadata, OkPacket, PrepareOk, Status, column_count, first},
    body::Malformed,
    capability::Capabilities,
    codec::MAX_PAYLOAD,
    frontend::Command,
};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Answered by OK (or EOF) or ERR: ping, use, reset, set option.
    Simple,
    /// A query, also SHOW PROCESSLIST as a command: results in text.
    Query,
    /// Prepare.
    Prepare,
    /// Execute, also in bulk: results in binary.
    Execute,
    /// The next rows of a cursor.
    Fetch,
    /// The columns of a table.
    FieldList,
    /// One line of text.
    Statistics,
}

impl Request {
    /// What the answer to `command` looks like; `None`: there is none, or it is a login of its own.
    pub fn of(command: &Command<'_>) -> Option<Self> {
        match command {
            Command::InitDb(_)
            | Command::ProcessKill(_)
            | Command::Debug
            | Command::Ping
            | Command::ResetConnection
            | Command::SetOption(_)
            | Command::StatementReset(_) => Some(Self::Simple),
            Command::Query(_) | Command::ProcessInfo => Some(Self::Query),
            Command::Prepare(_) => Some(Self::Prepare),
            Command::Execute(_) | Command::BulkExecute(_) => Some(Self::Execute),
            Command::Fetch { .. } => Some(Self::Fetch),
            Command::FieldList { .. } => Some(Self::FieldList),
            Command::Statistics => Some(Self::Statistics),
            Command::Quit
            | Command::ChangeUser(_)
            | Command::SendLongData { .. }
            | Command::StatementClose(_)
            | Command::Unsupported(_) => None,
        }
    }

    fn rows(self) -> RowFormat {
        match self {
            Self::Execute | Self::Fetch => RowFormat::Binary,
            Self::Simple | Self::Query | Self::Prepare | Self::FieldList | Self::Statistics => RowFormat::Text,
        }
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// Length-encoded strings.
    Text,
    /// A NULL bitmap and values by their type.
    Binary,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reply<'a> {
    /// A statement without a result is done, or a simple command.
    Ok(OkPacket<'a>),
    /// It failed: the whole answer ends here, also in mid-result.
    Err(ErrPacket<'a>),
    /// The server asks for a file of the client's: its name. The client sends the content and an empty packet; the
    /// machine waits for OK or ERR.
    LocalInfile(&'a [u8]),
    /// A result begins.
    Columns {
        /// How many columns.
        count: usize,
        /// Whether their definitions follow. Else they are those of the prepared statement.
        metadata: Metadata,
    },
    /// A prepared statement begins.
    Prepared(PrepareOk),
    /// The definition of parameter `index`.
    Parameter {
        /// Its place.
        index: usize,
        /// The definition.
        definition: Column<'a>,
    },
    /// The definition of column `index`.
    Column {
        /// Its place.
        index: usize,
        /// The definition.
        definition: Column<'a>,
    },
    /// Definitions end, rows follow: only without DEPRECATE_EOF.
    DefinitionsEnd(EofPacket),
    /// A row, to be taken apart by `rows`.
    Row(RowFormat),
    /// The rows of a result end, or a cursor's for now; or a list of fields.
    End {
        /// The state afterwards: MORE_RESULTS, CURSOR_EXISTS, LAST_ROW_SENT.
        status: Status,
        /// How many warnings wait.
        warnings: u16,
        /// With DEPRECATE_EOF an OK in EOF's place tells more.
        ok: Option<OkPacket<'a>>,
    },
    /// The line that COM_STATISTICS asks for.
    Text(&'a [u8]),
}

/// Whether more packets belong to the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next packet of the same result.
    More,
    /// This result is whole; another follows.
    NextResult,
    /// The client's file goes to the server first.
    File,
    /// The answer is whole.
    Done,
}

/// Why an answer cannot be understood. Nothing of it is forwarded from here on; the upstream connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// A packet is not what it must be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A packet that has no place here.
    #[error("the server sent a packet that has no place in its answer")]
    Unexpected,
    /// A packet after the end of the answer.
    #[error("the server sent a packet after its answer")]
    AfterEnd,
}

/// Where in the answer the next packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Parameters { next: usize, prepared: PrepareOk },
    PreparedColumns { next: usize, count: usize },
    ParametersEnd { prepared: PrepareOk },
    PreparedColumnsEnd,
    Columns { next: usize, count: usize },
    ColumnsEnd,
    Rows,
    Fields { next: usize },
    Statistics,
    AfterFile,
    Done,
}

/// Reads one answer.
#[derive(Clone, Copy, Debug)]
pub struct ResultReader {
    request: Request,
    held: Capabilities,
    state: State,
}

impl ResultReader {
    /// For the answer to `request` on a connection where `held` was agreed on.
    pub fn new(request: Request, held: Capabilities) -> Self {
        let state = match request {
            Request::Fetch => State::Rows,
            Request::FieldList => State::Fields { next: 0 },
            Request::Statistics => State::Statistics,
            Request::Simple | Request::Query | Request::Prepare | Request::Execute => State::Start,
        };
        Self { request, held, state }
    }

    /// Whether the answer is whole.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether a payload that begins with `byte` in a packet of `length` bytes is a row, without its other bytes: rows
    /// can then be passed through in pieces, or counted and copied in runs. Such a packet needs no [`ResultReader::read`].
    #[inline]
    pub fn is_row(&self, byte: u8, length: usize) -> bool {
        self.state == State::Rows && length > 0 && byte != first::ERR && !self.is_end(byte, length)
    }

    /// Whether the packet ends a list: EOF is short, the OK in its place fits one packet, and a row that begins with
    /// this byte (a length of eight bytes) does not.
    #[inline]
    fn is_end(&self, byte: u8, length: usize) -> bool {
        let limit = if self.held.has(Capabilities::DEPRECATE_EOF) { MAX_PAYLOAD } else { 9 };
        byte == first::EOF && length < limit
    }

    /// Says what the next payload is.
    ///
    /// # Errors
    /// [`ReadError`]; the machine stays where it was and takes nothing any more.
    pub fn read<'a>(&mut self, payload: &'a [u8]) -> Result<(Reply<'a>, Then), ReadError> {
        let read = self.step(payload);
        match read {
            Ok((reply, state)) => {
                self.state = state;
                Ok((reply, self.then(&reply)))
            }
            Err(error) => {
                self.state = State::Done;
                Err(error)
            }
        }
    }

    fn then(&self, reply: &Reply<'_>) -> Then {
        match (self.state, reply) {
            (State::Done, _) => Then::Done,
            (State::AfterFile, _) => Then::File,
            (_, Reply::Ok(_) | Reply::End { .. }) => Then::NextResult,
            _ => Then::More,
        }
    }

    fn step<'a>(&self, payload: &'a [u8]) -> Result<(Reply<'a>, State), ReadError> {
        let byte = *payload.first().ok_or(ReadError::Unexpected)?;
        if self.state == State::Done {
            return Err(ReadError::AfterEnd);
        }
        if byte == first::ERR {
            return Ok((Reply::Err(ErrPacket::decode(payload)?), State::Done));
        }
        match self.state {
            State::Start => self.start(byte, payload),
            State::AfterFile if byte == first::OK => self.ok(payload),
            State::AfterFile | State::Done => Err(ReadError::Unexpected),
            State::Statistics => Ok((Reply::Text(payload), State::Done)),
            State::Parameters { next, prepared } => {
                let definition = Column::decode(payload, self.held, Default::None)?;
                Ok((Reply::Parameter { index: next, definition }, self.parameters(next + 1, prepared)))
            }
            State::ParametersEnd { prepared } => {
                Ok((Reply::DefinitionsEnd(EofPacket::decode(payload)?), self.prepared_columns(prepared)))
            }
            State::PreparedColumns { next, count } => {
                let definition = Column::decode(payload, self.held, Default::None)?;
                let state = match (next + 1 < count, self.has_eofs()) {
                    (true, _) => State::PreparedColumns { next: next + 1, count },
                    (false, true) => State::PreparedColumnsEnd,
                    (false, false) => State::Done,
                };
                Ok((Reply::Column { index: next, definition }, state))
            }
            State::PreparedColumnsEnd => Ok((Reply::DefinitionsEnd(EofPacket::decode(payload)?), State::Done)),
            State::Columns { next, count } => {
                let definition = Column::decode(payload, self.held, Default::None)?;
                Ok((Reply::Column { index: next, definition }, self.columns(next + 1, count)))
            }
            State::ColumnsEnd => self.columns_end(payload),
            State::Fields { .. } if self.is_end(byte, payload.len()) => self.end(payload),
            State::Fields { next } => {
                let definition = Column::decode(payload, self.held, Default::Follows)?;
                Ok((Reply::Column { index: next, definition }, State::Fields { next: next + 1 }))
            }
            State::Rows if self.is_end(byte, payload.len()) => self.end(payload),
            State::Rows => Ok((Reply::Row(self.request.rows()), State::Rows)),
        }
    }

    fn has_eofs(&self) -> bool {
        !self.held.has(Capabilities::DEPRECATE_EOF)
    }

    fn start<'a>(&self, byte: u8, payload: &'a [u8]) -> Result<(Reply<'a>, State), ReadError> {
        match self.request {
            Request::Prepare => {
                let prepared = PrepareOk::decode(payload, self.held)?;
                Ok((Reply::Prepared(prepared), self.parameters(0, prepared)))
            }
            Request::Simple => match byte {
                first::OK => self.ok(payload),
                first::EOF => self.end(payload),
                _ => Err(ReadError::Unexpected),
            },
            Request::Query | Request::Execute => self.result(byte, payload),
            Request::Fetch | Request::FieldList | Request::Statistics => Err(ReadError::Unexpected),
        }
    }

    /// The first packet of a result.
    fn result<'a>(&self, byte: u8, payload: &'a [u8]) -> Result<(Reply<'a>, State), ReadError> {
        match byte {
            first::OK => self.ok(payload),
            first::EOF => Err(ReadError::Unexpected),
            first::LOCAL_INFILE => {
                let name = payload.get(1..).unwrap_or_default();
                Ok((Reply::LocalInfile(name), State::AfterFile))
            }
            _ => {
                let (count, metadata) = column_count(payload, self.held)?;
                let state = match metadata {
                    Metadata::Follows => State::Columns { next: 0, count },
                    Metadata::Omitted => self.columns(count, count),
                };
                Ok((Reply::Columns { count, metadata }, state))
            }
        }
    }

    fn ok<'a>(&self, payload: &'a [u8]) -> Result<(Reply<'a>, State), ReadError> {
        let ok = OkPacket::decode(payload, self.held)?;
        Ok((Reply::Ok(ok), Self::after(ok.status)))
    }

    fn end<'a>(&self, payload: &'a [u8]) -> Result<(Reply<'a>, State), ReadError> {
        if self.has_eofs() {
            let EofPacket { status, warnings } = EofPacket::decode(payload)?;
            return Ok((Reply::End { status, warnings, ok: None }, self.after_list(status)));
        }
        let ok = OkPacket::decode(payload, self.held)?;
        let end = Reply::End { status: ok.status, warnings: ok.warnings, ok: Some(ok) };
        Ok((end, self.after_list(ok.status)))
    }

    fn after(status: Status) -> State {
        if status.has(Status::MORE_RESULTS) { State::Start } else { State::Done }
    }

    /// A fetch and a list of fields are one list, whatever flags the server left on.
    fn after_list(&self, status: Status) -> State {
        match self.request {
            Request::Query | Request::Execute => Self::after(status),
            Request::Simple | Request::Prepare | Request::Fetch | Request::FieldList | Request::Statistics => {
                State::Done
            }
        }
    }

    /// Definitions may be left out; the EOF behind them is sent all the same.
    fn parameters(&self, next: usize, prepared: PrepareOk) -> State {
        let count = usize::from(prepared.parameters);
        if next < count && prepared.metadata == Metadata::Follows {
            State::Parameters { next, prepared }
        } else if count > 0 && self.has_eofs() {
            State::ParametersEnd { prepared }
        } else {
            self.prepared_columns(prepared)
        }
    }

    fn prepared_columns(&self, prepared: PrepareOk) -> State {
        match (usize::from(prepared.columns), prepared.metadata) {
            (0, _) => State::Done,
            (count, Metadata::Follows) => State::PreparedColumns { next: 0, count },
            (_, Metadata::Omitted) if self.has_eofs() => State::PreparedColumnsEnd,
            (_, Metadata::Omitted) => State::Done,
        }
    }

    fn columns(&self, next: usize, count: usize) -> State {
        if next < count {
            State::Columns { next, count }
        } else if self.has_eofs() {
            State::ColumnsEnd
        } else {
            State::Rows
        }
    }

    /// The EOF behind column definitions. With a cursor it is the end: rows come when they are fetched.
    fn columns_end<'a>(&self, payload: &'a [u8]) -> Result<(Reply<'a>, State), ReadError> {
        let eof = EofPacket::decode(payload)?;
        if self.request == Request::Execute && eof.status.has(Status::CURSOR_EXISTS) {
            let EofPacket { status, warnings } = eof;
            return Ok((Reply::End { status, warnings, ok: None }, Self::after(status)));
        }
        Ok((Reply::DefinitionsEnd(eof), State::Rows))
    }
}

#[cfg(test)]
mod tests;
