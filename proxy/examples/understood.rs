//! Reads statements of real clients, one JSON object a line with `client` and `sql`, and prints for each client how
//! many are understood, and of those how many everybody may run. Changes nothing; the names come from a live server:
//! `cargo run --example understood -- "host=127.0.0.1 user=postgres dbname=shop" statements.jsonl [--all]`.
#![expect(clippy::print_stdout, reason = "it is a program for people")]

use std::{collections::BTreeMap, error::Error, fs};

use hallpass::session::catalog::postgres::fetch;
use hallpass_policy::{
    catalog::Catalog,
    statement::{Action, Names, Need, Object, RefusalKind, postgres::understand},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Sent {
    client: String,
    sql: String,
}

#[derive(Default)]
struct Tally {
    baseline: usize,
    needs_grant: usize,
    unknown_name: usize,
    refused: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: understood CONNECTION FILE [--all]".into());
    };
    let everything = arguments.next().as_deref() == Some("--all");
    let (client, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let catalog = fetch(&client, 1).await?;
    let names = Names { search_path: catalog.default_search_path.as_str().into() };

    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for line in fs::read_to_string(path)?.lines() {
        let sent: Sent = serde_json::from_str(line)?;
        let tally = tallies.entry(sent.client.clone()).or_default();
        let verdict = judge(&sent.sql, &catalog, &names, tally);
        if everything || verdict.starts_with("refused") || verdict.starts_with("unknown") {
            let shown: String = sent.sql.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(160).collect();
            println!("{}: {verdict}\n    {shown}", sent.client);
        }
    }
    println!("{:36} {:>8} {:>8} {:>8} {:>8} {:>8}", "client", "sent", "baseline", "grant", "no name", "refused");
    for (client, tally) in tallies {
        let sent = tally.baseline + tally.needs_grant + tally.unknown_name + tally.refused;
        println!(
            "{client:36} {sent:>8} {:>8} {:>8} {:>8} {:>8}",
            tally.baseline, tally.needs_grant, tally.unknown_name, tally.refused
        );
    }
    Ok(())
}

fn judge(sql: &str, catalog: &Catalog, names: &Names, tally: &mut Tally) -> String {
    match understand(sql, catalog, names) {
        Ok(understood) => {
            let needs = understood.statements.iter().flat_map(|statement| &statement.needs);
            let missing: Vec<String> = needs
                .filter(|need| !in_baseline(need))
                .map(|need| format!("{} {}", need.action, need.object))
                .collect();
            if missing.is_empty() {
                tally.baseline += 1;
                "baseline".to_owned()
            } else {
                tally.needs_grant += 1;
                format!("needs {}", missing.join(", "))
            }
        }
        Err(refusal) => match refusal.kind {
            RefusalKind::UnknownRelation
            | RefusalKind::UnknownColumn
            | RefusalKind::UnknownFunction
            | RefusalKind::UnknownType => {
                tally.unknown_name += 1;
                format!("unknown name: {refusal}")
            }
            RefusalKind::Unparsed
            | RefusalKind::Unsupported
            | RefusalKind::Ambiguous
            | RefusalKind::Forbidden
            | RefusalKind::TooComplex
            | RefusalKind::UnknownCharset
            | RefusalKind::NotPreparable => {
                tally.refused += 1;
                format!("refused: {refusal} ({})", refusal.detail.as_deref().unwrap_or_default())
            }
        },
    }
}

/// What everybody holds by default: EXPLAIN, and reading names.
fn in_baseline(need: &Need) -> bool {
    need.action == Action::Explain || matches!(need.object, Object::Catalog(_))
}
