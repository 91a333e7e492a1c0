//! `hallpass sessions` and `hallpass kill`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{Auth, Common, client::encoded, failure::Failure, output};
use crate::api::body::Session;

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    auth: Auth,
}

impl List {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let found = common.client(&self.auth)?.all::<Session>("/sessions").await?;
        if common.json {
            output::json(&found.json);
            return Ok(ExitCode::SUCCESS);
        }
        let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let rows: Vec<_> = found
            .value
            .iter()
            .map(|session| {
                vec![
                    session.id.clone(),
                    dash(&session.user),
                    dash(&session.database),
                    dash(&session.client),
                    output::short(&dash(&session.application), 24),
                    output::time(&session.started),
                    session.grant.map_or_else(|| "-".to_owned(), |grant| grant.to_string()),
                    output::short(session.statement.as_deref().unwrap_or("-"), 60),
                ]
            })
            .collect();
        let heads = ["SESSION", "USER", "DATABASE", "CLIENT", "APPLICATION", "SINCE", "GRANT", "STATEMENT"];
        output::table(&heads, &rows, "no sessions");
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Kill {
    /// The session's name, as `hallpass sessions` shows it
    session: String,
    #[command(flatten)]
    auth: Auth,
}

impl Kill {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let path = format!("/sessions/{}/kill", encoded(&self.session));
        common.client(&self.auth)?.post::<Value>(&path, &json!({})).await?;
        if common.json {
            output::json(&json!({ "killed": self.session }));
        } else {
            output::note(&format!("session {} was told to end", self.session));
        }
        Ok(ExitCode::SUCCESS)
    }
}
