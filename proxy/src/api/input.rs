//! Bodies and query strings into types; what does not fit is a problem that says what. Times and durations as people
//! write them.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{self, FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, request::Parts},
};
use hallpass_policy::ids::Timestamp;
use serde::de::DeserializeOwned;

use super::{problem::Problem, serve::PATIENCE};
use crate::config::units;

/// A JSON body; an empty one is `{}`.
pub(super) struct Input<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = tokio::time::timeout(PATIENCE, Bytes::from_request(request, state)).await;
        let read = read.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?;
        let bytes = read.map_err(|error| Problem::bad_request(error.body_text()))?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| Problem::bad_request(format!("the body: {error}")))
    }
}

/// A query string.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Query::from_request_parts(parts, state).await;
        found.map(|Query(found)| Self(found)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// What stands in the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = extract::Path::from_request_parts(parts, state).await;
        found
            .map(|extract::Path(found)| Self(found))
            .map_err(|error| Problem::bad_request(format!("`{}`: {}", parts.uri.path(), error.body_text())))
    }
}

/// A duration: `30m`, `1 hour`.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    units::duration(text).map_err(|fault| {
        Problem::bad_request(format!("the duration {fault}")).hint("write a number and a unit: 30m, 1h, 1h30m")
    })
}

/// A moment: a date (its midnight, UTC), RFC 3339, or a duration from `now`.
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp(at.as_microsecond()));
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && let Ok(zoned) = date.to_zoned(jiff::tz::TimeZone::UTC)
    {
        return Ok(Timestamp(zoned.timestamp().as_microsecond()));
    }
    match units::duration(text) {
        Ok(duration) => Ok(now.after(duration)),
        Err(_) => Err(Problem::bad_request(format!("`{text}` is no date"))
            .hint("write 2027-01-31, 2027-01-31T18:00:00Z or a duration from now, 30d")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates_times_or_durations() {
        let now = Timestamp(1_000_000);
        for (text, expected) in [
            ("2027-01-31", "2027-01-31T00:00:00.000000Z"),
            ("2027-01-31T18:00:00+02:00", "2027-01-31T16:00:00.000000Z"),
            ("30d", "1970-01-31T00:00:01.000000Z"),
        ] {
            assert_eq!(moment(text, now).unwrap().to_string(), expected, "{text}");
        }
        assert!(moment("tomorrow", now).is_err());
    }
}
