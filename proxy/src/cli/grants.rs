//! `hallpass grants`, `extend`, `revoke`, `break-glass`, `review`.

use std::process::ExitCode;

use clap::Args;

use super::{
    Auth, Common,
    client::Answer,
    failure::Failure,
    output,
    requests::{bound, follow, subject},
    typed,
};
use crate::api::body;

#[derive(Debug, Args)]
pub(super) struct Grants {
    /// Ended ones, too; a break-glass that awaits a review is always listed
    #[arg(long)]
    all: bool,
    /// Only those that await a review
    #[arg(long, conflicts_with = "all")]
    unreviewed: bool,
    #[command(flatten)]
    auth: Auth,
}

impl Grants {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let path = if self.unreviewed { "/grants?review=due".to_owned() } else { format!("/grants?all={}", self.all) };
        let found: Answer<Vec<body::Grant>> = common.client(&self.auth)?.all(&path).await?;
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
                let cells = vec![
                    grant.id.to_string(),
                    grant.state.clone(),
                    grant.user.clone(),
                    subject(grant.role.as_ref(), grant.statement.as_ref(), grant.export, grant.unmask)
                        + &bound(grant.max_rows_affected),
                    grant.databases.join(","),
                    output::time(&grant.starts),
                    output::time(&grant.ends),
                    revoked.unwrap_or_else(|| "-".to_owned()),
                    reviewed(grant),
                ];
                (cells, grant.statement.as_deref())
            })
            .collect();
        let heads = ["ID", "STATE", "USER", "FOR", "DATABASE", "STARTED", "ENDS", "REVOKED", "REVIEW"];
        output::table_of_texts(&heads, &rows, "no grants");
        for grant in found.value.iter().filter(|grant| is_due(grant)) {
            output::note(&format!("grant {} was a break-glass of {}; {}", grant.id, grant.user, ask_for_review(grant)));
        }
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

#[derive(Debug, Args)]
pub(super) struct Extend {
    id: i64,
    /// How much longer: 30m, 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = typed::duration)]
    duration: String,
    /// Why [default: the reason of the grant's request]
    #[arg(long)]
    reason: Option<String>,
    /// Wait until it is decided; exit 0 only if it is approved
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    auth: Auth,
}

impl Extend {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let body = body::Extend { duration: self.duration, reason: self.reason };
        let client = common.client(&self.auth)?;
        let request = client.post(&format!("/grants/{}/extend", self.id), &body).await?;
        follow(common, &client, request, self.wait).await
    }
}

#[derive(Debug, Args)]
pub(super) struct BreakGlass {
    /// The role
    #[arg(long)]
    role: String,
    /// Where; may be repeated
    #[arg(long, required = true, value_name = "NAME")]
    database: Vec<String>,
    /// For how long [default: as long as the role's break_glass allows]
    #[arg(long = "for", value_name = "DURATION", value_parser = typed::duration)]
    duration: Option<String>,
    /// Why
    #[arg(long)]
    reason: String,
    /// For whom; only an admin may do it for another
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    auth: Auth,
}

impl BreakGlass {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let body = body::BreakGlass {
            user: self.user,
            role: self.role,
            databases: self.database,
            duration: self.duration,
            reason: self.reason,
        };
        let made: Answer<body::Request> = common.client(&self.auth)?.post("/break-glass", &body).await?;
        if common.json {
            output::json(&made.json);
            return Ok(ExitCode::SUCCESS);
        }
        let Some(grant) = &made.value.grant else {
            return Err(Failure::failed(format!("request {} made no grant", made.value.id)));
        };
        output::line(&format!(
            "the glass is broken: grant {} for {} on {} until {}",
            grant.id,
            grant.user,
            grant.databases.join(","),
            output::time(&grant.ends)
        ));
        output::line(&ask_for_review(grant));
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Review {
    /// The grant that a break-glass made
    id: i64,
    /// What was seen
    #[arg(long)]
    comment: String,
    #[command(flatten)]
    auth: Auth,
}

impl Review {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let body = body::Review { comment: self.comment };
        let client = common.client(&self.auth)?;
        let grant: Answer<body::Grant> = client.post(&format!("/grants/{}/review", self.id), &body).await?;
        if common.json {
            output::json(&grant.json);
        } else {
            let by = grant.value.reviewed_by.as_deref().unwrap_or("-");
            output::line(&format!("grant {} of {} is reviewed by {by}", grant.value.id, grant.value.user));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn is_due(grant: &body::Grant) -> bool {
    grant.review.as_deref() == Some("due")
}

/// Whether a break-glass was looked at, as a cell.
fn reviewed(grant: &body::Grant) -> String {
    match (&grant.reviewed_by, &grant.review_due) {
        (Some(by), _) => format!("by {by}"),
        (None, Some(due)) => format!("due {}", output::time(due)),
        (None, None) => "-".to_owned(),
    }
}

fn ask_for_review(grant: &body::Grant) -> String {
    let due = grant.review_due.as_ref().map_or_else(String::new, |due| format!(" by {}", output::time(due)));
    format!("somebody else has to look at it{due}: hallpass review {} --comment \"…\"", grant.id)
}
