//! `/api/v1/grants` and `/api/v1/break-glass`: what is active or awaits a review, and how it ends, lasts longer, begins
//! at once and is looked at. Decides nothing: the ledger does.

use std::sync::Arc;

use axum::{
    Json,
    extract::{OriginalUri, State},
    http::StatusCode,
};
use hallpass_policy::ids::{GrantId, RoleName, TargetName, UserName};
use serde::Deserialize;

use super::{
    Answer, Api,
    auth::Caller,
    body,
    input::{Input, Params, Path, duration},
    page::{Listed, limit},
    routes::Routes,
};
use crate::store::{Which, ledger::BreakGlass, page::Page};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/grants", list)
        .get("/grants/{id}", show)
        .post("/grants/{id}/revoke", revoke)
        .post("/grants/{id}/extend", extend)
        .post("/grants/{id}/review", review)
        .post("/break-glass", break_glass)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ListParams {
    all: bool,
    review: Option<Review>,
    limit: Option<u32>,
    after: Option<i64>,
}

/// `?review=due`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Review {
    Due,
}

/// Grants that are active or await a review; with `?all=true` ended ones, too; with `?review=due` only those that await
/// one.
async fn list(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    OriginalUri(uri): OriginalUri,
    Params(params): Params<ListParams>,
) -> Answer<Listed<body::Grant>> {
    let which = match (params.review, params.all) {
        (Some(Review::Due), _) => Which::Unreviewed,
        (None, true) => Which::All,
        (None, false) => Which::OfInterest,
    };
    let page = Page { after: params.after.map(GrantId), limit: limit(params.limit)? };
    let found = api.ledger.perform(move |ledger| ledger.grants_page(&actor, which, page)).await?;
    let now = api.shared.clock.now();
    Ok(Listed::new(found, &uri, |record| record.grant.id.to_string(), |record| body::Grant::new(&record, now)))
}

/// One grant, active or not.
async fn show(State(api): State<Arc<Api>>, Caller(actor): Caller, Path(id): Path<i64>) -> Answer<Json<body::Grant>> {
    let record = api.ledger.perform(move |ledger| ledger.grant(&actor, GrantId(id))).await?;
    Ok(Json(body::Grant::new(&record, api.shared.clock.now())))
}

async fn revoke(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(id): Path<i64>,
    Input(input): Input<body::Because>,
) -> Answer<Json<body::Grant>> {
    let record = api.ledger.perform(move |ledger| ledger.revoke(&actor, GrantId(id), input.reason)).await?;
    Ok(Json(body::Grant::new(&record, api.shared.clock.now())))
}

/// Asks for more time; the answer is the request.
async fn extend(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(id): Path<i64>,
    Input(input): Input<body::Extend>,
) -> Answer<(StatusCode, Json<body::Request>)> {
    let by = duration(&input.duration)?;
    let asked = api.ledger.perform(move |ledger| ledger.extend(&actor, GrantId(id), by, input.reason)).await?;
    Ok((StatusCode::CREATED, Json(api.shown(asked))))
}

/// A role at once; the answer is the request with its grant.
async fn break_glass(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Input(input): Input<body::BreakGlass>,
) -> Answer<(StatusCode, Json<body::Request>)> {
    let glass = BreakGlass {
        user: input.user.map(UserName::new),
        role: RoleName::new(input.role),
        targets: input.databases.iter().map(TargetName::new).collect(),
        duration: input.duration.map(|text| duration(&text)).transpose()?,
        reason: input.reason,
    };
    let granted = api.ledger.perform(move |ledger| ledger.break_glass(&actor, glass)).await?;
    Ok((StatusCode::CREATED, Json(api.shown(granted))))
}

/// Notes that the caller has looked at somebody else's break-glass.
async fn review(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(id): Path<i64>,
    Input(input): Input<body::Review>,
) -> Answer<Json<body::Grant>> {
    let record = api.ledger.perform(move |ledger| ledger.review(&actor, GrantId(id), input.comment)).await?;
    Ok(Json(body::Grant::new(&record, api.shared.clock.now())))
}
