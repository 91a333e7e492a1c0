//! `hallpass check`: a broken file is told with line, key and mend; a good one is good.

use hallpass_tests::{
    config::{Settings, Target},
    postgres::Server,
    proxy::Proxy,
    shop,
};

fn prepared(rules: &str) -> Proxy {
    let database = Server::shared().database("check");
    Proxy::prepare(Settings::new(vec![Target::new("shop", &database)], rules))
}

#[test]
fn a_good_file_is_good() {
    prepared(shop::RULES).cli(&["check"]).ok();
}

#[test]
fn faults_name_line_key_and_mend() {
    // The broken text, its faulty line, and what the message must name beside file and line.
    for (broken, fault, words) in [
        ("[roles.reader]\nalow = [\"select\"]", "alow", &["alow", "allow"][..]),
        ("[roles.reader]\nallow = [\"selekt\"]", "selekt", &["selekt", "select"]),
        ("[roles.reader]\nallow = [\"select\"]\nmax_duration = \"8 parsecs\"", "max_duration", &["max_duration"]),
        ("[[masks]]\ncolumns = [\"email\"]\nwith = \"full\"", "columns", &["columns", "email"]),
        ("[[masks]]\ncolumns = [\"*/*.*.email\"]\nwith = \"rot13\"", "rot13", &["rot13", "full"]),
        ("[[approvals]]\nroles = [\"nobody\"]\napprovers = [\"group:x\"]", "roles = ", &["nobody"]),
        (
            "[databases.two]\nprotocol = \"postgres\"\nhost = \"h\"\nuser = \"u\"\npassword = \"hunter2\"",
            "password = \"hunter2\"",
            &["password", "env"],
        ),
        ("[[review]]\nrule = \"update-without-wher\"\nlevel = \"block\"", "rule = ", &["update-without-where"]),
    ] {
        let proxy = prepared(broken);
        let told = proxy.cli(&["check"]);
        assert_eq!(told.code, 1, "{broken}: {told:?}");
        let file = std::fs::read_to_string(proxy.config()).expect("it is ours");
        let line = 1 + file.lines().position(|line| line.contains(fault)).expect("the fault is in the file");
        let place = format!("proxy.toml:{line}");
        for word in words.iter().copied().chain([place.as_str()]) {
            assert!(told.stderr.contains(word), "{broken}\nshould say {word}: {told:?}");
        }
        assert!(!told.stderr.contains("hunter2"), "a secret is not repeated: {told:?}");
    }
}

#[test]
fn serve_refuses_a_broken_file() {
    let proxy = prepared("[roles.reader]\nalow = []");
    let told = proxy.cli(&["serve"]);
    assert_eq!(told.code, 1);
    assert!(told.stderr.contains("alow"), "{told:?}");
}

#[test]
fn usage_errors_are_2_and_help_is_everywhere() {
    let proxy = prepared("");
    assert_eq!(proxy.cli(&["no-such-command"]).code, 2);
    for command in [
        "serve", "check", "user", "request", "requests", "approve", "reject", "grants", "revoke", "sessions", "kill",
        "audit",
    ] {
        let help = proxy.cli(&[command, "--help"]).ok();
        assert!(help.contains("Usage"), "{command}: {help}");
    }
}

#[test]
fn a_command_without_a_running_proxy_says_so() {
    let proxy = prepared("");
    let told = proxy.cli(&["requests"]);
    assert_eq!(told.code, 1);
    assert!(told.stderr.contains("hallpass serve"), "{told:?}");
}
