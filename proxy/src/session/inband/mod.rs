//! The desk that answers SQL of the schema `hallpass`: the same ledger as the HTTP API and the command line, asked by
//! the session's own user. Knows no wire format, and never asks upstream, so that it works while that is down.

use std::{sync::Arc, time::Duration};

use hallpass_audit::event::Origin;
use hallpass_policy::{
    grant::bound_said,
    ids::{GrantId, Principal, RequestId, RoleName, Timestamp, UserName},
    statement::{
        Effect, Refusal, RefusalKind, Statement, Verb,
        inband::{Call, Function, Inband, Told, Value},
    },
};

use tokio::sync::Notify;

use super::{gate::Outcome, target::Target};
use crate::{
    api::StatementReader,
    config::units,
    error::ClientError,
    shared::Shared,
    store::{
        actor::Actor,
        grants::GrantRecord,
        ledger::{Ask, AskFor, BreakGlass, Decided, Ledger, LedgerError, Refused},
        requests::RequestState,
    },
};

mod select;
mod views;

/// How long `hallpass.wait` waits when nobody says.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What answers; one for the whole proxy.
#[derive(Debug)]
pub struct Desk {
    /// The proxy's state.
    pub shared: Arc<Shared>,
    /// Users, requests, grants.
    pub ledger: Arc<Ledger>,
    /// For statement requests.
    pub reader: Arc<dyn StatementReader>,
}

/// Who asks, and where.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Who.
    pub principal: Principal,
    /// From where.
    pub origin: Arc<Origin>,
    /// About which database.
    pub target: Arc<Target>,
}

/// A value of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// NULL.
    Null,
    /// For a text column.
    Text(Arc<str>),
    /// For a column of whole numbers.
    Integer(i64),
    /// For a column of moments.
    Time(Timestamp),
    /// For a column of yes and no.
    Boolean(bool),
}

impl Cell {
    fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    fn maybe<T: AsRef<str>>(text: Option<T>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    fn number(number: Option<u64>) -> Self {
        number.map_or(Self::Null, |number| Self::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

/// The answer to one question.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Told>,
    /// Its rows.
    pub rows: Vec<Vec<Cell>>,
    /// What a single value does not say.
    pub notice: Option<Arc<str>>,
}

/// The answers to a text: of its statements up to the first that failed.
#[derive(Debug, Default)]
pub struct Answer {
    /// Of those that succeeded.
    pub tables: Vec<Table>,
    /// Why the next one did not.
    pub error: Option<ClientError>,
}

impl Answer {
    /// What the audit keeps of it.
    pub fn outcome(&self) -> Outcome {
        let rows = self.tables.iter().map(|table| table.rows.len()).sum::<usize>();
        Outcome {
            rows: u64::try_from(rows).unwrap_or(u64::MAX),
            error_code: self.error.as_ref().map(|error| error.sqlstate().into()),
            reason: self.error.as_ref().map(|error| error.to_string().into()),
            ..Outcome::default()
        }
    }
}

impl Desk {
    /// Answers `questions` one after the other, up to the first that fails. `cancel` ends one that waits, and no other:
    /// what changes something is done in a moment, and is done.
    pub async fn answer(self: Arc<Self>, asker: Asker, questions: Vec<Inband>, cancel: Arc<Notify>) -> Answer {
        let mut answer = Answer::default();
        for question in &questions {
            match self.one(&asker, question, &cancel).await {
                Ok(table) => answer.tables.push(table),
                Err(error) => {
                    answer.error = Some(error);
                    break;
                }
            }
        }
        answer
    }

    async fn one(&self, asker: &Asker, question: &Inband, cancel: &Notify) -> Result<Table, ClientError> {
        let columns = question.columns();
        match question {
            Inband::Query(query) => {
                let rows = views::rows(self, asker, query.view).await?;
                Ok(Table { columns, rows: select::selected(query, rows)?, notice: None })
            }
            Inband::Call(call) => {
                let result = self.call(asker, call, cancel).await?;
                let all = result.row();
                let row: Vec<_> = call.places().into_iter().filter_map(|place| all.get(place).cloned()).collect();
                let notice = (row.len() < all.len()).then(|| result.message.into());
                Ok(Table { columns, rows: vec![row], notice })
            }
        }
    }

    async fn call(&self, asker: &Asker, call: &Call, cancel: &Notify) -> Result<Done, ClientError> {
        match call.function {
            Function::Request => {
                let subject = AskFor::Role(RoleName::new(required(call, 0)?));
                self.ask(asker, call, subject).await
            }
            Function::RequestStatement => {
                let subject = self.statement(asker, call).await?;
                self.ask(asker, call, subject).await
            }
            Function::BreakGlass => {
                let glass = BreakGlass {
                    user: None,
                    role: RoleName::new(required(call, 0)?),
                    targets: vec![asker.target.name().clone()],
                    duration: Some(duration(call, 1)?),
                    reason: required(call, 2)?.to_string(),
                };
                self.decided(asker, move |ledger, actor| ledger.break_glass(actor, glass)).await
            }
            Function::Wait => self.wait(asker, call, cancel).await,
            Function::Approve => {
                let (id, comment) = (RequestId(number(call, 0)?), said(call, 2));
                let shorter = call.text(1).map(|_| duration(call, 1)).transpose()?;
                self.decided(asker, move |ledger, actor| ledger.approve(actor, id, shorter, comment)).await
            }
            Function::Reject => {
                let (id, reason) = (RequestId(number(call, 0)?), said(call, 1));
                self.decided(asker, move |ledger, actor| ledger.reject(actor, id, reason).map(Decided::closed)).await
            }
            Function::Cancel => {
                let id = RequestId(number(call, 0)?);
                self.decided(asker, move |ledger, actor| ledger.cancel(actor, id).map(Decided::closed)).await
            }
            Function::Extend => {
                let (id, by, reason) = (GrantId(number(call, 0)?), duration(call, 1)?, said(call, 2));
                self.decided(asker, move |ledger, actor| ledger.extend(actor, id, by, reason)).await
            }
            Function::Revoke => {
                let (id, reason) = (GrantId(number(call, 0)?), said(call, 1));
                let grant = self.perform(asker, move |ledger, actor| ledger.revoke(actor, id, reason)).await?;
                Ok(Done::of_grant(&grant, "revoked", format!("grant {id} is revoked")))
            }
            Function::Review => {
                let (id, comment) = (GrantId(number(call, 0)?), required(call, 1)?.to_string());
                let grant = self.perform(asker, move |ledger, actor| ledger.review(actor, id, comment)).await?;
                Ok(Done::of_grant(&grant, "reviewed", format!("the break-glass of grant {id} is reviewed")))
            }
        }
    }

    async fn ask(&self, asker: &Asker, call: &Call, subject: AskFor) -> Result<Done, ClientError> {
        let ask = Ask {
            user: None,
            subject,
            targets: vec![asker.target.name().clone()],
            duration: duration(call, 1)?,
            reason: required(call, 2)?.to_string(),
        };
        self.decided(asker, move |ledger, actor| ledger.ask(actor, ask)).await
    }

    /// The statement that is asked for, understood with the names of the session's target.
    async fn statement(&self, asker: &Asker, call: &Call) -> Result<AskFor, ClientError> {
        let text = required(call, 0)?;
        let (mut export, mut unmask) = (false, false);
        for option in call.text(3).as_deref().unwrap_or_default().split([',', ' ']).filter(|option| !option.is_empty())
        {
            match option.to_ascii_lowercase().as_str() {
                "export" => export = true,
                "unmask" => unmask = true,
                _ => {
                    return Err(senseless(
                        format!("there is no option `{option}`"),
                        "the options are unmask and export",
                    ));
                }
            }
        }
        let understood = match self.reader.understand(asker.target.name(), &text).await {
            Ok(understood) => understood,
            Err(refusal) => {
                let (targets, why) = (vec![asker.target.name().clone()], refusal.message.clone());
                let refused = move |ledger: &Ledger, actor: &Actor| ledger.not_understood(actor, text, targets, &why);
                self.perform(asker, refused).await?;
                return Err(ClientError::Refused(refusal));
            }
        };
        Ok(AskFor::Statement { text, understood: vec![understood], export, unmask, max_rows_affected: None })
    }

    /// Waits until a request is decided, or for so long.
    async fn wait(&self, asker: &Asker, call: &Call, cancel: &Notify) -> Result<Done, ClientError> {
        let id = RequestId(number(call, 0)?);
        let patience = call.text(1).map_or(Ok(PATIENCE), |_| duration(call, 1))?;
        let deadline = tokio::time::Instant::now() + patience;
        // Subscribed before the first look, so that no decision falls between looking and waiting.
        let mut changes = self.shared.grants.subscribe();
        loop {
            let found = self.perform(asker, move |ledger, actor| ledger.request(actor, id)).await?;
            if !matches!(found.request.state, RequestState::Pending) {
                return Ok(Done::of_request(&found));
            }
            tokio::select! {
                () = cancel.notified() => return Err(ClientError::Cancelled),
                changed = tokio::time::timeout_at(deadline, changes.changed()) => {
                    if !matches!(changed, Ok(Ok(()))) {
                        return Ok(Done::of_request(&found));
                    }
                }
            }
        }
    }

    async fn decided(
        &self,
        asker: &Asker,
        work: impl FnOnce(&Ledger, &Actor) -> Result<Decided, LedgerError> + Send + 'static,
    ) -> Result<Done, ClientError> {
        Ok(Done::of_request(&self.perform(asker, work).await?))
    }

    /// Asks the ledger as the session's user, by the rules of the configuration in force.
    async fn perform<T: Send + 'static>(
        &self,
        asker: &Asker,
        work: impl FnOnce(&Ledger, &Actor) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let config = self.shared.config.load();
        let actor = Actor::user(asker.principal.clone(), &config.admins, (*asker.origin).clone());
        let actor = actor.seeing(&config.auditors);
        self.ledger.perform(move |ledger| work(ledger, &actor)).await.map_err(refused)
    }
}

/// What a call has done: the row that it returns.
struct Done {
    request: RequestId,
    state: &'static str,
    grant: Option<(GrantId, Timestamp)>,
    message: String,
}

impl Done {
    fn of_request(decided: &Decided) -> Self {
        let Decided { request, grant, waiting_for } = decided;
        let (id, state) = (request.id, request.state.as_str());
        let bound = request.asked.subject.statement().and_then(|statement| statement.max_rows_affected);
        let bound = bound.map_or_else(String::new, |rows| format!("; {}", bound_said(rows)));
        let message = match (&request.state, grant) {
            (RequestState::Pending, _) => format!(
                "request {id} needs {waiting_for}{bound}; approve: CALL hallpass.approve({id}); \
                 wait: CALL hallpass.wait({id})"
            ),
            (RequestState::Approved { .. }, Some(grant)) => {
                let ends = hallpass_policy::grant::at(grant.grant.ends);
                format!("grant {} is active until {ends}{bound}", grant.grant.id)
            }
            (RequestState::Rejected(closed) | RequestState::Cancelled(closed), _) => {
                format!("request {id} was {}", ended_by(state, &closed.by, closed.reason.as_deref()))
            }
            (RequestState::Approved { .. } | RequestState::Lapsed { .. }, _) => format!("request {id} is {state}"),
        };
        let grant = grant.as_ref().map(|grant| (grant.grant.id, grant.grant.ends));
        Self { request: id, state, grant, message }
    }

    fn of_grant(record: &GrantRecord, state: &'static str, message: String) -> Self {
        let grant = &record.grant;
        let ends = record.revoked_at.unwrap_or(grant.ends);
        Self { request: grant.request, state, grant: Some((grant.id, ends)), message }
    }

    /// In the order of [`hallpass_policy::statement::inband::RESULT`].
    fn row(&self) -> [Cell; 5] {
        let (grant, ends) = match self.grant {
            Some((id, ends)) => (Cell::Integer(id.0), Cell::Time(ends)),
            None => (Cell::Null, Cell::Null),
        };
        [Cell::Integer(self.request.0), Cell::text(self.state), grant, ends, Cell::text(&self.message)]
    }
}

/// How something ended, by whom and why: `rejected by bob: use the replica`.
fn ended_by(state: &str, by: &UserName, reason: Option<&str>) -> String {
    let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{state} by {by}{why}")
}

/// The questions that `statements` are, and what they are called; `None` when they are for the upstream.
///
/// # Errors
/// When some are and others are not.
pub fn questions(statements: &[Statement]) -> Result<Option<Vec<(Verb, Inband)>>, ClientError> {
    let question = |statement: &Statement| {
        let Effect::Inband(inband) = &statement.effect else { return None };
        Some((statement.verb, (**inband).clone()))
    };
    let found: Vec<_> = statements.iter().filter_map(question).collect();
    match found.len() {
        0 => Ok(None),
        all if all == statements.len() => Ok(Some(found)),
        _ => Err(ClientError::Refused(
            Refusal::new(RefusalKind::Unsupported, "statements of the schema hallpass share a message with others")
                .detail("the proxy answers them itself, and cannot do so in the middle of a message")
                .hint("send the statements one by one"),
        )),
    }
}

/// A moment in UTC as SQL writes it: `2026-11-22 06:04:05.123456`.
pub fn civil(at: Timestamp) -> String {
    let moment = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default();
    moment.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
}

fn senseless(message: impl Into<String>, hint: impl Into<String>) -> ClientError {
    ClientError::Asked { message: message.into(), hint: hint.into(), sqlstate: "22023" }
}

/// The argument at `place`, which has to be given.
fn required(call: &Call, place: usize) -> Result<Arc<str>, ClientError> {
    call.text(place).ok_or_else(|| missing(call, place))
}

fn number(call: &Call, place: usize) -> Result<i64, ClientError> {
    call.number(place).ok_or_else(|| missing(call, place))
}

fn missing(call: &Call, place: usize) -> ClientError {
    let name = call.function.signature().0.get(place).map_or("", |argument| argument.name);
    // As many as have to be given are there; a number may still be a text or a parameter that is none.
    let wrong = match call.arguments.get(place) {
        None | Some(Value::Null | Value::Parameter(_)) => "must not be NULL",
        Some(Value::Text(_) | Value::Integer(_) | Value::Boolean(_)) => "is no number",
    };
    let message = format!("argument {name} of hallpass.{} {wrong}", call.function.name());
    senseless(message, format!("CALL {}", call.function.usage()))
}

fn duration(call: &Call, place: usize) -> Result<Duration, ClientError> {
    let text = required(call, place)?;
    units::duration(&text).map_err(|wrong| senseless(wrong, "write durations like '30 min', '1 hour' or '1h30m'"))
}

fn said(call: &Call, place: usize) -> Option<String> {
    call.text(place).map(|text| text.to_string())
}

/// The ledger's no, in the words and codes of SQL.
fn refused(error: LedgerError) -> ClientError {
    match error {
        LedgerError::Refused { kind, message, hint } => {
            let sqlstate = match kind {
                Refused::Invalid => "22023",
                Refused::Forbidden => "42501",
                Refused::NotFound => "P0002",
                Refused::Conflict => "55000",
            };
            ClientError::Asked { message, hint: hint.sql, sqlstate }
        }
        LedgerError::Audit(error) => {
            tracing::error!(%error, "the audit cannot be written");
            ClientError::AuditUnavailable
        }
        LedgerError::Store(error) => {
            tracing::error!(%error, "the store does not answer");
            ClientError::Asked {
                message: "the proxy's store does not answer".into(),
                hint: "tell an administrator".into(),
                sqlstate: "58030",
            }
        }
    }
}
