//! The journal against files that refuse; needs its inside, so it is no integration test.

use std::{
    fs::OpenOptions,
    pin::pin,
    sync::mpsc,
    task::{Context, Poll, Wake, Waker},
};

use hallpass_policy::ids::Timestamp;

use super::*;
use crate::event::{Kind, Origin};

fn event() -> Event {
    Event { statement: Some("select 1".into()), ..Event::new(Kind::Attempt, Timestamp(1), Arc::new(Origin::default())) }
}

/// Puts `path` in place of the file that is appended to; gives back the old one.
fn exchange(journal: &Journal, path: &str) -> Arc<File> {
    let file = Arc::new(OpenOptions::new().append(true).open(path).unwrap());
    std::mem::replace(&mut journal.inner.lock().active.file, file)
}

struct Ring(mpsc::Sender<()>);

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.0.send(()).unwrap();
    }
}

#[test]
fn a_failed_fdatasync_is_final() {
    let data = tempfile::tempdir().unwrap();
    let journal = Journal::open(data.path(), Durability::Disk).unwrap();
    // A character device takes bytes and refuses to sync them.
    let _file = exchange(&journal, "/dev/null");
    journal.append(&[event()]).unwrap();
    let (sender, receiver) = mpsc::channel();
    let waker = Waker::from(Arc::new(Ring(sender)));
    let mut durable = pin!(journal.durable());
    let mut result = durable.as_mut().poll(&mut Context::from_waker(&waker));
    while result.is_pending() {
        receiver.recv().unwrap();
        result = durable.as_mut().poll(&mut Context::from_waker(&waker));
    }
    assert!(matches!(result, Poll::Ready(Err(JournalError::Write(_)))));
    let refused = journal.append(&[event()]).unwrap_err();
    let JournalError::Write(source) = refused else { panic!("{refused}") };
    assert!(source.to_string().contains("syncing"), "{source}");
    // Also for those who come later.
    let later = pin!(journal.durable()).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(later, Poll::Ready(Err(_))));
    assert_eq!(journal.failures(), 3);
}

#[test]
fn no_space_is_an_error_only_as_long_as_it_lasts() {
    let data = tempfile::tempdir().unwrap();
    let journal = Journal::open(data.path(), Durability::Process).unwrap();
    journal.append(&[event()]).unwrap();
    let before = journal.end();
    let file = exchange(&journal, "/dev/full");
    for _ in 0..3 {
        assert!(matches!(journal.append(&[event()]), Err(JournalError::Write(_))));
    }
    assert_eq!((journal.end(), journal.failures()), (before, 3));
    journal.inner.lock().active.file = file;
    journal.append(&[event()]).unwrap();
    assert_eq!((journal.end().offset, journal.failures()), (before.offset * 2, 3));
}

#[test]
fn names_differ_between_starts() {
    let data = tempfile::tempdir().unwrap();
    let mut names = std::collections::HashSet::new();
    for _ in 0..3 {
        let journal = Journal::open(data.path(), Durability::Process).unwrap();
        for _ in 0..3 {
            let name = journal.next_attempt();
            assert!(journal.named_here(name.0));
            assert!(names.insert(name));
        }
    }
}

#[test]
fn an_event_larger_than_the_journal_takes_is_refused_alone() {
    let data = tempfile::tempdir().unwrap();
    let journal = Journal::open(data.path(), Durability::Process).unwrap();
    let huge = Event { statement: Some("x".repeat(record::MAX_BODY + 1).into()), ..event() };
    assert!(matches!(journal.append(&[huge]), Err(JournalError::TooLarge { .. })));
    assert_eq!(journal.failures(), 0, "the journal itself is fine");
    journal.append(&[event()]).unwrap();
}
