//! MERGE: a join of source and target, and actions on what matches and what does not.
//! Shares with INSERT, UPDATE and DELETE what `dml` knows of targets.

use pg_query::{
    NodeEnum,
    protobuf::{CmdType, MergeMatchKind, MergeStmt, MergeWhenClause},
};

use super::{
    condition::condition,
    dml::{self, Target},
    from, node, query,
    reach::{self, Filter},
    scope::{Entry, Field, Scope},
    walk::Walk,
};
use crate::statement::{Action, Reach, Refusal};

/// Walks a MERGE: the columns of RETURNING, if it has one.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn merge(
    walk: &mut Walk<'_>,
    outer: Option<&Scope<'_>>,
    merge: &MergeStmt,
) -> Result<Option<Vec<Field>>, Refusal> {
    let mut scope = dml::level(walk, outer, merge.with_clause.as_ref())?;
    let mut target = dml::target(walk, merge.relation.as_ref())?;
    let source = node::required(merge.source_relation.as_ref(), "MERGE")?;
    let source = from::item(walk, &mut scope, source)?;

    let both =
        |target: &Target| -> Vec<Entry> { std::iter::once(target.entry.clone()).chain(source.clone()).collect() };
    scope.entries = both(&target);
    let on = node::required(merge.join_condition.as_ref(), "MERGE")?;
    let before = walk.target_reads;
    condition(walk, &scope, on)?;
    let joins_all = walk.target_reads == before || reach::filter(on) == Filter::Everything;

    for clause in node::all(&merge.merge_when_clauses) {
        let NodeEnum::MergeWhenClause(clause) = clause else { return Err(node::unexpected(clause, "MERGE")) };
        let every = match MergeMatchKind::try_from(clause.match_kind) {
            Ok(MergeMatchKind::MergeWhenMatched) => {
                scope.entries = both(&target);
                joins_all
            }
            Ok(MergeMatchKind::MergeWhenNotMatchedBySource) => {
                scope.entries = vec![target.entry.clone()];
                true
            }
            Ok(MergeMatchKind::MergeWhenNotMatchedByTarget) => {
                scope.entries.clone_from(&source);
                false
            }
            Ok(MergeMatchKind::Undefined) | Err(_) => return Err(node::unsupported("a MERGE clause of unknown kind")),
        };
        action(walk, &scope, &mut target, clause, every)?;
    }
    // RETURNING * shows the source's columns first.
    scope.entries = source;
    scope.entries.push(target.entry.clone());
    dml::show_written(&mut scope, &target);
    dml::returning(walk, &mut scope, &target, merge.returning_clause.as_ref())
}

/// One WHEN clause; `every` when nothing before its own condition keeps a row of the target out.
fn action(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    target: &mut Target,
    clause: &MergeWhenClause,
    every: bool,
) -> Result<(), Refusal> {
    let before = walk.target_reads;
    let every = match node::boxed(clause.condition.as_ref()) {
        Some(filter) => {
            condition(walk, scope, filter)?;
            every
                && match reach::filter(filter) {
                    Filter::Everything => true,
                    Filter::Nothing => false,
                    Filter::Unknown => walk.target_reads == before,
                }
        }
        None => every,
    };
    match CmdType::try_from(clause.command_type) {
        Ok(CmdType::CmdUpdate) => {
            target.need(walk, Action::Update);
            if every {
                walk.reaches(Reach::EveryUpdate);
            }
            dml::assignments(walk, scope, target, &clause.target_list)
        }
        Ok(CmdType::CmdDelete) => {
            target.need(walk, Action::Delete);
            if every {
                walk.reaches(Reach::EveryDelete);
            }
            Ok(())
        }
        Ok(CmdType::CmdInsert) => {
            target.need(walk, Action::Insert);
            let columns = dml::insert_columns(walk, scope, target, &clause.target_list)?;
            let values = query::value_row(walk, scope, &clause.values)?;
            let given = columns.get(..values.len()).unwrap_or(&columns);
            dml::left_to_defaults(walk, target, given, std::iter::once(clause.values.as_slice()))?;
            dml::write_row(walk, target, &columns, &values)
        }
        Ok(CmdType::CmdNothing) => Ok(()),
        _ => Err(node::unsupported("a MERGE action of unknown kind")),
    }
}
