//! A prepared statement's parameters as the audit's JSON. Never looked into further: values are the client's.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::mysql::LongData;
use crate::{
    config,
    wire::{
        mysql::{
            execute::{self, Parameter, Sign},
            value::{Shape, Type},
        },
        postgres::{codec::Format, frontend::Bind},
    },
};

/// Bytes of one value that are recorded; of a longer one its start, its length and its hash.
const LONGEST: usize = 64 << 10;

/// The parameters of a Bind message; `None` when there are none. Text as strings, binary as `{"hex":"…"}`, NULL as
/// null; under `redact` a `"?"` for each.
pub fn postgres(bind: &Bind<'_>, mode: config::Parameters) -> Option<Box<str>> {
    if bind.parameters.is_empty() {
        return None;
    }
    let mut list = String::with_capacity(64);
    for (index, value) in bind.parameters.iter().enumerate() {
        list.push(if index == 0 { '[' } else { ',' });
        let text = bind.parameter_formats.get(index) == Some(Format::Text);
        match (mode, value) {
            (config::Parameters::Redact, _) => list.push_str("\"?\""),
            (config::Parameters::Record, None) => list.push_str("null"),
            (config::Parameters::Record, Some(value)) => match plain(value).filter(|_| text) {
                // By far the most: a number or a word, with nothing to escape.
                Some(plain) => list.extend(["\"", plain, "\""]),
                None => list.push_str(&recorded(value, text).to_string()),
            },
        }
    }
    list.push(']');
    Some(list.into_boxed_str())
}

/// A short value that is its own JSON, quotes aside.
fn plain(value: &[u8]) -> Option<&str> {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    (value.len() <= 256 && value.iter().all(plain)).then_some(())?;
    std::str::from_utf8(value).ok()
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

/// The parameters of a COM_STMT_EXECUTE; `None` when there are none. Numbers as numbers, texts and dates as strings,
/// bytes as `{"hex":"…"}`, what was sent in pieces by its start, length and hash.
pub fn mysql(
    parameters: &[Parameter<'_>],
    long_data: &[Option<Box<LongData>>],
    mode: config::Parameters,
) -> Option<Box<str>> {
    if parameters.is_empty() {
        return None;
    }
    let long = |index: usize| long_data.get(index).and_then(Option::as_deref);
    let values = parameters.iter().enumerate().map(|(index, parameter)| mysql_value(parameter, long(index), mode));
    Some(Value::Array(values.collect()).to_string().into_boxed_str())
}

/// All sets of a COM_STMT_BULK_EXECUTE, a list each.
pub fn mysql_bulk(sets: &[Vec<Parameter<'_>>], mode: config::Parameters) -> Option<Box<str>> {
    let set = |set: &Vec<Parameter<'_>>| {
        Value::Array(set.iter().map(|parameter| mysql_value(parameter, None, mode)).collect())
    };
    (!sets.is_empty()).then(|| Value::Array(sets.iter().map(set).collect()).to_string().into_boxed_str())
}

fn mysql_value(parameter: &Parameter<'_>, long: Option<&LongData>, mode: config::Parameters) -> Value {
    if matches!(mode, config::Parameters::Redact) {
        return json!("?");
    }
    match (parameter.value, long) {
        (execute::Value::Null, _) => Value::Null,
        (execute::Value::Default, _) => json!({ "default": true }),
        (execute::Value::Ignore, _) => json!({ "ignore": true }),
        (execute::Value::LongData, Some(long)) => long.recorded(),
        (execute::Value::LongData, None) => Value::Null,
        (execute::Value::Bytes(bytes), _) => bytes_of(parameter, bytes),
    }
}

fn bytes_of(parameter: &Parameter<'_>, bytes: &[u8]) -> Value {
    let mut wide = [0; 8];
    if let Some(place) = wide.get_mut(..bytes.len()) {
        place.copy_from_slice(bytes);
    }
    let unsigned = u64::from_le_bytes(wide);
    let kind = parameter.kind.kind;
    match (kind, kind.shape()) {
        (Type::FLOAT, _) => {
            let bits = u32::try_from(unsigned).unwrap_or_default();
            json!(f32::from_bits(bits))
        }
        (Type::DOUBLE, _) => json!(f64::from_bits(unsigned)),
        (_, Some(Shape::Fixed(size))) if parameter.kind.sign == Sign::Signed && (1..8).contains(&size) => {
            let bits = 64 - 8 * u32::try_from(size).unwrap_or(8);
            json!((unsigned << bits).cast_signed() >> bits)
        }
        (_, Some(Shape::Fixed(8))) if parameter.kind.sign == Sign::Signed => json!(unsigned.cast_signed()),
        (_, Some(Shape::Fixed(_))) => json!(unsigned),
        (_, Some(Shape::DateTime)) => Value::String(date_time(bytes)),
        (_, Some(Shape::Time)) => Value::String(time(bytes)),
        (_, Some(Shape::Nothing) | None) => Value::Null,
        (_, Some(Shape::Bytes)) => recorded(bytes, true),
    }
}

/// A DATE, DATETIME or TIMESTAMP parameter as the server prints it.
fn date_time(bytes: &[u8]) -> String {
    let at = |index: usize| u32::from(bytes.get(index).copied().unwrap_or_default());
    let mut text = format!("{:04}-{:02}-{:02}", at(0) | at(1) << 8, at(2), at(3));
    if bytes.len() > 4 {
        text.push_str(&format!(" {:02}:{:02}:{:02}", at(4), at(5), at(6)));
    }
    if bytes.len() > 7 {
        text.push_str(&format!(".{:06}", at(7) | at(8) << 8 | at(9) << 16 | at(10) << 24));
    }
    text
}

/// A TIME parameter as the server prints it.
fn time(bytes: &[u8]) -> String {
    let at = |index: usize| u32::from(bytes.get(index).copied().unwrap_or_default());
    let days = at(1) | at(2) << 8 | at(3) << 16 | at(4) << 24;
    let sign = if at(0) == 1 { "-" } else { "" };
    let mut text = format!("{sign}{:02}:{:02}:{:02}", u64::from(days) * 24 + u64::from(at(5)), at(6), at(7));
    if bytes.len() > 8 {
        text.push_str(&format!(".{:06}", at(8) | at(9) << 8 | at(10) << 16 | at(11) << 24));
    }
    text
}
