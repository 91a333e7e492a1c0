//! One statement over a session that speaks Postgres' protocol: prepared, so that a text is one statement, and run with
//! a bound on its rows. What is cut off is cut off on its way here: the statement itself runs to its end.

use std::io;

use tokio_postgres::types::Type;

use super::{
    Bounds, Shown,
    failure::{Told, not_understood},
    pipe::{Pipe, Said},
};
use crate::{
    api::{body, problem::Problem},
    wire::postgres::{
        backend::{CommandComplete, Report, RowDescription, tag},
        codec::{self, Body, MAX_FRAME, Malformed},
        encode::{self, Unencodable},
        frontend::Named,
    },
};

/// Why there is no answer.
type Ended = Box<Problem>;

/// What was said so far.
struct Conversation {
    shown: Shown,
    command: Option<String>,
    affected: Option<u64>,
    failed: Option<Ended>,
}

/// Waits for the session's greeting, runs `statement`, says what comes, and takes leave.
pub(super) async fn converse(pipe: &mut Pipe, statement: &str, bounds: Bounds) -> Result<body::QueryDone, Ended> {
    let mut talk = Conversation { shown: Shown::new(bounds), command: None, affected: None, failed: None };
    talk.until_ready(pipe).await?;
    let messages = messages(statement, bounds).map_err(|error| Box::new(Problem::bad_request(error.to_string())))?;
    // A session that has gone has said why: whoever reads finds it.
    let _ = pipe.send(&messages).await;
    talk.until_ready(pipe).await?;
    let mut goodbye = Vec::new();
    encode::terminate(&mut goodbye);
    // It may have gone first.
    let _ = pipe.send(&goodbye).await;
    Ok(talk.shown.done(talk.command, talk.affected))
}

/// The statement, and a bound on its rows: one more than are shown tells whether there are more.
fn messages(statement: &str, bounds: Bounds) -> Result<Vec<u8>, Unencodable> {
    let most = bounds.rows.map_or(0, |most| i32::try_from(most.saturating_add(1)).unwrap_or(i32::MAX));
    let mut out = Vec::new();
    encode::parse(&mut out, b"", statement.as_bytes(), &[])?;
    encode::bind::<&[u8]>(&mut out, b"", b"", &[], &[], &[])?;
    encode::describe(&mut out, Named::Portal(b""))?;
    encode::execute(&mut out, b"", most)?;
    encode::sync(&mut out);
    Ok(out)
}

impl Conversation {
    /// Reads to the next ReadyForQuery.
    async fn until_ready(&mut self, pipe: &mut Pipe) -> Result<(), Ended> {
        loop {
            let found = codec::frame(pipe.unread(), MAX_FRAME).map_err(|error| not_understood(&error))?;
            let Some(frame) = found else {
                if let Err(error) = pipe.fill().await {
                    return Err(self.failed.take().unwrap_or_else(|| ended(&error)));
                }
                continue;
            };
            let (length, tag) = (frame.raw.len(), frame.tag);
            let said = self.take(frame).map_err(|error| not_understood(&error))?;
            pipe.take(length);
            match said {
                Some(Heard::Say(part)) => pipe.say(part).await,
                Some(Heard::Decline) => decline(pipe).await,
                Some(Heard::Cancel) => pipe.cancel(),
                None => {}
            }
            if tag == tag::READY_FOR_QUERY {
                return self.failed.take().map_or(Ok(()), Err);
            }
        }
    }

    /// One message.
    fn take(&mut self, frame: codec::Frame<'_>) -> Result<Option<Heard>, Malformed> {
        Ok(match frame.tag {
            tag::ROW_DESCRIPTION => Some(Heard::Say(Said::Columns(columns(frame.body)?))),
            tag::DATA_ROW => {
                let row = row(frame.body)?;
                let bytes = row.iter().flatten().map(String::len).sum();
                self.shown.takes(bytes).then_some(Heard::Say(Said::Row(row)))
            }
            tag::COMMAND_COMPLETE => {
                let complete = CommandComplete::decode(frame.body)?;
                let command = String::from_utf8_lossy(complete.tag).into_owned();
                let changes =
                    ["INSERT", "UPDATE", "DELETE", "MERGE", "COPY"].iter().any(|verb| command.starts_with(verb));
                self.affected = complete.rows().filter(|_| changes);
                self.command = Some(command);
                None
            }
            tag::ERROR_RESPONSE => {
                let told = told(Report::decode(frame.body)?);
                self.failed.get_or_insert_with(|| Box::new(told.into()));
                None
            }
            tag::NOTICE_RESPONSE => {
                let severity = Report::decode(frame.body)?.get(b'S').map(lossy).unwrap_or_default();
                let Told { sqlstate, code, message, detail, hint, .. } = told(Report::decode(frame.body)?);
                Some(Heard::Say(Said::Notice(body::Notice {
                    severity,
                    sqlstate: Some(sqlstate),
                    code,
                    message,
                    detail,
                    hint,
                })))
            }
            tag::COPY_IN_RESPONSE => Some(Heard::Decline),
            tag::COPY_OUT_RESPONSE | tag::COPY_BOTH_RESPONSE => {
                self.failed.get_or_insert_with(|| Box::new(no_copy()));
                Some(Heard::Cancel)
            }
            // The rest of the session: parameters, keys, answers to Parse and Bind, notifications.
            _ => None,
        })
    }
}

/// What follows from a message.
enum Heard {
    Say(Said),
    Decline,
    Cancel,
}

/// The server wants rows of the client's; there are none.
async fn decline(pipe: &mut Pipe) {
    let mut out = Vec::new();
    // Constant text without a NUL.
    let _ = encode::copy_fail(&mut out, "COPY FROM STDIN is for clients of the wire");
    encode::sync(&mut out);
    // Whoever reads next finds out.
    let _ = pipe.send(&out).await;
}

fn no_copy() -> Problem {
    Told {
        sqlstate: "0A000".into(),
        message: "COPY TO STDOUT is for clients of the wire".into(),
        hint: Some("write a SELECT".into()),
        ..Told::default()
    }
    .into()
}

fn ended(error: &io::Error) -> Ended {
    tracing::debug!(%error, "a session of the API ended early");
    Box::new(super::failure::broken_off())
}

fn columns(body: &[u8]) -> Result<Vec<body::Column>, Malformed> {
    let column = |field: crate::wire::postgres::backend::Field<'_>| {
        let kind = Type::from_oid(field.type_oid);
        body::Column {
            name: lossy(field.name),
            kind: kind.map_or_else(|| format!("oid {}", field.type_oid), |kind| kind.name().to_owned()),
        }
    };
    Ok(RowDescription::decode(body)?.iter().map(column).collect())
}

fn row(body: &[u8]) -> Result<Vec<Option<String>>, Malformed> {
    let mut body = Body::new("DataRow", body);
    let values = (0..body.count()?).map(|_| Ok(body.value()?.map(lossy))).collect::<Result<_, Malformed>>()?;
    body.end()?;
    Ok(values)
}

fn told(report: Report<'_>) -> Told {
    Told {
        sqlstate: report.sqlstate().to_owned(),
        code: None,
        message: report.get(b'M').map(lossy).unwrap_or_default(),
        detail: report.get(b'D').map(lossy),
        hint: report.get(b'H').map(lossy),
        position: report.get(b'P').and_then(|text| lossy(text).parse().ok()),
    }
}

/// The session speaks UTF-8, but for databases that do not say what they hold (SQL_ASCII).
fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
