//! The bypass corpus as tests: straight on the server every attack is real and every control runs; through hallpass
//! attacks are stopped and controls give the same bytes, but for what `expected.toml` lists as open.
//! `HALLPASS_CASE=pg-alias-01` plays the cases whose id starts so and shows their answers.

use hallpass_tests::{
    corpus::{
        self, Expected, Gate, Stage,
        clients::{self, Asked, OnMySql, OnPostgres},
    },
    mysql::Flavour,
    protocol::{MySql, Postgres, Protocol},
    shop::Shop,
};

#[test]
fn direct_attacks_are_real_on_postgres() {
    let fixture = corpus::postgres();
    direct_attacks_are_real(&*fixture, &fixture.label());
}

#[test]
fn direct_attacks_are_real_on_mysql() {
    direct_attacks_are_real(&*corpus::mysql(), Flavour::chosen().label());
}

fn direct_attacks_are_real(fixture: &impl Stage, label: &str) {
    let report = corpus::attack_directly(fixture);
    println!("{report}");
    report.expect(&Expected::load().unreal_on(label));
}

#[test]
fn direct_controls_run_on_postgres() {
    direct_controls_run(&*corpus::postgres());
}

#[test]
fn direct_controls_run_on_mysql() {
    direct_controls_run(&*corpus::mysql());
}

fn direct_controls_run(fixture: &impl Stage) {
    let report = corpus::control_directly(fixture);
    println!("{report}");
    report.expect(&Default::default());
}

#[test]
fn proxy_stops_attacks_on_postgres() {
    proxy_stops_attacks(&*corpus::postgres());
}

#[test]
fn proxy_stops_attacks_on_mysql() {
    proxy_stops_attacks(&*corpus::mysql());
}

fn proxy_stops_attacks(fixture: &impl Stage) {
    let report = corpus::attack_through(fixture, &mut Gate::start(fixture));
    println!("{report}");
    report.expect(&Expected::load().leaked);
}

#[test]
fn proxy_passes_controls_exactly_on_postgres() {
    proxy_passes_controls_exactly(&*corpus::postgres());
}

#[test]
fn proxy_passes_controls_exactly_on_mysql() {
    proxy_passes_controls_exactly(&*corpus::mysql());
}

fn proxy_passes_controls_exactly(fixture: &impl Stage) {
    let report = corpus::control_through(fixture, &mut Gate::start(fixture));
    println!("{report}");
    report.expect(&Expected::load().wrong);
}

/// Every statement of the capture is understood: allowed, or denied for want of a grant. The capture is not part of the
/// checkout; without it there is nothing to compare.
#[test]
fn clients_statements_are_understood_on_postgres() {
    clients_statements_are_understood::<Postgres, _>(|shop| {
        (OnPostgres::new(shop.database.as_owner()), OnPostgres::new(shop.alice_login()))
    });
}

#[test]
fn clients_statements_are_understood_on_mysql() {
    clients_statements_are_understood::<MySql, _>(|shop| {
        (OnMySql::direct(shop.database.as_owner()), OnMySql::through(shop.alice_login()))
    });
}

fn clients_statements_are_understood<P: Protocol, A: Asked>(connect: impl FnOnce(&Shop<P>) -> (A, A)) {
    let Some(captured) = clients::captured(P::NAME) else {
        println!("no capture of clients' statements lies beside the checkout");
        return;
    };
    let shop = Shop::<P>::new("clients");
    let (mut direct, mut through) = connect(&shop);
    let table = clients::compare(&captured, &mut direct, &mut through);
    println!("{table}");
    assert!(table.not_understood.is_empty(), "{} statements are not understood", table.not_understood.len());
}
