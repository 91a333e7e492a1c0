//! Understanding by shape is understanding from scratch: over the statements of the corpus and some of our own, with
//! random literals in place of theirs.

use std::{fs, path::Path, sync::Arc};

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::*;
use crate::{
    catalog::Catalog,
    statement::{
        Names, Understood,
        mysql::{self, Flavour},
        postgres,
    },
};

const TEXTS: &[&str] = &[
    "SELECT abalance FROM orders WHERE id = 4711",
    "SELECT id, 'x', 5 AS five FROM orders WHERE id IN (1, 2, 3) AND note = 'a' ORDER BY 1, id LIMIT 10 OFFSET 5",
    "INSERT INTO orders (id, note) VALUES (1, 'a'), (-2, 'it''s')",
    "UPDATE orders SET note = 'x', total = total + -5 WHERE id = 7",
    "DELETE FROM orders WHERE id = 1 AND note <> 'x'",
    "DELETE FROM orders WHERE 1 = 1",
    "DELETE FROM orders WHERE 1 = id OR 'a' = 'b'",
    "UPDATE orders SET note = 'x' WHERE 1",
    "SELECT * FROM orders WHERE note LIKE '%'",
    "SELECT * FROM orders WHERE note LIKE 'x%' AND total BETWEEN 1.5 AND 2.5",
    "SELECT count(*) FROM orders GROUP BY 1",
    "SELECT note, count(*) FROM orders GROUP BY 1 ORDER BY 2 DESC",
    "SELECT CASE WHEN id = 1 THEN 'a' ELSE 'b' END FROM orders",
    "SELECT coalesce(note, 'none'), substring(note, 1, 2) FROM orders WHERE id > 4294967296",
    "SELECT email FROM customers WHERE email = 'a@b.c'",
    "SELECT id FROM orders UNION ALL SELECT 1",
    "SELECT x.n FROM (SELECT 1 AS n) x WHERE x.n = 2",
    "SELECT DATE '2020-01-01', id FROM orders",
    "SELECT set_config('search_path', 'hr', false)",
    "SELECT 'a' 'b', id FROM orders",
    "SELECT '1'::int, CAST(5 AS varchar(10)), 3::float(24), now()::timestamp(3) FROM orders",
    "SELECT * FROM v_upd WHERE id = 5",
    "SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'shop'",
    "WITH w AS (SELECT id FROM orders WHERE total > 5) SELECT * FROM w WHERE id = 6",
];

/// Texts of the corpus of that dialect, attacks and honest ones.
fn corpus(dialect: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let mut texts = Vec::new();
    for file in [format!("{dialect}.jsonl"), format!("benign-{dialect}.jsonl")] {
        let lines = fs::read_to_string(folder.join(&file)).expect("the corpus is there");
        for line in lines.lines() {
            strings(&serde_json::from_str(line).expect("JSON"), &mut texts);
        }
    }
    texts.retain(|text| text.contains(' '));
    assert!(texts.len() > 200, "{dialect}: {}", texts.len());
    texts
}

/// Every string in there: what is no SQL is refused, and tells nothing.
fn strings(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => into.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        serde_json::Value::Object(entries) => entries.values().for_each(|item| strings(item, into)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

/// Another literal of the same class.
fn other(literal: &str, runner: &mut TestRunner) -> String {
    const STRINGS: &[&str] = &[
        "",
        "%",
        "t",
        "false",
        "0",
        "1",
        "id",
        "email",
        "shop.orders",
        "hr",
        "$.a",
        "1 day",
        "2020-01-01",
        "/*",
        "-- ",
        ";",
        "SELECT 1",
        "é",
        "((((",
        "a long text, longer than what stood there before, with (brackets) and, commas",
    ];
    const NUMBERS: &[&str] = &["0", "1", "2", "3", "7", "100", "24", "2147483647"];
    let quote = literal.chars().next().filter(|first| !first.is_ascii_digit());
    let large = literal.parse::<u64>().is_ok_and(|value| value > 2_147_483_647);
    let choices: Vec<String> = match quote {
        Some(quote) => {
            let mut choices: Vec<_> = STRINGS.iter().map(|text| format!("{quote}{text}{quote}")).collect();
            choices.push(format!("{quote}{quote}{quote}{quote}"));
            choices
        }
        None if literal.contains('.') => ["0.0", "1.5", "100.25"].map(str::to_owned).to_vec(),
        None if large => ["2147483649", "9223372036854775807"].map(str::to_owned).to_vec(),
        None => NUMBERS.iter().map(|number| (*number).to_owned()).collect(),
    };
    let strategy = proptest::sample::select(choices);
    strategy.new_tree(runner).expect("a value").current()
}

fn with(text: &str, places: &[Range<usize>], runner: &mut TestRunner) -> String {
    let (mut changed, mut at) = (String::new(), 0);
    for place in places {
        changed.push_str(&text[at..place.start]);
        changed.push_str(&other(&text[place.clone()], runner));
        at = place.end;
    }
    changed + &text[at..]
}

fn bound(text: &str, shape: &Shape, free: &[Range<usize>]) -> Vec<String> {
    shape
        .literals()
        .iter()
        .filter(|place| !free.contains(place))
        .map(|place| text[(*place).clone()].to_owned())
        .collect()
}

/// Checks `texts`; says how many have a shape that others share.
fn check(texts: &[String], dialect: &Dialect, catalog: &Catalog) -> usize {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut sharing = 0;
    for text in texts {
        let Ok(first) = dialect.understand(text, catalog) else { continue };
        if first.free.is_empty() {
            continue;
        }
        sharing += 1;
        let mut shape = Shape::default();
        assert!(shape.scan(text, dialect), "{text}");
        let (key, bound_there) = (shape.key().to_vec(), bound(text, &shape, &first.free));
        let count = shape.literals().len();
        let free: Vec<bool> = shape.literals().iter().map(|place| first.free.contains(place)).collect();
        let shared = first.clone().shared();
        for _ in 0..8 {
            let changed = with(text, &first.free, &mut runner);
            assert!(shape.scan(&changed, dialect), "{changed}");
            assert_eq!((shape.key(), shape.literals().len()), (&*key, count), "{text}\n{changed}");
            let kept = shape.literals().iter().zip(&free).filter(|(_, free)| !**free);
            let kept: Vec<_> = kept.map(|(place, _)| changed[place.clone()].to_owned()).collect();
            assert_eq!(kept, bound_there, "{text}\n{changed}");
            let scratch = dialect
                .understand(&changed, catalog)
                .unwrap_or_else(|refusal| panic!("{text}\n{changed}\n{}", refusal.message));
            same(&shared, &scratch.shared(), text, &changed);
        }
    }
    sharing
}

fn same(one: &Understood, other: &Understood, text: &str, changed: &str) {
    assert_eq!(one.statements, other.statements, "{text}\n{changed}");
    assert_eq!(one.fingerprint, other.fingerprint, "{text}\n{changed}");
}

#[test]
fn postgres_understands_by_shape_what_it_understands_from_scratch() {
    let dialect = Dialect::Postgres(Names { search_path: Arc::from("shop, public") });
    let mut texts = corpus("postgres");
    texts.extend(TEXTS.iter().map(|text| (*text).to_owned()));
    let sharing = check(&texts, &dialect, &postgres::testing::catalog());
    assert!(sharing > 100, "{sharing}");
}

#[test]
fn mysql_understands_by_shape_what_it_understands_from_scratch() {
    let mut texts = corpus("mysql");
    texts.extend(TEXTS.iter().map(|text| (*text).to_owned()));
    for (mode, flavour) in [("", Flavour::MariaDb), ("ANSI_QUOTES,NO_BACKSLASH_ESCAPES", Flavour::MySql)] {
        let dialect = Dialect::Mysql(mysql::testing::names(mode, flavour));
        let sharing = check(&texts, &dialect, &mysql::testing::catalog());
        assert!(sharing > 50, "{mode}: {sharing}");
    }
}

#[test]
fn what_decides_something_stays_bound() {
    let postgres = Dialect::Postgres(Names { search_path: Arc::from("shop, public") });
    let mysql = Dialect::Mysql(mysql::testing::names("", Flavour::MariaDb));
    let free = |text: &str, dialect: &Dialect, catalog: &Catalog| -> Vec<String> {
        let understood = dialect.understand(text, catalog).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        understood.free.iter().map(|place| text[place.clone()].to_owned()).collect()
    };
    for (text, in_postgres, in_mysql) in [
        ("SELECT id FROM orders WHERE id = 5 AND note = 'a'", vec!["5", "'a'"], vec!["5", "'a'"]),
        ("SELECT id FROM orders WHERE total = -5", vec!["5"], vec!["5"]),
        ("SELECT id FROM orders ORDER BY 1 LIMIT 5", vec!["5"], vec!["5"]),
        ("SELECT note, count(*) FROM orders GROUP BY 1 HAVING count(*) > 2", vec!["2"], vec!["2"]),
        ("DELETE FROM orders WHERE 1 = 1 AND id = 5", vec!["5"], vec!["5"]),
        ("SELECT id FROM orders WHERE note LIKE '%'", vec![], vec![]),
        ("INSERT INTO orders (id, note) VALUES (1, 'a')", vec!["1", "'a'"], vec!["1", "'a'"]),
        ("SELECT 5, 'x', 6 AS six, id FROM orders", vec!["5", "'x'", "6"], vec!["6"]),
        ("SELECT CAST(id AS char(3)) AS c FROM orders WHERE id = 5", vec!["5"], vec!["5"]),
        ("SELECT id FROM orders -- 5\nWHERE id = 5", vec![], vec![]),
        ("EXPLAIN SELECT id FROM orders WHERE id = 5", vec![], vec![]),
    ] {
        assert_eq!(free(text, &postgres, &postgres::testing::catalog()), in_postgres, "{text}");
        assert_eq!(free(text, &mysql, &mysql::testing::catalog()), in_mysql, "{text}");
    }
    let cast = "SELECT id::float(24) FROM orders WHERE id = 5";
    assert_eq!(free(cast, &postgres, &postgres::testing::catalog()), ["5"]);
}

#[test]
fn a_value_is_looked_at_in_one_file_of_each_dialect() {
    for (dialect, word) in [("postgres", "a_const"), ("mysql", "constant.value")] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/statement").join(dialect);
        for file in fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file").path()) {
            let text = fs::read_to_string(&file).expect("a file");
            let here = file.file_name().is_some_and(|name| name == "constant.rs");
            assert!(here || !text.contains(word), "{}: {word}", file.display());
        }
    }
}
