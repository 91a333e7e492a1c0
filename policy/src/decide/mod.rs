//! The one decision function: a statement, the grants of who asks, and the time, to Allow or Deny.
//! Pure: it reads no clock and no store. Everything that asks for a decision asks here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;

mod denial;
mod holder;
#[cfg(test)]
mod tests;

pub use denial::{ask_again, ask_longer};
use holder::Holder;

use crate::{
    catalog::Catalog,
    grant::{Grant, GrantKind},
    ids::{GrantId, Principal, RoleName, TargetName, Timestamp},
    mask::plan::{MaskPlan, MaskRule, Masks},
    review::{Level, Review},
    role::{Limits, Role},
    statement::{Action, Effect, Statement},
};

/// What `proxy.toml` says about rights and masks, checked.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `[roles.NAME]`.
    pub roles: BTreeMap<RoleName, Role>,
    /// `[baseline] allow`.
    pub baseline: Vec<Action>,
    /// `[[masks]]`, in order; the first rule that names a column wins.
    pub masks: Vec<MaskRule>,
    /// `[[review]]`.
    pub review: Review,
    /// `[statements]`: the most rows a write under a statement grant may change; `None`: they only read.
    pub statement_writes: Option<u64>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// Where.
    pub target: &'a TargetName,
    /// Roles that the listener's scope leaves; `None`: all.
    pub scope: Option<&'a [RoleName]>,
    /// What.
    pub statement: &'a Statement,
    /// Its text, for the command in a hint; `None` where it is one of several in one text.
    pub text: Option<&'a str>,
    /// The rules.
    pub policy: &'a Policy,
    /// The target's masked columns.
    pub masks: &'a Masks,
    /// The target's names (inheritance for `except`).
    pub catalog: &'a Catalog,
}

/// On what a statement runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Authority {
    /// What everybody holds.
    Baseline,
    /// A grant.
    Grant(GrantId),
}

/// The upstream session a statement may run on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Fence {
    /// Read-only at the server, too.
    pub read_only: bool,
    /// SET ROLE to this first.
    pub upstream_role: Option<Arc<str>>,
}

/// Allowed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// On what.
    pub authority: Authority,
    /// When the authority ends by itself; `None` for the baseline.
    pub until: Option<Timestamp>,
    /// What happens to the result's columns.
    pub plan: MaskPlan,
    /// Whether masked columns are shown (a statement grant with `unmask`).
    pub unmask: bool,
    /// Whether upstream errors and notices are reduced to their kind, as a masked column takes part.
    pub scrub: bool,
    /// Whether the client is not told of warnings at all: they may be about a masked value.
    pub mute: bool,
    /// Bounds on the statement.
    pub limits: Limits,
    /// The upstream session it needs.
    pub fence: Fence,
    /// Review rules of level `warn` that it breaks.
    pub warnings: Vec<String>,
}

/// Denied, and what to type next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What is missing: `no grant allows UPDATE on shop.orders`.
    pub message: String,
    /// The rule, and what the user holds.
    pub detail: String,
    /// The exact command to type.
    pub hint: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may run.
    Allow(Allowance),
    /// It may not.
    Deny(Denial),
}

/// What a statement of the baseline may cost: catalogs are read in full, a computation does not run on and on.
const BASELINE_LIMITS: Limits = Limits {
    max_rows: None,
    max_result_bytes: Some(256 << 20),
    max_rows_affected: None,
    statement_timeout: Some(Duration::from_secs(60)),
};

/// A statement that needs no grant does not escape the time and size that the grants of its user set.
fn tighten(limits: &mut Limits, question: &Question<'_>, grants: &[Grant], now: Timestamp) {
    for grant in grants.iter().filter(|grant| grant.active(question.target, now)) {
        let GrantKind::Role(name) = &grant.kind else { continue };
        let Some(role) = question.policy.roles.get(name) else { continue };
        let sizes = [limits.max_result_bytes, role.limits.max_result_bytes];
        limits.max_result_bytes = sizes.into_iter().flatten().min();
        let times = [limits.statement_timeout, role.limits.statement_timeout];
        limits.statement_timeout = times.into_iter().flatten().min();
    }
}

/// Why no grant would make the statement run: a review rule of level `block` that it breaks.
pub fn blocked(question: &Question<'_>) -> Option<Denial> {
    let broken = question.policy.review.check(question);
    broken.first().filter(|broken| broken.level == Level::Block).map(|broken| denial::blocked(question, broken))
}

/// Decides `question` for a user who holds, or held, `grants`, at `now`. All needs must be met by one grant or the
/// baseline; of several that suffice the weakest is taken. Ended grants authorise nothing and only explain a denial.
///
/// EXECUTE and FETCH are decided by the statement that they name, which the caller looks up; by themselves they are
/// denied.
pub fn decide(question: &Question<'_>, grants: &[Grant], now: Timestamp) -> Decision {
    if let Effect::Execute { name } | Effect::Fetch { name } = &question.statement.effect {
        return Decision::Deny(denial::unresolved(question.statement.verb, name));
    }
    let broken = question.policy.review.check(question);
    if let Some(broken) = broken.first().filter(|broken| broken.level == Level::Block) {
        return Decision::Deny(denial::blocked(question, broken));
    }
    let mut unfit = Vec::new();
    for holder in Holder::all(question, grants, now) {
        match holder.judge(question) {
            Ok(mut allowance) => {
                if allowance.authority == Authority::Baseline {
                    tighten(&mut allowance.limits, question, grants, now);
                }
                let warnings = broken.iter().map(|broken| format!("review rule {}: {}", broken.rule, broken.finding));
                allowance.warnings.extend(warnings);
                return Decision::Allow(allowance);
            }
            Err(lack) => unfit.push((holder, lack)),
        }
    }
    Decision::Deny(denial::explain(question, grants, now, &unfit))
}
