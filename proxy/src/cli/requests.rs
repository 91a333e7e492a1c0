//! `hallpass request`, `requests`, `approve`, `reject`, `cancel`, `grants`, `revoke`.

use std::process::ExitCode;

use clap::{ArgGroup, Args};
use serde_json::json;

use super::{
    Auth, Client, Common,
    client::{Answer, encoded},
    failure::Failure,
    output,
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
    #[arg(long = "for", value_name = "DURATION")]
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
            databases: self.database,
            duration: self.duration,
            reason: self.reason,
        };
        let mut request: Answer<body::Request> = client.post("/requests", &body).await?;
        if self.wait && request.value.state == "pending" {
            output::note(&format!("request {} waits for {}", request.value.id, request.value.waiting_for));
            while request.value.state == "pending" {
                request = client.get(&format!("/requests/{}?wait=30s", request.value.id)).await?;
            }
        }
        tell(common, &request);
        let granted = request.value.state == "approved" || (request.value.state == "pending" && !self.wait);
        Ok(if granted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
        let found: Answer<Vec<body::Request>> = common.client(&self.auth)?.get(&path).await?;
        if common.json {
            output::json(&found.json);
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<_> = found
            .value
            .iter()
            .map(|request| {
                vec![
                    request.id.to_string(),
                    request.state.clone(),
                    request.user.clone(),
                    subject(request.role.as_ref(), request.statement.as_ref(), request.export, request.unmask)
                        + &bound(request.max_rows_affected),
                    request.databases.join(","),
                    request.duration.clone(),
                    output::time(&request.created),
                    if request.waiting_for.is_empty() { "-".to_owned() } else { request.waiting_for.clone() },
                    output::short(&request.reason, 40),
                ]
            })
            .collect();
        let heads = ["ID", "STATE", "USER", "FOR", "DATABASE", "DURATION", "ASKED", "WAITING FOR", "REASON"];
        output::table(&heads, &rows, "no requests");
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Approve {
    id: i64,
    /// For at most this long
    #[arg(long = "for", value_name = "DURATION")]
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
fn tell(common: &Common, answer: &Answer<body::Request>) {
    if common.json {
        output::json(&answer.json);
        return;
    }
    let request = &answer.value;
    let id = request.id;
    match (&request.grant, &request.note) {
        (Some(grant), _) => output::line(&format!(
            "request {id} is approved: grant {} for {} on {} until {}",
            grant.id,
            grant.user,
            grant.databases.join(","),
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

#[derive(Debug, Args)]
pub(super) struct Grants {
    /// Ended ones, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    auth: Auth,
}

impl Grants {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let path = format!("/grants?all={}", self.all);
        let found: Answer<Vec<body::Grant>> = common.client(&self.auth)?.get(&path).await?;
        if common.json {
            output::json(&found.json);
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<_> = found
            .value
            .iter()
            .map(|grant| {
                let revoked = grant.revoked_by.as_ref().map(|by| match &grant.note {
                    Some(note) => format!("by {by}: {}", output::short(note, 40)),
                    None => format!("by {by}"),
                });
                vec![
                    grant.id.to_string(),
                    grant.state.clone(),
                    grant.user.clone(),
                    subject(grant.role.as_ref(), grant.statement.as_ref(), grant.export, grant.unmask)
                        + &bound(grant.max_rows_affected),
                    grant.databases.join(","),
                    output::time(&grant.starts),
                    output::time(&grant.ends),
                    revoked.unwrap_or_else(|| "-".to_owned()),
                ]
            })
            .collect();
        let heads = ["ID", "STATE", "USER", "FOR", "DATABASE", "STARTED", "ENDS", "REVOKED"];
        output::table(&heads, &rows, "no grants");
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    id: i64,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    auth: Auth,
}

impl Revoke {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let body = body::Because { reason: self.reason };
        let client = common.client(&self.auth)?;
        let grant: Answer<body::Grant> = client.post(&format!("/grants/{}/revoke", self.id), &body).await?;
        if common.json {
            output::json(&grant.json);
        } else {
            output::line(&format!("grant {} of {} is {}", grant.value.id, grant.value.user, grant.value.state));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn subject(role: Option<&String>, statement: Option<&String>, export: bool, unmask: bool) -> String {
    let extras = [(export, " +export"), (unmask, " +unmask")];
    let extras: String = extras.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
    match (role, statement) {
        (Some(role), _) => format!("role {role}"),
        (None, Some(text)) => format!("{}{extras}", output::short(text, 50)),
        (None, None) => "-".to_owned(),
    }
}

/// How many rows a write may change: its approver sees it.
fn bound(rows: Option<u64>) -> String {
    rows.map_or_else(String::new, |rows| format!(" (at most {rows} rows changed)"))
}
