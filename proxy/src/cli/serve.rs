//! `hallpass serve`: loads the configuration, sets logging up, runs the proxy.

use std::{error::Error, io::IsTerminal, process::ExitCode};

use tracing_subscriber::EnvFilter;

use super::{Common, check, failure::Failure};
use crate::{config::Config, server};

pub(super) fn serve(common: &Common) -> Result<ExitCode, Failure> {
    let config = match Config::load(&common.config_file()) {
        Ok((config, warnings)) => {
            check::warn(&warnings);
            config
        }
        Err(faults) => return Err(check::refused(&faults)),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    match server::run(config) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::failed(with_causes(&error))),
    }
}

/// An error and what caused it, on one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
