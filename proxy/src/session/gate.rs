//! The one gate of a session: what a text means, whether it may run, and that it is recorded before it leaves.
//! Knows no wire format. A [`Permit`] is made here and nowhere else: decided *and* recorded.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use hallpass_audit::{
    event::{AttemptId, Event, Kind, Origin},
    journal::Durability,
};
use hallpass_policy::{
    decide::{Allowance, Authority, Decision, Denial, Fence, Question, ask_again, decide},
    grant::{Grant, GrantKind},
    ids::{GrantId, Principal, RoleName, Timestamp, UserName},
    mask::{apply::HashKey, plan::MaskPlan},
    role::Limits,
    statement::{Action, Dialect, Effect, Names, Outputs, Refusal, RefusalKind, Statement},
};

use super::{
    decisions::{Decisions, Epoch, Literals},
    inband::Asker,
    port::{self, Place},
    recorder::Recorder,
    registry::Running,
    study::{Studied, Study},
    target::{Known, Target, Understanding},
};
use crate::{config, error::ClientError, shared::Shared};

mod reminders;
mod understand;

static ALLOW: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("allow"));
static DENY: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("deny"));

/// A recorded decision: the only thing that lets SQL leave for an upstream.
#[derive(Debug)]
pub struct Permit {
    attempt: AttemptId,
    allowance: Arc<Allowance>,
    started: Instant,
}

impl Permit {
    /// How the statement may run.
    pub fn allowance(&self) -> &Arc<Allowance> {
        &self.allowance
    }
}

/// What became of a permitted statement.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows returned or changed.
    pub rows: u64,
    /// Bytes of row data sent to the client.
    pub bytes: u64,
    /// Which columns were masked, if any.
    pub masked: Option<Arc<str>>,
    /// The SQLSTATE of what the client got instead.
    pub error_code: Option<Arc<str>>,
    /// Why it ended otherwise than by itself.
    pub reason: Option<Arc<str>>,
}

impl Outcome {
    /// Of something that showed nothing and ended with this SQLSTATE, for this reason.
    pub fn failed(sqlstate: &str, reason: &str) -> Self {
        Self { error_code: Some(sqlstate.into()), reason: Some(reason.into()), ..Self::default() }
    }
}

/// Why the gate has no answer yet, or says no.
#[derive(Debug)]
pub enum Refused {
    /// The client is told.
    Client(ClientError),
    /// A name is unknown and the catalog may be out of date: fetch it and ask again.
    StaleCatalog,
    /// The text is long: run [`Gate::study`], give its outcome to [`Gate::studied`] and ask again.
    Unstudied,
}

impl From<ClientError> for Refused {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Names that one session alone sees.
#[derive(Clone, Debug)]
struct Private {
    known: Arc<Known>,
    /// The generation of the target's names when they were asked for.
    since: u64,
    why: Why,
}

/// Why a session sees names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Its open transaction has changed names, or it has temporary ones that the server was asked for with all others.
    Changed,
    /// The target's names with its own over them.
    Overlaid,
}

/// One session's gate.
#[derive(Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    target: Arc<Target>,
    principal: Principal,
    scope: Option<Arc<[RoleName]>>,
    origin: Arc<Origin>,
    /// What texts are read with: the settings in force.
    dialect: Dialect,
    /// The catalog as this session sees it, for its open transaction has changed names or it has temporary ones; the
    /// target's otherwise.
    private: Option<Private>,
    decisions: Decisions,
    recorder: Arc<Recorder>,
    running: Arc<Running>,
    /// Reminders that were given: of which grant's which end, how long before it.
    reminded: HashSet<(GrantId, Timestamp, Duration)>,
    /// The last refusal for an unknown name was retried with a fresh catalog.
    retried: bool,
    /// The long text that is to be studied.
    study: Option<Study>,
    /// The long text that was studied last, until it is recorded.
    studied: Option<Studied>,
}

/// Where a session stands: what its gate is made of.
#[derive(Debug)]
pub struct Standing {
    /// What all sessions share.
    pub shared: Arc<Shared>,
    /// The thread's outcomes.
    pub recorder: Arc<Recorder>,
    /// The database.
    pub target: Arc<Target>,
    /// Who logged in.
    pub principal: Principal,
    /// The only roles of the listener, if it has any.
    pub scope: Option<Arc<[RoleName]>>,
    /// For the audit.
    pub origin: Arc<Origin>,
    /// For `hallpass sessions`.
    pub running: Arc<Running>,
}

impl Gate {
    /// A gate for a session that has just logged in, with the settings in force then.
    pub fn new(standing: Standing, dialect: Dialect) -> Self {
        let Standing { shared, recorder, target, principal, scope, origin, running } = standing;
        Self {
            shared,
            recorder,
            target,
            principal,
            scope,
            origin,
            dialect,
            running,
            private: None,
            decisions: Decisions::default(),
            reminded: HashSet::new(),
            retried: false,
            study: None,
            studied: None,
        }
    }

    /// The target this session talks to.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// What all sessions share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Who.
    pub fn user(&self) -> &UserName {
        &self.principal.user
    }

    /// Who and where.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Who asks the proxy itself, and about what.
    pub fn asker(&self) -> Asker {
        Asker { principal: self.principal.clone(), origin: Arc::clone(&self.origin), target: Arc::clone(&self.target) }
    }

    /// The time, for expiry.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The names and masks in force.
    pub fn known(&self) -> Arc<Known> {
        match &self.private {
            Some(private) => Arc::clone(&private.known),
            None => self.target.known(),
        }
    }

    /// What texts are read with.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Texts are read with these settings from here on.
    pub fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// The search_path in force has become `path`.
    pub fn set_search_path(&mut self, path: Arc<str>) {
        self.dialect = Dialect::Postgres(Names { search_path: path });
    }

    /// The search_path in force; there is none but on Postgres.
    pub fn search_path(&self) -> Arc<str> {
        match &self.dialect {
            Dialect::Postgres(names) => Arc::clone(&names.search_path),
            Dialect::Mysql(_) => Arc::from(""),
        }
    }

    /// Decides whether `statement` may run now: the one of `of` whose [`Part::key`](super::run::Part::key) is `index`.
    ///
    /// # Errors
    /// The denial, which the caller records with [`Gate::denied`].
    pub fn decide(
        &mut self,
        of: &Arc<Understanding>,
        index: usize,
        statement: &Statement,
    ) -> Result<Arc<Allowance>, ClientError> {
        let known = self.known();
        let epoch =
            Epoch { grants: self.shared.grants.epoch(), config: self.shared.config_epoch(), known: known.generation };
        if of.is_shared() && self.literals(&epoch) == Literals::Matter {
            let exact = self.target.understand(&of.text, &known, of.dialect()).map_err(ClientError::Refused)?;
            // What is shared holds plain statements only, each at its own place.
            let Some(statement) = exact.understood.statements.get(index / 2) else {
                return Err(ClientError::Refused(Refusal::new(RefusalKind::Unsupported, "the statement is gone")));
            };
            return self.decide_under(&epoch, &known, &exact, index, statement);
        }
        self.decide_under(&epoch, &known, of, index, statement)
    }

    fn decide_under(
        &mut self,
        epoch: &Epoch,
        known: &Known,
        of: &Arc<Understanding>,
        index: usize,
        statement: &Statement,
    ) -> Result<Arc<Allowance>, ClientError> {
        let now = self.shared.clock.now();
        if let Some(allowance) = self.decisions.get(of, index, epoch, now) {
            return Ok(allowance);
        }
        let config = self.shared.config.load();
        let listener = port::listener(&config, self.origin.listener.as_ref());
        let scope = match listener {
            Some(listener) => listener.scope.as_ref().and_then(|scope| scope.roles.as_deref()),
            None => self.scope.as_deref(),
        };
        if let Some(listener) = listener {
            let place = Place { listener, target: &self.target, known, dialect: &self.dialect };
            place.admits(of, index / 2)?;
        }
        let grants = self.shared.grants.of(&self.principal.user);
        let question = Question {
            principal: &self.principal,
            target: self.target.name(),
            scope,
            statement,
            text: (of.understood.statements.len() == 1).then_some(&*of.text),
            policy: &config.policy,
            masks: &known.masks,
            catalog: &known.catalog,
        };
        match decide(&question, &grants, now) {
            Decision::Allow(allowance) => {
                let allowance = Arc::new(allowance);
                self.decisions.keep(of, index, *epoch, Arc::clone(&allowance));
                Ok(allowance)
            }
            Decision::Deny(denial) => Err(ClientError::Denied(denial)),
        }
    }

    /// Whether a decision may hang on a literal. A statement grant that is over still counts until the next change of
    /// grants: it costs time only.
    fn literals(&mut self, epoch: &Epoch) -> Literals {
        if let Some(literals) = self.decisions.literals(epoch) {
            return literals;
        }
        let config = self.shared.config.load();
        let scope = port::listener(&config, self.origin.listener.as_ref()).and_then(|port| port.scope.as_ref());
        let listed = scope.is_some_and(|scope| scope.statements.is_some());
        let grants = self.shared.grants.of(&self.principal.user);
        let pinned =
            grants.iter().any(|grant| matches!(grant.kind, GrantKind::Statement(_)) && grant.revoked.is_none());
        let literals = if listed || pinned { Literals::Matter } else { Literals::DoNotMatter };
        self.decisions.keep_literals(epoch, literals);
        literals
    }

    /// Decides what the arguments of the EXECUTE at `index` need by themselves.
    ///
    /// # Errors
    /// The denial.
    pub fn decide_arguments(&mut self, of: &Arc<Understanding>, index: usize) -> Result<(), ClientError> {
        let Some(statement) = of.understood.statements.get(index) else { return Ok(()) };
        if statement.needs.is_empty() && statement.uses.is_empty() {
            return Ok(());
        }
        let arguments = Statement { effect: Effect::None, outputs: Outputs::None, ..statement.clone() };
        self.decide(of, index * 2, &arguments).map(drop)
    }

    /// Records that `text` is about to leave under `allowance`, and permits it. Outcomes that wait share the write.
    ///
    /// # Errors
    /// [`ClientError::AuditUnavailable`]; then nothing may be forwarded.
    pub fn permit(
        &mut self,
        text: &Arc<str>,
        fingerprint: &Arc<str>,
        parameters: Option<Box<str>>,
        allowance: Arc<Allowance>,
        reason: Option<&str>,
    ) -> Result<Permit, ClientError> {
        let attempt = self.shared.journal.next_attempt();
        let mut event = self.event(Kind::Attempt, text, Some(fingerprint));
        event.attempt = Some(attempt);
        event.grant = grant_of(&allowance);
        event.parameters = parameters;
        event.decision = Some(Arc::clone(&ALLOW));
        event.reason = reason.map(Arc::from);
        self.append(event)?;
        self.studied = None;
        Ok(Permit { attempt, allowance, started: Instant::now() })
    }

    /// Records a text that the proxy answers itself: nothing of it is forwarded.
    ///
    /// # Errors
    /// [`ClientError::AuditUnavailable`]; then it is not answered either.
    pub fn permit_answer(&mut self, of: &Understanding, parameters: Option<Box<str>>) -> Result<Permit, ClientError> {
        let (baseline, reason) = (self.baseline(), Some("answered by the proxy"));
        self.permit(&of.text, &of.understood.fingerprint, parameters, baseline, reason)
    }

    /// Records that `text` was refused.
    ///
    /// # Errors
    /// [`ClientError::AuditUnavailable`]: the client then hears that instead.
    pub fn denied(&mut self, text: &Arc<str>, error: &ClientError) -> Result<(), ClientError> {
        self.studied = None;
        let mut event = self.event(Kind::Denied, text, None);
        event.decision = Some(Arc::clone(&DENY));
        event.reason = Some(Arc::from(error.to_string()));
        event.error_code = Some(Arc::from(error.sqlstate()));
        self.append(event)
    }

    /// Notes what became of a permitted statement; written with the next attempt or by [`Gate::flush`].
    pub fn outcome(&mut self, permit: &Permit, outcome: Outcome) {
        let mut event = Event::new(Kind::Outcome, self.shared.clock.now(), Arc::clone(&self.origin));
        event.attempt = Some(permit.attempt);
        event.grant = grant_of(&permit.allowance);
        event.rows = Some(outcome.rows);
        event.bytes = Some(outcome.bytes);
        event.masked_columns = outcome.masked;
        event.duration_us = u64::try_from(permit.started.elapsed().as_micros()).ok();
        event.error_code = outcome.error_code;
        event.reason = outcome.reason;
        self.recorder.later(event);
    }

    /// What everybody holds: for texts without a statement.
    pub fn baseline(&self) -> Arc<Allowance> {
        Arc::new(Allowance {
            authority: Authority::Baseline,
            until: None,
            plan: MaskPlan::Clear,
            unmask: false,
            scrub: false,
            mute: false,
            limits: Limits::default(),
            fence: Fence { read_only: true, upstream_role: None },
            warnings: Vec::new(),
        })
    }

    /// `text` runs now: for `hallpass sessions`.
    pub fn running(&self, text: &Arc<str>, allowance: &Allowance) {
        self.running.set(Some((Arc::clone(text), grant_of(allowance))));
    }

    /// Nothing runs now.
    pub fn idle(&self) {
        self.running.set(None);
    }

    /// When an attempt counts as safe.
    pub fn durability(&self) -> Durability {
        self.shared.config.load().audit.durability
    }

    /// Whether parameters' values are recorded.
    pub fn parameters(&self) -> config::Parameters {
        self.shared.config.load().audit.parameters
    }

    /// The key of `hash` masks.
    pub fn hash_key(&self) -> &HashKey {
        &self.shared.hash_key
    }

    /// Whether a grant is still in force; the baseline always is.
    ///
    /// # Errors
    /// The error for the client: which grant ended, and how to ask again.
    pub fn still_granted(&self, allowance: &Allowance) -> Result<(), ClientError> {
        let Authority::Grant(id) = allowance.authority else { return Ok(()) };
        let now = self.shared.clock.now();
        let grants = self.shared.grants.of(&self.principal.user);
        match grants.iter().find(|grant| grant.id == id) {
            Some(grant) if grant.active(self.target.name(), now) => Ok(()),
            grant => Err(self.grant_ended(id, grant, now)),
        }
    }

    /// Whether any active grant of the user allows writes here: the read-only fence stands while none does.
    pub fn may_write(&self) -> bool {
        let now = self.shared.clock.now();
        let config = self.shared.config.load();
        let grants = self.shared.grants.of(&self.principal.user);
        grants.iter().filter(|grant| grant.active(self.target.name(), now)).any(|grant| match &grant.kind {
            GrantKind::Role(role) => {
                config.policy.roles.get(role).is_some_and(|role| role.allow.iter().any(|action| action.writes()))
            }
            GrantKind::Statement(approved) => {
                approved.max_rows_affected.is_some() && config.policy.statement_writes.is_some()
            }
        })
    }

    /// Whether any active grant of the user allows `admin` here: what its code does, and lets it see, masks do not hold.
    pub fn may_administer(&self) -> bool {
        let now = self.shared.clock.now();
        let config = self.shared.config.load();
        let grants = self.shared.grants.of(&self.principal.user);
        grants.iter().filter(|grant| grant.active(self.target.name(), now)).any(|grant| match &grant.kind {
            GrantKind::Role(role) => {
                config.policy.roles.get(role).is_some_and(|role| role.allow.contains(&Action::Admin))
            }
            GrantKind::Statement(_) => false,
        })
    }

    fn grant_ended(&self, id: GrantId, grant: Option<&Grant>, now: Timestamp) -> ClientError {
        let ended = grant.and_then(|grant| Some((grant.ended(now)?, ask_again(grant))));
        let (message, hint) = ended.unwrap_or_else(|| (format!("grant {id} ended"), String::new()));
        ClientError::GrantEnded { message, hint }
    }

    fn event(&self, kind: Kind, text: &Arc<str>, fingerprint: Option<&Arc<str>>) -> Event {
        let mut event = Event::new(kind, self.shared.clock.now(), Arc::clone(&self.origin));
        event.statement = Some(Arc::clone(text));
        event.fingerprint = fingerprint.cloned();
        event
    }

    fn append(&mut self, event: Event) -> Result<(), ClientError> {
        self.recorder.record(event).map_err(|error| {
            tracing::error!(%error, "the audit cannot be written");
            ClientError::AuditUnavailable
        })
    }
}

/// A denial that no rule needs to explain: something the session itself does not do.
pub fn session_denial(message: &str, detail: &str, hint: &str) -> ClientError {
    ClientError::Denied(Denial { message: message.into(), detail: detail.into(), hint: hint.into() })
}

/// The error of a statement whose relations are no longer what they were.
pub fn changed() -> ClientError {
    session_denial(
        "a relation that this statement reads was changed",
        "its columns may come from elsewhere now, so that the masks have to be looked up again",
        "run the statement again",
    )
}

fn grant_of(allowance: &Allowance) -> Option<GrantId> {
    match allowance.authority {
        Authority::Baseline => None,
        Authority::Grant(id) => Some(id),
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
