//! Group commit for `Durability::Disk`: one thread calls fdatasync for all who wait. Std only; decides nothing.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::{journal::State, segment, watermark::Watermark};

/// Starts the thread; it ends when `synced` is ended.
pub(crate) fn start(folder: PathBuf, state: Arc<Mutex<State>>, synced: Arc<Watermark>) -> io::Result<()> {
    thread::Builder::new().name("audit-sync".to_owned()).spawn(move || run(folder, &state, &synced))?;
    Ok(())
}

/// Everybody who begins to wait during one fdatasync shares the next.
///
/// A failed fdatasync is final. The kernel reports a lost write once and marks the pages clean, so that a second
/// fdatasync succeeds although the bytes never reached the disk ("fsyncgate"): trying again would call safe what is
/// lost. Only a new start, which reads what is really there, may go on.
fn run(folder: PathBuf, state: &Mutex<State>, synced: &Watermark) {
    while synced.wait_for_demand() {
        let (files, position) = state.lock().unwrap_or_else(PoisonError::into_inner).take_unsynced();
        // More than one file means that segments were begun: their names must be durable, too.
        let names = if files.len() > 1 { segment::sync_folder(&folder) } else { Ok(()) };
        let result = names.and_then(|()| files.iter().try_for_each(|file| file.sync_data()));
        match result {
            Ok(()) => synced.advance(position),
            Err(error) => {
                let why: Arc<str> = Arc::from(format!(
                    "syncing it to disk failed ({error}); nothing is forwarded until the proxy is started anew"
                ));
                tracing::error!(%error, "fdatasync of the audit journal failed; nothing is forwarded any more");
                state.lock().unwrap_or_else(PoisonError::into_inner).poison(Arc::clone(&why));
                synced.end(&why);
                return;
            }
        }
    }
}
