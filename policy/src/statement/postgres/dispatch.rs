//! Sends each kind of statement to the file that understands it, and puts together what is found.
//! The one list of statement kinds: what is not on it is refused.

use pg_query::NodeEnum;

use super::{
    admin, alter, catalogs, copy, create, drop, explain,
    identity::identity,
    inband, maintain, node, prepared,
    row_statement::{makes_table, reach, row_statement},
    search_path::SearchPath,
    session, set_config,
    walk::Walk,
};
use crate::{
    catalog::Catalog,
    statement::{Effect, Outputs, Reach, Refusal, Statement, Verb},
};

/// What a statement is besides what its walk has found.
#[derive(Debug)]
pub(super) struct Draft {
    /// What it is called.
    pub(super) verb: Verb,
    /// What rows come back.
    pub(super) outputs: Outputs,
    /// What it does to the session.
    pub(super) effect: Effect,
    /// Whether it reaches every row.
    pub(super) reach: Reach,
    /// How its rows are read.
    pub(super) manner: Manner,
}

/// How a statement reads rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As rows, or not at all.
    Plain,
    /// EXPLAIN.
    Explained,
    /// COPY … TO.
    Exported,
}

impl Draft {
    /// A statement without rows and without effect.
    pub(super) fn of(verb: Verb) -> Self {
        Self { verb, outputs: Outputs::None, effect: Effect::None, reach: Reach::Some, manner: Manner::Plain }
    }

    /// The same with an effect.
    pub(super) fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// The same with rows.
    pub(super) fn outputs(mut self, outputs: Outputs) -> Self {
        self.outputs = outputs;
        self
    }
}

/// Understands one statement.
///
/// # Errors
/// A [`Refusal`] when anything in it is not understood.
pub(super) fn statement(node: &NodeEnum, catalog: &Catalog, path: &SearchPath) -> Result<Statement, Refusal> {
    let mut walk = Walk::new(catalog, &path.schemas);
    walk.creation.clone_from(&path.creation);
    walk.new_types = path.new_types;
    let draft = draft(&mut walk, node)?;
    Ok(finish(walk, draft, node))
}

/// Understands a statement inside another (PREPARE, DECLARE), with the same names; what it needs, the outer one needs.
///
/// # Errors
/// As [`statement`].
pub(super) fn inner(walk: &mut Walk<'_>, node: &NodeEnum) -> Result<Statement, Refusal> {
    let mut within = Walk::new(walk.catalog, walk.search_path);
    within.creation.clone_from(&walk.creation);
    within.new_types = walk.new_types;
    let draft = rows(&mut within, node)?;
    let statement = finish(within, draft, node);
    walk.needs.extend(statement.needs.iter().cloned());
    walk.uses.extend(statement.uses.iter().cloned());
    walk.touches.extend(statement.touches.iter().cloned());
    Ok(statement)
}

fn finish(mut walk: Walk<'_>, draft: Draft, node: &NodeEnum) -> Statement {
    let outputs = match &draft.outputs {
        Outputs::Columns(columns) => columns.as_slice(),
        Outputs::None | Outputs::Server | Outputs::OfPrepared(_) | Outputs::OfCursor(_) => &[],
    };
    catalogs::guard_secrets(&mut walk, outputs.iter());
    let identity = identity(node, &walk.needs);
    Statement {
        verb: draft.verb,
        needs: walk.needs.into_iter().collect(),
        outputs: draft.outputs,
        uses: walk.uses.into_iter().collect(),
        touches: walk.touches.into_iter().collect(),
        effect: draft.effect,
        reach: draft.reach,
        explain: draft.manner == Manner::Explained,
        export: draft.manner == Manner::Exported,
        features: walk.features,
        compared: Vec::new(),
        identity,
    }
}

/// A statement with rows: SELECT, VALUES, INSERT, UPDATE, DELETE, MERGE.
///
/// # Errors
/// When it is another kind, or not understood.
pub(super) fn rows(walk: &mut Walk<'_>, node: &NodeEnum) -> Result<Draft, Refusal> {
    let verb = match node {
        NodeEnum::SelectStmt(_) => "SELECT",
        NodeEnum::InsertStmt(_) => "INSERT",
        NodeEnum::UpdateStmt(_) => "UPDATE",
        NodeEnum::DeleteStmt(_) => "DELETE",
        NodeEnum::MergeStmt(_) => "MERGE",
        _ => return Err(node::unexpected(node, "a place for a query")),
    };
    let outputs = row_statement(walk, node)?;
    let draft = Draft { reach: reach(walk), ..Draft::of(verb).outputs(outputs) };
    Ok(if makes_table(node) { draft.effect(Effect::ChangesCatalog) } else { draft })
}

/// Any statement, by its kind.
///
/// # Errors
/// When the kind is not listed, or not understood.
pub(super) fn draft(walk: &mut Walk<'_>, node: &NodeEnum) -> Result<Draft, Refusal> {
    match node {
        NodeEnum::SelectStmt(select) if create::into_clause(select).is_some() => create::select_into(walk, select),
        NodeEnum::SelectStmt(select) => {
            if let Some(draft) = inband::select(select)? {
                return Ok(draft);
            }
            match set_config::read(walk, select)? {
                Some(draft) => Ok(draft),
                None => rows(walk, node),
            }
        }
        NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_) => {
            rows(walk, node)
        }

        NodeEnum::ExplainStmt(explain) => explain::explain(walk, explain),
        NodeEnum::PrepareStmt(prepare) => prepared::prepare(walk, prepare),
        NodeEnum::ExecuteStmt(execute) => prepared::execute(walk, execute),
        NodeEnum::DeallocateStmt(deallocate) => Ok(prepared::deallocate(deallocate)),
        NodeEnum::DeclareCursorStmt(declare) => prepared::declare(walk, declare),
        NodeEnum::FetchStmt(fetch) => Ok(prepared::fetch(fetch)),
        NodeEnum::ClosePortalStmt(close) => Ok(prepared::close(close)),
        NodeEnum::CopyStmt(copy) => copy::copy(walk, copy),

        NodeEnum::TransactionStmt(transaction) => session::transaction(walk, transaction),
        NodeEnum::VariableSetStmt(set) => session::set(walk, set),
        NodeEnum::VariableShowStmt(show) => session::show(walk, show),
        NodeEnum::DiscardStmt(discard) => session::discard(discard),
        NodeEnum::ConstraintsSetStmt(_) => Ok(Draft::of("SET CONSTRAINTS")),
        NodeEnum::ListenStmt(_) => Ok(session::listen(walk)),
        NodeEnum::UnlistenStmt(_) => Ok(Draft::of("UNLISTEN")),
        NodeEnum::NotifyStmt(_) => Ok(session::notify(walk)),

        NodeEnum::CreateStmt(table) => create::table(walk, table, "CREATE TABLE"),
        NodeEnum::CreateTableAsStmt(table) => create::table_as(walk, table),
        NodeEnum::ViewStmt(view) => create::view(walk, view),
        NodeEnum::IndexStmt(index) => create::index(walk, index),
        NodeEnum::CreateSeqStmt(sequence) => create::sequence(walk, sequence),
        NodeEnum::CreateStatsStmt(statistics) => create::statistics(walk, statistics),
        NodeEnum::CompositeTypeStmt(_)
        | NodeEnum::CreateEnumStmt(_)
        | NodeEnum::CreateRangeStmt(_)
        | NodeEnum::CreateDomainStmt(_) => create::user_type(walk, node),
        NodeEnum::AlterTableStmt(_)
        | NodeEnum::RenameStmt(_)
        | NodeEnum::AlterObjectSchemaStmt(_)
        | NodeEnum::AlterSeqStmt(_)
        | NodeEnum::AlterEnumStmt(_)
        | NodeEnum::AlterDomainStmt(_)
        | NodeEnum::AlterStatsStmt(_) => alter::alter(walk, node),
        NodeEnum::DropStmt(statement) => drop::drop_objects(walk, statement),
        NodeEnum::CommentStmt(comment) => drop::comment(walk, comment),

        NodeEnum::TruncateStmt(_)
        | NodeEnum::LockStmt(_)
        | NodeEnum::VacuumStmt(_)
        | NodeEnum::ClusterStmt(_)
        | NodeEnum::ReindexStmt(_)
        | NodeEnum::RefreshMatViewStmt(_)
        | NodeEnum::CheckPointStmt(_) => maintain::maintain(walk, node),
        NodeEnum::CallStmt(call) => match inband::call(call)? {
            Some(draft) => Ok(draft),
            None => maintain::call(walk, call),
        },

        _ => admin::admin(walk, node),
    }
}
