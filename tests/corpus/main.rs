//! The bypass corpus as tests: straight on the server every attack is real and every control runs; through hallpass
//! attacks are stopped and controls give the same bytes, but for what `expected.toml` lists as open.
//! `HALLPASS_CASE=pg-alias-01` plays the cases whose id starts so and shows their answers.

use hallpass_tests::corpus::{self, Expected, Gate};

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
