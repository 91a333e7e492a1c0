//! Denials that teach: what is missing, what the user holds, and the exact command to type next. Decides nothing.

use std::{fmt::Write as _, time::Duration};

use super::{
    Denial, Question,
    holder::{Gap, Holder, Lack, breadth, exports, in_scope, needs, reads},
};
use crate::{
    grant::{Grant, GrantKind, at, bounded_write},
    ids::{GrantId, RequestId, RoleName, Timestamp},
    mask::plan::{MaskConflict, Masks},
    review::Broken,
    role::Role,
    statement::{Action, Need, Object, Reach, inner},
};

/// Most grants that a denial lists.
const LISTED: usize = 5;
/// Bytes of a statement that a hint repeats; a longer one is named by its first word.
const LONGEST: usize = 300;
/// Characters of an approved statement that a denial of another one repeats.
const BEGINNING: usize = 60;
/// What a hint asks for when nothing bounds it.
const USUAL: Duration = Duration::from_secs(3600);
/// How much more time a reminder asks for at most.
const LONGER: Duration = Duration::from_secs(1800);

/// How the message of every statement begins that a review rule blocks.
const BLOCKED: &str = "blocked by review rule";

impl Denial {
    /// Whether a review rule blocks the statement, whatever is granted.
    pub fn is_by_rule(&self) -> bool {
        self.message.starts_with(BLOCKED)
    }
}

/// The statement that asks for `role` on the session's own target, for an hour or what the role allows at most.
fn request_role(role: &RoleName, max_duration: Option<Duration>) -> String {
    let duration = for_time(max_duration.map_or(USUAL, |max| max.min(USUAL)));
    format!("CALL hallpass.request({}, '{duration}', 'why')", quoted(role.as_str()))
}

/// The statement that asks for one statement; `flags`: `unmask`, `export`, both or none.
fn request_statement(text: &str, flags: &str) -> String {
    let flags = if flags.is_empty() { String::new() } else { format!(", '{flags}'") };
    format!("CALL hallpass.request_statement({}, '30 min', 'why'{flags})", quoted(text))
}

/// What to type so that `grant`, which is about to end, lasts longer: half an hour, or as long again if it was shorter.
pub fn ask_longer(grant: &Grant) -> String {
    let by = grant.starts.until(grant.ends).min(LONGER);
    format!("CALL hallpass.extend({}, '{}', 'why')", grant.id, for_time(by))
}

/// What to type to be allowed again what `grant` allowed.
pub fn ask_again(grant: &Grant) -> String {
    match &grant.kind {
        // How long one lasted that was revoked says nothing of how long it is needed.
        GrantKind::Role(role) => {
            let lasted = grant.revoked.is_none().then(|| grant.starts.until(grant.ends));
            request_role(role, lasted)
        }
        GrantKind::Statement(approved) => {
            request_statement(&shortened(&approved.text, "the statement"), &flags(approved.export, approved.unmask))
        }
    }
}

fn flags(export: bool, unmask: bool) -> String {
    let flags = [("unmask", unmask), ("export", export)];
    flags.iter().filter(|(_, wanted)| *wanted).map(|(flag, _)| *flag).collect::<Vec<_>>().join(",")
}

/// `1 hour`, `30 min`, `45 s`.
fn for_time(duration: Duration) -> String {
    let seconds = duration.as_secs().max(1);
    match (seconds % 3600, seconds % 60) {
        (0, _) if seconds == 3600 => "1 hour".to_owned(),
        (0, _) => format!("{} hours", seconds / 3600),
        (_, 0) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// As a string of SQL. What one dialect would read otherwise than the other does not get here: see [`shortened`].
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A statement to be repeated in a hint: itself, or `what` and a mark where it is too long, or has backslashes, which not
/// every server takes for what they are.
fn shortened(text: &str, what: &str) -> String {
    let text = text.trim().trim_end_matches(';');
    if text.len() > LONGEST || text.contains('\\') { format!("{what} …") } else { text.to_owned() }
}

/// EXECUTE or FETCH that the caller did not look up.
pub(super) fn unresolved(verb: &str, name: &str) -> Denial {
    Denial {
        message: format!("{verb} names `{name}`, which this session has not prepared or declared through the proxy"),
        detail: "what it runs decides whether it may run, and that is not known".into(),
        hint: format!("send the statement itself, or prepare or declare `{name}` first"),
    }
}

/// A review rule of level `block`.
pub(super) fn blocked(question: &Question<'_>, broken: &Broken) -> Denial {
    let statement = inner(question.statement).unwrap_or(question.statement);
    let of = statement.needs.iter().find(|need| matches!(need.action, Action::Update | Action::Delete));
    let of = of.filter(|_| statement.reach != Reach::Some).map_or(String::new(), |need| format!(" of {}", need.object));
    let ask = format!("ask an administrator about [[review]] rule = \"{}\"", broken.rule);
    Denial {
        message: format!("{BLOCKED} {}", broken.rule),
        detail: format!("review rule {}: {}{of}; the rule holds whatever the grant", broken.rule, broken.finding),
        hint: if broken.mend.is_empty() { ask } else { format!("{}, or {ask}", broken.mend) },
    }
}

/// Nothing the user holds suffices.
pub(super) fn explain(
    question: &Question<'_>,
    grants: &[Grant],
    now: Timestamp,
    unfit: &[(Holder<'_>, Lack)],
) -> Denial {
    let closest = closest(question, unfit);
    let message = match &closest {
        Closest::Mask(conflict) => format!("no grant allows {conflict}"),
        Closest::Export => "no grant allows exporting rows by COPY TO".to_owned(),
        Closest::Need(need) => format!("no grant allows {}", name_of(question, need)),
        Closest::Apart(needs) => format!("no single grant allows {}", needs.join(" and ")),
    };
    let mut detail = String::new();
    // Said even where a need is missing, too: a role that meets it would still not show the column.
    if let Err(conflict) = question.masks.plan(question.statement, false) {
        let _ = write!(detail, "{}: {}; ", mask_rule(question.masks, &conflict), conflict.reason());
    }
    detail.push_str(&holdings(question, unfit));
    if let Some(ended) = ended(question, grants, now) {
        let _ = write!(detail, "; {ended}");
    }
    Denial { message, detail, hint: hint(question, &closest) }
}

/// What is missing, as near as anything held comes.
enum Closest {
    Mask(MaskConflict),
    Export,
    /// A need that nothing meets.
    Need(Need),
    /// Each need is met by something, but not all by one.
    Apart(Vec<String>),
}

fn closest(question: &Question<'_>, unfit: &[(Holder<'_>, Lack)]) -> Closest {
    for (_, lack) in unfit {
        if let Lack::Mask(conflict) = lack {
            return Closest::Mask(conflict.clone());
        }
    }
    if unfit.iter().any(|(_, lack)| *lack == Lack::Export) {
        return Closest::Export;
    }
    // A statement grant meets needs of its own statement only.
    let meets = |need: &Need| {
        unfit.iter().any(|(holder, _)| !matches!(holder, Holder::Statement(..)) && holder.gap(question, need).is_none())
    };
    // Of several the client hears of the write: that is what it asked for.
    let unmet = || needs(question.statement).filter(|need| !meets(need));
    match unmet().find(|need| need.action.writes()).or_else(|| unmet().next()) {
        Some(need) => Closest::Need(need.clone()),
        None => Closest::Apart(needs(question.statement).map(|need| name_of(question, need)).collect()),
    }
}

/// `UPDATE on shop.orders`: the action as SQL says it.
fn name_of(question: &Question<'_>, need: &Need) -> String {
    let verb = match (need.action, &need.object) {
        (_, Object::Function(_)) => "CALL",
        (Action::Explain, _) => "EXPLAIN",
        (Action::Select, _) => "SELECT",
        (Action::Insert, _) => "INSERT",
        (Action::Update, _) => "UPDATE",
        (Action::Delete, _) => "DELETE",
        (Action::Truncate, _) => "TRUNCATE",
        (Action::Call, _) => "CALL",
        (Action::CopyIn, _) => "COPY FROM",
        (Action::Lock, _) => "LOCK",
        (Action::Ddl | Action::Maintain | Action::Admin, _) => question.statement.verb,
    };
    format!("{verb} on {}", need.object)
}

/// `the mask on shop.customers.ssn says in_predicates = "equality"`; that of a value taken elsewhere has no such word.
fn mask_rule(masks: &Masks, conflict: &MaskConflict) -> String {
    if !conflict.compares() {
        return format!("{} is masked", conflict.column);
    }
    let predicates = masks.mask_of(&conflict.column).map_or("none", |mask| mask.in_predicates.as_str());
    format!("the mask on {} says in_predicates = \"{predicates}\"", conflict.column)
}

/// `you hold: baseline (explain); grant 3 (role reader until 2026-01-31 12:00:00Z) lacks update`.
fn holdings(question: &Question<'_>, unfit: &[(Holder<'_>, Lack)]) -> String {
    let actions: Vec<&str> = question.policy.baseline.iter().map(|action| action.as_str()).collect();
    let actions = if actions.is_empty() { "session statements and catalogs".to_owned() } else { actions.join(", ") };
    let mut text = format!("you hold: baseline ({actions})");
    let grants = unfit.iter().filter_map(|(holder, lack)| match holder {
        Holder::Baseline => None,
        Holder::Statement(grant, _) | Holder::Role(grant, _) | Holder::Useless(grant, _) => Some((*grant, lack)),
    });
    let total = grants.clone().count();
    for (grant, lack) in grants.take(LISTED) {
        let what = match &grant.kind {
            GrantKind::Role(role) => format!("role {role}"),
            GrantKind::Statement(_) => "one statement".to_owned(),
        };
        let _ = write!(text, "; grant {} ({what} until {}) {}", grant.id, at(grant.ends), lacks(lack));
        if let (Lack::OtherStatement, GrantKind::Statement(approved)) = (lack, &grant.kind) {
            let _ = write!(text, ": {}", beginning(&approved.text));
        }
    }
    if total > LISTED {
        let _ = write!(text, "; {} more grants that do not allow it", total - LISTED);
    }
    text
}

/// The first words of a statement, on one line.
fn beginning(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(BEGINNING) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

fn lacks(lack: &Lack) -> String {
    match lack {
        Lack::Useless(why) => (*why).to_owned(),
        Lack::OtherStatement => "allows another statement".to_owned(),
        Lack::Need(need, Gap::Action) => format!("lacks {}", need.action),
        Lack::Need(need, Gap::Object) if matches!(need.object, Object::Function(_)) => {
            format!("does not list {}", need.object)
        }
        Lack::Need(need, Gap::Object) => format!("does not cover {}", need.object),
        Lack::Need(need, Gap::Excepted) => format!("excepts {} or a part of it", need.object),
        Lack::Need(need, Gap::ReadOnly) => format!("is read-only and lacks {}", need.action),
        Lack::Export => "does not export".to_owned(),
        Lack::Mask(conflict) => format!("masks {}", conflict.column),
    }
}

/// How the last grant ended that would have sufficed.
fn ended(question: &Question<'_>, grants: &[Grant], now: Timestamp) -> Option<String> {
    let mine = grants.iter().filter(|grant| {
        grant.user == question.principal.user && grant.targets.contains(question.target) && grant.starts <= now
    });
    let last = mine
        .filter(|grant| grant.ended(now).is_some() && Holder::of(question, grant).judge(question).is_ok())
        .max_by_key(|grant| (grant.ends.min(now), grant.id))?;
    last.ended(now)
}

/// What to type next.
fn hint(question: &Question<'_>, closest: &Closest) -> String {
    let judged = |role: &Role| {
        let grant = trial(question, GrantKind::Role(role.name.clone()));
        Holder::Role(&grant, role).judge(question).is_ok()
    };
    let mut roles: Vec<&Role> =
        question.policy.roles.values().filter(|r| in_scope(question, &r.name) && judged(r)).collect();
    roles.sort_by(|a, b| (breadth(a), &a.name).cmp(&(breadth(b), &b.name)));
    if let Some(role) = roles.iter().find(|role| role.may_be_requested_by(question.principal)) {
        return request_role(&role.name, role.max_duration);
    }
    if let Some(command) = statement_hint(question) {
        return command;
    }
    let missing = match closest {
        Closest::Mask(conflict) => conflict.to_string(),
        Closest::Export => "exporting rows by COPY TO".to_owned(),
        Closest::Need(need) => name_of(question, need),
        Closest::Apart(needs) => needs.join(" and "),
    };
    match roles.first() {
        Some(role) => {
            let parties: Vec<String> = role.request_by.iter().flatten().map(ToString::to_string).collect();
            let by = if parties.is_empty() { "nobody".to_owned() } else { parties.join(", ") };
            format!("role {} would allow it, but only {by} may request it: ask them, or an administrator", role.name)
        }
        None if question.scope.is_some() => {
            "this listener allows nothing else: connect to another port of the proxy".into()
        }
        None if matches!(closest, Closest::Mask(_)) => {
            format!("no role and no grant allows {missing}: leave the column out of it")
        }
        None => format!("no role allows {missing}: ask an administrator to add one to proxy.toml"),
    }
}

/// The command that asks for this statement alone, if a statement grant could allow it.
fn statement_hint(question: &Question<'_>) -> Option<String> {
    let statement = question.statement;
    let writes = question.policy.statement_writes.is_some() && bounded_write(statement).is_ok();
    if question.scope.is_some() || !(writes || needs(statement).all(|need| reads(statement, need))) {
        return None;
    }
    let unmask = match question.masks.plan(statement, false) {
        Ok(_) => false,
        Err(_) => question.masks.plan(statement, true).map(|_| true).ok()?,
    };
    let text = shortened(question.text.unwrap_or("…"), statement.verb);
    let text = if text == "…" { format!("{} …", statement.verb) } else { text };
    Some(request_statement(&text, &flags(exports(statement), unmask)))
}

/// A grant that nobody holds, to see what it would allow.
fn trial(question: &Question<'_>, kind: GrantKind) -> Grant {
    Grant {
        id: GrantId(0),
        request: RequestId(0),
        user: question.principal.user.clone(),
        kind,
        targets: Vec::new(),
        starts: Timestamp(0),
        ends: Timestamp(0),
        revoked: None,
    }
}
