//! Outcomes on their way to the journal. They share a write with the next attempt of any session on the same thread;
//! what nobody takes along within a few milliseconds is written by itself.
//! Attempts never wait here: they are safe before anything is forwarded.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hallpass_audit::{
    event::Event,
    journal::{Journal, JournalError},
};
use tokio::sync::Notify;

/// How long an outcome may wait for company.
const WAIT: Duration = Duration::from_millis(5);

/// How many outcomes wait for company: a turn that ends many would keep all of them till it is over.
const MOST: usize = 256;

/// One thread's recorder.
#[derive(Debug)]
pub struct Recorder {
    journal: Journal,
    waiting: Mutex<Vec<Event>>,
    some: Notify,
}

impl Recorder {
    /// A recorder without anything waiting.
    pub fn new(journal: Journal) -> Arc<Self> {
        Arc::new(Self { journal, waiting: Mutex::default(), some: Notify::new() })
    }

    /// Writes `event`, and the outcomes that wait before it, with one write.
    ///
    /// # Errors
    /// When nothing could be written; `event` is dropped, the outcomes stay.
    pub fn record(&self, event: Event) -> Result<(), JournalError> {
        let mut waiting = self.lock();
        waiting.push(event);
        match self.journal.append(&waiting) {
            Ok(()) => {
                waiting.clear();
                Ok(())
            }
            Err(error) => {
                waiting.pop();
                Err(error)
            }
        }
    }

    /// Keeps an outcome for the next write.
    pub fn later(&self, event: Event) {
        let mut waiting = self.lock();
        waiting.push(event);
        if waiting.len() == 1 {
            self.some.notify_one();
        }
        if waiting.len().is_multiple_of(MOST) && self.journal.append(&waiting).is_ok() {
            waiting.clear();
        }
    }

    /// Writes what waits.
    pub fn flush(&self) {
        let mut waiting = self.lock();
        if !waiting.is_empty() && self.journal.append(&waiting).is_ok() {
            waiting.clear();
        }
    }

    /// Writes what waits too long, for as long as it is polled.
    pub async fn keep(&self) {
        loop {
            self.some.notified().await;
            while !self.lock().is_empty() {
                tokio::time::sleep(WAIT).await;
                self.flush();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
