//! A notification as a webhook gets it: fields in JSON, or Slack's `text` and `blocks`. Words of users are data in both:
//! they format nothing, link nothing and call nobody.

use std::fmt::Write;

use hallpass_policy::grant;
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Action, Notification, Numbered};
use crate::config::{Format, units::human};

/// The longest headline of a block, characters.
const LONGEST_TITLE: usize = 500;

/// The body in the webhook's format.
///
/// # Errors
/// When it cannot be serialized, which would be a bug.
pub(super) fn of(numbered: &Numbered, format: Format) -> Result<Bytes, serde_json::Error> {
    let bytes = match format {
        Format::Json => serde_json::to_vec(&Generic {
            id: &numbered.id,
            text: line(&numbered.notification),
            fields: &numbered.notification,
        })?,
        Format::Slack => serde_json::to_vec(&slack(&numbered.notification))?,
    };
    Ok(bytes.into())
}

#[derive(Serialize)]
struct Generic<'a> {
    id: &'a str,
    /// The same for people.
    text: String,
    #[serde(flatten)]
    fields: &'a Notification,
}

/// What happened, in one line without any words of users.
fn headline(told: &Notification) -> String {
    let user = told.user.as_ref().map_or("somebody", |user| user.as_str());
    let by = told.by.as_ref().map_or(user, |by| by.as_str());
    let request = told.request_id.map_or_else(|| "a request".to_owned(), |id| format!("request {id}"));
    let grant = told.grant_id.map_or_else(|| "a grant".to_owned(), |id| format!("grant {id}"));
    let (what, time) = (what(told), told.duration.map(|time| format!(" for {}", human(time))).unwrap_or_default());
    let until = told.ends.map(|end| format!(", until {}", grant::at(end))).unwrap_or_default();
    let asked_by = if by == user { String::new() } else { format!(" (asked by {by})") };
    match told.action {
        Action::Asked => format!("{user} asks for {what}{time}{asked_by}: {request}"),
        Action::Changed => format!("{user} asks for {what}{time}{asked_by} now: {request} has changed"),
        Action::Approved => format!("{by} approved {request}, {what} for {user}{until}"),
        Action::Granted => format!("{request} needed no approval: {what} for {user}{until}"),
        Action::Rejected => format!("{by} rejected {request}, {what} for {user}"),
        Action::Cancelled => format!("{by} withdrew {request}, {what} for {user}"),
        Action::Lapsed => format!("{request} lapsed: {what} for {user}"),
        Action::Broken => {
            format!("BREAK-GLASS: {user} took {what}{asked_by}{until}; somebody else must review {grant}")
        }
        Action::Refused => format!("BREAK-GLASS REFUSED: {user} tried to take {what}{asked_by}"),
        Action::Reviewed => format!("{by} reviewed the break-glass of {user}: {grant}, {what}"),
        Action::Overdue => format!("BREAK-GLASS NOT REVIEWED in time: {grant} of {user}, {what}"),
        Action::Expired => format!("{grant} of {user} ended by time: {what}"),
        Action::Revoked => format!("{by} revoked {grant} of {user}: {what}"),
        Action::Failed => "AUDIT FAILURE".to_owned(),
    }
}

/// `role fixer on shop`, `one statement (shop.customers, unmask) on shop, eu`.
fn what(told: &Notification) -> String {
    let mut what = match (&told.role, &told.statement) {
        (Some(role), _) => format!("role {role}"),
        (None, Some(facts)) => {
            let mut parts = facts.tables.clone();
            parts.extend(facts.export.then(|| "export".to_owned()));
            parts.extend(facts.unmask.then(|| "unmask".to_owned()));
            parts.extend(facts.max_rows_affected.map(grant::bound_said));
            if parts.is_empty() { "one statement".to_owned() } else { format!("one statement ({})", parts.join(", ")) }
        }
        (None, None) => "access".to_owned(),
    };
    if !told.targets.is_empty() {
        let targets: Vec<_> = told.targets.iter().map(|target| target.as_str()).collect();
        // Writing to a String cannot fail.
        let _ = write!(what, " on {}", targets.join(", "));
    }
    if let Some(grant) = told.extends {
        let _ = write!(what, " (grant {grant} longer)");
    }
    what
}

/// Headline, reason and comment in one line.
fn line(told: &Notification) -> String {
    let mut line = headline(told);
    for more in [&told.reason, &told.comment].into_iter().flatten() {
        let _ = write!(line, "; {more}");
    }
    line
}

/// `text` is what notifications on a phone show, `blocks` what the channel does. Words of users are in `plain_text`, where
/// no markup counts; in `text` markup is switched off.
fn slack(told: &Notification) -> Value {
    // Names of tables are as long as they like, and a block holds 3000 characters at most.
    let title: String = tame(&headline(told)).chars().take(LONGEST_TITLE).collect();
    let mut blocks = vec![section(&json!({ "type": "mrkdwn", "text": format!("*{}*", escaped(&title)) }))];
    for (label, words) in [("Reason", &told.reason), ("Comment", &told.comment), ("Waits for", &told.waiting_for)] {
        if let Some(words) = words {
            let text = format!("{label}: {}", tame(words));
            blocks.push(section(&json!({ "type": "plain_text", "text": text, "emoji": false })));
        }
    }
    if !told.commands.is_empty() {
        let commands: Vec<_> = told.commands.iter().map(|command| format!("`{}`", escaped(command))).collect();
        blocks.push(json!({
            "type": "context",
            "elements": [{ "type": "mrkdwn", "text": commands.join("  or  ") }],
        }));
    }
    json!({ "text": escaped(&tame(&line(told))), "mrkdwn": false, "blocks": blocks })
}

fn section(text: &Value) -> Value {
    json!({ "type": "section", "text": text })
}

/// Slack's three control characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// In one line, without characters that turn the direction of writing, and with a space of no width after each `@`: what
/// is compatible with Slack takes `@channel` in plain text for a call.
fn tame(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '@' => out.push_str("@\u{200b}"),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hallpass_policy::ids::{GrantId, RequestId, RoleName, TargetName, Timestamp, UserName};

    use super::{super::StatementFacts, *};
    use crate::config::Topic;

    fn request(reason: &str) -> Numbered {
        let mut told = Notification::new(Topic::Request, Action::Asked, Timestamp(1_000_000));
        told.request_id = Some(RequestId(17));
        told.user = Some(UserName::new("alice"));
        told.targets = vec![TargetName::new("shop")];
        told.role = Some(RoleName::new("fixer"));
        told.duration = Some(Duration::from_secs(5400));
        told.reason = Some(reason.to_owned());
        told.waiting_for = Some("group:security".to_owned());
        told.commands = vec!["hallpass approve 17".to_owned(), "CALL hallpass.approve(17)".to_owned()];
        Numbered { id: "a-1".to_owned(), notification: told }
    }

    fn read(numbered: &Numbered, format: Format) -> Value {
        serde_json::from_slice(&of(numbered, format).unwrap()).unwrap()
    }

    #[test]
    fn fields_for_machines_and_a_line_for_people() {
        let expected = json!({
            "id": "a-1", "event": "request", "action": "asked", "at": "1970-01-01T00:00:01.000000Z",
            "text": "alice asks for role fixer on shop for 1h30m: request 17; INC-1 \"now\"",
            "request_id": 17, "user": "alice", "targets": ["shop"], "role": "fixer", "duration_seconds": 5400.0,
            "reason": "INC-1 \"now\"", "waiting_for": "group:security",
            "commands": ["hallpass approve 17", "CALL hallpass.approve(17)"],
        });
        assert_eq!(read(&request("INC-1 \"now\""), Format::Json), expected);
    }

    #[test]
    fn words_of_users_format_and_call_nothing_in_slack() {
        let words = "<!channel> @channel *bold*\n`approved` & \u{202e}x";
        let body = read(&request(words), Format::Slack);
        let tamed = "&lt;!channel&gt; @\u{200b}channel *bold* `approved` &amp; x";
        let text = format!("alice asks for role fixer on shop for 1h30m: request 17; {tamed}");
        assert_eq!((&body["text"], &body["mrkdwn"]), (&Value::from(text), &Value::from(false)));
        let blocks = body["blocks"].as_array().unwrap();
        let headline = json!({ "type": "mrkdwn", "text": "*alice asks for role fixer on shop for 1h30m: request 17*" });
        assert_eq!(blocks[0], json!({ "type": "section", "text": headline }));
        let plain = "Reason: <!channel> @\u{200b}channel *bold* `approved` & x";
        assert_eq!(blocks[1]["text"], json!({ "type": "plain_text", "text": plain, "emoji": false }));
        assert_eq!(blocks[2]["text"]["text"], "Waits for: group:security");
        let commands = "`hallpass approve 17`  or  `CALL hallpass.approve(17)`";
        assert_eq!(blocks[3]["elements"], json!([{ "type": "mrkdwn", "text": commands }]));
        assert_eq!(blocks.len(), 4);
    }

    #[test]
    fn a_statement_is_told_by_its_tables() {
        let mut numbered = request("INC-1");
        let told = &mut numbered.notification;
        told.role = None;
        let facts = StatementFacts {
            tables: vec!["shop.customers".to_owned()],
            export: false,
            unmask: true,
            max_rows_affected: Some(3),
        };
        told.statement = Some(facts);
        told.by = Some(UserName::new("root"));
        let expected = "alice asks for one statement (shop.customers, unmask, at most 3 rows changed) on shop for 1h30m \
                        (asked by root): request 17";
        assert_eq!(headline(told), expected);
    }

    #[test]
    fn every_action_has_its_words() {
        let mut numbered = request("INC-1");
        let told = &mut numbered.notification;
        told.by = Some(UserName::new("bob"));
        told.grant_id = Some(GrantId(3));
        told.ends = Some(Timestamp(61_000_000));
        let mut said = |action| {
            told.action = action;
            headline(told)
        };
        let cases = [
            (Action::Approved, "bob approved request 17, role fixer on shop for alice, until 1970-01-01 00:01:01Z"),
            (
                Action::Granted,
                "request 17 needed no approval: role fixer on shop for alice, until 1970-01-01 00:01:01Z",
            ),
            (Action::Rejected, "bob rejected request 17, role fixer on shop for alice"),
            (Action::Expired, "grant 3 of alice ended by time: role fixer on shop"),
            (Action::Revoked, "bob revoked grant 3 of alice: role fixer on shop"),
            (Action::Refused, "BREAK-GLASS REFUSED: alice tried to take role fixer on shop (asked by bob)"),
            (Action::Overdue, "BREAK-GLASS NOT REVIEWED in time: grant 3 of alice, role fixer on shop"),
        ];
        for (action, expected) in cases {
            assert_eq!(said(action), expected);
        }
    }
}
