//! sysbench as the load that a day brings: 32 connections, point reads and transactions, as text and prepared, no error.

use hallpass_tests::{mysql::clients, shop::MySqlShop};

/// Seconds of each run.
const SECONDS: &str = "--time=10";

#[test]
fn sysbench_runs_on_mysql_without_an_error() {
    let shop = MySqlShop::with("sysbench", |settings| {
        settings.rules.push_str(
            "[roles.load]\nallow = [\"select\", \"insert\", \"update\", \"delete\"]\ntables = [\"shop.*\"]\n\
             max_rows = 100000\n",
        );
    });
    shop.grant("load");
    let size = ["--tables=2", "--table-size=2000", "--rand-type=uniform"];
    clients::sysbench(&shop.database.as_owner(), &[&size[..], &["oltp_common", "prepare"]].concat()).ok();
    for script in ["oltp_point_select", "oltp_read_write"] {
        for mode in ["--db-ps-mode=disable", "--db-ps-mode=auto"] {
            // A deadlock is no error: transactions that meet run into one now and then, and sysbench repeats them.
            let more = [script, mode, SECONDS, "--threads=32", "--mysql-ignore-errors=1213", "run"];
            let report = clients::sysbench(&shop.alice_login(), &[&size[..], &more].concat());
            assert_eq!(report.code, 0, "{script} {mode}: {}{}", report.stdout, report.stderr);
            assert!(!report.stdout.contains("FATAL"), "{}", report.stdout);
            let done = report.stdout.lines().find_map(|line| line.trim().strip_prefix("transactions:"));
            let done: u64 = done.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0);
            assert!(done > 50, "{script} {mode} did {done} transactions: {}", report.stdout);
        }
    }
}
