//! Our understanding of a text whose tables nobody has: a catalog is grown by what the walk misses, name by name, until
//! the text is understood or refused for another reason.

use std::{collections::BTreeSet, sync::Arc};

use hallpass_policy::{
    catalog::{Catalog, Column, Function, FunctionKind, QualifiedName, Relation, RelationKind, UserType, UserTypeKind},
    statement::{Names, Object, Refusal, RefusalKind, Statement, postgres::understand},
};

/// More names than the longest captured text has.
const MOST_STEPS: usize = 600;

/// Bare names of the relations that we find in `text`.
///
/// # Errors
/// The refusal that no further name mends.
pub(crate) fn relations(text: &str) -> Result<BTreeSet<String>, Refusal> {
    let mut catalog = Catalog {
        schemas: ["pg_catalog", "information_schema", "public"].map(Arc::from).to_vec(),
        database: "app".to_owned(),
        ..Catalog::default()
    };
    let names = Names { search_path: "public".into() };
    let mut last = understand(text, &catalog, &names);
    for _ in 0..MOST_STEPS {
        let refusal = match last {
            Ok(understood) => return Ok(understood.statements.iter().flat_map(of).collect()),
            Err(refusal) => refusal,
        };
        last = match grown(text, &catalog, &names, &refusal) {
            Some((wider, next)) => {
                catalog = wider;
                next
            }
            None => return Err(refusal),
        };
    }
    panic!("the catalog grows without end: {text}");
}

/// Bare names of what a statement needs and touches.
pub(crate) fn of(statement: &Statement) -> BTreeSet<String> {
    let needed = statement.needs.iter().filter_map(|need| match &need.object {
        Object::Relation(name) | Object::Catalog(name) => Some(name.name.to_string()),
        Object::Listing(_) | Object::Function(_) | Object::Session(_) => None,
    });
    needed.chain(statement.touches.iter().map(|name| name.name.to_string())).collect()
}

type Answer = Result<hallpass_policy::statement::Understood, Refusal>;

/// The catalog with what `refusal` misses, and what is said then; `None` if nothing helps.
fn grown(text: &str, catalog: &Catalog, names: &Names, refusal: &Refusal) -> Option<(Catalog, Answer)> {
    let missing = refusal.message.split('"').nth(1).unwrap_or_default();
    let candidates: Vec<Catalog> = match refusal.kind {
        RefusalKind::UnknownRelation if refusal.message.starts_with("relation") => {
            let mut wider = catalog.clone();
            let (schema, name) = missing.split_once('.').unwrap_or((home(missing), missing));
            if !wider.schemas.iter().any(|known| **known == *schema) {
                wider.schemas.push(schema.into());
            }
            wider.add_relation(relation(schema, name, &[]));
            vec![wider]
        }
        RefusalKind::UnknownColumn => {
            let column = match missing {
                // `column t.c does not exist`
                "" => refusal.message.split(' ').nth(1).and_then(|path| path.rsplit('.').next()).unwrap_or_default(),
                column => column,
            };
            catalog
                .relations
                .values()
                .filter(|one| one.column(column).is_none())
                .map(|one| with(catalog, one, column))
                .collect()
        }
        RefusalKind::UnknownType => {
            let (schema, name) = missing.split_once('.').unwrap_or(("public", missing));
            let name = QualifiedName::new(schema, name.trim_start_matches('_'));
            let mut wider = catalog.clone();
            let kind = UserTypeKind::Other;
            wider.types.insert(name.clone(), UserType { oid: 0, name, kind, extension: None });
            vec![wider]
        }
        RefusalKind::UnknownFunction => {
            let path = refusal.message.split(' ').nth(1).unwrap_or_default().trim_end_matches("()");
            let (schema, name) = path.rsplit_once('.').unwrap_or(("public", path));
            let mut wider = catalog.clone();
            let kind =
                if refusal.message.starts_with("procedure") { FunctionKind::Procedure } else { FunctionKind::Function };
            wider.add_function(Function {
                name: QualifiedName::new(schema, name),
                kind,
                min_args: 0,
                max_args: None,
                extension: None,
            });
            vec![wider]
        }
        _ => Vec::new(),
    };
    let mut last_resort = None;
    for wider in candidates {
        let answer = understand(text, &wider, names);
        match &answer {
            Err(next) if next.message == refusal.message => {}
            // A column of that name is in another table already.
            Err(next) if next.kind == RefusalKind::Ambiguous => last_resort = Some((wider, answer)),
            _ => return Some((wider, answer)),
        }
    }
    last_resort
}

/// Where an unqualified name lies.
fn home(name: &str) -> &'static str {
    if name.starts_with("pg_") { "pg_catalog" } else { "public" }
}

fn with(catalog: &Catalog, one: &Relation, column: &str) -> Catalog {
    let mut wider = catalog.clone();
    let columns: Vec<&str> = one.columns.iter().map(|column| &*column.name).chain([column]).collect();
    wider.add_relation(relation(&one.name.schema, &one.name.name, &columns));
    wider
}

/// A table of text columns.
pub(crate) fn relation(schema: &str, name: &str, columns: &[&str]) -> Relation {
    let columns = columns.iter().zip(1..).map(|(&name, number)| Column {
        name: name.into(),
        number,
        type_oid: 25,
        local: true,
        generated: None,
    });
    Relation {
        oid: 0,
        name: QualifiedName::new(schema, name),
        kind: RelationKind::Table,
        columns: columns.collect(),
        definition: None,
        revision: None,
        triggered: false,
        ruled: false,
        parents: Vec::new(),
        children: Vec::new(),
    }
}
