//! Calls: arguments, windows, DISTINCT and ORDER BY inside aggregates.
//! Which functions may be called is `function`'s affair.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    ObjectNamePart, WindowFrameBound, WindowSpec, WindowType,
};

use super::{
    condition,
    expression::{self, expression, nullness},
    function::{self, Purity},
    gate::FUNCTION_MARK,
    node,
    query::sort_item,
    refusal::unexpected,
    relation,
    scope::Scope,
    walk::Walk,
};
use crate::statement::{Action, Lineage, Object, Refusal, Usage, Via};

/// A call's value.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn function(walk: &mut Walk<'_>, scope: &Scope<'_>, call: &Function) -> Result<Lineage, Refusal> {
    let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } = call;
    let plain = !uses_odbc_syntax
        && matches!(parameters, FunctionArguments::None)
        && within_group.is_empty()
        && filter.is_none()
        && null_treatment.is_none();
    if !plain {
        return Err(unexpected("a function call"));
    }
    let path = path(walk, &name.0)?;
    let (database, name) = match path.as_slice() {
        [name] => (None, *name),
        [database, name] => (Some(*database), *name),
        _ => return Err(unexpected("a function's name")),
    };
    if let (None, Some(action)) = (database, function::of_sequence(name)) {
        return sequence(walk, scope, action, args);
    }
    let arguments = arguments(walk, scope, name, args)?;
    if let Some(over) = over {
        match over {
            WindowType::WindowSpec(spec) => window(walk, scope, spec)?,
            WindowType::NamedWindow(name) => {
                node::name(walk, name)?;
            }
        }
    }
    called(walk, scope, database, name, &arguments)
}

/// A function without parentheses: CURRENT_TIMESTAMP.
///
/// # Errors
/// When it has to have some.
pub(super) fn bare(name: &str) -> Result<Lineage, Refusal> {
    let moments = ["CURRENT_", "LOCALTIME", "UTC_"];
    let upper = name.to_ascii_uppercase();
    if moments.iter().any(|moment| upper.starts_with(moment)) {
        return Ok(Lineage::constant());
    }
    Err(unexpected("an expression"))
}

fn path<'n>(walk: &Walk<'_>, parts: &'n [ObjectNamePart]) -> Result<Vec<&'n str>, Refusal> {
    let part = |part: &'n ObjectNamePart| match part.as_ident() {
        Some(name) if name.quote_style == Some(FUNCTION_MARK) => Ok(name.value.as_str()),
        // ROW, MATCH and their like are the function's own keyword.
        Some(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("row") => Ok(name.value.as_str()),
        Some(name) => node::name(walk, name),
        None => Err(unexpected("a function's name")),
    };
    parts.iter().map(part).collect()
}

/// The arguments of a call.
struct Arguments<'c> {
    values: Vec<&'c Expr>,
    /// COUNT(*).
    star: bool,
    distinct: bool,
}

fn arguments<'c>(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    name: &str,
    args: &'c FunctionArguments,
) -> Result<Arguments<'c>, Refusal> {
    let mut found = Arguments { values: Vec::new(), star: false, distinct: false };
    let list = match args {
        FunctionArguments::None => return Err(unexpected("a function call")),
        FunctionArguments::Subquery(_) => {
            return Err(unexpected("a function call").hint("put a second pair of parentheses around the subquery"));
        }
        FunctionArguments::List(list) => list,
    };
    found.distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    for argument in &list.args {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => found.values.push(value),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name.eq_ignore_ascii_case("count") => found.star = true,
            _ => return Err(unexpected("the arguments of a function")),
        }
    }
    for clause in &list.clauses {
        match clause {
            FunctionArgumentClause::OrderBy(items) => {
                for item in items {
                    sort_item(walk, scope, &[], item)?;
                }
            }
            FunctionArgumentClause::Separator(_) => {}
            FunctionArgumentClause::Limit(value) => condition::infer(walk, scope, value)?,
            _ => return Err(unexpected("the arguments of a function")),
        }
    }
    Ok(found)
}

/// NEXTVAL(seq) and its like: the first argument names a sequence.
fn sequence(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    action: Action,
    args: &FunctionArguments,
) -> Result<Lineage, Refusal> {
    let found = arguments(walk, scope, "", args)?;
    let Some((first, others)) = found.values.split_first() else { return Err(unexpected("a function call")) };
    let path = match first {
        Expr::Identifier(name) => vec![node::name(walk, name)?],
        Expr::CompoundIdentifier(path) => path.iter().map(|part| node::name(walk, part)).collect::<Result<_, _>>()?,
        _ => return Err(unexpected("the arguments of a function")),
    };
    let relation = match path.as_slice() {
        [name] => relation::resolve(walk, None, name)?,
        [database, name] => relation::resolve(walk, Some(database), name)?,
        _ => return Err(unexpected("the arguments of a function")),
    };
    for value in others {
        condition::infer(walk, scope, value)?;
    }
    walk.need(action, Object::Relation(relation.name.clone()));
    walk.touch(&relation.name);
    Ok(Lineage::constant())
}

/// What MySQL prints around a value in a view with ROLLUP; nobody can call it.
fn is_rollup(function: &str) -> bool {
    ["rollup_group_item", "rollup_sum_switcher"].iter().any(|name| name.eq_ignore_ascii_case(function))
}

fn called(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    database: Option<&str>,
    name: &str,
    arguments: &Arguments<'_>,
) -> Result<Lineage, Refusal> {
    let values = &arguments.values;
    if let ([value, ..], true) = (values.as_slice(), walk.trusted > 0 && database.is_none() && is_rollup(name)) {
        return expression(walk, scope, value);
    }
    let count = values.len() + usize::from(arguments.star);
    let purity = function::call(walk, database, name, count)?;
    let mut lineage = Lineage::constant();
    if database.is_none() && name.eq_ignore_ascii_case("if") {
        if let [test, then, otherwise] = values.as_slice() {
            condition::condition(walk, scope, test)?;
            lineage.merge(&expression(walk, scope, then)?);
            lineage.merge(&expression(walk, scope, otherwise)?);
        }
        return Ok(lineage.through(Via::Total));
    }
    if database.is_none() && name.eq_ignore_ascii_case("nullif") {
        if let [one, other] = values.as_slice() {
            condition::equality(walk, scope, one, other)?;
            lineage.merge(&expression(walk, scope, one)?);
        }
        return Ok(lineage.through(Via::Total));
    }
    let own = |words: &[&str]| database.is_none() && words.iter().any(|word| word.eq_ignore_ascii_case(name));
    let inserted = if own(&["values", "value"]) { scope.of_target() } else { None };
    let scope = inserted.as_ref().unwrap_or(scope);
    for (at, value) in values.iter().enumerate() {
        if function::names_unit(name, at) {
            continue;
        }
        let part = match purity {
            Purity::Nullness if !arguments.distinct => nullness(walk, scope, value)?,
            Purity::Nullness | Purity::Total | Purity::Compute => expression(walk, scope, value)?,
        };
        lineage.merge(&part);
    }
    if arguments.distinct {
        walk.used(&lineage, &Usage::Inference);
    }
    if database.is_none() && name.eq_ignore_ascii_case("last_insert_id") {
        // With an argument it keeps the value for a later call without one.
        walk.used(&lineage, &Usage::Travel("LAST_INSERT_ID()".into()));
    }
    // VALUES(a) is what was to be inserted, as it stands.
    Ok(match purity {
        Purity::Total if own(&["values", "value", "default"]) => lineage,
        Purity::Total => lineage.through(Via::Total),
        Purity::Nullness | Purity::Compute => lineage.through(Via::Partial),
    })
}

/// A window: what it partitions and orders by is inferred from.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn window(walk: &mut Walk<'_>, scope: &Scope<'_>, window: &WindowSpec) -> Result<(), Refusal> {
    let WindowSpec { window_name, partition_by, order_by, window_frame } = window;
    if let Some(name) = window_name {
        node::name(walk, name)?;
    }
    for value in partition_by {
        condition::infer(walk, scope, value)?;
    }
    for item in order_by {
        condition::infer(walk, scope, &item.expr)?;
    }
    if let Some(frame) = window_frame {
        for bound in std::iter::once(&frame.start_bound).chain(&frame.end_bound) {
            match bound {
                WindowFrameBound::CurrentRow => {}
                WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) => {
                    if let Some(value) = value {
                        expression::one(walk, scope, value, Via::Partial)?;
                    }
                }
            }
        }
    }
    Ok(())
}
