//! The types of conditions, and the variables that a kind of condition may use. Data only; `check` uses them.

use std::{fmt, sync::Arc};

/// The type of a value in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `uint`.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    Text,
    /// `bytes`.
    Bytes,
    /// `duration`.
    Duration,
    /// `timestamp`.
    Timestamp,
    /// `null`.
    Null,
    /// A list of one type.
    List(Arc<Type>),
    /// A map from texts to one type; which keys there are is known when it is evaluated.
    Map(Arc<Type>),
    /// Fields that are always there.
    Record(Arc<[(&'static str, Type)]>),
    /// The elements of an empty list.
    Nothing,
}

/// What a kind of condition may name: its variables with their types.
#[derive(Clone, Debug)]
pub struct Variables(Vec<(&'static str, Type)>);

impl Type {
    /// A list of `of`.
    pub fn list(of: Self) -> Self {
        Self::List(Arc::new(of))
    }

    /// A map from texts to `of`.
    pub fn map(of: Self) -> Self {
        Self::Map(Arc::new(of))
    }

    /// A value with `fields`.
    pub fn record(fields: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self::Record(fields.into_iter().collect())
    }

    /// Whether values of the two may be equal: numbers of any kind, else the same type.
    pub(super) fn comparable(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nothing, _) | (_, Self::Nothing) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.comparable(b),
            (a, b) => a == b || (a.is_number() && b.is_number()),
        }
    }

    /// The type that holds values of both, if there is one.
    pub(super) fn join(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Nothing, known) | (known, Self::Nothing) => Some(known.clone()),
            (Self::List(a), Self::List(b)) => Some(Self::list(a.join(b)?)),
            (Self::Map(a), Self::Map(b)) => Some(Self::map(a.join(b)?)),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }
}

/// As CEL calls it.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Null => f.write_str("null"),
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(of) => write!(f, "map(string, {of})"),
            Self::Record(fields) => {
                let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
                write!(f, "a value with the fields {}", names.join(", "))
            }
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

impl Variables {
    /// These variables.
    pub fn new(variables: impl IntoIterator<Item = (&'static str, Type)>) -> Self {
        Self(variables.into_iter().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Type> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, of)| of)
    }

    /// Their names, for a mend.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// Every name that may stand in such a condition, `request.reason`, with its type: for documentation.
    pub fn paths(&self) -> Vec<(String, Type)> {
        let mut all = Vec::new();
        for (name, of) in &self.0 {
            match of {
                Type::Record(fields) => {
                    all.extend(fields.iter().map(|(field, of)| (format!("{name}.{field}"), of.clone())));
                }
                other => all.push(((*name).to_owned(), other.clone())),
            }
        }
        all
    }
}
