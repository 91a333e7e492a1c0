//! Keeps what is known of the targets' names true: fetches on request, and watches for changes that others make while
//! sessions are open. One task a target; requests that wait together share one fetch.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    catalog::Reader,
    registry::Signal,
    target::{Fetch, FetchRequest, Target},
};
use crate::shared::Shared;

/// How often names are compared with the server's while sessions are open.
const WATCH: Duration = Duration::from_secs(2);
/// How soon they are looked at again where sessions come and go one after the other.
const SETTLED: Duration = Duration::from_millis(200);

/// Tells every session when grants change, and serves the fetches of every target, those of later configurations too.
pub async fn keep(shared: Arc<Shared>) {
    let mut changed = shared.grants.subscribe();
    let mut new_targets = interval(Duration::from_secs(1));
    new_targets.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            result = changed.changed() => {
                if result.is_err() {
                    return;
                }
                shared.sessions.signal_all(Signal::Recheck);
            }
            _ = new_targets.tick() => {
                for (target, requests) in shared.targets.take_unserved() {
                    tokio::spawn(serve(Arc::clone(&shared), target, requests));
                }
            }
        }
    }
}

/// One target's fetches, until nobody can ask any more.
async fn serve(shared: Arc<Shared>, target: Arc<Target>, mut requests: mpsc::Receiver<FetchRequest>) {
    let mut reader = Reader::default();
    let mut watch = interval(WATCH);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked = Instant::now();
    loop {
        let mut waiting: Vec<FetchRequest> = Vec::new();
        tokio::select! {
            request = requests.recv() => match request {
                Some(first) => waiting.push(first),
                None => return,
            },
            _ = watch.tick() => {
                if !target.is_attended() {
                    continue;
                }
                looked = Instant::now();
                if !reader.has_changed().await {
                    continue;
                }
                tracing::debug!(target_name = %target.name(), "names may have changed");
            }
        }
        while let Ok(next) = requests.try_recv() {
            waiting.push(next);
        }
        let look = !waiting.is_empty() && waiting.iter().all(|asked| asked.fetch == Fetch::IfChanged);
        if look {
            let settled = looked.elapsed() < SETTLED;
            if !settled {
                looked = Instant::now();
            }
            if settled || !reader.has_changed().await {
                for asked in waiting {
                    let _ = asked.done.send(Ok(()));
                }
                continue;
            }
        }
        target.begin_fetch();
        let fetched = reader.fetch(&target).await;
        let outcome = fetched.map(|(catalog, dialect)| target.learn(catalog, dialect, &shared.config.load().policy));
        for asked in waiting {
            // Whoever asked may have left meanwhile.
            let _ = asked.done.send(outcome.clone());
        }
    }
}
