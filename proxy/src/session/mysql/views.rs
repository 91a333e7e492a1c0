//! Whether what a text reads still is what it was when the text was understood: its views in their revisions, its tables
//! no views. Others may have changed that since names were last looked at, and no result of MySQL's tells: one of a view
//! names the view as its columns' table. So it is asked in the session itself, right before the statement, where the
//! target has masks. Forwards nothing of the client's.
//!
//! Of a table it is asked by SHOW CREATE VIEW, whose answer is an error if all is well and costs the server as much as
//! `DO 0`. A text that only reads is sent in the same write: should a table turn out to be a view, nothing of the answer
//! is shown. What does more waits for the answer, and so does the first text of a session that reads a table, since not
//! every server answers: `LOCK TABLES t AS a` and rights on single columns forbid it. There `information_schema` is
//! asked.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use hallpass_policy::{
    catalog::QualifiedName,
    statement::{Action, Effect, Outputs, Statement, Usage},
};

use super::{
    Machine,
    job::{Job, Run},
    outbox::OwnSql,
    own::{Own, Ready},
    pending::{Owed, Pending},
};
use crate::{
    error::ClientError,
    session::{
        gate::{Gate, changed},
        run::Part,
        target::{Understanding, ViewRevision},
    },
    wire::mysql::reader::{Request, ResultReader},
};

/// What a session knows of the names that texts read.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The texts whose names were looked at for the message that waits.
    checked: Vec<Arc<Understanding>>,
    /// Whether the server says of these tables that they are no views. It depends on the session's rights.
    tells: BTreeMap<QualifiedName, bool>,
    /// The next text's tables are asked about in the same write.
    ahead: Option<Arc<Understanding>>,
}

impl Names {
    /// The session's rights changed.
    pub(super) fn forget(&mut self) {
        self.tells.clear();
    }

    /// The message is sent or refused: for the next one names are looked at anew.
    pub(super) fn message_taken(&mut self) {
        self.checked.clear();
        self.ahead = None;
    }

    /// The text whose tables are to be asked about before the message that is sent now.
    pub(super) fn ahead(&mut self) -> Option<Arc<Understanding>> {
        self.ahead.take()
    }

    fn is_checked(&self, of: &Understanding) -> bool {
        self.checked.iter().any(|checked| checked.is_same(of))
    }
}

/// A question about a text's tables, one after the other.
#[derive(Debug)]
pub(super) struct Tables {
    of: Arc<Understanding>,
    /// Whose answer comes next.
    at: usize,
    /// The least welcome answer so far.
    worst: Answer,
    /// The text itself, where it was sent in the same write.
    behind: Option<(Box<Job>, ResultReader)>,
}

impl Tables {
    /// The text behind the question.
    pub(super) fn job(&self) -> Option<&Job> {
        self.behind.as_ref().map(|(job, _)| &**job)
    }

    /// The text behind the question, to change it.
    pub(super) fn job_mut(&mut self) -> Option<&mut Job> {
        self.behind.as_mut().map(|(job, _)| &mut **job)
    }

    /// What the client waits for; without a text behind it, the question.
    pub(super) fn into_owed(self) -> Owed {
        match self.behind {
            Some((job, _)) => Owed::Job(job),
            None => Owed::Own(Own::Tables(self)),
        }
    }
}

/// What the server says of a table. The later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// It is none, or there is nothing of that name: who reads it is told so by the server.
    NoView,
    /// The question was interrupted, by who wants to end the text behind it.
    Interrupted,
    /// The server does not say.
    Silent,
    /// It is one.
    View,
}

impl Answer {
    /// What an error says: `ER_WRONG_OBJECT`, `ER_NO_SUCH_TABLE`, `ER_QUERY_INTERRUPTED` and all others.
    pub(super) fn of(code: u16) -> Self {
        match code {
            1347 | 1146 => Self::NoView,
            1317 => Self::Interrupted,
            _ => Self::Silent,
        }
    }
}

impl Machine {
    /// Whether the names that texts read are what they were. Asks; last of all, so that as little as possible comes
    /// between this and the statement.
    pub(super) fn ready_views(&mut self, gate: &Gate, runs: &[Run]) -> Ready {
        self.names.ahead = None;
        if gate.known().masks.is_free() {
            return Ready::Yes;
        }
        let unchecked = |run: &&Run| reads(run) && !self.names.is_checked(&run.rows_of.0);
        let Some(run) = runs.iter().find(unchecked) else { return Ready::Yes };
        let of = Arc::clone(&run.rows_of.0);
        let tells = |table: &QualifiedName| match self.names.tells.get(table) {
            Some(tells) => Some(*tells),
            // In what character set the session takes names is not looked at.
            None if !table.schema.is_ascii() || !table.name.is_ascii() => Some(false),
            None => None,
        };
        let told: HashSet<Option<bool>> = of.tables.iter().map(tells).collect();
        if !of.views.is_empty() || told.contains(&Some(false)) {
            return self.ask_views(of);
        }
        if !told.contains(&None) && runs.len() == 1 && run.statement().is_some_and(only_reads) {
            self.names.ahead = Some(of);
            return Ready::Yes;
        }
        self.ask_tables(&of);
        self.pending = Some(self.tables(of, None));
        Ready::NotYet(crate::session::machine::Stop::Hold)
    }

    /// Sends the question whether any table of `of` is a view.
    pub(super) fn ask_tables(&mut self, of: &Understanding) {
        for table in &of.tables {
            self.out.own(&OwnSql::View(table), self.held());
        }
    }

    /// What is owed when a text was sent behind the question about its tables.
    pub(super) fn behind_tables(&self, of: Arc<Understanding>, job: Box<Job>, reader: ResultReader) -> Pending {
        self.tables(of, Some((job, reader)))
    }

    fn tables(&self, of: Arc<Understanding>, behind: Option<(Box<Job>, ResultReader)>) -> Pending {
        let tables = Tables { of, at: 0, worst: Answer::NoView, behind };
        Pending { owed: Owed::Own(Own::Tables(tables)), reader: ResultReader::new(Request::Query, self.held()) }
    }

    /// The answer about one table is in.
    pub(super) fn table_seen(&mut self, gate: &Gate, mut tables: Tables, answer: Answer) {
        if let Some(name) = tables.of.tables.get(tables.at)
            && answer != Answer::Interrupted
        {
            self.names.tells.insert(name.clone(), answer != Answer::Silent);
        }
        tables.worst = tables.worst.max(answer);
        tables.at += 1;
        if tables.at < tables.of.tables.len() {
            let reader = ResultReader::new(Request::Query, self.held());
            self.pending = Some(Pending { owed: Owed::Own(Own::Tables(tables)), reader });
            return;
        }
        let Tables { of, worst, behind, .. } = tables;
        if worst == Answer::View {
            self.names_changed(gate);
        }
        match (behind, worst) {
            (None, Answer::NoView) => self.names.checked.push(of),
            (None, Answer::Silent) => {
                self.ask_views(of);
            }
            (None, Answer::Interrupted | Answer::View) => {}
            (Some((mut job, reader)), worst) => {
                match worst {
                    Answer::NoView => {}
                    Answer::Interrupted => self.stop(&mut job, ClientError::Cancelled),
                    Answer::Silent | Answer::View => self.stop(&mut job, changed()),
                }
                self.pending = Some(Pending { owed: Owed::Job(job), reader });
            }
        }
    }

    /// Asks for the revisions of a text's views, and which of its tables are views.
    fn ask_views(&mut self, of: Arc<Understanding>) -> Ready {
        let flavour = self.held().flavour();
        self.ask(&OwnSql::Views(&of, flavour), Own::Views(Arc::clone(&of), Vec::new()))
    }

    /// The views' revisions are in: where one changed, names are fetched anew and the text is understood again.
    pub(super) fn views_seen(&mut self, gate: &Gate, of: Arc<Understanding>, seen: &[Vec<Option<String>>]) {
        let unchanged = |view: &ViewRevision| {
            seen.iter().any(|row| match row.as_slice() {
                [Some(schema), Some(name), Some(revision)] => {
                    **schema == *view.name.schema && **name == *view.name.name && **revision == *view.revision
                }
                _ => false,
            })
        };
        // Servers compare names without regard to case here: what is called otherwise is something else.
        let is_view = |table: &QualifiedName| {
            seen.iter().any(|row| match row.as_slice() {
                [Some(schema), Some(name), ..] => **schema == *table.schema && **name == *table.name,
                _ => false,
            })
        };
        if of.views.iter().all(unchanged) && !of.tables.iter().any(is_view) {
            self.names.checked.push(of);
        } else {
            self.names_changed(gate);
        }
    }

    fn names_changed(&mut self, gate: &Gate) {
        self.catalog_dirty = true;
        gate.target().mark_changed();
    }
}

/// Whether a run reads views, or shows rows of tables.
fn reads(run: &Run) -> bool {
    let (of, part): &(Arc<Understanding>, Part) = &run.rows_of;
    let shows = || part.of(of).is_some_and(|statement| statement.outputs != Outputs::None);
    !of.views.is_empty() || (!of.tables.is_empty() && shows())
}

/// Whether nothing is left of a statement when its rows are thrown away: it puts nothing into variables, calls no code
/// of users', takes no locks by name.
fn only_reads(statement: &Statement) -> bool {
    statement.verb == "SELECT"
        && statement.effect == Effect::None
        && matches!(statement.outputs, Outputs::Columns(_))
        && !statement.features.assigns
        && statement.needs.iter().all(|need| need.action == Action::Select)
        && !statement.uses.iter().any(|used| matches!(used.usage, Usage::Travel(_)))
}
