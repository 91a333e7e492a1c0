//! Random queries under random masks, on real servers: no masked value is ever received, no answer depends on one, and what
//! no masked column takes part in is as it is without hallpass.
//!
//! `HALLPASS_GENERATED_QUERIES` says how many for each protocol, `HALLPASS_GENERATED_SEED` which, and
//! `HALLPASS_GENERATED_ONLY` plays one of them and shows its answers.

mod ddl;
mod generate;
mod masks;
mod random;
mod run;
mod schema;

use run::{MySqlStage, Plan, PostgresStage, Stage};

#[test]
fn generated_queries_leak_nothing_on_postgres() {
    let plan = Plan::from_environment();
    check(&PostgresStage::start(plan.seed), plan);
}

#[test]
fn generated_queries_leak_nothing_on_mysql() {
    let plan = Plan::from_environment();
    check(&MySqlStage::start(plan.seed), plan);
}

fn check(stage: &impl Stage, plan: Plan) {
    let report = run::run(stage, plan);
    println!("{report}");
    report.expect_no_faults();
    if plan.only.is_none() {
        // A generator whose queries are refused or fail shows nothing.
        assert!(report.allowed() * 3 > report.queries(), "few queries ran");
        assert!(report.masked() * 10 > report.queries(), "few queries ran with masked columns");
    }
}
