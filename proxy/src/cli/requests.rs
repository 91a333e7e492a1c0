//! `hallpass request`, `requests`, `approve`, `reject`, `cancel`. Grants are in `grants`.

use std::process::ExitCode;

use clap::{ArgGroup, Args};
use hallpass_policy::grant::bound_said;
use serde_json::json;

use super::{
    Auth, Client, Common,
    client::{Answer, encoded},
    failure::Failure,
    output, typed,
};
use crate::api::body;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("subject").required(true).args(["role", "statement"])))]
pub(super) struct Request {
    /// The role to ask for
    #[arg(long)]
    role: Option<String>,
    /// Or exactly one statement
    #[arg(long, value_name = "SQL")]
    statement: Option<String>,
    /// Where; may be repeated
    #[arg(long, required = true, value_name = "NAME")]
    database: Vec<String>,
    /// For how long, from the approval on: 30m, 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = typed::duration)]
    duration: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// With a statement: bulk reads, too
    #[arg(long, requires = "statement")]
    export: bool,
    /// With a statement: show masked columns
    #[arg(long, requires = "statement")]
    unmask: bool,
    /// With a statement that writes: how many rows at most [default: as `[statements]` says]
    #[arg(long, requires = "statement", value_name = "ROWS")]
    max_rows_affected: Option<u64>,
    /// Wait until the request is decided; exit 0 only if it is approved
    #[arg(long)]
    wait: bool,
    /// For whom; only an admin may ask for another
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    auth: Auth,
}

impl Request {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let client = common.client(&self.auth)?;
        let body = body::Ask {
            user: self.user,
            role: self.role,
            statement: self.statement,
            export: self.export,
            unmask: self.unmask,
            max_rows_affected: self.max_rows_affected,
            databases: self.database,
            duration: self.duration,
            reason: self.reason,
        };
        let request = client.post("/requests", &body).await?;
        follow(common, &client, request, self.wait).await
    }
}

#[derive(Debug, Args)]
pub(super) struct Requests {
    /// Only those that wait for a decision
    #[arg(long)]
    pending: bool,
    /// Only this user's
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    auth: Auth,
}

impl Requests {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let mut path = format!("/requests?pending={}", self.pending);
        if let Some(user) = self.user {
            path.push_str(&format!("&user={}", encoded(&user)));
        }
        let found: Answer<Vec<body::Request>> = common.client(&self.auth)?.all(&path).await?;
        if common.json {
            output::json(&found.json);
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<_> = found
            .value
            .iter()
            .map(|request| {
                let cells = vec![
                    request.id.to_string(),
                    request.state.clone(),
                    request.user.clone(),
                    wanted(request),
                    request.databases.join(","),
                    request.duration.clone(),
                    output::time(&request.created),
                    if request.waiting_for.is_empty() { "-".to_owned() } else { request.waiting_for.clone() },
                    output::short(&request.reason, 40),
                ];
                (cells, request.statement.as_deref())
            })
            .collect();
        let heads = ["ID", "STATE", "USER", "FOR", "DATABASE", "DURATION", "ASKED", "WAITING FOR", "REASON"];
        output::table_of_texts(&heads, &rows, "no requests");
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Approve {
    id: i64,
    /// For at most this long
    #[arg(long = "for", value_name = "DURATION", value_parser = typed::duration)]
    duration: Option<String>,
    /// What to say about it
    #[arg(long)]
    comment: Option<String>,
    #[command(flatten)]
    auth: Auth,
}

impl Approve {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let body = body::Approve { duration: self.duration, comment: self.comment };
        decide(common, &self.auth, &format!("/requests/{}/approve", self.id), &body).await
    }
}

#[derive(Debug, Args)]
pub(super) struct Reject {
    id: i64,
    /// Why
    #[arg(long, visible_alias = "comment")]
    reason: Option<String>,
    #[command(flatten)]
    auth: Auth,
}

impl Reject {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let body = body::Because { reason: self.reason };
        decide(common, &self.auth, &format!("/requests/{}/reject", self.id), &body).await
    }
}

#[derive(Debug, Args)]
pub(super) struct Cancel {
    id: i64,
    #[command(flatten)]
    auth: Auth,
}

impl Cancel {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        decide(common, &self.auth, &format!("/requests/{}/cancel", self.id), &json!({})).await
    }
}

/// Tells what became of a question, when it is decided if that is wanted; only an approval is a success then.
pub(super) async fn follow(
    common: &Common,
    client: &Client,
    mut request: Answer<body::Request>,
    wait: bool,
) -> Result<ExitCode, Failure> {
    if wait && request.value.state == "pending" {
        output::note(&format!("request {} waits for {}", request.value.id, request.value.waiting_for));
        while request.value.state == "pending" {
            request = client.get(&format!("/requests/{}?wait=30s", request.value.id)).await?;
        }
    }
    tell(common, &request);
    let granted = request.value.state == "approved" || (request.value.state == "pending" && !wait);
    Ok(if granted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn decide(
    common: &Common,
    auth: &Auth,
    path: &str,
    body: &(impl serde::Serialize + Sync),
) -> Result<ExitCode, Failure> {
    let client: Client = common.client(auth)?;
    let request: Answer<body::Request> = client.post(path, body).await?;
    tell(common, &request);
    Ok(ExitCode::SUCCESS)
}

/// What became of a request, and what to type next.
pub(super) fn tell(common: &Common, answer: &Answer<body::Request>) {
    if common.json {
        output::json(&answer.json);
        return;
    }
    let request = &answer.value;
    let id = request.id;
    match (&request.grant, &request.note) {
        (Some(grant), _) => output::line(&format!(
            "request {id} is approved: grant {} for {} on {} {} {}",
            grant.id,
            grant.user,
            grant.databases.join(","),
            if request.extends.is_some() { "lasts until" } else { "until" },
            output::time(&grant.ends)
        )),
        (None, _) if request.state == "pending" => {
            output::line(&format!("request {id} is pending, waiting for {}", request.waiting_for));
            output::line(&format!("to approve it: hallpass approve {id}"));
        }
        (None, Some(note)) => output::line(&format!("request {id} is {}: {}", request.state, output::short(note, 200))),
        (None, None) => output::line(&format!("request {id} is {}", request.state)),
    }
}

/// What a request is for: a role, a statement, or more time for a grant.
fn wanted(request: &body::Request) -> String {
    let longer = request.extends.map_or_else(String::new, |grant| format!("grant {grant} longer, "));
    let glass = if request.break_glass { " (break-glass)" } else { "" };
    let what = subject(request.role.as_ref(), request.statement.as_ref(), request.export, request.unmask);
    format!("{longer}{what}{glass}{}", bound(request.max_rows_affected))
}

/// A role by its name; a statement stands whole below its row.
pub(super) fn subject(role: Option<&String>, statement: Option<&String>, export: bool, unmask: bool) -> String {
    let extras = [(export, " +export"), (unmask, " +unmask")];
    let extras: String = extras.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
    match (role, statement) {
        (Some(role), _) => format!("role {role}"),
        (None, Some(_)) => format!("statement{extras}"),
        (None, None) => "-".to_owned(),
    }
}

/// How many rows a write may change: its approver sees it.
pub(super) fn bound(rows: Option<u64>) -> String {
    rows.map_or_else(String::new, |rows| format!(" ({})", bound_said(rows)))
}
