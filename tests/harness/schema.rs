//! JSON Schema as the API's document uses it: whether a value is what a schema says. A keyword that is not known here
//! is a panic, so that nothing is silently let through.

use serde_json::Value;

/// What is wrong with `value` by `schema`, whose references lead into `document`; the first fault with its place.
///
/// # Errors
/// That fault.
#[track_caller]
pub fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    at(document, schema, value, "")
}

fn at(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let fault = |what: String| Err(format!("{place}: {what}: {value}"));
    let schema = resolved(document, schema);
    for (keyword, says) in schema.as_object().expect("a schema is an object") {
        match keyword.as_str() {
            "description" | "properties" | "default" => {}
            "type" => {
                let types: Vec<_> = says.as_array().map_or_else(|| vec![says], |all| all.iter().collect());
                if !types.iter().any(|name| is(value, name.as_str().expect("a type's name"))) {
                    return fault(format!("is not of type {says}"));
                }
            }
            "const" if says != value => return fault(format!("is not {says}")),
            "enum" if !says.as_array().expect("a list").contains(value) => return fault(format!("is none of {says}")),
            "const" | "enum" => {}
            "minimum" if value.as_i64().is_some_and(|found| Some(found) < says.as_i64()) => {
                return fault(format!("is less than {says}"));
            }
            "maximum" if value.as_i64().is_some_and(|found| Some(found) > says.as_i64()) => {
                return fault(format!("is more than {says}"));
            }
            "minimum" | "maximum" => {}
            "required" => {
                let missing = says.as_array().expect("a list").iter().find(|name| {
                    value.as_object().is_some_and(|fields| !fields.contains_key(name.as_str().expect("a name")))
                });
                if let Some(name) = missing {
                    return fault(format!("has no {name}"));
                }
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object();
                for (name, field) in value.as_object().into_iter().flatten() {
                    let place = format!("{place}/{name}");
                    match (known.and_then(|known| known.get(name)), says) {
                        (Some(schema), _) => at(document, schema, field, &place)?,
                        (None, Value::Bool(false)) => return fault(format!("has `{name}`, which nobody announced")),
                        (None, others) => at(document, others, field, &place)?,
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    at(document, says, item, &format!("{place}/{index}"))?;
                }
            }
            "anyOf" => {
                let found: Vec<_> =
                    says.as_array().expect("a list").iter().map(|one| at(document, one, value, place)).collect();
                if found.iter().all(Result::is_err) {
                    return fault(format!("is none of these: {found:?}"));
                }
            }
            unknown => panic!("the schema's keyword `{unknown}` is not known here"),
        }
    }
    Ok(())
}

/// What a `$ref` leads to, or the value itself.
#[track_caller]
pub fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    let found = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
    found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("the type `{other}` is not known here"),
    }
}
