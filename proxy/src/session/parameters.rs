//! A prepared statement's parameters as the audit's JSON. Never looked into further: values are the client's.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    config,
    wire::postgres::{codec::Format, frontend::Bind},
};

/// Bytes of one value that are recorded; of a longer one its start, its length and its hash.
const LONGEST: usize = 64 << 10;

/// The parameters of a Bind message; `None` when there are none. Text as strings, binary as `{"hex":"…"}`, NULL as
/// null; under `redact` a `"?"` for each.
pub fn postgres(bind: &Bind<'_>, mode: config::Parameters) -> Option<Box<str>> {
    if bind.parameters.is_empty() {
        return None;
    }
    let values: Vec<Value> = bind
        .parameters
        .iter()
        .enumerate()
        .map(|(index, value)| match (mode, value) {
            (config::Parameters::Redact, _) => json!("?"),
            (config::Parameters::Record, None) => Value::Null,
            (config::Parameters::Record, Some(value)) => {
                recorded(value, bind.parameter_formats.get(index) == Some(Format::Text))
            }
        })
        .collect();
    Some(Value::Array(values).to_string().into_boxed_str())
}

fn recorded(value: &[u8], text: bool) -> Value {
    let start = value.get(..LONGEST).unwrap_or(value);
    let shown = match std::str::from_utf8(start) {
        Ok(start) if text && start.len() == value.len() => return Value::String(start.to_owned()),
        _ => start.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
    };
    if start.len() == value.len() {
        return json!({ "hex": shown });
    }
    let hash: String = Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "hex": shown, "bytes": value.len(), "sha256": hash })
}
