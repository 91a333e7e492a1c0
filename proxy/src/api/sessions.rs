//! `/api/v1/sessions`: admins see and end all, everybody else their own.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use hallpass_policy::ids::SessionId;

use super::{Answer, Api, auth::Caller, body, problem::Problem};
use crate::{
    session::registry::{SessionInfo, Signal},
    store::actor::Actor,
};

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/sessions", get(list)).route("/sessions/{id}/kill", post(kill))
}

fn seen(api: &Api, actor: &Actor) -> Vec<SessionInfo> {
    let mut all = api.shared.sessions.list();
    all.retain(|session| actor.is_admin() || session.origin.user.as_ref() == Some(&actor.name));
    all
}

async fn list(State(api): State<Arc<Api>>, Caller(actor): Caller) -> Json<Vec<body::Session>> {
    Json(seen(&api, &actor).into_iter().map(body::Session::from).collect())
}

async fn kill(State(api): State<Arc<Api>>, Caller(actor): Caller, Path(id): Path<String>) -> Answer<StatusCode> {
    let nothing = || Problem::new(StatusCode::NOT_FOUND, format!("there is no session `{id}`"));
    let session = seen(&api, &actor).into_iter().find(|session| session.id.as_str() == id).ok_or_else(nothing)?;
    let whose = session.origin.user.as_ref().map(ToString::to_string).unwrap_or_default();
    let what = format!("session {id} of {whose} killed");
    api.ledger.perform(move |ledger| ledger.record_admin(&actor, what)).await?;
    if api.shared.sessions.signal(&SessionId::new(&id), Signal::Kill) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(nothing())
    }
}
