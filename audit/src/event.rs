//! What is recorded: one event, its kind, and the fields of the contract's `events` table.

use std::sync::Arc;

use hallpass_policy::ids::{GrantId, ListenerName, RequestId, SessionId, TargetName, Timestamp, UserName};
use serde::{Deserialize, Serialize};

/// `events.kind`. With the decision `deny` it was only tried: [`Kind::Approval`] and `deny` is an approval that was
/// refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A client logged in.
    SessionStart,
    /// A client did not.
    LoginFailed,
    /// A statement is about to be forwarded.
    Attempt,
    /// A statement was refused.
    Denied,
    /// What became of an attempt.
    Outcome,
    /// A client left.
    SessionEnd,
    /// Somebody asked for a grant.
    Request,
    /// Somebody approved.
    Approval,
    /// Somebody rejected.
    Rejection,
    /// A grant began.
    GrantStart,
    /// A grant ended.
    GrantEnd,
    /// A grant began without approval.
    BreakGlass,
    /// Somebody looked at a break-glass grant.
    Review,
    /// A user, token or session was changed by an admin.
    Admin,
    /// The configuration was loaded, or refused.
    Config,
}

impl Kind {
    /// Every kind, in the contract's order; the place in this list is the journal's code for it, so only append.
    pub const ALL: [Self; 15] = [
        Self::SessionStart,
        Self::LoginFailed,
        Self::Attempt,
        Self::Denied,
        Self::Outcome,
        Self::SessionEnd,
        Self::Request,
        Self::Approval,
        Self::Rejection,
        Self::GrantStart,
        Self::GrantEnd,
        Self::BreakGlass,
        Self::Review,
        Self::Admin,
        Self::Config,
    ];

    /// As in `events.kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionStart => "session_start",
            Self::LoginFailed => "login_failed",
            Self::Attempt => "attempt",
            Self::Denied => "denied",
            Self::Outcome => "outcome",
            Self::SessionEnd => "session_end",
            Self::Request => "request",
            Self::Approval => "approval",
            Self::Rejection => "rejection",
            Self::GrantStart => "grant_start",
            Self::GrantEnd => "grant_end",
            Self::BreakGlass => "break_glass",
            Self::Review => "review",
            Self::Admin => "admin",
            Self::Config => "config",
        }
    }

    /// The kind that is written `name` in `events.kind`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Names an attempt until SQLite has given it a `seq`: unique within one data folder, across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptId(pub u64);

/// Who and where: what all events of one session share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The session.
    pub session: Option<SessionId>,
    /// The user (as claimed, for a failed login).
    pub user: Option<UserName>,
    /// The target.
    pub target: Option<TargetName>,
    /// `postgres`, `mysql`, `http`, `cli`.
    pub protocol: Option<Arc<str>>,
    /// The listener.
    pub listener: Option<ListenerName>,
    /// The client's address, `127.0.0.1:50712`.
    pub client: Option<Arc<str>>,
    /// `application_name`, or MySQL's `program_name`.
    pub application: Option<Arc<str>>,
}

/// One event. Fields that a kind does not use stay `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, UTC.
    pub at: Timestamp,
    /// What.
    pub kind: Kind,
    /// Who and where.
    pub origin: Arc<Origin>,
    /// Of an attempt: its own name. Of an outcome: the attempt's.
    pub attempt: Option<AttemptId>,
    /// The grant it ran under, or that began or ended.
    pub grant: Option<GrantId>,
    /// The request.
    pub request: Option<RequestId>,
    /// The statement, byte for byte as the upstream gets it (lossy only where it is not UTF-8).
    pub statement: Option<Arc<str>>,
    /// Its shape without literals.
    pub fingerprint: Option<Arc<str>>,
    /// Its parameters, a JSON array; binary ones as `{"hex":"…"}`.
    pub parameters: Option<Box<str>>,
    /// `allow`, `deny`, or the verb of an approval.
    pub decision: Option<Arc<str>>,
    /// Why, for people: the denial's message, the reason of a revocation, `prepare`.
    pub reason: Option<Arc<str>>,
    /// Rows returned or changed.
    pub rows: Option<u64>,
    /// Bytes of row data sent to the client.
    pub bytes: Option<u64>,
    /// Masked result columns, comma separated: `shop.customers.email,shop.customers.ssn`.
    pub masked_columns: Option<Arc<str>>,
    /// From forwarding to completion, µs.
    pub duration_us: Option<u64>,
    /// SQLSTATE of what the client got, if an error.
    pub error_code: Option<Arc<str>>,
}

impl Event {
    /// An event of `kind` with nothing but time and origin.
    pub fn new(kind: Kind, at: Timestamp, origin: Arc<Origin>) -> Self {
        Self {
            at,
            kind,
            origin,
            attempt: None,
            grant: None,
            request: None,
            statement: None,
            fingerprint: None,
            parameters: None,
            decision: None,
            reason: None,
            rows: None,
            bytes: None,
            masked_columns: None,
            duration_us: None,
            error_code: None,
        }
    }
}
