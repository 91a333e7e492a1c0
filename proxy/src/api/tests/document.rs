//! The OpenAPI document and the code: the same routes, the same methods, the same fields in what is asked. That answers
//! are as it says, the scenarios show on a running proxy.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::World;
use crate::api::{DOCUMENT, routes};

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// Method, path and operation, as the document has them.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
    });
    all.collect()
}

/// What a `$ref` leads to, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    let found = document.pointer(reference.strip_prefix('#').unwrap());
    found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

#[test]
fn routes_and_document_have_the_same_operations() {
    let document = document();
    let known: BTreeSet<_> = routes().list().iter().map(|(method, path)| format!("{method} {path}")).collect();
    let told: BTreeSet<_> =
        operations(&document).into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(known, told);
    assert_eq!(known.len(), routes().list().len(), "no route stands twice");
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(document: &Value, value: &Value) {
        resolved(document, value);
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
            Value::Object(fields) => fields.values().for_each(|field| walk(document, field)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
    let ids: BTreeSet<_> =
        operations(&document).into_iter().map(|(_, _, operation)| operation["operationId"].to_string()).collect();
    assert_eq!(ids.len(), operations(&document).len(), "each operation has a name of its own");
}

/// The fields that a refusal of `nonsense` names.
fn expected(problem: &Value) -> BTreeSet<String> {
    let said = problem["detail"].as_str().unwrap();
    let (_, fields) = said.split_once("unknown field `nonsense`").unwrap_or_else(|| panic!("{said}"));
    fields.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_may_be_asked_is_what_the_document_says() {
    let world = World::new().await;
    let document = document();
    for (method, path, operation) in operations(&document) {
        let at = path.replace("{name}", "alice").replace("{id}", "1");
        let asked = operation["requestBody"]["content"]["application/json"].clone();
        if !asked.is_null() {
            let schema = resolved(&document, &asked["schema"]);
            let told: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
            let (status, problem) = world.local(&method, &at, json!({ "nonsense": 1 })).await;
            assert_eq!(status, 400, "{method} {path}: {problem}");
            assert_eq!(expected(&problem), told, "{method} {path}");
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let parameters = parameters.iter().map(|parameter| resolved(&document, parameter));
        let told: BTreeSet<_> = parameters
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        if !told.is_empty() {
            let (status, problem) = world.local(&method, &format!("{at}?nonsense=1"), Value::Null).await;
            assert_eq!(status, 400, "{method} {path}: {problem}");
            assert_eq!(expected(&problem), told, "{method} {path}");
        }
    }
}
