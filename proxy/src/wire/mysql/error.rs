//! What a MySQL client is told: errors of ours, and the upstream's errors reduced to their kind. Never adds a fact
//! that `ClientError` does not hold. MySQL has one line for all: message, detail and hint stand behind each other.

use hallpass_policy::statement::RefusalKind;

use super::{auth::UsingPassword, backend::ErrPacket, body::Malformed, codec::Sequence, encode};
use crate::error::ClientError;

/// An error number and its SQLSTATE.
pub type Code = (u16, [u8; 5]);

/// The longest message of ours: clients keep 512 bytes (`MYSQL_ERRMSG_SIZE`) and cut the rest.
const MAX_MESSAGE: usize = 511;

/// What a denial is about; decides between the servers' three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// A table: 1142.
    Table,
    /// A column: 1143.
    Column,
    /// Anything else: 1227.
    Other,
}

impl Denied {
    fn code(self) -> Code {
        match self {
            Self::Table => (1142, *b"42000"),
            Self::Column => (1143, *b"42000"),
            Self::Other => (1227, *b"42000"),
        }
    }
}

/// The number that stands for `error`.
pub fn code(error: &ClientError, denied: Denied) -> Code {
    match error {
        ClientError::AuthenticationFailed { .. } => (1045, *b"28000"),
        ClientError::Denied(_) => denied.code(),
        ClientError::GrantEnded { .. } => (1142, *b"42000"),
        ClientError::Refused(refusal) => match refusal.kind {
            RefusalKind::Unparsed => (1064, *b"42000"),
            RefusalKind::Unsupported => (1235, *b"42000"),
            RefusalKind::UnknownRelation => (1146, *b"42S02"),
            RefusalKind::UnknownColumn => (1054, *b"42S22"),
            RefusalKind::UnknownFunction | RefusalKind::UnknownType => (1305, *b"42000"),
            RefusalKind::Ambiguous => (1052, *b"23000"),
            RefusalKind::Forbidden => (1227, *b"42000"),
            RefusalKind::TooComplex => (1436, *b"HY000"),
            RefusalKind::UnknownCharset => (1115, *b"42000"),
            RefusalKind::NotPreparable => (1295, *b"HY000"),
        },
        ClientError::UnknownStatement(_) => (1243, *b"HY000"),
        ClientError::UnknownPortal(_) => (1421, *b"HY000"),
        ClientError::HoldsTooMuch { .. } => (1461, *b"42000"),
        ClientError::LimitExceeded { sqlstate, .. } => match *sqlstate {
            // A time limit: what `max_execution_time` says.
            "57014" => (3024, *b"HY000"),
            _ => (1104, *b"42000"),
        },
        ClientError::Asked { sqlstate, .. } => match *sqlstate {
            "42501" => (1227, *b"42000"),
            "22023" => (1210, *b"HY000"),
            "P0002" => (1329, *b"02000"),
            // What code of a user raises.
            _ => (1644, *b"45000"),
        },
        ClientError::Cancelled => (1317, *b"70100"),
        ClientError::AuditUnavailable | ClientError::UpstreamUnavailable { .. } => (1105, *b"HY000"),
        ClientError::ProtocolViolation(_) => (1047, *b"08S01"),
        ClientError::StartupRefused { sqlstate, .. } => match *sqlstate {
            "3D000" => (1049, *b"42000"),
            "0A000" => (1235, *b"42000"),
            "42501" => (1227, *b"42000"),
            "28000" => (1045, *b"28000"),
            // A character set that is not followed.
            "22021" => (1115, *b"42000"),
            // An authentication method of old clients.
            "08004" => (1251, *b"08004"),
            // Plain text where TLS is required.
            "HY000" => (3159, *b"HY000"),
            _ => (1105, *b"HY000"),
        },
        ClientError::TooManyConnections => (1040, *b"08004"),
        ClientError::Killed | ClientError::Expired => (1927, *b"70100"),
        ClientError::Draining => (1053, *b"08S01"),
    }
}

/// Appends `error` as an ERR packet.
pub fn err_packet(
    out: &mut Vec<u8>,
    sequence: &mut Sequence,
    error: &ClientError,
    denied: Denied,
    using: UsingPassword,
) {
    let (number, sqlstate) = code(error, denied);
    encode::err(out, sequence, number, sqlstate, message(error, using).as_bytes());
}

/// Appends `error` in place of a greeting.
pub fn early_error(out: &mut Vec<u8>, error: &ClientError) {
    encode::early_err(out, code(error, Denied::Other).0, message(error, UsingPassword::No).as_bytes());
}

/// Message, detail and hint in a line.
pub fn message(error: &ClientError, using: UsingPassword) -> String {
    let mut text = match error {
        // The server's own words: clients and people look for them.
        ClientError::AuthenticationFailed { user } => {
            let using = match using {
                UsingPassword::Yes => "YES",
                UsingPassword::No => "NO",
            };
            format!("Access denied for user '{user}' (using password: {using})")
        }
        ClientError::TooManyConnections => "Too many connections".into(),
        ClientError::UnknownStatement(name) => format!("Unknown prepared statement handler ({name})"),
        ClientError::UnknownPortal(name) => format!("The statement ({name}) has no open cursor."),
        ClientError::Denied(_)
        | ClientError::Refused(_)
        | ClientError::HoldsTooMuch { .. }
        | ClientError::GrantEnded { .. }
        | ClientError::LimitExceeded { .. }
        | ClientError::Asked { .. }
        | ClientError::Cancelled
        | ClientError::AuditUnavailable
        | ClientError::UpstreamUnavailable { .. }
        | ClientError::ProtocolViolation(_)
        | ClientError::StartupRefused { .. }
        | ClientError::Killed
        | ClientError::Expired
        | ClientError::Draining => error.to_string(),
    };
    // The hint is what one types next: where not all fits, the detail is what is cut.
    let hint = error.hint().map(|hint| format!(" HINT: {hint}")).unwrap_or_default();
    if let Some(detail) = error.detail() {
        let room = MAX_MESSAGE.saturating_sub(text.len() + hint.len() + 2);
        let detail = cut(detail, room);
        if !detail.is_empty() {
            text.push_str("; ");
            text.push_str(detail);
        }
    }
    text.push_str(&hint);
    cut(&text, MAX_MESSAGE).to_owned()
}

/// At most `limit` bytes of `text`, no character cut in two.
fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// Rebuilds an upstream's ERR packet so that it holds no value: number and SQLSTATE stay, the message becomes `kind`
/// (of [`hallpass_policy::mask::scrub_mysql::kind_of`]). Appends the packet.
///
/// # Errors
/// When `payload` is not an ERR packet; then nothing of it may be forwarded either.
pub fn scrub_error(
    out: &mut Vec<u8>,
    sequence: &mut Sequence,
    payload: &[u8],
    kind: impl FnOnce(u16) -> &'static str,
) -> Result<(), Malformed> {
    let error = ErrPacket::decode(payload)?;
    let letters = error.sqlstate.iter().all(|byte| byte.is_ascii_alphanumeric());
    let sqlstate = if letters { error.sqlstate } else { *b"HY000" };
    encode::err(out, sequence, error.code, sqlstate, kind(error.code).as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use hallpass_policy::decide::Denial;

    use super::*;
    use crate::wire::mysql::codec::Order;

    fn packet(error: &ClientError, denied: Denied) -> Vec<u8> {
        let mut out = Vec::new();
        err_packet(&mut out, &mut Sequence::at(1, Order::Checked), error, denied, UsingPassword::Yes);
        out.split_off(4)
    }

    fn denial(detail: &str) -> ClientError {
        ClientError::Denied(Denial {
            message: "no grant allows UPDATE on shop.orders".into(),
            detail: detail.into(),
            hint: "CALL hallpass.request('fixer', '1 hour', 'why')".into(),
        })
    }

    #[test]
    fn a_denial_teaches_in_one_line() {
        let error = packet(&denial("you hold nothing"), Denied::Table);
        let error = ErrPacket::decode(&error).unwrap();
        assert_eq!((error.code, &error.sqlstate), (1142, b"42000"));
        let expected = "no grant allows UPDATE on shop.orders; you hold nothing \
                        HINT: CALL hallpass.request('fixer', '1 hour', 'why')";
        assert_eq!(std::str::from_utf8(error.message), Ok(expected));
        assert_eq!(code(&denial(""), Denied::Column).0, 1143);
        assert_eq!(code(&denial(""), Denied::Other).0, 1227);
    }

    #[test]
    fn what_is_too_long_loses_detail_and_keeps_the_hint() {
        let error = packet(&denial(&"ä".repeat(1000)), Denied::Table);
        let message = std::str::from_utf8(ErrPacket::decode(&error).unwrap().message).unwrap();
        assert!(message.len() <= MAX_MESSAGE && message.len() > MAX_MESSAGE - 3);
        assert!(message.ends_with("'why')") && message.contains("; ää"));
    }

    #[test]
    fn a_failed_login_has_the_servers_words() {
        let error = packet(&ClientError::AuthenticationFailed { user: "ann".into() }, Denied::Other);
        assert_eq!(error, b"\xff\x15\x04#28000Access denied for user 'ann' (using password: YES)");
        let error = packet(&ClientError::Draining, Denied::Other);
        assert_eq!(ErrPacket::decode(&error).unwrap().sqlstate, *b"08S01");
    }

    #[test]
    fn scrubbing_leaves_no_value() {
        let mut out = Vec::new();
        let sent = b"\xff\x26\x04#23000Duplicate entry 'ann@example.com' for key 'email'";
        scrub_error(&mut out, &mut Sequence::at(3, Order::Checked), sent, |code| {
            assert_eq!(code, 1062);
            "duplicate entry"
        })
        .unwrap();
        assert_eq!(out, b"\x18\0\0\x03\xff\x26\x04#23000duplicate entry");
        assert!(scrub_error(&mut out, &mut Sequence::at(3, Order::Checked), b"\xff", |_| "x").is_err());
    }
}
