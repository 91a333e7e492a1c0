//! Everything a client may be told about our side. Each wire writes it in its own words (`wire/*/error.rs`);
//! nothing else about the proxy, its secrets or its hosts reaches a client.

use hallpass_policy::{
    decide::Denial,
    statement::{Refusal, RefusalKind},
};
use thiserror::Error;

/// An error for the client.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The same words for an unknown user, a wrong password, an expired or disabled user.
    #[error("authentication failed for user `{user}`")]
    AuthenticationFailed {
        /// As the client gave it.
        user: String,
    },
    /// No grant allows it, or a review rule blocks it.
    #[error("{}", .0.message)]
    Denied(Denial),
    /// Not understood.
    #[error("{0}")]
    Refused(Refusal),
    /// A Bind, Describe or EXECUTE names a prepared statement that does not exist.
    #[error("prepared statement \"{0}\" does not exist")]
    UnknownStatement(String),
    /// An Execute, Describe or FETCH names a portal or cursor that does not exist.
    #[error("portal \"{0}\" does not exist")]
    UnknownPortal(String),
    /// The session keeps as much of a kind as it may.
    #[error("too many {what} in one session")]
    HoldsTooMuch {
        /// `prepared statements`, `portals`.
        what: &'static str,
    },
    /// The grant a statement ran under is over.
    #[error("{message}")]
    GrantEnded {
        /// Which grant, and how it ended.
        message: String,
        /// What to type to ask again.
        hint: String,
    },
    /// A limit of the role was passed; the statement was cancelled and changed nothing.
    #[error("{message}")]
    LimitExceeded {
        /// Which limit, of which role.
        message: String,
        /// What to do.
        hint: String,
        /// SQLSTATE: 57014 for time, 54000 for rows and bytes.
        sqlstate: &'static str,
    },
    /// The proxy itself was asked for something, in SQL, and does not do it.
    #[error("{message}")]
    Asked {
        /// Why not.
        message: String,
        /// What to do instead.
        hint: String,
        /// SQLSTATE: 42501 for what one may not do, 22023 for what makes no sense, P0002 for what does not exist, 55000
        /// for what is over, 42P05 for a name that is taken.
        sqlstate: &'static str,
    },
    /// The client cancelled a question to the proxy itself.
    #[error("canceling statement due to user request")]
    Cancelled,
    /// The audit cannot be written, so nothing runs.
    #[error("the audit cannot be written, so no statement is forwarded")]
    AuditUnavailable,
    /// The target cannot be reached, or was lost.
    #[error("database `{target}` is not available")]
    UpstreamUnavailable {
        /// The target.
        target: String,
        /// What a user may know: `connection refused`, `certificate not trusted`; no host, no credential.
        reason: String,
    },
    /// The client broke the protocol; the connection ends.
    #[error("protocol violation: {0}")]
    ProtocolViolation(String),
    /// A startup packet asks for something the proxy does not do; the connection ends.
    #[error("{message}")]
    StartupRefused {
        /// What.
        message: String,
        /// What to do.
        hint: String,
        /// SQLSTATE: 3D000 for an unknown target, 0A000 for replication, 42501 for settings.
        sqlstate: &'static str,
    },
    /// `max_connections` is reached.
    #[error("too many connections")]
    TooManyConnections,
    /// An admin ended this session.
    #[error("this session was ended by an administrator")]
    Killed,
    /// The account of an open session has ended.
    #[error("the account of this session has expired")]
    Expired,
    /// The proxy is shutting down.
    #[error("the proxy is shutting down")]
    Draining,
}

impl ClientError {
    /// The SQLSTATE that Postgres clients see.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::AuthenticationFailed { .. } => "28P01",
            Self::Denied(_) | Self::GrantEnded { .. } => "42501",
            Self::Refused(refusal) => match refusal.kind {
                RefusalKind::Unparsed => "42601",
                RefusalKind::Unsupported | RefusalKind::NotPreparable => "0A000",
                RefusalKind::UnknownRelation => "42P01",
                RefusalKind::UnknownColumn => "42703",
                RefusalKind::UnknownFunction => "42883",
                RefusalKind::UnknownType => "42704",
                RefusalKind::Ambiguous => "42702",
                RefusalKind::Forbidden => "42501",
                RefusalKind::TooComplex => "54001",
                RefusalKind::UnknownCharset => "22021",
            },
            Self::UnknownStatement(_) => "26000",
            Self::UnknownPortal(_) => "34000",
            Self::LimitExceeded { sqlstate, .. }
            | Self::StartupRefused { sqlstate, .. }
            | Self::Asked { sqlstate, .. } => sqlstate,
            Self::HoldsTooMuch { .. } => "53400",
            Self::Cancelled => "57014",
            Self::AuditUnavailable => "58030",
            Self::UpstreamUnavailable { .. } => "08006",
            Self::ProtocolViolation(_) => "08P01",
            Self::TooManyConnections => "53300",
            Self::Killed | Self::Draining => "57P01",
            Self::Expired => "28000",
        }
    }

    /// Why, in a sentence; the second line of an error.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Denied(denial) => Some(denial.detail.as_str()),
            Self::Refused(refusal) => refusal.detail.as_deref(),
            Self::UpstreamUnavailable { reason, .. } => Some(reason.as_str()),
            Self::AuthenticationFailed { .. }
            | Self::UnknownStatement(_)
            | Self::UnknownPortal(_)
            | Self::HoldsTooMuch { .. }
            | Self::GrantEnded { .. }
            | Self::LimitExceeded { .. }
            | Self::Asked { .. }
            | Self::Cancelled
            | Self::AuditUnavailable
            | Self::ProtocolViolation(_)
            | Self::StartupRefused { .. }
            | Self::TooManyConnections
            | Self::Killed
            | Self::Expired
            | Self::Draining => None,
        }
        .filter(|text| !text.is_empty())
    }

    /// What to type next.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Denied(denial) => Some(denial.hint.as_str()),
            Self::Refused(refusal) => refusal.hint.as_deref(),
            Self::GrantEnded { hint, .. }
            | Self::LimitExceeded { hint, .. }
            | Self::Asked { hint, .. }
            | Self::StartupRefused { hint, .. } => Some(hint.as_str()),
            Self::HoldsTooMuch { .. } => {
                Some("close those that are done with: a session may keep 10000, whose texts and parameters are 8 MiB")
            }
            Self::AuditUnavailable => Some("tell an administrator: the proxy's data folder is full or not writable"),
            Self::AuthenticationFailed { .. }
            | Self::UnknownStatement(_)
            | Self::UnknownPortal(_)
            | Self::Cancelled
            | Self::UpstreamUnavailable { .. }
            | Self::ProtocolViolation(_)
            | Self::TooManyConnections
            | Self::Killed
            | Self::Expired
            | Self::Draining => None,
        }
        .filter(|text| !text.is_empty())
    }
}
