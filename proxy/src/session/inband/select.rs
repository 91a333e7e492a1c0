//! What a query keeps of a view's rows: condition, order, limit, columns. Compares as the servers do: NULL is less than
//! nothing and equal to nothing, and comes last.

use std::cmp::Ordering;

use hallpass_policy::{
    ids::Timestamp,
    statement::inband::{Kind, Query, Selected, Value},
};

use super::{Cell, senseless};
use crate::error::ClientError;

/// The rows of `query`'s answer.
///
/// # Errors
/// When a constant does not fit its column, or LIMIT and OFFSET are no counts.
pub(super) fn selected(query: &Query, mut rows: Vec<Vec<Cell>>) -> Result<Vec<Vec<Cell>>, ClientError> {
    if let Some(condition) = &query.condition {
        // Also where there is no row to compare with.
        let mut fits = Ok(());
        condition.each_value(query.view, &mut |value, kind| {
            if let Err(error) = compared(&sample(kind), value) {
                fits = Err(error);
            }
        });
        fits?;
        rows.retain(|row| {
            let compare = |place: usize, value: &Value| compared(row.get(place)?, value).ok().flatten();
            let null = |place: usize| row.get(place).is_none_or(|cell| *cell == Cell::Null);
            condition.holds(&compare, &null) == Some(true)
        });
    }
    rows.sort_by(|a, b| {
        let steps = query.order.iter().map(|step| {
            let order = match (a.get(step.column), b.get(step.column)) {
                (Some(a), Some(b)) => sorted(a, b),
                (None | Some(_), _) => Ordering::Equal,
            };
            if step.descending { order.reverse() } else { order }
        });
        steps.fold(Ordering::Equal, Ordering::then)
    });
    let counts = query.selected.iter().any(|one| matches!(one, Selected::Count(_)));
    if counts {
        let count = Cell::Integer(i64::try_from(rows.len()).unwrap_or(i64::MAX));
        rows = vec![vec![count; query.selected.len()]];
    }
    let skip = count(query.offset.as_ref(), "OFFSET")?.unwrap_or(0);
    let take = count(query.limit.as_ref(), "LIMIT")?.unwrap_or(usize::MAX);
    let rows = rows.into_iter().skip(skip).take(take);
    if counts {
        return Ok(rows.collect());
    }
    let column = |row: &[Cell], one: &Selected| match one {
        Selected::Column(place, _) => row.get(*place).cloned().unwrap_or(Cell::Null),
        Selected::Count(_) => Cell::Null,
    };
    Ok(rows.map(|row| query.selected.iter().map(|one| column(&row, one)).collect()).collect())
}

fn count(value: Option<&Value>, what: &str) -> Result<Option<usize>, ClientError> {
    let wrong = || senseless(format!("{what} must be a count of rows"), "write a number that is not negative");
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Integer(number)) => usize::try_from(*number).map(Some).map_err(|_| wrong()),
        Some(Value::Text(text)) => text.trim().parse().map(Some).map_err(|_| wrong()),
        Some(Value::Boolean(_) | Value::Parameter(_)) => Err(wrong()),
    }
}

fn sorted(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) => Ordering::Greater,
        (_, Cell::Null) => Ordering::Less,
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (Cell::Integer(a), Cell::Integer(b)) => a.cmp(b),
        (Cell::Time(a), Cell::Time(b)) => a.cmp(b),
        (Cell::Boolean(a), Cell::Boolean(b)) => a.cmp(b),
        // A column holds one kind.
        (Cell::Text(_) | Cell::Integer(_) | Cell::Time(_) | Cell::Boolean(_), _) => Ordering::Equal,
    }
}

/// A cell of that kind.
fn sample(kind: Kind) -> Cell {
    match kind {
        Kind::Text => Cell::text(""),
        Kind::Integer => Cell::Integer(0),
        Kind::Time => Cell::Time(Timestamp(0)),
        Kind::Boolean => Cell::Boolean(false),
    }
}

/// A cell against a constant; `None` where either is NULL.
fn compared(cell: &Cell, value: &Value) -> Result<Option<Ordering>, ClientError> {
    let misfit = |what: &str| senseless(format!("{what} does not fit its column"), "compare numbers with numbers");
    Ok(match (cell, value) {
        (Cell::Null, _) | (_, Value::Null) => None,
        (Cell::Text(cell), Value::Text(text)) => Some((**cell).cmp(text)),
        (Cell::Text(cell), Value::Integer(number)) => Some((**cell).cmp(number.to_string().as_str())),
        (Cell::Integer(cell), Value::Integer(number)) => Some(cell.cmp(number)),
        (Cell::Integer(cell), Value::Text(text)) => Some(cell.cmp(&text.trim().parse().map_err(|_| misfit("a text"))?)),
        (Cell::Time(cell), Value::Text(text)) => Some(cell.cmp(&moment(text).ok_or_else(|| misfit("a text"))?)),
        (Cell::Boolean(cell), Value::Boolean(yes)) => Some(cell.cmp(yes)),
        (Cell::Boolean(cell), Value::Integer(number @ (0 | 1))) => Some(cell.cmp(&(*number == 1))),
        (Cell::Boolean(cell), Value::Text(text)) => match text.as_ref() {
            "t" | "true" | "1" => Some(cell.cmp(&true)),
            "f" | "false" | "0" => Some(cell.cmp(&false)),
            _ => return Err(misfit("a text")),
        },
        (Cell::Text(_) | Cell::Integer(_) | Cell::Time(_) | Cell::Boolean(_), _) => return Err(misfit("a constant")),
    })
}

/// A moment as people write it: RFC 3339, or date and time in UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let zoned = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let found = zoned(text).or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    });
    found.map(|found| Timestamp(found.as_microsecond()))
}
