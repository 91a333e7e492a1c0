//! Several statements in one text: what the earlier ones do to the names of the later ones.
//! Says nothing about what a single statement needs.

use std::sync::Arc;

use pg_query::{NodeEnum, protobuf::RawStmt};

use super::{dispatch, node, parse, search_path::SearchPath};
use crate::{
    catalog::Catalog,
    statement::{
        Action, Dialect, Effect, Names, Need, Object, Outputs, Refusal, RefusalKind, Setting, Statement, Understood,
        literal,
    },
};

/// Understands all statements of `text`.
///
/// # Errors
/// A [`Refusal`] when anything in it is not understood.
pub(super) fn understand(text: &str, catalog: &Catalog, names: &Names) -> Result<Understood, Refusal> {
    let parsed = parse::statements(text)?;
    let (statements, notes) = literal::watch(|| walk(&parsed, catalog, names));
    let statements = statements?;
    let fingerprint = if statements.is_empty() { Arc::from("") } else { parse::fingerprint(text)? };
    let free = notes.free(text, &Dialect::Postgres(names.clone()), &statements);
    Ok(Understood { statements, fingerprint, free })
}

fn walk(parsed: &[RawStmt], catalog: &Catalog, names: &Names) -> Result<Vec<Statement>, Refusal> {
    let mut course = Course { path: Some(SearchPath::read(&names.search_path, catalog)?), ..Course::default() };
    let mut statements = Vec::with_capacity(parsed.len());
    for raw in parsed {
        let node = node::boxed(raw.stmt.as_ref()).ok_or_else(|| node::unsupported("an empty statement"))?;
        let statement = course.statement(node, catalog)?;
        course.follow(&statement, changes_parts(node), catalog)?;
        statements.push(statement);
    }
    Ok(statements)
}

/// What the statements so far have done to the names.
#[derive(Default)]
struct Course {
    /// The search_path in force; `None` once it was reset to what only the session knows.
    path: Option<SearchPath>,
    moved: Moved,
    changed: Changed,
    rolled_back: bool,
}

/// What earlier statements have changed in the catalog.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Changed {
    #[default]
    Nothing,
    /// Columns, constraints, indexes: every relation's name still means that relation.
    Parts,
    /// Which relation a name means.
    Names,
}

/// Whether the text has set search_path.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Moved {
    #[default]
    No,
    Session,
    Local,
}

impl Course {
    fn statement(&self, node: &NodeEnum, catalog: &Catalog) -> Result<Statement, Refusal> {
        let Some(path) = &self.path else {
            let nowhere = SearchPath::read("", catalog)?;
            let statement = dispatch::statement(node, catalog, &nowhere).map_err(|refusal| match refusal.kind {
                RefusalKind::UnknownRelation | RefusalKind::UnknownFunction | RefusalKind::UnknownType => {
                    apart("search_path was reset")
                }
                RefusalKind::Unparsed
                | RefusalKind::Unsupported
                | RefusalKind::UnknownColumn
                | RefusalKind::Ambiguous
                | RefusalKind::Forbidden
                | RefusalKind::TooComplex
                | RefusalKind::UnknownCharset
                | RefusalKind::NotPreparable => refusal,
            })?;
            return if is_of_the_session(&statement) { Ok(statement) } else { Err(apart("search_path was reset")) };
        };
        let statement = dispatch::statement(node, catalog, path)?;
        let certain = match self.changed {
            Changed::Nothing => true,
            Changed::Parts => changes_parts(node) || is_of_the_session(&statement) || only_creates(&statement),
            Changed::Names => is_of_the_session(&statement) || only_creates(&statement),
        };
        if !certain {
            return Err(apart("an earlier statement changes what names mean"));
        }
        Ok(statement)
    }

    fn follow(&mut self, statement: &Statement, only_parts: bool, catalog: &Catalog) -> Result<(), Refusal> {
        let unread = statement.needs.iter().any(|need| need.action == Action::Admin);
        if let Some(path) = &mut self.path {
            path.new_types |= unread || matches!(statement.effect, Effect::ChangesCatalog);
        }
        match &statement.effect {
            Effect::Set { name, value, local } if &**name == "search_path" => {
                self.path = match value {
                    Setting::To(value) => Some(SearchPath::read(value, catalog)?),
                    Setting::Default => None,
                };
                self.moved = if *local { Moved::Local } else { Moved::Session };
            }
            Effect::ResetAll | Effect::DiscardAll => {
                self.path = None;
                self.moved = Moved::Session;
            }
            Effect::Rollback | Effect::RollbackTo => self.rolled_back = true,
            Effect::Commit if self.moved == Moved::Local => self.rolled_back = true,
            Effect::ChangesCatalog => {
                self.changed = self.changed.max(if only_parts { Changed::Parts } else { Changed::Names });
            }
            Effect::None
            | Effect::Begin
            | Effect::Commit
            | Effect::Savepoint
            | Effect::Set { .. }
            | Effect::Prepare { .. }
            | Effect::Execute { .. }
            | Effect::Deallocate(_)
            | Effect::Declare { .. }
            | Effect::Fetch { .. }
            | Effect::CloseCursor(_)
            | Effect::SetAll(_)
            | Effect::Kill { .. }
            | Effect::ChangesTemporary(_)
            | Effect::Inband(_)
            | Effect::CopyOut
            | Effect::CopyIn => {}
        }
        if self.rolled_back && self.moved != Moved::No {
            return Err(apart("search_path is set and the end of a transaction may undo it"));
        }
        Ok(())
    }
}

/// ALTER TABLE but for renaming and moving, CREATE INDEX, COMMENT.
fn changes_parts(node: &NodeEnum) -> bool {
    matches!(node, NodeEnum::AlterTableStmt(_) | NodeEnum::IndexStmt(_) | NodeEnum::CommentStmt(_))
}

/// Transactions, settings and the like: they mean the same under any names.
fn is_of_the_session(statement: &Statement) -> bool {
    let rows = match &statement.outputs {
        Outputs::None | Outputs::Server => false,
        Outputs::Columns(columns) => !columns.is_empty() && !matches!(statement.effect, Effect::Set { .. }),
        Outputs::OfPrepared(_) | Outputs::OfCursor(_) => true,
    };
    !rows
        && statement.needs.is_empty()
        && statement.touches.is_empty()
        && !matches!(statement.effect, Effect::ChangesCatalog)
}

/// New names only, none looked up: `CREATE TABLE a (…); CREATE TABLE b (…)`.
fn only_creates(statement: &Statement) -> bool {
    let creates = matches!(statement.verb, "CREATE TABLE" | "CREATE SEQUENCE" | "CREATE TYPE" | "CREATE DOMAIN");
    let looks_up = |need: &Need| match (&need.action, &need.object) {
        (Action::Ddl, Object::Relation(_)) | (Action::Admin, Object::Session(_)) => false,
        (
            _,
            Object::Relation(_) | Object::Catalog(_) | Object::Listing(_) | Object::Function(_) | Object::Session(_),
        ) => true,
    };
    let admin_only = !statement.needs.is_empty()
        && statement.needs.iter().all(|need| need.action == Action::Admin && matches!(need.object, Object::Session(_)));
    (creates && !statement.needs.iter().any(looks_up)) || admin_only
}

fn apart(why: &str) -> Refusal {
    Refusal::new(RefusalKind::Unsupported, "these statements cannot be sent in one text")
        .detail(format!("{why}, so the names of a later statement in the same text are not certain"))
        .hint("send the statements one at a time")
}
