//! `hallpass check`: everything that is wrong with a configuration file, or that nothing is.

use std::process::ExitCode;

use clap::Args;
use hallpass_policy::review::{BuiltIn, Review};
use serde_json::{Value, json};

use super::{Common, failure::Failure, output};
use crate::config::{
    Config,
    diagnostic::{Diagnostic, Warning},
};

#[derive(Debug, Args)]
pub(super) struct Check {
    /// List the review rules, built-in ones and the file's own, with their levels
    #[arg(long)]
    rules: bool,
}

impl Check {
    pub(super) fn run(&self, common: &Common) -> Result<ExitCode, Failure> {
        let path = common.config_file();
        // Without a file the built-in levels are what counts.
        if self.rules && common.config.is_none() && !path.exists() {
            list(common, &Review::default());
            return Ok(ExitCode::SUCCESS);
        }
        match Config::load(&path) {
            Ok((config, _)) if self.rules => list(common, &config.policy.review),
            Ok((config, warnings)) => fine(common, &config, &warnings),
            Err(faults) if common.json => {
                output::json(&json!({ "ok": false, "faults": shown(&faults), "warnings": [] }));
                return Ok(ExitCode::FAILURE);
            }
            Err(faults) => return Err(refused(&faults)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn fine(common: &Common, config: &Config, warnings: &[Warning]) {
    if common.json {
        let warnings: Vec<_> = warnings.iter().map(|warning| warning.0.clone()).collect();
        output::json(&json!({ "ok": true, "faults": [], "warnings": shown(&warnings) }));
        return;
    }
    warn(warnings);
    output::line(&format!(
        "{}: ok; {}, {}, {}, {}, {}",
        config.path.display(),
        count(config.listeners.len(), "listener"),
        count(config.databases.len(), "database"),
        count(config.policy.roles.len(), "role"),
        count(config.policy.masks.len(), "mask"),
        count(config.approvals.len(), "approval rule"),
    ));
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn shown(faults: &[Diagnostic]) -> Value {
    let all = faults.iter().map(|fault| {
        json!({
            "file": fault.file, "line": fault.line, "key": fault.key, "fault": fault.fault, "mend": fault.mend,
        })
    });
    all.collect()
}

fn list(common: &Common, review: &Review) {
    let built_in = BuiltIn::ALL.into_iter().map(|rule| {
        let rows =
            if rule == BuiltIn::SelectEverything { format!(" (rows = {})", review.large) } else { String::new() };
        let about = rule.about().to_owned() + &rows;
        [rule.name().to_owned(), review.level(rule).as_str().to_owned(), about]
    });
    let own = review.own.iter();
    let own = own.map(|rule| [rule.name.to_string(), rule.level.as_str().to_owned(), rule.when.text().to_owned()]);
    let rows: Vec<_> = built_in.chain(own).collect();
    if common.json {
        let all = rows.iter().map(|[rule, level, about]| json!({ "rule": rule, "level": level, "about": about }));
        output::json(&all.collect());
        return;
    }
    let rows: Vec<_> = rows.into_iter().map(Vec::from).collect();
    output::table(&["RULE", "LEVEL", "WHAT IT CATCHES"], &rows, "");
}

/// Says what is odd.
pub(super) fn warn(warnings: &[Warning]) {
    for warning in warnings {
        output::note(&warning.to_string());
    }
}

/// Says what is wrong.
pub(super) fn refused(faults: &[Diagnostic]) -> Failure {
    for fault in faults {
        output::note(&fault.to_string());
    }
    Failure::failed(format!("the configuration has {}", count(faults.len(), "fault")))
}
