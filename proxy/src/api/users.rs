//! `/api/v1/users`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{OriginalUri, State},
    http::StatusCode,
};
use hallpass_policy::ids::{GroupName, UserName};
use serde::Deserialize;

use super::{
    Answer, Api,
    auth::Caller,
    body,
    input::{Input, Params, Path, moment},
    page::{Listed, limit},
    routes::Routes,
};
use crate::store::{
    ledger::{self, NewToken},
    page::{Page, page_of},
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/users", list)
        .post("/users", add)
        .delete("/users/{name}", remove)
        .put("/users/{name}/password", password)
        .post("/users/{name}/tokens", token)
        .delete("/users/{name}/tokens/{id}", remove_token)
        .post("/users/{name}/disable", disable)
        .post("/users/{name}/enable", enable)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ListParams {
    limit: Option<u32>,
    after: Option<String>,
}

/// By name.
async fn list(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    OriginalUri(uri): OriginalUri,
    Params(params): Params<ListParams>,
) -> Answer<Listed<body::User>> {
    let page = Page { after: params.after.map(UserName::new), limit: limit(params.limit)? };
    let users = api.ledger.perform(move |ledger| ledger.users(&actor)).await?;
    let found = page_of(users, page, |user| user.name.clone());
    let now = api.shared.clock.now();
    Ok(Listed::new(found, &uri, |user| user.name.to_string(), |user| body::User::of(&user, now)))
}

async fn add(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Input(input): Input<body::AddUser>,
) -> Answer<(StatusCode, Json<body::Added>)> {
    let expires = input.expires.map(|text| moment(&text, api.shared.clock.now())).transpose()?;
    let name = UserName::new(&input.name);
    let groups = input.groups.iter().map(GroupName::new).collect();
    let new = ledger::AddUser { name: name.clone(), groups, expires };
    let (password, token) = (input.password, input.token);
    let (user, token) = api
        .ledger
        .perform(move |ledger| {
            ledger.add_user(&actor, new)?;
            if let Some(password) = password {
                ledger.set_password(&actor, &name, &password)?;
            }
            let token = if token { Some(ledger.add_token(&actor, &name, NewToken::default())?) } else { None };
            let user = ledger.users(&actor)?.into_iter().find(|user| user.name == name);
            Ok((user, token))
        })
        .await?;
    let user = user.ok_or_else(super::Problem::internal)?;
    let token = token.map(|(id, token)| body::Token { id, token });
    Ok((StatusCode::CREATED, Json(body::Added { user: body::User::of(&user, api.shared.clock.now()), token })))
}

async fn password(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Input(input): Input<body::SetPassword>,
) -> Answer<StatusCode> {
    let name = UserName::new(name);
    api.ledger.perform(move |ledger| ledger.set_password(&actor, &name, &input.password)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn token(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Input(input): Input<body::AddToken>,
) -> Answer<(StatusCode, Json<body::Token>)> {
    let expires = input.expires.map(|text| moment(&text, api.shared.clock.now())).transpose()?;
    let new = NewToken { label: input.label, expires };
    let name = UserName::new(name);
    let (id, token) = api.ledger.perform(move |ledger| ledger.add_token(&actor, &name, new)).await?;
    Ok((StatusCode::CREATED, Json(body::Token { id, token })))
}

async fn remove_token(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Answer<StatusCode> {
    let name = UserName::new(name);
    api.ledger.perform(move |ledger| ledger.remove_token(&actor, &name, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn disable(api: State<Arc<Api>>, caller: Caller, name: Path<String>) -> Answer<Json<body::User>> {
    set_disabled(api, caller, name, true).await
}

async fn enable(api: State<Arc<Api>>, caller: Caller, name: Path<String>) -> Answer<Json<body::User>> {
    set_disabled(api, caller, name, false).await
}

async fn set_disabled(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    disabled: bool,
) -> Answer<Json<body::User>> {
    let name = UserName::new(name);
    let user = api.ledger.perform(move |ledger| ledger.set_disabled(&actor, &name, disabled)).await?;
    Ok(Json(body::User::of(&user, api.shared.clock.now())))
}

async fn remove(State(api): State<Arc<Api>>, Caller(actor): Caller, Path(name): Path<String>) -> Answer<StatusCode> {
    let name = UserName::new(name);
    api.ledger.perform(move |ledger| ledger.remove_user(&actor, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
