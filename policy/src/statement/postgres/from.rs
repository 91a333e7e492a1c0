//! FROM items: relations, WITH items, subqueries, functions, joins, samples, XMLTABLE and JSON_TABLE.
//! Fills the scope's range table as the server's parser does, with what each item lets the others see.

use std::sync::Arc;

use pg_query::{
    Node, NodeEnum,
    protobuf::{
        Alias, JsonTable, JsonTableColumnType, RangeFunction, RangeSubselect, RangeTableFunc, RangeTableSample,
        RangeVar,
    },
};

use super::{
    condition::infer,
    expression::{self, expression},
    function, join, json, node, output_name, query, relation,
    relation::Rows,
    scope::{Entry, Field, Scope, Siblings},
    table_function,
    walk::Walk,
    with,
};
use crate::statement::{Action, Lineage, Object, Refusal, Usage, Via};

/// Adds the items of a FROM clause to `scope`.
///
/// # Errors
/// When something in them is not understood.
pub(super) fn items(walk: &mut Walk<'_>, scope: &mut Scope<'_>, list: &[Node]) -> Result<(), Refusal> {
    // Until the last item is read the others are beside it, for LATERAL only.
    for item in node::all(list) {
        let entries = self::item(walk, scope, item)?;
        scope.beside.extend(entries);
    }
    let beside = std::mem::take(&mut scope.beside);
    scope.entries.extend(beside);
    Ok(())
}

/// One FROM item, joins with what is in them.
///
/// # Errors
/// When something in it is not understood.
pub(super) fn item(walk: &mut Walk<'_>, scope: &mut Scope<'_>, item: &NodeEnum) -> Result<Vec<Entry>, Refusal> {
    walk.nested(|walk| match item {
        NodeEnum::RangeVar(name) => Ok(vec![table(walk, scope, name)?]),
        NodeEnum::RangeSubselect(subselect) => Ok(vec![self::subselect(walk, scope, subselect)?]),
        NodeEnum::RangeFunction(function) => Ok(vec![self::function(walk, scope, function)?]),
        NodeEnum::RangeTableSample(sample) => Ok(vec![self::sample(walk, scope, sample)?]),
        NodeEnum::RangeTableFunc(table) => Ok(vec![xml_table(walk, scope, table)?]),
        NodeEnum::JsonTable(table) => Ok(vec![json_table(walk, scope, table)?]),
        NodeEnum::JoinExpr(join) => join::join(walk, scope, join),
        _ => Err(node::unexpected(item, "FROM")),
    })
}

/// A relation or a WITH item by name.
fn table(walk: &mut Walk<'_>, scope: &mut Scope<'_>, name: &RangeVar) -> Result<Entry, Refusal> {
    if name.schemaname.is_empty()
        && let Some(fields) = with::read(walk, scope, &name.relname)?
    {
        return aliased(Entry::new(&name.relname, fields.to_vec()), name.alias.as_ref());
    }
    let relation = relation::resolve_relation(walk, name)?;
    let of_user = !relation::is_catalog(&relation);
    if of_user {
        walk.need(Action::Select, Object::Relation(relation.name.clone()));
    }
    let entry = relation::entry(walk, &relation, rows(name))?;
    let entry = aliased(entry, name.alias.as_ref())?;
    if of_user {
        scope.tables.push((Arc::clone(&entry.name), relation.name.clone()));
    }
    scope.lockable.push((Arc::clone(&entry.name), vec![relation.name.clone()]));
    Ok(entry)
}

/// Which rows `[ONLY] name` means.
pub(super) fn rows(name: &RangeVar) -> Rows {
    if name.inh { Rows::Inherited } else { Rows::Only }
}

/// `entry` under its alias, which hides its own name, and under the names of the alias' column list.
///
/// # Errors
/// When that list is longer than the columns.
pub(super) fn aliased(mut entry: Entry, alias: Option<&Alias>) -> Result<Entry, Refusal> {
    if let Some(alias) = alias {
        entry.qualified = None;
        entry.name = Arc::from(alias.aliasname.as_str());
        with::rename(&alias.aliasname, &alias.colnames, &mut entry.fields)?;
    }
    Ok(entry)
}

/// Runs `inside` with the items beside in reach if it is `lateral`.
///
/// # Errors
/// Those of `inside`.
pub(super) fn lateral<'s, T>(
    scope: &mut Scope<'s>,
    lateral: bool,
    inside: impl FnOnce(&mut Scope<'s>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let before = scope.siblings;
    scope.siblings = if lateral { Siblings::Seen } else { Siblings::Hidden };
    let result = inside(scope);
    scope.siblings = before;
    result
}

fn subselect(walk: &mut Walk<'_>, scope: &mut Scope<'_>, subselect: &RangeSubselect) -> Result<Entry, Refusal> {
    let body = node::required(subselect.subquery.as_ref(), "subquery in FROM")?;
    let query = lateral(scope, subselect.lateral, |scope| query::subquery(walk, scope, body))?;
    for field in &query.fields {
        walk.computed(&field.lineage);
    }
    let entry = aliased(Entry::new("", query.fields), subselect.alias.as_ref())?;
    scope.lockable.push((Arc::clone(&entry.name), query.lockable));
    Ok(entry)
}

fn sample(walk: &mut Walk<'_>, scope: &mut Scope<'_>, sample: &RangeTableSample) -> Result<Entry, Refusal> {
    let inner = node::required(sample.relation.as_ref(), "TABLESAMPLE")?;
    let NodeEnum::RangeVar(name) = inner else { return Err(node::unexpected(inner, "TABLESAMPLE")) };
    let method = node::strings(&sample.method)?;
    if !matches!(method.last().map(String::as_str), Some("bernoulli" | "system")) {
        return Err(node::unsupported(&format!("the sampling method {}", method.join("."))));
    }
    let entry = table(walk, scope, name)?;
    // A part of its rows.
    scope.tables.pop();
    lateral(scope, true, |scope| {
        for argument in node::all(&sample.args) {
            infer(walk, scope, argument)?;
        }
        match node::boxed(sample.repeatable.as_ref()) {
            Some(seed) => infer(walk, scope, seed),
            None => Ok(()),
        }
    })?;
    Ok(entry)
}

/// One function of a FROM item.
struct Call {
    fields: Vec<Field>,
    opaque: Option<Lineage>,
}

fn function(walk: &mut Walk<'_>, scope: &mut Scope<'_>, item: &RangeFunction) -> Result<Entry, Refusal> {
    let mut calls = Vec::new();
    for function in node::all(&item.functions) {
        let NodeEnum::List(pair) = function else { return Err(node::unexpected(function, "FROM")) };
        let mut pair = pair.items.iter();
        let Some(call) = node::optional(pair.next()) else { return Err(node::unsupported("an empty ROWS FROM")) };
        let columns = match node::optional(pair.next()) {
            Some(NodeEnum::List(columns)) => columns.items.as_slice(),
            Some(other) => return Err(node::unexpected(other, "ROWS FROM")),
            None => item.coldeflist.as_slice(),
        };
        let alone = item.functions.len() == 1;
        let alias = item.alias.as_ref().filter(|_| alone).map(|alias| alias.aliasname.as_str());
        // A function's arguments see what is beside it without LATERAL.
        lateral(scope, true, |scope| one_call(walk, scope, call, columns, alias, &mut calls))?;
    }
    let mut fields = Vec::new();
    let mut opaque: Option<Lineage> = None;
    let several = calls.len() > 1;
    for call in calls {
        if let Some(unknown) = call.opaque {
            if several {
                return Err(expression::unknown_shape("a function"));
            }
            opaque.get_or_insert_default().merge(&unknown);
        }
        fields.extend(call.fields);
    }
    // Behind columns that are not known its place is not, either: there it counts as one of them.
    if item.ordinality && opaque.is_none() {
        fields.push(Field::new("ordinality", Lineage::constant()));
    }
    let name = match node::all(&item.functions).next() {
        Some(NodeEnum::List(pair)) => pair.items.first().and_then(|call| node::optional(Some(call))),
        _ => None,
    };
    let name = name.map_or_else(|| Arc::from(""), |call| output_name::of(walk, call));
    let mut entry = Entry { opaque: opaque.map(Arc::new), ..Entry::new(name, fields) };
    if let (Some(opaque), Some(alias)) = (&entry.opaque, &item.alias)
        && entry.fields.len() < alias.colnames.len()
    {
        // At least these columns are there; what they are called else is not known.
        let opaque = Arc::clone(opaque);
        entry.fields.resize(alias.colnames.len(), Field { name: Arc::from(""), lineage: opaque });
    }
    aliased(entry, item.alias.as_ref())
}

fn one_call(
    walk: &mut Walk<'_>,
    scope: &mut Scope<'_>,
    call: &NodeEnum,
    columns: &[Node],
    alias: Option<&str>,
    calls: &mut Vec<Call>,
) -> Result<(), Refusal> {
    if let NodeEnum::FuncCall(function) = call {
        let path = node::strings(&function.funcname)?;
        if columns.is_empty() && is_unnest(&path) && function.args.len() > 1 {
            // The server reads unnest(a, b) as ROWS FROM (unnest(a), unnest(b)).
            for argument in node::all(&function.args) {
                let purity = function::call(walk, &path, 1)?;
                let lineage = expression(walk, scope, argument)?.through(expression::via(purity));
                walk.used(&lineage, &Usage::Inference);
                calls.push(unnest("unnest", lineage));
            }
            return Ok(());
        }
    }
    let lineage = expression(walk, scope, call)?.through(Via::Total);
    // How many rows come of an argument is told whatever is done with them.
    walk.used(&lineage, &Usage::Inference);
    let name = match alias {
        Some(alias) => Arc::from(alias),
        None => output_name::of(walk, call),
    };
    if !columns.is_empty() {
        calls.push(Call { fields: defined(walk, columns, &lineage)?, opaque: None });
        return Ok(());
    }
    let NodeEnum::FuncCall(function) = call else {
        calls.push(Call { fields: vec![Field { name, lineage: Arc::new(lineage) }], opaque: None });
        return Ok(());
    };
    let path = node::strings(&function.funcname)?;
    calls.push(match table_function::columns(&path) {
        _ if is_users(walk, &path) || table_function::is_unknown(&path) => {
            Call { fields: Vec::new(), opaque: Some(lineage.through(Via::Partial)) }
        }
        Some(columns) => {
            let lineage = Arc::new(lineage);
            let fields = columns.iter().map(|name| Field { name: Arc::from(*name), lineage: Arc::clone(&lineage) });
            Call { fields: fields.collect(), opaque: None }
        }
        None if is_unnest(&path) => unnest(&name, lineage),
        None => Call { fields: vec![Field { name, lineage: Arc::new(lineage) }], opaque: None },
    });
    Ok(())
}

fn is_unnest(path: &[String]) -> bool {
    match path {
        [name] => name == "unnest",
        [schema, name] => schema == "pg_catalog" && name == "unnest",
        _ => false,
    }
}

/// unnest gives one column, but those of the row where the array holds rows: of stored values nobody knows.
fn unnest(name: &str, lineage: Lineage) -> Call {
    let opaque = Some(lineage.clone()).filter(|lineage| !lineage.columns.is_empty());
    let fields = if opaque.is_some() { Vec::new() } else { vec![Field::new(name, lineage)] };
    Call { fields, opaque }
}

/// Whether a function of that name outside `pg_catalog` may be meant.
fn is_users(walk: &Walk<'_>, path: &[String]) -> bool {
    let Some(name) = path.last() else { return true };
    if path.first().is_some_and(|schema| path.len() > 1 && schema == "pg_catalog") {
        return false;
    }
    let of_user = |all: &Vec<crate::catalog::Function>| {
        all.iter().any(|f| !matches!(&*f.name.schema, "pg_catalog" | "information_schema"))
    };
    walk.catalog.functions.get(name.as_str()).is_some_and(of_user)
}

/// The columns of a definition list: `AS t(a int, b text)`.
fn defined(walk: &mut Walk<'_>, columns: &[Node], lineage: &Lineage) -> Result<Vec<Field>, Refusal> {
    let lineage = Arc::new(lineage.clone().through(Via::Partial));
    let mut fields = Vec::with_capacity(columns.len());
    for column in node::all(columns) {
        let NodeEnum::ColumnDef(column) = column else { return Err(node::unexpected(column, "a column list")) };
        if let Some(name) = &column.type_name {
            function::cast(walk, name)?;
        }
        fields.push(Field { name: Arc::from(column.colname.as_str()), lineage: Arc::clone(&lineage) });
    }
    Ok(fields)
}

fn xml_table(walk: &mut Walk<'_>, scope: &mut Scope<'_>, table: &RangeTableFunc) -> Result<Entry, Refusal> {
    let fields = lateral(scope, true, |scope| {
        let mut document = Lineage::constant();
        for part in [&table.docexpr, &table.rowexpr] {
            document.merge(&expression::one(walk, scope, part.as_ref(), Via::Partial)?);
        }
        for namespace in node::all(&table.namespaces) {
            let NodeEnum::ResTarget(named) = namespace else { return Err(node::unexpected(namespace, "XMLTABLE")) };
            document.merge(&expression::one(walk, scope, named.val.as_ref(), Via::Partial)?);
        }
        walk.used(&document, &Usage::Inference);
        let mut fields = Vec::new();
        for column in node::all(&table.columns) {
            let NodeEnum::RangeTableFuncCol(column) = column else { return Err(node::unexpected(column, "XMLTABLE")) };
            let mut lineage = document.clone();
            if let Some(name) = &column.type_name {
                function::cast(walk, name)?;
            }
            for part in [&column.colexpr, &column.coldefexpr] {
                if let Some(part) = node::boxed(part.as_ref()) {
                    lineage.merge(&expression(walk, scope, part)?.through(Via::Partial));
                }
            }
            walk.computed(&lineage);
            fields.push(Field::new(&column.colname, lineage));
        }
        Ok(fields)
    })?;
    aliased(Entry::new("xmltable", fields), table.alias.as_ref())
}

fn json_table(walk: &mut Walk<'_>, scope: &mut Scope<'_>, table: &JsonTable) -> Result<Entry, Refusal> {
    let fields = lateral(scope, true, |scope| {
        let mut lineage = json::item(walk, scope, table.context_item.as_deref())?;
        if let Some(path) = table.pathspec.as_deref().and_then(|path| node::boxed(path.string.as_ref())) {
            lineage.merge(&expression(walk, scope, path)?);
        }
        lineage.merge(&json::passing(walk, scope, &table.passing)?);
        lineage.merge(&json::behavior(walk, scope, table.on_error.as_deref())?);
        let lineage = lineage.through(Via::Partial);
        walk.used(&lineage, &Usage::Inference);
        let mut fields = Vec::new();
        json_columns(walk, scope, &table.columns, &lineage, &mut fields)?;
        Ok(fields)
    })?;
    aliased(Entry::new("json_table", fields), table.alias.as_ref())
}

/// The columns of one level, then those of the NESTED levels in it, as the server orders them.
fn json_columns(
    walk: &mut Walk<'_>,
    scope: &Scope<'_>,
    columns: &[Node],
    document: &Lineage,
    fields: &mut Vec<Field>,
) -> Result<(), Refusal> {
    walk.nested(|walk| {
        let mut inner = Vec::new();
        for column in node::all(columns) {
            let NodeEnum::JsonTableColumn(column) = column else { return Err(node::unexpected(column, "JSON_TABLE")) };
            if column.coltype == JsonTableColumnType::JtcNested as i32 {
                inner.push(column.columns.as_slice());
                continue;
            }
            let mut lineage = document.clone();
            if let Some(name) = &column.type_name {
                function::cast(walk, name)?;
            }
            for behavior in [&column.on_empty, &column.on_error] {
                lineage.merge(&json::behavior(walk, scope, behavior.as_deref())?);
            }
            fields.push(Field::new(&column.name, lineage));
        }
        for columns in inner {
            json_columns(walk, scope, columns, document, fields)?;
        }
        Ok(())
    })
}
