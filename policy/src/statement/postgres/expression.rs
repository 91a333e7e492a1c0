//! Expressions as values: which stored columns feed the result, and how.
//! What an expression asks in a condition is `condition`'s affair; what a function may do is `function`'s.

use std::sync::Arc;

use pg_query::{
    Node, NodeEnum,
    protobuf::{AExpr, AExprKind, AIndirection, CaseExpr, ColumnRef, TypeCast},
};

use super::{
    call, condition, constant,
    function::{self, Casts, Purity},
    json, lazy, node,
    scope::{Field, Found, Scope, unknown_column_of},
    sublink, table_function,
    walk::Walk,
};
use crate::statement::{Lineage, Refusal, RefusalKind, Usage, Via};

/// How a value comes out of something of that purity.
pub(super) fn via(purity: Purity) -> Via {
    match purity {
        Purity::Total | Purity::Nullness => Via::Total,
        Purity::Compute => Via::Partial,
    }
}

/// The lineage of `value`.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn expression(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &NodeEnum) -> Result<Lineage, Refusal> {
    walk.step()?;
    let lineage = of_kind(walk, scope, value)?;
    let which = match value {
        NodeEnum::ColumnRef(_) | NodeEnum::RowExpr(_) => return Ok(lineage),
        NodeEnum::FuncCall(call) if !function::makes_json(&node::strings(&call.funcname)?) => Casts::Implied,
        NodeEnum::AExpr(_) | NodeEnum::AIndirection(_) | NodeEnum::CaseExpr(_) | NodeEnum::CoalesceExpr(_) => {
            Casts::Implied
        }
        NodeEnum::MinMaxExpr(_) | NodeEnum::AArrayExpr(_) | NodeEnum::SubLink(_) | NodeEnum::BoolExpr(_) => {
            Casts::Implied
        }
        _ => Casts::Asked,
    };
    function::converted(walk, &lineage, which);
    Ok(lineage)
}

fn of_kind(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &NodeEnum) -> Result<Lineage, Refusal> {
    match value {
        NodeEnum::AConst(constant) => {
            // Where a constant of a definition stands says nothing about the text.
            if walk.trusted == 0 {
                constant::passed(constant);
            }
            Ok(Lineage::constant())
        }
        NodeEnum::ParamRef(_)
        | NodeEnum::SqlvalueFunction(_)
        | NodeEnum::MergeSupportFunc(_)
        | NodeEnum::CurrentOfExpr(_) => Ok(Lineage::constant()),
        NodeEnum::ColumnRef(reference) => column(walk, scope, reference),
        NodeEnum::TypeCast(cast) => type_cast(walk, scope, cast),
        NodeEnum::AExpr(operation) => self::operation(walk, scope, operation),
        NodeEnum::FuncCall(call) => call::function(walk, scope, call),
        NodeEnum::SubLink(link) => sublink::value(walk, scope, link),
        NodeEnum::CaseExpr(case) => self::case(walk, scope, case),
        NodeEnum::BoolExpr(expr) => lazy::logic(walk, scope, expr),
        NodeEnum::CoalesceExpr(expr) => lazy::coalesce(walk, scope, expr),
        NodeEnum::MinMaxExpr(expr) => all(walk, scope, &expr.args, Via::Total),
        NodeEnum::AArrayExpr(array) => all(walk, scope, &array.elements, Via::Total),
        NodeEnum::RowExpr(row) => all(walk, scope, &row.args, Via::Total),
        NodeEnum::GroupingFunc(grouping) => all(walk, scope, &grouping.args, Via::Copy).map(|_| Lineage::constant()),
        NodeEnum::NullTest(test) => nullness(walk, scope, node::required(test.arg.as_ref(), "IS NULL")?),
        NodeEnum::BooleanTest(test) => one(walk, scope, test.arg.as_ref(), Via::Total),
        NodeEnum::CollateClause(collate) => one(walk, scope, collate.arg.as_ref(), Via::Total),
        NodeEnum::NamedArgExpr(named) => one(walk, scope, named.arg.as_ref(), Via::Copy),
        NodeEnum::AIndirection(indirection) => self::indirection(walk, scope, indirection),
        NodeEnum::XmlExpr(_)
        | NodeEnum::XmlSerialize(_)
        | NodeEnum::JsonFuncExpr(_)
        | NodeEnum::JsonParseExpr(_)
        | NodeEnum::JsonScalarExpr(_)
        | NodeEnum::JsonSerializeExpr(_)
        | NodeEnum::JsonIsPredicate(_)
        | NodeEnum::JsonObjectConstructor(_)
        | NodeEnum::JsonArrayConstructor(_)
        | NodeEnum::JsonArrayQueryConstructor(_)
        | NodeEnum::JsonObjectAgg(_)
        | NodeEnum::JsonArrayAgg(_) => json::value(walk, scope, value),
        _ => Err(node::unexpected(value, "an expression")),
    }
}

/// A child that the grammar always fills, after one more step.
pub(super) fn one<B: AsRef<Node>>(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    value: Option<&B>,
    step: Via,
) -> Result<Lineage, Refusal> {
    Ok(expression(walk, scope, node::required(value, "expression")?)?.through(step))
}

/// All of a list as one value, after one more step. `t.*` in it stands for its columns.
pub(super) fn all(walk: &mut Walk<'_>, scope: &Scope<'_>, values: &[Node], step: Via) -> Result<Lineage, Refusal> {
    let mut lineage = Lineage::constant();
    for value in node::all(values) {
        lineage.merge(&expression(walk, scope, value)?);
    }
    Ok(lineage.through(step))
}

/// A column, or a whole row as one value.
fn column(walk: &mut Walk<'_>, scope: &Scope<'_>, reference: &ColumnRef) -> Result<Lineage, Refusal> {
    if matches!(reference.fields.last().and_then(|last| last.node.as_ref()), Some(NodeEnum::AStar(_))) {
        let mut row = Lineage::constant();
        let mut fields = Vec::new();
        star(walk, scope, reference, &mut fields)?;
        for field in &fields {
            row.merge(&field.lineage);
        }
        return Ok(row.through(Via::Total));
    }
    let path = node::strings(&reference.fields)?;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match scope.find(walk, &path)? {
        Found::Column(lineage) => Ok(Lineage::clone(&lineage)),
        Found::Row(entry) => Ok(entry.row()),
        Found::OfRow(entry, name) => of_row(walk, entry.row(), name, &entry.name),
    }
}

/// `t.f` where `t` has no column `f`: the server calls function `f` with the row.
fn of_row(walk: &mut Walk<'_>, row: Lineage, name: &str, table: &str) -> Result<Lineage, Refusal> {
    function::converted(walk, &row, Casts::Asked);
    match function::call(walk, &[name.to_owned()], 1) {
        Ok(purity) => Ok(row.through(via(purity))),
        Err(refusal) if refusal.kind == RefusalKind::UnknownFunction => Err(unknown_column_of(table, name)),
        Err(refusal) => Err(refusal),
    }
}

/// Whether `value` is a bare reference to a whole row: of a table, not a column.
pub(super) fn is_row(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &NodeEnum) -> Result<bool, Refusal> {
    let NodeEnum::ColumnRef(reference) = value else { return Ok(false) };
    let Ok(path) = node::strings(&reference.fields) else { return Ok(true) };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    Ok(matches!(scope.find(walk, &path)?, Found::Row(_)))
}

/// What `value IS NULL` or count(value) tells: nothing of a stored column, for whether it is null is no secret. Of
/// anything computed it may tell the rest.
pub(super) fn nullness(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &NodeEnum) -> Result<Lineage, Refusal> {
    if let NodeEnum::RowExpr(row) = value {
        let mut lineage = Lineage::constant();
        for part in node::all(&row.args) {
            lineage.merge(&nullness(walk, scope, part)?);
        }
        return Ok(lineage);
    }
    if is_row(walk, scope, value)? {
        expression(walk, scope, value)?;
        return Ok(Lineage::constant());
    }
    let mut lineage = expression(walk, scope, value)?;
    lineage.columns.retain(|_, via| *via != Via::Copy);
    Ok(lineage)
}

fn type_cast(walk: &mut Walk<'_>, scope: &Scope<'_>, cast: &TypeCast) -> Result<Lineage, Refusal> {
    let lineage = one(walk, scope, cast.arg.as_ref(), Via::Copy)?;
    let Some(name) = &cast.type_name else { return Err(node::unsupported("a cast to no type")) };
    let purity = function::cast(walk, name)?;
    let written = function::converted(walk, &lineage, Casts::Asked);
    Ok(lineage.through(if written { Via::Partial } else { via(purity) }))
}

fn operation(walk: &mut Walk<'_>, scope: &Scope<'_>, operation: &AExpr) -> Result<Lineage, Refusal> {
    let mut lineage = Lineage::constant();
    let kind = AExprKind::try_from(operation.kind);
    if kind == Ok(AExprKind::AexprNullif) {
        // The result is the first argument or null, and which one is a comparison.
        condition::comparison(walk, scope, operation)?;
        return one(walk, scope, operation.lexpr.as_ref(), Via::Total);
    }
    for side in [&operation.lexpr, &operation.rexpr] {
        match node::boxed(side.as_ref()) {
            Some(NodeEnum::List(list)) => lineage.merge(&all(walk, scope, &list.items, Via::Copy)?),
            Some(value) => lineage.merge(&expression(walk, scope, value)?),
            None => {}
        }
    }
    lazy::rows(walk, scope, operation, &lineage)?;
    Ok(lineage.through(operator(walk, operation)?))
}

/// How a value comes out of an operation.
pub(super) fn operator(walk: &mut Walk<'_>, operation: &AExpr) -> Result<Via, Refusal> {
    use AExprKind as Kind;
    let path = node::strings(&operation.name)?;
    let paths = match Kind::try_from(operation.kind) {
        Ok(
            Kind::AexprOp
            | Kind::AexprOpAny
            | Kind::AexprOpAll
            | Kind::AexprDistinct
            | Kind::AexprNotDistinct
            | Kind::AexprNullif
            | Kind::AexprIn
            | Kind::AexprLike
            | Kind::AexprIlike
            | Kind::AexprSimilar,
        ) => vec![path],
        Ok(Kind::AexprBetween | Kind::AexprNotBetween | Kind::AexprBetweenSym | Kind::AexprNotBetweenSym) => {
            [">=", "<=", "<", ">"].map(|name| vec![name.to_owned()]).to_vec()
        }
        Ok(Kind::Undefined) | Err(_) => return Err(node::unsupported("an operation of unknown kind")),
    };
    let mut worst = Via::Total;
    for path in paths {
        worst = worst.max(via(function::operator(walk, &path)?));
    }
    Ok(worst)
}

fn case(walk: &mut Walk<'_>, scope: &Scope<'_>, case: &CaseExpr) -> Result<Lineage, Refusal> {
    let mut lineage = Lineage::constant();
    for result in branches(walk, scope, case)? {
        lineage.merge(&expression(walk, scope, result)?);
    }
    Ok(lineage.through(Via::Total))
}

/// What CASE may come to, its conditions walked.
///
/// # Errors
/// When something in these is not understood.
pub(super) fn branches<'n>(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    case: &'n CaseExpr,
) -> Result<Vec<&'n NodeEnum>, Refusal> {
    let subject = node::boxed(case.arg.as_ref());
    if subject.is_some() {
        function::operator(walk, &["=".to_owned()])?;
    }
    let mut results = Vec::with_capacity(case.args.len() + 1);
    for arm in node::all(&case.args) {
        let NodeEnum::CaseWhen(arm) = arm else { return Err(node::unexpected(arm, "CASE")) };
        let when = node::required(arm.expr.as_ref(), "CASE")?;
        match subject {
            Some(subject) => condition::equality(walk, scope, &[subject, when])?,
            None => condition::condition(walk, scope, when)?,
        }
        results.push(node::required(arm.result.as_ref(), "CASE")?);
    }
    results.extend(node::boxed(case.defresult.as_ref()));
    Ok(results)
}

/// `(row).field`, `array[1]`, `json['key']`, and chains of them.
fn indirection(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &AIndirection) -> Result<Lineage, Refusal> {
    let base = node::required(value.arg.as_ref(), "expression")?;
    let mut steps = node::all(&value.indirection);
    let mut lineage = match (table_column(walk, scope, base, value)?, steps.clone().next()) {
        (Some(column), Some(_)) => {
            steps.next();
            column
        }
        _ => expression(walk, scope, base)?,
    };
    for step in steps {
        match step {
            NodeEnum::String(name) => {
                // A field of the value, or a function of it: whichever it is, it comes from the value.
                let purity = match function_of_row(walk, &name.sval)? {
                    Some(purity) => via(purity),
                    None => Via::Total,
                };
                lineage = lineage.through(purity);
            }
            NodeEnum::AIndices(indices) => {
                for index in [&indices.lidx, &indices.uidx] {
                    if let Some(index) = node::boxed(index.as_ref()) {
                        lineage.merge(&expression(walk, scope, index)?);
                    }
                }
                lineage = lineage.through(Via::Total);
            }
            NodeEnum::AStar(_) => lineage = lineage.through(Via::Total),
            _ => return Err(node::unexpected(step, "a field selection")),
        }
    }
    Ok(lineage)
}

/// `(t).a` where `t` is a table of the scope: exactly that column.
fn table_column(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    base: &NodeEnum,
    value: &AIndirection,
) -> Result<Option<Lineage>, Refusal> {
    let Some(NodeEnum::String(name)) = node::all(&value.indirection).next() else { return Ok(None) };
    let NodeEnum::ColumnRef(reference) = base else { return Ok(None) };
    let Ok(path) = node::strings(&reference.fields) else { return Ok(None) };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let Found::Row(entry) = scope.find(walk, &path)? else { return Ok(None) };
    let mut same = entry.fields.iter().filter(|field| *field.name == *name.sval);
    Ok(match (same.next(), same.next()) {
        (Some(field), None) => Some(Lineage::clone(&field.lineage)),
        _ => None,
    })
}

/// What the function called `name` does, if there is one. Which functions may be named so, only the catalog knows.
fn function_of_row(walk: &mut Walk<'_>, name: &str) -> Result<Option<Purity>, Refusal> {
    if !walk.catalog.functions.contains_key(name) {
        return Ok(None);
    }
    match function::call(walk, &[name.to_owned()], 1) {
        Ok(purity) => Ok(Some(purity)),
        Err(refusal) if refusal.kind == RefusalKind::UnknownFunction => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// If `value` is `*`, `t.*` or `(t).*`, adds its columns to `fields` and says so.
///
/// # Errors
/// When the columns cannot be known.
pub(super) fn expand(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    value: &NodeEnum,
    fields: &mut Vec<Field>,
) -> Result<bool, Refusal> {
    let ends_in_star = |path: &[Node]| matches!(node::all(path).next_back(), Some(NodeEnum::AStar(_)));
    match value {
        NodeEnum::ColumnRef(reference) if ends_in_star(&reference.fields) => star(walk, scope, reference, fields)?,
        NodeEnum::AIndirection(value) if ends_in_star(&value.indirection) => row_star(walk, scope, value, fields)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn star(walk: &mut Walk<'_>, scope: &Scope<'_>, reference: &ColumnRef, fields: &mut Vec<Field>) -> Result<(), Refusal> {
    let (_, table) = reference.fields.split_last().unwrap_or((&Node { node: None }, &[]));
    let table = node::strings(table)?;
    let table: Vec<&str> = table.iter().map(String::as_str).collect();
    let entries = if table.is_empty() {
        let entries = scope.star(walk);
        if entries.is_empty() {
            return Err(node::unsupported("SELECT * with no tables specified"));
        }
        entries
    } else {
        match scope.row(walk, &table)? {
            Some(entry) => vec![entry],
            None => {
                let name = table.join(".");
                return Err(Refusal::new(
                    RefusalKind::UnknownRelation,
                    format!("missing FROM-clause entry for table \"{name}\""),
                ));
            }
        }
    };
    for entry in entries {
        if entry.opaque.is_some() {
            return Err(unknown_shape(&entry.name));
        }
        fields.extend(entry.fields.iter().cloned());
    }
    Ok(())
}

fn row_star(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    value: &AIndirection,
    fields: &mut Vec<Field>,
) -> Result<(), Refusal> {
    let base = node::required(value.arg.as_ref(), "expression")?;
    if value.indirection.len() > 1 {
        return Err(unknown_shape("a field"));
    }
    match base {
        NodeEnum::ColumnRef(reference) => {
            let path = node::strings(&reference.fields)?;
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            match scope.find(walk, &path)? {
                Found::Row(entry) if entry.opaque.is_none() => fields.extend(entry.fields.iter().cloned()),
                _ => return Err(unknown_shape(path.last().copied().unwrap_or_default())),
            }
        }
        NodeEnum::RowExpr(row) => {
            for (at, part) in node::all(&row.args).enumerate() {
                if expand(walk, scope, part, fields)? {
                    return Err(unknown_shape("a row"));
                }
                fields.push(Field::new(format!("f{}", at + 1), expression(walk, scope, part)?));
            }
        }
        NodeEnum::FuncCall(function) => {
            let path = node::strings(&function.funcname)?;
            let Some(columns) = table_function::columns(&path) else { return Err(unknown_shape("a function's row")) };
            let lineage = Arc::new(expression(walk, scope, base)?.through(Via::Total));
            walk.used(&lineage, &Usage::Inference);
            let named = columns.iter().map(|name| Field { name: Arc::from(*name), lineage: Arc::clone(&lineage) });
            fields.extend(named);
        }
        _ => return Err(unknown_shape("a value")),
    }
    Ok(())
}

/// `*` over something whose columns the catalog does not tell.
pub(super) fn unknown_shape(what: &str) -> Refusal {
    node::unsupported(&format!("`*` over \"{what}\", whose columns are not known to the gate,"))
        .hint("name the columns: SELECT f.a, f.b FROM my_function() AS f")
}
