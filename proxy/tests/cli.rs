//! The program from outside: real processes in a temp folder, no database. Each test has a folder and a port of its own.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests fail and print like tests")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

const CONFIG: &str = r#"
[databases.shop]
protocol = "postgres"
host = "127.0.0.1"
user = "h"
[roles.fixer]
allow = ["update"]
max_duration = "8h"
break_glass = { max_duration = "30m", groups = ["oncall"], review_within = "24h" }
[[approvals]]
approvers = ["group:security"]
[[listeners]]
name = "postgres"
protocol = "postgres"
address = "127.0.0.1:0"
"#;

struct World {
    folder: tempfile::TempDir,
    serve: Option<Child>,
}

impl World {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
        Self { folder, serve: None }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hallpass"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["HALLPASS_CONFIG", "HALLPASS_URL", "HALLPASS_TOKEN", "RUST_LOG"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn run_as(&self, token: &str, args: &[&str]) -> Output {
        self.command(args).env("HALLPASS_TOKEN", token).output().unwrap()
    }

    /// The JSON that a command prints; it must succeed.
    fn json(&self, args: &[&str]) -> Value {
        let done = self.run(&[args, &["--json"]].concat());
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    }

    fn serve(&mut self) {
        let mut child = self.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| eprintln!("serve: {line}")));
        self.serve = Some(child);
        self.until("the proxy answers", |world| world.run(&["sessions"]).status.success());
    }

    fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < Duration::from_secs(30), "waited too long: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, name: &str) {
        let id = self.serve.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.serve.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn a_broken_file_is_told_line_by_line() {
    let world = World::new("[servr]\n[databases.shop]\nprotocol = \"postgres\"\nhost = \"127.0.0.1\"\nport = 0\n");
    let checked = world.run(&["check"]);
    assert_eq!(code(&checked), 1);
    let said = text(&checked.stderr);
    for line in [
        "proxy.toml:1: servr: unknown key\n    did you mean `server`?",
        "proxy.toml:2: databases.shop: `user` is missing\n    add `user = \"hallpass\"`",
        "proxy.toml:5: databases.shop.port: `0` is out of range\n    must be from 1 to 65535",
        "error: the configuration has 3 faults",
    ] {
        assert!(said.contains(line), "{line} is not in:\n{said}");
    }
    let served = world.run(&["serve"]);
    assert_eq!((code(&served), text(&served.stderr)), (1, said));
    assert!(!world.folder.path().join("hallpass-data").exists(), "nothing is made before the file is right");
}

#[test]
fn a_good_file_is_fine_and_rules_are_listed() {
    let world = World::new(CONFIG);
    let checked = world.run(&["check"]);
    assert_eq!((code(&checked), text(&checked.stderr)), (0, String::new()));
    assert_eq!(text(&checked.stdout), "proxy.toml: ok; 1 listener, 1 database, 1 role, 0 masks, 1 approval rule\n");
    assert_eq!(world.json(&["check", "--rules"])[0]["rule"], "update-without-where");
}

#[test]
fn usage_errors_are_2_and_every_command_has_help() {
    let world = World::new(CONFIG);
    for args in [&["reqest"][..], &["request", "--role", "x"], &["approve", "one"], &["requests", "--url", "ftp://x"]] {
        assert_eq!(code(&world.run(args)), 2, "{args:?}");
    }
    for args in [&["extend", "1"][..], &["break-glass", "--role", "x"], &["review", "1"]] {
        assert_eq!(code(&world.run(args)), 2, "{args:?}");
    }
    let commands = "serve check user request requests approve reject cancel grants extend revoke break-glass review \
                    sessions kill audit";
    for command in commands.split(' ') {
        assert_eq!(code(&world.run(&[command, "--help"])), 0, "{command}");
    }
}

#[test]
fn users_are_managed_with_and_without_a_running_proxy() {
    let mut world = World::new(CONFIG);
    let token = world.run(&["user", "add", "alice", "--group", "oncall", "--expires", "2099-01-31", "--token"]);
    assert_eq!(code(&token), 0, "{}", text(&token.stderr));
    assert!(text(&token.stdout).starts_with("hp_"));
    let mut add = world.command(&["user", "add", "bob", "--password-stdin"]).stdin(Stdio::piped()).spawn().unwrap();
    add.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    assert!(add.wait().unwrap().success());
    assert_eq!(code(&world.run(&["requests"])), 1, "requests need the proxy");
    world.serve();
    let users = world.json(&["user", "list"]);
    assert_eq!(users[0]["name"], "alice");
    assert_eq!(users[0]["expires"], "2099-01-31T00:00:00.000000Z");
    assert_eq!((&users[1]["name"], &users[1]["password"]), (&"bob".into(), &true.into()));
    assert_eq!(code(&world.run(&["user", "add", "alice"])), 1, "a name is taken once");
    assert!(!text(&std::fs::read(world.folder.path().join("proxy.toml")).unwrap()).contains("secret"));

    let alice = text(&token.stdout).trim().to_owned();
    assert_eq!(code(&world.run_as(&alice, &["requests"])), 0);
    assert_eq!(code(&world.run_as(&alice, &["user", "add", "eve"])), 1);
    assert_eq!(code(&world.run(&["user", "disable", "alice"])), 0);
    assert_eq!(code(&world.run_as(&alice, &["requests"])), 1);
    assert_eq!(code(&world.run(&["user", "enable", "alice"])), 0);
    assert_eq!(code(&world.run(&["user", "token", "alice", "--revoke", "1"])), 0);
    assert_eq!(code(&world.run_as(&alice, &["requests"])), 1);
    assert_eq!(code(&world.run(&["user", "remove", "alice"])), 0);
    assert_eq!(world.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_request_is_waited_for_and_approved_and_the_audit_tells() {
    let mut world = World::new(CONFIG);
    let token = |world: &World, name: &str, group: &str| {
        text(&world.run(&["user", "add", name, "--group", group, "--token"]).stdout).trim().to_owned()
    };
    let (alice, bob) = (token(&world, "alice", "oncall"), token(&world, "bob", "security"));
    world.serve();
    let ask = ["request", "--role", "fixer", "--database", "shop", "--for", "1h", "--reason", "INC-1", "--wait"];
    let waiting = world.command(&ask).env("HALLPASS_TOKEN", &alice).stdout(Stdio::piped()).spawn().unwrap();
    world.until("the request is there", |world| world.json(&["requests", "--pending"]) != serde_json::json!([]));
    let own = world.run_as(&alice, &["approve", "1"]);
    assert_eq!(code(&own), 1);
    assert!(text(&own.stderr).contains("nobody may approve their own request"));
    assert_eq!(code(&world.run_as(&bob, &["approve", "1", "--for", "30m", "--comment", "go"])), 0);
    let waited = waiting.wait_with_output().unwrap();
    assert_eq!(code(&waited), 0);
    assert!(text(&waited.stdout).starts_with("request 1 is approved: grant 1 for alice on shop until "));
    assert!(text(&world.run(&["grants"]).stdout).contains("role fixer"));
    assert_eq!(code(&world.run_as(&alice, &["revoke", "1", "--reason", "done"])), 0);
    assert_eq!(world.json(&["grants"]), serde_json::json!([]));
    assert_eq!(world.json(&["grants", "--all"])[0]["note"], "done");

    let too_long =
        world.run_as(&alice, &["request", "--role", "fixer", "--database", "shop", "--for", "9h", "--reason", "x"]);
    assert_eq!(
        (code(&too_long), text(&too_long.stderr)),
        (1, "error: role `fixer` is granted for at most 8h\nhint: ask for less: `--for 8h`\n".to_owned())
    );
    let second =
        world.run_as(&alice, &["request", "--role", "fixer", "--database", "shop", "--for", "1h", "--reason", "x"]);
    assert_eq!(code(&second), 0);
    assert_eq!(code(&world.run_as(&bob, &["reject", "2", "--reason", "why"])), 0);
    assert_eq!(code(&world.run_as(&alice, &["cancel", "2"])), 1, "decided already");

    let online = world.json(&["audit", "search", "--kind", "grant_end"]);
    assert_eq!(online[0]["reason"], "revoked by alice: done");
    world.signal("-TERM");
    assert!(world.serve.take().unwrap().wait().unwrap().success());
    assert!(!world.folder.path().join("hallpass-data/api.sock").exists());
    assert_eq!(world.json(&["audit", "search", "--kind", "grant_end"]), online, "the same without a proxy");
    let verified = world.run(&["audit", "verify"]);
    assert_eq!(code(&verified), 0, "{}", text(&verified.stdout));
    assert!(text(&world.run(&["audit", "tail", "-n", "1"]).stdout).contains("stopped"));
}

#[test]
fn a_changed_file_is_followed_and_a_bad_one_is_not() {
    let mut world = World::new(&format!("{CONFIG}[server]\ndata_dir = \"data\"\n"));
    world.serve();
    let path = world.folder.path().join("proxy.toml");
    let rewrite = |path: &Path, more: &str| {
        std::fs::write(path, format!("{CONFIG}[server]\ndata_dir = \"data\"\n{more}")).unwrap();
    };
    let decisions = |world: &World| -> Vec<String> {
        let events = world.json(&["audit", "search", "--kind", "config"]);
        let decided = events.as_array().unwrap().iter().filter_map(|event| event["decision"].as_str());
        decided.map(str::to_owned).collect()
    };
    rewrite(&path, "[roles.more]\nallow = [\"select\"]\n");
    world.until("the new file is in force", |world| decisions(world) == ["allow"]);
    rewrite(&path, "[roles.more]\nallow = [\"selct\"]\n");
    world.until("the bad file is refused", |world| decisions(world) == ["allow", "deny"]);
    world.run(&["user", "add", "alice"]);
    let ask = ["request", "--user", "alice", "--role", "more", "--database", "shop", "--for", "1h", "--reason", "x"];
    assert_eq!(code(&world.run(&ask)), 0, "the role of the last good file is there");
    world.signal("-HUP");
    world.until("SIGHUP reads it again", |world| decisions(world) == ["allow", "deny", "deny"]);
    let second = world.run(&["serve"]);
    assert_eq!(code(&second), 1, "the bad file stops a start");
    rewrite(&path, "");
    let second = world.run(&["serve"]);
    assert!(text(&second.stderr).contains("is in use by another hallpass"), "{}", text(&second.stderr));
    assert!(world.run(&["requests"]).status.success(), "and the first one still answers");
}

#[test]
fn a_grant_is_extended_and_a_broken_glass_reviewed() {
    let mut world = World::new(CONFIG);
    let token = |world: &World, name: &str, group: &str| {
        text(&world.run(&["user", "add", name, "--group", group, "--token"]).stdout).trim().to_owned()
    };
    let (alice, bob) = (token(&world, "alice", "oncall"), token(&world, "bob", "security"));
    world.serve();
    let glass = ["break-glass", "--role", "fixer", "--database", "shop", "--reason", "INC-2", "--for", "10m"];
    let nobody = world.run(&glass);
    assert_eq!(code(&nobody), 1);
    assert!(text(&nobody.stderr).contains("add `--user NAME`"), "{}", text(&nobody.stderr));
    let broken = world.run_as(&alice, &glass);
    assert_eq!(code(&broken), 0, "{}", text(&broken.stderr));
    let told = text(&broken.stdout);
    assert!(told.starts_with("the glass is broken: grant 1 for alice on shop until "), "{told}");
    assert!(told.ends_with(": hallpass review 1 --comment \"…\"\n"), "{told}");

    let extended = world.run_as(&alice, &["extend", "1", "--for", "20m", "--reason", "still down"]);
    assert_eq!(code(&extended), 0, "{}", text(&extended.stderr));
    assert!(text(&extended.stdout).starts_with("request 2 is pending, waiting for group:security\n"));
    assert!(text(&world.run(&["requests"]).stdout).contains("grant 1 longer, role fixer"));
    let approved = world.run_as(&bob, &["approve", "2"]);
    assert!(text(&approved.stdout).starts_with("request 2 is approved: grant 1 for alice on shop lasts until "));

    assert_eq!(code(&world.run_as(&alice, &glass)), 1, "not reviewed yet");
    assert_eq!(code(&world.run_as(&alice, &["review", "1", "--comment", "fine"])), 1, "nobody reviews oneself");
    let reviewed = world.run_as(&bob, &["review", "1", "--comment", "fine"]);
    assert_eq!((code(&reviewed), text(&reviewed.stdout).as_str()), (0, "grant 1 of alice is reviewed by bob\n"));
    let grant = &world.json(&["grants"])[0];
    assert_eq!((&grant["review"], &grant["review_comment"]), (&"done".into(), &"fine".into()));
    assert_eq!(world.json(&["grants", "--unreviewed"]), serde_json::json!([]));
}

#[test]
fn what_is_no_time_is_wrong_usage() {
    let world = World::new(CONFIG);
    let ask = ["request", "--role", "fixer", "--database", "shop", "--reason", "x", "--for"];
    for (args, said) in [
        ([&ask[..], &["1x"]].concat(), "`1x` has the unknown unit `x`; write a number and a unit: 30m"),
        (vec!["approve", "7", "--for", "90"], "`90` has no unit"),
        (vec!["extend", "7", "--for", "1.5h"], "`1.5h` has a fraction"),
        (vec!["user", "add", "eve", "--expires", "soon"], "`soon` is no date; write 2027-01-31"),
        (vec!["audit", "search", "--since", "yesterday"], "`yesterday` is no date"),
    ] {
        let told = world.run(&args);
        assert_eq!(code(&told), 2, "{args:?}: {told:?}");
        assert!(text(&told.stderr).contains(said), "{args:?}: {told:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_no_panic() {
    let world = World::new(CONFIG);
    // Whoever reads has gone: `hallpass check --rules | head -1`.
    let mut check = world.command(&["check", "--rules"]);
    let mut check = check.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(check.stdout.take());
    let told = check.wait_with_output().unwrap();
    assert_eq!((code(&told), text(&told.stderr).contains("panicked")), (0, false), "{told:?}");
    // A full disk: an export that is not whole must not look like one that is.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let told = world.command(&["check", "--rules"]).stdout(full).output().unwrap();
    assert_eq!(code(&told), 1, "{told:?}");
    assert!(text(&told.stderr).contains("error: the answer cannot be written: "), "{told:?}");
}
