//! Judges an attack: were needles in what the client received, did the effect happen.

use std::time::Duration;

use serde_json::Value;

use super::{
    case::{Case, bytes},
    stage::{Session, Stage},
};

/// What became of an attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing came back, nothing happened.
    Stopped,
    /// This needle came back.
    Leaked(String),
    /// This is what the probe gave.
    Effective(String),
}

/// Judges a session whose connections are still open.
pub fn judge(fixture: &impl Stage, case: &Case, session: &dyn Session) -> Verdict {
    if let Some(needle) = leak(case, &session.received()) {
        return Verdict::Leaked(needle);
    }
    let Some(effect) = &case.effect else { return Verdict::Stopped };
    if let Some(after) = effect.after {
        std::thread::sleep(Duration::from_secs_f64(after));
    }
    let found = match effect.probe.as_str() {
        "elapsed" => format!("{:.2}", session.elapsed()),
        "received_bytes" => session.received().iter().map(|bytes| bytes.len()).sum::<usize>().to_string(),
        statement => fixture.probe(statement),
    };
    if satisfies(&found, &effect.must_be) { Verdict::Stopped } else { Verdict::Effective(found) }
}

/// Whether a probe's value is as it must be; `<N` means below N.
pub fn satisfies(found: &str, must_be: &str) -> bool {
    match must_be.strip_prefix('<') {
        Some(limit) => {
            let number = |text: &str| text.parse::<f64>().unwrap_or(f64::INFINITY);
            number(found) < number(limit)
        }
        None => found == must_be,
    }
}

fn leak(case: &Case, received: &[&[u8]]) -> Option<String> {
    let holds = |needle: &str| {
        let needle = bytes(needle);
        received.iter().any(|stream| stream.windows(needle.len()).any(|window| window == needle))
    };
    let secret = case.secret.iter().find(|needle| holds(needle)).cloned();
    let derived = || {
        case.derived.iter().find_map(|needle| match needle {
            Value::String(text) => holds(text).then(|| text.clone()),
            Value::Array(all) => {
                let every = all.iter().filter_map(Value::as_str).all(holds);
                (every && !all.is_empty()).then(|| needle.to_string())
            }
            other => panic!("{}: a needle is a text or a list, not {other}", case.id),
        })
    };
    secret.or_else(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_exclusive_and_anything_else_is_compared_as_text() {
        assert!(satisfies("2.99", "<3"));
        assert!(!satisfies("3", "<3"));
        assert!(!satisfies("no number", "<3"));
        assert!(satisfies("0/40", "0/40"));
        assert!(!satisfies("40", "4"));
    }
}
