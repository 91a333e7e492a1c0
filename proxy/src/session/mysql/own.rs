//! What the proxy asks an upstream session by itself, between a client's commands: what it is set to, the fence, a
//! transaction around a bounded write. The client sees nothing of it.

use std::sync::Arc;

use hallpass_policy::{
    catalog::QualifiedName,
    decide::{Allowance, Fence},
    statement::{
        Dialect, Refusal, RefusalKind, Setting,
        mysql::{MysqlNames, SqlMode},
    },
};

use super::{
    Machine, Wrap,
    job::{Job, Run},
    outbox::{OwnSql, quoted},
    pending::{Owed, Pending},
    theirs,
    views::{Answer, Tables},
};
use crate::{
    error::ClientError,
    session::{
        gate::Gate,
        machine::{End, Stop},
        run::wanted_fence,
        target::Understanding,
        upstream::mysql::Facts,
    },
    wire::mysql::{
        backend::{ErrPacket, Status},
        body::Body,
        charset::Charset,
        codec::Message,
        reader::{Reply, Request, ResultReader, Then},
    },
};

/// Whether something can go on now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// Yes.
    Yes,
    /// Not before this.
    NotYet(Stop),
}

/// What the proxy asked on its own.
#[derive(Debug)]
pub(super) enum Own {
    /// What the session is set to.
    Settings,
    /// What variables hold: the row that came.
    Values(Values),
    /// The revisions of the views of this text, and which of its tables are views: the rows that came.
    Views(Arc<Understanding>, Vec<Vec<Option<String>>>),
    /// Whether one table after the other is a view.
    Tables(Tables),
    /// Of this temporary table: the rows that came.
    Temporary(QualifiedName, Vec<Vec<Option<String>>>),
    /// Only its status counts.
    Status,
    /// The fence; what it is then.
    Fence(Fence),
    /// A transaction or savepoint around a bounded write begins.
    Begin(Wrap),
    /// The bounded write of this job stays.
    Keep(Box<Job>),
    /// The write of this job is taken back, or its transaction ended with its grant; the client then gets the error.
    TakeBack(Box<Job>, Box<ClientError>),
    /// The transaction whose grant ended is rolled back while the client is idle.
    RollbackQuietly,
}

/// What variables hold that a SET reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values {
    /// What is set from which variable, the latter as SQL; in the order of the text.
    asked: Vec<(Arc<str>, String)>,
    /// What the variables hold.
    row: Vec<Option<String>>,
}

impl Values {
    /// What `setting` becomes, if it was asked for: NULL is the empty text.
    pub(super) fn get(&self, setting: &str) -> Option<&str> {
        let at = self.asked.iter().rposition(|(asked, _)| **asked == *setting)?;
        Some(self.row.get(at)?.as_deref().unwrap_or_default())
    }

    /// Whether a SET of these can be followed.
    fn readable(&self) -> Result<(), ClientError> {
        for ((setting, name), value) in self.asked.iter().zip(&self.row) {
            let value = value.as_deref().unwrap_or_default();
            let fits = match &**setting {
                "sql_mode" => SqlMode::read(value).is_ok(),
                "character_set_results" if value.is_empty() => true,
                _ => Charset::named(charset_of(value)).is_some(),
            };
            if !fits {
                let message = format!("SET {setting} = {name}: the variable holds what the proxy does not follow");
                let refusal = Refusal::new(RefusalKind::Unsupported, message).hint("write the value as a constant");
                return Err(ClientError::Refused(refusal));
            }
        }
        Ok(())
    }
}

impl Machine {
    /// Whether what texts are read with is known. Asks for what is not.
    pub(super) fn ready_for_sql(&mut self, gate: &mut Gate) -> Ready {
        if let Some(facts) = self.facts.take() {
            self.settled(gate, facts);
        }
        if self.connected && self.settings_dirty {
            return self.ask(&OwnSql::Settings, Own::Settings);
        }
        if self.catalog_dirty || gate.target().is_changed() {
            self.catalog_dirty = false;
            return Ready::NotYet(Stop::Refresh);
        }
        Ready::Yes
    }

    /// What statements need of the upstream session before they may be sent: that it stands, that what a SET reads is
    /// known, that it is behind the right fence.
    pub(super) fn ready_upstream(&mut self, gate: &mut Gate, runs: &[Run]) -> Result<Ready, ClientError> {
        if let Some(error) = self.own_error.take() {
            return Err(error);
        }
        let fence = wanted_fence(gate, self.fence.as_ref(), runs)?;
        if !self.connected {
            return Ok(Ready::NotYet(Stop::Connect(fence)));
        }
        match self.ready_values(runs)? {
            Ready::Yes => {}
            wait @ Ready::NotYet(_) => return Ok(wait),
        }
        match self.ready_fence(&fence) {
            Ready::Yes => {}
            wait @ Ready::NotYet(_) => return Ok(wait),
        }
        match self.ready_temporary(gate, runs)? {
            Ready::Yes => {}
            wait @ Ready::NotYet(_) => return Ok(wait),
        }
        match self.ready_wrapped(gate, runs)? {
            // Last: as little as possible comes between this and the statement.
            Ready::Yes => Ok(self.ready_views(gate, runs)),
            wait @ Ready::NotYet(_) => Ok(wait),
        }
    }

    /// Sets the fence, if it is not as wanted. One step at a time: this is asked again for the other one.
    fn ready_fence(&mut self, wanted: &Fence) -> Ready {
        let standing = self.fence.as_ref();
        if standing == Some(wanted) {
            return Ready::Yes;
        }
        let same_role = standing.is_some_and(|fence| fence.upstream_role == wanted.upstream_role);
        if same_role {
            let sql = OwnSql::ReadOnly(wanted.read_only);
            return self.ask(&sql, Own::Fence(wanted.clone()));
        }
        let read_only = standing.map_or(!wanted.read_only, |fence| fence.read_only);
        let then = Fence { read_only, upstream_role: wanted.upstream_role.clone() };
        let flavour = self.held().flavour();
        self.ask(&OwnSql::Role(wanted.upstream_role.as_deref(), flavour), Own::Fence(then))
    }

    /// A bounded write runs in a transaction of ours, or behind a savepoint, so that it can be taken back.
    fn ready_wrapped(&mut self, gate: &Gate, runs: &[Run]) -> Result<Ready, ClientError> {
        if self.wrapped.is_some() || !runs.iter().any(|run| run.write_bound().is_some()) {
            return Ok(Ready::Yes);
        }
        if let Some(table) = lasting(gate, runs) {
            let message = format!("a write to {table} that max_rows_affected bounds: it could not be taken back");
            return Err(ClientError::Refused(
                Refusal::new(RefusalKind::Unsupported, message)
                    .detail("the table's storage engine knows no transactions")
                    .hint("ask for a role without max_rows_affected"),
            ));
        }
        if runs.len() > 1 && runs.iter().any(|run| run.statement().is_some_and(super::query::ends_transaction)) {
            return Err(ClientError::Refused(
                Refusal::new(
                    RefusalKind::Unsupported,
                    "a write that max_rows_affected bounds cannot share a message with transaction commands and DDL",
                )
                .hint("send the statements one by one"),
            ));
        }
        if self.status_stale {
            return Ok(self.ask(&OwnSql::Status, Own::Status));
        }
        let open = self.in_transaction() || !self.status.has(Status::AUTOCOMMIT);
        let (sql, wrap) = if open { (OwnSql::Savepoint, Wrap::Savepoint) } else { (OwnSql::Begin, Wrap::Transaction) };
        Ok(self.ask(&sql, Own::Begin(wrap)))
    }

    /// What a SET reads from variables decides how later texts are read: it is asked for first.
    fn ready_values(&mut self, runs: &[Run]) -> Result<Ready, ClientError> {
        let mut asked = Vec::new();
        for (name, value) in runs.iter().filter_map(|run| run.statement()).flat_map(super::plan::settings) {
            if super::plan::is_followed(name)
                && let Some(sql) = read_by(name, value)?
            {
                asked.push((Arc::clone(name), sql));
            }
        }
        if asked.is_empty() {
            self.values = None;
            return Ok(Ready::Yes);
        }
        if self.values.as_ref().is_some_and(|values| values.asked == asked) {
            return Ok(Ready::Yes);
        }
        let names: Vec<String> = asked.iter().map(|(_, sql)| sql.clone()).collect();
        let own = Own::Values(Values { asked, row: Vec::new() });
        Ok(self.ask(&OwnSql::Values(&names), own))
    }

    /// Sends one of the proxy's own statements.
    pub(super) fn ask(&mut self, sql: &OwnSql<'_>, own: Own) -> Ready {
        self.out.own(sql, self.held());
        let reader = ResultReader::new(Request::Query, self.held());
        self.pending = Some(Pending { owed: Owed::Own(own), reader });
        Ready::NotYet(Stop::Hold)
    }

    /// Notes under what the open transaction has run: it ends when one of these does.
    pub(super) fn note(&mut self, allowance: &Arc<Allowance>) {
        let same = |one: &Arc<Allowance>| Arc::ptr_eq(one, allowance) || one.authority == allowance.authority;
        if !self.tx_allowances.iter().any(same) {
            self.tx_allowances.push(Arc::clone(allowance));
        }
    }

    /// A packet that answers something of the proxy's own.
    pub(super) fn own_reply(
        &mut self,
        gate: &mut Gate,
        mut own: Own,
        reader: ResultReader,
        (reply, then): (Reply<'_>, Then),
        message: &Message<'_>,
    ) -> Result<(), End> {
        match reply {
            Reply::Err(error) => return self.own_failed(gate, own, &error),
            Reply::Row(_) => match &mut own {
                Own::Settings => self.facts = Some(Facts::read(&message.payload).map_err(theirs)?),
                Own::Values(values) => values.row = text_row(&message.payload)?,
                Own::Views(_, seen) | Own::Temporary(_, seen) => seen.push(text_row(&message.payload)?),
                // Its definition does not matter.
                Own::Tables(_) => {}
                Own::Status
                | Own::Fence(_)
                | Own::Begin(_)
                | Own::Keep(_)
                | Own::TakeBack(..)
                | Own::RollbackQuietly => return Err(End::Upstream("a row that nobody asked for".into())),
            },
            Reply::LocalInfile(_) => return Err(End::Upstream("it asked for a file".into())),
            // ROLLBACK warns of one thing only: ER_WARNING_NOT_COMPLETE_ROLLBACK.
            Reply::Ok(ok) if ok.warnings > 0 => {
                if let Own::TakeBack(_, error) = &mut own
                    && let ClientError::LimitExceeded { hint, .. } = &mut **error
                {
                    *hint = "NOT all of it could be taken back: a storage engine without transactions keeps it".into();
                }
            }
            Reply::Ok(_)
            | Reply::End { .. }
            | Reply::Columns { .. }
            | Reply::Prepared(_)
            | Reply::Parameter { .. }
            | Reply::Column { .. }
            | Reply::DefinitionsEnd(_)
            | Reply::Text(_) => {}
        }
        if then == Then::Done {
            return self.own_done(gate, own);
        }
        self.pending = Some(Pending { owed: Owed::Own(own), reader });
        Ok(())
    }

    fn own_done(&mut self, gate: &mut Gate, own: Own) -> Result<(), End> {
        match own {
            Own::Settings => {
                let facts = self.facts.take().ok_or_else(|| theirs("its settings cannot be read"))?;
                self.settled(gate, facts);
            }
            Own::Values(values) => match values.readable() {
                Ok(()) => self.values = Some(values),
                Err(error) => self.own_error = Some(error),
            },
            Own::Views(of, seen) => self.views_seen(gate, of, &seen),
            Own::Tables(tables) => self.table_seen(gate, tables, Answer::View),
            Own::Temporary(name, seen) => self.temporaries.seen(&name, &seen),
            Own::Status => {}
            Own::Fence(fence) => {
                self.fence = Some(fence);
                self.names.forget();
            }
            Own::Begin(wrap) => self.wrapped = Some(wrap),
            Own::Keep(mut job) => {
                let tail = std::mem::take(&mut job.tail);
                self.release(&tail);
                self.finish(gate, job);
            }
            Own::TakeBack(mut job, error) => {
                job.fail(error.sqlstate(), Some(&error.to_string()));
                self.tell(&error, super::refuse::about(None, &error));
                self.finish(gate, job);
            }
            Own::RollbackQuietly => {}
        }
        Ok(())
    }

    fn own_failed(&mut self, gate: &mut Gate, own: Own, error: &ErrPacket<'_>) -> Result<(), End> {
        match own {
            Own::Temporary(name, _) => {
                self.temporaries.gone(&name);
                Ok(())
            }
            Own::Tables(tables) => {
                self.table_seen(gate, tables, Answer::of(error.code));
                Ok(())
            }
            Own::Fence(_) => {
                tracing::warn!(
                    target_name = %gate.target().name(), code = error.code,
                    message = %String::from_utf8_lossy(error.message), "the fence of a grant cannot be set"
                );
                self.own_error = Some(ClientError::UpstreamUnavailable {
                    target: gate.target().name().to_string(),
                    reason: "the upstream role or the read-only fence of this grant cannot be set".into(),
                });
                self.fence = None;
                Ok(())
            }
            // As if the client's own statement had failed at its commit.
            Own::Keep(mut job) => {
                job.fail(&String::from_utf8_lossy(&error.sqlstate), Some("it could not be committed"));
                let error = ClientError::LimitExceeded {
                    message: "the write could not be committed".into(),
                    hint: "run the statement again".into(),
                    sqlstate: "40000",
                };
                self.tell(&error, super::refuse::about(None, &error));
                self.finish(gate, job);
                Ok(())
            }
            Own::Settings
            | Own::Values(_)
            | Own::Views(..)
            | Own::Status
            | Own::Begin(_)
            | Own::TakeBack(..)
            | Own::RollbackQuietly => {
                Err(End::Upstream(format!("a question of the proxy's own failed with {}", error.code)))
            }
        }
    }

    /// What the upstream session is set to is known: texts are read with that.
    fn settled(&mut self, gate: &mut Gate, facts: Facts) {
        let Facts { sql_mode, database, charsets } = facts;
        self.settings_dirty = false;
        self.charset = Charset::named(&charsets.client).unwrap_or(Charset::Utf8mb4);
        let flavour = self.dialect(gate).flavour;
        gate.set_dialect(Dialect::Mysql(MysqlNames { database, sql_mode, flavour }));
    }

    /// What texts are read with.
    pub(super) fn dialect(&self, gate: &Gate) -> MysqlNames {
        match gate.dialect() {
            Dialect::Mysql(names) => names.clone(),
            Dialect::Postgres(_) => MysqlNames::default(),
        }
    }
}

/// A table that a bounded one of `runs` writes to, and that would keep it.
fn lasting(gate: &Gate, runs: &[Run]) -> Option<QualifiedName> {
    let known = gate.known();
    let mut written = runs.iter().filter(|run| run.write_bound().is_some()).flat_map(Run::writes);
    written.find(|name| known.catalog.lasting.contains(*name)).cloned()
}

/// The variable that setting `name` to `value` reads, as SQL; `None` for a constant.
fn read_by(name: &str, value: &Setting) -> Result<Option<String>, ClientError> {
    match value {
        Setting::Default => Ok(Some(format!("@@GLOBAL.{name}"))),
        Setting::To(value) => match (value.strip_prefix("@@"), value.strip_prefix('@')) {
            (Some(system), _) if system.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte)) => {
                Ok(Some(format!("@@{system}")))
            }
            (Some(_), _) => Err(ClientError::Refused(Refusal::new(RefusalKind::Unparsed, "a name of a variable"))),
            (None, Some(user)) => Ok(Some(format!("@{}", quoted(user)))),
            (None, None) => Ok(None),
        },
    }
}

/// The character set of a collation's name; a character set's name stays.
pub(super) fn charset_of(collation: &str) -> &str {
    collation.split('_').next().unwrap_or_default()
}

/// A text row of the proxy's own questions.
fn text_row(payload: &[u8]) -> Result<Vec<Option<String>>, End> {
    let mut row = Body::new("row", payload);
    let mut values = Vec::new();
    while !row.remaining().is_empty() {
        let value = row.nullable().map_err(theirs)?;
        values.push(value.map(|value| String::from_utf8_lossy(value).into_owned()));
    }
    Ok(values)
}
