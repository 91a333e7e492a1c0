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
use schema::{Dialect, Version, all_columns, cell};

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

#[test]
fn masked_values_and_their_parts_are_recognised() {
    let sets = masks::sets(1, Dialect::Postgres, "lab");
    let mut values = 0;
    for masks in &sets {
        for (number, ..) in all_columns() {
            for version in [Version::One, Version::Two] {
                let canaries =
                    cell(Dialect::Postgres, number, 2, version).map(|cell| cell.canaries).unwrap_or_default();
                for canary in canaries {
                    let masked = masks.closed & (1 << number) != 0;
                    let shown = masks.betrayed(format!("a row with {canary}, shown").as_bytes());
                    assert_eq!(shown.is_some(), masked, "{canary} of column {number}");
                    values += usize::from(masked);
                }
            }
        }
        assert_eq!(masks.betrayed(b"nothing of note, 12345678, 'abcdefghijk'"), None);
    }
    assert!(values > 20, "{values} masked values");
}

#[test]
fn a_seed_makes_the_same_queries_again() {
    let masks = &masks::sets(1, Dialect::MariaDb, "lab")[0];
    let query = |at| generate::Generator::new(5, at, Dialect::MariaDb, masks).query().sql;
    let queries: Vec<String> = (0..200).map(query).collect();
    assert_eq!(queries, (0..200).map(query).collect::<Vec<_>>());
    let different: std::collections::BTreeSet<&String> = queries.iter().collect();
    assert!(different.len() > 190, "{} different queries", different.len());
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
