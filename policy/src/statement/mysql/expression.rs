//! Expressions to lineage: which stored columns feed a value, and how.
//! Records what conditions inside decide; whether that is allowed is not decided here.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DataType, Expr, Ident, ObjectNamePart, TimezoneInfo,
    UnaryOperator, Value, ValueWithSpan,
};

use super::{
    call, condition, constant,
    gate::{FUNCTION_MARK, VARIABLE_MARK},
    node, query,
    refusal::{unexpected, unsupported},
    scope::{Field, Scope},
    walk::Walk,
};
use crate::statement::{Lineage, Refusal, Usage, Via};

/// The lineage of a value.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn expression(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &Expr) -> Result<Lineage, Refusal> {
    walk.step()?;
    match value {
        Expr::Identifier(name) => self::name(walk, scope, name),
        Expr::CompoundIdentifier(path) => {
            let path: Vec<&str> = path.iter().map(|part| node::name(walk, part)).collect::<Result<_, _>>()?;
            scope.find(walk, &path).map(|lineage| Lineage::clone(&lineage))
        }
        Expr::Value(constant) => self::constant(walk, constant),
        // Of any other type's name with a text behind it, the server makes a column with an alias.
        Expr::TypedString(typed) => match typed.data_type {
            DataType::Date
            | DataType::Time(None, TimezoneInfo::None)
            | DataType::Timestamp(None, TimezoneInfo::None) => self::constant(walk, &typed.value),
            _ => Err(unexpected("an expression").hint("write AS before an alias")),
        },
        Expr::Nested(inner) => expression(walk, scope, inner),
        Expr::Tuple(parts) => all(walk, scope, parts, Via::Copy),
        Expr::Function(function) => call::function(walk, scope, function),
        Expr::BinaryOp { left, op, right } => binary(walk, scope, left, op, right),
        Expr::UnaryOp { op, expr } => {
            let step = match op {
                UnaryOperator::Plus => Via::Copy,
                UnaryOperator::Minus | UnaryOperator::BitwiseNot | UnaryOperator::Not => Via::Partial,
                _ => return Err(unexpected("an expression")),
            };
            one(walk, scope, expr, step)
        }
        Expr::IsNull(inner) | Expr::IsNotNull(inner) | Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner) => {
            nullness(walk, scope, inner)
        }
        Expr::IsTrue(inner) | Expr::IsNotTrue(inner) | Expr::IsFalse(inner) | Expr::IsNotFalse(inner) => {
            one(walk, scope, inner, Via::Partial)
        }
        Expr::InList { expr, list, negated: _ } => {
            let mut lineage = expression(walk, scope, expr)?;
            lineage.merge(&all(walk, scope, list, Via::Copy)?);
            Ok(lineage.through(comparing(expr, list.iter())))
        }
        Expr::InSubquery { expr, subquery, negated: _ } => {
            let mut lineage = expression(walk, scope, expr)?;
            for field in inner(walk, scope, subquery)? {
                lineage.merge(&field.lineage);
            }
            Ok(lineage.through(Via::Partial))
        }
        Expr::AnyOp { left, compare_op: _, right, is_some: _ } | Expr::AllOp { left, compare_op: _, right } => {
            let mut lineage = expression(walk, scope, left)?;
            lineage.merge(&expression(walk, scope, right)?);
            Ok(lineage.through(Via::Partial))
        }
        Expr::Exists { subquery, negated: _ } => exists(walk, scope, subquery).map(|()| Lineage::constant()),
        Expr::Subquery(subquery) => self::subquery(walk, scope, subquery),
        Expr::Between { expr, negated: _, low, high } => {
            let mut lineage = expression(walk, scope, expr)?;
            lineage.merge(&expression(walk, scope, low)?);
            lineage.merge(&expression(walk, scope, high)?);
            Ok(lineage.through(Via::Partial))
        }
        Expr::Like { negated: _, any: false, expr, pattern, escape_char } => {
            let mut lineage = expression(walk, scope, expr)?;
            lineage.merge(&expression(walk, scope, pattern)?);
            if let Some(escape) = escape_char {
                lineage.merge(&expression(walk, scope, escape)?);
            }
            Ok(lineage.through(Via::Total))
        }
        Expr::RLike { negated: _, expr, pattern, regexp: _ } => {
            let mut lineage = expression(walk, scope, expr)?;
            lineage.merge(&expression(walk, scope, pattern)?);
            Ok(lineage.through(Via::Partial))
        }
        Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
            case(walk, scope, operand.as_deref(), conditions, else_result.as_deref())
        }
        _ => spelt_out(walk, scope, value),
    }
}

/// Functions and casts that have a syntax of their own.
fn spelt_out(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &Expr) -> Result<Lineage, Refusal> {
    match value {
        Expr::Cast { kind: CastKind::Cast, expr, data_type, format: None } => {
            let step = cast(data_type);
            one(walk, scope, expr, step)
        }
        Expr::Convert { is_try: false, expr, data_type, charset, target_before_value: false, styles } => {
            if !styles.is_empty() {
                return Err(unexpected("CONVERT"));
            }
            let step = match (data_type, charset) {
                (Some(data_type), None) => cast(data_type),
                // Characters that the other set lacks become question marks.
                (_, Some(_)) => Via::Total,
                (None, None) => return Err(unexpected("CONVERT")),
            };
            one(walk, scope, expr, step)
        }
        Expr::Collate { expr, collation: _ } => one(walk, scope, expr, Via::Total),
        Expr::Extract { field: _, syntax: _, expr } => one(walk, scope, expr, Via::Partial),
        Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(sqlparser::ast::DateTimeField::NoDateTime) }
        | Expr::Floor { expr, field: CeilFloorKind::DateTimeField(sqlparser::ast::DateTimeField::NoDateTime) } => {
            one(walk, scope, expr, Via::Partial)
        }
        Expr::Position { expr, r#in } => {
            let mut lineage = expression(walk, scope, expr)?;
            lineage.merge(&expression(walk, scope, r#in)?);
            Ok(lineage.through(Via::Total))
        }
        Expr::Substring { expr, substring_from, substring_for, special: _, shorthand: _ } => {
            let mut lineage = expression(walk, scope, expr)?;
            for part in [substring_from, substring_for].into_iter().flatten() {
                lineage.merge(&expression(walk, scope, part)?);
            }
            Ok(lineage.through(Via::Total))
        }
        Expr::Trim { trim_where: _, trim_what, expr, trim_characters: None } => {
            let mut lineage = expression(walk, scope, expr)?;
            if let Some(what) = trim_what {
                lineage.merge(&expression(walk, scope, what)?);
            }
            Ok(lineage.through(Via::Total))
        }
        Expr::MatchAgainst { columns, match_value: _, opt_search_modifier: _ } => {
            let mut lineage = Lineage::constant();
            for column in columns {
                let path = node::path(walk, column)?;
                let found = scope.find(walk, &path)?;
                lineage.merge(&found);
            }
            walk.used(&lineage, &Usage::Inference);
            Ok(lineage.through(Via::Partial))
        }
        Expr::MemberOf(sqlparser::ast::MemberOf { value, array }) => {
            let mut lineage = expression(walk, scope, value)?;
            lineage.merge(&expression(walk, scope, array)?);
            Ok(lineage.through(Via::Partial))
        }
        Expr::Interval(interval) => one(walk, scope, &interval.value, Via::Partial),
        _ => Err(unexpected("an expression")),
    }
}

/// A child after one more step.
pub(super) fn one(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &Expr, step: Via) -> Result<Lineage, Refusal> {
    Ok(expression(walk, scope, value)?.through(step))
}

/// All of a list as one value, after one more step.
pub(super) fn all(walk: &mut Walk<'_>, scope: &Scope<'_>, values: &[Expr], step: Via) -> Result<Lineage, Refusal> {
    let mut lineage = Lineage::constant();
    for value in values {
        lineage.merge(&expression(walk, scope, value)?);
    }
    Ok(lineage.through(step))
}

fn name(walk: &mut Walk<'_>, scope: &Scope<'_>, name: &Ident) -> Result<Lineage, Refusal> {
    match name.quote_style {
        // What was put into a user variable was checked when it was put there.
        Some(VARIABLE_MARK) => Ok(Lineage::constant()),
        Some(FUNCTION_MARK) => call::bare(&name.value),
        None if name.value.eq_ignore_ascii_case("default") => Ok(Lineage::constant()),
        _ => {
            let name = node::name(walk, name)?;
            scope.find(walk, &[name]).map(|lineage| Lineage::clone(&lineage))
        }
    }
}

fn constant(walk: &Walk<'_>, value: &ValueWithSpan) -> Result<Lineage, Refusal> {
    // Where a constant of a definition stands says nothing about the text.
    if walk.trusted == 0 {
        constant::passed(value);
    }
    match constant::kind(value) {
        Value::Number(..)
        | Value::SingleQuotedString(_)
        | Value::HexStringLiteral(_)
        | Value::NationalStringLiteral(_)
        | Value::Boolean(_)
        | Value::Null
        | Value::Placeholder(_) => Ok(Lineage::constant()),
        _ => Err(unexpected("a constant")),
    }
}

/// A subquery as a value. As one side of a comparison with a row it may have several columns.
fn subquery(walk: &mut Walk<'_>, scope: &Scope<'_>, query: &sqlparser::ast::Query) -> Result<Lineage, Refusal> {
    let mut lineage = Lineage::constant();
    for field in inner(walk, scope, query)? {
        lineage.merge(&field.lineage);
    }
    Ok(lineage)
}

/// Whether a subquery has rows: what it would show is computed, or not, as the server likes, and shown to nobody.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn exists(walk: &mut Walk<'_>, scope: &Scope<'_>, query: &sqlparser::ast::Query) -> Result<(), Refusal> {
    for field in inner(walk, scope, query)? {
        walk.fails(&field.lineage);
    }
    Ok(())
}

/// The columns of a subquery within an expression. What such an expression is printed as may hold them.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn inner(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    query: &sqlparser::ast::Query,
) -> Result<Vec<Field>, Refusal> {
    let printed = walk.printed;
    walk.printed = printed.within();
    let found = query::query(walk, Some(scope), query);
    walk.printed = printed;
    found.map(|found| found.fields)
}

fn cast(data_type: &DataType) -> Via {
    match data_type {
        DataType::Char(_) | DataType::Character(_) | DataType::Binary(_) | DataType::Nvarchar(_) => Via::Total,
        // CHAR(9): to the parser a word with a parenthesis.
        DataType::Custom(name, _) if matches!(name.0.as_slice(), [part] if is_char(part)) => Via::Total,
        _ => Via::Partial,
    }
}

fn is_char(part: &ObjectNamePart) -> bool {
    part.as_ident().is_some_and(|name| name.value.eq_ignore_ascii_case("char"))
}

/// What `value IS NULL` or COUNT(value) tells: nothing of a stored column, for whether it is null is no secret. Of
/// anything computed it may tell the rest.
pub(super) fn nullness(walk: &mut Walk<'_>, scope: &Scope<'_>, value: &Expr) -> Result<Lineage, Refusal> {
    let mut lineage = expression(walk, scope, value)?;
    lineage.columns.retain(|_, via| *via != Via::Copy);
    Ok(lineage)
}

fn binary(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    left: &Expr,
    op: &BinaryOperator,
    right: &Expr,
) -> Result<Lineage, Refusal> {
    if *op == BinaryOperator::Assignment {
        return assigned(walk, scope, left, right);
    }
    let step = match op {
        BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Spaceship => {
            comparing(left, std::iter::once(right))
        }
        // The server joins before it computes, whatever the parser makes of `a || b + 1`.
        BinaryOperator::StringConcat if [left, right].into_iter().any(computes) => Via::Partial,
        BinaryOperator::StringConcat => Via::Total,
        BinaryOperator::Arrow | BinaryOperator::LongArrow => Via::Partial,
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Modulo
        | BinaryOperator::MyIntegerDivide
        | BinaryOperator::Gt
        | BinaryOperator::Lt
        | BinaryOperator::GtEq
        | BinaryOperator::LtEq
        | BinaryOperator::And
        | BinaryOperator::Or
        | BinaryOperator::Xor
        | BinaryOperator::BitwiseOr
        | BinaryOperator::BitwiseAnd
        | BinaryOperator::BitwiseXor
        | BinaryOperator::Regexp
        | BinaryOperator::PGBitwiseShiftLeft
        | BinaryOperator::PGBitwiseShiftRight => Via::Partial,
        _ => return Err(unsupported(&format!("the operator {op}"))),
    };
    let mut lineage = expression(walk, scope, left)?;
    lineage.merge(&expression(walk, scope, right)?);
    Ok(lineage.through(step))
}

/// `@v := value`. The parser does not bind it as loosely as the server, so what is put there is more than its right side:
/// `Walk::assigns` sees to it.
fn assigned(walk: &mut Walk<'_>, scope: &Scope<'_>, left: &Expr, right: &Expr) -> Result<Lineage, Refusal> {
    match left {
        Expr::Identifier(name)
            if walk.assigns && name.quote_style == Some(VARIABLE_MARK) && !name.value.starts_with("@@") =>
        {
            let value = expression(walk, scope, right)?;
            // Columns by themselves in the select list of a subquery are not seen by `Walk::assigns`.
            walk.used(&value, &Usage::Travel(name.value.as_str().into()));
            Ok(value.through(Via::Partial))
        }
        _ => Err(unexpected("an assignment").hint("put the assignment in parentheses: (@v := 1)")),
    }
}

fn computes(value: &Expr) -> bool {
    match value {
        Expr::BinaryOp { op, .. } => *op != BinaryOperator::StringConcat,
        Expr::UnaryOp { .. } => true,
        _ => false,
    }
}

/// How an equality's result comes from its sides: the server compares text with numbers as numbers, and warns.
fn comparing<'e>(left: &'e Expr, mut right: impl Iterator<Item = &'e Expr>) -> Via {
    if condition::is_text(left) || right.all(condition::is_text) { Via::Total } else { Via::Partial }
}

fn case(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    operand: Option<&Expr>,
    arms: &[CaseWhen],
    otherwise: Option<&Expr>,
) -> Result<Lineage, Refusal> {
    let mut lineage = Lineage::constant();
    for arm in arms {
        match operand {
            Some(operand) => condition::equality(walk, scope, operand, &arm.condition)?,
            None => condition::condition(walk, scope, &arm.condition)?,
        }
        lineage.merge(&expression(walk, scope, &arm.result)?);
    }
    if let Some(otherwise) = otherwise {
        lineage.merge(&expression(walk, scope, otherwise)?);
    }
    Ok(lineage.through(Via::Total))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{one, outputs, refused};

    #[test]
    fn a_types_name_before_a_text_is_a_literal_only_where_the_server_has_one() {
        assert_eq!(
            outputs(&one("SELECT DATE '2020-01-01' a, TIME '10:00' b, TIMESTAMP '2020-01-01 10:00' c")),
            "a; b; c"
        );
        for word in ["text", "json", "datetime", "boolean", "signed"] {
            let text = format!("SELECT {word} 'x' FROM (SELECT email AS {word} FROM customers) t");
            assert!(refused(&text).contains("not supported"), "{text}");
        }
    }
}
