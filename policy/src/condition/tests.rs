//! Conditions that work, conditions that are refused with their place, and conditions that fail.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ids::Timestamp;

fn variables() -> Variables {
    Variables::new([
        (
            "request",
            Type::record([
                ("requester", Type::Text),
                ("groups", Type::list(Type::Text)),
                ("duration", Type::Duration),
                ("unmask", Type::Bool),
                ("rows", Type::Int),
            ]),
        ),
        ("database", Type::record([("labels", Type::map(Type::Text))])),
        ("now", Type::Timestamp),
    ])
}

fn facts() -> Facts {
    let request = Fields::new()
        .text("requester", "alice")
        .texts("groups", ["oncall", "dev"])
        .duration("duration", Duration::from_secs(3600))
        .flag("unmask", false)
        .number("rows", 7);
    let database = Fields::new().map("labels", [("environment", "staging")]);
    // A Saturday.
    let now = Timestamp(1_769_860_800_000_000);
    Facts::new().with("request", request).with("database", database).at("now", now)
}

fn holds(text: &str) -> Result<bool, Failure> {
    Condition::compile(text, &variables()).unwrap_or_else(|fault| panic!("{text}: {fault:?}")).holds(&facts())
}

#[test]
fn conditions_hold_or_do_not() {
    for (text, expected) in [
        ("true", true),
        ("request.requester == \"alice\" && !request.unmask", true),
        ("request.duration <= duration(\"1h\")", true),
        ("request.duration < duration('60m')", false),
        ("database.labels.environment == \"staging\"", true),
        ("database.labels['environment'] in ['staging', 'test']", true),
        ("has(database.labels.team) && database.labels.team == 'a'", false),
        ("'team' in database.labels", false),
        ("request.groups.exists(g, g.startsWith('on'))", true),
        ("request.groups.all(g, size(g) > 3)", false),
        ("request.groups.map(g, g + '!').filter(g, g.contains('dev')) == ['dev!']", true),
        ("request.groups.exists_one(g, g == 'dev')", true),
        ("request.rows + 1 > 7 ? request.rows == 7 : false", true),
        ("now.getDayOfWeek() == 6 && now.getHours('Europe/Berlin') == 13", true),
        ("now - timestamp('2026-01-31T00:00:00Z') == duration('12h')", true),
        ("request.requester.matches('^al')", true),
        ("'oncall' in request.groups", true),
    ] {
        assert_eq!(holds(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    for (text, place, message) in [
        ("request.durtion < duration('1h')", ".durtion < duration('1h')", "unknown field `durtion`"),
        ("reqest.unmask", "reqest.unmask", "unknown name `reqest`"),
        ("false && request.duration < 3600", "< 3600", "`<` does not go between duration and int"),
        ("request.requester", ".requester", "a condition must be true or false, this is string"),
        ("request.unmask == 'yes'", "== 'yes'", "`==` does not go between bool and string"),
        ("request.groups == 'oncall'", "== 'oncall'", "`==` does not go between list(string) and string"),
        ("request.requester.lower() == 'a'", "() == 'a'", "there is no `string.lower()`"),
        ("true || now > timestamp('yesterday')", "('yesterday')", "`timestamp`: "),
        ("request.duration < duration('1 hour')", "('1 hour')", "is no duration"),
        ("request.requester.matches('(')", "('(')", "`matches`: "),
        ("now.getHours('Mars/Base') > 1", "('Mars/Base') > 1", "`timezone`: "),
        ("request.groups.exists(g, g > 1)", "> 1)", "`>` does not go between string and int"),
        ("request.unmask ==", "", "is no condition: mismatched input `<EOF>`"),
        ("['a', 1] == []", "1] == []", "string and int in one list or map"),
        ("!request.requester", "!request.requester", "`!` does not take string"),
        ("request.unmask.x", ".x", "bool has no field `x`"),
        ("dyn(1) == 2", "(1) == 2", "there is no `dyn(int)`"),
        ("google.protobuf.Duration{seconds: 1} == now", "{seconds: 1} == now", "this part of CEL has no use here"),
    ] {
        let fault = Condition::compile(text, &variables()).expect_err(text);
        assert!(fault.message.starts_with(message), "{text}: {fault:?}");
        assert_eq!(text.get(fault.at..), Some(place), "{text}: {fault:?}");
        assert!(!fault.mend.is_empty(), "{text}");
    }
    assert!(Condition::compile(&"a".repeat(5000), &variables()).is_err());
}

#[test]
fn deep_conditions_are_refused_and_do_no_harm() {
    let refused = |text: String| Condition::compile(&text, &variables()).is_err();
    for deep in [
        format!("{}true{}", "(".repeat(900), ")".repeat(900)),
        format!("{}true{}", "[".repeat(900), "]".repeat(900)),
        format!("{}1 == 1", "-(".repeat(1000)),
        format!("1{} == 1", "+1".repeat(1900)),
        format!("now{}", ".a".repeat(1900)),
        format!("true{}", "?true:true".repeat(300)),
        format!("'a'{}", ".size()".repeat(500)),
    ] {
        assert!(refused(deep));
    }
    assert_eq!(holds(&format!("true{}", " && true".repeat(400))), Ok(true));
    assert_eq!(holds(&format!("1{} == 31", "+1".repeat(30))), Ok(true));
}

#[test]
fn what_is_missing_is_a_failure_and_no_answer() {
    let failure = holds("database.labels.team != 'a'").expect_err("no label");
    assert_eq!(failure.reason, "there is no `team`");
    assert_eq!(
        failure.to_string(),
        "the condition `database.labels.team != 'a'` cannot be evaluated: there is no `team`"
    );
    assert!(holds("request.groups[5] == 'a'").is_err());
    assert!(holds("request.rows / (request.rows - 7) == 1").is_err());
    // What decides without the failing part is an answer, in either order.
    assert_eq!(holds("database.labels.team == 'a' || request.rows == 7"), Ok(true));
    let needs = |text| Condition::compile(text, &variables()).expect(text).required_keys().len();
    assert_eq!(needs("database.labels.team == 'a'"), 1);
    assert_eq!(needs("database.labels['team'] == 'a'"), 1);
    assert_eq!(needs("has(database.labels.team) && database.labels.team == 'a'"), 0);
    assert_eq!(needs("'team' in database.labels && database.labels['team'] == 'a'"), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is checked is evaluated to an answer or a failure of values, never of types.
    #[test]
    fn what_is_checked_never_fails_for_its_types(text in expression()) {
        if let Ok(condition) = Condition::compile(&text, &variables())
            && let Err(failure) = condition.holds(&facts())
        {
            let types = ["overload", "Undeclared", "Unexpected type", "Unsupported", "not supported"];
            prop_assert!(!types.iter().any(|word| failure.reason.contains(word)), "{failure}");
        }
    }

    #[test]
    fn any_text_is_compiled_or_refused(text in "\\PC{0,40}") {
        let _ = Condition::compile(&text, &variables());
    }
}

/// Texts that look like conditions, most of them with operands that do not fit.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "request.requester",
        "request.groups",
        "request.duration",
        "request.unmask",
        "request.rows",
        "now",
        "database.labels",
        "database.labels.environment",
        "1",
        "2u",
        "1.5",
        "'a'",
        "true",
        "null",
        "[]",
        "['a']",
        "duration('1h')",
        "timestamp('2026-01-31T00:00:00Z')",
        "{'a': 1}",
        "b'x'",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let sign = prop::sample::select(vec!["==", "!=", "<", ">=", "+", "-", "*", "/", "%", "in", "&&", "||"]);
        let method = prop::sample::select(vec!["size()", "getHours()", "getFullYear()", "contains('a')"]);
        prop_oneof![
            (inner.clone(), sign, inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            (inner.clone(), method).prop_map(|(a, method)| format!("{a}.{method}")),
            inner.clone().prop_map(|a| format!("!{a}")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.clone().prop_map(|a| format!("string({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.exists(x, x == {b})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}
