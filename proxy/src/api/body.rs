//! What the API takes and gives, as JSON; the command line reads the same types. Times are RFC 3339 in UTC, durations
//! as in `proxy.toml`.

use std::collections::BTreeMap;

use hallpass_policy::{
    grant::{GrantEnd, GrantKind},
    ids::Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    config::units::human,
    session::registry::SessionInfo,
    store::{
        credentials::CredentialKind,
        grants::{GrantRecord, ReviewState},
        ledger::Decided,
        requests::{Closed, RequestState, Way},
        users,
    },
};

/// `POST /users`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AddUser {
    /// The name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
    /// A date, a time or a duration from now.
    pub expires: Option<String>,
    /// A first password.
    pub password: Option<String>,
    /// Whether to make a first token.
    pub token: bool,
}

/// `PUT /users/{name}/password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// The new one.
    pub password: String,
}

/// `POST /users/{name}/tokens`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AddToken {
    /// What it is for.
    pub label: Option<String>,
    /// A date, a time or a duration from now.
    pub expires: Option<String>,
}

/// A token: shown once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// The token itself.
    pub token: String,
}

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// The name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
    /// When the user stops being one.
    pub expires: Option<String>,
    /// Whether an admin disabled the user.
    pub disabled: bool,
    /// `enabled`, `disabled` or `expired`.
    pub state: String,
    /// Since when.
    pub created: String,
    /// Whether there is a password.
    pub password: bool,
    /// Tokens.
    pub tokens: Vec<TokenInfo>,
}

/// A user that was added, and the first token, if one was wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Added {
    /// The user.
    pub user: User,
    /// The token.
    pub token: Option<Token>,
}

/// A token, without itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub label: Option<String>,
    /// Since when.
    pub created: String,
    /// When it stops working.
    pub expires: Option<String>,
}

impl User {
    /// As it is at `now`.
    pub fn of(user: &users::User, now: Timestamp) -> Self {
        let is_token = |key: &&users::KeyInfo| key.kind == CredentialKind::Token;
        Self {
            name: user.name.to_string(),
            groups: user.groups.iter().map(ToString::to_string).collect(),
            expires: time(user.expires),
            disabled: user.disabled,
            state: match (user.disabled, user.active(now)) {
                (true, _) => "disabled",
                (false, true) => "enabled",
                (false, false) => "expired",
            }
            .to_owned(),
            created: user.created.to_string(),
            password: user.keys.iter().any(|key| key.kind == CredentialKind::Password),
            tokens: user.keys.iter().filter(is_token).map(TokenInfo::from).collect(),
        }
    }
}

impl From<&users::KeyInfo> for TokenInfo {
    fn from(key: &users::KeyInfo) -> Self {
        let (id, label) = (key.id, key.label.clone());
        Self { id, label, created: key.created.to_string(), expires: time(key.expires) }
    }
}

/// `POST /requests`: a role or a statement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// For whom; absent: for oneself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Or the statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// Of a statement: bulk reads, too.
    pub export: bool,
    /// Of a statement: masked columns shown.
    pub unmask: bool,
    /// Of a statement that writes: how many rows at most; absent: as many as the configuration allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rows_affected: Option<u64>,
    /// Where.
    pub databases: Vec<String>,
    /// For how long.
    pub duration: String,
    /// Why.
    pub reason: String,
}

/// `PUT /requests/{id}`: what is to change; absent: as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    /// For how long.
    pub duration: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// `POST /break-glass`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakGlass {
    /// For whom; absent: for oneself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The role.
    pub role: String,
    /// Where.
    pub databases: Vec<String>,
    /// For how long; absent: as long as the role's `break_glass` allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Why.
    pub reason: String,
}

/// `POST /grants/{id}/extend`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Extend {
    /// How much longer.
    pub duration: String,
    /// Why; absent: for the reason of the grant's request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /grants/{id}/review`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Review {
    /// What was seen.
    pub comment: String,
}

/// `POST /requests/{id}/approve`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approve {
    /// For how long at most.
    pub duration: Option<String>,
    /// What to say about it.
    pub comment: Option<String>,
}

/// `POST /requests/{id}/reject`, `POST /grants/{id}/revoke`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Because {
    /// Why.
    pub reason: Option<String>,
}

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Its number.
    pub id: i64,
    /// `pending`, `approved`, `rejected`, `cancelled` or `lapsed`.
    pub state: String,
    /// For whom.
    pub user: String,
    /// Who asked.
    pub asked_by: String,
    /// The role, of a role request.
    pub role: Option<String>,
    /// The statement, of a statement request.
    pub statement: Option<String>,
    /// Bulk reads, too.
    pub export: bool,
    /// Masked columns shown.
    pub unmask: bool,
    /// Of a statement that writes: the most rows it may change.
    #[serde(default)]
    pub max_rows_affected: Option<u64>,
    /// The grant that is to last longer, of an extension.
    #[serde(default)]
    pub extends: Option<i64>,
    /// Granted at once, to be reviewed afterwards.
    #[serde(default)]
    pub break_glass: bool,
    /// Where.
    pub databases: Vec<String>,
    /// For how long.
    pub duration: String,
    /// Why.
    pub reason: String,
    /// When.
    pub created: String,
    /// Who approved.
    pub approvals: Vec<Approval>,
    /// Who must still approve; empty when decided.
    pub waiting_for: String,
    /// When it was decided, if it was.
    pub closed_at: Option<String>,
    /// Who rejected or cancelled it.
    pub closed_by: Option<String>,
    /// What they said.
    pub note: Option<String>,
    /// The grant it made.
    pub grant: Option<Grant>,
}

/// One line of `POST /requests/hold` and `GET /requests/{id}/hold`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum HoldEvent {
    /// It waits for approvals; again when what it waits for has changed.
    Pending {
        /// The request.
        request: Box<Request>,
    },
    /// Its grant is active; again when that has another end.
    Approved {
        /// The request, with its grant.
        request: Box<Request>,
    },
    /// It was not approved, or its grant has ended. The last line.
    Ended {
        /// The request, with its grant if there was one.
        request: Box<Request>,
    },
    /// Nothing happened.
    Heartbeat,
}

/// One approval.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// When.
    pub at: String,
    /// For how long at most, if shorter.
    pub duration: Option<String>,
    /// What they said.
    pub comment: Option<String>,
}

impl Request {
    /// For a client, at `now`.
    pub fn new(decided: Decided, now: Timestamp) -> Self {
        let Decided { request, grant, waiting_for } = decided;
        let asked = request.asked;
        let (closed_at, closed) = match &request.state {
            RequestState::Pending => (None, None),
            RequestState::Approved { at, .. } | RequestState::Lapsed { at } => (Some(*at), None),
            RequestState::Rejected(closed) | RequestState::Cancelled(closed) => (Some(closed.at), Some(closed)),
        };
        let statement = asked.subject.statement();
        Self {
            id: request.id.0,
            state: request.state.as_str().to_owned(),
            user: asked.user.to_string(),
            asked_by: asked.asked_by.to_string(),
            role: asked.subject.role().map(ToString::to_string),
            statement: statement.map(|statement| statement.text.to_string()),
            export: statement.is_some_and(|statement| statement.export),
            unmask: statement.is_some_and(|statement| statement.unmask),
            max_rows_affected: statement.and_then(|statement| statement.max_rows_affected),
            extends: match asked.way {
                Way::Extend(grant) => Some(grant.0),
                Way::Grant | Way::BreakGlass => None,
            },
            break_glass: asked.way == Way::BreakGlass,
            databases: asked.targets.iter().map(ToString::to_string).collect(),
            duration: human(asked.duration),
            reason: asked.reason.to_string(),
            created: asked.created.to_string(),
            approvals: request
                .approvals
                .iter()
                .map(|approval| Approval {
                    by: approval.by.to_string(),
                    at: approval.at.to_string(),
                    duration: approval.duration.map(human),
                    comment: approval.comment.clone(),
                })
                .collect(),
            waiting_for,
            closed_at: time(closed_at),
            closed_by: closed.map(|closed: &Closed| closed.by.to_string()),
            note: closed.and_then(|closed| closed.reason.clone()),
            grant: grant.map(|grant| Grant::new(&grant, now)),
        }
    }
}

/// A grant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Its number.
    pub id: i64,
    /// `active`, `expired` or `revoked`.
    pub state: String,
    /// Who holds it.
    pub user: String,
    /// The role, of a role grant.
    pub role: Option<String>,
    /// The statement, of a statement grant.
    pub statement: Option<String>,
    /// Bulk reads, too.
    pub export: bool,
    /// Masked columns shown.
    pub unmask: bool,
    /// Of a statement that writes: the most rows it may change.
    #[serde(default)]
    pub max_rows_affected: Option<u64>,
    /// Of a break-glass: `due` or `done`.
    #[serde(default)]
    pub review: Option<String>,
    /// By when somebody else has to review it.
    #[serde(default)]
    pub review_due: Option<String>,
    /// Who reviewed it.
    #[serde(default)]
    pub reviewed_by: Option<String>,
    /// What they said.
    #[serde(default)]
    pub review_comment: Option<String>,
    /// Where.
    pub databases: Vec<String>,
    /// The request it came from.
    pub request: i64,
    /// When it began.
    pub starts: String,
    /// When it ends by itself.
    pub ends: String,
    /// When it was revoked.
    pub revoked_at: Option<String>,
    /// Who revoked it.
    pub revoked_by: Option<String>,
    /// Why.
    pub note: Option<String>,
}

impl Grant {
    /// For a client, at `now`.
    pub fn new(record: &GrantRecord, now: Timestamp) -> Self {
        let grant = &record.grant;
        let (role, statement) = match &grant.kind {
            GrantKind::Role(role) => (Some(role), None),
            GrantKind::Statement(statement) => (None, Some(statement)),
        };
        let (revoked_by, note) = match &grant.revoked {
            Some(GrantEnd::Revoked { by, reason }) => (Some(by.to_string()), reason.clone()),
            Some(GrantEnd::Expired) | None => (None, None),
        };
        let (review, due, reviewed_by, comment) = match &record.review {
            ReviewState::NotNeeded => (None, None, None, None),
            ReviewState::Due { by } => (Some("due"), Some(*by), None, None),
            ReviewState::Done { by, comment, .. } => (Some("done"), None, Some(by), Some(comment)),
        };
        Self {
            id: grant.id.0,
            state: record.state(now).as_str().to_owned(),
            user: grant.user.to_string(),
            role: role.map(ToString::to_string),
            statement: statement.map(|statement| statement.text.to_string()),
            export: statement.is_some_and(|statement| statement.export),
            unmask: statement.is_some_and(|statement| statement.unmask),
            max_rows_affected: statement.and_then(|statement| statement.max_rows_affected),
            review: review.map(str::to_owned),
            review_due: time(due),
            reviewed_by: reviewed_by.map(ToString::to_string),
            review_comment: comment.map(ToString::to_string),
            databases: grant.targets.iter().map(ToString::to_string).collect(),
            request: grant.request.0,
            starts: grant.starts.to_string(),
            ends: grant.ends.to_string(),
            revoked_at: time(record.revoked_at),
            revoked_by,
            note,
        }
    }
}

/// A database that the proxy serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// `postgres` or `mysql`.
    pub protocol: String,
    /// For approval rules, and for people.
    pub labels: BTreeMap<String, String>,
    /// Where clients find it: the ports that the caller may use, those with a scope first.
    pub listeners: Vec<Listener>,
}

/// A port of the proxy, in front of one database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Where to connect to; of a port on all addresses, the host that the API was reached at.
    pub host: String,
    /// Its number.
    pub port: u16,
    /// `off`, `prefer` or `require`.
    pub tls: String,
    /// The only users, of a scoped port.
    pub users: Option<Vec<String>>,
    /// The only roles, of a scoped port.
    pub roles: Option<Vec<String>>,
    /// The files with the only statements, of a scoped port.
    pub statements: Option<String>,
}

/// An open session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the audit's `events`")]
pub struct Session {
    pub id: String,
    pub user: Option<String>,
    pub database: Option<String>,
    pub protocol: Option<String>,
    pub listener: Option<String>,
    pub client: Option<String>,
    pub application: Option<String>,
    pub started: String,
    pub statement: Option<String>,
    pub grant: Option<i64>,
}

impl From<SessionInfo> for Session {
    fn from(info: SessionInfo) -> Self {
        let origin = &info.origin;
        Self {
            id: info.id.to_string(),
            user: origin.user.as_ref().map(ToString::to_string),
            database: origin.target.as_ref().map(ToString::to_string),
            protocol: origin.protocol.as_ref().map(ToString::to_string),
            listener: origin.listener.as_ref().map(ToString::to_string),
            client: origin.client.as_ref().map(ToString::to_string),
            application: origin.application.as_ref().map(ToString::to_string),
            started: info.started.to_string(),
            statement: info.statement.as_ref().map(ToString::to_string),
            grant: info.grant.map(|grant| grant.0),
        }
    }
}

/// `POST /query`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Where.
    pub database: String,
    /// One statement.
    pub statement: String,
    /// Rows to show at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
}

/// A statement's answer as one document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct QueryAnswer {
    /// The session it ran in, as the audit names it.
    pub session: String,
    /// What rows are made of; empty: it returns none.
    pub columns: Vec<Column>,
    /// Values as text; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Notices and warnings.
    pub notices: Vec<Notice>,
    /// How it ended.
    #[serde(flatten)]
    pub done: QueryDone,
}

/// How a statement ended that worked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct QueryDone {
    /// Postgres' command tag, if rows were not cut off: `UPDATE 3`.
    pub command: Option<String>,
    /// Rows shown.
    pub row_count: u64,
    /// Rows changed, of a statement that changes some.
    pub affected_rows: Option<u64>,
    /// MySQL's last AUTO_INCREMENT value, if it made one.
    pub last_insert_id: Option<u64>,
    /// Whether there were more rows than are shown.
    pub truncated: bool,
}

/// A column of a result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as the database calls it.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A notice or warning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, `NOTE`, …
    pub severity: String,
    /// SQLSTATE, where there is one.
    pub sqlstate: Option<String>,
    /// MySQL's number, where there is one.
    pub code: Option<u16>,
    /// What is to be said.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}
