//! Queries of the views of the schema `hallpass`: some columns of one view, a condition, an order, a limit.

use std::{cmp::Ordering, sync::Arc};

use serde::Serialize;

use super::{Column, Function, Kind, Refusal, RefusalKind, Told, Value};

/// A view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum View {
    /// What one may ask for.
    Roles,
    /// What one holds and held.
    Grants,
    /// What one asked for, and what one may decide.
    Requests,
    /// What is masked here.
    Masks,
    /// Who and where one is.
    Session,
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn number(name: &'static str) -> Column {
    Column { name, kind: Kind::Integer }
}

const fn time(name: &'static str) -> Column {
    Column { name, kind: Kind::Time }
}

const fn yes_or_no(name: &'static str) -> Column {
    Column { name, kind: Kind::Boolean }
}

impl View {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Roles, Self::Grants, Self::Requests, Self::Masks, Self::Session];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Roles => "roles",
            Self::Grants => "grants",
            Self::Requests => "requests",
            Self::Masks => "masks",
            Self::Session => "session",
        }
    }

    /// Its columns. None of their names is a reserved word of either server.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Roles => {
                const {
                    &[
                        text("role"),
                        yes_or_no("may_request"),
                        text("allow"),
                        text("tables"),
                        text("excluded"),
                        text("max_duration"),
                        text("break_glass"),
                        yes_or_no("export"),
                        number("max_rows"),
                        number("max_rows_affected"),
                        text("statement_timeout"),
                    ]
                }
            }
            Self::Grants => {
                const {
                    &[
                        number("id"),
                        text("state"),
                        text("user_name"),
                        text("role"),
                        text("statement"),
                        text("targets"),
                        time("starts"),
                        time("ends"),
                        yes_or_no("export"),
                        yes_or_no("unmask"),
                        number("request_id"),
                        text("review"),
                        text("note"),
                        number("max_rows_affected"),
                    ]
                }
            }
            Self::Requests => {
                const {
                    &[
                        number("id"),
                        text("state"),
                        text("user_name"),
                        text("role"),
                        text("statement"),
                        text("targets"),
                        text("duration"),
                        text("reason"),
                        yes_or_no("export"),
                        yes_or_no("unmask"),
                        time("created"),
                        text("waiting_for"),
                        number("grant_id"),
                        text("note"),
                        number("max_rows_affected"),
                    ]
                }
            }
            Self::Masks => const { &[text("column_glob"), text("mask"), text("in_predicates")] },
            Self::Session => {
                const {
                    &[
                        text("user_name"),
                        text("user_groups"),
                        text("target"),
                        text("session_id"),
                        text("listener"),
                        text("protocol"),
                        text("client"),
                        text("application"),
                        number("active_grants"),
                        text("version"),
                    ]
                }
            }
        }
    }

    /// The view called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|view| view.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|view| view.name()).collect();
            let refusal =
                Refusal::new(RefusalKind::UnknownRelation, format!("relation \"hallpass.{name}\" does not exist"));
            match Function::named(name) {
                Ok(function) => refusal.hint(format!("CALL {}", function.usage())),
                Err(_) => refusal.hint(format!("there are: {}", names.join(", "))),
            }
        })
    }

    /// The place of its column called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn column(self, name: &str) -> Result<usize, Refusal> {
        self.columns().iter().position(|column| column.name == name).ok_or_else(|| {
            let names: Vec<_> = self.columns().iter().map(|column| column.name).collect();
            let message = format!("column \"{name}\" of hallpass.{} does not exist", self.name());
            Refusal::new(RefusalKind::UnknownColumn, message).hint(format!("there are: {}", names.join(", ")))
        })
    }
}

/// A query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Query {
    /// Of what.
    pub view: View,
    /// What of it; never empty.
    pub selected: Vec<Selected>,
    /// Which rows.
    pub condition: Option<Condition>,
    /// In which order.
    pub order: Vec<Sort>,
    /// At most so many.
    pub limit: Option<Value>,
    /// Without the first so many.
    pub offset: Option<Value>,
}

/// One thing a query returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Selected {
    /// The column at this place of the view.
    Column(usize, Arc<str>),
    /// `count(*)`: then there is one row.
    Count(Arc<str>),
}

/// One step of ORDER BY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sort {
    /// The column at this place of the view.
    pub column: usize,
    /// Largest first.
    pub descending: bool,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Condition {
    /// All of them.
    All(Vec<Self>),
    /// Any of them.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// A column compared with a constant.
    Compare(usize, Test, Value),
    /// IS NULL.
    IsNull(usize),
    /// A column of yes and no by itself.
    IsTrue(usize),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Test {
    /// `=`
    Equal,
    /// `<>`
    Different,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Test {
    /// The comparison written `sign`.
    pub fn named(sign: &str) -> Option<Self> {
        Some(match sign {
            "=" => Self::Equal,
            "<>" | "!=" => Self::Different,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The same with its sides exchanged.
    #[must_use]
    pub fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Equal | Self::Different => self,
        }
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Different => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Condition {
    /// Whether a row fulfils it; `None`: unknown, as with NULL. `compare` orders the row's value at a place against a
    /// constant, and gives `None` where either is NULL.
    pub fn holds(
        &self,
        compare: &impl Fn(usize, &Value) -> Option<Ordering>,
        null: &impl Fn(usize) -> bool,
    ) -> Option<bool> {
        match self {
            Self::All(parts) => fold(parts.iter().map(|part| part.holds(compare, null)), false),
            Self::Any(parts) => fold(parts.iter().map(|part| part.holds(compare, null)), true),
            Self::Not(part) => part.holds(compare, null).map(|holds| !holds),
            Self::Compare(column, test, value) => compare(*column, value).map(|order| test.holds(order)),
            Self::IsNull(column) => Some(null(*column)),
            Self::IsTrue(column) => compare(*column, &Value::Boolean(true)).map(Ordering::is_eq),
        }
    }

    fn bound(&self, bind: &impl Fn(&Value) -> Value) -> Self {
        let all = |parts: &[Self]| parts.iter().map(|part| part.bound(bind)).collect();
        match self {
            Self::All(parts) => Self::All(all(parts)),
            Self::Any(parts) => Self::Any(all(parts)),
            Self::Not(part) => Self::Not(Box::new(part.bound(bind))),
            Self::Compare(column, test, value) => Self::Compare(*column, *test, bind(value)),
            Self::IsNull(_) | Self::IsTrue(_) => self.clone(),
        }
    }

    /// Each constant with what it is compared with.
    pub fn each_value(&self, view: View, visit: &mut impl FnMut(&Value, Kind)) {
        let kind_of = |column: &usize| view.columns().get(*column).map_or(Kind::Text, |column| column.kind);
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.each_value(view, visit);
                }
            }
            Self::Not(part) => part.each_value(view, visit),
            Self::Compare(column, _, value) => visit(value, kind_of(column)),
            Self::IsTrue(column) => visit(&Value::Boolean(true), kind_of(column)),
            Self::IsNull(_) => {}
        }
    }
}

/// Three-valued AND (`decisive` false) and OR (`decisive` true).
fn fold(parts: impl Iterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    let mut unknown = false;
    for part in parts {
        match part {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => unknown = true,
        }
    }
    (!unknown).then_some(!decisive)
}

impl Query {
    /// All of a view.
    pub fn all(view: View) -> Self {
        let named = |(place, column): (usize, &Column)| Selected::Column(place, column.name.into());
        let selected = view.columns().iter().enumerate().map(named).collect();
        Self { view, selected, condition: None, order: Vec::new(), limit: None, offset: None }
    }

    pub(super) fn told(&self) -> Vec<Told> {
        let told = |selected: &Selected| match selected {
            Selected::Column(place, name) => Told {
                name: Arc::clone(name),
                kind: self.view.columns().get(*place).map_or(Kind::Text, |column| column.kind),
            },
            Selected::Count(name) => Told { name: Arc::clone(name), kind: Kind::Integer },
        };
        self.selected.iter().map(told).collect()
    }

    pub(super) fn bound(&self, bind: &impl Fn(&Value) -> Value) -> Self {
        Self {
            condition: self.condition.as_ref().map(|condition| condition.bound(bind)),
            limit: self.limit.as_ref().map(bind),
            offset: self.offset.as_ref().map(bind),
            ..self.clone()
        }
    }

    pub(super) fn each_value(&self, visit: &mut impl FnMut(&Value, Kind)) {
        if let Some(condition) = &self.condition {
            condition.each_value(self.view, visit);
        }
        for value in self.limit.iter().chain(&self.offset) {
            visit(value, Kind::Integer);
        }
    }
}
