//! What the operators and functions of a condition take and give. A list: what is not on it is refused.

use cel::{
    Context, IdedExpr, Value,
    common::ast::{
        CallExpr, Expr, LiteralValue,
        operators::{
            ADD, CONDITIONAL, DIVIDE, EQUALS, GREATER, GREATER_EQUALS, IN, INDEX, LESS, LESS_EQUALS, LOGICAL_AND,
            LOGICAL_NOT, LOGICAL_OR, MODULO, MULTIPLY, NEGATE, NOT_EQUALS, NOT_STRICTLY_FALSE, SUBSTRACT,
        },
    },
};

use super::types::Type;

/// A call with the types of its operands.
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) target: Option<&'a Type>,
    pub(super) arguments: &'a [Type],
}

/// What is wrong with a call.
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) mend: String,
}

/// The functions there are, for a mend.
const KNOWN: &str = "has, exists, all, exists_one, map, filter, in, size, contains, startsWith, endsWith, matches, \
                     duration, timestamp, int, double, string, getFullYear, getMonth, getDate, getDayOfWeek, getHours, \
                     getMinutes, getSeconds";

/// The type of the result.
pub(super) fn result(call: &Call<'_>) -> Result<Type, Mistake> {
    match call.target {
        None => operator(call).or_else(|| function(call)),
        Some(target) => method(call, target),
    }
    .ok_or_else(|| mistake(call))
}

fn operator(call: &Call<'_>) -> Option<Type> {
    use Type::{Bool, Double, Duration, Int, Text, Timestamp};
    match (call.name, call.arguments) {
        (LOGICAL_AND | LOGICAL_OR, [Bool, Bool]) | (LOGICAL_NOT | NOT_STRICTLY_FALSE, [Bool]) => Some(Bool),
        (CONDITIONAL, [Bool, yes, no]) => yes.join(no),
        (EQUALS | NOT_EQUALS, [a, b]) if a.comparable(b) => Some(Bool),
        (LESS | LESS_EQUALS | GREATER | GREATER_EQUALS, [a, b]) if ordered(a, b) => Some(Bool),
        (ADD, [Timestamp, Duration] | [Duration, Timestamp]) | (SUBSTRACT, [Timestamp, Duration]) => Some(Timestamp),
        (ADD | SUBSTRACT, [Duration, Duration]) | (SUBSTRACT, [Timestamp, Timestamp]) => Some(Duration),
        (ADD, [Text, Text]) => Some(Text),
        (ADD, [Type::List(_), Type::List(_)]) => {
            let [a, b] = call.arguments else { return None };
            a.join(b)
        }
        (ADD | SUBSTRACT | MULTIPLY | DIVIDE, [a, b]) if a == b && a.is_number() => Some(a.clone()),
        (MODULO, [a, b]) if a == b && a.is_number() && *a != Double => Some(a.clone()),
        (NEGATE, [a @ (Int | Double)]) => Some(a.clone()),
        (INDEX, [Type::List(of), Int]) | (INDEX, [Type::Map(of), Text]) => Some(Type::clone(of)),
        (IN, [a, Type::List(of)]) if a.comparable(of) => Some(Bool),
        (IN, [Text, Type::Map(_)]) => Some(Bool),
        _ => None,
    }
}

fn ordered(a: &Type, b: &Type) -> bool {
    (a.is_number() && b.is_number())
        || (a == b && matches!(a, Type::Text | Type::Bytes | Type::Duration | Type::Timestamp))
}

fn function(call: &Call<'_>) -> Option<Type> {
    use Type::{Bool, Bytes, Double, Duration, Int, Text, Timestamp, Uint};
    match (call.name, call.arguments) {
        ("size", [Text | Bytes | Type::List(_) | Type::Map(_)]) => Some(Int),
        ("matches", [Text, Text]) => Some(Bool),
        ("duration", [Text]) => Some(Duration),
        ("timestamp", [Text]) => Some(Timestamp),
        ("int", [Int | Uint | Double | Text | Timestamp]) => Some(Int),
        ("uint", [Int | Uint | Double | Text]) => Some(Uint),
        ("double", [Int | Uint | Double | Text]) => Some(Double),
        ("string", [Bool | Int | Uint | Double | Text | Timestamp | Duration]) => Some(Text),
        _ => None,
    }
}

fn method(call: &Call<'_>, target: &Type) -> Option<Type> {
    use Type::{Bool, Bytes, Duration, Int, Text, Timestamp};
    match (call.name, target, call.arguments) {
        ("contains" | "startsWith" | "endsWith" | "matches", Text, [Text]) => Some(Bool),
        ("size", Text | Bytes | Type::List(_) | Type::Map(_), []) => Some(Int),
        ("getHours" | "getMinutes" | "getSeconds" | "getMilliseconds", Duration | Timestamp, []) => Some(Int),
        ("getHours" | "getMinutes" | "getSeconds" | "getMilliseconds", Timestamp, [Text]) => Some(Int),
        (
            "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek" | "getDayOfYear",
            Timestamp,
            [] | [Text],
        ) => Some(Int),
        _ => None,
    }
}

fn mistake(call: &Call<'_>) -> Mistake {
    let types: Vec<String> = call.arguments.iter().map(ToString::to_string).collect();
    let sign = call.name.trim_matches(['_', '@']);
    if call.name.starts_with(['_', '@', '!', '-']) {
        let mend = match call.arguments {
            [Type::Duration, Type::Int] => "compare with a duration: `duration(\"1h\")`",
            [Type::Timestamp, Type::Text] => "compare with a moment: `timestamp(\"2026-01-31T12:00:00Z\")`",
            _ => "compare values of the same type",
        };
        let message = match types.as_slice() {
            [one] => format!("`{sign}` does not take {one}"),
            several => format!("`{sign}` does not go between {}", several.join(" and ")),
        };
        return Mistake { message, mend: mend.into() };
    }
    let target = call.target.map(|target| format!("{target}.")).unwrap_or_default();
    let message = format!("there is no `{target}{}({})`", call.name, types.join(", "));
    Mistake { message, mend: format!("known here: {KNOWN}") }
}

/// Tries what depends on constants alone: a duration, a moment, a pattern or a time zone that is none is found now.
pub(super) fn try_constants(call: &CallExpr) -> Result<(), (String, String)> {
    let constant = |expression: &IdedExpr| matches!(expression.expr, Expr::Literal(_));
    let mend = match call.func_name.as_str() {
        "duration" => "write `duration(\"1h30m\")`: units are h, m, s, ms",
        "timestamp" => "write `timestamp(\"2026-01-31T12:00:00Z\")`",
        "matches" => "mend the regular expression",
        name if name.starts_with("get") => "name a time zone as in \"Europe/Berlin\"",
        _ => return Ok(()),
    };
    let Some(last) = call.args.last().filter(|last| constant(last)) else { return Ok(()) };
    let trial = match (call.func_name.as_str(), &call.target) {
        ("duration" | "timestamp", _) => call.clone(),
        ("matches", None) => CallExpr { args: vec![text(""), last.clone()], ..call.clone() },
        ("matches", Some(_)) => CallExpr { target: Some(Box::new(text(""))), ..call.clone() },
        _ => {
            let noon = call_of("timestamp", text("2026-01-31T12:00:00Z"));
            CallExpr { target: Some(Box::new(noon)), ..call.clone() }
        }
    };
    let trial = IdedExpr { id: 0, expr: Expr::Call(trial) };
    match Value::resolve(&trial, &Context::default()) {
        Ok(_) => Ok(()),
        Err(error) => Err((super::why(&error), mend.to_owned())),
    }
}

fn text(text: &str) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String(text.to_owned().into())) }
}

fn call_of(name: &str, argument: IdedExpr) -> IdedExpr {
    let call = CallExpr { func_name: name.to_owned(), target: None, args: vec![argument] };
    IdedExpr { id: 0, expr: Expr::Call(call) }
}
