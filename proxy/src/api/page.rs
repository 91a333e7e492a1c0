//! Lists by the page: `limit` and `after` as a query string says them, and how the answer says where to go on. What a
//! page holds is the affair of the list.

use axum::{
    Json,
    http::{Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::problem::Problem;
use crate::store::page::Paged;

/// Items of a page when nothing else is asked.
const DEFAULT: u32 = 100;
/// Most items of a page.
const MOST: u32 = 1000;

/// `limit`, as a question may give it.
///
/// # Errors
/// When it is none that a page can have.
pub(super) fn limit(asked: Option<u32>) -> Result<usize, Problem> {
    let found = bounded(asked, DEFAULT, MOST)?;
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

/// The same for a list with bounds of its own.
pub(super) fn bounded(asked: Option<u32>, default: u32, most: u32) -> Result<u32, Problem> {
    match asked {
        None => Ok(default),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(limit) => Err(Problem::bad_request(format!("`limit={limit}` is no size of a page"))
            .hint(format!("from 1 to {most}; the header `Link` of the answer leads to the next page"))),
    }
}

/// A page as an answer: a JSON array and, where others follow, `Link: <…>; rel="next"` (RFC 8288).
#[derive(Debug)]
pub(super) struct Listed<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> Listed<T> {
    /// The answer to a question for `uri`; `key` is what the next page is behind, `item` what an item looks like.
    pub(super) fn new<U>(found: Paged<U>, uri: &Uri, key: impl Fn(&U) -> String, item: impl FnMut(U) -> T) -> Self {
        let next = found.items.last().filter(|_| found.more).map(|last| next(uri, &key(last)));
        Self { items: found.items.into_iter().map(item).collect(), next }
    }
}

impl<T: Serialize> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        let body = Json(self.items);
        match self.next {
            Some(next) => ([(header::LINK, format!("<{next}>; rel=\"next\""))], body).into_response(),
            None => body.into_response(),
        }
    }
}

/// The same question for what is behind `after`.
fn next(uri: &Uri, after: &str) -> String {
    let kept =
        uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
    let query: String = kept.map(|pair| format!("{pair}&")).collect();
    format!("{}?{query}after={}", uri.path(), encoded(after))
}

/// A text as one segment of a path, or one value of a query string.
pub(crate) fn encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_same_question_further_on() {
        for (asked, expected) in [
            ("/api/v1/users", "/api/v1/users?after=9"),
            ("/api/v1/users?limit=2&after=7", "/api/v1/users?limit=2&after=9"),
            ("/x?after=1&all=true&q=a%26b", "/x?all=true&q=a%26b&after=9"),
        ] {
            assert_eq!(next(&asked.parse().unwrap(), "9"), expected);
        }
    }

    #[test]
    fn a_limit_is_a_size() {
        assert_eq!(limit(None).unwrap(), 100);
        assert_eq!(limit(Some(1000)).unwrap(), 1000);
        for wrong in [0, 1001] {
            assert_eq!(limit(Some(wrong)).unwrap_err().status, 400);
        }
    }
}
