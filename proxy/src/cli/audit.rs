//! `hallpass audit …`. Without a running proxy it reads `audit.db` itself.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use hallpass_audit::{
    query::{AuditReader, Count, EventRow},
    sqlite::COLUMNS,
    verify::{Report, verify},
};
use serde::Serialize;
use serde_json::Value;

use super::{Auth, Client, Common, client::encoded, failure::Failure, output, serve::with_causes, typed};
use crate::{api::audit::EventParams, clock::Clock};

/// How often `tail --follow` looks.
const POLL: Duration = Duration::from_secs(1);

/// Events that an export asks for at once.
const PAGE: u64 = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// The last events
    Tail(Tail),
    /// Events that match
    Search(Box<Search>),
    /// All events that match, oldest first, one line each, for other tools
    Export(Box<Export>),
    /// Check the hash chain and that every outcome has its attempt
    Verify(Auth),
    /// Events by day, user and kind
    Stats(Auth),
}

#[derive(Debug, Args)]
pub(super) struct Tail {
    /// How many
    #[arg(short = 'n', long, default_value_t = 20)]
    count: u32,
    /// Go on with those that come
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    auth: Auth,
}

#[derive(Debug, Args)]
pub(super) struct Search {
    /// Contained in statement or reason
    text: Option<String>,
    #[arg(long)]
    user: Option<String>,
    #[arg(long)]
    database: Option<String>,
    /// attempt, denied, outcome, request, approval, grant_start, …
    #[arg(long)]
    kind: Option<String>,
    /// Of one grant: how it was asked for and decided, and what was done under it
    #[arg(long)]
    grant: Option<i64>,
    #[arg(long)]
    session: Option<String>,
    /// Not before: a date, a time, or a duration ago
    #[arg(long, value_parser = typed::moment)]
    since: Option<String>,
    /// Before
    #[arg(long, value_parser = typed::moment)]
    until: Option<String>,
    /// At most so many events [default: all of them]
    #[arg(long)]
    limit: Option<u32>,
    #[command(flatten)]
    auth: Auth,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// A JSON object a line, or comma-separated values with a line of names
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    #[command(flatten)]
    search: Search,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

/// The columns of `events`, in their order.
fn columns() -> impl Iterator<Item = &'static str> {
    COLUMNS.into_iter().chain(["prev_hash", "hash"])
}

/// Where the audit is read.
enum Source {
    Proxy(Client),
    Folder(std::path::PathBuf),
}

impl Audit {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let auth = match &self {
            Self::Tail(tail) => &tail.auth,
            Self::Search(search) => &search.auth,
            Self::Export(export) => &export.search.auth,
            Self::Verify(auth) | Self::Stats(auth) => auth,
        };
        let client = common.client(auth)?;
        let source = match client.get::<Value>("/health").await {
            Err(failure) if failure.nobody_there => Source::Folder(common.data_dir()?),
            Err(failure) => return Err(failure),
            Ok(_) => Source::Proxy(client),
        };
        match self {
            Self::Tail(tail) => tail.show(&source, common).await,
            Self::Search(search) => {
                let params = search.params();
                show(common, &events(&source, &params).await?);
                Ok(ExitCode::SUCCESS)
            }
            Self::Export(export) => export.write(&source).await,
            Self::Verify(_) => check(&source, common).await,
            Self::Stats(_) => stats(&source, common).await,
        }
    }
}

impl Tail {
    async fn show(&self, source: &Source, common: &Common) -> Result<ExitCode, Failure> {
        let params = EventParams { last: Some(self.count), ..EventParams::default() };
        let mut found = events(source, &params).await?;
        let mut seen = 0;
        loop {
            if let Some(last) = found.last() {
                seen = last.seq();
            }
            // While following, an empty turn prints nothing.
            if !found.is_empty() || !self.follow {
                show(common, &found);
            }
            if !self.follow {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(POLL).await;
            found = events(source, &EventParams { after: Some(seen), ..EventParams::default() }).await?;
        }
    }
}

impl Search {
    fn params(self) -> EventParams {
        EventParams {
            user: self.user,
            database: self.database,
            kind: self.kind,
            grant: self.grant,
            session: self.session,
            text: self.text,
            since: self.since,
            until: self.until,
            after: None,
            last: None,
            limit: self.limit,
        }
    }
}

impl Export {
    /// Page by page, so that neither side holds them all.
    async fn write(self, source: &Source) -> Result<ExitCode, Failure> {
        if self.format == Format::Csv {
            output::line(&columns().collect::<Vec<_>>().join(","));
        }
        let limit = self.search.limit;
        let mut params = self.search.params();
        let mut left = limit.map_or(u64::MAX, u64::from);
        while left > 0 {
            params.limit = Some(u32::try_from(left.min(PAGE)).unwrap_or(u32::MAX));
            let found = events(source, &params).await?;
            let Some(last) = found.last() else { break };
            params.after = Some(last.seq());
            for event in &found {
                match self.format {
                    Format::Jsonl => output::line(&event.0.to_string()),
                    Format::Csv => {
                        let fields: Vec<_> = columns().map(|column| event.csv(column)).collect();
                        output::line(&fields.join(","));
                    }
                }
            }
            left -= u64::try_from(found.len()).unwrap_or(left).min(left);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One event, as JSON: the API's, or the folder's own.
struct Shown(Value);

impl Shown {
    fn seq(&self) -> i64 {
        self.0.get("seq").and_then(Value::as_i64).unwrap_or(0)
    }

    /// A field as RFC 4180 wants it: empty for NULL, in quotes where it holds more than a plain word.
    fn csv(&self, key: &str) -> String {
        let text = match self.0.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => return String::new(),
            Some(other) => other.to_string(),
        };
        if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    }

    fn text(&self, key: &str) -> String {
        match self.0.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => "-".to_owned(),
            Some(other) => other.to_string(),
        }
    }
}

async fn events(source: &Source, params: &EventParams) -> Result<Vec<Shown>, Failure> {
    let found: Vec<Value> = match (source, params.limit) {
        (Source::Proxy(client), Some(_)) => client.get(&format!("/audit/events{}", query(params)?)).await?.value,
        (Source::Proxy(client), None) => client.all(&format!("/audit/events{}", query(params)?)).await?.value,
        (Source::Folder(folder), _) => {
            let reader = AuditReader::open(folder).map_err(|error| Failure::failed(with_causes(&error)))?;
            stored(&reader, params.clone())?.iter().map(value).collect::<Result<_, _>>()?
        }
    };
    Ok(found.into_iter().map(Shown).collect())
}

/// The folder's own events: all that match, unless a limit was typed.
fn stored(reader: &AuditReader, mut params: EventParams) -> Result<Vec<EventRow>, Failure> {
    let (now, mut found) = (Clock::system().now(), Vec::new());
    loop {
        let page = params.ask(reader, now)?;
        params.after = page.items.last().map(|event| event.seq).or(params.after);
        found.extend(page.items);
        if !page.more || params.limit.is_some() {
            return Ok(found);
        }
    }
}

/// The parameters as a query string.
fn query(params: &EventParams) -> Result<String, Failure> {
    let Value::Object(fields) = value(params)? else { return Ok(String::new()) };
    let pairs: Vec<_> = fields
        .iter()
        .map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{key}={}", encoded(&text))
        })
        .collect();
    Ok(if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) })
}

fn value(of: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|error| Failure::failed(format!("an event cannot be shown: {error}")))
}

fn show(common: &Common, found: &[Shown]) {
    if common.json {
        output::json(&found.iter().map(|event| event.0.clone()).collect());
        return;
    }
    let rows: Vec<_> = found
        .iter()
        .map(|event| {
            let (statement, reason) = (event.text("statement"), event.text("reason"));
            let what = match (statement.as_str(), reason.as_str()) {
                ("-", reason) => output::short(reason, 80),
                (statement, "-") => output::short(statement, 80),
                (statement, reason) => format!("{} ({})", output::short(statement, 60), output::short(reason, 60)),
            };
            vec![
                event.text("seq"),
                output::time(&event.text("at")),
                event.text("kind"),
                event.text("user"),
                event.text("target"),
                event.text("grant_id"),
                event.text("rows"),
                event.text("masked_columns"),
                what,
            ]
        })
        .collect();
    let heads = ["SEQ", "AT", "KIND", "USER", "DATABASE", "GRANT", "ROWS", "MASKED", "STATEMENT OR REASON"];
    output::table(&heads, &rows, "no events");
}

async fn check(source: &Source, common: &Common) -> Result<ExitCode, Failure> {
    let report = match source {
        Source::Proxy(client) => client.get::<Value>("/audit/verify").await?.json,
        Source::Folder(folder) => {
            let report: Report = verify(folder).map_err(|error| Failure::failed(with_causes(&error)))?;
            let mut shown = value(&report)?;
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("intact".to_owned(), report.is_intact().into());
            }
            shown
        }
    };
    let intact = report.get("intact").and_then(Value::as_bool).unwrap_or(false);
    if common.json {
        output::json(&report);
    } else {
        let rows = report.get("rows").and_then(Value::as_i64).unwrap_or(0);
        let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
        output::line(&format!(
            "{rows} {}, last hash {}",
            if rows == 1 { "event" } else { "events" },
            Shown(report.clone()).text("last_hash")
        ));
        if let Some(message) = report.pointer("/first_break/message").and_then(Value::as_str) {
            output::line(&format!("the chain breaks at event {}: {message}", number("/first_break/seq")));
        }
        for (pointer, one, many) in [
            ("/missing_outcomes/count", "attempt has no outcome", "attempts have no outcome"),
            ("/orphan_outcomes/count", "outcome has no attempt", "outcomes have no attempt"),
            ("/repeated_outcomes/count", "outcome repeats an earlier one", "outcomes repeat an earlier one"),
            ("/open_attempts", "attempt is in progress", "attempts are in progress"),
            ("/journal/events", "event waits in the journal", "events wait in the journal"),
        ] {
            match number(pointer) {
                ..1 => {}
                1 => output::line(&format!("1 {one}")),
                count => output::line(&format!("{count} {many}")),
            }
        }
        for file in report.pointer("/journal/damaged").and_then(Value::as_array).into_iter().flatten() {
            output::line(&format!("damaged journal file: {file}"));
        }
        output::line(if intact { "intact" } else { "NOT intact" });
    }
    Ok(if intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn stats(source: &Source, common: &Common) -> Result<ExitCode, Failure> {
    let found: Vec<Value> = match source {
        Source::Proxy(client) => client.get("/audit/stats").await?.value,
        Source::Folder(folder) => {
            let reader = AuditReader::open(folder).map_err(|error| Failure::failed(with_causes(&error)))?;
            let counts: Vec<Count> = reader.stats().map_err(|error| Failure::failed(with_causes(&error)))?;
            counts.iter().map(value).collect::<Result<_, _>>()?
        }
    };
    if common.json {
        output::json(&Value::Array(found));
        return Ok(ExitCode::SUCCESS);
    }
    let keys = ["day", "user", "kind", "events", "rows"];
    let row = |count: Value| keys.iter().map(|key| Shown(count.clone()).text(key)).collect();
    let rows: Vec<Vec<String>> = found.into_iter().map(row).collect();
    output::table(&["DAY", "USER", "KIND", "EVENTS", "ROWS"], &rows, "no events");
    Ok(ExitCode::SUCCESS)
}
