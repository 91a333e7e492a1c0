//! An answer as newline-delimited JSON, line by line as it comes: `{"session","columns"}`, `{"row"}`, `{"notice"}`, and at
//! last `{"done"}` or `{"error"}`. What fails before the first row is a problem with its own status.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tokio::sync::mpsc;

use super::{Said, failure::broken_off};
use crate::api::problem::Problem;

/// Bytes that are given to HTTP at once, as far as they are there.
const PIECE: usize = 32 << 10;

/// The lines of an answer.
#[derive(Debug)]
pub(super) struct Lines {
    /// Those that are there already.
    first: Vec<u8>,
    said: mpsc::Receiver<Said>,
    over: bool,
}

impl Lines {
    /// Waits for the first row, or the end.
    ///
    /// # Errors
    /// What failed before.
    pub(super) async fn begin(session: String, mut said: mpsc::Receiver<Said>) -> Result<Self, Problem> {
        let (mut columns, mut notices) = (Vec::new(), Vec::new());
        let (part, over) = loop {
            match said.recv().await {
                None => return Err(broken_off()),
                Some(Said::Failed(problem)) => return Err(*problem),
                Some(Said::Columns(found)) => columns = found,
                Some(Said::Notice(notice)) => notices.push(notice),
                Some(part @ Said::Row(_)) => break (part, false),
                Some(part @ Said::Done(_)) => break (part, true),
            }
        };
        let mut first = Vec::new();
        line(&mut first, &json!({ "session": session, "columns": columns }));
        for notice in notices {
            put(&mut first, &Said::Notice(notice));
        }
        put(&mut first, &part);
        Ok(Self { first, said, over })
    }
}

/// Appends the line of a part.
fn put(out: &mut Vec<u8>, part: &Said) {
    match part {
        Said::Columns(columns) => line(out, &json!({ "columns": columns })),
        Said::Row(row) => line(out, &json!({ "row": row })),
        Said::Notice(notice) => line(out, &json!({ "notice": notice })),
        Said::Done(done) => line(out, &json!({ "done": done })),
        Said::Failed(problem) => line(out, &json!({ "error": problem })),
    }
}

fn line(out: &mut Vec<u8>, value: &serde_json::Value) {
    // A value becomes text in any case, and a vector takes it.
    let _ = serde_json::to_writer(&mut *out, value);
    out.push(b'\n');
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut out = std::mem::take(&mut self.first);
        while !self.over && out.len() < PIECE {
            let part = match self.said.poll_recv(cx) {
                Poll::Pending if !out.is_empty() => break,
                other => ready!(other),
            };
            let part = part.unwrap_or_else(|| Said::Failed(Box::new(broken_off())));
            self.over = matches!(part, Said::Done(_) | Said::Failed(_));
            put(&mut out, &part);
        }
        Poll::Ready((!out.is_empty()).then(|| Ok(Frame::data(out.into()))))
    }
}

impl IntoResponse for Lines {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::new(self)).into_response()
    }
}
