//! In-band SQL: what the schema `hallpass` holds and what may be asked of it, on both protocols alike. The proxy answers
//! it itself; upstream never sees it. Facts only: who may ask what is decided elsewhere.

use std::sync::Arc;

use serde::Serialize;

use super::{Refusal, RefusalKind};

mod call;
mod query;

pub use call::{Argument, Call, Form, Function, RESULT};
pub use query::{Condition, Query, Selected, Sort, Test, View};

/// The schema that belongs to the proxy.
pub const SCHEMA: &str = "hallpass";

/// One question to the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Inband {
    /// Rows of a view.
    Query(Query),
    /// Something done.
    Call(Call),
}

/// What a column or an argument holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A moment.
    Time,
    /// Yes or no.
    Boolean,
}

/// A column of a view or of a call's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// A column that is told to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its name, or its alias.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: Kind,
}

/// A constant, or the place of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Value {
    /// NULL.
    Null,
    /// A string.
    Text(Arc<str>),
    /// A whole number.
    Integer(i64),
    /// TRUE or FALSE.
    Boolean(bool),
    /// A parameter, from 0: `$1` and the first `?` are 0.
    Parameter(usize),
}

impl Inband {
    /// The columns of its answer.
    pub fn columns(&self) -> Vec<Told> {
        match self {
            Self::Query(query) => query.told(),
            Self::Call(call) => call.told(),
        }
    }

    /// What each parameter holds, in their order.
    pub fn parameters(&self) -> Vec<Kind> {
        let mut found = Vec::new();
        self.each_value(&mut |value, kind| {
            if let Value::Parameter(at) = value {
                if found.len() <= *at {
                    found.resize(at + 1, Kind::Text);
                }
                if let Some(place) = found.get_mut(*at) {
                    *place = kind;
                }
            }
        });
        found
    }

    /// The same with `parameters` in their places; those that are missing are NULL.
    #[must_use]
    pub fn bound(&self, parameters: &[Value]) -> Self {
        let bind = |value: &Value| match value {
            Value::Parameter(at) => parameters.get(*at).cloned().unwrap_or(Value::Null),
            other => other.clone(),
        };
        match self {
            Self::Query(query) => Self::Query(query.bound(&bind)),
            Self::Call(call) => Self::Call(call.bound(&bind)),
        }
    }

    /// Whether it may take long, so that a cancel ends it.
    pub fn waits(&self) -> bool {
        matches!(self, Self::Call(Call { function: Function::Wait, .. }))
    }

    fn each_value(&self, visit: &mut impl FnMut(&Value, Kind)) {
        match self {
            Self::Query(query) => query.each_value(visit),
            Self::Call(call) => call.each_value(visit),
        }
    }
}

/// The refusal of a procedure of this schema in the middle of another statement, which the server would have to answer.
pub fn misplaced(name: &str) -> Refusal {
    match Function::named(name) {
        Ok(function) => unanswerable(&format!("hallpass.{name} inside another statement"))
            .hint(format!("CALL {} by itself", function.usage())),
        Err(unknown) => unknown,
    }
}

/// The refusal of a form that the proxy does not answer.
pub fn unanswerable(what: &str) -> Refusal {
    Refusal::new(RefusalKind::Unsupported, format!("{what} is not supported in the schema hallpass"))
        .detail("the proxy answers this schema itself, and knows simple queries of one view and its own procedures")
        .hint("SELECT … FROM hallpass.grants WHERE … ORDER BY … LIMIT …, or CALL hallpass.request('ROLE', '1 hour', 'why')")
}
