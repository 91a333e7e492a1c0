//! Connections on which nobody logs in: thousands of them, some silent, some talking byte by byte, keep nobody out.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use hallpass_tests::{
    both,
    process::free_port,
    protocol::{Client as _, Protocol},
    shop::Shop,
};

both!(ten_thousand_half_open_logins_disturb_nobody, silent_connections_to_the_api_keep_nobody_out);

/// Opens connections to a port, as many as the system lets it up to a number, sends a byte on every second one, says how
/// many it opened, and keeps them until it reads a line.
const CROWD: &str = "
import resource, socket, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
crowd = []
while len(crowd) < min(int(sys.argv[2]), hard - 100):
    one = socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=60)
    if len(crowd) % 2:
        try:
            one.send(b'\\0')
        except OSError:
            pass
    crowd.append(one)
print(len(crowd), flush=True)
sys.stdin.readline()
";

/// Starts it, and waits until all are there.
fn crowd(port: u16, many: u32) -> Child {
    let mut command = Command::new("python3");
    command.args(["-c", CROWD]).args([port.to_string(), many.to_string()]);
    let mut crowd = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 runs");
    let mut opened = String::new();
    BufReader::new(crowd.stdout.take().expect("its output")).read_line(&mut opened).expect("it says how many");
    assert!(opened.trim().parse::<u32>().expect("a number") >= many.min(800), "{opened}");
    crowd
}

fn disperse(mut crowd: Child) {
    crowd.stdin.take().expect("its input").write_all(b"\n").expect("it listens");
    assert!(crowd.wait().expect("it ends").success());
}

fn ten_thousand_half_open_logins_disturb_nobody<P: Protocol>() {
    let shop = Shop::<P>::new("crowd");
    let mut before = shop.connect("bob");
    before.query("SELECT 1").ok();
    let calm = shop.proxy.peak_memory();
    let crowd = crowd(shop.proxy.port_of("shop"), 10_000);

    assert_eq!(before.query("SELECT 1").ok().value(), "1", "who was there goes on");
    assert_eq!(shop.connect("alice").query("SELECT 2").ok().value(), "2", "who comes gets in");
    let crowded = shop.proxy.peak_memory();
    assert!(crowded < calm + (160 << 20), "from {calm} to {crowded} bytes");
    disperse(crowd);
}

/// The API takes no more than it can, and none of the descriptors that sessions need.
fn silent_connections_to_the_api_keep_nobody_out<P: Protocol>() {
    let port = free_port();
    let shop = Shop::<P>::with("api_crowd", |settings| {
        settings.rules.push_str(&format!("\n[api]\naddress = \"127.0.0.1:{port}\"\n"));
    });
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", shop.proxy.pid())).expect("the proxy runs").count();
    let calm = descriptors();
    let crowd = crowd(port, 1400);
    assert_eq!(shop.connect("alice").query("SELECT 2").ok().value(), "2", "who comes gets in");
    assert!(shop.proxy.json(&["grants"]).is_array(), "the socket is another door");
    let crowded = descriptors();
    assert!(crowded < calm + 560, "from {calm} to {crowded} descriptors");
    disperse(crowd);
}
