//! `hallpass user …`. Works without a running proxy, too: then this process is the proxy of the data folder for a moment.

use std::{
    io::{IsTerminal, Read},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Auth, Client, Common, client::encoded, failure::Failure, output, serve::with_causes, typed};
use crate::{api::body, server::Offline};

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Add a user
    Add(Add),
    /// List users
    List(Auth),
    /// Set a user's password
    Passwd(Passwd),
    /// Make a token, or revoke one
    Token(Token),
    /// Keep a user out: no login, no grant, no session is left
    Disable(Named),
    /// Let a disabled user in again
    Enable(Named),
    /// Remove a user with passwords, tokens and grants
    Remove(Named),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    name: String,
    /// A group; may be repeated
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// When the user stops being one: 2027-01-31 (from that day on), a time, or a duration from now
    #[arg(long, value_name = "DATE", value_parser = typed::moment)]
    expires: Option<String>,
    /// Read the password from stdin
    #[arg(long, conflicts_with = "token")]
    password_stdin: bool,
    /// Make a token instead of a password and print it, once
    #[arg(long)]
    token: bool,
}

#[derive(Debug, Args)]
pub(super) struct Passwd {
    name: String,
    /// Read the password from stdin
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    auth: Auth,
}

#[derive(Debug, Args)]
pub(super) struct Token {
    name: String,
    /// What the token is for
    #[arg(long)]
    label: Option<String>,
    /// When the token stops working: a date, a time, or a duration from now
    #[arg(long, value_name = "DATE", value_parser = typed::moment)]
    expires: Option<String>,
    /// Revoke the token of this number instead of making one
    #[arg(long, value_name = "ID", conflicts_with_all = ["label", "expires"])]
    revoke: Option<i64>,
    #[command(flatten)]
    auth: Auth,
}

#[derive(Debug, Args)]
pub(super) struct Named {
    name: String,
    #[command(flatten)]
    auth: Auth,
}

impl User {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode, Failure> {
        let auth = match &self {
            // `--token` is this command's own flag, so that a caller's token comes by the environment only.
            Self::Add(_) => Auth { token: std::env::var("HALLPASS_TOKEN").ok() },
            Self::List(auth) => auth.clone(),
            Self::Passwd(Passwd { auth, .. }) | Self::Token(Token { auth, .. }) => auth.clone(),
            Self::Disable(named) | Self::Enable(named) | Self::Remove(named) => named.auth.clone(),
        };
        let client = common.client(&auth)?;
        let alone = match client.get::<Value>("/health").await {
            Err(failure) if failure.nobody_there => Some(open_alone(common).await?),
            Err(failure) => return Err(failure),
            Ok(_) => None,
        };
        let done = self.ask(&client, common.json).await;
        if let Some(alone) = alone {
            alone.close().await;
        }
        done.map(|()| ExitCode::SUCCESS)
    }

    async fn ask(self, client: &Client, json: bool) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.ask(client, json).await,
            Self::List(_) => list(client, json).await,
            Self::Passwd(passwd) => passwd.ask(client, json).await,
            Self::Token(token) => token.ask(client, json).await,
            Self::Disable(named) => switch(client, &named.name, "disable", json).await,
            Self::Enable(named) => switch(client, &named.name, "enable", json).await,
            Self::Remove(named) => {
                client.delete::<Value>(&format!("/users/{}", encoded(&named.name))).await?;
                said(json, &format!("user `{}` removed", named.name));
                Ok(())
            }
        }
    }
}

/// Serves the data folder's API from this process, as nobody else does.
async fn open_alone(common: &Common) -> Result<Offline, Failure> {
    let data_dir = common.data_dir()?;
    Offline::open(&common.config_file(), data_dir).await.map_err(|error| Failure::failed(with_causes(&error)))
}

impl Add {
    async fn ask(self, client: &Client, json: bool) -> Result<(), Failure> {
        let password = match (self.token, self.password_stdin) {
            (true, _) => None,
            (false, true) => Some(from_stdin()?),
            (false, false) if std::io::stdin().is_terminal() => Some(prompted()?),
            (false, false) => None,
        };
        let wordless = password.is_none() && !self.token;
        let body = body::AddUser {
            name: self.name.clone(),
            groups: self.group,
            expires: self.expires,
            password,
            token: self.token,
        };
        let added = client.post::<body::Added>("/users", &body).await?;
        if json {
            output::json(&added.json);
            return Ok(());
        }
        output::note(&format!("user `{}` added", self.name));
        if let Some(token) = added.value.token {
            output::note("the token is shown this once:");
            output::line(&token.token);
        }
        if wordless {
            output::note(&format!(
                "no password yet: `hallpass user passwd {0}` or `hallpass user token {0}`",
                self.name
            ));
        }
        Ok(())
    }
}

impl Passwd {
    async fn ask(self, client: &Client, json: bool) -> Result<(), Failure> {
        let password = if self.password_stdin || !std::io::stdin().is_terminal() { from_stdin()? } else { prompted()? };
        let path = format!("/users/{}/password", encoded(&self.name));
        client.put::<Value>(&path, &body::SetPassword { password }).await?;
        said(json, &format!("password of `{}` set", self.name));
        Ok(())
    }
}

impl Token {
    async fn ask(self, client: &Client, json: bool) -> Result<(), Failure> {
        let path = format!("/users/{}/tokens", encoded(&self.name));
        if let Some(id) = self.revoke {
            client.delete::<Value>(&format!("{path}/{id}")).await?;
            said(json, &format!("token {id} of `{}` revoked", self.name));
            return Ok(());
        }
        let body = body::AddToken { label: self.label, expires: self.expires };
        let made = client.post::<body::Token>(&path, &body).await?;
        if json {
            output::json(&made.json);
        } else {
            output::note(&format!("token {} of `{}`, shown this once:", made.value.id, self.name));
            output::line(&made.value.token);
        }
        Ok(())
    }
}

async fn switch(client: &Client, name: &str, verb: &str, json: bool) -> Result<(), Failure> {
    let path = format!("/users/{}/{verb}", encoded(name));
    let user = client.post::<body::User>(&path, &json!({})).await?;
    if json {
        output::json(&user.json);
    } else {
        output::note(&format!("user `{name}` {verb}d"));
    }
    Ok(())
}

async fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let users = client.all::<body::User>("/users").await?;
    if json {
        output::json(&users.json);
        return Ok(());
    }
    let rows: Vec<_> = users
        .value
        .iter()
        .map(|user| {
            let tokens: Vec<_> = user.tokens.iter().map(token_name).collect();
            vec![
                user.name.clone(),
                user.groups.join(","),
                user.state.clone(),
                output::maybe_time(user.expires.as_ref()),
                if user.password { "yes" } else { "no" }.to_owned(),
                if tokens.is_empty() { "-".to_owned() } else { tokens.join(",") },
            ]
        })
        .collect();
    output::table(&["USER", "GROUPS", "STATE", "EXPIRES", "PASSWORD", "TOKENS"], &rows, "no users");
    Ok(())
}

fn token_name(token: &body::TokenInfo) -> String {
    match &token.label {
        Some(label) => format!("{}:{}", token.id, output::short(label, 20)),
        None => token.id.to_string(),
    }
}

fn said(json: bool, text: &str) {
    if json { output::json(&json!({ "done": text })) } else { output::note(text) }
}

/// The first line of stdin.
fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .take(64 << 10)
        .read_to_string(&mut text)
        .map_err(|error| Failure::failed(format!("stdin: {error}")))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        Some(_) | None => Err(Failure::usage("stdin holds no password").hint("pipe it: `printf %s \"$PASSWORD\" | …`")),
    }
}

/// Asked twice on the terminal, not shown.
fn prompted() -> Result<String, Failure> {
    let ask =
        |prompt| rpassword::prompt_password(prompt).map_err(|error| Failure::failed(format!("terminal: {error}")));
    let password = ask("password: ")?;
    if password != ask("again: ")? {
        return Err(Failure::failed("the two passwords differ"));
    }
    Ok(password)
}
