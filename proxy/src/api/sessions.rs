//! `/api/v1/sessions`: admins see and end all, auditors see all, everybody sees and ends their own.

use std::sync::Arc;

use axum::{
    extract::{OriginalUri, State},
    http::StatusCode,
};
use hallpass_policy::ids::{SessionId, Timestamp};
use serde::Deserialize;

use super::{
    Answer, Api,
    auth::Caller,
    body,
    input::{Params, Path},
    page::{Listed, limit},
    problem::Problem,
    routes::Routes,
};
use crate::{
    session::registry::{SessionInfo, Signal},
    store::{
        actor::Actor,
        page::{Page, page_of},
    },
};

pub(super) fn routes() -> Routes {
    Routes::new().get("/sessions", list).post("/sessions/{id}/kill", kill)
}

fn seen(api: &Api, actor: &Actor) -> Vec<SessionInfo> {
    let mut all = api.shared.sessions.list();
    all.retain(|session| actor.sees_everything() || session.origin.user.as_ref() == Some(&actor.name));
    all
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ListParams {
    limit: Option<u32>,
    after: Option<String>,
}

/// Oldest first. A page goes on behind a start and a name, so that it does not matter whether that session has ended.
async fn list(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    OriginalUri(uri): OriginalUri,
    Params(params): Params<ListParams>,
) -> Answer<Listed<body::Session>> {
    let page = Page { after: params.after.as_deref().map(place).transpose()?, limit: limit(params.limit)? };
    let found = page_of(seen(&api, &actor), page, |session| (session.started, session.id.clone()));
    let key = |session: &SessionInfo| format!("{}-{}", session.started.0, session.id);
    Ok(Listed::new(found, &uri, key, body::Session::from))
}

/// `STARTED-NAME`.
fn place(text: &str) -> Answer<(Timestamp, SessionId)> {
    let parsed = text.split_once('-').and_then(|(started, id)| Some((started.parse().ok()?, id)));
    let (started, id) = parsed.ok_or_else(|| Problem::cursor(text))?;
    Ok((Timestamp(started), SessionId::new(id)))
}

async fn kill(State(api): State<Arc<Api>>, Caller(actor): Caller, Path(id): Path<String>) -> Answer<StatusCode> {
    let nothing = || Problem::new(StatusCode::NOT_FOUND, format!("there is no session `{id}`"));
    let session = seen(&api, &actor).into_iter().find(|session| session.id.as_str() == id).ok_or_else(nothing)?;
    let whose = session.origin.user.clone();
    let name = whose.as_ref().map(ToString::to_string).unwrap_or_default();
    let what = format!("session {id} of {name} killed");
    api.ledger.perform(move |ledger| ledger.ends_session(&actor, whose.as_ref(), what)).await?;
    if api.shared.sessions.signal(&SessionId::new(&id), Signal::Kill) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(nothing())
    }
}
