//! The facts that conditions are evaluated over: names with values. Types them as `types` says; checks nothing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cel::{Value, objects::Map};

use crate::ids::Timestamp;

/// The variables of one evaluation.
#[derive(Clone, Debug, Default)]
pub struct Facts(Vec<(&'static str, Value)>);

/// The fields of a value.
#[derive(Clone, Debug, Default)]
pub struct Fields(HashMap<cel::objects::Key, Value>);

impl Facts {
    /// No facts.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a variable that has fields.
    #[must_use]
    pub fn with(mut self, name: &'static str, fields: Fields) -> Self {
        self.0.push((name, fields.value()));
        self
    }

    /// With a moment.
    #[must_use]
    pub fn at(mut self, name: &'static str, time: Timestamp) -> Self {
        self.0.push((name, moment(time)));
        self
    }

    pub(super) fn values(&self) -> &[(&'static str, Value)] {
        &self.0
    }
}

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a text.
    #[must_use]
    pub fn text(self, name: &str, text: &str) -> Self {
        self.set(name, Value::from(text))
    }

    /// With a list of texts.
    #[must_use]
    pub fn texts<'a>(self, name: &str, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let all: Vec<Value> = texts.into_iter().map(Value::from).collect();
        self.set(name, Value::List(Arc::new(all)))
    }

    /// With a map from texts to texts.
    #[must_use]
    pub fn map<'a>(self, name: &str, entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let entries = entries.into_iter().fold(Self::new(), |map, (key, value)| map.text(key, value));
        self.set(name, entries.value())
    }

    /// With `true` or `false`.
    #[must_use]
    pub fn flag(self, name: &str, flag: bool) -> Self {
        self.set(name, Value::Bool(flag))
    }

    /// With a whole number.
    #[must_use]
    pub fn number(self, name: &str, number: u64) -> Self {
        self.set(name, Value::Int(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    /// With a duration.
    #[must_use]
    pub fn duration(self, name: &str, duration: Duration) -> Self {
        let longest = chrono::Duration::MAX;
        self.set(name, Value::Duration(chrono::Duration::from_std(duration).unwrap_or(longest)))
    }

    fn set(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.into(), value);
        self
    }

    fn value(self) -> Value {
        Value::Map(Map { map: Arc::new(self.0) })
    }
}

/// A moment as CEL has it; the first of all where the calendar does not reach.
fn moment(time: Timestamp) -> Value {
    let at = chrono::DateTime::from_timestamp_micros(time.0).unwrap_or_default();
    Value::Timestamp(at.fixed_offset())
}
