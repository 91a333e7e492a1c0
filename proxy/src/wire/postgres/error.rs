//! What a Postgres client is told: errors of ours, notices of ours, and the upstream's reports reduced to their kind.
//! Never adds a fact that `ClientError` does not hold.

use super::{
    backend::{Report, tag},
    codec::Malformed,
    encode::{Message, message},
};
use crate::error::ClientError;

/// How far a session has come; decides between FATAL and ERROR where the error alone does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the first ReadyForQuery.
    Login,
    /// After it.
    Session,
}

/// How bad it is, as the S and V fields say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The connection ends.
    Fatal,
    /// For the user's eyes; nothing failed.
    Notice,
    /// For the user's eyes, and something may be wrong.
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
        }
    }
}

/// Whether the connection ends with `error`.
pub fn severity(error: &ClientError, phase: Phase) -> Severity {
    match error {
        ClientError::AuthenticationFailed { .. }
        | ClientError::ProtocolViolation(_)
        | ClientError::StartupRefused { .. }
        | ClientError::TooManyConnections
        | ClientError::Killed
        | ClientError::Expired
        | ClientError::Draining => Severity::Fatal,
        ClientError::Denied(_)
        | ClientError::Refused(_)
        | ClientError::UnknownStatement(_)
        | ClientError::UnknownPortal(_)
        | ClientError::HoldsTooMuch { .. }
        | ClientError::GrantEnded { .. }
        | ClientError::LimitExceeded { .. }
        | ClientError::Asked { .. }
        | ClientError::Cancelled
        | ClientError::AuditUnavailable
        | ClientError::UpstreamUnavailable { .. } => match phase {
            Phase::Login => Severity::Fatal,
            Phase::Session => Severity::Error,
        },
    }
}

/// Appends `error` as an ErrorResponse.
pub fn error_response(out: &mut Vec<u8>, error: &ClientError, phase: Phase) {
    let text = match error {
        // The server's own words: clients and people look for them.
        ClientError::AuthenticationFailed { user } => format!("password authentication failed for user \"{user}\""),
        ClientError::Denied(_)
        | ClientError::Refused(_)
        | ClientError::UnknownStatement(_)
        | ClientError::UnknownPortal(_)
        | ClientError::HoldsTooMuch { .. }
        | ClientError::GrantEnded { .. }
        | ClientError::LimitExceeded { .. }
        | ClientError::Asked { .. }
        | ClientError::Cancelled
        | ClientError::AuditUnavailable
        | ClientError::UpstreamUnavailable { .. }
        | ClientError::ProtocolViolation(_)
        | ClientError::StartupRefused { .. }
        | ClientError::TooManyConnections
        | ClientError::Killed
        | ClientError::Expired
        | ClientError::Draining => error.to_string(),
    };
    let report = Own {
        severity: severity(error, phase),
        code: error.sqlstate(),
        text: &text,
        detail: error.detail(),
        hint: error.hint(),
        position: match error {
            ClientError::Refused(refusal) => refusal.position,
            _ => None,
        },
    };
    write(out, tag::ERROR_RESPONSE, &report);
}

/// The same in place of `theirs`, the server's answer to a text that failed instead of the client's. A syntax error is
/// what the server would have said of it, so it also says where in the server's source that is.
pub fn error_in_place(out: &mut Vec<u8>, error: &ClientError, theirs: Report<'_>) {
    match error {
        ClientError::Refused(refusal) if refusal.position.is_some() => {
            let text = error.to_string();
            let severity = severity(error, Phase::Session);
            let code = error.sqlstate();
            let report = Own { severity, code, text: &text, detail: None, hint: None, position: refusal.position };
            write_with(out, tag::ERROR_RESPONSE, &report, Some(theirs));
        }
        _ => error_response(out, error, Phase::Session),
    }
}

/// Appends a NoticeResponse: reminders before a grant ends (`00000`), warnings of review rules (`01000`).
pub fn notice_response(
    out: &mut Vec<u8>,
    severity: Severity,
    code: &str,
    text: &str,
    detail: Option<&str>,
    hint: Option<&str>,
) {
    write(out, tag::NOTICE_RESPONSE, &Own { severity, code, text, detail, hint, position: None });
}

/// A report of our own.
struct Own<'a> {
    severity: Severity,
    code: &'a str,
    text: &'a str,
    detail: Option<&'a str>,
    hint: Option<&'a str>,
    position: Option<usize>,
}

fn write(out: &mut Vec<u8>, tag: u8, report: &Own<'_>) {
    write_with(out, tag, report, None);
}

fn write_with(out: &mut Vec<u8>, tag: u8, report: &Own<'_>, source: Option<Report<'_>>) {
    // Lengths of our own texts are far below the limit, and `field` leaves no NUL in them.
    let _ = message(out, Some(tag), |body| {
        field(body, b'S', report.severity.as_str().as_bytes());
        field(body, b'V', report.severity.as_str().as_bytes());
        field(body, b'C', report.code.as_bytes());
        field(body, b'M', report.text.as_bytes());
        if let Some(detail) = report.detail {
            field(body, b'D', detail.as_bytes());
        }
        if let Some(hint) = report.hint {
            field(body, b'H', hint.as_bytes());
        }
        if let Some(position) = report.position {
            field(body, b'P', position.to_string().as_bytes());
        }
        for code in [b'F', b'L', b'R'] {
            if let Some(text) = source.and_then(|source| source.get(code)) {
                field(body, code, text);
            }
        }
        body.byte(0);
        Ok(())
    });
}

/// Writes one field up to the first NUL of its text.
fn field(body: &mut Message<'_>, code: u8, text: &[u8]) {
    body.byte(code);
    body.bytes(text.split(|byte| *byte == 0).next().unwrap_or_default());
    body.byte(0);
}

/// Rebuilds an upstream's ErrorResponse or NoticeResponse (`tag` says which) so that it holds no value: severity and
/// SQLSTATE stay, the message becomes `kind`, and everything else (detail, hint, context, the names of columns and
/// constraints, positions, source lines) is gone. The whole frame.
///
/// # Errors
/// When `body` is not a report; then nothing of it may be forwarded either.
pub fn scrub_error(tag: u8, body: &[u8], kind: &str) -> Result<Vec<u8>, Malformed> {
    let report = Report::decode(body)?;
    let mut out = Vec::with_capacity(64 + kind.len());
    let _ = message(&mut out, Some(tag), |scrubbed| {
        // A severity is a short word, in the server's language and in its own; what is not one is not the server's.
        if let Some(severity) = report.get(b'S').filter(|text| text.len() <= 32) {
            field(scrubbed, b'S', severity);
        }
        let is_own = |text: &&[u8]| text.len() <= 12 && text.iter().all(u8::is_ascii_uppercase);
        if let Some(severity) = report.get(b'V').filter(is_own) {
            field(scrubbed, b'V', severity);
        }
        let is_sqlstate = |text: &&[u8]| text.len() == 5 && text.iter().all(u8::is_ascii_alphanumeric);
        field(scrubbed, b'C', report.get(b'C').filter(is_sqlstate).unwrap_or(b"XX000"));
        field(scrubbed, b'M', kind.as_bytes());
        scrubbed.byte(0);
        Ok(())
    });
    Ok(out)
}

/// An upstream's ErrorResponse or NoticeResponse (`tag` says which) about a text that stood `by` characters into what the
/// client sent: its position (field `P`) is moved there. The whole frame.
///
/// # Errors
/// When `body` is not a report.
pub fn moved(tag: u8, body: &[u8], by: usize) -> Result<Vec<u8>, Malformed> {
    let report = Report::decode(body)?;
    let mut out = Vec::with_capacity(body.len() + 16);
    let _ = message(&mut out, Some(tag), |moved| {
        for (code, text) in report.iter() {
            let place = std::str::from_utf8(text).ok().filter(|_| code == b'P');
            match place.and_then(|place| place.parse::<usize>().ok()) {
                Some(place) => field(moved, code, (place + by).to_string().as_bytes()),
                None => field(moved, code, text),
            }
        }
        moved.byte(0);
        Ok(())
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use hallpass_policy::decide::Denial;

    use super::*;

    fn fields(frame: &[u8]) -> Vec<(char, String)> {
        let frame = crate::wire::postgres::codec::frame(frame, 10_000).unwrap().unwrap();
        let report = Report::decode(frame.body).unwrap();
        report.iter().map(|(code, text)| (char::from(code), String::from_utf8(text.to_vec()).unwrap())).collect()
    }

    #[test]
    fn a_denial_teaches() {
        let mut out = Vec::new();
        let denial = Denial {
            message: "no grant allows UPDATE".into(),
            detail: "you hold nothing".into(),
            hint: "CALL …".into(),
        };
        error_response(&mut out, &ClientError::Denied(denial), Phase::Session);
        let expected = [
            ('S', "ERROR"),
            ('V', "ERROR"),
            ('C', "42501"),
            ('M', "no grant allows UPDATE"),
            ('D', "you hold nothing"),
            ('H', "CALL …"),
        ];
        assert_eq!(out[0], b'E');
        assert_eq!(fields(&out), expected.map(|(code, text)| (code, text.to_owned())));
    }

    #[test]
    fn severity_follows_the_phase_where_the_error_leaves_it_open() {
        let lost = ClientError::UpstreamUnavailable { target: "shop".into(), reason: "connection refused".into() };
        assert_eq!(severity(&lost, Phase::Login), Severity::Fatal);
        assert_eq!(severity(&lost, Phase::Session), Severity::Error);
        assert_eq!(severity(&ClientError::Draining, Phase::Session), Severity::Fatal);
    }

    #[test]
    fn a_nul_in_a_text_ends_it_and_breaks_nothing() {
        let mut out = Vec::new();
        error_response(&mut out, &ClientError::AuthenticationFailed { user: "a\0Mforged".into() }, Phase::Login);
        assert_eq!(fields(&out)[3], ('M', "password authentication failed for user \"a".into()));
    }

    #[test]
    fn scrubbing_leaves_no_value() {
        let body = b"SERROR\0VERROR\0C23505\0Mduplicate key\0DKey (email)=(ann@example.com)\0Hann\0Wann\0P12\0cemail\0nann\0Ffile\0\0";
        let out = scrub_error(b'E', body, "unique violation").unwrap();
        assert!(!out.windows(3).any(|bytes| bytes == b"ann"));
        let codes: String = fields(&out).iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, "SVCM");
        assert!(scrub_error(b'E', b"SERROR", "x").is_err());
    }
}
