//! What a call, an operator or a cast may do: only compute, or run code that somebody wrote in the database.
//! No types are inferred: whatever a name may mean under the search_path has to be allowed, or is needed.

use std::sync::Arc;

use pg_query::{NodeEnum, protobuf};

use super::{
    constant::{self, Value},
    function_list::{COMPUTE, NULLNESS, PARTIAL_FORMS, TOTAL, TYPES, VOLATILE},
    node,
    walk::Walk,
};
use crate::{
    catalog::{Cast, Catalog, ColumnRef, Function, FunctionKind, QualifiedName, Runs, UserTypeKind},
    statement::{
        Action, Lineage, Object, Refusal, RefusalKind, Via,
        inband::{self, SCHEMA},
    },
};

/// What a call tells of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purity {
    /// Shows nothing of its arguments but whether they are null.
    Nullness,
    /// Never fails, whatever its arguments.
    Total,
    /// Computes only, and may fail.
    Compute,
}

/// Extensions whose functions, operators and casts only compute, whoever installed them. Sorted.
const TRUSTED_EXTENSIONS: &[&str] = &[
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "isn",
    "ltree",
    "pg_trgm",
    "pgcrypto",
    "seg",
    "unaccent",
    "uuid-ossp",
];

/// Operators that never fail whatever their operands. LIKE is not among them: a pattern that ends in its escape
/// character fails only where the text matches so far.
const TOTAL_OPERATORS: &[&str] = &[
    "=", "<>", "!=", "<", ">", "<=", ">=", "||", "->", "->>", "#>", "#>>", "@>", "<@", "?", "?|", "?&", "&&", "^@",
    "~<~", "~<=~", "~>=~", "~>~",
];

/// Types that immutable casts make of numbers and of TRUE and FALSE.
const FROM_NUMBERS: &[&str] =
    &["bool", "float4", "float8", "int2", "int4", "int8", "numeric", "text", "varchar", "bpchar", "oid"];

/// Functions that make JSON of a value, by the cast to `json` of its type if somebody made one.
const JSON_MAKERS: &[&str] = &[
    "array_to_json",
    "json_agg",
    "json_agg_strict",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "json_object_agg_strict",
    "json_object_agg_unique",
    "json_object_agg_unique_strict",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "jsonb_object_agg_strict",
    "jsonb_object_agg_unique",
    "jsonb_object_agg_unique_strict",
    "row_to_json",
    "to_json",
    "to_jsonb",
];

/// A call of the function called `path` with `args` arguments; adds what it needs.
///
/// # Errors
/// When no function of that name takes so many arguments, or nothing may call it.
pub(super) fn call(walk: &mut Walk<'_>, path: &[String], args: usize) -> Result<Purity, Refusal> {
    let (schema, name) = split(path, "function")?;
    if name == "set_config" && schema.is_none_or(|schema| schema == "pg_catalog") {
        return Err(Refusal::new(RefusalKind::Forbidden, "permission denied for function set_config")
            .detail("a setting is followed only when its name and value are in plain sight")
            .hint("SELECT set_config('name', 'value', false), alone, or SET name = 'value'"));
    }
    let mut worst: Option<Purity> = None;
    let mut note = |purity: Purity| worst = Some(worst.map_or(purity, |so_far| so_far.max(purity)));

    if schema == Some(SCHEMA) {
        return Err(inband::misplaced(name));
    }
    let in_sight = |found: &str| match schema {
        // Stand-ins may be installed there, for clients that complete names; they do nothing.
        _ if found == SCHEMA => false,
        Some(schema) => found == schema,
        None => found == "pg_catalog" || walk.search_path.iter().any(|listed| **listed == *found),
    };
    let known = walk.catalog.functions.get(name).map_or(&[][..], Vec::as_slice);
    let fitting: Vec<&Function> = known
        .iter()
        .filter(|f| in_sight(&f.name.schema) && takes(f, args) && f.kind != FunctionKind::Procedure)
        .collect();
    for function in &fitting {
        if &*function.name.schema != "pg_catalog" && &*function.name.schema != "information_schema" {
            note(of_user(walk, &function.name, function.extension.as_ref()));
        }
    }
    let system = schema.unwrap_or("pg_catalog");
    let is_system = system == "pg_catalog" || (system == "information_schema" && name.starts_with("_pg_"));
    let has_system =
        fitting.iter().any(|function| matches!(&*function.name.schema, "pg_catalog" | "information_schema"));
    if is_system && (has_system || (fitting.is_empty() && listed(name).is_some())) {
        note(built_in(walk, name, args));
    }
    if let Some(purity) = worst {
        return Ok(purity);
    }
    // `mood('ok')`: the functional notation of a cast.
    if args == 1 && (is_user_type(walk, schema, name) || schema == Some("pg_catalog")) {
        user_casts(walk, schema, name);
        return Ok(Purity::Compute);
    }
    Err(Refusal::new(RefusalKind::UnknownFunction, format!("function {}() does not exist", path.join(".")))
        .detail(format!("no function of that name in sight takes {args} arguments"))
        .hint("check the name, its schema and search_path; a function made just now is known after a moment"))
}

/// The operator called `path`, `schema.symbol` or the symbol alone; adds what it needs.
///
/// # Errors
/// When the name has more than two parts.
pub(super) fn operator(walk: &mut Walk<'_>, path: &[String]) -> Result<Purity, Refusal> {
    let (schema, symbol) = split(path, "operator")?;
    let mut purity = if TOTAL_OPERATORS.contains(&symbol) { Purity::Total } else { Purity::Compute };
    for operator in walk.catalog.operators.get(symbol).map_or(&[][..], Vec::as_slice) {
        let in_sight = match schema {
            Some(schema) => &*operator.name.schema == schema,
            None => walk.search_path.contains(&operator.name.schema),
        };
        if in_sight {
            let of_this = of_user(walk, &operator.function, operator.extension.as_ref());
            if !never_fails(symbol, operator.extension.as_deref()) {
                purity = purity.max(of_this);
            }
        }
    }
    Ok(purity)
}

/// Whether the operator that a trusted extension adds to a built-in one of that symbol is as total as that: all their
/// types can be compared, and what hstore borrows of JSON answers everything.
fn never_fails(symbol: &str, extension: Option<&str>) -> bool {
    let compares = matches!(symbol, "=" | "<>" | "<" | ">" | "<=" | ">=");
    extension.is_some_and(|extension| {
        TRUSTED_EXTENSIONS.binary_search(&extension).is_ok() && (compares || extension == "hstore")
    })
}

/// A cast to `type_name`; adds what it needs.
///
/// # Errors
/// When the type is named in a way that a query cannot.
pub(super) fn cast(walk: &mut Walk<'_>, type_name: &protobuf::TypeName) -> Result<Purity, Refusal> {
    if type_name.setof || type_name.pct_type {
        return Err(node::unsupported("a cast to SETOF or %TYPE"));
    }
    let names = node::strings(&type_name.names)?;
    let (schema, name) = split(&names, "type")?;
    known(walk, schema, name)?;
    let needs_function = user_casts(walk, schema, name);
    let text = matches!(name, "text" | "varchar" | "bpchar" | "name")
        && schema.is_none_or(|schema| schema == "pg_catalog")
        && !is_user_type(walk, None, name);
    let bare = type_name.typmods.is_empty() && type_name.array_bounds.is_empty();
    Ok(if text && bare && !needs_function { Purity::Total } else { Purity::Compute })
}

/// A type that the catalog does not know may have code behind it.
fn known(walk: &Walk<'_>, schema: Option<&str>, name: &str) -> Result<(), Refusal> {
    let bare = without_array(name);
    let of_system = schema.is_none_or(|schema| schema == "pg_catalog")
        && (schema.is_some()
            || TYPES.binary_search(&bare).is_ok()
            || walk.catalog.relation("pg_catalog", name).is_some());
    if of_system || walk.new_types || is_user_type(walk, schema, name) || is_user_type(walk, schema, bare) {
        return Ok(());
    }
    let shown = schema.map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"));
    Err(Refusal::new(RefusalKind::UnknownType, format!("type \"{shown}\" does not exist"))
        .hint("check the name, its schema and search_path; a type made just now is known after a moment"))
}

/// Adds what the code of users needs that may run where a statement names the type `name`: casts from it, what makes its
/// values. What casts to it run comes from the columns that are cast, by [`converted`].
fn user_casts(walk: &mut Walk<'_>, schema: Option<&str>, name: &str) -> bool {
    let name = without_array(name);
    let catalog = walk.catalog;
    let here = |found: &QualifiedName| {
        without_array(&found.name) == name && schema.is_none_or(|schema| &*found.schema == schema)
    };
    let schemas = walk.schemas().chain(schema).filter(|s| schema.is_none_or(|schema| schema == *s));
    let named: Vec<u32> =
        schemas.filter_map(|s| catalog.types.get(&QualifiedName::new(s, name))).map(|named| named.oid).collect();
    let mut found = false;
    for cast in catalog.casts.iter().filter(|cast| !trusted(cast.extension.as_ref())) {
        if here(&cast.source) || cast.holders.iter().any(|holder| named.contains(holder)) {
            need_cast(walk, cast);
            found = true;
        }
    }
    found
}

/// Which casts may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Casts {
    /// Those that the statement asks for: by a cast, and by what makes JSON.
    Asked,
    /// Those that the server may put in by itself. What an extension's own casts do with its own types, its installer
    /// answers for.
    Implied,
}

/// A value of `lineage` becomes something else, or is compared: adds what the code needs that somebody wrote for the
/// types of its columns, and says whether there is any. No types are inferred: whatever may run is needed.
pub(super) fn converted(walk: &mut Walk<'_>, lineage: &Lineage, which: Casts) -> bool {
    let catalog = walk.catalog;
    let mut found = false;
    for cast in &catalog.casts {
        let takes_part = cast.runs == Runs::Converting
            && match which {
                Casts::Asked => !trusted(cast.extension.as_ref()),
                Casts::Implied => cast.extension.is_none(),
            };
        if takes_part && lineage.columns.keys().any(|column| is_held(catalog, column, cast)) {
            need_cast(walk, cast);
            found = true;
        }
    }
    found
}

fn is_held(catalog: &Catalog, column: &ColumnRef, cast: &Cast) -> bool {
    let relation = catalog.relations.get(&column.relation);
    let of = relation.and_then(|relation| relation.column(&column.column));
    of.is_some_and(|column| cast.holders.contains(&column.type_oid))
}

/// Whether all of `lineage` arrives as it is stored, in columns of that type: nothing converts it.
pub(super) fn is_of_type(walk: &Walk<'_>, lineage: &Lineage, type_oid: u32) -> bool {
    lineage.columns.iter().all(|(column, via)| {
        let relation = walk.catalog.relations.get(&column.relation);
        let of = relation.and_then(|relation| relation.column(&column.column));
        *via == Via::Copy && of.is_some_and(|of| of.type_oid == type_oid)
    })
}

/// The function of a user's that may run where a parameter is declared to be of the type with that OID.
pub fn behind_parameter(catalog: &Catalog, type_oid: u32) -> Option<&QualifiedName> {
    let mut casts = catalog.casts.iter().filter(|cast| cast.extension.is_none());
    casts.find(|cast| cast.holders.contains(&type_oid)).map(|cast| &cast.function)
}

fn need_cast(walk: &mut Walk<'_>, cast: &Cast) {
    walk.need_of_view(Action::Call, Object::Function(cast.function.clone()));
}

/// Whether a function makes JSON of its arguments.
pub(super) fn makes_json(path: &[String]) -> bool {
    path.last().is_some_and(|name| JSON_MAKERS.contains(&name.as_str()))
}

/// `_int4` is the array of `int4`.
fn without_array(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

fn is_user_type(walk: &Walk<'_>, schema: Option<&str>, name: &str) -> bool {
    let known = |schema: &str| walk.catalog.types.contains_key(&QualifiedName::new(schema, name));
    match schema {
        Some(schema) => known(schema),
        None => walk.schemas().any(known),
    }
}

/// Whether a function called `path` may say something else at each row. Of users' functions nobody knows; whoever lets
/// one be called trusts it.
pub(super) fn is_volatile(path: &[String]) -> bool {
    path.last().is_some_and(|name| VOLATILE.binary_search(&name.as_str()).is_ok())
}

/// Whether a cast of a constant to `type_name` is done with, or fails, before any row is read: the server reads a string
/// with the input function of a type as it reads the text, and computes what immutable casts make of a number. What a
/// domain checks, and casts that depend on settings or run a user's code, wait for their row.
pub(super) fn is_done_at_once(walk: &Walk<'_>, type_name: &protobuf::TypeName, constant: &protobuf::AConst) -> bool {
    let Ok(names) = node::strings(&type_name.names) else { return false };
    let Ok((schema, name)) = split(&names, "type") else { return false };
    let mut of_user = walk.schemas().chain(schema).filter(|s| schema.is_none_or(|schema| schema == *s));
    let of_user = of_user.find_map(|schema| walk.catalog.types.get(&QualifiedName::new(schema, without_array(name))));
    let number = match constant::value(constant) {
        Value::Null => return true,
        Value::Text(_) | Value::Bits => false,
        Value::Boolean(_) | Value::Integer(_) | Value::Number(_) | Value::Absent => true,
    };
    match of_user {
        Some(of_user) => !number && matches!(of_user.kind, UserTypeKind::Enum),
        None if number => FROM_NUMBERS.contains(&name),
        None => schema.is_none_or(|schema| schema == "pg_catalog"),
    }
}

fn of_user(walk: &mut Walk<'_>, function: &QualifiedName, extension: Option<&Arc<str>>) -> Purity {
    if !trusted(extension) {
        // A view's author answers for what it reads, but where a function takes its values from nobody can tell.
        walk.need_of_view(Action::Call, Object::Function(function.clone()));
    }
    Purity::Compute
}

fn trusted(extension: Option<&Arc<str>>) -> bool {
    extension.is_some_and(|extension| TRUSTED_EXTENSIONS.binary_search(&&**extension).is_ok())
}

fn takes(function: &Function, args: usize) -> bool {
    args >= usize::from(function.min_args) && function.max_args.is_none_or(|most| args <= usize::from(most))
}

fn listed(name: &str) -> Option<Purity> {
    let has = |list: &[&str]| list.binary_search(&name).is_ok();
    if has(NULLNESS) {
        Some(Purity::Nullness)
    } else if has(TOTAL) {
        Some(Purity::Total)
    } else if has(COMPUTE) {
        Some(Purity::Compute)
    } else {
        None
    }
}

fn built_in(walk: &mut Walk<'_>, name: &str, args: usize) -> Purity {
    if matches!(name, "pg_input_is_valid" | "pg_input_error_info") {
        // They make a value of a type that a text names: of any.
        let catalog = walk.catalog;
        for cast in catalog.casts.iter().filter(|cast| cast.extension.is_none()) {
            need_cast(walk, cast);
        }
    }
    if let Some(purity) = listed(name) {
        let partial = PARTIAL_FORMS.iter().any(|(form, fewest)| *form == name && args >= *fewest);
        return if partial { Purity::Compute } else { purity };
    }
    match name {
        // The form with two arguments runs the query it is given.
        "ts_rewrite" if args == 3 => {}
        "nextval" => walk.need(Action::Insert, Object::Session("sequences".into())),
        "setval" => walk.need(Action::Update, Object::Session("sequences".into())),
        // It gives up locks of the session's own: pools send it when a connection comes back.
        "pg_advisory_unlock" | "pg_advisory_unlock_shared" | "pg_advisory_unlock_all" => {}
        _ if name.contains("advisory") => walk.need(Action::Lock, Object::Session("advisory locks".into())),
        _ => walk.need(Action::Admin, Object::Session(format!("function pg_catalog.{name}").into())),
    }
    Purity::Compute
}

fn split<'p>(path: &'p [String], what: &str) -> Result<(Option<&'p str>, &'p str), Refusal> {
    match path {
        [name] => Ok((None, name)),
        [schema, name] => Ok((Some(schema), name)),
        _ => Err(node::unsupported(&format!("the {what} name `{}`", path.join(".")))),
    }
}

/// The names in `CALL schema.name(…)` and its kin, for a caller outside expressions.
///
/// # Errors
/// When there are none, or too many.
pub(super) fn path_of(names: &[pg_query::Node]) -> Result<Vec<String>, Refusal> {
    let path = node::strings(names)?;
    split(&path, "function")?;
    Ok(path)
}

/// `CALL name(…)` of a procedure: every procedure that it may mean is needed, built-in ones need `admin`.
///
/// # Errors
/// When there is none of that name.
pub(super) fn procedure(walk: &mut Walk<'_>, path: &[String]) -> Result<(), Refusal> {
    let (schema, name) = split(path, "procedure")?;
    let known = walk.catalog.functions.get(name).map_or(&[][..], Vec::as_slice);
    let mut found = false;
    for function in known {
        let in_sight = match schema {
            Some(schema) => &*function.name.schema == schema,
            None => walk.search_path.contains(&function.name.schema),
        };
        if in_sight && function.kind == FunctionKind::Procedure {
            walk.need(Action::Call, Object::Function(function.name.clone()));
            found = true;
        }
    }
    if found {
        return Ok(());
    }
    Err(Refusal::new(RefusalKind::UnknownFunction, format!("procedure {}() does not exist", path.join(".")))
        .hint("check the name, its schema and search_path; a procedure made just now is known after a moment"))
}

/// Whether a node is a plain call of the built-in `name`, and with which arguments.
pub(super) fn plain_call<'n>(node: &'n NodeEnum, wanted: &str) -> Option<&'n [pg_query::Node]> {
    let NodeEnum::FuncCall(call) = node else { return None };
    let path = node::strings(&call.funcname).ok()?;
    let named = match path.as_slice() {
        [name] => name == wanted,
        [schema, name] => schema == "pg_catalog" && name == wanted,
        _ => false,
    };
    let plain = call.agg_order.is_empty()
        && call.agg_filter.is_none()
        && call.over.is_none()
        && !call.agg_within_group
        && !call.agg_star
        && !call.agg_distinct
        && !call.func_variadic;
    (named && plain).then_some(call.args.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Operator};

    fn function(schema: &str, name: &str, args: u16, extension: Option<&str>) -> Function {
        Function {
            name: QualifiedName::new(schema, name),
            kind: FunctionKind::Function,
            min_args: args,
            max_args: Some(args),
            extension: extension.map(Arc::from),
        }
    }

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        for f in [
            function("pg_catalog", "lower", 1, None),
            function("pg_catalog", "pg_read_file", 1, None),
            function("pg_catalog", "nextval", 1, None),
            function("public", "lower", 1, None),
            function("shop", "order_total", 1, None),
            function("public", "similarity", 2, Some("pg_trgm")),
            function("public", "crosstab", 1, Some("tablefunc")),
        ] {
            catalog.add_function(f);
        }
        catalog.operators.entry("=".into()).or_default().push(Operator {
            name: QualifiedName::new("public", "="),
            function: QualifiedName::new("public", "evil"),
            extension: None,
        });
        catalog
    }

    fn needs_of(path: &str, args: usize, search_path: &[&str]) -> Result<(Purity, Vec<String>), Refusal> {
        let catalog = catalog();
        let search_path: Vec<Arc<str>> = search_path.iter().map(|&s| Arc::from(s)).collect();
        let mut walk = Walk::new(&catalog, &search_path);
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        let purity = call(&mut walk, &path, args)?;
        Ok((purity, walk.needs.iter().map(|need| format!("{} {}", need.action, need.object)).collect()))
    }

    #[test]
    fn lists_are_sorted_for_their_search() {
        for list in [TOTAL, NULLNESS, COMPUTE, VOLATILE, TYPES, TRUSTED_EXTENSIONS] {
            assert!(list.is_sorted());
        }
        for list in [TOTAL, NULLNESS, COMPUTE] {
            for name in
                ["pg_sleep", "dblink", "lo_get", "pg_read_file", "query_to_xml", "pg_stat_get_activity", "ts_stat"]
            {
                assert!(!list.contains(&name), "{name}");
            }
        }
    }

    #[test]
    fn a_name_needs_everything_it_may_mean() {
        let pg = &["pg_catalog", "shop"][..];
        let all = &["pg_catalog", "public", "shop"][..];
        for (path, args, search, expected) in [
            ("lower", 1, pg, Some((Purity::Total, vec![]))),
            ("lower", 1, all, Some((Purity::Compute, vec!["call function public.lower"]))),
            ("pg_catalog.lower", 1, all, Some((Purity::Total, vec![]))),
            ("order_total", 1, all, Some((Purity::Compute, vec!["call function shop.order_total"]))),
            ("order_total", 2, all, None),
            ("similarity", 2, all, Some((Purity::Compute, vec![]))),
            ("crosstab", 1, all, Some((Purity::Compute, vec!["call function public.crosstab"]))),
            ("pg_read_file", 1, pg, Some((Purity::Compute, vec!["admin function pg_catalog.pg_read_file"]))),
            ("nextval", 1, pg, Some((Purity::Compute, vec!["insert sequences"]))),
            ("nowhere", 0, all, None),
            ("set_config", 3, all, None),
        ] {
            let expected = expected.map(|(p, n)| (p, n.into_iter().map(str::to_owned).collect::<Vec<_>>()));
            assert_eq!(needs_of(path, args, search).ok(), expected, "{path}/{args}");
        }
    }

    #[test]
    fn an_operator_of_a_user_is_needed_unless_the_built_in_one_is_named() {
        let catalog = catalog();
        let search_path: Vec<Arc<str>> = vec!["pg_catalog".into(), "public".into()];
        for (path, expected) in [(vec!["="], 1), (vec!["pg_catalog", "="], 0), (vec!["<"], 0)] {
            let mut walk = Walk::new(&catalog, &search_path);
            let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
            operator(&mut walk, &path).expect("known");
            assert_eq!(walk.needs.len(), expected, "{path:?}");
        }
    }
}
