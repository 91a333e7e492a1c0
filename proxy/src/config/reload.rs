//! Replaces the configuration in force, on SIGHUP and when the file changes: all or nothing. A bad file keeps the old
//! configuration, and the log and the audit say why. Never opens, moves or closes a listener.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use hallpass_audit::event::{Event, Kind, Origin};

use super::{Config, diagnostic::Diagnostic};
use crate::shared::Shared;

/// How often the file is looked at.
const POLL: Duration = Duration::from_secs(1);

/// What a reload did.
#[derive(Debug)]
pub enum Reloaded {
    /// The new configuration is in force, but for these settings, which need a restart.
    InForce {
        /// What keeps its old value until then, for people.
        needs_restart: Vec<String>,
    },
    /// The old one stays.
    Refused(Vec<Diagnostic>),
}

/// Reads the file again and puts it in force, if nothing is wrong with it.
pub fn reload(shared: &Shared) -> Reloaded {
    let old = shared.config.load_full();
    match Config::load(&old.path) {
        Ok((mut new, warnings)) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            let needs_restart = keep_what_cannot_change(&old, &mut new);
            for what in &needs_restart {
                tracing::warn!("{what} needs a restart; until then the old value stays");
            }
            shared.reconfigure(new);
            tracing::info!(file = %old.path.display(), "configuration reloaded");
            record(shared, "allow", "reloaded".to_owned());
            Reloaded::InForce { needs_restart }
        }
        Err(faults) => {
            for fault in &faults {
                tracing::error!("{fault}");
            }
            tracing::error!(file = %old.path.display(), "configuration not reloaded; the old one stays in force");
            let first = faults.first().map(|fault| format!("line {}: {}: {}", fault.line, fault.key, fault.fault));
            record(shared, "deny", first.unwrap_or_default());
            Reloaded::Refused(faults)
        }
    }
}

/// Reloads whenever `hangup` says so or the file's time or size changes, until the future is dropped.
pub async fn follow(shared: Arc<Shared>, mut hangup: tokio::sync::mpsc::Receiver<()>) {
    let mut seen = sources(&shared.config.load());
    loop {
        let asked = tokio::select! {
            asked = hangup.recv() => asked.is_some(),
            () = tokio::time::sleep(POLL) => false,
        };
        let was = shared.config.load_full();
        let now = sources(&was);
        // A file that is gone for a moment is an editor's way of writing; it is looked at again when it is back.
        let changed = now.first().is_some_and(|(_, stamp)| stamp.is_some()) && now != seen;
        if !asked && !changed {
            continue;
        }
        let reloading = Arc::clone(&shared);
        if let Err(error) = tokio::task::spawn_blocking(move || reload(&reloading)).await {
            tracing::error!(%error, "the reload ended early; the old configuration stays in force");
        }
        // What was written meanwhile is seen the next time; files that a new pattern finds were read just now.
        let is = shared.config.load_full();
        seen = if patterns(&was) == patterns(&is) { now } else { sources(&is) };
    }
}

/// A file and when it was written, how large it is; `None` when it is not there.
type Seen = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// The files a configuration is read from, as they are now: its own first, then the SQL files of scoped ports.
fn sources(config: &Config) -> Seen {
    let listed = config.listeners.iter().filter_map(|listener| listener.scope.as_ref()?.statements.as_ref());
    let files = listed.flat_map(|listed| listed.files().unwrap_or_default());
    std::iter::once(config.path.clone()).chain(files).map(|path| (path.clone(), stamp(&path))).collect()
}

fn patterns(config: &Config) -> Vec<&str> {
    let listed = config.listeners.iter().filter_map(|listener| listener.scope.as_ref()?.statements.as_ref());
    listed.map(|listed| listed.pattern.as_str()).collect()
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Puts back what is bound at start: addresses, the data folder, the number of threads.
fn keep_what_cannot_change(old: &Config, new: &mut Config) -> Vec<String> {
    let mut needs = Vec::new();
    let mut keep = |what: &str, differs: bool| {
        if differs {
            needs.push(what.to_owned());
        }
    };
    keep("[server] data_dir", old.server.data_dir != new.server.data_dir);
    keep("[server] threads", old.server.threads != new.server.threads);
    keep("[audit] durability", old.audit.durability != new.audit.durability);
    keep("[api] address", old.api_address != new.api_address);
    new.server.data_dir.clone_from(&old.server.data_dir);
    new.server.threads = old.server.threads;
    new.audit.durability = old.audit.durability;
    new.api_address = old.api_address;

    let mut listeners = Vec::new();
    for was in &old.listeners {
        match new.listeners.iter().find(|listener| listener.name == was.name && listener.protocol == was.protocol) {
            Some(is) => {
                keep(&format!("the address of listener `{}`", was.name), is.address != was.address);
                listeners.push(super::Listener { address: was.address, ..is.clone() });
            }
            None => {
                keep(&format!("removing listener `{}`", was.name), true);
                listeners.push(was.clone());
            }
        }
    }
    for is in &new.listeners {
        let known = old.listeners.iter().any(|was| was.name == is.name && was.protocol == is.protocol);
        keep(&format!("adding listener `{}`", is.name), !known);
    }
    new.listeners = listeners;
    needs
}

fn record(shared: &Shared, decision: &str, reason: String) {
    let mut event = Event::new(Kind::Config, shared.clock.now(), Arc::new(Origin::default()));
    event.decision = Some(decision.into());
    event.reason = Some(reason.into());
    if let Err(error) = shared.journal.append(&[event]) {
        tracing::error!(%error, "the reload is not in the audit");
    }
}
