//! The session's temporary tables: which there are, and what columns they have, as the server itself says inside the
//! session. Where the target has masks it is asked again right before each statement that names one: code of others may
//! have dropped it. Takes nobody's word for it, the client's statements least of all, and gives no temporary table a
//! name that the catalog knows.

use std::{collections::BTreeMap, sync::Arc};

use hallpass_policy::{
    catalog::{Column, QualifiedName, Relation, RelationKind},
    statement::{Action, Effect, Object, Refusal, RefusalKind, Statement, mysql::kind},
};

use super::{
    Machine,
    job::{Run, may_call},
    outbox::{OwnSql, quoted},
    own::{Own, Ready},
};
use crate::{
    error::ClientError,
    session::{
        catalog::mysql::{engine_kind, is_transactional},
        gate::Gate,
        machine::Stop,
    },
};

/// The temporary tables of one upstream session.
#[derive(Debug, Default)]
pub(super) struct Temporaries {
    tables: BTreeMap<QualifiedName, Table>,
    /// The generation of the target's names that the session's own were made of; `None`: to be made anew.
    made_of: Option<u64>,
}

/// One table, or a name that one may have.
#[derive(Debug)]
struct Table {
    look: Look,
    known: Option<Known>,
}

/// What has to be asked before anything that names the table can be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    /// Whether it is there, and as it was.
    Definition,
    /// The columns of this new definition.
    Columns(Arc<str>),
    /// Nothing.
    Done,
}

#[derive(Debug)]
struct Known {
    definition: Arc<str>,
    relation: Arc<Relation>,
    lasting: bool,
}

/// What every server's definition of a temporary table begins with.
const TEMPORARY: &str = "CREATE TEMPORARY TABLE ";

impl Temporaries {
    /// Whether there may be any: state that a new upstream session would not have.
    pub(super) fn any(&self) -> bool {
        !self.tables.is_empty()
    }

    /// The session was reset: its tables are gone.
    pub(super) fn clear(&mut self) {
        self.tables.clear();
    }

    /// `runs` are sent: which tables are in doubt from here on, whether they succeed or not.
    fn note(&mut self, gate: &Gate, runs: &[Run]) {
        for statement in runs.iter().flat_map(statements) {
            if let Effect::ChangesTemporary(names) = &statement.effect {
                for name in names {
                    let table = self.tables.entry(name.clone());
                    table.or_insert(Table { look: Look::Definition, known: None }).look = Look::Definition;
                }
            } else if matches!(statement.effect, Effect::ChangesCatalog) || runs_code(statement) {
                self.doubt();
            }
        }
        if self.any() && !gate.known().masks.is_free() {
            for name in runs.iter().flat_map(statements).flat_map(|statement| &statement.touches) {
                if let Some(table) = self.tables.get_mut(name) {
                    table.look = Look::Definition;
                }
            }
        }
    }

    fn doubt(&mut self) {
        self.tables.values_mut().for_each(|table| table.look = Look::Definition);
    }

    fn concern(&self, runs: &[Run]) -> bool {
        let mut named = runs.iter().flat_map(statements).flat_map(|statement| &statement.touches);
        named.any(|name| self.tables.contains_key(name))
    }

    /// The server knows no temporary table of this name.
    pub(super) fn gone(&mut self, name: &QualifiedName) {
        self.tables.remove(name);
        self.made_of = None;
    }

    /// The server's answer about `name`.
    pub(super) fn seen(&mut self, name: &QualifiedName, rows: &[Vec<Option<String>>]) {
        let Some(table) = self.tables.get_mut(name) else { return };
        match &table.look {
            Look::Definition => match rows {
                [row] => match row.get(1).and_then(Option::as_deref).filter(|text| text.starts_with(TEMPORARY)) {
                    Some(text) if table.known.as_ref().is_some_and(|known| *known.definition == *text) => {
                        table.look = Look::Done;
                    }
                    Some(text) => table.look = Look::Columns(text.into()),
                    None => self.gone(name),
                },
                _ => self.gone(name),
            },
            Look::Columns(definition) => {
                let definition = Arc::clone(definition);
                let engine = engine(&definition);
                let relation = Arc::new(relation(name, engine.as_deref(), rows));
                let lasting = engine.is_none_or(|engine| !is_transactional(&engine));
                *table = Table { look: Look::Done, known: Some(Known { definition, relation, lasting }) };
                self.made_of = None;
            }
            Look::Done => {}
        }
    }
}

impl Machine {
    /// What this session alone means by names is laid over what the target's names are now.
    pub(super) fn overlay(&mut self, gate: &mut Gate) {
        let known = self.temporaries.tables.values().any(|table| table.known.is_some());
        if !known {
            gate.forget_private();
            return;
        }
        let of = gate.target().known();
        if self.temporaries.made_of == Some(of.generation) && gate.has_private() {
            return;
        }
        let mut catalog = (*of.catalog).clone();
        for (name, table) in &self.temporaries.tables {
            let Some(known) = &table.known else { continue };
            catalog.temporary.insert(name.clone());
            catalog.lasting.remove(name);
            // What is of its name meanwhile is hidden; to views, which mean that one, it is not there either.
            if catalog.relations.remove(name).is_none() {
                catalog.relations.insert(name.clone(), Arc::clone(&known.relation));
                if known.lasting {
                    catalog.lasting.insert(name.clone());
                }
            }
        }
        gate.set_overlay(catalog);
        self.temporaries.made_of = Some(of.generation);
    }

    /// Asks the server about a table that is in doubt, if there is one.
    pub(super) fn ask_temporary(&mut self) -> Option<Stop> {
        let (name, table) = self.temporaries.tables.iter().find(|(_, table)| table.look != Look::Done)?;
        let (name, columns) = (name.clone(), matches!(table.look, Look::Columns(_)));
        let sql = if columns { OwnSql::Columns(&name) } else { OwnSql::Definition(&name) };
        match self.ask(&sql, Own::Temporary(name.clone(), Vec::new())) {
            Ready::NotYet(stop) => Some(stop),
            Ready::Yes => None,
        }
    }

    /// Whether what `runs` say of temporary tables is so.
    pub(super) fn ready_temporary(&mut self, gate: &Gate, runs: &[Run]) -> Result<Ready, ClientError> {
        if !self.temporaries.any() || !self.temporaries.concern(runs) {
            return Ok(Ready::Yes);
        }
        if runs.len() > 1
            && !gate.known().masks.is_free()
            && runs.iter().flat_map(statements).any(|it| may_drop(gate, it))
        {
            let message = "a temporary table cannot be named in one message with stored code where columns are masked";
            let refusal = Refusal::new(RefusalKind::Unsupported, message)
                .detail("whether the table is still there has to be asked after code has run")
                .hint("send the statements one by one");
            return Err(ClientError::Refused(refusal));
        }
        Ok(self.ask_temporary().map_or(Ready::Yes, Ready::NotYet))
    }

    /// `runs` are sent.
    pub(super) fn note_temporary(&mut self, gate: &Gate, runs: &[Run]) {
        self.temporaries.note(gate, runs);
        self.stateful |= self.temporaries.any();
    }
}

/// A run's statement, and the one that it executes, which may be the same.
fn statements(run: &Run) -> impl Iterator<Item = &Statement> {
    let (of, part) = &run.rows_of;
    run.statement().into_iter().chain(part.of(of))
}

/// Whether code of users may run in it: such code can make and drop temporary tables.
fn runs_code(statement: &Statement) -> bool {
    may_call(statement)
        || matches!(statement.effect, Effect::Execute { .. })
        || statement.needs.iter().any(|need| {
            need.action == Action::Admin || need.action == Action::Call || matches!(need.object, Object::Function(_))
        })
}

/// Whether it may drop a temporary table by the way: by its own code, or by a trigger.
fn may_drop(gate: &Gate, statement: &Statement) -> bool {
    let known = gate.known();
    let triggers = |name: &QualifiedName| known.catalog.relations.get(name).is_none_or(|relation| relation.triggered);
    runs_code(statement) || statement.touches.iter().any(triggers)
}

/// The storage engine that a definition names, if it does so once: a default value or a comment may look alike.
fn engine(definition: &str) -> Option<String> {
    let mut named = definition.lines().filter_map(|line| line.strip_prefix(") ENGINE="));
    let (first, second) = (named.next()?, named.next());
    second.is_none().then(|| first.split(' ').next().unwrap_or_default().to_owned())
}

/// A temporary table as SHOW COLUMNS tells of it. Of what a generated column is made is not told: of all that are stored.
fn relation(name: &QualifiedName, engine: Option<&str>, rows: &[Vec<Option<String>>]) -> Relation {
    let value = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten().unwrap_or_default();
    let generated = |row: &[Option<String>]| {
        let extra = value(row, 5);
        ["VIRTUAL GENERATED", "STORED GENERATED", "PERSISTENT"].iter().any(|kind| extra.contains(kind))
    };
    let stored: Vec<_> = rows.iter().filter(|row| !generated(row)).map(|row| quoted(&value(row, 0))).collect();
    let made_of: Arc<str> = format!("concat({})", stored.join(", ")).into();
    let column = |(at, row): (usize, &Vec<Option<String>>)| Column {
        name: value(row, 0).into(),
        number: i16::try_from(at + 1).unwrap_or(i16::MAX),
        type_oid: kind(&value(row, 1)),
        local: true,
        generated: generated(row).then(|| Arc::clone(&made_of)),
    };
    Relation {
        oid: 0,
        name: name.clone(),
        kind: engine.map_or(RelationKind::ForeignTable, engine_kind),
        columns: rows.iter().enumerate().map(column).collect(),
        definition: None,
        revision: None,
        triggered: false,
        ruled: false,
        parents: Vec::new(),
        children: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_believed_when_it_is_named_once() {
        let definition =
            "CREATE TEMPORARY TABLE `t` (\n  `a` int(11) DEFAULT NULL\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";
        assert_eq!(engine(definition).as_deref(), Some("InnoDB"));
        assert_eq!(
            engine("CREATE TEMPORARY TABLE `t` (\n  `a` int COMMENT '\n) ENGINE=InnoDB'\n) ENGINE=CONNECT"),
            None
        );
        assert_eq!(engine("CREATE TEMPORARY TABLE `t` (\n  `a` int\n)"), None);
    }

    #[test]
    fn what_the_server_says_is_what_is_known() {
        let name = QualifiedName::new("shop", "t");
        let row = |values: &[&str]| values.iter().map(|value| Some((*value).to_owned())).collect::<Vec<_>>();
        let mut all = Temporaries::default();
        all.tables.insert(name.clone(), Table { look: Look::Definition, known: None });
        all.seen(&name, &[row(&["t", "CREATE TEMPORARY TABLE `t` (\n  `a` int\n) ENGINE=InnoDB"])]);
        all.seen(
            &name,
            &[row(&["a", "int", "YES", "", "", ""]), row(&["b", "int", "YES", "", "", "STORED GENERATED"])],
        );
        let known = all.tables[&name].known.as_ref().unwrap();
        let columns: Vec<_> = known.relation.columns.iter().map(|it| (&*it.name, it.generated.as_deref())).collect();
        assert_eq!(columns, [("a", None), ("b", Some("concat(`a`)"))]);
        assert_eq!((known.relation.kind, known.lasting), (RelationKind::Table, false));
        // Somebody dropped it, and a table of its name is there.
        all.doubt();
        all.seen(&name, &[row(&["t", "CREATE TABLE `t` (\n  `a` int\n) ENGINE=InnoDB"])]);
        assert!(!all.any());
    }
}
