//! The corpus' cases as they stand in the files. Reads and names things; runs nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde::Deserialize;
use serde_json::Value;

use crate::process::checkout;

/// One line of a corpus file.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// Its class.
    pub class: String,
    /// What the user holds.
    pub grant: String,
    /// `simple`, `extended` or `raw`.
    pub protocol: String,
    /// The steps.
    pub session: Vec<Value>,
    /// A needle that must not come back.
    pub secret: Option<String>,
    /// More needles: a text, or a list of texts that must not all come back.
    #[serde(default)]
    pub derived: Vec<Value>,
    /// What must not have happened.
    pub effect: Option<Effect>,
    /// What the user should see.
    pub expect: String,
    /// In a line.
    pub why: String,
    /// More startup parameters; for MySQL options of the connection.
    #[serde(default, deserialize_with = "or_default")]
    pub startup: BTreeMap<String, Value>,
    /// MySQL: labels of the servers it works on.
    #[serde(default)]
    pub servers: Vec<String>,
    /// `superuser`: the proxy's account is one.
    pub upstream: Option<String>,
    /// What a superuser runs before.
    #[serde(default)]
    pub setup: Vec<String>,
    /// What a superuser runs afterwards.
    #[serde(default)]
    pub cleanup: Vec<String>,
    /// Somebody else's session.
    pub victim: Option<Victim>,
    /// Whether the schema is loaded anew afterwards.
    pub mutates: Option<bool>,
    /// Seconds to wait for an answer.
    pub timeout: Option<f64>,
    /// Seconds to go on listening.
    pub linger: Option<f64>,
    /// `safe`: the server withstands it by itself.
    pub direct: Option<String>,
    /// Of a control: the error codes that belong to it.
    #[serde(default)]
    pub errors: Vec<String>,
}

/// What an attack does.
#[derive(Clone, Debug, Deserialize)]
pub struct Effect {
    /// A statement, `elapsed` or `received_bytes`.
    pub probe: String,
    /// What it gives when the attack was stopped; `<N`: below N.
    pub must_be: String,
    /// Seconds to wait before asking.
    pub after: Option<f64>,
}

/// Somebody else's session.
#[derive(Clone, Debug, Deserialize)]
pub struct Victim {
    /// What it runs: a text, or a list of them.
    pub sql: Value,
    /// It runs on while the case runs.
    #[serde(default)]
    pub background: bool,
    /// `admin`: a superuser.
    #[serde(rename = "as")]
    pub role: Option<String>,
}

/// A step of a session.
#[derive(Clone, Debug)]
pub enum Step {
    /// A statement by the simple protocol.
    Query(Vec<u8>),
    /// A statement by the extended protocol: text, parameters, result format.
    Prepared(String, Vec<Option<Vec<u8>>>, i16),
    /// Frames.
    Raw(Vec<Value>),
    /// Run directly by a superuser.
    Admin(String),
    /// An order to the proxy.
    Control(String),
}

/// The policy line of a schema script.
#[derive(Clone, Debug, Deserialize)]
pub struct Policy {
    /// What the grants reach.
    pub granted_schemas: Vec<String>,
    /// Relations that no grant reaches.
    pub no_grant_reaches: Vec<String>,
    /// Masked columns, `schema.table.column`.
    pub masked: Vec<String>,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
}

/// Limits of a policy.
#[derive(Clone, Debug, Deserialize)]
pub struct Limits {
    /// Seconds that a statement may run.
    pub statement_seconds: u64,
    /// Bytes that it may return.
    pub result_bytes: u64,
}

/// What a policy without limits means, so that the corpus' probes of time and bytes can hold.
impl Default for Limits {
    fn default() -> Self {
        Self { statement_seconds: 2, result_bytes: 1_000_000 }
    }
}

impl Victim {
    /// What it runs.
    pub fn statements(&self) -> Vec<&str> {
        let list = self.sql.as_array().map(Vec::as_slice).unwrap_or(std::slice::from_ref(&self.sql));
        list.iter().map(|sql| sql.as_str().expect("a statement is a text")).collect()
    }
}

/// `null` is nothing, too.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A file of the corpus folder.
pub fn path(name: &str) -> PathBuf {
    checkout().join("tests/corpus").join(name)
}

/// How often cases were loaded: what one run leaves behind is not what the next one finds.
static LOADS: AtomicUsize = AtomicUsize::new(0);

/// The cases of a file that are meant for this server; `HALLPASS_CASE` picks those whose id starts so.
pub fn load(name: &str, server: Option<&str>) -> Vec<Case> {
    let text = fs::read_to_string(path(name)).expect("the corpus is part of the checkout");
    let only = std::env::var("HALLPASS_CASE").unwrap_or_default();
    let load = LOADS.fetch_add(1, Ordering::Relaxed);
    let cases = text.lines().enumerate().map(|(line, text)| {
        let text = text.replace("{nonce}", &format!("nonce{}x{load}x{line}", std::process::id()));
        serde_json::from_str::<Case>(&text).unwrap_or_else(|error| panic!("{name}:{}: {error}", line + 1))
    });
    let meant = |case: &Case| server.is_none_or(|server| case.servers.iter().any(|label| label == server));
    cases.filter(|case| case.id.starts_with(&only) && meant(case)).collect()
}

/// The policy of a schema script.
pub fn policy(script: &str) -> Policy {
    let line = script.lines().find_map(|line| line.strip_prefix("-- @policy ")).expect("a policy line");
    serde_json::from_str(line).expect("the policy is JSON")
}

impl Case {
    /// Whether to load the schema anew afterwards.
    pub fn mutates(&self) -> bool {
        self.mutates.unwrap_or(self.expect != "allowed")
    }

    /// The steps, each with its connection's name.
    pub fn steps(&self) -> Vec<(String, Step)> {
        self.session.iter().map(|step| self.step(step)).collect()
    }

    fn step(&self, step: &Value) -> (String, Step) {
        let conn = step["conn"].as_str().unwrap_or("a").to_owned();
        let text = |key: &str| step[key].as_str().map(str::to_owned);
        if let Some(frames) = step["raw"].as_array() {
            return (conn, Step::Raw(frames.clone()));
        }
        if let Some(control) = text("control") {
            return (conn, Step::Control(control));
        }
        let sql = step.as_str().map(str::to_owned).or_else(|| text("sql")).expect("a step without SQL");
        if step["as"] == "admin" {
            return (conn, Step::Admin(sql));
        }
        if let Some(encoding) = step["encoding"].as_str() {
            return (conn, Step::Query(encode(&sql, encoding)));
        }
        let prepared = step["params"].is_array() || step["result_format"].is_number() || self.protocol == "extended";
        if !prepared {
            return (conn, Step::Query(sql.into_bytes()));
        }
        let params = step["params"].as_array().map(|list| list.iter().map(parameter).collect()).unwrap_or_default();
        let format = i16::from(step["result_format"] == 1);
        (conn, Step::Prepared(sql, params, format))
    }
}

/// Bytes in pieces: a text, `hex:…`, so many spaces as a number, or a list of these.
pub fn pieces(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => bytes(text),
        Value::Number(count) => vec![b' '; count.as_u64().and_then(|count| count.try_into().ok()).expect("a count")],
        Value::Array(list) => list.iter().flat_map(pieces).collect(),
        other => panic!("{other} is no piece of a payload"),
    }
}

/// A parameter: text, `hex:…`, or null.
pub fn parameter(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(bytes)
}

/// A text, or bytes as `hex:…`.
pub fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix("hex:") {
        Some(digits) => unhex(digits),
        None => text.as_bytes().to_vec(),
    }
}

/// Bytes from hexadecimal.
pub fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// The few characters the corpus needs in Shift JIS; anything else is a case this runner does not know.
fn encode(sql: &str, encoding: &str) -> Vec<u8> {
    if encoding == "latin1" {
        return sql.chars().map(|character| u8::try_from(character).expect("Latin-1")).collect();
    }
    assert_eq!(encoding, "shift_jis", "unknown encoding");
    let encode_one = |character: char| match character {
        'ソ' => vec![0x83, 0x5C],
        ascii if ascii.is_ascii() => vec![u8::try_from(ascii).expect("ASCII")],
        other => panic!("{other} is not in the runner's Shift JIS table"),
    };
    sql.chars().flat_map(encode_one).collect()
}
