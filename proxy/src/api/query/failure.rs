//! What the database, or the gate in front of it, said about a statement, as a problem; and which HTTP status that is.
//! Adds no words of its own but where the session broke off.

use axum::http::StatusCode;

use crate::{
    api::problem::{Problem, StatementError},
    error::ClientError,
};

/// An error as a wire gives it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) sqlstate: String,
    /// MySQL's error number.
    pub(super) code: Option<u16>,
    pub(super) message: String,
    pub(super) detail: Option<String>,
    pub(super) hint: Option<String>,
    pub(super) position: Option<u64>,
}

impl From<Told> for Problem {
    fn from(told: Told) -> Self {
        let Told { sqlstate, code, message, detail, hint, position } = told;
        let problem = Self::new(status(&sqlstate, code), detail.unwrap_or_else(|| message.clone()));
        let statement = Some(Box::new(StatementError { sqlstate, code, message, position }));
        Self { statement, ..problem.hint(hint.unwrap_or_default()) }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Told {
            sqlstate: error.sqlstate().to_owned(),
            code: None,
            message: error.to_string(),
            detail: text(error.detail()),
            hint: text(error.hint()),
            position: None,
        }
        .into()
    }
}

/// The session ended without a word.
pub(super) fn broken_off() -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "the session ended before the statement was answered")
}

/// The session said what no answer to a statement is.
pub(super) fn not_understood(what: &dyn std::fmt::Display) -> Box<Problem> {
    tracing::error!(%what, "a session of the API was not understood");
    Box::new(Problem::new(StatusCode::BAD_GATEWAY, "the database's answer was not understood"))
}

/// Forbidden, not there, not available, or simply wrong.
fn status(sqlstate: &str, code: Option<u16>) -> StatusCode {
    match (sqlstate, code) {
        // MySQL's numbers for rights, of the server's and ours; its SQLSTATE 42000 is for all that is wrong.
        ("42501", _) | (_, Some(1044 | 1045 | 1142 | 1143 | 1227 | 1370)) => StatusCode::FORBIDDEN,
        ("3D000", _) | (_, Some(1049)) => StatusCode::NOT_FOUND,
        ("58030" | "57P01" | "57P02" | "57P03", _) | (_, Some(1040 | 1053 | 1927)) => StatusCode::SERVICE_UNAVAILABLE,
        _ => match sqlstate.get(..2) {
            Some("08") => StatusCode::BAD_GATEWAY,
            Some("28") => StatusCode::FORBIDDEN,
            Some("53") => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whose_turn_it_is() {
        for (sqlstate, code, expected) in [
            ("42501", None, 403),
            ("42000", Some(1142), 403),
            ("42000", Some(1064), 422),
            ("42601", None, 422),
            ("3D000", None, 404),
            ("08006", None, 502),
            ("53300", None, 503),
            ("58030", None, 503),
            ("57014", None, 422),
            ("", None, 422),
        ] {
            assert_eq!(status(sqlstate, code).as_u16(), expected, "{sqlstate} {code:?}");
        }
    }

    #[test]
    fn message_detail_and_hint_stay_apart() {
        let told = Told {
            sqlstate: "42501".into(),
            message: "no grant allows UPDATE on shop.orders".into(),
            detail: Some("you hold nothing".into()),
            hint: Some("hallpass request …".into()),
            ..Told::default()
        };
        let problem = serde_json::to_value(Problem::from(told)).unwrap();
        assert_eq!((&problem["status"], &problem["sqlstate"]), (&403.into(), &"42501".into()));
        assert_eq!(problem["message"], "no grant allows UPDATE on shop.orders");
        assert_eq!((&problem["detail"], &problem["hint"]), (&"you hold nothing".into(), &"hallpass request …".into()));
    }
}
