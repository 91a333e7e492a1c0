//! Every target of `hallpass_fuzz_entry` on stable Rust: its seeds, its seeds changed a little, and bytes of no meaning.
//! Runs no fuzzer; `tests/run` does where there is one.

use std::{fs, path::PathBuf};

use hallpass_fuzz_entry::TARGETS;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};

/// Cases a target; `PROPTEST_CASES` asks for more.
const CASES: u32 = 400;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder().join("corpus").join(target)).expect("a corpus");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).expect("a seed")).collect()
}

/// A change of a seed: bytes written over others, put in, taken out, or pieces of another seed.
#[derive(Clone, Debug)]
enum Change {
    Over(Index, Vec<u8>),
    In(Index, Vec<u8>),
    Out(Index, usize),
    Twice(Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let bytes = || {
        prop_oneof![
            vec(any::<u8>(), 1..5),
            select(vec![
                &b"\0"[..],
                b"\xff\xff\xff\xff",
                b"\x7f\xff\xff\xff",
                b"(",
                b")",
                b"'",
                b"--",
                b"/*",
                b";",
                b"\xc3"
            ])
            .prop_map(<[u8]>::to_vec),
        ]
    };
    prop_oneof![
        (any::<Index>(), bytes()).prop_map(|(at, bytes)| Change::Over(at, bytes)),
        (any::<Index>(), bytes()).prop_map(|(at, bytes)| Change::In(at, bytes)),
        (any::<Index>(), 1..9_usize).prop_map(|(at, count)| Change::Out(at, count)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, count)| Change::Twice(at, count)),
    ]
}

fn changed(seed: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for change in changes {
        let (Change::Over(at, _) | Change::In(at, _) | Change::Out(at, _) | Change::Twice(at, _)) = change;
        let at = at.index(bytes.len() + 1);
        let upto = |count: usize| (at + count).min(bytes.len());
        match change {
            Change::Over(_, new) => drop(bytes.splice(at..upto(new.len()), new.iter().copied())),
            Change::In(_, new) => drop(bytes.splice(at..at, new.iter().copied())),
            Change::Out(_, count) => drop(bytes.drain(at..upto(*count))),
            Change::Twice(_, count) => {
                let piece = bytes[at..upto(*count)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn runner() -> TestRunner {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn targets_take_their_seeds() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seed");
        seeds.iter().for_each(|seed| target(seed));
    }
}

#[test]
fn targets_take_changed_seeds() {
    for (name, target) in TARGETS {
        let input = (select(seeds(name)), vec(change(), 1..6));
        let run = runner().run(&input, |(seed, changes)| {
            target(&changed(&seed, &changes));
            Ok(())
        });
        run.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn targets_take_any_bytes() {
    for (name, target) in TARGETS {
        let bytes = vec(prop_oneof![2 => 0..5_u8, 1 => 0x20..0x7f_u8, 1 => any::<u8>()], 0..200);
        let run = runner().run(&bytes, |bytes| {
            target(&bytes);
            Ok(())
        });
        run.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn every_target_is_a_program_of_its_own_under_the_fuzzer() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("a manifest");
    for (name, _) in TARGETS {
        let program = fs::read_to_string(folder().join("fuzz_targets").join(name).with_extension("rs"));
        assert!(program.expect("a program").contains(&format!("run(\"{name}\", data)")), "{name}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not in Cargo.toml");
    }
    assert_eq!(fs::read_dir(folder().join("fuzz_targets")).expect("a folder").count(), TARGETS.len());
}
