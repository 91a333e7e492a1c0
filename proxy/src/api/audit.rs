//! `/api/v1/audit`: for admins and auditors; everybody else finds their own events, and those of a grant that they have
//! a say in. Reads `audit.db` after everything
//! appended so far has got there; never writes.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{OriginalUri, State},
    http::StatusCode,
};
use hallpass_audit::{
    event::Kind,
    query::{AuditReader, Count, EventRow, Filter},
    sqlite::AuditError,
    verify::{Report, verify},
};
use hallpass_policy::ids::{GrantId, SessionId, TargetName, Timestamp, UserName};
use serde::{Deserialize, Serialize};

use super::{
    Answer, Api,
    auth::Caller,
    input::{Params, moment},
    page::{Listed, bounded},
    problem::Problem,
    routes::Routes,
};
use crate::{
    config::units,
    store::{actor::Actor, page::Paged},
};

/// How long a question waits for the importer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most events of one answer.
const MOST: u32 = 10_000;

pub(super) fn routes() -> Routes {
    Routes::new().get("/audit/events", events).get("/audit/stats", stats).get("/audit/verify", check)
}

/// What is searched for; with none of it, the last events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventParams {
    /// Whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// `events.kind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Under which grant, and of its requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<i64>,
    /// In which session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What statement or reason contains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Not before: a date, a time, or a duration ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Behind this `seq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// The last so many, of `user` or all, whatever the rest says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl EventParams {
    /// As the audit wants it.
    ///
    /// # Errors
    /// When a kind or a time is none.
    pub fn filter(&self, now: Timestamp) -> Result<Filter, Problem> {
        let kind = self.kind.as_deref().map(|name| {
            Kind::from_name(name).ok_or_else(|| {
                let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
                Problem::bad_request(format!("there is no kind `{name}`")).hint(format!("kinds: {}", known.join(", ")))
            })
        });
        Ok(Filter {
            user: self.user.as_deref().map(UserName::new),
            target: self.database.as_deref().map(TargetName::new),
            kind: kind.transpose()?,
            grant: self.grant.map(GrantId),
            session: self.session.as_deref().map(SessionId::new),
            text: self.text.clone(),
            since: self.since.as_deref().map(|text| past(text, now)).transpose()?,
            until: self.until.as_deref().map(|text| past(text, now)).transpose()?,
            after_seq: self.after,
            limit: Some(bounded(self.limit, Filter::DEFAULT_LIMIT, MOST)?),
        })
    }

    /// Asks `reader` for a page.
    ///
    /// # Errors
    /// As [`EventParams::filter`], and when the audit cannot be read.
    pub fn ask(&self, reader: &AuditReader, now: Timestamp) -> Result<Paged<EventRow>, Problem> {
        let filter = self.filter(now)?;
        if let Some(count) = self.last {
            return Ok(Paged { items: reader.tail_of(filter.user.as_ref(), count.min(MOST))?, more: false });
        }
        let limit = filter.limit.unwrap_or(MOST);
        // One more than the page holds tells whether others follow.
        let mut items = reader.search(&Filter { limit: Some(limit.saturating_add(1)), ..filter })?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(Paged { items, more })
    }
}

/// A moment; a duration counts back from `now`.
fn past(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    match units::duration(text) {
        Ok(ago) => Ok(Timestamp(now.0.saturating_sub(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX)))),
        Err(_) => moment(text, now),
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        tracing::error!(%error, "the audit cannot be read");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("the audit cannot be read: {error}"))
    }
}

/// Passes whoever may read the audit of all.
fn auditors_only(actor: &Actor, what: &str) -> Answer<()> {
    if actor.sees_everything() {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, format!("only admins and auditors may {what}")).hint(
        "they are named under [admins] and [auditors] in proxy.toml; `hallpass audit search` finds your own events",
    ))
}

/// Runs `work` on the data folder after the importer caught up.
async fn read<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&std::path::Path) -> Result<T, Problem> + Send + 'static,
) -> Answer<T> {
    match tokio::time::timeout(PATIENCE, api.importer.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(AuditError::Late(PATIENCE).into()),
    }
    let data = api.shared.config.load().server.data_dir.clone();
    tokio::task::spawn_blocking(move || work(&data)).await.map_err(|_| Problem::internal())?
}

async fn events(
    State(api): State<Arc<Api>>,
    Caller(actor): Caller,
    OriginalUri(uri): OriginalUri,
    Params(mut params): Params<EventParams>,
) -> Answer<Listed<EventRow>> {
    if !actor.sees_everything() && !reviews(&api, &actor, &params).await? {
        let own = params.user.get_or_insert_with(|| actor.name.to_string());
        if *own != *actor.name.as_str() {
            auditors_only(&actor, "read other users' events")?;
        }
    }
    let now = api.shared.clock.now();
    let found = read(&api, move |data| params.ask(&AuditReader::open(data)?, now)).await?;
    Ok(Listed::new(found, &uri, |event| event.seq.to_string(), |event| event))
}

/// Whether the question keeps to one grant that the actor may see: who decides or reviews it reads what was done.
async fn reviews(api: &Api, actor: &Actor, params: &EventParams) -> Answer<bool> {
    // The last events are of all grants, whatever else is asked.
    let Some(grant) = params.grant.filter(|_| params.last.is_none()) else { return Ok(false) };
    let actor = actor.clone();
    Ok(api.ledger.perform(move |ledger| ledger.sees_grant(&actor, GrantId(grant))).await?)
}

async fn stats(State(api): State<Arc<Api>>, Caller(actor): Caller) -> Answer<Json<Vec<Count>>> {
    auditors_only(&actor, "count the audit's events")?;
    read(&api, |data| Ok(AuditReader::open(data)?.stats()?)).await.map(Json)
}

/// A report, and whether all is well.
#[derive(Debug, Serialize)]
struct Verified {
    intact: bool,
    #[serde(flatten)]
    report: Report,
}

async fn check(State(api): State<Arc<Api>>, Caller(actor): Caller) -> Answer<Json<Verified>> {
    auditors_only(&actor, "verify the audit")?;
    let report = read(&api, |data| Ok(verify(data)?)).await?;
    Ok(Json(Verified { intact: report.is_intact(), report }))
}
