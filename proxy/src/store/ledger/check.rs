//! What may be asked for, and what a request must satisfy: checked against configuration, store and, where approval
//! rules speak of tables, the names of the targets. Changes nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hallpass_policy::{
    approval::{self, Case, Database, Requirement, speak_of_tables},
    decide::{Denial, Question, blocked},
    grant::{ApprovedStatement, bounded_write, pin},
    ids::{GrantId, Principal, RoleName, TargetName, Timestamp, UserName},
    resource,
    role::Role,
    statement::{Action, Object, Statement},
};

use super::{Ask, AskFor, Hint, Ledger, LedgerError, Outcome, bounded, users::must};
use crate::{
    config::{Config, units::human},
    store::{
        Resources, Transaction,
        actor::{Actor, is_among, is_operator, party_name},
        requests::{NewRequest, Request, Subject, Way},
        users::User,
    },
};

/// The longest statement a request may hold, bytes.
pub(super) const LONGEST_STATEMENT: usize = 100_000;

/// Checks a question; the request it makes, and of a statement what it reaches.
pub(super) fn checked(
    ledger: &Ledger,
    config: &Config,
    store: &dyn Transaction,
    actor: &Actor,
    ask: Ask,
    now: Timestamp,
) -> Outcome<(NewRequest, Resources)> {
    let user = for_whom(store, actor, ask.user, now)?;
    // Before they are sorted: what was understood stands in their order.
    let reaches = match &ask.subject {
        AskFor::Role(_) => Resources::new(),
        AskFor::Statement { understood, .. } => {
            let reaches = reached(ledger, &ask.targets, understood)?;
            passes_review(ledger, config, &user, &ask.targets, understood)?;
            reaches
        }
    };
    let targets = known_targets(config, ask.targets)?;
    let reason = reasoned(ask.reason)?;
    if ask.duration.is_zero() {
        return Err(LedgerError::invalid("a grant must last longer than nothing").hint(Hint::option(
            "say how long",
            "--for 30m",
            "'30 min'",
        )));
    }
    let subject = match ask.subject {
        AskFor::Role(role) => Subject::Role(role_for(config, &user, &role, ask.duration)?.name.clone()),
        AskFor::Statement { text, understood, export, unmask, max_rows_affected } => {
            statement_time(config, ask.duration)?;
            let bound = statement_bound(config, &understood, max_rows_affected)?;
            Subject::Statement(approvable(text, &understood, export, unmask, bound)?)
        }
    };
    let asked = NewRequest {
        user: user.name.clone(),
        asked_by: actor.name.clone(),
        subject,
        targets,
        duration: ask.duration,
        reason: reason.into(),
        created: now,
        way: Way::Grant,
        needed: Vec::new(),
    };
    let resources = names_for_rules(ledger, config, &asked, &reaches);
    let needed = needed(config, &user.principal(), &asked, &resources, asked.duration)?;
    Ok((NewRequest { needed, ..asked }, reaches))
}

/// What a request must satisfy that is asked again with another time: a changed one, an extension. Checks what depends
/// on the time, too.
pub(super) fn again(
    ledger: &Ledger,
    config: &Config,
    store: &dyn Transaction,
    asked: &NewRequest,
    reaches: &Resources,
) -> Outcome<Vec<Requirement>> {
    let user = must(store, &asked.user)?;
    if asked.duration.is_zero() {
        return Err(LedgerError::invalid("a grant must last longer than nothing").hint(Hint::option(
            "say how long",
            "--for 30m",
            "'30 min'",
        )));
    }
    known_targets(config, asked.targets.clone())?;
    match &asked.subject {
        Subject::Role(role) => {
            role_for(config, &user, role, asked.duration)?;
        }
        Subject::Statement(_) => statement_time(config, asked.duration)?,
    }
    let resources = names_for_rules(ledger, config, asked, reaches);
    // Of an extension the whole time counts: a rule for an hour is not one for an hour after the other.
    let whole = match asked.way {
        Way::Extend(grant) => so_far(store, grant)?.saturating_add(asked.duration),
        Way::Grant | Way::BreakGlass => asked.duration,
    };
    needed(config, &user.principal(), asked, &resources, whole)
}

/// What the statement of an earlier request reaches.
pub(super) fn resources_again(
    ledger: &Ledger,
    config: &Config,
    store: &dyn Transaction,
    request: &Request,
) -> Outcome<Resources> {
    let stored = store.resources(request.id)?;
    Ok(names_for_rules(ledger, config, &request.asked, &stored))
}

fn so_far(store: &dyn Transaction, grant: GrantId) -> Outcome<Duration> {
    Ok(store.grant(grant)?.map_or(Duration::ZERO, |record| record.grant.starts.until(record.grant.ends)))
}

/// The user a question is for.
pub(super) fn for_whom(
    store: &dyn Transaction,
    actor: &Actor,
    user: Option<UserName>,
    now: Timestamp,
) -> Outcome<User> {
    let name = match user {
        Some(name) if name != actor.name && !actor.is_admin() => {
            return Err(LedgerError::forbidden(format!("only an admin may ask for another, `{name}`")));
        }
        Some(name) => name,
        None if is_operator(&actor.name) => {
            return Err(
                LedgerError::invalid("for whom").hint("add `--user NAME`, or set HALLPASS_TOKEN to a user's token")
            );
        }
        None => actor.name.clone(),
    };
    let user = must(store, &name)?;
    if !user.active(now) {
        return Err(LedgerError::invalid(format!("user `{name}` is disabled or expired")));
    }
    Ok(user)
}

/// A reason that says something.
pub(super) fn reasoned(reason: String) -> Outcome<String> {
    bounded(Some(reason))?.ok_or_else(|| {
        LedgerError::invalid("a request needs a reason").hint(Hint::option(
            "say why",
            "--reason \"INC-1234\"",
            "'INC-1234'",
        ))
    })
}

/// Targets that exist, each once.
pub(super) fn known_targets(config: &Config, mut targets: Vec<TargetName>) -> Outcome<Vec<TargetName>> {
    targets.sort();
    targets.dedup();
    if targets.is_empty() {
        return Err(LedgerError::invalid("a request needs a database").hint("name it: `--database NAME`"));
    }
    for target in &targets {
        if !config.databases.contains_key(target) {
            let known: Vec<_> = config.databases.keys().map(TargetName::as_str).collect();
            return Err(LedgerError::invalid(format!("there is no database `{target}`"))
                .hint(format!("databases: {}", known.join(", "))));
        }
    }
    Ok(targets)
}

/// A role that exists.
pub(super) fn known_role<'c>(config: &'c Config, name: &RoleName) -> Outcome<&'c Role> {
    config.policy.roles.get(name).ok_or_else(|| {
        let known: Vec<_> = config.policy.roles.keys().map(RoleName::as_str).collect();
        LedgerError::invalid(format!("there is no role `{name}`")).hint(format!("roles: {}", known.join(", ")))
    })
}

/// A role that the user may ask for, for so long.
fn role_for<'c>(config: &'c Config, user: &User, name: &RoleName, duration: Duration) -> Outcome<&'c Role> {
    let role = known_role(config, name)?;
    if let Some(parties) = &role.request_by
        && !is_among(&user.principal(), parties)
    {
        let who: Vec<_> = parties.iter().map(party_name).collect();
        return Err(LedgerError::forbidden(format!("`{}` may not ask for role `{name}`", user.name))
            .hint(format!("it is for {}", who.join(", "))));
    }
    match role.max_duration {
        Some(longest) if duration > longest => {
            Err(LedgerError::invalid(format!("role `{name}` is granted for at most {}", human(longest))).hint(
                Hint::option("ask for less", &format!("--for {}", human(longest)), &format!("'{}'", human(longest))),
            ))
        }
        Some(_) | None => Ok(role),
    }
}

/// Whether a statement grant may last so long.
fn statement_time(config: &Config, duration: Duration) -> Outcome<()> {
    let longest = config.statement_max_duration;
    if duration > longest {
        return Err(LedgerError::invalid(format!("a statement is granted for at most {}", human(longest)))
            .hint(format!("ask for less: `--for {}`", human(longest))));
    }
    Ok(())
}

/// The statement as a grant pins it.
fn approvable(
    text: Arc<str>,
    understood: &[Arc<Statement>],
    export: bool,
    unmask: bool,
    max_rows_affected: Option<u64>,
) -> Outcome<ApprovedStatement> {
    if text.len() > LONGEST_STATEMENT {
        return Err(LedgerError::invalid(format!("the statement is longer than {LONGEST_STATEMENT} bytes")));
    }
    let Some(identity) = understood.first().map(|statement| pin(statement)) else {
        return Err(LedgerError::invalid("the statement was understood on no database"));
    };
    if understood.iter().any(|statement| pin(statement) != identity) {
        return Err(LedgerError::invalid("the statement does not mean the same on all of these databases")
            .hint("make one request for each"));
    }
    Ok(ApprovedStatement { text, identity, export, unmask, max_rows_affected })
}

/// How many rows the statement may change; `None`: it only reads.
fn statement_bound(config: &Config, understood: &[Arc<Statement>], wanted: Option<u64>) -> Outcome<Option<u64>> {
    let mut needs = understood.iter().flat_map(|statement| &statement.needs);
    let Some(need) = needs.find(|need| need.action.writes() && !calls(understood, need.action, &need.object)) else {
        return match wanted {
            Some(_) => Err(LedgerError::invalid("the statement changes no rows, so there is nothing to bound")),
            None => Ok(None),
        };
    };
    let Some(most) = config.policy.statement_writes else {
        return Err(LedgerError::invalid(format!(
            "a statement grant is for reading, and this needs `{}` on {}",
            need.action, need.object
        ))
        .hint(role_instead("ask for a role that allows it")));
    };
    for statement in understood {
        bounded_write(statement).map_err(|why| {
            LedgerError::invalid(format!("a statement grant cannot hold this write: {why}"))
                .hint(role_instead("ask for a role that allows it"))
        })?;
    }
    match wanted {
        Some(0) => Err(LedgerError::invalid("a write that may change no row has no use")),
        Some(rows) if rows > most => {
            Err(LedgerError::invalid(format!("a statement grant may change at most {most} rows, not {rows}"))
                .hint(role_instead("ask for fewer, or for a role that allows it")))
        }
        Some(rows) => Ok(Some(rows)),
        None => Ok(Some(most)),
    }
}

fn role_instead(what: &str) -> Hint {
    Hint {
        cli: format!("{what}: `--role NAME`"),
        sql: format!("{what}: CALL hallpass.request('ROLE', '1 hour', 'why')"),
    }
}

/// A function called inside an expression: in a statement that reads, the read-only session holds it back.
fn calls(understood: &[Arc<Statement>], action: Action, object: &Object) -> bool {
    action == Action::Call
        && matches!(object, Object::Function(_))
        && understood.iter().all(|statement| statement.verb != "CALL")
}

/// What the statement reaches on each target. A target whose masks are not known is left out.
fn reached(ledger: &Ledger, targets: &[TargetName], understood: &[Arc<Statement>]) -> Outcome<Resources> {
    if targets.len() != understood.len() {
        return Err(LedgerError::invalid("the statement was not understood on every database"));
    }
    let known = targets.iter().zip(understood).filter_map(|(name, statement)| {
        let target = ledger.shared.targets.get(name).filter(|target| target.is_known())?;
        Some((name.clone(), resource::of_statement(statement, &target.known().masks)))
    });
    Ok(known.collect())
}

/// Passes a statement that no review rule blocks on any target whose names are known. What no grant lets run is not
/// asked for: the rule's words are heard now, not when it is used.
fn passes_review(
    ledger: &Ledger,
    config: &Config,
    user: &User,
    targets: &[TargetName],
    understood: &[Arc<Statement>],
) -> Outcome<()> {
    let principal = user.principal();
    for (name, statement) in targets.iter().zip(understood) {
        let Some(target) = ledger.shared.targets.get(name).filter(|target| target.is_known()) else { continue };
        let known = target.known();
        let question = Question {
            principal: &principal,
            target: name,
            scope: None,
            statement,
            text: None,
            policy: &config.policy,
            masks: &known.masks,
            catalog: &known.catalog,
        };
        if let Some(Denial { detail, hint, .. }) = blocked(&question) {
            return Err(LedgerError::invalid(format!("blocked by {detail}")).hint(hint));
        }
    }
    Ok(())
}

/// What rules may ask about tables: of a statement what was found when it was understood; of a role what it covers now,
/// and that only if any rule asks.
fn names_for_rules(ledger: &Ledger, config: &Config, asked: &NewRequest, reaches: &Resources) -> Resources {
    let role = asked.subject.role().and_then(|name| config.policy.roles.get(name));
    let Some(role) = role.filter(|_| speak_of_tables(&config.approvals)) else { return reaches.clone() };
    let known = asked.targets.iter().filter_map(|name| {
        let target = ledger.shared.targets.get(name).filter(|target| target.is_known())?;
        let known = target.known();
        Some((name.clone(), resource::of_role(role, &known.catalog, &known.masks)))
    });
    known.collect()
}

/// What the request must satisfy by the rules in force.
fn needed(
    config: &Config,
    requester: &Principal,
    asked: &NewRequest,
    resources: &Resources,
    duration: Duration,
) -> Outcome<Vec<Requirement>> {
    let none = BTreeMap::new();
    let databases: Vec<_> = asked
        .targets
        .iter()
        .map(|name| {
            let target = config.databases.get(name);
            Database {
                name,
                protocol: target.map_or("", |target| target.protocol.as_str()),
                labels: target.map_or(&none, |target| &target.labels),
                resources: resources.get(name).map(Vec::as_slice),
            }
        })
        .collect();
    let case = Case {
        requester,
        subject: &asked.subject,
        duration,
        reason: &asked.reason,
        extends: matches!(asked.way, Way::Extend(_)),
        databases: &databases,
        now: asked.created,
    };
    approval::requirements(&config.approvals, &case).map_err(|denied| {
        let hint = match &denied {
            approval::Denied::ByRule { .. } => "ask for less, or an administrator what the rule is for",
            approval::Denied::Unclear { .. } => "tell an administrator: the rule has to be mended in proxy.toml",
            approval::Denied::Unknown { .. } => "connect to the database once, then ask again",
        };
        LedgerError::forbidden(denied.to_string()).hint(hint)
    })
}

/// What a break-glass would have needed: who approves such requests reviews it. Where rules have no answer, admins do.
pub(super) fn reviewers(
    ledger: &Ledger,
    config: &Config,
    requester: &Principal,
    asked: &NewRequest,
) -> Vec<Requirement> {
    let resources = names_for_rules(ledger, config, asked, &Resources::new());
    let found = needed(config, requester, asked, &resources, asked.duration).unwrap_or_default();
    if found.is_empty() { vec![Requirement::Admin] } else { found }
}
