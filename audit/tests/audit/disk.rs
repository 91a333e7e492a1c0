//! A disk that is full, and one that is waited for.

use std::{
    fs,
    future::Future,
    path::Path,
    pin::pin,
    process::Command,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use hallpass_audit::{
    journal::{Durability, Journal, JournalError},
    sqlite::Importer,
    verify::verify,
};

use crate::{CHILD, NOON, PATIENCE, attempt, child, query};

#[test]
fn a_full_disk_refuses_appends_and_leaves_no_half_record() {
    let data = tempfile::tempdir().unwrap();
    // The kernel ends files at 64 KiB for the child: first a short write, then an error, as on a full disk.
    let wrapper = ["sh", "-c", "trap '' XFSZ; exec prlimit --fsize=65536:unlimited \"$@\"", "sh"];
    let output = child(&wrapper, "disk::child_fills_the_disk", data.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    assert!(data.path().join("done").exists(), "the child did not run");
}

/// Not a test by itself: the process whose disk is full.
#[test]
fn child_fills_the_disk() {
    let Some(data) = std::env::var_os(CHILD) else { return };
    let data = Path::new(&data);
    let journal = Journal::open(data, Durability::Process).unwrap();
    let append = |length: usize| journal.append(&[attempt(journal.next_attempt(), "alice", &"x".repeat(length))]);
    let taken = (0..1000).take_while(|_| append(1000).is_ok()).count();
    assert!((40..65).contains(&taken), "{taken}");
    assert!(matches!(append(1000), Err(JournalError::Write(_))), "it keeps failing while the disk does");
    let file = fs::read_dir(data.join("journal")).unwrap().next().unwrap().unwrap().path();
    let length = fs::metadata(&file).unwrap().len();
    assert!(
        length.is_multiple_of(taken as u64) && length < 65536,
        "{length} bytes hold {taken} equal records and nothing else"
    );
    // What still fits is taken: the failure of one append is not remembered.
    append(1).unwrap();

    let pid = std::process::id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap().success());
    append(1000).unwrap();
    let importer = Importer::start(&journal, NOON).unwrap();
    importer.flush_blocking(PATIENCE).unwrap();
    assert_eq!(query::<i64>(data, "SELECT count(*) FROM events"), taken as i64 + 2);
    let report = verify(data).unwrap();
    assert!(report.is_intact() && report.journal.torn_bytes == 0, "{report:?}");
    fs::write(data.join("done"), "").unwrap();
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives `future` on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn eight_threads_wait_for_the_disk_together() {
    let data = tempfile::tempdir().unwrap();
    let journal = Journal::open(data.path(), Durability::Disk).unwrap();
    let importer = Importer::start(&journal, NOON).unwrap();
    thread::scope(|scope| {
        for thread in 0..8 {
            let journal = journal.clone();
            scope.spawn(move || {
                for n in 0..50 {
                    journal
                        .append(&[attempt(journal.next_attempt(), &format!("u{thread}"), &format!("select {n}"))])
                        .unwrap();
                    block_on(journal.durable()).unwrap();
                }
            });
        }
    });
    block_on(importer.flush()).unwrap();
    assert_eq!(query::<i64>(data.path(), "SELECT count(*) FROM events"), 400);
    // Nothing is waited for when nothing was appended since.
    block_on(journal.durable()).unwrap();
}

#[test]
fn durable_is_no_wait_for_the_process_alone() {
    let data = tempfile::tempdir().unwrap();
    let journal = Journal::open(data.path(), Durability::Process).unwrap();
    journal.append(&[attempt(journal.next_attempt(), "alice", "select 1")]).unwrap();
    let waker = Waker::noop();
    let polled = pin!(journal.durable()).poll(&mut Context::from_waker(waker));
    assert!(matches!(polled, Poll::Ready(Ok(()))));
}
