//! One statement over a session that speaks MySQL's protocol: a text query, which is one statement as several were not
//! agreed on. Where a SELECT is cut off it is cancelled; what may write runs to its end.

use std::io;

use super::{
    Bounds, Shown,
    failure::{Told, broken_off, not_understood},
    pipe::{Pipe, Said},
};
use crate::{
    api::{body, problem::Problem},
    wire::mysql::{
        backend::{Column as Definition, ErrPacket},
        body::{Body, Malformed},
        capability::Capabilities,
        codec::{self, MAX_MESSAGE, Order, Sequence},
        encode,
        frontend::command,
        reader::{Reply, Request, ResultReader, RowFormat, Then},
        value::Type,
    },
};

/// Why there is no answer.
type Ended = Box<Problem>;

/// The collation of bytes that are no text.
const BINARY: u16 = 63;
/// A column definition's flag.
const UNSIGNED: u16 = 32;

/// What was said so far.
struct Conversation {
    shown: Shown,
    affected: Option<u64>,
    last_insert_id: Option<u64>,
    warnings: u16,
    columns: Vec<Column>,
    results: Results,
    cut: Cut,
}

/// Which result of an answer: only a CALL has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Results {
    None,
    /// Of so many columns.
    First(usize),
    Later,
}

/// What becomes of a statement whose rows are more than are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// It is cancelled: it only reads.
    Cancel,
    /// It was cancelled: its error says no more.
    Cancelled,
    /// It runs to its end.
    Finish,
}

/// A column, and how its values become text.
struct Column {
    shown: body::Column,
    values: Values,
}

/// What a text row's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    /// Text in utf8mb4.
    Text,
    /// Bytes; shown in hexadecimal.
    Bytes,
}

/// What follows from a packet.
#[derive(Debug, Default)]
struct Heard {
    say: Option<Said>,
    cancel: bool,
}

impl From<Said> for Heard {
    fn from(part: Said) -> Self {
        Self { say: Some(part), cancel: false }
    }
}

/// Waits for the session's OK, runs `statement`, says what comes, asks for warnings, and takes leave.
pub(super) async fn converse(
    pipe: &mut Pipe,
    held: Capabilities,
    statement: &str,
    bounds: Bounds,
) -> Result<body::QueryDone, Ended> {
    answered(pipe, ResultReader::new(Request::Simple, held), |reply, _| failed(reply)).await?;
    let mut talk = Conversation::new(bounds, statement);
    ask(pipe, held, statement).await;
    answered(pipe, ResultReader::new(Request::Query, held), |reply, payload| talk.take(reply, payload)).await?;
    if talk.warnings > 0 {
        ask(pipe, held, "SHOW WARNINGS").await;
        // The statement itself worked; that its warnings cannot be had is no failure of it.
        let warnings = |reply: Reply<'_>, payload: &[u8]| match reply {
            Reply::Row(RowFormat::Text) => warning(payload).map_err(|error| not_understood(&error)),
            _ => Ok(Heard::default()),
        };
        answered(pipe, ResultReader::new(Request::Query, held), warnings).await?;
    }
    let mut goodbye = Vec::new();
    encode::bare(&mut goodbye, &mut Sequence::start(Order::Checked), command::QUIT);
    // It may have gone first.
    let _ = pipe.send(&goodbye).await;
    let done = talk.shown.done(None, talk.affected);
    Ok(body::QueryDone { last_insert_id: talk.last_insert_id, ..done })
}

async fn ask(pipe: &mut Pipe, held: Capabilities, statement: &str) {
    let mut out = Vec::new();
    encode::query(&mut out, &mut Sequence::start(Order::Checked), statement.as_bytes(), held);
    // A session that has gone has said why: whoever reads finds it.
    let _ = pipe.send(&out).await;
}

/// Reads one answer to its end.
async fn answered(
    pipe: &mut Pipe,
    mut reader: ResultReader,
    mut each: impl FnMut(Reply<'_>, &[u8]) -> Result<Heard, Ended>,
) -> Result<(), Ended> {
    let mut sequence = Sequence::start(Order::Loose);
    loop {
        let found =
            codec::message(pipe.unread(), &mut sequence, MAX_MESSAGE).map_err(|error| not_understood(&error))?;
        let Some(message) = found else {
            pipe.fill().await.map_err(|error| ended(&error))?;
            continue;
        };
        let length = message.raw.len();
        let (reply, then) = reader.read(&message.payload).map_err(|error| not_understood(&error))?;
        let Heard { say, cancel } = each(reply, &message.payload)?;
        pipe.take(length);
        if let Some(part) = say {
            pipe.say(part).await;
        }
        if cancel {
            pipe.cancel();
        }
        match then {
            Then::More | Then::NextResult => {}
            Then::Done => return Ok(()),
            Then::File => return Err(not_understood(&"it asks for a file")),
        }
    }
}

/// Whatever it is but an error.
fn failed(reply: Reply<'_>) -> Result<Heard, Ended> {
    match reply {
        Reply::Err(error) => Err(Box::new(told(error).into())),
        _ => Ok(Heard::default()),
    }
}

impl Conversation {
    fn new(bounds: Bounds, statement: &str) -> Self {
        Self {
            shown: Shown::new(bounds),
            affected: None,
            last_insert_id: None,
            warnings: 0,
            columns: Vec::new(),
            results: Results::None,
            cut: if only_reads(statement) { Cut::Cancel } else { Cut::Finish },
        }
    }

    /// One packet of the answer; `payload` is what `reply` was read from.
    fn take(&mut self, reply: Reply<'_>, payload: &[u8]) -> Result<Heard, Ended> {
        match reply {
            Reply::Err(_) if self.cut == Cut::Cancelled => return Ok(Heard::default()),
            Reply::Ok(ok) => {
                self.warnings = ok.warnings;
                if self.results == Results::None {
                    self.affected = Some(ok.affected_rows);
                }
                self.last_insert_id = Some(ok.last_insert_id).filter(|id| *id > 0).or(self.last_insert_id);
            }
            Reply::End { warnings, .. } => self.warnings = warnings,
            Reply::Columns { count, .. } => match self.results {
                Results::None => self.results = Results::First(count),
                Results::First(_) => {
                    self.results = Results::Later;
                    return Ok(Said::Notice(only_the_first()).into());
                }
                Results::Later => {}
            },
            Reply::Column { definition, .. } => {
                if let Results::First(count) = self.results {
                    self.columns.push(Column::new(&definition));
                    if self.columns.len() == count {
                        let columns = self.columns.iter().map(|column| column.shown.clone()).collect();
                        return Ok(Said::Columns(columns).into());
                    }
                }
            }
            Reply::Row(_) => return self.row(payload).map_err(|error| not_understood(&error)),
            Reply::Err(_)
            | Reply::LocalInfile(_)
            | Reply::Prepared(_)
            | Reply::Parameter { .. }
            | Reply::DefinitionsEnd(_)
            | Reply::Text(_) => return failed(reply),
        }
        Ok(Heard::default())
    }

    fn row(&mut self, payload: &[u8]) -> Result<Heard, Malformed> {
        if self.results == Results::Later || self.cut == Cut::Cancelled {
            return Ok(Heard::default());
        }
        if self.shown.takes(payload.len()) {
            let mut row = Body::new("row", payload);
            let values = self.columns.iter().map(|column| Ok(row.nullable()?.map(|value| column.values.text(value))));
            let values = values.collect::<Result<_, Malformed>>()?;
            row.end()?;
            return Ok(Said::Row(values).into());
        }
        if self.cut == Cut::Cancel {
            self.cut = Cut::Cancelled;
            return Ok(Heard { say: None, cancel: true });
        }
        Ok(Heard::default())
    }
}

/// Whether a text can be cancelled without taking back what it wrote: by its first word. What is not known runs on.
fn only_reads(statement: &str) -> bool {
    let word = statement.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    ["SELECT", "TABLE", "VALUES", "SHOW"].iter().any(|verb| word.eq_ignore_ascii_case(verb))
}

fn only_the_first() -> body::Notice {
    body::Notice {
        severity: "NOTE".into(),
        sqlstate: None,
        code: None,
        message: "the statement gave several results; the first is shown".into(),
        detail: None,
        hint: None,
    }
}

/// `Level`, `Code`, `Message`.
fn warning(payload: &[u8]) -> Result<Heard, Malformed> {
    let mut row = Body::new("row", payload);
    let mut next = || Ok::<_, Malformed>(String::from_utf8_lossy(row.nullable()?.unwrap_or_default()).into_owned());
    let (severity, code, message) = (next()?.to_uppercase(), next()?.parse().ok(), next()?);
    Ok(Said::Notice(body::Notice { severity, sqlstate: None, code, message, detail: None, hint: None }).into())
}

fn told(error: ErrPacket<'_>) -> Told {
    Told {
        sqlstate: String::from_utf8_lossy(&error.sqlstate).into_owned(),
        code: Some(error.code),
        message: String::from_utf8_lossy(error.message).into_owned(),
        ..Told::default()
    }
}

fn ended(error: &io::Error) -> Ended {
    tracing::debug!(%error, "a session of the API ended early");
    Box::new(broken_off())
}

impl Column {
    fn new(definition: &Definition<'_>) -> Self {
        let kind = Type(definition.kind);
        let binary = definition.collation == BINARY;
        let texts = [
            Type::VARCHAR,
            Type::VAR_STRING,
            Type::STRING,
            Type::TINY_BLOB,
            Type::MEDIUM_BLOB,
            Type::LONG_BLOB,
            Type::BLOB,
        ];
        let bytes = matches!(kind, Type::BIT | Type::GEOMETRY | Type::VECTOR) || (binary && texts.contains(&kind));
        let unsigned = if definition.flags & UNSIGNED != 0 { " unsigned" } else { "" };
        Self {
            shown: body::Column {
                name: String::from_utf8_lossy(definition.name).into_owned(),
                kind: format!("{}{unsigned}", type_name(kind, binary)),
            },
            values: if bytes { Values::Bytes } else { Values::Text },
        }
    }
}

impl Values {
    fn text(self, value: &[u8]) -> String {
        match self {
            Self::Text => String::from_utf8_lossy(value).into_owned(),
            Self::Bytes => value.iter().fold("0x".to_owned(), |mut text, byte| {
                use std::fmt::Write;
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02X}");
                text
            }),
        }
    }
}

/// A type as a declaration would name it, without length.
fn type_name(kind: Type, binary: bool) -> &'static str {
    let pick = |bytes, text| if binary { bytes } else { text };
    match kind {
        Type::DECIMAL | Type::NEWDECIMAL => "decimal",
        Type::TINY | Type::BOOL => "tinyint",
        Type::SHORT => "smallint",
        Type::INT24 => "mediumint",
        Type::LONG => "int",
        Type::LONGLONG => "bigint",
        Type::FLOAT => "float",
        Type::DOUBLE => "double",
        Type::NULL => "null",
        Type::TIMESTAMP => "timestamp",
        Type::DATE => "date",
        Type::TIME => "time",
        Type::DATETIME => "datetime",
        Type::YEAR => "year",
        Type::BIT => "bit",
        Type::JSON => "json",
        Type::VECTOR => "vector",
        Type::ENUM => "enum",
        Type::SET => "set",
        Type::VARCHAR | Type::VAR_STRING => pick("varbinary", "varchar"),
        Type::STRING => pick("binary", "char"),
        Type::TINY_BLOB | Type::MEDIUM_BLOB | Type::LONG_BLOB | Type::BLOB => pick("blob", "text"),
        Type::GEOMETRY => "geometry",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_is_cancelled() {
        for (statement, reads) in [
            ("  select 1", true),
            ("SHOW TABLES", true),
            ("(SELECT 1)", false),
            ("DELETE FROM t RETURNING id", false),
            ("WITH x AS (SELECT 1) SELECT * FROM x", false),
            ("/* c */ SELECT 1", false),
            ("", false),
        ] {
            assert_eq!(only_reads(statement), reads, "{statement}");
        }
    }

    #[test]
    fn bytes_are_shown_in_hexadecimal_and_text_as_it_is() {
        assert_eq!(Values::Bytes.text(b"A\xff"), "0x41FF");
        assert_eq!(Values::Text.text("ü €".as_bytes()), "ü €");
        assert_eq!((type_name(Type::BLOB, true), type_name(Type::BLOB, false)), ("blob", "text"));
    }
}
