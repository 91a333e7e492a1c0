//! How sessions end, in the audit's words and codes.

use crate::error::ClientError;

/// How a session ended, for the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// The client left.
    Client,
    /// The upstream was lost together with state of the session.
    Upstream,
    /// An admin ended it.
    Killed,
    /// The user's account ended.
    Expired,
    /// The proxy shut down.
    Drained,
    /// The client broke the protocol.
    Violation,
    /// A statement had to end, and the client did not read what it had shown of a row.
    Stuck,
    /// The connection goes on as somebody else's.
    Relogin,
}

impl Goodbye {
    /// For `reason` of `session_end`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "the client left",
            Self::Upstream => "the upstream session was lost",
            Self::Killed => "ended by an administrator",
            Self::Expired => "the account ended",
            Self::Drained => "the proxy shut down",
            Self::Violation => "the client broke the protocol",
            Self::Stuck => "the client read nothing while its statement had to end",
            Self::Relogin => "the client logged in anew",
        }
    }

    /// For `error_code` of what it ends in the middle.
    pub(super) fn sqlstate(self) -> &'static str {
        match self {
            // What a server that loses its client notes.
            Self::Client | Self::Upstream | Self::Stuck | Self::Relogin => "08006",
            Self::Killed => ClientError::Killed.sqlstate(),
            Self::Expired => ClientError::Expired.sqlstate(),
            Self::Drained => ClientError::Draining.sqlstate(),
            Self::Violation => "08P01",
        }
    }
}
