//! The bypass corpus as tests: straight on the server every attack is real and every control runs; through hallpass
//! attacks are stopped and controls give the same bytes, but for what `expected.toml` lists as open.
//! `HALLPASS_CASE=pg-alias-01` plays the cases whose id starts so and shows their answers.

use hallpass_tests::{
    config::{Settings, Target},
    corpus::{self, Expected, Gate, clients},
    postgres::Server,
    proxy::Proxy,
    shop,
};

#[test]
fn direct_attacks_are_real() {
    let fixture = corpus::fixture();
    let report = corpus::attack_directly(&fixture);
    println!("{report}");
    report.expect(&Default::default());
}

#[test]
fn direct_controls_run() {
    let fixture = corpus::fixture();
    let report = corpus::control_directly(&fixture);
    println!("{report}");
    report.expect(&Default::default());
}

#[test]
fn proxy_stops_attacks() {
    let fixture = corpus::fixture();
    let report = corpus::attack_through(&fixture, &mut Gate::start(&fixture));
    println!("{report}");
    report.expect(&Expected::load().leaked);
}

#[test]
fn proxy_passes_controls_exactly() {
    let fixture = corpus::fixture();
    let report = corpus::control_through(&fixture, &mut Gate::start(&fixture));
    println!("{report}");
    report.expect(&Expected::load().wrong);
}

/// Every statement of the capture is understood: allowed, or denied for want of a grant. The capture is not part of the
/// checkout; without it there is nothing to compare.
#[test]
fn clients_statements_are_understood() {
    let Some(captured) = clients::captured() else {
        println!("no capture of clients' statements lies beside the checkout");
        return;
    };
    let database = Server::shared().database("clients");
    database.owner_sql(shop::POSTGRES_SCHEMA);
    let proxy = Proxy::start(Settings::new(vec![Target::new("shop", &database)], shop::RULES));
    proxy.user("alice", &["oncall"]);
    let table = clients::compare(&captured, &database.as_owner(), &proxy.startup("alice", "shop"));
    println!("{table}");
    assert!(table.not_understood.is_empty(), "{} statements are not understood", table.not_understood.len());
}
