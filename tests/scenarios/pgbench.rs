//! pgbench, 32 clients, every protocol: no error.

use hallpass_tests::{
    config::{Settings, Target},
    postgres::Server,
    proxy::Proxy,
};

const RULES: &str =
    "[roles.bench]\nallow = [\"select\", \"insert\", \"update\", \"delete\"]\ntables = [\"public.*\"]\n";

#[test]
fn select_only_and_tpcb_with_32_clients() {
    let database = Server::shared().database("pgbench");
    hallpass_tests::psql::Psql::new(&database.as_owner()).pgbench(&["-i", "-q", "-s", "1"]).ok();
    let proxy = Proxy::start(Settings::new(vec![Target::new("shop", &database)], RULES));
    proxy.user("alice", &[]);
    proxy.grant("alice", "bench", "shop", "1h");
    let psql = proxy.psql("alice", "shop");
    for mode in ["simple", "extended", "prepared"] {
        for script in [&["-S"][..], &[]] {
            let arguments = [&["-n", "-M", mode, "-c", "32", "-j", "2", "-t", "20"], script].concat();
            let told = psql.pgbench(&arguments).ok();
            assert!(told.contains("number of transactions actually processed: 640/640"), "{arguments:?}: {told}");
            assert!(told.contains("number of failed transactions: 0"), "{arguments:?}: {told}");
        }
    }
    assert_eq!(database.value("SELECT count(*) FROM pgbench_history"), (640 * 3).to_string());
}
