//! The procedures of the schema `hallpass`, called by CALL, by SELECT, or as a table.

use std::sync::Arc;

use serde::Serialize;

use super::{Column, Kind, Refusal, RefusalKind, Told, Value};

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Of what.
    pub function: Function,
    /// As many as were given: at least those that are required, at most all.
    pub arguments: Vec<Value>,
    /// What is to come back.
    pub form: Form,
}

/// How a procedure is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Form {
    /// `CALL …` or `SELECT * FROM …`: a row of [`RESULT`].
    Row,
    /// `SELECT …(…)`: one of its columns, under this name.
    Scalar(Arc<str>),
}

/// The columns of a call's row.
pub const RESULT: [Column; 5] = [
    Column { name: "request_id", kind: Kind::Integer },
    Column { name: "state", kind: Kind::Text },
    Column { name: "grant_id", kind: Kind::Integer },
    Column { name: "ends", kind: Kind::Time },
    Column { name: "message", kind: Kind::Text },
];

/// A procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Function {
    /// Asks for a role.
    Request,
    /// Asks for one statement.
    RequestStatement,
    /// Takes a role at once.
    BreakGlass,
    /// Returns when a request is decided.
    Wait,
    /// Approves a request.
    Approve,
    /// Rejects a request.
    Reject,
    /// Withdraws a request.
    Cancel,
    /// Asks for more time for a grant.
    Extend,
    /// Ends a grant.
    Revoke,
    /// Says that one has looked at a break-glass.
    Review,
}

/// An argument of a procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// What it is called in an error.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

const fn text(name: &'static str) -> Argument {
    Argument { name, kind: Kind::Text }
}

const fn number(name: &'static str) -> Argument {
    Argument { name, kind: Kind::Integer }
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Request,
        Self::RequestStatement,
        Self::BreakGlass,
        Self::Wait,
        Self::Approve,
        Self::Reject,
        Self::Cancel,
        Self::Extend,
        Self::Revoke,
        Self::Review,
    ];

    /// The one called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|function| function.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|function| function.name()).collect();
            Refusal::new(RefusalKind::UnknownFunction, format!("procedure hallpass.{name} does not exist"))
                .hint(format!("there are: {}", names.join(", ")))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::RequestStatement => "request_statement",
            Self::BreakGlass => "break_glass",
            Self::Wait => "wait",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Cancel => "cancel",
            Self::Extend => "extend",
            Self::Revoke => "revoke",
            Self::Review => "review",
        }
    }

    /// Its arguments, and how many of them have to be given.
    pub fn signature(self) -> (&'static [Argument], usize) {
        const REQUEST: &[Argument] = &[text("role"), text("duration"), text("reason")];
        const STATEMENT: &[Argument] = &[text("statement"), text("duration"), text("reason"), text("options")];
        const WAIT: &[Argument] = &[number("request"), text("timeout")];
        const APPROVE: &[Argument] = &[number("request"), text("duration"), text("comment")];
        const REJECT: &[Argument] = &[number("request"), text("reason")];
        const CANCEL: &[Argument] = &[number("request")];
        const EXTEND: &[Argument] = &[number("grant"), text("duration"), text("reason")];
        const REVOKE: &[Argument] = &[number("grant"), text("reason")];
        const REVIEW: &[Argument] = &[number("grant"), text("comment")];
        match self {
            Self::Request | Self::BreakGlass => (REQUEST, 3),
            Self::RequestStatement => (STATEMENT, 3),
            Self::Wait => (WAIT, 1),
            Self::Approve => (APPROVE, 1),
            Self::Reject => (REJECT, 1),
            Self::Cancel => (CANCEL, 1),
            Self::Extend => (EXTEND, 2),
            Self::Revoke => (REVOKE, 1),
            Self::Review => (REVIEW, 2),
        }
    }

    /// How it is called: `hallpass.wait(request [, timeout])`.
    pub fn usage(self) -> String {
        let (arguments, required) = self.signature();
        let mut usage = format!("hallpass.{}(", self.name());
        for (at, argument) in arguments.iter().enumerate() {
            usage.push_str(match (at, at < required) {
                (0, true) => "",
                (_, true) => ", ",
                (0, false) => "[",
                (_, false) => " [, ",
            });
            usage.push_str(argument.name);
        }
        usage.push_str(&"]".repeat(arguments.len() - required));
        usage.push(')');
        usage
    }

    /// Which column of [`RESULT`] is its value in a SELECT: what one goes on with.
    fn value(self) -> Column {
        let [request, state, grant, ..] = RESULT;
        match self {
            Self::Request | Self::RequestStatement | Self::Extend => request,
            Self::BreakGlass => grant,
            Self::Wait | Self::Approve | Self::Reject | Self::Cancel | Self::Revoke | Self::Review => state,
        }
    }
}

impl Call {
    /// A call of the procedure called `name`.
    ///
    /// # Errors
    /// When there is none, or the arguments are too few, too many, or of the wrong kind.
    pub fn new(name: &str, arguments: Vec<Value>, form: Form) -> Result<Self, Refusal> {
        let function = Function::named(name)?;
        let (known, required) = function.signature();
        let wrong = |what: String| {
            Err(Refusal::new(RefusalKind::UnknownFunction, what).hint(format!("CALL {}", function.usage())))
        };
        if arguments.len() < required || arguments.len() > known.len() {
            return wrong(format!("hallpass.{name} does not take {} arguments", arguments.len()));
        }
        for (argument, value) in known.iter().zip(&arguments) {
            let fits = match value {
                Value::Null | Value::Parameter(_) => true,
                Value::Text(text) => argument.kind == Kind::Text || text.trim().parse::<i64>().is_ok(),
                Value::Integer(_) => argument.kind == Kind::Integer,
                Value::Boolean(_) => false,
            };
            if !fits {
                return wrong(format!("argument {} of hallpass.{name} has the wrong type", argument.name));
            }
        }
        Ok(Self { function, arguments, form })
    }

    /// The same of arguments some of which are named, behind those that are not: `request('fixer', reason => 'why')`.
    ///
    /// # Errors
    /// As of [`Self::new`], and when a name is none of its arguments', or comes twice.
    pub fn with_names(name: &str, given: Vec<(Option<&str>, Value)>, form: Form) -> Result<Self, Refusal> {
        let function = Function::named(name)?;
        let wrong =
            |what: String| Refusal::new(RefusalKind::UnknownFunction, what).hint(format!("CALL {}", function.usage()));
        let (known, required) = function.signature();
        let mut placed: Vec<Option<Value>> = Vec::new();
        for (named, value) in given {
            let Some(named) = named else {
                placed.push(Some(value));
                continue;
            };
            let place = known.iter().position(|argument| argument.name == named);
            let place = place.ok_or_else(|| wrong(format!("hallpass.{name} has no argument {named}")))?;
            if placed.len() <= place {
                placed.resize(place + 1, None);
            }
            match placed.get_mut(place) {
                Some(free @ None) => *free = Some(value),
                _ => return Err(wrong(format!("argument {named} of hallpass.{name} is given twice"))),
            }
        }
        if let Some(missing) = (0..required).find(|place| matches!(placed.get(*place), Some(None))) {
            let argument = known.get(missing).map_or("", |argument| argument.name);
            return Err(wrong(format!("argument {argument} of hallpass.{name} is missing")));
        }
        // What is optional and left out is NULL.
        let arguments = placed.into_iter().map(|value| value.unwrap_or(Value::Null)).collect();
        Self::new(name, arguments, form)
    }

    /// The place in [`RESULT`] of each column that is told.
    pub fn places(&self) -> Vec<usize> {
        match &self.form {
            Form::Row => (0..RESULT.len()).collect(),
            Form::Scalar(_) => {
                let value = self.function.value();
                RESULT.iter().position(|column| *column == value).into_iter().collect()
            }
        }
    }

    /// The text argument at `place`; NULL and nothing are the same.
    pub fn text(&self, place: usize) -> Option<Arc<str>> {
        match self.arguments.get(place)? {
            Value::Text(text) => Some(Arc::clone(text)),
            Value::Integer(number) => Some(number.to_string().into()),
            Value::Boolean(yes) => Some(yes.to_string().into()),
            Value::Null | Value::Parameter(_) => None,
        }
    }

    /// The number at `place`.
    pub fn number(&self, place: usize) -> Option<i64> {
        match self.arguments.get(place)? {
            Value::Integer(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Null | Value::Boolean(_) | Value::Parameter(_) => None,
        }
    }

    pub(super) fn told(&self) -> Vec<Told> {
        match &self.form {
            Form::Row => RESULT.iter().map(|column| Told { name: column.name.into(), kind: column.kind }).collect(),
            Form::Scalar(name) => vec![Told { name: Arc::clone(name), kind: self.function.value().kind }],
        }
    }

    pub(super) fn bound(&self, bind: &impl Fn(&Value) -> Value) -> Self {
        Self { arguments: self.arguments.iter().map(bind).collect(), ..self.clone() }
    }

    pub(super) fn each_value(&self, visit: &mut impl FnMut(&Value, Kind)) {
        for (value, argument) in self.arguments.iter().zip(self.function.signature().0) {
            visit(value, argument.kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_says_what_is_optional() {
        let said: Vec<_> = [Function::Request, Function::Wait, Function::Approve].map(Function::usage).into();
        assert_eq!(
            said,
            [
                "hallpass.request(role, duration, reason)",
                "hallpass.wait(request [, timeout])",
                "hallpass.approve(request [, duration [, comment]])",
            ]
        );
    }

    #[test]
    fn arguments_may_be_named() {
        let call = |name, given| Call::with_names(name, given, Form::Row);
        let text = |text: &str| Value::Text(text.into());
        let named =
            call("request", vec![(None, text("fixer")), (Some("reason"), text("why")), (Some("duration"), text("1h"))]);
        assert_eq!(named.unwrap().arguments, [text("fixer"), text("1h"), text("why")]);
        let left_out = call("approve", vec![(Some("request"), Value::Integer(7)), (Some("comment"), text("quick"))]);
        assert_eq!(left_out.unwrap().arguments, [Value::Integer(7), Value::Null, text("quick")]);
        for (given, said) in [
            (vec![(Some("rle"), text("fixer"))], "hallpass.request has no argument rle"),
            (
                vec![(None, text("fixer")), (Some("role"), text("x"))],
                "argument role of hallpass.request is given twice",
            ),
            (vec![(Some("reason"), text("why"))], "argument role of hallpass.request is missing"),
            (vec![(Some("role"), text("fixer"))], "hallpass.request does not take 1 arguments"),
        ] {
            assert_eq!(call("request", given).unwrap_err().message, said);
        }
    }

    #[test]
    fn arguments_are_counted_and_typed() {
        let call = |name, arguments| Call::new(name, arguments, Form::Row).map_err(|refusal| refusal.message);
        assert!(call("wait", vec![Value::Integer(17)]).is_ok());
        assert!(call("wait", vec![Value::Text("17".into())]).is_ok());
        assert_eq!(call("wait", Vec::new()).unwrap_err(), "hallpass.wait does not take 0 arguments");
        let wrong = "argument request of hallpass.wait has the wrong type";
        assert_eq!(call("wait", vec![Value::Text("x".into())]).unwrap_err(), wrong);
        assert_eq!(call("drop", Vec::new()).unwrap_err(), "procedure hallpass.drop does not exist");
    }
}
