//! `hallpass run`: asks for a grant, waits for it, runs a command with it, and the grant ends with the command. The open
//! connection to the proxy is what holds the grant: when this process dies, however it does, the proxy ends it. The
//! environment of the command is `environment`'s affair, the process `command`'s.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use hallpass_policy::ids::UserName;
use hyper::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

mod command;
mod environment;

use command::Running;
use environment::{Login, environment};

use super::{
    Auth, Client, Common,
    client::{Lines, encoded},
    failure::Failure,
    output, typed,
};
use crate::{
    api::body::{self, HoldEvent},
    store::actor::is_operator,
};

/// Longer than several heartbeats of the proxy: then its connection is dead.
const SILENCE: Duration = Duration::from_secs(15);
/// How long to wait before a lost connection is made anew.
const RETRY: Duration = Duration::from_millis(500);
/// How long a grant's end is told to a proxy that does not answer; it ends the grant by itself then.
const LAST_TRIES: u32 = 6;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The role to ask for
    #[arg(long)]
    role: String,
    /// Where; may be repeated. The command's environment leads to the first of each protocol
    #[arg(long, required = true, value_name = "NAME")]
    database: Vec<String>,
    /// For how long at most, from the approval on: 15m, 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = typed::duration)]
    duration: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// Connect by this listener [default: one that is for this user and role, or else any]
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// For whom; only an admin may ask for another
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    auth: Auth,
    /// The command and its arguments
    #[arg(required = true, value_name = "COMMAND", last = true)]
    command: Vec<String>,
}

/// Whom the token speaks for.
#[derive(Debug, Deserialize)]
struct Me {
    name: String,
}

/// How waiting ended.
enum Waited {
    /// With a grant.
    Approved(Box<body::Request>),
    /// By a signal.
    Interrupted(i32),
}

impl Run {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let client = common.client(&self.auth)?;
        let mut interrupts = Interrupts::new()?;
        let login = self.login(&client).await?;
        let ask = body::Ask {
            user: self.user.clone(),
            role: Some(self.role.clone()),
            databases: self.database.clone(),
            duration: self.duration.clone(),
            reason: self.reason.clone(),
            ..body::Ask::default()
        };
        let lines = client.lines(Method::POST, "/requests/hold", Some(&ask)).await?;
        let mut hold = Hold { client: &client, lines: Some(lines), request: None };
        let request = match wait(&mut hold, &mut interrupts).await? {
            Waited::Approved(request) => request,
            Waited::Interrupted(signal) => return Ok(exit_code(128 + signal)),
        };
        let Some(grant) = &request.grant else {
            return Err(Failure::failed("the proxy approved the request and made no grant"));
        };
        note(&format!("grant {} for role {} until {}", grant.id, self.role, output::time(&grant.ends)));
        let variables = environment(&login, &request.user, self.auth.token.as_deref());
        let running = match Running::start(&self.command, &variables) {
            Ok(running) => running,
            Err(failure) => {
                end(&client, grant.id).await;
                return Err(failure);
            }
        };
        let code = attend(running, &mut hold, &mut interrupts).await?;
        end(&client, grant.id).await;
        Ok(exit_code(code))
    }

    /// Where the command will connect to, and as whom. Found before anything is asked for.
    async fn login(&self, client: &Client) -> Result<Login, Failure> {
        let me = client.get::<Me>("/me").await?.value;
        let user = self.user.clone().unwrap_or_else(|| me.name.clone());
        if self.user.is_none() && is_operator(&UserName::new(&me.name)) {
            return Err(Failure::usage("the OS user who runs the proxy is no user of a database")
                .hint("say for whom: `--user NAME`, or give that user's token: `--token`, HALLPASS_TOKEN"));
        }
        let databases = client.get::<Vec<body::Database>>("/databases").await?.value;
        Login::find(&databases, &self.database, self.listener.as_deref(), &user, &self.role, me.name == user)
    }
}

/// The connection that holds the request and its grant, made anew when it is lost.
struct Hold<'a> {
    client: &'a Client,
    lines: Option<Lines>,
    /// Known from the first line on.
    request: Option<i64>,
}

impl Hold<'_> {
    /// What happens next to the request or its grant. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> Result<HoldEvent, Failure> {
        loop {
            let Some(lines) = &mut self.lines else {
                self.again().await?;
                continue;
            };
            match tokio::time::timeout(SILENCE, lines.next::<HoldEvent>()).await {
                Ok(Ok(Some(event))) => {
                    if let HoldEvent::Pending { request } | HoldEvent::Approved { request } = &event {
                        self.request = Some(request.id);
                    }
                    return Ok(event);
                }
                // A proxy that was restarted waits for its holders for a while.
                Ok(Ok(None) | Err(_)) | Err(_) => self.lines = None,
            }
        }
    }

    async fn again(&mut self) -> Result<(), Failure> {
        let Some(id) = self.request else {
            return Err(Failure::failed("the proxy broke off before it took the request"));
        };
        match self.client.lines::<()>(Method::GET, &format!("/requests/{id}/hold"), None).await {
            Ok(lines) => self.lines = Some(lines),
            Err(failure) if failure.refused => return Err(failure),
            Err(_) => tokio::time::sleep(RETRY).await,
        }
        Ok(())
    }
}

/// Signals that this process was sent.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> Result<Self, Failure> {
        let refuses = |error| Failure::failed(format!("the system refuses: {error}"));
        let interrupt = signal(SignalKind::interrupt()).map_err(refuses)?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate()).map_err(refuses)? })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }
}

/// Waits for the approval, and says who is waited for. A signal cancels the request.
async fn wait(hold: &mut Hold<'_>, interrupts: &mut Interrupts) -> Result<Waited, Failure> {
    let mut said = String::new();
    loop {
        let event = tokio::select! {
            event = hold.next() => event?,
            signal = interrupts.next() => {
                if let Some(id) = hold.request {
                    let cancelled = hold.client.post::<body::Request>(&format!("/requests/{id}/cancel"), &json!({})).await;
                    note(&match cancelled {
                        Ok(_) => format!("request {id} is cancelled"),
                        Err(_) => format!("request {id} ends with this process"),
                    });
                }
                return Ok(Waited::Interrupted(signal.as_raw_value()));
            }
        };
        match event {
            HoldEvent::Heartbeat => {}
            HoldEvent::Pending { request } => {
                if said != request.waiting_for {
                    let id = request.id;
                    note(&format!(
                        "request {id} waits for {}; to approve it: hallpass approve {id}",
                        request.waiting_for
                    ));
                    said = request.waiting_for;
                }
            }
            HoldEvent::Approved { request } => return Ok(Waited::Approved(request)),
            HoldEvent::Ended { request } => return Err(not_granted(&request)),
        }
    }
}

/// Why there is no grant.
fn not_granted(request: &body::Request) -> Failure {
    let by = request.closed_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let why = request.note.as_ref().map(|note| format!(": {}", output::short(note, 200))).unwrap_or_default();
    let state = if request.grant.is_some() { "over" } else { request.state.as_str() };
    Failure::failed(format!("request {} is {state}{by}{why}; the command was not run", request.id))
}

/// Waits for the command's end, passes signals on, and tells when the grant ends before it. The exit code.
async fn attend(mut running: Running, hold: &mut Hold<'_>, interrupts: &mut Interrupts) -> Result<i32, Failure> {
    let mut held = true;
    loop {
        tokio::select! {
            code = running.ended() => return code,
            signal = interrupts.next() => running.pass_on(signal),
            event = hold.next(), if held => match event {
                Ok(HoldEvent::Heartbeat | HoldEvent::Pending { .. } | HoldEvent::Approved { .. }) => {}
                Ok(HoldEvent::Ended { request }) => {
                    held = false;
                    note(&format!("{}: statements of the command are refused from here on", ended(&request)));
                }
                Err(failure) => {
                    held = false;
                    note(&format!("the grant is not held any more: {failure}"));
                }
            },
        }
    }
}

/// How a grant ended.
fn ended(request: &body::Request) -> String {
    let Some(grant) = &request.grant else { return format!("request {} is over", request.id) };
    let by = grant.revoked_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let why = grant.note.as_ref().map(|note| format!(" ({})", output::short(note, 200))).unwrap_or_default();
    format!("grant {} is {}{by}{why}", grant.id, grant.state)
}

/// The command has ended, and the grant with it. Whoever holds it is still connected: should this not be heard, the end of
/// this process is.
async fn end(client: &Client, grant: i64) {
    let path = format!("/grants/{}/revoke", encoded(&grant.to_string()));
    let because = body::Because { reason: Some("the command ended".to_owned()) };
    for _ in 0..LAST_TRIES {
        match client.post::<body::Grant>(&path, &because).await {
            Ok(_) => return note(&format!("grant {grant} is revoked: the command ended")),
            // It is over already.
            Err(failure) if failure.refused => return,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
    note(&format!("the proxy does not answer: it ends grant {grant} by itself"));
}

fn note(text: &str) {
    output::note(&format!("hallpass: {text}"));
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
