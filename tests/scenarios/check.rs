//! `hallpass check`: a broken file is told with line, key and mend; a good one is good.

use hallpass_tests::{
    config::{Settings, Target},
    postgres::Server,
    proxy::Proxy,
    shop,
    tls::{self, Authority},
};

fn prepared(rules: &str) -> Proxy {
    let database = Server::shared().database("check");
    Proxy::prepare(Settings::new(vec![Target::new("shop", &database)], rules))
}

#[test]
fn a_good_file_is_good() {
    prepared(shop::RULES).cli(&["check"]).ok();
}

/// Every key in the spelling that users have been told, with files and names where the text leaves them open.
const SPELLINGS: &str = r#"
[server]
data_dir = "./hallpass-data"
remind_before = ["5m", "1m"]
[audit]
durability = "process"
parameters = "record"
retention = "400d"
[api]
address = "127.0.0.1:8432"
[[listeners]]
name = "postgres"
protocol = "postgres"
address = "127.0.0.1:6432"
tls = { mode = "prefer", certificate = "server.pem", key = "server.key", client_ca = "ca.pem" }
[[listeners]]
name = "mysql"
protocol = "mysql"
address = "127.0.0.1:6306"
database = "shop_eu"
[[listeners]]
name = "ci-migrations"
protocol = "postgres"
address = "127.0.0.1:6433"
scope = { database = "shop", roles = ["migrator"], users = ["ci"], statements = "migrations/*.sql" }
[databases.shop]
protocol = "postgres"
host = "10.0.0.5"
port = 5432
database = "shop"
user = "hallpass"
password = { env = "SHOP_PASSWORD" }
tls = { mode = "verify-full", ca = "ca.pem" }
labels = { environment = "production" }
[databases.shop_eu]
protocol = "mysql"
host = "10.0.0.6"
user = "hallpass"
password = { file = "eu.password" }
labels = { environment = "staging" }
[baseline]
allow = ["explain"]
[roles.reader]
allow = ["select", "explain"]
tables = ["shop.*"]
except = ["shop.vault"]
functions = ["shop.order_total"]
request_by = ["group:oncall"]
max_duration = "8h"
export = false
max_rows = 10000
max_result_bytes = "16MB"
max_rows_affected = 100
statement_timeout = "30s"
upstream_role = "hallpass_reader"
[roles.migrator]
allow = ["explain", "select", "insert", "update", "delete", "truncate", "ddl", "call", "copy_in", "lock", "maintain"]
[roles.admin]
allow = ["*"]
break_glass = { max_duration = "30m", groups = ["oncall"], review_within = "24h" }
[[masks]]
columns = ["shop/shop.customers.email", "*/*.*.ssn"]
with = "email"
[[masks]]
columns = ["shop/shop.customers.card_number"]
with = { keep_last = 4 }
in_predicates = "equality"
[[masks]]
columns = ["shop/shop.employees.salary"]
with = { round = 1000 }
[[masks]]
columns = ["shop/shop.employees.born"]
with = { truncate = "year" }
[[masks]]
columns = ["shop/shop.employees.phone"]
with = { constant = "…" }
[[masks]]
columns = ["shop/shop.employees.iban"]
with = { keep_first = 0, keep_last = 4 }
[statements]
allow_writes = false
[[approvals]]
source = "role"
when = 'request.unmask || resource.table_name == "customers"'
approvers = ["group:security"]
needs = 2
[[approvals]]
source = "statement"
when = 'database.labels.environment == "staging" && request.duration <= duration("1h")'
auto = true
[[review]]
rule = "update-without-where"
level = "block"
[[notify]]
url = { env = "SLACK_WEBHOOK" }
events = ["request", "decision", "break_glass", "grant_end", "audit_failure"]
"#;

#[test]
fn every_key_is_spelled_as_users_were_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::new("root");
    let identity = authority.server(&["localhost"]);
    tls::write(folder.path(), "ca.pem", authority.pem());
    tls::write(folder.path(), "server.pem", &identity.certificate_pem);
    tls::write(folder.path(), "server.key", &identity.key_pem);
    tls::write(folder.path(), "eu.password", "secret");
    tls::write(folder.path(), "proxy.toml", SPELLINGS);
    std::fs::create_dir(folder.path().join("migrations")).expect("the folder is ours");
    tls::write(&folder.path().join("migrations"), "1.sql", "CREATE TABLE shop.refunds (id int);");
    let mut check = std::process::Command::new(hallpass_tests::proxy::binary());
    check.arg("check").current_dir(folder.path()).env_remove("HALLPASS_CONFIG");
    check.env("SHOP_PASSWORD", "secret").env("SLACK_WEBHOOK", "https://hooks.slack.com/services/x");
    let told = hallpass_tests::process::run(&mut check, "");
    assert_eq!(told.code, 0, "{told:?}");
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
