//! What the API answers when it does not do as asked: problem details, RFC 9457. Tells a client no more than the wire
//! would: a store's or journal's own words go to the log.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::store::{
    StoreError,
    ledger::{LedgerError, Refused},
};

/// A problem, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// The status in words.
    pub title: String,
    /// What is wrong, in the words of the command line.
    pub detail: String,
    /// What to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When to try again, seconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// What the database, or the gate in front of it, said about a statement.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Box<StatementError>>,
}

/// An error about a statement, as the client of a wire gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementError {
    /// SQLSTATE.
    pub sqlstate: String,
    /// MySQL's error number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// What is wrong.
    pub message: String,
    /// Where in the statement, in characters from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

impl Problem {
    /// A problem with `status`.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self { status: status.as_u16(), title, detail: detail.into(), hint: None, retry_after: None, statement: None }
    }

    /// Adds what to do instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self
    }

    /// Adds when to try again; also as the header `Retry-After`, in whole seconds.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay.as_secs() + u64::from(delay.subsec_nanos() > 0));
        self
    }

    /// The question itself is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// `after` is not what a list's answer said.
    pub fn cursor(text: &str) -> Self {
        Self::bad_request(format!("`after={text}` is no place in this list"))
            .hint("take it as the header `Link` of the page before has it")
    }

    /// Something of ours failed; the log has it.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the proxy failed; its log says why")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = self.retry_after.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match retry {
            Some(retry) => (retry, response).into_response(),
            None => response,
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Refused { kind, message, hint } => {
                let status = match kind {
                    Refused::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
                    Refused::Forbidden => StatusCode::FORBIDDEN,
                    Refused::NotFound => StatusCode::NOT_FOUND,
                    Refused::Conflict => StatusCode::CONFLICT,
                };
                Self::new(status, message).hint(hint.cli)
            }
            LedgerError::Store(error) => error.into(),
            LedgerError::Audit(error) => {
                tracing::error!(%error, "the audit cannot be written");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the audit cannot be written, so nothing was changed")
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store did not answer");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store did not answer; the proxy's log says why")
    }
}
