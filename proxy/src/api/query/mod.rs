//! `POST /api/v1/query`: one statement of a user's through a session of its own, as any client's: gate, masks, limits and
//! audit are the session's. Here its answer becomes JSON, whole or line by line. Decides nothing.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use hallpass_audit::event::Origin;
use hallpass_policy::ids::TargetName;
use tokio::sync::mpsc;

use super::{Answer, Api, auth::Caller, body, input::Input, problem::Problem, routes::Routes};
use crate::{
    session::serve::local::{self, Speaks, Visit, Visitor},
    store::actor::{Actor, is_operator},
};

mod failure;
mod lines;
mod mysql;
mod pipe;
mod postgres;

use lines::Lines;
use pipe::{Pipe, Said};

/// Rows of an answer that is one document.
const MOST_ROWS: u64 = 10_000;
/// Bytes of values in it.
const MOST_BYTES: usize = 16_000_000;
/// Parts of an answer on their way to the caller: a slow one slows the session down.
const UNDER_WAY: usize = 256;

pub(super) fn routes() -> Routes {
    Routes::new().post("/query", query)
}

/// How much of a result is shown.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Rows; `None`: all.
    rows: Option<u64>,
    /// Bytes of values; `None`: all.
    bytes: Option<usize>,
}

async fn query(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Input(input): Input<body::Query>,
) -> Answer<Response> {
    let visitor = visitor(actor)?;
    if input.statement.trim().is_empty() {
        return Err(Problem::bad_request("`statement` is empty").hint("give one statement: `SELECT …`"));
    }
    if input.max_rows == Some(0) {
        return Err(Problem::bad_request("`max_rows` is 0").hint("give at least 1, or leave it out"));
    }
    let lines = accepts_lines(&headers);
    let bounds = if lines {
        Bounds { rows: input.max_rows, bytes: None }
    } else {
        Bounds { rows: Some(input.max_rows.unwrap_or(MOST_ROWS).min(MOST_ROWS)), bytes: Some(MOST_BYTES) }
    };
    let visit = local::open(&TargetName::new(&input.database), visitor, &api.house).await?;
    let session = visit.session.to_string();
    let (say, mut said) = mpsc::channel(UNDER_WAY);
    // A task of its own: when the caller leaves, the session is told to stop and brought to its end all the same.
    tokio::spawn(run(visit, input.statement, bounds, say, Arc::clone(&api)));
    if lines {
        return Ok(Lines::begin(session, said).await?.into_response());
    }
    let mut answer = body::QueryAnswer { session, ..body::QueryAnswer::default() };
    while let Some(part) = said.recv().await {
        match part {
            Said::Columns(columns) => answer.columns = columns,
            Said::Row(row) => answer.rows.push(row),
            Said::Notice(notice) => answer.notices.push(notice),
            Said::Done(done) => {
                answer.done = done;
                return Ok(Json(answer).into_response());
            }
            Said::Failed(problem) => return Err(*problem),
        }
    }
    Err(failure::broken_off())
}

/// Whoever has a database's users' rights: not the proxy's operator, who is none of them.
fn visitor(actor: Actor) -> Answer<Visitor> {
    if is_operator(&actor.name) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the OS user who runs the proxy is no user of databases")
            .hint("send a user's token: `hallpass user token NAME` makes one"));
    }
    let origin = Origin { protocol: Some("http".into()), client: actor.origin.client.clone(), ..Origin::default() };
    Ok(Visitor { principal: actor.principal(), expires: actor.expires, origin })
}

/// Whether the caller wants newline-delimited JSON.
fn accepts_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-ndjson")))
}

/// The session from its first message to its last.
async fn run(visit: Visit, statement: String, bounds: Bounds, say: mpsc::Sender<Said>, api: Arc<Api>) {
    let Visit { session, pipe, speaks } = visit;
    let mut pipe = Pipe::new(pipe, session, say, &api.shared);
    let done = match speaks {
        Speaks::Postgres => postgres::converse(&mut pipe, &statement, bounds).await,
        Speaks::Mysql(held) => mysql::converse(&mut pipe, held, &statement, bounds).await,
    };
    pipe.say(match done {
        Ok(done) => Said::Done(done),
        Err(problem) => Said::Failed(problem),
    })
    .await;
}

/// Rows as they pass: counted, and shown while there is room.
#[derive(Debug)]
struct Shown {
    bounds: Bounds,
    rows: u64,
    bytes: usize,
    truncated: bool,
}

impl Shown {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, rows: 0, bytes: 0, truncated: false }
    }

    /// Whether a row of so many bytes is shown; after one that is not, none is.
    fn takes(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let full = self.bounds.rows.is_some_and(|most| self.rows >= most);
        self.truncated |= full || self.bounds.bytes.is_some_and(|most| self.bytes > most);
        if !self.truncated {
            self.rows += 1;
        }
        !self.truncated
    }

    /// The same for what is not known until the end.
    fn done(self, command: Option<String>, affected: Option<u64>) -> body::QueryDone {
        body::QueryDone {
            command,
            row_count: self.rows,
            affected_rows: affected,
            last_insert_id: None,
            truncated: self.truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_does_not_fit_is_the_last_that_is_looked_at() {
        let mut shown = Shown::new(Bounds { rows: Some(2), bytes: None });
        assert_eq!([shown.takes(1), shown.takes(1), shown.takes(1)], [true, true, false]);
        assert_eq!((shown.rows, shown.truncated), (2, true));
        let mut shown = Shown::new(Bounds { rows: None, bytes: Some(10) });
        assert_eq!([shown.takes(10), shown.takes(1), shown.takes(0)], [true, false, false]);
        assert!(Shown::new(Bounds { rows: None, bytes: None }).takes(usize::MAX));
    }

    #[test]
    fn lines_are_what_is_asked_for() {
        for (accept, lines) in [
            ("application/x-ndjson", true),
            ("application/json, Application/X-NDJSON;q=0.5", true),
            ("application/json", false),
            ("*/*", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(accepts_lines(&headers), lines, "{accept}");
        }
        assert!(!accepts_lines(&HeaderMap::new()));
    }
}
