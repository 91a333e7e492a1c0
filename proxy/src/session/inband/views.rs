//! The rows of the views, in the order of their columns. What a user sees here is what the API shows the same user.

use std::time::Duration;

use hallpass_policy::{
    grant::{GrantEnd, GrantKind},
    ids::{TargetName, Timestamp},
    mask::plan::{ColumnGlob, MaskRule},
    role::{Role, TableGlob},
    statement::inband::View,
};

use super::{Asker, Cell, Desk, ended_by};
use crate::{
    api::mask_as_written,
    config::units::human,
    error::ClientError,
    store::{
        RequestFilter,
        grants::{GrantRecord, ReviewState},
        ledger::Decided,
        requests::RequestState,
    },
};

/// How long an ended grant or a decided request is shown.
const SHOWN: Duration = Duration::from_secs(24 * 3600);

/// All rows of `view` that the asker may see.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn rows(desk: &Desk, asker: &Asker, view: View) -> Result<Vec<Vec<Cell>>, ClientError> {
    let now = desk.shared.clock.now();
    let recent = move |ended: Timestamp| ended.until(now) < SHOWN;
    match view {
        View::Roles => Ok(roles(desk, asker)),
        View::Masks => Ok(masks(desk, asker)),
        View::Session => Ok(vec![session(desk, asker)]),
        View::Grants => {
            let found = desk.perform(asker, |ledger, actor| ledger.grants(actor, true)).await?;
            let shown = found.iter().filter(|record| recent(record.revoked_at.unwrap_or(record.grant.ends)));
            Ok(shown.map(|record| grant(record, now)).collect())
        }
        View::Requests => {
            let filter = RequestFilter::default();
            let found = desk.perform(asker, move |ledger, actor| ledger.requests(actor, &filter)).await?;
            let shown = found.iter().filter(|found| closed_at(found).is_none_or(recent));
            Ok(shown.map(request).collect())
        }
    }
}

fn roles(desk: &Desk, asker: &Asker) -> Vec<Vec<Cell>> {
    let config = desk.shared.config.load();
    let row = |role: &Role| {
        let allow: Vec<_> = role.allow.iter().map(|action| action.as_str()).collect();
        vec![
            Cell::text(role.name.as_str()),
            Cell::Boolean(role.may_be_requested_by(&asker.principal)),
            Cell::text(allow.join(", ")),
            Cell::maybe(role.tables.as_deref().map(globs)),
            Cell::maybe((!role.except.is_empty()).then(|| globs(&role.except))),
            Cell::maybe(role.max_duration.map(human)),
            Cell::maybe(role.break_glass.as_ref().map(|terms| human(terms.max_duration))),
            Cell::Boolean(role.export),
            Cell::number(role.limits.max_rows),
            Cell::number(role.limits.max_rows_affected),
            Cell::maybe(role.limits.statement_timeout.map(human)),
        ]
    };
    config.policy.roles.values().map(row).collect()
}

fn globs(globs: &[TableGlob]) -> String {
    globs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn masks(desk: &Desk, asker: &Asker) -> Vec<Vec<Cell>> {
    let config = desk.shared.config.load();
    let rules = config.policy.masks.iter().flat_map(|rule| rule.columns.iter().map(move |glob| (rule, glob)));
    let here = rules.filter(|(_, glob)| glob.covers(asker.target.name()));
    let row = |(rule, glob): (&MaskRule, &ColumnGlob)| {
        let column = format!("{}.{}.{}", glob.schema, glob.table, glob.column);
        vec![Cell::text(column), Cell::text(mask_as_written(&rule.with)), Cell::text(rule.in_predicates.as_str())]
    };
    here.map(row).collect()
}

fn session(desk: &Desk, asker: &Asker) -> Vec<Cell> {
    let origin = &asker.origin;
    let groups: Vec<_> = asker.principal.groups.iter().map(|group| group.as_str()).collect();
    let now = desk.shared.clock.now();
    let grants = desk.shared.grants.of(&asker.principal.user);
    let active = grants.iter().filter(|grant| grant.active(asker.target.name(), now)).count();
    vec![
        Cell::text(asker.principal.user.as_str()),
        Cell::text(groups.join(", ")),
        Cell::text(asker.target.name().as_str()),
        Cell::maybe(origin.session.as_ref().map(ToString::to_string)),
        Cell::maybe(origin.listener.as_ref().map(ToString::to_string)),
        Cell::maybe(origin.protocol.as_ref()),
        Cell::maybe(origin.client.as_ref()),
        Cell::maybe(origin.application.as_ref()),
        Cell::number(u64::try_from(active).ok()),
        Cell::text(env!("CARGO_PKG_VERSION")),
    ]
}

fn grant(record: &GrantRecord, now: Timestamp) -> Vec<Cell> {
    let grant = &record.grant;
    let (role, statement) = match &grant.kind {
        GrantKind::Role(role) => (Some(role), None),
        GrantKind::Statement(statement) => (None, Some(statement)),
    };
    let review = match &record.review {
        ReviewState::NotNeeded => None,
        ReviewState::Due { .. } => Some("due"),
        ReviewState::Done { .. } => Some("done"),
    };
    let note = match &grant.revoked {
        Some(GrantEnd::Revoked { by, reason }) => Some(ended_by("revoked", by, reason.as_deref())),
        Some(GrantEnd::Expired) | None => None,
    };
    vec![
        Cell::Integer(grant.id.0),
        Cell::text(record.state(now).as_str()),
        Cell::text(grant.user.as_str()),
        Cell::maybe(role.map(|role| role.as_str())),
        Cell::maybe(statement.map(|statement| &statement.text)),
        Cell::text(names(&grant.targets)),
        Cell::Time(grant.starts),
        Cell::Time(record.revoked_at.unwrap_or(grant.ends)),
        Cell::Boolean(statement.is_some_and(|statement| statement.export)),
        Cell::Boolean(statement.is_some_and(|statement| statement.unmask)),
        Cell::Integer(grant.request.0),
        Cell::maybe(review),
        Cell::maybe(note),
        Cell::number(statement.and_then(|statement| statement.max_rows_affected)),
    ]
}

fn request(found: &Decided) -> Vec<Cell> {
    let request = &found.request;
    let asked = &request.asked;
    let statement = asked.subject.statement();
    let note = match &request.state {
        RequestState::Rejected(closed) | RequestState::Cancelled(closed) => {
            Some(ended_by(request.state.as_str(), &closed.by, closed.reason.as_deref()))
        }
        RequestState::Pending | RequestState::Approved { .. } | RequestState::Lapsed { .. } => None,
    };
    vec![
        Cell::Integer(request.id.0),
        Cell::text(request.state.as_str()),
        Cell::text(asked.user.as_str()),
        Cell::maybe(asked.subject.role().map(|role| role.as_str())),
        Cell::maybe(statement.map(|statement| &statement.text)),
        Cell::text(names(&asked.targets)),
        Cell::text(human(asked.duration)),
        Cell::text(&asked.reason),
        Cell::Boolean(statement.is_some_and(|statement| statement.export)),
        Cell::Boolean(statement.is_some_and(|statement| statement.unmask)),
        Cell::Time(asked.created),
        Cell::maybe((!found.waiting_for.is_empty()).then_some(&found.waiting_for)),
        found.grant.as_ref().map_or(Cell::Null, |record| Cell::Integer(record.grant.id.0)),
        Cell::maybe(note),
        Cell::number(statement.and_then(|statement| statement.max_rows_affected)),
    ]
}

fn closed_at(found: &Decided) -> Option<Timestamp> {
    match &found.request.state {
        RequestState::Pending => None,
        RequestState::Approved { at, .. } | RequestState::Lapsed { at } => Some(*at),
        RequestState::Rejected(closed) | RequestState::Cancelled(closed) => Some(closed.at),
    }
}

fn names(targets: &[TargetName]) -> String {
    targets.iter().map(TargetName::as_str).collect::<Vec<_>>().join(", ")
}
