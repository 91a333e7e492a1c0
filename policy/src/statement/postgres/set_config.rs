//! `SELECT set_config('name', 'value', false)`: SET in the clothes of a query, as drivers and pg_dump send it.
//! Reads only forms in which the setting's name is in plain sight; every other call of set_config is refused elsewhere.

use pg_query::{Node, NodeEnum, protobuf};

use super::{
    dispatch::Draft,
    function, node,
    relation::resolve_relation,
    session::constant,
    setting::{self, Value},
    walk::Walk,
};
use crate::statement::{Action, Effect, Lineage, Object, Output, Outputs, Refusal, Setting};

/// The draft of such a SELECT; `None` when it is another one.
///
/// # Errors
/// When nobody may set the setting so.
pub(super) fn read(walk: &mut Walk<'_>, select: &protobuf::SelectStmt) -> Result<Option<Draft>, Refusal> {
    let targets: Vec<&protobuf::ResTarget> = node::all(&select.target_list)
        .filter_map(|target| if let NodeEnum::ResTarget(target) = target { Some(&**target) } else { None })
        .collect();
    let calls = targets.iter().filter(|target| arguments(target).is_some()).count();
    let shadowed = walk
        .catalog
        .functions
        .get("set_config")
        .is_some_and(|all| all.iter().any(|function| &*function.name.schema != "pg_catalog"));
    if calls != 1 || shadowed || !node::only_targets(select) || targets.len() != select.target_list.len() {
        return Ok(None);
    }
    let Some(source) = source(walk, select)? else { return Ok(None) };

    let mut outputs = Vec::with_capacity(targets.len());
    let mut effect = Effect::None;
    for target in targets {
        let name = match arguments(target) {
            Some(arguments) => {
                let Some(found) = assignment(walk, arguments, &source)? else { return Ok(None) };
                effect = found;
                "set_config"
            }
            None if is_constant(target) => "?column?",
            None if reads_setting(walk, target)? => "current_setting",
            None => return Ok(None),
        };
        let name = if target.name.is_empty() { name } else { target.name.as_str() };
        outputs.push(Output { name: name.into(), lineage: Lineage::constant() });
    }
    if let Source::Settings(_) = source {
        let settings = crate::catalog::QualifiedName::new("pg_catalog", "pg_settings");
        walk.need(Action::Select, Object::Catalog(settings));
    }
    Ok(Some(Draft::of("SELECT").outputs(Outputs::Columns(outputs)).effect(effect)))
}

/// Where the names in the call come from.
enum Source {
    /// No FROM.
    Nothing,
    /// `FROM pg_settings WHERE name = '…'`: the column `name` is that constant, which is a setting's name as the server
    /// writes it. Another would find no row, and nothing would be set.
    Settings(String),
}

fn source(walk: &mut Walk<'_>, select: &protobuf::SelectStmt) -> Result<Option<Source>, Refusal> {
    let condition = node::boxed(select.where_clause.as_ref());
    match (select.from_clause.as_slice(), condition) {
        ([], None) => Ok(Some(Source::Nothing)),
        ([Node { node: Some(item) }], Some(NodeEnum::AExpr(comparison))) => {
            let of_server = lists_settings(walk, item)?;
            let equals = protobuf::AExprKind::try_from(comparison.kind) == Ok(protobuf::AExprKind::AexprOp)
                && node::strings(&comparison.name)? == ["="];
            let column = node::boxed(comparison.lexpr.as_ref()).is_some_and(is_column_name);
            let value = node::boxed(comparison.rexpr.as_ref()).and_then(constant);
            function::operator(walk, &["=".to_owned()])?;
            let value = value.filter(|name| as_the_server_writes(name));
            Ok(value.filter(|_| of_server && equals && column).map(Source::Settings))
        }
        _ => Ok(None),
    }
}

/// Whether a FROM item is `pg_settings`, or the function behind it, which pgAdmin calls.
fn lists_settings(walk: &mut Walk<'_>, item: &NodeEnum) -> Result<bool, Refusal> {
    match item {
        NodeEnum::RangeVar(table) => {
            let relation = resolve_relation(walk, table)?;
            let of_server = &*relation.name.schema == "pg_catalog" && &*relation.name.name == "pg_settings";
            Ok(of_server && table.alias.is_none())
        }
        NodeEnum::RangeFunction(function) => {
            let [Node { node: Some(NodeEnum::List(pair)) }] = function.functions.as_slice() else { return Ok(false) };
            let call = pair.items.first().and_then(|call| call.node.as_ref());
            let plain = function.alias.is_none() && function.coldeflist.is_empty() && !function.ordinality;
            let path = vec!["pg_show_all_settings".to_owned()];
            let call = call.and_then(|call| function::plain_call(call, "pg_show_all_settings"));
            let named = plain && call.is_some_and(<[Node]>::is_empty);
            // Whatever else is called so, it has to be allowed.
            Ok(named && function::call(walk, &path, 0)? == function::Purity::Compute)
        }
        _ => Ok(false),
    }
}

/// Whether `name` is spelled as in `pg_settings`: a few names there have capitals.
fn as_the_server_writes(name: &str) -> bool {
    matches!(name, "DateStyle" | "IntervalStyle" | "TimeZone")
        || (!name.bytes().any(|byte| byte.is_ascii_uppercase())
            && !matches!(name, "datestyle" | "intervalstyle" | "timezone"))
}

/// Whether the column is called `name`, without a table before it.
fn is_column_name(value: &NodeEnum) -> bool {
    let NodeEnum::ColumnRef(column) = value else { return false };
    matches!(column.fields.as_slice(), [Node { node: Some(NodeEnum::String(name)) }] if name.sval == "name")
}

fn assignment(walk: &mut Walk<'_>, arguments: &[Node], source: &Source) -> Result<Option<Effect>, Refusal> {
    let [name, value, local] = arguments else { return Ok(None) };
    let (Some(name), Some(value)) = (name.node.as_ref(), value.node.as_ref()) else { return Ok(None) };
    let Some(local) = local.node.as_ref().and_then(constant) else { return Ok(None) };
    let name = match (source, constant(name)) {
        (Source::Nothing, Some(name)) => name,
        (Source::Settings(pinned), None) if is_column_name(name) => pinned.clone(),
        (Source::Settings(pinned), Some(name)) if *pinned == name => name,
        (Source::Nothing, None) | (Source::Settings(_), _) => return Ok(None),
    };
    let name = name.to_ascii_lowercase();
    let local = matches!(local.as_str(), "true" | "t" | "on" | "1");
    match (constant(value), value) {
        (Some(text), _) => {
            setting::change(walk, &name, Value::Text(&text))?;
            let value = Setting::To(text.into());
            // A setting that this server does not have is not set; the one that is followed they all have.
            Ok(Some(Effect::Set { name: name.into(), value, local }))
        }
        (None, NodeEnum::ParamRef(_)) => {
            // Only settings of which any value is harmless pass here, so there is nothing to follow.
            setting::change(walk, &name, Value::Unknown)?;
            Ok(Some(Effect::None))
        }
        (None, _) => Ok(None),
    }
}

fn arguments(target: &protobuf::ResTarget) -> Option<&[Node]> {
    node::boxed(target.val.as_ref()).and_then(|value| function::plain_call(value, "set_config"))
}

fn is_constant(target: &protobuf::ResTarget) -> bool {
    node::boxed(target.val.as_ref()).and_then(constant).is_some()
}

/// `current_setting('name')`.
fn reads_setting(walk: &mut Walk<'_>, target: &protobuf::ResTarget) -> Result<bool, Refusal> {
    let arguments = node::boxed(target.val.as_ref()).and_then(|value| function::plain_call(value, "current_setting"));
    let Some(arguments) = arguments else { return Ok(false) };
    if !node::all(arguments).all(|argument| constant(argument).is_some()) {
        return Ok(false);
    }
    let path: Vec<String> = vec!["current_setting".to_owned()];
    function::call(walk, &path, arguments.len())?;
    if let Some(name) = node::all(arguments).next().and_then(constant) {
        setting::show(walk, &name.to_ascii_lowercase());
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::{testing::relation, understand};
    use crate::{
        catalog::{Catalog, RelationKind},
        statement::{Effect, Names, Object, Setting},
    };

    fn effect(text: &str) -> Option<Effect> {
        let mut catalog = Catalog { schemas: vec!["public".into()], ..Catalog::default() };
        let settings = relation(3_000, "pg_catalog.pg_settings", RelationKind::View, "name setting");
        catalog.add_relation(settings);
        let understood = understand(text, &catalog, &Names { search_path: "public".into() }).ok()?;
        let needs = &understood.statements[0].needs;
        assert!(needs.iter().all(|need| matches!(need.object, Object::Catalog(_))), "{text}");
        Some(understood.statements[0].effect.clone())
    }

    #[test]
    fn only_what_is_in_plain_sight() {
        let set = |name: &str, value: &str, local| {
            Some(Effect::Set { name: name.into(), value: Setting::To(value.into()), local })
        };
        assert_eq!(effect("SELECT pg_catalog.set_config('search_path', '', false)"), set("search_path", "", false));
        assert_eq!(effect("SELECT set_config('TimeZone', 'UTC', true) AS x"), set("timezone", "UTC", true));
        assert_eq!(
            effect("SELECT current_setting('jit') AS cur, set_config('jit', 'off', false)"),
            set("jit", "off", false)
        );
        assert_eq!(effect("SELECT set_config('jit', $1, false)"), Some(Effect::None));
        let settings = "FROM pg_settings WHERE name = 'search_path'";
        assert_eq!(effect(&format!("SELECT set_config(name, 'x', false) {settings}")), set("search_path", "x", false));
        assert_eq!(
            effect(&format!("SELECT set_config('search_path', 'x', false) {settings}")),
            set("search_path", "x", false)
        );
        assert_eq!(
            effect(
                "SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'"
            ),
            set("bytea_output", "hex", false)
        );
        for refused in [
            // It finds no row, or another than it sets.
            "SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'SEARCH_PATH'",
            "SELECT set_config('search_path', 'x', false) FROM pg_settings WHERE name = 'jit'",
            "SELECT set_config('jit', 'off', false) FROM pg_settings WHERE name = 'timezone'",
            "SELECT set_config('search_path', $1, false)",
            "SELECT set_config('role', 'postgres', false)",
            "SELECT set_config($1, 'x', false)",
            "SELECT set_config('search_path', 'a' || 'b', false)",
            "SELECT 1 WHERE set_config('search_path', 'x', false) IS NOT NULL",
            "SELECT set_config('search_path', 'x', false), set_config('jit', 'off', false)",
        ] {
            assert_eq!(effect(refused), None, "{refused}");
        }
    }
}
