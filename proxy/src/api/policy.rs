//! `/api/v1/me`, `roles`, `masks`: what there is to ask for. Says nothing of hosts, logins and secrets.

use std::sync::Arc;

use axum::{Json, extract::State};
use hallpass_policy::{mask::apply::MaskWith, role::TableGlob};
use serde_json::{Value, json};

use super::{Api, auth::Caller, routes::Routes};
use crate::{config::units::human, store::actor::party_name};

pub(super) fn routes() -> Routes {
    Routes::new().get("/me", me).get("/roles", roles).get("/masks", masks)
}

async fn me(Caller(actor): Caller) -> Json<Value> {
    let auditor = actor.sees_everything();
    Json(json!({ "name": actor.name, "groups": actor.groups, "admin": actor.is_admin(), "auditor": auditor }))
}

async fn roles(State(api): State<Arc<Api>>, Caller(actor): Caller) -> Json<Value> {
    let config = api.shared.config.load();
    let principal = actor.principal();
    let all = config.policy.roles.values().map(|role| {
        json!({
            "name": role.name,
            "allow": role.allow,
            "tables": role.tables.as_ref().map(|globs| names(globs)),
            "except": names(&role.except),
            "functions": names(&role.functions),
            "request_by": role.request_by.as_ref().map(|parties| parties.iter().map(party_name).collect::<Vec<_>>()),
            "max_duration": role.max_duration.map(human),
            "export": role.export,
            "max_rows": role.limits.max_rows,
            "max_result_bytes": role.limits.max_result_bytes,
            "max_rows_affected": role.limits.max_rows_affected,
            "statement_timeout": role.limits.statement_timeout.map(human),
            "requestable": role.may_be_requested_by(&principal),
        })
    });
    Json(all.collect())
}

fn names(globs: &[TableGlob]) -> Vec<String> {
    globs.iter().map(ToString::to_string).collect()
}

async fn masks(State(api): State<Arc<Api>>, Caller(_): Caller) -> Json<Value> {
    let config = api.shared.config.load();
    let all = config.policy.masks.iter().map(|rule| {
        let columns: Vec<_> = rule.columns.iter().map(ToString::to_string).collect();
        json!({ "columns": columns, "with": with(&rule.with), "in_predicates": rule.in_predicates.as_str() })
    });
    Json(all.collect())
}

/// A mask as in `proxy.toml`, for people.
pub(crate) fn mask_as_written(mask: &MaskWith) -> String {
    match with(mask) {
        Value::String(name) => name,
        other => other.to_string(),
    }
}

/// As in `proxy.toml`.
fn with(with: &MaskWith) -> Value {
    match with {
        MaskWith::Full | MaskWith::Blank => json!("full"),
        MaskWith::Null => json!("null"),
        MaskWith::Email => json!("email"),
        MaskWith::Hash => json!("hash"),
        MaskWith::Keep { first, last } => json!({ "keep_first": first, "keep_last": last }),
        MaskWith::Constant(text) => json!({ "constant": text }),
        MaskWith::Round(step) => json!({ "round": step }),
        MaskWith::Truncate(part) => json!({ "truncate": part }),
    }
}
