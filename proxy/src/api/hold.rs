//! `/api/v1/requests/hold` and `/api/v1/requests/{id}/hold`: a request that lives as long as the answer is being read. The
//! answer is a line of JSON for each thing that happens, and a heartbeat every few seconds; when the connection goes, the
//! ledger cancels the request or revokes its grant. Decides nothing.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use hallpass_policy::ids::RequestId;
use hyper::body::{Bytes, Frame};
use tokio::sync::{mpsc, watch};

use super::{
    Answer, Api,
    auth::Caller,
    body,
    input::{Input, Path},
    requests::question,
    routes::Routes,
};
use crate::store::{
    actor::Actor,
    ledger::{Decided, Hold},
};

/// How often a line comes when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// How long a client may leave lines unread.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Routes {
    Routes::new().post("/requests/hold", ask).get("/requests/{id}/hold", again)
}

/// Asks, and holds.
async fn ask(State(api): State<Arc<Api>>, Caller(actor): Caller, Input(input): Input<body::Ask>) -> Answer<Response> {
    let ask = question(&api, &actor, input).await?;
    let changes = api.shared.grants.subscribe();
    let asker = actor.clone();
    // The hold comes out of the ledger with the request: should the client be gone by then, it is dropped, and that ends
    // the request.
    let (decided, hold) = api.ledger.perform(move |ledger| ledger.ask_held(&asker, ask)).await?;
    Ok(stream(StatusCode::CREATED, Follower { api, actor, id: decided.request.id, changes }, decided, hold))
}

/// Holds again what was asked for, after a connection was lost.
async fn again(State(api): State<Arc<Api>>, Caller(actor): Caller, Path(id): Path<i64>) -> Answer<Response> {
    let changes = api.shared.grants.subscribe();
    let (asker, id) = (actor.clone(), RequestId(id));
    let (decided, hold) = api.ledger.perform(move |ledger| ledger.hold(&asker, id)).await?;
    Ok(stream(StatusCode::OK, Follower { api, actor, id, changes }, decided, hold))
}

/// The answer, and the task that writes it.
fn stream(status: StatusCode, follower: Follower, first: Decided, hold: Hold) -> Response {
    let (lines, unread) = mpsc::channel(4);
    tokio::spawn(follower.follow(first, hold, lines));
    (status, [(header::CONTENT_TYPE, "application/x-ndjson")], Body::new(Lines(unread))).into_response()
}

/// Looks at one request for whoever holds it.
struct Follower {
    api: Arc<Api>,
    actor: Actor,
    id: RequestId,
    changes: watch::Receiver<u64>,
}

impl Follower {
    /// Writes a line for each change until it is over or the client is gone; the hold lives as long.
    async fn follow(mut self, mut found: Decided, hold: Hold, lines: mpsc::Sender<Bytes>) {
        let mut told = Bytes::new();
        loop {
            let over = found.is_over(self.api.shared.clock.now());
            let now = line(&event(self.api.shown(found), over));
            let news = if now == told { line(&body::HoldEvent::Heartbeat) } else { now.clone() };
            told = now;
            if lines.send_timeout(news, PATIENCE).await.is_err() || over {
                break;
            }
            found = loop {
                tokio::select! {
                    () = lines.closed() => return drop(hold),
                    _ = self.changes.changed() => {}
                    () = tokio::time::sleep(HEARTBEAT) => {}
                }
                let (actor, id) = (self.actor.clone(), self.id);
                match self.api.ledger.perform(move |ledger| ledger.request(&actor, id)).await {
                    Ok(found) => break found,
                    Err(error) => tracing::error!(%error, "a held request cannot be looked at; trying again"),
                }
            };
        }
        drop(hold);
    }
}

fn event(request: body::Request, over: bool) -> body::HoldEvent {
    let request = Box::new(request);
    match request.grant {
        _ if over => body::HoldEvent::Ended { request },
        Some(_) => body::HoldEvent::Approved { request },
        None => body::HoldEvent::Pending { request },
    }
}

fn line(event: &body::HoldEvent) -> Bytes {
    // Texts, numbers and lists: they are always JSON.
    let mut text = serde_json::to_vec(event).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// The lines as a body; dropped with the connection.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
