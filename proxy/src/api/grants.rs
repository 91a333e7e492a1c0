//! `/api/v1/grants` and `/api/v1/break-glass`: what is active or awaits a review, and how it ends, lasts longer, begins
//! at once and is looked at. Decides nothing: the ledger does.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use hallpass_policy::ids::{GrantId, RoleName, TargetName, UserName};
use serde::Deserialize;

use super::{
    Answer, Api,
    auth::Caller,
    body,
    input::{Input, Params, duration},
};
use crate::store::{
    actor::Actor,
    grants::GrantRecord,
    ledger::{BreakGlass, Ledger, Outcome},
};

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/grants", get(list))
        .route("/grants/{id}/revoke", post(revoke))
        .route("/grants/{id}/extend", post(extend))
        .route("/grants/{id}/review", post(review))
        .route("/break-glass", post(break_glass))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ListParams {
    all: bool,
    review: Option<Review>,
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
    Params(params): Params<ListParams>,
) -> Answer<Json<Vec<body::Grant>>> {
    let found = match params.review {
        Some(Review::Due) => api.ledger.perform(move |ledger| ledger.unreviewed(&actor)).await?,
        None => api.ledger.perform(move |ledger| of_interest(ledger, &actor, params.all)).await?,
    };
    let now = api.shared.clock.now();
    Ok(Json(found.iter().map(|record| body::Grant::new(record, now)).collect()))
}

fn of_interest(ledger: &Ledger, actor: &Actor, all: bool) -> Outcome<Vec<GrantRecord>> {
    let mut found = ledger.grants(actor, all)?;
    // A break-glass that ended is not over for whoever has to look at it.
    for record in ledger.unreviewed(actor)? {
        if found.iter().all(|known| known.grant.id != record.grant.id) {
            found.push(record);
        }
    }
    found.sort_by_key(|record| record.grant.id);
    Ok(found)
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
