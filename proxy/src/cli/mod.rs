//! The command line: what there is to type, and where it goes. The only part that prints, with `main`; every command but
//! `serve` and `check` asks the API of a proxy.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

mod audit;
mod check;
mod client;
mod failure;
mod grants;
mod output;
mod requests;
mod run;
mod schema;
mod serve;
mod sessions;
mod typed;
mod users;

use client::Client;
use failure::Failure;

/// Just-in-time database access at the wire.
#[derive(Debug, Parser)]
#[command(name = "hallpass", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Where `--help` lists what every command takes.
const EVERYWHERE: &str = "Common options";

/// What every command takes.
#[derive(Clone, Debug, Args)]
struct Common {
    /// The configuration file [default: ./proxy.toml, then $HALLPASS_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERYWHERE)]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// A proxy's API, `http://HOST:PORT` [default: the Unix socket in the data folder]
    #[arg(long, global = true, env = "HALLPASS_URL", help_heading = EVERYWHERE)]
    url: Option<String>,
}

/// Whom a command speaks for.
#[derive(Clone, Debug, Default, Args)]
struct Auth {
    /// A user's token; without it the OS user who runs the proxy is an admin on the Unix socket
    #[arg(long, env = "HALLPASS_TOKEN", hide_env_values = true, help_heading = EVERYWHERE)]
    token: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy
    Serve,
    /// Validate the configuration file
    Check(check::Check),
    /// Print stand-ins of the schema hallpass, so that clients complete its names
    Schema(schema::Schema),
    /// Users, passwords and tokens
    #[command(subcommand)]
    User(users::User),
    /// Ask for access
    Request(requests::Request),
    /// List requests
    Requests(requests::Requests),
    /// Approve a request
    Approve(requests::Approve),
    /// Reject a request
    Reject(requests::Reject),
    /// Withdraw a request
    Cancel(requests::Cancel),
    /// List grants
    Grants(grants::Grants),
    /// Ask for more time for an active grant
    Extend(grants::Extend),
    /// End a grant
    Revoke(grants::Revoke),
    /// Take a role at once, in an emergency; somebody else reviews it afterwards
    BreakGlass(grants::BreakGlass),
    /// Note that you have looked at somebody else's break-glass
    Review(grants::Review),
    /// Run a command with a grant that ends with it
    Run(Box<run::Run>),
    /// List open sessions
    Sessions(sessions::List),
    /// End a session
    Kill(sessions::Kill),
    /// Read and verify the audit
    #[command(subcommand)]
    Audit(audit::Audit),
}

/// Does what was typed, prints the answer, and says how the process ends: 0 done, 1 refused or failed, 2 wrong usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve => serve::serve(&cli.common),
        Command::Check(check) => check.run(&cli.common),
        Command::Schema(schema) => Ok(schema.run(&cli.common)),
        other => ask(&cli.common, other),
    };
    match done {
        Ok(code) => code,
        Err(failure) => failure.print(cli.common.json),
    }
}

/// Commands that talk to a proxy.
fn ask(common: &Common, command: Command) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the system refuses: {error}")))?;
    runtime.block_on(async {
        match command {
            Command::User(user) => user.run(common).await,
            Command::Request(request) => request.run(common).await,
            Command::Requests(requests) => requests.run(common).await,
            Command::Approve(approve) => approve.run(common).await,
            Command::Reject(reject) => reject.run(common).await,
            Command::Cancel(cancel) => cancel.run(common).await,
            Command::Grants(grants) => grants.run(common).await,
            Command::Extend(extend) => extend.run(common).await,
            Command::Revoke(revoke) => revoke.run(common).await,
            Command::BreakGlass(glass) => glass.run(common).await,
            Command::Review(review) => review.run(common).await,
            Command::Run(run) => run.run(common).await,
            Command::Sessions(list) => list.run(common).await,
            Command::Kill(kill) => kill.run(common).await,
            Command::Audit(audit) => audit.run(common).await,
            Command::Serve | Command::Check(_) | Command::Schema(_) => {
                Err(Failure::failed("this command asks no proxy".to_owned()))
            }
        }
    })
}

impl Common {
    /// The configuration file: as typed, else `./proxy.toml` if it is there, else `$HALLPASS_CONFIG`.
    fn config_file(&self) -> PathBuf {
        let here = PathBuf::from("proxy.toml");
        match &self.config {
            Some(path) => path.clone(),
            None if here.exists() => here,
            None => std::env::var_os("HALLPASS_CONFIG").map_or(here, PathBuf::from),
        }
    }

    /// The data folder that the configuration file names, whatever else is wrong with it.
    fn data_dir(&self) -> Result<PathBuf, Failure> {
        crate::config::load::data_dir(&self.config_file()).map_err(|fault| Failure::failed(fault.to_string()))
    }

    /// The running proxy.
    fn client(&self, auth: &Auth) -> Result<Client, Failure> {
        match &self.url {
            Some(url) => Client::at(url, auth.token.clone()),
            None => Ok(Client::on(self.data_dir()?.join(crate::api::SOCKET), auth.token.clone())),
        }
    }
}
