//! What own review rules may name: facts of the statement, of who sends it and where. Reads them; judges nothing.

use std::{collections::BTreeSet, sync::LazyLock};

use crate::{
    condition::{Facts, Fields, Type, Variables},
    decide::Question,
    statement::{Object, Outputs, Reach, Statement},
};

/// What conditions of review rules may name.
pub static VARIABLES: LazyLock<Variables> = LazyLock::new(|| {
    use Type::{Bool, Int, Text};
    let texts = || Type::list(Text);
    let statement = Type::record([
        ("verb", Text),
        ("actions", texts()),
        ("tables", texts()),
        ("functions", texts()),
        ("columns", texts()),
        ("writes", Bool),
        ("every_row", Bool),
        ("whole_tables", texts()),
        ("rows", Int),
        ("cartesian", Bool),
        ("rewrites", Bool),
        ("exports", Bool),
    ]);
    let user = Type::record([("name", Text), ("groups", texts())]);
    Variables::new([("statement", statement), ("user", user), ("database", Type::record([("name", Text)]))])
});

/// The facts of `statement`, which is that of `question` or what it prepares.
pub(super) fn of(question: &Question<'_>, statement: &Statement) -> Facts {
    let objects = |functions: bool| -> BTreeSet<String> {
        let named = statement.needs.iter().filter_map(|need| match &need.object {
            Object::Relation(name) | Object::Catalog(name) if !functions => Some(name.to_string()),
            Object::Function(name) if functions => Some(name.to_string()),
            Object::Relation(_)
            | Object::Catalog(_)
            | Object::Listing(_)
            | Object::Function(_)
            | Object::Session(_) => None,
        });
        named.collect()
    };
    let shown = match &statement.outputs {
        Outputs::Columns(outputs) => outputs.as_slice(),
        Outputs::None | Outputs::Server | Outputs::OfPrepared(_) | Outputs::OfCursor(_) => &[],
    };
    let columns: BTreeSet<String> = shown
        .iter()
        .flat_map(|output| output.lineage.columns.keys())
        .chain(statement.uses.iter().map(|used| &used.column))
        .map(ToString::to_string)
        .collect();
    let actions: BTreeSet<&str> = statement.needs.iter().map(|need| need.action.as_str()).collect();
    let features = &statement.features;
    let whole: Vec<String> = features.whole.iter().map(ToString::to_string).collect();
    let rows = features.whole.iter().filter_map(|table| question.catalog.rows.get(table)).max();
    let facts = Fields::new()
        .text("verb", statement.verb)
        .texts("actions", actions)
        .texts("tables", objects(false).iter().map(String::as_str))
        .texts("functions", objects(true).iter().map(String::as_str))
        .texts("columns", columns.iter().map(String::as_str))
        .flag("writes", statement.needs.iter().any(|need| need.action.writes()))
        .flag("every_row", statement.reach != Reach::Some)
        .texts("whole_tables", whole.iter().map(String::as_str))
        .number("rows", rows.copied().unwrap_or(0))
        .flag("cartesian", features.unconnected.is_some())
        .flag("rewrites", features.rewrite.is_some())
        .flag("exports", statement.export);
    let user = Fields::new()
        .text("name", question.principal.user.as_str())
        .texts("groups", question.principal.groups.iter().map(|group| group.as_str()));
    Facts::new()
        .with("statement", facts)
        .with("user", user)
        .with("database", Fields::new().text("name", question.target.as_str()))
}
