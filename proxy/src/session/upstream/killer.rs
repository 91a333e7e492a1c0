//! Kills what runs on a MySQL or MariaDB server, on few connections of the proxy's own. When a grant of many sessions
//! ends, their KILLs follow one another on one connection: a login each would take longer than the kill, and MariaDB
//! holds up KILLs that meet. Sessions in SLEEP() share one lock there. A KILL that finds it taken waits for it, up to two
//! seconds, with the lock that its victim needs to give it back. After such a meeting the next KILL waits until those who
//! queued for the lock are gone. One that is held up longer makes room for the rest: they go on over another connection.
//! Decides nothing.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    connector::{Connector, UpstreamError},
    mysql::{Link, UTF8MB4, Wanted},
};
use crate::wire::mysql::capability::Flavour;

/// How long a kill may take, from its login to its answer.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// After how long without an answer those behind it go on without it: longer than MariaDB tries to wake a session. What
/// it tries meanwhile only adds to what holds it up.
const HELD_UP: Duration = Duration::from_millis(2500);
/// A kill that took as long has met others.
const MET: Duration = Duration::from_millis(20);
/// How long these have, until the next kill.
const REST: Duration = Duration::from_millis(30);
/// Connections at most: of these, all but one wait for a kill that is held up.
const CONNECTIONS: usize = 16;
/// `ER_NO_SUCH_THREAD`: the session that should be cancelled is gone.
const NO_SUCH_THREAD: u16 = 1094;

/// One kill that somebody waits for.
#[derive(Debug)]
struct Order {
    thread_id: u32,
    told: oneshot::Sender<Result<(), UpstreamError>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Order>,
    /// Connections.
    open: usize,
    /// Those of them that are not held up.
    able: usize,
}

/// The kills of one target.
#[derive(Debug, Default)]
pub(super) struct Killer(Mutex<Queue>);

impl Killer {
    /// Cancels what runs in the session of that number, and waits until the server has confirmed. A session that is
    /// gone runs nothing.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses; nothing was cancelled then.
    pub(super) async fn kill(self: &Arc<Self>, connector: &Connector, thread_id: u32) -> Result<(), UpstreamError> {
        let (told, answer) = oneshot::channel();
        self.lock().waiting.push_back(Order { thread_id, told });
        self.connect(connector);
        answer.await.unwrap_or(Err(UpstreamError::Closed))
    }

    /// Sees to it that somebody works on what waits.
    fn connect(self: &Arc<Self>, connector: &Connector) {
        let mut queue = self.lock();
        if queue.waiting.is_empty() || queue.able > 0 || queue.open == CONNECTIONS {
            return;
        }
        queue.open += 1;
        queue.able += 1;
        let (killer, connector) = (Arc::clone(self), connector.clone());
        tokio::spawn(async move {
            let place = Place { killer: &killer, open: true, able: true };
            place.work(&connector).await;
        });
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the count; given back when it is dropped, however that comes.
struct Place<'a> {
    killer: &'a Arc<Killer>,
    open: bool,
    able: bool,
}

impl Place<'_> {
    /// Takes one kill after the other until none waits.
    async fn work(mut self, connector: &Connector) {
        let mut link = None;
        while let Some(order) = self.next() {
            let begun = Instant::now();
            let answer = {
                let asked = timeout(KILL_TIMEOUT, kill(connector, &mut link, order.thread_id));
                tokio::pin!(asked);
                tokio::select! {
                    answer = &mut asked => answer,
                    () = sleep(HELD_UP) => {
                        self.set_able(false);
                        self.killer.connect(connector);
                        asked.await
                    }
                }
            };
            self.set_able(true);
            let answer = answer.unwrap_or(Err(UpstreamError::TimedOut(KILL_TIMEOUT)));
            if answer.is_err() {
                link = None;
            }
            // Who asked may be gone.
            let _ = order.told.send(answer);
            let meets = link.as_ref().is_some_and(|link| link.flavour() == Flavour::MariaDb);
            if meets && begun.elapsed() > MET {
                sleep(REST).await;
            }
        }
        if let Some(link) = link {
            link.leave().await;
        }
    }

    /// The next that somebody still waits for. With none left the place is given up in the same breath: who comes
    /// later finds nobody who might miss it.
    fn next(&mut self) -> Option<Order> {
        let killer = self.killer;
        let mut queue = killer.lock();
        while let Some(order) = queue.waiting.pop_front() {
            if !order.told.is_closed() {
                return Some(order);
            }
        }
        self.give_up(&mut queue);
        None
    }

    fn set_able(&mut self, able: bool) {
        let mut queue = self.killer.lock();
        queue.able = queue.able - usize::from(self.able) + usize::from(able);
        self.able = able;
    }

    fn give_up(&mut self, queue: &mut Queue) {
        queue.open -= usize::from(std::mem::take(&mut self.open));
        queue.able -= usize::from(std::mem::take(&mut self.able));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let killer = self.killer;
        self.give_up(&mut killer.lock());
    }
}

/// Kills on `link`, which is opened for it if there is none.
async fn kill(connector: &Connector, link: &mut Option<Link>, thread_id: u32) -> Result<(), UpstreamError> {
    let own = match link {
        Some(link) => link,
        None => link.insert(Link::log_in(connector, &Wanted { collation: UTF8MB4, ..Wanted::default() }).await?),
    };
    match own.query(&format!("KILL QUERY {thread_id}")).await {
        Err(UpstreamError::Statement { code: NO_SUCH_THREAD, .. }) => Ok(()),
        other => other.map(|_| ()),
    }
}
