//! Connections on which nobody logs in: thousands of them, some silent, some talking byte by byte, keep nobody out.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use hallpass_tests::{
    both,
    protocol::{Client as _, Protocol},
    shop::Shop,
};

both!(ten_thousand_half_open_logins_disturb_nobody);

/// Opens connections to a port, as many as the system lets it up to 10,000, sends a byte on every second one, says how
/// many it opened, and keeps them until it reads a line.
const CROWD: &str = "
import resource, socket, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
crowd = []
while len(crowd) < min(10000, hard - 100):
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

fn ten_thousand_half_open_logins_disturb_nobody<P: Protocol>() {
    let shop = Shop::<P>::new("crowd");
    let mut before = shop.connect("bob");
    before.query("SELECT 1").ok();
    let calm = shop.proxy.peak_memory();
    let mut command = Command::new("python3");
    command.args(["-c", CROWD]).arg(shop.proxy.port_of("shop").to_string());
    let mut crowd = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 runs");
    let mut opened = String::new();
    BufReader::new(crowd.stdout.take().expect("its output")).read_line(&mut opened).expect("it says how many");
    assert!(opened.trim().parse::<u32>().expect("a number") > 800, "{opened}");

    assert_eq!(before.query("SELECT 1").ok().value(), "1", "who was there goes on");
    assert_eq!(shop.connect("alice").query("SELECT 2").ok().value(), "2", "who comes gets in");
    let crowded = shop.proxy.peak_memory();
    assert!(crowded < calm + (160 << 20), "from {calm} to {crowded} bytes");
    crowd.stdin.take().expect("its input").write_all(b"\n").expect("it listens");
    assert!(crowd.wait().expect("it ends").success());
}
