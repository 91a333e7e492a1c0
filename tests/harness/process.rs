//! Child processes that end with the test that started them, whatever happens to it; who runs them; free ports.
//! It signals only processes that it started.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// The account a server runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Whether this process may become somebody else.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Whom servers run as: `postgres`, or else `nobody`, when we are root (Postgres refuses root); ourselves otherwise.
pub fn server_account() -> Option<Account> {
    if !is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    ["postgres", "nobody"].iter().find_map(|name| {
        let mut fields = passwd.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
        Some(Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    })
}

/// Stops its child when our end of the pipe closes: on drop, on panic, and when this process is killed.
const KEEPER: &str = r#"
exec 3<&0 </dev/null
# A file size limit is then an error of write(), as a full disk is, and no signal that kills.
trap "" XFSZ
"$@" >>"$KEEPER_LOG" 2>&1 3<&- &
pid=$!
echo "$pid"
exec >/dev/null
read -r _ <&3
kill "-$KEEPER_SIGNAL" "$pid" 2>/dev/null
(sleep 15; kill -KILL "$pid") 2>/dev/null &
killer=$!
wait "$pid" 2>/dev/null
kill "$killer" 2>/dev/null
if [ -n "$KEEPER_FOLDER" ]; then rm -rf "$KEEPER_FOLDER"; fi
"#;

/// A server process and the shell that stops it.
#[derive(Debug)]
pub struct Kept {
    keeper: Child,
    pid: u32,
}

/// How to start a [`Kept`].
#[derive(Debug)]
pub struct Keep<'a> {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Where its output goes.
    pub log: &'a Path,
    /// Signal that stops it: `INT`, `TERM`.
    pub signal: &'static str,
    /// Folder that goes with it.
    pub remove: Option<&'a Path>,
    /// Who it runs as.
    pub account: Option<Account>,
    /// More environment.
    pub environment: Vec<(OsString, OsString)>,
}

impl Kept {
    /// Starts it.
    pub fn start(keep: Keep<'_>) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(KEEPER).arg("keeper").args(&keep.command);
        command.env("KEEPER_LOG", keep.log).env("KEEPER_SIGNAL", keep.signal);
        command.env("KEEPER_FOLDER", keep.remove.map(Path::as_os_str).unwrap_or_default());
        command.envs(keep.environment);
        // A process group of its own: a Ctrl-C at the terminal ends the test, and the keeper then ends the server.
        command.process_group(0);
        if let Some(account) = keep.account {
            command.uid(account.uid).gid(account.gid).current_dir("/");
        }
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`sh` runs from the PATH");
        let mut line = String::new();
        let stdout = keeper.stdout.take().expect("the keeper's stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the keeper says its child's pid");
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("no pid from the keeper: `{line}`"));
        Self { keeper, pid }
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal: `KILL`, `HUP`, `STOP`, `CONT`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.pid.to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{signal} {} failed", self.pid);
    }

    /// Whether it still runs (a zombie does not).
    pub fn alive(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
    }

    /// Peak resident memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM is in the status");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("VmHWM is a number") * 1024
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Ports for servers: below those that the system gives to outgoing connections, one of which could take the port of a
/// server that is about to start, or to start again.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port nobody listens on now, and that this process gives to nobody else.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Test processes beside each other begin at places of their own.
    let count = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(7919);
    for _ in 0..count {
        let next = first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % count;
        let port = PORTS.start + u16::try_from(next).expect("the range is of ports");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free")
}

/// Asks again and again until it says yes; panics with `what` when it does not in time.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether something accepts connections there.
pub fn listens(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(200)).is_ok()
}

/// What a command printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code; 128 and more for signals.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a command that succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "failed: {}\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard error of a command that failed.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_ne!(self.code, 0, "should have failed: {}\n{}", self.stdout, self.stderr);
        self.stderr
    }
}

/// Runs a command with `input` and waits for it.
pub fn run(command: &mut Command, input: &str) -> Output {
    use std::io::Write as _;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("`{name}` does not start: {error}; see tests/run"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("the child can be waited for");
    let _ = writer.join();
    Output {
        code: output.status.code().unwrap_or(137),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The root of the checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_path_buf()
}

/// A path or word as an argument.
pub fn argument(text: impl AsRef<OsStr>) -> OsString {
    text.as_ref().to_owned()
}
