//! Commands and their answers: text and binary results, several of them, prepared statements, cursors, local files.

use super::{
    Client, Column, Done, Fault, NoMessage, Reply, Value, command, flags,
    packet::{LONGEST, Reader, text},
    value::binary_row,
};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// As text.
    Text,
    /// In the binary protocol.
    Binary,
}

/// A prepared statement.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its id.
    pub id: u32,
    /// Its parameters.
    pub params: Vec<Column>,
    /// Its columns.
    pub columns: Vec<Column>,
    /// How many warnings preparing gave.
    pub warnings: u16,
}

/// No whole answer came; what came stands in the [`Reply`].
#[derive(Debug)]
struct Gone(NoMessage);

impl Client {
    fn has(&self, flag: u64) -> bool {
        self.capabilities & flag != 0
    }

    /// A text query and its whole answer.
    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Reply {
        self.query_bytes(sql.as_bytes())
    }

    /// The same for bytes in any encoding.
    #[track_caller]
    pub fn query_bytes(&mut self, sql: &[u8]) -> Reply {
        self.start(sql);
        self.reply(Rows::Text)
    }

    /// A text query whose answer is to be read with [`Client::reply`].
    pub fn start(&mut self, sql: &[u8]) {
        let attributes = self.has(flags::QUERY_ATTRIBUTES);
        self.send_command(&command::query(sql, attributes));
    }

    /// A command that is answered like a query: COM_PING, COM_INIT_DB, COM_RESET_CONNECTION.
    #[track_caller]
    pub fn command(&mut self, number: u8, body: &[u8]) -> Reply {
        self.send_command(&command::command(number, body));
        self.reply(Rows::Text)
    }

    /// COM_STMT_PREPARE.
    ///
    /// # Errors
    /// What the server said; nothing in particular when the connection closed.
    pub fn prepare(&mut self, sql: &str) -> Result<Prepared, Fault> {
        self.send_command(&command::command(command::PREPARE, sql.as_bytes()));
        self.prepared()
    }

    /// The answer to a COM_STMT_PREPARE.
    ///
    /// # Errors
    /// As [`Client::prepare`].
    pub fn prepared(&mut self) -> Result<Prepared, Fault> {
        let payload = self.next(self.limit).map_err(|_| Fault::default())?;
        if payload[0] == 0xFF {
            return Err(Fault::read(&payload));
        }
        if payload.len() < 12 {
            // MySQL 9 answers `SET GLOBAL foreign_key_checks = 0` so: all is well, and nothing is prepared.
            return Err(Fault {
                message: format!("an OK that names no statement: {payload:02x?}"),
                ..Fault::default()
            });
        }
        let mut reader = Reader(&payload[1..]);
        let id = u32::try_from(reader.int(4)).expect("four bytes");
        let (columns, params) = (reader.short(), reader.short());
        reader.take(1);
        let warnings = reader.short();
        let metadata = !self.has(flags::OPTIONAL_METADATA) || reader.0.first() != Some(&0);
        let mut lists = [params, columns].map(|count| (count, Vec::new()));
        for (count, list) in lists.iter_mut().filter(|(count, _)| *count > 0 && metadata) {
            for _ in 0..*count {
                let payload = self.next(self.limit).map_err(|_| Fault::default())?;
                list.push(Column::read(&payload, self.capabilities));
            }
            if !self.has(flags::DEPRECATE_EOF) {
                let eof = self.next(self.limit).map_err(|_| Fault::default())?;
                assert_eq!(eof[0], 0xFE, "an EOF behind the definitions: {eof:02x?}");
            }
        }
        let [(_, params), (_, columns)] = lists;
        Ok(Prepared { id, params, columns, warnings })
    }

    /// COM_STMT_EXECUTE and its whole answer; with a cursor, only the columns come.
    #[track_caller]
    pub fn execute(&mut self, statement: &Prepared, params: &[Value], cursor: u8) -> Reply {
        let attributes = self.has(flags::QUERY_ATTRIBUTES);
        self.send_command(&command::execute(statement.id, params, cursor, attributes));
        self.reply_of(Rows::Binary, &statement.columns)
    }

    /// COM_STMT_FETCH: rows of an open cursor.
    #[track_caller]
    pub fn fetch(&mut self, statement: &Prepared, rows: u32) -> Reply {
        self.send_command(&command::fetch(statement.id, rows));
        let mut reply = Reply { columns: statement.columns.clone(), ..Reply::default() };
        if let Err(Gone(NoMessage::Late)) = self.rows(&mut reply, Rows::Binary) {
            panic!("no rows within {:?}; so far {reply:?}", self.limit);
        }
        reply
    }

    /// COM_STMT_SEND_LONG_DATA, which has no answer.
    pub fn long_data(&mut self, statement: &Prepared, param: u16, data: &[u8]) {
        self.send_command(&command::long_data(statement.id, param, data));
    }

    /// COM_STMT_RESET.
    #[track_caller]
    pub fn reset(&mut self, statement: &Prepared) -> Reply {
        self.send_command(&command::of_statement(command::RESET, statement.id));
        self.reply(Rows::Text)
    }

    /// COM_STMT_CLOSE, which has no answer.
    pub fn close(&mut self, statement: &Prepared) {
        self.send_command(&command::of_statement(command::CLOSE, statement.id));
    }

    /// Prepare, execute, close; the error of the first that fails.
    #[track_caller]
    pub fn run_prepared(&mut self, sql: &str, params: &[Value]) -> Reply {
        let statement = match self.prepare(sql) {
            Ok(statement) => statement,
            Err(_) if self.closed => return Reply { closed: true, ..Reply::default() },
            Err(error) => return Reply { errors: vec![error], shape: "E".to_owned(), ..Reply::default() },
        };
        let reply = self.execute(&statement, params, 0);
        self.close(&statement);
        reply
    }

    /// The same by a cursor, fetching so many rows at a time.
    #[track_caller]
    pub fn run_cursor(&mut self, sql: &str, params: &[Value], rows: u32) -> Reply {
        let statement = match self.prepare(sql) {
            Ok(statement) => statement,
            Err(_) if self.closed => return Reply { closed: true, ..Reply::default() },
            Err(error) => return Reply { errors: vec![error], shape: "E".to_owned(), ..Reply::default() },
        };
        let mut reply = self.execute(&statement, params, command::READ_ONLY_CURSOR);
        let mut statement = statement;
        statement.columns.clone_from(&reply.columns);
        while reply.status() & (flags::CURSOR_EXISTS | flags::LAST_ROW_SENT) == flags::CURSOR_EXISTS {
            let more = self.fetch(&statement, rows);
            reply.rows.extend(more.rows);
            reply.done.extend(more.done);
            reply.shape.push_str(&more.shape);
            reply.closed |= more.closed;
            if !more.errors.is_empty() || more.closed {
                reply.errors.extend(more.errors);
                break;
            }
        }
        self.close(&statement);
        reply
    }

    /// The answer to a command that was sent; panics when it does not come, except on a closed connection.
    #[track_caller]
    pub fn reply(&mut self, rows: Rows) -> Reply {
        self.reply_of(rows, &[])
    }

    /// The same; `known` are the columns of a prepared statement, which may not be sent again.
    #[track_caller]
    pub fn reply_of(&mut self, rows: Rows, known: &[Column]) -> Reply {
        let limit = self.limit;
        self.try_reply(rows, known).unwrap_or_else(|reply| panic!("no whole answer within {limit:?}; so far {reply:?}"))
    }

    /// The same, where an answer that does not come is an answer.
    ///
    /// # Errors
    /// What came in time of an answer that is not whole. A connection that closed is no error.
    pub fn try_reply(&mut self, rows: Rows, known: &[Column]) -> Result<Reply, Box<Reply>> {
        let mut reply = Reply::default();
        loop {
            match self.result(&mut reply, rows, known) {
                Ok(true) => {}
                Ok(false) | Err(Gone(NoMessage::Closed)) => return Ok(reply),
                Err(Gone(NoMessage::Late)) => return Err(Box::new(reply)),
            }
        }
    }

    fn payload(&mut self, reply: &mut Reply) -> Result<Vec<u8>, Gone> {
        self.next(self.limit).map_err(|why| {
            reply.closed = why == NoMessage::Closed;
            Gone(why)
        })
    }

    /// One result. `true`: more follow.
    fn result(&mut self, reply: &mut Reply, rows: Rows, known: &[Column]) -> Result<bool, Gone> {
        let payload = self.payload(reply)?;
        match payload[0] {
            0x00 => {
                reply.shape.push('O');
                let done = Done::read(&payload, self.capabilities);
                let more = done.status & flags::MORE_RESULTS != 0;
                reply.done.push(done);
                Ok(more)
            }
            // COM_SET_OPTION is answered with an EOF.
            0xFE if payload.len() < 9 => {
                reply.shape.push('F');
                reply.done.push(self.end(&payload));
                Ok(false)
            }
            0xFF => {
                reply.shape.push('E');
                reply.errors.push(Fault::read(&payload));
                Ok(false)
            }
            0xFB => {
                reply.shape.push('L');
                self.give_file(reply, &text(&payload[1..]));
                self.result(reply, rows, known)
            }
            _ => {
                self.columns(reply, &payload, known)?;
                let end = if reply.done.last().is_some_and(|_| reply.shape.ends_with('C')) {
                    reply.done.last().map_or(0, |done| done.status)
                } else {
                    self.rows(reply, rows)?
                };
                Ok(end & flags::MORE_RESULTS != 0 && reply.errors.is_empty())
            }
        }
    }

    /// Column definitions. Where a cursor was opened, they are the whole answer: the shape then ends with `C`.
    fn columns(&mut self, reply: &mut Reply, payload: &[u8], known: &[Column]) -> Result<(), Gone> {
        reply.shape.push('T');
        let mut reader = Reader(payload);
        let count = reader.lenenc();
        // MySQL's and MariaDB's flags never meet; either puts one byte behind the count.
        let optional = self.has(flags::OPTIONAL_METADATA) || self.has(flags::CACHE_METADATA);
        let sent = !optional || reader.int(1) != 0;
        reply.columns = if sent { Vec::new() } else { known.to_vec() };
        for _ in 0..if sent { count } else { 0 } {
            let payload = self.payload(reply)?;
            reply.shape.push('t');
            reply.columns.push(Column::read(&payload, self.capabilities));
        }
        if !self.has(flags::DEPRECATE_EOF) {
            let payload = self.payload(reply)?;
            reply.shape.push('F');
            let done = self.end(&payload);
            if done.status & flags::CURSOR_EXISTS != 0 {
                reply.shape.push('C');
                reply.done.push(done);
            }
        }
        Ok(())
    }

    /// Rows up to their end. Returns its status.
    fn rows(&mut self, reply: &mut Reply, rows: Rows) -> Result<u16, Gone> {
        loop {
            let payload = self.payload(reply)?;
            match payload[0] {
                0xFF => {
                    reply.shape.push('E');
                    reply.errors.push(Fault::read(&payload));
                    return Ok(0);
                }
                0xFE if payload.len() < LONGEST && (self.has(flags::DEPRECATE_EOF) || payload.len() < 9) => {
                    reply.shape.push('F');
                    let done = self.end(&payload);
                    let status = done.status;
                    reply.done.push(done);
                    return Ok(status);
                }
                _ => {
                    reply.shape.push('D');
                    reply.rows.push(match rows {
                        Rows::Text => text_row(&payload, reply.columns.len()),
                        Rows::Binary => binary_row(&payload, &reply.columns),
                    });
                }
            }
        }
    }

    fn end(&self, payload: &[u8]) -> Done {
        if self.has(flags::DEPRECATE_EOF) && payload.len() > 5 {
            Done::read(payload, self.capabilities)
        } else {
            Done::read_eof(payload)
        }
    }

    fn give_file(&mut self, reply: &mut Reply, name: &str) {
        reply.files.push(name.to_owned());
        let content = self.files.get(name).cloned().unwrap_or_default();
        let parts: Vec<&[u8]> = content.chunks(64 * 1024).chain([&[][..]]).collect();
        self.send_payloads(&parts);
    }
}

fn text_row(payload: &[u8], columns: usize) -> Vec<Option<String>> {
    let mut reader = Reader(payload);
    let mut value = |_| {
        let length = reader.lenenc_or_null()?;
        Some(text(reader.take(usize::try_from(length).expect("64 bits"))))
    };
    let row = (0..columns).map(&mut value).collect();
    assert!(reader.0.is_empty(), "bytes behind the row: {:02x?}", reader.0);
    row
}
