//! Queries and calls that name the schema `hallpass`: read into what the proxy is asked. Whatever names that schema in
//! another form is refused, here or where relations and functions are looked up.

use std::sync::Arc;

use pg_query::{NodeEnum, protobuf};

use super::{constant, dispatch::Draft, node};
use crate::statement::{
    Effect, Outputs, Refusal,
    inband::{Call, Condition, Form, Inband, Query, SCHEMA, Selected, Sort, Test, Value, View, unanswerable},
};

/// `CALL hallpass.…`; `None` when it calls something else.
///
/// # Errors
/// When the proxy has no such procedure, or not with such arguments.
pub(super) fn call(call: &protobuf::CallStmt) -> Result<Option<Draft>, Refusal> {
    let Some((name, function)) = call.funccall.as_ref().and_then(|function| Some((own(function)?, function))) else {
        return Ok(None);
    };
    Ok(Some(draft("CALL", Inband::Call(Call::with_names(name, arguments(function)?, Form::Row)?))))
}

/// A SELECT that asks the proxy; `None` when it asks the server.
///
/// # Errors
/// When it names the schema in a form that the proxy does not answer.
pub(super) fn select(select: &protobuf::SelectStmt) -> Result<Option<Draft>, Refusal> {
    let inband = match select.from_clause.as_slice() {
        [] => match scalar(select)? {
            Some(call) => Inband::Call(call),
            None => return Ok(None),
        },
        [from] => match &from.node {
            Some(NodeEnum::RangeVar(table)) if table.schemaname == SCHEMA => Inband::Query(query(select, table)?),
            Some(NodeEnum::RangeFunction(function)) => match table_of(function) {
                Some(function) => {
                    let [star] = select.target_list.as_slice() else { return Err(unanswerable("this select list")) };
                    if !node::only_targets(select) || select.where_clause.is_some() || !is_star(star) {
                        return Err(unanswerable("anything but SELECT * of a call"));
                    }
                    let name = own(function).unwrap_or_default();
                    Inband::Call(Call::with_names(name, arguments(function)?, Form::Row)?)
                }
                None => return Ok(None),
            },
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(draft("SELECT", inband)))
}

fn draft(verb: &'static str, inband: Inband) -> Draft {
    Draft::of(verb).outputs(Outputs::Server).effect(Effect::Inband(Box::new(inband)))
}

/// The function's name, if it is the proxy's.
fn own(function: &protobuf::FuncCall) -> Option<&str> {
    match function.funcname.as_slice() {
        [schema, name] => match (&schema.node, &name.node) {
            (Some(NodeEnum::String(schema)), Some(NodeEnum::String(name))) if schema.sval == SCHEMA => Some(&name.sval),
            _ => None,
        },
        _ => None,
    }
}

/// `SELECT hallpass.name(…)`.
fn scalar(select: &protobuf::SelectStmt) -> Result<Option<Call>, Refusal> {
    let target = |node: &'_ pg_query::Node| match &node.node {
        Some(NodeEnum::ResTarget(target)) => match node::boxed(target.val.as_ref()) {
            Some(NodeEnum::FuncCall(function)) if own(function).is_some() => {
                Some((function.clone(), target.name.clone()))
            }
            _ => None,
        },
        _ => None,
    };
    let mut found = select.target_list.iter().filter_map(target);
    let Some((function, alias)) = found.next() else { return Ok(None) };
    if select.target_list.len() != 1 || !node::only_targets(select) || select.where_clause.is_some() {
        return Err(unanswerable("a call beside something else"));
    }
    let name = own(&function).unwrap_or_default();
    let told: Arc<str> = if alias.is_empty() { name.into() } else { alias.into() };
    Call::with_names(name, arguments(&function)?, Form::Scalar(told)).map(Some)
}

fn table_of(range: &protobuf::RangeFunction) -> Option<&protobuf::FuncCall> {
    let [functions] = range.functions.as_slice() else { return None };
    let Some(NodeEnum::List(list)) = &functions.node else { return None };
    match &list.items.first()?.node {
        Some(NodeEnum::FuncCall(function)) if own(function).is_some() => Some(function),
        _ => None,
    }
}

fn arguments<'a>(function: &'a protobuf::FuncCall) -> Result<Vec<(Option<&'a str>, Value)>, Refusal> {
    let plain = function.agg_order.is_empty()
        && function.agg_filter.is_none()
        && function.over.is_none()
        && !function.agg_within_group
        && !function.agg_star
        && !function.agg_distinct
        && !function.func_variadic;
    if !plain {
        return Err(unanswerable("a call in this form"));
    }
    let argument = |given: &'a NodeEnum| match given {
        NodeEnum::NamedArgExpr(named) => {
            Ok((Some(named.name.as_str()), value(node::required(named.arg.as_ref(), "argument")?)?))
        }
        given => Ok((None, value(given)?)),
    };
    node::all(&function.args).map(argument).collect()
}

fn query(select: &protobuf::SelectStmt, table: &protobuf::RangeVar) -> Result<Query, Refusal> {
    if !node::is_simple(select) {
        return Err(unanswerable("this form of SELECT"));
    }
    let view = View::named(&table.relname)?;
    let called = table.alias.as_ref().map_or(table.relname.as_str(), |alias| alias.aliasname.as_str());
    if table.alias.as_ref().is_some_and(|alias| !alias.colnames.is_empty()) {
        return Err(unanswerable("an alias with columns"));
    }
    let read = Reader { view, called };
    let mut selected = Vec::new();
    for target in node::all(&select.target_list) {
        let NodeEnum::ResTarget(target) = target else { return Err(unanswerable("this select list")) };
        read.target(target, &mut selected)?;
    }
    let counts = selected.iter().filter(|one| matches!(one, Selected::Count(_))).count();
    if selected.is_empty() || (counts > 0 && counts < selected.len()) {
        return Err(unanswerable("this select list"));
    }
    let condition = node::boxed(select.where_clause.as_ref()).map(|test| read.condition(test)).transpose()?;
    let order = node::all(&select.sort_clause).map(|step| read.sort(step, &selected)).collect::<Result<_, _>>()?;
    let limit = node::boxed(select.limit_count.as_ref()).map(value).transpose()?;
    let offset = node::boxed(select.limit_offset.as_ref()).map(value).transpose()?;
    Ok(Query { view, selected, condition, order, limit, offset })
}

/// Reads the parts of a query of one view.
struct Reader<'q> {
    view: View,
    called: &'q str,
}

impl Reader<'_> {
    fn target(&self, target: &protobuf::ResTarget, selected: &mut Vec<Selected>) -> Result<(), Refusal> {
        let named =
            |name: &str| -> Arc<str> { if target.name.is_empty() { name } else { target.name.as_str() }.into() };
        match node::boxed(target.val.as_ref()) {
            Some(NodeEnum::ColumnRef(column)) if ends_in_star(column) => {
                self.qualified(&column.fields)?;
                selected.extend(Query::all(self.view).selected);
                Ok(())
            }
            Some(column @ NodeEnum::ColumnRef(_)) => {
                let place = self.column(column)?;
                let name = self.view.columns().get(place).map_or("", |column| column.name);
                selected.push(Selected::Column(place, named(name)));
                Ok(())
            }
            Some(NodeEnum::FuncCall(function)) if function.agg_star && is_count(function) => {
                selected.push(Selected::Count(named("count")));
                Ok(())
            }
            _ => Err(unanswerable("an expression in the select list")),
        }
    }

    fn column(&self, column: &NodeEnum) -> Result<usize, Refusal> {
        let NodeEnum::ColumnRef(column) = column else { return Err(unanswerable("an expression of a column")) };
        match self.qualified(&column.fields)? {
            Some(NodeEnum::String(name)) => self.view.column(&name.sval),
            _ => Err(unanswerable("this name of a column")),
        }
    }

    /// The last part of a name whose first parts can only mean the view.
    fn qualified<'n>(&self, fields: &'n [pg_query::Node]) -> Result<Option<&'n NodeEnum>, Refusal> {
        let is = |node: &NodeEnum, word: &str| matches!(node, NodeEnum::String(name) if name.sval == word);
        match node::all(fields).collect::<Vec<_>>().as_slice() {
            [last] => Ok(Some(last)),
            [table, last] if is(table, self.called) => Ok(Some(last)),
            [schema, table, last] if is(schema, SCHEMA) && is(table, self.view.name()) => Ok(Some(last)),
            _ => Err(unanswerable("a column of another table")),
        }
    }

    fn condition(&self, test: &NodeEnum) -> Result<Condition, Refusal> {
        match test {
            NodeEnum::BoolExpr(expression) => {
                let parts = node::all(&expression.args).map(|part| self.condition(part)).collect::<Result<_, _>>()?;
                match protobuf::BoolExprType::try_from(expression.boolop) {
                    Ok(protobuf::BoolExprType::AndExpr) => Ok(Condition::All(parts)),
                    Ok(protobuf::BoolExprType::OrExpr) => Ok(Condition::Any(parts)),
                    Ok(protobuf::BoolExprType::NotExpr) => Ok(Condition::Not(Box::new(Condition::All(parts)))),
                    _ => Err(unanswerable("this condition")),
                }
            }
            NodeEnum::NullTest(test) => {
                let column = self.column(node::required(test.arg.as_ref(), "condition")?)?;
                let null = Condition::IsNull(column);
                match protobuf::NullTestType::try_from(test.nulltesttype) {
                    Ok(protobuf::NullTestType::IsNull) => Ok(null),
                    Ok(protobuf::NullTestType::IsNotNull) => Ok(Condition::Not(Box::new(null))),
                    _ => Err(unanswerable("this condition")),
                }
            }
            NodeEnum::AExpr(expression) => self.comparison(expression),
            NodeEnum::ColumnRef(_) => self.column(test).map(Condition::IsTrue),
            _ => Err(unanswerable("this condition")),
        }
    }

    fn comparison(&self, expression: &protobuf::AExpr) -> Result<Condition, Refusal> {
        let sign = node::strings(&expression.name)?;
        let test = sign.last().and_then(|sign| Test::named(sign)).ok_or_else(|| unanswerable("this operator"))?;
        let left = node::required(expression.lexpr.as_ref(), "condition")?;
        let right = node::required(expression.rexpr.as_ref(), "condition")?;
        match protobuf::AExprKind::try_from(expression.kind) {
            Ok(protobuf::AExprKind::AexprOp) => match left {
                NodeEnum::ColumnRef(_) => Ok(Condition::Compare(self.column(left)?, test, value(right)?)),
                _ => Ok(Condition::Compare(self.column(right)?, test.turned(), value(left)?)),
            },
            Ok(protobuf::AExprKind::AexprIn) => {
                let NodeEnum::List(list) = right else { return Err(unanswerable("this condition")) };
                let column = self.column(left)?;
                let equal = |one| Ok(Condition::Compare(column, Test::Equal, value(one)?));
                let any = Condition::Any(node::all(&list.items).map(equal).collect::<Result<_, Refusal>>()?);
                Ok(if test == Test::Equal { any } else { Condition::Not(Box::new(any)) })
            }
            _ => Err(unanswerable("this operator")),
        }
    }

    fn sort(&self, step: &NodeEnum, selected: &[Selected]) -> Result<Sort, Refusal> {
        let NodeEnum::SortBy(step) = step else { return Err(unanswerable("this ORDER BY")) };
        let by = node::required(step.node.as_ref(), "ORDER BY")?;
        let column = match by {
            NodeEnum::AConst(_) => match value(by)? {
                Value::Integer(number) => nth(selected, number).ok_or_else(|| unanswerable("this ORDER BY"))?,
                _ => return Err(unanswerable("this ORDER BY")),
            },
            _ => self.column(by)?,
        };
        let descending = match protobuf::SortByDir::try_from(step.sortby_dir) {
            Ok(protobuf::SortByDir::SortbyDefault | protobuf::SortByDir::SortbyAsc) => false,
            Ok(protobuf::SortByDir::SortbyDesc) => true,
            _ => return Err(unanswerable("this ORDER BY")),
        };
        if protobuf::SortByNulls::try_from(step.sortby_nulls) != Ok(protobuf::SortByNulls::SortbyNullsDefault) {
            return Err(unanswerable("NULLS FIRST or LAST"));
        }
        Ok(Sort { column, descending })
    }
}

/// The column of the view that is the `number`th of the select list, from 1.
fn nth(selected: &[Selected], number: i64) -> Option<usize> {
    match selected.get(usize::try_from(number).ok()?.checked_sub(1)?)? {
        Selected::Column(place, _) => Some(*place),
        Selected::Count(_) => None,
    }
}

fn ends_in_star(column: &protobuf::ColumnRef) -> bool {
    matches!(node::all(&column.fields).next_back(), Some(NodeEnum::AStar(_)))
}

fn is_star(target: &pg_query::Node) -> bool {
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return false };
    matches!(node::boxed(target.val.as_ref()), Some(NodeEnum::ColumnRef(column)) if ends_in_star(column))
}

fn is_count(function: &protobuf::FuncCall) -> bool {
    function.over.is_none()
        && function.agg_filter.is_none()
        && node::strings(&function.funcname).is_ok_and(|path| path.last().is_some_and(|name| name == "count"))
}

/// A constant or parameter; casts say nothing new about one.
fn value(node: &NodeEnum) -> Result<Value, Refusal> {
    let no_constant = || unanswerable("anything but a constant or a parameter as a value");
    match node {
        NodeEnum::AConst(constant) => match constant::value(constant) {
            constant::Value::Null => Ok(Value::Null),
            constant::Value::Integer(number) => Ok(Value::Integer(i64::from(number))),
            constant::Value::Number(number) => number.parse().map(Value::Integer).map_err(|_| no_constant()),
            constant::Value::Boolean(value) => Ok(Value::Boolean(value)),
            constant::Value::Text(text) => Ok(Value::Text(text.into())),
            constant::Value::Bits => Err(no_constant()),
            constant::Value::Absent => Ok(Value::Integer(0)),
        },
        NodeEnum::ParamRef(parameter) => {
            let place = usize::try_from(parameter.number).ok().and_then(|number| number.checked_sub(1));
            place.filter(|place| *place < 64).map(Value::Parameter).ok_or_else(no_constant)
        }
        NodeEnum::TypeCast(cast) => {
            const KNOWN: [&str; 9] =
                ["text", "varchar", "bpchar", "interval", "int2", "int4", "int8", "bool", "timestamptz"];
            let names = cast.type_name.as_ref().map(|name| node::strings(&name.names)).transpose()?.unwrap_or_default();
            let known = names.last().is_some_and(|name| KNOWN.contains(&name.as_str()));
            if !known {
                return Err(no_constant());
            }
            value(node::required(cast.arg.as_ref(), "cast")?)
        }
        NodeEnum::AExpr(minus) if minus.lexpr.is_none() && node::strings(&minus.name)? == ["-"] => {
            match value(node::required(minus.rexpr.as_ref(), "number")?)? {
                Value::Integer(number) => number.checked_neg().map(Value::Integer).ok_or_else(no_constant),
                Value::Null | Value::Text(_) | Value::Boolean(_) | Value::Parameter(_) => Err(no_constant()),
            }
        }
        _ => Err(no_constant()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::understand;
    use crate::{
        catalog::Catalog,
        statement::{
            Effect, Names,
            inband::{Inband, Kind, Told},
        },
    };

    fn read(text: &str) -> Result<Inband, String> {
        let catalog = Catalog { schemas: vec!["public".into()], ..Catalog::default() };
        let understood = understand(text, &catalog, &Names { search_path: "public".into() });
        let statement = understood.map_err(|refusal| refusal.message)?.statements.remove(0);
        assert!(statement.needs.is_empty(), "{text}");
        match statement.effect {
            Effect::Inband(inband) => Ok(*inband),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn queries_and_calls_are_read() {
        for text in [
            "SELECT * FROM hallpass.grants",
            "select id, state as s from hallpass.grants g where g.state = 'active' and ends > $1 order by 1 desc limit 5",
            "SELECT count(*) FROM hallpass.requests WHERE state IN ('pending', 'approved') OR role IS NOT NULL",
            "SELECT hallpass.grants.id FROM hallpass.grants WHERE NOT export OFFSET 1",
            "CALL hallpass.request('fixer', '1 hour', 'INC-1234 stuck order')",
            "CALL hallpass.request($1::text, $2, $3)",
            "SELECT hallpass.wait(17, interval '5 min')",
            "SELECT * FROM hallpass.approve(17)",
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn what_is_told_is_known_beforehand() {
        let told = |text: &str| read(text).unwrap().columns();
        let one = |name: &str, kind| vec![Told { name: name.into(), kind }];
        assert_eq!(told("SELECT hallpass.request('a', 'b', 'c')"), one("request", Kind::Integer));
        assert_eq!(told("SELECT hallpass.wait(1) AS w"), one("w", Kind::Text));
        assert_eq!(told("SELECT count(*) FROM hallpass.roles"), one("count", Kind::Integer));
        assert_eq!(told("CALL hallpass.cancel(1)").len(), 5);
        let asked = read("SELECT id FROM hallpass.grants WHERE id = $2 AND role = $1 LIMIT $3").unwrap();
        assert_eq!(asked.parameters(), [Kind::Text, Kind::Integer, Kind::Integer]);
    }

    #[test]
    fn other_forms_are_refused_in_words() {
        for (text, said) in [
            ("SELECT * FROM hallpass.grant", "relation \"hallpass.grant\" does not exist"),
            ("SELECT nothing FROM hallpass.grants", "column \"nothing\" of hallpass.grants does not exist"),
            (
                "SELECT lower(role) FROM hallpass.grants",
                "an expression in the select list is not supported in the schema hallpass",
            ),
            (
                "SELECT DISTINCT role FROM hallpass.grants",
                "this form of SELECT is not supported in the schema hallpass",
            ),
            ("SELECT * FROM hallpass.grants a, hallpass.roles b", "relation \"hallpass.grants\" does not exist"),
            ("SELECT hallpass.wait(1), 2", "a call beside something else is not supported in the schema hallpass"),
            ("CALL hallpass.request('fixer')", "hallpass.request does not take 1 arguments"),
            (
                "CALL hallpass.request('a', 'b', lower('c'))",
                "anything but a constant or a parameter as a value is not supported in the schema hallpass",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), said, "{text}");
        }
    }
}
