//! A `hallpass` command that goes on while a scenario does: `hallpass run`. What it says is read as it comes; it ends with
//! the test.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::process::{Output, wait_for};

/// A running command.
#[derive(Debug)]
pub struct Task {
    child: Child,
    folder: TempDir,
}

impl Task {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let folder = tempfile::Builder::new().prefix("hallpass-task-").tempdir().expect("a temporary folder");
        let create = |name| File::create(folder.path().join(name)).expect("the folder is ours");
        command.stdin(Stdio::null()).stdout(create("out")).stderr(create("err"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child, folder }
    }

    /// Standard output so far.
    pub fn out(&self) -> String {
        fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }

    /// Standard error so far.
    pub fn err(&self) -> String {
        fs::read_to_string(self.folder.path().join("err")).unwrap_or_default()
    }

    /// A file name of its own, for what the command writes.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until standard error holds all of this.
    #[track_caller]
    pub fn says(&self, text: &str) {
        wait_for(&format!("it says `{text}`"), Duration::from_secs(20), || self.err().contains(text).then_some(()));
    }

    /// Waits until standard output holds all of this.
    #[track_caller]
    pub fn prints(&self, text: &str) {
        let what = format!("it prints `{text}`");
        wait_for(&what, Duration::from_secs(20), || self.out().contains(text).then_some(()));
    }

    /// Sends a signal to the `hallpass` process alone.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{signal} failed");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Output {
        let limit = Duration::from_secs(60);
        let status = wait_for("the command ends", limit, || self.child.try_wait().expect("it is our child"));
        Output { code: status.code().unwrap_or(137), stdout: self.out(), stderr: self.err() }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Ended already, or ended now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a file and all folders above it.
pub fn write(path: &Path, text: &str) {
    path.parent().map(fs::create_dir_all).transpose().expect("the folder can be made");
    fs::write(path, text).expect("the file can be written");
}
