//! `/api/v1/requests`: asked, changed, decided. What they lead to is `grants`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{OriginalUri, State},
    http::StatusCode,
};
use hallpass_policy::{
    ids::{RequestId, RoleName, TargetName, UserName},
    statement::Statement,
};
use serde::Deserialize;

use super::{
    Answer, Api,
    auth::Caller,
    body,
    input::{Input, Params, Path, duration},
    page::{Listed, limit},
    problem::Problem,
    routes::Routes,
};
use crate::store::{
    RequestFilter,
    actor::Actor,
    ledger::{Ask, AskFor, Change, Decided},
    page::Page,
};

/// The longest that a question may wait for a decision; a client asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/requests", list)
        .post("/requests", ask)
        .get("/requests/{id}", show)
        .put("/requests/{id}", change)
        .post("/requests/{id}/approve", approve)
        .post("/requests/{id}/reject", reject)
        .post("/requests/{id}/cancel", cancel)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ListParams {
    pending: bool,
    user: Option<String>,
    limit: Option<u32>,
    after: Option<i64>,
}

/// Newest first.
async fn list(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    OriginalUri(uri): OriginalUri,
    Params(params): Params<ListParams>,
) -> Answer<Listed<body::Request>> {
    let filter = RequestFilter { user: params.user.map(UserName::new), pending: params.pending };
    let page = Page { after: params.after.map(RequestId), limit: limit(params.limit)? };
    let found = api.ledger.perform(move |ledger| ledger.requests_page(&actor, &filter, page)).await?;
    Ok(Listed::new(found, &uri, |found| found.request.id.to_string(), |found| api.shown(found)))
}

async fn ask(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Input(input): Input<body::Ask>,
) -> Answer<(StatusCode, Json<body::Request>)> {
    let ask = question(&api, &actor, input).await?;
    let made = api.ledger.perform(move |ledger| ledger.ask(&actor, ask)).await?;
    Ok((StatusCode::CREATED, Json(api.shown(made))))
}

/// What a body asks for.
pub(super) async fn question(api: &Api, actor: &Actor, input: body::Ask) -> Answer<Ask> {
    let targets: Vec<_> = input.databases.iter().map(TargetName::new).collect();
    let duration = duration(&input.duration)?;
    let subject = match (input.role, input.statement) {
        (Some(role), None) if !input.export && !input.unmask && input.max_rows_affected.is_none() => {
            AskFor::Role(RoleName::new(role))
        }
        (Some(_), None) => {
            return Err(Problem::bad_request(
                "`export`, `unmask` and `max_rows_affected` belong to a statement request",
            )
            .hint("ask for one statement: `--statement \"SELECT …\"`"));
        }
        (None, Some(text)) => {
            let understood = understood_or_recorded(api, actor, &targets, &text).await?;
            let (export, unmask, max_rows_affected) = (input.export, input.unmask, input.max_rows_affected);
            AskFor::Statement { text: text.into(), understood, export, unmask, max_rows_affected }
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::bad_request("a request is for a role or for a statement")
                .hint("`--role NAME`, or `--statement \"SELECT …\"`"));
        }
    };
    let user = input.user.map(UserName::new);
    Ok(Ask { user, subject, targets, duration, reason: input.reason })
}

/// The statement as each target understands it; a refusal is in the audit before anybody hears of it.
async fn understood_or_recorded(
    api: &Api,
    actor: &Actor,
    targets: &[TargetName],
    text: &str,
) -> Answer<Vec<Arc<Statement>>> {
    let found = understand(api, targets, text).await;
    if let Err(problem) = &found {
        let (actor, text, targets, why) = (actor.clone(), text.into(), targets.to_vec(), problem.detail.clone());
        api.ledger.perform(move |ledger| ledger.not_understood(&actor, text, targets, &why)).await?;
    }
    found
}

/// The statement as each target understands it.
async fn understand(api: &Api, targets: &[TargetName], text: &str) -> Answer<Vec<Arc<Statement>>> {
    let config = api.shared.config.load_full();
    let mut found = Vec::new();
    for target in targets {
        if !config.databases.contains_key(target) {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("there is no database `{target}`")));
        }
        let statement = api.reader.understand(target, text).await.map_err(|refusal| {
            let said: Vec<_> = [refusal.detail, refusal.hint].into_iter().flatten().collect();
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.message).hint(said.join("; "))
        })?;
        found.push(statement);
    }
    Ok(found)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ShowParams {
    wait: Option<String>,
}

/// One request; with `?wait=30s` answered when it is decided, or after that time.
async fn show(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(id): Path<i64>,
    Params(params): Params<ShowParams>,
) -> Answer<Json<body::Request>> {
    let wait = params.wait.map_or(Ok(Duration::ZERO), |text| duration(&text))?.min(LONGEST_WAIT);
    let deadline = tokio::time::Instant::now() + wait;
    // Subscribed before the first look, so that no decision falls between looking and waiting.
    let mut changes = api.shared.grants.subscribe();
    loop {
        let found = one(&api, &actor, id).await?;
        if found.request.state.as_str() != "pending" {
            return Ok(Json(api.shown(found)));
        }
        let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
        if !matches!(changed, Ok(Ok(()))) {
            return Ok(Json(api.shown(found)));
        }
    }
}

async fn one(api: &Api, actor: &Actor, id: i64) -> Answer<Decided> {
    let actor = actor.clone();
    Ok(api.ledger.perform(move |ledger| ledger.request(&actor, RequestId(id))).await?)
}

/// A pending request for another time or reason: approvals it had count no more.
async fn change(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(id): Path<i64>,
    Input(input): Input<body::Change>,
) -> Answer<Json<body::Request>> {
    if input.duration.is_none() && input.reason.is_none() {
        return Err(Problem::bad_request("nothing is to change").hint("give `duration`, `reason`, or both"));
    }
    let change = Change { duration: input.duration.map(|text| duration(&text)).transpose()?, reason: input.reason };
    let done = api.ledger.perform(move |ledger| ledger.change_request(&actor, RequestId(id), change)).await?;
    Ok(Json(api.shown(done)))
}

async fn approve(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(id): Path<i64>,
    Input(input): Input<body::Approve>,
) -> Answer<Json<body::Request>> {
    let shorter = input.duration.map(|text| duration(&text)).transpose()?;
    let done = api.ledger.perform(move |ledger| ledger.approve(&actor, RequestId(id), shorter, input.comment)).await?;
    Ok(Json(api.shown(done)))
}

async fn reject(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(id): Path<i64>,
    Input(input): Input<body::Because>,
) -> Answer<Json<body::Request>> {
    let request = api.ledger.perform(move |ledger| ledger.reject(&actor, RequestId(id), input.reason)).await?;
    Ok(Json(api.shown(Decided::closed(request))))
}

async fn cancel(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(id): Path<i64>,
) -> Answer<Json<body::Request>> {
    let request = api.ledger.perform(move |ledger| ledger.cancel(&actor, RequestId(id))).await?;
    Ok(Json(api.shown(Decided::closed(request))))
}
